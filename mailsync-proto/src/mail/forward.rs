//! Forward and reply by number: what an item in the outbox says of the mail it is about, and why it is refused.
//!
//! A device names the mail by its own number (LUID) and says what of it goes along. The server, which has the mail,
//! splices it in ([`splice`](super::splice::splice)) before the item is stored, so what is queued and kept in Sent is whole, and what the
//! original becomes later (deleted, moved) changes nothing.
//!
//! ```
//! use mailsync_proto::mail::forward::{Kind, Request};
//! let mut request = Request::new(Kind::Forward, "17");
//! request.whole = true;
//! let ext = request.to_ext();
//! assert_eq!((&*ext.xnam, &*ext.xval[0], &*ext.xval[1]), ("x-mailsync-forward", "17", "whole"));
//! assert_eq!(Request::of(&[ext]).unwrap(), Some(request));
//! ```
// mission: M6
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::Headers;
use bytes::Bytes;
use idmap::Guid;
use serde::{Deserialize, Serialize};
use syncml::{Ext, StatusCode};

/// `XNam` of the extension of a mail that forwards another one.
pub const EXT_FORWARD: &str = "x-mailsync-forward";
/// `XNam` of the extension of a mail that answers another one.
pub const EXT_REPLY: &str = "x-mailsync-reply";
/// `XNam` under which a server keeps which mail it is about, by its own id.
pub const EXT_ABOUT: &str = "x-mailsync-about";
/// The fields by which a bare message (`message/rfc822`) says the same.
const FIELD_FORWARD: &str = "X-Sync-Forward";
const FIELD_REPLY: &str = "X-Sync-Reply";
/// Parts of one mail that go along, at most.
// spec: threats, M4
pub const PARTS: usize = 100;
/// Octets of a mail with what was spliced in, at most.
// spec: threats, default limits: mail bytes
pub const OCTETS: u64 = 32 << 20;
const NUMBER: usize = 255;

/// What the new mail does with the one it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// It forwards it: that one becomes `$Forwarded`.
    Forward,
    /// It answers it: that one becomes `\Answered`.
    Reply,
}

/// How a mail is forwarded or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The device has the mail and sends all of it; the number goes along, so that the original is marked.
    Upload,
    /// By number: the server puts in the original.
    ByNumber,
    /// By number, and only chosen parts of it.
    Parts,
}

impl Way {
    /// The ways that a server says it has, in the extensions of its device information; none where it says nothing of
    /// them because it had no room to.
    pub fn announced(extensions: &[Ext]) -> Option<Vec<Way>> {
        let is = |ext: &&Ext| is_ext(&ext.xnam);
        match extensions.iter().find(is) {
            Some(ext) => Some(ext.xval.iter().filter_map(|word| Way::parse(word)).collect()),
            None if extensions.iter().any(|ext| ext.xnam.starts_with("x-mailsync-")) => None,
            None => Some(Vec::new()),
        }
    }

    /// All of them.
    pub const ALL: [Way; 3] = [Way::Upload, Way::ByNumber, Way::Parts];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Upload => "upload",
            Way::ByNumber => "by-number",
            Way::Parts => "parts",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.as_str().eq_ignore_ascii_case(word.trim()))
    }
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Forward => "forward",
            Kind::Reply => "reply",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Kind> {
        [Kind::Forward, Kind::Reply].into_iter().find(|kind| kind.as_str() == word)
    }

    fn ext(self) -> &'static str {
        match self {
            Kind::Forward => EXT_FORWARD,
            Kind::Reply => EXT_REPLY,
        }
    }

    fn field(self) -> &'static str {
        match self {
            Kind::Forward => FIELD_FORWARD,
            Kind::Reply => FIELD_REPLY,
        }
    }
}

/// What a mail in the outbox says of the one it is about.
///
/// # Shape
/// On the e-mail object `<Ext><XNam>x-mailsync-forward</XNam><XVal>LUID</XVal> ...`, or `x-mailsync-reply`; then what
/// goes along, one value each: `whole`, `text` (quoted below the new text), `part/N`. Nothing after the number: the
/// new mail has all it needs, the original is only marked. A bare message says it in its header: `X-Sync-Forward: LUID whole`.
/// # Errors
/// [`Refusal::Malformed`] and [`Refusal::Limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Forward or reply.
    pub kind: Kind,
    /// The device's number for the mail.
    pub number: Box<str>,
    /// All of it goes along, as an attached message.
    pub whole: bool,
    /// Its text goes along, quoted.
    pub text: bool,
    /// These parts go along, each once, in this order.
    pub parts: Vec<u32>,
}

