//! A store in memory that can be told to fail.

mod read;
mod write;

use super::conformance::Fixture;
use crate::sync::seal::ItemKey;
use crate::sync::store::*;
use bytes::Bytes;
use idmap::{Entry, Guid, View};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`Store`] of plain maps behind a mutex.
///
/// It clones cheaply into [`Snapshot`]s, and a test may have its n-th commit fail, before or after it took effect.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

/// All rows of a [`MemoryStore`] at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(Arc<State>);

/// On which side of its effect a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailAt {
    /// Nothing was written.
    Before,
    /// All of it was written, but nobody was told.
    After,
}

#[derive(Debug, Default)]
struct Inner {
    state: Arc<State>,
    commits: u64,
    fail: Option<(u64, FailAt, StoreError)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    shelves: BTreeMap<StoreKey, Shelf>,
    peers: BTreeMap<PeerKey, Peer>,
    maps: BTreeMap<PeerKey, View>,
    users: BTreeMap<Box<str>, Box<str>>,
    devices: BTreeMap<(Box<str>, Box<str>), DeviceRow>,
    sessions: BTreeMap<Box<str>, SessionRow>,
    spools: HashMap<(Box<str>, Direction), Vec<u8>>,
    once: BTreeMap<(Box<str>, Box<str>), Guid>,
    queues: BTreeMap<Box<str>, BTreeMap<Box<str>, Bytes>>,
    kept: Vec<KeptRow>,
}

type KeptRow = (StoreKey, Item, Option<Bytes>, Option<u64>);

#[derive(Clone, Debug, Default)]
struct Shelf {
    rev: u64,
    items: BTreeMap<Guid, (Item, Option<Bytes>)>,
    /// Rank, revision, id: the order of walks.
    walk: BTreeSet<(u8, u64, Option<Guid>)>,
    keys: BTreeMap<MatchKey, BTreeSet<Guid>>,
    children: BTreeMap<Guid, BTreeSet<Guid>>,
}

impl Shelf {
    fn insert(&mut self, item: Item, body: Option<Bytes>) {
        let guid = item.guid.clone();
        self.walk.insert((item.value.rank, item.rev, Some(guid.clone())));
        for key in &item.value.match_keys {
            self.keys.entry(*key).or_default().insert(guid.clone());
        }
        if let Some(parent) = item.value.parent.as_ref().filter(|_| !item.deleted) {
            self.children.entry(parent.clone()).or_default().insert(guid.clone());
        }
        self.items.insert(guid, (item, body));
    }

    fn take(&mut self, guid: &Guid) -> Option<(Item, Option<Bytes>)> {
        let (item, body) = self.items.remove(guid)?;
        self.walk.remove(&(item.value.rank, item.rev, Some(guid.clone())));
        for key in &item.value.match_keys {
            drop_from(&mut self.keys, key, guid);
        }
        if let Some(parent) = &item.value.parent {
            drop_from(&mut self.children, parent, guid);
        }
        Some((item, body))
    }
}

