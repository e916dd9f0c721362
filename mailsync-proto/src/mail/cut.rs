//! A mail in part: what a peer wants of it, what it gets, and what it is told of the rest.
//!
//! What is sent is the message with some of its octets left out, nothing else: the parts that were cut and the rest,
//! put together again, are the original ([`rejoin`]).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::headers::Headers;
use super::mime::{self, Kind, PARTS, Part};
use crate::sync::filter::cgi::PARENT;
use bytes::Bytes;
use core::ops::Range;
use idmap::Guid;
use syncml::{DataStore, Ext, PropParam, Property};

/// The property of a field filter that says how much of a mail is wanted.
pub const PROPERTY: &str = "emailitem";
const TEXT: &str = "texttype";
const ATTACHMENTS: &str = "attachtype";
/// `XNam`s that say what was left out.
// spec: e-mail facts §2, vendor extensions
const SIZE: &str = "x-funambol-size";
const BODY: &str = "x-funambol-body";
const COUNT: &str = "x-funambol-attach-n";
const PART: &str = "x-funambol-attach";
/// A parameter of ours, in a filter that stays here: the device takes no more, whatever it wants.
const DEVICE: &str = "x-mailsync-device";

/// Whether a property of a field filter says what a device takes, and not what it wants.
pub(super) fn is_of_device(field: &Property) -> bool {
    field.params.iter().any(|param| &*param.param_name == DEVICE)
}

/// A property of a field filter; one that names the message asks for no more than a device takes, wherever it is for.
pub(super) fn narrowed(field: &Property, device: &Wanted) -> Property {
    if !field.prop_name.trim().eq_ignore_ascii_case(PROPERTY) {
        return field.clone();
    }
    let was = Wanted::of_property(field);
    let wanted = was.clone().within(device);
    if wanted == was {
        return field.clone();
    }
    let mut property = wanted.to_property();
    let mut why = PropParam::default();
    why.param_name = DEVICE.into();
    property.params.push(why);
    let place = field.params.iter().filter(|param| &*param.param_name == PARENT);
    property.params.extend(place.cloned());
    property
}

/// Attachments that are named.
// spec: threats, default limits
const NAMED: usize = 100;

/// What a peer wants of a mail.
///
/// # Spec
/// OMA DS field filter; e-mail facts §7: the property alone is the header, `texttype` adds text, `attachtype` adds
/// attachments (only of the types in its `ValEnum`, where it has any), `MaxSize` is for all of it, in octets.
// mission: M2a, M2b, M2c, M2d
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// The text, beside the header.
    pub text: bool,
    /// Attachments, too.
    pub attachments: bool,
    /// Only attachments of these types; `image/*` is all of a kind, `part/2` is the one of that number. Empty: any.
    pub types: Vec<Box<str>>,
    /// Octets of what is sent, at most; the header goes in any case.
    pub max: Option<u64>,
}

impl Wanted {
    /// All of it.
    pub const WHOLE: Wanted = Wanted { text: true, attachments: true, types: Vec::new(), max: None };
    /// The header alone.
    pub const HEADER: Wanted = Wanted { text: false, attachments: false, types: Vec::new(), max: None };

    /// Reads a field filter; one that does not name the message wants the header.
    pub fn of(fields: &[Property]) -> Self {
        Wanted::of_in(fields, None)
    }

    /// As [`Wanted::of`], of a mail in this folder: a property that names it is over the one that names none.
    pub fn of_in(fields: &[Property], folder: Option<&Guid>) -> Self {
        let mut items = fields.iter().filter(|field| field.prop_name.trim().eq_ignore_ascii_case(PROPERTY));
        let places =
            |field: &&Property| field.params.iter().find(|param| &*param.param_name == PARENT).cloned();
        let is_here = |field: &&Property| {
            let names = |place: PropParam| {
                place.val_enum.iter().any(|name| folder.is_some_and(|f| f.as_str() == &**name))
            };
            places(field).is_some_and(names)
        };
        let item = items.clone().find(is_here).or_else(|| items.find(|field| places(field).is_none()));
        item.map_or(Wanted::HEADER, Wanted::of_property)
    }

    /// Reads the property that names the message.
    pub(super) fn of_property(item: &Property) -> Self {
        let has =
            |name: &str| item.params.iter().find(|param| param.param_name.trim().eq_ignore_ascii_case(name));
        let attachments = has(ATTACHMENTS);
        Wanted {
            text: has(TEXT).is_some() || attachments.is_some(),
            attachments: attachments.is_some(),
            types: attachments.map(|param| param.val_enum.clone()).unwrap_or_default(),
            max: item.max_size,
        }
    }

