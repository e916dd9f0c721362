//! The WBXML spelling.

pub(crate) mod annotate;
pub(crate) mod primitive;
pub(crate) mod reader;
pub(crate) mod writer;
