//! What an end tag completes: texts, checks, and the way of a frame into its parent.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::weight::{LEAF_WEIGHT, listed};
use super::*;

impl<'a> Builder<'a> {
    /// Hands gathered text to the innermost element, where that holds text among elements.
    pub(super) fn flush(&mut self, beside_typed: bool) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.text);
        self.charge(text.weight().saturating_add(listed(size_of::<Node>())))?;
        match self.stack.last_mut().map(|open| &mut open.frame) {
            Some(Frame::Unknown(element)) => {
                push_tight(&mut element.children, Node::Text(text.take_bytes(self.input)));
            }
            Some(Frame::Data(data)) => data.text(text, self.input, beside_typed),
            _ => {}
        }
        Ok(())
    }

    #[inline]
    pub(super) fn end_leaf(&mut self, leaf: Leaf, mut text: Gathered<'a>) -> Result<()> {
        let tag = leaf.tag;
        if leaf.holds == Holds::Nothing && !is_blank(text.as_slice()) && !self.quirks.stray_text {
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
        let in_hdr = || self.stack.len() == 2 && self.hdr.is_none();
        if tag == Tag::VerDtd && in_hdr() {
            self.version = std::str::from_utf8(text.as_slice()).ok().and_then(Version::from_ver_dtd);
        }
        let Some(open) = self.stack.last_mut() else { return Ok(()) };
        if text.opaque && tag == Tag::NextNonce {
            open.opaque_nonce = true;
            open.is_plain = false;
        }
        let input = self.input;
        let taken = on_content!(&mut open.frame, c => c.text(tag, &mut text, input), _ => Ok(()));
        match taken {
            Ok(()) => Ok(()),
            Err(_) if self.keeps_odd(tag) => {
                let mut element = known_element(tag);
                if !text.is_empty() {
                    element.children.push(Node::Text(Bytes::copy_from_slice(text.as_slice())));
                }
                self.attach_unknown(element)
            }
            Err(bad) => Err(violation(format!("{}: {}", tag.name(), bad.0))),
        }
    }

    /// Whether a value of this element that does not fit is kept as it came.
    pub(super) fn keeps_odd(&self, tag: Tag) -> bool {
        self.quirks.odd_values || (self.quirks.odd_devinf && tag.page() == Page::DevInf)
    }

    pub(super) fn check_length(&self, tag: Tag, len: usize) -> Result<()> {
        let in_hdr = self.hdr.is_none();
        match tag {
            Tag::SessionId => limit("session_id_bytes", len, self.limits.session_id_bytes),
            Tag::RespUri => limit("header_uri_bytes", len, self.limits.header_uri_bytes),
            Tag::LocUri if in_hdr => limit("header_uri_bytes", len, self.limits.header_uri_bytes),
            Tag::LocUri => limit("loc_uri_bytes", len, self.limits.loc_uri_bytes),
            _ => Ok(()),
        }
    }

    #[inline]
    pub(super) fn check_head(&self, open: &Open) -> Result<()> {
        open.layout.missing(open.seen).map_or(Ok(()), |tag| self.missing(tag))
    }

    #[cold]
    fn missing(&self, tag: Tag) -> Result<()> {
        let allowed = match tag.page() {
            Page::SyncMl => self.quirks.incomplete_commands,
            _ => self.quirks.incomplete_info,
        };
        if allowed { Ok(()) } else { Err(violation(format!("{} is missing", tag.name()))) }
    }

    /// Whether the innermost element has all that it must have.
    #[inline]
    pub(super) fn check_complete(&self) -> Result<()> {
        let Some(open) = self.stack.last() else { return Ok(()) };
        if matches!(open.frame, Frame::Root) && !self.body_seen && !self.quirks.incomplete_commands {
            return Err(violation("SyncBody is missing"));
        }
        if open.head_done { Ok(()) } else { self.check_head(open) }
    }

    /// Gives a finished element to its parent, or to the reader.
    #[inline]
    pub(super) fn finish(&mut self, mut open: Open) -> Result<Option<Built>> {
        if open.opaque_nonce
            && let Frame::Meta(meta) = &mut open.frame
        {
            settle_nonce(meta);
        }
        match (open.frame, open.tag) {
            (Frame::Hdr(hdr), _) => {
                self.hdr = Some(*hdr);
                return Ok(Some(Built::Hdr));
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
            (frame, Some(tag)) if is_command(tag) => {
                return Ok(into_command(tag, frame).and_then(|command| self.finish_command(command)));
            }
            (frame, Some(tag)) => self.attach(tag, frame),
            (_, None) => {}
        }
        Ok(None)
    }

    pub(super) fn finish_command(&mut self, command: Command) -> Option<Built> {
        let in_body = self.stack.len() <= 3;
        match self.stack.last_mut().map(|open| &mut open.frame) {
            Some(Frame::Nest(nest)) => push_tight(&mut nest.commands, command),
            Some(Frame::Sync(sync)) if !in_body => push_tight(&mut sync.commands, command),
            _ => return Some(Built::Command(command)),
        }
        None
    }

    /// An unknown element with a `CmdID` is a command, any other an unknown child.
    pub(super) fn finish_unknown(&mut self, element: Box<Element>) -> Result<Option<Built>> {
        let in_body = matches!(self.stack.last(), Some(Open { frame: Frame::Body, .. }));
        if in_body && matches!(&element.name, Name::Text(name) if matches!(&**name, "SyncHdr" | "SyncBody")) {
            return Err(violation("a part of SyncML inside SyncBody"));
        }
        let holds_commands = self
            .stack
            .last()
            .is_some_and(|open| matches!(open.frame, Frame::Body | Frame::Sync(_) | Frame::Nest(_)));
        if !holds_commands || !has_cmd_id(&element) {
            self.attach_unknown(*element)?;
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

    pub(super) fn attach_unknown(&mut self, element: Element) -> Result<()> {
        // `SyncCap` is mandatory and has no room, so that its datastore keeps what is unknown in it.
        let above = usize::from(matches!(self.stack.last(), Some(Open { frame: Frame::SyncCap(_), .. })));
        // One that the datastore knows would be its own when it is read again.
        if above > 0
            && let Name::Text(name) = &element.name
            && Tag::by_name(element.page, name.as_bytes())
                .is_some_and(|tag| DataStore::LAYOUT.child(tag).is_some())
        {
            return Err(violation(format!("{name} in SyncCap")));
        }
        let any_order = self.quirks.any_order;
        let Some(open) = self.stack.iter_mut().nth_back(above) else { return Ok(()) };
        match &mut open.frame {
            Frame::Unknown(parent) => push_tight(&mut parent.children, Node::Element(element)),
            Frame::Data(data) => data.attach(Frame::Unknown(Box::new(element))),
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
                    open.frame = Frame::Unknown(Box::new(parent));
                    open.is_plain = false;
                }
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn attach(&mut self, tag: Tag, mut frame: Frame) {
        let Some(open) = self.stack.last_mut() else { return };
        match &mut open.frame {
            Frame::Data(data) => return data.attach(frame),
            parent => on_content!(parent, c => c.attach(tag, &mut frame), _ => ()),
        }
        if let Frame::Item(item) = frame {
            self.spare = Some(item);
        }
    }

    /// Octets that end a `Data`: a DevInf document where they are one.
    #[inline]
    pub(super) fn octets(&mut self, octets: Bytes, budget: &mut usize) -> Result<DataBuild> {
        if self.stack.last().is_some_and(|open| open.holds_devinf) {
            self.devinf_or_octets(octets, budget)
        } else {
            Ok(DataBuild::Octets(octets))
        }
    }

    // spec: WBXML facts §7: by content, not by Meta/Type.
    fn devinf_or_octets(&mut self, octets: Bytes, budget: &mut usize) -> Result<DataBuild> {
        let Some(encoding) = devinf_spelling(self.encoding, &octets, &self.quirks) else {
            return Ok(DataBuild::Octets(octets));
        };
        let mut limits = self.limits.clone();
        let depth = self.stack.len().saturating_add(usize::from(self.leaf.is_some()));
        limits.depth = self.depth_limit().saturating_sub(depth);
        limits.string_table_bytes = *budget;
        limits.tree_slack_bytes = self.slack_left().saturating_sub(octets.len().saturating_mul(4));
        let before = limits.tree_slack_bytes.saturating_add(octets.len().saturating_mul(4));
        match crate::reader::read_devinf(encoding, &octets, &mut limits, &self.quirks) {
            Ok(devinf) => {
                *budget = limits.string_table_bytes;
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
}

fn add(extra: &mut Extra, element: Element) {
    push_tight(extra.get_or_insert_default(), element);
}

fn has_cmd_id(element: &Element) -> bool {
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
