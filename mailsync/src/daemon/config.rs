//! The server's configuration file.

use super::notify::Config as Notify;
use super::tasks::Config as Tasks;
use crate::exchange::config::Sms;
use crate::mailbox::Config as Mail;
use crate::push::Push;
use crate::time::Config as Time;
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::device::DeviceQuirks;
use mailsync_proto::sync::event::{ConflictRule, DeletionRule};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use syncml::session::auth::Scheme;

/// What a configuration file says. Everything has a default; an unknown field is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Our mail domain: SMTP greeting, Message-IDs, and the address of a user added without one.
    pub domain: String,
    /// What clients reach the SyncML endpoint under, behind a proxy.
    pub public_url: Option<String>,
    /// The SyncML endpoint.
    pub http: Http,
    /// The SMTP listener.
    pub smtp: Smtp,
    /// Mail servers whose mailboxes are synced.
    pub mail: Mail,
    /// SyncML sessions.
    pub session: Session,
    /// The exchange of short messages and mail; without it there is none.
    pub sms: Option<Sms>,
    /// Notices to devices that hold no session.
    pub notify: Notify,
    /// How they reach devices beside UDP and HTTP.
    pub push: Push,
    /// Time tasks.
    pub tasks: Tasks,
    /// Who becomes a user without the operator.
    pub register: Registration,
    /// Where the reference time comes from.
    pub time: Time,
    /// Devices that need other than what they say of themselves.
    pub device: Vec<Device>,
    /// What becomes of conflicts, by datastore.
    pub store: Vec<Store>,
}

/// Who becomes a user without the operator.
// mission: T9
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whoever reaches us over TLS or loopback may.
    pub open: bool,
    /// New users in an hour, from all addresses together.
    pub per_hour: u32,
}

impl Default for Registration {
    fn default() -> Self {
        Registration { open: false, per_hour: 20 }
    }
}

/// What becomes of conflicts in a datastore.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Its name: `mail`, `notes`, `contacts`, `tasks`, `calendar`.
    pub name: String,
    /// Of an item that both sides changed.
    pub conflict: Option<Conflict>,
    /// Of one that one side deleted and the other changed.
    pub deletion: Option<Deletion>,
}

/// What becomes of an item that both sides changed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// The client's version stays; ours is set aside.
    ClientWins,
    /// Our version stays; the client's is set aside.
    ServerWins,
    /// Both stay.
    KeepBoth,
    /// Both in one where that can be done, else both stay.
    Merge,
}

/// What becomes of an item that one side deleted and the other changed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Deletion {
    /// The deletion stays; what was changed is set aside.
    Wins,
    /// The change stays.
    Loses,
}

impl Store {
    /// The datastores that there are.
    pub const NAMES: [&str; 5] = ["mail", "notes", "contacts", "tasks", "calendar"];

    /// Sets what was said of this datastore.
    pub fn apply(&self, to: &mut StoreConfig) {
        if *to.name != *self.name {
            return;
        }
        to.conflict = match self.conflict {
            None => to.conflict,
            Some(Conflict::ClientWins) => ConflictRule::ClientWins,
            Some(Conflict::ServerWins) => ConflictRule::ServerWins,
            Some(Conflict::KeepBoth) => ConflictRule::KeepBoth,
            Some(Conflict::Merge) => ConflictRule::Merge,
        };
        to.deletions = match self.deletion {
            None => to.deletions,
            Some(Deletion::Wins) => DeletionRule::DeletionWins,
            Some(Deletion::Loses) => DeletionRule::EditWins,
        };
    }
}

/// A device, or all whose ids begin so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// How the id begins.
    pub id: String,
    /// The name of a row of known devices: `nokia`, ...
    pub quirks: String,
}

impl Device {
    /// As the engine knows it.
    pub fn quirks(&self) -> (Box<str>, DeviceQuirks) {
        (self.id.as_str().into(), DeviceQuirks::named(&self.quirks).unwrap_or_default())
    }
}

/// The SyncML endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 is any free one.
    pub listen: SocketAddr,
    /// The certificate chain that we show, PEM; with it and the key the endpoint speaks TLS only.
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Proxies of ours: what they say of who is behind them is believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections from one address at a time.
    pub connections_per_address: usize,
    /// Messages being answered at a time.
    pub parallel: usize,
    /// Messages in work or waiting, above which clients' changes are taken and ours come later.
    pub busy: u32,
    /// Messages in work or waiting, above which nothing is taken.
    pub overloaded: u32,
}

