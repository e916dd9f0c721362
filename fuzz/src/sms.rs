//! Texts and mails: what a phone writes becomes mail, what a mail says becomes short messages.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use smsbridge::bridge::{
    Compose, ConvertRules, EmailSms, Flag, FlagRules, Incoming, Msisdn, Party, PeerText, Receipt, SmsView,
    mail_flag, mail_to_sms, may_convert, remove_flag, sms_flag, text_to_sms,
};
use smsbridge::smpp::pdu::{DeliverSm, SubmitSm};
use smsbridge::smpp::{DataCoding, EsmClass, RegisteredDelivery};
use smsbridge::text::{Added, Assembler, Limits, Udh};
use std::time::Duration;

/// The text of a short message.
pub const SMS_TEXT: Target = Target {
    name: "sms_text",
    input: "esm_class, data_coding, then the octets of short_message",
    dictionary: None,
    properties: &[
        Property {
            name: "readable",
            sentence: "any octets are read as some text with some header; a header that was read is \
                       written as it was, but for an empty one, which is left out",
            check: readable,
        },
        Property {
            name: "split",
            sentence: "a text is split into parts within the limits of the air, and they are joined to the same text, or \
                       to its start and a mark",
            check: split,
        },
    ],
};

/// A mail.
pub const MAIL_TO_SMS: Target = Target {
    name: "mail_to_sms",
    input: "a mail",
    dictionary: None,
    properties: &[Property {
        name: "converts",
        sentence: "any octets are refused or become at most 4 parts of at most 140 octets or 160 septets without control \
                   characters; without its flag a mail has none, and one without a flag is not touched",
        check: converts,
    }],
};

/// The text of a phone.
pub const SMS_TO_MAIL: Target = Target {
    name: "sms_to_mail",
    input: "the text of a short message, in UTF-8",
    dictionary: None,
    properties: &[Property {
        name: "own header",
        sentence: "whatever a phone writes, the mail has our header fields, each once, and no line longer than 998 octets, \
                   and is no message that we would convert back",
        check: own_header,
    }],
};

fn readable(data: &[u8]) -> Result<(), Broken> {
    let [esm, coding, text @ ..] = data else { return Ok(()) };
    let mut deliver = DeliverSm::default();
    (deliver.esm_class, deliver.data_coding) = (EsmClass(*esm), DataCoding(*coding));
    let text = text.get(..254).unwrap_or(text);
    deliver.short_message =
        Bytes::copy_from_slice(text).try_into().map_err(|_| Broken("254 octets do not fit".into()))?;
    let mut peer = PeerText::default();
    peer.guess_ucs2 = esm & 1 == 1;
    let incoming = Incoming::of_deliver(&deliver, peer);
    let read = incoming.decode(&incoming.octets);
    ensure!(
        read.chars().count() <= 2 * text.len(),
        "{} octets are {} characters",
        text.len(),
        read.chars().count()
    );
    if let Ok((udh, rest)) = Udh::parse(text) {
        let header = &text[..text.len() - rest.len()];
        ensure!(
            udh.encode().is_ok_and(|written| written == header || (header == [0] && written.is_empty())),
            "{header:?} is written as {:?}",
            udh.encode()
        );
    }
    let submit: SubmitSm = deliver.clone().into();
    let _ = sms_flag(&SmsView::of(&submit, Some(&incoming.udh), &read), &FlagRules::default());
    let _ = Receipt::read(&deliver, &read);
    Ok(())
}

fn phone() -> Result<Party, Broken> {
    Msisdn::parse("+8613800138000").map(Party::Phone).ok_or_else(|| Broken("no number".into()))
}

fn split(data: &[u8]) -> Result<(), Broken> {
    // At the start of a text U+FEFF reads as a byte order mark.
    let text = String::from_utf8_lossy(data).replace('\u{FEFF}', "");
    let mut rules = ConvertRules::default();
    rules.split.transliterate = false;
    rules.split.max_parts = 1 + data.len() % 8;
    let source = Party::ShortCode("10086".into());
    let Ok(submits) = text_to_sms(&text, &source, &phone()?, RegisteredDelivery::NONE, &rules) else {
        return Ok(());
    };
    ensure!(submits.len() <= rules.split.max_parts, "{} parts", submits.len());
    let joined = join(&submits)?;
    let start = joined.strip_suffix("...").unwrap_or(&joined);
    ensure!(joined == text || text.starts_with(start), "{text:?} comes back as {joined:?}");
    Ok(())
}

