//! The client's turn: the first message, then one answer of the server in and the next message out.

mod alert;
mod config;
mod login;
mod maps;
pub mod notified;
mod receive;
mod resume;
mod round;

use super::core::{Core, Side};
use super::devinf;
use super::event::{Event, Mode};
use super::seal::Sealing;
use super::send::{Caps, Sender};
use super::server::alert_command;
use super::state::{StoreSync, Tag};
use super::store::{Device, Direction, Found, Read, SessionRow, SessionWrite, Value, Write};
use super::turn::{Missing, Moment, Step, Turn};
use crate::stored;
use bytes::Bytes;
pub use config::{Answer, Config, NextHop, Plan, TurnError, decode};
use serde::{Deserialize, Serialize};
use syncml::session::{Ask, ClientExchange, ClientSession, Leftover, LoginState, Package, SessionError};
use syncml::{Command, DevInf, StatusCode, Version};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    session: Vec<u8>,
    stores: Vec<StoreSync>,
    caps: Vec<Caps>,
    devinf_put: bool,
    devinf_got: bool,
    /// What the last session left, until the server has said whether it goes on.
    leftover: Option<Leftover>,
    /// What the server is. One of ours knows again what was sent before a break.
    server: devinf::Known,
    /// What the server has asked for, and how often that was begun.
    wishes: Vec<round::Wish>,
    rounds: u8,
}

const FORMAT: u8 = 4;

impl State {
    fn to_bytes(&self) -> Result<Bytes, SessionError> {
        stored::session_to_bytes(FORMAT, self)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        Ok(stored::from_bytes(FORMAT, bytes)?)
    }
}

/// Where the message of a stored session goes, and what goes with it.
///
/// # Errors
/// A value that is damaged or newer.
pub fn next_hop(config: &Config, value: &[u8], message: &[u8]) -> Result<NextHop, SessionError> {
    let session = ClientSession::from_bytes(&State::from_bytes(value)?.session)?;
    let mac = session.mac(&config.session, message);
    Ok(NextHop { url: session.url().into(), encoding: session.encoding(), mac })
}

/// Makes the first message of a session.
///
/// # Errors
/// [`TurnError::Session`].
pub fn start(config: &Config, at: Moment, plans: &[Plan], found: &Found) -> Result<Step<Event>, TurnError> {
    open(new_core(config, at, found), config, plans, None)
}

/// A turn that begins a session.
fn new_core<'a, 'f>(config: &'a Config, at: Moment, found: &'f Found) -> Core<'a, 'f> {
    let mut core = Core::new(Side::Client, at, &config.stores, found);
    core.device = config.server_id.clone();
    core.token = core.ids.token();
    core.sealing = sealing(config);
    core
}

fn sealing(config: &Config) -> Sealing {
    config.item_key.clone().map_or(Sealing::Clear, Sealing::With)
}

/// Begins a session, with this id if it was asked for.
fn open(
    mut core: Core<'_, '_>,
    config: &Config,
    plans: &[Plan],
    session_id: Option<&str>,
) -> Result<Step<Event>, TurnError> {
    let unique = (core.ids.unique() % 900_000 + 100_000).to_string();
    let session_id = session_id.unwrap_or(&unique);
    let device = core.reader.read(Read::Device(core.user.clone(), core.device.clone()));
    let last = match &device {
        Ok(Value::Device(Some(device))) => device.session.clone(),
        _ => None,
    };
    let earlier = resume::earlier(&mut core, last.as_deref(), config.session.version);
    let (known, server) = match &device {
        Ok(Value::Device(Some(device))) => devinf::split_flags(device.devinf.as_ref()),
        _ => (None, devinf::Known::default()),
    };
    for plan in plans {
        let earlier = earlier.as_ref().ok().and_then(|earlier| earlier.as_ref());
        let left = earlier.and_then(|earlier| earlier.store(plan));
        let unsure = !server.ours && earlier.is_some_and(|earlier| earlier.is_unsure(&plan.name));
        let _ = alert::begin_store(&mut core, plan, left, unsure);
    }
    let (Ok(device), Ok(earlier)) = (device, earlier) else {
        return Ok(Step::Need(core.reader.missed()));
    };
    if core.reader.has_missed() {
        return Ok(Step::Need(core.reader.missed()));
    }
    let Value::Device(device) = device else { return Err(TurnError::UnknownSession) };
    let kept = device.clone().unwrap_or_default();
    let leftover = match (earlier, &kept.session) {
        (Some(earlier), _) => earlier.leave(&mut core),
        (None, Some(token)) => {
            core.batch.push(Write::EndSession(token.clone()));
            None
        }
        (None, None) => None,
    };
    let kept = Device { session: Some(core.token.clone()), ..kept };
    core.batch.push(Write::PutDevice(core.user.clone(), core.device.clone(), kept));
    let nonce = device.as_ref().and_then(|device| device.nonce.clone());
    let ours = devinf::to_bytes(&devinf::ours(
        &config.identity,
        &config.stores,
        config.session.version,
        &core.sealing,
    ));
    // Who seals asks again until the server does, too.
    let agreed = config.item_key.is_some() == server.seals;
    let put =
        known.is_some() && known == ours && agreed && core.stores.iter().all(|store| !store.mode.is_anew());
    let ex = ClientSession::new(&config.session, session_id, nonce.as_deref()).start(&config.session)?;
    let state = State { devinf_put: put, devinf_got: put, leftover, server, ..State::default() };
    let mut run =
        Run { config, core, state, current: None, peer_suspends: false, peer_silent: false, refuses: false };
    let mut ex = ex;
    let last = run.package_one(&mut ex);
    run.finish(ex, 0, last)
}

