//! Whole server sessions, replayed from `tests/traces/server/*.trace`.
//!
//! `C>` a line of the client (CRLF is added unless it ends in `\`), `S<` the next line of ours, `E` the next event,
//! `H` a decision of the host, `T` seconds pass, `X` the next other output, `CFG` a setting (before all else).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "smtp")]

use smsbridge::smtp::server::{AuthPolicy, Config, Event, Session};
use smsbridge::smtp::{EnhancedCode, Output, Protocol, Reply};
use std::collections::VecDeque;
use std::time::Duration;

struct Bench {
    session: Session,
    now: Duration,
    wire: Vec<u8>,
    others: VecDeque<String>,
}

impl Bench {
    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Transmit(bytes) => self.wire.extend_from_slice(&bytes),
                Output::Event(event) => self.others.push_back(format!("E {}", show(&event))),
                Output::StartTls => self.others.push_back("X starttls".into()),
                Output::Close => self.others.push_back("X close".into()),
                _ => panic!("an output that this test does not know"),
            }
        }
    }

    fn line(&mut self) -> String {
        let end = self.wire.windows(2).position(|pair| pair == b"\r\n");
        let Some(end) = end else { return format!("(nothing; {:?})", self.others) };
        let line = self.wire.drain(..end + 2).collect::<Vec<_>>();
        String::from_utf8(line[..end].to_vec()).unwrap()
    }

    fn decide(&mut self, decision: &str) {
        let (verb, argument) = decision.split_once(' ').unwrap_or((decision, ""));
        let now = self.now;
        let session = &mut self.session;
        let reply = |text: &str| match text.split_once(' ') {
            Some((code, text)) => {
                let code: u16 = code.parse().unwrap();
                let class = u8::try_from(code / 100).unwrap();
                Reply::new(code, EnhancedCode(class, 1, 1), text)
            }
            None => panic!("a reply needs words"),
        };
        match verb {
            "accept_mail" => session.accept_mail(now),
            "reject_mail" => session.reject_mail(now, &reply(argument)),
            "accept_rcpt" => session.accept_rcpt(now),
            "reject_rcpt" => session.reject_rcpt(now, &reply(argument)),
            "accept_message" => session.accept_message(now, argument),
            "reject_message" => session.reject_message(now, &reply(argument)),
            "answer_message" => {
                session.answer_message(now, &argument.split(" | ").map(reply).collect::<Vec<_>>())
            }
            "accept_auth" => session.accept_auth(now),
            "reject_auth" => session.reject_auth(now),
            "tls_started" => session.tls_started(now),
            "eof" => {
                session.handle_eof(now);
                Ok(())
            }
            "shutdown" => {
                session.shutdown();
                Ok(())
            }
            _ => panic!("unknown decision {verb}"),
        }
        .unwrap();
    }
}

fn show(event: &Event) -> String {
    match event {
        Event::Mail(from) => format!("mail {:?} size={:?} utf8={}", from.address, from.size, from.smtputf8),
        Event::Rcpt(to) => format!("rcpt {:?}", to.address),
        Event::Message { envelope, body } => format!(
            "message helo={} tls={} login={} from={:?} to={:?} body={}",
            envelope.helo,
            envelope.tls,
            envelope.login.as_deref().unwrap_or("-"),
            envelope.from.address,
            envelope.recipients.iter().map(|to| &to.address).collect::<Vec<_>>(),
            body.escape_ascii()
        ),
        Event::Auth(credentials) => format!(
            "auth {:?} as={:?} user={} password={}",
            credentials.mechanism,
            credentials.authorize_as,
            credentials.user,
            credentials.password.expose()
        ),
        _ => panic!("an event that this test does not know"),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match (octet, octet == b'\\') {
            (_, true) => match octets.next() {
                Some(b'r') => out.push(b'\r'),
                Some(b'n') => out.push(b'\n'),
                Some(b'0') => out.push(0),
                other => panic!("bad escape {other:?}"),
            },
            (octet, false) => out.push(octet),
        }
    }
    out
}

fn configure(config: &mut Config, setting: &str) {
    match setting.split_once('=').unwrap_or((setting, "")) {
        ("lmtp", _) => config.protocol = Protocol::Lmtp,
        ("starttls", _) => config.starttls = true,
        ("require_tls", _) => config.require_tls = true,
        ("auth", _) => config.auth = AuthPolicy::Offered,
        ("auth_required", _) => config.auth = AuthPolicy::Required,
        ("auth_in_clear", _) => config.auth_in_clear = true,
        ("dsn", _) => config.dsn = true,
        ("recipients", n) => config.limits.recipients = n.parse().unwrap(),
        ("message_octets", n) => config.limits.message_octets = n.parse().unwrap(),
        ("errors", n) => config.limits.errors = n.parse().unwrap(),
        other => panic!("unknown setting {other:?}"),
    }
}

fn replay(name: &str, trace: &str) {
    let mut config = Config::new("mx.example");
    let lines: Vec<(usize, &str)> =
        trace.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    let settings = lines.iter().filter_map(|(_, line)| line.strip_prefix("CFG "));
    settings.for_each(|setting| configure(&mut config, setting));
    let session = Session::new(config, Duration::ZERO);
    let mut bench = Bench { session, now: Duration::ZERO, wire: Vec::new(), others: VecDeque::new() };
    for (number, line) in lines {
        bench.drain();
        let place = format!("{name}:{}", number + 1);
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "CFG" => {}
            "C>" => {
                let mut octets = match rest.strip_suffix('\\') {
                    Some(rest) => unescape(rest),
                    None => [unescape(rest), b"\r\n".to_vec()].concat(),
                };
                bench.session.handle_input(bench.now, &std::mem::take(&mut octets));
            }
            "S<" => assert_eq!(bench.line(), rest, "{place}"),
            "E" | "X" => assert_eq!(bench.others.pop_front().as_deref(), Some(line), "{place}"),
            "H" => bench.decide(rest),
            "T" => {
                bench.now += Duration::from_secs(rest.parse().unwrap());
                bench.session.handle_timeout(bench.now);
            }
            _ => panic!("{place}: unknown line"),
        }
    }
    bench.drain();
    assert_eq!(bench.wire.escape_ascii().to_string(), "", "{name}: replies left over");
    assert!(bench.others.is_empty(), "{name}: outputs left over: {:?}", bench.others);
}

macro_rules! traces {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), include_str!(concat!("traces/server/", stringify!($name), ".trace")));
        }
    )*};
}

traces! {
    one_message
    order
    pipelining
    lmtp
    starttls
    auth
    limits
    timeouts
    threat_m1_smuggling
    threat_m2_addresses
}
