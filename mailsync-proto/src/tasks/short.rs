//! A request in short messages: the text that any way carries, its proof behind it, cut into binary parts for the port of
//! calendar entries (9205).
//!
//! A phone that knows calendars on this port shows an entry; what follows `END:VCALENDAR` is no part of it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Octets of a request with its proof, at most: ten parts of 128. Sounds and pictures go by mail or directly.
pub const MOST: usize = 1_280;

const PROOF: &str = "X-MAILSYNC-PROOF:";
const END: &str = "END:VCALENDAR\r\n";

/// Why a request does not go by short message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{size} octets, short messages carry {MOST}: send it by mail or directly")]
pub struct TooLong {
    /// Its octets, with its proof.
    pub size: usize,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short<'a> {
    /// The text, as it was proved.
    pub body: &'a str,
    /// The proof; empty: none.
    pub proof: &'a str,
}

/// A request as the octets that are cut into parts.
///
/// # Errors
/// [`TooLong`].
pub fn write(body: &str, proof: &str) -> Result<String, TooLong> {
    let whole = format!("{body}{PROOF}{proof}\r\n");
    if whole.len() > MOST { Err(TooLong { size: whole.len() }) } else { Ok(whole) }
}

/// The text and its proof; none: it is no text, or too long.
#[must_use]
pub fn read(octets: &[u8]) -> Option<Short<'_>> {
    let text = core::str::from_utf8(octets.get(..MOST.min(octets.len()))?).ok()?;
    if octets.len() > MOST {
        return None;
    }
    let Some(end) = text.find(END) else { return Some(Short { body: text, proof: "" }) };
    let (body, rest) = text.split_at(end.checked_add(END.len())?);
    let proof = rest.lines().find_map(|line| line.strip_prefix(PROOF)).unwrap_or_default().trim();
    Some(Short { body, proof })
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: T4
    #[test]
    fn text_and_proof_there_and_back_within_ten_parts() {
        let body = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n";
        let octets = write(body, "abc").unwrap();
        assert_eq!(read(octets.as_bytes()), Some(Short { body, proof: "abc" }));
        // As other phones send it.
        assert_eq!(read(body.as_bytes()), Some(Short { body, proof: "" }));
        assert_eq!(read(b"BEGIN:VCALENDAR"), Some(Short { body: "BEGIN:VCALENDAR", proof: "" }));
        let long = "x".repeat(MOST - PROOF.len() - 2);
        assert_eq!(write(&long, "").map(|octets| octets.len()), Ok(MOST));
        assert_eq!(write(&long, "p"), Err(TooLong { size: MOST + 1 }));
        assert_eq!(read(&[b'x'; MOST + 1]), None);
        assert_eq!(read(b"\xff\xfe"), None);
        assert_eq!(read(b""), Some(Short { body: "", proof: "" }));
    }
}
