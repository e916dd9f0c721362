//! `mailsync dm run` and `mailsync time`: the terminal's side of device management.

use super::terminal::{Clock, Folder, Kept};
use crate::client::{Http, device_id, owned, password};
use crate::store::private_dir;
use mailsync_proto::dm::client::{Config, Event, Step};
use mailsync_proto::sync::client::NextHop;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use syncml::session::auth::Scheme;
use syncml::{Encoding, StatusCode};
use timesync::Interval;
use timesync::appoint::Place;
use timesync::starter::HostEvent;

/// Device management: operations that start at an appointed time
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Dm {
    /// Keep sessions with the server and start what it appoints
    Run {
        #[command(flatten)]
        own: Own,
        #[command(flatten)]
        server: Server,
        /// Command that an operation starts (by sh -c), with MAILSYNC_OPERATION, MAILSYNC_DATA and MAILSYNC_DUE
        #[arg(long, value_name = "CMD")]
        hook: String,
        /// Seconds between two sessions
        #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        poll: u64,
        /// End when nothing waits any more and the server knows what became of it
        #[arg(long)]
        once: bool,
    },
}

/// The clock of this client
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Time {
    /// Show what is known of it; with --server, have it measured first
    Status(Asked),
    /// Set it as the server asks
    Accept(Asked),
    /// Keep it as it is: the server then reckons with its deviation
    Refuse(Asked),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    own: Own,
    /// The server's address, as http://host:8080/dm [default: it hears of it in the next session]
    #[arg(long, value_name = "URL", requires = "user")]
    server: Option<String>,
    /// User name
    #[arg(long, value_name = "NAME", requires = "server")]
    user: Option<String>,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Own {
    /// The client's folder
    #[arg(long)]
    dir: PathBuf,
    /// Our time zone [default: the system's]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// A clock that is wrong on purpose
    #[arg(long, hide = true, value_name = "SECONDS", default_value_t = 0, allow_hyphen_values = true)]
    clock_offset: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    /// The server's address, as http://host:8080/dm
    #[arg(long, value_name = "URL")]
    server: String,
    /// User name
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
}

/// Octets of the largest message.
const MESSAGE: u32 = 20_000;
/// How long to sleep at most before looking at the clock again: it may have been set.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait after a session that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Runs `mailsync dm`.
pub(crate) fn dm(command: Dm, json: bool) -> Result<ExitCode, String> {
    let Dm::Run { own, server, hook, poll, once } = command;
    let clock = Clock::new(own.zone.as_deref(), own.clock_offset)?;
    let link = Link::new(&own.dir, &server.server, &server.user, server.device.as_deref())?;
    let runner = Runner { dir: &own.dir, clock: &clock, link: &link, json };
    runner.start_due(HostEvent::Rebooted, &hook)?;
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            next = Instant::now() + Duration::from_secs(poll);
            match runner.session() {
                Ok(()) => {}
                Err(error) if once && !runner.kept()?.terminal.has_news() && runner.waiting()? == 0 => {
                    return Err(error);
                }
                Err(error) => {
                    eprintln!("mailsync: {error}");
                    next = Instant::now() + AFTER_FAILURE.min(Duration::from_secs(poll));
                }
            }
        }
        if runner.start_due(HostEvent::ClockChanged, &hook)? {
            // What became of it is told at once.
            next = Instant::now();
            continue;
        }
        let kept = runner.kept()?;
        if once && runner.waiting()? == 0 && !kept.terminal.has_news() {
            return Ok(ExitCode::SUCCESS);
        }
        let face = clock.face(kept.adjust);
        let due = kept.terminal.poll_timeout(face.now).map(|at| at.saturating_sub(face.now.mono));
        let session = next.saturating_duration_since(Instant::now());
        std::thread::sleep(due.unwrap_or(LOOK).min(session).min(LOOK).max(Duration::from_millis(1)));
    }
}

