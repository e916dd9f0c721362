//! Content lines: unfolding, parameters, escapes, base64.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::refusal::{IcalRefusal, MAX_LINES, Problem};

/// One property: name, parameters, value, as written.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) params: Vec<(&'a str, &'a str)>,
    pub(super) value: &'a str,
}

/// Joins folded lines; drops empty ones.
pub(super) fn unfold(text: &str) -> Result<Vec<String>, IcalRefusal> {
    let mut lines: Vec<String> = Vec::new();
    for raw in text.split('\n') {
        let raw = raw.strip_suffix('\r').unwrap_or(raw);
        if let Some(more) = raw.strip_prefix(' ').or_else(|| raw.strip_prefix('\t')) {
            lines.last_mut().ok_or(IcalRefusal::Line { number: 1, problem: Problem::Syntax })?.push_str(more);
        } else if !raw.is_empty() {
            if lines.len() >= MAX_LINES {
                return Err(IcalRefusal::TooLarge);
            }
            lines.push(raw.into());
        }
    }
    Ok(lines)
}

/// `NAME;PARAM=value;PARAM="quoted":value`.
pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    let mut quoted = false;
    let mut cuts: Vec<usize> = Vec::new();
    let mut colon = None;
    for (at, octet) in line.bytes().enumerate() {
        match octet {
            b'"' => quoted = !quoted,
            b';' if !quoted => cuts.push(at),
            b':' if !quoted => {
                colon = Some(at);
                break;
            }
            _ => {}
        }
    }
    let colon = colon?;
    let mut parts: Vec<&str> = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([colon]) {
        parts.push(line.get(from..cut)?);
        from = cut.saturating_add(1);
    }
    let (name, params) = parts.split_first()?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if name.is_empty() || !name.bytes().all(legal) || params.len() > 32 {
        return None;
    }
    let params = params.iter().map(|part| part.split_once('=').map(|(k, v)| (k, v.trim_matches('"'))));
    Some(Line { name, params: params.collect::<Option<_>>()?, value: line.get(from..)? })
}

/// The value of a parameter: in quotes where it needs them; a quote itself has no spelling.
// spec: RFC 5545 §3.2
pub(super) fn parameter(value: &str) -> Cow<'_, str> {
    if value.contains([':', ';', ',', '"']) {
        Cow::Owned(format!("\"{}\"", value.replace('"', "")))
    } else {
        Cow::Borrowed(value)
    }
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

pub(super) struct Writer(pub(super) String);

impl Writer {
    /// One content line, folded so that no line is over 75 octets and no character is cut.
    // spec: RFC 5545 §3.1
    pub(super) fn line(&mut self, text: &str) {
        let mut used = 0_usize;
        // Whatever a value holds, it ends no line.
        for c in text.chars().filter(|c| *c == '\t' || !c.is_control()) {
            if used.saturating_add(c.len_utf8()) > 75 {
                self.0.push_str("\r\n ");
                used = 1;
            }
            self.0.push(c);
            used = used.saturating_add(c.len_utf8());
        }
        self.0.push_str("\r\n");
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(4).div_ceil(3));
    for chunk in bytes.chunks(3) {
        let mut word = 0_u32;
        for i in 0..3 {
            word = (word << 8) | u32::from(chunk.get(i).copied().unwrap_or(0));
        }
        for i in 0..4_usize {
            let index = (word >> (18_usize.saturating_sub(i.saturating_mul(6)))) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len().saturating_sub(body.len()) > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    let (mut word, mut bits) = (0_u32, 0_u32);
    for octet in body.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == octet)?;
        word = ((word << 6) | u32::try_from(value).ok()?) & 0xffff;
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            out.push((word >> bits) as u8);
        }
    }
    Some(out)
}
