//! The flag: only a message whose flag is exactly 1 is converted; any other goes on unchanged.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::header::fields;
use crate::smpp::pdu::SubmitSm;
use crate::smpp::{Tag, Tlvs};
use crate::text::{ElementId, Udh};
use bytes::Bytes;

/// What a flag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Exactly 1: convert.
    Convert,
    /// There is none: pass on unchanged.
    Absent,
    /// Something else, or contradicting ones: pass on unchanged.
    Other,
}

/// Where flags are looked for.
///
/// Flags are forgeable: the host honours them only from senders that it knows (threats M6, toll fraud).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagRules {
    /// Header field of a mail.
    pub field: String,
    /// Fields that are removed with it from converted mail.
    pub companions: Vec<String>,
    /// Places in a short message.
    pub carriers: Vec<Carrier>,
}

impl Default for FlagRules {
    fn default() -> Self {
        FlagRules {
            field: "SMS-Convert".into(),
            companions: vec!["SMS-Bind".into(), "SMS-Receipt".into()],
            carriers: vec![
                Carrier::Tlv(Tag(0x1400)),
                Carrier::Element(ElementId(0x80)),
                Carrier::ControlFlag,
            ],
        }
    }
}

/// A place of the flag in a short message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A vendor TLV of one octet.
    Tlv(Tag),
    /// An element of the user data header between applications, of one octet.
    Element(ElementId),
    /// `protocol_id` 0x32, Internet e-mail (TS 23.040 §9.2.3.9).
    ProtocolId,
    /// `#1#` at the start of the text (TS 23.040 §3.8).
    ControlFlag,
    /// A `service_type`.
    ServiceType(String),
}

/// The flag of a mail: the field's value, unfolded and with white space trimmed off, must be `1`.
///
/// Only the mail's own header counts, not its body nor the header of an attached message.
pub fn mail_flag(message: &[u8], rules: &FlagRules) -> Flag {
    let values = fields(message).filter(|field| field.is(&rules.field)).map(|field| field.value());
    merge(values.map(|value| if value == "1" { Flag::Convert } else { Flag::Other }))
}

/// A converted mail goes on without the flag and its companions; all else stays octet for octet.
pub fn remove_flag(message: &Bytes, rules: &FlagRules) -> Bytes {
    let ours = |field: &super::header::Field<'_>| {
        field.is(&rules.field) || rules.companions.iter().any(|name| field.is(name))
    };
    let mut out = Vec::with_capacity(message.len());
    let mut rest: &[u8] = message;
    for field in fields(message).filter(ours) {
        let at = offset(message, field.raw);
        let done = message.len().saturating_sub(rest.len());
        out.extend_from_slice(message.get(done..at).unwrap_or_default());
        rest = message.get(at.saturating_add(field.raw.len())..).unwrap_or_default();
    }
    if rest.len() == message.len() {
        return message.clone();
    }
    out.extend_from_slice(rest);
    out.into()
}

/// Where `part`, a slice of `whole`, begins.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// What of a short message can carry the flag.
#[derive(Clone, Copy, Debug)]
pub struct SmsView<'a> {
    /// `service_type`.
    pub service_type: &'a [u8],
    /// `protocol_id`.
    pub protocol_id: u8,
    /// The TLVs.
    pub tlvs: &'a Tlvs,
    /// The user data header, if there is one.
    pub udh: Option<&'a Udh>,
    /// The decoded text.
    pub text: &'a str,
}

impl<'a> SmsView<'a> {
    /// Of a `submit_sm`.
    pub fn of(submit: &'a SubmitSm, udh: Option<&'a Udh>, text: &'a str) -> Self {
        SmsView {
            service_type: &submit.service_type,
            protocol_id: submit.protocol_id,
            tlvs: &submit.tlvs,
            udh,
            text,
        }
    }
}

/// The flag of a short message. Places that contradict each other mean [`Flag::Other`].
pub fn sms_flag(message: &SmsView<'_>, rules: &FlagRules) -> Flag {
    merge(rules.carriers.iter().map(|carrier| carrier.read(message)))
}

impl Carrier {
    fn read(&self, message: &SmsView<'_>) -> Flag {
        let octet = |value: Option<&[u8]>| match value {
            None => Flag::Absent,
            Some([1]) => Flag::Convert,
            Some(_) => Flag::Other,
        };
        match self {
            Carrier::Tlv(tag) => octet(message.tlvs.find(*tag).as_deref()),
            Carrier::Element(id) => {
                let elements = message.udh.map(|udh| udh.elements.as_slice()).unwrap_or_default();
                let found = elements.iter().filter(|element| element.id == *id);
                merge(found.map(|element| octet(Some(&element.data))))
            }
            Carrier::ProtocolId if message.protocol_id == 0x32 => Flag::Convert,
            Carrier::ServiceType(name) if message.service_type == name.as_bytes() => Flag::Convert,
            Carrier::ProtocolId | Carrier::ServiceType(_) => Flag::Absent,
            Carrier::ControlFlag => match super::email_sms::control_flag(message.text) {
                None => Flag::Absent,
                Some(('1', _)) => Flag::Convert,
                Some(_) => Flag::Other,
            },
        }
    }
}

