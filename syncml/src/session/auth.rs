//! Credentials.
//!
//! The digest of 1.1 and 1.2 needs only the verifier `B64(H(user ":" password))`, so that is what a server
//! keeps. It is a password equivalent: the sync password is a secret of its own, never a mail password. The
//! digest of 1.0 needs the password itself; it is for a test bench only.

use super::mac::Mac;
pub use super::nonces::Nonces;
use crate::model::{Chal, Cred, Meta, StatusCode};
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
    /// `syncml:auth-MAC`: a digest over verifier, nonce and the message, in a header of the transport with
    /// every message.
    Mac,
    /// `syncml:auth-md5` with the digest of SyncML 1.0, over the password itself: what a client says to servers
    /// that know no other.
    Md5Of1_0,
}

impl Scheme {
    /// The text of `Meta/Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Basic => "syncml:auth-basic",
            Scheme::Md5 | Scheme::Md5Of1_0 => "syncml:auth-md5",
            Scheme::Mac => "syncml:auth-MAC",
        }
    }

    /// Reads `Meta/Type`; no type means basic.
    // spec: SyncML facts, MetInf Type
    pub fn from_meta(meta: Option<&Meta>) -> Option<Self> {
        let Some(text) = meta.and_then(|m| m.type_.as_deref()) else { return Some(Scheme::Basic) };
        [Scheme::Basic, Scheme::Md5, Scheme::Mac].into_iter().find(|s| s.as_str().eq_ignore_ascii_case(text))
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

/// `B64(H(user ":" password ":" nonce))`: the digest of SyncML 1.0.
pub fn digest_of_1_0(user: &str, password: &str, nonce: &[u8]) -> String {
    let mut hash = Md5::new();
    hash.update(format!("{user}:{password}:"));
    hash.update(nonce);
    BASE64.encode(hash.finalize())
}

/// The digest of a message's octets, for [`Scheme::Mac`].
pub fn body_digest(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

/// Credentials of the header; none for [`Scheme::Mac`], which is never among them.
pub fn credentials(scheme: Scheme, user: &str, password: &str, nonce: &[u8]) -> Option<Cred> {
    match scheme {
        Scheme::Basic => Some(cred(scheme, BASE64.encode(format!("{user}:{password}")))),
        Scheme::Md5 => Some(cred(scheme, digest(&verifier(user, password), nonce))),
        Scheme::Md5Of1_0 => Some(cred(scheme, digest_of_1_0(user, password, nonce))),
        Scheme::Mac => None,
    }
}

fn cred(scheme: Scheme, data: String) -> Cred {
    let meta = Meta { format: Some("b64".into()), type_: Some(scheme.as_str().into()), ..Meta::default() };
    Cred { meta: Some(Box::new(meta)), data: Bytes::from(data), ..Cred::default() }
}

/// What a peer's proof is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// Of the user; none when there is no such user.
    pub(crate) verifier: Option<&'a str>,
    /// Where the digest of 1.0 is taken.
    pub(crate) password: Option<&'a str>,
    /// Those that the peer may have used.
    pub(crate) nonces: &'a [[u8; 16]],
    pub(crate) basic_allowed: bool,
    /// What is asked for; nothing weaker than [`Scheme::Mac`] is taken in its place.
    pub(crate) wanted: Scheme,
}

/// What a peer shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) user: &'a str,
    pub(crate) cred: Option<&'a Cred>,
    /// The transport's header as it came.
    pub(crate) mac: Option<&'a str>,
    /// Of the message's octets.
    pub(crate) body: &'a [u8; 16],
}

/// Whether a peer is who it says.
///
/// # Errors
/// The status of the refusal. An unknown user costs the same work as a wrong password.
// spec: session facts section 10; threats S3, S4
pub(crate) fn judge(shown: &Shown<'_>, known: &Known<'_>) -> Result<Scheme, StatusCode> {
    let verifier = known.verifier.unwrap_or("AAAAAAAAAAAAAAAAAAAAAA==");
    let fits = |fits: bool| (fits && known.verifier.is_some()).then_some(());
    if let Some(text) = shown.mac {
        let mac = Mac::parse(text).ok_or(StatusCode::BAD_REQUEST)?;
        if !mac.is_md5() {
            return Err(StatusCode::NOT_SUPPORTED);
        }
        let right = mac.fits(verifier, known.nonces, shown.body) && *mac.user == *shown.user;
        return fits(right).map(|()| Scheme::Mac).ok_or(StatusCode::INVALID_CREDENTIALS);
    }
    let cred = shown.cred.ok_or(StatusCode::MISSING_CREDENTIALS)?;
    let scheme = form(cred)?;
    if known.wanted == Scheme::Mac || (scheme == Scheme::Basic && !known.basic_allowed) {
        return Err(StatusCode::INVALID_CREDENTIALS);
    }
    if scheme == Scheme::Md5 && shown.user.is_empty() {
        // spec: session facts section 10: the user's name is Source/LocName
        return Err(StatusCode::UNSUPPORTED_TYPE);
    }
    let old = known.password.filter(|_| scheme == Scheme::Md5);
    let right = check(cred, shown.user, verifier, known.nonces)
        || old.is_some_and(|password| check_of_1_0(cred, shown.user, password, known.nonces));
    fits(right).map(|()| scheme).ok_or(StatusCode::INVALID_CREDENTIALS)
}

