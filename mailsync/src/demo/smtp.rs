//! A plain SMTP client: one connection, mails one after the other.

use super::mails::Mail;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long the server may think.
const PATIENCE: Duration = Duration::from_secs(60);

/// Submits mails to one recipient.
///
/// # Errors
/// In words: what was refused, and how.
// spec: RFC 5321 §3.3, §4.5.2
pub(super) fn submit(server: &str, to: &str, mails: &[Mail]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("SMTP with {server}: {error}");
    let stream = TcpStream::connect(server).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut talk = Talk { writer: stream.try_clone().map_err(failed)?, reader: BufReader::new(stream) };
    talk.expect("220")?;
    let offers = talk.command("EHLO demo.example", "250")?;
    for offer in ["8BITMIME", "SMTPUTF8"] {
        if !offers.lines().any(|line| line.get(4..).is_some_and(|word| word.trim_end() == offer)) {
            return Err(format!("the SMTP server does not offer {offer}: {offers}"));
        }
    }
    for mail in mails {
        let envelope = format!("MAIL FROM:<{}> BODY=8BITMIME SMTPUTF8 SIZE={}", mail.from, mail.octets.len());
        talk.command(&envelope, "250")?;
        talk.command(&format!("RCPT TO:<{to}>"), "250")?;
        talk.command("DATA", "354")?;
        talk.writer.write_all(&stuffed(&mail.octets)).map_err(failed)?;
        talk.expect("250").map_err(|error| format!("{}: {error}", mail.what))?;
    }
    talk.command("QUIT", "221")?;
    Ok(())
}

/// What of a mail can come out again: SMTP ends its last line, if it has no end.
pub(super) fn as_delivered(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// The content as it goes over the wire, with its end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

struct Talk {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Talk {
    fn command(&mut self, line: &str, code: &str) -> Result<String, String> {
        self.writer
            .write_all(format!("{line}\r\n").as_bytes())
            .map_err(|error| format!("SMTP {line}: {error}"))?;
        self.expect(code).map_err(|error| format!("{line}: {error}"))
    }

    /// Reads a reply of one or more lines.
    fn expect(&mut self, code: &str) -> Result<String, String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let read = self.reader.read_line(&mut reply).map_err(|error| format!("SMTP: {error}"))?;
            let line = reply.get(start..).unwrap_or_default();
            if read == 0 {
                return Err("SMTP: the server hung up".into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if reply.starts_with(code) { Ok(reply) } else { Err(format!("SMTP: {}", reply.trim_end())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec: RFC 5321 §4.5.2
    #[test]
    fn dots_are_doubled_and_the_end_is_ours() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b\r\n"), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
        assert_eq!(stuffed(b""), b"\r\n.\r\n");
        assert_eq!(as_delivered(b"a"), b"a\r\n");
    }
}
