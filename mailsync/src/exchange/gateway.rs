//! What phones ask of us, and what we tell them.

use super::config::{link_of_smsc, party};
use super::message::{MAIL_QUEUE, MailJob, Source, body_of, masked, phone, plain, to_bytes};
use super::write_mail::{random, random_name};
use super::{Exchange, TRACE};
use crate::store::sms::{Result, Tables};
use crate::turns;
use smsbridge::bridge::{
    Ask, BindingError, BindingStore, Challenge, Compose, EmailSms, Msisdn, Party, text_to_sms,
};
use smsbridge::smpp::RegisteredDelivery;
use smsbridge::smtp::Mailbox;

impl Exchange {
    /// A phone asks to be bound, or proves that it may be.
    // mission: S4
    pub(super) fn asked(&self, tables: &Tables<'_>, from: &Party, ours: &Party, ask: &Ask) -> Result<()> {
        let Some(number) = phone(from) else { return Ok(()) };
        let now = turns::unix_now();
        match ask {
            Ask::Bind(mailbox) => {
                let challenge = tables
                    .bindings(|rows| Challenge::new(rows, number.clone(), mailbox.clone(), random(), now))?;
                tables.put_challenge(&challenge)?;
                let words = format!("{} is the code of this phone for {mailbox}", challenge.phone_code);
                self.tell(tables, from, ours, &words)?;
                self.mail_code(tables, mailbox, &number, &challenge.mail_code, ours, now)
            }
            Ask::Confirm { phone_code, mail_code } => {
                let Some(mut challenge) = tables.challenge(&number)? else {
                    return self.tell(tables, from, ours, "Not bound: ask with BIND first");
                };
                let before = tables.bindings(|rows| rows.mailbox_of(&number, now))?;
                let done = tables.bindings(|rows| challenge.confirm(rows, phone_code, mail_code, now))?;
                let words = match &done {
                    Ok(binding) => format!("Bound to {}", binding.mailbox),
                    Err(error) => format!("Not bound: {error}"),
                };
                match done {
                    Err(BindingError::WrongCode { .. }) => tables.put_challenge(&challenge)?,
                    Ok(binding) => {
                        tables.end_challenge(&number)?;
                        // threats: forged binding; who had the number learns that it went
                        if let Some(before) = before.filter(|before| *before != binding.mailbox) {
                            let words = format!("{number} is now bound to another mailbox.");
                            self.mail_words(tables, &before, ours, "Binding changed", &words, now)?;
                        }
                    }
                    Err(_) => tables.end_challenge(&number)?,
                }
                self.tell(tables, from, ours, &words)
            }
            Ask::Unbind(mailbox) => {
                let gone = tables.bindings(|rows| rows.remove(&number, mailbox))?;
                let words = if gone.is_some() { "No longer bound to" } else { "Was not bound to" };
                self.tell(tables, from, ours, &format!("{words} {mailbox}"))
            }
            _ => Ok(()),
        }
    }

    fn mail_code(
        &self,
        tables: &Tables<'_>,
        mailbox: &Mailbox,
        number: &Msisdn,
        code: &str,
        ours: &Party,
        now: u64,
    ) -> Result<()> {
        let words = format!(
            "{code} is the code of this mailbox.\n\nThe phone {number} asks to be bound to {mailbox}. If that is your phone, \
             send from it, to {}:\n\nCONFIRM <the phone's code> {code}\n\nIf not, do nothing.",
            plain(ours)
        );
        self.mail_words(tables, mailbox, ours, "Your code", &words, now)
    }

    /// A mail of our own.
    fn mail_words(
        &self,
        tables: &Tables<'_>,
        to: &Mailbox,
        ours: &Party,
        subject: &str,
        words: &str,
        now: u64,
    ) -> Result<()> {
        let id = random_name();
        let mut compose = Compose::new(
            ours.clone(),
            self.config.domain.clone(),
            vec![to.clone()],
            format!("{id}@{}", self.config.domain),
            now,
        );
        compose.trace = (TRACE.into(), self.host.clone());
        let email =
            EmailSms { subject: Some(subject.to_owned()), body: words.to_owned(), ..EmailSms::default() };
        let Some(mail) = compose.mail(&email) else { return Ok(()) };
        let job = MailJob { from: None, to: to.to_string(), mail, tell: None, added: now };
        tables.enqueue(MAIL_QUEUE, &id, &to_bytes(&job), now)?;
        self.mail.notify_one();
        Ok(())
    }

    /// Tells a phone something, from one of our numbers (or the number that it wrote to).
    pub(super) fn tell(&self, tables: &Tables<'_>, to: &Party, from: &Party, words: &str) -> Result<()> {
        if !self.policy().fuse.allow(self.now(), &plain(to), "gateway", true) {
            tracing::warn!(to = masked(to), "not told: too many notices");
            return Ok(());
        }
        let Some(link) = self.link_for(to) else {
            tracing::info!(to = masked(to), "not told: no route");
            return Ok(());
        };
        let rules = self.rules_for(&link);
        match text_to_sms(words, from, to, RegisteredDelivery::NONE, &rules) {
            Ok(submits) => {
                let bodies: Vec<Vec<u8>> = submits.into_iter().map(body_of).collect();
                self.push(tables, &Source::Gateway, &link, &bodies).map(drop)
            }
            Err(error) => {
                tracing::warn!(%error, "not told");
                Ok(())
            }
        }
    }

    /// Tells a phone by its stored name.
    pub(super) fn tell_plain(&self, tables: &Tables<'_>, to: &str, from: &str, words: &str) -> Result<()> {
        self.tell(tables, &party(to), &party(from), words)
    }

    /// Where messages for a phone go: to the client that has the number, else to the centre of its prefix.
    pub(super) fn link_for(&self, to: &Party) -> Option<String> {
        if let Some(own) = self.phones.get(&plain(to)) {
            return Some(own.clone());
        }
        self.routes.target(&phone(to)?).ok().map(str::to_owned)
    }

    /// How texts are written for a link.
    pub(super) fn rules_for(&self, link: &str) -> smsbridge::bridge::ConvertRules {
        let reference = self.policy().next_reference();
        let centre = self.config.smsc.iter().find(|smsc| link_of_smsc(&smsc.name) == link);
        let client = || {
            self.config
                .account
                .iter()
                .find(|account| super::config::link_of_account(&account.system_id) == link)
        };
        let peer = centre.map(|smsc| &smsc.peer).or_else(|| client().map(|account| &account.peer));
        peer.cloned().unwrap_or_default().rules(self.config.max_parts, reference)
    }
}
