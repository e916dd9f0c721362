//! WAP push: the connectionless WSP PDU, its content types and headers, and its way through SMS.
//!
//! # Shape
//! `TID | 06 | uintvar headers-length | content type | headers | body`; by SMS behind a user data header with ports
//! (to 2948, from 9200), by UDP as it is to port 2948.
//!
//! The push flag and the initiator URI are whatever the sender of an SMS wrote: never trust them.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::error::{DecodeError, EncodeError};

mod udh;
mod value;

pub use udh::{Concatenation, Ports, Segment, Udh, segments};
use value::{Reader, Value, write_integer, write_text, write_uintvar};

const FORMAT: &str = "wsp";
/// Headers of one push that are read.
const MAX_HEADERS: usize = 64;
const PUSH: u8 = 0x06;
const CONFIRMED_PUSH: u8 = 0x07;

/// A push as it travels without a session.
// mission: P6
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Push {
    /// Any number; receivers ignore it.
    pub transaction: u8,
    /// What the body is.
    pub content_type: ContentType,
    /// In order.
    pub headers: Vec<Header>,
    /// The content.
    pub body: Vec<u8>,
}

/// A content type, by assigned number or by name; both mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentType {
    /// Assigned number.
    Number(u16),
    /// Name; its parameters, but for a charset that says UTF-8, are dropped when read.
    Name(String),
}

const TYPES: &[(u16, &str)] = &[
    (0x2D, "text/vnd.wap.si"),
    (0x2E, "application/vnd.wap.sic"),
    (0x2F, "text/vnd.wap.sl"),
    (0x30, "application/vnd.wap.slc"),
    (0x44, "application/vnd.syncml.notification"),
    (0x4E, "application/vnd.syncml.ds.notification"),
    (0x0304, "application/vnd.wap.emn+xml"),
    (0x030A, "application/vnd.wap.emn+wbxml"),
];

impl ContentType {
    /// Service indication in WBXML.
    pub const SI: ContentType = ContentType::Number(0x2E);
    /// Service loading in WBXML.
    pub const SL: ContentType = ContentType::Number(0x30);
    /// Server alert of device management.
    pub const DM_ALERT: ContentType = ContentType::Number(0x44);
    /// Server alert of data synchronisation.
    pub const DS_ALERT: ContentType = ContentType::Number(0x4E);
    /// E-mail notification in WBXML.
    pub const EMN: ContentType = ContentType::Number(0x030A);

    /// The name, if it is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            ContentType::Name(n) => Some(n),
            ContentType::Number(n) => TYPES.iter().find(|(number, _)| number == n).map(|(_, name)| *name),
        }
    }

    /// Whether both mean the same, number or name, in any case.
    #[must_use]
    pub fn is(&self, other: &ContentType) -> bool {
        match (self.name(), other.name()) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => self == other,
        }
    }
}

/// An application that a push is meant for, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationId {
    /// Assigned number.
    Number(u8),
    /// URI.
    Name(String),
}

impl ApplicationId {
    /// The browser: SI and SL.
    pub const WML: ApplicationId = ApplicationId::Number(0x02);
    /// Data synchronisation.
    pub const PUSH_SYNCML: ApplicationId = ApplicationId::Number(0x05);
    /// Device management.
    pub const SYNCML_DM: ApplicationId = ApplicationId::Number(0x07);
    /// E-mail notification.
    pub const EMN: ApplicationId = ApplicationId::Number(0x09);

    /// The full URI, if it is known.
    #[must_use]
    pub fn uri(&self) -> Option<String> {
        const NAMES: [&str; 11] = [
            "*",
            "push.sia",
            "wml.ua",
            "wta.ua",
            "mms.ua",
            "push.syncml",
            "loc.ua",
            "syncml.dm",
            "drm.ua",
            "emn.ua",
            "wv.ua",
        ];
        match self {
            ApplicationId::Name(n) => Some(n.clone()),
            ApplicationId::Number(n) => {
                NAMES.get(usize::from(*n)).map(|name| format!("x-wap-application:{name}"))
            }
        }
    }
}

