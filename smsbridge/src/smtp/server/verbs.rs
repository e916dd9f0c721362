//! The host's decisions.

use super::Session;
use super::session::State;
use crate::smtp::{EnhancedCode, Error, Reply};
use std::time::Duration;

impl Session {
    /// The sender may send.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`], [`Error::Closed`]; so do all verbs.
    pub fn accept_mail(&mut self, now: Duration) -> Result<(), Error> {
        let State::Mail(from) = self.decide("accept_mail", |state| matches!(state, State::Mail(_)))? else {
            return Ok(());
        };
        self.from = Some(from);
        self.answer(now, &Reply::new(250, EnhancedCode(2, 1, 0), "Ok"))
    }

    /// It may not.
    ///
    /// # Errors
    /// [`Error::NotARefusal`] unless `reply` is 4yz or 5yz.
    pub fn reject_mail(&mut self, now: Duration, reply: &Reply) -> Result<(), Error> {
        refusal(reply)?;
        self.decide("reject_mail", |state| matches!(state, State::Mail(_)))?;
        self.answer(now, reply)
    }

    /// Mail for this recipient is taken.
    ///
    /// # Errors
    /// As [`accept_mail`](Session::accept_mail).
    pub fn accept_rcpt(&mut self, now: Duration) -> Result<(), Error> {
        let State::Rcpt(to) = self.decide("accept_rcpt", |state| matches!(state, State::Rcpt(_)))? else {
            return Ok(());
        };
        self.recipients.push(to);
        self.answer(now, &Reply::new(250, EnhancedCode(2, 1, 5), "Ok"))
    }

    /// It is not.
    ///
    /// # Errors
    /// As [`reject_mail`](Session::reject_mail).
    pub fn reject_rcpt(&mut self, now: Duration, reply: &Reply) -> Result<(), Error> {
        refusal(reply)?;
        self.decide("reject_rcpt", |state| matches!(state, State::Rcpt(_)))?;
        self.answer(now, reply)
    }

    /// The message is stored, durably, for all its recipients; `id` is shown to the client.
    ///
    /// # Errors
    /// [`Error::Closed`] if the link went meanwhile: the client will send the message again.
    pub fn accept_message(&mut self, now: Duration, id: &str) -> Result<(), Error> {
        let reply = Reply::new(250, EnhancedCode(2, 0, 0), format!("Ok: stored as {id}"));
        self.answer_all(now, "accept_message", &reply)
    }

    /// The message is not taken, for any recipient.
    ///
    /// # Errors
    /// As [`reject_mail`](Session::reject_mail).
    pub fn reject_message(&mut self, now: Duration, reply: &Reply) -> Result<(), Error> {
        refusal(reply)?;
        self.answer_all(now, "reject_message", reply)
    }

    /// Answers for each recipient: in LMTP one reply for each accepted one in order, in SMTP exactly one.
    ///
    /// # Errors
    /// [`Error::ReplyCount`] for another number.
    pub fn answer_message(&mut self, now: Duration, replies: &[Reply]) -> Result<(), Error> {
        if let State::Message(wanted) = self.state
            && replies.len() != wanted
        {
            return Err(Error::ReplyCount { given: replies.len(), wanted });
        }
        if let Some(reply) = replies.iter().find(|reply| !reply.is_positive() && !reply.is_refusal()) {
            return Err(Error::NotARefusal { code: reply.code });
        }
        self.decide("answer_message", |state| matches!(state, State::Message(_)))?;
        for reply in replies {
            self.reply(reply);
        }
        self.go_on(now);
        Ok(())
    }

    /// The login is right.
    ///
    /// # Errors
    /// As [`accept_mail`](Session::accept_mail).
    pub fn accept_auth(&mut self, now: Duration) -> Result<(), Error> {
        let State::Login(user) = self.decide("accept_auth", |state| matches!(state, State::Login(_)))? else {
            return Ok(());
        };
        self.login = Some(user);
        self.answer(now, &Reply::new(235, EnhancedCode(2, 7, 0), "Welcome"))
    }

    /// It is wrong: 535, one answer for a wrong user and a wrong password. Counts as an error.
    ///
    /// # Errors
    /// As [`accept_mail`](Session::accept_mail).
    pub fn reject_auth(&mut self, now: Duration) -> Result<(), Error> {
        self.decide("reject_auth", |state| matches!(state, State::Login(_)))?;
        self.say(535, (5, 7, 8), "Wrong user or password");
        self.count_error();
        self.go_on(now);
        Ok(())
    }

    /// The login could not be checked now: 454, the client may try again.
    ///
    /// # Errors
    /// As [`accept_mail`](Session::accept_mail).
    pub fn defer_auth(&mut self, now: Duration) -> Result<(), Error> {
        self.decide("defer_auth", |state| matches!(state, State::Login(_)))?;
        self.answer(now, &Reply::new(454, EnhancedCode(4, 7, 0), "Cannot check this now"))
    }

    /// TLS is up; the client begins anew.
    ///
    /// # Errors
    /// As [`accept_mail`](Session::accept_mail).
    pub fn tls_started(&mut self, now: Duration) -> Result<(), Error> {
        self.decide("tls_started", |state| matches!(state, State::Handshake))?;
        self.forget();
        self.heard = now;
        Ok(())
    }

    fn answer_all(&mut self, now: Duration, verb: &'static str, reply: &Reply) -> Result<(), Error> {
        let state = self.decide(verb, |state| matches!(state, State::Message(_)))?;
        let wanted = if let State::Message(wanted) = state { wanted } else { 1 };
        for _ in 0..wanted {
            self.reply(reply);
        }
        self.go_on(now);
        Ok(())
    }

    fn answer(&mut self, now: Duration, reply: &Reply) -> Result<(), Error> {
        self.reply(reply);
        self.go_on(now);
        Ok(())
    }

    fn go_on(&mut self, now: Duration) {
        self.heard = now;
        if self.stopping {
            self.stop();
        }
        self.run_kept();
    }

    /// Takes the state that `verb` decides on.
    fn decide(&mut self, verb: &'static str, fits: fn(&State) -> bool) -> Result<State, Error> {
        if fits(&self.state) {
            Ok(std::mem::replace(&mut self.state, State::Command))
        } else if self.is_closed() {
            Err(Error::Closed { verb })
        } else {
            Err(Error::OutOfTurn { verb, state: self.state.name() })
        }
    }
}

fn refusal(reply: &Reply) -> Result<(), Error> {
    if reply.is_refusal() { Ok(()) } else { Err(Error::NotARefusal { code: reply.code }) }
}
