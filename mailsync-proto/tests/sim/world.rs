//! A server and a client with a wire between them that does what the test says.

use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::collection::MailCollection;
use mailsync_proto::plain::{PlainCollection, plain_value};
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::client::{self, Plan};
use mailsync_proto::sync::devinf::Identity;
use mailsync_proto::sync::event::{ConflictRule, Event, Mode};
use mailsync_proto::sync::server::{self, Inbound, Route};
use mailsync_proto::sync::store::{
    Commit, Found, ItemValue, PeerKey, Read, Store, StoreError, StoreKey, Value, Write,
};
use mailsync_proto::sync::turn::{Moment, Step, Turn};
use mailsync_proto::testkit::MemoryStore;
use mailsync_proto::testkit::conformance::Fixture;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use syncml::session::{ClientConfig, Load, ServerConfig, auth};
use syncml::{Encoding, Limits, Quirks, Version};

pub const URL: &str = "http://127.0.0.1:1/syncml";
pub const USER: &str = "ann";
pub const PASSWORD: &str = "secret";
pub const SERVER: &str = "srv";

/// What is done to the message with this number (counted over the life of a world, both directions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The request does not reach the server.
    LoseRequest,
    /// The answer does not reach the client.
    LoseAnswer,
    /// The request reaches the server twice.
    Repeat,
    /// The server dies before its commit.
    ServerBefore,
    /// The server dies after its commit, before the answer leaves.
    ServerAfter,
    /// The client dies before its commit.
    ClientBefore,
    /// The client dies after its commit.
    ClientAfter,
    /// The client dies and begins a new session instead of going on.
    Abandon,
    /// The request does not reach the server, and the client begins a new session.
    Cut,
    /// The client suspends the session after this message, and begins a new one.
    Suspend,
    /// The server suspends the session with this answer, and the client begins a new one.
    ServerSuspends,
}

pub const MISHAPS: [Mishap; 8] = [
    Mishap::LoseRequest,
    Mishap::LoseAnswer,
    Mishap::Repeat,
    Mishap::ServerBefore,
    Mishap::ServerAfter,
    Mishap::ClientBefore,
    Mishap::ClientAfter,
    Mishap::Abandon,
];

pub struct Server {
    pub config: server::Config,
    pub store: MemoryStore,
}

pub struct Client {
    pub config: client::Config,
    pub store: MemoryStore,
    pub plans: Vec<Plan>,
}

pub struct World {
    pub server: Server,
    pub clock: Cell<u64>,
    /// Messages that were exchanged.
    pub messages: Cell<u32>,
    /// Octets of the largest request and answer.
    pub largest: Cell<(usize, usize)>,
    /// All that was said.
    pub log: RefCell<Vec<Said>>,
    /// The transport's headers of the request and of its answer.
    pub macs: RefCell<(Option<String>, Option<String>)>,
    /// What the server told its host.
    pub server_events: RefCell<Vec<Event>>,
    /// The server's DevInf does not say that it is one of ours.
    pub foreign: bool,
    /// How much the server has to do, from one message on up to another.
    pub busy: Cell<(u32, u32, Load)>,
}

/// A message that left one side.
#[derive(Clone, Debug)]
pub struct Said {
    pub by_client: bool,
    pub body: Bytes,
    /// The other side has taken it.
    pub taken: bool,
}

pub fn stores() -> Vec<StoreConfig> {
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
        plain_store("memos"),
        plain_store("tasks"),
    ]
}

fn plain_store(name: &str) -> StoreConfig {
    StoreConfig {
        name: name.into(),
        aliases: vec![],
        collection: Arc::new(PlainCollection::notes()),
        conflict: ConflictRule::KeepBoth,
        deletions: Default::default(),
    }
}

pub fn identity(id: &str, typ: &str) -> Identity {
    Identity { man: "m".into(), model: "sim".into(), swv: "0".into(), dev_id: id.into(), dev_typ: typ.into() }
}