fn merge(flags: impl Iterator<Item = Flag>) -> Flag {
    flags.fold(Flag::Absent, |so_far, flag| match (so_far, flag) {
        (Flag::Absent, flag) => flag,
        (so_far, Flag::Absent) => so_far,
        (Flag::Convert, Flag::Convert) => Flag::Convert,
        _ => Flag::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: S1, S3
    #[test]
    fn only_exactly_one_converts() {
        let rules = FlagRules::default();
        for (header, flag) in [
            ("SMS-Convert: 1\r\n", Flag::Convert),
            ("sms-convert:1\r\n", Flag::Convert),
            ("SMS-Convert: \t 1 \t\r\n", Flag::Convert),
            ("SMS-Convert:\r\n 1\r\n", Flag::Convert),
            ("SMS-Convert: 1\r\nSMS-Convert: 1\r\n", Flag::Convert),
            ("SMS-Convert: 1\r\nSMS-Convert: 0\r\n", Flag::Other),
            ("SMS-Convert: 0\r\nSMS-Convert: 1\r\n", Flag::Other),
            ("SMS-Convert: 0\r\n", Flag::Other),
            ("SMS-Convert: 01\r\n", Flag::Other),
            ("SMS-Convert: +1\r\n", Flag::Other),
            ("SMS-Convert: 1 1\r\n", Flag::Other),
            ("SMS-Convert: 1 (yes)\r\n", Flag::Other),
            ("SMS-Convert: \u{FF11}\r\n", Flag::Other),
            ("SMS-Convert:\r\n", Flag::Other),
            ("SMS-Convert : 1\r\n", Flag::Absent),
            ("X-SMS-Convert: 1\r\n", Flag::Absent),
            ("Subject: a\r\n SMS-Convert: 1\r\n", Flag::Absent),
            ("", Flag::Absent),
        ] {
            let message = format!("From: a@b\r\n{header}To: c@d\r\n\r\nSMS-Convert: 1\r\n");
            assert_eq!(mail_flag(message.as_bytes(), &rules), flag, "{header:?}");
        }
        // in the body or in an attached message it does not count
        let attached = b"Content-Type: message/rfc822\r\n\r\nSMS-Convert: 1\r\n\r\nhi\r\n";
        assert_eq!(mail_flag(attached, &rules), Flag::Absent);
    }

    #[test]
    fn the_flag_goes_and_the_rest_stays() {
        let rules = FlagRules::default();
        let message = Bytes::from_static(
            b"A: 1\r\nSMS-Convert:\r\n 1\r\nB: 2\r\nsms-bind: +8613\r\nC:  3 \r\n\r\nSMS-Convert: 1\r\n",
        );
        assert_eq!(remove_flag(&message, &rules), "A: 1\r\nB: 2\r\nC:  3 \r\n\r\nSMS-Convert: 1\r\n");
        let without = Bytes::from_static(b"A: 1\r\n\r\nx");
        assert_eq!(remove_flag(&without, &rules).as_ptr(), without.as_ptr());
    }

    #[test]
    fn carriers_in_short_messages() {
        let rules = FlagRules::default();
        let flag = |value: &[u8], element: Option<&[u8]>, text: &str| {
            let mut tlvs = Tlvs::default();
            if !value.is_empty() {
                tlvs.push(Tag(0x1400), value).unwrap();
            }
            let mut udh = Udh::default();
            element.iter().for_each(|data| udh.push(ElementId(0x80), data));
            let view = SmsView { service_type: b"", protocol_id: 0, tlvs: &tlvs, udh: Some(&udh), text };
            sms_flag(&view, &rules)
        };
        assert_eq!(flag(&[], None, "hi"), Flag::Absent);
        assert_eq!(flag(&[1], None, "hi"), Flag::Convert);
        assert_eq!(flag(&[0], None, "hi"), Flag::Other);
        assert_eq!(flag(&[0, 1], None, "hi"), Flag::Other);
        assert_eq!(flag(&[], Some(&[1]), "hi"), Flag::Convert);
        assert_eq!(flag(&[], None, "#1#bob@example.org hi"), Flag::Convert);
        assert_eq!(flag(&[], None, "#2#bob@example.org hi"), Flag::Other);
        assert_eq!(flag(&[0], None, "#1#bob@example.org hi"), Flag::Other);
        assert_eq!(flag(&[1], Some(&[1]), "#1#bob@example.org hi"), Flag::Convert);
    }
}
