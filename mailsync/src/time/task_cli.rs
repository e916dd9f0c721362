//! `mailsync task`: time tasks of one's own and for others, in the folder; the next sync takes them along.

use super::direct;
use super::pocket::Pocket;
use super::terminal::Folder;
use crate::client::device_id;
use crate::store::private_dir;
use crate::turns;
use mailsync_proto::mail::device::{self, Device};
use mailsync_proto::tasks::{direct as proof, group, request};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use timesync::UnixTime;
use timesync::appoint::{AppointedZone, Appointment};
use timesync::civil::shown_at;
use timesync::task::ical;
use timesync::task::ical::itip::{self, Answer, Method};
use timesync::task::{
    ClientId, Extra, ExtraData, ExtraKind, Kind, Rule, Setter, Targets, Task as TimeTask, TaskLimits,
    TaskUid, TaskWhen, UserId,
};

/// Time tasks: alarms, schedules, meetings, shopping
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Task {
    /// Set a task, for oneself or for somebody else
    Add(Box<Add>),
    /// What waits, and what became of what was set for others
    List {
        #[command(flatten)]
        own: Own,
    },
    /// It is done: nobody is reminded of it any more
    Done {
        #[command(flatten)]
        own: Own,
        /// Its id, as listed
        uid: String,
    },
    /// Show again later what was just shown
    Snooze {
        #[command(flatten)]
        own: Own,
        /// Its id, as listed
        uid: String,
        /// How much later: 90s, 10m, 2h, 1d
        #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = duration)]
        by: Duration,
    },
    /// The user's clients that have said where notices reach them; tasks may name them
    Clients {
        #[command(flatten)]
        own: Own,
    },
    /// Take back what was set for somebody else
    Cancel {
        #[command(flatten)]
        own: Own,
        /// Its id, as listed
        uid: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Own {
    /// The client's folder
    #[arg(long)]
    dir: PathBuf,
    /// Whose folder it is [default: whose it was in the first sync]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Our time zone [default: the system's]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A clock that is wrong on purpose
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 0, allow_hyphen_values = true)]
    clock_offset: i64,
}

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

