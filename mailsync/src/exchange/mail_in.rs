//! Mail from SMTP or from a user's outbox: which recipients become short messages.

use super::counters::count;
use super::message::{MAIL_QUEUE, MailJob, MailSource, SMS_QUEUE, SmsJob, body_of, plain, to_bytes};
use super::write_mail::{THREAD_LIFE, new_thread, random_name, token_text};
use super::{Exchange, TRACE};
use crate::store::sms::{Result, Tables, ThreadRow};
use crate::turns;
use mailsync_proto::sync::store::{StoreError, Write};
use smsbridge::bridge::{
    BindingStore, Flag, MailFacts, MailWay, Msisdn, Party, ThreadToken, field, header_of, mail_flag,
    mail_to_sms, mail_way, may_convert, number_in_address, registered_delivery, temporary_binding,
};
use smsbridge::smtp::{EnhancedCode, Mailbox, Recipient, Reply};
use std::net::IpAddr;

/// A mail that comes in.
#[derive(Debug)]
pub(crate) struct MailIn<'a> {
    /// The envelope's sender; none for reports.
    pub(crate) sender: Option<&'a Mailbox>,
    /// Who logged in.
    pub(crate) user: Option<&'a str>,
    /// Where it came from.
    pub(crate) peer: Option<IpAddr>,
    /// As it was submitted.
    pub(crate) body: &'a [u8],
    /// `ENVID`.
    pub(crate) envid: Option<&'a str>,
}

/// What becomes of it for one recipient.
#[derive(Debug)]
pub(crate) enum Way {
    /// Ordinary mail of a user here.
    Local,
    /// The exchange takes it; these go into the commit that takes the mail.
    Taken(Vec<Write>),
    /// Nothing: the sender is told.
    Refused(Reply),
}

impl Exchange {
    /// Whether mail for an address that is no user's is taken at all.
    pub(crate) fn takes(&self, address: &Mailbox) -> std::result::Result<bool, StoreError> {
        if address.domain().eq_ignore_ascii_case(&self.config.domain) {
            let local = address.local_part();
            return Ok(number_in_address(local).is_some() || ThreadToken::from_address(address).is_some());
        }
        self.store.sms_read(|tables| tables.bindings(|rows| !rows.of_mailbox(address).is_empty()))
    }

    /// Decides for one recipient; `local` is a user here.
    pub(crate) fn way(
        &self,
        mail: &MailIn<'_>,
        to: &Recipient,
        local: bool,
    ) -> std::result::Result<Way, StoreError> {
        let Some(address) = to.address.mailbox() else { return Ok(Way::Local) };
        let way = self.store.sms(|tables| self.decide_mail(tables, mail, to, address, local))?;
        match &way {
            Way::Refused(reply) => {
                count(&self.counters.mails_refused);
                tracing::info!(%reply, "mail refused");
            }
            Way::Taken(_) | Way::Local => {}
        }
        Ok(way)
    }

    fn decide_mail(
        &self,
        tables: &Tables<'_>,
        mail: &MailIn<'_>,
        to: &Recipient,
        address: &Mailbox,
        local: bool,
    ) -> Result<Way> {
        let now = turns::unix_now();
        let ours = address.domain().eq_ignore_ascii_case(&self.config.domain);
        let number = if ours { number_in_address(address.local_part()) } else { None };
        let bound = tables.bindings(|rows| rows.number_of(address, now))?;
        let is_bound = tables.bindings(|rows| !rows.of_mailbox(address).is_empty())?;
        let sender = self.sender(tables, mail)?;
        let thread = match ThreadToken::from_address(address).filter(|_| ours) {
            Some(token) => Some(tables.thread_of_token(&token_text(&token), now)?),
            None => None,
        };
        // threats: reply-token theft; a token is for one sender
        let thread = thread.map(|thread| {
            thread.filter(|thread| {
                sender.as_ref().is_some_and(|sender| sender.as_str().eq_ignore_ascii_case(&thread.mailbox))
            })
        });
        let phone =
            thread.as_ref().map(|thread| thread.as_ref().and_then(|thread| Msisdn::parse(&thread.phone)));
        let flag = mail_flag(mail.body, &self.flags);
        let trusted = mail.user.is_some()
            || mail.peer.is_some_and(|peer| {
                let peer = peer.to_canonical();
                self.config.trusted.iter().any(|network| network.contains(peer))
            });
        let temporary = match field(mail.body, "SMS-Bind").filter(|_| flag == Flag::Convert && trusted) {
            Some(value) => match self.bind_in_mail(tables, mail, address, &value, now)? {
                Ok(number) => Some(number),
                Err(reply) => return Ok(Way::Refused(reply)),
            },
            None => None,
        };
        let envelope = mail.sender.map(Mailbox::as_str);
        let risk = may_convert(envelope, mail.body, (TRACE, &self.host)).err();
        let way = mail_way(&MailFacts {
            flag,
            trusted,
            risk: risk.as_ref(),
            token: phone.as_ref().map(Option::as_ref),
            number: number.as_ref(),
            temporary: temporary.as_ref(),
            bound: bound.as_ref(),
            mailbox: local || (is_bound && self.config.relay.is_some()),
        });
        match way {
            MailWay::Phone(phone) => {
                self.convert(tables, mail, to, address, &phone, sender, thread.flatten(), now)
            }
            MailWay::PassOn if local => Ok(Way::Local),
            MailWay::PassOn => {
                count(&self.counters.mails_passed);
                Ok(Way::Taken(vec![self.relay(mail, address, now)]))
            }
            MailWay::Drop => {
                tracing::info!("report on a phone's mail dropped");
                Ok(Way::Taken(Vec::new()))
            }
            MailWay::Refuse(refusal) => Ok(Way::Refused(refusal.reply())),
            _ => Ok(Way::Refused(Reply::new(554, EnhancedCode(5, 0, 0), "Not taken"))),
        }
    }

