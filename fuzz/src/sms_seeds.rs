//! Seeds of the SMS targets: honest traffic, and the bad input that centres and phones really send.

use crate::seeds::seed;
use smsbridge::smpp::pdu::{Bind, DeliverSm, SubmitSm};
use smsbridge::smpp::{Body, EsmClass, Pdu, SequenceNumber, Tag};
use std::io;

/// Writes them.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write() -> io::Result<()> {
    links()?;
    for (name, octets) in [
        ("fields-1", &[0u8, 3, 65, 66, 67, 1, 1, 5, 49, 48, 48, 56, 54, 1, 13][..]),
        ("fields-2", &[1; 120]),
        ("fields-3", &[2, 60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 4, 36, 0]),
    ] {
        seed("smpp_model", name, octets)?;
    }
    for (name, octets) in [
        ("bind-and-send", &[2u8, 0, 255, 2, 1, 255, 0, 0, 2, 0, 255, 1, 1, 0, 2, 1, 255][..]),
        ("spoiled", &[2, 0, 255, 2, 1, 255, 0, 0, 3, 0, 3, 255, 2, 0, 255, 5, 255, 255, 5, 255, 255]),
        ("cut", &[2, 0, 255, 2, 1, 255, 0, 0, 0, 0, 7]),
        ("unbind", &[2, 0, 255, 2, 1, 255, 0, 0, 6, 0, 2, 0, 255, 1, 1, 0, 2, 1, 255, 5, 255, 255]),
    ] {
        seed("smpp_operations", name, octets)?;
    }
    texts()?;
    mails()?;
    for (name, text) in [
        ("plain", "#1#bob@example.org(Lunch)At noon?"),
        ("hash", "bob@example.org##Lunch#At noon?"),
        ("name", "bob@example.org#Ann Example##Lunch#At noon?"),
        ("injection", "bob@example.org(x\r\nBcc: eve@example.org\r\n\r\nhi)y"),
        ("name-injection", "bob@example.org#Ann\r\nSMS-Convert: 1#text"),
        ("typed", "bob*example.org hello"),
        ("word", "=?utf-8?B?AAAA?= =?x?q?=00?="),
        ("several", "a@x.org,b@y.org hello"),
        ("bidi", "\u{202E}gro.elpmaxe@bob\u{200B} hi \u{1F44D}\u{1F3FD}"),
    ] {
        seed("sms_to_mail", name, text.as_bytes())?;
    }
    Ok(())
}

fn links() -> io::Result<()> {
    let mut submit = SubmitSm::default();
    let bad = |_| io::ErrorKind::InvalidData;
    submit.source_addr = "10086".try_into().map_err(bad)?;
    submit.destination_addr = "8613800138000".try_into().map_err(bad)?;
    submit.short_message = "hello".try_into().map_err(bad)?;
    let plain = Pdu::new(SequenceNumber(1), &Body::SubmitSm(submit.clone())).encode();
    seed("smpp_pdu", "submit", &plain)?;
    seed("smpp_pdu", "threat-p1-cut-with-another-behind", &[&plain[..plain.len() - 3], &plain[..]].concat())?;
    for (name, tag, value) in [
        ("sar-two-octets", Tag::SAR_TOTAL_SEGMENTS, &[0, 3][..]),
        ("payload", Tag::MESSAGE_PAYLOAD, &[b'x'; 300]),
        ("vendor", Tag(0x1400), &[1]),
        ("no-nul", Tag::RECEIPTED_MESSAGE_ID, b"abc"),
    ] {
        let mut with = submit.clone();
        with.tlvs.push(tag, value).map_err(bad)?;
        seed("smpp_pdu", name, &Pdu::new(SequenceNumber(2), &Body::SubmitSm(with)).encode())?;
    }
    let mut past = plain.to_vec();
    past.extend_from_slice(&[0x04, 0x24, 0xFF, 0xFF, 1]);
    past[3] += 5;
    seed("smpp_pdu", "threat-p1-tlv-past-the-end", &past)?;
    let mut receipt = DeliverSm::default();
    receipt.esm_class = EsmClass::RECEIPT;
    receipt.short_message =
        "id:00a1 sub:001 dlvrd:001 submit date:2611220742 done date:2611220742 stat:DELIVRD err:000 text:hi"
            .try_into()
            .map_err(bad)?;
    seed("smpp_pdu", "receipt", &Pdu::new(SequenceNumber(0xFFFF_FFFF), &Body::DeliverSm(receipt)).encode())?;
    let bind = Pdu::new(SequenceNumber(1), &Body::BindTransceiver(Bind::default())).encode();
    let enquire = Pdu::new(SequenceNumber(2), &Body::EnquireLink).encode();
    seed("smpp_pdu", "session", &[&bind[..], &enquire, &plain, &enquire].concat())?;
    seed("smpp_pdu", "threat-p1-length-0", &[0; 20])?;
    seed("smpp_pdu", "threat-p1-length-max", &[0xFF; 20])
}

