//! The client's side of a session.

use super::auth::{self, Known, Nonces, Scheme, Shown};
use super::exchange::Exchange;
use super::link::{Link, More, Package};
use super::proof::{LoginState, Name, Proof, header_status};
use super::suspend::Leftover;
use super::{SessionError, from_bytes, resolve_resp_uri, to_bytes};
use crate::model::{Chal, Encoding, Message, Meta, Source, StatusCode, SyncHdr, Target, Version};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

/// Who the client is and whom it talks to.
#[derive(Clone)]
pub struct ClientConfig {
    /// The server's URL.
    pub server_url: Box<str>,
    /// Our device id.
    pub device: Box<str>,
    /// The user name.
    pub user: Box<str>,
    /// The sync password. Never stored in a session value, never printed.
    pub password: Box<str>,
    /// How to log in. Basic is never used unless it is asked for here.
    pub scheme: Scheme,
    /// The protocol version to speak.
    pub version: Version,
    /// The spelling to use.
    pub encoding: Encoding,
    /// Octets of the largest message we take.
    pub max_msg_size: u32,
    /// Octets of the largest object we take.
    pub max_obj_size: u64,
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("server_url", &self.server_url)
            .field("device", &self.device)
            .field("user", &self.user)
            .field("scheme", &self.scheme)
            .field("version", &self.version)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

impl ClientConfig {
    fn name(&self) -> Name<'_> {
        Name { user: &self.user, password: &self.password }
    }
}

/// How a client checks who the server is; nonces are derived as a server's are.
#[derive(Clone, Copy, Debug)]
pub struct ServerCheck<'a> {
    /// The server's name, in its `Source/LocName`.
    pub name: &'a str,
    /// `B64(H(name ":" password))` of the server.
    pub verifier: &'a str,
    /// What to challenge with; nothing weaker is taken.
    pub scheme: Scheme,
    /// The key that nonces are derived from.
    pub nonce_key: &'a [u8; 32],
    /// Logins of the server so far.
    pub logins: u64,
    /// Seconds since 1970.
    pub now: u64,
    /// MD5 of the answer's octets.
    pub digest: [u8; 16],
    /// The value of the transport's header [`mac::HEADER`](super::mac::HEADER), if there was one.
    pub mac: Option<&'a str>,
}

/// The value of a client's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSession {
    link: Link,
    url: Box<str>,
    proof: Proof,
}

/// One message of a client being made.
#[derive(Debug)]
pub struct ClientExchange<'m> {
    exchange: Exchange<'m>,
    url: Box<str>,
    proof: Proof,
    server: Option<LoginState>,
    /// The server takes our changes, but its own come later: its answer was 101.
    busy: bool,
    /// A nonce of ours was used up: count one more login of the server.
    pub nonce_used: bool,
}

