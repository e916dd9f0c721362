//! Which version to try when a server does not take ours.

use crate::model::{StatusCode, Version};

/// What came instead of an answer to the first message of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstFailure {
    /// The status for the header.
    Status(StatusCode),
    /// The transport's status, as HTTP counts.
    Http(u16),
    /// Nothing.
    Silence,
}

/// The version for the next try, in a new session; none when the version is not to blame, or none is left.
///
/// # Spec
/// Session facts section 9: 505, 513, HTTP 400 or silence; 1.2, then 1.1, then 1.0.
pub fn fallback(version: Version, failure: FirstFailure) -> Option<Version> {
    let blamed = match failure {
        FirstFailure::Status(code) => {
            code == StatusCode::VERSION_NOT_SUPPORTED || code == StatusCode::PROTOCOL_NOT_SUPPORTED
        }
        FirstFailure::Http(status) => status == 400,
        FirstFailure::Silence => true,
    };
    version.lower().filter(|_| blamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_to_1_0_and_only_for_the_version() {
        let mut tried = vec![Version::V1_2];
        let failure = FirstFailure::Status(StatusCode::VERSION_NOT_SUPPORTED);
        while let Some(next) = fallback(*tried.last().unwrap(), failure) {
            tried.push(next);
        }
        assert_eq!(tried, [Version::V1_2, Version::V1_1, Version::V1_0]);
        let tries = [
            (FirstFailure::Status(StatusCode(513)), true),
            (FirstFailure::Http(400), true),
            (FirstFailure::Silence, true),
            (FirstFailure::Status(StatusCode(401)), false),
            (FirstFailure::Http(404), false),
            (FirstFailure::Http(503), false),
        ];
        for (failure, again) in tries {
            assert_eq!(fallback(Version::V1_2, failure).is_some(), again, "{failure:?}");
        }
    }
}
