//! The client's Map: its ids for what we offered.

use super::super::event::Event;
use super::super::store::Seen;
use super::super::turn::Missing;
use super::Run;
use idmap::Luid;
use syncml::session::{ServerExchange, Slot};
use syncml::{MapItem, StatusCode};

impl Run<'_, '_> {
    /// LUIDs for what we offered. Good pairs count even if others are refused.
    // threat: S6
    pub(super) fn map(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        target: &str,
        items: &[MapItem],
    ) -> Result<(), Missing> {
        let Some(index) = self.find(target) else {
            ex.answer(slot, StatusCode::NOT_FOUND);
            return Ok(());
        };
        let mut code = StatusCode::OK;
        let mut missing = false;
        for pair in items {
            match self.map_pair(index, pair) {
                Ok(Ok(())) => {}
                Ok(Err(bad)) => code = bad,
                Err(Missing) => missing = true,
            }
        }
        if missing {
            return Err(Missing);
        }
        ex.answer(slot, code);
        Ok(())
    }

    fn map_pair(&mut self, index: usize, pair: &MapItem) -> Result<Result<(), StatusCode>, Missing> {
        let wire = &*pair.target.loc_uri;
        let Ok(luid) = Luid::try_from(&*pair.source.loc_uri) else { return Ok(Err(StatusCode::BAD_REQUEST)) };
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(Err(StatusCode::NOT_FOUND)) };
        let by_wire = lookup.by_wire(&mut self.core.reader, wire);
        let by_luid = lookup.by_luid(&mut self.core.reader, &luid);
        let (_, _) = (by_wire?, by_luid?);
        match idmap::bind(lookup.view(), lookup.generation, wire, &luid) {
            Ok(records) => {
                self.core.batch.map(lookup, records, Seen::AsRecorded);
                Ok(Ok(()))
            }
            Err(error) => {
                self.core.events.push(Event::Oddity(error.to_string()));
                Ok(Err(match error {
                    idmap::MapError::NotOffered { .. } => StatusCode::NOT_FOUND,
                    _ => StatusCode::ALREADY_EXISTS,
                }))
            }
        }
    }
}
