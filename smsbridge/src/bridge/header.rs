//! The header of a mail, octet for octet: the parts that decide, and no more.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Octets of a header that are looked at; real ones reach 40 KiB.
const MAX_HEADER: usize = 256 * 1024;

/// One field: its name, its raw octets and its unfolded value.
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) raw: &'a [u8],
    value: &'a [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Line ends taken out, white space around it too.
    pub(super) fn value(&self) -> String {
        let unfolded: Vec<u8> =
            self.value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        String::from_utf8_lossy(&unfolded).trim_matches([' ', '\t']).to_owned()
    }
}

/// The fields of a message, up to the first empty line. Lines that are no field are skipped.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = message.get(..MAX_HEADER).unwrap_or(message);
    std::iter::from_fn(move || {
        loop {
            let end = field_end(rest);
            let (raw, after) = rest.split_at_checked(end)?;
            if raw.is_empty() || raw == b"\r\n" || raw == b"\n" {
                return None;
            }
            rest = after;
            let Some(colon) = raw.iter().position(|&octet| octet == b':') else { continue };
            let (name, value) = raw.split_at_checked(colon)?;
            let value = value.get(1..).unwrap_or_default();
            if !name.is_empty() && name.iter().all(|octet| (33..=126).contains(octet)) {
                return Some(Field { name, raw, value });
            }
        }
    })
}

/// Octets up to the end of the first field, folded lines included.
fn field_end(octets: &[u8]) -> usize {
    let mut end = 0usize;
    loop {
        let rest = octets.get(end..).unwrap_or_default();
        match rest.iter().position(|&octet| octet == b'\n') {
            Some(at) => end = end.saturating_add(at).saturating_add(1),
            None => return octets.len(),
        }
        let empty = matches!(octets.get(..end), Some(b"\r\n" | b"\n"));
        if empty || !matches!(octets.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whole() {
        let message = b"A: 1\r\nB:\r\n 2\r\n\t3 \r\nno field\r\nbad name: x\r\nC:4\r\n\r\nD: body\r\n";
        let seen: Vec<(String, String)> = fields(message)
            .map(|field| (String::from_utf8_lossy(field.name).into_owned(), field.value()))
            .collect();
        let expected = [("A", "1"), ("B", "2\t3"), ("C", "4")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b"\r\nA: 1\r\n").count(), 0);
        assert_eq!(fields(b"A: 1").count(), 1);
    }
}
