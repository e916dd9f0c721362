//! A client that types its messages as XML, and a server's answers to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use bytes::Bytes;
use syncml::session::auth::verifier;
use syncml::session::{Arrival, Ask, Load, LoginCheck, Opening, ServerConfig, ServerExchange, ServerSession};
use syncml::{Command, Encoding, Limits, Message, Quirks, Status, Version, decode};

pub const KEY: [u8; 32] = [5; 32];
/// `ann:secret`.
pub const CRED: &str = "<Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>YW5uOnNlY3JldA==</Data></Cred>";

pub struct Peer {
    pub session: Option<ServerSession>,
    pub config: ServerConfig,
    pub version: Version,
    pub msg: u32,
    pub max_msg: u32,
    /// What the server was asked and told, a line each.
    pub heard: Vec<String>,
    /// All of our package is said with each message.
    pub last: bool,
    pub now: u64,
    pub load: Load,
    /// The transport's header of the next message.
    pub mac: Option<String>,
    /// Logins of the device.
    pub logins: u64,
    /// Sessions of other devices.
    pub sessions: u32,
    /// The client posts to the first URL, not to `RespURI`.
    pub ignores_resp_uri: bool,
}

impl Peer {
    /// A client that has not logged in.
    pub fn stranger(version: Version) -> Self {
        Peer {
            session: None,
            config: ServerConfig::default(),
            version,
            msg: 0,
            max_msg: 20_000,
            heard: Vec::new(),
            last: true,
            now: 1_000,
            load: Load::default(),
            mac: None,
            logins: 0,
            sessions: 0,
            ignores_resp_uri: false,
        }
    }

    /// A client that is logged in, in the middle of package 1.
    pub fn new(version: Version) -> Self {
        let mut peer = Peer::stranger(version);
        peer.last = false;
        let welcome = peer.say("", |_, _| {});
        assert_eq!(codes(&welcome), [("SyncHdr".to_owned(), 212)]);
        peer
    }

    pub fn message(&mut self, head: &str, body: &str) -> (Message, Bytes) {
        self.msg += 1;
        let (dtd, proto) = (self.version.ver_dtd(), self.version.ver_proto());
        let text = format!(
            "<SyncML xmlns='SYNCML:SYNCML{dtd}'><SyncHdr><VerDTD>{dtd}</VerDTD><VerProto>{proto}</VerProto>\
             <SessionID>1</SessionID><MsgID>{}</MsgID><Target><LocURI>http://s/x</LocURI></Target>\
             <Source><LocURI>dev</LocURI><LocName>ann</LocName></Source>{head}\
             <Meta><MaxMsgSize xmlns='syncml:metinf'>{}</MaxMsgSize></Meta></SyncHdr>\
             <SyncBody>{body}</SyncBody></SyncML>",
            self.msg, self.max_msg
        );
        let bytes = Bytes::from(text);
        (read(&bytes), bytes)
    }

    /// Says something; `decide` answers what the server is asked.
    pub fn say(&mut self, body: &str, decide: impl FnMut(&mut ServerExchange<'_>, Ask<'_>)) -> Message {
        let head = if self.session.is_some() { "" } else { CRED };
        self.say_with(head, body, decide)
    }

    pub fn say_with(
        &mut self,
        head: &str,
        body: &str,
        mut decide: impl FnMut(&mut ServerExchange<'_>, Ask<'_>),
    ) -> Message {
        let (message, bytes) = self.message(head, body);
        let digest = ServerSession::request_digest(&bytes);
        let mac = self.mac.take();
        let arrival = Arrival {
            encoding: Encoding::Xml,
            message: &message,
            digest,
            mac: mac.as_deref(),
            now: self.now,
            load: self.load,
        };
        let known = verifier("ann", "secret");
        let check = LoginCheck { logins: self.logins, sessions: self.sessions, ..check(&known) };
        let before = self.session.clone();
        let mut ex = match self.session.take() {
            Some(session) if !self.ignores_resp_uri => {
                let check = session.wants_login(&message).then_some(&check);
                session.receive(&self.config, arrival, check).unwrap()
            }
            session => {
                let Opening::Login(pending) = ServerSession::open(arrival) else { panic!("open") };
                match session {
                    Some(session) if pending.continues(&session) => {
                        pending.go_on(session, &self.config, &check).unwrap()
                    }
                    _ => pending.check(&self.config, &check).unwrap(),
                }
            }
        };
        self.logins += u64::from(ex.nonce_used);
        self.heard.clear();
        while let Some(ask) = ex.next_ask() {
            self.heard.push(shown(&ask));
            decide(&mut ex, ask);
        }
        let (session, answer) = ex.finish(self.last).unwrap();
        assert!(answer.len() <= self.max_msg as usize, "{} octets", answer.len());
        // A refused message changes nothing; the value survives its being stored.
        self.session = session.or(before).map(|s| {
            let again = ServerSession::from_bytes(&s.to_bytes().unwrap()).unwrap();
            assert_eq!(again, s);
            again
        });
        read(&answer)
    }
}

