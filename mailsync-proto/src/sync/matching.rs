//! How equal items of two stores find each other when everything is compared.

use super::core::Core;
use super::store::{Item, ItemValue, MatchKey, Read, StoreKey, Value};
use super::turn::Missing;
use idmap::Guid;

/// Candidates asked for first: one is the rule.
const FEW: u32 = 16;
/// Candidates asked for when those are used up: as many as a message has commands.
const MANY: u32 = 4_096;
/// Keys of which a session remembers how far they are used up.
const FRONTIERS: usize = 32;

/// How far a turn has used up the candidates of a key.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    index: usize,
    key: MatchKey,
    /// Candidates passed, of both pages.
    count: usize,
    /// The last one passed, where there are many.
    last: Option<Guid>,
}

impl Core<'_, '_> {
    /// The item of ours that is the peer's item: by its keys, one to one. It is used up with that.
    // threat: S10
    pub(crate) fn matching(
        &mut self,
        index: usize,
        key: &StoreKey,
        value: &ItemValue,
    ) -> Result<Option<Item>, Missing> {
        for match_key in &value.match_keys {
            if let Some(item) = self.candidate(index, key, *match_key)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    fn candidate(
        &mut self,
        index: usize,
        key: &StoreKey,
        match_key: MatchKey,
    ) -> Result<Option<Item>, Missing> {
        let (Some(store), Some(lookup)) = (self.stores.get(index), self.lookups.get(index)) else {
            return Ok(None);
        };
        let (peer, generation) = (lookup.peer.clone(), lookup.generation);
        let mut after = store.frontiers.iter().find(|(of, _)| *of == match_key).map(|(_, guid)| guid.clone());
        let at = self.used.iter().position(|used| used.index == index && used.key == match_key);
        let mut passed = at.and_then(|at| self.used.get(at)).map_or(0, |used| used.count);
        let mut before = 0;
        for limit in [FEW, MANY] {
            let read = Read::Matches { peer: peer.clone(), generation, key: match_key, after, limit };
            let Value::Items(items) = self.reader.read(read)? else { return Ok(None) };
            let full = items.len() >= limit as usize;
            let skip = passed.saturating_sub(before);
            for (n, item) in items.iter().enumerate().skip(skip) {
                passed = before.saturating_add(n).saturating_add(1);
                let taken = self.lookups.get(index).is_none_or(|lookup| {
                    lookup.view().by_guid(generation, &item.guid).is_some()
                        || self.batch.touches(key, &item.guid)
                });
                let last = (full || before > 0).then(|| item.guid.clone());
                self.use_up(Used { index, key: match_key, count: passed, last }, at);
                if !taken {
                    return Ok(Some(item.clone()));
                }
            }
            if !full {
                return Ok(None);
            }
            before = before.saturating_add(items.len());
            after = items.last().map(|item| item.guid.clone());
        }
        Ok(None)
    }

    fn use_up(&mut self, used: Used, at: Option<usize>) {
        match at.and_then(|at| self.used.get_mut(at)) {
            Some(old) => *old = used,
            None => match self.used.iter_mut().find(|old| old.index == used.index && old.key == used.key) {
                Some(old) => *old = used,
                None => self.used.push(used),
            },
        }
    }

    /// Keeps in the session how far keys with many items are used up, so that the next turn begins there.
    pub(crate) fn remember_used(&mut self) {
        for used in std::mem::take(&mut self.used) {
            let (Some(store), Some(last)) = (self.stores.get_mut(used.index), used.last) else { continue };
            store.frontiers.retain(|(key, _)| *key != used.key);
            if store.frontiers.len() >= FRONTIERS {
                store.frontiers.remove(0);
            }
            store.frontiers.push((used.key, last));
        }
    }
}
