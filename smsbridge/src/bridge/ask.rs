//! What a phone asks of the gateway itself: to be bound to a mailbox.

use super::number::Msisdn;
use crate::smtp::Mailbox;

/// A command in a short message to a number of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// `BIND ann@example.org`: a code goes to each end.
    Bind(Mailbox),
    /// `CONFIRM 123456 654321`: the code of the phone, then the code of the mailbox.
    Confirm {
        /// The phone's code.
        phone_code: String,
        /// The mailbox's code.
        mail_code: String,
    },
    /// `UNBIND ann@example.org`.
    Unbind(Mailbox),
}

impl Ask {
    /// Reads a text; `None` if it asks nothing.
    pub fn parse(text: &str) -> Option<Ask> {
        let mut words = text.split_whitespace();
        let verb = words.next()?.to_ascii_uppercase();
        let first = words.next()?;
        let ask = match verb.as_str() {
            "BIND" => Ask::Bind(first.parse().ok()?),
            "UNBIND" => Ask::Unbind(first.parse().ok()?),
            "CONFIRM" => Ask::Confirm { phone_code: first.to_owned(), mail_code: words.next()?.to_owned() },
            _ => return None,
        };
        words.next().is_none().then_some(ask)
    }

    /// The text that asks it.
    pub fn text(&self) -> String {
        match self {
            Ask::Bind(mailbox) => format!("BIND {mailbox}"),
            Ask::Unbind(mailbox) => format!("UNBIND {mailbox}"),
            Ask::Confirm { phone_code, mail_code } => format!("CONFIRM {phone_code} {mail_code}"),
        }
    }
}

/// A binding inside a mail: the number, and how long it holds (a day, if the field does not say).
///
/// `SMS-Bind: +8613800138000; ttl=3600`, seconds.
pub fn temporary_binding(value: &str) -> Option<(Msisdn, u64)> {
    let (number, rest) = value.split_once(';').unwrap_or((value, ""));
    let seconds = match rest.trim() {
        "" => 86_400,
        rest => rest.strip_prefix("ttl=")?.trim().parse().ok()?,
    };
    Some((Msisdn::parse(number)?, seconds))
}

/// The value of the first field of a mail with this name.
pub fn field(message: &[u8], name: &str) -> Option<String> {
    super::header::fields(message).find(|field| field.is(name)).map(|field| field.value())
}

/// The header of a mail, up to its empty line.
pub fn header_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    message.get(..end).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: S4
    #[test]
    fn commands() {
        for text in ["BIND ann@example.org", "CONFIRM 123456 654321", "UNBIND ann@example.org"] {
            assert_eq!(Ask::parse(text).unwrap().text(), text);
        }
        assert_eq!(Ask::parse(" bind  ann@example.org \n"), Ask::parse("BIND ann@example.org"));
        for text in ["", "BIND", "BIND ann", "CONFIRM 1", "BIND ann@example.org please", "hello there"] {
            assert_eq!(Ask::parse(text), None, "{text}");
        }
    }

    #[test]
    fn bindings_in_a_mail() {
        let number = Msisdn::parse("+8613800138000").unwrap();
        assert_eq!(temporary_binding("+86 138 0013 8000"), Some((number.clone(), 86_400)));
        assert_eq!(temporary_binding("+8613800138000; ttl=60"), Some((number, 60)));
        for bad in ["", "13800", "+8613800138000; ttl=x", "+8613800138000; for=60", "ann@example.org"] {
            assert_eq!(temporary_binding(bad), None, "{bad}");
        }
        assert_eq!(
            field(b"A: 1\r\nsms-bind: x\r\n y\r\n\r\nSMS-Bind: z\r\n", "SMS-Bind").as_deref(),
            Some("x y")
        );
        assert_eq!(header_of(b"A: 1\r\n\r\nB"), b"A: 1\r\n");
    }
}
