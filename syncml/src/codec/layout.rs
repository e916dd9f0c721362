//! Which children a structure has, as tables: what is asked at every start and end of an element.

use super::frame::Frame;
use super::slot::Via;
use crate::tables::Tag;

/// What an element holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Nothing: its presence is the value.
    Flag,
    /// Text, or elements.
    Data,
    /// Other elements.
    Frame(fn() -> Frame),
}

/// A child in its parent's content model.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) tag: Tag,
    pub(crate) kind: Kind,
    pub(crate) many: bool,
    pub(crate) required: bool,
    /// Its bit among its siblings.
    pub(crate) bit: u64,
    /// Its place in the canonical order.
    pub(crate) position: u8,
}

/// The children of one structure.
pub(crate) struct Layout {
    /// In canonical order.
    shapes: &'static [Shape],
    /// Where in `shapes` a tag is; past its end for one that is no child.
    places: [u8; Tag::COUNT],
    /// Bits of the children that must be there.
    required: u64,
}

impl Layout {
    /// Of structures that the builder knows by themselves.
    pub(crate) const NONE: &Layout = &Layout::new(&[]);

    pub(crate) const fn new(shapes: &'static [Shape]) -> Layout {
        let mut places = [u8::MAX; Tag::COUNT];
        let mut required = 0;
        let mut at = 0;
        while at < shapes.len() {
            let shape = &shapes[at];
            places[shape.tag as usize] = at as u8;
            if shape.required {
                required |= shape.bit;
            }
            at += 1;
        }
        Layout { shapes, places, required }
    }

    #[inline]
    pub(crate) fn child(&self, tag: Tag) -> Option<&'static Shape> {
        self.shapes.get(usize::from(*self.places.get(tag as usize)?))
    }

    /// The first mandatory child whose bit is not set.
    #[inline]
    pub(crate) fn missing(&self, seen: u64) -> Option<Tag> {
        let missing = self.required & !seen;
        if missing == 0 {
            return None;
        }
        self.shapes.iter().find(|shape| shape.required && missing & shape.bit != 0).map(|shape| shape.tag)
    }
}

/// The shape of the field that `_get` names.
pub(crate) const fn shape_of<T, F, V: Via<F> + Copy>(_: V, _get: fn(&T) -> &F, tag: Tag) -> Shape {
    Shape { tag, kind: V::KIND, many: V::MANY, required: V::REQUIRED, bit: tag.bit(), position: 0 }
}

/// Shapes in canonical order.
pub(crate) const fn in_order<const N: usize>(mut shapes: [Shape; N]) -> [Shape; N] {
    let mut at = 0;
    while at < N {
        shapes[at].position = at as u8;
        at += 1;
    }
    shapes
}
