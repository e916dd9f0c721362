//! What happened to a user's mail that one device does not know yet, from the rows: who holds what decides who is concerned.

use super::event::Kind;
use super::flags::MailFields;
use super::folder::Folder;
use super::mailbox::{DATASTORE, KIND_MAIL, Role};
use super::summary::Summary;
use crate::sync::devinf;
use crate::sync::server::is_under_way;
use crate::sync::store::{Changes, Cursor, Item, Login, Peer, PeerKey, Read, Row, StoreKey, Value};
use crate::sync::turn::{Missing, Reader};
use idmap::Guid;
use std::collections::HashMap;

/// Rows read at once.
const PAGE: u32 = 512;
/// Pages looked at, at most; what is beyond them is counted.
const PAGES: usize = 4;
/// Folders in each other, at most.
const DEPTH: usize = 32;

/// What one device does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// Up to which revision was looked.
    pub upto: u64,
    /// What happened, oldest first.
    pub events: Vec<MailNews>,
    /// A session of the device is under way.
    pub in_session: bool,
    /// Octets of the longest id that the device takes; none: any.
    pub max_id: Option<usize>,
}

/// What happened to one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailNews {
    /// When: the revision of its row.
    pub rev: u64,
    /// What.
    pub kind: Kind,
    /// The path of its folder.
    pub folder: String,
    /// Its id.
    pub id: Known,
    /// Its id in the store.
    pub guid: Guid,
    /// It was read, answered, forwarded or thrown away: on another device, or at its mail server.
    pub handled: bool,
    /// Its sender, if headers were asked for.
    pub from: String,
    /// Its subject, if headers were asked for.
    pub subject: String,
    /// Its octets.
    pub size: u64,
}

/// By what a device knows a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It holds it under this id.
    Luid(String),
    /// It will be offered under this one.
    Temp(String),
}

/// What a device has to be told of, after revision `told` and what it has synced since; none when the device is not concerned
/// at all: it is unknown, may not log in, or has never synced mail.
///
/// A deletion or a change is only of mail that the device holds. What it did itself is no news to it, nor is what was
/// filed among sent mail, drafts or trash: that comes with the next sync. `headers`: sender and subject are wanted.
///
/// # Errors
/// [`Missing`]: run it again with the rows that it asked for.
// mission: M4a, M4e
pub fn news(
    reader: &mut Reader<'_>,
    user: &str,
    device: &str,
    (told, now, headers): (u64, u64, bool),
) -> Result<Option<News>, Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let key = PeerKey { store: store.clone(), device: device.into() };
    let login = reader.read(Read::Login { user: user.into(), device: device.into() });
    let peer = reader.read(Read::Peer(key.clone()));
    let head = reader.read(Read::Head(store.clone()));
    let (Value::Login(login), Value::Peer(peer), Value::Rev(head)) = (login?, peer?, head?) else {
        return Ok(None);
    };
    let (
        Some(Login { revoked: false, device: kept, .. }),
        Some(Peer { generation, committed: Some(point), .. }),
    ) = (login, peer)
    else {
        return Ok(None);
    };
    let session = match &kept.session {
        Some(token) => match reader.read(Read::Session(token.clone()))? {
            Value::Session(row) => row.as_ref(),
            _ => None,
        },
        None => None,
    };
    let in_session = session.is_some_and(|row| is_under_way(&row.value, now));
    let said = kept.devinf.as_ref().and_then(devinf::from_bytes);
    let max_id = said.and_then(|said| devinf::caps(&said, DATASTORE).max_guid_size);
    let mut news = News {
        upto: *head,
        in_session,
        max_id: max_id.and_then(|size| usize::try_from(size).ok()),
        ..News::default()
    };
    let changes = Changes { peer: key, generation: *generation, since: told.max(point.rev), upto: *head };
    // Mail only: folders have a rank of their own.
    let mut cursor = Cursor { rank: super::mailbox::RANK_MAIL, rev: 0, guid: None };
    let mut missing = false;
    for page in 0..PAGES {
        let Value::Rows(rows) = reader.read(Read::Rows(changes.clone(), cursor.clone(), PAGE))? else {
            break;
        };
        match of_rows(reader, &store, (changes.since, rows.as_slice()), headers) {
            Ok(events) => news.events.extend(events),
            Err(Missing) => missing = true,
        }
        let Some(last) = rows.last().filter(|_| rows.len() >= PAGE as usize) else { break };
        cursor = last.item.cursor();
        if page.saturating_add(1) == PAGES {
            news.upto = last.item.rev;
        }
    }
    if missing { Err(Missing) } else { Ok(Some(news)) }
}

