//! One item on its way to the peer: its containers first, then itself, or that it is gone.

use super::super::collection::{Projection, Wire};
use super::super::core::Side;
use super::super::seal::{self, Sealer, Sealing};
use super::super::state::{Kind, Tag};
use super::super::store::{Direction, Item, Read, Seen, StoreKey, Value, Write};
use super::super::turn::Missing;
use super::{Caps, Sender, Went};
use bytes::Bytes;
use idmap::Entry;
use syncml::session::{ObjectHead, ObjectProgress, wire_form};
use syncml::{Change, Command, Source, Target, Version};

/// Containers in each other, at most.
const MAX_DEPTH: usize = 32;

impl Sender<'_, '_, '_, '_> {
    /// Sends the containers of an item that the peer does not know, outermost first.
    // spec: session facts section 4: parents before children
    pub(super) fn parent_first(
        &mut self,
        index: usize,
        key: &StoreKey,
        item: &Item,
        gathering: bool,
    ) -> Result<Went, Missing> {
        if self.core.side == Side::Server && self.ex.version() < Version::V1_2 {
            return Ok(Went::Skipped);
        }
        let mut chain = Vec::new();
        let mut at = item.value.parent.clone();
        while let Some(guid) = at.take().filter(|_| chain.len() < MAX_DEPTH) {
            let Some(lookup) = self.core.lookups.get_mut(index) else { break };
            let entry = lookup.by_guid(&mut self.core.reader, &guid)?;
            let known = entry.is_some_and(|entry| entry.luid().is_some() || entry.seen_rev > 0)
                || self.announced.contains(&(index, guid.clone()))
                || self.awaited.iter().any(|(_, awaited, _)| *awaited == guid);
            if known || chain.iter().any(|above: &Item| above.guid == guid) {
                break;
            }
            let Some(parent) = self.core.item(key, &guid)?.filter(|parent| !parent.deleted) else { break };
            at = parent.value.parent.clone();
            chain.push(parent);
        }
        while let Some(parent) = chain.pop() {
            let Some(lookup) = self.core.lookups.get_mut(index) else { break };
            let entry = lookup.by_guid(&mut self.core.reader, &parent.guid)?;
            match self.put(index, &parent, entry.as_ref(), gathering)? {
                Went::Sent => {
                    self.announced.insert((index, parent.guid.clone()));
                    let store = u8::try_from(index).unwrap_or(u8::MAX);
                    self.awaited.insert((store, parent.guid.clone(), parent.rev));
                }
                Went::Skipped => {
                    self.announced.insert((index, parent.guid.clone()));
                }
                full => return Ok(full),
            }
        }
        Ok(Went::Skipped)
    }

    pub(super) fn delete(
        &mut self,
        index: usize,
        item: &Item,
        entry: Option<&Entry>,
        kind: Kind,
        gathering: bool,
    ) -> Went {
        let Some(entry) = entry else { return Went::Skipped };
        let mut object = syncml::Item::default();
        match (self.core.side, entry.luid()) {
            (Side::Client, _) => object.source = Some(Source::new(item.guid.as_str())),
            (Side::Server, Some(luid)) => object.target = Some(Target::new(luid.as_str())),
            (Side::Server, None) => {
                // Offered, perhaps taken, never mapped: it can be deleted once the Map comes.
                if let Some(store) = self.core.stores.get_mut(index) {
                    store.not_taken(item.rev);
                }
                return Went::Skipped;
            }
        }
        if gathering {
            return Went::Sent;
        }
        let mut change = Change::default();
        change.sft_del = kind == Kind::SoftDelete;
        change.items.push(object);
        if !self.open_sync(index, None) {
            return Went::Full;
        }
        match self.ex.send(Command::Delete(Box::new(change)), tag(index, item, kind)) {
            Ok(()) => {
                self.went(index, kind);
                Went::Sent
            }
            Err(_) => Went::Full,
        }
    }

