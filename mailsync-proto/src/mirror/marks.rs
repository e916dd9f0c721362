//! The marks of a mail that both sides know.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::mail::MailFields;
use core::fmt;

/// A set of marks: one bit each.
///
/// # Spec
/// RFC 3501 §2.3.2 (system flags), RFC 5788 (`$Forwarded`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Marks(u8);

/// Each mark with its names on mail servers, the one we write first.
// De facto: `Forwarded` without the dollar sign is what older clients set (e-mail facts §6).
const NAMES: [(Marks, &[&str]); 6] = [
    (Marks::READ, &["\\Seen"]),
    (Marks::ANSWERED, &["\\Answered"]),
    (Marks::FORWARDED, &["$Forwarded", "Forwarded"]),
    (Marks::FLAGGED, &["\\Flagged"]),
    (Marks::DELETED, &["\\Deleted"]),
    (Marks::DRAFT, &["\\Draft"]),
];

impl Marks {
    /// Read.
    pub const READ: Marks = Marks(1);
    /// Answered.
    pub const ANSWERED: Marks = Marks(2);
    /// Forwarded.
    pub const FORWARDED: Marks = Marks(4);
    /// Flagged.
    pub const FLAGGED: Marks = Marks(8);
    /// To be deleted.
    pub const DELETED: Marks = Marks(16);
    /// A draft.
    pub const DRAFT: Marks = Marks(32);
    /// None.
    pub const NONE: Marks = Marks(0);

    /// As stored.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From what was stored; unknown bits are dropped.
    pub fn from_bits(bits: u8) -> Self {
        Marks(bits & 63)
    }

    /// The marks of a mail's state.
    pub fn of(fields: &MailFields) -> Self {
        [
            (fields.read, Marks::READ),
            (fields.answered, Marks::ANSWERED),
            (fields.forwarded, Marks::FORWARDED),
            (fields.flagged, Marks::FLAGGED),
            (fields.deleted, Marks::DELETED),
            (fields.draft, Marks::DRAFT),
        ]
        .into_iter()
        .filter_map(|(set, mark)| set.then_some(mark))
        .fold(Marks::NONE, Marks::with)
    }

    /// Gives a mail's state these marks.
    pub fn put(self, fields: &mut MailFields) {
        fields.read = self.has(Marks::READ);
        fields.answered = self.has(Marks::ANSWERED);
        fields.forwarded = self.has(Marks::FORWARDED);
        fields.flagged = self.has(Marks::FLAGGED);
        fields.deleted = self.has(Marks::DELETED);
        fields.draft = self.has(Marks::DRAFT);
    }

    /// From the names that a mail server uses; others mean nothing here.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mark = |name: &str| {
            NAMES
                .iter()
                .find(|(_, known)| known.iter().any(|k| k.eq_ignore_ascii_case(name)))
                .map(|(m, _)| *m)
        };
        names.into_iter().filter_map(mark).fold(Marks::NONE, Marks::with)
    }

    /// The names that we write.
    pub fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .filter(|(mark, _)| self.has(*mark))
            .filter_map(|(_, names)| names.first().copied())
            .collect()
    }

    /// Whether all of these are set.
    pub fn has(self, marks: Marks) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// With these too.
    #[must_use]
    pub fn with(self, marks: Marks) -> Self {
        Marks(self.0 | marks.0)
    }

    /// Without these.
    #[must_use]
    pub fn without(self, marks: Marks) -> Self {
        Marks(self.0 & !marks.0)
    }

    /// What two sides that changed `base` come to: our changes stay, all else is as theirs.
    // mission: M5
    #[must_use]
    pub fn merge(base: Marks, ours: Marks, theirs: Marks) -> Self {
        let changed = base.0 ^ ours.0;
        Marks((ours.0 & changed) | (theirs.0 & !changed))
    }

    /// What has to be set and taken off to come from these to `to`.
    pub fn difference(self, to: Marks) -> (Marks, Marks) {
        (to.without(self), self.without(to))
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        let marks = Marks::from_names(["\\seen", "forwarded", "$Label1", "\\Recent"]);
        assert_eq!(marks, Marks::READ.with(Marks::FORWARDED));
        assert_eq!(marks.names(), ["\\Seen", "$Forwarded"]);
        let mut fields = MailFields::default();
        marks.put(&mut fields);
        assert!(fields.read && fields.forwarded && !fields.flagged);
        assert_eq!(Marks::of(&fields), marks);
    }

    // mission: M5c
    #[test]
    fn every_merge_keeps_our_change_and_takes_theirs() {
        for base in 0..64u8 {
            for ours in 0..64u8 {
                let theirs = base.wrapping_mul(7).wrapping_add(ours.wrapping_mul(13)) % 64;
                let merged = Marks::merge(Marks(base), Marks(ours), Marks(theirs));
                for bit in [1, 2, 4, 8, 16, 32] {
                    let want = if (base ^ ours) & bit != 0 { ours & bit } else { theirs & bit };
                    assert_eq!(merged.0 & bit, want, "base {base} ours {ours} theirs {theirs} bit {bit}");
                }
                let (add, remove) = Marks(base).difference(Marks(ours));
                assert_eq!(Marks(base).with(add).without(remove), Marks(ours));
            }
        }
    }
}
