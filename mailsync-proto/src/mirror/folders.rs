//! Which folder of a mail server is which of ours.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::mail::mailbox::folder_value;
use crate::mail::outbox::derived_guid;
use crate::mail::{Folder, Role};
use crate::sync::store::{Item, ItemValue};
use idmap::Guid;
use std::collections::{BTreeMap, HashSet};

/// A folder as the mail server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSeen {
    /// Its name as the server spells it, whole.
    pub path: Box<str>,
    /// The last part of its name, for people.
    pub name: Box<str>,
    /// The folder it is in.
    pub parent: Option<Box<str>>,
    /// What the server says it is for: `\Sent`, `\Trash`, ...
    pub special: Option<Role>,
    /// Whether it can hold mail.
    pub selectable: bool,
    /// A word that changes when its mails get new ids: UIDVALIDITY. A folder keeps it when it is renamed.
    pub identity: Option<Box<str>>,
    /// A word that changes with anything in it, if the server has one; none: it must be looked into.
    pub state: Option<Box<str>>,
}

/// A folder of ours that stands for one of the mail server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderLink {
    /// Our item.
    pub guid: Guid,
    /// The server's name for it.
    pub path: Box<str>,
    /// What it is for.
    pub role: Option<Role>,
    /// As [`FolderSeen::identity`] when it was looked into last.
    pub identity: Option<Box<str>>,
    /// What the driver wants back to say what changed since.
    pub state: Box<str>,
}

/// What the folders of an account come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every folder that holds mail, parents first, each with what the server said of it.
    pub folders: Vec<(FolderLink, FolderSeen)>,
    /// The rows of those folders; a host writes those that differ. None where a folder is one that everyone has.
    pub values: Vec<(Guid, ItemValue)>,
    /// Those that are no longer there.
    pub gone: Vec<FolderLink>,
}

/// Where an account's folders are among ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root<'a> {
    /// Its inbox is the inbox: the first account of a user.
    Main,
    /// All of it is below a folder of its own, which has this name.
    Below(&'a str),
}

/// The folder that stands for an account whose folders are below one of their own.
pub fn root_guid(account: &str) -> Guid {
    derived_guid("f", &[account.as_bytes()])
}

/// Sorts out the folders of an account, whose id is `account`.
pub fn plan(account: &str, root: Root<'_>, known: &[FolderLink], seen: &[FolderSeen]) -> Plan {
    let mut plan = Plan::default();
    let roles = roles(seen);
    let by_path: BTreeMap<&str, &FolderLink> = known.iter().map(|link| (&*link.path, link)).collect();
    let there: HashSet<&str> = seen.iter().map(|folder| &*folder.path).collect();
    let mut missing: Vec<&FolderLink> = known.iter().filter(|link| !there.contains(&*link.path)).collect();
    let mut guids: BTreeMap<&str, Guid> = BTreeMap::new();
    if let Root::Below(name) = root {
        let guid = root_guid(account);
        plan.values.push((guid.clone(), folder_value(&Folder::new(name, None), None)));
        guids.insert("", guid);
    }
    let mut order: Vec<(&FolderSeen, Option<Role>)> = seen.iter().zip(roles).collect();
    // A parent's name is the start of its children's, so it is shorter.
    order.sort_by(|(a, _), (b, _)| (a.path.len(), &a.path).cmp(&(b.path.len(), &b.path)));
    for (folder, role) in order {
        let role = role.filter(|_| root == Root::Main);
        let renamed = |link: &&FolderLink| {
            link.role.is_none() && link.identity.is_some() && link.identity == folder.identity
        };
        let link = match (by_path.get(&*folder.path), role) {
            (Some(link), _) => (*link).clone(),
            (None, Some(role)) => new_link(folder, role.guid()),
            (None, None) => match missing.iter().position(renamed) {
                Some(at) => FolderLink { path: folder.path.clone(), ..missing.remove(at).clone() },
                None => new_link(folder, derived_guid("f", &[account.as_bytes(), folder.path.as_bytes()])),
            },
        };
        let link = FolderLink { role, ..link };
        guids.insert(&folder.path, link.guid.clone());
        if role.is_none() {
            let above = folder.parent.as_deref().and_then(|path| guids.get(path)).or_else(|| guids.get(""));
            plan.values
                .push((link.guid.clone(), folder_value(&Folder::new(&folder.name, None), above.cloned())));
        }
        if folder.selectable {
            plan.folders.push((link, folder.clone()));
        }
    }
    plan.gone = missing.into_iter().cloned().collect();
    plan
}