/// One header of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Header {
    /// `X-Wap-Application-Id`.
    ApplicationId(ApplicationId),
    /// `X-Wap-Content-URI`.
    ContentUri(String),
    /// `X-Wap-Initiator-URI`: a claim, not a proof.
    InitiatorUri(String),
    /// `Push-Flag`: bit 0 initiator authenticated, bit 1 content trusted, bit 2 last message. Claims, not proofs.
    PushFlag(u8),
    /// `Content-Length`.
    ContentLength(u32),
    /// Any other: code page and code (0 to 127), and the value as it is on the wire.
    Other {
        /// Header code page; 1 is the default.
        page: u8,
        /// Code without the top bit.
        code: u8,
        /// Value octets, length or terminator included.
        value: Vec<u8>,
    },
    /// One by name.
    Named {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
}

impl Push {
    /// A push with the application id that goes with its type.
    #[must_use]
    pub fn new(transaction: u8, content_type: ContentType, body: impl Into<Vec<u8>>) -> Push {
        let application = [
            (ContentType::DS_ALERT, ApplicationId::PUSH_SYNCML),
            (ContentType::DM_ALERT, ApplicationId::SYNCML_DM),
            (ContentType::EMN, ApplicationId::EMN),
            (ContentType::SI, ApplicationId::WML),
            (ContentType::SL, ApplicationId::WML),
        ];
        let header = application
            .into_iter()
            .find(|(t, _)| t.is(&content_type))
            .map(|(_, id)| Header::ApplicationId(id));
        Push { transaction, content_type, headers: header.into_iter().collect(), body: body.into() }
    }

    /// The application that it is meant for: the browser if nothing is said.
    #[must_use]
    pub fn application(&self) -> ApplicationId {
        let stated = self.headers.iter().find_map(|h| match h {
            Header::ApplicationId(id) => Some(id.clone()),
            _ => None,
        });
        stated.unwrap_or(ApplicationId::WML)
    }

    /// The octets of the PDU.
    ///
    /// # Errors
    /// [`EncodeError`] for text with a NUL or another control character.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut headers = Vec::new();
        write_content_type(&mut headers, &self.content_type)?;
        for h in &self.headers {
            h.write(&mut headers)?;
        }
        let mut out = vec![self.transaction, PUSH];
        write_uintvar(&mut out, u32::try_from(headers.len()).unwrap_or(u32::MAX));
        out.extend_from_slice(&headers);
        out.extend_from_slice(&self.body);
        Ok(out)
    }

    /// Reads a PDU; type and application id are understood as number and as text.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset.
    pub fn decode(pdu: &[u8]) -> Result<Push, DecodeError> {
        let mut r = Reader { bytes: pdu, at: 0, end: pdu.len() };
        let transaction = r.octet()?;
        match r.octet()? {
            PUSH => {}
            CONFIRMED_PUSH => {
                return Err(DecodeError::unsupported(FORMAT, 1, "confirmed push needs a WSP session"));
            }
            other => return Err(DecodeError::unsupported(FORMAT, 1, format!("PDU type {other:#04x}"))),
        }
        let length = r.uintvar()? as usize;
        let body_at = r.at.checked_add(length).filter(|end| *end <= pdu.len());
        let Some(body_at) = body_at else { return Err(DecodeError::incomplete(FORMAT, r.at)) };
        r.end = body_at;
        let content_type = read_content_type(&mut r)?;
        let mut headers = Vec::new();
        let mut page = 1;
        while r.at < r.end {
            if headers.len() >= MAX_HEADERS {
                return Err(DecodeError::limit(
                    FORMAT,
                    r.at,
                    "headers",
                    MAX_HEADERS.saturating_add(1),
                    MAX_HEADERS,
                ));
            }
            match r.octet()? {
                0x7F => page = r.octet()?,
                shift @ 0x01..=0x1F => page = shift,
                code @ 0x80.. => headers.push(Header::read(&mut r, page, code & 0x7F)?),
                0x00 => return Err(DecodeError::malformed(FORMAT, r.at, "header code 0")),
                _ => {
                    r.at = r.at.saturating_sub(1);
                    let name = r.text()?;
                    let value = r.text()?;
                    headers.push(Header::Named { name, value });
                }
            }
        }
        Ok(Push { transaction, content_type, headers, body: pdu.get(body_at..).unwrap_or_default().to_vec() })
    }
}

