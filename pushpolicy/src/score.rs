//! Whether a terminal is in use: three-valued, decaying, integers only.

use crate::evidence::{Evidence, IDLE_INPUT_MS, Order, PowerState, Reading};
use crate::policy::Tuning;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// Whether a terminal is in use, as far as fresh evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Fresh evidence says yes.
    InUse,
    /// Fresh evidence says no.
    NotInUse,
    /// Nothing fresh, or contradictions.
    Unknown,
}

/// Weights of what says "in use"; 1000 is certain. [our choice]
const INPUT: u32 = 1000;
const PRESENCE: u32 = 800;
const WARM: u32 = 200;
const LIT: u32 = 100;
/// Body temperatures through a case or a keyboard, hundredths of a degree. [our choice]
const BODY: std::ops::RangeInclusive<i32> = 2800..=4300;

/// What the evidence about use comes to before time is applied: made once per snapshot.
///
/// A denial (nobody there, dark, off, "not in use") cancels what is older, for good: so as time goes by, a state can
/// only fall from in use to not in use to unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UseEvidence {
    input: Option<Millis>,
    presence: Option<(Millis, Millis)>,
    claim: Option<(Millis, u16)>,
    warm: Option<Millis>,
    lit: Option<Millis>,
    /// Last input or motion: without it warmth and long presence say nothing.
    stirred: Option<Millis>,
    denied: Option<Millis>,
    idle: Option<Millis>,
    /// Last input at all, for the tie break.
    pub(crate) last_input: Option<Millis>,
    /// The report to name in a trace.
    pub(crate) newest: Option<(Order, Millis)>,
}

/// Score, verdict, and whether a sensor was not believed because it is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UseNow {
    pub(crate) score: u16,
    pub(crate) state: Use,
    pub(crate) stuck: bool,
    /// When use was last seen; 0 if never.
    pub(crate) seen_at: Millis,
    /// In use by input or by the terminal's own word, not by a sensor alone.
    pub(crate) by_input: bool,
}

