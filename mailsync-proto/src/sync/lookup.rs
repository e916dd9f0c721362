//! The map as a turn sees it: what was read, and over it what the turn has changed.

use super::store::{PeerKey, Read, Value};
use super::turn::{Missing, Reader};
use idmap::{Entry, Guid, Luid, Record, View};
use std::collections::HashSet;

/// The map of one peer during one turn.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) peer: PeerKey,
    pub(crate) generation: u32,
    view: View,
    /// GUIDs of which the view knows all there is to know.
    known: HashSet<Guid>,
}

impl Lookup {
    pub(crate) fn new(peer: PeerKey, generation: u32) -> Self {
        Lookup { peer, generation, view: View::default(), known: HashSet::new() }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Whether the turn has read or changed the entry of a GUID.
    pub(crate) fn knows(&self, guid: &Guid) -> bool {
        self.known.contains(guid)
    }

    /// Of how many GUIDs it has.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn by_guid(&mut self, reader: &mut Reader<'_>, guid: &Guid) -> Result<Option<Entry>, Missing> {
        if !self.known.contains(guid) {
            let read = Read::ByGuid(self.peer.clone(), self.generation, guid.clone());
            let entry = entry(reader.read(read)?);
            self.learn(guid.clone(), entry);
        }
        Ok(self.view.by_guid(self.generation, guid).cloned())
    }

    pub(crate) fn by_luid(&mut self, reader: &mut Reader<'_>, luid: &Luid) -> Result<Option<Entry>, Missing> {
        if let Some(entry) = self.view.by_luid(self.generation, luid) {
            return Ok(Some(entry.clone()));
        }
        let read = Read::ByLuid(self.peer.clone(), self.generation, luid.clone());
        let found = entry(reader.read(read)?);
        Ok(self.fresh(found))
    }

    pub(crate) fn by_wire(&mut self, reader: &mut Reader<'_>, wire: &str) -> Result<Option<Entry>, Missing> {
        if let Some(entry) = self.view.by_wire(self.generation, wire) {
            return Ok(Some(entry.clone()));
        }
        let read = Read::ByWire(self.peer.clone(), self.generation, wire.into());
        let found = entry(reader.read(read)?);
        Ok(self.fresh(found))
    }

    /// Takes an entry that came with a row, unless the turn knows better.
    pub(crate) fn with_row(&mut self, guid: &Guid, entry: Option<&Entry>) -> Option<Entry> {
        if !self.known.contains(guid) {
            self.learn(guid.clone(), entry.cloned());
        }
        self.view.by_guid(self.generation, guid).cloned()
    }

    /// An entry that was found, unless the turn has changed it since.
    fn fresh(&mut self, found: Option<Entry>) -> Option<Entry> {
        let entry = found?;
        if self.known.contains(&entry.guid) {
            return None;
        }
        self.learn(entry.guid.clone(), Some(entry.clone()));
        Some(entry)
    }

    fn learn(&mut self, guid: Guid, entry: Option<Entry>) {
        if let Some(entry) = entry {
            self.view.insert(entry);
        }
        self.known.insert(guid);
    }

    pub(crate) fn apply(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Put(entry) => {
                    self.known.insert(entry.guid.clone());
                }
                Record::Remove { guid, .. } => {
                    self.known.insert(guid.clone());
                }
                Record::KeepOnly { .. } => {}
            }
            self.view.apply(record);
        }
    }
}

fn entry(value: &Value) -> Option<Entry> {
    match value {
        Value::Entry(entry) => entry.clone(),
        _ => None,
    }
}
