//! The client's short id and the server's long one.

use crate::IdError;
use std::borrow::Borrow;
use std::fmt;

/// The client's id of an item (locally unique).
///
/// # Shape
/// 1 to 255 octets of UTF-8 without control characters, compared octet by octet. Devices choose
/// them alike (`1`, `2`, ...), so a LUID means nothing without its device and datastore.
/// # Errors
/// [`IdError`] from `try_from`.
// mission: M7
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Box<str>"))]
pub struct Luid(Box<str>);

/// The server's id of an item (globally unique).
///
/// # Shape
/// 1 to 64 octets of UTF-8 without control characters, compared octet by octet.
/// # Errors
/// [`IdError`] from `try_from`.
// mission: M7
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Box<str>"))]
pub struct Guid(Box<str>);

pub(crate) fn check(what: &'static str, text: &str, limit: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > limit {
        return Err(IdError::TooLong { what, len: text.len(), limit });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(IdError::Control { what, at }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($name:ident, $what:literal, $limit:literal) => {
        impl $name {
            /// The most octets that one has.
            pub const MAX_LEN: usize = $limit;

            /// Takes the text without looking at it, as from a store that holds only valid ones.
            ///
            /// Debug builds assert that it is valid.
            #[must_use]
            pub fn unvalidated(text: impl Into<Box<str>>) -> Self {
                let text = text.into();
                debug_assert!($crate::id::check($what, &text, $limit).is_ok(), concat!("invalid ", $what));
                Self(text)
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Box<str>> for $name {
            type Error = IdError;
            fn try_from(text: Box<str>) -> Result<Self, IdError> {
                $crate::id::check($what, &text, $limit)?;
                Ok(Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                $crate::id::check($what, text, $limit)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::try_from(text.into_boxed_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }
    };
}
pub(crate) use id;

id!(Luid, "LUID", 255);
id!(Guid, "GUID", 64);
