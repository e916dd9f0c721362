//! The two ways across: a mail as short messages, and short messages as the text of a mail.

use super::email_sms::EmailSms;
use super::number::Party;
use super::reduce::{ReduceRules, Reduced, fit, reduce};
use crate::smpp::pdu::{DeliverSm, SubmitSm};
use crate::smpp::{CString, DataCoding, EsmClass, RegisteredDelivery, Tag, Tlvs, ValueError};
use crate::smtp::{Mailbox, Notify};
use crate::text::gsm7::{self, Shifts};
use crate::text::{Alphabet, Concat, Part, PartKey, Reference, Rules, Segment, SplitError, Udh, alphabet_of};
use bytes::Bytes;

/// How a mail becomes short messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvertRules {
    /// What of a mail is kept.
    pub reduce: ReduceRules,
    /// How its text is split; 4 parts at most unless set otherwise.
    pub split: Rules,
    /// Write sender and subject before the text, as TS 23.040 clause 3.8 does.
    pub show_sender: bool,
    /// Write the subject as `##subject#` instead of `(subject)`.
    pub hash_form: bool,
    /// Mark it as Internet e-mail in `protocol_id` (0x32).
    pub email_protocol_id: bool,
}

impl Default for ConvertRules {
    fn default() -> Self {
        ConvertRules {
            reduce: ReduceRules::default(),
            split: Rules { max_parts: 4, ..Rules::default() },
            show_sender: true,
            hash_form: false,
            email_protocol_id: false,
        }
    }
}

/// Why a mail was not converted. It is refused to its sender, never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is no mail, or passes the limits.
    #[error("the mail cannot be read")]
    Unreadable,
    /// Nothing is left of it: no text, no subject, no attachment.
    #[error("the mail has no text")]
    Empty,
    /// It does not fit, not even cut.
    #[error("{0}")]
    Split(#[from] SplitError),
    /// An address that SMPP cannot carry.
    #[error("{0}")]
    Value(#[from] ValueError),
}

/// Makes the `submit_sm`s of a mail, in order; all of one message have the same number in `user_message_reference`.
///
/// `sender` is the mailbox of the envelope, checked by the host; `source` is what the phone sees and answers to.
///
/// # Errors
/// [`ConvertError`].
pub fn mail_to_sms(
    mail: &[u8],
    sender: &Mailbox,
    source: &Party,
    destination: &Party,
    receipts: RegisteredDelivery,
    rules: &ConvertRules,
) -> Result<(Vec<SubmitSm>, Reduced), ConvertError> {
    let reduced = reduce(mail, &rules.reduce).ok_or(ConvertError::Unreadable)?;
    if reduced.text.is_empty() && reduced.subject.is_none() {
        return Err(ConvertError::Empty);
    }
    let text = if rules.show_sender {
        let message = EmailSms {
            addresses: vec![sender.clone()],
            subject: reduced.subject.clone(),
            body: reduced.text.clone(),
            ..EmailSms::default()
        };
        message.format(rules.hash_form)
    } else {
        match &reduced.subject {
            Some(subject) => format!("{subject}: {}", reduced.text),
            None => reduced.text.clone(),
        }
    };
    text_to_sms(&text, source, destination, receipts, rules).map(|submits| (submits, reduced))
}

/// Makes the `submit_sm`s of a text, in order; a text that is too long is cut, with a mark.
///
/// # Errors
/// [`ConvertError`].
pub fn text_to_sms(
    text: &str,
    source: &Party,
    destination: &Party,
    receipts: RegisteredDelivery,
    rules: &ConvertRules,
) -> Result<Vec<SubmitSm>, ConvertError> {
    let (split, _) = fit(text, &rules.split)?;
    let data_coding = DataCoding(split.data_coding());
    let reference = match rules.split.reference {
        Reference::Udh8(reference) => u16::from(reference),
        Reference::Udh16(reference) | Reference::Sar(reference) => reference,
        Reference::Payload => 0,
    };
    let submits = split.parts.iter().map(|part| {
        let mut submit = submit(source, destination, part, rules.split.reference)?;
        submit.data_coding = data_coding;
        submit.registered_delivery = receipts;
        submit.protocol_id = if rules.email_protocol_id { 0x32 } else { 0 };
        submit.tlvs.push(Tag::USER_MESSAGE_REFERENCE, &reference.to_be_bytes())?;
        Ok(submit)
    });
    submits.collect()
}

fn submit(
    source: &Party,
    destination: &Party,
    part: &Segment,
    reference: Reference,
) -> Result<SubmitSm, ValueError> {
    let mut submit = SubmitSm::default();
    let (ton, npi, address) = source.to_smpp();
    (submit.source_addr_ton, submit.source_addr_npi) = (ton, npi);
    submit.source_addr = CString::try_from(address.as_str())?;
    let (ton, npi, address) = destination.to_smpp();
    (submit.dest_addr_ton, submit.dest_addr_npi) = (ton, npi);
    submit.destination_addr = CString::try_from(address.as_str())?;
    if part.has_udh {
        submit.esm_class = submit.esm_class.with(EsmClass::UDHI);
    }
    if let Some(Concat { reference, total, number, .. }) = part.sar {
        submit.tlvs.push(Tag::SAR_MSG_REF_NUM, &reference.to_be_bytes())?;
        submit.tlvs.push(Tag::SAR_TOTAL_SEGMENTS, &[total])?;
        submit.tlvs.push(Tag::SAR_SEGMENT_SEQNUM, &[number])?;
    }
    if reference == Reference::Payload {
        submit.tlvs.push(Tag::MESSAGE_PAYLOAD, &part.octets)?;
    } else {
        submit.short_message = Bytes::from(part.octets.clone()).try_into()?;
    }
    Ok(submit)
}

/// Which receipts to ask for, so that the reports that a mail's sender wants can be made.
///
/// # Spec
/// RFC 3461 §4.1; failures only where the sender says nothing
pub fn registered_delivery(notify: Option<Notify>, success_only: bool) -> RegisteredDelivery {
    let Some(Notify { success, failure, delay }) = notify else { return RegisteredDelivery::ON_FAILURE };
    let base = match (success, failure) {
        (true, false) if success_only => RegisteredDelivery::ON_SUCCESS,
        (true, _) => RegisteredDelivery::ALWAYS,
        (false, true) => RegisteredDelivery::ON_FAILURE,
        (false, false) => RegisteredDelivery::NONE,
    };
    RegisteredDelivery(base.0 | if delay { RegisteredDelivery::INTERMEDIATE.0 } else { 0 })
}

/// How a peer writes texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerText {
    /// What `data_coding` 0 means there.
    pub default_alphabet: Alphabet,
    /// Take a text under `data_coding` 0 for UCS-2 if every other octet is 0 (vumi 838).
    pub guess_ucs2: bool,
}

