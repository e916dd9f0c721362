//! Rows one after the other, in chunks so that growing copies nothing.

/// Octets of a chunk; a row lies in one of them.
const CHUNK: usize = 1 << 20;
/// So that a position is 32 bits.
const MOST_CHUNKS: usize = 1 << 12;

/// The most octets of rows.
pub(super) const LIMIT: usize = CHUNK.saturating_mul(MOST_CHUNKS);

#[derive(Clone, Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    live: usize,
    dead: usize,
}

impl Arena {
    /// Adds a row of at most `CHUNK` octets, and says where it lies; `None` if there is no room.
    pub(super) fn push(&mut self, row: &[u8]) -> Option<u32> {
        if self.chunks.last().is_none_or(|chunk| chunk.len() + row.len() > CHUNK) {
            if self.chunks.len() == MOST_CHUNKS {
                return None;
            }
            // The first one grows as needed: most maps are small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let number = self.chunks.len().checked_sub(1)?;
        let chunk = self.chunks.last_mut()?;
        let position = u32::try_from(number * CHUNK + chunk.len()).ok()?;
        chunk.extend(row);
        self.live += row.len();
        Some(position)
    }

    /// The octets from there on: a row, and whatever follows it.
    pub(super) fn at(&self, position: u32) -> &[u8] {
        let position = position as usize;
        let chunk = self.chunks.get(position / CHUNK);
        chunk.and_then(|chunk| chunk.get(position % CHUNK..)).unwrap_or_default()
    }

    /// Writes a row over one of the same length.
    pub(super) fn overwrite(&mut self, position: u32, row: &[u8]) {
        let position = position as usize;
        let start = position % CHUNK;
        let chunk = self.chunks.get_mut(position / CHUNK);
        if let Some(place) = chunk.and_then(|chunk| chunk.get_mut(start..start + row.len())) {
            place.copy_from_slice(row);
        }
    }

    /// A row of so many octets is no longer wanted.
    pub(super) fn discard(&mut self, len: usize) {
        self.live -= len;
        self.dead += len;
    }

    /// Whether a fifth of it is waste.
    pub(super) fn is_wasteful(&self) -> bool {
        self.dead > 4096 && self.dead * 4 > self.live
    }

    /// Octets of memory held.
    pub(super) fn octets(&self) -> usize {
        let rows: usize = self.chunks.iter().map(Vec::capacity).sum();
        rows + self.chunks.capacity() * size_of::<Vec<u8>>()
    }
}
