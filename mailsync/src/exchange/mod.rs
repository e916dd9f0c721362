//! The exchange: short messages and mail as one. What a message becomes is decided in `smsbridge`; here are the links,
//! the queues and the workers.
//!
//! | file | what |
//! |---|---|
//! | `mail_in` | mail from SMTP or from a user's outbox: which recipients become short messages |
//! | `sms_in` | short messages from centres and clients: mail, or on to another phone |
//! | `write_mail` | the mail that a short message becomes |
//! | `outcome` | answers and receipts of the peers, reports to the senders |
//! | `gateway` | what phones ask of us: bindings; what we tell phones |
//! | `link` | one SMPP link, either side; `esme` binds to centres, `smsc` takes clients |
//! | `mail_out` | mail to users here and to the relay |
//! | `journal` | commits of all links, gathered |

pub mod config;
mod counters;
mod esme;
mod gateway;
mod journal;
mod link;
mod mail_in;
mod mail_out;
mod message;
mod outcome;
mod sms_in;
mod smsc;
mod write_mail;

pub(crate) use mail_in::{MailIn, Way};

use crate::daemon::config::Config;
use crate::mailbox::link::Trust;
use crate::store::SqliteStore;
use crate::tls::Identity;
use crate::turns;
use config::Sms;
use counters::Counters;
use journal::Journal;
use mailsync_proto::sync::store::StoreError;
use smsbridge::bridge::{Book, FlagRules, PairFuse, Party, Routes, Toll};
use smsbridge::text::{Assembler, Limits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

/// How often old messages, parts and conversations are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How long receipts are waited for.
const RECEIPTS: Duration = Duration::from_secs(2 * 86_400);
/// Messages whose receipts are awaited, in memory.
const AWAITED: usize = 1_000_000;
/// The trace field of mail that we make.
const TRACE: &str = "SMS-Bridge";

/// Everything that the links share.
#[derive(Debug)]
pub(crate) struct Exchange {
    config: Sms,
    /// Whom centres and relay must be certified by.
    trust: Trust,
    /// What clients see of us.
    identity: Option<Arc<Identity>>,
    /// The domain of the mail server beside us.
    host: String,
    store: Arc<SqliteStore>,
    journal: Journal,
    counters: Counters,
    /// The mail part is here; else flagged messages go to the client that has it.
    converts: bool,
    flags: FlagRules,
    routes: Routes,
    /// Our own numbers.
    numbers: Vec<Party>,
    /// The clients' numbers, and whose they are.
    phones: BTreeMap<String, String>,
    /// Rung when something is in a link's queue.
    bells: BTreeMap<String, Arc<Notify>>,
    /// Rung when there is mail to be sent, or short messages were made of one.
    mail: Notify,
    policy: Mutex<Policy>,
    /// What a bind of nobody is compared with: a hash if the accounts have hashes.
    nobodys: String,
    /// Passwords looked at, at a time.
    hashing: Semaphore,
    started: Instant,
}

/// What decides over more than one message.
#[derive(Debug)]
struct Policy {
    toll: Toll,
    fuse: PairFuse,
    parts: Assembler,
    book: Book,
    /// Links of each account.
    binds: BTreeMap<String, usize>,
    /// Failed binds by address: how many, and when last.
    failed: BTreeMap<std::net::IpAddr, (u32, Instant)>,
    /// The reference of the next split message.
    reference: u16,
}

/// The listeners of the exchange.
#[derive(Debug)]
pub(crate) struct Doors {
    smpp: Option<TcpListener>,
    smpp_tls: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Doors {
    /// Opens them, before anything runs.
    pub(crate) async fn open(sms: &Sms) -> Result<Self, (&'static str, SocketAddr, std::io::Error)> {
        let open = async |what, address: Option<SocketAddr>| match address {
            Some(address) => {
                TcpListener::bind(address).await.map(Some).map_err(|error| (what, address, error))
            }
            None => Ok(None),
        };
        Ok(Doors {
            smpp: open("smpp", sms.listen).await?,
            smpp_tls: open("smpps", sms.listen_tls).await?,
            metrics: open("metrics", sms.metrics).await?,
        })
    }

    /// Where they are, by name.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let doors = [("smpp", &self.smpp), ("smpps", &self.smpp_tls), ("metrics", &self.metrics)];
        doors.into_iter().filter_map(|(name, door)| Some((name, door.as_ref()?.local_addr().ok()?))).collect()
    }
}

impl Exchange {
    /// Takes up the queues where the last run left them.
    pub(crate) fn new(
        config: &Config,
        sms: &Sms,
        store: Arc<SqliteStore>,
        converts: bool,
    ) -> Result<Arc<Self>, StoreError> {
        let identity = match (&sms.tls_cert, &sms.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(Arc::new(Identity::load(certificate, key).map_err(StoreError::Failed)?))
            }
            _ => None,
        };
        let trust = Trust::new(sms.ca.as_deref()).map_err(StoreError::Failed)?;
        store.open_sms()?;
        let doubt = store.sms(|tables| tables.all_in_doubt())?;
        if doubt > 0 {
            tracing::warn!(
                doubt,
                "parts were handed over and not answered when the last run ended: in doubt"
            );
        }
        let mut limits = Limits::default();
        limits.wait = Duration::from_secs(sms.part_wait);
        let mut book = Book::new(RECEIPTS, AWAITED);
        let awaited = store.sms_read(|tables| tables.awaited())?;
        let mut parts = BTreeMap::new();
        awaited.iter().for_each(|taken| *parts.entry(taken.message).or_insert(0usize) += 1);
        for (message, parts) in parts {
            book.expect(Duration::ZERO, u64::try_from(message).unwrap_or(0), parts);
        }
        for taken in awaited {
            let message = u64::try_from(taken.message).unwrap_or(0);
            book.taken(Duration::ZERO, link::number(&taken.link), message, &taken.remote);
        }
        let (mut toll, today) = (Toll::new(sms.toll()), turns::unix_now() / 86_400);
        store.sms_read(|tables| tables.charges(today))?.iter().for_each(|charge| toll.restore(charge));
        let policy = Policy {
            toll,
            fuse: PairFuse::new(sms.pair_hour, sms.pair_hour.div_ceil(6), 100_000),
            parts: Assembler::new(limits),
            book,
            binds: BTreeMap::new(),
            failed: BTreeMap::new(),
            reference: u16::from_be_bytes(first_two()),
        };
        let links = sms.smsc.iter().map(|smsc| config::link_of_smsc(&smsc.name));
        let links =
            links.chain(sms.account.iter().map(|account| config::link_of_account(&account.system_id)));
        let phones = sms.account.iter().flat_map(|account| {
            let link = config::link_of_account(&account.system_id);
            account.numbers.iter().map(move |number| (message::plain(&config::party(number)), link.clone()))
        });
        let exchange = Arc::new(Exchange {
            config: sms.clone(),
            trust,
            identity,
            host: config.domain.clone(),
            journal: Journal::start(Arc::clone(&store)),
            store,
            counters: Counters::default(),
            converts,
            flags: sms.flags(),
            routes: sms.routes(),
            numbers: sms.numbers.iter().map(|number| config::party(number)).collect(),
            phones: phones.collect(),
            bells: links.map(|link| (link, Arc::new(Notify::new()))).collect(),
            mail: Notify::new(),
            policy: Mutex::new(policy),
            nobodys: nobodys(sms),
            hashing: Semaphore::new(2),
            started: Instant::now(),
        });
        exchange.reload_parts()?;
        Ok(exchange)
    }

    /// Runs links and workers until `stop`; ends when all of them have.
    pub(crate) async fn run(self: Arc<Self>, doors: Doors, stop: watch::Receiver<()>) {
        let mut tasks = JoinSet::new();
        for smsc in &self.config.smsc {
            tasks.spawn(esme::run(Arc::clone(&self), smsc.clone(), stop.clone()));
        }
        if let Some(listener) = doors.smpp {
            tasks.spawn(smsc::accept(Arc::clone(&self), listener, None, stop.clone()));
        }
        if let (Some(listener), Some(identity)) = (doors.smpp_tls, self.identity.clone()) {
            tasks.spawn(smsc::accept(Arc::clone(&self), listener, Some(identity), stop.clone()));
        }
        let mut workers = JoinSet::new();
        if let Some(listener) = doors.metrics {
            workers.spawn(counters::serve(Arc::clone(&self), listener));
        }
        if self.converts {
            workers.spawn(mail_out::work(Arc::clone(&self)));
        }
        workers.spawn(sweep(Arc::clone(&self)));
        while tasks.join_next().await.is_some() {}
        // Without a link to run, the workers run until the end all the same.
        let mut stop = stop;
        let _ = stop.changed().await;
        workers.shutdown().await;
        tracing::info!(counters = %self.counters, "exchange stopped");
    }

    /// The bell of a link.
    fn bell(&self, link: &str) -> Arc<Notify> {
        self.bells.get(link).cloned().unwrap_or_default()
    }

    /// Something is in this link's queue.
    fn ring(&self, link: &str) {
        if let Some(bell) = self.bells.get(link) {
            // All links of the queue, for some may only receive; and one that is just looking elsewhere.
            bell.notify_waiters();
            bell.notify_one();
        }
    }

    /// Short messages were stored for a worker to queue, or mail to be sent.
    pub(crate) fn work_stored(&self) {
        self.mail.notify_one();
    }

    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start, for the engines.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// One of our own numbers, as the configuration has it, if an address of SMPP is one.
    fn own_number(&self, party: &Party) -> Option<&Party> {
        // quirk: Kannel and others send short codes with the type of international numbers
        let digits = |party: &Party| message::plain(party).trim_start_matches('+').to_owned();
        let wanted = digits(party);
        self.numbers.iter().find(|own| self.converts && digits(own) == wanted)
    }
}

