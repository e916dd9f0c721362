//! `mailsync task`: time tasks of one's own and for others, in the folder; the next sync takes them along.

use super::letters::{self, Letters};
use super::pocket::Pocket;
use super::task_add::{self, Add, duration};
use super::{post, task_answer};
use crate::client::device_id;
use crate::store::private_dir;
use mailsync_proto::mail::device::{self, Device};
use mailsync_proto::tasks::direct::Friends;
use mailsync_proto::tasks::request;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use timesync::UnixTime;
use timesync::civil::shown_at;
use timesync::task::ical;
use timesync::task::ical::itip::{self, Method};
use timesync::task::{Setter, Task as TimeTask, TaskUid};

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
        /// The secrets shared with friends, where it went by mail: lines of NAME SECRET
        #[arg(long, value_name = "FILE")]
        direct_keys: Option<PathBuf>,
    },
    /// Take what somebody asks by mail or short message who could not prove who it is
    Accept {
        #[command(flatten)]
        own: Own,
        /// Its id, as listed
        uid: String,
    },
    /// Refuse it
    Refuse {
        #[command(flatten)]
        own: Own,
        /// Its id, as listed
        uid: String,
        /// What the other is told
        #[arg(long, value_name = "TEXT", default_value = "not wanted")]
        why: String,
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
        Task::Add(add) => task_add::add(*add, json),
        Task::List { own } => list(&own.pocket()?, json),
        Task::Done { own, uid } => done(&own.pocket()?, &uid, json),
        Task::Snooze { own, uid, by } => snooze(&own.pocket()?, &uid, by, json),
        Task::Clients { own } => clients(&own.pocket()?, json),
        Task::Cancel { own, uid, direct_keys } => {
            let friends = direct_keys.as_deref().map(task_add::friends).transpose()?;
            cancel(&own.pocket()?, &uid, friends.as_ref(), json)
        }
        Task::Accept { own, uid } => task_answer::accept(&own.pocket()?, &uid, json),
        Task::Refuse { own, uid, why } => task_answer::refuse(&own.pocket()?, &uid, &why, json),
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
    for (kind, word) in [(letters::Kind::Asked, "asked"), (letters::Kind::Waiting, "asks")] {
        for (_, letter) in Letters::of(pocket.dir()).all(kind) {
            let Ok(entry) = post::read_claimed(&letter.calendar, pocket) else { continue };
            let state = letter.state.as_deref().unwrap_or(word);
            let at = pocket.with_place(|place| entry.task.next(None, place))?.ok().flatten();
            let mut line = line(&entry.task, at, state);
            (line["by"], line["with"]) = (letter.way.name().into(), letter.with.into());
            lines.push(line);
        }
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

fn cancel(pocket: &Pocket, uid: &str, friends: Option<&Friends>, json: bool) -> Result<ExitCode, String> {
    let me = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let name = TaskUid::new(uid).map_err(text)?;
    for (path, body) in pocket.files(request::DATASTORE) {
        let sent = itip::read(&String::from_utf8_lossy(&body), &me);
        if sent.is_ok_and(|sent| sent.task.uid == name) {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            return say(json, &name, "taken back; the next sync of ./requests says so");
        }
    }
    if let Some((path, letter, entry)) = task_answer::find(pocket, letters::Kind::Asked, uid) {
        if letter.way == letters::Way::Sms {
            return Err(format!("{uid}: asked by short message, which takes nothing back"));
        }
        let (task, between) = (&entry.task, (&*letter.own, &*letter.with));
        let secret = post::secret_of(friends, &task.owner);
        post::ask_by_mail(pocket, task, Method::Cancel, between, secret, pocket.now()?)?;
        std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return say(json, &name, "taken back; the next sync sends it");
    }
    Err(format!("{uid}: not set for anybody from here"))
}

pub(super) fn say(json: bool, uid: &TaskUid, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "uid": uid.as_str()}));
    } else {
        println!("{}: {words}", uid.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
