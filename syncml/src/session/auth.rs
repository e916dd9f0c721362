//! Credentials and nonces.
//!
//! The digest of 1.1 and 1.2 needs only the verifier `B64(H(user ":" password))`, so that is what a server
//! keeps. It is a password equivalent: the sync password is a secret of its own, never a mail password.
//!
//! A server's nonces are derived, not stored: from a key, the user, the device, and how often that device has
//! logged in. So a stranger costs no write, and every login makes all earlier nonces worthless.

use crate::model::{Chal, Cred, Meta};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// How a peer proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scheme {
    /// `syncml:auth-basic`: the password itself, in base64.
    Basic,
    /// `syncml:auth-md5`: a digest over verifier and nonce.
    Md5,
}

impl Scheme {
    /// The text of `Meta/Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Basic => "syncml:auth-basic",
            Scheme::Md5 => "syncml:auth-md5",
        }
    }

    /// Reads `Meta/Type`; no type means basic.
    // spec: SyncML facts, MetInf Type
    pub fn from_meta(meta: Option<&Meta>) -> Option<Self> {
        match meta.and_then(|m| m.type_.as_deref()) {
            None => Some(Scheme::Basic),
            Some(text) => [Scheme::Basic, Scheme::Md5].into_iter().find(|s| s.as_str() == text),
        }
    }
}

/// `B64(H(user ":" password))`: what a verifier of digests must know.
pub fn verifier(user: &str, password: &str) -> String {
    BASE64.encode(Md5::digest(format!("{user}:{password}")))
}

/// `B64(H(verifier ":" nonce))`: the digest of SyncML 1.1 and 1.2.
pub fn digest(verifier: &str, nonce: &[u8]) -> String {
    let mut hash = Md5::new();
    hash.update(verifier);
    hash.update(b":");
    hash.update(nonce);
    BASE64.encode(hash.finalize())
}

/// Credentials of a client.
pub fn credentials(scheme: Scheme, user: &str, password: &str, nonce: &[u8]) -> Cred {
    let data = match scheme {
        Scheme::Basic => BASE64.encode(format!("{user}:{password}")),
        Scheme::Md5 => digest(&verifier(user, password), nonce),
    };
    let meta = Meta { format: Some("b64".into()), type_: Some(scheme.as_str().into()), ..Meta::default() };
    Cred { meta: Some(Box::new(meta)), data: Bytes::from(data), ..Cred::default() }
}

/// Whether credentials fit a verifier; `nonces` are those the peer may have used.
///
/// The comparison takes the same time wherever the difference is.
pub fn check(cred: &Cred, user: &str, known_verifier: &str, nonces: &[[u8; 16]]) -> bool {
    match Scheme::from_meta(cred.meta.as_deref()) {
        Some(Scheme::Basic) => basic_password(cred, user)
            .is_some_and(|password| equal(verifier(user, &password).as_bytes(), known_verifier.as_bytes())),
        Some(Scheme::Md5) => nonces.iter().fold(false, |found, nonce| {
            let want = digest(known_verifier, nonce);
            // Raw digest octets were allowed in WBXML 1.0; some stacks still send them.
            let raw = BASE64.decode(&want).unwrap_or_default();
            let fits = equal(cred.data.trim_ascii(), want.as_bytes()) || equal(&cred.data, &raw);
            found | fits
        }),
        None => false,
    }
}

