//! Mail that comes in: into the inbox, once.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::{Headers, message_id};
use super::mailbox::{DATASTORE, Role};
use super::outbox::{derived_guid, index_key, is_address, new_mail, printable, read_once};
use super::time;
use crate::sync::store::{StoreKey, Write};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;

/// `Received` fields of a message that goes in circles.
// spec: RFC 5321 §6.3
pub const HOPS: usize = 100;

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Envelope sender; empty for a bounce.
    pub sender: &'a str,
    /// Envelope recipient.
    pub recipient: &'a str,
    /// What the peer called itself.
    pub helo: &'a str,
    /// Where it connected from; empty for our own outbox.
    pub peer: &'a str,
    /// Our name.
    pub by: &'a str,
    /// `ESMTP`, `ESMTPS`, `LMTP`, `local`.
    pub protocol: &'a str,
    /// What makes this delivery what it is. The same for each try, so that a retry delivers nothing twice.
    pub queue_id: &'a str,
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Rows are missing.
    #[error("rows are missing")]
    Missing(Missing),
    /// It went in circles.
    #[error("{received} Received fields, limit {HOPS}: a loop")]
    Loop {
        /// How many it has.
        received: usize,
    },
}

impl From<Missing> for DeliverError {
    fn from(missing: Missing) -> Self {
        DeliverError::Missing(missing)
    }
}

/// Delivers a message into a user's inbox: the writes to commit, none if this delivery was made before.
///
/// `Return-Path`, `Delivered-To` and `Received` go on top; below them the message is as it came.
/// # Errors
/// [`DeliverError::Missing`]: read and call again. [`DeliverError::Loop`]: refuse with 554.
pub fn deliver(
    reader: &mut Reader<'_>,
    user: &str,
    message: &[u8],
    arrival: &Arrival<'_>,
    now: u64,
) -> Result<Vec<Write>, DeliverError> {
    let headers = Headers::parse(message);
    let received = headers.all("Received").count();
    if received > HOPS {
        return Err(DeliverError::Loop { received });
    }
    let once = format!("in:{}:{}", printable(arrival.queue_id), printable(arrival.recipient));
    let id = headers.first("Message-ID").map(|f| f.text());
    let index = id.as_deref().and_then(message_id).map(index_key);
    let done = read_once(reader, user, &once);
    let indexed = index.as_deref().map(|key| read_once(reader, user, key)).transpose();
    if done?.is_some() {
        return Ok(Vec::new());
    }
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let guid =
        derived_guid("m", &[user.as_bytes(), arrival.queue_id.as_bytes(), arrival.recipient.as_bytes()]);
    let mut body = trace(arrival, now).into_bytes();
    body.extend_from_slice(message);
    let mut writes = vec![Write::Once(user.into(), once.into(), guid.clone())];
    // The first mail with a Message-ID is the one that an answer marks.
    if let (Some(key), None | Some(None)) = (index, indexed?) {
        writes.push(Write::Once(user.into(), key, guid.clone()));
    }
    writes.push(new_mail(&store, guid, Role::Inbox, Bytes::from(body), now));
    Ok(writes)
}

/// The trace fields.
// spec: RFC 5321 §4.4; threats: M2
fn trace(arrival: &Arrival<'_>, now: u64) -> String {
    let sender = if is_address(arrival.sender) { arrival.sender } else { "" };
    let recipient = if is_address(arrival.recipient) { arrival.recipient } else { "unknown" };
    let from = match (word(arrival.helo), word(arrival.peer)) {
        (helo, peer) if peer.is_empty() => format!("from {}", or_unknown(helo)),
        (helo, peer) => format!("from {} ([{peer}])", or_unknown(helo)),
    };
    format!(
        "Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n\
         Received: {from}\r\n\tby {} with {} id {}\r\n\tfor <{recipient}>; {}\r\n",
        or_unknown(word(arrival.by)),
        or_unknown(word(arrival.protocol)),
        or_unknown(word(arrival.queue_id)),
        time::to_rfc5322(now)
    )
}

fn or_unknown(word: String) -> String {
    if word.is_empty() { "unknown".into() } else { word }
}

/// One word of printable ASCII without what would end it.
fn word(text: &str) -> String {
    let good =
        |c: &char| c.is_ascii_graphic() && !matches!(c, '(' | ')' | '<' | '>' | ';' | '\\' | '"' | '[' | ']');
    text.chars().filter(good).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::store::{Found, Read, Value};
    use idmap::Guid;

    const MAIL: &[u8] = b"Message-ID: <1@a>\r\n\r\nx";

    fn arrival() -> Arrival<'static> {
        Arrival {
            sender: "ann@a.example",
            recipient: "bob@b.example",
            helo: "client.example",
            peer: "127.0.0.1",
            by: "b.example",
            protocol: "ESMTP",
            queue_id: "q1",
        }
    }

    fn run(found: &Found, message: &[u8], arrival: &Arrival<'_>) -> Result<Vec<Write>, DeliverError> {
        deliver(&mut Reader::new(found), "bob", message, arrival, 1_186_444_800)
    }

    fn nothing_yet(keys: &[&str]) -> Found {
        let mut found = Found::default();
        for key in keys {
            found.insert(Read::Once("bob".into(), (*key).into()), Value::Once(None));
        }
        found
    }

    #[test]
    fn into_the_inbox_below_trace_fields() {
        let found = nothing_yet(&["in:q1:bob@b.example", "mid:1@a"]);
        let writes = run(&found, MAIL, &arrival()).unwrap();
        assert_eq!(writes.len(), 3);
        let Write::PutItem { value, body: Some(body), expect: None, .. } = &writes[2] else {
            panic!("{writes:?}")
        };
        assert_eq!(value.parent, Some(Role::Inbox.guid()));
        let want = "Return-Path: <ann@a.example>\r\nDelivered-To: bob@b.example\r\n\
            Received: from client.example ([127.0.0.1])\r\n\tby b.example with ESMTP id q1\r\n\
            \tfor <bob@b.example>; Tue, 7 Aug 2007 00:00:00 +0000\r\nMessage-ID: <1@a>\r\n\r\nx";
        assert_eq!(String::from_utf8_lossy(body), want);
    }

    #[test]
    fn threat_l5_the_same_delivery_again_does_nothing() {
        let mut found = nothing_yet(&["mid:1@a"]);
        let made = Value::Once(Some(Guid::unvalidated("m1")));
        found.insert(Read::Once("bob".into(), "in:q1:bob@b.example".into()), made);
        assert_eq!(run(&found, MAIL, &arrival()).unwrap(), []);
        let missing = run(&Found::default(), MAIL, &arrival());
        assert_eq!(missing, Err(DeliverError::Missing(Missing)));
    }

    #[test]
    fn threat_m2_envelope_cannot_add_header_fields() {
        let mut bad = arrival();
        bad.sender = "a@b>\r\nX-Evil: 1";
        bad.helo = "x\r\nX-Evil: 2";
        bad.queue_id = "q\r\nX-Evil: 3";
        let text = trace(&bad, 0);
        assert_eq!(Headers::parse(text.as_bytes()).fields.len(), 3);
        assert!(text.starts_with("Return-Path: <>\r\n"));
    }

    #[test]
    fn threat_m6_a_loop_ends() {
        let message = "Received: x\r\n".repeat(101);
        let error = run(&Found::default(), message.as_bytes(), &arrival());
        assert_eq!(error, Err(DeliverError::Loop { received: 101 }));
    }
}
