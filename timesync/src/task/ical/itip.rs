//! A task between people: iTIP over iCalendar.
//!
//! `REQUEST` sets or changes a task for somebody, `CANCEL` takes it back, `REPLY` says what became of it. People are named
//! by `x-mailsync:NAME`, in mail by their addresses; who may do what is never read from the text, only from whom the text came.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::read::read_entry;
use super::refusal::IcalRefusal;
use super::write::{stamp, write_within};
use crate::instant::UnixTime;
use crate::task::model::{Setter, Task, UserId};

/// Begins the address of a person.
const SCHEME: &str = "x-mailsync:";

/// What is done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Method {
    /// Set or changed.
    Request,
    /// Taken back.
    Cancel,
    /// Answered.
    Reply,
}

impl Method {
    /// `REQUEST`, `CANCEL`, `REPLY`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Request => "REQUEST",
            Method::Cancel => "CANCEL",
            Method::Reply => "REPLY",
        }
    }
}

/// What became of a task that was set for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Answer {
    /// It waits for its moment.
    Accepted,
    /// It was refused, or lost its right; why.
    Declined(String),
    /// It was shown.
    Completed,
}

impl Answer {
    // spec: RFC 5545 §3.2.12, §3.8.8.3; RFC 5546 §3.6
    fn partstat(&self) -> &'static str {
        match self {
            Answer::Accepted => "ACCEPTED",
            Answer::Declined(_) => "DECLINED",
            Answer::Completed => "COMPLETED",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Accepted => f.write_str("waits"),
            Answer::Declined(why) => write!(f, "refused: {why}"),
            Answer::Completed => f.write_str("shown"),
        }
    }
}

/// A message between people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Itip {
    /// What is done.
    pub method: Method,
    /// For whom.
    pub owner: UserId,
    /// The task, set by whom the caller named.
    pub task: Task,
    /// The answer in a reply.
    pub answer: Option<Answer>,
}

/// How the two people of a task are called in a message between them: URIs of calendar addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    setter: String,
    owner: String,
}

impl Between {
    /// By their names at the server.
    #[must_use]
    pub fn names(task: &Task) -> Self {
        let named = |user: &UserId| format!("{SCHEME}{}", address(user.as_str()));
        Between { setter: named(&task.setter.user), owner: named(&task.owner) }
    }

    /// By their mail addresses, so that any calendar program knows them. What cannot stand in an address is escaped.
    // spec: RFC 6047 §2.3: CAL-ADDRESS is a mailto URI
    #[must_use]
    pub fn mails(setter: &str, owner: &str) -> Self {
        Between { setter: format!("mailto:{}", address(setter)), owner: format!("mailto:{}", address(owner)) }
    }
}

/// Writes a request, a cancellation, or a reply.
///
/// # Spec
/// RFC 5546 §3.2, §3.4
#[must_use]
pub fn write(task: &Task, method: Method, answer: Option<&Answer>, now: UnixTime) -> String {
    write_between(task, method, answer, now, &Between::names(task))
}

/// As [`write()`], with these addresses.
#[must_use]
pub fn write_between(
    task: &Task,
    method: Method,
    answer: Option<&Answer>,
    now: UnixTime,
    between: &Between,
) -> String {
    let calendar = [format!("METHOD:{}", method.name())];
    let mut entry: Vec<String> = Vec::new();
    entry.push(format!("DTSTAMP:{}", stamp(now)));
    entry.push(format!("ORGANIZER:{}", between.setter));
    let partstat = answer.map_or("NEEDS-ACTION", Answer::partstat);
    entry.push(format!("ATTENDEE;PARTSTAT={partstat}:{}", between.owner));
    match answer {
        // spec: RFC 5546 §3.6.14: 3.8, no authority
        Some(Answer::Declined(why)) => {
            entry.push(format!("REQUEST-STATUS:3.8;{}", super::line::escape(why)));
        }
        Some(_) => entry.push("REQUEST-STATUS:2.0;Success".into()),
        None => {}
    }
    if method == Method::Cancel {
        entry.push("STATUS:CANCELLED".into());
    }
    write_within(task, &calendar, &entry)
}

