//! A client's tasks in its folder: the engine's value, the objects of `./reminders`, own entries and groups as files.

use super::terminal::{Clock, Folder};
use crate::store::private_dir;
use bytes::Bytes;
use mailsync_proto::tasks::bell::{Bell, BellError};
use mailsync_proto::tasks::group::FriendGroup;
use mailsync_proto::tasks::{Reminder, group, reminder, request};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use timesync::UnixTime;
use timesync::appoint::Place;
use timesync::task::{Ack, ClientId, FriendGroups, Task, UserId};

/// Octets of an entry that is looked at.
const ENTRY: u64 = 1 << 20;

/// Where the client keeps its tasks.
pub(crate) struct Pocket {
    dir: PathBuf,
    clock: Clock,
    owner: UserId,
    client: ClientId,
}

/// The datastores whose files we change ourselves.
pub(crate) const OWN: [&str; 4] = ["calendar", "tasks", request::DATASTORE, group::DATASTORE];

/// How files looked: size and time of change, by datastore and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(BTreeMap<(&'static str, OsString), Option<Looks>>);

type Looks = (u64, Option<SystemTime>);

impl Mark {
    /// How many files look otherwise, came or went.
    pub(crate) fn changes(&self, now: &Mark) -> usize {
        let other = self.0.iter().filter(|(name, looks)| now.0.get(*name) != Some(*looks)).count();
        other + now.0.keys().filter(|name| !self.0.contains_key(*name)).count()
    }
}

/// The engine's value, locked while it is worked on.
pub(crate) struct Held<'p> {
    pocket: &'p Pocket,
    pub(crate) bell: Bell,
    _lock: File,
}

