//! A server and a client over memory stores, and a wire between them that may lose, repeat and cut.
//!
//! Everything is a function of what is put in: moments count up from a fixed one, so a session plays the same
//! each time, and a stored request of it is a seed that stays good.

use crate::{Broken, ensure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::MailCollection;
use mailsync_proto::mail::mailbox::provision;
use mailsync_proto::plain::PlainCollection;
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::client::{self, NextHop, Plan};
use mailsync_proto::sync::devinf::Identity;
use mailsync_proto::sync::event::{ConflictRule, Event, Mode};
use mailsync_proto::sync::server::{self, Inbound, Route};
use mailsync_proto::sync::store::{
    Commit, Found, ItemValue, PeerKey, Read, SessionWrite, Store, StoreError, StoreKey, Value, Write,
};
use mailsync_proto::sync::turn::{Moment, Step, Turn};
use mailsync_proto::testkit::conformance::Fixture;
use mailsync_proto::testkit::{FailAt, MemoryStore, Snapshot};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use syncml::session::{ClientConfig, MAX_SESSION_BYTES, ServerConfig, auth};
use syncml::{Encoding, Limits, Quirks, Version};

/// Where the server is.
pub const URL: &str = "http://127.0.0.1:1/syncml";
/// Whose device syncs.
pub const USER: &str = "ann";
/// A user whose rows no message of `USER` may touch.
pub const OTHER: &str = "eve";
/// The device that syncs.
pub const DEVICE: &str = "dev-1";
/// The client's name of the server.
pub const SERVER: &str = "srv";
/// Their password.
pub const PASSWORD: &str = "secret";

/// The server's side.
#[derive(Debug)]
pub struct World {
    /// What it offers.
    pub config: server::Config,
    /// Its rows.
    pub store: MemoryStore,
    clock: Cell<u64>,
}

/// The client's side.
#[derive(Debug)]
pub struct Device {
    /// Who it is.
    pub config: client::Config,
    /// Its rows.
    pub store: MemoryStore,
    plans: Vec<Plan>,
}

/// What happens to a message and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Mishap {
    LoseRequest,
    LoseAnswer,
    Repeat,
    ServerDiesBeforeCommit,
    ServerDiesAfterCommit,
    ClientDiesBeforeCommit,
    ClientDiesAfterCommit,
    ClientBeginsAnew,
}

impl Mishap {
    /// All of them.
    pub const ALL: [Mishap; 8] = [
        Mishap::LoseRequest,
        Mishap::LoseAnswer,
        Mishap::Repeat,
        Mishap::ServerDiesBeforeCommit,
        Mishap::ServerDiesAfterCommit,
        Mishap::ClientDiesBeforeCommit,
        Mishap::ClientDiesAfterCommit,
        Mishap::ClientBeginsAnew,
    ];
}

/// What the server makes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A SyncML message.
    Message(Bytes),
    /// An HTTP error: nothing was committed.
    Refused,
}

/// A client that has sent a request and waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The token of its session.
    pub token: Box<str>,
    /// What it sent.
    pub request: Bytes,
}

/// Live items of a datastore: id, value, body.
pub type Items = Vec<(Guid, ItemValue, Bytes)>;

fn stores() -> Vec<StoreConfig> {
    vec![
        StoreConfig {
            name: "mail".into(),
            aliases: vec![],
            collection: Arc::new(MailCollection::new("sim.test")),
            conflict: ConflictRule::ServerWins,
            deletions: Default::default(),
        },
        StoreConfig {
            name: "notes".into(),
            aliases: vec!["note".into()],
            collection: Arc::new(PlainCollection::notes()),
            conflict: ConflictRule::KeepBoth,
            deletions: Default::default(),
        },
    ]
}

fn identity(id: &str, kind: &str) -> Identity {
    Identity { man: "m".into(), model: "f".into(), swv: "0".into(), dev_id: id.into(), dev_typ: kind.into() }
}

impl World {
    /// A server with two users and the folders of their mail.
    pub fn new() -> Self {
        let config = server::Config {
            session: ServerConfig::default(),
            stores: stores(),
            identity: identity("server", "server"),
            nonce_key: [9; 32],
            devices: Vec::new(),
            offers_news: false,
            limits: Limits::default(),
            quirks: Quirks::default(),
        };
        let world = World { config, store: MemoryStore::default(), clock: Cell::new(1_000_000) };
        for user in [USER, OTHER] {
            world.store.add_user(user, &auth::verifier(user, PASSWORD));
            write(&world.store, provision(&key(user, "mail")));
        }
        world
    }

