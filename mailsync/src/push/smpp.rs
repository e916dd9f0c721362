//! WAP push in binary short messages, through a centre. One link is held and taken up again.

use super::config::{self, first_line};
use super::engine::{Engine, Instruction, Sending, Sent};
use crate::mailbox::link::{AnyStream, Trust};
use crate::sms::{binary, party};
use mailsync_proto::mail::account::{Server, Tls};
use pushpolicy::bearer::si::ServiceIndication;
use pushpolicy::bearer::wap::{ContentType, Ports, Push};
use pushpolicy::sent::Delivery;
use smsbridge::bridge::Party;
use smsbridge::smpp::drive::{self, Clock, Host};
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::session::{
    BindMode, Config, Credentials, Event, Reconnect, Session, SessionError, Token,
};
use smsbridge::smpp::{Body, CommandStatus, Pdu, SequenceNumber};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// How long a centre may take with all parts of one push.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pushes that wait for the link.
const WAITING: usize = 256;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// One short message, and who waits for its answer.
#[derive(Debug)]
struct Job {
    body: Box<SubmitSm>,
    answer: oneshot::Sender<CommandStatus>,
}

/// A centre.
#[derive(Debug)]
pub(super) struct Centre {
    from: Party,
    indicate: Option<String>,
    jobs: mpsc::Sender<Job>,
    reference: AtomicU8,
}

impl Centre {
    /// Holds a link from now on; needs a runtime.
    pub(super) fn new(config: &config::Smpp) -> Result<Centre, String> {
        let from = party(&config.from)?;
        let bad = |error: smsbridge::smpp::ValueError| format!("push.smpp: {error}");
        let password = first_line(&config.password_file)?;
        let system_id = config.system_id.as_str().try_into().map_err(bad)?;
        let password = password.as_str().try_into().map_err(bad)?;
        let credentials = Credentials::new(BindMode::Transmitter, system_id, password);
        let trust = if config.tls { Some(Trust::new(config.ca.as_deref())?) } else { None };
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(link(config.address.clone(), trust, credentials, waiting));
        Ok(Centre { from, indicate: config.indicate.clone(), jobs, reference: AtomicU8::new(0) })
    }

    /// The short messages of a push.
    fn parts(&self, push: &Instruction) -> Result<Vec<SubmitSm>, String> {
        let text = |error: pushpolicy::bearer::EncodeError| error.to_string();
        let push_of = match (&push.hint, &self.indicate) {
            (Some(words), Some(href)) => {
                let indication = ServiceIndication::new(href.as_str(), words.as_str());
                Push::new(1, ContentType::SI, indication.encode().map_err(text)?)
            }
            _ => Push::new(1, ContentType::DS_ALERT, push.package.to_vec()),
        };
        let pdu = push_of.encode().map_err(text)?;
        let reference = self.reference.fetch_add(1, Ordering::Relaxed);
        binary::submits((&self.from, &party(&push.address)?), Ports::WAP_PUSH, reference, &pdu)
    }
}

impl Engine for Centre {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move {
            let parts = match self.parts(push) {
                Ok(parts) => parts,
                Err(words) => return Sent::refused(words),
            };
            let count = parts.len();
            let mut answers = Vec::new();
            for body in parts {
                let (answer, answered) = oneshot::channel();
                if self.jobs.try_send(Job { body: Box::new(body), answer }).is_err() {
                    return Sent::unreachable("too many wait for the centre");
                }
                answers.push(answered);
            }
            let all = async {
                let mut worst = CommandStatus::ROK;
                for answer in answers {
                    match answer.await {
                        Ok(status) if status.is_ok() => {}
                        Ok(status) => worst = status,
                        Err(_) => return None,
                    }
                }
                Some(worst)
            };
            match tokio::time::timeout(PATIENCE, all).await {
                // Only a session, or a receipt, says that it came.
                Ok(Some(status)) if status.is_ok() => {
                    Sent::new(Delivery::Accepted, format_args!("{count} short messages taken"))
                }
                Ok(Some(status)) if status == CommandStatus::RINVDSTADR => {
                    Sent::new(Delivery::Gone, format_args!("{status:?}"))
                }
                Ok(Some(status)) => Sent::unreachable(format_args!("{status:?}")),
                Ok(None) => Sent::unreachable("the link to the centre broke"),
                Err(_) => Sent::unreachable("no answer of the centre"),
            }
        })
    }
}

