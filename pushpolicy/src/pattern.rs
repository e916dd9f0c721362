//! Patterns over header fields: words and globs, matched without backtracking explosions.
//!
//! A set of patterns is looked up by three-octet grams: each pattern with a literal of three octets or more is filed
//! under its rarest gram, so a mail touches only the patterns whose gram it holds. Every hit is then checked in
//! full, at most once per mail.

use serde::{Deserialize, Serialize};

/// A pattern, without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pattern {
    /// The field is this.
    Is(String),
    /// The field holds this anywhere.
    Keyword(String),
    /// The whole field matches: `*` any characters, `?` one character.
    Glob(String),
}

impl Pattern {
    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Pattern::Is(t) | Pattern::Keyword(t) | Pattern::Glob(t) => t,
        }
    }

    /// Whether it matches a field. Folds both: for many mails, compile.
    #[must_use]
    pub fn matches(&self, field: &str) -> bool {
        Prepared::new(self).matches(&field.to_lowercase())
    }
}

/// A pattern, folded and cut into literals.
#[derive(Clone, Debug)]
pub(crate) enum Prepared {
    Is(Box<str>),
    Keyword(Box<str>),
    Glob(Glob),
}

impl Prepared {
    pub(crate) fn new(pattern: &Pattern) -> Prepared {
        let folded = pattern.text().to_lowercase();
        match pattern {
            Pattern::Is(_) => Prepared::Is(folded.into()),
            Pattern::Keyword(_) => Prepared::Keyword(folded.into()),
            Pattern::Glob(_) => Prepared::Glob(Glob::new(&folded)),
        }
    }

    /// `field` is folded already.
    pub(crate) fn matches(&self, field: &str) -> bool {
        match self {
            Prepared::Is(text) => field == &**text,
            Prepared::Keyword(text) => field.contains(&**text),
            Prepared::Glob(glob) => glob.matches(field),
        }
    }

    /// Texts that every match holds.
    fn literals(&self) -> Vec<&str> {
        match self {
            Prepared::Is(text) | Prepared::Keyword(text) => vec![text],
            Prepared::Glob(glob) => glob.pieces.iter().flat_map(|p| p.split('?')).collect(),
        }
    }
}

/// A glob cut at its stars: the pieces must be found one after the other, the leftmost place is always good enough,
/// so nothing is ever tried twice. Pieces hold `?`.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    pieces: Vec<Box<str>>,
}

impl Glob {
    fn new(folded: &str) -> Glob {
        let mut pieces: Vec<Box<str>> = folded.split('*').map(Into::into).collect();
        // Runs of stars are one star; the first and the last piece anchor and stay even if empty.
        let last = pieces.len().saturating_sub(1);
        let mut index = 0;
        pieces.retain(|p| {
            let keep = index == 0 || index == last || !p.is_empty();
            index += 1;
            keep
        });
        Glob { pieces }
    }

    fn matches(&self, field: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some(mut left) = strip(first, field) else { return false };
        let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
        for piece in middle {
            match find(piece, left) {
                Some(after) => left = after,
                None => return false,
            }
        }
        let wanted = last.chars().count();
        let have = left.chars().count();
        let Some(skip) = have.checked_sub(wanted) else { return false };
        let tail = left.char_indices().nth(skip).map_or("", |(at, _)| left.get(at..).unwrap_or(""));
        strip(last, tail) == Some("")
    }
}

/// What follows `piece` at the start of `text`.
fn strip<'t>(piece: &str, text: &'t str) -> Option<&'t str> {
    if !piece.contains('?') {
        return text.strip_prefix(piece);
    }
    let mut chars = text.chars();
    for p in piece.chars() {
        let c = chars.next()?;
        if p != '?' && p != c {
            return None;
        }
    }
    Some(chars.as_str())
}

/// What follows the leftmost `piece` in `text`.
fn find<'t>(piece: &str, text: &'t str) -> Option<&'t str> {
    if !piece.contains('?') {
        return text.find(piece).and_then(|at| text.get(at + piece.len()..));
    }
    text.char_indices().find_map(|(at, _)| strip(piece, text.get(at..)?))
}

/// Many patterns over one field; numbered by the caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatternSet {
    patterns: Vec<(u16, Prepared)>,
    /// Start of each bucket in `filed`; one more at the end.
    buckets: Vec<u32>,
    /// Gram and index in `patterns`, by bucket.
    filed: Vec<(Gram, u16)>,
    /// Those without a gram.
    always: Vec<u16>,
}

/// Which patterns matched.
pub(crate) type Matches = [u64; crate::Limits::MAX_PATTERNS / 64];

pub(crate) const NO_MATCHES: Matches = [0; crate::Limits::MAX_PATTERNS / 64];

pub(crate) fn is_set(matches: &Matches, number: u16) -> bool {
    matches.get(usize::from(number / 64)).is_some_and(|word| word >> (number % 64) & 1 == 1)
}

fn set(matches: &mut Matches, number: u16) {
    if let Some(word) = matches.get_mut(usize::from(number / 64)) {
        *word |= 1 << (number % 64);
    }
}

