//! Sync points under any anchors.

use crate::world::{Answer, DEVICE, Device, PASSWORD, URL, USER, World, key, sync};
use crate::{Broken, Property, Target, ensure};
use mailsync_proto::sync::store::{Peer, PeerKey, Read, Store as _, Value};
use syncml::session::auth::{Scheme, credentials};
use syncml::{
    Alert, AlertCode, Anchor, Command, Data, Encoding, Item, Limits, Message, Meta, Quirks, Source,
    StatusCode, SyncHdr, Target as Peers, Version,
};

/// Octets as what a client says of its last sync.
pub const ANCHORS: Target = Target {
    name: "anchors",
    input: "an octet that chooses the sync type and how many syncs there were; then Last, a NUL, Next",
    dictionary: None,
    properties: &[
        Property {
            name: "on-or-slow",
            sentence: "whatever Last and Next a client names, the server goes on from a sync point only if Last is that point's \
                       anchor to the octet; else it says 508 and asks for a slow sync, or the Alert needs no anchor; and \
                       Next comes back as it was",
            check: on_or_slow,
        },
        Property {
            name: "nothing-moves",
            sentence: "an Alert alone moves no sync point: the honest client that comes after it needs no slow sync",
            check: nothing_moves,
        },
    ],
};

const CODES: [u16; 6] = [200, 201, 202, 203, 204, 205];

/// The world after some syncs, the Alert to be said, and what it names.
fn scene(data: &[u8]) -> Result<(World, Device, AlertCode, String, String), Broken> {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let (world, device) = (World::new(), Device::new(Encoding::Wbxml, Version::V1_2, 10_000));
    for _ in 0..(first / 6) % 4 {
        sync(&world, &device, None)?;
    }
    let text = String::from_utf8_lossy(rest).into_owned();
    let (last, next) = text.split_once('\0').unwrap_or((&text, "n"));
    // Some inputs mean what is really stored.
    let peer = peer(&world)?;
    let named = match last {
        "=" => peer.committed.map(|point| point.theirs.to_string()),
        "-" => peer.previous.map(|point| point.theirs.to_string()),
        _ => None,
    };
    let next = next.replace('\0', "");
    Ok((world, device, AlertCode(CODES[usize::from(*first) % 6]), named.unwrap_or_else(|| last.into()), next))
}

fn peer(world: &World) -> Result<Peer, Broken> {
    let read = Read::Peer(PeerKey { store: key(USER, "notes"), device: DEVICE.into() });
    let found = world.store.read(std::slice::from_ref(&read)).map_err(|error| Broken(error.to_string()))?;
    match found.get(&read) {
        Some(Value::Peer(peer)) => Ok(peer.clone().unwrap_or_default()),
        other => Err(Broken(format!("{other:?}"))),
    }
}

fn alerted(world: &World, code: AlertCode, last: &str, next: &str) -> Result<Option<Message>, Broken> {
    let mut hdr = SyncHdr::new(Version::V1_2, "9", 1, Peers::new(URL), Source::new(DEVICE));
    hdr.source.loc_name = Some(USER.into());
    hdr.cred = credentials(Scheme::Basic, USER, PASSWORD, b"").map(Box::new);
    let mut message = Message::new(hdr);
    let mut meta = Meta::default();
    let last = (!last.is_empty()).then(|| last.into());
    meta.anchor = Some(Box::new(Anchor { last, next: next.into() }));
    let mut item = Item::default();
    (item.target, item.source) = (Some(Peers::new("./notes")), Some(Source::new("notes")));
    item.meta = Some(Box::new(meta));
    let mut alert = Alert::new(1, code);
    alert.items.push(item);
    message.commands.push(Command::Alert(Box::new(alert)));
    message.is_final = true;
    let Ok(octets) = syncml::encode(Encoding::Wbxml, &message) else { return Ok(None) };
    let Answer::Message(answer) = world.answer(URL, Encoding::Wbxml, &octets)? else { return Ok(None) };
    let read = syncml::decode(Encoding::Wbxml, &answer, &Limits::default(), &Quirks::default());
    read.map(Some).map_err(|error| Broken(error.to_string()))
}

fn on_or_slow(data: &[u8]) -> Result<(), Broken> {
    let (world, _, code, last, next) = scene(data)?;
    let peer = peer(&world)?;
    let Some(answer) = alerted(&world, code, &last, &next)? else { return Ok(()) };
    let points = [&peer.committed, &peer.previous].into_iter().flatten();
    let known = !last.is_empty() && points.into_iter().any(|point| *point.theirs == *last);
    let needs = matches!(code.0, 200 | 202 | 204);
    let (mut status, mut back, mut echo) = (None, None, None);
    for command in &answer.commands {
        match command {
            Command::Status(said) if said.cmd_ref == 1 => {
                status = Some(said.data);
                echo = said.items.iter().find_map(|item| match &item.data {
                    Some(Data::Anchor(anchor)) => Some(anchor.next.clone()),
                    _ => None,
                });
            }
            Command::Alert(said) => back = said.code,
            _ => {}
        }
    }
    let slow = needs && !known;
    let (expected, asked) =
        if slow { (StatusCode::REFRESH_REQUIRED, AlertCode::SLOW) } else { (StatusCode::OK, code) };
    ensure!(status == Some(expected), "{code:?} {last:?}: {status:?}, expected {expected:?}");
    ensure!(back == Some(asked), "{code:?} {last:?}: Alert {back:?}, expected {asked:?}");
    ensure!(echo.as_deref() == Some(&*next), "{next:?} came back as {echo:?}");
    Ok(())
}

fn nothing_moves(data: &[u8]) -> Result<(), Broken> {
    let (world, device, code, last, next) = scene(data)?;
    let before = peer(&world)?;
    alerted(&world, code, &last, &next)?;
    let after = peer(&world)?;
    ensure!(
        (&after.committed, &after.previous) == (&before.committed, &before.previous),
        "{before:?} is {after:?}"
    );
    let messages = sync(&world, &device, None)?;
    ensure!(before.committed.is_none() || messages <= 5, "{messages} messages for nothing");
    Ok(())
}
