//! What is stored of a message, and small things that all sides need.

use serde::{Deserialize, Serialize};
use smsbridge::bridge::{Msisdn, Party};
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::{Body, CommandId, CommandStatus, Pdu, Quirks, SequenceNumber};

/// The stored forms' version.
const VERSION: u8 = 1;
/// The queue of mail that leaves the exchange.
pub(super) const MAIL_QUEUE: &str = "sms-mail";
/// The queue of mails that became short messages, until they are in their link's queue.
pub(super) const SMS_QUEUE: &str = "sms";

/// Where a message of a link's queue comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Source {
    /// A mail.
    Mail(MailSource),
    /// A short message that was passed on: its receipts go back to this link.
    Sms {
        link: String,
        /// The body as it came, for addresses and wishes.
        body: Vec<u8>,
    },
    /// We ourselves: receipts, codes, notices.
    Gateway,
}

/// What a report on a mail needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MailSource {
    /// The sender; none gets no report.
    pub(super) from: Option<String>,
    /// The address that the mail went to.
    pub(super) recipient: String,
    /// NOTIFY: success, failure.
    pub(super) success: bool,
    pub(super) failure: bool,
    pub(super) envid: Option<String>,
    pub(super) orcpt: Option<String>,
    /// The mail's header.
    pub(super) header: Vec<u8>,
}

/// A mail that became short messages, before they are in their link's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SmsJob {
    pub(super) source: MailSource,
    pub(super) link: String,
    pub(super) bodies: Vec<Vec<u8>>,
}

/// A mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MailJob {
    /// The envelope's sender; none for reports.
    pub(super) from: Option<String>,
    pub(super) to: String,
    pub(super) mail: Vec<u8>,
    /// The phone that is told when it cannot be delivered, and our number that tells it.
    pub(super) tell: Option<(String, String)>,
    pub(super) added: u64,
}

/// As it is stored.
pub(super) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Only what cannot be serialised at all fails; these types can.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

/// As it was stored.
pub(super) fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (version, rest) = bytes.split_first()?;
    (*version == VERSION).then(|| postcard::from_bytes(rest).ok()).flatten()
}

/// The body of a `submit_sm` in wire form.
pub(super) fn body_of(submit: SubmitSm) -> Vec<u8> {
    Pdu::new(SequenceNumber(1), &Body::SubmitSm(submit)).body().to_vec()
}

/// A stored body, read: `submit_sm` and `deliver_sm` have the same fields.
pub(super) fn submit_of(body: &[u8]) -> Option<SubmitSm> {
    let pdu = Pdu::vendor(CommandId::SUBMIT_SM, SequenceNumber(1), body.to_vec().into());
    match pdu.decode(&Quirks::lenient()) {
        Ok(Body::SubmitSm(submit)) => Some(submit),
        _ => None,
    }
}

/// The sender and the recipient.
pub(super) fn parties(submit: &SubmitSm) -> (Party, Party) {
    let from = Party::from_smpp(submit.source_addr_ton, submit.source_addr_npi, &submit.source_addr);
    let to = Party::from_smpp(submit.dest_addr_ton, submit.dest_addr_npi, &submit.destination_addr);
    (from, to)
}

/// A party as one text, to compare and to store.
pub(super) fn plain(party: &Party) -> String {
    match party {
        Party::Phone(number) => number.to_string(),
        Party::ShortCode(text) | Party::Name(text) => text.clone(),
        Party::Other { address, .. } => address.clone(),
    }
}

/// A party for logs.
pub(super) fn masked(party: &Party) -> String {
    match party {
        Party::Phone(number) => number.masked(),
        Party::ShortCode(code) => code.clone(),
        Party::Name(_) => "a name".into(),
        Party::Other { .. } => "an address".into(),
    }
}

/// A number without a type is one of the country only if it says so; ours is the international form alone.
pub(super) fn phone(party: &Party) -> Option<Msisdn> {
    match party {
        Party::Phone(number) => Some(number.clone()),
        // quirk: Kannel and others send international numbers with an unknown type
        Party::Other { ton: 0, address, .. } if address.len() >= 9 => Msisdn::from_digits(address),
        _ => None,
    }
}

/// What a peer's refusal means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Try again.
    Later,
    /// Give up.
    Final,
}

impl Refusal {
    pub(super) fn of(status: CommandStatus) -> Self {
        if status.is_temporary() { Refusal::Later } else { Refusal::Final }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_forms_come_back_and_newer_ones_are_refused() {
        let job = MailJob {
            from: None,
            to: "ann@example.org".into(),
            mail: b"A: 1\r\n\r\n".to_vec(),
            tell: None,
            added: 7,
        };
        let mut bytes = to_bytes(&job);
        assert_eq!(from_bytes::<MailJob>(&bytes), Some(job));
        bytes[0] = 2;
        assert_eq!(from_bytes::<MailJob>(&bytes), None);
        assert_eq!(from_bytes::<MailJob>(&[]), None);
    }

    #[test]
    fn bodies_come_back() {
        let mut submit = SubmitSm::default();
        submit.destination_addr = "8613800138000".try_into().unwrap();
        submit.short_message = "hi".try_into().unwrap();
        assert_eq!(submit_of(&body_of(submit.clone())), Some(submit));
        assert_eq!(submit_of(b"x"), None);
    }
}
