//! SMPP sessions against each other and against hostile peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "smpp")]

use proptest::prelude::*;
use smsbridge::smpp::pdu::{DeliverSm, MessageResp, SubmitSm};
use smsbridge::smpp::session::{
    BindMode, Config, Credentials, Event, InDoubt, Output, Rate, Reason, Session, SessionError, Token,
};
use smsbridge::smpp::{Body, CommandId, CommandStatus, InterfaceVersion, Pdu, SequenceNumber};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn credentials(mode: BindMode) -> Credentials {
    Credentials::new(mode, "esme".try_into().unwrap(), "secret".try_into().unwrap())
}

fn submit() -> Pdu {
    let mut body = SubmitSm::default();
    body.destination_addr = "8613800138000".try_into().unwrap();
    body.short_message = "hi".try_into().unwrap();
    Pdu::new(SequenceNumber(0), &Body::SubmitSm(body))
}

fn deliver() -> Pdu {
    Pdu::new(SequenceNumber(0), &Body::DeliverSm(DeliverSm::default()))
}

fn taken(id: &str) -> Body {
    let mut body = MessageResp::default();
    body.message_id = id.try_into().unwrap();
    Body::SubmitSmResp(body)
}

/// All outputs at once: octets, events, and whether the link is to be closed.
fn drain(session: &mut Session) -> (Vec<u8>, Vec<Event>, bool) {
    let (mut wire, mut events, mut closed) = (Vec::new(), Vec::new(), false);
    while let Some(output) = session.poll_output() {
        assert!(!closed, "something after the close");
        match output {
            Output::Transmit(bytes) => wire.extend_from_slice(&bytes),
            Output::Event(event) => events.push(event),
            Output::Close => closed = true,
            other => panic!("{other:?}"),
        }
    }
    (wire, events, closed)
}

/// Two ends and what they told their hosts.
struct Link {
    esme: Session,
    smsc: Session,
    esme_events: Vec<Event>,
    smsc_events: Vec<Event>,
}

impl Link {
    fn new(mode: BindMode, esme: Config, smsc: Config) -> Self {
        let (esme, smsc) = (Session::esme(esme, credentials(mode), NOW), Session::smsc(smsc, NOW));
        let mut link = Link { esme, smsc, esme_events: Vec::new(), smsc_events: Vec::new() };
        link.run(NOW);
        link
    }

    fn bound(mode: BindMode) -> Self {
        let mut link = Link::new(mode, Config::default(), Config::default());
        assert!(matches!(link.smsc_events.pop(), Some(Event::BindRequested { .. })));
        link.smsc.accept_bind(NOW).unwrap();
        link.run(NOW);
        assert_eq!((link.esme.bound(), link.smsc.bound()), (Some(mode), Some(mode)));
        link.esme_events.clear();
        link.smsc_events.clear();
        link
    }

    fn run(&mut self, now: Duration) {
        loop {
            let (up, events, _) = drain(&mut self.esme);
            self.esme_events.extend(events);
            let (down, events, _) = drain(&mut self.smsc);
            self.smsc_events.extend(events);
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.smsc.handle_input(now, &up);
            self.esme.handle_input(now, &down);
        }
    }
}

#[test]
fn binds_say_who_and_which_version() {
    let mut link = Link::new(BindMode::Transceiver, Config::default(), Config::default());
    let Some(Event::BindRequested { mode, bind }) = link.smsc_events.pop() else { panic!() };
    assert_eq!((mode, bind.system_id.to_str()), (BindMode::Transceiver, Some("esme")));
    assert_eq!(&bind.password.expose()[..], b"secret");
    assert!(!format!("{bind:?}").contains("secret"));
    link.smsc.accept_bind(NOW).unwrap();
    link.run(NOW);
    let version = Some(InterfaceVersion::V3_4);
    assert_eq!(link.esme_events, [Event::Bound { mode: BindMode::Transceiver, version }]);
}

