//! The XML spelling.

pub(crate) mod chars;
pub(crate) mod reader;
pub(crate) mod writer;
