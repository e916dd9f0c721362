//! Sessions at each of their messages: where hostile octets are put in.

use crate::world::{Answer, DEVICE, Device, Items, OTHER, Taken, USER, Waiting, World, key, put, sync};
use crate::{Broken, ensure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::mailbox::mail_value;
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::plain::plain_value;
use mailsync_proto::sync::store::PeerKey;
use mailsync_proto::testkit::Snapshot;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use syncml::{Encoding, Limits, Message, Quirks, Version};

/// A session that has come to some message.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How both sides spell.
    pub encoding: Encoding,
    /// Which message comes next, from 1.
    pub stage: u32,
    /// The client's request that waits to be answered.
    pub waiting: Waiting,
    /// Where it goes.
    pub url: String,
    /// The honest answer to it.
    pub answer: Bytes,
    version: Version,
    server: Snapshot,
    client: Snapshot,
    clock: u64,
}

/// Octets of the largest message: small enough that a mail of 9,000 comes in chunks.
const MAX_MSG: u32 = 4_000;

/// Every message of a first sync and of a later one, in both spellings.
pub fn scenes() -> &'static [Scene] {
    static SCENES: OnceLock<Vec<Scene>> = OnceLock::new();
    SCENES.get_or_init(|| {
        let versions = [(Encoding::Wbxml, Version::V1_2), (Encoding::Xml, Version::V1_1)];
        let made = versions.into_iter().map(|(encoding, version)| stages(encoding, version));
        match made.collect::<Result<Vec<_>, Broken>>() {
            Ok(scenes) => scenes.concat(),
            Err(Broken(why)) => panic!("the honest session fails: {why}"),
        }
    })
}

/// The scene that an input of this length plays in: a mutation that keeps the length keeps the scene.
pub fn scene(data: &[u8]) -> &'static Scene {
    let scenes = scenes();
    &scenes[data.len() % scenes.len()]
}

impl Scene {
    /// Both sides as they are in it.
    pub fn play(&self) -> (World, Device) {
        let world = World::from_snapshot(&self.server, self.clock);
        let device = Device::new(self.encoding, self.version, MAX_MSG);
        device.store.restore(&self.client);
        (world, device)
    }

    /// The octets as a message, and as one whose header belongs into this session, where they are a message.
    pub fn bodies(&self, encoding: Encoding, data: &[u8], honest: &Bytes) -> Vec<Bytes> {
        let raw = Bytes::copy_from_slice(data);
        let read = |encoding, body| syncml::decode(encoding, body, &Limits::default(), &Quirks::normal());
        let mut bodies = vec![raw.clone()];
        if let (Ok(mut message), Ok(ours)) = (read(encoding, &raw), read(self.encoding, honest)) {
            adopt(&mut message, &ours);
            bodies.extend(syncml::encode(self.encoding, &message).ok().filter(|body| *body != raw));
        }
        bodies
    }
}

/// Gives a message the header of the session.
fn adopt(message: &mut Message, ours: &Message) {
    let hdr = &mut message.hdr;
    hdr.session_id = ours.hdr.session_id.clone();
    hdr.msg_id = ours.hdr.msg_id;
    hdr.source.loc_uri = ours.hdr.source.loc_uri.clone();
    hdr.target.loc_uri = ours.hdr.target.loc_uri.clone();
    hdr.ver_dtd = ours.hdr.ver_dtd.clone();
    hdr.ver_proto = ours.hdr.ver_proto.clone();
}

