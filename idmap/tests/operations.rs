//! Each operation in each state: what it returns, and that errors change nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{
    Entry, Guid, Luid, MapError, Record, State, TempId, View, Wire, adopt, bind, forget, offer, seen, settle,
    switch_generation,
};

const GENERATION: u32 = 3;

fn guid(text: &str) -> Guid {
    Guid::try_from(text).unwrap()
}

fn luid(text: &str) -> Luid {
    Luid::try_from(text).unwrap()
}

fn entry(id: &str, state: State) -> Entry {
    Entry { guid: guid(id), state, generation: GENERATION, seen_rev: 5, form: 0 }
}

fn pending(id: &str) -> Entry {
    entry(id, State::Pending { wire: Wire::Guid })
}

fn bound(id: &str, to: &str) -> Entry {
    entry(id, State::Bound { luid: luid(to), wire: Wire::Guid })
}

/// `held` is bound to LUID 1, `offered` is pending.
fn view() -> View {
    [bound("held", "1"), pending("offered")].into_iter().collect()
}

fn temp(records: &[Record]) -> TempId {
    let [Record::Put(entry)] = records else { panic!("one row expected: {records:?}") };
    entry.wire().temp().expect("a temporary id").clone()
}

#[test]
fn an_offer_of_something_new_awaits_its_map() {
    let (wire, records) = offer(&view(), GENERATION, &guid("new"), None, 0, 5, 0).unwrap();
    assert_eq!(wire, Wire::Guid);
    assert_eq!(records, [Record::Put(pending("new"))]);
}

#[test]
fn an_offer_again_keeps_the_id_and_takes_the_revision() {
    let same = offer(&view(), GENERATION, &guid("offered"), None, 9, 5, 0).unwrap();
    assert_eq!(same, (Wire::Guid, vec![]));
    let (_, records) = offer(&view(), GENERATION, &guid("offered"), None, 9, 6, 2).unwrap();
    assert_eq!(records, [Record::Put(Entry { seen_rev: 6, form: 2, ..pending("offered") })]);
}

#[test]
fn an_offer_of_what_the_client_has_is_refused() {
    let refused = offer(&view(), GENERATION, &guid("held"), None, 0, 6, 0);
    assert_eq!(refused, Err(MapError::GuidBound { guid: guid("held"), luid: luid("1") }));
}

// mission: M7
#[test]
fn a_guid_longer_than_max_guid_size_goes_as_a_temporary_id() {
    let long = guid("0123456789abcdef");
    for max in 4..16 {
        let (wire, records) = offer(&view(), GENERATION, &long, Some(max), 77, 5, 0).unwrap();
        assert!(wire.as_str(&long).len() <= max, "{max}");
        let again: View = records.iter().fold(view(), |mut view, record| {
            view.apply(record);
            view
        });
        // The same id whatever `unique` says now, and as long as it fits.
        assert_eq!(offer(&again, GENERATION, &long, Some(max), 78, 5, 0), Ok((wire, vec![])));
    }
    assert_eq!(offer(&view(), GENERATION, &long, Some(16), 77, 5, 0).unwrap().0, Wire::Guid);
}

#[test]
fn a_max_guid_size_below_four_takes_only_guids_that_fit() {
    assert_eq!(offer(&view(), GENERATION, &guid("abc"), Some(3), 0, 5, 0).unwrap().0, Wire::Guid);
    for max in 0..4 {
        let refused = offer(&view(), GENERATION, &guid("abcd"), Some(max), 0, 5, 0);
        assert_eq!(refused, Err(MapError::MaxGuidSize { max, least: 4 }));
    }
}

#[test]
fn a_max_guid_size_that_shrank_takes_a_new_id() {
    // First offered before the client's DevInf was known.
    let (wire, records) = offer(&view(), GENERATION, &guid("offered"), Some(5), 1, 5, 0).unwrap();
    assert_eq!(wire, Wire::Temp(temp(&records)));
    let mut after = view();
    after.extend(&records);
    assert_eq!(after.by_wire(GENERATION, "offered"), None);
    assert_eq!(after.by_wire(GENERATION, wire.as_str(&guid("offered"))).unwrap().guid, guid("offered"));
}

#[test]
fn a_temporary_id_avoids_guids_and_remembered_ones() {
    let ids: Vec<TempId> = TempId::candidates(7, 4).unwrap().collect();
    let [first, second, third, ..] = &ids[..] else { panic!("{ids:?}") };
    let state = State::Bound { luid: luid("2"), wire: Wire::Temp(second.clone()) };
    let view: View = [pending(first.as_str()), entry("something long", state)].into_iter().collect();
    let (wire, _) = offer(&view, GENERATION, &guid("long one"), Some(4), 7, 5, 0).unwrap();
    assert_eq!(wire, Wire::Temp(third.clone()));
    // Another generation is another name space.
    let (wire, _) = offer(&view, GENERATION + 1, &guid("long one"), Some(4), 7, 5, 0).unwrap();
    assert_eq!(wire, Wire::Temp(first.clone()));
}

