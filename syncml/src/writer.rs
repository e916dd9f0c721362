//! The sized writer of both spellings.

use crate::codec::content::{Content, emit, emit_command, emit_extra};
use crate::codec::sink::Sink;
use crate::error::EncodeError;
use crate::model::{Command, Data, Encoding, Extra, Item, Message, Sync, SyncHdr, Version};
use crate::tables::Tag;
use bytes::Bytes;

/// Writes a message that must not grow past a limit: the peer's `MaxMsgSize`.
///
/// It always knows what still fits; end tags and `Final` are reserved from the start. What does not fit is
/// refused whole ([`EncodeError::Full`]) and leaves the message as it was; an object can be cut to fit with
/// [`chunk`](Self::chunk).
///
/// ```
/// use syncml::{Alert, AlertCode, Command, Encoding, Source, SyncHdr, Target, Version, Writer};
///
/// let mut writer = Writer::new(Encoding::Wbxml, Version::V1_2, 1_000);
/// writer.header(&SyncHdr::new(Version::V1_2, "1", 1, Target::new("http://s/x"), Source::new("IMEI:1")))?;
/// let alert = Alert::new(1, AlertCode::NEXT_MESSAGE);
/// writer.command(&Command::Alert(alert.into()))?;
/// assert!(writer.left() > 800);
/// let message = writer.finish(true);
/// assert!(message.len() < 100);
/// # Ok::<(), syncml::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    sink: AnySink,
    encoding: Encoding,
    limit: usize,
    has_header: bool,
    in_sync: bool,
    commands: usize,
}

#[derive(Debug)]
enum AnySink {
    #[cfg(feature = "xml")]
    Xml(crate::xml::writer::XmlSink),
    #[cfg(feature = "wbxml")]
    Wbxml(crate::wbxml::writer::WbxmlSink),
    /// A spelling that is not built in: nothing can be written.
    #[cfg(not(all(feature = "xml", feature = "wbxml")))]
    None,
}

enum Mark {
    #[cfg(feature = "xml")]
    Xml(crate::xml::writer::Mark),
    #[cfg(feature = "wbxml")]
    Wbxml(crate::wbxml::writer::Mark),
    #[cfg(not(all(feature = "xml", feature = "wbxml")))]
    None,
}

/// Does something with whichever sink there is.
macro_rules! on_sink {
    ($sink:expr, $s:pat => $do:expr, _ => $other:expr) => {
        match $sink {
            #[cfg(feature = "xml")]
            AnySink::Xml($s) => $do,
            #[cfg(feature = "wbxml")]
            AnySink::Wbxml($s) => $do,
            #[cfg(not(all(feature = "xml", feature = "wbxml")))]
            AnySink::None => $other,
        }
    };
}

/// Below this, a cut is not worth a message.
const LEAST_CHUNK: usize = 64;

impl Writer {
    /// A message of at most `limit` octets, all of it counted.
    pub fn new(encoding: Encoding, version: Version, limit: usize) -> Writer {
        let sink = match encoding {
            #[cfg(feature = "xml")]
            Encoding::Xml => AnySink::Xml(crate::xml::writer::XmlSink::new(version, limit)),
            #[cfg(feature = "wbxml")]
            Encoding::Wbxml => {
                let doc = crate::wbxml::primitive::Doc::SyncMl;
                AnySink::Wbxml(crate::wbxml::writer::WbxmlSink::new(doc, version, limit))
            }
            #[cfg(not(all(feature = "xml", feature = "wbxml")))]
            _ => {
                let _ = version;
                AnySink::None
            }
        };
        Writer { sink, encoding, limit, has_header: false, in_sync: false, commands: 0 }
    }

    /// Writes the header: once, before anything else.
    ///
    /// # Errors
    /// [`EncodeError::Full`] if it does not fit; [`EncodeError::Unrepresentable`].
    pub fn header(&mut self, hdr: &SyncHdr) -> Result<(), EncodeError> {
        if self.has_header {
            return Err(EncodeError::Misuse("a second header"));
        }
        self.all_or_nothing(false, |writer| {
            on_sink!(&mut writer.sink, sink => {
                sink.open(Tag::SyncMl);
                emit(hdr, Tag::SyncHdr, sink)?;
                sink.open(Tag::SyncBody);
                Ok(())
            }, _ => Err(writer.not_built_in()))
        })?;
        self.has_header = true;
        Ok(())
    }

    /// Writes a command, into the open `Sync` if there is one: all of it or nothing.
    ///
    /// # Errors
    /// [`EncodeError::Full`] if it does not fit; [`EncodeError::Unrepresentable`] if this spelling cannot carry
    /// it. The message is as it was.
    pub fn command(&mut self, command: &Command) -> Result<(), EncodeError> {
        self.needs_header()?;
        self.all_or_nothing(self.in_sync, |writer| {
            on_sink!(&mut writer.sink, sink => emit_command(command, sink), _ => Err(writer.not_built_in()))
        })?;
        self.commands = self.commands.saturating_add(1);
        Ok(())
    }