    pub(super) fn put(
        &mut self,
        index: usize,
        item: &Item,
        entry: Option<&Entry>,
        gathering: bool,
    ) -> Result<Went, Missing> {
        let (Some(store), Some(config)) = (self.core.stores.get(index), self.core.config(index)) else {
            return Ok(Went::Skipped);
        };
        let name = store.name.clone();
        let caps = self.caps.get(index).cloned().unwrap_or_default();
        let has_it = entry.is_some_and(|e| self.core.side == Side::Client || e.luid().is_some());
        let filter = store.filter.clone();
        let asked = filter.as_ref().is_some_and(|filter| filter.inclusive);
        let fields_only = has_it && !asked && entry.is_some_and(|entry| entry.seen_rev >= item.body_rev);
        let (version, encoding) = (self.ex.version(), self.ex.encoding());
        let device = (self.core.side == Side::Server).then(|| self.core.device.clone());
        let projection = Projection::new(item, fields_only, &caps.accepts, version, encoding)
            .with_fields(filter.as_ref().and_then(|filter| filter.fields.as_deref()))
            .to_device(device.as_deref())
            .with_extended(self.core.side == Side::Server || self.core.extended);
        let mut body = None;
        if config.collection.needs_body(&projection) {
            let read = Read::Body(self.core.store_key(&name), item.guid.clone());
            if let Value::Body(found) = self.core.reader.read(read)? {
                body = found.clone();
            }
        }
        let mut wire = match config.collection.project(&projection, body.as_ref()) {
            Ok(wire) => wire,
            Err(refusal) => return Ok(self.skip(&name, &item.guid, refusal.reason)),
        };
        let added = |wire: &Wire| self.core.sealing.added(&wire.media_type);
        let size = |wire: &Wire| (wire.data.len() as u64).saturating_add(added(wire));
        // mission: M11: of what does not fit the peer gets what does
        if !fields_only
            && self.is_too_large(index, has_it, size(&wire))
            && let Some(least) = config.collection.least()
            && let Ok(less) = config.collection.project(&projection.reduced_to(&least), body.as_ref())
            && less.data.len() < wire.data.len()
        {
            wire = less;
        }
        let size = size(&wire);
        if let Some(max) = self.ex.peer_max_obj_size().filter(|max| size > *max) {
            let reason = format!("{size} octets, the peer takes {max}");
            return Ok(self.skip(&name, &item.guid, reason));
        }
        let kind = if has_it { Kind::Replace } else { Kind::Add };
        if kind == Kind::Add
            && let Some(reason) = self.no_room(index, size)
        {
            // The rest is kept for later.
            if let Some(store) = self.core.stores.get_mut(index) {
                store.not_taken(item.rev);
            }
            return Ok(self.skip(&name, &item.guid, reason));
        }
        let Some((mut head, records)) = self.address(index, item, entry, kind, &caps)? else {
            return Ok(self.skip(&name, &item.guid, "the peer takes no id long enough".into()));
        };
        if gathering {
            return Ok(Went::Sent);
        }
        let takes_fields = caps.field_level.contains(&wire.media_type);
        let Wire { media_type, data } = match self.sealed(wire, &head) {
            Ok(wire) => wire,
            Err(reason) => return Ok(self.skip(&name, &item.guid, reason)),
        };
        let (data, base64) = wire_form(self.ex.encoding(), &data);
        // spec: session facts section 4: only where the peer's CTCap of the type says so
        head.field_level =
            fields_only && version >= Version::V1_2 && config.collection.takes_field_level() && takes_fields;
        head.media_type = media_type;
        head.base64 = base64;
        if !self.open_sync(index, None) {
            return Ok(Went::Full);
        }
        let went = self.object(index, kind, head, &data, tag(index, item, kind));
        match went {
            Went::Sent | Went::Started => {
                if let Some(lookup) = self.core.lookups.get_mut(index) {
                    self.core.batch.map(lookup, records, Seen::AsRecorded);
                }
                self.went(index, kind);
                if kind == Kind::Add
                    && let Some((mem, ids)) =
                        self.core.stores.get_mut(index).and_then(|store| store.free.as_mut())
                {
                    *mem = mem.saturating_sub(size);
                    *ids = ids.saturating_sub(1);
                }
            }
            Went::Full if !self.sent_any && self.ex.version() < Version::V1_1 && self.ex.is_roomy() => {
                return Ok(self.skip(&name, &item.guid, "it fits into no message of the peer".into()));
            }
            _ => {}
        }
        Ok(went)
    }

