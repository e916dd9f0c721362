//! What a server's turn is given: what it offers, the message, and how that came.

use super::super::core::StoreConfig;
use super::super::device::DeviceQuirks;
use super::super::devinf;
use super::super::turn::Moment;
use bytes::Bytes;
use syncml::session::auth;
use syncml::session::mac::Mac;
use syncml::session::{Arrival, Load, ServerConfig, ServerSession, SessionError};
use syncml::{DecodeError, Encoding, Limits, Message, Quirks};

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
    /// At the end of a session a device is asked to sync what has news for it, too; see [`offer`](super::offer).
    pub offers_news: bool,
}

/// A message that came, decoded.
#[derive(Clone, Debug)]
pub struct Inbound {
    pub(super) message: Message,
    pub(super) digest: [u8; 16],
    pub(super) encoding: Encoding,
    mac: Option<Box<str>>,
    load: Load,
    /// The verifier of the name that the sender wrote, where that is another name of the user's.
    pub(super) alias: Option<Box<str>>,
}

impl Inbound {
    /// Decodes a request body.
    ///
    /// # Errors
    /// What is wrong with it, and where; nothing of it is applied.
    pub fn decode(config: &Config, encoding: Encoding, body: &Bytes) -> Result<Self, DecodeError> {
        let message = syncml::decode(encoding, body, &config.limits, &config.quirks)?;
        let digest = ServerSession::request_digest(body);
        Ok(Inbound { message, digest, encoding, mac: None, load: Load::default(), alias: None })
    }

    /// With the value of the transport's header `x-syncml-hmac`.
    #[must_use]
    pub fn with_mac(mut self, value: Option<&str>) -> Self {
        self.mac = value.map(Into::into);
        self
    }

    /// By which name its sender logs in; none: it says none.
    pub fn login_name(&self) -> Option<String> {
        let hdr = &self.message.hdr;
        let named = hdr.source.loc_name.as_deref().filter(|name| !name.is_empty()).map(str::to_owned);
        named.or_else(|| hdr.cred.as_deref().and_then(auth::basic_user))
    }

    /// The name that its sender wrote is another one of `user`'s, and `verifier` is made with it.
    // mission: T9
    #[must_use]
    pub fn known_as(mut self, user: &str, verifier: &str) -> Self {
        let written = self.login_name();
        // What it proves is made with the verifier of that name; whom it names is compared with the message.
        if let Some(mut mac) = self.mac.as_deref().and_then(Mac::parse)
            && Some(&*mac.user) == written.as_deref()
        {
            mac.user = user.into();
            self.mac = Some(mac.to_string().into());
        }
        let hdr = &mut self.message.hdr;
        hdr.source.loc_name = Some(user.into());
        let basic = hdr.cred.as_deref().filter(|cred| auth::basic_user(cred).is_some());
        match basic.and_then(|cred| auth::renamed(cred, user)) {
            Some(cred) => hdr.cred = Some(Box::new(cred)),
            None => self.alias = Some(verifier.into()),
        }
        self
    }

    /// With what the host knows of its load.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    pub(super) fn arrival(&self, at: Moment) -> Arrival<'_> {
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
