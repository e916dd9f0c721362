//! `mailsyncd account` and `mailsyncd key`.

use super::account::Account;
use super::imap::Imap;
use super::link::{Place, Tls, Trust};
use super::vault::{Vault, place};
use super::watch::credentials;
use super::{Error, Mailbox};
use crate::relay;
use crate::store::SqliteStore;
use clap::{Subcommand, ValueEnum};
use mailsync_proto::mirror::DeleteRule;
use serde_json::json;
use smsbridge::Secret;
use std::io::IsTerminal;
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

/// What an account is.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Login name
    user: String,
    /// A short name for the account
    account: String,
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
    #[arg(long, value_name = "HOST:PORT")]
    imap: String,
    /// How it is encrypted
    #[arg(long, value_enum, default_value_t)]
    imap_tls: Tls,
    /// The submission server
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// How it is encrypted
    #[arg(long, value_enum, default_value_t)]
    smtp_tls: Tls,
    /// What deleting a mail means there
    #[arg(long, value_enum, default_value_t = Delete::Trash)]
    delete: Delete,
    /// The mail server keeps a copy of what is sent by itself
    #[arg(long)]
    server_keeps_sent: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Delete {
    /// It goes to the trash folder; from there it is gone
    Trash,
    /// It is gone
    Expunge,
}

/// Keys of secrets.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Seal all secrets with a new key; the old one is removed
    Rotate,
}

/// Runs `mailsyncd account ...`.
pub fn run(command: Command, store: &SqliteStore, data: &Path, ca: Option<&Path>, json: bool) -> Result<ExitCode, String> {
    match command {
        Command::Add(add) => {
            let account = account(&add)?;
            let secret = secret(&add.account)?;
            if !store.users().map_err(text)?.iter().any(|user| user.name == add.user) {
                return Err(format!("no user {}", add.user));
            }
            check(&Trust::new(ca)?, &account, &secret)?;
            let sealed = Vault::open(data)?.seal(&place(&add.user, &add.account), secret.expose())?;
            if !store.put_account(&add.user, &add.account, &account.to_bytes(), Some(&sealed)).map_err(text)? {
                return Err(format!("no user {}", add.user));
            }
            done(json, &format!("account {} of {} checked and stored", add.account, add.user))
        }
        Command::List { user } => {
            let rows = store.accounts(user.as_deref()).map_err(text)?;
            let mut list = Vec::new();
            for row in rows {
                let account = Account::from_bytes(&row.config)?;
                if json {
                    list.push(json!({"user": row.user, "account": row.luid, "trouble": row.trouble, "settings": account}));
                } else {
                    let trouble = row.trouble.map(|words| words.escape_debug().to_string());
                    let state = trouble.unwrap_or_else(|| "ok".into());
                    println!("{}\t{}\t{}\t{}\t{state}", row.user, row.luid, account.address, account.imap.host);
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
            let sealed = row.secret.ok_or("the account has no secret")?;
            let secret = Vault::open(data)?.open_sealed(&place(&user, &account), &sealed)?;
            check(&Trust::new(ca)?, &Account::from_bytes(&row.config)?, &secret)?;
            done(json, &format!("account {account} of {user}: its mail servers let it in"))
        }
        Command::Remove { user, account } => {
            if !store.remove_account(&user, &account).map_err(text)? {
                return Err(format!("no account {account} of {user}"));
            }
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
    vault.drop_old()?;
    done(json, &format!("{count} secrets sealed with key {}", vault.number()))
}

fn account(add: &Add) -> Result<Account, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
    if add.account.is_empty() || add.account.len() > 64 || !add.account.bytes().all(good) {
        return Err(format!("{:?} is no short name: letters, digits, - _ . @", add.account));
    }
    if !mailsync_proto::mail::outbox::is_address(&add.address) {
        return Err(format!("{:?} is no address", add.address));
    }
    let imap = Place::parse(&add.imap, add.imap_tls)?;
    let smtp = add.smtp.as_deref().map(|smtp| Place::parse(smtp, add.smtp_tls)).transpose()?;
    let login = add.login.as_ref().unwrap_or(&add.address);
    let name = add.name.as_ref().unwrap_or(&add.account);
    let mut account = Account::new(name, &add.address, login, imap, smtp);
    account.token = add.token;
    account.server_keeps_sent = add.server_keeps_sent;
    account.delete = match add.delete {
        Delete::Trash => DeleteRule::Trash,
        Delete::Expunge => DeleteRule::Expunge,
    };
    Ok(account)
}

/// Logs in to the servers of an account.
///
/// # Errors
/// In the server's own words.
// mission: M8a
pub(crate) fn check(trust: &Trust, account: &Account, secret: &Secret<String>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    runtime.block_on(check_async(trust, account, secret))
}

pub(crate) async fn check_async(trust: &Trust, account: &Account, secret: &Secret<String>) -> Result<(), String> {
    let login = credentials(account, secret.clone());
    let at = |what: &str, place: &Place, error: Error| format!("{what} {}:{}: {error}", place.host, place.port);
    let imap = async {
        let mut imap = Imap::open(trust, &account.imap, &login).await?;
        imap.folders().await?;
        imap.close().await;
        Ok(())
    };
    imap.await.map_err(|error| at("imap", &account.imap, error))?;
    if let Some(smtp) = &account.smtp {
        let link = relay::Link::open(trust, smtp, &login, "localhost").await;
        link.map_err(|error| at("smtp", smtp, error))?.quit().await;
    }
    Ok(())
}

/// A mail account's secret, from MAILSYNC_ACCOUNT_PASSWORD, else typed in.
pub(crate) fn secret(account: &str) -> Result<Secret<String>, String> {
    match std::env::var("MAILSYNC_ACCOUNT_PASSWORD") {
        Ok(secret) if secret.is_empty() => return Err("MAILSYNC_ACCOUNT_PASSWORD is empty".into()),
        Ok(secret) => return Ok(Secret::new(secret)),
        Err(std::env::VarError::NotPresent) => {}
        Err(error) => return Err(format!("MAILSYNC_ACCOUNT_PASSWORD: {error}")),
    }
    if !std::io::stdin().is_terminal() {
        return Err("no secret: set MAILSYNC_ACCOUNT_PASSWORD, or run this in a terminal".into());
    }
    rpassword::prompt_password(format!("Password of mail account {account}: ")).map(Secret::new).map_err(text)
}

fn done(json: bool, words: &str) -> Result<ExitCode, String> {
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
