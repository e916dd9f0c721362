//! The command line of `mailsync`.

use super::look::{self, Show};
use super::maildir_verbs::{Listed, Maildir};
use super::report::{Outcome, Report};
use super::sync::{self, Options, StoreOption};
use super::tools::{self, Asked};
use crate::time::terminal_cli::{self, Dm, Time};
use crate::turns;
use clap::{Parser, Subcommand, ValueEnum};
use mailsync_proto::mail::summary::plain_text;
use mailsync_proto::sync::Mode;
use serde_json::json;
use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use syncml::session::auth::Scheme;
use syncml::{Encoding, StatusCode, Version};

/// Mail synchronisation client (OMA DS / SyncML): mail in a Maildir++ folder, other items as files.
#[derive(Debug, Parser)]
#[command(name = "mailsync", version)]
struct Cli {
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sync a folder with a server; the password comes from MAILSYNC_PASSWORD
    Sync(Box<Sync>),
    /// List mail
    List {
        #[command(flatten)]
        dir: Dir,
        /// Only this folder
        #[arg(long)]
        folder: Option<String>,
    },
    /// Print a mail as it came
    Show {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// Only its headers
        #[arg(long)]
        headers: bool,
    },
    /// Put a message (RFC 5322) into the outbox; the next sync sends it
    Send {
        #[command(flatten)]
        dir: Dir,
        /// Mark it: the server is to send it as short messages
        #[arg(long)]
        as_sms: bool,
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Answer a mail; the text comes from standard input, or from --text
    Reply {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// Our address [default: the one that the mail was delivered to]
        #[arg(long, value_name = "MAILADDR")]
        from: Option<String>,
        /// The text
        #[arg(long)]
        text: Option<String>,
    },
    /// Mark a mail: +read -flagged +answered ...
    Flag {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// Marks to set (+) and to take off (-)
        #[arg(required = true, allow_hyphen_values = true)]
        flags: Vec<String>,
    },
    /// Move a mail into another folder
    Move {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// The folder
        folder: String,
    },
    /// Delete a mail
    Delete {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
    },
    /// Show a SyncML message (XML or WBXML), a DevInf document or a Package #0 as a tree with names for codes
    Inspect {
        /// The file; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// WBXML token by token
        #[arg(long)]
        tokens: bool,
    },
    /// Spell a SyncML message the other way, to standard output; nothing is lost
    Convert {
        /// The spelling
        #[arg(long, value_enum)]
        to: Wire,
        /// The file; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Short messages: a phone's side of the exchange
    #[command(subcommand)]
    Sms(crate::sms::Sms),
    /// Ask a server what it offers: versions, spellings, login, datastores and their types
    Probe {
        #[command(flatten)]
        server: Server,
        /// Log in too (password from MAILSYNC_PASSWORD); without it, only what a stranger is told
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Play the client half of a recording to a server and compare the classes of the statuses
    Replay {
        /// The folder: NNN-req.xml or .wbxml, NNN-resp.xml or .wbxml
        recording: PathBuf,
        #[command(flatten)]
        server: Server,
        /// User name (password from MAILSYNC_PASSWORD): the recorded login is not played
        #[arg(long, value_name = "NAME")]
        user: String,
    },
    /// Device management: operations that start at an appointed time
    #[command(subcommand)]
    Dm(Dm),
    /// The clock of this client
    #[command(subcommand)]
    Time(Time),
    /// Show the main job, end to end, on this machine
    Demo {
        /// Work here and leave it [default: a temporary folder, removed at the end]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// The server as a child of this very executable: it runs as long as its standard input is open
    #[command(hide = true)]
    ServeDemo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, clap::Args)]
struct Server {
    /// The server's address, as http://host:8080/syncml
    #[arg(long = "server", value_name = "URL")]
    url: String,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Device id to ask as
    #[arg(long, value_name = "ID", default_value = "mailsync-probe")]
    device: String,
}

impl Server {
    fn asked(self, user: Option<String>) -> Result<Asked, String> {
        let login = match user {
            Some(user) => {
                let password = password(&user)?;
                Some((user, password))
            }
            None => None,
        };
        Ok(Asked { server: self.url, login, device: self.device, ca: self.ca })
    }
}

#[derive(Debug, clap::Args)]
struct Dir {
    /// The folder that is synced
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Sync {
    /// The server's address, as http://host:8080/syncml
    #[arg(long, value_name = "URL")]
    server: String,
    /// User name
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    dir: Dir,
    /// A datastore: ours, the server's name for it, the type of its items
    #[arg(long = "store", value_name = "LOCAL[=REMOTE][:TYPE]", default_value = "mail", value_parser = StoreOption::parse)]
    stores: Vec<StoreOption>,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// What to do
    #[arg(long, value_enum, default_value_t = ModeArg::TwoWay)]
    mode: ModeArg,
    /// How messages are spelled
    #[arg(long, value_enum, default_value_t = Wire::Wbxml)]
    wire: Wire,
    /// Protocol version
    #[arg(long = "version", value_enum, default_value_t = VersionArg::V1_2)]
    protocol: VersionArg,
    /// How to log in
    #[arg(long, value_enum, default_value_t = Auth::Md5)]
    auth: Auth,
    /// Largest message that we take, in octets
    #[arg(long, value_name = "N", default_value_t = 150_000, value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    max_msg_size: u32,
    /// Largest object that we take, in octets
    #[arg(long, value_name = "N", default_value_t = 32 * 1024 * 1024)]
    max_obj_size: u64,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Record every message here, secrets blanked
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Log in and say what would be sent; nothing is sent, nothing changes
    #[arg(long)]
    dry_run: bool,
    /// Say what happens, on stderr
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    /// Changes since the last sync, both ways
    TwoWay,
    /// Compare everything
    Slow,
    /// Our changes; the server's wait
    OneWayFromClient,
    /// The server is to have exactly what we have
    RefreshFromClient,
    /// The server's changes; ours wait
    OneWayFromServer,
    /// We are to have exactly what the server has
    RefreshFromServer,
}

impl ModeArg {
    fn mode(self) -> Mode {
        match self {
            ModeArg::TwoWay => Mode::TwoWay,
            ModeArg::Slow => Mode::Slow,
            ModeArg::OneWayFromClient => Mode::OneWayFromClient,
            ModeArg::RefreshFromClient => Mode::RefreshFromClient,
            ModeArg::OneWayFromServer => Mode::OneWayFromServer,
            ModeArg::RefreshFromServer => Mode::RefreshFromServer,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wire {
    /// application/vnd.syncml+wbxml
    Wbxml,
    /// application/vnd.syncml+xml
    Xml,
}

impl Wire {
    fn encoding(self) -> Encoding {
        match self {
            Wire::Wbxml => Encoding::Wbxml,
            Wire::Xml => Encoding::Xml,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VersionArg {
    #[value(name = "1.0")]
    V1_0,
    #[value(name = "1.1")]
    V1_1,
    #[value(name = "1.2")]
    V1_2,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Auth {
    /// A digest
    Md5,
    /// The password itself: only over TLS or loopback
    Basic,
    /// A digest of every message, in a header of its request
    Hmac,
}

/// Runs `mailsync` with these arguments (the first is the program's name).
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
    match run(cli) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("mailsync: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, String> {
    let json = cli.json;
    match cli.command {
        Command::Sync(options) => sync(*options, json),
        Command::List { dir, folder } => list(&dir.open()?, folder.as_deref(), json),
        Command::Show { dir, luid, headers } => show(&dir.open()?, &luid, headers, json),
        Command::Send { dir, as_sms, file } => {
            let mut message = message(&file)?;
            if as_sms {
                // mission: S6
                message = [b"SMS-Convert: 1\r\n", &message[..]].concat();
            }
            let luid = dir.open()?.send(&message, &unique()?).map_err(text)?;
            done(json, &luid, &format!("{luid} is in the outbox; the next sync sends it"))
        }
        Command::Reply { dir, luid, from, text: words } => {
            let maildir = dir.open()?;
            let from = match from {
                Some(from) => from,
                None => delivered_to(&maildir.show(&luid).map_err(text)?)
                    .ok_or("the mail does not say to whom it was delivered; say --from MAILADDR")?,
            };
            let words = match words {
                Some(words) => words,
                None => standard_input()?,
            };
            let now = turns::unix_now();
            let answer = maildir.reply(&luid, &from, &words, &unique()?, now).map_err(text)?;
            done(json, &answer, &format!("{answer} is in the outbox; the next sync sends it"))
        }
        Command::Flag { dir, luid, flags } => {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            dir.open()?.flag(&luid, &flags).map_err(text)?;
            done(json, &luid, &format!("{luid} marked {}", flags.join(" ")))
        }
        Command::Move { dir, luid, folder } => {
            dir.open()?.move_to(&luid, &folder).map_err(text)?;
            done(json, &luid, &format!("{luid} moved to {folder}"))
        }
        Command::Delete { dir, luid } => {
            dir.open()?.delete(&luid).map_err(text)?;
            done(json, &luid, &format!("{luid} deleted"))
        }
        Command::Inspect { file, tokens } => {
            let show = match (tokens, json) {
                (true, _) => Show::Tokens,
                (false, true) => Show::Json,
                (false, false) => Show::Tree,
            };
            look::inspect(&file, show)
        }
        Command::Sms(command) => crate::sms::run(command, json),
        Command::Convert { to, file } => look::convert(&file, to.encoding()),
        Command::Probe { server, user } => {
            let speaks = tools::probe(&server.asked(user)?, json)?;
            Ok(if speaks { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Replay { recording, server, user } => {
            let replayed = tools::replay(&recording, &server.asked(Some(user))?)?;
            replayed.print(json);
            Ok(if replayed.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Dm(command) => terminal_cli::dm(command, json),
        Command::Time(command) => terminal_cli::time(command, json),
        Command::Demo { dir } => crate::demo::run(dir.as_deref(), json),
        Command::ServeDemo { args } => {
            if args.iter().any(|arg| arg == "--http") {
                // However the demo ends, the server ends with it.
                std::thread::spawn(|| {
                    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                    std::process::exit(1);
                });
            }
            Ok(crate::daemon::main(std::iter::once(OsString::from("mailsyncd")).chain(args)))
        }
    }
}

fn sync(args: Sync, json: bool) -> Result<ExitCode, String> {
    let (server, user) = (args.server.clone(), args.user.clone());
    let options = Options {
        password: password(&args.user)?,
        server: args.server,
        user: args.user,
        dir: args.dir.dir,
        stores: args.stores,
        device: args.device,
        mode: args.mode.mode(),
        encoding: args.wire.encoding(),
        version: match args.protocol {
            VersionArg::V1_0 => Version::V1_0,
            VersionArg::V1_1 => Version::V1_1,
            VersionArg::V1_2 => Version::V1_2,
        },
        scheme: match (args.auth, args.protocol) {
            (Auth::Md5, VersionArg::V1_0) => Scheme::Md5Of1_0,
            (Auth::Md5, _) => Scheme::Md5,
            (Auth::Basic, _) => Scheme::Basic,
            (Auth::Hmac, _) => Scheme::Mac,
        },
        max_msg_size: args.max_msg_size,
        max_obj_size: args.max_obj_size,
        ca: args.ca,
        record: args.record,
        dry_run: args.dry_run,
        verbose: args.verbose,
    };
    let report = sync::run(&options).map_err(text)?;
    if json {
        println!("{}", json!(report));
    } else if report.login.is_none() {
        println!("{}", report.text());
    }
    if let Some(error) = failure(&report, &server, &user) {
        eprintln!("mailsync: {error}");
    }
    Ok(if report.result == Outcome::Ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What failed, and what to do, in one line.
fn failure(report: &Report, server: &str, user: &str) -> Option<String> {
    if let Some(code) = report.login {
        return Some(format!(
            "{server}: login of {user} refused: {}; check the user name and MAILSYNC_PASSWORD",
            StatusCode(code)
        ));
    }
    let failed: Vec<String> = report
        .stores
        .iter()
        .filter(|store| store.status != StatusCode::OK.0)
        .map(|store| format!("{} ({})", store.store, StatusCode(store.status)))
        .collect();
    (!failed.is_empty()).then(|| format!("{server}: not synced: {}", failed.join(", ")))
}

fn list(maildir: &Maildir, folder: Option<&str>, json: bool) -> Result<ExitCode, String> {
    let mails = maildir.list(folder).map_err(text)?;
    let mut out = std::io::stdout().lock();
    if json {
        let mails: Vec<serde_json::Value> = mails.iter().map(as_json).collect();
        // A closed pipe ends the list.
        let _ = writeln!(out, "{}", json!(mails));
        return Ok(ExitCode::SUCCESS);
    }
    for mail in &mails {
        let mark = |on: bool, letter: char| if on { letter } else { '-' };
        let marks: String = [
            mark(!mail.read, 'N'),
            mark(mail.answered, 'R'),
            mark(mail.forwarded, 'P'),
            mark(mail.flagged, 'F'),
        ]
        .iter()
        .collect();
        let summary = &mail.summary;
        let line = format!(
            "{}  {marks}  {:<8} {:>9}  {:<28}  {}",
            mail.luid,
            mail.folder,
            mail.size,
            cut(&summary.from, 28),
            cut(&summary.subject, 60)
        );
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Text of a stranger for a terminal: no control characters, not too long.
fn cut(text: &str, length: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(length).collect()
}

fn as_json(mail: &Listed) -> serde_json::Value {
    json!({
        "luid": mail.luid,
        "folder": mail.folder,
        "from": mail.summary.from,
        "subject": mail.summary.subject,
        "date": mail.summary.date,
        "size": mail.size,
        "read": mail.read,
        "answered": mail.answered,
        "forwarded": mail.forwarded,
        "flagged": mail.flagged,
        "deleted": mail.deleted,
        "draft": mail.draft,
        "send": mail.send,
    })
}

fn show(maildir: &Maildir, luid: &str, headers: bool, json: bool) -> Result<ExitCode, String> {
    let message = maildir.show(luid).map_err(text)?;
    if json {
        let mails = maildir.list(None).map_err(text)?;
        let mut shown = mails.iter().find(|mail| mail.luid == luid).map(as_json).unwrap_or_default();
        if !headers {
            shown["text"] = plain_text(&message).into();
        }
        println!("{shown}");
        return Ok(ExitCode::SUCCESS);
    }
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let shown = if headers { message.get(..end).unwrap_or_default() } else { &message };
    // A closed pipe ends it.
    let _ = std::io::stdout().lock().write_all(shown);
    Ok(ExitCode::SUCCESS)
}

fn done(json: bool, luid: &str, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "luid": luid}));
    } else {
        println!("{words}");
    }
    Ok(ExitCode::SUCCESS)
}

impl Dir {
    fn open(&self) -> Result<Maildir, String> {
        Maildir::open(&self.dir, "").map_err(text)
    }
}

/// A message from a file, its line ends as mail has them.
fn message(file: &Path) -> Result<Vec<u8>, String> {
    let raw = if file == Path::new("-") {
        let mut raw = Vec::new();
        std::io::stdin().lock().read_to_end(&mut raw).map_err(text)?;
        raw
    } else {
        std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?
    };
    let mut message = Vec::with_capacity(raw.len());
    let mut before = 0;
    for byte in raw {
        if byte == b'\n' && before != b'\r' {
            message.push(b'\r');
        }
        message.push(byte);
        before = byte;
    }
    Ok(message)
}

fn standard_input() -> Result<String, String> {
    let mut words = String::new();
    std::io::stdin().lock().read_to_string(&mut words).map_err(text)?;
    Ok(words)
}

fn delivered_to(message: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(message);
    let line = head
        .lines()
        .take_while(|line| !line.is_empty())
        .find(|line| line.get(..13).is_some_and(|name| name.eq_ignore_ascii_case("delivered-to:")))?;
    Some(line.get(13..)?.trim().to_owned()).filter(|address| !address.is_empty())
}

/// Letters and digits that were never used before.
fn unique() -> Result<String, String> {
    let moment = turns::moment().map_err(text)?;
    Ok(moment.entropy.iter().take(13).map(|byte| format!("{byte:02x}")).collect())
}

/// The sync password, from MAILSYNC_PASSWORD, else typed in.
pub(crate) fn password(user: &str) -> Result<String, String> {
    match std::env::var("MAILSYNC_PASSWORD") {
        Ok(password) => return Ok(password),
        Err(std::env::VarError::NotPresent) => {}
        Err(error) => return Err(format!("MAILSYNC_PASSWORD: {error}")),
    }
    if !std::io::stdin().is_terminal() {
        return Err("no password: set MAILSYNC_PASSWORD, or run this in a terminal".into());
    }
    rpassword::prompt_password(format!("Sync password for {user}: ")).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
