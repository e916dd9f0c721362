//! Builds the model from tokens, on an explicit stack.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::content::{Content, bit};
use super::data::{DataBuild, to_nodes};
use super::frame::{Frame, blank_hdr, command_frame, into_command};
use super::sink::known_element;
use super::slot::{Kind, Shape, from_base64};
use super::token::{Attributes, Gathered, Text, Token, is_blank, push_tight};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::model::*;
use crate::quirks::Quirks;
use crate::tables::{PAGES, Tag};
use bytes::Bytes;

/// What the builder has finished.
#[derive(Debug)]
pub(crate) enum Built {
    /// The header.
    Header,
    /// A command of the body, or of the `Sync` that is open in it.
    Command(Command),
    /// The head of a `Sync` of the body; its commands follow.
    SyncStart(Sync),
    /// That `Sync` ends.
    SyncEnd(Extra),
}

/// An open element that holds elements.
#[derive(Debug)]
struct Open {
    /// `None` if the tables do not know it.
    tag: Option<Tag>,
    frame: Frame,
    /// Bits of the children met.
    seen: u64,
    /// Place of the last child in the canonical order.
    position: u8,
    /// A `MetInf` wrapper is open in it.
    wrapper: bool,
    /// Its nonce came as opaque.
    opaque_nonce: bool,
    /// A command in it has begun, so its head is complete.
    head_done: bool,
    /// The how many-th of its name under its parent.
    nth: u32,
    /// Repeated children so far, by name.
    counts: Vec<(Tag, u32)>,
}

/// An open element that holds text or nothing.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    tag: Tag,
    is_flag: bool,
}

/// What an element is, where it stands.
enum Role {
    Root,
    Hdr,
    Body,
    Final,
    Wrapper,
    Command(Frame),
    Child(Shape),
    Typed(Frame),
}

/// Builds one message.
pub(crate) struct Builder<'a> {
    input: &'a Bytes,
    limits: Limits,
    quirks: Quirks,
    stack: Vec<Open>,
    leaf: Option<Leaf>,
    text: Gathered<'a>,
    version: Option<Version>,
    commands: usize,
    /// Octets that what was built takes, at most.
    taken: usize,
    pub(crate) pending: Option<Built>,
    pub(crate) hdr: Option<SyncHdr>,
    pub(crate) is_final: bool,
    pub(crate) extra: Extra,
    body_seen: bool,
    encoding: Encoding,
    /// The document is DevInf, not SyncML.
    is_devinf: bool,
    pub(crate) devinf: Option<Box<DevInf>>,
    ended: bool,
    /// What went wrong in a document inside `Data`, with its own place.
    pub(crate) inner_error: Option<DecodeError>,
}

type Result<T> = std::result::Result<T, DecodeErrorKind>;

fn violation(what: impl Into<String>) -> DecodeErrorKind {
    DecodeErrorKind::Violation(what.into())
}

/// Does something with whichever structure a frame holds.
macro_rules! on_content {
    ($frame:expr, $c:ident => $do:expr, _ => $other:expr) => {
        match $frame {
            Frame::Hdr($c) => $do,
            Frame::Target($c) => $do,
            Frame::Source($c) => $do,
            Frame::Parent($c) => $do,
            Frame::Filter($c) => $do,
            Frame::Field($c) => $do,
            Frame::Record($c) => $do,
            Frame::Cred($c) => $do,
            Frame::Chal($c) => $do,
            Frame::Meta($c) => $do,
            Frame::Anchor($c) => $do,
            Frame::Mem($c) => $do,
            Frame::Item($c) => $do,
            Frame::Change($c) => $do,
            Frame::Alert($c) => $do,
            Frame::Exec($c) => $do,
            Frame::Get($c) => $do,
            Frame::Results($c) => $do,
            Frame::Map($c) => $do,
            Frame::MapItem($c) => $do,
            Frame::Search($c) => $do,
            Frame::Status($c) => $do,
            Frame::Sync($c) => $do,
            Frame::Nest($c) => $do,
            Frame::DevInf($c) => $do,
            Frame::DataStore($c) => $do,
            Frame::CtType($c) => $do,
            Frame::DsMem($c) => $do,
            Frame::SyncCap($c) => $do,
            Frame::CtCap($c) => $do,
            Frame::FlatCtCap($c) => $do,
            Frame::Property($c) => $do,
            Frame::PropParam($c) => $do,
            Frame::FilterCap($c) => $do,
            Frame::Ext($c) => $do,
            Frame::Root | Frame::Body | Frame::Data(_) | Frame::Unknown(_) => $other,
        }
    };
}