/// Why a mail is not forwarded or answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request makes no sense.
    #[error("{0}")]
    Malformed(&'static str),
    /// The device has no mail of this number.
    #[error("the device has no mail {0:?}")]
    Unknown(Box<str>),
    /// There was one.
    #[error("the mail {0:?} is gone")]
    Gone(Box<str>),
    /// It is a folder, or what is named is no part of it that can go along.
    #[error("{0}")]
    NotThat(String),
    /// Over a limit.
    #[error("{what} {value}, limit {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much there is.
        value: u64,
        /// How much may be.
        limit: u64,
    },
    /// Enough for one message of a session.
    #[error("enough was forwarded in one message; the rest goes in another one")]
    Later,
}

impl Refusal {
    /// The `Status` for the item, or for the command.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Gone(_) => StatusCode::GONE,
            Refusal::NotThat(_) => StatusCode::NOT_ALLOWED,
            Refusal::Limit { .. } => StatusCode::TOO_LARGE,
            Refusal::Later => StatusCode::RETRY_LATER,
        }
    }
}

impl Request {
    /// A request of which nothing goes along yet.
    pub fn new(kind: Kind, number: &str) -> Self {
        Request { kind, number: number.into(), whole: false, text: false, parts: Vec::new() }
    }

    /// Whether anything of the original goes along.
    pub fn takes_any(&self) -> bool {
        self.whole || self.text || !self.parts.is_empty()
    }

    /// Reads the extensions of an object; none where it is about no other mail.
    pub fn of(ext: &[Ext]) -> Result<Option<Self>, Refusal> {
        let mut found = None;
        for ext in ext {
            let Some(kind) = kind_of(&ext.xnam) else { continue };
            if found.is_some() {
                return Err(Refusal::Malformed("a mail is about one other mail"));
            }
            let words: Vec<&str> = ext.xval.iter().map(|value| value.trim()).collect();
            found = Some(Self::of_words(kind, &words)?);
        }
        Ok(found)
    }

    fn of_words(kind: Kind, words: &[&str]) -> Result<Self, Refusal> {
        let Some((number, takes)) = words.split_first() else {
            return Err(Refusal::Malformed("no number of a mail"));
        };
        let good = |c: char| c.is_ascii_graphic();
        if number.is_empty() || number.len() > NUMBER || !number.chars().all(good) {
            return Err(Refusal::Malformed("no number of a mail"));
        }
        let mut request = Request::new(kind, number);
        for word in takes {
            match *word {
                "whole" => request.whole = true,
                "text" => request.text = true,
                other => {
                    let part = other.strip_prefix("part/").and_then(|part| part.parse().ok());
                    let part = part.ok_or(Refusal::Malformed("what goes along is whole, text or part/N"))?;
                    if request.parts.contains(&part) {
                        return Err(Refusal::Malformed("a part twice"));
                    }
                    if request.parts.len() >= PARTS {
                        let (value, limit) = (takes.len() as u64, PARTS as u64);
                        return Err(Refusal::Limit { what: "parts", value, limit });
                    }
                    request.parts.push(part);
                }
            }
        }
        Ok(request)
    }

    /// As an extension of the object.
    pub fn to_ext(&self) -> Ext {
        Ext { xnam: self.kind.ext().into(), xval: self.words().map(Into::into).collect() }
    }

    fn words(&self) -> impl Iterator<Item = String> + '_ {
        core::iter::once(self.number.to_string())
            .chain(self.whole.then(|| "whole".to_owned()))
            .chain(self.text.then(|| "text".to_owned()))
            .chain(self.parts.iter().map(|part| format!("part/{part}")))
    }

    /// In front of a message: as a mail program writes it that has no extensions.
    pub fn before(&self, message: &[u8]) -> Vec<u8> {
        let words: Vec<String> = self.words().collect();
        let mut out = format!("{}: {}\r\n", self.kind.field(), words.join(" ")).into_bytes();
        out.extend_from_slice(message);
        out
    }

    /// What a message says of it in its own header.
    pub fn of_message(message: &[u8]) -> Result<Option<Self>, Refusal> {
        ext_of(message).map_or(Ok(None), |ext| Self::of(&[ext]))
    }
}

