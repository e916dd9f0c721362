//! How each datastore is synced: what we ask for, what the server's Alert says, and what it says of ours.

use super::super::core::{Core, Side, plain_name};
use super::super::event::{Event, Mode, WhySlow};
use super::super::filter::Filter;
use super::super::state::{Resume, StoreSync};
use super::super::store::{Peer, Read, Value, Write};
use super::super::turn::Missing;
use super::{Plan, Run};
use syncml::{AlertCode, Anchor, StatusCode};

/// What we ask for; `left` is where an earlier session stopped.
pub(super) fn begin_store(
    core: &mut Core<'_, '_>,
    plan: &Plan,
    left: Option<StoreSync>,
    unsure: bool,
) -> Result<(), Missing> {
    let config = core.configs.iter().find(|config| config.name == plan.name);
    let state_only = config.zip(plan.filter.as_deref()).is_some_and(|(config, filter)| {
        Filter::parse(filter, &*config.collection).is_ok_and(|filter| filter.is_state(&*config.collection))
    });
    if let Some(store) = left.filter(|_| !state_only) {
        core.add_store(store);
        return Ok(());
    }
    let key = core.peer_key(&plan.name);
    // What this turn has completed is in force.
    let now = core.batch.writes().iter().rev().find_map(|write| match write {
        Write::PutPeer(of, peer) if *of == key => Some(peer.clone()),
        _ => None,
    });
    let peer = match (now, core.reader.read(Read::Peer(key))) {
        (Some(now), _) => now,
        (None, read) => match read? {
            Value::Peer(peer) => peer.clone().unwrap_or_default(),
            _ => Peer::default(),
        },
    };
    let our_next = format!("{}-{}", core.at.now, core.ids.short());
    let ours = format!("./{}", plan.name);
    let mut store = StoreSync::new(&plan.name, &ours, &plan.remote, peer.clone(), our_next.into());
    store.wanted = plan.mode;
    store.mode = plan.mode;
    store.asks = plan.filter.clone();
    store.room = plan.free;
    if let Some(point) = &peer.committed {
        store.go_on(plan.mode, point);
    }
    let index = core.stores.len();
    core.add_store(store);
    match (plan.mode, &peer.committed) {
        // Where the server knows no earlier sync of ours it says so, and nothing is compared.
        (mode, _) if state_only && !mode.is_anew() => Ok(()),
        (mode, _) if mode.is_anew() && mode != Mode::Slow => core.begin_anew(index, mode, None),
        (_, None) => core.begin_anew(index, Mode::Slow, Some(WhySlow::First)),
        (Mode::Slow, _) => core.begin_anew(index, Mode::Slow, Some(WhySlow::Asked)),
        (mode, _) if unsure && mode.sends(Side::Client) => {
            core.begin_anew(index, Mode::Slow, Some(WhySlow::Unsure))
        }
        _ => Ok(()),
    }
}

impl Run<'_, '_> {
    /// The datastore that the server means.
    pub(super) fn find(&self, target: &str, source: &str) -> Option<usize> {
        let (target, source) = (plain_name(target), plain_name(source));
        let stores = &self.core.stores;
        let theirs = |s: &StoreSync| plain_name(&s.theirs).eq_ignore_ascii_case(source);
        let ours = |s: &StoreSync| s.name.eq_ignore_ascii_case(target);
        stores
            .iter()
            .position(|s| ours(s) && theirs(s))
            .or_else(|| stores.iter().position(ours))
            .or_else(|| stores.iter().position(theirs))
    }

    /// The server's Alert: how it wants to sync, and its anchors.
    pub(super) fn alert(
        &mut self,
        code: AlertCode,
        target: &str,
        source: &str,
        anchor: Option<&Anchor>,
    ) -> StatusCode {
        if let Some(mode) = Mode::of_server_code(code) {
            return self.server_alert(mode, target, source);
        }
        let Some(index) = self.find(target, source) else { return StatusCode::NOT_FOUND };
        if let Some(status) = self.resume_alerted(index, code, anchor) {
            return status;
        }
        let state_only = self.core.state_only(index);
        let Some(store) = self.core.stores.get_mut(index) else { return StatusCode::NOT_FOUND };
        store.their_next = Some(anchor.map(|anchor| anchor.next.clone()).unwrap_or_default());
        let known = store.base.committed.as_ref().map(|point| &*point.theirs);
        let last = anchor.and_then(|anchor| anchor.last.as_deref()).filter(|last| !last.is_empty());
        if store.resume == Resume::Refused {
            let status = self.alerted_after_refusal(index, code);
            self.say_alerted(index);
            return status;
        }
        let strange = store.mode.needs_anchors() && last.is_some() && last != known;
        // spec: session facts section 3: nobody who asked only to send is written to
        let slow_is_fine = store.mode.needs_anchors() && store.mode.takes(Side::Client) && !state_only;
        let (status, why) = match (store.mode, Mode::of_code(code)) {
            (ours, Some(mode)) if ours == mode && !strange => (StatusCode::OK, None),
            (ours, Some(mode)) if ours == mode && slow_is_fine => {
                (StatusCode::REFRESH_REQUIRED, Some(WhySlow::ServerAnchor))
            }
            (Mode::Slow, Some(Mode::TwoWay)) => (StatusCode::OK, None),
            (_, Some(Mode::Slow)) if slow_is_fine => (StatusCode::OK, Some(WhySlow::ServerAsked)),
            _ => {
                store.fail(StatusCode::FORBIDDEN);
                (StatusCode::FORBIDDEN, None)
            }
        };
        if let Some(why) = why {
            self.core.begin_slow(index, why);
        }
        self.say_alerted(index);
        status
    }

    fn say_alerted(&mut self, index: usize) {
        if let Some(store) = self.core.stores.get(index) {
            let (name, mode, why_slow) = (store.name.clone(), store.mode, store.why_slow);
            let event = match store.failed {
                None => Event::Alerted { store: name, mode, why_slow },
                Some(code) => Event::StoreRefused { store: name, code },
            };
            self.core.events.push(event);
        }
    }

    /// The status of our Alert.
    pub(super) fn alert_answered(&mut self, index: usize, code: StatusCode) {
        let state_only = self.core.state_only(index);
        let Some(store) = self.core.stores.get_mut(index) else { return };
        if store.resume == Resume::Asked {
            return self.resume_answered(index, code);
        }
        if code == StatusCode::REFRESH_REQUIRED && !state_only {
            // spec: session facts section 3: it is for the Alert that comes with it to say what follows
            if store.mode == Mode::TwoWay {
                self.core.begin_slow(index, WhySlow::ClientAnchor);
            }
        } else if code.is_error() {
            store.fail(code);
            self.core.events.push(Event::StoreRefused { store: store.name.clone(), code: code.0 });
        }
    }
}
