//! The IMAP driver: CONDSTORE, QRESYNC, MOVE, UIDPLUS, SPECIAL-USE, LIST-STATUS, IDLE, NOTIFY where the server has them, and
//! a plain IMAP4rev1 server with none; CATENATE and URLAUTH in `compose`.
//!
//! Responses are cut by [`frame`], which refuses by size, and then read one by one by [`response`]: one that cannot be
//! read costs itself. Both are ours; ARCHITECTURE.md says why.
// spec: RFC 3501, RFC 7162, RFC 6851, RFC 4315, RFC 6154, RFC 5819, RFC 2177, RFC 5465

mod compose;
mod connection;
pub mod date;
pub mod frame;
mod operate;
pub mod response;
mod url;
pub mod value;

pub(crate) use compose::{Composed, Wanted, compose, sweep};
pub use connection::Credentials;

use super::link::Trust;
use super::stored::Composition;
use super::{Done, Error, Folders, Looked, Mailbox, Woken};
use bytes::Bytes;
use connection::{Answer, Connection, quoted};
use mailsync_proto::mail::Role;
use mailsync_proto::mail::account::Server;
use mailsync_proto::mirror::folders::{FolderLink, FolderSeen};
use mailsync_proto::mirror::mails::{Described, Key, Link, Listing, RemoteId, SeenMail};
use mailsync_proto::mirror::{Marks, Operation};
use response::{Fetched, Kind, Listed, Numbers, Response, State as Said};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

/// Octets of a mail that is fetched whole.
// spec: threats, default limits
pub const MAIL_OCTETS: usize = 32 << 20;
/// Octets of header fields of a description.
const HEADER_OCTETS: usize = 256 << 10;
/// Octets of mails that are kept of one answer: by what the server says of sizes there are less.
const SOME_OCTETS: usize = 16 << 20;
/// How long one IDLE lasts at most: servers end it after 30 minutes.
const IDLE: Duration = Duration::from_secs(20 * 60);
/// Changes of any folder are said, those of the open one when nothing else is (IDLE).
// spec: RFC 5465 §5
const NOTIFY: &str = "NOTIFY SET (selected-delayed (MessageNew MessageExpunge FlagChange)) \
    (personal (MessageNew MessageExpunge FlagChange MailboxName))";
const DESCRIPTION: &str =
    "UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID FROM DATE SUBJECT)]";

/// A mailbox over IMAP.
pub struct Imap {
    link: Connection,
    /// The folder that is selected.
    selected: Option<Box<str>>,
    qresync: bool,
    separator: Box<str>,
}

impl Imap {
    /// Connects and logs in.
    pub async fn open(trust: &Trust, place: &Server, login: &Credentials) -> Result<Self, Error> {
        let mut link = Connection::open(trust, place, login).await?;
        let qresync = link.can("QRESYNC") && link.can("ENABLE") && link.ok("ENABLE QRESYNC").await.is_ok();
        if link.can("NOTIFY") && link.can("IDLE") && link.ok(NOTIFY).await.is_err() {
            // Folders other than the inbox are polled then, as on a server without it.
            tracing::info!("imap: the server takes no NOTIFY");
        }
        Ok(Imap { link, selected: None, qresync, separator: "/".into() })
    }

    /// Ends the session.
    pub async fn close(mut self) {
        // Whatever the server says to that.
        let _ = self.link.command("LOGOUT").await;
    }

    fn condstore(&self) -> bool {
        self.qresync || self.link.can("CONDSTORE")
    }

