//! The exchange through the binaries, both ends ours: `mailsyncd` with `[sms]`, `mailsync sms`, `mailsync send --as-sms`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Exchange, Lab, Phone, field, mailsync, read_mail, wait_for};
use std::time::Duration;

const ANN: Phone<'static> = Phone { account: "phone1", number: "+8613800138000" };
const BEN: Phone<'static> = Phone { account: "phone2", number: "+8613900139000" };

const BASIC: &str = r#"
numbers = ["10086", "10087"]
listen = "127.0.0.1:0"
metrics = "127.0.0.1:0"
trusted = ["127.0.0.1"]
mail_to = ["elsewhere.example"]
blocked = ["+881"]
[[sms.account]]
system_id = "phone1"
password_file = "@PASSWORD@"
numbers = ["+8613800138000"]
prefixes = ["+86", "+881"]
[[sms.account]]
system_id = "phone2"
password_file = "@PASSWORD@"
numbers = ["+8613900139000"]
prefixes = ["+86"]
day = 3
"#;

fn mail(headers: &str, text: &str) -> String {
    format!(
        "From: Bo <bo@example.org>\r\nTo: ana@example.org\r\nSubject: Lunch\r\nMessage-ID: <m1@example.org>\r\n{headers}\r\n{text}\r\n"
    )
}

fn started(sms: &str) -> (Lab, Exchange) {
    let lab = Lab::new(sms);
    assert_eq!(lab.run(&["bind", "add", ANN.number, "ana@example.org"]).code, 0);
    let exchange = lab.start(&[]);
    (lab, exchange)
}

