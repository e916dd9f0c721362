//! A phone at a short message centre: takes binary short messages, and puts WAP pushes and calendar entries together.

use super::listen::{Heard, runtime};
use pushpolicy::bearer::notification;
use pushpolicy::bearer::wap::{Ports, Udh};
use smsbridge::smpp::drive::{self, Clock, Host};
use smsbridge::smpp::pdu::{DeliverSm, MessageResp};
use smsbridge::smpp::session::{BindMode, Config, Credentials, Event, Reason, Reconnect, Session};
use smsbridge::smpp::{Body, CommandStatus, Ton};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::net::TcpStream;

/// The ports that we listen on.
const PORTS: [u16; 2] = [Ports::WAP_PUSH.destination, Ports::CALENDAR.destination];
/// Pushes and entries that are not whole yet; the oldest go first.
const OPEN: usize = 32;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Binds, and again whenever the link is over.
pub(super) fn open(
    centre: String,
    (account, password): (String, String),
    sender: SyncSender<Heard>,
) -> Result<(), String> {
    let bad = |error: smsbridge::smpp::ValueError| format!("smpp: {error}");
    let system_id = account.as_str().try_into().map_err(bad)?;
    let password = password.as_str().try_into().map_err(bad)?;
    let credentials = Credentials::new(BindMode::Receiver, system_id, password);
    let runtime = runtime()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let mut reconnect = Reconnect::new(u64::from(std::process::id()));
            let mut phone = Phone { sender, open: VecDeque::new(), bound: false, ended: None };
            loop {
                let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(&centre)).await;
                match connecting {
                    Ok(Ok(stream)) => {
                        let clock = Clock::start();
                        let mut session = Session::esme(Config::default(), credentials.clone(), clock.now());
                        (phone.bound, phone.ended) = (false, None);
                        drive::run(stream, &mut session, clock, &mut phone).await;
                        if phone.bound {
                            reconnect.bound();
                        }
                        if let Some(reason) = &phone.ended {
                            eprintln!("mailsync: smpp:{centre}: {reason}");
                        }
                    }
                    Ok(Err(error)) => eprintln!("mailsync: smpp:{centre}: {error}"),
                    Err(_) => eprintln!("mailsync: smpp:{centre}: no connection in time"),
                }
                let reason = phone.ended.take().unwrap_or(Reason::LinkClosed);
                tokio::time::sleep(reconnect.delay(&reason)).await;
            }
        });
    });
    Ok(())
}

/// A push or an entry that is not whole yet: who sent it, to which port, its reference, its parts.
struct Parts {
    from: String,
    port: u16,
    reference: u16,
    parts: Vec<Option<Vec<u8>>>,
}

struct Phone {
    sender: SyncSender<Heard>,
    open: VecDeque<Parts>,
    bound: bool,
    ended: Option<Reason>,
}

impl Phone {
    /// Whether it may be acknowledged.
    fn take(&mut self, deliver: &DeliverSm) -> bool {
        // Text and receipts are for others.
        if !deliver.esm_class.has_udh() {
            return true;
        }
        let Ok((udh, data)) = Udh::split(deliver.short_message.as_ref()) else { return true };
        let Some(port) = udh.ports.map(|ports| ports.destination).filter(|port| PORTS.contains(port)) else {
            return true;
        };
        let from = deliver.source_addr.to_string();
        let whole = match udh.concatenation {
            None => Some(data.to_vec()),
            Some(part) => self.join((from.clone(), port), (part.reference, part.total, part.part), data),
        };
        let Some(whole) = whole else { return true };
        let heard = if port == Ports::CALENDAR.destination {
            Heard::Entry(number(deliver.source_addr_ton, from), whole.into())
        } else {
            let Some(package) = notification(&whole) else { return true };
            Heard::Package(package.into())
        };
        // A full queue: the centre keeps it.
        self.sender.try_send(heard).is_ok()
    }

    fn join(
        &mut self,
        (from, port): (String, u16),
        (reference, total, part): (u16, u8, u8),
        data: &[u8],
    ) -> Option<Vec<u8>> {
        let same = |open: &Parts| {
            (&open.from, open.port) == (&from, port)
                && open.reference == reference
                && open.parts.len() == usize::from(total)
        };
        let at = match self.open.iter().position(same) {
            Some(at) => at,
            None => {
                if self.open.len() >= OPEN {
                    self.open.pop_front();
                }
                self.open.push_back(Parts { from, port, reference, parts: vec![None; usize::from(total)] });
                self.open.len() - 1
            }
        };
        let open = self.open.get_mut(at)?;
        *open.parts.get_mut(usize::from(part).checked_sub(1)?)? = Some(data.to_vec());
        let whole: Vec<u8> = open.parts.iter().cloned().collect::<Option<Vec<_>>>()?.concat();
        self.open.remove(at);
        Some(whole)
    }
}

/// A sender as one answers it.
fn number(ton: Ton, from: String) -> String {
    if ton == Ton::INTERNATIONAL && !from.starts_with('+') { format!("+{from}") } else { from }
}

impl Host for Phone {
    async fn events(&mut self, session: &mut Session, now: Duration, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Bound { .. } => self.bound = true,
                Event::Request { pdu, body } => {
                    let taken = match &*body {
                        Body::DeliverSm(deliver) => self.take(deliver),
                        _ => false,
                    };
                    let (status, body) = if taken {
                        (CommandStatus::ROK, Some(Body::DeliverSmResp(MessageResp::default())))
                    } else {
                        (CommandStatus::RX_T_APPN, None)
                    };
                    let _ = session.respond(now, pdu.sequence_number, status, body.as_ref());
                }
                Event::Closed { reason, .. } => self.ended = Some(reason),
                _ => {}
            }
        }
    }

    async fn wake(&mut self) {
        std::future::pending().await
    }

    async fn woken(&mut self, _: &mut Session, _: Duration) {}
}
