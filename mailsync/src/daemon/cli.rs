//! The command line of `mailsyncd`.

use super::bind_cli::{Bind, bind};
use super::config::Config;
use super::logging::{self, LogFormat};
use super::serve::{self, Options, Parts};
use super::{ask_cli, doctor, kept_cli, users};
use crate::mailbox::account_cli;
use crate::push::{explain_cli, policy_cli};
use crate::store::{Bodies, SqliteStore, database, private_dir};
use crate::time;
use crate::turns;
use clap::{CommandFactory, Parser, Subcommand};
use mailsync_proto::mail::mailbox;
use mailsync_proto::sync::seal::ItemKey;
use mailsync_proto::sync::store::StoreKey;
use serde::Serialize;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Mail synchronisation server (OMA DS / SyncML). Without a command it runs; its first line on stdout is JSON and
/// says where it listens.
#[derive(Debug, Parser)]
#[command(name = "mailsyncd", version)]
struct Cli {
    /// Configuration file (TOML); see check-config --print-default
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for all state [default: $XDG_DATA_HOME/mailsyncd]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Where the SyncML endpoint listens; port 0 is any free one
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Certificate chain to show, PEM: the SyncML endpoint speaks TLS; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Where mail is taken; port 0 is any free one
    #[arg(long, value_name = "ADDR")]
    smtp: Option<SocketAddr>,
    /// Where another mail server delivers by LMTP; port 0 is any free one
    #[arg(long, value_name = "ADDR")]
    lmtp: Option<SocketAddr>,
    /// Test bench for old phones: says what to type in, takes passwords over plain HTTP. Not for the internet
    #[arg(long)]
    lab: bool,
    /// Record every message here, secrets blanked
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Run only these parts: sync, bridge (mail and SMS), bridge-mail, bridge-sms
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
    /// Share the data folder with other processes started so: any of them takes any message
    #[arg(long)]
    shared: bool,
    /// How a log line on stderr looks
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Run {
    fn is_given(&self) -> bool {
        let Run { http, tls_cert, tls_key: _, smtp, lmtp, lab, record, only, shared, log_format } = self;
        let places =
            http.is_some() || tls_cert.is_some() || smtp.is_some() || lmtp.is_some() || record.is_some();
        places || *lab || *shared || !only.is_empty() || log_format.is_some()
    }

    fn parts(&self) -> Parts {
        let has = |parts: &[Part]| self.only.is_empty() || self.only.iter().any(|part| parts.contains(part));
        Parts {
            sync: has(&[Part::Sync]),
            mail: has(&[Part::Sync, Part::Bridge, Part::BridgeMail]),
            exchange: has(&[Part::Bridge, Part::BridgeMail, Part::BridgeSms]),
        }
    }
}

/// A part of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// SyncML, with the mail listener
    Sync,
    /// The exchange of short messages and mail
    Bridge,
    /// Its mail part: SMTP, conversion, client of centres
    BridgeMail,
    /// Its SMS part: takes SMS clients, routes between them and centres
    BridgeSms,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Users and their sync passwords (from MAILSYNC_PASSWORD, else a prompt)
    #[command(subcommand)]
    User(User),
    /// Devices of users
    #[command(subcommand)]
    Device(Device),
    /// Accounts of users at mail servers, whose mailboxes are synced
    #[command(subcommand)]
    Account(account_cli::Command),
    /// The key that seals the secrets of accounts
    #[command(subcommand)]
    Key(account_cli::Key),
    /// Jobs that wait, for instance mail to be sent
    #[command(subcommand)]
    Queue(Queue),
    /// Sessions that are open
    #[command(subcommand)]
    Session(Session),
    /// What was set aside before a device deleted or replaced it
    #[command(subcommand)]
    Kept(kept_cli::Command),
    /// Which phone number belongs to which mailbox
    #[command(subcommand)]
    Bind(Bind),
    /// Which of a user's devices gets what mail
    #[command(subcommand)]
    Policy(policy_cli::Command),
    /// Why a mail went where it went
    #[command(subcommand)]
    Push(explain_cli::Command),
    /// Check a configuration file
    CheckConfig {
        /// The file [default: --config]
        file: Option<PathBuf>,
        /// Print the default configuration, commented
        #[arg(long)]
        print_default: bool,
    },
    /// Operations that terminals start at an appointed local time
    #[command(subcommand)]
    Operation(time::operation::Command),
    /// List the clocks of terminals
    Clock {
        /// Login name
        user: Option<String>,
    },
    /// Ask the reference servers, and say how far the system's clock is off
    Time(time::ask::Args),
    /// Print what a password file may hold in place of the password (from MAILSYNC_PASSWORD, else a prompt)
    PasswordHash,
    /// Look whether everything is as it should be
    Doctor,
}

