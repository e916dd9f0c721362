//! Real mail servers on loopback: Dovecot, Postfix, and a sink with faults; a raw link to look into them.

use super::{Process, free_port};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/mail").join(name)
}

/// A Dovecot, and what belongs to it.
pub(crate) struct MailServers {
    dovecot: Option<Process>,
    postfix: Option<Process>,
    pub(crate) sink: Sink,
    dir: tempfile::TempDir,
    ports: BTreeMap<&'static str, u16>,
    poor: bool,
    submits: bool,
}

impl MailServers {
    /// Dovecot and the sink.
    pub(crate) fn start() -> MailServers {
        MailServers::new(false, false)
    }

    /// The same, whose submission server (BURL) hands everything to the sink.
    pub(crate) fn start_submitting() -> MailServers {
        MailServers::new(false, true)
    }

    /// The same, whose IMAP offers no extension at all.
    pub(crate) fn start_poor_submitting() -> MailServers {
        MailServers::new(true, true)
    }

    /// The same, whose IMAP offers no extension at all.
    pub(crate) fn start_poor() -> MailServers {
        MailServers::new(true, false)
    }

    fn new(poor: bool, submits: bool) -> MailServers {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        // Mail is delivered as another user.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let names = ["imap", "imaps", "lmtp", "submission", "submissions", "pop3", "pop3s", "smtp", "smtps"];
        let ports = names.map(|name| (name, free_port())).into();
        let sink = Sink::start(&dir.path().join("sink"));
        let mut servers = MailServers { dovecot: None, postfix: None, sink, dir, ports, poor, submits };
        servers.restart();
        servers
    }

    /// With Postfix for submission.
    pub(crate) fn with_postfix(self) -> MailServers {
        let lmtp = self.address("lmtp");
        self.with_postfix_before(&lmtp)
    }

    /// With Postfix for submission, which hands mail for `lab.test` to this LMTP server.
    pub(crate) fn with_postfix_before(mut self, lmtp: &str) -> MailServers {
        let mut command = Command::new(script("postfix.sh"));
        command.arg(self.dir.path()).args(["smtp", "smtps"].map(|name| self.port(name).to_string()));
        command.arg(lmtp).arg(&self.sink.address);
        let postfix = Process::start(&mut command);
        postfix.wait_ready();
        self.postfix = Some(postfix);
        self
    }

