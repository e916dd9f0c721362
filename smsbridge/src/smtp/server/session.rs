//! The server session: what comes in, and in which order.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::auth::{self, Step};
use super::{AuthPolicy, Config, Event, Output};
use crate::smtp::command::{self, Command, Line, Lines};
use crate::smtp::data::{Fault, Progress, Receiver};
use crate::smtp::{EnhancedCode, Envelope, MailFrom, Protocol, Recipient, Reply};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;

/// One client's link.
///
/// # Shape
/// One mutation, then [`poll_output`](Session::poll_output) until `None`, then
/// [`poll_timeout`](Session::poll_timeout). Events wait for the host's verb; see [`Event`].
/// # Spec
/// RFC 5321 §4, RFC 2033 for LMTP
pub struct Session {
    pub(super) config: Config,
    pub(super) state: State,
    lines: Lines,
    /// What came while the host was deciding.
    kept: BytesMut,
    /// Replies not yet in `outputs`.
    replies: BytesMut,
    outputs: VecDeque<Output>,
    pub(super) started: Duration,
    pub(super) heard: Duration,
    hello: Option<Hello>,
    pub(super) tls: bool,
    pub(super) login: Option<String>,
    pub(super) from: Option<MailFrom>,
    pub(super) recipients: Vec<Recipient>,
    errors: u32,
    /// The host wants to stop.
    pub(super) stopping: bool,
}

struct Hello {
    name: String,
    extended: bool,
}

/// What the session waits for.
pub(super) enum State {
    Command,
    Mail(MailFrom),
    Rcpt(Recipient),
    Data(Box<Receiver>),
    /// The host stores the message; replies wanted.
    Message(usize),
    Auth(Step),
    Login(String),
    Handshake,
    Closed,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            State::Command => "waiting for a command",
            State::Mail(_) => "waiting for a decision on the sender",
            State::Rcpt(_) => "waiting for a decision on a recipient",
            State::Data(_) => "receiving a message",
            State::Message(_) => "waiting for a message to be stored",
            State::Auth(_) => "in a login",
            State::Login(_) => "waiting for a decision on a login",
            State::Handshake => "waiting for TLS",
            State::Closed => "closed",
        }
    }
}

impl Session {
    /// A new link; the greeting is its first output.
    pub fn new(config: Config, now: Duration) -> Self {
        let tls = config.tls;
        let mut session = Session {
            config,
            state: State::Command,
            lines: Lines::default(),
            kept: BytesMut::new(),
            replies: BytesMut::new(),
            outputs: VecDeque::new(),
            started: now,
            heard: now,
            hello: None,
            tls,
            login: None,
            from: None,
            recipients: Vec::new(),
            errors: 0,
            stopping: false,
        };
        let protocol = if session.is_lmtp() { "LMTP" } else { "ESMTP" };
        session.reply(&Reply::plain(220, format!("{} {protocol}", session.config.hostname)));
        session
    }

    /// Takes octets of the peer. Never fails: whatever they are, the answer is a reply.
    pub fn handle_input(&mut self, now: Duration, input: &[u8]) {
        self.heard = now;
        if self.kept.is_empty() {
            let mut rest = input;
            self.run(&mut rest);
            if !matches!(self.state, State::Handshake | State::Closed) {
                self.kept.extend_from_slice(rest);
            }
        } else {
            self.kept.extend_from_slice(input);
            self.run_kept();
        }
    }

    /// The peer closed its end; an unfinished message is dropped.
    pub fn handle_eof(&mut self, now: Duration) {
        self.heard = now;
        self.close();
    }

