//! Delivery receipts: reading them, and finding the message that they are about.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::smpp::pdu::{DeliverSm, SubmitSm};
use crate::smpp::{EsmClass, MessageState, Tag, ValueError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a receipt says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's number at the centre, as the receipt spells it.
    pub message_id: String,
    /// Its state.
    pub state: Option<MessageState>,
    /// The operator's error, from the text.
    pub error: Option<String>,
    /// The network's error: kind of network and number.
    pub network_error: Option<(u8, u16)>,
    /// When it was done, as written.
    pub done_date: Option<String>,
}

impl Receipt {
    /// Reads a `deliver_sm` and its decoded text; `None` if it names no message.
    ///
    /// TLVs beat the text; keys of the text come in any case and order, and may be missing. What follows `text:` is
    /// the message's own words and names nothing.
    ///
    /// # Spec
    /// SMPP v3.4 §5.3.2.12, §5.3.2.35, appendix B
    pub fn read(deliver: &DeliverSm, text: &str) -> Option<Receipt> {
        let mut receipt = Receipt::from_text(text).unwrap_or_default();
        if let Some(id) = deliver.tlvs.receipted_message_id() {
            receipt.message_id = id.trim().to_owned();
        }
        receipt.state = deliver.tlvs.message_state().or(receipt.state);
        receipt.network_error =
            deliver.tlvs.find(Tag::NETWORK_ERROR_CODE).and_then(|value| match value[..] {
                [kind, high, low] => Some((kind, u16::from_be_bytes([high, low]))),
                _ => None,
            });
        (!receipt.message_id.is_empty()).then_some(receipt)
    }

    /// Of a message in this state.
    pub fn new(message_id: impl Into<String>, state: MessageState) -> Receipt {
        Receipt { message_id: message_id.into(), state: Some(state), ..Receipt::default() }
    }

    /// The receipt as a centre sends it: from the recipient of `submit` back to its sender, at `now` (seconds since
    /// 1970), in text and in TLVs.
    ///
    /// # Errors
    /// [`ValueError`] for an id that no PDU carries.
    /// # Spec
    /// SMPP v3.4 §4.6.1, appendix B
    pub fn to_deliver(&self, submit: &SubmitSm, now: u64) -> Result<DeliverSm, ValueError> {
        let mut deliver = DeliverSm {
            source_addr_ton: submit.dest_addr_ton,
            source_addr_npi: submit.dest_addr_npi,
            source_addr: submit.destination_addr.clone(),
            dest_addr_ton: submit.source_addr_ton,
            dest_addr_npi: submit.source_addr_npi,
            destination_addr: submit.source_addr.clone(),
            esm_class: EsmClass::RECEIPT,
            ..DeliverSm::default()
        };
        let state = self.state.unwrap_or(MessageState::UNKNOWN);
        let (word, done) = match state {
            MessageState::DELIVERED => ("DELIVRD", "001"),
            MessageState::EXPIRED => ("EXPIRED", "000"),
            MessageState::DELETED => ("DELETED", "000"),
            MessageState::UNDELIVERABLE => ("UNDELIV", "000"),
            MessageState::ACCEPTED => ("ACCEPTD", "001"),
            MessageState::REJECTED => ("REJECTD", "000"),
            _ => ("UNKNOWN", "000"),
        };
        let (date, id) = (super::compose::stamp(now), &self.message_id);
        let error = self.error.as_deref().unwrap_or("000");
        let text = format!(
            "id:{id} sub:001 dlvrd:{done} submit date:{date} done date:{date} stat:{word} err:{error} text:"
        );
        deliver.short_message = text.as_str().try_into()?;
        let mut terminated = id.clone().into_bytes();
        terminated.push(0);
        deliver.tlvs.push(Tag::RECEIPTED_MESSAGE_ID, &terminated)?;
        deliver.tlvs.push(Tag::MESSAGE_STATE, &[state.0])?;
        if let Some((kind, number)) = self.network_error {
            let [high, low] = number.to_be_bytes();
            deliver.tlvs.push(Tag::NETWORK_ERROR_CODE, &[kind, high, low])?;
        }
        if let Some(reference) = submit.tlvs.find(Tag::USER_MESSAGE_REFERENCE) {
            deliver.tlvs.push(Tag::USER_MESSAGE_REFERENCE, &reference)?;
        }
        Ok(deliver)
    }

