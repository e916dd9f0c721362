//! Short message to mail.

use super::email_sms::EmailSms;
use super::number::Party;
use crate::smtp::Mailbox;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A header under construction. Values cannot end their field: control characters become spaces, and what is not
/// ASCII is written in encoded words.
#[derive(Debug, Default)]
pub(super) struct Header(Vec<u8>);

impl Header {
    /// Adds a field; `name` is ours.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        // spec: RFC 2047 §2; also what would look like an encoded word of ours
        if clean.is_ascii() && !clean.contains("=?") && clean.len() <= 900 {
            self.0.extend_from_slice(clean.trim().as_bytes());
        } else {
            self.0.extend_from_slice(encoded_words(&clean).as_bytes());
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Adds an address with a name that a person chose.
    pub(super) fn address(&mut self, name: &str, display: Option<&str>, address: &Mailbox) {
        match display.map(str::trim).filter(|display| !display.is_empty()) {
            // always in encoded words: no quoting rule can then be broken
            Some(display) => {
                let clean: String = display.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                self.0.extend_from_slice(
                    format!("{name}: {} <{address}>\r\n", encoded_words(&clean)).as_bytes(),
                );
            }
            None => self.0.extend_from_slice(format!("{name}: <{address}>\r\n").as_bytes()),
        }
    }

    /// Adds Message-IDs, one a line; what is none is left out.
    pub(super) fn ids<'a>(&mut self, name: &str, ids: impl Iterator<Item = &'a String>) {
        let clean = |id: &&String| {
            (1..=250).contains(&id.len())
                && id.bytes().all(|octet| (33..=126).contains(&octet) && !b"<>".contains(&octet))
        };
        let ids: Vec<String> = ids.filter(clean).map(|id| format!("<{id}>")).collect();
        if !ids.is_empty() {
            self.0.extend_from_slice(format!("{name}: {}\r\n", ids.join("\r\n ")).as_bytes());
        }
    }

    /// With the empty line that ends a header.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

/// Words of at most 75 octets, cut between characters.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut piece = String::new();
    for character in text.chars() {
        if piece.len() + character.len_utf8() > 45 {
            words.push(std::mem::take(&mut piece));
        }
        piece.push(character);
    }
    words.push(piece);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// Year, month (from 0), day of a number of days since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    // in years that begin in March
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 };
    (year_of_era + era * 400 + u64::from(month <= 1), month, day)
}

/// A date as RFC 5322 §3.3 writes it, from seconds since 1970, UTC.
pub(super) fn date(unix: u64) -> String {
    let days = unix / 86_400;
    let (hour, minute, second) = (unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    let (year, month, day) = civil(days);
    let name = |names: &'static str, index: u64| {
        let at = usize::try_from(index * 3).unwrap_or(0);
        names.get(at..at + 3).unwrap_or_default()
    };
    let weekday = name("ThuFriSatSunMonTueWed", days % 7);
    let month = name("JanFebMarAprMayJunJulAugSepOctNovDec", month);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `YYMMDDhhmm`, as receipts write dates.
pub(super) fn stamp(unix: u64) -> String {
    let (year, month, day) = civil(unix / 86_400);
    let (hour, minute) = (unix / 3_600 % 24, unix / 60 % 60);
    format!("{:02}{:02}{day:02}{hour:02}{minute:02}", year % 100, month + 1)
}

/// The token in a reply address: 128 bits, so that nobody guesses one.
///
/// The host makes it from its randomness and remembers phone, thread and expiry beside it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadToken(String);

impl ThreadToken {
    const ALPHABET: &'static [u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    const LENGTH: usize = 26;

    /// From 16 octets of randomness.
    pub fn new(random: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(random);
        let letter = |place: usize| {
            let index = usize::try_from(number >> (5 * place) & 31).unwrap_or(0);
            char::from(Self::ALPHABET.get(index).copied().unwrap_or(b'a'))
        };
        ThreadToken((0..Self::LENGTH).map(letter).collect())
    }

    /// The token of an address `r+TOKEN@…`.
    pub fn from_address(address: &Mailbox) -> Option<ThreadToken> {
        let token = address.local_part().strip_prefix("r+")?.to_ascii_lowercase();
        let legal = token.len() == Self::LENGTH && token.bytes().all(|octet| Self::ALPHABET.contains(&octet));
        legal.then_some(ThreadToken(token))
    }

    /// `r+TOKEN@domain`; `None` if the domain is none.
    pub fn address(&self, domain: &str) -> Option<Mailbox> {
        format!("r+{}@{domain}", self.0).parse().ok()
    }
}

impl std::fmt::Debug for ThreadToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // who knows the token may write into the thread
        write!(f, "ThreadToken({}…)", self.0.get(..4).unwrap_or_default())
    }
}