#[test]
fn a_temporary_id_avoids_a_guid_that_goes_by_another_id() {
    let ids: Vec<TempId> = TempId::candidates(7, 4).unwrap().collect();
    let other = Wire::Temp(TempId::try_from("else").unwrap());
    let view: View = [entry(ids[0].as_str(), State::Pending { wire: other })].into_iter().collect();
    let (wire, _) = offer(&view, GENERATION, &guid("long one"), Some(4), 7, 5, 0).unwrap();
    assert_eq!(wire, Wire::Temp(ids[1].clone()));
}

#[test]
fn a_short_guid_that_reads_like_a_temporary_id_gets_one_itself() {
    let first = TempId::candidates(7, 4).unwrap().next().unwrap();
    let state = State::Pending { wire: Wire::Temp(first.clone()) };
    let view: View = [entry("something long", state)].into_iter().collect();
    let (wire, _) = offer(&view, GENERATION, &guid(first.as_str()), Some(4), 8, 5, 0).unwrap();
    assert_eq!(wire, Wire::Temp(TempId::candidates(8, 4).unwrap().next().unwrap()));
}

#[test]
fn all_candidates_in_use_is_said() {
    let rows = TempId::candidates(7, 4)
        .unwrap()
        .enumerate()
        .map(|(number, id)| entry(&format!("long {number}"), State::Pending { wire: Wire::Temp(id) }));
    let view: View = rows.collect();
    assert_eq!(view.len(), 8);
    let refused = offer(&view, GENERATION, &guid("one more"), Some(4), 7, 5, 0);
    assert_eq!(refused, Err(MapError::TempIdsInUse { unique: 7, tried: 8 }));
}

#[test]
fn temporary_ids_of_a_counter_differ() {
    let first = |unique| TempId::candidates(unique, 4).unwrap().next().unwrap();
    let ids: std::collections::BTreeSet<TempId> = (0..1 << 20).map(first).collect();
    assert_eq!(ids.len(), 1 << 20);
    assert_eq!(first(1 << 20), first(0));
    assert_eq!(first(0).as_str(), "0000");
    assert_eq!(TempId::candidates(31 + (10 << 5), 8).unwrap().next().unwrap().as_str(), "000000az");
}

#[test]
fn a_map_binds_what_was_offered() {
    let records = bind(&view(), GENERATION, "offered", &luid("2")).unwrap();
    assert_eq!(records, [Record::Put(bound("offered", "2"))]);
}

// spec-test: threats S6
#[test]
fn threat_s6_map_of_an_id_never_offered() {
    let never = |wire: &str| MapError::NotOffered { generation: GENERATION, wire: wire.into() };
    assert_eq!(bind(&view(), GENERATION, "unknown", &luid("2")), Err(never("unknown")));
    assert_eq!(bind(&view(), GENERATION, "", &luid("2")), Err(never("")));
    let elsewhere = bind(&view(), GENERATION + 1, "offered", &luid("2"));
    assert_eq!(elsewhere, Err(MapError::NotOffered { generation: GENERATION + 1, wire: "offered".into() }));
    // What the peer sends is cut and escaped in the message.
    let long = bind(&view(), GENERATION, &"\n".repeat(1000), &luid("2")).unwrap_err().to_string();
    assert_eq!(long, format!("id \"{}\" was not offered in generation 3", "\\n".repeat(64)));
}

#[test]
fn threat_s6_map_by_guid_of_what_was_offered_under_a_temporary_id() {
    let (_, records) = offer(&view(), GENERATION, &guid("long one"), Some(4), 7, 5, 0).unwrap();
    let mut view = view();
    view.extend(&records);
    let refused = bind(&view, GENERATION, "long one", &luid("2"));
    assert_eq!(refused, Err(MapError::NotOffered { generation: GENERATION, wire: "long one".into() }));
    assert_eq!(bind(&view, GENERATION, temp(&records).as_str(), &luid("2")).unwrap().len(), 1);
}

#[test]
fn threat_s6_map_of_a_luid_twice() {
    let refused = bind(&view(), GENERATION, "offered", &luid("1"));
    assert_eq!(refused, Err(MapError::LuidBound { luid: luid("1"), guid: guid("held") }));
    assert!(refused.unwrap_err().is_violation());
}

#[test]
fn threat_s6_map_of_a_guid_to_another_luid() {
    let refused = bind(&view(), GENERATION, "held", &luid("2"));
    assert_eq!(refused, Err(MapError::GuidBound { guid: guid("held"), luid: luid("1") }));
}

