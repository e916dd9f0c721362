//! The server's side of a login: a message of which the sender is not known yet, and how it is checked.

use super::auth::{self, Known, Nonces, Scheme, Shown};
use super::load::Load;
use super::server::{ServerConfig, ServerExchange, ServerSession};
use super::{SessionError, link::Link};
use crate::model::{Chal, Encoding, Message, StatusCode, SyncHdr, Version};

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'m> {
    /// Its spelling.
    pub encoding: Encoding,
    /// The message.
    pub message: &'m Message,
    /// [`ServerSession::request_digest`] of its octets, before any content coding.
    pub digest: [u8; 16],
    /// The value of the transport's header [`mac::HEADER`](super::mac::HEADER), if there was one.
    pub mac: Option<&'m str>,
    /// Seconds since 1970.
    pub now: u64,
    /// How much there is to do.
    pub load: Load,
}

/// How a login is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct LoginCheck<'a> {
    /// The verifier of the user; none when there is no such user, or the device may not log in.
    pub verifier: Option<&'a str>,
    /// The password itself, where it is kept: only for the digest of 1.0 ([`ServerConfig::md5_of_1_0`]).
    pub password: Option<&'a str>,
    /// Logins of this device so far.
    pub logins: u64,
    /// The key that nonces are derived from.
    pub nonce_key: &'a [u8; 32],
    /// Whether a password may come over this connection: TLS, loopback, or a network that the operator named.
    pub basic_allowed: bool,
    /// Where the next message must go, with the token of the session.
    pub resp_uri: &'a str,
    /// Sessions of the user's other devices.
    pub sessions: u32,
    /// The nonce that this device gave for our own login ([`ServerConfig::own`]).
    pub nonce: Option<&'a [u8]>,
}

/// A message of which the sender is not known yet.
#[derive(Debug)]
pub struct PendingLogin<'m> {
    pub(super) arrival: Arrival<'m>,
    pub(super) link: Link,
    pub(super) user: Box<str>,
}

/// A refusal, and the challenge that comes with it.
pub(super) type Refusal = (StatusCode, Option<Box<Chal>>);

impl<'m> PendingLogin<'m> {
    /// The user who says to be there.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The device that says to be there.
    pub fn device(&self) -> &str {
        &self.link.peer_uri
    }

    /// Whether the message carries credentials, in its header or in that of the transport.
    pub fn has_credentials(&self) -> bool {
        self.arrival.message.hdr.cred.is_some() || self.arrival.mac.is_some()
    }

    /// Whether the message goes on with a session of this device, which does not heed `RespURI`.
    // spec: threats S1
    pub fn continues(&self, session: &ServerSession) -> bool {
        self.has_credentials() && *session.user() == *self.user && session.takes(self.arrival.message)
    }

    /// Checks the login and goes on with a session ([`PendingLogin::continues`]): open, or barred with 401, in
    /// which case the session stays as it was.
    ///
    /// # Errors
    /// As [`ServerSession::receive`].
    pub fn go_on(
        self,
        session: ServerSession,
        config: &ServerConfig,
        login: &LoginCheck<'_>,
    ) -> Result<ServerExchange<'m>, SessionError> {
        session.received(config, self.arrival, Some(login), true)
    }

    /// Checks the login and starts the answer: open, or barred with 401, 407, 417, 503, 505 or 513 for everything
    /// in it.
    ///
    /// # Errors
    /// [`SessionError::NoRoom`] when the peer's `MaxMsgSize` holds no header.
    pub fn check(
        self,
        config: &ServerConfig,
        login: &LoginCheck<'_>,
    ) -> Result<ServerExchange<'m>, SessionError> {
        let outcome = match config.limits.turned_away(&self.arrival.load) {
            Some(code) => Err((code, None)),
            None => match version_status(&self.arrival.message.hdr) {
                Some(code) => Err((code, None)),
                None => judge(config, login, &self.arrival, &self.link, &self.user).and_then(|scheme| {
                    config.limits.one_too_many(login.sessions).map_or(Ok(scheme), |code| Err((code, None)))
                }),
            },
        };
        ServerExchange::first(self, config, login, outcome)
    }
}

pub(super) fn nonces<'a>(login: &LoginCheck<'a>, link: &'a Link, user: &'a str) -> Nonces<'a> {
    Nonces { key: login.nonce_key, user, device: &link.peer_uri, logins: login.logins }
}

/// Whether the message comes from whom it says.
// spec: session facts section 10; threats S3, S4
pub(super) fn judge(
    config: &ServerConfig,
    login: &LoginCheck<'_>,
    arrival: &Arrival<'_>,
    link: &Link,
    user: &str,
) -> Result<Scheme, Refusal> {
    let nonces = nonces(login, link, user);
    let scheme = match config.scheme {
        // spec: threats S4: nobody is asked for a password where it could be read
        Scheme::Basic if !login.basic_allowed && arrival.mac.is_none() => Scheme::Md5,
        // Who proves its messages is not asked for less.
        _ if arrival.mac.is_some() => Scheme::Mac,
        scheme => scheme,
    };
    let valid = nonces.valid(arrival.now);
    let known = known(config, login, link, &valid);
    let cred = arrival.message.hdr.cred.as_deref();
    auth::judge(&Shown { user, cred, mac: arrival.mac, body: &arrival.digest }, &known)
        .map_err(|code| (code, Some(Box::new(auth::challenge(scheme, Some(&nonces.now(arrival.now)))))))
}

pub(super) fn known<'a>(
    config: &ServerConfig,
    login: &LoginCheck<'a>,
    link: &Link,
    nonces: &'a [[u8; 16]],
) -> Known<'a> {
    let old = config.md5_of_1_0 && link.version == Version::V1_0;
    Known {
        verifier: login.verifier,
        password: login.password.filter(|_| old),
        nonces,
        basic_allowed: login.basic_allowed,
        wanted: config.scheme,
    }
}

// spec: session facts section 9, version errors
fn version_status(hdr: &SyncHdr) -> Option<StatusCode> {
    match Version::from_ver_dtd(&hdr.ver_dtd) {
        None => Some(StatusCode::VERSION_NOT_SUPPORTED),
        Some(version) if version.ver_proto() != &*hdr.ver_proto => Some(StatusCode::PROTOCOL_NOT_SUPPORTED),
        Some(_) => None,
    }
}
