//! A `mailsyncd` whose user has a mailbox at Dovecot, and the user's terminals.

use super::{Finished, MailServers, Process, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);

/// The server and where its terminals keep what they have.
pub(crate) struct PushBench {
    pub(crate) servers: MailServers,
    dir: TempDir,
    pub(crate) url: String,
    pub(crate) server: Option<Process>,
}

impl PushBench {
    /// With these further lines of configuration; `@PASSWORD@` is a file with the password of the tests, `@CERT@` and `@KEY@`
    /// are files with a certificate that the tests trust.
    pub(crate) fn new(more: &str) -> PushBench {
        let (servers, dir) = (MailServers::start(), tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("server.password"), "server's own\n").unwrap();
        let password = dir.path().join("peer.password");
        std::fs::write(&password, format!("{}\n", super::PASSWORD)).unwrap();
        let config = format!(
            "domain = \"lab.test\"\n[mail]\nca = \"{}\"\npoll_seconds = 60\nretry_seconds = 1\naccount_servers = [\"127.0.0.1\"]\n\
             [session]\nserver_name = \"srv\"\nserver_password_file = \"{}\"\n{}",
            servers.ca(),
            dir.path().join("server.password").display(),
            more.replace("@PASSWORD@", &password.display().to_string())
                .replace("@CERT@", &servers.ca().replace("ca.pem", "cert.pem"))
                .replace("@KEY@", &servers.ca().replace("ca.pem", "key.pem"))
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut bench = PushBench { servers, dir, url: String::new(), server: None };
        assert_eq!(bench.daemon(&["user", "add", "ann"]).code, 0);
        let imap = bench.servers.address("imaps");
        let args = [
            "account",
            "add",
            "ann",
            "a",
            "--address",
            "alice@lab.test",
            "--login",
            "alice",
            "--imap",
            &imap,
        ];
        let added = bench.daemon(&args);
        assert_eq!(added.code, 0, "{}", added.stderr);
        bench.start();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml")).args(args);
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_ACCOUNT_PASSWORD", "lab-alice");
        command
    }

    pub(crate) fn daemon(&self, args: &[&str]) -> Finished {
        run(&mut self.command(args), 30 * SECOND)
    }

    /// Starts the server; when it has run before, at the same address.
    pub(crate) fn start(&mut self) {
        let address = self.url.split_once("://").and_then(|(_, url)| url.strip_suffix("/syncml"));
        let args = ["--http", address.unwrap_or("127.0.0.1:0"), "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut self.command(&args));
        self.url = server.wait_ready()["syncml"].clone();
        self.server = Some(server);
    }

    fn client(&self, device: &str, verb: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.arg("--json").args(verb).args(["--server", &self.url, "--user", "ann", "--device", device]);
        command.arg("--dir").arg(self.path(device)).args(more);
        if self.url.starts_with("https") {
            command.args(["--ca", &self.servers.ca()]);
        }
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SERVER_PASSWORD", "server's own");
        command.env("MAILSYNC_SMS_PASSWORD", super::PASSWORD);
        command
    }

    pub(crate) fn client_run(&self, device: &str, verb: &[&str], more: &[&str]) -> Finished {
        run(&mut self.client(device, verb, more), LIMIT)
    }

    /// A verb without a server.
    pub(crate) fn offline(&self, args: &[&str]) -> Finished {
        run(Command::new(env!("CARGO_BIN_EXE_mailsync")).args(args), 30 * SECOND)
    }

    pub(crate) fn sync(&self, device: &str, more: &[&str]) {
        let done = self.client_run(device, &["sync"], &[&["--server-name", "srv"], more].concat());
        assert_eq!(done.code, 0, "{done:?}");
    }

    pub(crate) fn report(&self, device: &str, more: &[&str]) -> Finished {
        self.client_run(device, &["device", "report"], &[&["--no-sensing"], more].concat())
    }

    pub(crate) fn show(&self, device: &str) -> Value {
        let done = self.client_run(device, &["device", "show"], &[]);
        assert_eq!(done.code, 0, "{done:?}");
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// Sets the policy at the server.
    pub(crate) fn policy(&self, policy: &Value) {
        let file = self.path("policy.json");
        std::fs::write(&file, policy.to_string()).unwrap();
        let set = self.daemon(&["policy", "set", "ann", file.to_str().unwrap()]);
        assert_eq!(set.code, 0, "{set:?}");
        // It counts for mail that comes when the server has seen it.
        std::thread::sleep(SECOND + SECOND / 2);
    }

    /// The decision on a mail, if there is one yet.
    pub(crate) fn explained(&self, subject: &str) -> Option<Value> {
        let done = self.daemon(&["--json", "push", "explain", "ann", subject]);
        serde_json::from_str(&done.stdout).ok()
    }

    pub(crate) fn watch(&self, device: &str, more: &[&str]) -> Watch {
        let mut command = self.client(device, &["watch"], &[&["--server-name", "srv"], more].concat());
        let process = Process::start(&mut command);
        let ready = process.wait_ready();
        let watch = Watch { process, ready };
        watch.until("the first sync", |line| line["event"] == "synced");
        watch
    }

    fn list(&self, device: &str) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        let done = run(command.args(["--json", "list", "--dir"]).arg(self.path(device)), 30 * SECOND);
        serde_json::from_str(&done.stdout).unwrap_or_default()
    }

    pub(crate) fn mail(&self, device: &str, subject: &str) -> Option<Value> {
        self.list(device).into_iter().find(|mail| mail["subject"] == subject)
    }

    pub(crate) fn luid(&self, device: &str, subject: &str) -> String {
        self.mail(device, subject).unwrap()["luid"].as_str().unwrap().to_owned()
    }

    pub(crate) fn flag(&self, device: &str, luid: &str, flag: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        let done =
            run(command.args(["flag", "--dir"]).arg(self.path(device)).args([luid, flag]), 30 * SECOND);
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// The files by which a laptop on battery, in the network of 192.0.2.1, senses its user; where they are.
    pub(crate) fn machine(&self, device: &str) -> String {
        let root = self.path(&format!("{device}-machine"));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("dev/pts/0", "");
        put("proc/sys/kernel/random/boot_id", "one\n");
        put("sys/class/power_supply/BAT0/type", "Battery\n");
        let gateway = u32::from_ne_bytes([192, 0, 2, 1]);
        put("proc/net/route", &format!("Iface Destination Gateway\nwlan0 00000000 {gateway:08X} 0003\n"));
        root.display().to_string()
    }
}

/// A `mailsync watch`.
pub(crate) struct Watch {
    pub(crate) process: Process,
    pub(crate) ready: BTreeMap<String, String>,
}

impl Watch {
    /// The next line that is wanted; those before it are left out.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.process.line(left);
            let line = line.unwrap_or_else(|| panic!("{what}: nothing came; {}", self.process.stderr()));
            let line: Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// What the next notice says, and when the sync after it ended.
    pub(crate) fn notice(&self) -> (Value, u64) {
        let notice = self.until("a notice", |line| line["event"] == "notice");
        let synced = self.until("its sync", |line| line["event"] == "synced");
        assert_eq!(synced["result"], "ok", "{synced}");
        (notice["happened"].clone(), synced["at_ms"].as_u64().unwrap())
    }
}
