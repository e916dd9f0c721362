//! What an IMAP server says, as far as we ask.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::value::Value;
use bytes::Bytes;
use mailsync_proto::mirror::Marks;
use std::ops::RangeInclusive;

/// The mark of a draft that is there to be submitted: no mirror takes it over.
pub const KEYWORD: &str = "MailsyncSubmitting";

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `+`: go on.
    Continue,
    /// The end of a command, by its tag.
    Done(Box<str>, State),
    /// `* OK`, `* NO`, ...
    State(State),
    /// What the server can do.
    Capability(Vec<Box<str>>),
    /// A folder.
    List(Listed),
    /// A URL that somebody else may fetch.
    Authorized(Box<str>),
    /// Numbers of a folder.
    Status(Box<str>, Numbers),
    /// Something about a mail.
    Fetch(Fetched),
    /// Ids that are no longer there.
    Vanished(Vec<RangeInclusive<u32>>),
    /// How many mails there are.
    Exists(u32),
    /// A mail is gone, by its place.
    Expunge,
    /// Ids that a search found.
    Search(Vec<u32>),
    /// Nothing that we asked for.
    Other,
}

/// A status with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which.
    pub kind: Kind,
    /// What stands in brackets, its name in capitals.
    pub code: Vec<Box<str>>,
    /// The server's own words, all of them.
    pub words: Box<str>,
}

/// The kinds of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The server ends the session.
    Bye,
    /// Logged in before anything was said.
    Preauth,
}

/// A folder of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// `\Noselect`, `\Sent`, ...
    pub attributes: Vec<Box<str>>,
    /// What stands between the parts of a name.
    pub separator: Option<Box<str>>,
    /// The name as the server spells it.
    pub path: Box<str>,
}

/// Numbers of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Mails.
    pub messages: Option<u32>,
    /// The next id.
    pub uid_next: Option<u32>,
    /// Changes when all ids do.
    pub uid_validity: Option<u32>,
    /// Grows with every change.
    pub highest_modseq: Option<u64>,
}

/// Something about a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Its id.
    pub uid: Option<u32>,
    /// Its marks.
    pub marks: Option<Marks>,
    /// It is there only to be submitted, by us or another one of us.
    pub submitting: bool,
    /// Octets.
    pub size: Option<u64>,
    /// When it came, seconds since 1970.
    pub received: Option<u64>,
    /// The text asked for.
    pub body: Option<Bytes>,
}

impl Response {
    /// Reads a whole response.
    ///
    /// # Errors
    /// In words; that response is lost, the link goes on.
    pub fn read(response: &Bytes) -> Result<Response, &'static str> {
        let (head, rest) = split(response);
        match head {
            b"+" => return Ok(Response::Continue),
            b"*" => {}
            tag => {
                let tag = std::str::from_utf8(tag).map_err(|_| "a tag that is no text")?;
                return state(rest)
                    .map(|state| Response::Done(tag.into(), state))
                    .ok_or("no status after a tag");
            }
        }
        if let Some(state) = state(rest) {
            return Ok(Response::State(state));
        }
        let values = Value::read(response)?;
        let rest = values.get(1..).unwrap_or_default();
        match rest {
            [kind, rest @ ..] if kind.is("CAPABILITY") => Ok(Response::Capability(capabilities(rest))),
            [kind, attributes, separator, path, ..] if kind.is("LIST") => {
                let attributes = attributes.list().ok_or("LIST without attributes")?;
                Ok(Response::List(Listed {
                    attributes: attributes.iter().filter_map(Value::word).map(Into::into).collect(),
                    separator: separator.octets().map(|octets| String::from_utf8_lossy(&octets).into()),
                    path: path_of(path).ok_or("a folder's name that is no text")?,
                }))
            }
            [kind, path, numbers, ..] if kind.is("STATUS") => {
                let path = path_of(path).ok_or("a folder's name that is no text")?;
                Ok(Response::Status(path, self::numbers(numbers.list().ok_or("STATUS without numbers")?)))
            }
            // spec: RFC 4467 §8
            [kind, url, ..] if kind.is("GENURLAUTH") => {
                Ok(Response::Authorized(path_of(url).ok_or("GENURLAUTH without a URL")?))
            }
            [kind, rest @ ..] if kind.is("VANISHED") => {
                let set = rest.last().and_then(Value::word).ok_or("VANISHED without ids")?;
                set_of(set).map(Response::Vanished).ok_or("VANISHED without ids")
            }
            [kind, ids @ ..] if kind.is("SEARCH") => {
                Ok(Response::Search(ids.iter().filter_map(Value::number).collect()))
            }
            [_, kind, fetched, ..] if kind.is("FETCH") => {
                Ok(Response::Fetch(self::fetched(fetched.list().ok_or("FETCH without a list")?)?))
            }
            [count, kind] if kind.is("EXISTS") => {
                Ok(count.number().map_or(Response::Other, Response::Exists))
            }
            [_, kind] if kind.is("EXPUNGE") => Ok(Response::Expunge),
            _ => Ok(Response::Other),
        }
    }
}

