//! A store in memory that can be told to fail.

use super::conformance::Fixture;
use crate::sync::store::*;
use bytes::Bytes;
use idmap::{Entry, Guid, Record, View};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
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
    revoked: bool,
}

impl MemoryStore {
    /// A store that goes on from a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let store = Self::default();
        store.restore(snapshot);
        store
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

impl State {
    fn read(&self, read: &Read) -> Value {
        match read {
            Read::Login { user, device } => Value::Login(self.login(user, device)),
            Read::Peer(peer) => Value::Peer(self.peers.get(peer).cloned()),
            Read::Head(store) => Value::Rev(self.shelves.get(store).map_or(0, |shelf| shelf.rev)),
            Read::ByLuid(peer, generation, luid) => {
                Value::Entry(self.maps.get(peer).and_then(|map| map.by_luid(*generation, luid)).cloned())
            }
            Read::ByGuid(peer, generation, guid) => {
                Value::Entry(self.entry(peer, *generation, guid).cloned())
            }
            Read::ByWire(peer, generation, wire) => {
                Value::Entry(self.maps.get(peer).and_then(|map| map.by_wire(*generation, wire)).cloned())
            }
            Read::Pending(peer, generation, limit) => {
                let entries = self.maps.get(peer).into_iter().flat_map(View::iter);
                let open = entries.filter(|entry| entry.generation == *generation && entry.luid().is_none());
                Value::Entries(open.take(usize::try_from(*limit).unwrap_or(usize::MAX)).cloned().collect())
            }
            Read::Device(user, device) => {
                let row = self.devices.get(&(user.clone(), device.clone()));
                Value::Device(row.map(|row| row.device.clone()))
            }
            Read::Item(store, guid) => Value::Item(self.item(store, guid).map(|(item, _)| item.clone())),
            Read::Body(store, guid) => Value::Body(self.item(store, guid).and_then(|(_, body)| body.clone())),
            Read::Matches { peer, generation, key, after, limit } => {
                Value::Items(self.matches(peer, *generation, key, after.as_ref(), *limit))
            }
            Read::Children(store, guid, limit) => Value::Items(self.children(store, guid, *limit)),
            Read::Rows(changes, cursor, limit) => {
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
                Value::Rows(self.rows(changes, cursor, limit))
            }
            Read::Live(peer, generation, cursor, limit) => Value::Rows(self.live(
                peer,
                *generation,
                cursor,
                usize::try_from(*limit).unwrap_or(usize::MAX),
            )),
            Read::Count(changes) => {
                Value::Count(self.rows(changes, &Cursor::default(), usize::MAX).len() as u64)
            }
            Read::Spool { token, direction, offset, len } => Value::Body(
                self.spools.get(&(token.clone(), *direction)).map(|data| range(data, *offset, *len)),
            ),
            Read::Once(user, key) => Value::Once(self.once.get(&(user.clone(), key.clone())).cloned()),
            Read::Session(token) => Value::Session(self.sessions.get(token).cloned()),
        }
    }

    fn login(&self, user: &str, device: &str) -> Option<Login> {
        let verifier = self.users.get(user)?.clone();
        let row = self.devices.get(&(user.into(), device.into())).cloned().unwrap_or_default();
        let others = self.devices.iter().filter(|((of, id), _)| **of == *user && **id != *device);
        let sessions = others.filter_map(|(_, row)| row.device.session.as_ref());
        let sessions = sessions.filter(|token| self.sessions.contains_key(*token)).count();
        Some(Login {
            verifier: row.verifier.unwrap_or(verifier),
            password: None,
            revoked: row.revoked,
            device: row.device,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
        })
    }

    fn entry(&self, peer: &PeerKey, generation: u32, guid: &Guid) -> Option<&Entry> {
        self.maps.get(peer)?.by_guid(generation, guid)
    }

    fn item(&self, store: &StoreKey, guid: &Guid) -> Option<&(Item, Option<Bytes>)> {
        self.shelves.get(store)?.items.get(guid)
    }

    fn matches(
        &self,
        peer: &PeerKey,
        generation: u32,
        key: &MatchKey,
        after: Option<&Guid>,
        limit: u32,
    ) -> Vec<Item> {
        let Some(shelf) = self.shelves.get(&peer.store) else { return Vec::new() };
        let Some(guids) = shelf.keys.get(key) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        guids
            .range::<Guid, _>((from, Bound::Unbounded))
            .filter(|guid| self.entry(peer, generation, guid).is_none())
            .filter_map(|guid| shelf.items.get(guid))
            .map(|(item, _)| item.clone())
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect()
    }

