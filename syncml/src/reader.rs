//! The pull reader of both spellings.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::codec::build::{Builder, Built};
use crate::codec::token::{Tokens, push_tight};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::model::{Command, DevInf, Encoding, Extra, Message, Sync, SyncHdr};
use crate::quirks::Quirks;
use bytes::Bytes;

/// Reads a message command by command, so that no message need be held as a tree.
///
/// A command comes whole, except a `Sync` of the body: its head comes as [`Event::SyncStart`], then its commands
/// one by one, then [`Event::SyncEnd`]. Item data are slices of the octets given.
///
/// ```
/// use bytes::Bytes;
/// use syncml::{Encoding, Event, Limits, Quirks, Reader};
///
/// let message = Bytes::from_static(b"<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD>\
///     <VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
///     <Target><LocURI>http://s/x</LocURI></Target><Source><LocURI>IMEI:1</LocURI></Source></SyncHdr>\
///     <SyncBody><Alert><CmdID>1</CmdID><Data>222</Data></Alert><Final/></SyncBody></SyncML>");
/// let mut reader = Reader::new(Encoding::Xml, &message, &Limits::default(), &Quirks::normal())?;
/// assert_eq!(&*reader.header()?.source.loc_uri, "IMEI:1");
/// while let Some(event) = reader.next()? {
///     assert!(matches!(event, Event::Command(_)));
/// }
/// assert!(reader.is_final());
/// # Ok::<(), syncml::DecodeError>(())
/// ```
pub struct Reader<'a> {
    encoding: Encoding,
    tokens: Tokens<'a>,
    builder: Builder<'a>,
    failed: Option<DecodeError>,
}

/// What a [`Reader`] finds in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A command of the body, or of the `Sync` that has started and not ended.
    Command(Command),
    /// A `Sync` starts: all of it but its commands.
    SyncStart(Sync),
    /// The `Sync` ends.
    SyncEnd {
        /// Unknown children that stood between or after the commands.
        extra: Extra,
    },
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("encoding", &self.encoding)
            .field("ended", &self.builder.ended())
            .finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Starts to read a message.
    ///
    /// # Errors
    /// When it is larger than `limits` allow, or does not start like a document of this spelling.
    pub fn new(
        encoding: Encoding,
        message: &'a Bytes,
        limits: &Limits,
        quirks: &Quirks,
    ) -> Result<Self, DecodeError> {
        let fail = |(kind, offset)| DecodeError { encoding, kind, offset, path: String::new() };
        if message.len() > limits.message_bytes {
            let (value, limit) = (message.len(), limits.message_bytes);
            return Err(fail((DecodeErrorKind::Limit { what: "message_bytes", value, limit }, 0)));
        }
        let tokens = tokenize(Document::SyncMl, encoding, message, limits, quirks).map_err(fail)?;
        Ok(Reader {
            encoding,
            tokens,
            builder: Builder::new(encoding, message, limits, quirks),
            failed: None,
        })
    }

    /// The header: reads it if it has not been read.
    ///
    /// # Errors
    /// When the message is wrong up to there.
    pub fn header(&mut self) -> Result<SyncHdr, DecodeError> {
        self.read_header()?;
        self.builder.hdr.clone().ok_or_else(|| self.no_header())
    }

    fn read_header(&mut self) -> Result<(), DecodeError> {
        while self.builder.hdr.is_none() {
            if self.step()?.is_none() {
                return Err(self.no_header());
            }
        }
        Ok(())
    }

    fn no_header(&mut self) -> DecodeError {
        self.fail(DecodeErrorKind::Violation("SyncHdr is missing".into()))
    }

    /// The next command, or start or end of a `Sync`; `None` after the last.
    ///
    /// # Errors
    /// When the message is wrong from there on. What came before is good.
    #[expect(clippy::should_implement_trait, reason = "an iterator over results would not end at an error")]
    pub fn next(&mut self) -> Result<Option<Event>, DecodeError> {
        Ok(self.built()?.and_then(|built| match built {
            Built::Hdr => None,
            Built::Command(command) => Some(Event::Command(command)),
            Built::SyncStart(sync) => Some(Event::SyncStart(*sync)),
            Built::SyncEnd(extra) => Some(Event::SyncEnd { extra }),
        }))
    }

    /// What is finished next in the body.
    fn built(&mut self) -> Result<Option<Built>, DecodeError> {
        loop {
            match self.step()? {
                Some(Built::Hdr) => {}
                built => return Ok(built),
            }
        }
    }

    /// Whether the message ends its package; known once [`next`](Self::next) gave `None`.
    pub fn is_final(&self) -> bool {
        self.builder.is_final
    }

    /// Unknown children of `SyncML` and `SyncBody` so far.
    pub fn extra(&self) -> &Extra {
        &self.builder.extra
    }

    /// Octets read so far.
    pub fn offset(&self) -> usize {
        self.tokens.offset()
    }

    /// What is finished next; nothing at the end.
    fn step(&mut self) -> Result<Option<Built>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.builder.pending.is_some() {
            return Ok(self.builder.pending.take());
        }
        self.tokens.drive(&mut self.builder).map_err(|kind| self.fail(kind))
    }

    fn fail(&mut self, kind: DecodeErrorKind) -> DecodeError {
        let (encoding, offset) = (self.encoding, self.offset());
        let error = self.builder.inner_error.take().map_or_else(
            || DecodeError { encoding, kind, offset, path: self.builder.path() },
            |inner| inner.inside(encoding, &self.builder.path()),
        );
        self.failed = Some(error.clone());
        error
    }
}

