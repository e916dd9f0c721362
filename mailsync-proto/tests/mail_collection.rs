//! Mail items between a client and a server, through the collection alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{Mailbox, item};
use mailsync_proto::mail::mailbox::{KIND_FOLDER, KIND_MAIL};
use mailsync_proto::mail::outbox::{Outcome, Refused, SendJob, settle};
use mailsync_proto::mail::{Folder, MailFields, Role, SendOutcome};
use mailsync_proto::sync::collection::{Absorbed, Both, Collection, Stop};
use mailsync_proto::sync::store::{Item, ItemValue, Write};
use syncml::StatusCode;

const TYPE: &str = "application/vnd.omads-email+xml";
const MAIL: &str = "From: ann@a.example\r\nTo: bob@b.example\r\nBcc: eve@e.example\r\nSubject: hi\r\n\
    Date: Tue, 7 Aug 2007 00:00:00 +0000\r\nMessage-ID: <1@a>\r\n\r\nbody\r\n";

fn whole(message: &str) -> String {
    let escaped = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<Email><emailitem>{escaped}</emailitem></Email>")
}

fn status(result: Result<Absorbed, Stop>) -> StatusCode {
    match result {
        Err(Stop::Refuse(status, _)) => status,
        other => panic!("{other:?}"),
    }
}

// mission: M5b
#[test]
fn a_flag_only_replace_changes_what_it_names() {
    let mut there = Mailbox::server();
    let stored = there.put("m1", Role::Inbox, MAIL);
    let came = there.absorb(TYPE, "<Email><read>true</read></Email>", None, Some(&stored), "m1").unwrap();
    assert_eq!(came.body, None);
    assert_eq!(came.value.parent, stored.value.parent);
    assert_eq!(came.value.match_keys, stored.value.match_keys);
    let fields = MailFields::from_fields(&came.value.fields).unwrap();
    assert!(fields.read && !fields.flagged);
    assert_eq!(fields.modified, Some(there.now));
    // Of a mail that is not here it is no mail.
    let lone = there.absorb(TYPE, "<Email><read>true</read></Email>", Some(Role::Sent), None, "m2");
    assert_eq!(status(lone), StatusCode::INCOMPLETE);
}

// mission: M1
#[test]
fn adding_to_the_outbox_queues_it_once() {
    let mut there = Mailbox::server();
    let came = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m1").unwrap();
    assert_eq!(came.effects.len(), 2);
    let Write::Once(user, key, guid) = &came.effects[0] else { panic!("{came:?}") };
    assert_eq!((&**user, &**key, guid.as_str()), ("ann", "send:1@a", "m1"));
    let Write::Enqueue(queue, _, content) = &came.effects[1] else { panic!("{came:?}") };
    assert_eq!(&**queue, "send");
    let job = SendJob::from_bytes(content).unwrap();
    assert_eq!(job.recipients, ["bob@b.example".into(), "eve@e.example".into()]);
    assert_eq!(job.sender.as_deref(), Some("ann@a.example"));
    assert!(!job.add_message_id && job.set_date.is_none());
    assert_eq!(&*job.wire_copy(MAIL.as_bytes()), MAIL.replace("Bcc: eve@e.example\r\n", "").as_bytes());
    there.commit(&came, "m1");

    // A slow sync adds it again under another id: bound, not sent.
    let again = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m9").unwrap();
    assert_eq!(again.same_as.as_ref().map(|g| g.as_str()), Some("m1"));
    assert_eq!(again.effects, []);
    assert_eq!(again.body, None);
    // The same when the first one is gone: it is kept as sent, and not sent.
    there.items.get_mut("m1").unwrap().deleted = true;
    let again = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m9").unwrap();
    assert_eq!((again.same_as, again.effects), (None, vec![]));
    assert_eq!(again.value.parent, Some(Role::Sent.guid()));
}

