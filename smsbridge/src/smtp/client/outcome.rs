//! What became of a message, and of a session.

use crate::smtp::{ForwardPath, Reply};

/// What became of a message, for each recipient in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Each recipient and its verdict.
    pub recipients: Vec<(ForwardPath, Verdict)>,
    /// The server fetched the message by its URL; none of its octets went over this link.
    pub by_url: bool,
}

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The server has it: its 2yz reply to the message.
    Accepted(Reply),
    /// Refused for now (4yz), in the server's words: try again later.
    Deferred(Reply),
    /// Refused for good (5yz), in the server's words.
    Refused(Reply),
    /// Never handed over, because the session ended first: try again later.
    NotSent(Failure),
    /// Handed over, but never answered: the server may have it or not.
    Unknown(Failure),
}

impl Verdict {
    pub(super) fn from_reply(reply: Reply) -> Verdict {
        if reply.is_positive() {
            Verdict::Accepted(reply)
        } else if reply.is_permanent() {
            Verdict::Refused(reply)
        } else {
            Verdict::Deferred(reply)
        }
    }
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused, in its own words, at this step.
    #[error("{step} refused: {reply}")]
    Refused {
        /// `greeting`, `EHLO`, `STARTTLS`, `AUTH` or another command.
        step: &'static str,
        /// Its reply.
        reply: Reply,
    },
    /// The server does not offer what the configuration insists on.
    #[error("the server does not offer {0}")]
    NotOffered(&'static str),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Violation(&'static str),
    /// The server did not answer in time.
    #[error("no answer to {step} in time")]
    Timeout {
        /// What it owed an answer to.
        step: &'static str,
    },
    /// The link broke.
    #[error("the link closed while waiting for {step}")]
    LinkClosed {
        /// What the server owed an answer to.
        step: &'static str,
    },
}

/// What a server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The name that it gave.
    pub hostname: String,
    /// Commands may be sent before their predecessors are answered.
    pub pipelining: bool,
    /// 8-bit messages.
    pub eight_bit_mime: bool,
    /// UTF-8 addresses and headers.
    pub smtputf8: bool,
    /// Delivery reports on demand.
    pub dsn: bool,
    /// BURL with IMAP URLs, and the servers it names that it fetches from (`imap://mail.example.org`); it may name none.
    // spec: RFC 4468 §3.3
    pub burl: Option<Vec<String>>,
    /// STARTTLS.
    pub starttls: bool,
    /// SIZE is offered.
    pub size: bool,
    /// The largest message it takes, in octets, if it says so.
    pub max_size: Option<u64>,
    pub(super) mechanisms: u64,
}

impl Capabilities {
    /// From a whole EHLO reply in wire form; unknown keywords are skipped.
    pub(super) fn parse(wire: &[u8]) -> Capabilities {
        let Ok(ehlo) = smtp_proto::EhloResponse::parse(&mut wire.iter()) else {
            return Capabilities::default();
        };
        let has = |bit| ehlo.has_capability(bit);
        Capabilities {
            pipelining: has(smtp_proto::EXT_PIPELINING),
            eight_bit_mime: has(smtp_proto::EXT_8BIT_MIME),
            smtputf8: has(smtp_proto::EXT_SMTP_UTF8),
            dsn: has(smtp_proto::EXT_DSN),
            burl: burl(wire),
            starttls: has(smtp_proto::EXT_START_TLS),
            size: has(smtp_proto::EXT_SIZE),
            max_size: u64::try_from(ehlo.size).ok().filter(|&size| has(smtp_proto::EXT_SIZE) && size > 0),
            mechanisms: ehlo.auth_mechanisms,
            hostname: ehlo.hostname,
        }
    }
}

/// The library keeps no argument of a keyword that it does not know.
fn burl(wire: &[u8]) -> Option<Vec<String>> {
    let wire = String::from_utf8_lossy(wire);
    let lines = wire.lines().filter_map(|line| line.get(4..));
    let mut lines = lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let is_burl = |words: &Vec<&str>| words.first().is_some_and(|word| word.eq_ignore_ascii_case("BURL"));
    let words = lines.find(is_burl)?;
    let takes_imap = words.iter().skip(1).any(|word| word.eq_ignore_ascii_case("imap"));
    let named = words.iter().filter(|word| word.get(..7).is_some_and(|w| w.eq_ignore_ascii_case("imap://")));
    let servers: Vec<String> = named.map(|word| word.trim_end_matches('/').to_owned()).collect();
    (takes_imap || !servers.is_empty()).then_some(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_burl() {
        for (line, offered) in [
            ("250 BURL imap", Some(&[][..])),
            (
                "250 burl imap imap://mail.example.org imap://b:1143/",
                Some(&["imap://mail.example.org", "imap://b:1143"]),
            ),
            ("250 BURL imap://mail.example.org", Some(&["imap://mail.example.org"])),
            ("250 BURL", None),
            ("250 BURL http", None),
            ("250 BURLY imap", None),
        ] {
            let wire = format!("250-mail.example.org hello\r\n250-SIZE\r\n{line}\r\n");
            let offered = offered.map(|servers| servers.iter().map(|s| (*s).to_owned()).collect());
            assert_eq!(Capabilities::parse(wire.as_bytes()).burl, offered, "{line}");
        }
    }
}
