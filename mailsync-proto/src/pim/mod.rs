//! Contacts, tasks and calendar: text objects of vCard 2.1, 3.0 and 4.0, vCalendar 1.0 and iCalendar 2.0.
//!
//! An object is stored as it came. What two stores compare in a slow sync is its content: folding, the order of
//! properties, letter case of names, charset and transfer encoding, escaping, and what every program writes anew
//! (`PRODID`, `REV`, `DTSTAMP`, ...) do not count. A peer that takes only another version of a format gets the object
//! in that version.

mod canon;
mod collection;
mod convert;
mod line;
mod profile;

pub use canon::{CONTENT_LIMIT, content_key};
pub use collection::PimCollection;
pub use convert::convert;
pub use line::{Line, Param};
pub use profile::{Format, Profile};
