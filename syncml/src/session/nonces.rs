//! The nonces that a side gives to its peers.
//!
//! They are derived, not stored: from a key, the user, the device, and how often that device has logged in. So a
//! stranger costs no write, and every login makes all earlier nonces worthless.

use md5::{Digest, Md5};

/// Seconds for which a nonce given to a stranger is good; it is good for the next slot too.
const SLOT: u64 = 300;

/// Nonces of a side, derived from its key.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// 32 unpredictable octets that only this side knows.
    pub key: &'a [u8; 32],
    /// The user who wants to log in, known or not.
    pub user: &'a str,
    /// The device.
    pub device: &'a str,
    /// How often it has logged in.
    pub logins: u64,
}

impl Nonces<'_> {
    /// The nonce to challenge with now.
    pub fn now(&self, now: u64) -> [u8; 16] {
        self.derive(1, now / SLOT, self.logins)
    }

    /// The nonce to hand out after a login, for the next session.
    pub fn next_session(&self) -> [u8; 16] {
        self.derive(2, 0, self.logins.wrapping_add(1))
    }

    /// The nonce that was handed out after the last login: with it a server proves itself in Package #0, too.
    pub fn of_last_login(&self) -> [u8; 16] {
        self.derive(2, 0, self.logins)
    }

    /// Every nonce that the peer may use now.
    pub fn valid(&self, now: u64) -> [[u8; 16]; 3] {
        let slot = now / SLOT;
        [
            self.derive(2, 0, self.logins),
            self.derive(1, slot, self.logins),
            self.derive(1, slot.saturating_sub(1), self.logins),
        ]
    }

    // MD5 keyed before and after: HMAC in all but name, over values of which only the key is secret.
    fn derive(&self, purpose: u8, slot: u64, logins: u64) -> [u8; 16] {
        let mut inner = Md5::new();
        inner.update(self.key);
        inner.update([purpose]);
        inner.update(slot.to_be_bytes());
        inner.update(logins.to_be_bytes());
        inner.update((self.user.len() as u64).to_be_bytes());
        inner.update(self.user);
        inner.update(self.device);
        let mut outer = Md5::new();
        outer.update(inner.finalize());
        outer.update(self.key);
        outer.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_s3_every_login_makes_earlier_nonces_worthless() {
        let key = [7; 32];
        let before = Nonces { key: &key, user: "u", device: "d", logins: 4 };
        let after = Nonces { logins: 5, ..before };
        let given = before.now(1000);
        assert!(before.valid(1000).contains(&given));
        assert!(before.valid(1000 + SLOT).contains(&given));
        assert!(!before.valid(1000 + 2 * SLOT).contains(&given));
        assert!(!after.valid(1000).contains(&given));
        assert!(after.valid(99_999_999).contains(&before.next_session()));
        assert_ne!(Nonces { device: "e", ..before }.now(1000), given);
    }
}
