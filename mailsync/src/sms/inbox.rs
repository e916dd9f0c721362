//! Messages that came, one file each; parts of a message that is not whole yet, likewise.

use serde_json::{Value, json};
use smsbridge::bridge::{Incoming, Party};
use smsbridge::smpp::pdu::DeliverSm;
use smsbridge::text::{Added, Assembler, Limits};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of messages.
#[derive(Debug)]
pub(super) struct Inbox {
    dir: PathBuf,
    parts: Assembler,
    /// Names given so far in this run.
    serial: u32,
}

impl Inbox {
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        let dir = dir.join("sms");
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Inbox { dir, parts: Assembler::new(Limits::default()), serial: 0 })
    }

    /// The messages, oldest first.
    pub(super) fn messages(&self) -> Result<Vec<Value>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.dir.display());
        let mut names: Vec<PathBuf> = fs::read_dir(&self.dir)
            .map_err(failed)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        names.sort();
        let mut messages = Vec::new();
        for name in names {
            let text = fs::read_to_string(&name).map_err(failed)?;
            messages
                .push(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", name.display()))?);
        }
        Ok(messages)
    }

    /// Writes a message and syncs it.
    fn keep(&mut self, message: &Value) -> Result<(), String> {
        self.serial += 1;
        let name = format!("{:012}-{}-{:06}", crate::turns::unix_now(), std::process::id(), self.serial);
        let (tmp, path) = (self.dir.join(format!("{name}.tmp")), self.dir.join(format!("{name}.json")));
        let write = || {
            let mut file = fs::File::create(&tmp)?;
            file.write_all(message.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&tmp, &path)?;
            fs::File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Takes a message or a part; gives the message when it is whole. A part is answered before the others are there: the
/// exchange sends all parts one after the other, and again if the link breaks in between.
pub(super) fn take(
    inbox: Option<&mut Inbox>,
    deliver: &DeliverSm,
    incoming: &Incoming,
    text: &str,
) -> Result<Option<Value>, String> {
    let party = |ton, npi, address: &[u8]| match Party::from_smpp(ton, npi, address) {
        Party::Phone(number) => number.to_string(),
        Party::ShortCode(text) | Party::Name(text) => text,
        Party::Other { address, .. } => address,
    };
    let from = party(deliver.source_addr_ton, deliver.source_addr_npi, &deliver.source_addr);
    let to = party(deliver.dest_addr_ton, deliver.dest_addr_npi, &deliver.destination_addr);
    let Some(inbox) = inbox else { return Ok(None) };
    let mut text = text.to_owned();
    if let Some((key, part)) = incoming.part(0, &from, &to, deliver.data_coding) {
        let now = Duration::from_secs(crate::turns::unix_now());
        match inbox.parts.add(now, key, part) {
            Ok(Added::Complete(whole)) => {
                let octets: Vec<u8> = whole.parts.iter().flatten().flatten().copied().collect();
                text = incoming.decode(&octets);
            }
            _ => return Ok(None),
        }
    }
    let message = json!({"from": from, "to": to, "text": text, "at": crate::turns::unix_now()});
    inbox.keep(&message)?;
    Ok(Some(message))
}