fn child_of<T: Content>(_: &T, tag: Tag) -> Option<Shape> {
    T::child(tag)
}

fn missing_in<T: Content>(_: &T, seen: u64) -> Option<Tag> {
    T::missing(seen)
}

impl<'a> Builder<'a> {
    pub(crate) fn new(encoding: Encoding, input: &'a Bytes, limits: &Limits, quirks: &Quirks) -> Self {
        Builder {
            input,
            limits: limits.clone(),
            quirks: quirks.clone(),
            stack: Vec::new(),
            leaf: None,
            text: Gathered::default(),
            version: None,
            commands: 0,
            taken: 0,
            pending: None,
            hdr: None,
            is_final: false,
            extra: None,
            body_seen: false,
            encoding,
            is_devinf: false,
            devinf: None,
            ended: false,
            inner_error: None,
        }
    }

    /// Open elements, `SyncML` left out, like `SyncBody/Sync/Add[2]/Meta`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        let mut add = |name: &str, nth: u32| {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(name);
            if nth > 1 {
                path.push_str(&format!("[{nth}]"));
            }
        };
        let root = usize::from(!self.is_devinf);
        for open in self.stack.iter().skip(root) {
            match (&open.frame, open.tag) {
                (_, Some(tag)) => add(tag.name(), open.nth),
                (Frame::Unknown(Element { name: Name::Text(name), .. }), None) => {
                    add(&name.chars().take(32).collect::<String>().escape_debug().to_string(), 1);
                }
                (Frame::Unknown(Element { name: Name::Token(token), .. }), None) => {
                    add(&format!("0x{token:02X}"), 1);
                }
                _ => {}
            }
        }
        if let Some(leaf) = self.leaf {
            add(leaf.tag.name(), 1);
        }
        path
    }

    /// The document is a DevInf that stands alone.
    pub(crate) fn expect_devinf(&mut self) {
        self.is_devinf = true;
    }

    /// Whether the document has been read to its end.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn table_budget(&self) -> usize {
        self.limits.string_table_bytes
    }

    pub(crate) fn set_table_budget(&mut self, octets: usize) {
        self.limits.string_table_bytes = octets;
    }

    /// What is left of the memory that a document inside may take.
    pub(crate) fn slack_left(&self) -> usize {
        self.allowed().saturating_sub(self.taken)
    }

    fn allowed(&self) -> usize {
        self.input.len().saturating_mul(4).saturating_add(self.limits.tree_slack_bytes)
    }

    /// Takes the next token.
    pub(crate) fn token(&mut self, token: Token<'a>) -> Result<Option<Built>> {
        match token {
            Token::Known(tag, attributes) => self.known(tag, attributes),
            Token::Unknown(element) => self.unknown(*element),
            Token::Text(text) => self.text(text).map(|()| None),
            Token::End => self.end(),
            Token::Eof => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    /// Whether `Data` here may hold a DevInf document.
    fn holds_devinf(&self) -> bool {
        let holder = |open: &Open| matches!(open.tag, Some(Tag::Put | Tag::Get | Tag::Results | Tag::Field));
        self.stack.iter().any(holder)
    }

    /// Octets that end a `Data`: a DevInf document where they are one.
    fn octets(&mut self, octets: Bytes) -> Result<DataBuild> {
        // spec: WBXML facts §7: by content, not by Meta/Type.
        let Some(encoding) =
            devinf_spelling(self.encoding, &octets, &self.quirks).filter(|_| self.holds_devinf())
        else {
            return Ok(DataBuild::Octets(octets));
        };
        let mut limits = self.limits.clone();
        limits.depth = self.depth_limit().saturating_sub(self.stack.len());
        limits.tree_slack_bytes = self.slack_left().saturating_sub(octets.len().saturating_mul(4));
        let before = limits.tree_slack_bytes.saturating_add(octets.len().saturating_mul(4));
        match crate::reader::read_devinf(encoding, &octets, &mut limits, &self.quirks) {
            Ok(devinf) => {
                self.limits.string_table_bytes = limits.string_table_bytes;
                self.charge(before.saturating_sub(limits.tree_slack_bytes))?;
                Ok(DataBuild::DevInf(Box::new(devinf)))
            }
            Err(error) => {
                if self.quirks.partial_devinf && !matches!(error.kind, DecodeErrorKind::Limit { .. }) {
                    return Ok(DataBuild::Octets(octets));
                }
                let base = offset_in(self.input, &octets);
                let kind = error.kind.clone();
                self.inner_error = Some(DecodeError { offset: error.offset.saturating_add(base), ..error });
                Err(kind)
            }
        }
    }

    fn depth_limit(&self) -> usize {
        self.limits.depth.min(Limits::DEPTH_CEILING)
    }

    fn known(&mut self, tag: Tag, attributes: Attributes) -> Result<Option<Built>> {
        self.degrade_leaf()?;
        let role =
            self.role(tag).map(|role| (tag, role)).or_else(|| self.role_by_name(tag.page(), tag.name()));
        match role {
            Some((tag, role)) => self.enter(tag, role),
            None => {
                let mut element = known_element(tag);
                element.attributes = attributes.map(|all| *all).unwrap_or_default();
                self.keep(Some(tag), element)?;
                Ok(None)
            }
        }
    }

    fn unknown(&mut self, element: Element) -> Result<Option<Built>> {
        self.degrade_leaf()?;
        let by_name = match &element.name {
            Name::Text(name) => self.role_by_name(Page::Other(u8::MAX), name),
            Name::Token(_) => None,
        };
        match by_name {
            Some((tag, role)) => self.enter(tag, role),
            None => {
                self.keep(None, element)?;
                Ok(None)
            }
        }
    }

    fn text(&mut self, text: Text<'a>) -> Result<()> {
        let gathers = self.leaf.is_some()
            || self.stack.last().is_some_and(|open| matches!(open.frame, Frame::Data(_) | Frame::Unknown(_)));
        if gathers {
            self.text.push(text);
        } else if !is_blank(&text.bytes) && !self.quirks.stray_text {
            return Err(violation("text where elements belong"));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Option<Built>> {
        if let Some(leaf) = self.leaf.take() {
            let text = std::mem::take(&mut self.text);
            if let Err(kind) = self.end_leaf(leaf, text) {
                self.leaf = Some(leaf);
                return Err(kind);
            }
            return Ok(None);
        }
        if let Some(open) = self.stack.last_mut()
            && open.wrapper
        {
            open.wrapper = false;
            return Ok(None);
        }
        match self.stack.last_mut().map(|open| &mut open.frame) {
            Some(Frame::Data(data @ DataBuild::Empty)) => {
                *data = DataBuild::Octets(Bytes::new());
                let text = std::mem::take(&mut self.text);
                self.charge(text.weight())?;
                let data = self.octets(text.into_bytes(self.input))?;
                if let Some(open) = self.stack.last_mut() {
                    open.frame = Frame::Data(data);
                }
            }
            _ => self.flush(false)?,
        }
        if let Some(open) = self.stack.last() {
            self.check_complete(open)?;
        }
        match self.stack.pop() {
            Some(open) => self.finish(open),
            None => Ok(None),
        }
    }

    /// What an element of the tables is here.
    fn role(&self, tag: Tag) -> Option<Role> {
        let Some(open) = self.stack.last() else {
            if self.is_devinf {
                return (tag == Tag::DevInf && self.devinf.is_none())
                    .then(|| Role::Typed(Frame::DevInf(Box::default())));
            }
            return (tag == Tag::SyncMl && !self.body_seen && self.hdr.is_none()).then_some(Role::Root);
        };
        match (&open.frame, tag) {
            (Frame::Unknown(_), _) => None,
            (Frame::Root, Tag::SyncHdr) => Some(Role::Hdr),
            (Frame::Root, Tag::SyncBody) => Some(Role::Body),
            (Frame::Root, _) => None,
            (Frame::Body, Tag::Final) => Some(Role::Final),
            (Frame::Body, _) => command_frame(tag).map(Role::Command),
            (Frame::Data(data), _) if is_blank(self.text.as_slice()) => {
                data.typed_child(tag).map(Role::Typed)
            }
            (Frame::Meta(_), Tag::MetInf) if self.quirks.metinf_wrapper && !open.wrapper => {
                Some(Role::Wrapper)
            }
            (Frame::Sync(_) | Frame::Nest(_), _) => match command_frame(tag) {
                Some(frame) => Some(Role::Command(frame)),
                None if open.head_done => None,
                None => on_content!(&open.frame, c => child_of(c, tag), _ => None).map(Role::Child),
            },
            (frame, _) => on_content!(frame, c => child_of(c, tag), _ => None).map(Role::Child),
        }
    }

    /// What an element is here by its name alone, in a vocabulary other than `except`.
    fn role_by_name(&self, except: Page, name: &str) -> Option<(Tag, Role)> {
        if !self.quirks.missing_namespace
            || self.stack.last().is_some_and(|open| matches!(open.frame, Frame::Unknown(_)))
        {
            return None;
        }
        PAGES
            .into_iter()
            .filter(|page| *page != except)
            .filter_map(|page| Tag::by_name(page, name.as_bytes()))
            .find_map(|tag| self.role(tag).map(|role| (tag, role)))
    }

    fn enter(&mut self, tag: Tag, role: Role) -> Result<Option<Built>> {
        if !self.quirks.newer_elements && self.version.is_some_and(|version| version < tag.entry().since) {
            return Err(violation(format!("{} is not of this version", tag.name())));
        }
        let is_typed = matches!(role, Role::Typed(_));
        self.flush(is_typed)?;
        match role {
            Role::Root => self.push(tag, Frame::Root, false)?,
            Role::Hdr if self.hdr.is_some() => return Err(violation("second SyncHdr")),
            Role::Hdr => self.push(tag, Frame::Hdr(blank_hdr()), false)?,
            Role::Body if self.hdr.is_none() => return Err(violation("SyncBody before SyncHdr")),
            Role::Body if self.body_seen => return Err(violation("second SyncBody")),
            Role::Body => {
                self.body_seen = true;
                self.push(tag, Frame::Body, false)?;
            }
            Role::Final if self.is_final => return Err(violation("second Final")),
            Role::Final => {
                self.is_final = true;
                self.leaf = Some(Leaf { tag, is_flag: true });
            }
            Role::Wrapper => {
                if let Some(open) = self.stack.last_mut() {
                    open.wrapper = true;
                }
            }
            Role::Command(frame) => return self.enter_command(tag, frame),
            Role::Typed(frame) => self.push(tag, frame, true)?,
            Role::Child(shape) => self.enter_child(tag, shape)?,
        }
        Ok(None)
    }

    fn enter_command(&mut self, tag: Tag, frame: Frame) -> Result<Option<Built>> {
        let head = self.begin_commands()?;
        self.push(tag, frame, true)?;
        Ok(head)
    }

    /// Counts a command; before the first, hands out the head of the `Sync` it is in.
    fn begin_commands(&mut self) -> Result<Option<Built>> {
        self.commands = self.commands.saturating_add(1);
        limit("commands", self.commands, self.limits.commands)?;
        let Some(open) = self.stack.last().filter(|open| !open.head_done) else { return Ok(None) };
        self.check_head(open)?;
        let in_body = self.stack.len() == 3;
        let Some(open) = self.stack.last_mut() else { return Ok(None) };
        open.head_done = true;
        match &mut open.frame {
            Frame::Sync(sync) if in_body => Ok(Some(Built::SyncStart(std::mem::take(sync)))),
            _ => Ok(None),
        }
    }

    fn enter_child(&mut self, tag: Tag, shape: Shape) -> Result<()> {
        let any_order = self.quirks.any_order;
        let odd = self.keeps_odd(tag);
        if let Some(open) = self.stack.last_mut() {
            // spec: threats X4.
            let again = !shape.many && open.seen & bit(tag) != 0;
            if again && odd {
                return self.keep(Some(tag), known_element(tag));
            }
            if again {
                return Err(violation(format!("second {}", tag.name())));
            }
            if !any_order && shape.position < open.position {
                return Err(violation(format!("{} out of order", tag.name())));
            }
            open.seen |= bit(tag);
            open.position = shape.position;
        }
        match shape.kind {
            Kind::Frame(blank) => self.push(tag, blank(), shape.many),
            Kind::Text | Kind::Flag => {
                limit("depth", self.stack.len().saturating_add(1), self.depth_limit())?;
                self.leaf = Some(Leaf { tag, is_flag: matches!(shape.kind, Kind::Flag) });
                Ok(())
            }
        }
    }

    fn push(&mut self, tag: Tag, frame: Frame, repeated: bool) -> Result<()> {
        let mut nth = 1;
        if repeated && let Some(parent) = self.stack.last_mut() {
            match parent.counts.iter_mut().find(|(other, _)| *other == tag) {
                Some((_, count)) => {
                    *count = count.saturating_add(1);
                    nth = *count;
                }
                None => parent.counts.push((tag, 1)),
            }
        }
        self.push_open(Some(tag), frame, nth)
    }

    fn push_open(&mut self, tag: Option<Tag>, frame: Frame, nth: u32) -> Result<()> {
        // spec: threats W1; documents inside count too.
        limit("depth", self.stack.len().saturating_add(1), self.depth_limit())?;
        self.charge(weight(&frame))?;
        self.stack.push(Open {
            tag,
            frame,
            seen: 0,
            position: 0,
            wrapper: false,
            opaque_nonce: false,
            head_done: false,
            nth,
            counts: Vec::new(),
        });
        Ok(())
    }

    /// Accounts for memory before it is taken. spec: threats L2, L3.
    fn charge(&mut self, octets: usize) -> Result<()> {
        self.taken = self.taken.saturating_add(octets);
        limit("tree_slack_bytes", self.taken, self.allowed())
    }

    /// Opens an element that is kept as it came.
    fn keep(&mut self, tag: Option<Tag>, element: Element) -> Result<()> {
        if self.stack.is_empty() {
            let wanted = if self.is_devinf { "DevInf" } else { "SyncML" };
            return Err(violation(format!("the root is not {wanted}")));
        }
        self.flush(false)?;
        self.push_open(tag, Frame::Unknown(element), 1)
    }

    /// An element inside text: the text's element is kept as it came.
    fn degrade_leaf(&mut self) -> Result<()> {
        match self.leaf.take() {
            Some(leaf) if !self.quirks.odd_values || leaf.tag == Tag::Final => {
                self.leaf = Some(leaf);
                Err(violation("an element where text belongs"))
            }
            Some(leaf) => self.push_open(Some(leaf.tag), Frame::Unknown(known_element(leaf.tag)), 1),
            None => Ok(()),
        }
    }

    /// Hands gathered text to the innermost element, where that holds text among elements.
    fn flush(&mut self, beside_typed: bool) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.as_slice().is_empty() {
            return Ok(());
        }
        self.charge(text.weight().saturating_add(listed(size_of::<Node>())))?;
        match self.stack.last_mut().map(|open| &mut open.frame) {
            Some(Frame::Unknown(element)) => {
                push_tight(&mut element.children, Node::Text(text.into_bytes(self.input)));
            }
            Some(Frame::Data(data)) => data.text(text, self.input, beside_typed),
            _ => {}
        }
        Ok(())
    }

    fn end_leaf(&mut self, leaf: Leaf, text: Gathered<'a>) -> Result<()> {
        let tag = leaf.tag;
        if leaf.is_flag && !is_blank(text.as_slice()) && !self.quirks.stray_text {
            return Err(violation(format!("text in {}", tag.name())));
        }
        if text.opaque && !self.quirks.text_as_opaque && !matches!(tag, Tag::Data | Tag::NextNonce) {
            return Err(violation(format!("opaque in {}", tag.name())));
        }
        self.check_length(tag, text.as_slice().len())?;
        let entry = match self.stack.last() {
            Some(Open { frame: Frame::FlatCtCap(_), .. }) => listed(size_of::<CtCapEntry>()),
            _ => LEAF_WEIGHT,
        };
        self.charge(text.weight().saturating_add(text.as_slice().len()).saturating_add(entry))?;
        let in_hdr = self.stack.len() == 2 && self.hdr.is_none();
        let odd = self.keeps_odd(tag);
        let Some(open) = self.stack.last_mut() else { return Ok(()) };
        if tag == Tag::VerDtd && in_hdr {
            self.version = std::str::from_utf8(text.as_slice()).ok().and_then(Version::from_ver_dtd);
        }
        open.opaque_nonce |= tag == Tag::NextNonce && text.opaque;
        let spare = odd.then(|| Bytes::copy_from_slice(text.as_slice()));
        let input = self.input;
        let taken = on_content!(&mut open.frame, c => c.text(tag, text, input), _ => Ok(()));
        match (taken, spare) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(text)) => {
                let mut element = known_element(tag);
                if !text.is_empty() {
                    element.children.push(Node::Text(text));
                }
                self.attach_unknown(element)
            }
            (Err(bad), None) => Err(violation(format!("{}: {}", tag.name(), bad.0))),
        }
    }

    /// Whether a value of this element that does not fit is kept as it came.
    fn keeps_odd(&self, tag: Tag) -> bool {
        self.quirks.odd_values || (self.quirks.odd_devinf && tag.page() == Page::DevInf)
    }

    fn check_length(&self, tag: Tag, len: usize) -> Result<()> {
        let in_hdr = self.hdr.is_none();
        match tag {
            Tag::SessionId => limit("session_id_bytes", len, self.limits.session_id_bytes),
            Tag::RespUri => limit("header_uri_bytes", len, self.limits.header_uri_bytes),
            Tag::LocUri if in_hdr => limit("header_uri_bytes", len, self.limits.header_uri_bytes),
            Tag::LocUri => limit("loc_uri_bytes", len, self.limits.loc_uri_bytes),
            _ => Ok(()),
        }
    }

    fn check_head(&self, open: &Open) -> Result<()> {
        let missing = on_content!(&open.frame, c => missing_in(c, open.seen), _ => None);
        let Some(tag) = missing else { return Ok(()) };
        let allowed = match tag.page() {
            Page::SyncMl => self.quirks.incomplete_commands,
            _ => self.quirks.incomplete_info,
        };
        if allowed { Ok(()) } else { Err(violation(format!("{} is missing", tag.name()))) }
    }

    fn check_complete(&self, open: &Open) -> Result<()> {
        if matches!(open.frame, Frame::Root) && !self.body_seen && !self.quirks.incomplete_commands {
            return Err(violation("SyncBody is missing"));
        }
        if open.head_done { Ok(()) } else { self.check_head(open) }
    }

    /// Gives a finished element to its parent, or to the reader.
    fn finish(&mut self, mut open: Open) -> Result<Option<Built>> {
        if let Frame::Meta(meta) = &mut open.frame
            && open.opaque_nonce
        {
            settle_nonce(meta);
        }
        match (open.frame, open.tag) {
            (Frame::Hdr(hdr), _) => {
                self.hdr = Some(hdr);
                return Ok(Some(Built::Header));
            }
            (Frame::Root | Frame::Body, _) => {}
            (Frame::DevInf(devinf), _) if self.stack.is_empty() => self.devinf = Some(devinf),
            (Frame::Unknown(element), _) => return self.finish_unknown(element),
            (Frame::Sync(sync), _) if self.stack.len() == 2 => {
                if open.head_done {
                    return Ok(Some(Built::SyncEnd(sync.extra)));
                }
                self.pending = Some(Built::SyncEnd(None));
                return Ok(Some(Built::SyncStart(sync)));
            }
            (frame, Some(tag)) => match into_command(tag, frame) {
                Ok(command) => return Ok(self.finish_command(command)),
                Err(frame) => self.attach(Some(tag), frame),
            },
            (_, None) => {}
        }
        Ok(None)
    }

    fn finish_command(&mut self, command: Command) -> Option<Built> {
        let in_body = self.stack.len() <= 3;
        match self.stack.last_mut().map(|open| &mut open.frame) {
            Some(Frame::Nest(nest)) => push_tight(&mut nest.commands, command),
            Some(Frame::Sync(sync)) if !in_body => push_tight(&mut sync.commands, command),
            _ => return Some(Built::Command(command)),
        }
        None
    }

    /// An unknown element with a `CmdID` is a command, any other an unknown child.
    fn finish_unknown(&mut self, element: Element) -> Result<Option<Built>> {
        let in_body = matches!(self.stack.last(), Some(Open { frame: Frame::Body, .. }));
        if in_body && matches!(&element.name, Name::Text(name) if matches!(&**name, "SyncHdr" | "SyncBody")) {
            return Err(violation("a part of SyncML inside SyncBody"));
        }
        let holds_commands = self
            .stack
            .last()
            .is_some_and(|open| matches!(open.frame, Frame::Body | Frame::Sync(_) | Frame::Nest(_)));
        if !holds_commands || !is_command(&element) {
            self.attach_unknown(element)?;
            return Ok(None);
        }
        let head = self.begin_commands()?;
        let command = self.finish_command(Command::Unknown(element));
        if head.is_some() {
            self.pending = command;
            return Ok(head);
        }
        Ok(command)
    }

    fn attach_unknown(&mut self, element: Element) -> Result<()> {
        // `SyncCap` is mandatory and has no room, so that its datastore keeps what is unknown in it.
        let above = usize::from(matches!(self.stack.last(), Some(Open { frame: Frame::SyncCap(_), .. })));
        // One that the datastore knows would be its own when it is read again.
        if above > 0
            && let Name::Text(name) = &element.name
            && Tag::by_name(element.page, name.as_bytes()).is_some_and(|tag| DataStore::child(tag).is_some())
        {
            return Err(violation(format!("{name} in SyncCap")));
        }
        let any_order = self.quirks.any_order;
        let Some(open) = self.stack.iter_mut().nth_back(above) else { return Ok(()) };
        match &mut open.frame {
            Frame::Unknown(parent) => push_tight(&mut parent.children, Node::Element(element)),
            Frame::Data(data) => data.attach(Frame::Unknown(element)),
            Frame::Root | Frame::Body => add(&mut self.extra, element),
            Frame::FlatCtCap(cap) => push_tight(&mut cap.entries, CtCapEntry::Unknown(element)),
            frame => {
                let room = on_content!(frame, c => c.extra_mut(), _ => None);
                if let Some(extra) = room {
                    add(extra, element);
                } else if let Some(tag) = open.tag {
                    // No room: the parent is kept as it came, too, behind its siblings.
                    if !any_order {
                        return Err(violation(format!("an unknown element in {}", tag.name())));
                    }
                    let mut parent = known_element(tag);
                    parent.children = on_content!(&open.frame, c => to_nodes(c), _ => Vec::new());
                    parent.children.push(Node::Element(element));
                    open.frame = Frame::Unknown(parent);
                }
            }
        }
        Ok(())
    }

    fn attach(&mut self, tag: Option<Tag>, frame: Frame) {
        let (Some(open), Some(tag)) = (self.stack.last_mut(), tag) else { return };
        match &mut open.frame {
            Frame::Data(data) => data.attach(frame),
            parent => {
                on_content!(parent, c => c.attach(tag, frame), _ => ());
            }
        }
    }
}