const APPLICATION_ID: u8 = 0x2F;
const CONTENT_URI: u8 = 0x30;
const INITIATOR_URI: u8 = 0x31;
const PUSH_FLAG: u8 = 0x34;
const CONTENT_LENGTH: u8 = 0x0D;

impl Header {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Header::ApplicationId(ApplicationId::Number(n)) => {
                out.push(APPLICATION_ID | 0x80);
                write_integer(out, u32::from(*n));
            }
            Header::ApplicationId(ApplicationId::Name(name)) => {
                out.push(APPLICATION_ID | 0x80);
                write_text(out, name)?;
            }
            Header::ContentUri(uri) => {
                out.push(CONTENT_URI | 0x80);
                write_text(out, uri)?;
            }
            Header::InitiatorUri(uri) => {
                out.push(INITIATOR_URI | 0x80);
                write_text(out, uri)?;
            }
            Header::PushFlag(flag) => out.extend_from_slice(&[PUSH_FLAG | 0x80, flag | 0x80]),
            Header::ContentLength(n) => {
                out.push(CONTENT_LENGTH | 0x80);
                write_integer(out, *n);
            }
            Header::Other { page, code, value } => {
                if *page != 1 {
                    out.extend_from_slice(&[0x7F, *page]);
                }
                out.push(code | 0x80);
                out.extend_from_slice(value);
                if *page != 1 {
                    out.extend_from_slice(&[0x7F, 1]);
                }
            }
            Header::Named { name, value } => {
                write_text(out, name)?;
                write_text(out, value)?;
            }
        }
        Ok(())
    }

    fn read(r: &mut Reader<'_>, page: u8, code: u8) -> Result<Header, DecodeError> {
        let start = r.at;
        let value = r.value()?;
        let raw = || r.bytes.get(start..r.at).unwrap_or_default().to_vec();
        Ok(match (page, code, value) {
            (1, APPLICATION_ID, Value::Integer(n)) if n <= 0xFF => {
                Header::ApplicationId(ApplicationId::Number(u8::try_from(n).unwrap_or(0)))
            }
            (1, APPLICATION_ID, Value::Text(name)) => Header::ApplicationId(ApplicationId::Name(name)),
            (1, CONTENT_URI, Value::Text(uri)) => Header::ContentUri(uri),
            (1, INITIATOR_URI, Value::Text(uri)) => Header::InitiatorUri(uri),
            (1, PUSH_FLAG, Value::Integer(n)) if n <= 0x7F => Header::PushFlag(u8::try_from(n).unwrap_or(0)),
            (1, CONTENT_LENGTH, Value::Integer(n)) => Header::ContentLength(n),
            _ => Header::Other { page, code, value: raw() },
        })
    }
}

// quirk: Kannel sends 4E and 030A as text; numbers, text and the general form are all read.
fn write_content_type(out: &mut Vec<u8>, t: &ContentType) -> Result<(), EncodeError> {
    match t {
        ContentType::Name(name) => write_text(out, name)?,
        ContentType::Number(n @ 0..=0x7F) => out.push(u8::try_from(*n).unwrap_or(0) | 0x80),
        ContentType::Number(n) => {
            let [high, low] = n.to_be_bytes();
            if high == 0 {
                out.extend_from_slice(&[2, 1, low])
            } else {
                out.extend_from_slice(&[3, 2, high, low])
            }
        }
    }
    Ok(())
}

fn read_content_type(r: &mut Reader<'_>) -> Result<ContentType, DecodeError> {
    let start = r.at;
    let number = |n: u32| {
        u16::try_from(n)
            .map(ContentType::Number)
            .map_err(|_| DecodeError::malformed(FORMAT, start, "content type"))
    };
    match r.value()? {
        Value::Text(name) => Ok(ContentType::Name(bare(&name))),
        Value::Integer(n) if r.bytes.get(start).is_some_and(|b| *b >= 0x80) => number(n),
        // General form: the type, then parameters, which change nothing for us.
        _ => {
            let mut inner = Reader { at: start, ..*r };
            let length = inner.length()?;
            inner.end = inner.at.saturating_add(length);
            match inner.value()? {
                Value::Text(name) => Ok(ContentType::Name(bare(&name))),
                Value::Integer(n) => number(n),
                Value::Other => Err(DecodeError::malformed(FORMAT, start, "content type")),
            }
        }
    }
}

