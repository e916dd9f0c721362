//! Logging in: PLAIN and LOGIN.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::Secret;
use crate::smtp::{EnhancedCode, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, which no RFC describes: user name, then password, each after a challenge.
    Login,
}

/// What a client logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The mechanism used.
    pub mechanism: Mechanism,
    /// Whom to act as, if not the user; only PLAIN has it. A host that knows no such thing refuses it.
    pub authorize_as: Option<String>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// What an AUTH exchange waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Plain,
    LoginUser,
    LoginPassword { user: String },
}

/// What comes after a line of the client.
pub(super) enum Next {
    /// Send this challenge (334), then wait for a line.
    Challenge(&'static str, Step),
    Credentials(Credentials),
}

/// Begins an exchange; `mechanism` is the library's bit.
pub(super) fn start(mechanism: u64, initial: Option<String>) -> Result<Next, Reply> {
    match (mechanism, initial) {
        (smtp_proto::AUTH_PLAIN, None) => Ok(Next::Challenge("", Step::Plain)),
        (smtp_proto::AUTH_PLAIN, Some(line)) => advance(Step::Plain, line.as_bytes()),
        // "Username:" and "Password:", as every client of LOGIN expects them
        (smtp_proto::AUTH_LOGIN, None) => Ok(Next::Challenge("VXNlcm5hbWU6", Step::LoginUser)),
        (smtp_proto::AUTH_LOGIN, Some(line)) => advance(Step::LoginUser, line.as_bytes()),
        _ => Err(Reply::new(504, EnhancedCode(5, 5, 4), "Mechanism not implemented")),
    }
}

/// Goes on with a line of the client.
pub(super) fn advance(step: Step, line: &[u8]) -> Result<Next, Reply> {
    if line == b"*" {
        // spec: RFC 4954 §4
        return Err(Reply::new(501, EnhancedCode(5, 7, 0), "Authentication cancelled"));
    }
    let bad = || Reply::new(501, EnhancedCode(5, 5, 2), "Not base64 of what the mechanism sends");
    // spec: RFC 4954 §4, "=" is an empty initial response
    let line = if line == b"=" { &[][..] } else { line };
    let text =
        STANDARD.decode(line).ok().and_then(|octets| String::from_utf8(octets).ok()).ok_or_else(bad)?;
    match step {
        Step::Plain => {
            let mut parts = text.split('\0');
            let (Some(authorize_as), Some(user), Some(password), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(bad());
            };
            Ok(Next::Credentials(Credentials {
                mechanism: Mechanism::Plain,
                authorize_as: (!authorize_as.is_empty() && authorize_as != user)
                    .then(|| authorize_as.to_owned()),
                user: user.to_owned(),
                password: Secret::new(password.to_owned()),
            }))
        }
        Step::LoginUser if text.contains('\0') => Err(bad()),
        Step::LoginUser => Ok(Next::Challenge("UGFzc3dvcmQ6", Step::LoginPassword { user: text })),
        Step::LoginPassword { .. } if text.contains('\0') => Err(bad()),
        Step::LoginPassword { user } => Ok(Next::Credentials(Credentials {
            mechanism: Mechanism::Login,
            authorize_as: None,
            user,
            password: Secret::new(text),
        })),
    }
}
