//! Device management of time, both ends against each other on virtual clocks.
//!
//! mission: D1, D2, D3
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use mailsync_proto::dm::client::{self, ClockFace, Due, Event as Said, Step, Terminal};
use mailsync_proto::dm::server::{self, At, Event, Inbound, Route, Turn};
use mailsync_proto::dm::tree::Outcome;
use mailsync_proto::dm::{NewOperation, OperationState, OperationZone, Record};
use std::time::Duration;
use syncml::session::auth::{Scheme, verifier};
use syncml::{Encoding, Limits, Quirks, StatusCode};
use timesync::appoint::Place;
use timesync::civil::{CivilText, OffsetConflict, Policy, shown_at};
use timesync::clock::{ClockConfig, ClockEvent, SyncPolicy};
use timesync::starter::{HostEvent, Missed};
use timesync::zones::{ZoneName, Zones};
use timesync::{Now, Reading, UnixTime};

const BILLION: i64 = 1_000_000_000;

/// A server and a terminal, and the truth.
struct World {
    zones: Zones,
    now: UnixTime,
    start: UnixTime,
    /// The terminal's clock minus true time.
    error: i64,
    zone: &'static str,
    server: server::Config,
    record: Record,
    terminal: Terminal,
    client: client::Config,
    turns: u64,
    /// Answers that get lost on the way.
    lose: Vec<u64>,
    said: Vec<Said>,
    events: Vec<Event>,
}

impl World {
    fn new(now: &str, server_zone: &str, zone: &'static str) -> World {
        let zones = Zones::bundled();
        let now = instant(now);
        let server = server::Config {
            nonce_key: [7; 32],
            scheme: Scheme::Md5,
            zone: ZoneName::new(server_zone).unwrap(),
            zones: zones.clone(),
            clock: ClockConfig::default(),
            max_msg_size: 20_000,
            limits: Limits::default(),
            quirks: Quirks::default(),
        };
        let client = client::Config {
            server_url: "http://sync.example.org/dm".into(),
            device: "IMEI:493005100592800".into(),
            user: "ana".into(),
            password: "secret".into(),
            scheme: Scheme::Md5,
            encoding: Encoding::Wbxml,
            max_msg_size: 20_000,
        };
        World {
            zones,
            now,
            start: now,
            error: 0,
            zone,
            server,
            record: Record::default(),
            terminal: Terminal::new(SyncPolicy::Ask),
            client,
            turns: 0,
            lose: Vec::new(),
            said: Vec::new(),
            events: Vec::new(),
        }
    }

    fn pass(&mut self, millis: i64) {
        self.now = self.now.plus(millis * 1_000_000);
    }

    fn face(&self) -> ClockFace {
        let wall = self.now.plus(self.error);
        let zone = self.zones.zone(&ZoneName::new(self.zone).unwrap()).unwrap();
        let mono = Duration::from_nanos(self.now.since(self.start).unsigned_abs());
        ClockFace { now: Now::exact(mono, wall), offset: shown_at(wall, &zone).unwrap().1 }
    }

