//! The account object: a mailbox at a mail server, and the server that takes mail from it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::keep;
use super::error::{ObjectError, ObjectErrorKind};
use super::outbox::is_address;
use super::xml::{self, Pull};
use crate::mirror::DeleteRule;
use bytes::Bytes;
use core::fmt;

/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.account+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";

/// An account at a mail server.
///
/// # Shape
/// `<Account>` with `Version, Name?, Address, Login?, Secret?, SecretIs?, (Imap | Pop3), Smtp?, Delete?, Fetched?,
/// ServerKeepsSent?, Keep?`; `Imap`, `Pop3` and `Smtp` hold `Host, Port, Tls`. `Secret` travels only towards the server; it
/// is stored nowhere in this form. Unknown elements survive.
/// # Errors
/// As [`Email`](super::Email); `Unsupported` for a later major version.
///
/// ```
/// use mailsync_proto::mail::account::{Account, Server, Tls};
/// let account = Account::new("ana@example.org", Server::parse("imap.example.org:993", Tls::Implicit).unwrap());
/// assert_eq!(Account::parse(&account.to_xml()).unwrap(), account);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// Its name for people.
    pub name: Box<str>,
    /// Our address there.
    pub address: Box<str>,
    /// The login name at the servers.
    pub login: Box<str>,
    /// What proves that we are it.
    pub secret: Option<AccountSecret>,
    /// The secret is an OAuth 2 access token and not a password.
    pub token: bool,
    /// How mail is got.
    pub protocol: Protocol,
    /// The server that has the mail.
    pub inbound: Server,
    /// The submission server; without one nothing is sent through this account.
    pub smtp: Option<Server>,
    /// What deleting means there.
    pub delete: DeleteRule,
    /// What becomes of mail there once it is here; of POP3 only.
    pub fetched: Fetched,
    /// The mail server keeps a copy of what is sent by itself, so none is added.
    pub server_keeps_sent: bool,
    /// It is for one session: its secret is not stored, and comes again with each.
    pub per_session: bool,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

/// How mail is got from a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IMAP: what is done here is done there, too.
    #[default]
    Imap,
    /// POP3: mail comes, and a deletion goes back.
    Pop3,
}

impl Protocol {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
        }
    }
}

/// What becomes of mail on a POP3 server once it is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fetched {
    /// It stays there.
    #[default]
    Leave,
    /// It is deleted there.
    Remove,
}

/// A secret that does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSecret(pub Box<str>);

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Name or address.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// How the link is encrypted.
    pub tls: Tls,
}

/// How a link is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tls {
    /// From the first octet.
    #[default]
    Implicit,
    /// After STARTTLS.
    Starttls,
    /// Not at all: to the same machine only.
    None,
}

impl Tls {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Tls::Implicit => "implicit",
            Tls::Starttls => "starttls",
            Tls::None => "none",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Tls::Implicit, Tls::Starttls, Tls::None]
            .into_iter()
            .find(|tls| word.eq_ignore_ascii_case(tls.as_str()))
    }
}

impl Server {
    /// Reads `HOST:PORT`, or `[ADDRESS]:PORT`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str, tls: Tls) -> Result<Self, String> {
        let bad = || format!("{text:?} is no HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        let server = Server { host: host.into(), port, tls };
        if server.is_good() { Ok(server) } else { Err(bad()) }
    }

