//! Sending: the durable job, what goes to the mail server, and what becomes of the item.
//!
//! A mail that enters the outbox makes one [`SendJob`] in the queue [`QUEUE`]. The host takes it, builds what goes
//! over SMTP by [`SendJob::wire_copy`], sends, and commits [`settle`]'s writes. It is queued once per user and
//! Message-ID ([`SendJob::once_key`]), whatever a device adds again.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::bounce::{self, Bounce};
use super::flags::{MailFields, SendOutcome, SendState};
use super::forward::{About, Kind};
use super::headers::{Headers, message_id};
use super::mailbox::{DATASTORE, Role, changed_value, completed_keys, mail_value, moved_keys};
use super::mime::guarded;
use super::since::Since;
use super::time;
use crate::sync::store::{Item, Read, StoreKey, Value, Write};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;
use serde::{Deserialize, Serialize};
use sha2::Digest;

/// The queue of [`Write::Enqueue`].
pub const QUEUE: &str = "send";
/// Recipients of one mail, at most.
pub const RECIPIENTS: usize = 2_000;
const STORED: u8 = 1;
/// The form of a job of which something has been done.
const STORED_BEGUN: u8 = 2;
/// The form of a job that names by its id the mail it is about.
const STORED_ABOUT: u8 = 3;
/// Times that a mail is handed over without an answer, at most.
pub const DOUBTS: u8 = 2;
/// What is said where a mail was sent again because the first try was not answered.
const TWICE: &str = "an earlier try was never answered: it may have come twice, under the same Message-ID";
/// A device's clock that is before 2000 or more than a day ahead is not believed.
const CLOCK_FLOOR: u64 = 946_684_800;
const CLOCK_AHEAD: u64 = 86_400;

/// A mail to be sent.
///
/// # Shape
/// Stored as a version octet (1; 2 once something has been done; 3 where it names the mail it is about) and a compact form.
/// The message itself stays the body of the item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SendJob {
    /// Whose.
    pub user: Box<str>,
    /// The item in the outbox.
    pub guid: Guid,
    /// Its Message-ID without brackets: the message's own, or one that we gave.
    pub message_id: Box<str>,
    /// The message has none: [`SendJob::wire_copy`] adds it.
    pub add_message_id: bool,
    /// The message has no date, or one from a bad clock: it gets this one, seconds since 1970.
    pub set_date: Option<u64>,
    /// The address in `Sender` or `From`. A claim: the host must use an address that is the user's.
    pub sender: Option<Box<str>>,
    /// The addresses in `To`, `Cc` and `Bcc`, each once.
    pub recipients: Vec<Box<str>>,
    /// What stands there and is no address.
    pub invalid: Vec<Box<str>>,
    /// Message-ID of the mail it answers.
    pub replies_to: Option<Box<str>>,
    /// Message-ID of the mail it forwards.
    pub forwards: Option<Box<str>>,
    /// When it was queued, seconds since 1970.
    pub queued_at: u64,
    /// What has been done of it.
    #[serde(skip)]
    pub progress: Progress,
    /// The mail that it forwards or answers, where the device named it: that one is marked, whatever others have its
    /// Message-ID.
    #[serde(skip)]
    pub about: Option<About>,
}

/// What has been done of a mail that is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Who it was taken for.
    pub taken: Vec<Box<str>>,
    /// Who it was refused for, with the mail server's own words.
    pub refused: Vec<(Box<str>, Box<str>)>,
    /// How often it was handed over to a mail server that has not answered.
    pub doubts: u8,
}

impl Progress {
    /// Whether nothing is known of this recipient.
    pub fn is_open(&self, recipient: &str) -> bool {
        !self.taken.iter().any(|r| **r == *recipient) && !self.refused.iter().any(|(r, _)| **r == *recipient)
    }
}