    /// One message through the server; `None` when its answer is lost.
    fn post(&mut self, url: &str, body: &Bytes) -> Result<Option<Bytes>, server::TurnError> {
        self.turns += 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.turns.to_le_bytes());
        let inbound = Inbound::decode(&self.server, self.client.encoding, body).unwrap();
        let known = verifier("ana", "secret");
        let route = Route {
            token: url.split_once("?s=").map(|(_, token)| token),
            url: "http://sync.example.org/dm",
            basic_allowed: false,
            verifier: (inbound.user() == "ana").then_some(&*known),
        };
        let at = At { now: Reading { time: self.now, radius: 1_000_000 }, entropy };
        let Turn { record, answer, events } = server::turn(&self.server, at, &route, &inbound, &self.record)?;
        self.events.extend(events);
        if let Some(record) = record {
            // What is stored is read again.
            self.record = Record::from_bytes(&record.to_bytes().unwrap()).unwrap();
        }
        Ok((!self.lose.contains(&self.turns)).then_some(answer))
    }

    /// A whole session; what is lost is sent again.
    fn session(&mut self) -> Result<(), client::SessionError> {
        let id = format!("{}", self.turns + 1);
        let (mut session, mut message) = self.terminal.begin(&self.client, &id)?;
        loop {
            self.pass(30);
            let url = session.url().to_owned();
            let answer =
                (0..3).find_map(|_| self.post(&url, &message).unwrap()).expect("an answer in three tries");
            self.pass(10);
            let came = self.face();
            self.pass(2);
            let leaves = self.face();
            let zone = self.zones.zone(&ZoneName::new(self.zone).unwrap()).unwrap();
            let place = Place { zones: &self.zones, zone: &zone };
            let (step, said) =
                self.terminal.receive(&self.client, session, &answer, place, (came, leaves))?;
            for one in &said {
                if let Said::SetClock { by } = one {
                    self.error += by;
                }
            }
            self.said.extend(said);
            self.terminal = Terminal::from_bytes(&self.terminal.to_bytes().unwrap()).unwrap();
            match step {
                Step::Send(next, bytes) => (session, message) = (next, bytes),
                Step::Over => return Ok(()),
            }
        }
    }

    fn appoint(&mut self, at: &str, zone: OperationZone) -> u64 {
        let new = NewOperation {
            at,
            zone,
            missed: Missed::FireIfWithin(Duration::from_secs(3600)),
            data: "reboot",
        };
        self.record.appoint(&new).unwrap()
    }

    fn tick(&mut self, event: HostEvent) -> Vec<Due> {
        let zone = self.zones.zone(&ZoneName::new(self.zone).unwrap()).unwrap();
        let place = Place { zones: &self.zones, zone: &zone };
        self.terminal.due(self.face().now, place, event)
    }

    /// Lets time pass until something is due, at most two days; when, in true time.
    fn until_due(&mut self) -> (UnixTime, Vec<Due>) {
        let end = self.now.plus(2 * 86_400 * BILLION);
        while self.now < end {
            let due = self.tick(HostEvent::Timeout);
            if !due.is_empty() {
                return (self.now, due);
            }
            let now = self.face().now;
            let at = self.terminal.poll_timeout(now).expect("something waits");
            self.pass(i64::try_from(at.saturating_sub(now.mono).as_millis()).unwrap().clamp(1, 600_000));
        }
        panic!("nothing was due in two days");
    }

    fn state(&self, id: u64) -> OperationState {
        self.record.operations().iter().find(|operation| operation.id == id).unwrap().state
    }
}

fn instant(text: &str) -> UnixTime {
    let text = CivilText::parse(text).unwrap();
    text.instant(&Zones::bundled(), None, Policy::Compatible, OffsetConflict::Reject).unwrap()
}

#[track_caller]
fn assert_at(found: UnixTime, wanted: &str, within_ms: i64) {
    let off = found.since(instant(wanted)) / 1_000_000;
    // 30 ms there and 10 back: what the terminal knows of its clock is good to half of that.
    assert!((-21..=within_ms).contains(&off), "{off} ms from {wanted}");
}

/// Appoint, session, start, outcome: at the true moment, once.
fn whole(world: &mut World, at: &str, zone: OperationZone, wanted: &str, within_ms: i64) -> u64 {
    let id = world.appoint(at, zone);
    world.session().unwrap();
    assert_eq!(world.state(id), OperationState::Accepted, "{:?}", world.said);
    let (when, due) = world.until_due();
    assert_at(when, wanted, within_ms);
    assert_eq!((due.len(), &*due[0].data, due[0].skipped), (1, "reboot", false));
    world.terminal.ended(id, StatusCode::OK);
    assert!(world.terminal.has_news());
    world.session().unwrap();
    let OperationState::Done(Outcome { code: 200, at, .. }) = world.state(id) else {
        panic!("{:?}", world.state(id))
    };
    assert_at(at, wanted, within_ms);
    assert!(!world.terminal.has_news());
    assert!(world.tick(HostEvent::Rebooted).is_empty(), "started once");
    id
}

#[test]
fn an_operation_starts_at_the_servers_local_time() {
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let mut world = World::new("2026-03-04T12:00:00Z", "Europe/Moscow", "Europe/Berlin");
        world.client.encoding = encoding;
        whole(&mut world, "2026-03-05T00:05:00", OperationZone::Server, "2026-03-04T21:05:00Z", 50);
    }
}

#[test]
fn the_terminals_zone_changes_its_offset_in_between() {
    // Berlin goes to summer time on 2026-03-29 at 01:00 UTC; the difference as measured before is an hour wrong after.
    let mut world = World::new("2026-03-28T20:00:00Z", "Europe/Moscow", "Europe/Berlin");
    whole(&mut world, "2026-03-29T05:00:00", OperationZone::Server, "2026-03-29T02:00:00Z", 50);
}

#[test]
fn the_servers_zone_changes_its_offset_in_between() {
    let mut world = World::new("2026-10-24T20:00:00Z", "Europe/Berlin", "Asia/Tokyo");
    whole(&mut world, "2026-10-25T05:00:00", OperationZone::Server, "2026-10-25T04:00:00Z", 50);
}

#[test]
fn a_server_that_does_not_name_its_zone_is_measured() {
    let mut world = World::new("2026-03-04T12:00:00Z", "Asia/Kathmandu", "America/New_York");
    // The stamp came up to a minute ago, for all the terminal knows.
    let id = world.appoint("2026-03-05T00:05:00", OperationZone::Unnamed);
    world.session().unwrap();
    assert_eq!(world.state(id), OperationState::Accepted);
    let (when, _) = world.until_due();
    let off = when.since(instant("2026-03-04T18:20:00Z"));
    assert!(off.unsigned_abs() <= 31 * BILLION.unsigned_abs(), "{off}");
}

