//! A small value of the server's own, kept as one row of a datastore that no session sees.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::store::{ItemValue, Read, StoreKey, Value, Write};
use super::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;

/// The format of what is in a slot, its first octet.
const FORMAT: u8 = 1;

/// A place for one value, with what is in it.
///
/// An effect reads it, decides, and writes it in the same commit; a value that changed meanwhile makes the commit stale.
#[derive(Clone, Debug)]
pub struct Slot {
    store: StoreKey,
    name: Guid,
    row: Option<u64>,
    value: Option<Bytes>,
}

impl Slot {
    /// Reads the slot `name` of a user's hidden datastore.
    ///
    /// # Errors
    /// [`Missing`]: the row was asked for.
    pub fn read(reader: &mut Reader<'_>, user: &str, datastore: &str, name: &str) -> Result<Slot, Missing> {
        let store = StoreKey { user: user.into(), datastore: datastore.into() };
        let name = Guid::unvalidated(name);
        let Value::Item(item) = reader.read(Read::Item(store.clone(), name.clone()))? else {
            return Ok(Slot { store, name, row: None, value: None });
        };
        let row = item.as_ref().map(|item| item.rev);
        let fields = item.as_ref().filter(|item| !item.deleted).map(|item| &item.value.fields);
        let value = fields.filter(|fields| fields.first() == Some(&FORMAT)).map(|fields| fields.slice(1..));
        Ok(Slot { store, name, row, value })
    }

    /// What is in it; nothing where nothing is, or where a newer program wrote it.
    pub fn value(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// Writes another value.
    pub fn put(&self, value: &[u8]) -> Write {
        let mut fields = Vec::with_capacity(value.len().saturating_add(1));
        fields.push(FORMAT);
        fields.extend_from_slice(value);
        Write::PutItem {
            store: self.store.clone(),
            guid: self.name.clone(),
            expect: self.row,
            value: ItemValue { kind: "slot".into(), fields: fields.into(), ..ItemValue::default() },
            body: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::store::{Found, Item};

    fn slot(item: Option<Item>) -> Slot {
        let mut found = Found::default();
        let store = StoreKey { user: "u".into(), datastore: "d".into() };
        found.insert(Read::Item(store, Guid::unvalidated("a")), Value::Item(item));
        Slot::read(&mut Reader::new(&found), "u", "d", "a").unwrap()
    }

    fn item(fields: &'static [u8], deleted: bool) -> Item {
        let value = ItemValue { fields: Bytes::from_static(fields), ..ItemValue::default() };
        Item { guid: Guid::unvalidated("a"), rev: 7, body_rev: 0, deleted, value, size: 0 }
    }

    #[test]
    fn what_was_put_is_read_and_what_a_newer_program_put_is_not() {
        let empty = slot(None);
        assert!(empty.value().is_none());
        let Write::PutItem { expect: None, value, .. } = empty.put(b"{}") else { panic!() };
        assert_eq!(&*value.fields, b"\x01{}");
        let full = slot(Some(item(b"\x01{}", false)));
        assert_eq!(full.value().map(|value| &**value), Some(&b"{}"[..]));
        for (fields, deleted) in [(&b"\x02{}"[..], false), (b"", false), (b"\x01{}", true)] {
            let other = slot(Some(item(fields, deleted)));
            assert!(other.value().is_none());
            assert!(matches!(other.put(b""), Write::PutItem { expect: Some(7), .. }));
        }
    }
}
