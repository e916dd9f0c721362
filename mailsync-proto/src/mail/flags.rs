//! The state that is stored beside a mail, in an item's `fields`.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::cut::Left;
use super::email::Email;
use super::error::{ObjectError, ObjectErrorKind};
use super::forward;
use super::since::Since;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncml::Ext;

/// `XNam` of the extension that tells what became of a mail that was to be sent: an outcome, then the mail
/// servers' own words, one value each.
pub const EXT_SEND: &str = "x-mailsync-send";
/// The properties of a field filter that asks for the state of mails alone.
// mission: M5
pub const STATE: [&str; 5] = ["read", "replied", "forwarded", "flagged", "deleted"];
const STORED: u8 = 1;
/// The same, and behind it when its parts changed.
const STORED_SINCE: u8 = 2;
const EXT_MAX: usize = 64;

/// The state of a mail.
///
/// # Shape
/// Stored as a version octet and a compact form; golden files keep them readable. 1 is the state alone; 2 says behind it when
/// its parts changed.
/// # Errors
/// [`ObjectErrorKind::Newer`] for a form that a later version wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailFields {
    /// `\Seen`.
    pub read: bool,
    /// `\Answered`.
    pub answered: bool,
    /// `$Forwarded`.
    pub forwarded: bool,
    /// `\Flagged`.
    pub flagged: bool,
    /// `\Deleted`: marked, not yet gone.
    pub deleted: bool,
    /// `\Draft`.
    pub draft: bool,
    /// When the server received it, seconds since 1970.
    pub received: Option<u64>,
    /// Its `Date`, seconds since 1970.
    pub created: Option<u64>,
    /// When it or its state changed last, seconds since 1970.
    pub modified: Option<u64>,
    /// What became of sending it.
    pub send: Option<SendState>,
    /// Extensions of others.
    pub ext: Vec<Ext>,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

/// What became of sending a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendState {
    /// How far it came.
    pub outcome: SendOutcome,
    /// The mail servers' own words, one line for each recipient that was refused.
    pub words: Vec<Box<str>>,
}

/// How far a mail that was to be sent has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendOutcome {
    /// In the durable outbox.
    Queued,
    /// Taken for every recipient.
    Sent,
    /// Taken for some recipients.
    Partly,
    /// Taken for none.
    Failed,
    /// The mail server did not answer after it had all of it: it may have been sent.
    Unknown,
    /// A word that this version does not know.
    Other(Box<str>),
}

impl SendOutcome {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            SendOutcome::Queued => "queued",
            SendOutcome::Sent => "sent",
            SendOutcome::Partly => "partly",
            SendOutcome::Failed => "failed",
            SendOutcome::Unknown => "unknown",
            SendOutcome::Other(word) => word,
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "queued" => SendOutcome::Queued,
            "sent" => SendOutcome::Sent,
            "partly" => SendOutcome::Partly,
            "failed" => SendOutcome::Failed,
            "unknown" => SendOutcome::Unknown,
            other => SendOutcome::Other(other.into()),
        }
    }
}

impl SendState {
    /// A state without words.
    pub fn new(outcome: SendOutcome) -> Self {
        SendState { outcome, words: Vec::new() }
    }

    fn to_ext(&self) -> Ext {
        let words = self.words.iter().cloned();
        Ext {
            xnam: EXT_SEND.into(),
            xval: core::iter::once(self.outcome.as_str().into()).chain(words).collect(),
        }
    }

    fn from_ext(ext: &Ext) -> Option<Self> {
        let (outcome, words) = ext.xval.split_first()?;
        Some(SendState { outcome: SendOutcome::parse(outcome), words: words.to_vec() })
    }
}

impl MailFields {
    /// Takes over what an object says; what it does not name stays. Only a client believes `x-mailsync-send`.
    // mission: M5b
    pub fn merge(&mut self, email: &Email, server: bool) {
        let take = |to: &mut bool, from: Option<bool>| *to = from.unwrap_or(*to);
        take(&mut self.read, email.read);
        take(&mut self.answered, email.replied);
        take(&mut self.forwarded, email.forwarded);
        take(&mut self.flagged, email.flagged);
        take(&mut self.deleted, email.deleted);
        self.received = email.received.or(self.received);
        self.created = email.created.or(self.created);
        self.modified = email.modified.or(self.modified);
        // What is said of one copy is not of the mail.
        if !server && email.item.is_some() {
            self.ext.retain(|known| !Left::is_ext(&known.xnam));
        }
        for ext in &email.ext {
            if Left::is_ext(&ext.xnam) {
                // There is one for each attachment; what a device has not got is no property of the mail.
                if !server && self.ext.len() < 2 * EXT_MAX {
                    self.ext.push(ext.clone());
                }
                continue;
            }
            if ext.xnam.eq_ignore_ascii_case(EXT_SEND) {
                if !server {
                    self.send = SendState::from_ext(ext);
                }
                continue;
            }
            // What a mail asks for is done when it comes; what it is about is the server's to say.
            if server && forward::is_ext(&ext.xnam) {
                continue;
            }
            self.ext.retain(|known| known.xnam != ext.xnam);
            if self.ext.len() < EXT_MAX {
                self.ext.push(ext.clone());
            }
        }
        // They come back whole or not at all: a state-only Replace of a peer that does not know them has none.
        if !email.unknown.is_empty() {
            self.unknown.clone_from(&email.unknown);
        }
    }

    /// Two sides changed the state of one mail: what either side set stays set.
    pub fn union(&mut self, other: &MailFields) {
        self.read |= other.read;
        self.answered |= other.answered;
        self.forwarded |= other.forwarded;
        self.flagged |= other.flagged;
        self.deleted |= other.deleted;
        self.modified = self.modified.max(other.modified);
    }

