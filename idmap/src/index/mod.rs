//! A whole map in little memory.

mod arena;
mod table;

use crate::octets::{BOUND, HAS_TEMP, Input, write_entry};
use crate::{Entry, Guid, IdError, Luid, Record};
use arena::Arena;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use table::Table;

/// All entries of one (user, device, datastore), for maps of millions.
///
/// What a [`View`](crate::View) does, in about 50 octets an entry (8-octet LUIDs, 16-octet GUIDs; its
/// peak, while the tables double or waste is cleared, is about twice that). Entries are made when asked
/// for: extend a `View` with those that an operation needs.
///
/// ```
/// use idmap::{Guid, Index, Luid, View, adopt, bind};
///
/// let mut index = Index::new([7; 16]); // random, if the LUIDs are chosen by somebody else
/// let (luid, guid) = (Luid::try_from("1")?, Guid::try_from("inbox/1")?);
/// for record in adopt(&View::default(), 1, &luid, &guid, 1, 0)? {
///     index.apply(&record)?;
/// }
///
/// let mut view = View::default();
/// view.extend(index.by_wire(1, "inbox/1"));
/// view.extend(index.by_luid(1, &luid));
/// assert!(bind(&view, 1, "inbox/1", &luid)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Index {
    seed: [u8; 16],
    generations: BTreeMap<u32, Generation>,
}

/// Why a record was not applied; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The rows of the generation fill the address space.
    #[error("index of {limit} octets is full")]
    Full {
        /// The most octets of rows.
        limit: usize,
    },
    /// An id was made by `unvalidated` and is not valid.
    #[error(transparent)]
    Id(#[from] IdError),
}

#[derive(Clone, Default)]
struct Generation {
    arena: Arena,
    guids: Table,
    luids: Table,
    temps: Table,
}

impl Index {
    /// An empty one. `seed` keys the hash: let it be random where a stranger chooses the ids.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        Self { seed, generations: BTreeMap::new() }
    }

    /// Follows a row change, as [`View::apply`](crate::View::apply).
    /// # Errors
    /// [`IndexError`]; nothing has changed.
    pub fn apply(&mut self, record: &Record) -> Result<(), IndexError> {
        match record {
            Record::Put(entry) => {
                let generation = self.generations.entry(entry.generation).or_default();
                generation.put(&self.seed, entry)?;
            }
            Record::Remove { generation, guid } => {
                if let Some(of) = self.generations.get_mut(generation) {
                    of.remove(&self.seed, Key::Guid, guid.as_str().as_bytes());
                    of.clear_waste(&self.seed);
                }
            }
            Record::KeepOnly { generation } => self.generations.retain(|of, _| of == generation),
        }
        Ok(())
    }

    /// The entry whose item the client has under this LUID.
    #[must_use]
    pub fn by_luid(&self, generation: u32, luid: &Luid) -> Option<Entry> {
        self.find(generation, Key::Luid, luid.as_str())
    }

    /// The entry of this GUID.
    #[must_use]
    pub fn by_guid(&self, generation: u32, guid: &Guid) -> Option<Entry> {
        self.find(generation, Key::Guid, guid.as_str())
    }

    /// The entry that a MapItem with this id means, as [`View::by_wire`](crate::View::by_wire).
    #[must_use]
    pub fn by_wire(&self, generation: u32, wire: &str) -> Option<Entry> {
        self.find(generation, Key::Temp, wire).or_else(|| {
            let entry = self.find(generation, Key::Guid, wire)?;
            entry.wire().temp().is_none().then_some(entry)
        })
    }

    /// All entries, by generation, then in no order.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        self.generations.iter().flat_map(|(number, generation)| {
            let rows = generation.guids.positions().map(|position| generation.arena.at(position));
            rows.filter_map(|row| Input(row).entry(*number).ok())
        })
    }

    /// How many entries it holds, of all generations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.values().map(|generation| generation.guids.len()).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of memory that it holds.
    #[must_use]
    pub fn octets(&self) -> usize {
        let of = |generation: &Generation| {
            let tables = [&generation.guids, &generation.luids, &generation.temps];
            generation.arena.octets() + tables.map(Table::octets).iter().sum::<usize>()
        };
        size_of::<Self>() + self.generations.values().map(of).sum::<usize>()
    }

    fn find(&self, number: u32, key: Key, text: &str) -> Option<Entry> {
        let generation = self.generations.get(&number)?;
        let position = generation.find(&self.seed, key, text.as_bytes())?;
        Input(generation.arena.at(position)).entry(number).ok()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Guid,
    Luid,
    Temp,
}

