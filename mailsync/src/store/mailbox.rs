//! Accounts at mail servers, and what of the rows is on them.

use super::read::{ITEM, item_from};
use super::{Fault, SqliteStore, int, now, uint, write};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::Role;
use mailsync_proto::mail::accounts::DATASTORE as ACCOUNTS;
use mailsync_proto::mail::mailbox::DATASTORE;
use mailsync_proto::mirror::mails::RemoteId;
use mailsync_proto::mirror::{FolderLink, Key, Learned, Link, Marks};
use mailsync_proto::sync::store::{Commit, Item, StoreError, Write};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// An account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id here.
    pub id: i64,
    /// Whose.
    pub user: String,
    /// The id of its item.
    pub luid: String,
    /// The account object, without its secret.
    pub config: Bytes,
    /// Its secret, sealed.
    pub secret: Option<Vec<u8>>,
    /// Changes of rows up to this revision have been looked at.
    pub pushed_rev: u64,
    /// Why the mailbox could not be looked at last, if it could not.
    pub trouble: Option<String>,
}

/// A change of what is known of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A folder, by its item.
    Folder(FolderLink),
    /// A folder is known no more, nor are its mails.
    NoFolder(Guid),
    /// A mail, by its item.
    Mail(Link),
    /// A mail of which the server has the text that this commit gives it.
    NewText(Link),
    /// A mail is known no more.
    NoMail(Guid),
    /// Its turn to be looked at for operations.
    Queue(Guid),
    /// Changes up to this revision have been looked at.
    Pushed(u64),
}

impl From<Learned> for Note {
    fn from(learned: Learned) -> Self {
        match learned {
            Learned::Folder(folder) => Note::Folder(folder),
            Learned::NoFolder(guid) => Note::NoFolder(guid),
            Learned::Mail(link) => Note::Mail(link),
            Learned::NoMail(guid) => Note::NoMail(guid),
        }
    }
}