impl ClientSession {
    /// A session that has not begun. `nonce` is what the server gave at the last login.
    pub fn new(config: &ClientConfig, session_id: &str, nonce: Option<&[u8]>) -> Self {
        let link = Link {
            encoding: config.encoding,
            version: config.version,
            session_id: session_id.into(),
            our_uri: config.device.clone(),
            our_name: Some(config.user.clone()),
            peer_uri: config.server_url.clone(),
            package: Package::Alerts,
            our_msg: 0,
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
        ClientSession { link, url: config.server_url.clone(), proof: Proof::new(config.scheme, nonce) }
    }

    /// Where the next message goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The spelling of the session.
    pub fn encoding(&self) -> Encoding {
        self.link.encoding
    }

    /// Where the login stands.
    pub fn login(&self) -> LoginState {
        self.proof.state
    }

    /// The transport's header for the message that was made last, when each is proved.
    pub fn mac(&self, config: &ClientConfig, message: &[u8]) -> Option<String> {
        self.proof.mac(&config.name(), message)
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

    /// Begins the first message.
    ///
    /// # Errors
    /// [`SessionError::NoRoom`].
    pub fn start<'m>(self, config: &ClientConfig) -> Result<ClientExchange<'m>, SessionError> {
        self.begin(config, None, None)
    }

    /// Takes the server's answer. `check`: who the server must be, if that is to be proved.
    ///
    /// # Errors
    /// [`SessionError::OtherSession`], [`SessionError::ForeignRespUri`], [`SessionError::Version`].
    pub fn receive<'m>(
        mut self,
        config: &ClientConfig,
        message: &'m Message,
        check: Option<&ServerCheck<'_>>,
    ) -> Result<ClientExchange<'m>, SessionError> {
        let hdr = &message.hdr;
        if hdr.session_id != self.link.session_id {
            return Err(SessionError::OtherSession {
                got: hdr.session_id.clone(),
                expected: self.link.session_id,
            });
        }
        self.link.peer_msg = hdr.msg_id;
        if let Some(meta) = hdr.meta.as_deref() {
            let size = meta.max_msg_size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
            self.link.peer_max_msg = size.or(self.link.peer_max_msg);
            self.link.peer_max_obj = meta.max_obj_size.or(self.link.peer_max_obj);
        }
        if let Some(resp_uri) = &hdr.resp_uri {
            let resolved = resolve_resp_uri(&self.url, resp_uri);
            self.url = resolved
                .ok_or_else(|| SessionError::ForeignRespUri {
                    got: resp_uri.clone(),
                    asked: self.url.clone(),
                })?
                .into();
        }
        let first = self.link.package == Package::Alerts;
        if let Some(status) = header_status(message) {
            self.proof.take(status, first);
        }
        let logged_in = matches!(self.proof.state, LoginState::In | LoginState::EachMessage);
        let server =
            check.filter(|_| logged_in && !self.link.more.peer_known).map(|check| self.judge(check, hdr));
        let good = server.as_ref().is_none_or(|(judged, _)| judged.is_ok());
        if self.proof.state == LoginState::Again {
            self.link.sent.clear();
        } else if good && self.link.package == Package::Alerts && message.is_final {
            self.link.package = Package::Changes;
        }
        self.begin(config, Some(message), server)
    }

    /// Whether the server is who it must be.
    fn judge(&mut self, check: &ServerCheck<'_>, hdr: &SyncHdr) -> (Result<Scheme, StatusCode>, Chal) {
        let device = &self.link.our_uri;
        let nonces = Nonces { key: check.nonce_key, user: check.name, device, logins: check.logins };
        let valid = nonces.valid(check.now);
        let known = Known {
            verifier: Some(check.verifier),
            password: None,
            nonces: &valid,
            basic_allowed: check.scheme == Scheme::Basic,
            wanted: check.scheme,
        };
        let name = hdr.source.loc_name.as_deref().unwrap_or_default();
        let shown =
            Shown { user: check.name, cred: hdr.cred.as_deref(), mac: check.mac, body: &check.digest };
        let judged = if name.is_empty() || name == check.name {
            auth::judge(&shown, &known)
        } else {
            Err(StatusCode::INVALID_CREDENTIALS)
        };
        match judged {
            Ok(scheme) => {
                self.link.more.peer_known = scheme != Scheme::Mac;
                (Ok(scheme), auth::challenge(scheme, Some(&nonces.next_session())))
            }
            Err(code) => (Err(code), auth::challenge(check.scheme, Some(&nonces.now(check.now)))),
        }
    }

