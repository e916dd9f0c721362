//! Items, bodies, revisions, tombstones.

use super::*;

pub(super) fn cases<S: Fixture>() -> Vec<Case<S>> {
    vec![
        ("an empty store answers every read", empty),
        ("an item comes back as it was put", round_trip),
        ("all items of a commit share one revision, one commit one number", revisions),
        ("datastores and users count apart", apart),
        ("without a body the old one stays", body_stays),
        ("a deleted item leaves a tombstone", tombstone),
        ("a tombstone can come back", undelete),
        ("what is in an item", children),
        ("what is set aside", keeping),
        ("a wrong expectation is stale", expectations),
        ("an expectation is about the state before the commit", expect_before_commit),
        ("a commit is all or nothing", all_or_nothing),
        ("something that must happen once happens once", once),
        ("queue rows", queue_rows),
        ("any octets and sizes in a body", octets),
    ]
}

fn empty<S: Fixture>(store: &S) {
    let changes = Changes { peer: peer("phone"), generation: 0, since: 0, upto: u64::MAX };
    let expected = [
        (Read::Login { user: "ana".into(), device: "phone".into() }, Value::Login(None)),
        (Read::Peer(peer("phone")), Value::Peer(None)),
        (Read::Head(mail()), Value::Rev(0)),
        (Read::ByLuid(peer("phone"), 0, luid("1")), Value::Entry(None)),
        (Read::ByGuid(peer("phone"), 0, guid("a")), Value::Entry(None)),
        (Read::ByWire(peer("phone"), 0, "a".into()), Value::Entry(None)),
        (Read::Pending(peer("phone"), 0, 9), Value::Entries(vec![])),
        (Read::Device("ana".into(), "phone".into()), Value::Device(None)),
        (Read::Item(mail(), guid("a")), Value::Item(None)),
        (Read::Body(mail(), guid("a")), Value::Body(None)),
        (matches_of(0, 1), Value::Items(vec![])),
        (Read::Children(mail(), guid("a"), 9), Value::Items(vec![])),
        (Read::Live(peer("phone"), 0, Cursor::default(), 9), Value::Rows(vec![])),
        (Read::Rows(changes.clone(), Cursor::default(), 10), Value::Rows(vec![])),
        (Read::Count(changes), Value::Count(0)),
        (Read::Spool { token: "t".into(), direction: Direction::In, offset: 0, len: 10 }, Value::Body(None)),
        (Read::Once("ana".into(), "k".into()), Value::Once(None)),
        (Read::Session("t".into()), Value::Session(None)),
    ];
    let reads: Vec<Read> = expected.iter().map(|(read, _)| read.clone()).collect();
    let found = store.read(&reads).unwrap();
    for (read, value) in expected {
        assert_eq!(found.get(&read), Some(&value), "{read:?}");
    }
}

fn round_trip<S: Fixture>(store: &S) {
    commit(store, vec![put("folder", None)]);
    let value = ItemValue {
        rank: 200,
        parent: Some(guid("folder")),
        kind: "message/rfc822".into(),
        fields: Bytes::from_static(b"\0\xff read"),
        match_keys: vec![key(3), key(1), key(2)],
    };
    commit(store, vec![put_value("m", None, value.clone())]);
    let expected = Item { guid: guid("m"), rev: 2, body_rev: 2, deleted: false, value, size: 9 };
    assert_eq!(item(store, "m"), Some(expected));
    assert_eq!(body(store, "m"), Some(Bytes::from_static(b"body of m")));
    assert_eq!(item(store, "M"), None, "ids compare octet by octet");
}

fn revisions<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None), put("b", None), put("c", None)]);
    let revs: Vec<u64> = ["a", "b", "c"].iter().map(|id| item(store, id).unwrap().rev).collect();
    assert_eq!(revs, [1, 1, 1]);
    commit(store, vec![put("b", Some(1)), delete("c", 1)]);
    let revs: Vec<u64> = ["a", "b", "c"].iter().map(|id| item(store, id).unwrap().rev).collect();
    assert_eq!(revs, [1, 2, 2]);
    assert_eq!(head(store), 2);
    commit(store, vec![Write::PutPeer(peer("phone"), Peer::default())]);
    assert_eq!(head(store), 2, "a commit that touches no item takes no number");
}

fn apart<S: Fixture>(store: &S) {
    let other = [("ana", "notes"), ("bo", "mail")]
        .map(|(user, datastore)| StoreKey { user: user.into(), datastore: datastore.into() });
    commit(store, vec![put("a", None)]);
    commit(store, vec![put("a", Some(1))]);
    for key in &other {
        assert_eq!(read(store, Read::Head(key.clone())), Value::Rev(0));
        assert_eq!(read(store, Read::Item(key.clone(), guid("a"))), Value::Item(None));
        assert_eq!(read(store, Read::Body(key.clone(), guid("a"))), Value::Body(None));
    }
    let put_in = |key: &StoreKey| Write::PutItem {
        store: key.clone(),
        guid: guid("a"),
        expect: None,
        value: plain(0),
        body: None,
    };
    commit(store, vec![put_in(&other[0]), put("b", None), put_in(&other[1])]);
    assert_eq!(head(store), 3);
    for key in &other {
        assert_eq!(read(store, Read::Head(key.clone())), Value::Rev(1));
    }
}