    /// What a device takes, by what it says of its datastore: the `MaxSize` of `emailitem` (0: the header alone) and its
    /// `texttype` and `attachtype`, as in a filter, where it has any of them; `MaxMem` of `DSMem`.
    // mission: M11; spec: e-mail facts §7, §10
    pub fn of_device(theirs: &DataStore, media_type: &str) -> Self {
        let mut wanted = Wanted::WHOLE;
        let cap = theirs.ct_caps.iter().find(|cap| cap.ct_type.ct_type.eq_ignore_ascii_case(media_type));
        let properties = cap.map(|cap| &cap.properties[..]).unwrap_or_default();
        let is_item = |property: &&Property| property.prop_name.trim().eq_ignore_ascii_case(PROPERTY);
        if let Some(item) = properties.iter().find(is_item) {
            let said = Wanted::of(core::slice::from_ref(item));
            // Without a word of either it says only that there are messages.
            if said.text {
                wanted = said;
            }
            wanted.max = item.max_size;
        }
        let memory = theirs.ds_mem.as_ref().and_then(|mem| mem.max_mem).filter(|max| *max > 0);
        wanted.max = least(wanted.max, memory);
        wanted
    }

    /// What is wanted, and is no more than another.
    #[must_use]
    pub fn within(self, other: &Wanted) -> Self {
        let attachments = self.attachments && other.attachments;
        let types = match (&self.types[..], &other.types[..]) {
            (types, []) | ([], types) => types.to_vec(),
            // Those that both take; where none is left nothing is taken.
            (ours, theirs) => ours.iter().filter(|kind| theirs.contains(kind)).cloned().collect(),
        };
        let none = types.is_empty() && !self.types.is_empty() && !other.types.is_empty();
        Wanted {
            text: self.text && other.text,
            attachments: attachments && !none,
            types: if attachments { types } else { Vec::new() },
            max: least(self.max, other.max),
        }
    }

    /// As a property of a field filter, of mail in these folders only.
    pub(super) fn to_property_in(&self, folders: &[Guid]) -> Property {
        let mut property = self.to_property();
        let mut place = PropParam::default();
        place.param_name = PARENT.into();
        place.val_enum = folders.iter().map(|folder| folder.as_str().into()).collect();
        property.params.push(place);
        property
    }

    /// As a property of a field filter.
    pub fn to_property(&self) -> Property {
        let mut property = Property::default();
        property.prop_name = PROPERTY.into();
        property.max_size = self.max;
        for (name, wanted, types) in
            [(TEXT, self.text, &[][..]), (ATTACHMENTS, self.attachments, &self.types[..])]
        {
            if wanted {
                let mut param = PropParam::default();
                param.param_name = name.into();
                param.val_enum = types.to_vec();
                property.params.push(param);
            }
        }
        property
    }

    fn takes(&self, part: &LeftPart) -> bool {
        let media_type = &*part.media_type;
        self.attachments
            && (self.types.is_empty()
                || self.types.iter().any(|wanted| match wanted.strip_suffix("/*") {
                    Some(kind) => {
                        media_type.split_once('/').is_some_and(|(main, _)| main.eq_ignore_ascii_case(kind))
                    }
                    None => {
                        wanted.eq_ignore_ascii_case(media_type)
                            || wanted.strip_prefix("part/").and_then(|n| n.parse().ok()) == Some(part.number)
                    }
                }))
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}

/// A mail without what is not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What is left of the message.
    pub message: Bytes,
    /// What was left out.
    pub left: Left,
    /// Where it was in the original, in order.
    pub ranges: Vec<Range<usize>>,
}

/// What was left out of a mail.
// mission: M2f
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Octets of the whole mail.
    pub size: u64,
    /// Octets of text that are not there.
    pub body: u64,
    /// Attachments whose content is not there.
    pub attachments: Vec<LeftPart>,
}

/// An attachment that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftPart {
    /// Its number, by which it can be asked for.
    pub number: u32,
    /// Its name.
    pub name: Box<str>,
    /// Octets, as the mail has it.
    pub size: u64,
    /// Its media type.
    pub media_type: Box<str>,
}

impl Left {
    /// Whether anything is missing.
    pub fn is_partial(&self) -> bool {
        self.body > 0 || !self.attachments.is_empty()
    }

