//! Bad and hostile NTP, each by name; an honest exchange beside it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use timesync::sntp::{Client, Config, Event, Input, Output, SampleRefusal, Server, ServerStatus};
use timesync::{
    ExchangeRefusal, FilterRefusal, KissCode, NtpShort, NtpTimestamp, Packet, ReplyRefusal, Request,
    SourceId, UnixTime,
};

const BUILT: UnixTime = UnixTime::from_secs(1_795_000_000);
const NONCE: NtpTimestamp = NtpTimestamp::from_bits(0x1122_3344_5566_7788);

fn honest() -> Packet {
    let at = BUILT.plus(5_000_000_000);
    let bytes = Server::default()
        .reply(&Request::new(NONCE).packet().encode(), at, at, &ServerStatus::primary())
        .unwrap();
    Packet::decode(&bytes).unwrap()
}

fn refusal(change: impl FnOnce(&mut Packet)) -> ReplyRefusal {
    let mut packet = honest();
    change(&mut packet);
    Request::new(NONCE).check(&packet.encode()).unwrap_err().1
}

#[test]
fn an_honest_reply_passes_every_check() {
    assert_eq!(Request::new(NONCE).check(&honest().encode()).unwrap(), honest());
}

#[test]
fn threat_ntp_length_0_to_47_and_over_2048() {
    for len in 0..48 {
        let short = &honest().encode()[..len];
        assert!(matches!(Request::new(NONCE).check(short), Err((_, ReplyRefusal::Malformed(_)))));
    }
    let mut long = honest().encode().to_vec();
    long.resize(2049, 0);
    assert_eq!(Request::new(NONCE).check(&long).unwrap_err().1, ReplyRefusal::TooLong { len: 2049 });
    // 49 to 2048: a legal MAC passes, loose octets do not.
    for (len, ok) in [(49, false), (52, true), (68, true), (72, true), (2048, false)] {
        long.truncate(0);
        long.extend(honest().encode());
        long.resize(len, 0);
        assert_eq!(Request::new(NONCE).check(&long).is_ok(), ok, "{len}");
    }
}

#[test]
fn threat_ntp_extension_fields_of_length_0_3_and_65535_and_odd_macs() {
    for (length, ok) in
        [(0_u16, false), (3, false), (15, false), (17, false), (28, true), (32, false), (65_535, false)]
    {
        let mut long = honest().encode().to_vec();
        long.extend([0x01, 0x04]);
        long.extend(length.to_be_bytes());
        long.resize(48 + 28, 0xAA);
        assert_eq!(Request::new(NONCE).check(&long).is_ok(), ok, "{length}");
    }
    for mac in [1, 2, 3, 5, 8, 12, 15] {
        let mut long = honest().encode().to_vec();
        long.resize(48 + mac, 0xAA);
        assert!(Request::new(NONCE).check(&long).is_err(), "{mac}");
    }
}

#[test]
fn threat_ntp_mode_and_version() {
    for mode in [0, 1, 2, 3, 5, 6, 7] {
        assert_eq!(refusal(|p| p.mode = mode), ReplyRefusal::WrongMode { mode });
    }
    for version in [0, 5, 6, 7] {
        assert_eq!(refusal(|p| p.version = version), ReplyRefusal::WrongVersion { version });
    }
}

#[test]
fn threat_ntp_kiss_codes_known_and_unknown() {
    for code in [KissCode::DENY, KissCode::RSTR, KissCode::RATE, KissCode(*b"XYZ!"), KissCode([0xff; 4])] {
        let found = refusal(|p| {
            p.stratum = 0;
            p.reference_id = code.0;
        });
        assert_eq!(found, ReplyRefusal::KissOfDeath { code });
    }
}

#[test]
fn threat_ntp_stratum_16_to_255_and_leap_3() {
    for stratum in 16..=255 {
        assert_eq!(refusal(|p| p.stratum = stratum), ReplyRefusal::Unsynchronised { leap: 0, stratum });
    }
    assert_eq!(refusal(|p| p.leap = 3), ReplyRefusal::Unsynchronised { leap: 3, stratum: 1 });
}

#[test]
fn threat_ntp_every_precision() {
    for precision in i8::MIN..=i8::MAX {
        let mut packet = honest();
        packet.precision = precision;
        let ok = Request::new(NONCE).check(&packet.encode()).is_ok();
        assert_eq!(ok, (-32..=0).contains(&precision), "{precision}");
    }
}

#[test]
fn threat_ntp_root_delay_negative_or_all_ones() {
    for bits in [0x8000_0000, 0xffff_ffff] {
        let found = refusal(|p| p.root_delay = NtpShort::from_bits(bits));
        assert!(matches!(found, ReplyRefusal::RootTooFar { nanos } if nanos >= 16_000_000_000));
        assert!(matches!(
            refusal(|p| p.root_dispersion = NtpShort::from_bits(bits)),
            ReplyRefusal::RootTooFar { .. }
        ));
    }
}

