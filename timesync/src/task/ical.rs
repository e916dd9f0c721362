//! Tasks as iCalendar: `VEVENT` for alarms, schedules and meetings, `VTODO` for shopping, one `VALARM` each.
//!
//! What iCalendar has is said that way; the rest goes into `X-TIMESYNC-*` properties that others ignore. Reading
//! is strict about what it uses and deaf to what it does not know; it never follows a link.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use jiff::tz::TimeZone;

use crate::appoint::{AppointedZone, Appointment};
use crate::civil::{CivilText, Policy, resolve, shown_at};
use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::model::{
    ClientId, Extra, ExtraData, ExtraKind, Kind, Setter, Targets, Task, TaskRefusal, TaskUid, TaskWhen,
    UserId,
};
use crate::task::recur::{RecurRefusal, Rule};
use crate::zones::ZoneName;

/// Longest calendar read, octets; most lines; longest unfolded line.
const MAX_OCTETS: usize = 1 << 20;
const MAX_LINES: usize = 20_000;

/// One property: name, parameters, value, as written.
struct Line<'a> {
    name: &'a str,
    params: Vec<(&'a str, &'a str)>,
    value: &'a str,
}

/// Writes one task as a calendar, lines folded at 75 octets.
///
/// # Spec
/// RFC 5545 §3.1, §3.6.1, §3.6.2, §3.6.6
#[must_use]
pub fn write(task: &Task) -> String {
    let component = if task.kind == Kind::Shopping { "VTODO" } else { "VEVENT" };
    let mut out = Writer(String::new());
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line("PRODID:-//mailsync//timesync//EN");
    out.line(&format!("BEGIN:{component}"));
    out.line(&format!("UID:{}", escape(task.uid.as_str())));
    out.line(&format!("SEQUENCE:{}", task.sequence));
    out.line(&when(task, if task.kind == Kind::Shopping { "DUE" } else { "DTSTART" }));
    if let Some(rule) = &task.rule {
        out.line(&format!("RRULE:{}", rule.text()));
    }
    out.line(&format!("SUMMARY:{}", escape(&task.summary)));
    if !task.text.is_empty() {
        out.line(&format!("DESCRIPTION:{}", escape(&task.text)));
    }
    out.line(&format!("X-TIMESYNC-KIND:{:?}", task.kind));
    out.line(&format!("X-TIMESYNC-OWNER:{}", escape(task.owner.as_str())));
    out.line(&format!("X-TIMESYNC-SETTER:{}", escape(task.setter.user.as_str())));
    out.line(&format!("X-TIMESYNC-SETTER-CLIENT:{}", escape(task.setter.client.as_str())));
    if let Targets::Clients(named) = &task.targets {
        for client in named {
            out.line(&format!("X-TIMESYNC-TARGET:{}", escape(client.as_str())));
        }
    }
    out.line(&match task.missed {
        Missed::Skip => "X-TIMESYNC-MISSED:SKIP".into(),
        Missed::FireOnce => "X-TIMESYNC-MISSED:ONCE".into(),
        Missed::FireAll(most) => format!("X-TIMESYNC-MISSED:ALL={most}"),
        Missed::FireIfWithin(grace) => format!("X-TIMESYNC-MISSED:WITHIN={}", grace.as_secs()),
    });
    if let TaskWhen::Civil(appointment) = &task.when
        && appointment.policy != Policy::Compatible
    {
        out.line(&format!("X-TIMESYNC-POLICY:{:?}", appointment.policy));
    }
    for extra in &task.extras {
        out.line(&attach(extra));
    }
    out.line("BEGIN:VALARM");
    out.line("ACTION:DISPLAY");
    out.line(if task.kind == Kind::Shopping { "TRIGGER;RELATED=END:PT0S" } else { "TRIGGER:PT0S" });
    out.line(&format!("DESCRIPTION:{}", escape(&task.summary)));
    out.line("END:VALARM");
    out.line(&format!("END:{component}"));
    out.line("END:VCALENDAR");
    out.0
}

