//! The worker that tells devices which hold no session of what happened to their mail.
//!
//! What there is to tell the rows say ([`news`]), whether to tell it the device's rules ([`NotifyRules`]), and when
//! [`Delivery`]; this file reads, commits and sends.
// mission: M4c

use super::config::Network;
use super::serve::State;
use super::tell::{Routes, event};
use crate::push::Instruction;
use crate::push::engine::Reachable;
use crate::push::state::{self as push, millis};
use crate::store::Registered;
use crate::turns::{self, Failure};
use bytes::Bytes;
use mailsync_proto::mail::device::{self, Device};
use mailsync_proto::mail::event::{Kind, MailEvent};
use mailsync_proto::mail::news::{Known, MailNews, News, news};
use mailsync_proto::mail::notice::{self, DATAGRAM, SHORT};
use mailsync_proto::sync::server::notify::NotifyError;
use mailsync_proto::sync::turn::Missing;
use pushpolicy::notify::{Delivery, EventKind, Next, NotifyRules, Pace, Verdict, Waiting};
use pushpolicy::sent::Delivery as Became;
use pushpolicy::{Bearer, LocalTime, MailFacts, Millis, Now, Say, Terminal};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use timesync::UnixTime;
use timesync::civil::shown_at;
use timesync::zones::{ZoneName, Zones};

/// How often rows are looked at, whatever is said of them: other processes change them too.
const POLL: Duration = Duration::from_secs(1);
/// Milliseconds until a device is looked at again whose rows could not be read or written.
const LATER: u64 = 5_000;
/// Short messages that a notice of paid bearers takes, at most.
const SEGMENTS: usize = 2;

/// Notices of what happened, by Package #0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Networks in which devices may listen; none: loopback.
    pub reach: Vec<Network>,
    /// How long events are gathered, and how a notice is repeated.
    pub pace: Pace,
}

impl Config {
    /// Whether something may be sent to an address.
    pub(crate) fn reaches(&self, ip: IpAddr) -> bool {
        if self.reach.is_empty() {
            ip.to_canonical().is_loopback()
        } else {
            self.reach.iter().any(|net| net.contains(ip))
        }
    }
}

/// Works until it is dropped.
pub(super) async fn work(state: Arc<State>) {
    let mut changed = state.mailboxes.changes();
    let mut known = Book::default();
    loop {
        changed.mark_unchanged();
        let shared = Arc::clone(&state);
        let looked = tokio::task::spawn_blocking(move || {
            let pushes = look(&shared, &mut known);
            (known, pushes)
        });
        let (book, pushes) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "notices: a look died");
                (Book::default(), Ok(Vec::new()))
            }
        };
        known = book;
        match pushes {
            Ok(pushes) => pushes.into_iter().for_each(|push| send(&state, push)),
            Err(failure) => tracing::error!(%failure, "notices"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = state.push.bell.notified() => {}
            () = tokio::time::sleep(known.pause()) => {}
        }
    }
}

/// Sends beside everything else; what became of it is looked at with the rows. Whatever is told to a device goes this way.
pub(super) fn send(state: &Arc<State>, push: Instruction) {
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let sent = state.push.send(&push).await;
        let Instruction { user, device, bearer, address, wake, .. } = &push;
        let (by, woken) = (bearer.as_str(), wake.is_some());
        match sent.outcome {
            Became::Unreachable | Became::Gone | Became::Refused => {
                tracing::info!(
                    user,
                    ?device,
                    by,
                    address,
                    words = sent.words,
                    "notification not sent: again later"
                );
            }
            _ => tracing::info!(user, ?device, by, address, woken, words = sent.words, "notification sent"),
        }
        state.push.became(&push, &sent);
    });
}

/// What was seen of each user: nothing is read again that did not change and is not due.
#[derive(Default)]
struct Book {
    users: HashMap<String, Seen>,
}

struct Seen {
    revs: (u64, u64, u64),
    due: Option<Millis>,
}

impl Book {
    fn pause(&self) -> Duration {
        let now = millis();
        let due = self.users.values().filter_map(|seen| seen.due).min();
        due.map_or(POLL, |due| Duration::from_millis(due.since(now)).min(POLL))
    }
}

/// Looks at every user for whom something changed or is due.
fn look(state: &State, known: &mut Book) -> Result<Vec<Instruction>, Failure> {
    if !state.lead.is_ours() {
        return Ok(Vec::new());
    }
    let mut pushes = Vec::new();
    let mut users = HashMap::new();
    let touched = state.push.take_touched();
    for Registered { user, mail_rev, devices_rev, policy_rev } in state.store.registered()? {
        let revs = (mail_rev, devices_rev, policy_rev);
        if let Some(old) = known.users.remove(&user)
            && old.revs == revs
            && old.due.is_none_or(|due| due > millis())
            && !touched.contains(&user)
        {
            users.insert(user, old);
            continue;
        }
        let devices = Device::registered(state.store.registered_devices(&user)?);
        let due = one_user(state, &user, &devices, &mut pushes);
        users.insert(user, Seen { revs, due });
    }
    known.users = users;
    Ok(pushes)
}