/// A mail made from a short message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compose {
    /// Who sent the short message.
    pub from: Party,
    /// The gateway's mail domain.
    pub domain: String,
    /// Who gets the mail.
    pub to: Vec<Mailbox>,
    /// Where answers go, if not to the sender's own address at the gateway.
    pub reply_to: Option<Mailbox>,
    /// Our Message-ID, without angle brackets.
    pub message_id: String,
    /// Message-IDs of the thread, oldest first, without angle brackets.
    pub thread: Vec<String>,
    /// The thread's subject, for messages that bring none.
    pub thread_subject: Option<String>,
    /// Seconds since 1970, UTC.
    pub date: u64,
    /// Our trace field: name and value.
    pub trace: (String, String),
    /// Parts of the message that never came.
    pub missing_parts: usize,
}

impl Compose {
    /// From and to these.
    pub fn new(
        from: Party,
        domain: impl Into<String>,
        to: Vec<Mailbox>,
        message_id: impl Into<String>,
        date: u64,
    ) -> Self {
        Compose {
            from,
            domain: domain.into(),
            to,
            reply_to: None,
            message_id: message_id.into(),
            thread: Vec::new(),
            thread_subject: None,
            date,
            trace: ("SMS-Bridge".into(), "1".into()),
            missing_parts: 0,
        }
    }

    /// The sender's address at the gateway; `None` for senders that cannot have one.
    pub fn sender(&self) -> Option<Mailbox> {
        match &self.from {
            Party::Phone(number) => format!("{number}@{}", self.domain).parse().ok(),
            Party::ShortCode(code) => format!("{code}@{}", self.domain).parse().ok(),
            Party::Name(_) | Party::Other { .. } => format!("noreply@{}", self.domain).parse().ok(),
        }
    }

    /// Writes the mail: our own header fields and nothing else, whatever the text says (threats M2).
    ///
    /// `None` if the domain cannot stand in an address.
    pub fn mail(&self, message: &EmailSms) -> Option<Vec<u8>> {
        let sender = self.sender()?;
        let shown = match &self.from {
            Party::Phone(number) => number.to_string(),
            Party::ShortCode(text) | Party::Name(text) => text.clone(),
            Party::Other { address, .. } => address.clone(),
        };
        let mut head = Header::default();
        head.address("From", Some(message.name.as_deref().unwrap_or(&shown)), &sender);
        for to in &self.to {
            head.address("To", None, to);
        }
        if let Some(reply_to) = &self.reply_to {
            head.address("Reply-To", None, reply_to);
        }
        head.text("Subject", &self.subject(message));
        head.text("Date", &date(self.date));
        head.ids("Message-ID", std::iter::once(&self.message_id));
        head.ids("In-Reply-To", self.thread.last().into_iter());
        // long threads keep their first and their last ten
        let recent = self.thread.len().saturating_sub(10).max(1);
        head.ids("References", self.thread.iter().take(1).chain(self.thread.iter().skip(recent)));
        head.text(&self.trace.0, &self.trace.1);
        head.text("MIME-Version", "1.0");
        head.text("Content-Type", "text/plain; charset=utf-8");
        head.text("Content-Transfer-Encoding", "base64");
        let mut mail = head.finish();
        mail.extend_from_slice(&self.body(message));
        Some(mail)
    }