/// What the mail servers said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Who it was taken for.
    pub taken: Vec<Box<str>>,
    /// Who it was refused for.
    pub refused: Vec<Refused>,
    /// The connection broke after all of it was sent and before an answer came; in words.
    pub unknown: Option<Box<str>>,
}

/// A recipient that a mail server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The address.
    pub recipient: Box<str>,
    /// The server's own words: `550 5.1.1 no such user`.
    pub words: Box<str>,
}

impl SendJob {
    /// The job for a message that enters the outbox. `domain` is for a Message-ID of ours.
    ///
    /// # Errors
    /// In words, when the message has more than [`RECIPIENTS`] recipients.
    pub fn new(user: &str, guid: &Guid, message: &[u8], domain: &str, now: u64) -> Result<Self, String> {
        let headers = Headers::parse(message);
        let text = |name: &str| headers.first(name).map(|f| f.text()).unwrap_or_default();
        let own = message_id(&text("Message-ID")).map(Into::into);
        let has_date = headers.first("Date").is_some();
        let dated = date(&headers).filter(|at| *at >= CLOCK_FLOOR && *at <= now.saturating_add(CLOCK_AHEAD));
        let mut recipients: Vec<Box<str>> = Vec::new();
        let mut invalid: Vec<Box<str>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for name in ["To", "Cc", "Bcc"] {
            for address in addresses(&headers, name) {
                if !seen.insert(address.to_lowercase()) {
                    continue;
                }
                if seen.len() > RECIPIENTS {
                    return Err(format!("more than {RECIPIENTS} recipients"));
                }
                if is_address(&address) {
                    recipients.push(address)
                } else {
                    invalid.push(printable(&address))
                }
            }
        }
        let sender =
            ["Sender", "From"].into_iter().flat_map(|n| addresses(&headers, n)).find(|a| is_address(a));
        Ok(SendJob {
            user: user.into(),
            guid: guid.clone(),
            add_message_id: own.is_none(),
            message_id: own.unwrap_or_else(|| made_id(user, message, has_date, now, domain)),
            set_date: if dated.is_none() { Some(now) } else { None },
            sender,
            recipients,
            invalid,
            replies_to: message_id(&text("In-Reply-To")).map(Into::into),
            // De facto: what several mail programs write into a forwarded mail.
            forwards: message_id(&text("X-Forwarded-Message-Id")).map(Into::into),
            queued_at: now,
            progress: Progress::default(),
            about: None,
        })
    }

    /// The id of the job in [`QUEUE`].
    pub fn id(user: &str, guid: &Guid) -> Box<str> {
        format!("{user}\n{guid}").into()
    }

    /// The key of [`Read::Once`] and [`Write::Once`]: sent once per user and Message-ID.
    // threats: S12
    pub fn once_key(&self) -> Box<str> {
        format!("send:{}", self.message_id).into()
    }

    /// The writes that queue it for the first time.
    pub fn enqueue(&self) -> Vec<Write> {
        vec![Write::Once(self.user.clone(), self.once_key(), self.guid.clone()), self.enqueue_again()]
    }

