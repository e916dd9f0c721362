//! The rows of a user's pushes: read and written by effects, decided on in `pushpolicy`.

use crate::bearers::Place;
use crate::store::SqliteStore;
use crate::turns::{self, Failure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::device::{self, Device};
use mailsync_proto::mail::news::{self, Looks};
use mailsync_proto::mail::policy;
use mailsync_proto::sync::devinf;
use mailsync_proto::sync::slot::Slot;
use mailsync_proto::sync::store::{Cursor, PeerKey, Read, StoreKey, Value, Write};
use mailsync_proto::sync::turn::{Missing, Reader};
use pushpolicy::dispatch::{Patience, PushState, World};
use pushpolicy::sent::Delivery;
use pushpolicy::{
    Bearer, CompiledPolicy, Limits, MailFacts, Millis, Now, Record, Route, RoutePower, Snapshot, Standing,
    StoredPolicy, Terminal, TerminalId, TerminalKind,
};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The datastore, of no session, that keeps what is under way.
const DATASTORE: &str = "push";
/// Mails looked at in one go.
const MAILS: u32 = 64;
/// Decisions that are kept with everything they were made from, each in a slot of its own; the newest takes the oldest's.
const RECORDS: u64 = 64;
/// Devices of one user that are looked at.
const DEVICES: u32 = 200;

/// The policy judge of sessions: the same function as everywhere.
// mission: P5
pub(crate) fn judge(in_force: Option<&[u8]>, wanted: &[u8], now: u64) -> Result<Bytes, String> {
    let now = Millis(now.saturating_mul(1_000));
    let next = StoredPolicy::accept(in_force, wanted, now, &Limits::default());
    let next = next.map_err(|error| error.to_string())?;
    serde_json::to_vec(&next).map(Bytes::from).map_err(|error| error.to_string())
}

/// Sets a user's policy, from a command line or a web page.
// mission: P5
pub(crate) fn set_policy(store: &SqliteStore, user: &str, wanted: &[u8]) -> Result<StoredPolicy, String> {
    turns::effect::<_, Failure>(store, |reader| {
        let mut run = || {
            let before = policy::current(reader, user)?;
            Ok(match judge(before.as_deref(), wanted, turns::unix_now()) {
                Ok(next) => (Ok(next.clone()), vec![policy::put(reader, user, next)?]),
                Err(error) => (Err(error), Vec::new()),
            })
        };
        Ok(run())
    })
    .map_err(|error| error.to_string())?
    .and_then(|next| StoredPolicy::from_json(&next).map_err(|error| error.to_string()))
}

/// The policy in force; none: nobody has set one.
pub(crate) fn get_policy(store: &SqliteStore, user: &str) -> Result<Option<StoredPolicy>, String> {
    let found = turns::effect::<_, Failure>(store, |reader| {
        Ok(policy::current(reader, user).map(|object| (object, Vec::new())))
    });
    let found = found.map_err(|error| error.to_string())?;
    found.map(|object| StoredPolicy::from_json(&object).map_err(|error| error.to_string())).transpose()
}

/// What works towards terminals.
pub(crate) trait Reach {
    /// Whether there is an engine for it, and it may be sent there.
    fn works(&self, device: &str, route: &Route) -> bool;
}

/// A device as a policy sees it; none if its id is none for a terminal.
pub(crate) fn terminal(device: &Device, reach: &dyn Reach) -> Option<Terminal> {
    let id = TerminalId::new(&*device.id).ok()?;
    let kind = device.kind.as_deref().and_then(TerminalKind::parse).unwrap_or(TerminalKind::Other);
    let mut terminal = Terminal::new(id, kind);
    let power = if device.wake.is_some() { RoutePower::Wake } else { RoutePower::On };
    let listens = device.listen.iter().filter_map(|place| Place::parse(place).ok());
    let listens = listens.map(|place| Route::new(place.bearer(), place.target()).needs(power));
    let said = device.routes.iter().filter_map(|route| route.parse().ok());
    terminal.routes = listens.chain(said).take(Limits::default().routes).collect();
    for route in &mut terminal.routes {
        route.up = reach.works(&device.id, route);
    }
    Some(terminal)
}

/// What a look at a user came to.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Devices that are to be asked for a report.
    pub(crate) ask: Vec<TerminalId>,
    /// When to look again.
    pub(crate) next: Option<Millis>,
    /// What was decided.
    pub(crate) records: Vec<(Guid, Box<Record>)>,
    /// Reports that were not taken, in words.
    pub(crate) refused: Vec<String>,
}

/// What became of a push.
#[derive(Clone, Debug)]
pub(crate) struct Became {
    pub(crate) device: Box<str>,
    pub(crate) bearer: Bearer,
    pub(crate) address: String,
    pub(crate) outcome: Delivery,
}

