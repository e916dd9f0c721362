//! What must hold for any input, as functions: tests and fuzz targets are shims over them. They panic when it
//! does not.
#![allow(clippy::panic, reason = "a broken property must stop the fuzzer")]

use crate::exchange::{Exchange, Tolerance};
use crate::packet::{HEADER_LEN, Packet, Trailer};
use crate::request::Request;
use crate::timestamp::NtpTimestamp;

/// Any bytes are answered; a header that decodes encodes to the same 48 octets; a reply that passes the checks
/// answers our nonce.
pub fn packet(bytes: &[u8]) {
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Some(&packet.encode()[..]), bytes.get(..HEADER_LEN));
        let request = Request::new(packet.origin);
        if let Ok(reply) = request.examine(bytes) {
            assert!(reply == packet && !reply.transmit.is_unknown() && reply.mode == 4);
        }
    }
    if let Ok(trailer) = Trailer::decode(bytes) {
        let fields: usize = trailer.extensions().map(|(_, body)| body.len() + 4).sum();
        assert!(fields + trailer.mac.len() <= bytes.len());
    }
}

/// Any four stamps are measured or refused; a measured bound holds the exact offset and is at least half the
/// delay wide.
pub fn exchange(stamps: [u64; 4]) {
    let [t1, t2, t3, t4] = stamps.map(NtpTimestamp::from_bits);
    let exchange = Exchange::new(t1, t2, t3, t4);
    for tolerance in [Tolerance::EXACT, Tolerance::default()] {
        if let Ok(measured) = exchange.measure(&tolerance) {
            let twice = exchange.twice_offset() * 1_000_000_000;
            let (lo, hi) = (i128::from(measured.offset.lo()), i128::from(measured.offset.hi()));
            assert!(lo << 33 <= twice && twice <= hi << 33, "{measured:?}");
            assert!(measured.offset.width().saturating_add(2) >= measured.delay);
        }
    }
}

/// Any text is read or refused; what is read means the same after it was resolved and shown.
#[cfg(feature = "tz")]
pub fn civil(text: &str) {
    use crate::civil::{CivilText, Policy, resolve, shown_at};
    if let Ok(read) = CivilText::parse(text) {
        let zone = read.offset.and_then(|seconds| crate::zones::fixed(seconds).ok());
        let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
        let Ok(time) = resolve(read.civil, &zone).and_then(|found| found.pick(Policy::Reject)) else {
            return;
        };
        assert_eq!(shown_at(time, &zone).map(|(civil, _)| civil), Ok(read.civil));
    }
}

/// Any calendar is read or refused; what is read and within the limits survives being written.
#[cfg(feature = "tasks")]
pub fn calendar(text: &str) {
    use crate::task::{ClientId, Setter, UserId, ical};
    let (Ok(user), Ok(client)) = (UserId::new("owner"), ClientId::new("device")) else { return };
    let setter = Setter { user, client };
    if let Ok(task) = ical::read(text, &setter.user, &setter)
        && crate::task::TaskLimits::default().check(&task).is_ok()
    {
        assert_eq!(ical::read(&ical::write(&task), &setter.user, &setter), Ok(task));
    }
}

/// Any operations on the task engine: no stranger has an effect, no executed or cancelled occurrence gets a
/// lease, and the engine's next deadline is never in its past. Each operation takes eight octets.
#[cfg(feature = "tasks")]
pub fn task_operations(bytes: &[u8]) {
    use crate::instant::UnixTime;
    use crate::task::{
        Ack, AckKind, ClientId, Occurrence, Setter, Task, TaskConfig, TaskOutput, TaskServer, TaskUid,
        TaskWhen, UserId,
    };
    use alloc::collections::BTreeMap;
    use alloc::format;

    let zones = crate::zones::Zones::new(jiff::tz::TimeZoneDatabase::none(), "none");
    let utc = jiff::tz::TimeZone::UTC;
    let place = crate::appoint::Place { zones: &zones, zone: &utc };
    let (Ok(owner), Ok(stranger)) = (UserId::new("owner"), UserId::new("stranger")) else { return };
    let mut server = TaskServer::new(TaskConfig::default());
    let device = |n: u8| ClientId::new(&format!("d{}", n % 4));
    for n in 0..3 {
        if let Ok(client) = device(n) {
            server.register(&owner, &client);
        }
    }
    let mut now = UnixTime::from_secs(1_000_000);
    let mut cancelled: BTreeMap<TaskUid, u32> = BTreeMap::new();
    let (chunks, _) = bytes.as_chunks::<8>();
    for [op, who, uid, sequence, due, n, step, flag] in chunks {
        let user = if who % 2 == 0 { &owner } else { &stranger };
        let (Ok(client), Ok(uid)) = (device(*n), TaskUid::new(&format!("t{}", uid % 4))) else { return };
        let (sequence, at) = (u32::from(sequence % 8), UnixTime::from_secs(1_000_000 + i64::from(*due) * 20));
        match op % 5 {
            0 => {
                let setter = Setter { user: user.clone(), client };
                let mut task = Task::alarm(uid.clone(), setter.clone(), "x", TaskWhen::Instant(at));
                task.owner = owner.clone();
                task.sequence = sequence;
                let taken = server.set(now, &setter, &task, place);
                assert!(*user == owner || taken.is_err());
                assert!(taken != Ok(true) || cancelled.get(&uid).is_none_or(|gone| *gone < sequence));
            }
            1 => {
                if server.cancel(now, user, &owner, &uid, sequence).is_ok() {
                    assert!(*user == owner);
                    let gone = cancelled.entry(uid).or_insert(sequence);
                    *gone = (*gone).max(sequence);
                }
            }
            2 => {
                let occurrence = Occurrence { owner: owner.clone(), uid, sequence, at };
                let until = now.plus(i64::from(*step) * 1_000_000_000);
                let kind = if flag % 2 == 0 { AckKind::Executed } else { AckKind::Snoozed(until) };
                let ack = Ack { occurrence, by: client.clone(), epoch: 1, at: now, kind };
                assert!(server.ack(now, user, &client, ack, place).is_err() || *user == owner);
            }
            3 => server.presence(now, &owner, &client, flag % 4 != 0),
            _ => {
                now = now.plus(i64::from(*step) * 1_000_000_000);
                server.handle_timeout(now, place);
                assert!(server.poll_timeout().is_none_or(|at| at > now));
            }
        }
        while let Some(output) = server.poll_output() {
            if let TaskOutput::Fire { occurrence, .. } = output {
                assert!(!server.acks().is_executed(&occurrence));
                assert!(cancelled.get(&occurrence.uid).is_none_or(|gone| *gone < occurrence.sequence));
            }
        }
    }
}