    /// The write that queues it again after it failed.
    pub fn enqueue_again(&self) -> Write {
        Write::Enqueue(QUEUE.into(), Self::id(&self.user, &self.guid), self.to_bytes())
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Bytes {
        let begun = self.progress != Progress::default();
        let form = match (&self.about, begun) {
            (Some(_), _) => STORED_ABOUT,
            (None, true) => STORED_BEGUN,
            (None, false) => STORED,
        };
        let mut out = vec![form];
        out.extend(postcard::to_stdvec(self).unwrap_or_default());
        if form != STORED {
            out.extend(postcard::to_stdvec(&self.progress).unwrap_or_default());
        }
        if let Some(about) = &self.about {
            out.extend(postcard::to_stdvec(about).unwrap_or_default());
        }
        out.into()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// In words, for another version or broken octets.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let broken = |e: postcard::Error| format!("send job: {e}");
        match bytes.split_first() {
            Some((&STORED, rest)) => postcard::from_bytes(rest).map_err(broken),
            Some((&form @ (STORED_BEGUN | STORED_ABOUT), rest)) => {
                let (mut job, rest): (SendJob, _) = postcard::take_from_bytes(rest).map_err(broken)?;
                let (progress, rest) = postcard::take_from_bytes(rest).map_err(broken)?;
                job.progress = progress;
                if form == STORED_ABOUT {
                    job.about = Some(postcard::from_bytes(rest).map_err(broken)?);
                }
                Ok(job)
            }
            Some((found, _)) => {
                Err(format!("send job: stored form version {found}, this program knows up to {STORED_ABOUT}"))
            }
            None => Err("send job: no octets".into()),
        }
    }

    /// What is refused before any mail server is asked; none if the rest may be sent.
    pub fn refusal(&self, message: &[u8]) -> Option<Outcome> {
        let everyone = self.recipients.iter().chain(&self.invalid);
        let all = |words: &str| {
            let refused = everyone.clone().map(|r| Refused { recipient: r.clone(), words: words.into() });
            Outcome { refused: refused.collect(), ..Outcome::default() }
        };
        // threats: M1
        if let Some(at) = message.iter().position(|&b| b == 0) {
            let mut outcome = all(&format!("the message holds a NUL octet at {at}, which SMTP cannot carry"));
            if outcome.refused.is_empty() {
                outcome.refused.push(Refused { recipient: "".into(), words: "no recipient".into() });
            }
            return Some(outcome);
        }
        if self.recipients.is_empty() {
            let mut outcome = all("not an address");
            if outcome.refused.is_empty() {
                outcome.refused.push(Refused { recipient: "".into(), words: "no recipient".into() });
            }
            return Some(outcome);
        }
        None
    }

    /// What goes over SMTP (before dot stuffing): CRLF line ends only, `Bcc` and our own fields gone, Message-ID
    /// and date complete.
    // threats: M1
    pub fn wire_copy(&self, message: &[u8]) -> Bytes {
        self.completed(message, |name| {
            name.eq_ignore_ascii_case("Bcc")
                || name.eq_ignore_ascii_case("Resent-Bcc")
                || name.get(..7).is_some_and(|p| p.eq_ignore_ascii_case("X-Sync-"))
        })
    }

    /// What is kept in Sent; none where the message needs no change. `Bcc` stays.
    pub fn sent_copy(&self, message: &[u8]) -> Option<Bytes> {
        (self.add_message_id || self.set_date.is_some()).then(|| self.completed(message, |_| false))
    }

    fn completed(&self, message: &[u8], drop: impl Fn(&str) -> bool) -> Bytes {
        let headers = Headers::parse(message);
        let mut out = Vec::with_capacity(message.len().saturating_add(256));
        if let Some(date) = self.set_date {
            out.extend_from_slice(format!("Date: {}\r\n", time::to_rfc5322(date)).as_bytes());
        }
        if self.add_message_id {
            out.extend_from_slice(format!("Message-ID: <{}>\r\n", self.message_id).as_bytes());
        }
        for field in &headers.fields {
            let replaced = (self.set_date.is_some() && field.name.eq_ignore_ascii_case("Date"))
                || (self.add_message_id && field.name.eq_ignore_ascii_case("Message-ID"));
            if !replaced && !drop(field.name) {
                push_field(&mut out, message.get(field.range.clone()).unwrap_or_default());
            }
        }
        out.extend_from_slice(b"\r\n");
        push_crlf(&mut out, message.get(headers.body..).unwrap_or_default());
        out.into()
    }
}

/// What becomes of the item when the mail servers have answered.
///
/// Taken for anyone: it moves to Sent and the mail it answers or forwards is marked. Refused for all: it stays in
/// the outbox. The item says so in the mail servers' own words, and a bounce in the inbox names every recipient
/// that was refused. The writes include the job's end; commit them together. A stale commit: call it again.
// mission: M1
pub fn settle(
    reader: &mut Reader<'_>,
    job: &SendJob,
    outcome: &Outcome,
    domain: &str,
    now: u64,
) -> Result<Vec<Write>, Missing> {
    let store = StoreKey { user: job.user.clone(), datastore: DATASTORE.into() };
    let mut outcome = outcome.clone();
    let invalid = job.invalid.iter().filter(|i| outcome.refused.iter().all(|r| r.recipient != **i));
    let invalid: Vec<Refused> =
        invalid.map(|i| Refused { recipient: i.clone(), words: "not an address".into() }).collect();
    outcome.refused.extend(invalid);
    let mut writes = vec![Write::Dequeue(QUEUE.into(), SendJob::id(&job.user, &job.guid))];
    let item = read_item(reader, &store, &job.guid);
    let body = reader.read(Read::Body(store.clone(), job.guid.clone()));
    let replied = original(reader, &store, job, Kind::Reply);
    let forwarded = original(reader, &store, job, Kind::Forward);
    let (item, body, replied, forwarded) = (item?, body?, replied?, forwarded?);
    let body = match body {
        Value::Body(Some(body)) => body.clone(),
        _ => Bytes::new(),
    };
    if let Some(item) = item.filter(|item| !item.deleted) {
        writes.push(settled_item(&store, &item, &body, job, &outcome, now));
    }
    if !outcome.taken.is_empty() {
        let mut marks: Vec<(Item, MailFields)> = Vec::new();
        for (item, is_reply) in [(replied, true), (forwarded, false)] {
            let Some(item) = item.filter(|i| !i.deleted && i.guid != job.guid) else { continue };
            let Ok(mut fields) = MailFields::from_fields(&item.value.fields) else { continue };
            if let Some((_, known)) = marks.iter_mut().find(|(i, _)| i.guid == item.guid) {
                known.answered |= is_reply;
                known.forwarded |= !is_reply;
                continue;
            }
            if (is_reply && fields.answered) || (!is_reply && fields.forwarded) {
                continue;
            }
            fields.answered |= is_reply;
            fields.forwarded |= !is_reply;
            fields.modified = Some(now);
            marks.push((item, fields));
        }
        for (item, fields) in marks {
            writes.push(Write::PutItem {
                store: store.clone(),
                value: changed_value(&item, item.value.parent.clone(), &fields),
                expect: Some(item.rev),
                guid: item.guid,
                body: None,
            });
        }
    }
    if !outcome.refused.is_empty() && outcome.unknown.is_none() {
        let bounce = Bounce { job, refused: &outcome.refused, original: &body, domain, now };
        let guid =
            derived_guid("b", &[job.user.as_bytes(), job.guid.as_str().as_bytes(), &now.to_be_bytes()]);
        writes.push(new_mail(&store, guid, Role::Inbox, bounce::write(&bounce), now));
    }
    Ok(writes)
}

/// The write that says in the item how far it is while it waits; none if it says so already.
///
/// In doubt it is [`SendOutcome::Unknown`], else [`SendOutcome::Queued`], with the mail server's own words.
pub fn waiting(reader: &mut Reader<'_>, job: &SendJob, words: &str, now: u64) -> Result<Vec<Write>, Missing> {
    let store = StoreKey { user: job.user.clone(), datastore: DATASTORE.into() };
    let item = read_item(reader, &store, &job.guid)?.filter(|item| !item.deleted);
    let Some(item) = item else { return Ok(Vec::new()) };
    let mut fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
    let outcome = if job.progress.doubts > 0 { SendOutcome::Unknown } else { SendOutcome::Queued };
    let state = Some(SendState { outcome, words: vec![line(&[words])] });
    if fields.send == state {
        return Ok(Vec::new());
    }
    fields.send = state;
    fields.modified = Some(now);
    let value = changed_value(&item, item.value.parent.clone(), &fields);
    Ok(vec![Write::PutItem { store, guid: item.guid, expect: Some(item.rev), value, body: None }])
}

fn settled_item(
    store: &StoreKey,
    item: &Item,
    body: &Bytes,
    job: &SendJob,
    outcome: &Outcome,
    now: u64,
) -> Write {
    let mut fields = MailFields::from_fields(&item.value.fields).unwrap_or_default();
    let mut value = item.value.clone();
    let mut new_body = None;
    let state = if outcome.unknown.is_some() {
        SendOutcome::Unknown
    } else if outcome.taken.is_empty() {
        SendOutcome::Failed
    } else if outcome.refused.is_empty() {
        SendOutcome::Sent
    } else {
        SendOutcome::Partly
    };
    if !outcome.taken.is_empty() {
        let sent = Role::Sent.guid();
        new_body = job.sent_copy(body);
        value.match_keys = match &new_body {
            Some(completed) => completed_keys(Some(&sent), completed, &value.match_keys),
            None => moved_keys(Some(&sent), &value.match_keys),
        };
        value.parent = Some(sent);
        fields.read = true;
        fields.draft = false;
    }
    let words = outcome.refused.iter().map(|r| line(&[&r.recipient, &r.words])).take(100);
    let twice = (job.progress.doubts > 0 && !outcome.taken.is_empty()).then(|| TWICE.into());
    let words = words.chain(outcome.unknown.iter().map(|w| line(&[w]))).chain(twice).collect();
    fields.send = Some(SendState { outcome: state, words });
    fields.modified = Some(now);
    value.fields = fields.to_fields_since(&Since::after(item, value.parent.as_ref(), &fields));
    Write::PutItem {
        store: store.clone(),
        guid: item.guid.clone(),
        expect: Some(item.rev),
        value,
        body: new_body,
    }
}

/// A new mail as an item.
pub(crate) fn new_mail(store: &StoreKey, guid: Guid, role: Role, message: Bytes, now: u64) -> Write {
    let parent = role.guid();
    let fields = MailFields {
        received: Some(now),
        modified: Some(now),
        created: date(&Headers::parse(&message)),
        ..MailFields::default()
    };
    Write::PutItem {
        store: store.clone(),
        guid,
        expect: None,
        value: mail_value(parent, &fields, &message),
        body: Some(message),
    }
}

/// The key of [`Read::Once`] under which a mail that came in is found by its Message-ID.
pub fn index_key(message_id: &str) -> Box<str> {
    format!("mid:{message_id}").into()
}

/// An id made from what makes the item what it is, so that doing it twice makes one item.
pub(crate) fn derived_guid(prefix: &str, parts: &[&[u8]]) -> Guid {
    Guid::unvalidated(format!("{prefix}{}", hex(&crate::sync::collection::match_key(parts).0)))
}

/// The date in the header, seconds since 1970.
pub(crate) fn date(headers: &Headers<'_>) -> Option<u64> {
    let field = headers.first("Date")?;
    let value = field.value.get(..field.value.len().min(200))?;
    let mut raw = b"Date:".to_vec();
    raw.extend_from_slice(value);
    raw.extend_from_slice(b"\r\n\r\n");
    let parser = mail_parser::MessageParser::new().header_date(mail_parser::HeaderName::Date);
    let message = guarded(|| parser.parse_headers(&raw))?;
    let date = message.date().filter(|d| d.is_valid())?;
    u64::try_from(date.to_timestamp()).ok()
}

/// The addresses in every field of this name, as written; not yet checked.
pub(crate) fn addresses(headers: &Headers<'_>, name: &str) -> Vec<Box<str>> {
    let mut out = Vec::new();
    for field in headers.all(name) {
        let mut raw = b"To:".to_vec();
        raw.extend_from_slice(field.value);
        if !raw.ends_with(b"\n") {
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"\r\n");
        let parser = mail_parser::MessageParser::new().header_address(mail_parser::HeaderName::To);
        let Some(message) = guarded(|| parser.parse_headers(&raw)) else { continue };
        let Some(list) = message.to() else { continue };
        for address in list.iter() {
            // Where only a name was found it stands for a bad address.
            let text = address.address().or(address.name()).unwrap_or_default().trim();
            if !text.is_empty() {
                out.push(text.into());
            }
        }
    }
    out
}

/// Whether a text can stand in an SMTP envelope: `local@domain`, printable ASCII, at most 254 octets.
// threats: M2
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'(' | b')' | b',' | b';' | b'\\' | b'"');
    !local.is_empty()
        && local.len() <= 64
        && text.len() <= 254
        && local.bytes().all(|b| plain(b) && b != b'@' && b != b':')
        && !domain.is_empty()
        && domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'[' | b']' | b':'))
}