/// Takes reports, finds what came, decides what is to be decided: one commit.
pub(crate) fn settle(
    store: &SqliteStore,
    user: &str,
    devices: &[Device],
    reach: &dyn Reach,
    (became, now, patience): (&[Became], Now, &Patience),
) -> Result<Settling, Failure> {
    turns::effect(store, |reader| Ok(settle_in(reader, user, devices, reach, (became, now, patience))))
}

fn settle_in(
    reader: &mut Reader<'_>,
    user: &str,
    devices: &[Device],
    reach: &dyn Reach,
    (became, now, patience): (&[Became], Now, &Patience),
) -> Result<(Settling, Vec<Write>), Missing> {
    let (slot, before) = read(reader, user)?;
    let mut state = before.clone();
    let mut settling = Settling::default();
    let limits = Limits::default();
    let terminals = registered(reader, user, devices, reach)?;
    for one in devices {
        let (Some(report), Ok(id)) = (&one.report, TerminalId::new(&*one.id)) else { continue };
        // A lost or sold one is not heard.
        if !terminals.iter().any(|known| known.id == id && known.standing == Standing::Active) {
            continue;
        }
        if let Err(error) = state.hear(now.at, &id, report.as_bytes(), &limits) {
            settling.refused.push(format!("{}: {error}", one.id));
        }
    }
    for one in became {
        if let Ok(id) = TerminalId::new(&*one.device) {
            state.sent(now.at, &id, (one.bearer, &one.address), one.outcome, patience);
        }
    }
    let mut writes = Vec::new();
    match in_force(reader, user)? {
        None => state.known = 0,
        Some((revision, policy, compiled)) => {
            arrive(reader, user, &mut state, now.at)?;
            let Ok(snapshot) = state.snapshot(now.at, terminals.clone(), &limits) else {
                return Ok((settling, writes));
            };
            let world =
                World { now, policy: &policy, compiled: &compiled, revision, snapshot: &snapshot, patience };
            let open: Vec<String> = state.open().map(str::to_owned).collect();
            let mut missing = false;
            for mail in open {
                let guid = Guid::unvalidated(mail.as_str());
                match one(reader, user, (&guid, &mail), &mut state, &world) {
                    Ok(None) => {}
                    Ok(Some(settled)) => {
                        settling.ask.extend(settled.ask);
                        settling.next = [settling.next, settled.next].into_iter().flatten().min();
                        if let Some(record) = settled.record {
                            match keep(reader, user, state.decided, (&guid, &record)) {
                                Ok(write) => writes.push(write),
                                Err(Missing) => missing = true,
                            }
                            settling.records.push((guid, record));
                        }
                    }
                    Err(Missing) => missing = true,
                }
            }
            if missing {
                return Err(Missing);
            }
        }
    }
    settling.ask.sort();
    settling.ask.dedup();
    state.forget(now.at, &terminals, patience);
    if state != before {
        writes.push(put(&slot, &state));
    }
    Ok((settling, writes))
}

/// Mails that came since the last look; when a policy is new, none.
fn arrive(reader: &mut Reader<'_>, user: &str, state: &mut PushState, now: Millis) -> Result<(), Missing> {
    if state.known == 0 {
        let store = StoreKey { user: user.into(), datastore: "mail".into() };
        if let Value::Rev(head) = reader.read(Read::Head(store))? {
            state.known = *head;
        }
        return Ok(());
    }
    let (upto, arrived) = news::arrivals(reader, user, state.known, MAILS)?;
    for mail in arrived.iter().filter(|mail| !mail.handled) {
        state.arrived(now, mail.guid.as_str());
    }
    state.known = upto;
    Ok(())
}

fn one(
    reader: &mut Reader<'_>,
    user: &str,
    (guid, mail): (&Guid, &str),
    state: &mut PushState,
    world: &World<'_>,
) -> Result<Option<pushpolicy::dispatch::Settled>, Missing> {
    // mission: P8
    if news::is_over(reader, user, guid)? {
        state.over(mail);
        return Ok(None);
    }
    state.settle(mail, world, || Ok(facts(news::looks(reader, user, guid)?.unwrap_or_default()))).map(Some)
}

fn facts(looks: Looks) -> MailFacts {
    MailFacts::new(looks.folder, looks.from, looks.subject, looks.size, looks.parts)
}

/// The user's terminals; who may not log in is registered no more.
fn registered(
    reader: &mut Reader<'_>,
    user: &str,
    devices: &[Device],
    reach: &dyn Reach,
) -> Result<Vec<Terminal>, Missing> {
    let mut terminals = Vec::new();
    for device in devices {
        let Some(mut terminal) = terminal(device, reach) else { continue };
        let login = reader.read(Read::Login { user: user.into(), device: device.id.clone() })?;
        match login {
            Value::Login(Some(login)) if !login.revoked => {
                let said = login.device.devinf.as_ref().and_then(devinf::from_bytes);
                if let (None, Some(said)) = (&device.kind, said) {
                    terminal.kind = TerminalKind::of_dev_typ(&said.dev_typ);
                }
            }
            _ => terminal.standing = Standing::Unregistered,
        }
        terminals.push(terminal);
    }
    terminals.truncate(Limits::MAX_TERMINALS);
    Ok(terminals)
}

