//! Web Push at a terminal (RFC 8030, RFC 8291): its keys, and the subscription that a server is told.
//!
//! A push service passes on what it cannot read: bodies are `aes128gcm` under keys that are made here and stay here.
// spec: bearers §6

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::Url;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::str::FromStr;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;
use web_push_native::p256::{PublicKey, SecretKey};
use web_push_native::{Auth, decrypt, encrypt};

/// Octets of the head of a body before its key (RFC 8188 §2.1): salt, record size, length of the key.
const HEAD: usize = 21;
/// The smallest record: a delimiter and the tag.
const RECORD: u32 = 18;
/// Octets of the secret that both ends share.
const AUTH: usize = 16;

/// What a terminal decrypts with.
pub(crate) struct Keys {
    secret: SecretKey,
    auth: Auth,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

impl Keys {
    /// The keys in a file, which is made if it is not there.
    ///
    /// # Errors
    /// In words: a file that cannot be read or made, or holds something else.
    pub(crate) fn open(path: &Path) -> Result<Keys, String> {
        let text = kept(path, || {
            let mut auth = [0; AUTH];
            getrandom::fill(&mut auth).map_err(|error| error.to_string())?;
            Ok(format!("{}.{}", new_secret()?, URL_SAFE_NO_PAD.encode(auth)))
        })?;
        let read = || {
            let (secret, auth) = text.split_once('.')?;
            Some(Keys { secret: read_secret(secret)?, auth: read_auth(auth)? })
        };
        read().ok_or_else(|| format!("{}: no keys for Web Push", path.display()))
    }

    /// What a server is told: what is sent to `endpoint` reaches us.
    pub(crate) fn subscription(&self, endpoint: Url) -> Subscription {
        Subscription { endpoint, key: self.secret.public_key(), auth: self.auth }
    }

    /// The message in a body; none if it is not for these keys.
    pub(crate) fn decrypt(&self, body: &[u8]) -> Option<Bytes> {
        let size = u32::from_be_bytes(body.get(HEAD - 5..HEAD - 1)?.try_into().ok()?);
        // RFC 8188 §2.1: a smaller one is malformed; the library divides by it.
        if size < RECORD {
            return None;
        }
        let message = decrypt(body.to_vec(), &self.secret, &self.auth).ok()?;
        // Without any record nothing proves who made it.
        Some(Bytes::from(message)).filter(|message| !message.is_empty())
    }
}

/// Where a push service takes messages for one terminal, and under which keys: `URL#KEY.AUTH`, both in base64url.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) endpoint: Url,
    key: PublicKey,
    auth: Auth,
}

impl Subscription {
    /// A body that only the terminal can read.
    ///
    /// # Errors
    /// In words: a package that is too long for a body.
    pub(crate) fn encrypt(&self, package: &[u8]) -> Result<Vec<u8>, String> {
        encrypt(package.to_vec(), &self.key, &self.auth).map_err(|error| error.to_string())
    }
}

impl FromStr for Subscription {
    type Err = String;

    fn from_str(text: &str) -> Result<Subscription, String> {
        let bad = |why: &str| format!("{text:?}: {why}; say URL#KEY.AUTH");
        let (endpoint, keys) = text.split_once('#').ok_or_else(|| bad("no keys"))?;
        let endpoint = endpoint.parse::<Url>().map_err(|error| bad(&error.to_string()))?;
        let (key, auth) = keys.split_once('.').ok_or_else(|| bad("one key of two"))?;
        let key =
            URL_SAFE_NO_PAD.decode(key).ok().and_then(|octets| PublicKey::from_sec1_bytes(&octets).ok());
        let key = key.ok_or_else(|| bad("no point of P-256"))?;
        let auth = read_auth(auth).ok_or_else(|| bad("no secret of 16 octets"))?;
        Ok(Subscription { endpoint, key, auth })
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = URL_SAFE_NO_PAD.encode(self.key.to_encoded_point(false));
        write!(f, "{}#{key}.{}", self.endpoint, URL_SAFE_NO_PAD.encode(self.auth))
    }
}

/// A private key of P-256 as its 32 octets in base64url.
pub(crate) fn read_secret(text: &str) -> Option<SecretKey> {
    SecretKey::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// A new one.
///
/// # Errors
/// In words, without randomness.
pub(crate) fn new_secret() -> Result<String, String> {
    loop {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|error| error.to_string())?;
        // All but one in 2^32 are keys.
        if SecretKey::from_slice(&octets).is_ok() {
            return Ok(URL_SAFE_NO_PAD.encode(octets));
        }
    }
}

fn read_auth(text: &str) -> Option<Auth> {
    let octets: [u8; AUTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    Some(Auth::from(octets))
}

/// The first line of a file that only its owner reads; made if it is not there.
///
/// # Errors
/// In words.
pub(crate) fn kept(path: &Path, make: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
    let at = |error: std::io::Error| format!("{}: {error}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.lines().next().unwrap_or_default().trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(at(error)),
    }
    let text = make()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(at)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(at)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 8291 §5.
    const SECRET: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
    const SHARED: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    fn keys() -> Keys {
        Keys { secret: read_secret(SECRET).unwrap(), auth: read_auth(SHARED).unwrap() }
    }

    #[test]
    fn the_example_of_rfc_8291_is_read() {
        let body = URL_SAFE_NO_PAD.decode(BODY).unwrap();
        assert_eq!(keys().decrypt(&body).as_deref(), Some(&b"When I grow up, I want to be a watermelon"[..]));
        for at in 0..body.len() {
            let mut other = body.clone();
            other[at] ^= 1;
            // The record size alone is not covered by the tag: a message of one record may say a larger one.
            let size = (HEAD - 5..HEAD - 1).contains(&at);
            assert!(size || keys().decrypt(&other).is_none(), "{at}");
            assert!(keys().decrypt(&body[..at]).is_none(), "{at}");
        }
        let mut none = body;
        none[HEAD - 5..HEAD - 1].fill(0);
        assert!(keys().decrypt(&none).is_none());
    }

    #[test]
    fn a_subscription_is_text_and_encrypts_for_its_terminal_alone() {
        let endpoint: Url = "https://push.example/s/1?a=b".parse().unwrap();
        let text = keys().subscription(endpoint).to_string();
        assert_eq!(text, format!("https://push.example/s/1?a=b#{PUBLIC}.{SHARED}"));
        let read: Subscription = text.parse().unwrap();
        let body = read.encrypt(b"come").unwrap();
        assert_eq!(keys().decrypt(&body).as_deref(), Some(&b"come"[..]));
        let dir = tempfile::tempdir().unwrap();
        let other = Keys::open(&dir.path().join("keys")).unwrap();
        assert!(other.decrypt(&body).is_none());
        let again = Keys::open(&dir.path().join("keys")).unwrap();
        let body = other.subscription(read.endpoint).encrypt(b"stay").unwrap();
        assert_eq!(again.decrypt(&body).as_deref(), Some(&b"stay"[..]));
        for bad in
            ["", "https://push.example/", "https://push.example/#", "https://push.example/#AA.AA", "#a.b"]
        {
            assert!(bad.parse::<Subscription>().is_err(), "{bad}");
        }
    }
}
