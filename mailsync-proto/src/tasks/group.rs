//! `./groups`: friend groups with levels and rights, changed only in their owner's own sessions.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::mail::email::keep;
use crate::mail::xml::{self, Pull};
use crate::mail::{ObjectError, ObjectErrorKind};
use crate::sync::StoreConfig;
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described, match_key,
};
use crate::sync::event::ConflictRule;
use crate::sync::store::{Item, ItemValue, Read, StoreKey, Value};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;
use std::collections::BTreeSet;
use std::sync::Arc;
use syncml::{CtType, DataStore, StatusCode, Version};
use timesync::task::{
    ExtraKind, FriendGroups, Group, GroupChange, GroupSession, Kind, Level, Rights, RightsRefusal, UserId,
};

/// The datastore's name.
pub const DATASTORE: &str = "groups";
/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.group+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";
/// Groups of a person.
const MOST: u32 = 64;

const KINDS: [(&str, Kind); 4] = [
    ("alarm", Kind::Alarm),
    ("schedule", Kind::Schedule),
    ("meeting", Kind::Meeting),
    ("shopping", Kind::Shopping),
];
const EXTRAS: [(&str, ExtraKind); 4] = [
    ("text", ExtraKind::Text),
    ("audio", ExtraKind::Audio),
    ("animation", ExtraKind::Animation),
    ("picture", ExtraKind::Picture),
];

/// The kinds of task by their names.
pub fn kind_named(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// The kinds of extra by their names.
pub fn extra_named(name: &str) -> Option<ExtraKind> {
    EXTRAS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, extra)| *extra)
}

/// A friend group, as it travels.
///
/// # Shape
/// `<Group>` with `Version, Name, Level?, Kind*, Extra*, Member*`. `Level` is 0 to 9; `Kind` (`alarm`, `schedule`, `meeting`,
/// `shopping`) and `Extra` (`text`, `audio`, `animation`, `picture`) are what members may set and attach. An object without
/// `Level` is the word of a client that knows names and members only: it changes no level and no right. Unknown elements
/// survive.
/// # Errors
/// As [`Email`](crate::mail::Email); a level over 9 and an unknown right are malformed.
///
/// ```
/// use mailsync_proto::tasks::group::FriendGroup;
/// let mut family = FriendGroup::new("family");
/// family.members.insert(timesync::task::UserId::new("ben").unwrap());
/// assert_eq!(FriendGroup::parse(&family.to_xml()).unwrap(), family);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FriendGroup {
    /// Its name.
    pub name: Box<str>,
    /// Its level; none: of a client that knows no levels.
    pub level: Option<Level>,
    /// What its members may do.
    pub rights: Rights,
    /// Who is in it.
    pub members: BTreeSet<UserId>,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

impl FriendGroup {
    /// A group of nobody, without a level.
    pub fn new(name: &str) -> Self {
        FriendGroup { name: name.into(), ..FriendGroup::default() }
    }

    /// Reads the object.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Group")?;
        let (mut group, mut kept) = (FriendGroup::default(), 0);
        while let Some(child) = pull.child()? {
            match child.name.as_str() {
                "Version" => pull.version(VERSION, "a group")?,
                "Name" => group.name = pull.word()?,
                "Level" => {
                    let level = pull.word()?.parse().ok().and_then(|level: u8| Level::new(level).ok());
                    group.level = Some(level.ok_or_else(|| pull.malformed("a level is 0 to 9"))?);
                }
                "Kind" => {
                    let kind = kind_named(&pull.word()?);
                    group.rights.kinds.insert(kind.ok_or_else(|| pull.malformed("an unknown kind"))?);
                }
                "Extra" => {
                    let extra = extra_named(&pull.word()?);
                    group.rights.extras.insert(extra.ok_or_else(|| pull.malformed("an unknown extra"))?);
                }
                "Member" => {
                    let member = UserId::new(&pull.word()?);
                    group.members.insert(member.map_err(|_| pull.malformed("a member without a name"))?);
                    if group.members.len() > 1_000 {
                        let (value, limit) = (group.members.len(), 1_000);
                        return Err(pull.error(ObjectErrorKind::Limit { what: "members", value, limit }));
                    }
                }
                _ => {
                    let raw = pull.survivor(&child)?;
                    keep(&pull, &mut kept, raw.len())?;
                    group.unknown.push(raw);
                }
            }
        }
        if group.name.is_empty() || group.name.len() > 255 || group.name.chars().any(char::is_control) {
            return Err(pull.malformed("a group without a name"));
        }
        pull.finish()?;
        Ok(group)
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Group>".to_vec();
        xml::element(&mut out, "Version", VERSION);
        xml::element(&mut out, "Name", &self.name);
        if let Some(level) = self.level {
            xml::element(&mut out, "Level", &level.number().to_string());
        }
        for (name, _) in KINDS.iter().filter(|(_, kind)| self.rights.kinds.contains(kind)) {
            xml::element(&mut out, "Kind", name);
        }
        for (name, _) in EXTRAS.iter().filter(|(_, extra)| self.rights.extras.contains(extra)) {
            xml::element(&mut out, "Extra", name);
        }
        self.members.iter().for_each(|member| xml::element(&mut out, "Member", member.as_str()));
        self.unknown.iter().for_each(|raw| out.extend_from_slice(raw.as_bytes()));
        out.extend_from_slice(b"</Group>");
        out.into()
    }

    /// All groups of a person, of the objects that hold them; what cannot be read gives no right.
    pub fn all<'o>(owner: &UserId, objects: impl IntoIterator<Item = &'o Bytes>) -> FriendGroups {
        let mut groups = FriendGroups::new(owner.clone());
        let session = GroupSession { user: owner.clone(), knows_levels: true };
        for group in objects.into_iter().filter_map(|object| FriendGroup::parse(object).ok()) {
            let name = group.name.clone();
            let _ = groups.change(&session, GroupChange::Put { name, group: group.known() });
        }
        groups
    }

    fn known(self) -> Group {
        Group { level: self.level.unwrap_or(Level::NONE), rights: self.rights, members: self.members }
    }

    fn value(&self) -> ItemValue {
        ItemValue {
            rank: 1,
            parent: Some(parent()),
            kind: MEDIA_TYPE.into(),
            match_keys: vec![match_key(&[b"group", self.name.as_bytes()])],
            ..ItemValue::default()
        }
    }
}

