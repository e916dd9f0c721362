//! What the tables do not know: kept as it came and written back.

use bytes::Bytes;

/// The vocabulary an element belongs to: a WBXML code page, an XML namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Page {
    /// SyncML, code page 0.
    SyncMl,
    /// MetInf, code page 1.
    MetInf,
    /// DevInf: page 0 of a DevInf document, page 2 when inline (Nokia field filters).
    DevInf,
    /// Any other WBXML code page.
    Other(u8),
}

/// The name of an element that the tables do not know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Name {
    /// Spelled out: an XML tag, or a WBXML literal.
    Text(Box<str>),
    /// A WBXML tag token (bits 0 to 5) that has no name in its page.
    Token(u8),
}

/// An element kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Element {
    /// Its vocabulary; [`Page::SyncMl`] where `namespace` names another.
    pub page: Page,
    /// Its XML namespace where that is none of the three of [`Page`].
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Name,
    /// Attributes other than `xmlns`.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// Its content in order.
    pub children: Vec<Node>,
}

/// One piece of an [`Element`]'s content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Text, joined.
    Text(Bytes),
}

/// Unknown children of a known element, in order; empty costs one word.
pub type Extra = Option<Box<Vec<Element>>>;