    /// Starts a `Sync`: all of it but its commands. At most one is open.
    ///
    /// # Errors
    /// As [`command`](Self::command); room for its end is kept.
    pub fn open_sync(&mut self, sync: &Sync) -> Result<(), EncodeError> {
        self.needs_header()?;
        if self.in_sync {
            return Err(EncodeError::Misuse("a Sync inside a Sync"));
        }
        self.all_or_nothing(true, |writer| {
            on_sink!(&mut writer.sink, sink => {
                sink.open(Tag::Sync);
                sync.fields(sink)?;
                emit_extra(&sync.extra, sink)
            }, _ => Err(writer.not_built_in()))
        })?;
        self.in_sync = true;
        self.commands = self.commands.saturating_add(1);
        Ok(())
    }

    /// Ends the open `Sync`, if there is one.
    pub fn close_sync(&mut self) {
        if self.in_sync {
            self.in_sync = false;
            let limit = self.limit;
            on_sink!(&mut self.sink, sink => {
                sink.set_ceiling(limit);
                sink.close(Tag::Sync);
            }, _ => ());
        }
    }

    /// Writes as many octets of a command's object as fit, with `MoreData` if some are left or `more_after`.
    ///
    /// The command has exactly one item, whose data is octets: the rest of an object. XML is cut between
    /// characters, WBXML anywhere. Returns how many octets of data went in.
    ///
    /// # Errors
    /// [`EncodeError::Full`] if not even 64 octets (or all, if they are fewer) fit; the message is as it was.
    pub fn chunk(&mut self, command: &Command, more_after: bool) -> Result<usize, EncodeError> {
        let mut piece = command.clone();
        let Some((data, more_data)) = only_data(&mut piece) else {
            return Err(EncodeError::Misuse("a chunk needs one item with octets"));
        };
        let mut whole = std::mem::take(data);
        if more_after {
            // The caller's slice may end inside a character, whose rest comes with the next chunk.
            whole.truncate(whole.len().saturating_sub(self.unfinished(&whole)));
        }
        *more_data = more_after;
        // Only what could fit is looked at: a large object is sent in many messages.
        let window = whole.slice(..self.border(&whole, whole.len().min(self.left())));
        if window.len() == whole.len() {
            *data = whole.clone();
            match self.command(&piece) {
                Err(EncodeError::Full { .. }) => {}
                written => return written.map(|()| whole.len()),
            }
        }
        // With `MoreData` and no data it takes this much; the rest is the data's.
        if let Some((data, more_data)) = only_data(&mut piece) {
            *data = Bytes::new();
            *more_data = true;
        }
        let bare = self.measure(&piece)?;
        let room = self.left().saturating_sub(bare);
        let len = self.fitting(&window, room)?;
        let least = self.border(&whole, whole.len().min(LEAST_CHUNK));
        if len < least {
            if let Some((data, _)) = only_data(&mut piece) {
                *data = whole.slice(..least);
            }
            let needed = self.measure(&piece)?;
            return Err(EncodeError::Full { needed, left: self.left() });
        }
        if let Some((data, _)) = only_data(&mut piece) {
            *data = whole.slice(..len);
        }
        self.command(&piece)?;
        Ok(len)
    }

