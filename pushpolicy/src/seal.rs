//! Authentication codes for reports that travel outside an authenticated session (feature `seal`).
//!
//! A report inside a SyncML session needs none. One by datagram carries HMAC-SHA-256 over its JSON octets, keyed
//! with a secret that the session handed out; replay is stopped by `(boot, seq)`, revocation by the epoch.

use crate::error::ReportError;
use crate::evidence::Report;
use crate::limits::Limits;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Octets of the code.
pub const TAG_LEN: usize = 32;

/// The secret that a terminal and the server share; never printed.
#[derive(Clone)]
pub struct ReportKey([u8; 32]);

impl ReportKey {
    /// A key of 32 random octets.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> ReportKey {
        ReportKey(key)
    }
}

impl fmt::Debug for ReportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportKey(redacted)")
    }
}

/// Why a sealed report was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the code.
    #[error("sealed report: {0} octets, at least 32 needed")]
    Short(usize),
    /// Not made with this key, or changed on the way.
    #[error("sealed report: wrong code")]
    Forged,
    /// Authentic, but no good report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// The octets to send: code, then JSON.
///
/// # Errors
/// [`ReportError::Malformed`] if the report cannot be written, which its types rule out.
pub fn seal(key: &ReportKey, report: &Report) -> Result<Vec<u8>, ReportError> {
    let json = serde_json::to_vec(report)?;
    let mut out = hmac_sha256(&key.0, &json).to_vec();
    out.extend_from_slice(&json);
    Ok(out)
}

/// Checks the code, then reads the report.
///
/// # Errors
/// [`OpenError`]; the JSON is not looked at before the code is right.
pub fn open(key: &ReportKey, sealed: &[u8], limits: &Limits) -> Result<Report, OpenError> {
    let Some((tag, json)) = sealed.split_at_checked(TAG_LEN) else {
        return Err(OpenError::Short(sealed.len()));
    };
    if json.len() > limits.report_bytes {
        return Err(ReportError::Limit {
            what: "report_bytes",
            value: json.len(),
            limit: limits.report_bytes,
        }
        .into());
    }
    if !bool::from(hmac_sha256(&key.0, json).ct_eq(tag)) {
        return Err(OpenError::Forged);
    }
    Ok(Report::from_json(json, limits)?)
}

// spec: RFC 2104 §2 (a key of 32 octets is shorter than the block of 64)
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; TAG_LEN] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Order, Reading};
    use crate::terminal::TerminalId;

    // spec-test: RFC 4231 §4.3 (key "Jefe", padded with zeros as HMAC does)
    #[test]
    fn hmac_of_a_known_vector() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hex: String =
            hmac_sha256(&key, b"what do ya want for nothing?").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn attack_a_forged_report_is_not_read() {
        let key = ReportKey::new([7; 32]);
        let report = Report::new(
            TerminalId::new("t").unwrap(),
            Order { boot: 1, seq: 1 },
            vec![Reading::Screen { on: true }],
        );
        let sealed = seal(&key, &report).unwrap();
        assert_eq!(open(&key, &sealed, &Limits::default()).unwrap(), report);
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(matches!(open(&key, &bad, &Limits::default()), Err(OpenError::Forged)), "octet {at}");
        }
        assert!(matches!(
            open(&ReportKey::new([8; 32]), &sealed, &Limits::default()),
            Err(OpenError::Forged)
        ));
        assert!(matches!(open(&key, &sealed[..31], &Limits::default()), Err(OpenError::Short(31))));
        assert_eq!(format!("{key:?}"), "ReportKey(redacted)");
    }
}
