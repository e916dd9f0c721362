//! What a gateway answers, and what it means.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::super::error::DecodeError;
use super::super::xml::{self, Doctype, Element};
use super::{Delivery, FORMAT, needed};

/// A status code of PAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl Code {
    /// Done.
    pub const OK: Code = Code(1000);
    /// Accepted.
    pub const ACCEPTED: Code = Code(1001);
    /// Bad request.
    pub const BAD_REQUEST: Code = Code(2000);

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        matches!(self.0, 3000 | 3009 | 3010 | 4000..=4999)
    }

    /// What the code means for the push.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        match self.0 {
            1000..=1999 => Delivery::Accepted,
            2002 | 2003 => Delivery::Gone,
            _ if self.may_retry() => Delivery::Unreachable,
            2000..=3999 => Delivery::Refused,
            _ => Delivery::Unknown,
        }
    }
}

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// To a push, a cancel or a status query: the code, and the push's state if it says one.
    Response {
        /// The element: `push-response`, `cancel-response`, ...
        element: String,
        /// Whose.
        push_id: String,
        /// Code.
        code: Code,
        /// In words.
        description: String,
        /// `message-state`, if any.
        state: Option<State>,
    },
    /// It could not read what we sent.
    BadMessage {
        /// Code.
        code: Code,
        /// In words.
        description: String,
    },
    /// What became of a push, unasked.
    Result {
        /// Whose.
        push_id: String,
        /// What became of it.
        state: State,
        /// Code.
        code: Code,
    },
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// On its way.
    Pending,
    /// The terminal has it.
    Delivered,
    /// Refused by gateway or terminal.
    Rejected,
    /// It cannot be delivered.
    Undeliverable,
    /// Too late.
    Expired,
    /// Stopped by the terminal.
    Aborted,
    /// No answer in time.
    Timeout,
    /// Taken back.
    Cancelled,
    /// Any other word.
    Other(String),
}

impl State {
    fn new(word: &str) -> State {
        match word {
            "pending" => State::Pending,
            "delivered" => State::Delivered,
            "rejected" => State::Rejected,
            "undeliverable" => State::Undeliverable,
            "expired" => State::Expired,
            "aborted" => State::Aborted,
            "timeout" => State::Timeout,
            "cancelled" => State::Cancelled,
            other => State::Other(other.to_owned()),
        }
    }

    /// What it means for the push.
    #[must_use]
    pub const fn delivery(&self) -> Delivery {
        match self {
            State::Pending => Delivery::Accepted,
            State::Delivered => Delivery::Delivered,
            State::Rejected | State::Aborted | State::Cancelled => Delivery::Refused,
            State::Undeliverable | State::Expired | State::Timeout => Delivery::Unreachable,
            State::Other(_) => Delivery::Unknown,
        }
    }
}

impl Answer {
    /// Reads an answer or a result notification.
    ///
    /// # Errors
    /// [`DecodeError`]: no PAP, or an element that says nothing.
    pub fn decode(body: &[u8]) -> Result<Answer, DecodeError> {
        let document = xml::read(FORMAT, body, Doctype::Bare)?;
        let root = document.root().filter(|r| r.name == "pap");
        let message = root.and_then(|r| document.children(r).next());
        let message = message.ok_or_else(|| DecodeError::violation(FORMAT, 0, "no message in pap"))?;
        let words = |e: &Element| e.attribute("desc").unwrap_or("").to_owned();
        match message.name.as_str() {
            "badmessage-response" => {
                Ok(Answer::BadMessage { code: code(message)?, description: words(message) })
            }
            "resultnotification-message" => Ok(Answer::Result {
                push_id: needed(message, "push-id")?,
                state: State::new(&needed(message, "message-state")?),
                code: code(message)?,
            }),
            name @ ("push-response"
            | "cancel-response"
            | "statusquery-response"
            | "resultnotification-response") => {
                let results = ["response-result", "cancel-result", "statusquery-result"];
                let result = document
                    .children(message)
                    .find(|e| results.contains(&e.name.as_str()))
                    .unwrap_or(message);
                Ok(Answer::Response {
                    element: name.to_owned(),
                    push_id: needed(message, "push-id")?,
                    code: code(result)?,
                    description: words(result),
                    state: result.attribute("message-state").map(State::new),
                })
            }
            other => Err(DecodeError::unsupported(FORMAT, message.offset, other)),
        }
    }
}

fn code(e: &Element) -> Result<Code, DecodeError> {
    let bad = || DecodeError::violation(FORMAT, e.offset, format!("{}: code", e.name));
    needed(e, "code")?.parse().map(Code).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_gateways() {
        let read = |xml: &str| Answer::decode(xml.as_bytes());
        let kannel = "<?xml version=\"1.0\"?>\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 1.0//EN\" \
            \"http://www.wapforum.org/DTD/pap_1.0.dtd\">\n<pap><push-response push-id=\"1@x\" sender-name=\"g\" \
            reply-time=\"2026-11-22T03:12:00Z\"><response-result code =\"1001\" desc=\"The request has been accepted \
            for processing\"></response-result></push-response></pap>";
        let Answer::Response { code, push_id, state, .. } = read(kannel).unwrap() else { panic!("{kannel}") };
        assert_eq!((code, push_id.as_str(), state), (Code::ACCEPTED, "1@x", None));
        let result = "<pap><resultnotification-message push-id='1@x' message-state='undeliverable' code='3010'/></pap>";
        let Answer::Result { state, code, .. } = read(result).unwrap() else { panic!("{result}") };
        assert_eq!((state.delivery(), code.may_retry()), (Delivery::Unreachable, true));
        let bad = "<pap><badmessage-response code='2000' desc='no'/></pap>";
        assert_eq!(
            read(bad).unwrap(),
            Answer::BadMessage { code: Code::BAD_REQUEST, description: "no".into() }
        );
        let query = "<pap><statusquery-response push-id='1'><statusquery-result code='1000' message-state='delivered'/></statusquery-response></pap>";
        assert!(matches!(read(query).unwrap(), Answer::Response { state: Some(State::Delivered), .. }));
        for bad in [
            "<pap/>",
            "<pop/>",
            "<pap><push-response/></pap>",
            "<pap><x/></pap>",
            "<pap><badmessage-response code='x'/></pap>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn codes_say_what_to_do() {
        for (code, delivery) in [
            (1001, Delivery::Accepted),
            (2003, Delivery::Gone),
            (2000, Delivery::Refused),
            (3009, Delivery::Unreachable),
            (4001, Delivery::Unreachable),
            (3006, Delivery::Refused),
            (5000, Delivery::Unknown),
        ] {
            assert_eq!(Code(code).delivery(), delivery, "{code}");
        }
    }
}
