//! The client session: what is said, in which order, and what the answers mean.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::read::{Read, Reader};
use super::{Auth, Capabilities, Config, Event, Failure, Outcome, Output, Submission, Tls, Verdict};
use crate::Secret;
use crate::smtp::data::Sender;
use crate::smtp::{Error, ForwardPath, Protocol, Reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;

/// One link to a server.
///
/// # Shape
/// One mutation, then [`poll_output`](Session::poll_output) until `None`, then
/// [`poll_timeout`](Session::poll_timeout). A message is given out piece by piece as `poll_output` is called, so a
/// host that writes each piece before it polls on holds one piece at a time.
/// # Spec
/// RFC 5321 §4, RFC 2033 for LMTP
pub struct Session {
    config: Config,
    state: State,
    reader: Reader,
    commands: BytesMut,
    outputs: VecDeque<Output>,
    started: Duration,
    heard: Duration,
    capabilities: Capabilities,
    encrypted: bool,
    job: Option<Job>,
}

/// What the server owes an answer to.
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    /// Lines still to be sent, one for each 334.
    Auth(VecDeque<Secret<String>>),
    /// EHLO after AUTH.
    EhloAgain,
    Ready,
    Mail,
    /// RCPT answers owed from this one of those asked on.
    Rcpt(usize),
    Data,
    Body(Box<Sender>),
    /// The answer to the message; in LMTP the one for this recipient.
    Final(usize),
    /// The answer to BURL, which is the one to the message.
    Burl,
    /// The URL was refused: after this the message goes by its octets.
    RsetForOctets,
    Rset,
    Quit,
    Closed,
}

/// A message under way.
struct Job {
    submission: Submission,
    /// Recipients asked for in this transaction, as positions in the submission.
    asked: Vec<usize>,
    /// RCPT commands still to be sent.
    rcpts: VecDeque<String>,
    verdicts: Vec<Option<Verdict>>,
    /// Recipients taken, as positions in the submission.
    accepted: Vec<usize>,
    refused_mail: Option<Reply>,
    /// The command that has the server fetch the message; none once it was refused.
    burl: Option<String>,
    by_url: bool,
}

impl Session {
    /// A new link; the server speaks first.
    pub fn new(config: Config, now: Duration) -> Self {
        let encrypted = config.tls == Tls::Implicit;
        Session {
            config,
            state: State::Greeting,
            reader: Reader::default(),
            commands: BytesMut::new(),
            outputs: VecDeque::new(),
            started: now,
            heard: now,
            capabilities: Capabilities::default(),
            encrypted,
            job: None,
        }
    }

    /// Takes octets of the server.
    pub fn handle_input(&mut self, now: Duration, input: &[u8]) {
        self.heard = now;
        let mut rest = input;
        while !rest.is_empty() {
            if matches!(self.state, State::Closed) {
                return;
            }
            if matches!(self.state, State::Handshake) {
                // mission: M3; an answer before the handshake was not the server's
                return self.fail(Failure::Violation("octets after the answer to STARTTLS"));
            }
            match self.reader.next(&mut rest, self.config.limits.reply_octets) {
                Ok(None) => return,
                Ok(Some(read)) => self.answer(read),
                Err(rule) => return self.fail(Failure::Violation(rule)),
            }
        }
    }

    /// The server closed its end.
    pub fn handle_eof(&mut self, now: Duration) {
        self.heard = now;
        match self.state {
            State::Closed => {}
            State::Quit => self.close(),
            _ => self.fail(Failure::LinkClosed { step: self.step() }),
        }
    }