impl World {
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
        let store = MemoryStore::default();
        store.add_user(USER, &auth::verifier(USER, PASSWORD));
        let clock = Cell::new(1_000_000);
        let (messages, largest, log) = (Cell::new(0), Cell::new((0, 0)), RefCell::default());
        let (server_events, macs) = (RefCell::default(), RefCell::default());
        World {
            server: Server { config, store },
            clock,
            messages,
            largest,
            log,
            server_events,
            macs,
            foreign: false,
            busy: Cell::new((0, 0, Load::default())),
        }
    }

    /// A moment that never comes again.
    pub fn moment(&self) -> Moment {
        let now = self.clock.get() + 1;
        self.clock.set(now);
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&now.to_be_bytes());
        Moment { now, entropy }
    }

    pub fn key(store: &str) -> StoreKey {
        StoreKey { user: USER.into(), datastore: store.into() }
    }

    /// Puts an item into the server's store as a host would.
    pub fn put(&self, store: &str, id: &str, value: ItemValue, body: Option<&[u8]>) {
        put(&self.server.store, Self::key(store), id, value, body);
    }

    pub fn delete(&self, store: &str, id: &str) {
        delete(&self.server.store, Self::key(store), id);
    }

    /// Puts a text.
    pub fn plain(&self, store: &str, id: &str, text: &str) {
        self.put(store, id, plain_value("text/plain", text.as_bytes()), Some(text.as_bytes()));
    }

    /// Syncs to the end, or to the given number of tries; every mishap happens at its message.
    pub fn sync(&self, client: &Client, mishap: Option<(u32, Mishap)>) -> Vec<Event> {
        let (events, done) = self.tries(client, mishap, 4);
        assert!(done, "the sync ends");
        events
    }

    /// One session, whether it comes to its end or not.
    pub fn try_once(&self, client: &Client, mishap: Option<(u32, Mishap)>) -> Vec<Event> {
        self.tries(client, mishap, 1).0
    }

    fn tries(&self, client: &Client, mishap: Option<(u32, Mishap)>, tries: u32) -> (Vec<Event>, bool) {
        let first = self.messages.get();
        let mut events = Vec::new();
        let at = |world: &World| mishap.filter(|(n, _)| first + n == world.messages.get()).map(|(_, m)| m);
        let (mut done, mut stops) = (false, false);
        for _ in 0..tries {
            let Some((token, mut request)) = client.start(self, &mut events) else { continue };
            loop {
                self.messages.set(self.messages.get() + 1);
                assert!(self.messages.get() - first < 2_000, "no end");
                let now = at(self);
                let (most_in, most_out) = self.largest.get();
                // Before the first answer nobody has said what it takes.
                if client.hop(&token).url.contains("?s=") {
                    self.largest.set((most_in.max(request.len()), most_out));
                }
                self.said(true, &request, !matches!(now, Some(Mishap::LoseRequest | Mishap::Cut)));
                match now {
                    Some(Mishap::LoseRequest) => continue,
                    Some(Mishap::Cut) => break,
                    _ => {}
                }
                let next = client.hop(&token);
                self.macs.borrow_mut().0.clone_from(&next.mac);
                let answer = match now {
                    Some(Mishap::ServerBefore) => {
                        self.server.store.fail_commit(1, mailsync_proto::testkit::FailAt::Before);
                        let answer = self.answer(&next.url, next.encoding, &request);
                        self.server.store.clear_failure();
                        answer
                    }
                    Some(Mishap::ServerAfter) => {
                        self.server.store.fail_commit(1, mailsync_proto::testkit::FailAt::After);
                        let answer = self.answer(&next.url, next.encoding, &request);
                        self.server.store.clear_failure();
                        answer
                    }
                    Some(Mishap::Repeat) => {
                        let answer = self.answer(&next.url, next.encoding, &request);
                        let again = self.answer(&next.url, next.encoding, &request);
                        if next.url.contains("?s=") {
                            assert_eq!(answer, again, "the stored answer");
                        }
                        again
                    }
                    Some(Mishap::ServerSuspends) => self.last_answer(&next.url, next.encoding, &request),
                    _ => self.answer(&next.url, next.encoding, &request),
                };
                let (most_in, most_out) = self.largest.get();
                self.largest.set((most_in, most_out.max(answer.as_ref().map_or(0, Bytes::len))));
                let Some(answer) = answer else { continue };
                let lost = matches!(now, Some(Mishap::LoseAnswer | Mishap::ClientBefore | Mishap::Abandon));
                self.said(false, &answer, !lost);
                if now == Some(Mishap::LoseAnswer) {
                    continue;
                }
                match now {
                    Some(Mishap::ClientBefore) => {
                        client.store.fail_commit(1, mailsync_proto::testkit::FailAt::Before);
                        let lost = client.take(self, &token, &next, &answer, &mut Vec::new());
                        client.store.clear_failure();
                        assert!(lost.is_none());
                        continue;
                    }
                    Some(Mishap::Abandon) => break,
                    _ => {}
                }
                let after = now == Some(Mishap::ClientAfter);
                stops |= matches!(now, Some(Mishap::Suspend | Mishap::ServerSuspends));
                let suspend = now == Some(Mishap::Suspend);
                match client.take_or_stop(self, &token, &next, &answer, &mut events, suspend) {
                    Some(None) => {
                        done = !std::mem::take(&mut stops)
                            || !events.iter().any(|event| matches!(event, Event::Suspended));
                        break;
                    }
                    // It comes back and finds its request in the store.
                    Some(Some(_)) if after => match client.stored(&token) {
                        Some(stored) => request = stored,
                        None => break,
                    },
                    Some(Some(next)) => request = next,
                    None => break,
                }
            }
            if done {
                break;
            }
        }
        (events, done)
    }

    /// The server's answer; none when it died or refused.
    pub fn answer(&self, url: &str, encoding: Encoding, body: &Bytes) -> Option<Bytes> {
        let mut answer = self.answer_quietly(url, encoding, body);
        if self.foreign {
            answer = answer.map(|answer| disguised(encoding, &answer));
        }
        if std::env::var_os("SIM_TRACE").is_some() {
            println!("C> {}", summary(encoding, body));
            println!("S< {}", answer.as_ref().map_or_else(String::new, |answer| summary(encoding, answer)));
        }
        answer
    }

    /// The server's answer; none when it makes nothing of the message.
    pub fn try_answer(&self, url: &str, encoding: Encoding, body: &Bytes) -> Option<Bytes> {
        let inbound = Inbound::decode(&self.server.config, encoding, body).ok()?;
        let token = url.split_once("?s=").map(|(_, token)| token);
        let route = Route { token, url: URL, basic_allowed: true };
        let at = self.moment();
        let turn =
            run(&self.server.store, |found| server::turn(&self.server.config, at, &route, &inbound, found));
        match turn {
            Ok(Outcome::Again(answer)) => Some(answer),
            Ok(Outcome::Done(turn)) => commit(&self.server.store, &turn).ok().map(|()| turn.message),
            Err(error) => {
                let _: server::TurnError = error;
                None
            }
        }
    }

    fn said(&self, by_client: bool, body: &Bytes, taken: bool) {
        self.log.borrow_mut().push(Said { by_client, body: body.clone(), taken });
    }

    /// The server's answer with which it suspends the session.
    fn last_answer(&self, url: &str, encoding: Encoding, body: &Bytes) -> Option<Bytes> {
        let inbound = Inbound::decode(&self.server.config, encoding, body).expect("decodes");
        let token = url.split_once("?s=").map(|(_, token)| token);
        let route = Route { token, url: URL, basic_allowed: true };
        let at = self.moment();
        let turn = run(&self.server.store, |found| {
            server::suspend(&self.server.config, at, &route, &inbound, found)
        });
        match turn {
            Ok(Outcome::Done(turn)) => commit(&self.server.store, &turn).ok().map(|()| turn.message),
            Ok(Outcome::Again(answer)) => Some(answer),
            Err(error) => panic!("{error}"),
        }
    }

    fn answer_quietly(&self, url: &str, encoding: Encoding, body: &Bytes) -> Option<Bytes> {
        let inbound = Inbound::decode(&self.server.config, encoding, body).expect("decodes");
        let (from, to, load) = self.busy.get();
        let load = if (from..to).contains(&self.messages.get()) { load } else { Load::default() };
        let inbound = inbound.with_mac(self.macs.borrow().0.as_deref()).with_load(load);
        let token = url.split_once("?s=").map(|(_, token)| token);
        let route = Route { token, url: URL, basic_allowed: true };
        let at = self.moment();
        for _ in 0..4 {
            let turn = run(&self.server.store, |found| {
                server::turn(&self.server.config, at, &route, &inbound, found)
            });
            match turn {
                Ok(Outcome::Again(answer)) => return Some(answer),
                Ok(Outcome::Done(turn)) => match commit(&self.server.store, &turn) {
                    Ok(()) => {
                        let value = turn.session.as_ref().and_then(|session| session.value.as_ref());
                        self.macs.borrow_mut().1 =
                            value.and_then(|value| server::mac(&self.server.config, value, &turn.message));
                        self.server_events.borrow_mut().extend(turn.events);
                        return Some(turn.message);
                    }
                    Err(StoreError::Stale(_)) => {}
                    Err(_) => return None,
                },
                Err(error) => {
                    let error: server::TurnError = error;
                    assert!(matches!(error, server::TurnError::UnknownSession), "{error}");
                    return None;
                }
            }
        }
        panic!("always stale")
    }

    /// Live items of the server: id, parent, fields, body.
    pub fn items(&self, store: &str) -> Vec<(Guid, ItemValue, Bytes)> {
        live(&self.server.store, Self::key(store))
    }
}

