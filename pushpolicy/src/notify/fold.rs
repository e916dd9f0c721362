//! Many events, few notices.

use super::{Event, EventKind, ItemId};
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Folds the events of one terminal and datastore into notices.
///
/// The first event waits [`Gather::gather_ms`] for others; after a notice, the next leaves no sooner than
/// [`Gather::gap_ms`] later. More than [`Gather::named`] events of one kind and folder become a count.
// threat: N2 (a mail flood gives one coalesced notice)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folder {
    pending: Vec<Folded>,
    due: Option<Millis>,
    sent_at: Option<Millis>,
}

/// How long events are gathered. [our choice]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gather {
    /// Milliseconds that the first event waits.
    pub gather_ms: u64,
    /// Milliseconds between notices.
    pub gap_ms: u64,
    /// Mails of one kind and folder named one by one; more become a count.
    pub named: usize,
    /// Kinds and folders held apart; more become one count over all folders.
    pub groups: usize,
}

impl Default for Gather {
    fn default() -> Gather {
        Gather { gather_ms: 2_000, gap_ms: 60_000, named: 8, groups: 32 }
    }
}

/// What a notice says about one kind of event in one folder.
// mission: M4e
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Folded {
    /// What happened.
    pub kind: EventKind,
    /// Where; empty: in several folders.
    pub folder: String,
    /// How many mails.
    pub count: u64,
    /// Which; empty when there are too many to name.
    pub items: Vec<ItemId>,
}

impl Folder {
    /// Takes an event that is to be told. An arrival that is deleted before anybody was told is no event.
    pub fn add(&mut self, now: Millis, event: Event, gather: &Gather) {
        if event.kind == EventKind::Deleted && self.forget(&event, EventKind::Arrived) {
            self.due = self.due.filter(|_| !self.pending.is_empty());
            return;
        }
        if event.kind == EventKind::Deleted {
            self.forget(&event, EventKind::StateChanged);
        }
        let full = self.pending.len() >= gather.groups;
        let group = self.pending.iter().position(|f| f.kind == event.kind && f.folder == event.folder);
        let group = group.or_else(|| {
            let shared = self.pending.iter().position(|f| f.kind == event.kind && f.folder.is_empty());
            shared.filter(|_| full)
        });
        match group.and_then(|g| self.pending.get_mut(g)) {
            Some(f) if f.items.contains(&event.item) => {}
            Some(f) => {
                f.count = f.count.saturating_add(1);
                let named = !f.items.is_empty() && f.items.len() < gather.named;
                if named { f.items.push(event.item) } else { f.items.clear() }
            }
            None => {
                let folder = if full { String::new() } else { event.folder };
                let items = if full { Vec::new() } else { vec![event.item] };
                self.pending.push(Folded { kind: event.kind, folder, count: 1, items });
            }
        }
        let earliest = self.sent_at.map_or(Millis(0), |at| at.plus(gather.gap_ms));
        self.due = Some(self.due.unwrap_or(now.plus(gather.gather_ms).max(earliest)));
    }

    /// When [`take`](Folder::take) has something.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Millis> {
        self.due
    }

    /// The notice, if it is due: what happened, sorted by kind and folder.
    pub fn take(&mut self, now: Millis) -> Option<Vec<Folded>> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        self.sent_at = Some(now);
        let mut notice = std::mem::take(&mut self.pending);
        notice.sort_by(|a, b| (a.kind, &a.folder).cmp(&(b.kind, &b.folder)));
        Some(notice)
    }

    /// Everything at once, when the terminal opens a session: nothing waits any more.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.due = None;
    }

    /// Whether a pending event of `kind` about the same mail was there; it is gone then.
    fn forget(&mut self, event: &Event, kind: EventKind) -> bool {
        for f in self.pending.iter_mut().filter(|f| f.kind == kind) {
            if let Some(at) = f.items.iter().position(|i| *i == event.item) {
                f.items.remove(at);
                f.count = f.count.saturating_sub(1);
                self.pending.retain(|f| f.count > 0);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, folder: &str, n: u32) -> Event {
        Event::new(kind, folder, ItemId::Luid(n.to_string()))
    }

    #[test]
    fn threat_n2_a_mail_flood_gives_one_notice_with_a_count() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        for n in 0..10_000 {
            folder.add(Millis(u64::from(n) / 10), event(EventKind::Arrived, "INBOX", n), &gather);
        }
        assert_eq!(folder.take(Millis(1_999)), None);
        let notice = folder.take(Millis(2_000)).unwrap();
        assert_eq!(notice.len(), 1);
        assert_eq!((notice[0].count, notice[0].items.len()), (10_000, 0));
        folder.add(Millis(3_000), event(EventKind::Arrived, "INBOX", 1), &gather);
        assert_eq!(folder.poll_timeout(), Some(Millis(62_000)));
    }

    #[test]
    fn threat_n2_many_folders_stay_bounded() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        for n in 0..1_000 {
            folder.add(Millis(0), event(EventKind::Arrived, &format!("f{n}"), n), &gather);
        }
        let notice = folder.take(Millis(2_000)).unwrap();
        assert_eq!(notice.len(), gather.groups + 1);
        assert_eq!(notice.iter().map(|f| f.count).sum::<u64>(), 1_000);
    }

    #[test]
    fn what_came_and_went_is_no_news() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        folder.add(Millis(0), event(EventKind::Arrived, "INBOX", 1), &gather);
        folder.add(Millis(1), event(EventKind::Deleted, "INBOX", 1), &gather);
        assert_eq!(folder.poll_timeout(), None);
        folder.add(Millis(2), event(EventKind::StateChanged, "INBOX", 2), &gather);
        folder.add(Millis(3), event(EventKind::StateChanged, "INBOX", 2), &gather);
        folder.add(Millis(4), event(EventKind::Deleted, "INBOX", 2), &gather);
        let notice = folder.take(Millis(5_000)).unwrap();
        assert_eq!(
            notice,
            [Folded {
                kind: EventKind::Deleted,
                folder: "INBOX".into(),
                count: 1,
                items: vec![ItemId::Luid("2".into())]
            }]
        );
    }
}
