//! The e-mail object: a mail and its state, or its state alone.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::{ObjectError, ObjectErrorKind};
use super::xml::{self, Child, Pull};
use super::{time, transfer};
use bytes::Bytes;
use syncml::Ext;

/// `application/vnd.omads-email+xml`, version 1.2.
pub const MEDIA_TYPE: &str = "application/vnd.omads-email+xml";
/// `VerCT`.
pub const VERSION: &str = "1.2";
/// Octets of unknown elements and extensions of one object, at most.
pub const SURVIVOR_BYTES: usize = 16 * 1024;

/// A mail with its state.
///
/// # Shape
/// `read?, forwarded?, replied?, received?, created?, modified?, deleted?, flagged?, emailitem?, Ext*`.
/// A Replace without `emailitem` changes the state alone, and only what it names.
/// # Errors
/// [`ObjectErrorKind::Malformed`] for what is not XML or has an element twice, `Unsupported` for an unknown
/// `enc`, `Limit` over [`SURVIVOR_BYTES`].
/// # Spec
/// OMA DS 1.2 e-mail data object.
///
/// ```
/// use mailsync_proto::mail::Email;
/// let flags = Email::parse(&"<Email><read>true</read></Email>".into()).unwrap();
/// assert_eq!(flags.read, Some(true));
/// assert_eq!(flags.item, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Email {
    /// Read.
    pub read: Option<bool>,
    /// Forwarded.
    pub forwarded: Option<bool>,
    /// Answered.
    pub replied: Option<bool>,
    /// When the server received it, seconds since 1970.
    pub received: Option<u64>,
    /// Its `Date`, seconds since 1970.
    pub created: Option<u64>,
    /// When it or its state changed last, seconds since 1970.
    pub modified: Option<u64>,
    /// Marked for deletion.
    pub deleted: Option<bool>,
    /// Flagged.
    pub flagged: Option<bool>,
    /// The message, octet for octet.
    pub item: Option<Bytes>,
    /// Extensions.
    pub ext: Vec<Ext>,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

impl Email {
    /// Reads the object.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mended = mend_cdata_end(data);
        let data = mended.as_ref().unwrap_or(data);
        let mut pull = Pull::open(data, "Email")?;
        let mut email = Email::default();
        let mut kept = 0usize;
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "read" => flag(&mut pull, &mut email.read)?,
                "forwarded" => flag(&mut pull, &mut email.forwarded)?,
                "replied" => flag(&mut pull, &mut email.replied)?,
                "deleted" => flag(&mut pull, &mut email.deleted)?,
                "flagged" => flag(&mut pull, &mut email.flagged)?,
                "received" => moment(&mut pull, &mut email.received)?,
                "created" => moment(&mut pull, &mut email.created)?,
                "modified" => moment(&mut pull, &mut email.modified)?,
                "emailitem" => {
                    if email.item.is_some() {
                        return Err(pull.malformed("emailitem twice"));
                    }
                    email.item = Some(item(&mut pull, &child)?);
                }
                "Ext" => email.ext.push(ext(&mut pull, &mut kept)?),
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    email.unknown.push(raw);
                }
            }
        }
        pull.finish()?;
        Ok(email)
    }

    /// Writes the object. The message is base64 where XML could not carry every octet of it.
    pub fn to_xml(&self) -> Bytes {
        let item_len = self.item.as_ref().map_or(0, Bytes::len);
        let mut out = Vec::with_capacity(item_len.saturating_add(item_len / 8).saturating_add(512));
        out.extend_from_slice(b"<Email>");
        let flag = |out: &mut Vec<u8>, name: &str, value: Option<bool>| {
            if let Some(value) = value {
                xml::element(out, name, if value { "true" } else { "false" });
            }
        };
        let moment = |out: &mut Vec<u8>, name: &str, value: Option<u64>| {
            if let Some(value) = value {
                xml::element(out, name, &time::to_basic(value));
            }
        };
        flag(&mut out, "read", self.read);
        flag(&mut out, "forwarded", self.forwarded);
        flag(&mut out, "replied", self.replied);
        moment(&mut out, "received", self.received);
        moment(&mut out, "created", self.created);
        moment(&mut out, "modified", self.modified);
        flag(&mut out, "deleted", self.deleted);
        flag(&mut out, "flagged", self.flagged);
        if let Some(item) = &self.item {
            if carriable(item) {
                out.extend_from_slice(b"<emailitem>");
                xml::escape(&mut out, item);
            } else {
                out.extend_from_slice(b"<emailitem enc=\"base64\">");
                out.extend_from_slice(transfer::to_base64(item).as_bytes());
            }
            out.extend_from_slice(b"</emailitem>");
        }
        for ext in &self.ext {
            write_ext(&mut out, ext);
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        out.extend_from_slice(b"</Email>");
        out.into()
    }
}

