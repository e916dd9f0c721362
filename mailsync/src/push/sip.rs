//! SIP over UDP: MESSAGE with the notification, and the call that rings as a signal.

use super::config::{self, login};
use super::engine::{Engine, Instruction, Sending, Sent};
use pushpolicy::bearer::sip::{
    Credentials, Message, Route, answer_challenge, call_delivery, message_delivery, resend_after_ms,
};
use pushpolicy::sent::Delivery;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Seconds for which a gateway may keep a message.
const EXPIRES: u32 = 3_600;
/// What picks the right device of a person.
const APPLICATION: &str = "push.syncml";
/// How long a call may take to ring.
const RINGING: Duration = Duration::from_secs(32);
/// Targets that are remembered.
const TARGETS: usize = 4_096;

/// What both engines share.
#[derive(Debug)]
struct Agent {
    config: config::Sip,
    credentials: Option<Credentials>,
    /// One request at a time to each target.
    // spec: RFC 3428 §8
    busy: Plain<HashMap<String, Arc<Mutex<()>>>>,
}

/// One exchange with the proxy.
struct Line {
    socket: UdpSocket,
    route: Route,
}

impl Agent {
    fn new(config: &config::Sip) -> Result<Agent, String> {
        let login = login(config.user.as_ref(), config.password_file.as_ref())?;
        let credentials = login.map(|(user, password)| Credentials::new(user, password));
        Ok(Agent { config: config.clone(), credentials, busy: Plain::default() })
    }

    fn turn(&self, target: &str) -> Arc<Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.len() >= TARGETS {
            busy.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(busy.entry(target.to_owned()).or_default())
    }

    async fn line(&self, target: &str) -> Result<Line, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.config.proxy);
        let mut own = self.config.listen;
        if own.ip().is_loopback() && !self.config.proxy.ip().is_loopback() {
            own = SocketAddr::from(([0, 0, 0, 0], own.port()));
        }
        let socket = UdpSocket::bind(own).await.map_err(failed)?;
        socket.connect(self.config.proxy).await.map_err(failed)?;
        let sent_by = socket.local_addr().map_err(failed)?.to_string();
        let [branch, tag, call] = [fresh()?, fresh()?, fresh()?];
        let route = Route::new(target, &self.config.from, &sent_by, &branch, &tag, &call);
        Ok(Line { socket, route })
    }
}

fn fresh() -> Result<String, String> {
    let moment = crate::turns::moment().map_err(|error| error.to_string())?;
    Ok(moment.entropy.iter().take(10).map(|octet| format!("{octet:02x}")).collect())
}

impl Line {
    /// Sends a request, again and again, until an answer comes that is wanted.
    // spec: RFC 3261 §17.1
    async fn ask(
        &self,
        route: &Route,
        request: &Message,
        wanted: impl Fn(u16) -> bool,
    ) -> Result<Message, Sent> {
        let octets = request.to_bytes();
        let failed = |error: std::io::Error| Sent::unreachable(error);
        self.socket.send(&octets).await.map_err(failed)?;
        let mut sent = 1;
        let mut heard = false;
        loop {
            let Some(wait) = resend_after_ms(sent) else {
                return Err(Sent::unreachable("no answer"));
            };
            let until = Instant::now() + Duration::from_millis(wait);
            while let Some(answer) = self.answer(route, until).await? {
                match answer.status() {
                    Some(status) if wanted(status) => return Ok(answer),
                    // A provisional answer ends the sending, not the waiting.
                    Some(_) => heard = true,
                    None => {}
                }
            }
            if !heard {
                self.socket.send(&octets).await.map_err(failed)?;
            }
            sent += 1;
        }
    }

    /// The next answer to a route until then.
    async fn answer(&self, route: &Route, until: Instant) -> Result<Option<Message>, Sent> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, self.socket.recv(&mut buffer)).await {
                Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(Sent::unreachable(error)),
                Ok(Ok(length)) => {
                    let answer = Message::decode(buffer.get(..length).unwrap_or_default());
                    if let Ok(answer) = answer
                        && route.is_answered_by(&answer)
                    {
                        return Ok(Some(answer));
                    }
                }
            }
        }
    }
}

/// The notification in a MESSAGE.
#[derive(Debug)]
pub(super) struct Messages(Agent);