impl Policy {
    /// A reference for a split message.
    fn next_reference(&mut self) -> u16 {
        self.reference = self.reference.wrapping_add(1);
        self.reference
    }
}

/// Whatever must be done now and then.
async fn sweep(exchange: Arc<Exchange>) {
    let mut seconds = 0u64;
    loop {
        tokio::time::sleep(SWEEP).await;
        seconds += 1;
        let shared = Arc::clone(&exchange);
        let swept = exchange
            .journal
            .run(move |tables| {
                shared.expire_parts(tables)?;
                shared.expire_receipts(tables)?;
                if seconds % 60 == 1 {
                    let now = turns::unix_now();
                    tables.end_threads(now)?;
                    tables.end_charges(now / 86_400)?;
                    tables.bindings(|rows| smsbridge::bridge::BindingStore::expire(rows, now))?;
                    shared.give_up(tables, now)?;
                }
                Ok(())
            })
            .await;
        if let Err(error) = swept {
            tracing::error!(%error, "exchange: cannot sweep");
        }
        if seconds.is_multiple_of(300) {
            tracing::info!(counters = %exchange.counters, "exchange");
        }
    }
}

/// A password that is nobody's, kept as the accounts' are.
fn nobodys(sms: &Sms) -> String {
    let hashed = |account: &config::Account| {
        config::password(&account.password_file).is_ok_and(|kept| kept.starts_with('$'))
    };
    let random = write_mail::random_name();
    let hash = || crate::secret::hash(&random).ok();
    sms.account.iter().any(hashed).then(hash).flatten().unwrap_or(random.clone())
}

fn first_two() -> [u8; 2] {
    let mut two = [0; 2];
    // A reference that repeats the last run's is no harm: parts wait ten minutes at most.
    let _ = getrandom::fill(&mut two);
    two
}
