//! One message being answered.

use super::SessionError;
use super::ask::{Ask, Slot};
use super::atomic::Atomic;
use super::auth::{self, Known, Scheme, Shown};
use super::link::{Link, MAX_IDLE, Package};
use crate::Writer;
use crate::model::{Command, Message, Nest, StatusCode, SyncHdr};
use bytes::Bytes;

/// Something does not fit any more: it goes into the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is full")]
pub struct Full;

/// How far an object got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectProgress {
    /// All of it is in the message.
    Whole,
    /// The first chunk is. The caller spools the whole; nothing else fits into this message.
    Started,
    /// Another chunk is, and more must follow.
    More,
    /// The last chunk is: its spool is done with.
    Done,
}

/// One message being answered. See the module.
#[derive(Debug)]
pub struct Exchange<'m> {
    pub(crate) link: Link,
    pub(crate) writer: Writer,
    pub(super) stack: Vec<Level<'m>>,
    pub(super) silent: bool,
    pub(super) max_obj_size: u64,
    pub(super) next_cmd: u32,
    /// Commands of our own were written, besides statuses.
    pub(super) spoke: bool,
    /// The peer's message held something besides statuses and Alert 222.
    pub(super) heard: bool,
    pub(super) chunk_written: bool,
    /// Free octets after the header.
    pub(super) fresh: usize,
    pub(crate) barred: Option<StatusCode>,
    /// What was asked and would be refused with this if it stayed unanswered.
    pub(super) pending: Option<Pending<'m>>,
    pub(super) atomic: Option<Atomic>,
    /// How many there were in the message.
    pub(super) atomics: usize,
    /// Our datastore of the last `Sync`.
    pub(super) sync_target: Box<str>,
    /// Octets of the last object that came twice, and where they may be.
    pub(super) surplus: Option<(u64, Vec<(u64, u64)>)>,
    /// What credentials of single commands are checked against.
    pub(super) command_check: Option<CommandCheck>,
    /// Our own commands come later.
    pub(super) busy: bool,
    /// The peer is busy: it is asked with Alert 221 instead of 222.
    pub(super) ask_for_result: bool,
}

/// What credentials of single commands are checked against.
#[derive(Debug)]
pub(super) struct CommandCheck {
    user: Box<str>,
    verifier: Option<Box<str>>,
    nonces: Vec<[u8; 16]>,
    basic_allowed: bool,
}

/// A question that may stay unanswered.
#[derive(Debug)]
pub(super) struct Pending<'m> {
    pub(super) slot: Slot,
    pub(super) otherwise: StatusCode,
    /// It opens when the answer is good.
    pub(super) atomic: Option<&'m Nest>,
}

/// A list of commands being gone through.
#[derive(Debug)]
pub(super) struct Level<'m> {
    pub(super) commands: &'m [Command],
    pub(super) command: usize,
    pub(super) item: usize,
    pub(super) in_sync: bool,
    /// Every command of it is refused with this.
    pub(super) refused: Option<StatusCode>,
}

/// Free octets after the header below which a message is small.
const TIGHT: usize = 2500;

impl<'m> Level<'m> {
    pub(super) fn of(commands: &'m [Command]) -> Self {
        Level { commands, command: 0, item: 0, in_sync: false, refused: None }
    }
}

impl<'m> Exchange<'m> {
    /// Starts an answer: the header is written, owed statuses go first.
    pub(crate) fn new(
        mut link: Link,
        ours_max_msg: u32,
        max_obj_size: u64,
        make_header: impl FnOnce(&Link) -> SyncHdr,
        message: Option<&'m Message>,
    ) -> Result<Self, SessionError> {
        link.our_msg = link.our_msg.saturating_add(1);
        let mut writer = Writer::new(link.encoding, link.version, link.limit(ours_max_msg));
        writer.header(&make_header(&link))?;
        let fresh = writer.left();
        let mut stack = Vec::new();
        if let Some(message) = message {
            link.peer_final |= message.is_final;
            stack.push(Level::of(&message.commands));
        }
        let silent = message.is_some_and(|m| m.hdr.no_resp);
        Ok(Exchange {
            link,
            writer,
            stack,
            silent,
            max_obj_size,
            next_cmd: 1,
            spoke: false,
            heard: false,
            chunk_written: false,
            fresh,
            barred: None,
            pending: None,
            atomic: None,
            atomics: 0,
            sync_target: Box::default(),
            surplus: None,
            command_check: None,
            busy: false,
            ask_for_result: false,
        })
    }

    /// With what everything in the message is refused, if the peer is not let in.
    pub fn barred_with(&self) -> Option<StatusCode> {
        self.barred
    }

    /// The package that is being answered.
    pub fn package(&self) -> Package {
        self.link.package
    }

    /// Whether the peer has said all of its package.
    pub fn peer_final(&self) -> bool {
        self.link.peer_final
    }

    /// Largest object that the peer takes, in octets.
    pub fn peer_max_obj_size(&self) -> Option<u64> {
        self.link.peer_max_obj
    }

    /// Octets left for commands in this message.
    pub fn left(&self) -> usize {
        self.writer.left()
    }

