//! Going on with what an earlier session left.
//!
//! The session value that a broken or suspended session left is all that is kept of it. What the peer answered is in
//! the map; so each datastore begins its walk again, skips what was answered, and sends the rest. Half an object goes
//! on behind its last answered chunk.

use super::core::Core;
use super::state::{Resume, StoreSync, Tag};
use super::store::{Cursor, Direction, Write};
use bytes::{Bytes, BytesMut};
use syncml::session::Leftover;

impl StoreSync {
    /// A datastore as an earlier session left it, at the beginning of another one.
    pub(crate) fn resumed(mut self) -> Self {
        self.from = self.since;
        self.upto = None;
        self.cursor = Cursor::default();
        self.opened = false;
        self.done = false;
        self.alerted = false;
        self.walk_again = false;
        self.live = false;
        self.containers = super::state::Containers::No;
        self.full = false;
        self.untaken = None;
        self.retry = super::state::Retry::No;
        self.resume = Resume::Asked;
        if let Some(sweep) = &mut self.sweep {
            sweep.cursor = Cursor::default();
        }
        self
    }

    /// Whether another session may go on with it.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_active() && !self.completed && self.their_next.is_some()
    }
}

impl Core<'_, '_> {
    /// Moves the spools of an earlier session to this one, but not the halves of objects whose datastore is not gone
    /// on with. `before` are the datastores of the earlier session.
    pub(crate) fn move_spools(&mut self, earlier: &str, leftover: &mut Leftover, before: &[StoreSync]) {
        self.batch.push(Write::MoveSpool(earlier.into(), self.token.clone()));
        self.spool_from = earlier.into();
        let goes_on = |core: &Self, name: &str| {
            core.stores.iter().position(|store| *store.name == *name && store.resume != Resume::No)
        };
        let incoming = leftover.incoming().map(|(path, _)| super::core::plain_name(path).to_owned());
        let into = incoming.as_ref().and_then(|path| {
            let config = self.configs.iter().find(|config| config.is_named(path))?;
            goes_on(self, &config.name)
        });
        if into.is_none() {
            self.drop_half(leftover, Direction::In);
        }
        let tag = leftover.outgoing().and_then(|(_, tag, _)| Tag::from_bytes(tag));
        let same = match tag {
            Some(Tag::Item { store, .. }) => {
                let index = usize::from(store);
                before.get(index).is_some_and(|store| goes_on(self, &store.name) == Some(index))
            }
            _ => false,
        };
        if !same {
            self.drop_half(leftover, Direction::Out);
        }
    }

    pub(crate) fn drop_half(&mut self, leftover: &mut Leftover, direction: Direction) {
        match direction {
            Direction::In => leftover.drop_incoming(),
            Direction::Out => leftover.drop_outgoing(),
        }
        self.batch.push(Write::ClearSpool(self.token.clone(), direction));
    }
}

/// Cuts out what came twice: each place whose octets are there again right behind it, until the surplus is gone.
pub(crate) fn cut(whole: &[u8], mut surplus: u64, places: &[(u64, u64)]) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(whole.len());
    let mut rest = 0;
    for (start, len) in places {
        let (start, len) = (usize::try_from(*start).ok()?, usize::try_from(*len).ok()?);
        let (middle, end) = (start.checked_add(len)?, start.checked_add(len)?.checked_add(len)?);
        let twice = whole.get(start..middle).is_some_and(|once| whole.get(middle..end) == Some(once));
        if twice && len as u64 <= surplus && middle >= rest {
            out.extend_from_slice(whole.get(rest..middle)?);
            rest = end;
            surplus = surplus.saturating_sub(len as u64);
        }
    }
    out.extend_from_slice(whole.get(rest..)?);
    (surplus == 0).then(|| out.freeze())
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_came_twice_is_cut_out() {
        let whole = |text: &str, surplus, places: &[(u64, u64)]| {
            cut(text.as_bytes(), surplus, places).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        };
        assert_eq!(whole("abcdcdef", 2, &[(2, 2)]).as_deref(), Some("abcdef"));
        assert_eq!(whole("abcdefef", 2, &[(2, 2), (4, 2)]).as_deref(), Some("abcdef"));
        assert_eq!(whole("ababcdcd", 4, &[(0, 2), (4, 2)]).as_deref(), Some("abcd"));
        assert_eq!(whole("aaaaaa", 2, &[(0, 2), (2, 2)]).as_deref(), Some("aaaa"));
        for (surplus, places) in [(2, &[(0, 2)][..]), (3, &[(2, 2)]), (2, &[(7, 9)]), (2, &[(u64::MAX, 2)])] {
            assert_eq!(whole("abcdcdef", surplus, places), None);
        }
    }
}