    fn subject(&self, message: &EmailSms) -> String {
        if let Some(subject) = &message.subject {
            return subject.clone();
        }
        if let Some(subject) = &self.thread_subject {
            return if subject.to_ascii_lowercase().starts_with("re:") {
                subject.clone()
            } else {
                format!("Re: {subject}")
            };
        }
        let line = message.body.lines().find(|line| !line.trim().is_empty()).unwrap_or("SMS").trim();
        let short: String = line.chars().take(40).collect();
        if short.len() < line.len() { format!("{short}\u{2026}") } else { short }
    }

    fn body(&self, message: &EmailSms) -> Vec<u8> {
        let mut text = message.body.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        if self.missing_parts > 0 {
            text.push_str(&format!("\r\n[{} part(s) of this message did not arrive]", self.missing_parts));
        }
        text.push_str("\r\n");
        let encoded = STANDARD.encode(text);
        let mut out = Vec::with_capacity(encoded.len() + encoded.len() / 38 + 2);
        for line in encoded.as_bytes().chunks(76) {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::Msisdn;
    use super::*;
    use mail_parser::MessageParser;

    fn compose() -> Compose {
        let phone = Party::Phone(Msisdn::parse("+8613800138000").unwrap());
        let to = vec!["ann@example.org".parse().unwrap()];
        Compose::new(phone, "sms.example", to, "m1@sms.example", 1_795_321_311)
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(date(1_795_321_311), "Sun, 22 Nov 2026 04:21:51 +0000");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 +0000");
    }

    #[test]
    fn a_mail_is_read_by_another_parser() {
        let mut compose = compose();
        compose.thread = vec!["first@x".into(), "last@x".into()];
        compose.thread_subject = Some("Lunch".into());
        let message = EmailSms { body: "午饭?\nyes 👍".into(), ..EmailSms::default() };
        let mail = compose.mail(&message).unwrap();
        let parsed = MessageParser::default().parse(&mail).unwrap();
        assert_eq!(parsed.subject(), Some("Re: Lunch"));
        assert_eq!(parsed.body_text(0).unwrap().replace('\r', ""), "午饭?\nyes 👍\n");
        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!(
            (from.name(), from.address()),
            (Some("+8613800138000"), Some("+8613800138000@sms.example"))
        );
        assert_eq!(parsed.in_reply_to().as_text(), Some("last@x"));
    }

    #[test]
    fn threat_m2_a_text_writes_no_header() {
        for evil in [
            "a\r\nBcc: eve@example.org",
            "a\nBcc: eve@example.org",
            "a\0b\u{85}c",
            "=?utf-8?B?QQ0KQmNjOiB4?=",
            ">, <eve@example.org>",
        ] {
            let message = EmailSms {
                name: Some(evil.into()),
                subject: Some(evil.into()),
                body: format!("{evil}\r\n.\r\nQUIT\r\n"),
                ..EmailSms::default()
            };
            let mut compose = compose();
            compose.from = Party::Name(evil.into());
            let mail = compose.mail(&message).unwrap();
            let parsed = MessageParser::default().parse(&mail).unwrap();
            let names: Vec<&str> = parsed.headers().iter().map(|header| header.name()).collect();
            let ours = [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "SMS-Bridge",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
            ];
            assert_eq!(names, ours, "{evil:?}");
            assert_eq!(parsed.from().unwrap().iter().count(), 1);
            let lines_end_in_crlf =
                mail.split(|&octet| octet == b'\n').rev().skip(1).all(|line| line.ends_with(b"\r"));
            assert!(mail.is_ascii() && lines_end_in_crlf && mail.ends_with(b"\r\n"));
        }
    }

    #[test]
    fn tokens_come_back_and_are_not_shown() {
        let token = ThreadToken::new([0xA5; 16]);
        let address = token.address("sms.example").unwrap();
        assert_eq!(ThreadToken::from_address(&address), Some(token.clone()));
        assert!(!format!("{token:?}").contains(address.local_part()));
        assert_ne!(token, ThreadToken::new([0xA4; 16]));
        for other in ["r+short@x", "ann@x", "r+aaaaaaaaaaaaaaaaaaaaaaaaa1@x"] {
            assert_eq!(ThreadToken::from_address(&other.parse().unwrap()), None);
        }
    }
}
