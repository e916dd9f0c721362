//! A slow sync between the two engines on memory stores.

use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::plain::{PlainCollection, plain_value};
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::client::{self, Plan};
use mailsync_proto::sync::devinf::Identity;
use mailsync_proto::sync::event::{ConflictRule, Event, Mode};
use mailsync_proto::sync::server::{self, Inbound, Route};
use mailsync_proto::sync::store::{Commit, Found, Read, SessionRow, Store, StoreKey, Value, Write};
use mailsync_proto::sync::turn::{Moment, Step, Turn};
use mailsync_proto::testkit::MemoryStore;
use mailsync_proto::testkit::conformance::Fixture;
use std::sync::Arc;
use syncml::session::{ClientConfig, ServerConfig, auth};
use syncml::{Encoding, Limits, Quirks, Version};

const URL: &str = "http://127.0.0.1:1/syncml";

/// Both sides before the sync.
#[derive(Debug)]
pub struct Pair {
    server: (server::Config, MemoryStore),
    client: (client::Config, MemoryStore),
    clock: u64,
}

/// What a sync took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Requests and answers.
    pub messages: u32,
    /// Octets of requests.
    pub up: usize,
    /// Octets of answers.
    pub down: usize,
}

impl Pair {
    /// A server with so many notes of about 200 octets, and a client with none.
    pub fn with_notes(notes: usize, encoding: Encoding) -> Self {
        let stores = vec![StoreConfig {
            name: "notes".into(),
            aliases: vec![],
            collection: Arc::new(PlainCollection::notes()),
            conflict: ConflictRule::KeepBoth,
            deletions: Default::default(),
        }];
        let identity = |id: &str, kind: &str| Identity {
            man: "m".into(),
            model: "b".into(),
            swv: "0".into(),
            dev_id: id.into(),
            dev_typ: kind.into(),
        };
        let server = server::Config {
            session: ServerConfig::default(),
            stores: stores.clone(),
            identity: identity("server", "server"),
            nonce_key: [9; 32],
            devices: Vec::new(),
            offers_news: false,
            limits: Limits::default(),
            quirks: Quirks::default(),
        };
        let client = client::Config {
            session: ClientConfig {
                server_url: URL.into(),
                device: "dev-1".into(),
                user: "ann".into(),
                password: "secret".into(),
                scheme: auth::Scheme::Md5,
                version: Version::V1_2,
                encoding,
                max_msg_size: 20_000,
                max_obj_size: 4_000_000,
            },
            server_id: "srv".into(),
            stores,
            identity: identity("dev-1", "phone"),
            limits: Limits::default(),
            quirks: Quirks::default(),
            server_login: None,
            item_key: None,
            alerts: true,
            notified: (1, 60),
        };
        let store = MemoryStore::default();
        store.add_user("ann", &auth::verifier("ann", "secret"));
        let key = StoreKey { user: "ann".into(), datastore: "notes".into() };
        let writes = (0..notes).map(|n| {
            let text = format!("note {n}: {}", "All work and no play makes Jack a dull boy. ".repeat(4));
            Write::PutItem {
                store: key.clone(),
                guid: Guid::unvalidated(format!("guid-{n:07}")),
                expect: None,
                value: plain_value("text/plain", text.as_bytes()),
                body: Some(text.into()),
            }
        });
        let written = store.commit(&Commit { session: None, writes: writes.collect() });
        assert!(written.is_ok(), "{written:?}");
        Pair { server: (server, store), client: (client, MemoryStore::default()), clock: 1_000_000 }
    }

    /// Items of the client.
    pub fn received(&self) -> usize {
        let items = self.client.1.items(&StoreKey { user: "".into(), datastore: "notes".into() });
        items.iter().filter(|(item, _)| !item.deleted).count()
    }

    /// One session from its start to its end.
    ///
    /// # Panics
    /// When a side refuses.
    pub fn sync(&mut self) -> Traffic {
        let plan = Plan::new("notes", "./notes", Mode::TwoWay);
        let at = self.moment();
        let (config, store) = &self.client;
        let turn = run(store, |found| told(client::start(config, at, std::slice::from_ref(&plan), found)));
        commit(store, &turn);
        let Some(session) = turn.session else { panic!("no session") };
        let mut request = turn.message;
        let mut traffic = Traffic { messages: 0, up: 0, down: 0 };
        loop {
            let sent = row(&self.client.1, &session.token);
            let hop = told(client::next_hop(&self.client.0, &sent.value, &sent.answer));
            let at = self.moment();
            let (config, store) = &self.server;
            let inbound = told(Inbound::decode(config, hop.encoding, &request));
            let token = hop.url.split_once("?s=").map(|(_, token)| token);
            let route = Route { token, url: URL, basic_allowed: true };
            let turn = run(store, |found| told(server::turn(config, at, &route, &inbound, found)));
            commit(store, &turn);
            traffic.messages += 1;
            traffic.up += request.len();
            traffic.down += turn.message.len();
            let at = self.moment();
            let (config, store) = &self.client;
            let message = told(client::decode(config, hop.encoding, &turn.message));
            let turn = run(store, |found| told(client::turn(config, at, &session.token, &message, found)));
            commit(store, &turn);
            if turn.session.is_some_and(|session| session.value.is_none()) {
                return traffic;
            }
            request = turn.message;
        }
    }

    fn moment(&mut self) -> Moment {
        self.clock += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.clock.to_be_bytes());
        Moment { now: self.clock, entropy }
    }
}

fn told<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn run(store: &MemoryStore, mut turn: impl FnMut(&Found) -> Step<Event>) -> Turn<Event> {
    let mut found = Found::default();
    for _ in 0..8 {
        match turn(&found) {
            Step::Need(reads) => found.extend(told(store.read(&reads))),
            Step::Done(turn) => return *turn,
            Step::Again(_) => panic!("an honest message is never a repeat"),
        }
    }
    panic!("more than eight rounds")
}

fn commit(store: &MemoryStore, turn: &Turn<Event>) {
    if turn.session.is_some() || !turn.writes.is_empty() {
        told(store.commit(&Commit { session: turn.session.clone(), writes: turn.writes.clone() }));
    }
}

fn row(store: &MemoryStore, token: &str) -> SessionRow {
    let read = Read::Session(token.into());
    match told(store.read(std::slice::from_ref(&read))).get(&read) {
        Some(Value::Session(Some(row))) => row.clone(),
        _ => SessionRow { version: 0, value: Bytes::new(), answer: Bytes::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_arrives() {
        for encoding in [Encoding::Wbxml, Encoding::Xml] {
            let mut pair = Pair::with_notes(100, encoding);
            let traffic = pair.sync();
            assert_eq!(pair.received(), 100);
            assert!(traffic.messages > 2 && traffic.down > 100 * 180, "{traffic:?}");
        }
    }
}