/// What all groups of a person are in, so that they are found together.
fn parent() -> Guid {
    Guid::unvalidated("groups")
}

/// A person's friend groups, as they are stored.
pub(super) fn of_person(reader: &mut Reader<'_>, owner: &UserId) -> Result<FriendGroups, Missing> {
    let key = StoreKey { user: owner.as_str().into(), datastore: DATASTORE.into() };
    let mut bodies = Vec::new();
    for item in stored(reader, &key)? {
        if let Value::Body(Some(body)) = reader.read(Read::Body(key.clone(), item.guid))? {
            bodies.push(body.clone());
        }
    }
    Ok(FriendGroup::all(owner, &bodies))
}

fn stored(reader: &mut Reader<'_>, key: &StoreKey) -> Result<Vec<Item>, Missing> {
    Ok(match reader.read(Read::Children(key.clone(), parent(), MOST))? {
        Value::Items(items) => items.clone(),
        _ => Vec::new(),
    })
}

/// `./groups`.
// mission: T7
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCollection;

impl GroupCollection {
    /// The datastore.
    pub fn store() -> StoreConfig {
        let mut store = StoreConfig::new(DATASTORE, Arc::new(GroupCollection));
        // A merge never raises a level: of two words of the owner's one stays whole.
        store.conflict = ConflictRule::ServerWins;
        store
    }

    fn changed(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        let mut came = FriendGroup::parse(incoming.data)?;
        let owner =
            UserId::new(cx.user).map_err(|error| Stop::Refuse(StatusCode::BAD_REQUEST, error.to_string()))?;
        let known = match incoming.existing {
            Some(item) => cx.body(&item.guid)?.and_then(|body| FriendGroup::parse(&body).ok()),
            None => {
                let siblings = cx.items_in(&parent(), MOST)?;
                let key = came.value().match_keys;
                if let Some(same) = siblings.iter().find(|item| item.value.match_keys == key) {
                    let mut absorbed = Absorbed::new(came.value());
                    absorbed.same_as = Some(same.guid.clone());
                    return Ok(absorbed);
                }
                if siblings.len() >= MOST as usize {
                    return Err(Stop::Refuse(StatusCode::TOO_LARGE, RightsRefusal::TooMany.to_string()));
                }
                None
            }
        };
        let refused = |refusal: RightsRefusal| Stop::Refuse(StatusCode::FORBIDDEN, refusal.to_string());
        let mut groups = FriendGroups::new(owner.clone());
        let own = GroupSession { user: owner.clone(), knows_levels: true };
        if let Some(known) = &known {
            // Under its new name, so that a rename keeps what it was.
            let (name, group) = (came.name.clone(), known.clone().known());
            groups.change(&own, GroupChange::Put { name, group }).map_err(refused)?;
        }
        let session = GroupSession { user: owner, knows_levels: came.level.is_some() };
        let (name, group) = (came.name.clone(), came.clone().known());
        let held = groups.change(&session, GroupChange::Put { name, group }).map_err(refused)?;
        let now = groups.groups().next().map(|(_, group)| group.clone()).unwrap_or_default();
        came.level = Some(now.level);
        came.rights = now.rights;
        came.members = now.members;
        if let (Some(known), true) = (known, came.unknown.is_empty()) {
            came.unknown = known.unknown;
        }
        let mut absorbed = Absorbed::new(came.value());
        absorbed.body = Some(came.to_xml());
        absorbed.tell_back = !held.is_empty();
        Ok(absorbed)
    }
}

