//! `mailsync task add`: a task of one's own, or one for somebody else, on whichever way it goes there.

use super::direct;
use super::letters::{self, Letter, Letters, Way};
use super::pocket::Pocket;
use super::post;
use super::task_cli::{Own, say, text};
use super::terminal::Folder;
use crate::sms::{self, Link};
use mailsync_proto::tasks::{direct as proof, group, request, short};
use pushpolicy::bearer::wap::Ports;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use timesync::UnixTime;
use timesync::appoint::{AppointedZone, Appointment};
use timesync::task::ical::itip::{self, Answer, Method};
use timesync::task::{
    ClientId, Extra, ExtraData, ExtraKind, Kind, Rule, Setter, Targets, Task as TimeTask, TaskLimits,
    TaskUid, TaskWhen, UserId,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[command(flatten)]
    own: Own,
    /// What it says
    summary: String,
    /// When, on our clock: 2026-12-24T18:00, with [Europe/Berlin] or Z behind it if it is not our zone
    #[arg(long, value_name = "TIME", required_unless_present = "within")]
    at: Option<String>,
    /// When, from now: 90s, 10m, 2h, 1d
    #[arg(long = "in", id = "within", value_name = "TIME", conflicts_with = "at", value_parser = duration)]
    within: Option<Duration>,
    /// When again: a rule as in iCalendar, FREQ=WEEKLY;BYDAY=MO
    #[arg(long, value_name = "RULE", conflicts_with = "within")]
    rule: Option<String>,
    /// What sort: alarm, schedule, meeting, shopping
    #[arg(long, value_name = "KIND", default_value = "alarm", value_parser = kind)]
    kind: Kind,
    /// The rest of what it says
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// Only on this client of its owner; may be said often
    #[arg(long = "client", value_name = "ID")]
    clients: Vec<String>,
    /// For this person; who must be allowed to
    #[arg(long = "for", value_name = "NAME")]
    owner: Option<String>,
    /// Straight to the other's client: its address, as `mailsync watch` says it
    #[arg(long, value_name = "URL", requires_all = ["owner", "direct_keys"])]
    direct: Option<String>,
    /// To the other's client in a mail, or in short messages
    #[arg(long, value_name = "mail|sms", requires_all = ["owner", "to", "from"], conflicts_with = "direct", value_parser = way)]
    by: Option<Way>,
    /// The other's mail address, or number
    #[arg(long, value_name = "ADDRESS", requires = "by")]
    to: Option<String>,
    /// Our own mail address, or number
    #[arg(long, value_name = "ADDRESS", requires = "by")]
    from: Option<String>,
    /// The short message centre, as host:2775; the password comes from MAILSYNC_SMS_PASSWORD
    #[arg(long, value_name = "HOST:PORT", requires_all = ["by", "sms_account"])]
    sms_server: Option<String>,
    /// Our account there
    #[arg(long, value_name = "NAME", requires = "sms_server")]
    sms_account: Option<String>,
    /// The secrets shared with friends: lines of NAME SECRET
    #[arg(long, value_name = "FILE")]
    direct_keys: Option<PathBuf>,
    /// A sound to play
    #[arg(long, value_name = "FILE")]
    sound: Option<PathBuf>,
    /// A picture to show
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// A moving picture to show
    #[arg(long, value_name = "FILE")]
    animation: Option<PathBuf>,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?}: say 90s, 10m, 2h or 1d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(bad)
}

fn kind(text: &str) -> Result<Kind, String> {
    group::kind_named(text).ok_or_else(|| format!("{text:?}: say alarm, schedule, meeting or shopping"))
}

fn way(text: &str) -> Result<Way, String> {
    [Way::Mail, Way::Sms]
        .into_iter()
        .find(|way| way.name() == text)
        .ok_or_else(|| format!("{text:?}: say mail or sms"))
}

impl Add {
    fn by_sms(&self, letter: &Letter, secret: Option<&str>) -> Result<(), String> {
        let missing = "--by sms: say --sms-server and --sms-account";
        let server = self.sms_server.clone().ok_or(missing)?;
        let account = self.sms_account.clone().ok_or(missing)?;
        let link = Link { server, account, from: letter.own.clone(), tls: false, ca: None };
        let proved = secret.map(|secret| proof::prove(secret, &letter.calendar)).unwrap_or_default();
        let octets = short::write(&letter.calendar, &proved).map_err(text)?;
        sms::send_octets(&link, &letter.with, Ports::CALENDAR, octets.as_bytes())
    }
}

