//! IMAP URLs: of what is in a mailbox, and of what somebody else may fetch from it.
// spec: RFC 5092 §6, RFC 4467 §3
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::date;
use crate::mailbox::stored::Place;
use mailsync_proto::mail::account::Server;
use mailsync_proto::mail::catenate::Section;
use mailsync_proto::mail::time::to_basic;

/// A section of a mail for the server that has it itself.
// spec: RFC 5092 §7.1: an absolute path without a server
pub(super) fn of_section(place: &Place, section: &Section) -> String {
    let mail = of_mail(place);
    match section {
        Section::Whole => mail,
        Section::Header(part) => format!("{mail}/;SECTION={part}.MIME"),
        Section::Content(part) => format!("{mail}/;SECTION={part}"),
    }
}

/// A mail that the submission server may fetch for its user until a time (seconds since 1970). `servers` are those that
/// it says it fetches from.
// spec: RFC 4467 §3; RFC 4468 §3.3
pub(super) fn to_submit(
    place: &Place,
    user: &str,
    ours: &Server,
    servers: &[String],
    until: u64,
) -> Option<String> {
    let authority = authority(ours, servers)?;
    let (user, mail, until) = (encoded(user), of_mail(place), rfc3339(until)?);
    Some(format!("imap://{user}@{authority}{mail};EXPIRE={until};URLAUTH=submit+{user}"))
}

fn of_mail(place: &Place) -> String {
    let Place { path, identity, id } = place;
    // spec: RFC 5092 §8: names are in UTF-8 there, and not in modified UTF-7
    format!("/{};UIDVALIDITY={}/;UID={id}", encoded(&date::decode_name(path)), encoded(identity))
}

/// How the mail server is called by who fetches from it: as the submission server says, else as we know it.
// quirk: Dovecot 2.3.19 answers BAD to any host and port but its imap_urlauth_host and -port, which its submission server
// names after AUTH only
fn authority(ours: &Server, servers: &[String]) -> Option<String> {
    let named: Vec<&str> = servers.iter().filter_map(|server| authority_of(server)).collect();
    let host = |authority: &str| authority.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let like_ours = named.iter().find(|named| host(named) == ours.host.to_ascii_lowercase());
    if let Some(named) = like_ours.or(named.first()) {
        return Some((*named).to_owned());
    }
    let plain = ours.host.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'));
    // A port of TLS is ours and not the one that it fetches from.
    plain.then(|| match ours.port {
        143 | 993 => ours.host.to_string(),
        port => format!("{}:{port}", ours.host),
    })
}

/// `imap://host:port`, perhaps with a user; only what can stand in a URL.
// threats: M2
fn authority_of(server: &str) -> Option<&str> {
    let rest =
        server.get(7..).filter(|_| server.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("imap://")))?;
    let authority = rest.split('/').next()?;
    let authority = authority.rsplit('@').next()?;
    let good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b':' | b'[' | b']');
    (!authority.is_empty() && authority.bytes().all(good)).then_some(authority)
}

/// Percent-encoded but for what may stand anywhere in a URL, and the slash.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// `20261122T100000Z` as `2026-11-22T10:00:00Z`.
fn rfc3339(seconds: u64) -> Option<String> {
    let basic = to_basic(seconds);
    let (date, time) = basic.trim_end_matches('Z').split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..8)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..6)?);
    Some(format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailsync_proto::mail::account::Tls;

    fn place(path: &str) -> Place {
        Place { path: path.into(), identity: "17".into(), id: 5 }
    }

    #[test]
    fn names_and_sections() {
        assert_eq!(of_section(&place("INBOX"), &Section::Whole), "/INBOX;UIDVALIDITY=17/;UID=5");
        assert_eq!(
            of_section(&place("Work/B&APw-cher; 50%"), &Section::Header("2.1".into())),
            "/Work/B%C3%BCcher%3B%2050%25;UIDVALIDITY=17/;UID=5/;SECTION=2.1.MIME"
        );
        assert_eq!(
            of_section(&place("INBOX"), &Section::Content("3".into())),
            "/INBOX;UIDVALIDITY=17/;UID=5/;SECTION=3"
        );
    }

    #[test]
    fn what_the_submission_server_may_fetch() {
        let url = |port, servers: &[&str]| {
            let servers: Vec<String> = servers.iter().map(|s| (*s).to_owned()).collect();
            let ours = Server { host: "mail.example.org".into(), port, tls: Tls::Implicit };
            to_submit(&place("Drafts"), "ann@example.org", &ours, &servers, 1_795_338_000).unwrap()
        };
        let rest =
            "/Drafts;UIDVALIDITY=17/;UID=5;EXPIRE=2026-11-22T09:00:00Z;URLAUTH=submit+ann%40example.org";
        let of = |authority: &str| format!("imap://ann%40example.org@{authority}{rest}");
        assert_eq!(url(993, &[]), of("mail.example.org"));
        assert_eq!(url(1143, &[]), of("mail.example.org:1143"));
        assert_eq!(url(993, &["imap://other.example"]), of("other.example"));
        assert_eq!(
            url(993, &["imap://other.example", "imap://Mail.example.org:144"]),
            of("Mail.example.org:144")
        );
        // threats: M2
        assert_eq!(url(993, &["imap://a b.example", "http://x", "imap://x@y.example/z"]), of("y.example"));
    }
}