/// Runs `mailsync time`.
pub(crate) fn time(command: Time, json: bool) -> Result<ExitCode, String> {
    let (asked, decision) = match command {
        Time::Status(asked) => (asked, None),
        Time::Accept(asked) => (asked, Some(true)),
        Time::Refuse(asked) => (asked, Some(false)),
    };
    let clock = Clock::new(asked.own.zone.as_deref(), asked.own.clock_offset)?;
    if let Some(accept) = decision {
        let folder = Folder::open(&asked.own.dir).map_err(text)?;
        let mut kept = folder.load().map_err(text)?;
        if !kept.terminal.clock.is_asked() {
            return Err("the server has not asked to set the clock".into());
        }
        for event in kept.terminal.decide(accept) {
            if let Event::SetClock { by } = event {
                kept.adjust = kept.adjust.saturating_add(by);
            }
        }
        folder.store(&kept).map_err(text)?;
    }
    if let (Some(server), Some(user)) = (&asked.server, &asked.user) {
        let link = Link::new(&asked.own.dir, server, user, asked.device.as_deref())?;
        Runner { dir: &asked.own.dir, clock: &clock, link: &link, json: false }.session()?;
    }
    let kept = Folder::open(&asked.own.dir).and_then(|folder| folder.load()).map_err(text)?;
    let deviation = kept.terminal.deviation();
    let (custom, asked) = (kept.terminal.clock.is_custom(), kept.terminal.clock.is_asked());
    let waiting: Vec<serde_json::Value> = kept
        .terminal
        .waiting()
        .into_iter()
        .map(|(id, start)| json!({"id": id, "start": start.as_secs()}))
        .collect();
    if json {
        let line = json!({
            "deviation_ns": deviation.map(Interval::mid),
            "bound_ns": deviation.map(Interval::radius),
            "custom": custom,
            "asked": asked,
            "adjusted_ns": kept.adjust,
            "operations": waiting,
        });
        println!("{line}");
        return Ok(ExitCode::SUCCESS);
    }
    match deviation {
        None => println!("the clock was never measured; say --server and --user"),
        Some(found) => println!(
            "the clock is {:+.3} s off, +- {:.3} s",
            found.mid() as f64 / 1e9,
            found.radius() as f64 / 1e9
        ),
    }
    if asked {
        println!("the server asks to set it: mailsync time accept, or mailsync time refuse");
    }
    if custom {
        println!("it keeps a time of its own");
    }
    println!("{} operations wait", waiting.len());
    Ok(ExitCode::SUCCESS)
}

/// The way to the server.
struct Link {
    config: Config,
    http: Http,
}

impl Link {
    fn new(dir: &Path, server: &str, user: &str, device: Option<&str>) -> Result<Self, String> {
        private_dir(&dir.join(".mailsync")).map_err(text)?;
        owned(dir, user).map_err(text)?;
        let config = Config {
            server_url: server.into(),
            device: device_id(dir, device).map_err(text)?.into(),
            user: user.into(),
            password: password(user)?.into(),
            scheme: Scheme::Md5,
            encoding: Encoding::Wbxml,
            max_msg_size: MESSAGE,
        };
        let http = Http::new(None, 1 << 20).map_err(text)?.speaking(Encoding::dm_mime_type);
        Ok(Link { config, http })
    }
}

struct Runner<'a> {
    dir: &'a Path,
    clock: &'a Clock,
    link: &'a Link,
    json: bool,
}

