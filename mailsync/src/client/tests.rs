//! The client's folder: written, killed at every step, changed by others.

use super::dirstore::{DirStore, DirStoreError, Kind, Layout};
use super::maildir::{directories, mails};
use super::maildir_verbs::{Maildir, VerbError};
use super::maildir_write::Disk;
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::{changed_value, folder_value, mail_value};
use mailsync_proto::mail::{Folder, MailFields, Role, SendOutcome, SendState};
use mailsync_proto::plain::plain_value;
use mailsync_proto::sync::store::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const NOW: u64 = 1_186_444_800;

fn layouts() -> Vec<(&'static str, Layout)> {
    vec![("mail", Layout::Mail), ("notes", Layout::Files(Kind::Plain("text/plain".into())))]
}

fn open(root: &Path) -> DirStore {
    DirStore::open(root, "ann", &layouts()).unwrap()
}

fn guid(id: &str) -> Guid {
    id.parse().unwrap()
}

fn item(store: &DirStore, datastore: &str, id: &str) -> Option<Item> {
    let read = Read::Item(store.key(datastore), guid(id));
    match store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
        Some(Value::Item(item)) => item.clone(),
        other => panic!("{other:?}"),
    }
}

fn body(store: &DirStore, datastore: &str, id: &str) -> Option<Bytes> {
    let read = Read::Body(store.key(datastore), guid(id));
    match store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
        Some(Value::Body(body)) => body.clone(),
        other => panic!("{other:?}"),
    }
}

fn fields(store: &DirStore, id: &str) -> MailFields {
    MailFields::from_fields(&item(store, "mail", id).unwrap().value.fields).unwrap()
}

fn put(store: &DirStore, datastore: &str, id: &str, value: ItemValue, body: Option<&[u8]>) -> Write {
    Write::PutItem {
        store: store.key(datastore),
        guid: guid(id),
        expect: item(store, datastore, id).map(|item| item.rev),
        value,
        body: body.map(Bytes::copy_from_slice),
    }
}

fn mail(store: &DirStore, id: &str, role: Role, message: &[u8]) -> Write {
    put(store, "mail", id, mail_value(role.guid(), &MailFields::default(), message), Some(message))
}

fn change(store: &DirStore, id: &str, folder: &str, change: impl Fn(&mut MailFields)) -> Write {
    let old = item(store, "mail", id).unwrap();
    let mut fields = MailFields::from_fields(&old.value.fields).unwrap();
    change(&mut fields);
    put(store, "mail", id, changed_value(&old, Some(guid(folder)), &fields), None)
}

fn delete(store: &DirStore, datastore: &str, id: &str) -> Write {
    let expect = item(store, datastore, id).unwrap().rev;
    Write::DeleteItem { store: store.key(datastore), guid: guid(id), expect }
}

fn commit(store: &DirStore, writes: Vec<Write>) {
    store.commit(&Commit { session: None, writes }).unwrap();
}

/// Every file that a user sees, with its content.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != ".mailsync" && !name.ends_with("tmp") {
                dirs.push(path);
            } else if path.is_file() && !name.rsplit('/').next().unwrap().starts_with('.') {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn names(root: &Path) -> Vec<String> {
    tree(root).into_keys().filter(|name| !name.ends_with("maildirfolder")).collect()
}

const RAW: &[u8] = b"Subject: a\r\nMessage-ID: <1@a>\r\n\r\n\xff\0 bare \r and \n, no end";

#[test]
fn a_new_folder_has_the_five_of_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(directories(dir.path()).unwrap(), ["", ".Drafts", ".Outbox", ".Sent", ".Trash"]);
    assert!(Role::ALL.into_iter().all(|role| item(&store, "mail", role.id()).is_some()));
    assert!(matches!(DirStore::open(dir.path(), "ann", &layouts()), Err(DirStoreError::Dir(_))));
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.scan("mail", NOW).unwrap(), Default::default());
}

