//! Device information: ours for a peer, and what we keep of a peer's.

use super::core::{StoreConfig, plain_name};
use super::device::DeviceQuirks;
use super::seal::{CIPHER, EXTENSION, Sealing};
use super::send::Caps;
use crate::stored;
use bytes::Bytes;
use syncml::{CtCap, CtCapEntry, DataStore, DevInf, FlatCtCap, Version};

/// What a DevInf says of a device, datastores aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Manufacturer.
    pub man: Box<str>,
    /// Model.
    pub model: Box<str>,
    /// Software version.
    pub swv: Box<str>,
    /// Device id.
    pub dev_id: Box<str>,
    /// `server`, `workstation`, `phone`, ...
    pub dev_typ: Box<str>,
}

/// The extension by which two of ours know that folders go in any version.
const FOLDERS: &str = "x-mailsync-folders";

/// Two-way, slow, one-way and refresh from the client, one-way and refresh from the server, server alerted.
const SYNC_TYPES: [u32; 7] = [1, 2, 3, 4, 5, 6, 7];

/// Our device information.
pub(crate) fn ours(
    identity: &Identity,
    stores: &[StoreConfig],
    version: Version,
    sealing: &Sealing,
) -> DevInf {
    let mut devinf = DevInf::new(version, &identity.dev_id, &identity.dev_typ);
    devinf.man = Some(identity.man.clone());
    devinf.model = Some(identity.model.clone());
    devinf.swv = Some(identity.swv.clone());
    devinf.utc = version >= Version::V1_1;
    devinf.support_large_objs = version >= Version::V1_1;
    devinf.support_number_of_changes = version >= Version::V1_1;
    for store in stores {
        let mut described = store.collection.devinf(&format!("./{}", store.name), version);
        // What the engine does, whatever the collection could.
        described.sync_cap.sync_types = SYNC_TYPES.to_vec();
        if version < Version::V1_2 {
            flatten(&mut devinf, core::mem::take(&mut described.ct_caps));
        }
        devinf.data_stores.push(described);
    }
    devinf.ext.push(syncml::Ext { xnam: FOLDERS.into(), xval: vec!["1".into()] });
    if !matches!(sealing, Sealing::Clear) {
        devinf.ext.push(syncml::Ext { xnam: EXTENSION.into(), xval: vec![CIPHER.into()] });
    }
    devinf.ext.extend(stores.iter().flat_map(|store| store.collection.extensions()));
    devinf
}

/// Capabilities as versions before 1.2 say them: flat, beside the datastores, each type once.
fn flatten(devinf: &mut DevInf, caps: Vec<CtCap>) {
    for cap in caps {
        let start = CtCapEntry::CtType(cap.ct_type.ct_type);
        if devinf.ct_caps.iter().any(|known| known.entries.first() == Some(&start)) {
            continue;
        }
        let mut entries = vec![start];
        for property in cap.properties {
            entries.push(CtCapEntry::PropName(property.prop_name));
            entries.extend(property.val_enum.into_iter().map(CtCapEntry::ValEnum));
            // A size belongs to a data type (spec: DevInf facts §5.1).
            entries.extend(property.data_type.map(CtCapEntry::DataType));
        }
        devinf.ct_caps.push(FlatCtCap { entries });
    }
}

const FORMAT: u8 = 1;

pub(crate) fn to_bytes(devinf: &DevInf) -> Option<Bytes> {
    stored::to_bytes(FORMAT, devinf).ok()
}

/// What is kept of a device's DevInf ([`Device::devinf`](super::store::Device::devinf)); none if a newer program wrote it.
pub fn from_bytes(bytes: &Bytes) -> Option<DevInf> {
    stored::from_bytes(FORMAT, bytes).ok()
}

/// Without what only those can read who say it themselves; single fields are taken all the same.
// quirk: SyncEvolution 2.0's client (libsynthesis 3.4) refuses a DevInf with FieldLevel in a CTCap (400), and ends the
// session at it in XML
pub(crate) fn without_field_level(mut devinf: DevInf) -> DevInf {
    let caps = devinf.data_stores.iter_mut().flat_map(|store| &mut store.ct_caps);
    caps.for_each(|cap| cap.field_level = false);
    devinf
}

/// What leaves something out; it is given what the peer syncs, by our names and by the paths that it used.
pub(crate) type Cut = fn(&mut DevInf, &[(&str, &str)]);

