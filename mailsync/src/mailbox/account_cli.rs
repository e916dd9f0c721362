//! `mailsyncd account` and `mailsyncd key`.

use super::imap::Imap;
use super::link::Trust;
use super::pop3::Pop3;
use super::vault::{Vault, place};
use super::watch::credentials;
use super::{Error, Mailbox};
use crate::relay;
use crate::store::SqliteStore;
use crate::turns::{self, Failure};
use clap::{Subcommand, ValueEnum};
use idmap::Guid;
use mailsync_proto::mail::account::{Account, Fetched, Protocol, Server, Tls};
use mailsync_proto::mail::accounts::{DATASTORE, account_value};
use mailsync_proto::mirror::DeleteRule;
use mailsync_proto::sync::store::{Item, Read, StoreKey, Value, Write};
use mailsync_proto::sync::turn::{Missing, Reader};
use serde_json::json;
use smsbridge::Secret;
use std::path::Path;
use std::process::ExitCode;

/// Accounts at mail servers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an account, or change it: checked at the mail servers first (secret from MAILSYNC_ACCOUNT_PASSWORD, else a prompt)
    Add(Box<Add>),
    /// List accounts
    List {
        /// Login name
        user: Option<String>,
    },
    /// Log in to the mail servers of an account
    Check {
        /// Login name
        user: String,
        /// Its short name
        account: String,
    },
    /// Remove an account; its mails stay until they are deleted
    Remove {
        /// Login name
        user: String,
        /// Its short name
        account: String,
    },
}

/// What is registered, and for whom.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Login name
    user: String,
    /// A short name for the account
    account: String,
    #[command(flatten)]
    settings: Settings,
}

/// What an account is.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Its name for people [default: the short name]
    #[arg(long)]
    name: Option<String>,
    /// Our address there
    #[arg(long, value_name = "MAILADDR")]
    address: String,
    /// Login name at the mail servers [default: the address]
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// The secret is an OAuth 2 access token
    #[arg(long)]
    token: bool,
    /// The IMAP server
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "pop3")]
    imap: Option<String>,
    /// How it is encrypted
    #[arg(long, value_enum, default_value_t = TlsArg::Implicit)]
    imap_tls: TlsArg,
    /// The POP3 server, in place of an IMAP server: mail comes from it, and only a deletion goes back
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "imap")]
    pop3: Option<String>,
    /// How it is encrypted
    #[arg(long, value_enum, default_value_t = TlsArg::Implicit)]
    pop3_tls: TlsArg,
    /// What becomes of mail on a POP3 server once it is here
    #[arg(long, value_enum, default_value_t = FetchedArg::Leave, requires = "pop3")]
    fetched: FetchedArg,
    /// The submission server
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// How it is encrypted
    #[arg(long, value_enum, default_value_t = TlsArg::Implicit)]
    smtp_tls: TlsArg,
    /// What deleting a mail means there
    #[arg(long, value_enum, default_value_t = Delete::Trash)]
    delete: Delete,
    /// The mail server keeps a copy of what is sent by itself
    #[arg(long)]
    server_keeps_sent: bool,
    /// The sync server stores no secret: it is known for one session, and comes anew with each
    #[arg(long)]
    per_session: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TlsArg {
    /// From the first octet
    Implicit,
    /// After STARTTLS
    Starttls,
    /// Not at all: to this machine only
    None,
}