    fn numbers_wanted(&self) -> &'static str {
        if self.condstore() {
            "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ"
        } else {
            "MESSAGES UIDNEXT UIDVALIDITY"
        }
    }

    async fn select(&mut self, path: &str) -> Result<(), Error> {
        if self.selected.as_deref() == Some(path) {
            return Ok(());
        }
        self.open_folder(path, None).await.map(|_| ())
    }

    /// Selects a folder; with a state, what changed since comes with the answer.
    async fn open_folder(
        &mut self,
        path: &str,
        since: Option<(State, u32)>,
    ) -> Result<(Numbers, Answer), Error> {
        let name = quoted(path)?;
        let command = match since {
            Some((State { validity, modseq, .. }, highest)) if self.qresync => {
                format!("SELECT {name} (QRESYNC ({validity} {modseq} 1:{}))", highest.max(1))
            }
            _ if self.condstore() => format!("SELECT {name} (CONDSTORE)"),
            _ => format!("SELECT {name}"),
        };
        self.selected = None;
        let answer = self.link.ok(&command).await?;
        let mut numbers = Numbers::default();
        for response in &answer.untagged {
            match response {
                Response::Exists(count) => numbers.messages = Some(*count),
                Response::State(state) => {
                    numbers.uid_validity = state.number("UIDVALIDITY").or(numbers.uid_validity);
                    numbers.uid_next = state.number("UIDNEXT").or(numbers.uid_next);
                    numbers.highest_modseq = state.number("HIGHESTMODSEQ").or(numbers.highest_modseq);
                }
                _ => {}
            }
        }
        self.selected = Some(path.into());
        Ok((numbers, answer))
    }

    async fn fetched(&mut self, set: &str, what: &str) -> Result<(Vec<Fetched>, bool), Error> {
        let answer = self.link.ok(&format!("UID FETCH {set} {what}")).await?;
        Ok((fetched(answer.untagged), answer.torn))
    }

    /// Everything in the selected folder.
    async fn whole(&mut self, count: Option<u32>) -> Result<(Vec<SeenMail>, bool), Error> {
        if count == Some(0) {
            return Ok((Vec::new(), false));
        }
        let (fetched, torn) = self.fetched("1:*", "(UID FLAGS)").await?;
        Ok((seen(&fetched), torn))
    }
}

/// What is known of a folder between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    validity: u32,
    modseq: u64,
    next: u32,
    count: u32,
}

impl State {
    fn of(numbers: &Numbers) -> State {
        State {
            validity: numbers.uid_validity.unwrap_or(0),
            modseq: numbers.highest_modseq.unwrap_or(0),
            next: numbers.uid_next.unwrap_or(0),
            count: numbers.messages.unwrap_or(0),
        }
    }

    fn text(self) -> Box<str> {
        format!("{} {} {} {}", self.validity, self.modseq, self.next, self.count).into()
    }

    fn read(text: &str) -> Option<State> {
        let mut words = text.split(' ');
        Some(State {
            validity: words.next()?.parse().ok()?,
            modseq: words.next()?.parse().ok()?,
            next: words.next()?.parse().ok()?,
            count: words.next()?.parse().ok()?,
        })
    }
}

fn fetched(responses: Vec<Response>) -> Vec<Fetched> {
    let fetched = responses.into_iter().filter_map(|response| match response {
        Response::Fetch(fetched) => Some(fetched),
        _ => None,
    });
    fetched.collect()
}

/// Mails as they are listed; those that are there only to be submitted are not.
fn seen(fetched: &[Fetched]) -> Vec<SeenMail> {
    fetched
        .iter()
        .filter(|mail| !mail.submitting)
        .filter_map(|mail| Some(SeenMail { id: mail.uid?, marks: mail.marks? }))
        .collect()
}

impl Mailbox for Imap {
    async fn folders(&mut self) -> Result<Folders, Error> {
        let with_status = self.link.can("LIST-STATUS");
        let special = self.link.can("SPECIAL-USE");
        let numbers = self.numbers_wanted();
        let command = match (with_status, special) {
            (true, true) => format!("LIST \"\" \"*\" RETURN (SPECIAL-USE STATUS ({numbers}))"),
            (true, false) => format!("LIST \"\" \"*\" RETURN (STATUS ({numbers}))"),
            (false, true) if self.link.can("LIST-EXTENDED") => "LIST \"\" \"*\" RETURN (SPECIAL-USE)".into(),
            _ => "LIST \"\" \"*\"".to_owned(),
        };
        let answer = self.link.ok(&command).await?;
        let mut torn = answer.torn;
        let mut listed: Vec<Listed> = Vec::new();
        let mut states: HashMap<Box<str>, Numbers> = HashMap::new();
        for response in answer.untagged {
            match response {
                Response::List(folder) if listed.iter().all(|known| known.path != folder.path) => {
                    listed.push(folder)
                }
                Response::Status(path, numbers) => {
                    states.insert(path, numbers);
                }
                _ => {}
            }
        }
        if let Some(separator) = listed.iter().find_map(|folder| folder.separator.clone()) {
            self.separator = separator;
        }
        let mut folders = Vec::new();
        for folder in listed {
            let mut seen = as_seen(&folder);
            if seen.selectable && !states.contains_key(&folder.path) {
                let status = format!("STATUS {} ({numbers})", quoted(&folder.path)?);
                match self.link.ok(&status).await {
                    Ok(answer) => {
                        torn |= answer.torn;
                        let numbers = answer.untagged.into_iter().find_map(|response| match response {
                            Response::Status(_, numbers) => Some(numbers),
                            _ => None,
                        });
                        states.insert(folder.path.clone(), numbers.unwrap_or_default());
                    }
                    // Listed and not to be opened: as one that holds no mail.
                    Err(Error::Refused(_)) => seen.selectable = false,
                    Err(error) => return Err(error),
                }
            }
            if let Some(numbers) = states.get(&folder.path) {
                seen.identity = numbers.uid_validity.map(|validity| validity.to_string().into());
                // Without it the numbers do not say that a mark changed.
                seen.state = numbers.highest_modseq.map(|_| State::of(numbers).text());
            }
            folders.push(seen);
        }
        // What was said until now is in the listing.
        self.link.take_stirred();
        Ok(Folders { seen: folders, torn })
    }

