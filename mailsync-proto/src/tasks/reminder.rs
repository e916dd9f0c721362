//! `./reminders`: the tasks of a person as the server's engine knows them, what it says of them, and what terminals answer.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::guid_of;
use crate::mail::xml::{self, Pull};
use crate::mail::{ObjectError, ObjectErrorKind};
use crate::plain::text_key;
use crate::sync::StoreConfig;
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described,
};
use crate::sync::store::{Item, ItemValue, Write};
use bytes::Bytes;
use idmap::Guid;
use std::sync::Arc;
use syncml::{CtType, DataStore, StatusCode, Version};
use timesync::UnixTime;
use timesync::task::{Ack, AckKind, ClientId, Occurrence, TaskUid, UserId};

/// The datastore's name.
pub const DATASTORE: &str = "reminders";
/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.reminder+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";

/// One object of the datastore.
///
/// # Shape
/// `<Reminder>` with `Version, Kind, UID` and, by `Kind`:
/// - `copy`: `Calendar`, the task as iCalendar. It sleeps on the terminal until the server says a word, or stays silent.
/// - `word`: `Sequence, At`, and either `Client, Epoch, Until` (that client shows it) or `Over` (it was shown, or is off).
/// - `feedback`: `Sequence, At, Client, Epoch, Shown, Snoozed?`: a terminal showed it.
///
/// Moments are nanoseconds since 1970, true time. Unknown elements are passed over: nobody writes these objects anew.
/// # Errors
/// Malformed, over a limit, or `Unsupported` for a later major version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reminder {
    /// A sleeping copy.
    Copy {
        /// Which task.
        uid: TaskUid,
        /// The task, as iCalendar.
        calendar: String,
    },
    /// What the server says of one moment.
    Word {
        /// Which moment.
        occurrence: Occurrence,
        /// Who shows it; none: it is over.
        holder: Option<Lease>,
    },
    /// What a terminal did.
    Feedback(Ack),
}

/// Who shows a task, until when the server waits to hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which client.
    pub client: ClientId,
    /// Which lease of this moment it is.
    pub epoch: u32,
    /// Until when.
    pub until: UnixTime,
}

#[derive(Default)]
struct Fields {
    kind: Box<str>,
    uid: Box<str>,
    calendar: Option<String>,
    sequence: u32,
    at: Option<UnixTime>,
    client: Option<Box<str>>,
    epoch: u32,
    until: Option<UnixTime>,
    over: bool,
    shown: Option<UnixTime>,
    snoozed: Option<UnixTime>,
}

impl Reminder {
    /// Reads an object of `owner`'s.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(data: &Bytes, owner: &UserId) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Reminder")?;
        let mut fields = Fields::default();
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "Version" => pull.version(VERSION, "a reminder")?,
                "Kind" => fields.kind = pull.word()?,
                "UID" => fields.uid = pull.word()?,
                "Calendar" => {
                    fields.calendar = Some(String::from_utf8_lossy(&pull.text()?).into_owned());
                }
                "Sequence" => fields.sequence = number(&mut pull)?,
                "At" => fields.at = Some(moment(&mut pull)?),
                "Client" => fields.client = Some(pull.word()?),
                "Epoch" => fields.epoch = number(&mut pull)?,
                "Until" => fields.until = Some(moment(&mut pull)?),
                "Over" => fields.over = pull.word()?.eq_ignore_ascii_case("true"),
                "Shown" => fields.shown = Some(moment(&mut pull)?),
                "Snoozed" => fields.snoozed = Some(moment(&mut pull)?),
                _ => {
                    pull.survivor(&child)?;
                }
            }
        }
        let lacks = pull.malformed("a reminder without all that its kind needs");
        pull.finish()?;
        fields.whole(owner).ok_or(lacks)
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Reminder>".to_vec();
        xml::element(&mut out, "Version", VERSION);
        let kind = match self {
            Reminder::Copy { .. } => "copy",
            Reminder::Word { .. } => "word",
            Reminder::Feedback(_) => "feedback",
        };
        xml::element(&mut out, "Kind", kind);
        xml::element(&mut out, "UID", self.uid().as_str());
        match self {
            Reminder::Copy { calendar, .. } => xml::element(&mut out, "Calendar", calendar),
            Reminder::Word { occurrence, holder } => {
                moment_of(&mut out, occurrence);
                match holder {
                    Some(lease) => {
                        xml::element(&mut out, "Client", lease.client.as_str());
                        xml::element(&mut out, "Epoch", &lease.epoch.to_string());
                        xml::element(&mut out, "Until", &lease.until.as_nanos().to_string());
                    }
                    None => xml::element(&mut out, "Over", "true"),
                }
            }
            Reminder::Feedback(ack) => {
                moment_of(&mut out, &ack.occurrence);
                xml::element(&mut out, "Client", ack.by.as_str());
                xml::element(&mut out, "Epoch", &ack.epoch.to_string());
                xml::element(&mut out, "Shown", &ack.at.as_nanos().to_string());
                if let AckKind::Snoozed(until) = ack.kind {
                    xml::element(&mut out, "Snoozed", &until.as_nanos().to_string());
                }
            }
        }
        out.extend_from_slice(b"</Reminder>");
        out.into()
    }

    /// Which task it is about.
    pub fn uid(&self) -> &TaskUid {
        match self {
            Reminder::Copy { uid, .. } => uid,
            Reminder::Word { occurrence, .. } => &occurrence.uid,
            Reminder::Feedback(ack) => &ack.occurrence.uid,
        }
    }

    /// Its id: one copy and one word a task, one feedback for what a terminal did.
    pub fn guid(&self) -> Guid {
        match self {
            Reminder::Copy { uid, .. } => copy_guid(uid),
            Reminder::Word { occurrence, .. } => word_guid(&occurrence.uid),
            Reminder::Feedback(_) => guid_of("feedback", &String::from_utf8_lossy(&self.to_xml())),
        }
    }

    /// It as an item.
    pub fn value(&self, body: &[u8]) -> ItemValue {
        let kind = MEDIA_TYPE.into();
        ItemValue { rank: 1, kind, match_keys: vec![text_key(body)], ..ItemValue::default() }
    }
}

