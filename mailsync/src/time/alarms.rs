//! Time tasks in `mailsync watch`: shows what is due, hears tasks of other clients, says when a sync is wanted.

use super::brought::{self, Taken};
use super::direct::{Call, Door};
use super::pocket::{Mark, Pocket};
use super::post::Post;
use crate::sms::Link;
use bytes::Bytes;
use mailsync_proto::tasks::direct::{self, Friends};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use timesync::UnixTime;
use timesync::task::{Ack, ClientEvent, DirectReply, Extra, ExtraData, ExtraKind, Occurrence, Task, TaskUid};

/// What `mailsync watch` is told of tasks.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AlarmArgs {
    /// Show time tasks: sync ./tasks, ./calendar, ./reminders, ./requests and ./groups, and ring
    #[arg(long)]
    pub(crate) tasks: bool,
    /// Seconds after its moment at which a task is shown although nobody said so
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "tasks")]
    task_grace: u32,
    /// Take tasks of friends' clients here, over HTTP
    #[arg(long, value_name = "ADDRESS", requires = "direct_keys")]
    direct: Option<SocketAddr>,
    /// The secrets shared with those friends: lines of NAME SECRET
    #[arg(long, value_name = "FILE", requires = "tasks")]
    direct_keys: Option<PathBuf>,
    /// A clock that is wrong on purpose
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 0, allow_hyphen_values = true)]
    clock_offset: i64,
}

impl AlarmArgs {
    /// The error of the clock, seconds.
    pub(crate) fn clock_offset(&self) -> i64 {
        self.clock_offset
    }
}

/// The tasks of a running client.
pub(crate) struct Alarms {
    pocket: Pocket,
    door: Option<Door>,
    friends: Friends,
    /// The phone's link, where there is one.
    phone: Option<Link>,
    /// Calendar entries that came in short messages, each with its sender.
    entries: VecDeque<(String, Bytes)>,
    /// A sync brought mail that was not looked at.
    mailed: bool,
    /// Mail was put into the outbox.
    posted: bool,
    grace: Duration,
    /// Feedback and tasks of others that the last sync could take along.
    sent: (Vec<Ack>, BTreeSet<TaskUid>),
    /// Not before then is a sync asked for again.
    asked: Option<Instant>,
    read: Option<Instant>,
    /// The files of ours as the last sync left them.
    synced: Option<Mark>,
    /// The same as the sync that is under way found them.
    found: Mark,
}

/// Something for the person.
pub(crate) struct Line {
    pub(crate) json: Value,
    pub(crate) words: String,
    /// What the hook is told, with the extras as files.
    pub(crate) hook: Option<Shown>,
}

impl Line {
    /// Something that rings no bell.
    fn said(json: Value) -> Line {
        Line { words: clean(&json.to_string()), json, hook: None }
    }
}

/// A task that rings.
pub(crate) struct Shown {
    pub(crate) event: Value,
    files: Vec<(ExtraKind, PathBuf)>,
}

/// How often the folder is read: other programs put entries there.
const READ: Duration = Duration::from_secs(1);
/// Between two syncs that we ask for.
const ASK: Duration = Duration::from_secs(3);

impl Alarms {
    /// # Errors
    /// In words.
    pub(crate) fn open(pocket: Pocket, args: &AlarmArgs, phone: Option<Link>) -> Result<Self, String> {
        let friends = match &args.direct_keys {
            Some(path) => {
                let words = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
                Friends::parse(&words).map_err(|error| format!("{}: {error}", path.display()))?
            }
            None => Friends::default(),
        };
        let door = args.direct.map(Door::open).transpose()?;
        let grace = Duration::from_secs(args.task_grace.into());
        let sent = (Vec::new(), BTreeSet::new());
        Ok(Alarms {
            pocket,
            door,
            friends,
            phone,
            entries: VecDeque::new(),
            mailed: true,
            posted: false,
            grace,
            sent,
            asked: None,
            read: None,
            synced: None,
            found: Mark::default(),
        })
    }

    /// A calendar entry came in short messages.
    pub(crate) fn entry(&mut self, from: String, octets: Bytes) {
        self.entries.push_back((from, octets));
    }

