//! Short messages from centres and clients: mail, or unchanged on to another phone.
//!
//! All of it happens inside the transaction after which the peer is answered.

use super::Exchange;
use super::config::{Account, link_of_account};
use super::counters::count;
use super::link::number;
use super::message::{Source, masked, parties, phone, plain, submit_of, to_bytes};
use crate::store::sms::{Result, Tables};
use crate::turns;
use bytes::Bytes;
use smsbridge::bridge::{
    Ask, BindingStore, EmailSms, Flag, Incoming, Party, PeerText, SmsFacts, SmsView, SmsWay, sms_flag,
    sms_way,
};
use smsbridge::smpp::CommandStatus;
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smtp::Mailbox;
use smsbridge::text::{Added, Assembled, PartKey};
use std::sync::Arc;

/// A message that a peer hands us.
pub(super) struct Inbound {
    /// The link's queue, which names the peer.
    pub(super) link: String,
    /// The client; none for a centre.
    pub(super) account: Option<Arc<Account>>,
    pub(super) text: PeerText,
    pub(super) submit: SubmitSm,
    /// As it came.
    pub(super) body: Bytes,
    pub(super) is_receipt: bool,
}

/// What the peer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is ours now, under this number.
    Taken(i64),
    /// It stays with the peer.
    Refused(CommandStatus),
}

/// A message with all its parts, as far as they came.
pub(super) struct Whole<'a> {
    pub(super) link: &'a str,
    pub(super) account: Option<&'a Account>,
    pub(super) source: Party,
    pub(super) destination: Party,
    pub(super) gateway: bool,
    /// The mailbox that the destination is bound to.
    pub(super) bound: Option<Mailbox>,
    pub(super) flag: Flag,
    pub(super) text: String,
    /// The parts as they came.
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) missing: usize,
    /// It was split, so its parts have been taken already.
    pub(super) split: bool,
}

impl Exchange {
    /// Takes a message or refuses it.
    pub(super) fn ingest(&self, tables: &Tables<'_>, inbound: &Inbound) -> Result<Verdict> {
        let Inbound { link, account, submit, body, .. } = inbound;
        let incoming = Incoming::of_submit(submit, inbound.text);
        if inbound.is_receipt {
            self.receipt_came(tables, link, submit, &incoming.decode(&incoming.octets))?;
            return Ok(Verdict::Taken(0));
        }
        let (source, destination) = parties(submit);
        if let Some(account) = account
            && !account.numbers.iter().any(|own| plain(&super::config::party(own)) == plain(&source))
        {
            // threats: caller-id spoofing
            return Ok(Verdict::Refused(CommandStatus::RINVSRCADR));
        }
        let own = self.own_number(&destination).cloned();
        let gateway = own.is_some();
        let destination = own.unwrap_or(destination);
        let bound = self.mailbox_of(tables, &destination)?;
        let flag = self.flag_of(&incoming, submit, &incoming.decode(&incoming.octets));
        if let Some(mail_part) = self.config.account.iter().find(|other| other.converts)
            && !self.converts
            && flag == Flag::Convert
        {
            let source = Source::Sms { link: link.clone(), body: body.to_vec() };
            let target = link_of_account(&mail_part.system_id);
            return self.push(tables, &source, &target, &[body.to_vec()]).map(Verdict::Taken);
        }
        if !incoming.is_text() || !(gateway || bound.is_some()) {
            if incoming.is_text() && flag == Flag::Convert {
                tracing::info!(link, to = masked(&destination), "short message refused: no mailbox is bound");
                if account.is_none() {
                    self.tell(tables, &source, &destination, "Not sent: no mailbox is bound to this number")?;
                }
                return Ok(Verdict::Refused(CommandStatus::RINVDSTADR));
            }
            return self.pass_on(tables, link, account.as_deref(), &destination, &[body.to_vec()]);
        }
        if let Some((key, part)) =
            incoming.part(number(link), &plain(&source), &plain(&destination), submit.data_coding)
        {
            let id = tables.push_part(link, &set_key(&key), body, turns::unix_now())?;
            let added = self.policy().parts.add(self.now(), key, part);
            if let Ok(Added::Complete(whole)) = added {
                self.joined(tables, &whole)?;
            }
            return Ok(Verdict::Taken(id));
        }
        let whole = Whole {
            link,
            account: account.as_deref(),
            source,
            destination,
            gateway,
            bound,
            flag,
            text: incoming.decode(&incoming.octets),
            bodies: vec![body.to_vec()],
            missing: 0,
            split: false,
        };
        self.decide(tables, &whole)
    }

