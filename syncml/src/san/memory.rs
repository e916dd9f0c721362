//! What a client does about an alert: begin a session, or drop it.

use super::{AlertKey, Digest, ServerAlert, UiMode, check, check_message, content_type_name};
use crate::model::{Alert, AlertCode, Command, Message};
use bytes::Bytes;

/// An alert as it came; the MIME type says which form it is.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The binary form of 1.2.
    Binary(&'a Bytes),
    /// The SyncML message of 1.0 and 1.1.
    Message(&'a Message),
}

/// A session that a server wants and that is to be begun. It says "sync soon" and nothing else: the server's
/// address and the datastores' settings are the stored ones.
// spec: threats N1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The `SessionID` to use.
    pub session_id: Box<str>,
    /// How the user is told.
    pub ui_mode: UiMode,
    /// What to sync; empty means every datastore.
    pub syncs: Vec<WantedSync>,
}

/// One datastore to sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSync {
    /// The Alert to begin with: 200, 202 to 205.
    pub mode: AlertCode,
    /// The server's datastore.
    pub server_uri: Box<str>,
    /// Its media type, if it was said and is known.
    pub content_type: Option<Box<str>>,
}

/// Why an alert sets nothing off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// It is none.
    #[error("not an alert")]
    NotAnAlert,
    /// It names a server that is not ours.
    #[error("an alert of another server")]
    OtherServer,
    /// Its digest is wrong or missing.
    #[error("an alert that nobody vouches for")]
    Digest,
    /// Its session was begun already.
    #[error("an alert that came before")]
    Seen,
    /// Another one came less than a minute ago.
    #[error("too many alerts")]
    TooSoon,
}

/// What a client keeps of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AlertMemory {
    /// Session ids that were begun, the latest last.
    seen: Vec<Box<str>>,
    /// When the last one was begun, seconds since 1970; 0 before the first.
    started: u64,
    /// Alerts that were dropped.
    pub dropped: u64,
}

/// Session ids that are remembered.
const REMEMBERED: usize = 64;
/// Seconds between two sessions that alerts begin.
const APART: u64 = 60;

impl AlertMemory {
    /// Decides about an alert. `server_id` and `key` are those of the server that the client knows.
    ///
    /// # Errors
    /// Why it is dropped; it is counted.
    // spec: threats N1
    pub fn take(
        &mut self,
        notice: Notice<'_>,
        server_id: &str,
        key: &AlertKey,
        now: u64,
    ) -> Result<Wanted, Dropped> {
        let outcome = self.judge(notice, server_id, key, now);
        match &outcome {
            Ok(wanted) => {
                self.started = now;
                if self.seen.len() >= REMEMBERED {
                    self.seen.remove(0);
                }
                self.seen.push(wanted.session_id.clone());
            }
            Err(_) => self.dropped = self.dropped.saturating_add(1),
        }
        outcome
    }

    fn judge(
        &self,
        notice: Notice<'_>,
        server_id: &str,
        key: &AlertKey,
        now: u64,
    ) -> Result<Wanted, Dropped> {
        let (sender, digest, wanted) = match notice {
            Notice::Binary(octets) => {
                let alert = ServerAlert::decode(octets).map_err(|_| Dropped::NotAnAlert)?;
                let wanted = of_alert(&alert).ok_or(Dropped::NotAnAlert)?;
                (alert.server_id, check(octets, key), wanted)
            }
            Notice::Message(message) => {
                let wanted = of_message(message).ok_or(Dropped::NotAnAlert)?;
                (message.hdr.source.loc_uri.clone(), check_message(message, key), wanted)
            }
        };
        if *sender != *server_id {
            return Err(Dropped::OtherServer);
        }
        if digest != Digest::Right {
            return Err(Dropped::Digest);
        }
        if self.seen.contains(&wanted.session_id) {
            return Err(Dropped::Seen);
        }
        if self.started > 0 && now.saturating_sub(self.started) < APART {
            return Err(Dropped::TooSoon);
        }
        Ok(wanted)
    }
}

fn of_alert(alert: &ServerAlert) -> Option<Wanted> {
    let syncs = alert.syncs.iter().map(|sync| {
        Some(WantedSync {
            mode: sync.code.asked_for()?,
            server_uri: sync.server_uri.clone(),
            content_type: content_type_name(sync.content_type).map(Into::into),
        })
    });
    Some(Wanted {
        // spec: session facts section 12.1: upper-case hex without leading zeros
        session_id: format!("{:X}", alert.session_id).into(),
        ui_mode: alert.ui_mode,
        syncs: syncs.collect::<Option<_>>()?,
    })
}

fn of_message(message: &Message) -> Option<Wanted> {
    let mut syncs = Vec::new();
    for command in &message.commands {
        let Command::Alert(alert) = command else { return None };
        let Alert { code: Some(code), items, .. } = &**alert else { return None };
        let mode = code.asked_for()?;
        for item in items {
            let content_type = item.meta.as_ref().and_then(|meta| meta.type_.clone());
            let server_uri = item.source.as_ref()?.loc_uri.clone();
            syncs.push(WantedSync { mode, server_uri, content_type });
        }
    }
    (!message.commands.is_empty()).then(|| Wanted {
        // As the server said it, whatever it is.
        session_id: message.hdr.session_id.clone(),
        ui_mode: UiMode::NotGiven,
        syncs,
    })
}
