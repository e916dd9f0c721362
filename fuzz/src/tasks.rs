//! Octets as what happens to time tasks, and as messages of device management.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use mailsync_proto::dm::client::{self, ClockFace, Terminal};
use mailsync_proto::dm::server::{self, At, Inbound, Route};
use mailsync_proto::dm::{NewOperation, OperationZone, Record};
use std::collections::BTreeMap;
use std::time::Duration;
use syncml::session::auth::{Scheme, verifier};
use syncml::{Encoding, Limits, Quirks};
use timesync::appoint::Place;
use timesync::clock::{ClockConfig, SyncPolicy};
use timesync::starter::{HostEvent, Missed};
use timesync::task::*;
use timesync::zones::{ZoneName, Zones, fixed};
use timesync::{Now, Reading, UnixTime};

/// Octets as operations on the task engines.
pub const TASKS: Target = Target {
    name: "tasks",
    input: "four octets an operation: what, who, which task, how much time",
    dictionary: None,
    properties: &[Property {
        name: "once",
        sentence: "whatever is set, cancelled, acknowledged, lost and repeated, a client shows an occurrence at most once, \
                   a stranger's task is never taken, and no more waits than may",
        check: once,
    }],
};

/// Octets as a message of device management.
pub const DM: Target = Target {
    name: "dm",
    input: "a message into a session of device management, as a request and as an answer",
    dictionary: Some("xml"),
    properties: &[
        Property {
            name: "request",
            sentence: "a request is answered or refused, the same way again, and what it leaves is stored and read again",
            check: request,
        },
        Property {
            name: "answer",
            sentence: "an answer is taken or refused; refused, the terminal is as it was; taken, it is stored and read again",
            check: answer,
        },
        Property {
            name: "record",
            sentence: "octets as a stored record or terminal are read or refused by name",
            check: stored,
        },
    ],
};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);
const USERS: [&str; 3] = ["anna", "boris", "carl"];
const CLIENTS: [&str; 3] = ["phone", "tablet", "desk"];
/// Tasks waiting per owner, in this world.
const MOST: usize = 4;

fn refused(refusal: TaskRefusal) -> Broken {
    Broken(refusal.to_string())
}

fn once(data: &[u8]) -> Result<(), Broken> {
    let (zones, utc) = (Zones::bundled(), fixed(0).map_err(|refusal| Broken(refusal.to_string()))?);
    let place = Place { zones: &zones, zone: &utc };
    let mut config = TaskConfig::default();
    config.limits.per_owner = MOST;
    let mut server = TaskServer::new(config);
    let mut terminals: BTreeMap<(usize, usize), TaskClient> = BTreeMap::new();
    for (person, name) in USERS.iter().enumerate() {
        let user = UserId::new(name).map_err(refused)?;
        for (place, name) in CLIENTS.iter().enumerate() {
            let client = ClientId::new(name).map_err(refused)?;
            server.register(&user, &client);
            terminals.insert((person, place), TaskClient::new(TaskClientConfig::new(user.clone(), client)));
        }
    }
    let mut now = NOW;
    let mut shown: BTreeMap<(usize, usize, Occurrence), usize> = BTreeMap::new();
    let mut bodies: BTreeMap<(UserId, TaskUid), Task> = BTreeMap::new();
    for (step, part) in data.chunks_exact(4).take(400).enumerate() {
        let (person, client) = (usize::from(part[1]) % 3, usize::from(part[1] / 3) % 3);
        let user = UserId::new(USERS[person]).map_err(refused)?;
        let device = ClientId::new(CLIENTS[client]).map_err(refused)?;
        let uid = TaskUid::new(&format!("t{}", part[2] % 8)).map_err(refused)?;
        now = now.after(Duration::from_secs(u64::from(part[3])));
        let me = Setter { user: user.clone(), client: device.clone() };
        match part[0] % 8 {
            0 => {
                let when = TaskWhen::Instant(now.after(Duration::from_secs(u64::from(part[2]) * 7)));
                let mut task = Task::alarm(uid.clone(), me.clone(), "x", when);
                task.sequence = u32::from(part[3] / 64);
                if server.set(now, &me, &task, place).is_ok() {
                    bodies.insert((user.clone(), uid), task);
                }
            }
            1 => {
                // Nobody has friends here: a task for somebody else is refused.
                let mut task =
                    Task::alarm(uid, me.clone(), "y", TaskWhen::Instant(now.after(Duration::from_secs(99))));
                task.owner = UserId::new(USERS[(person + 1) % 3]).map_err(refused)?;
                let taken = server.set(now, &me, &task, place);
                ensure!(taken.is_err(), "step {step}: a stranger's task was taken");
            }
            2 => {
                let _ = server.cancel(now, &user, &user, &uid, u32::from(part[3] / 64));
            }
            3 => server.presence(now, &user, &device, part[2] & 1 == 0),
            4 => {
                let terminal = terminals.entry((person, client));
                let terminal = terminal
                    .or_insert_with(|| TaskClient::new(TaskClientConfig::new(user.clone(), device.clone())));
                for ack in terminal.outbox().to_vec() {
                    // Every other time the confirmation is lost.
                    if server.ack(now, &user, &device, ack.clone(), place).is_ok() && part[2] & 1 == 0 {
                        terminal.confirmed(&ack);
                    }
                }
            }
            5 => {
                let at = now.before(Duration::from_secs(u64::from(part[2])));
                let occurrence =
                    Occurrence { owner: user.clone(), uid, sequence: u32::from(part[3] / 64), at };
                let ack = Ack {
                    occurrence,
                    by: device.clone(),
                    epoch: part[2].into(),
                    at: now,
                    kind: AckKind::Executed,
                };
                let _ = server.ack(now, &user, &device, ack, place);
            }
            6 => {
                if let Some(plan) = server.record(&user, &uid).cloned() {
                    server.restore(plan);
                }
            }
            _ => {}
        }
        server.handle_timeout(now, place);
        while let Some(output) = server.poll_output() {
            deliver(&output, now, place, &bodies, &mut terminals, part[2] % 5 == 4);
        }
        for ((person, client), terminal) in &mut terminals {
            terminal.handle_timeout(now, place);
            while let Some(event) = terminal.poll_event() {
                if let ClientEvent::Show { occurrence, .. } = event {
                    let times = shown.entry((*person, *client, occurrence.clone())).or_default();
                    *times += 1;
                    ensure!(*times == 1, "step {step}: {occurrence:?} was shown {times} times by {client}");
                }
            }
        }
        ensure!(server.len() <= MOST * USERS.len(), "step {step}: {} tasks wait", server.len());
    }
    Ok(())
}