    /// As extensions of the e-mail object.
    pub fn to_ext(&self) -> Vec<Ext> {
        let ext = |name: &str, values: Vec<String>| Ext {
            xnam: name.into(),
            xval: values.into_iter().map(Into::into).collect(),
        };
        let mut all = vec![ext(SIZE, vec![self.size.to_string()])];
        if self.body > 0 {
            all.push(ext(BODY, vec![self.body.to_string()]));
        }
        if !self.attachments.is_empty() {
            all.push(ext(COUNT, vec![self.attachments.len().to_string()]));
        }
        for part in self.attachments.iter().take(NAMED) {
            let name = part.name.chars().filter(|c| !c.is_control()).take(120).collect();
            let number = format!("part/{}", part.number);
            all.push(ext(PART, vec![name, part.size.to_string(), part.media_type.to_string(), number]));
        }
        all
    }

    /// Reads the extensions of an object; none where nothing is missing.
    pub fn of(ext: &[Ext]) -> Option<Self> {
        let value =
            |ext: &Ext, at: usize| ext.xval.get(at).map(|value| value.trim().to_owned()).unwrap_or_default();
        let mut left = Left::default();
        let mut counted = 0usize;
        for ext in ext {
            let first = value(ext, 0).parse::<u64>().unwrap_or(0);
            match ext.xnam.to_ascii_lowercase().as_str() {
                SIZE => left.size = first,
                BODY => left.body = first,
                COUNT => counted = usize::try_from(first).unwrap_or(0).min(PARTS),
                PART if left.attachments.len() < NAMED => left.attachments.push(LeftPart {
                    number: value(ext, 3).strip_prefix("part/").and_then(|n| n.parse().ok()).unwrap_or(0),
                    name: value(ext, 0).into(),
                    size: value(ext, 1).parse().unwrap_or(0),
                    media_type: value(ext, 2).into(),
                }),
                _ => {}
            }
        }
        while left.attachments.len() < counted.min(NAMED) {
            left.attachments.push(LeftPart { number: 0, name: "".into(), size: 0, media_type: "".into() });
        }
        left.is_partial().then_some(left)
    }

