//! A decision with everything that it was made from, so that it can be made again.

use crate::decide::decide_traced;
use crate::decision::DecisionView;
use crate::error::{PolicyError, SnapshotError};
use crate::limits::Limits;
use crate::mail::MailFacts;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use crate::time::Now;
use crate::trace::{Detail, TraceView};
use serde::{Deserialize, Serialize};

/// The format that this crate writes.
pub const VERSION: u32 = 1;

/// Inputs, decision and trace of one mail.
///
/// # Shape
/// JSON. Holds sender, subject, presence and places: keep it as long as the user wants explanations, no longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Revision of the stored policy that was used.
    pub revision: u64,
    /// The policy.
    pub policy: Policy,
    /// The terminals.
    pub snapshot: Snapshot,
    /// The mail.
    pub mail: MailFacts,
    /// The moment.
    pub now: Now,
    /// What was decided.
    pub decision: DecisionView,
    /// Why.
    pub trace: TraceView,
}

impl Record {
    /// Decides and keeps everything.
    ///
    /// # Errors
    /// [`PolicyError`] if the policy does not compile.
    pub fn make(
        revision: u64,
        policy: Policy,
        snapshot: Snapshot,
        mail: MailFacts,
        now: Now,
    ) -> Result<Record, PolicyError> {
        let compiled = policy.compile(&Limits::default())?;
        let (decision, trace) = decide_traced(&compiled, &snapshot, &mail, now);
        Ok(Record {
            version: VERSION,
            revision,
            decision: decision.view(&compiled, &snapshot),
            trace: trace.view(&compiled, &snapshot, Detail::Full),
            policy,
            snapshot,
            mail,
            now,
        })
    }

    /// Makes the decision again from the recorded inputs; equal to `self` on every machine.
    ///
    /// # Errors
    /// [`PolicyError`] if the recorded policy does not compile any more.
    pub fn replay(&self) -> Result<Record, PolicyError> {
        Record::make(self.revision, self.policy.clone(), self.snapshot.clone(), self.mail.clone(), self.now)
    }

    /// The same bytes for the same record.
    ///
    /// # Errors
    /// As `serde_json`, which these types rule out.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`SnapshotError`] for bad bytes, and for a version newer than [`VERSION`].
    pub fn from_json(bytes: &[u8]) -> Result<Record, SnapshotError> {
        if let Some(newer) = crate::stored::check_version(bytes, VERSION)? {
            return Err(SnapshotError::Newer(newer));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}