    /// Where other clients reach us.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(|door| door.address)
    }

    /// Does what is due, and hears who calls.
    ///
    /// # Errors
    /// In words: the folder.
    pub(crate) fn step(&mut self) -> Result<Vec<Line>, String> {
        let now = self.pocket.now()?;
        let mut lines = Vec::new();
        let mut held = self.pocket.hold()?;
        // A small part of the grace, so that the friends' terminals do not all ring at once.
        held.bell.reconfigure(self.grace, self.grace / 8);
        if self.read.is_none_or(|read| read.elapsed() >= READ) {
            held.read_folder(now)?;
            self.read = Some(Instant::now());
        }
        while let Some(call) = self.door.as_ref().and_then(Door::next) {
            let Call { body, proof, answer } = call;
            let (status, words, line) =
                match brought::take(&self.pocket, &mut held, &self.friends, now, (&body, &proof))? {
                    Taken::Unproved(error) => {
                        (401, String::new(), json!({"event": "task refused", "why": error.to_string()}))
                    }
                    Taken::Heard(line) => (200, String::new(), line),
                    Taken::Answered(task, reply, line) => {
                        let status = if reply == DirectReply::Accepted { 200 } else { 403 };
                        (status, direct::reply(&task, &reply, now), line)
                    }
                };
            // Who called may have gone.
            let _ = answer.send((status, words));
            lines.push(Line::said(line));
        }
        let post = Post { pocket: &self.pocket, friends: &self.friends, phone: self.phone.as_ref() };
        if std::mem::take(&mut self.mailed) {
            let said = post.mails(&mut held, now)?;
            self.posted |= !said.is_empty();
            lines.extend(said.into_iter().map(Line::said));
        }
        while let Some((from, octets)) = self.entries.pop_front() {
            lines.extend(post.entry(&mut held, now, (&from, &octets))?.map(Line::said));
        }
        post.owed();
        let bell = &mut held.bell;
        self.pocket.with_place(|place| bell.handle_timeout(now, place))?;
        let mut events = Vec::new();
        while let Some(event) = held.bell.poll_event() {
            events.push(event);
        }
        // A crash from here on shows nothing twice.
        held.store()?;
        held.write_feedback()?;
        for event in events {
            lines.push(self.line(event, |uid| held.bell.task(uid).cloned())?);
        }
        Ok(lines)
    }

    /// How long to wait at most until the next step.
    pub(crate) fn pause(&self, most: Duration) -> Duration {
        let next = || {
            let now = self.pocket.now().ok()?;
            let at = self.pocket.hold().ok()?.bell.poll_timeout(now)?;
            Some(Duration::from_nanos(u64::try_from(at.since(now)).unwrap_or(0)))
        };
        let most = if self.door.is_some() { most.min(Duration::from_millis(200)) } else { most };
        next().map_or(most, |left| left.clamp(Duration::from_millis(10), most))
    }

    /// A sync would take something to the server now.
    pub(crate) fn wants_sync(&mut self) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK) {
            return false;
        }
        let Ok(held) = self.pocket.hold() else { return false };
        let wanted = self.posted
            || !held.bell.feedback().is_empty()
            || !held.bell.uploads().is_empty()
            || self.synced.as_ref().is_some_and(|synced| *synced != self.pocket.mark());
        drop(held);
        if wanted {
            self.asked = Some(Instant::now());
        }
        wanted
    }

    /// A sync begins: what is there now goes along.
    pub(crate) fn before_sync(&mut self) -> Result<(), String> {
        let held = self.pocket.hold()?;
        let uploads = held.bell.uploads().into_iter().map(|task| task.uid).collect();
        self.sent = (held.write_feedback()?, uploads);
        self.posted = false;
        self.found = self.pocket.mark();
        Ok(())
    }

    /// The sync was good; so many items of our own datastores came with it.
    pub(crate) fn after_sync(&mut self, received: usize) -> Result<(), String> {
        let (acks, uploads) = std::mem::take(&mut self.sent);
        let now = self.pocket.now()?;
        let mut held = self.pocket.hold()?;
        acks.iter().for_each(|ack| held.bell.confirmed(ack));
        held.bell.uploaded(now, &uploads);
        held.read_folder(now)?;
        self.read = Some(Instant::now());
        // More changed than the sync did: somebody wrote while it went on, and that went not along.
        let (before, after) = (std::mem::take(&mut self.found), self.pocket.mark());
        self.synced = Some(if before.changes(&after) > received { before } else { after });
        self.mailed = true;
        held.store()
    }

    fn line(&self, event: ClientEvent, task: impl Fn(&TaskUid) -> Option<Task>) -> Result<Line, String> {
        let (what, occurrence, late, alone) = match event {
            ClientEvent::Show { occurrence, late, alone } => ("task", occurrence, late, alone),
            ClientEvent::Missed { occurrence, late } => ("task missed", occurrence, late, false),
            ClientEvent::Dismiss { occurrence } => ("task dismissed", occurrence, 0, false),
            _ => return Err("an event of a newer engine".into()),
        };
        let task = task(&occurrence.uid);
        let (summary, more, from) = match &task {
            Some(task) => (clean(&task.summary), clean(&task.text), task.setter.user.as_str().to_owned()),
            None => Default::default(),
        };
        let json = json!({
            "event": what, "uid": occurrence.uid.as_str(), "summary": summary, "text": more, "from": from,
            "due_ms": millis(occurrence.at), "late_ms": late / 1_000_000, "alone": alone,
        });
        let by = if from.is_empty() || from == self.pocket.owner().as_str() {
            String::new()
        } else {
            format!(" (from {})", clean(&from))
        };
        let words = match what {
            "task" if more.is_empty() => format!("\u{7}*** {summary}{by}"),
            "task" => format!("\u{7}*** {summary}{by}: {more}"),
            "task missed" => format!("missed: {summary}{by}"),
            _ => format!("over: {summary}{by}"),
        };
        let hook = match (what, &task) {
            ("task", Some(task)) => {
                Some(Shown { event: json.clone(), files: self.extras(&occurrence, &task.extras)? })
            }
            _ => None,
        };
        Ok(Line { json, words, hook })
    }

    /// Extras as files, for whoever plays them; links stay links.
    fn extras(&self, occurrence: &Occurrence, extras: &[Extra]) -> Result<Vec<(ExtraKind, PathBuf)>, String> {
        let mut files = Vec::new();
        if extras.is_empty() {
            return Ok(files);
        }
        let folder = self.pocket.dir().join(".mailsync").join("shown");
        let at = |error: std::io::Error| format!("{}: {error}", folder.display());
        // What was shown last is over.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(at)?;
        for (n, extra) in extras.iter().enumerate() {
            let ExtraData::Inline(octets) = &extra.data else { continue };
            let end = extra.media_type.rsplit('/').next().unwrap_or("bin");
            let end: String = end.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
            let path = folder.join(format!("{}-{n}.{end}", occurrence.at.as_secs()));
            std::fs::write(&path, octets).map_err(at)?;
            files.push((extra.kind, path));
        }
        Ok(files)
    }
}

impl Shown {
    /// The command that rings, with what it may play and show.
    pub(crate) fn command(&self, hook: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", hook]).env("MAILSYNC_TASK", self.event.to_string());
        for name in ["summary", "text", "from"] {
            let value = self.event[name].as_str().unwrap_or_default();
            command.env(format!("MAILSYNC_TASK_{}", name.to_uppercase()), value);
        }
        for (kind, path) in &self.files {
            let name = match kind {
                ExtraKind::Audio => "MAILSYNC_TASK_AUDIO",
                ExtraKind::Picture => "MAILSYNC_TASK_PICTURE",
                ExtraKind::Animation => "MAILSYNC_TASK_ANIMATION",
                ExtraKind::Text => "MAILSYNC_TASK_NOTE",
            };
            command.env(name, path);
        }
        command
    }
}

/// Words of a stranger for a terminal.
fn clean(words: &str) -> String {
    words.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

fn millis(at: UnixTime) -> i64 {
    i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