impl SqliteStore {
    /// The accounts of a user or of all.
    pub fn accounts(&self, user: Option<&str>) -> Result<Vec<AccountRow>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, user, luid, config, secret, pushed_rev, trouble FROM account
                 WHERE user = coalesce(?1, user) ORDER BY id",
            )?;
            let rows = statement.query_map([user], |row| {
                Ok(AccountRow {
                    id: row.get(0)?,
                    user: row.get(1)?,
                    luid: row.get(2)?,
                    config: Bytes::from(row.get::<_, Vec<u8>>(3)?),
                    secret: row.get(4)?,
                    pushed_rev: uint(row.get(5)?),
                    trouble: row.get(6)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The sum of the revisions of all users' accounts.
    pub fn accounts_rev(&self) -> Result<u64, StoreError> {
        self.query(|conn| {
            let sql = "SELECT coalesce(sum(rev), 0) FROM datastore WHERE name = ?1";
            conn.prepare_cached(sql)?.query_row([ACCOUNTS], |row| row.get(0).map(uint))
        })
    }

    /// Takes over what the items of `accounts` say: new ones, changed ones, and those that are gone, whose mails stay
    /// as rows.
    pub fn take_over_accounts(&self) -> Result<(), StoreError> {
        self.write(|conn| {
            let items = "FROM item JOIN datastore ON datastore.id = item.store AND datastore.name = ?1
                 JOIN body ON body.store = item.store AND body.guid = item.guid WHERE item.deleted = 0";
            let mut gone = conn.prepare(&format!(
                "SELECT id FROM account WHERE (user, luid) NOT IN (SELECT datastore.user, item.guid {items})"
            ))?;
            let gone: Vec<i64> = gone.query_map([ACCOUNTS], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for account in gone {
                forget(conn, account)?;
            }
            conn.execute(
                &format!(
                    "INSERT INTO account (user, luid, config, secret, added)
                     SELECT datastore.user, item.guid, body.data, item.fields, ?2 {items}
                     ON CONFLICT (user, luid) DO UPDATE SET
                       trouble = CASE WHEN config = excluded.config AND secret = excluded.secret THEN trouble END,
                       config = excluded.config, secret = excluded.secret"
                ),
                params![ACCOUNTS, now()],
            )?;
            Ok(())
        })
    }

    /// Replaces every sealed secret in one transaction: what `reseal` makes of user, account and secret.
    pub fn reseal(
        &self,
        reseal: impl Fn(&str, &str, &[u8]) -> Result<Vec<u8>, String>,
    ) -> Result<usize, StoreError> {
        let accounts = self.accounts(None)?;
        self.write(|conn| {
            let mut count = 0;
            for account in accounts {
                // Of an account of one session there is none.
                let Some(secret) = account.secret.as_ref().filter(|secret| !secret.is_empty()) else {
                    continue;
                };
                let sealed = reseal(&account.user, &account.luid, secret).map_err(StoreError::Failed)?;
                let sql = "UPDATE account SET secret = ?2 WHERE id = ?1 AND secret = ?3";
                let item = "UPDATE item SET fields = ?1 WHERE guid = ?2 AND fields = ?3 AND
                     store = (SELECT id FROM datastore WHERE user = ?4 AND name = ?5)";
                let own = params![sealed, account.luid, secret, account.user, ACCOUNTS];
                if conn.execute(sql, params![account.id, sealed, secret])? == 0
                    || conn.execute(item, own)? == 0
                {
                    return Err(StoreError::Stale(format!("secret of {}", account.luid)).into());
                }
                count += 1;
            }
            Ok(count)
        })
    }

    /// Keeps why a mailbox could not be looked at, or that it could.
    pub fn set_trouble(&self, account: i64, trouble: Option<&str>) -> Result<(), StoreError> {
        self.write(|conn| {
            let sql = "UPDATE account SET trouble = ?2 WHERE id = ?1 AND trouble IS NOT ?2";
            conn.execute(sql, params![account, trouble])?;
            Ok(())
        })
    }

    /// The folders of an account.
    pub fn remote_folders(&self, account: i64) -> Result<Vec<FolderLink>, StoreError> {
        self.query(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT guid, path, role, identity, state FROM remote_folder WHERE account = ?1 ORDER BY path",
            )?;
            let rows = statement.query_map([account], |row| {
                let role: Option<String> = row.get(2)?;
                Ok(FolderLink {
                    guid: Guid::unvalidated(row.get::<_, String>(0)?),
                    path: row.get(1)?,
                    role: role.as_deref().and_then(Role::parse),
                    identity: row.get(3)?,
                    state: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }

    /// The account of a user on which a folder is.
    pub fn folder_owner(&self, user: &str, guid: &Guid) -> Result<Option<i64>, StoreError> {
        self.query(|conn| {
            let sql =
                "SELECT account.id FROM remote_folder JOIN account ON account.id = remote_folder.account
                       WHERE account.user = ?1 AND remote_folder.guid = ?2 ORDER BY account.id LIMIT 1";
            conn.prepare_cached(sql)?.query_row(params![user, guid.as_str()], |row| row.get(0)).optional()
        })
    }

    /// What is known of the mails of a folder of an account.
    pub fn remote_mails(&self, account: i64, folder: &Guid) -> Result<Vec<Link>, StoreError> {
        self.query(|conn| {
            let sql = format!("{LINK} WHERE account = ?1 AND folder = ?2 ORDER BY id");
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_map(params![account, folder.as_str()], link_from)?.collect()
        })
    }

    /// What is known of all mails of an account.
    pub fn remote_all(&self, account: i64) -> Result<Vec<Link>, StoreError> {
        self.query(|conn| {
            let sql = format!("{LINK} WHERE account = ?1");
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_map([account], link_from)?.collect()
        })
    }

    /// The mails of an account whose ids are not known.
    pub fn remote_unbound(&self, account: i64) -> Result<Vec<Link>, StoreError> {
        self.query(|conn| {
            let sql = format!("{LINK} WHERE account = ?1 AND id IS NULL");
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_map([account], link_from)?.collect()
        })
    }

    /// What is known of a mail at an account.
    pub fn remote_mail(&self, account: i64, guid: &Guid) -> Result<Option<Link>, StoreError> {
        self.query(|conn| {
            let sql = format!("{LINK} WHERE account = ?1 AND guid = ?2");
            conn.prepare_cached(&sql)?.query_row(params![account, guid.as_str()], link_from).optional()
        })
    }

    /// Mail items that changed after a revision, folders first, and the revision of the newest change there is.
    pub fn mail_changes(&self, user: &str, since: u64) -> Result<(Vec<Item>, u64), StoreError> {
        self.query(|conn| {
            let store: Option<(i64, i64)> = conn
                .prepare_cached("SELECT id, rev FROM datastore WHERE user = ?1 AND name = ?2")?
                .query_row([user, DATASTORE], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((store, head)) = store else { return Ok((Vec::new(), 0)) };
            if uint(head) <= since {
                return Ok((Vec::new(), uint(head)));
            }
            let sql = format!(
                "SELECT {ITEM} FROM item WHERE store = ?1 AND rank IN (0, 1) AND rev > ?2 ORDER BY rank, rev, guid"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let items = statement.query_map(params![store, int(since)], item_from)?;
            Ok((items.collect::<Result<_, _>>()?, uint(head)))
        })
    }

    /// Commits writes and what they mean for the mailbox of an account, all or nothing.
    pub fn mirror(&self, account: i64, writes: Vec<Write>, notes: &[Note]) -> Result<(), StoreError> {
        self.write(|conn| {
            let owner: Option<(String, i64)> = conn
                .prepare_cached("SELECT user, pushed_rev FROM account WHERE id = ?1")?
                .query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((user, pushed)) = owner else {
                return Err(StoreError::Failed("the account was removed".into()).into());
            };
            let before = rev(conn, &user)?;
            write::commit(conn, &Commit { session: None, writes }, self.bodies, now())?;
            if pushed == before {
                // What we brought from there need not be looked at again.
                take(conn, account, &user, &Note::Pushed(uint(rev(conn, &user)?)))?;
            }
            notes.iter().try_for_each(|note| take(conn, account, &user, note))
        })
    }

    /// The revision of a user's mail.
    pub fn mail_rev(&self, user: &str) -> Result<u64, StoreError> {
        self.query(|conn| rev(conn, user).map(uint))
    }
}

fn rev(conn: &Connection, user: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT rev FROM datastore WHERE user = ?1 AND name = ?2";
    let rev: Option<i64> =
        conn.prepare_cached(sql)?.query_row([user, DATASTORE], |row| row.get(0)).optional()?;
    Ok(rev.unwrap_or(0))
}

/// The queue in which the rows of an account wait for their turn.
pub fn queue_name(account: i64) -> String {
    format!("mailbox-{account}")
}

const LINK: &str = "SELECT guid, folder, id, marks, strong, weak, body_rev FROM remote_mail";

fn link_from(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        guid: Guid::unvalidated(row.get::<_, String>(0)?),
        folder: Guid::unvalidated(row.get::<_, String>(1)?),
        id: row.get::<_, Option<RemoteId>>(2)?,
        marks: Marks::from_bits(row.get(3)?),
        key: Key { strong: row.get(4)?, weak: row.get(5)? },
        body_rev: uint(row.get(6)?),
    })
}

fn take(conn: &Connection, account: i64, user: &str, note: &Note) -> Result<(), Fault> {
    match note {
        Note::Folder(folder) => {
            conn.prepare_cached(
                "INSERT INTO remote_folder (account, guid, path, role, identity, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (account, guid) DO UPDATE SET path = ?3, role = ?4, identity = ?5, state = ?6",
            )?
            .execute(params![
                account,
                folder.guid.as_str(),
                folder.path,
                folder.role.map(Role::wire),
                folder.identity,
                folder.state
            ])?;
        }
        Note::NoFolder(guid) => {
            for sql in [
                "DELETE FROM remote_folder WHERE account = ?1 AND guid = ?2",
                "DELETE FROM remote_mail WHERE account = ?1 AND folder = ?2",
            ] {
                conn.prepare_cached(sql)?.execute(params![account, guid.as_str()])?;
            }
        }
        Note::Mail(link) => put_link(conn, account, link, int(link.body_rev))?,
        Note::NewText(link) => {
            let rev: i64 = conn
                .prepare_cached(
                    "SELECT body_rev FROM item WHERE guid = ?3 AND store =
                     (SELECT id FROM datastore WHERE user = ?1 AND name = ?2)",
                )?
                .query_row(params![user, DATASTORE, link.guid.as_str()], |row| row.get(0))?;
            put_link(conn, account, link, rev)?;
        }
        Note::NoMail(guid) => {
            conn.prepare_cached("DELETE FROM remote_mail WHERE account = ?1 AND guid = ?2")?
                .execute(params![account, guid.as_str()])?;
        }
        Note::Queue(guid) => {
            conn.prepare_cached(
                "INSERT INTO queue (queue, id, content, added) VALUES (?1, ?2, x'', ?3)
                 ON CONFLICT (queue, id) DO UPDATE SET due = 0, attempts = 0, error = NULL",
            )?
            .execute(params![queue_name(account), guid.as_str(), now()])?;
        }
        Note::Pushed(rev) => {
            conn.prepare_cached("UPDATE account SET pushed_rev = ?2 WHERE id = ?1")?
                .execute(params![account, int(*rev)])?;
        }
    }
    Ok(())
}

fn put_link(conn: &Connection, account: i64, link: &Link, body_rev: i64) -> Result<(), Fault> {
    // An id is one mail's: whoever else had it is not known by it any more.
    conn.prepare_cached(
        "UPDATE remote_mail SET id = NULL WHERE account = ?1 AND folder = ?2 AND id = ?3 AND guid <> ?4",
    )?
    .execute(params![account, link.folder.as_str(), link.id, link.guid.as_str()])?;
    conn.prepare_cached(
        "INSERT INTO remote_mail (account, guid, folder, id, marks, strong, weak, body_rev)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (account, guid) DO UPDATE SET folder = ?3, id = ?4, marks = ?5, strong = ?6, weak = ?7, body_rev = ?8",
    )?
    .execute(params![
        account,
        link.guid.as_str(),
        link.folder.as_str(),
        link.id,
        link.marks.bits(),
        link.key.strong,
        link.key.weak,
        body_rev
    ])?;
    Ok(())
}

/// Everything of an account.
pub(super) fn forget(conn: &Connection, account: i64) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM remote_mail WHERE account = ?1", [account])?;
    conn.execute("DELETE FROM remote_folder WHERE account = ?1", [account])?;
    conn.execute("DELETE FROM queue WHERE queue = ?1", [queue_name(account)])?;
    conn.execute("DELETE FROM account WHERE id = ?1", [account])?;
    Ok(())
}
