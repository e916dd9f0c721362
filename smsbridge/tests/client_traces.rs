//! Whole client sessions, replayed from `tests/traces/client/*.trace`.
//!
//! `S>` a line of the server (CRLF is added unless it ends in `\`), `C<` the next line of ours, `E` the next event,
//! `H` an act of the host, `T` seconds pass, `X` the next other output, `CFG` a setting (before all else).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "smtp")]

use bytes::Bytes;
use smsbridge::smtp::client::{Auth, Config, Event, Session, Submission, Tls, Verdict};
use smsbridge::smtp::{MailFrom, Output, Protocol, Recipient};
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
                Output::Event(Event::Ready(server)) => {
                    self.others.push_back(format!("E ready {} max={:?}", server.hostname, server.max_size));
                }
                Output::Event(Event::Sent(outcome)) => {
                    if outcome.by_url {
                        self.others.push_back("E by URL".into());
                    }
                    for (address, verdict) in &outcome.recipients {
                        self.others.push_back(format!("E {address}: {}", show(verdict)));
                    }
                }
                Output::Event(Event::Failed(failure)) => {
                    self.others.push_back(format!("E failed: {failure}"))
                }
                Output::StartTls => self.others.push_back("X starttls".into()),
                Output::Close => self.others.push_back("X close".into()),
                _ => panic!("an output that this test does not know"),
            }
        }
    }

    fn line(&mut self) -> String {
        let Some(end) = self.wire.windows(2).position(|pair| pair == b"\r\n") else {
            return format!("(nothing; {:?})", self.others);
        };
        let line = self.wire.drain(..end + 2).collect::<Vec<_>>();
        String::from_utf8(line[..end].to_vec()).unwrap()
    }

    fn act(&mut self, act: &str) {
        let (verb, argument) = act.split_once(' ').unwrap_or((act, ""));
        match verb {
            "send" => self.session.send(self.now, submission(argument)).unwrap(),
            "refuse" => {
                let (wanted, argument) = argument.split_once(" | ").unwrap();
                let error = self.session.send(self.now, submission(argument)).unwrap_err();
                assert_eq!(error.to_string(), wanted);
            }
            "quit" => self.session.quit(self.now).unwrap(),
            "tls_started" => self.session.tls_started(self.now).unwrap(),
            "eof" => self.session.handle_eof(self.now),
            _ => panic!("unknown act {verb}"),
        }
    }
}

/// `sender > recipient, recipient : body`, or `... : body <- URL`
fn submission(text: &str) -> Submission {
    let (from, rest) = text.split_once(" > ").unwrap();
    let (to, body) = rest.split_once(" : ").unwrap();
    let (body, url) =
        body.split_once(" <- ").map_or((body, None), |(body, url)| (body, Some(url.to_owned())));
    let to = to.split(", ").map(|to| Recipient::new(to.parse().unwrap())).collect();
    let from = MailFrom::new(from.trim_matches('-').parse().unwrap());
    let mut submission = Submission::new(from, to, Bytes::from(unescape(body)));
    submission.url = url;
    submission
}

fn show(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(reply) => format!("accepted {reply}"),
        Verdict::Deferred(reply) => format!("deferred {reply}"),
        Verdict::Refused(reply) => format!("refused {reply}"),
        Verdict::NotSent(failure) => format!("not sent: {failure}"),
        Verdict::Unknown(failure) => format!("unknown: {failure}"),
        _ => panic!("a verdict that this test does not know"),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

fn configure(config: &mut Config, setting: &str) {
    match setting.split_once('=').unwrap_or((setting, "")) {
        ("lmtp", _) => config.protocol = Protocol::Lmtp,
        ("tls", "required") => config.tls = Tls::Required,
        ("tls", "if_offered") => config.tls = Tls::IfOffered,
        ("tls", "implicit") => config.tls = Tls::Implicit,
        ("password", _) => {
            config.auth = Some(Auth::Password { user: "tim".into(), password: "tanstaaf".to_owned().into() });
        }
        ("token", _) => {
            config.auth = Some(Auth::Token { user: "tim".into(), token: "vF9dft4qmT".to_owned().into() });
        }
        ("auth_in_clear", _) => config.auth_in_clear = true,
        ("burl", _) => config.burl = true,
        other => panic!("unknown setting {other:?}"),
    }
}

fn replay(name: &str, trace: &str) {
    let mut config = Config::new("client.example");
    config.tls = Tls::Never;
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
            "S>" => {
                let octets = match rest.strip_suffix('\\') {
                    Some(rest) => unescape(rest),
                    None => [unescape(rest), b"\r\n".to_vec()].concat(),
                };
                bench.session.handle_input(bench.now, &octets);
            }
            "C<" => assert_eq!(bench.line(), rest, "{place}"),
            "E" | "X" => assert_eq!(bench.others.pop_front().as_deref(), Some(line), "{place}"),
            "H" => bench.act(rest),
            "T" => {
                bench.now += Duration::from_secs(rest.parse().unwrap());
                bench.session.handle_timeout(bench.now);
            }
            _ => panic!("{place}: unknown line"),
        }
    }
    bench.drain();
    assert_eq!(bench.wire.escape_ascii().to_string(), "", "{name}: commands left over");
    assert!(bench.others.is_empty(), "{name}: outputs left over: {:?}", bench.others);
}

macro_rules! traces {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), include_str!(concat!("traces/client/", stringify!($name), ".trace")));
        }
    )*};
}

traces! {
    plain
    pipelining
    starttls_and_auth
    auth_login
    auth_token
    threat_m3_injected_answer
    threat_m3_no_starttls
    lmtp
    burl
    burl_refused
    burl_not_offered
    threat_s12_burl_unanswered
    threat_s12_burl_and_the_server_goes
    broken_before_the_end
    broken_after_the_end
    refusals
    what_cannot_be_sent
}
