//! What the peer's message asks, command by command.

use super::exchange::{Ask, Exchange, Level, Payload, Received, Slot};
use super::link::Sent;
use super::object::IncomingObject;
use crate::model::{
    Alert, AlertCode, Change, Command, CommandName, Data, DevInf, Get, Item, Meta, Source, Status,
    StatusCode, Target,
};
use bytes::Bytes;

impl<'m> Exchange<'m> {
    pub(super) fn ask(&mut self, command: &'m Command, in_sync: bool) -> Option<Ask<'m>> {
        match command {
            Command::Add(change) | Command::Replace(change) | Command::Delete(change) if in_sync => {
                return self.change(command, change);
            }
            Command::Alert(alert) => return self.alert(command, alert),
            _ => self.advance(),
        }
        match command {
            Command::Sync(sync) if !in_sync => {
                self.heard = true;
                let refused = None;
                self.stack.push(Level {
                    commands: &sync.commands,
                    command: 0,
                    item: 0,
                    in_sync: true,
                    refused,
                });
                let target = sync.target.as_ref().map_or("", |t| &t.loc_uri);
                let source = sync.source.as_ref().map_or("", |s| &s.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                let slot =
                    self.slot(command, sync.target.as_ref(), sync.source.as_ref(), sync.no_resp, false);
                Some(Ask::Sync { slot, target, source, number_of_changes: sync.number_of_changes })
            }
            Command::Sequence(nest) => {
                self.status(command, nest.no_resp, StatusCode::OK);
                self.stack.push(Level {
                    commands: &nest.commands,
                    command: 0,
                    item: 0,
                    in_sync,
                    refused: None,
                });
                None
            }
            Command::Map(map) => {
                self.heard = true;
                let slot = self.slot(command, Some(&map.target), Some(&map.source), false, false);
                Some(Ask::Map { slot, target: &map.target.loc_uri, items: &map.items })
            }
            Command::Put(put) => self.put(command, put),
            Command::Get(get) => self.get(command, get),
            Command::Results(results) => {
                self.status(command, false, StatusCode::OK);
                results.items.iter().find_map(devinf_of).map(Ask::DevInf)
            }
            Command::Unknown(_) => None,
            // Known, but not ours to do here: refused without harm, contents untouched.
            other => {
                self.heard = true;
                let code = if in_sync
                    || matches!(other, Command::Atomic(_) | Command::Search(_) | Command::Exec(_))
                {
                    StatusCode::NOT_SUPPORTED
                } else {
                    StatusCode::NOT_ALLOWED
                };
                self.refuse(other, code);
                None
            }
        }
    }

    fn alert(&mut self, command: &'m Command, alert: &'m Alert) -> Option<Ask<'m>> {
        let level = self.stack.last_mut()?;
        let item = alert.items.get(level.item);
        level.item = level.item.saturating_add(1);
        let last = level.item >= alert.items.len();
        let first = level.item == 1;
        if last {
            self.advance();
        }
        let code = alert.code.unwrap_or(AlertCode::TWO_WAY);
        match code {
            AlertCode::NEXT_MESSAGE => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                None
            }
            AlertCode::NO_END_OF_DATA => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                self.link.outgoing.take().map(|object| Ask::Answered {
                    tag: object.tag,
                    code: StatusCode::INCOMPLETE,
                    object_dropped: true,
                })
            }
            AlertCode::DISPLAY => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                let text = item?.data.as_ref()?.as_bytes()?;
                std::str::from_utf8(text).ok().map(Ask::Display)
            }
            AlertCode(200..=210) => {
                self.heard = true;
                let Some(item) = item else {
                    self.status(command, alert.no_resp, StatusCode::INCOMPLETE);
                    return None;
                };
                let source = item.source.as_ref().map_or("", |s| &s.loc_uri);
                let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                let many = alert.items.len() > 1;
                let slot =
                    self.slot(command, item.target.as_ref(), item.source.as_ref(), alert.no_resp, many);
                let anchor = item.meta.as_ref().and_then(|m| m.anchor.as_deref());
                if let Some(max) = item.meta.as_ref().and_then(|m| m.max_obj_size) {
                    self.link.peer_max_obj = Some(max);
                }
                Some(Ask::Alert { slot, code, target, source, anchor, item })
            }
            _ => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::NOT_SUPPORTED);
                }
                None
            }
        }
    }

    fn put(&mut self, command: &'m Command, put: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let devinf = put.items.iter().find_map(devinf_of);
        let code = if devinf.is_some() { StatusCode::OK } else { StatusCode::NOT_SUPPORTED };
        self.status(command, put.no_resp, code);
        devinf.map(Ask::DevInf)
    }

    fn get(&mut self, command: &'m Command, get: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let item = get.items.first()?;
        let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
        let slot = self.slot(command, item.target.as_ref(), None, get.no_resp, false);
        if target.trim_start_matches("./").starts_with("devinf") {
            return Some(Ask::GetDevInf(slot));
        }
        self.answer(&slot, StatusCode::NOT_FOUND);
        None
    }

    fn change(&mut self, command: &'m Command, change: &'m Change) -> Option<Ask<'m>> {
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
        if let Some(open) = &self.link.incoming
            && !open.continued_by(&name, item)
        {
            // Something new while an object is open: it is dropped, the peer is told, then the new one is done.
            let open = self.link.incoming.take()?;
            self.no_end_of_data(&open);
            return Some(Ask::ChunksDropped);
        }
        level.item = level.item.saturating_add(1);
        if level.item >= change.items.len() {
            self.advance();
        }
        let many = change.items.len() > 1;
        let slot = self.slot(command, item.target.as_ref(), item.source.as_ref(), change.no_resp, many);
        let meta = Metas { item: item.meta.as_deref(), command: change.meta.as_deref() };
        let open = self.link.incoming.take();
        if open.is_none() && !item.more_data {
            if data.is_some_and(|data| data.len() as u64 > self.max_obj_size) {
                self.answer(&slot, StatusCode::SIZE_TOO_BIG);
                return None;
            }
            let payload = data.cloned().map_or(Payload::None, Payload::Whole);
            return Some(Ask::Change { slot, received: received(name, item, &meta, payload) });
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
                    self.answer(&slot, StatusCode::SIZE_REQUIRED);
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
        let offset = object.received;
        object.received = offset.saturating_add(data.len() as u64);
        let wrong = object.received > object.size || (!item.more_data && object.received != object.size);
        if wrong {
            // spec: session facts section 5: dropped, not committed
            self.answer(&slot, StatusCode::SIZE_MISMATCH);
            return continued.then_some(Ask::ChunksDropped);
        }
        if item.more_data {
            self.link.incoming = Some(object);
            self.answer(&slot, StatusCode::CHUNK_ACCEPTED);
            return Some(Ask::Chunk { offset, data });
        }
        let received = Received {
            cmd: object.cmd,
            target: object.target,
            source: object.source,
            source_parent: object.source_parent,
            target_parent: object.target_parent,
            media_type: media_type(object.media_type.as_deref()),
            format: object.format,
            field_level: meta.field_level(),
            payload: Payload::Spooled { offset, tail: data },
        };
        Some(Ask::Change { slot, received })
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
        if self.write(Command::Alert(alert)).is_ok() {
            self.spoke = true;
        }
    }

    pub(super) fn answered(&mut self, status: &'m Status) -> Option<Ask<'m>> {
        if status.cmd_ref == 0 {
            return Some(Ask::Header { code: status.data, chal: status.chal.as_deref() });
        }
        let fits = |sent: &Sent| {
            sent.cmd_id == status.cmd_ref && status.msg_ref.is_none_or(|msg_ref| msg_ref == sent.msg_id)
        };
        let index = self.link.sent.iter().position(fits)?;
        let sent = self.link.sent.remove(index);
        let chunk = self.link.outgoing.as_ref().is_some_and(|object| object.tag == sent.tag);
        if chunk {
            if status.data.is_success() {
                return None;
            }
            // A status other than 213 on a chunk: stop.
            self.link.outgoing = None;
        }
        Some(Ask::Answered { tag: sent.tag, code: status.data, object_dropped: chunk })
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
        payload,
    }
}

fn media_type(text: Option<&str>) -> String {
    text.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn devinf_of(item: &Item) -> Option<&DevInf> {
    match &item.data {
        Some(Data::DevInf(devinf)) => Some(devinf),
        _ => None,
    }
}
