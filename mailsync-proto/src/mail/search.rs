//! By what filters and searches find mail.

use super::flags::MailFields;
use super::headers::Headers;
use super::time;
use crate::sync::store::Item;
use bytes::Bytes;
use mail_parser::{Address, HeaderName, MessageParser};
use syncml::{CtType, FilterCap};

/// Words that stand for something of a message's header.
// spec: e-mail facts §7
const KEYWORDS: [&str; 6] = ["FROM", "TO", "CC", "BCC", "SUBJECT", "TYPE"];
/// The accounts that a sync is for, with commas: by the device's ids of them.
pub(super) const ACCOUNT: &str = "account";
/// Elements of the object, its size in octets, and its account.
const PROPERTIES: [&str; 10] = [
    "read",
    "forwarded",
    "replied",
    "received",
    "created",
    "modified",
    "deleted",
    "flagged",
    "size",
    ACCOUNT,
];

/// What a DevInf says of it.
pub(super) fn filter_cap(ct_type: CtType) -> FilterCap {
    let keywords = ["SINCE", "BEFORE"].iter().chain(&KEYWORDS);
    FilterCap {
        ct_type,
        filter_keywords: keywords.map(|&word| word.into()).collect(),
        prop_names: PROPERTIES.iter().map(|&name| name.into()).collect(),
    }
}

/// Whether filters may name it.
pub(super) fn knows(name: &str) -> bool {
    KEYWORDS.iter().chain(&PROPERTIES).any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether the message must be looked at.
pub(super) fn needs_message(name: &str) -> bool {
    KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What a mail has of it.
pub(super) fn values(item: &Item, message: Option<&Bytes>, name: &str) -> Vec<String> {
    if needs_message(name) {
        return message.map(|message| of_header(message, name)).unwrap_or_default();
    }
    let Ok(fields) = MailFields::from_fields(&item.value.fields) else { return Vec::new() };
    let flag = |value: bool| vec![value.to_string()];
    let moment = |value: Option<u64>| value.map(time::to_basic).into_iter().collect();
    match name.to_ascii_lowercase().as_str() {
        "read" => flag(fields.read),
        "forwarded" => flag(fields.forwarded),
        "replied" => flag(fields.answered),
        "deleted" => flag(fields.deleted),
        "flagged" => flag(fields.flagged),
        "received" => moment(fields.received),
        "created" => moment(fields.created),
        // What nobody has touched changed last when it came.
        "modified" => moment(fields.modified.or(fields.received).or(fields.created)),
        "size" => vec![item.size.to_string()],
        _ => Vec::new(),
    }
}

fn of_header(message: &[u8], name: &str) -> Vec<String> {
    let headers = Headers::parse(message);
    if name.eq_ignore_ascii_case("TYPE") {
        let field = headers.first("Content-Type").map(|field| field.text()).unwrap_or_default();
        let essence = field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        return vec![if essence.is_empty() { "text/plain".into() } else { essence }];
    }
    let mut closed = message.get(..headers.body).unwrap_or_default().to_vec();
    closed.extend_from_slice(b"\r\n\r\n");
    let parser = MessageParser::new()
        .header_address(HeaderName::From)
        .header_address(HeaderName::To)
        .header_address(HeaderName::Cc)
        .header_address(HeaderName::Bcc)
        .header_text(HeaderName::Subject);
    let Some(parsed) = super::mime::guarded(|| parser.parse_headers(&closed)) else { return Vec::new() };
    let people = match name.to_ascii_uppercase().as_str() {
        "FROM" => parsed.from(),
        "TO" => parsed.to(),
        "CC" => parsed.cc(),
        "BCC" => parsed.bcc(),
        _ => return parsed.subject().map(str::to_owned).into_iter().collect(),
    };
    people.map(both).unwrap_or_default()
}

/// Names and addresses: either may be asked for.
fn both(list: &Address<'_>) -> Vec<String> {
    let one = |person: &mail_parser::Addr<'_>| {
        [person.name().map(str::to_owned), person.address().map(str::to_owned)]
    };
    list.iter().flat_map(one).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Role;
    use crate::mail::mailbox::mail_value;
    use idmap::Guid;

    #[test]
    fn what_a_mail_has() {
        let message = Bytes::from_static(
            b"From: =?utf-8?q?Ann_Caf=C3=A9?= <ann@x.example>\r\nTo: b@y, C <c@z>\r\nCc: d@y\r\n\
              Subject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: Text/HTML; charset=utf-8\r\n\r\nhi\r\n",
        );
        let mut fields = MailFields::default();
        (fields.read, fields.received) = (true, Some(1_186_444_800));
        let value = mail_value(Role::Inbox.guid(), &fields, &message);
        let size = message.len() as u64;
        let item = Item { guid: Guid::unvalidated("a"), rev: 1, body_rev: 1, deleted: false, value, size };
        let of = |name: &str| values(&item, Some(&message), name);
        assert_eq!(of("from"), ["Ann Café", "ann@x.example"]);
        assert_eq!(of("TO"), ["b@y", "C", "c@z"]);
        assert_eq!((of("CC"), of("BCC")), (vec!["d@y".to_owned()], vec![]));
        assert_eq!((of("subject"), of("TYPE")), (vec!["café".to_owned()], vec!["text/html".to_owned()]));
        assert_eq!((of("read"), of("flagged")), (vec!["true".to_owned()], vec!["false".to_owned()]));
        assert_eq!((of("modified"), of("created")), (vec!["20070807T000000Z".to_owned()], vec![]));
        assert_eq!(of("SIZE"), [size.to_string()]);
        assert!(knows("Subject") && knows("size") && !knows("emailitem") && !knows("body"));
        assert!(needs_message("from") && !needs_message("read") && values(&item, None, "from").is_empty());
    }
}
