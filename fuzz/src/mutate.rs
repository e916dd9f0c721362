//! A small mutator with a seed: the same seed gives the same inputs.

/// Pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as this seed says.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            end => usize::try_from(self.roll() % end as u64).unwrap_or(0),
        }
    }

    fn octet(&mut self) -> u8 {
        self.roll().to_be_bytes()[0]
    }

    /// One of them.
    pub fn choose<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    /// A place and an end behind it; mostly short.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let most = if self.below(4) == 0 { len } else { 16 };
        start..(start + self.below(most + 1)).min(len)
    }
}

/// Changes an input in one to eight ways. `others` are what a piece may come from.
pub fn mutate(
    dice: &mut Dice,
    input: &mut Vec<u8>,
    dictionary: &[Vec<u8>],
    others: &[Vec<u8>],
    max_len: usize,
) {
    for _ in 0..=dice.below(8) {
        once(dice, input, dictionary, others);
    }
    input.truncate(max_len);
}

fn once(dice: &mut Dice, input: &mut Vec<u8>, dictionary: &[Vec<u8>], others: &[Vec<u8>]) {
    const ODD: [u8; 10] = [0, 1, 3, 0x0A, 0x20, 0x7F, 0x80, 0x81, 0xC3, 0xFF];
    let at = dice.below(input.len());
    match dice.below(12) {
        0 => {
            if let Some(octet) = input.get_mut(at) {
                *octet ^= 1 << dice.below(8);
            }
        }
        1 => {
            let new = if dice.below(2) == 0 { dice.octet() } else { ODD[dice.below(ODD.len())] };
            if let Some(octet) = input.get_mut(at) {
                *octet = new;
            }
        }
        2 => {
            let new = dice.octet();
            input.insert(at, new);
        }
        3 => {
            let range = dice.range(input.len());
            input.drain(range);
        }
        // A piece twice, or elsewhere.
        4 => {
            let piece = input[dice.range(input.len())].to_vec();
            input.splice(at..at, piece);
        }
        5 => {
            let piece = input[dice.range(input.len())].to_vec();
            let end = (at + piece.len()).min(input.len());
            input.splice(at..end, piece);
        }
        // A word: put in, or over what is there.
        6 | 7 => {
            if let Some(word) = dice.choose(dictionary) {
                input.splice(at..at, word.iter().copied());
            }
        }
        8 => {
            if let Some(word) = dice.choose(dictionary) {
                let end = (at + word.len()).min(input.len());
                input.splice(at..end, word.iter().copied());
            }
        }
        // A piece of another input.
        9 => {
            if let Some(other) = dice.choose(others) {
                let piece = other[dice.range(other.len())].to_vec();
                let end = if dice.below(2) == 0 { at } else { dice.range(input.len()).end.max(at) };
                input.splice(at..end, piece);
            }
        }
        10 => number(dice, input, at),
        // A length or a count, counted up or down.
        _ => {
            if let Some(octet) = input.get_mut(at) {
                let by = 1 + u8::try_from(dice.below(4)).unwrap_or(0);
                *octet = if dice.below(2) == 0 { octet.wrapping_add(by) } else { octet.wrapping_sub(by) };
            }
        }
    }
}

/// Another number in place of the next one in decimal digits.
fn number(dice: &mut Dice, input: &mut Vec<u8>, from: usize) {
    let digit = |octet: &u8| octet.is_ascii_digit();
    let Some(start) = input.iter().skip(from).position(digit).map(|n| n + from) else { return };
    let end = input[start..].iter().position(|octet| !digit(octet)).map_or(input.len(), |n| n + start);
    const NUMBERS: [&str; 12] = [
        "0",
        "1",
        "2",
        "200",
        "222",
        "508",
        "65535",
        "65536",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "99999999999999999999",
    ];
    let number = NUMBERS[dice.below(NUMBERS.len())];
    input.splice(start..end, number.bytes());
}
