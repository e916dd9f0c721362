//! The client's side of a session.

use super::auth::{self, Scheme};
use super::exchange::Exchange;
use super::link::{Link, More, Package};
use super::suspend::Leftover;
use super::{SessionError, from_bytes, resolve_resp_uri, to_bytes};
use crate::model::{Command, Encoding, Message, Meta, Source, Status, StatusCode, SyncHdr, Target, Version};
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

/// Where the login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginState {
    /// Credentials were sent; the answer is not here.
    Asked,
    /// The server wants them again, with its nonce: the first package must be sent again.
    Again,
    /// Logged in for the session.
    In,
    /// Logged in, with credentials in every message.
    EachMessage,
    /// Refused for good, with this status.
    Refused(u16),
}

/// The value of a client's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSession {
    link: Link,
    url: Box<str>,
    nonce: Option<Vec<u8>>,
    login: LoginState,
    challenged: bool,
    scheme: Scheme,
}

/// One message of a client being made.
#[derive(Debug)]
pub struct ClientExchange<'m> {
    exchange: Exchange<'m>,
    url: Box<str>,
    nonce: Option<Vec<u8>>,
    login: LoginState,
    challenged: bool,
    scheme: Scheme,
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
        ClientSession {
            link,
            url: config.server_url.clone(),
            nonce: nonce.map(<[u8]>::to_vec),
            login: LoginState::Asked,
            challenged: false,
            scheme: config.scheme,
        }
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
        self.login
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
        self.begin(config, None)
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// [`SessionError::OtherSession`], [`SessionError::ForeignRespUri`], [`SessionError::Version`].
    pub fn receive<'m>(
        mut self,
        config: &ClientConfig,
        message: &'m Message,
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
        if let Some(status) = header_status(message) {
            self.take_login(status);
        }
        if self.login == LoginState::Again {
            self.link.sent.clear();
        } else if self.link.package == Package::Alerts && message.is_final {
            self.link.package = Package::Changes;
        }
        self.begin(config, Some(message))
    }

    // spec: session facts section 10, flow
    fn take_login(&mut self, status: &Status) {
        let chal = status.chal.as_deref();
        if let Some(nonce) = chal.and_then(|c| c.meta.next_nonce.as_ref()) {
            self.nonce = Some(nonce.to_vec());
        }
        let wanted = chal.and_then(|chal| Scheme::from_meta(Some(&chal.meta)));
        match status.data {
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS => {
                // One more try with the server's nonce; never a weaker scheme than was asked for.
                let weaker = wanted == Some(Scheme::Basic) && self.scheme != Scheme::Basic;
                if self.challenged || weaker || chal.is_none() {
                    self.login = LoginState::Refused(status.data.0);
                } else {
                    self.challenged = true;
                    self.scheme = wanted.unwrap_or(self.scheme);
                    self.login = LoginState::Again;
                }
            }
            StatusCode::AUTHENTICATED => self.login = LoginState::In,
            code if code.is_success() => {
                if self.login != LoginState::In {
                    self.login = LoginState::EachMessage;
                }
            }
            code => self.login = LoginState::Refused(code.0),
        }
    }

    fn begin<'m>(
        self,
        config: &ClientConfig,
        message: Option<&'m Message>,
    ) -> Result<ClientExchange<'m>, SessionError> {
        let cred = (self.login != LoginState::In).then(|| {
            let nonce = self.nonce.as_deref().unwrap_or_default();
            Box::new(auth::credentials(self.scheme, &config.user, &config.password, nonce))
        });
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
        if let Some(message) = message {
            exchange.answer_header(&message.hdr, StatusCode::OK, None);
        }
        Ok(ClientExchange {
            exchange,
            url: self.url,
            nonce: self.nonce,
            login: self.login,
            challenged: self.challenged,
            scheme: self.scheme,
        })
    }
}

fn header_status(message: &Message) -> Option<&Status> {
    message.commands.iter().find_map(|command| match command {
        Command::Status(status) if status.cmd_ref == 0 => Some(status),
        _ => None,
    })
}

impl<'m> ClientExchange<'m> {
    /// Where the login stands. [`LoginState::Again`]: send the first package again.
    pub fn login(&self) -> LoginState {
        self.login
    }

    /// The nonce for the next login, to be kept until then.
    pub fn next_nonce(&self) -> Option<&[u8]> {
        (self.login == LoginState::In).then_some(self.nonce.as_deref()).flatten()
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
        let session = ClientSession {
            link,
            url: self.url,
            nonce: self.nonce,
            login: self.login,
            challenged: self.challenged,
            scheme: self.scheme,
        };
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
