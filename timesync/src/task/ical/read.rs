//! A calendar as a task.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use jiff::tz::TimeZone;

use super::alarm::{self, Trigger};
use super::itip;
use super::line::{Line, parse, unbase64, unescape, unfold};
use super::refusal::{IcalRefusal, MAX_OCTETS, Problem};
use crate::appoint::{AppointedZone, Appointment};
use crate::civil::{CivilText, Policy, resolve, shown_at};
use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::model::{
    ClientId, Extra, ExtraData, ExtraKind, Kind, Setter, Targets, Task, TaskUid, TaskWhen, UserId,
};
use crate::task::recur::Rule;
use crate::zones::ZoneName;

/// What a calendar entry says besides the task in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The task, set by whom the caller named.
    pub task: Task,
    /// It has an alarm; without one it is for the eyes only.
    pub alarmed: bool,
    /// It is done or called off.
    pub closed: bool,
    /// When its alarm was seen last.
    pub acknowledged: Option<UnixTime>,
    /// Who set it, as the text says: true only if whoever brought the text is believed.
    pub claims: Option<Setter>,
    /// Whose it is, as the text says.
    pub claims_owner: Option<UserId>,
    /// What is done with it, between people: `REQUEST`, `CANCEL`, `REPLY`.
    pub method: Option<Box<str>>,
    /// For whom it is, when it is sent to somebody.
    pub attendee: Option<UserId>,
    /// What that person's side answered; of several mail addresses the first that says so.
    pub answer: Option<itip::Answer>,
}

/// Reads the first task of a calendar. `owner` and `setter` are who the session or the mail says; what the
/// calendar claims about them is not used.
///
/// # Errors
/// [`IcalRefusal`] with the line; content over a limit is for
/// [`TaskLimits::check`](crate::task::TaskLimits::check).
pub fn read(text: &str, owner: &UserId, setter: &Setter) -> Result<Task, IcalRefusal> {
    read_entry(text, owner, setter).map(|entry| entry.task)
}

/// As [`read`], with what the entry says besides: whether it has an alarm, and whether it is over.
///
/// # Errors
/// As [`read`]'s.
/// # Spec
/// RFC 5545 §3.6.6, RFC 9074 §6 (`ACKNOWLEDGED`); vCalendar 1.0 §2.3.4 (`AALARM`, `DALARM`)
pub fn read_entry(text: &str, owner: &UserId, setter: &Setter) -> Result<Entry, IcalRefusal> {
    if text.len() > MAX_OCTETS {
        return Err(IcalRefusal::TooLarge);
    }
    let lines = unfold(text)?;
    let mut found: Option<Fields> = None;
    // Names of open components; a stack, so that depth costs no recursion.
    let mut open: Vec<&str> = Vec::new();
    let mut done = false;
    let mut method = None;
    for (number, raw) in lines.iter().enumerate() {
        let at = |problem| IcalRefusal::Line { number: number.saturating_add(1), problem };
        let line = parse(raw).ok_or_else(|| at(Problem::Syntax))?;
        match line.name {
            "BEGIN" => {
                if open.len() >= 8 {
                    return Err(at(Problem::TooDeep));
                }
                open.push(line.value);
                if matches!(line.value, "VEVENT" | "VTODO") && open.len() == 2 && !done {
                    if found.is_some() {
                        return Err(at(Problem::SecondTask));
                    }
                    found = Some(Fields::new(line.value == "VTODO"));
                }
            }
            "END" => {
                if open.pop() != Some(line.value) {
                    return Err(at(Problem::Syntax));
                }
                done |= matches!(line.value, "VEVENT" | "VTODO");
            }
            _ if open.is_empty() => return Err(at(Problem::Syntax)),
            "METHOD" if open.len() == 1 => method = Some(line.value.to_ascii_uppercase().into()),
            _ if open.len() == 3 && !done && open.last() == Some(&"VALARM") => {
                if let Some(fields) = &mut found {
                    fields.alarm(&line).map_err(at)?;
                }
            }
            _ if open.len() == 2 && !done => {
                if let Some(fields) = &mut found {
                    fields.take(&line).map_err(at)?;
                }
            }
            _ => {}
        }
    }
    if !open.is_empty() {
        return Err(IcalRefusal::Unclosed);
    }
    let entry = found.ok_or(IcalRefusal::NoTask)?.entry(owner, setter)?;
    Ok(Entry { method, ..entry })
}

