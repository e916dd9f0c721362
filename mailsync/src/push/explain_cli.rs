//! `mailsyncd push`: why a mail went where it went, and what is known of the terminals.

use super::state::{self, Kept, Reach};
use crate::store::SqliteStore;
use crate::turns::{self, Failure};
use clap::{Args, Subcommand, ValueEnum};
use idmap::Guid;
use pushpolicy::trace::Language;
use pushpolicy::{Bearer, Now, Outcome, Record, Route, TerminalId, counterfactual};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say who gets a mail, and of every device why or why not
    Explain {
        /// Login name
        user: String,
        /// The mail: its id, or words of its subject
        mail: String,
        /// As it would be decided now, not as it was
        #[arg(long)]
        now: bool,
        #[command(flatten)]
        how: How,
    },
    /// Print what is known of a user's terminals, as mailsync push explain --snapshot reads it
    Snapshot {
        /// Login name
        user: String,
    },
}

/// What is to be explained, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct How {
    /// Also what would have to change for this device to get it
    #[arg(long, value_name = "DEVICE")]
    pub(crate) why_not: Option<String>,
    /// The language of the words
    #[arg(long, value_enum, default_value_t = Words::En)]
    pub(crate) language: Words,
}

/// A language.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Words {
    /// English
    En,
    /// Chinese
    Zh,
}

/// Everything that is configured works: channels are known only to the server that runs.
struct AllWorks;

impl Reach for AllWorks {
    fn works(&self, _device: &str, route: &Route) -> bool {
        Bearer::ALL.contains(&route.bearer)
    }
}

pub(crate) fn run(json: bool, store: &SqliteStore, command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Explain { user, mail, now, how } => {
            let record = if now { None } else { found(store, &user, &mail)? };
            let record = match record {
                Some(kept) => kept.record,
                None => decide_now(store, &user, &mail)?,
            };
            explain(&record, &how, json)
        }
        Command::Snapshot { user } => {
            let now = state::millis();
            let snapshot = turns::effect::<_, Failure>(store, |reader| {
                Ok(state::snapshot(reader, &user, &AllWorks, now).map(|snapshot| (snapshot, Vec::new())))
            });
            let snapshot = snapshot.map_err(|error| error.to_string())?;
            let snapshot = snapshot.ok_or_else(|| format!("{user}: terminals that are none"))?;
            println!("{}", serde_json::to_string_pretty(&snapshot).map_err(|error| error.to_string())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The decision that is kept of a mail: the last that was made.
fn found(store: &SqliteStore, user: &str, mail: &str) -> Result<Option<Kept>, String> {
    let records = state::records(store, user).map_err(|error| error.to_string())?;
    let wanted = mail.to_lowercase();
    let of = |kept: &Kept| kept.mail == mail || kept.record.mail.subject().contains(&wanted);
    Ok(records.into_iter().filter(of).max_by_key(|kept| kept.record.now.at))
}

fn decide_now(store: &SqliteStore, user: &str, mail: &str) -> Result<Record, String> {
    let now = Now::at(state::millis());
    // By words of its subject it is found among those that were decided.
    let guid = found(store, user, mail)?.map_or_else(|| mail.to_owned(), |kept| kept.mail);
    let record = state::decide_now(store, user, &Guid::unvalidated(guid), (&AllWorks, now));
    record
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("{user} has no mail {mail:?} that was decided on, or no policy"))
}

/// Prints a decision with everything that led to it.
pub(crate) fn explain(record: &Record, how: &How, json: bool) -> Result<ExitCode, String> {
    let language = match how.language {
        Words::En => Language::English,
        Words::Zh => Language::Chinese,
    };
    let change = match &how.why_not {
        Some(device) => Some(change(record, device)?),
        None => None,
    };
    if json {
        let mut value = serde_json::to_value(record).map_err(|error| error.to_string())?;
        if let Some(change) = change {
            value["change"] = serde_json::to_value(change).map_err(|error| error.to_string())?;
        }
        println!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    let view = &record.decision;
    match &view.outcome {
        Outcome::Push(_) => {
            for target in &view.targets {
                let wake = if target.wake { ", woken first" } else { "" };
                println!("to {} by {} at {}{wake}", target.terminal, target.bearer.as_str(), target.address);
            }
        }
        Outcome::NoTarget { reason, then } => println!("to nobody: {}; then {then:?}", reason.text(language)),
        _ => {}
    }
    for hint in &view.hints {
        println!("hint to {} by {}", hint.terminal, hint.bearer.as_str());
    }
    for (after, targets) in &view.escalation {
        let names: Vec<&str> = targets.iter().map(|target| target.terminal.as_str()).collect();
        println!("after {after} s unseen: {}", names.join(", "));
    }
    let rule = view.rule.as_ref().map_or("the default", |rule| rule.as_str());
    println!("policy revision {}, {rule}", record.revision);
    print!("{}", record.trace.text(language));
    match change {
        Some(Some(change)) => {
            let change = serde_json::to_string(&change).map_err(|error| error.to_string())?;
            println!("it would go there after: {change}");
        }
        Some(None) => println!("no single change would send it there, or it goes there"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn change(record: &Record, device: &str) -> Result<Option<pushpolicy::Change>, String> {
    let wanted = TerminalId::new(device).map_err(|error| error.to_string())?;
    counterfactual(&record.policy, &record.snapshot, &record.mail, record.now, &wanted)
        .map_err(|error| error.to_string())
}
