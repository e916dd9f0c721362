//! What a user sees while it syncs: a bar on a terminal, words with `-v`.

use super::maildir_scan::ScanReport;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mailsync_proto::mail::event::MailEvent;
use mailsync_proto::sync::event::Event;
use std::io::IsTerminal;
use syncml::StatusCode;

/// Progress of a sync, on stderr.
pub(super) struct Progress {
    bar: ProgressBar,
    verbose: bool,
}

/// What became of a conflict, in words.
// spec: session facts section 4, conflict codes
fn settled(code: StatusCode) -> String {
    let words = match code {
        StatusCode::CONFLICT_MERGED => "both changes are in it now",
        StatusCode::CONFLICT_CLIENT_WON => "the client's version stays",
        StatusCode::CONFLICT_DUPLICATED => "both versions are kept",
        StatusCode::CONFLICT_SERVER_WON => "the server's version stays",
        StatusCode::CONFLICT => "nothing was decided, both stay as they are",
        other => return other.to_string(),
    };
    format!("{words} ({})", code.0)
}

impl Progress {
    pub(super) fn new(verbose: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        Progress { bar, verbose }
    }

    pub(super) fn scanned(&mut self, store: &str, scan: &ScanReport) {
        if scan.added + scan.changed + scan.deleted > 0 {
            self.say(&format!(
                "{store}: changed here: {} new, {} changed, {} deleted",
                scan.added, scan.changed, scan.deleted
            ));
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Alerted { store, mode: m, why_slow } => {
                self.bar.set_message(store.to_string());
                let why = why_slow.map(|why| format!(", because {}", why.text())).unwrap_or_default();
                self.say(&format!("{store}: {} sync{why}", m.name()));
            }
            Event::StoreRefused { store, code } => {
                self.say(&format!("{store}: the server refuses: {}", StatusCode(*code)));
            }
            Event::Announced { store, changes } => {
                self.bar.inc_length(u64::from(*changes));
                self.say(&format!("{store}: the server announces {changes} changes"));
            }
            Event::Received { store, cmd, code } => {
                self.bar.inc(1);
                if StatusCode(*code).is_error() {
                    self.say(&format!("{store}: refused an item ({}): {}", cmd.as_str(), StatusCode(*code)));
                }
            }
            Event::Sent { .. } => {
                self.bar.inc_length(1);
                self.bar.inc(1);
            }
            Event::Refused { store, guid, code } => {
                self.say(&format!("{store}: the server refused {guid}: {}", StatusCode(*code)));
            }
            Event::Skipped { store, guid, reason } => {
                self.say(&format!("{store}: {guid} stays here: {reason}"))
            }
            Event::Conflict { store, guid, code } => {
                self.say(&format!(
                    "{store}: {guid} was changed on both sides: {}",
                    settled(StatusCode(*code))
                ));
            }
            Event::ServerAlerted { store, mode } => {
                self.say(&format!("{store}: the server asks for a {} sync", mode.name()));
            }
            Event::Noticed { store, data, .. } => {
                let event = MailEvent::parse(data).unwrap_or_default();
                event.happened.iter().for_each(|one| self.say(&format!("{store}: {one}")));
            }
            Event::Busy => self.say("the server is busy: waiting"),
            Event::Display(text) => self.always(&format!("the server says: {}", text.escape_debug())),
            Event::Oddity(text) => self.say(&format!("odd: {}", text.escape_debug())),
            _ => {}
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, line: &str) {
        if self.verbose {
            self.always(line);
        }
    }

    fn always(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}
