//! Builds the model from tokens, on an explicit stack.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod enter;
pub(crate) mod finish;
mod weight;

use crate::codec::content::{Content, bit};
use crate::codec::data::{DataBuild, to_nodes};
use crate::codec::frame::{Frame, blank_hdr, command_frame, into_command, is_command, on_content};
use crate::codec::sink::known_element;
use crate::codec::slot::{Kind, Shape, from_base64};
use crate::codec::token::{Attributes, Gathered, Text, Token, is_blank, push_tight};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;
use crate::model::*;
use crate::quirks::Quirks;
use crate::tables::{PAGES, Tag};
use bytes::Bytes;

/// What the builder has finished.
#[derive(Debug)]
pub(crate) enum Built {
    /// A command of the body, or of the `Sync` that is open in it.
    Command(Command),
    /// The head of a `Sync` of the body; its commands follow.
    SyncStart(Box<Sync>),
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
    /// Where the counts of its children start.
    counts_from: usize,
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
    Command,
    Child(Shape),
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
            stack: Vec::with_capacity(12),
            counts: Vec::new(),
            leaf: None,
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

    pub(crate) fn table_budget(&self) -> usize {
        self.limits.string_table_bytes
    }

    pub(crate) fn set_table_budget(&mut self, octets: usize) {
        self.limits.string_table_bytes = octets;
    }

    /// What is left of the memory that a document inside may take.
    pub(crate) fn slack_left(&self) -> usize {
        self.allowed.saturating_sub(self.taken)
    }

    /// Whether what has just begun may be text alone.
    pub(crate) fn wants_text(&self) -> bool {
        let is_data = || matches!(self.stack.last(), Some(Open { frame: Frame::Data(DataBuild::Empty), .. }));
        self.text.is_empty() && (self.leaf.is_some() || is_data())
    }

    /// Takes a text and the end of its element.
    pub(crate) fn whole_text(&mut self, text: Text<'a>) -> Result<()> {
        self.text.push(text);
        self.end().map(|_| ())
    }

    /// Takes the next token.
    pub(crate) fn token(&mut self, token: Token<'a>) -> Result<Option<Built>> {
        match token {
            Token::Known(tag, attributes) => self.known(tag, attributes),
            Token::Unknown(element) => self.unknown(element),
            Token::Text(text) => self.text(text).map(|()| None),
            Token::End => self.end(),
            Token::Eof => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    fn depth_limit(&self) -> usize {
        self.limits.depth.min(Limits::DEPTH_CEILING)
    }

    fn known(&mut self, tag: Tag, attributes: Attributes) -> Result<Option<Built>> {
        if self.leaf.is_some() {
            self.degrade_leaf()?;
        }
        let role =
            self.role(tag).map(|role| (tag, role)).or_else(|| self.role_by_name(tag.page(), tag.name()));
        match role {
            Some((tag, role)) => self.enter(tag, role),
            None => {
                let mut element = Box::new(known_element(tag));
                element.attributes = attributes.map(|all| *all).unwrap_or_default();
                self.keep(Some(tag), element)?;
                Ok(None)
            }
        }
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
                let mut text = std::mem::take(&mut self.text);
                self.charge(text.weight())?;
                let data = self.octets(text.take_bytes(self.input))?;
                if let Some(open) = self.stack.last_mut() {
                    open.frame = Frame::Data(data);
                }
            }
            _ if self.text.is_empty() => {}
            _ => self.flush(false)?,
        }
        if let Some(open) = self.stack.last() {
            self.check_complete(open)?;
        }
        match self.stack.pop() {
            Some(open) => {
                self.counts.truncate(open.counts_from);
                self.finish(open)
            }
            None => Ok(None),
        }
    }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<()> {
    if value > limit { Err(DecodeErrorKind::Limit { what, value, limit }) } else { Ok(()) }
}
