//! `mailsync sync`: one session with a server, from the scan of the folder to its report.

use super::dirstore::{DirStore, DirStoreError, Kind, Layout};
use super::http::{Http, HttpError};
use super::progress::Progress;
use super::report::{Report, StoreReport};
use crate::record::Recorder;
use crate::turns;
use bytes::Bytes;
use mailsync_proto::mail::MailCollection;
use mailsync_proto::pim::{PimCollection, Profile};
use mailsync_proto::plain::PlainCollection;
use mailsync_proto::probe::announced;
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::client::{self, Config, NextHop, Plan, TurnError};
use mailsync_proto::sync::collection::Collection;
use mailsync_proto::sync::devinf::Identity;
use mailsync_proto::sync::event::{ConflictRule, Event, Mode};
use mailsync_proto::sync::store::{Commit, Found, Read, SessionRow, Store, StoreError, Value};
use mailsync_proto::sync::turn::{Moment, Step, Turn};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syncml::session::auth::Scheme;
use syncml::session::{ClientConfig, FirstFailure, SessionError, fallback};
use syncml::{CtType, Encoding, Limits, Quirks, StatusCode, Version};

/// What to sync, with whom, how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's URL.
    pub server: String,
    /// The user name.
    pub user: String,
    /// The sync password.
    pub password: String,
    /// The folder.
    pub dir: PathBuf,
    /// The datastores.
    pub stores: Vec<StoreOption>,
    /// The device id; none: made once and kept in the folder.
    pub device: Option<String>,
    /// How.
    pub mode: Mode,
    /// The spelling.
    pub encoding: Encoding,
    /// The protocol version.
    pub version: Version,
    /// How to log in.
    pub scheme: Scheme,
    /// Octets of the largest message we take.
    pub max_msg_size: u32,
    /// Octets of the largest object we take.
    pub max_obj_size: u64,
    /// Certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Where every message is recorded.
    pub record: Option<PathBuf>,
    /// Log in, find out what would be sent, send nothing.
    pub dry_run: bool,
    /// Say what happens, on stderr.
    pub verbose: bool,
}

/// One `--store LOCAL[=REMOTE][:TYPE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOption {
    /// Our name, and the folder's.
    pub local: String,
    /// The server's path.
    pub remote: String,
    /// What its items are.
    pub items: Items,
}

