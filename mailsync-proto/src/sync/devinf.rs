//! Device information: ours for a peer, and what we keep of a peer's.

use super::core::{StoreConfig, plain_name};
use super::send::Caps;
use bytes::Bytes;
use syncml::{DevInf, Version};

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
pub(crate) fn ours(identity: &Identity, stores: &[StoreConfig], version: Version) -> DevInf {
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
        described.filter_rx.clear();
        described.filter_caps.clear();
        devinf.data_stores.push(described);
    }
    devinf.ext.push(syncml::Ext { xnam: FOLDERS.into(), xval: vec!["1".into()] });
    devinf
}

const FORMAT: u8 = 1;

pub(crate) fn to_bytes(devinf: &DevInf) -> Option<Bytes> {
    postcard::to_extend(devinf, vec![FORMAT]).ok().map(Bytes::from)
}

pub(crate) fn from_bytes(bytes: &Bytes) -> Option<DevInf> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

/// What a device information says of one of its datastores.
pub(crate) fn caps(devinf: &DevInf, path: &str) -> Caps {
    let name = plain_name(path);
    let store = devinf.data_stores.iter().find(|s| plain_name(&s.source_ref).eq_ignore_ascii_case(name));
    let folders = devinf.ext.iter().any(|ext| &*ext.xnam == FOLDERS);
    let Some(store) = store else { return Caps { folders, ..Caps::default() } };
    let types = store.rx_pref.iter().chain(&store.rx);
    Caps {
        max_guid_size: store.max_guid_size,
        accepts: types.map(|t| t.ct_type.to_ascii_lowercase().into()).collect(),
        folders: folders || store.support_hierarchical_sync,
    }
}