fn bare(name: &str) -> String {
    name.split(';').next().unwrap_or("").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(s: &str) -> Vec<u8> {
        crate::bearer::unhex(s)
    }

    /// A server alert of DS 1.2 for srv, `./mail`.
    pub(super) const SAN: &str = "b96ba047c627e735e23f48ac55d7060103180000000102037372761060000306046d61696c";

    // mission: M4c — bytes read back by tshark 4.0.17
    #[test]
    fn known_pushes_in_both_directions() {
        for (tid, content_type, body, wire) in [
            (3, ContentType::DS_ALERT, SAN, format!("030603ceaf85{SAN}")),
            (4, ContentType::SI, "0205", "040603aeaf820205".to_owned()),
            (5, ContentType::SL, "0206", "050603b0af820206".to_owned()),
            (2, ContentType::EMN, "020d", "0206060302030aaf89020d".to_owned()),
        ] {
            let push = Push::new(tid, content_type, hex(body));
            assert_eq!(push.encode().unwrap(), hex(&wire));
            assert_eq!(Push::decode(&hex(&wire)).unwrap(), push);
        }
    }

    // quirk: Kannel 1.4.5 copies User-Agent and Accept of the PAP post and spells the type out
    #[test]
    fn a_push_of_kannel_is_read() {
        let wire = format!(
            "02063c{}00a9{}0080808da5af85c393{SAN}",
            "6170706c69636174696f6e2f766e642e73796e636d6c2e64732e6e6f74696669636174696f6e",
            "6375726c2f372e38382e31"
        );
        let push = Push::decode(&hex(&wire)).unwrap();
        assert!(push.content_type.is(&ContentType::DS_ALERT));
        assert_eq!(push.application(), ApplicationId::PUSH_SYNCML);
        assert!(push.headers.contains(&Header::ContentLength(37)));
        assert_eq!(push.body, hex(SAN));
        assert_eq!(push.encode().unwrap(), hex(&wire), "unknown headers survive");
    }

    #[test]
    fn content_types_in_every_form() {
        for (wire, name) in [
            ("0306 03 ce af85", "application/vnd.syncml.ds.notification"),
            ("0306 06 03ce81ea af85", "application/vnd.syncml.ds.notification"),
            ("0306 04 0302030a", "application/vnd.wap.emn+wbxml"),
            ("0306 04 782f7900", "x/y"),
            ("0306 06 05 782f7900 80", "x/y"),
        ] {
            let wire = hex(&wire.replace(' ', ""));
            assert_eq!(Push::decode(&wire).unwrap().content_type.name(), Some(name));
        }
    }

    #[test]
    fn threat_w2_a_uintvar_of_more_than_32_bits() {
        let error = Push::decode(&hex("0306908080800300")).unwrap_err();
        assert_eq!(error.to_string(), "wsp: malformed: uintvar over 32 bits at byte 2");
        let mut out = Vec::new();
        write_uintvar(&mut out, u32::MAX);
        let mut r = Reader { bytes: &out, at: 0, end: out.len() };
        assert_eq!((r.uintvar(), out.len()), (Ok(u32::MAX), 5));
    }

    #[test]
    fn threat_w3_lengths_past_the_end() {
        let whole = hex(&format!("030603ceaf85{SAN}"));
        for n in 0..6 {
            assert!(Push::decode(&whole[..n]).is_err(), "{n} octets");
        }
        for bad in [
            "0306 7f ce",
            "0306 03 1f8f7f",
            "0306 04 ce b1 6161",
            "0306 02 ce af",
            "0307 01 ce",
            "0306 02 ce 00",
        ] {
            assert!(Push::decode(&hex(&bad.replace(' ', ""))).is_err(), "{bad}");
        }
        let flood = [hex("03068103ce"), vec![0x84; 130]].concat();
        assert!(matches!(
            Push::decode(&flood).unwrap_err().kind,
            crate::bearer::DecodeErrorKind::Limit { .. }
        ));
    }

    #[test]
    fn threat_m2_text_cannot_break_out() {
        let mut push = Push::new(1, ContentType::SI, b"");
        push.headers.push(Header::InitiatorUri("http://x\0\u{84}".into()));
        assert!(push.encode().is_err());
    }
}
