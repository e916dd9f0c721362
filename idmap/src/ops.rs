//! The operations: from a view to the row changes.
//!
//! Each reads the view and changes nothing; apply what it returns to the view before the next one.

use crate::{Entry, Guid, Luid, MapError, Record, State, TempId, View, Wire};

/// Before an Add to the client: the id to send, and the row that awaits its Map.
///
/// The GUID itself if the client takes its length (`max_guid_size`, octets; `None`: any), else a
/// temporary id made from `unique`, see [`TempId::candidates`]. Best is a counter kept with the peer: a
/// number used again, after [`forget`], would let a late Map of the first item bind the second. What is pending already keeps its id
/// (unless the client has come to state a smaller `MaxGUIDSize` than that), so an Add may be repeated.
/// # Errors
/// [`MapError::GuidBound`] if the client has it, [`MapError::MaxGuidSize`] and [`MapError::TempIdsInUse`]
/// if there is no id to send.
pub fn offer(
    view: &View,
    generation: u32,
    guid: &Guid,
    max_guid_size: Option<usize>,
    unique: u64,
    rev: u64,
    form: u32,
) -> Result<(Wire, Vec<Record>), MapError> {
    let max = max_guid_size.unwrap_or(usize::MAX);
    let old = view.by_guid(generation, guid);
    let wire = match old.map(|entry| &entry.state) {
        Some(State::Bound { luid, .. }) => {
            return Err(MapError::GuidBound { guid: guid.clone(), luid: luid.clone() });
        }
        Some(State::Pending { wire }) if wire.as_str(guid).len() <= max => wire.clone(),
        _ => choose(view, generation, guid, max, unique)?,
    };
    let entry = Entry {
        guid: guid.clone(),
        state: State::Pending { wire: wire.clone() },
        generation,
        seen_rev: rev,
        form,
    };
    Ok((wire, put_if_new(old, entry)))
}

/// A MapItem: the client has what was offered under `wire` as `luid`.
///
/// The same pair again is answered as the first time, with no row changes.
/// # Errors
/// [`MapError::NotOffered`], [`MapError::LuidBound`], [`MapError::GuidBound`].
// spec: threats S6
pub fn bind(view: &View, generation: u32, wire: &str, luid: &Luid) -> Result<Vec<Record>, MapError> {
    let Some(entry) = view.by_wire(generation, wire) else {
        return Err(MapError::NotOffered { generation, wire: wire.chars().take(64).collect() });
    };
    pair(view, generation, luid, &entry.guid)?;
    let wire = entry.wire().clone();
    let bound = Entry { state: State::Bound { luid: luid.clone(), wire }, ..entry.clone() };
    Ok(put_if_new(Some(entry), bound))
}

/// The client has the item as `luid` without our offer: it added it, or a slow sync matched the two.
///
/// A pending offer of the GUID is thereby done. Of a pair that is bound already, this is [`seen`].
/// # Errors
/// [`MapError::LuidBound`], [`MapError::GuidBound`].
pub fn adopt(
    view: &View,
    generation: u32,
    luid: &Luid,
    guid: &Guid,
    rev: u64,
    form: u32,
) -> Result<Vec<Record>, MapError> {
    pair(view, generation, luid, guid)?;
    let old = view.by_guid(generation, guid);
    if old.is_some_and(|entry| entry.luid().is_some()) {
        return seen(view, generation, guid, rev, form);
    }
    let wire = old.map(|entry| entry.wire().clone()).unwrap_or_default();
    let state = State::Bound { luid: luid.clone(), wire };
    Ok(put_if_new(old, Entry { guid: guid.clone(), state, generation, seen_rev: rev, form }))
}

/// The device is known to hold this revision, in this form.
///
/// Never goes back: an older revision than the one recorded changes nothing.
/// # Errors
/// [`MapError::NoEntry`].
pub fn seen(view: &View, generation: u32, guid: &Guid, rev: u64, form: u32) -> Result<Vec<Record>, MapError> {
    let Some(old) = view.by_guid(generation, guid) else {
        return Err(MapError::NoEntry { generation, guid: guid.clone() });
    };
    if rev < old.seen_rev {
        return Ok(Vec::new());
    }
    Ok(put_if_new(Some(old), Entry { seen_rev: rev, form, ..old.clone() }))
}

/// The device no longer has it, or never will: the entry goes, if there is one.
///
/// A Map that still comes for a pending one is then [`MapError::NotOffered`].
#[must_use]
pub fn forget(view: &View, generation: u32, guid: &Guid) -> Vec<Record> {
    view.by_guid(generation, guid)
        .map(|entry| Record::Remove { generation, guid: entry.guid.clone() })
        .into_iter()
        .collect()
}

/// No repeated Map can come any more (say, a later session ended well): a bound entry lets go of its
/// temporary id, which may then be given out again.
#[must_use]
pub fn settle(view: &View, generation: u32, guid: &Guid) -> Vec<Record> {
    match view.by_guid(generation, guid) {
        Some(old @ Entry { state: State::Bound { luid, .. }, .. }) => {
            let state = State::Bound { luid: luid.clone(), wire: Wire::Guid };
            put_if_new(Some(old), Entry { state, ..old.clone() })
        }
        _ => Vec::new(),
    }
}

/// A slow sync succeeded: the generation that it filled becomes the only one.
#[must_use]
pub fn switch_generation(to: u32) -> Record {
    Record::KeepOnly { generation: to }
}

/// An id for the client that means nothing else in this generation.
fn choose(view: &View, generation: u32, guid: &Guid, max: usize, unique: u64) -> Result<Wire, MapError> {
    // A short GUID may read like the temporary id of another item.
    let taken = |text: &str| view.by_wire(generation, text).is_some_and(|entry| entry.guid != *guid);
    if guid.as_str().len() <= max && !taken(guid.as_str()) {
        return Ok(Wire::Guid);
    }
    let free = |id: &TempId| {
        let is_guid = Guid::try_from(id.as_str()).is_ok_and(|id| view.by_guid(generation, &id).is_some());
        !is_guid && !taken(id.as_str())
    };
    TempId::candidates(unique, max)?
        .find(free)
        .map(Wire::Temp)
        .ok_or(MapError::TempIdsInUse { unique, tried: TempId::CANDIDATES })
}

/// Refuses a pair of which either half is bound to something else.
fn pair(view: &View, generation: u32, luid: &Luid, guid: &Guid) -> Result<(), MapError> {
    if let Some(other) = view.by_luid(generation, luid).filter(|other| other.guid != *guid) {
        return Err(MapError::LuidBound { luid: luid.clone(), guid: other.guid.clone() });
    }
    match view.by_guid(generation, guid).and_then(Entry::luid) {
        Some(other) if other != luid => Err(MapError::GuidBound { guid: guid.clone(), luid: other.clone() }),
        _ => Ok(()),
    }
}

fn put_if_new(old: Option<&Entry>, new: Entry) -> Vec<Record> {
    if old == Some(&new) { Vec::new() } else { vec![Record::Put(new)] }
}