/// What the items of a datastore are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Mail, in Maildir++.
    Mail,
    /// People, tasks or events, one file each; only of this type if one was named.
    Pim(Profile, Option<String>),
    /// Anything of this type, one file each.
    Plain(String),
}

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
    let plans: Vec<Plan> =
        options.stores.iter().map(|store| Plan::new(&store.local, &store.remote, options.mode)).collect();
    let mut report = Report::new(options.stores.iter().map(|s| StoreReport::new(&s.local)).collect());
    let recorder = match &options.record {
        Some(path) => {
            let failed = |source| SyncError::Io { path: path.clone(), source };
            Some(Recorder::new(path.clone()).map_err(failed)?)
        }
        None => None,
    };
    let mut line = Line { http, recorder };
    let outcome = loop {
        let run = if options.dry_run { dry_run } else { session };
        match run(&dir, &mut line, &config, &plans, &mut report, &mut progress) {
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

/// Logs in and looks at the first message of changes: what would be sent is known, and nothing of it is.
fn dry_run(
    dir: &DirStore,
    line: &mut Line,
    config: &Config,
    plans: &[Plan],
    report: &mut Report,
    progress: &mut Progress,
) -> Result<Option<Version>, SyncError> {
    // What the turns decide is kept beside the store, and forgotten.
    let mut known: Vec<(Read, Value)> = Vec::new();
    let mut turn = try_turn(dir, &known, |at, found| client::start(config, at, plans, found))?;
    for _ in 0..MESSAGES {
        for event in &turn.events {
            if let Some(version) = lower_version(event, config) {
                return Ok(Some(version));
            }
            report.take(event);
            progress.event(event);
        }
        let Some(session) = &turn.session else { return Ok(None) };
        let Some(value) = &session.value else { return Ok(None) };
        let hop = client::next_hop(config, value, &turn.message)?;
        let said = client::decode(config, hop.encoding, &turn.message).map_err(TurnError::from)?;
        let announced = announced(said.message());
        if !announced.is_empty() {
            announced.iter().for_each(|(remote, changes)| report.would_send(plans, remote, *changes));
            return Ok(None);
        }
        let answer = line.post(&hop, &turn.message, report)?;
        let message = client::decode(config, hop.encoding, &answer).map_err(TurnError::from)?;
        let row = SessionRow {
            version: session.expect.saturating_add(1),
            value: value.clone(),
            answer: session.answer.clone(),
        };
        let token = session.token.clone();
        known.retain(|(read, _)| *read != Read::Session(token.clone()));
        known.push((Read::Session(token.clone()), Value::Session(Some(row))));
        turn = try_turn(dir, &known, |at, found| client::turn(config, at, &token, &message, found))?;
    }
    Err(SessionError::NoProgress(u8::MAX).into())
}

/// The version to try when the server said that it does not take ours.
fn lower_version(event: &Event, config: &Config) -> Option<Version> {
    let Event::LoginRefused { code, .. } = event else { return None };
    fallback(config.session.version, FirstFailure::Status(StatusCode(*code)))
}

/// One session; a version when the server takes none of ours but perhaps that one.
fn session(
    dir: &DirStore,
    line: &mut Line,
    config: &Config,
    plans: &[Plan],
    report: &mut Report,
    progress: &mut Progress,
) -> Result<Option<Version>, SyncError> {
    let mut turn = run_turn(dir, |at, found| client::start(config, at, plans, found))?;
    for n in 0..MESSAGES {
        for event in &turn.events {
            if let Some(version) = lower_version(event, config) {
                return Ok(Some(version));
            }
            report.take(event);
            progress.event(event);
        }
        let Some(session) = &turn.session else { return Ok(None) };
        let Some(value) = &session.value else { return Ok(None) };
        let hop = client::next_hop(config, value, &turn.message)?;
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
        let token = session.token.clone();
        turn = run_turn(dir, |at, found| client::turn(config, at, &token, &message, found))?;
    }
    Err(SessionError::NoProgress(u8::MAX).into())
}

/// Runs a turn until it misses nothing, and commits it.
fn run_turn(
    dir: &DirStore,
    turn: impl FnMut(Moment, &Found) -> Result<Step<Event>, TurnError>,
) -> Result<Turn<Event>, SyncError> {
    let done = try_turn(dir, &[], turn)?;
    dir.commit(&Commit { session: done.session.clone(), writes: done.writes.clone() })?;
    Ok(done)
}

/// Runs a turn until it misses nothing; `known` stands before what the store says.
fn try_turn(
    dir: &DirStore,
    known: &[(Read, Value)],
    mut turn: impl FnMut(Moment, &Found) -> Result<Step<Event>, TurnError>,
) -> Result<Turn<Event>, SyncError> {
    let at = turns::moment()?;
    let mut found = Found::default();
    for _ in 0..turns::ROUNDS {
        match turn(at, &found)? {
            Step::Need(reads) => {
                found.extend(dir.read(&reads)?);
                known.iter().for_each(|(read, value)| found.insert(read.clone(), value.clone()));
            }
            // A client has no stored answer to give.
            Step::Again(_) => break,
            Step::Done(done) => return Ok(*done),
        }
    }
    Err(turns::Failure::Endless.into())
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

fn config(options: &Options, device: String) -> Config {
    let mut limits = Limits::default();
    // A server may answer with a little more than we take.
    limits.message_bytes = (options.max_msg_size as usize).max(1 << 20).saturating_mul(2);
    Config {
        server_id: format!("{}@{}", options.user, options.server).into(),
        stores: options.stores.iter().map(StoreOption::config).collect(),
        identity: Identity {
            man: "mailsync".into(),
            model: "mailsync".into(),
            swv: env!("CARGO_PKG_VERSION").into(),
            dev_id: device.as_str().into(),
            dev_typ: "workstation".into(),
        },
        session: ClientConfig {
            server_url: options.server.as_str().into(),
            device: device.into(),
            user: options.user.as_str().into(),
            password: options.password.as_str().into(),
            scheme: options.scheme,
            version: options.version,
            encoding: options.encoding,
            max_msg_size: options.max_msg_size,
            max_obj_size: options.max_obj_size,
        },
        limits,
        quirks: Quirks::default(),
        server_login: None,
    }
}

impl StoreOption {
    /// Reads `LOCAL[=REMOTE][:TYPE]`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (names, media_type) = match text.split_once(':') {
            Some((names, media_type)) => (names, Some(media_type.to_ascii_lowercase())),
            None => (text, None),
        };
        let (local, remote) = names.split_once('=').unwrap_or((names, names));
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if local.is_empty() || !local.chars().all(named) {
            return Err(format!("{local:?} is no name of a datastore: letters, digits, - and _"));
        }
        if remote.is_empty() || media_type.as_deref().is_some_and(|t| !t.contains('/')) {
            return Err("expected LOCAL[=REMOTE][:TYPE], as notes=./note:text/plain".into());
        }
        let remote = if remote == local { format!("./{remote}") } else { remote.to_owned() };
        let profile = Profile::named(local).or_else(|| Profile::of_type(media_type.as_deref()?));
        let items = match (local, media_type, profile) {
            ("mail", None, _) => Items::Mail,
            ("mail", Some(_), _) => return Err("mail has a type of its own".into()),
            (_, media_type, Some(profile)) => match media_type {
                Some(other) if !profile.formats().iter().any(|format| format.media_type() == other) => {
                    let known: Vec<&str> =
                        profile.formats().iter().map(|format| format.media_type()).collect();
                    return Err(format!("{local}: {other} is none of its types: {}", known.join(", ")));
                }
                media_type => Items::Pim(profile, media_type),
            },
            (_, media_type, None) => Items::Plain(media_type.unwrap_or_else(|| "text/plain".into())),
        };
        Ok(StoreOption { local: local.into(), remote, items })
    }

    fn layout(&self) -> (&str, Layout) {
        let layout = match &self.items {
            Items::Mail => Layout::Mail,
            Items::Pim(profile, _) => Layout::Files(Kind::Pim(*profile)),
            Items::Plain(media_type) => Layout::Files(Kind::Plain(media_type.as_str().into())),
        };
        (&self.local, layout)
    }

    fn config(&self) -> StoreConfig {
        let collection: Arc<dyn Collection> = match &self.items {
            // The domain is of use only where mail is sent from.
            Items::Mail => Arc::new(MailCollection::new("invalid")),
            Items::Pim(profile, None) => Arc::new(PimCollection::new(*profile)),
            Items::Pim(profile, Some(only)) => Arc::new(PimCollection::new(*profile).only(only)),
            Items::Plain(media_type) => {
                Arc::new(PlainCollection::new(&self.local, vec![CtType::new(media_type, "1.0")]))
            }
        };
        StoreConfig {
            name: self.local.as_str().into(),
            aliases: Vec::new(),
            collection,
            conflict: ConflictRule::ServerWins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Items, StoreOption};
    use mailsync_proto::pim::Profile;

    #[test]
    fn store_options() {
        let notes = StoreOption::parse("notes=note:text/plain").unwrap();
        assert_eq!((&*notes.local, &*notes.remote), ("notes", "note"));
        let mail = StoreOption::parse("mail").unwrap();
        assert_eq!((&*mail.remote, mail.items), ("./mail", Items::Mail));
        let people = StoreOption::parse("contacts=card:text/x-vcard").unwrap();
        assert_eq!(people.items, Items::Pim(Profile::Contacts, Some("text/x-vcard".into())));
        assert_eq!(StoreOption::parse("todo=./t").unwrap().items, Items::Pim(Profile::Tasks, None));
        let named = StoreOption::parse("x:text/calendar").unwrap();
        assert_eq!(named.items, Items::Pim(Profile::Calendar, Some("text/calendar".into())));
        for bad in
            ["", "=x", "a/b", "notes:plain", "mail:text/plain", "../x", "notes=", "contacts:text/calendar"]
        {
            assert!(StoreOption::parse(bad).is_err(), "{bad}");
        }
    }
}
