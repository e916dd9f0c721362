//! `mailsyncd operation` and `mailsyncd clock`: what terminals are to start, and how their clocks are.

use super::manage::{ManageError, all, load, save};
use crate::store::SqliteStore;
use mailsync_proto::dm::{NewOperation, Operation, OperationState, OperationZone};
use mailsync_proto::sync::store::StoreError;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use timesync::starter::Missed;
use timesync::zones::ZoneName;

/// Operations that terminals start at an appointed local time
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Appoint an operation; the terminal hears of it in its next session
    Add {
        /// Login name
        user: String,
        /// Device id
        device: String,
        /// Local time, as 2026-03-29T03:00:00
        #[arg(long, value_name = "TIME")]
        at: String,
        /// Whose local time: an IANA zone, "floating" (the terminal's own) or "unnamed" (ours, which the terminal
        /// must find out from our time stamp) [default: ours, from time.zone of the configuration]
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// If the terminal was off: skip, once, or up to so many seconds late
        #[arg(long, value_name = "skip|once|SECONDS", default_value = "86400")]
        missed: String,
        /// What the terminal's hook is told
        #[arg(long, value_name = "TEXT", default_value = "")]
        tell: String,
    },
    /// List operations and what became of them
    List {
        /// Login name
        user: Option<String>,
    },
    /// Withdraw an operation
    Cancel {
        /// Login name
        user: String,
        /// Device id
        device: String,
        /// Its number, as listed
        id: u64,
    },
}

/// Runs a command.
///
/// # Errors
/// In words.
pub fn run(command: Command, store: &SqliteStore, as_json: bool) -> Result<ExitCode, String> {
    store.open_time().map_err(text)?;
    match command {
        Command::Add { user, device, at, zone, missed, tell } => {
            if !store.users().map_err(text)?.iter().any(|known| known.name == user) {
                return Err(format!("no user {user}"));
            }
            let new =
                NewOperation { at: &at, zone: zone_of(zone)?, missed: missed_of(&missed)?, data: &tell };
            let id = change(store, &user, &device, |record| record.appoint(&new).map_err(text))?;
            print(as_json, &json!({"ok": true, "id": id}), &format!("operation {id} of {device} appointed"));
        }
        Command::List { user } => {
            let found = all(store, user.as_deref()).map_err(text)?;
            let lines = found.iter().flat_map(|(user, device, record)| {
                record.operations().iter().map(move |operation| (user, device, operation))
            });
            if as_json {
                let list: Vec<Value> = lines.map(|(user, device, one)| as_value(user, device, one)).collect();
                println!("{}", json!(list));
            } else {
                for (user, device, one) in lines {
                    let (state, device) = (state(one.state), device.escape_debug());
                    println!(
                        "{user}\t{device}\t{}\t{}\t{state}\t{}",
                        one.id,
                        one.at,
                        one.data.escape_debug()
                    );
                }
            }
        }
        Command::Cancel { user, device, id } => {
            change(store, &user, &device, |record| record.cancel(id).map_err(text))?;
            print(
                as_json,
                &json!({"ok": true, "id": id}),
                &format!("operation {id} of {device} is withdrawn"),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the clocks of terminals.
///
/// # Errors
/// In words.
pub fn clocks(store: &SqliteStore, user: Option<&str>, as_json: bool) -> Result<ExitCode, String> {
    store.open_time().map_err(text)?;
    let found = all(store, user).map_err(text)?;
    let list: Vec<Value> = found
        .iter()
        .map(|(user, device, record)| {
            let deviation = record.clock.deviation();
            json!({
                "user": user,
                "device": device,
                "deviation_ns": deviation.map(|one| one.clock.mid()),
                "bound_ns": deviation.map(|one| one.clock.radius()),
                "zone_s": deviation.map(|one| one.zone),
                "measured": deviation.map(|one| one.at.as_secs()),
                "custom": record.clock.is_custom(),
            })
        })
        .collect();
    if as_json {
        println!("{}", json!(list));
        return Ok(ExitCode::SUCCESS);
    }
    for one in &list {
        println!("{one}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes a record beside a server that may be running.
fn change<T>(
    store: &SqliteStore,
    user: &str,
    device: &str,
    mut work: impl FnMut(&mut mailsync_proto::dm::Record) -> Result<T, String>,
) -> Result<T, String> {
    loop {
        let (mut record, version) = load(store, user, device).map_err(text)?;
        let done = work(&mut record)?;
        match save(store, user, device, &record, version) {
            Ok(()) => return Ok(done),
            Err(ManageError::Store(StoreError::Stale(_))) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn zone_of(text: Option<String>) -> Result<OperationZone, String> {
    match text.as_deref() {
        None => Ok(OperationZone::Server),
        Some("unnamed") => Ok(OperationZone::Unnamed),
        Some("floating") => Ok(OperationZone::Floating),
        Some(name) => ZoneName::new(name).map(OperationZone::Named).map_err(|error| error.to_string()),
    }
}

fn missed_of(text: &str) -> Result<Missed, String> {
    match text {
        "skip" => Ok(Missed::Skip),
        "once" => Ok(Missed::FireOnce),
        seconds => match seconds.parse() {
            Ok(seconds) => Ok(Missed::FireIfWithin(Duration::from_secs(seconds))),
            Err(_) => Err(format!("--missed {text:?}: skip, once or a number of seconds")),
        },
    }
}

fn state(state: OperationState) -> String {
    match state {
        OperationState::Waiting => "waiting".into(),
        OperationState::Accepted => "accepted".into(),
        OperationState::Refused(code) => format!("refused {code}"),
        OperationState::Done(outcome) => format!("done {}", outcome.code),
        OperationState::Cancelling => "being withdrawn".into(),
        OperationState::Cancelled => "withdrawn".into(),
    }
}

fn as_value(user: &str, device: &str, one: &Operation) -> Value {
    let outcome = match one.state {
        OperationState::Done(outcome) => Some(outcome),
        _ => None,
    };
    json!({
        "user": user,
        "device": device,
        "id": one.id,
        "at": one.at,
        "state": state(one.state),
        "code": outcome.map(|outcome| outcome.code),
        "started_ns": outcome.map(|outcome| outcome.at.as_nanos().to_string()),
        "late_ns": outcome.map(|outcome| outcome.late),
        "data": one.data,
    })
}

fn print(as_json: bool, value: &Value, words: &str) {
    if as_json {
        println!("{value}");
    } else {
        println!("{words}");
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