/// A list grows by half, so it takes at most half more than its elements.
const fn listed(octets: usize) -> usize {
    octets.saturating_mul(3) / 2
}

/// Octets of a value that holds a text.
const LEAF_WEIGHT: usize = listed(size_of::<Box<str>>());

/// Octets that a frame takes once it is part of its parent; text comes on top.
fn weight(frame: &Frame) -> usize {
    match frame {
        // Part of another structure, which has been counted.
        Frame::Root
        | Frame::Body
        | Frame::Hdr(_)
        | Frame::Target(_)
        | Frame::Source(_)
        | Frame::Parent(_) => 0,
        Frame::Field(_) | Frame::Record(_) | Frame::Data(_) | Frame::SyncCap(_) | Frame::DsMem(_) => 0,
        Frame::Unknown(element) => {
            let name = match &element.name {
                Name::Text(name) => name.len(),
                Name::Token(_) => 0,
            };
            let namespace = element.namespace.as_ref().map_or(0, |uri| uri.len());
            let attributes = element.attributes.iter().fold(0_usize, |sum, (key, value)| {
                sum.saturating_add(key.len()).saturating_add(value.len()).saturating_add(listed(32))
            });
            listed(size_of::<Node>())
                .saturating_add(name)
                .saturating_add(namespace)
                .saturating_add(attributes)
        }
        Frame::FlatCtCap(_) => listed(size_of::<FlatCtCap>()),
        Frame::Change(_)
        | Frame::Alert(_)
        | Frame::Exec(_)
        | Frame::Get(_)
        | Frame::Results(_)
        | Frame::Map(_) => listed(size_of::<Command>()),
        Frame::Search(_) | Frame::Status(_) | Frame::Sync(_) | Frame::Nest(_) => listed(size_of::<Command>()),
        Frame::DevInf(_) => size_of::<DevInf>(),
        Frame::DataStore(_) => listed(size_of::<DataStore>()),
        frame => listed(on_content!(frame, c => size_of_val(c), _ => 0)),
    }
}

