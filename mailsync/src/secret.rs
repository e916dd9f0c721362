//! Passwords: asked for, and at rest.
//!
//! # Source
//! threats: C1

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use std::io::IsTerminal;

fn hasher() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or(Params::DEFAULT);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What may be kept in place of a password: argon2id, 19 MiB, two passes, in PHC form.
///
/// # Errors
/// In words: no randomness, or a password that cannot be hashed.
pub(crate) fn hash(password: &str) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
    hasher()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

/// Whether this is the password that was kept: itself, or its hash. Takes tens of milliseconds for a hash.
pub(crate) fn is(given: &[u8], kept: &str) -> bool {
    if !kept.starts_with("$argon2") {
        return same(given, kept.as_bytes());
    }
    PasswordHash::new(kept).is_ok_and(|kept| hasher().verify_password(given, &kept).is_ok())
}

/// A password from an environment variable, else typed in; twice where a slip would go unnoticed.
///
/// # Errors
/// In words: neither variable nor terminal, or the two differ.
pub(crate) fn asked(variable: &str, prompt: &str, twice: bool) -> Result<String, String> {
    match std::env::var(variable) {
        Ok(password) => return Ok(password),
        Err(std::env::VarError::NotPresent) => {}
        Err(error) => return Err(format!("{variable}: {error}")),
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("no password: set {variable}, or run this in a terminal"));
    }
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map_err(|error| error.to_string());
    let first = ask(prompt)?;
    if twice && ask("Again: ")? != first {
        return Err("the two passwords differ".into());
    }
    Ok(first)
}

/// Compares all octets, however many are equal.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let wrong = given.iter().zip(expected).fold(0, |wrong, (a, b)| wrong | (a ^ b));
    given.len() == expected.len() && wrong == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_c1_passwords_are_kept_as_hashes() {
        let kept = hash("secret1").unwrap();
        assert!(is(b"secret1", &kept) && !is(b"secret2", &kept) && !is(kept.as_bytes(), &kept));
        assert_ne!(hash("secret1").unwrap(), kept, "another salt");
        assert!(is(b"plain", "plain") && !is(b"plai", "plain") && !is(b"", "plain"));
        assert!(!is(b"x", "$argon2id$broken"));
    }
}
