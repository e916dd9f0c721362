//! What a start tag means where it stands, and the frame it opens.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::weight::weight;
use super::*;

impl Builder<'_> {
    /// What an element of the tables is here.
    #[inline]
    pub(super) fn role(&self, tag: Tag) -> Option<Role> {
        let Some(open) = self.stack.last() else { return self.role_of_root(tag) };
        match open.layout.child(tag) {
            Some(shape) => (!open.head_done).then_some(Role::Child(shape)),
            None => self.other_role(open, tag),
        }
    }

    fn role_of_root(&self, tag: Tag) -> Option<Role> {
        if self.is_devinf {
            return (tag == Tag::DevInf && self.devinf.is_none())
                .then_some(Role::Typed(|| Frame::DevInf(Box::default())));
        }
        (tag == Tag::SyncMl && !self.body_seen && self.hdr.is_none()).then_some(Role::Root)
    }

    /// What an element is that no content model of the parent names.
    fn other_role(&self, open: &Open, tag: Tag) -> Option<Role> {
        match &open.frame {
            Frame::Body if tag == Tag::Final => Some(Role::Final),
            Frame::Body | Frame::Sync(_) | Frame::Nest(_) => is_command(tag).then_some(Role::Command),
            Frame::Root if tag == Tag::SyncHdr => Some(Role::Hdr),
            Frame::Root if tag == Tag::SyncBody => Some(Role::Body),
            Frame::Data(data) if is_blank(self.text.as_slice()) => data.typed_child(tag).map(Role::Typed),
            Frame::Meta(_) if tag == Tag::MetInf && self.quirks.metinf_wrapper && !open.wrapper => {
                Some(Role::Wrapper)
            }
            _ => None,
        }
    }

    /// What an element is here by its name alone, in a vocabulary other than `except`.
    pub(super) fn role_by_name(&self, except: Page, name: &str) -> Option<(Tag, Role)> {
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

    #[inline]
    pub(super) fn enter(&mut self, tag: Tag, role: Role) -> Result<Option<Built>> {
        if !self.quirks.newer_elements && self.version.is_some_and(|version| version < tag.entry().since) {
            return Err(violation(format!("{} is not of this version", tag.name())));
        }
        if !self.text.is_empty() {
            self.flush(matches!(role, Role::Typed(_)))?;
        }
        match role {
            Role::Child(shape) => self.enter_child(shape).map(|()| None),
            Role::Command => self.enter_command(tag),
            role => self.enter_part(tag, role).map(|()| None),
        }
    }

    /// A part of a message or of `Data`.
    fn enter_part(&mut self, tag: Tag, role: Role) -> Result<()> {
        match role {
            Role::Root => self.push(tag, Frame::Root, false)?,
            Role::Hdr if self.hdr.is_some() => return Err(violation("second SyncHdr")),
            Role::Hdr => self.push(tag, Frame::Hdr(Box::new(blank_hdr())), false)?,
            Role::Body if self.hdr.is_none() => return Err(violation("SyncBody before SyncHdr")),
            Role::Body if self.body_seen => return Err(violation("second SyncBody")),
            Role::Body => {
                self.body_seen = true;
                self.push(tag, Frame::Body, false)?;
            }
            Role::Final if self.is_final => return Err(violation("second Final")),
            Role::Final => {
                self.is_final = true;
                self.leaf = Some(Leaf { tag, holds: Holds::Nothing });
            }
            Role::Wrapper => {
                if let Some(open) = self.stack.last_mut() {
                    open.wrapper = true;
                    open.is_plain = false;
                }
            }
            Role::Typed(blank) => self.push(tag, blank(), true)?,
            Role::Child(_) | Role::Command => {}
        }
        Ok(())
    }

    pub(super) fn enter_command(&mut self, tag: Tag) -> Result<Option<Built>> {
        let head = self.begin_commands()?;
        if let Some(frame) = command_frame(tag) {
            self.push(tag, frame, true)?;
        }
        Ok(head)
    }

    /// Counts a command; before the first, hands out the head of the `Sync` it is in.
    pub(super) fn begin_commands(&mut self) -> Result<Option<Built>> {
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

    #[inline]
    pub(super) fn enter_child(&mut self, shape: &'static Shape) -> Result<()> {
        let Some(open) = self.stack.last_mut() else { return Ok(()) };
        if !shape.many && open.seen & shape.bit != 0 {
            return self.enter_second(shape.tag);
        }
        if shape.position < open.position && !self.quirks.any_order {
            return Err(violation(format!("{} out of order", shape.tag.name())));
        }
        open.seen |= shape.bit;
        open.position = shape.position;
        let holds = match shape.kind {
            Kind::Frame(blank) => {
                let used = if shape.tag == Tag::Item { self.spare.take() } else { None };
                self.push(shape.tag, used.map_or_else(blank, Frame::Item), shape.many)?;
                if let Some(open) = self.stack.last_mut() {
                    open.is_plain = true;
                }
                return Ok(());
            }
            Kind::Data => Holds::Data,
            Kind::Text => Holds::Text,
            Kind::Flag => Holds::Nothing,
        };
        limit("depth", self.stack.len().saturating_add(1), self.depth_limit())?;
        self.leaf = Some(Leaf { tag: shape.tag, holds });
        Ok(())
    }

    /// A second child where one belongs. spec: threats X4.
    #[cold]
    fn enter_second(&mut self, tag: Tag) -> Result<()> {
        if self.keeps_odd(tag) {
            return self.keep(Some(tag), Box::new(known_element(tag)));
        }
        Err(violation(format!("second {}", tag.name())))
    }

    #[inline]
    pub(super) fn push(&mut self, tag: Tag, frame: Frame, repeated: bool) -> Result<()> {
        let nth = if repeated { self.count(tag) } else { 1 };
        self.push_open(Some(tag), frame, nth)
    }

    /// The how many-th child of its name this is.
    fn count(&mut self, tag: Tag) -> u32 {
        let from = self.stack.last().map_or(0, |parent| parent.counts_from);
        let counts = self.counts.get_mut(from..).unwrap_or_default();
        match counts.iter_mut().find(|(other, _)| *other == tag) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                *count
            }
            None => {
                self.counts.push((tag, 1));
                1
            }
        }
    }

    #[inline]
    pub(super) fn push_open(&mut self, tag: Option<Tag>, frame: Frame, nth: u32) -> Result<()> {
        // spec: threats W1; documents inside count too.
        limit("depth", self.stack.len().saturating_add(1), self.depth_limit())?;
        self.charge(weight(&frame))?;
        let inside = self.stack.last().is_some_and(|open| open.holds_devinf);
        self.stack.push(Open {
            tag,
            layout: frame.layout(),
            frame,
            seen: 0,
            position: 0,
            wrapper: false,
            opaque_nonce: false,
            head_done: false,
            is_plain: false,
            holds_devinf: inside || matches!(tag, Some(Tag::Put | Tag::Get | Tag::Results | Tag::Field)),
            nth,
            counts_from: self.counts.len(),
        });
        Ok(())
    }

    /// Accounts for memory before it is taken. spec: threats L2, L3.
    #[inline]
    pub(super) fn charge(&mut self, octets: usize) -> Result<()> {
        self.taken = self.taken.saturating_add(octets);
        limit("tree_slack_bytes", self.taken, self.allowed)
    }

    /// Opens an element that is kept as it came.
    pub(super) fn keep(&mut self, tag: Option<Tag>, element: Box<Element>) -> Result<()> {
        if self.stack.is_empty() {
            let wanted = if self.is_devinf { "DevInf" } else { "SyncML" };
            return Err(violation(format!("the root is not {wanted}")));
        }
        self.flush(false)?;
        self.push_open(tag, Frame::Unknown(element), 1)
    }

    /// An element inside text: the text's element is kept as it came.
    pub(super) fn degrade_leaf(&mut self) -> Result<()> {
        match self.leaf.take() {
            Some(leaf) if !self.quirks.odd_values || leaf.tag == Tag::Final => {
                self.leaf = Some(leaf);
                Err(violation("an element where text belongs"))
            }
            Some(leaf) => {
                self.push_open(Some(leaf.tag), Frame::Unknown(Box::new(known_element(leaf.tag))), 1)
            }
            None => Ok(()),
        }
    }
}
