//! The walk over changes.

use super::*;

pub(super) fn cases<S: Fixture>() -> Vec<Case<S>> {
    vec![
        ("rows come by rank, revision, id", order),
        ("a cursor goes on after its row", pages),
        ("only revisions after since, up to upto", bounds),
        ("what the peer holds at that revision is left out", held),
        ("a tombstone is told only to who has an entry", tombstones),
        ("all that is live, held or not", live),
        ("the walk stays put while others commit", stable),
    ]
}

fn changes(since: u64, upto: u64) -> Changes {
    Changes { peer: peer("phone"), generation: 1, since, upto }
}

fn walk<S: Store>(store: &S, changes: &Changes, cursor: Cursor, limit: u32) -> Vec<Row> {
    match read(store, Read::Rows(changes.clone(), cursor, limit)) {
        Value::Rows(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn names(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.item.guid.as_str()).collect()
}

/// The whole walk in pages, which must not depend on their size, and as many rows as counted.
fn all<S: Store>(store: &S, changes: &Changes) -> Vec<Row> {
    let whole = walk(store, changes, Cursor::default(), u32::MAX);
    for limit in [1, 2, 3] {
        let mut paged = Vec::new();
        let mut cursor = Cursor::default();
        loop {
            let rows = walk(store, changes, cursor, limit);
            let Some(last) = rows.last() else { break };
            assert!(rows.len() <= limit as usize);
            let item = &last.item;
            cursor = Cursor { rank: item.value.rank, rev: item.rev, guid: Some(item.guid.clone()) };
            paged.extend(rows);
        }
        assert_eq!(paged, whole, "pages of {limit}");
    }
    assert_eq!(read(store, Read::Count(changes.clone())), Value::Count(whole.len() as u64));
    whole
}

fn live<S: Fixture>(store: &S) {
    commit(store, vec![put_value("b", None, plain(1)), put_value("f", None, plain(0))]);
    commit(store, vec![put_value("a", None, plain(1)), put_value("gone", None, plain(1))]);
    commit(store, vec![delete("gone", 2), map("phone", bound(1, "b", "1", 9))]);
    let after = |cursor, limit| match read(store, Read::Live(peer("phone"), 1, cursor, limit)) {
        Value::Rows(rows) => rows,
        other => panic!("{other:?}"),
    };
    let rows = after(Cursor::default(), 9);
    assert_eq!(names(&rows), ["f", "b", "a"]);
    assert!(rows[1].entry.is_some() && rows[2].entry.is_none());
    assert_eq!(names(&after(rows[0].item.cursor(), 1)), ["b"]);
}

fn order<S: Fixture>(store: &S) {
    commit(store, vec![put_value("z", None, plain(1)), put_value("b", None, plain(1))]);
    commit(store, vec![put_value("f2", None, plain(0)), put_value("a", None, plain(1))]);
    commit(store, vec![put_value("f1", None, plain(0)), put_value("top", None, plain(255))]);
    commit(store, vec![put_value("z", Some(1), plain(1))]);
    let rows = all(store, &changes(0, 4));
    assert_eq!(names(&rows), ["f2", "f1", "b", "a", "z", "top"]);
    assert_eq!(rows[4].item, item(store, "z").unwrap(), "items come whole");
    assert!(rows.iter().all(|row| row.entry.is_none()));
}

fn pages<S: Fixture>(store: &S) {
    commit(store, (0..7).map(|n| put_value(&format!("i{n}"), None, plain(n % 3))).collect());
    all(store, &changes(0, 1));
    let from = |rank, rev, guid: Option<&str>| Cursor { rank, rev, guid: guid.map(super::guid) };
    let at = |cursor| walk(store, &changes(0, 1), cursor, 2);
    assert_eq!(names(&at(from(0, 1, Some("i3")))), ["i6", "i1"]);
    assert_eq!(names(&at(from(0, 1, Some("i4")))), ["i6", "i1"], "the cursor's row need not be there");
    assert_eq!(names(&at(from(1, 0, None))), ["i1", "i4"]);
    assert_eq!(names(&at(from(1, 1, None))), ["i1", "i4"], "none: before the first row of that place");
    assert!(at(from(2, 1, Some("i5"))).is_empty());
    assert!(walk(store, &changes(0, 1), Cursor::default(), 0).is_empty());
}

fn bounds<S: Fixture>(store: &S) {
    for id in ["a", "b", "c", "d"] {
        commit(store, vec![put(id, None)]);
    }
    assert_eq!(names(&all(store, &changes(1, 3))), ["b", "c"]);
    assert_eq!(names(&all(store, &changes(3, u64::MAX))), ["d"]);
    assert!(all(store, &changes(4, 4)).is_empty());
    assert!(all(store, &changes(3, 2)).is_empty());
}

fn held<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None), put("b", None), put("c", None), put("d", None)]);
    commit(store, vec![put("b", Some(1)), put("c", Some(1))]);
    let entries = [
        bound(1, "a", "1", 1),
        bound(1, "b", "2", 1),
        bound(1, "c", "3", 2),
        pending(1, "d", Some("t1"), 0),
        // Another generation and another device change nothing.
        bound(2, "d", "4", 9),
    ];
    commit(store, entries.iter().map(|entry| map("phone", entry.clone())).collect());
    commit(store, vec![map("laptop", bound(1, "b", "2", 9))]);
    let rows = all(store, &changes(0, 2));
    assert_eq!(names(&rows), ["d", "b"]);
    assert_eq!(rows[0].entry, Some(entries[3].clone()));
    assert_eq!(rows[1].entry, Some(entries[1].clone()));
    let other = Changes { generation: 3, ..changes(0, 2) };
    assert_eq!(names(&all(store, &other)), ["a", "d", "b", "c"]);
}

fn tombstones<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None), put("b", None), put("c", None)]);
    commit(store, vec![map("phone", bound(1, "a", "1", 1)), map("phone", bound(1, "c", "3", 9))]);
    commit(store, vec![delete("a", 1), delete("b", 1), delete("c", 1)]);
    let rows = all(store, &changes(0, 2));
    assert_eq!(names(&rows), ["a"]);
    assert!(rows[0].item.deleted);
    assert_eq!(rows[0].entry.as_ref().and_then(Entry::luid), Some(&luid("1")));
}

fn stable<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None), put("b", None), put("c", None)]);
    let first = walk(store, &changes(0, 1), Cursor::default(), 1);
    assert_eq!(names(&first), ["a"]);
    commit(store, vec![put("b", Some(1)), put("aa", None)]);
    let cursor = Cursor { rank: 1, rev: 1, guid: Some(guid("a")) };
    let rest = walk(store, &changes(0, 1), cursor, 10);
    assert_eq!(names(&rest), ["c"], "what changed since is after upto, and comes next time");
    assert_eq!(names(&all(store, &changes(1, 2))), ["aa", "b"]);
}
