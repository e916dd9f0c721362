//! Builds the model from tokens, on an explicit stack.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod enter;
pub(crate) mod finish;
mod weight;

use crate::codec::content::Content;
use crate::codec::data::{DataBuild, to_nodes};
use crate::codec::frame::{Frame, blank_hdr, command_frame, into_command, is_command, on_content};
use crate::codec::layout::{Kind, Layout, Shape};
use crate::codec::sink::known_element;
use crate::codec::slot::from_base64;
use crate::codec::token::{Attributes, Gathered, Text, Token, Whole, is_blank, push_tight, share};
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
    Hdr,
    /// A command of the body, or of the `Sync` that is open in it.
    Command(Command),
    /// The head of a `Sync` of the body; its commands follow.
    SyncStart(Box<Sync>),
    /// That `Sync` ends.
    SyncEnd(Extra),
}

/// An open element that holds elements.
struct Open {
    /// `None` if the tables do not know it.
    tag: Option<Tag>,
    frame: Frame,
    layout: &'static Layout,
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
    /// A child like others: at its end it only goes to its parent.
    is_plain: bool,
    /// `Data` in it may hold a DevInf document.
    holds_devinf: bool,
    /// The how many-th of its name under its parent.
    nth: u32,
    /// Where the counts of its children start.
    counts_from: usize,
}

/// An open element that holds text or nothing.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    tag: Tag,
    holds: Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Nothing,
    /// A `Data` that has just begun.
    Data,
}

