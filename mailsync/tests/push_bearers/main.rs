//! Each bearer shown whole: what an engine sends, its real peer carries, and `mailsync watch` hears, verifies and follows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mms;
#[path = "../peers/mod.rs"]
mod peers;
mod web_push;

use peers::{Centre, PushBench, Sipp, Wapbox, Watch, tshark_of_push, wait_for};
use pushpolicy::bearer::si::ServiceIndication;
use pushpolicy::bearer::wap::{ContentType, Push, Udh};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: Duration = Duration::from_secs(1);
const NUMBER: &str = "+8613800138000";
/// Nobody waits for reports, and paid bearers are as fast as others.
const FAST: &str = "[push.patience]\nwait_ms = 0\n[push.paid]\ngather_ms = 100\ngap_ms = 500\npause_ms = 20000\n[notify.pace]\ngather_ms = 100\n";

fn millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn mail(subject: &str) -> String {
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

/// The user wants pushes by this bearer only.
fn only(bearer: &str) -> Value {
    json!({"version": 1, "default": {"push": {"select": ["any"], "bearers": [bearer]}}})
}

/// A mail comes, and is in the phone's folder without anybody's help.
fn comes_by(bench: &PushBench, watch: &Watch, bearer: &str) {
    let at = millis();
    bench.servers.deliver("alice", &mail(bearer));
    let (happened, synced) = watch.notice();
    assert_eq!((&happened[0]["kind"], &happened[0]["count"]), (&json!("arrived"), &json!(1)), "{happened}");
    assert!(bench.mail("phone", bearer).is_some());
    let record = bench.explained(bearer).unwrap();
    assert_eq!(record["decision"]["targets"][0]["bearer"], bearer, "{record}");
    println!("{bearer}: from delivery to the Maildir: {} ms", synced.saturating_sub(at));
}

// mission: P6, M4c, M4d
#[test]
fn ip_push_by_datagram_callback_and_channel() {
    let bench = PushBench::new(FAST);
    bench.sync("phone", &[]);
    for (bearer, listen) in [("udp", "udp:127.0.0.1:0"), ("http", "http:127.0.0.1:0"), ("channel", "channel")]
    {
        let watch = bench.watch("phone", &["--listen", listen, "--no-sensing", "--beat", "1"]);
        bench.policy(&only(bearer));
        comes_by(&bench, &watch, bearer);
    }
}

// mission: P6
#[test]
fn a_channel_is_opened_again_and_only_by_who_may_log_in() {
    let mut bench = PushBench::new(FAST);
    bench.sync("phone", &[]);
    let watch = bench.watch("phone", &["--listen", "channel", "--no-sensing", "--beat", "1"]);
    bench.policy(&only("channel"));
    comes_by(&bench, &watch, "channel");
    bench.server.take().unwrap().kill();
    bench.start();
    bench.servers.deliver("alice", &mail("after the restart"));
    watch.notice();
    assert!(bench.mail("phone", "after the restart").is_some());
    // A stranger, and somebody who guesses.
    let address = bench.url.strip_prefix("http://").unwrap().strip_suffix("/syncml").unwrap().to_owned();
    let asks = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{upgrade}{header}\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(asks("/push?device=phone", ""), "401");
    assert_eq!(asks("/push?device=phone", "Authorization: Basic YW5uOmd1ZXNz\r\n"), "401");
    assert_eq!(asks("/push", "Authorization: Basic YW5uOnNlY3JldA==\r\n"), "400");
    assert_eq!(asks("/push?device=other", "Authorization: Basic YW5uOnNlY3JldA==\r\n"), "101");
}

// mission: P6
#[test]
fn a_channel_over_tls() {
    let bench = PushBench::new(&format!("{FAST}[http]\ntls_cert = \"@CERT@\"\ntls_key = \"@KEY@\"\n"));
    assert!(bench.url.starts_with("https://"), "{}", bench.url);
    bench.sync("phone", &[]);
    let watch = bench.watch("phone", &["--listen", "channel", "--no-sensing"]);
    bench.policy(&only("channel"));
    comes_by(&bench, &watch, "channel");
}

/// `[push.smpp]` for a centre.
fn smpp(centre: &Centre) -> String {
    let address = &centre.address;
    format!(
        "[push.smpp]\naddress = \"{address}\"\nsystem_id = \"esme1\"\npassword_file = \"@PASSWORD@\"\nfrom = \"10086\"\n"
    )
}

/// The WSP PDU that the centre was given in so many parts, from its log.
fn pdu_at(centre: &Centre, parts: usize) -> (Vec<u8>, Vec<Value>) {
    let submits: Vec<Value> = (0..parts).map(|_| centre.event("submit")).collect();
    let mut pdu = Vec::new();
    for _ in 0..parts {
        let hex = centre.event("octets")["hex"].as_str().unwrap().to_owned();
        let octets: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        let (udh, data) = Udh::split(&octets).unwrap();
        assert_eq!(udh.ports.unwrap().destination, 2948);
        pdu.extend_from_slice(data);
    }
    (pdu, submits)
}

// mission: P6, M4c
#[test]
fn wap_push_by_smpp_in_several_short_messages() {
    let centre = Centre::start(&[("FORWARD", "1")]);
    let bench = PushBench::new(&format!("{FAST}{}", smpp(&centre)));
    bench.sync("phone", &[]);
    let listen = format!("smpp:{}", centre.address);
    let watch = bench.watch(
        "phone",
        &[
            "--listen",
            &listen,
            "--sms-account",
            "esme1",
            "--number",
            NUMBER,
            "--no-sensing",
            "--listen",
            "udp:127.0.0.1:0",
        ],
    );
    bench.policy(&only("wap_push"));
    comes_by(&bench, &watch, "wap_push");
    let (pdu, submits) = pdu_at(&centre, 2);
    for submit in &submits {
        assert_eq!((&submit["dcs"], &submit["esm"]), (&json!(4), &json!(0x40)), "{submit}");
        assert_eq!(submit["to"], NUMBER.trim_start_matches('+'), "{submit}");
    }
    assert!(submits[0]["udh"].as_str().unwrap().contains("05040b8423f0"), "{submits:?}");
    let push = Push::decode(&pdu).unwrap();
    assert!(push.content_type.is(&ContentType::DS_ALERT));
    // An independent judge.
    let judged = tshark_of_push(&bench.path(""), &pdu);
    assert!(judged.contains("PDU Type: Push (0x06)") && !judged.contains("Malformed"), "{judged}");
    assert!(judged.contains("push.syncml"), "{judged}");
}

// mission: P3, P6
#[test]
fn a_hint_to_a_phone_is_a_service_indication_that_any_phone_shows() {
    let centre = Centre::start(&[("FORWARD", "1")]);
    let indicate = "indicate = \"https://mail.lab.test/\"\n";
    let bench = PushBench::new(&format!("{FAST}{}{indicate}", smpp(&centre)));
    for device in ["phone", "laptop"] {
        bench.sync(device, &[]);
    }
    assert_eq!(bench.report("phone", &["--route", &format!("wap_push {NUMBER} power=any cost=5")]).code, 0);
    let watch = bench.watch("laptop", &["--kind", "laptop", "--no-sensing"]);
    bench.policy(&json!({"version": 1, "default": {"push": {"select": [{"kind": "laptop"}]}}}));
    bench.servers.deliver("alice", &mail("elsewhere"));
    watch.notice();
    let (pdu, _) = pdu_at(&centre, 1);
    let push = Push::decode(&pdu).unwrap();
    assert!(push.content_type.is(&ContentType::SI), "{push:?}");
    let indication = ServiceIndication::decode(&push.body).unwrap();
    assert_eq!(indication.href, "https://mail.lab.test/");
    assert_eq!(indication.text, "hint: 1 in Inbox went to laptop");
    let judged = tshark_of_push(&bench.path(""), &pdu);
    assert!(judged.contains("went to laptop") && !judged.contains("Malformed"), "{judged}");
}

// mission: P6
#[test]
fn wap_push_by_a_push_proxy_gateway() {
    let centre = Centre::start(&[("FORWARD", "1")]);
    let dir = tempfile::tempdir().unwrap();
    let gateway = Wapbox::start(dir.path(), &centre.address);
    let pap = format!(
        "[push.pap]\nurl = \"{}\"\nhost = \"ppg.lab.test\"\nuser = \"pi1\"\npassword_file = \"@PASSWORD@\"\n",
        gateway.url
    );
    let bench = PushBench::new(&format!("{FAST}{pap}"));
    bench.sync("phone", &[]);
    let listen = format!("smpp:{}", centre.address);
    let route = format!("pap {NUMBER} power=any cost=5");
    let watch = bench.watch(
        "phone",
        &[
            "--listen",
            &listen,
            "--sms-account",
            "esme1",
            "--route",
            &route,
            "--no-sensing",
            "--listen",
            "udp:127.0.0.1:0",
        ],
    );
    bench.policy(&only("pap"));
    comes_by(&bench, &watch, "pap");
}

/// `[push.sip]` for a proxy.
fn sip(proxy: &str, more: &str) -> String {
    format!("[push.sip]\nproxy = \"{proxy}\"\nfrom = \"sip:mailsync@lab.test\"\nring_ms = 500\n{more}")
}

// mission: P6, M4c
#[test]
fn sip_message_and_phone_push_reach_a_watcher() {
    let port = peers::free_port();
    let bench = PushBench::new(&format!("{FAST}{}", sip(&format!("127.0.0.1:{port}"), "")));
    bench.sync("phone", &[]);
    let listen = format!("sip:127.0.0.1:{port}");
    let watch = bench.watch("phone", &["--listen", &listen, "--no-sensing"]);
    bench.policy(&only("sip_message"));
    comes_by(&bench, &watch, "sip_message");
    bench.policy(&only("phone_push"));
    bench.servers.deliver("alice", &mail("rung"));
    watch.until("a call", |line| line["event"] == "call");
    watch.until("its sync", |line| line["event"] == "synced");
    assert!(bench.mail("phone", "rung").is_some());
    wait_for("the end of the call", || bench.server.as_ref().unwrap().stderr().contains("SIP 487"));
}

// mission: P6
#[test]
fn sip_message_with_a_digest_and_the_signal_call_please_sipp() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, bearer, said) in [
        ("message", "sip_message", "SIP 200"),
        ("message-auth", "sip_message", "SIP 200"),
        ("invite-cancel", "phone_push", "SIP 487"),
    ] {
        let sipp = Sipp::start(&dir.path().join(kind), kind);
        let login = "user = \"alice\"\npassword_file = \"@SIP@\"\n";
        let password = dir.path().join("sip.password");
        std::fs::write(&password, "lab-alice\n").unwrap();
        let login = login.replace("@SIP@", password.to_str().unwrap());
        let bench = PushBench::new(&format!("{FAST}{}", sip(&sipp.address, &login)));
        bench.sync("phone", &[]);
        let route = format!("{bearer} sip:alice@{}", sipp.address);
        assert_eq!(bench.report("phone", &["--route", &route]).code, 0);
        bench.policy(&only(bearer));
        bench.servers.deliver("alice", &mail(kind));
        wait_for(kind, || bench.server.as_ref().unwrap().stderr().contains(said));
        let errors = sipp.log("err.log");
        // On a busy machine it says that it came late itself.
        let of_ours = |line: &&str| !line.ends_with("events occurred:") && !line.contains("watchdog timer");
        assert_eq!(errors.lines().find(of_ours), None, "{kind}: {errors}");
        let notes = sipp.log("note.log");
        match kind {
            "message" => assert!(notes.contains("application/vnd.syncml.ds.notification"), "{notes}"),
            "message-auth" => assert!(notes.contains("digest ok: true"), "{notes}"),
            _ => assert!(notes.contains("branch false cseq false"), "{notes}"),
        }
    }
}

