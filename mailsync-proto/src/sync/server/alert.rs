//! Packages 1 and 2: which datastores are synced, how, and from which sync point.

use super::super::event::{Event, Mode, WhySlow};
use super::super::state::{StoreSync, Tag};
use super::super::store::{Peer, Read, SyncPoint, Value};
use super::super::turn::Missing;
use super::Run;
use syncml::session::{ServerExchange, Slot};
use syncml::{Alert, AlertCode, Anchor, Command, Item, Meta, Source, StatusCode, Target};

impl Run<'_, '_> {
    /// The client wants to sync a datastore.
    pub(super) fn alert(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        code: AlertCode,
        (target, source): (&str, &str),
        anchor: Option<&Anchor>,
    ) -> Result<(), Missing> {
        let Some(config) = self.config.stores.iter().find(|store| store.is_named(target)) else {
            ex.answer_alert(slot, StatusCode::NOT_FOUND, anchor);
            self.refused(target, StatusCode::NOT_FOUND);
            return Ok(());
        };
        if !matches!(code, AlertCode::TWO_WAY | AlertCode::SLOW) {
            ex.answer_alert(slot, StatusCode::NOT_SUPPORTED, anchor);
            self.refused(target, StatusCode::NOT_SUPPORTED);
            return Ok(());
        }
        if self.core.stores.iter().any(|store| store.name == config.name) {
            ex.answer_alert(slot, StatusCode::ALREADY_EXISTS, anchor);
            return Ok(());
        }
        let peer = match self.core.reader.read(Read::Peer(self.core.peer_key(&config.name)))? {
            Value::Peer(peer) => peer.clone().unwrap_or_default(),
            _ => Peer::default(),
        };
        let our_next = format!("{}-{}", self.core.at.now, self.core.ids.short());
        let mut store = StoreSync::new(&config.name, target, source, peer.clone(), our_next.into());
        store.their_next = anchor.map(|anchor| anchor.next.clone());
        let last = anchor.and_then(|anchor| anchor.last.as_deref()).unwrap_or_default();
        let point = sync_point(&peer, last);
        let slow = match (&point, code) {
            (_, AlertCode::SLOW) => {
                Some(if peer.committed.is_none() { WhySlow::First } else { WhySlow::Asked })
            }
            (Some(point), _) => {
                store.resume(point);
                None
            }
            (None, _) => Some(if last.is_empty() { WhySlow::First } else { WhySlow::ClientAnchor }),
        };
        let index = self.core.stores.len();
        self.core.add_store(store);
        if let Some(why) = slow {
            self.core.begin_slow(index, why);
        }
        let status = if slow.is_some() && code != AlertCode::SLOW {
            StatusCode::REFRESH_REQUIRED
        } else {
            StatusCode::OK
        };
        ex.answer_alert(slot, status, anchor);
        let mode = if slow.is_some() { Mode::Slow } else { Mode::TwoWay };
        self.core.events.push(Event::Alerted { store: config.name.clone(), mode, why_slow: slow });
        Ok(())
    }

    pub(super) fn refused(&mut self, store: &str, code: StatusCode) {
        self.core.events.push(Event::StoreRefused { store: store.into(), code: code.0 });
    }

    /// Our own Alert for every datastore; true when all of them went.
    pub(super) fn say_alerts(&mut self, ex: &mut ServerExchange<'_>) -> bool {
        for (index, store) in self.core.stores.iter_mut().enumerate() {
            if store.alerted || !store.is_active() {
                continue;
            }
            let code = if store.mode == Mode::Slow { AlertCode::SLOW } else { AlertCode::TWO_WAY };
            let tag = Tag::Alert(u8::try_from(index).unwrap_or(u8::MAX));
            if ex.send(alert_command(code, store), tag.to_bytes()).is_err() {
                return false;
            }
            store.alerted = true;
        }
        true
    }

    /// The client does not know our anchor: everything anew.
    // spec: session facts section 3: Status 508 alone is enough
    pub(super) fn alert_answered(&mut self, index: usize, code: StatusCode) {
        let Some(store) = self.core.stores.get_mut(index) else { return };
        if code == StatusCode::REFRESH_REQUIRED {
            if store.mode != Mode::Slow {
                self.core.begin_slow(index, WhySlow::ServerAnchor);
            }
        } else if code.is_error() {
            store.fail(code);
            let name = store.name.clone();
            self.refused(&name, code);
        }
    }
}

/// The sync point that a client's `Last` names: the last one, or the one before it.
// law 6: a lost last answer is not a slow sync
fn sync_point<'p>(peer: &'p Peer, last: &str) -> Option<&'p SyncPoint> {
    if last.is_empty() {
        return None;
    }
    [&peer.committed, &peer.previous].into_iter().flatten().find(|point| &*point.theirs == last)
}

/// An Alert for a datastore with our anchors, of either side.
pub(in crate::sync) fn alert_command(code: AlertCode, store: &StoreSync) -> Command {
    let anchor = Anchor { last: store.our_last.clone(), next: store.our_next.clone() };
    let mut meta = Meta::default();
    meta.anchor = Some(Box::new(anchor));
    let mut item = Item::default();
    item.target = Some(Target::new(&store.theirs));
    item.source = Some(Source::new(&store.ours));
    item.meta = Some(Box::new(meta));
    let mut alert = Alert::default();
    alert.code = Some(code);
    alert.items.push(item);
    Command::Alert(alert)
}
