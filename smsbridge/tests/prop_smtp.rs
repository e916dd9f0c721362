//! Any octets, cut anywhere: the same outputs, no panic, no endless loop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "smtp")]

use bytes::Bytes;
use proptest::prelude::*;
use smsbridge::smtp::{EnhancedCode, MailFrom, Output, Protocol, Recipient, Reply, client, server};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// What a server said and asked, with a host that decides by the address.
#[derive(Debug, PartialEq, Default)]
struct Record {
    wire: Vec<u8>,
    events: Vec<String>,
    bodies: Vec<Bytes>,
}

fn serve(config: &server::Config, pieces: &[&[u8]]) -> Record {
    let mut session = server::Session::new(config.clone(), NOW);
    let mut record = Record::default();
    let input: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut outputs = 0;
    for piece in [&[&b""[..]], pieces].concat() {
        session.handle_input(NOW, piece);
        while let Some(output) = session.poll_output() {
            outputs += 1;
            assert!(outputs < 64 + input, "more outputs than octets of input");
            decide(&mut session, output, &mut record);
        }
    }
    record
}

fn decide(session: &mut server::Session, output: server::Output, record: &mut Record) {
    let no = Reply::new(550, EnhancedCode(5, 1, 1), "No");
    match output {
        Output::Transmit(bytes) => record.wire.extend_from_slice(&bytes),
        Output::StartTls => {
            record.events.push("tls".into());
            // pipelined octets are gone, so what follows a cut differs: the peer waits here
            session.handle_eof(NOW);
        }
        Output::Close => record.events.push("close".into()),
        Output::Event(event) => {
            record.events.push(format!("{event:?}"));
            match event {
                server::Event::Mail(from) if from.address.to_string().starts_with('n') => {
                    session.reject_mail(NOW, &no).unwrap();
                }
                server::Event::Mail(_) => session.accept_mail(NOW).unwrap(),
                server::Event::Rcpt(to) if to.address.to_string().starts_with('n') => {
                    session.reject_rcpt(NOW, &no).unwrap();
                }
                server::Event::Rcpt(_) => session.accept_rcpt(NOW).unwrap(),
                server::Event::Message { body, .. } => {
                    record.bodies.push(body);
                    session.accept_message(NOW, "id").unwrap();
                }
                server::Event::Auth(_) => session.accept_auth(NOW).unwrap(),
                _ => panic!("an event that this test does not know"),
            }
        }
        _ => panic!("an output that this test does not know"),
    }
}

fn cut<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    at.sort_unstable();
    at.push(input.len());
    let mut start = 0;
    at.into_iter().map(|end| &input[std::mem::replace(&mut start, end)..end]).collect()
}

fn config() -> server::Config {
    let mut config = server::Config::new("mx");
    config.starttls = true;
    config.dsn = true;
    config.auth = server::AuthPolicy::Offered;
    config.auth_in_clear = true;
    config.limits.errors = 1_000;
    config.limits.message_octets = 200;
    config.limits.line_octets = 40;
    config
}