/// The SMTP listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Address and port; port 0 is any free one.
    pub listen: SocketAddr,
    /// Address and port where another mail server delivers by LMTP; none is taken without.
    pub lmtp: Option<SocketAddr>,
    /// Connections at a time.
    pub connections: usize,
    /// The user who gets the mail for `postmaster`.
    pub postmaster: Option<String>,
}

/// SyncML sessions.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// What clients are challenged with.
    pub auth: Auth,
    /// Octets of the largest message that we take.
    pub max_msg_size: u32,
    /// Octets of the largest object that we take.
    pub max_obj_size: u64,
    /// Networks from which a password may come over plain HTTP, beside loopback.
    pub allow_plain_basic: Vec<Network>,
    /// Minutes for which a sync that broke off can be gone on with; then its session is dropped.
    pub idle_minutes: u32,
    /// At the end of a session the device is asked to sync what else has news for it, if it takes such requests.
    pub offers_news: bool,
    /// By what clients know us, if we prove to them who we are; notifications (Package #0) need it.
    pub server_name: Option<String>,
    /// The file whose first line is our password at clients.
    pub server_password_file: Option<PathBuf>,
    /// How we prove it.
    pub server_auth: Auth,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// By a digest.
    Md5,
    /// By the password itself.
    Basic,
    /// By a digest of every message, in a header of the transport.
    Hmac,
}

