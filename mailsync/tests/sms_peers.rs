//! The exchange against software that nobody here wrote: the npm package `smpp` as a centre, Kannel as a client of
//! ours, swaks and Postfix for mail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{
    Centre, Kannel, Lab, MailServers, PASSWORD, Phone, Postfix, field, free_port, mailsync, read_mail, swaks,
    wait_for,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PHONE: &str = "+8613800138000";

const COMMON: &str = r#"
numbers = ["10086"]
metrics = "127.0.0.1:0"
trusted = ["127.0.0.1"]
"#;

fn mail(headers: &str, text: &str) -> String {
    format!(
        "From: Bo <bo@example.org>\r\nTo: ana@example.org\r\nMessage-ID: <m1@example.org>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n{headers}SMS-Convert: 1\r\n\r\n{text}\r\n"
    )
}

/// A lab whose only centre is this one; ana is bound to PHONE.
fn with(centre: &Centre, more: &str) -> Lab {
    let lab = Lab::new(&format!("{COMMON}{}", centre.config(more)));
    assert_eq!(lab.run(&["bind", "add", PHONE, "ana@example.org"]).code, 0);
    lab
}

fn text(event: &Value) -> &str {
    event["text"].as_str().unwrap()
}

// mission: S1
#[test]
fn a_foreign_centre_reads_every_kind_of_text() {
    let centre = Centre::start(&[]);
    let lab = with(&centre, "");
    let exchange = lab.start(&[]);
    for (written, coding, parts) in [
        ("Plain seven bits", 0, 1),
        ("Extension {[~]} €5 \\ ^ |", 0, 1),
        ("你好，世界", 8, 1),
        ("Smile 👍🏽 👨‍👩‍👧", 8, 1),
        (&"three parts of text ".repeat(19), 0, 3),
        (&"三部分".repeat(50), 8, 3),
    ] {
        let reply = exchange.mail("bo@example.org", &["ana@example.org"], &mail("", written));
        assert!(reply.starts_with("250 "), "{reply}");
        let submits: Vec<Value> = (0..parts).map(|_| centre.event("submit")).collect();
        let joined: String = submits.iter().map(text).collect();
        assert_eq!(joined, format!("bo@example.org {}", written.trim_end()));
        for (at, submit) in submits.iter().enumerate() {
            assert_eq!(
                (&submit["dcs"], &submit["to"]),
                (&json!(coding), &json!("8613800138000")),
                "{submit}"
            );
            assert_eq!(submit["from"], "10086");
            let udh = submit["udh"].as_str().unwrap();
            let number = format!("{:02x}{:02x}", parts, at + 1);
            assert!(if parts == 1 { udh.is_empty() } else { udh.ends_with(&number) }, "{submit}");
        }
    }
    assert!(exchange.process.stop().success());
    assert_eq!(centre.event("close")["ev"], "close", "unbound, and closed");
}

#[test]
fn receipts_with_ids_in_another_radix_become_delivery_reports() {
    for ids in ["hexdec", "dechex"] {
        let centre = Centre::start(&[("IDS", ids), ("REFUSE", "8613900139000")]);
        let lab = with(&centre, "");
        let exchange = lab.start(&[]);
        let wanted = "ana@example.org NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ana@example.org";
        let long = "three parts of text ".repeat(19);
        for words in ["short", &long] {
            let reply = exchange.mail("bo@example.org", &[wanted], &mail("", words));
            assert!(reply.starts_with("250 "), "{reply}");
        }
        for report in lab.wait_synced(&exchange, "bo", 2) {
            for line in [
                "Action: delivered",
                "Status: 2.0.0",
                "Final-Recipient: rfc822; ana@example.org",
                "Return-Path: <>",
            ] {
                assert!(report.contains(line), "{line}: {report}");
            }
        }
        // refused for good by the centre
        let bare = "+8613900139000@sms.example.org";
        assert!(exchange.mail("bo@example.org", &[bare], &mail("", "x")).starts_with("250 "));
        let reports = lab.wait_synced(&exchange, "bo", 3);
        let failed = reports.iter().find(|report| report.contains("Action: failed")).unwrap();
        assert!(failed.contains("Diagnostic-Code: X-SMPP; UNDELIVERABLE err:RINVDSTADR"), "{failed}");
        wait_for("an empty queue", || {
            exchange.metric("mailsync_sms_queue{link=\"smsc:node\",state=\"taken\"}") == 0
        });
        assert!(exchange.process.stop().success());
    }
}

