//! The messages that the codec is measured with.

use bytes::Bytes;
use syncml::{
    Change, Command, Data, Encoding, Item, Limits, Message, Meta, Quirks, Source, Sync, SyncHdr, Target,
    Version, decode, encode,
};

/// A message in both spellings.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is, with its size.
    pub name: &'static str,
    /// The message.
    pub message: Message,
    /// It in WBXML.
    pub wbxml: Bytes,
    /// It in XML.
    pub xml: Bytes,
}

/// The answer to a login as a recorded peer gives it, with DevInf.
const SMALL: &[u8] =
    include_bytes!("../../syncml/tests/golden/from-syncevolution/51-maxobj-reject.wbxml/001-resp.wbxml");

/// The four sizes.
pub fn all() -> Vec<Workload> {
    vec![small(), medium(), large(1_000), object()]
}

/// The answer to a login with DevInf, about 3 KB (2 in WBXML, 5 in XML).
pub fn small() -> Workload {
    let golden = Bytes::from_static(SMALL);
    match decode(Encoding::Wbxml, &golden, &limits(), &Quirks::normal()) {
        Ok(message) => workload("small: login and DevInf, 2 to 5 KB", message),
        Err(error) => panic!("the golden file: {error}"),
    }
}

/// 50 mails of 1 to 2 KB.
pub fn medium() -> Workload {
    let items = (0..50).map(|n| {
        let mut text = format!(
            "From: bob@bench.test\r\nTo: ann@bench.test\r\nMessage-ID: <{n}@bench.test>\r\nSubject: mail {n}\r\n\r\n"
        );
        while text.len() < 1_000 + n * 20 {
            text += "It is a truth universally acknowledged, that a single man & a fortune...\r\n";
        }
        let mut item = Item::default();
        item.source = Some(Source::new(&format!("guid-{n:04}")));
        item.data = Some(Data::Bytes(text.into()));
        ("message/rfc822", item)
    });
    workload("medium: 50 mails of 1 to 2 KB", message(items, Command::Add))
}

/// So many changes of flags.
pub fn large(items: usize) -> Workload {
    let items = (0..items).map(|n| {
        let mut item = Item::default();
        item.target = Some(Target::new(&format!("{}", 10_000 + n)));
        item.data = Some(Data::Bytes(Bytes::from_static(b"<Email><read>true</read></Email>")));
        ("application/vnd.omads-email+xml", item)
    });
    workload("large: 1,000 flag Replaces", message(items, Command::Replace))
}

/// One object of 1 MB.
pub fn object() -> Workload {
    let mut item = Item::default();
    item.source = Some(Source::new("guid-1"));
    let line = b"All work and no play makes Jack a dull boy. 0123456789 0123456789\r\n";
    item.data = Some(Data::Bytes(line.iter().copied().cycle().take(1_000_000).collect::<Vec<u8>>().into()));
    workload("object: one of 1 MB", message(std::iter::once(("message/rfc822", item)), Command::Add))
}

/// Limits with room for the largest of them.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = 16 * 1024 * 1024;
    limits.commands = 16_384;
    limits.tree_slack_bytes = 64 * 1024 * 1024;
    limits
}

fn message(
    items: impl Iterator<Item = (&'static str, Item)>,
    command: impl Fn(Box<Change>) -> Command,
) -> Message {
    let hdr = SyncHdr::new(
        Version::V1_2,
        "31",
        4,
        Target::new("http://127.0.0.1/syncml"),
        Source::new("IMEI:493005100592800"),
    );
    let mut sync = Sync::default();
    sync.cmd_id = 1;
    sync.target = Some(Target::new("./mail"));
    sync.source = Some(Source::new("./mail"));
    for (cmd_id, (kind, item)) in (2..).zip(items) {
        let mut meta = Meta::default();
        meta.type_ = Some(kind.into());
        let mut change = Box::<Change>::default();
        change.cmd_id = cmd_id;
        change.meta = Some(Box::new(meta));
        change.items = vec![item];
        sync.commands.push(command(change));
    }
    let mut message = Message::new(hdr);
    message.commands.push(Command::Sync(sync.into()));
    message.is_final = true;
    message
}

fn workload(name: &'static str, message: Message) -> Workload {
    let write = |encoding| match encode(encoding, &message) {
        Ok(octets) => octets,
        Err(error) => panic!("{name}: {error}"),
    };
    let (wbxml, xml) = (write(Encoding::Wbxml), write(Encoding::Xml));
    Workload { name, wbxml, xml, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_as_named() {
        for (workload, commands, range) in [
            (small(), 3, 1_500..4_500),
            (medium(), 1, 60_000..100_000),
            (large(1_000), 1, 60_000..100_000),
            (large(8_000), 1, 600_000..900_000),
            (object(), 1, 1_000_000..1_000_500),
        ] {
            let (name, len) = (workload.name, workload.wbxml.len());
            assert!(range.contains(&len), "{name}: {len}");
            assert!(workload.message.commands.len() >= commands, "{name}");
            for (encoding, octets) in [(Encoding::Wbxml, &workload.wbxml), (Encoding::Xml, &workload.xml)] {
                let read = decode(encoding, octets, &limits(), &Quirks::normal()).unwrap();
                assert_eq!(read, workload.message, "{name}");
            }
        }
        let has_devinf = format!("{:?}", small().message).contains("DevInf(");
        assert!(has_devinf);
    }
}
