//! Octets as the body of a request into a logged-in session.

use crate::scene::{Scene, begins_anew, others, scene};
use crate::world::{Answer, World, session};
use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use syncml::{Encoding, Limits, Quirks};

/// Octets as the next request of a session.
pub const SERVER_BODY: Target = Target {
    name: "server_body",
    input: "the body of a request to a server whose client is logged in; a message is tried with its own header \
            and with that of the session",
    dictionary: Some("wbxml"),
    properties: &[
        Property {
            name: "answer",
            sentence: "a request is refused, or answered by a message that the client's decoder reads and that \
                       is no larger than the client takes",
            check: answered,
        },
        Property {
            name: "refused-is-nothing",
            sentence: "after a request that was refused, the honest request gets the octets that it would have got \
                       without it, and the session goes on to its end",
            check: refused_is_nothing,
        },
        Property {
            name: "usable",
            sentence: "after a request that was answered, the same request gets the same octets, and a client that \
                       begins anew syncs to the end with both sides equal",
            check: usable,
        },
        Property {
            name: "others",
            sentence: "no request changes a row of another user or another device",
            check: others_unharmed,
        },
    ],
};

const ENCODINGS: [Encoding; 2] = [Encoding::Wbxml, Encoding::Xml];

/// Does something after each way to send the octets: with the world, what was sent, and what came.
fn each(
    data: &[u8],
    mut then: impl FnMut(&Scene, World, Encoding, &Bytes, Answer) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let scene = scene(data);
    for encoding in ENCODINGS {
        for body in scene.bodies(encoding, data, &scene.waiting.request) {
            let (world, _) = scene.play();
            // What the session's header was put before is of the session's spelling.
            let encoding = if *body == *data { encoding } else { scene.encoding };
            let answer = world.answer(&scene.url, encoding, &body)?;
            then(scene, world, encoding, &body, answer)?;
        }
    }
    Ok(())
}

fn answered(data: &[u8]) -> Result<(), Broken> {
    each(data, |scene, _, encoding, body, answer| {
        let Answer::Message(octets) = answer else { return Ok(()) };
        let read = |encoding| syncml::decode(encoding, &octets, &Limits::default(), &Quirks::normal());
        let message = read(scene.encoding).or_else(|_| read(encoding));
        let message = message.map_err(|error| Broken(format!("{error}: {octets:?}")))?;
        // The request may state a smaller size than the session's; 1,024 is the least that is honoured.
        let stated = syncml::decode(encoding, body, &Limits::default(), &Quirks::normal()).ok();
        let stated = stated.and_then(|request| request.hdr.meta?.max_msg_size);
        let most = stated.unwrap_or(4_000).max(1_024);
        ensure!(octets.len() as u64 <= most, "{} octets, the client takes {most}: {message:?}", octets.len());
        Ok(())
    })
}

fn refused_is_nothing(data: &[u8]) -> Result<(), Broken> {
    each(data, |scene, world, _, _, answer| {
        if answer != Answer::Refused {
            return Ok(());
        }
        let (untouched, device) = scene.play();
        untouched.store.restore(&world.store.snapshot());
        let answer = untouched.answer(&scene.url, scene.encoding, &scene.waiting.request)?;
        ensure!(answer == Answer::Message(scene.answer.clone()), "{answer:?}, not {:?}", scene.answer);
        let ended = session(&untouched, &device, &mut 0, None, Some(scene.waiting.clone()))?;
        ensure!(ended, "the session does not come to its end");
        crate::scene::equal(&untouched, &device)
    })
}

fn usable(data: &[u8]) -> Result<(), Broken> {
    each(data, |scene, world, encoding, body, answer| {
        if answer == Answer::Refused {
            return Ok(());
        }
        let again = world.answer(&scene.url, encoding, body)?;
        // Before the login a stranger's request is answered anew each time; at its end a session is gone.
        let kept = scene.url.contains("?s=") && again != Answer::Refused;
        ensure!(!kept || again == answer, "first {answer:?}, then {again:?}");
        let (_, device) = scene.play();
        begins_anew(&world, &device)
    })
}

fn others_unharmed(data: &[u8]) -> Result<(), Broken> {
    let (untouched, _) = scene(data).play();
    let before = others(&untouched);
    each(data, |_, world, _, body, _| {
        let after = others(&world);
        ensure!(before == after, "{body:?} changed {before} into {after}");
        Ok(())
    })
}
