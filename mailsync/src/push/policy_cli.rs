//! `mailsyncd policy`: the operator's hand on users' policies, by the function that devices use.

use super::state::{get_policy, set_policy};
use crate::store::SqliteStore;
use clap::Subcommand;
use pushpolicy::{Limits, Millis, Policy, StoredPolicy};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the policy in force
    Show {
        /// Login name
        user: String,
    },
    /// Put another in force
    Set {
        /// Login name
        user: String,
        /// The policy (JSON)
        file: PathBuf,
        /// Only if this revision is in force [default: the one that is]
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// Check a policy and say what is odd about it
    Check {
        /// The policy (JSON)
        file: PathBuf,
    },
}

pub(crate) fn run(json: bool, store: &SqliteStore, command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Show { user } => {
            let stored = get_policy(store, &user)?.ok_or_else(|| {
                format!("{user} has no policy: every device is told of everything that it asks for")
            })?;
            println!("{}", serde_json::to_string_pretty(&stored).map_err(text)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Set { user, file, revision } => {
            let policy = read(&file)?;
            let known = match revision {
                Some(revision) => revision,
                None => get_policy(store, &user)?.map_or(0, |stored| stored.revision),
            };
            let stored = set_policy(store, &user, &wanted(policy, known, "mailsyncd"))?;
            done(json, stored.revision, &format!("policy of {user}: revision {}", stored.revision))
        }
        Command::Check { file } => checked(&file, json),
    }
}

/// Says what is odd about a policy.
pub(crate) fn checked(file: &Path, json: bool) -> Result<ExitCode, String> {
    let findings = check(&read(file)?)?;
    if json {
        println!("{}", serde_json::json!({"ok": true, "findings": findings}));
    } else {
        findings.iter().for_each(|finding| println!("{finding}"));
        println!("{} is a policy", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that it was done.
pub(crate) fn done(json: bool, revision: u64, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", serde_json::json!({"ok": true, "revision": revision}));
    } else {
        println!("{words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The document that asks for a policy to follow revision `known`.
pub(crate) fn wanted(policy: Policy, known: u64, writer: &str) -> Vec<u8> {
    let mut stored = StoredPolicy::initial(policy);
    stored.revision = known.saturating_add(1);
    writer.clone_into(&mut stored.writer);
    stored.written_at = Millis(0);
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// A policy from a file, that compiles.
pub(crate) fn read(file: &Path) -> Result<Policy, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(|error| at(&error))?;
    let policy = Policy::from_json(&bytes).map_err(|error| at(&error))?;
    policy.compile(&Limits::default()).map_err(|error| at(&error))?;
    Ok(policy)
}

/// What is odd about a policy, in words.
fn check(policy: &Policy) -> Result<Vec<String>, String> {
    let compiled = policy.compile(&Limits::default()).map_err(text)?;
    Ok(compiled.findings().iter().map(ToString::to_string).collect())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
