//! Which terminals are to be woken: asked again, ever more rarely, until they came.

use std::collections::BTreeMap;
use std::time::Duration;
use timesync::UnixTime;

/// The first pause; it doubles.
const PAUSE: Duration = Duration::from_secs(2);
/// How often one is asked.
const TRIES: u32 = 7;

/// Terminals that are to be woken, each as user and device.
///
/// ```
/// use mailsync_proto::tasks::wake::Wakes;
/// use timesync::UnixTime;
/// let mut wakes = Wakes::default();
/// let now = UnixTime::from_secs(1_795_334_400);
/// wakes.ask(now, ("ana", "phone"), 7);
/// assert_eq!(wakes.due(now), [("ana".into(), "phone".into())]);
/// assert!(wakes.due(now).is_empty(), "not at once again");
/// wakes.came(("ana", "phone"), 7);
/// assert_eq!(wakes.next(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    asked: BTreeMap<(Box<str>, Box<str>), Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The revision of the datastore that it is to see.
    upto: u64,
    next: UnixTime,
    tries: u32,
}

impl Wakes {
    /// There is something up to this revision for a terminal.
    pub fn ask(&mut self, now: UnixTime, (user, device): (&str, &str), upto: u64) {
        let key = (user.into(), device.into());
        let asked = self.asked.entry(key).or_insert(Asked { upto, next: now, tries: 0 });
        if upto > asked.upto {
            *asked = Asked { upto, next: asked.next.min(now.after(PAUSE)), tries: 0 };
        }
    }

    /// A terminal has synced up to this revision.
    pub fn came(&mut self, (user, device): (&str, &str), rev: u64) {
        let key = (user.into(), device.into());
        if self.asked.get(&key).is_some_and(|asked| asked.upto <= rev) {
            self.asked.remove(&key);
        }
    }

    /// Whom to wake now.
    pub fn due(&mut self, now: UnixTime) -> Vec<(Box<str>, Box<str>)> {
        let mut due = Vec::new();
        self.asked.retain(|key, asked| {
            if asked.next > now {
                return true;
            }
            due.push(key.clone());
            asked.tries = asked.tries.saturating_add(1);
            asked.next = now.after(PAUSE.saturating_mul(1 << asked.tries.min(8).saturating_sub(1)));
            asked.tries < TRIES
        });
        due
    }

    /// When to look again.
    pub fn next(&self) -> Option<UnixTime> {
        self.asked.values().map(|asked| asked.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_again_ever_more_rarely_and_not_for_ever() {
        let mut wakes = Wakes::default();
        let start = UnixTime::from_secs(1_000);
        wakes.ask(start, ("ana", "phone"), 3);
        let mut at = Vec::new();
        while let Some(next) = wakes.next() {
            at.push(next.as_secs() - 1_000);
            assert_eq!(wakes.due(next).len(), 1);
        }
        assert_eq!(at, [0, 2, 6, 14, 30, 62, 126]);
    }

    #[test]
    fn who_came_too_early_is_asked_again() {
        let mut wakes = Wakes::default();
        let now = UnixTime::from_secs(1_000);
        wakes.ask(now, ("ana", "phone"), 3);
        wakes.due(now);
        wakes.ask(now, ("ana", "phone"), 5);
        wakes.came(("ana", "phone"), 4);
        assert_eq!(wakes.due(now.after(PAUSE)).len(), 1);
        wakes.came(("ana", "tablet"), 9);
        wakes.came(("ana", "phone"), 5);
        assert_eq!(wakes.next(), None);
    }
}
