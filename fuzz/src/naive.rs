//! The sync engine against a model of it that fits on a page.

use crate::scene::note;
use crate::world::{Device, USER, World, delete, key, sync};
use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use std::collections::BTreeMap;
use syncml::{Encoding, Version};

/// Octets as changes of notes on both sides, and syncs between.
pub const NAIVE: Target = Target {
    name: "naive",
    input: "an octet of settings, then operations of two octets each: what and on which side, on what",
    dictionary: None,
    properties: &[Property {
        name: "as-the-model-says",
        sentence: "after each sync both sides hold what a naive model says: what nobody touched, what one side changed, both \
                   versions of what both changed, an edit before a deletion, and nothing of what was deleted",
        check: as_the_model_says,
    }],
};

const MOST: usize = 60;

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Edit(String),
    Delete,
}

type Texts = BTreeMap<String, usize>;

/// What happened since the last sync.
#[derive(Default)]
struct Round {
    client: BTreeMap<String, Change>,
    server: BTreeMap<String, Change>,
    added: Vec<String>,
}

impl Round {
    fn merged(&self, base: &BTreeMap<String, String>) -> Texts {
        let mut texts = self.added.clone();
        for (id, text) in base {
            match (self.client.get(id), self.server.get(id)) {
                (None, None) => texts.push(text.clone()),
                (Some(Change::Edit(one)), Some(Change::Edit(two))) => {
                    texts.extend([one.clone(), two.clone()]);
                }
                (Some(Change::Edit(text)), _) | (_, Some(Change::Edit(text))) => texts.push(text.clone()),
                _ => {}
            }
        }
        let mut counts = Texts::new();
        texts.into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
        counts
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn counted(items: Vec<(idmap::Guid, mailsync_proto::sync::store::ItemValue, Bytes)>) -> Texts {
    let mut counts = Texts::new();
    items.iter().for_each(|(_, _, body)| *counts.entry(text(body)).or_default() += 1);
    counts
}

fn as_the_model_says(data: &[u8]) -> Result<(), Broken> {
    let (settings, rest) = data.split_first().unwrap_or((&0, &[]));
    let encoding = if settings & 1 == 0 { Encoding::Wbxml } else { Encoding::Xml };
    let version = if settings & 2 == 0 { Version::V1_2 } else { Version::V1_1 };
    let world = World::new();
    let device = Device::new(encoding, version, 2_500 + u32::from(settings >> 2) * 200);
    let (mut round, mut base): (Round, BTreeMap<String, String>) = (Round::default(), BTreeMap::new());
    let ops = rest.chunks_exact(2).take(MOST).chain(std::iter::once(&[7, 0][..]));
    for (n, op) in ops.enumerate() {
        let long = if op[1] >= 250 { 3_000 } else { 10 };
        let new = format!("note {n} {}", "x".repeat(long));
        let picked = base.keys().nth(usize::from(op[1]) % base.len().max(1)).cloned();
        let on_server = |id: &str| {
            let body: &String = &base[id];
            world
                .items("notes")
                .into_iter()
                .find(|(_, _, b)| text(b) == *body)
                .map(|(guid, ..)| guid.as_str().to_owned())
        };
        match (op[0] % 8, picked) {
            (0, _) => {
                note(&device.store, "", &format!("c{n}"), &new);
                round.added.push(new);
            }
            (1, _) => {
                note(&world.store, USER, &format!("s{n}"), &new);
                round.added.push(new);
            }
            (2, Some(id)) if !round.client.contains_key(&id) => {
                note(&device.store, "", &id, &new);
                round.client.insert(id, Change::Edit(new));
            }
            (3, Some(id)) if !round.client.contains_key(&id) => {
                delete(&device.store, &key("", "notes"), &id);
                round.client.insert(id, Change::Delete);
            }
            (4, Some(id)) if !round.server.contains_key(&id) => {
                if let Some(guid) = on_server(&id) {
                    note(&world.store, USER, &guid, &new);
                    round.server.insert(id, Change::Edit(new));
                }
            }
            (5, Some(id)) if !round.server.contains_key(&id) => {
                if let Some(guid) = on_server(&id) {
                    delete(&world.store, &key(USER, "notes"), &guid);
                    round.server.insert(id, Change::Delete);
                }
            }
            (6 | 7, _) => {
                sync(&world, &device, None)?;
                let expected = round.merged(&base);
                for (side, found) in [("server", world.items("notes")), ("client", device.items("notes"))] {
                    let found = counted(found);
                    ensure!(found == expected, "the {side} has {found:?}, the model {expected:?}");
                }
                let items = device.items("notes").into_iter();
                base = items.map(|(guid, _, body)| (guid.as_str().to_owned(), text(&body))).collect();
                round = Round::default();
            }
            _ => {}
        }
    }
    Ok(())
}
