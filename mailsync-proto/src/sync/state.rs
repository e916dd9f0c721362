//! What a session of the engine remembers of each datastore.

use super::core::Side;
use super::event::{Counts, Mode, WhySlow};
use super::filter::Filter;
use super::store::{Changes, Cursor, MatchKey, Peer, PeerKey, SyncPoint};
use idmap::Guid;
use serde::{Deserialize, Serialize};
use syncml::{AlertCode, CommandName, StatusCode};

/// One datastore of a session, on either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreSync {
    /// Its name in our configuration.
    pub(crate) name: Box<str>,
    /// How the peer calls its own datastore.
    pub(crate) theirs: Box<str>,
    /// How the peer calls ours (server), or how we call ours (client).
    pub(crate) ours: Box<str>,
    /// What was asked for.
    pub(crate) wanted: Mode,
    /// What was agreed on.
    pub(crate) mode: Mode,
    pub(crate) why_slow: Option<WhySlow>,
    /// The map generation that is worked in.
    pub(crate) generation: u32,
    /// What was stored when the session began.
    pub(crate) base: Peer,
    /// The peer's `Next` of this session, once it is known.
    pub(crate) their_next: Option<Box<str>>,
    /// Our `Next` of this session.
    pub(crate) our_next: Box<str>,
    /// Our `Last`.
    pub(crate) our_last: Option<Box<str>>,
    /// Our Alert went out.
    pub(crate) alerted: bool,
    /// Our changes: after this revision...
    pub(crate) since: u64,
    /// ... up to this one, fixed when the first of them goes.
    pub(crate) upto: Option<u64>,
    /// Where the walk that is under way began: a second one begins where the first ended.
    pub(crate) from: u64,
    pub(crate) cursor: Cursor,
    /// Our `Sync` was opened at least once.
    pub(crate) opened: bool,
    /// All our changes went.
    pub(crate) done: bool,
    /// A conflict made a change that goes in a second walk.
    pub(crate) walk_again: bool,
    /// In a refresh: what the other side's items have not confirmed, and where its removal stands.
    pub(crate) sweep: Option<Sweep>,
    /// Match keys of many items, and up to which one these are used up.
    pub(crate) frontiers: Vec<(MatchKey, Guid)>,
    /// Whether it goes on with what an earlier session left.
    pub(crate) resume: Resume,
    /// The mode that our Alert names, where it is not `mode`.
    pub(crate) said: Option<Mode>,
    /// It was said that much is deleted.
    pub(crate) warned: bool,
    /// What the peer wants of it.
    pub(crate) filter: Option<Filter>,
    /// What we want of the peer.
    pub(crate) asks: Option<Box<syncml::Filter>>,
    /// The filter is another than last time: also what did not change is looked at.
    pub(crate) all: bool,
    /// That walk is under way.
    pub(crate) live: bool,
    /// Containers that are gone: they go last, when what was in them is gone.
    pub(crate) containers: Containers,
    /// What the peer has room for: octets, and items.
    pub(crate) free: Option<(u64, u64)>,
    /// What we say that we have room for.
    pub(crate) room: Option<(u64, u64)>,
    /// The peer has no more room for new items.
    pub(crate) full: bool,
    /// An item that stopped half-way is to go again.
    pub(crate) retry: Retry,
    /// Its sync point is stored.
    pub(crate) completed: bool,
    /// The lowest revision that the peer has not taken: the sync point stays below it.
    pub(crate) untaken: Option<u64>,
    /// Not synced: the status that says why.
    pub(crate) failed: Option<u16>,
    pub(crate) received: Counts,
    pub(crate) sent: Counts,
}

/// Where the wish to go on with an earlier session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Resume {
    #[default]
    No,
    Asked,
    Accepted,
    Refused,
}

/// Where the deletion of containers stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Containers {
    /// None is gone.
    #[default]
    No,
    /// Some wait for the end of the walk.
    Wait,
    /// Now they go.
    Now,
}

/// Whether the walk is gone through once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Retry {
    #[default]
    No,
    Wanted,
    Done,
}

/// What a refresh removes: everything up to a revision that has no entry in the new generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// Fixed when the refresh begins: what is made meanwhile stays.
    pub(crate) upto: u64,
    pub(crate) cursor: Cursor,
}

impl StoreSync {
    pub(crate) fn new(name: &str, ours: &str, theirs: &str, base: Peer, our_next: Box<str>) -> Self {
        StoreSync {
            name: name.into(),
            theirs: theirs.into(),
            ours: ours.into(),
            wanted: Mode::TwoWay,
            mode: Mode::TwoWay,
            why_slow: None,
            generation: base.generation,
            base,
            their_next: None,
            our_next,
            our_last: None,
            alerted: false,
            since: 0,
            upto: None,
            from: 0,
            cursor: Cursor::default(),
            opened: false,
            done: false,
            walk_again: false,
            sweep: None,
            frontiers: Vec::new(),
            resume: Resume::No,
            said: None,
            warned: false,
            filter: None,
            asks: None,
            all: false,
            live: false,
            containers: Containers::No,
            free: None,
            room: None,
            full: false,
            retry: Retry::No,
            completed: false,
            untaken: None,
            failed: None,
            received: Counts::default(),
            sent: Counts::default(),
        }
    }

