//! The worker of time tasks: feeds the desk what changed in people's datastores, commits what it decides, wakes terminals.
//!
//! What a task is, who may set it, who shows it when: [`Desk`]. This file reads, commits and sends.
// mission: T3, T4, T6

use super::notify;
use super::serve::State;
use super::tell::Routes;
use crate::push::Instruction;
use crate::push::engine::Reachable;
use crate::push::state as push;
use crate::store::{Followed, TaskClientRow};
use crate::turns;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::device::Device;
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::server::notify::Notice;
use mailsync_proto::sync::store::{Commit, Item, ItemValue, Read, Store, StoreError, StoreKey, Value, Write};
use mailsync_proto::tasks::desk::{Answered, Change, Desk, Effects, ItemChange, Said};
use mailsync_proto::tasks::wake::Wakes;
use mailsync_proto::tasks::{group, reminder, request};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use timesync::UnixTime;
use timesync::task::ical::itip;
use timesync::task::{ClientId, TaskConfig, UserId};
use timesync::zones::{Home, Zones};

/// How often the store is looked at.
const POLL: Duration = Duration::from_millis(500);
/// Pause after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Tries when rows change under a commit.
const RUNS: usize = 8;

/// The section `[tasks]`: how the server treats the moments of tasks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds before the moment at which a terminal is chosen.
    pub lead_seconds: u32,
    /// Seconds after the moment that the chosen one has to report.
    pub lease_seconds: u32,
    /// Seconds after its last session for which a terminal counts as there.
    pub fresh_seconds: u32,
    /// Seconds for which a moment that must be on time is still tried for.
    pub grace_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { lead_seconds: 60, lease_seconds: 30, fresh_seconds: 300, grace_seconds: 120 }
    }
}

impl Config {
    fn engine(&self) -> TaskConfig {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        TaskConfig {
            lead: seconds(self.lead_seconds),
            lease: seconds(self.lease_seconds.max(1)),
            fresh: seconds(self.fresh_seconds),
            grace: seconds(self.grace_seconds),
            ..TaskConfig::default()
        }
    }
}

/// Works until it is dropped.
pub(super) async fn work(state: Arc<State>) {
    let mut worker: Option<Worker> = None;
    loop {
        let shared = Arc::clone(&state);
        let looked = tokio::task::spawn_blocking(move || {
            if !shared.lead.is_ours() {
                return Ok((None, Vec::new()));
            }
            let mut worker = match worker {
                Some(worker) => worker,
                None => Worker::open(&shared)?,
            };
            let packages = worker.look(&shared)?;
            Ok::<_, String>((Some(worker), packages))
        });
        let (kept, pause) = match looked.await {
            Ok(Ok((kept, packages))) => {
                packages.into_iter().for_each(|package| notify::send(&state, package));
                let pause = kept.as_ref().map_or(POLL, |worker| worker.pause(state.time.now()));
                (kept, pause)
            }
            // What is in memory may be ahead of the store: it is read anew.
            Ok(Err(words)) => {
                tracing::error!(words, "tasks: beginning anew");
                (None, AFTER_FAILURE)
            }
            Err(error) => {
                tracing::error!(%error, "tasks: a look died; beginning anew");
                (None, AFTER_FAILURE)
            }
        };
        worker = kept;
        tokio::time::sleep(pause).await;
    }
}

struct Worker {
    desk: Desk,
    /// How far each datastore was taken.
    seen: HashMap<Followed, u64>,
    clients: BTreeMap<(String, String), u64>,
    /// Who has something new in `./reminders`.
    wakes: Wakes,
    /// Who is to show that it is there.
    calls: Wakes,
    /// When the open channel of a terminal was last a sign of life.
    open: BTreeMap<(String, String), UnixTime>,
    /// When a terminal was last told by what costs money.
    paid: BTreeMap<(Box<str>, Box<str>), UnixTime>,
}

