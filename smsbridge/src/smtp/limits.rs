//! Limits on what a peer may send.

use std::time::Duration;

/// What a session accepts at most; every field can be set. See `docs/threats.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a command line, CRLF included. MAIL and RCPT may be longer by what the announced extensions add.
    pub command_octets: usize,
    /// Octets of a line during AUTH, CRLF included.
    pub auth_octets: usize,
    /// Octets of a line of the message, CRLF included, the stuffed dot not.
    pub line_octets: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// Octets of one message, without dots stuffed and without the end mark.
    pub message_octets: usize,
    /// Commands refused as wrong, and failed logins, before the link is closed with 421.
    pub errors: u32,
    /// Octets of one reply of a server, all its lines together.
    pub reply_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            command_octets: 512, // spec: RFC 5321 §4.5.3.1.4
            auth_octets: 12_288, // spec: RFC 4954 §4
            line_octets: 1_000,  // spec: RFC 5321 §4.5.3.1.6
            recipients: 100,     // spec: RFC 5321 §4.5.3.1.8
            message_octets: 32 * 1024 * 1024,
            errors: 20,
            reply_octets: 16 * 1024,
        }
    }
}

/// How long a session waits for its peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the greeting (client) or the next command (server), and for each reply that has no time of its own.
    pub command: Duration,
    /// For the reply to DATA.
    pub data_start: Duration,
    /// Between two blocks of a message (server).
    pub data_block: Duration,
    /// For the reply after the end of a message (client).
    pub data_end: Duration,
    /// For a whole session, whatever happens in it.
    pub session: Duration,
}

impl Default for Timeouts {
    // spec: RFC 5321 §4.5.3.2, the session's length aside
    fn default() -> Self {
        Timeouts {
            command: Duration::from_secs(5 * 60),
            data_start: Duration::from_secs(2 * 60),
            data_block: Duration::from_secs(3 * 60),
            data_end: Duration::from_secs(10 * 60),
            session: Duration::from_secs(24 * 60 * 60),
        }
    }
}