    /// A split message is whole, or all that will come of it has come.
    pub(super) fn joined(&self, tables: &Tables<'_>, set: &Assembled) -> Result<()> {
        let rows = tables.take_parts(&set_key(&set.key))?;
        let first = rows.iter().find_map(|row| Some((row.link.clone(), submit_of(&row.body)?)));
        let Some((link, _)) = first else { return Ok(()) };
        let account = self.config.account.iter().find(|account| link_of_account(&account.system_id) == link);
        let text = match account {
            Some(account) => account.peer.text(),
            None => {
                let own = |smsc: &&super::config::Smsc| super::config::link_of_smsc(&smsc.name) == link;
                self.config.smsc.iter().find(own).map(|smsc| smsc.peer.text()).unwrap_or_default()
            }
        };
        let submits: Vec<SubmitSm> = rows.iter().filter_map(|row| submit_of(&row.body)).collect();
        let incoming: Vec<Incoming> =
            submits.iter().map(|submit| Incoming::of_submit(submit, text)).collect();
        // The flag and the tables are those of the first part that came, which need not be part 1.
        let lowest = incoming
            .iter()
            .zip(&submits)
            .min_by_key(|(incoming, _)| incoming.concat.map_or(0, |concat| concat.number));
        let Some((first, submit)) = lowest else { return Ok(()) };
        let octets: Vec<u8> = set.parts.iter().flatten().flatten().copied().collect();
        let joined = first.decode(&octets);
        let (source, destination) = parties(submit);
        let own = self.own_number(&destination).cloned();
        let gateway = own.is_some();
        let destination = own.unwrap_or(destination);
        let whole = Whole {
            account,
            gateway,
            bound: self.mailbox_of(tables, &destination)?,
            flag: self.flag_of(first, submit, &joined),
            source,
            destination,
            text: joined,
            bodies: rows.into_iter().map(|row| row.body).collect(),
            missing: set.parts.iter().filter(|part| part.is_none()).count(),
            split: true,
            link: &link,
        };
        self.decide(tables, &whole).map(drop)
    }

    /// Gives up what waited too long for its other parts.
    pub(super) fn expire_parts(&self, tables: &Tables<'_>) -> Result<()> {
        loop {
            let set = {
                let mut policy = self.policy();
                let now = self.now();
                policy.parts.handle_timeout(now);
                policy.parts.poll_expired()
            };
            let Some(set) = set else { return Ok(()) };
            tracing::info!(
                missing = set.parts.iter().filter(|part| part.is_none()).count(),
                "parts did not come"
            );
            self.joined(tables, &set)?;
        }
    }

    /// Parts that waited when the last run ended wait on.
    pub(super) fn reload_parts(&self) -> std::result::Result<(), mailsync_proto::sync::store::StoreError> {
        for row in self.store.sms_read(|tables| tables.parts())? {
            let Some(submit) = submit_of(&row.body) else { continue };
            let incoming = Incoming::of_submit(&submit, PeerText::default());
            let (source, destination) = parties(&submit);
            let part =
                incoming.part(number(&row.link), &plain(&source), &plain(&destination), submit.data_coding);
            if let Some((key, part)) = part {
                // A part that is refused was refused then, too.
                let _ = self.policy().parts.add(self.now(), key, part);
            }
        }
        Ok(())
    }

    fn decide(&self, tables: &Tables<'_>, whole: &Whole<'_>) -> Result<Verdict> {
        let now = turns::unix_now();
        if whole.gateway
            && let Some(ask) = Ask::parse(&whole.text)
        {
            self.asked(tables, &whole.source, &whole.destination, &ask)?;
            return Ok(Verdict::Taken(0));
        }
        let named = if whole.gateway { self.named(tables, &whole.text)? } else { None };
        let own_number = phone(&whole.source);
        let source = match &own_number {
            Some(number) => tables.bindings(|rows| rows.mailbox_of(number, now))?,
            None => None,
        };
        let thread = tables.thread_of_phone(&plain(&whole.source), &plain(&whole.destination), now)?;
        let thread_mailbox: Option<Mailbox> = thread.as_ref().and_then(|thread| thread.mailbox.parse().ok());
        let way = sms_way(&SmsFacts {
            flag: whole.flag,
            gateway: whole.gateway,
            named: named.as_deref(),
            thread: thread_mailbox.as_ref(),
            destination: whole.bound.as_ref(),
            source: source.as_ref(),
        });
        match way {
            SmsWay::Mail(to) => self.write_mail(tables, whole, &to, None),
            SmsWay::Thread => {
                let to: Vec<Mailbox> = thread_mailbox.into_iter().collect();
                self.write_mail(tables, whole, &to, thread)
            }
            SmsWay::PassOn => {
                let passed =
                    self.pass_on(tables, whole.link, whole.account, &whole.destination, &whole.bodies)?;
                if let (true, Verdict::Refused(status)) = (whole.split, passed) {
                    let words = match status {
                        CommandStatus::RTHROTTLED => "Not sent: too many messages today",
                        _ => "Not sent: no route to this number",
                    };
                    self.tell(tables, &whole.source, &whole.destination, words)?;
                }
                Ok(passed)
            }
            SmsWay::Refuse(refusal) => {
                tracing::info!(link = whole.link, to = masked(&whole.destination), %refusal, "short message refused");
                if whole.split || whole.account.is_none() {
                    self.tell(tables, &whole.source, &whole.destination, &format!("Not sent: {refusal}"))?;
                }
                Ok(Verdict::Refused(refusal.status()))
            }
            _ => Ok(Verdict::Refused(CommandStatus::RSYSERR)),
        }
    }

