//! Anna with two devices, her friend ben, and carl, whom she does not know.
#![allow(unused_imports, reason = "each test file uses a part of it")]

pub(crate) use jiff::civil::date;
pub(crate) use jiff::tz::TimeZone;
pub(crate) use proptest::prelude::*;
pub(crate) use timesync::UnixTime;
pub(crate) use timesync::appoint::{AppointedZone, Appointment, Place};
pub(crate) use timesync::civil::Policy;
pub(crate) use timesync::starter::Missed;
pub(crate) use timesync::task::ical::{self, IcalRefusal, Problem};
pub(crate) use timesync::task::*;
pub(crate) use timesync::zones::{ZoneName, Zones};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

pub(crate) struct World {
    pub(crate) zones: Zones,
}

impl World {
    pub(crate) fn new() -> Self {
        World { zones: Zones::bundled() }
    }

    pub(crate) fn place(&self) -> Place<'_> {
        static UTC: TimeZone = TimeZone::UTC;
        Place { zones: &self.zones, zone: &UTC }
    }
}

pub(crate) fn at(seconds: i64) -> UnixTime {
    NOW.plus(seconds * SECOND)
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub(crate) fn setter(name: &str, device: &str) -> Setter {
    Setter { user: user(name), client: client(device) }
}

pub(crate) fn uid(name: &str) -> TaskUid {
    TaskUid::new(name).unwrap()
}

/// A task of `from` for anna, due in `due` seconds.
pub(crate) fn task_for_anna(from: &Setter, due: i64) -> Task {
    let mut task = Task::alarm(uid("t1"), from.clone(), "Call mother", TaskWhen::Instant(at(due)));
    task.owner = user("anna");
    task
}

pub(crate) fn family(members: &[&str], kinds: &[Kind]) -> FriendGroups {
    let mut groups = FriendGroups::new(user("anna"));
    let group = Group {
        level: Level::new(5).unwrap(),
        rights: Rights { kinds: kinds.iter().copied().collect(), extras: [ExtraKind::Audio].into() },
        members: members.iter().map(|name| user(name)).collect(),
    };
    groups.change(&owner_session(true), GroupChange::Put { name: "family".into(), group }).unwrap();
    groups
}

pub(crate) fn owner_session(knows_levels: bool) -> GroupSession {
    GroupSession { user: user("anna"), knows_levels }
}

/// Anna has a phone and a laptop; ben, her friend, may set alarms.
pub(crate) fn server() -> TaskServer {
    let mut server = TaskServer::new(TaskConfig::default());
    for device in ["phone", "laptop"] {
        server.register(&user("anna"), &client(device));
    }
    server.register(&user("ben"), &client("ben-phone"));
    server.set_groups(family(&["ben"], &[Kind::Alarm]));
    while server.poll_output().is_some() {}
    server
}

pub(crate) fn outputs(server: &mut TaskServer) -> Vec<TaskOutput> {
    std::iter::from_fn(|| server.poll_output()).collect()
}

pub(crate) fn fired(outputs: &[TaskOutput]) -> Vec<(String, u32)> {
    let fire = |output: &TaskOutput| match output {
        TaskOutput::Fire { to, epoch, .. } => Some((to.as_str().to_owned(), *epoch)),
        _ => None,
    };
    outputs.iter().filter_map(fire).collect()
}

pub(crate) fn delivered(outputs: &[TaskOutput]) -> Vec<String> {
    let deliver = |output: &TaskOutput| match output {
        TaskOutput::Deliver { to, .. } => Some(to.as_str().to_owned()),
        _ => None,
    };
    outputs.iter().filter_map(deliver).collect()
}

pub(crate) fn terminal(device: &str) -> TaskClient {
    TaskClient::new(TaskClientConfig::new(user("anna"), client(device)))
}

pub(crate) fn shown(terminal: &mut TaskClient) -> Vec<(UnixTime, i64)> {
    let show = |event| match event {
        ClientEvent::Show { occurrence, late, .. } => Some((occurrence.at, late / SECOND)),
        _ => None,
    };
    std::iter::from_fn(|| terminal.poll_event()).filter_map(show).collect()
}
