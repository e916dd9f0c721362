//! A new session that goes on where the last one stopped.

use super::super::core::{Core, Side};
use super::super::event::{Event, Mode, WhySlow};
use super::super::state::{Kind, Resume, StoreSync, Tag};
use super::super::store::{Direction, Read, SessionRow, Value, Write};
use super::super::turn::Missing;
use super::{Plan, Run, State};
use syncml::session::{ClientExchange, ClientSession, Leftover};
use syncml::{AlertCode, Anchor, StatusCode, Version};

/// What the last session left.
pub(super) struct Earlier {
    token: Box<str>,
    stores: Vec<StoreSync>,
    leftover: Leftover,
    /// The version knows how to go on.
    resumable: bool,
}

/// What the last session left, if it can be read.
pub(super) fn earlier(
    core: &mut Core<'_, '_>,
    token: Option<&str>,
    version: Version,
) -> Result<Option<Earlier>, Missing> {
    let Some(token) = token else { return Ok(None) };
    let read = Read::Session(token.into());
    let Value::Session(Some(SessionRow { value, .. })) = core.reader.read(read)? else { return Ok(None) };
    // One of an older program is of no use.
    let Ok(state) = State::from_bytes(value) else { return Ok(None) };
    let Ok(session) = ClientSession::from_bytes(&state.session) else { return Ok(None) };
    // One that broke before the server answered has not taken over yet what it was left.
    let leftover = state.leftover.unwrap_or_else(|| session.leftover());
    let resumable = version >= Version::V1_2;
    Ok(Some(Earlier { token: token.into(), stores: state.stores, leftover, resumable }))
}

impl Earlier {
    /// The datastore of a plan as the last session left it, where going on saves something: two ways a new sync
    /// sends no more than that, unless an object stopped half-way.
    pub(super) fn store(&self, plan: &Plan) -> Option<StoreSync> {
        let store = self.stores.iter().find(|store| store.name == plan.name)?;
        let same = store.wanted == plan.mode && store.theirs == plan.remote && store.is_unfinished();
        let half_in = self.leftover.incoming().is_some_and(|(path, _)| path == &*store.ours);
        let half_out = self.leftover.outgoing().is_some_and(|((_, ours), ..)| ours == &*store.ours);
        (same && self.resumable && (store.mode.is_anew() || half_in || half_out))
            .then(|| store.clone().resumed())
    }

    /// Whether new items of ours went and nobody knows what became of them: a server that is not one of ours may take
    /// them for new when they come again, or believe that they are its own.
    // quirk: SyncEvolution's server keeps what came in a session that broke, and forgets from whom
    pub(super) fn is_unsure(&self, name: &str) -> bool {
        let Some(index) = self.stores.iter().position(|store| *store.name == *name) else { return false };
        let went = |tag: &[u8]| match Tag::from_bytes(tag) {
            Some(Tag::Item { store, kind: Kind::Add, .. }) => usize::from(store) == index,
            _ => false,
        };
        self.stores.get(index).is_some_and(|store| {
            let before = store.why_slow == Some(WhySlow::Unsure);
            !store.completed && (before || store.sent.added > 0 || self.leftover.unanswered().any(went))
        })
    }

    /// Ends the last session; what is gone on with moves into this one.
    pub(super) fn leave(mut self, core: &mut Core<'_, '_>) -> Option<Leftover> {
        let any = core.stores.iter().any(|store| store.resume != Resume::No);
        if any {
            core.move_spools(&self.token, &mut self.leftover, &self.stores);
        }
        core.batch.push(Write::EndSession(self.token));
        any.then_some(self.leftover)
    }
}

impl Run<'_, '_> {
    /// The server's Alert for a datastore that we want to go on with; none when it is a refusal.
    // spec: session facts section 7: 225, or the code of the running sync
    pub(super) fn resume_alerted(
        &mut self,
        index: usize,
        code: AlertCode,
        anchor: Option<&Anchor>,
    ) -> Option<StatusCode> {
        let store = self.core.stores.get_mut(index)?;
        let running = code == AlertCode::RESUME || code == store.mode.code();
        match store.resume {
            Resume::Asked | Resume::Accepted if running => {
                store.resume = Resume::Accepted;
                if let Some(anchor) = anchor.filter(|anchor| !anchor.next.is_empty()) {
                    store.their_next = Some(anchor.next.clone());
                }
                let (name, mode, why_slow) = (store.name.clone(), store.mode, store.why_slow);
                self.core.events.push(Event::Alerted { store: name.clone(), mode, why_slow });
                self.core.events.push(Event::Resumed { store: name });
                Some(StatusCode::OK)
            }
            Resume::Asked | Resume::Accepted => {
                self.resume_refused(index);
                None
            }
            Resume::No | Resume::Refused => None,
        }
    }

    /// The answer to our 225.
    pub(super) fn resume_answered(&mut self, index: usize, code: StatusCode) {
        let Some(store) = self.core.stores.get_mut(index) else { return };
        if !code.is_error() {
            store.resume = Resume::Accepted;
            return;
        }
        self.resume_refused(index);
    }

    /// Everything begins anew in the way that the server's Alert says.
    fn resume_refused(&mut self, index: usize) {
        let Some(store) = self.core.stores.get(index) else { return };
        let mut fresh = StoreSync::new(
            &store.name,
            &store.ours,
            &store.theirs,
            store.base.clone(),
            store.our_next.clone(),
        );
        fresh.wanted = store.wanted;
        fresh.alerted = true;
        fresh.resume = Resume::Refused;
        if let Some(point) = &fresh.base.committed.clone() {
            fresh.go_on(fresh.wanted, point);
        }
        if let Some(old) = self.core.stores.get_mut(index) {
            *old = fresh;
        }
        self.core.refresh_lookup(index);
    }

    /// After a refusal the server says how it wants to sync.
    pub(super) fn alerted_after_refusal(&mut self, index: usize, code: AlertCode) -> StatusCode {
        let Some(store) = self.core.stores.get_mut(index) else { return StatusCode::NOT_FOUND };
        let may = store.wanted.takes(Side::Client);
        match Mode::of_code(code) {
            Some(Mode::Slow) if may => {
                self.core.begin_slow(index, WhySlow::NothingLeft);
                StatusCode::OK
            }
            Some(mode) if mode == store.wanted && store.base.committed.is_some() => StatusCode::OK,
            _ => {
                store.fail(StatusCode::FORBIDDEN);
                StatusCode::FORBIDDEN
            }
        }
    }

    /// Once it is known what goes on, what the last session left of it is taken over.
    pub(super) fn take_over(&mut self, ex: &mut ClientExchange<'_>) {
        if self.core.stores.iter().any(|store| store.resume == Resume::Asked) {
            return;
        }
        let Some(mut leftover) = self.state.leftover.take() else { return };
        let accepted = |core: &Core<'_, '_>, path: &str| {
            core.stores.iter().any(|store| *store.ours == *path && store.resume == Resume::Accepted)
        };
        if let Some((path, _)) = leftover.incoming()
            && !accepted(&self.core, path)
        {
            self.core.drop_half(&mut leftover, Direction::In);
        }
        if let Some(((_, ours), ..)) = leftover.outgoing()
            && !accepted(&self.core, ours)
        {
            self.core.drop_half(&mut leftover, Direction::Out);
        }
        if self.core.stores.iter().any(|store| store.resume == Resume::Accepted) {
            ex.take_over(leftover);
        }
    }
}
