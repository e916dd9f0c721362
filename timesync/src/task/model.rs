//! What a task is, and what it may not be.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::appoint::{AppointRefusal, Appointment, Place};
use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::recur::{RecurRefusal, Rule};
use crate::task::rights::RightsRefusal;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 255 octets without control characters.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(try_from = "Box<str>", into = "Box<str>"))]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// [`TaskRefusal::BadName`].
            pub fn new(name: &str) -> Result<Self, TaskRefusal> {
                if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
                    return Err(TaskRefusal::BadName { len: name.len() });
                }
                Ok($name(name.into()))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Box<str>> for $name {
            type Error = TaskRefusal;
            fn try_from(name: Box<str>) -> Result<Self, TaskRefusal> {
                $name::new(&name)
            }
        }

        impl From<$name> for Box<str> {
            fn from(name: $name) -> Box<str> {
                name.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name!(
    /// A person.
    UserId
);
name!(
    /// One of a person's clients: a number, an IMEI, a phone number.
    ClientId
);
name!(
    /// A task, unique in the world; made by whoever sets it.
    TaskUid
);

/// What sort of task it is; rights are given per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// Ring.
    Alarm,
    /// Something to do at a time.
    Schedule,
    /// Several people at a time.
    Meeting,
    /// Something to buy.
    Shopping,
}

/// What is shown or played besides the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ExtraKind {
    /// More text.
    Text,
    /// A ring tone.
    Audio,
    /// A moving picture.
    Animation,
    /// A picture.
    Picture,
}

impl ExtraKind {
    /// The media types accepted: nothing that can run, nothing that can carry another task.
    #[must_use]
    pub const fn media_types(self) -> &'static [&'static str] {
        match self {
            ExtraKind::Text => &["text/plain"],
            ExtraKind::Audio => &[
                "audio/midi",
                "audio/mpeg",
                "audio/ogg",
                "audio/wav",
                "audio/x-wav",
                "audio/amr",
                "audio/mp4",
                "audio/aac",
                "audio/flac",
            ],
            ExtraKind::Animation => &["image/gif", "image/webp", "image/png", "video/mp4", "video/3gpp"],
            ExtraKind::Picture => {
                &["image/png", "image/jpeg", "image/gif", "image/webp", "image/vnd.wap.wbmp"]
            }
        }
    }
}

/// One extra of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extra {
    /// What it is for.
    pub kind: ExtraKind,
    /// Its media type, lower case, without parameters.
    pub media_type: Box<str>,
    /// Its content.
    pub data: ExtraData,
}

/// The content of an extra.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ExtraData {
    /// The bytes.
    Inline(Vec<u8>),
    /// Where it is. Never fetched without the user's word: a task of a stranger must not make a terminal call home.
    Reference(Box<str>),
}

/// Who set a task, and on which client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Setter {
    /// The person.
    pub user: UserId,
    /// The client.
    pub client: ClientId,
}

/// Which of the owner's clients a task is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Targets {
    /// All of them.
    All,
    /// These only.
    Clients(Vec<ClientId>),
}

impl Targets {
    /// True when the task is for this client.
    #[must_use]
    pub fn include(&self, client: &ClientId) -> bool {
        match self {
            Targets::All => true,
            Targets::Clients(named) => named.contains(client),
        }
    }
}

/// When a task is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TaskWhen {
    /// At an instant, true time.
    Instant(UnixTime),
    /// At a civil time; recomputed when zone rules change. Needed for a rule.
    Civil(Appointment),
}

/// A time task.
///
/// # Shape
/// Content and extras are limited by [`TaskLimits`]; the sequence rises with every significant change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Task {
    /// Its name.
    pub uid: TaskUid,
    /// Version of it.
    pub sequence: u32,
    /// Whose it is.
    pub owner: UserId,
    /// Who set it.
    pub setter: Setter,
    /// Which of the owner's clients it is for.
    pub targets: Targets,
    /// What sort.
    pub kind: Kind,
    /// One line.
    pub summary: String,
    /// The rest.
    pub text: String,
    /// Extras.
    pub extras: Vec<Extra>,
    /// When first.
    pub when: TaskWhen,
    /// How long after each moment it is shown, nanoseconds; negative: before.
    pub trigger: i64,
    /// When again.
    pub rule: Option<Rule>,
    /// What if missed.
    pub missed: Missed,
}

