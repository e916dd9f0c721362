//! Mail objects under any octets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::Mailbox;
use mailsync_proto::mail::cut::{Wanted, cut};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::outbox::SendJob;
use mailsync_proto::mail::{Email, Folder, MailFields, Role, compose::Draft, rfc822, stub, summary};
use proptest::prelude::*;

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        "[ -~\r\n\t<>&\\]äß中]{0,200}".prop_map(String::into_bytes),
        "(X-Sync-[A-Za-z-]{1,20}: [a-z0-9-]{0,5}\r\n|[A-Za-z-]{1,12}: .{0,20}\r?\n| x\r\n|\r\n|<b>\\]\\]&gt;</emailitem>){0,12}"
            .prop_map(String::into_bytes),
    ]
}

/// Documents that look like ours, with anything in them.
fn xmlish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("<Email>".to_owned()),
        Just("</Email>".to_owned()),
        Just("<emailitem enc='base64'>".to_owned()),
        Just("<emailitem>".to_owned()),
        Just("</emailitem>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("]]>".to_owned()),
        Just("]]&gt;".to_owned()),
        Just("<Ext><XNam>a</XNam>".to_owned()),
        Just("</Ext>".to_owned()),
        Just("<read>true</read>".to_owned()),
        Just("<Folder><name>".to_owned()),
        Just("&#x".to_owned()),
        Just("<!--".to_owned()),
        Just("<!DOCTYPE a [".to_owned()),
        Just("<?xml version='1.0' encoding='x'?>".to_owned()),
        "[ -~]{0,8}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|p| p.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    // Every mail comes back octet for octet, in both spellings.
    #[test]
    fn any_message_survives_project_and_absorb(message in octets()) {
        let mut there = Mailbox::server();
        let stored = there.put("m1", Role::Inbox, "");
        let body = Bytes::from(message);
        for accepts in [&[][..], &["message/rfc822"]] {
            let wire = there.project_bytes(&stored, false, accepts, Some(&body));
            let media_type = if accepts.is_empty() { "application/vnd.omads-email+xml" } else { "message/rfc822" };
            let came = Mailbox::client().absorb_bytes(media_type, &wire, Some(Role::Inbox), None, "m1").unwrap();
            prop_assert_eq!(came.body.as_ref(), Some(&body));
            if accepts.is_empty() {
                prop_assert_eq!(&came.value.fields, &stored.value.fields);
            }
        }
    }

    // What we write any XML reader reads to the same octets: no bare line end, no control, no nested CDATA.
    #[test]
    fn what_is_written_is_safe_xml(message in octets()) {
        let mut email = Email::parse(&"<Email/>".into()).unwrap();
        email.item = Some(message.into());
        let xml = email.to_xml();
        let text = core::str::from_utf8(&xml).unwrap();
        prop_assert!(!text.contains("<![CDATA["));
        prop_assert!(!text.contains("]]>"));
        prop_assert_eq!(text.replace("\r\n", ""), text.replace(['\r', '\n'], ""));
        prop_assert!(text.chars().all(|c| c >= ' ' || matches!(c, '\r' | '\n' | '\t')));
    }

    #[test]
    fn random_documents_never_panic_and_what_is_read_is_written(data in prop_oneof![xmlish(), octets()]) {
        let data = Bytes::from(data);
        if let Ok(email) = Email::parse(&data) {
            let again = Email::parse(&email.to_xml()).unwrap();
            prop_assert_eq!(again, email.clone());
            let mut fields = MailFields::default();
            fields.merge(&email, false);
            prop_assert_eq!(MailFields::from_fields(&fields.to_fields()).unwrap(), fields);
        }
        if let Ok(folder) = Folder::parse(&data) {
            prop_assert_eq!(Folder::parse(&folder.to_xml()).unwrap(), folder);
        }
        let _ = rfc822::read(&data);
        let _ = MailFields::from_fields(&data);
        let _ = SendJob::from_bytes(&data);
        let _ = summary::Summary::of(&data);
        let _ = summary::plain_text(&data);
        let _ = Draft::reply(&data, "a@b", "x");
    }

    /// What stands for a mail at a device is a small message with a header of its own and words, whatever the mail is; it names
    /// the mail, and the mail itself does not.
    #[test]
    fn what_stands_for_any_message_is_a_message(message in octets(), names in proptest::collection::vec(any::<String>(), 0..40)) {
        let parts = names.iter().map(|name| format!("--B\r\nContent-Type: a/b; name=\"{name}\"\r\n\r\nx\r\n"));
        let mixed = "Content-Type: multipart/mixed; boundary=B\r\n\r\n".to_owned() + &parts.collect::<String>();
        let guid = "m1".parse().unwrap();
        for whole in [Bytes::from(message), mixed.into()] {
            let stub = stub::write(&whole, &guid, &cut(&whole, &Wanted::HEADER).left);
            prop_assert_eq!(stub::of(&stub), Some(guid.clone()));
            prop_assert!(stub.len() < 20_000);
            let headers = Headers::parse(&stub);
            let body = stub.get(headers.body..).unwrap();
            prop_assert!(headers.is_closed() && body.starts_with(b"[open on the server]\r\n"));
            prop_assert!(std::str::from_utf8(body).is_ok());
            prop_assert_eq!(body.split(|octet| *octet == b'\n').filter(|line| line.contains(&b'\r')).count() + 1, body.split(|octet| *octet == b'\n').count());
        }
    }

    // What goes to a mail server has CRLF line ends only, no Bcc, and one Message-ID and date.
    #[test]
    fn a_wire_copy_is_fit_for_smtp(message in octets()) {
        let job = SendJob::new("ann", &"m1".parse().unwrap(), &message, "a.example", 1_186_444_800).unwrap();
        prop_assert_eq!(&SendJob::from_bytes(&job.to_bytes()).unwrap(), &job);
        let wire = job.wire_copy(&message);
        let mut before = 0;
        for &b in &wire {
            prop_assert_eq!(b == b'\n', before == b'\r');
            before = b;
        }
        prop_assert!(before != b'\r');
        let headers = mailsync_proto::mail::headers::Headers::parse(&wire);
        prop_assert!(headers.is_closed());
        prop_assert!(headers.first("Bcc").is_none());
        prop_assert!(headers.first("Date").is_some());
        prop_assert!(headers.first("Message-ID").is_some());
        // Completed once is complete.
        let again = SendJob::new("ann", &"m1".parse().unwrap(), &wire, "a.example", 1_186_444_800).unwrap();
        prop_assert_eq!(&again.message_id, &job.message_id);
        prop_assert!(again.set_date.is_none() && !again.add_message_id);
        for recipient in &job.recipients {
            prop_assert!(recipient.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>'));
        }
    }
}
