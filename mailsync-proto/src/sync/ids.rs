//! Ids made from a turn's entropy: the same turn run again makes the same ids.

use idmap::Guid;
use sha2::{Digest, Sha256};

/// Makes ids, each different.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    entropy: [u8; 32],
    made: u64,
}

impl Ids {
    pub(crate) fn new(entropy: [u8; 32]) -> Self {
        Ids { entropy, made: 0 }
    }

    fn next(&mut self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.entropy);
        hash.update(self.made.to_be_bytes());
        self.made = self.made.wrapping_add(1);
        hash.finalize().into()
    }

    /// 128 bits as 26 characters that are safe in a URL and in a file name.
    pub(crate) fn guid(&mut self) -> Guid {
        Guid::unvalidated(base32(&self.next()))
    }

    /// 128 bits for a session token.
    // spec: threats S1
    pub(crate) fn token(&mut self) -> Box<str> {
        base32(&self.next()).into()
    }

    /// A short text that differs from turn to turn.
    pub(crate) fn short(&mut self) -> String {
        let mut text = base32(&self.next());
        text.truncate(6);
        text
    }

    /// A number to choose temporary ids by.
    pub(crate) fn unique(&mut self) -> u64 {
        self.next().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

/// The token of a session that begins with these octets: the same for the same message, and unpredictable to who
/// does not know the key.
// spec: threats S1
pub(crate) fn token_of(key: &[u8; 32], digest: &[u8; 16]) -> Box<str> {
    let inner = Sha256::new().chain_update(key).chain_update(b"token").chain_update(digest).finalize();
    base32(&Sha256::new().chain_update(inner).chain_update(key).finalize()).into()
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let number = bytes.iter().take(16).fold(0u128, |number, byte| (number << 8) | u128::from(*byte));
    (0..26u32)
        .map(|at| {
            let index = usize::try_from((number >> (at * 5).min(127)) & 31).unwrap_or_default();
            ALPHABET.get(index).map_or('a', |byte| char::from(*byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_made_again_by_the_same_turn() {
        let (mut a, mut b) = (Ids::new([3; 32]), Ids::new([3; 32]));
        let first = a.guid();
        assert_eq!(first, b.guid());
        assert_ne!(first, a.guid());
        assert_eq!(first.as_str().len(), 26);
        assert_ne!(Ids::new([4; 32]).guid(), first);
    }
}