    /// The mailbox that a mail is from: of a user only one that is theirs.
    fn sender(&self, tables: &Tables<'_>, mail: &MailIn<'_>) -> Result<Option<Mailbox>> {
        let (Some(user), Some(sender)) = (mail.user, mail.sender) else { return Ok(mail.sender.cloned()) };
        if tables.user_of(sender.as_str())?.as_deref() == Some(user) {
            return Ok(Some(sender.clone()));
        }
        let own = tables.addresses_of(user)?;
        Ok(own.into_iter().find_map(|address| address.parse().ok()))
    }

    /// `SMS-Bind` in a mail: the sender's own mailbox and a number belong together for a while.
    // mission: S4
    fn bind_in_mail(
        &self,
        tables: &Tables<'_>,
        mail: &MailIn<'_>,
        address: &Mailbox,
        value: &str,
        now: u64,
    ) -> Result<std::result::Result<Msisdn, Reply>> {
        let no =
            |words: String| Ok(Err(Reply::new(550, EnhancedCode(5, 7, 1), format!("SMS-Bind: {words}"))));
        let Some((number, seconds)) = temporary_binding(value) else {
            return no("write a number, and ttl=SECONDS if it is not for a day".into());
        };
        let rights: Vec<Mailbox> = match mail.user {
            Some(user) => tables.addresses_of(user)?.iter().filter_map(|own| own.parse().ok()).collect(),
            None => mail.sender.cloned().into_iter().collect(),
        };
        let bound = tables.bindings(|rows| rows.bind_for(number, address.clone(), &rights, now, seconds))?;
        match bound {
            Ok(binding) => Ok(Ok(binding.number)),
            Err(error) => no(error.to_string()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of one mail and one phone")]
    fn convert(
        &self,
        tables: &Tables<'_>,
        mail: &MailIn<'_>,
        to: &Recipient,
        address: &Mailbox,
        phone: &Msisdn,
        sender: Option<Mailbox>,
        thread: Option<ThreadRow>,
        now: u64,
    ) -> Result<Way> {
        let refuse = |code, enhanced, words: String| Ok(Way::Refused(Reply::new(code, enhanced, words)));
        let Some(sender) = sender else {
            return refuse(550, EnhancedCode(5, 1, 8), "no sender to answer to".into());
        };
        let party = Party::Phone(phone.clone());
        let Some(link) = self.link_for(&party) else {
            return refuse(550, EnhancedCode(5, 7, 1), "no route to this number".into());
        };
        let rules = self.rules_for(&link);
        let thread = match thread {
            Some(thread) => thread,
            None => self.thread_for(tables, phone, &sender, now)?,
        };
        let source = super::config::party(&thread.number);
        let wishes = registered_delivery(to.notify, false);
        let (submits, reduced) = match mail_to_sms(mail.body, &sender, &source, &party, wishes, &rules) {
            Ok(done) => done,
            Err(error) => return refuse(554, EnhancedCode(5, 6, 0), error.to_string()),
        };
        let (who, parts) =
            (mail.user.unwrap_or(sender.as_str()), u32::try_from(submits.len()).unwrap_or(u32::MAX));
        let charged = {
            let mut policy = self.policy();
            if !policy.fuse.allow(self.now(), &plain(&party), sender.as_str(), false) {
                return refuse(
                    450,
                    EnhancedCode(4, 7, 1),
                    "too many messages between these two, try later".into(),
                );
            }
            policy.toll.charge(now, who, None, phone, parts)
        };
        match charged {
            Ok(charge) => tables.charged(&charge)?,
            Err(denied) => {
                tracing::warn!(to = ?phone, %denied, "mail not converted");
                let code = if denied.is_temporary() { 4 } else { 5 };
                return refuse(
                    if code == 4 { 450 } else { 550 },
                    EnhancedCode(code, 7, 1),
                    denied.to_string(),
                );
            }
        }
        let (used, expires) = (now, now.saturating_add(THREAD_LIFE));
        let mut thread = ThreadRow { used, expires, ..thread };
        thread.ids.extend(reduced.message_id);
        thread.subject = reduced.subject.or(thread.subject);
        tables.put_thread(&thread)?;
        let notify = to.notify;
        let job = SmsJob {
            source: MailSource {
                from: mail.sender.map(Mailbox::to_string),
                recipient: address.to_string(),
                success: notify.is_some_and(|notify| notify.success),
                failure: notify.is_none_or(|notify| notify.failure),
                envid: mail.envid.map(str::to_owned),
                orcpt: to.orcpt.clone(),
                header: header_of(mail.body).to_vec(),
            },
            link,
            bodies: submits.into_iter().map(body_of).collect(),
        };
        count(&self.counters.mails_converted);
        tracing::info!(to = ?phone, parts, "mail becomes short messages");
        Ok(Way::Taken(vec![Write::Enqueue(SMS_QUEUE.into(), random_name().into(), to_bytes(&job).into())]))
    }

    /// The conversation of a mailbox and a phone: over a number of ours on which that phone has no other, else over
    /// the one that was silent longest.
    fn thread_for(
        &self,
        tables: &Tables<'_>,
        phone: &Msisdn,
        mailbox: &Mailbox,
        now: u64,
    ) -> Result<ThreadRow> {
        let known = tables.threads_of(&phone.to_string())?;
        let own = |row: &&ThreadRow| row.mailbox.eq_ignore_ascii_case(mailbox.as_str()) && now < row.expires;
        if let Some(row) = known.iter().find(own) {
            return Ok(row.clone());
        }
        let numbers: Vec<String> = self.numbers.iter().map(plain).collect();
        let used = |number: &String| known.iter().find(|row| row.number == *number).map_or(0, |row| row.used);
        let number = numbers.iter().min_by_key(|number| used(number)).cloned().unwrap_or_default();
        Ok(new_thread(phone.to_string(), number, mailbox))
    }

    /// On to another mail server, octet for octet.
    fn relay(&self, mail: &MailIn<'_>, to: &Mailbox, now: u64) -> Write {
        let job = MailJob {
            from: mail.sender.map(Mailbox::to_string),
            to: to.to_string(),
            mail: mail.body.to_vec(),
            tell: None,
            added: now,
        };
        Write::Enqueue(MAIL_QUEUE.into(), random_name().into(), to_bytes(&job).into())
    }

    /// A report about recipients that were refused while others were taken; nothing if nobody can be told.
    pub(crate) fn refusal_report(&self, mail: &MailIn<'_>, refused: &[(Recipient, Reply)]) -> Option<Write> {
        use smsbridge::bridge::{Report, ReportedRecipient};
        let sender = mail.sender?;
        let (id, now) = (random_name(), turns::unix_now());
        let mut report =
            Report::new(self.host.clone(), sender.clone(), format!("{id}@{}", self.config.domain), now);
        report.original_header = header_of(mail.body).to_vec();
        report.recipients = refused
            .iter()
            .filter(|(to, _)| to.notify.is_none_or(|notify| notify.failure))
            .filter_map(|(to, reply)| {
                let state = smsbridge::smpp::MessageState::REJECTED;
                let mut reported = ReportedRecipient::new(to.address.mailbox()?.clone(), state);
                reported.original = to.orcpt.clone();
                let mut receipt = smsbridge::bridge::Receipt::new(String::new(), state);
                receipt.error = Some(reply.text.clone());
                reported.receipt = Some(receipt);
                Some(reported)
            })
            .collect();
        if report.recipients.is_empty() {
            return None;
        }
        let job =
            MailJob { from: None, to: sender.to_string(), mail: report.to_mail(), tell: None, added: now };
        Some(Write::Enqueue(MAIL_QUEUE.into(), id.into(), to_bytes(&job).into()))
    }

    /// Whether a mail is one that [`way`](Exchange::way) can do anything but leave alone; saves a transaction.
    pub(crate) fn concerns(&self, body: &[u8], address: &Mailbox) -> bool {
        address.domain().eq_ignore_ascii_case(&self.config.domain)
            || mail_flag(body, &self.flags) == Flag::Convert
    }
}
