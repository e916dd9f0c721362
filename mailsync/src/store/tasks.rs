//! What the task engine of a server keeps and reads: its states, clients of people, entries of their datastores.

use super::{Fault, SqliteStore, now, uint, write};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::sync::store::{Commit, MatchKey, StoreError};
use mailsync_proto::tasks::desk::{StateChange, StateKey, StateKind};
use mailsync_proto::tasks::{group, reminder};
use rusqlite::{Connection, params};
use timesync::task::UserId;

/// A datastore that the engine follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Followed {
    /// Whose.
    pub user: String,
    /// Which.
    pub datastore: String,
}

/// A client that shows tasks: it syncs `./reminders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskClientRow {
    /// Whose.
    pub user: String,
    /// Which.
    pub device: String,
    /// How often it has logged in.
    pub logins: u64,
    /// How far it has come in `./reminders`.
    pub synced: u64,
}

/// An entry as it is now; without a body it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskItem {
    /// Which.
    pub guid: Guid,
    /// Its body.
    pub body: Option<Bytes>,
}

impl SqliteStore {
    /// All that the engine keeps.
    pub fn task_states(&self) -> Result<Vec<(StateKey, Vec<u8>)>, StoreError> {
        let mut states = Vec::new();
        for kind in StateKind::ALL {
            for row in self.time_values(kind.name(), None)? {
                let owner = UserId::new(&row.user).map_err(|error| StoreError::Failed(error.to_string()))?;
                states.push((StateKey { kind, owner, name: row.name.into() }, row.value));
            }
        }
        Ok(states)
    }

    /// Makes what the engine decided durable, states and items in one step.
    pub fn commit_tasks(&self, states: &[StateChange], commit: &Commit) -> Result<(), StoreError> {
        self.write(|conn| {
            write::commit(conn, commit, self.bodies, now())?;
            states.iter().try_for_each(|state| put(conn, state))
        })
    }

    /// The revisions of all datastores that the engine follows.
    pub fn task_heads(&self) -> Result<Vec<(Followed, u64)>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT user, name, rev FROM datastore WHERE name IN ('tasks', 'calendar', ?1, ?2) ORDER BY user, name",
            )?;
            let rows = statement.query_map([reminder::DATASTORE, group::DATASTORE], |row| {
                Ok((Followed { user: row.get(0)?, datastore: row.get(1)? }, uint(row.get(2)?)))
            })?;
            rows.collect()
        })
    }

    /// The entries of a datastore that changed after a revision.
    pub fn task_items(&self, of: &Followed, since: u64) -> Result<Vec<TaskItem>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT item.guid, body.data FROM datastore JOIN item ON item.store = datastore.id
                 LEFT JOIN body ON body.store = item.store AND body.guid = item.guid AND item.deleted = 0
                 WHERE datastore.user = ?1 AND datastore.name = ?2 AND item.rev > ?3 ORDER BY item.rev, item.guid",
            )?;
            let since = i64::try_from(since).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![of.user, of.datastore, since], |row| {
                let body: Option<Vec<u8>> = row.get(1)?;
                Ok(TaskItem {
                    guid: Guid::unvalidated(row.get::<_, Box<str>>(0)?),
                    body: body.map(Bytes::from),
                })
            })?;
            rows.collect()
        })
    }

    /// All clients that show tasks and may log in.
    pub fn task_clients(&self) -> Result<Vec<TaskClientRow>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT datastore.user, peer.device, device.logins, coalesce(peer.committed_rev, 0) FROM datastore
                 JOIN peer ON peer.store = datastore.id AND peer.generation IS NOT NULL
                 JOIN device ON device.user = datastore.user AND device.id = peer.device AND device.revoked = 0
                 WHERE datastore.name = ?1 ORDER BY datastore.user, peer.device",
            )?;
            let rows = statement.query_map([reminder::DATASTORE], |row| {
                Ok(TaskClientRow {
                    user: row.get(0)?,
                    device: row.get(1)?,
                    logins: uint(row.get(2)?),
                    synced: uint(row.get(3)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Items of a datastore with this match key.
    pub fn items_with_key(
        &self,
        user: &str,
        datastore: &str,
        key: MatchKey,
    ) -> Result<Vec<Guid>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT match_key.guid FROM datastore JOIN match_key ON match_key.store = datastore.id
                 WHERE datastore.user = ?1 AND datastore.name = ?2 AND match_key.key = ?3 ORDER BY match_key.guid",
            )?;
            let rows = statement.query_map(params![user, datastore, key.0], |row| {
                Ok(Guid::unvalidated(row.get::<_, Box<str>>(0)?))
            })?;
            rows.collect()
        })
    }
}

fn put(conn: &Connection, state: &StateChange) -> Result<(), Fault> {
    let StateKey { kind, owner, name } = &state.key;
    let (kind, user) = (kind.name(), owner.as_str());
    match &state.value {
        Some(value) => conn
            .prepare_cached(
                "INSERT INTO time_value (kind, user, name, version, value) VALUES (?1, ?2, ?3, 1, ?4)
                 ON CONFLICT (kind, user, name) DO UPDATE SET version = version + 1, value = ?4",
            )?
            .execute(params![kind, user, name, value])?,
        None => conn
            .prepare_cached("DELETE FROM time_value WHERE kind = ?1 AND user = ?2 AND name = ?3")?
            .execute(params![kind, user, name])?,
    };
    Ok(())
}
