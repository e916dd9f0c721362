//! Whose message it is: a session found again, or a login that begins one.

use super::super::core::Core;
use super::super::event::Event;
use super::super::ids;
use super::super::seal::ItemKey;
use super::super::store::{Device, Read, SessionRow, Value, Write};
use super::super::turn::Missing;
use super::State;
use super::config::{Config, Inbound, Route, TurnError};
use bytes::Bytes;
use syncml::session::{LoginCheck, Opening, PendingLogin, ServerExchange, ServerSession};

/// What a message was found to be.
pub(super) enum Opened<'m> {
    Missing,
    Again(Bytes),
    Run { ex: Box<ServerExchange<'m>>, state: State, version: u64 },
}

pub(super) fn open<'m>(
    config: &Config,
    route: &Route<'_>,
    inbound: &'m Inbound,
    core: &mut Core<'_, '_>,
) -> Result<Opened<'m>, TurnError> {
    let Some(token) = route.token else {
        let Opening::Login(pending) = ServerSession::open(inbound.arrival(core.at)) else {
            return Err(TurnError::UnknownSession);
        };
        return login(config, route, *pending, (inbound.digest, inbound.alias.as_deref()), core);
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
    let Ok(login) = known(core, inbound.alias.as_deref()) else { return Ok(Opened::Missing) };
    let check = login.check(config, route, "");
    let ex = session.receive(&config.session, arrival, Some(&check))?;
    keep_nonces(core, &ex, login.kept);
    Ok(Opened::Run { ex: Box::new(ex), state, version: *version })
}

/// How the user and device that a turn is for log in.
pub(super) struct Known {
    verifier: Option<Box<str>>,
    password: Option<Box<str>>,
    sessions: u32,
    /// What seals the device's items.
    pub(super) item_key: Option<ItemKey>,
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

/// `alias` is the verifier of the name that was written, where that is another one of the user's.
pub(super) fn known(core: &mut Core<'_, '_>, alias: Option<&str>) -> Result<Known, Missing> {
    let read = Read::Login { user: core.user.clone(), device: core.device.clone() };
    let login = match core.reader.read(read)? {
        Value::Login(login) => login.clone(),
        _ => None,
    };
    let open = login.as_ref().filter(|login| !login.revoked);
    Ok(Known {
        verifier: open.map(|login| alias.map_or_else(|| login.verifier.clone(), Into::into)),
        password: open.and_then(|login| login.password.clone()),
        sessions: login.as_ref().map_or(0, |login| login.sessions),
        item_key: open.and_then(|login| login.item_key.clone()),
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

fn login<'m>(
    config: &Config,
    route: &Route<'_>,
    pending: PendingLogin<'m>,
    (inbound_digest, alias): ([u8; 16], Option<&str>),
    core: &mut Core<'_, '_>,
) -> Result<Opened<'m>, TurnError> {
    let (user, device): (Box<str>, Box<str>) = (pending.user().into(), pending.device().into());
    core.user = user.clone();
    core.device = device.clone();
    // A first message that comes again is known by its token, which is made of it. Both rows in one round.
    let token = ids::token_of(&config.nonce_key, &inbound_digest);
    let again = core.reader.read(Read::Session(token.clone()));
    let Ok(login) = known(core, alias) else { return Ok(Opened::Missing) };
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
        state.sealed = login.item_key.is_some();
        let logins = kept.logins.saturating_add(1);
        let kept = Device { logins, session: Some(core.token.clone()), ..kept };
        core.batch.push(Write::PutDevice(user, device, kept));
    }
    Ok(Opened::Run { ex: Box::new(ex), state, version: 0 })
}