// mission: S1, S3
#[test]
fn a_flagged_mail_reaches_the_phone_and_an_unflagged_one_the_mailbox() {
    let (lab, exchange) = started(BASIC);
    let inbox = lab.path("ann");
    let reply =
        exchange.mail("bo@example.org", &["ana@example.org"], &mail("SMS-Convert: 1\r\n", "At noon? €5"));
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(
        ANN.receive(&exchange, &inbox, 1),
        [("10086".to_owned(), "bo@example.org(Lunch)At noon? €5".to_owned())]
    );
    assert!(lab.synced(&exchange, "ana").is_empty());
    // anything but exactly 1 goes on unchanged
    for flag in ["SMS-Convert: 0\r\n", "SMS-Convert: 01\r\n", "SMS-Convert: yes\r\n", ""] {
        let message = mail(flag, "unchanged \t é");
        let reply = exchange.mail("bo@example.org", &["ana@example.org"], &message);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let mails = lab.wait_synced(&exchange, "ana", 4);
    for flag in ["SMS-Convert: 0\r\n", "SMS-Convert: 01\r\n", "SMS-Convert: yes\r\n", ""] {
        let message = mail(flag, "unchanged \t é");
        assert!(mails.iter().any(|mail| mail.ends_with(&message)), "{flag}: {mails:#?}");
    }
    assert_eq!(exchange.metric("mailsync_sms_mails_converted"), 1);
    // no numbers and no texts in the log
    let log = exchange.process.stderr();
    assert!(log.contains("mail becomes short messages") && !log.contains("noon"), "{log}");
    assert!(!log.contains("13800138000"), "{log}");
    assert!(exchange.process.stop().success());
}

// mission: S2, S6
#[test]
fn a_flagged_short_message_is_in_the_synced_mailbox_and_answers_keep_the_thread() {
    let (lab, exchange) = started(BASIC);
    let text = "Meet at 7? {北京} 👍🏽 ".repeat(12);
    let sent = BEN.send(&exchange, ANN.number, &["--as-mail"], &text);
    assert_eq!(sent.code, 0, "{sent:?}");
    let mails = lab.wait_synced(&exchange, "ana", 1);
    let (header, body) = read_mail(&mails[0]);
    assert_eq!(body.trim_end(), text.trim_end());
    assert!(field(&header, "From").ends_with("<+8613900139000@sms.example.org>"), "{header}");
    let token = field(&header, "Reply-To").trim_matches(['<', '>']).to_owned();
    assert!(token.starts_with("r+") && token.len() > 28, "{token}");
    let first_id = field(&header, "Message-ID").to_owned();

    // the answer by mail: no flag, but the token
    let answer = format!(
        "From: ana@example.org\r\nSubject: Re: Meet\r\nMessage-ID: <a1@example.org>\r\nIn-Reply-To: {first_id}\r\n\r\nYes\r\n"
    );
    let reply = exchange.mail("ana@example.org", &[&token], &answer);
    assert!(reply.starts_with("250 "), "{reply}");
    let came = BEN.receive(&exchange, &lab.path("ben"), 1);
    assert_eq!(came, [(ANN.number.to_owned(), "ana@example.org(Re: Meet)Yes".to_owned())]);
    // a stranger who knows the token is no part of the conversation
    let reply = exchange.mail("eve@example.org", &[&token], &answer);
    assert!(reply.starts_with("550 5.1.1"), "{reply}");

    // to a number of ours the text names the mailbox, and the thread goes on without a flag
    let sent = ANN.send(&exchange, "10086", &["--mail-to", "bo@example.org", "--subject", "Tea"], "Now?");
    assert_eq!(sent.code, 0, "{sent:?}");
    let (header, body) = read_mail(&lab.wait_synced(&exchange, "bo", 1)[0]);
    assert_eq!((field(&header, "Subject"), body.as_str()), ("Tea", "Now?\r\n"));
    let second_id = field(&header, "Message-ID").to_owned();
    assert_eq!(ANN.send(&exchange, "10086", &[], "Hello?").code, 0);
    let mails = lab.wait_synced(&exchange, "bo", 2);
    let (header, body) = read_mail(mails.iter().find(|mail| mail.contains("In-Reply-To")).unwrap());
    assert_eq!((field(&header, "Subject"), body.as_str()), ("Re: Tea", "Hello?\r\n"));
    assert_eq!(field(&header, "In-Reply-To"), second_id);
    assert!(exchange.process.stop().success());
}

// mission: S3
#[test]
fn an_unflagged_short_message_goes_on_unchanged_with_its_receipt() {
    let (lab, exchange) = started(BASIC);
    let text = "plain {text} ".repeat(30);
    let receiver = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| ANN.receive(&exchange, &lab.path("ann"), 1));
        let sent = BEN.send(&exchange, ANN.number, &["--receipt"], &text[..100]);
        assert_eq!(sent.code, 0, "{sent:?}");
        let said: serde_json::Value = serde_json::from_str(sent.stdout.trim()).unwrap();
        assert_eq!(said["receipts"][0]["state"], "DELIVERED", "{said}");
        assert_eq!(said["receipts"][0]["id"], said["ids"][0], "{said}");
        receiver.join().unwrap()
    });
    assert_eq!(receiver, [(BEN.number.to_owned(), text[..100].to_owned())]);
    assert!(lab.synced(&exchange, "ana").is_empty(), "nothing became mail");
    // split, in UDH: all parts as they came
    let sent = BEN.send(&exchange, ANN.number, &[], text.trim_end());
    assert_eq!(sent.code, 0, "{sent:?}");
    let told = BEN.receive(&exchange, &lab.path("ben"), 1);
    assert_eq!(told[0].1, "Not sent: too many messages today", "3 parts more than the day allows");
    let sent = ANN.send(&exchange, BEN.number, &[], text.trim_end());
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(BEN.receive(&exchange, &lab.path("ben"), 1)[0].1, text.trim_end());
    assert!(exchange.process.stop().success());
}

