//! `mailsyncd device ask`: a device is to sync something, in its next session or by a notification.

use super::cli::Out;
use super::config::Config;
use super::serve;
use crate::store::SqliteStore;
use crate::turns::{self, Failure};
use clap::{Args, ValueEnum};
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::server::notify::Notice;
use mailsync_proto::sync::server::offer;
use mailsync_proto::sync::store::{Read, Store as _, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use syncml::{Encoding, Version};

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Login name
    user: String,
    /// Device id
    device: String,
    /// Datastore
    store: String,
    /// How: two-way, one-way-from-client, refresh-from-client, one-way-from-server, refresh-from-server
    #[arg(long, default_value = "two-way", value_parser = mode)]
    mode: Mode,
    /// Write a notification (Package #0) here too, for whatever bearer reaches the device
    #[arg(long, value_name = "FILE")]
    notification: Option<PathBuf>,
    /// The notification's form
    #[arg(long, value_enum, default_value_t = Form::Binary)]
    form: Form,
}

/// How a notification is spelled.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Of SyncML 1.2
    Binary,
    /// Of SyncML 1.1, as WBXML
    Wbxml,
    /// Of SyncML 1.1, as XML
    Xml,
}

fn mode(text: &str) -> Result<Mode, String> {
    let mode = Mode::of_name(text).filter(|mode| mode.server_code().is_some());
    mode.ok_or_else(|| format!("{text:?} is nothing that a server can ask for"))
}

impl Ask {
    pub(super) fn run(self, out: &Out, config: &Config, store: &SqliteStore) -> Result<ExitCode, String> {
        let engine = serve::engine(config, false, store).map_err(|error| error.to_string())?;
        if !engine.stores.iter().any(|known| *known.name == *self.store) {
            let known: Vec<&str> = engine.stores.iter().map(|store| &*store.name).collect();
            return Err(format!("no datastore {}; there are {}", self.store, known.join(", ")));
        }
        let read = Read::Device(self.user.as_str().into(), self.device.as_str().into());
        let found = store.read(std::slice::from_ref(&read)).map_err(|error| error.to_string())?;
        let Some(Value::Device(Some(device))) = found.get(&read) else {
            return Err(format!("{} has no device {}", self.user, self.device));
        };
        let asked = turns::effect::<(), Failure>(store, |reader| {
            let writes = offer::ask(reader, &self.user, &self.device, &self.store, self.mode);
            Ok(writes.map(|writes| ((), writes)))
        });
        asked.map_err(|error| error.to_string())?;
        if let Some(path) = &self.notification {
            let [first, second, ..] = turns::moment().map_err(|error| error.to_string())?.entropy;
            let session = u16::from_be_bytes([first, second]);
            let notice = Notice::new(&engine, device, session, &[(&self.store, self.mode)])
                .map_err(|error| format!("{error}; see server_name in the configuration"))?;
            let octets = match self.form {
                Form::Binary => notice.binary(),
                Form::Wbxml => notice.message(Version::V1_1, Encoding::Wbxml, &self.device),
                Form::Xml => notice.message(Version::V1_1, Encoding::Xml, &self.device),
            };
            let octets = octets.map_err(|error| error.to_string())?;
            std::fs::write(path, octets).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        out.done(&format!("{} is asked to sync {}: {}", self.device, self.store, self.mode.name()))
    }
}
