//! Changes that come, whole or in chunks.

use super::ask::{Ask, Payload, Received, Slot};
use super::exchange::Exchange;
use super::object::IncomingObject;
use super::suspend::HalfObject;
use crate::model::{
    Alert, AlertCode, Change, Command, CommandName, Data, Item, Meta, Source, StatusCode, Target,
};
use bytes::Bytes;

impl<'m> Exchange<'m> {
    /// One item of a change.
    pub(super) fn change(&mut self, command: &'m Command, change: &'m Change) -> Option<Ask<'m>> {
        self.heard = true;
        let level = self.stack.last_mut()?;
        let Some(item) = change.items.get(level.item) else {
            if change.items.is_empty() {
                self.status(command, change.no_resp, StatusCode::INCOMPLETE);
            }
            self.advance();
            return None;
        };
        let name = command.name();
        let data = item.data.as_ref().and_then(Data::as_bytes);
        let meta = Metas { item: item.meta.as_deref(), command: change.meta.as_deref() };
        if let Some(open) = &self.link.incoming {
            let fresh = self.link.more.half.as_ref().is_some_and(|half| half.fresh);
            if fresh && (meta.size().is_some() || !open.continued_by(&name, item)) {
                // It was resumed, but the peer sends it from its beginning, or does not know of it.
                self.link.incoming = None;
                return Some(Ask::ChunksDropped);
            }
            if !open.continued_by(&name, item) {
                // Something new while an object is open: it is dropped, the peer is told, then the new one is done.
                return self.drop_object();
            }
        }
        level.item = level.item.saturating_add(1);
        if level.item >= change.items.len() {
            self.advance();
        }
        let many = change.items.len() > 1;
        let slot = self.slot(command, item.target.as_ref(), item.source.as_ref(), change.no_resp, many);
        if let Some(Some(code)) = self.in_atomic() {
            self.answer(&slot, code);
            return None;
        }
        let open = self.link.incoming.take();
        if self.atomic.is_some() && (open.is_some() || item.more_data) {
            // spec: session facts section 4: an Atomic is not split over messages
            self.answer(&slot, StatusCode::INCOMPLETE);
            return open.map(|_| Ask::ChunksDropped);
        }
        if open.is_none() && !item.more_data {
            if data.is_some_and(|data| data.len() as u64 > self.max_obj_size) {
                self.answer(&slot, StatusCode::SIZE_TOO_BIG);
                return None;
            }
            let payload = data.cloned().map_or(Payload::None, Payload::Whole);
            let mut received = received(name, item, &meta, payload);
            (received.archive, received.soft_delete) = (change.archive, change.sft_del);
            return Some(Ask::Change { slot, received });
        }
        self.chunk(slot, open, name, item, &meta, data.cloned().unwrap_or_default())
    }

    /// A chunk: the first, another, or the last.
    fn chunk(
        &mut self,
        slot: Slot,
        open: Option<IncomingObject>,
        name: CommandName,
        item: &Item,
        meta: &Metas<'_>,
        data: Bytes,
    ) -> Option<Ask<'m>> {
        let continued = open.is_some();
        let mut object = match open {
            Some(object) => object,
            None => {
                let Some(size) = meta.size() else {
                    // Of a resumed session: the peer goes on with what we do not have.
                    let resumed = self.link.more.resumed;
                    let code =
                        if resumed { StatusCode::PARTIAL_ITEM_REFUSED } else { StatusCode::SIZE_REQUIRED };
                    self.answer(&slot, code);
                    return None;
                };
                if size > self.max_obj_size {
                    self.answer(&slot, StatusCode::SIZE_TOO_BIG);
                    return None;
                }
                IncomingObject {
                    cmd: name,
                    target: item.target.as_ref().map(|t| t.loc_uri.clone()),
                    source: item.source.as_ref().map(|s| s.loc_uri.clone()),
                    source_parent: item.source_parent.clone(),
                    target_parent: item.target_parent.clone(),
                    media_type: meta.media_type().map(Into::into),
                    format: meta.format().map(Into::into),
                    size,
                    received: 0,
                }
            }
        };
        let mut half = match self.link.more.half.take() {
            Some(half) if continued => half,
            _ => HalfObject { store: self.sync_target.clone(), ..HalfObject::default() },
        };
        let offset = object.received;
        object.received = offset.saturating_add(data.len() as u64);
        let most = object.size.saturating_add(half.doubtful());
        let wrong = object.received > most || (!item.more_data && object.received < object.size);
        if wrong {
            // spec: session facts section 5: dropped, not committed
            self.answer(&slot, StatusCode::SIZE_MISMATCH);
            return continued.then_some(Ask::ChunksDropped);
        }
        if item.more_data {
            half.keep(&data);
            self.link.incoming = Some(object);
            self.link.more.half = Some(half);
            self.answer(&slot, StatusCode::CHUNK_ACCEPTED);
            return Some(Ask::Chunk { offset, data });
        }
        let surplus = object.received.saturating_sub(object.size);
        self.surplus = (surplus > 0).then_some((surplus, half.overlaps));
        let received = Received {
            cmd: object.cmd,
            target: object.target,
            source: object.source,
            source_parent: object.source_parent,
            target_parent: object.target_parent,
            media_type: media_type(object.media_type.as_deref()),
            format: object.format,
            field_level: meta.field_level(),
            archive: false,
            soft_delete: false,
            payload: Payload::Spooled { offset, tail: data },
        };
        Some(Ask::Change { slot, received })
    }

    /// The object that is open will not be completed: the peer is told.
    pub(super) fn drop_object(&mut self) -> Option<Ask<'m>> {
        let open = self.link.incoming.take()?;
        self.no_end_of_data(&open);
        Some(Ask::ChunksDropped)
    }

    /// What is left to say when all commands have been gone through.
    pub(super) fn end_of_message(&mut self) -> Option<Ask<'m>> {
        // A package that ends in the middle of an object; what is resumed has not begun yet.
        let whole = self.link.peer_final && !self.link.more.suspended;
        let fresh = self.link.more.half.as_ref().is_some_and(|half| half.fresh);
        if whole && !fresh { self.drop_object() } else { None }
    }

    fn no_end_of_data(&mut self, open: &IncomingObject) {
        let item = Item {
            target: open.target.as_deref().map(Target::new),
            source: open.source.as_deref().map(Source::new),
            ..Item::default()
        };
        let code = Some(AlertCode::NO_END_OF_DATA);
        let alert = Alert { code, items: vec![item], ..Alert::default() };
        // Without room the peer learns it from the missing status.
        if self.write(Command::Alert(Box::new(alert))).is_ok() {
            self.spoke = true;
        }
    }
}