    fn children(&self, store: &StoreKey, parent: &Guid, limit: u32) -> Vec<Item> {
        let Some(shelf) = self.shelves.get(store) else { return Vec::new() };
        let guids = shelf.children.get(parent).into_iter().flatten();
        let items = guids.filter_map(|guid| shelf.items.get(guid)).map(|(item, _)| item.clone());
        items.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    fn rows(&self, changes: &Changes, cursor: &Cursor, limit: usize) -> Vec<Row> {
        let Some(shelf) = self.shelves.get(&changes.peer.store) else { return Vec::new() };
        let mut rows = Vec::new();
        let first = (changes.since.saturating_add(1), None);
        let mut place = (cursor.rank, (cursor.rev, cursor.guid.clone()).max(first.clone()));
        while rows.len() < limit {
            let (rank, (rev, guid)) = place.clone();
            let after = (Bound::Excluded((rank, rev, guid)), Bound::Unbounded);
            let Some((rank, rev, guid)) = shelf.walk.range(after).next().cloned() else { break };
            if rank != place.0 {
                // The next rank begins at its first new revision.
                place = (rank, first.clone());
                continue;
            }
            if rev > changes.upto {
                match rank.checked_add(1) {
                    Some(next) => place = (next, first.clone()),
                    None => break,
                }
                continue;
            }
            place = (rank, (rev, guid.clone()));
            let Some((item, _)) = guid.as_ref().and_then(|guid| shelf.items.get(guid)) else { continue };
            let entry = self.entry(&changes.peer, changes.generation, &item.guid);
            let news = entry.map_or(!item.deleted, |entry| entry.seen_rev < item.rev);
            if news {
                rows.push(Row { item: item.clone(), entry: entry.cloned() });
            }
        }
        rows
    }

    fn live(&self, peer: &PeerKey, generation: u32, cursor: &Cursor, limit: usize) -> Vec<Row> {
        let Some(shelf) = self.shelves.get(&peer.store) else { return Vec::new() };
        let after = (cursor.rank, cursor.rev, cursor.guid.clone());
        let guids = shelf.walk.range((Bound::Excluded(after), Bound::Unbounded));
        guids
            .filter_map(|(.., guid)| shelf.items.get(guid.as_ref()?))
            .filter(|(item, _)| !item.deleted)
            .map(|(item, _)| Row {
                item: item.clone(),
                entry: self.entry(peer, generation, &item.guid).cloned(),
            })
            .take(limit)
            .collect()
    }

    /// Says why a commit cannot be, before any of it is.
    fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        if let Some(session) = &commit.session {
            let version = self.sessions.get(&session.token).map_or(0, |row| row.version);
            if version != session.expect {
                return Err(StoreError::Stale(format!(
                    "session version {version}, expected {}",
                    session.expect
                )));
            }
        }
        let touched = touched(commit);
        let mut once = HashSet::new();
        let mut ends: HashMap<(&str, Direction), u64> = HashMap::new();
        for write in &commit.writes {
            match write {
                Write::PutItem { store, guid, expect, .. } => self.expect(store, guid, *expect)?,
                Write::DeleteItem { store, guid, expect } => self.expect(store, guid, Some(*expect))?,
                Write::MoveSpool(from, to) => {
                    for direction in [Direction::In, Direction::Out] {
                        if let Some(spool) = self.spools.get(&(from.clone(), direction)) {
                            ends.insert((to, direction), spool.len() as u64);
                        }
                    }
                }
                Write::Map(peer, Record::Put(_), Seen::ThisCommit) if !touched.contains(&peer.store) => {
                    return Err(StoreError::Failed("map entry seen at a commit that touches no item".into()));
                }
                Write::Once(user, key, _) => {
                    let before = self.once.contains_key(&(user.clone(), key.clone()));
                    let twice = !once.insert((user, key));
                    if before || twice {
                        return Err(StoreError::Stale(format!("happened already: {key}")));
                    }
                }
                Write::Spool { token, direction, offset, data } => {
                    let end = ends.entry((token, *direction)).or_insert_with(|| {
                        self.spools.get(&(token.clone(), *direction)).map_or(0, |spool| spool.len() as u64)
                    });
                    if *offset > *end {
                        return Err(StoreError::Failed(format!(
                            "spool ends at {end}, piece starts at {offset}"
                        )));
                    }
                    *end = offset.saturating_add(data.len() as u64);
                }
                Write::ClearSpool(token, direction) => {
                    ends.insert((token, *direction), 0);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn expect(&self, store: &StoreKey, guid: &Guid, expect: Option<u64>) -> Result<(), StoreError> {
        let rev = self.item(store, guid).map(|(item, _)| item.rev);
        if rev == expect {
            return Ok(());
        }
        Err(StoreError::Stale(format!("item {guid} of {} at {rev:?}, expected {expect:?}", store.datastore)))
    }

    /// Does what was checked.
    fn apply(&mut self, commit: &Commit) {
        for store in touched(commit) {
            let shelf = self.shelves.entry(store.clone()).or_default();
            shelf.rev = shelf.rev.saturating_add(1);
        }
        for write in &commit.writes {
            self.write(write);
        }
        let Some(session) = &commit.session else { return };
        match &session.value {
            Some(value) => {
                let version = session.expect.saturating_add(1);
                let row = SessionRow { version, value: value.clone(), answer: session.answer.clone() };
                self.sessions.insert(session.token.clone(), row);
            }
            None => {
                self.sessions.remove(&session.token);
                self.spools.retain(|(token, _), _| *token != session.token);
            }
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::PutItem { store, guid, value, body, .. } => {
                self.put_item(store, guid, value, body.as_ref())
            }
            Write::DeleteItem { store, guid, .. } => self.delete_item(store, guid),
            Write::Keep { store, guid, until } => {
                if let Some((item, body)) = self.item(store, guid).filter(|(item, _)| !item.deleted).cloned()
                {
                    self.kept.push((store.clone(), item, body, *until));
                }
            }
            Write::MoveSpool(from, to) => {
                for direction in [Direction::In, Direction::Out] {
                    if let Some(spool) = self.spools.remove(&(from.clone(), direction)) {
                        self.spools.insert((to.clone(), direction), spool);
                    }
                }
            }
            Write::Map(peer, record, seen) => {
                let mut record = record.clone();
                if let (Record::Put(entry), Seen::ThisCommit) = (&mut record, seen) {
                    entry.seen_rev = self.shelves.get(&peer.store).map_or(0, |shelf| shelf.rev);
                }
                self.maps.entry(peer.clone()).or_default().apply(&record);
            }
            Write::PutPeer(key, peer) => {
                self.peers.insert(key.clone(), peer.clone());
            }
            Write::PutDevice(user, device, value) => {
                self.devices.entry((user.clone(), device.clone())).or_default().device = value.clone();
            }
            Write::Spool { token, direction, offset, data } => {
                let spool = self.spools.entry((token.clone(), *direction)).or_default();
                spool.truncate(usize::try_from(*offset).unwrap_or(usize::MAX));
                spool.extend_from_slice(data);
            }
            Write::ClearSpool(token, direction) => {
                self.spools.remove(&(token.clone(), *direction));
            }
            Write::EndSession(token) => {
                self.sessions.remove(token);
                self.spools.retain(|(of, _), _| of != token);
            }
            Write::Once(user, key, guid) => {
                self.once.insert((user.clone(), key.clone()), guid.clone());
            }
            Write::Enqueue(queue, id, content) => {
                self.queues.entry(queue.clone()).or_default().insert(id.clone(), content.clone());
            }
            Write::Dequeue(queue, id) => {
                if let Some(jobs) = self.queues.get_mut(queue) {
                    jobs.remove(id);
                }
            }
        }
    }

    fn put_item(&mut self, store: &StoreKey, guid: &Guid, value: &ItemValue, body: Option<&Bytes>) {
        let Some(shelf) = self.shelves.get_mut(store) else { return };
        let rev = shelf.rev;
        let (old_body, mut body_rev, mut size) = match shelf.take(guid) {
            Some((item, body)) => (body, item.body_rev, item.size),
            None => (None, rev, 0),
        };
        if let Some(body) = body {
            (body_rev, size) = (rev, body.len() as u64);
        }
        let item = Item { guid: guid.clone(), rev, body_rev, deleted: false, value: value.clone(), size };
        shelf.insert(item, body.cloned().or(old_body));
    }

    fn delete_item(&mut self, store: &StoreKey, guid: &Guid) {
        let Some(shelf) = self.shelves.get_mut(store) else { return };
        let rev = shelf.rev;
        if let Some((mut item, _)) = shelf.take(guid) {
            (item.rev, item.body_rev, item.deleted, item.size) = (rev, rev, true, 0);
            item.value.match_keys.clear();
            shelf.insert(item, None);
        }
    }
}

/// The datastores that take a new revision.
fn touched(commit: &Commit) -> HashSet<&StoreKey> {
    fn item_of(write: &Write) -> Option<&StoreKey> {
        match write {
            Write::PutItem { store, .. } | Write::DeleteItem { store, .. } => Some(store),
            _ => None,
        }
    }
    commit.writes.iter().filter_map(item_of).collect()
}

fn range(data: &[u8], offset: u64, len: u64) -> Bytes {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(data.len());
    let (start, end) = (at(offset), at(offset.saturating_add(len)));
    Bytes::copy_from_slice(data.get(start..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_suite() {
        super::super::conformance::run(MemoryStore::default);
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
