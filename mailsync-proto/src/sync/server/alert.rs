//! Packages 1 and 2: which datastores are synced, how, and from which sync point.

use super::super::collection::Context;
use super::super::core::{Side, StoreConfig};
use super::super::devinf;
use super::super::event::{Event, Mode, WhySlow};
use super::super::filter::{Filter, FilterError};
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
        item: &Item,
    ) -> Result<(), Missing> {
        // quirk: Sony Ericsson C510 leaves the Target empty (facts §3, traps).
        let target = if target.is_empty() { source } else { target };
        let Some(config) = self.config.stores.iter().find(|store| store.is_named(target)) else {
            ex.answer_alert(slot, StatusCode::NOT_FOUND, anchor);
            self.refused(target, StatusCode::NOT_FOUND);
            return Ok(());
        };
        let again = self.core.stores.iter().any(|store| store.name == config.name);
        if code == AlertCode::RESUME && !again {
            return self.resume(ex, slot, &config.name, (target, source), anchor);
        }
        // Changes may be in the same message: what they need is asked for in the same round.
        let _ = self.core.head(&self.core.store_key(&config.name));
        let _ = self.core.reader.read(Read::Device(self.core.user.clone(), self.core.device.clone()));
        let Some(wanted) = Mode::of_code(code) else {
            ex.answer_alert(slot, StatusCode::NOT_SUPPORTED, anchor);
            self.refused(target, StatusCode::NOT_SUPPORTED);
            return Ok(());
        };
        if again {
            ex.answer_alert(slot, StatusCode::ALREADY_EXISTS, anchor);
            return Ok(());
        }
        if let Some(why) =
            self.known_devinf()?.and_then(|devinf| self.core.sealing.hinders(devinf::seals(&devinf)))
        {
            ex.answer_alert(slot, StatusCode::UNSUPPORTED_TYPE, anchor);
            self.core.events.push(Event::Oddity(format!("{}: {why}", config.name)));
            self.refused(target, StatusCode::UNSUPPORTED_TYPE);
            return Ok(());
        }
        let peer = match self.core.reader.read(Read::Peer(self.core.peer_key(&config.name)))? {
            Value::Peer(peer) => peer.clone().unwrap_or_default(),
            _ => Peer::default(),
        };
        let our_next = format!("{}-{}", self.core.at.now, self.core.ids.short());
        let mut store = StoreSync::new(&config.name, target, source, peer.clone(), our_next.into());
        store.wanted = wanted;
        match self.filter(config, target, item) {
            Ok(filter) => store.filter = filter,
            Err(error) => {
                ex.answer_alert(slot, error.status(), anchor);
                self.core.events.push(Event::Oddity(format!("{}: {error}", config.name)));
                self.refused(target, error.status());
                return Ok(());
            }
        }
        let (key, user, device) =
            (self.core.store_key(&config.name), self.core.user.clone(), self.core.device.clone());
        let mut cx = Context::new(&key, &user, self.core.at.now, &mut self.core.reader);
        let (filter, overruled) = config.collection.agreed(&mut cx, &device, store.filter.take())?;
        store.filter = filter;
        let kept = self.known_devinf()?;
        if let Some(theirs) = kept.as_ref().and_then(|kept| devinf::described(kept, &store.theirs)) {
            store.filter = config.collection.within(store.filter.take(), theirs);
        }
        if let Some(overruled) = overruled {
            self.core.events.push(Event::Oddity(format!("{}: {overruled}", config.name)));
        }
        let digest = store.filter.as_ref().map(Filter::digest);
        let inclusive = store.filter.as_ref().is_some_and(|filter| filter.inclusive);
        let state_only = store.filter.as_ref().is_some_and(|filter| filter.is_state(&*config.collection));
        let scope = store.filter.as_ref().is_some_and(Filter::is_scope);
        store.all = !state_only
            && !scope
            && (inclusive || digest != peer.filter || (wanted.is_anew() && digest.is_some()));
        store.live = inclusive;
        store.their_next = anchor.map(|anchor| anchor.next.clone());
        let last = anchor.and_then(|anchor| anchor.last.as_deref()).unwrap_or_default();
        let point = sync_point(&peer, last);
        // spec: session facts section 3
        let (mode, why_slow) = match &point {
            Some(point) if wanted.needs_anchors() => {
                store.go_on(wanted, point);
                (wanted, None)
            }
            None if wanted.needs_anchors() => {
                (Mode::Slow, Some(if last.is_empty() { WhySlow::First } else { WhySlow::ClientAnchor }))
            }
            _ if wanted == Mode::Slow => {
                (wanted, Some(if peer.committed.is_none() { WhySlow::First } else { WhySlow::Asked }))
            }
            _ => (wanted, None),
        };
        if state_only && mode.is_anew() {
            // By their state alone items cannot be compared: without our Alert, the client does not go on with it.
            ex.answer_alert(slot, StatusCode::REFRESH_REQUIRED, anchor);
            self.refused(target, StatusCode::REFRESH_REQUIRED);
            return Ok(());
        }
        let index = self.core.stores.len();
        self.core.add_store(store);
        if mode.is_anew() {
            self.core.begin_anew(index, mode, why_slow)?;
        }
        let status = if mode == wanted { StatusCode::OK } else { StatusCode::REFRESH_REQUIRED };
        ex.answer_alert(slot, status, anchor);
        self.core.events.push(Event::Alerted { store: config.name.clone(), mode, why_slow });
        Ok(())
    }

    /// What the client wants of a datastore: by a filter, or as it was said before there were filters.
    fn filter(&self, config: &StoreConfig, target: &str, item: &Item) -> Result<Option<Filter>, FilterError> {
        if let Some(filter) = item.target.as_ref().and_then(|target| target.filter.as_deref()) {
            return Filter::parse(filter, &*config.collection).map(Some);
        }
        match target.split_once('?') {
            Some((_, part)) => Filter::legacy(part, self.core.at.now, &*config.collection),
            None => Ok(None),
        }
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
            let tag = Tag::Alert(u8::try_from(index).unwrap_or(u8::MAX));
            if ex.send(alert_command(store.alert_code(Side::Server), store), tag.to_bytes()).is_err() {
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
            if !store.mode.is_anew() {
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
pub(super) fn sync_point<'p>(peer: &'p Peer, last: &str) -> Option<&'p SyncPoint> {
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
    let mut target = Target::new(&store.theirs);
    target.filter = store.asks.clone();
    item.target = Some(target);
    item.source = Some(Source::new(&store.ours));
    item.meta = Some(Box::new(meta));
    let mut alert = Alert::default();
    alert.code = Some(code);
    alert.items.push(item);
    Command::Alert(Box::new(alert))
}
