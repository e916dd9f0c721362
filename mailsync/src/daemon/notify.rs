//! The worker that tells devices which hold no session of what happened to their mail.
//!
//! What there is to tell the rows say ([`news`]), whether to tell it the device's rules ([`NotifyRules`]), and when
//! [`Delivery`]; this file reads, commits and sends.
// mission: M4c

use super::config::Network;
use super::serve::State;
use crate::bearers::{self, DATAGRAM, Place};
use crate::store::{NOTICES, Registered};
use crate::turns::{self, Failure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::device::Device;
use mailsync_proto::mail::event::{Kind, MailEvent};
use mailsync_proto::mail::news::{Known, MailNews, News, news};
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::server::notify::Notice;
use mailsync_proto::sync::store::{ItemValue, Read, StoreKey, Value, Write};
use mailsync_proto::sync::turn::{Missing, Reader};
use pushpolicy::notify::{Delivery, EventKind, Next, NotifyRules, Pace, Verdict, Waiting};
use pushpolicy::{LocalTime, MailFacts, Millis};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use timesync::UnixTime;
use timesync::civil::shown_at;
use timesync::zones::{ZoneName, Zones};

/// How often rows are looked at, whatever is said of them: other processes change them too.
const POLL: Duration = Duration::from_secs(1);
/// Milliseconds until a device is looked at again whose rows could not be read or written.
const LATER: u64 = 5_000;
/// The format of what is kept of a device.
const FORMAT: u8 = 1;

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
    fn reaches(&self, place: Place) -> bool {
        let ip = place.address().ip();
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
            let packages = look(&shared, &mut known);
            (known, packages)
        });
        let (book, packages) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "notices: a look died");
                (Book::default(), Ok(Vec::new()))
            }
        };
        known = book;
        match packages {
            Ok(packages) => packages.into_iter().for_each(Package::send),
            Err(failure) => tracing::error!(%failure, "notices"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(known.pause()) => {}
        }
    }
}

/// What was seen of each user: nothing is read again that did not change and is not due.
#[derive(Default)]
struct Book {
    users: HashMap<String, Seen>,
}

struct Seen {
    mail: u64,
    devices: u64,
    due: Option<Millis>,
}

impl Book {
    fn pause(&self) -> Duration {
        let now = millis();
        let due = self.users.values().filter_map(|seen| seen.due).min();
        due.map_or(POLL, |due| Duration::from_millis(due.since(now)).min(POLL))
    }
}

/// A notification on its way.
struct Package {
    user: String,
    device: String,
    places: Vec<Place>,
    octets: Bytes,
}

impl Package {
    fn send(self) {
        for place in self.places {
            let (user, device, octets) = (self.user.clone(), self.device.clone(), self.octets.clone());
            tokio::spawn(async move {
                match bearers::send(place, octets).await {
                    Ok(()) => tracing::info!(user, ?device, %place, "notification sent"),
                    Err(words) => {
                        tracing::info!(user, ?device, %place, words, "notification not sent: again later")
                    }
                }
            });
        }
    }
}

/// Looks at every user for whom something changed or is due.
fn look(state: &State, known: &mut Book) -> Result<Vec<Package>, Failure> {
    if !state.lead.is_ours() {
        return Ok(Vec::new());
    }
    let mut packages = Vec::new();
    let mut users = HashMap::new();
    for Registered { user, mail_rev, devices_rev } in state.store.registered()? {
        if let Some(old) = known.users.remove(&user)
            && (old.mail, old.devices) == (mail_rev, devices_rev)
            && old.due.is_none_or(|due| due > millis())
        {
            users.insert(user, old);
            continue;
        }
        let mut due = None;
        for device in Device::registered(state.store.registered_devices(&user)?) {
            let places = places(&state.notify, &device);
            if places.is_empty() {
                continue;
            }
            let (next, octets) = step(state, &user, &device).unwrap_or_else(|failure| {
                tracing::error!(user, device = ?device.id, %failure, "notices: later");
                (Some(millis().plus(LATER)), None)
            });
            due = [due, next].into_iter().flatten().min();
            if let Some(octets) = octets {
                packages.push(Package { user: user.clone(), device: device.id.to_string(), places, octets });
            }
        }
        users.insert(user, Seen { mail: mail_rev, devices: devices_rev, due });
    }
    known.users = users;
    Ok(packages)
}

pub(super) fn places(config: &Config, device: &Device) -> Vec<Place> {
    let places = device.listen.iter().filter_map(|text| Place::parse(text).ok());
    places.filter(|place| config.reaches(*place)).collect()
}

