//! Other names by which a user logs in: the phone's IMEI or number.
//!
//! They stand among the addresses of the user, so that each is one person's; their verifiers, which are made with the name
//! that is typed in, stand among the secrets.
// mission: T9

use super::SqliteStore;
use mailsync_proto::sync::store::StoreError;
use rusqlite::{OptionalExtension, params};

/// Whose name it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The user.
    pub user: String,
    /// The verifier that is made with this name.
    pub verifier: String,
}

impl SqliteStore {
    /// For whom a name stands, if for anybody.
    pub fn alias(&self, name: &str) -> Result<Option<Alias>, StoreError> {
        self.query(|conn| {
            conn.prepare_cached(
                "SELECT address.user, CAST(secret.value AS TEXT) FROM secret
                 JOIN address ON address.address = ?1 WHERE secret.name = 'alias:' || ?1",
            )?
            .query_row([name], |row| Ok(Alias { user: row.get(0)?, verifier: row.get(1)? }))
            .optional()
        })
    }

    /// The other names of a user.
    pub fn aliases(&self, user: &str) -> Result<Vec<String>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT address FROM address JOIN secret ON secret.name = 'alias:' || address WHERE user = ?1
                 ORDER BY address",
            )?;
            let rows = statement.query_map([user], |row| row.get(0))?;
            rows.collect()
        })
    }

    /// Lets a name stand for a user, or changes its verifier. False if it is another's, or there is no such user.
    pub fn add_alias(&self, user: &str, alias: &str, verifier: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            let mine: bool = conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1) AND NOT EXISTS (SELECT 1 FROM user WHERE name = ?2)
                 AND NOT EXISTS (SELECT 1 FROM address WHERE address = ?2 AND user <> ?1)",
                params![user, alias],
                |row| row.get(0),
            )?;
            if mine {
                conn.execute(
                    "INSERT OR IGNORE INTO address (address, user) VALUES (?1, ?2)",
                    params![alias, user],
                )?;
                conn.execute(
                    "INSERT OR REPLACE INTO secret (name, value) VALUES ('alias:' || ?1, ?2)",
                    params![alias, verifier.as_bytes()],
                )?;
            }
            Ok(mine)
        })
    }

    /// A name stands for a user no more. False if it did not.
    pub fn remove_alias(&self, user: &str, alias: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            let gone = conn.execute(
                "DELETE FROM address WHERE address = ?1 AND user = ?2
                 AND EXISTS (SELECT 1 FROM secret WHERE name = 'alias:' || ?1)",
                params![alias, user],
            )?;
            if gone > 0 {
                conn.execute("DELETE FROM secret WHERE name = 'alias:' || ?1", [alias])?;
            }
            Ok(gone > 0)
        })
    }
}
