//! The XML spelling.

pub(crate) mod chars;
pub(crate) mod reader;
mod scan;
pub(crate) mod writer;
