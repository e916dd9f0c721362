//! What an object says, however it is spelled.

use super::line::{Line, Style, base64, lines};
use crate::sync::collection::match_key;
use crate::sync::store::MatchKey;

/// Lines of an object that is compared by its content; a larger one is compared by its text.
pub const CONTENT_LIMIT: usize = 20_000;
/// Components in components.
const DEPTH: usize = 8;

/// What each program writes anew, or what says only how the rest is written.
// spec: RFC 5545 §3.7, §3.8.7; RFC 6350 §6.7; vCard 2.1 §2.8
const VOLATILE: [&str; 11] = [
    "VERSION",
    "PRODID",
    "REV",
    "DTSTAMP",
    "CREATED",
    "DCREATED",
    "LAST-MODIFIED",
    "SEQUENCE",
    "METHOD",
    "CALSCALE",
    "UID",
];

/// Values that say the same as no property at all.
// spec: RFC 5545 §3.8.1.3, §3.8.1.9, §3.8.2.7, §3.8.1.8; vCalendar 1.0 §2.2.28
const DEFAULTS: [(&str, &str); 6] = [
    ("CLASS", "PUBLIC"),
    ("PRIORITY", "0"),
    ("TRANSP", "OPAQUE"),
    ("TRANSP", "0"),
    ("PERCENT-COMPLETE", "0"),
    ("KIND", "individual"),
];

/// The key of an object's content: equal for two spellings of the same object, different for different ones.
///
/// None if the text is not one whole object of at most [`CONTENT_LIMIT`] lines.
pub fn content_key(text: &[u8]) -> Option<MatchKey> {
    Some(Object::read(text)?.key)
}

/// What is known of an object.
pub(super) struct Object {
    pub(super) key: MatchKey,
    /// The first `UID`, if it has one.
    pub(super) uid: Option<Vec<u8>>,
    pub(super) style: Style,
    /// `VCARD` or `VCALENDAR`.
    pub(super) outer: Box<str>,
    /// The components in the outer one, except for time zones.
    pub(super) inner: Vec<Box<str>>,
    /// Its `VERSION`.
    pub(super) version: Box<str>,
}

/// A component that is open.
struct Open {
    name: Box<str>,
    parts: Vec<Vec<u8>>,
}

impl Object {
    /// Reads an object; none if it is not one.
    pub(super) fn read(text: &[u8]) -> Option<Object> {
        let style = Style::of(text);
        let mut stack: Vec<Open> = Vec::new();
        let (mut uid, mut inner) = (None, Vec::new());
        let mut version: Box<str> = Box::default();
        let mut whole: Option<(Box<str>, MatchKey)> = None;
        for line in lines(text, style, CONTENT_LIMIT)? {
            match &*line.name {
                "BEGIN" if whole.is_some() || stack.len() >= DEPTH => return None,
                "BEGIN" => {
                    let name = component_name(&line);
                    if stack.len() == 1 && &*name != "VTIMEZONE" {
                        inner.push(name.clone());
                    }
                    stack.push(Open { name, parts: Vec::new() });
                }
                "END" => {
                    let done = stack.pop().filter(|open| open.name == component_name(&line))?;
                    let (name, key) = (done.name.clone(), done.key());
                    match stack.last_mut() {
                        // A zone says how its producer writes a zone, its name is what counts.
                        Some(_) if &*name == "VTIMEZONE" => {}
                        Some(parent) => parent.parts.push(key.0.to_vec()),
                        None => whole = Some((name, key)),
                    }
                }
                name => {
                    let open = stack.last_mut()?;
                    if name == "UID" && uid.is_none() {
                        uid = Some(line.decoded().trim_ascii().to_vec()).filter(|uid| !uid.is_empty());
                    }
                    if name == "VERSION" && version.is_empty() {
                        version = String::from_utf8_lossy(line.value.trim_ascii()).into();
                    }
                    open.parts.extend(canonical(&line, style));
                }
            }
        }
        let (outer, key) = whole?;
        Some(Object { key, uid, style, outer, inner, version })
    }

    /// The keys that it is found by in a slow sync.
    pub(super) fn keys(&self) -> Vec<MatchKey> {
        let uid = self.uid.as_ref().map(|uid| match_key(&[b"uid", uid, &self.key.0]));
        uid.into_iter().chain([self.key]).collect()
    }
}

impl Open {
    /// The order of properties does not count.
    fn key(mut self) -> MatchKey {
        self.parts.sort_unstable();
        let parts: Vec<&[u8]> =
            [self.name.as_bytes()].into_iter().chain(self.parts.iter().map(Vec::as_slice)).collect();
        match_key(&parts)
    }
}

