//! The datastore `./policy`: one object of a user that says which of the user's devices gets what mail.
//!
//! The object is `pushpolicy`'s stored policy as JSON (`revision`, `writer`, `written_at`, `policy`); what it means, and
//! whether one may follow another, a function of the host's says: the same for devices, for the server's command line and
//! for whatever else sets it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::sync::StoreConfig;
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, match_key,
};
use crate::sync::event::ConflictRule;
use crate::sync::store::{Cursor, Item, ItemValue, PeerKey, Read, StoreKey, Value, Write};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;
use std::sync::Arc;
use syncml::{CtType, DataStore, StatusCode, SyncCap, Version};

/// The datastore's name.
pub const DATASTORE: &str = "policy";
/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.policy+json";
/// `VerCT`.
pub const VERSION: &str = "1.0";
/// Octets of the object, at most.
const OCTETS: usize = 1 << 20;

/// Says what is kept when an object comes while another, or none, is in force; or in words why it may not follow. The time
/// is in seconds since 1970.
pub type Judge = dyn Fn(Option<&[u8]>, &[u8], u64) -> Result<Bytes, String> + Send + Sync;

/// A user's policy. The object is kept in the item's `fields`, so that it is read with its row.
#[derive(Clone)]
pub struct PolicyCollection {
    judge: Arc<Judge>,
}

impl core::fmt::Debug for PolicyCollection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PolicyCollection")
    }
}

/// The datastore. Of two devices that set it at once the second loses and gets what the first set.
// mission: P5
pub fn store(judge: Arc<Judge>) -> StoreConfig {
    let mut store = StoreConfig::new(DATASTORE, Arc::new(PolicyCollection { judge }));
    store.conflict = ConflictRule::ServerWins;
    store
}

/// The policy in force.
///
/// # Errors
/// [`Missing`]: rows were asked for.
pub fn current(reader: &mut Reader<'_>, user: &str) -> Result<Option<Bytes>, Missing> {
    Ok(row(reader, user)?.map(|item| item.value.fields))
}

/// Sets it, beside whatever sets it by a session: `object` is what the judge made of it.
///
/// # Errors
/// [`Missing`]: rows were asked for.
// mission: P5
pub fn put(reader: &mut Reader<'_>, user: &str, object: Bytes) -> Result<Write, Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    let (guid, expect) = match row(reader, user)? {
        Some(item) => (item.guid, Some(item.rev)),
        None => {
            let guid = Guid::unvalidated("policy");
            let gone = reader.read(Read::Item(store.clone(), guid.clone()))?;
            let expect = if let Value::Item(Some(item)) = gone { Some(item.rev) } else { None };
            (guid, expect)
        }
    };
    Ok(Write::PutItem { store, guid, expect, value: value(object), body: None })
}

fn row(reader: &mut Reader<'_>, user: &str) -> Result<Option<Item>, Missing> {
    let store = StoreKey { user: user.into(), datastore: DATASTORE.into() };
    // Of what is not deleted; what a device holds of it does not matter.
    let peer = PeerKey { store, device: "".into() };
    let Value::Rows(rows) = reader.read(Read::Live(peer, 0, Cursor::default(), 1))? else { return Ok(None) };
    Ok(rows.first().map(|row| row.item.clone()))
}

fn value(object: Bytes) -> ItemValue {
    ItemValue {
        rank: 0,
        parent: None,
        kind: MEDIA_TYPE.into(),
        fields: object,
        match_keys: vec![match_key(&[b"policy"])],
    }
}

impl Collection for PolicyCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        let own = CtType::new(MEDIA_TYPE, VERSION);
        let mut store = DataStore::default();
        store.source_ref = source_ref.into();
        store.display_name = Some("Policy".into());
        store.max_guid_size = Some(64);
        store.rx_pref = Some(own.clone());
        store.tx_pref = Some(own);
        store.sync_cap = SyncCap { sync_types: (1..=7).collect() };
        store
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        false
    }

    fn project(&self, projection: &Projection<'_>, _body: Option<&Bytes>) -> Result<Wire, Refusal> {
        Ok(Wire { media_type: MEDIA_TYPE.into(), data: projection.item.value.fields.clone() })
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no policy".into()));
        }
        if incoming.data.len() > OCTETS {
            return Err(Stop::Refuse(StatusCode::TOO_LARGE, "too large for a policy".into()));
        }
        // The client keeps what the server sends.
        if !incoming.server {
            return Ok(Absorbed::new(value(incoming.data.clone())));
        }
        let refused = |why: String| Stop::Refuse(StatusCode::COMMAND_FAILED, why);
        let store = cx.store.clone();
        let peer = PeerKey { store: store.clone(), device: "".into() };
        let Value::Rows(rows) = cx.read(Read::Live(peer, 0, Cursor::default(), 1))? else {
            return Err(refused("no policies are kept".into()));
        };
        let inforce = rows.first().map(|row| row.item.clone());
        let before = inforce.as_ref().map(|item| &item.value.fields);
        if before == Some(incoming.data) {
            let mut same = Absorbed::new(value(incoming.data.clone()));
            same.same_as = inforce.map(|item| item.guid).filter(|guid| guid != incoming.guid);
            return Ok(same);
        }
        let object = (self.judge)(before.map(|object| &**object), incoming.data, cx.now).map_err(refused)?;
        let mut absorbed = Absorbed::new(value(object));
        // One object a user: who adds it when there is one changes that.
        if let Some(item) = inforce.filter(|item| item.guid != *incoming.guid) {
            absorbed.effects.push(Write::PutItem {
                store,
                guid: item.guid.clone(),
                expect: Some(item.rev),
                value: absorbed.value.clone(),
                body: None,
            });
            absorbed.same_as = Some(item.guid);
        }
        Ok(absorbed)
    }
}
