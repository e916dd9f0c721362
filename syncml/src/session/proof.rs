//! How one side proves who it is to the other, over the messages of a session.

use super::auth::{self, Scheme, verifier};
use super::mac::Mac;
use crate::model::{Command, Cred, Message, Status, StatusCode};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// Where a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginState {
    /// Credentials were sent; the answer is not here.
    Asked,
    /// The peer wants them again, with its nonce: what it did not execute must be sent again.
    Again,
    /// Logged in for the session.
    In,
    /// Logged in, with credentials in every message.
    EachMessage,
    /// Refused for good, with this status.
    Refused(u16),
}

/// A side's own login at its peer. Part of both session values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// What the peer gave last.
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) state: LoginState,
    challenged: bool,
    scheme: Scheme,
}

/// How a server proves to clients who it is.
#[derive(Clone)]
pub struct OwnLogin {
    /// Its name, in `Source/LocName`.
    pub name: Box<str>,
    /// What clients know of it. Never printed, never stored in a session value.
    pub password: Box<str>,
    /// How.
    pub scheme: Scheme,
}

impl std::fmt::Debug for OwnLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnLogin")
            .field("name", &self.name)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "server")]
impl OwnLogin {
    pub(crate) fn name(&self) -> Name<'_> {
        Name { user: &self.name, password: &self.password }
    }
}

/// Who a side is at its peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

impl Proof {
    pub(crate) fn new(scheme: Scheme, nonce: Option<&[u8]>) -> Self {
        Proof { nonce: nonce.map(<[u8]>::to_vec), state: LoginState::Asked, challenged: false, scheme }
    }

    /// Credentials for the header of the next message, if they belong there.
    pub(crate) fn cred(&self, name: &Name<'_>) -> Option<Box<Cred>> {
        if self.state == LoginState::In {
            return None;
        }
        let nonce = self.nonce.as_deref().unwrap_or_default();
        auth::credentials(self.scheme, name.user, name.password, nonce).map(Box::new)
    }

    /// The transport's header for a message that was made.
    pub(crate) fn mac(&self, name: &Name<'_>, message: &[u8]) -> Option<String> {
        let nonce = self.nonce.as_deref().unwrap_or_default();
        let known = verifier(name.user, name.password);
        (self.scheme == Scheme::Mac)
            .then(|| Mac::new(name.user, &known, nonce, &Md5::digest(message).into()).to_string())
    }

    /// Takes the peer's answer to our header. `first`: all that was said so far can be said again.
    // spec: session facts section 10, flow
    pub(crate) fn take(&mut self, status: &Status, first: bool) {
        let chal = status.chal.as_deref();
        if let Some(nonce) = chal.and_then(|c| c.meta.next_nonce.as_ref()) {
            self.nonce = Some(nonce.to_vec());
        }
        let wanted = chal.and_then(|chal| Scheme::from_meta(Some(&chal.meta)));
        match status.data {
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS => {
                // One more try with the peer's nonce; never a weaker scheme than was asked for.
                let weaker = wanted.is_some_and(|wanted| strength(wanted) < strength(self.scheme));
                if self.challenged || weaker || chal.is_none() || !first {
                    self.state = LoginState::Refused(status.data.0);
                } else {
                    self.challenged = true;
                    // The two digests have one name.
                    let same = wanted == Some(Scheme::Md5) && self.scheme == Scheme::Md5Of1_0;
                    self.scheme = wanted.filter(|_| !same).unwrap_or(self.scheme);
                    self.state = LoginState::Again;
                }
            }
            StatusCode::AUTHENTICATED => self.state = LoginState::In,
            // It has not said who we are to it; it will take more of us.
            StatusCode::IN_PROGRESS => self.goes_on(),
            code if code.is_success() => self.goes_on(),
            code => self.state = LoginState::Refused(code.0),
        }
        // With a proof of every message, none is for the session.
        if self.scheme == Scheme::Mac && self.state == LoginState::In {
            self.state = LoginState::EachMessage;
        }
    }

    fn goes_on(&mut self) {
        if self.state != LoginState::In {
            self.state = LoginState::EachMessage;
        }
    }

    /// The nonce for the next login, once the peer is known to have taken ours.
    // spec: session facts section 10: one from a peer that is not authenticated is not kept
    pub(crate) fn next_nonce(&self) -> Option<&[u8]> {
        let logged_in = matches!(self.state, LoginState::In | LoginState::EachMessage);
        logged_in.then_some(self.nonce.as_deref()).flatten()
    }
}

// spec: threats S4
fn strength(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Basic => 0,
        Scheme::Md5 | Scheme::Md5Of1_0 => 1,
        Scheme::Mac => 2,
    }
}

/// The peer's answer to our header.
pub(crate) fn header_status(message: &Message) -> Option<&Status> {
    message.commands.iter().find_map(|command| match command {
        Command::Status(status) if status.cmd_ref == 0 => Some(&**status),
        _ => None,
    })
}
