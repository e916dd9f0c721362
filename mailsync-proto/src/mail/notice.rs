//! A notice as it leaves: which form of an event a bearer carries, and where is kept what is under way.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::event::MailEvent;
use crate::sync::Mode;
use crate::sync::server::Config;
use crate::sync::server::notify::{Notice, NotifyError};
use crate::sync::slot::Slot;
use crate::sync::store::{Read, Value};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;

/// The datastore, of no session, that keeps what is under way to each device.
pub const DATASTORE: &str = "notices";
/// Octets of a notice, at most: one datagram that no network on the way cuts.
pub const DATAGRAM: usize = 1200;
/// The same where octets are paid for: two short messages with their headers.
pub const SHORT: usize = 240;

/// The slot of what is under way to a device.
///
/// # Errors
/// [`Missing`]: the row was asked for.
pub fn slot(reader: &mut Reader<'_>, user: &str, device: &str) -> Result<Slot, Missing> {
    Slot::read(reader, user, DATASTORE, device)
}

/// Package #0 for a device: asks for a sync of one datastore, and says what happened as fully as `room` octets allow, with
/// ids, with counts, or not at all. None where the device is unknown, or nothing fits.
///
/// # Errors
/// [`Missing`]: rows were asked for.
// mission: M4e
pub fn package(
    config: &Config,
    reader: &mut Reader<'_>,
    (user, device): (&str, &str),
    (session, datastore): (u16, &str),
    event: &MailEvent,
    room: usize,
) -> Result<Option<Result<Bytes, NotifyError>>, Missing> {
    let Value::Device(Some(row)) = reader.read(Read::Device(user.into(), device.into()))? else {
        return Ok(None);
    };
    let notice = match Notice::new(config, row, session, &[(datastore, Mode::TwoWay)]) {
        Ok(notice) => notice,
        Err(error) => return Ok(Some(Err(error))),
    };
    let forms = [event.to_xml(), event.without_ids().to_xml(), Bytes::new()];
    let packages = forms.into_iter().filter_map(|form| notice.clone().with_vendor(form).binary().ok());
    Ok(packages.into_iter().find(|octets| octets.len() <= room).map(Ok))
}
