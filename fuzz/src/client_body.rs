//! Octets as the server's answer to a client.

use crate::scene::{begins_anew_after_lies, scene};
use crate::world::{Device, Taken, URL, World, session};
use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;

/// Octets as the next answer of a session.
pub const CLIENT_BODY: Target = Target {
    name: "client_body",
    input: "the body of an answer to a client; a message is tried with its own header and with that of the session",
    dictionary: Some("wbxml"),
    properties: &[
        Property {
            name: "same-host",
            sentence: "whatever the answer says, the next request goes to the host it was configured with",
            check: same_host,
        },
        Property {
            name: "refused-is-nothing",
            sentence: "after an answer that was refused, the honest answer is taken and the session goes on to its \
                       end with both sides equal",
            check: refused_is_nothing,
        },
        Property {
            name: "usable",
            sentence: "after an answer that was taken, a client that begins anew syncs to the end, both sides have \
                       the same notes, and the client has every mail of the server",
            check: usable,
        },
    ],
};

fn each(data: &[u8], mut then: impl FnMut(World, Device, Taken) -> Result<(), Broken>) -> Result<(), Broken> {
    let scene = scene(data);
    for body in scene.bodies(scene.encoding, data, &scene.answer) {
        let (world, device) = scene.play();
        let taken = device.take(&world, &scene.waiting.token, scene.encoding, &Bytes::clone(&body))?;
        then(world, device, taken)?;
    }
    Ok(())
}

fn same_host(data: &[u8]) -> Result<(), Broken> {
    let host = URL.rsplit_once('/').map_or(URL, |(host, _)| host);
    each(data, |_, device, taken| {
        if matches!(taken, Taken::Over { .. }) {
            return Ok(());
        }
        let hop = device.hop(&scene(data).waiting.token)?;
        let rest = hop.url.strip_prefix(host);
        ensure!(
            rest.is_some_and(|rest| rest.starts_with(['/', '?'])),
            "the next request goes to {:?}",
            hop.url
        );
        Ok(())
    })
}

fn refused_is_nothing(data: &[u8]) -> Result<(), Broken> {
    each(data, |world, device, taken| {
        if taken != Taken::Refused {
            return Ok(());
        }
        let ended = session(&world, &device, &mut 0, None, Some(scene(data).waiting.clone()))?;
        ensure!(ended, "the session does not come to its end");
        crate::scene::equal(&world, &device)
    })
}

fn usable(data: &[u8]) -> Result<(), Broken> {
    each(data, |world, device, taken| {
        if taken == Taken::Refused {
            return Ok(());
        }
        begins_anew_after_lies(&world, &device)
    })
}
