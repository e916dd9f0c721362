//! Unpredictable numbers from a seed the host gives: ChaCha20, because a nonce that can be guessed is none.

use core::fmt;

/// A ChaCha20 key stream read as numbers. Same seed, same numbers.
/// # Spec
/// RFC 8439 §2.3
#[derive(Clone)]
pub struct ChaCha {
    key: [u32; 8],
    counter: u64,
    block: [u32; 16],
    used: usize,
}

impl fmt::Debug for ChaCha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaCha(redacted)")
    }
}

impl ChaCha {
    /// A stream from 32 octets of the host's entropy.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut key = [0; 8];
        let (words, _) = seed.as_chunks::<4>();
        for (to, from) in key.iter_mut().zip(words) {
            *to = u32::from_le_bytes(*from);
        }
        ChaCha { key, counter: 0, block: [0; 16], used: 16 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if self.used + 2 > self.block.len() {
            self.block = block(&self.key, self.counter);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let low = self.block.get(self.used).copied().unwrap_or(0);
        let high = self.block.get(self.used + 1).copied().unwrap_or(0);
        self.used += 2;
        u64::from(low) | (u64::from(high) << 32)
    }

    /// A number below `limit` (0 when `limit` is 0).
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }
}

fn block(key: &[u32; 8], counter: u64) -> [u32; 16] {
    let mut state = [0_u32; 16];
    let constants = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    let tail = [counter as u32, (counter >> 32) as u32, 0, 0];
    for (to, from) in state.iter_mut().zip(constants.iter().chain(key).chain(&tail)) {
        *to = *from;
    }
    let start = state;
    for _ in 0..10 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter(&mut state, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter(&mut state, a, b, c, d);
        }
    }
    for (to, from) in state.iter_mut().zip(start) {
        *to = to.wrapping_add(from);
    }
    state
}

fn quarter(s: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    s[a] = s[a].wrapping_add(s[b]);
    s[d] = (s[d] ^ s[a]).rotate_left(16);
    s[c] = s[c].wrapping_add(s[d]);
    s[b] = (s[b] ^ s[c]).rotate_left(12);
    s[a] = s[a].wrapping_add(s[b]);
    s[d] = (s[d] ^ s[a]).rotate_left(8);
    s[c] = s[c].wrapping_add(s[d]);
    s[b] = (s[b] ^ s[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_of_an_all_zero_key() {
        // spec-test: RFC 8439 A.1 test vector 1
        let block = block(&[0; 8], 0);
        assert_eq!(block[..4], [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
        assert_eq!(block[15], 0x8665_eeb2);
    }

    #[test]
    fn numbers_stay_below_their_limit() {
        let mut rng = ChaCha::new([7; 32]);
        assert!((0..1000).all(|_| rng.below(10) < 10));
        assert_eq!(rng.below(0), 0);
    }
}
