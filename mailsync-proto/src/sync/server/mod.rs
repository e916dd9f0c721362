//! The server's turn: one message of a client in, one answer out.

mod alert;
mod commands;
mod config;
mod conflict;
mod login;
mod maps;
pub mod notify;
pub mod offer;
mod receive;
mod resume;

pub(super) use alert::alert_command;
pub use config::{Config, Inbound, Route, TurnError};

use super::core::{Core, Side};
use super::device::DeviceQuirks;
use super::devinf;
use super::event::Event;
use super::seal::Sealing;
use super::send::{Caps, Sender};
use super::state::{StoreSync, Tag};
use super::store::{Device, Found, Read, SessionWrite, Value, Write};
use super::turn::{Missing, Moment, Step, Turn};
use crate::stored;
use bytes::Bytes;
use core::cell::Cell;
use login::Opened;
use serde::{Deserialize, Serialize};
use syncml::DevInf;
use syncml::session::{
    Ask, LoginState, Package, Received, ServerExchange, ServerSession, SessionError, Slot,
};

/// The engine's part of a session value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    session: Vec<u8>,
    stores: Vec<StoreSync>,
    caps: Vec<Caps>,
    /// `Get`s for our DevInf that are not answered yet.
    results_owed: Vec<(u32, u32)>,
    /// The device's last session, until it is known whether this one goes on with it.
    earlier: Option<Box<str>>,
    /// What the device was asked to sync when the rest was done.
    offers: Vec<offer::Offer>,
    /// How often that was.
    rounds: u8,
    /// The next message begins what was asked for, if the device wants to.
    reopened: bool,
    /// Its items are sealed; the key is with the login.
    sealed: bool,
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

/// The transport's header for an answer, where the server proves each of its messages; `value` is the session's.
pub fn mac(config: &Config, value: &[u8], answer: &[u8]) -> Option<String> {
    let state = State::from_bytes(value).ok()?;
    ServerSession::from_bytes(&state.session).ok()?.mac(&config.session, answer)
}

/// A stored session, as a host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub user: Box<str>,
    /// Which device's.
    pub device: Box<str>,
    /// The datastores that it has synced or is to sync.
    pub stores: Vec<Box<str>>,
    /// Nothing more comes in it.
    pub over: bool,
    /// When the device was heard last, seconds since 1970.
    pub answered: u64,
}

/// What there is to know of a stored session from outside; none for a value that cannot be read.
pub fn held(value: &[u8]) -> Option<Held> {
    let state = State::from_bytes(value).ok()?;
    let session = ServerSession::from_bytes(&state.session).ok()?;
    Some(Held {
        user: session.user().into(),
        device: session.device().into(),
        stores: state.stores.iter().map(|store| store.name.clone()).collect(),
        over: session.is_suspended() || session.package() == Package::Over,
        answered: session.heard(),
    })
}

/// Seconds after which a device that says nothing is taken for gone, although its session is not at its end.
const SILENCE: u64 = 10;

/// Whether a stored session is being held now: something in it is not done, and the device spoke a moment ago.
pub fn is_under_way(value: &[u8], now: u64) -> bool {
    let Ok(state) = State::from_bytes(value) else { return false };
    let Ok(session) = ServerSession::from_bytes(&state.session) else { return false };
    let open = state.stores.iter().any(|store| store.is_active() && !store.completed)
        || state.offers.iter().any(offer::Offer::is_open);
    open && !session.is_suspended()
        && session.package() != Package::Over
        && now.saturating_sub(session.heard()) < SILENCE
}

/// Answers one message. Run again with more rows until it is done.
///
/// # Errors
/// [`TurnError`]: no answer leaves, nothing is committed.
pub fn turn(
    config: &Config,
    at: Moment,
    route: &Route<'_>,
    inbound: &Inbound,
    found: &Found,
) -> Result<Step<Event>, TurnError> {
    take(config, at, route, inbound, found, false)
}

/// As [`turn`], but the session stops with this answer (Alert 224), for instance because the server is going down:
/// another one may go on with it. Below 1.2 there is no suspending: the session goes on.
///
/// # Errors
/// As [`turn`].
// spec: session facts section 7
pub fn suspend(
    config: &Config,
    at: Moment,
    route: &Route<'_>,
    inbound: &Inbound,
    found: &Found,
) -> Result<Step<Event>, TurnError> {
    take(config, at, route, inbound, found, true)
}

fn take(
    config: &Config,
    at: Moment,
    route: &Route<'_>,
    inbound: &Inbound,
    found: &Found,
    suspend: bool,
) -> Result<Step<Event>, TurnError> {
    let mut core = Core::new(Side::Server, at, &config.stores, found);
    match login::open(config, route, inbound, &mut core)? {
        Opened::Missing => Ok(Step::Need(core.reader.missed())),
        Opened::Again(answer) => Ok(Step::Again(answer)),
        Opened::Run { ex, state, version } => {
            if state.sealed {
                let Ok(login) = login::known(&mut core, None) else {
                    return Ok(Step::Need(core.reader.missed()));
                };
                core.sealing = login.item_key.map_or(Sealing::Keyless, Sealing::With);
            }
            let allowance = Cell::new(ALLOWANCE);
            let (get, deferred) = (Vec::new(), Vec::new());
            let run = Run { config, core, state, current: None, get, deferred, allowance };
            run.answer(*ex, version, suspend)
        }
    }
}

