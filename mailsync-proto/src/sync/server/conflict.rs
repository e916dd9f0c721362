//! A new state of what we have: taken, merged, or lost to ours; and who is told.

use super::super::collection::{Absorbed, Both};
use super::super::event::{ConflictRule, Event};
use super::super::store::{Item, ItemValue, Read, Seen, Value};
use super::super::turn::Missing;
use super::Run;
use super::receive::Arrival;
use idmap::{Entry, Guid};
use syncml::{CommandName, StatusCode};

impl Run<'_, '_> {
    /// A new state of an item that the client has mapped.
    pub(super) fn replace(
        &mut self,
        arrival: &Arrival<'_>,
        entry: &Entry,
        item: &Item,
    ) -> Result<StatusCode, Missing> {
        let absorbed = match self.absorb(arrival, &item.guid, Some(item))? {
            Ok(absorbed) => absorbed,
            Err(code) => return Ok(code),
        };
        let added = arrival.cmd == CommandName::Add;
        let ok = if added { StatusCode::ITEM_ADDED } else { StatusCode::OK };
        if item.deleted {
            return Ok(self.revive(arrival, item, absorbed));
        }
        // It is what it is here, whatever the client says of it: it is told.
        if absorbed.same_as.as_ref() == Some(&item.guid) {
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), item.value.clone(), None);
            self.walk_again(arrival.index, true);
            return Ok(ok);
        }
        // Match keys are coarse (a draft's new recipients change none): only the collection says what is the same.
        let same_body = absorbed.body.is_none();
        if same_body && self.same_state(arrival.index, &absorbed.value, &item.value) {
            self.seen(arrival.index, &item.guid, Seen::AsRecorded, item.rev);
            return Ok(ok);
        }
        // What sets something off is a user's act (a draft is to be sent): it is taken.
        let conflict = item.rev > entry.seen_rev
            && absorbed.effects.is_empty()
            && !self.core.batch.touches(&arrival.key, &item.guid);
        if conflict {
            return self.conflict(arrival, entry, item, absorbed, same_body);
        }
        absorbed.effects.into_iter().for_each(|write| self.core.batch.push(write));
        let body = absorbed.body.filter(|_| !same_body);
        self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), absorbed.value, body);
        if absorbed.tell_back {
            self.walk_again(arrival.index, true);
        } else {
            self.seen(arrival.index, &item.guid, Seen::ThisCommit, 0);
        }
        Ok(ok)
    }

    /// We deleted what the client changed: the change wins, unless the collection says otherwise.
    fn revive(&mut self, arrival: &Arrival<'_>, item: &Item, absorbed: Absorbed) -> StatusCode {
        let deleted_stays = self.core.config(arrival.index).is_none_or(|config| config.deletion_wins());
        let Some(body) = absorbed.body.clone().filter(|_| !deleted_stays) else {
            self.lost(arrival, &item.guid, &absorbed);
            self.conflict_event(arrival, &item.guid, StatusCode::CONFLICT_SERVER_WON);
            return StatusCode::CONFLICT_SERVER_WON;
        };
        self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), absorbed.value, Some(body));
        self.seen(arrival.index, &item.guid, Seen::ThisCommit, 0);
        self.conflict_event(arrival, &item.guid, StatusCode::CONFLICT_CLIENT_WON);
        StatusCode::ITEM_ADDED
    }

    /// Both sides changed an item.
    fn conflict(
        &mut self,
        arrival: &Arrival<'_>,
        entry: &Entry,
        item: &Item,
        absorbed: Absorbed,
        same_body: bool,
    ) -> Result<StatusCode, Missing> {
        if same_body {
            let merged = self.merge(arrival.index, item, &absorbed.value, Some(entry.seen_rev));
            let taken =
                self.same_state(arrival.index, &merged, &absorbed.value) && entry.seen_rev >= item.body_rev;
            self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), merged, None);
            if taken {
                self.seen(arrival.index, &item.guid, Seen::ThisCommit, 0);
            }
            self.walk_again(arrival.index, !taken);
            self.conflict_event(arrival, &item.guid, StatusCode::CONFLICT_MERGED);
            return Ok(StatusCode::CONFLICT_MERGED);
        }
        let rule = self.core.config(arrival.index).map_or(ConflictRule::ServerWins, |config| config.conflict);
        let code = match rule {
            ConflictRule::ServerWins => {
                self.lost(arrival, &item.guid, &absorbed);
                StatusCode::CONFLICT_SERVER_WON
            }
            ConflictRule::Merge if self.merge_bodies(arrival, item, &absorbed)? => {
                StatusCode::CONFLICT_MERGED
            }
            ConflictRule::ClientWins => {
                self.core.set_aside(&arrival.key, &item.guid, false);
                let body = absorbed.body;
                self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), absorbed.value, body);
                self.seen(arrival.index, &item.guid, Seen::ThisCommit, 0);
                StatusCode::CONFLICT_CLIENT_WON
            }
            ConflictRule::KeepBoth | ConflictRule::Merge => {
                // The client's version becomes an item of its own under the client's LUID; ours is new to it.
                let guid = self.core.ids.guid();
                if let Some(lookup) = self.core.lookups.get_mut(arrival.index) {
                    let records = idmap::forget(lookup.view(), lookup.generation, &item.guid);
                    self.core.batch.map(lookup, records, Seen::AsRecorded);
                }
                self.core.batch.put(&arrival.key, &guid, None, absorbed.value, absorbed.body);
                self.bind(arrival, &guid, Seen::ThisCommit, 0, StatusCode::CONFLICT_DUPLICATED)
            }
        };
        self.conflict_event(arrival, &item.guid, code);
        Ok(code)
    }

    /// What the client wrote is not taken: it is set aside for a while.
    // threat: S11
    fn lost(&mut self, arrival: &Arrival<'_>, guid: &Guid, absorbed: &Absorbed) {
        if let Some(body) = &absorbed.body {
            self.core.set_aside_copy(&arrival.key, guid, absorbed.value.clone(), body.clone());
        }
    }

    /// Both bodies in one, if the collection can.
    fn merge_bodies(
        &mut self,
        arrival: &Arrival<'_>,
        item: &Item,
        absorbed: &Absorbed,
    ) -> Result<bool, Missing> {
        let read = Read::Body(arrival.key.clone(), item.guid.clone());
        let Value::Body(Some(ours)) = self.core.reader.read(read)? else { return Ok(false) };
        let (Some(config), Some(theirs)) = (self.core.config(arrival.index), &absorbed.body) else {
            return Ok(false);
        };
        let merged = config.collection.merge_bodies((&item.value, ours), (&absorbed.value, theirs));
        let Some((value, body)) = merged else { return Ok(false) };
        let taken = body == *theirs && self.same_state(arrival.index, &value, &absorbed.value);
        self.core.batch.put(&arrival.key, &item.guid, Some(item.rev), value, Some(body));
        if taken {
            self.seen(arrival.index, &item.guid, Seen::ThisCommit, 0);
        }
        self.walk_again(arrival.index, !taken);
        Ok(true)
    }

    /// What an item is that both changed; `seen` is the revision of ours that the client had.
    pub(super) fn merge(
        &self,
        index: usize,
        ours: &Item,
        theirs: &ItemValue,
        seen: Option<u64>,
    ) -> ItemValue {
        match self.core.config(index) {
            Some(config) => config.collection.merge(&Both { ours, theirs, seen, server: true }),
            None => ours.value.clone(),
        }
    }

    pub(super) fn same_state(&self, index: usize, a: &ItemValue, b: &ItemValue) -> bool {
        self.core.config(index).is_some_and(|config| config.collection.same_state(a, b))
    }

    pub(super) fn conflict_event(&mut self, arrival: &Arrival<'_>, guid: &Guid, code: StatusCode) {
        let store = arrival.key.datastore.clone();
        self.core.events.push(Event::Conflict { store, guid: guid.clone(), code: code.0 });
    }
}