impl Worker {
    /// All of it, from the store.
    fn open(state: &State) -> Result<Self, String> {
        let home = Home::new(Zones::bundled(), &state.zone).map_err(|error| error.to_string())?;
        let mut desk = Desk::new(state.tasks.engine(), home);
        let now = state.time.now();
        for (key, value) in state.store.task_states().map_err(text)? {
            if let Err(error) = desk.restore(now, &key, &value) {
                tracing::error!(owner = ?key.owner, task = ?key.name, %error, "tasks: a state that is not used");
            }
        }
        let worker = Worker {
            desk,
            seen: HashMap::new(),
            clients: BTreeMap::new(),
            wakes: Wakes::default(),
            calls: Wakes::default(),
            open: BTreeMap::new(),
            paid: BTreeMap::new(),
        };
        tracing::info!(waiting = worker.desk.waiting(), "tasks: read from the store");
        Ok(worker)
    }

    fn pause(&self, now: UnixTime) -> Duration {
        let next =
            [self.desk.poll_timeout(), self.wakes.next(), self.calls.next()].into_iter().flatten().min();
        let left = next.map(|at| u64::try_from(at.since(now)).unwrap_or(0));
        left.map_or(POLL, |nanos| Duration::from_nanos(nanos).clamp(Duration::from_millis(20), POLL))
    }

    fn look(&mut self, state: &State) -> Result<Vec<Instruction>, String> {
        let now = state.time.now();
        let rows = state.store.task_clients().map_err(text)?;
        for row in &rows {
            self.client(now, row);
            self.channel(state, now, row);
        }
        // Groups first: rights are as they are now when a task comes in the same moment.
        let heads = state.store.task_heads().map_err(text)?;
        let (groups, others): (Vec<_>, Vec<_>) =
            heads.into_iter().partition(|(of, _)| of.datastore == group::DATASTORE);
        for (of, head) in groups.into_iter().chain(others) {
            let since = self.seen.get(&of).copied().unwrap_or(0);
            if since != head || since == 0 {
                self.take(state, now, &of, since)?;
                self.seen.insert(of, head);
            }
        }
        self.desk.tick(state.time.now());
        self.commit(state, now)?;
        self.packages(state, now)
    }

    fn client(&mut self, now: UnixTime, row: &TaskClientRow) {
        let (Ok(user), Ok(client)) = (UserId::new(&row.user), ClientId::new(&row.device)) else { return };
        self.wakes.came((&row.user, &row.device), row.synced);
        match self.clients.insert((row.user.clone(), row.device.clone()), row.logins) {
            None => {
                self.desk.client(&user, &client);
                // What was refused for want of a client is looked at again.
                self.seen.retain(|of, _| of.user != row.user);
            }
            Some(before) if before != row.logins => {
                self.calls.came((&row.user, &row.device), u64::MAX);
                self.desk.presence(now, &user, &client);
            }
            Some(_) => {}
        }
    }

    /// Who holds a channel open is there.
    // mission: T4
    fn channel(&mut self, state: &State, now: UnixTime, row: &TaskClientRow) {
        let key = (row.user.clone(), row.device.clone());
        if !state.push.hub.has(&row.user, &row.device) {
            self.open.remove(&key);
            return;
        }
        let often = Duration::from_secs((state.tasks.fresh_seconds / 4).max(1).into());
        if self.open.get(&key).is_some_and(|told| now < told.after(often)) {
            return;
        }
        if let (Ok(user), Ok(client)) = (UserId::new(&row.user), ClientId::new(&row.device)) {
            self.desk.presence(now, &user, &client);
        }
        self.open.insert(key, now);
    }

    fn take(&mut self, state: &State, now: UnixTime, of: &Followed, since: u64) -> Result<(), String> {
        let Ok(owner) = UserId::new(&of.user) else { return Ok(()) };
        if of.datastore == group::DATASTORE {
            let all = state.store.task_items(of, 0).map_err(text)?;
            self.desk.groups(&owner, all.iter().filter_map(|item| item.body.as_ref()));
            return Ok(());
        }
        for item in state.store.task_items(of, since).map_err(text)? {
            let (datastore, guid, body) = (&*of.datastore, &item.guid, item.body.as_ref());
            self.desk.take(now, &Change { owner: &owner, datastore, guid, body });
        }
        Ok(())
    }