    /// The object, without the message.
    pub fn to_email(&self) -> Email {
        Email {
            read: Some(self.read),
            forwarded: Some(self.forwarded),
            replied: Some(self.answered),
            received: self.received,
            created: self.created,
            modified: self.modified,
            deleted: Some(self.deleted),
            flagged: Some(self.flagged),
            item: None,
            ext: self.send.iter().map(SendState::to_ext).chain(self.ext.iter().cloned()).collect(),
            unknown: self.unknown.clone(),
        }
    }

    /// What users see of the state, in a fixed order.
    pub(super) fn marks(&self) -> [bool; 5] {
        [self.read, self.answered, self.forwarded, self.flagged, self.deleted]
    }

    pub(super) fn set_marks(&mut self, marks: [bool; 5]) {
        [self.read, self.answered, self.forwarded, self.flagged, self.deleted] = marks;
    }

    /// The stored form of a state of which nobody knows when it changed.
    pub fn to_fields(&self) -> Bytes {
        let mut out = vec![STORED];
        out.extend(postcard::to_stdvec(&self.stored()).unwrap_or_default());
        out.into()
    }

    /// The stored form with when its parts changed.
    pub(super) fn to_fields_since(&self, since: &Since) -> Bytes {
        let mut out = vec![STORED_SINCE];
        out.extend(postcard::to_stdvec(&(self.stored(), since)).unwrap_or_default());
        out.into()
    }

    /// When the parts of a stored state changed, if that is known.
    pub(super) fn since(fields: &[u8]) -> Option<Since> {
        let rest = fields.strip_prefix(&[STORED_SINCE])?;
        let (_, since): (Stored, Since) = postcard::from_bytes(rest).ok()?;
        Some(since)
    }

    fn stored(&self) -> Stored {
        Stored {
            bits: self.bits(),
            received: self.received,
            created: self.created,
            modified: self.modified,
            send: self.send.clone(),
            ext: self.ext.clone(),
            unknown: self.unknown.clone(),
        }
    }

    /// Reads the stored form; no octets are a mail without any state.
    pub fn from_fields(fields: &[u8]) -> Result<Self, ObjectError> {
        let stored: Stored = match fields.split_first() {
            None => return Ok(MailFields::default()),
            // The form without the revisions is the beginning of the one with them.
            Some((&(STORED | STORED_SINCE), rest)) => postcard::from_bytes(rest)
                .map_err(|e| ObjectError::stored(ObjectErrorKind::Malformed(e.to_string().into())))?,
            Some((&found, _)) => {
                return Err(ObjectError::stored(ObjectErrorKind::Newer { found, known: STORED_SINCE }));
            }
        };
        let bit = |n: u16| stored.bits & n != 0;
        Ok(MailFields {
            read: bit(1),
            answered: bit(2),
            forwarded: bit(4),
            flagged: bit(8),
            deleted: bit(16),
            draft: bit(32),
            received: stored.received,
            created: stored.created,
            modified: stored.modified,
            send: stored.send,
            ext: stored.ext,
            unknown: stored.unknown,
        })
    }

    fn bits(&self) -> u16 {
        u16::from(self.read)
            | u16::from(self.answered) << 1
            | u16::from(self.forwarded) << 2
            | u16::from(self.flagged) << 3
            | u16::from(self.deleted) << 4
            | u16::from(self.draft) << 5
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    bits: u16,
    received: Option<u64>,
    created: Option<u64>,
    modified: Option<u64>,
    send: Option<SendState>,
    ext: Vec<Ext>,
    unknown: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> MailFields {
        MailFields {
            read: true,
            flagged: true,
            draft: true,
            received: Some(1_186_444_800),
            send: Some(SendState {
                outcome: SendOutcome::Failed,
                words: vec!["550 5.1.1 no such user".into()],
            }),
            ext: vec![Ext { xnam: "x-a".into(), xval: vec!["1".into()] }],
            unknown: vec!["<later/>".into()],
            ..MailFields::default()
        }
    }

    #[test]
    fn stored_form_comes_back() {
        assert_eq!(MailFields::from_fields(&fields().to_fields()).unwrap(), fields());
        assert_eq!(MailFields::from_fields(&[]).unwrap(), MailFields::default());
        let newer = MailFields::from_fields(&[3, 0]).unwrap_err();
        assert_eq!(newer.kind, ObjectErrorKind::Newer { found: 3, known: 2 });
        assert!(MailFields::from_fields(&[1, 0xFF]).is_err());
    }

    // mission: M5b
    #[test]
    fn only_what_is_named_changes() {
        let mut state = fields();
        let email = Email::parse(&"<Email><read>false</read><replied>true</replied></Email>".into()).unwrap();
        state.merge(&email, true);
        assert!(!state.read && state.answered && state.flagged && state.draft);
        assert_eq!(state.ext.len(), 1);
        assert_eq!(state.unknown.len(), 1);
    }

    // mission: M1
    #[test]
    fn only_a_client_believes_an_outcome() {
        let email = fields().to_email();
        let mut state = MailFields::default();
        state.merge(&email, true);
        assert_eq!(state.send, None);
        state.merge(&email, false);
        assert_eq!(state.send, fields().send);
    }

    #[test]
    fn unknown_outcome_survives() {
        let word = SendState { outcome: SendOutcome::Other("held".into()), words: vec![] };
        assert_eq!(SendState::from_ext(&word.to_ext()), Some(word));
    }
}
