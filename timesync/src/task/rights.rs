//! Friend groups: who may set what for whom.
//!
//! Rights are not transitive: a friend of a friend is a stranger, so there are no cycles to fall into.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use crate::task::model::{ExtraKind, Kind, Task, UserId};

/// The priority of a group, 0 to 9. Members of level 0 are known, but may set nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
pub struct Level(u8);

impl Level {
    /// Known, without rights.
    pub const NONE: Level = Level(0);

    /// Checks a level.
    ///
    /// # Errors
    /// [`RightsRefusal::BadLevel`] over 9.
    pub const fn new(level: u8) -> Result<Self, RightsRefusal> {
        if level > 9 { Err(RightsRefusal::BadLevel { level }) } else { Ok(Level(level)) }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Level {
    type Error = RightsRefusal;

    fn try_from(level: u8) -> Result<Self, RightsRefusal> {
        Level::new(level)
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> u8 {
        level.0
    }
}

/// What the members of a group may do.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rights {
    /// Kinds of task they may set.
    pub kinds: BTreeSet<Kind>,
    /// Extras they may attach.
    pub extras: BTreeSet<ExtraKind>,
}

impl Rights {
    /// Every kind, every extra.
    #[must_use]
    pub fn all() -> Self {
        Rights {
            kinds: [Kind::Alarm, Kind::Schedule, Kind::Meeting, Kind::Shopping].into(),
            extras: [ExtraKind::Text, ExtraKind::Audio, ExtraKind::Animation, ExtraKind::Picture].into(),
        }
    }

    fn is_none(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// A group of friends.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Group {
    /// Its priority.
    pub level: Level,
    /// What its members may do.
    pub rights: Rights,
    /// Who is in it.
    pub members: BTreeSet<UserId>,
}

/// One person's friend groups.
///
/// ```
/// use timesync::task::*;
/// let user = |name| UserId::new(name).unwrap();
/// let mut groups = FriendGroups::new(user("anna"));
/// let owner = GroupSession { user: user("anna"), knows_levels: true };
/// let family = Group { level: Level::new(5).unwrap(), rights: Rights::all(), members: [user("ben")].into() };
/// groups.change(&owner, GroupChange::Put { name: "family".into(), group: family }).unwrap();
/// assert!(groups.may_set(&user("ben"), Kind::Alarm, &[]).is_ok());
/// assert_eq!(groups.may_set(&user("carl"), Kind::Alarm, &[]), Err(RightsRefusal::Stranger));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FriendGroups {
    owner: UserId,
    revision: u64,
    groups: BTreeMap<Box<str>, Group>,
}

/// Most groups, and most members of one.
const MAX_GROUPS: usize = 64;
const MAX_MEMBERS: usize = 1_000;

/// On whose behalf a change comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSession {
    /// Who is logged in.
    pub user: UserId,
    /// Whether that client knows levels and rights, or only names and members.
    pub knows_levels: bool,
}

/// A change to one's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Create or replace a group.
    Put {
        /// Its name.
        name: Box<str>,
        /// What it becomes.
        group: Group,
    },
    /// Remove a group.
    Remove {
        /// Its name.
        name: Box<str>,
    },
    /// Add or remove one member.
    Member {
        /// The group.
        name: Box<str>,
        /// Who.
        user: UserId,
        /// In or out.
        belongs: bool,
    },
}

/// A change that waits for its owner's word, because it would have given rights unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The group.
    pub group: Box<str>,
    /// Who would have gained its rights.
    pub user: UserId,
}

impl FriendGroups {
    /// Nobody may do anything yet.
    #[must_use]
    pub const fn new(owner: UserId) -> Self {
        FriendGroups { owner, revision: 0, groups: BTreeMap::new() }
    }

    /// Whose groups.
    #[must_use]
    pub const fn owner(&self) -> &UserId {
        &self.owner
    }

    /// Counts changes; equal on both sides when they hold the same.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The highest level of a friend; `None` for strangers.
    #[must_use]
    pub fn level_of(&self, user: &UserId) -> Option<Level> {
        self.groups.values().filter(|group| group.members.contains(user)).map(|group| group.level).max()
    }

    /// Whether `sender` may set such a task for the owner. Owners may do everything to themselves.
    ///
    /// # Errors
    /// [`RightsRefusal`].
    pub fn may_set(&self, sender: &UserId, kind: Kind, extras: &[ExtraKind]) -> Result<(), RightsRefusal> {
        if *sender == self.owner {
            return Ok(());
        }
        self.level_of(sender).ok_or(RightsRefusal::Stranger)?;
        let useful = |group: &&Group| {
            group.members.contains(sender) && group.level > Level::NONE && group.rights.kinds.contains(&kind)
        };
        let mut allowing = self.groups.values().filter(useful).peekable();
        if allowing.peek().is_none() {
            return Err(RightsRefusal::KindNotAllowed { kind });
        }
        let missing =
            |group: &Group| extras.iter().find(|extra| !group.rights.extras.contains(extra)).copied();
        match allowing.map(missing).min() {
            Some(Some(extra)) => Err(RightsRefusal::ExtraNotAllowed { extra }),
            _ => Ok(()),
        }
    }