    /// An object as it travels; or why it does not.
    fn sealed(&self, wire: Wire, head: &ObjectHead) -> Result<Wire, String> {
        let (key, sealer) = match (&self.core.sealing, self.core.side) {
            (Sealing::Clear, _) => return Ok(wire),
            (Sealing::Keyless, _) => return Err("there is no key to seal it".into()),
            (Sealing::With(key), Side::Client) => (key, Sealer::Client),
            (Sealing::With(key), Side::Server) => (key, Sealer::Server),
        };
        let id = head.target.as_deref().or(head.source.as_deref()).unwrap_or_default();
        let data = key.seal(sealer, id, &wire.media_type, &wire.data).map_err(|error| error.to_string())?;
        Ok(Wire { media_type: seal::MEDIA_TYPE.into(), data })
    }

    /// Whether the peer takes no object of so many octets, or has no room for it.
    fn is_too_large(&self, index: usize, has_it: bool, size: u64) -> bool {
        let room = self.core.stores.get(index).and_then(|store| store.free).filter(|_| !has_it);
        self.ex.peer_max_obj_size().is_some_and(|max| size > max) || room.is_some_and(|(mem, _)| size > mem)
    }

    /// Why a new item of so many octets has no room at the peer.
    // spec: session facts section 4, Sync/Meta/Mem
    fn no_room(&self, index: usize, size: u64) -> Option<String> {
        let store = self.core.stores.get(index)?;
        match store.free {
            _ if store.full => Some("the peer is full".into()),
            Some((_, 0)) => Some("the peer takes no more items".into()),
            Some((mem, _)) if mem < size => Some(format!("{size} octets, the peer has room for {mem}")),
            _ => None,
        }
    }

    fn object(&mut self, index: usize, kind: Kind, head: ObjectHead, data: &Bytes, tag: Vec<u8>) -> Went {
        let Some(store) = self.core.stores.get(index) else { return Went::Skipped };
        match self.ex.send_object(kind.cmd(), head, data, (&store.theirs, &store.ours), tag) {
            Ok(ObjectProgress::Started) => {
                // law 5: it is spooled in wire form, so it may change or vanish meanwhile
                let token = self.core.token.clone();
                let data = data.clone();
                self.core.batch.push(Write::Spool { token, direction: Direction::Out, offset: 0, data });
                Went::Started
            }
            Ok(_) => Went::Sent,
            Err(_) => Went::Full,
        }
    }

    /// The ids of an item on the wire, and what the map remembers of the offer.
    fn address(
        &mut self,
        index: usize,
        item: &Item,
        entry: Option<&Entry>,
        kind: Kind,
        caps: &Caps,
    ) -> Result<Option<(ObjectHead, Vec<idmap::Record>)>, Missing> {
        let mut head = ObjectHead::default();
        let mut records = Vec::new();
        let folders = self.ex.version() >= Version::V1_2 || caps.folders;
        let parent = item.value.parent.as_ref().filter(|_| folders);
        let Some(lookup) = self.core.lookups.get_mut(index) else { return Ok(None) };
        if self.core.side == Side::Client {
            head.source = Some(item.guid.as_str().into());
            head.source_parent = parent.map(|parent| parent.as_str().into());
            return Ok(Some((head, records)));
        }
        if let Some(parent) = parent {
            match lookup.by_guid(&mut self.core.reader, parent)? {
                Some(entry) => match entry.luid() {
                    Some(luid) => head.target_parent = Some(luid.as_str().into()),
                    None => head.source_parent = Some(entry.wire_id().into()),
                },
                None => head.source_parent = Some(parent.as_str().into()),
            }
        }
        match (kind, entry.and_then(Entry::luid)) {
            (Kind::Replace, Some(luid)) => head.target = Some(luid.as_str().into()),
            _ => {
                let max = caps.max_guid_size.map(|size| size as usize);
                let unique = self.core.ids.unique();
                let seen = entry.map_or(0, |entry| entry.seen_rev);
                let generation = lookup.generation;
                match idmap::offer(lookup.view(), generation, &item.guid, max, unique, seen, 0) {
                    Ok((wire, offered)) => {
                        head.source = Some(wire.as_str(&item.guid).into());
                        records = offered;
                    }
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(Some((head, records)))
    }
}

fn tag(index: usize, item: &Item, kind: Kind) -> Vec<u8> {
    let store = u8::try_from(index).unwrap_or(u8::MAX);
    Tag::Item { store, guid: item.guid.clone(), rev: item.rev, kind }.to_bytes()
}
