//! Errors of the bearer formats.

/// Why octets from the wire could not be read. One message is lost, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{format}: {kind} at byte {offset}")]
#[non_exhaustive]
pub struct DecodeError {
    /// The format: `wsp`, `udh`, `si`, `pap`, ...
    pub format: &'static str,
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Octets from the start of what was given.
    pub offset: usize,
}

/// What is wrong, grouped by who must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The octets are no such message.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It breaks a rule of the protocol.
    #[error("violation: {0}")]
    Violation(String),
    /// Legal, but not ours to read.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A limit was passed.
    #[error("too much: {what} {value}, limit {limit}")]
    Limit {
        /// What.
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// It ends too early.
    #[error("incomplete")]
    Incomplete,
}

impl DecodeError {
    pub(crate) fn malformed(format: &'static str, offset: usize, what: impl Into<String>) -> DecodeError {
        DecodeError { format, kind: DecodeErrorKind::Malformed(what.into()), offset }
    }

    pub(crate) fn violation(format: &'static str, offset: usize, what: impl Into<String>) -> DecodeError {
        DecodeError { format, kind: DecodeErrorKind::Violation(what.into()), offset }
    }

    pub(crate) fn unsupported(format: &'static str, offset: usize, what: impl Into<String>) -> DecodeError {
        DecodeError { format, kind: DecodeErrorKind::Unsupported(what.into()), offset }
    }

    pub(crate) const fn limit(
        format: &'static str,
        offset: usize,
        what: &'static str,
        value: usize,
        limit: usize,
    ) -> DecodeError {
        DecodeError { format, kind: DecodeErrorKind::Limit { what, value, limit }, offset }
    }

    pub(crate) const fn incomplete(format: &'static str, offset: usize) -> DecodeError {
        DecodeError { format, kind: DecodeErrorKind::Incomplete, offset }
    }
}

/// Why something cannot be written in a format: a bug or bad input of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{format}: cannot write {what}: {why}")]
#[non_exhaustive]
pub struct EncodeError {
    /// The format.
    pub format: &'static str,
    /// The field.
    pub what: &'static str,
    /// Why not.
    pub why: &'static str,
}

impl EncodeError {
    pub(crate) const fn new(format: &'static str, what: &'static str, why: &'static str) -> EncodeError {
        EncodeError { format, what, why }
    }
}

/// Text that goes into a header line or an attribute: no control characters, so nobody can add lines.
// threat: M2
pub(crate) fn one_line(format: &'static str, what: &'static str, text: &str) -> Result<(), EncodeError> {
    if text.chars().any(char::is_control) {
        return Err(EncodeError::new(format, what, "control characters"));
    }
    Ok(())
}
