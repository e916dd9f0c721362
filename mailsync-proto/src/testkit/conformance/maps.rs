//! The map, peers, and who is found in a slow sync.

use super::*;

pub(super) fn cases<S: Fixture>() -> Vec<Case<S>> {
    vec![
        ("an entry is found by GUID, LUID and wire id", look_up),
        ("generations, devices and datastores are apart", apart),
        ("entries that are offered and not bound", open_offers),
        ("an entry replaces that of its GUID", replace),
        ("of two entries with one LUID or temporary id the last stays", last_wins),
        ("entries are removed, and all generations but one", removal),
        ("an entry can be seen at the commit that makes it", this_commit),
        ("seen at a commit that touches no item", this_commit_of_nothing),
        ("a peer comes back as it was put", peers),
        ("matches: not deleted, not in the generation, oldest first, at most 16", matches),
        ("match keys follow the item", match_keys_change),
    ]
}

fn by_luid<S: Store>(store: &S, device: &str, generation: u32, text: &str) -> Option<Entry> {
    match read(store, Read::ByLuid(peer(device), generation, luid(text))) {
        Value::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn by_wire<S: Store>(store: &S, device: &str, generation: u32, wire: &str) -> Option<Entry> {
    match read(store, Read::ByWire(peer(device), generation, wire.into())) {
        Value::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn look_up<S: Fixture>(store: &S) {
    let temp = Entry {
        state: State::Bound { luid: luid("7"), wire: Wire::Temp(TempId::try_from("tt01").unwrap()) },
        form: u32::MAX,
        ..bound(1, "guid-b", "7", 5)
    };
    let entries = [
        pending(1, "guid-a", None, 3),
        temp,
        pending(1, "guid-c", Some("tt02"), u64::from(u32::MAX) + 1),
        bound(1, "guid-d", "L 8", 0),
    ];
    commit(store, entries.iter().map(|entry| map("phone", entry.clone())).collect());
    for entry in &entries {
        assert_eq!(by_guid(store, "phone", 1, entry.guid.as_str()).as_ref(), Some(entry));
        assert_eq!(by_wire(store, "phone", 1, entry.wire_id()).as_ref(), Some(entry));
        if let Some(luid) = entry.luid() {
            assert_eq!(by_luid(store, "phone", 1, luid.as_str()).as_ref(), Some(entry));
        }
    }
    assert_eq!(by_wire(store, "phone", 1, "guid-c"), None, "it goes by a temporary id");
    assert_eq!(by_luid(store, "phone", 1, "guid-a"), None);
    // mission: M7: from a GUID, every client that holds the mail, and its LUID there
    commit(store, vec![map("laptop", bound(4, "guid-d", "mail/1", 2))]);
    assert_eq!(by_luid(store, "laptop", 4, "mail/1").map(|entry| entry.guid), Some(guid("guid-d")));
}

fn apart<S: Fixture>(store: &S) {
    let other =
        PeerKey { store: StoreKey { user: "bo".into(), datastore: "mail".into() }, device: "phone".into() };
    commit(
        store,
        vec![
            map("phone", bound(1, "a", "1", 1)),
            map("phone", bound(2, "b", "1", 2)),
            map("laptop", bound(1, "c", "1", 3)),
            Write::Map(other.clone(), Record::Put(bound(1, "d", "1", 4)), Seen::AsRecorded),
        ],
    );
    let guid_of = |device: &str, generation| by_luid(store, device, generation, "1").map(|entry| entry.guid);
    assert_eq!(guid_of("phone", 1), Some(guid("a")));
    assert_eq!(guid_of("phone", 2), Some(guid("b")));
    assert_eq!(guid_of("laptop", 1), Some(guid("c")));
    assert_eq!(guid_of("laptop", 2), None);
    let found = read(store, Read::ByLuid(other, 1, luid("1")));
    assert_eq!(found, Value::Entry(Some(bound(1, "d", "1", 4))));
}

fn open_offers<S: Fixture>(store: &S) {
    let offers = [pending(1, "b", None, 1), pending(1, "a", Some("t9"), 2), pending(1, "c", Some("t1"), 0)];
    commit(store, offers.iter().map(|entry| map("phone", entry.clone())).collect());
    commit(store, vec![map("phone", bound(1, "aa", "1", 1)), map("phone", pending(2, "d", None, 1))]);
    let found = |limit| match read(store, Read::Pending(peer("phone"), 1, limit)) {
        Value::Entries(entries) => entries,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(9), [offers[1].clone(), offers[0].clone(), offers[2].clone()], "by GUID");
    assert_eq!(found(2), [offers[1].clone(), offers[0].clone()]);
    commit(store, vec![map("phone", bound(1, "a", "2", 2))]);
    assert_eq!(found(9), [offers[0].clone(), offers[2].clone()]);
}

fn replace<S: Fixture>(store: &S) {
    commit(store, vec![map("phone", pending(1, "a", Some("t1"), 1))]);
    commit(store, vec![map("phone", bound(1, "a", "1", 2))]);
    commit(store, vec![map("phone", bound(1, "a", "2", 3))]);
    assert_eq!(by_guid(store, "phone", 1, "a"), Some(bound(1, "a", "2", 3)));
    assert_eq!(by_luid(store, "phone", 1, "1"), None);
    assert_eq!(by_wire(store, "phone", 1, "t1"), None);
    assert_eq!(by_wire(store, "phone", 1, "a"), Some(bound(1, "a", "2", 3)));
}

fn last_wins<S: Fixture>(store: &S) {
    commit(store, vec![map("phone", bound(1, "a", "1", 1)), map("phone", pending(1, "b", Some("t1"), 1))]);
    commit(store, vec![map("phone", bound(1, "c", "1", 2)), map("phone", pending(1, "d", Some("t1"), 2))]);
    assert_eq!(by_guid(store, "phone", 1, "a"), None);
    assert_eq!(by_guid(store, "phone", 1, "b"), None);
    assert_eq!(by_luid(store, "phone", 1, "1"), Some(bound(1, "c", "1", 2)));
    assert_eq!(by_wire(store, "phone", 1, "t1"), Some(pending(1, "d", Some("t1"), 2)));
}

fn removal<S: Fixture>(store: &S) {
    let write = |record| Write::Map(peer("phone"), record, Seen::AsRecorded);
    commit(
        store,
        vec![
            map("phone", bound(1, "a", "1", 1)),
            map("phone", bound(1, "b", "2", 1)),
            map("phone", bound(2, "a", "1", 1)),
            map("phone", bound(3, "a", "1", 1)),
            map("laptop", bound(1, "a", "1", 1)),
        ],
    );
    commit(
        store,
        vec![
            write(Record::Remove { generation: 1, guid: guid("a") }),
            write(Record::Remove { generation: 1, guid: guid("nobody") }),
        ],
    );
    assert_eq!(by_guid(store, "phone", 1, "a"), None);
    assert_eq!(by_luid(store, "phone", 1, "1"), None);
    assert!(by_guid(store, "phone", 1, "b").is_some() && by_guid(store, "phone", 2, "a").is_some());
    commit(store, vec![write(Record::KeepOnly { generation: 2 })]);
    assert_eq!(by_guid(store, "phone", 1, "b"), None);
    assert_eq!(by_guid(store, "phone", 3, "a"), None);
    assert_eq!(by_guid(store, "phone", 2, "a"), Some(bound(2, "a", "1", 1)));
    assert_eq!(by_guid(store, "laptop", 1, "a"), Some(bound(1, "a", "1", 1)), "only of this peer");
}

fn this_commit<S: Fixture>(store: &S) {
    commit(store, vec![put("x", None)]);
    commit(store, vec![put("y", None)]);
    let seen = |id: &str, seen| Write::Map(peer("phone"), Record::Put(bound(1, id, id, 1)), seen);
    commit(store, vec![seen("a", Seen::ThisCommit), put("a", None), seen("x", Seen::AsRecorded)]);
    assert_eq!(item(store, "a").unwrap().rev, 3);
    assert_eq!(by_guid(store, "phone", 1, "a").unwrap().seen_rev, 3);
    assert_eq!(by_guid(store, "phone", 1, "x").unwrap().seen_rev, 1);
}

fn this_commit_of_nothing<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None)]);
    let write = Write::Map(peer("phone"), Record::Put(bound(1, "a", "1", 1)), Seen::ThisCommit);
    let elsewhere = Write::PutItem {
        store: StoreKey { user: "ana".into(), datastore: "notes".into() },
        guid: guid("n"),
        expect: None,
        value: plain(0),
        body: None,
    };
    let result = store.commit(&Commit { session: None, writes: vec![elsewhere, write] });
    assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
    assert_eq!(by_guid(store, "phone", 1, "a"), None);
}

