//! The client half of a recorded session, played to another server.
//!
//! A recording cannot be sent as it is: nonces, session addresses, and the ids that the server chose belong to its day.
//! So a replay is a client that says what the recorded one said (`Put`, `Get`, `Alert`, `Sync` and all in it, in the
//! same messages) and answers by itself what this server says: its commands with statuses, its new items with maps.
//! Credentials are made anew: good ones where the recorded ones were taken, bad ones where they were refused.
//! What comes back is compared by the class of each status.

use bytes::Bytes;
use std::collections::HashMap;
use syncml::session::auth::{Scheme, credentials};
use syncml::session::resolve_resp_uri;
use syncml::{
    Alert, AlertCode, Command, CommandName, Data, DecodeError, EncodeError, Encoding, Item, Limits, Map,
    MapItem, Message, Meta, Quirks, Source, Status, StatusCode, SyncHdr, Target,
};

/// A new item: the server's and the client's name of the datastore, id, octets.
type Added = (Box<str>, Box<str>, Box<str>, Bytes);

/// One request of a recording, and what it was answered with.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The spelling of both.
    pub encoding: Encoding,
    /// What the client said.
    pub request: Message,
    /// What the server said; none if that was no SyncML message.
    pub response: Option<Message>,
}

/// Who plays, and where.
#[derive(Clone, Debug)]
pub struct Login {
    /// The server's URL.
    pub server: Box<str>,
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: Box<str>,
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where.
    pub url: Box<str>,
    /// The spelling.
    pub encoding: Encoding,
    /// The message.
    pub body: Bytes,
}

/// A status that is of another class than the recorded one, or never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the request in the recording, from 1.
    pub request: usize,
    /// The command.
    pub cmd: CommandName,
    /// Its `CmdID` in the recording; 0 is the header.
    pub cmd_id: u32,
    /// What the recorded server answered.
    pub recorded: StatusCode,
    /// What this one answered.
    pub answered: Option<StatusCode>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Difference { request, cmd, cmd_id, recorded, answered } = self;
        write!(f, "request {request}, {} {cmd_id}: recorded {recorded}, ", cmd.as_str())?;
        match answered {
            Some(code) => write!(f, "now {code}"),
            None => f.write_str("now no status"),
        }
    }
}

/// Messages after the recorded ones, until the server has said all.
const TAIL: u32 = 50;

/// A replay at work: send what [`Replay::next_request`] gives, and [`Replay::take`] the answer.
#[derive(Debug)]
pub struct Replay {
    login: Login,
    steps: Vec<Recorded>,
    at: usize,
    msg_id: u32,
    nonce: Vec<u8>,
    /// Where the server wants the next message.
    resp_uri: Option<Box<str>>,
    answer: Option<Message>,
    /// Our `MsgID`s, with the step that each was.
    sent: HashMap<u32, usize>,
    answered: HashMap<(usize, u32), StatusCode>,
    retried: bool,
    tail: u32,
    /// New items of the server that are not mapped.
    unmapped: Vec<Added>,
    mapped: u32,
}

impl Replay {
    /// A replay of these steps.
    pub fn new(login: Login, steps: Vec<Recorded>) -> Self {
        Replay {
            login,
            steps,
            at: 0,
            msg_id: 0,
            nonce: Vec::new(),
            resp_uri: None,
            answer: None,
            sent: HashMap::new(),
            answered: HashMap::new(),
            retried: false,
            tail: 0,
            unmapped: Vec::new(),
            mapped: 0,
        }
    }

    /// The next request; none when all is said.
    ///
    /// # Errors
    /// A recorded message that cannot be spelled again.
    pub fn next_request(&mut self) -> Result<Option<Request>, EncodeError> {
        let message = match self.steps.get(self.at).cloned() {
            Some(step) => self.step(step),
            None if self.wants_more() && self.tail < TAIL => {
                self.tail += 1;
                self.tail_message()
            }
            None => None,
        };
        let Some((encoding, message)) = message else { return Ok(None) };
        let url = self.resp_uri.clone().unwrap_or_else(|| self.login.server.clone());
        Ok(Some(Request { url, encoding, body: syncml::encode(encoding, &message)? }))
    }

