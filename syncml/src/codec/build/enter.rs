//! What a start tag means where it stands, and the frame it opens.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::weight::weight;
use super::*;

impl Builder<'_> {
    /// What an element of the tables is here.
    pub(super) fn role(&self, tag: Tag) -> Option<Role> {
        let Some(open) = self.stack.last() else {
            if self.is_devinf {
                return (tag == Tag::DevInf && self.devinf.is_none())
                    .then_some(Role::Typed(|| Frame::DevInf(Box::default())));
            }
            return (tag == Tag::SyncMl && !self.body_seen && self.hdr.is_none()).then_some(Role::Root);
        };
        match (&open.frame, tag) {
            (Frame::Unknown(_), _) => None,
            (Frame::Root, Tag::SyncHdr) => Some(Role::Hdr),
            (Frame::Root, Tag::SyncBody) => Some(Role::Body),
            (Frame::Root, _) => None,
            (Frame::Body, Tag::Final) => Some(Role::Final),
            (Frame::Body, _) => is_command(tag).then_some(Role::Command),
            (Frame::Data(data), _) if is_blank(self.text.as_slice()) => {
                data.typed_child(tag).map(Role::Typed)
            }
            (Frame::Meta(_), Tag::MetInf) if self.quirks.metinf_wrapper && !open.wrapper => {
                Some(Role::Wrapper)
            }
            (Frame::Sync(_) | Frame::Nest(_), _) if is_command(tag) => Some(Role::Command),
            (Frame::Sync(_) | Frame::Nest(_), _) if open.head_done => None,
            (frame, _) => on_content!(frame, c => child_of(c, tag), _ => None).map(Role::Child),
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

    pub(super) fn enter(&mut self, tag: Tag, role: Role) -> Result<Option<Built>> {
        if !self.quirks.newer_elements && self.version.is_some_and(|version| version < tag.entry().since) {
            return Err(violation(format!("{} is not of this version", tag.name())));
        }
        let is_typed = matches!(role, Role::Typed(_));
        if !self.text.is_empty() {
            self.flush(is_typed)?;
        }
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
                self.leaf = Some(Leaf { tag, is_flag: true });
            }
            Role::Wrapper => {
                if let Some(open) = self.stack.last_mut() {
                    open.wrapper = true;
                }
            }
            Role::Command => return self.enter_command(tag),
            Role::Typed(blank) => self.push(tag, blank(), true)?,
            Role::Child(shape) => self.enter_child(tag, shape)?,
        }
        Ok(None)
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

    pub(super) fn enter_child(&mut self, tag: Tag, shape: Shape) -> Result<()> {
        // spec: threats X4.
        if !shape.many && self.stack.last().is_some_and(|open| open.seen & bit(tag) != 0) {
            if self.keeps_odd(tag) {
                return self.keep(Some(tag), Box::new(known_element(tag)));
            }
            return Err(violation(format!("second {}", tag.name())));
        }
        let any_order = self.quirks.any_order;
        if let Some(open) = self.stack.last_mut() {
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

    pub(super) fn push_open(&mut self, tag: Option<Tag>, frame: Frame, nth: u32) -> Result<()> {
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
            counts_from: self.counts.len(),
        });
        Ok(())
    }

    /// Accounts for memory before it is taken. spec: threats L2, L3.
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
