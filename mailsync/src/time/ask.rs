//! `mailsyncd time`: what the reference servers say now.

use super::config::Config;
use super::reference::{name, open};
use std::process::ExitCode;
use std::time::Duration;
use timesync::sntp::Event;
use timesync::{Interval, Selection};

/// Ask the reference servers, and say how far the system's clock is off
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Ask this server instead of those of the configuration; may be said often
    #[arg(long, value_name = "HOST:PORT")]
    server: Vec<String>,
    /// How long to ask, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    wait: u64,
}

/// What came of it.
#[derive(Debug, Default)]
struct Heard {
    /// True time minus the system's clock.
    offset: Option<Interval>,
    selection: Option<Selection>,
    silent: Vec<String>,
    trouble: Vec<String>,
}

/// Asks, and prints the answer. Fails when the servers do not agree on a time.
///
/// # Errors
/// In words.
pub fn run(args: &Args, config: &Config, json: bool) -> Result<ExitCode, String> {
    let mut config = config.clone();
    if !args.server.is_empty() {
        config.agree = config.agree.min(args.server.len());
        config.servers.clone_from(&args.server);
    }
    config.check()?;
    if config.servers.is_empty() {
        return Err("no servers: name some with --server, or in [time] of the configuration".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let heard = runtime.block_on(ask(&config, Duration::from_secs(args.wait)))?;
    report(&config, &heard, json)
}

async fn ask(config: &Config, wait: Duration) -> Result<Heard, String> {
    let mut driver = open(config).await.map_err(|error| error.to_string())?;
    let mut heard = Heard::default();
    let mut answered = vec![false; config.servers.len()];
    let _ = tokio::time::timeout(wait, async {
        loop {
            match driver.next().await {
                Ok(Event::Synchronised(selection)) => heard.selection = Some(selection),
                Ok(Event::NotSynchronised(_)) => heard.selection = None,
                Ok(Event::Measured { from, .. }) => {
                    if let Some(answered) = answered.get_mut(from.0 as usize) {
                        *answered = true;
                    }
                }
                Ok(Event::Refused { from, refusal }) => {
                    heard.trouble.push(format!("{}: {refusal}", name(config, from)));
                }
                Ok(Event::NoSample { from, refusal }) => {
                    heard.trouble.push(format!("{}: {refusal}", name(config, from)));
                }
                Ok(Event::KissOfDeath { from, code }) => {
                    heard.trouble.push(format!("{}: {code:?}", name(config, from)));
                }
                Ok(_) => {}
                Err(error) => {
                    heard.trouble.push(error.to_string());
                    return;
                }
            }
        }
    })
    .await;
    let silent = config.servers.iter().zip(&answered).filter(|(_, answered)| !**answered);
    heard.silent = silent.map(|(server, _)| server.clone()).collect();
    // An estimate whose servers contradict one another by now is not told.
    heard.offset = heard.selection.as_ref().and_then(|_| driver.system_offset());
    Ok(heard)
}

fn report(config: &Config, heard: &Heard, json: bool) -> Result<ExitCode, String> {
    let wrong: Vec<&str> = heard
        .selection
        .iter()
        .flat_map(|selection| selection.falsetickers.iter().map(|id| name(config, *id)))
        .collect();
    if json {
        let line = serde_json::json!({
            "ok": heard.offset.is_some(),
            "offset_ns": heard.offset.map(Interval::mid),
            "bound_ns": heard.offset.map(Interval::radius),
            "agree": heard.selection.as_ref().map(|selection| selection.truechimers.len()),
            "wrong": wrong,
            "silent": heard.silent,
            "trouble": heard.trouble,
        });
        println!("{line}");
    }
    let Some(offset) = heard.offset else {
        let why = [&heard.silent[..], &heard.trouble[..]].concat().join("; ");
        return Err(format!("the servers do not agree on a time: {why}"));
    };
    if !json {
        println!("the system's clock is off by {} +- {} s", seconds(offset.mid()), {
            seconds(i64::try_from(offset.radius()).unwrap_or(i64::MAX))
        });
        for (what, servers) in [("wrong", &wrong), ("silent", &heard.silent.iter().map(|s| &**s).collect())] {
            if !servers.is_empty() {
                println!("{what}: {}", servers.join(" "));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds as seconds.
fn seconds(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn nanoseconds_read_as_seconds() {
        assert_eq!(seconds(-1), "-0.000000001");
        assert_eq!(seconds(4_995_000_000), "4.995000000");
    }
}
