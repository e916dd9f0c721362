//! Errors of the codec.

use std::fmt;

/// Which spelling was read or written when it went wrong.
pub use crate::model::Encoding;

/// Why a document could not be read, and where.
///
/// The document is lost; nothing else is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind} at byte {offset}{}", spelling(*.encoding), ShowPath(.path))]
#[non_exhaustive]
pub struct DecodeError {
    /// The spelling that was read.
    pub encoding: Encoding,
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Octets from the start of the document.
    pub offset: usize,
    /// Open elements, like `SyncBody/Sync/Add[2]/Meta`; empty at the top.
    pub path: String,
}

impl DecodeError {
    /// The same error, seen from the document that this one is inside of.
    pub(crate) fn inside(self, encoding: Encoding, path: &str) -> Self {
        let path = if self.path.is_empty() { path.to_owned() } else { format!("{path}/{}", self.path) };
        DecodeError { encoding, path, ..self }
    }
}

/// What is wrong with a document, grouped by who must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The octets are no document of this kind.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The document breaks a rule of the protocol.
    #[error("violation: {0}")]
    Violation(String),
    /// Legal, but not ours to read yet.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A limit of [`Limits`](crate::Limits) was passed.
    #[error("too much: {what} {value}, limit {limit}")]
    Limit {
        /// The field of `Limits`.
        what: &'static str,
        /// The value met.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// More octets are needed.
    #[error("incomplete")]
    Incomplete,
}

/// Why something could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It does not fit in what is left of the message; nothing was written.
    #[error("full: {needed} octets needed, {left} left")]
    Full {
        /// Octets that it takes.
        needed: usize,
        /// Octets left.
        left: usize,
    },
    /// This spelling cannot carry it; nothing was written. Data goes as base64 instead.
    #[error("{} cannot carry {what}", spelling(*.encoding))]
    Unrepresentable {
        /// The spelling.
        encoding: Encoding,
        /// What it cannot carry.
        what: &'static str,
    },
    /// A call that the writer's contract does not allow; nothing was written.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}

fn spelling(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Xml => "xml",
        Encoding::Wbxml => "wbxml",
    }
}

struct ShowPath<'a>(&'a str);

impl fmt::Display for ShowPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}
