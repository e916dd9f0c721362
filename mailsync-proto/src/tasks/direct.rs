//! A task from client to client: an iTIP request with a proof of who sent it, and the reply.
//!
//! Two people who send each other tasks directly share a secret. The proof is HMAC-SHA256 over the request with it; a
//! request that comes twice is the same task, so that repeating it gains nothing. Which way it comes, over HTTP, in a mail or
//! in short messages, is the same to what is here: senders of mails and short messages are easily forged, the proof is not.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt::Write;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use timesync::UnixTime;
use timesync::task::ical::itip::{self, Answer, Method};
use timesync::task::ical::{self, IcalRefusal};
use timesync::task::{DirectReply, Setter, Task, UserId};

/// Media type of requests and replies.
pub const MEDIA_TYPE: &str = "text/calendar";
/// The header that carries the proof.
pub const PROOF: &str = "x-mailsync-proof";
/// Octets of a request, at most: the extras of a task as base64, and the rest.
pub const MOST: usize = 512 << 10;
/// Octets of a secret, at least.
pub const SECRET: usize = 8;

/// The secrets shared with friends.
#[derive(Clone, Default)]
pub struct Friends {
    secrets: BTreeMap<UserId, Box<str>>,
}

impl core::fmt::Debug for Friends {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.secrets.keys()).finish()
    }
}

/// Why a request is not looked at further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectError {
    /// It is no request.
    #[error(transparent)]
    Unreadable(#[from] IcalRefusal),
    /// It says not who sets the task, or is a reply.
    #[error("not a request that says who sends it")]
    NoRequest,
    /// Nobody who shares a secret with us made it.
    #[error("not proved by a friend")]
    Unproved,
    /// It is for somebody else.
    #[error("for another person")]
    NotOurs,
}

/// What a friend sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Sets or changes a task of ours.
    Request(Setter, Box<Task>),
    /// Takes one back.
    Cancel(Setter, Box<Task>),
    /// Says what became of one that we have set for that friend.
    Reply(Box<Task>, Answer),
}

impl Friends {
    /// Reads lines of `NAME SECRET`; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// In words, with the line; never the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut secrets = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |what: &str| format!("line {}: {what}", number.saturating_add(1));
            let (name, secret) = line.split_once(char::is_whitespace).ok_or_else(|| at("say NAME SECRET"))?;
            let name = UserId::new(name).map_err(|error| at(&error.to_string()))?;
            let secret = secret.trim();
            if secret.len() < SECRET {
                return Err(at("a secret of at least 8 octets"));
            }
            secrets.insert(name, secret.into());
        }
        Ok(Friends { secrets })
    }

    /// The secret shared with a person.
    pub fn secret(&self, user: &UserId) -> Option<&str> {
        self.secrets.get(user).map(|secret| &**secret)
    }

    /// Reads a request for `owner`; who sent it is proved.
    ///
    /// # Errors
    /// [`DirectError`].
    pub fn open(&self, owner: &UserId, body: &str, proof: &str) -> Result<(Setter, Task), DirectError> {
        match self.open_any(owner, body, proof)? {
            Opened::Request(setter, task) => Ok((setter, *task)),
            _ => Err(DirectError::NoRequest),
        }
    }

    /// Reads whatever a friend sends to `me`; who sent it is proved.
    ///
    /// # Errors
    /// [`DirectError`].
    pub fn open_any(&self, me: &UserId, body: &str, proof: &str) -> Result<Opened, DirectError> {
        if body.len() > MOST {
            return Err(IcalRefusal::TooLarge.into());
        }
        let own = Setter { user: me.clone(), client: nobody() };
        let entry = ical::read_entry(body, me, &own)?;
        let setter = entry.claims.clone().ok_or(DirectError::NoRequest)?;
        let is_reply = entry.method.as_deref() == Some(Method::Reply.name());
        let sender = if is_reply { entry.claims_owner.as_ref() } else { Some(&setter.user) };
        let sender = sender.ok_or(DirectError::NoRequest)?;
        // An unknown sender costs as much as a known one.
        let secret = self.secret(sender).unwrap_or("no friend");
        if !equal(prove(secret, body).as_bytes(), proof.as_bytes()) || self.secret(sender).is_none() {
            return Err(DirectError::Unproved);
        }
        let sent = itip::read(body, &setter)?;
        let ours = if is_reply { setter.user == *me } else { sent.owner == *me };
        if !ours {
            return Err(DirectError::NotOurs);
        }
        let task = Box::new(sent.task);
        match (sent.method, sent.answer) {
            (Method::Request, _) => Ok(Opened::Request(setter, task)),
            (Method::Cancel, _) => Ok(Opened::Cancel(setter, task)),
            (Method::Reply, Some(answer)) => Ok(Opened::Reply(task, answer)),
            (Method::Reply, None) => Err(DirectError::NoRequest),
        }
    }
}

fn nobody() -> timesync::task::ClientId {
    #[expect(clippy::expect_used, reason = "one letter is a name")]
    timesync::task::ClientId::new("-").expect("one letter")
}

