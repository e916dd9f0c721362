//! Package #0: a server asks a client for a session (server-alerted notification).
//!
//! Two forms: the binary one of DS 1.2 ([`ServerAlert::decode`], [`ServerAlert::encode`]), and the ordinary SyncML
//! message of 1.0 and 1.1 ([`ServerAlert::to_message`], [`ServerAlert::from_message`]). Which one it is, the
//! MIME type says; the first 16 octets of the binary form can be anything.
//!
//! # Spec
//! OMA DS Protocol 1.2, Server Alerted Notification; session facts §12.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod memory;

pub use memory::{AlertMemory, Dropped, Notice, Wanted, WantedSync};

use crate::error::{DecodeErrorKind, EncodeError};
use crate::model::{Alert, AlertCode, Command, Cred, Item, Message, Meta, Source, SyncHdr, Target, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq;

/// MIME type of the binary form.
pub const MIME_TYPE: &str = "application/vnd.syncml.ds.notification";

/// A request for a session.
///
/// # Shape
/// Digest (16 octets), version (10 bits), how the user is told (2), who wants it (1), reserved (27), session id
/// (16), server id (length octet, text), number of syncs (4), reserved (4), then per sync: type (4), reserved
/// (4), content type (24), datastore (length octet, text); the rest is the vendor's. Reserved bits are written
/// as 0 and not looked at.
/// # Spec
/// OMA DS Protocol 1.2, Server Alerted Notification; session facts §12.1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ServerAlert {
    /// Ten times the protocol version, 10 bits: 12 for DS 1.2.
    pub version: u16,
    /// How the client tells its user.
    pub ui_mode: UiMode,
    /// The server wants the session, not its user.
    pub by_server: bool,
    /// `SessionID` that the client is to use; the same twice is one session.
    pub session_id: u16,
    /// The name under which the client knows the server; at most 255 octets.
    pub server_id: Box<str>,
    /// What to sync, at most 15; empty means every datastore.
    pub syncs: Vec<AlertedSync>,
    /// What follows.
    pub vendor: Bytes,
}

/// How a client tells its user about a session that a server wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UiMode {
    /// Not said.
    #[default]
    NotGiven,
    /// Not at all.
    Background,
    /// It shows that a session runs.
    Informative,
    /// It asks first.
    Interactive,
}

/// One datastore that a server wants synced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AlertedSync {
    /// 206 to 210; on the wire less 200, in 4 bits.
    pub code: AlertCode,
    /// WSP number of the content type, 24 bits; 0 for none. [`content_type_name`] knows some.
    pub content_type: u32,
    /// The server's datastore; at most 255 octets.
    pub server_uri: Box<str>,
}

impl AlertedSync {
    /// A sync of a datastore.
    pub fn new(code: AlertCode, content_type: u32, server_uri: &str) -> Self {
        AlertedSync { code, content_type, server_uri: server_uri.into() }
    }
}

/// What both sides know: who the server is, its secret, and the nonce of the last session.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertKey {
    /// `B64(H(server-id:password))`.
    secret: Box<str>,
    nonce: Bytes,
}

impl std::fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AlertKey(redacted)")
    }
}

impl AlertKey {
    /// A key from a password; `nonce` is empty where none was agreed on.
    pub fn new(server_id: &str, password: &str, nonce: &[u8]) -> Self {
        let secret = STANDARD.encode(Md5::digest([server_id.as_bytes(), b":", password.as_bytes()].concat()));
        AlertKey { secret: secret.into(), nonce: Bytes::copy_from_slice(nonce) }
    }

    /// A key from what is stored instead of a password: `B64(H(server-id:password))`.
    pub fn from_stored(secret: &str, nonce: &[u8]) -> Self {
        AlertKey { secret: secret.into(), nonce: Bytes::copy_from_slice(nonce) }
    }

    /// The digest of ordinary credentials: `B64(H(secret:nonce))`.
    fn credentials(&self) -> String {
        STANDARD.encode(Md5::digest([self.secret.as_bytes(), b":", &self.nonce].concat()))
    }

