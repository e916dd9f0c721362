//! `mailsyncd` with the exchange on, and what talks to it in tests.

use super::process::{Finished, Process, run};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Passwords of all accounts of a test.
pub(crate) const PASSWORD: &str = "secret1";

/// A data folder with the users ana and bo, and a configuration.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
}

impl Lab {
    /// `sms` is what follows `[sms]`, with `@PASSWORD@` for the password file.
    pub(crate) fn new(sms: &str) -> Lab {
        let lab = Lab { dir: tempfile::tempdir().unwrap() };
        lab.configure(sms);
        for name in ["ana", "bo"] {
            assert_eq!(lab.run(&["user", "add", name, "--address", &format!("{name}@example.org")]).code, 0);
        }
        lab
    }

    /// Writes the configuration anew, for the next start.
    pub(crate) fn configure(&self, sms: &str) {
        let password = self.path("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
        let sms = sms.replace("@PASSWORD@", password.to_str().unwrap());
        let text = format!("domain = \"example.org\"\n[sms]\ndomain = \"sms.example.org\"\n{sms}\n");
        std::fs::write(self.path("config.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml"));
        command.args(args).env("MAILSYNC_PASSWORD", "secret");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        run(&mut self.command(args), 30 * SECOND)
    }

    pub(crate) fn start(&self, args: &[&str]) -> Exchange {
        let any = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let process = Process::start(&mut self.command(&[&any[..], args].concat()));
        let ready = process.wait_ready();
        let place = |name: &str| ready.get(name).cloned().unwrap_or_default();
        Exchange {
            http: place("syncml"),
            smtp: place("smtp"),
            smpp: place("smpp"),
            smpps: place("smpps"),
            metrics: place("metrics"),
            process,
        }
    }

    /// What is in a user's mailbox by the next sync: each mail as it came.
    pub(crate) fn synced(&self, exchange: &Exchange, user: &str) -> Vec<String> {
        let dir = self.path(&format!("phone-of-{user}"));
        let dir = dir.to_str().unwrap();
        let args = ["sync", "--server", &exchange.http, "--user", user, "--dir", dir];
        let done = mailsync(&args);
        assert_eq!(done.code, 0, "{done:?}");
        let mut mails = Vec::new();
        for folder in ["cur", "new"] {
            for entry in std::fs::read_dir(Path::new(dir).join("mail").join(folder))
                .or_else(|_| std::fs::read_dir(Path::new(dir).join(folder)))
                .into_iter()
                .flatten()
            {
                mails.push(
                    String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned(),
                );
            }
        }
        mails
    }

    /// The same, until there are so many.
    pub(crate) fn wait_synced(&self, exchange: &Exchange, user: &str, count: usize) -> Vec<String> {
        let mut mails = Vec::new();
        wait_for("mail in the synced mailbox", || {
            mails = self.synced(exchange, user);
            mails.len() >= count
        });
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails
    }
}

/// A running server.
pub(crate) struct Exchange {
    pub(crate) process: Process,
    pub(crate) http: String,
    pub(crate) smtp: String,
    pub(crate) smpp: String,
    pub(crate) smpps: String,
    pub(crate) metrics: String,
}

impl Exchange {
    /// Sends a mail over SMTP, as a trusted host of the network; the reply to the message, or to the first refusal.
    pub(crate) fn mail(&self, from: &str, to: &[&str], message: &str) -> String {
        self.talk(&[], from, to, message)
    }

    /// The same after AUTH PLAIN.
    pub(crate) fn mail_as(&self, user: &str, from: &str, to: &[&str], message: &str) -> String {
        let secret = base64(format!("\0{user}\0secret").as_bytes());
        self.talk(&[format!("AUTH PLAIN {secret}")], from, to, message)
    }

