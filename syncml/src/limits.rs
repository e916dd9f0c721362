//! Limits on what a peer may send.

/// What the reader accepts at most; every field can be set.
///
/// A limit hit refuses the message or the item, never the process: no number that a peer declares sizes an
/// allocation. See `docs/threats.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of one message.
    pub message_bytes: usize,
    /// Nested elements, inner documents included; never more than [`Limits::DEPTH_CEILING`].
    pub depth: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Octets of a tag or attribute name.
    pub name_bytes: usize,
    /// Octets of `SessionID`.
    pub session_id_bytes: usize,
    /// Octets of a `LocURI` outside the header.
    pub loc_uri_bytes: usize,
    /// Octets of a URI in the header.
    pub header_uri_bytes: usize,
    /// Commands of one message, nested ones included.
    pub commands: usize,
    /// Octets reached through WBXML string tables, in total.
    pub string_table_bytes: usize,
    /// Octets that the decoded message may take beyond four times its own: one octet of WBXML can open a
    /// structure of 200.
    pub tree_slack_bytes: usize,
}

impl Limits {
    /// The deepest nesting that any setting of `depth` allows: what a structure is dropped and written with
    /// fits on any stack.
    pub const DEPTH_CEILING: usize = 256;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes: 1024 * 1024,
            depth: 32,
            attributes: 16,
            name_bytes: 128,
            session_id_bytes: 64,
            loc_uri_bytes: 1024,
            header_uri_bytes: 255,
            commands: 4096,
            string_table_bytes: 1024 * 1024,
            // The reader's own state takes some of the 1 MiB that threats L2 allows.
            tree_slack_bytes: 1024 * 1024 - 32 * 1024,
        }
    }
}