    // spec: session facts §10: H(B64(H(server-id:password)):nonce:B64(H(notification)))
    fn digest(&self, notification: &[u8]) -> [u8; 16] {
        let body = STANDARD.encode(Md5::digest(notification));
        Md5::digest([self.secret.as_bytes(), b":", &self.nonce, b":", body.as_bytes()].concat()).into()
    }
}

/// What a received alert's digest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// It was made with this key.
    Right,
    /// It was not.
    Wrong,
    /// All zero: the sender did not authenticate. To be dropped like a wrong one (threats N1).
    Absent,
}

type Result<T> = std::result::Result<T, (DecodeErrorKind, usize)>;

impl ServerAlert {
    /// An alert of DS 1.2 by the server, for every datastore.
    pub fn new(server_id: &str, session_id: u16) -> Self {
        ServerAlert {
            version: 12,
            ui_mode: UiMode::NotGiven,
            by_server: true,
            session_id,
            server_id: server_id.into(),
            syncs: Vec::new(),
            vendor: Bytes::new(),
        }
    }

    /// Reads the binary form. Nothing is believed yet: see [`check`].
    ///
    /// # Errors
    /// What is wrong and at which octet.
    pub fn decode(octets: &Bytes) -> Result<Self> {
        let mut at = Cursor { octets, at: 16 };
        let version = at.number(2)?;
        // 10 bits version, 2 bits user interface, 1 bit initiator, 3 and 24 bits reserved.
        at.number(3)?;
        let session_id = at.number(2)?;
        let server_id = at.text()?;
        let count = at.number(1)? >> 4;
        let mut syncs = Vec::new();
        for _ in 0..count {
            let code = at.number(1)? >> 4;
            let content_type = at.number(3)?;
            let server_uri = at.text()?;
            syncs.push(AlertedSync {
                code: AlertCode(200_u16.saturating_add(low(code))),
                content_type,
                server_uri,
            });
        }
        Ok(ServerAlert {
            version: low(version >> 6),
            ui_mode: match (version >> 4) & 3 {
                0 => UiMode::NotGiven,
                1 => UiMode::Background,
                2 => UiMode::Informative,
                _ => UiMode::Interactive,
            },
            by_server: (version >> 3) & 1 == 1,
            session_id: low(session_id),
            server_id,
            syncs,
            vendor: octets.slice(at.at.min(octets.len())..),
        })
    }

    /// Writes the binary form; without a key the digest is all zero.
    ///
    /// # Errors
    /// [`EncodeError::Misuse`] for a text over 255 octets, more than 15 syncs, or a number that its field cannot hold.
    pub fn encode(&self, key: Option<&AlertKey>) -> std::result::Result<Bytes, EncodeError> {
        let mut body = Vec::new();
        if self.version > 0x3FF {
            return Err(EncodeError::Misuse("a version over 102.3"));
        }
        let ui_mode = match self.ui_mode {
            UiMode::NotGiven => 0_u16,
            UiMode::Background => 1,
            UiMode::Informative => 2,
            UiMode::Interactive => 3,
        };
        let first = (self.version << 6) | (ui_mode << 4) | (u16::from(self.by_server) << 3);
        body.extend_from_slice(&first.to_be_bytes());
        body.extend_from_slice(&[0; 3]);
        body.extend_from_slice(&self.session_id.to_be_bytes());
        put_text(&mut body, &self.server_id)?;
        let count = u8::try_from(self.syncs.len()).ok().filter(|n| *n < 16);
        body.push(count.ok_or(EncodeError::Misuse("more than 15 syncs"))? << 4);
        for sync in &self.syncs {
            let code = sync.code.0.checked_sub(200).filter(|code| *code < 16);
            let code = code.ok_or(EncodeError::Misuse("an alert code that 4 bits cannot hold"))?;
            body.push((code as u8) << 4);
            let [top, rest @ ..] = sync.content_type.to_be_bytes();
            if top != 0 {
                return Err(EncodeError::Misuse("a content type over 24 bits"));
            }
            body.extend_from_slice(&rest);
            put_text(&mut body, &sync.server_uri)?;
        }
        body.extend_from_slice(&self.vendor);
        let digest = key.map_or([0; 16], |key| key.digest(&body));
        Ok(Bytes::from([&digest[..], &body].concat()))
    }

