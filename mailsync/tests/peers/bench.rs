//! A `mailsyncd` before real mail servers, and its phones.

use super::{Finished, MailServers, Process, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A `mailsyncd` with the user ann.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) url: String,
    pub(crate) server: Option<Process>,
}

impl Bench {
    pub(crate) fn new(servers: &MailServers) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "domain = \"lab.test\"\n[mail]\nca = \"{}\"\npoll_seconds = 1\nretry_seconds = 1\naccount_servers = [\"127.0.0.1\"]\n",
            servers.ca()
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let bench = Bench { dir, url: String::new(), server: None };
        assert_eq!(bench.daemon(&["user", "add", "ann"], "").code, 0);
        bench
    }

    /// With an account whose mail goes out to the sink, which takes any login.
    pub(crate) fn sending(servers: &MailServers) -> Bench {
        let mut bench = Bench::new(servers);
        let added = bench.account(servers, "alice", &["--smtp", &servers.sink.address, "--smtp-tls", "none"]);
        assert_eq!(added.code, 0, "{}", added.stderr);
        bench.start();
        bench.sync("phone");
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml")).args(args);
        command.env("MAILSYNC_PASSWORD", "secret");
        command
    }

    pub(crate) fn daemon(&self, args: &[&str], account_password: &str) -> Finished {
        run(self.command(args).env("MAILSYNC_ACCOUNT_PASSWORD", account_password), 30 * SECOND)
    }

    /// The account of a user of the lab, checked and stored.
    pub(crate) fn account(&self, servers: &MailServers, name: &str, more: &[&str]) -> Finished {
        let (imap, address) = (servers.address("imaps"), format!("{name}@lab.test"));
        let args = ["account", "add", "ann", name, "--address", &address, "--login", name, "--imap", &imap];
        self.daemon(&[&args[..], more].concat(), &format!("lab-{name}"))
    }

    /// Starts the server; when it has run before, at the same address: to a client another one is another server.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Bench::start`], with more listeners; gives the address of each.
    pub(crate) fn start_with(&mut self, more: &[&str]) -> BTreeMap<String, String> {
        let address = self.url.strip_prefix("http://").and_then(|url| url.strip_suffix("/syncml"));
        let args = ["--http", address.unwrap_or("127.0.0.1:0"), "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut self.command(&[&args[..], more].concat()));
        let ready = server.wait_ready();
        self.url = ready["syncml"].clone();
        self.server = Some(server);
        ready
    }

    pub(crate) fn mailsync(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        run(command.args(args).env("MAILSYNC_PASSWORD", "secret"), 120 * SECOND)
    }

    pub(crate) fn verb(&self, phone: &str, args: &[&str]) -> Finished {
        let dir = self.path(phone);
        let done = self.mailsync(&[&args[..1], &["--dir", dir.to_str().unwrap()], &args[1..]].concat());
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        done
    }

    pub(crate) fn sync(&self, phone: &str) {
        self.sync_with(phone, &[]);
    }

    pub(crate) fn sync_with(&self, phone: &str, more: &[&str]) {
        let dir = self.path(phone);
        let args = ["sync", "--server", &self.url, "--user", "ann", "--dir", dir.to_str().unwrap()];
        let done = self.mailsync(&[&args[..], more].concat());
        assert_eq!(
            done.code,
            0,
            "{}\n{}",
            done.stderr,
            self.server.as_ref().map(Process::stderr).unwrap_or_default()
        );
    }

    pub(crate) fn list(&self, phone: &str) -> Vec<Value> {
        let dir = self.path(phone);
        let done = self.mailsync(&["--json", "list", "--dir", dir.to_str().unwrap()]);
        serde_json::from_str(&done.stdout).unwrap()
    }

    pub(crate) fn mail(&self, phone: &str, subject: &str) -> Option<Value> {
        self.list(phone).into_iter().find(|mail| mail["subject"] == subject)
    }

    pub(crate) fn luid(&self, phone: &str, subject: &str) -> String {
        let mail = self.mail(phone, subject).unwrap_or_else(|| panic!("{subject}: {:#?}", self.list(phone)));
        mail["luid"].as_str().unwrap().to_owned()
    }

    /// Syncs until the phone is as wanted.
    pub(crate) fn until(&self, phone: &str, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = std::time::Instant::now() + 30 * SECOND;
        loop {
            self.sync(phone);
            let list = self.list(phone);
            if wanted(&list) {
                return list;
            }
            assert!(std::time::Instant::now() < deadline, "{what}: {list:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

pub(crate) fn mail(subject: &str) -> String {
    format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello, this is {subject}.\r\n",
        subject.replace(' ', "-")
    )
}

pub(crate) fn is(list: &[Value], subject: &str, name: &str, value: impl Into<Value>) -> bool {
    let value = value.into();
    list.iter().any(|mail| mail["subject"] == subject && mail[name] == value)
}

pub(crate) fn lacks(list: &[Value], subject: &str) -> bool {
    list.iter().all(|mail| mail["subject"] != subject)
}
