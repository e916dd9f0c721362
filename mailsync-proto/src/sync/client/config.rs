//! What a client's turn is given, and what it says besides its message.

use super::super::core::StoreConfig;
use super::super::devinf;
use super::super::event::Mode;
use super::super::seal::ItemKey;
use bytes::Bytes;
use syncml::session::{ClientConfig, OwnLogin, SessionError, auth};
use syncml::{DecodeError, Encoding, Limits, Message, Quirks};

/// Who the client is, what it syncs, and with whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Server, login, sizes.
    pub session: ClientConfig,
    /// By what the server is known in our store; stays the same when its address changes.
    pub server_id: Box<str>,
    /// Our datastores.
    pub stores: Vec<StoreConfig>,
    /// What our DevInf says of us.
    pub identity: devinf::Identity,
    /// What a message may hold.
    pub limits: Limits,
    /// Which oddities are taken.
    pub quirks: Quirks,
    /// What the server must prove to be; none: it is believed (TLS tells as much).
    pub server_login: Option<OwnLogin>,
    /// How many sessions notifications may begin, in how many seconds: a fixed window. The rest is dropped.
    // threat: N1
    pub notified: (u8, u32),
    /// What the server asks for inside a session (206 to 210) is done in it; otherwise it is refused with 406.
    pub alerts: bool,
    /// What seals our items: then none leaves in clear, and none is taken in clear.
    pub item_key: Option<ItemKey>,
}

/// An answer of the server, decoded.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) message: Message,
    pub(super) digest: [u8; 16],
    pub(super) mac: Option<Box<str>>,
}

impl Answer {
    /// With the value of the transport's header `x-syncml-hmac`.
    #[must_use]
    pub fn with_mac(mut self, value: Option<&str>) -> Self {
        self.mac = value.map(Into::into);
        self
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// One datastore to sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Our name of it.
    pub name: Box<str>,
    /// The server's path of it.
    pub remote: Box<str>,
    /// How. A first sync compares everything, unless it is a refresh; who asked for one way only then sends, or
    /// takes, nothing all the same.
    pub mode: Mode,
    /// Which items we want, and what of them; needs 1.2.
    pub filter: Option<Box<syncml::Filter>>,
    /// What we have room for: octets, and items.
    pub free: Option<(u64, u64)>,
}

impl Plan {
    /// A datastore, all of it.
    pub fn new(name: &str, remote: &str, mode: Mode) -> Self {
        Plan { name: name.into(), remote: remote.into(), mode, filter: None, free: None }
    }
}

/// Where the next message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The URL.
    pub url: String,
    /// The spelling of the message.
    pub encoding: Encoding,
    /// The value of the transport's header `x-syncml-hmac`, where each message is proved.
    pub mac: Option<String>,
}

/// Why the client cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// There is no such session.
    #[error("no such session")]
    UnknownSession,
    /// The answer cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The answer does not fit into the session.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Decodes an answer of the server.
///
/// # Errors
/// What is wrong with it, and where.
pub fn decode(config: &Config, encoding: Encoding, body: &Bytes) -> Result<Answer, DecodeError> {
    let message = syncml::decode(encoding, body, &config.limits, &config.quirks)?;
    Ok(Answer { message, digest: auth::body_digest(body), mac: None })
}