impl UseEvidence {
    /// `newest` holds one piece of evidence per kind: the newest.
    pub(crate) fn new<'a>(newest: impl Iterator<Item = &'a Evidence> + Clone) -> UseEvidence {
        let denial = newest
            .clone()
            .filter(|e| e.reading.says_in_use() == Some(false))
            .map(|e| (e.order(), e.received_at))
            .max();
        let mut this = UseEvidence::default();
        let mut affirmed_later = false;
        for e in newest {
            let order = e.order();
            let counts = denial.is_none_or(|(at, _)| order >= at);
            let at = e.received_at;
            match &e.reading {
                Reading::Input { age_ms } => {
                    let moment = Millis(at.0.saturating_sub(*age_ms));
                    this.last_input = Some(moment);
                    this.stirred = this.stirred.max(Some(moment));
                    if *age_ms >= IDLE_INPUT_MS {
                        this.idle = Some(at);
                    } else if counts {
                        this.input = Some(moment);
                    }
                }
                Reading::Motion { age_ms } => {
                    this.stirred = this.stirred.max(Some(Millis(at.0.saturating_sub(*age_ms))));
                }
                Reading::Presence { present: true, .. } if counts => {
                    this.presence = Some((at, e.since.unwrap_or(at).min(at)));
                }
                Reading::InUse { in_use: true, confidence } if counts => this.claim = Some((at, *confidence)),
                Reading::Screen { on: true } if counts => this.lit = Some(at),
                Reading::BodyTemp { centi_celsius } if counts && BODY.contains(centi_celsius) => {
                    this.warm = Some(at)
                }
                _ => {}
            }
            if e.reading.says_in_use().is_some() {
                this.newest = this.newest.max(Some((order, at)));
            }
            affirmed_later |= e.reading.says_in_use() == Some(true) && denial.is_some_and(|(d, _)| order > d);
        }
        this.denied = denial.filter(|_| !affirmed_later).map(|(_, at)| at);
        this
    }

    /// When a sensor last claimed somebody.
    pub(crate) fn presence_at(&self) -> Option<Millis> {
        self.presence.map(|(at, _)| at)
    }

    /// Last input or motion; 0 if never.
    pub(crate) fn stirred_at(&self) -> Millis {
        self.stirred.unwrap_or_default()
    }

    pub(crate) fn at(&self, now: Millis, tuning: &Tuning) -> UseNow {
        let faded = |weight: u32, seen: Option<Millis>, half_life: u64| {
            seen.map_or(0, |at| decayed(weight, now.since(at), half_life))
        };
        let stirred_within = |ms: u64| self.stirred.is_some_and(|at| now.since(at) <= ms);
        let stuck = self.presence.is_some_and(|(_, since)| {
            now.since(since.max(self.stirred.unwrap_or(since))) > tuning.max_claim_ms
        });
        let presence = if stuck { None } else { self.presence.map(|(at, _)| at) };
        // A pocket is warm too.
        let warm = self.warm.filter(|_| stirred_within(tuning.fresh_ms));
        let (claimed_at, confidence) = self.claim.map_or((None, 0), |(at, c)| (Some(at), u32::from(c)));
        let active = faded(INPUT, self.input, tuning.input_half_life_ms)
            + faded(confidence, claimed_at, tuning.claim_half_life_ms);
        let score = (active
            + faded(PRESENCE, presence, tuning.presence_half_life_ms)
            + faded(WARM, warm, tuning.presence_half_life_ms)
            + faded(LIT, self.lit, tuning.presence_half_life_ms))
        .min(1000);
        let fresh = |at: Option<Millis>| at.is_some_and(|at| now.since(at) <= tuning.fresh_ms);
        let threshold = u32::from(tuning.in_use_score);
        let state = if score >= threshold {
            Use::InUse
        } else if fresh(self.denied) || fresh(self.idle) {
            Use::NotInUse
        } else {
            Use::Unknown
        };
        UseNow {
            score: u16::try_from(score).unwrap_or(1000),
            state,
            stuck,
            seen_at: self.input.max(presence).max(claimed_at).unwrap_or_default(),
            by_input: active >= threshold,
        }
    }
}

/// `weight` halved for each `half_life` of `age`, straight between the halvings; never rises with age.
fn decayed(weight: u32, age: u64, half_life: u64) -> u32 {
    let half_life = half_life.max(1);
    let halvings = age / half_life;
    if halvings >= 32 {
        return 0;
    }
    let whole = u64::from(weight >> halvings);
    let rest = age % half_life;
    let part = match (whole.checked_mul(rest), half_life.checked_mul(2)) {
        (Some(product), Some(twice)) => product / twice,
        _ => {
            let part = u128::from(whole) * u128::from(rest) / (2 * u128::from(half_life));
            u64::try_from(part).unwrap_or(whole)
        }
    };
    u32::try_from(whole - part).unwrap_or(0)
}

/// Whether it runs, as far as evidence says; `None`: nobody knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PowerEvidence {
    /// Last word that it stopped, unless it was heard since.
    down: bool,
    /// Last word from a running terminal.
    alive: Option<Millis>,
}