/// The user's state, and where it is kept.
pub(crate) fn read(reader: &mut Reader<'_>, user: &str) -> Result<(Slot, PushState), Missing> {
    let slot = Slot::read(reader, user, DATASTORE, "state")?;
    let state = slot.value().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    Ok((slot, state))
}

/// The write that keeps the state.
pub(crate) fn put(slot: &Slot, state: &PushState) -> Write {
    slot.put(&serde_json::to_vec(state).unwrap_or_default())
}

/// Whether a policy is in force.
pub(crate) fn has_policy(reader: &mut Reader<'_>, user: &str) -> Result<bool, Missing> {
    Ok(policy::current(reader, user)?.is_some())
}

type InForce = (u64, pushpolicy::Policy, CompiledPolicy);

fn in_force(reader: &mut Reader<'_>, user: &str) -> Result<Option<InForce>, Missing> {
    let Some(object) = policy::current(reader, user)? else { return Ok(None) };
    let read = StoredPolicy::from_json(&object).and_then(|stored| {
        let compiled = stored.policy.compile(&Limits::default())?;
        Ok((stored.revision, stored.policy, compiled))
    });
    Ok(read.inspect_err(|error| tracing::error!(user, %error, "push: a policy that cannot be read")).ok())
}

/// A decision as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The mail's id in its store.
    pub(crate) mail: String,
    /// The decision.
    pub(crate) record: Record,
}

fn record_slot(number: u64) -> String {
    format!("record-{number}")
}

fn keep(
    reader: &mut Reader<'_>,
    user: &str,
    number: u64,
    (guid, record): (&Guid, &Record),
) -> Result<Write, Missing> {
    let slot = Slot::read(reader, user, DATASTORE, &record_slot(number % RECORDS))?;
    let kept = Kept { mail: guid.as_str().to_owned(), record: record.clone() };
    Ok(slot.put(&serde_json::to_vec(&kept).unwrap_or_default()))
}

/// The decisions that are kept of a user.
pub(crate) fn records(store: &SqliteStore, user: &str) -> Result<Vec<Kept>, Failure> {
    turns::effect(store, |reader| {
        let (mut kept, mut missing) = (Vec::new(), false);
        for number in 0..RECORDS {
            match Slot::read(reader, user, DATASTORE, &record_slot(number)) {
                Ok(slot) => {
                    kept.extend(slot.value().and_then(|json| serde_json::from_slice::<Kept>(json).ok()));
                }
                Err(Missing) => missing = true,
            }
        }
        Ok(if missing { Err(Missing) } else { Ok((kept, Vec::new())) })
    })
}

/// A decision on a mail as things are now; none when there is no such mail, or no policy.
pub(crate) fn decide_now(
    store: &SqliteStore,
    user: &str,
    guid: &Guid,
    (reach, now): (&dyn Reach, Now),
) -> Result<Option<Record>, Failure> {
    turns::effect(store, |reader| {
        let mut run = || {
            let Some((revision, policy, _)) = in_force(reader, user)? else { return Ok((None, Vec::new())) };
            let Some(looks) = news::looks(reader, user, guid)? else { return Ok((None, Vec::new())) };
            let snapshot = snapshot(reader, user, reach, now.at)?;
            let record = snapshot
                .and_then(|snapshot| Record::make(revision, policy, snapshot, facts(looks), now).ok());
            Ok((record, Vec::new()))
        };
        Ok(run())
    })
}

/// The terminals of a user as they are known now.
pub(crate) fn snapshot(
    reader: &mut Reader<'_>,
    user: &str,
    reach: &dyn Reach,
    now: Millis,
) -> Result<Option<Snapshot>, Missing> {
    let devices = devices(reader, user)?;
    let terminals = registered(reader, user, &devices, reach)?;
    let (_, state) = read(reader, user)?;
    Ok(state.snapshot(now, terminals, &Limits::default()).ok())
}

fn devices(reader: &mut Reader<'_>, user: &str) -> Result<Vec<Device>, Missing> {
    let store = StoreKey { user: user.into(), datastore: device::DATASTORE.into() };
    let peer = PeerKey { store: store.clone(), device: "".into() };
    let Value::Rows(rows) = reader.read(Read::Live(peer, 0, Cursor::default(), DEVICES))? else {
        return Ok(Vec::new());
    };
    let (mut objects, mut missing) = (Vec::new(), false);
    for row in rows {
        match reader.read(Read::Body(store.clone(), row.item.guid.clone())) {
            Ok(Value::Body(Some(body))) => objects.push((row.item.rev, body.clone())),
            Ok(_) => {}
            Err(Missing) => missing = true,
        }
    }
    if missing { Err(Missing) } else { Ok(Device::registered(objects)) }
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().into()
}
