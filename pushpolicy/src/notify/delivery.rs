//! When the notice of one terminal leaves, leaves again, is put off, taken back, or given up.
//!
//! What there is to tell is not kept here: the host finds it anew each time in its rows, from the revision
//! [`Delivery::since`] on. So what a session has brought meanwhile is taken back by itself, what came and went is no news,
//! and many events are one notice. A host keeps the value as one row and commits it before it sends: a crash in between
//! repeats the notice after a pause.

use super::Verdict;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// How long events are gathered, and how a notice is repeated. [our choice]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Pace {
    /// Milliseconds that the first event waits for others.
    pub gather_ms: u64,
    /// Milliseconds between two notices, at least.
    pub gap_ms: u64,
    /// Milliseconds until a notice that no session followed is sent again; it doubles.
    pub pause_ms: u64,
    /// The longest such pause.
    pub longest_ms: u64,
    /// Milliseconds after which a notice is given up: what it told of comes with the next sync.
    pub expiry_ms: u64,
    /// Milliseconds until a terminal that is in a session is looked at again.
    pub session_ms: u64,
}

impl Default for Pace {
    /// For bearers that cost nothing: IP.
    fn default() -> Pace {
        Pace {
            gather_ms: 300,
            gap_ms: 1_000,
            pause_ms: 5_000,
            longest_ms: 900_000,
            expiry_ms: 86_400_000,
            session_ms: 1_000,
        }
    }
}

impl Pace {
    /// For bearers that cost somebody a short message or a call.
    #[must_use]
    pub fn costly() -> Pace {
        Pace { gather_ms: 2_000, gap_ms: 60_000, pause_ms: 600_000, longest_ms: 3_600_000, ..Pace::default() }
    }
}

/// The notice of one terminal.
// mission: M4c
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Delivery {
    /// Everything up to this revision was told, was not to be told, or is told no more.
    told: u64,
    /// Since when events wait for others.
    since: Option<Millis>,
    under_way: Option<UnderWay>,
    /// When the last notice left.
    sent_at: Option<Millis>,
    /// Notices given up.
    pub expired: u64,
}

/// A notice that no session has followed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UnderWay {
    upto: u64,
    session: u16,
    tries: u32,
    first: Millis,
    next: Millis,
}

/// What waits for a terminal now.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// Up to which revision was looked.
    pub upto: u64,
    /// Revision of each event, and what [`NotifyRules::judge`](super::NotifyRules::judge) said of it.
    pub events: &'a [(u64, Verdict)],
    /// A session of the terminal is under way: it brings what waits, or tells of it itself.
    pub in_session: bool,
}

/// What is to be done for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Nothing, until something happens.
    Nothing,
    /// Look again then, or when something happens.
    At(Millis),
    /// Keep the value, then send a notice.
    Send {
        /// The id of the session that it asks for: the same for the same notice sent again.
        session: u16,
        /// Which of the events it tells of.
        events: Vec<usize>,
    },
}

impl Delivery {
    /// A terminal that knows everything up to a revision.
    #[must_use]
    pub fn new(told: u64) -> Delivery {
        Delivery { told, ..Delivery::default() }
    }

    /// From which revision on there may be something to tell; what the terminal has synced since counts too.
    #[must_use]
    pub const fn since(&self) -> u64 {
        self.told
    }

    /// Decides. `fresh` is an unpredictable id for a session.
    pub fn step(&mut self, now: Millis, waiting: &Waiting<'_>, fresh: u16, pace: &Pace) -> Next {
        let tells = indexes(waiting.events, |verdict| matches!(verdict, Verdict::Now | Verdict::Hint));
        let hints = waiting.events.iter().any(|(_, verdict)| *verdict == Verdict::Hint);
        let later = waiting.events.iter().filter_map(|(_, verdict)| match verdict {
            Verdict::Later { minutes } => Some(now.plus(u64::from(*minutes).saturating_mul(60_000))),
            Verdict::Until(at) => Some(*at),
            _ => None,
        });
        let later = later.min();
        let at = |then: Millis| Next::At(later.map_or(then, |later| later.min(then)));
        if tells.is_empty() {
            // Taken back: a session has brought it, or it is gone again.
            (self.since, self.under_way) = (None, None);
            if later.is_none() {
                self.told = self.told.max(waiting.upto);
            }
            return later.map_or(Next::Nothing, Next::At);
        }
        if waiting.in_session {
            return at(now.plus(pace.session_ms));
        }
        let newest =
            waiting.events.iter().filter(|(_, verdict)| *verdict == Verdict::Now).map(|(rev, _)| *rev).max();
        if let (Some(sent), Some(newest)) = (&mut self.under_way, newest)
            && newest <= sent.upto
            && !hints
        {
            if now.since(sent.first) >= pace.expiry_ms {
                self.told = self.told.max(sent.upto);
                self.expired = self.expired.saturating_add(1);
                (self.since, self.under_way) = (None, None);
                return later.map_or(Next::Nothing, Next::At);
            }
            // Where the clock was set back, no pause is longer than the longest.
            sent.next = sent.next.min(now.plus(pace.longest_ms));
            if now < sent.next {
                return at(sent.next);
            }
            sent.tries = sent.tries.saturating_add(1);
            sent.next = now.plus(pause(sent.tries, pace));
            self.sent_at = Some(now);
            return Next::Send { session: sent.session, events: tells };
        }
        let gap = self.sent_at.filter(|at| *at <= now).map_or(Millis(0), |at| at.plus(pace.gap_ms));
        let since = self.since.filter(|since| *since <= now).unwrap_or(now);
        let due = since.plus(pace.gather_ms).max(gap);
        if now < due {
            self.since = Some(since);
            return at(due);
        }
        let next = now.plus(pause(0, pace));
        // Hints alone ask for no session: nothing shows that they came, and they go once.
        self.under_way = newest.map(|upto| UnderWay { upto, session: fresh, tries: 0, first: now, next });
        (self.since, self.sent_at) = (None, Some(now));
        Next::Send { session: fresh, events: tells }
    }