/// What changes that a device has not seen mean for it.
pub(super) fn of_rows(
    reader: &mut Reader<'_>,
    store: &StoreKey,
    (since, rows): (u64, &[Row]),
    headers: bool,
) -> Result<Vec<MailNews>, Missing> {
    let mut folders = Folders { store, paths: HashMap::new() };
    let (mut events, mut missing) = (Vec::new(), false);
    for row in rows {
        match one(reader, &mut folders, row, (since, headers)) {
            Ok(event) => events.extend(event),
            Err(Missing) => missing = true,
        }
    }
    if missing { Err(Missing) } else { Ok(events) }
}

fn one(
    reader: &mut Reader<'_>,
    folders: &mut Folders<'_>,
    row: &Row,
    (since, headers): (u64, bool),
) -> Result<Option<MailNews>, Missing> {
    let Row { item, entry } = row;
    let luid = entry.as_ref().and_then(idmap::Entry::luid);
    let (kind, id) = match (item.deleted, luid) {
        (true, None) => return Ok(None),
        (true, Some(luid)) => (Kind::Deleted, Known::Luid(luid.as_str().into())),
        (false, Some(luid)) => (Kind::Changed, Known::Luid(luid.as_str().into())),
        // A mail that it lacks, by its own wish, and that was there before: what changes of it concerns others.
        (false, None) if item.body_rev <= since => return Ok(None),
        (false, None) => {
            let wire = entry.as_ref().map_or(item.guid.as_str(), idmap::Entry::wire_id);
            (Kind::Arrived, Known::Temp(wire.into()))
        }
    };
    if *item.value.kind != *KIND_MAIL {
        return Ok(None);
    }
    let role = item.value.parent.as_ref().and_then(Role::of);
    if kind == Kind::Arrived && !matches!(role, None | Some(Role::Inbox)) {
        return Ok(None);
    }
    let path = match &item.value.parent {
        Some(parent) => folders.path(reader, parent),
        None => Ok(String::new()),
    };
    let summary =
        if headers && !item.deleted { summary(reader, folders.store, item) } else { Ok(Summary::default()) };
    let (folder, Summary { from, subject, .. }) = (path?, summary?);
    let (guid, handled) = (item.guid.clone(), is_handled(&item.value.fields));
    Ok(Some(MailNews { rev: item.rev, kind, folder, id, guid, handled, from, subject, size: item.size }))
}

fn is_handled(fields: &[u8]) -> bool {
    let fields = MailFields::from_fields(fields).unwrap_or_default();
    fields.read || fields.answered || fields.forwarded || fields.deleted
}

