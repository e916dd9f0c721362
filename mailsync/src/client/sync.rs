//! `mailsync sync`: one session with a server, from the scan of the folder to its report.

use super::dirstore::{DirStore, DirStoreError, Layout, database};
use super::http::{Http, HttpError};
use super::options::{Items, Options, StoreOption, config};
use super::progress::Progress;
use super::report::{Report, StoreReport};
use crate::record::Recorder;
use crate::store::{Bodies, SqliteStore};
use crate::turns;
use bytes::Bytes;
use mailsync_proto::mail::forward::Way;
use mailsync_proto::probe::announced;
use mailsync_proto::sync::client::notified::{self, Notification, NotifiedError};
use mailsync_proto::sync::client::{self, Config, NextHop, Plan, TurnError};
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::store::{Commit, Found, Read, SessionRow, Store, StoreError, Value};
use mailsync_proto::sync::turn::{Moment, Step, Turn};
use std::path::{Path, PathBuf};
use std::time::Duration;
use syncml::san::AlertKey;
use syncml::session::{FirstFailure, SessionError, fallback};
use syncml::{StatusCode, Version};

/// Why a sync did not take place. What was synced before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The folder.
    #[error(transparent)]
    Dir(#[from] DirStoreError),
    /// A file of ours in the folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The folder is somebody else's: a sync would send their mail to the wrong account.
    #[error("{}: this folder belongs to user {owner}; sync {user} into another one", path.display())]
    OtherUser {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who wanted to sync it.
        user: String,
    },
    /// The server cannot be reached, or is none.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The session.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The notification.
    #[error("the notification begins no session: {0}")]
    Notified(#[from] NotifiedError),
    /// The session's value.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The folder's state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error(transparent)]
    System(#[from] turns::Failure),
}

/// Messages of one session, at most: an end to any game of ping-pong.
const MESSAGES: u32 = 100_000;

/// Syncs, and says what came of it.
///
/// # Errors
/// When there was no session, or it broke. A datastore that failed is in the report.
pub fn run(options: &Options) -> Result<Report, SyncError> {
    let layouts: Vec<(&str, Layout)> = options.stores.iter().map(StoreOption::layout).collect();
    let dir = DirStore::open(&options.dir, "", &layouts)?;
    owned(&options.dir, &options.user)?;
    let mut config = config(options, device_id(&options.dir, options.device.as_deref())?);
    let mut progress = Progress::new(options.verbose);
    for store in &options.stores {
        let found = dir.scan(&store.local, turns::unix_now())?;
        progress.scanned(&store.local, &found);
    }
    let http = Http::new(options.ca.as_deref(), config.limits.message_bytes)?;
    let plan = |store: &StoreOption| {
        let mut plan = Plan::new(&store.local, &store.remote, options.mode);
        if matches!(store.items, Items::Mail) {
            plan.filter.clone_from(&options.mail);
        }
        plan
    };
    let known: Vec<Plan> = options.stores.iter().map(plan).collect();
    let mut notification =
        options.notification.as_ref().map(|octets| Notification::read(octets, None)).transpose()?;
    let plans = notification.as_ref().map_or_else(|| known.clone(), |asks| asks.plans(&known));
    let mut report = Report::new(plans.iter().map(|plan| StoreReport::new(&plan.name)).collect());
    let recorder = match &options.record {
        Some(path) => {
            let failed = |source| SyncError::Io { path: path.clone(), source };
            Some(Recorder::new(path.clone()).map_err(failed)?)
        }
        None => None,
    };
    let mut line = Line { http, recorder };
    let outcome = loop {
        let mut turns = Turns { dir: &dir, kept: options.dry_run.then(Vec::new) };
        let asks = (&plans[..], notification.take());
        match session(&mut turns, &mut line, &config, asks, &mut report, &mut progress) {
            Ok(Some(lower)) => config.session.version = lower,
            done => break done,
        }
    };
    progress.end();
    // What came before a break is kept, and its files are safe.
    dir.finish()?;
    outcome?;
    report.close();
    Ok(report)
}

/// By what a notification of our server is known now: it changes with every session.
pub(super) fn alert_key(options: &Options) -> Result<AlertKey, SyncError> {
    let config = config(options, device_id(&options.dir, options.device.as_deref())?);
    let store = SqliteStore::open(database(&options.dir), Bodies::Inside).map_err(DirStoreError::from)?;
    let read = notified::key_row(&config);
    let found = store.read(std::slice::from_ref(&read))?;
    Ok(notified::key(&config, &found)?)
}

/// How long to wait for a server that is busy and does not say.
const BUSY: Duration = Duration::from_secs(5);

/// The way to the server.
struct Line {
    http: Http,
    recorder: Option<Recorder>,
}

impl Line {
    fn post(&mut self, hop: &NextHop, message: &Bytes, report: &mut Report) -> Result<Bytes, SyncError> {
        let answer = self.http.post(hop, message)?;
        report.message(message.len(), answer.len());
        if let Some(recorder) = &self.recorder {
            // A record that cannot be written costs the record only.
            if let Err(error) = recorder.own(hop.encoding, &hop.url, message, &answer) {
                eprintln!("mailsync: cannot record: {error}; going on without");
                self.recorder = None;
            }
        }
        Ok(answer)
    }
}

/// The turns of a session: committed to the folder, or, in a dry run, kept beside it and forgotten.
struct Turns<'a> {
    dir: &'a DirStore,
    /// What a dry run's session says instead of the folder.
    kept: Option<Vec<(Read, Value)>>,
}

impl Turns<'_> {
    /// Runs a turn until it misses nothing, and keeps what it says.
    fn run<E>(
        &mut self,
        mut turn: impl FnMut(Moment, &Found) -> Result<Step<Event>, E>,
    ) -> Result<Turn<Event>, SyncError>
    where
        SyncError: From<E>,
    {
        let at = turns::moment()?;
        let mut found = Found::default();
        for _ in 0..turns::ROUNDS {
            match turn(at, &found)? {
                Step::Need(reads) => {
                    found.extend(self.dir.read(&reads)?);
                    self.kept
                        .iter()
                        .flatten()
                        .for_each(|(read, value)| found.insert(read.clone(), value.clone()));
                }
                // A client has no stored answer to give.
                Step::Again(_) => break,
                Step::Done(done) => {
                    self.keep(&done)?;
                    return Ok(*done);
                }
            }
        }
        Err(turns::Failure::Endless.into())
    }

    fn keep(&mut self, done: &Turn<Event>) -> Result<(), SyncError> {
        let Some(kept) = &mut self.kept else {
            self.dir.commit(&Commit { session: done.session.clone(), writes: done.writes.clone() })?;
            return Ok(());
        };
        let Some(session) = &done.session else { return Ok(()) };
        let key = Read::Session(session.token.clone());
        let row = session.value.as_ref().map(|value| SessionRow {
            version: session.expect.saturating_add(1),
            value: value.clone(),
            answer: session.answer.clone(),
        });
        kept.retain(|(read, _)| *read != key);
        kept.push((key, Value::Session(row)));
        Ok(())
    }
}