impl Task {
    /// A task of one's own: an alarm for all of the owner's clients.
    #[must_use]
    pub fn alarm(uid: TaskUid, setter: Setter, summary: &str, when: TaskWhen) -> Self {
        Task {
            uid,
            sequence: 0,
            owner: setter.user.clone(),
            setter,
            targets: Targets::All,
            kind: Kind::Alarm,
            summary: summary.into(),
            text: String::new(),
            extras: Vec::new(),
            when,
            trigger: 0,
            rule: None,
            missed: Missed::default(),
        }
    }

    /// The first occurrence after `after` (exclusive), or the very first when `after` is `None`.
    ///
    /// # Errors
    /// [`TaskRefusal`] when the appointment means nothing or the rule runs out of fuel.
    pub fn next(&self, after: Option<UnixTime>, place: Place<'_>) -> Result<Option<UnixTime>, TaskRefusal> {
        next_occurrence((&self.when, self.rule.as_ref(), self.trigger), after, place)
    }

    /// A fingerprint of everything in the task, to tell "the same again" from "another body".
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::default();
        // Debug output names every field; it is never parsed and need only be the same for equal tasks.
        let _ = fmt::Write::write_fmt(&mut hash, format_args!("{self:?}"));
        hash.0
    }
}

/// The next moment at which a task is shown: of its moments, its rule, and how far from them.
pub(crate) fn next_occurrence(
    (when, rule, trigger): (&TaskWhen, Option<&Rule>, i64),
    after: Option<UnixTime>,
    place: Place<'_>,
) -> Result<Option<UnixTime>, TaskRefusal> {
    let after = after.map(|after| after.plus(trigger.saturating_neg()));
    Ok(next_moment(when, rule, after, place)?.map(|at| at.plus(trigger)))
}

