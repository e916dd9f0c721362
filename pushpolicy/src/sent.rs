//! What became of a push.

/// What became of a push, whatever carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Delivery {
    /// The terminal said so, or its session came.
    Delivered,
    /// A gateway has it. Only a session or a receipt closes this.
    Accepted,
    /// Not now: try again, or another bearer.
    Unreachable,
    /// The address is no longer valid: unregister it.
    Gone,
    /// It will not be taken, however often it is sent.
    Refused,
    /// No answer, or one that says nothing.
    Unknown,
}
