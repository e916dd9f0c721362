//! Service loading: a URL that a terminal opens unasked, in WBXML (`application/vnd.wap.slc`).
//!
//! Our client shows it and opens nothing; our server sends none unless told to.

use super::error::{DecodeError, EncodeError, one_line};
use super::wbxml::{self, Tokens};

const TOKENS: Tokens = Tokens {
    format: "sl",
    tags: &[(0x05, "sl")],
    starts: &[
        (0x05, "action", "execute-low"),
        (0x06, "action", "execute-high"),
        (0x07, "action", "cache"),
        (0x08, "href", ""),
        (0x09, "href", "http://"),
        (0x0A, "href", "http://www."),
        (0x0B, "href", "https://"),
        (0x0C, "href", "https://www."),
    ],
    values: &[(0x85, ".com/"), (0x86, ".edu/"), (0x87, ".net/"), (0x88, ".org/")],
};

/// A service loading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceLoading {
    /// URL.
    pub href: String,
    /// How.
    pub action: Action,
}

/// How a service is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Without disturbing, if nothing is said.
    #[default]
    ExecuteLow,
    /// At once.
    ExecuteHigh,
    /// Only into the cache.
    Cache,
}

impl ServiceLoading {
    /// Loading without disturbing.
    #[must_use]
    pub fn new(href: impl Into<String>) -> ServiceLoading {
        ServiceLoading { href: href.into(), action: Action::ExecuteLow }
    }

    /// The WBXML document.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        one_line("sl", "href", &self.href)?;
        let mut out = wbxml::header(0x06);
        out.push(0x85);
        TOKENS.write(&mut out, "href", &self.href);
        match self.action {
            Action::ExecuteLow => {}
            Action::ExecuteHigh => TOKENS.write(&mut out, "action", "execute-high"),
            Action::Cache => TOKENS.write(&mut out, "action", "cache"),
        }
        out.push(0x01);
        Ok(out)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset.
    pub fn decode(wire: &[u8]) -> Result<ServiceLoading, DecodeError> {
        let elements = TOKENS.read(&[6], wire)?;
        let Some(e) = elements.first().filter(|e| e.name == "sl") else {
            return Err(DecodeError::violation("sl", 0, "no sl"));
        };
        let href = e.text_of("href").ok_or_else(|| DecodeError::violation("sl", 0, "no href"))?.to_owned();
        let action = match e.text_of("action") {
            Some("execute-high") => Action::ExecuteHigh,
            Some("cache") => Action::Cache,
            _ => Action::ExecuteLow,
        };
        Ok(ServiceLoading { href, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::unhex;

    // mission: M4c — written by libwbxml, read by libwbxml and tshark
    #[test]
    fn the_worked_example_in_both_directions() {
        let wire = unhex("02066a00850b036c61622e746573742f696e626f78000601");
        let sl = ServiceLoading { href: "https://lab.test/inbox".into(), action: Action::ExecuteHigh };
        assert_eq!(sl.encode().unwrap(), wire);
        assert_eq!(ServiceLoading::decode(&wire).unwrap(), sl);
    }

    #[test]
    fn bad_documents_are_refused() {
        for bad in ["02066a008501", "02056a00850801", "02066a0085", "02066a0005", ""] {
            assert!(ServiceLoading::decode(&unhex(bad)).is_err(), "{bad}");
        }
    }
}
