//! The server's side of a session.

use super::auth::{self, Scheme};
use super::exchange::{CommandCheck, Exchange};
use super::link::{Link, More, Package};
use super::load::SessionLimits;
use super::login::{self, Arrival, LoginCheck, PendingLogin, Refusal};
use super::proof::{LoginState, OwnLogin, Proof, header_status};
use super::suspend::Leftover;
use super::{SessionError, from_bytes, to_bytes};
use crate::model::{Chal, Command, Message, Meta, Source, StatusCode, SyncHdr, Target, Version};
use bytes::Bytes;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

/// What a server announces and insists on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Octets of the largest message we take; at most four times the peer's is announced.
    pub max_msg_size: u32,
    /// Octets of the largest object we take.
    pub max_obj_size: u64,
    /// What to challenge with. With [`Scheme::Mac`] nothing weaker is taken.
    pub scheme: Scheme,
    /// In sessions of SyncML 1.0 the digest of 1.0 is taken, too: for a test bench, because the password must be
    /// kept for it.
    // spec: threats S3
    pub md5_of_1_0: bool,
    /// How we prove to clients who we are; none: we do not.
    pub own: Option<OwnLogin>,
    /// Sessions at once, and their life.
    pub limits: SessionLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            max_msg_size: 150_000,
            max_obj_size: 32 * 1024 * 1024,
            scheme: Scheme::Md5,
            md5_of_1_0: false,
            own: None,
            limits: SessionLimits::default(),
        }
    }
}

/// The value of a server's session: everything that the next message needs, and no payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSession {
    link: Link,
    user: Box<str>,
    last_request: [u8; 16],
}

/// How to go on with a message that came.
#[derive(Debug)]
pub enum Opening<'m> {
    /// The peer must log in first.
    Login(Box<PendingLogin<'m>>),
    /// It is logged in.
    Open(Box<ServerExchange<'m>>),
}

/// One message being answered by a server.
#[derive(Debug)]
pub struct ServerExchange<'m> {
    exchange: Exchange<'m>,
    user: Box<str>,
    digest: [u8; 16],
    /// The login of this message succeeded, and begins a session.
    pub logged_in_now: bool,
    /// A nonce was used up: count one more login of the device.
    pub nonce_used: bool,
    expired: bool,
    own: Option<OwnLogin>,
    reopens: bool,
}

impl ServerSession {
    /// The digest by which a repeated message is known.
    pub fn request_digest(body: &[u8]) -> [u8; 16] {
        Md5::digest(body).into()
    }

    /// Whether a body is the last message again: then the stored answer is sent again, and nothing is applied.
    // spec: threats L8
    pub fn is_repeat(&self, digest: &[u8; 16]) -> bool {
        self.last_request == *digest
    }

    /// The user who is logged in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The device's id.
    pub fn device(&self) -> &str {
        &self.link.peer_uri
    }

    /// The package that comes next.
    pub fn package(&self) -> Package {
        self.link.package
    }

    /// Whether either side has suspended the session: nothing more comes in it.
    pub fn is_suspended(&self) -> bool {
        self.link.more.suspended
    }

    /// When the peer spoke last, in the host's seconds ([`Arrival::now`](super::Arrival)).
    pub fn heard(&self) -> u64 {
        self.link.more.heard
    }

    /// What the session leaves to the one that goes on with it; see [`suspend`](super::suspend).
    pub fn leftover(&self) -> Leftover {
        Leftover::of(&self.link)
    }

