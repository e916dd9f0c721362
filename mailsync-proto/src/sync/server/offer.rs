//! Alerts 206 to 210 inside a session: what waits for a device is offered to it when the rest is done.
//!
//! Two things wait: what somebody has asked of the device ([`ask`]), and, if [`Config::offers_news`](super::Config)
//! says so, datastores that it has synced before and that have changes for it. A device that offers to take a collection's
//! notices ([`Collection::notice_type`](super::super::collection::Collection::notice_type), among the types of the datastore
//! in its DevInf) gets them without that setting, and with what happened in the Alert's item; others get the plain Alert. A device that announces that it takes
//! such alerts (sync type 7) gets them with the answer that would end the session; it answers, and its next message
//! begins with the Alerts of these datastores. One that says nothing more has lost nothing: all of the session is done.

use super::super::core::StoreConfig;
use super::super::devinf;
use super::super::event::{Event, Mode};
use super::super::state::Tag;
use super::super::store::{Changes, Cursor, ItemValue, Peer, PeerKey, Read, StoreKey, Value, Write};
use super::super::turn::{Missing, Reader};
use super::{Run, put_device};
use bytes::Bytes;
use idmap::Guid;
use serde::{Deserialize, Serialize};
use syncml::session::{Package, ServerExchange};
use syncml::{Alert, Command, Data, DevInf, Item, Meta, Source, StatusCode};

/// How often a session begins anew, at most.
const ROUNDS: u8 = 4;
/// Datastores asked for at once, at most.
const MOST: u32 = 32;
/// Changes that a notice tells of, at most.
const ROWS: u32 = 512;
/// The sync type of a device that takes Alerts of a server: DevInf facts, `SyncCap`.
const SERVER_ALERTED: u32 = 7;

/// A datastore that the device was asked to sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    store: Box<str>,
    mode: Mode,
    refused: bool,
    /// What happened, for a device that takes to be told: media type and object. It goes once and is not kept.
    #[serde(skip)]
    notice: Option<(Box<str>, Bytes)>,
}

impl Offer {
    /// The device has not refused it.
    pub(super) fn is_open(&self) -> bool {
        !self.refused
    }
}

/// Where requests for a device are kept: items of a datastore that no configuration names, one for each datastore.
fn requests(user: &str, device: &str) -> StoreKey {
    StoreKey { user: user.into(), datastore: format!("alerts for {device}").into() }
}

/// Asks a device to sync a datastore, in the next session that it holds; a later request for the datastore takes the
/// place of an earlier one. Commit what it gives.
///
/// # Errors
/// [`Missing`]: run it again with the rows that it asked for.
///
/// ```
/// use mailsync_proto::sync::server::offer;
/// use mailsync_proto::sync::store::{Found, Read, Value};
/// use mailsync_proto::sync::turn::Reader;
/// use mailsync_proto::sync::Mode;
/// let mut found = Found::default();
/// let mut reader = Reader::new(&found);
/// assert!(offer::ask(&mut reader, "ann", "IMEI:1", "notes", Mode::TwoWay).is_err());
/// for read in reader.missed() {
///     found.insert(read, Value::Item(None));
/// }
/// assert_eq!(offer::ask(&mut Reader::new(&found), "ann", "IMEI:1", "notes", Mode::TwoWay).unwrap().len(), 1);
/// ```
pub fn ask(
    reader: &mut Reader<'_>,
    user: &str,
    device: &str,
    store: &str,
    mode: Mode,
) -> Result<Vec<Write>, Missing> {
    let (key, guid) = (requests(user, device), Guid::unvalidated(store));
    let expect = match reader.read(Read::Item(key.clone(), guid.clone()))? {
        Value::Item(item) => item.as_ref().map(|item| item.rev),
        _ => None,
    };
    let value = ItemValue { kind: mode.name().into(), ..ItemValue::default() };
    Ok(vec![Write::PutItem { store: key, guid, expect, value, body: None }])
}