/// Lines that lead deep into the session, and junk.
fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        &b"EHLO c\r\n"[..],
        b"LHLO c\r\n",
        b"MAIL FROM:<a@b> SIZE=10 RET=FULL\r\n",
        b"MAIL FROM:<n@b>\r\n",
        b"RCPT TO:<x@y> NOTIFY=NEVER\r\n",
        b"RCPT TO:<n@y>\r\n",
        b"DATA\r\n",
        b"RSET\r\n",
        b"STARTTLS\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AUTH LOGIN\r\n",
        b"QUIT\r\n",
        b"text\r\n",
        b"..stuffed\r\n",
        b".\r\n",
        b".\n",
        b".\r\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\xff\xfe\r\n",
    ]);
    let random = prop::collection::vec(any::<u8>(), 0..20);
    let piece = prop_oneof![8 => line.prop_map(<[u8]>::to_vec), 1 => random];
    let start = prop::bool::weighted(0.8);
    (start, prop::collection::vec(piece, 0..40)).prop_map(|(start, pieces)| {
        let start: &[u8] =
            if start { b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

/// Message text in CRLF lines with dots in all places.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just(String::new()),
        "[ -~]{0,30}",
        "\\.[ -~]{0,5}",
    ];
    prop::collection::vec(line, 0..60)
        .prop_map(|lines| lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_outputs(input in dialogue(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12), lmtp: bool) {
        let mut config = config();
        config.protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let whole = serve(&config, &[&input]);
        prop_assert_eq!(&whole, &serve(&config, &cut(&input, &cuts)));
        let octets: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&whole, &serve(&config, &octets));
        for body in &whole.bodies {
            prop_assert!(body.len() <= 200);
            prop_assert!(body.is_empty() || body.ends_with(b"\r\n"));
        }
    }

    #[test]
    fn random_octets_never_panic(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
        serve(&config(), &[&input]);
        let mut session = client::Session::new(client::Config::new("c"), NOW);
        session.handle_input(NOW, &input);
        let mut outputs = 0;
        while session.poll_output().is_some() {
            outputs += 1;
            prop_assert!(outputs < 64 + input.len());
        }
    }

    #[test]
    fn what_the_client_sends_is_what_the_server_hands_over(body in message(), lmtp: bool, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut theirs = server::Config::new("mx");
        let mut ours = client::Config::new("c");
        ours.tls = client::Tls::Never;
        if lmtp {
            theirs.protocol = Protocol::Lmtp;
            ours.protocol = Protocol::Lmtp;
        }
        let mut server = server::Session::new(theirs, NOW);
        let mut client = client::Session::new(ours, NOW);
        let mut record = Record::default();
        let mut outcome = None;
        loop {
            while let Some(output) = server.poll_output() {
                decide(&mut server, output, &mut record);
            }
            let replies = std::mem::take(&mut record.wire);
            client.handle_input(NOW, &replies);
            let mut wire = Vec::new();
            while let Some(output) = client.poll_output() {
                match output {
                    Output::Transmit(bytes) => wire.extend_from_slice(&bytes),
                    Output::Event(client::Event::Ready(_)) => {
                        let to = ["x@y", "n@y", "z@y"].map(|to| Recipient::new(to.parse().unwrap()));
                        let from = MailFrom::new("a@b".parse().unwrap());
                        client.send(NOW, client::Submission::new(from, to.to_vec(), body.clone().into())).unwrap();
                    }
                    Output::Event(client::Event::Sent(sent)) => outcome = Some(sent),
                    other => panic!("{other:?}"),
                }
            }
            if wire.is_empty() {
                break;
            }
            for piece in cut(&wire, &cuts) {
                server.handle_input(NOW, piece);
                while let Some(output) = server.poll_output() {
                    decide(&mut server, output, &mut record);
                }
            }
        }
        prop_assert_eq!(&record.bodies, &vec![Bytes::from(body)]);
        let verdicts: Vec<u16> = outcome.unwrap().recipients.iter().map(|(_, verdict)| match verdict {
            client::Verdict::Accepted(reply) | client::Verdict::Refused(reply) => reply.code,
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(verdicts, [250, 550, 250]);
    }
}

/// Twice the octets may take at most about twice the time, so nothing is scanned again and again.
#[test]
fn threat_l2_large_messages_take_linear_time() {
    fn seconds(octets: usize, piece: usize) -> f64 {
        let mut config = server::Config::new("mx");
        config.limits.message_octets = octets;
        let mut input = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n".to_vec();
        input.extend(b"..a line of mail\r\n".iter().cycle().take(octets / 18 * 18));
        input.extend(b".\r\n");
        let pieces: Vec<&[u8]> = input.chunks(piece).collect();
        #[expect(clippy::disallowed_methods, reason = "measures the engine from outside")]
        let start = std::time::Instant::now();
        let record = serve(&config, &pieces);
        assert_eq!(record.bodies[0].len(), octets / 18 * 17);
        start.elapsed().as_secs_f64()
    }
    for piece in [4 * 1024, usize::MAX / 2] {
        let best = |octets| (0..5).map(|_| seconds(octets, piece)).fold(f64::MAX, f64::min);
        let (small, large) = (best(1 << 20), best(1 << 23));
        assert!(large < 8.0 * 2.5 * small, "8 times the octets took {large} s instead of {small} s");
    }
}