/// Carries what the server says to its terminal, unless it is lost.
fn deliver(
    output: &TaskOutput,
    now: UnixTime,
    place: Place<'_>,
    bodies: &BTreeMap<(UserId, TaskUid), Task>,
    terminals: &mut BTreeMap<(usize, usize), TaskClient>,
    lost: bool,
) {
    if lost {
        return;
    }
    let of = |user: &UserId, client: &ClientId| {
        let person = USERS.iter().position(|name| *name == user.as_str())?;
        Some((person, CLIENTS.iter().position(|name| *name == client.as_str())?))
    };
    match output {
        TaskOutput::Deliver { owner, to, uid, .. } => {
            if let (Some(terminal), Some(task)) = (
                of(owner, to).and_then(|key| terminals.get_mut(&key)),
                bodies.get(&(owner.clone(), uid.clone())),
            ) {
                let _ = terminal.deliver(now, task.clone(), place);
            }
        }
        TaskOutput::Fire { to, occurrence, epoch, lease_until } => {
            if let Some(terminal) = of(&occurrence.owner, to).and_then(|key| terminals.get_mut(&key)) {
                terminal.fire(now, occurrence, *epoch, *lease_until, place);
            }
        }
        TaskOutput::Withdraw { to, occurrence } => {
            if let Some(terminal) = of(&occurrence.owner, to).and_then(|key| terminals.get_mut(&key)) {
                terminal.withdraw(now, occurrence, place);
            }
        }
        _ => {}
    }
}

fn dm_server() -> Result<server::Config, Broken> {
    Ok(server::Config {
        nonce_key: [7; 32],
        scheme: Scheme::Basic,
        zone: ZoneName::new("Europe/Moscow").map_err(|refusal| Broken(refusal.to_string()))?,
        zones: Zones::bundled(),
        clock: ClockConfig::default(),
        max_msg_size: 20_000,
        limits: Limits::default(),
        quirks: Quirks::default(),
    })
}

fn dm_client() -> client::Config {
    client::Config {
        server_url: "http://s/dm".into(),
        device: "d".into(),
        user: "u".into(),
        password: "p".into(),
        scheme: Scheme::Basic,
        encoding: Encoding::Xml,
        max_msg_size: 20_000,
    }
}

fn dm_turn(
    config: &server::Config,
    encoding: Encoding,
    token: Option<&str>,
    body: &Bytes,
    record: &Record,
) -> Option<Result<server::Turn, server::TurnError>> {
    let inbound = Inbound::decode(config, encoding, body).ok()?;
    let known = verifier("u", "p");
    let route = Route { token, url: "http://s/dm", basic_allowed: true, verifier: Some(&known) };
    let at = At { now: Reading { time: NOW, radius: 1_000 }, entropy: [3; 32] };
    Some(server::turn(config, at, &route, &inbound, record))
}

