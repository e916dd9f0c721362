//! What both spellings share: tokens in, a sink out, and the one map between elements and the model.
//!
//! ```text
//! xml/reader.rs ──┐                                              ┌── xml/writer.rs
//!                 ├─ Token ─► build.rs ─► model ─► content.rs ─► Sink
//! wbxml/reader.rs ┘        (explicit stack)                      └── wbxml/writer.rs
//! ```
//! `content.rs` says once, per structure, which child fills which field and in which order they are written.

pub(crate) mod build;
pub(crate) mod content;
pub(crate) mod data;
pub(crate) mod frame;
pub(crate) mod layout;
pub(crate) mod sink;
pub(crate) mod slot;
pub(crate) mod token;