    /// Whether most of the message is still free.
    pub fn is_roomy(&self) -> bool {
        self.writer.left().saturating_mul(4) >= self.fresh.saturating_mul(3)
    }

    /// Whether messages are so small that what is said must be said briefly.
    pub(super) fn is_tight(&self) -> bool {
        self.fresh < TIGHT
    }

    /// The protocol version of the session.
    pub fn version(&self) -> crate::Version {
        self.link.version
    }

    /// The spelling of the session.
    pub fn encoding(&self) -> crate::Encoding {
        self.link.encoding
    }

    /// Commands of ours that still await their status.
    pub fn awaited(&self) -> usize {
        self.link.sent.len()
    }

    /// The tags of commands that still await their status.
    pub fn awaited_tags(&self) -> impl Iterator<Item = &[u8]> {
        self.link.sent.iter().map(|sent| &*sent.tag)
    }

    /// What the caller must decide next; none when the message is done.
    pub fn next_ask(&mut self) -> Option<Ask<'m>> {
        if let Some(pending) = self.pending.take() {
            self.pending = None;
            match pending.atomic {
                Some(nest) => self.open_atomic(pending.slot, nest, pending.otherwise),
                None => self.answer(&pending.slot, pending.otherwise),
            }
        }
        loop {
            let Some(level) = self.stack.last_mut() else { return self.end_of_message() };
            let Some(command) = level.commands.get(level.command) else {
                self.stack.pop();
                if let Some(ask) = self.end_atomic() {
                    return Some(ask);
                }
                continue;
            };
            let (in_sync, refused) = (level.in_sync, level.refused.or(self.barred));
            if let Command::Status(status) = command {
                level.command = level.command.saturating_add(1);
                // A status is never answered; one that a stranger sends is not looked at.
                if self.barred.is_none()
                    && let Some(ask) = self.answered(status)
                {
                    return Some(ask);
                }
                continue;
            }
            let refused = refused
                .or_else(|| self.foreign(command))
                .or_else(|| self.bars_atomic(command))
                .or_else(|| self.link.more.suspended.then_some(StatusCode::OPERATION_CANCELLED));
            // Of a change that has failed already, each further item is answered.
            let halfway = self.stack.last().is_some_and(|level| level.item > 0);
            let refused = refused.or_else(|| self.in_atomic().flatten().filter(|_| !halfway));
            if let Some(code) = refused {
                self.advance();
                self.refuse(command, code);
                continue;
            }
            if let Some(ask) = self.ask(command, in_sync) {
                return Some(ask);
            }
        }
    }

    /// With what a command is refused whose own credentials are not those of the user of the session.
    // spec: session facts section 10: per-datastore Cred
    fn foreign(&self, command: &Command) -> Option<StatusCode> {
        let (check, cred) = (self.command_check.as_ref()?, command.cred()?);
        let known = Known {
            verifier: check.verifier.as_deref(),
            password: None,
            nonces: &check.nonces,
            basic_allowed: check.basic_allowed,
            wanted: Scheme::Md5,
        };
        let shown = Shown { user: &check.user, cred: Some(cred), mac: None, body: &[0; 16] };
        auth::judge(&shown, &known).err()
    }

    /// Keeps what an answer is asked for, with the answer that it gets otherwise.
    pub(super) fn expect_answer(&mut self, slot: &Slot, otherwise: StatusCode, atomic: Option<&'m Nest>) {
        self.pending = Some(Pending { slot: slot.clone(), otherwise, atomic });
    }

    pub(super) fn advance(&mut self) {
        if let Some(level) = self.stack.last_mut() {
            level.command = level.command.saturating_add(1);
            level.item = 0;
        }
    }

    /// Ends the answer; `last` says that all of our package is said. Gives the octets and whether `Final` is set.
    pub(crate) fn finish(mut self, last: bool) -> Result<(Link, Bytes, bool), SessionError> {
        self.writer.close_sync();
        let suspended = self.link.more.suspended;
        // What an earlier session left half-way goes on with the changes, not before.
        let under_way = self.link.outgoing.is_some() && self.link.package != Package::Alerts;
        let is_final = suspended || (last && self.link.owed.is_empty() && !under_way);
        if self.spoke || self.heard || self.busy || is_final {
            self.link.idle = 0;
        } else {
            self.link.idle = self.link.idle.saturating_add(1);
            if self.link.idle > MAX_IDLE {
                return Err(SessionError::NoProgress(self.link.idle));
            }
        }
        if !is_final && !self.spoke {
            self.next_message();
        }
        self.write_late();
        Ok((self.link, self.writer.finish(is_final), is_final))
    }
}

#[cfg(feature = "server")]
impl CommandCheck {
    pub(super) fn new(
        config: &super::ServerConfig,
        login: &super::LoginCheck<'_>,
        link: &Link,
        user: &str,
        now: u64,
    ) -> Self {
        let nonces = super::login::nonces(login, link, user);
        let known = super::login::known(config, login, link, &[]);
        CommandCheck {
            user: user.into(),
            verifier: known.verifier.map(Into::into),
            nonces: [&nonces.valid(now)[..], &[nonces.next_session()]].concat(),
            basic_allowed: known.basic_allowed,
        }
    }
}