/// A turn of a message that is let in, or refused as a whole.
struct Run<'a, 'f> {
    config: &'a Config,
    core: Core<'a, 'f>,
    state: State,
    /// The datastore of which changes are being read.
    current: Option<usize>,
    get: Vec<(u32, u32)>,
    /// Containers to be deleted, until it is known whether what is in them goes, too.
    deferred: Vec<(Slot, usize, Received)>,
    /// Octets of other items that what comes may still have read.
    allowance: Cell<u64>,
}

/// Octets of other items that the commands of one message may have read.
// threats: L2
const ALLOWANCE: u64 = 64 << 20;

impl<'a, 'f> Run<'a, 'f> {
    fn answer(
        mut self,
        mut ex: ServerExchange<'_>,
        version: u64,
        suspend: bool,
    ) -> Result<Step<Event>, TurnError> {
        let stores = std::mem::take(&mut self.state.stores);
        let again = std::mem::take(&mut self.state.reopened);
        if again {
            // All of them are done.
            self.state.caps.clear();
        } else {
            self.core.take_stores(stores);
        }
        if ex.own_login() == Some(LoginState::Again) {
            self.say_again();
        }
        while let Some(ask) = ex.next_ask() {
            // A command that misses rows is skipped; the turn runs again with them.
            let _ = self.ask(&mut ex, ask);
        }
        let _ = self.delete_deferred(&mut ex);
        if again {
            self.state.offers.clear();
            if self.core.stores.is_empty() {
                // The device does not want to, or knows nothing of it: it is not asked again in this session.
                self.state.rounds = u8::MAX;
                ex.close();
            }
        }
        if ex.is_open() {
            let _ = self.leave_earlier(&mut ex);
        }
        let stops = !ex.is_open() || ex.is_suspended() || (suspend && ex.suspend().is_ok());
        let last = if stops { Ok(true) } else { self.say(&mut ex) };
        if self.core.reader.has_missed() {
            return Ok(Step::Need(self.core.reader.missed()));
        }
        self.finish(ex, version, last == Ok(true))
    }

    /// The client wants to know who we are before it executes anything of ours.
    fn say_again(&mut self) {
        for store in &mut self.core.stores {
            store.alerted = false;
            if store.opened {
                // Changes went with the Alert already: too much to take back.
                store.fail(syncml::StatusCode::INVALID_CREDENTIALS);
            }
        }
    }