#[test]
fn a_refused_bind_ends_the_link() {
    let mut link = Link::new(BindMode::Receiver, Config::default(), Config::default());
    link.smsc.refuse_bind(CommandStatus::RBINDFAIL).unwrap();
    link.run(NOW);
    let Some(Event::Closed { reason, .. }) = link.esme_events.pop() else { panic!() };
    assert_eq!(reason, Reason::BindRefused(CommandStatus::RBINDFAIL));
    assert!(link.smsc.is_closed());
}

#[test]
fn messages_both_ways_and_out_of_order() {
    let mut link = Link::bound(BindMode::Transceiver);
    for token in 1..=3 {
        link.esme.request(NOW, Token(token), submit(), 1).unwrap();
    }
    link.smsc.request(NOW, Token(9), deliver(), 1).unwrap();
    link.run(NOW);
    let numbers: Vec<SequenceNumber> = link.smsc_events.iter().filter_map(request_number).collect();
    assert_eq!(numbers.len(), 3);
    for (number, id) in numbers.iter().zip(["a", "b", "c"]).rev() {
        link.smsc.respond(NOW, *number, CommandStatus::ROK, Some(&taken(id))).unwrap();
    }
    let number = link.esme_events.iter().find_map(request_number).unwrap();
    link.esme.respond(NOW, number, CommandStatus::RX_T_APPN, None).unwrap();
    link.run(NOW);
    let answers: Vec<(u64, Option<Body>)> = link
        .esme_events
        .iter()
        .filter_map(|event| match event {
            Event::Response { token, body, .. } => Some((token.0, body.as_deref().cloned())),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(3, Some(taken("c"))), (2, Some(taken("b"))), (1, Some(taken("a")))]);
    assert!(link.smsc_events.iter().any(|event| matches!(
        event,
        Event::Response { token: Token(9), pdu, .. } if pdu.command_status == CommandStatus::RX_T_APPN
    )));
    // answered once is answered
    let again = link.smsc.respond(NOW, numbers[0], CommandStatus::ROK, None);
    assert_eq!(again, Err(SessionError::NotOwed(numbers[0])));
}

fn request_number(event: &Event) -> Option<SequenceNumber> {
    match event {
        Event::Request { pdu, .. } => Some(pdu.sequence_number),
        _ => None,
    }
}

#[test]
fn a_pdu_is_passed_on_unchanged() {
    let mut link = Link::bound(BindMode::Transmitter);
    let original = submit();
    link.esme.request(NOW, Token(1), original.clone(), 1).unwrap();
    link.run(NOW);
    let Some(Event::Request { pdu, .. }) = link.smsc_events.pop() else { panic!() };
    assert_eq!(pdu.body(), original.body());
    let mut other = Link::bound(BindMode::Transmitter);
    other.esme.request(NOW, Token(2), pdu.clone(), 1).unwrap();
    other.run(NOW);
    let Some(Event::Request { pdu: passed, .. }) = other.smsc_events.pop() else { panic!() };
    assert_eq!(passed.body(), pdu.body());
}

