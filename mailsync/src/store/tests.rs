//! The executor against the suite, and what is SQLite's own.

use super::*;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::sync::store::*;
use mailsync_proto::testkit::conformance::{self, Fixture};

/// A store in a folder of its own, gone with it.
struct Scratch {
    store: SqliteStore,
    _dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("db"), Bodies::Inside).unwrap();
        Scratch { store, _dir: dir }
    }
}

impl Store for Scratch {
    fn read(&self, reads: &[Read]) -> Result<Found, StoreError> {
        self.store.read(reads)
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        self.store.commit(commit)
    }
}

impl Fixture for Scratch {
    fn add_user(&self, user: &str, verifier: &str) {
        if !self.store.add_user(user, verifier, &[], &[]).unwrap() {
            assert!(self.store.set_verifier(user, verifier).unwrap());
        }
    }

    fn set_device(&self, user: &str, device: &str, verifier: Option<&str>, revoked: bool) {
        self.store
            .write(|conn| {
                conn.execute(
                    "INSERT INTO device (user, id, verifier, revoked) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (user, id) DO UPDATE SET verifier = ?3, revoked = ?4",
                    rusqlite::params![user, device, verifier, revoked],
                )?;
                Ok(())
            })
            .unwrap();
    }

    fn queue(&self, queue: &str) -> Vec<(Box<str>, Bytes)> {
        let mut jobs = self.store.jobs(Some(queue)).unwrap();
        jobs.sort_by(|a, b| a.id.cmp(&b.id));
        jobs.into_iter().map(|job| (job.id.into(), job.content)).collect()
    }
}

fn key() -> StoreKey {
    StoreKey { user: "u".into(), datastore: "d".into() }
}

fn put(id: &str, body: Bytes) -> Commit {
    let value = ItemValue { kind: "text/plain".into(), ..ItemValue::default() };
    let write =
        Write::PutItem { store: key(), guid: Guid::unvalidated(id), expect: None, value, body: Some(body) };
    Commit { session: None, writes: vec![write] }
}

fn body(store: &SqliteStore, id: &str) -> Value {
    let read = Read::Body(key(), Guid::unvalidated(id));
    store.read(std::slice::from_ref(&read)).unwrap().get(&read).cloned().unwrap()
}

#[test]
fn passes_the_suite() {
    conformance::run(Scratch::new);
}

#[test]
fn commits_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = SqliteStore::open(&path, Bodies::Inside).unwrap();
    store.commit(&put("a", Bytes::from_static(b"text"))).unwrap();
    // Not closed: as after a kill, the log is what there is.
    let again = SqliteStore::open(&path, Bodies::Inside).unwrap();
    assert_eq!(body(&again, "a"), Value::Body(Some(Bytes::from_static(b"text"))));
    let synchronous: i64 =
        store.query(|conn| conn.query_row("PRAGMA synchronous", [], |row| row.get(0))).unwrap();
    assert_eq!(synchronous, 2, "FULL");
}

#[test]
fn threat_d1_full_disk_rolls_back_and_recovers() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    store.commit(&put("a", Bytes::from_static(b"kept"))).unwrap();
    let limit = |pages: i64| {
        store
            .write(|conn| Ok(conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?))
            .unwrap();
    };
    limit(80);
    let large = Bytes::from(vec![7; 1 << 20]);
    let refused = store.commit(&put("b", large.clone()));
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(body(store, "a"), Value::Body(Some(Bytes::from_static(b"kept"))));
    assert_eq!(body(store, "b"), Value::Body(None));
    store.commit(&put("small", Bytes::from_static(b"fits"))).unwrap();
    limit(100_000);
    store.commit(&put("b", large.clone())).unwrap();
    assert_eq!(body(store, "b"), Value::Body(Some(large)));
}

#[test]
fn threat_d1_io_error_reopens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = SqliteStore::open(&path, Bodies::Inside).unwrap();
    store.commit(&put("a", Bytes::from_static(b"kept"))).unwrap();
    // What a failed sync leaves behind: no connection.
    let lost = store.write::<()>(|_| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(Fault::Sqlite(rusqlite::Error::SqliteFailure(code, None)))
    });
    assert!(matches!(lost, Err(StoreError::Failed(_))));
    assert!(store.writer().is_none());
    store.commit(&put("b", Bytes::from_static(b"after"))).unwrap();
    assert_eq!(body(&store, "a"), Value::Body(Some(Bytes::from_static(b"kept"))));
    assert_eq!(body(&store, "b"), Value::Body(Some(Bytes::from_static(b"after"))));
}

