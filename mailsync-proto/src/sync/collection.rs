//! What the items of a datastore are: all that the sync engine does not know.

use super::filter::Filter;
use super::store::{Item, ItemValue, MatchKey, PeerKey, Read, Row, StoreKey, Value, Write};
use super::turn::{Missing, Reader};
use bytes::Bytes;
use core::cell::Cell;
use idmap::{Guid, Luid, Record};
use syncml::{CtType, DataStore, Encoding, Ext, Property, StatusCode, SyncCap, Version};

/// A kind of datastore: notes, contacts, ...
///
/// One object serves every session; it holds configuration, never state. The server and the client use the same
/// trait: what a server projects for a device, a client absorbs, and the other way round.
pub trait Collection: Send + core::marker::Sync {
    /// How DevInf describes it under this path.
    fn devinf(&self, source_ref: &str, version: Version) -> DataStore;

    /// Whether [`Collection::project`] wants the body of this item.
    fn needs_body(&self, projection: &Projection<'_>) -> bool;

    /// The wire form of an item for a peer, or why the peer cannot have it.
    fn project(&self, projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal>;

    /// Whether two states of an item look the same to a user, bodies aside.
    fn same_state(&self, a: &ItemValue, b: &ItemValue) -> bool {
        a.fields == b.fields && a.parent == b.parent
    }

    /// Both sides changed an item: what it is then. By default ours stays.
    fn merge(&self, both: &Both<'_>) -> ItemValue {
        both.ours.value.clone()
    }

    /// Whether a deletion on one side beats a change on the other; by default the change wins.
    fn delete_beats_edit(&self) -> bool {
        false
    }

    /// Both sides changed the body of an item and are to be merged: what it is then; none when that cannot be.
    fn merge_bodies(
        &self,
        ours: (&ItemValue, &Bytes),
        theirs: (&ItemValue, &Bytes),
    ) -> Option<(ItemValue, Bytes)> {
        let _ = (ours, theirs);
        None
    }

    /// Whether its items may be of this media type.
    fn has_type(&self, media_type: &str) -> bool {
        let described = self.devinf("", Version::V1_2);
        let mut types = described.rx_pref.iter().chain(&described.rx).chain(&described.tx);
        types.any(|known| known.ct_type.eq_ignore_ascii_case(media_type.trim()))
    }

    /// Whether filters may name this property. Without any, filters of records are refused.
    fn has_property(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// What an item has of a property that filters may name.
    fn property(&self, item: &Item, body: Option<&Bytes>, name: &str) -> Vec<String> {
        let _ = (item, body, name);
        Vec::new()
    }

    /// Whether [`Collection::property`] wants the body for this one.
    fn property_needs_body(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Whether filters of records are about this item. What contains others is there for them; it does not fall out.
    fn is_filtered(&self, value: &ItemValue) -> bool {
        !self.is_container(value)
    }

    /// Whether an item of which only fields came (`Meta/FieldLevel`) keeps the others. Announced in its DevInf; otherwise
    /// such items are refused.
    fn takes_field_level(&self) -> bool {
        false
    }

    /// Whether [`Collection::project`] can keep to these properties.
    fn takes_fields(&self, fields: &[Property]) -> bool {
        let _ = fields;
        false
    }

    /// Whether these properties are of an item's state alone: who asks for no others gets the changes of what it holds,
    /// and nothing new.
    fn is_state(&self, fields: &[Property]) -> bool {
        let _ = fields;
        false
    }

    /// The properties that old options of a datastore's URI mean; none: everything.
    fn fields_of(&self, options: &super::filter::legacy::Options) -> Option<Vec<Property>> {
        let _ = options;
        None
    }

    /// Whether an item contains others: it goes before them, and is deleted after them.
    fn is_container(&self, value: &ItemValue) -> bool {
        let _ = value;
        false
    }

    /// Reads an item that a peer sent.
    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop>;

    /// The media type of the notices by which it tells peers that offer to take it what happened; none: there are none.
    fn notice_type(&self) -> Option<&str> {
        None
    }

    /// The notice of changes that a peer has not seen, all of them after revision `since`; `max_id`: octets of the longest id that the peer takes.
    ///
    /// # Errors
    /// [`Missing`]: rows were asked for.
    fn notice(
        &self,
        reader: &mut Reader<'_>,
        store: &StoreKey,
        (since, rows): (u64, &[Row]),
        max_id: Option<u32>,
    ) -> Result<Option<Bytes>, Missing> {
        let _ = (reader, store, since, rows, max_id);
        Ok(None)
    }

    /// What a device is to get of what it asks for, by what its DevInf says of its datastore: sizes, memory, properties.
    fn within(&self, asked: Option<Filter>, theirs: &DataStore) -> Option<Filter> {
        let _ = theirs;
        asked
    }

    /// The properties that a peer gets of an item that is too large for it as a whole; none: nothing of it.
    fn least(&self) -> Option<Vec<Property>> {
        None
    }

    /// What a device is to get, where something is stored of it beside what it asks for; in words, what was overruled.
    fn agreed(
        &self,
        cx: &mut Context<'_, '_>,
        device: &str,
        asked: Option<Filter>,
    ) -> Result<(Option<Filter>, Option<String>), Missing> {
        let _ = (cx, device);
        Ok((asked, None))
    }

    /// A command of its own (`Exec` of `./NAME/command/COMMAND`): the new item that it makes, in no device yet; none where
    /// there is no such command.
    fn command(
        &self,
        cx: &mut Context<'_, '_>,
        command: &str,
        incoming: &Incoming<'_>,
    ) -> Result<Option<Absorbed>, Stop> {
        let _ = (cx, command, incoming);
        Ok(None)
    }

    /// What it can beside the standard, for the extensions of a DevInf.
    fn extensions(&self) -> Vec<Ext> {
        Vec::new()
    }

    /// A peer deletes an item: the effects beside that, for instance the end of a job, or a refusal.
    fn removed(&self, cx: &mut Context<'_, '_>, item: &Item, server: bool) -> Result<Vec<Write>, Stop> {
        let _ = (cx, item, server);
        Ok(Vec::new())
    }
}

/// An item that both sides changed, bodies aside.
#[derive(Clone, Copy, Debug)]
pub struct Both<'a> {
    /// Our row.
    pub ours: &'a Item,
    /// What the peer made of it.
    pub theirs: &'a ItemValue,
    /// The revision of ours that the peer is known to have had; none in a slow sync.
    pub seen: Option<u64>,
    /// This side is the server.
    pub server: bool,
}

/// How DevInf describes a datastore that takes and gives items of these types, the preferred one first.
pub(crate) fn described(source_ref: &str, name: &str, types: &[CtType]) -> DataStore {
    let mut store = DataStore::default();
    store.source_ref = source_ref.into();
    store.display_name = Some(name.into());
    store.max_guid_size = Some(u32::try_from(Guid::MAX_LEN).unwrap_or(64));
    store.rx_pref = types.first().cloned();
    store.rx = types.iter().skip(1).cloned().collect();
    store.tx_pref = store.rx_pref.clone();
    store.tx = store.rx.clone();
    store.sync_cap = SyncCap { sync_types: (1..=7).collect() };
    store
}

/// An item on its way to a peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Projection<'a> {
    /// The item.
    pub item: &'a Item,
    /// Only its fields changed since the peer saw it.
    pub fields_only: bool,
    /// The peer's preferred media type and the others it takes; empty when it never said.
    pub accepts: &'a [Box<str>],
    /// Version of the session.
    pub version: Version,
    /// Spelling of the session.
    pub encoding: Encoding,
    /// The properties that the peer wants only; none: everything.
    pub fields: Option<&'a [Property]>,
    /// These are not what it wants, but all that it can take ([`Collection::least`]).
    pub reduced: bool,
    /// The device that it goes to; none on a client.
    pub device: Option<&'a str>,
    /// The peer knows our extensions.
    pub extended: bool,
}

impl<'a> Projection<'a> {
    /// An item on its way.
    pub fn new(
        item: &'a Item,
        fields_only: bool,
        accepts: &'a [Box<str>],
        version: Version,
        encoding: Encoding,
    ) -> Self {
        Projection {
            item,
            fields_only,
            accepts,
            version,
            encoding,
            fields: None,
            reduced: false,
            device: None,
            extended: false,
        }
    }

    /// Of which the peer wants these properties only.
    #[must_use]
    pub fn with_fields(self, fields: Option<&'a [Property]>) -> Self {
        Projection { fields, ..self }
    }

    /// Of which the peer can take these properties only.
    #[must_use]
    pub fn reduced_to(self, fields: &'a [Property]) -> Self {
        Projection { fields: Some(fields), reduced: true, ..self }
    }

    /// To this device.
    #[must_use]
    pub fn to_device(self, device: Option<&'a str>) -> Self {
        Projection { device, ..self }
    }

    /// For a peer that knows our extensions, or not.
    #[must_use]
    pub fn with_extended(self, extended: bool) -> Self {
        Projection { extended, ..self }
    }
}

/// An item as it is written into `Data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// `Meta/Type`.
    pub media_type: Box<str>,
    /// The octets. The engine turns them into base64 where the spelling cannot carry them.
    pub data: Bytes,
}

/// An item that a peer sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming<'a> {
    /// `Meta/Type`, lower case, without parameters; empty when none was given.
    pub media_type: &'a str,
    /// The octets, base64 undone.
    pub data: &'a Bytes,
    /// The folder it is put in, if the peer said so.
    pub parent: Option<&'a Guid>,
    /// What it replaces.
    pub existing: Option<&'a Item>,
    /// The id it has or will have in this store.
    pub guid: &'a Guid,
    /// Whether this side is the server: only there does an item in the outbox get sent.
    pub server: bool,
    /// How the peer calls it.
    pub peer_id: Option<&'a str>,
}