    /// Whether the setter of a task may set it, whatever path it came.
    ///
    /// # Errors
    /// [`RightsRefusal`].
    pub fn check(&self, task: &Task) -> Result<(), RightsRefusal> {
        if task.owner != self.owner {
            return Err(RightsRefusal::NotOwner);
        }
        let extras: Vec<ExtraKind> = task.extras.iter().map(|extra| extra.kind).collect();
        self.may_set(&task.setter.user, task.kind, &extras)
    }

    /// Changes the groups, in the owner's own session only.
    ///
    /// A session that does not know levels never changes a level or a right, and adds members only to groups
    /// that give none; what would have given rights is returned and waits for the owner's word. Removing always
    /// works.
    ///
    /// # Errors
    /// [`RightsRefusal`]; nothing changes then.
    pub fn change(
        &mut self,
        session: &GroupSession,
        change: GroupChange,
    ) -> Result<Vec<Held>, RightsRefusal> {
        if session.user != self.owner {
            return Err(RightsRefusal::NotOwner);
        }
        let mut held = Vec::new();
        match change {
            GroupChange::Put { name, group } => {
                check_name(&name)?;
                if group.members.contains(&self.owner) {
                    return Err(RightsRefusal::FriendOfSelf);
                }
                if group.members.len() > MAX_MEMBERS
                    || (self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&name))
                {
                    return Err(RightsRefusal::TooMany);
                }
                let group =
                    if session.knows_levels { group } else { self.without_levels(&name, group, &mut held) };
                self.groups.insert(name, group);
            }
            GroupChange::Remove { name } => {
                self.groups.remove(&name).ok_or(RightsRefusal::NoSuchGroup)?;
            }
            GroupChange::Member { name, user, belongs } => {
                if belongs && user == self.owner {
                    return Err(RightsRefusal::FriendOfSelf);
                }
                let group = self.groups.get_mut(&name).ok_or(RightsRefusal::NoSuchGroup)?;
                if !belongs {
                    group.members.remove(&user);
                } else if group.members.contains(&user) {
                    return Ok(held);
                } else if group.members.len() >= MAX_MEMBERS {
                    return Err(RightsRefusal::TooMany);
                } else if session.knows_levels || group.rights.is_none() {
                    group.members.insert(user);
                } else {
                    held.push(Held { group: name, user });
                    return Ok(held);
                }
            }
        }
        self.revision = self.revision.wrapping_add(1);
        Ok(held)
    }

    /// What a client that knows names and members only may make of a group.
    fn without_levels(&self, name: &str, group: Group, held: &mut Vec<Held>) -> Group {
        let Some(known) = self.groups.get(name) else {
            return Group { level: Level::NONE, rights: Rights::default(), members: group.members };
        };
        let mut members = group.members;
        if !known.rights.is_none() {
            members.retain(|user| {
                let was_in = known.members.contains(user);
                if !was_in {
                    held.push(Held { group: name.into(), user: user.clone() });
                }
                was_in
            });
        }
        Group { level: known.level, rights: known.rights.clone(), members }
    }
}

fn check_name(name: &str) -> Result<(), RightsRefusal> {
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(RightsRefusal::NoSuchGroup);
    }
    Ok(())
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RightsRefusal {
    /// The sender is in none of the owner's groups.
    Stranger,
    /// None of the sender's groups may set this kind.
    KindNotAllowed {
        /// The kind.
        kind: Kind,
    },
    /// None of the sender's groups may attach this.
    ExtraNotAllowed {
        /// The extra.
        extra: ExtraKind,
    },
    /// Only the owner may do this.
    NotOwner,
    /// Only who set it may change it.
    NotSetter,
    /// Nobody is their own friend.
    FriendOfSelf,
    /// Levels go from 0 to 9.
    BadLevel {
        /// The level.
        level: u8,
    },
    /// No such group, or no name of a group.
    NoSuchGroup,
    /// Too many groups or members.
    TooMany,
}

impl fmt::Display for RightsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RightsRefusal::Stranger => write!(f, "sender is in none of the owner's groups"),
            RightsRefusal::KindNotAllowed { kind } => write!(f, "sender may not set {kind:?}"),
            RightsRefusal::ExtraNotAllowed { extra } => write!(f, "sender may not attach {extra:?}"),
            RightsRefusal::NotOwner => write!(f, "only the owner may do this"),
            RightsRefusal::NotSetter => write!(f, "only who set it may change it"),
            RightsRefusal::FriendOfSelf => write!(f, "nobody is their own friend"),
            RightsRefusal::BadLevel { level } => write!(f, "level {level}, at most 9"),
            RightsRefusal::NoSuchGroup => write!(f, "no such group"),
            RightsRefusal::TooMany => write!(f, "too many groups or members"),
        }
    }
}

impl core::error::Error for RightsRefusal {}
