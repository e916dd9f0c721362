//! The `[time]` section of the server's configuration.

use serde::Deserialize;
use std::time::Duration;
use timesync::UnixTime;
use timesync::zones::{ZoneName, Zones};

/// Where the reference time comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// NTP servers, `HOST:PORT`.
    pub servers: Vec<String>,
    /// How many of them must agree.
    pub agree: usize,
    /// Seconds between two questions to one server.
    pub poll_seconds: u64,
    /// How far the system's clock may be off when it is the reference.
    pub system_bound_ms: u64,
    /// The server's local time: operations are appointed in it.
    pub zone: String,
}

/// Answers before this are not believed: 2026-11-01, before this program was made.
pub(super) const NOT_BEFORE: UnixTime = UnixTime::from_secs(1_793_491_200);
/// More servers than anyone needs.
const MOST_SERVERS: usize = 32;

impl Default for Config {
    fn default() -> Self {
        Config { servers: Vec::new(), agree: 1, poll_seconds: 64, system_bound_ms: 500, zone: "UTC".into() }
    }
}

impl Config {
    /// What is wrong with it.
    ///
    /// # Errors
    /// In words, with the field's name.
    pub fn check(&self) -> Result<(), String> {
        if self.servers.len() > MOST_SERVERS {
            return Err(format!("time.servers: {}, at most {MOST_SERVERS}", self.servers.len()));
        }
        for server in &self.servers {
            let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
            if port.and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
                return Err(format!("time.servers: {server:?} is no server, say ntp.example.org:123"));
            }
        }
        self.zone_name()?;
        if self.agree == 0 || (!self.servers.is_empty() && self.agree > self.servers.len()) {
            return Err(format!("time.agree: {}, of {} servers", self.agree, self.servers.len()));
        }
        // spec: RFC 5905 §7.2 MINPOLL
        if !(16..=131_072).contains(&self.poll_seconds) {
            return Err(format!("time.poll_seconds: {}, 16 to 131072", self.poll_seconds));
        }
        Ok(())
    }

    /// The server's zone.
    ///
    /// # Errors
    /// In words, when there is none of that name.
    pub fn zone_name(&self) -> Result<ZoneName, String> {
        let name = ZoneName::new(&self.zone).map_err(|error| format!("time.zone: {error}"))?;
        Zones::bundled().zone(&name).map_err(|error| format!("time.zone: {error}"))?;
        Ok(name)
    }

    /// Puts these settings into an engine's configuration.
    pub(super) fn apply(&self, config: &mut timesync::sntp::Config) {
        config.need = self.agree;
        config.min_poll = Duration::from_secs(self.poll_seconds);
        config.max_poll = config.min_poll.saturating_mul(16);
    }
}
