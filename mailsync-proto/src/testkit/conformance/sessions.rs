//! Sessions and their spools.

use super::*;

pub(super) fn cases<S: Fixture>() -> Vec<Case<S>> {
    vec![
        ("a session counts its commits", versions),
        ("a wrong session version is stale and writes nothing", stale_session),
        ("a removed session takes its spool with it", removal),
        ("a session is ended by another", ending),
        ("a spool moves to another session", moving),
        ("a spooled object grows and is read in ranges", ranges),
        ("a spooled piece ends the object", pieces),
        ("a spool is cleared one way", clear),
        ("a large spooled object is read in ranges", large),
    ]
}

fn write(token: &str, expect: u64, value: Option<&'static [u8]>) -> SessionWrite {
    let answer = Bytes::from(format!("answer {expect}"));
    SessionWrite { token: token.into(), expect, value: value.map(Bytes::from_static), answer }
}

fn with<S: Store>(store: &S, session: SessionWrite, writes: Vec<Write>) -> Result<(), StoreError> {
    store.commit(&Commit { session: Some(session), writes })
}

fn session<S: Store>(store: &S, token: &str) -> Option<SessionRow> {
    match read(store, Read::Session(token.into())) {
        Value::Session(row) => row,
        other => panic!("{other:?}"),
    }
}

fn piece(token: &str, direction: Direction, offset: u64, data: &[u8]) -> Write {
    Write::Spool { token: token.into(), direction, offset, data: Bytes::copy_from_slice(data) }
}

fn spool<S: Store>(store: &S, token: &str, direction: Direction, offset: u64, len: u64) -> Option<Bytes> {
    match read(store, Read::Spool { token: token.into(), direction, offset, len }) {
        Value::Body(data) => data,
        other => panic!("{other:?}"),
    }
}

fn versions<S: Fixture>(store: &S) {
    with(store, write("t", 0, Some(b"one")), vec![]).unwrap();
    let row = session(store, "t").unwrap();
    assert_eq!((row.version, &*row.value, &*row.answer), (1, &b"one"[..], &b"answer 0"[..]));
    with(store, write("t", 1, Some(b"\0\xff")), vec![put("a", None)]).unwrap();
    let row = session(store, "t").unwrap();
    assert_eq!((row.version, &*row.value, &*row.answer), (2, &b"\0\xff"[..], &b"answer 1"[..]));
    with(store, write("u", 0, Some(b"")), vec![]).unwrap();
    assert_eq!(session(store, "u").unwrap().version, 1);
    assert_eq!(session(store, "v"), None);
}

fn stale_session<S: Fixture>(store: &S) {
    let refused = |token, expect, value| match with(store, write(token, expect, value), vec![put("a", None)])
    {
        Err(StoreError::Stale(_)) => {}
        other => panic!("expected Stale, got {other:?}"),
    };
    refused("t", 1, Some(b"x"));
    refused("t", 1, None);
    with(store, write("t", 0, Some(b"one")), vec![]).unwrap();
    refused("t", 0, Some(b"x"));
    refused("t", 2, Some(b"x"));
    refused("t", 0, None);
    assert_eq!(item(store, "a"), None);
    assert_eq!(&*session(store, "t").unwrap().value, b"one");
    // A stale item drops the session's new value, too.
    match with(store, write("t", 1, Some(b"two")), vec![put("a", Some(5))]) {
        Err(StoreError::Stale(_)) => {}
        other => panic!("expected Stale, got {other:?}"),
    }
    assert_eq!(session(store, "t").unwrap().version, 1);
}

fn removal<S: Fixture>(store: &S) {
    let spools = vec![piece("t", Direction::In, 0, b"in"), piece("t", Direction::Out, 0, b"out")];
    with(store, write("t", 0, Some(b"one")), spools).unwrap();
    with(store, write("u", 0, Some(b"one")), vec![piece("u", Direction::In, 0, b"other")]).unwrap();
    with(store, write("t", 1, None), vec![piece("t", Direction::In, 2, b"more"), put("a", None)]).unwrap();
    assert_eq!(session(store, "t"), None);
    assert_eq!(spool(store, "t", Direction::In, 0, 99), None);
    assert_eq!(spool(store, "t", Direction::Out, 0, 99), None);
    assert_eq!(spool(store, "u", Direction::In, 0, 99), Some(Bytes::from_static(b"other")));
    assert_eq!(item(store, "a").unwrap().rev, 1, "the effects of the last turn stay");
    with(store, write("never", 0, None), vec![]).unwrap();
    with(store, write("t", 0, Some(b"again")), vec![]).unwrap();
    assert_eq!(session(store, "t").unwrap().version, 1);
}

