//! The server's side of a session.

use super::auth::{self, Nonces, Scheme};
use super::exchange::Exchange;
use super::link::{Link, More, Package};
use super::suspend::Leftover;
use super::{SessionError, from_bytes, to_bytes};
use crate::model::{Chal, Cred, Encoding, Message, Meta, Source, StatusCode, SyncHdr, Target, Version};
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
    /// What to challenge with.
    pub scheme: Scheme,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig { max_msg_size: 150_000, max_obj_size: 32 * 1024 * 1024, scheme: Scheme::Md5 }
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

/// A message of which the sender is not known yet.
#[derive(Debug)]
pub struct PendingLogin<'m> {
    link: Link,
    message: &'m Message,
    digest: [u8; 16],
    user: Box<str>,
}

/// How a login is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct LoginCheck<'a> {
    /// The verifier of the user; none when there is no such user, or the device may not log in.
    pub verifier: Option<&'a str>,
    /// Logins of this device so far.
    pub logins: u64,
    /// The key that nonces are derived from.
    pub nonce_key: &'a [u8; 32],
    /// Seconds since 1970.
    pub now: u64,
    /// Whether a password may come over this connection: TLS, loopback, or a network that the operator named.
    pub basic_allowed: bool,
    /// Where the next message must go, with the token of the session.
    pub resp_uri: &'a str,
}

/// One message being answered by a server.
#[derive(Debug)]
pub struct ServerExchange<'m> {
    exchange: Exchange<'m>,
    user: Box<str>,
    digest: [u8; 16],
    /// The login of this message succeeded.
    pub logged_in_now: bool,
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
    pub fn open<'m>(encoding: Encoding, message: &'m Message, digest: [u8; 16]) -> Opening<'m> {
        let hdr = &message.hdr;
        let link = Link {
            encoding,
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
            more: More::default(),
        };
        let user = match (&hdr.source.loc_name, &hdr.cred) {
            (Some(name), _) => name.clone(),
            (None, Some(cred)) => auth::basic_user(cred).unwrap_or_default().into(),
            (None, None) => Box::default(),
        };
        Opening::Login(Box::new(PendingLogin { link, message, digest, user }))
    }

    /// Takes a further message.
    ///
    /// # Errors
    /// [`SessionError::OtherSession`], [`SessionError::OutOfOrder`]: the session goes on as it was.
    pub fn receive<'m>(
        self,
        config: &ServerConfig,
        message: &'m Message,
        digest: [u8; 16],
    ) -> Result<ServerExchange<'m>, SessionError> {
        let hdr = &message.hdr;
        if hdr.session_id != self.link.session_id || hdr.source.loc_uri != self.link.peer_uri {
            return Err(SessionError::OtherSession {
                got: hdr.session_id.clone(),
                expected: self.link.session_id,
            });
        }
        if hdr.msg_id <= self.link.peer_msg {
            return Err(SessionError::OutOfOrder { got: hdr.msg_id, last: self.link.peer_msg });
        }
        let mut exchange = begin(self.link, config, message, None)?;
        exchange.answer_header(hdr, StatusCode::OK, None);
        Ok(ServerExchange { exchange, user: self.user, digest, logged_in_now: false })
    }
}

impl<'m> PendingLogin<'m> {
    /// The user who says to be there.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The device that says to be there.
    pub fn device(&self) -> &str {
        &self.link.peer_uri
    }

    /// Whether the message carries credentials.
    pub fn has_credentials(&self) -> bool {
        self.message.hdr.cred.is_some()
    }

