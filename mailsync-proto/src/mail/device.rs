//! The device object: what a device says of itself beside its DevInf, above all how notices reach it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::keep;
use super::error::{ObjectError, ObjectErrorKind};
use super::xml::{self, Pull};
use crate::sync::StoreConfig;
use crate::sync::event::ConflictRule;
use bytes::Bytes;
use std::sync::Arc;
use syncml::CtType;

/// The datastore's name.
pub const DATASTORE: &str = "devices";
/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.device+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";
/// Places where a device listens, at most.
const PLACES: usize = 4;
/// Octets of its rules, at most.
const RULES: usize = 64 << 10;
/// Octets of its report, and of what wakes it, at most.
const REPORT: usize = 16 << 10;
/// Ways to reach it, at most.
const ROUTES: usize = 16;

/// What a device says of itself.
///
/// # Shape
/// `<Device>` with `Version, DevID, Zone?, Notify?, Terminal?`; `Notify` holds `Listen*` (`udp:HOST:PORT`, `http:HOST:PORT`; the host is
/// an address) and `Rules?` (JSON, in the form of `pushpolicy`'s notify rules; the engine does not look into it). `Zone` is
/// the IANA name of the time zone in which quiet hours are meant. `Terminal` holds `Kind?` (`phone`, `laptop`, ...),
/// `Route*` (other ways to reach it: `wap_push +8613800138000 power=any`), `Wake?` (what wakes it: `MAC HOST:PORT`) and
/// `Report?` (JSON, what it senses, in the form of `pushpolicy`'s reports; the engine does not look into it). Unknown
/// elements survive.
/// # Errors
/// As [`Email`](super::Email); `Unsupported` for a later major version.
///
/// ```
/// use mailsync_proto::mail::device::Device;
/// let mut device = Device::new("IMEI:1");
/// device.listen.push("udp:127.0.0.1:4000".into());
/// assert_eq!(Device::parse(&device.to_xml()).unwrap(), device);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its id, as in the header of its messages.
    pub id: Box<str>,
    /// Its time zone.
    pub zone: Option<Box<str>>,
    /// Where notifications reach it.
    pub listen: Vec<Box<str>>,
    /// What it wants to be told of; none: everything.
    pub rules: Option<Box<str>>,
    /// What it is: `phone`, `laptop`, ...
    pub kind: Option<Box<str>>,
    /// Other ways to reach it.
    pub routes: Vec<Box<str>>,
    /// What wakes it when it sleeps.
    pub wake: Option<Box<str>>,
    /// What it senses.
    // mission: P1
    pub report: Option<Box<str>>,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

impl Device {
    /// A device that no notice reaches.
    pub fn new(id: &str) -> Self {
        Device { id: id.into(), ..Device::default() }
    }

    /// Reads the object.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Device")?;
        let mut device = Device::default();
        let mut kept = 0usize;
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "Version" => pull.version(VERSION, "a device")?,
                "DevID" => device.id = pull.word()?,
                "Zone" => device.zone = Some(pull.word()?),
                "Notify" => notify(&mut pull, &mut device)?,
                "Terminal" => terminal(&mut pull, &mut device)?,
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    device.unknown.push(raw);
                }
            }
        }
        // What XML cannot carry has been read as the replacement character.
        let bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        if device.id.is_empty() || device.id.len() > 255 || device.id.chars().any(bad) {
            return Err(pull.malformed("no DevID, or none that can be one"));
        }
        pull.finish()?;
        Ok(device)
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Device>".to_vec();
        xml::element(&mut out, "Version", VERSION);
        xml::element(&mut out, "DevID", &self.id);
        if let Some(zone) = &self.zone {
            xml::element(&mut out, "Zone", zone);
        }
        if !self.listen.is_empty() || self.rules.is_some() {
            out.extend_from_slice(b"<Notify>");
            self.listen.iter().for_each(|place| xml::element(&mut out, "Listen", place));
            if let Some(rules) = &self.rules {
                xml::element(&mut out, "Rules", rules);
            }
            out.extend_from_slice(b"</Notify>");
        }
        let terminal = [("Kind", &self.kind), ("Wake", &self.wake), ("Report", &self.report)];
        if !self.routes.is_empty() || terminal.iter().any(|(_, value)| value.is_some()) {
            out.extend_from_slice(b"<Terminal>");
            self.routes.iter().for_each(|route| xml::element(&mut out, "Route", route));
            for (name, value) in terminal {
                value.iter().for_each(|value| xml::element(&mut out, name, value));
            }
            out.extend_from_slice(b"</Terminal>");
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        out.extend_from_slice(b"</Device>");
        out.into()
    }

    /// What of stored objects (revision, object) counts: the newest of each device.
    pub fn registered(objects: impl IntoIterator<Item = (u64, Bytes)>) -> Vec<Device> {
        let mut newest: Vec<(u64, Device)> = Vec::new();
        for (rev, object) in objects {
            let Ok(device) = Device::parse(&object) else { continue };
            match newest.iter_mut().find(|(_, known)| known.id == device.id) {
                Some(known) if known.0 <= rev => *known = (rev, device),
                Some(_) => {}
                None => newest.push((rev, device)),
            }
        }
        newest.into_iter().map(|(_, device)| device).collect()
    }
}

