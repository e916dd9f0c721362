//! `./requests`: tasks that a person sets for others, as iTIP. They go into the other's own datastore, if that one's groups
//! allow it; the answer is the status, and later a reply in the item's place.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{group, guid_of};
use crate::pim::{PimCollection, Profile};
use crate::sync::StoreConfig;
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described, match_key,
};
use crate::sync::store::{Item, ItemValue, MatchKey, Read, StoreKey, Value, Write};
use bytes::Bytes;
use idmap::Guid;
use std::sync::Arc;
use syncml::{CtType, DataStore, StatusCode, Version};
use timesync::UnixTime;
use timesync::task::ical::itip::{self, Method};
use timesync::task::ical::{self, IcalRefusal};
use timesync::task::{ClientId, Kind, Setter, Task, TaskLimits, TaskRefusal, TaskUid, UserId};

/// The datastore's name.
pub const DATASTORE: &str = "requests";
/// Media type of its items.
pub const MEDIA_TYPE: &str = "text/calendar";

/// By what the request of a task is found in its setter's datastore.
pub fn request_key(uid: &TaskUid) -> MatchKey {
    match_key(&[b"request", uid.as_str().as_bytes()])
}

/// Where in its owner's datastores a task is: the datastore, and the id that it has if somebody else set it.
pub fn place_of(task: &Task) -> (&'static str, Guid) {
    let profile = if task.kind == Kind::Shopping { Profile::Tasks } else { Profile::Calendar };
    (profile.name(), guid_of("task", task.uid.as_str()))
}

/// `./requests`.
// mission: T4
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCollection;

impl RequestCollection {
    /// The datastore.
    pub fn store() -> StoreConfig {
        StoreConfig::new(DATASTORE, Arc::new(RequestCollection))
    }

    /// What a request does in its owner's datastore.
    fn effects(&self, cx: &mut Context<'_, '_>, method: Method, task: &Task) -> Result<Vec<Write>, Stop> {
        let (datastore, guid) = place_of(task);
        let store = StoreKey { user: task.owner.as_str().into(), datastore: datastore.into() };
        let reader = cx.reader();
        let groups = group::of_person(reader, &task.owner)?;
        let Value::Item(item) = reader.read(Read::Item(store.clone(), guid.clone()))? else {
            return Ok(Vec::new());
        };
        let body = match reader.read(Read::Body(store.clone(), guid.clone()))? {
            Value::Body(Some(body)) => Some(body.clone()),
            _ => None,
        };
        let known = body.as_ref().and_then(|body| {
            let text = core::str::from_utf8(body).ok()?;
            ical::read_entry(text, &task.owner, &task.setter).ok()
        });
        if let Some(other) = known.as_ref().and_then(|known| known.claims.as_ref())
            && other.user != task.setter.user
        {
            return Err(forbidden(&timesync::task::RightsRefusal::NotSetter));
        }
        let live = item.as_ref().filter(|item| !item.deleted);
        match (method, live) {
            (Method::Cancel, Some(item)) => Ok(vec![Write::DeleteItem { store, guid, expect: item.rev }]),
            (Method::Cancel, None) => Ok(Vec::new()),
            _ => {
                groups.check(task).map_err(|refusal| forbidden(&refusal))?;
                let text = Bytes::from(ical::write(task));
                if body.as_ref() == Some(&text) {
                    return Ok(Vec::new());
                }
                let sequence = known.map(|known| known.task.sequence);
                if sequence.is_some_and(|sequence| sequence >= task.sequence) {
                    let refusal = TaskRefusal::OldSequence { known: sequence.unwrap_or_default() };
                    return Err(Stop::Refuse(StatusCode::CONFLICT, refusal.to_string()));
                }
                // It was deleted, by its owner or by whom it is from: it does not come back under its name.
                if live.is_none() && item.is_some() {
                    return Err(Stop::Refuse(StatusCode::GONE, TaskRefusal::Gone.to_string()));
                }
                let profile =
                    if datastore == Profile::Tasks.name() { Profile::Tasks } else { Profile::Calendar };
                let value = PimCollection::new(profile).value(&text);
                let expect = item.as_ref().map(|item| item.rev);
                Ok(vec![Write::PutItem { store, guid, expect, value, body: Some(text) }])
            }
        }
    }
}