    fn is_good(&self) -> bool {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'/';
        !self.host.is_empty() && self.host.len() <= 253 && self.host.bytes().all(plain) && self.port != 0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Account {
    /// An account whose login name is its address.
    pub fn new(address: &str, inbound: Server) -> Self {
        Account {
            name: address.into(),
            address: address.into(),
            login: address.into(),
            secret: None,
            token: false,
            protocol: Protocol::default(),
            inbound,
            smtp: None,
            delete: DeleteRule::default(),
            fetched: Fetched::default(),
            server_keeps_sent: false,
            per_session: false,
            unknown: Vec::new(),
        }
    }

    /// Reads the object.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Account")?;
        let mut kept = 0usize;
        let (mut name, mut address, mut login, mut secret) = (None, None, None, None);
        let (mut inbound, mut smtp) = (None, None);
        let mut account = Account::new("", Server { host: "".into(), port: 0, tls: Tls::default() });
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "Version" => pull.version(VERSION, "an account")?,
                "Name" => once(&mut pull, &mut name)?,
                "Address" => once(&mut pull, &mut address)?,
                "Login" => once(&mut pull, &mut login)?,
                "Secret" => once(&mut pull, &mut secret)?,
                "SecretIs" => account.token = pull.word()?.eq_ignore_ascii_case("token"),
                "Imap" if inbound.is_none() => inbound = Some((Protocol::Imap, server(&mut pull)?)),
                "Pop3" if inbound.is_none() => inbound = Some((Protocol::Pop3, server(&mut pull)?)),
                "Smtp" if smtp.is_none() => smtp = Some(server(&mut pull)?),
                "Imap" | "Pop3" | "Smtp" => return Err(pull.malformed("a server twice")),
                // Rules by which mail goes are not guessed.
                "Delete" => {
                    account.delete = DeleteRule::parse(&pull.word()?)
                        .ok_or_else(|| pull.malformed("Delete is trash, expunge or keep"))?;
                }
                "Fetched" => {
                    account.fetched = match &*pull.word()? {
                        "leave" => Fetched::Leave,
                        "remove" => Fetched::Remove,
                        _ => return Err(pull.malformed("Fetched is leave or remove")),
                    }
                }
                "Keep" => {
                    account.per_session = match &*pull.word()? {
                        "always" => false,
                        "session" => true,
                        _ => return Err(pull.malformed("Keep is always or session")),
                    }
                }
                "ServerKeepsSent" => account.server_keeps_sent = pull.word()?.eq_ignore_ascii_case("true"),
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    account.unknown.push(raw);
                }
            }
        }
        let broken = |what: &str| ObjectErrorKind::Malformed(what.into());
        account.address = address.unwrap_or_default();
        let Some((protocol, inbound)) = inbound else { return Err(pull.error(broken("no Imap, no Pop3"))) };
        if account.fetched == Fetched::Remove && protocol != Protocol::Pop3 {
            return Err(pull.error(broken("Fetched is of Pop3")));
        }
        if !is_address(&account.address) {
            return Err(pull.error(broken("no Address")));
        }
        account.login = login.unwrap_or_else(|| account.address.clone());
        account.name = name.unwrap_or_else(|| account.address.clone());
        account.secret = secret.map(AccountSecret);
        (account.protocol, account.inbound, account.smtp) = (protocol, inbound, smtp);
        pull.finish()?;
        Ok(account)
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Account>".to_vec();
        xml::element(&mut out, "Version", VERSION);
        xml::element(&mut out, "Name", &self.name);
        xml::element(&mut out, "Address", &self.address);
        xml::element(&mut out, "Login", &self.login);
        if let Some(AccountSecret(secret)) = &self.secret {
            xml::element(&mut out, "Secret", secret);
        }
        if self.token {
            xml::element(&mut out, "SecretIs", "token");
        }
        let inbound = match self.protocol {
            Protocol::Imap => "Imap",
            Protocol::Pop3 => "Pop3",
        };
        let servers = [(inbound, Some(&self.inbound)), ("Smtp", self.smtp.as_ref())];
        for (name, server) in servers.into_iter().filter_map(|(name, server)| Some((name, server?))) {
            out.extend_from_slice(format!("<{name}>").as_bytes());
            xml::element(&mut out, "Host", &server.host);
            xml::element(&mut out, "Port", &server.port.to_string());
            xml::element(&mut out, "Tls", server.tls.as_str());
            out.extend_from_slice(format!("</{name}>").as_bytes());
        }
        xml::element(&mut out, "Delete", self.delete.as_str());
        if self.fetched == Fetched::Remove {
            xml::element(&mut out, "Fetched", "remove");
        }
        if self.server_keeps_sent {
            xml::element(&mut out, "ServerKeepsSent", "true");
        }
        if self.per_session {
            xml::element(&mut out, "Keep", "session");
        }
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        out.extend_from_slice(b"</Account>");
        out.into()
    }

    /// Without its secret: as it is stored and shown.
    #[must_use]
    pub fn without_secret(&self) -> Self {
        Account { secret: None, ..self.clone() }
    }
}

