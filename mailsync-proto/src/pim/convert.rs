//! An object in another version of its format, for a peer that knows no other.

use super::canon::{CONTENT_LIMIT, Object, unescape};
use super::line::{Line, Param, Style, base64, lines};
use super::profile::Format;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The format of an object.
pub(super) fn format_of(object: &Object) -> Option<Format> {
    match (&*object.outer, object.style, &*object.version) {
        ("VCARD", Style::Old, _) => Some(Format::VCard21),
        ("VCARD", Style::New, "4.0") => Some(Format::VCard40),
        ("VCARD", Style::New, _) => Some(Format::VCard30),
        ("VCALENDAR", Style::Old, _) => Some(Format::VCalendar10),
        ("VCALENDAR", Style::New, _) => Some(Format::ICalendar20),
        _ => None,
    }
}

/// The object in a format; none if it is no object, or if that format cannot say what it says.
///
/// vCards go between 2.1, 3.0 and 4.0 whole. Between vCalendar and iCalendar go events and tasks without recurrence,
/// time zones and exceptions, whose rules the two write differently; alarms stay behind.
pub fn convert(text: &[u8], to: Format) -> Option<Vec<u8>> {
    let object = Object::read(text)?;
    let from = format_of(&object)?;
    if from == to {
        return Some(text.to_vec());
    }
    let card = |format| matches!(format, Format::VCard21 | Format::VCard30 | Format::VCard40);
    if card(from) != card(to) {
        return None;
    }
    let style = if matches!(to, Format::VCard21 | Format::VCalendar10) { Style::Old } else { Style::New };
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    let mut skipping: Option<Box<str>> = None;
    for line in lines(text, object.style, CONTENT_LIMIT)? {
        let component = String::from_utf8_lossy(line.value.trim_ascii()).to_ascii_uppercase();
        match (&skipping, &*line.name) {
            (Some(name), "END") if **name == *component => skipping = None,
            (Some(_), _) => {}
            (None, "BEGIN") if matches!(&*component, "VALARM" | "VTIMEZONE") => {
                skipping = Some(component.into());
            }
            (None, "BEGIN" | "END") => write_line(&mut out, &format!("{}:{component}", line.name)),
            (None, "VERSION") => write_line(&mut out, &format!("VERSION:{}", to.version())),
            (None, _) if card(from) => write(&mut out, &card_line(line, object.style), to, style),
            (None, name) if cannot_cross(name, &line) => return None,
            (None, "AALARM" | "DALARM" | "PALARM" | "MALARM") => {}
            (None, _) => write(&mut out, &calendar_line(line, object.style, style), to, style),
        }
    }
    Some(out)
}

/// The object with a `UID` put at its end, or at the end of its only component.
pub(super) fn with_uid(text: &[u8], uid: &[u8]) -> Option<Vec<u8>> {
    let object = Object::read(text)?;
    let end = match (&*object.outer, &*object.inner) {
        ("VCARD", _) => "VCARD".to_owned(),
        ("VCALENDAR", [one]) => one.to_string(),
        _ => return None,
    };
    if uid.iter().any(|b| b.is_ascii_control()) {
        return None;
    }
    let mut at = 0;
    let end = format!("END:{end}");
    for line in text.split_inclusive(|&b| b == b'\n') {
        if line.trim_ascii().eq_ignore_ascii_case(end.as_bytes()) {
            let (before, after) = text.split_at_checked(at)?;
            let line_end: &[u8] = if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
            return Some([before, b"UID:", uid, line_end, after].concat());
        }
        at += line.len();
    }
    None
}

/// A property whose value is known apart from its spelling.
struct Said {
    group: Box<str>,
    name: Box<str>,
    params: Vec<Param>,
    value: Value,
}

enum Value {
    /// Octets of a picture or a sound.
    Binary(Vec<u8>),
    /// Parts between semicolons, each a text.
    Fields(Vec<Vec<u8>>),
    /// A list of texts.
    List(Vec<Vec<u8>>),
    Text(Vec<u8>),
    /// A date, a URI, a number: nothing is escaped in it.
    Plain(Vec<u8>),
}

