//! What may be spent on short messages.

use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// At most so many short messages (or calls) in any hour for one user.
// threat: N2 (60 SMS per user and hour, the rest on the next sync)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmsBudget {
    sent: VecDeque<Millis>,
}

impl SmsBudget {
    /// In any hour.
    pub const PER_HOUR: usize = 60;
    const HOUR_MS: u64 = 3_600_000;

    /// Spends one, if there is one; `segments` short messages make one push.
    ///
    /// # Errors
    /// When there will be enough; a push of more than 60 segments never passes and gives the far end of time.
    pub fn spend(&mut self, now: Millis, segments: usize) -> Result<(), Millis> {
        while self.sent.front().is_some_and(|at| now.since(*at) >= Self::HOUR_MS) {
            self.sent.pop_front();
        }
        let segments = segments.max(1);
        let free = Self::PER_HOUR.saturating_sub(self.sent.len());
        if segments <= free {
            self.sent.extend(std::iter::repeat_n(now, segments));
            return Ok(());
        }
        if segments > Self::PER_HOUR {
            return Err(Millis(u64::MAX));
        }
        let until = self.sent.get(segments - free - 1).copied().unwrap_or(now);
        Err(until.plus(Self::HOUR_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_n2_at_most_60_sms_in_any_hour() {
        let mut budget = SmsBudget::default();
        let passed: Vec<u64> =
            (0..3 * 3_600u64).map(|s| s * 1_000).filter(|ms| budget.spend(Millis(*ms), 1).is_ok()).collect();
        for (i, at) in passed.iter().enumerate() {
            let in_hour = passed[i..].iter().take_while(|t| **t < at + 3_600_000).count();
            assert!(in_hour <= 60, "{in_hour} from {at}");
        }
        assert_eq!(passed.len(), 180);
    }

    #[test]
    fn segments_are_counted_and_the_wait_is_exact() {
        let mut budget = SmsBudget::default();
        for minute in 0..29 {
            budget.spend(Millis(minute * 60_000), 2).unwrap();
        }
        let at = budget.spend(Millis(29 * 60_000), 5).unwrap_err();
        assert_eq!(at, Millis(60_000 + 3_600_000));
        assert!(budget.clone().spend(Millis(at.0 - 1), 5).is_err());
        assert!(budget.spend(at, 5).is_ok());
        assert_eq!(budget.spend(at, 61), Err(Millis(u64::MAX)));
    }
}
