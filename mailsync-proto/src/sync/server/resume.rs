//! Alert 225: the client goes on with a sync that stopped.

use super::super::event::{Event, Mode, WhySlow};
use super::super::state::{Resume, StoreSync};
use super::super::store::{Peer, Read, SessionRow, SyncPoint, Value, Write};
use super::super::turn::Missing;
use super::alert::sync_point;
use super::{Run, State};
use syncml::session::{ServerExchange, ServerSession, Slot};
use syncml::{Anchor, StatusCode};

impl Run<'_, '_> {
    /// What the device's last session left, if it is still there.
    fn earlier(&mut self) -> Result<Option<(State, ServerSession)>, Missing> {
        let Some(token) = self.state.earlier.clone() else { return Ok(None) };
        let Value::Session(Some(SessionRow { value, .. })) = self.core.reader.read(Read::Session(token))?
        else {
            return Ok(None);
        };
        // One of an older program is of no use.
        let Ok(state) = State::from_bytes(value) else { return Ok(None) };
        let session = ServerSession::from_bytes(&state.session);
        Ok(session.ok().map(|session| (state, session)))
    }

    // spec: session facts section 7
    pub(super) fn resume(
        &mut self,
        ex: &mut ServerExchange<'_>,
        slot: &Slot,
        name: &str,
        (target, source): (&str, &str),
        anchor: Option<&Anchor>,
    ) -> Result<(), Missing> {
        let earlier = self.earlier();
        let peer = self.core.reader.read(Read::Peer(self.core.peer_key(name)));
        let (earlier, peer) = (earlier?, peer?);
        let peer = match peer {
            Value::Peer(peer) => peer.clone().unwrap_or_default(),
            _ => Peer::default(),
        };
        let left = earlier.and_then(|(state, _)| state.stores.into_iter().find(|store| *store.name == *name));
        let index = self.core.stores.len();
        let Some(mut store) = left.and_then(|left| self.goes_on(left, &peer, anchor)) else {
            let our_next = format!("{}-{}", self.core.at.now, self.core.ids.short());
            let mut store = StoreSync::new(name, target, source, peer, our_next.into());
            store.wanted = Mode::Slow;
            store.their_next = anchor.map(|anchor| anchor.next.clone());
            self.core.add_store(store);
            let why = WhySlow::NothingLeft;
            self.core.begin_slow(index, why);
            ex.answer_alert(slot, syncml::session::suspend::REFUSED, anchor);
            let (store, mode) = (name.into(), Mode::Slow);
            self.core.events.push(Event::Alerted { store, mode, why_slow: Some(why) });
            return Ok(());
        };
        (store.ours, store.theirs) = (target.into(), source.into());
        store.resume = Resume::Accepted;
        if let Some(anchor) = anchor {
            store.their_next = Some(anchor.next.clone());
        }
        let (mode, why_slow) = (store.mode, store.why_slow);
        self.core.add_store(store);
        ex.answer_alert(slot, StatusCode::OK, anchor);
        self.core.events.push(Event::Alerted { store: name.into(), mode, why_slow });
        self.core.events.push(Event::Resumed { store: name.into() });
        Ok(())
    }

    /// The datastore to go on with, if what is left of it is what the client means.
    fn goes_on(&self, left: StoreSync, peer: &Peer, anchor: Option<&Anchor>) -> Option<StoreSync> {
        let last = anchor.and_then(|anchor| anchor.last.as_deref()).unwrap_or_default();
        let next = anchor.map(|anchor| &*anchor.next);
        if left.completed {
            // It ended, but the client never heard so: nothing is left to do, and what is new goes from there.
            let mut store = StoreSync::new(&left.name, "", "", peer.clone(), left.our_next.clone());
            let point = [&peer.committed, &peer.previous].into_iter().flatten();
            let point: &SyncPoint = point.into_iter().find(|point| Some(&*point.theirs) == next)?;
            store.go_on(Mode::TwoWay, point);
            store.said = Some(left.mode);
            store.wanted = left.wanted;
            return Some(store);
        }
        // quirk: Funambol names no Last, so only what is there is compared
        let known = last.is_empty() || sync_point(peer, last).is_some() || next == left.their_next.as_deref();
        (left.is_unfinished() && known).then(|| left.resumed())
    }

    /// The first package is here: what is left of the last session is taken over, or done with.
    pub(super) fn leave_earlier(&mut self, ex: &mut ServerExchange<'_>) -> Result<(), Missing> {
        if !ex.peer_final() || self.state.earlier.is_none() {
            return Ok(());
        }
        if self.core.stores.iter().any(|store| store.resume != Resume::No)
            && let Some((state, session)) = self.earlier()?
            && let Some(token) = self.state.earlier.clone()
        {
            let mut leftover = session.leftover();
            self.core.move_spools(&token, &mut leftover, &state.stores);
            ex.take_over(leftover);
        }
        if let Some(token) = self.state.earlier.take() {
            self.core.batch.push(Write::EndSession(token));
        }
        Ok(())
    }
}