impl Client {
    pub fn new(
        device: &str,
        encoding: Encoding,
        version: Version,
        max_msg_size: u32,
        stores_: &[&str],
    ) -> Self {
        let session = ClientConfig {
            server_url: URL.into(),
            device: device.into(),
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
            stores: stores().into_iter().filter(|s| stores_.contains(&&*s.name)).collect(),
            identity: identity(device, "phone"),
            limits: Limits::default(),
            quirks: Quirks::default(),
            server_login: None,
            item_key: None,
            alerts: true,
            notified: (1, 60),
        };
        let plans = stores_.iter().map(|name| Plan::new(name, &format!("./{name}"), Mode::TwoWay)).collect();
        Client { config, store: MemoryStore::default(), plans }
    }

    pub fn key(store: &str) -> StoreKey {
        StoreKey { user: "".into(), datastore: store.into() }
    }

    pub fn peer(store: &str) -> PeerKey {
        PeerKey { store: Self::key(store), device: SERVER.into() }
    }

    pub fn put(&self, store: &str, id: &str, value: ItemValue, body: Option<&[u8]>) {
        put(&self.store, Self::key(store), id, value, body);
    }

    pub fn delete(&self, store: &str, id: &str) {
        delete(&self.store, Self::key(store), id);
    }

    /// Puts a text.
    pub fn plain(&self, store: &str, id: &str, text: &str) {
        self.put(store, id, plain_value("text/plain", text.as_bytes()), Some(text.as_bytes()));
    }