/// Takes an answer of the server and makes the next message. When the turn's session value is gone, the session
/// is over and there is nothing to send.
///
/// # Errors
/// [`TurnError`]: nothing is committed; the same message may be sent again.
pub fn turn(
    config: &Config,
    at: Moment,
    token: &str,
    answer: &Answer,
    found: &Found,
) -> Result<Step<Event>, TurnError> {
    take(config, at, token, answer, found, false)
}

/// As [`turn`], but the session stops with the next message (Alert 224): another one, begun by [`start`], goes on. When
/// a turn comes without a session, it has stopped; its value stays stored until then.
///
/// # Errors
/// As [`turn`]. Below 1.2 there is no suspending: the session goes on.
// spec: session facts section 7
pub fn suspend(
    config: &Config,
    at: Moment,
    token: &str,
    answer: &Answer,
    found: &Found,
) -> Result<Step<Event>, TurnError> {
    take(config, at, token, answer, found, true)
}

fn take(
    config: &Config,
    at: Moment,
    token: &str,
    answer: &Answer,
    found: &Found,
    suspend: bool,
) -> Result<Step<Event>, TurnError> {
    let mut core = Core::new(Side::Client, at, &config.stores, found);
    core.sealing = sealing(config);
    core.device = config.server_id.clone();
    core.token = token.into();
    let Ok(value) = core.reader.read(Read::Session(token.into())) else {
        return Ok(Step::Need(core.reader.missed()));
    };
    let Value::Session(Some(SessionRow { version, value, .. })) = value else {
        return Err(TurnError::UnknownSession);
    };
    let state = State::from_bytes(value)?;
    let session = ClientSession::from_bytes(&state.session)?;
    let Ok(ex) = login::receive(&mut core, config, session, answer)? else {
        return Ok(Step::Need(core.reader.missed()));
    };
    let peer_silent = answer.message.commands.iter().all(|command| matches!(command, Command::Status(_)));
    Run { config, core, state, current: None, peer_suspends: false, peer_silent, refuses: false }
        .answer(ex, *version, suspend)
}

struct Run<'a, 'f> {
    config: &'a Config,
    core: Core<'a, 'f>,
    state: State,
    current: Option<usize>,
    /// The server stops with its message.
    peer_suspends: bool,
    /// The server's message holds nothing but statuses.
    peer_silent: bool,
    /// It asks for a sync that there will not be: it is told so, even at the end.
    refuses: bool,
}

