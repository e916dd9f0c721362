//! Mail inside a short message, as TS 23.040 clause 3.8 writes it.
//!
//! Phone to mail: `[#F#]address[#name][##subject#| |(subject)]text`; mail to phone the same without flag and name.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::smtp::Mailbox;

/// What a short message says as mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailSms {
    /// The operator's control flag.
    pub control: Option<char>,
    /// Recipients (from a phone) or the sender (to a phone); none if the text names none.
    pub addresses: Vec<Mailbox>,
    /// The sender's real name, from a phone only.
    pub name: Option<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The text.
    pub body: String,
}

/// The control flag at the start of a text, and the rest.
pub(super) fn control_flag(text: &str) -> Option<(char, &str)> {
    let mut characters = text.strip_prefix('#')?.chars();
    let flag = characters.next().filter(|&flag| flag != '#')?;
    Some((flag, characters.as_str().strip_prefix('#')?))
}

impl EmailSms {
    /// Reads a text. Never fails: what is no address is text.
    ///
    /// # Spec
    /// TS 23.040 §3.8.1, §3.8.2, §3.8.4
    pub fn parse(text: &str) -> EmailSms {
        let (control, rest) = match control_flag(text) {
            Some((flag, rest)) => (Some(flag), rest),
            None => (None, text),
        };
        let without = EmailSms { control, body: rest.to_owned(), ..EmailSms::default() };
        let Some((addresses, rest)) = addresses(rest) else { return without };
        let mut mail = EmailSms { addresses, ..without };
        (mail.name, mail.subject, mail.body) = subject_and_body(rest);
        mail
    }

    /// Writes the text for a phone: sender, subject, text. `hash_form` chooses `##subject#` over `(subject)`.
    ///
    /// What would end the subject early is replaced, control characters become spaces.
    pub fn format(&self, hash_form: bool) -> String {
        let clean = |text: &str, ends: &[char], instead: char| -> String {
            let one = |c: char| {
                if c.is_control() {
                    ' '
                } else if ends.contains(&c) {
                    instead
                } else {
                    c
                }
            };
            text.trim().chars().map(one).collect()
        };
        let mut out = String::new();
        if let Some(flag) = self.control {
            out.extend(['#', flag, '#']);
        }
        let addresses: Vec<&str> = self.addresses.iter().map(Mailbox::as_str).collect();
        out.push_str(&addresses.join(","));
        let subject = self.subject.as_deref().filter(|subject| !subject.trim().is_empty());
        match (&self.name, subject) {
            _ if self.addresses.is_empty() => {}
            (Some(name), subject) => {
                out.push('#');
                out.push_str(&clean(name, &['#'], ' '));
                if let Some(subject) = subject {
                    out.push_str("##");
                    out.push_str(&clean(subject, &['#'], ' '));
                }
                out.push('#');
            }
            (None, Some(subject)) if hash_form => {
                out.push_str("##");
                out.push_str(&clean(subject, &['#'], ' '));
                out.push('#');
            }
            (None, Some(subject)) => {
                out.push('(');
                out.push_str(&clean(subject, &[')'], ']'));
                out.push(')');
            }
            (None, None) => out.push(' '),
        }
        out.push_str(&self.body);
        out
    }
}

/// The address token and what follows it.
fn addresses(text: &str) -> Option<(Vec<Mailbox>, &str)> {
    // `Name <user@domain>`, names short enough not to be text
    if let Some((_, inner)) =
        text.split_once('<').filter(|(name, _)| name.len() <= 64 && !name.contains('\n'))
        && let Some((address, rest)) = inner.split_once('>')
        && let Ok(mailbox) = address.parse::<Mailbox>()
    {
        return Some((vec![mailbox], rest));
    }
    let end = text.find([' ', '\n', '\r', '(', '#']).unwrap_or(text.len());
    let (token, rest) = text.split_at_checked(end)?;
    let mailboxes: Option<Vec<Mailbox>> = token.split(',').map(mailbox).collect();
    Some((mailboxes?, rest))
}

/// An address as typed on a phone.
fn mailbox(token: &str) -> Option<Mailbox> {
    if token.contains('@') {
        return token.parse().ok();
    }
    // spec: TS 23.040 §3.8.4, only where no @ could be typed
    let typed = token.replacen('*', "@", 1).replace('$', "_");
    typed.contains('@').then(|| typed.parse().ok()).flatten()
}

