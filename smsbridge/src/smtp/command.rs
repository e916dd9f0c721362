//! Command lines: framed here, read by `smtp-proto`, checked for what it lets through.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    BodyType, EnhancedCode, ForwardPath, Limits, MailFrom, Notify, Recipient, Reply, ReversePath,
    envelope::Return,
};
use smtp_proto::Request;
use std::borrow::Cow;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Lhlo(String),
    Mail(Box<MailFrom>),
    Rcpt(Box<Recipient>),
    Data,
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    StartTls,
    /// The mechanism's bit in `smtp-proto`, and the initial response, still encoded.
    Auth(u64, Option<String>),
}

/// Cuts the input into lines. Only CRLF ends one, so that a bare LF cannot slip a second command in.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    after_cr: bool,
    overflow: bool,
    dirty: bool,
}

/// One line, without its CRLF, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong,
    /// Bare CR, bare LF or NUL inside.
    Dirty,
}

impl Lines {
    /// Takes octets from the front of `input` up to the next CRLF; `None` if there is none yet. At most `max` octets
    /// are kept, CRLF included.
    pub(super) fn next(&mut self, input: &mut &[u8], max: usize) -> Option<Line> {
        while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, input) {
            let (piece, rest) = input.split_at_checked(at.saturating_add(1)).unwrap_or((input, &[]));
            *input = rest;
            let after_cr = std::mem::replace(&mut self.after_cr, false) && piece.len() == 1;
            self.keep(piece, max);
            match piece.last() {
                Some(b'\n') if after_cr => return Some(self.end()),
                Some(b'\r') => {
                    self.dirty |= after_cr;
                    self.after_cr = true;
                }
                _ => self.dirty = true,
            }
        }
        self.keep(input, max);
        self.after_cr &= input.is_empty();
        *input = &[];
        None
    }

    fn keep(&mut self, piece: &[u8], max: usize) {
        if self.overflow || self.line.len().saturating_add(piece.len()) > max {
            self.overflow = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    fn end(&mut self) -> Line {
        let Lines { mut line, overflow, dirty, .. } = std::mem::take(self);
        line.truncate(line.len().saturating_sub(2));
        if overflow {
            Line::TooLong
        } else if dirty || line.contains(&b'\r') {
            Line::Dirty
        } else {
            Line::Text(line)
        }
    }
}

/// Octets that a command line may have, CRLF included: more for the parameters that we announce.
pub(super) fn max_octets(line: &[u8], limits: &Limits, dsn: bool, auth: bool) -> usize {
    let verb = line.get(..4).unwrap_or_default();
    // spec: RFC 1870 §3 (26), RFC 6152 §2 (17), RFC 6531 §3.1 (10)
    let more = if verb.eq_ignore_ascii_case(b"MAIL") {
        if dsn { 53 + 500 } else { 53 }
    } else if verb.eq_ignore_ascii_case(b"RCPT") && dsn {
        500
    } else if verb.eq_ignore_ascii_case(b"AUTH") && auth {
        return limits.auth_octets.max(limits.command_octets);
    } else {
        0
    };
    limits.command_octets.saturating_add(more)
}

/// Reads a command line (without CRLF; no CR, LF or NUL inside).
pub(super) fn parse(line: &[u8], dsn: bool) -> Result<Command, Reply> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, EnhancedCode(5, 5, 2), "The line is not UTF-8"));
    };
    if text.bytes().any(|octet| octet < 0x20 && octet != b'\t' || octet == 0x7f) {
        return Err(Reply::new(500, EnhancedCode(5, 5, 2), "Control character in the line"));
    }
    let mut framed = Vec::with_capacity(line.len().saturating_add(2));
    framed.extend_from_slice(line);
    framed.extend_from_slice(b"\r\n");
    let request = Request::parse(&mut framed.iter()).map_err(|error| refuse(&error))?;
    let argument = text.split_once(' ').map_or("", |(_, rest)| rest.trim());
    Ok(match request {
        Request::Ehlo { host } => Command::Ehlo(host_name(host)?),
        Request::Helo { host } => Command::Helo(host_name(host)?),
        Request::Lhlo { host } => Command::Lhlo(host_name(host)?),
        Request::Mail { from } => Command::Mail(Box::new(mail_from(text, from, dsn)?)),
        Request::Rcpt { to } => Command::Rcpt(Box::new(recipient(text, to, dsn)?)),
        Request::Data if argument.is_empty() => Command::Data,
        Request::Rset if argument.is_empty() => Command::Rset,
        Request::Quit if argument.is_empty() => Command::Quit,
        Request::StartTls if argument.is_empty() => Command::StartTls,
        Request::Data | Request::Rset | Request::Quit | Request::StartTls => {
            return Err(Reply::new(501, EnhancedCode(5, 5, 4), "This command has no parameters"));
        }
        Request::Noop { .. } => Command::Noop,
        Request::Vrfy { .. } => Command::Vrfy,
        Request::Help { .. } => Command::Help,
        Request::Auth { mechanism, initial_response } => {
            let initial = (!initial_response.is_empty()).then(|| initial_response.into_owned());
            Command::Auth(mechanism, initial)
        }
        Request::Bdat { .. }
        | Request::Burl { .. }
        | Request::Expn { .. }
        | Request::Etrn { .. }
        | Request::Atrn { .. } => {
            return Err(Reply::new(502, EnhancedCode(5, 5, 1), "Command not implemented"));
        }
    })
}

