//! The server of the demo: this very executable as a child process.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// A running server. Killed when dropped.
pub(super) struct Server {
    child: Child,
    /// Where SyncML is spoken.
    pub(super) http: SocketAddr,
    /// Where mail is taken.
    pub(super) smtp: String,
}

/// Adds a user, with the server's own command.
pub(super) fn add_user(exe: &Path, data: &Path, name: &str, password: &str) -> Result<(), String> {
    let mut command = Command::new(exe);
    command.args(["serve-demo", "--data"]).arg(data).args(["user", "add", name]);
    let done = command
        .env("MAILSYNC_PASSWORD", password)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", exe.display()))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("user add {name}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

impl Server {
    /// Starts it on a data folder and waits until it listens; `http`: where, port 0 is any free one.
    pub(super) fn start(exe: &Path, data: &Path, log: &PathBuf, http: SocketAddr) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("server: {error}");
        let log = File::options().create(true).append(true).open(log).map_err(failed)?;
        let mut child = Command::new(exe)
            .args(["serve-demo", "--data"])
            .arg(data)
            .args(["--http", &http.to_string(), "--smtp", "127.0.0.1:0"])
            // It ends when this end of the pipe closes: also when we are killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take();
        let mut server = Server { child, http, smtp: String::new() };
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                // Nobody waits for more than the first.
                let _ = sender.send(line);
            }
        });
        let line = lines.recv_timeout(READY).map_err(|_| "server: not ready; its log says why")?;
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let url = ready["syncml"].as_str().unwrap_or_default();
        let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        server.http = address.parse().map_err(|_| format!("server: odd first line {line:?}"))?;
        server.smtp = ready["smtp"].as_str().unwrap_or_default().to_owned();
        Ok(server)
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub(super) fn kill(mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("server: {error}");
        if let Some(status) = self.child.try_wait().map_err(failed)? {
            return Err(format!("server: ended by itself: {status}"));
        }
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
