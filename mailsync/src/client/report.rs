//! What came of a sync, for people and for scripts.

use mailsync_proto::sync::client::Plan;
use mailsync_proto::sync::event::{Counts, Event, Mode};
use serde::Serialize;
use syncml::StatusCode;

/// The outcome of a sync.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `ok`, `partial` or `failed`.
    pub result: Outcome,
    /// One for each datastore that was asked for.
    pub stores: Vec<StoreReport>,
    /// Requests and answers, pairs.
    pub messages: u32,
    /// Octets of all answers.
    pub bytes_in: u64,
    /// Octets of all requests.
    pub bytes_out: u64,
    /// What the server said, in the session, that happened: event objects.
    #[serde(skip)]
    pub noticed: Vec<bytes::Bytes>,
    /// The login was refused with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<u16>,
}

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every datastore is synced.
    Ok,
    /// Some are.
    Partial,
    /// None is.
    Failed,
}

/// The outcome of one datastore.
#[derive(Clone, Debug, Serialize)]
pub struct StoreReport {
    /// Its name.
    pub store: String,
    /// `two-way` or `slow`.
    pub mode: &'static str,
    /// 200, or why it is not synced.
    pub status: u16,
    /// Why everything was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_slow: Option<&'static str>,
    /// What we took.
    pub received: Items,
    /// What the server took.
    pub sent: Items,
    /// Items that a side refused or that were not offered.
    pub refused: u32,
    /// The statuses of what the server refused.
    #[serde(skip)]
    pub codes: Vec<u16>,
    /// Items that both sides had changed.
    pub conflicts: u32,
    /// Changes that a dry run found to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_send: Option<u32>,
}

/// Items by what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// New.
    pub added: u32,
    /// Changed.
    pub replaced: u32,
    /// Deleted.
    pub deleted: u32,
}

impl Items {
    fn add(&mut self, more: Counts) {
        self.added += more.added;
        self.replaced += more.replaced;
        self.deleted += more.deleted;
    }
}

impl StoreReport {
    /// A datastore of which nothing is known yet.
    pub fn new(store: &str) -> Self {
        StoreReport {
            store: store.into(),
            mode: Mode::TwoWay.name(),
            status: StatusCode::SYNC_FAILED.0,
            why_slow: None,
            received: Items::default(),
            sent: Items::default(),
            refused: 0,
            codes: Vec::new(),
            conflicts: 0,
            would_send: None,
        }
    }
}

impl Report {
    /// A report on these datastores.
    pub fn new(stores: Vec<StoreReport>) -> Self {
        Report {
            result: Outcome::Failed,
            stores,
            messages: 0,
            bytes_in: 0,
            bytes_out: 0,
            noticed: Vec::new(),
            login: None,
        }
    }

    /// Counts a message and its answer.
    pub fn message(&mut self, request: usize, answer: usize) {
        self.messages += 1;
        self.bytes_out += request as u64;
        self.bytes_in += answer as u64;
    }

    /// A dry run found what would be sent to a datastore of the server.
    pub fn would_send(&mut self, plans: &[Plan], remote: &str, changes: u32) {
        let Some(plan) = plans.iter().find(|plan| *plan.remote == *remote) else { return };
        if let Some(store) = self.stores.iter_mut().find(|store| store.store == *plan.name) {
            store.status = StatusCode::OK.0;
            store.would_send = Some(changes);
        }
    }

    /// Takes an event of the session.
    pub fn take(&mut self, event: &Event) {
        if let Event::Noticed { data, .. } = event {
            self.noticed.push(data.clone());
        }
        if let Event::LoginRefused { code, .. } = event {
            self.login = Some(*code);
            self.stores.iter_mut().for_each(|store| store.status = *code);
        }
        let Some(store) = store_of(event).and_then(|name| self.stores.iter_mut().find(|s| s.store == name))
        else {
            return;
        };
        match event {
            Event::Alerted { mode: m, why_slow, .. } => {
                store.mode = m.name();
                store.why_slow = why_slow.map(|why| why.text());
            }
            Event::StoreRefused { code, .. } => store.status = *code,
            Event::Completed { received, sent, .. } => {
                store.status = StatusCode::OK.0;
                // A session may go on with a datastore that was done before.
                store.received.add(*received);
                store.sent.add(*sent);
            }
            Event::Refused { code, .. } => {
                store.refused += 1;
                store.codes.push(*code);
            }
            Event::Skipped { .. } => store.refused += 1,
            Event::Received { code, .. } if StatusCode(*code).is_error() => store.refused += 1,
            Event::Conflict { .. } => store.conflicts += 1,
            _ => {}
        }
    }

    /// Says how it ended as a whole.
    pub fn close(&mut self) {
        let synced = self.stores.iter().filter(|store| store.status == StatusCode::OK.0).count();
        self.result = match synced {
            all if all == self.stores.len() => Outcome::Ok,
            0 => Outcome::Failed,
            _ => Outcome::Partial,
        };
    }

    /// For people: a line for each datastore and one for the wire.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for store in &self.stores {
            let (r, s) = (&store.received, &store.sent);
            if let Some(changes) = store.would_send {
                let why = store.why_slow.map(|why| format!(", because {why}")).unwrap_or_default();
                text += &format!("{}: {} sync{why}; would send {changes} changes\n", store.store, store.mode);
                continue;
            }
            text += &match store.status {
                200 => format!(
                    "{}: {}; received {} new, {} changed, {} deleted; sent {} new, {} changed, {} deleted{}{}\n",
                    store.store,
                    store.mode,
                    r.added,
                    r.replaced,
                    r.deleted,
                    s.added,
                    s.replaced,
                    s.deleted,
                    some(store.refused, "refused"),
                    some(store.conflicts, "in conflict"),
                ),
                status => format!("{}: not synced: {}\n", store.store, StatusCode(status)),
            };
        }
        text + &format!("{} messages, {} octets in, {} out", self.messages, self.bytes_in, self.bytes_out)
    }
}

fn some(count: u32, what: &str) -> String {
    if count == 0 { String::new() } else { format!("; {count} {what}") }
}

fn store_of(event: &Event) -> Option<&str> {
    match event {
        Event::Alerted { store, .. }
        | Event::StoreRefused { store, .. }
        | Event::Received { store, .. }
        | Event::Sent { store, .. }
        | Event::Refused { store, .. }
        | Event::Skipped { store, .. }
        | Event::Conflict { store, .. }
        | Event::Announced { store, .. }
        | Event::Completed { store, .. } => Some(store),
        _ => None,
    }
}