#[test]
fn threat_s12_twice_in_one_turn_is_sent_once() {
    let mut there = Mailbox::server();
    let first = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m1").unwrap();
    there.pending = first.effects.clone();
    there.items.insert("m1".into(), item("m1", first.value));
    let second = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m2").unwrap();
    assert_eq!(second.effects, []);
    assert_eq!(second.same_as.as_ref().map(|g| g.as_str()), Some("m1"));
}

#[test]
fn a_mail_without_id_and_date_gets_both() {
    let mut there = Mailbox::server();
    let bare = "From: ann@a.example\nTo: bob@b.example\n\nbody\rx";
    let came = there.absorb(TYPE, &whole(bare), Some(Role::Outbox), None, "m1").unwrap();
    let Write::Enqueue(_, _, content) = &came.effects[1] else { panic!() };
    let job = SendJob::from_bytes(content).unwrap();
    assert!(job.add_message_id && job.set_date == Some(there.now));
    let wire = job.wire_copy(bare.as_bytes());
    let want = format!(
        "Date: Tue, 7 Aug 2007 00:00:00 +0000\r\nMessage-ID: <{}>\r\nFrom: ann@a.example\r\nTo: bob@b.example\r\n\r\nbody\r\nx",
        job.message_id
    );
    assert_eq!(String::from_utf8_lossy(&wire), want);
    assert!(job.message_id.ends_with("@a.example"));
    // A device whose clock is in 1980 or 2030 is set right.
    for date in ["Tue, 1 Jan 1980 00:00:00 +0000", "Tue, 1 Jan 2030 00:00:00 +0000"] {
        let message = MAIL.replace("Tue, 7 Aug 2007 00:00:00 +0000", date);
        let job =
            SendJob::new("ann", &"m1".parse().unwrap(), message.as_bytes(), "a.example", there.now).unwrap();
        let wire = String::from_utf8_lossy(&job.wire_copy(message.as_bytes())).into_owned();
        assert_eq!(wire.matches("Date:").count(), 1);
        assert!(wire.contains("Date: Tue, 7 Aug 2007 00:00:00 +0000"));
    }
}