#[test]
fn threat_ntp_zero_stamps_and_reference_in_the_future() {
    assert_eq!(refusal(|p| p.transmit = NtpTimestamp::UNKNOWN), ReplyRefusal::UnknownTimestamp);
    assert_eq!(refusal(|p| p.receive = NtpTimestamp::UNKNOWN), ReplyRefusal::UnknownTimestamp);
    assert_eq!(
        refusal(|p| p.reference = NtpTimestamp::from_bits(p.transmit.bits() + 1)),
        ReplyRefusal::ReferenceInFuture
    );
}

#[test]
fn a_reference_before_the_era_change_is_no_future() {
    let before = NtpTimestamp::from_unix(UnixTime::from_secs(2_085_978_495));
    let after = NtpTimestamp::from_bits(1 << 32);
    let mut packet = honest();
    (packet.reference, packet.receive, packet.transmit) = (before, after, after);
    assert!(Request::new(NONCE).check(&packet.encode()).is_ok());
}

#[test]
fn threat_ntp_all_ones_and_wrong_origin() {
    assert!(Request::new(NONCE).check(&[0xff; 48]).is_err());
    assert_eq!(refusal(|p| p.origin = NtpTimestamp::from_bits(NONCE.bits() ^ 1)), ReplyRefusal::WrongOrigin);
    // A nonce of zero is never a nonce.
    let mut packet = honest();
    packet.origin = NtpTimestamp::UNKNOWN;
    let (_, found) = Request::new(NtpTimestamp::UNKNOWN).check(&packet.encode()).unwrap_err();
    assert_eq!(found, ReplyRefusal::WrongOrigin);
}

struct Bench {
    client: Client,
    now: Duration,
}

impl Bench {
    fn new(servers: u32) -> Self {
        let config = Config::new((1..=servers).map(SourceId).collect(), BUILT);
        Bench { client: Client::new(config, [3; 32], Duration::ZERO, UnixTime::EPOCH), now: Duration::ZERO }
    }

    /// Runs to the next deadline and returns what was sent.
    fn requests(&mut self) -> Vec<(SourceId, [u8; 48])> {
        self.now = self.client.poll_timeout().unwrap().max(self.now);
        self.client.handle_timeout(self.now);
        let mut sent = Vec::new();
        while let Some(output) = self.client.poll_output() {
            if let Output::Transmit { to, bytes } = output {
                sent.push((to, bytes));
            }
        }
        sent
    }

    fn input(&mut self, from: SourceId, bytes: &[u8]) -> Vec<Event> {
        self.client.handle_input(self.now, Input::Datagram { from, bytes });
        let mut events = Vec::new();
        while let Some(output) = self.client.poll_output() {
            if let Output::Event(event) = output {
                events.push(event);
            }
        }
        events
    }

    fn truth(&self) -> UnixTime {
        BUILT.plus(86_400_000_000_000).after(self.now)
    }
}

fn answer(request: &[u8], at: UnixTime) -> [u8; 48] {
    Server::default().reply(request, at, at, &ServerStatus::primary()).unwrap()
}

// mission: T1
#[test]
fn threat_t1_a_reply_is_used_once_and_a_forgery_does_not_cancel_the_wait() {
    let mut bench = Bench::new(1);
    let (id, request) = bench.requests()[0];
    let mut forged = answer(&request, bench.truth());
    forged[24] ^= 1;
    let wrong = Event::Refused { from: id, refusal: ReplyRefusal::WrongOrigin };
    assert_eq!(bench.input(id, &forged), std::slice::from_ref(&wrong));
    let good = answer(&request, bench.truth());
    assert!(bench.input(id, &good).iter().any(|e| matches!(e, Event::Measured { .. })));
    assert_eq!(bench.input(id, &good), [wrong]);
    let reading = bench.client.reading(bench.now).unwrap();
    assert!(reading.time.since(bench.truth()).unsigned_abs() <= reading.radius);
}

#[test]
fn threat_t1_a_reply_of_another_server_or_an_unknown_one() {
    let mut bench = Bench::new(2);
    let sent = bench.requests();
    let stolen = answer(&sent[0].1, bench.truth());
    let events = bench.input(sent[1].0, &stolen);
    assert_eq!(events, [Event::Refused { from: sent[1].0, refusal: ReplyRefusal::WrongOrigin }]);
    assert_eq!(bench.input(SourceId(77), &stolen), []);
    assert!(bench.client.reading(bench.now).is_none());
}

#[test]
fn threat_ntp_stamps_that_do_not_fit() {
    let mut bench = Bench::new(1);
    let (id, request) = bench.requests()[0];
    let mut packet = Packet::decode(&answer(&request, bench.truth())).unwrap();
    packet.receive = NtpTimestamp::from_bits(packet.transmit.bits() + (1 << 32));
    let events = bench.input(id, &packet.encode());
    let back = ExchangeRefusal::ServerWentBack { by: 1_000_000_000 };
    assert_eq!(events, [Event::NoSample { from: id, refusal: SampleRefusal::Exchange(back) }]);

    let (id, request) = bench.requests()[0];
    let mut packet = Packet::decode(&answer(&request, bench.truth())).unwrap();
    packet.receive = NtpTimestamp::from_bits(packet.transmit.bits() - (1 << 32));
    bench.now += Duration::from_millis(100);
    let events = bench.input(id, &packet.encode());
    let refusal = SampleRefusal::Exchange(ExchangeRefusal::NegativeDelay { by: 900_000_000 });
    assert_eq!(events, [Event::NoSample { from: id, refusal }]);
}

