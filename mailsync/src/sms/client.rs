//! One link to the exchange: sends what it has, takes what comes.

use super::inbox::{self, Inbox};
use crate::mailbox::link::{AnyStream, Trust};
use mailsync_proto::mail::account::{Server, Tls};
use serde_json::{Value, json};
use smsbridge::bridge::{Incoming, PeerText, Receipt};
use smsbridge::smpp::drive::{self, Clock, Host};
use smsbridge::smpp::pdu::{DeliverSm, MessageResp};
use smsbridge::smpp::session::{BindMode, Config, Credentials, Event, Reason, Session, SessionError, Token};
use smsbridge::smpp::{Body, CommandStatus, Pdu};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How a link is to be.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) server: String,
    /// Over TLS, to a server that these vouch for.
    pub(super) tls: Option<Trust>,
    pub(super) account: String,
    pub(super) password: String,
    pub(super) window: usize,
    /// Wait for receipts.
    pub(super) receipts: bool,
    /// Listen for so many messages.
    pub(super) listen: Option<usize>,
    pub(super) limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) sent: usize,
    pub(super) taken: usize,
    pub(super) refused: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) receipts: Vec<Value>,
    pub(super) received: Vec<Value>,
    /// From the bind to the last answer.
    pub(super) seconds: f64,
    /// Why it failed.
    pub(super) fault: Option<String>,
}

/// Ids that are told of; more are only counted.
const IDS: usize = 100;

/// The host of the session.
pub(super) struct Client {
    settings: Settings,
    inbox: Option<Inbox>,
    jobs: VecDeque<Pdu>,
    next: u64,
    ended: Ended,
    clock: Clock,
    bound_at: Option<Instant>,
    until: tokio::time::Instant,
    pause: Option<tokio::time::Instant>,
    leaving: bool,
}

/// Runs one link for at most `seconds`.
pub(super) fn run(mut client: Client, seconds: u64) -> Result<Ended, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    client.settings.limit = Duration::from_secs(seconds);
    runtime.block_on(async move {
        let server = client.settings.server.clone();
        let stream = connect(&server, client.settings.tls.as_ref()).await?;
        client.clock = Clock::start();
        client.until = tokio::time::Instant::now() + client.settings.limit;
        let mut config = Config::default();
        config.window = client.settings.window;
        let bad = |what: &str, error: smsbridge::smpp::ValueError| format!("{what}: {error}");
        let system_id =
            client.settings.account.as_str().try_into().map_err(|error| bad("--account", error))?;
        let password = client
            .settings
            .password
            .as_str()
            .try_into()
            .map_err(|error| bad("MAILSYNC_SMS_PASSWORD", error))?;
        let mode = if client.settings.listen.is_some() || client.settings.receipts {
            BindMode::Transceiver
        } else {
            BindMode::Transmitter
        };
        let credentials = Credentials::new(mode, system_id, password);
        let mut session = Session::esme(config, credentials, client.clock.now());
        let clock = client.clock;
        drive::run(stream, &mut session, clock, &mut client).await;
        Ok(client.ended)
    })
}

async fn connect(server: &str, tls: Option<&Trust>) -> Result<AnyStream, String> {
    if let Some(trust) = tls {
        let place = Server::parse(server, Tls::Implicit)?;
        return trust.connect(&place).await.map_err(|error| error.to_string());
    }
    match tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(server)).await {
        Ok(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(format!("{server}: {error}")),
        Err(_) => Err(format!("{server}: no connection in time")),
    }
}

impl Client {
    pub(super) fn new(settings: Settings, inbox: Option<Inbox>, jobs: Vec<Pdu>) -> Self {
        Client {
            settings,
            inbox,
            jobs: jobs.into(),
            next: 0,
            ended: Ended::default(),
            clock: Clock::start(),
            bound_at: None,
            until: tokio::time::Instant::now(),
            pause: None,
            leaving: false,
        }
    }

    fn pump(&mut self, session: &mut Session) {
        while let Some(job) = self.jobs.pop_front() {
            match session.request(self.clock.now(), Token(self.next), job.clone(), 1) {
                Ok(_) => {
                    self.next += 1;
                    self.ended.sent += 1;
                }
                Err(SessionError::Throttled { until }) => {
                    self.pause = Some(tokio::time::Instant::now() + until.saturating_sub(self.clock.now()));
                    return self.jobs.push_front(job);
                }
                Err(_) => return self.jobs.push_front(job),
            }
        }
    }