/// Keeps one link up; ends with the last sender of jobs.
async fn link(
    address: String,
    trust: Option<Trust>,
    credentials: Credentials,
    mut waiting: mpsc::Receiver<Job>,
) {
    let seed = crate::turns::moment()
        .map_or(1, |moment| u64::from_le_bytes(moment.entropy[..8].try_into().unwrap_or([1; 8])));
    let mut reconnect = Reconnect::new(seed);
    loop {
        let mut reason = smsbridge::smpp::session::Reason::LinkClosed;
        match connect(&address, trust.as_ref()).await {
            Ok(stream) => {
                let clock = Clock::start();
                let mut session = Session::esme(Config::default(), credentials.clone(), clock.now());
                let mut host = Link {
                    waiting: &mut waiting,
                    under_way: HashMap::new(),
                    next: VecDeque::new(),
                    token: 0,
                    clock,
                    bound: false,
                    ended: None,
                    closed: false,
                    pause: None,
                };
                drive::run(stream, &mut session, clock, &mut host).await;
                if host.bound {
                    reconnect.bound();
                }
                if host.closed {
                    return;
                }
                reason = host.ended.take().unwrap_or(reason);
                tracing::info!(address, %reason, "push: the link to the centre ended");
            }
            Err(error) => tracing::warn!(error, "push: no link to the centre"),
        }
        if waiting.is_closed() && waiting.is_empty() {
            return;
        }
        tokio::time::sleep(reconnect.delay(&reason)).await;
    }
}

async fn connect(address: &str, trust: Option<&Trust>) -> Result<AnyStream, String> {
    if let Some(trust) = trust {
        let place = Server::parse(address, Tls::Implicit)?;
        return trust.connect(&place).await.map_err(|error| error.to_string());
    }
    match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address}: no connection in time")),
    }
}

/// The host of one session.
struct Link<'a> {
    waiting: &'a mut mpsc::Receiver<Job>,
    under_way: HashMap<u64, oneshot::Sender<CommandStatus>>,
    next: VecDeque<Job>,
    token: u64,
    clock: Clock,
    bound: bool,
    ended: Option<smsbridge::smpp::session::Reason>,
    /// Nobody sends any more.
    closed: bool,
    pause: Option<tokio::time::Instant>,
}

impl Link<'_> {
    fn pump(&mut self, session: &mut Session) {
        while let Some(job) = self.next.pop_front() {
            // Who asked has given up.
            if job.answer.is_closed() {
                continue;
            }
            let pdu = Pdu::new(SequenceNumber(1), &Body::SubmitSm((*job.body).clone()));
            self.token += 1;
            match session.request(self.clock.now(), Token(self.token), pdu, 1) {
                Ok(_) => {
                    self.under_way.insert(self.token, job.answer);
                }
                Err(error) => {
                    if let SessionError::Throttled { until } = error {
                        let wait = until.saturating_sub(self.clock.now());
                        self.pause = Some(tokio::time::Instant::now() + wait);
                    }
                    return self.next.push_front(job);
                }
            }
        }
    }
}

impl Host for Link<'_> {
    async fn events(&mut self, session: &mut Session, now: Duration, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Bound { .. } => self.bound = true,
                Event::Response { token, pdu, .. } => {
                    if let Some(answer) = self.under_way.remove(&token.0) {
                        let _ = answer.send(pdu.command_status);
                    }
                }
                Event::Throttled { until } => {
                    self.pause = Some(tokio::time::Instant::now() + until.saturating_sub(now));
                }
                Event::Closed { reason, .. } => self.ended = Some(reason),
                _ => {}
            }
        }
        if session.bound().is_some() {
            self.pump(session);
        }
    }

    async fn wake(&mut self) {
        let pause = self.pause;
        let paused = async {
            match pause {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // What waits for the window is taken up by the next answer.
        let room = self.next.is_empty() && self.bound && !self.closed;
        tokio::select! {
            () = paused => self.pause = None,
            job = self.waiting.recv(), if room => match job {
                Some(job) => self.next.push_back(job),
                None => self.closed = true,
            },
        }
    }

    async fn woken(&mut self, session: &mut Session, now: Duration) {
        if self.closed && session.unbind(now).is_err() {
            session.handle_eof(now);
        }
        if session.bound().is_some() {
            self.pump(session);
        }
    }
}
