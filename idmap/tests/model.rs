//! Random operations against a naive map, with crashes: an operation whose records are partly lost is
//! lost as a whole, what the journal gives back is what was acknowledged, and a view that holds just the
//! entries of the ids involved answers as the whole map does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use idmap::{Guid, Luid, MapError, Record, State, TempId, View, Wire, journal};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Offer {
        guid: u8,
        max: Option<usize>,
        unique: u64,
        rev: u64,
        form: u32,
    },
    /// A Map of the `offer`-th wire id ever sent, or of some text.
    Bind {
        offer: prop::sample::Index,
        stray: bool,
        luid: u8,
    },
    Adopt {
        luid: u8,
        guid: u8,
        rev: u64,
        form: u32,
    },
    Seen {
        guid: u8,
        rev: u64,
        form: u32,
    },
    Forget {
        guid: u8,
    },
    Settle {
        guid: u8,
    },
    Switch,
    /// Power loss while the last operation was written: of its octets, so many parts of 256 reached the
    /// disk.
    Crash {
        part: u8,
    },
    Compact,
}

fn op() -> impl Strategy<Value = (Op, bool)> {
    let (guid, luid, rev, form) = (0..10_u8, 0..6_u8, 0..6_u64, 0..2_u32);
    let max = prop_oneof![Just(None), (2..12_usize).prop_map(Some)];
    let offer = (guid.clone(), max, 0..40_u64, rev.clone(), form.clone())
        .prop_map(|(guid, max, unique, rev, form)| Op::Offer { guid, max, unique, rev, form });
    let bind = (any::<prop::sample::Index>(), prop::bool::weighted(0.1), luid.clone())
        .prop_map(|(offer, stray, luid)| Op::Bind { offer, stray, luid });
    let adopt = (luid, guid.clone(), rev.clone(), form.clone())
        .prop_map(|(luid, guid, rev, form)| Op::Adopt { luid, guid, rev, form });
    let seen = (guid.clone(), rev, form).prop_map(|(guid, rev, form)| Op::Seen { guid, rev, form });
    let op = prop_oneof![
        6 => offer,
        8 => bind,
        4 => adopt,
        3 => seen,
        2 => guid.clone().prop_map(|guid| Op::Forget { guid }),
        2 => guid.prop_map(|guid| Op::Settle { guid }),
        1 => Just(Op::Switch),
        2 => any::<u8>().prop_map(|part| Op::Crash { part }),
        1 => Just(Op::Compact),
    ];
    // In the generation that is current, or in the one that a slow sync is filling.
    (op, prop::bool::weighted(0.25))
}

/// Even ones are short; some of those read like temporary ids.
fn guid(number: u8) -> Guid {
    let text = match number {
        n if n % 2 == 1 => format!("folder/message-{n}"),
        n if n < 6 => format!("000{n}"),
        n => format!("g{n}"),
    };
    Guid::try_from(text).unwrap()
}

fn luid(number: u8) -> Luid {
    Luid::try_from(number.to_string()).unwrap()
}

/// One row, of what the rules in the docs talk about.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    generation: u32,
    guid: Guid,
    luid: Option<Luid>,
    temp: Option<String>,
    rev: u64,
    form: u32,
}

/// A list searched from one end to the other.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive(Vec<Row>);

#[derive(Debug, PartialEq)]
enum Refusal {
    NotOffered,
    LuidBound(Guid),
    GuidBound(Luid),
    NoEntry,
    TooSmall,
    InUse,
}

impl Naive {
    fn find(&mut self, generation: u32, test: impl Fn(&Row) -> bool) -> Option<&mut Row> {
        let mut hits: Vec<&mut Row> =
            self.0.iter_mut().filter(|row| row.generation == generation && test(row)).collect();
        assert!(hits.len() <= 1, "two of one: {hits:?}");
        hits.pop()
    }

    /// Whom a Map of this id means.
    fn meant(&mut self, generation: u32, wire: &str) -> Option<Guid> {
        let by_temp =
            self.find(generation, |row| row.temp.as_deref() == Some(wire)).map(|row| row.guid.clone());
        by_temp.or_else(|| {
            let row = self.find(generation, |row| row.guid.as_str() == wire)?;
            row.temp.is_none().then(|| row.guid.clone())
        })
    }