fn body_stays<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None)]);
    let fields = |text: &'static [u8]| ItemValue { fields: Bytes::from_static(text), ..plain(1) };
    let only_fields =
        Write::PutItem { store: mail(), guid: guid("a"), expect: Some(1), value: fields(b"x"), body: None };
    commit(store, vec![only_fields]);
    let found = item(store, "a").unwrap();
    assert_eq!((found.rev, found.body_rev, found.size), (2, 1, 9));
    assert_eq!(found.value, fields(b"x"));
    assert_eq!(body(store, "a"), Some(Bytes::from_static(b"body of a")));
    let bare = Write::PutItem { store: mail(), guid: guid("n"), expect: None, value: plain(0), body: None };
    commit(store, vec![bare]);
    let found = item(store, "n").unwrap();
    assert_eq!((found.rev, found.body_rev, found.size), (3, 3, 0));
    assert_eq!(body(store, "n"), None);
}

fn tombstone<S: Fixture>(store: &S) {
    let value = ItemValue {
        parent: Some(guid("f")),
        fields: Bytes::from_static(b"x"),
        match_keys: vec![key(1)],
        ..plain(3)
    };
    commit(store, vec![put_value("a", None, value.clone())]);
    commit(store, vec![delete("a", 1)]);
    let expected = Item {
        guid: guid("a"),
        rev: 2,
        body_rev: 2,
        deleted: true,
        value: ItemValue { match_keys: vec![], ..value },
        size: 0,
    };
    assert_eq!(item(store, "a"), Some(expected));
    assert_eq!(body(store, "a"), None);
    assert_eq!(read(store, matches_of(0, 1)), Value::Items(vec![]));
}

fn undelete<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None)]);
    commit(store, vec![delete("a", 1)]);
    stale(store, vec![put("a", None)]);
    commit(store, vec![put("a", Some(2))]);
    let found = item(store, "a").unwrap();
    assert_eq!((found.rev, found.body_rev, found.deleted, found.size), (3, 3, false, 9));
    assert_eq!(body(store, "a"), Some(Bytes::from_static(b"body of a")));
}

fn children<S: Fixture>(store: &S) {
    let inside = |parent: &str| ItemValue { parent: Some(guid(parent)), ..plain(1) };
    commit(store, vec![put("f", None), put("g", None)]);
    commit(store, vec![put_value("b", None, inside("f")), put_value("a", None, inside("f"))]);
    let names = |parent: &str, limit| match read(store, Read::Children(mail(), guid(parent), limit)) {
        Value::Items(items) => items.iter().map(|item| item.guid.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names("f", 9), ["a", "b"]);
    assert_eq!(names("f", 1), ["a"]);
    commit(store, vec![put_value("a", Some(2), inside("g")), delete("b", 2)]);
    assert!(names("f", 9).is_empty());
    assert_eq!(names("g", 9), ["a"]);
}

fn keeping<S: Fixture>(store: &S) {
    let keep = |id: &str| Write::Keep { store: mail(), guid: guid(id), until: Some(9) };
    commit(store, vec![put("a", None)]);
    commit(store, vec![keep("a"), delete("a", 1), keep("nothing")]);
    assert!(item(store, "a").unwrap().deleted, "what is set aside is out of the way");
    assert_eq!(head(store), 2);
    let lost = |datastore| Write::KeepCopy {
        store: datastore,
        guid: guid("a"),
        until: Some(9),
        value: ItemValue::default(),
        body: Bytes::from_static(b"lost"),
    };
    let nowhere = StoreKey { user: "ann".into(), datastore: "nowhere".into() };
    commit(store, vec![lost(mail()), lost(nowhere)]);
    assert_eq!(head(store), 2, "nobody needs to be told of it");
    assert!(item(store, "a").unwrap().deleted);
}

fn expectations<S: Fixture>(store: &S) {
    stale(store, vec![put("a", Some(1))]);
    stale(store, vec![put("a", Some(0))]);
    stale(store, vec![delete("a", 0)]);
    commit(store, vec![put("a", None)]);
    commit(store, vec![put("b", None)]);
    stale(store, vec![put("a", None)]);
    stale(store, vec![put("a", Some(2))]);
    stale(store, vec![delete("a", 2)]);
    assert_eq!(head(store), 2);
    assert_eq!(item(store, "a").unwrap().rev, 1);
}

fn expect_before_commit<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None), put_value("a", None, plain(5))]);
    let found = item(store, "a").unwrap();
    assert_eq!((found.rev, found.value.rank), (1, 5));
    commit(store, vec![put_value("a", Some(1), plain(6)), delete("a", 1)]);
    let found = item(store, "a").unwrap();
    assert_eq!((found.rev, found.deleted), (2, true));
    assert_eq!(body(store, "a"), None);
    commit(store, vec![put("b", None)]);
    stale(store, vec![put_value("b", Some(3), plain(6)), delete("b", 4)]);
    assert!(!item(store, "b").unwrap().deleted);
}

