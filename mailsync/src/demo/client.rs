//! The clients of the demo: `mailsync` itself as a child process, a folder each.

use serde_json::Value;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(300);

/// A device of a user.
pub(super) struct Client {
    exe: PathBuf,
    /// Its folder.
    pub(super) dir: PathBuf,
    url: String,
    user: &'static str,
    password: String,
    /// `wbxml` or `xml`.
    pub(super) wire: &'static str,
}

/// What a sync reports of itself, over its datastores.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Synced {
    /// Requests with their answers.
    pub(super) messages: u64,
    /// Octets of all SyncML messages, both ways.
    pub(super) octets: u64,
    /// Added, changed and deleted items that came.
    pub(super) received: u64,
    /// Added, changed and deleted items that left.
    pub(super) sent: u64,
    /// Everything was compared.
    pub(super) slow: bool,
}

/// A sync that is under way. Killed when dropped.
pub(super) struct Syncing(Child);

impl Client {
    /// A client with a new folder.
    pub(super) fn new(
        exe: &Path,
        dir: PathBuf,
        server: SocketAddr,
        user: &'static str,
        password: &str,
        wire: &'static str,
    ) -> Self {
        Client {
            exe: exe.into(),
            dir,
            url: format!("http://{server}/syncml"),
            user,
            password: password.into(),
            wire,
        }
    }

    /// Syncs; every datastore must be synced.
    pub(super) fn sync(&self, more: &[&str]) -> Result<Synced, String> {
        self.start(more)?.finish()
    }

    /// Starts a sync.
    pub(super) fn start(&self, more: &[&str]) -> Result<Syncing, String> {
        let mut command = Command::new(&self.exe);
        command.args(["--json", "sync", "--server", &self.url, "--user", self.user, "--dir"]).arg(&self.dir);
        command.args(["--wire", self.wire, "--max-msg-size", "20000"]).args(more);
        let child = command
            .env("MAILSYNC_PASSWORD", &self.password)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.exe.display()))?;
        Ok(Syncing(child))
    }

    /// Runs another verb on the folder, and gives its JSON.
    pub(super) fn verb(&self, verb: &str, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.exe);
        command.args(["--json", verb, "--dir"]).arg(&self.dir).args(args);
        let done = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", self.exe.display()))?;
        if !done.status.success() {
            return Err(format!("mailsync {verb}: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        serde_json::from_slice(&done.stdout).map_err(|error| format!("mailsync {verb}: odd answer: {error}"))
    }
}

impl Syncing {
    /// Waits for its end, which must be a good one.
    pub(super) fn finish(mut self) -> Result<Synced, String> {
        let out = collect(self.0.stdout.take());
        let err = collect(self.0.stderr.take());
        let end = Instant::now() + LIMIT;
        let status = loop {
            match self.0.try_wait().map_err(|error| format!("sync: {error}"))? {
                Some(status) => break status,
                None if Instant::now() > end => return Err(format!("sync: not done after {LIMIT:?}")),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let out = out.join().unwrap_or_default();
        if !status.success() {
            return Err(format!("sync: {status}: {}", err.join().unwrap_or_default().trim()));
        }
        let line = out.lines().last().unwrap_or_default();
        let report: Value =
            serde_json::from_str(line).map_err(|error| format!("sync: odd report: {error}"))?;
        Synced::read(&report).ok_or_else(|| format!("sync: odd report: {line}"))
    }

    /// Kills it (SIGKILL), and waits until it is gone; an error if it ended by itself.
    pub(super) fn kill(mut self) -> Result<(), String> {
        if let Some(status) = self.0.try_wait().map_err(|error| format!("sync: {error}"))? {
            return Err(format!("sync: ended before it could be killed: {status}"));
        }
        // The guard does it.
        Ok(())
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Synced {
    fn read(report: &Value) -> Option<Self> {
        if report["result"] != "ok" {
            return None;
        }
        let mut synced = Synced {
            messages: report["messages"].as_u64()?,
            octets: report["bytes_in"].as_u64()? + report["bytes_out"].as_u64()?,
            ..Synced::default()
        };
        for store in report["stores"].as_array()? {
            let sum = |way: &str| -> Option<u64> {
                let counts = &store[way];
                Some(counts["added"].as_u64()? + counts["replaced"].as_u64()? + counts["deleted"].as_u64()?)
            };
            synced.received += sum("received")?;
            synced.sent += sum("sent")?;
            synced.slow |= store["mode"] == "slow";
        }
        Some(synced)
    }
}

/// Reads a pipe to its end, so that the writer never blocks.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came until then is shown.
            let _ = pipe.read_to_end(&mut octets);
        }
        String::from_utf8_lossy(&octets).into_owned()
    })
}
