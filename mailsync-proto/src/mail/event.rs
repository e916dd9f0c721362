//! The event object: what happened to mail, as a notice tells it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::keep;
use super::error::{ObjectError, ObjectErrorKind};
use super::news::{Known, MailNews};
use super::xml::{self, Pull};
use bytes::Bytes;

/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.event+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";
/// Groups of a notice, at most.
const GROUPS: usize = 128;
/// Mails that one group names, at most.
const NAMED: usize = 64;
/// Mails that we name one by one, and groups that we hold apart. [our choice]
const SHOWN: usize = 8;
const APART: usize = 32;

/// What happened, for one device.
///
/// # Shape
/// `<Event>` with `Version, Happened+`; `Happened` holds `Kind` (`arrived`, `changed`, `deleted`, `hint`, `report`),
/// `Folder?` (its path, parts joined by `/`; none: several folders), `Count`, and then, when they are named one by one,
/// `Luid*` and `Temp*`: the device's own id of a mail that it holds, or the id under which one that it lacks will be offered
/// to it. A `hint` says that mail went to other devices (`To*`, their ids), and asks for nothing; a `report` asks what the
/// device senses, by a sync of `./devices`. A kind that is not known and elements that are not known survive.
/// # Errors
/// As [`Email`](super::Email); `Unsupported` for a later major version.
///
/// ```
/// use mailsync_proto::mail::event::{Happened, Kind, MailEvent};
/// let event = MailEvent::new(vec![Happened::named(Kind::Arrived, "Inbox", &[], &["g1"])]);
/// assert_eq!(MailEvent::parse(&event.to_xml()).unwrap(), event);
/// ```
// mission: M4e
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailEvent {
    /// What happened, by kind and folder.
    pub happened: Vec<Happened>,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

/// What happened of one kind in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Happened {
    /// What.
    pub kind: Kind,
    /// Where; empty: in several folders.
    pub folder: Box<str>,
    /// To how many mails.
    pub count: u64,
    /// Those that the device holds, by its ids of them; empty when they are too many to name.
    pub luids: Vec<Box<str>>,
    /// Those that it lacks, by the ids under which they will be offered.
    pub temps: Vec<Box<str>>,
    /// The devices that got them, of a hint.
    pub to: Vec<Box<str>>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A mail arrived.
    Arrived,
    /// Its state or its folder is another.
    Changed,
    /// It was deleted.
    Deleted,
    /// It arrived, and another device got it.
    Hint,
    /// Nothing: the server asks what the device senses.
    Report,
    /// Something that a later version knows.
    Other(Box<str>),
}

impl Kind {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Kind::Arrived => "arrived",
            Kind::Changed => "changed",
            Kind::Deleted => "deleted",
            Kind::Hint => "hint",
            Kind::Report => "report",
            Kind::Other(word) => word,
        }
    }

    fn parse(word: &str) -> Self {
        [Kind::Arrived, Kind::Changed, Kind::Deleted, Kind::Hint, Kind::Report]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .unwrap_or_else(|| Kind::Other(word.into()))
    }
}

impl Happened {
    /// Mails that are named.
    pub fn named(kind: Kind, folder: &str, luids: &[&str], temps: &[&str]) -> Self {
        let count = luids.len().saturating_add(temps.len()) as u64;
        let own = |ids: &[&str]| ids.iter().map(|id| (*id).into()).collect();
        Happened { kind, folder: folder.into(), count, luids: own(luids), temps: own(temps), to: Vec::new() }
    }

    /// Mails that are counted.
    pub fn counted(kind: Kind, folder: &str, count: u64) -> Self {
        Happened { kind, folder: folder.into(), count, luids: Vec::new(), temps: Vec::new(), to: Vec::new() }
    }

    /// Mails that other devices got.
    // mission: P3
    pub fn hint(folder: &str, count: u64, to: &[&str]) -> Self {
        let to = to.iter().map(|id| (*id).into()).collect();
        Happened { to, ..Happened::counted(Kind::Hint, folder, count) }
    }
}

/// In words, for a person; what a peer said is escaped.
impl core::fmt::Display for Happened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let place = if self.folder.is_empty() { "several folders" } else { &self.folder };
        if self.kind == Kind::Report {
            return f.write_str("the server asks for a report");
        }
        write!(f, "{}: {} in {}", self.kind.as_str().escape_debug(), self.count, place.escape_debug())?;
        for (id, word) in self.to.iter().zip([" went to "].into_iter().chain(core::iter::repeat(", "))) {
            write!(f, "{word}{}", id.escape_debug())?;
        }
        Ok(())
    }
}

impl MailEvent {
    /// A notice of these.
    pub fn new(happened: Vec<Happened>) -> Self {
        MailEvent { happened, unknown: Vec::new() }
    }

    /// The question what the device senses.
    // mission: P2
    pub fn report() -> Self {
        MailEvent::new(vec![Happened::counted(Kind::Report, "", 0)])
    }

