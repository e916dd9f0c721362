//! A task as a calendar.

use alloc::format;
use alloc::string::String;

use jiff::tz::TimeZone;

use super::alarm;
use super::line::{Writer, base64, escape, parameter};
use crate::appoint::AppointedZone;
use crate::civil::{Policy, shown_at};
use crate::instant::UnixTime;
use crate::starter::Missed;
use crate::task::model::{Extra, ExtraData, Kind, Targets, Task, TaskWhen};

/// Writes one task as a calendar, lines folded at 75 octets.
///
/// # Spec
/// RFC 5545 §3.1, §3.6.1, §3.6.2, §3.6.6
#[must_use]
pub fn write(task: &Task) -> String {
    write_within(task, &[], &[])
}

/// As [`write`], with more lines of the calendar and of the component.
pub(super) fn write_within(task: &Task, calendar: &[String], entry: &[String]) -> String {
    let component = if task.kind == Kind::Shopping { "VTODO" } else { "VEVENT" };
    let mut out = Writer(String::new());
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line("PRODID:-//mailsync//timesync//EN");
    calendar.iter().for_each(|line| out.line(line));
    out.line(&format!("BEGIN:{component}"));
    entry.iter().for_each(|line| out.line(line));
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
    let related = if task.kind == Kind::Shopping { ";RELATED=END" } else { "" };
    out.line(&format!("TRIGGER{related}:{}", alarm::written(task.trigger)));
    out.line(&format!("DESCRIPTION:{}", escape(&task.summary)));
    out.line("END:VALARM");
    out.line(&format!("END:{component}"));
    out.line("END:VCALENDAR");
    out.0
}

/// An instant as iCalendar writes it.
pub(super) fn stamp(time: UnixTime) -> String {
    let civil = shown_at(time, &TimeZone::UTC).map(|(civil, _)| civil).unwrap_or(jiff::civil::DateTime::MAX);
    format!("{}Z", civil.strftime("%Y%m%dT%H%M%S"))
}

fn when(task: &Task, property: &str) -> String {
    match &task.when {
        TaskWhen::Instant(time) => format!("{property}:{}", stamp(*time)),
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
