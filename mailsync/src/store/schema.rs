//! The tables, and how an older file becomes a newer one.

use rusqlite::Connection;

/// The schema that this program writes. A file with a newer one is refused.
pub const SCHEMA: i64 = 3;

/// `application_id` of our files: "MSDB".
pub(super) const APPLICATION: i64 = 0x4d53_4442;

const V1: &str = "
CREATE TABLE datastore (
  id INTEGER PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, rev INTEGER NOT NULL, UNIQUE (user, name)
) STRICT;
CREATE TABLE item (
  store INTEGER NOT NULL, guid TEXT NOT NULL, rev INTEGER NOT NULL, body_rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL, rank INTEGER NOT NULL, parent TEXT, kind TEXT NOT NULL, fields BLOB NOT NULL,
  match_keys BLOB NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (store, guid)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_walk ON item (store, rank, rev, guid);
CREATE TABLE match_key (
  store INTEGER NOT NULL, key BLOB NOT NULL, guid TEXT NOT NULL, PRIMARY KEY (store, key, guid)
) STRICT, WITHOUT ROWID;
CREATE TABLE body (
  store INTEGER NOT NULL, guid TEXT NOT NULL, rev INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (store, guid, rev)
) STRICT;
CREATE TABLE peer (
  id INTEGER PRIMARY KEY, store INTEGER NOT NULL, device TEXT NOT NULL, generation INTEGER, started INTEGER,
  committed_theirs TEXT, committed_ours TEXT, committed_rev INTEGER,
  previous_theirs TEXT, previous_ours TEXT, previous_rev INTEGER, UNIQUE (store, device)
) STRICT;
CREATE TABLE map (
  peer INTEGER NOT NULL, generation INTEGER NOT NULL, guid TEXT NOT NULL, luid TEXT, temp TEXT,
  seen_rev INTEGER NOT NULL, form INTEGER NOT NULL, PRIMARY KEY (peer, generation, guid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX map_luid ON map (peer, generation, luid);
CREATE UNIQUE INDEX map_temp ON map (peer, generation, temp);
CREATE TABLE session (
  token TEXT PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL, answer BLOB NOT NULL,
  created INTEGER NOT NULL, touched INTEGER NOT NULL
) STRICT;
CREATE INDEX session_touched ON session (touched);
CREATE TABLE spool (
  token TEXT NOT NULL, direction INTEGER NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL,
  UNIQUE (token, direction, start)
) STRICT;
CREATE TABLE once (
  user TEXT NOT NULL, key TEXT NOT NULL, guid TEXT NOT NULL, PRIMARY KEY (user, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE queue (
  queue TEXT NOT NULL, id TEXT NOT NULL, content BLOB NOT NULL, added INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0, error TEXT, PRIMARY KEY (queue, id)
) STRICT;
CREATE INDEX queue_due ON queue (queue, due);
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE user (name TEXT PRIMARY KEY, verifier TEXT NOT NULL, added INTEGER NOT NULL) STRICT;
CREATE TABLE address (address TEXT PRIMARY KEY COLLATE NOCASE, user TEXT NOT NULL) STRICT;
CREATE TABLE device (
  user TEXT NOT NULL, id TEXT NOT NULL, verifier TEXT, revoked INTEGER NOT NULL DEFAULT 0,
  nonce BLOB, logins INTEGER NOT NULL DEFAULT 0, devinf BLOB, session TEXT,
  PRIMARY KEY (user, id)
) STRICT;
";

/// What was set aside before it was deleted; what a peer's filter was; where the items of a folder are.
const V2: &str = "
CREATE TABLE kept (
  id INTEGER PRIMARY KEY, store INTEGER NOT NULL, guid TEXT NOT NULL, until INTEGER, added INTEGER NOT NULL,
  rank INTEGER NOT NULL, parent TEXT, kind TEXT NOT NULL, fields BLOB NOT NULL, match_keys BLOB NOT NULL, data BLOB
) STRICT;
CREATE INDEX kept_until ON kept (until) WHERE until IS NOT NULL;
CREATE INDEX item_parent ON item (store, parent, guid) WHERE deleted = 0 AND parent IS NOT NULL;
ALTER TABLE peer ADD COLUMN filter BLOB;
";

/// Accounts at mail servers, and which rows are what there.
const V3: &str = "
CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, luid TEXT NOT NULL, config BLOB NOT NULL, secret BLOB,
  pushed_rev INTEGER NOT NULL DEFAULT 0, trouble TEXT, added INTEGER NOT NULL, UNIQUE (user, luid)
) STRICT;
CREATE TABLE remote_folder (
  account INTEGER NOT NULL, guid TEXT NOT NULL, path TEXT NOT NULL, role TEXT, identity TEXT, state TEXT NOT NULL,
  PRIMARY KEY (account, guid)
) STRICT, WITHOUT ROWID;
CREATE TABLE remote_mail (
  account INTEGER NOT NULL, guid TEXT NOT NULL, folder TEXT NOT NULL, id INTEGER, marks INTEGER NOT NULL,
  strong BLOB NOT NULL, weak BLOB NOT NULL, body_rev INTEGER NOT NULL, PRIMARY KEY (account, guid)
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_mail_folder ON remote_mail (account, folder, id);
";

/// The schema of a file; 0 when it is new.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The `application_id` of a file; 0 when nobody set one.
pub(super) fn application(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA application_id", [], |row| row.get(0))
}

/// Brings a file to [`SCHEMA`], in one transaction. Another process may do so at the same time.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    if found < 1 {
        tx.execute_batch(V1)?;
        tx.pragma_update(None, "application_id", APPLICATION)?;
    }
    if found < 2 {
        tx.execute_batch(V2)?;
    }
    if found < 3 {
        tx.execute_batch(V3)?;
    }
    if found < SCHEMA {
        tx.pragma_update(None, "user_version", SCHEMA)?;
    }
    tx.commit()
}