/// What a document is expected to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    SyncMl,
    DevInf,
}

/// Starts a document.
pub(crate) fn tokenize<'a>(
    document: Document,
    encoding: Encoding,
    input: &'a [u8],
    limits: &Limits,
    quirks: &Quirks,
) -> Result<Tokens<'a>, (DecodeErrorKind, usize)> {
    match encoding {
        #[cfg(feature = "xml")]
        Encoding::Xml => {
            let page = match document {
                Document::SyncMl => crate::model::Page::SyncMl,
                Document::DevInf => crate::model::Page::DevInf,
            };
            let tokens = crate::xml::reader::Tokenizer::new(input, page, limits, quirks)?;
            Ok(Tokens::Xml(Box::new(tokens)))
        }
        #[cfg(feature = "wbxml")]
        Encoding::Wbxml => {
            let doc = match document {
                Document::SyncMl => crate::wbxml::primitive::Doc::SyncMl,
                Document::DevInf => crate::wbxml::primitive::Doc::DevInf,
            };
            let tokens = crate::wbxml::reader::Tokenizer::new(input, doc, limits, quirks)?;
            Ok(Tokens::Wbxml(Box::new(tokens)))
        }
        #[cfg(not(all(feature = "xml", feature = "wbxml")))]
        _ => {
            let _ = (document, input, limits, quirks);
            Err((DecodeErrorKind::Unsupported("this spelling is not built in".into()), 0))
        }
    }
}

/// Reads a DevInf document that stands alone, as a host may have stored it.
///
/// # Errors
/// When any of it is wrong, or it is larger than `limits` allow.
pub fn decode_devinf(
    encoding: Encoding,
    document: &Bytes,
    limits: &Limits,
    quirks: &Quirks,
) -> Result<DevInf, DecodeError> {
    let fail = |(kind, offset)| DecodeError { encoding, kind, offset, path: String::new() };
    if document.len() > limits.message_bytes {
        let (value, limit) = (document.len(), limits.message_bytes);
        return Err(fail((DecodeErrorKind::Limit { what: "message_bytes", value, limit }, 0)));
    }
    let mut budget = limits.clone();
    read_devinf(encoding, document, &mut budget, quirks)
}

/// Reads a DevInf document and takes what it used from `limits`.
pub(crate) fn read_devinf(
    encoding: Encoding,
    input: &Bytes,
    limits: &mut Limits,
    quirks: &Quirks,
) -> Result<DevInf, DecodeError> {
    let fail = |(kind, offset)| DecodeError { encoding, kind, offset, path: String::new() };
    let mut tokens = tokenize(Document::DevInf, encoding, input, limits, quirks).map_err(fail)?;
    let mut builder = Builder::new(encoding, input, limits, quirks);
    builder.expect_devinf();
    while !builder.ended() {
        if let Err(kind) = tokens.drive(&mut builder) {
            return Err(DecodeError { encoding, kind, offset: tokens.offset(), path: builder.path() });
        }
    }
    limits.string_table_bytes = tokens.table_budget();
    limits.tree_slack_bytes = builder.slack_left();
    builder
        .devinf
        .take()
        .map(|devinf| *devinf)
        .ok_or_else(|| fail((DecodeErrorKind::Violation("DevInf is missing".into()), input.len())))
}

/// Reads a whole message.
///
/// # Errors
/// When any of it is wrong. [`Reader`] gives what comes before the fault.
///
/// ```
/// use bytes::Bytes;
/// use syncml::{Encoding, Limits, Quirks, decode};
/// let error = decode(Encoding::Wbxml, &Bytes::from_static(&[2, 0xA4, 1, 0x6A, 0, 0x6D]), &Limits::default(), &Quirks::normal());
/// assert_eq!(error.unwrap_err().to_string(), "wbxml: malformed: cut off at byte 6");
/// ```
pub fn decode(
    encoding: Encoding,
    message: &Bytes,
    limits: &Limits,
    quirks: &Quirks,
) -> Result<Message, DecodeError> {
    let mut reader = Reader::new(encoding, message, limits, quirks)?;
    reader.read_header()?;
    let mut commands = Vec::new();
    let mut sync: Option<Box<Sync>> = None;
    while let Some(built) = reader.built()? {
        match (built, &mut sync) {
            (Built::Command(command), Some(sync)) => push_tight(&mut sync.commands, command),
            (Built::Command(command), None) => push_tight(&mut commands, command),
            (Built::Hdr, _) => {}
            (Built::SyncStart(head), _) => sync = Some(head),
            (Built::SyncEnd(extra), open) => {
                if let Some(mut sync) = open.take() {
                    sync.extra = join(sync.extra, extra);
                    push_tight(&mut commands, Command::Sync(sync));
                }
            }
        }
    }
    let hdr = reader.builder.hdr.take().ok_or_else(|| reader.no_header())?;
    let mut message = Message::new(hdr);
    message.commands = commands;
    message.is_final = reader.is_final();
    message.extra = reader.builder.extra.take();
    Ok(message)
}

fn join(first: Extra, second: Extra) -> Extra {
    match (first, second) {
        (Some(mut all), Some(more)) => {
            all.extend(*more);
            Some(all)
        }
        (first, second) => first.or(second),
    }
}
