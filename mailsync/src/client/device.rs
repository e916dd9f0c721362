//! `mailsync device`: what this device says of itself to the server, by a sync of `./devices`.
// mission: P1, P2

use super::account::There;
use super::options::StoreOption;
use super::sense::{self, Sensed};
use super::sync;
use bytes::Bytes;
use clap::{Args, Subcommand};
use mailsync_proto::mail::device::{self, Device};
use pushpolicy::{
    Attributes, Coordinates, Limits, MediaRange, Order, PlaceLabel, PowerState, Reading, Report, Route,
    TerminalId, TerminalKind,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use syncml::StatusCode;

/// What the server is to know of this device.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say what this device senses, what it is, and how it is reached; what is not said is sensed, or stays
    Report {
        #[command(flatten)]
        there: There,
        #[command(flatten)]
        said: Box<Said>,
        /// Only write it; the next sync of ./devices takes it along
        #[arg(long)]
        no_sync: bool,
    },
    /// Show what the user's devices said last
    Show {
        #[command(flatten)]
        there: There,
    },
}

/// What is said by hand.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Said {
    /// What it is: phone, laptop, desktop, tablet, watch, other
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<TerminalKind>,
    /// Whether its user is at it
    #[arg(long, value_name = "YES|NO", value_parser = yes)]
    in_use: Option<bool>,
    /// How long ago its user typed or touched, in seconds
    #[arg(long, value_name = "SECONDS")]
    input: Option<u64>,
    /// How far its user is, in centimetres
    #[arg(long, value_name = "CM")]
    near: Option<u32>,
    /// The place where it is, by name
    #[arg(long, value_name = "NAME")]
    place: Option<String>,
    /// The place where it is: LATITUDE,LONGITUDE,METRES (degrees; the radius within which that is right)
    #[arg(long, value_name = "LAT,LON,M", allow_hyphen_values = true)]
    location: Option<String>,
    /// The name of the place where the router has this address; may be said often
    #[arg(long, value_name = "ADDRESS=NAME", value_parser = network)]
    at_network: Vec<(Ipv4Addr, String)>,
    /// on, sleep or off: what it says before it goes
    #[arg(long, value_name = "STATE", value_parser = power)]
    power: Option<PowerState>,
    /// Whether its screen has colours
    #[arg(long, value_name = "YES|NO", value_parser = yes)]
    colour: Option<bool>,
    /// Whether it shows HTML
    #[arg(long, value_name = "YES|NO", value_parser = yes)]
    html: Option<bool>,
    /// What it shows beside text: image/jpeg,image/* ...; nothing: none
    #[arg(long, value_name = "TYPES")]
    media: Option<String>,
    /// Octets of the largest mail that it takes
    #[arg(long, value_name = "BYTES")]
    max_mail: Option<u64>,
    /// Another way to reach it: "BEARER ADDRESS [power=on|any|wake] [cost=N]"; may be said often; one "-" takes all back
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// What wakes it when it sleeps: "MAC ADDRESS:PORT" of a magic packet; "-" takes it back
    #[arg(long, value_name = "WAKE")]
    wake: Option<String>,
    /// Sense nothing by itself
    #[arg(long)]
    no_sensing: bool,
    /// Where the machine is looked at
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Runs the command.
pub(super) fn run(command: Command, json: bool) -> Result<ExitCode, String> {
    match command {
        Command::Report { there, said, no_sync } => {
            let dir = there.dir.path();
            crate::store::private_dir(&dir.join(".mailsync")).map_err(|error| error.to_string())?;
            let id = sync::device_id(dir, there.device.as_deref()).map_err(|error| error.to_string())?;
            if !no_sync {
                // What the server knows of this device stays.
                synced(&there)?;
            }
            let mut own = Own::open(dir, &id)?;
            let report = said.report(&mut own)?;
            own.write()?;
            if !no_sync {
                synced(&there)?;
            }
            if json {
                println!("{}", json!({"ok": true, "report": report}));
            } else {
                let kinds: Vec<&str> = report.readings.iter().map(Reading::kind).collect();
                println!("{id} reports {}", kinds.join(", "));
            }
        }
        Command::Show { there } => {
            synced(&there)?;
            let folder = there.dir.path().join(device::DATASTORE);
            let mut devices: Vec<Device> = files(&folder)?.into_iter().map(|(_, device)| device).collect();
            devices.sort_by(|a, b| a.id.cmp(&b.id));
            if json {
                println!("{}", json!(devices.iter().map(as_json).collect::<Vec<_>>()));
            } else {
                devices.iter().for_each(|device| println!("{}", line(device)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn synced(there: &There) -> Result<(), String> {
    let report = sync::run(&there.options(vec![store()?])?).map_err(|error| error.to_string())?;
    if let Some(code) = report.login {
        return Err(format!("{}: login of {} refused: {}", there.server, there.user, StatusCode(code)));
    }
    match report.stores.first() {
        Some(store) if store.status != StatusCode::OK.0 => {
            Err(format!("{}: devices are not synced: {}", there.server, StatusCode(store.status)))
        }
        _ => Ok(()),
    }
}

/// The datastore, for a sync.
pub(super) fn store() -> Result<StoreOption, String> {
    StoreOption::parse(&format!("{}:{}", device::DATASTORE, device::MEDIA_TYPE))
}

fn as_json(device: &Device) -> serde_json::Value {
    let report =
        device.report.as_deref().and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
    json!({"device": device.id, "kind": device.kind, "zone": device.zone, "listen": device.listen,
        "routes": device.routes, "wake": device.wake, "report": report})
}

fn line(device: &Device) -> String {
    let mut words = vec![device.id.to_string(), device.kind.as_deref().unwrap_or("other").to_owned()];
    words.extend(device.listen.iter().chain(&device.routes).map(ToString::to_string));
    let report = device.report.as_deref().map(str::as_bytes);
    if let Some(Ok(report)) = report.map(|json| Report::from_json(json, &Limits::default())) {
        let said = report.readings.iter().filter_map(|reading| serde_json::to_string(reading).ok());
        words.extend(said);
    }
    // What another device said is shown, and not let loose on the terminal.
    words.join("\t").chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

/// What this device says of itself, in its file.
pub(super) struct Own {
    path: PathBuf,
    before: Option<Bytes>,
    counter: PathBuf,
    pub(super) device: Device,
}

/// How often this machine started, and how often it has reported since; what it said by hand.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Counter {
    boot_id: String,
    boot: u32,
    seq: u32,
    attributes: Option<Attributes>,
    place: Option<PlaceLabel>,
}

impl Own {
    /// Opens it; what the server gave back after a new start may have another name.
    pub(super) fn open(dir: &Path, id: &str) -> Result<Own, String> {
        let folder = dir.join(device::DATASTORE);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let found = files(&folder)?.into_iter().find(|(_, device)| *device.id == *id);
        let counter = dir.join(".mailsync").join("report.json");
        Ok(match found {
            Some((path, device)) => {
                Own { before: fs::read(&path).ok().map(Bytes::from), path, device, counter }
            }
            None => Own { path: folder.join("this-device"), before: None, device: Device::new(id), counter },
        })
    }

    /// Writes it, if it says anything new.
    pub(super) fn write(&self) -> Result<(), String> {
        let octets = self.device.to_xml();
        if self.before.as_ref() == Some(&octets) {
            return Ok(());
        }
        fs::write(&self.path, &octets).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// The place of the next report in the order of this device's reports; stored before it is used.
    fn next(&self, root: &Path, said: impl FnOnce(&mut Counter)) -> Result<Counter, String> {
        let text = fs::read_to_string(&self.counter).unwrap_or_default();
        let mut counter: Counter = serde_json::from_str(&text).unwrap_or_default();
        let boot_id = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default();
        if counter.boot == 0 || counter.boot_id != boot_id.trim() || counter.seq == u32::MAX {
            (counter.boot, counter.seq) = (counter.boot.saturating_add(1), 0);
            boot_id.trim().clone_into(&mut counter.boot_id);
        } else {
            counter.seq += 1;
        }
        said(&mut counter);
        let json = serde_json::to_vec(&counter).map_err(|error| error.to_string())?;
        fs::write(&self.counter, json).map_err(|error| format!("{}: {error}", self.counter.display()))?;
        Ok(counter)
    }
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, Device)>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let Ok(octets) = fs::read(&path) else { continue };
        found.extend(Device::parse(&octets.into()).ok().map(|device| (path, device)));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

impl Said {
    /// Makes the next report, and puts it with everything else that was said into the device's file.
    pub(super) fn report(&self, own: &mut Own) -> Result<Report, String> {
        let sensed =
            if self.no_sensing { Sensed::default() } else { sense::sense(&self.root, SystemTime::now()) };
        if let Some(kind) = self.kind {
            own.device.kind = Some(kind.as_str().into());
        } else if sensed.battery && own.device.kind.is_none() {
            own.device.kind = Some(TerminalKind::Laptop.as_str().into());
        }
        self.reached(&mut own.device)?;
        let by_network = sensed.gateway.and_then(|gateway| {
            self.at_network.iter().find(|(known, _)| *known == gateway).map(|(_, name)| name.clone())
        });
        let place = self.place.clone().or(by_network);
        let place = place.map(|name| PlaceLabel::new(name).map_err(|error| error.to_string())).transpose()?;
        let attributes = self.attributes()?;
        let counter = own.next(&self.root, |counter| {
            if let Some(said) = &attributes {
                let known = counter.attributes.get_or_insert_with(Attributes::new);
                known.colour = said.colour.or(known.colour);
                known.html = said.html.or(known.html);
                known.max_mail_bytes = said.max_mail_bytes.or(known.max_mail_bytes);
                if said.media.is_some() {
                    known.media.clone_from(&said.media);
                }
            }
            counter.place = place.or(counter.place.take());
        })?;
        let mut readings = Vec::new();
        readings.extend(self.in_use.map(|in_use| Reading::InUse { in_use, confidence: 1000 }));
        let typed = self.input.map(|seconds| seconds.saturating_mul(1_000));
        let typed =
            typed.or_else(|| sensed.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)));
        readings.extend(typed.map(|age_ms| Reading::Input { age_ms }));
        readings.extend(self.near.map(|cm| Reading::Proximity { cm, bound_cm: 0 }));
        readings.push(Reading::Power(self.power.unwrap_or(PowerState::On)));
        readings.extend(counter.place.clone().map(Reading::Place));
        readings.extend(self.location.as_deref().map(location).transpose()?.map(Reading::Location));
        readings.extend(counter.attributes.clone().map(Reading::Attributes));
        let id = TerminalId::new(&*own.device.id).map_err(|error| error.to_string())?;
        let mut report = Report::new(id, Order { boot: counter.boot, seq: counter.seq }, readings);
        report.observed_at =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into();
        report.check(&Limits::default()).map_err(|error| error.to_string())?;
        let json = serde_json::to_string(&report).map_err(|error| error.to_string())?;
        own.device.report = Some(json.into());
        Ok(report)
    }

    fn reached(&self, device: &mut Device) -> Result<(), String> {
        if !self.route.is_empty() {
            let given = self.route.iter().filter(|route| *route != "-");
            let routes = given.map(|route| route.parse::<Route>().map_err(|error| error.to_string()));
            let routes = routes.collect::<Result<Vec<_>, _>>()?;
            device.routes = routes.iter().map(|route| route.to_string().into()).collect();
        }
        if let Some(wake) = &self.wake {
            device.wake = if wake == "-" { None } else { Some(wake.as_str().into()) };
        }
        Ok(())
    }

    fn attributes(&self) -> Result<Option<Attributes>, String> {
        let mut said = Attributes::new();
        (said.colour, said.html, said.max_mail_bytes) = (self.colour, self.html, self.max_mail);
        if let Some(types) = &self.media {
            let types = types.split(',').map(str::trim).filter(|one| !one.is_empty());
            let ranges = types.map(|one| MediaRange::new(one).map_err(|error| error.to_string()));
            said.media = Some(ranges.collect::<Result<_, _>>()?);
        }
        Ok((said != Attributes::new()).then_some(said))
    }
}

fn location(text: &str) -> Result<Coordinates, String> {
    let bad = || format!("{text:?}: say LATITUDE,LONGITUDE,METRES, as in 39.9042,116.4074,50");
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [lat, lon, radius] = parts[..] else { return Err(bad()) };
    let micro = |degrees: &str| -> Option<i64> {
        let (sign, digits) = degrees.strip_prefix('-').map_or((1, degrees), |rest| (-1, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let part: String = part.chars().chain("000000".chars()).take(6).collect();
        let value =
            whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse::<i64>().ok()?)?;
        Some(sign * value)
    };
    let (lat, lon) = (micro(lat).ok_or_else(bad)?, micro(lon).ok_or_else(bad)?);
    let radius = radius.parse::<i64>().map_err(|_| bad())?;
    Coordinates::new(lat, lon, radius).map_err(|error| error.to_string())
}

fn kind(text: &str) -> Result<TerminalKind, String> {
    TerminalKind::parse(text)
        .ok_or_else(|| format!("{text:?} is none of phone, laptop, desktop, tablet, watch, other"))
}

fn yes(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{text:?} is neither yes nor no")),
    }
}

fn power(text: &str) -> Result<PowerState, String> {
    match text {
        "on" => Ok(PowerState::On),
        "sleep" => Ok(PowerState::Sleep),
        "off" => Ok(PowerState::Off),
        _ => Err(format!("{text:?} is none of on, sleep, off")),
    }
}

fn network(text: &str) -> Result<(Ipv4Addr, String), String> {
    let bad = || format!("{text:?}: say ADDRESS=NAME, as in 192.0.2.1=office");
    let (address, name) = text.split_once('=').ok_or_else(bad)?;
    Ok((address.parse().map_err(|_| bad())?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_without_floats() {
        let at = location("39.9042,-116.4074,50").unwrap();
        assert_eq!(serde_json::to_value(at).unwrap()["lon_udeg"], -116_407_400);
        for bad in ["", "1,2", "91,0,5", "1,2,0", "x,2,5", "1,2,-5", "1.2.3,4,5"] {
            assert!(location(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reports_follow_each_other_and_what_was_said_by_hand_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".mailsync")).unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("proc/sys/kernel/random")).unwrap();
        let boot = |id: &str| fs::write(root.join("proc/sys/kernel/random/boot_id"), id).unwrap();
        boot("a\n");
        let said =
            Said { root: root.clone(), colour: Some(true), place: Some("home".into()), ..Said::default() };
        let mut own = Own::open(dir.path(), "phone").unwrap();
        let first = said.report(&mut own).unwrap();
        own.write().unwrap();
        assert_eq!(first.order(), Order { boot: 1, seq: 0 });
        let said = Said { root: root.clone(), in_use: Some(true), ..Said::default() };
        let mut own = Own::open(dir.path(), "phone").unwrap();
        let second = said.report(&mut own).unwrap();
        assert_eq!(second.order(), Order { boot: 1, seq: 1 });
        let kinds: Vec<&str> = second.readings.iter().map(Reading::kind).collect();
        assert_eq!(kinds, ["in_use", "power", "place", "attributes"]);
        boot("b\n");
        assert_eq!(said.report(&mut own).unwrap().order(), Order { boot: 2, seq: 0 });
        let bad = Said { route: vec!["pigeon home".into()], ..said };
        assert!(bad.report(&mut own).is_err());
    }
}
