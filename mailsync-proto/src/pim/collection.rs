//! The collection of a datastore of text objects.

use super::canon::Object;
use super::convert::{convert, format_of, with_uid};
use super::profile::{Format, Profile};
use crate::plain::text_key;
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described,
};
use crate::sync::store::ItemValue;
use bytes::Bytes;
use syncml::{DataStore, StatusCode, Version};

/// Contacts, tasks or a calendar.
///
/// ```
/// use mailsync_proto::pim::{PimCollection, Profile};
/// let contacts = PimCollection::new(Profile::Contacts);
/// let one = contacts.value(b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lee;Ann\r\nFN:Ann Lee\r\nEND:VCARD\r\n");
/// let two = contacts.value(b"BEGIN:VCARD\nVERSION:2.1\nFN:Ann Lee\nN:Lee;Ann;;\nREV:20260101\nEND:VCARD\n");
/// assert_eq!(one.match_keys, two.match_keys);
/// assert_eq!((&*one.kind, &*two.kind), ("text/vcard", "text/x-vcard"));
/// ```
#[derive(Clone, Debug)]
pub struct PimCollection {
    profile: Profile,
    only: Option<Box<str>>,
}

impl PimCollection {
    /// The collection of a profile, in all of its formats.
    pub fn new(profile: Profile) -> Self {
        PimCollection { profile, only: None }
    }

    /// Offers and gives only this media type, whatever it holds. A type that the profile does not know changes nothing.
    #[must_use]
    pub fn only(mut self, media_type: &str) -> Self {
        let known = self.profile.formats().iter().map(|format| format.media_type());
        self.only = known.into_iter().find(|known| known.eq_ignore_ascii_case(media_type)).map(Into::into);
        self
    }

    /// The item of an object, as a file holds it.
    pub fn value(&self, text: &[u8]) -> ItemValue {
        match Object::read(text) {
            Some(object) => self.item(&object),
            None => ItemValue {
                kind: self.first().media_type().into(),
                match_keys: vec![text_key(text)],
                ..ItemValue::default()
            },
        }
    }

    fn item(&self, object: &Object) -> ItemValue {
        let kind = format_of(object).unwrap_or(self.first()).media_type();
        ItemValue { kind: kind.into(), match_keys: object.keys(), ..ItemValue::default() }
    }

    fn first(&self) -> Format {
        let formats = self.profile.formats();
        let only =
            formats.iter().find(|format| self.only.as_deref().is_some_and(|o| o == format.media_type()));
        only.or(formats.first()).copied().unwrap_or(Format::VCard30)
    }

    fn refuse(&self, what: &str) -> Stop {
        Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, format!("{what} in {}", self.profile.name()))
    }
}

impl Collection for PimCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        let types = self.profile.types(self.only.as_deref());
        let mut store = described(source_ref, self.profile.title(), &types);
        store.ct_caps = self.profile.caps(self.only.as_deref());
        store
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let Some(body) = body else { return Err(Refusal { reason: "its body is not here".into() }) };
        // mission: T5
        if self.profile != Profile::Contacts
            && let Some(device) = projection.device
            && !crate::tasks::is_for(body, device)
        {
            return Err(Refusal { reason: "it is for other devices".into() });
        }
        let kind = &*projection.item.value.kind;
        let taken = |media_type: &str| {
            projection.accepts.is_empty()
                || projection.accepts.iter().any(|accepted| {
                    let accepted = accepted.split(';').next().unwrap_or_default().trim();
                    accepted == "*/*" || accepted.eq_ignore_ascii_case(media_type)
                })
        };
        let ours = self.only.as_deref().is_none_or(|only| only == kind);
        if ours && taken(kind) {
            return Ok(Wire { media_type: kind.into(), data: body.clone() });
        }
        let formats = self.profile.formats().iter().copied();
        let wanted = formats.filter(|f| self.only.as_deref().is_none_or(|only| only == f.media_type()));
        for format in wanted.filter(|format| taken(format.media_type())) {
            if let Some(data) = convert(body, format) {
                return Ok(Wire { media_type: format.media_type().into(), data: data.into() });
            }
        }
        Err(Refusal { reason: format!("the peer does not take {kind}, and no other form says the same") })
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !incoming.media_type.is_empty() && !takes(self.profile, incoming.media_type) {
            let named: String = incoming.media_type.chars().take(80).collect();
            return Err(self.refuse(&format!("{named:?}")));
        }
        let Some(object) = Object::read(incoming.data) else {
            return Err(self.refuse("no whole object"));
        };
        if !self.profile.holds(&object.outer, &object.inner) {
            let inner: Vec<&str> = object.inner.iter().map(|name| &**name).take(4).collect();
            return Err(self.refuse(&format!("{} {}", object.outer, inner.join(" "))));
        }
        let parent = incoming.parent.cloned();
        if let Some(item) = incoming.existing
            && item.value.match_keys.last() == Some(&object.key)
        {
            // Written anew by the peer, perhaps in another version, with what it cannot keep left out: no change.
            return Ok(Absorbed::new(ItemValue { parent, ..item.value.clone() }));
        }
        let mut body = incoming.data.clone();
        let mut value = ItemValue { parent, ..self.item(&object) };
        // quirk: SyncEvolution's vCard profile drops UID, by which other devices know the person.
        if object.uid.is_none()
            && let Some(item) = incoming.existing
            && item.value.match_keys.len() > 1
            && let Some(ours) = cx.body(&item.guid)?
            && let Some(uid) = Object::read(&ours).and_then(|object| object.uid)
            && let Some(whole) = with_uid(&body, &uid)
        {
            value.match_keys = self.value(&whole).match_keys;
            body = whole.into();
        }
        let mut absorbed = Absorbed::new(value);
        // Several terminals of a person may bring what a friend sent to all of them.
        // mission: T4
        if incoming.server
            && incoming.existing.is_none()
            && object.uid.is_some()
            && self.profile != Profile::Contacts
            && crate::tasks::is_ours(&body)
            && let Some(key) = absorbed.value.match_keys.first()
        {
            absorbed.same_as = cx.unmapped(*key)?;
        }
        absorbed.body = Some(body);
        Ok(absorbed)
    }
}

/// Whether objects of this type belong here, under whatever name a peer knows the type.
fn takes(profile: Profile, media_type: &str) -> bool {
    // quirk: Nokia knows vCard as text/directory too (session facts §12, content-type number 0x0309).
    let same = match media_type {
        "text/directory" => "text/vcard",
        other => other,
    };
    profile.formats().iter().any(|format| format.media_type().eq_ignore_ascii_case(same))
}
