//! The content of `Data`: octets, or markup of the kinds that the model types.

use super::content::{Content, emit as emit_structure};
use super::frame::{Frame, Framed};
use super::sink::{Sink, Tree};
use super::token::{Gathered, is_blank, push_tight};
use crate::error::EncodeError;
use crate::model::*;
use crate::tables::Tag;
use bytes::Bytes;

/// A `Data` that is open.
#[derive(Debug, Default)]
pub(crate) enum DataBuild {
    /// Nothing but text so far; the builder holds it.
    #[default]
    Empty,
    Octets(Bytes),
    Anchor(Anchor),
    DevInf(Box<DevInf>),
    Properties(Vec<Property>),
    Markup(Vec<Node>),
}

impl DataBuild {
    /// What makes the frame for a child that can be typed, if it is one and nothing stands in its way.
    pub(crate) fn typed_child(&self, tag: Tag) -> Option<fn() -> Frame> {
        match (self, tag) {
            (DataBuild::Empty, Tag::Anchor) => Some(Anchor::blank),
            (DataBuild::Empty, Tag::DevInf) => Some(|| Frame::DevInf(Box::default())),
            (DataBuild::Empty | DataBuild::Properties(_), Tag::Property) => Some(Property::blank),
            _ => None,
        }
    }

    /// Takes a child that has ended.
    pub(crate) fn attach(&mut self, frame: Frame) {
        match frame {
            Frame::Anchor(anchor) if matches!(self, DataBuild::Empty) => *self = DataBuild::Anchor(anchor),
            Frame::DevInf(devinf) if matches!(self, DataBuild::Empty) => *self = DataBuild::DevInf(devinf),
            Frame::Property(property) => match self {
                DataBuild::Properties(all) => push_tight(all, *property),
                _ => *self = DataBuild::Properties(vec![*property]),
            },
            Frame::Unknown(element) => self.add(Node::Element(*element)),
            _ => {}
        }
    }

    /// Takes text that stood before a child, between two, or after the last. White space around typed markup
    /// is only layout.
    pub(crate) fn text(&mut self, mut text: Gathered<'_>, input: &Bytes, beside_typed: bool) {
        let octets = text.as_slice();
        let layout =
            is_blank(octets) && (beside_typed || !matches!(self, DataBuild::Markup(_) | DataBuild::Empty));
        if !layout && !octets.is_empty() {
            self.add(Node::Text(text.take_bytes(input)));
        }
    }

    /// Adds a node, after turning whatever is here into markup.
    fn add(&mut self, node: Node) {
        match self {
            DataBuild::Markup(nodes) => push_tight(nodes, node),
            other => {
                let mut nodes = nodes_of(other);
                nodes.push(node);
                *other = DataBuild::Markup(nodes);
            }
        }
    }

    pub(crate) fn finish(self) -> Data {
        match self {
            DataBuild::Empty => Data::Bytes(Bytes::new()),
            DataBuild::Octets(octets) => Data::Bytes(octets),
            DataBuild::Anchor(anchor) => Data::Anchor(anchor),
            DataBuild::DevInf(devinf) => Data::DevInf(devinf),
            DataBuild::Properties(all) => Data::Properties(all),
            DataBuild::Markup(nodes) => Data::Markup(nodes),
        }
    }
}

fn nodes_of(build: &DataBuild) -> Vec<Node> {
    let mut tree = Tree::default();
    // A tree takes everything, so there is no error to report.
    let _ = match build {
        DataBuild::Empty => Ok(()),
        DataBuild::Octets(octets) => tree.raw_text(octets),
        DataBuild::Anchor(anchor) => emit_structure(anchor, Tag::Anchor, &mut tree),
        DataBuild::DevInf(devinf) => emit_structure(&**devinf, Tag::DevInf, &mut tree),
        DataBuild::Properties(all) => {
            all.iter().try_for_each(|p| emit_structure(p, Tag::Property, &mut tree))
        }
        DataBuild::Markup(nodes) => tree.nodes(nodes),
    };
    tree.done
}

/// Writes a `Data`.
pub(crate) fn emit<S: Sink>(data: &Data, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
    if let Data::Bytes(octets) = data {
        return sink.octets(tag, octets);
    }
    sink.open(tag);
    match data {
        Data::Bytes(_) => {}
        Data::Anchor(anchor) => emit_structure(anchor, Tag::Anchor, sink)?,
        Data::DevInf(devinf) => sink.devinf(devinf)?,
        Data::Properties(all) => all.iter().try_for_each(|p| emit_structure(p, Tag::Property, sink))?,
        Data::Markup(nodes) => sink.nodes(nodes)?,
    }
    sink.close(tag);
    Ok(())
}

/// What is left of a structure that cannot be held typed: its elements.
pub(crate) fn to_nodes<T: Content>(value: &T) -> Vec<Node> {
    let mut tree = Tree::default();
    let _ = value.fields(&mut tree).and_then(|()| super::content::emit_extra(value.extra(), &mut tree));
    tree.done
}