impl Default for PeerText {
    fn default() -> Self {
        PeerText { default_alphabet: Alphabet::Gsm7, guess_ucs2: false }
    }
}

/// What a short message brings, before its parts are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The alphabet; `None` if we cannot read it.
    pub alphabet: Option<Alphabet>,
    /// The GSM 7-bit tables.
    pub shifts: Shifts,
    /// Which part it is; `None` for a whole message.
    pub concat: Option<Concat>,
    /// Destination and source port: not for people, pass it through.
    pub ports: Option<(u16, u16)>,
    /// The header.
    pub udh: Udh,
    /// The text's octets without header, unpacked if they were packed.
    pub octets: Bytes,
}

impl Incoming {
    /// Of a `deliver_sm`.
    pub fn of_deliver(deliver: &DeliverSm, peer: PeerText) -> Incoming {
        Incoming::read(deliver.text(), deliver.esm_class, deliver.data_coding, &deliver.tlvs, peer)
    }

    /// Of a `submit_sm`.
    pub fn of_submit(submit: &SubmitSm, peer: PeerText) -> Incoming {
        Incoming::read(submit.text(), submit.esm_class, submit.data_coding, &submit.tlvs, peer)
    }

    /// Never fails: a header that cannot be read is part of the text, impossible part numbers make a whole message.
    fn read(text: Bytes, esm_class: EsmClass, coding: DataCoding, tlvs: &Tlvs, peer: PeerText) -> Incoming {
        let parsed = if esm_class.has_udh() { Udh::parse(&text).ok() } else { None };
        let (udh, rest) = parsed.unwrap_or((Udh::default(), &text));
        let header = text.len().saturating_sub(rest.len());
        let mut alphabet = alphabet_of(coding.0, peer.default_alphabet);
        if peer.guess_ucs2 && coding == DataCoding::DEFAULT && looks_like_ucs2(rest) {
            alphabet = Some(Alphabet::Ucs2);
        }
        let octets = if alphabet == Some(Alphabet::Gsm7Packed) {
            alphabet = Some(Alphabet::Gsm7);
            Bytes::from(gsm7::unpack_all(rest, gsm7::fill_bits(header)))
        } else {
            text.slice(header..)
        };
        // SAR plus a header that says the same: the header counts
        let sar = tlvs.sar().filter(|(_, total, number)| *number >= 1 && number <= total);
        let sar = sar.map(|(reference, total, number)| Concat { reference, wide: true, total, number });
        let port = |tag| tlvs.short(tag);
        let ports =
            udh.ports().or_else(|| Some((port(Tag::DESTINATION_PORT)?, port(Tag::SOURCE_PORT).unwrap_or(0))));
        let concat = udh.concat().or(sar).filter(|concat| concat.total > 1);
        Incoming { alphabet, shifts: udh.shifts(), concat, ports, udh, octets }
    }