#[test]
fn a_wrong_password_is_not_hammered() {
    let centre = Centre::start(&[("PASSWD", "other")]);
    let lab = with(&centre, "");
    let exchange = lab.start(&[]);
    let reply = exchange.mail("bo@example.org", &["ana@example.org"], &mail("", "waits"));
    assert!(reply.starts_with("250 "), "stored, whatever the centre says: {reply}");
    assert_eq!(centre.event("bind")["ok"], false);
    wait_for("the log", || exchange.process.stderr().contains("bind refused: check the account"));
    assert!(centre.poll("bind", Duration::from_secs(5)).is_none(), "a second try came at once");
    assert_eq!(exchange.metric("mailsync_sms_queue{link=\"smsc:node\",state=\"waiting\"}"), 1);
    assert!(exchange.process.stop().success());
}

#[test]
fn throttling_slows_down_and_loses_nothing() {
    let centre = Centre::start(&[("THROTTLE", "2")]);
    let lab = with(&centre, "");
    let exchange = lab.start(&[]);
    let began = Instant::now();
    for n in 0..5 {
        let reply = exchange.mail("bo@example.org", &["ana@example.org"], &mail("", &format!("number {n}")));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let mut seen = BTreeMap::new();
    while seen.len() < 5 || seen.values().sum::<u32>() < 7 {
        *seen.entry(text(&centre.event("submit")).to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen.values().sum::<u32>(), 7, "two were refused and came again: {seen:?}");
    assert!(began.elapsed() >= Duration::from_millis(900), "after a pause");
    assert_eq!(exchange.metric("mailsync_sms_throttled"), 2);
    wait_for("an empty queue", || exchange.metric("mailsync_sms_parts_taken") == 5);
    assert!(exchange.process.stop().success());
}

// threat: P2
#[test]
fn a_cut_link_loses_nothing_and_doubles_only_what_is_in_doubt() {
    const MAILS: usize = 40;
    let centre = Centre::start(&[("CUT", "17")]);
    let lab = with(&centre, "");
    let exchange = lab.start(&[]);
    for n in 0..MAILS {
        let reply = exchange.mail("bo@example.org", &["ana@example.org"], &mail("", &format!("number {n}")));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let until = Instant::now() + Duration::from_secs(60);
    while seen.len() < MAILS && Instant::now() < until {
        if let Some(event) = centre.poll("submit", Duration::from_secs(1)) {
            *seen.entry(text(&event).to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), MAILS, "lost: {seen:?}");
    wait_for("all answers", || exchange.metric("mailsync_sms_parts_taken") == MAILS as u64);
    let doubled = seen.values().filter(|count| **count > 1).count() as u64;
    let in_doubt = exchange.metric("mailsync_sms_in_doubt");
    let marked = exchange.process.stderr().matches("sent again, in doubt").count() as u64;
    assert!(in_doubt >= 1 && doubled <= in_doubt, "doubled {doubled}, in doubt {in_doubt}");
    assert_eq!(marked, in_doubt, "what went again is marked");
    assert!(seen.values().all(|count| *count <= 2), "{seen:?}");
    assert!(exchange.process.stop().success());
}

// threat: L5
#[test]
fn a_killed_server_takes_up_its_queue() {
    let centre = Centre::start(&[]);
    let lab = with(&centre, "");
    lab.configure(&format!("{COMMON}{}", centre.config("").replace(&centre.address, "127.0.0.1:1")));
    let exchange = lab.start(&[]);
    for n in 0..5 {
        let reply = exchange.mail("bo@example.org", &["ana@example.org"], &mail("", &format!("number {n}")));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    exchange.process.kill();
    lab.configure(&format!("{COMMON}{}", centre.config("")));
    let exchange = lab.start(&[]);
    let mut texts: Vec<String> = (0..5).map(|_| text(&centre.event("submit")).to_owned()).collect();
    texts.sort();
    let expected: Vec<String> = (0..5).map(|n| format!("bo@example.org number {n}")).collect();
    assert_eq!(texts, expected);
    assert!(exchange.process.stop().success());
}

// mission: S2
#[test]
fn short_messages_of_a_foreign_centre_become_mail() {
    let centre = Centre::start(&[]);
    let lab = with(&centre, "");
    let exchange = lab.start(&[]);
    let from = |number: &str, to: &str| json!({"source_addr": number, "destination_addr": to});
    let with = |mut fields: Value, more: Value| {
        for (name, value) in more.as_object().unwrap() {
            fields[name] = value.clone();
        }
        fields
    };
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let to_ana = from("8613900139000", "8613800138000");
    // 7 bits, the flag in the text
    centre.deliver(&with(to_ana.clone(), json!({"hex": hex(b"#1#Plain"), "data_coding": 0})));
    // extension characters: ESC 0x65 is the euro sign
    centre.deliver(&with(to_ana.clone(), json!({"hex": hex(b"#1#\x1be5 \x1b(x\x1b)"), "data_coding": 0})));
    // UCS-2 and a surrogate pair
    let ucs2: Vec<u8> = "#1#你好 👍".encode_utf16().flat_map(u16::to_be_bytes).collect();
    centre.deliver(&with(to_ana.clone(), json!({"hex": hex(&ucs2), "data_coding": 8})));
    // three parts in UDH, out of order
    let part = |number: u8, text: &str| {
        let octets = [&[5, 0, 3, 9, 3, number][..], text.as_bytes()].concat();
        with(to_ana.clone(), json!({"hex": hex(&octets), "esm_class": 0x40}))
    };
    centre.deliver(&part(3, "three"));
    centre.deliver(&part(1, "#1#one "));
    centre.deliver(&part(2, "two "));
    for _ in 0..6 {
        assert_eq!(centre.event("delivered")["status"], 0);
    }
    let mails = lab.wait_synced(&exchange, "ana", 4);
    let mut bodies: Vec<String> = mails.iter().map(|mail| read_mail(mail).1.trim_end().to_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, ["Plain", "one two three", "€5 {x}", "你好 👍"]);
    assert!(mails.iter().all(|mail| field(&read_mail(mail).0, "From").contains("<+8613900139000@")));
    // a wrong flag and none: no phone of ours has the number, so it goes nowhere; an unknown binding: the phone is told
    for words in [&b"#2#x"[..], b"x", b"#0#x"] {
        centre.deliver(&with(to_ana.clone(), json!({"hex": hex(words)})));
        assert_eq!(centre.event("delivered")["status"], 0x66);
    }
    centre.deliver(&with(from("8613900139000", "8613700137000"), json!({"hex": hex(b"#1#x")})));
    assert_eq!(centre.event("delivered")["status"], 0x66);
    let told = centre.event("submit");
    assert_eq!(
        (&told["to"], text(&told)),
        (&json!("8613900139000"), "Not sent: no mailbox is bound to this number")
    );
    assert_eq!(lab.synced(&exchange, "ana").len(), 4);
    // the same from a machine again and again: the fuse
    for _ in 0..30 {
        centre.deliver(&with(from("8613900139000", "8613700137000"), json!({"hex": hex(b"#1#loop")})));
        centre.event("delivered");
    }
    let told = std::iter::from_fn(|| centre.poll("submit", Duration::from_secs(2))).count();
    assert!(told <= 10, "told {told} times in an hour");
    assert!(exchange.process.stop().success());
}

const CLIENTS: &str = r#"
listen = "127.0.0.1:0"
[[sms.account]]
system_id = "phone2"
password_file = "@PASSWORD@"
numbers = ["+8613900139000"]
prefixes = ["+86"]
day = 1000
[[sms.account]]
system_id = "phone1"
password_file = "@PASSWORD@"
numbers = ["+8613800138000"]
prefixes = ["+86"]
"#;

// mission: S5, S6
#[test]
fn kannel_is_a_client_of_ours() {
    let lab = Lab::new(&format!("{COMMON}{CLIENTS}"));
    assert_eq!(lab.run(&["bind", "add", "+8613900139000", "bo@example.org"]).code, 0);
    let exchange = lab.start(&[]);
    let kannel = Kannel::start(&lab.path("kannel"), &exchange.smpp, PASSWORD);
    wait_for("Kannel's bind", || exchange.metric("mailsync_sms_binds") >= 1);
    // up: a phone behind Kannel writes mail
    let (own, ours) = ("+8613900139000", "10086");
    let long = "three parts of text ".repeat(19);
    kannel.send(own, ours, "#1#ana@example.org(Seven)Plain {text} €5", "&charset=UTF-8");
    kannel.send(own, ours, "#1#ana@example.org(中文)你好 👍", "&charset=UTF-8&coding=2");
    kannel.send(own, ours, &format!("#1#ana@example.org(Long){long}"), "");
    let mails = lab.wait_synced(&exchange, "ana", 3);
    let mut bodies: Vec<String> = mails.iter().map(|mail| read_mail(mail).1.trim_end().to_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, ["Plain {text} €5", long.trim_end(), "你好 👍"]);
    // down: mail to the phone behind Kannel, one and three parts, which Kannel joins
    for words in ["Down {there} €7", "下来 👍", long.trim_end()] {
        let reply =
            exchange.mail("ana@example.org", &["bo@example.org"], &mail("", words).replace("bo@", "ana@"));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    for words in ["Down {there} €7", "下来 👍", long.trim_end()] {
        kannel.fetched(words);
    }
    // across: to another client, with reports
    kannel.send(own, PHONE, "across", &kannel.reports());
    let ann = Phone { account: "phone1", number: PHONE };
    assert_eq!(ann.receive(&exchange, &lab.path("ann"), 1), [(own.to_owned(), "across".to_owned())]);
    kannel.fetched("/dlr?state=1");
    // no route: Kannel is told
    kannel.send(own, "+4915112345678", "nowhere", &kannel.reports());
    kannel.fetched("/dlr?state=16");
    // enquire_link both ways kept the link up
    assert!(!kannel.log().contains("PANIC"));
    assert!(exchange.process.stop().success());
}

#[test]
fn kannel_with_a_wrong_password_is_not_bound() {
    let lab = Lab::new(&format!("{COMMON}{CLIENTS}"));
    let exchange = lab.start(&[]);
    let kannel = Kannel::start(&lab.path("kannel"), &exchange.smpp, "wrong");
    wait_for("the refusal", || exchange.metric("mailsync_sms_binds_refused") >= 1);
    wait_for("Kannel's word", || kannel.log().contains("0x0000000d"));
    assert_eq!(exchange.metric("mailsync_sms_binds"), 0);
    assert!(exchange.process.stop().success());
}

// mission: S1, S2
#[test]
fn swaks_and_postfix_are_the_mail_side() {
    let centre = Centre::start(&[]);
    let postfix_port = free_port();
    let relay = format!("relay = \"127.0.0.1:{postfix_port}\"\nmail_to = [\"elsewhere.example\"]\n");
    let lab = Lab::new(&format!("{COMMON}{relay}{}", centre.config("")));
    assert_eq!(lab.run(&["bind", "add", PHONE, "carl@elsewhere.example"]).code, 0);
    let exchange = lab.start(&[]);
    let postfix = Postfix::start(postfix_port, &exchange.smtp);
    let flag = ["--header", "SMS-Convert: 1", "--header", "Subject: Lunch", "--body", "At noon?"];
    // swaks to us
    let to = ["--from", "ana@example.org", "--to", "carl@elsewhere.example"];
    let done = swaks(&exchange.smtp, &[&to[..], &flag].concat());
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert_eq!(text(&centre.event("submit")), "ana@example.org(Lunch)At noon?");
    // swaks, logged in
    let login = ["--auth", "PLAIN", "--auth-user", "ana", "--auth-password", "secret"];
    let done = swaks(&exchange.smtp, &[&to[..], &flag, &login].concat());
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert_eq!(text(&centre.event("submit")), "ana@example.org(Lunch)At noon?");
    // a wrong flag: unchanged to the mailbox, which is at Postfix
    let wrong = ["--header", "SMS-Convert: 2", "--header", "Subject: Wrong flag", "--body", "unchanged"];
    assert_eq!(swaks(&exchange.smtp, &[&to[..], &wrong].concat()).code, 0);
    let mails = postfix.mails(1);
    assert!(mails[0].contains("SMS-Convert: 2") && mails[0].contains("unchanged"), "{}", mails[0]);
    // the phone answers: mail to carl through Postfix
    let to_us = |octets: &[u8]| {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        json!({"source_addr": "8613800138000", "destination_addr": "10086", "dest_addr_ton": 3, "dest_addr_npi": 0,
            "hex": hex, "data_coding": 0})
    };
    // in GSM's alphabet the at sign is octet 0
    centre.deliver(&to_us(b"#1#carl\0elsewhere.example(Re: Lunch)Yes"));
    assert_eq!(centre.event("delivered")["status"], 0);
    let mails = postfix.mails(2);
    let answer = mails.iter().find(|mail| mail.contains("Re: Lunch")).unwrap();
    assert!(answer.replace("\r\n", "\n").contains("SMS-Bridge: example.org"), "{answer}");
    // an address that Postfix refuses: the phone is told
    centre.deliver(&to_us(b"#1#nobody\0elsewhere.example(x)y"));
    let told = centre.event("submit");
    assert!(text(&told).starts_with("Mail to nobody@elsewhere.example not delivered: 550"), "{told}");
    // Postfix to us: an unknown binding comes back as a bounce with our reason, into the synced mailbox
    let to = ["--from", "ana@example.org", "--to", "bo@example.org"];
    let done = swaks(&postfix.smtp, &[&to[..], &flag].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let bounce = &lab.wait_synced(&exchange, "ana", 1)[0];
    assert!(bounce.contains("no phone number is bound to this address"), "{bounce}");
    // and a number address through Postfix
    // swaks takes a word that begins with a plus for an option
    let to = ["--from", "ana@example.org", "--to", "<+8613800138000@sms.example.org>"];
    let done = swaks(&postfix.smtp, &[&to[..], &flag].concat());
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(text(&centre.event("submit")), "ana@example.org(Lunch)At noon?");
    assert!(exchange.process.stop().success());
}

// mission: S5; threat: P9
#[test]
fn links_are_encrypted_certificates_are_checked_and_the_relay_asks_for_a_login() {
    let servers = MailServers::start().with_postfix();
    let (ca, relay) = (servers.ca(), servers.address("smtp"));
    let tls = |name: &str| ca.replace("ca.pem", name);
    let sms_part = Lab::new(&format!(
        "listen_tls = \"127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"\n\
         [[sms.account]]\nsystem_id = \"mailpart\"\npassword_file = \"@PASSWORD@\"\nnumbers = [\"10086\"]\n\
         prefixes = [\"+86\"]\nconverts = true\n\
         [[sms.account]]\nsystem_id = \"phone1\"\npassword_file = \"@PASSWORD@\"\nnumbers = [\"{PHONE}\"]\n\
         prefixes = [\"+86\"]",
        tls("cert.pem"),
        tls("key.pem")
    ));
    let sms = sms_part.start(&["--only", "bridge-sms"]);
    assert!(sms.smpp.is_empty() && !sms.smpps.is_empty());
    let secret = sms_part.path("relay");
    std::fs::write(&secret, "lab-alice\n").unwrap();
    let mail_part = Lab::new(&format!(
        "numbers = [\"10086\"]\ntrusted = [\"127.0.0.1\"]\nmail_to = [\"away.example\"]\nca = \"{ca}\"\n\
         relay = \"{relay}\"\nrelay_tls = \"starttls\"\nrelay_user = \"alice\"\nrelay_password_file = \"{}\"\n\
         [[sms.smsc]]\nname = \"smspart\"\naddress = \"{}\"\ntls = true\nsystem_id = \"mailpart\"\n\
         password_file = \"@PASSWORD@\"\nprefixes = [\"+86\"]",
        secret.display(),
        sms.smpps
    ));
    let bridge = mail_part.start(&["--only", "bridge-mail"]);
    // whose certificate is not vouched for is not given the password
    let send = |trust: &[&str]| {
        let link =
            ["sms", "send", "--server", &sms.smpps, "--account", "phone1", "--from", PHONE, "--to", "10086"];
        mailsync(
            &[&link[..], trust, &["--mail-to", "far@away.example", "--", "over TLS all the way"]].concat(),
        )
    };
    let strange = send(&["--tls"]);
    assert!(strange.code == 1 && strange.stderr.contains("TLS"), "{strange:?}");
    let sent = send(&["--tls", "--ca", &ca]);
    assert_eq!(sent.code, 0, "{sent:?}");
    // phone, SMS part, mail part, Postfix: each link encrypted, the last one logged in
    wait_for("the mail", || !servers.sink.mails().is_empty());
    let (mail, envelope) = &servers.sink.mails()[0];
    assert!(read_mail(mail).1.contains("over TLS all the way"), "{mail}");
    assert!(envelope.contains("far@away.example"), "{envelope}");
    assert!(bridge.process.stop().success() && sms.process.stop().success());
}
