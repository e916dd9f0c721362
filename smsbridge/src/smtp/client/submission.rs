//! A message to send.

use super::Capabilities;
use crate::smtp::{BodyType, Error, Limits, MailFrom, Notify, Recipient, Return, data};
use bytes::Bytes;
use std::collections::VecDeque;

/// A message to send.
///
/// # Shape
/// `body`: CRLF lines of at most 998 octets, no bare CR or LF, no NUL. If its last line has no CRLF, one is added on
/// the wire, as SMTP cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Submission {
    /// The sender; `size` and `body` are set from the message.
    pub from: MailFrom,
    /// The recipients, at least one.
    pub recipients: Vec<Recipient>,
    /// The message.
    pub body: Bytes,
    /// Where the server can fetch the same message itself (BURL). It is sent by this where the server offers that and
    /// does not refuse it, else by its octets, in the same session; never by both.
    ///
    /// Printable ASCII; what would not stand in a command line is not used.
    // spec: RFC 4468 §3.2
    pub url: Option<String>,
}

impl Submission {
    /// A message from and to these.
    pub fn new(from: MailFrom, recipients: Vec<Recipient>, body: Bytes) -> Self {
        Submission { from, recipients, body, url: None }
    }

    /// The command by which the server fetches it, if it can be asked to.
    pub(super) fn burl_command(&self, limits: &Limits, server: &Capabilities) -> Option<String> {
        let url = self.url.as_ref().filter(|_| server.burl.is_some())?;
        let line = format!("BURL {url} LAST");
        let fits = line.len().saturating_add(2) <= limits.command_octets;
        let plain = !url.is_empty() && url.bytes().all(|octet| octet.is_ascii_graphic());
        (fits && plain).then_some(line)
    }

    /// Checks it against the protocol and what this server offers.
    pub(super) fn check(&self, limits: &Limits, server: &Capabilities) -> Result<(), Error> {
        let (octets, max) = (self.body.len(), limits.message_octets);
        if octets > max {
            return Err(Error::Limit { what: "message_octets", value: octets, limit: max });
        }
        if let Some(limit) = server.max_size
            && u64::try_from(octets).is_ok_and(|octets| octets > limit)
        {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            return Err(Error::Limit { what: "SIZE of the server", value: octets, limit });
        }
        if self.recipients.is_empty() {
            return Err(Error::Limit { what: "recipients", value: 0, limit: 1 });
        }
        // mission: M1
        data::check(&self.body, limits.line_octets)?;
        if !server.eight_bit_mime && !self.body.is_ascii() {
            return Err(Error::NotOffered { extension: "8BITMIME" });
        }
        if !server.smtputf8 && (self.from.smtputf8 || !self.has_ascii_addresses()) {
            return Err(Error::NotOffered { extension: "SMTPUTF8" });
        }
        Ok(())
    }

    fn has_ascii_addresses(&self) -> bool {
        self.from.address.mailbox().is_none_or(|mailbox| mailbox.is_ascii())
            && self.recipients.iter().all(|to| to.address.mailbox().is_none_or(|mailbox| mailbox.is_ascii()))
    }

    /// The MAIL command, without CRLF.
    pub(super) fn mail_command(&self, server: &Capabilities) -> String {
        let from = &self.from;
        let mut line = format!("MAIL FROM:<{}>", from.address);
        if server.size {
            line.push_str(&format!(" SIZE={}", self.body.len()));
        }
        if server.eight_bit_mime && (from.body == BodyType::EightBitMime || !self.body.is_ascii()) {
            line.push_str(" BODY=8BITMIME");
        }
        if server.smtputf8 && (from.smtputf8 || !self.has_ascii_addresses()) {
            line.push_str(" SMTPUTF8");
        }
        if server.dsn {
            match from.ret {
                Some(Return::Full) => line.push_str(" RET=FULL"),
                Some(Return::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = &from.envid {
                line.push_str(&format!(" ENVID={}", xtext(envid)));
            }
        }
        line
    }

    /// The RCPT commands for the recipients at these places, without CRLF.
    pub(super) fn rcpt_commands(&self, places: &[usize], server: &Capabilities) -> VecDeque<String> {
        let recipients = places.iter().filter_map(|&at| self.recipients.get(at));
        recipients.map(|to| rcpt_command(to, server)).collect()
    }
}

fn rcpt_command(to: &Recipient, server: &Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", to.address);
    if server.dsn {
        if let Some(Notify { success, failure, delay }) = to.notify {
            let kinds = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let kinds: Vec<&str> =
                kinds.iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| *kind).collect();
            line.push_str(" NOTIFY=");
            line.push_str(&if kinds.is_empty() { "NEVER".to_owned() } else { kinds.join(",") });
        }
        if let Some(orcpt) = &to.orcpt {
            line.push_str(&format!(" ORCPT=rfc822;{}", xtext(orcpt)));
        }
    }
    line
}

/// spec: RFC 3461 §4; everything but plain printable ASCII as `+XX`, so no line end gets through
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => out.push_str(&format!("+{octet:02X}")),
            0x21..=0x7e => out.push(char::from(octet)),
            _ => out.push_str(&format!("+{octet:02X}")),
        }
    }
    out
}