fn add(extra: &mut Extra, element: Element) {
    push_tight(extra.get_or_insert_default(), element);
}

fn is_command(element: &Element) -> bool {
    element.children.iter().any(|child| match child {
        Node::Element(child) => {
            child.page == Page::SyncMl && child.name == Name::Text(Tag::CmdId.name().into())
        }
        Node::Text(_) => false,
    })
}

/// quirk: a nonce as opaque is raw unless `Format` says base64, WBXML facts §6.
fn settle_nonce(meta: &mut Meta) {
    let is_base64 = meta.format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("b64"));
    if let (true, Some(text)) = (is_base64, &meta.next_nonce)
        && let Some(octets) = from_base64(text)
    {
        meta.next_nonce = Some(octets);
    }
}

/// The spelling of a DevInf document, if the octets look like one.
pub(crate) fn devinf_spelling(outer: Encoding, octets: &[u8], quirks: &Quirks) -> Option<Encoding> {
    #[cfg(feature = "wbxml")]
    if outer == Encoding::Wbxml && crate::wbxml::reader::is_devinf(octets) {
        return Some(Encoding::Wbxml);
    }
    #[cfg(feature = "xml")]
    if quirks.devinf_as_text && crate::xml::reader::is_devinf(octets) {
        return Some(Encoding::Xml);
    }
    let _ = (outer, octets, quirks);
    None
}

/// How far into `whole` a slice of it starts; 0 for octets that lie elsewhere.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    let at = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    if at < whole.len() { at } else { 0 }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<()> {
    if value > limit { Err(DecodeErrorKind::Limit { what, value, limit }) } else { Ok(()) }
}
