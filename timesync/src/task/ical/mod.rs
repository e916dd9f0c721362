//! Tasks as iCalendar: `VEVENT` for alarms, schedules and meetings, `VTODO` for shopping, one `VALARM` each.
//!
//! What iCalendar has is said that way; the rest goes into `X-TIMESYNC-*` properties that others ignore. Reading
//! is strict about what it uses and deaf to what it does not know; it never follows a link.
//! Between people a task travels as iTIP ([`itip`]).

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod alarm;
mod edit;
pub mod itip;
mod line;
mod read;
mod refusal;
mod write;

pub use edit::finished;
pub use read::{Entry, read, read_entry};
pub use refusal::{IcalRefusal, Problem};
pub use write::write;
