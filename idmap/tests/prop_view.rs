//! Any records at all: the view stays bijective, and a replay ends where the first run did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{Entry, Guid, Luid, Record, State, TempId, View, Wire};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn wire() -> impl Strategy<Value = Wire> {
    // Some temporary ids read like GUIDs.
    prop_oneof![
        Just(Wire::Guid),
        (0..6_u8).prop_map(|n| Wire::Temp(TempId::try_from(format!("g{n}")).unwrap())),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let luid = proptest::option::of(0..6_u8);
    (0..8_u8, luid, wire(), 0..3_u32, 0..4_u64, 0..2_u32).prop_map(
        |(g, luid, wire, generation, seen_rev, form)| {
            let state = match luid {
                None => State::Pending { wire },
                Some(luid) => State::Bound { luid: Luid::try_from(luid.to_string()).unwrap(), wire },
            };
            Entry { guid: Guid::try_from(format!("g{g}")).unwrap(), state, generation, seen_rev, form }
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        8 => entry().prop_map(Record::Put),
        3 => (0..3_u32, 0..8_u8).prop_map(|(generation, g)| Record::Remove {
            generation,
            guid: Guid::try_from(format!("g{g}")).unwrap(),
        }),
        1 => (0..3_u32).prop_map(|generation| Record::KeepOnly { generation }),
    ]
}

fn assert_bijective(view: &View) {
    let (mut guids, mut luids, mut temps) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for entry in view.iter() {
        assert!(guids.insert((entry.generation, &entry.guid)), "GUID twice: {entry:?}");
        assert_eq!(view.by_guid(entry.generation, &entry.guid), Some(entry));
        if let Some(luid) = entry.luid() {
            assert!(luids.insert((entry.generation, luid)), "LUID twice: {entry:?}");
            assert_eq!(view.by_luid(entry.generation, luid), Some(entry));
        }
        if let Some(temp) = entry.wire().temp() {
            assert!(temps.insert((entry.generation, temp)), "temporary id twice: {entry:?}");
            assert_eq!(view.by_wire(entry.generation, temp.as_str()), Some(entry));
        }
    }
    assert_eq!(view.len(), guids.len());
    assert_eq!(view.is_empty(), guids.is_empty());
    // No look-up finds what is not there.
    for generation in 0..3 {
        for n in 0..8_u8 {
            let guid = Guid::try_from(format!("g{n}")).unwrap();
            let luid = Luid::try_from(n.to_string()).unwrap();
            assert_eq!(view.by_guid(generation, &guid).is_some(), guids.contains(&(generation, &guid)));
            assert_eq!(view.by_luid(generation, &luid).is_some(), luids.contains(&(generation, &luid)));
        }
    }
}

proptest! {
    #[test]
    fn bijective_after_every_record(records in proptest::collection::vec(record(), 0..60)) {
        let mut view = View::default();
        for record in &records {
            view.apply(record);
            assert_bijective(&view);
            if let Record::Put(entry) = record {
                prop_assert_eq!(view.by_guid(entry.generation, &entry.guid), Some(entry));
            }
        }
    }

    /// A host that cannot tell how far it came applies everything again.
    #[test]
    fn a_replay_over_any_later_state_of_the_run_ends_the_same(
        records in proptest::collection::vec(record(), 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut once = View::default();
        once.extend(&records);
        let mut again = View::default();
        again.extend(&records[..cut.index(records.len() + 1)]);
        again.extend(&records);
        prop_assert_eq!(&again, &once);
        again.extend(&records);
        prop_assert_eq!(again, once);
    }

    #[test]
    fn the_journal_gives_back_every_record_and_compacts_to_the_same_view(
        batches in proptest::collection::vec(proptest::collection::vec(record(), 0..5), 0..20),
    ) {
        let mut file = idmap::journal::header().to_vec();
        for batch in &batches {
            idmap::journal::append(&mut file, batch).unwrap();
        }
        let read: Result<Vec<Record>, _> = idmap::journal::records(&file).unwrap().collect();
        prop_assert_eq!(read.unwrap(), batches.concat());
        let replay = idmap::journal::replay(&file).unwrap();
        prop_assert_eq!((replay.good_len, replay.lost), (file.len(), 0));
        let compacted = idmap::journal::compact(&replay.view).unwrap();
        prop_assert!(compacted.len() <= file.len());
        prop_assert_eq!(idmap::journal::replay(&compacted).unwrap().view, replay.view);
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut file = idmap::journal::header().to_vec();
        file.extend(&octets);
        // Random octets carry no right checksum, so all of them are a tail.
        let replay = idmap::journal::replay(&file).unwrap();
        prop_assert_eq!((replay.good_len, replay.lost), (8, octets.len()));
        prop_assert!(replay.view.is_empty());
        let _ = idmap::journal::replay(&octets);
    }
}