/// Decides what is to be decided of one user, and says for each device what is to be sent.
fn one_user(state: &State, user: &str, devices: &[Device], pushes: &mut Vec<Instruction>) -> Option<Millis> {
    let failed = |failure: Failure, what: &str| {
        tracing::error!(user, what, %failure, "notices: later");
        Some(millis().plus(LATER))
    };
    let wakes = devices.iter().filter(|one| one.wake.is_some()).map(|one| one.id.clone()).collect();
    let reach = Reachable { user, engines: &state.push, notify: &state.notify, wakes: &wakes };
    let mut now = Now::at(millis());
    now.local = devices.iter().find_map(local_time);
    let became = state.push.take(user);
    let settled = push::settle(&state.store, user, devices, &reach, (&became, now, &state.push.patience));
    let mut due = match settled {
        Ok(settled) => {
            for (guid, record) in &settled.records {
                let to: Vec<&str> = record.decision.targets.iter().map(|one| one.terminal.as_str()).collect();
                tracing::info!(user, mail = guid.as_str(), ?to, "decided");
            }
            settled.refused.iter().for_each(|words| tracing::warn!(user, words, "a report is not taken"));
            for asked in &settled.ask {
                let device = devices.iter().find(|device| *device.id == *asked.as_str());
                pushes.extend(device.and_then(|device| question(state, user, device, &reach)));
            }
            settled.next
        }
        Err(failure) => failed(failure, "deciding"),
    };
    for device in devices {
        let Some(terminal) = push::terminal(device, &reach) else { continue };
        if !terminal.routes.iter().any(|route| route.up) {
            continue;
        }
        let next = match step(state, user, device, &terminal) {
            Ok((next, sends)) => {
                pushes.extend(sends);
                next
            }
            Err(failure) => failed(failure, &device.id),
        };
        due = [due, next].into_iter().flatten().min();
    }
    due
}

/// The question what a device senses, by a way that costs nothing.
// mission: P2
fn question(state: &State, user: &str, device: &Device, reach: &Reachable<'_>) -> Option<Instruction> {
    let terminal = push::terminal(device, reach)?;
    let route = terminal.routes.iter().find(|route| route.up && !route.bearer.is_sms_like())?;
    let [a, b, ..] = turns::moment().ok()?.entropy;
    let ask = (u16::from_be_bytes([a, b]), device::DATASTORE);
    let made = turns::effect::<_, Failure>(&state.store, |reader| {
        let event = MailEvent::report();
        let made = notice::package(&state.engine, reader, (user, &device.id), ask, &event, DATAGRAM);
        Ok(made.map(|made| (made, Vec::new())))
    });
    let package = made.ok().flatten().and_then(can_be_sent)?;
    Some(instruction(user, device, (route.bearer, &route.address, false), package))
}

pub(super) fn instruction(
    user: &str,
    device: &Device,
    (bearer, address, wake): (Bearer, &str, bool),
    package: Bytes,
) -> Instruction {
    let wake = device.wake.clone().filter(|_| wake);
    Instruction {
        user: user.into(),
        device: device.id.clone(),
        bearer,
        address: address.into(),
        wake,
        package,
        hint: None,
    }
}