fn texts() -> io::Result<()> {
    for (name, octets) in [
        ("gsm", &b"\x00\x00hello"[..]),
        ("at-first-and-last", b"\x00\x00\x00hi\x00"),
        ("escape-last", b"\x00\x00hi\x1b"),
        ("escape-escape", b"\x00\x00\x1b\x1bx"),
        ("euro", b"\x00\x00\x1be"),
        ("odd-ucs2", b"\x00\x08\x00a\xd8"),
        ("lone-surrogate", b"\x00\x08\xd8\x00\x00a"),
        ("bom", b"\x00\x08\xfe\xff\x00a"),
        ("udh-longer-than-text", b"\x40\x00\x50hi"),
        ("udh-empty", b"\x40\x00"),
        ("concat", b"\x40\x00\x05\x00\x03\x01\x02\x01hi"),
        ("concat-total-0", b"\x40\x00\x05\x00\x03\x01\x00\x01hi"),
        ("concat-number-0", b"\x40\x00\x05\x00\x03\x01\x02\x00hi"),
        ("concat-beyond", b"\x40\x00\x05\x00\x03\x01\x02\x03hi"),
        ("ports", b"\x40\x04\x06\x05\x04\x0b\x84\x23\xf0\x01"),
        ("national", b"\x40\x00\x03\x25\x01\x01hi"),
        ("packed", b"\x00\xf0\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37"),
        ("ucs2-under-0", b"\x01\x00\x00h\x00i"),
        ("two-ids", b"\x04\x00id:1 id:2 stat:DELIVRD text:id:3"),
        ("long", &[b'a'; 252]),
        ("emoji", "\u{0}\u{8}👨‍👩‍👧 中文 é".as_bytes()),
    ] {
        seed("sms_text", name, octets)?;
    }
    Ok(())
}

fn mails() -> io::Result<()> {
    let plain =
        "From: Ann <ann@example.org>\r\nSubject: Lunch\r\nSMS-Convert: 1\r\n\r\nAt noon?\r\n-- \r\nAnn\r\n";
    let html =
        "Content-Type: text/html\r\nSMS-Convert: 1\r\n\r\n<p>a<a href=http://x>b</a><script>c</script>";
    let mut deep = String::new();
    for level in 0..300 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
    }
    for (name, mail) in [
        ("plain", plain),
        ("html", html),
        ("flag-01", "SMS-Convert: 01\r\n\r\nx\r\n"),
        ("flag-folded", "SMS-Convert:\r\n 1\r\n\r\nx\r\n"),
        ("flag-twice", "SMS-Convert: 1\r\nSMS-Convert: 0\r\n\r\nx\r\n"),
        ("flag-in-body", "A: b\r\n\r\nSMS-Convert: 1\r\n"),
        ("flag-wide", "SMS-Convert: \u{FF11}\r\n\r\nx\r\n"),
        ("no-end-boundary", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhi"),
        ("base64-junk", "Content-Transfer-Encoding: base64\r\nSMS-Convert: 1\r\n\r\n!!!@@@\r\n"),
        ("charset-lie", "Content-Type: text/plain; charset=us-ascii\r\nSMS-Convert: 1\r\n\r\n\u{4f60}\r\n"),
        ("word-split", "Subject: =?utf-8?B?5L0=?= =?utf-8?B?oA==?=\r\nSMS-Convert: 1\r\n\r\nx\r\n"),
        (
            "winmail",
            "Content-Type: application/ms-tnef; name=winmail.dat\r\nSMS-Convert: 1\r\n\r\n\u{1}\u{2}\r\n",
        ),
        ("empty", "SMS-Convert: 1\r\n\r\n"),
        ("deep", deep.as_str()),
    ] {
        seed("mail_to_sms", name, mail.as_bytes())?;
    }
    Ok(())
}