impl Collection for GroupCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        described(source_ref, "Friend groups", &[CtType::new(MEDIA_TYPE, VERSION)])
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, _projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let data = body.ok_or_else(|| Refusal { reason: "its object is not here".into() })?.clone();
        Ok(Wire { media_type: MEDIA_TYPE.into(), data })
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no group".into()));
        }
        if incoming.server {
            return self.changed(cx, incoming);
        }
        let mut absorbed = Absorbed::new(FriendGroup::parse(incoming.data)?.value());
        absorbed.body = Some(incoming.data.clone());
        Ok(absorbed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::store::Found;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn family() -> FriendGroup {
        let mut group = FriendGroup::new("family");
        group.level = Some(Level::new(5).unwrap());
        group.rights =
            Rights { kinds: [Kind::Alarm, Kind::Shopping].into(), extras: [ExtraKind::Audio].into() };
        group.members = [user("ben"), user("carl & co")].into();
        group.unknown = vec!["<Colour>blue</Colour>".into()];
        group
    }

    fn absorb(came: &FriendGroup, known: Option<&FriendGroup>) -> Result<Absorbed, Stop> {
        let key = StoreKey { user: "ana".into(), datastore: DATASTORE.into() };
        let (guid, data) = (Guid::unvalidated("g1"), came.to_xml());
        let item = known.map(|known| Item {
            guid: guid.clone(),
            rev: 1,
            body_rev: 1,
            deleted: false,
            value: known.value(),
            size: 1,
        });
        let mut found = Found::default();
        let bytes = known.map(FriendGroup::to_xml);
        found.insert(Read::Body(key.clone(), guid.clone()), Value::Body(bytes));
        found.insert(Read::Children(key.clone(), parent(), MOST), Value::Items(Vec::new()));
        let mut reader = Reader::new(&found);
        let mut cx = Context::new(&key, "ana", 0, &mut reader);
        let incoming = Incoming::new(MEDIA_TYPE, &data, &guid, true).with_existing(item.as_ref());
        GroupCollection.absorb(&mut cx, &incoming)
    }

    #[test]
    fn golden_group_1_0_and_unknown_survives() {
        let golden = include_str!("../../tests/golden/group.xml");
        assert_eq!(String::from_utf8_lossy(&family().to_xml()), golden.trim_end());
        assert_eq!(FriendGroup::parse(&Bytes::from(golden.trim_end())).unwrap(), family());
    }

    // mission: T7
    #[test]
    fn threat_friends_a_client_without_levels_changes_none_and_admits_nobody_to_rights() {
        let mut unaware = FriendGroup::new("family");
        unaware.members = [user("ben"), user("mallory")].into();
        let absorbed = absorb(&unaware, Some(&family())).unwrap();
        let now = FriendGroup::parse(absorbed.body.as_ref().unwrap()).unwrap();
        assert_eq!((now.level, &now.rights), (family().level, &family().rights));
        assert_eq!(
            now.members,
            [user("ben")].into(),
            "who was taken out is out, who came in unseen is not in"
        );
        assert!(absorbed.tell_back);
        assert_eq!(now.unknown, family().unknown);
        let fresh = absorb(&unaware, None).unwrap();
        let fresh = FriendGroup::parse(fresh.body.as_ref().unwrap()).unwrap();
        assert_eq!((fresh.level, fresh.rights), (Some(Level::NONE), Rights::default()));
        assert_eq!(fresh.members.len(), 2);
    }

    // mission: T7
    #[test]
    fn threat_friends_self_and_levels_out_of_range_are_refused() {
        let mut group = family();
        group.members.insert(user("ana"));
        let Err(Stop::Refuse(StatusCode::FORBIDDEN, _)) = absorb(&group, None) else { panic!("taken") };
        for bad in [
            "<Group><Name>a</Name><Level>10</Level></Group>",
            "<Group><Name>a</Name><Level>-1</Level></Group>",
            "<Group><Name>a</Name><Kind>root</Kind></Group>",
            "<Group><Name>a</Name><Extra>program</Extra></Group>",
            "<Group><Name></Name></Group>",
            "<Group><Name>a</Name><Member></Member></Group>",
        ] {
            assert!(FriendGroup::parse(&Bytes::from_static(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