    /// Reads the text alone; `None` without `id:`.
    pub fn from_text(text: &str) -> Option<Receipt> {
        let lower = text.to_ascii_lowercase();
        let end = key(&lower, "text:").unwrap_or(lower.len());
        let value = |name: &str| {
            let at = key(lower.get(..end)?, name)?.saturating_add(name.len());
            let value = text.get(at..end)?.trim_start().split(char::is_whitespace).next()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        Some(Receipt {
            message_id: value("id:")?,
            state: value("stat:").and_then(|state| state_of(&state)),
            error: value("err:"),
            network_error: None,
            done_date: value("done date:"),
        })
    }
}

/// Where a key begins; the first counts.
fn key(lower: &str, name: &str) -> Option<usize> {
    let starts = lower.match_indices(name).map(|(at, _)| at);
    let octets = lower.as_bytes();
    let mut fits = starts.filter(|at| {
        at.checked_sub(1).is_none_or(|before| octets.get(before).is_none_or(u8::is_ascii_whitespace))
    });
    fits.next()
}

fn state_of(word: &str) -> Option<MessageState> {
    let word = word.to_ascii_uppercase();
    let known = [
        ("DELIV", MessageState::DELIVERED),
        ("EXPIR", MessageState::EXPIRED),
        ("DELET", MessageState::DELETED),
        ("UNDEL", MessageState::UNDELIVERABLE),
        ("ACCEP", MessageState::ACCEPTED),
        ("UNKNO", MessageState::UNKNOWN),
        ("REJEC", MessageState::REJECTED),
        ("ENROU", MessageState::ENROUTE),
        ("SCHED", MessageState::SCHEDULED),
        ("SKIPP", MessageState::SKIPPED),
    ];
    known.into_iter().find(|(start, _)| word.starts_with(start)).map(|(_, state)| state)
}

/// A message id in all the spellings that centres mix up: as it is, without leading zeros, decimal for hexadecimal
/// and the other way round. The first is the plainest.
// quirk: ids differ between submit_sm_resp and receipt (jasmin 20, 535, 1129; jsmpp 56)
pub fn id_forms(id: &str) -> Vec<String> {
    let plain = |text: &str| {
        let lower = text.trim().to_ascii_lowercase();
        let bare = lower.trim_start_matches('0');
        if bare.is_empty() && !lower.is_empty() { "0".to_owned() } else { bare.to_owned() }
    };
    let mut forms = vec![plain(id)];
    let decimal = id.trim().parse::<u128>().ok().map(|number| format!("{number:x}"));
    let hexadecimal = u128::from_str_radix(id.trim(), 16).ok().map(|number| number.to_string());
    for form in [decimal, hexadecimal].into_iter().flatten() {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// What became of a message, all its parts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The host's number of the message.
    pub message: u64,
    /// Its state; UNKNOWN if receipts did not come.
    pub state: MessageState,
    /// The receipt that decided, if there is one.
    pub receipt: Option<Receipt>,
}

/// Brings receipts and messages together.
///
/// # Shape
/// Tell it of each part that a centre took ([`taken`](Book::taken)) and each receipt
/// ([`receipt`](Book::receipt)), in any order: early receipts are held. A message is delivered when all parts are,
/// failed when one is. A receipt counts only on the link that took the message (threats: receipt forgery).
#[derive(Debug)]
pub struct Book {
    wait: Duration,
    limit: usize,
    /// Parts by link and plain id.
    parts: BTreeMap<(u32, String), u64>,
    messages: BTreeMap<u64, Message>,
    ages: BTreeSet<(Duration, u64)>,
    early: Vec<(Duration, u32, Receipt)>,
}

#[derive(Debug)]
struct Message {
    since: Duration,
    open: usize,
    keys: Vec<(u32, String)>,
}

/// How long an early receipt is held.
const EARLY: Duration = Duration::from_secs(10);
/// How many are.
const EARLY_LIMIT: usize = 1_024;

impl Book {
    /// Waits this long for receipts, for at most `limit` messages.
    pub fn new(wait: Duration, limit: usize) -> Self {
        Book {
            wait,
            limit,
            parts: BTreeMap::new(),
            messages: BTreeMap::new(),
            ages: BTreeSet::new(),
            early: Vec::new(),
        }
    }

    /// A message goes out that wants receipts for `parts` parts (1 for centres that send only one). If the book is
    /// full the oldest message is given up.
    pub fn expect(&mut self, now: Duration, message: u64, parts: usize) -> Option<Delivered> {
        let oldest = if self.messages.len() >= self.limit {
            self.ages.first().map(|(_, oldest)| *oldest)
        } else {
            None
        };
        let lost = oldest.and_then(|oldest| self.settle(oldest, MessageState::UNKNOWN, None));
        self.messages.insert(message, Message { since: now, open: parts.max(1), keys: Vec::new() });
        self.ages.insert((now, message));
        lost
    }

    /// A centre took a part of it under this id.
    pub fn taken(&mut self, now: Duration, link: u32, message: u64, id: &str) -> Option<Delivered> {
        let key = (link, id_forms(id).into_iter().next()?);
        let known = self.messages.get_mut(&message)?;
        known.keys.push(key.clone());
        self.parts.insert(key, message);
        self.early.retain(|(since, ..)| now.saturating_sub(*since) <= EARLY);
        let early = self.early.iter().position(|(_, on, receipt)| {
            *on == link && self.find(link, receipt).is_some_and(|(_, about)| about == message)
        })?;
        let (_, link, receipt) = self.early.remove(early);
        self.receipt(now, link, receipt)
    }

    /// A receipt came; `None` while other parts are awaited, or if it is held or about nothing we know.
    pub fn receipt(&mut self, now: Duration, link: u32, receipt: Receipt) -> Option<Delivered> {
        let Some((key, message)) = self.find(link, &receipt) else {
            self.early.retain(|(since, ..)| now.saturating_sub(*since) <= EARLY);
            if self.early.len() < EARLY_LIMIT {
                self.early.push((now, link, receipt));
            }
            return None;
        };
        match receipt.state {
            Some(MessageState::ENROUTE | MessageState::SCHEDULED) | None => None,
            Some(state @ (MessageState::DELIVERED | MessageState::ACCEPTED)) => {
                // a part counts once, however often its receipt is replayed
                self.parts.remove(&key);
                let known = self.messages.get_mut(&message)?;
                known.open = known.open.saturating_sub(1);
                if known.open == 0 { self.settle(message, state, Some(receipt)) } else { None }
            }
            Some(state) => self.settle(message, state, Some(receipt)),
        }
    }

    /// Messages whose receipts did not come in time.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<Delivered> {
        let mut lost = Vec::new();
        while let Some(&(since, message)) = self.ages.first() {
            if now < since.saturating_add(self.wait) {
                break;
            }
            lost.extend(self.settle(message, MessageState::UNKNOWN, None));
        }
        lost
    }

    /// When to call [`handle_timeout`](Book::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.ages.first().map(|(since, _)| since.saturating_add(self.wait))
    }

