//! From a GUID to every device that holds the item.

use crate::{Entry, Guid, Luid, Record, View};
use std::collections::BTreeMap;

/// The maps of all devices of a user on one datastore, asked the other way round.
///
/// `D` names a device. A look-up takes a step per device (a user has few); a store with an index on
/// the GUID column needs none of this.
// mission: M7
#[derive(Clone, Debug)]
pub struct Holders<D> {
    devices: BTreeMap<D, Device>,
}

#[derive(Clone, Debug)]
struct Device {
    current: u32,
    view: View,
}

/// A device that holds an item.
#[derive(Debug, PartialEq, Eq)]
pub struct Holder<'a, D> {
    /// The device.
    pub device: &'a D,
    /// Its id of the item.
    pub luid: &'a Luid,
    /// What else is known: which revision it holds, in which form.
    pub entry: &'a Entry,
}

impl<D: Ord> Holders<D> {
    /// Takes in, or replaces, the map of a device and which of its generations is current.
    pub fn insert(&mut self, device: D, current: u32, view: View) {
        self.devices.insert(device, Device { current, view });
    }

    /// The device is gone.
    pub fn remove(&mut self, device: &D) {
        self.devices.remove(device);
    }

    /// Follows a row change of a device. [`Record::KeepOnly`] makes its generation the current one; so
    /// does the first record of a device that was not known.
    pub fn apply(&mut self, device: D, record: &Record) {
        let (Record::Put(Entry { generation, .. })
        | Record::Remove { generation, .. }
        | Record::KeepOnly { generation }) = record;
        let known = self
            .devices
            .entry(device)
            .or_insert_with(|| Device { current: *generation, view: View::default() });
        if matches!(record, Record::KeepOnly { .. }) {
            known.current = *generation;
        }
        known.view.apply(record);
    }

    /// The devices that have the item in their current generation, and under which LUID.
    ///
    /// Not those to which it is only offered; not what a slow sync still under way has matched.
    pub fn of<'a>(&'a self, guid: &'a Guid) -> impl Iterator<Item = Holder<'a, D>> {
        self.devices.iter().filter_map(move |(name, device)| {
            let entry = device.view.by_guid(device.current, guid)?;
            Some(Holder { device: name, luid: entry.luid()?, entry })
        })
    }
}

impl<D> Default for Holders<D> {
    fn default() -> Self {
        Self { devices: BTreeMap::new() }
    }
}
