//! `[sms]` of the configuration file.

use crate::daemon::config::Network;
use mailsync_proto::mail::account::{Server, Tls};
use serde::Deserialize;
use smsbridge::bridge::{ConvertRules, FlagRules, Msisdn, Party, PeerText, Routes, TollLimits};
use smsbridge::smpp::session::{BindMode, Config as SessionConfig, Credentials, Rate};
use smsbridge::smpp::{CString, InterfaceVersion, Profile};
use smsbridge::text::{Alphabet, Reference};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The exchange of short messages and mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// Phones have addresses in this domain: `+8613800138000@sms.example.org`.
    pub domain: String,
    /// Our own numbers, as the operator writes them; the first is used where nothing speaks for another.
    pub numbers: Vec<String>,
    /// Where SMS clients bind.
    pub listen: Option<SocketAddr>,
    /// The same over TLS from the first octet, with `tls_cert` and `tls_key`.
    pub listen_tls: Option<SocketAddr>,
    /// The certificate chain that clients see (PEM); read anew when it changes.
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    pub tls_key: Option<PathBuf>,
    /// Certificates to trust besides the system's: of centres and the relay (PEM).
    pub ca: Option<PathBuf>,
    /// Where counters can be read, over HTTP.
    pub metrics: Option<SocketAddr>,
    /// `host:port` of the mail server that takes mail for others.
    pub relay: Option<String>,
    /// How the link to it is encrypted.
    pub relay_tls: RelayTls,
    /// Who logs in there; nobody by default.
    pub relay_user: Option<String>,
    /// The file whose first line is the password.
    pub relay_password_file: Option<PathBuf>,
    /// The header field of the flag.
    pub flag: String,
    /// Parts of one mail at most.
    pub max_parts: usize,
    /// Networks whose flagged mail is converted without a login.
    pub trusted: Vec<Network>,
    /// Domains that phones may write to, beside bound mailboxes and local users.
    pub mail_to: Vec<String>,
    /// Prefixes that nothing is sent to.
    pub blocked: Vec<String>,
    /// Parts a day of one sender.
    pub sender_day: u32,
    /// Parts a day by prefix, of all senders.
    pub prefix_day: BTreeMap<String, u32>,
    /// Messages an hour between one phone and one mailbox.
    pub pair_hour: u32,
    /// Seconds until a message that nobody takes is given up.
    pub give_up: u64,
    /// Seconds until missing parts are no longer waited for.
    pub part_wait: u64,
    /// The centres that we are a client of.
    pub smsc: Vec<Smsc>,
    /// Clients of ours.
    pub account: Vec<Account>,
}

impl Default for Sms {
    fn default() -> Self {
        Sms {
            domain: "sms.localhost".into(),
            numbers: Vec::new(),
            listen: None,
            listen_tls: None,
            tls_cert: None,
            tls_key: None,
            ca: None,
            metrics: None,
            relay: None,
            relay_tls: RelayTls::None,
            relay_user: None,
            relay_password_file: None,
            flag: "SMS-Convert".into(),
            max_parts: 4,
            trusted: Vec::new(),
            mail_to: Vec::new(),
            blocked: Vec::new(),
            sender_day: 200,
            prefix_day: BTreeMap::new(),
            pair_hour: 60,
            give_up: 86_400,
            part_wait: 600,
            smsc: Vec::new(),
            account: Vec::new(),
        }
    }
}

/// A centre that we bind to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smsc {
    /// Our name for it.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// TLS from the first octet; the certificate must be the host's.
    #[serde(default)]
    pub tls: bool,
    /// Our account there.
    pub system_id: String,
    /// The file whose first line is the password.
    pub password_file: PathBuf,
    /// What to bind as.
    #[serde(default)]
    pub mode: Mode,
    /// The numbers that go there.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What both kinds of link have.
    #[serde(flatten)]
    pub peer: Peer,
}

/// A client that binds to us.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub system_id: String,
    /// The file whose first line is its password.
    pub password_file: PathBuf,
    /// Its numbers: what it may send from, and what is delivered to it.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// The numbers that it may send to.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Parts a day, if not the general limit.
    pub day: Option<u32>,
    /// Links at a time.
    #[serde(default = "two")]
    pub binds: usize,
    /// Addresses that it may bind from; empty for any.
    #[serde(default)]
    pub from: Vec<Network>,
    /// Flagged messages go to it: it is the mail part of this SMS part.
    #[serde(default)]
    pub converts: bool,
    /// What it sends is answered and thrown away: to measure a link.
    #[serde(default)]
    pub discard: bool,
    /// What both kinds of link have.
    #[serde(flatten)]
    pub peer: Peer,
}