    /// Makes what was decided durable; only then is anybody woken.
    fn commit(&mut self, state: &State, now: UnixTime) -> Result<(), String> {
        let Effects { states, items, answers, wake, call, said, .. } = self.desk.effects();
        for said in &said {
            match said {
                Said::Event(event) => tracing::info!(?event, "tasks"),
                Said::Refused { owner, uid, refusal } => {
                    tracing::info!(?owner, ?uid, %refusal, "tasks: not taken");
                }
            }
        }
        if !states.is_empty() || !items.is_empty() || !answers.is_empty() {
            let mut runs = 0;
            loop {
                let mut rows = Rows { state, changed: BTreeMap::new() };
                items.iter().try_for_each(|item| rows.item(item)).map_err(text)?;
                answers.iter().try_for_each(|answered| rows.answer(answered)).map_err(text)?;
                let commit = Commit { session: None, writes: rows.writes() };
                match state.store.commit_tasks(&states, &commit) {
                    Ok(()) => break,
                    Err(StoreError::Stale(_)) if runs < RUNS => runs += 1,
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        let heads: HashMap<Followed, u64> = match wake.is_empty() {
            true => HashMap::new(),
            false => state.store.task_heads().map_err(text)?.into_iter().collect(),
        };
        for (user, client) in wake {
            let of = Followed { user: user.as_str().into(), datastore: reminder::DATASTORE.into() };
            let head = heads.get(&of).copied().unwrap_or(0);
            self.wakes.ask(now, (user.as_str(), client.as_str()), head);
        }
        // Who asked for something hears what became of it.
        let asked = answers.into_iter().map(|answered| answered.task.setter);
        let asked = asked.map(|setter| (setter.user, setter.client));
        for (user, client) in call.into_iter().chain(asked) {
            self.calls.ask(now, (user.as_str(), client.as_str()), u64::MAX);
        }
        Ok(())
    }

    /// What goes to whom, by every bearer that notices go by.
    fn packages(&mut self, state: &State, now: UnixTime) -> Result<Vec<Instruction>, String> {
        let mut packages = Vec::new();
        let due: BTreeSet<_> = self.wakes.due(now).into_iter().chain(self.calls.due(now)).collect();
        for (user, device) in due {
            let registered = Device::registered(state.store.registered_devices(&user).map_err(text)?);
            let Some(known) = registered.iter().find(|known| known.id == device) else { continue };
            let wakes = known.wake.iter().map(|_| known.id.clone()).collect();
            let reach = Reachable { user: &user, engines: &state.push, notify: &state.notify, wakes: &wakes };
            let Some(routes) = push::terminal(known, &reach).map(|terminal| Routes::unasked(&terminal))
            else {
                continue;
            };
            if routes.all.is_empty() || (routes.are_paid() && !self.may_pay(state, now, (&user, &device))) {
                continue;
            }
            let Some(octets) = package(state, &user, &device)? else { continue };
            // A machine that sleeps is woken: the moment does not wait.
            let ways = routes.all.iter().map(|(bearer, address, _)| (*bearer, &**address, true));
            packages.extend(ways.map(|way| notify::instruction(&user, known, way, octets.clone())));
        }
        Ok(packages)
    }

    /// Bearers that cost money have a pace of their own.
    fn may_pay(&mut self, state: &State, now: UnixTime, (user, device): (&str, &str)) -> bool {
        let gap = Duration::from_millis(state.push.paid.gap_ms);
        let key = (user.into(), device.into());
        if self.paid.get(&key).is_some_and(|last| now < last.after(gap)) {
            return false;
        }
        self.paid.insert(key, now);
        true
    }
}

/// Package #0 that asks for the datastores of tasks.
fn package(state: &State, user: &str, device: &str) -> Result<Option<Bytes>, String> {
    let read = Read::Device(user.into(), device.into());
    let found = state.store.read(std::slice::from_ref(&read)).map_err(text)?;
    let Some(Value::Device(Some(row))) = found.get(&read) else { return Ok(None) };
    let [a, b, ..] = turns::moment().map_err(text)?.entropy;
    let stores = [reminder::DATASTORE, "tasks", "calendar", request::DATASTORE, group::DATASTORE];
    let syncs = stores.map(|store| (store, Mode::TwoWay));
    let notice = Notice::new(&state.engine, row, u16::from_be_bytes([a, b]), &syncs);
    match notice.map_err(text).and_then(|notice| notice.binary().map_err(text)) {
        Ok(octets) => Ok(Some(octets)),
        Err(words) => {
            tracing::warn!(words, "tasks: no terminal can be woken; see server_name in the configuration");
            Ok(None)
        }
    }
}

/// Changes of items over what is stored.
struct Rows<'s> {
    state: &'s State,
    /// The last word on each, over the revision that was read.
    changed: BTreeMap<(StoreKey, Guid), Changed>,
}

/// An item as it was read, and as it is to be; none: gone.
struct Changed {
    before: Option<Item>,
    now: Option<(ItemValue, Bytes)>,
}

impl Rows<'_> {
    fn item(&mut self, change: &ItemChange) -> Result<(), StoreError> {
        let (place, now) = match change {
            ItemChange::Put { place, value, body } => (place, Some((value.clone(), body.clone()))),
            ItemChange::Delete(place) => (place, None),
        };
        let (owner, datastore, guid) = place;
        let key = StoreKey { user: owner.as_str().into(), datastore: datastore.clone() };
        self.set(key, guid.clone(), now)
    }

    fn set(&mut self, key: StoreKey, guid: Guid, now: Option<(ItemValue, Bytes)>) -> Result<(), StoreError> {
        let id = (key, guid);
        if let Some(changed) = self.changed.get_mut(&id) {
            changed.now = now;
            return Ok(());
        }
        let read = Read::Item(id.0.clone(), id.1.clone());
        let found = self.state.store.read(std::slice::from_ref(&read))?;
        let before = match found.get(&read) {
            Some(Value::Item(item)) => item.clone(),
            _ => None,
        };
        self.changed.insert(id, Changed { before, now });
        Ok(())
    }

    /// A reply takes the place of the request, if that is still there.
    fn answer(&mut self, answered: &Answered) -> Result<(), StoreError> {
        let Answered { task, answer, at } = answered;
        let setter = task.setter.user.as_str();
        let key = request::request_key(&task.uid);
        let text = itip::write(task, itip::Method::Reply, Some(answer), *at);
        let store = StoreKey { user: setter.into(), datastore: request::DATASTORE.into() };
        for guid in self.state.store.items_with_key(setter, request::DATASTORE, key)? {
            let value = ItemValue {
                rank: 1,
                kind: request::MEDIA_TYPE.into(),
                match_keys: vec![key],
                ..ItemValue::default()
            };
            self.set(store.clone(), guid, Some((value, Bytes::from(text.clone()))))?;
        }
        Ok(())
    }

    fn writes(self) -> Vec<Write> {
        let state = self.state;
        let changes = self.changed.into_iter().filter_map(|((store, guid), Changed { before, now })| {
            let live = before.as_ref().filter(|item| !item.deleted);
            match (now, live) {
                (None, None) => None,
                (None, Some(item)) => Some(Write::DeleteItem { store, guid, expect: item.rev }),
                (Some((value, body)), live) => {
                    // What is so already is not news.
                    if let Some(item) = live
                        && item.value == value
                        && item.size == body.len() as u64
                    {
                        let read = Read::Body(store.clone(), guid.clone());
                        let found = state.store.read(std::slice::from_ref(&read)).ok()?;
                        if matches!(found.get(&read), Some(Value::Body(Some(old))) if *old == body) {
                            return None;
                        }
                    }
                    let expect = before.map(|item| item.rev);
                    Some(Write::PutItem { store, guid, expect, value, body: Some(body) })
                }
            }
        });
        changes.collect()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
