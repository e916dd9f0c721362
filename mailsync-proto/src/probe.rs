//! What a server offers: the question, and what its answer says.

use bytes::Bytes;
use syncml::session::auth::{Scheme, credentials};
use syncml::{
    Command, CommandName, Data, DecodeError, DevInf, EncodeError, Encoding, Get, Item, Limits, Message, Meta,
    Quirks, Source, StatusCode, SyncHdr, Target, Version,
};

/// How a server is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The protocol version.
    pub version: Version,
    /// The spelling.
    pub encoding: Encoding,
    /// Its URL, or where its last answer said to go.
    pub url: &'a str,
    /// Our device id.
    pub device: &'a str,
    /// Number of the message in its session, from 1.
    pub msg_id: u32,
    /// Who asks, said without credentials: a challenge is for this user.
    pub name: Option<&'a str>,
    /// Credentials: scheme, user, password, nonce.
    pub login: Option<(Scheme, &'a str, &'a str, &'a [u8])>,
}

impl Question<'_> {
    /// A message that asks for the server's device information, and nothing else.
    ///
    /// # Errors
    /// The message cannot be spelled.
    pub fn message(&self) -> Result<Bytes, EncodeError> {
        let mut hdr =
            SyncHdr::new(self.version, "1", self.msg_id, Target::new(self.url), Source::new(self.device));
        hdr.source.loc_name = self.name.map(Into::into);
        if let Some((scheme, user, password, nonce)) = self.login {
            hdr.source.loc_name = Some(user.into());
            hdr.cred = credentials(scheme, user, password, nonce).map(Box::new);
        }
        let mut meta = Meta::default();
        // Large enough for the capabilities of every datastore of any server that was met.
        meta.max_msg_size = Some(1 << 20);
        hdr.meta = Some(Box::new(meta));
        let mut get = Get::default();
        get.cmd_id = 1;
        let mut kind = Meta::default();
        kind.type_ = Some(match self.encoding {
            Encoding::Xml => "application/vnd.syncml-devinf+xml".into(),
            Encoding::Wbxml => "application/vnd.syncml-devinf+wbxml".into(),
        });
        get.meta = Some(Box::new(kind));
        let mut item = Item::default();
        item.target = Some(Target::new(&format!("./devinf{}", self.version.ver_dtd().replace('.', ""))));
        get.items.push(item);
        let mut message = Message::new(hdr);
        message.commands.push(Command::Get(Box::new(get)));
        message.is_final = true;
        syncml::encode(self.encoding, &message)
    }
}

/// What an answer says of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The status for our header.
    pub login: Option<StatusCode>,
    /// What it challenges with: `syncml:auth-md5`, ...
    pub scheme: Option<Box<str>>,
    /// The nonce of the challenge.
    pub nonce: Bytes,
    /// Where it wants the next message.
    pub resp_uri: Option<Box<str>>,
    /// The largest message it takes, octets.
    pub max_msg_size: Option<u64>,
    /// The largest object it takes, octets.
    pub max_obj_size: Option<u64>,
    /// Its device information.
    pub devinf: Option<DevInf>,
}

impl Finding {
    /// Reads an answer.
    ///
    /// # Errors
    /// It is no SyncML message.
    pub fn read(encoding: Encoding, answer: &Bytes) -> Result<Self, DecodeError> {
        let message = syncml::decode(encoding, answer, &Limits::default(), &Quirks::normal())?;
        let mut finding = Finding { resp_uri: message.hdr.resp_uri.clone(), ..Finding::default() };
        if let Some(meta) = &message.hdr.meta {
            (finding.max_msg_size, finding.max_obj_size) = (meta.max_msg_size, meta.max_obj_size);
        }
        for command in &message.commands {
            match command {
                Command::Status(status) => {
                    if status.cmd == CommandName::SyncHdr {
                        finding.login = Some(status.data);
                    }
                    if let Some(chal) = &status.chal {
                        finding.scheme = chal.meta.type_.clone();
                        finding.nonce = chal.meta.next_nonce.clone().unwrap_or_default();
                    }
                }
                Command::Results(results) => {
                    let devinf = results.items.iter().find_map(|item| match &item.data {
                        Some(Data::DevInf(devinf)) => Some((**devinf).clone()),
                        _ => None,
                    });
                    finding.devinf = devinf.or(finding.devinf);
                }
                _ => {}
            }
        }
        Ok(finding)
    }
}

/// How many changes a message begins to send, by the receiver's datastore.
pub fn announced(message: &Message) -> Vec<(Box<str>, u32)> {
    let syncs = message.commands.iter().filter_map(|command| match command {
        Command::Sync(sync) => Some(sync),
        _ => None,
    });
    let count = |sync: &syncml::Sync| {
        // 1.0 does not say how many.
        sync.number_of_changes.unwrap_or_else(|| u32::try_from(sync.commands.len()).unwrap_or(u32::MAX))
    };
    syncs.filter_map(|sync| Some((sync.target.as_ref()?.loc_uri.clone(), count(sync)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncml::{Chal, Status};

    fn question(login: Option<(Scheme, &'static str, &'static str, &'static [u8])>) -> Question<'static> {
        let (version, encoding) = (Version::V1_1, Encoding::Xml);
        Question { version, encoding, url: "http://s/x", device: "d", msg_id: 1, name: None, login }
    }

    #[test]
    fn asks_for_the_device_information_of_its_version() {
        let text = String::from_utf8(question(None).message().unwrap().to_vec()).unwrap();
        assert!(text.contains("./devinf11") && text.contains("<Final") && !text.contains("Cred"), "{text}");
        // spec: session facts section 10, the published vector
        let login = Some((Scheme::Md5, "Bruce2", "OhBehave", &b"Nonce"[..]));
        let text = String::from_utf8(question(login).message().unwrap().to_vec()).unwrap();
        assert!(text.contains("Zz6EivR3yeaaENcRN6lpAQ=="), "{text}");
    }

    #[test]
    fn reads_a_challenge() {
        let hdr = SyncHdr::new(Version::V1_2, "1", 1, Target::new("d"), Source::new("http://s/x"));
        let mut message = Message::new(hdr);
        let mut status = Status::new(1, 1, 0, CommandName::SyncHdr, StatusCode::MISSING_CREDENTIALS);
        let mut chal = Chal::default();
        chal.meta.type_ = Some("syncml:auth-md5".into());
        chal.meta.format = Some("b64".into());
        chal.meta.next_nonce = Some(Bytes::from_static(b"n"));
        status.chal = Some(Box::new(chal));
        message.commands.push(Command::Status(Box::new(status)));
        let bytes = syncml::encode(Encoding::Wbxml, &message).unwrap();
        let finding = Finding::read(Encoding::Wbxml, &bytes).unwrap();
        assert_eq!(finding.login, Some(StatusCode::MISSING_CREDENTIALS));
        assert_eq!((finding.scheme.as_deref(), &*finding.nonce), (Some("syncml:auth-md5"), &b"n"[..]));
        assert!(Finding::read(Encoding::Xml, &bytes).is_err());
    }
}
