//! What becomes of an item that both sides changed, by the rule of its datastore; and what loses can be had back.

use super::notes::server_note;
use super::raw::*;
use super::world::*;
use idmap::Guid;
use mailsync_proto::sync::event::{ConflictRule, DeletionRule, Event};
use mailsync_proto::sync::kept::restore;
use mailsync_proto::sync::store::{Commit, Found, Store};
use mailsync_proto::sync::turn::Reader;

/// A device that has `c1`, `c2` and `c3` synced; the server's ids of them.
fn synced(conflict: ConflictRule, deletions: DeletionRule) -> (World, Vec<Guid>) {
    let mut world = World::new();
    for store in &mut world.server.config.stores {
        (store.conflict, store.deletions) = (conflict, deletions);
    }
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer =
        raw.sync("notes", "", &(add(2, "c1", "one") + &add(3, "c2", "two") + &add(4, "c3", "three")));
    raw.take("notes", &answer);
    let id = |text: &str| world.items("notes").into_iter().find(|(_, _, body)| body == text).unwrap().0;
    let ids = ["one", "two", "three"].map(id).to_vec();
    world.server_events.borrow_mut().clear();
    (world, ids)
}

fn texts(world: &World) -> Vec<String> {
    let items = world.items("notes").into_iter();
    let mut texts: Vec<String> =
        items.map(|(_, _, body)| String::from_utf8(body.to_vec()).unwrap()).collect();
    texts.sort();
    texts
}

fn kept(world: &World) -> Vec<(Guid, String)> {
    let kept = world.server.store.kept(&World::key("notes")).into_iter();
    kept.map(|(item, body, until)| {
        assert!(until.is_some_and(|until| until >= world.clock.get() + 29 * 86_400), "30 days");
        (item.guid, String::from_utf8(body.unwrap().to_vec()).unwrap())
    })
    .collect()
}

fn told(world: &World) -> Vec<u16> {
    let events = world.server_events.borrow();
    let codes = events.iter().filter_map(|event| match event {
        Event::Conflict { code, .. } => Some(*code),
        _ => None,
    });
    codes.collect()
}

// spec-test: session facts section 4, conflict codes: 207, 208, 209, 419
#[test]
fn each_rule_has_its_status_its_event_and_loses_nothing() {
    for (rule, code, left, lost) in [
        (ConflictRule::ServerWins, 419, vec!["mine"], vec!["yours"]),
        (ConflictRule::ClientWins, 208, vec!["yours"], vec!["mine"]),
        (ConflictRule::KeepBoth, 209, vec!["mine", "yours"], vec![]),
        // A note cannot be merged: both stay.
        (ConflictRule::Merge, 209, vec!["mine", "yours"], vec![]),
    ] {
        let (world, ids) = synced(rule, DeletionRule::ByKind);
        server_note(&world, ids[0].as_str(), "mine");
        let mut raw = Raw::new(&world, 2);
        raw.alert("notes", 200, "1", "2", "");
        let answer = raw.sync("notes", "", &change("Replace", 2, "c1", "yours"));
        assert_eq!(codes(&answer), [(1, 200), (2, code)], "{rule:?}");
        assert_eq!(told(&world), [code]);
        let mut left = [&left[..], &["three", "two"]].concat();
        left.sort_unstable();
        assert_eq!(texts(&world), left, "{rule:?}");
        let kept: Vec<String> = kept(&world).into_iter().map(|(_, text)| text).collect();
        assert_eq!(kept, lost, "{rule:?}");
        let back = says(&answer).len();
        assert_eq!(back, usize::from(rule != ConflictRule::ClientWins), "the loser gets the other version");
    }
}

#[test]
fn a_deletion_against_a_change_by_the_rule_of_the_datastore() {
    for (rule, edit_stays) in
        [(DeletionRule::ByKind, true), (DeletionRule::EditWins, true), (DeletionRule::DeletionWins, false)]
    {
        let (world, ids) = synced(ConflictRule::ServerWins, rule);
        // The server deletes what the client changes, and the other way round.
        world.delete("notes", ids[0].as_str());
        server_note(&world, ids[1].as_str(), "two, mine");
        let mut raw = Raw::new(&world, 2);
        raw.alert("notes", 200, "1", "2", "");
        let changes = change("Replace", 2, "c1", "one, yours") + &delete(3, "c2", "");
        let answer = raw.sync("notes", "", &changes);
        let expected =
            if edit_stays { [(1, 200), (2, 201), (3, 419)] } else { [(1, 200), (2, 419), (3, 200)] };
        assert_eq!(codes(&answer), expected, "{rule:?}");
        assert_eq!(told(&world), if edit_stays { vec![208, 419] } else { vec![419] });
        let left = if edit_stays { vec!["one, yours", "three", "two, mine"] } else { vec!["three"] };
        assert_eq!(texts(&world), left, "{rule:?}");
        let mut lost: Vec<String> = kept(&world).into_iter().map(|(_, text)| text).collect();
        lost.sort();
        assert_eq!(lost, if edit_stays { vec![] } else { vec!["one, yours", "two, mine"] }, "{rule:?}");
    }
}

// threat: S11
#[test]
fn threat_s11_what_was_set_aside_comes_back_to_the_devices() {
    let (world, ids) = synced(ConflictRule::ServerWins, DeletionRule::ByKind);
    server_note(&world, ids[0].as_str(), "mine");
    let mut raw = Raw::new(&world, 2);
    raw.alert("notes", 200, "1", "2", "");
    let answer = raw.sync("notes", "", &(change("Replace", 2, "c1", "yours") + &delete(3, "c2", "")));
    raw.take("notes", &answer);
    assert_eq!(texts(&world), ["mine", "three"]);
    let key = World::key("notes");
    for (n, (item, body, _)) in world.server.store.kept(&key).into_iter().enumerate() {
        let (fresh, mut found) = (Guid::unvalidated(format!("back{n}")), Found::default());
        let state = (item.value, body.unwrap());
        let (guid, writes) = loop {
            let mut reader = Reader::new(&found);
            match restore(&mut reader, &key, &item.guid, state.clone(), &fresh, None) {
                Ok(done) => break done,
                Err(_) => found.extend(world.server.store.read(&reader.missed()).unwrap()),
            }
        };
        world.server.store.commit(&Commit { session: None, writes }).unwrap();
        // What lost a conflict stands beside the other; what was deleted is itself again.
        assert_eq!(guid == item.guid, state.1 == "two");
    }
    assert_eq!(texts(&world), ["mine", "three", "two", "yours"]);
    let mut raw = Raw::new(&world, 3);
    raw.alert("notes", 200, "2", "3", "");
    assert_eq!(says(&raw.sync("notes", "", "")).iter().filter(|said| said.starts_with("Add ")).count(), 2);
}
