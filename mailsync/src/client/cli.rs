//! The command line of `mailsync`: what each verb does.

use super::account;
use super::args::{Cli, Command, How, Sync, WayArg};
use super::look::{self, Show};
use super::maildir_verbs::{About, Listed, Maildir};
use super::report::{Outcome, Report};
use super::sync;
use super::tools;
use crate::time::{group_cli, register, task_cli, terminal_cli};
use crate::turns;
use clap::Parser;
use mailsync_proto::mail::cut::{LeftPart, parts};
use mailsync_proto::mail::forward::{Kind, Way};
use mailsync_proto::mail::summary::plain_text;
use serde_json::json;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use syncml::StatusCode;

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
        Command::Reply { dir, luid, to, how } => about(&dir.open()?, Kind::Reply, &luid, to, how, json),
        Command::Forward { dir, luid, to, how } => about(&dir.open()?, Kind::Forward, &luid, to, how, json),
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
        Command::Account(command) => account::run(command, json),
        Command::Device(command) => super::device::run(command, json),
        Command::Policy(command) => super::policy::run(command, json),
        Command::Push(command) => super::push::run(command, json),
        Command::Settings(command) => super::settings::run(command, json),
        Command::Fetch(fetch) => super::parameters::fetch(*fetch, json),
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
        Command::Watch(command) => super::watch::run(*command, json),
        Command::Dm(command) => terminal_cli::dm(command, json),
        Command::Time(command) => terminal_cli::time(command, json),
        Command::Task(command) => task_cli::run(command, json),
        Command::Group(command) => group_cli::run(command, json),
        Command::Register(command) => register::run(command, json),
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
    let (there, accounts) = (args.there(), args.accounts.clone());
    let options = args.options()?;
    if !options.dry_run {
        account::log_in(&there, &accounts)?;
    }
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
        "left": mail.left.as_ref().map(|left| json!({
            "size": left.size,
            "text": left.body,
            "attachments": left.attachments.iter().map(part_as_json).collect::<Vec<_>>(),
        })),
    })
}

fn part_as_json(part: &LeftPart) -> serde_json::Value {
    json!({"number": part.number, "name": part.name, "size": part.size, "type": part.media_type})
}

fn show(maildir: &Maildir, luid: &str, headers: bool, json: bool) -> Result<ExitCode, String> {
    let message = maildir.show(luid).map_err(text)?;
    if json {
        let mails = maildir.list(None).map_err(text)?;
        let mut shown = mails.iter().find(|mail| mail.luid == luid).map(as_json).unwrap_or_default();
        if !headers {
            shown["text"] = plain_text(&message).into();
        }
        shown["parts"] = parts(&message).iter().map(part_as_json).collect();
        println!("{shown}");
        return Ok(ExitCode::SUCCESS);
    }
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let shown = if headers { message.get(..end).unwrap_or_default() } else { &message };
    // A closed pipe ends it.
    let _ = std::io::stdout().lock().write_all(shown);
    Ok(ExitCode::SUCCESS)
}

/// Forwards or answers a mail.
// mission: M6
fn about(
    maildir: &Maildir,
    kind: Kind,
    luid: &str,
    to: Vec<String>,
    how: How,
    json: bool,
) -> Result<ExitCode, String> {
    let here = maildir.show(luid).map_err(text)?;
    let from = how.from.or_else(|| delivered_to(&here));
    let from = from.ok_or("the mail does not say to whom it was delivered; say --from MAILADDR")?;
    let words = match (how.text, how.text_file) {
        (Some(words), _) => words,
        (None, Some(file)) if file != Path::new("-") => {
            std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        // A forward may go without a word.
        (None, None) if kind == Kind::Forward => String::new(),
        (None, _) => standard_input()?,
    };
    let way = match how.how {
        Some(WayArg(Way::Parts)) if how.parts.is_empty() => {
            return Err("--how parts: say which, --part N".into());
        }
        Some(WayArg(way)) => way,
        None if how.without_download => Way::ByNumber,
        None => maildir.way(luid),
    };
    let asks = if how.parts.is_empty() { way } else { Way::Parts };
    if way != Way::Upload && !maildir.can(asks) {
        return Err(format!(
            "the server has said that it does not forward {}; say --how upload",
            asks.as_str()
        ));
    }
    let (unique, now) = (unique()?, turns::unix_now());
    let plain = kind == Kind::Reply && way == Way::Upload && how.parts.is_empty() && to.is_empty();
    let new = if plain {
        maildir.reply(luid, &from, &words, &unique, now)
    } else {
        let about = About { kind, way, from, to, text: words, parts: how.parts };
        maildir.about(luid, &about, &unique, now)
    };
    let new = new.map_err(text)?;
    done(json, &new, &format!("{new} is in the outbox; the next sync sends it"))
}

fn done(json: bool, luid: &str, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "luid": luid}));
    } else {
        println!("{words}");
    }
    Ok(ExitCode::SUCCESS)
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