// mission: M2
#[test]
fn items_become_files_and_come_back_octet_for_octet() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let empty: &[u8] = b"";
    let first = vec![mail(&store, "m1", Role::Inbox, RAW), mail(&store, "m/2", Role::Sent, empty)];
    commit(&store, first);
    assert_eq!(names(dir.path()), [".Sent/cur/m%2F2:2,", "cur/m1:2,"]);
    commit(
        &store,
        vec![change(&store, "m1", "folder-trash", |f| {
            f.read = true;
            f.flagged = true;
        })],
    );
    assert_eq!(names(dir.path()), [".Sent/cur/m%2F2:2,", ".Trash/cur/m1:2,FS"]);
    store.finish().unwrap();
    assert_eq!(store.work().index.bodies().unwrap(), 0);
    assert_eq!(body(&store, "mail", "m1").as_deref(), Some(RAW));
    assert_eq!(body(&store, "mail", "m/2").as_deref(), Some(empty));
    commit(&store, vec![delete(&store, "mail", "m1")]);
    assert_eq!(names(dir.path()), [".Sent/cur/m%2F2:2,"]);
    assert_eq!(body(&store, "mail", "m1"), None);
    assert_eq!(store.scan("mail", NOW).unwrap().before, 1);
    assert_eq!(store.scan("mail", NOW).unwrap().changed, 0);
}

/// One step of a story that uses every way of writing files.
type Scene = fn(&DirStore) -> Vec<Write>;

const STORY: [Scene; 9] = [
    |s| {
        let work = folder_value(&Folder::new("Work", None), None);
        vec![
            mail(s, "m1", Role::Inbox, RAW),
            put(s, "mail", "f1", work, None),
            put(s, "mail", "m2", mail_value(guid("f1"), &MailFields::default(), b"two"), Some(b"two")),
            put(s, "notes", "n1", plain_value("text/plain", b"one"), Some(b"one")),
        ]
    },
    |s| vec![change(s, "m1", "folder-inbox", |f| f.read = true), change(s, "m2", "f1", |f| f.flagged = true)],
    |s| vec![change(s, "m1", "f1", |f| f.answered = true)],
    |s| vec![put(s, "mail", "f1", folder_value(&Folder::new("Play", None), None), None)],
    |s| vec![mail(s, "m2", Role::Drafts, b"two, longer"), mail(s, "m3", Role::Outbox, b"three")],
    |s| vec![put(s, "notes", "n1", plain_value("text/plain", b"one more"), Some(b"one more"))],
    |s| vec![delete(s, "mail", "m3"), put(s, "notes", "n2", plain_value("text/plain", b""), Some(b""))],
    |s| vec![delete(s, "notes", "n1"), delete(s, "mail", "m1")],
    |s| vec![delete(s, "mail", "f1")],
];

// threats: L5
#[test]
fn killed_at_any_step_of_writing_it_is_finished_at_the_next_start() {
    let mut want = Vec::new();
    {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for scene in STORY {
            let writes = scene(&store);
            commit(&store, writes);
            want.push(tree(dir.path()));
        }
    }
    let mut killed = 0;
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let store = DirStore::open_with(dir.path(), "ann", &layouts(), Disk::failing_after(steps)).unwrap();
        let mut done = 0;
        for scene in STORY {
            let writes = scene(&store);
            commit(&store, writes);
            done += 1;
            if store.work().trouble.is_some() {
                break;
            }
        }
        let whole = store.work().trouble.is_none() && store.finish().is_ok();
        drop(store);
        let store = open(dir.path());
        assert_eq!(tree(dir.path()), want[done - 1], "killed after {steps} steps, in commit {done}");
        let report = store.scan("mail", NOW).unwrap();
        assert_eq!((report.added, report.changed, report.deleted), (0, 0, 0), "after {steps} steps");
        assert_eq!(store.work().index.bodies().unwrap(), 0);
        for id in ["m1", "m2", "m3"] {
            if item(&store, "mail", id).is_some_and(|item| !item.deleted) {
                assert!(body(&store, "mail", id).is_some_and(|body| !body.is_empty()));
            }
        }
        if whole {
            break;
        }
        killed += 1;
    }
    assert!(killed > 40, "only {killed} places to be killed at");
}

#[test]
fn files_lost_in_a_power_failure_come_back_from_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, vec![mail(&store, "m1", Role::Inbox, RAW)]);
    commit(&store, vec![put(&store, "notes", "n1", plain_value("text/plain", b"x"), Some(b"x"))]);
    drop(store);
    // Nothing was synced: the file system has the names and none of the content.
    fs::write(dir.path().join("cur/m1:2,"), b"").unwrap();
    fs::remove_file(dir.path().join("notes/n1")).unwrap();
    let store = open(dir.path());
    assert_eq!(fs::read(dir.path().join("cur/m1:2,")).unwrap(), RAW);
    assert_eq!(fs::read(dir.path().join("notes/n1")).unwrap(), b"x");
    assert_eq!(store.work().index.bodies().unwrap(), 0);
}

