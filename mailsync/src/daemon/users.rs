//! Names and passwords from the command line.

use syncml::session::auth;

/// Octets of a user name or device id.
const NAME: usize = 128;

/// Whether a text can be a user name or a device id.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME {
        return Err(format!("{what} {name:?}: 1 to {NAME} octets"));
    }
    // A colon ends the name in credentials.
    match name.chars().find(|c| c.is_control() || c.is_whitespace() || *c == ':') {
        Some(bad) => Err(format!("{what} {name:?}: {bad:?} is not allowed in it")),
        None => Ok(()),
    }
}

/// Whether a text can be a mail address that mail is delivered to.
pub(super) fn check_address(address: &str) -> Result<(), String> {
    if mailsync_proto::mail::outbox::is_address(address) {
        return Ok(());
    }
    Err(format!("{address:?} is no mail address, say ana@example.org"))
}

/// The verifier of a password.
// spec: threats C1: the sync password is a secret of its own, never a mail password
pub(super) fn verifier(user: &str, password: &str) -> String {
    auth::verifier(user, password)
}

/// A password from MAILSYNC_PASSWORD, else one that is typed in.
pub(super) fn password(user: &str) -> Result<String, String> {
    let prompt = format!("Sync password for {user} (not your mail password): ");
    let password = crate::secret::asked("MAILSYNC_PASSWORD", &prompt, true)?;
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    Ok(password)
}

/// Whether a text can stand for a user's name in a login: an IMEI, a phone number.
// mission: T9
pub(super) fn check_alias(alias: &str) -> Result<(), String> {
    let digits = alias.strip_prefix('+').unwrap_or(alias);
    if (8..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("{alias:?}: an IMEI or a phone number, 8 to 20 digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ana", "IMEI:1".trim_end_matches(":1"), "ana@example.org", "张"] {
            assert_eq!(check_name("user", good), Ok(()));
        }
        for bad in ["", "a b", "a:b", "a\n", &"x".repeat(200)] {
            assert!(check_name("user", bad).is_err(), "{bad:?}");
        }
    }
}