#[test]
fn floating_is_the_terminals_own_local_time() {
    let mut world = World::new("2026-03-04T12:00:00Z", "Asia/Tokyo", "America/New_York");
    whole(&mut world, "2026-03-05T03:00:00", OperationZone::Floating, "2026-03-05T08:00:00Z", 50);
}

#[test]
fn a_wrong_terminal_clock_does_not_move_the_start() {
    for minutes in [-90, -2, 7, 3_000] {
        let mut world = World::new("2026-03-04T12:00:00Z", "Europe/Moscow", "Europe/Berlin");
        world.error = minutes * 60 * BILLION;
        whole(&mut world, "2026-03-05T00:05:00", OperationZone::Server, "2026-03-04T21:05:00Z", 100);
        assert_eq!(world.error, minutes * 60 * BILLION, "nobody set it");
        let asked = world.said.iter().filter(|said| matches!(said, Said::AskUser(_))).count();
        assert_eq!(asked, 1, "and the user was asked once");
    }
}

#[test]
fn a_clock_that_is_set_while_an_operation_waits_does_not_move_the_start() {
    let mut world = World::new("2026-03-04T12:00:00Z", "Europe/Moscow", "Europe/Berlin");
    world.error = 600 * BILLION;
    let id = world.appoint("2026-03-05T00:05:00", OperationZone::Server);
    world.session().unwrap();
    let set = world.terminal.decide(true);
    let [Said::SetClock { by }] = set[..] else { panic!("{set:?}") };
    world.error += by;
    assert!(world.error.abs() < BILLION, "{}", world.error);
    assert!(world.tick(HostEvent::ClockChanged).is_empty());
    let (when, _) = world.until_due();
    assert_at(when, "2026-03-04T21:05:00Z", 100);
    world.terminal.ended(id, StatusCode::OK);
    world.session().unwrap();
    // mission: T2
    assert!(world.events.contains(&Event::Clock(ClockEvent::Confirmed)), "{:?}", world.events);
    assert!(!world.record.clock.is_custom());
}

// mission: T2
#[test]
fn a_user_who_refuses_keeps_a_time_of_their_own() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    world.error = 90 * BILLION;
    world.session().unwrap();
    assert!(world.terminal.decide(false).is_empty());
    world.session().unwrap();
    assert!(world.record.clock.is_custom());
    assert!(world.record.clock.deviation().unwrap().clock.contains(90 * BILLION));
    assert!(world.terminal.clock.is_custom());
    let asked = world.said.iter().filter(|said| matches!(said, Said::AskUser(_))).count();
    world.pass(86_400_000 * 2);
    world.session().unwrap();
    let later = world.said.iter().filter(|said| matches!(said, Said::AskUser(_))).count();
    assert_eq!((asked, later), (1, 1), "not asked again");
}

// mission: T2
#[test]
fn a_terminal_that_sets_its_clock_at_once_is_measured_again_in_the_same_session() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "Asia/Tokyo");
    world.terminal = Terminal::new(SyncPolicy::AcceptUpTo(u64::MAX));
    world.error = -3_600 * BILLION;
    world.session().unwrap();
    assert!(world.error.abs() < BILLION, "{}", world.error);
    assert!(world.events.contains(&Event::Clock(ClockEvent::Confirmed)), "{:?}", world.events);
}

#[test]
fn a_terminal_that_says_it_set_its_clock_and_did_not_is_not_believed() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    world.error = 90 * BILLION;
    world.session().unwrap();
    // The host does not do what the terminal says.
    assert_eq!(world.terminal.decide(true).len(), 1);
    world.session().unwrap();
    let refused = |event: &Event| matches!(event, Event::Clock(ClockEvent::NotConfirmed(_)));
    assert!(world.events.iter().any(refused), "{:?}", world.events);
    assert!(world.record.clock.deviation().unwrap().clock.contains(90 * BILLION));
}

#[test]
fn a_reboot_neither_loses_nor_repeats_an_operation() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let id = world.appoint("2026-03-04T13:00:00", OperationZone::Server);
    world.session().unwrap();
    // Off over its moment, on again half an hour later: within its hour of grace.
    world.pass(5_400_000);
    let due = world.tick(HostEvent::Rebooted);
    assert_eq!(due.len(), 1);
    assert!((due[0].late - 1_800 * BILLION).abs() < BILLION, "{due:?}");
    // Down again while it ran: the outcome says so, and it is not begun again.
    assert!(world.tick(HostEvent::Rebooted).is_empty());
    world.session().unwrap();
    assert!(
        matches!(world.state(id), OperationState::Done(Outcome { code: 500, .. })),
        "{:?}",
        world.state(id)
    );
}