fn two() -> usize {
    2
}

/// How a peer speaks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// Unanswered requests at a time, each way.
    pub window: usize,
    /// Parts a second that it takes; 0 for no limit.
    pub rate: u32,
    /// 33, 34 or 50.
    pub version: u8,
    /// Which deviations are taken.
    pub profile: ProfileName,
    /// How long texts are split.
    pub split: SplitName,
    /// What `data_coding` 0 means there.
    pub alphabet: AlphabetName,
    /// UCS-2 is met under `data_coding` 0.
    pub guess_ucs2: bool,
    /// One receipt comes for all parts of a message.
    pub one_receipt: bool,
    /// Seconds of silence until we ask whether it is there.
    pub enquire_link: u64,
    /// Seconds that a request may be unanswered.
    pub response: u64,
}

impl Default for Peer {
    fn default() -> Self {
        Peer {
            window: 10,
            rate: 0,
            version: 34,
            profile: ProfileName::Normal,
            split: SplitName::Udh8,
            alphabet: AlphabetName::Gsm7,
            guess_ucs2: false,
            one_receipt: false,
            enquire_link: 30,
            response: 60,
        }
    }
}

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$default:ident])? $variant:ident $doc:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $(#[doc = $doc] $(#[$default])? $variant,)* }
    };
}

