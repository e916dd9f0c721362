//! Fields of a body: how each kind is read and written.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::cstring::{BLOCK, CString};
use super::tlv::Tlvs;
use super::{
    CommandStatus, DataCoding, DecodeErrorKind, EsmClass, InterfaceVersion, MessageState, Npi, Quirks,
    RegisteredDelivery, Ton, ValueError,
};
use bytes::Bytes;
use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::be_u32;
use std::fmt;
use std::ops::Deref;

/// Reads the fields of one body, and never past its end.
pub(super) struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    pub(super) quirks: &'a Quirks,
    /// The field being read, for errors.
    pub(super) field: &'static str,
    /// True if the standard gives this PDU TLVs.
    pub(super) has_tlvs: bool,
}

/// What went wrong in a field, and what to answer.
pub(super) type FieldError = (DecodeErrorKind, CommandStatus);

impl<'a> Reader<'a> {
    pub(super) fn new(frame: &'a Bytes, quirks: &'a Quirks) -> Self {
        Reader { frame, rest: frame, quirks, field: "", has_tlvs: false }
    }

    /// Octets read so far.
    pub(super) fn position(&self) -> usize {
        self.frame.len().saturating_sub(self.rest.len())
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes the rest without copying it.
    pub(super) fn take_rest(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.rest);
        self.slice(rest)
    }

    fn slice(&self, part: &[u8]) -> Bytes {
        self.frame.slice_ref(part)
    }

    fn parse<T>(
        &mut self,
        mut parser: impl FnMut(&'a [u8]) -> IResult<&'a [u8], T>,
    ) -> Result<T, FieldError> {
        match parser(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(_) => Err((DecodeErrorKind::Truncated, CommandStatus::RINVCMDLEN)),
        }
    }

    /// A string up to its NUL, with at most `max` octets before it.
    #[inline]
    fn c_string<const MAX: usize>(&mut self, max: usize) -> Result<CString<MAX>, FieldError> {
        if let Some(block) = self.rest.first_chunk()
            && let Some((string, length)) = CString::from_block(block)
            && length <= max
        {
            self.rest = self.rest.get(length.saturating_add(1)..).unwrap_or_default();
            return Ok(string);
        }
        self.long_c_string(max)
    }

    /// The same for strings that are long, near the end, or wrong.
    fn long_c_string<const MAX: usize>(&mut self, max: usize) -> Result<CString<MAX>, FieldError> {
        let nul = self.rest.iter().position(|&octet| octet == 0);
        let (text, rest) = match nul {
            Some(at) => {
                let (text, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, &[]));
                (text, rest.get(1..).unwrap_or_default())
            }
            None if self.quirks.nul_less_strings && !self.rest.is_empty() => (self.rest, &[][..]),
            None if self.rest.is_empty() => {
                return Err((DecodeErrorKind::Truncated, CommandStatus::RINVCMDLEN));
            }
            None => return Err((DecodeErrorKind::NoNul, status_of(self.field))),
        };
        if text.len() > max && !self.quirks.long_strings {
            return Err((DecodeErrorKind::TooLong, status_of(self.field)));
        }
        self.rest = rest;
        Ok(CString::from_slice(text, |text| self.slice(text)))
    }
}

/// The status that blames a field.
pub(super) fn status_of(field: &str) -> CommandStatus {
    match field {
        "service_type" => CommandStatus::RINVSERTYP,
        "source_addr" | "esme_addr" => CommandStatus::RINVSRCADR,
        "destination_addr" => CommandStatus::RINVDSTADR,
        "schedule_delivery_time" => CommandStatus::RINVSCHED,
        "validity_period" => CommandStatus::RINVEXPIRY,
        "message_id" => CommandStatus::RINVMSGID,
        "system_id" => CommandStatus::RINVSYSID,
        "password" => CommandStatus::RINVPASWD,
        "system_type" => CommandStatus::RINVSYSTYP,
        "short_message" => CommandStatus::RINVMSGLEN,
        "dest_addresses" => CommandStatus::RINVNUMDESTS,
        "tlvs" => CommandStatus::RINVOPTPARSTREAM,
        _ => CommandStatus::RINVCMDLEN,
    }
}

/// A kind of field.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError>;
    /// Octets that [`write`](Field::write) writes.
    fn length(&self) -> usize;
    fn write(&self, out: &mut Writer<'_>);
}

