//! A mailbox over POP3: mail comes out of it, and nothing but a deletion goes back.
//!
//! | POP3 | here |
//! |---|---|
//! | maildrop | the folder `INBOX`; there is no other |
//! | `UIDL` and size | the id of a mail. A unique-id that comes again with another size is another mail |
//! | `TOP` | the header, by which a mail is known again when the server changes its unique-ids |
//! | `RETR` | the text |
//! | `DELE`, then `QUIT` | a deletion: done when the server has said yes to `QUIT` |
//!
//! A session holds a lock on the maildrop and does not see what comes, so it ends after each look. Marks, places and new
//! mails have no counterpart: what is done to them here stays here. A mail that is gone there stays here.
// spec: RFC 1939, RFC 2449 (CAPA), RFC 2595 §4 (STLS), RFC 5034 (AUTH)
// mission: M12

mod connection;

use super::imap::Credentials;
use super::link::Trust;
use super::{Done, Error, Folders, Looked, Mailbox, Woken};
use bytes::Bytes;
use connection::{Connection, LISTING, Said};
use mailsync_proto::mail::account::Server;
use mailsync_proto::mirror::folders::{FolderLink, FolderSeen};
use mailsync_proto::mirror::mails::{Described, Key, Link, Listing, RemoteId, SeenMail};
use mailsync_proto::mirror::{Marks, Operation};
use mailsync_proto::sync::collection::match_key;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

/// The only folder.
const INBOX: &str = "INBOX";
/// All ids are of this kind, as long as they are made so.
const IDENTITY: &str = "uidl";
/// Octets of a header that is looked at.
const HEADER: usize = 256 << 10;
/// Octets of a mail that is fetched whole.
// spec: threats, default limits
const MAIL_OCTETS: usize = 32 << 20;
/// Mails over which the link may end, in one look.
const BAD: usize = 20;
/// Octets of a unique-id; RFC 1939 §7 says 70.
const UIDL: usize = 512;

/// A mailbox over POP3.
pub struct Pop3 {
    trust: Trust,
    place: Server,
    login: Credentials,
    link: Option<Connection>,
    mails: Mails,
    /// What was kept of the ids is known: only then is sure which mail is meant.
    told: bool,
    /// Mails whose fetching ended the link: they are tried again in the next session of ours, not in this one.
    bad: HashSet<RemoteId>,
    /// Between two logins.
    delay: Duration,
}

impl Pop3 {
    /// Connects and logs in.
    pub async fn open(trust: &Trust, place: &Server, login: &Credentials) -> Result<Self, Error> {
        let mut pop3 = Pop3 {
            trust: trust.clone(),
            place: place.clone(),
            login: login.clone(),
            link: None,
            mails: Mails::default(),
            told: false,
            bad: HashSet::new(),
            delay: Duration::ZERO,
        };
        pop3.session("").await?;
        Ok(pop3)
    }

    /// Ends the session.
    pub async fn close(mut self) {
        let _ = self.quit().await;
    }

    /// A session, and what is in the maildrop as it sees it.
    async fn session(&mut self, state: &str) -> Result<&mut Connection, Error> {
        let link = match self.link.take() {
            Some(link) => link,
            None => {
                let mut link = Connection::open(&self.trust, &self.place, &self.login).await?;
                self.delay = link.login_delay();
                let uidl = listing(&mut link, "UIDL").await?.ok_or_else(|| {
                    Error::Refused("the server has no UIDL, so mails cannot be told apart".into())
                })?;
                let sizes = listing(&mut link, "LIST").await?;
                let sizes = sizes.ok_or_else(|| Error::Refused("the server lists no mails".into()))?;
                let state = if state.is_empty() { self.mails.state() } else { state.into() };
                self.mails = Mails::of(&uidl, &sizes, &state);
                link
            }
        };
        Ok(self.link.insert(link))
    }