impl PowerEvidence {
    pub(crate) fn new<'a>(newest: impl Iterator<Item = &'a Evidence> + Clone) -> PowerEvidence {
        let down_at = newest
            .clone()
            .find(|e| matches!(e.reading, Reading::Power(PowerState::Sleep | PowerState::Off)))
            .map(Evidence::order);
        let alive = newest
            .filter(|e| down_at.is_none_or(|d| e.order() > d))
            .filter(|e| !matches!(e.reading, Reading::Attributes(_)))
            .map(|e| e.received_at)
            .max();
        PowerEvidence { down: down_at.is_some() && alive.is_none(), alive }
    }

    /// What is off stays off until it is heard again; what was heard is on for a while.
    pub(crate) fn is_on(&self, now: Millis, tuning: &Tuning) -> Option<bool> {
        if self.down {
            return Some(false);
        }
        self.alive.filter(|at| now.since(*at) <= tuning.power_ms).map(|_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(seq: u32, at: u64, reading: Reading) -> Evidence {
        Evidence::new(Order { boot: 1, seq }, Millis(at), reading)
    }

    fn state(evidence: &[Evidence], now: u64) -> UseNow {
        UseEvidence::new(evidence.iter()).at(Millis(now), &Tuning::default())
    }

    fn present(present: bool) -> Reading {
        Reading::Presence { present, sensor: crate::evidence::Sensor::Infrared }
    }

    // mission: P1
    #[test]
    fn decay_is_a_halving_and_never_rises() {
        assert_eq!(decayed(1000, 0, 120), 1000);
        assert_eq!(decayed(1000, 120, 120), 500);
        assert_eq!(decayed(1000, 240, 120), 250);
        assert_eq!(decayed(1000, u64::MAX, 1), 0);
        let all: Vec<u32> = (0..5_000).map(|age| decayed(1000, age, 120)).collect();
        assert!(all.windows(2).all(|w| w[0] >= w[1]));
    }

    #[test]
    fn input_counts_for_two_minutes_then_is_unknown() {
        let e = [evidence(1, 1_000, Reading::Input { age_ms: 1_000 })];
        assert_eq!(state(&e, 1_000).state, Use::InUse);
        assert_eq!(state(&e, 120_000).state, Use::InUse);
        assert_eq!(state(&e, 121_000).state, Use::Unknown);
    }

    #[test]
    fn warmth_alone_never_proves_use() {
        let warm = evidence(1, 0, Reading::BodyTemp { centi_celsius: 3400 });
        let lit = evidence(1, 0, Reading::Screen { on: true });
        let moved = evidence(1, 0, Reading::Motion { age_ms: 0 });
        assert_eq!(state(std::slice::from_ref(&warm), 0).score, 0);
        let all = state(&[warm, lit, moved], 0);
        assert_eq!((all.score, all.state), (300, Use::Unknown));
    }

    #[test]
    fn a_later_denial_cancels_what_is_older_for_good() {
        let e = [evidence(1, 0, Reading::Input { age_ms: 0 }), evidence(2, 1, present(false))];
        assert_eq!(state(&e, 1).state, Use::NotInUse);
        assert_eq!(state(&e, 400_000).state, Use::Unknown);
        let e = [evidence(3, 2, Reading::Input { age_ms: 0 }), evidence(2, 1, present(false))];
        assert_eq!(state(&e, 2).state, Use::InUse);
    }

    #[test]
    fn attack_a_sensor_stuck_at_present_is_not_believed_for_ever() {
        let mut stuck = evidence(99, 3_600_000, present(true));
        stuck.since = Some(Millis(0));
        let now = state(std::slice::from_ref(&stuck), 3_600_000);
        assert_eq!((now.state, now.stuck), (Use::Unknown, true));
        let stirred = evidence(99, 3_600_000, Reading::Motion { age_ms: 60_000 });
        assert_eq!(state(&[stuck, stirred], 3_600_000).state, Use::InUse);
    }

    #[test]
    fn off_stays_off_until_it_is_heard_again() {
        let t = Tuning::default();
        let off = evidence(2, 0, Reading::Power(PowerState::Off));
        let on = |e: &[Evidence], now| PowerEvidence::new(e.iter()).is_on(Millis(now), &t);
        assert_eq!(on(std::slice::from_ref(&off), 1 << 40), Some(false));
        assert_eq!(on(&[off, evidence(3, 10, Reading::Screen { on: false })], 11), Some(true));
        assert_eq!(on(&[], 0), None);
        assert_eq!(on(&[evidence(1, 0, Reading::Power(PowerState::On))], 1 << 40), None);
    }
}
