//! What of a folder on a mail server is new, changed or gone, and what its mails become here.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::marks::Marks;
use crate::mail::MailFields;
use crate::mail::headers::{Headers, message_id};
use crate::mail::mailbox::{changed_value, mail_value};
use crate::mail::outbox::{date, derived_guid};
use crate::sync::collection::match_key;
use crate::sync::store::{Item, ItemValue, StoreKey, Write};
use bytes::Bytes;
use core::ops::RangeInclusive;
use idmap::Guid;
use std::collections::{HashMap, HashSet};

/// By what a mail is known again when the server gives it another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Message-ID, size and time of arrival: the same for a mail that was moved or copied.
    pub strong: [u8; 16],
    /// Message-ID alone, or else sender, date and subject.
    pub weak: [u8; 16],
}

impl Key {
    /// Of a mail with this header, octets in all, and time of arrival (seconds since 1970).
    pub fn of(header: &[u8], size: u64, received: Option<u64>) -> Self {
        let headers = Headers::parse(header);
        let text = |name: &str| headers.first(name).map(|field| field.text()).unwrap_or_default();
        let id = text("Message-ID");
        let id = match message_id(&id) {
            Some(id) => id.to_owned(),
            None => [text("From"), text("Date"), text("Subject")].join("\n"),
        };
        let received = received.unwrap_or(0).to_be_bytes();
        Key {
            strong: match_key(&[b"remote mail", id.as_bytes(), &size.to_be_bytes(), &received]).0,
            weak: match_key(&[b"remote mail", id.as_bytes()]).0,
        }
    }
}

/// The id of a mail in its folder. The driver's word; for IMAP the UID.
pub type RemoteId = u32;

/// What we know of a mail that is on the server too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Our item.
    pub guid: Guid,
    /// The folder it is in over there.
    pub folder: Guid,
    /// Its id there; none while that is not known: it was moved or added and has not been seen since.
    pub id: Option<RemoteId>,
    /// Its marks there when we last heard of them.
    pub marks: Marks,
    /// By what it is known again.
    pub key: Key,
    /// The revision of our body that is there.
    pub body_rev: u64,
}

/// A mail as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenMail {
    /// Its id.
    pub id: RemoteId,
    /// Its marks.
    pub marks: Marks,
}

/// What a mail server says of the mails of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Every mail that is there.
    Whole {
        /// The mails.
        mails: Vec<SeenMail>,
        /// Part of what the server said could not be read: what is missing may be there.
        torn: bool,
    },
    /// What changed since the state that was asked about.
    Changed {
        /// New and changed ones.
        mails: Vec<SeenMail>,
        /// Ids that are no longer there; of mails that were never known, too.
        gone: Vec<RangeInclusive<RemoteId>>,
    },
    /// All ids are others than before; every mail that is there.
    Renumbered {
        /// The mails.
        mails: Vec<SeenMail>,
    },
}

/// What a listing means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Mails that we do not have under this id.
    pub new: Vec<SeenMail>,
    /// Mails whose marks are others there than we last heard.
    pub marked: Vec<(Link, Marks)>,
    /// Mails that are no longer there under the id that they had.
    pub gone: Vec<Link>,
    /// All ids are others: what is gone is not deleted, whatever else is found.
    pub renumbered: bool,
}

