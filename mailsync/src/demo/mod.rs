//! `mailsync demo`: the main job, end to end, on this machine, each step verified.
//!
//! The server and every sync are child processes of this executable; mail comes in over SMTP, syncs go over HTTP through
//! a proxy that counts octets and can cut the line. Nothing is shared with the children but sockets and folders.

mod check;
mod client;
mod mails;
mod proxy;
mod server;
mod smtp;
mod steps;
mod table;

use crate::turns;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use steps::Stage;
use table::Row;

/// Runs it, in `dir` (new or empty, and left there) or in a temporary folder. With `json` the last line on stdout has the
/// figures.
///
/// # Errors
/// The first thing that is not as it should be, in one line.
pub fn run(dir: Option<&Path>, json: bool) -> Result<ExitCode, String> {
    let folder = Folder::new(dir)?;
    let start = Instant::now();
    say(&format!("Working in {}", folder.path.display()));
    let hint = if folder.temporary { "; with --dir DIR everything stays to be looked at" } else { "" };
    let performed = Stage::build(&folder.path).and_then(perform);
    let (rows, stage) = performed.map_err(|error| format!("{error}{hint}"))?;
    let seconds = table::rounded(start.elapsed().as_secs_f64());
    say("");
    say(table::text(&rows).trim_end());
    let (wbxml, xml) = stage.first_syncs();
    say(&format!(
        "First sync of {} mails: {} octets in {} messages in WBXML, {} in {} in XML. All verified.",
        stage.mails_at_first(),
        wbxml.octets,
        wbxml.messages,
        xml.octets,
        xml.messages
    ));
    if json {
        let first = |synced: &client::Synced| json!({"messages": synced.messages, "items": synced.received + synced.sent, "bytes": synced.octets});
        let steps: Vec<_> = rows.iter().map(Row::json).collect();
        say(&json!({
            "ok": true,
            "mails": stage.mails(),
            "octets_compared": stage.compared(),
            "bytes_on_the_wire": stage.octets_on_the_wire(),
            "first_sync": {"mails": stage.mails_at_first(), "wbxml": first(&wbxml), "xml": first(&xml)},
            "steps": steps,
            "seconds": seconds,
        })
        .to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn perform(mut stage: Stage) -> Result<(Vec<Row>, Stage), String> {
    let mut rows = Vec::new();
    for (number, (name, what, work)) in steps::ALL.iter().enumerate() {
        let number = number + 1;
        say(&format!("\n{number}. {what}"));
        let mut row = Row::new(name);
        let start = Instant::now();
        let said =
            work(&mut stage, &mut row).map_err(|error| format!("demo: step {number}, {name}: {error}"))?;
        row.seconds = start.elapsed().as_secs_f64();
        say(&format!("   verified: {said} ({:.1} s)", row.seconds));
        rows.push(row);
    }
    Ok((rows, stage))
}

/// A line for people. A closed stdout stops nothing: the exit status still tells.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
}

/// Where the demo works; a temporary folder is removed at the end.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn new(dir: Option<&Path>) -> Result<Self, String> {
        if let Some(path) = dir {
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            std::fs::create_dir_all(path).map_err(failed)?;
            if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
                return Err(format!("{}: not empty; the demo wants a folder of its own", path.display()));
            }
            return Ok(Folder { path: std::path::absolute(path).map_err(failed)?, temporary: false });
        }
        let path = std::env::temp_dir().join(format!("mailsync-demo-{}", random()?));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder { path, temporary: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // A temporary folder that stays is no failure of the demo.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// 32 hexadecimal digits.
fn random() -> Result<String, String> {
    let entropy = turns::moment().map_err(|error| error.to_string())?.entropy;
    Ok(entropy.iter().take(16).map(|octet| format!("{octet:02x}")).collect())
}