    fn ask(&mut self, ex: &mut ServerExchange<'_>, ask: Ask<'_>) -> Result<(), Missing> {
        match ask {
            Ask::Alert { slot, code, target, source, anchor, item } => {
                self.alert(ex, &slot, code, (target, source), anchor, item)
            }
            Ask::DevInf(devinf) => self.take_devinf(devinf),
            Ask::GetDevInf(slot) => {
                ex.answer(&slot, syncml::StatusCode::OK);
                self.get.push(ex.reference(&slot));
                Ok(())
            }
            Ask::Sync { slot, target, source, number_of_changes, mem } => {
                self.sync(ex, &slot, target, source, number_of_changes);
                let current = self.current.and_then(|index| self.core.stores.get_mut(index));
                if let (Some(store), Some(mem)) = (current, mem) {
                    store.free = Some((mem.free_mem, mem.free_id));
                }
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
            Ask::Map { slot, target, items } => self.map(ex, &slot, target, items),
            Ask::AtomicBegin(slot) => {
                self.core.begin_atomic();
                ex.answer(&slot, syncml::StatusCode::OK);
                Ok(())
            }
            Ask::AtomicEnd { keep } => {
                self.core.end_atomic(keep);
                Ok(())
            }
            Ask::Answered { tag, code, object_dropped } => self.answered(&tag, code, object_dropped),
            Ask::Search { slot, search } => self.search(ex, &slot, search),
            Ask::Exec { slot, exec } => self.exec(ex, &slot, exec),
            Ask::Suspend => {
                self.core.events.push(Event::Suspended);
                Ok(())
            }
            Ask::Display(text) => {
                self.core.events.push(Event::Display(text.into()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_devinf(&mut self, devinf: &DevInf) -> Result<(), Missing> {
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        let Value::Device(kept) = self.core.reader.read(read)? else { return Ok(()) };
        // A login in this turn has changed it already.
        let mut kept = match self.core.batch.writes().iter().rev().find_map(put_device) {
            Some(device) => device.clone(),
            None => kept.clone().unwrap_or_default(),
        };
        kept.devinf = devinf::to_bytes(devinf);
        self.core.batch.push(Write::PutDevice(self.core.user.clone(), self.core.device.clone(), kept));
        self.state.caps = self.core.stores.iter().map(|store| devinf::caps(devinf, &store.theirs)).collect();
        for index in 0..self.core.stores.len() {
            let Some(config) = self.core.config(index) else { continue };
            let Some(store) = self.core.stores.get_mut(index) else { continue };
            if let Some(theirs) = devinf::described(devinf, &store.theirs) {
                store.filter = config.collection.within(store.filter.take(), theirs);
            }
        }
        Ok(())
    }

    /// What we know of the client's datastores: from this session, else from an earlier one.
    fn caps(&mut self) -> Result<Vec<Caps>, Missing> {
        if self.state.caps.len() < self.core.stores.len() {
            let kept = self.known_devinf()?;
            let stores = self.core.stores.iter();
            self.state.caps = stores
                .map(|store| {
                    kept.as_ref().map_or_else(Caps::default, |kept| devinf::caps(kept, &store.theirs))
                })
                .collect();
        }
        Ok(self.state.caps.clone())
    }

    /// What is known of the client's kind: by configuration, else by what it says of itself.
    fn quirks(&mut self) -> Result<DeviceQuirks, Missing> {
        let named = self.config.devices.iter().find(|(id, _)| self.core.device.starts_with(&**id));
        if let Some((_, quirks)) = named {
            return Ok(*quirks);
        }
        Ok(self.known_devinf()?.map_or_else(DeviceQuirks::default, |devinf| DeviceQuirks::of(&devinf).1))
    }

    /// Whether the client says that it takes single fields.
    fn says_field_level(&mut self) -> Result<bool, Missing> {
        Ok(self.known_devinf()?.is_some_and(|devinf| devinf::says_field_level(&devinf)))
    }

    /// What the client says of itself: in this turn, else in an earlier one.
    fn known_devinf(&mut self) -> Result<Option<DevInf>, Missing> {
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        let Value::Device(kept) = self.core.reader.read(read)? else { return Ok(None) };
        let now = self.core.batch.writes().iter().rev().find_map(put_device);
        Ok(now.or(kept.as_ref()).and_then(|device| devinf::from_bytes(device.devinf.as_ref()?)))
    }

    /// What we say of our own accord; true when our package is whole with it.
    fn say(&mut self, ex: &mut ServerExchange<'_>) -> Result<bool, Missing> {
        self.state.results_owed.append(&mut self.get);
        let quirks =
            if self.state.results_owed.is_empty() { DeviceQuirks::default() } else { self.quirks()? };
        let field_level = !self.state.results_owed.is_empty() && self.says_field_level()?;
        while let Some(asked) = self.state.results_owed.first().copied() {
            let mut devinf =
                devinf::ours(&self.config.identity, &self.config.stores, ex.version(), &self.core.sealing);
            let paths: Vec<(&str, &str)> =
                self.core.stores.iter().map(|store| (&*store.name, &*store.ours)).collect();
            quirks.adapt(&mut devinf, &paths);
            if !field_level {
                devinf = devinf::without_field_level(devinf);
            }
            let mut is_said = ex.results(asked, devinf.clone()).is_ok();
            if !is_said && !ex.is_roomy() {
                return Ok(false);
            }
            for cut in devinf::CUTS {
                if !is_said {
                    cut(&mut devinf, &paths);
                    is_said = ex.results(asked, devinf.clone()).is_ok();
                }
            }
            self.state.results_owed.remove(0);
        }
        if ex.package() <= Package::Changes && !self.say_alerts(ex) {
            return Ok(false);
        }
        if !ex.peer_final() {
            return Ok(false);
        }
        match ex.package() {
            Package::Changes => {
                if !self.core.sweep()? {
                    return Ok(false);
                }
                self.core.guard()?;
                let caps = self.caps()?;
                let all = Sender::new(&mut self.core, ex, &caps).send()?;
                if all {
                    // spec: session facts section 1: a client that has nothing to map may end here
                    self.core.complete(&[], |store| !store.sends(Side::Server));
                    return self.offer(ex);
                }
                Ok(all)
            }
            Package::Maps => {
                let tags: Vec<Tag> = ex.awaited_tags().filter_map(Tag::from_bytes).collect();
                self.core.complete(&tags, |_| true);
                self.offer(ex)
            }
            Package::Alerts | Package::Over => Ok(true),
        }
    }

    fn finish(mut self, ex: ServerExchange<'_>, version: u64, last: bool) -> Result<Step<Event>, TurnError> {
        let (session, message) = ex.finish(last)?;
        let session = match session {
            None => None,
            Some(session) => {
                self.core.remember_used();
                self.state.session = session.to_bytes()?.to_vec();
                self.state.stores = std::mem::take(&mut self.core.stores);
                Some(SessionWrite {
                    token: self.core.token.clone(),
                    expect: version,
                    value: Some(self.state.to_bytes()?),
                    answer: message.clone(),
                })
            }
        };
        let writes = if session.is_some() { self.core.batch.into_writes() } else { Vec::new() };
        Ok(Step::Done(Box::new(Turn { session, message, writes, events: self.core.events })))
    }
}

fn put_device(write: &Write) -> Option<&Device> {
    match write {
        Write::PutDevice(_, _, device) => Some(device),
        _ => None,
    }
}
