//! Who may have to be told of something: registered devices, and how far their users' mail has come.

use super::{SqliteStore, uint};
use bytes::Bytes;
use mailsync_proto::mail::device::DATASTORE as DEVICES;
use mailsync_proto::mail::mailbox::DATASTORE as MAIL;
use mailsync_proto::sync::store::StoreError;

/// The datastore, of no session, that keeps what is under way to each device.
pub const NOTICES: &str = "notices";

/// A user with registered devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Who.
    pub user: String,
    /// The revision of the user's mail.
    pub mail_rev: u64,
    /// The revision of the user's devices.
    pub devices_rev: u64,
    /// The objects of the devices, each with its revision.
    pub devices: Vec<(u64, Bytes)>,
}

impl SqliteStore {
    /// All users with registered devices.
    pub fn registered(&self) -> Result<Vec<Registered>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT store.user, store.rev, coalesce(mail.rev, 0), item.rev, body.data
                 FROM datastore AS store
                 JOIN item ON item.store = store.id AND item.deleted = 0
                 JOIN body ON body.store = item.store AND body.guid = item.guid
                 LEFT JOIN datastore AS mail ON mail.user = store.user AND mail.name = ?2
                 WHERE store.name = ?1 ORDER BY store.user, item.rev",
            )?;
            let mut found: Vec<Registered> = Vec::new();
            let mut rows = statement.query([DEVICES, MAIL])?;
            while let Some(row) = rows.next()? {
                let user: String = row.get(0)?;
                let object = (uint(row.get(3)?), Bytes::from(row.get::<_, Vec<u8>>(4)?));
                match found.last_mut().filter(|last| last.user == user) {
                    Some(last) => last.devices.push(object),
                    None => found.push(Registered {
                        user,
                        devices_rev: uint(row.get(1)?),
                        mail_rev: uint(row.get(2)?),
                        devices: vec![object],
                    }),
                }
            }
            Ok(found)
        })
    }
}