fn next_moment(
    when: &TaskWhen,
    rule: Option<&Rule>,
    after: Option<UnixTime>,
    place: Place<'_>,
) -> Result<Option<UnixTime>, TaskRefusal> {
    let later = |time: UnixTime| after.is_none_or(|after| time > after);
    match (when, rule) {
        (TaskWhen::Instant(time), None) => Ok(Some(*time).filter(|time| later(*time))),
        (TaskWhen::Instant(_), Some(_)) => Err(TaskRefusal::RuleNeedsCivilTime),
        (TaskWhen::Civil(appointment), None) => {
            Ok(Some(appointment.start(place, None)?.instant).filter(|time| later(*time)))
        }
        (TaskWhen::Civil(appointment), Some(rule)) => rule.next(appointment, after, place),
    }
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for octet in s.bytes() {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// What a task may hold. Every field settable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskLimits {
    /// Octets of the summary.
    pub summary: usize,
    /// Octets of the text.
    pub text: usize,
    /// Extras.
    pub extras: usize,
    /// Octets of all extras together.
    pub extra_octets: usize,
    /// Clients named.
    pub targets: usize,
    /// How far ahead a task may be due, nanoseconds.
    pub horizon: i64,
    /// Tasks waiting per owner.
    pub per_owner: usize,
    /// Tasks waiting that one person has set for another.
    pub per_friend: usize,
}

impl Default for TaskLimits {
    /// 1 KiB, 8 KiB, 4 extras of 256 KiB together, 32 clients, 100 years, 10,000 per owner, 100 per friend.
    fn default() -> Self {
        TaskLimits {
            summary: 1 << 10,
            text: 8 << 10,
            extras: 4,
            extra_octets: 256 << 10,
            targets: 32,
            horizon: 36_525 * 86_400_000_000_000,
            per_owner: 10_000,
            per_friend: 100,
        }
    }
}

impl TaskLimits {
    /// Checks content and extras; rights and times are checked by the engines.
    ///
    /// # Errors
    /// [`TaskRefusal::TooLarge`], [`TaskRefusal::BadExtra`], [`TaskRefusal::RuleNeedsCivilTime`].
    pub fn check(&self, task: &Task) -> Result<(), TaskRefusal> {
        let within = |what, value: usize, limit: usize| {
            if value > limit { Err(TaskRefusal::TooLarge { what, value, limit }) } else { Ok(()) }
        };
        within("summary", task.summary.len(), self.summary)?;
        within("text", task.text.len(), self.text)?;
        within("extras", task.extras.len(), self.extras)?;
        if let Targets::Clients(named) = &task.targets {
            within("targets", named.len(), self.targets)?;
            if named.is_empty() {
                return Err(TaskRefusal::NoTarget);
            }
        }
        if task.rule.is_some() && matches!(task.when, TaskWhen::Instant(_)) {
            return Err(TaskRefusal::RuleNeedsCivilTime);
        }
        let mut octets = 0_usize;
        for extra in &task.extras {
            let size = match &extra.data {
                ExtraData::Inline(bytes) => bytes.len(),
                ExtraData::Reference(uri) => uri.len(),
            };
            let known = extra.kind.media_types().contains(&&*extra.media_type);
            if !known || size == 0 {
                return Err(TaskRefusal::BadExtra { kind: extra.kind, size });
            }
            octets = octets.saturating_add(size);
        }
        within("extra octets", octets, self.extra_octets)
    }
}

/// Why a task, or a change to one, was not taken. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskRefusal {
    /// A name that is none.
    BadName {
        /// Its length.
        len: usize,
    },
    /// Over a limit.
    TooLarge {
        /// Which.
        what: &'static str,
        /// The value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// An extra that is empty or of a type that is not accepted.
    BadExtra {
        /// Its kind.
        kind: ExtraKind,
        /// Its size, octets.
        size: usize,
    },
    /// It names no client.
    NoTarget,
    /// A rule repeats a civil time, not an instant.
    RuleNeedsCivilTime,
    /// Its moment has passed and its policy lets it go.
    InThePast {
        /// When it was due.
        due: UnixTime,
    },
    /// Due beyond the horizon.
    TooFar {
        /// When it is due.
        due: UnixTime,
    },
    /// The rule never yields an occurrence.
    NoOccurrence,
    /// The sender has no right to do this.
    Rights(RightsRefusal),
    /// A newer version is known, or the same version with another body.
    OldSequence {
        /// The version known.
        known: u32,
    },
    /// It was executed or deleted; it does not come back.
    Gone,
    /// Too many tasks wait.
    Full {
        /// The limit.
        limit: usize,
    },
    /// No such task, user or client.
    Unknown,
    /// The civil time.
    Appoint(AppointRefusal),
    /// The rule.
    Recur(RecurRefusal),
}

impl From<AppointRefusal> for TaskRefusal {
    fn from(refusal: AppointRefusal) -> Self {
        TaskRefusal::Appoint(refusal)
    }
}

impl From<RecurRefusal> for TaskRefusal {
    fn from(refusal: RecurRefusal) -> Self {
        TaskRefusal::Recur(refusal)
    }
}

impl From<RightsRefusal> for TaskRefusal {
    fn from(refusal: RightsRefusal) -> Self {
        TaskRefusal::Rights(refusal)
    }
}

impl fmt::Display for TaskRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskRefusal::BadName { len } => write!(f, "not a name ({len} octets, limit 255)"),
            TaskRefusal::TooLarge { what, value, limit } => write!(f, "{what}: {value}, limit {limit}"),
            TaskRefusal::BadExtra { kind, size } => {
                write!(f, "extra {kind:?} of {size} octets is not accepted")
            }
            TaskRefusal::NoTarget => write!(f, "task names no client"),
            TaskRefusal::RuleNeedsCivilTime => write!(f, "a recurrence rule needs a civil time"),
            TaskRefusal::InThePast { due } => write!(f, "task was due at {due:?}"),
            TaskRefusal::TooFar { due } => write!(f, "task is due at {due:?}, beyond the horizon"),
            TaskRefusal::NoOccurrence => write!(f, "rule yields no occurrence"),
            TaskRefusal::Rights(refusal) => refusal.fmt(f),
            TaskRefusal::OldSequence { known } => write!(f, "version {known} is known already"),
            TaskRefusal::Gone => write!(f, "task was executed or deleted"),
            TaskRefusal::Full { limit } => write!(f, "{limit} tasks wait already"),
            TaskRefusal::Unknown => write!(f, "no such task, user or client"),
            TaskRefusal::Appoint(refusal) => refusal.fmt(f),
            TaskRefusal::Recur(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for TaskRefusal {}
