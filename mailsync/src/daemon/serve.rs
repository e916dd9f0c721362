//! The running server: its listeners, its workers, its end.

use super::config::{Config, ConfigError, Device, Network};
use super::delays::Delays;
use super::http::{self, Door, Origin};
use super::load::Gauge;
use super::notify::Config as NotifyConfig;
use super::{accept, notify, outbox, tasks};
use crate::exchange::{Doors, Exchange};
use crate::mailbox::Watcher;
use crate::push::{self, Engines};
use crate::record::Recorder;
use crate::store::{Bodies, DirError, DirLock, Lead, OpenError, SqliteStore, database};
use crate::time::{Manager, Reference};
use crate::tls::Identity;
use crate::turns::{self, Failure};
use mailsync_proto::mail::{AccountCollection, MailCollection, SettingsCollection};
use mailsync_proto::pim::{PimCollection, Profile};
use mailsync_proto::plain::PlainCollection;
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::devinf::Identity as Described;
use mailsync_proto::sync::event::ConflictRule;
use mailsync_proto::sync::server::Config as Engine;
use mailsync_proto::sync::store::StoreError;
use mailsync_proto::tasks::{GroupCollection, ReminderCollection, RequestCollection};
use smsbridge::smtp::{ForwardPath, Protocol};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use syncml::session::{OwnLogin, ServerConfig};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration.
    pub config: Config,
    /// The data folder.
    pub data: PathBuf,
    /// A test bench for old phones: takes passwords over plain HTTP from anywhere.
    pub lab: bool,
    /// Where every message is recorded.
    pub record: Option<PathBuf>,
    /// Other processes serve from the same data folder.
    pub shared: bool,
    /// What of the server runs.
    pub parts: Parts,
}

/// What of the server runs.
// mission: S5
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// SyncML.
    pub sync: bool,
    /// Mail: SMTP, and the exchange's conversion.
    pub mail: bool,
    /// The exchange, if it is configured.
    pub exchange: bool,
}

impl Parts {
    /// All of it.
    pub const ALL: Parts = Parts { sync: true, mail: true, exchange: true };
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The data folder.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system's randomness.
    #[error(transparent)]
    Turn(#[from] Failure),
    /// A listener.
    #[error("cannot listen for {what} on {address}: {source}")]
    Listen {
        /// Which.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// Something else of the system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's words.
        source: io::Error,
    },
}

/// How long connections have to end.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How often sessions that nobody speaks to are dropped.
const SWEEP: Duration = Duration::from_secs(60);

/// What every connection knows.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Arc<SqliteStore>,
    /// Short messages and mail as one.
    pub(super) exchange: Option<Arc<Exchange>>,
    pub(super) engine: Engine,
    /// The SyncML endpoint, or where it would be.
    pub(super) door: Door,
    pub(super) domain: String,
    /// One permit a turn.
    pub(super) turns: Arc<Semaphore>,
    /// How much there is to do.
    pub(super) gauge: Arc<Gauge>,
    /// A job was stored.
    pub(super) work: Notify,
    pub(super) recorder: Option<Recorder>,
    pub(super) delays: Delays,
    pub(super) time: Reference,
    /// Mailboxes on other servers.
    pub(super) mailboxes: Arc<Watcher>,
    /// Clocks and operations of terminals.
    pub(super) manager: Manager,
    /// Notices to devices that hold no session.
    pub(super) notify: NotifyConfig,
    /// What carries them.
    pub(crate) push: Engines,
    /// Time tasks.
    pub(super) tasks: tasks::Config,
    /// Who becomes a user without the operator.
    pub(super) register: super::config::Registration,
    pub(super) registered: http::Counted,
    /// The server's time zone.
    pub(super) zone: timesync::zones::ZoneName,
    /// Who works the queues.
    pub(super) lead: Lead,
    postmaster: Option<String>,
    plain_basic: Vec<Network>,
    lab: bool,
}