/// Reads a message that `setter` sent; without a method it is a request.
///
/// # Errors
/// [`IcalRefusal`].
pub fn read(text: &str, setter: &Setter) -> Result<Itip, IcalRefusal> {
    let entry = read_entry(text, &setter.user, setter)?;
    let method = match entry.method.as_deref() {
        None | Some("REQUEST" | "PUBLISH" | "ADD") => Method::Request,
        Some("CANCEL") => Method::Cancel,
        Some("REPLY") => Method::Reply,
        Some(_) => return Err(IcalRefusal::NoTask),
    };
    let owner = entry.claims_owner.clone().or(entry.attendee.clone()).ok_or(IcalRefusal::NoOwner)?;
    let mut task = entry.task;
    task.owner = owner.clone();
    Ok(Itip { method, owner, task, answer: entry.answer })
}

/// The name in an address of ours.
pub(super) fn name_of(address: &str) -> Option<UserId> {
    let (scheme, rest) = address.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let mut octets = Vec::with_capacity(rest.len());
    let mut bytes = rest.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            octets.push(b);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        octets.push(u8::try_from((high << 4) | low).ok()?);
    }
    UserId::new(&String::from_utf8(octets).ok()?).ok()
}

/// A name as a part of an address.
fn address(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'@') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The answer of a reply, from the status of who was asked and the words beside it.
pub(super) fn answer_of(partstat: &str, words: &str) -> Option<Answer> {
    match partstat {
        "ACCEPTED" => Some(Answer::Accepted),
        "DECLINED" => Some(Answer::Declined(words.into())),
        "COMPLETED" => Some(Answer::Completed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::model::{ClientId, TaskUid, TaskWhen};

    #[test]
    fn requests_and_replies_there_and_back() {
        let setter =
            Setter { user: UserId::new("an;a: ü").unwrap(), client: ClientId::new("phone").unwrap() };
        let when = TaskWhen::Instant(UnixTime::from_secs(1_795_334_400));
        let mut task = Task::alarm(TaskUid::new("u1").unwrap(), setter.clone(), "Call", when);
        task.owner = UserId::new("ben").unwrap();
        let now = UnixTime::from_secs(1_795_330_000);
        for (method, answer) in [
            (Method::Request, None),
            (Method::Cancel, None),
            (Method::Reply, Some(Answer::Accepted)),
            (Method::Reply, Some(Answer::Declined("sender is; in none".into()))),
            (Method::Reply, Some(Answer::Completed)),
        ] {
            let text = write(&task, method, answer.as_ref(), now);
            let itip = read(&text, &setter).unwrap();
            assert_eq!((itip.method, &itip.owner, &itip.task), (method, &task.owner, &task), "{text}");
            assert_eq!(itip.answer, answer, "{text}");
        }
        let mails = Between::mails("ana@example.org", "ben;x@example.org");
        let text = write_between(&task, Method::Reply, Some(&Answer::Accepted), now, &mails);
        assert!(text.contains("ORGANIZER:mailto:ana@example.org\r\n"), "{text}");
        assert!(text.contains("ATTENDEE;PARTSTAT=ACCEPTED:mailto:ben%3Bx@example.org\r\n"), "{text}");
        let itip = read(&text, &setter).unwrap();
        assert_eq!((&itip.owner, &itip.task, itip.answer), (&task.owner, &task, Some(Answer::Accepted)));
        let foreign = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VTODO\nUID:x\nDUE:20261122T200000Z\n\
            ATTENDEE:X-mailsync:be%6e\nEND:VTODO\nEND:VCALENDAR\n";
        assert_eq!(read(foreign, &setter).unwrap().owner.as_str(), "ben");
        for (bad, why) in [("COUNTER", IcalRefusal::NoTask), ("REQUEST", IcalRefusal::NoOwner)] {
            let text = foreign.replace("REQUEST", bad).replace("X-mailsync:be%6e", "mailto:ben@example.org");
            assert_eq!(read(&text, &setter), Err(why), "{bad}");
        }
    }
}