/// Compares a listing with what we know of the folder.
// mission: M5a; threats: S11
pub fn compare(known: &[Link], listing: &Listing) -> Difference {
    let mut difference = Difference::default();
    let (mails, gone): (&[SeenMail], Box<dyn Fn(RemoteId) -> bool>) = match listing {
        Listing::Renumbered { mails } => {
            difference.renumbered = true;
            difference.new.clone_from(mails);
            difference.gone = known.iter().filter(|link| link.id.is_some()).cloned().collect();
            return difference;
        }
        Listing::Whole { mails, torn } => {
            let there: HashSet<RemoteId> = mails.iter().map(|mail| mail.id).collect();
            let torn = *torn;
            (mails, Box::new(move |id| !torn && !there.contains(&id)))
        }
        Listing::Changed { mails, gone } => {
            // A mail that is listed is there, whatever else was said.
            let there: HashSet<RemoteId> = mails.iter().map(|mail| mail.id).collect();
            let ranges = merged(gone);
            (mails, Box::new(move |id| !there.contains(&id) && within(&ranges, id)))
        }
    };
    let by_id: HashMap<RemoteId, &Link> = known.iter().filter_map(|link| Some((link.id?, link))).collect();
    let mut heard = HashSet::new();
    for mail in mails.iter().rev().filter(|mail| heard.insert(mail.id)) {
        match by_id.get(&mail.id) {
            None => difference.new.push(*mail),
            Some(link) if link.marks != mail.marks => {
                difference.marked.push(((*link).clone(), mail.marks));
            }
            Some(_) => {}
        }
    }
    difference.new.sort_by_key(|mail| mail.id);
    difference.gone = known.iter().filter(|link| link.id.is_some_and(&gone)).cloned().collect();
    difference
}

fn merged(ranges: &[RangeInclusive<RemoteId>]) -> Vec<(RemoteId, RemoteId)> {
    let mut all: Vec<(RemoteId, RemoteId)> = ranges
        .iter()
        .map(|range| (*range.start().min(range.end()), *range.start().max(range.end())))
        .collect();
    all.sort_unstable();
    let mut merged: Vec<(RemoteId, RemoteId)> = Vec::new();
    for (start, end) in all {
        match merged.last_mut() {
            Some((_, last)) if start <= last.saturating_add(1) => *last = (*last).max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn within(ranges: &[(RemoteId, RemoteId)], id: RemoteId) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= id);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, end)| id <= *end)
}

/// A new mail as the server describes it before its text is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The folder it is in.
    pub folder: Guid,
    /// Its id there.
    pub id: RemoteId,
    /// Its marks.
    pub marks: Marks,
    /// By what it is known again.
    pub key: Key,
    /// Octets of the message.
    pub size: u64,
    /// When it came, seconds since 1970.
    pub received: Option<u64>,
}

/// What new mails and lost links of an account come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// One of ours that has this id now: it was moved, renumbered, or sent there by us.
    pub same: Vec<(Link, Described)>,
    /// Really new.
    pub arrived: Vec<Described>,
    /// Really gone.
    pub lost: Vec<Link>,
}

/// Finds among new mails those that we have.
///
/// `gone` are the links that lost their mail in this pass, `unbound` those whose id was not known before.
pub fn matched(new: Vec<Described>, gone: Vec<Link>, unbound: &[Link]) -> Matched {
    let mut pool: Vec<Option<Link>> = unbound.iter().chain(&gone).cloned().map(Some).collect();
    let waiting = unbound.len();
    let mut strong: HashMap<[u8; 16], Vec<usize>> = HashMap::new();
    let mut weak: HashMap<(Guid, [u8; 16]), Vec<usize>> = HashMap::new();
    for (at, link) in pool.iter().enumerate().rev() {
        let Some(link) = link else { continue };
        strong.entry(link.key.strong).or_default().push(at);
        weak.entry((link.folder.clone(), link.key.weak)).or_default().push(at);
    }
    let mut matched = Matched::default();
    let mut rest = Vec::new();
    let mut take = |candidates: Option<&mut Vec<usize>>, fits: &dyn Fn(&Link) -> bool| -> Option<Link> {
        let candidates = candidates?;
        let found =
            candidates.iter().rposition(|at| pool.get(*at).and_then(Option::as_ref).is_some_and(fits))?;
        pool.get_mut(candidates.remove(found))?.take()
    };
    // The same mail in its own folder first, so that copies in several folders stay apart.
    for mail in new {
        match take(strong.get_mut(&mail.key.strong), &|link| link.folder == mail.folder) {
            Some(link) => matched.same.push((link, mail)),
            None => rest.push(mail),
        }
    }
    for mail in rest {
        let place = (mail.folder.clone(), mail.key.weak);
        let found = take(strong.get_mut(&mail.key.strong), &|_| true)
            .or_else(|| take(weak.get_mut(&place), &|_| true));
        match found {
            Some(link) => matched.same.push((link, mail)),
            None => matched.arrived.push(mail),
        }
    }
    matched.lost = pool.into_iter().skip(waiting).flatten().collect();
    matched
}

