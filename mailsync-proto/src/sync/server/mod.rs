//! The server's turn: one message of a client in, one answer out.

mod alert;
mod commands;
mod conflict;
mod maps;
pub mod notify;
pub mod offer;
mod receive;
mod resume;

pub(super) use alert::alert_command;

use super::core::{Core, Side, StoreConfig};
use super::device::DeviceQuirks;
use super::devinf;
use super::event::Event;
use super::send::{Caps, Sender};
use super::state::{StoreSync, Tag};
use super::store::{Device, Found, Read, SessionRow, SessionWrite, Value, Write};
use super::turn::{Missing, Moment, Step, Turn};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncml::session::{
    Arrival, Ask, Load, LoginCheck, LoginState, Opening, Package, PendingLogin, Received, ServerConfig,
    ServerExchange, ServerSession, SessionError, Slot,
};
use syncml::{DecodeError, DevInf, Encoding, Limits, Message, Quirks};

/// What a server offers and insists on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Message sizes and login.
    pub session: ServerConfig,
    /// The datastores.
    pub stores: Vec<StoreConfig>,
    /// What our DevInf says of us.
    pub identity: devinf::Identity,
    /// 32 unpredictable octets, the same in every process of the server.
    pub nonce_key: [u8; 32],
    /// What a message may hold.
    pub limits: Limits,
    /// Which oddities are taken.
    pub quirks: Quirks,
    /// Devices by how their ids begin, and what to do for them whatever they say of themselves.
    pub devices: Vec<(Box<str>, DeviceQuirks)>,
    /// At the end of a session a device is asked to sync what has news for it, too; see [`offer`].
    pub offers_news: bool,
}

/// A message that came, decoded.
#[derive(Clone, Debug)]
pub struct Inbound {
    message: Message,
    digest: [u8; 16],
    encoding: Encoding,
    mac: Option<Box<str>>,
    load: Load,
}

impl Inbound {
    /// Decodes a request body.
    ///
    /// # Errors
    /// What is wrong with it, and where; nothing of it is applied.
    pub fn decode(config: &Config, encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        let message = syncml::decode(encoding, body, &config.limits, &config.quirks)?;
        let digest = ServerSession::request_digest(body);
        Ok(Inbound { message, digest, encoding, mac: None, load: Load::default() })
    }

    /// With the value of the transport's header `x-syncml-hmac`.
    #[must_use]
    pub fn with_mac(mut self, value: Option<&str>) -> Self {
        self.mac = value.map(Into::into);
        self
    }

    /// With what the host knows of its load.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    fn arrival(&self, at: Moment) -> Arrival<'_> {
        Arrival {
            encoding: self.encoding,
            message: &self.message,
            digest: self.digest,
            mac: self.mac.as_deref(),
            now: at.now,
            load: self.load,
        }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// How a message reached us.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The token of its URL.
    pub token: Option<&'a str>,
    /// Our public URL, to which `?s=TOKEN` is added.
    pub url: &'a str,
    /// Whether a password may come this way: TLS, loopback, or a network that the operator named.
    pub basic_allowed: bool,
}

/// Why a message got no SyncML answer. The session, if there is one, is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The token names no session: it is over, or never was.
    #[error("no such session")]
    UnknownSession,
    /// The message does not fit into its session.
    #[error(transparent)]
    Session(#[from] SessionError),
}

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
}

const FORMAT: u8 = 3;

impl State {
    fn to_bytes(&self) -> Result<Bytes, SessionError> {
        let bytes = postcard::to_extend(self, vec![FORMAT]).map_err(|_| SessionError::Damaged)?;
        if bytes.len() > syncml::session::MAX_SESSION_BYTES {
            return Err(SessionError::TooLarge(bytes.len()));
        }
        Ok(bytes.into())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|_| SessionError::Damaged),
            Some((&newer, _)) if newer > FORMAT => Err(SessionError::NewerFormat(newer)),
            _ => Err(SessionError::Damaged),
        }
    }
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
    match open(config, route, inbound, &mut core)? {
        Opened::Missing => Ok(Step::Need(core.reader.missed())),
        Opened::Again(answer) => Ok(Step::Again(answer)),
        Opened::Run { ex, state, version } => {
            let run = Run { config, core, state, current: None, get: Vec::new(), deferred: Vec::new() };
            run.answer(*ex, version, suspend)
        }
    }
}

/// What a message was found to be.
enum Opened<'m> {
    Missing,
    Again(Bytes),
    Run { ex: Box<ServerExchange<'m>>, state: State, version: u64 },
}

