//! SMPP and mail peers: the npm package `smpp` as a centre, Kannel as a client, Postfix, swaks.

use super::exchange::{PASSWORD, wait_for};
use super::process::{Process, free_port};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// `smsc.js`: a centre that is not ours.
pub(crate) struct Centre {
    process: Process,
    pub(crate) address: String,
    seen: Mutex<VecDeque<serde_json::Value>>,
}

impl Centre {
    /// Started with these settings of `smsc.js`.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Centre {
        let env = script("smpp/env.sh");
        let run = format!(". {} && exec node {}", env.display(), script("smpp/smsc.js").display());
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &run]).env("SYSID", "esme1").env("PASSWD", PASSWORD);
        command.envs(settings.iter().copied());
        let process = Process::start(&mut command);
        let address = format!("127.0.0.1:{}", process.wait_ready()["port"]);
        Centre { process, address, seen: Mutex::default() }
    }

    /// `[[sms.smsc]]` for the configuration.
    pub(crate) fn config(&self, more: &str) -> String {
        format!(
            "[[sms.smsc]]\nname = \"node\"\naddress = \"{}\"\nsystem_id = \"esme1\"\npassword_file = \"@PASSWORD@\"\nprefixes = [\"+\"]\n{more}\n",
            self.address
        )
    }

    /// The next event of a kind; others before it are kept for later calls.
    pub(crate) fn event(&self, kind: &str) -> serde_json::Value {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(found) = self.poll(kind, Duration::from_millis(500)) {
                return found;
            }
            assert!(Instant::now() < until, "no {kind} from the centre");
        }
    }

    /// The same, if there is one within `limit`.
    pub(crate) fn poll(&self, kind: &str, limit: Duration) -> Option<serde_json::Value> {
        let mut seen = self.seen.lock().unwrap();
        let until = Instant::now() + limit;
        loop {
            if let Some(at) = seen.iter().position(|event| event["ev"] == kind) {
                return seen.remove(at);
            }
            let line = self.process.line(until.saturating_duration_since(Instant::now()))?;
            seen.push_back(serde_json::from_str(&line).unwrap());
        }
    }

    /// Sends a `deliver_sm` with these fields, in JSON.
    pub(crate) fn deliver(&self, fields: &serde_json::Value) {
        self.process.write(&format!("{fields}\n"));
    }
}

/// Kannel, bound to a centre of ours as account `phone2`.
pub(crate) struct Kannel {
    _process: Process,
    http: String,
    asked: Arc<Mutex<Vec<String>>>,
    dir: PathBuf,
    /// Where Kannel fetches.
    listener: String,
}

impl Kannel {
    /// Started with this password.
    pub(crate) fn start(dir: &Path, server: &str, password: &str) -> Kannel {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = collect(Arc::clone(&asked));
        let mut command = Command::new(script("smpp/kannel.sh"));
        command.arg(dir).arg(server).env("SYSID", "phone2").env("PASSWD", password);
        for name in ["PORT1", "PORT2", "PORT3"] {
            command.env(name, free_port().to_string());
        }
        command.env("MO_URL", format!("http://{listener}/mo"));
        let process = Process::start(&mut command);
        let http = process.wait_ready()["http"].clone();
        Kannel { _process: process, http, asked, dir: dir.into(), listener }
    }

    /// Sends a text by its HTTP interface, with these further parameters.
    pub(crate) fn send(&self, from: &str, to: &str, text: &str, more: &str) {
        let escape = |text: &str| text.bytes().map(|octet| format!("%{octet:02X}")).collect::<String>();
        let path = format!(
            "/cgi-bin/sendsms?username=t&password=t&from={}&to={}&text={}{more}",
            escape(from),
            escape(to),
            escape(text)
        );
        let answer = get(&self.http, &path);
        assert!(answer.contains("0: Accepted") || answer.contains("3: Queued"), "{answer}");
    }

    /// Parameters that ask for reports about a message.
    pub(crate) fn reports(&self) -> String {
        format!("&dlr-mask=31&dlr-url=http%3A%2F%2F{}%2Fdlr%3Fstate%3D%25d", self.listener)
    }

    /// Waits until Kannel has fetched something like this; the whole path.
    pub(crate) fn fetched(&self, part: &str) -> String {
        let mut found = None;
        wait_for(part, || {
            found =
                self.asked.lock().unwrap().iter().map(|path| unescape(path)).find(|path| path.contains(part));
            found.is_some()
        });
        found.unwrap()
    }

    /// Kannel's log of its link.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("bearerbox.log")).unwrap()).into_owned()
    }
}

/// What a path says.
fn unescape(path: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = path.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            octet => octet,
        });
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// A web server that answers everything with nothing and keeps the paths.
fn collect(asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            asked.lock().unwrap().push(first.split(' ').nth(1).unwrap_or_default().to_owned());
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Postfix: delivers elsewhere.example, gives all else to a relay.
pub(crate) struct Postfix {
    _process: Process,
    pub(crate) smtp: String,
    dir: tempfile::TempDir,
}

impl Postfix {
    pub(crate) fn start(port: u16, relay: &str) -> Postfix {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        // Postfix delivers as another user.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(script("mta/run.sh"));
        command.arg(dir.path()).arg(port.to_string()).arg(relay);
        let process = Process::start(&mut command);
        let smtp = process.wait_ready()["smtp"].clone();
        Postfix { _process: process, smtp, dir }
    }

    /// The mails that carl@elsewhere.example has got, once there are so many.
    pub(crate) fn mails(&self, count: usize) -> Vec<String> {
        let mut mails = Vec::new();
        wait_for("mail at Postfix", || {
            let entries = std::fs::read_dir(self.dir.path().join("mail/carl/new")).into_iter().flatten();
            mails = entries
                .map(|entry| {
                    String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned()
                })
                .collect();
            mails.len() >= count
        });
        mails
    }
}

/// Sends a mail with swaks; its exit status (0: taken) and what was said.
pub(crate) fn swaks(server: &str, options: &[&str]) -> super::process::Finished {
    let mut command = Command::new("swaks");
    command.args(["--server", server, "--helo", "swaks.example"]).args(options);
    super::process::run(&mut command, LIMIT)
}
