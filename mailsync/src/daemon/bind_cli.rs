//! `mailsyncd bind`: the operator's hand on bindings.

use super::cli::Out;
use crate::store::SqliteStore;
use crate::turns;
use clap::Subcommand;
use serde::Serialize;
use smsbridge::bridge::{Binding, BindingStore, Kind, Msisdn};
use smsbridge::smtp::Mailbox;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Bind {
    /// Bind a number and a mailbox, without codes
    Add {
        /// The number, as +8613800138000
        number: String,
        /// The mailbox
        mailbox: String,
        /// Beside others that are used first
        #[arg(long)]
        also: bool,
    },
    /// List bindings
    List,
    /// Remove a binding
    Remove {
        /// The number
        number: String,
        /// The mailbox
        mailbox: String,
    },
    /// Read permanent bindings, as export writes them
    Import {
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Write permanent bindings: number, tab, mailbox, tab, preferred or also
    Export,
    /// Show what happened to bindings
    Audit,
}

#[derive(Serialize)]
struct Row {
    number: String,
    mailbox: String,
    preferred: bool,
    origin: String,
    until: Option<u64>,
}

impl From<Binding> for Row {
    fn from(binding: Binding) -> Self {
        Row {
            number: binding.number.to_string(),
            mailbox: binding.mailbox.to_string(),
            preferred: binding.preferred,
            origin: format!("{:?}", binding.origin).to_lowercase(),
            until: match binding.kind {
                Kind::Permanent => None,
                Kind::Until(end) => Some(end),
            },
        }
    }
}

/// Carries it out.
pub(super) fn bind(out: &Out, store: &SqliteStore, command: Bind) -> Result<ExitCode, String> {
    let words = |error: mailsync_proto::sync::store::StoreError| error.to_string();
    store.open_sms().map_err(words)?;
    let now = turns::unix_now();
    match command {
        Bind::Add { number, mailbox, also } => {
            let (number, mailbox) = pair(&number, &mailbox)?;
            let done = format!("{number} bound to {mailbox}");
            let mut binding = Binding::new(number, mailbox, smsbridge::bridge::Origin::Operator);
            binding.preferred = !also;
            store.sms(|tables| tables.bindings(|rows| rows.add(binding, now))).map_err(words)?;
            out.done(&done)
        }
        Bind::List => {
            let all = store.sms_read(|tables| tables.bindings(|rows| rows.all())).map_err(words)?;
            let rows: Vec<Row> = all.into_iter().map(Row::from).collect();
            out.list(&rows, |row| {
                let rank = if row.preferred { "preferred" } else { "also" };
                let until = row.until.map_or("permanent".to_owned(), |end| format!("until {end}"));
                format!("{}\t{}\t{rank}\t{until}\t{}", row.number, row.mailbox, row.origin)
            });
            Ok(ExitCode::SUCCESS)
        }
        Bind::Remove { number, mailbox } => {
            let (number, mailbox) = pair(&number, &mailbox)?;
            let gone =
                store.sms(|tables| tables.bindings(|rows| rows.remove(&number, &mailbox))).map_err(words)?;
            match gone {
                Some(_) => out.done(&format!("{number} no longer bound to {mailbox}")),
                None => Err(format!("{number} is not bound to {mailbox}")),
            }
        }
        Bind::Import { file } => {
            let mut text = String::new();
            let read = if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text)
            } else {
                std::fs::File::open(&file).and_then(|mut file| file.read_to_string(&mut text))
            };
            read.map_err(|error| format!("{}: {error}", file.display()))?;
            let done = store.sms(|tables| tables.bindings(|rows| rows.import(&text, now))).map_err(words)?;
            match done {
                Ok(count) => out.done(&format!("{count} bindings read")),
                Err(line) => Err(format!("{}: line {line} is no binding; nothing was read", file.display())),
            }
        }
        Bind::Export => {
            let text = store.sms_read(|tables| tables.bindings(|rows| rows.export())).map_err(words)?;
            print!("{text}");
            Ok(ExitCode::SUCCESS)
        }
        Bind::Audit => {
            let trail = store.sms_read(|tables| tables.audit_trail()).map_err(words)?;
            out.list(&trail, |row| {
                format!(
                    "{}\t{}\t{}\t{}\t{}",
                    row.at,
                    row.what,
                    row.number,
                    row.mailbox,
                    row.origin.as_deref().unwrap_or("-")
                )
            });
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn pair(number: &str, mailbox: &str) -> Result<(Msisdn, Mailbox), String> {
    let number =
        Msisdn::parse(number).ok_or_else(|| format!("{number:?} is no number, say +8613800138000"))?;
    let mailbox =
        mailbox.parse().map_err(|_| format!("{mailbox:?} is no mail address, say ana@example.org"))?;
    Ok((number, mailbox))
}