/// Whether credentials have a form that can be checked.
///
/// # Errors
/// 406 for a scheme that is not ours, 415 for a format, 400 for nothing.
// spec: session facts section 10
pub fn form(cred: &Cred) -> Result<Scheme, StatusCode> {
    let scheme = Scheme::from_meta(cred.meta.as_deref()).filter(|scheme| *scheme != Scheme::Mac);
    let scheme = scheme.ok_or(StatusCode::NOT_SUPPORTED)?;
    let format = cred.meta.as_ref().and_then(|meta| meta.format.as_deref()).unwrap_or_default();
    match format {
        // Raw digests came with `bin`, `chr` or nothing.
        "" | "b64" | "chr" | "bin" => {}
        _ => return Err(StatusCode::UNSUPPORTED_TYPE),
    }
    if cred.data.trim_ascii().is_empty() { Err(StatusCode::BAD_REQUEST) } else { Ok(scheme) }
}

/// Whether credentials fit a verifier; `nonces` are those the peer may have used.
///
/// The comparison takes the same time wherever the difference is.
pub fn check(cred: &Cred, user: &str, known_verifier: &str, nonces: &[[u8; 16]]) -> bool {
    match Scheme::from_meta(cred.meta.as_deref()) {
        Some(Scheme::Basic) => basic_password(cred, user)
            .is_some_and(|password| equal(verifier(user, &password).as_bytes(), known_verifier.as_bytes())),
        Some(Scheme::Md5) => {
            nonces.iter().fold(false, |found, nonce| found | is_digest(cred, &digest(known_verifier, nonce)))
        }
        Some(Scheme::Mac | Scheme::Md5Of1_0) | None => false,
    }
}

/// The same with the digest of 1.0, for which the password must be known.
pub fn check_of_1_0(cred: &Cred, user: &str, password: &str, nonces: &[[u8; 16]]) -> bool {
    nonces.iter().fold(false, |found, nonce| found | is_digest(cred, &digest_of_1_0(user, password, nonce)))
}

fn is_digest(cred: &Cred, want: &str) -> bool {
    // Raw digest octets were allowed in WBXML 1.0; some stacks still send them.
    let raw = BASE64.decode(want).unwrap_or_default();
    equal(cred.data.trim_ascii(), want.as_bytes()) | equal(&cred.data, &raw)
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

/// Basic credentials as they are for another name of the same person; none if they are no basic ones.
pub fn renamed(cred: &Cred, user: &str) -> Option<Cred> {
    if Scheme::from_meta(cred.meta.as_deref()) != Some(Scheme::Basic) {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(cred.data.trim_ascii()).ok()?).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(Cred { data: Bytes::from(BASE64.encode(format!("{user}:{password}"))), ..cred.clone() })
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

pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
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
        assert_eq!(digest_of_1_0("Bruce2", "OhBehave", b"Nonce"), "UmkqAAZhiQvXXhfaf/u+OQ==");
        let cred = credentials(Scheme::Basic, "Bruce2", "OhBehave", b"").unwrap();
        assert_eq!(&cred.data[..], b"QnJ1Y2UyOk9oQmVoYXZl");
    }

    #[test]
    fn check_takes_only_the_right_password_and_nonce() {
        let known = verifier("u", "secret");
        let nonce = *b"0123456789abcdef";
        let good = credentials(Scheme::Md5, "u", "secret", &nonce).unwrap();
        assert!(check(&good, "u", &known, &[[0; 16], nonce]));
        assert!(!check(&good, "u", &known, &[[0; 16]]));
        assert!(!check(&credentials(Scheme::Md5, "u", "wrong", &nonce).unwrap(), "u", &known, &[nonce]));
        assert!(check(&credentials(Scheme::Basic, "u", "secret", b"").unwrap(), "u", &known, &[]));
        assert!(!check(&credentials(Scheme::Basic, "v", "secret", b"").unwrap(), "u", &known, &[]));
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
}