    /// Leaves when all is done.
    fn leave_if_done(&mut self, session: &mut Session) {
        let answered = self.ended.taken + self.ended.refused.len();
        let sent = self.jobs.is_empty() && answered >= self.ended.sent;
        let receipts = !self.settings.receipts || self.ended.receipts.len() >= self.ended.taken.min(1);
        let listened = self.settings.listen.is_none_or(|count| self.ended.received.len() >= count);
        if sent && receipts && listened && session.bound().is_some() {
            self.leave(session);
        }
    }

    fn leave(&mut self, session: &mut Session) {
        if !self.leaving {
            self.leaving = true;
            // Not bound: there is nothing to end politely.
            if session.unbind(self.clock.now()).is_err() {
                session.handle_eof(self.clock.now());
            }
        }
    }

    fn answered(&mut self, pdu: &Pdu, body: Option<&Body>, token: Token) {
        let status = pdu.command_status;
        if status.is_ok() {
            self.ended.taken += 1;
            if let (Some(Body::SubmitSmResp(resp)), true) = (body, self.ended.ids.len() < IDS) {
                self.ended.ids.push(resp.message_id.to_string());
            }
        } else {
            let _ = token;
            self.ended.refused.push(format!("{status:?}"));
        }
        if let Some(bound) = self.bound_at {
            self.ended.seconds = bound.elapsed().as_secs_f64();
        }
    }

    /// A message or a receipt; kept before it is answered.
    fn delivered(&mut self, deliver: &DeliverSm) -> Result<CommandStatus, String> {
        let incoming = Incoming::of_deliver(deliver, PeerText::default());
        let text = incoming.decode(&incoming.octets);
        if deliver.is_receipt() {
            let Some(receipt) = Receipt::read(deliver, &text) else { return Ok(CommandStatus::ROK) };
            let state = receipt.state.map_or("UNKNOWN".to_owned(), |state| format!("{state:?}"));
            self.ended.receipts.push(json!({"id": receipt.message_id, "state": state}));
            return Ok(CommandStatus::ROK);
        }
        if self.inbox.is_none() {
            // Nowhere to keep it: it stays with the exchange.
            return Ok(CommandStatus::RX_T_APPN);
        }
        if let Some(whole) = inbox::take(self.inbox.as_mut(), deliver, &incoming, &text)? {
            self.ended.received.push(whole);
        }
        Ok(CommandStatus::ROK)
    }
}

impl Host for Client {
    async fn events(&mut self, session: &mut Session, now: Duration, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Bound { .. } => self.bound_at = Some(Instant::now()),
                Event::Response { token, pdu, body } => self.answered(&pdu, body.as_deref(), token),
                Event::Request { pdu, body } => {
                    let kept = match &*body {
                        Body::DeliverSm(deliver) => self.delivered(deliver),
                        _ => Err("only deliver_sm is understood".into()),
                    };
                    let (status, resp) = match kept {
                        Ok(CommandStatus::ROK) => {
                            (CommandStatus::ROK, Some(Body::DeliverSmResp(MessageResp::default())))
                        }
                        Ok(status) => (status, None),
                        Err(error) => {
                            self.ended.fault = Some(error);
                            (CommandStatus::RX_T_APPN, None)
                        }
                    };
                    let _ = session.respond(now, pdu.sequence_number, status, resp.as_ref());
                }
                Event::Throttled { until } => {
                    self.pause = Some(tokio::time::Instant::now() + until.saturating_sub(now));
                }
                Event::Closed { reason, in_doubt, .. } => {
                    if !in_doubt.is_empty() {
                        self.ended.fault = Some(format!("{reason}; {} messages in doubt", in_doubt.len()));
                    } else if reason != Reason::Unbound && !self.leaving {
                        self.ended.fault = Some(reason.to_string());
                    }
                }
                _ => {}
            }
        }
        if session.bound().is_some() {
            self.pump(session);
            self.leave_if_done(session);
        }
    }

    async fn wake(&mut self) {
        if self.leaving {
            return std::future::pending().await;
        }
        let at = self.pause.map_or(self.until, |pause| pause.min(self.until));
        tokio::time::sleep_until(at).await;
    }

    async fn woken(&mut self, session: &mut Session, _: Duration) {
        self.pause = None;
        if tokio::time::Instant::now() >= self.until {
            let unsent = self.jobs.len();
            if unsent > 0 && self.ended.fault.is_none() {
                self.ended.fault = Some(format!("{unsent} parts were not sent in time"));
            }
            return self.leave(session);
        }
        self.pump(session);
    }
}
