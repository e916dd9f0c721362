//! Items that only a device and its server can read, whatever stands between them: AES-256-GCM under a key that both were given.
//!
//! A sealed item travels as an object of its own type, [`MEDIA_TYPE`]; its real type is inside. Each side says in its device
//! information ([`EXTENSION`]) that it seals; who has a key sends nothing in clear, and takes nothing in clear.
//! The ids of items, their folders and their number are not hidden: that is for TLS.
// mission: M10
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The type of a sealed item.
///
/// # Shape
/// One octet 1, 12 octets of nonce, the ciphertext with its tag of 16 octets. In clear: an octet with the length of the media type,
/// the type, the object. Authenticated with it: `c` of a client or `s` of a server, and the item's id in the command.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.sealed";
/// `XNam` of the extension of a DevInf whose side seals; its value is [`CIPHER`].
pub const EXTENSION: &str = "x-mailsync-sealed";
/// The one cipher there is.
pub const CIPHER: &str = "aes-256-gcm";

const FORM: u8 = 1;
const NONCE: usize = 12;
/// Octets that sealing adds, beside the media type.
const ADDED: u64 = 1 + NONCE as u64 + 1 + 16;

/// The key of one device: 32 octets, in text as Base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemKey([u8; 32]);

/// Who sealed an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealer {
    /// The device.
    Client,
    /// The server.
    Server,
}

/// Why an item does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Another key, another item, or it was changed on its way.
    #[error("the item was not sealed with this key, for this item")]
    Forged,
    /// A later form.
    #[error("a sealed item of form {0}, this program knows {FORM}")]
    Form(u8),
    /// Too short, or its inside has no shape.
    #[error("a sealed item of {0} octets cannot be read")]
    Shape(usize),
    /// It could not be sealed: it is too large, or its type too long.
    #[error("the item cannot be sealed")]
    TooLarge,
}

impl ItemKey {
    /// A key of these octets; they must be random.
    pub const fn new(octets: [u8; 32]) -> Self {
        ItemKey(octets)
    }

    /// Reads Base64.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(ItemKey)
    }

    /// As Base64.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Seals an object. The same object for the same item always becomes the same octets, so that it can be sent again.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal(
        &self,
        sealer: Sealer,
        id: &str,
        media_type: &str,
        object: &[u8],
    ) -> Result<Bytes, SealError> {
        let length = u8::try_from(media_type.len()).map_err(|_| SealError::TooLarge)?;
        let inside = [&[length], media_type.as_bytes(), object].concat();
        let place = place(sealer, id);
        let nonce = self.nonce(&place, &inside);
        let payload = Payload { msg: &inside, aad: &place };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| SealError::TooLarge)?;
        Ok([&[FORM][..], &nonce, &sealed].concat().into())
    }

    /// Opens one: its media type and the object.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, sealer: Sealer, id: &str, sealed: &[u8]) -> Result<(Box<str>, Bytes), SealError> {
        let shape = SealError::Shape(sealed.len());
        let (form, rest) = sealed.split_first().ok_or(shape)?;
        if *form != FORM {
            return Err(SealError::Form(*form));
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(shape)?;
        let place = place(sealer, id);
        let payload = Payload { msg: rest, aad: &place };
        let inside =
            self.cipher().decrypt(Nonce::from_slice(nonce), payload).map_err(|_| SealError::Forged)?;
        let inside = Bytes::from(inside);
        let (length, rest) = inside.split_first().ok_or(shape)?;
        let (media_type, object) = rest.split_at_checked(usize::from(*length)).ok_or(shape)?;
        let media_type = std::str::from_utf8(media_type).map_err(|_| shape)?;
        Ok((media_type.into(), inside.slice_ref(object)))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.derived(b"seal").into())
    }

    /// Made of what it is for, so that no two objects share one: a nonce that is used twice gives a key away.
    fn nonce(&self, place: &[u8], inside: &[u8]) -> [u8; NONCE] {
        let key = self.derived(b"nonce");
        let length = (place.len() as u64).to_be_bytes();
        let inner =
            Sha256::new().chain_update(key).chain_update(length).chain_update(place).chain_update(inside);
        let outer = Sha256::new().chain_update(key).chain_update(inner.finalize()).finalize();
        let mut nonce = [0; NONCE];
        nonce.iter_mut().zip(outer).for_each(|(to, from)| *to = from);
        nonce
    }

    fn derived(&self, what: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"mailsync item ")
            .chain_update(what)
            .chain_update(self.0)
            .finalize()
            .into()
    }
}

