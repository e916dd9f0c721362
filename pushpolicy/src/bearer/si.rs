//! Service indication: a short text and a URL, in WBXML (`application/vnd.wap.sic`).

use super::date::UtcTime;
use super::error::{DecodeError, EncodeError, one_line};
use super::wbxml::{self, Tokens};

const TOKENS: Tokens = Tokens {
    format: "si",
    tags: &[(0x05, "si"), (0x06, "indication"), (0x07, "info"), (0x08, "item")],
    starts: &[
        (0x05, "action", "signal-none"),
        (0x06, "action", "signal-low"),
        (0x07, "action", "signal-medium"),
        (0x08, "action", "signal-high"),
        (0x09, "action", "delete"),
        (0x0A, "created", ""),
        (0x0B, "href", ""),
        (0x0C, "href", "http://"),
        (0x0D, "href", "http://www."),
        (0x0E, "href", "https://"),
        (0x0F, "href", "https://www."),
        (0x10, "si-expires", ""),
        (0x11, "si-id", ""),
        (0x12, "class", ""),
    ],
    values: &[(0x85, ".com/"), (0x86, ".edu/"), (0x87, ".net/"), (0x88, ".org/")],
};

/// A service indication.
///
/// # Shape
/// The text is shown, the URL opened if the user wants it; the receiver opens nothing by itself. A newer `created`
/// with the same `id` replaces; [`Action::Delete`] removes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceIndication {
    /// URL.
    pub href: String,
    /// Names it, so that it can be replaced or deleted; the URL serves if absent.
    pub id: Option<String>,
    /// When it was made.
    pub created: Option<UtcTime>,
    /// When it is of no use any more.
    pub expires: Option<UtcTime>,
    /// How loud.
    pub action: Action,
    /// Text.
    pub text: String,
}

/// How loud an indication is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Silent.
    None,
    /// Low.
    Low,
    /// Medium, if nothing is said.
    #[default]
    Medium,
    /// High.
    High,
    /// Take back the one with the same id.
    Delete,
}

impl Action {
    const ALL: [(Action, &'static str); 5] = [
        (Action::None, "signal-none"),
        (Action::Low, "signal-low"),
        (Action::Medium, "signal-medium"),
        (Action::High, "signal-high"),
        (Action::Delete, "delete"),
    ];

    fn name(self) -> &'static str {
        Action::ALL.iter().find(|(a, _)| *a == self).map_or("signal-medium", |(_, n)| n)
    }
}

impl ServiceIndication {
    /// A medium indication without id and dates.
    #[must_use]
    pub fn new(href: impl Into<String>, text: impl Into<String>) -> ServiceIndication {
        ServiceIndication {
            href: href.into(),
            id: None,
            created: None,
            expires: None,
            action: Action::Medium,
            text: text.into(),
        }
    }

    /// The WBXML document.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        one_line("si", "href", &self.href)?;
        one_line("si", "text", &self.text)?;
        let mut out = wbxml::header(0x05);
        out.extend_from_slice(&[0x45, if self.text.is_empty() { 0x86 } else { 0xC6 }]);
        TOKENS.write(&mut out, "href", &self.href);
        if let Some(id) = &self.id {
            one_line("si", "si-id", id)?;
            TOKENS.write(&mut out, "si-id", id);
        }
        if let Some(created) = self.created {
            wbxml::write_date(&mut out, 0x0A, created);
        }
        if let Some(expires) = self.expires {
            wbxml::write_date(&mut out, 0x10, expires);
        }
        if self.action != Action::Medium {
            TOKENS.write(&mut out, "action", self.action.name());
        }
        out.push(0x01);
        if !self.text.is_empty() {
            wbxml::write_string(&mut out, &self.text);
            out.push(0x01);
        }
        out.push(0x01);
        Ok(out)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset.
    pub fn decode(wire: &[u8]) -> Result<ServiceIndication, DecodeError> {
        let elements = TOKENS.read(&[5], wire)?;
        let Some(e) = elements.iter().find(|e| e.name == "indication") else {
            return Err(DecodeError::violation("si", 0, "no indication"));
        };
        let id = e.text_of("si-id").map(str::to_owned);
        let href = e.text_of("href").or(id.as_deref());
        let href = href.ok_or_else(|| DecodeError::violation("si", 0, "no href"))?.to_owned();
        let stated = e.text_of("action");
        let action = Action::ALL.iter().find(|(_, n)| Some(*n) == stated).map_or(Action::Medium, |(a, _)| *a);
        Ok(ServiceIndication {
            href,
            id,
            created: e.date_of("si", "created")?,
            expires: e.date_of("si", "si-expires")?,
            action,
            text: e.text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::unhex;

    /// Written by libwbxml, read by libwbxml and tshark.
    const WORKED: &str = "02056a0045c60d036c61622e746573742f6d61696c0011036d31406c6162000ac30620261122031210c3042026112308\
                          01034e6577206d61696c000101";

    // mission: M4c
    #[test]
    fn the_worked_example_in_both_directions() {
        let mut si = ServiceIndication::new("http://www.lab.test/mail", "New mail");
        si.id = Some("m1@lab".into());
        si.created = UtcTime::parse("2026-11-22T03:12:00Z");
        si.expires = UtcTime::parse("2026-11-23T00:00:00Z");
        si.action = Action::High;
        assert_eq!(si.encode().unwrap(), unhex(WORKED));
        assert_eq!(ServiceIndication::decode(&unhex(WORKED)).unwrap(), si);
    }

    #[test]
    fn urls_are_shortened_and_restored() {
        for href in [
            "https://www.a.com/b.org/c",
            "ftp://x",
            "http://a.net/",
            "https://mail.example.com/",
            ".com/.com/",
        ] {
            for action in Action::ALL.map(|(a, _)| a) {
                let si = ServiceIndication { action, ..ServiceIndication::new(href, "") };
                assert_eq!(ServiceIndication::decode(&si.encode().unwrap()).unwrap(), si);
            }
        }
    }

    #[test]
    fn threat_w_rows_bad_documents_are_refused() {
        let whole = unhex(WORKED);
        for n in 0..whole.len() {
            assert!(ServiceIndication::decode(&whole[..n]).is_err(), "{n} octets");
        }
        for (wire, part) in [
            ("02056a00 01", "end without an element"),
            ("02056a00 0361 00", "text without an element"),
            ("02056a00 c3 01 61", "text without an element"),
            ("02056a00 45 c6 83 05 01", "string table index"),
            ("02056a00 45 c6 c3 9080808003", "mb_u_int32"),
            ("02056a00 45 c6 0d c3 7f 61", "incomplete"),
            ("02066a00 05", "public id 0x6"),
            ("02050400 05", "charset 4"),
            ("02056a00 05 05", "octets after the document"),
            ("02056a00 45 c6 0b 0378 00 0c 0378 00 01 01", "href twice"),
            ("02056a00 45 c6 0b 02 808000", "malformed"),
            ("02056a00 45454545454545454545", "depth 9, limit 8"),
            ("02056a00 45 06 01", "no href"),
            ("02056a00 00", "token 0x00"),
            ("02056a00 45 c6 0b 0378 00 0a c3 04 20269999 01 01 01", "date"),
        ] {
            let error = ServiceIndication::decode(&unhex(&wire.replace(' ', ""))).unwrap_err().to_string();
            assert!(error.contains(part), "{wire}: {error}");
        }
    }
}