    fn offer(
        &mut self,
        generation: u32,
        op: (&Guid, Option<usize>, u64, u64, u32),
    ) -> Result<String, Refusal> {
        let (guid, max, unique, rev, form) = op;
        let fits = |text: &str| max.is_none_or(|max| text.len() <= max);
        if let Some(row) = self.find(generation, |row| row.guid == *guid) {
            if let Some(luid) = &row.luid {
                return Err(Refusal::GuidBound(luid.clone()));
            }
            let wire = row.temp.clone().unwrap_or_else(|| guid.to_string());
            if fits(&wire) {
                (row.rev, row.form) = (rev, form);
                return Ok(wire);
            }
        }
        let anothers = self.0.iter().any(|row| {
            row.generation == generation && row.temp.as_deref() == Some(guid.as_str()) && row.guid != *guid
        });
        let temp = if fits(guid.as_str()) && !anothers {
            None
        } else {
            let max = max.unwrap_or(usize::MAX);
            if max < 4 {
                return Err(Refusal::TooSmall);
            }
            let candidates: Vec<String> =
                TempId::candidates(unique, max).unwrap().map(|id| id.to_string()).collect();
            let own = |row: &Row| row.guid == *guid;
            let free = |id: &&String| {
                !self.0.iter().any(|row| {
                    let temp = row.temp.as_ref() == Some(*id) && !own(row);
                    row.generation == generation && (temp || row.guid.as_str() == **id)
                })
            };
            Some(candidates.iter().find(free).ok_or(Refusal::InUse)?.clone())
        };
        self.0.retain(|row| row.generation != generation || row.guid != *guid);
        let wire = temp.clone().unwrap_or_else(|| guid.to_string());
        self.0.push(Row { generation, guid: guid.clone(), luid: None, temp, rev, form });
        Ok(wire)
    }

    fn check_pair(&mut self, generation: u32, luid: &Luid, guid: &Guid) -> Result<(), Refusal> {
        if let Some(row) = self.find(generation, |row| row.luid.as_ref() == Some(luid) && row.guid != *guid) {
            return Err(Refusal::LuidBound(row.guid.clone()));
        }
        let bound = self.find(generation, |row| row.guid == *guid).and_then(|row| row.luid.clone());
        bound.filter(|bound| bound != luid).map_or(Ok(()), |bound| Err(Refusal::GuidBound(bound)))
    }

    fn bind(&mut self, generation: u32, wire: &str, luid: &Luid) -> Result<(), Refusal> {
        let guid = self.meant(generation, wire).ok_or(Refusal::NotOffered)?;
        self.check_pair(generation, luid, &guid)?;
        self.find(generation, |row| row.guid == guid).unwrap().luid = Some(luid.clone());
        Ok(())
    }

    fn adopt(
        &mut self,
        generation: u32,
        luid: &Luid,
        guid: &Guid,
        rev: u64,
        form: u32,
    ) -> Result<(), Refusal> {
        self.check_pair(generation, luid, guid)?;
        match self.find(generation, |row| row.guid == *guid) {
            Some(row) if row.luid.is_some() && row.rev > rev => {}
            Some(row) => (row.luid, row.rev, row.form) = (Some(luid.clone()), rev, form),
            None => {
                let (guid, luid) = (guid.clone(), Some(luid.clone()));
                self.0.push(Row { generation, guid, luid, temp: None, rev, form });
            }
        }
        Ok(())
    }

    fn seen(&mut self, generation: u32, guid: &Guid, rev: u64, form: u32) -> Result<(), Refusal> {
        let row = self.find(generation, |row| row.guid == *guid).ok_or(Refusal::NoEntry)?;
        if rev >= row.rev {
            (row.rev, row.form) = (rev, form);
        }
        Ok(())
    }

    fn sorted(&self) -> Vec<Row> {
        let mut rows = self.0.clone();
        rows.sort_by(|a, b| (a.generation, &a.guid).cmp(&(b.generation, &b.guid)));
        rows
    }
}

fn rows(view: &View) -> Vec<Row> {
    let row = |entry: &idmap::Entry| Row {
        generation: entry.generation,
        guid: entry.guid.clone(),
        luid: entry.luid().cloned(),
        temp: match &entry.state {
            State::Pending { wire: Wire::Temp(id) } | State::Bound { wire: Wire::Temp(id), .. } => {
                Some(id.to_string())
            }
            _ => None,
        },
        rev: entry.seen_rev,
        form: entry.form,
    };
    view.iter().map(row).collect()
}

