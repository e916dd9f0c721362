//! Time tasks: alarms, schedules, meetings and shopping reminders that reach their person.
//!
//! A task is set on one client, maybe for a friend, and must be shown at its moment on *some* client of its
//! owner: at least once, on the right one if it works, and not twice if that can be helped. Two engines share
//! the work, both without clock and IO:
//!
//! - [`TaskServer`] checks rights, delivers, and near the moment gives one client a *lease* with a rising
//!   *epoch*; a client that does not report in time loses the lease to the next.
//! - [`TaskClient`] holds copies that sleep: it shows a task when told to, or by itself some time after the
//!   moment when nobody told it anything, so that an unreachable server loses no alarm.
//!
//! An acknowledgement wins over everything; acknowledgements are a set, so repeating or reordering them changes
//! nothing. Exactly once does not exist over lossy links; what is promised is at least once, no more than once
//! per device, and a report of every duplicate.
//!
//! Moments inside the engines are true time. A terminal whose own clock deviates converts at its boundary, once:
//! [`crate::clock::ClientSide::alarm_at`].

mod client;
pub mod ical;
mod model;
mod plan;
mod record;
mod recur;
mod rights;
mod server;

pub use client::{ClientEvent, DirectReply, TaskClient, TaskClientConfig};
pub use model::{
    ClientId, Extra, ExtraData, ExtraKind, Kind, Setter, Targets, Task, TaskLimits, TaskRefusal, TaskUid,
    TaskWhen, UserId,
};
pub use plan::Plan;
pub use record::{Ack, AckKind, AckSet, Occurrence};
pub use recur::{Ends, Frequency, RecurRefusal, Rule, WeekdayRule};
pub use rights::{FriendGroups, Group, GroupChange, GroupSession, Held, Level, Rights, RightsRefusal};
pub use server::{TaskConfig, TaskEvent, TaskOutput, TaskServer};
