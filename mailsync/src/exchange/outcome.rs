//! What became of messages: answers and receipts of the peers, and what their senders are told.

use super::Exchange;
use super::counters::count;
use super::link::number;
use super::message::{
    MAIL_QUEUE, MailJob, MailSource, Refusal, Source, body_of, from_bytes, submit_of, to_bytes,
};
use super::write_mail::random_name;
use crate::store::sms::{Result, Tables};
use crate::turns;
use smsbridge::bridge::{Delivered, Receipt, Report, ReportedRecipient};
use smsbridge::smpp::pdu::{DeliverSm, SubmitSm};
use smsbridge::smpp::{CommandStatus, MessageState};
use smsbridge::smtp::Mailbox;

/// A peer's answer to a part.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) part: i64,
    pub(super) message: i64,
    /// A receipt is to come.
    pub(super) wants: bool,
    pub(super) status: CommandStatus,
    /// The peer's number of it.
    pub(super) remote: String,
}

impl Exchange {
    /// Peers answered.
    pub(super) fn answered(
        &self,
        tables: &Tables<'_>,
        link: &str,
        centre: bool,
        answers: &[Answer],
    ) -> Result<()> {
        for answer in answers {
            if !answer.status.is_ok() {
                self.refused(tables, link, answer)?;
                continue;
            }
            count(&self.counters.parts_taken);
            if !centre {
                // The client has it: that is delivery.
                if tables.part_answered(answer.part, answer.message)? {
                    self.finish(tables, answer.message, MessageState::DELIVERED, None)?;
                }
            } else if answer.wants && !answer.remote.is_empty() {
                tables.part_taken(answer.part, &answer.remote)?;
                let message = u64::try_from(answer.message).unwrap_or(0);
                let done = self.policy().book.taken(self.now(), number(link), message, &answer.remote);
                if let Some(done) = done {
                    self.delivered(tables, &done)?;
                }
            } else if tables.part_answered(answer.part, answer.message)? {
                tables.end_message(answer.message)?;
            }
        }
        Ok(())
    }

    fn refused(&self, tables: &Tables<'_>, link: &str, answer: &Answer) -> Result<()> {
        let (status, now) = (answer.status, turns::unix_now());
        if status.is_throttling() {
            count(&self.counters.throttled);
        }
        if Refusal::of(status) == Refusal::Later {
            let tries = tables.attempts(answer.part)?;
            // The session itself slows down when throttled.
            let pause = if status.is_throttling() { 1 } else { 5u64 << tries.min(7) };
            return tables.postpone_part(answer.part, now.saturating_add(pause), &format!("{status:?}"));
        }
        count(&self.counters.parts_refused);
        tracing::warn!(link, part = answer.part, ?status, "part refused for good");
        let mut receipt = Receipt::new(String::new(), MessageState::REJECTED);
        receipt.error = Some(format!("{status:?}"));
        let state = match status {
            CommandStatus::RINVDSTADR => MessageState::UNDELIVERABLE,
            _ => MessageState::REJECTED,
        };
        self.finish(tables, answer.message, state, Some(&receipt))
    }

    /// A receipt of a centre.
    pub(super) fn receipt_came(
        &self,
        tables: &Tables<'_>,
        link: &str,
        submit: &SubmitSm,
        text: &str,
    ) -> Result<()> {
        let mut deliver = DeliverSm::default();
        deliver.tlvs = submit.tlvs.clone();
        let Some(receipt) = Receipt::read(&deliver, text) else {
            count(&self.counters.receipts_unknown);
            return Ok(());
        };
        count(&self.counters.receipts);
        let done = self.policy().book.receipt(self.now(), number(link), receipt);
        match done {
            Some(done) => self.delivered(tables, &done),
            None => Ok(()),
        }
    }

    /// Receipts that did not come in time.
    pub(super) fn expire_receipts(&self, tables: &Tables<'_>) -> Result<()> {
        let now = self.now();
        let lost = self.policy().book.handle_timeout(now);
        lost.iter().try_for_each(|lost| self.delivered(tables, lost))
    }

