//! `[push]` of the configuration file.

use pushpolicy::Patience;
use pushpolicy::notify::Pace;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How notices reach terminals beside UDP and HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// How long reports are waited for, and kept.
    pub patience: Patience,
    /// The pace of notices that cost somebody a short message or a call.
    pub paid: Paid,
    /// A short message centre, for WAP push.
    pub smpp: Option<Smpp>,
    /// A push proxy gateway.
    pub pap: Option<Pap>,
    /// A multimedia message centre.
    pub mm7: Option<Mm7>,
    /// A SIP proxy.
    pub sip: Option<Sip>,
    /// Push services.
    pub web: Option<WebPush>,
}

/// The pace of paid bearers: [`Pace::costly`], or another.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paid {
    /// Milliseconds that the first event waits for others.
    pub gather_ms: u64,
    /// Milliseconds between two notices.
    pub gap_ms: u64,
    /// Milliseconds until a notice that no session followed is sent again; it doubles.
    pub pause_ms: u64,
    /// The longest such pause.
    pub longest_ms: u64,
}

impl Default for Paid {
    fn default() -> Self {
        let Pace { gather_ms, gap_ms, pause_ms, longest_ms, .. } = Pace::costly();
        Paid { gather_ms, gap_ms, pause_ms, longest_ms }
    }
}

impl Paid {
    /// As the engine of notices knows it.
    pub(super) fn pace(self) -> Pace {
        let mut pace = Pace::costly();
        (pace.gather_ms, pace.gap_ms) = (self.gather_ms, self.gap_ms);
        (pace.pause_ms, pace.longest_ms) = (self.pause_ms, self.longest_ms);
        pace
    }
}

/// A short message centre.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smpp {
    /// `host:port`.
    pub address: String,
    /// Who we are there.
    pub system_id: String,
    /// The file whose first line is the password.
    pub password_file: PathBuf,
    /// The number or short code that messages come from.
    pub from: String,
    /// Where a person reads mail: hints go to any phone as a service indication with this address, and in words.
    pub indicate: Option<String>,
    /// TLS from the first octet.
    #[serde(default)]
    pub tls: bool,
    /// Certificates to trust besides the system's (PEM).
    pub ca: Option<PathBuf>,
}

/// A push proxy gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pap {
    /// Where pushes are posted.
    pub url: String,
    /// Its host in addresses; the URL's if absent.
    pub host: Option<String>,
    /// Who logs in, and the file whose first line is the password.
    pub user: Option<String>,
    /// See `user`.
    pub password_file: Option<PathBuf>,
}

/// A multimedia message centre.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mm7 {
    /// Where messages are posted.
    pub url: String,
    /// Our provider id.
    pub vasp: Option<String>,
    /// Our service id.
    pub vas: Option<String>,
    /// `rel5` or `rel6`.
    #[serde(default)]
    pub release: Release,
    /// Who logs in, and the file whose first line is the password.
    pub user: Option<String>,
    /// See `user`.
    pub password_file: Option<PathBuf>,
}

/// The schema that a centre speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// REL-5-MM7-1-0.
    Rel5,
    /// REL-6-MM7-1-4.
    #[default]
    Rel6,
}

/// A SIP proxy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// Where requests are sent, over UDP.
    pub proxy: SocketAddr,
    /// Who we are: `sip:mailsync@example.org`.
    pub from: String,
    /// Our own address.
    #[serde(default = "anywhere")]
    pub listen: SocketAddr,
    /// Who answers a challenge, and the file whose first line is the password.
    pub user: Option<String>,
    /// See `user`.
    pub password_file: Option<PathBuf>,
    /// Milliseconds that a signal call rings.
    #[serde(default = "ring")]
    pub ring_ms: u64,
}

/// Push services.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebPush {
    /// Origins of the services that may be sent to.
    pub services: Vec<String>,
    /// Who we are, to be written to: `mailto:` or `https:`.
    pub subject: String,
    /// The file whose first line is our private key (P-256, 32 octets in base64url); made if it is not there.
    pub key_file: PathBuf,
}

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

const fn ring() -> u64 {
    2_000
}

/// The first line of a file.
pub(super) fn first_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match text.lines().next().unwrap_or_default().trim() {
        "" => Err(format!("{}: its first line is no password", path.display())),
        line => Ok(line.to_owned()),
    }
}

/// A name with its password, where both are said.
pub(super) fn login(
    user: Option<&String>,
    file: Option<&PathBuf>,
) -> Result<Option<(String, String)>, String> {
    match (user, file) {
        (Some(user), Some(file)) => Ok(Some((user.clone(), first_line(file)?))),
        _ => Ok(None),
    }
}
