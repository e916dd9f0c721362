//! Suspend and resume: what a session that ended early leaves to the one that goes on.
//!
//! # How to go on
//! A session ends early by Alert 224 (from the peer: [`Ask::Suspend`]; from us:
//! [`Exchange::suspend`]) or because the transport broke: both leave a session value, from which
//! [`ServerSession::leftover`](super::ServerSession::leftover) or
//! [`ClientSession::leftover`](super::ClientSession::leftover) is taken whenever a new login of the same peer
//! comes. In the new session, once Alert 225 of the datastore is accepted (on either side), the caller
//! hands the [`Leftover`] to [`Exchange::take_over`] and moves the spooled octets to the new session.
//!
//! What was sent and not answered is named by [`Leftover::unanswered`]: it goes again. What we executed of
//! the peer's without its hearing of it comes again from there; the caller knows it again by its ids.
//!
//! # Refusing
//! A client that asks with 225 and is refused gets 508 and our Alert 201
//! ([`REFUSED`]); as a client take any error for 225, followed by Alert 200 or 201, as a refusal. Below 1.2 the
//! exchange itself answers 406.

use super::ask::Ask;
use super::exchange::{Exchange, Full};
use super::link::Link;
use super::object::{IncomingObject, OutgoingObject};
use crate::model::{Alert, AlertCode, Command, Item, Source, StatusCode, Target, Version};
use serde::{Deserialize, Serialize};

/// The status with which a resume is refused; Alert 201 follows. Of the two in use (509 is the other) it is the
/// one that every client knows.
// spec: session facts section 7
pub const REFUSED: StatusCode = StatusCode::REFRESH_REQUIRED;

/// What a session that ended early leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    incoming: Option<(IncomingObject, HalfObject)>,
    outgoing: Option<OutgoingObject>,
    unanswered: Vec<Vec<u8>>,
}

/// More of an object that comes in chunks: what is needed to go on with it in another session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HalfObject {
    /// Our datastore.
    pub(crate) store: Box<str>,
    /// Octets of the last chunk: if its answer was lost, it comes again.
    pub(crate) last: u64,
    /// Where chunks may have come twice: first octet and length, one for each time it was gone on with.
    pub(crate) overlaps: Vec<(u64, u64)>,
    /// No chunk of it has come in this session yet.
    pub(crate) fresh: bool,
}

impl HalfObject {
    pub(crate) fn keep(&mut self, data: &[u8]) {
        self.last = data.len() as u64;
        self.fresh = false;
    }

    /// How many octets may have come twice.
    pub(crate) fn doubtful(&self) -> u64 {
        self.overlaps.iter().fold(0, |sum: u64, (_, len)| sum.saturating_add(*len))
    }

    /// It goes on in another session, behind what has come.
    fn go_on(mut self, received: u64) -> Self {
        let start = received.saturating_sub(self.last);
        if self.last > 0 && self.overlaps.len() < MAX_OVERLAPS {
            self.overlaps.push((start, self.last));
        }
        HalfObject { last: 0, fresh: true, ..self }
    }
}

/// Times that an object may be gone on with and still be put together.
const MAX_OVERLAPS: usize = 16;

impl Leftover {
    pub(super) fn of(link: &Link) -> Self {
        let half = || link.more.half.clone().unwrap_or_default();
        let mut unanswered: Vec<Vec<u8>> = link.sent.iter().map(|sent| sent.tag.clone()).collect();
        // It goes on behind the last chunk that was answered.
        let outgoing =
            link.outgoing.clone().map(|object| OutgoingObject { sent: link.more.answered, ..object });
        if let Some(object) = &outgoing
            && !unanswered.contains(&object.tag)
        {
            unanswered.push(object.tag.clone());
        }
        Leftover {
            incoming: link.incoming.clone().map(|object| (object, half())),
            outgoing: outgoing.filter(|object| object.sent > 0),
            unanswered,
        }
    }

    /// The tags of commands of ours that got no status. The tag of [`Leftover::outgoing`] is among them: it does
    /// not go again as a whole when that is taken over.
    pub fn unanswered(&self) -> impl Iterator<Item = &[u8]> {
        self.unanswered.iter().map(|tag| &**tag)
    }

    /// Our datastore, and how many octets of an object of it are in the spool.
    pub fn incoming(&self) -> Option<(&str, u64)> {
        self.incoming.as_ref().map(|(object, half)| (&*half.store, object.received))
    }

    /// The object of ours that is under way: its datastores (the peer's, ours), its tag, and how many octets the
    /// peer has answered for.
    pub fn outgoing(&self) -> Option<((&str, &str), &[u8], u64)> {
        let object = self.outgoing.as_ref()?;
        Some(((&object.stores.0, &object.stores.1), &object.tag, object.sent))
    }

    /// Leaves the half of an object of ours behind: it will be sent anew.
    pub fn drop_outgoing(&mut self) {
        self.outgoing = None;
    }

    /// Leaves the half of an object of the peer's behind: it must send it anew.
    pub fn drop_incoming(&mut self) {
        self.incoming = None;
    }
}

impl<'m> Exchange<'m> {
    /// Whether either side has suspended the session: it ends with this message or the next.
    pub fn is_suspended(&self) -> bool {
        self.link.more.suspended
    }

    /// Stops the session here, to go on in another one. Nothing of ours goes after it; end the message as the last.
    ///
    /// # Errors
    /// [`Full`] when it does not fit, or below 1.2.
    // spec: session facts section 7: with pending statuses and no new modifications
    pub fn suspend(&mut self) -> Result<(), Full> {
        if self.link.version < Version::V1_2 {
            return Err(Full);
        }
        self.writer.close_sync();
        let item = Item {
            target: Some(Target::new(&self.link.peer_uri)),
            source: Some(Source::new(&self.link.our_uri)),
            ..Item::default()
        };
        let alert = Alert { code: Some(AlertCode::SUSPEND), items: vec![item], ..Alert::default() };
        self.send(Command::Alert(Box::new(alert)), Vec::new())?;
        self.link.more.suspended = true;
        Ok(())
    }

    /// Goes on with what an earlier session left. Call it when Alert 225 has been accepted, before changes go.
    pub fn take_over(&mut self, leftover: Leftover) {
        self.link.more.resumed = true;
        if let Some((object, half)) = leftover.incoming {
            self.link.more.half = Some(half.go_on(object.received));
            self.link.incoming = Some(object);
        }
        if let Some(object) = leftover.outgoing {
            self.link.more.answered = object.sent;
            self.link.outgoing = Some(object);
        }
    }

    /// What came too much of the object whose change was asked last, and where: a chunk whose answer was lost with
    /// an earlier session came again, so the octets of a place (first, length) are there once more right behind it.
    /// Those that are, in order, until the surplus is gone, are to be cut out.
    // spec: session facts section 5: a surplus equal to the unconfirmed chunk is cut out
    pub fn take_surplus(&mut self) -> Option<(u64, Vec<(u64, u64)>)> {
        self.surplus.take()
    }

    pub(super) fn suspended_by_peer(&mut self) -> Ask<'m> {
        self.link.more.suspended = true;
        Ask::Suspend
    }
}
