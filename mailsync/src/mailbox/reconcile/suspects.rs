//! Mails over which a link may have ended.

use idmap::Guid;
use mailsync_proto::mirror::mails::RemoteId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Links that end over a mail until it is left alone: the first may have been over any mail of a batch.
const LINKS: u32 = 3;
/// For how long it is left alone.
const PAUSE: Duration = Duration::from_secs(3_600);

/// What was asked for when links ended; it outlives them. One mail that the server cannot give, and breaks over, would keep
/// all behind it away for ever: so what was under way is asked for alone, and in the end not at all for a while.
// threat: M2
#[derive(Debug, Default)]
pub(in crate::mailbox) struct Suspects {
    under_way: Vec<(Guid, RemoteId)>,
    links: HashMap<(Guid, RemoteId), (u32, Instant)>,
}

impl Suspects {
    /// These are asked for now.
    pub(super) fn begin(&mut self, folder: &Guid, ids: impl IntoIterator<Item = RemoteId>) {
        self.under_way = ids.into_iter().map(|id| (folder.clone(), id)).collect();
    }

    /// The link lives on after it.
    pub(super) fn end(&mut self) {
        self.under_way.clear();
    }

    /// It came.
    pub(super) fn came(&mut self, folder: &Guid, id: RemoteId) {
        self.links.remove(&(folder.clone(), id));
    }

    /// The link ended, perhaps over what was asked for.
    pub(in crate::mailbox) fn link_ended(&mut self) {
        let now = Instant::now();
        self.links.retain(|_, (_, at)| now.duration_since(*at) < PAUSE);
        for mail in self.under_way.drain(..) {
            let (count, at) = self.links.entry(mail).or_insert((0, now));
            (*count, *at) = (count.saturating_add(1), now);
            if *count == LINKS {
                tracing::error!(
                    links = LINKS,
                    "mailbox: links end over one mail, it is left alone for an hour"
                );
            }
        }
    }

    /// A link ended while it was asked for.
    pub(super) fn is_suspect(&self, folder: &Guid, id: RemoteId) -> bool {
        self.links.contains_key(&(folder.clone(), id))
    }

    /// It is left alone.
    pub(super) fn is_given_up(&self, folder: &Guid, id: RemoteId) -> bool {
        let known = self.links.get(&(folder.clone(), id));
        known.is_some_and(|(count, at)| *count >= LINKS && at.elapsed() < PAUSE)
    }

    /// What can be asked for together, and what alone.
    pub(super) fn parted<T>(
        &self,
        folder: &Guid,
        mails: Vec<T>,
        id: impl Fn(&T) -> RemoteId,
    ) -> (Vec<T>, Vec<T>) {
        let left = mails.into_iter().filter(|mail| !self.is_given_up(folder, id(mail)));
        left.partition(|mail| !self.is_suspect(folder, id(mail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // threat: M2
    #[test]
    fn one_mail_that_ends_links_is_left_alone_and_its_neighbours_are_not() {
        let (mut suspects, folder) = (Suspects::default(), Guid::unvalidated("f"));
        suspects.begin(&folder, [1, 2, 3]);
        suspects.link_ended();
        assert_eq!(suspects.parted(&folder, vec![1, 2, 3, 4], |id| *id), (vec![4], vec![1, 2, 3]));
        suspects.begin(&folder, [1]);
        suspects.end();
        assert!(suspects.is_suspect(&folder, 1), "that may have been its description");
        suspects.came(&folder, 1);
        for _ in 0..2 {
            assert!(!suspects.is_given_up(&folder, 2));
            suspects.begin(&folder, [2]);
            suspects.link_ended();
        }
        assert_eq!(suspects.parted(&folder, vec![1, 2, 3], |id| *id), (vec![1], vec![3]));
        suspects.link_ended();
        assert!(!suspects.is_given_up(&folder, 3), "nothing was under way");
        assert!(!suspects.is_suspect(&Guid::unvalidated("g"), 2), "the same id elsewhere is another mail");
    }
}
