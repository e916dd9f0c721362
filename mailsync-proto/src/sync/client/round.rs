//! What the server asks for inside a session (206 to 210): begun when the rest is done, in the same session.

use super::super::event::{Event, Mode};
use super::super::turn::Missing;
use super::alert::begin_store;
use super::{Plan, Run};
use serde::{Deserialize, Serialize};
use syncml::session::ClientExchange;
use syncml::{Item, StatusCode};

/// How often a session begins anew, at most.
const ROUNDS: u8 = 4;
/// Datastores that a server may ask for at once.
const MOST: usize = 32;

/// A datastore that the server wants synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    name: Box<str>,
    remote: Box<str>,
    mode: Mode,
}

impl Run<'_, '_> {
    /// The server wants a sync of a datastore: it is begun when the session would end.
    // spec: session facts sections 2 and 3
    pub(super) fn server_alert(&mut self, mode: Mode, target: &str, source: &str) -> StatusCode {
        if !self.config.alerts || self.state.rounds >= ROUNDS {
            self.refuses = true;
            return StatusCode::NOT_SUPPORTED;
        }
        let now = self.find(target, source).and_then(|index| self.core.stores.get(index));
        let name = |path: &str| self.config.stores.iter().find(|store| store.is_named(path));
        let (name, remote) = match (now, name(target).or_else(|| name(source))) {
            (Some(now), _) => (now.name.clone(), now.theirs.clone()),
            (None, Some(config)) => (config.name.clone(), source.into()),
            (None, None) => {
                self.refuses = true;
                return StatusCode::NOT_FOUND;
            }
        };
        self.core.events.push(Event::ServerAlerted { store: name.clone(), mode });
        self.state.wishes.retain(|wish| wish.name != name);
        if self.state.wishes.len() < MOST {
            self.state.wishes.push(Wish { name, remote, mode });
        }
        StatusCode::OK
    }

    /// What happened, where the server's wish says so.
    // mission: M4b
    pub(super) fn noticed(&mut self, target: &str, source: &str, item: &Item) {
        let media_type = item.meta.as_ref().and_then(|meta| meta.type_.clone()).unwrap_or_default();
        let config = self.config.stores.iter().find(|store| store.is_named(target) || store.is_named(source));
        let data = item.data.as_ref().and_then(syncml::Data::as_bytes);
        let Some((config, data)) = config.zip(data) else { return };
        // Only what we offered to take.
        let known =
            config.collection.notice_type().is_some_and(|known| known.eq_ignore_ascii_case(&media_type));
        if known {
            let (store, data) = (config.name.clone(), data.clone());
            self.core.events.push(Event::Noticed { store, media_type, data });
        }
    }

    /// Begins what the server has asked for; none when it has asked for nothing. Otherwise, whether all Alerts went.
    pub(super) fn begin_round(&mut self, ex: &mut ClientExchange<'_>) -> Result<Option<bool>, Missing> {
        if self.state.wishes.is_empty() || !ex.is_over() {
            return Ok(None);
        }
        let wishes = std::mem::take(&mut self.state.wishes);
        let before = std::mem::take(&mut self.core.stores);
        self.core.lookups.clear();
        self.state.caps.clear();
        self.state.rounds = self.state.rounds.saturating_add(1);
        let mut missing = false;
        for Wish { name, remote, mode } in wishes {
            let old = before.iter().find(|store| store.name == name);
            let filter = old.and_then(|store| store.asks.clone());
            let free = old.and_then(|store| store.room);
            let plan = Plan { name, remote, mode, filter, free };
            missing |= begin_store(&mut self.core, &plan, None, false).is_err();
        }
        if missing {
            return Err(Missing);
        }
        ex.begin_again();
        Ok(Some(self.package_one(ex)))
    }
}