fn peers<S: Fixture>(store: &S) {
    let point = |n: u64| SyncPoint { theirs: format!("2026{n}Z").into(), ours: "é".into(), rev: n };
    let filter = Some(key(4));
    let (committed, previous) = (Some(point(8)), Some(point(5)));
    let row = Peer { generation: 3, started: u32::MAX, committed, previous, filter };
    commit(store, vec![Write::PutPeer(peer("phone"), row.clone())]);
    commit(store, vec![Write::PutPeer(peer("laptop"), Peer::default())]);
    assert_eq!(read(store, Read::Peer(peer("phone"))), Value::Peer(Some(row)));
    let row = Peer { generation: 4, started: 4, committed: Some(point(9)), ..Peer::default() };
    commit(store, vec![Write::PutPeer(peer("phone"), row.clone())]);
    assert_eq!(read(store, Read::Peer(peer("phone"))), Value::Peer(Some(row)));
    assert_eq!(read(store, Read::Peer(peer("laptop"))), Value::Peer(Some(Peer::default())));
}

fn matching<S: Store>(store: &S, generation: u32, octet: u8) -> Vec<String> {
    match read(store, matches_of(generation, octet)) {
        Value::Items(items) => items.iter().map(|item| item.guid.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn matches<S: Fixture>(store: &S) {
    let keyed = |keys: &[u8]| ItemValue { match_keys: keys.iter().copied().map(key).collect(), ..plain(1) };
    commit(store, vec![put_value("z", None, keyed(&[1])), put_value("y", None, keyed(&[2, 1]))]);
    commit(store, vec![put_value("a", None, keyed(&[1, 2])), put_value("d", None, keyed(&[1]))]);
    commit(store, vec![delete("d", 2)]);
    assert_eq!(matching(store, 1, 1), ["a", "y", "z"], "by id");
    assert_eq!(matching(store, 1, 2), ["a", "y"]);
    assert!(matching(store, 1, 3).is_empty());
    commit(store, vec![map("phone", bound(1, "y", "1", 1)), map("phone", pending(1, "z", None, 1))]);
    assert_eq!(matching(store, 1, 1), ["a"], "bound and pending ones are taken");
    assert_eq!(matching(store, 2, 1), ["a", "y", "z"], "in another generation they are free");
    let many = (0..40).map(|n| put_value(&format!("m{n:02}"), None, keyed(&[7]))).collect();
    commit(store, many);
    let found = matching(store, 1, 7);
    assert_eq!(found.len(), 16);
    assert_eq!((found[0].as_str(), found[15].as_str()), ("m00", "m15"));
    let after = Some(guid("m15"));
    let rest = Read::Matches { peer: peer("phone"), generation: 1, key: key(7), after, limit: 99 };
    let Value::Items(rest) = read(store, rest) else { panic!("no items") };
    assert_eq!((rest.len(), rest[0].guid.as_str()), (24, "m16"), "it goes on after an id");
    match read(store, matches_of(1, 2)) {
        Value::Items(items) => assert_eq!(items[0].value.match_keys, [key(1), key(2)], "items come whole"),
        other => panic!("{other:?}"),
    }
}

fn match_keys_change<S: Fixture>(store: &S) {
    let keyed = |octet| ItemValue { match_keys: vec![key(octet)], ..plain(1) };
    commit(store, vec![put_value("a", None, keyed(1))]);
    commit(store, vec![put_value("a", Some(1), keyed(2))]);
    assert!(matching(store, 1, 1).is_empty());
    assert_eq!(matching(store, 1, 2), ["a"]);
    let twice = ItemValue { match_keys: vec![key(5), key(5)], ..plain(1) };
    commit(store, vec![put_value("b", None, twice)]);
    assert_eq!(matching(store, 1, 5), ["b"], "a key said twice finds its item once");
}
