//! The server's turn: one message of a terminal in, one answer out, and the record as it is then.

mod run;

use super::message::{Outgoing, answerable, header};
use super::record::{Record, Session};
use super::tree::Outcome;
use bytes::Bytes;
use run::Run;
use sha2::{Digest, Sha256};
use syncml::session::auth::{self, Nonces, Scheme};
use syncml::{
    Chal, CommandName, DecodeError, EncodeError, Encoding, Limits, Message, Quirks, StatusCode, decode,
};
use timesync::Reading;
use timesync::clock::{ClockConfig, ClockEvent, ClockRefusal};
use timesync::zones::{ZoneName, Zones};

/// What a server insists on.
#[derive(Clone, Debug)]
pub struct Config {
    /// 32 unpredictable octets.
    pub nonce_key: [u8; 32],
    /// What to challenge with.
    pub scheme: Scheme,
    /// The server's own zone: operations are appointed in it.
    pub zone: ZoneName,
    /// The rules of zones.
    pub zones: Zones,
    /// How clocks are managed.
    pub clock: ClockConfig,
    /// Octets of the largest message we take.
    pub max_msg_size: u32,
    /// What a message may hold.
    pub limits: Limits,
    /// Which oddities are taken.
    pub quirks: Quirks,
}

/// The moment of a turn.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The reference time.
    pub now: Reading,
    /// Fresh unpredictable octets.
    pub entropy: [u8; 32],
}

/// How a message reached us.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The token of its URL.
    pub token: Option<&'a str>,
    /// Our public URL, to which `?s=TOKEN` is added.
    pub url: &'a str,
    /// Whether a password may come this way.
    pub basic_allowed: bool,
    /// The verifier of the user; none when there is no such user, or the device may not log in.
    pub verifier: Option<&'a str>,
}

/// A message that came, decoded.
#[derive(Clone, Debug)]
pub struct Inbound {
    message: Message,
    digest: [u8; 16],
    encoding: Encoding,
    user: Box<str>,
}

/// The outcome of a turn. Store the record, then send the answer.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The record as it is now; none when nothing of it changed.
    pub record: Option<Record>,
    /// The answer.
    pub answer: Bytes,
    /// What happened.
    pub events: Vec<Event>,
}

/// What happened in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The terminal is in.
    LoggedIn,
    /// It is not, with this status.
    LoginRefused(u16),
    /// Its clock.
    Clock(ClockEvent),
    /// What it said of its clock was not used.
    ClockRefused(ClockRefusal),
    /// An operation was answered with this status.
    Answered(u64, u16),
    /// An operation came to its end.
    Ended(u64, Outcome),
}

/// Why a message gets no answer. The record is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The token names no session of this terminal.
    #[error("no such session")]
    UnknownSession,
    /// Neither the next message nor the last one again.
    #[error("message {got} after message {last}")]
    OutOfOrder {
        /// `MsgID` of the message.
        got: u32,
        /// `MsgID` of the last one.
        last: u32,
    },
    /// A session that goes on and on.
    #[error("{0} messages in one session")]
    TooLong(u32),
    /// No header fits.
    #[error(transparent)]
    NoRoom(#[from] EncodeError),
}

/// Messages of one session, at most.
const MESSAGES: u32 = 200;

impl Inbound {
    /// Decodes a request body.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn decode(config: &Config, encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        let message = decode(encoding, body, &config.limits, &config.quirks)?;
        let digest = syncml::session::ServerSession::request_digest(body);
        let user = match (&message.hdr.source.loc_name, &message.hdr.cred) {
            (Some(name), _) => name.clone(),
            (None, Some(cred)) => auth::basic_user(cred).unwrap_or_default().into(),
            (None, None) => Box::default(),
        };
        Ok(Inbound { message, digest, encoding, user })
    }

    /// The user whom the terminal claims to be of.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The terminal's id.
    pub fn device(&self) -> &str {
        &self.message.hdr.source.loc_uri
    }
}

