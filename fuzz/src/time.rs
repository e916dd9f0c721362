//! Octets as NTP datagrams, stamps, civil times and calendars.

use crate::{Broken, Property, Target, ensure};
use std::sync::OnceLock;
use timesync::appoint::{Appointment, Place};
use timesync::civil::{CivilText, OffsetConflict, Policy, Resolution, resolve, shown_at};
use timesync::nitz::Nitz;
use timesync::sntp::{Client, Config, Input, Output, Server, ServerStatus};
use timesync::task::ical;
use timesync::task::{ClientId, Setter, UserId};
use timesync::zones::{ZoneName, Zones, fixed};
use timesync::{
    Exchange, NtpDuration, NtpTimestamp, Packet, Request, SourceId, Tolerance, Trailer, UnixTime,
};

/// Octets as a datagram.
pub const NTP: Target = Target {
    name: "ntp",
    input: "a datagram that comes to an NTP client or server",
    dictionary: None,
    properties: &[
        Property {
            name: "packet",
            sentence: "what decodes as a packet encodes to the same first 48 octets, whatever follows them",
            check: packet,
        },
        Property {
            name: "reply",
            sentence: "a datagram that is taken as the answer has mode 4, our nonce, a known time and a sane distance, and \
                       every other one leaves the request open",
            check: reply,
        },
        Property {
            name: "client",
            sentence: "datagrams from a server never make the client's bound smaller than nothing, nor tell a time outside \
                       the years it believes in",
            check: client,
        },
        Property {
            name: "server",
            sentence: "a server answers with silence or with 48 octets that carry the asker's own nonce",
            check: server,
        },
    ],
};

/// Octets as an exchange.
pub const EXCHANGE: Target = Target {
    name: "exchange",
    input: "t1, the true offset (8 octets each), time up, held and down (4 octets each)",
    dictionary: None,
    properties: &[Property {
        name: "truth",
        sentence: "whatever the clocks and the way, the true offset lies in the bound that is measured, and swapping the \
                   two ends turns its sign",
        check: truth,
    }],
};

/// Octets as civil times.
pub const CIVIL: Target = Target {
    name: "civil",
    input: "a zone's number, then a local time as text; or the seven octets of a network time",
    dictionary: None,
    properties: &[
        Property {
            name: "resolution",
            sentence: "a civil time means one instant or two or a gap; what is picked is one of them, and shown again in \
                       that zone it reads as it did unless it fell into a gap",
            check: resolution,
        },
        Property {
            name: "appointment",
            sentence: "a text is an appointment with a start, or it is refused by name",
            check: appointment,
        },
        Property {
            name: "nitz",
            sentence: "a network's time is a time with an offset of at most 14 hours, or it is refused by name",
            check: nitz,
        },
    ],
};

/// Octets as a calendar.
pub const ICAL: Target = Target {
    name: "ical",
    input: "an iCalendar text",
    dictionary: None,
    properties: &[Property {
        name: "rewritten",
        sentence: "a calendar that is read as a task is written as one that is read as a task, and writing that one again \
                   changes nothing; whose task it is never comes from the text",
        check: rewritten,
    }],
};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

fn packet(data: &[u8]) -> Result<(), Broken> {
    let Ok(packet) = Packet::decode(data) else { return Ok(()) };
    let encoded = packet.encode();
    ensure!(data.get(..48) == Some(&encoded[..]), "{packet:?} became {encoded:?}");
    if let Ok(trailer) = Trailer::decode(data) {
        let octets: usize = trailer.extensions().map(|(_, value)| value.len()).sum();
        ensure!(octets <= data.len(), "extensions of {octets} octets in {}", data.len());
    }
    Ok(())
}

/// Most inputs are made to fit the nonce, else nothing would get past it.
fn fitted(data: &[u8], nonce: NtpTimestamp) -> Vec<u8> {
    let mut datagram = data.to_vec();
    if datagram.len() >= 48 && datagram.len() % 4 != 3 {
        datagram[24..32].copy_from_slice(&nonce.bits().to_be_bytes());
    }
    datagram
}