/// One session; a version when the server takes none of ours but perhaps that one. A dry run ends before the first message
/// that holds changes: what would be sent is known then, and nothing of it is.
fn session(
    turns: &mut Turns<'_>,
    line: &mut Line,
    config: &Config,
    (plans, notification): (&[Plan], Option<Notification>),
    report: &mut Report,
    progress: &mut Progress,
) -> Result<Option<Version>, SyncError> {
    let mut turn = match notification {
        Some(asks) => turns.run(|at, found| notified::start(config, at, &asks, plans, found))?,
        None => turns.run(|at, found| client::start(config, at, plans, found))?,
    };
    let mut wait = None;
    for n in 0..MESSAGES {
        for event in &turn.events {
            if let Some(version) = lower_version(event, config) {
                return Ok(Some(version));
            }
            if let Event::Announces { extensions } = event
                && let Some(ways) = Way::announced(extensions)
            {
                keep_ways(turns.dir.root(), &ways)?;
            }
            report.take(event);
            progress.event(event);
        }
        if turn.events.contains(&Event::Busy) {
            std::thread::sleep(wait.unwrap_or(BUSY));
        }
        let Some(session) = &turn.session else { return Ok(None) };
        let Some(value) = &session.value else { return Ok(None) };
        let hop = client::next_hop(config, value, &turn.message)?;
        if turns.kept.is_some() {
            let said = client::decode(config, hop.encoding, &turn.message).map_err(TurnError::from)?;
            let announced = announced(said.message());
            if !announced.is_empty() {
                announced.iter().for_each(|(remote, changes)| report.would_send(plans, remote, *changes));
                return Ok(None);
            }
        }
        let answer = match line.post(&hop, &turn.message, report) {
            Err(SyncError::Http(HttpError::Status { status, body, url })) => {
                let lower = fallback(config.session.version, FirstFailure::Http(status)).filter(|_| n == 0);
                if lower.is_some() {
                    return Ok(lower);
                }
                return Err(HttpError::Status { status, body, url }.into());
            }
            answer => answer?,
        };
        let message = client::decode(config, hop.encoding, &answer).map_err(TurnError::from)?;
        let message = message.with_mac(line.http.mac().as_deref());
        wait = line.http.wait();
        let token = session.token.clone();
        turn = turns.run(|at, found| client::turn(config, at, &token, &message, found))?;
    }
    Err(SessionError::NoProgress(u8::MAX).into())
}

