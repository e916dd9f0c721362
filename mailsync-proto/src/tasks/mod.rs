//! Time tasks over sync sessions: what travels between `timesync`'s two task engines, and in which datastores.
//!
//! # Map
//! | module | what |
//! |---|---|
//! | [`reminder`] | the objects of `./reminders`: sleeping copies, the server's word, the terminal's feedback; the datastore |
//! | [`request`] | `./requests`: tasks for other people, as iTIP |
//! | [`group`] | `./groups`: friend groups with levels and rights |
//! | [`desk`] | the server: calendars and feedback in, plans, words and answers out |
//! | [`bell`] | the terminal: copies, words and own entries in, what to show and feedback out |
//! | [`direct`], [`short`] | a task from client to client, and how short messages carry it; in mails: [`mail::invitation`](crate::mail::invitation) |
//! | [`wake`] | which terminals are to be woken until they came |
//!
//! A task is an entry with an alarm in its owner's `./tasks` or `./calendar`, as any client syncs it. A client that can show
//! tasks also syncs `./reminders`: there the server gives it the task as its engine knows it, and says who shows it.

pub mod bell;
pub mod desk;
pub mod direct;
pub mod group;
pub mod reminder;
pub mod request;
pub mod short;
pub mod wake;

pub use bell::Bell;
pub use desk::Desk;
pub use group::GroupCollection;
pub use reminder::{Reminder, ReminderCollection};
pub use request::RequestCollection;

use crate::sync::collection::match_key;
use crate::sync::store::MatchKey;
use core::fmt::Write;
use idmap::Guid;

/// The id of what there is once for each name.
fn guid_of(kind: &str, name: &str) -> Guid {
    let MatchKey(octets) = match_key(&[kind.as_bytes(), name.as_bytes()]);
    let mut text = kind.get(..1).unwrap_or("x").to_owned();
    for octet in octets {
        // Writing into a string does not fail.
        let _ = write!(text, "{octet:02x}");
    }
    Guid::unvalidated(text)
}

/// Whether a calendar entry is a time task of ours: its name is one in the world.
pub(crate) fn is_ours(body: &[u8]) -> bool {
    const NAME: &[u8] = b"X-TIMESYNC-SETTER:";
    body.windows(NAME.len()).any(|window| window == NAME)
}

/// Whether a calendar entry is for a device: it names none, or it names this one.
pub(crate) fn is_for(body: &[u8], device: &str) -> bool {
    const NAME: &[u8] = b"X-TIMESYNC-TARGET:";
    if !body.windows(NAME.len()).any(|window| window == NAME) {
        return true;
    }
    let text = String::from_utf8_lossy(body).replace("\r\n ", "").replace("\n ", "");
    let named = text.lines().filter_map(|line| line.trim_end().strip_prefix("X-TIMESYNC-TARGET:"));
    named.map(|name| name.replace('\\', "")).any(|name| name == device)
}