fn reply(data: &[u8]) -> Result<(), Broken> {
    let nonce = NtpTimestamp::from_bits(0x1234_5678_9abc_def0);
    let datagram = fitted(data, nonce);
    match Request::new(nonce).check(&datagram) {
        Ok(packet) => {
            ensure!(packet.mode == 4 && packet.origin == nonce, "{packet:?}");
            ensure!(!packet.transmit.is_unknown() && !packet.receive.is_unknown(), "{packet:?}");
            ensure!((1..=15).contains(&packet.stratum) && packet.leap != 3, "{packet:?}");
            ensure!((-32..=0).contains(&packet.precision), "{packet:?}");
        }
        Err((request, _)) => ensure!(request == Request::new(nonce), "the request changed"),
    }
    Ok(())
}

fn client(data: &[u8]) -> Result<(), Broken> {
    use std::time::Duration;
    let config = Config::new(vec![SourceId(1), SourceId(2)], NOW);
    let (first, last) = (config.not_before, config.not_after);
    let mut client = Client::new(config, [9; 32], Duration::ZERO, NOW);
    let mut now = Duration::ZERO;
    for part in data.chunks(61) {
        client.handle_timeout(now);
        let mut asked = Vec::new();
        while let Some(output) = client.poll_output() {
            if let Output::Transmit { to, bytes } = output {
                asked.push((to, bytes));
            }
        }
        now += Duration::from_millis(u64::from(part[0]) * 20);
        for (from, request) in asked {
            let nonce =
                request.get(40..48).and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_be_bytes);
            let bytes = fitted(&part[1..], NtpTimestamp::from_bits(nonce));
            client.handle_input(now, Input::Datagram { from, bytes: &bytes });
        }
        if let Some(reading) = client.reading(now) {
            let year = 366 * 86_400 * 1_000_000_000_i64;
            ensure!(reading.time > first.plus(-year) && reading.time < last.plus(year), "{reading:?}");
        }
    }
    Ok(())
}

fn server(data: &[u8]) -> Result<(), Broken> {
    if let Some(reply) = Server::default().reply(data, NOW, NOW, &ServerStatus::primary()) {
        ensure!(data.get(40..48) == reply.get(24..32), "the nonce changed");
        ensure!(reply[0] & 7 == 4, "mode {}", reply[0] & 7);
    }
    Ok(())
}

fn truth(data: &[u8]) -> Result<(), Broken> {
    let word =
        |at: usize| data.get(at..at + 8).and_then(|octets| octets.try_into().ok()).map(u64::from_be_bytes);
    let half =
        |at: usize| data.get(at..at + 4).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
    let (Some(t1), Some(offset)) = (word(0), word(8)) else { return Ok(()) };
    let (Some(up), Some(held), Some(down)) = (half(16), half(20), half(24)) else { return Ok(()) };
    // The rule holds while the clocks are within 68 years of one another: half of the range, ways included.
    let offset = offset.cast_signed() >> 2;
    let step = |from: NtpTimestamp, by: i64| from.wrapping_add(NtpDuration::from_bits(by));
    let a = NtpTimestamp::from_bits(t1);
    let b = step(a, offset.saturating_add(i64::from(up)));
    let c = step(b, i64::from(held));
    let d = step(a, i64::from(up) + i64::from(held) + i64::from(down));
    let exchange = Exchange::new(a, b, c, d);
    ensure!(exchange.delay() == i128::from(up) + i128::from(down), "delay {}", exchange.delay());
    let swapped = Exchange::new(b, d, d, c);
    let _ = swapped.delay();
    let Ok(measured) = exchange.measure(&Tolerance::default()) else { return Ok(()) };
    let true_offset = NtpDuration::from_bits(offset);
    let (low, high) = (true_offset.as_nanos_floor(), true_offset.as_nanos_ceil());
    ensure!(
        measured.offset.lo() <= high && measured.offset.hi() >= low,
        "{measured:?} without the true {low}..{high}"
    );
    Ok(())
}

