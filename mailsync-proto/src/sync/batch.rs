//! The effects of a turn while they gather.

use super::lookup::Lookup;
use super::store::{Item, ItemValue, Seen, StoreKey, Write};
use bytes::Bytes;
use idmap::{Guid, Record};
use std::collections::HashMap;

/// Writes of a turn: at most one per item, however often a message touches it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    writes: Vec<Write>,
    /// What is set aside, before anything changes.
    keeps: Vec<Write>,
    items: HashMap<(StoreKey, Guid), usize>,
}

impl Batch {
    pub(crate) fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// What has gathered so far.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether the turn changes an item.
    pub(crate) fn touches(&self, store: &StoreKey, guid: &Guid) -> bool {
        self.items.contains_key(&(store.clone(), guid.clone()))
    }

    /// The state that the turn gives an item, over the one that was read.
    pub(crate) fn current(&self, store: &StoreKey, guid: &Guid, read: Option<Item>) -> Option<Item> {
        let Some(index) = self.items.get(&(store.clone(), guid.clone())) else { return read };
        match self.writes.get(*index) {
            Some(Write::PutItem { value, body, expect, .. }) => {
                let (rev, body_rev, size) =
                    read.map_or((0, 0, 0), |item| (item.rev, item.body_rev, item.size));
                let size = body.as_ref().map_or(size, |body| body.len() as u64);
                let rev = expect.unwrap_or(rev);
                Some(Item { guid: guid.clone(), rev, body_rev, deleted: false, value: value.clone(), size })
            }
            Some(Write::DeleteItem { .. }) => read.map(|item| Item { deleted: true, ..item }),
            _ => read,
        }
    }

    /// Puts an item; `expect` is the revision that was read.
    pub(crate) fn put(
        &mut self,
        store: &StoreKey,
        guid: &Guid,
        expect: Option<u64>,
        value: ItemValue,
        body: Option<Bytes>,
    ) {
        let key = (store.clone(), guid.clone());
        let earlier = self.items.get(&key).and_then(|index| self.writes.get_mut(*index));
        match earlier {
            Some(Write::PutItem { value: old, body: old_body, .. }) => {
                *old = value;
                *old_body = body.or_else(|| old_body.take());
            }
            Some(other) => {
                let expect = expect_of(other);
                *other = Write::PutItem { store: store.clone(), guid: guid.clone(), expect, value, body };
            }
            None => {
                self.items.insert(key, self.writes.len());
                self.writes.push(Write::PutItem {
                    store: store.clone(),
                    guid: guid.clone(),
                    expect,
                    value,
                    body,
                });
            }
        }
    }

    /// Deletes an item.
    pub(crate) fn delete(&mut self, store: &StoreKey, guid: &Guid, expect: u64) {
        let key = (store.clone(), guid.clone());
        match self.items.get(&key).and_then(|index| self.writes.get_mut(*index)) {
            Some(earlier) => {
                let expect = expect_of(earlier).unwrap_or(expect);
                *earlier = Write::DeleteItem { store: store.clone(), guid: guid.clone(), expect };
            }
            None => {
                self.items.insert(key, self.writes.len());
                self.writes.push(Write::DeleteItem { store: store.clone(), guid: guid.clone(), expect });
            }
        }
    }

    /// Sets an item aside as it is now stored.
    pub(crate) fn keep(&mut self, store: &StoreKey, guid: &Guid, until: Option<u64>) {
        self.keeps.push(Write::Keep { store: store.clone(), guid: guid.clone(), until });
    }

    /// Items that the turn deletes in a datastore.
    pub(crate) fn deleted(&self, of: &StoreKey) -> u64 {
        let deleted = |write: &&Write| matches!(write, Write::DeleteItem { store, .. } if store == of);
        self.writes.iter().filter(deleted).count() as u64
    }

    /// Whether the turn puts anything into an item.
    pub(crate) fn fills(&self, of: &StoreKey, parent: &Guid) -> bool {
        self.writes.iter().any(|write| match write {
            Write::PutItem { store, value, .. } => store == of && value.parent.as_ref() == Some(parent),
            _ => false,
        })
    }

    /// Changes the map.
    pub(crate) fn map(&mut self, lookup: &mut Lookup, records: Vec<Record>, seen: Seen) {
        lookup.apply(&records);
        self.writes.extend(records.into_iter().map(|record| Write::Map(lookup.peer.clone(), record, seen)));
    }

    pub(crate) fn into_writes(self) -> Vec<Write> {
        let mut writes = self.keeps;
        writes.extend(self.writes);
        writes
    }
}

fn expect_of(write: &Write) -> Option<u64> {
    match write {
        Write::PutItem { expect, .. } => *expect,
        Write::DeleteItem { expect, .. } => Some(*expect),
        _ => None,
    }
}