    /// Checks the login and starts the answer: open, or barred with 401, 407, 505 or 513 for everything in it.
    ///
    /// # Errors
    /// [`SessionError::NoRoom`] when the peer's `MaxMsgSize` holds no header.
    pub fn check(
        self,
        config: &ServerConfig,
        login: &LoginCheck<'_>,
    ) -> Result<ServerExchange<'m>, SessionError> {
        let hdr = &self.message.hdr;
        let nonces = Nonces {
            key: login.nonce_key,
            user: &self.user,
            device: &self.link.peer_uri,
            logins: login.logins,
        };
        let outcome = match version_status(hdr) {
            Some(code) => Err((code, None)),
            None => self.judge(config, login, &nonces),
        };
        let user = self.user.clone();
        let resp_uri = outcome.is_ok().then_some(login.resp_uri);
        let (link, message, digest) = (self.link, self.message, self.digest);
        let mut exchange = begin(link, config, message, resp_uri)?;
        let logged_in_now = outcome.is_ok();
        match outcome {
            Ok(scheme) => {
                let chal = (scheme == Scheme::Md5)
                    .then(|| auth::challenge(scheme, Some(&nonces_next(&user, &exchange, login))));
                exchange.answer_header(hdr, StatusCode::AUTHENTICATED, chal);
            }
            Err((code, chal)) => {
                exchange.answer_header(hdr, code, chal.map(|chal| *chal));
                exchange.barred = Some(code);
            }
        }
        Ok(ServerExchange { exchange, user, digest, logged_in_now })
    }

    // spec: session facts section 10; threats S3, S4
    fn judge(
        &self,
        config: &ServerConfig,
        login: &LoginCheck<'_>,
        nonces: &Nonces<'_>,
    ) -> Result<Scheme, (StatusCode, Option<Box<Chal>>)> {
        let challenge = || Some(Box::new(auth::challenge(config.scheme, Some(&nonces.now(login.now)))));
        let Some(cred) = self.message.hdr.cred.as_deref() else {
            return Err((StatusCode::MISSING_CREDENTIALS, challenge()));
        };
        let scheme = match Scheme::from_meta(cred.meta.as_deref()) {
            None => return Err((StatusCode::NOT_SUPPORTED, challenge())),
            Some(Scheme::Basic) if !login.basic_allowed => {
                return Err((StatusCode::INVALID_CREDENTIALS, challenge()));
            }
            // quirk: the 1.0 digest needs the clear password, which is not kept
            Some(scheme) => scheme,
        };
        let valid = nonces.valid(login.now);
        let fits = fits(cred, &self.user, login.verifier, &valid);
        if fits { Ok(scheme) } else { Err((StatusCode::INVALID_CREDENTIALS, challenge())) }
    }
}

/// An unknown user costs the same work as a wrong password.
fn fits(cred: &Cred, user: &str, verifier: Option<&str>, nonces: &[[u8; 16]]) -> bool {
    let known = verifier.unwrap_or("AAAAAAAAAAAAAAAAAAAAAA==");
    auth::check(cred, user, known, nonces) && verifier.is_some()
}

fn nonces_next(user: &str, exchange: &Exchange<'_>, login: &LoginCheck<'_>) -> [u8; 16] {
    let device = &exchange.link.peer_uri;
    Nonces { key: login.nonce_key, user, device, logins: login.logins }.next_session()
}

// spec: session facts section 9, version errors
fn version_status(hdr: &SyncHdr) -> Option<StatusCode> {
    match Version::from_ver_dtd(&hdr.ver_dtd) {
        None => Some(StatusCode::VERSION_NOT_SUPPORTED),
        Some(version) if version.ver_proto() != &*hdr.ver_proto => Some(StatusCode::PROTOCOL_NOT_SUPPORTED),
        Some(_) => None,
    }
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
        let mut ours =
            SyncHdr::new(link.version, &link.session_id, link.our_msg, target, Source::new(&link.our_uri));
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

    /// Ends the answer. `last`: all of our package is said. A peer that is not let in leaves no session.
    ///
    /// # Errors
    /// [`SessionError::NoProgress`].
    pub fn finish(self, last: bool) -> Result<(Option<ServerSession>, Bytes), SessionError> {
        let open = self.is_open();
        let peer_final = self.exchange.link.peer_final;
        let (mut link, message, is_final) = self.exchange.finish(last && (peer_final || !open))?;
        if is_final {
            link.peer_final = false;
            link.package = match link.package {
                _ if link.more.suspended => Package::Over,
                Package::Alerts => Package::Changes,
                Package::Changes => Package::Maps,
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