fn join(submits: &[SubmitSm]) -> Result<String, Broken> {
    let mut parts = Assembler::new(Limits::default());
    for submit in submits {
        ensure!(submit.short_message.len() <= 160, "{} octets", submit.short_message.len());
        ensure!(
            submit.data_coding != DataCoding::UCS2 || submit.short_message.len() <= 140,
            "UCS-2 of 140 octets"
        );
        let incoming = Incoming::of_submit(submit, PeerText::default());
        let Some((key, part)) = incoming.part(0, "a", "b", submit.data_coding) else {
            return Ok(incoming.decode(&incoming.octets));
        };
        if let Ok(Added::Complete(whole)) = parts.add(Duration::ZERO, key, part) {
            let octets: Vec<u8> = whole.parts.iter().flatten().flatten().copied().collect();
            return Ok(incoming.decode(&octets));
        }
    }
    Err(Broken("parts are missing".into()))
}

fn converts(data: &[u8]) -> Result<(), Broken> {
    let rules = FlagRules::default();
    let mail = Bytes::copy_from_slice(data);
    let without = remove_flag(&mail, &rules);
    ensure!(mail_flag(&without, &rules) == Flag::Absent, "a flag is left");
    if mail_flag(&mail, &rules) == Flag::Absent
        && !data.to_ascii_lowercase().windows(4).any(|part| part == b"sms-")
    {
        ensure!(without == mail, "a mail without a flag was touched");
    }
    let _ = may_convert(Some("ann@example.org"), data, ("SMS-Bridge", "x"));
    let sender = "ann@example.org".parse().map_err(|_| Broken("no address".into()))?;
    let source = Party::ShortCode("10086".into());
    let convert = ConvertRules::default();
    if let Ok((submits, _)) =
        mail_to_sms(data, &sender, &source, &phone()?, RegisteredDelivery::NONE, &convert)
    {
        ensure!((1..=4).contains(&submits.len()), "{} parts", submits.len());
        let text = join(&submits)?;
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        ensure!(control.is_none(), "{control:?} in {text:?}");
    }
    Ok(())
}

const OURS: [&str; 8] =
    ["From", "To", "Subject", "Date", "Message-ID", "SMS-Bridge", "MIME-Version", "Content-Type"];

fn own_header(data: &[u8]) -> Result<(), Broken> {
    let text = String::from_utf8_lossy(data);
    let email = EmailSms::parse(&text);
    let to = "bob@example.org".parse().map_err(|_| Broken("no address".into()))?;
    let compose = Compose::new(phone()?, "sms.example", vec![to], "id@sms.example", 1_795_000_000);
    let mail = compose.mail(&email).ok_or_else(|| Broken("no mail".into()))?;
    let end = mail
        .windows(4)
        .position(|octets| octets == b"\r\n\r\n")
        .ok_or_else(|| Broken("no end of header".into()))?;
    let header =
        std::str::from_utf8(&mail[..end]).map_err(|_| Broken("a header that is not ASCII".into()))?;
    ensure!(header.is_ascii() && !header.contains('\0'), "{header:?}");
    let names: Vec<&str> = header
        .split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(": ").map_or(line, |(name, _)| name))
        .collect();
    let mut expected = OURS.to_vec();
    expected.push("Content-Transfer-Encoding");
    ensure!(names == expected, "fields {names:?}");
    let whole = mail.split(|octet| *octet == b'\n').all(|line| line.len() <= 999 && !line.contains(&0));
    ensure!(whole, "a line too long, or a NUL");
    ensure!(!mail.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r'), "a bare LF");
    ensure!(mail_flag(&mail, &FlagRules::default()) == Flag::Absent, "a flag");
    ensure!(may_convert(Some("a@example.org"), &mail, ("SMS-Bridge", "1")).is_err(), "no trace of ours");
    Ok(())
}