    async fn look(&mut self, folder: &FolderLink, known: &[Link]) -> Result<Looked, Error> {
        let before = State::read(&folder.state);
        let highest = known.iter().filter_map(|link| link.id).max();
        let since = before.filter(|state| state.modseq > 0).zip(highest);
        let (numbers, answer) = self.open_folder(&folder.path, since).await?;
        let state = State::of(&numbers);
        let looked =
            |listing| Looked { listing, identity: state.validity.to_string().into(), state: state.text() };
        if before.is_some_and(|before| before.validity != state.validity) {
            let (mails, _) = self.whole(numbers.messages).await?;
            return Ok(looked(Listing::Renumbered { mails }));
        }
        if let Some((since, _)) = since.filter(|_| self.condstore() && !answer.torn) {
            let mut gone = Vec::new();
            let mut mails = Vec::new();
            if self.qresync {
                for response in answer.untagged {
                    match response {
                        Response::Vanished(ids) => gone.extend(ids),
                        Response::Fetch(mail) => mails.extend(seen(std::slice::from_ref(&mail))),
                        _ => {}
                    }
                }
            }
            let mut torn = false;
            if state.modseq != since.modseq {
                let what = format!("(UID FLAGS) (CHANGEDSINCE {})", since.modseq);
                let (changed, lost) = self.fetched("1:*", &what).await?;
                mails.extend(seen(&changed));
                torn = lost;
            }
            let listing = Listing::Changed { mails, gone };
            let difference = mailsync_proto::mirror::mails::compare(known, &listing);
            let held = known.iter().filter(|link| link.id.is_some()).count();
            let count = (held + difference.new.len()).checked_sub(difference.gone.len());
            if !torn && count == usize::try_from(state.count).ok() {
                return Ok(looked(listing));
            }
            // The numbers do not add up: everything.
        }
        let (mails, torn) = self.whole(numbers.messages).await?;
        Ok(looked(Listing::Whole { mails, torn }))
    }

    async fn describe(
        &mut self,
        folder: &FolderLink,
        mails: &[(RemoteId, Marks)],
    ) -> Result<Vec<Described>, Error> {
        self.select(&folder.path).await?;
        let marks: HashMap<RemoteId, Marks> = mails.iter().copied().collect();
        let ids: Vec<RemoteId> = mails.iter().map(|(id, _)| *id).collect();
        self.link.expect_literals(HEADER_OCTETS);
        let command = format!("UID FETCH {} ({DESCRIPTION}<0.{HEADER_OCTETS}>)", set(&ids));
        let mut described = Vec::with_capacity(mails.len());
        let state = self.link.each(&command, |response| {
            let Response::Fetch(mail) = response else { return };
            let (Some(id), Some(size)) = (mail.uid, mail.size) else { return };
            let Some(&marks) = marks.get(&id) else { return };
            let header = mail.body.unwrap_or_default();
            let key = Key::of(&header, size, mail.received);
            let folder = folder.guid.clone();
            described.push(Described { folder, id, marks, key, size, received: mail.received });
        });
        said(&state.await?, "what mails are");
        Ok(described)
    }