impl Messages {
    pub(super) fn new(config: &config::Sip) -> Result<Messages, String> {
        Agent::new(config).map(Messages)
    }

    async fn message(&self, push: &Instruction) -> Result<Sent, Sent> {
        let turn = self.0.turn(&push.address);
        let _turn = turn.lock().await;
        let line = self.0.line(&push.address).await.map_err(Sent::unreachable)?;
        let make = |route: &Route| {
            route
                .message(syncml::san::MIME_TYPE, &push.package, EXPIRES, Some(APPLICATION))
                .map_err(Sent::refused)
        };
        let last = |status: u16| status >= 200;
        let answer = line.ask(&line.route, &make(&line.route)?, last).await?;
        let mut status = answer.status().unwrap_or_default();
        if let (401 | 407, Some(credentials)) = (status, &self.0.credentials) {
            let mut again = line.route.clone();
            again.branch = fresh().map_err(Sent::unreachable)?;
            again.sequence = again.sequence.saturating_add(1);
            let mut request = make(&again)?;
            let cnonce = fresh().map_err(Sent::unreachable)?;
            answer_challenge(&again, &mut request, &answer, credentials, &cnonce).map_err(Sent::refused)?;
            status = line.ask(&again, &request, last).await?.status().unwrap_or_default();
        }
        Ok(Sent::new(message_delivery(status), format_args!("SIP {status}")))
    }
}

impl Engine for Messages {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move { self.message(push).await.unwrap_or_else(|sent| sent) })
    }
}

/// A call that rings and is taken back.
#[derive(Debug)]
pub(super) struct Calls(Agent);

impl Calls {
    pub(super) fn new(config: &config::Sip) -> Result<Calls, String> {
        Agent::new(config).map(Calls)
    }

    // mission: P6
    async fn ring(&self, push: &Instruction) -> Result<Sent, Sent> {
        let turn = self.0.turn(&push.address);
        let _turn = turn.lock().await;
        let line = self.0.line(&push.address).await.map_err(Sent::unreachable)?;
        let route = &line.route;
        let invite = route.invite(EXPIRES).map_err(Sent::refused)?;
        // spec: RFC 3261 §9.1 (CANCEL only after a provisional answer; 100 may be the proxy's own)
        let first = line.ask(route, &invite, |status| status > 100).await?;
        let mut status = first.status().unwrap_or_default();
        let mut end = first;
        if status < 200 {
            let rung = Instant::now() + Duration::from_millis(self.0.config.ring_ms);
            let mut picked = None;
            while let Some(answer) = line.answer(route, rung).await? {
                if answer.status().is_some_and(|status| status >= 200) {
                    picked = Some(answer);
                    break;
                }
            }
            end = match picked {
                Some(answer) => answer,
                None => self.take_back(&line).await?,
            };
            status = end.status().unwrap_or_default();
        }
        if (200..300).contains(&status) {
            // It was faster than we: hang up.
            let _ = line.socket.send(&route.ack(&end).map_err(Sent::refused)?.to_bytes()).await;
            let branch = fresh().map_err(Sent::unreachable)?;
            if let Ok(bye) = route.bye(&end, &branch) {
                let _ = line.socket.send(&bye.to_bytes()).await;
            }
        } else {
            let _ = line.socket.send(&route.ack(&end).map_err(Sent::refused)?.to_bytes()).await;
        }
        Ok(Sent::new(call_delivery(status), format_args!("SIP {status}")))
    }

    /// Cancels, and waits for the end of the call.
    async fn take_back(&self, line: &Line) -> Result<Message, Sent> {
        let cancel = line.route.cancel(true).map_err(Sent::refused)?.to_bytes();
        let until = Instant::now() + RINGING;
        while Instant::now() < until {
            let _ = line.socket.send(&cancel).await;
            let soon = Instant::now() + Duration::from_millis(pushpolicy::bearer::sip::T1_MS);
            while let Some(answer) = line.answer(&line.route, soon).await? {
                let of_invite = answer.sequence().is_some_and(|(_, method)| method == "INVITE");
                if of_invite && answer.status().is_some_and(|status| status >= 200) {
                    return Ok(answer);
                }
            }
        }
        Err(Sent::new(Delivery::Unknown, "it rang, and the call did not end"))
    }
}

impl Engine for Calls {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move { self.ring(push).await.unwrap_or_else(|sent| sent) })
    }
}