/// A request as it was sent by a client of a user.
fn read(data: &[u8], user: &str, device: &str) -> Result<itip::Itip, Stop> {
    let bad = |error: &dyn core::fmt::Display| Stop::Refuse(StatusCode::BAD_REQUEST, error.to_string());
    let text = core::str::from_utf8(data).map_err(|error| bad(&error))?;
    let user = UserId::new(user).map_err(|error| bad(&error))?;
    let client = ClientId::new(device).map_err(|error| bad(&error))?;
    let sent = itip::read(text, &Setter { user: user.clone(), client }).map_err(|refusal| match refusal {
        IcalRefusal::TooLarge => Stop::Refuse(StatusCode::TOO_LARGE, refusal.to_string()),
        refusal => bad(&refusal),
    })?;
    if sent.owner == user {
        return Err(bad(&"a task of one's own goes into ./tasks or ./calendar"));
    }
    Ok(sent)
}

fn forbidden(refusal: &timesync::task::RightsRefusal) -> Stop {
    Stop::Refuse(StatusCode::FORBIDDEN, refusal.to_string())
}

fn value(uid: &TaskUid) -> ItemValue {
    ItemValue { rank: 1, kind: MEDIA_TYPE.into(), match_keys: vec![request_key(uid)], ..ItemValue::default() }
}