    /// Whether it only says where mail went: then it asks for no session.
    pub fn is_hint(&self) -> bool {
        !self.happened.is_empty() && self.happened.iter().all(|one| one.kind == Kind::Hint)
    }

    /// Whether it only asks for a report.
    pub fn is_report(&self) -> bool {
        !self.happened.is_empty() && self.happened.iter().all(|one| one.kind == Kind::Report)
    }

    /// One notice of all of this: what is of one kind and folder together, by id or, when that is too much, as a count.
    /// `max_id`: octets of the longest id that the device takes; what has a longer one will be offered under another.
    // threat: N2 (a mail flood gives one coalesced notice)
    pub fn fold<'a>(news: impl IntoIterator<Item = &'a MailNews>, max_id: Option<usize>) -> Self {
        let mut happened: Vec<Happened> = Vec::new();
        for one in news {
            let full = happened.len() >= APART;
            let same = |group: &Happened, folder: &str| group.kind == one.kind && *group.folder == *folder;
            let at = happened.iter().position(|group| same(group, &one.folder));
            let at = at.or_else(|| full.then(|| happened.iter().position(|group| same(group, ""))).flatten());
            let group = match at.and_then(|at| happened.get_mut(at)) {
                Some(group) => group,
                None => {
                    let folder = if full { "" } else { &one.folder };
                    happened.push(Happened::counted(one.kind.clone(), folder, 0));
                    let Some(group) = happened.last_mut() else { continue };
                    group
                }
            };
            group.count = group.count.saturating_add(1);
            match &one.id {
                Known::Luid(luid) if group.luids.len() < SHOWN => group.luids.push(luid.as_str().into()),
                Known::Temp(temp)
                    if group.temps.len() < SHOWN && max_id.is_none_or(|max| temp.len() <= max) =>
                {
                    group.temps.push(temp.as_str().into());
                }
                _ => {}
            }
        }
        for group in &mut happened {
            let named = group.luids.len().saturating_add(group.temps.len()) as u64;
            if named < group.count {
                (group.luids, group.temps) = (Vec::new(), Vec::new());
            }
        }
        MailEvent::new(happened)
    }

    /// With where other mails went, which are only hinted at: of each, its folder and the devices that got it.
    // mission: P3
    #[must_use]
    pub fn with_hints<'a>(mut self, hints: impl IntoIterator<Item = (&'a str, Vec<Box<str>>)>) -> Self {
        for (folder, to) in hints {
            let like = |one: &Happened| one.kind == Kind::Hint && *one.folder == *folder && one.to == to;
            if !self.happened.iter().any(like) && self.happened.len() < GROUPS {
                self.happened.push(Happened { to: to.clone(), ..Happened::counted(Kind::Hint, folder, 0) });
            }
            let like = |one: &&mut Happened| one.kind == Kind::Hint && *one.folder == *folder && one.to == to;
            if let Some(one) = self.happened.iter_mut().find(like) {
                one.count = one.count.saturating_add(1);
            }
        }
        self
    }

    /// The same with counts where ids would be: what a small bearer carries.
    #[must_use]
    pub fn without_ids(&self) -> Self {
        let bare = |one: &Happened| Happened {
            to: one.to.clone(),
            ..Happened::counted(one.kind.clone(), &one.folder, one.count)
        };
        MailEvent::new(self.happened.iter().map(bare).collect())
    }

    /// Reads the object.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Event")?;
        let mut event = MailEvent::default();
        let mut kept = 0usize;
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "Version" => pull.version(VERSION, "an event")?,
                "Happened" if event.happened.len() < GROUPS => {
                    let one = happened(&mut pull)?;
                    event.happened.push(one);
                }
                "Happened" => {
                    return Err(pull.error(ObjectErrorKind::Limit {
                        what: "groups of an event",
                        value: GROUPS.saturating_add(1),
                        limit: GROUPS,
                    }));
                }
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    event.unknown.push(raw);
                }
            }
        }
        pull.finish()?;
        Ok(event)
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Event>".to_vec();
        xml::element(&mut out, "Version", VERSION);
        for one in &self.happened {
            out.extend_from_slice(b"<Happened>");
            xml::element(&mut out, "Kind", one.kind.as_str());
            if !one.folder.is_empty() {
                xml::element(&mut out, "Folder", &one.folder);
            }
            xml::element(&mut out, "Count", &one.count.to_string());
            one.luids.iter().for_each(|luid| xml::element(&mut out, "Luid", luid));
            one.temps.iter().for_each(|temp| xml::element(&mut out, "Temp", temp));
            one.to.iter().for_each(|id| xml::element(&mut out, "To", id));
            out.extend_from_slice(b"</Happened>");
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        out.extend_from_slice(b"</Event>");
        out.into()
    }
}