#[test]
fn newer_and_foreign_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    drop(SqliteStore::open(&path, Bodies::Inside).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    drop(conn);
    let error = SqliteStore::open(&path, Bodies::Inside).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found, .. } if found == SCHEMA + 1), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");

    let other = dir.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1").unwrap();
    assert!(matches!(SqliteStore::open(&other, Bodies::Inside), Err(OpenError::Foreign { .. })));
    let text = dir.path().join("text");
    std::fs::write(&text, "not a database at all, but long enough to look at").unwrap();
    assert!(SqliteStore::open(&text, Bodies::Inside).is_err());
    assert_eq!(std::fs::read(&text).unwrap(), b"not a database at all, but long enough to look at");
}

#[test]
fn two_processes_write_by_turns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let stores = [0, 1].map(|_| SqliteStore::open(&path, Bodies::Inside).unwrap());
    std::thread::scope(|scope| {
        for (at, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..20 {
                    store.commit(&put(&format!("{at}-{n}"), Bytes::from_static(b"x"))).unwrap();
                }
            });
        }
    });
    let head = Read::Head(key());
    let found = stores[0].read(std::slice::from_ref(&head)).unwrap();
    assert_eq!(found.get(&head), Some(&Value::Rev(40)));
}

#[test]
fn bodies_outside_are_counted_but_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("db"), Bodies::Outside).unwrap();
    store.commit(&put("a", Bytes::from_static(b"text"))).unwrap();
    let read = Read::Item(key(), Guid::unvalidated("a"));
    let found = store.read(std::slice::from_ref(&read)).unwrap();
    let Some(Value::Item(Some(item))) = found.get(&read) else { panic!("{found:?}") };
    assert_eq!((item.size, item.body_rev), (4, 1));
    assert_eq!(body(&store, "a"), Value::Body(None));
    let rows: i64 =
        store.query(|conn| conn.query_row("SELECT count(*) FROM body", [], |row| row.get(0))).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn a_removed_user_leaves_nothing() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    assert!(store.add_user("u", "V", &["u@example.org".into()], &[]).unwrap());
    assert!(!store.add_user("u", "V", &[], &[]).unwrap());
    assert!(!store.add_user("w", "V", &["U@EXAMPLE.org".into()], &[]).unwrap(), "the address is taken");
    assert_eq!(store.user_of("U@Example.ORG").unwrap().as_deref(), Some("u"));
    assert!(store.set_device("u", "phone", "OWN").unwrap());
    assert!(!store.set_device("nobody", "phone", "OWN").unwrap());
    store.commit(&put("a", Bytes::from_static(b"text"))).unwrap();
    assert!(store.remove_user("u").unwrap());
    assert!(!store.remove_user("u").unwrap());
    for table in ["user", "address", "device", "datastore", "item", "body", "match_key", "peer", "map"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = store.query(|conn| conn.query_row(&sql, [], |row| row.get(0))).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn golden_schema_1_stays_readable() {
    golden_schema_stays_readable(include_str!("../../tests/golden/store-v1.sql"), None);
}

#[test]
fn golden_schema_2_stays_readable() {
    let filter = MatchKey(core::array::from_fn(|at| at as u8));
    golden_schema_stays_readable(include_str!("../../tests/golden/store-v2.sql"), Some(filter));
}

fn golden_schema_stays_readable(sql: &str, filter: Option<MatchKey>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let store = SqliteStore::open(&path, Bodies::Inside).unwrap();
    let mail = StoreKey { user: "ana".into(), datastore: "mail".into() };
    let phone = PeerKey { store: mail.clone(), device: "phone".into() };
    let guid = Guid::unvalidated("guid-1");
    let match_key = MatchKey(core::array::from_fn(|at| at as u8));
    let item = Item {
        guid: guid.clone(),
        rev: 7,
        body_rev: 5,
        deleted: false,
        value: ItemValue {
            rank: 1,
            parent: Some(Guid::unvalidated("folder-1")),
            kind: "message/rfc822".into(),
            fields: Bytes::from_static(&[1, 2]),
            match_keys: vec![match_key],
        },
        size: 12,
    };
    let wire = idmap::Wire::Temp(idmap::TempId::unvalidated("tmp1"));
    let state = idmap::State::Bound { luid: idmap::Luid::unvalidated("41"), wire };
    let entry = idmap::Entry { guid: guid.clone(), state, generation: 2, seen_rev: 6, form: 3 };
    let point = |n: u64, rev| SyncPoint {
        theirs: format!("theirs-{n}").into(),
        ours: format!("ours-{n}").into(),
        rev,
    };
    let peer =
        Peer { generation: 2, started: 3, committed: Some(point(2, 6)), previous: Some(point(1, 4)), filter };
    let device = Device { nonce: Some(Bytes::from_static(&[0xaa])), logins: 5, devinf: None, session: None };
    let session = SessionRow {
        version: 3,
        value: Bytes::from_static(b"\0\xff"),
        answer: Bytes::from_static(b"answer"),
    };
    let spool = Read::Spool { token: "token".into(), direction: Direction::Out, offset: 0, len: 99 };
    let expected = [
        (Read::Head(mail.clone()), Value::Rev(7)),
        (Read::Item(mail.clone(), guid.clone()), Value::Item(Some(item.clone()))),
        (
            Read::Matches { peer: phone.clone(), generation: 9, key: match_key, after: None, limit: 9 },
            Value::Items(vec![item.clone()]),
        ),
        (Read::Children(mail.clone(), Guid::unvalidated("folder-1"), 9), Value::Items(vec![item])),
        (Read::Body(mail, guid.clone()), Value::Body(Some(Bytes::from_static(b"Subject: a\r\n")))),
        (Read::Peer(phone.clone()), Value::Peer(Some(peer))),
        (Read::ByWire(phone, 2, "tmp1".into()), Value::Entry(Some(entry))),
        (Read::Session("token".into()), Value::Session(Some(session))),
        (spool, Value::Body(Some(Bytes::from_static(b"spooled")))),
        (Read::Once("ana".into(), "sent".into()), Value::Once(Some(guid))),
        (
            Read::Login { user: "ana".into(), device: "phone".into() },
            Value::Login(Some(Login {
                verifier: "VERIFIER".into(),
                password: None,
                item_key: None,
                revoked: true,
                device,
                sessions: 0,
            })),
        ),
    ];
    let reads: Vec<Read> = expected.iter().map(|(read, _)| read.clone()).collect();
    let found = store.read(&reads).unwrap();
    for (read, value) in expected {
        assert_eq!(found.get(&read), Some(&value), "{read:?}");
    }
    let job = store.jobs(None).unwrap().remove(0);
    assert_eq!(
        (job.attempts, job.due, job.error.as_deref(), &*job.content),
        (2, 3, Some("words"), &b"content"[..])
    );
    assert_eq!(store.users().unwrap()[0].addresses, ["ana@example.org"]);
    assert!(store.accounts(None).unwrap().is_empty());
    let accounts = StoreKey { user: "ana".into(), datastore: "accounts".into() };
    let value = ItemValue { fields: Bytes::from_static(b"sealed"), ..ItemValue::default() };
    let put = |value: &ItemValue, expect| Write::PutItem {
        store: accounts.clone(),
        guid: Guid::unvalidated("work"),
        expect,
        value: value.clone(),
        body: Some(Bytes::from_static(b"<Account/>")),
    };
    store.commit(&Commit { session: None, writes: vec![put(&value, None)] }).unwrap();
    store.take_over_accounts().unwrap();
    let row = store.accounts(Some("ana")).unwrap().remove(0);
    assert_eq!(
        (&*row.luid, row.secret.as_deref(), &*row.config),
        ("work", Some(&b"sealed"[..]), &b"<Account/>"[..])
    );
    assert_eq!(store.reseal(|_, _, old| Ok([old, b" anew"].concat())).unwrap(), 1);
    store.take_over_accounts().unwrap();
    assert_eq!(store.accounts(None).unwrap()[0].secret.as_deref(), Some(&b"sealed anew"[..]));
    let gone = Write::DeleteItem { store: accounts.clone(), guid: Guid::unvalidated("work"), expect: 1 };
    store.commit(&Commit { session: None, writes: vec![gone] }).unwrap();
    store.take_over_accounts().unwrap();
    assert!(store.accounts(None).unwrap().is_empty());
}