impl Run<'_, '_> {
    /// Asks for what waits, if all that was begun is done; true when our package is whole with it.
    pub(super) fn offer(&mut self, ex: &mut ServerExchange<'_>) -> Result<bool, Missing> {
        let done = self.core.stores.iter().all(|store| store.completed || !store.is_active());
        if !done {
            return Ok(true);
        }
        if self.state.offers.is_empty() && self.state.rounds < ROUNDS {
            let waiting = self.waiting()?;
            for mut offer in waiting {
                let tag = Tag::Offer(u8::try_from(self.state.offers.len()).unwrap_or(u8::MAX));
                let mut went = ex.send(alert(&offer), tag.to_bytes()).is_ok();
                if !went && offer.notice.take().is_some() {
                    went = ex.send(alert(&offer), tag.to_bytes()).is_ok();
                }
                if !went {
                    // What does not fit is offered in another session.
                    break;
                }
                let (store, mode) = (offer.store.clone(), offer.mode);
                self.core.events.push(Event::ServerAlerted { store, mode });
                self.state.offers.push(offer);
            }
        }
        // What was asked with package 4 is begun when package 6 has ended.
        if ex.package() == Package::Maps && self.state.offers.iter().any(|offer| !offer.refused) {
            self.state.rounds = self.state.rounds.saturating_add(1);
            self.state.reopened = true;
            ex.reopen();
        }
        Ok(true)
    }

    /// What the device is to be asked for, and has not done in this session.
    fn waiting(&mut self) -> Result<Vec<Offer>, Missing> {
        let key = requests(&self.core.user, &self.core.device);
        let peer = PeerKey { store: key.clone(), device: self.core.device.clone() };
        let all = Changes { peer, generation: u32::MAX, since: 0, upto: u64::MAX };
        let rows = self.core.reader.read(Read::Rows(all, Cursor::default(), MOST));
        let said = self.says();
        let news = match &said {
            Ok(said) => self.news(said.as_ref()),
            Err(Missing) => Err(Missing),
        };
        let (Value::Rows(rows), said, news) = (rows?, said?, news?) else { return Ok(Vec::new()) };
        let takes = said.is_some_and(|said| {
            said.data_stores.iter().any(|store| store.sync_cap.sync_types.contains(&SERVER_ALERTED))
        });
        let mut waiting = Vec::new();
        for row in rows {
            let (store, mode) = (row.item.guid.as_str(), Mode::of_name(&row.item.value.kind));
            let now = self.core.stores.iter().find(|now| *now.name == *store && now.completed);
            match mode.filter(|mode| now.is_none_or(|now| now.mode != *mode && *mode != Mode::TwoWay)) {
                Some(mode) => waiting.push(Offer { store: store.into(), mode, refused: false, notice: None }),
                None => self.core.batch.delete(&key, &row.item.guid, row.item.rev),
            }
        }
        for (store, notice) in news {
            if waiting.iter().all(|offer| offer.store != store) {
                waiting.push(Offer { store, mode: Mode::TwoWay, refused: false, notice });
            }
        }
        waiting.retain(|offer| offer.mode.server_code().is_some());
        Ok(if takes { waiting } else { Vec::new() })
    }

    /// What the device says of itself.
    fn says(&mut self) -> Result<Option<DevInf>, Missing> {
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        let Value::Device(kept) = self.core.reader.read(read)? else { return Ok(None) };
        let now = self.core.batch.writes().iter().rev().find_map(put_device);
        Ok(now.or(kept.as_ref()).and_then(|device| devinf::from_bytes(device.devinf.as_ref()?)))
    }

