//! Parts of split messages, joined within bounds.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Which message a part belongs to.
///
/// References are reused, so all of it counts; the total too, as a part with another total is of another message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey {
    /// The link it came on.
    pub link: u32,
    /// The sender, as the host spells numbers.
    pub source: String,
    /// The recipient.
    pub destination: String,
    /// The reference.
    pub reference: u16,
    /// True for a reference of 16 bits.
    pub wide: bool,
    /// `data_coding`: parts of one message share it.
    pub data_coding: u8,
    /// Parts in all.
    pub total: u8,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 1.
    pub number: u8,
    /// Its text, without its header.
    pub octets: Bytes,
}

/// What is kept at most; every field can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Unfinished messages in all.
    pub open_sets: usize,
    /// Unfinished messages of one sender.
    pub open_sets_per_source: usize,
    /// Octets of all parts kept.
    pub octets: usize,
    /// How long to wait for the rest of a message.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            open_sets: 1_024,
            open_sets_per_source: 16,
            octets: 4 * 1024 * 1024,
            wait: Duration::from_secs(600),
        }
    }
}

/// A message, whole or as much as came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Which one.
    pub key: PartKey,
    /// Its parts in order; `None` where one is missing.
    pub parts: Vec<Option<Bytes>>,
}

impl Assembled {
    /// True if no part is missing.
    pub fn is_complete(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Added {
    /// Kept; others are missing.
    Waiting,
    /// The same part again; dropped.
    Duplicate,
    /// The last one: the message is whole.
    Complete(Assembled),
}

/// A part that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {number} of {total}")]
pub struct PartRefused {
    /// Its number.
    pub number: u8,
    /// Its total.
    pub total: u8,
}

/// Joins parts.
///
/// # Shape
/// [`add`](Assembler::add) parts; then [`poll_expired`](Assembler::poll_expired) until `None` for messages that were
/// pushed out by a limit, a reused reference or time: what came of them is delivered, marked by its gaps (threats P3).
#[derive(Debug)]
pub struct Assembler {
    limits: Limits,
    sets: BTreeMap<PartKey, Set>,
    ages: BTreeSet<(Duration, u64, PartKey)>,
    sources: BTreeMap<String, usize>,
    octets: usize,
    serial: u64,
    expired: Vec<Assembled>,
}

#[derive(Debug)]
struct Set {
    since: Duration,
    serial: u64,
    parts: Vec<Option<Bytes>>,
    missing: usize,
}

impl Assembler {
    /// With nothing in it.
    pub fn new(limits: Limits) -> Self {
        Assembler {
            limits,
            sets: BTreeMap::new(),
            ages: BTreeSet::new(),
            sources: BTreeMap::new(),
            octets: 0,
            serial: 0,
            expired: Vec::new(),
        }
    }

    /// Adds a part.
    ///
    /// # Errors
    /// [`PartRefused`] if total or number is 0 or the number is above the total; nothing changed.
    pub fn add(&mut self, now: Duration, key: PartKey, part: Part) -> Result<Added, PartRefused> {
        let Part { number, octets } = part;
        if number == 0 || number > key.total {
            return Err(PartRefused { number, total: key.total });
        }
        let index = usize::from(number).saturating_sub(1);
        match self.sets.get(&key).and_then(|set| set.parts.get(index)).and_then(Option::as_ref) {
            Some(known) if *known == octets => return Ok(Added::Duplicate),
            // the same number with another text: the reference was used again
            Some(_) => self.expire(&key),
            None => {}
        }
        if !self.sets.contains_key(&key) {
            self.make_room(&key.source, octets.len());
            self.open(now, &key);
        }
        let Some(set) = self.sets.get_mut(&key) else { return Ok(Added::Waiting) };
        self.octets = self.octets.saturating_add(octets.len());
        if let Some(place) = set.parts.get_mut(index) {
            *place = Some(octets);
            set.missing = set.missing.saturating_sub(1);
        }
        if set.missing == 0 {
            return Ok(self.close(&key).map_or(Added::Waiting, Added::Complete));
        }
        while self.octets > self.limits.octets && self.expire_oldest() {}
        Ok(Added::Waiting)
    }

    /// Gives up what has waited too long.
    pub fn handle_timeout(&mut self, now: Duration) {
        while self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            if !self.expire_oldest() {
                return;
            }
        }
    }

    /// When to call [`handle_timeout`](Assembler::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.ages.first().map(|(since, _, _)| since.saturating_add(self.limits.wait))
    }

    /// The next message that was given up.
    pub fn poll_expired(&mut self) -> Option<Assembled> {
        self.expired.pop()
    }

    /// Unfinished messages.
    pub fn open_sets(&self) -> usize {
        self.sets.len()
    }

    fn open(&mut self, now: Duration, key: &PartKey) {
        self.serial = self.serial.saturating_add(1);
        let total = usize::from(key.total);
        let set = Set { since: now, serial: self.serial, parts: vec![None; total], missing: total };
        self.sets.insert(key.clone(), set);
        self.ages.insert((now, self.serial, key.clone()));
        let count = self.sources.entry(key.source.clone()).or_default();
        *count = count.saturating_add(1);
    }

