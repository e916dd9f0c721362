//! What an IMAP server may say: the framer and the reader of the driver, compiled here beside their crate, which is a host with
//! a database.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;

#[path = "../../mailsync/src/mailbox/imap/date.rs"]
pub mod date;
#[path = "../../mailsync/src/mailbox/imap/frame.rs"]
pub mod frame;
#[path = "../../mailsync/src/mailbox/imap/response.rs"]
pub mod response;
#[path = "../../mailsync/src/mailbox/imap/value.rs"]
pub mod value;

use frame::{Framer, Limits};
use response::Response;

/// Octets of a link.
pub const IMAP: Target = Target {
    name: "imap",
    input: "octets of a link from an IMAP server",
    dictionary: Some("imap"),
    properties: &[
        Property {
            name: "split",
            sentence: "however the octets of a link are split, the same responses come of them, they are those octets, and \
                       the same limit is passed",
            check: split,
        },
        Property {
            name: "refused-early",
            sentence: "a literal over the limit is refused before any of it is kept",
            check: refused_early,
        },
        Property {
            name: "read",
            sentence: "a response is read or refused, without more memory than in proportion; words shown to people have no \
                       control character",
            check: read,
        },
        Property {
            name: "names",
            sentence: "a folder's name goes to modified UTF-7 and back as the same; a moment that reads is written and reads \
                       as the same",
            check: names,
        },
    ],
};

/// Small, so that short inputs reach them.
const LIMITS: Limits = Limits { line: 2_000, literal: 500, literals: 900 };

fn framer() -> Framer {
    let mut framer = Framer::default();
    framer.limits = LIMITS;
    framer
}

/// The responses in order, and whether a limit was passed.
fn responses(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> (Vec<Bytes>, bool) {
    let mut framer = framer();
    let mut all = Vec::new();
    for piece in pieces {
        framer.push(piece.as_ref());
        loop {
            match framer.next() {
                Ok(Some(response)) => all.push(response),
                Ok(None) => break,
                Err(_) => return (all, true),
            }
        }
    }
    (all, false)
}

fn split(data: &[u8]) -> Result<(), Broken> {
    let at_once = responses([data].into_iter());
    for size in [1, 2, 7, 64] {
        let apart = responses(data.chunks(size));
        ensure!(apart == at_once, "in pieces of {size}: {apart:?}, at once {at_once:?}");
    }
    let all: Vec<u8> = at_once.0.iter().flatten().copied().collect();
    ensure!(data.starts_with(&all), "{all:?}");
    ensure!(at_once.0.iter().all(|response| response.ends_with(b"\n")), "{at_once:?}");
    Ok(())
}

fn refused_early(data: &[u8]) -> Result<(), Broken> {
    let mut framer = framer();
    let mut pushed = 0;
    for piece in data.chunks(16) {
        framer.push(piece);
        pushed += piece.len();
        loop {
            match framer.next() {
                Ok(Some(response)) => pushed -= response.len(),
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        let most = LIMITS.line + LIMITS.literals + 16;
        ensure!(pushed <= most, "{pushed} octets are kept, limit {most}");
    }
    Ok(())
}

fn read(data: &[u8]) -> Result<(), Broken> {
    let whole = Bytes::copy_from_slice(data);
    let framed = responses([data].into_iter()).0;
    for response in framed.iter().chain([&whole]) {
        let mut read = Err("");
        let used = allocation_counter::measure(|| read = Response::read(response));
        let most = (response.len() as u64).saturating_mul(100).saturating_add(64 * 1024);
        ensure!(used.bytes_max <= most, "{} octets for {}", used.bytes_max, response.len());
        if let Ok(Response::State(state) | Response::Done(_, state)) = &read {
            ensure!(!state.words.chars().any(char::is_control), "{:?}", state.words);
            let _ = (state.capabilities(), state.number::<u32>("UIDNEXT"));
        }
    }
    Ok(())
}

fn names(data: &[u8]) -> Result<(), Broken> {
    let Ok(text) = std::str::from_utf8(data) else { return Ok(()) };
    let coded = date::encode_name(text);
    ensure!(coded.is_ascii() && !coded.chars().any(char::is_control), "{coded:?}");
    let again = date::decode_name(&coded);
    ensure!(again == text, "{text:?} went as {coded:?} and came back as {again:?}");
    let _ = (date::decode_name(text), response::set_of(text));
    if let Some(moment) = date::read(text) {
        let written = date::write(moment);
        ensure!(date::read(&written) == Some(moment), "{text:?} is {moment}, written as {written:?}");
    }
    Ok(())
}
