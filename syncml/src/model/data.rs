//! Items, their data, and filters.

use super::{Anchor, DevInf, Extra, Meta, Node, Property, Source, Target};
use bytes::Bytes;

/// One object of a command.
///
/// # Shape
/// `Target?, Source?, SourceParent?, TargetParent?, Meta?, Data?, MoreData?`
/// # Spec
/// SyncML Representation Protocol 1.2, `Item`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Item {
    /// The receiver's id of the object.
    pub target: Option<Target>,
    /// The sender's id of the object.
    pub source: Option<Source>,
    /// The sender's id of the folder it is in (1.2).
    pub source_parent: Option<Box<str>>,
    /// The receiver's id of the folder it is in (1.2).
    pub target_parent: Option<Box<str>>,
    /// Type, format, size; wins over the command's.
    pub meta: Option<Box<Meta>>,
    /// The object, or a chunk of it.
    pub data: Option<Data>,
    /// More chunks follow in the next message (1.1).
    pub more_data: bool,
    /// Unknown children.
    pub extra: Extra,
}

/// The content of a `Data` element.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Data {
    /// Octets as they were written, raw: no line end is touched. A slice of the message where it can be.
    Bytes(Bytes),
    /// Anchors: what a `Status` for an `Alert` echoes.
    Anchor(Anchor),
    /// A DevInf document: markup in XML, a second document inside an opaque in WBXML.
    DevInf(Box<DevInf>),
    /// The property list of a field filter (1.2).
    Properties(Vec<Property>),
    /// Markup of any other kind, text between the elements included; at least one element.
    Markup(Vec<Node>),
}

impl Data {
    /// The octets, where the data is octets.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Data::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether octets are UTF-8 text; markup always is. Old phones put other character sets here
    /// (threats W7): such data is kept as it came, and this tells.
    pub fn is_text(&self) -> bool {
        self.as_bytes().is_none_or(|octets| std::str::from_utf8(octets).is_ok())
    }
}

/// What part of a datastore is meant: `Meta, Field?, Record?, FilterType?` (1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Filter {
    /// The content type that is filtered.
    pub meta: Option<Box<Meta>>,
    /// Which fields.
    pub field: Option<Field>,
    /// Which records.
    pub record: Option<Record>,
    /// `INCLUSIVE` or `EXCLUSIVE` (the default).
    pub filter_type: Option<Box<str>>,
    /// Unknown children.
    pub extra: Extra,
}

/// The field part of a [`Filter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Field {
    /// The property list.
    pub item: Item,
}

/// The record part of a [`Filter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// The expression, usually `syncml:filtertype-cgi`.
    pub item: Item,
}
