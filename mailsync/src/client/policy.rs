//! `mailsync policy`: which of the user's devices gets what mail, set from any of them by a sync of `./policy`.
// mission: P5

use super::account::There;
use super::options::StoreOption;
use super::sync;
use crate::push::policy_cli::{checked, done, read, wanted};
use clap::Subcommand;
use mailsync_proto::mail::policy::{DATASTORE, MEDIA_TYPE};
use pushpolicy::StoredPolicy;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use syncml::StatusCode;

/// Which device gets what mail.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the policy in force
    Get {
        #[command(flatten)]
        there: There,
    },
    /// Put another in force
    Set {
        #[command(flatten)]
        there: There,
        /// The policy (JSON)
        file: PathBuf,
        /// Only if this revision is in force [default: the one that is]
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// Check a policy and say what is odd about it, without a server
    Check {
        /// The policy (JSON)
        file: PathBuf,
    },
}

/// Runs the command.
pub(super) fn run(command: Command, json: bool) -> Result<ExitCode, String> {
    match command {
        Command::Check { file } => checked(&file, json),
        Command::Get { there } => {
            synced(&there)?;
            let (_, stored) = in_force(there.dir.path())?
                .ok_or("nobody has set a policy: every device is told of everything that it asks for")?;
            println!("{}", serde_json::to_string_pretty(&stored).map_err(|error| error.to_string())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Set { there, file, revision } => {
            let policy = read(&file)?;
            let dir = there.dir.path();
            synced(&there)?;
            let before = in_force(dir)?;
            let known = revision.unwrap_or_else(|| before.as_ref().map_or(0, |(_, stored)| stored.revision));
            let id = sync::device_id(dir, there.device.as_deref()).map_err(|error| error.to_string())?;
            let path =
                before.as_ref().map_or_else(|| dir.join(DATASTORE).join("policy"), |(path, _)| path.clone());
            let as_it_was = fs::read(&path).ok();
            let at = |error: std::io::Error| format!("{}: {error}", path.display());
            fs::write(&path, wanted(policy, known, &id)).map_err(at)?;
            if let Err(error) = synced(&there) {
                // What is not in force is not kept: it would be sent again and again.
                match as_it_was {
                    Some(octets) => fs::write(&path, octets).map_err(at)?,
                    None => fs::remove_file(&path).map_err(at)?,
                }
                return Err(error);
            }
            done(json, known.saturating_add(1), &format!("revision {} is in force", known.saturating_add(1)))
        }
    }
}

/// The policy that came with the last sync, and its file.
fn in_force(dir: &Path) -> Result<Option<(PathBuf, StoredPolicy)>, String> {
    let mut found: Option<(PathBuf, StoredPolicy)> = None;
    for entry in fs::read_dir(dir.join(DATASTORE)).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let octets = fs::read(&path).map_err(|error| named(&error))?;
        let stored = StoredPolicy::from_json(&octets).map_err(|error| named(&error))?;
        if found.as_ref().is_none_or(|(_, known)| known.revision < stored.revision) {
            found = Some((path, stored));
        }
    }
    Ok(found)
}

fn synced(there: &There) -> Result<(), String> {
    let stores = vec![StoreOption::parse(&format!("{DATASTORE}:{MEDIA_TYPE}"))?];
    let report = sync::run(&there.options(stores)?).map_err(|error| error.to_string())?;
    if let Some(code) = report.login {
        return Err(format!("{}: login of {} refused: {}", there.server, there.user, StatusCode(code)));
    }
    let Some(store) = report.stores.first() else { return Ok(()) };
    if store.status != StatusCode::OK.0 {
        return Err(format!("{}: the policy is not synced: {}", there.server, StatusCode(store.status)));
    }
    match store.codes.first() {
        None => Ok(()),
        Some(code) => Err(format!(
            "the server keeps the policy that is in force ({}): somebody else has set one, or this one is none",
            StatusCode(*code)
        )),
    }
}
