//! What a terminal senses of its user, and how it says so.

use crate::attributes::Attributes;
use crate::error::{Implausible, ReportError};
use crate::limits::Limits;
use crate::location::{Coordinates, PlaceLabel};
use crate::terminal::TerminalId;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// One message of a terminal about itself and its user: any mix of readings, raw or processed.
///
/// # Shape
/// JSON; at most [`Limits::report_bytes`] octets and [`Limits::readings`] readings. `(boot, seq)` must rise with
/// every report: `boot` counts starts of the terminal, `seq` the reports since; at the end of `seq` the terminal
/// raises `boot`. `epoch` is the number that it got when it registered; revoking the terminal raises it.
// mission: P1 (any mix, raw or processed), P2
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// Who reports.
    pub terminal: TerminalId,
    /// Registration that the terminal holds.
    #[serde(default)]
    pub epoch: u32,
    /// Starts of the terminal.
    pub boot: u32,
    /// Reports since the start.
    pub seq: u32,
    /// The terminal's own clock, for people to read. Terminals' clocks are wrong by years: nothing is decided by it,
    /// order comes from `(boot, seq)` and age from the server's clock.
    #[serde(default)]
    pub observed_at: Millis,
    /// What was sensed.
    pub readings: Vec<Reading>,
}

impl Report {
    /// A report with the mandatory parts.
    #[must_use]
    pub fn new(terminal: TerminalId, order: Order, readings: Vec<Reading>) -> Report {
        Report { terminal, epoch: 0, boot: order.boot, seq: order.seq, observed_at: Millis(0), readings }
    }

    /// Reads and checks a report.
    ///
    /// # Errors
    /// [`ReportError`]; nothing of a bad report is taken.
    pub fn from_json(bytes: &[u8], limits: &Limits) -> Result<Report, ReportError> {
        limit("report_bytes", bytes.len(), limits.report_bytes)?;
        let report: Report = serde_json::from_slice(bytes)?;
        report.check(limits)?;
        Ok(report)
    }

    /// Checks what the types cannot: plausible values, number of readings.
    ///
    /// # Errors
    /// [`ReportError`], naming the field.
    pub fn check(&self, limits: &Limits) -> Result<(), ReportError> {
        limit("readings", self.readings.len(), limits.readings)?;
        for reading in &self.readings {
            if let Reading::Attributes(Attributes { media: Some(media), .. }) = reading {
                limit("media", media.len(), limits.media)?;
            }
            reading.check()?;
        }
        Ok(())
    }

    /// Its place in the order of the terminal's reports.
    #[must_use]
    pub const fn order(&self) -> Order {
        Order { boot: self.boot, seq: self.seq }
    }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), ReportError> {
    if value > limit { Err(ReportError::Limit { what, value, limit }) } else { Ok(()) }
}

/// Place of a report among those of its terminal: later boots first, then later sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Starts of the terminal.
    pub boot: u32,
    /// Reports since the start.
    pub seq: u32,
}

/// An input longer ago than this is no sign of use but, weakly, of the contrary. [our choice]
pub const IDLE_INPUT_MS: u64 = 300_000;

/// One thing that was sensed.
// mission: P1
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Reading {
    /// Mouse, touch, key, plugging something in: the last input was `age_ms` before the report.
    Input {
        /// Milliseconds before the report.
        age_ms: u64,
    },
    /// A sensor sees somebody, or nobody.
    Presence {
        /// Somebody is there.
        present: bool,
        /// By what.
        #[serde(default)]
        sensor: Sensor,
    },
    /// Temperature at the case, in hundredths of a degree Celsius. Counts only beside input or motion: a pocket is warm.
    BodyTemp {
        /// Hundredths of a degree Celsius, -5000 to 10000.
        centi_celsius: i32,
    },
    /// It was moved `age_ms` before the report. Proves nothing alone: a car moves too.
    Motion {
        /// Milliseconds before the report.
        age_ms: u64,
    },
    /// The screen is lit, or dark.
    Screen {
        /// Lit.
        on: bool,
    },
    /// Running, asleep, off. `Off` is what a terminal says last, or what its own-powered radio says for it.
    Power(PowerState),
    /// Where it is, by coordinates.
    Location(Coordinates),
    /// Where it is, by name.
    Place(PlaceLabel),
    /// How far the user is, by the same sensors.
    Proximity {
        /// Centimetres.
        cm: u32,
        /// Centimetres that it may be off.
        #[serde(default)]
        bound_cm: u32,
    },
    /// What it can show.
    Attributes(Attributes),
    /// The terminal's own conclusion ("processed").
    InUse {
        /// Its conclusion.
        in_use: bool,
        /// How sure, 0 to 1000.
        #[serde(default = "sure")]
        confidence: u16,
    },
}

const fn sure() -> u16 {
    1000
}

