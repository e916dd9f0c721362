//! Integers, text and lengths of WSP headers.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::super::error::{DecodeError, EncodeError, one_line};
use super::FORMAT;

pub(super) fn write_uintvar(out: &mut Vec<u8>, n: u32) {
    for shift in [28, 21, 14, 7] {
        if n >> shift != 0 {
            out.push(u8::try_from(n >> shift & 0x7F).unwrap_or(0) | 0x80);
        }
    }
    out.push(u8::try_from(n & 0x7F).unwrap_or(0));
}

pub(super) fn write_integer(out: &mut Vec<u8>, n: u32) {
    if n < 0x80 {
        out.push(u8::try_from(n).unwrap_or(0) | 0x80);
        return;
    }
    let bytes = n.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
    out.push(u8::try_from(significant.len()).unwrap_or(4));
    out.extend_from_slice(&significant);
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    one_line(FORMAT, "text", text)?;
    if text.as_bytes().first().is_none_or(|b| *b >= 0x80) {
        out.push(0x7F);
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

/// A value, as its first octet says.
pub(super) enum Value {
    Integer(u32),
    Text(String),
    Other,
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn octet(&mut self) -> Result<u8, DecodeError> {
        let octet = self.bytes.get(self.at).filter(|_| self.at < self.end).copied();
        let octet = octet.ok_or(DecodeError::incomplete(FORMAT, self.at))?;
        self.at = self.at.saturating_add(1);
        Ok(octet)
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.end);
        let end = end.ok_or(DecodeError::incomplete(FORMAT, self.at))?;
        let slice = self.bytes.get(self.at..end).ok_or(DecodeError::incomplete(FORMAT, self.at))?;
        self.at = end;
        Ok(slice)
    }

    // threat: W2 (at most five octets and 32 bits)
    pub(super) fn uintvar(&mut self) -> Result<u32, DecodeError> {
        let start = self.at;
        let mut n: u32 = 0;
        for _ in 0..5 {
            let octet = self.octet()?;
            if n >> 25 != 0 {
                break;
            }
            n = n << 7 | u32::from(octet & 0x7F);
            if octet < 0x80 {
                return Ok(n);
            }
        }
        Err(DecodeError::malformed(FORMAT, start, "uintvar over 32 bits"))
    }

    /// The length in front of a value; the octets must be there.
    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let start = self.at;
        let n = match self.octet()? {
            31 => self.uintvar()? as usize,
            n @ 0..=30 => usize::from(n),
            _ => return Err(DecodeError::malformed(FORMAT, start, "value length")),
        };
        if self.end.saturating_sub(self.at) < n {
            return Err(DecodeError::incomplete(FORMAT, start));
        }
        Ok(n)
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let start = self.at;
        let rest = self.bytes.get(self.at..self.end).unwrap_or_default();
        let n = rest.iter().position(|b| *b == 0).ok_or(DecodeError::incomplete(FORMAT, start))?;
        let text = self.take(n)?;
        self.octet()?;
        let text = text.strip_prefix(&[0x7F]).unwrap_or(text);
        String::from_utf8(text.to_vec())
            .map_err(|_| DecodeError::malformed(FORMAT, start, "text is not UTF-8"))
    }

    pub(super) fn value(&mut self) -> Result<Value, DecodeError> {
        let first = self.bytes.get(self.at).filter(|_| self.at < self.end);
        match first.copied().ok_or(DecodeError::incomplete(FORMAT, self.at))? {
            n @ 0x80.. => {
                self.octet()?;
                Ok(Value::Integer(u32::from(n & 0x7F)))
            }
            0x20..=0x7F => self.text().map(Value::Text),
            _ => {
                let n = self.length()?;
                let bytes = self.take(n)?;
                if (1..=4).contains(&n) {
                    return Ok(Value::Integer(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))));
                }
                Ok(Value::Other)
            }
        }
    }
}