/// Runs `mailsync task add`.
pub(super) fn add(add: Add, json: bool) -> Result<ExitCode, String> {
    let pocket = add.own.pocket()?;
    let now = pocket.now()?;
    let setter = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let uid = TaskUid::new(&format!("{}@mailsync", post::unique()?)).map_err(text)?;
    let mut task = TimeTask::alarm(uid, setter, &add.summary, when(&add, &pocket, now)?);
    task.kind = add.kind;
    task.text.clone_from(&add.text);
    task.rule =
        add.rule.as_deref().map(Rule::parse).transpose().map_err(|error| format!("--rule: {error}"))?;
    if !add.clients.is_empty() {
        let named: Result<_, _> = add.clients.iter().map(|name| ClientId::new(name)).collect();
        task.targets = Targets::Clients(named.map_err(text)?);
    }
    for (extra, path) in [
        (ExtraKind::Audio, &add.sound),
        (ExtraKind::Picture, &add.picture),
        (ExtraKind::Animation, &add.animation),
    ] {
        if let Some(path) = path {
            task.extras.push(attachment(extra, path)?);
        }
    }
    TaskLimits::default().check(&task).map_err(text)?;
    if let Some(owner) = &add.owner {
        task.owner = UserId::new(owner).map_err(text)?;
    }
    if let Some(to) = &add.direct {
        return bring(&task, to, add.direct_keys.as_deref(), now, json);
    }
    if let (Some(way), Some(to), Some(from)) = (add.by, &add.to, &add.from) {
        let friends = add.direct_keys.as_deref().map(friends).transpose()?;
        let secret = post::secret_of(friends.as_ref(), &task.owner);
        let letters = Letters::of(pocket.dir());
        // Before it leaves: the answer may be quick.
        let calendar = proof::request(&task, now);
        let letter = Letter { way, with: to.clone(), own: from.clone(), calendar, state: None };
        letters.put(letters::Kind::Asked, &task, &letter)?;
        let sent = match way {
            Way::Mail => post::ask_by_mail(&pocket, &task, Method::Request, (from, to), secret, now)
                .map(|()| "in the outbox; the next sync sends it"),
            Way::Sms => add.by_sms(&letter, secret).map(|()| "taken by the short message centre"),
        };
        if sent.is_err() {
            letters.remove(letters::Kind::Asked, &task);
        }
        return say(json, &task.uid, sent?);
    }
    if task.owner != task.setter.user {
        let message = itip::write(&task, Method::Request, None, now);
        let name = request::place_of(&task).1;
        pocket.put(request::DATASTORE, &format!("{}.ics", name.as_str()), message.as_bytes())?;
        return say(json, &task.uid, &format!("the next sync of ./requests asks {}", task.owner.as_str()));
    }
    pocket.put_task(&task)?;
    let mut held = pocket.hold()?;
    held.read_folder(now)?;
    held.store()?;
    say(json, &task.uid, "set; the next sync takes it along")
}

fn when(add: &Add, pocket: &Pocket, now: UnixTime) -> Result<TaskWhen, String> {
    if let Some(within) = add.within {
        // True time: no clock is asked. To the second, as calendars have it, and never before.
        let at = now.after(within).plus(999_999_999);
        return Ok(TaskWhen::Instant(UnixTime::from_secs(at.as_secs())));
    }
    let said = add.at.as_deref().unwrap_or_default();
    let (civil, utc) = match said.strip_suffix('Z') {
        Some(civil) => (civil, true),
        None => (said, false),
    };
    let seconds =
        if civil.split('[').next().unwrap_or_default().matches(':').count() == 1 { ":00" } else { "" };
    let whole = match civil.split_once('[') {
        Some((civil, zone)) => format!("{civil}{seconds}[{zone}"),
        None => format!("{civil}{seconds}"),
    };
    let bad = |error: &dyn std::fmt::Display| format!("--at {said:?}: {error}");
    let mut appointment = Appointment::parse(&whole).map_err(|error| bad(&error))?;
    if utc {
        appointment.zone = AppointedZone::Fixed(0);
    } else if appointment.zone == AppointedZone::Unknown {
        appointment.zone = AppointedZone::Named(pocket.zone().clone());
    }
    let start = pocket.with_place(|place| appointment.start(place, None))?.map_err(|error| bad(&error))?;
    let kept = Folder::open(pocket.dir()).and_then(|folder| folder.load()).map_err(text)?;
    // mission: T8: who keeps a time of their own means it by their clock.
    let deviation = kept.terminal.deviation().filter(|_| kept.terminal.clock.is_custom());
    Ok(match (deviation, utc && add.rule.is_none()) {
        (Some(deviation), _) if add.rule.is_none() => {
            TaskWhen::Instant(start.instant.plus(deviation.mid().saturating_neg()))
        }
        (_, true) => TaskWhen::Instant(start.instant),
        _ => TaskWhen::Civil(appointment),
    })
}

fn attachment(kind: ExtraKind, path: &Path) -> Result<Extra, String> {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let media_type = match &*end {
        "mid" | "midi" => "audio/midi",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" => "audio/ogg",
        "wav" => "audio/wav",
        "amr" => "audio/amr",
        "m4a" => "audio/mp4",
        "flac" => "audio/flac",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "wbmp" => "image/vnd.wap.wbmp",
        "mp4" => "video/mp4",
        "3gp" => "video/3gpp",
        _ => return Err(format!("{}: no sound or picture that tasks carry", path.display())),
    };
    let octets = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Extra { kind, media_type: media_type.into(), data: ExtraData::Inline(octets) })
}

/// Straight to the other's client, which asks its own groups.
fn bring(
    task: &TimeTask,
    to: &str,
    keys: Option<&Path>,
    now: UnixTime,
    json: bool,
) -> Result<ExitCode, String> {
    let path = keys.ok_or("--direct: say --direct-keys")?;
    let friends = friends(path)?;
    let secret = friends.secret(&task.owner);
    let secret = secret.ok_or_else(|| format!("{}: no secret of {:?}", path.display(), task.owner))?;
    let message = proof::request(task, now);
    let proved = proof::prove(secret, &message);
    let (status, words) = direct::bring(to, message, &proved)?;
    match proof::answer(&words, &task.setter) {
        Ok(Answer::Accepted) if status == 200 => say(json, &task.uid, "taken by the other's client"),
        Ok(answer) => Err(format!("{to}: {answer}")),
        Err(_) if status == 401 => Err(format!("{to}: it does not believe who we are")),
        Err(_) => Err(format!("{to}: status {status}")),
    }
}

/// The secrets of a file.
pub(super) fn friends(path: &Path) -> Result<proof::Friends, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let words = std::fs::read_to_string(path).map_err(|error| at(&error))?;
    proof::Friends::parse(&words).map_err(|error| at(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "m", "10", "-1m", "1w", "99999999999999999999d", "1é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
