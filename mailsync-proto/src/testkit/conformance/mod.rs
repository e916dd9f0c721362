//! The suite that any store must pass.
//!
//! Beside what [`Store`] and its vocabulary say, it fixes these points:
//!
//! - `expect` of an item is compared with the state **before** the commit, so several writes to one item in one
//!   commit all carry the revision that was read. A tombstone exists: to bring its item back, expect its revision.
//! - A new item without a body, and an item that was deleted, count as changed bodies: `body_rev` is that commit's.
//! - [`Seen::ThisCommit`] on an entry of a datastore of which the commit touches no item is
//!   [`StoreError::Failed`]: there is no such revision.
//! - [`Record::Put`] of a LUID or temporary id that another entry of the generation has
//!   replaces that entry too, as [`idmap::View`] does.
//! - A spooled piece ends the object: what was there from its offset on is replaced. One that starts after the end
//!   is [`StoreError::Failed`]. A spool that nobody wrote is `None`, one past its end is empty.
//! - A device that was never seen logs in with its user's verifier; an unknown user is `None`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test suite fails by panicking"
)]

mod items;
mod logins;
mod maps;
mod sessions;
mod walks;

use crate::sync::store::*;
use bytes::Bytes;
use idmap::{Entry, Guid, Luid, Record, State, TempId, Wire};

/// What the suite must do beside reading and committing: the host's own doing, which engines never ask for.
pub trait Fixture: Store {
    /// Makes a user, or sets the verifier of one.
    fn add_user(&self, user: &str, verifier: &str);
    /// Makes a device of a user, or changes one. A verifier of its own replaces the user's.
    fn set_device(&self, user: &str, device: &str, verifier: Option<&str>, revoked: bool);
    /// The jobs of a queue, by id.
    fn queue(&self, queue: &str) -> Vec<(Box<str>, Bytes)>;
}

/// Runs every case, each on a new and empty store.
///
/// # Panics
/// When the store does not do what it must.
pub fn run<S: Fixture>(make: impl Fn() -> S) {
    for (name, case) in cases::<S>() {
        let store = make();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&store)));
        assert!(result.is_ok(), "store conformance: {name} (see above)");
    }
}

type Case<S> = (&'static str, fn(&S));

fn cases<S: Fixture>() -> Vec<Case<S>> {
    let mut cases = items::cases();
    cases.extend(maps::cases());
    cases.extend(walks::cases());
    cases.extend(sessions::cases());
    cases.extend(logins::cases());
    cases
}

fn mail() -> StoreKey {
    StoreKey { user: "ana".into(), datastore: "mail".into() }
}

fn peer(device: &str) -> PeerKey {
    PeerKey { store: mail(), device: device.into() }
}

fn guid(text: &str) -> Guid {
    Guid::try_from(text).unwrap()
}

fn luid(text: &str) -> Luid {
    Luid::try_from(text).unwrap()
}

fn plain(rank: u8) -> ItemValue {
    ItemValue { rank, kind: "text/plain".into(), ..ItemValue::default() }
}

fn matches_of(generation: u32, octet: u8) -> Read {
    Read::Matches { peer: peer("phone"), generation, key: key(octet), after: None, limit: 16 }
}

fn key(octet: u8) -> MatchKey {
    MatchKey([octet; 16])
}

/// Puts an item with a body made of its id.
fn put(id: &str, expect: Option<u64>) -> Write {
    put_value(id, expect, plain(1))
}

fn put_value(id: &str, expect: Option<u64>, value: ItemValue) -> Write {
    let body = Some(Bytes::from(format!("body of {id}")));
    Write::PutItem { store: mail(), guid: guid(id), expect, value, body }
}

fn delete(id: &str, expect: u64) -> Write {
    Write::DeleteItem { store: mail(), guid: guid(id), expect }
}

fn bound(generation: u32, id: &str, luid_text: &str, seen_rev: u64) -> Entry {
    let state = State::Bound { luid: luid(luid_text), wire: Wire::Guid };
    Entry { guid: guid(id), state, generation, seen_rev, form: 0 }
}

fn pending(generation: u32, id: &str, temp: Option<&str>, seen_rev: u64) -> Entry {
    let wire = temp.map_or(Wire::Guid, |temp| Wire::Temp(TempId::try_from(temp).unwrap()));
    Entry { guid: guid(id), state: State::Pending { wire }, generation, seen_rev, form: 7 }
}

fn map(device: &str, entry: Entry) -> Write {
    Write::Map(peer(device), Record::Put(entry), Seen::AsRecorded)
}

fn commit<S: Store>(store: &S, writes: Vec<Write>) {
    store.commit(&Commit { session: None, writes }).unwrap();
}

/// Commits what must be refused as stale.
fn stale<S: Store>(store: &S, writes: Vec<Write>) {
    match store.commit(&Commit { session: None, writes }) {
        Err(StoreError::Stale(_)) => {}
        other => panic!("expected Stale, got {other:?}"),
    }
}

/// One read, alone.
fn read<S: Store>(store: &S, read: Read) -> Value {
    let found = store.read(std::slice::from_ref(&read)).unwrap();
    found.get(&read).cloned().expect("every read is answered")
}

fn head<S: Store>(store: &S) -> u64 {
    match read(store, Read::Head(mail())) {
        Value::Rev(rev) => rev,
        other => panic!("{other:?}"),
    }
}

fn item<S: Store>(store: &S, id: &str) -> Option<Item> {
    match read(store, Read::Item(mail(), guid(id))) {
        Value::Item(item) => item,
        other => panic!("{other:?}"),
    }
}

fn body<S: Store>(store: &S, id: &str) -> Option<Bytes> {
    match read(store, Read::Body(mail(), guid(id))) {
        Value::Body(body) => body,
        other => panic!("{other:?}"),
    }
}

fn by_guid<S: Store>(store: &S, device: &str, generation: u32, id: &str) -> Option<Entry> {
    match read(store, Read::ByGuid(peer(device), generation, guid(id))) {
        Value::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}