    /// As another world was, rows and clock.
    pub fn from_snapshot(snapshot: &Snapshot, clock: u64) -> Self {
        let world = World::new();
        world.store.restore(snapshot);
        world.clock.set(clock);
        world
    }

    /// What the clock shows.
    pub fn clock(&self) -> u64 {
        self.clock.get()
    }

    /// A moment that never comes again.
    pub fn moment(&self) -> Moment {
        let now = self.clock.get() + 1;
        self.clock.set(now);
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&now.to_be_bytes());
        Moment { now, entropy }
    }

    /// Gives a request to the server, as it came over HTTP.
    ///
    /// # Errors
    /// When the server breaks its contract; a refusal is no error.
    pub fn answer(&self, url: &str, encoding: Encoding, body: &Bytes) -> Result<Answer, Broken> {
        let Ok(inbound) = Inbound::decode(&self.config, encoding, body) else { return Ok(Answer::Refused) };
        let token = url.split_once("?s=").map(|(_, token)| token);
        let route = Route { token, url: URL, basic_allowed: true };
        let at = self.moment();
        for _ in 0..4 {
            let run = run(&self.store, |found| server::turn(&self.config, at, &route, &inbound, found))?;
            match run {
                Ok(Outcome::Again(answer)) => return Ok(Answer::Message(answer)),
                Ok(Outcome::Done(turn)) => match commit(&self.store, &turn)? {
                    Ok(()) => return Ok(Answer::Message(turn.message)),
                    Err(StoreError::Stale(_)) => {}
                    Err(_) => return Ok(Answer::Refused),
                },
                Err(_) => return Ok(Answer::Refused),
            }
        }
        Err(Broken("the server's turn is always stale".into()))
    }

    /// Live items of a datastore of `USER`.
    pub fn items(&self, store: &str) -> Items {
        live(&self.store, &key(USER, store))
    }
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl Device {
    /// A client of `USER` that syncs mail and notes.
    pub fn new(encoding: Encoding, version: Version, max_msg_size: u32) -> Self {
        let session = ClientConfig {
            server_url: URL.into(),
            device: DEVICE.into(),
            user: USER.into(),
            password: PASSWORD.into(),
            scheme: auth::Scheme::Md5,
            version,
            encoding,
            max_msg_size,
            max_obj_size: 32 * 1024 * 1024,
        };
        let config = client::Config {
            session,
            server_id: SERVER.into(),
            stores: stores(),
            identity: identity(DEVICE, "phone"),
            limits: Limits::default(),
            quirks: Quirks::default(),
            server_login: None,
            item_key: None,
            alerts: true,
            notified: (1, 60),
        };
        let plan = |name: &str| Plan::new(name, &format!("./{name}"), Mode::TwoWay);
        let plans = vec![plan("mail"), plan("notes")];
        let device = Device { config, store: MemoryStore::default(), plans };
        write(&device.store, provision(&key("", "mail")));
        device
    }

    /// Begins a session; what an earlier one left is of no use.
    ///
    /// # Errors
    /// When the client breaks its contract.
    pub fn start(&self, world: &World) -> Result<Waiting, Broken> {
        for token in self.store.sessions() {
            let expect = self.session(&token).map_or(0, |row| row.version);
            let session = SessionWrite { token, expect, value: None, answer: Bytes::new() };
            let ended = self.store.commit(&Commit { session: Some(session), writes: vec![] });
            ended.map_err(|error| Broken(error.to_string()))?;
        }
        let at = world.moment();
        let run = run(&self.store, |found| client::start(&self.config, at, &self.plans, found))?;
        let Ok(Outcome::Done(turn)) = run else { return Err(Broken("the client does not start".into())) };
        commit(&self.store, &turn)?.map_err(|error| Broken(error.to_string()))?;
        let session = turn.session.ok_or_else(|| Broken("the client keeps no session".into()))?;
        Ok(Waiting { token: session.token, request: turn.message })
    }

    /// Where its next request goes.
    ///
    /// # Errors
    /// When it has no such session.
    pub fn hop(&self, token: &str) -> Result<NextHop, Broken> {
        let row = self.session(token).ok_or_else(|| Broken("the client lost its session".into()))?;
        client::next_hop(&self.config, &row.value, &row.answer).map_err(|error| Broken(error.to_string()))
    }

    /// Its stored session.
    pub fn session(&self, token: &str) -> Option<mailsync_proto::sync::store::SessionRow> {
        match read(&self.store, Read::Session(token.into())) {
            Some(Value::Session(row)) => row,
            _ => None,
        }
    }

    /// Takes an answer: the next request, or none when the session is over.
    ///
    /// # Errors
    /// When the client breaks its contract.
    pub fn take(
        &self,
        world: &World,
        token: &str,
        encoding: Encoding,
        body: &Bytes,
    ) -> Result<Taken, Broken> {
        let Ok(message) = client::decode(&self.config, encoding, body) else { return Ok(Taken::Refused) };
        let at = world.moment();
        let run = run(&self.store, |found| client::turn(&self.config, at, token, &message, found))?;
        let turn = match run {
            Ok(Outcome::Done(turn)) => turn,
            Ok(Outcome::Again(_)) => return Err(Broken("the client repeats itself".into())),
            Err(_) => return Ok(Taken::Refused),
        };
        if commit(&self.store, &turn)?.is_err() {
            return Ok(Taken::Refused);
        }
        let over = turn.session.as_ref().is_some_and(|session| session.value.is_none());
        let unwell = turn.events.iter().any(|event| {
            matches!(event, Event::StoreRefused { .. } | Event::LoginRefused { .. } | Event::Refused { .. })
        });
        Ok(if over { Taken::Over { unwell } } else { Taken::Next(turn.message) })
    }

    /// Live items of a datastore.
    pub fn items(&self, store: &str) -> Items {
        live(&self.store, &key("", store))
    }

    /// Forgets what it knows of the server, as after a reset: the next sync is slow.
    pub fn forget(&self) {
        for store in ["mail", "notes"] {
            self.store.forget_peer(&PeerKey { store: key("", store), device: SERVER.into() });
        }
    }
}