impl Key {
    const ALL: [Self; 3] = [Self::Guid, Self::Luid, Self::Temp];

    /// This key of a row, if the row has it.
    fn of(self, row: &[u8]) -> Option<&[u8]> {
        let mut input = Input(row);
        let guid = input.counted().ok()?;
        if self == Self::Guid {
            return Some(guid);
        }
        input.number().and(input.number()).ok()?;
        let state = input.octet().ok()?;
        let luid = if state & BOUND != 0 { input.counted().ok() } else { None };
        if self == Self::Luid {
            return luid;
        }
        if state & HAS_TEMP != 0 { input.counted().ok() } else { None }
    }
}

impl Generation {
    fn find(&self, seed: &[u8; 16], key: Key, text: &[u8]) -> Option<u32> {
        let is = |position| key.of(self.arena.at(position)) == Some(text);
        self.table(key).find(hash(seed, text), is)
    }

    fn table(&self, key: Key) -> &Table {
        match key {
            Key::Guid => &self.guids,
            Key::Luid => &self.luids,
            Key::Temp => &self.temps,
        }
    }

    /// One of the tables to change, beside the rows.
    fn table_mut(&mut self, key: Key) -> (&mut Table, &Arena) {
        let table = match key {
            Key::Guid => &mut self.guids,
            Key::Luid => &mut self.luids,
            Key::Temp => &mut self.temps,
        };
        (table, &self.arena)
    }

    fn put(&mut self, seed: &[u8; 16], entry: &Entry) -> Result<(), IndexError> {
        let mut row = Vec::with_capacity(64);
        write_entry(&mut row, entry)?;
        if let Some(old) = self.find(seed, Key::Guid, entry.guid.as_str().as_bytes()) {
            let place = self.arena.at(old);
            let same_ids = Key::ALL.iter().all(|key| key.of(place) == key.of(&row));
            if same_ids && row_len(place) == row.len() {
                self.arena.overwrite(old, &row);
                return Ok(());
            }
        }
        // First, so that a full arena changes nothing.
        let position = self.arena.push(&row).ok_or(IndexError::Full { limit: arena::LIMIT })?;
        for key in Key::ALL {
            if let Some(text) = key.of(&row) {
                self.remove(seed, key, text);
            }
        }
        self.enter(seed, position, &row);
        self.clear_waste(seed);
        Ok(())
    }

    fn enter(&mut self, seed: &[u8; 16], position: u32, row: &[u8]) {
        for key in Key::ALL {
            if let Some(text) = key.of(row) {
                let (table, arena) = self.table_mut(key);
                table.insert(hash(seed, text), position, |at| hash_at(seed, key, arena, at));
            }
        }
    }

    /// Removes the row that has this key, from all tables.
    fn remove(&mut self, seed: &[u8; 16], key: Key, text: &[u8]) {
        let Some(position) = self.find(seed, key, text) else { return };
        for key in Key::ALL {
            let (table, arena) = self.table_mut(key);
            if let Some(text) = key.of(arena.at(position)) {
                table.remove(hash(seed, text), |at| at == position, |at| hash_at(seed, key, arena, at));
            }
        }
        self.arena.discard(row_len(self.arena.at(position)));
    }

    fn clear_waste(&mut self, seed: &[u8; 16]) {
        if !self.arena.is_wasteful() {
            return;
        }
        let mut fresh = Self::default();
        for position in self.guids.positions() {
            let rest = self.arena.at(position);
            let row = rest.get(..row_len(rest)).unwrap_or_default();
            // Fits: it is a part of what did.
            if let Some(position) = fresh.arena.push(row) {
                fresh.enter(seed, position, row);
            }
        }
        *self = fresh;
    }
}

fn hash(seed: &[u8; 16], text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(seed);
    hasher.write(text);
    hasher.finish()
}

fn hash_at(seed: &[u8; 16], key: Key, arena: &Arena, position: u32) -> u64 {
    hash(seed, key.of(arena.at(position)).unwrap_or_default())
}

/// The octets of the row that these begin with.
fn row_len(octets: &[u8]) -> usize {
    let mut input = Input(octets);
    let read = |input: &mut Input<'_>| {
        input.counted()?;
        input.number()?;
        input.number()?;
        let state = input.octet()?;
        for bit in [BOUND, HAS_TEMP] {
            if state & bit != 0 {
                input.counted()?;
            }
        }
        Ok::<_, &'static str>(())
    };
    if read(&mut input).is_ok() { octets.len() - input.0.len() } else { 0 }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed stays out of logs.
        f.debug_struct("Index").field("len", &self.len()).field("octets", &self.octets()).finish()
    }
}
