//! The index says what the view says, after any records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{Entry, Guid, Index, Luid, Record, State, TempId, View, Wire};
use proptest::prelude::*;

/// 400 ids, so that tables grow, shift and wrap.
fn entry() -> impl Strategy<Value = Entry> {
    let luid = proptest::option::weighted(0.7, 0..400_u32);
    let temp = proptest::option::weighted(0.3, 0..400_u32);
    // Revisions of different lengths, so that rows fit their old place or do not.
    let rev = prop_oneof![0..4_u64, 100..300_u64, Just(u64::MAX)];
    (0..400_u32, luid, temp, 1..3_u32, rev, 0..2_u32).prop_map(
        |(g, luid, temp, generation, seen_rev, form)| {
            let wire =
                temp.map_or(Wire::Guid, |temp| Wire::Temp(TempId::try_from(format!("g{temp}")).unwrap()));
            let state = match luid {
                None => State::Pending { wire },
                Some(luid) => State::Bound { luid: Luid::try_from(format!("l{luid}")).unwrap(), wire },
            };
            Entry { guid: Guid::try_from(format!("g{g}")).unwrap(), state, generation, seen_rev, form }
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        300 => entry().prop_map(Record::Put),
        120 => (1..3_u32, 0..400_u32).prop_map(|(generation, g)| Record::Remove {
            generation,
            guid: Guid::try_from(format!("g{g}")).unwrap(),
        }),
        1 => (1..3_u32).prop_map(|generation| Record::KeepOnly { generation }),
    ]
}

fn assert_same(index: &Index, view: &View) {
    let mut entries: Vec<Entry> = index.iter().collect();
    entries.sort_by(|a, b| (a.generation, &a.guid).cmp(&(b.generation, &b.guid)));
    assert_eq!(entries, view.iter().cloned().collect::<Vec<_>>());
    assert_eq!((index.len(), index.is_empty()), (view.len(), view.is_empty()));
    for generation in 1..3 {
        for number in 0..400 {
            let text = format!("g{number}");
            let guid = Guid::try_from(text.as_str()).unwrap();
            let luid = Luid::try_from(format!("l{number}")).unwrap();
            assert_eq!(index.by_guid(generation, &guid).as_ref(), view.by_guid(generation, &guid));
            assert_eq!(index.by_luid(generation, &luid).as_ref(), view.by_luid(generation, &luid));
            assert_eq!(index.by_wire(generation, &text).as_ref(), view.by_wire(generation, &text));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_the_view(
        records in prop::collection::vec(record(), 0..1000),
        seed in any::<[u8; 16]>(),
    ) {
        let (mut index, mut view) = (Index::new(seed), View::default());
        for (number, record) in records.iter().enumerate() {
            index.apply(record).unwrap();
            view.apply(record);
            if number % 300 == 0 {
                assert_same(&index, &view);
            }
        }
        assert_same(&index, &view);
    }
}

fn bound(number: u32, rev: u64) -> Record {
    Record::Put(Entry {
        guid: Guid::try_from(format!("inbox/{number:010}")).unwrap(),
        state: State::Bound { luid: Luid::try_from(format!("{number:08}")).unwrap(), wire: Wire::Guid },
        generation: 1,
        seen_rev: rev,
        form: 0,
    })
}

#[test]
fn an_entry_takes_at_most_64_octets() {
    let mut index = Index::new([0; 16]);
    for number in 0..240_000 {
        index.apply(&bound(number, number.into())).unwrap();
        // Also when the tables have just doubled, at 229,376; the unused rest of a 1 MiB chunk shows in
        // smaller maps.
        if number % 64 == 0 && number > 200_000 {
            assert!(index.octets() <= 64 * index.len(), "{index:?}");
        }
    }
}

#[test]
fn waste_is_cleared() {
    let mut index = Index::new([0; 16]);
    (0..10_000).for_each(|number| index.apply(&bound(number, 1)).unwrap());
    let before = index.octets();
    // Each revision is longer than the one before: no row fits its old place.
    for shift in 1..9 {
        (0..10_000).for_each(|number| index.apply(&bound(number, 1 << (7 * shift))).unwrap());
    }
    assert!(index.octets() < before * 3 / 2, "{before} {index:?}");
    for number in 0..10_000 {
        let guid = Guid::try_from(format!("inbox/{number:010}")).unwrap();
        index.apply(&Record::Remove { generation: 1, guid }).unwrap();
    }
    assert!(index.is_empty() && index.octets() < before / 2, "{index:?}");
}
