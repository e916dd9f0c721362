//! Why a mail object could not be read.

use core::fmt;
use syncml::StatusCode;

/// Why a mail object could not be read: what, at which octet, under which elements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ObjectError {
    /// What is wrong.
    pub kind: ObjectErrorKind,
    /// Where, octets from the object's start.
    pub offset: usize,
    /// The elements it is in: `Email/Ext`.
    pub path: Box<str>,
}

/// What is wrong with a mail object. The session is unharmed: the item gets [`ObjectError::status`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectErrorKind {
    /// The octets are no such object.
    #[error("malformed: {0}")]
    Malformed(Box<str>),
    /// It uses what is not built.
    #[error("unsupported: {0}")]
    Unsupported(Box<str>),
    /// It is over a limit.
    #[error("{what} is {value}, limit {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much there is.
        value: usize,
        /// How much may be.
        limit: usize,
    },
    /// A stored form that a newer version wrote.
    #[error("stored form version {found}, this program knows up to {known}")]
    Newer {
        /// Its version.
        found: u8,
        /// The newest known.
        known: u8,
    },
}

impl ObjectError {
    /// The `Status` for the item.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            ObjectErrorKind::Malformed(_) => StatusCode::BAD_REQUEST,
            ObjectErrorKind::Unsupported(_) => StatusCode::UNSUPPORTED_TYPE,
            ObjectErrorKind::Limit { .. } => StatusCode::TOO_LARGE,
            ObjectErrorKind::Newer { .. } => StatusCode::DATASTORE_FAILURE,
        }
    }

    pub(crate) fn stored(kind: ObjectErrorKind) -> Self {
        ObjectError { kind, offset: 0, path: "stored".into() }
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} ({})", self.kind, self.offset, self.path)
    }
}
