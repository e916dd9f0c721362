//! `mailsync watch`: says where it listens, waits for notifications, shows them, and syncs by itself.
//!
//! Whether a notification counts the engine decides ([`notified`](mailsync_proto::sync::client::notified)). Here octets are
//! only sorted out early, because looking closer costs a scan of the folder.

use super::args::Sync;
use super::device::{Own, Said};
use super::options::{Options, StoreOption};
use super::report::{Outcome, Report};
use super::sync::{self, SyncError};
use super::ways::Ways;
use crate::bearers::web_push::Keys;
use crate::bearers::{self, Heard, Listen, Listener, Logins, Place};
use crate::sms::Link;
use crate::store::private_dir;
use crate::time::alarms::{AlarmArgs, Alarms};
use crate::time::pocket::{OWN, Pocket};
use crate::time::zone_name;
use bytes::Bytes;
use mailsync_proto::mail::device;
use mailsync_proto::mail::event::{Happened, MailEvent};
use mailsync_proto::sync::client::notified::{Notification, NotifiedError};
use pushpolicy::notify::NotifyRules;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use syncml::StatusCode;
use syncml::san::{AlertKey, Digest};

/// Sessions that notifications begin, and in how many seconds: one in a minute on the average, so that several mails in a
/// row are all told at once, and no flood keeps us busy.
// threat: N1
const NOTIFIED: (u8, u32) = (10, 600);
/// The first and the longest pause until a sync that failed is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How often what was dropped is looked at again for a key that another process has changed.
const REFRESH: Duration = Duration::from_secs(1);
/// The datastores of time tasks.
const TASK_STORES: [&str; 5] = [
    "tasks",
    "calendar",
    "reminders:application/vnd.mailsync.reminder+xml",
    "requests=./requests:text/calendar",
    "groups:application/vnd.mailsync.group+xml",
];
/// How long to wait at most before looking at what waits.
const LOOK: Duration = Duration::from_secs(1);

/// Wait for notices of the server, and sync by itself.
#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    #[command(flatten)]
    sync: Sync,
    /// Where to listen: udp:ADDRESS:PORT, http:ADDRESS:PORT, sip:ADDRESS:PORT (port 0 is any free one), smpp:HOST:PORT (a
    /// short message centre) or channel (a connection held to the server); may be said often
    #[arg(long, value_name = "PLACE", default_value = "udp:127.0.0.1:0", value_parser = Listen::parse)]
    listen: Vec<Listen>,
    /// The place that the server is told, where it reaches us at another one
    #[arg(long, value_name = "PLACE", value_parser = Place::parse)]
    reached_at: Option<Place>,
    /// Our account at the short message centre (password from MAILSYNC_SMS_PASSWORD)
    #[arg(long, value_name = "NAME")]
    sms_account: Option<String>,
    /// Our number: short messages, and pushes by gateways, reach us there
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// The endpoint of a push service that passes messages on to where we listen by http
    #[arg(long, value_name = "URL")]
    web_push: Option<reqwest::Url>,
    /// Seconds between two signs of life on the channel
    #[arg(long, value_name = "SECONDS", default_value_t = 240, value_parser = clap::value_parser!(u64).range(1..=3600))]
    beat: u64,
    /// Seconds between two reports of what this device senses; 0: only when the server asks
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    report_every: u64,
    #[command(flatten)]
    said: Box<Said>,
    /// What to be told of: a file of rules (JSON)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Our time zone, in which quiet hours are meant [default: the system's]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Command to run (by sh -c) after each notice is synced, with MAILSYNC_EVENT
    #[arg(long, value_name = "CMD")]
    hook: Option<String>,
    #[command(flatten)]
    alarms: AlarmArgs,
    /// End after the first notice is synced
    #[arg(long)]
    once: bool,
}