    /// Call it when [`poll_timeout`](Session::poll_timeout) says so; earlier is harmless.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.say(421, (4, 4, 2), &format!("{} Timeout, closing", self.config.hostname));
            self.close();
        }
    }

    /// The host stops: 421, then the end; a decision that it owes is told to the client first.
    pub fn shutdown(&mut self) {
        self.stopping = true;
        if !matches!(self.state, State::Mail(_) | State::Rcpt(_) | State::Message(_) | State::Login(_)) {
            self.stop();
        }
    }

    pub(super) fn stop(&mut self) {
        if !matches!(self.state, State::Closed | State::Handshake) {
            self.say(421, (4, 3, 2), &format!("{} Shutting down", self.config.hostname));
        }
        self.close();
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| {
            (!self.replies.is_empty()).then(|| super::Output::Transmit(self.replies.split().freeze()))
        })
    }

    /// When to call [`handle_timeout`](Session::handle_timeout); `None` when closed.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let times = &self.config.timeouts;
        let end = self.started.saturating_add(times.session);
        let idle = match &self.state {
            State::Closed => return None,
            State::Data(_) => times.data_block,
            // the host's time is not the peer's fault
            State::Mail(_) | State::Rcpt(_) | State::Message(_) | State::Login(_) => return Some(end),
            State::Command | State::Auth(_) | State::Handshake => times.command,
        };
        Some(end.min(self.heard.saturating_add(idle)))
    }

    /// False while the host owes a decision: do not read from the link then.
    pub fn wants_input(&self) -> bool {
        matches!(self.state, State::Command | State::Data(_) | State::Auth(_))
    }

    /// True once the link is to be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Goes on with what came while the host was deciding.
    pub(super) fn run_kept(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        let mut rest = &kept[..];
        self.run(&mut rest);
        let used = kept.len().saturating_sub(rest.len());
        kept.advance(used);
        if !matches!(self.state, State::Handshake | State::Closed) {
            self.kept = kept;
        }
    }

    fn run(&mut self, input: &mut &[u8]) {
        while !input.is_empty() && self.wants_input() {
            if let State::Data(receiver) = &mut self.state {
                match receiver.push(input) {
                    Progress::More => {}
                    Progress::End => self.data_ended(),
                    Progress::Hopeless => {
                        self.say(552, (5, 3, 4), "Message far too large");
                        self.close();
                    }
                }
                continue;
            }
            let limits = &self.config.limits;
            let max = limits.command_octets.saturating_add(553).max(limits.auth_octets);
            let Some(line) = self.lines.next(input, max) else { continue };
            self.line(line);
        }
    }

    fn line(&mut self, line: Line) {
        let line = match line {
            Line::Text(line) => line,
            Line::TooLong => return self.fault(500, (5, 5, 2), "Line too long"),
            Line::Dirty => return self.fault(500, (5, 5, 2), "Lines end in CRLF; no bare CR, LF or NUL"),
        };
        let octets = line.len().saturating_add(2);
        if let State::Auth(step) = &mut self.state {
            let step = std::mem::replace(step, Step::Plain);
            self.state = State::Command;
            if octets > self.config.limits.auth_octets {
                return self.fault(500, (5, 5, 6), "Line too long");
            }
            return self.login_step(auth::advance(step, &line));
        }
        let limits = &self.config.limits;
        if octets > command::max_octets(&line, limits, self.config.dsn, self.config.auth != AuthPolicy::Off) {
            return self.fault(500, (5, 5, 2), "Line too long");
        }
        if is_http(&line) {
            // a browser tricked into talking to us; its body would be read as commands
            self.say(421, (4, 7, 0), "This is not HTTP");
            return self.close();
        }
        match command::parse(&line, self.config.dsn) {
            Ok(command) => self.command(command),
            Err(reply) => self.fault_with(&reply),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Ehlo(name) if !self.is_lmtp() => self.greet(name, true),
            Command::Helo(name) if !self.is_lmtp() => self.greet(name, false),
            Command::Lhlo(name) if self.is_lmtp() => self.greet(name, true),
            Command::Ehlo(_) | Command::Helo(_) => self.fault(500, (5, 5, 1), "This is LMTP: say LHLO"),
            Command::Lhlo(_) => self.fault(500, (5, 5, 1), "This is SMTP: say EHLO"),
            Command::Mail(from) => self.mail(*from),
            Command::Rcpt(to) => self.rcpt(*to),
            Command::Data => self.data(),
            Command::Rset => {
                self.reset();
                self.say(250, (2, 0, 0), "Ok");
            }
            Command::Noop => self.say(250, (2, 0, 0), "Ok"),
            Command::Vrfy => self.say(252, (2, 5, 0), "Cannot verify; send the mail and see"),
            Command::Help => self.say(214, (2, 0, 0), "See RFC 5321"),
            Command::Quit => {
                self.say(221, (2, 0, 0), "Bye");
                self.close();
            }
            Command::StartTls => self.start_tls(),
            Command::Auth(mechanism, initial) => self.auth(mechanism, initial),
        }
    }

    fn greet(&mut self, name: String, extended: bool) {
        // spec: RFC 5321 §4.1.4, a new EHLO is also a RSET
        self.reset();
        self.hello = Some(Hello { name, extended });
        let mut lines = vec![self.config.hostname.clone()];
        if extended {
            lines.push("PIPELINING".into());
            lines.push(format!("SIZE {}", self.config.limits.message_octets));
            lines.push("8BITMIME".into());
            lines.push("SMTPUTF8".into());
            if self.config.dsn {
                lines.push("DSN".into());
            }
            if self.config.starttls && !self.tls {
                lines.push("STARTTLS".into());
            }
            if self.offers_auth() {
                lines.push("AUTH PLAIN LOGIN".into());
            }
            lines.push("ENHANCEDSTATUSCODES".into());
            lines.push("HELP".into());
        }
        self.reply(&Reply::plain(250, lines.join("\n")));
    }

    fn mail(&mut self, from: MailFrom) {
        if self.hello.is_none() {
            return self.fault(503, (5, 5, 1), "Say hello first");
        }
        if self.from.is_some() {
            return self.fault(503, (5, 5, 1), "One sender at a time");
        }
        if self.config.require_tls && !self.tls {
            return self.fault(530, (5, 7, 0), "STARTTLS first"); // spec: RFC 3207 §4
        }
        if self.config.auth == AuthPolicy::Required && self.login.is_none() {
            return self.fault(530, (5, 7, 0), "Log in first"); // spec: RFC 4954 §6
        }
        let max = u64::try_from(self.config.limits.message_octets).unwrap_or(u64::MAX);
        if from.size.is_some_and(|size| size > max) {
            return self.say(552, (5, 3, 4), "Message too large"); // spec: RFC 1870 §6.1
        }
        self.state = State::Mail(from.clone());
        self.event(Event::Mail(from));
    }

    fn rcpt(&mut self, to: Recipient) {
        let Some(from) = &self.from else { return self.fault(503, (5, 5, 1), "MAIL first") };
        if !from.smtputf8 && to.address.mailbox().is_some_and(|mailbox| !mailbox.is_ascii()) {
            return self.fault(553, (5, 6, 7), "This address needs SMTPUTF8"); // spec: RFC 6531 §3.5
        }
        if self.recipients.len() >= self.config.limits.recipients {
            return self.say(452, (4, 5, 3), "Too many recipients"); // spec: RFC 5321 §4.5.3.1.10
        }
        self.state = State::Rcpt(to.clone());
        self.event(Event::Rcpt(to));
    }

    fn data(&mut self) {
        if self.from.is_none() {
            return self.fault(503, (5, 5, 1), "MAIL first");
        }
        if self.recipients.is_empty() {
            // spec: RFC 5321 §4.5.3.1.10; RFC 2033 §4.2 wants 503
            let code = if self.is_lmtp() { 503 } else { 554 };
            return self.fault(code, (5, 5, 1), "No valid recipients");
        }
        let limits = &self.config.limits;
        self.state = State::Data(Box::new(Receiver::new(limits.line_octets, limits.message_octets)));
        self.reply(&Reply::plain(354, "End data with <CR><LF>.<CR><LF>"));
    }

    fn data_ended(&mut self) {
        let State::Data(receiver) = std::mem::replace(&mut self.state, State::Command) else { return };
        let from = self.from.take();
        let recipients = std::mem::take(&mut self.recipients);
        let replies = if self.is_lmtp() { recipients.len() } else { 1 };
        let fault = match (receiver.finish(), from) {
            (Ok(body), Some(from)) => {
                let hello = self.hello.as_ref();
                let envelope = Box::new(Envelope {
                    helo: hello.map_or_else(String::new, |hello| hello.name.clone()),
                    extended: hello.is_some_and(|hello| hello.extended),
                    tls: self.tls,
                    login: self.login.clone(),
                    from,
                    recipients,
                });
                self.state = State::Message(replies);
                return self.event(Event::Message { envelope, body });
            }
            (Ok(_), None) => Fault::TooLarge, // cannot be: DATA needs a sender
            (Err(fault), _) => fault,
        };
        // mission: M1; sms facts §19
        let reply = match fault {
            Fault::BareCr => Reply::new(554, EnhancedCode(5, 5, 2), "Bare CR in the message"),
            Fault::BareLf => Reply::new(554, EnhancedCode(5, 5, 2), "Bare LF in the message"),
            Fault::Nul => Reply::new(554, EnhancedCode(5, 5, 2), "NUL in the message"),
            Fault::LongLine => Reply::new(554, EnhancedCode(5, 5, 2), "Line too long in the message"),
            Fault::TooLarge => Reply::new(552, EnhancedCode(5, 3, 4), "Message too large"),
        };
        for _ in 0..replies {
            self.reply(&reply);
        }
        self.count_error();
    }

    fn start_tls(&mut self) {
        if !self.config.starttls {
            return self.fault(502, (5, 5, 1), "STARTTLS not offered");
        }
        if self.tls {
            return self.fault(503, (5, 5, 1), "Already encrypted");
        }
        if self.hello.is_none() {
            return self.fault(503, (5, 5, 1), "Say hello first");
        }
        self.say(220, (2, 0, 0), "Go ahead");
        self.flush();
        self.outputs.push_back(super::Output::StartTls);
        self.reset();
        self.state = State::Handshake;
    }

    fn auth(&mut self, mechanism: u64, initial: Option<String>) {
        if self.config.auth == AuthPolicy::Off {
            return self.fault(502, (5, 5, 1), "AUTH not offered");
        }
        if !self.offers_auth() {
            return self.fault(538, (5, 7, 11), "Encryption needed to log in"); // spec: RFC 4954 §6
        }
        if self.hello.is_none() || self.login.is_some() || self.from.is_some() {
            return self.fault(503, (5, 5, 1), "Not now"); // spec: RFC 4954 §4
        }
        self.login_step(auth::start(mechanism, initial));
    }

    fn login_step(&mut self, next: Result<auth::Next, Reply>) {
        match next {
            Ok(auth::Next::Challenge(challenge, step)) => {
                self.state = State::Auth(step);
                self.reply(&Reply::plain(334, challenge));
            }
            Ok(auth::Next::Credentials(credentials)) => {
                self.state = State::Login(credentials.user.clone());
                self.event(Event::Auth(credentials));
            }
            Err(reply) => self.fault_with(&reply),
        }
    }

    /// TLS begins: what was said in clear counts no more (RFC 3207 §4.2).
    pub(super) fn forget(&mut self) {
        self.reset();
        self.hello = None;
        self.login = None;
        self.lines = Lines::default();
        self.kept = BytesMut::new();
        self.tls = true;
    }

    pub(super) fn reset(&mut self) {
        self.from = None;
        self.recipients = Vec::new();
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.config.protocol == Protocol::Lmtp
    }

    fn offers_auth(&self) -> bool {
        self.config.auth != AuthPolicy::Off && (self.tls || self.config.auth_in_clear)
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        reply.write(&mut self.replies);
    }

    pub(super) fn say(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        self.reply(&Reply::new(code, EnhancedCode(enhanced.0, enhanced.1, enhanced.2), text));
    }

    fn fault(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        self.say(code, enhanced, text);
        self.count_error();
    }

    fn fault_with(&mut self, reply: &Reply) {
        self.reply(reply);
        self.count_error();
    }

    pub(super) fn count_error(&mut self) {
        self.errors = self.errors.saturating_add(1);
        if self.errors >= self.config.limits.errors {
            self.say(421, (4, 7, 0), &format!("{} Too many errors, closing", self.config.hostname));
            self.close();
        }
    }

    fn event(&mut self, event: Event) {
        self.flush();
        self.outputs.push_back(super::Output::Event(event));
    }

    fn flush(&mut self) {
        if !self.replies.is_empty() {
            self.outputs.push_back(super::Output::Transmit(self.replies.split().freeze()));
        }
    }

    fn close(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.flush();
            self.outputs.push_back(super::Output::Close);
            self.state = State::Closed;
            self.kept = BytesMut::new();
            self.reset();
        }
    }
}

fn is_http(line: &[u8]) -> bool {
    let word = line.split(|&octet| octet == b' ').next().unwrap_or_default();
    [&b"GET"[..], b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE"].contains(&word)
}