// threat: N1
#[test]
fn threat_n1_a_forged_package_over_sip_and_sms_does_nothing() {
    let port = peers::free_port();
    let centre = Centre::start(&[("FORWARD", "1")]);
    let bench = PushBench::new(FAST);
    bench.sync("phone", &[]);
    let (listen, at) = (format!("smpp:{}", centre.address), format!("sip:127.0.0.1:{port}"));
    let watch = bench.watch(
        "phone",
        &["--listen", &listen, "--sms-account", "esme1", "--number", NUMBER, "--listen", &at, "--no-sensing"],
    );
    let push = Push::new(1, ContentType::DS_ALERT, forged()).encode().unwrap();
    let parts =
        pushpolicy::bearer::wap::segments(pushpolicy::bearer::wap::Ports::WAP_PUSH, 3, &push).unwrap();
    for part in &parts {
        let hex: String = part.short_message().iter().map(|octet| format!("{octet:02x}")).collect();
        centre.deliver(&json!({"source_addr": "666", "destination_addr": "8613800138000", "esm_class": 0x40, "data_coding": 4, "hex": hex}));
    }
    let dropped = |watch: &Watch| watch.until("it is dropped", |line| line["event"] != "hook");
    let line = dropped(&watch);
    assert!(line["event"] == "dropped" && line["why"].as_str().unwrap().contains("digest"), "{line}");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let route = pushpolicy::bearer::sip::Route::new("sip:a@b", "sip:evil@b", "127.0.0.1:9", "x", "t", "c");
    let message = route.message("application/vnd.syncml.ds.notification", &forged(), 60, None).unwrap();
    socket.send_to(&message.to_bytes(), ("127.0.0.1", port)).unwrap();
    let line = dropped(&watch);
    assert!(line["event"] == "dropped" && line["why"].as_str().unwrap().contains("digest"), "{line}");
    let mut answer = [0; 2048];
    socket.set_read_timeout(Some(5 * SECOND)).unwrap();
    let length = socket.recv(&mut answer).unwrap();
    assert!(
        answer[..length].starts_with(b"SIP/2.0 200"),
        "who asks is told that it came, and not what it did"
    );
}