/// What the client makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It goes on with this request.
    Next(Bytes),
    /// The session is over.
    Over {
        /// A store, a login or an item was refused.
        unwell: bool,
    },
    /// It could not take the answer: nothing was committed.
    Refused,
}

/// Syncs to the end; the mishap happens at the message with its number, once. Says how many messages it took.
///
/// # Errors
/// When it does not end within four sessions, or a side breaks its contract.
pub fn sync(world: &World, device: &Device, mishap: Option<(u32, Mishap)>) -> Result<u32, Broken> {
    let mut messages = 0;
    for _ in 0..4 {
        if session(world, device, &mut messages, mishap, None)? {
            return Ok(messages);
        }
    }
    Err(Broken(format!("no sync in four sessions, mishap {mishap:?}")))
}

/// One session, from its start or from a request that waits: whether it came to its end.
///
/// # Errors
/// As [`sync`].
pub fn session(
    world: &World,
    device: &Device,
    messages: &mut u32,
    mishap: Option<(u32, Mishap)>,
    waiting: Option<Waiting>,
) -> Result<bool, Broken> {
    let Waiting { token, mut request } = match waiting {
        Some(waiting) => waiting,
        None => device.start(world)?,
    };
    loop {
        *messages += 1;
        ensure!(*messages < 3_000, "3,000 messages and no end");
        let now = mishap.filter(|(at, _)| at == messages).map(|(_, mishap)| mishap);
        if now == Some(Mishap::LoseRequest) {
            continue;
        }
        let hop = device.hop(&token)?;
        let fail = match now {
            Some(Mishap::ServerDiesBeforeCommit) => Some(FailAt::Before),
            Some(Mishap::ServerDiesAfterCommit) => Some(FailAt::After),
            _ => None,
        };
        if let Some(at) = fail {
            world.store.fail_commit(1, at);
        }
        let mut answer = world.answer(&hop.url, hop.encoding, &request)?;
        world.store.clear_failure();
        if now == Some(Mishap::Repeat) {
            let again = world.answer(&hop.url, hop.encoding, &request)?;
            if hop.url.contains("?s=") {
                ensure!(again == answer, "a repeated request is answered {again:?}, first {answer:?}");
            }
            answer = again;
        }
        let answer = match answer {
            Answer::Message(answer) => answer,
            Answer::Refused if fail.is_some() => continue,
            Answer::Refused => return Ok(false),
        };
        match now {
            Some(Mishap::LoseAnswer) => continue,
            Some(Mishap::ClientBeginsAnew) => return Ok(false),
            Some(Mishap::ClientDiesBeforeCommit) => {
                device.store.fail_commit(1, FailAt::Before);
                let _ = device.take(world, &token, hop.encoding, &answer)?;
                device.store.clear_failure();
                continue;
            }
            _ => {}
        }
        match device.take(world, &token, hop.encoding, &answer)? {
            Taken::Over { .. } => return Ok(true),
            // It comes back and finds its request in the store.
            Taken::Next(_) if now == Some(Mishap::ClientDiesAfterCommit) => match device.session(&token) {
                Some(row) => request = row.answer,
                None => return Ok(false),
            },
            Taken::Next(next) => request = next,
            Taken::Refused => return Ok(false),
        }
    }
}