    /// Takes the server's answer to the last request.
    ///
    /// # Errors
    /// It is no SyncML message.
    pub fn take(&mut self, answer: &Bytes) -> Result<(), DecodeError> {
        let encoding = self.steps.first().map_or(Encoding::Xml, |step| step.encoding);
        let message = syncml::decode(encoding, answer, &Limits::default(), &Quirks::normal())?;
        if let Some(uri) = &message.hdr.resp_uri {
            // spec: threats S2: a RespURI that leads away is not followed
            self.resp_uri = resolve_resp_uri(&self.login.server, uri).map(Into::into);
        }
        let mut refused = false;
        for status in statuses(&message.commands) {
            if let Some(nonce) = status.chal.as_ref().and_then(|chal| chal.meta.next_nonce.as_ref()) {
                self.nonce = nonce.to_vec();
            }
            refused |= status.cmd == CommandName::SyncHdr && matches!(status.data.0, 401 | 407);
        }
        let wanted = self.steps.get(self.at).and_then(hdr_status);
        if refused && !self.retried && wanted.is_some_and(StatusCode::is_success) {
            // The recorded client knew its nonce from the session before.
            self.retried = true;
            self.answer = None;
            return Ok(());
        }
        for status in statuses(&message.commands) {
            let step = status.msg_ref.and_then(|id| self.sent.get(&id)).copied();
            if let Some(step) = step {
                self.answered.entry((step, status.cmd_ref)).or_insert(status.data);
            }
        }
        self.note_adds(&message);
        self.answer = Some(message);
        self.at += 1;
        Ok(())
    }

