//! Where a terminal is: a label, or coordinates with a radius. Integers only.

use crate::error::Implausible;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place by name (`home`, `office`), as the user called it: 1 to 64 octets, no control characters.
///
/// Labels say less about a person than coordinates do, and serve nearness as well: prefer them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceLabel(Box<str>);

impl PlaceLabel {
    /// # Errors
    /// [`Implausible`] if it is empty, longer than 64 octets or holds a control character.
    pub fn new(label: impl Into<String>) -> Result<PlaceLabel, Implausible> {
        let label = label.into();
        name_rule("place", &label)?;
        Ok(PlaceLabel(label.into()))
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule that labels and ids share.
pub(crate) fn name_rule(what: &'static str, text: &str) -> Result<(), Implausible> {
    if text.is_empty() || text.len() > 64 {
        return Err(Implausible::new(what, text, "1 to 64 octets"));
    }
    if text.chars().any(char::is_control) {
        return Err(Implausible::new(what, text, "no control characters"));
    }
    Ok(())
}

impl TryFrom<String> for PlaceLabel {
    type Error = Implausible;
    fn try_from(s: String) -> Result<PlaceLabel, Implausible> {
        PlaceLabel::new(s)
    }
}

impl From<PlaceLabel> for String {
    fn from(p: PlaceLabel) -> String {
        p.0.into()
    }
}

impl fmt::Debug for PlaceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A point on the earth and how far off it may be.
///
/// # Shape
/// Latitude and longitude in millionths of a degree (about 11 cm), north and east positive; radius in metres,
/// `1..=20_000_000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Coordinates {
    lat_udeg: i32,
    lon_udeg: i32,
    radius_m: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    lat_udeg: i64,
    lon_udeg: i64,
    radius_m: i64,
}

impl Coordinates {
    /// # Errors
    /// [`Implausible`] outside ±90°, ±180° or the range of the radius.
    pub fn new(lat_udeg: i64, lon_udeg: i64, radius_m: i64) -> Result<Coordinates, Implausible> {
        let in_range = |what, value: i64, limit: i64, why| match i32::try_from(value) {
            Ok(v) if value.abs() <= limit => Ok(v),
            _ => Err(Implausible::new(what, value, why)),
        };
        let lat_udeg = in_range("latitude", lat_udeg, 90_000_000, "-90 to 90 degrees")?;
        let lon_udeg = in_range("longitude", lon_udeg, 180_000_000, "-180 to 180 degrees")?;
        match u32::try_from(radius_m) {
            Ok(r @ 1..=20_000_000) => Ok(Coordinates { lat_udeg, lon_udeg, radius_m: r }),
            _ => Err(Implausible::new("radius", radius_m, "1 to 20,000,000 metres")),
        }
    }

    /// Reads decimal degrees and metres as terminals write them (`"39.904200"`, `"116.4"`, `"30"`); digits beyond
    /// what the type holds are cut.
    ///
    /// # Errors
    /// [`Implausible`] for anything that is no plain decimal number (`NaN`, `1e3`), or out of range.
    pub fn parse(lat: &str, lon: &str, radius_m: &str) -> Result<Coordinates, Implausible> {
        let metres = decimal("radius", radius_m, 0)?;
        Coordinates::new(decimal("latitude", lat, 6)?, decimal("longitude", lon, 6)?, metres)
    }

    /// Millionths of a degree, north positive.
    #[must_use]
    pub const fn lat_udeg(self) -> i32 {
        self.lat_udeg
    }

    /// Millionths of a degree, east positive.
    #[must_use]
    pub const fn lon_udeg(self) -> i32 {
        self.lon_udeg
    }

    /// Metres.
    #[must_use]
    pub const fn radius_m(self) -> u32 {
        self.radius_m
    }

    /// Metres in a straight line (through the earth for far points), so that nearer points always compare nearer.
    #[must_use]
    pub fn distance_m(self, other: Coordinates) -> u64 {
        self.vector().chord_m(other.vector())
    }