impl<'a, 'f> Run<'a, 'f> {
    fn answer(
        mut self,
        mut ex: ClientExchange<'_>,
        version: u64,
        suspend: bool,
    ) -> Result<Step<Event>, TurnError> {
        let stores = std::mem::take(&mut self.state.stores);
        self.core.take_stores(stores);
        match ex.login() {
            LoginState::Refused(code) => {
                let (user, device) = (self.config.session.user.clone(), self.config.session.device.clone());
                self.core.events.push(Event::LoginRefused { user, device, code });
                for store in &mut self.core.stores {
                    store.fail(StatusCode(code));
                }
                // What an earlier session left is still to be gone on with.
                let left = self.state.leftover.is_some();
                return if left { self.stop() } else { self.end(version) };
            }
            LoginState::Again => {
                // Nothing of the first package was executed: all of it goes again.
                self.state.devinf_put = false;
                self.state.devinf_got = false;
                self.core.stores.iter_mut().for_each(|store| store.alerted = false);
                let last = self.package_one(&mut ex);
                return self.finish(ex, version, last);
            }
            _ => {}
        }
        match ex.server_login() {
            Some(LoginState::Refused(code)) => {
                let server = self.core.device.clone();
                self.core.events.push(Event::ServerRefused { server, code });
                for store in &mut self.core.stores {
                    store.fail(StatusCode(code));
                }
                return self.end(version);
            }
            Some(LoginState::Again) => {
                while ex.next_ask().is_some() {}
                return self.finish(ex, version, false);
            }
            _ => {}
        }
        while let Some(ask) = ex.next_ask() {
            let _ = self.ask(&mut ex, ask);
        }
        self.take_over(&mut ex);
        let stopped = ex.is_suspended() && !self.peer_suspends;
        let over = ex.is_over() || self.has_no_more(&ex);
        let stops = stopped || self.peer_suspends || (suspend && ex.suspend().is_ok());
        if ex.is_busy() {
            self.core.events.push(Event::Busy);
        }
        let last = if over || stops { Ok(true) } else { self.say(&mut ex) };
        if self.core.reader.has_missed() {
            return Ok(Step::Need(self.core.reader.missed()));
        }
        if stopped || (over && self.peer_suspends) {
            self.core.events.push(Event::Suspended);
            self.keep_login(&ex);
            return self.stop();
        }
        if over {
            let tags: Vec<Tag> = ex.awaited_tags().filter_map(Tag::from_bytes).collect();
            self.core.complete(&tags, |_| true);
            match self.begin_round(&mut ex) {
                Ok(Some(last)) => return self.finish(ex, version, last),
                Ok(None) if self.refuses && ex.is_over() => return self.finish(ex, version, true),
                Ok(None) => {}
                Err(Missing) => return Ok(Step::Need(self.core.reader.missed())),
            }
            self.keep_login(&ex);
            return self.end(version);
        }
        if !self.core.stores.iter().any(StoreSync::is_active) && ex.package() >= Package::Changes {
            self.keep_login(&ex);
            return self.end(version);
        }
        self.finish(ex, version, last == Ok(true))
    }

    /// The server has taken everything, sends nothing in any of the datastores, and has said so: nobody has anything
    /// to say any more.
    // spec: session facts section 1: packages 5 and 6 may be dropped
    // quirk: SyncEvolution's server ends such a session with package 4, and knows it no more
    fn has_no_more(&self, ex: &ClientExchange<'_>) -> bool {
        let mut active = self.core.stores.iter().filter(|store| store.is_active()).peekable();
        self.peer_silent
            && ex.package() == Package::Maps
            && ex.peer_final()
            && ex.awaited_tags().next().is_none()
            && active.peek().is_some()
            && active.all(|store| !store.sends(Side::Server))
    }