/// One device: what is kept of it changes in one transaction, and only then a notification may leave.
fn step(state: &State, user: &str, device: &Device) -> Result<(Option<Millis>, Option<Bytes>), Failure> {
    let rules = rules(device);
    let headers = rules.rules.iter().any(|rule| rule.sender.is_some() || rule.subject.is_some());
    let local = local_time(device);
    let [a, b, ..] = turns::moment()?.entropy;
    let fresh = u16::from_be_bytes([a, b]);
    turns::effect(&state.store, |reader| {
        let mut run = || -> Result<_, Missing> {
            let key = StoreKey { user: user.into(), datastore: NOTICES.into() };
            let guid = Guid::unvalidated(&*device.id);
            let (kept, row) = kept(reader, &key, &guid)?;
            let mut delivery = kept.clone();
            let now = (delivery.since(), turns::unix_now(), headers);
            let Some(News { upto, events, in_session, max_id, .. }) = news(reader, user, &device.id, now)?
            else {
                return Ok(((None, None), Vec::new()));
            };
            let judged: Vec<_> = events.iter().map(|one| (one.rev, judge(&rules, one, local))).collect();
            let waiting = Waiting { upto, events: &judged, in_session };
            let (due, octets) = match delivery.step(millis(), &waiting, fresh, &state.notify.pace) {
                Next::Send { session, events: told } => {
                    let told = told.iter().filter_map(|at| events.get(*at));
                    let event = MailEvent::fold(told, max_id);
                    let octets = package(state, reader, user, device, session, &event)?;
                    (Some(millis()), octets)
                }
                Next::At(due) => (Some(due), None),
                _ => (None, None),
            };
            let writes = if delivery == kept { Vec::new() } else { vec![keep(key, guid, row, &delivery)] };
            Ok(((due, octets), writes))
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
fn judge(rules: &NotifyRules, one: &MailNews, local: Option<LocalTime>) -> Verdict {
    let facts = MailFacts::new(&*one.folder, &*one.from, &*one.subject, one.size, Vec::<String>::new());
    rules.judge(kind(&one.kind), &facts, matches!(one.id, Known::Luid(_)), local)
}

fn kind(kind: &Kind) -> EventKind {
    match kind {
        Kind::Arrived => EventKind::Arrived,
        Kind::Deleted => EventKind::Deleted,
        Kind::Changed | Kind::Other(_) => EventKind::StateChanged,
    }
}

/// Package #0 of the notice, with what happened as far as it fits.
fn package(
    state: &State,
    reader: &mut Reader<'_>,
    user: &str,
    device: &Device,
    session: u16,
    event: &MailEvent,
) -> Result<Option<Bytes>, Missing> {
    let Value::Device(Some(row)) = reader.read(Read::Device(user.into(), device.id.clone()))? else {
        return Ok(None);
    };
    let notice = match Notice::new(&state.engine, row, session, &[("mail", Mode::TwoWay)]) {
        Ok(notice) => notice,
        Err(error) => {
            tracing::warn!(%error, "notices: none can be sent; see server_name in the configuration");
            return Ok(None);
        }
    };
    let forms = [event.to_xml(), event.without_ids().to_xml(), Bytes::new()];
    let packages = forms.into_iter().filter_map(|form| notice.clone().with_vendor(form).binary().ok());
    Ok(packages.into_iter().find(|octets| octets.len() <= DATAGRAM))
}

fn kept(reader: &mut Reader<'_>, key: &StoreKey, guid: &Guid) -> Result<(Delivery, Option<u64>), Missing> {
    let Value::Item(item) = reader.read(Read::Item(key.clone(), guid.clone()))? else {
        return Ok((Delivery::default(), None));
    };
    let row = item.as_ref().map(|item| item.rev);
    let fields = item.as_ref().filter(|item| !item.deleted).map(|item| &item.value.fields);
    let delivery = match fields.and_then(|fields| fields.split_first()) {
        // Of a newer program: what it told is told once more.
        Some((&FORMAT, json)) => serde_json::from_slice(json).unwrap_or_default(),
        _ => Delivery::default(),
    };
    Ok((delivery, row))
}

fn keep(store: StoreKey, guid: Guid, expect: Option<u64>, delivery: &Delivery) -> Write {
    let mut fields = vec![FORMAT];
    fields.extend(serde_json::to_vec(delivery).unwrap_or_default());
    let value = ItemValue { kind: "notice".into(), fields: fields.into(), ..ItemValue::default() };
    Write::PutItem { store, guid, expect, value, body: None }
}

/// The wall clock of the device's user.
fn local_time(device: &Device) -> Option<LocalTime> {
    let zone = Zones::bundled().zone(&ZoneName::new(device.zone.as_deref()?).ok()?).ok()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (shown, _) = shown_at(UnixTime::EPOCH.after(since), &zone).ok()?;
    let day = u16::try_from(shown.weekday().to_monday_zero_offset()).ok()?;
    LocalTime::new(day, u16::try_from(shown.hour()).ok()?, u16::try_from(shown.minute()).ok()?).ok()
}

fn millis() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().into()
}
