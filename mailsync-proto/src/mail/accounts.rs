//! Accounts as a [`Collection`]: what a client registers is checked at the mail servers before it is stored.

use super::account::{self, Account};
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described, match_key,
};
use crate::sync::store::{ItemValue, PeerKey, Question, Read, StoreKey, Value};
use crate::sync::turn::Missing;
use bytes::Bytes;
use idmap::{Guid, Luid};
use serde::{Deserialize, Serialize};
use syncml::{CtType, DataStore, StatusCode, Version};

/// The datastore's name.
pub const DATASTORE: &str = "accounts";

/// Accounts of a user at mail servers.
///
/// A server asks ([`Read::Ask`]) whether the mail servers let the account in; the answer is its secret, sealed, and
/// that is what it keeps in the item's `fields`: nothing for an account of one session ([`Account::per_session`]), whose
/// secret must come each time. The body is the object without the secret. A client keeps what it has.
// mission: M8a, M8c
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountCollection;

/// What is asked about an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whose.
    pub user: Box<str>,
    /// The item: its secret is sealed for it.
    pub guid: Box<str>,
    /// The object, with its secret if it came with one.
    pub account: Vec<u8>,
    /// The sealed secret that is stored, where none came.
    pub sealed: Option<Vec<u8>>,
}

impl Check {
    /// The stored form, for [`Question`].
    pub fn to_bytes(&self) -> Bytes {
        postcard::to_stdvec(self).unwrap_or_default().into()
    }