impl State {
    /// Whether a password may come in clear from an address.
    // spec: threats S4
    pub(super) fn plain_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.lab || address.is_loopback() || self.plain_basic.iter().any(|network| network.contains(address))
    }

    /// Whether a password may come with a request.
    pub(super) fn basic_allowed(&self, origin: &Origin) -> bool {
        origin.secure || (self.plain_allowed(origin.peer) && (self.lab || !origin.hidden))
    }

    /// Whether a password may come with the head of a request.
    pub(crate) fn may_log_in(&self, peer: SocketAddr, headers: &axum::http::HeaderMap) -> bool {
        self.basic_allowed(&Origin::of(&self.door, peer, headers))
    }

    /// Whose mail it is.
    pub(super) fn user_of(&self, address: &ForwardPath) -> Result<Option<String>, StoreError> {
        let mailbox = address.mailbox();
        if let Some(mailbox) = mailbox
            && let Some(user) = self.store.user_of(mailbox.as_str())?
        {
            return Ok(Some(user));
        }
        // spec: RFC 5321 §4.5.1
        let ours = mailbox.is_none_or(|mailbox| {
            mailbox.local_part().eq_ignore_ascii_case("postmaster")
                && mailbox.domain().eq_ignore_ascii_case(&self.domain)
        });
        Ok(if ours { self.postmaster.clone() } else { None })
    }
}

/// Runs the server until SIGTERM or Ctrl-C.
pub fn run(options: Options) -> Result<(), ServeError> {
    let _lock = if options.shared { DirLock::share(&options.data)? } else { DirLock::take(&options.data)? };
    let store = SqliteStore::open(database(&options.data), Bodies::Inside)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(io("runtime"))?;
    let result = runtime.block_on(serve(options, store));
    // A turn that is being committed ends first.
    runtime.shutdown_timeout(GRACE);
    result
}

async fn serve(options: Options, store: SqliteStore) -> Result<(), ServeError> {
    let config = &options.config;
    let mut signals = Signals::new().map_err(io("signals"))?;
    let parts = options.parts;
    let http = listen_if(parts.sync, "http", config.http.listen).await?;
    let smtp = listen_if(parts.mail, "smtp", config.smtp.listen).await?;
    let lmtp = match config.smtp.lmtp {
        Some(address) => listen_if(parts.mail, "lmtp", address).await?,
        None => None,
    };
    let store = Arc::new(store);
    let (exchange, doors) = open_exchange(config, parts, &store).await?;
    let http_at =
        http.as_ref().map_or(Ok(config.http.listen), TcpListener::local_addr).map_err(io("listener"))?;
    let recorder = match options.record.clone() {
        Some(dir) => Some(Recorder::new(dir.clone()).map_err(io(dir.display()))?),
        None => None,
    };
    store.open_time()?;
    let engine = engine(config, options.lab, &store)?;
    let zone =
        config.time.zone_name().map_err(|message| ConfigError::Bad { path: "time.zone".into(), message })?;
    let manager =
        Manager::new(engine.nonce_key, engine.session.scheme, zone.clone(), config.session.max_msg_size);
    let mailboxes = Watcher::new(Arc::clone(&store), options.data.clone(), config.mail.clone())
        .map_err(|message| ConfigError::Bad { path: "mail.ca".into(), message })?;
    let identity = match (&config.http.tls_cert, &config.http.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(
            Identity::load(certificate, key)
                .map_err(|message| ConfigError::Bad { path: certificate.clone(), message })?,
        )),
        _ => None,
    };
    let door = Door {
        listen: http_at,
        tls: identity.is_some(),
        trusted: config.http.trusted_proxies.clone(),
        public_url: config.public_url.clone(),
    };
    let syncml = door.url(http::PATH);
    let state = Arc::new(State {
        engine,
        store,
        exchange: exchange.clone(),
        door,
        domain: config.domain.clone(),
        turns: Arc::new(Semaphore::new(config.http.parallel)),
        gauge: Gauge::new(&config.http),
        work: Notify::new(),
        recorder,
        delays: Delays::default(),
        mailboxes: Arc::new(mailboxes),
        time: Reference::new(&config.time),
        manager,
        notify: config.notify.clone(),
        push: Engines::new(&config.push, &config.domain)
            .map_err(|message| ConfigError::Bad { path: "push".into(), message })?,
        tasks: config.tasks.clone(),
        register: config.register.clone(),
        registered: http::Counted::default(),
        zone,
        lead: Lead::new(&options.data),
        postmaster: config.smtp.postmaster.clone(),
        plain_basic: config.session.allow_plain_basic.clone(),
        lab: options.lab,
    });
    if options.lab {
        explain_lab(&state, &syncml);
    }
    let (stop, stopped) = watch::channel(());
    let mut listeners = JoinSet::new();
    let mut open: Vec<(&str, String)> = Vec::new();
    if let Some(http) = http {
        open.push(("syncml", syncml.clone()));
        let per_address = config.http.connections_per_address;
        listeners.spawn(accept::http(Arc::clone(&state), http, identity, per_address, stopped.clone()));
    }
    let mail = [("smtp", Protocol::Smtp, smtp), ("lmtp", Protocol::Lmtp, lmtp)];
    for (name, protocol, listener) in mail {
        let Some(listener) = listener else { continue };
        open.push((name, listener.local_addr().map_err(io("listener"))?.to_string()));
        let most = config.smtp.connections;
        listeners.spawn(accept::mail(Arc::clone(&state), protocol, listener, most, stopped.clone()));
    }
    if let (Some(exchange), Some(doors)) = (exchange, doors) {
        open.extend(doors.addresses().into_iter().map(|(name, address)| (name, address.to_string())));
        listeners.spawn(exchange.run(doors, stopped));
    }
    let outbox = tokio::spawn(outbox::work(Arc::clone(&state)));
    let sweeper = tokio::spawn(sweep(Arc::clone(&state), config.session.idle_minutes.saturating_mul(60)));
    let follower = {
        let (state, config) = (Arc::clone(&state), config.time.clone());
        tokio::spawn(async move { state.time.follow(&config).await })
    };
    let watcher = {
        let state = Arc::clone(&state);
        let mailboxes = Arc::clone(&state.mailboxes);
        tokio::spawn(mailboxes.run(move || state.lead.is_ours()))
    };
    let notifier = tokio::spawn(notify::work(Arc::clone(&state)));
    let reminder = tokio::spawn(tasks::work(Arc::clone(&state)));
    announce(&open).map_err(io("stdout"))?;
    tracing::info!(?open, data = %options.data.display(), "ready");

    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    outbox.abort();
    sweeper.abort();
    follower.abort();
    watcher.abort();
    notifier.abort();
    reminder.abort();
    drop(stop);
    while listeners.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(())
}