    /// On to another phone, octet for octet: to a client that has the number, else to the centre of its prefix.
    fn pass_on(
        &self,
        tables: &Tables<'_>,
        link: &str,
        account: Option<&Account>,
        destination: &Party,
        bodies: &[Vec<u8>],
    ) -> Result<Verdict> {
        let refused = || {
            tracing::info!(link, to = masked(destination), "short message refused: no route");
            Ok(Verdict::Refused(CommandStatus::RINVDSTADR))
        };
        let number = phone(destination);
        let own = match &number {
            Some(number) => self.phones.get(&number.to_string()),
            None => self.phones.get(&plain(destination)),
        };
        let target = match (own, &number, account) {
            // threats: toll fraud, denied unless allowed
            (_, Some(number), Some(account)) if !account.may_send_to(number) => return refused(),
            (_, None, Some(_)) if own.is_none() => return refused(),
            (Some(own), ..) => own.clone(),
            (None, Some(number), Some(_)) => match self.routes.target(number) {
                Ok(target) => target.to_owned(),
                Err(_) => return refused(),
            },
            // what a centre sends is for our clients; between centres nothing passes
            _ => return refused(),
        };
        if let (Some(number), Some(account)) = (&number, account) {
            let parts = u32::try_from(bodies.len()).unwrap_or(u32::MAX);
            let now = turns::unix_now();
            let charged = self.policy().toll.charge(now, &account.system_id, account.day, number, parts);
            match charged {
                Ok(charge) => tables.charged(&charge)?,
                Err(denied) => {
                    tracing::warn!(account = account.system_id, to = ?number, %denied, "short message refused");
                    return Ok(Verdict::Refused(if denied.is_temporary() {
                        CommandStatus::RTHROTTLED
                    } else {
                        CommandStatus::RINVDSTADR
                    }));
                }
            }
        }
        count(&self.counters.sms_passed);
        let first = bodies.first().cloned().unwrap_or_default();
        let source = Source::Sms { link: link.to_owned(), body: first };
        self.push(tables, &source, &target, bodies).map(Verdict::Taken)
    }

    /// Puts a message into a link's queue.
    pub(super) fn push(
        &self,
        tables: &Tables<'_>,
        source: &Source,
        link: &str,
        bodies: &[Vec<u8>],
    ) -> Result<i64> {
        let id = tables.push(&to_bytes(source), link, bodies, turns::unix_now())?;
        let wants = bodies.first().and_then(|body| submit_of(body));
        if link.starts_with("smsc:") && wants.is_some_and(|submit| submit.registered_delivery.0 & 3 != 0) {
            let own = |smsc: &&super::config::Smsc| super::config::link_of_smsc(&smsc.name) == link;
            let one = self.config.smsc.iter().find(own).is_some_and(|smsc| smsc.peer.one_receipt);
            let message = u64::try_from(id).unwrap_or(0);
            let parts = if one { 1 } else { bodies.len() };
            let lost = self.policy().book.expect(self.now(), message, parts);
            if let Some(lost) = lost {
                self.delivered(tables, &lost)?;
            }
        }
        self.ring(link);
        Ok(id)
    }

    fn mailbox_of(&self, tables: &Tables<'_>, party: &Party) -> Result<Option<Mailbox>> {
        match phone(party) {
            Some(number) if self.converts => {
                tables.bindings(|rows| rows.mailbox_of(&number, turns::unix_now()))
            }
            _ => Ok(None),
        }
    }

    /// The mailboxes that a text names, if it names any; none at all if a phone may not write to one of them.
    fn named(&self, tables: &Tables<'_>, text: &str) -> Result<Option<Vec<Mailbox>>> {
        let mut named = Vec::new();
        let addresses = EmailSms::parse(text).addresses;
        if addresses.is_empty() {
            return Ok(None);
        }
        for mailbox in addresses {
            let listed =
                self.config.mail_to.iter().any(|domain| domain.eq_ignore_ascii_case(mailbox.domain()));
            let bound = || tables.bindings(|rows| !rows.of_mailbox(&mailbox).is_empty());
            if listed || tables.user_of(mailbox.as_str())?.is_some() || bound()? {
                named.push(mailbox);
            } else {
                return Ok(Some(Vec::new()));
            }
        }
        Ok(Some(named))
    }

    fn flag_of(&self, incoming: &Incoming, submit: &SubmitSm, text: &str) -> Flag {
        let udh = (!incoming.udh.elements.is_empty()).then_some(&incoming.udh);
        sms_flag(&SmsView::of(submit, udh, text), &self.flags)
    }
}

fn set_key(key: &PartKey) -> String {
    let PartKey { link, source, destination, reference, wide, data_coding, total } = key;
    format!("{link}|{source}|{destination}|{reference}|{wide}|{data_coding}|{total}")
}