#[test]
fn the_window_is_exact_and_in_doubt_at_a_break() {
    let mut link = Link::bound(BindMode::Transmitter);
    for token in 0..10 {
        link.esme.request(NOW, Token(token), submit(), 1).unwrap();
    }
    assert_eq!(link.esme.request(NOW, Token(10), submit(), 1), Err(SessionError::WindowFull(10)));
    link.run(NOW);
    let number = link.smsc_events.iter().find_map(request_number).unwrap();
    link.smsc.respond(NOW, number, CommandStatus::ROK, Some(&taken("1"))).unwrap();
    link.run(NOW);
    link.esme.request(NOW, Token(10), submit(), 1).unwrap();
    link.esme.handle_eof(NOW);
    let (_, events, closed) = drain(&mut link.esme);
    let Some(Event::Closed { reason: Reason::LinkClosed, in_doubt, .. }) = events.last() else { panic!() };
    let tokens: Vec<u64> = in_doubt.iter().map(|InDoubt { token, .. }| token.0).collect();
    assert!(closed);
    assert_eq!(tokens, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn the_rate_counts_parts() {
    let config = Config::default();
    let mut config = config;
    config.rate = Some(Rate { parts_per_second: 10, burst: 1 });
    config.window = 100;
    let mut link = Link::new(BindMode::Transmitter, config, Config::default());
    link.smsc.accept_bind(NOW).unwrap();
    link.run(NOW);
    let ms = Duration::from_millis;
    link.esme.request(seconds(1), Token(1), submit(), 3).unwrap();
    let early = link.esme.request(seconds(1), Token(2), submit(), 1);
    assert_eq!(early, Err(SessionError::Throttled { until: ms(1_300) }));
    assert!(link.esme.request(ms(1_299), Token(2), submit(), 1).is_err());
    link.esme.request(ms(1_300), Token(2), submit(), 1).unwrap();
    // what is no message costs nothing
    let query = Pdu::new(SequenceNumber(0), &Body::QuerySm(Default::default()));
    link.esme.request(ms(1_300), Token(3), query, 0).unwrap();
    // ten seconds at full speed are a hundred parts
    let mut sent = 0;
    for at in 0..10_000 {
        let mut one = true;
        while one {
            one = link.esme.request(seconds(2) + ms(at), Token(u64::from(sent) + 10), submit(), 1).is_ok();
            sent += u32::from(one);
            link.run(seconds(2));
            while let Some(event) = link.smsc_events.pop() {
                let Some(number) = request_number(&event) else { continue };
                link.smsc.respond(NOW, number, CommandStatus::ROK, None).unwrap();
            }
            link.run(seconds(2));
        }
    }
    assert_eq!(sent, 100);
}

#[test]
fn throttling_backs_off_and_recovers() {
    let mut link = Link::bound(BindMode::Transmitter);
    let mut now = NOW;
    let mut pauses = Vec::new();
    for status in
        [CommandStatus::RTHROTTLED, CommandStatus::RMSGQFUL, CommandStatus::ROK, CommandStatus::RTHROTTLED]
    {
        link.esme.request(now, Token(1), submit(), 1).unwrap();
        link.run(now);
        let number = link.smsc_events.drain(..).find_map(|event| request_number(&event)).unwrap();
        link.smsc.respond(now, number, status, None).unwrap();
        link.run(now);
        let until = link.esme_events.drain(..).find_map(|event| match event {
            Event::Throttled { until } => Some(until),
            _ => None,
        });
        if let Some(until) = until {
            pauses.push(until - now);
            assert_eq!(link.esme.request(now, Token(2), submit(), 1), Err(SessionError::Throttled { until }));
            now = until;
        }
    }
    assert_eq!(pauses, [seconds(1), seconds(2), seconds(1)]);
}

#[test]
fn unbind_drains_both_ways() {
    // ours: the answer that is owed comes first
    let mut link = Link::bound(BindMode::Transceiver);
    link.esme.request(NOW, Token(1), submit(), 1).unwrap();
    link.esme.unbind(NOW).unwrap();
    assert!(matches!(link.esme.request(NOW, Token(2), submit(), 1), Err(SessionError::WrongState { .. })));
    link.run(NOW);
    assert!(!link.smsc_events.contains(&Event::Unbinding));
    let number = link.smsc_events.iter().find_map(request_number).unwrap();
    link.smsc.respond(NOW, number, CommandStatus::ROK, Some(&taken("1"))).unwrap();
    link.run(NOW);
    assert!(link.smsc_events.contains(&Event::Unbinding));
    for events in [&link.esme_events, &link.smsc_events] {
        let Some(Event::Closed { reason: Reason::Unbound, in_doubt, unanswered }) = events.last() else {
            panic!()
        };
        assert!(in_doubt.is_empty() && unanswered.is_empty());
    }
    // theirs: what we owe is answered before the link goes
    let mut link = Link::bound(BindMode::Transceiver);
    link.smsc.request(NOW, Token(1), deliver(), 1).unwrap();
    link.run(NOW);
    let unbind = Pdu::new(SequenceNumber(77), &Body::Unbind).encode();
    link.esme.handle_input(NOW, &unbind);
    let (wire, events, closed) = drain(&mut link.esme);
    assert_eq!((wire.len(), events, closed), (0, vec![Event::Unbinding], false));
    let number = link.esme_events.iter().find_map(request_number).unwrap();
    link.esme.respond(NOW, number, CommandStatus::ROK, None).unwrap();
    let (wire, _, closed) = drain(&mut link.esme);
    assert!(closed);
    assert!(wire.ends_with(&Pdu::new(SequenceNumber(77), &Body::UnbindResp).encode()));
}

#[test]
fn threat_p2_silence_and_stuck_windows_end_the_link() {
    let mut link = Link::bound(BindMode::Transmitter);
    assert_eq!(link.esme.poll_timeout(), Some(seconds(30)));
    link.esme.handle_timeout(seconds(30));
    let (wire, ..) = drain(&mut link.esme);
    assert_eq!(wire[4..8], CommandId::ENQUIRE_LINK.0.to_be_bytes());
    assert_eq!(link.esme.poll_timeout(), Some(seconds(90)));
    link.esme.handle_timeout(seconds(90));
    let (_, events, closed) = drain(&mut link.esme);
    assert!(closed && matches!(events[..], [Event::Closed { reason: Reason::Silent, .. }]));

    // the peer answers enquire_link, but no requests
    let mut link = Link::bound(BindMode::Transmitter);
    for token in 0..10 {
        link.esme.request(NOW, Token(token), submit(), 1).unwrap();
    }
    link.run(NOW);
    link.esme.handle_timeout(seconds(30));
    link.run(seconds(30));
    link.esme.handle_timeout(seconds(60));
    let (_, events, closed) = drain(&mut link.esme);
    let lost = events.iter().filter(|event| matches!(event, Event::NoResponse(_))).count();
    assert!(closed && matches!(events.last(), Some(Event::Closed { reason: Reason::WindowStuck, .. })));
    assert_eq!(lost, 10);
}

#[test]
fn threat_p2_before_bind_only_bind() {
    let mut smsc = Session::smsc(Config::default(), NOW);
    let mut early = submit();
    early.sequence_number = SequenceNumber(5);
    smsc.handle_input(NOW, &early.encode());
    let (wire, events, closed) = drain(&mut smsc);
    let answer = Pdu::refusal(CommandId::SUBMIT_SM_RESP, CommandStatus::RINVBNDSTS, SequenceNumber(5));
    assert_eq!((wire, events, closed), (answer.encode().to_vec(), vec![], false));
    assert_eq!(smsc.poll_timeout(), Some(seconds(10)));
    // octet by octet does not help
    for at in 0..9 {
        smsc.handle_input(seconds(at), &[0]);
    }
    smsc.handle_timeout(seconds(10));
    let (_, events, _) = drain(&mut smsc);
    assert!(matches!(
        events.last(),
        Some(Event::Closed { reason: Reason::BindTimeout | Reason::Framing(_), .. })
    ));
}

/// What a bound session answers to one PDU.
fn answer(session: &mut Session, pdu: &[u8]) -> Vec<(CommandId, CommandStatus, u32)> {
    session.handle_input(NOW, pdu);
    let (wire, ..) = drain(session);
    let mut framer = smsbridge::smpp::Framer::new(Default::default());
    framer.push(&wire);
    let mut answers = Vec::new();
    while let Some(pdu) = framer.next_pdu().unwrap() {
        answers.push((pdu.command_id, pdu.command_status, pdu.sequence_number.0));
    }
    answers
}

fn raw(id: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 16).unwrap();
    [&[length, id, 0, sequence].map(u32::to_be_bytes).concat()[..], body].concat()
}

// mission: bad input list of the bridge; threats P1, L4: one PDU is lost, the link is not
#[test]
fn threat_p1_bad_bodies_get_their_status_and_the_link_stays() {
    let fixed = |tail: &[u8]| {
        // service_type, source, destination, esm_class, protocol_id, priority
        let head = [&[0, 0, 0, 0, 0, 0][..], b"1\0", &[0, 0, 0]].concat();
        [&head, tail].concat()
    };
    let rest = |length: u8, text: &[u8]| fixed(&[&[0, 0, 0, 0, 0, 0, length][..], text].concat());
    for (name, id, body, expected) in [
        ("good", 4, rest(2, b"hi"), None),
        ("unknown command", 0x99, vec![], Some((CommandId::GENERIC_NACK, CommandStatus::RINVCMDID))),
        ("vendor command", 0x0001_0200, vec![1], Some((CommandId::GENERIC_NACK, CommandStatus::RINVCMDID))),
        ("no body", 4, vec![], Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVCMDLEN))),
        (
            "sm_length past the end",
            4,
            rest(200, b"hi"),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVMSGLEN)),
        ),
        (
            "sm_length 255",
            4,
            rest(255, &[b'x'; 255]),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVMSGLEN)),
        ),
        (
            "leftover octets",
            4,
            rest(2, b"hi!"),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVOPTPARSTREAM)),
        ),
        (
            "TLV past the end",
            4,
            rest(2, &[b"hi"[..].to_vec(), vec![4, 0x24, 0xFF, 0xFF, 1]].concat()),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVOPTPARSTREAM)),
        ),
        (
            "two texts",
            4,
            rest(2, &[b"hi"[..].to_vec(), vec![4, 0x24, 0, 1, b'x']].concat()),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVMSGLEN)),
        ),
        (
            "service_type too long",
            4,
            b"toolong\0".to_vec(),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVSERTYP)),
        ),
        (
            "a time that is none",
            4,
            fixed(b"now\0\0\0\0\0\0\0"),
            Some((CommandId::SUBMIT_SM_RESP, CommandStatus::RINVSCHED)),
        ),
        (
            "bad dest_flag",
            0x21,
            vec![0, 0, 0, 0, 1, 7],
            Some((CommandId::SUBMIT_MULTI_RESP, CommandStatus::RINVDESTFLAG)),
        ),
        (
            "an answer as SMSC's request",
            5,
            rest(0, b""),
            Some((CommandId::DELIVER_SM_RESP, CommandStatus::RINVBNDSTS)),
        ),
        (
            "a second bind",
            9,
            b"esme\0\0\0\x34\0\0\0".to_vec(),
            Some((CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::RALYBND)),
        ),
        ("a response to nothing", 0x8000_0004, vec![], None),
    ] {
        let mut link = Link::bound(BindMode::Transceiver);
        let answers = answer(&mut link.smsc, &raw(id, 42, &body));
        let expected: Vec<_> = expected.iter().map(|(id, status)| (*id, *status, 42)).collect();
        assert_eq!(answers, expected, "{name}");
        // honest traffic beside it is unharmed
        link.esme.request(NOW, Token(1), submit(), 1).unwrap();
        link.run(NOW);
        assert!(link.smsc_events.iter().any(|event| request_number(event).is_some()), "{name}");
    }
}