    async fn fetch_some(
        &mut self,
        path: &str,
        ids: &[RemoteId],
        most: u64,
    ) -> Result<Vec<(RemoteId, Bytes)>, Error> {
        self.select(path).await?;
        let most = usize::try_from(most).unwrap_or(MAIL_OCTETS).min(MAIL_OCTETS);
        // One octet more says that there are more.
        let asked = most.saturating_add(1);
        self.link.expect_literals(asked);
        let command = format!("UID FETCH {} (UID BODY.PEEK[]<0.{asked}>)", set(ids));
        let mut wanted: HashSet<RemoteId> = ids.iter().copied().collect();
        let (mut found, mut room) = (Vec::with_capacity(ids.len()), SOME_OCTETS);
        let state = self.link.each(&command, |response| {
            let Response::Fetch(Fetched { uid: Some(id), body: Some(body), .. }) = response else { return };
            let Some(left) = room.checked_sub(body.len()) else { return };
            if body.len() <= most && wanted.remove(&id) {
                room = left;
                found.push((id, body));
            }
        });
        said(&state.await?, "mails");
        self.link.expect_literals(0);
        Ok(found)
    }

    async fn fetch(&mut self, path: &str, id: RemoteId, most: u64) -> Result<Option<Bytes>, Error> {
        self.select(path).await?;
        let most = usize::try_from(most).unwrap_or(MAIL_OCTETS).min(MAIL_OCTETS);
        self.link.expect_literals(most);
        let mut found = None;
        let command = format!("UID FETCH {id} (UID BODY.PEEK[]<0.{most}>)");
        let state = self.link.each(&command, |response| {
            if let Response::Fetch(Fetched { uid: Some(uid), body: Some(body), .. }) = response
                && uid == id
            {
                found = Some(body);
            }
        });
        said(&state.await?, "a mail");
        self.link.expect_literals(0);
        Ok(found)
    }

    async fn find(&mut self, path: &str, message_id: &str) -> Result<Option<RemoteId>, Error> {
        // A state that others may have changed meanwhile.
        self.selected = None;
        self.select(path).await?;
        let answer = self.link.ok(&format!("UID SEARCH HEADER Message-ID {}", quoted(message_id)?)).await?;
        let found = answer.untagged.into_iter().find_map(|response| match response {
            Response::Search(ids) => ids.last().copied(),
            _ => None,
        });
        Ok(found)
    }

    async fn perform(&mut self, operation: &Operation, message: Option<&Bytes>) -> Result<Done, Error> {
        self.operate(operation, message).await
    }

    async fn compose(
        &mut self,
        operation: &Operation,
        message: &Bytes,
        composition: &Composition,
    ) -> Result<Option<Done>, Error> {
        let Operation::Append { folder, marks, received, .. } = operation else { return Ok(None) };
        let (marks, date) = operate::added_as(*marks, *received);
        self.append_composed((folder, &marks, &date), message, composition).await
    }

    async fn wait(&mut self, limit: Duration, wake: impl Future<Output = ()> + Send) -> Result<Woken, Error> {
        if !self.link.can("IDLE") {
            tokio::select! {
                () = tokio::time::sleep(limit) => {}
                () = wake => {}
            }
            return Ok(Woken::Here);
        }
        self.select("INBOX").await?;
        if self.link.take_stirred() {
            return Ok(Woken::There);
        }
        let there = self.link.idle(limit.min(IDLE), wake).await?;
        Ok(if there { Woken::There } else { Woken::Here })
    }
}

/// A refusal in the middle of mails costs those that did not come.
// threat: M2
fn said(state: &Said, what: &str) {
    if state.kind != Kind::Ok {
        tracing::warn!(what, words = %state.words, "imap: not all that was asked for comes");
    }
}

/// Ids as a set, those that follow each other as ranges.
fn set(ids: &[RemoteId]) -> String {
    let mut ranges: Vec<(RemoteId, RemoteId)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*id) => *last = *id,
            _ => ranges.push((*id, *id)),
        }
    }
    let words = ranges
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}:{last}") });
    words.collect::<Vec<_>>().join(",")
}

fn as_seen(folder: &Listed) -> FolderSeen {
    let has = |name: &str| folder.attributes.iter().any(|known| known.eq_ignore_ascii_case(name));
    let special = [("\\Sent", Role::Sent), ("\\Drafts", Role::Drafts), ("\\Trash", Role::Trash)];
    let special = special.into_iter().find(|(name, _)| has(name)).map(|(_, role)| role);
    let cut = folder.separator.as_deref().and_then(|separator| folder.path.rsplit_once(separator));
    let (parent, name) = match cut {
        Some((parent, name)) if !name.is_empty() => (Some(parent.into()), name),
        _ => (None, &*folder.path),
    };
    FolderSeen {
        path: folder.path.clone(),
        name: date::decode_name(name).into(),
        parent,
        special,
        selectable: !has("\\Noselect") && !has("\\NonExistent"),
        identity: None,
        state: None,
    }
}