// mission: M5b
#[test]
fn what_a_mail_reader_does_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = open(root);
    let all = ["a", "b", "c", "d"].map(|id| mail(&store, id, Role::Inbox, RAW)).to_vec();
    commit(&store, all);
    store.finish().unwrap();
    fs::rename(root.join("cur/a:2,"), root.join("cur/a:2,FSx")).unwrap();
    fs::rename(root.join("cur/b:2,"), root.join(".Trash/cur/b:2,T")).unwrap();
    fs::remove_file(root.join("cur/c:2,")).unwrap();
    fs::copy(root.join("cur/d:2,"), root.join(".Sent/cur/d:2,S")).unwrap();
    fs::write(root.join(".Drafts/new/1186444800.M1P2.host.example"), "To: x@y.example\n\nunix\n").unwrap();
    fs::create_dir_all(root.join(".Old.2006/cur")).unwrap();
    fs::create_dir_all(root.join(".Old.2006/tmp")).unwrap();
    fs::write(root.join(".Old.2006/cur").join("é".repeat(60)), "Subject: x\r\n\r\n").unwrap();
    let report = store.scan("mail", NOW).unwrap();
    assert_eq!((report.added, report.changed, report.deleted, report.before), (4, 2, 1, 4));

    let a = fields(&store, "a");
    assert!(a.read && a.flagged && !a.answered);
    assert!(fields(&store, "b").deleted);
    assert_eq!(item(&store, "mail", "b").unwrap().value.parent, Some(Role::Trash.guid()));
    assert!(item(&store, "mail", "c").unwrap().deleted);
    assert_eq!(item(&store, "mail", "d").unwrap().value.parent, Some(Role::Inbox.guid()));
    let draft = "1186444800.M1P2.host.example";
    assert!(fields(&store, draft).draft);
    assert_eq!(body(&store, "mail", draft).as_deref(), Some(&b"To: x@y.example\r\n\r\nunix\r\n"[..]));
    assert!(root.join(format!(".Drafts/cur/{draft}:2,")).is_file());
    assert_eq!(item(&store, "mail", "folder-2006").unwrap().value.rank, 0);
    let old = mails(root, ".Old.2006").unwrap();
    assert!(old.len() == 1 && old[0].base().len() == 33, "{old:?}");

    // Twice finds nothing, and a letter of the reader's own stays when the server changes something.
    let again = store.scan("mail", NOW).unwrap();
    assert_eq!((again.added, again.changed, again.deleted), (0, 0, 0));
    commit(&store, vec![change(&store, "a", "folder-inbox", |f| f.answered = true)]);
    assert!(root.join("cur/a:2,FRSx").is_file());
}

#[test]
fn what_a_reader_does_in_mid_session_is_not_undone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = open(root);
    commit(&store, vec![mail(&store, "a", Role::Inbox, RAW), mail(&store, "b", Role::Inbox, RAW)]);
    // No scan since; the server sets a flag on both.
    fs::rename(root.join("cur/a:2,"), root.join(".Trash/cur/a:2,S")).unwrap();
    fs::remove_file(root.join("cur/b:2,")).unwrap();
    store.finish().unwrap();
    commit(&store, ["a", "b"].map(|id| change(&store, id, "folder-inbox", |f| f.flagged = true)).to_vec());
    assert_eq!(names(root), [".Trash/cur/a:2,FS"]);
    let report = store.scan("mail", NOW).unwrap();
    assert_eq!((report.added, report.changed, report.deleted), (0, 1, 1));
    let a = fields(&store, "a");
    assert!(a.read && a.flagged);
    assert_eq!(item(&store, "mail", "a").unwrap().value.parent, Some(Role::Trash.guid()));
}