    /// Starts Dovecot again on its old ports.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(script("dovecot.sh"));
        let names = ["imap", "imaps", "lmtp", "submission", "submissions", "pop3", "pop3s"];
        command.arg(self.dir.path()).args(names.map(|name| self.port(name).to_string()));
        command.arg(if self.submits { self.sink.address.clone() } else { self.address("smtp") });
        if self.poor {
            command.env("POORMAN", "1");
        }
        let dovecot = Process::start(&mut command);
        dovecot.wait_ready();
        self.dovecot = Some(dovecot);
    }

    /// Ends Dovecot; nobody answers on its ports.
    pub(crate) fn stop(&mut self) {
        if let Some(dovecot) = self.dovecot.take() {
            dovecot.close();
            let own = ["imap", "imaps", "lmtp", "submission", "submissions", "pop3", "pop3s"];
            let free = |name: &str| TcpListener::bind(("127.0.0.1", self.port(name))).is_ok();
            super::wait_for("Dovecot to end", || own.iter().all(|name| free(name)));
        }
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports[name]
    }

    pub(crate) fn address(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.port(name))
    }

    /// The certificate to trust.
    pub(crate) fn ca(&self) -> String {
        self.dir.path().join("tls/ca.pem").to_str().unwrap().to_owned()
    }

    /// Delivers a message into a user's inbox.
    pub(crate) fn deliver(&self, user: &str, message: &str) {
        let mut lmtp = Raw::connect(&self.address("lmtp"));
        lmtp.line();
        for command in [
            "LHLO test".to_owned(),
            "MAIL FROM:<x@y.example>".into(),
            format!("RCPT TO:<{user}@lab.test>"),
            "DATA".into(),
        ] {
            lmtp.send(&format!("{command}\r\n"));
            let said = lmtp.reply();
            assert!(said.starts_with('2') || said.starts_with("354"), "{command}: {said}");
        }
        let stuffed = message.strip_suffix("\r\n").unwrap_or(message).replace("\r\n.", "\r\n..");
        lmtp.send(&format!("{stuffed}\r\n.\r\n"));
        let said = lmtp.reply();
        assert!(said.starts_with("250"), "{said}");
    }

    /// Gives a user another password, and ends the links that he has.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        let path = self.dir.path().join("etc/users");
        let users = std::fs::read_to_string(&path).unwrap();
        let prefix = format!("{user}:{{PLAIN}}");
        let line = |line: &str| match line.strip_prefix(&prefix) {
            Some(rest) => format!("{prefix}{password}:{}\n", rest.split_once(':').unwrap().1),
            None => format!("{line}\n"),
        };
        std::fs::write(&path, users.lines().map(line).collect::<String>()).unwrap();
        self.doveadm(&["reload"]);
        self.doveadm(&["kick", user]);
    }

    /// Puts a mail into a user's inbox as a file, octet for octet.
    pub(crate) fn drop_file(&self, user: &str, name: &str, octets: &[u8]) {
        use std::os::unix::fs::{MetadataExt, chown};
        let folder = self.dir.path().join("mail").join(user).join("Maildir/new");
        let owner = std::fs::metadata(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, octets).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    /// A raw IMAP link of a user.
    pub(crate) fn imap(&self, user: &str) -> Raw {
        self.raw(user, &format!("lab-{user}"))
    }

    /// The same with another password than his first.
    pub(crate) fn raw(&self, user: &str, password: &str) -> Raw {
        let mut raw = Raw::connect(&self.address("imap"));
        raw.line();
        raw.imap(&format!("LOGIN {user} {password}"));
        raw
    }

    /// Runs `doveadm` on this Dovecot.
    pub(crate) fn doveadm(&self, args: &[&str]) -> String {
        let mut command = Command::new("doveadm");
        command.arg("-c").arg(self.dir.path().join("etc/dovecot.conf")).args(args);
        let done = super::run(&mut command, LIMIT);
        assert_eq!(done.code, 0, "doveadm {args:?}: {}", done.stderr);
        done.stdout
    }
}

impl Drop for MailServers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["dovecot.log", "postfix.log"] {
                let text = std::fs::read_to_string(self.dir.path().join(log)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(20).collect();
                eprintln!("--- end of {log}:");
                lines.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

/// A mail server that keeps everything, and fails by the names of recipients.
pub(crate) struct Sink {
    process: Option<Process>,
    pub(crate) address: String,
    dir: PathBuf,
}

impl Sink {
    pub(crate) fn start(dir: &Path) -> Sink {
        let mut sink = Sink { process: None, address: "127.0.0.1:0".into(), dir: dir.to_owned() };
        sink.restart();
        sink
    }

    /// Starts it, again at its old address when it has run before.
    pub(crate) fn restart(&mut self) {
        let (host, port) = self.address.rsplit_once(':').unwrap();
        let process =
            Process::start(Command::new("python3").arg(script("sink.py")).args([host, port]).arg(&self.dir));
        self.address = process.wait_ready()["smtp"].clone();
        self.process = Some(process);
    }

    /// Ends it; nobody answers at its address.
    pub(crate) fn stop(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn names(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.retain(|name| name.extension().is_some_and(|e| e == "eml"));
        names.sort();
        names
    }

    /// Every message that was kept, octet for octet.
    pub(crate) fn octets(&self) -> Vec<Vec<u8>> {
        self.names().iter().map(|name| std::fs::read(name).unwrap()).collect()
    }

    /// Every message that was kept, with its envelope as JSON.
    pub(crate) fn mails(&self) -> Vec<(String, String)> {
        let names = self.names();
        let read = |name: &Path| String::from_utf8_lossy(&std::fs::read(name).unwrap()).into_owned();
        names.iter().map(|name| (read(name), read(&name.with_extension("json")))).collect()
    }
}

/// A link on which a test speaks for itself.
pub(crate) struct Raw {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl Raw {
    pub(crate) fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Raw { stream: BufReader::new(stream), tag: 0 }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).into_owned()
    }

    /// A whole reply of SMTP or LMTP.
    pub(crate) fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let line = self.line();
            all.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
        }
    }

