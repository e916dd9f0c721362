//! The server's side of device management: records in the store, turns between them and the network.

use super::Reference;
use crate::store::{SqliteStore, TimeKey, TimeWrite};
use crate::turns::{self, Failure};
use bytes::Bytes;
use mailsync_proto::dm::server::{At, Config, Event, Inbound, Route, TurnError, turn};
use mailsync_proto::dm::{Record, RecordRefusal};
use mailsync_proto::sync::store::{Read, Store, StoreError, Value};
use syncml::session::auth::Scheme;
use syncml::{DecodeError, Encoding, Limits, Quirks};
use timesync::clock::ClockConfig;
use timesync::zones::{ZoneName, Zones};

/// The kind of a terminal's record.
const KIND: &str = "terminal";
/// Tries when a record changes under a turn.
const RUNS: usize = 8;

/// Device management of a server.
#[derive(Debug)]
pub struct Manager {
    config: Config,
}

/// A request with what must be known of its way here.
#[derive(Debug)]
pub struct Request<'a> {
    /// The spelling.
    pub encoding: Encoding,
    /// The message.
    pub body: &'a Bytes,
    /// The token of its URL.
    pub token: Option<&'a str>,
    /// Our public URL.
    pub url: &'a str,
    /// Whether a password may come this way.
    pub basic_allowed: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The message cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It does not fit into its session.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The store cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Record(#[from] RecordRefusal),
    /// The system's randomness.
    #[error(transparent)]
    System(#[from] Failure),
}

impl Manager {
    /// The manager of a server whose local time is that of `zone`.
    #[must_use]
    pub fn new(nonce_key: [u8; 32], scheme: Scheme, zone: ZoneName, max_msg_size: u32) -> Self {
        let config = Config {
            nonce_key,
            scheme,
            zone,
            zones: Zones::bundled(),
            clock: ClockConfig::default(),
            max_msg_size,
            limits: Limits::default(),
            quirks: Quirks::default(),
        };
        Manager { config }
    }

    /// Octets of the largest message that is looked at.
    #[must_use]
    pub fn largest_message(&self) -> usize {
        self.config.limits.message_bytes
    }

    /// Answers one message; what it did is stored before.
    ///
    /// # Errors
    /// [`ManageError`]: nothing was stored.
    pub fn answer(
        &self,
        store: &SqliteStore,
        reference: &Reference,
        request: &Request<'_>,
    ) -> Result<(Bytes, Vec<Event>), ManageError> {
        let inbound = Inbound::decode(&self.config, request.encoding, request.body)?;
        // Its proof is made with the name that it wrote; all rows are the user's.
        // mission: T9
        let alias = store.alias(inbound.user())?;
        let user = alias.as_ref().map_or_else(|| inbound.user().to_owned(), |alias| alias.user.clone());
        let device = inbound.device().to_owned();
        let read = Read::Login { user: user.as_str().into(), device: device.as_str().into() };
        for _ in 0..RUNS {
            let found = store.read(std::slice::from_ref(&read))?;
            let login = match found.get(&read) {
                Some(Value::Login(Some(login))) if !login.revoked => {
                    Some(alias.as_ref().map_or(&*login.verifier, |alias| &*alias.verifier))
                }
                _ => None,
            };
            let (record, version) = load(store, &user, &device)?;
            let at = At { now: reference.reading(), entropy: turns::moment()?.entropy };
            let route = Route {
                token: request.token,
                url: request.url,
                basic_allowed: request.basic_allowed,
                verifier: login,
            };
            let done = turn(&self.config, at, &route, &inbound, &record)?;
            match done.record.map(|record| save(store, &user, &device, &record, version)) {
                None | Some(Ok(())) => return Ok((done.answer, done.events)),
                Some(Err(ManageError::Store(StoreError::Stale(_)))) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Err(StoreError::Stale("terminal".into()).into())
    }
}

fn key(user: &str, device: &str) -> TimeKey {
    TimeKey { kind: KIND, user: user.to_owned(), name: device.to_owned() }
}

/// The record of a terminal, and its version; a new one when there is none.
pub(super) fn load(store: &SqliteStore, user: &str, device: &str) -> Result<(Record, u64), ManageError> {
    match store.time_value(&key(user, device))? {
        Some(row) => Ok((Record::from_bytes(&row.value)?, row.version)),
        None => Ok((Record::default(), 0)),
    }
}

/// Stores a record that was decided on at this version.
pub(super) fn save(
    store: &SqliteStore,
    user: &str,
    device: &str,
    record: &Record,
    version: u64,
) -> Result<(), ManageError> {
    let value = Some(record.to_bytes()?.to_vec());
    Ok(store.put_time_values(&[TimeWrite { key: key(user, device), expect: Some(version), value }])?)
}

/// All records: user, device, record.
pub(super) fn all(
    store: &SqliteStore,
    user: Option<&str>,
) -> Result<Vec<(String, String, Record)>, ManageError> {
    let rows = store.time_values(KIND, user)?;
    rows.into_iter().map(|row| Ok((row.user, row.name, Record::from_bytes(&row.value)?))).collect()
}
