//! One link to a POP3 server: a command out, its answer in.

use crate::mailbox::Error;
use crate::mailbox::imap::Credentials;
use crate::mailbox::link::{AnyStream, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailsync_proto::mail::account::{Server, Tls};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(120);
/// Octets of a status line. RFC 1939 says 512; some say more.
const LINE: usize = 8 << 10;
/// Octets of a listing: a few hundred thousand mails.
pub(super) const LISTING: usize = 32 << 20;

/// A link that is logged in.
pub(super) struct Connection {
    stream: AnyStream,
    /// What came and is not read yet: from `read` on.
    buffer: Vec<u8>,
    read: usize,
    can: Vec<String>,
}

/// What the server says to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// `+OK`, with what stands behind it.
    Ok(String),
    /// `-ERR`, in its own words.
    No(String),
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(trust: &Trust, place: &Server, login: &Credentials) -> Result<Self, Error> {
        let stream = trust.connect(place).await?;
        let mut link = Connection { stream, buffer: Vec::new(), read: 0, can: Vec::new() };
        match link.said().await? {
            Said::Ok(_) => {}
            Said::No(words) => return Err(Error::Link(format!("greeting: {words}"))),
        }
        link.capabilities().await?;
        if place.tls == Tls::Starttls {
            match link.command("STLS").await? {
                Said::Ok(_) => {}
                // threats: M3: without it nothing is said that others may hear.
                Said::No(words) => return Err(Error::Unsafe(format!("no STLS: {words}"))),
            }
            // threats: M3: what came before the handshake was not the server's.
            if link.read < link.buffer.len() {
                return Err(Error::Unsafe("the server spoke between STLS and TLS".into()));
            }
            link.stream = trust.encrypt(place, link.stream).await?;
            link.capabilities().await?;
        }
        link.login(login).await?;
        Ok(link)
    }

    async fn login(&mut self, login: &Credentials) -> Result<(), Error> {
        let said = match login {
            // spec: RFC 5034 §4
            Credentials::Token(user, token) => {
                let raw = format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose());
                match self.command(&format!("AUTH XOAUTH2 {}", STANDARD.encode(raw))).await? {
                    // A challenge is an error's text: an empty answer ends it.
                    Said::Ok(words) if words.starts_with("+ ") || words == "+" => self.command("").await?,
                    said => said,
                }
            }
            Credentials::Password(user, password) => match self.command(&format!("USER {user}")).await? {
                Said::Ok(_) => self.command(&format!("PASS {}", password.expose())).await?,
                no => no,
            },
        };
        match said {
            Said::Ok(_) => {
                self.capabilities().await?;
                Ok(())
            }
            // spec: RFC 2449 §8.1.2, RFC 3206 §4: not for what we said
            Said::No(words) if ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/"].iter().any(|c| words.contains(c)) => {
                Err(Error::Link(words))
            }
            Said::No(words) => Err(Error::Login(words)),
        }
    }

    /// Learns what the server can; one that does not say can what all can.
    // spec: RFC 2449 §5
    async fn capabilities(&mut self) -> Result<(), Error> {
        self.can.clear();
        if let Said::Ok(_) = self.command("CAPA").await? {
            let text = self.body(LISTING).await?;
            self.can = String::from_utf8_lossy(&text).lines().map(|line| line.to_ascii_uppercase()).collect();
        }
        Ok(())
    }

    /// Whether the server has said that it can do this.
    pub(super) fn can(&self, name: &str) -> bool {
        self.can.iter().any(|line| line.split(' ').next() == Some(name))
    }

    /// Seconds that must lie between two logins.
    pub(super) fn login_delay(&self) -> Duration {
        let line = self.can.iter().find_map(|line| line.strip_prefix("LOGIN-DELAY "));
        let seconds = line.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
        Duration::from_secs(seconds).min(Duration::from_secs(3600))
    }

    /// A command and the first line of its answer.
    pub(super) async fn command(&mut self, line: &str) -> Result<Said, Error> {
        // threats: M2
        if line.bytes().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            return Err(Error::Refused("a line end inside a command".into()));
        }
        let writing = async {
            self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
            self.stream.flush().await
        };
        match timeout(SILENCE, writing).await {
            Ok(Ok(())) => self.said().await,
            Ok(Err(error)) => Err(Error::Link(error.to_string())),
            Err(_) => Err(Error::Link("the server takes nothing".into())),
        }
    }

    async fn said(&mut self) -> Result<Said, Error> {
        let line = loop {
            if let Some(line) = self.line() {
                break line;
            }
            if self.buffer.len().saturating_sub(self.read) > LINE {
                return Err(Error::Link(format!("a line of more than {LINE} octets")));
            }
            self.fill().await?;
        };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match (line.strip_prefix("+OK"), line.strip_prefix("-ERR"), line.starts_with("+ ") || line == "+") {
            (Some(words), ..) => Ok(Said::Ok(words.trim_start().into())),
            (_, Some(words), _) => Ok(Said::No(words.trim_start().into())),
            (.., true) => Ok(Said::Ok(line)),
            _ => Err(Error::Link("no answer of a POP3 server".into())),
        }
    }

    /// The lines that follow an answer, dots undone; at most so many octets are kept, the rest is read over.
    // spec: RFC 1939 §3
    pub(super) async fn body(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        // Where in a line we are: a line longer than any buffer is taken piece by piece.
        let mut starts = true;
        loop {
            let piece = match self.piece(starts) {
                Some(piece) => piece,
                None => {
                    self.fill().await?;
                    continue;
                }
            };
            if starts && (piece == b".\r\n" || piece == b".\n") {
                return Ok(body);
            }
            let text = if starts && piece.first() == Some(&b'.') { piece.get(1..) } else { Some(&*piece) };
            let text = text.unwrap_or_default();
            let room = most.saturating_sub(body.len());
            body.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            starts = piece.ends_with(b"\n");
        }
    }

    /// The next line, or what is there of a long one. A line that may be the end is taken whole.
    fn piece(&mut self, starts: bool) -> Option<Vec<u8>> {
        if let Some(line) = self.line() {
            return Some(line);
        }
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        // A line end may be torn apart: its CR waits for what follows.
        let whole = rest.len() - usize::from(rest.last() == Some(&b'\r'));
        if whole == 0 || (starts && whole < 3) {
            return None;
        }
        let piece = rest.get(..whole).map(<[u8]>::to_vec);
        self.read += whole;
        piece
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.read..)?;
        let end = rest.iter().position(|octet| *octet == b'\n')? + 1;
        let line = rest.get(..end).map(<[u8]>::to_vec);
        self.read += end;
        line
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.buffer.drain(..self.read);
        self.read = 0;
        let mut chunk = [0; 16 << 10];
        match timeout(SILENCE, self.stream.read(&mut chunk)).await {
            Ok(Ok(0)) => Err(Error::Link("the server closed the link".into())),
            Ok(Ok(count)) => {
                self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
            Ok(Err(error)) => Err(Error::Link(error.to_string())),
            Err(_) => Err(Error::Link("the server is silent".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    /// Says its octets so many at a time, and takes everything.
    struct Script(Vec<u8>, usize);

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            to: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let count = self.1.min(self.0.len()).min(to.remaining());
            let some: Vec<u8> = self.0.drain(..count).collect();
            to.put_slice(&some);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Ok(octets.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn link(text: &[u8], at_once: usize) -> Connection {
        let stream = Box::new(Script(text.to_vec(), at_once));
        Connection { stream, buffer: Vec::new(), read: 0, can: Vec::new() }
    }

    // spec-test: RFC 1939 §3
    #[tokio::test]
    async fn a_message_comes_out_as_it_went_in_however_it_is_cut() {
        let long = "y".repeat(50_000);
        let message = format!(".dot\r\n..\r\n.\rx\r\nbare\nend\r\r\n{long}\r\n.");
        let stuffed = message.replace("\n.", "\n..");
        let wire = format!("+OK\r\n.{stuffed}\r\n.\r\n-ERR next\r\n");
        for at_once in [1, 2, 3, 7, 1000, 100_000] {
            let mut link = link(wire.as_bytes(), at_once);
            assert_eq!(link.said().await.unwrap(), Said::Ok(String::new()));
            let body = link.body(LISTING).await.unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), format!("{message}\r\n"), "{at_once} at once");
            assert_eq!(link.said().await.unwrap(), Said::No("next".into()));
        }
        let mut link = link(wire.as_bytes(), 64);
        link.said().await.unwrap();
        assert_eq!(link.body(10).await.unwrap().len(), 10, "no more than was wanted");
        assert_eq!(link.said().await.unwrap(), Said::No("next".into()), "the rest is read over");
    }

    #[tokio::test]
    async fn threat_m2_bad_answers_end_the_link_and_nothing_else() {
        for (text, words) in [
            ("* OK imap here\r\n".to_owned(), "no answer of a POP3 server"),
            ("x".repeat(10_000), "a line of more than"),
            ("+OK half a li".into(), "closed the link"),
        ] {
            let error = link(text.as_bytes(), 512).said().await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = link(b"a line\r\nno end\r\n", 5).body(100).await.unwrap_err();
        assert!(matches!(error, Error::Link(_)));
        let error = link(b"+OK\r\n", 5).command("USER a\r\nDELE 1").await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
    }
}