fn stages(encoding: Encoding, version: Version) -> Result<Vec<Scene>, Broken> {
    let world = World::new();
    let device = Device::new(encoding, version, MAX_MSG);
    for n in 0..3 {
        note(&world.store, USER, &format!("s{n}"), &format!("server's {n}"));
        note(&device.store, "", &format!("c{n}"), &format!("client's {n}"));
        note(&world.store, OTHER, &format!("e{n}"), &format!("nobody's business {n}"));
    }
    mail(&world.store, USER, "m1", Role::Inbox, &message(1, 400));
    mail(&world.store, USER, "m2", Role::Inbox, &message(2, 9_000));
    mail(&device.store, "", "d3", Role::Drafts, &message(3, 9_000));
    mail(&world.store, OTHER, "m1", Role::Inbox, &message(4, 400));
    let mut scenes = Vec::new();
    play(&world, &device, encoding, version, &mut scenes)?;
    equal(&world, &device)?;
    note(&device.store, "", "c0", "client's 0, changed");
    note(&world.store, USER, "s1", "server's 1, changed");
    crate::world::delete(&device.store, &key("", "notes"), "c1");
    play(&world, &device, encoding, version, &mut scenes)?;
    equal(&world, &device)?;
    Ok(scenes)
}

/// Plays a session and keeps every stage of it.
fn play(
    world: &World,
    device: &Device,
    encoding: Encoding,
    version: Version,
    scenes: &mut Vec<Scene>,
) -> Result<(), Broken> {
    let mut waiting = device.start(world)?;
    for stage in 1..100 {
        let (server, client, clock) = (world.store.snapshot(), device.store.snapshot(), world.clock());
        let hop = device.hop(&waiting.token)?;
        let Answer::Message(answer) = world.answer(&hop.url, hop.encoding, &waiting.request)? else {
            return Err(Broken(format!("stage {stage}: the honest request is refused")));
        };
        let (url, asked, answered) = (hop.url, waiting.clone(), answer.clone());
        scenes.push(Scene {
            encoding,
            stage,
            waiting: asked,
            url,
            answer: answered,
            version,
            server,
            client,
            clock,
        });
        match device.take(world, &waiting.token, encoding, &answer)? {
            Taken::Next(request) => waiting.request = request,
            Taken::Over { unwell } => {
                ensure!(!unwell, "stage {stage}: the honest session is unwell");
                return Ok(());
            }
            Taken::Refused => return Err(Broken(format!("stage {stage}: the honest answer is refused"))),
        }
    }
    Err(Broken("the honest session does not end".into()))
}

/// A note, new or changed.
pub fn note(store: &mailsync_proto::testkit::MemoryStore, user: &str, id: &str, text: &str) {
    put(store, &key(user, "notes"), id, plain_value("text/plain", text.as_bytes()), Some(text.as_bytes()));
}

/// A mail in a folder.
pub fn mail(
    store: &mailsync_proto::testkit::MemoryStore,
    user: &str,
    id: &str,
    folder: Role,
    message: &[u8],
) {
    let mut fields = MailFields::default();
    fields.received = Some(5);
    put(store, &key(user, "mail"), id, mail_value(folder.guid(), &fields, message), Some(message));
}

/// A message of about this many octets.
pub fn message(n: usize, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: bob@sim.test\r\nTo: ann@sim.test\r\nMessage-ID: <m{n}@sim.test>\r\n\
         Date: Thu, 1 Oct 2026 10:00:{:02} +0000\r\nSubject: mail {n} <&> ]]>\r\n\r\n",
        n % 60
    );
    while text.len() < size {
        text += "All work & no play <makes> Jack a dull boy. \u{e9}\u{4e2d}\r\n";
    }
    text.into_bytes()
}

/// Both sides hold the same notes and mails, the mails with the same state in the same folders.
///
/// # Errors
/// What differs.
pub fn equal(world: &World, device: &Device) -> Result<(), Broken> {
    let (ours, theirs) =
        (crate::world::bodies(&world.items("notes")), crate::world::bodies(&device.items("notes")));
    differ("notes", &ours, &theirs)?;
    let (ours, theirs) = (mails(&world.items("mail"))?, mails(&device.items("mail"))?);
    differ("mail", &ours, &theirs)
}

fn differ<T: PartialEq + std::fmt::Debug>(
    store: &str,
    ours: &BTreeMap<Bytes, T>,
    theirs: &BTreeMap<Bytes, T>,
) -> Result<(), Broken> {
    let Some(body) = ours.keys().chain(theirs.keys()).find(|body| ours.get(*body) != theirs.get(*body))
    else {
        return Ok(());
    };
    let start = body.slice(..body.len().min(160));
    let (ours, theirs) = (ours.get(body), theirs.get(body));
    Err(Broken(format!("{store}: {start:?}... ({} octets): server {ours:?}, client {theirs:?}", body.len())))
}

