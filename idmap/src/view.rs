//! The entries that operations look at.

use crate::{Entry, Guid, Luid, Record, TempId};
use std::collections::BTreeMap;

/// Entries of one (user, device, datastore): those that a message touches, or all.
///
/// Bijective at any time: in a generation each GUID, LUID and temporary id occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    generations: BTreeMap<u32, Generation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Generation {
    entries: BTreeMap<Guid, Entry>,
    luids: BTreeMap<Luid, Guid>,
    temps: BTreeMap<TempId, Guid>,
}

impl View {
    /// Takes in an entry, as [`Record::Put`] does.
    ///
    /// The last one wins: an entry of the same generation with its GUID, its LUID or its temporary id
    /// goes. (Records of operations never let that happen to another GUID; replayed from the start over
    /// a later state they do, and end in that state again.)
    pub fn insert(&mut self, entry: Entry) {
        let generation = self.generations.entry(entry.generation).or_default();
        generation.remove(&entry.guid);
        let rivals = [
            entry.luid().and_then(|luid| generation.luids.get(luid).cloned()),
            entry.wire().temp().and_then(|temp| generation.temps.get(temp).cloned()),
        ];
        for rival in rivals.iter().flatten() {
            generation.remove(rival);
        }
        if let Some(luid) = entry.luid() {
            generation.luids.insert(luid.clone(), entry.guid.clone());
        }
        if let Some(temp) = entry.wire().temp() {
            generation.temps.insert(temp.clone(), entry.guid.clone());
        }
        generation.entries.insert(entry.guid.clone(), entry);
    }

    /// Does to the view what a store does to its rows.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Put(entry) => self.insert(entry.clone()),
            Record::Remove { generation, guid } => {
                if let Some(of) = self.generations.get_mut(generation) {
                    of.remove(guid);
                    if of.entries.is_empty() {
                        self.generations.remove(generation);
                    }
                }
            }
            Record::KeepOnly { generation } => self.generations.retain(|of, _| of == generation),
        }
    }

    /// The entry whose item the client has under this LUID.
    #[must_use]
    pub fn by_luid(&self, generation: u32, luid: &Luid) -> Option<&Entry> {
        let generation = self.generations.get(&generation)?;
        generation.entries.get(generation.luids.get(luid)?)
    }

    /// The entry of this GUID.
    #[must_use]
    pub fn by_guid(&self, generation: u32, guid: &Guid) -> Option<&Entry> {
        self.generations.get(&generation)?.entries.get(guid)
    }

    /// The entry that a MapItem with this id means: that of the temporary id, else that of the GUID,
    /// unless it goes by a temporary id.
    #[must_use]
    pub fn by_wire(&self, generation: u32, wire: &str) -> Option<&Entry> {
        let generation = self.generations.get(&generation)?;
        match generation.temps.get(wire) {
            Some(guid) => generation.entries.get(guid),
            None => generation.entries.get(wire).filter(|entry| entry.wire().temp().is_none()),
        }
    }

    /// All entries, by generation, then by GUID.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.generations.values().flat_map(|generation| generation.entries.values())
    }

    /// How many entries it holds, of all generations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.values().map(|generation| generation.entries.len()).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }
}

impl Generation {
    fn remove(&mut self, guid: &Guid) {
        if let Some(entry) = self.entries.remove(guid) {
            if let Some(luid) = entry.luid() {
                self.luids.remove(luid);
            }
            if let Some(temp) = entry.wire().temp() {
                self.temps.remove(temp);
            }
        }
    }
}

impl FromIterator<Entry> for View {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut view = Self::default();
        view.extend(entries);
        view
    }
}

impl Extend<Entry> for View {
    fn extend<I: IntoIterator<Item = Entry>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.insert(entry));
    }
}

impl<'a> Extend<&'a Record> for View {
    fn extend<I: IntoIterator<Item = &'a Record>>(&mut self, records: I) {
        records.into_iter().for_each(|record| self.apply(record));
    }
}