fn card_line(line: Line, style: Style) -> Said {
    let decoded = line.decoded().into_owned();
    let value = match &*line.name {
        "PHOTO" | "LOGO" | "SOUND" | "KEY" => binary(&line, decoded),
        "N" | "ADR" | "ORG" | "GEO" => Value::Fields(split(&decoded, style, b';')),
        "CATEGORIES" | "NICKNAME" => Value::List(split(&decoded, style, b',')),
        "BDAY" | "ANNIVERSARY" | "REV" | "URL" | "TZ" | "UID" | "MAILER" => Value::Plain(decoded),
        // spec: RFC 6350 §6.4.1
        "TEL" => match decoded.strip_prefix(b"tel:") {
            Some(number) => Value::Text(number.to_vec()),
            None => Value::Text(text(&decoded, style)),
        },
        _ => Value::Text(text(&decoded, style)),
    };
    said(line, value)
}

/// What iCalendar and vCalendar write so differently that half of it would be lost.
fn cannot_cross(name: &str, line: &Line) -> bool {
    matches!(name, "RRULE" | "EXRULE" | "RDATE" | "EXDATE" | "RECURRENCE-ID" | "DURATION" | "TZ" | "DAYLIGHT")
        || line.params.iter().any(|param| &*param.name == "TZID")
}

fn calendar_line(line: Line, from: Style, to: Style) -> Said {
    let decoded = line.decoded().into_owned();
    let value = match &*line.name {
        "SUMMARY" | "DESCRIPTION" | "LOCATION" | "CONTACT" | "COMMENT" => Value::Text(text(&decoded, from)),
        // spec: vCalendar 1.0 separates by semicolons, iCalendar by commas
        "CATEGORIES" | "RESOURCES" => {
            Value::List(split(&decoded, from, if from == Style::Old { b';' } else { b',' }))
        }
        "TRANSP" => {
            let opaque = matches!(&*decoded, b"0" | b"OPAQUE");
            Value::Plain(match (to, opaque) {
                (Style::Old, true) => b"0".into(),
                (Style::Old, false) => b"1".into(),
                (Style::New, true) => b"OPAQUE".into(),
                (Style::New, false) => b"TRANSPARENT".into(),
            })
        }
        "STATUS" => Value::Plain(match (to, &*decoded) {
            (Style::Old, b"NEEDS-ACTION") => b"NEEDS ACTION".into(),
            (Style::New, b"NEEDS ACTION") => b"NEEDS-ACTION".into(),
            _ => decoded,
        }),
        _ => Value::Plain(decoded),
    };
    said(line, value)
}

fn said(line: Line, value: Value) -> Said {
    let spelling = |name: &str| matches!(name, "ENCODING" | "CHARSET" | "MEDIATYPE");
    let mut params = line.params;
    params.retain(|param| !spelling(&param.name));
    if !matches!(value, Value::Plain(_)) {
        params.retain(|param| &*param.name != "VALUE");
    }
    for param in params.iter_mut().filter(|param| &*param.name == "PREF") {
        *param = Param { name: "TYPE".into(), value: "PREF".into() };
    }
    Said { group: line.group, name: line.name, params, value }
}

fn binary(line: &Line, decoded: Vec<u8>) -> Value {
    let is_data = line.param("ENCODING").any(|e| matches!(&*e.to_ascii_uppercase(), "B" | "BASE64"));
    if is_data {
        return Value::Binary(decoded);
    }
    let embedded = || {
        let rest = decoded.strip_prefix(b"data:")?;
        let at = rest.windows(8).position(|window| window == b";base64,")?;
        base64(rest.get(at + 8..)?)
    };
    match embedded() {
        Some(octets) => Value::Binary(octets),
        None => Value::Plain(decoded),
    }
}

fn text(value: &[u8], style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    unescape(value, style, |byte, _| out.push(byte));
    out
}

fn split(value: &[u8], style: Style, separator: u8) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    unescape(value, style, |byte, escaped| match parts.last_mut() {
        Some(part) if escaped || byte != separator => part.push(byte),
        _ => parts.push(Vec::new()),
    });
    parts
}