fn refuse(error: &smtp_proto::Error) -> Reply {
    use smtp_proto::Error as E;
    match error {
        E::UnknownCommand => Reply::new(500, EnhancedCode(5, 5, 2), "Command not recognized"),
        E::InvalidSenderAddress => Reply::new(501, EnhancedCode(5, 1, 7), "Bad sender address syntax"),
        E::InvalidRecipientAddress => Reply::new(501, EnhancedCode(5, 1, 3), "Bad recipient address syntax"),
        E::SyntaxError { syntax } => Reply::new(501, EnhancedCode(5, 5, 4), format!("Syntax: {syntax}")),
        E::InvalidParameter { param } => {
            Reply::new(501, EnhancedCode(5, 5, 4), format!("Bad parameter {param}"))
        }
        E::UnsupportedParameter { .. } => Reply::new(555, EnhancedCode(5, 5, 4), "Parameter not implemented"),
        _ => Reply::new(501, EnhancedCode(5, 5, 4), "Syntax error"),
    }
}

fn host_name(host: Cow<'_, str>) -> Result<String, Reply> {
    // goes into the trace field: only what can stand there
    if host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet) || octet >= 0x80)
    {
        Ok(host.into_owned())
    } else {
        Err(Reply::new(501, EnhancedCode(5, 5, 4), "Bad host name"))
    }
}

/// The path as written, and what follows it. The library takes quotes off and turns `<postmaster>` into nothing, so that its addresses
/// are no longer what was sent.
fn path(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once('<')?;
    let (mut quoted, mut escaped) = (false, false);
    let end = rest.bytes().position(|octet| {
        let end = octet == b'>' && !quoted;
        if escaped {
            escaped = false;
        } else if quoted && octet == b'\\' {
            escaped = true;
        } else if octet == b'"' {
            quoted = !quoted;
        }
        end
    })?;
    let inner = rest.get(..end)?.trim_matches(' ');
    // spec: RFC 5321 §4.1.1.3, source routes are dropped
    let mailbox = match inner.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => inner,
    };
    Some((mailbox, rest.get(end..)?))
}

fn mail_from(text: &str, from: smtp_proto::MailFrom<Cow<'_, str>>, dsn: bool) -> Result<MailFrom, Reply> {
    use smtp_proto as s;
    let bad_address = || Reply::new(501, EnhancedCode(5, 1, 7), "Bad sender address syntax");
    let (address, parameters) = path(text).ok_or_else(bad_address)?;
    let address: ReversePath = address.parse().map_err(|_| bad_address())?;
    let offered = s::MAIL_BODY_7BIT
        | s::MAIL_BODY_8BITMIME
        | s::MAIL_SMTPUTF8
        | if dsn { s::MAIL_RET_FULL | s::MAIL_RET_HDRS } else { 0 };
    let others = from.by != 0
        || from.trans_id.is_some()
        || from.solicit.is_some()
        || from.mtrk.is_some()
        || from.hold_for != 0
        || from.hold_until != 0
        || from.mt_priority != 0
        || (from.env_id.is_some() && !dsn);
    if from.flags & !offered != 0 || others {
        return Err(Reply::new(555, EnhancedCode(5, 5, 4), "Parameter not implemented"));
    }
    let size = size_parameter(parameters)?;
    let smtputf8 = from.flags & s::MAIL_SMTPUTF8 != 0;
    if !smtputf8 && address.mailbox().is_some_and(|mailbox| !mailbox.is_ascii()) {
        // spec: RFC 6531 §3.5
        return Err(Reply::new(553, EnhancedCode(5, 6, 7), "This address needs SMTPUTF8"));
    }
    let body =
        if from.flags & s::MAIL_BODY_8BITMIME != 0 { BodyType::EightBitMime } else { BodyType::SevenBit };
    let ret = if from.flags & s::MAIL_RET_FULL != 0 {
        Some(Return::Full)
    } else if from.flags & s::MAIL_RET_HDRS != 0 {
        Some(Return::Headers)
    } else {
        None
    };
    let envid = from.env_id.map(Cow::into_owned);
    clean_xtext(envid.as_deref())?;
    Ok(MailFrom { address, size, body, smtputf8, ret, envid })
}