/// The id of a mail that came from a mail server: the same when the same is done twice.
pub fn arrived_guid(account: &str, folder: &Guid, identity: &str, id: RemoteId) -> Guid {
    derived_guid(
        "r",
        &[account.as_bytes(), folder.as_str().as_bytes(), identity.as_bytes(), &id.to_be_bytes()],
    )
}

/// The write that makes a mail of the server's an item.
pub fn arrived(store: &StoreKey, guid: Guid, mail: &Described, message: Bytes, now: u64) -> Write {
    let mut fields = MailFields {
        received: mail.received.or(Some(now)),
        modified: Some(now),
        created: date(&Headers::parse(&message)),
        ..MailFields::default()
    };
    mail.marks.put(&mut fields);
    Write::PutItem {
        store: store.clone(),
        guid,
        expect: None,
        value: mail_value(mail.folder.clone(), &fields, &message),
        body: Some(message),
    }
}

/// What an item is when the server has these marks and this place for it; none if it is so already.
///
/// `link` is what we knew: what was changed here since stays.
// mission: M5a, M5c
pub fn restated(item: &Item, link: &Link, marks: Marks, folder: &Guid, now: u64) -> Option<ItemValue> {
    let mut fields = MailFields::from_fields(&item.value.fields).ok()?;
    let ours = Marks::of(&fields);
    let merged = Marks::merge(link.marks, ours, marks);
    let moved_here = item.value.parent.as_ref() != Some(&link.folder);
    let parent = if moved_here { item.value.parent.clone() } else { Some(folder.clone()) };
    if merged == ours && parent == item.value.parent {
        return None;
    }
    merged.put(&mut fields);
    fields.modified = Some(now);
    Some(changed_value(item, parent, &fields))
}

/// Whether so many losses of a folder of so many are to be kept aside for a while.
// threat: S11
pub fn is_mass_loss(lost: usize, known: usize) -> bool {
    lost > 20 && lost.saturating_mul(2) > known
}