impl<'a> Incoming<'a> {
    /// An item that came, new and in no folder.
    pub fn new(media_type: &'a str, data: &'a Bytes, guid: &'a Guid, server: bool) -> Self {
        Incoming { media_type, data, parent: None, existing: None, guid, server, peer_id: None }
    }

    /// In this folder.
    #[must_use]
    pub fn with_parent(self, parent: Option<&'a Guid>) -> Self {
        Incoming { parent, ..self }
    }

    /// Which the peer calls so.
    #[must_use]
    pub fn with_peer_id(self, peer_id: Option<&'a str>) -> Self {
        Incoming { peer_id, ..self }
    }

    /// In place of this item.
    #[must_use]
    pub fn with_existing(self, existing: Option<&'a Item>) -> Self {
        Incoming { existing, ..self }
    }
}

/// What an incoming item means for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absorbed {
    /// Its new state.
    pub value: ItemValue,
    /// Its new body; none leaves the body as it is.
    pub body: Option<Bytes>,
    /// Effects beside the item, for instance a job that sends it.
    pub effects: Vec<Write>,
    /// An item that is this one under another id (sent before, singular by nature): bind to it, add nothing.
    /// The peer may hold it in another state, so it is to be told that item's state.
    pub same_as: Option<Guid>,
    /// Unless its match keys find an item of ours, it is refused with this: a slow sync names again what a peer may
    /// not add.
    pub unless_matched: Option<(StatusCode, String)>,
    /// It was not taken quite as it came: the peer is told what became of it.
    pub tell_back: bool,
}

