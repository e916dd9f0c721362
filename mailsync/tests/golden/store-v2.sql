-- origin: hand, from schema 2. A file like this must stay readable; see src/store/tests.rs.
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
PRAGMA application_id = 1297302594;
CREATE TABLE kept (
  id INTEGER PRIMARY KEY, store INTEGER NOT NULL, guid TEXT NOT NULL, until INTEGER, added INTEGER NOT NULL,
  rank INTEGER NOT NULL, parent TEXT, kind TEXT NOT NULL, fields BLOB NOT NULL, match_keys BLOB NOT NULL, data BLOB
) STRICT;
CREATE INDEX kept_until ON kept (until) WHERE until IS NOT NULL;
CREATE INDEX item_parent ON item (store, parent, guid) WHERE deleted = 0 AND parent IS NOT NULL;
ALTER TABLE peer ADD COLUMN filter BLOB;
PRAGMA user_version = 2;
INSERT INTO datastore VALUES (1, 'ana', 'mail', 7);
INSERT INTO item VALUES (1, 'guid-1', 7, 5, 0, 1, 'folder-1', 'message/rfc822', x'0102',
  x'000102030405060708090a0b0c0d0e0f', 12);
INSERT INTO match_key VALUES (1, x'000102030405060708090a0b0c0d0e0f', 'guid-1');
INSERT INTO body VALUES (1, 'guid-1', 5, CAST('Subject: a' || char(13, 10) AS BLOB));
INSERT INTO peer VALUES (1, 1, 'phone', 2, 3, 'theirs-2', 'ours-2', 6, 'theirs-1', 'ours-1', 4,
  x'000102030405060708090a0b0c0d0e0f');
INSERT INTO map VALUES (1, 2, 'guid-1', '41', 'tmp1', 6, 3);
INSERT INTO session VALUES ('token', 3, x'00ff', CAST('answer' AS BLOB), 1, 2);
INSERT INTO spool VALUES ('token', 1, 0, CAST('spooled' AS BLOB));
INSERT INTO once VALUES ('ana', 'sent', 'guid-1');
INSERT INTO queue VALUES ('outbox', 'job', CAST('content' AS BLOB), 1, 2, 3, 'words');
INSERT INTO user VALUES ('ana', 'VERIFIER', 1);
INSERT INTO address VALUES ('ana@example.org', 'ana');
INSERT INTO device VALUES ('ana', 'phone', NULL, 1, x'aa', 5, NULL, NULL);