    /// Ends the session: only now is deleted what was to be deleted.
    // spec: RFC 1939 §6
    async fn quit(&mut self) -> Result<(), Error> {
        let Some(mut link) = self.link.take() else { return Ok(()) };
        match link.command("QUIT").await? {
            Said::Ok(_) => Ok(()),
            Said::No(words) => Err(Error::Refused(words)),
        }
    }

    /// The lines that answer a command; none where the server refuses it. When the link breaks over it, the mail is left
    /// alone and the session begins anew.
    // threats: M2: one broken message costs that message
    async fn lines(&mut self, command: &str, id: RemoteId, most: usize) -> Result<Option<Bytes>, Error> {
        let link = self.session("").await?;
        let lines = async {
            match link.command(command).await? {
                Said::Ok(_) => link.body(most).await.map(Some),
                Said::No(words) => {
                    tracing::warn!(id, words, "pop3: a mail is refused");
                    Ok(None)
                }
            }
        };
        match lines.await {
            Ok(lines) => Ok(lines.map(Bytes::from)),
            Err(Error::Link(words)) => {
                tracing::warn!(id, words, "pop3: the link ended over a mail");
                self.link = None;
                self.bad.insert(id);
                if self.bad.len() > BAD {
                    return Err(Error::Link(format!("it ended over {BAD} mails: {words}")));
                }
                self.session("").await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The numbers that a command lists, each with what stands behind it; none where the server refuses.
async fn listing(link: &mut Connection, command: &str) -> Result<Option<HashMap<u32, String>>, Error> {
    if let Said::No(words) = link.command(command).await? {
        tracing::warn!(command, words, "pop3: refused");
        return Ok(None);
    }
    let text = link.body(LISTING).await?;
    let mut found = HashMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let split = line.trim().split_once(' ');
        match split.and_then(|(number, rest)| Some((number.parse().ok()?, rest.trim()))) {
            Some((number, rest)) if !rest.is_empty() && rest.len() <= UIDL => {
                found.insert(number, rest.to_owned());
            }
            _ => tracing::warn!(command, octets = line.len(), "pop3: a line of a listing is lost"),
        }
    }
    Ok(Some(found))
}

/// The mails of a maildrop, by our ids of them.
#[derive(Debug, Default)]
struct Mails {
    by_id: HashMap<RemoteId, Mail>,
    /// Mails whose id is not the one that their unique-id gives: another one had it.
    moved: HashMap<u64, RemoteId>,
    /// Mails of the listing are missing here.
    torn: bool,
}

#[derive(Debug)]
struct Mail {
    /// The number that it has in this session.
    number: u32,
    size: u64,
    hash: u64,
    /// Another one has the same unique-id: which of both is meant is never sure.
    shared: bool,
}

impl Mails {
    /// Gives each mail its id, the same in every session.
    fn of(uidl: &HashMap<u32, String>, sizes: &HashMap<u32, String>, state: &str) -> Mails {
        let before: HashMap<u64, RemoteId> = state
            .lines()
            .filter_map(|line| {
                let (hash, id) = line.split_once(' ')?;
                Some((u64::from_str_radix(hash, 16).ok()?, id.parse().ok()?))
            })
            .collect();
        let mut numbers: Vec<(&u32, &String)> = sizes.iter().collect();
        numbers.sort_unstable();
        let mut mails = Mails::default();
        let mut taken: HashSet<RemoteId> = before.values().copied().collect();
        let mut copies: HashMap<u64, u32> = HashMap::new();
        let mut owners: HashMap<&str, u32> = HashMap::new();
        for unique in uidl.values() {
            *owners.entry(unique).or_insert(0) += 1;
        }
        for (number, size) in numbers {
            let Some(unique) = uidl.get(number) else {
                mails.torn = true;
                continue;
            };
            let size = size.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0u64);
            let copy = copies.entry(hash(unique, size, 0)).or_insert(0);
            *copy += 1;
            let shared = owners.get(&**unique).is_some_and(|owners| *owners > 1);
            let hash = hash(unique, size, *copy);
            let id = before.get(&hash).copied().unwrap_or_else(|| {
                // The upper half never is: these ids fit wherever a UID does.
                let own = u32::try_from(hash & 0x7FFF_FFFF).unwrap_or(0).max(1);
                let free = (own..).find(|id| !taken.contains(id)).unwrap_or(own);
                if free != own {
                    mails.moved.insert(hash, free);
                }
                free
            });
            if before.contains_key(&hash) {
                mails.moved.insert(hash, id);
            }
            taken.insert(id);
            mails.by_id.insert(id, Mail { number: *number, size, hash, shared });
        }
        mails
    }

    /// What is to be known the next time.
    fn state(&self) -> String {
        let mut lines: Vec<String> =
            self.moved.iter().map(|(hash, id)| format!("{hash:016x} {id}\n")).collect();
        lines.sort();
        lines.concat()
    }
}

fn hash(unique: &str, size: u64, copy: u32) -> u64 {
    let key = match_key(&[b"pop3", unique.as_bytes(), &size.to_be_bytes(), &copy.to_be_bytes()]).0;
    key.iter().take(8).fold(0, |hash, octet| hash << 8 | u64::from(*octet))
}

impl Mailbox for Pop3 {
    async fn folders(&mut self) -> Result<Folders, Error> {
        // A session sees the maildrop as it was when it began.
        self.quit().await?;
        let inbox = FolderSeen {
            path: INBOX.into(),
            name: INBOX.into(),
            parent: None,
            special: None,
            selectable: true,
            identity: Some(IDENTITY.into()),
            state: None,
        };
        Ok(Folders { seen: vec![inbox], torn: false })
    }

    async fn look(&mut self, folder: &FolderLink, known: &[Link]) -> Result<Looked, Error> {
        self.told = true;
        self.session(&folder.state).await?;
        // The server has no marks: a mail has those that we gave it.
        let marks: HashMap<RemoteId, Marks> =
            known.iter().filter_map(|link| Some((link.id?, link.marks))).collect();
        let seen = |id: &RemoteId| SeenMail { id: *id, marks: marks.get(id).copied().unwrap_or(Marks::NONE) };
        let mails = self.mails.by_id.keys().map(seen).collect();
        let listing = Listing::Whole { mails, torn: self.mails.torn };
        Ok(Looked { listing, identity: IDENTITY.into(), state: self.mails.state().into() })
    }

    async fn describe(
        &mut self,
        folder: &FolderLink,
        mails: &[(RemoteId, Marks)],
    ) -> Result<Vec<Described>, Error> {
        let mut described = Vec::with_capacity(mails.len());
        for &(id, marks) in mails {
            let tops = self.session("").await?.can("TOP");
            let Some(mail) = self.mails.by_id.get(&id).filter(|_| !self.bad.contains(&id)) else { continue };
            let (number, size, hash) = (mail.number, mail.size, mail.hash);
            let header = match tops {
                true => self.lines(&format!("TOP {number} 0"), id, HEADER).await?,
                false => None,
            };
            let key = match header {
                Some(header) => Key::of(&header, size, None),
                // Known again by its unique-id alone.
                None => {
                    let own = match_key(&[b"pop3 mail", &hash.to_be_bytes()]).0;
                    Key { strong: own, weak: own }
                }
            };
            let folder = folder.guid.clone();
            described.push(Described { folder, id, marks, key, size, received: None });
        }
        Ok(described)
    }

    async fn fetch(&mut self, _: &str, id: RemoteId, most: u64) -> Result<Option<Bytes>, Error> {
        self.session("").await?;
        let Some(mail) = self.mails.by_id.get(&id).filter(|_| !self.bad.contains(&id)) else {
            return Ok(None);
        };
        let command = format!("RETR {}", mail.number);
        let most = usize::try_from(most).unwrap_or(MAIL_OCTETS).min(MAIL_OCTETS);
        self.lines(&command, id, most).await
    }

    async fn find(&mut self, _: &str, _: &str) -> Result<Option<RemoteId>, Error> {
        // Nothing is ever added.
        Ok(None)
    }

    async fn perform(&mut self, operation: &Operation, _: Option<&Bytes>) -> Result<Done, Error> {
        match operation {
            Operation::Expunge { id, .. } => self.discard(&[*id]).await.map(|()| Done::default()),
            // What there is no way to say to the server counts as said.
            _ => Ok(Done::default()),
        }
    }

    async fn discard(&mut self, ids: &[RemoteId]) -> Result<(), Error> {
        if !self.told {
            return Err(Error::Refused("its mails have not been looked at yet".into()));
        }
        self.session("").await?;
        let mut refused = None;
        for id in ids {
            let Some(mail) = self.mails.by_id.get(id) else { continue };
            if mail.shared {
                // threat: S11: the wrong one may be deleted
                refused = Some("two mails have the same unique-id; neither is deleted".to_owned());
                continue;
            }
            let command = format!("DELE {}", mail.number);
            if let Said::No(words) = self.session("").await?.command(&command).await? {
                refused = Some(words);
            }
        }
        self.quit().await?;
        refused.map_or(Ok(()), |words| Err(Error::Refused(words)))
    }

    async fn wait(&mut self, limit: Duration, wake: impl Future<Output = ()> + Send) -> Result<Woken, Error> {
        self.quit().await?;
        self.bad.clear();
        let (least, most) = (self.delay, limit.max(self.delay));
        tokio::time::sleep(least).await;
        tokio::select! {
            () = tokio::time::sleep(most.saturating_sub(least)) => {}
            () = wake => {}
        }
        Ok(Woken::Here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(list: &[(u32, &str, &str)], state: &str) -> Mails {
        let uidl = list.iter().map(|(number, unique, _)| (*number, (*unique).to_owned())).collect();
        let sizes = list.iter().map(|(number, _, size)| (*number, (*size).to_owned())).collect();
        Mails::of(&uidl, &sizes, state)
    }

    fn id_of(mails: &Mails, number: u32) -> RemoteId {
        *mails.by_id.iter().find(|(_, mail)| mail.number == number).unwrap().0
    }

    #[test]
    fn ids_stay_when_numbers_change_and_a_reused_unique_id_is_another_mail() {
        let before = mails(&[(1, "a", "100"), (2, "b", "200"), (3, "c", "300")], "");
        let after = mails(&[(1, "b", "200"), (2, "c", "300"), (3, "a", "101")], &before.state());
        assert_eq!(id_of(&before, 2), id_of(&after, 1));
        assert_eq!(id_of(&before, 3), id_of(&after, 2));
        assert_ne!(id_of(&before, 1), id_of(&after, 3), "the same unique-id, another mail");
    }

    #[test]
    fn threat_s11_two_mails_of_one_unique_id_stay_two_and_are_not_deleted() {
        let twice = mails(&[(1, "a", "100"), (2, "a", "100"), (3, "b", "1")], "");
        assert_eq!(twice.by_id.len(), 3);
        assert_eq!(twice.by_id.values().filter(|mail| mail.shared).count(), 2);
    }

    #[test]
    fn an_id_that_is_taken_moves_and_stays_where_it_moved() {
        let first = mails(&[(1, "a", "1")], "");
        let (id, mail) = first.by_id.iter().next().unwrap();
        // As if another mail had had this id before.
        let other = format!("{:016x} {id}\n", mail.hash ^ 1);
        let moved = mails(&[(1, "a", "1")], &other);
        let new = id_of(&moved, 1);
        assert_ne!(new, *id);
        assert_eq!(id_of(&mails(&[(1, "a", "1")], &moved.state()), 1), new);
    }

    #[test]
    fn a_mail_without_a_unique_id_is_left_out_and_said() {
        let sizes = HashMap::from([(1, "10".to_owned()), (2, "20".to_owned())]);
        let torn = Mails::of(&HashMap::from([(2, "b".to_owned())]), &sizes, "");
        assert!(torn.torn && torn.by_id.len() == 1);
    }
}
