//! What the host does beside the engines: users, devices, jobs, old sessions.

use super::{SqliteStore, now, uint, write};
use bytes::Bytes;
use mailsync_proto::sync::store::{Commit, StoreError, Write};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// The login name.
    pub name: String,
    /// Addresses whose mail is delivered to the user.
    pub addresses: Vec<String>,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// Whose.
    pub user: String,
    /// Its id.
    pub device: String,
    /// It has a password of its own.
    pub own_password: bool,
    /// It may not log in.
    pub revoked: bool,
    /// It has logged in and described itself.
    pub described: bool,
}

/// A job for a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Which worker's.
    pub queue: String,
    /// Its id in the queue.
    pub id: String,
    /// What to do.
    #[serde(skip)]
    pub content: Bytes,
    /// Octets of the content.
    pub size: u64,
    /// When it came, seconds since 1970.
    pub added: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// When to try next, seconds since 1970; 0 is at once.
    pub due: i64,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// A session that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionInfo {
    /// The start of its token: enough to name it, not enough to speak for it.
    pub id: String,
    /// How many messages it has answered.
    pub messages: u64,
    /// When it began, seconds since 1970.
    pub created: i64,
    /// When it was last spoken to, seconds since 1970.
    pub touched: i64,
    /// Octets of its value.
    pub value_size: u64,
    /// Octets of its last answer.
    pub answer_size: u64,
    /// Octets of its half-transferred objects.
    pub spooled: u64,
}

impl SqliteStore {
    /// Adds a user with the addresses of their mail. False if the name, or one of the addresses, is taken.
    ///
    /// `first` is what their datastores hold from the start.
    pub fn add_user(
        &self,
        name: &str,
        verifier: &str,
        addresses: &[String],
        first: &[Write],
    ) -> Result<bool, StoreError> {
        self.write(|conn| {
            let taken =
                conn.query_row("SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1)", [name], |row| {
                    row.get(0)
                })?;
            let mut owner = conn.prepare("SELECT EXISTS (SELECT 1 FROM address WHERE address = ?1)")?;
            let mut any = taken;
            for address in addresses {
                any |= owner.query_row([address], |row| row.get::<_, bool>(0))?;
            }
            if any {
                return Ok(false);
            }
            conn.execute(
                "INSERT INTO user (name, verifier, added) VALUES (?1, ?2, ?3)",
                params![name, verifier, now()],
            )?;
            let first = Commit { session: None, writes: first.to_vec() };
            write::commit(conn, &first, self.bodies, now())?;
            for address in addresses {
                conn.execute(
                    "INSERT OR IGNORE INTO address (address, user) VALUES (?1, ?2)",
                    [address.as_str(), name],
                )?;
            }
            Ok(true)
        })
    }

    /// Keeps a password itself, beside its verifier: for the digest of SyncML 1.0, on a test bench.
    pub fn keep_password(&self, name: &str, password: &str) -> Result<(), StoreError> {
        self.write(|conn| {
            let sql = "INSERT OR REPLACE INTO secret (name, value) VALUES ('password:' || ?1, ?2)";
            conn.execute(sql, params![name, password.as_bytes()])?;
            Ok(())
        })
    }

