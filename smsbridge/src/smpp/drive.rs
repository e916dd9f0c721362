//! Runs an SMPP session over a stream, with tokio's traits and timers.
//!
//! Thin on purpose: it reads, writes and waits; the session decides, and the host behind [`Host`] judges and stores.
//! TLS is the caller's: SMPP has no STARTTLS, so give [`run`] the encrypted stream.
//!
//! Events come in batches, as many as one read brought: a host that stores a batch in one commit and answers it then
//! pays for one sync of the disk, not for a hundred.

pub use crate::clock::Clock;

use super::session::{Event, Output, Session};
use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};

/// Octets of one read.
const READ: usize = 64 * 1024;
/// How long a peer may leave octets of ours unread.
const STALL: Duration = Duration::from_secs(60);

/// Judges for a session, and gives it work.
pub trait Host: Send {
    /// What happened since last time, in order. Answer requests by the session's verbs, now or when woken.
    fn events(
        &mut self,
        session: &mut Session,
        now: Duration,
        events: Vec<Event>,
    ) -> impl Future<Output = ()> + Send;

    /// Ends when the host has something for the session; never, if nothing comes. It is dropped half-way whenever the
    /// peer sends something, and must not lose anything by that.
    fn wake(&mut self) -> impl Future<Output = ()> + Send;

    /// [`wake`](Host::wake) ended: call the session's verbs.
    fn woken(&mut self, session: &mut Session, now: Duration) -> impl Future<Output = ()> + Send;
}

/// Runs a session until its link is closed. A broken link is no error but the session's own
/// [`Event::Closed`], the last thing that the host sees.
pub async fn run<S, H>(mut stream: S, session: &mut Session, clock: Clock, host: &mut H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Host,
{
    let mut input = vec![0; READ];
    let mut wire = BytesMut::new();
    loop {
        if settle(&mut stream, session, clock, host, &mut wire).await {
            // the peer may have gone first, which is fine
            let _ = timeout(STALL, stream.shutdown()).await;
            return;
        }
        let deadline = session.poll_timeout().map(|time| clock.at(time));
        let timer = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = stream.read(&mut input) => match read {
                Ok(count @ 1..) => session.handle_input(clock.now(), input.get(..count).unwrap_or_default()),
                Ok(0) | Err(_) => session.handle_eof(clock.now()),
            },
            () = host.wake() => host.woken(session, clock.now()).await,
            () = timer => session.handle_timeout(clock.now()),
        }
    }
}

/// Writes what is to be written and tells the host what happened until nothing is left of both; true at the end.
async fn settle<S: AsyncWrite + Unpin, H: Host>(
    stream: &mut S,
    session: &mut Session,
    clock: Clock,
    host: &mut H,
    wire: &mut BytesMut,
) -> bool {
    let mut ends = false;
    loop {
        let mut events = Vec::new();
        while let Some(output) = session.poll_output() {
            match output {
                Output::Transmit(bytes) if wire.is_empty() => *wire = bytes.into(),
                Output::Transmit(bytes) => wire.extend_from_slice(&bytes),
                Output::Event(event) => events.push(event),
                Output::Close => ends = true,
            }
        }
        if !wire.is_empty() {
            if write(stream, wire).await.is_err() {
                session.handle_eof(clock.now());
            }
            wire.clear();
        }
        if events.is_empty() && (ends || !session.is_closed()) {
            return ends;
        }
        if !events.is_empty() {
            host.events(session, clock.now(), events).await;
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, octets: &[u8]) -> io::Result<()> {
    let written = timeout(STALL, async {
        stream.write_all(octets).await?;
        stream.flush().await
    });
    written.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