impl TlsArg {
    fn tls(self) -> Tls {
        match self {
            TlsArg::Implicit => Tls::Implicit,
            TlsArg::Starttls => Tls::Starttls,
            TlsArg::None => Tls::None,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Delete {
    /// It goes to the trash folder; from there, and on a POP3 server, it is gone
    Trash,
    /// It is gone
    Expunge,
    /// It stays there
    Keep,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FetchedArg {
    /// It stays there until it is deleted
    Leave,
    /// It is deleted there
    Remove,
}

/// Keys of secrets.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Seal all secrets with a new key; the old one is removed
    Rotate,
}

/// Runs `mailsyncd account ...`.
pub fn run(
    command: Command,
    store: &SqliteStore,
    data: &Path,
    ca: Option<&Path>,
    json: bool,
) -> Result<ExitCode, String> {
    match command {
        Command::Add(add) => {
            let account = add.settings.account(&add.account)?;
            if account.per_session {
                return Err(
                    "--per-session: such an account is its device's; register it with mailsync".into()
                );
            }
            let secret = secret(&add.account)?;
            if !store.users().map_err(text)?.iter().any(|user| user.name == add.user) {
                return Err(format!("no user {}", add.user));
            }
            check(&Trust::new(ca)?, &account, &secret)?;
            let sealed = Vault::open(data)?.seal(&place(&add.user, &add.account), secret.expose())?;
            put(store, &add.user, &add.account, &account, &sealed)?;
            done(json, &format!("account {} of {} checked and stored", add.account, add.user))
        }
        Command::List { user } => {
            let rows = store.accounts(user.as_deref()).map_err(text)?;
            let mut list = Vec::new();
            for row in rows {
                let account = Account::parse(&row.config).map_err(text)?;
                if json {
                    list.push(as_json(&row.user, &row.luid, row.trouble.as_deref(), &account));
                } else {
                    let trouble = row.trouble.map(|words| words.escape_debug().to_string());
                    let state = trouble.unwrap_or_else(|| "ok".into());
                    println!(
                        "{}\t{}\t{}\t{}\t{state}",
                        row.user, row.luid, account.address, account.inbound.host
                    );
                }
            }
            if json {
                println!("{}", json!(list));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { user, account } => {
            let rows = store.accounts(Some(&user)).map_err(text)?;
            let row = rows.into_iter().find(|row| row.luid == account);
            let row = row.ok_or_else(|| format!("no account {account} of {user}"))?;
            let sealed = row.secret.filter(|sealed| !sealed.is_empty());
            let sealed =
                sealed.ok_or("the secret of this account is its device's; nothing can be checked here")?;
            let secret = Vault::open(data)?.open_sealed(&place(&user, &account), &sealed)?;
            check(&Trust::new(ca)?, &Account::parse(&row.config).map_err(text)?, &secret)?;
            done(json, &format!("account {account} of {user}: its mail servers let it in"))
        }
        Command::Remove { user, account } => {
            remove(store, &user, &account)?;
            done(json, &format!("account {account} of {user} removed"))
        }
    }
}

/// Runs `mailsyncd key ...`.
pub fn key(command: &Key, store: &SqliteStore, data: &Path, json: bool) -> Result<ExitCode, String> {
    let Key::Rotate = command;
    let mut vault = Vault::open(data)?;
    vault.add()?;
    let count = store
        .reseal(|user, luid, sealed| {
            let place = place(user, luid);
            vault.seal(&place, vault.open_sealed(&place, sealed)?.expose())
        })
        .map_err(text)?;
    let count = count + store.reseal_item_keys().map_err(text)?;
    vault.drop_old()?;
    done(json, &format!("{count} secrets sealed with key {}", vault.number()))
}

/// Whether this may be the short name of an account.
pub(crate) fn is_short(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(good)
}

impl Settings {
    /// The account, without its secret.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn account(&self, short: &str) -> Result<Account, String> {
        if !is_short(short) {
            return Err(format!("{short:?} is no short name: letters, digits, - _ . @"));
        }
        if !mailsync_proto::mail::outbox::is_address(&self.address) {
            return Err(format!("{:?} is no address", self.address));
        }
        let (protocol, place, tls) = match (&self.imap, &self.pop3) {
            (_, Some(pop3)) => (Protocol::Pop3, pop3.as_str(), self.pop3_tls),
            (imap, None) => (Protocol::Imap, imap.as_deref().unwrap_or_default(), self.imap_tls),
        };
        let mut account = Account::new(&self.address, Server::parse(place, tls.tls())?);
        account.protocol = protocol;
        account.fetched = match self.fetched {
            FetchedArg::Leave => Fetched::Leave,
            FetchedArg::Remove => Fetched::Remove,
        };
        account.smtp =
            self.smtp.as_deref().map(|smtp| Server::parse(smtp, self.smtp_tls.tls())).transpose()?;
        account.login = self.login.as_ref().unwrap_or(&self.address).as_str().into();
        account.name = self.name.as_deref().unwrap_or(short).into();
        account.token = self.token;
        account.server_keeps_sent = self.server_keeps_sent;
        account.per_session = self.per_session;
        account.delete = match self.delete {
            Delete::Trash => DeleteRule::Trash,
            Delete::Expunge => DeleteRule::Expunge,
            Delete::Keep => DeleteRule::Keep,
        };
        Ok(account)
    }
}

pub(crate) fn as_json(
    user: &str,
    short: &str,
    trouble: Option<&str>,
    account: &Account,
) -> serde_json::Value {
    let server =
        |server: &Server| json!({"host": server.host, "port": server.port, "tls": server.tls.as_str()});
    json!({
        "user": user,
        "account": short,
        "trouble": trouble,
        "name": account.name,
        "address": account.address,
        "login": account.login,
        "protocol": account.protocol.as_str(),
        "inbound": server(&account.inbound),
        "smtp": account.smtp.as_ref().map(server),
        "delete": account.delete,
        "per_session": account.per_session,
    })
}

fn put(store: &SqliteStore, user: &str, short: &str, account: &Account, sealed: &[u8]) -> Result<(), String> {
    let (key, guid) = key_of(user, short)?;
    let done = turns::effect::<(), Failure>(store, |reader| {
        let expect = match item(reader, &key, &guid) {
            Ok(item) => item.map(|item| item.rev),
            Err(missing) => return Ok(Err(missing)),
        };
        let write = Write::PutItem {
            store: key.clone(),
            guid: guid.clone(),
            expect,
            value: account_value(account, sealed),
            body: Some(account.without_secret().to_xml()),
        };
        Ok(Ok(((), vec![write])))
    });
    done.map_err(text)?;
    store.take_over_accounts().map_err(text)
}

fn remove(store: &SqliteStore, user: &str, short: &str) -> Result<(), String> {
    let (key, guid) = key_of(user, short)?;
    let there = turns::effect::<bool, Failure>(store, |reader| {
        Ok(item(reader, &key, &guid).map(|item| match item.filter(|item| !item.deleted) {
            Some(item) => {
                (true, vec![Write::DeleteItem { store: key.clone(), guid: guid.clone(), expect: item.rev }])
            }
            None => (false, Vec::new()),
        }))
    });
    if !there.map_err(text)? {
        return Err(format!("no account {short} of {user}"));
    }
    store.take_over_accounts().map_err(text)
}

fn key_of(user: &str, short: &str) -> Result<(StoreKey, Guid), String> {
    let guid = Guid::try_from(short).map_err(|_| format!("{short:?} is no account"))?;
    Ok((StoreKey { user: user.into(), datastore: DATASTORE.into() }, guid))
}

fn item(reader: &mut Reader<'_>, key: &StoreKey, guid: &Guid) -> Result<Option<Item>, Missing> {
    match reader.read(Read::Item(key.clone(), guid.clone()))? {
        Value::Item(item) => Ok(item.clone()),
        _ => Ok(None),
    }
}

/// Logs in to the servers of an account.
///
/// # Errors
/// In the server's own words.
// mission: M8a
fn check(trust: &Trust, account: &Account, secret: &Secret<String>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    runtime.block_on(log_in(trust, account, secret)).map_err(|(_, words)| words)
}

/// Logs in to the servers of an account; why not, with the server that says so.
pub(super) async fn log_in(
    trust: &Trust,
    account: &Account,
    secret: &Secret<String>,
) -> Result<(), (Error, String)> {
    let login = credentials(account, secret.clone());
    let at = |what: &str, server: &Server, error: Error| {
        let words = format!("{what} {server}: {error}");
        (error, words)
    };
    let inbound = async {
        match account.protocol {
            Protocol::Imap => {
                let mut imap = Imap::open(trust, &account.inbound, &login).await?;
                imap.folders().await?;
                imap.close().await;
            }
            Protocol::Pop3 => Pop3::open(trust, &account.inbound, &login).await?.close().await,
        }
        Ok(())
    };
    inbound.await.map_err(|error| at(account.protocol.as_str(), &account.inbound, error))?;
    if let Some(smtp) = &account.smtp {
        let link = relay::Link::open(trust, smtp, &login, "localhost", false).await;
        link.map_err(|error| at("smtp", smtp, error))?.quit().await;
    }
    Ok(())
}

/// A mail account's secret, from MAILSYNC_ACCOUNT_PASSWORD, else typed in.
pub(crate) fn secret(account: &str) -> Result<Secret<String>, String> {
    let secret = crate::secret::asked(
        "MAILSYNC_ACCOUNT_PASSWORD",
        &format!("Password of mail account {account}: "),
        false,
    )?;
    if secret.is_empty() {
        return Err("MAILSYNC_ACCOUNT_PASSWORD: the password is empty".into());
    }
    Ok(Secret::new(secret))
}

/// One line that says what was done.
pub(crate) fn done(json: bool, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "done": words}));
    } else {
        println!("{words}");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