fn happened(pull: &mut Pull<'_>) -> Result<Happened, ObjectError> {
    let mut one = Happened::counted(Kind::Other("".into()), "", 0);
    while let Some(child) = pull.child()? {
        match child.name.as_str() {
            "Kind" => one.kind = Kind::parse(&pull.word()?),
            "Folder" => one.folder = pull.word()?,
            "Count" => {
                let word = pull.word()?;
                one.count = word.parse().map_err(|_| pull.malformed("a Count that is no number"))?;
            }
            "Luid" | "Temp" if one.luids.len().saturating_add(one.temps.len()) >= NAMED => {
                return Err(pull.error(ObjectErrorKind::Limit {
                    what: "ids of an event",
                    value: NAMED.saturating_add(1),
                    limit: NAMED,
                }));
            }
            "Luid" => one.luids.push(pull.word()?),
            "Temp" => one.temps.push(pull.word()?),
            "To" if one.to.len() >= NAMED => {
                let (what, limit) = ("devices of a hint", NAMED);
                return Err(pull.error(ObjectErrorKind::Limit {
                    what,
                    value: NAMED.saturating_add(1),
                    limit,
                }));
            }
            "To" => one.to.push(pull.word()?),
            _ => {
                pull.survivor(&child)?;
            }
        }
    }
    let named = one.luids.len().saturating_add(one.temps.len()) as u64;
    one.count = one.count.max(named);
    if one.kind.as_str().is_empty() {
        return Err(pull.malformed("no Kind"));
    }
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: M4e
    #[test]
    fn golden_event_1_0_and_unknown_survives() {
        let text = include_bytes!("../../tests/golden/event.xml");
        let event = MailEvent::parse(&Bytes::from_static(text)).unwrap();
        let [arrived, changed, deleted, later] = &event.happened[..] else { panic!("{event:?}") };
        assert_eq!((&*arrived.folder, arrived.count, &arrived.temps[..]), ("Inbox", 1, &["b3kq".into()][..]));
        assert_eq!((&*changed.folder, changed.luids.len()), ("Projects/2026", 2));
        assert_eq!((deleted.kind.clone(), &*deleted.folder, deleted.count), (Kind::Deleted, "", 40));
        assert_eq!(later.kind, Kind::Other("archived".into()));
        assert_eq!(&*event.unknown[0], "<Later a=\"1\"/>");
        assert_eq!(event.to_xml().trim_ascii_end(), text.trim_ascii_end());
        assert!(event.without_ids().happened.iter().all(|one| one.luids.is_empty() && one.count > 0));
    }

    // mission: P3
    #[test]
    fn a_hint_says_where_mail_went_and_asks_for_nothing() {
        let to: Vec<Box<str>> = vec!["laptop".into()];
        let event = MailEvent::default().with_hints([("Inbox", to.clone()), ("Inbox", to.clone())]);
        assert_eq!(event.happened, [Happened::hint("Inbox", 2, &["laptop"])]);
        assert!(event.is_hint() && !event.is_report());
        assert_eq!(MailEvent::parse(&event.to_xml()).unwrap(), event);
        assert_eq!(event.without_ids(), event);
        assert_eq!(event.happened[0].to_string(), "hint: 2 in Inbox went to laptop");
        let both =
            MailEvent::new(vec![Happened::counted(Kind::Arrived, "Inbox", 1)]).with_hints([("Inbox", to)]);
        assert!(!both.is_hint() && !MailEvent::default().is_hint());
        let asked = MailEvent::parse(&MailEvent::report().to_xml()).unwrap();
        assert!(asked.is_report() && !asked.is_hint());
        let many = format!("<Kind>hint</Kind>{}", "<To>d</To>".repeat(NAMED + 1));
        let error = MailEvent::parse(&Bytes::from(format!("<Event><Happened>{many}</Happened></Event>")));
        assert!(error.unwrap_err().to_string().contains("devices of a hint"));
    }

    #[test]
    fn threat_l6_broken_events_are_refused() {
        let many = "<Happened><Kind>arrived</Kind></Happened>".repeat(GROUPS + 1);
        let ids = format!("<Happened><Kind>deleted</Kind>{}</Happened>", "<Luid>1</Luid>".repeat(NAMED + 1));
        for (inner, what) in [
            ("<Version>2.0</Version>", "version 2.0"),
            ("<Happened><Count>1</Count></Happened>", "no Kind"),
            ("<Happened><Kind>arrived</Kind><Count>-1</Count></Happened>", "no number"),
            (&many, "groups"),
            (&ids, "ids of an event"),
        ] {
            let error = MailEvent::parse(&Bytes::from(format!("<Event>{inner}</Event>"))).unwrap_err();
            assert!(error.to_string().contains(what), "{inner}: {error}");
        }
        assert!(MailEvent::parse(&Bytes::from_static(b"<Events/>")).is_err());
    }
}
