//! A session of a terminal: login, first package, answers.

use super::answer::Run;
use super::{ClockFace, Config, Event, MESSAGES, SessionError, Step, Terminal};
use crate::dm::message::{Outgoing, header, own};
use crate::dm::tree;
use bytes::Bytes;
use std::collections::BTreeMap;
use syncml::session::auth::{self, Scheme};
use syncml::session::resolve_resp_uri;
use syncml::{AlertCode, Command, CommandName, Message, Status, StatusCode};
use timesync::appoint::Place;

/// A session under way; lives only as long as the program.
#[derive(Clone, Debug)]
pub struct Session {
    id: Box<str>,
    url: Box<str>,
    our_msg: u32,
    challenged: bool,
    logged_in: bool,
    scheme: Scheme,
    limit: u32,
    /// Outcomes and the answer that our last message told.
    told: Vec<(u32, Told)>,
    messages: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Outcome(u64),
    Answer,
}

impl Session {
    pub(super) fn new(config: &Config, id: &str) -> Self {
        Session {
            id: id.into(),
            url: config.server_url.clone(),
            our_msg: 0,
            challenged: false,
            logged_in: false,
            scheme: config.scheme,
            limit: config.max_msg_size,
            told: Vec::new(),
            messages: 0,
        }
    }

    /// Where the next message goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Package 1: alert, device information, and what the server must hear.
    pub(super) fn first(
        mut self,
        terminal: &Terminal,
        config: &Config,
        answering: Option<&Message>,
    ) -> Result<(Session, Bytes), SessionError> {
        let mut out = self.open(terminal, config, answering.map_or(0, |message| message.hdr.msg_id))?;
        if answering.is_some() {
            out.status(0, CommandName::SyncHdr, StatusCode::OK, None);
        }
        out.alert(AlertCode::DM_CLIENT_INITIATED, None, None);
        let info = [
            ("DevId", &*config.device),
            ("Man", "mailsync"),
            ("Mod", "mailsync"),
            ("DmV", "1.2"),
            ("Lang", "en"),
        ];
        out.replace(info.map(|(leaf, text)| own(&format!("./DevInfo/{leaf}"), text)).into());
        self.told.clear();
        if let Some(answer) = terminal.answer {
            let word = if answer.accepted { "accept" } else { "refuse" };
            let item = own(tree::CLOCK_SET, &format!("{word} {}", answer.serial));
            let id = out.alert(AlertCode::DM_GENERIC, None, Some((item, tree::ANSWER)));
            self.told.extend(id.map(|id| (id, Told::Answer)));
        }
        for (operation, outcome) in &terminal.outcomes {
            let item = own(&tree::operation(*operation, ""), &outcome.text());
            let correlator = operation.to_string();
            let id = out.alert(AlertCode::DM_GENERIC, Some(&correlator), Some((item, tree::OUTCOME)));
            self.told.extend(id.map(|id| (id, Told::Outcome(*operation))));
        }
        Ok((self, out.finish()))
    }

    fn open(
        &mut self,
        terminal: &Terminal,
        config: &Config,
        peer_msg: u32,
    ) -> Result<Outgoing, SessionError> {
        self.our_msg = self.our_msg.saturating_add(1);
        self.messages = self.messages.saturating_add(1);
        if self.messages > MESSAGES {
            return Err(SessionError::TooLong(self.messages));
        }
        let mut hdr = header(&self.id, self.our_msg, &config.server_url, &config.device, config.max_msg_size);
        hdr.source.loc_name = Some(config.user.clone());
        if !self.logged_in {
            let nonce = terminal.nonce.as_deref().unwrap_or_default();
            hdr.cred = auth::credentials(self.scheme, &config.user, &config.password, nonce).map(Box::new);
        }
        Ok(Outgoing::new(config.encoding, &hdr, peer_msg, self.limit as usize)?)
    }

    pub(super) fn take(
        mut self,
        terminal: &mut Terminal,
        config: &Config,
        message: &Message,
        place: Place<'_>,
        (came, leaves): (ClockFace, ClockFace),
    ) -> Result<(Step, Vec<Event>), SessionError> {
        if message.hdr.session_id != self.id {
            return Err(SessionError::OtherSession);
        }
        if let Some(uri) = &message.hdr.resp_uri {
            self.url = resolve_resp_uri(&self.url, uri).ok_or(SessionError::ForeignRespUri)?.into();
        }
        if let Some(size) = message.hdr.meta.as_ref().and_then(|meta| meta.max_msg_size) {
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            self.limit = config.max_msg_size.min(size.max(syncml::session::MIN_MSG_SIZE));
        }
        if self.login(terminal, message)? {
            let (session, bytes) = self.first(terminal, config, Some(message))?;
            return Ok((Step::Send(session, bytes), Vec::new()));
        }
        let told = std::mem::take(&mut self.told);
        for command in &message.commands {
            if let Command::Status(status) = command {
                confirm(terminal, &told, status);
            }
        }
        let mut out = self.open(terminal, config, message.hdr.msg_id)?;
        out.status(0, CommandName::SyncHdr, StatusCode::OK, None);
        let mut run = Run {
            terminal,
            place,
            came,
            leaves,
            out,
            events: Vec::new(),
            nodes: BTreeMap::new(),
            asked: false,
        };
        for command in &message.commands {
            run.command(command);
        }
        let (asked, out, events) = (run.asked, run.out, run.events);
        let step = if asked { Step::Send(self, out.finish()) } else { Step::Over };
        Ok((step, events))
    }

    /// True when the first package must be sent again, with the server's nonce.
    fn login(&mut self, terminal: &mut Terminal, message: &Message) -> Result<bool, SessionError> {
        let header = message.commands.iter().find_map(|command| match command {
            Command::Status(status) if status.cmd_ref == 0 => Some(status),
            _ => None,
        });
        let Some(status) = header else { return Ok(false) };
        let chal = status.chal.as_deref();
        if let Some(nonce) = chal.and_then(|chal| chal.meta.next_nonce.as_ref()) {
            terminal.nonce = Some(nonce.to_vec());
        }
        match status.data {
            code if code.is_success() => {
                self.logged_in = true;
                Ok(false)
            }
            StatusCode::INVALID_CREDENTIALS | StatusCode::MISSING_CREDENTIALS if !self.challenged => {
                let wanted = chal.and_then(|chal| Scheme::from_meta(Some(&chal.meta)));
                // spec: threats S4: never a weaker scheme than was asked for
                if wanted.is_none() || (wanted == Some(Scheme::Basic) && self.scheme != Scheme::Basic) {
                    return Err(SessionError::Login(status.data));
                }
                self.challenged = true;
                Ok(true)
            }
            code => Err(SessionError::Login(code)),
        }
    }
}

fn confirm(terminal: &mut Terminal, told: &[(u32, Told)], status: &Status) {
    if !status.data.is_success() {
        return;
    }
    match told.iter().find(|(id, _)| *id == status.cmd_ref) {
        Some((_, Told::Outcome(id))) => {
            terminal.outcomes.remove(id);
        }
        Some((_, Told::Answer)) => terminal.answer = None,
        None => {}
    }
}