#[test]
fn a_scan_that_is_killed_makes_no_mail_twice() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        drop(open(root));
        for name in ["x y", "plain", "z:2,S"] {
            fs::write(root.join(".Sent/new").join(name), format!("Subject: {name}\n\nbody\n")).unwrap();
        }
        let store = DirStore::open_with(root, "ann", &layouts(), Disk::failing_after(steps)).unwrap();
        let whole = store.scan("mail", NOW).is_ok();
        drop(store);
        let store = open(root);
        store.scan("mail", NOW).unwrap();
        let sent = mails(root, ".Sent").unwrap();
        assert_eq!(sent.len(), 3, "{sent:?} after {steps} steps");
        for place in &sent {
            let body = body(&store, "mail", place.base()).unwrap();
            assert!(body.ends_with(b"\r\n\r\nbody\r\n"));
            assert!(place.name.starts_with("cur/"));
        }
        let again = store.scan("mail", NOW).unwrap();
        assert_eq!((again.added, again.changed, again.deleted, again.before), (0, 0, 0, 3));
        if whole {
            assert!(steps > 3);
            break;
        }
    }
}

// mission: M6
#[test]
fn a_request_leaves_the_file_for_the_item_whenever_the_scan_is_killed() {
    use mailsync_proto::mail::forward::{Kind, Request};
    let mut request = Request::new(Kind::Forward, "17");
    request.whole = true;
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let store = open(root);
        fs::write(root.join(".Outbox/new/a"), request.before(RAW)).unwrap();
        fs::write(root.join(".Drafts/new/b"), request.before(RAW)).unwrap();
        let moved = |store: &DirStore| -> bool {
            let there = mails(root, ".Drafts").unwrap().into_iter().find(|place| place.base() == "b");
            let there = there.map(|place| place.path(root));
            let before = there.as_ref().map(|path| fs::read(path).unwrap());
            assert!(before.is_none_or(|before| before == request.before(RAW)), "a draft is not rewritten");
            if item(store, "mail", "b").is_some() {
                there.is_none_or(|path| fs::rename(path, root.join(".Outbox/cur/b:2,DS")).is_ok())
            } else {
                false
            }
        };
        drop(store);
        let store = DirStore::open_with(root, "ann", &layouts(), Disk::failing_after(steps)).unwrap();
        let whole = store.scan("mail", NOW).is_ok() && moved(&store) && store.scan("mail", NOW).is_ok();
        drop(store);
        let store = open(root);
        store.scan("mail", NOW).unwrap();
        assert!(moved(&store));
        store.scan("mail", NOW).unwrap();
        assert_eq!(mails(root, ".Outbox").unwrap().len(), 2, "after {steps} steps");
        for id in ["a", "b"] {
            assert_eq!(
                Request::of(&fields(&store, id).ext).unwrap(),
                Some(request.clone()),
                "after {steps} steps"
            );
            assert_eq!(body(&store, "mail", id).as_deref(), Some(RAW), "{id} after {steps} steps");
        }
        let again = store.scan("mail", NOW).unwrap();
        assert_eq!((again.added, again.changed, again.deleted, again.before), (0, 0, 0, 2));
        assert_eq!(store.work().index.bodies().unwrap(), 0);
        if whole {
            assert!(steps > 8, "only {steps} steps");
            break;
        }
    }
}

#[test]
fn threat_s11_a_folder_that_vanished_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = open(root);
    commit(&store, vec![mail(&store, "a", Role::Inbox, RAW)]);
    commit(&store, vec![put(&store, "notes", "n1", plain_value("text/plain", b"x"), Some(b"x"))]);
    fs::remove_dir_all(root.join("cur")).unwrap();
    fs::remove_dir_all(root.join("notes")).unwrap();
    assert!(matches!(store.scan("mail", NOW), Err(DirStoreError::Gone { items: 1, .. })));
    assert!(matches!(store.scan("notes", NOW), Err(DirStoreError::Gone { items: 1, .. })));
    assert!(!item(&store, "mail", "a").unwrap().deleted);
}