    /// Changes a user's verifier. False if there is no such user.
    pub fn set_verifier(&self, name: &str, verifier: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            // One that was kept is another password's.
            conn.execute("DELETE FROM secret WHERE name = 'password:' || ?1", [name])?;
            Ok(conn.execute("UPDATE user SET verifier = ?2 WHERE name = ?1", [name, verifier])? > 0)
        })
    }

    /// Whether this is the verifier of this user; compared in any case, so that time does not tell who is a user.
    pub fn is_verifier(&self, name: &str, verifier: &str) -> Result<bool, StoreError> {
        let stored: Option<String> = self.query(|conn| {
            let sql = "SELECT verifier FROM user WHERE name = ?1";
            conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
        })?;
        let (known, stored) = (stored.is_some(), stored.unwrap_or_default());
        let differ = stored.bytes().zip(verifier.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
        Ok(known && stored.len() == verifier.len() && differ == 0)
    }

    /// Removes a user and everything that is theirs. False if there is no such user.
    pub fn remove_user(&self, name: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            conn.execute_batch(super::time::TABLE)?;
            let mut accounts = conn.prepare("SELECT id FROM account WHERE user = ?1")?;
            let accounts: Vec<i64> =
                accounts.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for account in accounts {
                super::mailbox::forget(conn, account)?;
            }
            let stores = "(SELECT id FROM datastore WHERE user = ?1)";
            for sql in [
                format!("DELETE FROM map WHERE peer IN (SELECT id FROM peer WHERE store IN {stores})"),
                format!("DELETE FROM peer WHERE store IN {stores}"),
                format!("DELETE FROM body WHERE store IN {stores}"),
                format!("DELETE FROM match_key WHERE store IN {stores}"),
                format!("DELETE FROM item WHERE store IN {stores}"),
                format!("DELETE FROM kept WHERE store IN {stores}"),
                "DELETE FROM datastore WHERE user = ?1".into(),
                "DELETE FROM once WHERE user = ?1".into(),
                "DELETE FROM time_value WHERE user = ?1".into(),
                "DELETE FROM device WHERE user = ?1".into(),
                "DELETE FROM address WHERE user = ?1".into(),
                "DELETE FROM secret WHERE name = 'password:' || ?1".into(),
            ] {
                conn.execute(&sql, [name])?;
            }
            super::item_key::forget(conn, name)?;
            Ok(conn.execute("DELETE FROM user WHERE name = ?1", [name])? > 0)
        })
    }

    /// Whether the database can be read.
    pub fn is_well(&self) -> Result<(), StoreError> {
        self.query(|conn| conn.query_row("SELECT count(*) FROM (SELECT 1 FROM user LIMIT 1)", [], |_| Ok(())))
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserInfo>, StoreError> {
        self.query(|conn| {
            let mut addresses =
                conn.prepare("SELECT address FROM address WHERE user = ?1 ORDER BY address")?;
            let mut names = conn.prepare("SELECT name FROM user ORDER BY name")?;
            let mut users = Vec::new();
            for name in names.query_map([], |row| row.get::<_, String>(0))? {
                let name = name?;
                let addresses = addresses.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
                users.push(UserInfo { name, addresses });
            }
            Ok(users)
        })
    }

    /// Whose mail an address is; letter case does not count.
    pub fn user_of(&self, address: &str) -> Result<Option<String>, StoreError> {
        self.query(|conn| {
            conn.prepare_cached("SELECT user FROM address WHERE address = ?1")?
                .query_row([address], |row| row.get(0))
                .optional()
        })
    }

    /// Adds a device with a password of its own, or changes it; lifts a revocation. False if there is no such user.
    pub fn set_device(&self, user: &str, device: &str, verifier: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            let made = conn.execute(
                "INSERT INTO device (user, id, verifier) SELECT name, ?2, ?3 FROM user WHERE name = ?1
                 ON CONFLICT (user, id) DO UPDATE SET verifier = ?3, revoked = 0",
                [user, device, verifier],
            )?;
            Ok(made > 0)
        })
    }

    /// Lets a device log in no more, even one never seen. False if there is no such user.
    pub fn revoke_device(&self, user: &str, device: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            let made = conn.execute(
                "INSERT INTO device (user, id, revoked) SELECT name, ?2, 1 FROM user WHERE name = ?1
                 ON CONFLICT (user, id) DO UPDATE SET revoked = 1",
                [user, device],
            )?;
            Ok(made > 0)
        })
    }

    /// The devices of a user or of all.
    pub fn devices(&self, user: Option<&str>) -> Result<Vec<DeviceInfo>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare(
                "SELECT user, id, verifier IS NOT NULL, revoked, devinf IS NOT NULL FROM device
                 WHERE user = coalesce(?1, user) ORDER BY user, id",
            )?;
            let devices = statement.query_map([user], |row| {
                Ok(DeviceInfo {
                    user: row.get(0)?,
                    device: row.get(1)?,
                    own_password: row.get(2)?,
                    revoked: row.get(3)?,
                    described: row.get(4)?,
                })
            })?;
            devices.collect()
        })
    }

    /// The jobs of a queue or of all, oldest first.
    pub fn jobs(&self, queue: Option<&str>) -> Result<Vec<Job>, StoreError> {
        self.jobs_due(queue, i64::MAX, u32::MAX)
    }

    /// Jobs that are due, oldest first.
    pub fn jobs_due(&self, queue: Option<&str>, now: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT queue, id, content, added, attempts, due, error FROM queue
                 WHERE queue = coalesce(?1, queue) AND due <= ?2 ORDER BY due, added, id LIMIT ?3",
            )?;
            let jobs = statement.query_map(params![queue, now, limit], |row| {
                let content = Bytes::from(row.get::<_, Vec<u8>>(2)?);
                Ok(Job {
                    queue: row.get(0)?,
                    id: row.get(1)?,
                    size: content.len() as u64,
                    content,
                    added: row.get(3)?,
                    attempts: row.get(4)?,
                    due: row.get(5)?,
                    error: row.get(6)?,
                })
            })?;
            jobs.collect()
        })
    }

    /// A job was tried in vain: it waits until `due`. False if there is no such job.
    pub fn postpone(&self, queue: &str, id: &str, due: i64, error: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            let sql =
                "UPDATE queue SET attempts = attempts + 1, due = ?3, error = ?4 WHERE queue = ?1 AND id = ?2";
            Ok(conn.execute(sql, params![queue, id, due, error])? > 0)
        })
    }

    /// A job has another content now. False if there is no such job.
    pub fn change_job(&self, queue: &str, id: &str, content: &[u8]) -> Result<bool, StoreError> {
        self.write(|conn| {
            let sql = "UPDATE queue SET content = ?3 WHERE queue = ?1 AND id = ?2";
            Ok(conn.execute(sql, params![queue, id, content])? > 0)
        })
    }

    /// A job is due at once. False if there is no such job.
    pub fn retry(&self, queue: &str, id: &str) -> Result<bool, StoreError> {
        self.write(|conn| {
            Ok(conn.execute("UPDATE queue SET due = 0 WHERE queue = ?1 AND id = ?2", [queue, id])? > 0)
        })
    }

    /// A job is given up. False if there is no such job.
    pub fn drop_job(&self, queue: &str, id: &str) -> Result<bool, StoreError> {
        self.write(
            |conn| Ok(conn.execute("DELETE FROM queue WHERE queue = ?1 AND id = ?2", [queue, id])? > 0),
        )
    }

    /// The stored sessions, last spoken to first.
    pub fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare(
                "SELECT substr(token, 1, 8), version, created, touched, length(value), length(answer),
                   (SELECT coalesce(sum(length(data)), 0) FROM spool WHERE spool.token = session.token)
                 FROM session ORDER BY touched DESC, token",
            )?;
            let sessions = statement.query_map([], |row| {
                Ok(SessionInfo {
                    id: row.get(0)?,
                    messages: uint(row.get(1)?),
                    created: row.get(2)?,
                    touched: row.get(3)?,
                    value_size: uint(row.get(4)?),
                    answer_size: uint(row.get(5)?),
                    spooled: uint(row.get(6)?),
                })
            })?;
            sessions.collect()
        })
    }

    /// Drops sessions that nobody spoke to for `idle` seconds, with what they spooled; says how many. What was set
    /// aside until now goes, too.
    pub fn drop_idle_sessions(&self, idle: u32) -> Result<usize, StoreError> {
        self.write(|conn| {
            conn.execute("DELETE FROM kept WHERE until < ?1", [now()])?;
            let before = now().saturating_sub(i64::from(idle));
            conn.execute(
                "DELETE FROM spool WHERE token IN (SELECT token FROM session WHERE touched < ?1)",
                [before],
            )?;
            Ok(conn.execute("DELETE FROM session WHERE touched < ?1", [before])?)
        })
    }

    /// A secret of this name: the one stored, else `fresh`, which then is the one.
    pub fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.write(|conn| {
            conn.execute("INSERT OR IGNORE INTO secret (name, value) VALUES (?1, ?2)", params![name, fresh])?;
            Ok(conn.query_row("SELECT value FROM secret WHERE name = ?1", [name], |row| row.get(0))?)
        })
    }

    /// SQLite's own check of the file: nothing, or what is wrong.
    pub fn integrity(&self) -> Result<Vec<String>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare("PRAGMA integrity_check(20)")?;
            let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").collect())
        })
    }
}
