//! What to sync, with whom, how: the options of a sync, and the engine's configuration that they make.

use super::dirstore::{Kind, Layout};
use bytes::Bytes;
use mailsync_proto::mail::MailCollection;
use mailsync_proto::pim::{PimCollection, Profile};
use mailsync_proto::plain::PlainCollection;
use mailsync_proto::sync::StoreConfig;
use mailsync_proto::sync::client::Config;
use mailsync_proto::sync::collection::Collection;
use mailsync_proto::sync::devinf::Identity;
use mailsync_proto::sync::event::Mode;
use mailsync_proto::sync::seal::ItemKey;
use std::path::PathBuf;
use std::sync::Arc;
use syncml::session::auth::Scheme;
use syncml::session::{ClientConfig, OwnLogin};
use syncml::{CtType, Encoding, Limits, Quirks, Version};

/// One session in a minute.
// threat: N1
pub(super) const NOTIFIED: (u8, u32) = (1, 60);

/// What to sync, with whom, how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's URL.
    pub server: String,
    /// The user name.
    pub user: String,
    /// The sync password.
    pub password: String,
    /// The folder.
    pub dir: PathBuf,
    /// The datastores.
    pub stores: Vec<StoreOption>,
    /// The device id; none: made once and kept in the folder.
    pub device: Option<String>,
    /// How.
    pub mode: Mode,
    /// The spelling.
    pub encoding: Encoding,
    /// The protocol version.
    pub version: Version,
    /// How to log in.
    pub scheme: Scheme,
    /// Octets of the largest message we take.
    pub max_msg_size: u32,
    /// Octets of the largest object we take.
    pub max_obj_size: u64,
    /// Certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// What seals items.
    pub item_key: Option<ItemKey>,
    /// Where every message is recorded.
    pub record: Option<PathBuf>,
    /// Log in, find out what would be sent, send nothing.
    pub dry_run: bool,
    /// Say what happens, on stderr.
    pub verbose: bool,
    /// What the server must prove to be.
    pub server_login: Option<OwnLogin>,
    /// What of the mail is wanted; none: everything.
    pub mail: Option<Box<syncml::Filter>>,
    /// The notification (Package #0) that asks for the sync.
    pub notification: Option<Bytes>,
    /// How many sessions notifications may begin, in how many seconds.
    pub notified: (u8, u32),
}

/// One `--store LOCAL[=REMOTE][:TYPE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOption {
    /// Our name, and the folder's.
    pub local: String,
    /// The server's path.
    pub remote: String,
    /// What its items are.
    pub items: Items,
}

/// What the items of a datastore are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Mail, in Maildir++.
    Mail,
    /// People, tasks or events, one file each; only of this type if one was named.
    Pim(Profile, Option<String>),
    /// Anything of this type, one file each.
    Plain(String),
}

/// The engine's configuration, for this device.
pub(super) fn config(options: &Options, device: String) -> Config {
    let mut limits = Limits::default();
    // A server may answer with a little more than we take.
    limits.message_bytes = (options.max_msg_size as usize).max(1 << 20).saturating_mul(2);
    Config {
        server_id: format!("{}@{}", options.user, options.server).into(),
        stores: options.stores.iter().map(StoreOption::config).collect(),
        identity: Identity {
            man: "mailsync".into(),
            model: "mailsync".into(),
            swv: env!("CARGO_PKG_VERSION").into(),
            dev_id: device.as_str().into(),
            dev_typ: "workstation".into(),
        },
        session: ClientConfig {
            server_url: options.server.as_str().into(),
            device: device.into(),
            user: options.user.as_str().into(),
            password: options.password.as_str().into(),
            scheme: options.scheme,
            version: options.version,
            encoding: options.encoding,
            max_msg_size: options.max_msg_size,
            max_obj_size: options.max_obj_size,
        },
        limits,
        quirks: Quirks::default(),
        server_login: options.server_login.clone(),
        alerts: true,
        item_key: options.item_key.clone(),
        notified: options.notified,
    }
}