// threat: toll fraud
#[test]
fn a_restart_is_no_new_day() {
    let (lab, exchange) = started(BASIC);
    assert_eq!(BEN.send(&exchange, ANN.number, &[], "one of the three parts of the day").code, 0);
    assert!(exchange.process.stop().success());
    let exchange = lab.start(&[]);
    assert_eq!(BEN.send(&exchange, ANN.number, &[], &"three parts more ".repeat(24)).code, 0);
    let told = BEN.receive(&exchange, &lab.path("ben"), 1);
    assert_eq!(told[0].1, "Not sent: too many messages today");
    assert_eq!(BEN.send(&exchange, ANN.number, &[], "but one goes").code, 0);
    let texts = ANN.receive(&exchange, &lab.path("ann"), 2);
    assert_eq!(texts[1], (BEN.number.to_owned(), "but one goes".to_owned()));
    assert!(exchange.process.stop().success());
}

// threat: C1
#[test]
fn a_password_file_may_hold_a_hash() {
    let lab = Lab::new(BASIC);
    let mut hashing = lab.command(&["password-hash"]);
    let hashed = peers::run(hashing.env("MAILSYNC_PASSWORD", peers::PASSWORD), Duration::from_secs(30));
    assert!(hashed.code == 0 && hashed.stdout.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed:?}");
    std::fs::write(lab.path("password"), &hashed.stdout).unwrap();
    let exchange = lab.start(&[]);
    assert_eq!(BEN.send(&exchange, ANN.number, &[], "let in by its hash").code, 0);
    assert_eq!(ANN.receive(&exchange, &lab.path("ann"), 1)[0].1, "let in by its hash");
    // the hash is not the password
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(["sms", "send", "--server", &exchange.smpp, "--account", "phone2", "--from", BEN.number]);
    command.args(["--to", ANN.number, "x"]).env("MAILSYNC_SMS_PASSWORD", "$argon2");
    assert_eq!(peers::run(&mut command, Duration::from_secs(30)).code, 1);
    assert!(exchange.process.stop().success());
}