fn duration(text: &str) -> Result<Duration, String> {
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

impl Own {
    pub(super) fn pocket(&self) -> Result<Pocket, String> {
        let kept = || std::fs::read_to_string(self.dir.join(".mailsync").join("user")).ok();
        let user = self.user.clone().or_else(kept).ok_or("whose folder is it? say --user")?;
        private_dir(&self.dir.join(".mailsync")).map_err(text)?;
        let device = device_id(&self.dir, self.device.as_deref()).map_err(text)?;
        Pocket::open(&self.dir, user.trim(), &device, self.zone.as_deref(), self.clock_offset)
    }
}

/// Runs `mailsync task`.
pub(crate) fn run(command: Task, json: bool) -> Result<ExitCode, String> {
    match command {
        Task::Add(add) => self::add(*add, json),
        Task::List { own } => list(&own.pocket()?, json),
        Task::Done { own, uid } => done(&own.pocket()?, &uid, json),
        Task::Snooze { own, uid, by } => snooze(&own.pocket()?, &uid, by, json),
        Task::Clients { own } => clients(&own.pocket()?, json),
        Task::Cancel { own, uid } => cancel(&own.pocket()?, &uid, json),
    }
}

fn add(add: Add, json: bool) -> Result<ExitCode, String> {
    let pocket = add.own.pocket()?;
    let now = pocket.now()?;
    let setter = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let octets = turns::moment().map_err(text)?.entropy;
    let unique: String = octets.iter().take(13).map(|octet| format!("{octet:02x}")).collect();
    let uid = TaskUid::new(&format!("{unique}@mailsync")).map_err(text)?;
    let mut task = TimeTask::alarm(uid, setter, &add.summary, when(&add, &pocket, now)?);
    task.kind = add.kind;
    task.text = add.text;
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
    let words = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let friends = proof::Friends::parse(&words).map_err(|error| format!("{}: {error}", path.display()))?;
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

fn list(pocket: &Pocket, json: bool) -> Result<ExitCode, String> {
    let now = pocket.now()?;
    let mut held = pocket.hold()?;
    held.read_folder(now)?;
    held.store()?;
    let mut lines: Vec<Value> = Vec::new();
    for (task, at) in held.bell.held() {
        let state = if at.is_some() { "waits" } else { "shown" };
        lines.push(line(task, at, state));
    }
    let me = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    for (_, body) in pocket.files(request::DATASTORE) {
        let Ok(sent) = itip::read(&String::from_utf8_lossy(&body), &me) else { continue };
        let state = sent.answer.map_or_else(|| "asked".to_owned(), |answer| answer.to_string());
        let at = pocket.with_place(|place| sent.task.next(None, place))?.ok().flatten();
        lines.push(line(&sent.task, at, &state));
    }
    if json {
        println!("{}", json!(lines));
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines {
        let at = line["due_ms"].as_i64().map(|ms| UnixTime::from_nanos(i128::from(ms) * 1_000_000));
        let shown = pocket.with_place(|place| {
            let civil = at.and_then(|at| shown_at(at, place.zone).ok());
            civil.map_or_else(|| "-".to_owned(), |(civil, _)| civil.to_string())
        })?;
        let word = |name: &str| -> String {
            line[name].as_str().unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
        };
        println!(
            "{}  {shown:<20}  {:<10}  {} -> {}  {}",
            word("uid"),
            word("state"),
            word("from"),
            word("for"),
            word("summary")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn line(task: &TimeTask, at: Option<UnixTime>, state: &str) -> Value {
    json!({
        "uid": task.uid.as_str(), "summary": task.summary, "text": task.text, "state": state,
        "kind": format!("{:?}", task.kind).to_lowercase(), "sequence": task.sequence,
        "due_ms": at.map(|at| i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX)),
        "from": task.setter.user.as_str(), "for": task.owner.as_str(),
    })
}

fn done(pocket: &Pocket, uid: &str, json: bool) -> Result<ExitCode, String> {
    let now = pocket.now()?;
    let name = TaskUid::new(uid).map_err(text)?;
    let (path, entry) =
        pocket.entry_of(uid).ok_or_else(|| format!("{uid}: not in ./calendar or ./tasks of this folder"))?;
    let mut held = pocket.hold()?;
    held.read_folder(now)?;
    std::fs::write(&path, ical::finished(&entry, now)).map_err(|e| format!("{}: {e}", path.display()))?;
    held.read_folder(now)?;
    held.store()?;
    say(json, &name, "done; the next sync takes it along")
}

fn snooze(pocket: &Pocket, uid: &str, by: Duration, json: bool) -> Result<ExitCode, String> {
    let now = pocket.now()?;
    let name = TaskUid::new(uid).map_err(text)?;
    let mut held = pocket.hold()?;
    held.bell
        .snooze(now, &name, now.after(by))
        .ok_or_else(|| format!("{uid}: nothing of it was shown here that can be put off"))?;
    held.store()?;
    held.write_feedback()?;
    say(json, &name, "put off")
}

// mission: T9
fn clients(pocket: &Pocket, json: bool) -> Result<ExitCode, String> {
    let objects = pocket.files(device::DATASTORE).into_iter().map(|(_, body)| (0, body));
    let mut known: Vec<String> =
        Device::registered(objects).into_iter().map(|device| device.id.into()).collect();
    known.sort();
    if json {
        println!("{}", json!(known));
    } else {
        known.iter().for_each(|id| println!("{id}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn cancel(pocket: &Pocket, uid: &str, json: bool) -> Result<ExitCode, String> {
    let me = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let name = TaskUid::new(uid).map_err(text)?;
    for (path, body) in pocket.files(request::DATASTORE) {
        let sent = itip::read(&String::from_utf8_lossy(&body), &me);
        if sent.is_ok_and(|sent| sent.task.uid == name) {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            return say(json, &name, "taken back; the next sync of ./requests says so");
        }
    }
    Err(format!("{uid}: not set for anybody from here"))
}

fn say(json: bool, uid: &TaskUid, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "uid": uid.as_str()}));
    } else {
        println!("{}: {words}", uid.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
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