#[test]
fn threat_ntp_answers_at_the_era_change_are_weighed_not_feared() {
    // In 2035 both sides of the change are plausible; in the last second the bound still holds.
    for secs in [2_085_978_495, 2_085_978_496] {
        let near = UnixTime::from_secs(2_085_978_000);
        let config = Config::new(vec![SourceId(1)], BUILT);
        let mut client = Client::new(config, [1; 32], Duration::ZERO, near);
        client.handle_timeout(Duration::ZERO);
        let Some(Output::Transmit { bytes, .. }) = client.poll_output() else { panic!() };
        let reply = answer(&bytes, UnixTime::from_secs(secs));
        client.handle_input(Duration::from_millis(1), Input::Datagram { from: SourceId(1), bytes: &reply });
        let reading = client.reading(Duration::from_millis(1)).unwrap();
        assert!(reading.time.since(UnixTime::from_secs(secs)).unsigned_abs() <= reading.radius, "{secs}");
    }
    // 1990 is not: it would be an implausible answer to a client built in 2026.
    let mut bench = Bench::new(1);
    let (id, request) = bench.requests()[0];
    let events = bench.input(id, &answer(&request, UnixTime::from_secs(631_152_000)));
    assert!(matches!(events[..], [Event::NoSample { refusal: SampleRefusal::Implausible { .. }, .. }]));
}

#[test]
fn threat_ntp_deny_stops_and_rate_slows() {
    let mut bench = Bench::new(1);
    let (id, request) = bench.requests()[0];
    let rate = Server::default().kiss(&request, KissCode::RATE).unwrap();
    assert_eq!(bench.input(id, &rate), [Event::KissOfDeath { from: id, code: KissCode::RATE }]);
    assert!(bench.client.poll_timeout().unwrap() >= Duration::from_secs(128));
    let (id, request) = bench.requests()[0];
    let deny = Server::default().kiss(&request, KissCode::DENY).unwrap();
    bench.input(id, &deny);
    assert_eq!(bench.client.poll_timeout(), None);
}

#[test]
fn a_server_that_steps_is_named_and_the_filter_starts_over() {
    let mut bench = Bench::new(1);
    let (id, request) = bench.requests()[0];
    let truth = bench.truth();
    bench.input(id, &answer(&request, truth));
    let (id, request) = bench.requests()[0];
    let stepped = bench.truth().plus(3_600_000_000_000);
    let events = bench.input(id, &answer(&request, stepped));
    assert!(events.iter().any(|e| matches!(
        e,
        Event::NoSample { refusal: SampleRefusal::Filter(FilterRefusal::Stepped { .. }), .. }
    )));
    assert!(events.iter().any(|e| matches!(e, Event::Contradiction(c) if c.gap > 3_599_000_000_000)));
}

#[test]
fn threat_t1_replies_are_no_longer_than_requests_and_only_requests_are_answered() {
    let server = Server::default();
    let request = Request::new(NONCE).packet();
    for mode in [0, 1, 2, 4, 5, 6, 7] {
        let mut other = request;
        other.mode = mode;
        assert_eq!(server.reply(&other.encode(), BUILT, BUILT, &ServerStatus::primary()), None);
    }
    assert_eq!(server.reply(&[0x1b; 47], BUILT, BUILT, &ServerStatus::primary()), None);
    let long = [0x23; 2049];
    assert_eq!(server.reply(&long, BUILT, BUILT, &ServerStatus::primary()), None);
    let reply = server.reply(&request.encode(), BUILT, BUILT, &ServerStatus::unsynchronised()).unwrap();
    let refused = Request::new(NONCE).check(&reply).unwrap_err().1;
    assert_eq!(refused, ReplyRefusal::Unsynchronised { leap: 3, stratum: 16 });
    // At the first instant of an era the stamps are still not "unknown".
    let era = UnixTime::from_secs(2_085_978_496);
    let reply = server.reply(&request.encode(), era, era, &ServerStatus::primary()).unwrap();
    assert!(Request::new(NONCE).check(&reply).is_ok());
}

// mission: T1
#[test]
fn a_wrong_server_among_three_is_named_and_outvoted() {
    let mut bench = Bench::new(3);
    let mut last = None;
    for (id, request) in bench.requests() {
        let lie = if id == SourceId(2) { 5_000_000_000 } else { 0 };
        let at = bench.truth().plus(lie);
        for event in bench.input(id, &answer(&request, at)) {
            if let Event::Synchronised(selection) = event {
                last = Some(selection);
            }
        }
    }
    assert_eq!(last.unwrap().falsetickers, [SourceId(2)]);
    let reading = bench.client.reading(bench.now).unwrap();
    assert!(reading.time.since(bench.truth()).unsigned_abs() <= reading.radius);
}
