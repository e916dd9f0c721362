//! Octets as what travels between people and their terminals for time tasks: requests on every way, reminders, groups.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::compose::Draft;
use mailsync_proto::mail::invitation::{self, Invitation};
use mailsync_proto::tasks::bell::Bell;
use mailsync_proto::tasks::desk::{Change, Desk};
use mailsync_proto::tasks::direct::{Friends, Opened, prove};
use mailsync_proto::tasks::group::FriendGroup;
use mailsync_proto::tasks::{Reminder, short};
use std::time::Duration;
use timesync::UnixTime;
use timesync::task::ical::itip;
use timesync::task::{ClientId, TaskConfig, UserId};
use timesync::zones::{Home, ZoneName, Zones};

/// Octets as each of them.
pub const PEOPLE: Target = Target {
    name: "people",
    input: "an iTIP text, a mail with one, one of short messages, an object of ./reminders or ./groups",
    dictionary: None,
    properties: &[
        Property {
            name: "proved",
            sentence: "a text is taken from a friend only with the proof that the shared secret makes of it, only by whom it is \
                       for, and a reply only by who asked; written again and again it says the same",
            check: proved,
        },
        Property {
            name: "carried",
            sentence: "what goes into a mail or into short messages comes out octet for octet with its proof, and octets that \
                       nobody wrote so are read or refused",
            check: carried,
        },
        Property {
            name: "objects",
            sentence: "a reminder or a group that is read is written, and reads as the same again",
            check: objects,
        },
        Property {
            name: "desk",
            sentence: "whatever stands in a person's datastores, no more of it waits than entries are there, another person is \
                       told nothing, and it is gone when the entries are",
            check: desk,
        },
        Property {
            name: "bell",
            sentence: "whatever a terminal is given, what it holds is stored and read again, and shown once",
            check: bell,
        },
    ],
};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);
const SECRET: &str = "a secret of two";

fn words(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}

fn user(name: &str) -> Result<UserId, Broken> {
    UserId::new(name).map_err(words)
}

fn friends(name: &str) -> Result<Friends, Broken> {
    Friends::parse(&format!("{name} {SECRET}")).map_err(Broken)
}

fn proved(data: &[u8]) -> Result<(), Broken> {
    let Ok(text) = std::str::from_utf8(data) else { return Ok(()) };
    let (ana, proof) = (user("ana")?, prove(SECRET, text));
    for friend in ["ben", "anna"] {
        let friends = friends(friend)?;
        for bad in ["", &proof[1..], &prove("another secret", text)] {
            ensure!(friends.open_any(&ana, text, bad).is_err(), "taken without a proof");
        }
        let Ok(opened) = friends.open_any(&ana, text, &proof) else { continue };
        let sender = match &opened {
            Opened::Request(setter, task) | Opened::Cancel(setter, task) => {
                ensure!(task.owner == ana, "for {:?}", task.owner);
                &setter.user
            }
            Opened::Reply(task, _) => {
                ensure!(task.setter.user == ana, "an answer to {:?}", task.setter.user);
                &task.owner
            }
        };
        ensure!(sender.as_str() == friend, "proved by {friend}, taken as from {sender:?}");
        // Controls in its words are lost in writing; after that it stays as it is.
        let once = written_again(&friends, &ana, &opened)?;
        let twice = written_again(&friends, &ana, &once)?;
        ensure!(once == twice, "{once:?}\n  came back as {twice:?}");
    }
    Ok(())
}

/// What a friend sent, as the same friend would write it now.
fn written_again(friends: &Friends, ana: &UserId, opened: &Opened) -> Result<Opened, Broken> {
    let text = match opened {
        Opened::Request(_, task) => itip::write(task, itip::Method::Request, None, NOW),
        Opened::Cancel(_, task) => itip::write(task, itip::Method::Cancel, None, NOW),
        Opened::Reply(task, answer) => itip::write(task, itip::Method::Reply, Some(answer), NOW),
    };
    friends.open_any(ana, &text, &prove(SECRET, &text)).map_err(|error| Broken(format!("{error}: {text}")))
}

