//! One person's devices and a task server in a simulated world.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::appoint::Place;
use crate::instant::UnixTime;
use crate::task::{
    Ack, ClientEvent, ClientId, Occurrence, Setter, Task, TaskClient, TaskClientConfig, TaskConfig,
    TaskEvent, TaskOutput, TaskRefusal, TaskServer, TaskUid, UserId,
};
use crate::testkit::{Path, SimNetwork};
use crate::zones::Zones;

/// What a device does with what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Shows tasks and says so.
    Works,
    /// Is online and takes leases, but shows nothing: a crashed application, or a thief.
    Dead,
}

/// One showing of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which device.
    pub by: ClientId,
    /// Which occurrence.
    pub occurrence: Occurrence,
    /// When, true time.
    pub at: UnixTime,
    /// Nobody had told it to.
    pub alone: bool,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskReport {
    /// Everything shown, in order.
    pub shown: Vec<Shown>,
    /// Everything the server reported, in order.
    pub events: Vec<TaskEvent>,
}

#[derive(Debug)]
struct Device {
    id: ClientId,
    engine: TaskClient,
    behaviour: Behaviour,
    /// True times between which it has a connection.
    online: Vec<(UnixTime, UnixTime)>,
    was_online: bool,
    last_ping: Option<UnixTime>,
}

enum Message {
    Deliver(Task),
    Fire(Occurrence, u32, UnixTime, Option<Task>),
    Withdraw(Occurrence),
    Gone(TaskUid, u32),
    Confirm(Ack),
    Kept(TaskUid, bool),
    Ping,
    Feedback(Ack),
    Upload(Task),
}

/// The world: a server, one owner, several devices.
#[derive(Debug)]
pub struct TaskSim {
    /// True time.
    pub now: UnixTime,
    /// The server; set rights and tasks on it directly.
    pub server: TaskServer,
    owner: UserId,
    devices: Vec<Device>,
    path: Path,
    network: SimNetwork,
    wire: BTreeMap<(UnixTime, u64), (usize, Message)>,
    serial: u64,
    bodies: BTreeMap<TaskUid, Task>,
    zones: Zones,
    report: TaskReport,
}

impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Message::Deliver(_) => "Deliver",
            Message::Fire(..) => "Fire",
            Message::Withdraw(_) => "Withdraw",
            Message::Gone(..) => "Gone",
            Message::Confirm(_) => "Confirm",
            Message::Kept(..) => "Kept",
            Message::Ping => "Ping",
            Message::Feedback(_) => "Feedback",
            Message::Upload(_) => "Upload",
        })
    }
}

/// Devices say that they are there this often, and repeat unconfirmed feedback.
const PING: Duration = Duration::from_secs(20);

impl TaskSim {
    /// A world whose messages all take this path.
    #[must_use]
    pub fn new(now: UnixTime, owner: UserId, config: TaskConfig, path: Path, seed: [u8; 32]) -> Self {
        TaskSim {
            now,
            server: TaskServer::new(config),
            owner,
            devices: Vec::new(),
            path,
            network: SimNetwork::new(seed),
            wire: BTreeMap::new(),
            serial: 0,
            bodies: BTreeMap::new(),
            zones: Zones::new(TimeZoneDatabase::none(), "none"),
            report: TaskReport::default(),
        }
    }

    /// Adds a device of the owner that has a connection during these spans.
    pub fn device(&mut self, id: ClientId, behaviour: Behaviour, online: Vec<(UnixTime, UnixTime)>) {
        self.server.register(&self.owner, &id);
        let engine = TaskClient::new(TaskClientConfig::new(self.owner.clone(), id.clone()));
        self.devices.push(Device { id, engine, behaviour, online, was_online: false, last_ping: None });
    }

    /// Sets a task at the server.
    ///
    /// # Errors
    /// As [`TaskServer::set`].
    pub fn set(&mut self, sender: &Setter, task: Task) -> Result<bool, TaskRefusal> {
        let place = Place { zones: &self.zones, zone: &TimeZone::UTC };
        let new = self.server.set(self.now, sender, &task, place)?;
        self.bodies.insert(task.uid.clone(), task);
        self.drain_server();
        Ok(new)
    }

    /// The engine of a device.
    pub fn engine(&mut self, id: &ClientId) -> Option<&mut TaskClient> {
        self.devices.iter_mut().find(|device| device.id == *id).map(|device| &mut device.engine)
    }

    /// Runs until `end` in steps of at most a second and returns what happened since the start.
    pub fn run(&mut self, end: UnixTime) -> &TaskReport {
        while self.now < end {
            self.step();
            let next_message = self.wire.first_key_value().map_or(end, |((at, _), _)| *at);
            self.now = next_message.clamp(self.now.plus(1), self.now.after(Duration::from_secs(1))).min(end);
        }
        self.step();
        &self.report
    }