    /// Reads it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// What an account is, as an item: `sealed` is its secret.
pub fn account_value(account: &Account, sealed: &[u8]) -> ItemValue {
    let parts = [&account.address, &account.login, &account.inbound.host];
    let parts = parts.map(|part| part.to_lowercase());
    let [address, login, host] = &parts;
    ItemValue {
        rank: 0,
        parent: None,
        kind: account::MEDIA_TYPE.into(),
        fields: Bytes::copy_from_slice(sealed),
        match_keys: vec![match_key(&[b"account", address.as_bytes(), login.as_bytes(), host.as_bytes()])],
    }
}

/// Who answers which folders an account has: the question is the user and our id of the account, the answer the ids of its
/// folders, each with a line end between.
pub const FOLDERS: &str = "account folders";
/// Folders of an account that are looked at: all of them stand in the session.
const MOST: usize = 200;

/// The question for [`FOLDERS`].
pub fn folders_question(user: &str, guid: &str) -> Question {
    Question(postcard::to_stdvec(&(user, guid)).unwrap_or_default().into())
}

/// The user and the account of a question for [`FOLDERS`].
pub fn folders_asked(question: &Question) -> Option<(String, String)> {
    postcard::from_bytes(&question.0).ok()
}

/// The folders of an account that a device calls so; none of one that there is not.
// mission: M8b
pub(super) fn folders(cx: &mut Context<'_, '_>, device: &str, luid: &str) -> Result<Vec<Guid>, Missing> {
    let store = StoreKey { user: cx.user.into(), datastore: DATASTORE.into() };
    let peer = PeerKey { store, device: device.into() };
    let generation = match cx.read(Read::Peer(peer.clone()))? {
        Value::Peer(kept) => kept.as_ref().map_or(0, |kept| kept.generation),
        _ => 0,
    };
    let own = match Luid::try_from(luid) {
        Ok(luid) => match cx.read(Read::ByLuid(peer, generation, luid))? {
            Value::Entry(entry) => entry.as_ref().map(|entry| entry.guid.to_string()),
            _ => None,
        },
        Err(_) => None,
    };
    // What the operator added no device has given an id.
    let question = folders_question(cx.user, own.as_deref().unwrap_or(luid));
    let Value::Answer(Ok(found)) = cx.read(Read::Ask(FOLDERS.into(), question))? else {
        return Ok(Vec::new());
    };
    let text = core::str::from_utf8(found).unwrap_or_default();
    Ok(text.lines().take(MOST).filter_map(|line| Guid::try_from(line).ok()).collect())
}

impl Collection for AccountCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        described(source_ref, "Mail accounts", &[CtType::new(account::MEDIA_TYPE, account::VERSION)])
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        true
    }

    fn project(&self, _projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let data = body.ok_or_else(|| Refusal { reason: "its object is not here".into() })?.clone();
        Ok(Wire { media_type: account::MEDIA_TYPE.into(), data })
    }

    fn same_state(&self, a: &ItemValue, b: &ItemValue) -> bool {
        // Where a secret is sealed anew the account is the same.
        a.kind == b.kind && a.parent == b.parent
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", account::MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no account".into()));
        }
        let account = Account::parse(incoming.data)?;
        if !incoming.server {
            let mut absorbed = Absorbed::new(account_value(&account, b""));
            absorbed.body = Some(incoming.data.clone());
            return Ok(absorbed);
        }
        let sealed =
            incoming.existing.map(|item| item.value.fields.to_vec()).filter(|sealed| !sealed.is_empty());
        // mission: M8c: what comes for one session comes with each, and nothing of it stays.
        let sealed = sealed.filter(|_| !account.per_session);
        if account.secret.is_none() && sealed.is_none() {
            return Err(Stop::Refuse(StatusCode::INCOMPLETE, "an account without its secret".into()));
        }
        let check = Check {
            user: cx.user.into(),
            guid: incoming.guid.as_str().into(),
            account: account.to_xml().to_vec(),
            sealed: sealed.filter(|_| account.secret.is_none()),
        };
        match cx.read(Read::Ask(DATASTORE.into(), Question(check.to_bytes())))? {
            Value::Answer(Ok(sealed)) => {
                let mut absorbed = Absorbed::new(account_value(&account, sealed));
                absorbed.body = Some(account.without_secret().to_xml());
                Ok(absorbed)
            }
            Value::Answer(Err((code, words))) => Err(Stop::Refuse(StatusCode(*code), words.to_string())),
            _ => Err(Stop::Refuse(StatusCode::COMMAND_FAILED, "nobody checks accounts here".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::account::{AccountSecret, Server, Tls};
    use crate::sync::store::{Found, Item};
    use crate::sync::turn::Reader;

    // mission: M8a
    #[test]
    fn stored_only_with_a_yes_and_never_with_the_secret() {
        let server = Server::parse("h:1", Tls::Implicit).unwrap();
        let mut account = Account::new("a@b.example", server);
        account.secret = Some(AccountSecret("hunter2".into()));
        let (data, guid) = (account.to_xml(), Guid::unvalidated("g1"));
        let key = StoreKey { user: "ann".into(), datastore: DATASTORE.into() };
        let incoming = Incoming::new(account::MEDIA_TYPE, &data, &guid, true);
        let run = |found: &Found| {
            let mut reader = Reader::new(found);
            let absorbed =
                AccountCollection.absorb(&mut Context::new(&key, "ann", 0, &mut reader), &incoming);
            (absorbed, reader.missed())
        };
        let (stop, asked) = run(&Found::default());
        assert!(matches!(stop, Err(Stop::Missing(_))), "{stop:?}");
        assert!(!format!("{asked:?}").contains("hunter2") && asked.len() == 1);
        let mut no = Found::default();
        no.insert(asked[0].clone(), Value::Answer(Err((403, "login refused".into()))));
        assert_eq!(run(&no).0, Err(Stop::Refuse(StatusCode::FORBIDDEN, "login refused".into())));
        let mut yes = Found::default();
        yes.insert(asked[0].clone(), Value::Answer(Ok(Bytes::from_static(b"sealed"))));
        let absorbed = run(&yes).0.unwrap();
        assert_eq!(&*absorbed.value.fields, b"sealed");
        assert_eq!(absorbed.body.unwrap(), account.without_secret().to_xml());
        // For one session: a sealed secret of before is of no use.
        let mut one = account.without_secret();
        one.per_session = true;
        let (data, value) = (one.to_xml(), account_value(&account, b"sealed"));
        let item = Item { guid: guid.clone(), rev: 1, body_rev: 1, deleted: false, value, size: 0 };
        let again = Incoming::new(account::MEDIA_TYPE, &data, &guid, true).with_existing(Some(&item));
        let mut reader = Reader::new(&yes);
        let stop = AccountCollection.absorb(&mut Context::new(&key, "ann", 0, &mut reader), &again);
        assert!(matches!(stop, Err(Stop::Refuse(StatusCode::INCOMPLETE, _))), "{stop:?}");
        let bare = account.without_secret().to_xml();
        let incoming = Incoming::new(account::MEDIA_TYPE, &bare, &guid, true);
        let mut reader = Reader::new(&yes);
        let stop = AccountCollection.absorb(&mut Context::new(&key, "ann", 0, &mut reader), &incoming);
        assert!(matches!(stop, Err(Stop::Refuse(StatusCode::INCOMPLETE, _))), "{stop:?}");
    }
}
