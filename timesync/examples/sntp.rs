//! Ask time servers over UDP and say what time it is, and how sure that is.
//!
//! `cargo run -p timesync --features tokio --example sntp -- 127.0.0.1:11123 127.0.0.1:11124`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example says what is wrong and stops")]

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use timesync::drive::{Driver, Settings};
use timesync::sntp::Event;
use timesync::{Thresholds, UnixTime, advise};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let servers: Vec<SocketAddr> =
        std::env::args().skip(1).map(|a| a.parse().expect("addresses as 127.0.0.1:123")).collect();
    if servers.is_empty() {
        eprintln!("usage: sntp ADDRESS:PORT...");
        std::process::exit(2);
    }
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let mut driver = Driver::bind(Settings::new(&servers, UnixTime::from_secs(1_790_000_000), seed)).await?;
    let run = async {
        let mut rounds = 0;
        while rounds < 4 * servers.len() {
            match driver.next().await? {
                Event::Synchronised(selection) => {
                    rounds += 1;
                    println!("agreed {:?}, wrong {:?}", selection.agreed, selection.falsetickers);
                }
                Event::Measured { from, sample } => {
                    println!("{from:?}: {:?}, delay {} ns", sample.offset, sample.delay)
                }
                other => println!("{other:?}"),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Servers that never answer must not keep us here.
    let ended = tokio::time::timeout(Duration::from_secs(30), run).await;
    if let Ok(result) = ended {
        result?;
    }
    match driver.system_offset() {
        Some(offset) => {
            println!("the system clock is off by {offset:?}: {:?}", advise(offset, &Thresholds::default()));
            Ok(())
        }
        None => Err(std::io::Error::other("no time: too few servers answered")),
    }
}