/// The first message of an honest terminal, the record after it, its token, and the answer.
fn opened(config: &server::Config) -> Result<(Record, String, client::Session, Bytes), Broken> {
    let mut record = Record::default();
    let new = NewOperation {
        at: "2026-12-01T03:00:00",
        zone: OperationZone::Server,
        missed: Missed::FireOnce,
        data: "x",
    };
    record.appoint(&new).map_err(|refusal| Broken(refusal.to_string()))?;
    let terminal = Terminal::new(SyncPolicy::Ask);
    let (session, first) = terminal.begin(&dm_client(), "1").map_err(|error| Broken(error.to_string()))?;
    let turn = dm_turn(config, Encoding::Xml, None, &first, &record)
        .and_then(Result::ok)
        .ok_or_else(|| Broken("an honest terminal is refused".into()))?;
    let text = String::from_utf8_lossy(&turn.answer).into_owned();
    let token =
        text.split_once("?s=").and_then(|(_, rest)| rest.split_once('<')).map(|(token, _)| token.to_owned());
    let token = token.ok_or_else(|| Broken("no token".into()))?;
    let record = turn.record.ok_or_else(|| Broken("no record".into()))?;
    Ok((record, token, session, turn.answer))
}

fn request(data: &[u8]) -> Result<(), Broken> {
    let config = dm_server()?;
    let (record, token, _, _) = opened(&config)?;
    let body = Bytes::copy_from_slice(data);
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        for token in [None, Some(&*token)] {
            let Some(Ok(turn)) = dm_turn(&config, encoding, token, &body, &record) else { continue };
            let again = dm_turn(&config, encoding, token, &body, &record).and_then(Result::ok);
            let again = again.ok_or_else(|| Broken("answered once, refused again".into()))?;
            ensure!(again.answer == turn.answer && again.record == turn.record, "two answers to one message");
            if let Some(record) = &turn.record {
                let stored = record.to_bytes().map_err(|refusal| Broken(refusal.to_string()))?;
                ensure!(Record::from_bytes(&stored).as_ref() == Ok(record), "not read as it was stored");
                let repeated = dm_turn(&config, encoding, token, &body, record).and_then(Result::ok);
                ensure!(
                    repeated.is_some_and(|turn| turn.record.is_none()),
                    "a repeated message changed something"
                );
            }
        }
    }
    Ok(())
}

fn answer(data: &[u8]) -> Result<(), Broken> {
    let (_, _, session, _) = opened(&dm_server()?)?;
    let (zones, utc) = (Zones::bundled(), fixed(0).map_err(|refusal| Broken(refusal.to_string()))?);
    let place = Place { zones: &zones, zone: &utc };
    let face = ClockFace { now: Now::exact(Duration::from_secs(5), NOW), offset: 0 };
    let body = Bytes::copy_from_slice(data);
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let config = client::Config { encoding, ..dm_client() };
        let mut terminal = Terminal::new(SyncPolicy::AcceptUpTo(u64::MAX));
        let before = terminal.clone();
        match terminal.receive(&config, session.clone(), &body, place, (face, face)) {
            Err(_) => ensure!(terminal == before, "refused, and changed"),
            Ok(_) => {
                let stored = terminal.to_bytes().map_err(|error| Broken(error.to_string()))?;
                let read = Terminal::from_bytes(&stored).map_err(|error| Broken(error.to_string()))?;
                ensure!(read == terminal, "not read as it was stored");
                let far = Now::exact(Duration::from_secs(9), NOW.after(Duration::from_secs(400 * 86_400)));
                let due = terminal.due(far, place, HostEvent::Timeout);
                let again = terminal.due(far, place, HostEvent::Rebooted);
                ensure!(again.is_empty(), "{due:?}, and again {again:?}");
            }
        }
    }
    Ok(())
}

fn stored(data: &[u8]) -> Result<(), Broken> {
    let _ = Terminal::from_bytes(data);
    if let Ok(record) = Record::from_bytes(data) {
        let config = dm_server()?;
        let (_, _, _, _) = opened(&config)?;
        let terminal = Terminal::new(SyncPolicy::Ask);
        let (_, first) = terminal.begin(&dm_client(), "1").map_err(|error| Broken(error.to_string()))?;
        let _ = dm_turn(&config, Encoding::Xml, None, &first, &record);
    }
    Ok(())
}