/// Appends `<Ext>`.
pub(crate) fn write_ext(out: &mut Vec<u8>, ext: &Ext) {
    out.extend_from_slice(b"<Ext>");
    xml::element(out, "XNam", &ext.xnam);
    for value in &ext.xval {
        xml::element(out, "XVal", value);
    }
    out.extend_from_slice(b"</Ext>");
}

/// Reads the content of `Ext`: `XNam, XVal*`.
pub(crate) fn ext(pull: &mut Pull<'_>, kept: &mut usize) -> Result<Ext, ObjectError> {
    let mut ext = Ext::default();
    while let Some(child) = pull.child()? {
        match child.name.as_str() {
            "XNam" => ext.xnam = pull.word()?,
            "XVal" => ext.xval.push(pull.word()?),
            _ => {
                pull.survivor(&child)?;
            }
        }
        let last = ext.xval.last().map_or(0, |v| v.len());
        keep(pull, kept, last.saturating_add(ext.xnam.len()).saturating_add(8))?;
    }
    Ok(ext)
}

/// Counts octets that only survive.
pub(crate) fn keep(pull: &Pull<'_>, kept: &mut usize, more: usize) -> Result<(), ObjectError> {
    *kept = kept.saturating_add(more);
    if *kept > SURVIVOR_BYTES {
        return Err(pull.error(ObjectErrorKind::Limit {
            what: "octets of unknown elements",
            value: *kept,
            limit: SURVIVOR_BYTES,
        }));
    }
    Ok(())
}

fn flag(pull: &mut Pull<'_>, slot: &mut Option<bool>) -> Result<(), ObjectError> {
    if slot.is_some() {
        return Err(pull.malformed("an element twice"));
    }
    // Anything but true reads as false.
    *slot = Some(pull.word()?.eq_ignore_ascii_case("true"));
    Ok(())
}

fn moment(pull: &mut Pull<'_>, slot: &mut Option<u64>) -> Result<(), ObjectError> {
    if slot.is_some() {
        return Err(pull.malformed("an element twice"));
    }
    // A date that cannot be read says nothing.
    *slot = time::from_basic(&pull.word()?);
    Ok(())
}

fn item(pull: &mut Pull<'_>, child: &Child) -> Result<Bytes, ObjectError> {
    let enc = child.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case("enc")).map(|(_, v)| v);
    let text = pull.text()?;
    match enc.map(|v| String::from_utf8_lossy(v).trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "7bit" | "8bit" | "binary") => Ok(text),
        Some("base64" | "b64") => match transfer::from_base64(&text) {
            Some(data) => Ok(data.into()),
            None => Err(pull.malformed("emailitem is not base64")),
        },
        Some("quoted-printable") => Ok(transfer::from_quoted_printable(&text).into()),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            Err(pull.error(ObjectErrorKind::Unsupported(format!("enc {other:?}").into())))
        }
    }
}

/// Whether XML carries every octet of a message to any reader: UTF-8, CRLF line ends only, no other controls.
fn carriable(message: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(message) else {
        return false;
    };
    let mut after_cr = false;
    for c in text.chars() {
        if (c == '\n') != after_cr || !xml::is_xml_char(c) {
            return false;
        }
        after_cr = c == '\r';
    }
    !after_cr
}

/// Mends the end of a nested CDATA section.
///
/// quirk: Funambol, e-mail facts §2: where the object is itself inside a CDATA section, the end of the inner one
/// is written `]]&gt;`. Only a document without any proper end is touched, so no well-formed one is.
fn mend_cdata_end(data: &Bytes) -> Option<Bytes> {
    const OPEN: &[u8] = b"<![CDATA[";
    const QUIRK: &[u8] = b"]]&gt;";
    let open = find(data, OPEN)?;
    let rest = data.get(open..)?;
    if find(rest, b"]]>").is_some() {
        return None;
    }
    let mut from = data.len();
    while let Some(at) = data.get(..from).and_then(|head| rfind(head, QUIRK)) {
        if at < open {
            return None;
        }
        let after = data.get(at.saturating_add(QUIRK.len())..)?;
        let blanks = after.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let closes = after
            .get(blanks..)
            .and_then(|after| after.get(..11))
            .is_some_and(|tag| tag.eq_ignore_ascii_case(b"</emailitem"));
        if closes {
            let mut mended = Vec::with_capacity(data.len());
            mended.extend_from_slice(data.get(..at)?);
            mended.extend_from_slice(b"]]>");
            mended.extend_from_slice(after);
            return Some(mended.into());
        }
        from = at;
    }
    None
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|w| w == what)
}