/// The datastore: what a device says of itself is its own word.
pub fn store() -> StoreConfig {
    let types = vec![CtType::new(MEDIA_TYPE, VERSION)];
    let mut store =
        StoreConfig::new(DATASTORE, Arc::new(crate::plain::PlainCollection::new("Devices", types)));
    store.conflict = ConflictRule::ClientWins;
    store
}

fn terminal(pull: &mut Pull<'_>, device: &mut Device) -> Result<(), ObjectError> {
    while let Some(child) = pull.child()? {
        let limit = |pull: &Pull<'_>, what, value, limit| {
            Err(pull.error(ObjectErrorKind::Limit { what, value, limit }))
        };
        match child.name.as_str() {
            "Route" if device.routes.len() < ROUTES => device.routes.push(pull.word()?),
            "Route" => return limit(pull, "ways to a device", ROUTES.saturating_add(1), ROUTES),
            name @ ("Kind" | "Wake" | "Report") => {
                let name = name.to_owned();
                let word = pull.word()?;
                if word.len() > REPORT {
                    return limit(pull, "octets of a report", word.len(), REPORT);
                }
                match name.as_str() {
                    "Kind" => device.kind = Some(word),
                    "Wake" => device.wake = Some(word),
                    _ => device.report = Some(word),
                }
            }
            _ => {
                pull.survivor(&child)?;
            }
        }
    }
    Ok(())
}

fn notify(pull: &mut Pull<'_>, device: &mut Device) -> Result<(), ObjectError> {
    while let Some(child) = pull.child()? {
        match child.name.as_str() {
            "Listen" if device.listen.len() < PLACES => device.listen.push(pull.word()?),
            "Listen" => {
                let (value, limit) = (PLACES.saturating_add(1), PLACES);
                return Err(pull.error(ObjectErrorKind::Limit { what: "places of a device", value, limit }));
            }
            "Rules" => {
                let rules = pull.word()?;
                if rules.len() > RULES {
                    let what = "octets of rules";
                    return Err(pull.error(ObjectErrorKind::Limit {
                        what,
                        value: rules.len(),
                        limit: RULES,
                    }));
                }
                device.rules = Some(rules);
            }
            _ => {
                pull.survivor(&child)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_device_1_0_and_unknown_survives() {
        let text = include_bytes!("../../tests/golden/device.xml");
        let device = Device::parse(&Bytes::from_static(text)).unwrap();
        assert_eq!((&*device.id, device.zone.as_deref()), ("IMEI:490154203237518", Some("Asia/Shanghai")));
        assert_eq!(device.listen.len(), 2);
        assert!(device.rules.as_deref().unwrap().contains("\"quiet\""));
        assert_eq!(device.kind.as_deref(), Some("phone"));
        assert_eq!(device.routes, ["wap_push +8613800138000 power=any cost=5".into()]);
        assert_eq!(device.wake.as_deref(), Some("02:00:00:00:00:01 192.0.2.255:9"));
        assert!(device.report.as_deref().unwrap().contains("\"input\""));
        assert_eq!(&*device.unknown[0], "<Colour><Of>case</Of></Colour>");
        assert_eq!(device.to_xml().trim_ascii_end(), text.trim_ascii_end());
    }

    #[test]
    fn the_newest_word_of_each_device_counts() {
        let object = |id: &str, place: &str| {
            let mut device = Device::new(id);
            device.listen.push(place.into());
            device.to_xml()
        };
        let objects =
            [(3, object("a", "new")), (2, object("a", "old")), (1, object("b", "x")), (9, Bytes::new())];
        let found = Device::registered(objects);
        assert_eq!(found.len(), 2);
        assert_eq!(&*found[0].listen[0], "new");
    }

    #[test]
    fn threat_l6_broken_devices_are_refused() {
        let many =
            format!("<DevID>a</DevID><Notify>{}</Notify>", "<Listen>udp:1</Listen>".repeat(PLACES + 1));
        let long = format!("<DevID>a</DevID><Notify><Rules>{}</Rules></Notify>", "x".repeat(RULES + 1));
        let routes =
            format!("<DevID>a</DevID><Terminal>{}</Terminal>", "<Route>x</Route>".repeat(ROUTES + 1));
        let report =
            format!("<DevID>a</DevID><Terminal><Report>{}</Report></Terminal>", "x".repeat(REPORT + 1));
        for (inner, what) in [
            ("", "no DevID"),
            ("<DevID>a&#7;b</DevID>", "no DevID"),
            ("<DevID>a</DevID><Version>2.0</Version>", "version 2.0"),
            (&many, "places"),
            (&long, "octets of rules"),
            (&routes, "ways to a device"),
            (&report, "octets of a report"),
        ] {
            let error = Device::parse(&Bytes::from(format!("<Device>{inner}</Device>"))).unwrap_err();
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
    }
}