    /// Call it when [`poll_timeout`](Session::poll_timeout) says so; earlier is harmless.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.fail(Failure::Timeout { step: self.step() });
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] unless [`Event::Ready`] or [`Event::Sent`] came last; [`Error::Message`],
    /// [`Error::Limit`] or [`Error::NotOffered`] if this message cannot go to this server as it is. The session is
    /// unchanged and nothing was sent.
    pub fn send(&mut self, now: Duration, submission: Submission) -> Result<(), Error> {
        match self.state {
            State::Ready => {}
            State::Closed => return Err(Error::Closed { verb: "send" }),
            _ => return Err(Error::OutOfTurn { verb: "send", state: self.step() }),
        }
        submission.check(&self.config.limits, &self.capabilities)?;
        self.heard = now;
        let is_smtp = self.config.protocol == Protocol::Smtp;
        let burl = submission.burl_command(&self.config.limits, &self.capabilities).filter(|_| is_smtp);
        let asked: Vec<usize> = (0..submission.recipients.len()).collect();
        self.transact(Job {
            verdicts: vec![None; asked.len()],
            asked,
            rcpts: VecDeque::new(),
            accepted: Vec::new(),
            refused_mail: None,
            burl,
            by_url: false,
            submission,
        });
        Ok(())
    }

    /// Begins a transaction for the recipients that are to be asked for.
    fn transact(&mut self, mut job: Job) {
        job.rcpts = job.submission.rcpt_commands(&job.asked, &self.capabilities);
        self.command(&job.submission.mail_command(&self.capabilities));
        if self.capabilities.pipelining {
            // DATA waits for the answers: a server that took no recipient must not get an empty message
            job.rcpts.drain(..).for_each(|line| self.command(&line));
        }
        self.job = Some(job);
        self.state = State::Mail;
    }

    /// Ends the session politely.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] while a message is under way; [`Error::Closed`].
    pub fn quit(&mut self, now: Duration) -> Result<(), Error> {
        match self.state {
            State::Ready => {}
            State::Closed => return Err(Error::Closed { verb: "quit" }),
            _ => return Err(Error::OutOfTurn { verb: "quit", state: self.step() }),
        }
        self.heard = now;
        self.command("QUIT");
        self.state = State::Quit;
        Ok(())
    }

    /// TLS is up, its certificate checked by the host; the session begins anew.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] without `Output::StartTls` before.
    pub fn tls_started(&mut self, now: Duration) -> Result<(), Error> {
        if !matches!(self.state, State::Handshake) {
            return Err(Error::OutOfTurn { verb: "tls_started", state: self.step() });
        }
        self.heard = now;
        self.encrypted = true;
        self.capabilities = Capabilities::default();
        self.reader = Reader::default();
        self.hello();
        Ok(())
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if !self.commands.is_empty() {
            return Some(super::Output::Transmit(self.commands.split().freeze()));
        }
        let State::Body(sender) = &mut self.state else { return None };
        match sender.next_piece() {
            Some(piece) => {
                if sender.is_done() {
                    self.state = State::Final(0);
                }
                Some(super::Output::Transmit(piece))
            }
            None => None,
        }
    }

    /// When to call [`handle_timeout`](Session::handle_timeout); `None` when closed or idle.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let times = &self.config.timeouts;
        let idle = match self.state {
            State::Closed => return None,
            State::Ready => return Some(self.started.saturating_add(times.session)),
            State::Data => times.data_start,
            State::Body(_) | State::Final(_) | State::Burl => times.data_end,
            _ => times.command,
        };
        Some(self.started.saturating_add(times.session).min(self.heard.saturating_add(idle)))
    }

    /// The host wrote octets of a message: restarts the wait, as a slow link is no dead one.
    pub fn progressed(&mut self, now: Duration) {
        self.heard = now;
    }

    /// True if a message can be sent.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// True once the link is to be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn answer(&mut self, read: Read) {
        let reply = read.reply;
        if reply.code == 421 && !matches!(self.state, State::Mail | State::Rcpt(_) | State::Final(_)) {
            return self.fail(Failure::Refused { step: self.step(), reply });
        }
        let intermediate = (300..400).contains(&reply.code);
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Greeting if reply.code == 220 => self.hello(),
            State::Ehlo if reply.is_positive() => {
                self.capabilities = Capabilities::parse(&read.wire);
                self.after_hello();
            }
            // spec: RFC 5321 §3.2, a server that knows no EHLO may know HELO
            State::Ehlo if reply.is_permanent() && self.config.protocol == Protocol::Smtp => {
                self.command(&format!("HELO {}", self.config.hostname));
                self.state = State::Helo;
            }
            State::Helo if reply.is_positive() => self.after_hello(),
            State::StartTls if reply.code == 220 => {
                self.outputs.push_back(super::Output::StartTls);
                self.state = State::Handshake;
            }
            State::Auth(_) if reply.code == 235 && self.config.burl => {
                self.hello();
                self.state = State::EhloAgain;
            }
            State::Auth(_) if reply.code == 235 => self.ready(),
            State::EhloAgain if reply.is_positive() => {
                self.capabilities = Capabilities::parse(&read.wire);
                self.ready();
            }
            // What it offered before it may offer still, but not what depends on the login.
            State::EhloAgain if reply.is_refusal() => {
                self.capabilities.burl = None;
                self.ready();
            }
            State::Auth(mut lines) if reply.code == 334 => match lines.pop_front() {
                Some(line) => {
                    self.command(line.expose());
                    self.state = State::Auth(lines);
                }
                // spec: XOAUTH2 sends its reason as a challenge; an empty line asks for the real answer
                None => {
                    self.command("");
                    self.state = State::Auth(lines);
                }
            },
            State::Mail if !intermediate => self.mail_answered(reply),
            State::Rcpt(position) if !intermediate => self.rcpt_answered(position, reply),
            State::Data if reply.code == 354 => {
                if let Some(job) = &self.job {
                    self.state = State::Body(Box::new(Sender::new(job.submission.body.clone())));
                }
            }
            State::Data if reply.is_refusal() => {
                self.settle_accepted(&reply);
                self.reset();
            }
            // an early answer: what is still to come of the message would be read as commands, so this link is done
            state @ State::Body(_) => {
                self.state = state;
                self.settle_accepted(&reply);
                self.fail(Failure::Refused { step: "DATA", reply });
            }
            State::Final(position) if !intermediate => self.final_answered(position, reply),
            State::Burl if reply.is_positive() => {
                if let Some(job) = &mut self.job {
                    job.by_url = true;
                }
                self.settle_accepted(&reply);
                self.done();
            }
            // Whatever was refused of it, the server has no message: its octets may fare better.
            State::Burl if !intermediate => {
                self.command("RSET");
                self.state = State::RsetForOctets;
            }
            State::RsetForOctets if reply.is_positive() => {
                if let Some(mut job) = self.job.take() {
                    job.burl = None;
                    job.asked = std::mem::take(&mut job.accepted);
                    self.transact(job);
                }
            }
            State::Rset => self.done(),
            State::Quit => self.close(),
            state => {
                self.state = state;
                let step = self.step();
                let failure = if reply.is_refusal() {
                    Failure::Refused { step, reply }
                } else {
                    Failure::Violation("an answer to nothing asked, or of the wrong kind")
                };
                self.fail(failure);
            }
        }
    }

    fn hello(&mut self) {
        let verb = if self.config.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        self.command(&format!("{verb} {}", self.config.hostname));
        self.state = State::Ehlo;
    }

    fn after_hello(&mut self) {
        let offered = self.capabilities.starttls;
        match self.config.tls {
            Tls::IfOffered | Tls::Required if !self.encrypted && offered => {
                self.command("STARTTLS");
                self.state = State::StartTls;
            }
            // mission: M3
            Tls::Required if !self.encrypted => self.fail(Failure::NotOffered("STARTTLS")),
            _ => self.log_in(),
        }
    }

    fn log_in(&mut self) {
        let offered = self.capabilities.mechanisms;
        let encode = |text: String| STANDARD.encode(text);
        let (line, more) = match &self.config.auth {
            None => return self.ready(),
            Some(_) if !self.encrypted && !self.config.auth_in_clear => {
                return self.fail(Failure::NotOffered("encryption for AUTH"));
            }
            Some(Auth::Password { user, password }) if offered & smtp_proto::AUTH_PLAIN != 0 => {
                let initial = encode(format!("\0{user}\0{}", password.expose()));
                (format!("AUTH PLAIN {initial}"), VecDeque::new())
            }
            Some(Auth::Password { user, password }) if offered & smtp_proto::AUTH_LOGIN != 0 => {
                let lines = [encode(user.clone()), encode(password.expose().clone())];
                ("AUTH LOGIN".to_owned(), lines.into_iter().map(Secret::new).collect())
            }
            Some(Auth::Token { user, token }) if offered & smtp_proto::AUTH_XOAUTH2 != 0 => {
                let initial = encode(format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose()));
                (format!("AUTH XOAUTH2 {initial}"), VecDeque::new())
            }
            Some(_) => return self.fail(Failure::NotOffered("AUTH with our mechanism")),
        };
        self.command(&line);
        self.state = State::Auth(more);
    }

    fn ready(&mut self) {
        self.state = State::Ready;
        self.outputs.push_back(super::Output::Event(Event::Ready(self.capabilities.clone())));
    }

    fn mail_answered(&mut self, reply: Reply) {
        let Some(job) = &mut self.job else { return };
        let pipelined = job.rcpts.is_empty();
        if reply.is_positive() {
            self.state = State::Rcpt(0);
            self.next_rcpt();
        } else if pipelined {
            job.refused_mail = Some(reply);
            self.state = State::Rcpt(0);
        } else {
            let verdict = Verdict::from_reply(reply);
            for &position in &job.asked {
                if let Some(open) = job.verdicts.get_mut(position) {
                    *open = Some(verdict.clone());
                }
            }
            self.reset();
        }
    }

    /// Sends the next RCPT of a server without pipelining.
    fn next_rcpt(&mut self) {
        if let Some(line) = self.job.as_mut().and_then(|job| job.rcpts.pop_front()) {
            self.command(&line);
        }
    }

    fn rcpt_answered(&mut self, asked: usize, reply: Reply) {
        let Some(job) = &mut self.job else { return };
        let position = job.asked.get(asked).copied().unwrap_or(usize::MAX);
        let refused_mail = job.refused_mail.clone();
        let reply = refused_mail.clone().unwrap_or(reply);
        if let Some(verdict) = job.verdicts.get_mut(position) {
            if reply.is_positive() {
                job.accepted.push(position);
            } else {
                *verdict = Some(Verdict::from_reply(reply));
            }
        }
        let next = asked.saturating_add(1);
        if next < job.asked.len() {
            self.state = State::Rcpt(next);
            return self.next_rcpt();
        }
        if job.accepted.is_empty() {
            return self.reset();
        }
        let (line, state) = match job.burl.clone() {
            Some(line) => (line, State::Burl),
            None => ("DATA".to_owned(), State::Data),
        };
        self.command(&line);
        self.state = state;
    }

    fn final_answered(&mut self, position: usize, reply: Reply) {
        if self.config.protocol == Protocol::Smtp {
            self.settle_accepted(&reply);
            return self.done();
        }
        let Some(job) = &mut self.job else { return };
        let slot = job.accepted.get(position).and_then(|&at| job.verdicts.get_mut(at));
        if let Some(verdict) = slot {
            *verdict = Some(Verdict::from_reply(reply));
        }
        let next = position.saturating_add(1);
        if next < job.accepted.len() {
            self.state = State::Final(next);
        } else {
            self.done();
        }
    }

    /// One answer for all recipients that were taken.
    fn settle_accepted(&mut self, reply: &Reply) {
        if let Some(job) = &mut self.job {
            for &position in &job.accepted {
                if let Some(verdict) = job.verdicts.get_mut(position) {
                    *verdict = Some(Verdict::from_reply(reply.clone()));
                }
            }
        }
    }

    fn reset(&mut self) {
        self.command("RSET");
        self.state = State::Rset;
    }

    fn done(&mut self) {
        self.state = State::Ready;
        self.report(None);
    }

    /// Tells what became of the message; recipients without a verdict share `failure`'s.
    fn report(&mut self, failure: Option<Verdict>) {
        let Some(job) = self.job.take() else { return };
        let open = failure.unwrap_or(Verdict::NotSent(Failure::Violation("no answer for a recipient")));
        let addresses = job.submission.recipients.into_iter().map(|to| to.address);
        let recipients: Vec<(ForwardPath, Verdict)> = addresses
            .zip(job.verdicts)
            .map(|(address, verdict)| (address, verdict.unwrap_or_else(|| open.clone())))
            .collect();
        let by_url = job.by_url;
        self.outputs.push_back(super::Output::Event(Event::Sent(Outcome { recipients, by_url })));
    }

    fn fail(&mut self, failure: Failure) {
        let verdict = match (&self.state, &failure) {
            // It was answered, if only to say that the server goes.
            (State::Burl, Failure::Refused { .. }) => Verdict::NotSent(failure.clone()),
            (State::Final(_) | State::Burl, _) => Verdict::Unknown(failure.clone()),
            _ => Verdict::NotSent(failure.clone()),
        };
        self.commands.clear();
        self.report(Some(verdict));
        self.outputs.push_back(super::Output::Event(Event::Failed(failure)));
        self.close();
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.outputs.push_back(super::Output::Close);
    }

    fn command(&mut self, line: &str) {
        self.commands.put_slice(line.as_bytes());
        self.commands.put_slice(b"\r\n");
    }

    fn step(&self) -> &'static str {
        match self.state {
            State::Greeting => "greeting",
            State::Ehlo | State::Helo => "EHLO",
            State::StartTls => "STARTTLS",
            State::Handshake => "the TLS handshake",
            State::Auth(_) => "AUTH",
            State::EhloAgain => "EHLO after AUTH",
            State::Ready => "nothing",
            State::Mail => "MAIL",
            State::Rcpt(_) => "RCPT",
            State::Data => "DATA",
            State::Body(_) => "the message's transfer",
            State::Final(_) => "the message",
            State::Burl => "BURL",
            State::RsetForOctets | State::Rset => "RSET",
            State::Quit => "QUIT",
            State::Closed => "nothing: it is closed",
        }
    }
}