// mission: S6
#[test]
fn a_mail_client_sends_as_sms_by_its_next_sync() {
    let (lab, exchange) = started(BASIC);
    let dir = lab.path("client");
    let dir = dir.to_str().unwrap();
    let sync = ["sync", "--server", &exchange.http, "--user", "bo", "--dir", dir];
    assert_eq!(mailsync(&sync).code, 0);
    let file = lab.path("mail.eml");
    std::fs::write(&file, mail("", "From the outbox")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(mailsync(&["send", "--dir", dir, "--as-sms", file]).code, 0);
    let done = mailsync(&sync);
    assert_eq!(done.code, 0, "{done:?}");
    let came = ANN.receive(&exchange, &lab.path("ann"), 1);
    assert_eq!(came[0].1, "bo@example.org(Lunch)From the outbox");
    // a recipient without a number: the sender's own mailbox says why
    std::fs::write(file, mail("", "x").replace("To: ana@", "To: bo@").replace("<m1@", "<m2@")).unwrap();
    assert_eq!(mailsync(&["send", "--dir", dir, "--as-sms", file]).code, 0);
    assert_eq!(mailsync(&sync).code, 0);
    let bounced = lab.wait_synced(&exchange, "bo", 1);
    assert!(bounced[0].contains("no phone number is bound to this address"), "{}", bounced[0]);
    assert!(exchange.process.stop().success());
}

// mission: S4
#[test]
fn a_number_is_bound_by_the_codes_of_both_ends() {
    let (lab, exchange) = started(BASIC);
    let asked = BEN.bind(&exchange, "ask", "10086", &["bo@example.org"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let told = &BEN.receive(&exchange, &lab.path("ben"), 1)[0].1;
    let phone_code = told.split(' ').next().unwrap().to_owned();
    let (_, words) = read_mail(&lab.wait_synced(&exchange, "bo", 1)[0]);
    let mail_code = words.split(' ').next().unwrap().to_owned();
    assert_eq!((phone_code.len(), mail_code.len()), (6, 6), "{told} {words}");
    let wrong = if mail_code == "000000" { "000001" } else { "000000" };
    BEN.bind(&exchange, "confirm", "10086", &[&phone_code, wrong]);
    let told = BEN.receive(&exchange, &lab.path("ben"), 1);
    assert!(told[0].1.contains("wrong code, 4 attempts left"), "{told:?}");
    BEN.bind(&exchange, "confirm", "10086", &[&phone_code, &mail_code]);
    assert_eq!(BEN.receive(&exchange, &lab.path("ben"), 1)[0].1, "Bound to bo@example.org");
    let list = lab.run(&["--json", "bind", "list"]).stdout;
    assert!(list.contains("\"+8613900139000\"") && list.contains("proved"), "{list}");
    // now mail to bo reaches the phone
    let flagged = mail("SMS-Convert: 1\r\n", "bound");
    assert!(exchange.mail("ana@example.org", &["bo@example.org"], &flagged).starts_with("250 "));
    assert!(BEN.receive(&exchange, &lab.path("ben"), 1)[0].1.ends_with("bound"));
    BEN.bind(&exchange, "remove", "10086", &["bo@example.org"]);
    assert_eq!(BEN.receive(&exchange, &lab.path("ben"), 1)[0].1, "No longer bound to bo@example.org");
    let audit = lab.run(&["bind", "audit"]).stdout;
    for what in ["asked", "added", "removed"] {
        assert!(audit.contains(&format!("\t{what}\t+8613900139000\tbo@example.org")), "{audit}");
    }
    assert!(exchange.process.stop().success());
}

// mission: S4
#[test]
fn a_mail_binds_its_senders_own_mailbox_for_a_while() {
    let (lab, exchange) = started(BASIC);
    let bind =
        |number: &str| mail(&format!("SMS-Convert: 1\r\nSMS-Bind: {number}; ttl=60\r\n"), "to my phone");
    let reply = exchange.mail_as("bo", "bo@example.org", &["bo@example.org"], &bind(BEN.number));
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(BEN.receive(&exchange, &lab.path("ben"), 1)[0].1.ends_with("to my phone"));
    let list = lab.run(&["--json", "bind", "list"]).stdout;
    assert!(list.contains("\"origin\":\"message\""), "{list}");
    // not another's mailbox, not another's number, not for ever
    let reply = exchange.mail_as("bo", "bo@example.org", &["ana@example.org"], &bind("+8613700137000"));
    assert!(reply.starts_with("550 5.7.1 SMS-Bind: the sender has no right"), "{reply}");
    let reply = exchange.mail_as("bo", "bo@example.org", &["bo@example.org"], &bind(ANN.number));
    assert!(reply.contains("bound to another mailbox"), "{reply}");
    let long = bind(BEN.number).replace("ttl=60", "ttl=99999999");
    let reply = exchange.mail_as("bo", "bo@example.org", &["bo@example.org"], &long);
    assert!(reply.contains("longer than"), "{reply}");
    assert!(exchange.process.stop().success());
}

// mission: S4
#[test]
fn the_operator_binds_exports_and_imports() {
    let lab = Lab::new(BASIC);
    for mailbox in ["ana@example.org", "bo@example.org"] {
        assert_eq!(lab.run(&["bind", "add", ANN.number, mailbox]).code, 0);
    }
    let export = lab.run(&["bind", "export"]).stdout;
    assert_eq!(export, "+8613800138000\tana@example.org\talso\n+8613800138000\tbo@example.org\tpreferred\n");
    assert_eq!(lab.run(&["bind", "remove", ANN.number, "ana@example.org"]).code, 0);
    assert_eq!(lab.run(&["bind", "remove", ANN.number, "ana@example.org"]).code, 1);
    let file = lab.path("bindings.txt");
    std::fs::write(&file, &export).unwrap();
    assert_eq!(lab.run(&["bind", "import", file.to_str().unwrap()]).code, 0);
    assert_eq!(lab.run(&["bind", "export"]).stdout, export);
    std::fs::write(&file, format!("{export}nonsense\n")).unwrap();
    let bad = lab.run(&["bind", "import", file.to_str().unwrap()]);
    assert!(bad.code == 1 && bad.stderr.contains("line 3"), "{bad:?}");
    assert_eq!(lab.run(&["bind", "add", "13800", "ana@example.org"]).code, 1);
    assert_eq!(lab.run(&["bind", "audit"]).stdout.lines().count(), 5);
}

#[test]
fn what_is_not_allowed_is_refused_with_a_reason() {
    let (lab, exchange) = started(BASIC);
    let flagged = mail("SMS-Convert: 1\r\n", "x");
    // an unknown binding
    let reply = exchange.mail("ana@example.org", &["bo@example.org"], &flagged);
    assert_eq!(reply, "550 5.1.1 no phone number is bound to this address");
    assert!(
        exchange
            .mail("ana@example.org", &["eve@example.org"], &flagged)
            .starts_with("550 5.1.1 No such user")
    );
    // a number without the flag, and without a route
    let phone = "+8613800138000@sms.example.org";
    assert!(exchange.mail("bo@example.org", &[phone], &mail("", "x")).starts_with("550 5.7.1 not marked"));
    let far = exchange.mail("bo@example.org", &["+4915112345678@sms.example.org"], &flagged);
    assert_eq!(far, "550 5.7.1 no route to this number");
    // loops: M6
    for header in ["Auto-Submitted: auto-replied\r\n", "Precedence: bulk\r\n", "SMS-Bridge: example.org\r\n"]
    {
        let looping = mail(&format!("SMS-Convert: 1\r\n{header}"), "x");
        assert!(exchange.mail("bo@example.org", &[phone], &looping).starts_with("554 5.4.6"), "{header}");
    }
    assert!(exchange.mail("", &[phone], &flagged).starts_with("250 "), "a report is taken and dropped");
    // some of several: the sender is told by mail
    let reply = exchange.mail("ana@example.org", &[phone, "bo@example.org"], &flagged);
    assert!(reply.starts_with("250 "), "{reply}");
    let report = &lab.wait_synced(&exchange, "ana", 1)[0];
    assert!(report.contains("Final-Recipient: rfc822; bo@example.org"), "{report}");
    assert!(report.contains("no phone number is bound"), "{report}");
    assert!(report.contains("Return-Path: <>"), "{report}");
    // short messages: another's number, a blocked prefix, an unbound number
    let spoof = Phone { number: BEN.number, ..ANN };
    assert!(spoof.send(&exchange, BEN.number, &[], "x").stdout.contains("RINVSRCADR"));
    assert!(ANN.send(&exchange, "+8816123456", &[], "x").stdout.contains("RINVDSTADR"));
    assert!(ANN.send(&exchange, "+4915112345678", &[], "x").stdout.contains("RINVDSTADR"));
    assert!(ANN.send(&exchange, BEN.number, &["--as-mail"], "x").stdout.contains("RINVDSTADR"));
    assert!(ANN.send(&exchange, "10087", &[], "no thread").stdout.contains("RINVDSTADR"));
    let foreign = ["--mail-to", "x@foreign.example"];
    assert!(ANN.send(&exchange, "10087", &foreign, "x").stdout.contains("RINVDSTADR"));
    let listed = ANN.send(&exchange, "10087", &["--mail-to", "x@elsewhere.example"], "x");
    assert_eq!(listed.code, 0, "{listed:?}");
    assert_eq!(exchange.metric("mailsync_sms_sms_refused"), 6);
    assert!(exchange.process.stop().success());
}

// threat: toll fraud
#[test]
fn strangers_and_guesses_convert_nothing() {
    let lab = Lab::new(&BASIC.replace("trusted = [\"127.0.0.1\"]", "trusted = []"));
    assert_eq!(lab.run(&["bind", "add", ANN.number, "ana@example.org"]).code, 0);
    let exchange = lab.start(&[]);
    let flagged = mail("SMS-Convert: 1\r\n", "from a stranger");
    // to the mailbox, unchanged; to the phone alone, not at all
    assert!(exchange.mail("eve@elsewhere.example", &["ana@example.org"], &flagged).starts_with("250 "));
    assert!(lab.wait_synced(&exchange, "ana", 1)[0].ends_with(&flagged));
    let phone = "+8613800138000@sms.example.org";
    assert!(exchange.mail("eve@elsewhere.example", &[phone], &flagged).starts_with("550 5.7.1 log in"));
    // who logs in may; the sender is then one of the user's own
    assert!(exchange.mail_as("bo", "ana@example.org", &[phone], &flagged).starts_with("250 "));
    assert!(ANN.receive(&exchange, &lab.path("ann"), 1)[0].1.starts_with("bo@example.org"));
    // a bind with a wrong password, or of nobody, is refused in the same words
    let mut words = Vec::new();
    for account in ["phone1", "nobody"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sms", "send", "--server", &exchange.smpp, "--account", account, "--from", ANN.number]);
        command.args(["--to", "10086", "x"]).env("MAILSYNC_SMS_PASSWORD", "wrong");
        let done = peers::run(&mut command, Duration::from_secs(30));
        assert_eq!(done.code, 1);
        words.push(done.stderr);
    }
    assert!(words[0].contains("RBINDFAIL") && words[0] == words[1], "{words:?}");
    assert_eq!(exchange.metric("mailsync_sms_binds_refused"), 2);
    assert!(exchange.process.stop().success());
}

// mission: S5
#[test]
fn mail_part_and_sms_part_stand_alone() {
    let sms_part = Lab::new(
        r#"
listen = "127.0.0.1:0"
[[sms.account]]
system_id = "mailpart"
password_file = "@PASSWORD@"
numbers = ["10086"]
prefixes = ["+86"]
converts = true
[[sms.account]]
system_id = "phone1"
password_file = "@PASSWORD@"
numbers = ["+8613800138000"]
prefixes = ["+86"]
"#,
    );
    let sms = sms_part.start(&["--only", "bridge-sms"]);
    assert!(sms.smtp.is_empty() && sms.http.is_empty() && !sms.smpp.is_empty());
    let mail_part = Lab::new(&format!(
        r#"
numbers = ["10086"]
trusted = ["127.0.0.1"]
[[sms.smsc]]
name = "smspart"
address = "{}"
system_id = "mailpart"
password_file = "@PASSWORD@"
prefixes = ["+86"]
"#,
        sms.smpp
    ));
    assert_eq!(mail_part.run(&["bind", "add", ANN.number, "ana@example.org"]).code, 0);
    let bridge = mail_part.start(&["--only", "bridge-mail"]);
    assert!(bridge.http.is_empty() && !bridge.smtp.is_empty());
    // down: mail to the phone through both
    let flagged = mail("SMS-Convert: 1\r\n", "through both parts");
    assert!(bridge.mail("bo@example.org", &["ana@example.org"], &flagged).starts_with("250 "));
    let came = ANN.receive(&sms, &sms_part.path("ann"), 1);
    assert_eq!(came, [("10086".to_owned(), "bo@example.org(Lunch)through both parts".to_owned())]);
    // up: the answer is a flagged message to the gateway, which the mail part delivers
    let sent = ANN.send(&sms, "10086", &["--as-mail"], "an answer");
    assert_eq!(sent.code, 0, "{sent:?}");
    wait_for("the mail", || bridge.process.stderr().contains("mail delivered"));
    assert!(bridge.process.stop().success());
    // the same folder, now with SyncML
    let whole = mail_part.start(&["--only", "sync"]);
    let (header, body) = read_mail(&mail_part.wait_synced(&whole, "bo", 1)[0]);
    assert_eq!((field(&header, "Subject"), body.as_str()), ("Re: Lunch", "an answer\r\n"));
    assert!(whole.process.stop().success() && sms.process.stop().success());
}
