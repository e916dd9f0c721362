//! Short messages and mail as one: what is converted, how, and what is not.
//!
//! Everything here is pure. The host moves messages between an SMPP session and an SMTP session and keeps what must
//! survive a crash.

mod ask;
mod binding;
mod compose;
mod convert;
mod decide;
mod dsn;
mod email_sms;
mod flag;
mod header;
mod loops;
mod number;
mod receipt;
mod reduce;
mod toll;

pub use ask::{Ask, field, header_of, temporary_binding};
pub use binding::{
    Audit, Binding, BindingError, BindingStore, Bindings, Challenge, Kind, Origin, parse_export,
};
pub use compose::{Compose, ThreadToken};
pub use convert::{
    ConvertError, ConvertRules, Incoming, PeerText, mail_to_sms, registered_delivery, text_to_sms,
};
pub use decide::{MailFacts, MailRefusal, MailWay, SmsFacts, SmsRefusal, SmsWay, mail_way, sms_way};
pub use dsn::{Report, ReportedRecipient, diagnose, smtp_reply};
pub use email_sms::{EmailSms, TextualPart};
pub use flag::{Carrier, Flag, FlagRules, SmsView, mail_flag, remove_flag, sms_flag};
pub use loops::{LoopRisk, PairFuse, may_convert};
pub use number::{Msisdn, Party, number_in_address};
pub use receipt::{Book, Delivered, Receipt, id_forms};
pub use reduce::{ReduceRules, Reduced, fit, reduce};
pub use toll::{Charge, Denied, Routes, Toll, TollLimits};
