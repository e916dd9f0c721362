//! What a server session offers.

use crate::smtp::{Limits, Protocol, Timeouts};

/// What the server says and offers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Our name in greeting and EHLO.
    pub hostname: String,
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// True if the link is encrypted from its first octet.
    pub tls: bool,
    /// Offer STARTTLS; the host must then answer `Output::StartTls`.
    pub starttls: bool,
    /// Refuse mail on a link that is not encrypted.
    pub require_tls: bool,
    /// Whether clients may or must log in.
    pub auth: AuthPolicy,
    /// Offer AUTH on a link that is not encrypted; for loopback and tests.
    pub auth_in_clear: bool,
    /// Offer DSN (RFC 3461); the host must then honour `notify`, `ret`, `envid` and `orcpt`.
    pub dsn: bool,
    /// Limits on the peer.
    pub limits: Limits,
    /// How long to wait for the peer.
    pub timeouts: Timeouts,
}

impl Config {
    /// SMTP without TLS, AUTH and DSN.
    pub fn new(hostname: impl Into<String>) -> Self {
        Config {
            hostname: hostname.into(),
            protocol: Protocol::Smtp,
            tls: false,
            starttls: false,
            require_tls: false,
            auth: AuthPolicy::Off,
            auth_in_clear: false,
            dsn: false,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Whether clients log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthPolicy {
    /// AUTH is not offered.
    #[default]
    Off,
    /// They may.
    Offered,
    /// Mail is taken only from clients that did.
    Required,
}