/// A notification by somebody who knows the server's name and not its password.
fn forged() -> Vec<u8> {
    let alert = syncml::san::ServerAlert::new("srv", 77);
    alert.encode(Some(&syncml::san::AlertKey::new("srv", "guessed", b""))).unwrap().to_vec()
}

// mission: P6
#[test]
fn what_waits_survives_a_kill_and_goes_by_short_message_when_the_centre_is_back() {
    let port = peers::free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let config = format!(
        "[push.smpp]\naddress = \"{address}\"\nsystem_id = \"esme1\"\npassword_file = \"@PASSWORD@\"\nfrom = \"10086\"\n"
    );
    let fast = FAST
        .replace("pause_ms = 20000", "pause_ms = 1000\nlongest_ms = 2000")
        .replace("wait_ms = 0", "wait_ms = 0\ndown_ms = 500");
    let mut bench = PushBench::new(&format!("{fast}{config}"));
    bench.sync("phone", &[]);
    assert_eq!(bench.report("phone", &["--route", &format!("wap_push {NUMBER} power=any")]).code, 0);
    let retrying =
        json!({"version": 1, "default": {"push": {"select": ["any"]}}, "fallback": {"retry_s": 1}});
    bench.policy(&retrying);
    bench.servers.deliver("alice", &mail("waits"));
    wait_for("a decision", || bench.explained("waits").is_some());
    bench.server.take().unwrap().kill();
    bench.start();
    let centre = Centre::start(&[("PORT", &port), ("FORWARD", "1")]);
    let submit = centre.event("submit");
    assert_eq!(submit["to"], NUMBER.trim_start_matches('+'), "{submit}");
}

/// One request over HTTP: its head, and its body.
fn read_post(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).into_owned();
            let lower = head.to_lowercase();
            let length =
                lower.split("content-length:").nth(1).unwrap().lines().next().unwrap().trim().to_owned();
            if octets.len() - end - 4 >= length.parse::<usize>().unwrap() {
                return (head, octets[end + 4..].to_vec());
            }
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request ends early");
        octets.extend_from_slice(&buffer[..read]);
    }
}
