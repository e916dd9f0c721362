//! Content lines: unfolded, their head taken apart, their value decoded.

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use std::borrow::Cow;

/// One property of an object: `[GROUP.]NAME[;PARAM=VALUE]*:VALUE`.
///
/// # Spec
/// vCard 2.1 §2.1; RFC 2425 §5.8; RFC 6350 §3.3; RFC 5545 §3.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The group, as written; often empty.
    pub group: Box<str>,
    /// The name in upper case; empty if the line has no colon.
    pub name: Box<str>,
    /// The parameters in their order, one for each value.
    pub params: Vec<Param>,
    /// The value as written, unfolded.
    pub value: Vec<u8>,
}

/// One value of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// The name in upper case. A bare value of vCard 2.1 (`TEL;WORK:`) is a `TYPE`, or the `ENCODING` that it is.
    pub name: Box<str>,
    /// The value, quotes taken off.
    pub value: Box<str>,
}

/// How lines are folded and values escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// vCard 2.1 and vCalendar 1.0.
    Old,
    /// vCard 3.0 and 4.0, iCalendar.
    New,
}

impl Style {
    /// The style of an object, by its first `VERSION` of the old kind.
    pub(super) fn of(text: &[u8]) -> Style {
        let version = text.split(|&b| b == b'\n' || b == b'\r').find_map(|line| {
            let (name, value) = line.split_at_checked(b"VERSION:".len())?;
            name.eq_ignore_ascii_case(b"VERSION:").then(|| value.trim_ascii())
        });
        match version {
            Some(b"2.1" | b"1.0") => Style::Old,
            _ => Style::New,
        }
    }
}

/// The lines of an object, in order; at most `limit`, else none.
pub(super) fn lines(text: &[u8], style: Style, limit: usize) -> Option<Vec<Line>> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut out: Vec<Line> = Vec::new();
    let mut logical: Vec<u8> = Vec::new();
    // Of the first physical line only: looked for in all of them, a long line would cost its square.
    let mut coding = Coding::Plain;
    for physical in physical_lines(text) {
        if coding == Coding::QuotedPrintable && logical.last() == Some(&b'=') {
            logical.pop();
            logical.extend_from_slice(physical);
            continue;
        }
        let folded = matches!(physical.first(), Some(b' ' | b'\t'));
        if folded && !logical.is_empty() {
            // vCard 2.1 folds at a blank that stays; the newer formats add one.
            let keep = usize::from(style == Style::New || coding == Coding::Base64);
            logical.extend_from_slice(physical.get(keep..).unwrap_or_default());
            continue;
        }
        if !logical.is_empty() {
            out.push(Line::parse(&logical));
            if out.len() > limit {
                return None;
            }
            logical.clear();
        }
        logical.extend_from_slice(physical);
        coding = Coding::of(physical);
    }
    if !logical.is_empty() {
        out.push(Line::parse(&logical));
    }
    (out.len() <= limit).then_some(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    QuotedPrintable,
    Base64,
}

impl Coding {
    fn of(line: &[u8]) -> Self {
        let head = line.get(..colon(line).unwrap_or(0)).unwrap_or_default();
        if contains(head, b"QUOTED-PRINTABLE") {
            Coding::QuotedPrintable
        } else if contains(head, b"BASE64") {
            Coding::Base64
        } else {
            Coding::Plain
        }
    }
}

/// The physical lines; blank ones are empty.
fn physical_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').flat_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|&b| b == b'\r')
    })
}

fn contains(head: &[u8], word: &[u8]) -> bool {
    head.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// Where the first colon outside of quotes is.
fn colon(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    line.iter().position(|&b| {
        quoted ^= b == b'"';
        b == b':' && !quoted
    })
}

/// The parts of a head between separators outside of quotes.
fn split_quoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

impl Line {
    /// Takes an unfolded line apart.
    fn parse(line: &[u8]) -> Line {
        let Some(at) = colon(line) else {
            return Line {
                group: Box::default(),
                name: Box::default(),
                params: Vec::new(),
                value: line.to_vec(),
            };
        };
        let (head, value) = line.split_at(at);
        let head = String::from_utf8_lossy(head);
        let mut parts = split_quoted(&head, ';');
        let first = parts.next().unwrap_or_default().trim();
        let (group, name) = first.rsplit_once('.').unwrap_or(("", first));
        Line {
            group: group.into(),
            name: name.to_ascii_uppercase().into(),
            params: parts.flat_map(params).collect(),
            value: value.get(1..).unwrap_or_default().to_vec(),
        }
    }

    /// The values of a parameter.
    pub fn param<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.params.iter().filter(move |param| *param.name == *name).map(|param| &*param.value)
    }

    /// The value with its transfer encoding undone and its charset turned into UTF-8.
    ///
    /// A value that is not what its parameters say, or of a charset that is not known, stays as it is.
    pub fn decoded(&self) -> Cow<'_, [u8]> {
        let bytes: Cow<'_, [u8]> = match self.param("ENCODING").last() {
            Some(e) if e.eq_ignore_ascii_case("QUOTED-PRINTABLE") => quoted_printable(&self.value).into(),
            Some(e) if e.eq_ignore_ascii_case("BASE64") || e.eq_ignore_ascii_case("B") => {
                return base64(&self.value).map_or(Cow::Borrowed(&*self.value), Cow::Owned);
            }
            _ => Cow::Borrowed(&*self.value),
        };
        let latin = self.param("CHARSET").last().is_some_and(|charset| {
            ["ISO-8859-1", "LATIN1", "ISO8859-1"].iter().any(|name| name.eq_ignore_ascii_case(charset))
        });
        if latin && !bytes.is_ascii() {
            let text: String = bytes.iter().map(|&b| char::from(b)).collect();
            return text.into_bytes().into();
        }
        bytes
    }
}