    fn begin<'m>(
        mut self,
        config: &ClientConfig,
        message: Option<&'m Message>,
        server: Option<(Result<Scheme, StatusCode>, Chal)>,
    ) -> Result<ClientExchange<'m>, SessionError> {
        let again = self.link.more.peer_challenged;
        self.link.more.peer_challenged |= matches!(server, Some((Err(_), _)));
        let cred = self.proof.cred(&config.name());
        let make = |link: &Link| {
            let source = Source { loc_name: link.our_name.clone(), ..Source::new(&link.our_uri) };
            let mut hdr = SyncHdr::new(
                link.version,
                &link.session_id,
                link.our_msg,
                Target::new(&link.peer_uri),
                source,
            );
            hdr.cred = cred;
            if link.our_msg == 1 || link.package == Package::Alerts {
                let mut meta = Meta { max_msg_size: Some(config.max_msg_size.into()), ..Meta::default() };
                meta.max_obj_size = (link.version >= Version::V1_1).then_some(config.max_obj_size);
                hdr.meta = Some(Box::new(meta));
            }
            hdr
        };
        let mut exchange = Exchange::new(self.link, config.max_msg_size, config.max_obj_size, make, message)?;
        // `Final` counts for package 4 (while we say 5) and 6; that of package 2 has moved us on already.
        if matches!(exchange.link.package, Package::Alerts | Package::Changes) {
            exchange.link.peer_final = false;
        }
        let state = server.as_ref().map(|(judged, _)| match judged {
            Ok(Scheme::Mac) => LoginState::EachMessage,
            Ok(_) => LoginState::In,
            Err(code) if again => LoginState::Refused(code.0),
            Err(_) => LoginState::Again,
        });
        if let Some(message) = message {
            let (code, chal) = match server {
                None => (StatusCode::OK, None),
                Some((Ok(Scheme::Mac), chal)) => (StatusCode::OK, Some(chal)),
                Some((Ok(Scheme::Basic), _)) => (StatusCode::AUTHENTICATED, None),
                Some((Ok(_), chal)) => (StatusCode::AUTHENTICATED, Some(chal)),
                Some((Err(code), chal)) => {
                    exchange.barred = Some(code);
                    (code, Some(chal))
                }
            };
            exchange.answer_header(&message.hdr, code, chal);
        }
        let busy = message.and_then(header_status).is_some_and(|s| s.data == StatusCode::IN_PROGRESS);
        exchange.ask_for_result = busy;
        let nonce_used = matches!(state, Some(LoginState::In | LoginState::EachMessage));
        Ok(ClientExchange { exchange, url: self.url, proof: self.proof, server: state, busy, nonce_used })
    }
}

impl<'m> ClientExchange<'m> {
    /// Where the login stands. [`LoginState::Again`]: send the first package again.
    pub fn login(&self) -> LoginState {
        self.proof.state
    }

    /// The nonce for the next login, to be kept until then.
    pub fn next_nonce(&self) -> Option<&[u8]> {
        self.proof.next_nonce()
    }

    /// What came of [`ServerCheck`]: [`LoginState::Again`] when the server was challenged (nothing of what it said
    /// is executed, nothing of ours goes), [`LoginState::Refused`] when it failed for good.
    pub fn server_login(&self) -> Option<LoginState> {
        self.server
    }

    /// The server is busy (101): wait, and ask again by sending this message.
    // spec: session facts section 8
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Begins anew in the same session, when it [is over](ClientExchange::is_over): what is sent now is our first package
    /// again. A server asks for it by Alerts 206 to 210.
    // spec: session facts sections 2 and 3
    pub fn begin_again(&mut self) {
        let link = &mut self.exchange.link;
        link.package = Package::Alerts;
        link.peer_final = false;
    }

    /// Nothing more is to be said: the server has ended its last package.
    pub fn is_over(&self) -> bool {
        let link = &self.exchange.link;
        link.package == Package::Over && (link.peer_final || link.more.suspended)
    }

    /// Ends the message. `last`: all of our package is said.
    ///
    /// # Errors
    /// [`SessionError::NoProgress`].
    pub fn finish(self, last: bool) -> Result<(ClientSession, Bytes), SessionError> {
        let (mut link, message, is_final) = self.exchange.finish(last)?;
        if is_final {
            link.package = match link.package {
                _ if link.more.suspended => Package::Over,
                // Package 1 ends, but what we say until the server has ended 2 still belongs to it.
                Package::Alerts => Package::Alerts,
                Package::Changes => Package::Maps,
                Package::Maps | Package::Over => Package::Over,
            };
            link.peer_final = false;
        }
        let session = ClientSession { link, url: self.url, proof: self.proof };
        Ok((session, message))
    }
}

impl<'m> Deref for ClientExchange<'m> {
    type Target = Exchange<'m>;
    fn deref(&self) -> &Exchange<'m> {
        &self.exchange
    }
}

impl<'m> DerefMut for ClientExchange<'m> {
    fn deref_mut(&mut self) -> &mut Exchange<'m> {
        &mut self.exchange
    }
}
