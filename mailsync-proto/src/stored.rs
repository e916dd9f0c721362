//! Stored values: the version of their format in one octet, then the value. A newer one is refused clearly.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syncml::session::{MAX_SESSION_BYTES, SessionError};

/// Why a stored value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It was written by a newer version.
    Newer(u8),
    /// It is none, or not of this kind.
    Damaged,
}

pub(crate) fn to_bytes<T: Serialize>(format: u8, value: &T) -> Result<Bytes, Unread> {
    postcard::to_extend(value, vec![format]).map(Bytes::from).map_err(|_| Unread::Damaged)
}

pub(crate) fn from_bytes<T: DeserializeOwned>(format: u8, bytes: &[u8]) -> Result<T, Unread> {
    match bytes.split_first() {
        Some((&found, rest)) if found == format => postcard::from_bytes(rest).map_err(|_| Unread::Damaged),
        Some((&newer, _)) if newer > format => Err(Unread::Newer(newer)),
        _ => Err(Unread::Damaged),
    }
}

/// As [`to_bytes`], within what a session may take.
pub(crate) fn session_to_bytes<T: Serialize>(format: u8, value: &T) -> Result<Bytes, SessionError> {
    let bytes = to_bytes(format, value)?;
    if bytes.len() > MAX_SESSION_BYTES { Err(SessionError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

impl From<Unread> for SessionError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Newer(format) => SessionError::NewerFormat(format),
            Unread::Damaged => SessionError::Damaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_is_refused() {
        let bytes = to_bytes(3, &(7_u8, "x")).unwrap();
        assert_eq!(from_bytes::<(u8, String)>(3, &bytes), Ok((7, "x".into())));
        assert_eq!(from_bytes::<(u8, String)>(2, &bytes), Err(Unread::Newer(3)));
        assert_eq!(from_bytes::<(u8, String)>(4, &bytes), Err(Unread::Damaged));
        assert_eq!(from_bytes::<(u8, String)>(3, &bytes[..2]), Err(Unread::Damaged));
        assert_eq!(from_bytes::<u8>(3, b""), Err(Unread::Damaged));
    }
}
