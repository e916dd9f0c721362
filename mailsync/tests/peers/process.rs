//! Child processes that cannot outlive the test: guards, time limits, the ready line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a program may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A port of 127.0.0.1 that is free, for TCP and for UDP, and given to no other test of this process. It is below those that the
/// system gives out for port 0, so that no socket of a parallel test takes it before the program does that it is for. Prefer port 0
/// and the ready line where a program offers them.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let range = 10_000..32_000; // Linux gives out 32768 and up
    let first = std::process::id().wrapping_mul(61); // test binaries that run at once begin at different ports
    for _ in range.clone() {
        let step = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let place = first.wrapping_add(step) % u32::from(range.end - range.start);
        let port = range.start + u16::try_from(place).expect("less than the range");
        let at = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
    panic!("127.0.0.1 has no free port in {range:?}");
}

/// A running child process in a process group of its own. Dropping it kills the whole group (SIGKILL), so that a failed test leaves
/// nothing behind; when the test is failing, what the child wrote on stderr is printed first.
///
/// Its standard input is an open pipe that is closed when this process ends in whatever way: `run-server.sh --foreground` uses that.
pub(crate) struct Process {
    child: Child,
    name: String,
    lines: Mutex<Receiver<String>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts the command with stdin, stdout and stderr piped; both outputs are read all the time, so the child never blocks on them.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub(crate) fn start(command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line); // nobody waits for lines any more: keep draining
            }
        });
        let stderr = collect(child.stderr.take().expect("stderr is piped")).0;
        Process { child, name, lines: Mutex::new(lines), stderr, ended: None }
    }

    /// The process id, for `/proc` and for signals of the test's own.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout, or `None` at its end or after `limit`.
    pub(crate) fn line(&self, limit: Duration) -> Option<String> {
        self.lines.lock().expect("no reader panics").recv_timeout(limit).ok()
    }

    /// Waits for the line `{"ready":true,...}` that a server prints when all its listeners are up, and returns its fields by name
    /// (`["syncml"]` is the URL).
    ///
    /// # Panics
    /// When the first line is another one, or none comes in time; the message carries stderr.
    pub(crate) fn wait_ready(&self) -> BTreeMap<String, String> {
        let line = self.line(READY_LIMIT);
        let fields = line.as_deref().and_then(flat_json);
        match fields {
            Some(fields) if fields.get("ready").is_some_and(|ready| ready == "true") => fields,
            _ => panic!("{} did not get ready; first line {line:?}, stderr:\n{}", self.name, self.stderr()),
        }
    }

    /// Writes to the child's standard input.
    pub(crate) fn write(&self, text: &str) {
        use std::io::Write as _;
        let mut stdin = self.child.stdin.as_ref().expect("stdin is piped");
        stdin.write_all(text.as_bytes()).expect("the child reads");
        stdin.flush().expect("the child reads");
    }

    /// What the child has written on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().expect("no reader panics")).into_owned()
    }

    /// Whether the process itself is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    ///
    /// # Panics
    /// When it has not ended within 20 seconds.
    pub(crate) fn stop(mut self) -> ExitStatus {
        if let Some(status) = self.poll() {
            return status;
        }
        signal("TERM", &self.child.id().to_string());
        self.wait(STOP_LIMIT)
            .unwrap_or_else(|| panic!("{} did not end after SIGTERM; stderr:\n{}", self.name, self.stderr()))
    }

    /// Closes the child's standard input and waits for it: the orderly end of a program that watches its starter that way.
    ///
    /// # Panics
    /// When it has not ended within 20 seconds.
    pub(crate) fn close(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.wait(STOP_LIMIT)
            .unwrap_or_else(|| panic!("{} did not end with its stdin; stderr:\n{}", self.name, self.stderr()))
    }

    /// Kills the process and its group at once (SIGKILL), as a crash would, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Waits for the process to end by itself; `None` when `limit` passes first.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.poll() {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                ended => return ended,
            }
        }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("our own child can be waited for");
        }
        self.ended
    }

    /// Only a process not yet waited for is signalled: until then its id, and the group's, cannot belong to anybody else.
    fn end(&mut self) {
        if self.poll().is_none() {
            signal("KILL", &format!("-{}", self.child.id()));
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- stderr of {}:\n{}", self.name, self.stderr());
        }
        self.end();
    }
}

/// A command that ran to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status; -1 when a signal ended it.
    pub(crate) code: i32,
    /// All of stdout; octets that are not UTF-8 are replaced.
    pub(crate) stdout: String,
    /// All of stderr, likewise.
    pub(crate) stderr: String,
}

/// Runs a command to its end and collects its output. Standard input is empty.
///
/// # Panics
/// When it cannot be started, or has not ended after `limit`: then its whole process group is killed first.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Finished {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let (stdout, stdout_end) = collect(child.stdout.take().expect("stdout is piped"));
    let (stderr, stderr_end) = collect(child.stderr.take().expect("stderr is piped"));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("our own child can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            None => {
                signal("KILL", &format!("-{}", child.id()));
                let _ = child.wait();
                break None;
            }
        }
    };
    stdout_end.join().expect("the reader does not panic");
    stderr_end.join().expect("the reader does not panic");
    let text = |bytes: Arc<Mutex<Vec<u8>>>| {
        String::from_utf8_lossy(&bytes.lock().expect("no reader panics")).into_owned()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let Some(status) = status else {
        panic!("{name} did not end within {limit:?}; stdout:\n{stdout}\nstderr:\n{stderr}");
    };
    Finished { code: status.code().unwrap_or(-1), stdout, stderr }
}

/// The fields of one JSON object without inner objects or arrays; strings unescaped, other values as they stand. `None` when the
/// text is anything else.
pub(crate) fn flat_json(text: &str) -> Option<BTreeMap<String, String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
    let mut fields = BTreeMap::new();
    while !rest.is_empty() {
        let (name, after) = json_string(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        let value;
        if rest.starts_with('"') {
            (value, rest) = json_string(rest)?;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            value = rest[..end].trim().to_owned();
            rest = &rest[end..];
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
            if value.is_empty() || !value.chars().all(plain) {
                return None;
            }
        }
        fields.insert(name, value);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) if !after.trim_start().is_empty() => rest = after.trim_start(),
            Some(_) => return None,
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(fields)
}

/// A JSON string at the start of `text`, unescaped, and what follows it.
fn json_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 2..])), // past both quotes
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    value.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                c @ ('"' | '\\' | '/') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

/// Reads a pipe to its end in a thread, so that the writer never blocks.
fn collect(mut pipe: impl Read + Send + 'static) -> (Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>) {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&collected);
    let reader = thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            writer.lock().expect("no reader panics").extend_from_slice(&buffer[..read]);
        }
    });
    (collected, reader)
}

/// Sends a signal by the shell's own `kill` (std has no other way): to a process id, or to a group as `-ID`.
fn signal(name: &str, target: &str) {
    let script = format!("kill -s {name} -- {target}");
    let _ = Command::new("/bin/sh").args(["-c", &script]).stderr(Stdio::null()).status();
}