/// `SIZE=` read anew: the library's number wraps for absurd values.
fn size_parameter(parameters: &str) -> Result<Option<u64>, Reply> {
    for word in parameters.split(' ') {
        let Some((key, value)) = word.split_once('=') else { continue };
        if key.eq_ignore_ascii_case("SIZE") {
            // spec: RFC 1870 §3, 1 to 20 digits
            let digits = (1..=20).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
            if !digits {
                return Err(Reply::new(501, EnhancedCode(5, 5, 4), "Bad parameter SIZE"));
            }
            return Ok(Some(value.parse().unwrap_or(u64::MAX)));
        }
    }
    Ok(None)
}

fn recipient(text: &str, to: smtp_proto::RcptTo<Cow<'_, str>>, dsn: bool) -> Result<Recipient, Reply> {
    use smtp_proto as s;
    let bad_address = || Reply::new(501, EnhancedCode(5, 1, 3), "Bad recipient address syntax");
    let (address, _) = path(text).ok_or_else(bad_address)?;
    let address: ForwardPath = address.parse().map_err(|_| bad_address())?;
    let notify =
        s::RCPT_NOTIFY_NEVER | s::RCPT_NOTIFY_SUCCESS | s::RCPT_NOTIFY_FAILURE | s::RCPT_NOTIFY_DELAY;
    let offered = if dsn { notify } else { 0 };
    if to.flags & !offered != 0 || to.rrvs != 0 || (to.orcpt.is_some() && !dsn) {
        return Err(Reply::new(555, EnhancedCode(5, 5, 4), "Parameter not implemented"));
    }
    if to.flags & s::RCPT_NOTIFY_NEVER != 0 && to.flags & notify != s::RCPT_NOTIFY_NEVER {
        return Err(Reply::new(501, EnhancedCode(5, 5, 4), "Bad parameter NOTIFY"));
    }
    let orcpt = to.orcpt.map(Cow::into_owned);
    clean_xtext(orcpt.as_deref())?;
    let notify = (to.flags & notify != 0).then_some(Notify {
        success: to.flags & s::RCPT_NOTIFY_SUCCESS != 0,
        failure: to.flags & s::RCPT_NOTIFY_FAILURE != 0,
        delay: to.flags & s::RCPT_NOTIFY_DELAY != 0,
    });
    Ok(Recipient { address, notify, orcpt })
}