names! {
    /// What we bind as.
    Mode { #[default] Transceiver "Both ways.", Transmitter "To send.", Receiver "To receive.", }
}
names! {
    /// Encryption of the link to the relay.
    RelayTls { #[default] None "Not at all: this machine only.", Starttls "After STARTTLS, or no mail.", Implicit "From the first octet.", }
}
names! {
    /// A set of deviations.
    ProfileName { Strict "The standard.", #[default] Normal "What harms nobody.", Lenient "All.", }
}
names! {
    /// How parts find each other.
    SplitName { #[default] Udh8 "8-bit reference.", Udh16 "16-bit reference.", Sar "TLVs.", Payload "Not split.", }
}
names! {
    /// An alphabet.
    AlphabetName { #[default] Gsm7 "One septet an octet.", Gsm7Packed "Packed.", Latin1 "Latin-1.", Ascii "ASCII.", }
}

impl Peer {
    /// How its sessions behave; `system_id` is our name towards it.
    pub(super) fn session(&self, system_id: &str) -> SessionConfig {
        let mut config = SessionConfig::default();
        config.system_id = CString::try_from(system_id).unwrap_or_default();
        config.interface_version = match self.version {
            33 => InterfaceVersion::V3_3,
            50 => InterfaceVersion::V5_0,
            _ => InterfaceVersion::V3_4,
        };
        config.window = self.window;
        config.peer_window = self.window.max(100);
        config.rate = (self.rate > 0).then_some(Rate { parts_per_second: self.rate, burst: self.rate });
        config.timers.enquire_link = Duration::from_secs(self.enquire_link);
        config.timers.response = Duration::from_secs(self.response);
        config.quirks = match self.profile {
            ProfileName::Strict => Profile::Strict,
            ProfileName::Normal => Profile::Normal,
            ProfileName::Lenient => Profile::Lenient,
        }
        .into();
        config
    }

    pub(super) fn text(&self) -> PeerText {
        let mut text = PeerText::default();
        text.default_alphabet = self.alphabet();
        text.guess_ucs2 = self.guess_ucs2;
        text
    }

    fn alphabet(&self) -> Alphabet {
        match self.alphabet {
            AlphabetName::Gsm7 => Alphabet::Gsm7,
            AlphabetName::Gsm7Packed => Alphabet::Gsm7Packed,
            AlphabetName::Latin1 => Alphabet::Latin1,
            AlphabetName::Ascii => Alphabet::Ascii,
        }
    }

    /// How mails become short messages for it.
    pub(super) fn rules(&self, max_parts: usize, reference: u16) -> ConvertRules {
        let mut rules = ConvertRules::default();
        rules.split.max_parts = max_parts;
        rules.split.default_alphabet = self.alphabet();
        let low = reference.to_be_bytes()[1];
        rules.split.reference = match self.split {
            SplitName::Udh8 => Reference::Udh8(low),
            SplitName::Udh16 => Reference::Udh16(reference),
            SplitName::Sar => Reference::Sar(reference),
            SplitName::Payload => Reference::Payload,
        };
        rules
    }
}

impl Smsc {
    pub(super) fn credentials(&self) -> Result<Credentials, String> {
        let bad = |error| format!("sms.smsc {}: {error}", self.name);
        let mode = match self.mode {
            Mode::Transceiver => BindMode::Transceiver,
            Mode::Transmitter => BindMode::Transmitter,
            Mode::Receiver => BindMode::Receiver,
        };
        let password = password(&self.password_file)?;
        let system_id = self
            .system_id
            .as_str()
            .try_into()
            .map_err(|e: smsbridge::smpp::ValueError| bad(e.to_string()))?;
        let password = password
            .as_str()
            .try_into()
            .map_err(|e: smsbridge::smpp::ValueError| bad(format!("password: {e}")))?;
        Ok(Credentials::new(mode, system_id, password))
    }
}

/// The first line of a file.
pub(super) fn password(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl Sms {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let good = |octet: u8| octet.is_ascii_alphanumeric() || b".-".contains(&octet);
        if self.domain.is_empty() || !self.domain.bytes().all(good) {
            return Err(format!("sms.domain: {:?} is no host name", self.domain));
        }
        if !(1..=255).contains(&self.max_parts) {
            return Err(format!("sms.max_parts: {}, 1 to 255", self.max_parts));
        }
        if self.smsc.is_empty() && self.account.is_empty() {
            return Err("sms: neither an smsc to bind to nor an account for clients".into());
        }
        let mut names = std::collections::BTreeSet::new();
        for (kind, name) in self.names() {
            if name.is_empty() || name.len() > 15 || !names.insert((kind, name)) {
                return Err(format!("sms.{kind} {name:?}: 1 to 15 octets, each name once"));
            }
        }
        let peers = self.smsc.iter().map(|smsc| &smsc.peer).chain(self.account.iter().map(|a| &a.peer));
        for peer in peers {
            if peer.window == 0 || ![33, 34, 50].contains(&peer.version) {
                return Err(format!(
                    "sms: window {} (at least 1), version {} (33, 34 or 50)",
                    peer.window, peer.version
                ));
            }
        }
        if self.listen_tls.is_some() && (self.tls_cert.is_none() || self.tls_key.is_none()) {
            return Err("sms.listen_tls: tls_cert and tls_key say which certificate".into());
        }
        if self.relay_user.is_some() != self.relay_password_file.is_some() {
            return Err("sms.relay_user and relay_password_file go together".into());
        }
        for address in self.relay.iter().chain(self.smsc.iter().map(|smsc| &smsc.address)) {
            Server::parse(address, Tls::None)?;
        }
        let numbers = self.account.iter().flat_map(|account| &account.numbers).chain(&self.numbers);
        for number in numbers {
            if matches!(party(number), Party::Other { .. }) {
                return Err(format!("sms: {number:?} is no number, say +8613800138000 or 10086"));
            }
        }
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let centres = self.smsc.iter().map(|smsc| ("smsc", smsc.name.as_str()));
        centres.chain(self.account.iter().map(|account| ("account", account.system_id.as_str())))
    }

    pub(super) fn flags(&self) -> FlagRules {
        let mut rules = FlagRules::default();
        rules.field = self.flag.clone();
        rules
    }

    pub(super) fn routes(&self) -> Routes {
        let mut routes = Routes::default();
        self.blocked.iter().for_each(|prefix| routes.block(prefix));
        for smsc in &self.smsc {
            smsc.prefixes.iter().for_each(|prefix| routes.add(prefix, link_of_smsc(&smsc.name)));
        }
        routes
    }

    pub(super) fn toll(&self) -> TollLimits {
        let mut limits = TollLimits::default();
        limits.sender = self.sender_day;
        limits.prefixes = self.prefix_day.iter().map(|(prefix, day)| (prefix.clone(), *day)).collect();
        limits
    }
}

impl Account {
    /// Whether it may send there.
    pub(super) fn may_send_to(&self, number: &Msisdn) -> bool {
        let digits = |prefix: &str| prefix.trim_start_matches('+').to_owned();
        self.prefixes.iter().any(|prefix| number.digits().starts_with(&digits(prefix)))
    }
}

/// The queue of a centre.
pub(super) fn link_of_smsc(name: &str) -> String {
    format!("smsc:{name}")
}

/// The queue of a client.
pub(super) fn link_of_account(system_id: &str) -> String {
    format!("account:{system_id}")
}

/// A number as it stands in the configuration.
pub(super) fn party(text: &str) -> Party {
    if let Some(number) = Msisdn::parse(text) {
        return Party::Phone(number);
    }
    if (3..=8).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Party::ShortCode(text.into());
    }
    Party::Other { ton: 0, npi: 0, address: text.into() }
}