fn no(error: MapError) -> Refusal {
    match error {
        MapError::NotOffered { .. } => Refusal::NotOffered,
        MapError::LuidBound { guid, .. } => Refusal::LuidBound(guid),
        MapError::GuidBound { luid, .. } => Refusal::GuidBound(luid),
        MapError::NoEntry { .. } => Refusal::NoEntry,
        MapError::MaxGuidSize { .. } => Refusal::TooSmall,
        MapError::TempIdsInUse { .. } => Refusal::InUse,
        other => panic!("{other}"),
    }
}

/// What a host reads from its store for one operation.
fn part(view: &View, generation: u32, guids: &[&Guid], luids: &[&Luid], wires: &[String]) -> View {
    let by_guid = guids.iter().filter_map(|guid| view.by_guid(generation, guid));
    let by_luid = luids.iter().filter_map(|luid| view.by_luid(generation, luid));
    let by_wire = wires.iter().filter_map(|wire| view.by_wire(generation, wire));
    by_guid.chain(by_luid).chain(by_wire).cloned().collect()
}

/// A host with a journal file.
struct Host {
    file: Vec<u8>,
    view: View,
    current: u32,
    sent: Vec<String>,
}

/// Also checks that the partial view answers the same.
fn run(host: &Host, generation: u32, op: &Op) -> Result<(Option<String>, Vec<Record>), Refusal> {
    let view = &host.view;
    let same = |of: &View, call: &dyn Fn(&View) -> Result<Vec<Record>, MapError>| {
        let whole = call(view);
        assert_eq!(whole, call(of), "a partial view differs: {op:?}");
        whole.map(|records| (None, records)).map_err(no)
    };
    match op {
        Op::Offer { guid: id, max, unique, rev, form } => {
            let id = guid(*id);
            let mut wires = vec![id.to_string()];
            let ids = max.map(|max| TempId::candidates(*unique, max)).transpose();
            let ids = ids.ok().flatten().map_or(vec![], |ids| ids.map(|id| id.to_string()).collect());
            wires.extend(ids.iter().cloned());
            // A `max` of `None` can need a temporary id as well, of the full length.
            wires.extend(TempId::candidates(*unique, usize::MAX).unwrap().map(|id| id.to_string()));
            let like: Vec<Guid> = wires.iter().map(|wire| Guid::try_from(wire.as_str()).unwrap()).collect();
            let part = part(view, generation, &like.iter().collect::<Vec<_>>(), &[], &wires);
            let offer = |of: &View| idmap::offer(of, generation, &id, *max, *unique, *rev, *form);
            assert_eq!(offer(view), offer(&part), "a partial view differs: {op:?}");
            offer(view).map(|(wire, records)| (Some(wire.as_str(&id).to_owned()), records)).map_err(no)
        }
        Op::Bind { offer, stray, luid: id } => {
            let wire = wire(host, offer, *stray);
            let part = part(view, generation, &[], &[&luid(*id)], std::slice::from_ref(&wire));
            same(&part, &|of| idmap::bind(of, generation, &wire, &luid(*id)))
        }
        Op::Adopt { luid: id, guid: item, rev, form } => {
            let part = part(view, generation, &[&guid(*item)], &[&luid(*id)], &[]);
            same(&part, &|of| idmap::adopt(of, generation, &luid(*id), &guid(*item), *rev, *form))
        }
        Op::Seen { guid: item, rev, form } => {
            let part = part(view, generation, &[&guid(*item)], &[], &[]);
            same(&part, &|of| idmap::seen(of, generation, &guid(*item), *rev, *form))
        }
        Op::Forget { guid: item } => {
            let part = part(view, generation, &[&guid(*item)], &[], &[]);
            same(&part, &|of| Ok(idmap::forget(of, generation, &guid(*item))))
        }
        Op::Settle { guid: item } => {
            let part = part(view, generation, &[&guid(*item)], &[], &[]);
            same(&part, &|of| Ok(idmap::settle(of, generation, &guid(*item))))
        }
        Op::Switch => Ok((None, vec![idmap::switch_generation(host.current + 1)])),
        Op::Crash { .. } | Op::Compact => Ok((None, vec![])),
    }
}

