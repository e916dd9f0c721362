//! Plain items: notes, and any type whose objects are stored as they came.

use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described, match_key,
};
use crate::sync::store::{Item, ItemValue, MatchKey};
use bytes::Bytes;
use syncml::{CtCap, CtType, DataStore, FilterCap, Property, StatusCode, Version};

/// Items that are one object of one media type each.
///
/// The body is stored octet for octet. In a slow sync two items are the same if their text is the same, blanks at
/// the end of lines and of the text aside: peers add and drop line ends.
///
/// ```
/// use mailsync_proto::plain::PlainCollection;
/// use mailsync_proto::sync::collection::Collection;
/// let notes = PlainCollection::notes();
/// assert_eq!(&*notes.devinf("./notes", syncml::Version::V1_2).rx_pref.unwrap().ct_type, "text/plain");
/// ```
#[derive(Clone, Debug)]
pub struct PlainCollection {
    name: Box<str>,
    types: Vec<CtType>,
    property: Option<Box<str>>,
    deletion_wins: bool,
}

impl PlainCollection {
    /// `text/plain` notes.
    pub fn notes() -> Self {
        PlainCollection::new("Notes", vec![CtType::new("text/plain", "1.0")]).with_property("body")
    }

    /// Items of these types, the preferred one first.
    pub fn new(name: &str, types: Vec<CtType>) -> Self {
        PlainCollection { name: name.into(), types, property: None, deletion_wins: false }
    }

    /// A deletion on one side beats a change on the other, or not (the rule).
    #[must_use]
    pub fn with_deletion_wins(self, deletion_wins: bool) -> Self {
        PlainCollection { deletion_wins, ..self }
    }

    /// The single property that its DevInf names.
    #[must_use]
    pub fn with_property(self, name: &str) -> Self {
        PlainCollection { property: Some(name.into()), ..self }
    }

    fn known(&self, media_type: &str) -> Option<&str> {
        self.types.iter().map(|t| &*t.ct_type).find(|t| t.eq_ignore_ascii_case(media_type))
    }
}

impl Collection for PlainCollection {
    fn devinf(&self, source_ref: &str, version: Version) -> DataStore {
        let mut store = described(source_ref, &self.name, &self.types);
        if version == Version::V1_2
            && let Some(name) = &self.property
        {
            store.filter_rx = vec![CtType::new(crate::sync::filter::GRAMMAR, "1.0")];
            store.filter_caps =
                self.types.first().cloned().into_iter().map(|ct_type| cap(ct_type, name)).collect();
            store.ct_caps = self
                .types
                .iter()
                .map(|ct_type| {
                    let mut property = Property::default();
                    property.prop_name = name.clone();
                    property.data_type = Some("chr".into());
                    let mut cap = CtCap::default();
                    cap.ct_type = ct_type.clone();
                    cap.properties = vec![property];
                    cap
                })
                .collect();
        }
        store
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let kind = &projection.item.value.kind;
        let takes = |a: &str| a.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind);
        // No conversion yet: a vCard 2.1 peer does not get a vCard 3.0.
        if !projection.accepts.is_empty() && !projection.accepts.iter().any(|a| takes(a) || takes("*/*")) {
            return Err(Refusal { reason: format!("the peer does not take {kind}") });
        }
        match body {
            Some(body) => Ok(Wire { media_type: kind.clone(), data: body.clone() }),
            None => Err(Refusal { reason: "its body is not here".into() }),
        }
    }

    fn delete_beats_edit(&self) -> bool {
        self.deletion_wins
    }

    fn has_property(&self, name: &str) -> bool {
        self.property.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    fn property(&self, _item: &Item, body: Option<&Bytes>, name: &str) -> Vec<String> {
        let text = body.filter(|_| self.has_property(name));
        text.map(|text| String::from_utf8_lossy(text).into_owned()).into_iter().collect()
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        let kind = match (incoming.media_type, self.types.first()) {
            ("", Some(first)) => &*first.ct_type,
            (named, _) => self.known(named).ok_or_else(|| {
                let named: String = named.chars().take(80).collect();
                Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, format!("{named:?} is no type of {}", self.name))
            })?,
        };
        let mut absorbed =
            Absorbed::new(ItemValue { parent: incoming.parent.cloned(), ..plain_value(kind, incoming.data) });
        absorbed.body = Some(incoming.data.clone());
        if let Some(item) = incoming.existing
            && item.value.match_keys == absorbed.value.match_keys
            && *item.value.kind == *kind
            && cx.body(&item.guid)?.is_some_and(|ours| canonical(&ours) == canonical(incoming.data))
        {
            // quirk: SyncEvolution adds a line end: that is no change of the text.
            absorbed.body = None;
        }
        Ok(absorbed)
    }
}