#[test]
fn threat_s6_same_pair_again_is_answered_ok() {
    assert_eq!(bind(&view(), GENERATION, "held", &luid("1")), Ok(vec![]));
    // Also by the temporary id, which a bound entry remembers until it is settled.
    let mut view = view();
    let (wire, offered) = offer(&view, GENERATION, &guid("long one"), Some(7), 7, 5, 0).unwrap();
    view.extend(&offered);
    let wire = wire.as_str(&guid("long one")).to_owned();
    view.extend(&bind(&view.clone(), GENERATION, &wire, &luid("2")).unwrap());
    assert_eq!(bind(&view, GENERATION, &wire, &luid("2")), Ok(vec![]));
    view.extend(&settle(&view.clone(), GENERATION, &guid("long one")));
    assert!(bind(&view, GENERATION, &wire, &luid("2")).is_err());
    assert_eq!(view.by_luid(GENERATION, &luid("2")), Some(&bound("long one", "2")));
}

#[test]
fn threat_s5_a_luid_means_nothing_on_another_device_or_generation() {
    let (phone, tablet) = (view(), View::default());
    assert_eq!(phone.by_luid(GENERATION, &luid("1")).unwrap().guid, guid("held"));
    assert_eq!(tablet.by_luid(GENERATION, &luid("1")), None);
    assert_eq!(phone.by_luid(GENERATION - 1, &luid("1")), None);
}

#[test]
fn adopting_binds_without_an_offer() {
    let records = adopt(&view(), GENERATION, &luid("2"), &guid("new"), 5, 0).unwrap();
    assert_eq!(records, [Record::Put(bound("new", "2"))]);
}

#[test]
fn adopting_a_pending_one_takes_the_revision_that_the_client_has() {
    let records = adopt(&view(), GENERATION, &luid("2"), &guid("offered"), 4, 1).unwrap();
    assert_eq!(records, [Record::Put(Entry { seen_rev: 4, form: 1, ..bound("offered", "2") })]);
}

#[test]
fn adopting_the_same_pair_is_seeing_it() {
    assert_eq!(adopt(&view(), GENERATION, &luid("1"), &guid("held"), 4, 9), Ok(vec![]));
    let records = adopt(&view(), GENERATION, &luid("1"), &guid("held"), 6, 0).unwrap();
    assert_eq!(records, [Record::Put(Entry { seen_rev: 6, ..bound("held", "1") })]);
}

#[test]
fn adopting_half_of_another_pair_is_refused() {
    let luid_taken = adopt(&view(), GENERATION, &luid("1"), &guid("new"), 5, 0);
    assert_eq!(luid_taken, Err(MapError::LuidBound { luid: luid("1"), guid: guid("held") }));
    let guid_taken = adopt(&view(), GENERATION, &luid("2"), &guid("held"), 5, 0);
    assert_eq!(guid_taken, Err(MapError::GuidBound { guid: guid("held"), luid: luid("1") }));
}

#[test]
fn seen_never_goes_back() {
    assert_eq!(seen(&view(), GENERATION, &guid("held"), 4, 7), Ok(vec![]));
    assert_eq!(seen(&view(), GENERATION, &guid("held"), 5, 0), Ok(vec![]));
    let whole = seen(&view(), GENERATION, &guid("held"), 5, 7).unwrap();
    assert_eq!(whole, [Record::Put(Entry { form: 7, ..bound("held", "1") })]);
    let newer = seen(&view(), GENERATION, &guid("offered"), 6, 0).unwrap();
    assert_eq!(newer, [Record::Put(Entry { seen_rev: 6, ..pending("offered") })]);
}

#[test]
fn seeing_what_has_no_entry_is_misuse() {
    let refused = seen(&view(), GENERATION, &guid("new"), 5, 0).unwrap_err();
    assert_eq!(refused, MapError::NoEntry { generation: GENERATION, guid: guid("new") });
    assert!(!refused.is_violation());
}

#[test]
fn forgetting_frees_both_ids() {
    let mut view = view();
    let records = forget(&view, GENERATION, &guid("held"));
    assert_eq!(records, [Record::Remove { generation: GENERATION, guid: guid("held") }]);
    view.extend(&records);
    assert_eq!(forget(&view, GENERATION, &guid("held")), []);
    assert_eq!(bind(&view, GENERATION, "offered", &luid("1")).unwrap().len(), 1);
}

#[test]
fn settling_leaves_what_has_no_temporary_id() {
    for id in ["held", "offered", "new"] {
        assert_eq!(settle(&view(), GENERATION, &guid(id)), []);
    }
}

// mission: M7
#[test]
fn a_slow_sync_fills_a_new_generation_and_becomes_the_only_one() {
    let mut view = view();
    view.extend(&adopt(&view.clone(), GENERATION + 1, &luid("1"), &guid("other"), 1, 0).unwrap());
    // Both hold until it succeeds: the same LUID, each in its own.
    assert_eq!(view.by_luid(GENERATION, &luid("1")).unwrap().guid, guid("held"));
    assert_eq!(view.by_luid(GENERATION + 1, &luid("1")).unwrap().guid, guid("other"));
    view.apply(&switch_generation(GENERATION + 1));
    assert_eq!(view.iter().map(|entry| &entry.guid).collect::<Vec<_>>(), [&guid("other")]);
}
