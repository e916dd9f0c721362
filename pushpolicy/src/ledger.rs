//! The newest evidence of one terminal, and what of a new report is believed.
//!
//! A value without clock or IO: the host keeps one per terminal (a row), hands it each report, and stores it again
//! when [`Ingest::Taken`] says so.

use crate::error::ReportError;
use crate::evidence::{Evidence, Order, Reading, Report};
use crate::limits::Limits;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Reports that a terminal may send at once before they are only folded (token bucket). [our choice]
pub const BURST: u32 = 20;
/// Milliseconds for one more report. [our choice]
pub const REFILL_MS: u64 = 2_000;
/// A terminal stays in use at least so long, so that flapping can neither steer nor drain. [our choice]
pub const DWELL_MS: u64 = 30_000;

/// What a terminal said last, of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    epoch: u32,
    last: Option<Order>,
    evidence: Vec<Evidence>,
    /// Since when the terminal counts as in use here.
    in_use_since: Option<Millis>,
    tokens: u32,
    refilled_at: Option<Millis>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ingest {
    /// Taken: store the ledger; decide anew if something waits for it.
    Taken,
    /// Taken as the last state, but too many came: store and act only when the next one is taken, or after
    /// [`REFILL_MS`].
    Folded,
    /// Not newer than what is known: a replay, or late. Nothing changed.
    Stale {
        /// The last one taken.
        last: Order,
    },
    /// From a registration that is no longer valid. Nothing changed.
    WrongEpoch {
        /// The valid one.
        current: u32,
    },
}

impl Ledger {
    /// An empty ledger for the registration `epoch`.
    #[must_use]
    pub fn new(epoch: u32) -> Ledger {
        Ledger { epoch, tokens: BURST, ..Ledger::default() }
    }

    /// Revokes what the terminal holds: its reports are refused until it registers again with the number returned.
    /// Everything that it said is forgotten.
    pub fn revoke(&mut self) -> u32 {
        *self = Ledger::new(self.epoch.saturating_add(1));
        self.epoch
    }

    /// Takes a report that the host received, from an authenticated peer, at `now`.
    ///
    /// # Errors
    /// [`ReportError`] if a value is implausible; then nothing changed.
    pub fn ingest(&mut self, now: Millis, report: &Report, limits: &Limits) -> Result<Ingest, ReportError> {
        report.check(limits)?;
        if report.epoch != self.epoch {
            return Ok(Ingest::WrongEpoch { current: self.epoch });
        }
        if let Some(last) = self.last.filter(|last| report.order() <= *last) {
            return Ok(Ingest::Stale { last });
        }
        self.last = Some(report.order());
        let in_use = report.readings.iter().any(|r| r.says_in_use() == Some(true));
        // Sorted, so that their order in the report does not matter; of one kind the greatest stays.
        let mut readings: Vec<&Reading> = report.readings.iter().collect();
        readings.sort();
        for reading in readings {
            if self.dwells(now, reading) {
                continue;
            }
            self.keep(now, report.order(), reading);
        }
        if in_use && self.in_use_since.is_none() {
            self.in_use_since = Some(now);
        } else if !in_use
            && report.readings.iter().any(|r| r.says_in_use() == Some(false) && !self.dwells(now, r))
        {
            self.in_use_since = None;
        }
        Ok(if self.take_token(now) { Ingest::Taken } else { Ingest::Folded })
    }

    /// The evidence, for a [`Terminal`](crate::Terminal).
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// The last report taken.
    #[must_use]
    pub const fn last(&self) -> Option<Order> {
        self.last
    }

    /// Forgets evidence older than `keep_ms`, attributes excepted: presence and place reveal habits.
    pub fn forget(&mut self, now: Millis, keep_ms: u64) {
        self.evidence
            .retain(|e| matches!(e.reading, Reading::Attributes(_)) || now.since(e.received_at) <= keep_ms);
    }

    /// A denial of use that comes so soon after use began that it is not believed yet. Power is: it is off.
    fn dwells(&self, now: Millis, reading: &Reading) -> bool {
        !matches!(reading, Reading::Power(_))
            && reading.says_in_use() == Some(false)
            && self.in_use_since.is_some_and(|since| now.since(since) < DWELL_MS)
    }

    fn keep(&mut self, now: Millis, order: Order, reading: &Reading) {
        let mut new = Evidence::new(order, now, reading.clone());
        match self
            .evidence
            .iter_mut()
            .find(|e| std::mem::discriminant(&e.reading) == std::mem::discriminant(reading))
        {
            Some(old) => {
                if matches!((&old.reading, reading), (Reading::Presence { present: a, .. }, Reading::Presence { present: b, .. }) if a == b)
                {
                    new.since = Some(old.since.unwrap_or(old.received_at));
                }
                *old = new;
            }
            None => self.evidence.push(new),
        }
    }