/// The row as the mail is there, whatever was changed here since: when the server does not take the change. None for a row
/// that cannot be read.
pub fn as_there(item: &Item, link: &Link) -> Option<ItemValue> {
    let mut fields = MailFields::from_fields(&item.value.fields).ok()?;
    link.marks.put(&mut fields);
    Some(changed_value(item, Some(link.folder.clone()), &fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Role;

    fn key(n: u8) -> Key {
        Key { strong: [n; 16], weak: [n | 128; 16] }
    }

    fn link(n: u8, id: RemoteId, folder: Role) -> Link {
        let guid = Guid::unvalidated(format!("g{n}"));
        Link { guid, folder: folder.guid(), id: Some(id), marks: Marks::NONE, key: key(n), body_rev: 1 }
    }

    fn described(n: u8, id: RemoteId, folder: Role) -> Described {
        Described { folder: folder.guid(), id, marks: Marks::NONE, key: key(n), size: 1, received: None }
    }

    fn seen(id: RemoteId, marks: Marks) -> SeenMail {
        SeenMail { id, marks }
    }

    #[test]
    fn a_whole_listing_says_new_marked_and_gone() {
        let known = [link(1, 1, Role::Inbox), link(2, 2, Role::Inbox)];
        let mails = vec![seen(2, Marks::READ), seen(5, Marks::NONE)];
        let found = compare(&known, &Listing::Whole { mails: mails.clone(), torn: false });
        assert_eq!(found.new, [seen(5, Marks::NONE)]);
        assert_eq!(found.marked, [(known[1].clone(), Marks::READ)]);
        assert_eq!(found.gone, [known[0].clone()]);
        // Part of the answer could not be read: nothing is taken for gone.
        let torn = compare(&known, &Listing::Whole { mails, torn: true });
        assert_eq!((torn.gone.len(), torn.new.len()), (0, 1));
    }

    #[test]
    fn threat_m5_vanished_ranges_cost_nothing() {
        let known = [link(1, 1, Role::Inbox), link(2, 7, Role::Inbox), link(3, 9, Role::Inbox)];
        #[expect(clippy::reversed_empty_ranges, reason = "servers may say it so")]
        let gone = vec![1..=1, 8..=u32::MAX, 4_294_967_295..=9, 3..=4];
        let found = compare(&known, &Listing::Changed { mails: vec![], gone });
        assert_eq!(found.gone, [known[0].clone(), known[2].clone()]);
        let listed = Listing::Changed { mails: vec![seen(9, Marks::NONE)], gone: vec![1..=u32::MAX] };
        assert_eq!(compare(&known, &listed).gone.len(), 2, "what is listed is there");
    }

    // mission: M5a
    #[test]
    fn moved_elsewhere_is_one_mail_and_copies_stay_apart() {
        let gone = vec![link(1, 1, Role::Inbox), link(2, 2, Role::Inbox)];
        let new =
            vec![described(1, 40, Role::Trash), described(1, 41, Role::Inbox), described(9, 42, Role::Sent)];
        let found = matched(new, gone.clone(), &[]);
        assert_eq!(found.same, [(gone[0].clone(), described(1, 41, Role::Inbox))]);
        assert_eq!(found.arrived, [described(1, 40, Role::Trash), described(9, 42, Role::Sent)]);
        assert_eq!(found.lost, [gone[1].clone()]);
        let found = matched(vec![described(2, 40, Role::Trash)], gone, &[]);
        assert_eq!((found.same.len(), found.arrived.len(), found.lost.len()), (1, 0, 1));
    }

    #[test]
    fn what_we_sent_there_is_known_again() {
        let waiting = Link { id: None, ..link(1, 0, Role::Sent) };
        let mut there = described(7, 3, Role::Sent);
        there.key.weak = key(1).weak;
        let found = matched(vec![there.clone()], vec![], std::slice::from_ref(&waiting));
        assert_eq!(found.same, [(waiting.clone(), there.clone())]);
        there.folder = Role::Trash.guid();
        assert_eq!(matched(vec![there], vec![], &[waiting]).arrived.len(), 1);
    }

    #[test]
    fn threat_s11_renumbered_deletes_nothing() {
        let known = [link(1, 1, Role::Inbox), link(2, 2, Role::Inbox)];
        let found = compare(&known, &Listing::Renumbered { mails: vec![seen(1, Marks::NONE)] });
        assert!(found.renumbered);
        assert_eq!((found.new.len(), found.gone.len()), (1, 2));
        assert!(is_mass_loss(21, 30) && !is_mass_loss(20, 20) && !is_mass_loss(30, 100));
    }

    // mission: M5c
    #[test]
    fn what_changed_here_stays() {
        let fields = MailFields { flagged: true, ..MailFields::default() };
        let item = Item {
            guid: Guid::unvalidated("g1"),
            rev: 1,
            body_rev: 1,
            deleted: false,
            value: mail_value(Role::Trash.guid(), &fields, b"Subject: x\r\n\r\n"),
            size: 1,
        };
        let known = link(1, 1, Role::Inbox);
        let value = restated(&item, &known, Marks::READ, &Role::Inbox.guid(), 5).unwrap();
        let state = MailFields::from_fields(&value.fields).unwrap();
        assert!(state.read && state.flagged);
        assert_eq!(value.parent, Some(Role::Trash.guid()), "moved here, and not yet there");
        let same = Link { folder: Role::Trash.guid(), marks: Marks::FLAGGED, ..known };
        assert_eq!(restated(&item, &same, Marks::FLAGGED, &Role::Trash.guid(), 5), None);
        let taken_off = restated(&item, &same, Marks::NONE, &Role::Sent.guid(), 5).unwrap();
        assert_eq!(taken_off.parent, Some(Role::Sent.guid()));
        assert!(!MailFields::from_fields(&taken_off.fields).unwrap().flagged);
    }
}
