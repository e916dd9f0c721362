//! Runs a session over a stream, with tokio's traits and timers.
//!
//! Thin on purpose: it reads, writes and waits; the session decides, and the host behind [`Host`] judges. TLS is the
//! caller's: [`serve`] and [`deliver`] hand the stream back at STARTTLS and are called again with the encrypted one.

pub use crate::clock::Clock;

use super::{Envelope, MailFrom, Output, Recipient, Reply, client, server};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout_at;

/// Octets of one read.
const READ: usize = 16 * 1024;

/// Where a run ended.
#[derive(Debug)]
pub enum End<S> {
    /// The link is closed.
    Closed,
    /// Do the TLS handshake on this stream (as server in [`serve`], as client in [`deliver`]), then call again.
    StartTls(S),
}

/// Judges for a server session.
pub trait Host {
    /// May this sender send?
    fn mail(&mut self, from: &MailFrom) -> impl Future<Output = Result<(), Reply>> + Send;
    /// Is mail taken for this recipient?
    fn rcpt(&mut self, to: &Recipient) -> impl Future<Output = Result<(), Reply>> + Send;
    /// Stores the message durably; one reply for SMTP, one for each recipient for LMTP.
    fn message(&mut self, envelope: Envelope, body: Bytes) -> impl Future<Output = Vec<Reply>> + Send;
    /// Is this login right? `None`: it cannot be checked now.
    fn auth(&mut self, credentials: server::Credentials) -> impl Future<Output = Option<bool>> + Send;
}

/// Runs a server session until the link closes or TLS is to start.
///
/// # Errors
/// What the stream reports; the session is then over.
pub async fn serve<S, H>(
    mut stream: S,
    session: &mut server::Session,
    clock: Clock,
    host: &mut H,
) -> io::Result<End<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Host,
{
    let mut buffer = vec![0; READ];
    loop {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Transmit(bytes) => write(&mut stream, &bytes, session.poll_timeout(), clock).await?,
                Output::Event(event) => judge(session, event, clock, host).await,
                Output::StartTls => {
                    stream.flush().await?;
                    return Ok(End::StartTls(stream));
                }
                Output::Close => return close(stream).await,
            }
        }
        stream.flush().await?;
        match read(&mut stream, &mut buffer, session.poll_timeout(), clock).await? {
            Some([]) => session.handle_eof(clock.now()),
            Some(octets) => session.handle_input(clock.now(), octets),
            None => session.handle_timeout(clock.now()),
        }
    }
}

async fn judge<H: Host>(session: &mut server::Session, event: server::Event, clock: Clock, host: &mut H) {
    // a verb fails only if the session closed meanwhile, and then there is nobody to tell
    let told = match event {
        server::Event::Mail(from) => match host.mail(&from).await {
            Ok(()) => session.accept_mail(clock.now()),
            Err(reply) => session.reject_mail(clock.now(), &reply),
        },
        server::Event::Rcpt(to) => match host.rcpt(&to).await {
            Ok(()) => session.accept_rcpt(clock.now()),
            Err(reply) => session.reject_rcpt(clock.now(), &reply),
        },
        server::Event::Message { envelope, body } => {
            let replies = host.message(*envelope, body).await;
            session.answer_message(clock.now(), &replies)
        }
        server::Event::Auth(credentials) => match host.auth(credentials).await {
            Some(true) => session.accept_auth(clock.now()),
            Some(false) => session.reject_auth(clock.now()),
            None => session.defer_auth(clock.now()),
        },
    };
    if told.is_err() {
        session.shutdown();
        session.handle_eof(clock.now());
    }
}

/// Why [`deliver`] came back.
#[derive(Debug)]
pub enum Delivered<S> {
    /// The session has something to say, and waits: send, quit, or drop it.
    Event(S, client::Event),
    /// As [`End`].
    End(End<S>),
}

/// Runs a client session until it has an event, the link closes or TLS is to start.
///
/// A broken link is no error here but the session's own [`client::Event::Failed`], after the outcome of a message
/// under way.
///
/// # Errors
/// None today; kept for streams that cannot be shut down.
pub async fn deliver<S>(
    mut stream: S,
    session: &mut client::Session,
    clock: Clock,
) -> io::Result<Delivered<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = vec![0; READ];
    loop {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Transmit(bytes) => {
                    match write(&mut stream, &bytes, session.poll_timeout(), clock).await {
                        Ok(()) => session.progressed(clock.now()),
                        Err(_) => session.handle_eof(clock.now()),
                    }
                }
                Output::Event(event) => return Ok(Delivered::Event(stream, event)),
                Output::StartTls => {
                    stream.flush().await?;
                    return Ok(Delivered::End(End::StartTls(stream)));
                }
                Output::Close => return close(stream).await.map(Delivered::End),
            }
        }
        let octets = match stream.flush().await {
            Ok(()) => read(&mut stream, &mut buffer, session.poll_timeout(), clock).await,
            Err(error) => Err(error),
        };
        match octets {
            Ok(Some(octets)) if !octets.is_empty() => session.handle_input(clock.now(), octets),
            Ok(None) => session.handle_timeout(clock.now()),
            Ok(Some(_)) | Err(_) => session.handle_eof(clock.now()),
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    octets: &[u8],
    deadline: Option<Duration>,
    clock: Clock,
) -> io::Result<()> {
    match deadline {
        Some(deadline) => match timeout_at(clock.at(deadline), stream.write_all(octets)).await {
            Ok(done) => done,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
        None => stream.write_all(octets).await,
    }
}

/// `None` when the deadline came first; an empty slice at the end of the stream.
async fn read<'a, S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &'a mut [u8],
    deadline: Option<Duration>,
    clock: Clock,
) -> io::Result<Option<&'a [u8]>> {
    let count = match deadline {
        Some(deadline) => match timeout_at(clock.at(deadline), stream.read(buffer)).await {
            Ok(count) => count?,
            Err(_) => return Ok(None),
        },
        None => stream.read(buffer).await?,
    };
    Ok(Some(buffer.get(..count).unwrap_or_default()))
}

async fn close<S: AsyncWrite + Unpin>(mut stream: S) -> io::Result<End<S>> {
    // the peer may have gone first, which is fine
    let _ = stream.shutdown().await;
    Ok(End::Closed)
}