/// One device: what is kept of it changes in one transaction, and only then a notification may leave.
fn step(
    state: &State,
    user: &str,
    device: &Device,
    terminal: &Terminal,
) -> Result<(Option<Millis>, Vec<Instruction>), Failure> {
    let rules = rules(device);
    let headers = rules.rules.iter().any(|rule| rule.sender.is_some() || rule.subject.is_some());
    let local = local_time(device);
    let [a, b, ..] = turns::moment()?.entropy;
    let fresh = u16::from_be_bytes([a, b]);
    turns::effect(&state.store, |reader| {
        let mut run = || -> Result<_, Missing> {
            let slot = notice::slot(reader, user, &device.id)?;
            // Of a newer program: what it told is told once more.
            let kept: Delivery =
                slot.value().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
            let mut delivery = kept.clone();
            let plans = if push::has_policy(reader, user)? { Some(push::read(reader, user)?) } else { None };
            let at = (delivery.since(), turns::unix_now(), headers);
            let Some(News { upto, events, in_session, max_id, .. }) = news(reader, user, &device.id, at)?
            else {
                return Ok(((None, Vec::new()), Vec::new()));
            };
            let now = millis();
            let judge = |one: &MailNews| {
                let plan = plans.as_ref().filter(|_| one.kind == Kind::Arrived).map(|(_, plans)| plans);
                judge(
                    &rules,
                    one,
                    local,
                    plan.map(|plans| plans.say(one.guid.as_str(), one.rev, &terminal.id, now)),
                )
            };
            let judged: Vec<_> = events.iter().map(|one| (one.rev, judge(one))).collect();
            let routes = Routes::new(terminal, plans.as_ref().map(|(_, plans)| plans), &events, &judged, now);
            let waiting = Waiting { upto, events: &judged, in_session };
            let pace = if routes.are_paid() { &state.push.paid } else { &state.notify.pace };
            let mut writes = Vec::new();
            let (due, sends) = match delivery.step(now, &waiting, fresh, pace) {
                Next::Send { session, events: told } => {
                    let told: Vec<(&MailNews, &Verdict)> =
                        told.iter().filter_map(|at| Some((events.get(*at)?, &judged.get(*at)?.1))).collect();
                    let (event, hinted) =
                        event(&told, plans.as_ref().map(|(_, plans)| plans), &terminal.id, now, max_id);
                    let mut may = true;
                    if let Some((slot, plans)) = &plans {
                        let mut plans = plans.clone();
                        hinted.iter().for_each(|mail| plans.hinted(mail, &terminal.id));
                        if routes.are_paid() {
                            may = plans.spend(now, SEGMENTS).is_ok();
                        }
                        writes.push(push::put(slot, &plans));
                    }
                    let (ask, room) = ((session, "mail"), if routes.are_paid() { SHORT } else { DATAGRAM });
                    let made = notice::package(&state.engine, reader, (user, &device.id), ask, &event, room)?;
                    let package = made.and_then(can_be_sent).filter(|_| may);
                    let ways =
                        package.iter().flat_map(|package| routes.all.iter().map(move |way| (way, package)));
                    let words: Vec<String> = event.happened.iter().map(ToString::to_string).collect();
                    let hint = event.is_hint().then(|| words.join("; "));
                    let sends = ways.map(|((bearer, address, wake), package)| Instruction {
                        hint: hint.clone(),
                        ..instruction(user, device, (*bearer, address, *wake), package.clone())
                    });
                    (Some(now), sends.collect())
                }
                Next::At(due) => (Some(due), Vec::new()),
                _ => (None, Vec::new()),
            };
            if delivery != kept {
                writes.push(slot.put(&serde_json::to_vec(&delivery).unwrap_or_default()));
            }
            Ok(((due, sends), writes))
        };
        Ok::<_, Failure>(run())
    })
}

/// What the device wants to be told of. Rules that cannot be read silence nothing.
fn rules(device: &Device) -> NotifyRules {
    let Some(text) = &device.rules else { return NotifyRules::default() };
    let rules = serde_json::from_str::<NotifyRules>(text).map_err(|error| error.to_string());
    match rules.and_then(|rules| rules.check().map(|()| rules).map_err(|error| error.to_string())) {
        Ok(rules) => rules,
        Err(words) => {
            tracing::warn!(device = ?device.id, words, "notices: rules that cannot be read");
            NotifyRules::default()
        }
    }
}

// mission: M4a
fn judge(rules: &NotifyRules, one: &MailNews, local: Option<LocalTime>, say: Option<Say<'_>>) -> Verdict {
    // mission: P8
    if one.kind == Kind::Arrived && one.handled {
        return Verdict::Silent { because: "handled".into() };
    }
    let facts = MailFacts::new(&*one.folder, &*one.from, &*one.subject, one.size, Vec::<String>::new());
    let verdict = rules.judge(kind(&one.kind), &facts, matches!(one.id, Known::Luid(_)), local);
    match (verdict, say) {
        (Verdict::Now, Some(Say::Hint(_))) => Verdict::Hint,
        (Verdict::Now | Verdict::Later { .. }, Some(Say::Until(at))) => Verdict::Until(at),
        (Verdict::Now | Verdict::Later { .. }, Some(Say::Nothing)) => {
            Verdict::Silent { because: "policy".into() }
        }
        (verdict, _) => verdict,
    }
}

fn kind(kind: &Kind) -> EventKind {
    match kind {
        Kind::Arrived => EventKind::Arrived,
        Kind::Deleted => EventKind::Deleted,
        _ => EventKind::StateChanged,
    }
}

fn can_be_sent(made: Result<Bytes, NotifyError>) -> Option<Bytes> {
    made.map_err(
        |error| tracing::warn!(%error, "notices: none can be sent; see server_name in the configuration"),
    )
    .ok()
}

/// The wall clock of the device's user.
fn local_time(device: &Device) -> Option<LocalTime> {
    let zone = Zones::bundled().zone(&ZoneName::new(device.zone.as_deref()?).ok()?).ok()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (shown, _) = shown_at(UnixTime::EPOCH.after(since), &zone).ok()?;
    let day = u16::try_from(shown.weekday().to_monday_zero_offset()).ok()?;
    LocalTime::new(day, u16::try_from(shown.hour()).ok()?, u16::try_from(shown.minute()).ok()?).ok()
}