impl Absorbed {
    /// A new state and nothing else.
    pub fn new(value: ItemValue) -> Self {
        Absorbed {
            value,
            body: None,
            effects: Vec::new(),
            same_as: None,
            unless_matched: None,
            tell_back: false,
        }
    }
}

/// Why a peer cannot have an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In words, for an event.
    pub reason: String,
}

/// Why an incoming item was not absorbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Rows are missing; they were asked for.
    Missing(Missing),
    /// It is refused with this status.
    Refuse(StatusCode, String),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Stop::Missing(missing)
    }
}

/// What a collection may ask while it absorbs.
#[derive(Debug)]
pub struct Context<'a, 'f> {
    /// Whose store.
    pub store: &'a StoreKey,
    /// The user who is logged in.
    pub user: &'a str,
    /// The device that it comes from; empty where nobody says.
    pub device: &'a str,
    /// Now, seconds since 1970.
    pub now: u64,
    pending: &'a [Write],
    /// Whose numbers an item may name, in which map generation.
    peer: Option<(PeerKey, u32)>,
    allowance: Option<&'a Cell<u64>>,
    reader: &'a mut Reader<'f>,
}

impl<'a, 'f> Context<'a, 'f> {
    /// A context over what was found.
    pub fn new(store: &'a StoreKey, user: &'a str, now: u64, reader: &'a mut Reader<'f>) -> Self {
        Context { store, user, device: "", now, pending: &[], peer: None, allowance: None, reader }
    }

    /// From this device.
    #[must_use]
    pub fn of_device(self, device: &'a str) -> Self {
        Context { device, ..self }
    }

    /// With what the turn has decided so far: what happened once a command ago has happened.
    #[must_use]
    pub fn with_pending(self, pending: &'a [Write]) -> Self {
        Context { pending, ..self }
    }