#[test]
fn threat_p1_bad_lengths_are_nacked_and_end_the_link() {
    for length in [0u32, 1, 15, 70_001, 0x7FFF_FFFF, 0xFFFF_FFFF] {
        let mut link = Link::bound(BindMode::Transceiver);
        let frame = [length, 4, 0, 7].map(u32::to_be_bytes).concat();
        let answers = answer(&mut link.smsc, &frame);
        assert_eq!(answers, [(CommandId::GENERIC_NACK, CommandStatus::RINVCMDLEN, 7)]);
        assert!(link.smsc.is_closed());
    }
}

#[test]
fn odd_sequence_numbers() {
    let mut link = Link::bound(BindMode::Transceiver);
    for sequence in [0, 0xFFFF_FFFF, 0x8000_0000] {
        let enquire = raw(0x15, sequence, &[]);
        let expected = (CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence);
        assert_eq!(answer(&mut link.smsc, &enquire), [expected]);
    }
    // the same number twice while the first is owed
    let mut twice = submit();
    twice.sequence_number = SequenceNumber(3);
    assert_eq!(answer(&mut link.smsc, &twice.encode()), []);
    let expected = (CommandId::SUBMIT_SM_RESP, CommandStatus::RSYSERR, 3);
    assert_eq!(answer(&mut link.smsc, &twice.encode()), [expected]);
}

