//! What becomes of a message: converted, passed on unchanged, or refused.

use super::flag::Flag;
use super::loops::LoopRisk;
use super::number::Msisdn;
use crate::smpp::CommandStatus;
use crate::smtp::{EnhancedCode, Mailbox, Reply};

/// What the host knows about a short message, all its parts together.
#[derive(Clone, Debug)]
pub struct SmsFacts<'a> {
    /// Its flag.
    pub flag: Flag,
    /// The destination is a number of ours: no phone is behind it.
    pub gateway: bool,
    /// Mailboxes that the text names (TS 23.040 §3.8), if it names any; empty if this sender may not write to them.
    pub named: Option<&'a [Mailbox]>,
    /// The mailbox of the conversation between this phone and this number of ours.
    pub thread: Option<&'a Mailbox>,
    /// The mailbox that the destination is bound to.
    pub destination: Option<&'a Mailbox>,
    /// The mailbox that the sender is bound to.
    pub source: Option<&'a Mailbox>,
}

/// What becomes of a short message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmsWay {
    /// A mail to these.
    Mail(Vec<Mailbox>),
    /// A mail into the conversation it answers.
    Thread,
    /// Unchanged to the phone.
    PassOn,
    /// Not at all.
    Refuse(SmsRefusal),
}

/// Why a short message goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SmsRefusal {
    /// It is to become mail, and no mailbox is bound to the number.
    #[error("no mailbox is bound to this number")]
    NoMailbox,
    /// It names a mailbox that its sender may not write to.
    #[error("this address may not be written to")]
    NotAllowed,
    /// It went to a number of ours, and is neither flagged nor an answer.
    #[error("not marked as mail, and no answer to one")]
    NotMarked,
}

impl SmsRefusal {
    /// What to answer in SMPP.
    pub fn status(self) -> CommandStatus {
        CommandStatus::RINVDSTADR
    }
}

/// Decides on a short message.
///
/// Flag 1 converts; anything else goes on unchanged to the phone. Behind a number of ours there is no phone: there an
/// unflagged message can only be the answer to a mail.
// mission: S2, S3
pub fn sms_way(facts: &SmsFacts<'_>) -> SmsWay {
    let mail = |mailbox: &Mailbox| SmsWay::Mail(vec![mailbox.clone()]);
    match (facts.flag, facts.gateway) {
        (Flag::Convert, true) if facts.named.is_some_and(<[Mailbox]>::is_empty) => {
            SmsWay::Refuse(SmsRefusal::NotAllowed)
        }
        (Flag::Convert, true) if facts.named.is_some() => {
            SmsWay::Mail(facts.named.unwrap_or_default().to_vec())
        }
        (Flag::Convert | Flag::Absent, true) if facts.thread.is_some() => SmsWay::Thread,
        (Flag::Convert, true) => facts.source.map_or(SmsWay::Refuse(SmsRefusal::NoMailbox), mail),
        (Flag::Absent | Flag::Other, true) => SmsWay::Refuse(SmsRefusal::NotMarked),
        (Flag::Convert, false) => facts.destination.map_or(SmsWay::Refuse(SmsRefusal::NoMailbox), mail),
        (Flag::Absent | Flag::Other, false) => SmsWay::PassOn,
    }
}

/// What the host knows about a mail and one of its recipients.
#[derive(Clone, Debug)]
pub struct MailFacts<'a> {
    /// Its flag.
    pub flag: Flag,
    /// The sender logged in, or comes from where the operator trusts flags: a bare header converts nothing.
    pub trusted: bool,
    /// What speaks against converting.
    pub risk: Option<&'a LoopRisk>,
    /// The phone of the conversation whose token the address carries, checked against the sender; `Some(None)` for a
    /// token that does not count.
    pub token: Option<Option<&'a Msisdn>>,
    /// The number in a gateway address.
    pub number: Option<&'a Msisdn>,
    /// The number that the mail itself binds.
    pub temporary: Option<&'a Msisdn>,
    /// The number that the recipient is bound to.
    pub bound: Option<&'a Msisdn>,
    /// There is a mailbox behind the address, here or at another host.
    pub mailbox: bool,
}

/// What becomes of a mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailWay {
    /// Short messages to this phone.
    Phone(Msisdn),
    /// Unchanged to the mailbox.
    PassOn,
    /// Taken and dropped: a report on a mail that a phone sent.
    Drop,
    /// Not at all.
    Refuse(MailRefusal),
}

/// Why a mail goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailRefusal {
    /// It is to become short messages, and no number is bound to the address.
    #[error("no phone number is bound to this address")]
    NoNumber,
    /// The flag is not exactly 1, and behind the address is only a phone.
    #[error("not marked for conversion, and there is no mailbox behind this address")]
    NotMarked,
    /// The flag of a sender that nobody knows.
    #[error("log in to send short messages")]
    NotTrusted,
    /// The token is none, is over, or is another sender's.
    #[error("no such conversation")]
    NoThread,
    /// It could go round for ever.
    #[error("not converted: {0}")]
    Loop(LoopRisk),
}

