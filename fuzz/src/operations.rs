//! Two stores that change, and a wire between them on which things go wrong.

use crate::scene::{bijective, equal, mail, message, note};
use crate::world::{Device, Mishap, USER, World, delete, key, put, sync};
use crate::{Broken, Property, Target, ensure};
use mailsync_proto::mail::mailbox::changed_value;
use mailsync_proto::mail::{MailFields, Role};
use mailsync_proto::testkit::MemoryStore;
use syncml::{Encoding, Version};

/// Octets as a list of operations.
pub const OPERATIONS: Target = Target {
    name: "operations",
    input: "two octets of settings (spelling and version; size of messages), then operations of three octets each: \
            what, on what, how",
    dictionary: None,
    properties: &[Property {
        name: "converges",
        sentence: "whatever both sides change, and whatever is lost, repeated or restarted in the syncs between, \
                   every sync ends; after a last undisturbed one both sides hold the same, the map is one to one, \
                   and the next sync says nothing",
        check: converges,
    }],
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A note is new or changed.
    Note {
        /// On which side.
        side: Side,
        /// Which.
        which: u8,
        /// Its new text.
        text: u8,
    },
    /// A note is deleted.
    DeleteNote(Side, u8),
    /// A mail arrives (server) or a draft is written (client); some are larger than a message.
    Mail {
        /// On which side.
        side: Side,
        /// Which.
        which: u8,
        /// Its size.
        size: u8,
    },
    /// A mail is deleted.
    DeleteMail(Side, u8),
    /// A mail's state is turned: read, answered or flagged.
    Flag {
        /// On which side.
        side: Side,
        /// Which.
        which: u8,
        /// Which of the three.
        flag: u8,
    },
    /// A sync that something happens in.
    Sync {
        /// At which message.
        at: u8,
        /// What.
        mishap: Mishap,
    },
    /// The client forgets what it knows of the server: the next sync is slow.
    Forget,
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Side {
    Server,
    Client,
}

/// Operations of one input, at most.
const MOST: usize = 40;

/// Reads the operations of an input.
pub fn operations(data: &[u8]) -> Vec<Operation> {
    let ops = data.get(2..).unwrap_or_default().chunks_exact(3).take(MOST);
    ops.map(|op| {
        let (what, which, how) = (op[0], op[1] % 8, op[2]);
        let side = if what & 0x80 == 0 { Side::Server } else { Side::Client };
        match what % 11 {
            0..3 => Operation::Note { side, which, text: how % 16 },
            3 => Operation::DeleteNote(side, which),
            4 | 5 => Operation::Mail { side, which, size: how },
            6 => Operation::DeleteMail(side, which),
            7 => Operation::Flag { side, which, flag: how },
            8 | 9 => {
                let mishap = Mishap::ALL[usize::from(op[1]) % Mishap::ALL.len()];
                Operation::Sync { at: how % 32, mishap }
            }
            _ => Operation::Forget,
        }
    })
    .collect()
}

fn converges(data: &[u8]) -> Result<(), Broken> {
    let (settings, size) = (data.first().unwrap_or(&0), data.get(1).unwrap_or(&0));
    let encoding = if settings & 1 == 0 { Encoding::Wbxml } else { Encoding::Xml };
    let version = if settings & 2 == 0 { Version::V1_2 } else { Version::V1_1 };
    let world = World::new();
    let device = Device::new(encoding, version, 2_500 + u32::from(*size) * 64);
    for operation in operations(data) {
        apply(&world, &device, operation)
            .map_err(|Broken(how)| Broken(format!("{operation:?} of {:?}: {how}", operations(data))))?;
    }
    let told = |Broken(how)| Broken(format!("after {:?}: {how}", operations(data)));
    sync(&world, &device, None).map_err(told)?;
    // What a conflict made on the server's side, and what came while it was busy, goes with the next.
    sync(&world, &device, None).map_err(told)?;
    equal(&world, &device).map_err(told)?;
    bijective(&world, &device).map_err(told)?;
    ensure!(world.store.spooled() == 0, "{} octets stay in the spool", world.store.spooled());
    let messages = sync(&world, &device, None).map_err(told)?;
    ensure!(messages <= 3, "nothing to say, in {messages} messages");
    equal(&world, &device).map_err(told)
}

fn apply(world: &World, device: &Device, operation: Operation) -> Result<(), Broken> {
    let store = |side| match side {
        Side::Server => (&world.store, USER),
        Side::Client => (&device.store, ""),
    };
    match operation {
        Operation::Note { side, which, text } => {
            let (store, user) = store(side);
            note(store, user, &nth(store, user, "notes", side, which), &format!("text {text}"));
        }
        Operation::DeleteNote(side, which) => {
            let (store, user) = store(side);
            delete(store, &key(user, "notes"), &nth(store, user, "notes", side, which));
        }
        Operation::Mail { side, which, size } => {
            let (store, user) = store(side);
            let folder = if side == Side::Server { Role::Inbox } else { Role::Drafts };
            let n = usize::from(which) + if side == Side::Server { 100 } else { 200 };
            let id = format!("{}{n}", if side == Side::Server { "m" } else { "d" });
            if !exists(store, user, &id) {
                mail(store, user, &id, folder, &message(n, 200 + usize::from(size) * 40));
            }
        }
        Operation::DeleteMail(side, which) => {
            let (store, user) = store(side);
            if let Some(id) = nth_mail(store, user, which) {
                delete(store, &key(user, "mail"), &id);
            }
        }
        Operation::Flag { side, which, flag } => {
            let (store, user) = store(side);
            if let Some(id) = nth_mail(store, user, which) {
                turn_flag(store, user, &id, flag)?;
            }
        }
        Operation::Sync { at, mishap } => {
            sync(world, device, Some((u32::from(at) + 1, mishap)))?;
        }
        Operation::Forget => device.forget(),
    }
    Ok(())
}

/// The note with this number, whoever made it; past the last, a new one.
fn nth(store: &MemoryStore, user: &str, datastore: &str, side: Side, which: u8) -> String {
    let items = store.items(&key(user, datastore));
    let mut live = items.iter().filter(|(item, _)| !item.deleted);
    match live.nth(usize::from(which)) {
        Some((item, _)) => item.guid.as_str().to_owned(),
        None => format!("{side:?}{}", items.len()).to_lowercase(),
    }
}

fn nth_mail(store: &MemoryStore, user: &str, which: u8) -> Option<String> {
    let items = store.items(&key(user, "mail"));
    let mut live = items.iter().filter(|(item, _)| !item.deleted && item.value.rank > 0);
    live.nth(usize::from(which)).map(|(item, _)| item.guid.as_str().to_owned())
}

fn exists(store: &MemoryStore, user: &str, id: &str) -> bool {
    store.items(&key(user, "mail")).iter().any(|(item, _)| item.guid.as_str() == id)
}

fn turn_flag(store: &MemoryStore, user: &str, id: &str, flag: u8) -> Result<(), Broken> {
    let items = store.items(&key(user, "mail"));
    let Some((item, _)) = items.iter().find(|(item, _)| item.guid.as_str() == id) else { return Ok(()) };
    let mut fields =
        MailFields::from_fields(&item.value.fields).map_err(|error| Broken(error.to_string()))?;
    match flag % 3 {
        0 => fields.read = !fields.read,
        1 => fields.answered = !fields.answered,
        _ => fields.flagged = !fields.flagged,
    }
    let value = changed_value(item, item.value.parent.clone(), &fields);
    put(store, &key(user, "mail"), id, value, None);
    Ok(())
}