fn open<'m>(
    config: &Config,
    route: &Route<'_>,
    inbound: &'m Inbound,
    core: &mut Core<'_, '_>,
) -> Result<Opened<'m>, TurnError> {
    let Some(token) = route.token else {
        let Opening::Login(pending) = ServerSession::open(inbound.arrival(core.at)) else {
            return Err(TurnError::UnknownSession);
        };
        return login(config, route, *pending, inbound.digest, core);
    };
    let Ok(value) = core.reader.read(Read::Session(token.into())) else { return Ok(Opened::Missing) };
    let Value::Session(Some(SessionRow { version, value, answer })) = value else {
        return Err(TurnError::UnknownSession);
    };
    let state = State::from_bytes(value)?;
    let session = ServerSession::from_bytes(&state.session)?;
    if session.is_repeat(&inbound.digest) {
        return Ok(Opened::Again(answer.clone()));
    }
    core.user = session.user().into();
    core.device = session.device().into();
    core.token = token.into();
    let arrival = inbound.arrival(core.at);
    if !session.wants_login(&inbound.message) && config.session.own.is_none() {
        let ex = session.receive(&config.session, arrival, None)?;
        return Ok(Opened::Run { ex: Box::new(ex), state, version: *version });
    }
    let Ok(login) = known(core) else { return Ok(Opened::Missing) };
    let check = login.check(config, route, "");
    let ex = session.receive(&config.session, arrival, Some(&check))?;
    keep_nonces(core, &ex, login.kept);
    Ok(Opened::Run { ex: Box::new(ex), state, version: *version })
}

/// How the user and device that a turn is for log in.
struct Known {
    verifier: Option<Box<str>>,
    password: Option<Box<str>>,
    sessions: u32,
    kept: Device,
}

impl Known {
    fn check<'k>(&'k self, config: &'k Config, route: &Route<'_>, resp_uri: &'k str) -> LoginCheck<'k> {
        LoginCheck {
            verifier: self.verifier.as_deref(),
            password: self.password.as_deref(),
            logins: self.kept.logins,
            nonce_key: &config.nonce_key,
            basic_allowed: route.basic_allowed,
            resp_uri,
            sessions: self.sessions,
            nonce: self.kept.nonce.as_deref(),
        }
    }
}

fn known(core: &mut Core<'_, '_>) -> Result<Known, Missing> {
    let read = Read::Login { user: core.user.clone(), device: core.device.clone() };
    let login = match core.reader.read(read)? {
        Value::Login(login) => login.clone(),
        _ => None,
    };
    let open = login.as_ref().filter(|login| !login.revoked);
    Ok(Known {
        verifier: open.map(|login| login.verifier.clone()),
        password: open.and_then(|login| login.password.clone()),
        sessions: login.as_ref().map_or(0, |login| login.sessions),
        kept: login.map(|login| login.device).unwrap_or_default(),
    })
}

/// A message that was proved uses up its nonce; the client may have given one for our own login.
fn keep_nonces(core: &mut Core<'_, '_>, ex: &ServerExchange<'_>, kept: Device) {
    let ours = ex.own_nonce().map(Bytes::copy_from_slice).or_else(|| kept.nonce.clone());
    let logins = kept.logins.saturating_add(u64::from(ex.nonce_used));
    let now = Device { logins, nonce: ours, ..kept.clone() };
    if now != kept {
        core.batch.push(Write::PutDevice(core.user.clone(), core.device.clone(), now));
    }
}

/// The transport's header for an answer, where the server proves each of its messages; `value` is the session's.
pub fn mac(config: &Config, value: &[u8], answer: &[u8]) -> Option<String> {
    let state = State::from_bytes(value).ok()?;
    ServerSession::from_bytes(&state.session).ok()?.mac(&config.session, answer)
}

