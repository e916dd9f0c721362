//! `mailsync push explain`: a decision and its reasons from files, without a server.

use crate::push::explain_cli::{How, explain};
use crate::push::policy_cli::read;
use clap::Subcommand;
use pushpolicy::{MailFacts, Millis, Now, Record, Snapshot};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which device gets what mail, and why.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Decide on a mail, and say of every device why or why not
    Explain {
        /// The policy (JSON)
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// What is known of the devices (JSON), as mailsyncd push snapshot prints it
        #[arg(long, value_name = "FILE")]
        snapshot: PathBuf,
        /// The mail itself (RFC 5322), or its facts (JSON)
        #[arg(long, value_name = "FILE")]
        mail: PathBuf,
        /// The folder that the mail is in
        #[arg(long, value_name = "NAME", default_value = "Inbox")]
        folder: String,
        /// The moment, in milliseconds since 1970 [default: of the last report in the snapshot]
        #[arg(long, value_name = "MS")]
        at: Option<u64>,
        #[command(flatten)]
        how: How,
    },
}

/// Runs the command.
pub(super) fn run(command: Command, json: bool) -> Result<ExitCode, String> {
    let Command::Explain { policy, snapshot, mail, folder, at, how } = command;
    let named = |path: &PathBuf, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let octets = fs::read(&snapshot).map_err(|error| named(&snapshot, &error))?;
    let devices = Snapshot::from_json(&octets).map_err(|error| named(&snapshot, &error))?;
    let octets = fs::read(&mail).map_err(|error| named(&mail, &error))?;
    let facts = if octets.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<MailFacts>(&octets).map_err(|error| named(&mail, &error))?
    } else {
        let looks = mailsync_proto::mail::news::Looks::of(&folder, &octets);
        MailFacts::new(looks.folder, looks.from, looks.subject, looks.size, looks.parts)
    };
    let reports = devices.terminals().iter().flat_map(|terminal| &terminal.evidence);
    let last = reports.map(|evidence| evidence.received_at).max().unwrap_or(Millis(0));
    let now = Now::at(at.map_or(last, Millis));
    let record = Record::make(0, read(&policy)?, devices, facts, now).map_err(|error| error.to_string())?;
    explain(&record, &how, json)
}