/// `+0D` in an xtext would be a line end in a report.
fn clean_xtext(text: Option<&str>) -> Result<(), Reply> {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(Reply::new(501, EnhancedCode(5, 5, 4), "Control character in a parameter"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> u16 {
        match parse(line.as_bytes(), false) {
            Ok(_) => 250,
            Err(reply) => reply.code,
        }
    }

    #[test]
    fn lines_are_framed_at_any_split() {
        let mut lines = Lines::default();
        assert_eq!(lines.next(&mut &b"NO"[..], 512), None);
        assert_eq!(lines.next(&mut &b"OP\r"[..], 512), None);
        let mut input = &b"\nQUIT\r\n"[..];
        assert_eq!(lines.next(&mut input, 512), Some(Line::Text(b"NOOP".to_vec())));
        assert_eq!(lines.next(&mut input, 512), Some(Line::Text(b"QUIT".to_vec())));
        assert_eq!(lines.next(&mut input, 512), None);
    }

    #[test]
    fn bare_line_ends_and_nul_make_a_line_dirty() {
        for line in ["NO\nOP\r\n", "NO\rOP\r\n", "NOOP\r\r\n", "NO\0OP\r\n", "\n\r\n", "\r\0\r\n", "\n\n\r\n"]
        {
            let mut lines = Lines::default();
            assert_eq!(lines.next(&mut line.as_bytes(), 512), Some(Line::Dirty), "{line:?}");
            let cut = line.bytes().find_map(|octet| lines.next(&mut &[octet][..], 512));
            assert_eq!(cut, Some(Line::Dirty), "{line:?}");
            assert_eq!(lines.next(&mut &b"NOOP\r\n"[..], 512), Some(Line::Text(b"NOOP".to_vec())));
        }
    }

    #[test]
    fn the_line_limit_is_exact() {
        for (octets, fits) in [(512, true), (513, false)] {
            let line = format!("{}\r\n", "x".repeat(octets - 2));
            let whole = Lines::default().next(&mut line.as_bytes(), 512).unwrap();
            assert_eq!(whole != Line::TooLong, fits);
            let mut lines = Lines::default();
            let cut = line.bytes().find_map(|octet| lines.next(&mut &[octet][..], 512)).unwrap();
            assert_eq!(cut, whole);
        }
    }

    #[test]
    fn addresses_are_kept_as_written() {
        for (line, address) in [
            ("MAIL FROM:<a@b.c>", "a@b.c"),
            ("mail from: <a@b.c> size=10", "a@b.c"),
            ("MAIL FROM:<>", ""),
            ("MAIL FROM:<\"a > b\"@c>", "\"a > b\"@c"),
            ("MAIL FROM:<\"a\\\"b\"@c>", "\"a\\\"b\"@c"),
            ("MAIL FROM:<@hop.one,@hop.two:a@b.c>", "a@b.c"),
        ] {
            let Ok(Command::Mail(from)) = parse(line.as_bytes(), false) else { panic!("{line}") };
            assert_eq!(from.address.to_string(), address);
        }
        let Ok(Command::Rcpt(to)) = parse(b"RCPT TO:<Postmaster>", false) else { panic!() };
        assert_eq!(to.address, ForwardPath::Postmaster);
    }

    #[test]
    fn parameters() {
        let line = "MAIL FROM:<a@b.c> SIZE=123 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb";
        let Ok(Command::Mail(from)) = parse(line.as_bytes(), true) else { panic!() };
        assert_eq!((from.size, from.body, from.smtputf8), (Some(123), BodyType::EightBitMime, true));
        assert_eq!((from.ret, from.envid.as_deref()), (Some(Return::Headers), Some("a+b")));
        let line = "RCPT TO:<a@b.c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40y";
        let Ok(Command::Rcpt(to)) = parse(line.as_bytes(), true) else { panic!() };
        assert_eq!(to.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!(to.orcpt.as_deref(), Some("x@y"));
    }

    #[test]
    fn wrong_lines_get_the_code_of_the_standard() {
        for (line, expected) in [
            ("", 500),
            ("FOO", 500),
            ("MAIL", 501),
            ("MAIL FROM", 501),
            ("MAIL FROM:a@b", 501),
            ("MAIL FROM:<postmaster>", 501),
            ("MAIL FROM:<a@b", 501),
            ("MAIL FROM:<a b@c>", 501),
            ("MAIL FROM:<a@b>garbage", 555),
            ("MAIL FROM:<a@b> SIZE=", 501),
            ("MAIL FROM:<a@b> SIZE=18446744073709551614", 250),
            ("MAIL FROM:<a@b> SIZE=999999999999999999999", 501),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", 555),
            ("MAIL FROM:<a@b> BODY=9BIT", 501),
            ("MAIL FROM:<a@b> RET=FULL", 555),
            ("MAIL FROM:<a@b> AUTH=<>", 250),
            ("MAIL FROM:<é@b>", 553),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b> FOO=BAR", 555),
            ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
            ("EHLO", 501),
            ("EHLO bad(name)", 501),
            ("DATA now", 501),
            ("QUIT now", 501),
            ("BDAT 10 LAST", 502),
            ("EXPN list", 502),
            ("NOOP anything goes", 250),
        ] {
            assert_eq!(code(line), expected, "{line:?}");
        }
        let xtext = parse(b"MAIL FROM:<a@b> ENVID=a+0D+0Ab", true);
        assert_eq!(xtext.unwrap_err().code, 501);
    }
}