fn once(pull: &mut Pull<'_>, slot: &mut Option<Box<str>>) -> Result<(), ObjectError> {
    if slot.is_some() {
        return Err(pull.malformed("an element twice"));
    }
    let word = pull.word()?;
    // threats: M2: what goes into commands of other protocols.
    if word.len() > 4096 || word.chars().any(char::is_control) {
        return Err(pull.malformed("control characters, or too long"));
    }
    *slot = Some(word);
    Ok(())
}

fn server(pull: &mut Pull<'_>) -> Result<Server, ObjectError> {
    let mut server = Server { host: "".into(), port: 0, tls: Tls::default() };
    while let Some(child) = pull.child()? {
        match child.name.as_str() {
            "Host" => server.host = pull.word()?,
            "Port" => server.port = pull.word()?.parse().unwrap_or(0),
            "Tls" => {
                let word = pull.word()?;
                server.tls = Tls::parse(&word).ok_or_else(|| pull.malformed("an unknown Tls"))?;
            }
            _ => {
                pull.survivor(&child)?;
            }
        }
    }
    if server.is_good() { Ok(server) } else { Err(pull.malformed("a server without Host and Port")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_account_1_0_and_unknown_survives() {
        let text = include_bytes!("../../tests/golden/account.xml");
        let account = Account::parse(&Bytes::from_static(text)).unwrap();
        assert_eq!(
            (account.inbound.to_string(), account.inbound.tls),
            ("imap.example.org:993".into(), Tls::Implicit)
        );
        assert_eq!(account.smtp.as_ref().map(|s| (s.port, s.tls)), Some((587, Tls::Starttls)));
        assert_eq!(
            (account.delete, account.token, account.server_keeps_sent),
            (DeleteRule::Expunge, true, true)
        );
        assert_eq!(account.to_xml().trim_ascii_end(), text.trim_ascii_end());
        assert!(!format!("{account:?}").contains("hunter2"));
        let bare = account.without_secret().to_xml();
        assert!(!bare.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(&*account.unknown[0], "<Later a=\"1\"><X/></Later>");
    }

    #[test]
    fn golden_account_of_pop3_and_of_one_session() {
        let text = include_bytes!("../../tests/golden/account-pop3.xml");
        let account = Account::parse(&Bytes::from_static(text)).unwrap();
        assert_eq!((account.protocol, account.inbound.port), (Protocol::Pop3, 995));
        assert_eq!((account.delete, account.fetched), (DeleteRule::Keep, Fetched::Remove));
        assert!(account.per_session && account.smtp.is_none());
        assert_eq!(account.to_xml().trim_ascii_end(), text.trim_ascii_end());
    }

    #[test]
    fn threat_m2_bad_accounts_are_refused() {
        let good = "<Imap><Host>h</Host><Port>1</Port></Imap>";
        for (inner, what) in [
            ("<Address>a@b</Address>".to_owned(), "no Imap"),
            (good.to_owned(), "no Address"),
            (format!("<Address>ab</Address>{good}"), "no Address"),
            (format!("<Address>a@b</Address>{good}{good}"), "twice"),
            (format!("<Address>a@b</Address>{good}<Pop3><Host>h</Host><Port>1</Port></Pop3>"), "twice"),
            (format!("<Address>a@b</Address>{good}<Delete>all</Delete>"), "Delete is"),
            (format!("<Address>a@b</Address>{good}<Fetched>remove</Fetched>"), "Fetched is of Pop3"),
            (format!("<Address>a@b</Address>{good}<Keep>ever</Keep>"), "Keep is"),
            (format!("<Address>a@b</Address><Login>a&#10;b</Login>{good}"), "control"),
            ("<Address>a@b</Address><Imap><Host>h h</Host><Port>1</Port></Imap>".to_owned(), "Host"),
            ("<Address>a@b</Address><Imap><Host>h</Host><Port>99999</Port></Imap>".to_owned(), "Port"),
            (format!("<Address>a@b</Address><Version>2.0</Version>{good}"), "version 2.0"),
        ] {
            let text = Bytes::from(format!("<Account>{inner}</Account>"));
            let error = Account::parse(&text).unwrap_err().to_string();
            assert!(error.contains(what), "{inner}: {error}");
        }
        for bad in ["", "x", "x:0", "x:y", ":1", "a b:1", "x:70000", "a/b:1"] {
            assert!(Server::parse(bad, Tls::Implicit).is_err(), "{bad}");
        }
        assert_eq!(Server::parse("[::1]:143", Tls::None).unwrap().host, "::1".into());
    }
}