    /// The part and its key, to join it with the others.
    pub fn part(
        &self,
        link: u32,
        source: &str,
        destination: &str,
        coding: DataCoding,
    ) -> Option<(PartKey, Part)> {
        let Concat { reference, wide, total, number } = self.concat?;
        let key = PartKey {
            link,
            source: source.to_owned(),
            destination: destination.to_owned(),
            reference,
            wide,
            data_coding: coding.0,
            total,
        };
        Some((key, Part { number, octets: self.octets.clone() }))
    }

    /// The text of joined octets: characters that were cut between parts are whole again.
    pub fn decode(&self, octets: &[u8]) -> String {
        self.alphabet.unwrap_or(Alphabet::Binary).decode(octets, self.shifts, 0)
    }

    /// True if it is for people: readable, without ports.
    pub fn is_text(&self) -> bool {
        self.ports.is_none() && !matches!(self.alphabet, None | Some(Alphabet::Binary))
    }
}

/// quirk: UCS-2 under `data_coding` 0
fn looks_like_ucs2(octets: &[u8]) -> bool {
    octets.len() >= 4
        && octets.len().is_multiple_of(2)
        && octets.chunks_exact(2).all(|unit| matches!(unit, [0, low] if *low != 0))
}

#[cfg(test)]
mod tests {
    use super::super::{Msisdn, number_in_address};
    use super::*;
    use crate::smpp::{Body, Pdu, Quirks, SequenceNumber};
    use crate::text::{Added, Assembler, Limits};
    use std::time::Duration;

    fn parties() -> (Party, Party) {
        let phone = number_in_address("+8613800138000").map(Party::Phone).unwrap();
        (Party::ShortCode("10086".into()), phone)
    }

    fn convert(mail: &str, rules: &ConvertRules) -> Result<Vec<SubmitSm>, ConvertError> {
        let (source, destination) = parties();
        let sender = "ann@example.org".parse().unwrap();
        mail_to_sms(mail.as_bytes(), &sender, &source, &destination, RegisteredDelivery::NONE, rules)
            .map(|(submits, _)| submits)
    }

    /// Over the wire, joined and read, as the phone's side would.
    fn receive(submits: &[SubmitSm], peer: PeerText) -> String {
        let mut assembler = Assembler::new(Limits::default());
        for submit in submits {
            let wire = Pdu::new(SequenceNumber(1), &Body::SubmitSm(submit.clone()));
            let Body::SubmitSm(submit) = wire.decode(&Quirks::strict()).unwrap() else { panic!() };
            let incoming = Incoming::of_submit(&submit, peer);
            let Some((key, part)) = incoming.part(1, "10086", "+86", submit.data_coding) else {
                return incoming.decode(&incoming.octets);
            };
            if let Added::Complete(message) = assembler.add(Duration::ZERO, key, part).unwrap() {
                let joined: Vec<u8> = message.parts.iter().flatten().flatten().copied().collect();
                return incoming.decode(&joined);
            }
        }
        panic!("parts are missing")
    }

    // mission: S1, S2
    #[test]
    fn mails_arrive_as_text() {
        let long = "Grüße {€} ".repeat(40);
        for body in ["hi", "你好，世界", "👍🏽 ok", long.trim_end()] {
            let mail = format!(
                "Subject: Lunch (today)\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n"
            );
            for alphabet in [Alphabet::Gsm7, Alphabet::Gsm7Packed, Alphabet::Latin1] {
                for reference in
                    [Reference::Udh8(7), Reference::Udh16(700), Reference::Sar(7), Reference::Payload]
                {
                    let split =
                        Rules { reference, default_alphabet: alphabet, max_parts: 10, ..Rules::default() };
                    let rules = ConvertRules { split, ..ConvertRules::default() };
                    let submits = convert(&mail, &rules).unwrap();
                    let peer = PeerText { default_alphabet: alphabet, guess_ucs2: false };
                    let text = receive(&submits, peer);
                    assert_eq!(
                        text,
                        format!("ann@example.org(Lunch (today])){body}").replace("(today])", "(today]")
                    );
                    let back = EmailSms::parse(&text);
                    assert_eq!((back.body.as_str(), back.subject.as_deref()), (body, Some("Lunch (today]")));
                }
            }
        }
    }

