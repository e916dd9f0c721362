//! Limits on what reports, snapshots and policies may hold.

/// What is accepted at most; every field can be set, within what the types can hold.
///
/// A limit hit refuses the report, snapshot or policy as a whole and names the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Terminals of one user; at most [`Limits::MAX_TERMINALS`].
    pub terminals: usize,
    /// Routes of one terminal; at most 128.
    pub routes: usize,
    /// Pieces of evidence of one terminal in a snapshot.
    pub evidence: usize,
    /// Readings of one report.
    pub readings: usize,
    /// Octets of a report, as JSON.
    pub report_bytes: usize,
    /// Media ranges that a terminal may name.
    pub media: usize,
    /// Rules of a policy; at most [`Limits::MAX_PATTERNS`].
    pub rules: usize,
    /// Conditions of one rule.
    pub conditions: usize,
    /// Selectors of one push.
    pub selectors: usize,
    /// Patterns of a policy; at most [`Limits::MAX_PATTERNS`].
    pub patterns: usize,
    /// Octets of one pattern.
    pub pattern_bytes: usize,
    /// Octets of a policy or snapshot, as JSON.
    pub document_bytes: usize,
}

impl Limits {
    /// What a [`TerminalSet`](crate::TerminalSet) holds.
    pub const MAX_TERMINALS: usize = 64;
    /// What one evaluation keeps on the stack.
    pub const MAX_PATTERNS: usize = 4096;
    /// Steps of an escalation plan.
    pub const MAX_STEPS: usize = 4;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            terminals: Limits::MAX_TERMINALS,
            routes: 8,
            evidence: 32,
            readings: 16,
            report_bytes: 16 * 1024,
            media: 64,
            rules: 4096,
            conditions: 64,
            selectors: 16,
            patterns: Limits::MAX_PATTERNS,
            pattern_bytes: 256,
            document_bytes: 4 * 1024 * 1024,
        }
    }
}