/// Mails that came after revision `since`, whoever holds them, oldest first, with sender and subject; and up to which
/// revision was looked.
///
/// # Errors
/// [`Missing`]: run it again with the rows that it asked for.
// mission: M4
pub fn arrivals(
    reader: &mut Reader<'_>,
    user: &str,
    since: u64,
    most: u32,
) -> Result<(u64, Vec<MailNews>), Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let Value::Rev(head) = reader.read(Read::Head(store.clone()))? else { return Ok((since, Vec::new())) };
    let upto = *head;
    if upto <= since {
        return Ok((since, Vec::new()));
    }
    // A device that does not exist holds nothing: to it everything arrives.
    let peer = PeerKey { store: store.clone(), device: "".into() };
    let changes = Changes { peer, generation: 0, since, upto };
    let cursor = Cursor { rank: super::mailbox::RANK_MAIL, rev: 0, guid: None };
    let Value::Rows(rows) = reader.read(Read::Rows(changes, cursor, most))? else {
        return Ok((upto, Vec::new()));
    };
    let all = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let upto = rows.last().filter(|_| !all).map_or(upto, |last| last.item.rev);
    Ok((upto, of_rows(reader, &store, (since, rows.as_slice()), true)?))
}

/// The folder, sender, subject, octets and types of the parts of one mail: what a policy looks at. None if it is gone.
///
/// # Errors
/// [`Missing`]: rows were asked for.
pub fn looks(reader: &mut Reader<'_>, user: &str, guid: &Guid) -> Result<Option<Looks>, Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let item = reader.read(Read::Item(store.clone(), guid.clone()));
    let body = reader.read(Read::Body(store.clone(), guid.clone()));
    let (Value::Item(Some(item)), Value::Body(Some(message))) = (item?, body?) else { return Ok(None) };
    if item.deleted {
        return Ok(None);
    }
    let folder = match &item.value.parent {
        Some(parent) => Folders { store: &store, paths: HashMap::new() }.path(reader, parent)?,
        None => String::new(),
    };
    Ok(Some(Looks::of(&folder, message)))
}

/// What a policy looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looks {
    /// The path of its folder.
    pub folder: String,
    /// Its sender.
    pub from: String,
    /// Its subject.
    pub subject: String,
    /// Its octets.
    pub size: u64,
    /// The media types of its parts.
    pub parts: Vec<String>,
}

impl Looks {
    /// Of a message in a folder.
    pub fn of(folder: &str, message: &[u8]) -> Looks {
        let Summary { from, subject, .. } = Summary::of(message);
        let parts = super::cut::parts(message).into_iter().map(|part| part.media_type.into()).collect();
        Looks { folder: folder.into(), from, subject, size: message.len() as u64, parts }
    }
}

/// What became of one mail that had come: handled or gone, or neither.
///
/// # Errors
/// [`Missing`]: the row was asked for.
// mission: P8
pub fn is_over(reader: &mut Reader<'_>, user: &str, guid: &Guid) -> Result<bool, Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    Ok(match reader.read(Read::Item(store, guid.clone()))? {
        Value::Item(Some(item)) => item.deleted || is_handled(&item.value.fields),
        _ => true,
    })
}

fn summary(reader: &mut Reader<'_>, store: &StoreKey, item: &Item) -> Result<Summary, Missing> {
    Ok(match reader.read(Read::Body(store.clone(), item.guid.clone()))? {
        Value::Body(Some(message)) => Summary::of(message),
        _ => Summary::default(),
    })
}

/// Folders whose paths are known.
struct Folders<'a> {
    store: &'a StoreKey,
    paths: HashMap<Guid, String>,
}

impl Folders<'_> {
    fn path(&mut self, reader: &mut Reader<'_>, folder: &Guid) -> Result<String, Missing> {
        if let Some(path) = self.paths.get(folder) {
            return Ok(path.clone());
        }
        let (mut names, mut at) = (Vec::new(), Some(folder.clone()));
        while let Some(guid) = at.take().filter(|_| names.len() < DEPTH) {
            let Value::Item(Some(item)) = reader.read(Read::Item(self.store.clone(), guid))? else { break };
            if let Ok(folder) = Folder::from_fields(&item.value.fields) {
                names.push(folder.name.to_string());
            }
            at.clone_from(&item.value.parent);
        }
        names.reverse();
        let path = names.join("/");
        self.paths.insert(folder.clone(), path.clone());
        Ok(path)
    }
}