fn login<'m>(
    config: &Config,
    route: &Route<'_>,
    pending: PendingLogin<'m>,
    inbound_digest: [u8; 16],
    core: &mut Core<'_, '_>,
) -> Result<Opened<'m>, TurnError> {
    let (user, device): (Box<str>, Box<str>) = (pending.user().into(), pending.device().into());
    core.user = user.clone();
    core.device = device.clone();
    // A first message that comes again is known by its token, which is made of it. Both rows in one round.
    let token = super::ids::token_of(&config.nonce_key, &inbound_digest);
    let again = core.reader.read(Read::Session(token.clone()));
    let Ok(login) = known(core) else { return Ok(Opened::Missing) };
    let kept = login.kept.clone();
    // spec: threats S1: a client that does not heed RespURI shows its credentials in every message
    if let Some(token) = kept.session.as_ref().filter(|_| pending.has_credentials()) {
        let Ok(row) = core.reader.read(Read::Session(token.clone())) else { return Ok(Opened::Missing) };
        // One that is not readable, of another release say, is over: the device begins anew.
        if let Value::Session(Some(SessionRow { version, value, answer })) = row
            && let Ok(state) = State::from_bytes(value)
            && let Ok(session) = ServerSession::from_bytes(&state.session)
        {
            if session.is_repeat(&inbound_digest) {
                return Ok(Opened::Again(answer.clone()));
            }
            if pending.continues(&session) {
                core.token = token.clone();
                let check = login.check(config, route, "");
                let ex = pending.go_on(session, &config.session, &check)?;
                match ex.barred_with() {
                    Some(code) => core.events.push(Event::LoginRefused { user, device, code: code.0 }),
                    None => keep_nonces(core, &ex, kept),
                }
                return Ok(Opened::Run { ex: Box::new(ex), state, version: *version });
            }
        }
    }
    let Ok(again) = again else { return Ok(Opened::Missing) };
    core.token = match again {
        Value::Session(Some(row)) => {
            let session = ServerSession::from_bytes(&State::from_bytes(&row.value)?.session)?;
            if session.is_repeat(&inbound_digest) {
                return Ok(Opened::Again(row.answer.clone()));
            }
            core.ids.token()
        }
        _ => token,
    };
    let resp_uri = format!("{}?s={}", route.url, core.token);
    let check = login.check(config, route, &resp_uri);
    let ex = pending.check(&config.session, &check)?;
    let mut state = State::default();
    if let Some(code) = ex.barred_with() {
        core.events.push(Event::LoginRefused { user, device, code: code.0 });
    } else {
        core.events.push(Event::LoggedIn { user: user.clone(), device: device.clone() });
        state.earlier = kept.session.clone();
        let logins = kept.logins.saturating_add(1);
        let kept = Device { logins, session: Some(core.token.clone()), ..kept };
        core.batch.push(Write::PutDevice(user, device, kept));
    }
    Ok(Opened::Run { ex: Box::new(ex), state, version: 0 })
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
}

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
        Ok(())
    }

    /// What we know of the client's datastores: from this session, else from an earlier one.
    fn caps(&mut self) -> Result<Vec<Caps>, Missing> {
        if self.state.caps.len() < self.core.stores.len() {
            let read = Read::Device(self.core.user.clone(), self.core.device.clone());
            let kept = match self.core.reader.read(read)? {
                Value::Device(kept) => {
                    kept.as_ref().and_then(|kept| devinf::from_bytes(kept.devinf.as_ref()?))
                }
                _ => None,
            };
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
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        let Value::Device(kept) = self.core.reader.read(read)? else { return Ok(DeviceQuirks::default()) };
        let now = self.core.batch.writes().iter().rev().find_map(put_device);
        let devinf = now.or(kept.as_ref()).and_then(|device| devinf::from_bytes(device.devinf.as_ref()?));
        Ok(devinf.map_or_else(DeviceQuirks::default, |devinf| DeviceQuirks::of(&devinf).1))
    }

    /// Whether the client says that it takes single fields.
    fn says_field_level(&mut self) -> Result<bool, Missing> {
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        let Value::Device(kept) = self.core.reader.read(read)? else { return Ok(false) };
        let now = self.core.batch.writes().iter().rev().find_map(put_device);
        let devinf = now.or(kept.as_ref()).and_then(|device| devinf::from_bytes(device.devinf.as_ref()?));
        Ok(devinf.is_some_and(|devinf| devinf::says_field_level(&devinf)))
    }

    /// What we say of our own accord; true when our package is whole with it.
    fn say(&mut self, ex: &mut ServerExchange<'_>) -> Result<bool, Missing> {
        self.state.results_owed.append(&mut self.get);
        let quirks =
            if self.state.results_owed.is_empty() { DeviceQuirks::default() } else { self.quirks()? };
        let field_level = !self.state.results_owed.is_empty() && self.says_field_level()?;
        while let Some(asked) = self.state.results_owed.first().copied() {
            let mut devinf = devinf::ours(&self.config.identity, &self.config.stores, ex.version());
            let paths: Vec<(&str, &str)> =
                self.core.stores.iter().map(|store| (&*store.name, &*store.ours)).collect();
            quirks.adapt(&mut devinf, &paths);
            if !field_level {
                devinf = devinf::without_field_level(devinf);
            }
            if ex.results(asked, devinf.clone()).is_err() {
                if !ex.is_roomy() {
                    return Ok(false);
                }
                // Small phones: what fits into no message goes without its filters, without its capabilities, or not at all.
                for store in &mut devinf.data_stores {
                    store.filter_rx.clear();
                    store.filter_caps.clear();
                }
                if ex.results(asked, devinf.clone()).is_ok() {
                    self.state.results_owed.remove(0);
                    continue;
                }
                DeviceQuirks::SMALL.adapt(&mut devinf, &[]);
                if ex.results(asked, devinf.clone()).is_err() {
                    // By this a client of ours knows whom it talks to.
                    devinf.data_stores.clear();
                    let _ = ex.results(asked, devinf);
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
