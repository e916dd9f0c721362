//! A hash table of positions; the keys stay where the positions point.

/// Eight bits of the hash, never 0 unless empty, then the position: both in one cache line, five octets
/// a slot, and a wrong key is looked at once in 255 times.
type Slot = [u8; 5];

const EMPTY: Slot = [0; 5];

/// Open addressing, linear probing, removal by moving back; 7 of 8 slots at most are used.
#[derive(Clone, Default)]
pub(super) struct Table {
    /// A power of two of them, or none.
    slots: Vec<Slot>,
    used: usize,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn octets(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().filter(|slot| **slot != EMPTY).map(position_of)
    }

    /// Where the key lies of which `is` says so.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash, is).map(|(_, position)| position)
    }

    /// Adds a key that is not there. `hash_at` gives the hash of the key at a position.
    pub(super) fn insert(&mut self, hash: u64, position: u32, hash_at: impl Fn(u32) -> u64) {
        if (self.used + 1) * 8 > self.slots.len() * 7 {
            let room = (self.slots.len() * 2).max(8);
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; room]);
            for position in old.iter().filter(|slot| **slot != EMPTY).map(position_of) {
                self.place(hash_at(position), position);
            }
        }
        self.place(hash, position);
        self.used += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, is: impl Fn(u32) -> bool, hash_at: impl Fn(u32) -> u64) {
        let Some((mut hole, _)) = self.probe(hash, is) else { return };
        self.used -= 1;
        let mask = self.mask();
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slot(at);
            if slot == EMPTY {
                break;
            }
            // It may move back unless its search begins after the hole.
            let home = hash_at(position_of(&slot)) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, slot);
                hole = at;
            }
        }
        self.set(hole, EMPTY);
    }

    fn probe(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = hash as usize & self.mask();
        // Ends: a slot in eight is empty.
        loop {
            let slot = self.slot(at);
            if slot == EMPTY {
                return None;
            }
            if slot.first() == Some(&tag(hash)) && is(position_of(&slot)) {
                return Some((at, position_of(&slot)));
            }
            at = (at + 1) & self.mask();
        }
    }

    fn place(&mut self, hash: u64, position: u32) {
        let mut at = hash as usize & self.mask();
        while self.slot(at) != EMPTY {
            at = (at + 1) & self.mask();
        }
        let [a, b, c, d] = position.to_le_bytes();
        self.set(at, [tag(hash), a, b, c, d]);
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    fn slot(&self, at: usize) -> Slot {
        self.slots.get(at).copied().unwrap_or(EMPTY)
    }

    fn set(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }
}

fn tag(hash: u64) -> u8 {
    let [.., top] = hash.to_le_bytes();
    top.max(1)
}

fn position_of(&[_, a, b, c, d]: &Slot) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}