    fn step(&mut self) {
        let place_zones = self.zones.clone();
        let place = Place { zones: &place_zones, zone: &TimeZone::UTC };
        while self.wire.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
            let Some((_, (device, message))) = self.wire.pop_first() else { break };
            self.receive(device, message, place);
        }
        self.server.handle_timeout(self.now, place);
        self.drain_server();
        for index in 0..self.devices.len() {
            self.turn_device(index, place);
        }
    }

    fn turn_device(&mut self, index: usize, place: Place<'_>) {
        let now = self.now;
        let Some(device) = self.devices.get_mut(index) else { return };
        let online = device.online.iter().any(|(from, to)| *from <= now && now < *to);
        let mut out = Vec::new();
        let due_ping = device.last_ping.is_none_or(|last| now >= last.after(PING));
        if online && (due_ping || !device.was_online) {
            device.last_ping = Some(now);
            out.push(Message::Ping);
            if device.behaviour == Behaviour::Works {
                out.extend(device.engine.outbox().iter().cloned().map(Message::Feedback));
                out.extend(device.engine.uploads().cloned().map(Message::Upload));
            }
        }
        device.was_online = online;
        if device.behaviour == Behaviour::Works {
            device.engine.handle_timeout(now, place);
            while let Some(event) = device.engine.poll_event() {
                if let ClientEvent::Show { occurrence, alone, .. } = event {
                    let by = device.id.clone();
                    self.report.shown.push(Shown { by, occurrence, at: now, alone });
                    if online {
                        out.extend(device.engine.outbox().last().cloned().map(Message::Feedback));
                    }
                }
            }
        }
        for message in out {
            self.post(index, message);
        }
    }

    /// One message in either direction; lost when the device has no connection.
    fn post(&mut self, device: usize, message: Message) {
        let path = self.path;
        // A doubled datagram of the network is a repeated message here only for feedback.
        if let Some(delay) = self.network.send(&path).into_iter().next() {
            self.serial += 1;
            self.wire.insert((self.now.after(delay), self.serial), (device, message));
        }
    }

    fn receive(&mut self, index: usize, message: Message, place: Place<'_>) {
        let now = self.now;
        let Some(device) = self.devices.get_mut(index) else { return };
        let id = device.id.clone();
        let online = device.online.iter().any(|(from, to)| *from <= now && now < *to);
        let hears = online && device.behaviour == Behaviour::Works;
        match message {
            Message::Deliver(task) if hears => drop(device.engine.deliver(now, task, place)),
            Message::Fire(occurrence, epoch, until, body) if hears => {
                // The copy may have been lost on its way.
                drop(body.map(|task| device.engine.deliver(now, task, place)));
                device.engine.fire(now, &occurrence, epoch, until, place);
            }
            Message::Withdraw(occurrence) if hears => device.engine.withdraw(now, &occurrence, place),
            Message::Gone(uid, sequence) if hears => device.engine.cancel(now, &uid, sequence),
            Message::Confirm(ack) if hears => device.engine.confirmed(&ack),
            Message::Kept(uid, kept) if hears => device.engine.uploaded(now, &uid, kept),
            Message::Ping => {
                // What a synchronised store does: copies that are not there yet are sent again.
                let held: Vec<TaskUid> = device.engine.held().map(|(task, _)| task.uid.clone()).collect();
                self.server.presence(now, &self.owner, &id, true);
                let missing = |uid: &TaskUid| !held.contains(uid);
                let gone = |uid: &TaskUid| Some((uid.clone(), self.server.gone(&self.owner, uid)?.0));
                let gone: Vec<(TaskUid, u32)> = held.iter().filter_map(gone).collect();
                for (uid, sequence) in gone {
                    self.post(index, Message::Gone(uid, sequence));
                }
                if online {
                    let wanted: Vec<TaskUid> = self
                        .server
                        .held_for(&self.owner, &id)
                        .map(|(uid, _)| uid.clone())
                        .filter(missing)
                        .collect();
                    for task in
                        wanted.iter().filter_map(|uid| self.bodies.get(uid)).cloned().collect::<Vec<_>>()
                    {
                        self.post(index, Message::Deliver(task));
                    }
                }
            }
            Message::Feedback(ack) => {
                let taken = self.server.ack(now, &self.owner, &id, ack.clone(), place);
                if taken.is_ok() {
                    self.post(index, Message::Confirm(ack));
                }
            }
            Message::Upload(task) => {
                let sender = Setter { user: self.owner.clone(), client: id };
                let kept = self.server.set(now, &sender, &task, place).is_ok();
                let uid = task.uid.clone();
                if kept {
                    self.bodies.insert(uid.clone(), task);
                }
                self.post(index, Message::Kept(uid, kept));
            }
            _ => {}
        }
        self.drain_server();
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.server.poll_output() {
            let (to, message) = match output {
                TaskOutput::Deliver { to, uid, .. } => match self.bodies.get(&uid) {
                    Some(task) => (to, Message::Deliver(task.clone())),
                    None => continue,
                },
                TaskOutput::Fire { to, occurrence, epoch, lease_until } => {
                    let body = self.bodies.get(&occurrence.uid).cloned();
                    (to, Message::Fire(occurrence, epoch, lease_until, body))
                }
                TaskOutput::Withdraw { to, occurrence } => (to, Message::Withdraw(occurrence)),
                TaskOutput::Event(event) => {
                    self.report.events.push(event);
                    continue;
                }
                TaskOutput::Changed { .. } => continue,
            };
            if let Some(index) = self.devices.iter().position(|device| device.id == to) {
                self.post(index, message);
            }
        }
    }
}