    /// How many statuses of the recording were compared, and those that are of another class.
    pub fn compare(&self) -> (usize, Vec<Difference>) {
        let mut compared = 0;
        let mut differences = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            for (cmd, cmd_id) in asked(&step.request) {
                let Some(recorded) = self.recorded(number, step.request.hdr.msg_id, cmd_id) else { continue };
                compared += 1;
                let answered = self.answered.get(&(number, cmd_id)).copied();
                if answered.is_none_or(|code| code.0 / 100 != recorded.0 / 100) {
                    differences.push(Difference { request: number + 1, cmd, cmd_id, recorded, answered });
                }
            }
        }
        (compared, differences)
    }

    /// What the recorded server answered; a client that logs in again may count its messages from 1 again.
    fn recorded(&self, number: usize, msg_id: u32, cmd_id: u32) -> Option<StatusCode> {
        self.steps.iter().skip(number).filter_map(|step| step.response.as_ref()).find_map(|response| {
            let fits = |status: &&Status| status.msg_ref == Some(msg_id) && status.cmd_ref == cmd_id;
            statuses(&response.commands).find(fits).map(|status| status.data)
        })
    }

    /// A recorded message as it must be now.
    fn step(&mut self, step: Recorded) -> Option<(Encoding, Message)> {
        let mut message = step.request.clone();
        let (answers, maps) = self.answers(&step.request);
        let has_map = message.commands.iter().any(|command| matches!(command, Command::Map(_)));
        message.commands.retain(|c| !matches!(c, Command::Status(_) | Command::Map(_) | Command::Results(_)));
        let mut commands = answers;
        if has_map {
            commands.extend(maps);
            self.unmapped.clear();
        }
        commands.append(&mut message.commands);
        message.commands = commands;
        self.header(&mut message.hdr, hdr_status(&step));
        self.sent.insert(self.msg_id, self.at);
        Some((step.encoding, message))
    }

    /// What is left to say when the recording is over.
    fn tail_message(&mut self) -> Option<(Encoding, Message)> {
        let last = self.steps.last()?.clone();
        let mut message = last.request.clone();
        message.commands.clear();
        let (mut commands, maps) = self.answers(&message);
        commands.extend(maps);
        self.unmapped.clear();
        let next = u32::try_from(commands.len()).unwrap_or(u32::MAX).saturating_add(1);
        if self.answer.as_ref().is_some_and(|answer| !answer.is_final) {
            commands.push(Command::Alert(Box::new(Alert::new(next, AlertCode::NEXT_MESSAGE))));
        }
        message.commands = commands;
        message.is_final = true;
        self.header(&mut message.hdr, None);
        Some((last.encoding, message))
    }

    /// Whether the server waits for something.
    fn wants_more(&self) -> bool {
        let Some(answer) = &self.answer else { return false };
        let silent = answer.commands.iter().all(|command| matches!(command, Command::Status(_)));
        !(answer.is_final && silent && self.unmapped.is_empty())
    }

    fn header(&mut self, hdr: &mut SyncHdr, wanted: Option<StatusCode>) {
        self.msg_id += 1;
        hdr.msg_id = self.msg_id;
        hdr.target.loc_uri = self.resp_uri.clone().unwrap_or_else(|| self.login.server.clone());
        hdr.source.loc_name = Some(self.login.user.clone());
        let Some(cred) = hdr.cred.take() else { return };
        let scheme = match Scheme::from_meta(cred.meta.as_deref()) {
            Some(Scheme::Md5) if &*hdr.ver_dtd == "1.0" => Scheme::Md5Of1_0,
            scheme => scheme.unwrap_or(Scheme::Md5),
        };
        let refused = wanted.is_some_and(|code| matches!(code.0, 401 | 407)) && !self.retried;
        let password = if refused { "not the password" } else { &*self.login.password };
        hdr.cred = credentials(scheme, &self.login.user, password, &self.nonce).map(Box::new);
    }

    /// Our statuses for what the server said last, and the maps of its new items.
    fn answers(&mut self, request: &Message) -> (Vec<Command>, Vec<Command>) {
        let mut ids = Ids(request.commands.iter().map(highest).max().unwrap_or(0));
        let mut out = Vec::new();
        if let Some(answer) = self.answer.take() {
            let of = answer.hdr.msg_id;
            let asks = answer.commands.iter().any(|command| !matches!(command, Command::Status(_)));
            if asks || !answer.is_final {
                let status = Status::new(ids.next(), of, 0, CommandName::SyncHdr, StatusCode::OK);
                out.push(Command::Status(Box::new(status)));
            }
            let mut open: Vec<&Command> = answer.commands.iter().rev().collect();
            while let Some(command) = open.pop() {
                if matches!(command, Command::Status(_)) {
                    continue;
                }
                let code =
                    if matches!(command, Command::Add(_)) { StatusCode::ITEM_ADDED } else { StatusCode::OK };
                let mut status = Status::new(ids.next(), of, command.cmd_id(), command.name(), code);
                if let Command::Alert(alert) = command {
                    status.items = alert.items.iter().filter_map(echo).collect();
                }
                out.push(Command::Status(Box::new(status)));
                if let Command::Sync(sync) = command {
                    open.extend(sync.commands.iter().rev());
                }
            }
        }
        let maps = self.maps(&mut ids);
        (out, maps)
    }

    fn maps(&mut self, ids: &mut Ids) -> Vec<Command> {
        let mut maps: Vec<Map> = Vec::new();
        for (server, client, guid, data) in &self.unmapped {
            self.mapped += 1;
            let luid = self.recorded_luid(data).unwrap_or_else(|| format!("replay{}", self.mapped).into());
            let mut item = MapItem::default();
            (item.target, item.source) = (Target::new(guid), Source::new(&luid));
            match maps.iter_mut().find(|map| map.target.loc_uri == *server) {
                Some(map) => map.items.push(item),
                None => {
                    let mut map = Map::default();
                    map.cmd_id = ids.next();
                    (map.target, map.source) = (Target::new(server), Source::new(client));
                    map.items.push(item);
                    maps.push(map);
                }
            }
        }
        maps.into_iter().map(|map| Command::Map(Box::new(map))).collect()
    }

    /// The LUID that the recorded client gave to an item of these octets.
    fn recorded_luid(&self, data: &[u8]) -> Option<Box<str>> {
        let offers = self.steps.iter().filter_map(|step| step.response.as_ref()).flat_map(adds);
        let guid = offers.into_iter().find(|(_, _, _, octets)| octets.trim_ascii() == data.trim_ascii())?.2;
        let maps = self.steps.iter().flat_map(|step| &step.request.commands);
        let pairs = maps.filter_map(|command| match command {
            Command::Map(map) => Some(&map.items),
            _ => None,
        });
        pairs.flatten().find(|item| item.target.loc_uri == guid).map(|item| item.source.loc_uri.clone())
    }

    fn note_adds(&mut self, answer: &Message) {
        for (server, client, guid, data) in adds(answer) {
            if !self.unmapped.iter().any(|(_, _, known, _)| *known == guid) {
                self.unmapped.push((server, client, guid, data));
            }
        }
    }
}

