//! One link to an IMAP server: commands out, responses in.

use super::frame::Framer;
use super::response::{Kind, Response, State};
use crate::mailbox::Error;
use crate::mailbox::link::{AnyStream, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mailsync_proto::mail::account::{Server, Tls};
use smsbridge::Secret;
use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(120);

/// How to log in.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A password.
    Password(String, Secret<String>),
    /// An OAuth 2 access token.
    Token(String, Secret<String>),
}

/// A link that is logged in.
pub(super) struct Connection {
    stream: AnyStream,
    framer: Framer,
    buffer: Vec<u8>,
    tag: u32,
    can: HashSet<Box<str>>,
    /// The server has said, unasked, that a folder changed.
    stirred: bool,
}

/// What a command is made of.
pub(super) enum Piece<'a> {
    /// A stretch of a line.
    Line(String),
    /// Any octets.
    Literal(&'a [u8]),
}

/// What a command came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) state: State,
    pub(super) untagged: Vec<Response>,
    /// A response could not be read.
    pub(super) torn: bool,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(trust: &Trust, place: &Server, login: &Credentials) -> Result<Self, Error> {
        let stream = trust.connect(place).await?;
        let mut link = Connection {
            stream,
            framer: Framer::default(),
            buffer: vec![0; 16 << 10],
            tag: 0,
            can: HashSet::new(),
            stirred: false,
        };
        match link.response().await? {
            Some(Response::State(state)) if state.kind == Kind::Ok => link.learn(state.capabilities()),
            // threats: M3: who is logged in before the first word may be anyone.
            Some(Response::State(state)) if state.kind == Kind::Preauth => {
                return Err(Error::Unsafe("the server says that we are logged in already".into()));
            }
            Some(Response::State(state)) => return Err(Error::Link(format!("greeting: {}", state.words))),
            _ => return Err(Error::Link("no greeting of an IMAP server".into())),
        }
        if place.tls == Tls::Starttls {
            link = link.starttls(trust, place).await?;
        }
        if link.can.is_empty() {
            link.capability().await?;
        }
        link.login(login).await?;
        Ok(link)
    }

    async fn starttls(mut self, trust: &Trust, place: &Server) -> Result<Self, Error> {
        self.ok("STARTTLS").await?;
        // threats: M3: what came before the handshake was not the server's.
        if !self.framer.is_empty() {
            return Err(Error::Unsafe("the server spoke between STARTTLS and TLS".into()));
        }
        let stream = trust.encrypt(place, self.stream).await?;
        Ok(Connection { stream, can: HashSet::new(), ..self })
    }

    async fn login(&mut self, login: &Credentials) -> Result<(), Error> {
        let refused = |answer: Answer| match answer.state.kind {
            Kind::Ok => Ok(answer),
            _ => Err(Error::Login(answer.state.words.into())),
        };
        let answer = match login {
            Credentials::Token(user, token) => {
                let raw = format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose());
                refused(self.authenticate("XOAUTH2", raw.as_bytes()).await?)?
            }
            Credentials::Password(user, password) if self.can("AUTH=PLAIN") => {
                let raw = format!("\0{user}\0{}", password.expose());
                refused(self.authenticate("PLAIN", raw.as_bytes()).await?)?
            }
            Credentials::Password(..) if self.can("LOGINDISABLED") => {
                return Err(Error::Login("the server takes no password over this link".into()));
            }
            Credentials::Password(user, password) => {
                let line = format!("LOGIN {} {}", quoted(user)?, quoted(password.expose())?);
                refused(self.command(&line).await?)?
            }
        };
        match answer.state.capabilities() {
            Some(known) => self.learn(Some(known)),
            None => self.capability().await?,
        }
        Ok(())
    }

    async fn authenticate(&mut self, mechanism: &str, raw: &[u8]) -> Result<Answer, Error> {
        let coded = STANDARD.encode(raw);
        if self.can("SASL-IR") {
            let tag = self.send(format!("AUTHENTICATE {mechanism} {coded}").as_bytes()).await?;
            // A second challenge is an error's text: an empty answer ends it.
            return self.answer(&tag, Some("")).await;
        }
        let tag = self.send(format!("AUTHENTICATE {mechanism}").as_bytes()).await?;
        self.answer(&tag, Some(&coded)).await
    }

    async fn capability(&mut self) -> Result<(), Error> {
        let answer = self.ok("CAPABILITY").await?;
        let known = answer.untagged.into_iter().find_map(|response| match response {
            Response::Capability(known) => Some(known),
            _ => None,
        });
        self.learn(known);
        Ok(())
    }

    fn learn(&mut self, known: Option<Vec<Box<str>>>) {
        if let Some(known) = known {
            self.can = known.into_iter().collect();
        }
    }

    /// Whether the server can do this.
    pub(super) fn can(&self, name: &str) -> bool {
        self.can.contains(name)
    }

    /// Takes larger literals until the next call.
    pub(super) fn expect_literals(&mut self, octets: usize) {
        let usual = super::frame::Limits::default();
        self.framer.limits.literal = usual.literal.max(octets);
    }

    /// A command that must be answered with OK.
    pub(super) async fn ok(&mut self, command: &str) -> Result<Answer, Error> {
        let answer = self.command(command).await?;
        match answer.state.kind {
            Kind::Ok => Ok(answer),
            _ => Err(Error::Refused(answer.state.words.into())),
        }
    }

    /// A command and its answer, whatever it is.
    pub(super) async fn command(&mut self, command: &str) -> Result<Answer, Error> {
        let tag = self.send(command.as_bytes()).await?;
        self.answer(&tag, None).await
    }

    /// A command whose responses are taken one by one as they come; its end, whatever it is.
    pub(super) async fn each(
        &mut self,
        command: &str,
        take: impl FnMut(Response) + Send,
    ) -> Result<State, Error> {
        let tag = self.send(command.as_bytes()).await?;
        self.answered(&tag, None, take).await.map(|(state, _)| state)
    }

    /// A command with literals in it.
    pub(super) async fn command_of(&mut self, pieces: &[Piece<'_>]) -> Result<Answer, Error> {
        let at_once = self.can("LITERAL+");
        let plus = if at_once { "+" } else { "" };
        let tag = self.next_tag();
        let mut line = format!("{tag} ");
        let mut early = Vec::new();
        for piece in pieces {
            let literal = match piece {
                Piece::Line(text) => {
                    no_line_end(text.as_bytes())?;
                    line.push_str(text);
                    continue;
                }
                Piece::Literal(literal) => literal,
            };
            line.push_str(&format!("{{{}{plus}}}\r\n", literal.len()));
            self.write(line.as_bytes()).await?;
            line.clear();
            loop {
                if at_once {
                    break;
                }
                match self.response().await? {
                    Some(Response::Continue) => break,
                    Some(Response::Done(done, state)) if done == tag => {
                        return Ok(Answer { state, untagged: early, torn: false });
                    }
                    Some(response) => early.push(response),
                    None => {}
                }
            }
            self.write(literal).await?;
        }
        line.push_str("\r\n");
        self.write(line.as_bytes()).await?;
        let mut answer = self.answer(&tag, None).await?;
        answer.untagged.splice(0..0, early);
        Ok(answer)
    }

    /// Waits in IDLE until the server says something, `wake` ends or the time is over; says whether it did.
    // spec: RFC 2177 §3
    pub(super) async fn idle(
        &mut self,
        limit: Duration,
        wake: impl Future<Output = ()> + Send,
    ) -> Result<bool, Error> {
        let tag = self.send(b"IDLE").await?;
        let mut said = false;
        loop {
            match self.response().await? {
                Some(Response::Continue) => break,
                Some(Response::Done(done, state)) if done == tag => {
                    return Err(Error::Refused(state.words.into()));
                }
                Some(response) => said |= is_news(&response),
                None => {}
            }
        }
        tokio::pin!(wake);
        let deadline = tokio::time::Instant::now() + limit;
        while !said {
            // The framer keeps what has come: a read that is dropped loses nothing.
            tokio::select! {
                response = self.next(None) => said |= response?.as_ref().is_some_and(is_news),
                () = &mut wake => break,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.write(b"DONE\r\n").await?;
        let answer = self.answer(&tag, None).await?;
        Ok(said || answer.untagged.iter().any(is_news))
    }

    async fn send(&mut self, command: &[u8]) -> Result<Box<str>, Error> {
        no_line_end(command)?;
        let tag = self.next_tag();
        self.write(&[tag.as_bytes(), b" ", command, b"\r\n"].concat()).await?;
        Ok(tag)
    }

    fn next_tag(&mut self) -> Box<str> {
        self.tag = self.tag.wrapping_add(1);
        format!("m{}", self.tag).into()
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        let writing = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout(SILENCE, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Link(error.to_string())),
            Err(_) => Err(Error::Link("the server takes nothing".into())),
        }
    }

    async fn answer(&mut self, tag: &str, challenge: Option<&str>) -> Result<Answer, Error> {
        let mut untagged = Vec::new();
        let (state, torn) = self.answered(tag, challenge, |response| untagged.push(response)).await?;
        Ok(Answer { state, untagged, torn })
    }

    async fn answered(
        &mut self,
        tag: &str,
        challenge: Option<&str>,
        mut take: impl FnMut(Response) + Send,
    ) -> Result<(State, bool), Error> {
        let mut torn = false;
        let mut challenge = challenge;
        loop {
            match self.response().await? {
                None => torn = true,
                Some(Response::Done(done, state)) if *done == *tag => return Ok((state, torn)),
                Some(Response::Continue) => {
                    let line = challenge.take().unwrap_or_default();
                    self.write(format!("{line}\r\n").as_bytes()).await?;
                }
                Some(Response::State(state)) if state.kind == Kind::Bye => {
                    return Err(Error::Link(format!("the server ends the session: {}", state.words)));
                }
                Some(response) => {
                    self.stirred |= matches!(response, Response::Status(..));
                    take(response);
                }
            }
        }
    }

    /// Whether the server has said that a folder changed, since this was asked last.
    pub(super) fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// The next response; none if it could not be read. A server may be slow, and never silent for long.
    async fn response(&mut self) -> Result<Option<Response>, Error> {
        self.next(Some(SILENCE)).await
    }

    async fn next(&mut self, patience: Option<Duration>) -> Result<Option<Response>, Error> {
        loop {
            if let Some(octets) = self.framer.next().map_err(|error| Error::Link(error.to_string()))? {
                return Ok(read(&octets));
            }
            let reading = self.stream.read(&mut self.buffer);
            let read = match patience {
                None => reading.await,
                Some(patience) => match timeout(patience, reading).await {
                    Ok(read) => read,
                    Err(_) => return Err(Error::Link("the server is silent".into())),
                },
            };
            match read {
                Ok(0) => return Err(Error::Link("the server closed the link".into())),
                Ok(count) => self.framer.push(self.buffer.get(..count).unwrap_or_default()),
                Err(error) => return Err(Error::Link(error.to_string())),
            }
        }
    }
}

fn read(octets: &Bytes) -> Option<Response> {
    Response::read(octets)
        .inspect_err(|error| tracing::warn!(error, octets = octets.len(), "imap: a response is lost"))
        .ok()
}

// threats: M2
fn no_line_end(command: &[u8]) -> Result<(), Error> {
    if command.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
        return Err(Error::Refused("a line end inside a command".into()));
    }
    Ok(())
}

fn is_news(response: &Response) -> bool {
    matches!(
        response,
        Response::Exists(_)
            | Response::Expunge
            | Response::Vanished(_)
            | Response::Fetch(_)
            | Response::Status(..)
            | Response::List(_)
    )
}

/// A quoted string.
///
/// # Errors
/// For what cannot stand in one.
// threats: M2
pub(super) fn quoted(text: &str) -> Result<String, Error> {
    if text.chars().any(|c| matches!(c, '\r' | '\n' | '\0')) {
        return Err(Error::Refused("a line end inside a name".into()));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
