//! What a decision needs to know of a mail.

use crate::attributes::{Attributes, Capability, MediaType};
use serde::{Deserialize, Serialize};

/// Octets of a header field that patterns look at; the rest is not matched.
pub const MATCHED_BYTES: usize = 1024;
/// Picture types of a mail that are looked at one by one; with more, a terminal must show `image/*`.
pub const PICTURE_TYPES: usize = 16;

/// The facts of a mail: no text of it, no attachment.
///
/// Patterns match without regard to case, so the fields are folded once, here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct MailFacts {
    form: Form,
    folder: Box<str>,
    from: Box<str>,
    subject: Box<str>,
    pictures: Vec<MediaType>,
    media: Vec<MediaType>,
    has_html: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    folder: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    parts: Vec<String>,
    #[serde(default)]
    importance: Importance,
}

/// How urgent the sender says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Low.
    Low,
    /// Normal, or not said.
    #[default]
    Normal,
    /// High.
    High,
}

impl MailFacts {
    /// `size` in octets; `parts` are the Content-Types of the leaves, as the mail writes them. Types that cannot be
    /// read ask nothing of a terminal.
    pub fn new<P: Into<String>>(
        folder: impl Into<String>,
        from: impl Into<String>,
        subject: impl Into<String>,
        size: u64,
        parts: impl IntoIterator<Item = P>,
    ) -> MailFacts {
        let form = Form {
            folder: folder.into(),
            from: from.into(),
            subject: subject.into(),
            size,
            parts: parts.into_iter().map(Into::into).collect(),
            importance: Importance::Normal,
        };
        form.into()
    }

    /// The same mail with another importance.
    #[must_use]
    pub fn with_importance(mut self, importance: Importance) -> MailFacts {
        self.form.importance = importance;
        self
    }

    /// Octets.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.form.size
    }

    /// What the sender says.
    #[must_use]
    pub const fn importance(&self) -> Importance {
        self.form.importance
    }

    /// Folder, lower case, at most [`MATCHED_BYTES`].
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Sender, lower case, at most [`MATCHED_BYTES`].
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Subject, lower case, at most [`MATCHED_BYTES`].
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Distinct picture types, sorted; `image/*` alone if there are more than [`PICTURE_TYPES`].
    #[must_use]
    pub fn pictures(&self) -> &[MediaType] {
        &self.pictures
    }

    /// Distinct types, sorted.
    #[must_use]
    pub fn media(&self) -> &[MediaType] {
        &self.media
    }

    /// Whether a part is HTML.
    #[must_use]
    pub const fn has_html(&self) -> bool {
        self.has_html
    }

    /// Whether a terminal can show every picture of the mail.
    pub(crate) fn shown_by(&self, attributes: Option<&Attributes>) -> Capability {
        self.pictures
            .iter()
            .map(|p| attributes.map_or(Capability::Unknown, |a| a.shows(p)))
            .min()
            .unwrap_or(Capability::Yes)
    }
}

impl From<Form> for MailFacts {
    fn from(form: Form) -> MailFacts {
        let mut media: Vec<MediaType> = form.parts.iter().filter_map(|p| MediaType::new(p).ok()).collect();
        media.sort();
        media.dedup();
        let mut pictures: Vec<MediaType> = media.iter().filter(|m| m.top() == "image").cloned().collect();
        if pictures.len() > PICTURE_TYPES {
            pictures = MediaType::new("image/*").into_iter().collect();
        }
        MailFacts {
            folder: folded(&form.folder),
            from: folded(&form.from),
            subject: folded(&form.subject),
            has_html: media.iter().any(|m| m.as_str() == "text/html"),
            pictures,
            media,
            form,
        }
    }
}

impl From<MailFacts> for Form {
    fn from(m: MailFacts) -> Form {
        m.form
    }
}

/// Lower case, cut at [`MATCHED_BYTES`].
fn folded(text: &str) -> Box<str> {
    let mut out = String::with_capacity(text.len().min(MATCHED_BYTES));
    for c in text.chars().flat_map(char::to_lowercase) {
        if out.len() + c.len_utf8() > MATCHED_BYTES {
            break;
        }
        out.push(c);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_0_and_10_000_parts() {
        let none = MailFacts::new("", "", "", u64::MAX, Vec::<String>::new());
        assert_eq!(none.shown_by(None), Capability::Yes);
        assert_eq!(none.size(), u64::MAX);
        let many = MailFacts::new("", "", "", 1, (0..10_000).map(|i| format!("image/x-{i}")));
        assert_eq!(many.pictures(), [MediaType::new("image/*").unwrap()]);
        let same = MailFacts::new("", "", "", 1, (0..10_000).map(|_| "IMAGE/JPEG"));
        assert_eq!(same.pictures(), [MediaType::new("image/jpeg").unwrap()]);
    }

    #[test]
    fn bad_input_unknown_types_ask_nothing() {
        let mail = MailFacts::new("", "", "", 1, ["image", "/", "application/x-unknown", ""]);
        assert!(mail.pictures().is_empty());
        assert_eq!(mail.media().len(), 1);
    }

    #[test]
    fn fields_are_folded_and_cut_at_a_character() {
        let mail = MailFacts::new("INBOX", "Bob@Example.ORG", "Ä".repeat(2_000), 1, ["text/plain"]);
        assert_eq!((mail.folder(), mail.from()), ("inbox", "bob@example.org"));
        assert_eq!(mail.subject(), "ä".repeat(512));
    }

    #[test]
    fn json_keeps_the_facts_as_they_came() {
        let json = r#"{"from":"Bob@Example.org","size":5,"parts":["IMAGE/Jpeg"],"importance":"high"}"#;
        let mail: MailFacts = serde_json::from_str(json).unwrap();
        let again: MailFacts = serde_json::from_str(&serde_json::to_string(&mail).unwrap()).unwrap();
        assert_eq!(again, mail);
        assert_eq!(mail.importance(), Importance::High);
    }
}