    pub(crate) fn vector(self) -> Vector {
        let (sin_lat, cos_lat) = sin_cos(self.lat_udeg);
        let (sin_lon, cos_lon) = sin_cos(self.lon_udeg);
        Vector([cos_lat * cos_lon / ONE, cos_lat * sin_lon / ONE, sin_lat])
    }
}

impl TryFrom<Form> for Coordinates {
    type Error = Implausible;
    fn try_from(f: Form) -> Result<Coordinates, Implausible> {
        Coordinates::new(f.lat_udeg, f.lon_udeg, f.radius_m)
    }
}

impl From<Coordinates> for Form {
    fn from(c: Coordinates) -> Form {
        Form { lat_udeg: c.lat_udeg.into(), lon_udeg: c.lon_udeg.into(), radius_m: c.radius_m.into() }
    }
}

/// A point of the unit sphere, scaled by `ONE`: made once, when evidence is read, so that a decision only subtracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector([i64; 3]);

const ONE: i64 = 1_000_000_000;
const EARTH_RADIUS_M: u64 = 6_371_009;

impl Vector {
    pub(crate) fn chord_m(self, other: Vector) -> u64 {
        // Both are of length ONE: a difference is at most twice that, and the sum below 2^62.
        let [[a, b, c], [x, y, z]] = [self.0, other.0];
        let squared = |p: i64, q: i64| p.abs_diff(q).saturating_mul(p.abs_diff(q));
        let sum = squared(a, x).saturating_add(squared(b, y)).saturating_add(squared(c, z));
        sum.isqrt().saturating_mul(EARTH_RADIUS_M) / ONE as u64
    }
}

/// Sine and cosine of an angle in millionths of a degree, scaled by `ONE`: a Taylor series in integers, the same on
/// every machine.
fn sin_cos(udeg: i32) -> (i64, i64) {
    const FINE: i128 = 1_000_000_000_000_000; // 1e15: the series keeps six digits more than it returns
    const PI: i128 = 3_141_592_653_589_793;
    let quarter_turns = (i64::from(udeg) + 45_000_000).div_euclid(90_000_000);
    let rest = i128::from(i64::from(udeg) - quarter_turns * 90_000_000); // within 45 degrees
    let x = rest * PI / 180_000_000;
    let x2 = x * x / FINE;
    let series = |first: i128, from: i128| {
        let (mut sum, mut term, mut n) = (first, first, from);
        while term != 0 {
            term = -term * x2 / FINE / (n * (n + 1));
            sum += term;
            n += 2;
        }
        i64::try_from(sum / (FINE / i128::from(ONE))).unwrap_or(0)
    };
    let (sin, cos) = (series(x, 2), series(FINE, 1));
    match quarter_turns.rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// A plain decimal number times ten to `places`.
fn decimal(what: &'static str, text: &str, places: u32) -> Result<i64, Implausible> {
    let bad = || Implausible::new(what, text, "a plain decimal number");
    let text_trimmed = text.trim();
    let (negative, digits) = match text_trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text_trimmed.strip_prefix('+').unwrap_or(text_trimmed)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || !all_digits(whole) || !all_digits(fraction) {
        return Err(bad());
    }
    let mut value: i64 = whole.parse().map_err(|_| bad())?;
    let mut fraction = fraction.bytes();
    for _ in 0..places {
        value = value * 10 + i64::from(fraction.next().unwrap_or(b'0') - b'0');
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: &str, lon: &str) -> Coordinates {
        Coordinates::parse(lat, lon, "10").unwrap()
    }

    // mission: P1 — expected values from the chord of the sphere, computed in floating point
    #[test]
    fn distances_are_those_of_the_sphere() {
        for (a, b, metres, tolerance) in [
            (at("39.9042", "116.4074"), at("31.2304", "121.4737"), 1_066_064, 1),
            (at("0", "0"), at("0", "180"), 12_742_018, 2),
            (at("90", "0"), at("-90", "0"), 12_742_018, 2),
            (at("39.904200", "116.407400"), at("39.904290", "116.407400"), 10, 1),
            (at("10", "179.9999"), at("10", "-179.9999"), 21, 1),
        ] {
            let got = a.distance_m(b);
            assert!(got.abs_diff(metres) <= tolerance, "{a:?} {b:?}: {got}, expected {metres}");
            assert_eq!(got, b.distance_m(a));
        }
    }

    #[test]
    fn sines_of_known_angles() {
        assert_eq!(sin_cos(0), (0, ONE));
        assert_eq!(sin_cos(90_000_000), (ONE, 0));
        assert_eq!(sin_cos(-180_000_000), (0, -ONE));
        assert_eq!(sin_cos(30_000_000), (500_000_000 - 1, 866_025_403));
    }

    #[test]
    fn bad_input_latitude_91_and_bad_radius() {
        for (lat, lon, r, what) in [
            ("91", "0", "5", "latitude"),
            ("0", "180.5", "5", "longitude"),
            ("0", "0", "0", "radius"),
            ("0", "0", "-3", "radius"),
            ("0", "0", "NaN", "radius"),
            ("NaN", "0", "5", "latitude"),
            ("1e1", "0", "5", "latitude"),
            ("", "0", "5", "latitude"),
            ("99999999999999999999", "0", "5", "latitude"),
        ] {
            assert_eq!(Coordinates::parse(lat, lon, r).unwrap_err().what, what, "{lat} {lon} {r}");
        }
        assert!(
            serde_json::from_str::<Coordinates>(r#"{"lat_udeg":0,"lon_udeg":0,"radius_m":1.5}"#).is_err()
        );
    }
}