fn carried(data: &[u8]) -> Result<(), Broken> {
    if let Some(read) = Invitation::read(data) {
        ensure!(data.len() <= invitation::MOST, "a mail of {} octets", data.len());
        ensure!(read.from.contains('@'), "from {:?}", read.from);
    }
    if let Some(read) = short::read(data) {
        // What came without a proof may fill all that there is.
        let whole = short::write(read.body, read.proof).map_or(true, |whole| whole.contains(read.body));
        ensure!(read.body.len() <= short::MOST && whole, "{read:?}");
    }
    let Ok(text) = std::str::from_utf8(data) else { return Ok(()) };
    let draft = Draft {
        from: "ben@a.example".into(),
        to: vec!["ana@a.example".into()],
        subject: text.into(),
        text: text.into(),
        ..Draft::default()
    };
    let mail = invitation::write(&draft, ("REQUEST", text), Some(SECRET), "task.1", 0).map_err(words)?;
    if mail.len() <= invitation::MOST {
        let read = Invitation::read(&mail).ok_or_else(|| Broken("our own mail has no calendar".into()))?;
        ensure!(read.calendar == text, "{text:?} came back as {:?}", read.calendar);
        ensure!(read.proof == Some(prove(SECRET, text)), "with the proof {:?}", read.proof);
        ensure!(read.from == "ben@a.example", "from {:?}", read.from);
    }
    // A calendar ends once.
    let body = format!("{text}END:VCALENDAR\r\n");
    if body.find("END:VCALENDAR\r\n") == Some(text.len())
        && let Ok(octets) = short::write(&body, "0f")
    {
        let read = short::read(octets.as_bytes());
        ensure!(read == Some(short::Short { body: &body, proof: "0f" }), "{body:?} came back as {read:?}");
    }
    Ok(())
}

fn objects(data: &[u8]) -> Result<(), Broken> {
    let (data, owner) = (Bytes::copy_from_slice(data), user("ana")?);
    // Octets that XML forbids are read, and written as replacement characters.
    if !syncml::xml_can_carry(&data) {
        return Ok(());
    }
    if let Ok(reminder) = Reminder::parse(&data, &owner) {
        let xml = reminder.to_xml();
        let again = Reminder::parse(&xml, &owner).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
        ensure!(again == reminder, "{reminder:?}\n  came back as {again:?}\n  through {xml:?}");
    }
    if let Ok(group) = FriendGroup::parse(&data) {
        let xml = group.to_xml();
        let again = FriendGroup::parse(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
        ensure!(again == group, "{group:?}\n  came back as {again:?}\n  through {xml:?}");
        let groups = FriendGroup::all(&owner, [&data]);
        ensure!(groups == FriendGroup::all(&owner, [&xml]), "the same group, other rights");
    }
    Ok(())
}

fn home() -> Result<Home, Broken> {
    Home::new(Zones::bundled(), &ZoneName::new("Europe/Berlin").map_err(words)?).map_err(words)
}

/// The parts of an input: entries of one person.
fn entries(data: &[u8]) -> Vec<Bytes> {
    data.split(|octet| *octet == 0).take(8).map(Bytes::copy_from_slice).collect()
}

fn desk(data: &[u8]) -> Result<(), Broken> {
    let (ana, phone) = (user("ana")?, ClientId::new("phone").map_err(words)?);
    let mut desk = Desk::new(TaskConfig::default(), home()?);
    desk.client(&ana, &phone);
    let parts = entries(data);
    desk.groups(&ana, &parts);
    let datastores = ["calendar", "tasks", "reminders"];
    let put = |desk: &mut Desk, gone: bool| {
        for (place, body) in parts.iter().enumerate() {
            for datastore in datastores {
                let guid = Guid::unvalidated(format!("g{place}"));
                let body = Some(body).filter(|_| !gone);
                desk.take(NOW, &Change { owner: &ana, datastore, guid: &guid, body });
            }
        }
    };
    put(&mut desk, false);
    ensure!(desk.waiting() <= parts.len(), "{} wait of {} entries", desk.waiting(), parts.len());
    for hours in [0, 1, 24 * 40] {
        desk.presence(NOW, &ana, &phone);
        desk.tick(NOW.after(Duration::from_secs(hours * 3_600)));
        let effects = desk.effects();
        let told = effects.wake.iter().chain(&effects.call).all(|(user, _)| *user == ana);
        ensure!(told, "{:?} {:?}", effects.wake, effects.call);
    }
    put(&mut desk, true);
    ensure!(desk.waiting() == 0, "{} wait of no entry", desk.waiting());
    Ok(())
}

fn bell(data: &[u8]) -> Result<(), Broken> {
    let (ana, home) = (user("ana")?, home()?);
    let mut bell = Bell::new(ana.clone(), ClientId::new("phone").map_err(words)?);
    let parts = entries(data);
    let links: Vec<Reminder> = parts.iter().filter_map(|part| Reminder::parse(part, &ana).ok()).collect();
    let mut shown = std::collections::BTreeSet::new();
    for hours in [0, 1, 24, 24 * 40] {
        let now = NOW.after(Duration::from_secs(hours * 3_600));
        bell.links(now, &links, home.place());
        bell.own(now, parts.iter().filter_map(|part| std::str::from_utf8(part).ok()), home.place());
        bell.handle_timeout(now, home.place());
        while let Some(event) = bell.poll_event() {
            if let timesync::task::ClientEvent::Show { occurrence, .. } = event {
                ensure!(shown.insert(occurrence.clone()), "{occurrence:?} twice");
            }
        }
        let stored = bell.to_bytes().map_err(words)?;
        ensure!(Bell::from_bytes(&stored).as_ref() == Ok(&bell), "not read as it was stored");
    }
    let _ = Bell::from_bytes(data);
    Ok(())
}
