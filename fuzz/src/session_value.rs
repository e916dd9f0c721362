//! Octets as a stored session.

use crate::scene::{begins_anew, scenes};
use crate::world::{Answer, Taken};
use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use mailsync_proto::sync::client;
use mailsync_proto::sync::store::{Commit, Read, SessionWrite, Store, Value};

/// Octets as the value of a session row.
pub const SESSION_VALUE: Target = Target {
    name: "session_value",
    input: "the value of a stored session, of a server and of a client",
    dictionary: None,
    properties: &[
        Property {
            name: "server",
            sentence: "a request into a session whose stored value is these octets is refused or answered, its new \
                       value is good for the same request again, and a client that begins anew syncs to the end",
            check: server,
        },
        Property {
            name: "client",
            sentence: "an answer into a session whose stored value is these octets is refused or taken, its next \
                       address can be read, and a client that begins anew syncs to the end",
            check: client,
        },
    ],
};

/// Overwrites the value of a session.
fn overwrite(store: &impl Store, token: &str, data: &[u8]) -> Result<(), Broken> {
    let read = Read::Session(token.into());
    let found = store.read(std::slice::from_ref(&read)).map_err(|error| Broken(error.to_string()))?;
    let Some(Value::Session(Some(row))) = found.get(&read) else {
        return Err(Broken("the scene has no session".into()));
    };
    let value = Some(Bytes::copy_from_slice(data));
    let session =
        SessionWrite { token: token.into(), expect: row.version, value, answer: row.answer.clone() };
    let commit = Commit { session: Some(session), writes: vec![] };
    store.commit(&commit).map_err(|error| Broken(error.to_string()))
}

/// A third of the octets, so that neighbours in the corpus meet different requests.
fn turn_of(data: &[u8], of: usize) -> usize {
    (data.len() / 3) % of.max(1)
}

fn server(data: &[u8]) -> Result<(), Broken> {
    let logged_in: Vec<_> = scenes().iter().filter(|scene| scene.url.contains("?s=")).collect();
    let scene = logged_in[turn_of(data, logged_in.len())];
    let (world, device) = scene.play();
    let token = scene.url.split_once("?s=").map_or("", |(_, token)| token);
    overwrite(&world.store, token, data)?;
    let answer = world.answer(&scene.url, scene.encoding, &scene.waiting.request)?;
    if answer != Answer::Refused {
        let again = world.answer(&scene.url, scene.encoding, &scene.waiting.request)?;
        ensure!(again == answer || again == Answer::Refused, "first {answer:?}, then {again:?}");
    }
    device.forget();
    // The value may name other devices' rows: what it spoils is not asked, only that it ends.
    crate::world::sync(&world, &device, None).map(|_| ())
}

fn client(data: &[u8]) -> Result<(), Broken> {
    let scene = &scenes()[turn_of(data, scenes().len())];
    let (world, device) = scene.play();
    overwrite(&device.store, &scene.waiting.token, data)?;
    let _ = client::next_hop(&device.config, data, &scene.answer);
    match device.take(&world, &scene.waiting.token, scene.encoding, &scene.answer)? {
        Taken::Next(_) => {
            device.hop(&scene.waiting.token)?;
        }
        Taken::Over { .. } | Taken::Refused => {}
    }
    begins_anew(&world, &device)
}
