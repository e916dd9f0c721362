//! Maps: which of our ids the server's new items got. Kept as pending entries until the server answered.

use super::super::state::{StoreSync, Tag};
use super::super::store::{Read, Seen, Value};
use super::super::turn::Missing;
use super::Run;
use idmap::{Entry, Guid, Luid, State};
use std::collections::{BTreeMap, HashSet};
use syncml::session::ClientExchange;
use syncml::{Command, Map, MapItem, Source, StatusCode, Target};

/// Pairs of one Map, at most.
const PAIRS: usize = 200;

impl Run<'_, '_> {
    /// Sends pairs that the server does not know yet; true when none is left.
    // spec: session facts section 4, Map; law: a Map is stored before it is sent
    pub(super) fn say_maps(
        &mut self,
        ex: &mut ClientExchange<'_>,
        wanted: impl Fn(&StoreSync) -> bool,
    ) -> Result<bool, Missing> {
        let mut awaited = HashSet::new();
        for tag in ex.awaited_tags() {
            if let Some(Tag::Maps { guids, .. }) = Tag::from_bytes(tag) {
                awaited.extend(guids);
            }
        }
        for index in 0..self.core.stores.len() {
            let Some(store) = self.core.stores.get(index).filter(|s| s.is_active() && wanted(s)) else {
                continue;
            };
            let (theirs, ours) = (store.theirs.clone(), store.ours.clone());
            let pending = self.pending(index, awaited.len())?;
            let pairs: Vec<&Entry> = pending.values().filter(|e| !awaited.contains(&e.guid)).collect();
            let mut rest = &pairs[..];
            while !rest.is_empty() {
                let Some(sent) = send_pairs(ex, index, (&theirs, &ours), rest) else { return Ok(false) };
                rest = rest.get(sent..).unwrap_or_default();
            }
            if pairs.len().saturating_add(awaited.len()) >= LIMIT {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Entries that are pending, those of this turn included.
    fn pending(&mut self, index: usize, skip: usize) -> Result<BTreeMap<Guid, Entry>, Missing> {
        let Some(lookup) = self.core.lookups.get(index) else { return Ok(BTreeMap::new()) };
        // Those that this turn has settled are pending in the store still: they hide none behind them.
        let limit = LIMIT.saturating_add(skip).saturating_add(lookup.known());
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let read = Read::Pending(lookup.peer.clone(), lookup.generation, limit);
        let Value::Entries(stored) = self.core.reader.read(read)? else { return Ok(BTreeMap::new()) };
        let stored = stored.iter().filter(|entry| !lookup.knows(&entry.guid));
        let made = lookup.view().iter().filter(|e| matches!(e.state, State::Pending { .. }));
        Ok(stored.chain(made).map(|entry| (entry.guid.clone(), entry.clone())).collect())
    }

    /// The server has taken pairs, or will not: either way they are settled.
    pub(super) fn maps_answered(
        &mut self,
        index: usize,
        guids: &[Guid],
        code: StatusCode,
    ) -> Result<(), Missing> {
        if code.0 >= 500 {
            return Ok(());
        }
        let mut missing = false;
        for guid in guids {
            let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(()) };
            match lookup.by_guid(&mut self.core.reader, guid) {
                Err(Missing) => missing = true,
                Ok(Some(entry)) => {
                    let Ok(luid) = Luid::try_from(guid.as_str()) else { continue };
                    let records = idmap::bind(lookup.view(), lookup.generation, entry.wire_id(), &luid);
                    self.core.batch.map(lookup, records.unwrap_or_default(), Seen::AsRecorded);
                }
                Ok(None) => {}
            }
        }
        if missing { Err(Missing) } else { Ok(()) }
    }
}

/// Pending entries looked at in one message.
const LIMIT: usize = 1000;

/// Sends as many pairs as fit, in one Map; none when not even one does.
fn send_pairs(
    ex: &mut ClientExchange<'_>,
    index: usize,
    (theirs, ours): (&str, &str),
    pairs: &[&Entry],
) -> Option<usize> {
    let mut count = pairs.len().min(PAIRS);
    while count > 0 {
        let chosen = pairs.get(..count)?;
        let mut map = Map::default();
        map.target = Target::new(theirs);
        map.source = Source::new(ours);
        map.items = chosen.iter().map(|entry| pair(entry)).collect();
        let store = u8::try_from(index).unwrap_or(u8::MAX);
        let guids = chosen.iter().map(|entry| entry.guid.clone()).collect();
        if ex.send(Command::Map(Box::new(map)), Tag::Maps { store, guids }.to_bytes()).is_ok() {
            return Some(count);
        }
        count /= 2;
    }
    None
}

fn pair(entry: &Entry) -> MapItem {
    let mut item = MapItem::default();
    item.target = Target::new(entry.wire_id());
    item.source = Source::new(entry.guid.as_str());
    item
}
