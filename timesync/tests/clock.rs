//! Clock management: measured by the server, told to the user, compensated exactly once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use timesync::clock::{
    ClientOutput, ClientSide, ClockConfig, ClockEvent, ClockRefusal, ClockSync, Compensation,
    CompensationRefusal, Due, LocalStamp, Report, ServerOutput, ServerSide, SyncAnswer, SyncPolicy,
    Timescale, ZoneSource,
};
use timesync::{Interval, Reading, UnixTime};

const SECOND: i64 = 1_000_000_000;
const NOON: UnixTime = UnixTime::from_secs(1_795_348_800);

/// A terminal whose clock is `error` nanoseconds fast, in a zone of `zone` seconds.
struct Terminal {
    error: i64,
    zone: i32,
    tells_zone: bool,
    side: ClientSide,
}

impl Terminal {
    fn new(error: i64, policy: SyncPolicy) -> Self {
        Terminal { error, zone: 7_200, tells_zone: true, side: ClientSide::new(policy) }
    }

    fn stamp(&self, at: UnixTime) -> LocalStamp {
        let shown = at.plus(self.error).plus(i64::from(self.zone) * SECOND);
        LocalStamp { shown, zone: self.tells_zone.then_some(self.zone) }
    }

    /// One measured round at true time `at` with these path delays; returns what the server puts out.
    fn round(&self, server: &mut ServerSide, at: UnixTime, up: i64, down: i64) -> Vec<ServerOutput> {
        let probe = server.probe(Reading::exact(at), 99);
        let arrived = at.plus(down);
        let report = self.side.report(probe, self.stamp(arrived), self.stamp(arrived.plus(SECOND)));
        let back = Reading::exact(arrived.plus(SECOND + up));
        server.report(back, report, &ClockConfig::default()).unwrap()
    }

    fn obey(&mut self, outputs: &[ClientOutput]) -> Option<SyncAnswer> {
        let mut answer = None;
        for output in outputs {
            match output {
                ClientOutput::SetClock { by } => self.error += by,
                ClientOutput::Send(found) => answer = Some(*found),
                _ => {}
            }
        }
        answer
    }
}

fn request(outputs: &[ServerOutput]) -> Option<ClockSync> {
    outputs.iter().find_map(|output| match output {
        ServerOutput::Send(message) => Some(*message),
        _ => None,
    })
}

fn has(outputs: &[ServerOutput], event: ClockEvent) -> bool {
    outputs.contains(&ServerOutput::Event(event))
}

// mission: T1, T2
#[test]
fn accepted_and_confirmed_by_a_second_measurement() {
    let mut server = ServerSide::default();
    let mut terminal = Terminal::new(90 * SECOND, SyncPolicy::AcceptUpTo(1_000 * SECOND.unsigned_abs()));
    let outputs = terminal.round(&mut server, NOON, 30_000_000, 10_000_000);
    let message = request(&outputs).unwrap();
    assert!(message.deviation.contains(90 * SECOND));
    let todo = terminal.side.clock_sync(message);
    let answer = terminal.obey(&todo).unwrap();
    assert!(terminal.error.abs() < SECOND);
    // The word alone changes nothing.
    assert_eq!(server.answer(answer), Ok(vec![]));
    assert!(server.deviation().unwrap().clock.contains(90 * SECOND));
    let outputs = terminal.round(&mut server, NOON.plus(60 * SECOND), 30_000_000, 10_000_000);
    assert!(has(&outputs, ClockEvent::Confirmed));
    assert_eq!(server.deviation().unwrap().clock.mid(), 0);
    assert!(!server.is_custom() && !terminal.side.is_custom());
}

// mission: T2
#[test]
fn a_terminal_that_says_yes_and_does_nothing_is_not_believed() {
    let mut server = ServerSide::default();
    let terminal = Terminal::new(90 * SECOND, SyncPolicy::Ask);
    let message = request(&terminal.round(&mut server, NOON, 0, 0)).unwrap();
    server.answer(SyncAnswer { serial: message.serial, accepted: true }).unwrap();
    let outputs = terminal.round(&mut server, NOON.plus(60 * SECOND), 0, 0);
    let broken = |o: &ServerOutput| matches!(o, ServerOutput::Event(ClockEvent::NotConfirmed(d)) if d.clock.contains(90 * SECOND));
    assert!(outputs.iter().any(broken));
    assert!(server.deviation().unwrap().clock.contains(90 * SECOND));
}

