//! The map of ids under any operations.

use crate::{Broken, Property, Target, ensure};
use idmap::{Entry, Guid, Luid, Record, View, adopt, bind, forget, offer, seen, settle, switch_generation};
use std::collections::{BTreeMap, BTreeSet};

/// Octets as operations of `idmap`.
pub const IDMAP: Target = Target {
    name: "idmap",
    input: "operations of four octets each: what, on which item, with which id, how",
    dictionary: None,
    properties: &[Property {
        name: "as-a-naive-map",
        sentence: "whatever is offered, mapped, adopted, seen and forgotten, in any order: a generation is one to one, a refusal \
                   changes nothing, what a naive map says of an item the view says too, and a view of only the entries \
                   that were touched answers as the whole one does",
        check: as_a_naive_map,
    }],
};

/// What is known of an item in a generation: the id at the device, if it has one, and the revision.
type Naive = BTreeMap<(u32, String), (Option<String>, u64)>;

const MOST: usize = 200;

fn as_a_naive_map(data: &[u8]) -> Result<(), Broken> {
    let (mut view, mut naive, mut generation) = (View::default(), Naive::new(), 0);
    let mut wires: Vec<(u32, String)> = Vec::new();
    for op in data.chunks_exact(4).take(MOST) {
        let guid = Guid::unvalidated(format!("g{}", op[1] % 12));
        let luid = Luid::try_from(format!("l{}", op[2] % 12).as_str()).map_err(|e| Broken(e.to_string()))?;
        let (rev, key) = (u64::from(op[3] % 9), (generation, guid.as_str().to_owned()));
        let taken = |naive: &Naive, luid: &Luid, but: &str| {
            naive.iter().any(|((g, item), (id, _))| {
                *g == generation && item != but && id.as_deref() == Some(luid.as_str())
            })
        };
        let part = part_of(&view, generation, &guid, &luid, &wires);
        let (whole, less): (Result<Vec<Record>, String>, Result<Vec<Record>, String>) = match op[0] % 8 {
            0 | 1 => {
                let max = [None, Some(2), Some(8)][usize::from(op[3]) % 3];
                let unique = u64::from(op[2] % 20);
                let run = |view: &View| offer(view, generation, &guid, max, unique, rev, 0);
                let offered = run(&view);
                if let Ok((wire, _)) = &offered {
                    let text = wire.as_str(&guid).to_owned();
                    ensure!(max.is_none_or(|max| text.len() <= max), "{text:?} is longer than {max:?}");
                    let other = view.by_wire(generation, &text).is_some_and(|entry| entry.guid != guid);
                    ensure!(!other, "{text:?} means another item");
                    wires.push((generation, text));
                    let old = naive.get(&key).and_then(|(_, rev)| (*rev > 0).then_some(*rev));
                    let _ = old;
                    naive.insert(key.clone(), (None, rev));
                }
                let told = |done: Result<(_, Vec<Record>), idmap::MapError>| {
                    done.map(|(_, records)| records).map_err(|error| error.to_string())
                };
                // Which temporary ids are free only the whole map knows.
                let whole = told(offered);
                (whole.clone(), whole)
            }
            2 => {
                let wire = wires.get(usize::from(op[1]) % wires.len().max(1)).cloned();
                let (_, wire) = wire.unwrap_or((0, "stray".into()));
                let run =
                    |view: &View| bind(view, generation, &wire, &luid).map_err(|error| error.to_string());
                let target = view.by_wire(generation, &wire).map(|entry| entry.guid.as_str().to_owned());
                let done = run(&view);
                let may = target.as_ref().is_some_and(|item| {
                    let id = naive.get(&(generation, item.clone())).and_then(|(id, _)| id.clone());
                    !taken(&naive, &luid, item) && id.is_none_or(|id| id == luid.as_str())
                });
                ensure!(done.is_ok() == may, "bind {wire} {luid}: {done:?}, the naive map says {may}");
                if let (true, Some(item)) = (may, target)
                    && let Some(known) = naive.get_mut(&(generation, item))
                {
                    known.0 = Some(luid.as_str().into());
                }
                (done, run(&part))
            }
            3 => {
                let run = |view: &View| {
                    adopt(view, generation, &luid, &guid, rev, 0).map_err(|error| error.to_string())
                };
                let done = run(&view);
                let id = naive.get(&key).and_then(|(id, _)| id.clone());
                let may = !taken(&naive, &luid, guid.as_str())
                    && id.as_deref().is_none_or(|id| id == luid.as_str());
                ensure!(done.is_ok() == may, "adopt {guid} {luid}: {done:?}, the naive map says {may}");
                if may {
                    let before = naive.get(&key).filter(|(id, _)| id.is_some()).map_or(0, |(_, rev)| *rev);
                    naive.insert(key.clone(), (Some(luid.as_str().into()), rev.max(before)));
                }
                (done, run(&part))
            }
            4 => {
                let run =
                    |view: &View| seen(view, generation, &guid, rev, 0).map_err(|error| error.to_string());
                let done = run(&view);
                ensure!(done.is_ok() == naive.contains_key(&key), "seen {guid}: {done:?}");
                if let Some((_, known)) = naive.get_mut(&key) {
                    *known = rev.max(*known);
                }
                (done, run(&part))
            }
            5 => {
                naive.remove(&key);
                (Ok(forget(&view, generation, &guid)), Ok(forget(&part, generation, &guid)))
            }
            6 => (Ok(settle(&view, generation, &guid)), Ok(settle(&part, generation, &guid))),
            _ => {
                // Another generation begins, or becomes the only one.
                if op[3] % 2 == 0 {
                    generation += 1;
                    (Ok(Vec::new()), Ok(Vec::new()))
                } else {
                    naive.retain(|(of, _), _| *of == generation);
                    (Ok(vec![switch_generation(generation)]), Ok(vec![switch_generation(generation)]))
                }
            }
        };
        ensure!(whole == less, "{op:?}: {whole:?} of the whole, {less:?} of a part");
        whole.unwrap_or_default().iter().for_each(|record| view.apply(record));
        same(&view, &naive)?;
    }
    Ok(())
}

/// A view of the entries that an operation may touch.
fn part_of(view: &View, generation: u32, guid: &Guid, luid: &Luid, wires: &[(u32, String)]) -> View {
    let mut part = View::default();
    let found = [view.by_guid(generation, guid), view.by_luid(generation, luid)];
    let sent = wires.iter().filter_map(|(_, wire)| view.by_wire(generation, wire));
    let stray = view.by_wire(generation, "stray");
    let all: Vec<&Entry> = found.into_iter().flatten().chain(sent).chain(stray).collect();
    all.into_iter().for_each(|entry| part.insert(entry.clone()));
    part
}

fn same(view: &View, naive: &Naive) -> Result<(), Broken> {
    let (mut luids, mut wires) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Naive::new();
    for entry in view.iter() {
        let luid = entry.luid().map(|luid| luid.as_str().to_owned());
        if let Some(luid) = &luid {
            ensure!(luids.insert((entry.generation, luid.clone())), "{luid} twice in {}", entry.generation);
        }
        let wire = entry.wire_id().to_owned();
        ensure!(wires.insert((entry.generation, wire.clone())), "{wire} twice in {}", entry.generation);
        found.insert((entry.generation, entry.guid.as_str().to_owned()), (luid, entry.seen_rev));
    }
    ensure!(found == *naive, "the view has {found:?}, the naive map {naive:?}");
    Ok(())
}
