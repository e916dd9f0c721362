//! Runs the engines' turns against a store: read what they miss, commit what they decide.

use crate::store::SqliteStore;
use bytes::Bytes;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::server::{self, Inbound, Route, TurnError};
use mailsync_proto::sync::store::{Commit, Found, Question, Read, Store, StoreError, Value, Write};
use mailsync_proto::sync::turn::{Missing, Moment, Reader, Step, Turn};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rounds of reading in one turn.
pub(crate) const ROUNDS: usize = 32;
/// Runs of a turn whose rows changed under it.
const RUNS: usize = 8;

/// What a turn came to.
#[derive(Debug)]
pub struct Answer {
    /// The message that leaves.
    pub message: Bytes,
    /// What happened.
    pub events: Vec<Event>,
    /// A job for a worker was stored.
    pub enqueued: bool,
    /// The token of the session, if the turn stored one.
    pub token: Option<Box<str>>,
    /// The value of the session that was stored.
    pub value: Option<Bytes>,
    /// The transport's header that proves the message, where the server proves each.
    pub mac: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The engine will not.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The store cannot; the peer may try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no randomness.
    #[error("no randomness: {0}")]
    Entropy(String),
    /// The engine asks on and on: a bug of ours.
    #[error("{ROUNDS} rounds of reading did not suffice")]
    Endless,
}

/// The moment of a turn.
pub fn moment() -> Result<Moment, Failure> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|error| Failure::Entropy(error.to_string()))?;
    Ok(Moment { now: unix_now(), entropy })
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Answers one message: runs the turn, commits it, and only then gives the answer.
///
/// `ask` answers what collections ask beside the rows.
pub fn serve(
    store: &SqliteStore,
    ask: &dyn Fn(&str, &Question) -> Value,
    config: &server::Config,
    route: &Route<'_>,
    inbound: &Inbound,
) -> Result<Answer, Failure> {
    again_if_stale(|| {
        let at = moment()?;
        let mut found = Found::default();
        for _ in 0..ROUNDS {
            match server::turn(config, at, route, inbound, &found)? {
                Step::Need(reads) => {
                    found.extend(store.read(&reads)?);
                    for read in reads {
                        if let Read::Ask(who, question) = &read {
                            let answer = ask(who, question);
                            found.insert(read, answer);
                        }
                    }
                }
                Step::Again(message) => {
                    let mut rows = found.sessions().filter(|row| row.answer == message);
                    let mac = rows.find_map(|row| server::mac(config, &row.value, &message));
                    let (events, token, value) = (Vec::new(), None, None);
                    return Ok(Answer { message, events, enqueued: false, token, value, mac });
                }
                Step::Done(turn) => return finish(store, config, *turn),
            }
        }
        Err(Failure::Endless)
    })
}

fn finish(store: &SqliteStore, config: &server::Config, turn: Turn<Event>) -> Result<Answer, Failure> {
    let Turn { session, message, writes, events } = turn;
    let enqueued = writes.iter().any(|write| matches!(write, Write::Enqueue(..)));
    let token = session.as_ref().map(|session| session.token.clone());
    let value = session.as_ref().and_then(|session| session.value.as_ref());
    let mac = value.and_then(|value| server::mac(config, value, &message));
    let value = value.cloned();
    if session.is_some() || !writes.is_empty() {
        store.commit(&Commit { session, writes })?;
    }
    Ok(Answer { message, events, enqueued, token, value, mac })
}

/// Commits what a pure function makes of the rows that it asks for.
///
/// `work` is run until it misses none; its writes are committed. If rows changed meanwhile, all of it again.
pub fn effect<T, E: From<Failure>>(
    store: &SqliteStore,
    mut work: impl FnMut(&mut Reader<'_>) -> Result<Result<(T, Vec<Write>), Missing>, E>,
) -> Result<T, E> {
    let mut run = || {
        let mut found = Found::default();
        for _ in 0..ROUNDS {
            let mut reader = Reader::new(&found);
            let done = match work(&mut reader) {
                Ok(done) => done,
                Err(error) => return Ok(Err(error)),
            };
            match done {
                Ok((value, writes)) => {
                    if !writes.is_empty() {
                        store.commit(&Commit { session: None, writes })?;
                    }
                    return Ok(Ok(value));
                }
                Err(Missing) => {
                    let reads = reader.missed();
                    found.extend(store.read(&reads)?);
                }
            }
        }
        Err(Failure::Endless)
    };
    again_if_stale(&mut run)?
}

fn again_if_stale<T>(mut run: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 1..RUNS {
        match run() {
            Err(Failure::Store(StoreError::Stale(why))) => tracing::debug!(why, "stale, running again"),
            done => return done,
        }
    }
    run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Bodies;
    use idmap::Guid;
    use mailsync_proto::sync::store::{ItemValue, StoreKey};

    fn key() -> StoreKey {
        StoreKey { user: "u".into(), datastore: "d".into() }
    }

    fn put(expect: Option<u64>) -> Write {
        Write::PutItem {
            store: key(),
            guid: Guid::unvalidated("a"),
            expect,
            value: ItemValue::default(),
            body: None,
        }
    }

    /// What an effect does to the item, and how often it ran; `meanwhile` commits before each of its commits.
    fn touch(store: &SqliteStore, meanwhile: impl Fn(usize)) -> (Result<(), Failure>, usize) {
        let mut runs = 0;
        let result = effect::<(), Failure>(store, |reader| {
            let rev = match reader.read(Read::Item(key(), Guid::unvalidated("a"))) {
                Ok(Value::Item(item)) => item.as_ref().map(|item| item.rev),
                Ok(other) => panic!("{other:?}"),
                Err(missing) => return Ok(Err(missing)),
            };
            runs += 1;
            meanwhile(runs);
            Ok(Ok(((), vec![put(rev)])))
        });
        (result, runs)
    }

    fn head(store: &SqliteStore) -> u64 {
        let read = Read::Head(key());
        match store.read(std::slice::from_ref(&read)).unwrap().get(&read) {
            Some(Value::Rev(rev)) => *rev,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_changed_under_an_effect_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("db"), Bodies::Inside).unwrap();
        let other = |expect| store.commit(&Commit { session: None, writes: vec![put(expect)] }).unwrap();
        let (result, runs) = touch(&store, |_| {});
        assert!(result.is_ok());
        assert_eq!((runs, head(&store)), (1, 1));
        let (result, runs) = touch(&store, |run| {
            if run < 3 {
                other(Some(run as u64));
            }
        });
        assert!(result.is_ok());
        assert_eq!((runs, head(&store)), (3, 4));
        let (result, runs) = touch(&store, |_| other(Some(head(&store))));
        assert!(matches!(result, Err(Failure::Store(StoreError::Stale(_)))), "{result:?}");
        assert_eq!(runs, RUNS, "and not for ever");
    }

    #[test]
    fn an_effect_that_asks_on_and_on_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("db"), Bodies::Inside).unwrap();
        let mut round = 0;
        let result = effect::<(), Failure>(&store, |reader| {
            round += 1;
            Ok(match reader.read(Read::Session(format!("t{round}").into())) {
                Ok(_) => Ok(((), Vec::new())),
                Err(missing) => Err(missing),
            })
        });
        assert!(matches!(result, Err(Failure::Endless)), "{result:?}");
        assert_eq!(round, ROUNDS);
    }
}
