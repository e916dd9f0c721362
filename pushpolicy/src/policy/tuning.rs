//! How evidence is weighed.

use serde::{Deserialize, Serialize};

/// How evidence is weighed. All defaults are our choice, to be replaced by measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Tuning {
    /// Milliseconds until input counts half.
    pub input_half_life_ms: u64,
    /// Milliseconds until a presence sensor counts half.
    pub presence_half_life_ms: u64,
    /// Milliseconds until a terminal's own conclusion counts half.
    pub claim_half_life_ms: u64,
    /// Score of 1000 from which a terminal is in use.
    pub in_use_score: u16,
    /// Milliseconds for which a denial of use is believed.
    pub fresh_ms: u64,
    /// Milliseconds for which a sensed distance is believed.
    pub proximity_ms: u64,
    /// Milliseconds after its last report for which a terminal counts as on.
    pub power_ms: u64,
    /// Milliseconds for which a place is believed.
    pub location_ms: u64,
    /// Milliseconds for which a sensor may claim presence while nothing is touched or moved.
    pub max_claim_ms: u64,
    /// Metres between two terminals in use at once from which the one without input is doubted.
    pub apart_m: u64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            input_half_life_ms: 120_000,
            presence_half_life_ms: 180_000,
            claim_half_life_ms: 120_000,
            in_use_score: 500,
            fresh_ms: 300_000,
            proximity_ms: 120_000,
            power_ms: 900_000,
            location_ms: 3_600_000,
            max_claim_ms: 1_800_000,
            apart_m: 2_000,
        }
    }
}

impl Tuning {
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = [
            ("input_half_life_ms", self.input_half_life_ms),
            ("presence_half_life_ms", self.presence_half_life_ms),
            ("claim_half_life_ms", self.claim_half_life_ms),
            ("in_use_score", u64::from(self.in_use_score)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, v)| *v == 0) {
            return Err(format!("{name} 0: at least 1"));
        }
        if self.in_use_score > 1000 {
            return Err(format!("in_use_score {}: at most 1000", self.in_use_score));
        }
        Ok(())
    }
}