fn when(task: &Task, property: &str) -> String {
    let stamp = |time: UnixTime, suffix: &str| {
        let civil =
            shown_at(time, &TimeZone::UTC).map(|(civil, _)| civil).unwrap_or(jiff::civil::DateTime::MAX);
        format!("{}{suffix}", civil.strftime("%Y%m%dT%H%M%S"))
    };
    match &task.when {
        TaskWhen::Instant(time) => format!("{property}:{}", stamp(*time, "Z")),
        TaskWhen::Civil(appointment) => {
            let civil = appointment.civil.strftime("%Y%m%dT%H%M%S");
            match &appointment.zone {
                AppointedZone::Named(zone) => format!("{property};TZID={zone}:{civil}"),
                AppointedZone::Fixed(seconds) => format!("{property};X-TIMESYNC-OFFSET={seconds}:{civil}"),
                AppointedZone::Floating | AppointedZone::Unknown => format!("{property}:{civil}"),
            }
        }
    }
}

fn attach(extra: &Extra) -> String {
    let head = format!("ATTACH;FMTTYPE={};X-TIMESYNC-EXTRA={:?}", parameter(&extra.media_type), extra.kind);
    match &extra.data {
        ExtraData::Inline(bytes) => format!("{head};ENCODING=BASE64;VALUE=BINARY:{}", base64(bytes)),
        ExtraData::Reference(uri) => format!("{head}:{uri}"),
    }
}