impl Auth {
    /// As the engine knows it.
    pub fn scheme(self) -> Scheme {
        match self {
            Auth::Md5 => Scheme::Md5,
            Auth::Basic => Scheme::Basic,
            Auth::Hmac => Scheme::Mac,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: None,
            domain: "localhost".into(),
            public_url: None,
            http: Http::default(),
            smtp: Smtp::default(),
            mail: Mail::default(),
            session: Session::default(),
            sms: None,
            notify: Notify::default(),
            push: Push::default(),
            tasks: Tasks::default(),
            register: Registration::default(),
            time: Time::default(),
            device: Vec::new(),
            store: Vec::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            connections_per_address: 256,
            parallel: 16,
            busy: 64,
            overloaded: 256,
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Smtp {
            listen: SocketAddr::from(([127, 0, 0, 1], 2525)),
            lmtp: None,
            connections: 100,
            postmaster: None,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Session {
            auth: Auth::Md5,
            max_msg_size: 150_000,
            max_obj_size: 32 << 20,
            allow_plain_basic: Vec::new(),
            idle_minutes: 1440,
            offers_news: false,
            server_name: None,
            server_password_file: None,
            server_auth: Auth::Md5,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {message}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
}

impl Config {
    /// The default configuration as a file, with what each field means.
    pub const DEFAULT: &'static str = include_str!("default.toml");

    /// Reads a file; without one it is the default.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.into(), source })?;
        Self::parse(&text).map_err(|message| ConfigError::Bad { path: path.into(), message })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.http.tls_cert.is_some() != self.http.tls_key.is_some() {
            return Err("http: tls_cert and tls_key go together".into());
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(format!("public_url: {url:?} is no http or https URL"));
        }
        if let Some(device) = self.device.iter().find(|device| DeviceQuirks::named(&device.quirks).is_none())
        {
            let known: Vec<&str> = DeviceQuirks::names().collect();
            return Err(format!("device.quirks: {:?}, known are: {}", device.quirks, known.join(", ")));
        }
        if let Some(store) = self.store.iter().find(|store| !Store::NAMES.contains(&&*store.name)) {
            return Err(format!("store.name: {:?}, there are: {}", store.name, Store::NAMES.join(", ")));
        }
        if self.session.server_name.is_some() != self.session.server_password_file.is_some() {
            return Err("session.server_name and session.server_password_file: one without the other".into());
        }
        let good = |octet: u8| octet.is_ascii_alphanumeric() || b".-".contains(&octet);
        if self.domain.is_empty() || !self.domain.bytes().all(good) {
            return Err(format!("domain: {:?} is no host name", self.domain));
        }
        self.time.check()?;
        for (name, value, least) in [
            ("http.connections_per_address", self.http.connections_per_address, 1),
            ("http.parallel", self.http.parallel, 1),
            ("smtp.connections", self.smtp.connections, 1),
            ("session.max_msg_size", self.session.max_msg_size as usize, 1024),
            ("mail.poll_seconds", usize::try_from(self.mail.poll_seconds).unwrap_or(usize::MAX), 1),
            ("mail.retry_seconds", usize::try_from(self.mail.retry_seconds).unwrap_or(usize::MAX), 1),
            ("session.idle_minutes", self.session.idle_minutes as usize, 1),
        ] {
            if value < least {
                return Err(format!("{name}: {value}, at least {least}"));
            }
        }
        self.sms.as_ref().map_or(Ok(()), Sms::check)
    }

    /// The data folder: of the command line, else of the file, else where the system keeps such things.
    pub fn data_dir(&self, given: Option<&Path>) -> PathBuf {
        if let Some(path) = given.or(self.data.as_deref()) {
            return path.into();
        }
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")));
        base.unwrap_or_else(|| PathBuf::from(".")).join("mailsyncd")
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: u128,
    mask: u128,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.base
    }
}

/// An address as 128 bits; IPv4 as it is mapped into IPv6.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("{text:?} is no network, say 10.0.0.0/8");
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len.parse::<u32>().map_err(|_| bad())?)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let (max, above) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let len = len.unwrap_or(max);
        if len > max {
            return Err(bad());
        }
        let mask = u128::MAX.checked_shl(128 - len - above).unwrap_or(0);
        Ok(Network { base: bits(address) & mask, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_default_is_the_default() {
        let parsed = Config::parse(Config::DEFAULT).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
        // What is commented out works, too.
        let all: String = Config::DEFAULT
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(setting) if !setting.starts_with(' ') => setting,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let parsed = Config::parse(&all).unwrap();
        assert_eq!(parsed.public_url.as_deref(), Some("https://sync.example.org/syncml"));
        let sms = parsed.sms.unwrap();
        assert_eq!((sms.smsc.len(), sms.account.len(), sms.numbers.len()), (1, 1, 1));
        let peer = &sms.smsc.first().unwrap().peer;
        assert_eq!(format!("{peer:?}"), format!("{:?}", crate::exchange::config::Peer::default()));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("[http]\nlisten = \"nowhere\"", "listen"),
            ("prot = 1", "prot"),
            ("[session]\nauth = \"none\"", "auth"),
            ("[session]\nallow_plain_basic = [\"10.0.0.0/40\"]", "10.0.0.0/40"),
            ("public_url = \"ftp://x\"", "public_url"),
            ("domain = \"a b\"", "domain"),
            ("[http]\nparallel = 0", "http.parallel"),
            ("[[device]]\nid = \"IMEI:1\"\nquirks = \"toaster\"", "known are: nokia"),
            ("[[store]]\nname = \"memories\"", "there are: mail"),
            ("[[store]]\nname = \"notes\"\nconflict = \"fight\"", "fight"),
            ("[session]\nserver_name = \"srv\"", "server_password_file"),
            ("[sms]\nnumbers = [\"10086\"]", "smsc"),
            (
                "[sms]\nnumbers = [\"Bank\"]\n[[sms.account]]\nsystem_id = \"a\"\npassword_file = \"x\"",
                "Bank",
            ),
            ("[[sms.account]]\nsystem_id = \"a\"\npassword_file = \"x\"\nwindow = 0\n[sms]", "window"),
            ("[[sms.account]]\nsystem_id = \"a\"\npassword_file = \"x\"\nwidnow = 9", "widnow"),
            ("[time]\nservers = [\"ntp.example.org\"]", "time.servers"),
            ("[time]\nservers = [\"a:1\"]\nagree = 2", "time.agree"),
            ("[time]\nzone = \"../etc/passwd\"", "time.zone"),
            ("[time]\nzone = \"Mars/Olympus\"", "time.zone"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn networks() {
        let network = |text: &str| Network::try_from(text.to_owned()).unwrap();
        let has = |net: &str, address: &str| network(net).contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.6"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "fe80::1"));
        assert!(has("::/0", "1.2.3.4"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.1.1"), "as a dual-stack socket says it");
    }
}