fn rfind(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).rposition(|w| w == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Email, ObjectError> {
        Email::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn every_element_in_order() {
        let text = "<Email><read>true</read><forwarded>false</forwarded><replied>true</replied>\
            <received>20070807T000000Z</received><created>20070806T000000Z</created>\
            <modified>20070808T000000Z</modified><deleted>false</deleted><flagged>true</flagged>\
            <emailitem>Subject: a&lt;b\r\n\r\n&amp;</emailitem>\
            <Ext><XNam>x-a</XNam><XVal>1</XVal><XVal>2 &gt; 1</XVal></Ext><later a=\"1\"><b/></later></Email>";
        let email = parse(text).unwrap();
        assert_eq!(email.item.as_deref(), Some(&b"Subject: a<b\r\n\r\n&"[..]));
        assert_eq!(&*email.ext[0].xval[1], "2 > 1");
        assert_eq!(&*email.unknown[0], "<later a=\"1\"><b/></later>");
        assert_eq!(email.to_xml(), text.as_bytes());
    }

    #[test]
    fn encodings_without_case() {
        for text in [
            "<Email><emailitem enc=\"base64\">aGVs\nbG8=</emailitem></Email>",
            "<Email><emailitem ENC='Base64'>aGVsbG8=</emailitem></Email>",
            "<Email><emailitem Enc=\"QUOTED-PRINTABLE\">he=6Clo</emailitem></Email>",
            "<Email><emailitem><![CDATA[he]]><![CDATA[l]]>lo</emailitem></Email>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<Email xmlns='x'>\n<emailitem>h&#101;llo</emailitem>\n</Email>\n",
        ] {
            assert_eq!(parse(text).unwrap().item.as_deref(), Some(&b"hello"[..]), "{text}");
        }
    }

    #[test]
    fn quirk_inner_cdata_end() {
        let mail = "Subject: x\r\n\r\nif (a[b[0]]&gt;1) <b>]]&gt; </b>\r\n";
        let quirky =
            format!("<Email><emailitem><![CDATA[{mail}]]&gt;\r\n</emailitem><read>true</read></Email>");
        let email = parse(&quirky).unwrap();
        assert_eq!(email.item.as_deref(), Some(format!("{mail}\r\n").as_bytes()));
        assert_eq!(email.read, Some(true));
        // A proper document keeps the text that looks like the quirk.
        let odd = "a]]&gt;</emailitem>b";
        let proper = format!("<Email><emailitem><![CDATA[{odd}]]></emailitem></Email>");
        assert_eq!(parse(&proper).unwrap().item.as_deref(), Some(odd.as_bytes()));
    }

    #[test]
    fn one_cdata_section_is_a_slice() {
        let data = Bytes::from_static(b"<Email><emailitem><![CDATA[a\rb\xff]]></emailitem></Email>");
        let item = Email::parse(&data).unwrap().item.unwrap();
        assert_eq!(item.as_ptr(), data.slice(27..).as_ptr());
        assert_eq!(&*item, b"a\rb\xff");
    }

    #[test]
    fn threat_x4_trailing_unclosed_twice() {
        for (text, want) in [
            ("<Email><read>true</read>", "ends inside"),
            ("<Email></Email>x", "after the document"),
            ("<Email></Email><Email/>", "after the document"),
            ("<Email><read>true</read><read>true</read></Email>", "twice"),
            ("<Email><emailitem/><emailitem/></Email>", "twice"),
            ("<Email>x</Email>", "text between"),
            ("<Mail/>", "root"),
            ("", "no root"),
            ("<Email><read>&unknown;</read></Email>", "entity"),
            ("<Email><read>&#0;</read></Email>", "reference"),
            ("<!DOCTYPE Email [<!ENTITY a 'b'>]><Email/>", "DTD"),
            ("<Email><emailitem enc='base64'>*</emailitem></Email>", "base64"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(want), "{text}: {error}");
            assert_eq!(error.status(), syncml::StatusCode::BAD_REQUEST);
        }
        let error = parse("<Email><emailitem enc='des'>x</emailitem></Email>").unwrap_err();
        assert_eq!(error.status(), syncml::StatusCode::UNSUPPORTED_TYPE);
    }

    #[test]
    fn threat_l1_depth_and_survivors_are_limited() {
        let deep = format!("<Email>{}{}</Email>", "<a>".repeat(40), "</a>".repeat(40));
        assert!(parse(&deep).unwrap_err().to_string().contains("limit 32"));
        let long = format!("<Email><a>{}</a></Email>", "x".repeat(SURVIVOR_BYTES));
        assert_eq!(parse(&long).unwrap_err().status(), syncml::StatusCode::TOO_LARGE);
        let many = format!("<Email>{}</Email>", "<Ext><XNam>a</XNam></Ext>".repeat(20_000));
        assert_eq!(parse(&many).unwrap_err().status(), syncml::StatusCode::TOO_LARGE);
    }
}
