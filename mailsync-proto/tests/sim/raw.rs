//! A client that says whatever a test wants, as XML.

use super::world::*;
use bytes::Bytes;
use syncml::{Command, Encoding, Limits, Message, Quirks};

pub struct Raw<'w> {
    world: &'w World,
    url: String,
    session: u32,
    message: u32,
}

impl<'w> Raw<'w> {
    /// A new session of the device `raw-1`.
    pub fn new(world: &'w World, session: u32) -> Self {
        Raw { world, url: URL.into(), session, message: 0 }
    }

    /// Sends a message with these commands, the last of its package, and gives the answer.
    pub fn say(&mut self, commands: &str) -> Message {
        self.message += 1;
        let text = format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
             <SessionID>{}</SessionID><MsgID>{}</MsgID><Target><LocURI>{URL}</LocURI></Target>\
             <Source><LocURI>raw-1</LocURI><LocName>{USER}</LocName></Source>\
             <Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-basic</Type>\
             <Format xmlns='syncml:metinf'>b64</Format></Meta><Data>YW5uOnNlY3JldA==</Data></Cred>\
             <Meta><MaxMsgSize xmlns='syncml:metinf'>60000</MaxMsgSize></Meta></SyncHdr>\
             <SyncBody>{commands}<Final/></SyncBody></SyncML>",
            self.session, self.message
        );
        let answer = self.world.answer(&self.url, Encoding::Xml, &Bytes::from(text)).expect("an answer");
        let message = syncml::decode(Encoding::Xml, &answer, &Limits::default(), &Quirks::default()).unwrap();
        if let Some(url) = &message.hdr.resp_uri {
            self.url = url.to_string();
        }
        message
    }

    /// The Alert of a datastore.
    pub fn alert(&mut self, store: &str, code: u16, last: &str, next: &str, more: &str) -> Message {
        let last = if last.is_empty() { String::new() } else { format!("<Last>{last}</Last>") };
        self.say(&format!(
            "<Alert><CmdID>1</CmdID><Data>{code}</Data><Item><Target><LocURI>./{store}</LocURI>{more}</Target>\
             <Source><LocURI>{store}</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'>{last}\
             <Next>{next}</Next></Anchor></Meta></Item></Alert>"
        ))
    }

    /// Changes of a datastore; `meta` goes before them.
    pub fn sync(&mut self, store: &str, meta: &str, commands: &str) -> Message {
        self.say(&format!(
            "<Sync><CmdID>1</CmdID><Target><LocURI>./{store}</LocURI></Target>\
             <Source><LocURI>{store}</LocURI></Source>{meta}{commands}</Sync>"
        ))
    }

    /// Answers everything of a message with 200 (`Add` with 201), and maps new items to `m-` and their ids.
    pub fn take(&mut self, store: &str, message: &Message) -> Message {
        let (mut said, mut pairs, mut id) = (String::new(), String::new(), 0);
        for command in flat(message) {
            let code = match command {
                Command::Status(_) => continue,
                Command::Add(_) => 201,
                _ => 200,
            };
            id += 1;
            said += &format!(
                "<Status><CmdID>{id}</CmdID><MsgRef>{}</MsgRef><CmdRef>{}</CmdRef><Cmd>{}</Cmd><Data>{code}</Data></Status>",
                message.hdr.msg_id,
                command.cmd_id(),
                command.name().as_str()
            );
            if let Command::Add(add) = command {
                let guid = &add.items[0].source.as_ref().unwrap().loc_uri;
                pairs += &format!(
                    "<MapItem><Target><LocURI>{guid}</LocURI></Target>\
                     <Source><LocURI>m-{guid}</LocURI></Source></MapItem>"
                );
            }
        }
        if !pairs.is_empty() {
            said += &format!(
                "<Map><CmdID>{}</CmdID><Target><LocURI>./{store}</LocURI></Target>\
                 <Source><LocURI>{store}</LocURI></Source>{pairs}</Map>",
                id + 1
            );
        }
        self.say(&said)
    }
}

/// All commands of a message, those inside of others too.
pub fn flat(message: &Message) -> Vec<&Command> {
    let mut found = Vec::new();
    for command in &message.commands {
        found.push(command);
        if let Command::Sync(sync) = command {
            found.extend(&sync.commands);
        }
    }
    found
}

/// The statuses of commands, by the command's id, without the header's.
pub fn codes(message: &Message) -> Vec<(u32, u16)> {
    let mut codes: Vec<(u32, u16)> = flat(message)
        .iter()
        .filter_map(|command| match command {
            Command::Status(status) if status.cmd_ref > 0 => Some((status.cmd_ref, status.data.0)),
            _ => None,
        })
        .collect();
    codes.sort_unstable();
    codes
}

/// What the server says beside statuses: `Add guid`, `Replace luid`, `Delete luid`, `SftDel luid`, `Alert 201`.
pub fn says(message: &Message) -> Vec<String> {
    let ids = |change: &syncml::Change| {
        let item = &change.items[0];
        let target = item.target.as_ref().map(|target| target.loc_uri.to_string());
        target.or_else(|| item.source.as_ref().map(|source| source.loc_uri.to_string())).unwrap_or_default()
    };
    flat(message)
        .iter()
        .filter_map(|command| match command {
            Command::Add(change) => Some(format!("Add {}", ids(change))),
            Command::Replace(change) => Some(format!("Replace {}", ids(change))),
            Command::Delete(change) if change.sft_del => Some(format!("SftDel {}", ids(change))),
            Command::Delete(change) => Some(format!("Delete {}", ids(change))),
            Command::Alert(alert) => Some(format!("Alert {}", alert.code.unwrap().0)),
            Command::Results(results) => Some(format!("Results {}", results.items.len())),
            _ => None,
        })
        .collect()
}

pub fn add(id: u32, luid: &str, text: &str) -> String {
    change("Add", id, luid, text)
}

pub fn change(name: &str, id: u32, luid: &str, text: &str) -> String {
    format!(
        "<{name}><CmdID>{id}</CmdID><Meta><Type xmlns='syncml:metinf'>text/plain</Type></Meta>\
         <Item><Source><LocURI>{luid}</LocURI></Source><Data>{text}</Data></Item></{name}>"
    )
}

pub fn delete(id: u32, luid: &str, flag: &str) -> String {
    format!("<Delete><CmdID>{id}</CmdID>{flag}<Item><Source><LocURI>{luid}</LocURI></Source></Item></Delete>")
}