    /// An item may name others by the numbers of this peer.
    #[must_use]
    pub fn with_peer(self, peer: PeerKey, generation: u32) -> Self {
        Context { peer: Some((peer, generation)), ..self }
    }

    /// Octets of other items' bodies that may still be read, in all of a turn.
    #[must_use]
    pub fn with_allowance(self, allowance: &'a Cell<u64>) -> Self {
        Context { allowance: Some(allowance), ..self }
    }

    /// The item that the peer calls so.
    // threats: S5: the map is the user's and the device's
    pub fn by_number(&mut self, number: &str) -> Result<Option<Guid>, Missing> {
        let (Some((peer, generation)), Ok(luid)) = (&self.peer, Luid::try_from(number)) else {
            return Ok(None);
        };
        let mut gone = Vec::new();
        for write in self.pending.iter().rev() {
            match write {
                Write::Map(of, Record::Put(entry), _)
                    if of == peer && entry.generation == *generation && entry.luid() == Some(&luid) =>
                {
                    return Ok(Some(entry.guid.clone()));
                }
                Write::Map(of, Record::Remove { guid, .. }, _) if of == peer => gone.push(guid),
                _ => {}
            }
        }
        let Value::Entry(entry) = self.reader.read(Read::ByLuid(peer.clone(), *generation, luid))? else {
            return Ok(None);
        };
        Ok(entry.as_ref().map(|entry| &entry.guid).filter(|guid| !gone.contains(guid)).cloned())
    }

    /// An item of the same store with this match key that the peer has no number for yet.
    pub fn unmapped(&mut self, key: MatchKey) -> Result<Option<Guid>, Missing> {
        let Some((peer, generation)) = self.peer.clone() else { return Ok(None) };
        let read = Read::Matches { peer, generation, key, after: None, limit: 1 };
        Ok(match self.reader.read(read)? {
            Value::Items(items) => items.first().map(|item| item.guid.clone()),
            _ => None,
        })
    }

    /// Takes octets from what may still be read; false where that is used up.
    // threats: L2: a small command must not make many large bodies be read
    pub fn spend(&self, octets: u64) -> bool {
        let Some(allowance) = self.allowance else { return true };
        match allowance.get().checked_sub(octets) {
            Some(left) => {
                allowance.set(left);
                true
            }
            None => false,
        }
    }

    /// A row, or [`Missing`]: then the turn runs again with it.
    pub fn read(&mut self, read: Read) -> Result<&'f Value, Missing> {
        self.reader.read(read)
    }

    /// What happened under a key that allows it once, in this turn or before.
    pub fn once(&mut self, key: &str) -> Result<Option<Guid>, Missing> {
        let now = self.pending.iter().find_map(|write| match write {
            Write::Once(user, done, guid) if **user == *self.user && **done == *key => Some(guid.clone()),
            _ => None,
        });
        match now {
            Some(guid) => Ok(Some(guid)),
            None => match self.reader.read(Read::Once(self.user.into(), key.into()))? {
                Value::Once(guid) => Ok(guid.clone()),
                _ => Ok(None),
            },
        }
    }

    /// An item of the same store.
    pub fn item(&mut self, guid: &Guid) -> Result<Option<Item>, Missing> {
        match self.reader.read(Read::Item(self.store.clone(), guid.clone()))? {
            Value::Item(item) => Ok(item.clone()),
            _ => Ok(None),
        }
    }

    /// Items of the same store that are in this one, at most so many.
    pub fn items_in(&mut self, parent: &Guid, most: u32) -> Result<Vec<Item>, Missing> {
        match self.reader.read(Read::Children(self.store.clone(), parent.clone(), most))? {
            Value::Items(items) => Ok(items.clone()),
            _ => Ok(Vec::new()),
        }
    }

    /// The rows, for what is read of other stores.
    pub fn reader(&mut self) -> &mut Reader<'f> {
        self.reader
    }

    /// The body of an item of the same store.
    pub fn body(&mut self, guid: &Guid) -> Result<Option<Bytes>, Missing> {
        match self.reader.read(Read::Body(self.store.clone(), guid.clone()))? {
            Value::Body(body) => Ok(body.clone()),
            _ => Ok(None),
        }
    }
}

/// A match key over parts, each with its length, so that no two lists of parts collide.
pub fn match_key(parts: &[&[u8]]) -> MatchKey {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut key = [0u8; 16];
    for (to, from) in key.iter_mut().zip(digest) {
        *to = from;
    }
    MatchKey(key)
}