    /// Octets still free for commands; ends and `Final` are kept aside.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.len()).saturating_sub(self.reserve(self.in_sync))
    }

    /// Octets that the message would have if it were finished now, with `Final`.
    pub fn len_if_finished(&self) -> usize {
        self.len().saturating_add(self.reserve(self.in_sync))
    }

    /// Whether no command has been written.
    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// Ends the message.
    pub fn finish(self, is_final: bool) -> Bytes {
        // Without unknown children nothing can fail.
        self.finish_with(is_final, &None).unwrap_or_default()
    }

    /// Ends the message; unknown children go after the body, where no command is looked for.
    fn finish_with(mut self, is_final: bool, extra: &Extra) -> Result<Bytes, EncodeError> {
        self.close_sync();
        let has_header = self.has_header;
        on_sink!(self.sink, mut sink => {
            if has_header {
                sink.set_ceiling(usize::MAX);
                if is_final {
                    sink.flag(Tag::Final);
                }
                sink.close(Tag::SyncBody);
                emit_extra(extra, &mut sink)?;
                sink.close(Tag::SyncMl);
            }
            Ok(Bytes::from(sink.into_vec()))
        }, _ => Ok(Bytes::new()))
    }

    fn needs_header(&self) -> Result<(), EncodeError> {
        if self.has_header { Ok(()) } else { Err(EncodeError::Misuse("a command before the header")) }
    }

    #[cfg(not(all(feature = "xml", feature = "wbxml")))]
    fn not_built_in(&self) -> EncodeError {
        EncodeError::Unrepresentable { encoding: self.encoding, what: "anything: it is not built in" }
    }

    fn len(&self) -> usize {
        on_sink!(&self.sink, sink => sink.len(), _ => 0)
    }

    /// Octets of what must still follow: the end of the `Sync`, `Final`, the ends of body and message.
    fn reserve(&self, in_sync: bool) -> usize {
        match self.encoding {
            Encoding::Xml => {
                let sync = if in_sync { "</Sync>".len() } else { 0 };
                "<Final/></SyncBody></SyncML>".len().saturating_add(sync)
            }
            // Back to page 0, Final, two ENDs; END of Sync.
            Encoding::Wbxml => 5_usize.saturating_add(usize::from(in_sync)),
        }
    }

    fn mark(&self) -> Mark {
        match &self.sink {
            #[cfg(feature = "xml")]
            AnySink::Xml(sink) => Mark::Xml(sink.mark()),
            #[cfg(feature = "wbxml")]
            AnySink::Wbxml(sink) => Mark::Wbxml(sink.mark()),
            #[cfg(not(all(feature = "xml", feature = "wbxml")))]
            AnySink::None => Mark::None,
        }
    }

    fn roll_back(&mut self, mark: &Mark) {
        match (&mut self.sink, mark) {
            #[cfg(feature = "xml")]
            (AnySink::Xml(sink), Mark::Xml(mark)) => sink.roll_back(mark),
            #[cfg(feature = "wbxml")]
            (AnySink::Wbxml(sink), Mark::Wbxml(mark)) => sink.roll_back(mark),
            #[allow(unreachable_patterns, reason = "which spellings there are depends on the features")]
            _ => {}
        }
    }

    /// Writes, and takes back what was written if it failed or does not fit.
    fn all_or_nothing(
        &mut self,
        in_sync_after: bool,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mark = self.mark();
        let before = self.len();
        let ceiling = self.limit.saturating_sub(self.reserve(in_sync_after));
        let left = ceiling.saturating_sub(before);
        let written = write(self);
        let needed = self.len().saturating_sub(before);
        let full = needed > left;
        let outcome = if full && written.is_ok() { Err(EncodeError::Full { needed, left }) } else { written };
        if outcome.is_err() {
            self.roll_back(&mark);
        }
        outcome
    }

    /// Octets that a command would take.
    pub(crate) fn measure(&mut self, command: &Command) -> Result<usize, EncodeError> {
        let mark = self.mark();
        let before = self.len();
        let written =
            on_sink!(&mut self.sink, sink => emit_command(command, sink), _ => Err(self.not_built_in()));
        let needed = self.len().saturating_sub(before);
        self.roll_back(&mark);
        written.map(|()| needed)
    }

    /// Octets of a character at the end of `data` that is not complete; none in WBXML.
    fn unfinished(&self, data: &[u8]) -> usize {
        let tail = data.get(data.len().saturating_sub(3)..).unwrap_or_default();
        let lead = tail.iter().rev().position(|octet| *octet >= 0xC0);
        let (Encoding::Xml, Some(after)) = (self.encoding, lead) else { return 0 };
        let have = after.saturating_add(1);
        let octet = tail.iter().rev().nth(after).copied().unwrap_or_default();
        let need = if octet >= 0xF0 {
            4
        } else if octet >= 0xE0 {
            3
        } else {
            2
        };
        if have < need { have } else { 0 }
    }

    /// The last place up to `at` where `data` may be cut: in XML not before the rest of a character.
    fn border(&self, data: &[u8], at: usize) -> usize {
        let inside = |at: &usize| data.get(*at).is_some_and(|octet| octet & 0xC0 == 0x80);
        match self.encoding {
            Encoding::Wbxml => at,
            Encoding::Xml => (0..=at).rev().take(4).find(|at| !inside(at)).unwrap_or(at),
        }
    }

    /// How many octets of `data` fit in `room` octets that would otherwise hold an empty `Data`.
    fn fitting(&self, data: &Bytes, room: usize) -> Result<usize, EncodeError> {
        match self.encoding {
            #[cfg(feature = "xml")]
            Encoding::Xml => crate::xml::writer::fitting(data, room),
            #[cfg(feature = "wbxml")]
            Encoding::Wbxml => Ok(crate::wbxml::writer::fitting(data.len(), room)),
            #[cfg(not(all(feature = "xml", feature = "wbxml")))]
            _ => {
                let _ = (data, room);
                Err(self.not_built_in())
            }
        }
    }
}

/// The octets and the `MoreData` of a change's only item.
fn only_data(command: &mut Command) -> Option<(&mut Bytes, &mut bool)> {
    let items = match command {
        Command::Add(change) | Command::Replace(change) => &mut change.items,
        Command::Results(results) => &mut results.items,
        Command::Put(put) => &mut put.items,
        _ => return None,
    };
    match items.as_mut_slice() {
        [Item { data: Some(Data::Bytes(bytes)), more_data, .. }] => Some((bytes, more_data)),
        _ => None,
    }
}

/// Writes a whole message, however large.
///
/// # Errors
/// [`EncodeError::Unrepresentable`] if the spelling cannot carry something in it.
pub fn encode(encoding: Encoding, message: &Message) -> Result<Bytes, EncodeError> {
    let version = Version::from_ver_dtd(&message.hdr.ver_dtd).unwrap_or(Version::V1_2);
    let mut writer = Writer::new(encoding, version, usize::MAX);
    writer.header(&message.hdr)?;
    message.commands.iter().try_for_each(|command| writer.command(command))?;
    writer.finish_with(message.is_final, &message.extra)
}