    #[test]
    fn limits_and_empty_mails() {
        let mail = format!("Content-Type: text/plain\r\n\r\n{}\r\n", "word ".repeat(1_000));
        assert_eq!(convert(&mail, &ConvertRules::default()).unwrap().len(), 4);
        assert_eq!(
            convert("Content-Type: text/plain\r\n\r\n\r\n", &ConvertRules::default()),
            Err(ConvertError::Empty)
        );
        let huge = format!("Content-Type: text/plain\r\n\r\n{}\r\n", "x".repeat(30_000_000));
        assert_eq!(convert(&huge, &ConvertRules::default()).unwrap().len(), 4);
    }

    #[test]
    fn receipts_asked_for() {
        let notify = |success, failure, delay| Some(Notify { success, failure, delay });
        for (wanted, value) in [
            (None, 2),
            (notify(false, false, false), 0),
            (notify(true, false, false), 1),
            (notify(true, true, false), 1),
            (notify(false, true, false), 2),
            (notify(false, true, true), 0x12),
        ] {
            assert_eq!(registered_delivery(wanted, false), RegisteredDelivery(value));
        }
        assert_eq!(registered_delivery(notify(true, false, false), true), RegisteredDelivery::ON_SUCCESS);
    }

    #[test]
    fn odd_short_messages_are_read() {
        let deliver = |esm: u8, coding: u8, text: &'static [u8]| {
            let mut deliver = DeliverSm::default();
            (deliver.esm_class, deliver.data_coding) = (EsmClass(esm), DataCoding(coding));
            deliver.short_message = Bytes::from_static(text).try_into().unwrap();
            deliver
        };
        let read = |deliver: &DeliverSm| {
            let incoming =
                Incoming::of_deliver(deliver, PeerText { guess_ucs2: true, ..PeerText::default() });
            (incoming.decode(&incoming.octets), incoming.concat.is_some(), incoming.is_text())
        };
        // threats P1: a header longer than the text is text
        assert_eq!(read(&deliver(0x40, 0, b"\x50hi")), ("Phi".into(), false, true));
        assert_eq!(read(&deliver(0x40, 0, b"")), (String::new(), false, true));
        assert_eq!(read(&deliver(0x40, 0, b"\x05\x00\x03\x01\x02\x01hi")), ("hi".into(), true, true));
        assert_eq!(read(&deliver(0x40, 0, b"\x05\x00\x03\x01\x00\x01hi")), ("hi".into(), false, true));
        assert_eq!(read(&deliver(0, 8, b"\x00A\xD8")), ("A\u{FFFD}".into(), false, true));
        assert_eq!(read(&deliver(0, 0, b"\x00h\x00i")), ("hi".into(), false, true));
        assert_eq!(read(&deliver(0, 0, b"\x00hi\x00")), ("@hi@".into(), false, true));
        assert!(!read(&deliver(0x40, 4, b"\x06\x05\x04\x0B\x84\x23\xF0\x01")).2);
        // SAR and a header at once: the header counts
        let mut both = deliver(0x40, 0, b"\x05\x00\x03\x09\x02\x01hi");
        both.tlvs.push(Tag::SAR_MSG_REF_NUM, &[0, 1]).unwrap();
        both.tlvs.push(Tag::SAR_TOTAL_SEGMENTS, &[5]).unwrap();
        both.tlvs.push(Tag::SAR_SEGMENT_SEQNUM, &[5]).unwrap();
        let concat = Incoming::of_deliver(&both, PeerText::default()).concat.unwrap();
        assert_eq!((concat.reference, concat.total), (9, 2));
    }

    #[test]
    fn alphanumeric_senders() {
        assert!(Msisdn::parse("Bank").is_none());
        let (_, phone) = parties();
        let sender: Mailbox = "ann@example.org".parse().unwrap();
        let name = Party::Name("a name that is far too long for SMPP".into());
        let mail = b"Content-Type: text/plain\r\n\r\nhi\r\n";
        let refused =
            mail_to_sms(mail, &sender, &name, &phone, RegisteredDelivery::NONE, &ConvertRules::default());
        assert!(matches!(refused, Err(ConvertError::Value(ValueError::TooLong { .. }))));
    }
}
