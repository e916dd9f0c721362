//! Addresses as they go on the wire, validated once and kept octet for octet.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::Error;
use std::fmt;
use std::str::FromStr;

/// A mailbox: `local-part@domain`, exactly as written.
///
/// # Shape
/// Local part: dot-atom or quoted string, 1 to 64 octets; domain: labels of letters, digits and inner hyphens, or an
/// address literal in brackets, 1 to 255 octets. Characters above U+007F are kept (RFC 6531); see [`Mailbox::is_ascii`].
/// # Errors
/// [`Error::Address`] with the octet where it goes wrong; control characters, space and NUL never pass.
/// # Spec
/// RFC 5321 §4.1.2, §4.5.3.1.1, §4.5.3.1.2
///
/// ```
/// use smsbridge::smtp::Mailbox;
/// let mailbox: Mailbox = "ann.lee@example.org".parse()?;
/// assert_eq!((mailbox.local_part(), mailbox.domain()), ("ann.lee", "example.org"));
/// assert!("ann@example.org\r\nRCPT TO:<eve@example.org>".parse::<Mailbox>().is_err());
/// # Ok::<(), smsbridge::smtp::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: String,
    at: usize,
}

impl Mailbox {
    /// The part before the `@`, quotes included.
    pub fn local_part(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.text.get(self.at.saturating_add(1)..).unwrap_or_default()
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if it needs no SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl FromStr for Mailbox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LOCAL + 1 + MAX_DOMAIN {
            return Err(Error::Address {
                reason: "longer than 320 octets",
                offset: MAX_LOCAL + 1 + MAX_DOMAIN,
            });
        }
        let at = local_part_end(text.as_bytes())?;
        let bad = |reason, offset| Err(Error::Address { reason, offset });
        if text.as_bytes().get(at) != Some(&b'@') {
            return bad("no @ where the local part ends", at);
        }
        if at > MAX_LOCAL {
            return bad("local part longer than 64 octets", MAX_LOCAL);
        }
        let start = at.saturating_add(1);
        check_domain(text.get(start..).unwrap_or_default(), start)?;
        Ok(Mailbox { text: text.to_owned(), at })
    }
}

const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 255;

/// Where the local part ends; quoted or dot-atom.
fn local_part_end(text: &[u8]) -> Result<usize, Error> {
    let bad = |reason, offset| Err(Error::Address { reason, offset });
    let mut octets = text.iter().copied().enumerate().peekable();
    if text.first() == Some(&b'"') {
        octets.next();
        while let Some((offset, octet)) = octets.next() {
            match octet {
                b'"' => return Ok(offset.saturating_add(1)),
                b'\\' => match octets.next() {
                    Some((_, 0x20..=0x7e)) => {}
                    _ => return bad("bad quoted pair", offset),
                },
                0x20..=0x7e | 0x80.. => {}
                _ => return bad("control character", offset),
            }
        }
        return bad("quoted string without an end", text.len());
    }
    let mut after_dot = true;
    while let Some(&(offset, octet)) = octets.peek() {
        match octet {
            b'.' if after_dot => return bad("empty atom", offset),
            b'.' => after_dot = true,
            octet if is_atext(octet) => after_dot = false,
            _ => break,
        }
        octets.next();
    }
    let end = octets.peek().map_or(text.len(), |&(offset, _)| offset);
    if after_dot { bad("empty atom", end) } else { Ok(end) }
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// `start` is where the domain begins, for the error.
fn check_domain(domain: &str, start: usize) -> Result<(), Error> {
    let bad = |reason, offset: usize| Err(Error::Address { reason, offset: start.saturating_add(offset) });
    if domain.len() > MAX_DOMAIN {
        return bad("domain longer than 255 octets", MAX_DOMAIN);
    }
    if let Some(literal) = domain.strip_prefix('[') {
        let Some(inner) = literal.strip_suffix(']') else {
            return bad("address literal without ]", domain.len());
        };
        let legal = |octet: u8| octet.is_ascii_alphanumeric() || b".:-".contains(&octet);
        return match inner.bytes().position(|octet| !legal(octet)) {
            Some(offset) => bad("bad octet in an address literal", offset.saturating_add(1)),
            None if inner.is_empty() => bad("empty address literal", 0),
            None => Ok(()),
        };
    }
    let mut offset = 0usize;
    for label in domain.split('.') {
        let legal =
            |octet: u8| octet.is_ascii_alphanumeric() || octet >= 0x80 || octet == b'-' || octet == b'_';
        if label.is_empty() {
            return bad("empty label", offset);
        }
        // "_" is met in real host names, though no standard has it
        if let Some(position) = label.bytes().position(|octet| !legal(octet)) {
            return bad("bad octet in a domain", offset.saturating_add(position));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return bad("label with an outer hyphen", offset);
        }
        offset = offset.saturating_add(label.len()).saturating_add(1);
    }
    Ok(())
}

/// Where failure reports go: a mailbox, or nowhere (`<>`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a report; never answer it automatically.
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox, if there is one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mailbox().map_or(Ok(()), |mailbox| mailbox.fmt(f))
    }
}

impl fmt::Debug for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl FromStr for ReversePath {
    type Err = Error;

    /// The empty string is the null path.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() { Ok(ReversePath::Null) } else { text.parse().map(ReversePath::Mailbox) }
    }
}

/// A recipient: a mailbox, or the bare `postmaster` that every server knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// The mailbox; `None` for the bare `postmaster`.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ForwardPath::Postmaster => None,
            ForwardPath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

impl fmt::Debug for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

impl FromStr for ForwardPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster);
        }
        text.parse().map(ForwardPath::Mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_kept_as_written() {
        for text in [
            "a@b",
            "Ann.Lee+tag@Example.ORG",
            "\"a b\\\"@c\"@example.org",
            "+8613800138000@sms.example",
            "x@[127.0.0.1]",
            "x@[IPv6:::1]",
            "Jörg@例え.jp",
            "12025550199/TYPE=PLMN@mms.example",
        ] {
            let mailbox: Mailbox = text.parse().unwrap();
            assert_eq!(mailbox.as_str(), text);
            assert_eq!(format!("{}@{}", mailbox.local_part(), mailbox.domain()), text);
        }
    }

    #[test]
    fn threat_m2_bad_addresses_are_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b",
            "a@@b",
            "a@b@c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@b c",
            "a@b\r\n",
            "a\0@b",
            "a@b\nRCPT",
            "<a@b>",
            "a@b>",
            "\"a@b",
            "\"a\r\"@b",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@.b",
            "a@b.",
            "a@[",
            "a@[]",
            "a@[1.2.3.4",
            "a@[1>]",
            "a@b,c@d",
            "a@b;c",
            "a(b)@c",
        ] {
            assert!(text.parse::<Mailbox>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        let local = "l".repeat(64);
        let domain = format!("{}.org", "d".repeat(251));
        assert_eq!(domain.len(), 255);
        assert!(format!("{local}@{domain}").parse::<Mailbox>().is_ok());
        assert!(format!("l{local}@b").parse::<Mailbox>().is_err());
        assert!(format!("a@d{domain}").parse::<Mailbox>().is_err());
    }

    #[test]
    fn paths() {
        assert_eq!("".parse::<ReversePath>().unwrap(), ReversePath::Null);
        assert_eq!("PostMaster".parse::<ForwardPath>().unwrap(), ForwardPath::Postmaster);
        assert!("postmaster".parse::<ReversePath>().is_err());
        assert!("".parse::<ForwardPath>().is_err());
    }
}
