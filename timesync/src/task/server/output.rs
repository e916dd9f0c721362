//! What the engine puts out.

use crate::instant::UnixTime;
use crate::task::model::{ClientId, Setter, TaskUid, UserId};
use crate::task::record::Occurrence;
use crate::task::rights::RightsRefusal;

/// What the host must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOutput {
    /// Store this plan's record, or delete it when there is none any more; the body of the task may go with it.
    Changed {
        /// Whose.
        owner: UserId,
        /// Which.
        uid: TaskUid,
    },
    /// Give this client a sleeping copy.
    Deliver {
        /// Whose.
        owner: UserId,
        /// To which of the owner's clients.
        to: ClientId,
        /// Which.
        uid: TaskUid,
        /// Which version.
        sequence: u32,
    },
    /// Tell this client to show it at its moment. Send the task along: its copy may not have arrived.
    Fire {
        /// Which client.
        to: ClientId,
        /// Which occurrence.
        occurrence: Occurrence,
        /// The lease's epoch.
        epoch: u32,
        /// Report until then.
        lease_until: UnixTime,
    },
    /// Tell this client that it is over: shown elsewhere, cancelled or replaced.
    Withdraw {
        /// Which client.
        to: ClientId,
        /// Which occurrence.
        occurrence: Occurrence,
    },
    /// Something happened.
    Event(TaskEvent),
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// Shown, for the first time.
    Executed {
        /// Which.
        occurrence: Occurrence,
        /// By whom.
        by: ClientId,
        /// How late, nanoseconds.
        late: i64,
    },
    /// Shown on more than one device.
    Duplicate {
        /// Which.
        occurrence: Occurrence,
        /// On how many.
        devices: usize,
    },
    /// A client let its lease run out.
    LeaseExpired {
        /// Which occurrence.
        occurrence: Occurrence,
        /// Which client.
        by: ClientId,
        /// Which epoch.
        epoch: u32,
    },
    /// No client could be reached before the policy let it go.
    Missed {
        /// Which.
        occurrence: Occurrence,
    },
    /// The setter has lost the right since; the task was dropped. Tell the setter.
    RightsLost {
        /// Whose task.
        owner: UserId,
        /// Which.
        uid: TaskUid,
        /// Who had set it.
        setter: Setter,
        /// Why.
        refusal: RightsRefusal,
    },
}