/// The id of a task's copy.
pub fn copy_guid(uid: &TaskUid) -> Guid {
    guid_of("copy", uid.as_str())
}

/// The id of what is said of a task.
pub fn word_guid(uid: &TaskUid) -> Guid {
    guid_of("word", uid.as_str())
}

impl Fields {
    fn whole(self, owner: &UserId) -> Option<Reminder> {
        let uid = TaskUid::new(&self.uid).ok()?;
        if &*self.kind == "copy" {
            return Some(Reminder::Copy { uid, calendar: self.calendar? });
        }
        let occurrence = Occurrence { owner: owner.clone(), uid, sequence: self.sequence, at: self.at? };
        let client = self.client.map(|name| ClientId::new(&name).ok());
        match &*self.kind {
            "word" if self.over => Some(Reminder::Word { occurrence, holder: None }),
            "word" => {
                let lease = Lease { client: client??, epoch: self.epoch, until: self.until? };
                Some(Reminder::Word { occurrence, holder: Some(lease) })
            }
            "feedback" => {
                let kind = self.snoozed.map_or(AckKind::Executed, AckKind::Snoozed);
                let (by, epoch, at) = (client??, self.epoch, self.shown?);
                Some(Reminder::Feedback(Ack { occurrence, by, epoch, at, kind }))
            }
            _ => None,
        }
    }
}

fn moment_of(out: &mut Vec<u8>, occurrence: &Occurrence) {
    xml::element(out, "Sequence", &occurrence.sequence.to_string());
    xml::element(out, "At", &occurrence.at.as_nanos().to_string());
}

fn number(pull: &mut Pull<'_>) -> Result<u32, ObjectError> {
    let word = pull.word()?;
    word.parse().map_err(|_| pull.malformed("not a number"))
}

/// Within what an engine reckons with: 1970 to 2262.
fn moment(pull: &mut Pull<'_>) -> Result<UnixTime, ObjectError> {
    let word = pull.word()?;
    let nanos: i64 = word.parse().map_err(|_| pull.malformed("not a moment"))?;
    if nanos < 0 {
        return Err(pull.error(ObjectErrorKind::Malformed("a moment before 1970".into())));
    }
    Ok(UnixTime::from_nanos(nanos.into()))
}

/// `./reminders`: written by the server, but for the feedback of terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReminderCollection;

impl ReminderCollection {
    /// The datastore.
    pub fn store() -> StoreConfig {
        StoreConfig::new(DATASTORE, Arc::new(ReminderCollection))
    }
}