    fn take_token(&mut self, now: Millis) -> bool {
        let since = self.refilled_at.map_or(u64::MAX, |at| now.since(at));
        let earned = u32::try_from(since / REFILL_MS).unwrap_or(u32::MAX);
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(BURST);
            self.refilled_at = Some(now);
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::PowerState;
    use crate::terminal::TerminalId;

    fn report(boot: u32, seq: u32, readings: Vec<Reading>) -> Report {
        Report::new(TerminalId::new("t").unwrap(), Order { boot, seq }, readings)
    }

    fn presence(present: bool) -> Reading {
        Reading::Presence { present, sensor: crate::evidence::Sensor::Infrared }
    }

    fn take(ledger: &mut Ledger, at: u64, r: &Report) -> Ingest {
        ledger.ingest(Millis(at), r, &Limits::default()).unwrap()
    }

    // P6
    #[test]
    fn attack_a_replayed_report_changes_nothing() {
        let mut ledger = Ledger::new(0);
        let first = report(1, 5, vec![presence(true)]);
        assert_eq!(take(&mut ledger, 0, &first), Ingest::Taken);
        take(&mut ledger, 40_000, &report(1, 6, vec![presence(false)]));
        let before = ledger.clone();
        for (boot, seq) in [(1, 5), (1, 6), (0, 900), (1, 0)] {
            let old = report(boot, seq, vec![presence(true)]);
            assert_eq!(take(&mut ledger, 50_000, &old), Ingest::Stale { last: Order { boot: 1, seq: 6 } });
        }
        assert_eq!(ledger, before);
        assert_eq!(take(&mut ledger, 50_000, &report(2, 0, vec![presence(true)])), Ingest::Taken);
    }

    #[test]
    fn bad_input_a_sequence_that_wraps_needs_a_new_boot() {
        let mut ledger = Ledger::new(0);
        take(&mut ledger, 0, &report(1, u32::MAX, vec![presence(true)]));
        assert!(matches!(take(&mut ledger, 1, &report(1, 0, vec![presence(true)])), Ingest::Stale { .. }));
        assert_eq!(take(&mut ledger, 2, &report(2, 0, vec![presence(true)])), Ingest::Taken);
    }

    #[test]
    fn attack_a_revoked_terminal_is_not_heard() {
        let mut ledger = Ledger::new(0);
        take(&mut ledger, 0, &report(1, 1, vec![presence(true)]));
        assert_eq!(ledger.revoke(), 1);
        assert!(ledger.evidence().is_empty());
        assert_eq!(
            take(&mut ledger, 1, &report(9, 9, vec![presence(true)])),
            Ingest::WrongEpoch { current: 1 }
        );
        assert!(ledger.evidence().is_empty());
    }

    #[test]
    fn attack_a_report_flood_is_folded_and_keeps_the_last_state() {
        let mut ledger = Ledger::new(0);
        let mut taken = 0;
        for seq in 0..1_000 {
            let readings = vec![Reading::Proximity { cm: seq, bound_cm: 0 }];
            taken += u32::from(
                take(&mut ledger, 10_000 + u64::from(seq), &report(1, seq, readings)) == Ingest::Taken,
            );
        }
        assert_eq!(taken, BURST);
        assert_eq!(ledger.evidence()[0].reading, Reading::Proximity { cm: 999, bound_cm: 0 });
        assert_eq!(ledger.evidence().len(), 1);
        let later = report(1, 1_000, vec![Reading::Proximity { cm: 5, bound_cm: 0 }]);
        assert_eq!(take(&mut ledger, 20_000, &later), Ingest::Taken);
    }

    #[test]
    fn attack_flapping_leaves_use_no_sooner_than_the_dwell() {
        let mut ledger = Ledger::new(0);
        let mut flips = 0;
        let mut was = None;
        for i in 0..120u32 {
            take(&mut ledger, 1_000 * u64::from(i), &report(1, i, vec![presence(i % 2 == 0)]));
            let is = ledger.evidence()[0].reading.says_in_use();
            flips += u32::from(was.is_some() && was != is);
            was = is;
        }
        assert!((4..=8).contains(&flips), "{flips} changes in two minutes of flapping every second");
    }

    #[test]
    fn switching_off_is_believed_at_once() {
        let mut ledger = Ledger::new(0);
        take(&mut ledger, 0, &report(1, 1, vec![presence(true)]));
        take(&mut ledger, 10, &report(1, 2, vec![Reading::Power(PowerState::Off)]));
        assert!(ledger.evidence().iter().any(|e| e.reading == Reading::Power(PowerState::Off)));
    }

    #[test]
    fn presence_remembers_since_when_it_is_claimed() {
        let mut ledger = Ledger::new(0);
        for i in 0..5u32 {
            take(&mut ledger, 60_000 * u64::from(i), &report(1, i, vec![presence(true)]));
        }
        assert_eq!(ledger.evidence()[0].since, Some(Millis(0)));
        take(&mut ledger, 400_000, &report(1, 9, vec![presence(false)]));
        assert_eq!(ledger.evidence()[0].since, None);
    }

    #[test]
    fn privacy_old_presence_and_place_are_forgotten_attributes_stay() {
        let mut ledger = Ledger::new(0);
        let readings = vec![presence(true), Reading::Attributes(crate::Attributes::new())];
        take(&mut ledger, 0, &report(1, 1, readings));
        ledger.forget(Millis(10_000), 5_000);
        assert_eq!(ledger.evidence().len(), 1);
        assert_eq!(ledger.evidence()[0].reading.kind(), "attributes");
    }

    #[test]
    fn a_ledger_is_a_row_that_can_be_stored() {
        let mut ledger = Ledger::new(3);
        ledger
            .ingest(Millis(7), &Report { epoch: 3, ..report(1, 1, vec![presence(true)]) }, &Limits::default())
            .unwrap();
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&json).unwrap(), ledger);
    }
}
