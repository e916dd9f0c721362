//! Stages 4 and 5: the selectors, nearness, and the tie break.

use super::{Run, Seen, UNSEEN};
use crate::attributes::Capability;
use crate::decision::TerminalSet;
use crate::location::PlaceLabel;
use crate::policy::{Count, Selector};
use crate::score::Use;
use crate::time::Millis;
use crate::trace::{Reason, Sink, Stage};
use std::cmp::Reverse;

/// Class, then distance, then bound: smaller is nearer.
type Nearness = (u8, u64, u32);

impl<S: Sink> Run<'_, S> {
    pub(super) fn select(
        &mut self,
        stage: Stage,
        from: TerminalSet,
        by: &[Selector],
        count: Count,
    ) -> (TerminalSet, Option<u8>) {
        let wanted = match count {
            Count::One => 1,
            Count::AtLeast(n) => usize::from(n),
            Count::All => usize::MAX,
        };
        let mut picked = TerminalSet::default();
        let mut first = None;
        for (selector, number) in by.iter().zip(0u64..) {
            let mut set = self.matching(selector, from);
            while picked.len() < wanted {
                set = if *selector == Selector::Nearest && first.is_some() && count != Count::All {
                    self.matching(selector, from.without(picked))
                } else {
                    set.without(picked)
                };
                let Some(best) = self.best(set) else { break };
                picked.insert(best);
                first = first.or(Some(best));
                self.note(stage, Some(best), Reason::Selected, number, 0);
                if stage == Stage::Select {
                    self.losers(set.without(picked), best);
                }
            }
            let full = picked.len() >= wanted || (count == Count::All && !picked.is_empty());
            if full {
                break;
            }
            if picked.is_empty() {
                self.note(stage, None, Reason::SelectorEmpty, number, 0);
            }
        }
        if stage == Stage::Select {
            if matches!(count, Count::AtLeast(_)) && picked.len() < wanted && !picked.is_empty() {
                self.note(stage, None, Reason::FewerThanAsked, picked.len() as u64, wanted as u64);
            }
            for i in from.without(picked).iter() {
                self.sink.verdict(i, Stage::Select, Reason::NotSelected);
            }
        }
        (picked, first)
    }

    pub(super) fn matching(&mut self, selector: &Selector, from: TerminalSet) -> TerminalSet {
        let snapshot = self.snapshot;
        let kind_of = |i: u8| snapshot.terminals().get(usize::from(i)).map(|t| t.kind);
        let mut set = TerminalSet::default();
        match selector {
            Selector::Any => return from,
            Selector::InUse => return self.where_all(from, |s| s.state == Use::InUse),
            Selector::Capable => return self.where_all(from, |s| s.capability == Capability::Yes),
            Selector::On(kind) => {
                let on = self.where_all(from, |s| s.on == Some(true));
                on.iter().filter(|i| kind_of(*i) == Some(*kind)).for_each(|i| set.insert(i));
            }
            Selector::Kind(kind) => {
                from.iter().filter(|i| kind_of(*i) == Some(*kind)).for_each(|i| set.insert(i))
            }
            Selector::At(place) => from.iter().filter(|i| self.is_at(*i, place)).for_each(|i| set.insert(i)),
            Selector::Terminal(id) => {
                let at = self.snapshot.position(id).and_then(|p| u8::try_from(p).ok());
                at.filter(|i| from.contains(*i)).into_iter().for_each(|i| set.insert(i));
            }
            Selector::Nearest => {
                self.find_reference();
                let mut nearest: Option<Nearness> = None;
                for i in from.iter() {
                    let Some(this) = self.nearness(i) else { continue };
                    if nearest.is_none_or(|nearest| this < nearest) {
                        (nearest, set) = (Some(this), TerminalSet::default());
                    }
                    if nearest == Some(this) {
                        set.insert(i);
                    }
                }
                let Some(nearest) = nearest else { return set };
                if S::ON {
                    for i in from.iter() {
                        let key = self.nearness(i);
                        let reason = if key.is_some() { Reason::Distance } else { Reason::DistanceUnknown };
                        self.note(Stage::Select, Some(i), reason, key.map_or(0, |k| k.1), nearest.1);
                    }
                }
            }
        }
        set
    }

    pub(super) fn best(&self, set: TerminalSet) -> Option<u8> {
        let rank = |i: &u8| {
            self.seen.get(usize::from(*i)).map(|s| (s.shows, s.last_input, Reverse(s.cost), Reverse(*i)))
        };
        set.iter().max_by_key(rank)
    }

    pub(super) fn losers(&mut self, losers: TerminalSet, winner: u8) {
        if !S::ON {
            return;
        }
        let at = |seen: &[Seen], i: u8| seen.get(usize::from(i)).copied().unwrap_or(UNSEEN);
        let w = at(&self.seen, winner);
        for i in losers.iter() {
            let s = at(&self.seen, i);
            let (reason, observed, needed) = if s.shows != w.shows {
                (Reason::LostCapability, u64::from(s.shows), u64::from(w.shows))
            } else if s.last_input != w.last_input {
                (Reason::LostRecency, s.last_input, w.last_input)
            } else if s.cost != w.cost {
                (Reason::LostCost, u64::from(s.cost), u64::from(w.cost))
            } else {
                (Reason::LostId, u64::from(i), u64::from(winner))
            };
            self.sink.verdict(i, Stage::TieBreak, reason);
            self.note(Stage::TieBreak, Some(i), reason, observed, needed);
        }
    }

    /// The terminal in use last: where it is, the user is.
    pub(super) fn find_reference(&mut self) {
        if self.reference.is_none() {
            let in_use = self.where_all(self.heard, |s| s.state == Use::InUse);
            let rank = |i: &u8| self.seen.get(usize::from(*i)).map(|s| (s.seen_at, Reverse(*i)));
            self.reference = in_use.iter().max_by_key(rank);
            self.decision.reference = self.reference;
            self.reference.into_iter().for_each(|i| self.decision.witnesses.insert(i));
        }
    }

    pub(super) fn nearness(&self, i: u8) -> Option<Nearness> {
        let (_, k) = self.at(i)?;
        let fresh = |at: Millis, ms: u64| self.now.at.since(at) <= ms;
        if let Some((cm, bound, _)) = k.proximity.filter(|(_, _, at)| fresh(*at, self.tuning.proximity_ms)) {
            return Some((0, cm.into(), bound));
        }
        let reference = self.reference?;
        if reference == i {
            return Some((1, 0, 0));
        }
        let (_, r) = self.at(reference)?;
        let place = k.place.as_ref().filter(|(_, at)| fresh(*at, self.tuning.location_ms)).map(|(p, _)| p);
        if place.is_some() && place == r.place.as_ref().map(|(p, _)| p) {
            return Some((2, 0, 0));
        }
        let (p, _) = k.point.filter(|(_, at)| fresh(*at, self.tuning.location_ms))?;
        Some((3, p.chord_m(r.point?.0), 0))
    }

    pub(super) fn is_at(&self, i: u8, place: &PlaceLabel) -> bool {
        self.at(i)
            .and_then(|(_, k)| k.place.as_ref())
            .is_some_and(|(p, at)| p == place && self.now.at.since(*at) <= self.tuning.location_ms)
    }
}