fn subject_and_body(rest: &str) -> (Option<String>, Option<String>, String) {
    let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    if let Some(inner) = rest.strip_prefix('(')
        && let Some((subject, body)) = inner.split_once(')')
    {
        return (None, own(subject), body.to_owned());
    }
    if let Some(inner) = rest.strip_prefix("##")
        && let Some((subject, body)) = inner.split_once('#')
    {
        return (None, own(subject), body.to_owned());
    }
    if let Some(inner) = rest.strip_prefix('#')
        && let Some((name, after)) = inner.split_once('#')
    {
        if let Some(inner) = after.strip_prefix('#')
            && let Some((subject, body)) = inner.split_once('#')
        {
            return (own(name), own(subject), body.to_owned());
        }
        return (own(name), None, after.to_owned());
    }
    (None, None, rest.strip_prefix([' ', '\n']).unwrap_or(rest).to_owned())
}

/// One part of a text that is split without a header (TS 23.040 §3.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextualPart<'a> {
    /// It goes on from a part before.
    pub continues: bool,
    /// A part follows.
    pub more: bool,
    /// The text without its marks.
    pub text: &'a str,
}

impl<'a> TextualPart<'a> {
    /// Reads the marks.
    pub fn parse(text: &'a str) -> TextualPart<'a> {
        let (continues, text) = text.strip_prefix('+').map_or((false, text), |text| (true, text));
        let (more, text) = text.strip_suffix('+').map_or((false, text), |text| (true, text));
        TextualPart { continues, more, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec-test: TS 23.040 §3.8
    #[test]
    fn texts_of_phones() {
        for (text, control, addresses, name, subject, body) in [
            ("bob@example.org hi there", None, "bob@example.org", None, None, "hi there"),
            ("bob@example.org(Hello)hi", None, "bob@example.org", None, Some("Hello"), "hi"),
            ("bob@example.org##Hello#hi", None, "bob@example.org", None, Some("Hello"), "hi"),
            ("bob@example.org#Ann Lee#hi", None, "bob@example.org", Some("Ann Lee"), None, "hi"),
            ("bob@example.org#Ann##Hello#hi", None, "bob@example.org", Some("Ann"), Some("Hello"), "hi"),
            ("#1#bob@example.org hi", Some('1'), "bob@example.org", None, None, "hi"),
            ("a@x.org,b@y.org hi", None, "a@x.org b@y.org", None, None, "hi"),
            ("Bob <bob@example.org> hi", None, "bob@example.org", None, None, "hi"),
            ("bob$b*example.org hi", None, "bob_b@example.org", None, None, "hi"),
            ("bob@example.org", None, "bob@example.org", None, None, ""),
            ("hi there, 3*4 is 12", None, "", None, None, "hi there, 3*4 is 12"),
            ("a@x.org,junk hi", None, "", None, None, "a@x.org,junk hi"),
            ("bob@example.org(no end", None, "bob@example.org", None, None, "(no end"),
            ("#x", None, "", None, None, "#x"),
            ("###", None, "", None, None, "###"),
            ("", None, "", None, None, ""),
        ] {
            let mail = EmailSms::parse(text);
            let seen: Vec<&str> = mail.addresses.iter().map(Mailbox::as_str).collect();
            assert_eq!(seen.join(" "), addresses, "{text}");
            assert_eq!((mail.control, mail.name.as_deref()), (control, name), "{text}");
            assert_eq!((mail.subject.as_deref(), mail.body.as_str()), (subject, body), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for hash_form in [true, false] {
            for (subject, body) in [(Some("Hello"), "hi"), (None, "hi"), (Some("Re: a (b) #c"), "(x) #y#\nz")]
            {
                let mail = EmailSms {
                    addresses: vec!["ann@example.org".parse().unwrap()],
                    subject: subject.map(str::to_owned),
                    body: body.to_owned(),
                    ..EmailSms::default()
                };
                let back = EmailSms::parse(&mail.format(hash_form));
                assert_eq!((&back.addresses, &back.body), (&mail.addresses, &mail.body));
                assert_eq!(back.subject.is_some(), mail.subject.is_some());
            }
        }
    }

    #[test]
    fn threat_m2_nothing_of_a_text_becomes_a_line() {
        let mail = EmailSms::parse("bob@example.org##Hi\r\nBcc: eve@example.org#x");
        // the parser keeps it; whoever writes a header must encode it
        assert_eq!(mail.subject.as_deref(), Some("Hi\r\nBcc: eve@example.org"));
        assert!(!mail.format(true).contains('\r'));
        assert!(EmailSms::parse("bob@example.org\r\nBcc:x").addresses.len() == 1);
        assert!(EmailSms::parse("b\rob@example.org hi").addresses.is_empty());
    }

    #[test]
    fn textual_parts() {
        for (text, continues, more, rest) in [
            ("a", false, false, "a"),
            ("a+", false, true, "a"),
            ("+a+", true, true, "a"),
            ("+a", true, false, "a"),
            ("+", true, false, ""),
        ] {
            assert_eq!(TextualPart::parse(text), TextualPart { continues, more, text: rest });
        }
    }
}