impl Collection for RequestCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        described(source_ref, "Tasks for others", &[CtType::new(MEDIA_TYPE, "2.0")])
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, _projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let data = body.ok_or_else(|| Refusal { reason: "its text is not here".into() })?.clone();
        Ok(Wire { media_type: MEDIA_TYPE.into(), data })
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no calendar".into()));
        }
        let sent = read(incoming.data, cx.user, cx.device)?;
        let mut absorbed = Absorbed::new(value(&sent.task.uid));
        absorbed.body = Some(incoming.data.clone());
        if !incoming.server {
            return Ok(absorbed);
        }
        // threats: tasks: size and type limits where they enter
        TaskLimits::default().check(&sent.task).map_err(|refusal| match refusal {
            TaskRefusal::TooLarge { .. } => Stop::Refuse(StatusCode::TOO_LARGE, refusal.to_string()),
            refusal => Stop::Refuse(StatusCode::BAD_REQUEST, refusal.to_string()),
        })?;
        // A reply of the server that a slow sync names again sets nothing.
        if sent.method != Method::Reply {
            match self.effects(cx, sent.method, &sent.task) {
                Ok(effects) => absorbed.effects = effects,
                // Refused by rights: the answer takes the place of what was asked, for all of the sender's clients.
                Err(Stop::Refuse(StatusCode::FORBIDDEN, words)) => {
                    let (answer, now) = (itip::Answer::Declined(words), i64::try_from(cx.now));
                    let now = UnixTime::from_secs(now.unwrap_or(0));
                    let reply = itip::write(&sent.task, Method::Reply, Some(&answer), now);
                    absorbed.body = Some(reply.into());
                    absorbed.tell_back = true;
                }
                Err(other) => return Err(other),
            }
        } else {
            absorbed.unless_matched =
                Some((StatusCode::NOT_ALLOWED, "only who was asked replies".to_owned()));
        }
        Ok(absorbed)
    }

    fn removed(&self, cx: &mut Context<'_, '_>, item: &Item, server: bool) -> Result<Vec<Write>, Stop> {
        if !server {
            return Ok(Vec::new());
        }
        let Some(body) = cx.body(&item.guid)? else { return Ok(Vec::new()) };
        let device = cx.device.to_owned();
        // Whatever it is, it may go; what it set goes with it if it still waits.
        let Ok(sent) = read(&body, cx.user, if device.is_empty() { "-" } else { &device }) else {
            return Ok(Vec::new());
        };
        if matches!(sent.answer, Some(itip::Answer::Completed | itip::Answer::Declined(_))) {
            return Ok(Vec::new());
        }
        match self.effects(cx, Method::Cancel, &sent.task) {
            Err(Stop::Refuse(..)) => Ok(Vec::new()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::store::Found;
    use crate::sync::turn::Reader;
    use crate::tasks::group::FriendGroup;
    use timesync::task::{Level, Rights, TaskWhen};

    fn task(owner: &str) -> Task {
        let setter = Setter { user: UserId::new("ana").unwrap(), client: ClientId::new("phone").unwrap() };
        let when = TaskWhen::Instant(UnixTime::from_secs(1_895_334_400));
        let mut task = Task::alarm(TaskUid::new("u1").unwrap(), setter, "Call", when);
        task.owner = UserId::new(owner).unwrap();
        task
    }

    /// What comes of a request of ana's for ben, whose groups are these; `there`: what is stored already.
    fn absorb(text: &str, groups: &[FriendGroup], there: Option<&Task>) -> Result<Absorbed, Stop> {
        let key = StoreKey { user: "ana".into(), datastore: DATASTORE.into() };
        let mut found = Found::default();
        let bens = StoreKey { user: "ben".into(), datastore: group::DATASTORE.into() };
        let mut items = Vec::new();
        let item = |guid: &Guid, value: ItemValue| Item {
            guid: guid.clone(),
            rev: 7,
            body_rev: 7,
            deleted: false,
            value,
            size: 1,
        };
        for (n, object) in groups.iter().enumerate() {
            let guid = Guid::unvalidated(format!("g{n}"));
            items.push(item(&guid, ItemValue::default()));
            found.insert(Read::Body(bens.clone(), guid), Value::Body(Some(object.to_xml())));
        }
        found.insert(Read::Children(bens, Guid::unvalidated("groups"), 64), Value::Items(items));
        let (datastore, guid) = place_of(&task("ben"));
        let store = StoreKey { user: "ben".into(), datastore: datastore.into() };
        let stored = there.map(|_| item(&guid, ItemValue::default()));
        found.insert(Read::Item(store.clone(), guid.clone()), Value::Item(stored));
        let body = there.map(|task| Bytes::from(ical::write(task)));
        found.insert(Read::Body(store, guid), Value::Body(body));
        let (own, data) = (Guid::unvalidated("r1"), Bytes::from(text.to_owned()));
        let mut reader = Reader::new(&found);
        let mut cx = Context::new(&key, "ana", 0, &mut reader).of_device("phone");
        RequestCollection.absorb(&mut cx, &Incoming::new(MEDIA_TYPE, &data, &own, true))
    }

    fn friends(kinds: &[Kind]) -> FriendGroup {
        let mut group = FriendGroup::new("friends");
        group.level = Some(Level::new(3).unwrap());
        group.rights = Rights { kinds: kinds.iter().copied().collect(), extras: [].into() };
        group.members = [UserId::new("ana").unwrap()].into();
        group
    }

    fn request(task: &Task, method: Method) -> String {
        itip::write(task, method, None, UnixTime::EPOCH)
    }

    fn refused(result: Result<Absorbed, Stop>) -> (u16, String) {
        match result {
            Err(Stop::Refuse(code, words)) => (code.0, words),
            other => panic!("{other:?}"),
        }
    }

    /// The words with which a request was declined.
    fn declined(result: Result<Absorbed, Stop>) -> String {
        let absorbed = result.unwrap();
        assert!(absorbed.effects.is_empty() && absorbed.tell_back);
        let text = String::from_utf8(absorbed.body.unwrap().to_vec()).unwrap();
        match itip::read(&text, &task("ben").setter).unwrap().answer {
            Some(itip::Answer::Declined(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    // mission: T4, T7
    #[test]
    fn a_friend_with_the_right_reaches_the_others_calendar_and_nobody_else_does() {
        let text = request(&task("ben"), Method::Request);
        let absorbed = absorb(&text, &[friends(&[Kind::Alarm])], None).unwrap();
        let [Write::PutItem { store, body: Some(body), expect: None, .. }] = &absorbed.effects[..] else {
            panic!("{absorbed:?}")
        };
        assert_eq!((&*store.user, &*store.datastore), ("ben", "calendar"));
        let entry =
            ical::read_entry(core::str::from_utf8(body).unwrap(), &task("ben").owner, &task("ben").setter);
        assert_eq!(entry.unwrap().claims.unwrap(), task("ben").setter);
        assert!(declined(absorb(&text, &[], None)).contains("none of the owner's groups"));
        assert!(declined(absorb(&text, &[friends(&[Kind::Meeting])], None)).contains("may not set"));
        let mut nobody = friends(&[Kind::Alarm]);
        nobody.level = None;
        assert!(declined(absorb(&text, &[nobody], None)).contains("may not set"));
    }

    // mission: T7
    #[test]
    fn threat_tasks_the_setter_is_who_is_logged_in_whatever_the_text_says() {
        let mut forged = task("ben");
        forged.setter.user = UserId::new("bens-mother").unwrap();
        let absorbed = absorb(&request(&forged, Method::Request), &[friends(&[Kind::Alarm])], None).unwrap();
        let [Write::PutItem { body: Some(body), .. }] = &absorbed.effects[..] else { panic!("{absorbed:?}") };
        assert!(String::from_utf8_lossy(body).contains("X-TIMESYNC-SETTER:ana"));
        // Nobody changes or cancels what another has set.
        for method in [Method::Request, Method::Cancel] {
            let mut later = task("ben");
            later.sequence = 9;
            let result = absorb(&request(&later, method), &[friends(&[Kind::Alarm])], Some(&forged));
            assert!(declined(result).contains("only who set it"), "{method:?}");
        }
        assert_eq!(refused(absorb(&request(&task("ana"), Method::Request), &[], None)).0, 400);
    }

    #[test]
    fn threat_tasks_same_name_other_body_and_a_sequence_going_down() {
        let friends = [friends(&[Kind::Alarm])];
        let mut known = task("ben");
        known.sequence = 2;
        let same = absorb(&request(&known, Method::Request), &friends, Some(&known)).unwrap();
        assert_eq!(same.effects, []);
        for sequence in [0, 2] {
            let other = Task { sequence, summary: "Other".into(), ..known.clone() };
            assert_eq!(refused(absorb(&request(&other, Method::Request), &friends, Some(&known))).0, 409);
        }
        let newer = Task { sequence: 3, ..known.clone() };
        let absorbed = absorb(&request(&newer, Method::Request), &friends, Some(&known)).unwrap();
        assert!(matches!(absorbed.effects[..], [Write::PutItem { expect: Some(7), .. }]));
        let gone = absorb(&request(&known, Method::Cancel), &friends, Some(&known)).unwrap();
        assert!(matches!(gone.effects[..], [Write::DeleteItem { expect: 7, .. }]));
    }

    #[test]
    fn threat_tasks_requests_that_are_none_or_too_large() {
        let mut large = task("ben");
        large.text = "x".repeat(9 << 10);
        assert_eq!(refused(absorb(&request(&large, Method::Request), &[], None)).0, 413);
        for text in ["", "BEGIN:VCALENDAR\nEND:VCALENDAR\n", "\u{0}", "BEGIN:VCALENDAR"] {
            assert_eq!(refused(absorb(text, &[], None)).0, 400, "{text:?}");
        }
    }
}
