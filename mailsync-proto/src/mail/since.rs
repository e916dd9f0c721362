//! When each part of a mail's state changed, kept beside it: so that what one side changed is told from what it never saw.
//!
//! A device sends the whole state of a mail. Against the state here alone nobody can say what of it is a change, and what is
//! only older; with the revision that the device is known to hold, and the revisions at which the parts changed here, each part
//! is merged by itself: the place, and every mark.
// mission: M5c
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::flags::MailFields;
use super::mailbox::{Role, moved_keys};
use crate::sync::collection::Both;
use crate::sync::store::{Item, ItemValue};
use idmap::Guid;
use serde::{Deserialize, Serialize};

/// The parts of the state that are merged by themselves, beside the place.
const MARKS: usize = 5;

/// Revisions of a row. A change is kept as the first revision that it can have: one more than the row had before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Since {
    /// What happened up to this one is not known.
    from: u64,
    place: u64,
    marks: [u64; MARKS],
}

impl Since {
    /// What is known of a row.
    fn of(item: &Item) -> Since {
        let stored = MailFields::since(&item.value.fields);
        stored.unwrap_or(Since { from: item.rev, ..Since::default() })
    }

    /// With the change of a row into this.
    pub(super) fn after(item: &Item, parent: Option<&Guid>, fields: &MailFields) -> Since {
        let mut since = Since::of(item);
        let at = item.rev.saturating_add(1);
        if item.value.parent.as_ref() != parent {
            since.place = at;
        }
        let was = MailFields::from_fields(&item.value.fields).unwrap_or_default().marks();
        for ((mark, was), is) in since.marks.iter_mut().zip(was).zip(fields.marks()) {
            if was != is {
                *mark = at;
            }
        }
        since
    }
}

/// Two sides changed one mail: each part is what the side made of it that changed it; where both did, or nobody knows who, ours
/// is, and what either side set stays set. None for a row that cannot be read.
pub(super) fn merged(both: &Both<'_>) -> Option<ItemValue> {
    let Both { ours, theirs, seen, server } = *both;
    let mut fields = MailFields::from_fields(&ours.value.fields).ok()?;
    let other = MailFields::from_fields(&theirs.fields).ok()?;
    let since = Since::of(ours);
    let mut parent = ours.value.parent.clone();
    match seen.filter(|seen| *seen >= since.from) {
        Some(seen) => {
            let mut marks = fields.marks();
            for ((mark, theirs), at) in marks.iter_mut().zip(other.marks()).zip(since.marks) {
                if at <= seen {
                    *mark = theirs;
                }
            }
            fields.set_marks(marks);
            if since.place <= seen {
                parent.clone_from(&theirs.parent);
            }
        }
        None => fields.union(&other),
    }
    fields.modified = fields.modified.max(other.modified);
    fields.draft = parent.as_ref().and_then(Role::of) == Some(Role::Drafts);
    // A client has one peer: what it takes from it is no change of its own.
    let since = if server { Since::after(ours, parent.as_ref(), &fields) } else { since };
    Some(ItemValue {
        match_keys: moved_keys(parent.as_ref(), &ours.value.match_keys),
        fields: fields.to_fields_since(&since),
        parent,
        ..ours.value.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mailbox::{changed_value, mail_value};

    fn row(rev: u64, value: ItemValue) -> Item {
        Item { guid: Guid::unvalidated("g"), rev, body_rev: 1, deleted: false, value, size: 1 }
    }

    fn state(read: bool, flagged: bool) -> MailFields {
        MailFields { read, flagged, ..MailFields::default() }
    }

    fn shown(value: &ItemValue) -> (Option<Role>, bool, bool) {
        let fields = MailFields::from_fields(&value.fields).unwrap();
        (value.parent.as_ref().and_then(Role::of), fields.read, fields.flagged)
    }

    /// A mail that came with revision 3, flagged, and was changed here with revision 7.
    fn changed(to: Role, fields: &MailFields) -> Item {
        let came = row(3, mail_value(Role::Inbox.guid(), &state(false, true), b"Subject: x\r\n\r\n"));
        row(7, changed_value(&came, Some(to.guid()), fields))
    }

    fn merge(ours: &Item, theirs: (Role, &MailFields), seen: Option<u64>) -> (Option<Role>, bool, bool) {
        let theirs = mail_value(theirs.0.guid(), theirs.1, b"Subject: x\r\n\r\n");
        shown(&merged(&Both { ours, theirs: &theirs, seen, server: true }).unwrap())
    }

    // mission: M5b, M5c
    #[test]
    fn each_part_is_what_the_side_made_of_it_that_changed_it() {
        let marked = changed(Role::Inbox, &state(true, false));
        let moved = changed(Role::Sent, &state(false, true));
        // Of who had seen revision 3 the move is one, and the marks are older; and the other way round.
        assert_eq!(
            merge(&marked, (Role::Trash, &state(false, true)), Some(3)),
            (Some(Role::Trash), true, false)
        );
        assert_eq!(
            merge(&moved, (Role::Inbox, &state(true, false)), Some(3)),
            (Some(Role::Sent), true, false)
        );
        // Both moved it: ours.
        assert_eq!(
            merge(&moved, (Role::Trash, &state(false, true)), Some(3)),
            (Some(Role::Sent), false, true)
        );
        // Who has seen it all changes what it says.
        assert_eq!(
            merge(&moved, (Role::Inbox, &state(false, false)), Some(7)),
            (Some(Role::Inbox), false, false)
        );
        // Nobody knows: our place, and all marks.
        for seen in [None, Some(2)] {
            assert_eq!(
                merge(&marked, (Role::Trash, &state(false, true)), seen),
                (Some(Role::Inbox), true, true)
            );
        }
    }

    #[test]
    fn a_third_side_is_told_from_the_second() {
        let moved = changed(Role::Sent, &state(false, true));
        let theirs = mail_value(Role::Inbox.guid(), &state(true, true), b"Subject: x\r\n\r\n");
        let both = Both { ours: &moved, theirs: &theirs, seen: Some(3), server: true };
        let merged = row(9, merged(&both).unwrap());
        // It has seen the move and not the mark: its place counts, its mark does not.
        assert_eq!(
            merge(&merged, (Role::Trash, &state(false, true)), Some(7)),
            (Some(Role::Trash), true, true)
        );
        let keys = crate::mail::mailbox::mail_keys(Some(&Role::Sent.guid()), b"Subject: x\r\n\r\n");
        assert_eq!(merged.value.match_keys, keys);
    }

    #[test]
    fn a_client_keeps_what_is_its_own_change() {
        let moved = changed(Role::Trash, &state(false, true));
        let theirs = mail_value(Role::Inbox.guid(), &state(true, true), b"Subject: x\r\n\r\n");
        let both = Both { ours: &moved, theirs: &theirs, seen: Some(3), server: false };
        let value = merged(&both).unwrap();
        assert_eq!(shown(&value), (Some(Role::Trash), true, true));
        // The mark comes off there before the move went: that is taken, too.
        let row = row(9, value);
        let theirs = mail_value(Role::Inbox.guid(), &state(false, true), b"Subject: x\r\n\r\n");
        let both = Both { ours: &row, theirs: &theirs, seen: Some(3), server: false };
        assert_eq!(shown(&merged(&both).unwrap()), (Some(Role::Trash), false, true));
    }
}