fn escape(text: &[u8], style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\r' if style == Style::New && after.first() == Some(&b'\n') => {}
            b'\n' if style == Style::New => out.extend_from_slice(b"\\n"),
            b'\\' | b',' if style == Style::New => out.extend_from_slice(&[b'\\', byte]),
            b';' => out.extend_from_slice(b"\\;"),
            _ => old_octet(&mut out, byte, after, style),
        }
    }
    out
}

/// vCard 2.1 escapes nothing in a text; but a backslash before what others escape would be read as an escape.
fn old_octet(out: &mut Vec<u8>, byte: u8, after: &[u8], style: Style) {
    out.push(byte);
    if byte == b'\\' && style == Style::Old && matches!(after.first(), Some(b';' | b',' | b'\\' | b':')) {
        out.push(byte);
    }
}

fn old_text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        old_octet(&mut out, byte, after, Style::Old);
    }
    out
}

fn write(out: &mut Vec<u8>, said: &Said, to: Format, style: Style) {
    let mut head = String::new();
    if !said.group.is_empty() {
        head.push_str(&said.group);
        head.push('.');
    }
    head.push_str(&said.name);
    for param in &said.params {
        match (&*param.name, style) {
            ("TYPE", Style::Old) => head.push_str(&format!(";{}", param.value.to_ascii_uppercase())),
            (name, _) if param.value.contains([',', ';', ':']) => {
                head.push_str(&format!(";{name}=\"{}\"", param.value));
            }
            (name, _) => head.push_str(&format!(";{name}={}", param.value)),
        }
    }
    let join = |parts: &[Vec<u8>], separator: u8| {
        let escaped: Vec<Vec<u8>> = parts.iter().map(|part| escape(part, style)).collect();
        escaped.join(&separator)
    };
    let list = if to == Format::VCalendar10 { b';' } else { b',' };
    let value = match &said.value {
        Value::Binary(octets) => {
            let coded = STANDARD.encode(octets);
            return match (style, to) {
                (Style::Old, _) => {
                    fold_old(out, &format!("{head};ENCODING=BASE64:"), coded.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                (_, Format::VCard40) => {
                    fold(out, format!("{head}:data:application/octet-stream;base64,{coded}").as_bytes());
                }
                _ => fold(out, format!("{head};ENCODING=b:{coded}").as_bytes()),
            };
        }
        Value::Fields(parts) => join(parts, b';'),
        Value::List(parts) => join(parts, list),
        Value::Text(text) if style == Style::Old => old_text(text),
        Value::Text(text) => escape(text, style),
        Value::Plain(value) => value.clone(),
    };
    let plain = value.iter().all(|b| (b' '..=b'~').contains(b) || *b == b'\t');
    if style == Style::Old && !plain {
        let head = format!("{head};CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:");
        quoted_printable(out, &head, &value);
    } else if style == Style::Old {
        // Unfolded: phones of vCard 2.1 do not agree where a fold may be.
        write_line(out, &format!("{head}:{}", String::from_utf8_lossy(&value)));
    } else {
        fold(out, &[head.as_bytes(), b":", &value].concat());
    }
}

fn write_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Octets of a folded line.
// spec: RFC 5545 §3.1
const FOLD: usize = 75;

/// A line folded between characters.
fn fold(out: &mut Vec<u8>, line: &[u8]) {
    let mut width = 0;
    for (at, &byte) in line.iter().enumerate() {
        let starts = byte & 0xC0 != 0x80;
        let rest = line.get(at..).unwrap_or_default();
        let length = 1 + rest.iter().skip(1).take_while(|&&b| b & 0xC0 == 0x80).count().min(3);
        if starts && width + length > FOLD {
            out.extend_from_slice(b"\r\n ");
            width = 1;
        }
        out.push(byte);
        width += 1;
    }
    out.extend_from_slice(b"\r\n");
}

fn fold_old(out: &mut Vec<u8>, head: &str, coded: &[u8]) {
    out.extend_from_slice(head.as_bytes());
    for chunk in coded.chunks(72) {
        out.extend_from_slice(b"\r\n ");
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(b"\r\n");
}

fn quoted_printable(out: &mut Vec<u8>, head: &str, value: &[u8]) {
    out.extend_from_slice(head.as_bytes());
    let mut width = head.len();
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let mut put = |coded: &[u8]| {
            if width + coded.len() > FOLD {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            out.extend_from_slice(coded);
            width += coded.len();
        };
        match byte {
            b'\n' => put(b"=0D=0A"),
            b'\r' if after.first() == Some(&b'\n') => {}
            b' ' if !after.is_empty() => put(b" "),
            b'!'..=b'~' if byte != b'=' => put(&[byte]),
            _ => put(format!("={byte:02X}").as_bytes()),
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::canon::content_key;
    use super::*;

    fn again(text: &str, formats: &[Format]) -> Vec<Vec<u8>> {
        let whole = |&format: &Format| {
            let converted = convert(text.as_bytes(), format).unwrap();
            let shown = String::from_utf8_lossy(&converted).into_owned();
            assert_eq!(content_key(&converted), content_key(text.as_bytes()), "{format:?}:\n{shown}");
            assert_eq!(format_of(&Object::read(&converted).unwrap()), Some(format));
            converted
        };
        formats.iter().map(whole).collect()
    }

    const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nN:M\u{fc}ller\\;x;Ann;;;\r\nFN:Ann\r\n\
                        item1.TEL;TYPE=WORK;TYPE=CELL:+49 1\r\nNOTE:a\\, b\\nc\\; \\\\ =d\r\n\
                        PHOTO;ENCODING=b;TYPE=JPEG:AAECAwQFBgcICQoLDA0ODw==\r\nCATEGORIES:b,a\r\nURL:http://x/?a,b;c\r\n\
                        BDAY:1990-01-02\r\nEND:VCARD\r\n";

    #[test]
    fn cards_say_the_same_in_every_version() {
        for start in again(CARD, &[Format::VCard21, Format::VCard30, Format::VCard40]) {
            let text = String::from_utf8(start).unwrap();
            assert!(text.is_ascii() || !text.contains("VERSION:2.1"), "2.1 goes as ASCII:\n{text}");
            again(&text, &[Format::VCard21, Format::VCard30, Format::VCard40]);
        }
        let long = CARD.replace("FN:Ann", &format!("FN:{}", "\u{e4}\u{4f60} ".repeat(60)));
        for converted in again(&long, &[Format::VCard21, Format::VCard40]) {
            assert!(converted.split(|&b| b == b'\n').all(|line| line.len() <= 80));
        }
    }

    const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:e@x\r\nDTSTART:20260301T100000Z\r\n\
                         SUMMARY:caf\u{e9}\\, two\r\nCATEGORIES:b,a\r\nTRANSP:OPAQUE\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn calendars_cross_where_both_say_the_same() {
        for start in again(EVENT, &[Format::VCalendar10, Format::ICalendar20]) {
            again(&String::from_utf8(start).unwrap(), &[Format::VCalendar10, Format::ICalendar20]);
        }
        for rule in ["RRULE:FREQ=DAILY", "DTEND;TZID=Europe/Berlin:20260301T120000", "DURATION:PT1H"] {
            let text = EVENT.replace("CATEGORIES:b,a", rule);
            assert_eq!(convert(text.as_bytes(), Format::VCalendar10), None, "{rule}");
        }
        assert_eq!(convert(EVENT.as_bytes(), Format::VCard30), None);
    }

    #[test]
    fn a_uid_is_put_where_it_belongs() {
        let card = with_uid(b"BEGIN:VCARD\nVERSION:3.0\nFN:a\nEND:VCARD\n", b"1").unwrap();
        assert_eq!(card, b"BEGIN:VCARD\nVERSION:3.0\nFN:a\nUID:1\nEND:VCARD\n");
        let event = with_uid(EVENT.replace("UID:e@x\r\n", "").as_bytes(), b"e@x").unwrap();
        assert_eq!(Object::read(&event).unwrap().uid.as_deref(), Some(&b"e@x"[..]));
        assert_eq!(with_uid(b"BEGIN:VCARD\nEND:VCARD\n", b"a\nEND:VCARD"), None);
    }
}