/// The version to try when the server said that it does not take ours.
fn lower_version(event: &Event, config: &Config) -> Option<Version> {
    let Event::LoginRefused { code, .. } = event else { return None };
    fallback(config.session.version, FirstFailure::Status(StatusCode(*code)))
}

fn ways_file(dir: &Path) -> PathBuf {
    dir.join(".mailsync").join("forward-ways")
}

/// Keeps how the server can forward.
fn keep_ways(dir: &Path, ways: &[Way]) -> Result<(), SyncError> {
    let path = ways_file(dir);
    let text: String = ways.iter().map(|way| format!("{}\n", way.as_str())).collect();
    std::fs::write(&path, text).map_err(|source| SyncError::Io { path, source })
}

/// How the server said last that it can forward; none where it has not said.
// mission: M6
pub(super) fn ways(dir: &Path) -> Option<Vec<Way>> {
    let text = std::fs::read_to_string(ways_file(dir)).ok()?;
    Some(text.lines().filter_map(Way::parse).collect())
}

/// A folder belongs to the user who syncs it first.
pub(crate) fn owned(dir: &Path, user: &str) -> Result<(), SyncError> {
    let path = dir.join(".mailsync").join("user");
    let failed = |source| SyncError::Io { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(owner) if owner.trim() == user => Ok(()),
        Ok(owner) => Err(SyncError::OtherUser {
            path: dir.to_owned(),
            owner: owner.trim().escape_debug().to_string(),
            user: user.to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::write(&path, format!("{user}\n")).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The device id: what was said, else what the folder keeps, else a new one.
pub(crate) fn device_id(dir: &Path, given: Option<&str>) -> Result<String, SyncError> {
    if let Some(device) = given {
        return Ok(device.to_owned());
    }
    let path = dir.join(".mailsync").join("device");
    let failed = |source| SyncError::Io { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(device) if !device.trim().is_empty() => Ok(device.trim().to_owned()),
        Ok(_) => Err(failed(std::io::Error::other("it is empty; delete it to become a new device"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let random: String =
                turns::moment()?.entropy.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let device = format!("mailsync-{random}");
            std::fs::write(&path, format!("{device}\n")).map_err(failed)?;
            Ok(device)
        }
        Err(error) => Err(failed(error)),
    }
}