    /// Whether an extension is one of these.
    pub fn is_ext(name: &str) -> bool {
        [SIZE, BODY, COUNT, PART].iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Cuts a mail to what is wanted.
// threats: M4
pub fn cut(message: &Bytes, wanted: &Wanted) -> Cut {
    let end = message.len();
    let header = Headers::parse(message).body.min(end);
    let whole = |message: &Bytes| Cut {
        message: message.clone(),
        left: Left { size: end as u64, ..Left::default() },
        ranges: Vec::new(),
    };
    if *wanted == Wanted::WHOLE {
        return whole(message);
    }
    let parts = attachments(message);
    let mut out: Vec<(Range<usize>, LeftPart)> = Vec::new();
    let mut held: Vec<(Range<usize>, LeftPart)> = Vec::new();
    let mut text_cut = header..header;
    match parts {
        Some(parts) if wanted.text => {
            for part in parts {
                let list = if wanted.takes(&part.1) { &mut held } else { &mut out };
                list.push(part);
            }
        }
        // Nothing but the header, or more parts than are looked at.
        parts => {
            out = parts.unwrap_or_default();
            text_cut = header..end;
        }
    }
    if let Some(max) = wanted.max {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(header);
        let sum =
            |list: &[(Range<usize>, LeftPart)]| list.iter().map(|(range, _)| range.len()).sum::<usize>();
        let mut kept = end.saturating_sub(sum(&out)).saturating_sub(text_cut.len());
        // The largest attachment goes first: most of the others may stay.
        held.sort_by_key(|(range, _)| range.len());
        while text_cut.is_empty()
            && kept > max
            && let Some(part) = held.pop()
        {
            kept = kept.saturating_sub(part.0.len());
            out.push(part);
        }
        if text_cut.is_empty() && kept > max {
            text_cut = tail(message, header, max, &out)..end;
        }
    }
    out.sort_by_key(|(range, _)| range.start);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for range in out.iter().map(|(range, _)| range.clone()).chain([text_cut.clone()]) {
        if !range.is_empty() {
            ranges.push(range);
        }
    }
    let ranges = merged(ranges);
    if ranges.is_empty() {
        return whole(message);
    }
    let mut kept = Vec::with_capacity(end);
    let mut from = 0usize;
    for range in &ranges {
        kept.extend_from_slice(message.get(from..range.start).unwrap_or_default());
        from = range.end;
    }
    kept.extend_from_slice(message.get(from..).unwrap_or_default());
    let missing = end.saturating_sub(kept.len());
    let in_parts: usize = out.iter().map(|(range, _)| range.len()).sum();
    let attachments: Vec<LeftPart> = out.into_iter().map(|(_, part)| part).collect();
    let left = Left { size: end as u64, body: missing.saturating_sub(in_parts) as u64, attachments };
    Cut { message: kept.into(), left, ranges }
}

/// Puts a cut mail and what was cut from it together again.
pub fn rejoin<'a>(
    cut: &[u8],
    ranges: &[Range<usize>],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(cut.len());
    let mut rest = cut;
    for (range, piece) in ranges.iter().zip(pieces) {
        let before = range.start.saturating_sub(out.len()).min(rest.len());
        let (kept, after) = rest.split_at(before);
        out.extend_from_slice(kept);
        out.extend_from_slice(piece);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// Where the text is cut so that `max` octets of the mail are left: at the end of a line.
fn tail(message: &[u8], header: usize, max: usize, out: &[(Range<usize>, LeftPart)]) -> usize {
    let mut sorted: Vec<&Range<usize>> = out.iter().map(|(range, _)| range).collect();
    sorted.sort_by_key(|range| range.start);
    let mut at = max;
    for range in sorted {
        if range.start < at {
            at = at.saturating_add(range.len());
        }
    }
    let at = at.min(message.len()).max(header);
    let lines = message.get(header..at).unwrap_or_default();
    match lines.iter().rposition(|&octet| octet == b'\n') {
        Some(end) => header.saturating_add(end).saturating_add(1),
        None => header,
    }
}

fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The parts of a mail by which some of them can be forwarded, those that hold others aside; the sizes are those of their
/// content as the mail has it. None of a mail of more than 1,000 parts.
pub fn parts(message: &[u8]) -> Vec<LeftPart> {
    let numbers = 0u32..;
    let parts = mime::parts(message).unwrap_or_default();
    numbers
        .zip(parts)
        .filter(|(_, part)| part.kind != Kind::Several)
        .map(|(number, part)| left_part(number, part))
        .collect()
}

fn left_part(number: u32, part: Part) -> LeftPart {
    LeftPart { number, name: part.name, size: part.body.len() as u64, media_type: part.media_type }
}

/// The contents of a mail's attachments, in order and apart; none where there are more parts than we look at.
fn attachments(message: &Bytes) -> Option<Vec<(Range<usize>, LeftPart)>> {
    let numbers = 0u32..;
    // The root is the message: its content is the text, whatever it is.
    let attached = |(number, part): &(u32, Part)| {
        *number != 0 && part.kind != Kind::Several && !part.is_text && !part.body.is_empty()
    };
    let parts = numbers.zip(mime::parts(message)?).filter(attached);
    Some(parts.map(|(number, part)| (part.body.clone(), left_part(number, part))).collect())
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of our own")]
mod tests {
    use super::*;

    const MAIL: &str = "From: a@b.example\r\nSubject: =?utf-8?q?x?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"B\"\r\n\r\npreamble\r\n--B\r\n\
        Content-Type: multipart/alternative; boundary=C\r\n\r\n--C\r\nContent-Type: text/plain\r\n\r\nHello text\r\n--C\r\n\
        Content-Type: text/html\r\n\r\n<p>Hello\r\n--C--\r\n--B\r\nContent-Type: image/png; name=\"p.png\"\r\n\
        Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"p.png\"\r\n\r\naGVsbG8gd29ybGQ=\r\n\
        --B\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=r.pdf\r\n\r\n\
        0123456789012345678901234567890123456789\r\n--B--\r\nepilogue\r\n";

    fn mail() -> Bytes {
        Bytes::from_static(MAIL.as_bytes())
    }

    fn checked(wanted: &Wanted) -> Cut {
        let message = mail();
        let cut = cut(&message, wanted);
        let pieces = cut.ranges.iter().map(|range| &message[range.clone()]);
        assert_eq!(rejoin(&cut.message, &cut.ranges, pieces), &message[..], "{wanted:?}");
        let missing: usize = cut.ranges.iter().map(Range::len).sum();
        assert_eq!(cut.message.len() + missing, message.len());
        cut
    }

    // mission: M2a, M2b, M2c, M2d, M2f
    #[test]
    fn header_text_types_and_size() {
        assert_eq!(checked(&Wanted::WHOLE).message, mail());
        assert!(!checked(&Wanted::WHOLE).left.is_partial());
        let header = checked(&Wanted::HEADER);
        assert!(header.message.ends_with(b"boundary=\"B\"\r\n\r\n"));
        assert_eq!(header.left.attachments.len(), 2);
        let text = checked(&Wanted { text: true, ..Wanted::HEADER });
        let kept = String::from_utf8(text.message.to_vec()).unwrap();
        assert!(
            kept.contains("Hello text") && kept.contains("<p>Hello") && kept.contains("filename=\"p.png\"")
        );
        assert!(!kept.contains("aGVsbG8") && !kept.contains("012345") && kept.ends_with("epilogue\r\n"));
        assert_eq!(text.left.body, 0);
        let named: Vec<_> =
            text.left.attachments.iter().map(|p| (&*p.name, p.size, &*p.media_type)).collect();
        assert_eq!(named, [("p.png", 16, "image/png"), ("r.pdf", 40, "application/pdf")]);
        let images = checked(&Wanted { types: vec!["image/*".into()], ..Wanted::WHOLE });
        assert_eq!(images.left.attachments.len(), 1);
        assert!(String::from_utf8_lossy(&images.message).contains("aGVsbG8"));
        let one = checked(&Wanted { types: vec!["part/5".into()], ..Wanted::WHOLE });
        assert_eq!(one.left.attachments.iter().map(|p| p.number).collect::<Vec<_>>(), [4]);
        // The largest one goes first, then the end of the text.
        let size = MAIL.len() as u64;
        let less = checked(&Wanted { max: Some(size - 1), ..Wanted::WHOLE });
        assert_eq!(less.left.attachments.iter().map(|p| &*p.name).collect::<Vec<_>>(), ["r.pdf"]);
        let small = checked(&Wanted { max: Some(header.message.len() as u64 + 150), ..Wanted::WHOLE });
        assert!(small.left.body > 0 && small.left.attachments.len() == 2);
        assert!(small.message.len() <= header.message.len() + 150 && small.message.ends_with(b"\n"));
        assert_eq!(checked(&Wanted { max: Some(0), ..Wanted::WHOLE }).message, header.message);
    }

    #[test]
    fn wanted_and_left_travel() {
        for wanted in [
            Wanted::HEADER,
            Wanted::WHOLE,
            Wanted { types: vec!["image/*".into(), "text/x".into()], max: Some(20), ..Wanted::WHOLE },
            Wanted { text: true, ..Wanted::HEADER },
        ] {
            assert_eq!(Wanted::of(&[wanted.to_property()]), wanted);
        }
        let mut other = Property::default();
        other.prop_name = "read".into();
        assert_eq!(Wanted::of(&[other]), Wanted::HEADER);
        let left = checked(&Wanted::HEADER).left;
        assert_eq!(Left::of(&left.to_ext()), Some(left));
        assert_eq!(Left::of(&[]), None);
    }

    #[test]
    fn threat_m4_whatever_it_is_it_is_cut_and_rejoined() {
        let parts = "--B\r\nContent-Type: image/png\r\n\r\nx\r\n".repeat(1_500);
        let deep: String = (0..200)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect();
        let mut odd = vec![
            String::new(),
            "no header at all".to_owned(),
            "\r\n\r\n\r\n".to_owned(),
            format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{parts}--B--\r\n"),
            deep,
            MAIL.replace("--B--", ""),
            MAIL.replace("\r\n", "\n"),
            "Content-Type: image/png\r\nContent-Disposition: attachment\r\n\r\nall of it".to_owned(),
        ];
        odd.extend((0..MAIL.len()).step_by(7).map(|end| MAIL[..end].to_owned()));
        for text in odd {
            let message = Bytes::from(text);
            for wanted in [
                Wanted::HEADER,
                Wanted { text: true, ..Wanted::HEADER },
                Wanted { max: Some(100), ..Wanted::WHOLE },
                Wanted { types: vec!["image/*".into()], max: Some(300), ..Wanted::WHOLE },
            ] {
                let cut = cut(&message, &wanted);
                let pieces = cut.ranges.iter().map(|range| &message[range.clone()]);
                assert_eq!(rejoin(&cut.message, &cut.ranges, pieces), &message[..]);
                assert_eq!(cut.left.is_partial(), cut.message.len() < message.len());
            }
        }
    }
}