// mission: T2
#[test]
fn refused_is_custom_time_and_keeps_the_deviation_with_its_age() {
    let mut server = ServerSide::default();
    let mut terminal = Terminal::new(-300 * SECOND, SyncPolicy::Refuse);
    let message = request(&terminal.round(&mut server, NOON, 5_000_000, 5_000_000)).unwrap();
    let todo = terminal.side.clock_sync(message);
    let answer = terminal.obey(&todo).unwrap();
    let outputs = server.answer(answer).unwrap();
    assert!(has(&outputs, ClockEvent::CustomTime));
    assert!(server.is_custom() && terminal.side.is_custom());
    assert_eq!(terminal.error, -300 * SECOND);
    let fresh = server.compensation(NOON, &ClockConfig::default()).unwrap();
    let old = server.compensation(NOON.plus(86_400 * SECOND), &ClockConfig::default()).unwrap();
    assert_eq!(fresh.deviation(), old.deviation());
    assert_eq!((old.radius() - fresh.radius()) / 100_000_000, 86); // 8.64 s a day at 100 ppm
    // A custom clock is measured on, but its user is left in peace.
    let outputs = terminal.round(&mut server, NOON.plus(10 * 86_400 * SECOND), 0, 0);
    assert_eq!(request(&outputs), None);
}

// mission: T1
#[test]
fn no_deviation_no_message_and_no_nagging() {
    let mut server = ServerSide::default();
    let good = Terminal::new(200_000_000, SyncPolicy::Ask);
    assert_eq!(request(&good.round(&mut server, NOON, 20_000_000, 20_000_000)), None);
    let mut asked = 0;
    let wrong = Terminal::new(90 * SECOND, SyncPolicy::Ask);
    for hour in 0..24 * 30 {
        let outputs = wrong.round(&mut server, NOON.plus(hour * 3_600 * SECOND), 0, 0);
        asked += u32::from(request(&outputs).is_some());
    }
    assert_eq!(asked, 5);
}

// mission: T1
#[test]
fn the_login_stamp_alone_gives_a_one_sided_bound() {
    let mut server = ServerSide::default();
    let terminal = Terminal::new(120 * SECOND, SyncPolicy::Ask);
    let arrived = Reading { time: NOON.plus(7 * SECOND), radius: 1_000_000 };
    server.login(arrived, terminal.stamp(NOON), &ClockConfig::default()).unwrap();
    let found = server.deviation().unwrap();
    assert!(found.clock.contains(120 * SECOND));
    assert_eq!(found.clock.width(), 60_000_000_000 + 2_000_000);
}

// mission: T1
#[test]
fn a_zone_that_is_not_said_is_guessed_and_flagged() {
    let mut server = ServerSide::default();
    let mut terminal = Terminal::new(30 * SECOND, SyncPolicy::Ask);
    terminal.tells_zone = false;
    terminal.zone = 20_700; // Kathmandu
    terminal.round(&mut server, NOON, 10_000_000, 10_000_000);
    let found = server.deviation().unwrap();
    assert_eq!((found.zone, found.zone_source), (20_700, ZoneSource::Guessed));
    assert!(found.clock.contains(30 * SECOND));
}

