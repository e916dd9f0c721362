//! A server with people, and their terminals that watch.

use crate::peers::{Finished, MailServers, PASSWORD, Process, run};
use serde_json::Value;
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A `mailsyncd` with users, all with the password `secret`.
pub(crate) struct Lab {
    dir: TempDir,
    url: String,
    pub(crate) server: Option<Process>,
}

impl Lab {
    /// `tasks` is the section of that name.
    pub(crate) fn new(tasks: &str, users: &[&str]) -> Lab {
        Lab::before("", &format!("[tasks]\n{tasks}\n"), users)
    }

    /// With these lines before all sections, and these sections.
    pub(crate) fn before(top: &str, sections: &str, users: &[&str]) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("server.password"), "server's own\n").unwrap();
        let config = format!(
            "{top}\n[session]\nserver_name = \"srv\"\nserver_password_file = \"{}\"\n{sections}\n",
            dir.path().join("server.password").display()
        );
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut lab = Lab { dir, url: String::new(), server: None };
        for user in users {
            let added = lab.daemon(&["user", "add", user]);
            assert_eq!(added.code, 0, "{added:?}");
        }
        lab.start();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).arg("--config").arg(self.path("config.toml")).args(args);
        command.env("MAILSYNC_PASSWORD", "secret");
        command
    }

    pub(crate) fn daemon(&self, args: &[&str]) -> Finished {
        run(&mut self.command(args), LIMIT)
    }

    /// The account of a user at the mail servers, whose mail goes out through Postfix.
    pub(crate) fn account(&self, servers: &MailServers, user: &str, name: &str) {
        let (imap, smtp, address) =
            (servers.address("imaps"), servers.address("smtp"), format!("{name}@lab.test"));
        let args = ["account", "add", user, name, "--address", &address, "--login", name, "--imap", &imap];
        let mut command = self.command(&[&args[..], &["--smtp", &smtp, "--smtp-tls", "starttls"]].concat());
        let added = run(command.env("MAILSYNC_ACCOUNT_PASSWORD", format!("lab-{name}")), LIMIT);
        assert_eq!(added.code, 0, "{added:?}");
    }

    /// Starts the server; when it has run before, at the same address.
    pub(crate) fn start(&mut self) {
        let address = self.url.strip_prefix("http://").and_then(|url| url.strip_suffix("/syncml"));
        let args = ["--http", address.unwrap_or("127.0.0.1:0"), "--smtp", "127.0.0.1:0"];
        let server = Process::start(&mut self.command(&args));
        self.url = server.wait_ready()["syncml"].clone();
        self.server = Some(server);
    }

    /// As a crash or a power loss would.
    pub(crate) fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub(crate) fn mailsync(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.env("MAILSYNC_PASSWORD", "secret").env("MAILSYNC_SERVER_PASSWORD", "server's own");
        command.env("MAILSYNC_SMS_PASSWORD", PASSWORD).arg("--json");
        command
    }

    /// A verb that works in the folder of a device, which is called as the device.
    pub(crate) fn verb(&self, user: &str, device: &str, args: &[&str]) -> Finished {
        let mut command = self.mailsync();
        command.args(args).args(["--user", user, "--device", device, "--dir"]).arg(self.path(device));
        run(&mut command, LIMIT)
    }

    /// As [`Lab::verb`], which must be good.
    pub(crate) fn done(&self, user: &str, device: &str, args: &[&str]) -> Value {
        let finished = self.verb(user, device, args);
        assert_eq!(finished.code, 0, "{args:?}: {finished:?}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// Sets a task; its id.
    pub(crate) fn add(&self, user: &str, device: &str, args: &[&str]) -> String {
        self.done(user, device, &[&["task", "add"], args].concat())["uid"].as_str().unwrap().to_owned()
    }

    /// A task as a device lists it.
    pub(crate) fn listed(&self, user: &str, device: &str, uid: &str) -> Option<Value> {
        self.listed_with(user, device, uid, &[])
    }

    /// As [`Lab::listed`], with more to say.
    pub(crate) fn listed_with(&self, user: &str, device: &str, uid: &str, more: &[&str]) -> Option<Value> {
        let all = self.done(user, device, &[&["task", "list"], more].concat());
        all.as_array().unwrap().iter().find(|task| task["uid"] == uid).cloned()
    }

    /// Waits until a device lists a task so.
    pub(crate) fn until(
        &self,
        user: &str,
        device: &str,
        uid: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let listed = self.listed(user, device, uid);
            if let Some(task) = listed.as_ref().filter(|task| wanted(task)) {
                return task.clone();
            }
            assert!(Instant::now() < deadline, "{device}: {listed:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn log(&self) -> String {
        self.server.as_ref().map(Process::stderr).unwrap_or_default()
    }

    pub(crate) fn sync(&self, user: &str, device: &str, args: &[&str]) -> Finished {
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut command = self.mailsync();
            command.args(["sync", "--server", &self.url, "--server-name", "srv"]);
            command.args(["--user", user, "--device", device, "--dir"]);
            let finished = run(command.arg(self.path(device)).args(args), LIMIT);
            // The terminal that watches may be syncing just now.
            let busy = finished.code == 1 && finished.stderr.contains("in use by another process");
            if !busy || Instant::now() > deadline {
                return finished;
            }
            std::thread::sleep(SECOND / 4);
        }
    }

    /// A terminal that watches.
    pub(crate) fn watch(&self, user: &str, device: &str, args: &[&str]) -> Terminal {
        let terminal = self.open(user, device, args);
        terminal.until("the first sync", |line| line["event"] == "synced");
        terminal
    }

    /// As [`Lab::watch`], whatever becomes of its first sync.
    pub(crate) fn open(&self, user: &str, device: &str, args: &[&str]) -> Terminal {
        let mut command = self.mailsync();
        command.args(["watch", "--tasks", "--store", "notes:text/plain", "--server", &self.url]);
        command.args(["--user", user, "--device", device, "--server-name", "srv"]);
        command.arg("--dir").arg(self.path(device)).args(args);
        let process = Process::start(&mut command);
        let ready = process.wait_ready();
        let direct = ready.get("direct").cloned().unwrap_or_default();
        Terminal { process, direct, lines: RefCell::default() }
    }

    /// A group of a user's in which these are and may set alarms.
    pub(crate) fn befriend(&self, user: &str, device: &str, friends: &[&str]) {
        let mut args = vec!["group", "set", "friends", "--level", "5", "--may", "alarm", "--attach", "audio"];
        friends.iter().for_each(|friend| args.extend(["--add", friend]));
        self.done(user, device, &args);
    }
}

/// A `mailsync watch`.
pub(crate) struct Terminal {
    pub(crate) process: Process,
    /// Where other clients reach it.
    pub(crate) direct: String,
    lines: RefCell<Vec<Value>>,
}

impl Terminal {
    fn next(&self, limit: Duration) -> Option<Value> {
        let line = self.process.line(limit)?;
        let line: Value = serde_json::from_str(&line).unwrap();
        self.lines.borrow_mut().push(line.clone());
        Some(line)
    }

    /// The next line that is wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Some(line) if wanted(&line) => return line,
                Some(_) => {}
                None => panic!("{what}: nothing came; {:?}\n{}", self.lines.borrow(), self.process.stderr()),
            }
        }
    }

    /// How it showed a task.
    pub(crate) fn shows(&self, uid: &str) -> Value {
        self.until("the task", |line| line["event"] == "task" && line["uid"] == uid)
    }

    /// How often it has shown a task, after some time in which it could have.
    pub(crate) fn shown(&self, uid: &str, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        while self.next(deadline.saturating_duration_since(Instant::now())).is_some() {}
        let lines = self.lines.borrow();
        lines.iter().filter(|line| line["event"] == "task" && line["uid"] == uid).count()
    }
}

pub(crate) fn millis() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