/// Writes the fields of one body into room of at least their length and [`SLACK`] more.
pub(super) struct Writer<'a>(&'a mut [u8]);

/// Octets behind the body that a writer may overwrite.
pub(super) const SLACK: usize = BLOCK;

impl<'a> Writer<'a> {
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Writer(room)
    }

    #[inline]
    pub(super) fn put_slice(&mut self, octets: &[u8]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(octets.len()) {
            place.copy_from_slice(octets);
            self.0 = rest;
        }
    }

    /// The first `length` octets of a block; what is behind them is overwritten by the next field.
    #[inline]
    fn put_block(&mut self, block: &[u8; BLOCK], length: usize) {
        let room = std::mem::take(&mut self.0);
        if let Some(place) = room.first_chunk_mut() {
            *place = *block;
        }
        self.0 = room.get_mut(length..).unwrap_or_default();
    }

    #[inline]
    pub(super) fn put_u8(&mut self, octet: u8) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_first_mut() {
            *place = octet;
            self.0 = rest;
        }
    }

    #[inline]
    pub(super) fn put_u32(&mut self, number: u32) {
        self.put_slice(&number.to_be_bytes());
    }
}

impl Field for u8 {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        match reader.rest {
            [octet, rest @ ..] => {
                reader.rest = rest;
                Ok(*octet)
            }
            [] => Err((DecodeErrorKind::Truncated, CommandStatus::RINVCMDLEN)),
        }
    }
    #[inline]
    fn length(&self) -> usize {
        1
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.put_u8(*self);
    }
}

impl Field for u32 {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        reader.parse(be_u32)
    }
    #[inline]
    fn length(&self) -> usize {
        4
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.put_u32(*self);
    }
}

macro_rules! octet_fields {
    ($($name:ident)*) => {$(
        impl Field for $name {
            #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
                u8::read(reader).map($name)
            }
            #[inline]
    fn length(&self) -> usize {
                1
            }
            #[inline]
    fn write(&self, out: &mut Writer<'_>) {
                out.put_u8(self.0);
            }
        }
    )*};
}

octet_fields! { Ton Npi EsmClass RegisteredDelivery DataCoding MessageState InterfaceVersion }

impl Field for CommandStatus {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        u32::read(reader).map(CommandStatus)
    }
    #[inline]
    fn length(&self) -> usize {
        4
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.put_u32(self.0);
    }
}

impl<const MAX: usize> Field for CString<MAX> {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        reader.c_string(MAX.saturating_sub(1))
    }
    #[inline]
    fn length(&self) -> usize {
        self.len().saturating_add(1)
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        match self.block() {
            Some(block) => out.put_block(block, self.length()),
            None => {
                out.put_slice(self);
                out.put_u8(0);
            }
        }
    }
}

/// A time: empty, or `YYMMDDhhmmsstnnp` with p `+` or `-` (absolute, nn quarter-hours from UTC) or `R` (relative).
///
/// # Spec
/// SMPP v3.4 §7.1.1
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Time(CString<17>);

impl Time {
    /// The characters; empty for none.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// `seconds` from now, at most 99 days: larger units are not of one length.
    ///
    /// # Errors
    /// [`ValueError::BadTime`] for more.
    pub fn relative(seconds: u32) -> Result<Time, ValueError> {
        let (days, seconds) = (seconds / 86_400, seconds % 86_400);
        if days > 99 {
            return Err(ValueError::BadTime);
        }
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        Time::try_from(format!("0000{days:02}{hours:02}{minutes:02}{seconds:02}000R").as_str())
    }

    /// The seconds of a relative time; years count 365 days, months 30.
    pub fn relative_seconds(&self) -> Option<u64> {
        let text = self.0.to_str().filter(|text| well_formed(text.as_bytes()) && text.ends_with('R'))?;
        let part = |at: usize| text.get(at..at.checked_add(2)?)?.parse::<u64>().ok();
        let mut total = 0u64;
        for (at, unit) in [(0, 31_536_000), (2, 2_592_000), (4, 86_400), (6, 3_600), (8, 60), (10, 1)] {
            total = total.checked_add(part(at)?.checked_mul(unit)?)?;
        }
        Some(total)
    }
}

fn well_formed(text: &[u8]) -> bool {
    match text {
        [] => true,
        [digits @ .., sign] => {
            digits.len() == 15 && digits.iter().all(u8::is_ascii_digit) && matches!(sign, b'+' | b'-' | b'R')
        }
    }
}