    /// The value as octets, with a format version.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`] above 64 KiB.
    pub fn to_bytes(&self) -> Result<Bytes, SessionError> {
        to_bytes(self, &self.link.more)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`SessionError::NewerFormat`], [`SessionError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionError> {
        let (mut session, more): (Self, _) = from_bytes(bytes)?;
        session.link.more = more;
        Ok(session)
    }

    /// Takes the first message of a session.
    pub fn open(arrival: Arrival<'_>) -> Opening<'_> {
        let hdr = &arrival.message.hdr;
        let link = Link {
            encoding: arrival.encoding,
            version: Version::from_ver_dtd(&hdr.ver_dtd).unwrap_or(Version::V1_2),
            session_id: hdr.session_id.clone(),
            our_uri: hdr.target.loc_uri.clone(),
            our_name: None,
            peer_uri: hdr.source.loc_uri.clone(),
            package: Package::Alerts,
            // Nothing is kept of strangers: a retry after a challenge comes with its own MsgID.
            our_msg: hdr.msg_id.saturating_sub(1),
            peer_msg: 0,
            peer_final: false,
            peer_max_msg: None,
            peer_max_obj: None,
            owed: Vec::new(),
            sent: Vec::new(),
            incoming: None,
            outgoing: None,
            idle: 0,
            more: More { began: arrival.now, heard: arrival.now, ..More::default() },
        };
        let user = match (&hdr.source.loc_name, &hdr.cred) {
            (Some(name), _) => name.clone(),
            (None, Some(cred)) => auth::basic_user(cred).unwrap_or_default().into(),
            (None, None) => Box::default(),
        };
        Opening::Login(Box::new(PendingLogin { arrival, link, user }))
    }

    /// Whether [`ServerSession::receive`] needs a [`LoginCheck`]: every message is to be proved, or a command
    /// carries credentials of its own.
    pub fn wants_login(&self, message: &Message) -> bool {
        let mut lists = vec![&message.commands];
        while let Some(commands) = lists.pop() {
            if commands.iter().any(|command| command.cred().is_some()) {
                return true;
            }
            lists.extend(commands.iter().filter_map(Command::nested));
        }
        self.link.more.proved
    }

    /// Whether a message is the next one of this session.
    pub(super) fn takes(&self, message: &Message) -> bool {
        let hdr = &message.hdr;
        hdr.session_id == self.link.session_id
            && hdr.source.loc_uri == self.link.peer_uri
            && hdr.msg_id > self.link.peer_msg
            && self.link.package != Package::Over
    }

    /// Takes a further message. `login`: if it is wanted ([`ServerSession::wants_login`]).
    ///
    /// # Errors
    /// [`SessionError::OtherSession`], [`SessionError::OutOfOrder`]: the session goes on as it was.
    pub fn receive<'m>(
        self,
        config: &ServerConfig,
        arrival: Arrival<'m>,
        login: Option<&LoginCheck<'_>>,
    ) -> Result<ServerExchange<'m>, SessionError> {
        let proved = self.link.more.proved;
        self.received(config, arrival, login, proved)
    }

    pub(super) fn received<'m>(
        mut self,
        config: &ServerConfig,
        arrival: Arrival<'m>,
        login: Option<&LoginCheck<'_>>,
        proof_needed: bool,
    ) -> Result<ServerExchange<'m>, SessionError> {
        let hdr = &arrival.message.hdr;
        if hdr.session_id != self.link.session_id || hdr.source.loc_uri != self.link.peer_uri {
            return Err(SessionError::OtherSession {
                got: hdr.session_id.clone(),
                expected: self.link.session_id,
            });
        }
        if hdr.msg_id <= self.link.peer_msg {
            return Err(SessionError::OutOfOrder { got: hdr.msg_id, last: self.link.peer_msg });
        }
        let (began, heard) = (self.link.more.began, self.link.more.heard);
        let expired = config.limits.is_over(began, heard, arrival.now);
        let outcome = if expired {
            Err((StatusCode::TIMEOUT, None))
        } else if let Some(code) = config.limits.turned_away(&arrival.load) {
            Err((code, None))
        } else if !proof_needed {
            Ok(None)
        } else {
            match login {
                Some(login) => login::judge(config, login, &arrival, &self.link, &self.user).map(Some),
                None => Err((StatusCode::MISSING_CREDENTIALS, None)),
            }
        };
        self.link.more.heard = arrival.now;
        self.take_answer_to_our_login(config, arrival.message);
        let check = login.map(|login| CommandCheck::new(config, login, &self.link, &self.user, arrival.now));
        let mut exchange = begin(self.link, config, arrival.message, None)?;
        exchange.command_check = check;
        exchange.busy = arrival.load.busy;
        let nonce_used = matches!(outcome, Ok(Some(_)));
        match outcome {
            Ok(scheme) => {
                let chal = login
                    .zip(scheme)
                    .and_then(|(login, scheme)| next_challenge(scheme, login, &exchange.link, &self.user));
                let code = if arrival.load.busy { StatusCode::IN_PROGRESS } else { StatusCode::OK };
                exchange.answer_header(hdr, code, chal);
            }
            Err(refusal) => refuse(&mut exchange, hdr, refusal),
        }
        Ok(ServerExchange {
            exchange,
            user: self.user,
            digest: arrival.digest,
            logged_in_now: false,
            nonce_used,
            expired,
            own: config.own.clone(),
            reopens: false,
        })
    }

    /// The client has said what it makes of our own credentials.
    fn take_answer_to_our_login(&mut self, config: &ServerConfig, message: &Message) {
        let Some(proof) = self.link.more.proof.as_mut().filter(|_| config.own.is_some()) else { return };
        let Some(status) = header_status(message) else { return };
        // Only before it has taken anything of ours can all of that go again.
        let first = proof.state == LoginState::Asked;
        proof.take(status, first);
        if proof.state == LoginState::Again {
            // The client has executed nothing of our second package: it goes again.
            self.link.sent.clear();
            // The client's first package was whole when ours ended: it ends again.
            self.link.peer_final |= self.link.package > Package::Alerts;
            self.link.package = Package::Alerts;
        }
    }

    /// The transport's header for the message that was made last, when we prove each.
    pub fn mac(&self, config: &ServerConfig, message: &[u8]) -> Option<String> {
        let own = config.own.as_ref()?;
        self.link.more.proof.as_ref()?.mac(&own.name(), message)
    }
}

fn refuse(exchange: &mut Exchange<'_>, hdr: &SyncHdr, (code, chal): Refusal) {
    exchange.answer_header(hdr, code, chal.map(|chal| *chal));
    exchange.barred = Some(code);
}

/// The nonce for the next proof, handed out with a good one.
fn next_challenge(scheme: Scheme, login: &LoginCheck<'_>, link: &Link, user: &str) -> Option<Chal> {
    (scheme != Scheme::Basic)
        .then(|| auth::challenge(scheme, Some(&login::nonces(login, link, user).next_session())))
}

fn begin<'m>(
    mut link: Link,
    config: &ServerConfig,
    message: &'m Message,
    resp_uri: Option<&str>,
) -> Result<Exchange<'m>, SessionError> {
    let hdr = &message.hdr;
    link.peer_msg = hdr.msg_id;
    if let Some(meta) = hdr.meta.as_deref() {
        link.peer_max_msg =
            meta.max_msg_size.map(|size| u32::try_from(size).unwrap_or(u32::MAX)).or(link.peer_max_msg);
        link.peer_max_obj = meta.max_obj_size.or(link.peer_max_obj);
    }
    let max_msg = link.peer_max_msg.map_or(config.max_msg_size, |peer| {
        config.max_msg_size.min(peer.max(super::MIN_MSG_SIZE).saturating_mul(4))
    });
    let make = |link: &Link| {
        let target = Target { loc_name: hdr.source.loc_name.clone(), ..Target::new(&link.peer_uri) };
        let mut source = Source::new(&link.our_uri);
        let mut cred = None;
        if let (Some(own), Some(proof)) = (&config.own, &link.more.proof) {
            source.loc_name = Some(own.name.clone());
            cred = proof.cred(&own.name());
        }
        let mut ours = SyncHdr::new(link.version, &link.session_id, link.our_msg, target, source);
        ours.cred = cred;
        ours.resp_uri = resp_uri.map(Into::into);
        if link.package == Package::Alerts {
            let mut meta = Meta { max_msg_size: Some(max_msg.into()), ..Meta::default() };
            meta.max_obj_size = (link.version >= Version::V1_1).then_some(config.max_obj_size);
            ours.meta = Some(Box::new(meta));
        }
        ours
    };
    Exchange::new(link, config.max_msg_size, config.max_obj_size, make, Some(message))
}

impl<'m> ServerExchange<'m> {
    pub(super) fn first(
        pending: PendingLogin<'m>,
        config: &ServerConfig,
        login: &LoginCheck<'_>,
        outcome: Result<Scheme, Refusal>,
    ) -> Result<Self, SessionError> {
        let PendingLogin { arrival, mut link, user } = pending;
        let hdr = &arrival.message.hdr;
        let resp_uri = outcome.is_ok().then_some(login.resp_uri);
        let logged_in_now = outcome.is_ok();
        if logged_in_now {
            link.more.proof = config.own.as_ref().map(|own| Proof::new(own.scheme, login.nonce));
            link.more.proved = outcome == Ok(Scheme::Mac);
        }
        let check = CommandCheck::new(config, login, &link, &user, arrival.now);
        let mut exchange = begin(link, config, arrival.message, resp_uri)?;
        exchange.command_check = Some(check);
        exchange.busy = arrival.load.busy;
        match outcome {
            Ok(scheme) => {
                let code = match scheme {
                    _ if arrival.load.busy => StatusCode::IN_PROGRESS,
                    // It must prove its next message, too.
                    Scheme::Mac => StatusCode::OK,
                    _ => StatusCode::AUTHENTICATED,
                };
                let chal = next_challenge(scheme, login, &exchange.link, &user);
                exchange.answer_header(hdr, code, chal);
            }
            Err(refusal) => refuse(&mut exchange, hdr, refusal),
        }
        Ok(ServerExchange {
            exchange,
            user,
            digest: arrival.digest,
            logged_in_now,
            nonce_used: logged_in_now,
            expired: false,
            own: config.own.clone(),
            reopens: false,
        })
    }

    /// The session was too old: it is over, whatever the message said (408).
    pub fn is_expired(&self) -> bool {
        self.expired
    }

    /// Where our own login at the client stands. [`LoginState::Again`]: it has executed nothing of what we said;
    /// our Alerts go again.
    pub fn own_login(&self) -> Option<LoginState> {
        self.own.as_ref()?;
        self.exchange.link.more.proof.as_ref().map(|proof| proof.state)
    }

    /// The nonce that the client gave for our next login, to be kept for it (and for Package #0).
    pub fn own_nonce(&self) -> Option<&[u8]> {
        self.own.as_ref()?;
        self.exchange.link.more.proof.as_ref()?.next_nonce()
    }

    /// Whether the peer is logged in; if not, everything in the message is refused.
    pub fn is_open(&self) -> bool {
        self.exchange.barred.is_none()
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The device's id.
    pub fn device(&self) -> &str {
        &self.exchange.link.peer_uri
    }

    /// The peer put its changes into its first package: ours is then 2 and 4 in one.
    pub fn combine(&mut self) {
        if self.exchange.link.package == Package::Alerts {
            self.exchange.link.package = Package::Changes;
        }
    }

    /// The session does not end with package 6: we have asked for more (206 to 210), and the client may begin anew
    /// with its Alerts. Said with the answer that would end it.
    // spec: session facts sections 2 and 3
    pub fn reopen(&mut self) {
        self.reopens = true;
    }

    /// Nothing more comes: the session is over with this answer, whatever package it is in.
    pub fn close(&mut self) {
        self.reopens = false;
        self.exchange.link.package = Package::Maps;
    }

    /// Ends the answer. `last`: all of our package is said. A peer that is not let in leaves no session.
    ///
    /// # Errors
    /// [`SessionError::NoProgress`].
    pub fn finish(self, last: bool) -> Result<(Option<ServerSession>, Bytes), SessionError> {
        let open = self.is_open();
        let last = last && !self.exchange.busy;
        let peer_final = self.exchange.link.peer_final;
        let (mut link, message, is_final) = self.exchange.finish(last && (peer_final || !open))?;
        if is_final {
            link.peer_final = false;
            link.package = match link.package {
                _ if link.more.suspended => Package::Over,
                Package::Alerts => Package::Changes,
                Package::Changes => Package::Maps,
                Package::Maps if self.reopens => Package::Alerts,
                Package::Maps | Package::Over => Package::Over,
            };
        }
        let session = ServerSession { link, user: self.user, last_request: self.digest };
        Ok((open.then_some(session), message))
    }
}

impl<'m> Deref for ServerExchange<'m> {
    type Target = Exchange<'m>;
    fn deref(&self) -> &Exchange<'m> {
        &self.exchange
    }
}

impl<'m> DerefMut for ServerExchange<'m> {
    fn deref_mut(&mut self) -> &mut Exchange<'m> {
        &mut self.exchange
    }
}