    fn ask(&mut self, ex: &mut ClientExchange<'_>, ask: Ask<'_>) -> Result<(), Missing> {
        match ask {
            Ask::Alert { slot, code, target, source, anchor, item } => {
                let status = self.alert(code, target, source, anchor);
                if Mode::of_server_code(code).is_some() && !status.is_error() {
                    self.noticed(target, source, item);
                }
                ex.answer_alert(&slot, status, anchor);
                Ok(())
            }
            Ask::DevInf(devinf) => {
                self.state.server = devinf::Known::of(devinf);
                let extensions = devinf.ext.clone();
                self.core.events.push(Event::Announces { extensions });
                self.state.caps =
                    self.core.stores.iter().map(|store| devinf::caps(devinf, &store.theirs)).collect();
                Ok(())
            }
            Ask::GetDevInf(slot) => {
                ex.answer(&slot, StatusCode::OK);
                let devinf = self.devinf(ex.version());
                let asked = ex.reference(&slot);
                // Without room the server does without.
                let _ = ex.results(asked, devinf);
                Ok(())
            }
            Ask::Sync { slot, target, source, number_of_changes, .. } => {
                self.current = self.find(target, source);
                let store =
                    self.current.and_then(|index| self.core.stores.get(index)).filter(|s| s.is_active());
                if let (Some(store), Some(changes)) = (store, number_of_changes) {
                    self.core.events.push(Event::Announced { store: store.name.clone(), changes });
                }
                ex.answer(&slot, if store.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND });
                Ok(())
            }
            Ask::Change { slot, received } => self.change(ex, &slot, &received),
            Ask::Chunk { offset, data } => {
                self.core.spool_chunk(offset, data);
                Ok(())
            }
            Ask::ChunksDropped => {
                self.core.drop_chunks();
                Ok(())
            }
            Ask::Map { slot, .. } => {
                // spec: session facts section 4: there is no Map from server to client
                ex.answer(&slot, StatusCode::NOT_ALLOWED);
                Ok(())
            }
            Ask::AtomicBegin(slot) => {
                self.core.begin_atomic();
                ex.answer(&slot, StatusCode::OK);
                Ok(())
            }
            Ask::AtomicEnd { keep } => {
                self.core.end_atomic(keep);
                Ok(())
            }
            Ask::Answered { tag, code, object_dropped } => self.answered(&tag, code, object_dropped),
            Ask::Suspend => {
                self.peer_suspends = true;
                Ok(())
            }
            Ask::Display(text) => {
                self.core.events.push(Event::Display(text.into()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self, tag: &[u8], code: StatusCode, dropped: bool) -> Result<(), Missing> {
        if dropped {
            self.core.batch.push(Write::ClearSpool(self.core.token.clone(), Direction::Out));
        }
        match Tag::from_bytes(tag) {
            Some(Tag::Alert(index)) => self.alert_answered(usize::from(index), code),
            Some(Tag::Item { store, guid, rev, kind }) => {
                return self.core.item_answered(usize::from(store), &guid, rev, kind, code);
            }
            Some(Tag::Maps { store, guids }) => return self.maps_answered(usize::from(store), &guids, code),
            Some(Tag::Offer(_)) | None => {}
        }
        Ok(())
    }

    /// Package 1: device information and alerts; true when all of it went.
    fn package_one(&mut self, ex: &mut ClientExchange<'_>) -> bool {
        if !self.state.devinf_put {
            let devinf = self.devinf(ex.version());
            if ex.put_devinf(devinf).is_err() && !ex.is_roomy() {
                return false;
            }
            self.state.devinf_put = true;
        }
        if !self.state.devinf_got {
            if ex.get_devinf().is_err() {
                return false;
            }
            self.state.devinf_got = true;
        }
        for (index, store) in self.core.stores.iter_mut().enumerate() {
            if store.alerted {
                continue;
            }
            let tag = Tag::Alert(u8::try_from(index).unwrap_or(u8::MAX));
            if ex.send(alert_command(store.alert_code(Side::Client), store), tag.to_bytes()).is_err() {
                return false;
            }
            store.alerted = true;
        }
        true
    }

    /// What we say of our own accord; true when our package is whole with it.
    fn say(&mut self, ex: &mut ClientExchange<'_>) -> Result<bool, Missing> {
        match ex.package() {
            Package::Alerts => {
                let said = self.core.stores.iter().all(|store| store.alerted);
                Ok(!said && self.package_one(ex))
            }
            Package::Changes => {
                for store in &mut self.core.stores {
                    if store.is_active() && store.their_next.is_none() {
                        // quirk: some servers sync without an Alert of their own, and would drop our items
                        store.fail(StatusCode::INCOMPLETE);
                        let store = store.name.clone();
                        self.core.events.push(Event::StoreRefused { store, code: StatusCode::INCOMPLETE.0 });
                    }
                }
                // Maps that an earlier session could not send go before our changes.
                if !self.say_maps(ex, |store| !store.mode.is_anew() && !store.opened)? {
                    return Ok(false);
                }
                let caps = self.caps();
                self.core.extended = self.state.server.ours;
                Sender::new(&mut self.core, ex, &caps).send()
            }
            Package::Maps if ex.peer_final() => {
                let swept = self.core.sweep()?;
                self.core.guard()?;
                Ok(self.say_maps(ex, |_| true)? && swept)
            }
            Package::Maps | Package::Over => Ok(false),
        }
    }

    fn devinf(&self, version: Version) -> DevInf {
        devinf::ours(&self.config.identity, &self.config.stores, version, &self.core.sealing)
    }

    fn caps(&self) -> Vec<Caps> {
        // Our ids are ours: a server's MaxGUIDSize does not bind them.
        let mut caps = self.state.caps.clone();
        caps.resize(self.core.stores.len(), Caps::default());
        for caps in &mut caps {
            caps.max_guid_size = None;
            caps.folders |= self.state.server.ours;
            caps.seals |= self.state.server.seals;
        }
        caps
    }

    fn finish(mut self, ex: ClientExchange<'_>, version: u64, last: bool) -> Result<Step<Event>, TurnError> {
        let (session, message) = ex.finish(last)?;
        self.core.remember_used();
        self.state.session = session.to_bytes()?.to_vec();
        self.state.stores = std::mem::take(&mut self.core.stores);
        let session = SessionWrite {
            token: self.core.token.clone(),
            expect: version,
            value: Some(self.state.to_bytes()?),
            answer: message.clone(),
        };
        Ok(self.done(Some(session), message))
    }

    /// The session stops here; its value stays.
    fn stop(self) -> Result<Step<Event>, TurnError> {
        Ok(self.done(None, Bytes::new()))
    }

    fn end(self, version: u64) -> Result<Step<Event>, TurnError> {
        let token = self.core.token.clone();
        let session = SessionWrite { token, expect: version, value: None, answer: Bytes::new() };
        Ok(self.done(Some(session), Bytes::new()))
    }

    fn done(self, session: Option<SessionWrite>, message: Bytes) -> Step<Event> {
        let (writes, events) = (self.core.batch.into_writes(), self.core.events);
        Step::Done(Box::new(Turn { session, message, writes, events }))
    }
}
