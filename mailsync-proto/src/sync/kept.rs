//! What was set aside ([`Write::Keep`], [`Write::KeepCopy`]) is put back.

use super::store::{Item, ItemValue, Read, StoreKey, Value, Write};
use super::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;

/// Puts an item back as it was: under its id where that is free, else, when a state of it lost a conflict, beside it under
/// `fresh`. Where its container is gone, it goes into `instead`. Devices get it with their next sync.
///
/// # Errors
/// [`Missing`]: run it again with the rows that it asked for.
///
/// ```
/// use mailsync_proto::sync::kept::restore;
/// use mailsync_proto::sync::store::{Found, ItemValue, Read, StoreKey, Value};
/// use mailsync_proto::sync::turn::Reader;
/// use idmap::Guid;
/// let key = StoreKey { user: "ann".into(), datastore: "notes".into() };
/// let guid = Guid::unvalidated("a");
/// let mut found = Found::default();
/// found.insert(Read::Item(key.clone(), guid.clone()), Value::Item(None));
/// let state = (ItemValue::default(), "text".into());
/// let (back, writes) =
///     restore(&mut Reader::new(&found), &key, &guid, state, &Guid::unvalidated("b"), None).unwrap();
/// assert_eq!((back, writes.len()), (guid, 1));
/// ```
pub fn restore(
    reader: &mut Reader<'_>,
    key: &StoreKey,
    guid: &Guid,
    (mut value, body): (ItemValue, Bytes),
    fresh: &Guid,
    instead: Option<&Guid>,
) -> Result<(Guid, Vec<Write>), Missing> {
    let now = item(reader, key, guid);
    let parent = match &value.parent {
        Some(parent) => item(reader, key, parent)?.filter(|parent| !parent.deleted).map(|parent| parent.guid),
        None => None,
    };
    if value.parent.is_some() && parent.is_none() {
        value.parent = instead.cloned();
    }
    let (guid, expect) = match now? {
        Some(now) if now.deleted => (guid.clone(), Some(now.rev)),
        Some(_) => (fresh.clone(), None),
        None => (guid.clone(), None),
    };
    let write = Write::PutItem { store: key.clone(), guid: guid.clone(), expect, value, body: Some(body) };
    Ok((guid, vec![write]))
}

fn item(reader: &mut Reader<'_>, key: &StoreKey, guid: &Guid) -> Result<Option<Item>, Missing> {
    match reader.read(Read::Item(key.clone(), guid.clone()))? {
        Value::Item(item) => Ok(item.clone()),
        _ => Ok(None),
    }
}