/// The password inside basic credentials that are for this user.
fn basic_password(cred: &Cred, user: &str) -> Option<String> {
    let text = String::from_utf8(BASE64.decode(cred.data.trim_ascii()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    (name == user).then(|| password.to_owned())
}

/// The user name inside basic credentials.
pub fn basic_user(cred: &Cred) -> Option<String> {
    let text = String::from_utf8(BASE64.decode(cred.data.trim_ascii()).ok()?).ok()?;
    Some(text.split_once(':')?.0.to_owned())
}

/// A challenge for the next login.
pub fn challenge(scheme: Scheme, nonce: Option<&[u8]>) -> Chal {
    let meta = Meta {
        format: Some("b64".into()),
        type_: Some(scheme.as_str().into()),
        next_nonce: nonce.map(Bytes::copy_from_slice),
        ..Meta::default()
    };
    Chal { meta, ..Chal::default() }
}

/// Seconds for which a nonce given to a stranger is good; it is good for the next slot too.
const SLOT: u64 = 300;

/// Nonces of a server, derived from its key.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// 32 unpredictable octets that only the server knows.
    pub key: &'a [u8; 32],
    /// The user who wants to log in, known or not.
    pub user: &'a str,
    /// The device.
    pub device: &'a str,
    /// How often it has logged in.
    pub logins: u64,
}

impl Nonces<'_> {
    /// The nonce to challenge with now.
    pub fn now(&self, now: u64) -> [u8; 16] {
        self.derive(1, now / SLOT, self.logins)
    }

    /// The nonce to hand out after a login, for the next session.
    pub fn next_session(&self) -> [u8; 16] {
        self.derive(2, 0, self.logins.wrapping_add(1))
    }

    /// Every nonce that the peer may use now.
    pub fn valid(&self, now: u64) -> [[u8; 16]; 3] {
        let slot = now / SLOT;
        [
            self.derive(2, 0, self.logins),
            self.derive(1, slot, self.logins),
            self.derive(1, slot.saturating_sub(1), self.logins),
        ]
    }

    // MD5 keyed before and after: HMAC in all but name, over values of which only the key is secret.
    fn derive(&self, purpose: u8, slot: u64, logins: u64) -> [u8; 16] {
        let mut inner = Md5::new();
        inner.update(self.key);
        inner.update([purpose]);
        inner.update(slot.to_be_bytes());
        inner.update(logins.to_be_bytes());
        inner.update((self.user.len() as u64).to_be_bytes());
        inner.update(self.user);
        inner.update(self.device);
        let mut outer = Md5::new();
        outer.update(inner.finalize());
        outer.update(self.key);
        outer.finalize().into()
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec-test: session facts section 10, test vectors
    #[test]
    fn vectors() {
        assert_eq!(verifier("Bruce2", "OhBehave"), "PtEdr8lBQ45IbT1bZIkrOQ==");
        assert_eq!(digest("PtEdr8lBQ45IbT1bZIkrOQ==", b"Nonce"), "Zz6EivR3yeaaENcRN6lpAQ==");
        assert_eq!(digest("PtEdr8lBQ45IbT1bZIkrOQ==", b""), "lEf25jyjHbCcTbj4p/1pUw==");
        let cred = credentials(Scheme::Basic, "Bruce2", "OhBehave", b"");
        assert_eq!(&cred.data[..], b"QnJ1Y2UyOk9oQmVoYXZl");
    }

    #[test]
    fn check_takes_only_the_right_password_and_nonce() {
        let known = verifier("u", "secret");
        let nonce = *b"0123456789abcdef";
        let good = credentials(Scheme::Md5, "u", "secret", &nonce);
        assert!(check(&good, "u", &known, &[[0; 16], nonce]));
        assert!(!check(&good, "u", &known, &[[0; 16]]));
        assert!(!check(&credentials(Scheme::Md5, "u", "wrong", &nonce), "u", &known, &[nonce]));
        assert!(check(&credentials(Scheme::Basic, "u", "secret", b""), "u", &known, &[]));
        assert!(!check(&credentials(Scheme::Basic, "v", "secret", b""), "u", &known, &[]));
    }

    #[test]
    fn a_raw_digest_is_taken() {
        let nonce = *b"0123456789abcdef";
        let text = digest(&verifier("u", "p"), &nonce);
        let raw = BASE64.decode(text).unwrap();
        let meta = Meta { type_: Some("syncml:auth-md5".into()), ..Meta::default() };
        let cred = Cred { meta: Some(Box::new(meta)), data: raw.into(), ..Cred::default() };
        assert!(check(&cred, "u", &verifier("u", "p"), &[nonce]));
    }

    #[test]
    fn threat_s3_every_login_makes_earlier_nonces_worthless() {
        let key = [7; 32];
        let before = Nonces { key: &key, user: "u", device: "d", logins: 4 };
        let after = Nonces { logins: 5, ..before };
        let given = before.now(1000);
        assert!(before.valid(1000).contains(&given));
        assert!(before.valid(1000 + SLOT).contains(&given));
        assert!(!before.valid(1000 + 2 * SLOT).contains(&given));
        assert!(!after.valid(1000).contains(&given));
        assert!(after.valid(99_999_999).contains(&before.next_session()));
        assert_ne!(Nonces { device: "e", ..before }.now(1000), given);
    }
}
