//! Looks at a mailbox that changes while it is looked at.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::{Done, Error, Folders, Looked, Mailbox, Woken};
use super::{Mirror, Tally};
use crate::store::{Bodies, SqliteStore};
use bytes::Bytes;
use mailsync_proto::mail::account::{Account, Server, Tls};
use mailsync_proto::mirror::mails::{Described, Key, Link, Listing, RemoteId, SeenMail};
use mailsync_proto::mirror::{FolderLink, FolderSeen, Marks, Operation};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What somebody else does, right before this folder is looked at.
type Meanwhile = (&'static str, fn(&mut Shelf));

/// A mail server in memory: folders with the mails in them, by id.
#[derive(Default)]
struct Shelf {
    folders: BTreeMap<&'static str, BTreeMap<RemoteId, &'static str>>,
    last: RemoteId,
    meanwhile: Option<Meanwhile>,
    /// The link ends when this one is asked for.
    ends: Option<&'static str>,
    /// How often mails were asked for, alone or together.
    asked: usize,
}

impl Shelf {
    fn put(&mut self, folder: &'static str, subject: &'static str) {
        self.last += 1;
        self.folders.entry(folder).or_default().insert(self.last, subject);
    }

    fn take(&mut self, folder: &str, subject: &str) {
        self.folders.get_mut(folder).unwrap().retain(|_, found| *found != subject);
    }

    fn state(&self, folder: &str) -> Box<str> {
        format!("{:?}", self.folders.get(folder)).into()
    }
}

fn text(subject: &str) -> Bytes {
    format!("Message-ID: <{subject}@far.example>\r\nSubject: {subject}\r\n\r\nHello\r\n").into_bytes().into()
}

impl Mailbox for Shelf {
    async fn folders(&mut self) -> Result<Folders, Error> {
        let seen = self.folders.keys().map(|name| FolderSeen {
            path: (*name).into(),
            name: (*name).into(),
            parent: None,
            special: None,
            selectable: true,
            identity: Some("1".into()),
            state: Some(self.state(name)),
        });
        Ok(Folders { seen: seen.collect(), torn: false })
    }

    async fn look(&mut self, folder: &FolderLink, _: &[Link]) -> Result<Looked, Error> {
        if let Some((_, change)) = self.meanwhile.take_if(|(name, _)| *name == &*folder.path) {
            change(self);
        }
        let ids = self.folders.get(&*folder.path).into_iter().flat_map(BTreeMap::keys);
        let mails = ids.map(|id| SeenMail { id: *id, marks: Marks::NONE }).collect();
        let listing = Listing::Whole { mails, torn: false };
        Ok(Looked { listing, identity: "1".into(), state: self.state(&folder.path) })
    }

    async fn describe(
        &mut self,
        folder: &FolderLink,
        mails: &[(RemoteId, Marks)],
    ) -> Result<Vec<Described>, Error> {
        let there = &self.folders[&*folder.path];
        let described = mails.iter().filter_map(|(id, marks)| {
            let message = text(there.get(id)?);
            let (size, received) = (message.len() as u64, Some(5));
            let key = Key::of(&message, size, received);
            Some(Described { folder: folder.guid.clone(), id: *id, marks: *marks, key, size, received })
        });
        Ok(described.collect())
    }

    async fn fetch_some(
        &mut self,
        path: &str,
        ids: &[RemoteId],
        _: u64,
    ) -> Result<Vec<(RemoteId, Bytes)>, Error> {
        self.asked += 1;
        let there = ids.iter().filter_map(|id| Some((*id, *self.folders[path].get(id)?)));
        // As some servers do: the last of many is left out.
        let some: Vec<_> = there.take(ids.len() - 1).collect();
        if some.iter().any(|(_, subject)| Some(*subject) == self.ends) {
            return Err(Error::Link("it ends".into()));
        }
        Ok(some.into_iter().map(|(id, subject)| (id, text(subject))).collect())
    }

    async fn fetch(&mut self, path: &str, id: RemoteId, _: u64) -> Result<Option<Bytes>, Error> {
        self.asked += 1;
        let subject = self.folders[path].get(&id).copied();
        if subject.is_some() && subject == self.ends {
            return Err(Error::Link("it ends".into()));
        }
        Ok(subject.map(text))
    }

    async fn find(&mut self, _: &str, _: &str) -> Result<Option<RemoteId>, Error> {
        panic!("nothing is added here")
    }

    async fn perform(&mut self, operation: &Operation, _: Option<&Bytes>) -> Result<Done, Error> {
        panic!("nothing is done here: {operation:?}")
    }

    async fn wait(&mut self, _: Duration, _: impl Future<Output = ()> + Send) -> Result<Woken, Error> {
        panic!("nobody waits")
    }
}

fn mirror(dir: &tempfile::TempDir) -> Mirror {
    let path = dir.path().join("db");
    let store = SqliteStore::open(&path, Bodies::Inside).unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("INSERT INTO account (user, luid, config, added) VALUES ('ann', 'a', x'', 0)", []).unwrap();
    let imap = Server { host: "127.0.0.1".into(), port: 1, tls: Tls::None };
    let config = Account::new("ann@far.example", imap);
    Mirror {
        store: Arc::new(store),
        account: 1,
        user: "ann".into(),
        config,
        main: true,
        composes: true,
        suspects: Arc::default(),
    }
}

fn guids(mirror: &Mirror) -> Vec<String> {
    let links = mirror.store.remote_all(1).unwrap();
    links.into_iter().map(|link| link.guid.as_str().to_owned()).collect()
}

/// Looks twice; somebody does `change` in the middle of the second look.
async fn looked(change: Meanwhile) -> (Vec<String>, Vec<String>, Tally) {
    let dir = tempfile::tempdir().unwrap();
    let mirror = mirror(&dir);
    let mut shelf = Shelf::default();
    for folder in ["Archive", "INBOX", "Work"] {
        shelf.put(folder, "stays");
    }
    shelf.put("INBOX", "one");
    assert_eq!(mirror.look(&mut shelf).await.unwrap().arrived, 4);
    let before = guids(&mirror);
    // Something else makes these folders worth a look.
    for folder in ["Archive", "INBOX", "Work"] {
        shelf.put(folder, "fresh");
    }
    shelf.meanwhile = Some(change);
    let mut tally = mirror.look(&mut shelf).await.unwrap();
    let more = mirror.look(&mut shelf).await.unwrap();
    tally.arrived += more.arrived;
    tally.lost += more.lost;
    (before, guids(&mirror), tally)
}

fn to(folder: &'static str, shelf: &mut Shelf) {
    shelf.take("INBOX", "one");
    shelf.put(folder, "one");
}

// mission: M5a
#[tokio::test]
async fn a_mail_moved_during_a_look_stays_the_same_mail() {
    let moves: [fn(&mut Shelf); 3] =
        [|shelf| to("Archive", shelf), |shelf| to("Work", shelf), |shelf| to("New", shelf)];
    for change in moves {
        for during in ["Archive", "INBOX", "Work"] {
            let (before, after, tally) = looked((during, change)).await;
            assert!(before.iter().all(|guid| after.contains(guid)), "during {during}: {before:?} {after:?}");
            assert_eq!((after.len(), tally.arrived, tally.lost), (7, 3, 0), "during {during}");
        }
    }
}

#[tokio::test]
async fn a_mail_deleted_during_a_look_is_gone() {
    for during in ["Archive", "INBOX", "Work"] {
        let (before, after, tally) = looked((during, |shelf| shelf.take("INBOX", "one"))).await;
        assert_eq!((before.len(), after.len(), tally.arrived, tally.lost), (4, 6, 3, 1), "during {during}");
    }
}

const SUBJECTS: [&str; 7] = ["one", "two", "three", "four", "five", "six", "seven"];

// mission: M12
// threat: M2
#[tokio::test]
async fn threat_m2_a_mail_that_ends_links_keeps_no_other_away_and_comes_when_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = mirror(&dir);
    let mut shelf = Shelf { ends: Some("three"), ..Shelf::default() };
    for subject in SUBJECTS {
        shelf.put("INBOX", subject);
        shelf.put("Work", subject);
    }
    let mut links = 0;
    // The one in each folder ends three links: all of the batch is suspect, then it alone is.
    while mirror.look(&mut shelf).await.is_err() {
        mirror.suspects.lock().unwrap().link_ended();
        links += 1;
        assert!(links < 10, "it goes on for ever");
    }
    assert_eq!((links, guids(&mirror).len()), (6, 12));
    let all: std::collections::BTreeSet<String> = guids(&mirror).into_iter().collect();
    assert_eq!(all.len(), 12, "each once");
    // Mended, it comes when its folder is looked at, after a while; what was counted is forgotten here at once.
    shelf.ends = None;
    *mirror.suspects.lock().unwrap() = Default::default();
    shelf.put("INBOX", "new");
    shelf.put("Work", "new");
    mirror.look(&mut shelf).await.unwrap();
    assert_eq!(guids(&mirror).len(), 16);
}

#[tokio::test]
async fn a_batch_that_breaks_off_begins_behind_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = mirror(&dir);
    let names: Vec<&'static str> = (0..250).map(|n| &*format!("mail {n}").leak()).collect();
    let mut shelf = Shelf { ends: Some(names[150]), ..Shelf::default() };
    names.iter().for_each(|name| shelf.put("INBOX", name));
    assert!(mirror.look(&mut shelf).await.is_err());
    mirror.suspects.lock().unwrap().link_ended();
    assert_eq!(guids(&mirror).len(), 100, "the first batch is here");
    // The link broke by chance: it does not break again.
    (shelf.ends, shelf.asked) = (None, 0);
    assert_eq!(mirror.look(&mut shelf).await.unwrap().arrived, 150);
    assert_eq!(guids(&mirror).len(), 250);
    assert_eq!(
        shelf.asked, 102,
        "the suspects alone, the others together, one of them left out and asked for again"
    );
}
