//! How much memory what is read will take. spec: threats L2, L3.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::codec::content::Content;
use crate::codec::frame::{Frame, on_content};
use crate::model::*;

/// A list grows by half, so it takes at most half more than its elements.
pub(super) const fn listed(octets: usize) -> usize {
    octets.saturating_mul(3) / 2
}

/// Octets that a frame takes once it is part of its parent; text comes on top.
pub(super) fn weight(frame: &Frame) -> usize {
    match frame {
        // Part of another structure, which has been counted.
        Frame::Root
        | Frame::Body
        | Frame::Hdr(_)
        | Frame::Target(_)
        | Frame::Source(_)
        | Frame::Parent(_) => 0,
        Frame::Field(_) | Frame::Record(_) | Frame::Data(_) | Frame::SyncCap(_) | Frame::DsMem(_) => 0,
        Frame::Unknown(element) => {
            let name = match &element.name {
                Name::Text(name) => name.len(),
                Name::Token(_) => 0,
            };
            let namespace = element.namespace.as_ref().map_or(0, |uri| uri.len());
            let attributes = element.attributes.iter().fold(0_usize, |sum, (key, value)| {
                sum.saturating_add(key.len()).saturating_add(value.len()).saturating_add(listed(32))
            });
            listed(size_of::<Node>())
                .saturating_add(name)
                .saturating_add(namespace)
                .saturating_add(attributes)
        }
        Frame::FlatCtCap(_) => listed(size_of::<FlatCtCap>()),
        Frame::Change(_)
        | Frame::Alert(_)
        | Frame::Exec(_)
        | Frame::Get(_)
        | Frame::Results(_)
        | Frame::Map(_)
        | Frame::Search(_)
        | Frame::Status(_)
        | Frame::Sync(_)
        | Frame::Nest(_) => {
            listed(size_of::<Command>()).saturating_add(on_content!(frame, c => size(c), _ => 0))
        }
        Frame::DevInf(_) => size_of::<DevInf>(),
        Frame::DataStore(_) => listed(size_of::<DataStore>()),
        frame => listed(on_content!(frame, c => size(c), _ => 0)),
    }
}

fn size<T: Content>(_: &T) -> usize {
    T::SIZE
}

/// Octets of a value that holds a text.
pub(super) const LEAF_WEIGHT: usize = listed(size_of::<Box<str>>());
