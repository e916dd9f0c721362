//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key in a file beside the database.
//!
//! The file holds one key a line, the newest first: `NUMBER BASE64`. What is sealed says the number of its key and is
//! bound to its place, so that it cannot be put into another one.
// threats: C2

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use smsbridge::Secret;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The file's name in the data folder.
pub const FILE: &str = "secrets.key";
const FORM: u8 = 1;
const NONCE: usize = 24;

/// The keys.
pub struct Vault {
    path: PathBuf,
    keys: Vec<(u32, Secret<[u8; 32]>)>,
}

impl Vault {
    /// Opens the key file of a data folder, or makes one.
    ///
    /// # Errors
    /// In words, with the file's name.
    pub fn open(data: &Path) -> Result<Self, String> {
        let path = data.join(FILE);
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match fs::read_to_string(&path) {
            Ok(text) => {
                let keys =
                    text.lines().map(parse).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty());
                let keys = keys.ok_or_else(|| at(&"not a file of keys"))?;
                Ok(Vault { path, keys })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut vault = Vault { path, keys: Vec::new() };
                vault.add()?;
                Ok(vault)
            }
            Err(error) => Err(at(&error)),
        }
    }

    /// Adds a key, which seals from now on; the older ones still open. Durable when it returns.
    ///
    /// # Errors
    /// In words.
    pub fn add(&mut self) -> Result<(), String> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| format!("no randomness: {error}"))?;
        let number = self.keys.iter().map(|(number, _)| *number).max().unwrap_or(0).saturating_add(1);
        self.keys.insert(0, (number, Secret::new(key)));
        self.save()
    }

    /// Drops all keys but the newest, once nothing is sealed with them.
    ///
    /// # Errors
    /// In words.
    pub fn drop_old(&mut self) -> Result<(), String> {
        self.keys.truncate(1);
        self.save()
    }

    /// The number of the key that seals.
    pub fn number(&self) -> u32 {
        self.keys.first().map_or(0, |(number, _)| *number)
    }

    /// Seals a secret for a place.
    ///
    /// # Errors
    /// In words.
    pub fn seal(&self, place: &str, secret: &str) -> Result<Vec<u8>, String> {
        let (number, key) = self.keys.first().ok_or("no key")?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| format!("no randomness: {error}"))?;
        let payload = Payload { msg: secret.as_bytes(), aad: place.as_bytes() };
        let sealed = XChaCha20Poly1305::new(key.expose().into())
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| "cannot seal a secret")?;
        Ok([&[FORM][..], &number.to_be_bytes(), &nonce, &sealed].concat())
    }

    /// Opens what was sealed for a place.
    ///
    /// # Errors
    /// In words: no such key, or it was not sealed for this place.
    pub fn open_sealed(&self, place: &str, sealed: &[u8]) -> Result<Secret<String>, String> {
        let bad = || format!("the secret of {place} cannot be opened");
        let (form, rest) = sealed.split_first().ok_or_else(bad)?;
        if *form != FORM {
            return Err(format!("the secret of {place} has form {form}, this program knows {FORM}"));
        }
        let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or_else(bad)?;
        let number = u32::from_be_bytes(*number);
        let key = self.keys.iter().find(|(known, _)| *known == number);
        let (_, key) =
            key.ok_or_else(|| format!("{}: no key {number}, which {place} needs", self.path.display()))?;
        let payload = Payload { msg: text, aad: place.as_bytes() };
        let opened = XChaCha20Poly1305::new(key.expose().into())
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| bad())?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| bad())
    }

    fn save(&self) -> Result<(), String> {
        let at = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let text: String = self
            .keys
            .iter()
            .map(|(number, key)| format!("{number} {}\n", STANDARD.encode(key.expose())))
            .collect();
        let new = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new).map_err(at)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at)?;
        fs::rename(&new, &self.path).map_err(at)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).field("keys", &self.keys.len()).finish()
    }
}

fn parse(line: &str) -> Option<(u32, Secret<[u8; 32]>)> {
    let (number, key) = line.split_once(' ')?;
    let key: [u8; 32] = STANDARD.decode(key.trim()).ok()?.try_into().ok()?;
    Some((number.parse().ok()?, Secret::new(key)))
}

/// The place of an account's secret.
pub fn place(user: &str, luid: &str) -> String {
    format!("account {luid} of {user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_c2_sealed_bound_to_its_place_and_rotatable() {
        let dir = tempfile::tempdir().unwrap();
        let mut vault = Vault::open(dir.path()).unwrap();
        let sealed = vault.seal("a", "hunter2").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_ne!(sealed, vault.seal("a", "hunter2").unwrap(), "never the same twice");
        assert_eq!(vault.open_sealed("a", &sealed).unwrap().expose(), "hunter2");
        assert!(vault.open_sealed("b", &sealed).is_err(), "another place");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(vault.open_sealed("a", &damaged).is_err(), "octet {at}");
            assert!(vault.open_sealed("a", &sealed[..at]).is_err(), "cut at {at}");
        }
        vault.add().unwrap();
        let mut again = Vault::open(dir.path()).unwrap();
        assert_eq!(again.number(), 2);
        assert_eq!(again.open_sealed("a", &sealed).unwrap().expose(), "hunter2");
        let newer = again.seal("a", "hunter2").unwrap();
        again.drop_old().unwrap();
        let last = Vault::open(dir.path()).unwrap();
        assert!(last.open_sealed("a", &newer).is_ok());
        assert!(last.open_sealed("a", &sealed).unwrap_err().contains("no key 1"));
        assert!(!format!("{last:?}").contains("hunter2"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
