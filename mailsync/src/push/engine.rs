//! One trait for all bearers, and the engines that there are.

use super::channel::Hub;
use super::config::Push;
use super::state::{Became, Reach};
use super::{gateway, ip, sip, smpp, web_push};
use crate::daemon::notify::Config as Notify;
use bytes::Bytes;
use pushpolicy::sent::Delivery;
use pushpolicy::{Bearer, Patience, Route};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A push on its way: who, by what, where, and the octets.
// mission: P4
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) user: String,
    pub(crate) device: Box<str>,
    pub(crate) bearer: Bearer,
    pub(crate) address: String,
    /// What wakes it first: `MAC HOST:PORT`.
    pub(crate) wake: Option<Box<str>>,
    /// Package #0.
    pub(crate) package: Bytes,
    /// In words, where it asks for nothing.
    pub(crate) hint: Option<String>,
}

/// What an engine says of a push.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) outcome: Delivery,
    /// In words, for the log.
    pub(crate) words: String,
}

impl Sent {
    pub(crate) fn new(outcome: Delivery, words: impl fmt::Display) -> Sent {
        Sent { outcome, words: words.to_string() }
    }

    /// Not now.
    pub(crate) fn unreachable(words: impl fmt::Display) -> Sent {
        Sent::new(Delivery::Unreachable, words)
    }

    /// Never.
    pub(crate) fn refused(words: impl fmt::Display) -> Sent {
        Sent::new(Delivery::Refused, words)
    }
}

pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Carries pushes by one bearer. What is to be sent again, when, and what is given up, is no engine's: it is said by what is
/// kept of each device.
pub(crate) trait Engine: Send + Sync + fmt::Debug {
    /// Sends one.
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a>;

    /// Whether it may send there.
    fn reaches(&self, _address: &str) -> bool {
        true
    }
}

/// All engines.
#[derive(Debug)]
pub(crate) struct Engines {
    engines: BTreeMap<Bearer, Box<dyn Engine>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) patience: Patience,
    /// The pace of paid bearers.
    pub(crate) paid: pushpolicy::notify::Pace,
    /// What became of pushes, by user, until the rows are looked at; and users to look at for other reasons.
    became: Mutex<HashMap<String, Vec<Became>>>,
    touched: Mutex<HashSet<String>>,
    /// Something happened.
    pub(crate) bell: tokio::sync::Notify,
}

impl Engines {
    /// The engines that the configuration names.
    pub(crate) fn new(push: &Push, domain: &str) -> Result<Engines, String> {
        let hub = Arc::new(Hub::default());
        let mut engines: BTreeMap<Bearer, Box<dyn Engine>> = BTreeMap::new();
        engines.insert(Bearer::Udp, Box::new(ip::Udp));
        engines.insert(Bearer::Http, Box::new(ip::Http));
        engines.insert(Bearer::Channel, Box::new(super::channel::Channel(Arc::clone(&hub))));
        if let Some(config) = &push.smpp {
            engines.insert(Bearer::WapPush, Box::new(smpp::Centre::new(config)?));
        }
        if let Some(config) = &push.pap {
            engines.insert(Bearer::Pap, Box::new(gateway::Pap::new(config, domain)?));
        }
        if let Some(config) = &push.mm7 {
            engines.insert(Bearer::Mms, Box::new(gateway::Mm7::new(config)?));
        }
        if let Some(config) = &push.sip {
            engines.insert(Bearer::SipMessage, Box::new(sip::Messages::new(config)?));
            engines.insert(Bearer::PhonePush, Box::new(sip::Calls::new(config)?));
        }
        if let Some(config) = &push.web {
            engines.insert(Bearer::WebPush, Box::new(web_push::WebPush::new(config)?));
        }
        Ok(Engines {
            engines,
            hub,
            patience: push.patience,
            paid: push.paid.pace(),
            became: Mutex::default(),
            touched: Mutex::default(),
            bell: tokio::sync::Notify::new(),
        })
    }

    /// Wakes the terminal if need be, then sends.
    // mission: P6
    pub(crate) async fn send(&self, push: &Instruction) -> Sent {
        if let Some(wake) = &push.wake
            && let Err(words) = ip::wake(wake).await
        {
            return Sent::unreachable(words);
        }
        match self.engines.get(&push.bearer) {
            Some(engine) => engine.send(push).await,
            None => Sent::refused(format_args!("no engine for {}", push.bearer.as_str())),
        }
    }

    /// What became of a push is looked at with the rows.
    pub(crate) fn became(&self, push: &Instruction, sent: &Sent) {
        let one = Became {
            device: push.device.clone(),
            bearer: push.bearer,
            address: push.address.clone(),
            outcome: sent.outcome,
        };
        let mut became = self.became.lock().unwrap_or_else(PoisonError::into_inner);
        became.entry(push.user.clone()).or_default().push(one);
        drop(became);
        self.touch(&push.user);
    }

    /// A user is to be looked at.
    pub(crate) fn touch(&self, user: &str) {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned());
        self.bell.notify_one();
    }

    /// The users to look at.
    pub(crate) fn take_touched(&self) -> HashSet<String> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What became of a user's pushes.
    pub(crate) fn take(&self, user: &str) -> Vec<Became> {
        self.became.lock().unwrap_or_else(PoisonError::into_inner).remove(user).unwrap_or_default()
    }
}

/// What can be reached of one user.
pub(crate) struct Reachable<'a> {
    pub(crate) user: &'a str,
    pub(crate) engines: &'a Engines,
    pub(crate) notify: &'a Notify,
    /// Terminals with something that wakes them are there even where no channel is open.
    pub(crate) wakes: &'a HashSet<Box<str>>,
}

impl Reach for Reachable<'_> {
    fn works(&self, device: &str, route: &Route) -> bool {
        let engine = self.engines.engines.get(&route.bearer);
        if !engine.is_some_and(|engine| engine.reaches(&route.address)) {
            return false;
        }
        match route.bearer {
            Bearer::Udp | Bearer::Http => {
                route.address.parse::<SocketAddr>().is_ok_and(|at| self.notify.reaches(at.ip()))
            }
            Bearer::Channel => self.engines.hub.has(self.user, device) || self.wakes.contains(device),
            _ => true,
        }
    }
}
