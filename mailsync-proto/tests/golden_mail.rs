//! Files on disk that must stay readable: objects on the wire and stored forms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::forward::{About, Kind};
use mailsync_proto::mail::mailbox::{changed_value, mail_value};
use mailsync_proto::mail::outbox::SendJob;
use mailsync_proto::mail::{Email, Folder, MailFields, Role};
use mailsync_proto::sync::store::Item;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str, now: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(name), now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path(name)).unwrap(), now, "{name}");
}

fn object(name: &str) -> Bytes {
    std::fs::read_to_string(path(name)).unwrap().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n"
}

fn unhex(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let digits: Vec<u8> = text.trim().bytes().collect();
    digits.chunks(2).map(|p| u8::from_str_radix(core::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

#[test]
fn objects_read_to_the_same_value() {
    for name in ["email-whole.xml", "email-funambol-quirk.xml", "email-flags.xml"] {
        let email = Email::parse(&object(name)).unwrap();
        golden(&name.replace(".xml", ".txt"), &format!("{email:#?}\n"));
        assert_eq!(Email::parse(&email.to_xml()).unwrap(), email);
    }
    let folder = Folder::parse(&object("folder.xml")).unwrap();
    golden("folder.txt", &format!("{folder:#?}\n"));
    assert_eq!(folder.to_xml(), object("folder.xml"));
}

#[test]
fn what_we_write_stays_the_same() {
    assert_eq!(Email::parse(&object("email-whole.xml")).unwrap().to_xml(), object("email-whole.xml"));
}

#[test]
fn stored_forms_stay_readable() {
    let mut fields = MailFields::default();
    fields.merge(&Email::parse(&object("email-whole.xml")).unwrap(), false);
    fields.draft = true;
    golden("mail-fields-v1.hex", &hex(&fields.to_fields()));
    assert_eq!(MailFields::from_fields(&unhex("mail-fields-v1.hex")).unwrap(), fields);
    let mut item = Item {
        guid: Guid::unvalidated("m1"),
        rev: 7,
        body_rev: 7,
        deleted: false,
        value: mail_value(Role::Inbox.guid(), &fields, b"Subject: x\r\n\r\n"),
        size: 14,
    };
    fields.answered = true;
    item.value = changed_value(&item, Some(Role::Trash.guid()), &fields);
    golden("mail-fields-v2.hex", &hex(&item.value.fields));
    assert_eq!(MailFields::from_fields(&unhex("mail-fields-v2.hex")).unwrap(), fields);

    let folder = Folder::parse(&object("folder.xml")).unwrap();
    golden("folder-fields-v1.hex", &hex(&folder.to_fields()));
    assert_eq!(Folder::from_fields(&unhex("folder-fields-v1.hex")).unwrap(), folder);

    let message = b"From: a@b.example\r\nTo: c@d.example, no one\r\nIn-Reply-To: <1@x>\r\n\r\nhi\r\n";
    let job = SendJob::new("ann", &"m1".parse().unwrap(), message, "b.example", 1_186_444_800).unwrap();
    golden("send-job-v1.hex", &hex(&job.to_bytes()));
    assert_eq!(SendJob::from_bytes(&unhex("send-job-v1.hex")).unwrap(), job);

    let mut begun = job;
    begun.progress.taken.push("c@d.example".into());
    begun.progress.refused.push(("e@f.example".into(), "550 5.1.1 no".into()));
    begun.progress.doubts = 1;
    golden("send-job-v2.hex", &hex(&begun.to_bytes()));
    assert_eq!(SendJob::from_bytes(&unhex("send-job-v2.hex")).unwrap(), begun);

    begun.about = Some(About { kind: Kind::Forward, guid: "m7".parse().unwrap() });
    golden("send-job-v3.hex", &hex(&begun.to_bytes()));
    assert_eq!(SendJob::from_bytes(&unhex("send-job-v3.hex")).unwrap(), begun);
}