fn component_name(line: &Line) -> Box<str> {
    String::from_utf8_lossy(line.value.trim_ascii()).to_ascii_uppercase().into()
}

/// A property as it is compared; none if it says nothing.
fn canonical(line: &Line, style: Style) -> Option<Vec<u8>> {
    if VOLATILE.contains(&&*line.name) {
        return None;
    }
    let value = value(line, style);
    if value.is_empty() {
        return None;
    }
    let default = |(name, default): &(&str, &str)| {
        *line.name == **name && value.eq_ignore_ascii_case(default.as_bytes())
    };
    if DEFAULTS.iter().any(default) {
        return None;
    }
    let mut out = line.name.as_bytes().to_vec();
    for (name, value) in parameters(line) {
        out.extend_from_slice(b"\x1d");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\x1c");
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\x1e");
    out.extend_from_slice(&value);
    Some(out)
}

/// The parameters that say something of the value, in an order of their own.
fn parameters(line: &Line) -> Vec<(&str, String)> {
    let binary = is_binary(&line.name);
    let mut out: Vec<(&str, String)> = Vec::new();
    for param in &line.params {
        let value = param.value.to_ascii_lowercase();
        match &*param.name {
            "ENCODING" | "CHARSET" | "VALUE" | "MEDIATYPE" => {}
            "TYPE" if binary || is_default_type(&line.name, &value) => {}
            // spec: RFC 6350 §5.3
            "PREF" => out.push(("TYPE", "pref".into())),
            "TYPE" => out.push(("TYPE", value)),
            // Names of people and places are as they are written.
            name => out.push((name, param.value.to_string())),
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

fn is_binary(name: &str) -> bool {
    matches!(name, "PHOTO" | "LOGO" | "SOUND" | "KEY")
}

/// Types that are understood when none is given.
// spec: vCard 2.1 §2.3, §2.4; RFC 2426 §3.3.1, §3.3.2
fn is_default_type(property: &str, value: &str) -> bool {
    match property {
        "TEL" => value == "voice",
        "EMAIL" => value == "internet",
        "ADR" | "LABEL" => matches!(value, "intl" | "postal" | "parcel"),
        _ => false,
    }
}

/// A value as it is compared.
fn value(line: &Line, style: Style) -> Vec<u8> {
    let decoded = line.decoded();
    if is_binary(&line.name) {
        return data_uri(&decoded).unwrap_or_else(|| decoded.into_owned());
    }
    match &*line.name {
        "N" | "ADR" | "ORG" | "GEO" => fields(&decoded, style, b";"),
        // spec: vCalendar 1.0 separates by semicolons, iCalendar by commas; their order means nothing
        "CATEGORIES" | "RESOURCES" => {
            let mut names: Vec<Vec<u8>> = split(&decoded, style, b";,");
            names.retain(|name| !name.is_empty());
            names.sort_unstable();
            names.join(&0x1f)
        }
        "BDAY" | "ANNIVERSARY" => text(&decoded, style).into_iter().filter(|b| !b"-:".contains(b)).collect(),
        // spec: RFC 6350 §6.4.1
        "TEL" => {
            let number = text(&decoded, style);
            number.strip_prefix(b"tel:").map(<[u8]>::to_vec).unwrap_or(number)
        }
        _ => text(&decoded, style),
    }
}

/// The octets of `data:image/jpeg;base64,...`.
fn data_uri(value: &[u8]) -> Option<Vec<u8>> {
    let rest = value.strip_prefix(b"data:")?;
    let at = rest.windows(8).position(|window| window == b";base64,")?;
    base64(rest.get(at + 8..)?)
}

/// The fields of a structured value; empty ones at its end do not count.
fn fields(value: &[u8], style: Style, separators: &[u8]) -> Vec<u8> {
    let mut fields = split(value, style, separators);
    while fields.last().is_some_and(Vec::is_empty) {
        fields.pop();
    }
    fields.join(&0x1f)
}

/// The parts of a value between separators that are not escaped, each unescaped and without blanks around it.
fn split(value: &[u8], style: Style, separators: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    unescape(value, style, |byte, escaped| {
        if !escaped && separators.contains(&byte) {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(byte);
        }
    });
    parts.into_iter().map(|part| part.trim_ascii().to_vec()).collect()
}

/// A text without its escapes, one line end, no blanks at its end.
fn text(value: &[u8], style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    unescape(value, style, |byte, _| {
        if byte == b'\n' && out.last() == Some(&b'\r') {
            out.pop();
        }
        out.push(byte);
    });
    out.truncate(out.trim_ascii_end().len());
    out
}

pub(super) fn unescape(value: &[u8], style: Style, mut put: impl FnMut(u8, bool)) {
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'\\', Some(b'n' | b'N')) if style == Style::New => put(b'\n', true),
            (b'\\', Some(&next @ (b';' | b',' | b'\\' | b':'))) => put(next, true),
            _ => {
                put(byte, false);
                continue;
            }
        }
        rest = after.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//a//\r\nUID:1\r\nREV:2026-01-01T00:00:00Z\r\nN:M\u{fc}ller;\
                       Ann;;;\r\nFN:Ann M\u{fc}ller\r\nTEL;TYPE=WORK,VOICE:+49 1\r\nEMAIL;TYPE=INTERNET:a@example.org\r\n\
                       NOTE:a\\, b\\nc\r\nORG:;;\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAEC\r\nEND:VCARD\r\n";
    const OLD: &str = "begin:vcard\nversion:2.1\nphoto;jpeg;base64:\n AA\n EC\n\nnote;encoding=quoted-printable;charset=UTF-8:a=\n\
                       , b=0D=0Ac\nfn;charset=iso-8859-1;quoted-printable:Ann M=FCller\nemail:a@example.org\n\
                       n;charset=utf-8;quoted-printable:M=C3=BCller;Ann\ntel;work:+49 1\nend:vcard\n";

    #[test]
    fn one_card_in_two_versions() {
        assert_eq!(content_key(NEW.as_bytes()), content_key(OLD.as_bytes()));
        let four = NEW
            .replace("3.0", "4.0")
            .replace("TEL;TYPE=WORK,VOICE:", "TEL;VALUE=uri;TYPE=\"work\":tel:")
            .replace("PHOTO;ENCODING=b;TYPE=JPEG:", "PHOTO:data:image/jpeg;base64,");
        assert_eq!(content_key(NEW.as_bytes()), content_key(four.as_bytes()));
    }

    #[test]
    fn what_is_said_counts() {
        let key = content_key(NEW.as_bytes());
        for (from, to) in [
            ("Ann M", "Anne M"),
            ("WORK", "HOME"),
            ("+49 1", "+49 2"),
            ("a\\, b", "a\\; b"),
            ("AAEC", "AAED"),
            ("ORG:;;", "ORG:;x;"),
            (";Ann;;;", ";;Ann;;"),
            ("END:VCARD", "TITLE:x\r\nEND:VCARD"),
        ] {
            let other = NEW.replace(from, to);
            assert_ne!(other, NEW);
            assert_ne!(content_key(other.as_bytes()), key, "{from} -> {to}");
        }
        assert!(key.is_some());
    }

    #[test]
    fn a_calendar_with_its_alarm() {
        let event = |extra: &str, inner: &str| {
            format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{extra}BEGIN:VEVENT\r\nDTSTART:20260301T100000Z\r\n\
                 SUMMARY:s\r\n{inner}END:VEVENT\r\nEND:VCALENDAR\r\n"
            )
        };
        let alarm = "BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\n";
        let zone = "BEGIN:VTIMEZONE\r\nTZID:x\r\nEND:VTIMEZONE\r\n";
        let key = |text: String| content_key(text.as_bytes()).unwrap();
        let plain = key(event("", ""));
        assert_eq!(plain, key(event(zone, "CLASS:public\r\nPRIORITY:0\r\nDTSTAMP:20260101T000000Z\r\n")));
        assert_ne!(plain, key(event("", alarm)));
        assert_ne!(key(event("", alarm)), key(event("", &alarm.replace("5M", "6M"))));
        assert_eq!(
            key(event("", "CATEGORIES:b,a\r\n")),
            key(event("", "CATEGORIES:a,b\r\n").replace("VERSION:2.0", "X-A:\r\nVERSION:2.0"))
        );
    }

    #[test]
    fn threat_l1_what_is_no_object_has_no_content() {
        let deep = "BEGIN:A\n".repeat(50_000);
        for bad in ["", "hello", "BEGIN:VCARD\n", "BEGIN:VCARD\nEND:VCALENDAR\n", "END:VCARD", &deep] {
            assert_eq!(content_key(bad.as_bytes()), None);
        }
        let two = "BEGIN:VCARD\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD\n";
        assert_eq!(content_key(two.as_bytes()), None, "one object an item");
    }
}
