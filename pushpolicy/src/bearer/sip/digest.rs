//! Digest answers to 401 and 407: once, with the same Call-ID, a new CSeq and branch.

use super::super::error::{DecodeError, EncodeError, one_line};
use super::super::multipart::parameter;
use super::{FORMAT, Message, Route};
use md5::{Digest, Md5};
use sha2::Sha256;
use std::fmt;

/// A user and password of a SIP server; the password is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Both parts.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, redacted)", self.user)
    }
}

/// Why a challenge is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// It cannot be read, or asks for what is not ours.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It would break the header.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Adds the answer to the challenge of `response` to `request`, which `route` (new branch, next sequence) made.
/// `cnonce` is random, from the host.
///
/// # Errors
/// [`ChallengeError`] if there is no digest challenge with MD5 or SHA-256.
// spec: RFC 3261 §22.4, RFC 8760
pub fn answer_challenge(
    route: &Route,
    request: &mut Message,
    response: &Message,
    credentials: &Credentials,
    cnonce: &str,
) -> Result<(), ChallengeError> {
    let (asked, answer) = match response.status() {
        Some(407) => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => ("WWW-Authenticate", "Authorization"),
    };
    let violation = |what: &str| DecodeError::violation(FORMAT, 0, what);
    let challenges = response.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(asked)).map(|(_, v)| v);
    let digest = |v: &&String| v.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("Digest "));
    let usable = challenges.filter(digest).filter_map(|v| Some((algorithm(v)?, v)));
    // The strongest offered.
    let (sha, challenge) =
        usable.max_by_key(|(sha, _)| *sha).ok_or_else(|| violation("no digest challenge that we know"))?;
    let field = |name: &str| value(challenge, name);
    let realm = field("realm").ok_or_else(|| violation("no realm"))?;
    let nonce = field("nonce").ok_or_else(|| violation("no nonce"))?;
    let qop = field("qop").is_some_and(|q| q.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")));
    for text in [&realm, &nonce, &credentials.user, &cnonce.to_owned()] {
        one_line(FORMAT, "challenge", text)?;
        if text.contains(['"', '\\']) {
            return Err(EncodeError::new(FORMAT, "challenge", "a quote in it").into());
        }
    }
    let method = request.method().unwrap_or("").to_owned();
    let hash = |text: String| if sha { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
    let secret = hash(format!("{}:{realm}:{}", credentials.user, credentials.password));
    let what = hash(format!("{method}:{}", route.target));
    let proof = if qop {
        hash(format!("{secret}:{nonce}:00000001:{cnonce}:auth:{what}"))
    } else {
        hash(format!("{secret}:{nonce}:{what}"))
    };
    let mut header = format!(
        "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", response=\"{proof}\", algorithm={}",
        credentials.user,
        route.target,
        if sha { "SHA-256" } else { "MD5" }
    );
    if let Some(opaque) = field("opaque").filter(|o| one_line(FORMAT, "opaque", o).is_ok()) {
        header.push_str(&format!(", opaque=\"{opaque}\""));
    }
    if qop {
        header.push_str(&format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""));
    }
    request.push(answer, header);
    Ok(())
}

/// `Some(true)` for SHA-256, `Some(false)` for MD5.
fn algorithm(challenge: &str) -> Option<bool> {
    match value(challenge, "algorithm").map(|a| a.to_ascii_uppercase()).as_deref() {
        None | Some("MD5") => Some(false),
        Some("SHA-256") => Some(true),
        Some(_) => None,
    }
}

/// A field of a challenge: the same grammar as header parameters, but for commas.
fn value(challenge: &str, name: &str) -> Option<String> {
    let mut quoted = false;
    let fields: String = challenge
        .get(7..)?
        .chars()
        .map(|c| {
            quoted ^= c == '"';
            if c == ',' && !quoted { ';' } else { c }
        })
        .collect();
    parameter(&format!(";{fields}"), name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenged(challenge: &str) -> Result<String, ChallengeError> {
        let route = Route::new("sip:bob@biloxi.com", "sip:a@b", "h", "b2", "t", "c");
        let mut request = route.invite(1).unwrap();
        let text = format!("SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n\r\n");
        let response = Message::decode(text.as_bytes()).unwrap();
        let credentials = Credentials::new("bob", "zanzibar");
        answer_challenge(&route, &mut request, &response, &credentials, "0a4f113b")?;
        Ok(request.header("Authorization").unwrap().to_owned())
    }

    // Expected values computed with Python's hashlib from the formula of RFC 2617 §3.2.2.
    #[test]
    fn answers_of_md5_and_sha256() {
        let md5 =
            challenged("Digest realm=\"biloxi.com\", qop=\"auth,auth-int\", nonce=\"dcd98b\", opaque=\"5c\"")
                .unwrap();
        assert!(md5.contains("response=\"f804e5cfbc5d9296eb842f80f899c129\""), "{md5}");
        assert!(md5.contains("opaque=\"5c\", qop=auth, nc=00000001, cnonce=\"0a4f113b\""), "{md5}");
        let plain = challenged("Digest realm=\"biloxi.com\", nonce=\"dcd98b\", algorithm=MD5").unwrap();
        assert!(
            plain.contains("response=\"72752b6ba97db2dae85bf526adfa0680\"") && !plain.contains("qop"),
            "{plain}"
        );
        let sha =
            challenged("Digest realm=\"biloxi.com\", qop=\"auth\", nonce=\"dcd98b\", algorithm=SHA-256")
                .unwrap();
        assert!(
            sha.contains("response=\"74b4c421b47b3285c3ebf2d35539507365dab434cc4377dca1cd811aa20bb535\""),
            "{sha}"
        );
        assert!(format!("{:?}", Credentials::new("bob", "zanzibar")).contains("redacted"));
    }

    #[test]
    fn challenges_that_are_not_answered() {
        for bad in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest nonce=\"x\"",
            "Digest realm=\"x\", nonce=\"y\", algorithm=AKAv1-MD5",
            "Digest",
        ] {
            assert!(challenged(bad).is_err(), "{bad}");
        }
    }
}