#[derive(Debug, Subcommand)]
enum User {
    /// Add a user
    Add {
        /// Login name
        name: String,
        /// Address whose mail is theirs; may be said often [default: NAME@domain]
        #[arg(long, value_name = "MAILADDR")]
        address: Vec<String>,
        /// Keep the password itself: for phones of SyncML 1.0 and --lab only
        #[arg(long)]
        keep_password: bool,
    },
    /// List users
    List,
    /// Change a sync password
    Password {
        /// Login name
        name: String,
    },
    /// Let an IMEI or a phone number stand for a name in logins; the password is asked for
    Alias {
        /// Login name
        name: String,
        /// The IMEI or phone number, digits
        alias: String,
        /// It stands for nobody any more
        #[arg(long)]
        remove: bool,
    },
    /// Remove a user and everything that is theirs
    Remove {
        /// Login name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Device {
    /// Give a device a sync password of its own, or let it in again
    Add {
        /// Login name
        user: String,
        /// Device id, as the device says it (for instance IMEI:...)
        device: String,
    },
    /// Give a device a key that seals its items, and print it: the device gets it by another way (mailsync sync --item-key)
    Key {
        /// Login name
        user: String,
        /// Device id
        device: String,
        /// Take the key away: its items go in clear again
        #[arg(long)]
        remove: bool,
    },
    /// List devices
    List {
        /// Login name
        user: Option<String>,
    },
    /// Ask a device to sync a datastore, in the next session that it holds
    Ask(ask_cli::Ask),
    /// Let a device log in no more
    Revoke {
        /// Login name
        user: String,
        /// Device id
        device: String,
    },
}

#[derive(Debug, Subcommand)]
enum Queue {
    /// List jobs
    List,
    /// Try a job at once
    Retry {
        /// Queue
        queue: String,
        /// Id, as listed
        id: String,
    },
    /// Give a job up
    Drop {
        /// Queue
        queue: String,
        /// Id, as listed
        id: String,
    },
}

#[derive(Debug, Subcommand)]
enum Session {
    /// List sessions
    List,
    /// Show one session
    Show {
        /// Id, as listed
        id: String,
    },
}

/// Runs `mailsyncd` with these arguments (the first is the program's name).
///
/// Exit status 0: done. 1: failed, with one line on stderr that says why. 2: wrong usage.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a closed stdout.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if cli.command.is_some() && cli.run.is_given() {
        let text = "--http, --tls-cert, --tls-key, --smtp, --lmtp, --lab, --record, --only, --shared and --log-format are for running the server, not for a command";
        let _ = Cli::command().error(clap::error::ErrorKind::ArgumentConflict, text).print();
        return ExitCode::from(2);
    }
    match run(cli) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("mailsyncd: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, String> {
    let out = Out { json: cli.json };
    if let Some(Command::CheckConfig { file, print_default }) = &cli.command {
        return check_config(&out, file.as_deref().or(cli.config.as_deref()), *print_default);
    }
    let mut config = Config::load(cli.config.as_deref()).map_err(|error| error.to_string())?;
    let data = config.data_dir(cli.data.as_deref());
    match cli.command {
        None => {
            logging::init(cli.run.log_format.unwrap_or_default());
            config.http.listen = cli.run.http.unwrap_or(config.http.listen);
            config.http.tls_cert = cli.run.tls_cert.clone().or(config.http.tls_cert);
            config.http.tls_key = cli.run.tls_key.clone().or(config.http.tls_key);
            config.smtp.listen = cli.run.smtp.unwrap_or(config.smtp.listen);
            config.smtp.lmtp = cli.run.lmtp.or(config.smtp.lmtp);
            let parts = cli.run.parts();
            if config.sms.is_none() && !cli.run.only.is_empty() && !parts.sync {
                return Err("--only: the configuration has no [sms], so there is nothing to run".into());
            }
            let Run { lab, record, shared, .. } = cli.run;
            let options = Options { config, data, lab, record, shared, parts };
            serve::run(options).map_err(|error| error.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::User(command)) => user(&out, &config, &open(&data)?, command),
        Some(Command::Device(command)) => device(&out, &config, &open(&data)?, command),
        Some(Command::Account(command)) => {
            account_cli::run(command, &open(&data)?, &data, config.mail.ca.as_deref(), out.json)
        }
        Some(Command::Key(command)) => account_cli::key(&command, &open(&data)?, &data, out.json),
        Some(Command::Queue(command)) => queue(&out, &open(&data)?, command),
        Some(Command::Session(command)) => session(&out, &open(&data)?, command),
        Some(Command::Kept(command)) => kept_cli::run(&out, &open(&data)?, command),
        Some(Command::Bind(command)) => bind(&out, &open(&data)?, command),
        Some(Command::Policy(command)) => policy_cli::run(out.json, &open(&data)?, command),
        Some(Command::Push(command)) => explain_cli::run(out.json, &open(&data)?, command),
        Some(Command::Operation(command)) => time::operation::run(command, &open(&data)?, out.json),
        Some(Command::Clock { user }) => time::operation::clocks(&open(&data)?, user.as_deref(), out.json),
        Some(Command::Time(args)) => time::ask::run(&args, &config.time, out.json),
        Some(Command::PasswordHash) => {
            println!("{}", crate::secret::hash(&users::password("the account")?)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Doctor) => {
            let checks = doctor::examine(&data);
            out.list(&checks, doctor::Check::line);
            let healthy = checks.iter().all(doctor::Check::is_ok);
            Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        // Done above, before any file is read.
        Some(Command::CheckConfig { .. }) => Ok(ExitCode::SUCCESS),
    }
}

/// How answers are printed.
pub(super) struct Out {
    json: bool,
}

impl Out {
    pub(super) fn list<T: Serialize>(&self, items: &[T], line: impl Fn(&T) -> String) {
        if self.json {
            println!("{}", serde_json::json!(items));
            return;
        }
        for item in items {
            println!("{}", line(item));
        }
    }

    pub(super) fn done(&self, text: &str) -> Result<ExitCode, String> {
        if self.json {
            println!("{}", serde_json::json!({"ok": true, "done": text}));
        } else {
            println!("{text}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The store beside a server that may be running.
fn open(data: &Path) -> Result<SqliteStore, String> {
    private_dir(data).map_err(|error| error.to_string())?;
    SqliteStore::open(database(data), Bodies::Inside).map_err(|error| error.to_string())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A change that was made, or an error when there was nothing to change.
fn changed(
    out: &Out,
    result: Result<bool, impl std::fmt::Display>,
    done: &str,
    else_: &str,
) -> Result<ExitCode, String> {
    if result.map_err(text)? { out.done(done) } else { Err(else_.into()) }
}

fn user(out: &Out, config: &Config, store: &SqliteStore, command: User) -> Result<ExitCode, String> {
    match command {
        User::Add { name, mut address, keep_password } => {
            users::check_name("user", &name)?;
            if address.is_empty() {
                address.push(if name.contains('@') {
                    name.clone()
                } else {
                    format!("{name}@{}", config.domain)
                });
            }
            address.iter().try_for_each(|address| users::check_address(address))?;
            let password = users::password(&name)?;
            let verifier = users::verifier(&name, &password);
            let folders = mailbox::provision(&StoreKey {
                user: name.as_str().into(),
                datastore: mailbox::DATASTORE.into(),
            });
            let added = store.add_user(&name, &verifier, &address, &folders);
            if keep_password && matches!(added, Ok(true)) {
                store.keep_password(&name, &password).map_err(text)?;
            }
            let addresses = address.join(", ");
            let taken = format!("user {name}, or an address of {addresses}, is there already");
            changed(out, added, &format!("user {name} added, mail for {addresses}"), &taken)
        }
        User::List => {
            let users = store.users().map_err(text)?;
            out.list(&users, |user| format!("{}\t{}", user.name, user.addresses.join(" ")));
            Ok(ExitCode::SUCCESS)
        }
        User::Password { name } => {
            let password = users::password(&name)?;
            let verifier = users::verifier(&name, &password);
            let done = format!("password of {name} changed");
            let set = store.set_verifier(&name, &verifier);
            for alias in store.aliases(&name).map_err(text)? {
                let verifier = users::verifier(&alias, &password);
                store.add_alias(&name, &alias, &verifier).map_err(text)?;
            }
            changed(out, set, &done, &format!("no user {name}"))
        }
        User::Alias { name, alias, remove: true } => {
            let done = format!("{alias} stands for nobody");
            let no = format!("{alias} does not stand for {name}");
            changed(out, store.remove_alias(&name, &alias), &done, &no)
        }
        User::Alias { name, alias, remove: false } => {
            users::check_alias(&alias)?;
            let password = users::password(&name)?;
            if !store.is_verifier(&name, &users::verifier(&name, &password)).map_err(text)? {
                return Err(format!("that is not the sync password of {name}"));
            }
            let added = store.add_alias(&name, &alias, &users::verifier(&alias, &password));
            let taken = format!("{alias} stands for somebody else");
            changed(out, added, &format!("{alias} stands for {name}"), &taken)
        }
        User::Remove { name } => {
            let done = format!("user {name} removed");
            changed(out, store.remove_user(&name), &done, &format!("no user {name}"))
        }
    }
}

fn device(out: &Out, config: &Config, store: &SqliteStore, command: Device) -> Result<ExitCode, String> {
    match command {
        Device::Ask(ask) => ask.run(out, config, store),
        Device::Add { user, device } => {
            let verifier = users::verifier(&user, &users::password(&user)?);
            let added = store.set_device(&user, &device, &verifier);
            changed(out, added, &format!("device {device} of {user} added"), &format!("no user {user}"))
        }
        Device::Key { user, device, remove: true } => {
            let removed = store.set_item_key(&user, &device, None);
            changed(
                out,
                removed,
                &format!("items of {device} go in clear"),
                &format!("no key of {device} of {user}"),
            )
        }
        Device::Key { user, device, remove: false } => {
            let key = ItemKey::new(turns::moment().map_err(text)?.entropy);
            match store.set_item_key(&user, &device, Some(&key)).map_err(text)? {
                true => out.done(&key.to_text()),
                false => Err(format!("no user {user}")),
            }
        }
        Device::List { user } => {
            let devices = store.devices(user.as_deref()).map_err(text)?;
            out.list(&devices, |device| {
                let state = if device.revoked { "revoked" } else { "allowed" };
                let own = if device.own_password { "own password" } else { "user's password" };
                format!("{}\t{}\t{state}\t{own}", device.user, device.device.escape_debug())
            });
            Ok(ExitCode::SUCCESS)
        }
        Device::Revoke { user, device } => {
            let revoked = store.revoke_device(&user, &device);
            changed(out, revoked, &format!("device {device} of {user} revoked"), &format!("no user {user}"))
        }
    }
}

fn queue(out: &Out, store: &SqliteStore, command: Queue) -> Result<ExitCode, String> {
    // Ids are listed on one line each.
    let plain = |id: &str| id.replace("\\n", "\n");
    match command {
        Queue::List => {
            let jobs = store.jobs(None).map_err(text)?;
            out.list(&jobs, |job| {
                let error = job.error.as_deref().unwrap_or("").escape_debug();
                format!(
                    "{}\t{}\t{} octets\t{} tries\t{error}",
                    job.queue,
                    job.id.escape_debug(),
                    job.size,
                    job.attempts
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Queue::Retry { queue, id } => {
            let done = store.retry(&queue, &plain(&id));
            changed(
                out,
                done,
                "tried again as soon as the server runs",
                &format!("no job {id} in queue {queue}"),
            )
        }
        Queue::Drop { queue, id } => {
            let done = store.drop_job(&queue, &plain(&id));
            changed(out, done, "given up", &format!("no job {id} in queue {queue}"))
        }
    }
}

fn session(out: &Out, store: &SqliteStore, command: Session) -> Result<ExitCode, String> {
    let sessions = store.sessions().map_err(text)?;
    match command {
        Session::List => {
            out.list(&sessions, |session| {
                format!("{}\t{} messages\tlast at {}", session.id, session.messages, session.touched)
            });
            Ok(ExitCode::SUCCESS)
        }
        Session::Show { id } => {
            let found: Vec<_> = sessions.into_iter().filter(|session| session.id == id).collect();
            if found.is_empty() {
                return Err(format!("no session {id}"));
            }
            out.list(&found, |session| format!("{session:#?}"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check_config(out: &Out, file: Option<&Path>, print_default: bool) -> Result<ExitCode, String> {
    if print_default {
        print!("{}", Config::DEFAULT);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(file) = file else {
        return Err("which file? check-config FILE, or --config FILE, or --print-default".into());
    };
    Config::load(Some(file)).map_err(text)?;
    out.done(&format!("{}: good", file.display()))
}