    /// An IMAP command that must succeed; everything that was said, literals in place.
    pub(crate) fn imap(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(&format!("{tag}{command}\r\n"));
        let mut all = String::new();
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "{command}: the link closed after {all}");
            all.push_str(&line);
            if let Some(end) = line.strip_prefix(&tag) {
                assert!(end.starts_with("OK"), "{command}: {all}");
                return all;
            }
            let size = line.trim_end().strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            if let Some(size) = size.and_then(|(_, size)| size.parse::<usize>().ok()) {
                let mut literal = vec![0; size];
                self.stream.read_exact(&mut literal).unwrap();
                all.push_str(&String::from_utf8_lossy(&literal));
            }
        }
    }

    /// Adds a message to a folder.
    pub(crate) fn append(&mut self, folder: &str, flags: &str, message: &str) {
        self.imap(&format!("APPEND {folder} ({flags}) {{{}+}}\r\n{message}", message.len()));
    }

    /// Adds any octets but NUL to a folder, as mail that came at this time.
    pub(crate) fn append_octets(&mut self, folder: &str, date: &str, message: &[u8]) {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(&format!("{tag}APPEND {folder} () \"{date}\" {{{}+}}\r\n", message.len()));
        self.stream.get_mut().write_all(message).unwrap();
        self.send("\r\n");
        loop {
            let line = self.line();
            if let Some(end) = line.strip_prefix(&tag) {
                assert!(end.starts_with("OK"), "APPEND: {end}");
                return;
            }
            assert!(line.starts_with('*'), "APPEND: {line}");
        }
    }

    /// Every mail of a folder, octet for octet as the server gives it.
    pub(crate) fn octets(&mut self, folder: &str) -> Vec<Vec<u8>> {
        let selected = self.imap(&format!("SELECT {folder}"));
        if selected.contains("* 0 EXISTS") {
            return Vec::new();
        }
        self.send("all FETCH 1:* (BODY.PEEK[])\r\n");
        let mut mails = Vec::new();
        loop {
            let line = self.line();
            if line.starts_with("all ") {
                assert!(line.starts_with("all OK"), "{line}");
                return mails;
            }
            let size = line.trim_end().strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            if let Some(size) = size.and_then(|(_, size)| size.parse::<usize>().ok()) {
                let mut literal = vec![0; size];
                self.stream.read_exact(&mut literal).unwrap();
                mails.push(literal);
            }
        }
    }

    /// The marks of each mail of a folder, by its subject.
    pub(crate) fn marks(&mut self, folder: &str) -> BTreeMap<String, String> {
        let selected = self.imap(&format!("SELECT {folder}"));
        if selected.contains("* 0 EXISTS") {
            return BTreeMap::new();
        }
        let said = self.imap("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let mut marks = BTreeMap::new();
        let mut last = String::new();
        for line in said.lines() {
            if let Some((_, rest)) = line.split_once("FLAGS (") {
                let mut names: Vec<&str> = rest.split(')').next().unwrap_or_default().split(' ').collect();
                names.retain(|name| !name.is_empty() && *name != "\\Recent");
                names.sort_unstable();
                last = names.join(" ");
            } else if let Some(subject) = line.strip_prefix("Subject: ") {
                marks.insert(subject.trim().to_owned(), last.clone());
            }
        }
        marks
    }
}