    /// The same request as the SyncML message that 1.0 and 1.1 clients take; `content_types` are media types,
    /// one for each sync.
    ///
    /// # Spec
    /// session facts §12.2: one Alert, an Item for each datastore with `Source` and `Meta/Type`.
    pub fn to_message(&self, version: Version, device: &str, content_types: &[&str]) -> Message {
        let session_id = self.session_id.to_string();
        let hdr = SyncHdr::new(version, &session_id, 1, Target::new(device), Source::new(&self.server_id));
        let mut message = Message::new(hdr);
        for (at, sync) in self.syncs.iter().enumerate() {
            let name = content_types.get(at).copied().or_else(|| content_type_name(sync.content_type));
            let meta = name.map(|name| Box::new(Meta { type_: Some(name.into()), ..Meta::default() }));
            let item = Item { source: Some(Source::new(&sync.server_uri)), meta, ..Item::default() };
            match message.commands.last_mut() {
                Some(Command::Alert(alert)) if alert.code == Some(sync.code) => alert.items.push(item),
                _ => {
                    let cmd_id = u32::try_from(message.commands.len()).unwrap_or(u32::MAX).saturating_add(1);
                    let mut alert = Alert::new(cmd_id, sync.code);
                    alert.items.push(item);
                    message.commands.push(Command::Alert(Box::new(alert)));
                }
            }
        }
        message.is_final = true;
        message
    }

    /// The same with credentials in its header: the message's counterpart of the binary form's digest.
    pub fn to_signed_message(
        &self,
        version: Version,
        device: &str,
        content_types: &[&str],
        key: &AlertKey,
    ) -> Message {
        let mut message = self.to_message(version, device, content_types);
        message.hdr.source.loc_name = Some(self.server_id.clone());
        let meta = Meta { format: Some("b64".into()), type_: Some(MD5.into()), ..Meta::default() };
        let data = Bytes::from(key.credentials());
        message.hdr.cred = Some(Box::new(Cred { meta: Some(Box::new(meta)), data, ..Cred::default() }));
        message
    }

    /// Whether a `SessionID` is the one of this alert: clients write it in decimal, or in hex.
    // spec: session facts section 12.1
    pub fn is_session(&self, text: &str) -> bool {
        session_number(text, 10) == Some(self.session_id) || session_number(text, 16) == Some(self.session_id)
    }

    /// Reads the request out of a SyncML message, if it is one: alerts 206 to 210 and nothing else.
    pub fn from_message(message: &Message) -> Option<Self> {
        let text = &message.hdr.session_id;
        let session_id = session_number(text, 10).or_else(|| session_number(text, 16))?;
        let mut alert = ServerAlert::new(&message.hdr.source.loc_uri, session_id);
        alert.version = match Version::from_ver_dtd(&message.hdr.ver_dtd)? {
            Version::V1_0 => 10,
            Version::V1_1 => 11,
            Version::V1_2 => 12,
        };
        for command in &message.commands {
            let Command::Alert(asked) = command else { return None };
            let Alert { code: Some(code @ AlertCode(206..=210)), items, .. } = &**asked else { return None };
            for item in items {
                let name = item.meta.as_ref().and_then(|meta| meta.type_.as_deref()).unwrap_or_default();
                let content_type = content_type_number(name).unwrap_or(0);
                let uri = item.source.as_ref().map(|source| &*source.loc_uri)?;
                alert.syncs.push(AlertedSync::new(*code, content_type, uri));
            }
        }
        (!message.commands.is_empty()).then_some(alert)
    }
}