impl StoreOption {
    /// Reads `LOCAL[=REMOTE][:TYPE]`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (names, media_type) = match text.split_once(':') {
            Some((names, media_type)) => (names, Some(media_type.to_ascii_lowercase())),
            None => (text, None),
        };
        let (local, remote) = names.split_once('=').unwrap_or((names, names));
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if local.is_empty() || !local.chars().all(named) {
            return Err(format!("{local:?} is no name of a datastore: letters, digits, - and _"));
        }
        if remote.is_empty() || media_type.as_deref().is_some_and(|t| !t.contains('/')) {
            return Err("expected LOCAL[=REMOTE][:TYPE], as notes=./note:text/plain".into());
        }
        let remote = if remote == local { format!("./{remote}") } else { remote.to_owned() };
        let profile = Profile::named(local).or_else(|| Profile::of_type(media_type.as_deref()?));
        let items = match (local, media_type, profile) {
            ("mail", None, _) => Items::Mail,
            ("mail", Some(_), _) => return Err("mail has a type of its own".into()),
            (_, media_type, Some(profile)) => match media_type {
                Some(other) if !profile.formats().iter().any(|format| format.media_type() == other) => {
                    let known: Vec<&str> =
                        profile.formats().iter().map(|format| format.media_type()).collect();
                    return Err(format!("{local}: {other} is none of its types: {}", known.join(", ")));
                }
                media_type => Items::Pim(profile, media_type),
            },
            (_, media_type, None) => Items::Plain(media_type.unwrap_or_else(|| "text/plain".into())),
        };
        Ok(StoreOption { local: local.into(), remote, items })
    }

    pub(super) fn layout(&self) -> (&str, Layout) {
        let layout = match &self.items {
            Items::Mail => Layout::Mail,
            Items::Pim(profile, _) => Layout::Files(Kind::Pim(*profile)),
            Items::Plain(media_type) => Layout::Files(Kind::Plain(media_type.as_str().into())),
        };
        (&self.local, layout)
    }

    fn config(&self) -> StoreConfig {
        let collection: Arc<dyn Collection> = match &self.items {
            // The domain is of use only where mail is sent from.
            Items::Mail => Arc::new(MailCollection::new("invalid").with_events()),
            Items::Pim(profile, None) => Arc::new(PimCollection::new(*profile)),
            Items::Pim(profile, Some(only)) => Arc::new(PimCollection::new(*profile).only(only)),
            Items::Plain(media_type) => {
                Arc::new(PlainCollection::new(&self.local, vec![CtType::new(media_type, "1.0")]))
            }
        };
        StoreConfig::new(&self.local, collection)
    }
}

#[cfg(test)]
mod tests {
    use super::{Items, StoreOption};
    use mailsync_proto::pim::Profile;

    #[test]
    fn store_options() {
        let notes = StoreOption::parse("notes=note:text/plain").unwrap();
        assert_eq!((&*notes.local, &*notes.remote), ("notes", "note"));
        let mail = StoreOption::parse("mail").unwrap();
        assert_eq!((&*mail.remote, mail.items), ("./mail", Items::Mail));
        let people = StoreOption::parse("contacts=card:text/x-vcard").unwrap();
        assert_eq!(people.items, Items::Pim(Profile::Contacts, Some("text/x-vcard".into())));
        assert_eq!(StoreOption::parse("todo=./t").unwrap().items, Items::Pim(Profile::Tasks, None));
        let named = StoreOption::parse("x:text/calendar").unwrap();
        assert_eq!(named.items, Items::Pim(Profile::Calendar, Some("text/calendar".into())));
        for bad in
            ["", "=x", "a/b", "notes:plain", "mail:text/plain", "../x", "notes=", "contacts:text/calendar"]
        {
            assert!(StoreOption::parse(bad).is_err(), "{bad}");
        }
    }
}