/// What an element is, where it stands.
enum Role {
    Root,
    Hdr,
    Body,
    Final,
    Wrapper,
    Command,
    Child(&'static Shape),
    Typed(fn() -> Frame),
}

/// Builds one message.
pub(crate) struct Builder<'a> {
    input: &'a Bytes,
    limits: Limits,
    quirks: Quirks,
    stack: Vec<Open>,
    /// Repeated children of the open elements so far, by name.
    counts: Vec<(Tag, u32)>,
    leaf: Option<Leaf>,
    /// Of the last item, which is in its list.
    spare: Option<Box<Item>>,
    text: Gathered<'a>,
    version: Option<Version>,
    commands: usize,
    /// Octets that what was built takes, at most.
    taken: usize,
    /// What they may be at most.
    allowed: usize,
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

impl<'a> Builder<'a> {
    pub(crate) fn new(encoding: Encoding, input: &'a Bytes, limits: &Limits, quirks: &Quirks) -> Self {
        Builder {
            input,
            limits: limits.clone(),
            quirks: quirks.clone(),
            stack: Vec::with_capacity(12),
            counts: Vec::new(),
            leaf: None,
            spare: None,
            text: Gathered::default(),
            version: None,
            commands: 0,
            taken: 0,
            allowed: input.len().saturating_mul(4).saturating_add(limits.tree_slack_bytes),
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
                (Frame::Unknown(element), None) => match &element.name {
                    Name::Text(name) => {
                        add(&name.chars().take(32).collect::<String>().escape_debug().to_string(), 1);
                    }
                    Name::Token(token) => add(&format!("0x{token:02X}"), 1),
                },
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

    /// What is left of the memory that a document inside may take.
    pub(crate) fn slack_left(&self) -> usize {
        self.allowed.saturating_sub(self.taken)
    }

    /// Whether what has just begun may be text alone. Then comes `whole_text` or `no_whole_text`.
    #[inline]
    pub(crate) fn wants_text(&self) -> bool {
        self.leaf.is_some() && self.text.is_empty()
    }

    /// Starts an element that holds text, where nothing speaks against it; else does nothing.
    #[inline(always)]
    pub(crate) fn plain_leaf(&mut self, tag: Tag) -> bool {
        let is_free = self.leaf.is_none() && self.text.is_empty() && self.quirks.newer_elements;
        let depth = self.stack.len().saturating_add(1);
        let (limit, any_order) = (self.depth_limit(), self.quirks.any_order);
        let Some(open) = self.stack.last_mut() else { return false };
        let Some(shape) = open.layout.child(tag) else { return false };
        let holds = match shape.kind {
            Kind::Text => Holds::Text,
            Kind::Data => Holds::Data,
            Kind::Flag | Kind::Frame(_) => return false,
        };
        let is_first = shape.many || open.seen & shape.bit == 0;
        let in_order = any_order || shape.position >= open.position;
        if !is_free || open.head_done || !is_first || !in_order || depth > limit {
            return false;
        }
        open.seen |= shape.bit;
        open.position = shape.position;
        self.leaf = Some(Leaf { tag, holds });
        true
    }

    /// Ends an element that only goes to its parent, where nothing speaks against it; else does nothing.
    #[inline(always)]
    pub(crate) fn plain_end(&mut self) -> bool {
        let is_free = self.leaf.is_none() && self.text.is_empty();
        if !self
            .stack
            .last()
            .is_some_and(|open| is_free && open.is_plain && open.layout.missing(open.seen).is_none())
        {
            return false;
        }
        if let Some(Open { tag: Some(tag), frame, counts_from, .. }) = self.stack.pop() {
            self.counts.truncate(counts_from);
            self.attach(tag, frame);
        }
        true
    }

    /// Takes all the text of an element that has just begun, and the end of it.
    #[inline(always)]
    pub(crate) fn whole_text(&mut self, text: Whole<'a>, budget: &mut usize) -> Result<()> {
        let Some(leaf) = self.leaf else { return Ok(()) };
        if leaf.holds == Holds::Data {
            let data = self.octets(share(self.input, text.bytes), budget)?;
            self.attach(leaf.tag, Frame::Data(data));
        } else {
            self.end_leaf(leaf, text.into())?;
        }
        self.leaf = None;
        Ok(())
    }

    /// What has just begun is not text alone.
    pub(crate) fn no_whole_text(&mut self) -> Result<()> {
        match self.leaf {
            Some(Leaf { tag, holds: Holds::Data }) => {
                self.leaf = None;
                self.push(tag, Frame::Data(DataBuild::default()), false)
            }
            _ => Ok(()),
        }
    }

    /// Takes the next token. `budget`: octets that string tables may still give to documents inside.
    pub(crate) fn token(&mut self, token: Token<'a>, budget: &mut usize) -> Result<Option<Built>> {
        match token {
            Token::Known(tag, attributes) => self.known(tag, attributes),
            Token::End => self.end(budget),
            Token::Text(text) => self.text(text).map(|()| None),
            Token::Unknown(element) => self.unknown(element),
            Token::Eof => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    #[inline]
    fn depth_limit(&self) -> usize {
        self.limits.depth.min(Limits::DEPTH_CEILING)
    }

    /// An element of the tables starts.
    pub(crate) fn start(&mut self, tag: Tag) -> Result<Option<Built>> {
        if self.leaf.is_some() {
            self.degrade_leaf()?;
        }
        match self.role(tag) {
            Some(role) => self.enter(tag, role),
            None => self.misplaced(tag, None),
        }
    }

    fn known(&mut self, tag: Tag, attributes: Attributes) -> Result<Option<Built>> {
        match attributes {
            None => self.start(tag),
            attributes => {
                self.degrade_leaf()?;
                match self.role(tag) {
                    Some(role) => self.enter(tag, role),
                    None => self.misplaced(tag, attributes),
                }
            }
        }
    }

    /// An element of the tables that does not belong here.
    #[cold]
    fn misplaced(&mut self, tag: Tag, attributes: Attributes) -> Result<Option<Built>> {
        if let Some((tag, role)) = self.role_by_name(tag.page(), tag.name()) {
            return self.enter(tag, role);
        }
        let mut element = Box::new(known_element(tag));
        element.attributes = attributes.map(|all| *all).unwrap_or_default();
        self.keep(Some(tag), element)?;
        Ok(None)
    }

    fn unknown(&mut self, element: Box<Element>) -> Result<Option<Built>> {
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

    pub(crate) fn end(&mut self, budget: &mut usize) -> Result<Option<Built>> {
        if let Some(leaf) = self.leaf {
            let text = std::mem::take(&mut self.text);
            self.end_leaf(leaf, text)?;
            self.leaf = None;
            return Ok(None);
        }
        let Some(open) = self.stack.last_mut() else { return Ok(None) };
        if open.wrapper {
            open.wrapper = false;
            return Ok(None);
        }
        if !self.text.is_empty() || matches!(open.frame, Frame::Data(DataBuild::Empty)) {
            self.end_of_text(budget)?;
        }
        self.check_complete()?;
        match self.stack.pop() {
            Some(open) => {
                self.counts.truncate(open.counts_from);
                self.finish(open)
            }
            None => Ok(None),
        }
    }

    /// Text ends that stands in an element which may hold others.
    fn end_of_text(&mut self, budget: &mut usize) -> Result<()> {
        let Some(Open { frame: Frame::Data(data @ DataBuild::Empty), .. }) = self.stack.last_mut() else {
            return self.flush(false);
        };
        *data = DataBuild::Octets(Bytes::new());
        let mut text = std::mem::take(&mut self.text);
        self.charge(text.weight())?;
        let data = self.octets(text.take_bytes(self.input), budget)?;
        if let Some(open) = self.stack.last_mut() {
            open.frame = Frame::Data(data);
        }
        Ok(())
    }
}

#[inline]
fn limit(what: &'static str, value: usize, limit: usize) -> Result<()> {
    if value > limit { Err(DecodeErrorKind::Limit { what, value, limit }) } else { Ok(()) }
}