/// What goes, one after the other, when our device information fits into no message of the peer's size. Of the datastores that it
/// syncs the capabilities stay longest: without them peers write as to somebody of whom they know nothing.
// quirk: SyncEvolution 2.0's client puts the summary of a task into its description, too, for who does not say SUMMARY
pub(crate) const CUTS: [Cut; 5] = [
    |devinf, _| {
        for store in &mut devinf.data_stores {
            store.filter_rx.clear();
            store.filter_caps.clear();
        }
    },
    |devinf, synced| {
        for store in &mut devinf.data_stores {
            let path = &*store.source_ref;
            if !synced.iter().any(|(name, asked)| *asked == path || *name == plain_name(path)) {
                store.ct_caps.clear();
            }
        }
    },
    |devinf, _| DeviceQuirks::SMALL.adapt(devinf, &[]),
    // By the rest a client of ours still knows whom it talks to.
    |devinf, _| {
        devinf.data_stores.clear();
        let by = if seals(devinf) { EXTENSION } else { FOLDERS };
        devinf.ext.retain(|ext| &*ext.xnam == by);
    },
    |devinf, _| (devinf.man, devinf.model, devinf.swv) = (None, None, None),
];

/// Whether a device says of itself that it takes single fields, or is one of ours.
pub(crate) fn says_field_level(devinf: &DevInf) -> bool {
    is_ours(devinf) || devinf.data_stores.iter().flat_map(|store| &store.ct_caps).any(|cap| cap.field_level)
}

/// Whether it is of a server of ours.
pub(crate) fn is_ours(devinf: &DevInf) -> bool {
    devinf.ext.iter().any(|ext| [FOLDERS, EXTENSION].contains(&&*ext.xnam))
}

/// Whether it is of somebody who seals items as we do.
pub(crate) fn seals(devinf: &DevInf) -> bool {
    let mut ext = devinf.ext.iter().filter(|ext| &*ext.xnam == EXTENSION);
    ext.any(|ext| ext.xval.iter().any(|cipher| &**cipher == CIPHER))
}

/// What a client knows of its server by the server's device information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Known {
    /// It is one of ours.
    pub(crate) ours: bool,
    /// It seals items for this device.
    pub(crate) seals: bool,
}

impl Known {
    pub(crate) fn of(server: &DevInf) -> Self {
        Known { ours: is_ours(server), seals: seals(server) }
    }
}

/// What a client keeps: its own device information as the server knows it, and what it knows of the server.
pub(crate) fn with_flags(devinf: &DevInf, server: Known) -> Option<Bytes> {
    let mut bytes = to_bytes(devinf)?.to_vec();
    bytes.push(u8::from(server.ours) | u8::from(server.seals) << 1);
    Some(bytes.into())
}

/// The two parts of [`with_flags`].
pub(crate) fn split_flags(kept: Option<&Bytes>) -> (Option<Bytes>, Known) {
    match kept.and_then(|kept| kept.split_last().map(|(flags, _)| (kept, *flags))) {
        Some((kept, flags)) => {
            let known = Known { ours: flags & 1 != 0, seals: flags & 2 != 0 };
            (Some(kept.slice(..kept.len().saturating_sub(1))), known)
        }
        None => (None, Known::default()),
    }
}

/// What a device information says of one of its datastores.
pub(crate) fn described<'a>(devinf: &'a DevInf, path: &str) -> Option<&'a DataStore> {
    let name = plain_name(path);
    devinf.data_stores.iter().find(|store| plain_name(&store.source_ref).eq_ignore_ascii_case(name))
}

/// The part of it that the walk of our changes keeps to.
pub(crate) fn caps(devinf: &DevInf, path: &str) -> Caps {
    let (folders, seals) = (is_ours(devinf), seals(devinf));
    let Some(store) = described(devinf, path) else { return Caps { folders, seals, ..Caps::default() } };
    let types = store.rx_pref.iter().chain(&store.rx);
    Caps {
        max_guid_size: store.max_guid_size,
        accepts: types.map(|t| t.ct_type.to_ascii_lowercase().into()).collect(),
        field_level: store
            .ct_caps
            .iter()
            .filter(|cap| cap.field_level)
            .map(|cap| cap.ct_type.ct_type.to_ascii_lowercase().into())
            .collect(),
        folders: folders || store.support_hierarchical_sync,
        seals,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncml::FilterCap;

    #[test]
    fn capabilities_of_what_is_synced_go_last() {
        let mut devinf = DevInf::new(Version::V1_2, "1", "server");
        for path in ["./notes", "./tasks", "cal?x=1"] {
            let mut store = DataStore::default();
            store.source_ref = path.into();
            store.ct_caps.push(CtCap::default());
            store.filter_caps.push(FilterCap::default());
            devinf.data_stores.push(store);
        }
        let synced = [("tasks", "todo"), ("calendar", "cal?x=1")];
        let left = CUTS.map(|cut| {
            cut(&mut devinf, &synced);
            let stores = devinf.data_stores.iter();
            stores.map(|store| (store.filter_caps.len(), store.ct_caps.len())).collect::<Vec<_>>()
        });
        assert_eq!(left, [vec![(0, 1); 3], vec![(0, 0), (0, 1), (0, 1)], vec![(0, 0); 3], vec![], vec![]]);
    }
}