impl MailRefusal {
    /// What to answer in SMTP.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            MailRefusal::NoNumber | MailRefusal::NoThread => (550, EnhancedCode(5, 1, 1)),
            MailRefusal::NotMarked | MailRefusal::NotTrusted => (550, EnhancedCode(5, 7, 1)),
            MailRefusal::Loop(_) => (554, EnhancedCode(5, 4, 6)),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

/// Decides on a mail for one recipient.
// mission: S1, S3
pub fn mail_way(facts: &MailFacts<'_>) -> MailWay {
    let flagged = facts.flag == Flag::Convert && facts.trusted;
    let phone = match facts.token {
        Some(Some(phone)) => Some(phone),
        Some(None) => return MailWay::Refuse(MailRefusal::NoThread),
        None if flagged => match facts.temporary.or(facts.number).or(facts.bound) {
            Some(phone) => Some(phone),
            None => return MailWay::Refuse(MailRefusal::NoNumber),
        },
        None => None,
    };
    match (phone, facts.risk) {
        (Some(phone), None) => MailWay::Phone(phone.clone()),
        _ if facts.mailbox => MailWay::PassOn,
        (_, Some(LoopRisk::NullSender)) => MailWay::Drop,
        (Some(_), Some(risk)) => MailWay::Refuse(MailRefusal::Loop(risk.clone())),
        (None, _) if facts.flag == Flag::Convert => MailWay::Refuse(MailRefusal::NotTrusted),
        (None, _) => MailWay::Refuse(MailRefusal::NotMarked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: S2, S3
    #[test]
    fn short_messages() {
        let ann: Mailbox = "ann@example.org".parse().unwrap();
        let bob: Mailbox = "bob@example.org".parse().unwrap();
        let bobs = [bob.clone()];
        let named = Some(&bobs[..]);
        let way = |flag,
                   gateway,
                   named: Option<&[Mailbox]>,
                   thread: Option<&Mailbox>,
                   destination: Option<&Mailbox>| {
            sms_way(&SmsFacts { flag, gateway, named, thread, destination, source: None })
        };
        let mail = |mailbox: &Mailbox| SmsWay::Mail(vec![mailbox.clone()]);
        let (one, none, other) = (Flag::Convert, Flag::Absent, Flag::Other);
        assert_eq!(way(one, true, named, Some(&ann), None), mail(&bob));
        assert_eq!(way(one, true, Some(&[]), Some(&ann), None), SmsWay::Refuse(SmsRefusal::NotAllowed));
        assert_eq!(way(one, true, None, Some(&ann), None), SmsWay::Thread);
        assert_eq!(way(none, true, named, Some(&ann), None), SmsWay::Thread);
        assert_eq!(way(other, true, named, Some(&ann), None), SmsWay::Refuse(SmsRefusal::NotMarked));
        assert_eq!(way(none, true, named, None, None), SmsWay::Refuse(SmsRefusal::NotMarked));
        assert_eq!(way(one, true, None, None, Some(&ann)), SmsWay::Refuse(SmsRefusal::NoMailbox));
        assert_eq!(way(one, false, None, None, Some(&ann)), mail(&ann));
        assert_eq!(way(one, false, named, None, None), SmsWay::Refuse(SmsRefusal::NoMailbox));
        for flag in [none, other] {
            assert_eq!(way(flag, false, named, None, Some(&ann)), SmsWay::PassOn);
        }
        let own = SmsFacts {
            flag: one,
            gateway: true,
            named: None,
            thread: None,
            destination: None,
            source: Some(&ann),
        };
        assert_eq!(sms_way(&own), mail(&ann));
    }

    // mission: S1, S3
    #[test]
    fn mails() {
        let (a, b) = (Msisdn::parse("+8613800138000").unwrap(), Msisdn::parse("+4915112345678").unwrap());
        let base = MailFacts {
            flag: Flag::Convert,
            trusted: true,
            risk: None,
            token: None,
            number: None,
            temporary: None,
            bound: Some(&a),
            mailbox: true,
        };
        assert_eq!(mail_way(&base), MailWay::Phone(a.clone()));
        assert_eq!(mail_way(&MailFacts { temporary: Some(&b), ..base.clone() }), MailWay::Phone(b.clone()));
        for flag in [Flag::Absent, Flag::Other] {
            assert_eq!(mail_way(&MailFacts { flag, ..base.clone() }), MailWay::PassOn);
            let bare = MailFacts { flag, mailbox: false, number: Some(&a), ..base.clone() };
            assert_eq!(mail_way(&bare), MailWay::Refuse(MailRefusal::NotMarked));
        }
        // toll fraud: a stranger's header converts nothing
        let stranger = MailFacts { trusted: false, ..base.clone() };
        assert_eq!(mail_way(&stranger), MailWay::PassOn);
        let stranger = MailFacts { mailbox: false, ..stranger };
        assert_eq!(mail_way(&stranger), MailWay::Refuse(MailRefusal::NotTrusted));
        let unbound = MailFacts { bound: None, ..base.clone() };
        assert_eq!(mail_way(&unbound), MailWay::Refuse(MailRefusal::NoNumber));
        let list = LoopRisk::List("list-id".into());
        let looping = MailFacts { risk: Some(&list), ..base.clone() };
        assert_eq!(mail_way(&looping), MailWay::PassOn);
        let looping = MailFacts { mailbox: false, ..looping };
        assert_eq!(mail_way(&looping), MailWay::Refuse(MailRefusal::Loop(list.clone())));
        let report = MailFacts { risk: Some(&LoopRisk::NullSender), number: Some(&a), ..looping };
        assert_eq!(mail_way(&report), MailWay::Drop);
        // an answer needs no flag, only a token that counts
        let answer =
            MailFacts { flag: Flag::Absent, trusted: false, token: Some(Some(&b)), mailbox: false, ..base };
        assert_eq!(mail_way(&answer), MailWay::Phone(b.clone()));
        assert_eq!(
            mail_way(&MailFacts { token: Some(None), ..answer }),
            MailWay::Refuse(MailRefusal::NoThread)
        );
    }
}