    pub fn items(&self, store: &str) -> Vec<(Guid, ItemValue, Bytes)> {
        live(&self.store, Self::key(store))
    }

    /// The first request of a new session.
    pub fn start(&self, world: &World, events: &mut Vec<Event>) -> Option<(Box<str>, Bytes)> {
        let at = world.moment();
        let step = run(&self.store, |found| client::start(&self.config, at, &self.plans, found));
        let Ok::<_, client::TurnError>(Outcome::Done(turn)) = step else { panic!("start") };
        commit(&self.store, &turn).ok()?;
        events.extend(turn.events);
        Some((turn.session.unwrap().token, turn.message))
    }

    fn read(&self, read: Read) -> Value {
        self.store.read(std::slice::from_ref(&read)).unwrap().get(&read).unwrap().clone()
    }

    fn stored(&self, token: &str) -> Option<Bytes> {
        match self.read(Read::Session(token.into())) {
            Value::Session(row) => row.map(|row| row.answer),
            _ => None,
        }
    }

    pub fn hop(&self, token: &str) -> client::NextHop {
        match self.read(Read::Session(token.into())) {
            Value::Session(Some(row)) => client::next_hop(&self.config, &row.value, &row.answer).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Takes an answer: the next request, or the end; none when the client died.
    pub fn take(
        &self,
        world: &World,
        token: &str,
        hop: &client::NextHop,
        answer: &Bytes,
        events: &mut Vec<Event>,
    ) -> Option<Option<Bytes>> {
        self.take_or_stop(world, token, hop, answer, events, false)
    }

    fn take_or_stop(
        &self,
        world: &World,
        token: &str,
        hop: &client::NextHop,
        answer: &Bytes,
        events: &mut Vec<Event>,
        stop: bool,
    ) -> Option<Option<Bytes>> {
        let message = client::decode(&self.config, hop.encoding, answer).expect("decodes");
        let message = message.with_mac(world.macs.borrow().1.as_deref());
        let at = world.moment();
        let step = run(&self.store, |found| match stop {
            true => client::suspend(&self.config, at, token, &message, found),
            false => client::turn(&self.config, at, token, &message, found),
        });
        let turn = match step {
            Ok(Outcome::Done(turn)) => turn,
            Ok(Outcome::Again(_)) => panic!("a client is never asked again"),
            Err(error) => panic!("{error}"),
        };
        commit(&self.store, &turn).ok()?;
        events.extend(turn.events);
        let over = turn.session.as_ref().is_none_or(|session| session.value.is_none());
        Some((!over).then_some(turn.message))
    }
}

pub enum Outcome {
    Done(Turn<Event>),
    Again(Bytes),
}

/// An answer without what only our servers say of themselves.
fn disguised(encoding: Encoding, answer: &Bytes) -> Bytes {
    let mut message = syncml::decode(encoding, answer, &Limits::default(), &Quirks::default()).unwrap();
    for command in &mut message.commands {
        let syncml::Command::Results(results) = command else { continue };
        for item in &mut results.items {
            if let Some(syncml::Data::DevInf(devinf)) = &mut item.data {
                devinf.ext.clear();
            }
        }
    }
    syncml::encode(encoding, &message).unwrap()
}

/// Runs a turn until it is done; at most eight rounds.
pub fn run<E>(
    store: &MemoryStore,
    mut turn: impl FnMut(&Found) -> Result<Step<Event>, E>,
) -> Result<Outcome, E> {
    let mut found = Found::default();
    for _ in 0..8 {
        match turn(&found)? {
            Step::Need(reads) => {
                assert!(!reads.is_empty(), "asks for nothing");
                if std::env::var_os("SIM_READS").is_some() {
                    println!("reads {reads:?}");
                }
                found.extend(store.read(&reads).unwrap());
            }
            Step::Done(turn) => return Ok(Outcome::Done(*turn)),
            Step::Again(answer) => return Ok(Outcome::Again(answer)),
        }
    }
    panic!("more than eight rounds")
}

fn commit(store: &MemoryStore, turn: &Turn<Event>) -> Result<(), StoreError> {
    if turn.session.is_none() && turn.writes.is_empty() {
        return Ok(());
    }
    store.commit(&Commit { session: turn.session.clone(), writes: turn.writes.clone() })
}

fn rev(store: &MemoryStore, key: &StoreKey, id: &Guid) -> Option<u64> {
    let read = Read::Item(key.clone(), id.clone());
    match store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
        Some(Value::Item(item)) => item.as_ref().map(|item| item.rev),
        other => panic!("{other:?}"),
    }
}

fn put(store: &MemoryStore, key: StoreKey, id: &str, value: ItemValue, body: Option<&[u8]>) {
    let guid = Guid::unvalidated(id);
    let expect = rev(store, &key, &guid);
    let body = body.map(Bytes::copy_from_slice);
    let write = Write::PutItem { store: key, guid, expect, value, body };
    store.commit(&Commit { session: None, writes: vec![write] }).unwrap();
}

fn delete(store: &MemoryStore, key: StoreKey, id: &str) {
    let guid = Guid::unvalidated(id);
    let expect = rev(store, &key, &guid).unwrap();
    let write = Write::DeleteItem { store: key, guid, expect };
    store.commit(&Commit { session: None, writes: vec![write] }).unwrap();
}

fn live(store: &MemoryStore, key: StoreKey) -> Vec<(Guid, ItemValue, Bytes)> {
    store
        .items(&key)
        .into_iter()
        .filter(|(item, _)| !item.deleted)
        .map(|(item, body)| (item.guid, item.value, body.unwrap_or_default()))
        .collect()
}

/// How often each body is there.
pub fn bodies(items: &[(Guid, ItemValue, Bytes)]) -> BTreeMap<Bytes, usize> {
    let mut counts = BTreeMap::new();
    for (_, _, body) in items {
        *counts.entry(body.clone()).or_insert(0) += 1;
    }
    counts
}

/// A message in a line: `SIM_TRACE=1 cargo test --test sim NAME -- --nocapture` shows a session.
fn summary(encoding: Encoding, body: &Bytes) -> String {
    let message = syncml::decode(encoding, body, &Limits::default(), &Quirks::default()).unwrap();
    let mut line = format!("{} ({} octets)", message.hdr.msg_id, body.len());
    let mut commands: Vec<&syncml::Command> = message.commands.iter().rev().collect();
    while let Some(command) = commands.pop() {
        match command {
            syncml::Command::Status(s) => line += &format!(" {}{}={}", s.cmd.as_str(), s.cmd_ref, s.data.0),
            syncml::Command::Alert(a) => line += &format!(" Alert({:?})", a.code),
            syncml::Command::Sync(s) => {
                line += " Sync";
                commands.extend(s.commands.iter().rev());
            }
            other => line += &format!(" {}", other.name().as_str()),
        }
    }
    line + if message.is_final { " Final" } else { "" }
}