impl TryFrom<&str> for Time {
    type Error = ValueError;

    fn try_from(text: &str) -> Result<Self, ValueError> {
        if well_formed(text.as_bytes()) { Ok(Time(text.try_into()?)) } else { Err(ValueError::BadTime) }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Field for Time {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        let max = if reader.quirks.any_time { 255 } else { 16 };
        let text: CString<17> = reader.c_string(max)?;
        if !reader.quirks.any_time && !well_formed(&text) {
            return Err((DecodeErrorKind::BadTime, status_of(reader.field)));
        }
        Ok(Time(text))
    }
    #[inline]
    fn length(&self) -> usize {
        self.0.length()
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        self.0.write(out);
    }
}

/// `sm_length` and `short_message`: 0 to 254 octets (255 in 5.0).
///
/// Longer text goes into the `message_payload` TLV, and this stays empty.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ShortMessage(Bytes);

impl ShortMessage {
    /// The octets, without copying.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl TryFrom<Bytes> for ShortMessage {
    type Error = ValueError;

    fn try_from(octets: Bytes) -> Result<Self, ValueError> {
        if octets.len() > 255 {
            return Err(ValueError::TooLong { octets: octets.len(), max: 255 });
        }
        Ok(ShortMessage(octets))
    }
}

impl TryFrom<&str> for ShortMessage {
    type Error = ValueError;

    /// The octets of `text`; right for ASCII in most alphabets. Else encode it first.
    fn try_from(text: &str) -> Result<Self, ValueError> {
        Bytes::copy_from_slice(text.as_bytes()).try_into()
    }
}

impl Deref for ShortMessage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ShortMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no message text in logs
        write!(f, "{} octets", self.0.len())
    }
}

impl Field for ShortMessage {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        let length = u8::read(reader)?;
        if length == 255 && !reader.quirks.sm_length_255 {
            return Err((DecodeErrorKind::BadValue(255), CommandStatus::RINVMSGLEN));
        }
        let octets = reader
            .parse(take(usize::from(length)))
            .map_err(|_| (DecodeErrorKind::Truncated, CommandStatus::RINVMSGLEN))?;
        Ok(ShortMessage(reader.slice(octets)))
    }
    #[inline]
    fn length(&self) -> usize {
        self.0.len().saturating_add(1)
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        // 255 at most, by construction
        out.put_u8(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        out.put_slice(&self.0);
    }
}

impl Field for Tlvs {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        if reader.rest.is_empty() {
            return Ok(Tlvs::default());
        }
        if !reader.has_tlvs && !reader.quirks.tlvs_anywhere {
            return Err((DecodeErrorKind::TlvNotAllowed, CommandStatus::ROPTPARNOTALLWD));
        }
        let used = super::tlv::check(reader.rest(), reader.quirks)?;
        let rest = reader.take_rest();
        Ok(Tlvs::from_checked(rest.slice(..used.min(rest.len()))))
    }
    #[inline]
    fn length(&self) -> usize {
        self.as_octets().len()
    }
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        out.put_slice(self.as_octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_bounded() {
        let quirks = Quirks::strict();
        for (wire, expected) in [
            (&b"12345\0"[..], None),
            (b"123456\0", Some(DecodeErrorKind::TooLong)),
            (b"12345", Some(DecodeErrorKind::NoNul)),
            (b"", Some(DecodeErrorKind::Truncated)),
        ] {
            let frame = Bytes::copy_from_slice(wire);
            let read = CString::<6>::read(&mut Reader::new(&frame, &quirks));
            assert_eq!(read.err().map(|error| error.0), expected);
        }
    }

    #[test]
    fn times() {
        assert_eq!(Time::relative(2 * 86_400).unwrap().as_octets(), b"000002000000000R");
        assert_eq!(Time::try_from("000002000000000R").unwrap().relative_seconds(), Some(172_800));
        assert!(Time::try_from("").is_ok());
        assert!(Time::try_from("261122042151000+").is_ok());
        for bad in ["26112204215100+", "261122042151000Z", "x61122042151000+"] {
            assert_eq!(Time::try_from(bad), Err(ValueError::BadTime));
        }
        assert_eq!(Time::relative(100 * 86_400), Err(ValueError::BadTime));
    }
}