/// The values of one `;NAME=VALUE,VALUE`.
fn params(part: &str) -> Vec<Param> {
    let (name, values) = match part.split_once('=') {
        Some((name, values)) => (name.trim().to_ascii_uppercase(), values),
        None => (String::new(), part),
    };
    let named = |value: &str| {
        let value = value.trim();
        let name = match (&*name, value) {
            ("", bare) if is_encoding(bare) => "ENCODING",
            ("", _) => "TYPE",
            (name, _) => name,
        };
        Param { name: name.into(), value: value.trim_matches('"').into() }
    };
    split_quoted(values, ',').filter(|value| !value.trim().is_empty()).map(named).collect()
}

fn is_encoding(word: &str) -> bool {
    ["QUOTED-PRINTABLE", "BASE64", "7BIT", "8BIT"].iter().any(|e| e.eq_ignore_ascii_case(word))
}

fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'='
            && let Some((&[high, low], after)) = after.split_first_chunk()
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            out.push((high << 4) | low);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let dense: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    ENGINE.decode(dense).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, style: Style) -> Line {
        let mut lines = lines(text.as_bytes(), style, 10).unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    fn param(name: &str, value: &str) -> Param {
        Param { name: name.into(), value: value.into() }
    }

    #[test]
    fn heads() {
        let line = one("item1.tel;work;Type=\"a,b;c\",cell;X-Y=1:+1:2", Style::New);
        assert_eq!((&*line.group, &*line.name, &*line.value), ("item1", "TEL", &b"+1:2"[..]));
        let expected =
            [param("TYPE", "work"), param("TYPE", "a,b;c"), param("TYPE", "cell"), param("X-Y", "1")];
        assert_eq!(line.params, expected);
        assert_eq!(one("no colon", Style::New).value, b"no colon");
    }

    #[test]
    fn folds_of_each_style() {
        assert_eq!(one("NOTE:a\r\n  b\n\tc", Style::New).value, b"a bc");
        assert_eq!(one("NOTE:a\r\n b", Style::Old).value, b"a b");
        let quoted = one("NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:a=C3=\r\n=A4=0D=0Ab=", Style::Old);
        assert_eq!(&*quoted.decoded(), "a\u{e4}\r\nb=".as_bytes());
        let photo = one("PHOTO;TYPE=JPEG;BASE64:\r\n AAEC\r\n AwQ=\r\n", Style::Old);
        assert_eq!(&*photo.decoded(), [0, 1, 2, 3, 4]);
        let latin = one("N;CHARSET=iso-8859-1;QUOTED-PRINTABLE:M=FCller", Style::Old);
        assert_eq!(&*latin.decoded(), "M\u{fc}ller".as_bytes());
    }

    #[test]
    fn the_style_is_in_the_version() {
        assert_eq!(Style::of(b"BEGIN:VCARD\r\nVersion:2.1\r\n"), Style::Old);
        assert_eq!(Style::of(b"BEGIN:VCALENDAR\nVERSION:1.0\n"), Style::Old);
        assert_eq!(Style::of(b"BEGIN:VCARD\nVERSION:3.0\n"), Style::New);
        assert_eq!(Style::of(b""), Style::New);
    }

    #[test]
    fn threat_l3_lines_are_counted() {
        assert_eq!(lines(&b"A:1\n".repeat(11), Style::New, 10), None);
        assert_eq!(lines(&b"A:1\n".repeat(10), Style::New, 10).map(|l| l.len()), Some(10));
    }
}