fn all_or_nothing<S: Fixture>(store: &S) {
    commit(store, vec![put("a", None)]);
    let peer_row = Peer { generation: 9, ..Peer::default() };
    let everything = vec![
        put("b", None),
        put_value("a", Some(1), ItemValue { match_keys: vec![key(9)], ..plain(2) }),
        map("phone", bound(1, "a", "1", 1)),
        Write::PutPeer(peer("phone"), peer_row),
        Write::Once("ana".into(), "k".into(), guid("b")),
        Write::Enqueue("out".into(), "1".into(), Bytes::from_static(b"job")),
        Write::Spool {
            token: "t".into(),
            direction: Direction::Out,
            offset: 0,
            data: Bytes::from_static(b"xyz"),
        },
        put("c", Some(77)),
    ];
    stale(store, everything);
    assert_eq!(head(store), 1);
    assert_eq!(item(store, "b"), None);
    assert_eq!(item(store, "a").unwrap().value, plain(1));
    assert_eq!(body(store, "b"), None);
    assert_eq!(by_guid(store, "phone", 1, "a"), None);
    assert_eq!(read(store, matches_of(0, 9)), Value::Items(vec![]));
    assert_eq!(read(store, Read::Peer(peer("phone"))), Value::Peer(None));
    assert_eq!(read(store, Read::Once("ana".into(), "k".into())), Value::Once(None));
    let spool = Read::Spool { token: "t".into(), direction: Direction::Out, offset: 0, len: 9 };
    assert_eq!(read(store, spool), Value::Body(None));
    assert!(store.queue("out").is_empty());
    commit(store, vec![put("b", None)]);
    assert_eq!(item(store, "b").unwrap().rev, 2, "a failed commit takes no number");
}

fn once<S: Fixture>(store: &S) {
    let write = |user: &str, what: &str, id: &str| Write::Once(user.into(), what.into(), guid(id));
    commit(store, vec![write("ana", "sent:<1@x>", "a")]);
    stale(store, vec![write("ana", "sent:<1@x>", "a")]);
    stale(store, vec![write("ana", "sent:<1@x>", "b")]);
    commit(store, vec![write("bo", "sent:<1@x>", "b"), write("ana", "sent:<2@x>", "c")]);
    let found = |user: &str, what: &str| read(store, Read::Once(user.into(), what.into()));
    assert_eq!(found("ana", "sent:<1@x>"), Value::Once(Some(guid("a"))));
    assert_eq!(found("bo", "sent:<1@x>"), Value::Once(Some(guid("b"))));
    assert_eq!(found("ana", "sent:<2@x>"), Value::Once(Some(guid("c"))));
    assert_eq!(found("bo", "sent:<2@x>"), Value::Once(None));
    stale(store, vec![write("ana", "new", "a"), write("ana", "new", "b")]);
    assert_eq!(found("ana", "new"), Value::Once(None));
}

fn queue_rows<S: Fixture>(store: &S) {
    let add = |queue: &str, id: &str, content: &'static [u8]| {
        Write::Enqueue(queue.into(), id.into(), Bytes::from_static(content))
    };
    commit(store, vec![add("out", "2", b"two"), add("out", "1", b"one"), add("other", "1", b"else")]);
    commit(store, vec![add("out", "2", b"two again")]);
    let pairs = |queue: &str| -> Vec<(String, Vec<u8>)> {
        store.queue(queue).into_iter().map(|(id, content)| (id.into(), content.to_vec())).collect()
    };
    assert_eq!(pairs("out"), [("1".into(), b"one".to_vec()), ("2".into(), b"two again".to_vec())]);
    commit(store, vec![Write::Dequeue("out".into(), "1".into()), Write::Dequeue("out".into(), "9".into())]);
    assert_eq!(pairs("out"), [("2".into(), b"two again".to_vec())]);
    assert_eq!(pairs("other"), [("1".into(), b"else".to_vec())]);
    commit(store, vec![add("out", "3", b"x"), Write::Dequeue("out".into(), "3".into())]);
    assert_eq!(pairs("out").len(), 1, "in order");
}

fn octets<S: Fixture>(store: &S) {
    let all: Vec<u8> = (0..=255u8).cycle().take(300_000).collect();
    for (at, data) in [Bytes::new(), Bytes::from_static(b"\0"), Bytes::from(all)].into_iter().enumerate() {
        let id = format!("item-{at} äö\u{4e2d}");
        let size = data.len() as u64;
        let value = plain(0);
        let write =
            Write::PutItem { store: mail(), guid: guid(&id), expect: None, value, body: Some(data.clone()) };
        commit(store, vec![write]);
        assert_eq!(body(store, &id), Some(data));
        assert_eq!(item(store, &id).unwrap().size, size);
    }
}
