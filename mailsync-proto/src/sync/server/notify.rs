//! Package #0: what is sent over a bearer to a device that is not there, so that it begins a session.

use super::super::event::Mode;
use super::super::store::Device;
use super::Config;
use bytes::Bytes;
use syncml::san::{AlertKey, AlertedSync, ServerAlert, content_type_number};
use syncml::{EncodeError, Encoding, Version};

/// A notification for one device, proved by the server's own login and the nonce that the device gave last.
///
/// ```
/// # fn example(config: &mailsync_proto::sync::server::Config, device: &mailsync_proto::sync::store::Device) {
/// use mailsync_proto::sync::{Mode, server::notify::Notice};
/// let notice = Notice::new(config, device, 0x0102, &[("notes", Mode::TwoWay)]).unwrap();
/// let sms = notice.binary().unwrap(); // a 1.2 client takes this
/// # let _ = sms;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Notice {
    alert: ServerAlert,
    key: AlertKey,
}

/// Why there is no notification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The server has no login of its own, so no device could tell who sent it.
    #[error("the server has no name and password of its own")]
    NoLogin,
    /// No datastore of this name is offered.
    #[error("there is no datastore {0}")]
    UnknownStore(Box<str>),
    /// No server asks for a slow sync.
    #[error("a server cannot ask for {0}")]
    Mode(&'static str),
}

impl Notice {
    /// Asks for these datastores; for all of them when none is named. `session_id` is the id of the session to be; one that
    /// was used since the device's last login is dropped by the device. What it says is not kept here: ask with
    /// [`offer::ask`](super::offer::ask) what must not be lost.
    ///
    /// # Errors
    /// [`NotifyError`].
    pub fn new(
        config: &Config,
        device: &Device,
        session_id: u16,
        syncs: &[(&str, Mode)],
    ) -> Result<Self, NotifyError> {
        let own = config.session.own.as_ref().ok_or(NotifyError::NoLogin)?;
        let mut alert = ServerAlert::new(&own.name, session_id);
        for (name, mode) in syncs {
            let store = config.stores.iter().find(|store| store.is_named(name));
            let store = store.ok_or_else(|| NotifyError::UnknownStore((*name).into()))?;
            let code = mode.server_code().ok_or(NotifyError::Mode(mode.name()))?;
            let path = format!("./{}", store.name);
            let described = store.collection.devinf(&path, Version::V1_2);
            let number = described.tx_pref.and_then(|preferred| content_type_number(&preferred.ct_type));
            alert.syncs.push(AlertedSync::new(code, number.unwrap_or(0), &path));
        }
        let key = AlertKey::new(&own.name, &own.password, device.nonce.as_deref().unwrap_or_default());
        Ok(Notice { alert, key })
    }

    /// With octets of ours after what is standard: covered by the digest, and skipped by who does not know them. Only the
    /// form of 1.2 has a place for them.
    #[must_use]
    pub fn with_vendor(mut self, octets: Bytes) -> Self {
        self.alert.vendor = octets;
        self
    }

    /// The form of 1.2, `application/vnd.syncml.ds.notification`.
    ///
    /// # Errors
    /// What it cannot hold: more than 15 datastores.
    pub fn binary(&self) -> Result<Bytes, EncodeError> {
        self.alert.encode(Some(&self.key))
    }

    /// The form of 1.0 and 1.1: a SyncML message; `device` is the device's id.
    ///
    /// # Errors
    /// As the encoder's.
    pub fn message(&self, version: Version, encoding: Encoding, device: &str) -> Result<Bytes, EncodeError> {
        syncml::encode(encoding, &self.alert.to_signed_message(version, device, &[], &self.key))
    }
}
