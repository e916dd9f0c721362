//! The folder object.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::{ext, keep, write_ext};
use super::error::{ObjectError, ObjectErrorKind};
use super::xml::{self, Pull};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncml::Ext;

/// `application/vnd.omads-folder+xml`, version 1.2.
pub const MEDIA_TYPE: &str = "application/vnd.omads-folder+xml";
/// `VerCT`.
pub const VERSION: &str = "1.2";
const STORED: u8 = 1;

/// A folder.
///
/// # Shape
/// `name, created?, modified?, accessed?, attributes?, role?, Ext*`. Dates and attributes survive as they were
/// written; we never write any of our own.
/// # Errors
/// As [`Email`](super::Email).
/// # Spec
/// OMA DS 1.2 folder data object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Folder {
    /// Its name for people.
    pub name: Box<str>,
    /// `inbox`, `outbox`, `sent`, `drafts`, `deleted`, or what a peer calls it.
    pub role: Option<Box<str>>,
    /// Extensions.
    pub ext: Vec<Ext>,
    /// Other elements as they were written.
    pub unknown: Vec<Box<str>>,
}

impl Folder {
    /// A folder with a name and perhaps a role.
    pub fn new(name: &str, role: Option<&str>) -> Self {
        Folder { name: name.into(), role: role.map(Into::into), ..Folder::default() }
    }

    /// Reads the object.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Folder")?;
        let mut folder = Folder::default();
        let mut named = false;
        let mut kept = 0usize;
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "name" if named => return Err(pull.malformed("name twice")),
                "name" => {
                    folder.name = pull.word()?;
                    named = true;
                }
                "role" if folder.role.is_some() => return Err(pull.malformed("role twice")),
                "role" => folder.role = Some(pull.word()?),
                "Ext" => folder.ext.push(ext(&mut pull, &mut kept)?),
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    folder.unknown.push(raw);
                }
            }
            let small = folder.name.len().max(folder.role.as_ref().map_or(0, |r| r.len()));
            if small > 255 {
                return Err(pull.error(ObjectErrorKind::Limit {
                    what: "octets of a folder's name",
                    value: small,
                    limit: 255,
                }));
            }
        }
        pull.finish()?;
        Ok(folder)
    }

    /// Writes the object. What was unknown goes between name and role, where dates and attributes belong.
    pub fn to_xml(&self) -> Bytes {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"<Folder>");
        xml::element(&mut out, "name", &self.name);
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        if let Some(role) = &self.role {
            xml::element(&mut out, "role", role);
        }
        for ext in &self.ext {
            write_ext(&mut out, ext);
        }
        out.extend_from_slice(b"</Folder>");
        out.into()
    }

    /// The stored form: a version octet, then the fields.
    pub fn to_fields(&self) -> Bytes {
        let mut out = vec![STORED];
        out.extend(postcard::to_stdvec(self).unwrap_or_default());
        out.into()
    }

    /// Reads the stored form.
    pub fn from_fields(fields: &[u8]) -> Result<Self, ObjectError> {
        match fields.split_first() {
            Some((&STORED, rest)) => postcard::from_bytes(rest)
                .map_err(|e| ObjectError::stored(ObjectErrorKind::Malformed(e.to_string().into()))),
            Some((&found, _)) => Err(ObjectError::stored(ObjectErrorKind::Newer { found, known: STORED })),
            None => Err(ObjectError::stored(ObjectErrorKind::Malformed("no octets".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_others_write() {
        // Element order and the `e` attribute as two other implementations write them: e-mail facts §3.
        for text in [
            "<Folder><name>Inbox</name><created>20070807T000000Z</created><attributes><e>true</e></attributes><role>inbox</role></Folder>",
            "<Folder><name>Inbox</name><role>inbox</role><created>20070807T000000Z</created><attributes><e>true</e></attributes></Folder>",
        ] {
            let folder = Folder::parse(&Bytes::from_static(text.as_bytes())).unwrap();
            assert_eq!(&*folder.name, "Inbox");
            assert_eq!(folder.role.as_deref(), Some("inbox"));
            assert_eq!(&*folder.unknown[1], "<attributes><e>true</e></attributes>");
            assert_eq!(Folder::parse(&folder.to_xml()).unwrap(), folder);
            assert_eq!(Folder::from_fields(&folder.to_fields()).unwrap(), folder);
        }
    }

    #[test]
    fn refuses_newer_and_broken() {
        assert!(matches!(
            Folder::from_fields(&[9]).unwrap_err().kind,
            ObjectErrorKind::Newer { found: 9, known: 1 }
        ));
        assert!(Folder::from_fields(&[]).is_err());
        assert!(Folder::from_fields(&[1, 200]).is_err());
        let long = Bytes::from(format!("<Folder><name>{}</name></Folder>", "x".repeat(300)));
        assert_eq!(Folder::parse(&long).unwrap_err().status(), syncml::StatusCode::TOO_LARGE);
    }
}