/// A request that sets a task directly.
pub fn request(task: &Task, now: UnixTime) -> String {
    itip::write(task, Method::Request, None, now)
}

/// The answer to a task that was looked at.
pub fn reply(task: &Task, reply: &DirectReply, now: UnixTime) -> String {
    let answer = match reply {
        DirectReply::Accepted => Answer::Accepted,
        DirectReply::Refused(refusal) => Answer::Declined(refusal.to_string()),
    };
    itip::write(task, Method::Reply, Some(&answer), now)
}

/// What a reply says.
///
/// # Errors
/// It is none.
pub fn answer(text: &str, setter: &Setter) -> Result<Answer, IcalRefusal> {
    itip::read(text, setter)?.answer.ok_or(IcalRefusal::NoTask)
}

/// The proof of a request: HMAC-SHA256, in hex.
// spec: RFC 2104 §2
pub fn prove(secret: &str, body: &str) -> String {
    let mut key = [0_u8; 64];
    let digest;
    let octets = if secret.len() > key.len() {
        digest = Sha256::digest(secret.as_bytes());
        digest.as_slice()
    } else {
        secret.as_bytes()
    };
    key.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    let inner = Sha256::new().chain_update(key.map(|b| b ^ 0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(key.map(|b| b ^ 0x5c)).chain_update(inner).finalize();
    outer.iter().fold(String::with_capacity(64), |mut text, octet| {
        // Writing into a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Compared in a time that says nothing of where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use timesync::task::{ClientId, TaskUid, TaskWhen};

    #[test]
    fn hmac_sha256_as_published() {
        // spec-test: RFC 4231 §4.3, §4.7
        assert_eq!(
            prove("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = "x".repeat(131);
        assert_eq!(prove(&long, "a").len(), 64);
    }

    fn unproved_any() -> Result<Opened, DirectError> {
        Err(DirectError::Unproved)
    }

    // mission: T4, T7
    #[test]
    fn threat_tasks_only_a_proved_request_for_us_is_opened() {
        let user = |name: &str| UserId::new(name).unwrap();
        let setter = Setter { user: user("ana"), client: ClientId::new("phone").unwrap() };
        let when = TaskWhen::Instant(UnixTime::from_secs(1_795_334_400));
        let mut task = Task::alarm(TaskUid::new("u1").unwrap(), setter.clone(), "Call", when);
        task.owner = user("ben");
        let friends = Friends::parse("# mine\nana our-own-secret\n\ncarl another-secret\n").unwrap();
        let text = request(&task, UnixTime::EPOCH);
        let proof = prove("our-own-secret", &text);
        assert_eq!(friends.open(&user("ben"), &text, &proof), Ok((setter.clone(), task.clone())));
        let unproved = Err(DirectError::Unproved);
        assert_eq!(friends.open(&user("ben"), &text.replace("Call", "Gift"), &proof), unproved);
        assert_eq!(friends.open(&user("ben"), &text, &prove("another-secret", &text)), unproved);
        assert_eq!(friends.open(&user("ben"), &text, ""), unproved);
        let mut stranger = task.clone();
        stranger.setter.user = user("mallory");
        let text = request(&stranger, UnixTime::EPOCH);
        assert_eq!(friends.open(&user("ben"), &text, &prove("no friend", &text)), unproved);
        let text = request(&task, UnixTime::EPOCH);
        assert_eq!(friends.open(&user("dora"), &text, &proof), Err(DirectError::NotOurs));
        let answered = reply(&task, &DirectReply::Accepted, UnixTime::EPOCH);
        // The reply is ben's word to ana, and to nobody else; a request sent back to its sender is none.
        let bens = Friends::parse("ben our-own-secret").unwrap();
        let (proof, back) = (prove("our-own-secret", &answered), prove("our-own-secret", &text));
        let reply = Opened::Reply(Box::new(task.clone()), Answer::Accepted);
        assert_eq!(bens.open_any(&user("ana"), &answered, &proof), Ok(reply));
        assert_eq!(friends.open_any(&user("ben"), &answered, &proof), unproved_any());
        assert_eq!(bens.open_any(&user("ana"), &text, &back), unproved_any());
        assert_eq!(
            bens.open_any(&user("ana"), &answered.replace("ACCEPTED", "DECLINED"), &proof),
            unproved_any()
        );
        let cancel = itip::write(&task, Method::Cancel, None, UnixTime::EPOCH);
        let proof = prove("our-own-secret", &cancel);
        let taken_back = Opened::Cancel(setter.clone(), Box::new(task.clone()));
        assert_eq!(friends.open_any(&user("ben"), &cancel, &proof), Ok(taken_back));
        assert_eq!(friends.open(&user("ben"), &cancel, &proof), Err(DirectError::NoRequest));
        assert_eq!(answer(&answered, &setter), Ok(Answer::Accepted));
        assert!(format!("{friends:?}").contains("ana") && !format!("{friends:?}").contains("secret"));
        assert!(Friends::parse("ana short").is_err() && Friends::parse("ana").is_err());
    }
}