/// T8: the two ways to compensate, and the setter's own clock.
// mission: T8
#[test]
fn an_alarm_rings_at_the_true_moment_whoever_compensates() {
    let config = ClockConfig::default();
    for error in [-86_400 * SECOND, -90 * SECOND, 0, 90 * SECOND, 3_600 * SECOND] {
        let mut server = ServerSide::default();
        let mut terminal = Terminal::new(error, SyncPolicy::Refuse);
        let outputs = terminal.round(&mut server, NOON, 10_000_000, 10_000_000);
        if let Some(message) = request(&outputs) {
            let todo = terminal.side.clock_sync(message);
            server.answer(terminal.obey(&todo).unwrap()).unwrap();
        }
        let truth = NOON.plus(3_600 * SECOND);
        let by_server = server.for_terminal(Due::utc(truth), NOON, &config).unwrap();
        for due in [by_server, Due::utc(truth)] {
            let shown = terminal.side.alarm_at(due);
            assert_eq!(shown.scale(), Timescale::ClientClock);
            // The alarm rings when the terminal's clock, fast by `error`, shows that.
            let rings = shown.at().plus(-error);
            assert!(rings.since(truth).abs() <= 30_000_000, "{error}: {due:?}");
        }
        // A moment set on this terminal: corrected by the terminal or by the server, the same.
        let typed = Due::client_clock(truth.plus(error));
        let by_client = terminal.side.true_time(typed).unwrap();
        let by_server = server.from_terminal(typed, NOON, &config).unwrap();
        for set in [by_client, by_server] {
            assert!(set.at().since(truth).abs() <= 30_000_000, "{error}");
            assert_eq!(set.scale(), Timescale::Utc);
        }
        assert_eq!(server.from_terminal(by_client, NOON, &config), Ok(by_client));
    }
}

#[test]
fn a_moment_sent_before_the_clock_was_set_is_announced_as_stale() {
    let mut server = ServerSide::default();
    let mut terminal = Terminal::new(90 * SECOND, SyncPolicy::AcceptUpTo(u64::MAX));
    let message = request(&terminal.round(&mut server, NOON, 0, 0)).unwrap();
    let todo = terminal.side.clock_sync(message);
    server.answer(terminal.obey(&todo).unwrap()).unwrap();
    let outputs = terminal.round(&mut server, NOON.plus(SECOND), 0, 0);
    let stale = |o: &ServerOutput| matches!(o, ServerOutput::Event(ClockEvent::CompensationChanged { to: 0, from }) if *from > 89 * SECOND);
    assert!(outputs.iter().any(stale), "{outputs:?}");
}

#[test]
fn threat_t1_a_step_over_the_limit_asks_even_an_obedient_terminal() {
    let mut side = ClientSide::new(SyncPolicy::AcceptUpTo(1_000_000_000_000));
    let message = ClockSync { serial: 1, deviation: Interval::point(1_001 * SECOND) };
    assert_eq!(side.clock_sync(message), [ClientOutput::AskUser(message)]);
    assert_eq!(side.decide(true)[0], ClientOutput::SetClock { by: -1_001 * SECOND });
    assert_eq!(side.decide(true), []);
}

#[test]
fn threat_lying_terminal_stamps_that_do_not_fit_are_refused() {
    let config = ClockConfig::default();
    let stamp = |at: UnixTime| LocalStamp::with_zone(at, 0);
    let at = |s: i64| Reading::exact(NOON.plus(s * SECOND));
    let mut server = ServerSide::default();
    let mut report = |received, sent| {
        let probe = server.probe(at(0), 5);
        server.report(at(2), Report { nonce: probe.nonce, received, sent }, &config).unwrap_err()
    };
    assert_eq!(report(stamp(NOON), stamp(NOON.plus(-1))), ClockRefusal::ClientWentBack);
    let held_too_long = report(stamp(NOON), stamp(NOON.plus(60 * SECOND)));
    assert_eq!(held_too_long, ClockRefusal::NegativeDelay { by: 58_000_000_000 });
    let far = LocalStamp::with_zone(NOON, 99 * 3600 + 99 * 60);
    assert_eq!(report(far, far), ClockRefusal::BadZone { zone: 362_340 });
    let moved = LocalStamp::with_zone(NOON, 3_600);
    assert_eq!(report(stamp(NOON), moved), ClockRefusal::BadZone { zone: 3_600 });

    let mut server = ServerSide::default();
    let probe = server.probe(at(0), 7);
    let honest = Report { nonce: probe.nonce, received: stamp(NOON), sent: stamp(NOON) };
    let forged = Report { nonce: 8, ..honest };
    assert_eq!(server.report(at(1), forged, &config), Err(ClockRefusal::WrongNonce));
    let vague = Reading { time: NOON, radius: 2_000_000_000 };
    let mut other = server;
    let refusal = ClockRefusal::ReferenceTooUncertain { radius: 2_000_000_000 };
    assert_eq!(other.report(vague, honest, &config), Err(refusal));
    assert_eq!(other.deviation(), None);
    assert!(server.report(at(1), honest, &config).is_ok());
    assert_eq!(server.report(at(1), honest, &config), Err(ClockRefusal::WrongNonce)); // replayed
    let late = server.probe(at(0), 9);
    let slow = Report { nonce: late.nonce, ..honest };
    assert!(matches!(server.report(at(601), slow, &config), Err(ClockRefusal::TooMuchDelay { .. })));
    assert_eq!(server.answer(SyncAnswer { serial: 5, accepted: true }), Err(ClockRefusal::WrongSerial));
}

