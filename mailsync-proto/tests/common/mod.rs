//! One user's mail in memory, to call a collection with.
#![allow(dead_code, clippy::new_without_default)]

use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::{KIND_MAIL, RANK_MAIL, mail_keys};
use mailsync_proto::mail::{MailCollection, MailFields, Role};
use mailsync_proto::sync::collection::{Absorbed, Collection, Context, Incoming, Projection, Stop};
use mailsync_proto::sync::store::{Found, Item, ItemValue, Read, StoreKey, Value, Write};
use mailsync_proto::sync::turn::{Missing, Reader};
use std::collections::HashMap;

pub(crate) struct Mailbox {
    pub(crate) collection: MailCollection,
    pub(crate) server: bool,
    pub(crate) now: u64,
    pub(crate) key: StoreKey,
    pub(crate) items: HashMap<String, Item>,
    pub(crate) bodies: HashMap<String, Bytes>,
    pub(crate) once: HashMap<String, Guid>,
    pub(crate) pending: Vec<Write>,
}

pub(crate) fn item(id: &str, value: ItemValue) -> Item {
    Item { guid: id.parse().unwrap(), rev: 1, body_rev: 1, deleted: false, value, size: 0 }
}

impl Mailbox {
    pub(crate) fn server() -> Self {
        Mailbox {
            collection: MailCollection::new("a.example"),
            server: true,
            now: 1_186_444_800,
            key: StoreKey { user: "ann".into(), datastore: "mail".into() },
            items: HashMap::new(),
            bodies: HashMap::new(),
            once: HashMap::new(),
            pending: Vec::new(),
        }
    }

    pub(crate) fn client() -> Self {
        Mailbox { server: false, ..Mailbox::server() }
    }

    pub(crate) fn put(&mut self, id: &str, role: Role, message: &str) -> Item {
        let mut fields = MailFields::default();
        fields.modified = Some(self.now);
        let item = item(
            id,
            ItemValue {
                rank: RANK_MAIL,
                parent: Some(role.guid()),
                kind: KIND_MAIL.into(),
                fields: fields.to_fields(),
                match_keys: mail_keys(Some(&role.guid()), message.as_bytes()),
            },
        );
        self.items.insert(id.into(), item.clone());
        self.bodies.insert(id.into(), Bytes::copy_from_slice(message.as_bytes()));
        item
    }

    pub(crate) fn commit(&mut self, absorbed: &Absorbed, id: &str) -> Item {
        for write in &absorbed.effects {
            if let Write::Once(_, key, guid) = write {
                assert!(self.once.insert(key.to_string(), guid.clone()).is_none());
            }
        }
        if let Some(body) = &absorbed.body {
            self.bodies.insert(id.into(), body.clone());
        }
        let item = item(id, absorbed.value.clone());
        self.items.insert(id.into(), item.clone());
        item
    }

    pub(crate) fn absorb(
        &mut self,
        media_type: &str,
        data: &str,
        parent: Option<Role>,
        existing: Option<&Item>,
        id: &str,
    ) -> Result<Absorbed, Stop> {
        self.absorb_bytes(media_type, &Bytes::copy_from_slice(data.as_bytes()), parent, existing, id)
    }

    pub(crate) fn absorb_bytes(
        &mut self,
        media_type: &str,
        data: &Bytes,
        parent: Option<Role>,
        existing: Option<&Item>,
        id: &str,
    ) -> Result<Absorbed, Stop> {
        let mut found = Found::default();
        let guid: Guid = id.parse().unwrap();
        let parent = parent.map(Role::guid);
        for _ in 0..8 {
            let mut reader = Reader::new(&found);
            let mut cx = Context::new(&self.key, "ann", self.now, &mut reader).with_pending(&self.pending);
            let incoming = Incoming::new(media_type, data, &guid, self.server)
                .with_parent(parent.as_ref())
                .with_existing(existing);
            match self.collection.absorb(&mut cx, &incoming) {
                Err(Stop::Missing(_)) => {
                    let missed = reader.missed();
                    self.answer(&mut found, missed);
                }
                done => return done,
            }
        }
        panic!("still missing")
    }

    pub(crate) fn removed(&self, item: &Item, server: bool) -> Result<Vec<Write>, Stop> {
        let found = Found::default();
        let mut reader = Reader::new(&found);
        let mut cx = Context::new(&self.key, "ann", self.now, &mut reader);
        self.collection.removed(&mut cx, item, server)
    }

    pub(crate) fn run<T>(&self, f: impl Fn(&mut Reader<'_>) -> Result<T, Missing>) -> T {
        let mut found = Found::default();
        for _ in 0..8 {
            let mut reader = Reader::new(&found);
            match f(&mut reader) {
                Ok(done) => return done,
                Err(Missing) => {
                    let missed = reader.missed();
                    self.answer(&mut found, missed);
                }
            }
        }
        panic!("still missing")
    }

    pub(crate) fn project(
        &self,
        item: &Item,
        fields_only: bool,
        accepts: &[&str],
        body: Option<&str>,
    ) -> String {
        let body = body.map(|b| Bytes::copy_from_slice(b.as_bytes()));
        let wire = self.project_bytes(item, fields_only, accepts, body.as_ref());
        String::from_utf8(wire.to_vec()).unwrap()
    }

    pub(crate) fn project_bytes(
        &self,
        item: &Item,
        fields_only: bool,
        accepts: &[&str],
        body: Option<&Bytes>,
    ) -> Bytes {
        let accepts: Vec<Box<str>> = accepts.iter().map(|a| (*a).into()).collect();
        let projection =
            Projection::new(item, fields_only, &accepts, syncml::Version::V1_2, syncml::Encoding::Xml);
        let body = if self.collection.needs_body(&projection) { body } else { None };
        self.collection.project(&projection, body).unwrap().data
    }

    fn answer(&self, found: &mut Found, reads: Vec<Read>) {
        assert!(!reads.is_empty(), "missing without a read");
        for read in reads {
            let value = match &read {
                Read::Item(_, guid) => Value::Item(self.items.get(guid.as_str()).cloned()),
                Read::Body(_, guid) => Value::Body(self.bodies.get(guid.as_str()).cloned()),
                Read::Once(_, key) => Value::Once(self.once.get(&**key).cloned()),
                other => panic!("{other:?}"),
            };
            found.insert(read, value);
        }
    }
}
