//! What is stored of an account at a mail server.

use super::link::Place;
use mailsync_proto::mirror::DeleteRule;
use serde::{Deserialize, Serialize};

/// The form of the stored value.
const VERSION: u32 = 1;

/// An account without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The form of this value.
    pub version: u32,
    /// Its name for people.
    pub name: String,
    /// Our address there.
    pub address: String,
    /// The login name at the servers.
    pub login: String,
    /// The secret is an OAuth 2 access token and not a password.
    #[serde(default)]
    pub token: bool,
    /// The IMAP server.
    pub imap: Place,
    /// The submission server; without one nothing is sent through this account.
    #[serde(default)]
    pub smtp: Option<Place>,
    /// What deleting means there.
    #[serde(default)]
    pub delete: DeleteRule,
    /// The mail server keeps a copy of what is sent by itself, so none is added.
    #[serde(default)]
    pub server_keeps_sent: bool,
    /// What a later version wrote.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl Account {
    /// An account of this form.
    pub fn new(name: &str, address: &str, login: &str, imap: Place, smtp: Option<Place>) -> Self {
        Account {
            version: VERSION,
            name: name.into(),
            address: address.into(),
            login: login.into(),
            token: false,
            imap,
            smtp,
            delete: DeleteRule::default(),
            server_keeps_sent: false,
            unknown: serde_json::Map::new(),
        }
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// In words, also for a form that a newer program wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let account: Account = serde_json::from_slice(bytes).map_err(|error| format!("account: {error}"))?;
        if account.version > VERSION {
            return Err(format!("account: form {} is newer than this program ({VERSION})", account.version));
        }
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_form_1_stays_readable_and_unknown_fields_survive() {
        let text = include_str!("../../tests/golden/account-v1.json");
        let account = Account::from_bytes(text.as_bytes()).unwrap();
        assert_eq!((account.imap.port, account.smtp.as_ref().unwrap().port), (993, 587));
        assert_eq!(account.delete, DeleteRule::Expunge);
        assert!(account.token && account.server_keeps_sent);
        let again: serde_json::Value = serde_json::from_slice(&account.to_bytes()).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert!(again["later"].is_object());
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert!(Account::from_bytes(newer.as_bytes()).unwrap_err().contains("newer"));
    }
}