/// Answers one message.
///
/// # Errors
/// [`TurnError`]: no answer leaves, nothing changes.
pub fn turn(
    config: &Config,
    at: At,
    route: &Route<'_>,
    inbound: &Inbound,
    record: &Record,
) -> Result<Turn, TurnError> {
    // spec: threats L8
    if let Some(session) = &record.session
        && session.digest == inbound.digest
        && route.token.is_none_or(|token| token == &*session.token)
    {
        return Ok(Turn { record: None, answer: session.answer.clone().into(), events: Vec::new() });
    }
    let mut record = record.clone();
    let hdr = &inbound.message.hdr;
    let (header_status, chal) = match route.token {
        None => match login(config, at, route, inbound, &mut record) {
            Ok(chal) => (StatusCode::AUTHENTICATED, chal),
            Err((code, chal)) => return barred(config, inbound, code, chal),
        },
        Some(token) => {
            let session = record.session.as_mut();
            let session = session.filter(|session| &*session.token == token && session.id == hdr.session_id);
            let session = session.ok_or(TurnError::UnknownSession)?;
            if hdr.msg_id <= session.peer_msg {
                return Err(TurnError::OutOfOrder { got: hdr.msg_id, last: session.peer_msg });
            }
            if session.messages >= MESSAGES {
                return Err(TurnError::TooLong(session.messages));
            }
            (StatusCode::OK, None)
        }
    };
    let fresh = route.token.is_none();
    let mut session = record.session.take().unwrap_or_default();
    session.peer_msg = hdr.msg_id;
    session.our_msg = session.our_msg.saturating_add(1);
    session.messages = session.messages.saturating_add(1);
    if let Some(size) = hdr.meta.as_ref().and_then(|meta| meta.max_msg_size) {
        session.limit = u32::try_from(size).unwrap_or(u32::MAX);
    }
    let mut ours =
        header(&session.id, session.our_msg, inbound.device(), &hdr.target.loc_uri, config.max_msg_size);
    if fresh {
        ours.resp_uri = Some(format!("{}?s={}", route.url, session.token).into());
    }
    let limit = match session.limit {
        0 => config.max_msg_size,
        limit => limit.clamp(syncml::session::MIN_MSG_SIZE, config.max_msg_size),
    };
    let mut out = Outgoing::new(inbound.encoding, &ours, hdr.msg_id, limit as usize)?;
    out.status(0, CommandName::SyncHdr, header_status, chal);
    let events = if fresh { vec![Event::LoggedIn] } else { Vec::new() };
    let sent = std::mem::take(&mut session.sent);
    let mut run = Run { config, at, record, session, sent, out, events, over: false };
    for command in &inbound.message.commands {
        run.take(command);
    }
    if !run.over {
        run.say();
    }
    Ok(run.finish(inbound.digest))
}

/// Why a peer is not let in, and what it is challenged with.
type Barred = (StatusCode, Option<Box<Chal>>);

fn login(
    config: &Config,
    at: At,
    route: &Route<'_>,
    inbound: &Inbound,
    record: &mut Record,
) -> Result<Option<Chal>, Barred> {
    let hdr = &inbound.message.hdr;
    if &*hdr.ver_dtd != "1.2" {
        return Err((StatusCode::VERSION_NOT_SUPPORTED, None));
    }
    if &*hdr.ver_proto != super::VER_PROTO {
        return Err((StatusCode::PROTOCOL_NOT_SUPPORTED, None));
    }
    // Another purpose, another key: a nonce of data synchronisation is none here.
    let key: [u8; 32] = Sha256::new().chain_update(config.nonce_key).chain_update(b"dm").finalize().into();
    let now = u64::try_from(at.now.time.as_secs()).unwrap_or(0);
    let nonces = Nonces { key: &key, user: &inbound.user, device: inbound.device(), logins: record.logins };
    let challenge = || Some(Box::new(auth::challenge(config.scheme, Some(&nonces.now(now)))));
    let Some(cred) = hdr.cred.as_deref() else {
        return Err((StatusCode::MISSING_CREDENTIALS, challenge()));
    };
    let scheme = Scheme::from_meta(cred.meta.as_deref()).ok_or((StatusCode::NOT_SUPPORTED, challenge()))?;
    // spec: threats S4; an unknown user costs the same work as a wrong password
    let known = route.verifier.unwrap_or("AAAAAAAAAAAAAAAAAAAAAA==");
    let fits = auth::check(cred, &inbound.user, known, &nonces.valid(now)) && route.verifier.is_some();
    if !fits || (scheme == Scheme::Basic && !route.basic_allowed) {
        return Err((StatusCode::INVALID_CREDENTIALS, challenge()));
    }
    let next = auth::challenge(Scheme::Md5, Some(&nonces.next_session()));
    record.logins = record.logins.saturating_add(1);
    // spec: threats S1
    let token: [u8; 32] = Sha256::new().chain_update(key).chain_update(at.entropy).finalize().into();
    record.session = Some(Session {
        token: token.iter().take(16).map(|octet| format!("{octet:02x}")).collect::<String>().into(),
        id: hdr.session_id.clone(),
        our_msg: hdr.msg_id.saturating_sub(1),
        ..Session::default()
    });
    Ok((scheme == Scheme::Md5).then_some(next))
}

/// Everything in the message is refused; nothing is kept of strangers.
fn barred(
    config: &Config,
    inbound: &Inbound,
    code: StatusCode,
    chal: Option<Box<Chal>>,
) -> Result<Turn, TurnError> {
    let hdr = &inbound.message.hdr;
    let ours =
        header(&hdr.session_id, hdr.msg_id, inbound.device(), &hdr.target.loc_uri, config.max_msg_size);
    let mut out = Outgoing::new(inbound.encoding, &ours, hdr.msg_id, config.max_msg_size as usize)?;
    out.status(0, CommandName::SyncHdr, code, chal.map(|chal| *chal));
    for (name, id) in inbound.message.commands.iter().filter_map(answerable) {
        out.status(id, name, code, None);
    }
    Ok(Turn { record: None, answer: out.finish(), events: vec![Event::LoginRefused(code.0)] })
}
