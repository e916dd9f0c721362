//! The mail that a short message becomes.

use super::counters::count;
use super::message::{MAIL_QUEUE, MailJob, masked, plain, to_bytes};
use super::sms_in::{Verdict, Whole};
use super::{Exchange, TRACE};
use crate::store::sms::{Result, Tables, ThreadRow};
use crate::turns;
use smsbridge::bridge::{Compose, EmailSms, Party, ThreadToken};
use smsbridge::smpp::CommandStatus;
use smsbridge::smtp::Mailbox;

/// Seconds that a conversation holds after its last message: 30 days.
pub(super) const THREAD_LIFE: u64 = 30 * 86_400;

impl Exchange {
    /// Writes one mail for each of these, into the conversation if it is one.
    // mission: S2
    pub(super) fn write_mail(
        &self,
        tables: &Tables<'_>,
        whole: &Whole<'_>,
        to: &[Mailbox],
        thread: Option<ThreadRow>,
    ) -> Result<Verdict> {
        let now = turns::unix_now();
        let email = email_of(whole);
        let mut last = 0;
        for mailbox in to {
            if !self.policy().fuse.allow(self.now(), &plain(&whole.source), mailbox.as_str(), false) {
                // threats: M6
                tracing::warn!(
                    from = masked(&whole.source),
                    "short message refused: too many between this pair"
                );
                return Ok(Verdict::Refused(CommandStatus::RTHROTTLED));
            }
            let id = random_name();
            let message_id = format!("{id}@{}", self.config.domain);
            let mut compose = Compose::new(
                whole.source.clone(),
                self.config.domain.clone(),
                vec![mailbox.clone()],
                message_id.clone(),
                now,
            );
            compose.trace = (TRACE.into(), self.host.clone());
            compose.missing_parts = whole.missing;
            let mut row =
                self.conversation(tables, &whole.source, &whole.destination, mailbox, thread.clone(), now)?;
            if let Some(row) = &mut row {
                compose.reply_to = reply_address(row, &self.config.domain);
                compose.thread = row.ids.clone();
                compose.thread_subject = row.subject.clone();
                row.ids.push(message_id);
                if row.subject.is_none() {
                    row.subject = email.subject.clone();
                }
                tables.put_thread(row)?;
            }
            let (Some(mail), Some(sender)) = (compose.mail(&email), compose.sender()) else {
                return Ok(Verdict::Refused(CommandStatus::RSYSERR));
            };
            let tell = (plain(&whole.source), plain(&whole.destination));
            let job = MailJob {
                from: Some(sender.to_string()),
                to: mailbox.to_string(),
                mail,
                tell: Some(tell),
                added: now,
            };
            tables.enqueue(MAIL_QUEUE, &id, &to_bytes(&job), now)?;
            count(&self.counters.sms_to_mail);
            tracing::info!(
                from = masked(&whole.source),
                mail = id,
                parts = whole.bodies.len(),
                "short message became mail"
            );
            last = i64::from_str_radix(id.get(..7).unwrap_or("0"), 16).unwrap_or(0);
        }
        self.mail.notify_one();
        Ok(Verdict::Taken(last))
    }

    /// The conversation that a message belongs to; a sender that cannot be answered has none.
    fn conversation(
        &self,
        tables: &Tables<'_>,
        phone: &Party,
        number: &Party,
        mailbox: &Mailbox,
        thread: Option<ThreadRow>,
        now: u64,
    ) -> Result<Option<ThreadRow>> {
        if !matches!(phone, Party::Phone(_)) {
            return Ok(None);
        }
        let (phone, number) = (plain(phone), plain(number));
        let known = match thread {
            Some(thread) => Some(thread),
            None => tables.thread_of_phone(&phone, &number, now)?,
        };
        let same = known.filter(|known| known.mailbox.eq_ignore_ascii_case(mailbox.as_str()));
        let mut row = same.unwrap_or_else(|| new_thread(phone, number, mailbox));
        (row.used, row.expires) = (now, now.saturating_add(THREAD_LIFE));
        Ok(Some(row))
    }
}

/// A conversation that begins.
pub(super) fn new_thread(phone: String, number: String, mailbox: &Mailbox) -> ThreadRow {
    ThreadRow {
        token: token_text(&ThreadToken::new(random())),
        phone,
        number,
        mailbox: mailbox.to_string(),
        subject: None,
        ids: Vec::new(),
        used: 0,
        expires: 0,
    }
}

/// The address that answers go to.
pub(super) fn reply_address(row: &ThreadRow, domain: &str) -> Option<Mailbox> {
    format!("r+{}@{domain}", row.token).parse().ok()
}

/// The token as it is stored.
pub(super) fn token_text(token: &ThreadToken) -> String {
    let address = token.address("x");
    address.map(|address| address.local_part().trim_start_matches("r+").to_owned()).unwrap_or_default()
}

/// What the text says as mail: to a number of ours it may name address and subject, to another it is all text.
fn email_of(whole: &Whole<'_>) -> EmailSms {
    if whole.gateway {
        return EmailSms::parse(&whole.text);
    }
    let mut email = EmailSms::parse(&whole.text);
    if email.control.is_some() {
        let rest =
            whole.text.char_indices().nth(3).map_or("", |(at, _)| whole.text.get(at..).unwrap_or_default());
        email = EmailSms { body: rest.to_owned(), ..EmailSms::default() };
    } else {
        email = EmailSms { body: whole.text.clone(), ..EmailSms::default() };
    }
    email
}

/// 16 octets that nobody guesses.
pub(super) fn random() -> [u8; 16] {
    let mut octets = [0; 16];
    if let Ok(moment) = turns::moment() {
        octets.copy_from_slice(moment.entropy.get(..16).unwrap_or(&[0; 16]));
    }
    octets
}

/// 32 hexadecimal digits that were not given before.
pub(super) fn random_name() -> String {
    random().iter().map(|octet| format!("{octet:02x}")).collect()
}