impl core::fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ItemKey(..)")
    }
}

fn place(sealer: Sealer, id: &str) -> Vec<u8> {
    let who = match sealer {
        Sealer::Client => b'c',
        Sealer::Server => b's',
    };
    [&[who], id.as_bytes()].concat()
}

/// How a session's items travel.
#[derive(Clone, Debug, Default)]
pub(crate) enum Sealing {
    /// As they are.
    #[default]
    Clear,
    /// Sealed, all of them.
    With(ItemKey),
    /// Sealed, but the key is gone.
    Keyless,
}

impl Sealing {
    /// Why no item may go to a peer that seals, or that does not say so.
    pub(crate) fn hinders(&self, peer_seals: bool) -> Option<&'static str> {
        match self {
            Sealing::Clear => None,
            Sealing::With(_) if peer_seals => None,
            Sealing::With(_) => Some("the peer takes no sealed items"),
            Sealing::Keyless => Some("the key that seals its items is gone"),
        }
    }

    /// Octets that an object of this type grows by.
    pub(crate) fn added(&self, media_type: &str) -> u64 {
        match self {
            Sealing::Clear => 0,
            Sealing::With(_) | Sealing::Keyless => ADDED.saturating_add(media_type.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ItemKey = ItemKey::new([7; 32]);

    #[test]
    fn what_is_sealed_opens_for_its_item_only() {
        let sealed = KEY.seal(Sealer::Client, "17", "text/plain", b"hello").unwrap();
        assert_eq!(sealed.len() as u64, Sealing::With(KEY).added("text/plain") + 5);
        assert_eq!(
            KEY.open(Sealer::Client, "17", &sealed).unwrap(),
            ("text/plain".into(), Bytes::from("hello"))
        );
        for (key, sealer, id) in [
            (ItemKey::new([8; 32]), Sealer::Client, "17"),
            (KEY, Sealer::Server, "17"),
            (KEY, Sealer::Client, "18"),
        ] {
            assert_eq!(key.open(sealer, id, &sealed), Err(SealError::Forged));
        }
        for at in 0..sealed.len() {
            let mut other = sealed.to_vec();
            other[at] ^= 1;
            assert!(KEY.open(Sealer::Client, "17", &other).is_err(), "octet {at}");
            assert!(KEY.open(Sealer::Client, "17", &sealed[..at]).is_err(), "{at} octets");
        }
    }

    #[test]
    fn the_same_again_and_never_one_nonce_for_two() {
        let nonce = |sealer, id, media_type, object: &[u8]| {
            KEY.seal(sealer, id, media_type, object).unwrap()[1..=NONCE].to_vec()
        };
        let all = [
            nonce(Sealer::Client, "1", "t", b"x"),
            nonce(Sealer::Server, "1", "t", b"x"),
            nonce(Sealer::Client, "12", "t", b"x"),
            nonce(Sealer::Client, "1", "u", b"x"),
            nonce(Sealer::Client, "1", "t", b"y"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(nonce(Sealer::Client, "1", "t", b"x"), all[0]);
    }

    #[test]
    fn keys_are_text_and_are_not_shown() {
        assert_eq!(ItemKey::parse(&format!(" {}\n", KEY.to_text())), Some(KEY));
        assert!(["", "x", "AAAA"].into_iter().all(|text| ItemKey::parse(text).is_none()));
        assert_eq!(format!("{KEY:?}"), "ItemKey(..)");
        let long = "x".repeat(256);
        assert_eq!(KEY.seal(Sealer::Client, "1", &long, b""), Err(SealError::TooLarge));
        assert_eq!(KEY.open(Sealer::Client, "1", &[2, 0]), Err(SealError::Form(2)));
        assert_eq!(KEY.open(Sealer::Client, "1", &[]), Err(SealError::Shape(0)));
    }
}