fn drop_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Guid>>, key: &K, guid: &Guid) {
    if let Some(guids) = index.get_mut(key) {
        guids.remove(guid);
        if guids.is_empty() {
            index.remove(key);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct DeviceRow {
    device: Device,
    verifier: Option<Box<str>>,
    item_key: Option<ItemKey>,
    revoked: bool,
}

impl MemoryStore {
    /// A store that goes on from a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let store = Self::default();
        store.restore(snapshot);
        store
    }

    /// Gives a device the key that seals its items.
    pub fn set_item_key(&self, user: &str, device: &str, key: Option<ItemKey>) {
        let mut inner = self.lock();
        let row = Arc::make_mut(&mut inner.state).devices.entry((user.into(), device.into())).or_default();
        row.item_key = key;
    }

    /// All rows as they are now. Costs nothing until the next commit, which then copies them once.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.lock().state))
    }

    /// Puts all rows back as they were.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.lock().state = Arc::clone(&snapshot.0);
    }

    /// Drops every session and spool, as a host does with idle ones.
    pub fn forget_sessions(&self) {
        let mut inner = self.lock();
        let state = Arc::make_mut(&mut inner.state);
        state.sessions.clear();
        state.spools.clear();
    }

    /// What was set aside: its item, body, and until when.
    pub fn kept(&self, store: &StoreKey) -> Vec<(Item, Option<Bytes>, Option<u64>)> {
        let inner = self.lock();
        let kept = inner.state.kept.iter().filter(|(of, ..)| of == store);
        kept.map(|(_, item, body, until)| (item.clone(), body.clone(), *until)).collect()
    }

    /// How many commits took effect.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Lets the `nth` commit from now fail with [`StoreError::Failed`]; 1 is the next one.
    pub fn fail_commit(&self, nth: u64, at: FailAt) {
        self.fail_commit_with(nth, at, StoreError::Failed("as the test asked".into()));
    }

    /// As [`MemoryStore::fail_commit`], with an error of the caller's choice.
    pub fn fail_commit_with(&self, nth: u64, at: FailAt, error: StoreError) {
        self.lock().fail = Some((nth, at, error));
    }

    /// Takes a failure back that has not happened yet; says whether there was one.
    pub fn clear_failure(&self) -> bool {
        self.lock().fail.take().is_some()
    }

    /// All items of a datastore with their bodies, tombstones too, by id.
    pub fn items(&self, store: &StoreKey) -> Vec<(Item, Option<Bytes>)> {
        let inner = self.lock();
        inner
            .state
            .shelves
            .get(store)
            .map(|shelf| shelf.items.values().cloned().collect())
            .unwrap_or_default()
    }

    /// All map entries of a peer, by generation, then by GUID.
    pub fn entries(&self, peer: &PeerKey) -> Vec<Entry> {
        let inner = self.lock();
        inner.state.maps.get(peer).map(|view| view.iter().cloned().collect()).unwrap_or_default()
    }

    /// The tokens of all stored sessions.
    pub fn sessions(&self) -> Vec<Box<str>> {
        self.lock().state.sessions.keys().cloned().collect()
    }

    /// Octets of all spooled objects.
    pub fn spooled(&self) -> usize {
        self.lock().state.spools.values().map(Vec::len).sum()
    }

    /// Forgets what is kept of a peer, map included, as a restored backup would.
    pub fn forget_peer(&self, peer: &PeerKey) {
        let mut inner = self.lock();
        let state = Arc::make_mut(&mut inner.state);
        state.peers.remove(peer);
        state.maps.remove(peer);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fixture for MemoryStore {
    fn add_user(&self, user: &str, verifier: &str) {
        Arc::make_mut(&mut self.lock().state).users.insert(user.into(), verifier.into());
    }

    fn set_device(&self, user: &str, device: &str, verifier: Option<&str>, revoked: bool) {
        let mut inner = self.lock();
        let row = Arc::make_mut(&mut inner.state).devices.entry((user.into(), device.into())).or_default();
        row.verifier = verifier.map(Into::into);
        row.revoked = revoked;
    }

    fn queue(&self, queue: &str) -> Vec<(Box<str>, Bytes)> {
        let inner = self.lock();
        let Some(jobs) = inner.state.queues.get(queue) else { return Vec::new() };
        jobs.iter().map(|(id, content)| (id.clone(), content.clone())).collect()
    }
}

impl Store for MemoryStore {
    fn read(&self, reads: &[Read]) -> Result<Found, StoreError> {
        let state = Arc::clone(&self.lock().state);
        let mut found = Found::default();
        for read in reads {
            found.insert(read.clone(), state.read(read));
        }
        Ok(found)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let mut after = None;
        if let Some((nth, at, error)) = inner.fail.take() {
            match (nth, at) {
                (0 | 1, FailAt::Before) => return Err(error),
                (0 | 1, FailAt::After) => after = Some(error),
                _ => inner.fail = Some((nth.saturating_sub(1), at, error)),
            }
        }
        inner.state.check(commit)?;
        Arc::make_mut(&mut inner.state).apply(commit);
        inner.commits = inner.commits.saturating_add(1);
        after.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_suite() {
        crate::testkit::conformance::run(MemoryStore::default);
    }

    fn commit_one(store: &MemoryStore, id: &str) -> Result<(), StoreError> {
        let key = StoreKey { user: "u".into(), datastore: "d".into() };
        let guid = Guid::unvalidated(id);
        let write =
            Write::PutItem { store: key, guid, expect: None, value: ItemValue::default(), body: None };
        store.commit(&Commit { session: None, writes: vec![write] })
    }

    fn count(store: &MemoryStore) -> usize {
        store.items(&StoreKey { user: "u".into(), datastore: "d".into() }).len()
    }

    #[test]
    fn fails_before_or_after_its_effect() {
        let store = MemoryStore::default();
        store.fail_commit(2, FailAt::Before);
        assert!(commit_one(&store, "a").is_ok());
        assert!(commit_one(&store, "b").is_err());
        assert_eq!(count(&store), 1);
        store.fail_commit(1, FailAt::After);
        assert!(commit_one(&store, "b").is_err());
        assert_eq!((count(&store), store.commits()), (2, 2));
        assert!(commit_one(&store, "c").is_ok());
        assert!(!store.clear_failure());
    }

    #[test]
    fn a_snapshot_is_not_touched_by_later_commits() {
        let store = MemoryStore::default();
        commit_one(&store, "a").unwrap();
        let then = store.snapshot();
        commit_one(&store, "b").unwrap();
        assert_eq!(count(&MemoryStore::from_snapshot(&then)), 1);
        store.restore(&then);
        assert_eq!(count(&store), 1);
    }
}