enum Outcome {
    Done(Turn<Event>),
    Again(Bytes),
}

/// Rounds of reads that a turn may take: what hosts allow. Eight are promised for one datastore; each further one
/// takes up to four.
const ROUNDS: usize = 16;

/// Runs a turn until it is done.
fn run<E>(
    store: &MemoryStore,
    mut turn: impl FnMut(&Found) -> Result<Step<Event>, E>,
) -> Result<Result<Outcome, E>, Broken> {
    let mut found = Found::default();
    for _ in 0..ROUNDS {
        match turn(&found) {
            Err(error) => return Ok(Err(error)),
            Ok(Step::Need(reads)) => {
                ensure!(!reads.is_empty(), "a turn asks for nothing");
                found.extend(store.read(&reads).map_err(|error| Broken(error.to_string()))?);
            }
            Ok(Step::Done(turn)) => return Ok(Ok(Outcome::Done(*turn))),
            Ok(Step::Again(answer)) => return Ok(Ok(Outcome::Again(answer))),
        }
    }
    Err(Broken(format!("a turn takes more than {ROUNDS} rounds of reads")))
}

fn commit(store: &MemoryStore, turn: &Turn<Event>) -> Result<Result<(), StoreError>, Broken> {
    if let Some(value) = turn.session.as_ref().and_then(|session| session.value.as_ref()) {
        // The engine's part and the session's part each have this limit.
        ensure!(value.len() <= 2 * MAX_SESSION_BYTES, "a session value of {} octets", value.len());
    }
    if turn.session.is_none() && turn.writes.is_empty() {
        return Ok(Ok(()));
    }
    Ok(store.commit(&Commit { session: turn.session.clone(), writes: turn.writes.clone() }))
}

/// A datastore of a user; the client's user has no name.
pub fn key(user: &str, datastore: &str) -> StoreKey {
    StoreKey { user: user.into(), datastore: datastore.into() }
}

fn read(store: &MemoryStore, read: Read) -> Option<Value> {
    store.read(std::slice::from_ref(&read)).ok()?.get(&read).cloned()
}

fn write(store: &MemoryStore, writes: Vec<Write>) {
    let written = store.commit(&Commit { session: None, writes });
    assert!(written.is_ok(), "a write of the scene: {written:?}");
}

fn rev(store: &MemoryStore, key: &StoreKey, guid: &Guid) -> Option<(u64, bool)> {
    match read(store, Read::Item(key.clone(), guid.clone())) {
        Some(Value::Item(item)) => item.map(|item| (item.rev, item.deleted)),
        _ => None,
    }
}

/// Puts an item into a store as a host would.
pub fn put(store: &MemoryStore, key: &StoreKey, id: &str, value: ItemValue, body: Option<&[u8]>) {
    let guid = Guid::unvalidated(id);
    let expect = rev(store, key, &guid).map(|(rev, _)| rev);
    let body = body.map(Bytes::copy_from_slice);
    write(store, vec![Write::PutItem { store: key.clone(), guid, expect, value, body }]);
}

/// Deletes an item if it is there.
pub fn delete(store: &MemoryStore, key: &StoreKey, id: &str) {
    let guid = Guid::unvalidated(id);
    if let Some((expect, false)) = rev(store, key, &guid) {
        write(store, vec![Write::DeleteItem { store: key.clone(), guid, expect }]);
    }
}

fn live(store: &MemoryStore, key: &StoreKey) -> Items {
    let all = store.items(key).into_iter().filter(|(item, _)| !item.deleted);
    all.map(|(item, body)| (item.guid, item.value, body.unwrap_or_default())).collect()
}

/// How often each body is there.
pub fn bodies(items: &Items) -> BTreeMap<Bytes, usize> {
    let mut counts = BTreeMap::new();
    for (_, _, body) in items {
        *counts.entry(body.clone()).or_insert(0) += 1;
    }
    counts
}