    /// Tries the spellings in order; a spelling that fits exactly beats the others.
    fn find(&self, link: u32, receipt: &Receipt) -> Option<((u32, String), u64)> {
        id_forms(&receipt.message_id).into_iter().find_map(|form| {
            let key = (link, form);
            let message = *self.parts.get(&key)?;
            Some((key, message))
        })
    }

    fn settle(&mut self, message: u64, state: MessageState, receipt: Option<Receipt>) -> Option<Delivered> {
        let known = self.messages.remove(&message)?;
        self.ages.remove(&(known.since, message));
        for key in known.keys {
            if self.parts.get(&key) == Some(&message) {
                self.parts.remove(&key);
            }
        }
        Some(Delivered { message, state, receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_that_we_write_can_be_read() {
        let (source_addr, destination_addr) =
            ("10086".try_into().unwrap(), "8613800138000".try_into().unwrap());
        let mut submit = SubmitSm { source_addr, destination_addr, ..SubmitSm::default() };
        submit.tlvs.push(Tag::USER_MESSAGE_REFERENCE, &[1, 2]).unwrap();
        for state in (1..=8).map(MessageState).filter(|state| *state != MessageState::ENROUTE) {
            let mut sent = Receipt::new("1f", state);
            sent.network_error = Some((3, 7));
            let deliver = sent.to_deliver(&submit, 1_795_000_000).unwrap();
            assert!(deliver.is_receipt());
            assert_eq!(deliver.destination_addr, submit.source_addr);
            let text = String::from_utf8(deliver.short_message.to_vec()).unwrap();
            assert!(text.contains("done date:2611181106") && text.len() <= 254, "{text}");
            let read = Receipt::read(&deliver, &text).unwrap();
            assert_eq!((read.message_id.as_str(), read.state), ("1f", Some(state)));
            assert_eq!(read.network_error, Some((3, 7)));
            assert_eq!(Receipt::from_text(&text).unwrap().state, Some(state));
        }
        assert!(Receipt::new("x".repeat(300), MessageState::DELIVERED).to_deliver(&submit, 0).is_err());
    }

    const NOW: Duration = Duration::ZERO;

    fn receipt(id: &str, state: MessageState) -> Receipt {
        Receipt { message_id: id.into(), state: Some(state), ..Receipt::default() }
    }

    #[test]
    fn texts_as_centres_write_them() {
        for (text, id, state, error) in [
            (
                "id:123A sub:001 dlvrd:001 submit date:2611220421 done date:2611220422 stat:DELIVRD err:000 text:hello",
                "123A",
                Some(MessageState::DELIVERED),
                Some("000"),
            ),
            ("stat:UNDELIV ID:7 Err:0x1b Text:", "7", Some(MessageState::UNDELIVERABLE), Some("0x1b")),
            ("id:7", "7", None, None),
            ("id: 7 stat: EXPIRED", "7", Some(MessageState::EXPIRED), None),
            // two ids: the first counts; ids in the message's own words name nothing
            ("id:1 id:2 stat:REJECTD text:id:9 stat:DELIVRD", "1", Some(MessageState::REJECTED), None),
        ] {
            let read = Receipt::from_text(text).unwrap();
            assert_eq!(
                (read.message_id.as_str(), read.state, read.error.as_deref()),
                (id, state, error),
                "{text}"
            );
        }
        for text in ["", "hello", "text:id:9", "grid:7", "id:"] {
            assert_eq!(Receipt::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn tlvs_beat_the_text() {
        let mut deliver = DeliverSm::default();
        deliver.tlvs.push(Tag::RECEIPTED_MESSAGE_ID, b"abc\0").unwrap();
        deliver.tlvs.push(Tag::MESSAGE_STATE, &[5]).unwrap();
        deliver.tlvs.push(Tag::NETWORK_ERROR_CODE, &[3, 0, 27]).unwrap();
        let read = Receipt::read(&deliver, "id:1 stat:DELIVRD").unwrap();
        assert_eq!((read.message_id.as_str(), read.state), ("abc", Some(MessageState::UNDELIVERABLE)));
        assert_eq!(read.network_error, Some((3, 27)));
        assert_eq!(Receipt::read(&DeliverSm::default(), "hi"), None);
    }

    #[test]
    fn ids_match_in_all_spellings() {
        for (sent, came) in [
            ("123", "123"),
            ("0000123", "123"),
            ("1a2b", "1A2B"),
            ("1A2B", "6699"),
            ("6699", "1a2b"),
            ("00001a2b", "0000006699"),
            ("FFFFFFFFFFFFFFFF", "18446744073709551615"),
            ("550e8400-e29b-41d4", "550E8400-E29B-41D4"),
        ] {
            let mut book = Book::new(Duration::from_secs(60), 10);
            book.expect(NOW, 1, 1);
            assert_eq!(book.taken(NOW, 7, 1, sent), None);
            let outcome = book.receipt(NOW, 7, receipt(came, MessageState::DELIVERED));
            assert_eq!(outcome.map(|outcome| outcome.message), Some(1), "{sent} {came}");
        }
    }

    #[test]
    fn early_unknown_and_foreign_receipts() {
        let mut book = Book::new(Duration::from_secs(60), 10);
        book.expect(NOW, 1, 1);
        assert_eq!(book.receipt(NOW, 7, receipt("5", MessageState::DELIVERED)), None);
        // another link's receipt with the same id is not about ours
        assert_eq!(book.taken(NOW, 8, 1, "5"), None);
        let outcome = book.taken(Duration::from_secs(9), 7, 1, "5").unwrap();
        assert_eq!((outcome.message, outcome.state), (1, MessageState::DELIVERED));
        book.expect(NOW, 2, 1);
        assert_eq!(book.receipt(NOW, 7, receipt("6", MessageState::DELIVERED)), None);
        assert_eq!(book.taken(Duration::from_secs(11), 7, 2, "6"), None);
    }

    #[test]
    fn parts_are_joined() {
        let mut book = Book::new(Duration::from_secs(60), 10);
        book.expect(NOW, 1, 3);
        ["a1", "a2", "a3"].iter().for_each(|id| assert_eq!(book.taken(NOW, 7, 1, id), None));
        assert_eq!(book.receipt(NOW, 7, receipt("a2", MessageState::DELIVERED)), None);
        // replayed: counts once
        assert_eq!(book.receipt(NOW, 7, receipt("a2", MessageState::DELIVERED)), None);
        assert_eq!(book.receipt(NOW, 7, receipt("a1", MessageState::ENROUTE)), None);
        assert_eq!(book.receipt(NOW, 7, receipt("a1", MessageState::DELIVERED)), None);
        let done = book.receipt(NOW, 7, receipt("a3", MessageState::DELIVERED)).unwrap();
        assert_eq!(done.state, MessageState::DELIVERED);
        // one failed part fails the message, once
        book.expect(NOW, 2, 2);
        ["b1", "b2"].iter().for_each(|id| assert_eq!(book.taken(NOW, 7, 2, id), None));
        let failed = book.receipt(NOW, 7, receipt("b1", MessageState::UNDELIVERABLE)).unwrap();
        assert_eq!((failed.message, failed.state), (2, MessageState::UNDELIVERABLE));
        assert_eq!(book.receipt(NOW, 7, receipt("b2", MessageState::DELIVERED)), None);
        assert!(book.parts.is_empty() && book.messages.is_empty() && book.ages.is_empty());
    }

    #[test]
    fn receipts_that_never_come() {
        let mut book = Book::new(Duration::from_secs(60), 2);
        book.expect(NOW, 1, 1);
        book.expect(NOW, 2, 1);
        assert_eq!(book.expect(NOW, 3, 1).unwrap().message, 1);
        assert_eq!(book.poll_timeout(), Some(Duration::from_secs(60)));
        let lost: Vec<u64> =
            book.handle_timeout(Duration::from_secs(60)).iter().map(|lost| lost.message).collect();
        assert_eq!(lost, [2, 3]);
        assert_eq!(book.poll_timeout(), None);
    }
}