struct Ids(u32);

impl Ids {
    fn next(&mut self) -> u32 {
        self.0 = self.0.saturating_add(1);
        self.0
    }
}

/// The highest `CmdID` in a command of a client: nothing is nested deeper than a `Sync`'s own commands.
fn highest(command: &Command) -> u32 {
    match command {
        Command::Sync(sync) => sync.commands.iter().map(Command::cmd_id).max().unwrap_or(0).max(sync.cmd_id),
        other => other.cmd_id(),
    }
}

fn statuses(commands: &[Command]) -> impl Iterator<Item = &Status> {
    commands.iter().filter_map(|command| match command {
        Command::Status(status) => Some(&**status),
        _ => None,
    })
}

fn hdr_status(step: &Recorded) -> Option<StatusCode> {
    let response = step.response.as_ref()?;
    statuses(&response.commands).find(|status| status.cmd == CommandName::SyncHdr).map(|status| status.data)
}

/// What a request wants statuses for: its header, and every command that is no answer and no map.
fn asked(request: &Message) -> Vec<(CommandName, u32)> {
    let mut out = vec![(CommandName::SyncHdr, 0)];
    for command in &request.commands {
        match command {
            Command::Status(_) | Command::Results(_) | Command::Map(_) => continue,
            Command::Sync(sync) => out.extend(sync.commands.iter().map(|c| (c.name(), c.cmd_id()))),
            _ => {}
        }
        out.push((command.name(), command.cmd_id()));
    }
    out
}

/// The new items that a server offers.
fn adds(answer: &Message) -> Vec<Added> {
    let mut out = Vec::new();
    for command in &answer.commands {
        let Command::Sync(sync) = command else { continue };
        let server = sync.source.as_ref().map(|source| source.loc_uri.clone()).unwrap_or_default();
        let client = sync.target.as_ref().map(|target| target.loc_uri.clone()).unwrap_or_default();
        for command in &sync.commands {
            let Command::Add(add) = command else { continue };
            for item in &add.items {
                let Some(source) = &item.source else { continue };
                let data = item.data.as_ref().and_then(Data::as_bytes).cloned().unwrap_or_default();
                out.push((server.clone(), client.clone(), source.loc_uri.clone(), data));
            }
        }
    }
    out
}

/// The anchor of an Alert's item as its Status gives it back.
// spec: session facts section 3
fn echo(item: &Item) -> Option<Item> {
    let anchor: &Meta = item.meta.as_deref()?;
    let mut anchor = *anchor.anchor.clone()?;
    anchor.last = None;
    let mut echoed = Item::default();
    echoed.data = Some(Data::Anchor(anchor));
    Some(echoed)
}