fn path_of(value: &Value) -> Option<Box<str>> {
    match value {
        Value::Word(word) => Some(word.clone()),
        Value::Text(text) => std::str::from_utf8(text).ok().map(Into::into),
        Value::List(_) => None,
    }
}

fn capabilities(values: &[Value]) -> Vec<Box<str>> {
    values.iter().filter_map(Value::word).map(|word| word.to_ascii_uppercase().into()).collect()
}

/// The first word and what follows it.
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_end();
    match text.iter().position(|&octet| octet == b' ') {
        Some(at) => {
            (text.get(..at).unwrap_or_default(), text.get(at.saturating_add(1)..).unwrap_or_default())
        }
        None => (text, b""),
    }
}

/// A status; its words may be anything, so they are not taken apart.
fn state(text: &[u8]) -> Option<State> {
    let (kind, words) = split(text);
    let kind = match kind.to_ascii_uppercase().as_slice() {
        b"OK" => Kind::Ok,
        b"NO" => Kind::No,
        b"BAD" => Kind::Bad,
        b"BYE" => Kind::Bye,
        b"PREAUTH" => Kind::Preauth,
        _ => return None,
    };
    let words = String::from_utf8_lossy(words);
    let code = words.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(code, _)| code);
    let mut code: Vec<Box<str>> = code.split_ascii_whitespace().map(Into::into).collect();
    if let Some(name) = code.first_mut() {
        *name = name.to_ascii_uppercase().into();
    }
    let words = words.chars().filter(|c| !c.is_control()).take(500).collect::<String>().into();
    Some(State { kind, code, words })
}

impl State {
    /// What follows a code of this name.
    pub fn code(&self, name: &str) -> Option<&[Box<str>]> {
        let (first, rest) = self.code.split_first()?;
        (**first == *name).then_some(rest)
    }

    /// The number after a code of this name.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.code(name)?.first()?.parse().ok()
    }

    /// What the server can do, if it says so here.
    pub fn capabilities(&self) -> Option<Vec<Box<str>>> {
        Some(self.code("CAPABILITY")?.iter().map(|word| word.to_ascii_uppercase().into()).collect())
    }
}

fn numbers(values: &[Value]) -> Numbers {
    let mut numbers = Numbers::default();
    for pair in values.chunks_exact(2) {
        let [name, value] = pair else { continue };
        if name.is("MESSAGES") {
            numbers.messages = value.number();
        } else if name.is("UIDNEXT") {
            numbers.uid_next = value.number();
        } else if name.is("UIDVALIDITY") {
            numbers.uid_validity = value.number();
        } else if name.is("HIGHESTMODSEQ") {
            numbers.highest_modseq = value.number();
        }
    }
    numbers
}

fn fetched(values: &[Value]) -> Result<Fetched, &'static str> {
    let mut fetched = Fetched::default();
    let mut values = values.iter();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        let name = name.word().ok_or("FETCH with a value in place of a name")?;
        match name.to_ascii_uppercase().as_str() {
            "UID" => fetched.uid = value.number(),
            "FLAGS" => {
                let names = value.list().unwrap_or_default().iter().filter_map(Value::word);
                fetched.submitting = names.clone().any(|name| name.eq_ignore_ascii_case(KEYWORD));
                fetched.marks = Some(Marks::from_names(names));
            }
            "RFC822.SIZE" => fetched.size = value.number(),
            "INTERNALDATE" => fetched.received = value.text().and_then(|text| super::date::read(&text)),
            name if name.starts_with("BODY[") || name.starts_with("BINARY[") => fetched.body = value.octets(),
            _ => {}
        }
    }
    Ok(fetched)
}

