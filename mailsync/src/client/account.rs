//! `mailsync account`: accounts at mail servers, registered by a sync that has them checked there.

use super::args::Dir;
use super::options::StoreOption;
use super::sync;
use crate::mailbox::account_cli::{Settings, as_json, done, secret};
use crate::turns;
use bytes::Bytes;
use clap::Subcommand;
use mailsync_proto::mail::account::{self, Account, AccountSecret};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use syncml::StatusCode;

/// The name of the datastore, and of its folder.
const STORE: &str = "accounts";

/// Accounts at mail servers.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register an account, or change it: the server checks it at the mail servers before it stores it (secret from
    /// MAILSYNC_ACCOUNT_PASSWORD, else a prompt)
    #[command(visible_alias = "set")]
    Add {
        #[command(flatten)]
        there: There,
        /// A short name for the account
        account: String,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// List the accounts of this folder, without their secrets
    List {
        #[command(flatten)]
        dir: Dir,
    },
    /// Have an account checked at its mail servers again
    Login {
        #[command(flatten)]
        there: There,
        /// Its short name
        account: String,
    },
    /// Take an account back; its mails stay until they are deleted
    Remove {
        #[command(flatten)]
        there: There,
        /// Its short name
        account: String,
    },
}

/// The server, and our folder.
#[derive(Debug, clap::Args)]
pub(super) struct There {
    /// The server's address, as https://host/syncml
    #[arg(long, value_name = "URL")]
    pub(super) server: String,
    /// User name (password from MAILSYNC_PASSWORD)
    #[arg(long, value_name = "NAME")]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) dir: Dir,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    pub(super) device: Option<String>,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// The key that seals items, where the server gave one (as with mailsync sync)
    #[arg(long, value_name = "FILE")]
    pub(super) item_key: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(command: Command, json: bool) -> Result<ExitCode, String> {
    match command {
        Command::Add { there, account: short, settings } => {
            there.is_private()?;
            let mut account = settings.account(&short)?;
            account.secret = Some(AccountSecret(secret(&short)?.expose().as_str().into()));
            there.register(&short, &account)?;
            done(json, &format!("account {short}: the mail servers let it in; the server keeps it"))
        }
        Command::List { dir } => {
            let mut list = Vec::new();
            for short in names(dir.path()) {
                let account = read(&dir.path().join(STORE).join(&short))?;
                if json {
                    list.push(as_json("", &short, None, &account));
                } else {
                    println!("{short}\t{}\t{}", account.address, account.inbound);
                }
            }
            if json {
                println!("{}", json!(list));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Login { there, account: short } => {
            there.log_in(&short)?;
            done(json, &format!("account {short}: the mail servers let it in"))
        }
        Command::Remove { there, account: short } => {
            let file = there.file(&short);
            fs::remove_file(&file).map_err(|error| format!("no account {short}: {error}"))?;
            there.sync()?;
            done(json, &format!("account {short} is taken back"))
        }
    }
}

/// Logs in with the accounts that a sync is for; those that the server is to know for one session only are among them in
/// any case.
///
/// # Errors
/// In words, with the account that is not let in.
// mission: M8b, M8c
pub(super) fn log_in(there: &There, named: &[String]) -> Result<(), String> {
    let mut wanted: Vec<String> = named.to_vec();
    for short in names(there.dir.path()) {
        if !wanted.contains(&short)
            && read(&there.file(&short)).is_ok_and(|account| account.per_session && account.secret.is_some())
        {
            wanted.push(short);
        }
    }
    wanted
        .iter()
        .try_for_each(|short| there.log_in(short).map_err(|words| format!("account {short}: {words}")))
}

/// The short names of the accounts of a folder.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join(STORE)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

impl There {
    /// Has the account checked: what differs is sent, and what is sent is checked.
    fn log_in(&self, short: &str) -> Result<(), String> {
        self.is_private()?;
        let mut account = read(&self.file(short))?;
        let asked = turns::moment().map_err(|error| error.to_string())?.entropy;
        let asked: String = asked.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        account.unknown.retain(|element| !element.starts_with("<Asked>"));
        account.unknown.push(format!("<Asked>{asked}</Asked>").into());
        self.register(short, &account)
    }

    fn file(&self, short: &str) -> PathBuf {
        self.dir.path().join(STORE).join(short)
    }

    /// A mail password goes over TLS, or stays on this machine.
    fn is_private(&self) -> Result<(), String> {
        let host =
            self.server.strip_prefix("http://").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
        let Some(host) = host else { return Ok(()) };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
            return Ok(());
        }
        Err(format!("{}: a mail password is not sent without TLS; use https", self.server))
    }

    /// Writes the account down and has the server judge it; what it refuses is as it was.
    // mission: M8a
    fn register(&self, short: &str, account: &Account) -> Result<(), String> {
        let file = self.file(short);
        let before = fs::read(&file).ok();
        write(&file, &account.to_xml())?;
        let judged = self.sync();
        if judged.is_err() {
            match before {
                Some(before) => write(&file, &before)?,
                None => fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?,
            }
        }
        judged
    }

    fn sync(&self) -> Result<(), String> {
        let stores = vec![StoreOption::parse(&format!("{STORE}:{}", account::MEDIA_TYPE))?];
        let options = self.options(stores)?;
        let report = sync::run(&options).map_err(|error| error.to_string())?;
        if let Some(code) = report.login {
            return Err(format!("{}: login of {} refused: {}", self.server, self.user, StatusCode(code)));
        }
        let Some(store) = report.stores.first() else { return Ok(()) };
        if store.status != StatusCode::OK.0 {
            return Err(format!("{}: accounts are not synced: {}", self.server, StatusCode(store.status)));
        }
        match store.codes.first() {
            None => Ok(()),
            Some(403) => Err("refused: a mail server does not let the account in, or may not be used".into()),
            Some(503) => {
                Err("refused: a mail server of the account cannot be reached; try again later".into())
            }
            Some(code) => Err(format!("refused: {}", StatusCode(*code))),
        }
    }
}

fn read(file: &Path) -> Result<Account, String> {
    let octets = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Account::parse(&Bytes::from(octets)).map_err(|error| format!("{}: {error}", file.display()))
}

/// It holds a secret: nobody else reads it.
fn write(file: &Path, octets: &[u8]) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", file.display());
    fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(at)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(file).map_err(at)?;
    open.write_all(octets).and_then(|()| open.sync_all()).map_err(at)
}