impl Collection for ReminderCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        described(source_ref, "Reminders", &[CtType::new(MEDIA_TYPE, VERSION)])
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let body = body.ok_or_else(|| Refusal { reason: "its object is not here".into() })?;
        let nobody = UserId::new("-").map_err(|error| Refusal { reason: error.to_string() })?;
        match (Reminder::parse(body, &nobody), projection.device) {
            (Ok(Reminder::Copy { calendar, .. }), Some(device))
                if !super::is_for(calendar.as_bytes(), device) =>
            {
                Err(Refusal { reason: "it is for other devices".into() })
            }
            (Ok(Reminder::Feedback(_)), Some(_)) => Err(Refusal { reason: "it is for the server".into() }),
            _ => Ok(Wire { media_type: MEDIA_TYPE.into(), data: body.clone() }),
        }
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no reminder".into()));
        }
        let owner = UserId::new(if incoming.server { cx.user } else { "-" })
            .map_err(|error| Stop::Refuse(StatusCode::BAD_REQUEST, error.to_string()))?;
        let reminder = Reminder::parse(incoming.data, &owner)?;
        let mut absorbed = Absorbed::new(reminder.value(incoming.data));
        absorbed.body = Some(incoming.data.clone());
        if !incoming.server {
            return Ok(absorbed);
        }
        match &reminder {
            Reminder::Feedback(ack) if incoming.existing.is_none() => {
                // threat: T1
                if ack.by.as_str() != cx.device {
                    let words = "feedback in another terminal's name".to_owned();
                    return Err(Stop::Refuse(StatusCode::FORBIDDEN, words));
                }
            }
            // A slow sync names again what the server gave: it is told how that stands.
            Reminder::Copy { .. } | Reminder::Word { .. } if incoming.existing.is_none() => {
                absorbed.same_as = Some(reminder.guid());
                absorbed.unless_matched = Some((StatusCode::NOT_ALLOWED, "only the server says that".into()));
            }
            _ => return Err(Stop::Refuse(StatusCode::NOT_ALLOWED, "only the server changes that".into())),
        }
        Ok(absorbed)
    }

    fn removed(&self, _cx: &mut Context<'_, '_>, _item: &Item, server: bool) -> Result<Vec<Write>, Stop> {
        if server {
            let words = "it goes with its task in ./tasks or ./calendar".to_owned();
            return Err(Stop::Refuse(StatusCode::NOT_ALLOWED, words));
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence() -> Occurrence {
        Occurrence {
            owner: UserId::new("ana").unwrap(),
            uid: TaskUid::new("u<1>&").unwrap(),
            sequence: 3,
            at: UnixTime::from_secs(1_795_334_400),
        }
    }

    #[test]
    fn golden_reminders_1_0_there_and_back() {
        let phone = ClientId::new("IMEI:490154203237518").unwrap();
        let at = UnixTime::from_nanos(1_795_334_401_000_000_001);
        let lease = Lease { client: phone.clone(), epoch: 2, until: at };
        let ack = |kind| Ack { occurrence: occurrence(), by: phone.clone(), epoch: 2, at, kind };
        let all = [
            Reminder::Copy { uid: occurrence().uid, calendar: "BEGIN:VCALENDAR\r\nX:<&>\r\n".into() },
            Reminder::Word { occurrence: occurrence(), holder: Some(lease) },
            Reminder::Word { occurrence: occurrence(), holder: None },
            Reminder::Feedback(ack(AckKind::Executed)),
            Reminder::Feedback(ack(AckKind::Snoozed(at))),
        ];
        let golden = include_str!("../../tests/golden/reminders.xml");
        for (reminder, line) in all.iter().zip(golden.split_inclusive("</Reminder>\n")) {
            let octets = reminder.to_xml();
            assert_eq!(String::from_utf8_lossy(&octets), line.trim_end());
            assert_eq!(Reminder::parse(&octets, &occurrence().owner).as_ref(), Ok(reminder));
        }
        assert_eq!(golden.matches("</Reminder>").count(), all.len());
    }

    // threat: L6
    #[test]
    fn threat_l6_broken_reminders_are_refused() {
        for (inner, what) in [
            ("", "without all"),
            ("<Kind>copy</Kind><UID>a</UID>", "without all"),
            (
                "<Kind>word</Kind><UID>a</UID><Sequence>1</Sequence><At>5</At><Client>c</Client>",
                "without all",
            ),
            ("<Kind>feedback</Kind><UID>a</UID><At>-5</At>", "before 1970"),
            ("<Kind>word</Kind><UID>a</UID><At>99999999999999999999</At>", "not a moment"),
            ("<Kind>word</Kind><UID>a</UID><Sequence>-1</Sequence>", "not a number"),
            ("<Version>2.0</Version>", "version 2.0"),
            ("<Kind>alarm</Kind><UID>a</UID><At>5</At>", "without all"),
        ] {
            let data = Bytes::from(format!("<Reminder>{inner}</Reminder>"));
            let error = Reminder::parse(&data, &occurrence().owner).unwrap_err();
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
    }
}
