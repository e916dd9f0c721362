//! How a client session behaves.

use crate::Secret;
use crate::smtp::{Limits, Protocol, Timeouts};

/// How to talk to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Our name in EHLO.
    pub hostname: String,
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// Encryption of the link.
    pub tls: Tls,
    /// How to log in; `None` for a relay that asks for nothing.
    pub auth: Option<Auth>,
    /// Messages may go by URL: EHLO is said once more after AUTH, as what it says of BURL depends on who is logged in.
    // spec: RFC 4468 §3.3
    pub burl: bool,
    /// Log in on a link that is not encrypted; for loopback and tests.
    pub auth_in_clear: bool,
    /// Limits on replies; `line_octets` and `message_octets` also on what we send.
    pub limits: Limits,
    /// How long to wait for the server.
    pub timeouts: Timeouts,
}

impl Config {
    /// SMTP that insists on STARTTLS and does not log in.
    pub fn new(hostname: impl Into<String>) -> Self {
        Config {
            hostname: hostname.into(),
            protocol: Protocol::Smtp,
            tls: Tls::Required,
            auth: None,
            burl: false,
            auth_in_clear: false,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Encryption of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Never; for loopback.
    Never,
    /// STARTTLS if the server offers it. An attacker on the path can take the offer away.
    IfOffered,
    /// STARTTLS, or no mail.
    #[default]
    Required,
    /// The link was encrypted before the first octet (port 465).
    Implicit,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// User and password, by PLAIN if the server has it, else LOGIN.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// An OAuth 2 access token, by XOAUTH2.
    Token {
        /// The user.
        user: String,
        /// The access token.
        token: Secret<String>,
    },
}
