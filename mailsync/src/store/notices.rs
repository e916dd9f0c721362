//! Who may have to be told of something: registered devices, and how far their users' mail has come.

use super::{SqliteStore, uint};
use bytes::Bytes;
use mailsync_proto::mail::device::DATASTORE as DEVICES;
use mailsync_proto::mail::mailbox::DATASTORE as MAIL;
use mailsync_proto::mail::policy::DATASTORE as POLICY;
use mailsync_proto::sync::store::StoreError;

/// A user with devices that are registered, and how far that and the user's mail have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Who.
    pub user: String,
    /// The revision of the user's mail.
    pub mail_rev: u64,
    /// The revision of the user's devices.
    pub devices_rev: u64,
    /// The revision of the user's policy.
    pub policy_rev: u64,
}

impl SqliteStore {
    /// All users with registered devices.
    pub fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT store.user, coalesce(mail.rev, 0), store.rev, coalesce(policy.rev, 0) FROM datastore AS store
                 LEFT JOIN datastore AS mail ON mail.user = store.user AND mail.name = ?2
                 LEFT JOIN datastore AS policy ON policy.user = store.user AND policy.name = ?3
                 WHERE store.name = ?1",
            )?;
            let rows = statement.query_map([DEVICES, MAIL, POLICY], |row| {
                Ok(Registered {
                    user: row.get(0)?,
                    mail_rev: uint(row.get(1)?),
                    devices_rev: uint(row.get(2)?),
                    policy_rev: uint(row.get(3)?),
                })
            })?;
            rows.collect()
        })
    }

    /// The objects of a user's registered devices, each with its revision.
    pub fn registered_devices(&self, user: &str) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT item.rev, body.data FROM datastore AS store
                 JOIN item ON item.store = store.id AND item.deleted = 0
                 JOIN body ON body.store = item.store AND body.guid = item.guid
                 WHERE store.user = ?1 AND store.name = ?2 ORDER BY item.rev",
            )?;
            let rows = statement.query_map([user, DEVICES], |row| {
                Ok((uint(row.get(0)?), Bytes::from(row.get::<_, Vec<u8>>(1)?)))
            })?;
            rows.collect()
        })
    }
}