/// Runs `mailsync watch`.
pub(super) fn run(watch: Watch, json: bool) -> Result<ExitCode, String> {
    let Watch {
        sync,
        listen,
        reached_at,
        sms_account,
        number,
        web_push,
        beat,
        report_every,
        said,
        rules,
        zone,
        hook,
        alarms,
        once,
    } = watch;
    let rules = rules.as_deref().map(read_rules).transpose()?;
    let mut options = sync.options()?;
    if options.server_login.is_none() {
        return Err(
            "watch: --server-name is missing: notices are taken only of a server that proves itself".into()
        );
    }
    if options.notification.is_some() || options.dry_run {
        return Err("watch: neither --notification nor --dry-run".into());
    }
    options.notified = NOTIFIED;
    private_dir(&options.dir.join(".mailsync")).map_err(text)?;
    let id = sync::device_id(&options.dir, options.device.as_deref()).map_err(text)?;
    let phone = match sms_account {
        Some(account) => {
            let password = std::env::var("MAILSYNC_SMS_PASSWORD")
                .map_err(|_| "no password: set MAILSYNC_SMS_PASSWORD".to_owned())?;
            Some((account, password))
        }
        None => None,
    };
    let channel = Some(bearers::channel::Login {
        server: options.server.clone(),
        user: options.user.clone(),
        password: options.password.clone(),
        device: id.clone(),
        ca: options.ca.clone(),
        beat,
    });
    let web = match &web_push {
        Some(_) if !listen.iter().any(|one| matches!(one, Listen::At(Place::Http(_)))) => {
            return Err("--web-push: --listen http:ADDRESS:PORT is missing".into());
        }
        Some(_) => Some(Arc::new(Keys::open(&options.dir.join(".mailsync").join("web-push"))?)),
        None => None,
    };
    let logins = Logins { channel, phone, web };
    let listener = Listener::new();
    let mut ready = json!({"ready": true, "device": id});
    let mut ways = Ways::default();
    // The channel is opened when the server knows this device.
    for one in listen.iter().filter(|one| **one != Listen::Channel) {
        ways.add(&listener.open(one, &logins)?, reached_at, &options.server, &id, &mut ready)?;
    }
    if listen.contains(&Listen::Channel) {
        ways.add(&Listen::Channel, None, &options.server, &id, &mut ready)?;
    }
    if let Some(number) = &number {
        ways.routes.push(format!("wap_push {number} power=any cost=5"));
    }
    if let (Some(endpoint), Some(keys)) = (web_push, &logins.web) {
        ways.routes.push(format!("web_push {}", keys.subscription(endpoint)));
    }
    add_store(&mut options)?;
    let mut own = Own::open(&options.dir, &id)?;
    own.device.zone = Some(zone_name(zone.as_deref())?.into());
    own.device.listen = ways.listen.iter().map(|place| place.to_string().into()).collect();
    own.device.rules = rules.map(Into::into);
    if !ways.routes.is_empty() {
        own.device.routes = ways.routes.iter().map(|route| route.as_str().into()).collect();
    }
    said.report(&mut own)?;
    own.write()?;
    let link = phone_link(&listen, logins.phone.as_ref(), number.as_deref());
    let mut bells = open_alarms(&mut options, &alarms, (&id, zone.as_deref()), link)?;
    if let Some(bells) = &mut bells {
        bells.before_sync()?;
    }
    let first = match sync::run(&options) {
        Ok(first) => {
            judge(&first, &options)?;
            if let Some(bells) = &mut bells {
                bells.after_sync(received(&first))?;
            }
            Some(first)
        }
        // What waits here rings without the server; who was here before needs it for nothing else.
        Err(error @ SyncError::Http(_)) if bells.is_some() && sync::alert_key(&options).is_ok() => {
            eprintln!("mailsync: {error}; going on without the server");
            None
        }
        Err(error) => return Err(error.to_string()),
    };
    if listen.contains(&Listen::Channel) {
        listener.open(&Listen::Channel, &logins)?;
    }
    let reports = (report_every > 0).then(|| Duration::from_secs(report_every));
    let mut watcher = Watcher::new(options, listener, hook, json, (id, *said, reports), bells)?;
    // As the servers say it: scripts wait for it.
    if let Some(at) = watcher.alarms.as_ref().and_then(Alarms::address) {
        ready["direct"] = format!("http://{at}/").into();
    }
    watcher.line(&ready, &ready.to_string());
    match first {
        Some(first) => watcher.synced(&first),
        None => watcher.owed = Some((MailEvent::default(), Instant::now() + AGAIN.0, AGAIN.0)),
    }
    loop {
        if watcher.turn() && once {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The datastores of tasks join those that are synced.
fn open_alarms(
    options: &mut Options,
    args: &AlarmArgs,
    (device, zone): (&str, Option<&str>),
    phone: Option<Link>,
) -> Result<Option<Alarms>, String> {
    if !args.tasks {
        return Ok(None);
    }
    for store in TASK_STORES {
        let store = StoreOption::parse(store)?;
        if options.stores.iter().all(|known| known.local != store.local) {
            options.stores.push(store);
        }
    }
    let pocket = Pocket::open(&options.dir, &options.user, device, zone, args.clock_offset())?;
    Alarms::open(pocket, args, phone).map(Some)
}

/// Items that a sync brought into the datastores in which our own tasks are.
fn received(report: &Report) -> usize {
    let own = report.stores.iter().filter(|store| OWN.contains(&&*store.store));
    own.map(|store| (store.received.added + store.received.replaced + store.received.deleted) as usize).sum()
}

/// How we send short messages: by the centre where we hear them.
fn phone_link(listen: &[Listen], account: Option<&(String, String)>, number: Option<&str>) -> Option<Link> {
    let server = listen.iter().find_map(|one| match one {
        Listen::Smpp(centre) => Some(centre.clone()),
        _ => None,
    })?;
    Some(Link { server, account: account?.0.clone(), from: number?.to_owned(), tls: false, ca: None })
}

fn read_rules(path: &Path) -> Result<String, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| at(&error))?;
    let rules: NotifyRules = serde_json::from_str(&text).map_err(|error| at(&error))?;
    rules.check().map_err(|error| at(&error))?;
    serde_json::to_string(&rules).map_err(|error| at(&error))
}

/// The datastore that says what this device is goes with every sync of a watcher.
fn add_store(options: &mut Options) -> Result<(), String> {
    if options.stores.iter().all(|store| store.local != device::DATASTORE) {
        options.stores.push(super::device::store()?);
    }
    Ok(())
}

/// A first sync must do all of it: without mail nothing is told, without a registration nobody tells.
fn judge(report: &Report, options: &Options) -> Result<(), String> {
    if let Some(code) = report.login {
        return Err(format!("{}: login of {} refused: {}", options.server, options.user, StatusCode(code)));
    }
    match report.stores.iter().find(|store| store.status != StatusCode::OK.0) {
        Some(store) => {
            Err(format!("{}: {} is not synced: {}", options.server, store.store, StatusCode(store.status)))
        }
        None => Ok(()),
    }
}

struct Watcher {
    options: Options,
    listener: Listener,
    hook: Option<String>,
    json: bool,
    key: AlertKey,
    /// When the key was read last.
    read: Instant,
    /// Sessions that were begun with this key.
    begun: HashSet<Box<str>>,
    /// A sync is owed: of what happened, and when to try again.
    owed: Option<(MailEvent, Instant, Duration)>,
    /// Our id, what we say of ourselves by hand, and how often we report.
    reports: (String, Said, Option<Duration>),
    /// When we reported last.
    reported: Instant,
    /// When calls began sessions.
    calls: VecDeque<Instant>,
    /// Time tasks, where they are wanted.
    alarms: Option<Alarms>,
}

impl Watcher {
    fn new(
        options: Options,
        listener: Listener,
        hook: Option<String>,
        json: bool,
        reports: (String, Said, Option<Duration>),
        alarms: Option<Alarms>,
    ) -> Result<Self, String> {
        let key = sync::alert_key(&options).map_err(text)?;
        let now = Instant::now();
        Ok(Watcher {
            options,
            listener,
            hook,
            json,
            key,
            read: now,
            begun: HashSet::new(),
            owed: None,
            reports,
            reported: now,
            calls: VecDeque::new(),
            alarms,
        })
    }

    /// Waits a while; true when a notice was heard and synced.
    fn turn(&mut self) -> bool {
        if let Some((event, at, pause)) = self.owed.take() {
            if Instant::now() < at {
                self.owed = Some((event, at, pause));
            } else {
                return self.follow(event, None, pause);
            }
        }
        self.ring();
        if self.owed.is_none() && self.alarms.as_mut().is_some_and(Alarms::wants_sync) {
            return self.follow(MailEvent::default(), None, AGAIN.0);
        }
        let pause = self.alarms.as_ref().map_or(LOOK, |alarms| alarms.pause(LOOK));
        if self.reports.2.is_some_and(|every| self.reported.elapsed() >= every) {
            self.report();
        }
        let octets = match self.listener.next(pause) {
            Some(Heard::Package(octets)) => octets,
            Some(Heard::Call) => return self.called(),
            Some(Heard::Entry(from, octets)) => {
                match &mut self.alarms {
                    Some(alarms) => alarms.entry(from, octets),
                    None => self.dropped("a calendar entry, and no --tasks"),
                }
                return false;
            }
            None => return false,
        };
        match self.sort(&octets) {
            Ok(event) if event.is_hint() => {
                self.remember(&octets);
                self.tell(&event);
                false
            }
            Ok(event) if event.is_report() => {
                // mission: P2
                self.write_report();
                self.follow(event, Some(octets), AGAIN.0);
                false
            }
            Ok(event) => {
                self.tell(&event);
                self.follow(event, Some(octets), AGAIN.0)
            }
            Err(error) => {
                self.dropped(&error.to_string());
                false
            }
        }
    }

    /// Nobody knows who rang: it begins a session of our own, and not too many.
    // mission: P6 threat: N1
    fn called(&mut self) -> bool {
        let (most, seconds) = NOTIFIED;
        self.calls.retain(|at| at.elapsed() < Duration::from_secs(u64::from(seconds)));
        if self.calls.len() >= usize::from(most) {
            self.dropped("calls too often");
            return false;
        }
        self.calls.push_back(Instant::now());
        self.line(&json!({"event": "call", "at_ms": millis()}), "called");
        self.follow(MailEvent::default(), None, AGAIN.0)
    }

    /// Says what this device senses, without a sync of anything else.
    // mission: P2
    fn report(&mut self) {
        self.write_report();
        let mut options = self.options.clone();
        options.stores.retain(|store| store.local == device::DATASTORE);
        options.takes_alerts = false;
        match sync::run(&options) {
            Ok(report) if report.result == Outcome::Ok => {
                self.line(&json!({"event": "reported"}), "reported")
            }
            Ok(report) => eprintln!("mailsync: {}", report.text()),
            Err(error) => eprintln!("mailsync: {error}"),
        }
        self.refresh();
    }

    fn write_report(&mut self) {
        self.reported = Instant::now();
        let (id, said, _) = &self.reports;
        let written = Own::open(&self.options.dir, id).and_then(|mut own| {
            said.report(&mut own)?;
            own.write()
        });
        if let Err(error) = written {
            eprintln!("mailsync: {error}");
        }
    }

    fn remember(&mut self, octets: &Bytes) {
        if let Ok(notification) = Notification::read(octets, None) {
            self.begun.insert(notification.session_id().into());
        }
    }

    /// Whether octets are a notification of our server that has begun no session yet.
    // threat: N1
    fn sort(&mut self, octets: &Bytes) -> Result<MailEvent, NotifiedError> {
        let notification = Notification::read(octets, None)?;
        let mut digest = notification.digest(&self.key);
        if digest == Digest::Wrong && self.read.elapsed() >= REFRESH {
            // Another process may have held a session.
            self.refresh();
            digest = notification.digest(&self.key);
        }
        match digest {
            Digest::Right => {}
            Digest::Wrong => return Err(NotifiedError::WrongDigest),
            Digest::Absent => return Err(NotifiedError::NoDigest),
        }
        if self.begun.contains(notification.session_id()) {
            return Err(NotifiedError::Replayed(notification.session_id().into()));
        }
        // What a server of another make adds is not ours to read.
        Ok(MailEvent::parse(notification.vendor()).unwrap_or_default())
    }

    /// Syncs; what fails is tried again.
    fn follow(&mut self, event: MailEvent, octets: Option<Bytes>, pause: Duration) -> bool {
        let session = octets.as_ref().and_then(|octets| Notification::read(octets, None).ok());
        self.options.notification = octets;
        // Who is asked for a report is not told of mail: that is decided from the answer.
        self.options.takes_alerts = !event.is_report();
        if let Some(alarms) = &mut self.alarms
            && let Err(error) = alarms.before_sync()
        {
            eprintln!("mailsync: {error}");
        }
        let outcome = sync::run(&self.options);
        (self.options.notification, self.options.takes_alerts) = (None, true);
        let again = match outcome {
            Ok(report) if report.result == Outcome::Ok => {
                self.refresh();
                if let Some(alarms) = &mut self.alarms
                    && let Err(error) = alarms.after_sync(received(&report))
                {
                    eprintln!("mailsync: {error}");
                }
                self.ring();
                if event.is_report() {
                    self.line(&json!({"event": "reported"}), "reported");
                    return false;
                }
                let mut all = event;
                for said in &report.noticed {
                    // mission: M4b
                    let said = MailEvent::parse(said).unwrap_or_default();
                    self.tell(&said);
                    all.happened.extend(said.happened);
                }
                self.synced(&report);
                self.run_hook(&all);
                return true;
            }
            Ok(report) => report.text(),
            Err(SyncError::Notified(error @ NotifiedError::TooSoon(..))) => {
                // It comes again.
                self.dropped(&error.to_string());
                return false;
            }
            Err(SyncError::Notified(error)) => {
                self.refresh();
                self.begun.extend(session.map(|session| session.session_id().into()));
                self.dropped(&error.to_string());
                return false;
            }
            Err(error) => error.to_string(),
        };
        self.refresh();
        self.begun.extend(session.map(|session| session.session_id().into()));
        eprintln!("mailsync: {again}; again in {} s", pause.as_secs());
        self.owed = Some((event, Instant::now() + pause, (pause * 2).min(AGAIN.1)));
        false
    }

    fn refresh(&mut self) {
        self.read = Instant::now();
        match sync::alert_key(&self.options) {
            // With another nonce no earlier notification is good any more.
            Ok(key) if key != self.key => {
                self.key = key;
                self.begun.clear();
            }
            Ok(_) => {}
            Err(error) => eprintln!("mailsync: {error}"),
        }
    }

    /// Shows what is due.
    // mission: T3, T6
    fn ring(&mut self) {
        let Some(alarms) = &mut self.alarms else { return };
        let lines = match alarms.step() {
            Ok(lines) => lines,
            Err(error) => {
                eprintln!("mailsync: {error}");
                return;
            }
        };
        for line in lines {
            self.line(&line.json, &line.words);
            if let (Some(hook), Some(shown)) = (&self.hook, &line.hook) {
                let mut command = shown.command(hook);
                command.env("MAILSYNC_DIR", &self.options.dir).env_remove("MAILSYNC_PASSWORD");
                command.env_remove("MAILSYNC_SERVER_PASSWORD").stdin(std::process::Stdio::null());
                // A ring tone may be long: mail and the next task wait for none.
                match command.spawn() {
                    Ok(mut child) => {
                        std::thread::spawn(move || child.wait());
                    }
                    Err(error) => eprintln!("mailsync: hook: {error}"),
                }
            }
        }
    }

    // mission: M4d
    fn tell(&self, event: &MailEvent) {
        let happened: Vec<Value> = event.happened.iter().map(as_json).collect();
        let mut words: Vec<String> = event.happened.iter().map(ToString::to_string).collect();
        if words.is_empty() {
            words.push("the server asks for a sync".into());
        }
        let words = words.join("; ");
        self.line(&json!({"event": "notice", "happened": happened, "at_ms": millis()}), &words);
    }

    fn synced(&self, report: &Report) {
        let mut line = json!(report);
        line["event"] = "synced".into();
        line["at_ms"] = millis().into();
        self.line(&line, &report.text());
    }

    fn dropped(&self, why: &str) {
        self.line(&json!({"event": "dropped", "why": why}), &format!("dropped: {}", why.escape_debug()));
    }

    fn run_hook(&self, event: &MailEvent) {
        let Some(hook) = &self.hook else { return };
        let happened: Vec<Value> = event.happened.iter().map(as_json).collect();
        let status = Command::new("/bin/sh")
            .args(["-c", hook])
            .env("MAILSYNC_EVENT", json!(happened).to_string())
            .env("MAILSYNC_DIR", &self.options.dir)
            .env_remove("MAILSYNC_PASSWORD")
            .env_remove("MAILSYNC_SERVER_PASSWORD")
            .stdin(std::process::Stdio::null())
            .status();
        let code = status.ok().and_then(|status| status.code());
        self.line(&json!({"event": "hook", "code": code}), &format!("hook: {code:?}"));
    }

    fn line(&self, line: &Value, words: &str) {
        let mut out = std::io::stdout().lock();
        // A closed pipe ends nothing: mail comes all the same.
        let _ = if self.json { writeln!(out, "{line}") } else { writeln!(out, "{words}") }
            .and_then(|()| out.flush());
    }
}

fn as_json(one: &Happened) -> Value {
    json!({
        "kind": one.kind.as_str(), "folder": one.folder, "count": one.count, "luids": one.luids, "temps": one.temps,
        "to": one.to,
    })
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