fn io<D: std::fmt::Display>(what: D) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::Io { what: what.to_string(), source }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { what, address, source })
}

async fn listen_if(
    wanted: bool,
    what: &'static str,
    address: SocketAddr,
) -> Result<Option<TcpListener>, ServeError> {
    if wanted { listen(what, address).await.map(Some) } else { Ok(None) }
}

/// The exchange and its listeners, if it is configured and wanted.
async fn open_exchange(
    config: &Config,
    parts: Parts,
    store: &Arc<SqliteStore>,
) -> Result<(Option<Arc<Exchange>>, Option<Doors>), ServeError> {
    let Some(sms) = config.sms.as_ref().filter(|_| parts.exchange) else { return Ok((None, None)) };
    let failed = |(what, address, source)| ServeError::Listen { what, address, source };
    let doors = Doors::open(sms).await.map_err(failed)?;
    let exchange = Exchange::new(config, sms, Arc::clone(store), parts.mail)?;
    Ok((Some(exchange), Some(doors)))
}

/// The first line on stdout: scripts wait for it.
fn announce(open: &[(&str, String)]) -> io::Result<()> {
    let mut line = serde_json::json!({"ready": true});
    for (name, place) in open {
        line[*name] = place.as_str().into();
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// What the engine offers.
pub(super) fn engine(config: &Config, lab: bool, store: &SqliteStore) -> Result<Engine, ServeError> {
    let fresh = turns::moment()?.entropy;
    let nonce_key = store.secret("nonce", fresh)?;
    let id = store.secret("server id", turns::moment()?.entropy)?;
    let id: String = id.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
    let mut session = ServerConfig::default();
    session.max_msg_size = config.session.max_msg_size;
    session.max_obj_size = config.session.max_obj_size;
    // spec: threats S3
    session.md5_of_1_0 = lab;
    session.scheme = config.session.auth.scheme();
    session.own = own_login(config)?;
    let mut mail = StoreConfig::new("mail", Arc::new(MailCollection::new(&config.domain)));
    mail.aliases = vec!["email".into()];
    let mut accounts = StoreConfig::new("accounts", Arc::new(AccountCollection));
    accounts.conflict = ConflictRule::ClientWins;
    let mut settings = StoreConfig::new("settings", Arc::new(SettingsCollection));
    settings.conflict = ConflictRule::ClientWins;
    let mut notes = StoreConfig::new("notes", Arc::new(PlainCollection::notes()));
    notes.aliases = vec!["note".into(), "memo".into()];
    notes.conflict = ConflictRule::KeepBoth;
    let pim = Profile::ALL.map(|profile| {
        let mut store = StoreConfig::new(profile.name(), Arc::new(PimCollection::new(profile)));
        store.aliases = profile.aliases().iter().map(|&alias| alias.into()).collect();
        store.conflict = ConflictRule::KeepBoth;
        store
    });
    let devices = mailsync_proto::mail::device::store();
    let policy = mailsync_proto::mail::policy::store(Arc::new(push::state::judge));
    let mut stores: Vec<StoreConfig> =
        [mail, accounts, settings, devices, policy, notes].into_iter().chain(pim).collect();
    stores.extend([ReminderCollection::store(), RequestCollection::store(), GroupCollection::store()]);
    for said in &config.store {
        stores.iter_mut().for_each(|store| said.apply(store));
    }
    Ok(Engine {
        session,
        stores,
        identity: Described {
            man: "mailsync".into(),
            model: "mailsyncd".into(),
            swv: env!("CARGO_PKG_VERSION").into(),
            dev_id: format!("mailsyncd-{id}").into(),
            dev_typ: "server".into(),
        },
        nonce_key,
        devices: config.device.iter().map(Device::quirks).collect(),
        offers_news: config.session.offers_news,
        limits: syncml::Limits::default(),
        quirks: syncml::Quirks::default(),
    })
}

/// How we prove to clients who we are.
fn own_login(config: &Config) -> Result<Option<OwnLogin>, ConfigError> {
    let (Some(name), Some(path)) = (&config.session.server_name, &config.session.server_password_file) else {
        return Ok(None);
    };
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.clone(), source })?;
    let password = text.lines().next().unwrap_or_default().trim();
    if password.is_empty() {
        return Err(ConfigError::Bad { path: path.clone(), message: "its first line is no password".into() });
    }
    let scheme = config.session.server_auth.scheme();
    Ok(Some(OwnLogin { name: name.as_str().into(), password: password.into(), scheme }))
}