/// Meta of an item and of its command: the item's wins.
struct Metas<'a> {
    item: Option<&'a Meta>,
    command: Option<&'a Meta>,
}

impl<'a> Metas<'a> {
    fn first<T>(&self, field: impl Fn(&'a Meta) -> Option<T>) -> Option<T> {
        self.item.and_then(&field).or_else(|| self.command.and_then(&field))
    }

    fn size(&self) -> Option<u64> {
        self.first(|meta| meta.size)
    }

    fn media_type(&self) -> Option<&'a str> {
        self.first(|meta| meta.type_.as_deref())
    }

    fn format(&self) -> Option<&'a str> {
        self.first(|meta| meta.format.as_deref())
    }

    fn field_level(&self) -> bool {
        self.item.is_some_and(|m| m.field_level) || self.command.is_some_and(|m| m.field_level)
    }
}

fn received(cmd: CommandName, item: &Item, meta: &Metas<'_>, payload: Payload) -> Received {
    Received {
        cmd,
        target: item.target.as_ref().map(|t| t.loc_uri.clone()),
        source: item.source.as_ref().map(|s| s.loc_uri.clone()),
        source_parent: item.source_parent.clone(),
        target_parent: item.target_parent.clone(),
        media_type: media_type(meta.media_type()),
        format: meta.format().map(Into::into),
        field_level: meta.field_level(),
        archive: false,
        soft_delete: false,
        payload,
    }
}

fn media_type(text: Option<&str>) -> String {
    text.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