impl Pocket {
    /// The pocket of a folder that belongs to a user.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn open(
        dir: &Path,
        user: &str,
        device: &str,
        zone: Option<&str>,
        clock_offset: i64,
    ) -> Result<Self, String> {
        private_dir(&dir.join(".mailsync")).map_err(text)?;
        Ok(Pocket {
            dir: dir.to_owned(),
            clock: Clock::new(zone, clock_offset)?,
            owner: UserId::new(user).map_err(text)?,
            client: ClientId::new(device).map_err(text)?,
        })
    }

    pub(crate) fn owner(&self) -> &UserId {
        &self.owner
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// True time: our clock put right by what is known of it.
    // mission: T8
    pub(crate) fn now(&self) -> Result<UnixTime, String> {
        let kept = Folder::open(&self.dir).and_then(|folder| folder.load()).map_err(text)?;
        Ok(kept.terminal.true_now(self.clock.face(kept.adjust).now).wall)
    }

    /// Works on the engine's value where times that name no zone are ours.
    pub(crate) fn with_place<T>(&self, work: impl FnOnce(Place<'_>) -> T) -> Result<T, String> {
        let zone = self.clock.zones.zone(&self.clock.zone).map_err(text)?;
        Ok(work(Place { zones: &self.clock.zones, zone: &zone }))
    }

    /// The zone in which we live.
    pub(crate) fn zone(&self) -> &timesync::zones::ZoneName {
        &self.clock.zone
    }

    /// The engine's value, waiting for whoever works on it.
    pub(crate) fn hold(&self) -> Result<Held<'_>, String> {
        let state = self.dir.join(".mailsync");
        let at = |error: std::io::Error| format!("{}: {error}", state.display());
        let lock = File::create(state.join("tasks.lock")).map_err(at)?;
        lock.lock().map_err(at)?;
        let path = self.state();
        let bell = match std::fs::read(&path) {
            Ok(octets) => {
                let bell = Bell::from_bytes(&octets);
                let bell = bell.map_err(|error: BellError| format!("{}: {error}", path.display()))?;
                // In another's name, or as another terminal, it would answer for what it never showed.
                if *bell.owner() == self.owner && *bell.client() == self.client { bell } else { self.fresh() }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.fresh(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(Held { pocket: self, bell, _lock: lock })
    }

    fn fresh(&self) -> Bell {
        Bell::new(self.owner.clone(), self.client.clone())
    }

    fn state(&self) -> PathBuf {
        self.dir.join(".mailsync").join("tasks")
    }

    /// Our groups.
    pub(crate) fn groups(&self) -> FriendGroups {
        let objects: Vec<Bytes> = self.files(group::DATASTORE).into_iter().map(|(_, body)| body).collect();
        FriendGroup::all(&self.owner, &objects)
    }

    /// The files of a datastore with what is in them.
    pub(crate) fn files(&self, datastore: &str) -> Vec<(PathBuf, Bytes)> {
        let Ok(entries) = std::fs::read_dir(self.dir.join(datastore)) else { return Vec::new() };
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let small = entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= ENTRY);
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if small
                && !hidden
                && let Ok(body) = std::fs::read(entry.path())
            {
                files.push((entry.path(), Bytes::from(body)));
            }
        }
        files.sort();
        files
    }

    /// What the files of our own datastores look like from outside.
    pub(crate) fn mark(&self) -> Mark {
        let mut files = BTreeMap::new();
        for datastore in OWN {
            let Ok(entries) = std::fs::read_dir(self.dir.join(datastore)) else { continue };
            for file in entries.flatten() {
                let meta = file.metadata().ok();
                let looks = meta.map(|meta| (meta.len(), meta.modified().ok()));
                files.insert((datastore, file.file_name()), looks);
            }
        }
        Mark(files)
    }

    /// Writes a file of a datastore: whole, or not at all.
    pub(crate) fn put(&self, datastore: &str, name: &str, body: &[u8]) -> Result<PathBuf, String> {
        let folder = self.dir.join(datastore);
        let path = folder.join(name);
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(&folder).map_err(at)?;
        let fresh = self.dir.join(".mailsync").join(format!("new-{datastore}"));
        let mut file = File::create(&fresh).map_err(at)?;
        file.write_all(body).and_then(|()| file.sync_all()).map_err(at)?;
        std::fs::rename(&fresh, &path).map_err(at)?;
        Ok(path)
    }

    /// Writes a task where it belongs; the name of its file is made of its name.
    pub(crate) fn put_task(&self, task: &Task) -> Result<PathBuf, String> {
        let (datastore, guid) = request::place_of(task);
        let text = timesync::task::ical::write(task);
        self.put(datastore, &format!("{}.ics", guid.as_str()), text.as_bytes())
    }

    /// The file that holds an entry of ours.
    pub(crate) fn entry_of(&self, uid: &str) -> Option<(PathBuf, String)> {
        let files = ["calendar", "tasks"].into_iter().flat_map(|datastore| self.files(datastore));
        let texts = files.filter_map(|(path, body)| Some((path, String::from_utf8(body.to_vec()).ok()?)));
        let mine = timesync::task::Setter { user: self.owner.clone(), client: self.client.clone() };
        texts.into_iter().find(|(_, text)| {
            timesync::task::ical::read(text, &self.owner, &mine).is_ok_and(|task| task.uid.as_str() == uid)
        })
    }
}

impl Held<'_> {
    /// Takes what the folder holds.
    pub(crate) fn read_folder(&mut self, now: UnixTime) -> Result<(), String> {
        let pocket = self.pocket;
        let links: Vec<Reminder> = pocket
            .files(reminder::DATASTORE)
            .iter()
            .filter_map(|(_, body)| Reminder::parse(body, &pocket.owner).ok())
            .collect();
        let own: Vec<String> = ["calendar", "tasks"]
            .into_iter()
            .flat_map(|datastore| pocket.files(datastore))
            .filter_map(|(_, body)| String::from_utf8(body.to_vec()).ok())
            .collect();
        let bell = &mut self.bell;
        pocket.with_place(|place| {
            bell.links(now, &links, place);
            bell.own(now, own.iter().map(String::as_str), place);
        })
    }

    /// Keeps it: whole and on disk, or not at all.
    pub(crate) fn store(&self) -> Result<(), String> {
        let path = self.pocket.state();
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let octets = self.bell.to_bytes().map_err(text)?;
        if std::fs::read(&path).is_ok_and(|before| before == octets) {
            return Ok(());
        }
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh).map_err(at)?;
        file.write_all(&octets).and_then(|()| file.sync_all()).map_err(at)?;
        std::fs::rename(&fresh, &path).map_err(at)
    }

    /// Writes down the feedback that the server has not got; the next sync takes it along.
    pub(crate) fn write_feedback(&self) -> Result<Vec<Ack>, String> {
        let acks = self.bell.feedback();
        for ack in &acks {
            let object = Reminder::Feedback(ack.clone());
            let name = object.guid();
            if !self.pocket.dir.join(reminder::DATASTORE).join(name.as_str()).exists() {
                self.pocket.put(reminder::DATASTORE, name.as_str(), &object.to_xml())?;
            }
        }
        Ok(acks)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