/// Text that may stand in a header or a log line: no controls, at most 200 characters.
pub(crate) fn printable(text: &str) -> Box<str> {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>().into()
}

/// The item of an id.
pub(crate) fn read_item(
    reader: &mut Reader<'_>,
    store: &StoreKey,
    guid: &Guid,
) -> Result<Option<Item>, Missing> {
    match reader.read(Read::Item(store.clone(), guid.clone()))? {
        Value::Item(item) => Ok(item.clone()),
        _ => Ok(None),
    }
}

/// What happened under a key that allows it once.
pub(crate) fn read_once(reader: &mut Reader<'_>, user: &str, key: &str) -> Result<Option<Guid>, Missing> {
    match reader.read(Read::Once(user.into(), key.into()))? {
        Value::Once(guid) => Ok(guid.clone()),
        _ => Ok(None),
    }
}

/// The mail that is answered or forwarded: the one that was named, else the first that has the Message-ID.
fn original(
    reader: &mut Reader<'_>,
    store: &StoreKey,
    job: &SendJob,
    kind: Kind,
) -> Result<Option<Item>, Missing> {
    if let Some(about) = &job.about {
        return if about.kind == kind { read_item(reader, store, &about.guid) } else { Ok(None) };
    }
    let id = if kind == Kind::Reply { &job.replies_to } else { &job.forwards };
    let Some(id) = id else { return Ok(None) };
    match read_once(reader, &store.user, &index_key(id))? {
        Some(guid) => read_item(reader, store, &guid),
        None => Ok(None),
    }
}