/// What the digest of a binary alert says, in constant time.
pub fn check(octets: &[u8], key: &AlertKey) -> Digest {
    let (Some(digest), Some(body)) = (octets.get(..16), octets.get(16..)) else { return Digest::Wrong };
    if digest.iter().all(|octet| *octet == 0) {
        Digest::Absent
    } else if bool::from(digest.ct_eq(&key.digest(body))) {
        Digest::Right
    } else {
        Digest::Wrong
    }
}

/// What the credentials of an alert in the form of a message say, in constant time.
pub fn check_message(message: &Message, key: &AlertKey) -> Digest {
    let Some(cred) = message.hdr.cred.as_deref() else { return Digest::Absent };
    let scheme = cred.meta.as_ref().and_then(|meta| meta.type_.as_deref()).unwrap_or(BASIC);
    let shown = cred.data.trim_ascii();
    let right = if scheme.eq_ignore_ascii_case(MD5) {
        shown.ct_eq(key.credentials().as_bytes())
    } else if scheme.eq_ignore_ascii_case(BASIC) {
        let clear = STANDARD.decode(shown).unwrap_or_default();
        STANDARD.encode(Md5::digest(clear)).as_bytes().ct_eq(key.secret.as_bytes())
    } else {
        return Digest::Wrong;
    };
    if bool::from(right) { Digest::Right } else { Digest::Wrong }
}

const MD5: &str = "syncml:auth-md5";
const BASIC: &str = "syncml:auth-basic";

fn session_number(text: &str, radix: u32) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_alphanumeric());
    u16::from_str_radix(text, radix).ok().filter(|_| digits)
}

/// WSP content type numbers. spec: session facts §12.1.
const CONTENT_TYPES: [(u32, &str); 12] = [
    (0x03, "text/plain"),
    (0x06, "text/x-vCalendar"),
    (0x07, "text/x-vCard"),
    (0x0302, "application/vnd.syncml+xml"),
    (0x0303, "application/vnd.syncml+wbxml"),
    (0x0304, "text/vnd.wap.emn+xml"),
    (0x0305, "text/calendar"),
    (0x0306, "application/vnd.omads-email+xml"),
    (0x0307, "application/vnd.omads-file+xml"),
    (0x0308, "application/vnd.omads-folder+xml"),
    (0x0309, "text/directory;profile=vCard"),
    (0x030A, "application/vnd.wap.emn+wbxml"),
];

/// The media type that a WSP number stands for.
pub fn content_type_name(number: u32) -> Option<&'static str> {
    CONTENT_TYPES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The WSP number of a media type; case does not count.
pub fn content_type_number(name: &str) -> Option<u32> {
    CONTENT_TYPES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(number, _)| *number)
}

fn low(value: u32) -> u16 {
    (value & 0xFFFF) as u16
}

fn put_text(body: &mut Vec<u8>, text: &str) -> std::result::Result<(), EncodeError> {
    let len = u8::try_from(text.len()).map_err(|_| EncodeError::Misuse("a text over 255 octets"))?;
    body.push(len);
    body.extend_from_slice(text.as_bytes());
    Ok(())
}

struct Cursor<'a> {
    octets: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn number(&mut self, len: usize) -> Result<u32> {
        let octets = self.take(len)?;
        Ok(octets.iter().fold(0, |value, octet| (value << 8) | u32::from(*octet)))
    }

    fn text(&mut self) -> Result<Box<str>> {
        let len = self.number(1)? as usize;
        let at = self.at;
        let text = std::str::from_utf8(self.take(len)?);
        text.map(Into::into).map_err(|_| (DecodeErrorKind::Malformed("text that is not UTF-8".into()), at))
    }

    fn take(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at.saturating_add(len);
        let cut = || (DecodeErrorKind::Malformed("cut off".into()), self.octets.len());
        let octets = self.octets.get(self.at..end).ok_or_else(cut)?;
        self.at = end;
        Ok(octets)
    }
}