impl Reading {
    /// The kind, as in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Reading::Input { .. } => "input",
            Reading::Presence { .. } => "presence",
            Reading::BodyTemp { .. } => "body_temp",
            Reading::Motion { .. } => "motion",
            Reading::Screen { .. } => "screen",
            Reading::Power(_) => "power",
            Reading::Location(_) => "location",
            Reading::Place(_) => "place",
            Reading::Proximity { .. } => "proximity",
            Reading::Attributes(_) => "attributes",
            Reading::InUse { .. } => "in_use",
        }
    }

    /// Checks what the type cannot.
    ///
    /// # Errors
    /// [`Implausible`], naming the value.
    pub fn check(&self) -> Result<(), Implausible> {
        match self {
            Reading::BodyTemp { centi_celsius } if !(-5000..=10_000).contains(centi_celsius) => {
                Err(Implausible::new("body_temp", centi_celsius, "-50.00 to 100.00 degrees Celsius"))
            }
            Reading::Proximity { cm, .. } if *cm > 1_000_000 => {
                Err(Implausible::new("proximity", cm, "at most 10 km"))
            }
            Reading::InUse { confidence, .. } if *confidence > 1000 => {
                Err(Implausible::new("confidence", confidence, "0 to 1000"))
            }
            _ => Ok(()),
        }
    }

    /// What it says about use: yes, no, or nothing.
    pub(crate) fn says_in_use(&self) -> Option<bool> {
        match self {
            Reading::Input { age_ms } => (*age_ms < IDLE_INPUT_MS).then_some(true),
            Reading::Presence { present: said, .. }
            | Reading::Screen { on: said }
            | Reading::InUse { in_use: said, .. } => Some(*said),
            Reading::Power(PowerState::Sleep | PowerState::Off) => Some(false),
            _ => None,
        }
    }
}

/// What senses presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sensor {
    /// Not said.
    #[default]
    Unspecified,
    /// Infrared.
    Infrared,
    /// Radio.
    Wireless,
    /// Camera.
    Camera,
}

/// Whether a terminal runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerState {
    /// Running.
    On,
    /// Suspended.
    Sleep,
    /// Off.
    Off,
}

/// A reading as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Evidence {
    /// Starts of the terminal.
    pub boot: u32,
    /// Reports since the start.
    pub seq: u32,
    /// When the server received it: age and freshness count from here.
    pub received_at: Millis,
    /// Since when the terminal has been saying the same without a break; `received_at` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Millis>,
    /// What was sensed.
    pub reading: Reading,
}

impl Evidence {
    /// A reading of the report at `order`, received at `received_at`.
    #[must_use]
    pub const fn new(order: Order, received_at: Millis, reading: Reading) -> Evidence {
        Evidence { boot: order.boot, seq: order.seq, received_at, since: None, reading }
    }

    /// Its place in the order of the terminal's reports.
    #[must_use]
    pub const fn order(&self) -> Order {
        Order { boot: self.boot, seq: self.seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Report, ReportError> {
        Report::from_json(json.as_bytes(), &Limits::default())
    }

    // mission: P1
    #[test]
    fn a_report_holds_any_mix() {
        let json = r#"{"terminal":"phone","boot":2,"seq":7,"readings":[{"input":{"age_ms":900}},
            {"presence":{"present":true,"sensor":"infrared"}},{"body_temp":{"centi_celsius":3310}},
            {"place":"office"},{"location":{"lat_udeg":39904200,"lon_udeg":116407400,"radius_m":30}},
            {"proximity":{"cm":60}},{"power":"on"},{"attributes":{"colour":true,"media":["image/*"]}},
            {"in_use":{"in_use":true}}]}"#;
        let report = read(json).unwrap();
        assert_eq!(report.readings.len(), 9);
        assert_eq!(report.order(), Order { boot: 2, seq: 7 });
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::from_json(&again, &Limits::default()).unwrap(), report);
    }

    #[test]
    fn bad_input_reports_are_refused_whole() {
        for (readings, part) in [
            (r#"{"body_temp":{"centi_celsius":-30000}}"#, "body_temp -30000"),
            (r#"{"location":{"lat_udeg":91000000,"lon_udeg":0,"radius_m":1}}"#, "latitude 91000000"),
            (r#"{"location":{"lat_udeg":0,"lon_udeg":0,"radius_m":0}}"#, "radius 0"),
            (r#"{"location":{"lat_udeg":0,"lon_udeg":0,"radius_m":-5}}"#, "radius -5"),
            (r#"{"location":{"lat_udeg":0,"lon_udeg":0,"radius_m":NaN}}"#, "expected value"),
            (r#"{"in_use":{"in_use":true,"confidence":1001}}"#, "confidence 1001"),
            (r#"{"proximity":{"cm":4000000}}"#, "proximity 4000000"),
            (r#"{"mood":"good"}"#, "unknown variant"),
            (r#"{"place":""}"#, "1 to 64 octets"),
            (r#"{"attributes":{"media":["image"]}}"#, "type/subtype"),
        ] {
            let json = format!(
                r#"{{"terminal":"t","boot":1,"seq":1,"readings":[{{"input":{{"age_ms":1}}}},{readings}]}}"#
            );
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(part), "{readings}: {error}");
        }
    }

    #[test]
    fn bad_input_too_many_readings_and_octets() {
        let many = vec![r#"{"screen":{"on":true}}"#; 17].join(",");
        let json = format!(r#"{{"terminal":"t","boot":1,"seq":1,"readings":[{many}]}}"#);
        assert!(matches!(
            read(&json).unwrap_err(),
            ReportError::Limit { what: "readings", value: 17, limit: 16 }
        ));
        let long = " ".repeat(20_000);
        assert!(matches!(read(&long).unwrap_err(), ReportError::Limit { what: "report_bytes", .. }));
    }

    #[test]
    fn empty_attributes_and_a_clock_30_years_ahead_are_taken() {
        let json =
            r#"{"terminal":"t","boot":1,"seq":1,"observed_at":2740000000000,"readings":[{"attributes":{}}]}"#;
        assert_eq!(read(json).unwrap().readings, [Reading::Attributes(Attributes::new())]);
    }
}