#[test]
fn threat_lying_terminal_shifts_only_itself_raises_an_alarm_and_is_capped() {
    let config = ClockConfig { cap: 10 * 86_400_000_000_000, ..ClockConfig::default() };
    let mut liar = ServerSide::default();
    let mut honest = ServerSide::default();
    let neighbour = Terminal::new(0, SyncPolicy::Ask);
    neighbour.round(&mut honest, NOON, 0, 0);
    let before = honest;
    let claim = Terminal::new(400 * 86_400 * SECOND, SyncPolicy::Ask);
    let outputs = claim.round(&mut liar, NOON, 0, 0);
    assert!(outputs.iter().any(|o| matches!(o, ServerOutput::Event(ClockEvent::Alarm(_)))));
    let refused = liar.for_terminal(Due::utc(NOON), NOON, &config).unwrap_err();
    assert!(matches!(refused, CompensationRefusal::BeyondCap { .. }));
    assert_eq!(honest, before);
    // Due instants in true time pass through a liar's record untouched.
    assert_eq!(liar.from_terminal(Due::utc(NOON), NOON, &config), Ok(Due::utc(NOON)));
    assert_eq!(ServerSide::default().compensation(NOON, &config), Err(CompensationRefusal::Unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // invariant T13, mission: T8
    #[test]
    fn t13_compensated_exactly_once(at in any::<i64>(), deviation in -i64::MAX..i64::MAX) {
        let due = Due::utc(UnixTime::from_nanos(i128::from(at)));
        let by = Compensation::exact(deviation);
        let shown = due.to_client_clock(by).unwrap();
        prop_assert_eq!(shown.at().as_nanos() - i128::from(deviation), due.at().as_nanos());
        prop_assert!(shown.to_client_clock(by).is_err());
        prop_assert_eq!(shown.to_utc(by), Ok(due));
        prop_assert!(due.to_utc(by).is_err());
    }

    // mission: T1
    #[test]
    fn the_measured_deviation_holds_the_true_one(
        error in -100_000_000_000_000_i64..100_000_000_000_000, up in 0_i64..20_000_000_000, down in 0_i64..20_000_000_000,
        zone in -56_i32..56, radius in 0_u64..500_000_000, wrong in -1.0_f64..1.0,
    ) {
        let mut server = ServerSide::default();
        let mut terminal = Terminal::new(error, SyncPolicy::Ask);
        terminal.zone = zone * 900;
        // The server's own clock is off by anything within its radius.
        let off = (radius as f64 * wrong) as i64;
        let reading = |at: UnixTime| Reading { time: at.plus(off), radius };
        let probe = server.probe(reading(NOON), 1);
        let arrived = NOON.plus(down);
        let report = terminal.side.report(probe, terminal.stamp(arrived), terminal.stamp(arrived));
        server.report(reading(arrived.plus(up)), report, &ClockConfig::default()).unwrap();
        prop_assert!(server.deviation().unwrap().clock.contains(error));
    }
}