pub fn check(known: &str) -> LoginCheck<'_> {
    LoginCheck {
        verifier: Some(known),
        logins: 0,
        nonce_key: &KEY,
        basic_allowed: true,
        resp_uri: "http://s/x?s=token",
        password: None,
        sessions: 0,
        nonce: None,
    }
}

pub fn read(bytes: &Bytes) -> Message {
    decode(Encoding::Xml, bytes, &Limits::default(), &Quirks::default()).unwrap()
}

pub fn statuses(message: &Message) -> impl Iterator<Item = &Status> {
    message.commands.iter().filter_map(|command| match command {
        Command::Status(status) => Some(&**status),
        _ => None,
    })
}

/// Command names and codes of the statuses.
pub fn codes(message: &Message) -> Vec<(String, u16)> {
    statuses(message).map(|status| (status.cmd.as_str().to_owned(), status.data.0)).collect()
}

/// The codes of the statuses to commands, the header's left out.
pub fn answers(message: &Message) -> Vec<u16> {
    statuses(message).filter(|status| status.cmd_ref != 0).map(|status| status.data.0).collect()
}

/// Our own commands besides statuses.
pub fn said(message: &Message) -> Vec<String> {
    let own = message.commands.iter().filter(|command| !matches!(command, Command::Status(_)));
    own.map(|command| match command {
        Command::Alert(alert) => format!("Alert {}", alert.code.map_or(0, |code| code.0)),
        other => other.name().as_str().to_owned(),
    })
    .collect()
}

fn shown(ask: &Ask<'_>) -> String {
    match ask {
        Ask::Change { received, .. } => {
            let id = received.source.as_deref().or(received.target.as_deref()).unwrap_or_default();
            format!("{} {id}", received.cmd.as_str())
        }
        Ask::Sync { target, .. } => format!("Sync {target}"),
        Ask::Alert { code, target, .. } => format!("Alert {} {target}", code.0),
        Ask::AtomicBegin(_) => "AtomicBegin".into(),
        Ask::AtomicEnd { keep } => format!("AtomicEnd {keep}"),
        Ask::Exec { .. } => "Exec".into(),
        Ask::Search { .. } => "Search".into(),
        Ask::Suspend => "Suspend".into(),
        Ask::Chunk { offset, data } => format!("Chunk {offset} {}", data.len()),
        Ask::ChunksDropped => "ChunksDropped".into(),
        Ask::Map { items, .. } => format!("Map {}", items.len()),
        Ask::GetDevInf(_) => "GetDevInf".into(),
        Ask::DevInf(_) => "DevInf".into(),
        Ask::Display(text) => format!("Display {text}"),
        Ask::Header { code, .. } => format!("Header {}", code.0),
        Ask::Answered { code, .. } => format!("Answered {}", code.0),
        other => format!("{other:?}"),
    }
}

/// An item of a change.
pub fn item(cmd: &str, id: u32, luid: &str) -> String {
    format!("<{cmd}><CmdID>{id}</CmdID>{}</{cmd}>", bare_item(luid, "x"))
}

pub fn bare_item(luid: &str, data: &str) -> String {
    format!(
        "<Item><Source><LocURI>{luid}</LocURI></Source><Meta><Type xmlns='syncml:metinf'>text/plain</Type></Meta>\
         <Data>{data}</Data></Item>"
    )
}

/// A `Sync` of the notes with these commands; its `CmdID` is 100.
pub fn sync(commands: &str) -> String {
    format!(
        "<Sync><CmdID>100</CmdID><Target><LocURI>./notes</LocURI></Target>\
         <Source><LocURI>notes</LocURI></Source>{commands}</Sync>"
    )
}