#[test]
fn one_missed_by_more_than_its_grace_is_let_go_and_told() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let id = world.appoint("2026-03-04T13:00:00", OperationZone::Server);
    world.session().unwrap();
    world.pass(4 * 3_600_000);
    let due = world.tick(HostEvent::Rebooted);
    assert!(due[0].skipped, "{due:?}");
    world.session().unwrap();
    assert!(
        matches!(world.state(id), OperationState::Done(Outcome { code: 215, .. })),
        "{:?}",
        world.state(id)
    );
}

#[test]
fn a_cancelled_operation_is_withdrawn() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let id = world.appoint("2026-03-04T13:00:00", OperationZone::Server);
    world.session().unwrap();
    world.record.cancel(id).unwrap();
    world.session().unwrap();
    assert_eq!(world.state(id), OperationState::Cancelled);
    assert!(world.terminal.waiting().is_empty());
    assert!(world.record.cancel(id).is_err(), "it is over");
}

#[test]
fn a_lost_answer_is_given_again_and_nothing_is_done_twice() {
    for lost in 1..=8 {
        let mut world = World::new("2026-03-04T12:00:00Z", "Europe/Moscow", "Europe/Berlin");
        world.lose = vec![lost, lost + 4];
        whole(&mut world, "2026-03-05T00:05:00", OperationZone::Server, "2026-03-04T21:05:00Z", 100);
        let ended = world.events.iter().filter(|event| matches!(event, Event::Ended(..))).count();
        assert_eq!(ended, 1, "lost {lost}: {:?}", world.events);
    }
}

#[test]
fn many_operations_take_several_messages() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    world.client.max_msg_size = 2_000;
    let ids: Vec<u64> =
        (0..40).map(|_| world.appoint("2026-03-05T00:05:00", OperationZone::Server)).collect();
    world.session().unwrap();
    assert!(ids.iter().all(|id| world.state(*id) == OperationState::Accepted));
    assert_eq!(world.until_due().1.len(), 40);
}

#[test]
fn an_appointment_that_means_nothing_is_refused() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let nowhere = OperationZone::Named(ZoneName::new("Mars/Olympus").unwrap());
    let id = world.appoint("2026-03-05T00:05:00", nowhere);
    world.session().unwrap();
    assert_eq!(world.state(id), OperationState::Refused(500), "{:?}", world.said);
    for bad in ["", "2026-02-30T00:00:00", "2026-03-05T00:05:00Z", "2026-03-05T00:05:00[UTC]", "soon"] {
        let new = NewOperation { at: bad, zone: OperationZone::Server, missed: Missed::Skip, data: "" };
        assert!(world.record.appoint(&new).is_err(), "{bad}");
    }
}

#[test]
fn threat_s3_a_wrong_password_gets_nothing_and_leaves_nothing() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    world.appoint("2026-03-05T00:05:00", OperationZone::Server);
    let before = world.record.clone();
    world.client.password = "wrong".into();
    let refused = world.session();
    assert!(matches!(refused, Err(client::SessionError::Login(_))), "{refused:?}");
    assert_eq!(world.record, before);
    assert_eq!(world.events, [Event::LoginRefused(401), Event::LoginRefused(401)]);
    // The honest one beside it is not hindered.
    world.client.password = "secret".into();
    world.session().unwrap();
}

#[test]
fn threat_s1_a_session_needs_its_token() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let (_, message) = world.terminal.begin(&world.client, "1").unwrap();
    let refused = world.post("http://sync.example.org/dm?s=00000000000000000000000000000000", &message);
    assert!(matches!(refused, Err(server::TurnError::UnknownSession)), "{refused:?}");
}

#[test]
fn threat_l1_a_ds_message_and_odd_commands_are_answered_not_obeyed() {
    let mut world = World::new("2026-03-04T12:00:00Z", "UTC", "UTC");
    let ds = Bytes::from_static(
        b"<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID>\
        <MsgID>1</MsgID><Target><LocURI>http://s/dm</LocURI></Target><Source><LocURI>IMEI:1</LocURI></Source></SyncHdr><SyncBody>\
        <Exec><CmdID>1</CmdID><Item><Target><LocURI>./x</LocURI></Target></Item></Exec><Final/></SyncBody></SyncML>",
    );
    world.client.encoding = Encoding::Xml;
    let answer = world.post("http://sync.example.org/dm", &ds).unwrap().unwrap();
    let text = String::from_utf8(answer.to_vec()).unwrap();
    assert!(text.contains("<Data>513</Data>"), "{text}");
    assert_eq!(world.record, Record::default());
}