/// Body, then folder, read, answered, flagged of each copy.
type Mails = BTreeMap<Bytes, Vec<(Option<Guid>, bool, bool, bool)>>;

fn mails(items: &Items) -> Result<Mails, Broken> {
    let mut seen = Mails::new();
    for (_, value, body) in items.iter().filter(|(_, value, _)| value.rank > 0) {
        let fields = MailFields::from_fields(&value.fields).map_err(|error| Broken(error.to_string()))?;
        let state = (value.parent.clone(), fields.read, fields.answered, fields.flagged);
        seen.entry(body.clone()).or_default().push(state);
    }
    seen.values_mut().for_each(|copies| copies.sort());
    Ok(seen)
}

/// After whatever happened, the client begins anew: the sync ends, and both sides are equal.
///
/// # Errors
/// When not.
pub fn begins_anew(world: &World, device: &Device) -> Result<(), Broken> {
    device.forget();
    sync(world, device, None)?;
    equal(world, device)
}

/// As [`begins_anew`] where the server lied: mail that it put into the client's folders and does not know of stays,
/// for a client adds none to an inbox; and a folder that there is on neither side is shown as another on each.
///
/// # Errors
/// When not.
pub fn begins_anew_after_lies(world: &World, device: &Device) -> Result<(), Broken> {
    device.forget();
    sync(world, device, None)?;
    let (ours, theirs) =
        (crate::world::bodies(&world.items("notes")), crate::world::bodies(&device.items("notes")));
    differ("notes", &ours, &theirs)?;
    let (ours, theirs) = (mails(&world.items("mail"))?, mails(&device.items("mail"))?);
    for (body, copies) in &ours {
        let held = theirs.get(body).map(Vec::as_slice).unwrap_or_default();
        ensure!(held.len() >= copies.len(), "the client has {held:?} of {copies:?}: {body:?}");
    }
    Ok(())
}

/// Every row of the other user, and of another device of ours.
pub fn others(world: &World) -> String {
    let mut rows = String::new();
    for store in ["mail", "notes"] {
        rows += &format!("{:?}", world.store.items(&key(OTHER, store)));
        for (user, device) in [(OTHER, DEVICE), (OTHER, "dev-2"), (USER, "dev-2")] {
            let peer = PeerKey { store: key(user, store), device: device.into() };
            rows += &format!("{:?}", world.store.entries(&peer));
        }
    }
    rows
}

/// The map of the device is one to one, and each pair is of two items that exist with the same body.
///
/// # Errors
/// The pair that is wrong.
pub fn bijective(world: &World, device: &Device) -> Result<(), Broken> {
    for store in ["mail", "notes"] {
        let peer = PeerKey { store: key(USER, store), device: DEVICE.into() };
        let entries = world.store.entries(&peer);
        let Some(generation) = entries.iter().map(|entry| entry.generation).max() else { continue };
        let (theirs, ours) = (device.items(store), world.items(store));
        let mut luids = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.generation == generation) {
            let Some(luid) = entry.luid() else { continue };
            let twice = luids.insert(luid.clone(), entry.guid.clone());
            ensure!(twice.is_none(), "{store}: {luid} is {} and {twice:?}", entry.guid);
            let server = ours.iter().find(|(guid, ..)| *guid == entry.guid);
            let client = theirs.iter().find(|(guid, ..)| guid.as_str() == luid.as_str());
            match (server, client) {
                (Some((.., server)), Some((.., client))) => {
                    ensure!(server == client, "{store}: {luid} is {client:?}, {} is {server:?}", entry.guid);
                }
                (None, None) => {}
                (server, client) => {
                    return Err(Broken(format!("{store}: {} is {server:?}, {luid} {client:?}", entry.guid)));
                }
            }
        }
        ensure!(luids.len() >= theirs.len(), "{store}: {} items, {} pairs", theirs.len(), luids.len());
    }
    Ok(())
}