fn cap(ct_type: CtType, name: &str) -> FilterCap {
    FilterCap { ct_type, filter_keywords: Vec::new(), prop_names: vec![name.into()] }
}

/// The item of a text.
pub fn plain_value(kind: &str, text: &[u8]) -> ItemValue {
    ItemValue { kind: kind.into(), match_keys: vec![text_key(text)], ..ItemValue::default() }
}

/// The key of a text, blanks at the end of lines and of the text aside.
pub fn text_key(text: &[u8]) -> MatchKey {
    match_key(&[b"text", &canonical(text)])
}

fn canonical(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.trim_ascii_end().split(|&b| b == b'\n') {
        out.extend_from_slice(line.trim_ascii_end());
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::store::{Found, Item, StoreKey, Value};
    use crate::sync::turn::Reader;
    use idmap::Guid;

    fn absorb(media_type: &str, data: &[u8], existing: Option<(&Item, &[u8])>) -> Result<Absorbed, Stop> {
        let store = StoreKey { user: "ann".into(), datastore: "notes".into() };
        let guid = Guid::unvalidated("g1");
        let mut found = Found::default();
        if let Some((item, body)) = existing {
            let read = crate::sync::store::Read::Body(store.clone(), item.guid.clone());
            found.insert(read, Value::Body(Some(Bytes::copy_from_slice(body))));
        }
        let mut reader = Reader::new(&found);
        let mut cx = Context::new(&store, "ann", 0, &mut reader);
        let data = Bytes::copy_from_slice(data);
        let incoming = Incoming {
            media_type,
            data: &data,
            parent: None,
            existing: existing.map(|(item, _)| item),
            guid: &guid,
            server: true,
            peer_id: None,
        };
        PlainCollection::notes().absorb(&mut cx, &incoming)
    }

    #[test]
    fn kept_as_sent_matched_by_text() {
        let one = absorb("text/plain", b"a \r\nb\r\n\r\n", None).unwrap();
        assert_eq!(one.body.as_deref(), Some(&b"a \r\nb\r\n\r\n"[..]));
        let same = absorb("", b"a\nb", None).unwrap();
        assert_eq!(one.value.match_keys, same.value.match_keys);
        for other in [&b" a\nb"[..], b"a\n\nb", b"ab", b""] {
            assert_ne!(one.value.match_keys, absorb("text/plain", other, None).unwrap().value.match_keys);
        }
    }

    #[test]
    fn a_line_end_more_is_no_change() {
        let value = absorb("text/plain", b"a\nb", None).unwrap().value;
        let item =
            Item { guid: Guid::unvalidated("g1"), rev: 1, body_rev: 1, deleted: false, value, size: 3 };
        assert_eq!(absorb("text/plain", b"a\nb\n", Some((&item, b"a\nb"))).unwrap().body, None);
        let changed = absorb("text/plain", b"a\nc", Some((&item, b"a\nb"))).unwrap();
        assert_eq!(changed.body.as_deref(), Some(&b"a\nc"[..]));
    }

    #[test]
    fn other_types_are_refused() {
        let Err(Stop::Refuse(status, _)) = absorb("text/x-vcard", b"", None) else { panic!("taken") };
        assert_eq!(status, StatusCode::UNSUPPORTED_TYPE);
    }
}