/// A set of ids: `3,7:9`.
pub fn set_of(text: &str) -> Option<Vec<RangeInclusive<u32>>> {
    let range = |part: &str| {
        let (start, end) = part.split_once(':').unwrap_or((part, part));
        let (start, end): (u32, u32) = (start.parse().ok()?, end.parse().ok()?);
        Some(start.min(end)..=start.max(end))
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Response, &'static str> {
        Response::read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn what_dovecot_says() {
        let Ok(Response::List(listed)) = read("* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n") else {
            panic!()
        };
        assert_eq!((&*listed.path, listed.separator.as_deref()), ("Sent", Some("/")));
        assert!(listed.attributes.iter().any(|a| &**a == "\\Sent"));
        let text = "* STATUS \"A b\" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 1790000000 HIGHESTMODSEQ 18446744073709551615)\r\n";
        let Ok(Response::Status(path, numbers)) = read(text) else { panic!() };
        assert_eq!((&*path, numbers.uid_next, numbers.highest_modseq), ("A b", Some(9), Some(u64::MAX)));
        let text = "* 1 FETCH (UID 5 MODSEQ (7) FLAGS (\\Seen) INTERNALDATE \"22-Nov-2026 10:00:00 +0100\" RFC822.SIZE 3 BODY[] {3}\r\na\r\n)\r\n";
        let Ok(Response::Fetch(fetched)) = read(text) else { panic!() };
        assert_eq!((fetched.uid, fetched.size, fetched.marks), (Some(5), Some(3), Some(Marks::READ)));
        assert_eq!((fetched.body.as_deref(), fetched.received), (Some(&b"a\r\n"[..]), Some(1_795_338_000)));
        assert_eq!(read("* VANISHED (EARLIER) 3,9:7\r\n"), Ok(Response::Vanished(vec![3..=3, 7..=9])));
        assert_eq!(read("* 23 EXISTS\r\n"), Ok(Response::Exists(23)));
        assert_eq!(read("* SEARCH 3 5\r\n"), Ok(Response::Search(vec![3, 5])));
        let Ok(Response::Done(tag, state)) = read("a7 OK [COPYUID 5 1 9] it's \"done\r\n") else { panic!() };
        assert_eq!((&*tag, state.kind), ("a7", Kind::Ok));
        assert_eq!(state.code("COPYUID").unwrap(), ["5".into(), "1".into(), Box::<str>::from("9")]);
        assert_eq!(read("+ idling\r\n"), Ok(Response::Continue));
        let url = "imap://a@b:143/Drafts;UIDVALIDITY=1/;UID=2;URLAUTH=submit+a:internal:01";
        for said in [format!("* GENURLAUTH {url}\r\n"), format!("* GENURLAUTH \"{url}\"\r\n")] {
            assert_eq!(read(&said), Ok(Response::Authorized(url.into())));
        }
        let text = "* 1 FETCH (UID 5 FLAGS (\\Seen mailsyncsubmitting))\r\n";
        let Ok(Response::Fetch(fetched)) = read(text) else { panic!() };
        assert!(fetched.submitting && fetched.marks == Some(Marks::READ));
    }

    #[test]
    fn threat_l1_odd_responses_cost_themselves() {
        assert_eq!(
            read("* 1 FETCH (UID 5 INTERNALDATE NIL X (a (b)))\r\n"),
            Ok(Response::Fetch(Fetched { uid: Some(5), ..Fetched::default() }))
        );
        for text in [
            "* 1 FETCH (UID 5 \"\r\n",
            "* LIST a b c\r\n",
            "* VANISHED x\r\n",
            "a1 HM\r\n",
            "\r\n",
            "* 1 FETCH x\r\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("* WHATEVER (1 2)\r\n"), Ok(Response::Other));
    }
}
