//! The transport's header that proves a message: `x-syncml-hmac`.
//!
//! Although the standard's text cites RFC 2104, it is nested plain MD5. Peers that use true HMAC exist, but no
//! description of their key is known; they are refused.

use super::auth::equal;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use md5::{Digest, Md5};
use std::fmt;

/// The header's name, the same over HTTP, WSP and OBEX.
pub const HEADER: &str = "x-syncml-hmac";

/// Octets of a header's value that are looked at.
const LONGEST: usize = 1024;

/// What the header says.
///
/// # Shape
/// `algorithm=MD5, username="Robert Jordan", mac=NTI2...`; MD5 where no algorithm is named.
/// # Spec
/// OMA DM 1.2 security, session facts section 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mac {
    algorithm: Option<Box<str>>,
    /// The user, as in `Source/LocName`.
    pub user: Box<str>,
    /// `B64(H(verifier:nonce:B64(H(body))))`.
    pub mac: Box<str>,
}

impl Mac {
    /// Proves a message; `body` is the MD5 of its octets as they are sent.
    pub fn new(user: &str, verifier: &str, nonce: &[u8], body: &[u8; 16]) -> Self {
        Mac { algorithm: Some("MD5".into()), user: user.into(), mac: mac(verifier, nonce, body).into() }
    }

    /// Reads a header's value.
    pub fn parse(text: &str) -> Option<Self> {
        let mut found = Mac { algorithm: None, user: Box::default(), mac: Box::default() };
        let mut rest = text.get(..LONGEST).unwrap_or(text).trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "algorithm" => found.algorithm = Some(value.trim().into()),
                "username" => found.user = value.into(),
                "mac" => found.mac = value.trim().into(),
                _ => {}
            }
            rest = next.trim_start().trim_start_matches(',').trim_start();
        }
        (!found.mac.is_empty()).then_some(found)
    }

    /// Whether the digest is of the only kind that is known.
    pub(super) fn is_md5(&self) -> bool {
        self.algorithm.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("MD5"))
    }

    /// Whether it proves a message with one of these nonces.
    pub(super) fn fits(&self, verifier: &str, nonces: &[[u8; 16]], body: &[u8; 16]) -> bool {
        let fits = |nonce: &[u8; 16]| equal(self.mac.as_bytes(), mac(verifier, nonce, body).as_bytes());
        nonces.iter().fold(false, |found, nonce| found | fits(nonce))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.algorithm.as_deref().unwrap_or("MD5");
        // A quote or a line end in a name would say something else.
        let user = self.user.replace(['"', '\r', '\n'], "");
        write!(f, "algorithm={algorithm}, username=\"{user}\", mac={}", self.mac)
    }
}

fn mac(verifier: &str, nonce: &[u8], body: &[u8; 16]) -> String {
    let mut hash = Md5::new();
    hash.update(verifier);
    hash.update(b":");
    hash.update(nonce);
    hash.update(b":");
    hash.update(BASE64.encode(body));
    BASE64.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::auth::verifier;

    // spec-test: session facts section 10, test vectors
    #[test]
    fn vector() {
        let body = Md5::digest("<SyncML/>").into();
        let made = Mac::new("Bruce2", &verifier("Bruce2", "OhBehave"), b"Nonce", &body);
        assert_eq!(&*made.mac, "urdCeS3JUmjFgi8SX3webw==");
        assert_eq!(made.to_string(), "algorithm=MD5, username=\"Bruce2\", mac=urdCeS3JUmjFgi8SX3webw==");
        assert_eq!(Mac::parse(&made.to_string()).unwrap(), made);
    }

    #[test]
    fn headers_as_others_write_them() {
        let mac = Mac::parse("mac=NTI2OTJh,username=\"Robert, the \\ Jordan\"").unwrap();
        assert_eq!((&*mac.user, &*mac.mac, mac.is_md5()), ("Robert, the \\ Jordan", "NTI2OTJh", true));
        assert!(!Mac::parse("algorithm=SHA1, username=x, mac=y").unwrap().is_md5());
        for bad in ["", "mac", "username=\"x", "username=x", "mac=\"", "=,=,="] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
        let long = format!("mac={}", "x".repeat(1_000_000));
        assert_eq!(Mac::parse(&long).unwrap().mac.len(), LONGEST - 4);
        let sly = Mac { algorithm: None, user: "a\"\r\nb".into(), mac: "m".into() };
        assert_eq!(sly.to_string(), "algorithm=MD5, username=\"ab\", mac=m");
    }
}