#[test]
fn threat_m2_recipients_cannot_inject() {
    let message = "From: ann@a.example\r\nTo: \"x\r\n RCPT\" <bob@b.example>, <e@f>evil, a@b\0c, =?utf-8?q?a=0D=0A@b?= <c@d>, \"a b\"@c, <d@e\r\n >\r\n\r\nx";
    let job = SendJob::new("ann", &"m1".parse().unwrap(), message.as_bytes(), "a.example", 1).unwrap();
    for address in &job.recipients {
        assert!(address.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>'), "{address:?}");
    }
    assert!(job.invalid.iter().all(|a| !a.chars().any(char::is_control)));
    assert!(job.recipients.iter().any(|a| &**a == "bob@b.example"));
    let nul = job.refusal(message.as_bytes()).unwrap();
    assert!(nul.refused[0].words.contains("NUL"), "{nul:?}");
    let nobody = SendJob::new("ann", &"m1".parse().unwrap(), b"Subject: x\r\n\r\n", "a.example", 1).unwrap();
    assert_eq!(nobody.refusal(b"").unwrap().refused.len(), 1);
}

#[test]
fn threat_m2_a_bare_cr_makes_no_header_field() {
    let message = "From: ann@a.example\r\nTo: bob@b.example\r\nSubject: x\rX-Evil: 1\r\n\r\n.\r.\n";
    let job = SendJob::new("ann", &"m1".parse().unwrap(), message.as_bytes(), "a.example", 1).unwrap();
    let wire = String::from_utf8_lossy(&job.wire_copy(message.as_bytes())).into_owned();
    assert!(wire.contains("\r\nSubject: x X-Evil: 1\r\n\r\n.\r\n.\r\n"), "{wire:?}");
}

// mission: M1
#[test]
fn taken_by_all_it_moves_to_sent_and_marks_what_it_answers() {
    let mut there = Mailbox::server();
    there.put("orig", Role::Inbox, "Message-ID: <0@z>\r\n\r\nhello");
    there.once.insert("mid:0@z".into(), "orig".parse().unwrap());
    let message = MAIL
        .replace("Subject: hi\r\n", "Subject: hi\r\nIn-Reply-To: <0@z>\r\nX-Forwarded-Message-Id: <0@z>\r\n");
    let came = there.absorb(TYPE, &whole(&message), Some(Role::Outbox), None, "m1").unwrap();
    there.commit(&came, "m1");
    let job = job(&came);
    let outcome = Outcome { taken: job.recipients.clone(), ..Outcome::default() };
    let writes = there.run(|reader| settle(reader, &job, &outcome, "a.example", 9));
    assert!(matches!(&writes[0], Write::Dequeue(queue, _) if &**queue == "send"));
    let (value, body) = put(&writes[1], "m1");
    assert_eq!(value.parent, Some(Role::Sent.guid()));
    assert_eq!(body, None);
    let fields = MailFields::from_fields(&value.fields).unwrap();
    assert_eq!(fields.send.unwrap().outcome, SendOutcome::Sent);
    let (original, _) = put(&writes[2], "orig");
    let fields = MailFields::from_fields(&original.fields).unwrap();
    assert!(fields.answered && fields.forwarded);
    assert_eq!(writes.len(), 3);
}

// mission: M1
#[test]
fn refused_by_all_it_stays_with_the_servers_words_and_bounces() {
    let mut there = Mailbox::server();
    let came = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m1").unwrap();
    there.commit(&came, "m1");
    let job = job(&came);
    let refuse = |r: &str| Refused { recipient: r.into(), words: "550 5.1.1 no such user".into() };
    let outcome =
        Outcome { refused: job.recipients.iter().map(|r| refuse(r)).collect(), ..Outcome::default() };
    let writes = there.run(|reader| settle(reader, &job, &outcome, "a.example", 9));
    assert_eq!(writes.len(), 3);
    let (value, _) = put(&writes[1], "m1");
    assert_eq!(value.parent, Some(Role::Outbox.guid()));
    let send = MailFields::from_fields(&value.fields).unwrap().send.unwrap();
    assert_eq!(send.outcome, SendOutcome::Failed);
    assert_eq!(&*send.words[0], "bob@b.example: 550 5.1.1 no such user");
    let Write::PutItem { value: bounce, body: Some(text), expect: None, .. } = &writes[2] else { panic!() };
    assert_eq!(bounce.parent, Some(Role::Inbox.guid()));
    assert!(String::from_utf8_lossy(text).contains("Final-Recipient: rfc822; eve@e.example\r\n"));

    // The client sees it in the same words.
    let mut item = there.items["m1"].clone();
    item.value = value.clone();
    let wire = there.project(&item, true, &[], None);
    let client = Mailbox::client().absorb(TYPE, &wire, None, Some(&item), "m1").unwrap();
    assert_eq!(MailFields::from_fields(&client.value.fields).unwrap().send, Some(send));

    // A better version of it is sent anew; the same Message-ID is no obstacle.
    there.items.insert("m1".into(), item.clone());
    let better = MAIL.replace("bob@b.example", "rob@b.example");
    let retry = there.absorb(TYPE, &whole(&better), None, Some(&item), "m1").unwrap();
    assert!(matches!(&retry.effects[..], [Write::Enqueue(..)]), "{:?}", retry.effects);
}

#[test]
fn an_unknown_outcome_is_no_bounce() {
    let mut there = Mailbox::server();
    let came = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m1").unwrap();
    there.commit(&came, "m1");
    let outcome = Outcome { unknown: Some("no answer after DATA".into()), ..Outcome::default() };
    let job = job(&came);
    let writes = there.run(|reader| settle(reader, &job, &outcome, "a.example", 9));
    assert_eq!(writes.len(), 2);
    let send = MailFields::from_fields(&put(&writes[1], "m1").0.fields).unwrap().send.unwrap();
    assert_eq!((send.outcome, &*send.words[0]), (SendOutcome::Unknown, "no answer after DATA"));
}

#[test]
fn while_queued_it_may_be_taken_back_and_not_changed() {
    let mut there = Mailbox::server();
    let came = there.absorb(TYPE, &whole(MAIL), Some(Role::Outbox), None, "m1").unwrap();
    let queued = there.commit(&came, "m1");
    // The same again changes nothing.
    let same = there.absorb(TYPE, &whole(MAIL), None, Some(&queued), "m1").unwrap();
    assert_eq!((same.body, same.effects), (None, vec![]));
    let other = there.absorb(TYPE, &whole(&MAIL.replace("body", "new")), None, Some(&queued), "m1");
    assert_eq!(status(other), StatusCode::CONFLICT);
    let back = there.absorb(TYPE, "<Email/>", Some(Role::Drafts), Some(&queued), "m1").unwrap();
    assert!(matches!(&back.effects[..], [Write::Dequeue(..)]));
    let draft = there.commit(&back, "m1");
    let fields = MailFields::from_fields(&draft.value.fields).unwrap();
    assert!(fields.draft && fields.send.is_none());
    // And sent after all, by a move without its message.
    let sent = there.absorb(TYPE, "<Email/>", Some(Role::Outbox), Some(&draft), "m1").unwrap();
    assert!(matches!(&sent.effects[..], [Write::Enqueue(..)]));
    assert_eq!(sent.body, None);
    let removed = there.removed(&queued, true).unwrap();
    assert!(matches!(&removed[..], [Write::Dequeue(..)]));
    assert_eq!(there.removed(&queued, false).unwrap(), []);
}

#[test]
fn a_client_adds_to_sent_drafts_trash_but_not_to_the_inbox() {
    let mut there = Mailbox::server();
    for role in [Role::Sent, Role::Drafts, Role::Trash] {
        let came = there.absorb(TYPE, &whole(MAIL), Some(role), None, "m1").unwrap();
        assert_eq!((came.unless_matched, came.effects), (None, vec![]));
        assert_eq!(came.value.parent, Some(role.guid()));
    }
    let inbox = there.absorb(TYPE, &whole(MAIL), Some(Role::Inbox), None, "m1").unwrap();
    assert_eq!(inbox.unless_matched.map(|(s, _)| s), Some(StatusCode::NOT_ALLOWED));
    // A mail that is here may be moved there.
    let trashed = there.put("m1", Role::Trash, MAIL);
    let back = there.absorb(TYPE, "<Email/>", Some(Role::Inbox), Some(&trashed), "m1").unwrap();
    assert_eq!(back.unless_matched, None);
    // A client takes what its server says.
    let taken = Mailbox::client().absorb(TYPE, &whole(MAIL), Some(Role::Inbox), None, "m1").unwrap();
    assert_eq!(taken.unless_matched, None);
    // No folder named: kept, not sent.
    let lost = there.absorb(TYPE, &whole(MAIL), None, None, "m2").unwrap();
    assert_eq!((lost.value.parent, lost.effects), (Some(Role::Drafts.guid()), vec![]));
}

#[test]
fn received_mail_is_not_rewritten_by_a_client() {
    let mut there = Mailbox::server();
    let stored = there.put("m1", Role::Inbox, MAIL);
    let other = whole(&MAIL.replace("body", "forged"));
    let came = there.absorb(TYPE, &other, None, Some(&stored), "m1").unwrap();
    assert_eq!((came.body, came.value.match_keys), (None, stored.value.match_keys.clone()));
    let client = Mailbox::client().absorb(TYPE, &other, None, Some(&stored), "m1").unwrap();
    assert!(client.body.is_some());
}

#[test]
fn folders_by_role_bind_to_the_ones_that_are_here() {
    let mut there = Mailbox::server();
    let folder = "<Folder><name>Posteingang</name><role>INBOX</role></Folder>";
    let kind = "application/vnd.omads-folder+xml";
    let came = there.absorb(kind, folder, None, None, "f7").unwrap();
    assert_eq!(came.same_as, Some(Role::Inbox.guid()));
    let inbox = item("folder-inbox", Role::Inbox.value());
    let renamed = there.absorb(kind, folder, None, Some(&inbox), "folder-inbox").unwrap();
    assert_eq!(renamed, Absorbed::new(Role::Inbox.value()));
    assert!(there.removed(&inbox, true).is_err());
    let own = there.absorb("", "<Folder><name>Work</name><x/></Folder>", None, None, "f8").unwrap();
    assert_eq!(&*own.value.kind, KIND_FOLDER);
    assert_eq!(&*Folder::from_fields(&own.value.fields).unwrap().unknown[0], "<x/>");
    let own = item("f8", own.value);
    assert!(there.project(&own, false, &[], None).contains("<name>Work</name><x/>"));
    let mixed = there.absorb(TYPE, "<Email/>", None, Some(&own), "f8");
    assert_eq!(status(mixed), StatusCode::BAD_REQUEST);
}

#[test]
fn simple_clients_get_and_give_the_bare_message() {
    let mut there = Mailbox::server();
    let stored = there.put("m1", Role::Inbox, MAIL);
    let wire = there.project(&stored, true, &["text/x-vcard", "Message/RFC822; charset=x"], Some(MAIL));
    assert_eq!(
        wire,
        format!(
            "X-Sync-Parent-Folder: inbox\r\nX-Sync-Message-Read: false\r\nX-Sync-Lastmodified: 20070807T000000Z\r\n\
             X-Sync-Message-Limit: -1\r\n{MAIL}"
        )
    );
    let sent = format!("X-Sync-Parent-Folder: OUTBOX\r\n{MAIL}");
    let came = there.absorb("message/x-rfc822", &sent, None, None, "m2").unwrap();
    assert_eq!(&*came.value.kind, KIND_MAIL);
    assert_eq!(came.body.as_deref(), Some(MAIL.as_bytes()));
    assert_eq!(came.effects.len(), 2);
    // What a device cut replaces nothing.
    let cut = format!("X-Sync-Message-Limit: 100\r\nX-Sync-Message-Read: true\r\n{}", &MAIL[..100]);
    let came = there.absorb("text/message", &cut, None, Some(&stored), "m1").unwrap();
    assert_eq!(came.body, None);
    assert!(MailFields::from_fields(&came.value.fields).unwrap().read);
    let new = there.absorb("text/message", &cut, None, None, "m3");
    assert_eq!(status(new), StatusCode::PARTIAL_ITEM_REFUSED);
}

#[test]
fn what_both_sides_set_stays_set() {
    let mut there = Mailbox::server();
    let stored = there.put("m1", Role::Inbox, MAIL);
    let theirs = there.absorb(TYPE, "<Email><read>true</read></Email>", None, Some(&stored), "m1").unwrap();
    let mut fields = MailFields::from_fields(&stored.value.fields).unwrap();
    fields.flagged = true;
    let ours = Item { value: ItemValue { fields: fields.to_fields(), ..stored.value }, ..stored };
    let both = Both { ours: &ours, theirs: &theirs.value, seen: None, server: true };
    let merged = MailFields::from_fields(&there.collection.merge(&both).fields).unwrap();
    assert!(merged.read && merged.flagged);
}

fn job(came: &Absorbed) -> SendJob {
    came.effects
        .iter()
        .find_map(|w| {
            if let Write::Enqueue(_, _, content) = w { SendJob::from_bytes(content).ok() } else { None }
        })
        .unwrap()
}

fn put<'a>(write: &'a Write, id: &str) -> (&'a ItemValue, Option<&'a Bytes>) {
    match write {
        Write::PutItem { guid, value, body, .. } if guid.as_str() == id => (value, body.as_ref()),
        other => panic!("{other:?}"),
    }
}