/// A Message-ID for a message without one: the same for the same content. A message without a date as well may be
/// meant anew another day.
fn made_id(user: &str, message: &[u8], has_date: bool, now: u64, domain: &str) -> Box<str> {
    let mut hash = sha2::Sha256::new();
    hash.update((user.len() as u64).to_be_bytes());
    hash.update(user.as_bytes());
    if !has_date {
        hash.update((now / 86_400).to_be_bytes());
    }
    hash.update(message);
    let digest = hash.finalize();
    let domain = if is_address(&format!("x@{domain}")) { domain } else { "mailsync.invalid" };
    format!("{}@{domain}", hex(digest.get(..16).unwrap_or_default())).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn line(parts: &[&str]) -> Box<str> {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
    parts
        .join(": ")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(600)
        .collect::<String>()
        .into()
}

/// Appends a header field with CRLF line ends. A bare CR becomes a blank: it must not start a new field.
pub(super) fn push_field(out: &mut Vec<u8>, field: &[u8]) {
    let field = field.strip_suffix(b"\n").unwrap_or(field);
    for line in field.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        out.extend(line.iter().map(|&b| if b == b'\r' { b' ' } else { b }));
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends text with every line end, bare ones too, as CRLF.
fn push_crlf(out: &mut Vec<u8>, text: &[u8]) {
    let mut bytes = text.iter().peekable();
    while let Some(&b) = bytes.next() {
        match b {
            b'\r' => {
                if bytes.peek() == Some(&&b'\n') {
                    bytes.next();
                }
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            _ => out.push(b),
        }
    }
}
