//! Sync anchors.

/// A pair of sync anchors.
///
/// # Shape
/// Opaque strings, compared octet by octet; `last` is absent or empty at the first sync.
/// # Spec
/// SyncML Meta-Information DTD 1.2, `Anchor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Anchor {
    /// The sender's `next` of the last session that ended well.
    pub last: Option<Box<str>>,
    /// The sender's mark of this session. An anchor echoed in a `Status` may hold only this.
    pub next: Box<str>,
}