/// Reads the first task of a calendar. `owner` and `setter` are who the session or the mail says; what the
/// calendar claims about them is not used.
///
/// # Errors
/// [`IcalRefusal`] with the line; content over a limit is for
/// [`TaskLimits::check`](crate::task::TaskLimits::check).
pub fn read(text: &str, owner: &UserId, setter: &Setter) -> Result<Task, IcalRefusal> {
    if text.len() > MAX_OCTETS {
        return Err(IcalRefusal::TooLarge);
    }
    let lines = unfold(text)?;
    let mut found: Option<Fields> = None;
    // Names of open components; a stack, so that depth costs no recursion.
    let mut open: Vec<&str> = Vec::new();
    let mut done = false;
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
            // The alarm and whatever else lies inside says nothing we use.
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
    found.ok_or(IcalRefusal::NoTask)?.task(owner, setter)
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
            // Somebody is invited: it is a meeting.
            "ATTENDEE" => self.kind = self.kind.or(Some(Kind::Meeting)),
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

    fn task(self, owner: &UserId, setter: &Setter) -> Result<Task, IcalRefusal> {
        let kind = self.kind.unwrap_or(if self.todo { Kind::Shopping } else { Kind::Schedule });
        let when = if self.todo { self.due.or(self.start) } else { self.start };
        let mut when = when.ok_or(IcalRefusal::NoMoment)?;
        if let TaskWhen::Civil(appointment) = &mut when {
            appointment.policy = self.policy;
        }
        // A rule repeats a civil time; one written in UTC repeats in UTC.
        if self.rule.is_some()
            && let TaskWhen::Instant(time) = when
        {
            let (civil, _) = shown_at(time, &TimeZone::UTC).map_err(|_| IcalRefusal::NoMoment)?;
            when = TaskWhen::Civil(Appointment::new(civil, AppointedZone::Fixed(0)));
        }
        Ok(Task {
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
            rule: self.rule,
            missed: self.missed,
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

/// Joins folded lines; drops empty ones.
fn unfold(text: &str) -> Result<Vec<String>, IcalRefusal> {
    let mut lines: Vec<String> = Vec::new();
    for raw in text.split('\n') {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        if let Some(more) = raw.strip_prefix(' ').or_else(|| raw.strip_prefix('\t')) {
            lines.last_mut().ok_or(IcalRefusal::Line { number: 1, problem: Problem::Syntax })?.push_str(more);
        } else if !raw.is_empty() {
            if lines.len() >= MAX_LINES {
                return Err(IcalRefusal::TooLarge);
            }
            lines.push(raw.into());
        }
    }
    Ok(lines)
}

/// `NAME;PARAM=value;PARAM="quoted":value`.
fn parse(line: &str) -> Option<Line<'_>> {
    let mut quoted = false;
    let mut cuts: Vec<usize> = Vec::new();
    let mut colon = None;
    for (at, octet) in line.bytes().enumerate() {
        match octet {
            b'"' => quoted = !quoted,
            b';' if !quoted => cuts.push(at),
            b':' if !quoted => {
                colon = Some(at);
                break;
            }
            _ => {}
        }
    }
    let colon = colon?;
    let mut parts: Vec<&str> = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([colon]) {
        parts.push(line.get(from..cut)?);
        from = cut.saturating_add(1);
    }
    let (name, params) = parts.split_first()?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if name.is_empty() || !name.bytes().all(legal) || params.len() > 32 {
        return None;
    }
    let params = params.iter().map(|part| part.split_once('=').map(|(k, v)| (k, v.trim_matches('"'))));
    Some(Line { name, params: params.collect::<Option<_>>()?, value: line.get(from..)? })
}

/// The value of a parameter: in quotes where it needs them; a quote itself has no spelling.
// spec: RFC 5545 §3.2
fn parameter(value: &str) -> Cow<'_, str> {
    if value.contains([':', ';', ',', '"']) {
        Cow::Owned(format!("\"{}\"", value.replace('"', "")))
    } else {
        Cow::Borrowed(value)
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

struct Writer(String);

impl Writer {
    /// One content line, folded so that no line is over 75 octets and no character is cut.
    // spec: RFC 5545 §3.1
    fn line(&mut self, text: &str) {
        let mut used = 0_usize;
        // Whatever a value holds, it ends no line.
        for c in text.chars().filter(|c| *c == '\t' || !c.is_control()) {
            if used.saturating_add(c.len_utf8()) > 75 {
                self.0.push_str("\r\n ");
                used = 1;
            }
            self.0.push(c);
            used = used.saturating_add(c.len_utf8());
        }
        self.0.push_str("\r\n");
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for chunk in bytes.chunks(3) {
        let mut word = 0_u32;
        for i in 0..3 {
            word = (word << 8) | u32::from(chunk.get(i).copied().unwrap_or(0));
        }
        for i in 0..4_usize {
            let index = (word >> (18_usize.saturating_sub(i.saturating_mul(6)))) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len().saturating_sub(body.len()) > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    let (mut word, mut bits) = (0_u32, 0_u32);
    for octet in body.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == octet)?;
        word = ((word << 6) | u32::try_from(value).ok()?) & 0xffff;
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}

/// Why a calendar holds no task for us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcalRefusal {
    /// Over 1 MiB or 20,000 lines.
    TooLarge,
    /// A line that cannot be used.
    Line {
        /// Which, after unfolding, from 1.
        number: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// A component is not closed.
    Unclosed,
    /// No `VEVENT` or `VTODO`.
    NoTask,
    /// No `UID`.
    NoUid,
    /// No `DTSTART` or `DUE`.
    NoMoment,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Not a content line, or components that do not nest.
    Syntax,
    /// More than 8 components deep.
    TooDeep,
    /// A calendar with two tasks.
    SecondTask,
    /// More of them than make sense.
    TooMany,
    /// Not a date-time.
    Moment,
    /// Not a zone name or offset.
    Zone,
    /// Not base64.
    Base64,
    /// The rule.
    Rule(RecurRefusal),
    /// A name.
    Task(TaskRefusal),
}

impl fmt::Display for IcalRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IcalRefusal::TooLarge => write!(f, "icalendar: over {MAX_OCTETS} octets or {MAX_LINES} lines"),
            IcalRefusal::Line { number, problem } => write!(f, "icalendar: line {number}: {problem:?}"),
            IcalRefusal::Unclosed => write!(f, "icalendar: component not closed"),
            IcalRefusal::NoTask => write!(f, "icalendar: no VEVENT or VTODO"),
            IcalRefusal::NoUid => write!(f, "icalendar: no UID"),
            IcalRefusal::NoMoment => write!(f, "icalendar: no DTSTART or DUE"),
        }
    }
}

impl core::error::Error for IcalRefusal {}