#[test]
fn a_flood_of_requests_is_refused_not_queued() {
    let mut link = Link::bound(BindMode::Transceiver);
    let mut refused = 0;
    for sequence in 1..=1_000 {
        let mut pdu = submit();
        pdu.sequence_number = SequenceNumber(sequence);
        for (_, status, _) in answer(&mut link.smsc, &pdu.encode()) {
            assert_eq!(status, CommandStatus::RTHROTTLED);
            refused += 1;
        }
    }
    assert_eq!(refused, 900);
}

/// One step of a random session.
#[derive(Clone, Debug)]
enum Step {
    Octets(Vec<u8>),
    Pdu(u32, u32, Vec<u8>),
    Request(u32),
    Respond(u32),
    Unbind,
    Accept,
    Time(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ids = prop::sample::select(vec![
        1u32,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        0x0B,
        0x15,
        0x21,
        0x102,
        0x103,
        0x111,
        0x112,
        0x113,
        0x22,
        0x23,
        0x24,
        0x99,
        0x8000_0000,
        0x8000_0001,
        0x8000_0002,
        0x8000_0004,
        0x8000_0005,
        0x8000_0006,
        0x8000_0009,
        0x8000_0015,
        0x8000_0103,
        0x8000_0021,
    ]);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Octets),
        6 => (ids, 0u32..8, prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..60))
            .prop_map(|(id, sequence, body)| Step::Pdu(id, sequence, body)),
        3 => (1u32..4).prop_map(Step::Request),
        2 => (0u32..8).prop_map(Step::Respond),
        1 => Just(Step::Unbind),
        2 => Just(Step::Accept),
        2 => (0u64..100).prop_map(Step::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, in whatever order: no panic, bounded state, and every accepted request ends in exactly one of
    /// an answer, no answer in time, or in doubt at the close.
    #[test]
    fn every_request_has_exactly_one_end(steps in prop::collection::vec(step(), 0..60), esme: bool) {
        let mut session = if esme {
            Session::esme(Config::default(), credentials(BindMode::Transceiver), NOW)
        } else {
            Session::smsc(Config::default(), NOW)
        };
        let mut now = NOW;
        let (mut sent, mut ended) = (0u64, Vec::new());
        let mut closes = 0;
        for step in steps.into_iter().chain([Step::Time(0)]) {
            match step {
                Step::Octets(octets) => session.handle_input(now, &octets),
                Step::Pdu(id, sequence, body) => session.handle_input(now, &raw(id, sequence, &body)),
                Step::Request(parts) => {
                    let pdu = if esme { submit() } else { deliver() };
                    if session.request(now, Token(sent), pdu, parts).is_ok() {
                        sent += 1;
                    }
                }
                Step::Respond(sequence) => {
                    let _ = session.respond(now, SequenceNumber(sequence), CommandStatus::RSYSERR, None);
                }
                Step::Unbind => drop(session.unbind(now)),
                Step::Accept => drop(session.accept_bind(now)),
                Step::Time(more) => {
                    now += seconds(more);
                    session.handle_timeout(now);
                }
            }
            let (_, events, closed) = drain(&mut session);
            closes += usize::from(closed);
            for event in events {
                match event {
                    Event::Response { token, .. } => ended.push(token.0),
                    Event::NoResponse(InDoubt { token, .. }) => ended.push(token.0),
                    Event::Closed { in_doubt, .. } => ended.extend(in_doubt.iter().map(|one| one.token.0)),
                    _ => {}
                }
            }
            prop_assert!(session.outstanding() <= 10);
            prop_assert!(session.is_closed() || session.poll_timeout().is_some());
        }
        if !session.is_closed() {
            session.handle_eof(now);
            let (_, events, closed) = drain(&mut session);
            prop_assert!(closed);
            if let Some(Event::Closed { in_doubt, .. }) = events.last() {
                ended.extend(in_doubt.iter().map(|one| one.token.0));
            }
            closes += 1;
        }
        ended.sort_unstable();
        prop_assert_eq!(ended, (0..sent).collect::<Vec<_>>());
        prop_assert_eq!(closes, 1);
    }
}