fn zones() -> &'static Zones {
    static ZONES: OnceLock<Zones> = OnceLock::new();
    ZONES.get_or_init(Zones::bundled)
}

/// Zones with gaps and folds of every sort.
const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Europe/Dublin",
    "America/Sao_Paulo",
    "Africa/Casablanca",
];

fn zone_of(data: &[u8]) -> Option<(ZoneName, &str)> {
    let (number, text) = data.split_first()?;
    let name = ZoneName::new(ZONES[usize::from(*number) % ZONES.len()]).ok()?;
    Some((name, std::str::from_utf8(text).ok()?))
}

fn resolution(data: &[u8]) -> Result<(), Broken> {
    let Some((name, text)) = zone_of(data) else { return Ok(()) };
    let Ok(zone) = zones().zone(&name) else { return Err(Broken(format!("no zone {name}"))) };
    let Ok(read) = CivilText::parse(text) else { return Ok(()) };
    let Ok(found) = resolve(read.civil, &zone) else { return Ok(()) };
    for policy in [Policy::Compatible, Policy::Earlier, Policy::Later, Policy::Reject] {
        let picked = found.pick(policy);
        ensure!(
            found.is_exact() || policy != Policy::Reject || picked.is_err(),
            "{text}: {found:?} was not refused"
        );
        let Ok(picked) = picked else { continue };
        let among = match found {
            Resolution::Exact(only) => picked == only,
            Resolution::Gap { earlier, later, .. } => picked == earlier || picked == later,
            Resolution::Fold { first, second } => picked == first || picked == second,
        };
        ensure!(among, "{text}: {picked:?} of {found:?}");
        if !matches!(found, Resolution::Gap { .. })
            && let Ok((shown, _)) = shown_at(picked, &zone)
        {
            ensure!(shown == read.civil, "{text} is shown as {shown}");
        }
    }
    for conflict in [OffsetConflict::UseOffset, OffsetConflict::UseZone, OffsetConflict::Reject] {
        let _ = read.instant(zones(), Some(&zone), Policy::Compatible, conflict);
    }
    Ok(())
}

fn appointment(data: &[u8]) -> Result<(), Broken> {
    let Some((name, text)) = zone_of(data) else { return Ok(()) };
    let (Ok(zone), Ok(appointment)) = (zones().zone(&name), Appointment::parse(text)) else { return Ok(()) };
    let place = Place { zones: zones(), zone: &zone };
    if let Ok(start) = appointment.start(place, None) {
        ensure!(appointment.start(place, None) == Ok(start), "{text}: not the same again");
    }
    Ok(())
}

fn nitz(data: &[u8]) -> Result<(), Broken> {
    let Some((octets, rest)) = data.split_first_chunk::<7>() else { return Ok(()) };
    if let Ok(found) = Nitz::decode(*octets, rest.first().copied()) {
        ensure!(found.offset_seconds().abs() <= 16 * 3600, "{found:?}");
        ensure!(fixed(found.offset_seconds()).is_ok(), "{found:?}");
    }
    Ok(())
}

fn rewritten(data: &[u8]) -> Result<(), Broken> {
    let Ok(text) = std::str::from_utf8(data) else { return Ok(()) };
    let name = |error: timesync::task::TaskRefusal| Broken(error.to_string());
    let owner = UserId::new("anna").map_err(name)?;
    let setter =
        Setter { user: UserId::new("boris").map_err(name)?, client: ClientId::new("phone").map_err(name)? };
    let Ok(task) = ical::read(text, &owner, &setter) else { return Ok(()) };
    ensure!(task.owner == owner && task.setter == setter, "{task:?}");
    let written = ical::write(&task);
    let again = ical::read(&written, &owner, &setter)
        .map_err(|refusal| Broken(format!("what we write we refuse, {refusal}: {written}")))?;
    let third =
        ical::read(&ical::write(&again), &owner, &setter).map_err(|refusal| Broken(refusal.to_string()))?;
    ensure!(third == again, "{again:?} became {third:?}");
    Ok(())
}