    /// Messages that nobody took in time.
    pub(super) fn give_up(&self, tables: &Tables<'_>, now: u64) -> Result<()> {
        let before = now.saturating_sub(self.config.give_up);
        for message in tables.stale_messages(before)? {
            self.finish(tables, message, MessageState::EXPIRED, None)?;
        }
        Ok(())
    }

    /// All parts of a message are accounted for.
    pub(super) fn delivered(&self, tables: &Tables<'_>, done: &Delivered) -> Result<()> {
        let message = i64::try_from(done.message).unwrap_or(0);
        self.finish(tables, message, done.state, done.receipt.as_ref())
    }

    /// A message is done with: its sender is told if that was asked for.
    fn finish(
        &self,
        tables: &Tables<'_>,
        id: i64,
        state: MessageState,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let Some(row) = tables.message(id)? else { return Ok(()) };
        match from_bytes::<Source>(&row.info) {
            Some(Source::Mail(source)) => self.report(tables, &source, state, receipt)?,
            Some(Source::Sms { link, body }) => {
                self.give_receipt(tables, id, &link, &body, state, receipt)?
            }
            Some(Source::Gateway) | None => {}
        }
        tables.end_message(id)
    }

    /// A delivery report to the sender of a mail.
    fn report(
        &self,
        tables: &Tables<'_>,
        source: &MailSource,
        state: MessageState,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let delivered = matches!(state, MessageState::DELIVERED | MessageState::ACCEPTED);
        if !(if delivered { source.success } else { source.failure }) {
            return Ok(());
        }
        let to = source.from.as_deref().and_then(|from| from.parse::<Mailbox>().ok());
        let (Some(to), Ok(recipient)) = (to, source.recipient.parse::<Mailbox>()) else { return Ok(()) };
        let id = random_name();
        let now = turns::unix_now();
        let mut report =
            Report::new(self.host.clone(), to.clone(), format!("{id}@{}", self.config.domain), now);
        report.envid = source.envid.clone();
        report.original_header = source.header.clone();
        let mut reported = ReportedRecipient::new(recipient, state);
        reported.original = source.orcpt.clone();
        reported.receipt = receipt.cloned();
        report.recipients = vec![reported];
        let job = MailJob { from: None, to: to.to_string(), mail: report.to_mail(), tell: None, added: now };
        tables.enqueue(MAIL_QUEUE, &id, &to_bytes(&job), now)?;
        count(&self.counters.reports);
        self.mail.notify_one();
        Ok(())
    }

    /// A report to the sender of a mail that was passed on and that the relay refused.
    pub(super) fn bounce(
        &self,
        tables: &Tables<'_>,
        from: &str,
        to: &str,
        words: &str,
        header: Vec<u8>,
    ) -> Result<()> {
        let source = MailSource {
            from: Some(from.to_owned()),
            recipient: to.to_owned(),
            success: false,
            failure: true,
            envid: None,
            orcpt: None,
            header,
        };
        let mut receipt = Receipt::new(String::new(), MessageState::UNDELIVERABLE);
        receipt.error = Some(words.to_owned());
        self.report(tables, &source, MessageState::UNDELIVERABLE, Some(&receipt))
    }

    /// A receipt to the client whose message we passed on, as its centre.
    fn give_receipt(
        &self,
        tables: &Tables<'_>,
        id: i64,
        link: &str,
        body: &[u8],
        state: MessageState,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        let Some(submit) = submit_of(body).filter(|_| link.starts_with("account:")) else { return Ok(()) };
        let delivered = matches!(state, MessageState::DELIVERED | MessageState::ACCEPTED);
        // spec: SMPP v3.4 §5.2.17, v5.0 §4.7.21
        let wanted = match submit.registered_delivery.0 & 3 {
            1 => true,
            2 => !delivered,
            3 => delivered,
            _ => false,
        };
        if !wanted {
            return Ok(());
        }
        let mut own = Receipt::new(format!("{id:x}"), state);
        own.error = receipt.and_then(|receipt| receipt.error.clone()).filter(|error| error.len() <= 3);
        own.network_error = receipt.and_then(|receipt| receipt.network_error);
        let Ok(deliver) = own.to_deliver(&submit, turns::unix_now()) else { return Ok(()) };
        self.push(tables, &Source::Gateway, link, &[body_of(deliver.into())]).map(drop)
    }
}