impl Runner<'_> {
    fn kept(&self) -> Result<Kept, String> {
        Folder::open(self.dir).and_then(|folder| folder.load()).map_err(text)
    }

    fn waiting(&self) -> Result<usize, String> {
        Ok(self.kept()?.terminal.waiting().len())
    }

    /// One session with the server.
    fn session(&self) -> Result<(), String> {
        let folder = Folder::open(self.dir).map_err(text)?;
        let mut kept = folder.load().map_err(text)?;
        let zone = self.clock.zones.zone(&self.clock.zone).map_err(text)?;
        let place = Place { zones: &self.clock.zones, zone: &zone };
        let entropy = crate::turns::moment().map_err(text)?.entropy;
        let id: String = entropy.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
        let (mut session, mut message) = kept.terminal.begin(&self.link.config, &id).map_err(text)?;
        loop {
            let hop =
                NextHop { url: session.url().to_owned(), encoding: self.link.config.encoding, mac: None };
            let answer = self.link.http.post(&hop, &message).map_err(text)?;
            let came = self.clock.face(kept.adjust);
            let leaves = self.clock.face(kept.adjust);
            let config = &self.link.config;
            let (step, events) =
                kept.terminal.receive(config, session, &answer, place, (came, leaves)).map_err(text)?;
            for event in &events {
                if let Event::SetClock { by } = event {
                    kept.adjust = kept.adjust.saturating_add(*by);
                }
            }
            folder.store(&kept).map_err(text)?;
            for event in &events {
                self.say(event);
            }
            match step {
                Step::Over => return Ok(()),
                Step::Send(next, bytes) => (session, message) = (next, bytes),
            }
        }
    }

    /// Starts what is due; true when something was.
    fn start_due(&self, event: HostEvent, hook: &str) -> Result<bool, String> {
        let zone = self.clock.zones.zone(&self.clock.zone).map_err(text)?;
        let place = Place { zones: &self.clock.zones, zone: &zone };
        let due = {
            let folder = Folder::open(self.dir).map_err(text)?;
            let mut kept = folder.load().map_err(text)?;
            let before = kept.clone();
            let due = kept.terminal.due(self.clock.face(kept.adjust).now, place, event);
            // Stored before anything is started: a crash in between starts nothing twice.
            if kept != before {
                folder.store(&kept).map_err(text)?;
            }
            due
        };
        for one in &due {
            let what = if one.skipped { "skipped" } else { "started" };
            self.line(&json!({"event": what, "id": one.id, "late_ns": one.late}));
            if one.skipped {
                continue;
            }
            let status = Command::new("/bin/sh")
                .args(["-c", hook])
                .env("MAILSYNC_OPERATION", one.id.to_string())
                .env("MAILSYNC_DATA", &*one.data)
                .env("MAILSYNC_DUE", one.due.as_secs().to_string())
                .status();
            let good = status.is_ok_and(|status| status.success());
            let code = if good { StatusCode::OK } else { StatusCode::COMMAND_FAILED };
            let folder = Folder::open(self.dir).map_err(text)?;
            let mut kept = folder.load().map_err(text)?;
            kept.terminal.ended(one.id, code);
            folder.store(&kept).map_err(text)?;
            self.line(&json!({"event": "ended", "id": one.id, "code": code.0}));
        }
        Ok(!due.is_empty())
    }

    fn say(&self, event: &Event) {
        let line = match event {
            Event::Appointed { id, start } => {
                json!({"event": "appointed", "id": id, "start": start.as_secs()})
            }
            Event::Refused { id, why } => json!({"event": "refused", "id": id, "why": why}),
            Event::Withdrawn { id } => json!({"event": "withdrawn", "id": id}),
            Event::AskUser(request) => json!({"event": "clock", "deviation_ns": request.deviation.mid()}),
            Event::SetClock { by } => json!({"event": "clock set", "by_ns": by}),
            Event::Deviation(found) => {
                json!({"event": "measured", "deviation_ns": found.mid(), "bound_ns": found.radius()})
            }
            _ => return,
        };
        self.line(&line);
    }

    fn line(&self, line: &serde_json::Value) {
        use std::io::Write;
        if self.json {
            let mut out = std::io::stdout().lock();
            // A closed pipe ends nothing: what is appointed is started all the same.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        } else {
            eprintln!("mailsync: {line}");
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
