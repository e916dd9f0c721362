//! A policy as it is kept: with a version, so that two terminals that set it at once do not overwrite each other.

use crate::error::PolicyError;
use crate::limits::Limits;
use crate::location::name_rule;
use crate::policy::Policy;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// The policy of one user, how often it changed, and who changed it last.
///
/// A value: the host writes it to a row guarded by the old `revision`.
// mission: P5
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StoredPolicy {
    /// Rises by one with each change; 0 before the first.
    pub revision: u64,
    /// Terminal id, or what the host calls its web page.
    pub writer: String,
    /// When.
    pub written_at: Millis,
    /// The policy.
    pub policy: Policy,
}

/// Why a policy was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Somebody else set it meanwhile: show this one, and let the user decide again.
    #[error("policy: revision {} by {:?} is in force, not {expected}", current.revision, current.writer)]
    Revision {
        /// What the writer had seen.
        expected: u64,
        /// What is in force.
        current: Box<StoredPolicy>,
    },
    /// The new one is no good; the old one stays in force.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl StoredPolicy {
    /// Revision 0: nobody set anything yet.
    #[must_use]
    pub fn initial(policy: Policy) -> StoredPolicy {
        StoredPolicy { revision: 0, writer: String::new(), written_at: Millis(0), policy }
    }

    /// The next revision, if `expected` is the one in force and the policy compiles.
    ///
    /// # Errors
    /// [`Conflict`]; then the policy in force is unchanged.
    pub fn compare_and_set(
        &self,
        expected: u64,
        policy: Policy,
        writer: impl Into<String>,
        now: Millis,
        limits: &Limits,
    ) -> Result<StoredPolicy, Conflict> {
        if expected != self.revision {
            return Err(Conflict::Revision { expected, current: Box::new(self.clone()) });
        }
        policy.compile(limits)?;
        Ok(StoredPolicy {
            revision: self.revision.saturating_add(1),
            writer: writer.into(),
            written_at: now,
            policy,
        })
    }

    /// What follows the document in force when `wanted`, a stored policy whose revision is the next one, comes from a
    /// terminal, a command line or a web page: the one way by which policies are set.
    ///
    /// # Errors
    /// [`Conflict`]; then what is in force stays.
    // mission: P5
    pub fn accept(
        in_force: Option<&[u8]>,
        wanted: &[u8],
        now: Millis,
        limits: &Limits,
    ) -> Result<StoredPolicy, Conflict> {
        let wanted = StoredPolicy::from_json(wanted)?;
        let in_force = match in_force {
            Some(bytes) => StoredPolicy::from_json(bytes)?,
            None => StoredPolicy::initial(Policy::default()),
        };
        name_rule("writer", &wanted.writer)
            .map_err(|error| PolicyError::Invalid { place: "writer".to_owned(), what: error.to_string() })?;
        // 0 follows nothing.
        let expected = wanted.revision.checked_sub(1).unwrap_or(u64::MAX);
        in_force.compare_and_set(expected, wanted.policy, wanted.writer, now, limits)
    }

    /// Reads a stored policy.
    ///
    /// # Errors
    /// [`PolicyError`]: none, too large, or of a later version.
    pub fn from_json(bytes: &[u8]) -> Result<StoredPolicy, PolicyError> {
        let limit = Limits::default().document_bytes;
        if bytes.len() > limit {
            return Err(PolicyError::Limit { what: "document_bytes", value: bytes.len(), limit });
        }
        #[derive(Deserialize)]
        struct Head {
            policy: Version,
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.policy.version > crate::policy::VERSION {
            return Err(PolicyError::Newer(head.policy.version));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Entity tag for a web page.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"p{}\"", self.revision)
    }
}

/// The version that a document states, if it is newer than `known`.
pub(crate) fn check_version(bytes: &[u8], known: u32) -> Result<Option<u32>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    let head: Head = serde_json::from_slice(bytes)?;
    Ok((head.version > known).then_some(head.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: P5
    #[test]
    fn attack_two_terminals_set_the_policy_at_once() {
        let limits = Limits::default();
        let stored = StoredPolicy::initial(Policy::default());
        let phone = stored.compare_and_set(0, Policy::default(), "phone", Millis(1), &limits).unwrap();
        assert_eq!((phone.revision, phone.etag()), (1, "\"p1\"".to_owned()));
        let late = phone.compare_and_set(0, Policy::default(), "web", Millis(2), &limits).unwrap_err();
        assert_eq!(late.to_string(), r#"policy: revision 1 by "phone" is in force, not 0"#);
        assert_eq!(
            phone.compare_and_set(1, Policy::default(), "web", Millis(3), &limits).unwrap().revision,
            2
        );
    }

    // mission: P5
    #[test]
    fn documents_follow_each_other_one_by_one() {
        let accept = |before: Option<&[u8]>, wanted: &[u8]| {
            let next = StoredPolicy::accept(before, wanted, Millis(7), &Limits::default());
            next.map(|next| serde_json::to_vec(&next).unwrap()).map_err(|error| error.to_string())
        };
        let wanted = |revision: u64, writer: &str| {
            let policy =
                StoredPolicy { revision, writer: writer.into(), ..StoredPolicy::initial(Policy::default()) };
            serde_json::to_vec(&policy).unwrap()
        };
        let first = accept(None, &wanted(1, "phone")).unwrap();
        let kept = StoredPolicy::from_json(&first).unwrap();
        assert_eq!((kept.revision, &*kept.writer, kept.written_at), (1, "phone", Millis(7)));
        assert!(accept(Some(&first), &wanted(1, "web")).unwrap_err().contains("is in force, not 0"));
        assert!(accept(Some(&first), &wanted(0, "web")).is_err());
        assert!(accept(Some(&first), &wanted(3, "web")).is_err());
        let second = accept(Some(&first), &wanted(2, "web")).unwrap();
        assert_eq!(StoredPolicy::from_json(&second).unwrap().revision, 2);
        for (bad, part) in [
            (&b"{}"[..], "missing field"),
            (br#"{"revision":1,"writer":"a","written_at":0,"policy":{"version":9,"beam":1}}"#, "version 9"),
            (br#"{"revision":1,"writer":"a\u0007","written_at":0,"policy":{"version":1,"default":"hold"}}"#, "writer"),
        ] {
            let error = accept(None, bad).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_bad_policy_leaves_the_old_one_in_force() {
        let stored = StoredPolicy::initial(Policy::default());
        let mut bad = Policy::default();
        bad.tuning.input_half_life_ms = 0;
        let error = stored.compare_and_set(0, bad, "web", Millis(1), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("tuning"), "{error}");
    }
}
