//! E-mail notification: "this mailbox has news", in WBXML (`application/vnd.wap.emn+wbxml`).

use super::date::UtcTime;
use super::error::{DecodeError, EncodeError, one_line};
use super::wbxml::{self, Tokens};

const TOKENS: Tokens = Tokens {
    format: "emn",
    tags: &[(0x05, "emn")],
    starts: &[
        (0x05, "timestamp", ""),
        (0x06, "mailbox", ""),
        (0x07, "mailbox", "mailat:"),
        (0x08, "mailbox", "pop://"),
        (0x09, "mailbox", "imap://"),
        (0x0A, "mailbox", "http://"),
        (0x0B, "mailbox", "http://www."),
        (0x0C, "mailbox", "https://"),
        (0x0D, "mailbox", "https://www."),
    ],
    // No slash, unlike SI.
    values: &[(0x85, ".com"), (0x86, ".edu"), (0x87, ".net"), (0x88, ".org")],
};

/// An e-mail notification. One that is older than the last for its mailbox is dropped by the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmailNotification {
    /// URI of the mailbox, `mailat:alice@example.com`.
    pub mailbox: String,
    /// When the newest mail arrived.
    pub timestamp: Option<UtcTime>,
}

impl EmailNotification {
    /// A notification without a time.
    #[must_use]
    pub fn new(mailbox: impl Into<String>) -> EmailNotification {
        EmailNotification { mailbox: mailbox.into(), timestamp: None }
    }

    /// The WBXML document.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        one_line("emn", "mailbox", &self.mailbox)?;
        let mut out = wbxml::header(0x0D);
        out.push(0x85);
        TOKENS.write(&mut out, "mailbox", &self.mailbox);
        if let Some(timestamp) = self.timestamp {
            wbxml::write_date(&mut out, 0x05, timestamp);
        }
        out.push(0x01);
        Ok(out)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset.
    pub fn decode(wire: &[u8]) -> Result<EmailNotification, DecodeError> {
        // quirk: the draft of 2002 had public id 0F; registry and final text say 0D
        let elements = TOKENS.read(&[0x0D, 0x0F], wire)?;
        let Some(e) = elements.first().filter(|e| e.name == "emn") else {
            return Err(DecodeError::violation("emn", 0, "no emn"));
        };
        let mailbox =
            e.text_of("mailbox").ok_or_else(|| DecodeError::violation("emn", 0, "no mailbox"))?.to_owned();
        Ok(EmailNotification { mailbox, timestamp: e.date_of("emn", "timestamp")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::unhex;

    // mission: M4c — written by libwbxml, read by libwbxml and tshark
    #[test]
    fn the_worked_example_in_both_directions() {
        let wire = unhex("020d6a00850703616c696365406c6162008505c30620261122031201");
        let timestamp = UtcTime::parse("2026-11-22T03:12:00Z");
        let emn = EmailNotification { mailbox: "mailat:alice@lab.com".into(), timestamp };
        assert_eq!(emn.encode().unwrap(), wire);
        assert_eq!(EmailNotification::decode(&wire).unwrap(), emn);
        let mut draft = wire;
        draft[1] = 0x0F;
        assert_eq!(EmailNotification::decode(&draft).unwrap(), emn);
    }

    #[test]
    fn bad_documents_are_refused() {
        for bad in ["020d6a008501", "020d6a0005", "02056a0085", "020d6a008505c3082026112203120000000601"] {
            assert!(EmailNotification::decode(&unhex(bad)).is_err(), "{bad}");
        }
    }
}
