//! What a terminal can show, and what a mail or a policy asks for.

use crate::error::Implausible;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a terminal can show: from its DevInf, or said by itself.
///
/// Every field may be absent: then it is unknown, which is neither yes nor no.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Attributes {
    /// Colour screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<bool>,
    /// Shows HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<bool>,
    /// Media types that it shows, `image/*` and `*/*` among them. An empty list: shows none but text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Vec<MediaRange>>,
    /// Width of the screen in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_width_px: Option<u32>,
    /// Largest mail that it takes, in octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mail_bytes: Option<u64>,
}

impl Attributes {
    /// Attributes that say nothing.
    #[must_use]
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Whether a part of type `want` can be shown.
    #[must_use]
    pub fn shows(&self, want: &MediaType) -> Capability {
        let Some(ranges) = &self.media else { return Capability::Unknown };
        if ranges.iter().any(|r| r.covers(want)) {
            return Capability::Yes;
        }
        // A mail that says only `image/*` may hold any of them.
        if want.is_wildcard() && ranges.iter().any(|r| r.0.top() == want.top()) {
            return Capability::Unknown;
        }
        Capability::No
    }

    /// Whether `want` is met.
    #[must_use]
    pub fn meets(&self, want: &Requirement) -> Capability {
        let of = |known: Option<bool>| match known {
            Some(true) => Capability::Yes,
            Some(false) => Capability::No,
            None => Capability::Unknown,
        };
        match want {
            Requirement::Colour => of(self.colour),
            Requirement::Html => of(self.html),
            Requirement::Media(t) => self.shows(t),
            Requirement::ScreenWidth(px) => of(self.screen_width_px.map(|have| have >= *px)),
        }
    }
}

/// Yes, no, or nobody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Known not to be able.
    No,
    /// Not known.
    Unknown,
    /// Known to be able.
    Yes,
}

/// What a policy asks of a terminal beyond what the mail itself needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Requirement {
    /// A colour screen.
    Colour,
    /// Shows HTML.
    Html,
    /// Shows this type.
    Media(MediaType),
    /// A screen at least so many pixels wide.
    ScreenWidth(u32),
}

/// A media type, `type/subtype`, lower case, without parameters; the subtype may be `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType {
    text: Box<str>,
    slash: u8,
}

impl MediaType {
    /// Reads a type in any case, with or without parameters (`IMAGE/JPEG; name=x`).
    ///
    /// # Errors
    /// [`Implausible`] if it is no `type/subtype` of token characters, at most 127 octets.
    // spec: RFC 6838 §4.2
    pub fn new(text: &str) -> Result<MediaType, Implausible> {
        let bare = text.split(';').next().unwrap_or("").trim();
        let token = |s: &str| {
            !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
        };
        match bare.split_once('/') {
            Some((top, sub)) if token(top) && token(sub) && bare.len() <= 127 => Ok(MediaType {
                text: bare.to_ascii_lowercase().into(),
                slash: u8::try_from(top.len()).unwrap_or(0),
            }),
            _ => Err(Implausible::new("media type", text, "type/subtype, at most 127 octets")),
        }
    }

    /// The whole type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the slash.
    #[must_use]
    pub fn top(&self) -> &str {
        self.text.get(..usize::from(self.slash)).unwrap_or("")
    }

    /// The part after the slash.
    #[must_use]
    pub fn sub(&self) -> &str {
        self.text.get(usize::from(self.slash) + 1..).unwrap_or("")
    }

    /// Whether it names no certain subtype.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.sub() == "*"
    }
}

impl TryFrom<String> for MediaType {
    type Error = Implausible;
    fn try_from(s: String) -> Result<MediaType, Implausible> {
        MediaType::new(&s)
    }
}

impl From<MediaType> for String {
    fn from(m: MediaType) -> String {
        m.text.into()
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A media type, all of a top-level type (`image/*`) or everything (`*/*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaRange(MediaType);

impl MediaRange {
    /// # Errors
    /// As [`MediaType::new`].
    pub fn new(text: &str) -> Result<MediaRange, Implausible> {
        MediaType::new(text).map(MediaRange)
    }

    /// Whether every part that says it is `t` is in the range.
    #[must_use]
    pub fn covers(&self, t: &MediaType) -> bool {
        self.0 == *t || (self.0.is_wildcard() && (self.0.top() == t.top() || self.0.top() == "*"))
    }

    /// The range as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(media: &[&str]) -> Attributes {
        Attributes {
            media: Some(media.iter().map(|m| MediaRange::new(m).unwrap()).collect()),
            ..Attributes::new()
        }
    }

    // mission: P1
    #[test]
    fn media_ranges_cover_what_they_say() {
        for (media, want, answer) in [
            (&["image/jpeg"][..], "IMAGE/JPEG; name=\"a.jpg\"", Capability::Yes),
            (&["image/*"], "image/avif", Capability::Yes),
            (&["*/*"], "x-strange/thing", Capability::Yes),
            (&["image/gif"], "image/jpeg", Capability::No),
            (&["image/gif"], "image/*", Capability::Unknown),
            (&["image/*"], "image/*", Capability::Yes),
            (&["video/mp4"], "image/*", Capability::No),
            (&[], "image/png", Capability::No),
        ] {
            assert_eq!(terminal(media).shows(&MediaType::new(want).unwrap()), answer, "{media:?} {want}");
        }
        assert_eq!(Attributes::new().shows(&MediaType::new("image/png").unwrap()), Capability::Unknown);
    }

    #[test]
    fn bad_input_media_types() {
        for bad in ["", "image", "image/", "/png", "a/b/c", "image/p ng", "image/\u{e9}"] {
            assert!(MediaType::new(bad).is_err(), "{bad:?}");
        }
        assert!(MediaType::new(&format!("image/{}", "x".repeat(200))).is_err());
    }
}
