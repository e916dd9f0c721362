//! What a turn returns to when an `Atomic` fails.

use super::batch::Batch;
use super::core::Core;
use super::event::Event;
use super::lookup::Lookup;
use super::matching::Used;
use super::state::StoreSync;

/// A turn's effects so far. Ids are not taken back: they are only unique.
#[derive(Debug)]
pub(crate) struct Savepoint {
    batch: Batch,
    stores: Vec<StoreSync>,
    lookups: Vec<Lookup>,
    used: Vec<Used>,
    events: Vec<Event>,
}

impl Core<'_, '_> {
    /// Remembers what has been so far.
    pub(crate) fn begin_atomic(&mut self) {
        self.before_atomic = Some(Box::new(Savepoint {
            batch: self.batch.clone(),
            stores: self.stores.clone(),
            lookups: self.lookups.clone(),
            used: self.used.clone(),
            events: self.events.clone(),
        }));
    }

    /// Without `keep`, everything since then has not been.
    pub(crate) fn end_atomic(&mut self, keep: bool) {
        let Some(before) = self.before_atomic.take().filter(|_| !keep) else { return };
        let Savepoint { batch, stores, lookups, used, events } = *before;
        (self.batch, self.stores, self.lookups, self.used, self.events) =
            (batch, stores, lookups, used, events);
    }
}