impl PatternSet {
    pub(crate) fn new(patterns: Vec<(u16, Prepared)>) -> PatternSet {
        let grams =
            |p: &Prepared| -> Vec<Gram> { p.literals().iter().flat_map(|literal| grams(literal)).collect() };
        let mut frequency = std::collections::BTreeMap::<Gram, u32>::new();
        for (_, p) in &patterns {
            grams(p).into_iter().for_each(|g| *frequency.entry(g).or_default() += 1);
        }
        let count = patterns.len().next_power_of_two().max(64) * 4;
        let mut this = PatternSet { buckets: vec![0; count + 1], ..PatternSet::default() };
        for (index, (_, p)) in patterns.iter().enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            match grams(p).into_iter().min_by_key(|g| (frequency.get(g).copied(), *g)) {
                Some(gram) => this.filed.push((gram, index)),
                None => this.always.push(index),
            }
        }
        this.filed.sort_by_key(|(gram, index)| (bucket(*gram, count), *gram, *index));
        for (gram, _) in &this.filed {
            if let Some(n) = this.buckets.get_mut(bucket(*gram, count) + 1) {
                *n += 1;
            }
        }
        let mut sum = 0;
        for n in &mut this.buckets {
            sum += *n;
            *n = sum;
        }
        this.patterns = patterns;
        this
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Marks what matches `field` (folded); `tried` keeps a pattern from being checked twice.
    pub(crate) fn mark(&self, field: &str, tried: &mut Matches, matched: &mut Matches) {
        let mut check = |index: u16| {
            if let Some((number, pattern)) = self.patterns.get(usize::from(index))
                && !is_set(tried, *number)
            {
                set(tried, *number);
                if pattern.matches(field) {
                    set(matched, *number);
                }
            }
        };
        self.always.iter().for_each(|i| check(*i));
        if self.filed.is_empty() {
            return;
        }
        let count = self.buckets.len().saturating_sub(1);
        for gram in grams(field) {
            let at = bucket(gram, count);
            let Some([from, to]) = self.buckets.get(at..at + 2) else { continue };
            if from == to {
                continue;
            }
            for (filed, index) in self.filed.get(*from as usize..*to as usize).unwrap_or(&[]) {
                if *filed == gram {
                    check(*index);
                }
            }
        }
    }
}

/// Three octets in a row.
type Gram = u32;

fn grams(text: &str) -> impl Iterator<Item = Gram> {
    let mut last = 0;
    let all = text.bytes().map(move |octet| {
        last = (last << 8 | Gram::from(octet)) & 0xFF_FFFF;
        last
    });
    all.skip(2)
}

/// `count` is a power of two.
fn bucket(gram: Gram, count: usize) -> usize {
    (gram.wrapping_mul(0x9E37_79B1) >> 12) as usize & (count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str, text: &str) -> bool {
        Pattern::Glob(pattern.into()).matches(text)
    }

    #[test]
    fn globs_match_the_whole_field() {
        for (pattern, text, answer) in [
            ("*@example.org", "bob@EXAMPLE.org", true),
            ("*@example.org", "bob@example.org.evil", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*a*a*a*b", "aaab", true),
            ("*a*a*a*b", "aab", false),
            ("a?c", "aäc", true),
            ("?", "", false),
            ("", "", true),
            ("*", "", true),
            ("**x**", "axb", true),
            ("*?b?*", "abc", true),
            ("*ab?", "xabab1", true),
            ("Ä*", "äpfel", true),
        ] {
            assert_eq!(glob(pattern, text), answer, "{pattern} {text}");
        }
    }

    #[test]
    fn attack_a_glob_cannot_explode() {
        // A backtracking matcher needs about 10^60 steps for this one.
        let text = "a".repeat(1_000);
        assert!(!glob(&format!("{}b", "*a".repeat(120)), &text));
        assert!(!glob(&format!("{}b", "*?".repeat(120)), &text));
    }

    #[test]
    fn a_set_finds_what_each_pattern_finds_alone() {
        let patterns: Vec<Pattern> = ["invoice", "in", "rechnung", "aaa", "ä"]
            .iter()
            .map(|k| Pattern::Keyword((*k).into()))
            .chain(["*inv*ice", "??", "*", "urgent*", "*a?b*"].iter().map(|g| Pattern::Glob((*g).into())))
            .chain([Pattern::Is("invoice".into())])
            .collect();
        let set = PatternSet::new(patterns.iter().zip(0..).map(|(p, i)| (i, Prepared::new(p))).collect());
        for text in ["", "in", "invoice", "an invoice aaxb", "urgent: Ä", "aaaa", "rechnun", "éé"] {
            let (mut tried, mut matched) = (NO_MATCHES, NO_MATCHES);
            set.mark(&text.to_lowercase(), &mut tried, &mut matched);
            for (p, i) in patterns.iter().zip(0..) {
                assert_eq!(is_set(&matched, i), p.matches(text), "{p:?} on {text:?}");
            }
        }
    }
}