    fn make_room(&mut self, source: &str, octets: usize) {
        if self.sources.get(source).is_some_and(|&count| count >= self.limits.open_sets_per_source) {
            let oldest =
                self.ages.iter().find(|(_, _, key)| key.source == source).map(|(_, _, key)| key.clone());
            if let Some(key) = oldest {
                self.expire(&key);
            }
        }
        while self.sets.len() >= self.limits.open_sets
            || self.octets.saturating_add(octets) > self.limits.octets
        {
            if !self.expire_oldest() {
                return;
            }
        }
    }

    fn expire_oldest(&mut self) -> bool {
        let oldest = self.ages.first().map(|(_, _, key)| key.clone());
        oldest.is_some_and(|key| {
            self.expire(&key);
            true
        })
    }

    fn expire(&mut self, key: &PartKey) {
        let assembled = self.close(key);
        self.expired.extend(assembled);
    }

    fn close(&mut self, key: &PartKey) -> Option<Assembled> {
        let set = self.sets.remove(key)?;
        self.ages.remove(&(set.since, set.serial, key.clone()));
        if let Some(count) = self.sources.get_mut(&key.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&key.source);
            }
        }
        let octets: usize = set.parts.iter().flatten().map(Bytes::len).sum();
        self.octets = self.octets.saturating_sub(octets);
        Some(Assembled { key: key.clone(), parts: set.parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, reference: u16, total: u8) -> PartKey {
        let (source, destination) = (source.to_owned(), "10086".to_owned());
        PartKey { link: 1, source, destination, reference, wide: false, data_coding: 0, total }
    }

    fn part(number: u8, text: &'static str) -> Part {
        Part { number, octets: Bytes::from_static(text.as_bytes()) }
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn parts_in_any_order() {
        let mut assembler = Assembler::new(Limits::default());
        assert_eq!(assembler.add(NOW, key("a", 1, 3), part(3, "c")), Ok(Added::Waiting));
        assert_eq!(assembler.add(NOW, key("a", 1, 3), part(1, "a")), Ok(Added::Waiting));
        assert_eq!(assembler.add(NOW, key("a", 1, 3), part(1, "a")), Ok(Added::Duplicate));
        // others with the same reference
        assert_eq!(assembler.add(NOW, key("b", 1, 3), part(2, "x")), Ok(Added::Waiting));
        assert_eq!(assembler.add(NOW, key("a", 1, 2), part(2, "x")), Ok(Added::Waiting));
        let Ok(Added::Complete(message)) = assembler.add(NOW, key("a", 1, 3), part(2, "b")) else { panic!() };
        assert!(message.is_complete());
        assert_eq!(message.parts.into_iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((assembler.open_sets(), assembler.octets), (2, 2));
    }

    #[test]
    fn threat_p3_impossible_parts() {
        let mut assembler = Assembler::new(Limits::default());
        for (total, number) in [(0, 0), (0, 1), (2, 0), (2, 3)] {
            let refused = assembler.add(NOW, key("a", 1, total), part(number, "x"));
            assert_eq!(refused, Err(PartRefused { number, total }));
        }
        assert_eq!(assembler.open_sets(), 0);
    }

    #[test]
    fn threat_p3_time_and_reuse_deliver_what_came() {
        let mut assembler = Assembler::new(Limits::default());
        assembler.add(NOW, key("a", 1, 2), part(1, "old")).unwrap();
        assembler.add(NOW, key("a", 1, 2), part(1, "new")).unwrap();
        let old = assembler.poll_expired().unwrap();
        assert_eq!(old.parts, [Some(Bytes::from("old")), None]);
        assert_eq!(assembler.poll_timeout(), Some(Duration::from_secs(600)));
        assembler.handle_timeout(Duration::from_secs(599));
        assert_eq!(assembler.poll_expired(), None);
        assembler.handle_timeout(Duration::from_secs(600));
        assert!(!assembler.poll_expired().unwrap().is_complete());
        assert_eq!((assembler.poll_timeout(), assembler.octets, assembler.sources.len()), (None, 0, 0));
    }

    #[test]
    fn threat_p3_a_flood_of_open_sets_is_bounded() {
        let mut assembler = Assembler::new(Limits { octets: 1_000, ..Limits::default() });
        let mut given_up = 0;
        for n in 0..100_000u32 {
            let source = format!("{}", n / 10);
            assembler.add(NOW, key(&source, (n % 65_536) as u16, 255), part(1, "0123456789")).unwrap();
            assert!(assembler.open_sets() <= 1_024 && assembler.octets <= 1_000);
            while assembler.poll_expired().is_some() {
                given_up += 1;
            }
        }
        assert_eq!(given_up + assembler.open_sets(), 100_000);
        let mut one = Assembler::new(Limits::default());
        for n in 0..100 {
            one.add(NOW, key("same", n, 2), part(1, "x")).unwrap();
        }
        assert_eq!(one.open_sets(), 16);
    }
}
