//! Errors, grouped by who must act.

/// A value that no terminal can have measured, or that no name may hold. The report or document is refused whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value}: {why}")]
#[non_exhaustive]
pub struct Implausible {
    /// The field.
    pub what: &'static str,
    /// The value, shortened and escaped.
    pub value: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl Implausible {
    pub(crate) fn new(what: &'static str, value: impl std::fmt::Debug, why: &'static str) -> Implausible {
        let mut value = format!("{value:?}");
        if let Some((cut, _)) = value.char_indices().nth(40) {
            value.truncate(cut);
            value.push('…');
        }
        Implausible { what, value, why }
    }
}

/// Why a report was not read. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The octets are no report.
    #[error("report: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A value is impossible.
    #[error("report: {0}")]
    Implausible(#[from] Implausible),
    /// A limit was passed.
    #[error("report: {what} {value}, limit {limit}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a set of terminals is no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The octets are no snapshot.
    #[error("snapshot: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer version of this crate.
    #[error("snapshot: version {0}, this reads {max}", max = crate::snapshot::VERSION)]
    Newer(u32),
    /// Two terminals have one id.
    #[error("snapshot: terminal id {0:?} twice")]
    Duplicate(String),
    /// A value is impossible.
    #[error("snapshot: terminal {terminal:?}: {error}")]
    Implausible {
        /// Whose.
        terminal: String,
        /// What.
        error: Implausible,
    },
    /// A limit was passed.
    #[error("snapshot: {what} {value}, limit {limit}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a policy was not loaded. The one in force stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The octets are no policy, or use a condition, selector or field that this version does not know.
    #[error("policy: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written for a newer version of this crate.
    #[error("policy: version {0}, this reads {max}", max = crate::policy::VERSION)]
    Newer(u32),
    /// Two rules have one id.
    #[error("policy: rule id {0:?} twice")]
    DuplicateRule(String),
    /// A part says nothing or something impossible.
    #[error("policy: {place}: {what}")]
    Invalid {
        /// The rule id, or `default`, `tuning`, ...
        place: String,
        /// What is wrong.
        what: String,
    },
    /// A limit was passed.
    #[error("policy: {what} {value}, limit {limit}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
}