fn explain_lab(state: &State, syncml: &str) {
    eprintln!(
        "*** --lab: passwords are taken over plain HTTP from anywhere. Never on the internet. ***\n\
         Type into the phone (menu: synchronisation, server settings):\n\
         \x20 server version        1.2, 1.1, or 1.0 (then: mailsyncd user add NAME --keep-password)\n\
         \x20 server address        {syncml}\n\
         \x20                       (with an address of this machine that the phone can reach: --http 0.0.0.0:8080)\n\
         \x20 port                  {}\n\
         \x20 user name, password   as given to: mailsyncd user add NAME\n\
         \x20 remote database       contacts: ./contacts    calendar: ./calendar    to-do: ./tasks\n\
         \x20                       notes: ./notes    e-mail: ./mail\n\
         \x20 HTTP authentication   no",
        state.door.listen.port()
    );
}

async fn sweep(state: Arc<State>, idle: u32) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !state.lead.is_ours() {
            continue;
        }
        let shared = Arc::clone(&state);
        match tokio::task::spawn_blocking(move || shared.store.drop_idle_sessions(idle)).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(dropped)) => tracing::info!(dropped, "idle sessions dropped"),
            Ok(Err(error)) => tracing::error!(%error, "cannot drop idle sessions"),
        }
    }
}

/// What ends the server.
struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Signals {})
    }

    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        let _ = tokio::signal::ctrl_c().await;
        "Ctrl-C"
    }
}