    /// Datastores that have changes for the device, and what happened in those of which it takes to be told.
    #[expect(clippy::type_complexity, reason = "a name, and what is said of it")]
    fn news(&mut self, said: Option<&DevInf>) -> Result<Vec<(Box<str>, Option<(Box<str>, Bytes)>)>, Missing> {
        let (mut news, mut missing) = (Vec::new(), false);
        for config in &self.config.stores {
            let caps = said.map(|said| devinf::caps(said, &self.theirs(config))).unwrap_or_default();
            let told = config.collection.notice_type();
            let told = told.filter(|told| caps.accepts.iter().any(|takes| takes.eq_ignore_ascii_case(told)));
            if told.is_none() && !self.config.offers_news {
                continue;
            }
            let notice = self.has_news(&config.name).and_then(|changes| {
                let found = changes.is_some();
                let (Some(changes), Some(told)) = (changes, told) else { return Ok((found, None)) };
                let Value::Rows(rows) =
                    self.core.reader.read(Read::Rows(changes.clone(), Cursor::default(), ROWS))?
                else {
                    return Ok((true, None));
                };
                let key = &changes.peer.store;
                let said = config.collection.notice(
                    &mut self.core.reader,
                    key,
                    (changes.since, rows.as_slice()),
                    caps.max_guid_size,
                )?;
                Ok((true, said.map(|said| (told.into(), said))))
            });
            match notice {
                Ok((true, notice)) => news.push((config.name.clone(), notice)),
                Ok((false, _)) => {}
                Err(Missing) => missing = true,
            }
        }
        if missing { Err(Missing) } else { Ok(news) }
    }

    /// How the device calls its own datastore.
    fn theirs(&self, config: &StoreConfig) -> Box<str> {
        let now = self.core.stores.iter().find(|store| *store.name == *config.name);
        now.map_or_else(|| config.name.clone(), |now| now.theirs.clone())
    }

    /// The changes that a datastore has for the device, if any.
    fn has_news(&mut self, name: &str) -> Result<Option<Changes>, Missing> {
        let key = self.core.peer_key(name);
        let now = self.core.stores.iter().find(|store| *store.name == *name);
        let (generation, since) = match now {
            // With a filter it takes a walk to know.
            Some(now) if now.filter.is_some() || !now.completed => return Ok(None),
            Some(now) => (now.generation, now.upto.unwrap_or(now.since)),
            None => match self.core.reader.read(Read::Peer(key.clone()))? {
                Value::Peer(Some(Peer { generation, committed: Some(point), filter: None, .. })) => {
                    (*generation, point.rev)
                }
                _ => return Ok(None),
            },
        };
        let changes = Changes { peer: key, generation, since, upto: u64::MAX };
        let count = self.core.reader.read(Read::Count(changes.clone()))?;
        Ok(Some(changes).filter(|_| matches!(count, Value::Count(count) if *count > 0)))
    }

    /// The device has said whether it wants to. What it refuses is not asked again.
    pub(super) fn offer_answered(&mut self, index: usize, code: StatusCode) -> Result<(), Missing> {
        let Some(offer) = self.state.offers.get_mut(index).filter(|_| code.is_error()) else { return Ok(()) };
        offer.refused = true;
        let store = offer.store.clone();
        self.refused(&store, code);
        let (key, guid) = (requests(&self.core.user, &self.core.device), Guid::unvalidated(&*store));
        if let Some(item) = self.core.item(&key, &guid)?.filter(|item| !item.deleted) {
            self.core.batch.delete(&key, &guid, item.rev);
        }
        Ok(())
    }
}

/// An Alert of the server for one of its datastores.
// spec: session facts sections 2 and 12.2: the item names the server's datastore as Source
fn alert(offer: &Offer) -> Command {
    let mut item = Item::default();
    item.source = Some(Source::new(&format!("./{}", offer.store)));
    if let Some((media_type, data)) = &offer.notice {
        // mission: M4b
        let mut meta = Meta::default();
        meta.type_ = Some(media_type.clone());
        item.meta = Some(Box::new(meta));
        item.data = Some(Data::Bytes(data.clone()));
    }
    let mut alert = Alert::default();
    alert.code = offer.mode.server_code();
    alert.items.push(item);
    Command::Alert(Box::new(alert))
}