/// The extension that a message says in its own header, not yet checked. Only a field before all others counts: mail that
/// came from somewhere begins with what delivery adds.
pub fn ext_of(message: &[u8]) -> Option<Ext> {
    let ours = |text: &[u8]| text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"X-Sync-"));
    if !ours(message) {
        return None;
    }
    let headers = Headers::parse(message);
    let mut fields = headers.fields.iter().take_while(|field| ours(field.name.as_bytes()));
    fields.find_map(|field| {
        let kinds = [Kind::Forward, Kind::Reply];
        let kind = kinds.into_iter().find(|kind| field.name.eq_ignore_ascii_case(kind.field()))?;
        let words = field.text();
        Some(Ext { xnam: kind.ext().into(), xval: words.split_ascii_whitespace().map(Into::into).collect() })
    })
}

/// A message without the field that [`Request::before`] put there.
pub fn without_field(message: &Bytes) -> Bytes {
    for kind in [Kind::Forward, Kind::Reply] {
        let name = kind.field();
        if message.starts_with(name.as_bytes()) && message.get(name.len()) == Some(&b':') {
            let end = Headers::parse(message).fields.first().map_or(0, |field| field.range.end);
            return message.slice(end..);
        }
    }
    message.clone()
}

/// The mail that another one is about, in the store of who sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Forward or reply.
    pub kind: Kind,
    /// Its id.
    pub guid: Guid,
}

impl About {
    /// As a server keeps it beside the mail.
    pub fn to_ext(&self) -> Ext {
        Ext { xnam: EXT_ABOUT.into(), xval: vec![self.kind.as_str().into(), self.guid.as_str().into()] }
    }

    /// Reads it.
    pub fn of(ext: &[Ext]) -> Option<Self> {
        let ext = ext.iter().find(|ext| ext.xnam.eq_ignore_ascii_case(EXT_ABOUT))?;
        let kind = Kind::parse(ext.xval.first()?)?;
        Some(About { kind, guid: Guid::try_from(&**ext.xval.get(1)?).ok()? })
    }
}

/// Whether an extension is one that only asks, or that only a server may say.
pub fn is_ext(name: &str) -> bool {
    kind_of(name).is_some() || name.eq_ignore_ascii_case(EXT_ABOUT)
}

fn kind_of(name: &str) -> Option<Kind> {
    [Kind::Forward, Kind::Reply].into_iter().find(|kind| name.eq_ignore_ascii_case(kind.ext()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ext(name: &str, values: &[&str]) -> Ext {
        Ext { xnam: name.into(), xval: values.iter().map(|value| (*value).into()).collect() }
    }

    #[test]
    fn both_spellings() {
        for values in [&["7"][..], &["7", "whole"], &["7", "text", "part/2", "part/11"]] {
            for name in [EXT_FORWARD, EXT_REPLY] {
                let request = Request::of(&[ext("x-other", &["1"]), ext(name, values)]).unwrap().unwrap();
                assert_eq!(request.to_ext(), ext(name, values));
                assert_eq!(request.takes_any(), values.len() > 1);
                let message = Bytes::from(request.before(b"Subject: x\r\n\r\nhi\r\n"));
                assert_eq!(Request::of_message(&message).unwrap(), Some(request));
                assert_eq!(without_field(&message), "Subject: x\r\n\r\nhi\r\n");
            }
        }
        assert_eq!(Request::of(&[]).unwrap(), None);
        for not_first in ["Subject: x\r\nX-Sync-Forward: 1\r\n\r\n", "\r\nX-Sync-Forward: 1\r\n"] {
            assert_eq!(Request::of_message(not_first.as_bytes()).unwrap(), None);
        }
        let about = About { kind: Kind::Reply, guid: Guid::unvalidated("m1") };
        assert_eq!(About::of(&[about.to_ext()]), Some(about));
    }

    // threats: M2, M4
    #[test]
    fn threat_m2_bad_requests_have_their_status() {
        let many: Vec<String> =
            core::iter::once("7".into()).chain((0..101).map(|n| format!("part/{n}"))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (values, code) in [
            (&[][..], 400),
            (&[""], 400),
            (&["a b"], 400),
            (&["a\r\nBcc: x@y.example"], 400),
            (&["7", "all"], 400),
            (&["7", "part/x"], 400),
            (&["7", "part/-1"], 400),
            (&["7", "part/1", "part/1"], 400),
            (&many[..], 413),
        ] {
            let refusal = Request::of(&[ext(EXT_FORWARD, values)]).unwrap_err();
            assert_eq!(refusal.status().0, code, "{values:?}: {refusal}");
        }
        let both = [ext(EXT_FORWARD, &["1"]), ext(EXT_REPLY, &["1"])];
        assert_eq!(Request::of(&both).unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
