//! The keys that seal the items of devices: kept sealed themselves.

use super::{Fault, SqliteStore};
use crate::mailbox::vault::Vault;
use mailsync_proto::sync::seal::ItemKey;
use mailsync_proto::sync::store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

const PREFIX: &str = "item-key:";

fn row(user: &str, device: &str) -> String {
    format!("{PREFIX}{user}\n{device}")
}

/// What a sealed key is bound to.
fn place(user: &str, device: &str) -> String {
    format!("item key of {device} of {user}")
}

impl SqliteStore {
    fn vault(&self) -> Result<Vault, String> {
        Vault::open(self.path.parent().unwrap_or(Path::new(".")))
    }

    pub(super) fn opened(&self, user: &str, device: &str, sealed: &[u8]) -> Result<ItemKey, StoreError> {
        let place = place(user, device);
        let opened = self.vault().and_then(|vault| vault.open_sealed(&place, sealed));
        let key = ItemKey::parse(opened.map_err(StoreError::Failed)?.expose());
        key.ok_or_else(|| StoreError::Failed(format!("the {place} is no key")))
    }

    /// Gives a device a key that seals its items, or takes it away. False when there is no such user, or no key.
    ///
    /// # Errors
    /// Of the key file or of the database, in words.
    pub fn set_item_key(&self, user: &str, device: &str, key: Option<&ItemKey>) -> Result<bool, StoreError> {
        let sealed = key.map(|key| self.vault()?.seal(&place(user, device), &key.to_text())).transpose();
        let sealed = sealed.map_err(StoreError::Failed)?;
        self.write(|conn| {
            let Some(sealed) = sealed else {
                return Ok(conn.execute("DELETE FROM secret WHERE name = ?1", [row(user, device)])? > 0);
            };
            let sql = "INSERT OR REPLACE INTO secret (name, value)
                       SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM user WHERE name = ?3)";
            Ok(conn.execute(sql, params![row(user, device), sealed, user])? > 0)
        })
    }

    /// Seals every key anew, with the newest key of the key file. How many there are.
    ///
    /// # Errors
    /// As [`SqliteStore::set_item_key`].
    pub fn reseal_item_keys(&self) -> Result<usize, StoreError> {
        let vault = self.vault().map_err(StoreError::Failed)?;
        self.write(|conn| {
            let mut names = conn.prepare("SELECT name, value FROM secret WHERE substr(name, 1, ?1) = ?2")?;
            let rows: Vec<(String, Vec<u8>)> = names
                .query_map(params![PREFIX.len(), PREFIX], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (name, sealed) in &rows {
                let Some((user, device)) = name.strip_prefix(PREFIX).and_then(|name| name.split_once('\n'))
                else {
                    continue;
                };
                let place = place(user, device);
                let anew = vault.open_sealed(&place, sealed).and_then(|key| vault.seal(&place, key.expose()));
                let anew = anew.map_err(|why| Fault::Store(StoreError::Failed(why)))?;
                conn.execute("UPDATE secret SET value = ?2 WHERE name = ?1", params![name, anew])?;
            }
            Ok(rows.len())
        })
    }
}

/// The key of a device, sealed.
pub(super) fn sealed(conn: &Connection, user: &str, device: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT value FROM secret WHERE name = ?1")?
        .query_row([row(user, device)], |row| row.get(0))
        .optional()
}

/// Drops the keys of a user's devices.
pub(super) fn forget(conn: &Connection, user: &str) -> rusqlite::Result<()> {
    let start = row(user, "");
    conn.execute("DELETE FROM secret WHERE substr(name, 1, ?1) = ?2", params![start.chars().count(), start])?;
    Ok(())
}