#[derive(Default)]
struct Fields {
    todo: bool,
    uid: Option<TaskUid>,
    sequence: u32,
    start: Option<TaskWhen>,
    due: Option<TaskWhen>,
    rule: Option<Rule>,
    summary: String,
    text: String,
    kind: Option<Kind>,
    targets: Vec<ClientId>,
    missed: Missed,
    policy: Policy,
    extras: Vec<Extra>,
    end: Option<TaskWhen>,
    trigger: Option<Trigger>,
    alarmed: bool,
    closed: bool,
    acknowledged: Option<UnixTime>,
    claims: (Option<UserId>, Option<ClientId>),
    claims_owner: Option<UserId>,
    attendee: Option<UserId>,
    partstat: Option<String>,
    request_status: String,
}

impl Fields {
    fn new(todo: bool) -> Self {
        Fields { todo, ..Fields::default() }
    }

    fn take(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        match line.name {
            "UID" => self.uid = Some(TaskUid::new(&unescape(line.value)).map_err(Problem::Task)?),
            "SEQUENCE" => self.sequence = line.value.parse().map_err(|_| Problem::Syntax)?,
            "DTSTART" => self.start = Some(moment(line)?),
            "DUE" => self.due = Some(moment(line)?),
            "DTEND" => self.end = Some(moment(line)?),
            "STATUS" => self.closed |= matches!(line.value, "COMPLETED" | "CANCELLED"),
            "COMPLETED" => self.closed = true,
            "PERCENT-COMPLETE" => self.closed |= line.value == "100",
            "AALARM" | "DALARM" => {
                let first = line.value.split(';').next().unwrap_or_default();
                if !first.is_empty() && self.trigger.is_none() {
                    self.trigger = Some(Trigger::At(alarm::instant(first)?));
                }
                self.alarmed = true;
            }
            "X-TIMESYNC-OWNER" => self.claims_owner = UserId::new(&unescape(line.value)).ok(),
            "X-TIMESYNC-SETTER" => self.claims.0 = UserId::new(&unescape(line.value)).ok(),
            "X-TIMESYNC-SETTER-CLIENT" => self.claims.1 = ClientId::new(&unescape(line.value)).ok(),
            "RRULE" => self.rule = Some(Rule::parse(line.value).map_err(Problem::Rule)?),
            "SUMMARY" => self.summary = unescape(line.value).into_owned(),
            "DESCRIPTION" => self.text = unescape(line.value).into_owned(),
            "X-TIMESYNC-KIND" => {
                self.kind = match line.value {
                    "Alarm" => Some(Kind::Alarm),
                    "Schedule" => Some(Kind::Schedule),
                    "Meeting" => Some(Kind::Meeting),
                    "Shopping" => Some(Kind::Shopping),
                    _ => None,
                }
            }
            "ATTENDEE" => {
                let param = line.params.iter().find(|(key, _)| *key == "PARTSTAT");
                let partstat = param.map(|(_, value)| (*value).into());
                if let Some(name) = itip::name_of(line.value) {
                    self.attendee = Some(name);
                    self.partstat = partstat;
                } else {
                    // Somebody is invited: it is a meeting.
                    self.kind = self.kind.or(Some(Kind::Meeting));
                    self.partstat = self.partstat.take().or(partstat);
                }
            }
            "REQUEST-STATUS" => {
                let words = line.value.split_once(';').map_or("", |(_, words)| words);
                self.request_status = unescape(words).into_owned();
            }
            "X-TIMESYNC-TARGET" => {
                if self.targets.len() >= 256 {
                    return Err(Problem::TooMany);
                }
                self.targets.push(ClientId::new(&unescape(line.value)).map_err(Problem::Task)?);
            }
            "X-TIMESYNC-MISSED" => self.missed = missed(line.value)?,
            "X-TIMESYNC-POLICY" => {
                self.policy = match line.value {
                    "Earlier" => Policy::Earlier,
                    "Later" => Policy::Later,
                    "Reject" => Policy::Reject,
                    _ => Policy::Compatible,
                }
            }
            "ATTACH" => {
                if self.extras.len() >= 64 {
                    return Err(Problem::TooMany);
                }
                self.extras.push(attachment(line)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// A line of the alarm; of several alarms the first counts.
    fn alarm(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        self.alarmed = true;
        match line.name {
            "TRIGGER" if self.trigger.is_none() => self.trigger = Some(alarm::read(line)?),
            "ACKNOWLEDGED" => self.acknowledged = self.acknowledged.max(Some(alarm::instant(line.value)?)),
            _ => {}
        }
        Ok(())
    }

    fn entry(self, owner: &UserId, setter: &Setter) -> Result<Entry, IcalRefusal> {
        let kind = self.kind.unwrap_or(if self.todo { Kind::Shopping } else { Kind::Schedule });
        let due = if self.todo { self.due.clone().or(self.start.clone()) } else { self.start.clone() };
        let (when, trigger) = match self.trigger {
            None => (due, 0),
            Some(Trigger::At(time)) => (Some(TaskWhen::Instant(time)), 0),
            Some(Trigger::Start(by)) => (self.start.or(due), by),
            Some(Trigger::End(by)) => (if self.todo { due } else { self.end.or(due) }, by),
        };
        let mut when = when.ok_or(IcalRefusal::NoMoment)?;
        if let TaskWhen::Civil(appointment) = &mut when {
            appointment.policy = self.policy;
        }
        // An alarm at one instant repeats nothing.
        let rule = self.rule.filter(|_| !matches!(self.trigger, Some(Trigger::At(_))));
        // A rule repeats a civil time; one written in UTC repeats in UTC.
        if rule.is_some()
            && let TaskWhen::Instant(time) = when
        {
            let (civil, _) = shown_at(time, &TimeZone::UTC).map_err(|_| IcalRefusal::NoMoment)?;
            when = TaskWhen::Civil(Appointment::new(civil, AppointedZone::Fixed(0)));
        }
        let task = Task {
            uid: self.uid.ok_or(IcalRefusal::NoUid)?,
            sequence: self.sequence,
            owner: owner.clone(),
            setter: setter.clone(),
            targets: if self.targets.is_empty() { Targets::All } else { Targets::Clients(self.targets) },
            kind,
            summary: self.summary,
            text: self.text,
            extras: self.extras,
            when,
            trigger,
            rule,
            missed: self.missed,
        };
        let claims = match self.claims {
            (Some(user), Some(client)) => Some(Setter { user, client }),
            _ => None,
        };
        Ok(Entry {
            task,
            alarmed: self.alarmed,
            closed: self.closed,
            acknowledged: self.acknowledged,
            claims,
            claims_owner: self.claims_owner,
            method: None,
            answer: self.partstat.and_then(|partstat| itip::answer_of(&partstat, &self.request_status)),
            attendee: self.attendee,
        })
    }
}

fn moment(line: &Line<'_>) -> Result<TaskWhen, Problem> {
    let whole_day = line.value.len() == 8;
    let value =
        if whole_day { Cow::Owned(format!("{}T000000", line.value)) } else { Cow::Borrowed(line.value) };
    let text = CivilText::parse(&value).map_err(|_| Problem::Moment)?;
    if text.offset == Some(0) {
        let time = resolve(text.civil, &TimeZone::UTC).and_then(|found| found.pick(Policy::Compatible));
        return time.map(TaskWhen::Instant).map_err(|_| Problem::Moment);
    }
    let param = |name| line.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let zone = if let Some(name) = param("TZID") {
        AppointedZone::Named(ZoneName::new(name).map_err(|_| Problem::Zone)?)
    } else if let Some(seconds) = param("X-TIMESYNC-OFFSET") {
        AppointedZone::Fixed(seconds.parse().map_err(|_| Problem::Zone)?)
    } else {
        AppointedZone::Floating
    };
    Ok(TaskWhen::Civil(Appointment::new(text.civil, zone)))
}

fn missed(value: &str) -> Result<Missed, Problem> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| Problem::Syntax);
    match value.split_once('=') {
        None if value == "SKIP" => Ok(Missed::Skip),
        None if value == "ONCE" => Ok(Missed::FireOnce),
        Some(("ALL", most)) => Ok(Missed::FireAll(number(most)?)),
        Some(("WITHIN", seconds)) => Ok(Missed::FireIfWithin(Duration::from_secs(number(seconds)?.into()))),
        _ => Err(Problem::Syntax),
    }
}

fn attachment(line: &Line<'_>) -> Result<Extra, Problem> {
    let param = |name| line.params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let media_type = param("FMTTYPE").unwrap_or("application/octet-stream").to_ascii_lowercase();
    let kind = match param("X-TIMESYNC-EXTRA") {
        Some("Text") => ExtraKind::Text,
        Some("Audio") => ExtraKind::Audio,
        Some("Animation") => ExtraKind::Animation,
        Some("Picture") => ExtraKind::Picture,
        _ if media_type.starts_with("audio/") => ExtraKind::Audio,
        _ if media_type.starts_with("video/") => ExtraKind::Animation,
        _ if media_type.starts_with("image/") => ExtraKind::Picture,
        _ => ExtraKind::Text,
    };
    let data = if param("ENCODING").is_some_and(|encoding| encoding.eq_ignore_ascii_case("BASE64")) {
        ExtraData::Inline(unbase64(line.value).ok_or(Problem::Base64)?)
    } else {
        ExtraData::Reference(line.value.into())
    };
    Ok(Extra { kind, media_type: media_type.into(), data })
}
