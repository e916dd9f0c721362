//! A phone at a short message centre: takes binary short messages, and puts WAP pushes together.

use super::listen::{Heard, runtime};
use pushpolicy::bearer::notification;
use pushpolicy::bearer::wap::{Ports, Udh};
use smsbridge::smpp::drive::{self, Clock, Host};
use smsbridge::smpp::pdu::{DeliverSm, MessageResp};
use smsbridge::smpp::session::{BindMode, Config, Credentials, Event, Reason, Reconnect, Session};
use smsbridge::smpp::{Body, CommandStatus};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::net::TcpStream;

/// Pushes that are not whole yet; the oldest go first.
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

/// A push that is not whole yet: who sent it, its reference, its parts.
struct Parts {
    from: String,
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
        if udh.ports.is_none_or(|ports| ports.destination != Ports::WAP_PUSH.destination) {
            return true;
        }
        let whole = match udh.concatenation {
            None => Some(data.to_vec()),
            Some(part) => {
                self.join(deliver.source_addr.to_string(), (part.reference, part.total, part.part), data)
            }
        };
        let Some(package) = whole.as_deref().and_then(notification) else { return true };
        // A full queue: the centre keeps it.
        self.sender.try_send(Heard::Package(package.into())).is_ok()
    }

    fn join(
        &mut self,
        from: String,
        (reference, total, part): (u16, u8, u8),
        data: &[u8],
    ) -> Option<Vec<u8>> {
        let same = |open: &Parts| {
            open.from == from && open.reference == reference && open.parts.len() == usize::from(total)
        };
        let at = match self.open.iter().position(same) {
            Some(at) => at,
            None => {
                if self.open.len() >= OPEN {
                    self.open.pop_front();
                }
                self.open.push_back(Parts { from, reference, parts: vec![None; usize::from(total)] });
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