#[test]
fn notes_are_edited_added_and_deleted_by_an_editor() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let store = open(root);
    let three =
        ["n1", "n2", "n3"].map(|id| put(&store, "notes", id, plain_value("text/plain", b"x"), Some(b"x")));
    commit(&store, three.to_vec());
    store.finish().unwrap();
    fs::write(root.join("notes/n1"), "edited").unwrap();
    fs::remove_file(root.join("notes/n2")).unwrap();
    fs::write(root.join("notes/shopping list.txt"), "milk").unwrap();
    fs::write(root.join("notes/.n1.swp"), "no item").unwrap();
    fs::write(root.join("notes/n1~"), "no item").unwrap();
    let report = store.scan("notes", NOW).unwrap();
    assert_eq!((report.added, report.changed, report.deleted), (1, 1, 1));
    assert_eq!(body(&store, "notes", "n1").as_deref(), Some(&b"edited"[..]));
    let again = store.scan("notes", NOW).unwrap();
    assert_eq!((again.added, again.changed, again.deleted), (0, 0, 0));
    // The server's version does not overwrite an edit that was not scanned.
    fs::write(root.join("notes/n3"), "mine, not synced").unwrap();
    commit(&store, vec![put(&store, "notes", "n3", plain_value("text/plain", b"theirs"), Some(b"theirs"))]);
    assert_eq!(fs::read(root.join("notes/n3")).unwrap(), b"theirs");
    assert_eq!(fs::read(root.join("notes/n3.mine")).unwrap(), b"mine, not synced");
    assert_eq!(store.scan("notes", NOW).unwrap().added, 1);
}

// mission: M13
#[test]
fn verbs_act_on_files_and_the_next_scan_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    assert!(matches!(Maildir::open(root, "ann"), Err(VerbError::Dir(_))));
    let store = open(root);
    let message =
        b"From: Bob <bob@b.example>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <1@b>\r\n\r\nhi\r\n";
    commit(&store, vec![mail(&store, "m1", Role::Inbox, message), mail(&store, "m2", Role::Sent, RAW)]);
    let failed = SendState { outcome: SendOutcome::Failed, words: vec!["550 no".into()] };
    commit(&store, vec![change(&store, "m2", "folder-outbox", |f| f.send = Some(failed.clone()))]);

    let view = Maildir::open(root, "ann").unwrap();
    let inbox = view.list(Some("inbox")).unwrap();
    assert_eq!((inbox.len(), &*inbox[0].luid, &*inbox[0].summary.subject), (1, "m1", "café"));
    assert_eq!(view.list(Some("Outbox")).unwrap()[0].send, Some(failed));
    assert_eq!(view.show("m1").unwrap(), &message[..]);
    let answer = view.reply("m1", "ann@a.example", "yes", "r1", NOW).unwrap();
    view.flag("m1", &["+flagged", "-read"]).unwrap();
    view.move_to("m2", "Trash").unwrap();
    assert!(matches!(view.flag("m1", &["read"]), Err(VerbError::NoFlag(_))));
    assert!(matches!(view.move_to("m1", "Nowhere"), Err(VerbError::NoFolder(..))));
    assert!(matches!(view.show("m9"), Err(VerbError::NoMail(_))));

    store.scan("mail", NOW).unwrap();
    let m1 = fields(&store, "m1");
    assert!(m1.answered && m1.flagged && !m1.read);
    assert_eq!(item(&store, "mail", "m2").unwrap().value.parent, Some(Role::Trash.guid()));
    let sent = item(&store, "mail", &answer).unwrap();
    assert_eq!(sent.value.parent, Some(Role::Outbox.guid()));
    let text = String::from_utf8(body(&store, "mail", &answer).unwrap().to_vec()).unwrap();
    assert!(text.contains("To: bob@b.example\r\n") && text.contains("In-Reply-To: <1@b>\r\n"), "{text}");
    view.delete("m1").unwrap();
    assert_eq!(store.scan("mail", NOW).unwrap().deleted, 1);
}

#[test]
fn threat_ids_and_names_cannot_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep");
    let store = open(&root);
    let evil = folder_value(&Folder::new("../../evil", None), None);
    commit(
        &store,
        vec![
            put(&store, "mail", "f1", evil, None),
            put(&store, "mail", "../../m", mail_value(guid("f1"), &MailFields::default(), b"x"), Some(b"x")),
            put(&store, "notes", "../../n", plain_value("text/plain", b"x"), Some(b"x")),
            put(&store, "mail", "f2", folder_value(&Folder::new("sent", None), None), None),
            put(&store, "mail", "f3", folder_value(&Folder::new("", None), None), None),
        ],
    );
    store.finish().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(names(&root).len(), 2);
    assert!(directories(&root).unwrap().iter().any(|d| d == ".sent-f2"));
    assert_eq!(store.scan("mail", NOW).unwrap().added, 0);
}
