//! Device information.

use super::{Extra, Version};

/// What a device is and can do.
///
/// # Shape
/// `VerDTD, Man?, Mod?, OEM?, FwV?, SwV?, HwV?, DevID, DevTyp, UTC?, SupportLargeObjs?,
/// SupportNumberOfChanges?, DataStore+, CTCap* (before 1.2), Ext*`
/// # Spec
/// SyncML Device Information DTD 1.0, 1.1, 1.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DevInf {
    /// `1.0`, `1.1`, `1.2`, or what the peer wrote.
    pub ver_dtd: Box<str>,
    /// Manufacturer.
    pub man: Option<Box<str>>,
    /// Model.
    pub model: Option<Box<str>>,
    /// Original equipment manufacturer.
    pub oem: Option<Box<str>>,
    /// Firmware version.
    pub fwv: Option<Box<str>>,
    /// Software version.
    pub swv: Option<Box<str>>,
    /// Hardware version.
    pub hwv: Option<Box<str>>,
    /// Globally unique device id; opaque.
    pub dev_id: Box<str>,
    /// `phone`, `pda`, `server`, ...
    pub dev_typ: Box<str>,
    /// The device knows UTC (1.1).
    pub utc: bool,
    /// The device takes objects in chunks (1.1).
    pub support_large_objs: bool,
    /// The device shows `NumberOfChanges` (1.1).
    pub support_number_of_changes: bool,
    /// Its datastores.
    pub data_stores: Vec<DataStore>,
    /// Content type capabilities, before 1.2: flat lists.
    pub ct_caps: Vec<FlatCtCap>,
    /// Extensions.
    pub ext: Vec<Ext>,
    /// Unknown children.
    pub extra: Extra,
}

impl DevInf {
    /// A DevInf with its mandatory texts and no datastore.
    pub fn new(version: Version, dev_id: &str, dev_typ: &str) -> Self {
        DevInf {
            ver_dtd: version.ver_dtd().into(),
            dev_id: dev_id.into(),
            dev_typ: dev_typ.into(),
            ..DevInf::default()
        }
    }
}

/// One datastore of a device.
///
/// # Shape
/// `SourceRef, DisplayName?, MaxGUIDSize?, Rx-Pref, Rx*, Tx-Pref, Tx*, CTCap* (1.2), DSMem?,
/// SupportHierarchicalSync? (1.2), SyncCap, Filter-Rx* (1.2), FilterCap* (1.2)`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DataStore {
    /// Its path.
    pub source_ref: Box<str>,
    /// Its name for people.
    pub display_name: Option<Box<str>>,
    /// Octets of the longest id the device takes in `Add`.
    pub max_guid_size: Option<u32>,
    /// Preferred type to receive.
    pub rx_pref: Option<CtType>,
    /// Other types to receive.
    pub rx: Vec<CtType>,
    /// Preferred type to send.
    pub tx_pref: Option<CtType>,
    /// Other types to send.
    pub tx: Vec<CtType>,
    /// Content type capabilities (1.2).
    pub ct_caps: Vec<CtCap>,
    /// Memory.
    pub ds_mem: Option<DsMem>,
    /// Folders are understood (1.2).
    pub support_hierarchical_sync: bool,
    /// Sync types: 1 two-way, 2 slow, 3 one-way from client, 4 refresh from client, 5 one-way from server,
    /// 6 refresh from server, 7 server-alerted; others are a vendor's.
    pub sync_cap: SyncCap,
    /// Filter grammars (1.2).
    pub filter_rx: Vec<CtType>,
    /// What can be filtered (1.2).
    pub filter_caps: Vec<FilterCap>,
    /// Unknown children.
    pub extra: Extra,
}

/// A content type and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CtType {
    /// The media type.
    pub ct_type: Box<str>,
    /// Its version.
    pub ver_ct: Box<str>,
}

impl CtType {
    /// A content type with its version.
    pub fn new(ct_type: &str, ver_ct: &str) -> Self {
        CtType { ct_type: ct_type.into(), ver_ct: ver_ct.into() }
    }
}

/// Sync types a datastore supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SyncCap {
    /// `SyncType` values.
    pub sync_types: Vec<u32>,
}

/// Memory of a datastore: `SharedMem?, MaxMem?, MaxID?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DsMem {
    /// Shared with other datastores.
    pub shared_mem: bool,
    /// Octets.
    pub max_mem: Option<u64>,
    /// Items.
    pub max_id: Option<u64>,
}

/// Content type capability of 1.2: `CTType, VerCT, FieldLevel?, Property+`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CtCap {
    /// The type.
    pub ct_type: CtType,
    /// `Replace` of single fields is understood.
    pub field_level: bool,
    /// The properties.
    pub properties: Vec<Property>,
    /// Unknown children.
    pub extra: Extra,
}

/// A property of a content type (1.2): `PropName, DataType?, MaxOccur?, MaxSize?, NoTruncate?, ValEnum*,
/// DisplayName?, PropParam*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Property {
    /// Its name.
    pub prop_name: Box<str>,
    /// `chr`, `int`, ...
    pub data_type: Option<Box<str>>,
    /// How often it may occur.
    pub max_occur: Option<u64>,
    /// Octets.
    pub max_size: Option<u64>,
    /// Must not be cut.
    pub no_truncate: bool,
    /// Allowed values.
    pub val_enum: Vec<Box<str>>,
    /// Name for people.
    pub display_name: Option<Box<str>>,
    /// Parameters.
    pub params: Vec<PropParam>,
    /// Unknown children.
    pub extra: Extra,
}

/// A parameter of a [`Property`]: `ParamName, DataType?, ValEnum*, DisplayName?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PropParam {
    /// Its name.
    pub param_name: Box<str>,
    /// `chr`, `int`, ...
    pub data_type: Option<Box<str>>,
    /// Allowed values.
    pub val_enum: Vec<Box<str>>,
    /// Name for people.
    pub display_name: Option<Box<str>>,
    /// Unknown children.
    pub extra: Extra,
}

/// Content type capability before 1.2: a flat list in which position alone groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FlatCtCap {
    /// The entries in order.
    pub entries: Vec<CtCapEntry>,
}

/// One entry of a [`FlatCtCap`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CtCapEntry {
    /// Starts a content type.
    CtType(Box<str>),
    /// Not in 1.1, but some devices send it.
    VerCt(Box<str>),
    /// Starts a property.
    PropName(Box<str>),
    /// Starts a parameter of the property before it.
    ParamName(Box<str>),
    /// A value of the name before it.
    ValEnum(Box<str>),
    /// Data type of the name before it.
    DataType(Box<str>),
    /// Octets of the name before it.
    Size(Box<str>),
    /// Name for people of the name before it.
    DisplayName(Box<str>),
    /// An entry that the tables do not know.
    Unknown(super::Element),
}

/// What can be filtered (1.2): `CTType, VerCT, FilterKeyword*, PropName*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FilterCap {
    /// The type.
    pub ct_type: CtType,
    /// Keywords.
    pub filter_keywords: Vec<Box<str>>,
    /// Property names.
    pub prop_names: Vec<Box<str>>,
}

/// An extension: `XNam, XVal*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ext {
    /// Its name.
    pub xnam: Box<str>,
    /// Its values.
    pub xval: Vec<Box<str>>,
}
