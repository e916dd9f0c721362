//! The engines against a naive model: random changes on both sides, random mishaps, and after each sync both sides
//! are what the model says.

use super::notes::{equal, note, server_note};
use super::world::*;
use std::collections::BTreeMap;
use syncml::{Encoding, Version};

/// Numbers that come again with the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Edit(String),
    Delete,
}

/// What both sides have after a sync in which nobody wins: texts, each as often as it is there.
fn merged(
    base: &BTreeMap<String, String>,
    client: &BTreeMap<String, Change>,
    server: &BTreeMap<String, Change>,
    added: &[String],
) -> BTreeMap<String, usize> {
    let mut texts: Vec<String> = added.to_vec();
    for (id, text) in base {
        match (client.get(id), server.get(id)) {
            (None, None) => texts.push(text.clone()),
            (Some(Change::Edit(one)), Some(Change::Edit(two))) => texts.extend([one.clone(), two.clone()]),
            (Some(Change::Edit(text)), _) | (_, Some(Change::Edit(text))) => texts.push(text.clone()),
            _ => {}
        }
    }
    let mut counts = BTreeMap::new();
    texts.into_iter().for_each(|text| *counts.entry(text).or_insert(0) += 1);
    counts
}

fn counted(
    items: &[(idmap::Guid, mailsync_proto::sync::store::ItemValue, bytes::Bytes)],
) -> BTreeMap<String, usize> {
    bodies(items).into_iter().map(|(body, n)| (String::from_utf8(body.to_vec()).unwrap(), n)).collect()
}

fn run(seed: u64, mishaps: bool) {
    let mut dice = Dice::new(seed);
    let world = World::new();
    let encoding = if dice.roll(2) == 0 { Encoding::Xml } else { Encoding::Wbxml };
    let version = if dice.roll(3) == 0 { Version::V1_1 } else { Version::V1_2 };
    let size = [1_100, 2_000, 20_000][dice.roll(3) as usize];
    let client = Client::new("dev-1", encoding, version, size, &["notes"]);
    let mut made = 0;
    for round in 0..4 {
        // Items that both sides have, by the id that the client gives them.
        let base: BTreeMap<String, String> = client
            .items("notes")
            .into_iter()
            .map(|(guid, _, body)| (guid.to_string(), String::from_utf8(body.to_vec()).unwrap()))
            .collect();
        let (mut by_client, mut by_server, mut added) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for _ in 0..dice.roll(12) {
            made += 1;
            let long = "x".repeat(if dice.roll(9) == 0 { 3_000 } else { 20 });
            let text = format!("note {made} of round {round} {long}");
            let pick = |dice: &mut Dice| {
                (!base.is_empty())
                    .then(|| base.keys().nth(dice.roll(base.len() as u64) as usize).unwrap().clone())
            };
            let on_server = |id: &str| {
                world
                    .items("notes")
                    .into_iter()
                    .find(|(_, _, body)| **body == *base[id].as_bytes())
                    .unwrap()
                    .0
            };
            match (dice.roll(6), pick(&mut dice)) {
                (0, _) | (_, None) => {
                    note(&client, &format!("c{made}"), &text);
                    added.push(text);
                }
                (1, _) => {
                    server_note(&world, &format!("s{made}"), &text);
                    added.push(text);
                }
                (2, Some(id)) if !by_client.contains_key(&id) => {
                    note(&client, &id, &text);
                    by_client.insert(id, Change::Edit(text));
                }
                (3, Some(id)) if !by_server.contains_key(&id) => {
                    server_note(&world, on_server(&id).as_str(), &text);
                    by_server.insert(id, Change::Edit(text));
                }
                (4, Some(id)) if !by_client.contains_key(&id) => {
                    client.delete("notes", &id);
                    by_client.insert(id, Change::Delete);
                }
                (5, Some(id)) if !by_server.contains_key(&id) => {
                    world.delete("notes", on_server(&id).as_str());
                    by_server.insert(id, Change::Delete);
                }
                _ => {}
            }
        }
        let expected = merged(&base, &by_client, &by_server, &added);
        let mishap = mishaps.then(|| {
            let all: Vec<Mishap> =
                MISHAPS.into_iter().chain([Mishap::Cut, Mishap::Suspend, Mishap::ServerSuspends]).collect();
            (1 + dice.roll(12) as u32, all[dice.roll(all.len() as u64) as usize])
        });
        if dice.roll(6) == 0 && by_client.is_empty() && by_server.is_empty() {
            client.store.forget_peer(&Client::peer("notes"));
        }
        world.sync(&client, mishap);
        equal(&world, &client);
        let (found, why) =
            (counted(&world.items("notes")), format!("seed {seed}, round {round}, {mishap:?}"));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{why}");
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn both_sides_are_what_a_naive_model_says() {
    (0..150).for_each(|seed| run(seed, false));
}

#[test]
fn also_when_messages_are_lost_and_sides_die() {
    (1_000..1_250).for_each(|seed| run(seed, true));
}
