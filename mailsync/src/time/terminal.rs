//! The client's state of time in its folder, and its clock.
//!
//! The client never sets the system's clock. Its own clock is the system's plus what was agreed with the server; so a
//! clock that was set here stays set for everything this client does.

use crate::store::{DirError, private_dir};
use mailsync_proto::dm::client::{ClockFace, SessionError, Terminal};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use timesync::civil::shown_at;
use timesync::clock::SyncPolicy;
use timesync::zones::{ZoneName, Zones};
use timesync::{Now, UnixTime};

/// Where the client keeps its part, locked while it is worked on.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) terminal: Terminal,
    /// The client's clock minus the system's, nanoseconds.
    pub(super) adjust: i64,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Dir(#[from] DirError),
    #[error("{}: {source}", path.display())]
    State { path: PathBuf, source: SessionError },
}

impl Folder {
    /// Opens it, waiting for whoever works on it.
    pub(super) fn open(dir: &Path) -> Result<Self, FolderError> {
        let state = dir.join(".mailsync");
        let path = state.join("terminal");
        let io = |source| FolderError::Io { path: path.clone(), source };
        private_dir(&state)?;
        let lock = File::create(state.join("terminal.lock")).map_err(io)?;
        lock.lock().map_err(io)?;
        Ok(Folder { path, _lock: lock })
    }

    /// What is kept; a new terminal when nothing is.
    pub(super) fn load(&self) -> Result<Kept, FolderError> {
        let octets = match std::fs::read(&self.path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Kept { terminal: Terminal::new(SyncPolicy::Ask), adjust: 0 });
            }
            Err(source) => return Err(FolderError::Io { path: self.path.clone(), source }),
        };
        let damaged = |source| FolderError::State { path: self.path.clone(), source };
        let (adjust, terminal) =
            octets.split_first_chunk::<8>().ok_or_else(|| damaged(SessionError::Damaged))?;
        let terminal = Terminal::from_bytes(terminal).map_err(damaged)?;
        Ok(Kept { terminal, adjust: i64::from_le_bytes(*adjust) })
    }

    /// Keeps it: whole and on disk, or not at all.
    pub(super) fn store(&self, kept: &Kept) -> Result<(), FolderError> {
        let state = |source| FolderError::State { path: self.path.clone(), source };
        let io = |source| FolderError::Io { path: self.path.clone(), source };
        let terminal = kept.terminal.to_bytes().map_err(state)?;
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh).map_err(io)?;
        file.write_all(&kept.adjust.to_le_bytes()).and_then(|()| file.write_all(&terminal)).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&fresh, &self.path).map_err(io)
    }
}

/// The client's clock.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// An error on purpose, for tests: nanoseconds to add.
    offset: i64,
    pub(super) zones: Zones,
    pub(super) zone: ZoneName,
}

impl Clock {
    /// A clock in this zone, else in the system's.
    pub(super) fn new(zone: Option<&str>, offset_seconds: i64) -> Result<Self, String> {
        let zones = Zones::bundled();
        let name = match zone {
            Some(name) => ZoneName::new(name).map_err(|error| error.to_string())?,
            None => system_zone(&zones),
        };
        zones.zone(&name).map_err(|error| error.to_string())?;
        let offset = offset_seconds.saturating_mul(1_000_000_000);
        Ok(Clock { start: Instant::now(), offset, zones, zone: name })
    }

    /// What it shows now.
    pub(super) fn face(&self, adjust: i64) -> ClockFace {
        let wall = system_time().plus(self.offset).plus(adjust);
        let zone = self.zones.zone(&self.zone).ok();
        let offset = zone.and_then(|zone| shown_at(wall, &zone).ok()).map_or(0, |(_, offset)| offset);
        ClockFace { now: Now::exact(self.start.elapsed(), wall), offset }
    }
}

/// A time zone by its name, else the system's.
///
/// # Errors
/// In words, when there is none of that name.
pub(crate) fn zone_name(named: Option<&str>) -> Result<String, String> {
    Clock::new(named, 0).map(|clock| clock.zone.as_str().to_owned())
}

fn system_time() -> UnixTime {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => UnixTime::EPOCH.after(since),
        Err(before) => UnixTime::EPOCH.before(before.duration()),
    }
}

/// The zone of the system: TZ, else what /etc/localtime leads to, else UTC.
fn system_zone(zones: &Zones) -> ZoneName {
    let known = |name: &str| ZoneName::new(name).ok().filter(|name| zones.zone(name).is_ok());
    let named = std::env::var("TZ").ok().and_then(|name| known(name.trim_start_matches(':')));
    let linked = || {
        let path = std::fs::canonicalize("/etc/localtime").ok()?;
        known(path.to_str()?.split_once("zoneinfo/")?.1)
    };
    // "UTC" is a zone name.
    named.or_else(linked).or_else(|| known("UTC")).unwrap_or_else(utc)
}

#[expect(clippy::expect_used, reason = "three letters are a zone name")]
fn utc() -> ZoneName {
    ZoneName::new("UTC").expect("three letters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut kept = folder.load().unwrap();
        kept.adjust = -90_000_000_000;
        folder.store(&kept).unwrap();
        assert_eq!(folder.load().unwrap(), kept);
        for damage in [&b""[..], b"short", b"12345678\xff", b"12345678\x01\xff"] {
            std::fs::write(dir.path().join(".mailsync/terminal"), damage).unwrap();
            assert!(folder.load().is_err(), "{damage:?}");
        }
    }
}