fn wire(host: &Host, offer: &prop::sample::Index, stray: bool) -> String {
    match stray || host.sent.is_empty() {
        true => "stray".to_owned(),
        false => offer.get(&host.sent).clone(),
    }
}

fn expect(model: &mut Naive, host: &Host, generation: u32, op: &Op) -> Result<Option<String>, Refusal> {
    match op {
        Op::Offer { guid: id, max, unique, rev, form } => {
            return model.offer(generation, (&guid(*id), *max, *unique, *rev, *form)).map(Some);
        }
        Op::Bind { offer, stray, luid: id } => {
            model.bind(generation, &wire(host, offer, *stray), &luid(*id))?
        }
        Op::Adopt { luid: id, guid: item, rev, form } => {
            model.adopt(generation, &luid(*id), &guid(*item), *rev, *form)?;
        }
        Op::Seen { guid: item, rev, form } => model.seen(generation, &guid(*item), *rev, *form)?,
        Op::Forget { guid: item } => {
            model.0.retain(|row| row.generation != generation || row.guid != guid(*item));
        }
        Op::Settle { guid: item } => {
            if let Some(row) = model.find(generation, |row| row.guid == guid(*item) && row.luid.is_some()) {
                row.temp = None;
            }
        }
        Op::Switch => model.0.retain(|row| row.generation == host.current + 1),
        Op::Crash { .. } | Op::Compact => {}
    }
    Ok(None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    // mission: M7
    #[test]
    fn operations_agree_with_a_naive_map_across_crashes(ops in prop::collection::vec(op(), 1..80)) {
        let mut model = Naive::default();
        let mut host =
            Host { file: journal::header().to_vec(), view: View::default(), current: 1, sent: vec![] };
        // What the host and the model were before the last operation that wrote.
        let mut before = (host.file.len(), host.view.clone(), model.clone(), host.current);

        for (op, filling) in &ops {
            let generation = host.current + u32::from(*filling);
            let answer = run(&host, generation, op);
            let mut after = model.clone();
            let expected = expect(&mut after, &host, generation, op);
            prop_assert_eq!(answer.as_ref().map(|(wire, _)| wire), expected.as_ref(), "{:?}", op);
            let Ok((wire, records)) = answer else {
                // Refused: in the model, too, nothing has changed.
                prop_assert_eq!(model.sorted(), after.sorted());
                continue;
            };

            match op {
                Op::Crash { part } => {
                    let written = host.file.len() - before.0;
                    let torn = before.0 + written * usize::from(*part) / 256;
                    let replay = journal::replay(&host.file[..torn]).unwrap();
                    if torn < host.file.len() {
                        prop_assert_eq!(replay.good_len, before.0);
                        prop_assert_eq!(&replay.view, &before.1);
                        (model, host.current) = (before.2.clone(), before.3);
                    }
                    host.view = replay.view;
                    host.file.truncate(replay.good_len);
                }
                Op::Compact => {
                    host.file = journal::compact(&host.view).unwrap();
                    before = (host.file.len(), host.view.clone(), model.clone(), host.current);
                }
                _ => {
                    if !records.is_empty() {
                        before = (host.file.len(), host.view.clone(), model.clone(), host.current);
                    }
                    journal::append(&mut host.file, &records).unwrap();
                    host.view.extend(&records);
                    if matches!(op, Op::Switch) {
                        host.current += 1;
                    }
                    if let Some(wire) = wire {
                        host.sent.push(wire);
                    }
                    // Once more: nothing to do.
                    let twice = match op {
                        Op::Switch => vec![],
                        _ => run(&host, generation, op).unwrap().1,
                    };
                    prop_assert_eq!(twice, vec![]);
                    let mut applied_twice = host.view.clone();
                    applied_twice.extend(&records);
                    prop_assert_eq!(&applied_twice, &host.view);
                    model = after;
                }
            }
            prop_assert_eq!(rows(&host.view), model.sorted(), "after {:?}", op);
            // What is awaited is found by what was sent.
            for entry in host.view.iter().filter(|entry| entry.luid().is_none()) {
                prop_assert_eq!(host.view.by_wire(entry.generation, entry.wire_id()), Some(entry));
            }
        }
        let replay = journal::replay(&host.file).unwrap();
        prop_assert_eq!(&replay.view, &host.view);
        prop_assert_eq!(replay.good_len, host.file.len());
    }
}