fn new_link(folder: &FolderSeen, guid: Guid) -> FolderLink {
    FolderLink { guid, path: folder.path.clone(), role: None, identity: None, state: "".into() }
}

type Pass<'a> = &'a dyn Fn(&FolderSeen) -> Option<Role>;

/// What each folder is for: by what the server says, then by its name; each role once.
// spec: RFC 6154 §2
fn roles(seen: &[FolderSeen]) -> Vec<Option<Role>> {
    let mut roles: Vec<Option<Role>> = vec![None; seen.len()];
    let mut taken: HashSet<Role> = HashSet::new();
    // spec: RFC 3501 §5.1: INBOX in any case.
    let inbox = |folder: &FolderSeen| folder.path.eq_ignore_ascii_case("INBOX").then_some(Role::Inbox);
    let passes: [Pass<'_>; 3] = [&inbox, &|folder| folder.special, &by_name];
    for pass in passes {
        for (role, folder) in roles.iter_mut().zip(seen) {
            if role.is_none()
                && folder.selectable
                && let Some(found) = pass(folder)
                && taken.insert(found)
            {
                *role = Some(found);
            }
        }
    }
    roles
}

/// What mail programs call these folders where the server does not say.
fn by_name(folder: &FolderSeen) -> Option<Role> {
    let above = folder.parent.as_deref();
    if above.is_some_and(|path| !path.eq_ignore_ascii_case("INBOX")) {
        return None;
    }
    let name = folder.name.to_lowercase();
    let table: [(Role, &[&str]); 3] = [
        (
            Role::Sent,
            &[
                "sent",
                "sent items",
                "sent messages",
                "sent mail",
                "gesendet",
                "envoyés",
                "enviados",
                "已发送",
            ],
        ),
        (Role::Drafts, &["drafts", "draft", "entwürfe", "brouillons", "borradores", "草稿箱"]),
        (
            Role::Trash,
            &[
                "trash",
                "deleted",
                "deleted items",
                "deleted messages",
                "papierkorb",
                "corbeille",
                "papelera",
                "已删除",
            ],
        ),
    ];
    table.into_iter().find(|(_, names)| names.contains(&name.as_str())).map(|(role, _)| role)
}

/// A folder's row as it is there now, named and placed by `there`; none when it is so already.
pub fn restated(item: &Item, there: &ItemValue) -> Option<ItemValue> {
    let old = Folder::from_fields(&item.value.fields).unwrap_or_default();
    let new = Folder::from_fields(&there.fields).unwrap_or_default();
    if old.name == new.name && item.value.parent == there.parent {
        return None;
    }
    Some(folder_value(&Folder { name: new.name, ..old }, there.parent.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str, special: Option<Role>) -> FolderSeen {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (Some(parent.into()), name),
            None => (None, path),
        };
        let identity = Some(format!("v-{path}").into());
        let (path, name) = (path.into(), name.into());
        FolderSeen { path, name, parent, special, selectable: true, identity, state: None }
    }

    fn roles_of(plan: &Plan) -> Vec<(&str, Option<Role>)> {
        plan.folders.iter().map(|(link, _)| (&*link.path, link.role)).collect()
    }

    // mission: M12
    #[test]
    fn special_use_then_name_each_role_once() {
        let list = [
            seen("Inbox", None),
            seen("Sent", None),
            seen("Gesendete", Some(Role::Sent)),
            seen("Trash", None),
            seen("Deleted Items", None),
            seen("a/Drafts", None),
            seen("a", None),
        ];
        let plan = plan("1", Root::Main, &[], &list);
        let roles = roles_of(&plan);
        let role = |path: &str| roles.iter().find(|(p, _)| *p == path).unwrap().1;
        assert_eq!(role("Inbox"), Some(Role::Inbox));
        assert_eq!(role("Gesendete"), Some(Role::Sent));
        assert_eq!(role("Sent"), None, "the server has said which");
        assert_eq!((role("Trash"), role("Deleted Items")), (Some(Role::Trash), None));
        assert_eq!(role("a/Drafts"), None, "not at the top");
        let at = |path: &str| roles.iter().position(|(p, _)| *p == path).unwrap();
        assert!(at("a") < at("a/Drafts"));
        let drafts = plan.folders[at("a/Drafts")].0.guid.clone();
        let value = &plan.values.iter().find(|(guid, _)| *guid == drafts).unwrap().1;
        assert_eq!(value.parent.as_ref(), Some(&plan.folders[at("a")].0.guid));
        assert!(plan.values.iter().all(|(guid, _)| Role::of(guid).is_none()), "everyone has those");
    }

    #[test]
    fn renamed_keeps_its_guid_gone_is_said() {
        let first = plan("1", Root::Main, &[], &[seen("INBOX", None), seen("a", None), seen("b", None)]);
        let known: Vec<FolderLink> = first
            .folders
            .iter()
            .map(|(link, seen)| FolderLink { identity: seen.identity.clone(), ..link.clone() })
            .collect();
        let mut renamed = seen("new", None);
        renamed.identity = Some("v-a".into());
        let next = plan("1", Root::Main, &known, &[seen("INBOX", None), renamed]);
        let guid = |plan: &Plan, path: &str| {
            plan.folders.iter().find(|(link, _)| &*link.path == path).unwrap().0.guid.clone()
        };
        assert_eq!(guid(&next, "new"), guid(&first, "a"));
        assert_eq!(next.gone.iter().map(|link| &*link.path).collect::<Vec<_>>(), ["b"]);
    }

    // mission: M8d
    #[test]
    fn a_second_account_is_below_a_folder_of_its_own() {
        let plan =
            plan("2", Root::Below("Work"), &[], &[seen("INBOX", None), seen("Sent", Some(Role::Sent))]);
        assert_eq!(roles_of(&plan), [("Sent", None), ("INBOX", None)]);
        let root = &plan.values[0];
        assert_eq!(Folder::from_fields(&root.1.fields).unwrap().name, "Work".into());
        assert!(plan.values[1..].iter().all(|(_, value)| value.parent.as_ref() == Some(&root.0)));
        assert_eq!(root.0, root_guid("2"));
        // As it is there, nothing is to be done there; renamed, it stays where it is.
        let known: Vec<FolderLink> = plan.folders.iter().map(|(link, _)| link.clone()).collect();
        let list = [seen("INBOX", None), seen("Sent", Some(Role::Sent))];
        let mut item = Item {
            guid: plan.values[1].0.clone(),
            rev: 1,
            body_rev: 1,
            deleted: false,
            value: plan.values[1].1.clone(),
            size: 0,
        };
        let run = |item: &Item| {
            let rule = super::super::DeleteRule::Trash;
            super::super::outgoing::operations(item, None, (&known, &list), Some(&root_guid("2")), rule)
        };
        assert_eq!(run(&item), []);
        item.value = folder_value(&Folder::new("Away", None), Some(root_guid("2")));
        assert!(
            matches!(&run(&item)[..], [super::super::Operation::RenameFolder { parent: None, name, .. }] if &**name == "Away")
        );
    }
}