    fn talk(&self, first: &[String], from: &str, to: &[&str], message: &str) -> String {
        let stream = TcpStream::connect(&self.smtp).unwrap();
        stream.set_read_timeout(Some(30 * SECOND)).unwrap();
        let mut smtp = Smtp { stream, rest: String::new() };
        smtp.reply();
        smtp.say("EHLO test.example");
        for line in first {
            let said = smtp.say(line);
            assert!(said.starts_with("235"), "{said}");
        }
        let mut last = smtp.say(&format!("MAIL FROM:<{from}>"));
        for to in to {
            if last.starts_with("250") {
                let (address, parameters) = to.split_once(' ').unwrap_or((to, ""));
                last = smtp.say(format!("RCPT TO:<{address}> {parameters}").trim_end());
            }
        }
        if last.starts_with("250") {
            last = smtp.say("DATA");
            assert!(last.starts_with("354"), "{last}");
            let stuffed = message.replace("\r\n.", "\r\n..");
            assert!(stuffed.ends_with("\r\n"), "a message ends with its last line");
            last = smtp.say(&format!("{stuffed}."));
        }
        smtp.say("QUIT");
        last
    }

    /// A counter or queue, as the metrics page says it.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let line = page.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

struct Smtp {
    stream: TcpStream,
    rest: String,
}

impl Smtp {
    fn say(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    /// The last line of the next reply.
    fn reply(&mut self) -> String {
        loop {
            while let Some((line, rest)) = self.rest.split_once("\r\n") {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.rest = rest;
                if line.as_bytes().get(3) == Some(&b' ') {
                    return line;
                }
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed after {:?}", self.rest);
            self.rest.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    }
}

/// A phone that is a client of the exchange: account and number.
#[derive(Clone, Copy)]
pub(crate) struct Phone<'a> {
    pub(crate) account: &'a str,
    pub(crate) number: &'a str,
}

impl Phone<'_> {
    fn link<'b>(&'b self, exchange: &'b Exchange) -> [&'b str; 6] {
        ["--server", &exchange.smpp, "--account", self.account, "--from", self.number]
    }

    /// `mailsync sms send`, with these options and the text.
    pub(crate) fn send(&self, exchange: &Exchange, to: &str, options: &[&str], text: &str) -> Finished {
        let link = self.link(exchange);
        mailsync(&[&["--json", "sms", "send"], &link[..], &["--to", to], options, &["--", text]].concat())
    }

    /// `mailsync sms bind ...`.
    pub(crate) fn bind(&self, exchange: &Exchange, verb: &str, to: &str, words: &[&str]) -> Finished {
        let link = self.link(exchange);
        mailsync(&[&["--json", "sms", "bind", verb], &link[..], &["--to", to], words].concat())
    }

    /// The next messages, each as (from, text).
    pub(crate) fn receive(&self, exchange: &Exchange, dir: &Path, count: usize) -> Vec<(String, String)> {
        let link = self.link(exchange);
        let (dir, count) = (dir.to_str().unwrap(), count.to_string());
        let rest = ["--dir", dir, "--count", &count, "--for", "30"];
        let done = mailsync(&[&["--json", "sms", "receive"], &link[..], &rest].concat());
        assert_eq!(done.code, 0, "{done:?}");
        let rows: Vec<serde_json::Value> = serde_json::from_str(done.stdout.trim()).unwrap();
        let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "from"), text(row, "text"))).collect()
    }
}

/// Runs `mailsync`.
pub(crate) fn mailsync(args: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
    command.args(args).env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SMS_PASSWORD", PASSWORD);
    run(&mut command, 120 * SECOND)
}

/// Waits until something is so.
///
/// # Panics
/// After two minutes.
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + 120 * SECOND;
    while !so() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The header of a mail, unfolded, and its body decoded, if it is ours: base64 in UTF-8.
pub(crate) fn read_mail(mail: &str) -> (String, String) {
    let (header, body) = mail.split_once("\r\n\r\n").unwrap_or((mail, ""));
    let header = header.replace("\r\n ", " ");
    let body: String = body.split_whitespace().collect();
    let body = unbase64(&body).and_then(|octets| String::from_utf8(octets).ok()).unwrap_or(body);
    (header, body)
}

/// A field of an unfolded header.
pub(crate) fn field<'h>(header: &'h str, name: &str) -> &'h str {
    let found = header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {header}"))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn base64(octets: &[u8]) -> String {
    let mut out = String::new();
    for chunk in octets.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]));
        }
        out.push_str(&"=".repeat(3 - chunk.len()));
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0u32;
        for octet in chunk {
            bits = bits << 6 | u32::try_from(ALPHABET.iter().position(|letter| letter == octet)?).ok()?;
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}