    /// The notice under way did not leave: it goes again after the first pause, whatever came before.
    pub fn hurry(&mut self, now: Millis) {
        if let Some(sent) = &mut self.under_way {
            sent.next = sent.next.min(now);
        }
    }
}

fn indexes(events: &[(u64, Verdict)], wanted: impl Fn(&Verdict) -> bool) -> Vec<usize> {
    events.iter().enumerate().filter(|(_, (_, verdict))| wanted(verdict)).map(|(at, _)| at).collect()
}

fn pause(tries: u32, pace: &Pace) -> u64 {
    pace.pause_ms.saturating_mul(1 << tries.min(20)).min(pace.longest_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        gather_ms: 300,
        gap_ms: 1_000,
        pause_ms: 5_000,
        longest_ms: 20_000,
        expiry_ms: 100_000,
        session_ms: 1_000,
    };

    fn waiting(events: &[(u64, Verdict)]) -> Waiting<'_> {
        Waiting { upto: events.iter().map(|(rev, _)| *rev).max().unwrap_or(9), events, in_session: false }
    }

    fn now(rev: u64) -> (u64, Verdict) {
        (rev, Verdict::Now)
    }

    fn send(session: u16, events: &[usize]) -> Next {
        Next::Send { session, events: events.to_vec() }
    }

    // mission: M4c
    #[test]
    fn gathered_told_repeated_and_taken_back() {
        let mut delivery = Delivery::new(4);
        let one = [now(5)];
        assert_eq!(delivery.step(Millis(0), &waiting(&one), 1, &PACE), Next::At(Millis(300)));
        let two = [now(5), now(6)];
        assert_eq!(delivery.step(Millis(200), &waiting(&two), 2, &PACE), Next::At(Millis(300)));
        assert_eq!(delivery.step(Millis(300), &waiting(&two), 3, &PACE), send(3, &[0, 1]));
        assert_eq!(delivery.step(Millis(301), &waiting(&two), 4, &PACE), Next::At(Millis(5_300)));
        // No session came: the same again.
        assert_eq!(delivery.step(Millis(5_300), &waiting(&two), 5, &PACE), send(3, &[0, 1]));
        assert_eq!(delivery.step(Millis(5_301), &waiting(&two), 6, &PACE), Next::At(Millis(15_300)));
        // One came: nothing is told any more.
        assert_eq!(delivery.step(Millis(6_000), &waiting(&[]), 7, &PACE), Next::Nothing);
        assert_eq!(delivery.since(), 9);
        // What happens next waits for the gap.
        let three = [now(12)];
        assert_eq!(delivery.step(Millis(6_001), &waiting(&three), 8, &PACE), Next::At(Millis(6_301)));
        assert_eq!(delivery.step(Millis(6_301), &waiting(&three), 8, &PACE), send(8, &[0]));
        let four = [now(12), now(13)];
        assert_eq!(delivery.step(Millis(6_400), &waiting(&four), 9, &PACE), Next::At(Millis(7_301)));
        assert_eq!(delivery.step(Millis(7_301), &waiting(&four), 9, &PACE), send(9, &[0, 1]));
    }

    #[test]
    fn a_notice_that_nobody_follows_expires() {
        let mut delivery = Delivery::default();
        let events = [now(5), (6, Verdict::Silent { because: String::new() })];
        let (mut at, mut sent) = (Millis(0), 0);
        for _ in 0..100 {
            at = match delivery.step(at, &waiting(&events), 7, &PACE) {
                Next::At(then) => then,
                Next::Send { session: 7, .. } => {
                    sent += 1;
                    at
                }
                _ => break,
            };
        }
        // 0.3 s, then after 5, 10, 20, 20, 20, 20 s.
        assert_eq!((sent, delivery.expired, delivery.since()), (7, 1, 5));
        assert!(delivery.under_way.is_none());
    }

    #[test]
    fn a_session_holds_it_back_and_quiet_hours_put_it_off() {
        let mut delivery = Delivery::default();
        let events = [now(5)];
        let busy = Waiting { in_session: true, ..waiting(&events) };
        assert_eq!(delivery.step(Millis(50_000), &busy, 1, &PACE), Next::At(Millis(51_000)));
        let quiet = [(5, Verdict::Later { minutes: 2 }), (6, Verdict::Later { minutes: 1 })];
        assert_eq!(delivery.step(Millis(0), &waiting(&quiet), 1, &PACE), Next::At(Millis(60_000)));
        assert_eq!(delivery.since(), 0, "it is told later");
        // An urgent one does not wait, and does not take the others along.
        let mixed = [(5, Verdict::Later { minutes: 2 }), now(7)];
        delivery.step(Millis(0), &waiting(&mixed), 1, &PACE);
        assert_eq!(delivery.step(Millis(300), &waiting(&mixed), 1, &PACE), send(1, &[1]));
        let silent = [(8, Verdict::Silent { because: "work".into() })];
        assert_eq!(delivery.step(Millis(900), &waiting(&silent), 1, &PACE), Next::Nothing);
        assert_eq!(delivery.since(), 8);
    }

    // mission: P3
    #[test]
    fn hints_go_once_and_what_waits_for_its_turn_is_not_lost() {
        let mut delivery = Delivery::default();
        let events = [(4, Verdict::Until(Millis(60_000))), (5, Verdict::Hint)];
        assert_eq!(delivery.step(Millis(0), &waiting(&events), 1, &PACE), Next::At(Millis(300)));
        assert_eq!(delivery.step(Millis(300), &waiting(&events), 1, &PACE), send(1, &[1]));
        // The host has marked the hint.
        let told = [(4, Verdict::Until(Millis(60_000))), (5, Verdict::Until(Millis(90_000)))];
        assert_eq!(delivery.step(Millis(301), &waiting(&told), 2, &PACE), Next::At(Millis(60_000)));
        assert_eq!(delivery.since(), 0, "the first may still be told");
        let turn = [now(4), (5, Verdict::Until(Millis(90_000)))];
        delivery.step(Millis(60_000), &waiting(&turn), 3, &PACE);
        assert_eq!(delivery.step(Millis(60_300), &waiting(&turn), 3, &PACE), send(3, &[0]));
        // A hint beside it goes along, and the notice is repeated without it.
        let both = [now(4), (5, Verdict::Hint)];
        delivery.step(Millis(62_000), &waiting(&both), 4, &PACE);
        assert_eq!(delivery.step(Millis(62_300), &waiting(&both), 4, &PACE), send(4, &[0, 1]));
        assert_eq!(delivery.step(Millis(67_300), &waiting(&turn), 5, &PACE), send(4, &[0]));
        delivery.hurry(Millis(67_400));
        assert_eq!(delivery.step(Millis(67_400), &waiting(&turn), 6, &PACE), send(4, &[0]));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_waiting() {
        let mut delivery = Delivery::default();
        let events = [now(5)];
        delivery.step(Millis(9_000_000), &waiting(&events), 1, &PACE);
        assert_eq!(delivery.step(Millis(9_000_300), &waiting(&events), 1, &PACE), send(1, &[0]));
        assert_eq!(delivery.step(Millis(10), &waiting(&events), 1, &PACE), Next::At(Millis(20_010)));
        let more = [now(6)];
        assert_eq!(delivery.step(Millis(10), &waiting(&more), 2, &PACE), Next::At(Millis(310)));
    }

    #[test]
    fn it_is_kept_as_json_and_older_values_are_read() {
        let mut delivery = Delivery::new(3);
        delivery.step(Millis(0), &waiting(&[now(5)]), 1, &PACE);
        delivery.step(Millis(400), &waiting(&[now(5)]), 1, &PACE);
        let json = serde_json::to_vec(&delivery).unwrap();
        assert_eq!(serde_json::from_slice::<Delivery>(&json).unwrap(), delivery);
        let old = r#"{"told":7,"under_way":{"upto":9,"session":1,"tries":2,"first":10,"next":20}}"#;
        assert_eq!(serde_json::from_str::<Delivery>(old).unwrap().since(), 7);
    }
}