fn ending<S: Fixture>(store: &S) {
    with(store, write("old", 0, Some(b"one")), vec![piece("old", Direction::Out, 0, b"rest")]).unwrap();
    with(store, write("new", 0, Some(b"two")), vec![Write::EndSession("old".into())]).unwrap();
    assert_eq!(session(store, "old"), None);
    assert_eq!(spool(store, "old", Direction::Out, 0, 99), None);
    assert!(session(store, "new").is_some());
    commit(store, vec![Write::EndSession("old".into())]);
}

fn moving<S: Fixture>(store: &S) {
    commit(store, vec![piece("old", Direction::In, 0, b"half"), piece("old", Direction::Out, 0, b"whole")]);
    let go_on = vec![
        Write::MoveSpool("old".into(), "new".into()),
        Write::EndSession("old".into()),
        piece("new", Direction::In, 4, b" more"),
    ];
    commit(store, go_on);
    assert_eq!(spool(store, "new", Direction::In, 0, 99), Some(Bytes::from_static(b"half more")));
    assert_eq!(spool(store, "new", Direction::Out, 0, 99), Some(Bytes::from_static(b"whole")));
    assert_eq!(spool(store, "old", Direction::In, 0, 99), None);
    commit(store, vec![Write::MoveSpool("none".into(), "other".into())]);
    assert_eq!(spool(store, "other", Direction::In, 0, 99), None);
}

fn ranges<S: Fixture>(store: &S) {
    commit(store, vec![piece("t", Direction::In, 0, b"hello ")]);
    commit(store, vec![piece("t", Direction::In, 6, b"wor"), piece("t", Direction::In, 9, b"ld")]);
    let get = |offset, len| spool(store, "t", Direction::In, offset, len).map(|data| data.to_vec());
    assert_eq!(get(0, u64::MAX), Some(b"hello world".to_vec()));
    assert_eq!(get(4, 4), Some(b"o wo".to_vec()));
    assert_eq!(get(6, 3), Some(b"wor".to_vec()));
    assert_eq!(get(10, 5), Some(b"d".to_vec()));
    assert_eq!(get(11, 5), Some(vec![]));
    assert_eq!(get(12, 5), Some(vec![]));
    assert_eq!(get(3, 0), Some(vec![]));
    assert_eq!(get(u64::MAX, u64::MAX), Some(vec![]));
    assert_eq!(spool(store, "t", Direction::Out, 0, 5), None);
    assert_eq!(spool(store, "u", Direction::In, 0, 5), None);
}

fn pieces<S: Fixture>(store: &S) {
    commit(store, vec![piece("t", Direction::Out, 0, b"0123"), piece("t", Direction::Out, 4, b"4567")]);
    let get = || spool(store, "t", Direction::Out, 0, 99).unwrap().to_vec();
    commit(store, vec![piece("t", Direction::Out, 4, b"four")]);
    assert_eq!(get(), b"0123four");
    commit(store, vec![piece("t", Direction::Out, 2, b"xy")]);
    assert_eq!(get(), b"01xy");
    let gap = Commit { session: None, writes: vec![piece("t", Direction::Out, 5, b"z")] };
    assert!(matches!(store.commit(&gap), Err(StoreError::Failed(_))));
    assert_eq!(get(), b"01xy");
    commit(store, vec![piece("t", Direction::Out, 0, b"")]);
    assert_eq!(get(), b"");
}

fn clear<S: Fixture>(store: &S) {
    commit(store, vec![piece("t", Direction::In, 0, b"in"), piece("t", Direction::Out, 0, b"out")]);
    let anew =
        vec![Write::ClearSpool("t".into(), Direction::In), Write::ClearSpool("none".into(), Direction::In)];
    commit(store, anew);
    assert_eq!(spool(store, "t", Direction::In, 0, 9), None);
    assert_eq!(spool(store, "t", Direction::Out, 0, 9), Some(Bytes::from_static(b"out")));
    let next = vec![Write::ClearSpool("t".into(), Direction::Out), piece("t", Direction::Out, 0, b"new")];
    commit(store, next);
    assert_eq!(spool(store, "t", Direction::Out, 0, 9), Some(Bytes::from_static(b"new")), "in order");
}

fn large<S: Fixture>(store: &S) {
    let data: Vec<u8> = (0..700_001u32).map(|n| (n % 251) as u8).collect();
    commit(store, vec![piece("t", Direction::Out, 0, &data)]);
    let mut read_back = Vec::new();
    while read_back.len() < data.len() {
        let part = spool(store, "t", Direction::Out, read_back.len() as u64, 19_993).unwrap();
        assert!(!part.is_empty() && part.len() <= 19_993);
        read_back.extend_from_slice(&part);
    }
    assert!(read_back == data);
    commit(store, vec![piece("t", Direction::Out, 500_000, b"end")]);
    let tail = spool(store, "t", Direction::Out, 499_998, 99).unwrap();
    assert_eq!(&*tail, [data[499_998], data[499_999], b'e', b'n', b'd']);
}