    /// From a sync point on.
    pub(crate) fn go_on(&mut self, mode: Mode, point: &SyncPoint) {
        self.mode = mode;
        self.since = point.rev;
        self.from = point.rev;
        self.our_last = Some(point.ours.clone());
    }

    /// Everything anew, into a generation that no earlier attempt has touched. The caller stores `base`.
    // law 6: it becomes current only on success
    pub(crate) fn anew(&mut self, mode: Mode, why: Option<WhySlow>) {
        self.mode = mode;
        self.why_slow = why;
        self.base.started = self.base.started.max(self.base.generation).saturating_add(1);
        self.generation = self.base.started;
        self.since = 0;
        self.from = 0;
    }

    /// All that we have up to `head` is either confirmed or goes.
    pub(crate) fn sweep_upto(&mut self, head: u64) {
        self.since = head;
        self.sweep = Some(Sweep { upto: head, cursor: Cursor::default() });
    }

    /// The code of our Alert.
    pub(crate) fn alert_code(&self, side: Side) -> AlertCode {
        if side == Side::Client && self.resume == Resume::Asked {
            return AlertCode::RESUME;
        }
        self.said.unwrap_or(self.mode).code()
    }

    /// Whether our changes go. Who asked to receive only sends nothing, even when all is compared.
    pub(crate) fn sends(&self, side: Side) -> bool {
        self.mode.sends(side) && (side == Side::Server || self.wanted.sends(side))
    }

    /// Whether the peer's changes are written.
    pub(crate) fn takes(&self, side: Side) -> bool {
        self.mode.takes(side) && (side == Side::Server || self.wanted.takes(side))
    }

    /// The status for a change of the peer that is not taken.
    pub(crate) fn not_taking(&self, side: Side) -> StatusCode {
        // The peer keeps it for later where it may rightly have sent it.
        if self.mode.takes(side) { StatusCode::RETRY_LATER } else { StatusCode::FORBIDDEN }
    }

    pub(crate) fn fail(&mut self, code: StatusCode) {
        self.failed.get_or_insert(code.0);
        self.done = true;
    }

    pub(crate) fn is_active(&self) -> bool {
        self.failed.is_none()
    }

    pub(crate) fn not_taken(&mut self, rev: u64) {
        self.untaken = Some(self.untaken.map_or(rev, |lowest| lowest.min(rev)));
    }

    pub(crate) fn changes(&self, peer: &PeerKey, upto: u64) -> Changes {
        Changes { peer: peer.clone(), generation: self.generation, since: self.from, upto }
    }

    /// What is stored when the session ended well; `partial`: some of what changed did not go.
    pub(crate) fn completed(&self, side: Side, partial: bool) -> Option<Peer> {
        // What did not go in a one-way sync is still to go.
        let partly = partial || self.filter.as_ref().is_some_and(|filter| filter.inclusive);
        let upto = if self.sends(side) && !partly { self.upto? } else { self.since };
        let rev = self.untaken.map_or(upto, |rev| upto.min(rev.saturating_sub(1)));
        let point = SyncPoint { theirs: self.their_next.clone()?, ours: self.our_next.clone(), rev };
        // An older point is of an older generation when all went anew.
        let previous = (!self.mode.is_anew()).then(|| self.base.committed.clone()).flatten();
        Some(Peer {
            generation: self.generation,
            started: self.base.started.max(self.generation),
            committed: Some(point),
            previous,
            filter: if partly { self.base.filter } else { self.filter.as_ref().map(Filter::digest) },
        })
    }
}

/// What a sent command reminds us of when its status comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tag {
    /// The Alert of a datastore.
    Alert(u8),
    /// An item.
    Item { store: u8, guid: Guid, rev: u64, kind: Kind },
    /// Pairs of a Map.
    Maps { store: u8, guids: Vec<Guid> },
    /// A server's request for a sync.
    Offer(u8),
}

/// What was sent of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Add,
    Replace,
    Delete,
    /// It leaves the device, not the set.
    SoftDelete,
}

impl Kind {
    pub(crate) fn cmd(self) -> CommandName {
        match self {
            Kind::Add => CommandName::Add,
            Kind::Replace => CommandName::Replace,
            Kind::Delete | Kind::SoftDelete => CommandName::Delete,
        }
    }
}

impl Tag {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// What the peer makes of a status for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has it.
    Taken,
    /// It will never have it in this state: not offered again until it changes.
    Never,
    /// Not now: offered again next time.
    Later,
    /// It does not know the item that we replace or delete.
    Unknown,
}

impl Outcome {
    pub(crate) fn of(code: StatusCode) -> Self {
        match code {
            // 418: it is there already; 419, 409...: the receiver resolved a conflict and will say how.
            code if code.is_success() => Outcome::Taken,
            StatusCode::ALREADY_EXISTS | StatusCode::CONFLICT_SERVER_WON => Outcome::Taken,
            StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Unknown,
            StatusCode::UNSUPPORTED_TYPE
            | StatusCode::TOO_LARGE
            | StatusCode::SIZE_TOO_BIG
            | StatusCode::NOT_ALLOWED
            | StatusCode::NOT_SUPPORTED
            | StatusCode::FORBIDDEN => Outcome::Never,
            _ => Outcome::Later,
        }
    }
}
