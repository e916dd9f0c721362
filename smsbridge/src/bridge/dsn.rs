//! Outcomes across the bridge: SMPP status to SMTP reply, receipt to delivery report.

use super::compose::{Header, date};
use super::receipt::Receipt;
use crate::smpp::{CommandStatus, MessageState};
use crate::smtp::{EnhancedCode, Mailbox, Reply};

/// What to answer an SMTP client whose message a centre refused.
///
/// # Spec
/// RFC 5321 §4.2.3, RFC 3463; the mapping is ours
pub fn smtp_reply(status: CommandStatus) -> Reply {
    let (code, enhanced) = match status {
        CommandStatus::ROK => (250, EnhancedCode(2, 0, 0)),
        CommandStatus::RMSGQFUL
        | CommandStatus::RTHROTTLED
        | CommandStatus::RSYSERR
        | CommandStatus::RX_T_APPN => (451, EnhancedCode(4, 3, 2)),
        CommandStatus::RINVDSTADR
        | CommandStatus::RINVNUMDESTS
        | CommandStatus::RINVDSTTON
        | CommandStatus::RINVDSTNPI => (550, EnhancedCode(5, 1, 1)),
        CommandStatus::RINVSRCADR | CommandStatus::RINVSRCTON | CommandStatus::RINVSRCNPI => {
            (550, EnhancedCode(5, 1, 8))
        }
        CommandStatus::RINVMSGLEN => (552, EnhancedCode(5, 3, 4)),
        CommandStatus::RINVBNDSTS
        | CommandStatus::RALYBND
        | CommandStatus::RBINDFAIL
        | CommandStatus::RINVPASWD
        | CommandStatus::RINVSYSID => (451, EnhancedCode(4, 3, 5)),
        CommandStatus::RX_R_APPN
        | CommandStatus::RPROHIBITED
        | CommandStatus::RSERTYPUNAUTH
        | CommandStatus::RSERTYPDENIED => (550, EnhancedCode(5, 7, 1)),
        CommandStatus::RINVDCS => (554, EnhancedCode(5, 6, 3)),
        CommandStatus::RINVEXPIRY => (554, EnhancedCode(5, 5, 4)),
        _ => (554, EnhancedCode(5, 0, 0)),
    };
    Reply::new(code, enhanced, format!("SMS centre: {status:?}"))
}

/// Action and status of a delivery report for a message in this state.
///
/// # Spec
/// RFC 3464 §2.3.3, §2.3.4; the mapping is ours
pub fn diagnose(state: MessageState) -> (&'static str, EnhancedCode) {
    match state {
        MessageState::DELIVERED => ("delivered", EnhancedCode(2, 0, 0)),
        MessageState::ACCEPTED => ("relayed", EnhancedCode(2, 0, 0)),
        MessageState::ENROUTE | MessageState::SCHEDULED => ("delayed", EnhancedCode(4, 4, 1)),
        MessageState::EXPIRED => ("failed", EnhancedCode(5, 4, 7)),
        MessageState::DELETED => ("failed", EnhancedCode(5, 3, 0)),
        MessageState::REJECTED => ("failed", EnhancedCode(5, 7, 1)),
        MessageState::UNKNOWN | MessageState::SKIPPED => ("failed", EnhancedCode(5, 4, 7)),
        _ => ("failed", EnhancedCode(5, 0, 0)),
    }
}

/// What a delivery report says of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportedRecipient {
    /// The address that the mail went to.
    pub address: Mailbox,
    /// `ORCPT`, if the sender gave one.
    pub original: Option<String>,
    /// The state.
    pub state: MessageState,
    /// What the centre said.
    pub receipt: Option<Receipt>,
}

impl ReportedRecipient {
    /// This address in this state.
    pub fn new(address: Mailbox, state: MessageState) -> Self {
        ReportedRecipient { address, original: None, state, receipt: None }
    }
}

/// A delivery report (DSN) to the sender of a mail that became short messages.
///
/// Only mail with a sender can have one: a report about a report would loop, so the type has no null sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Our host name.
    pub reporting_mta: String,
    /// Who gets it: the envelope sender.
    pub to: Mailbox,
    /// `ENVID`, if the sender gave one.
    pub envid: Option<String>,
    /// Our Message-ID, without angle brackets.
    pub message_id: String,
    /// Seconds since 1970, UTC.
    pub now: u64,
    /// At least one.
    pub recipients: Vec<ReportedRecipient>,
    /// The header of the mail, as it came.
    pub original_header: Vec<u8>,
}

impl Report {
    /// A report to this sender.
    pub fn new(
        reporting_mta: impl Into<String>,
        to: Mailbox,
        message_id: impl Into<String>,
        now: u64,
    ) -> Self {
        Report {
            reporting_mta: reporting_mta.into(),
            to,
            envid: None,
            message_id: message_id.into(),
            now,
            recipients: Vec::new(),
            original_header: Vec::new(),
        }
    }

    /// The mail; send it with a null sender (`MAIL FROM:<>`).
    ///
    /// # Spec
    /// RFC 3462, RFC 3464
    pub fn to_mail(&self) -> Vec<u8> {
        let failed = self.recipients.iter().any(|recipient| diagnose(recipient.state).0 == "failed");
        let subject = if failed { "Undelivered short message" } else { "Delivery of a short message" };
        // nothing of the original's header has this, as it is made from our own id
        let boundary = format!("=_{}", self.message_id.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let mut head = Header::default();
        head.text("From", &format!("Mail Delivery System <MAILER-DAEMON@{}>", self.reporting_mta));
        head.text("To", &format!("<{}>", self.to));
        head.text("Subject", subject);
        head.text("Date", &date(self.now));
        head.text("Message-ID", &format!("<{}>", self.message_id));
        head.text("Auto-Submitted", "auto-replied");
        head.text("MIME-Version", "1.0");
        let kind = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        head.text("Content-Type", &kind);
        let mut mail = head.finish();
        let part = |mail: &mut Vec<u8>, kind: &str, body: &[u8]| {
            mail.extend_from_slice(format!("--{boundary}\r\nContent-Type: {kind}\r\n\r\n").as_bytes());
            mail.extend_from_slice(body);
            mail.extend_from_slice(b"\r\n");
        };
        part(&mut mail, "text/plain; charset=utf-8", self.words().as_bytes());
        part(&mut mail, "message/delivery-status", &self.status());
        if !self.original_header.is_empty() {
            part(&mut mail, "text/rfc822-headers", &self.original_header);
        }
        mail.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        mail
    }

    fn words(&self) -> String {
        let line = |recipient: &ReportedRecipient| {
            let (action, _) = diagnose(recipient.state);
            format!("{}: {action} ({:?})\r\n", recipient.address, recipient.state)
        };
        let lines: String = self.recipients.iter().map(line).collect();
        format!("This is a report about a mail of yours that was sent as short message.\r\n\r\n{lines}")
    }

    fn status(&self) -> Vec<u8> {
        let mut fields = Header::default();
        fields.text("Reporting-MTA", &format!("dns; {}", self.reporting_mta));
        if let Some(envid) = &self.envid {
            fields.text("Original-Envelope-Id", envid);
        }
        let mut out = fields.finish();
        for recipient in &self.recipients {
            let (action, status) = diagnose(recipient.state);
            let mut fields = Header::default();
            if let Some(original) = &recipient.original {
                fields.text("Original-Recipient", &format!("rfc822; {original}"));
            }
            fields.text("Final-Recipient", &format!("rfc822; {}", recipient.address));
            fields.text("Action", action);
            fields.text("Status", &status.to_string());
            if let Some(receipt) = &recipient.receipt {
                let error = receipt.error.as_deref().unwrap_or("-");
                fields.text("Diagnostic-Code", &format!("X-SMPP; {:?} err:{error}", recipient.state));
            }
            out.extend(fields.finish());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};

    #[test]
    fn replies_keep_their_class() {
        for status in (0..0x500).map(CommandStatus) {
            let reply = smtp_reply(status);
            assert_eq!(u16::from(reply.enhanced.unwrap().0), reply.code / 100);
            assert_eq!(reply.is_positive(), status.is_ok());
            assert!(!status.is_temporary() || reply.code == 451);
        }
        assert_eq!(smtp_reply(CommandStatus::RINVDSTADR).enhanced, Some(EnhancedCode(5, 1, 1)));
    }

    #[test]
    fn a_report_is_read_by_another_parser() {
        let mut report =
            Report::new("mx.example", "ann@example.org".parse().unwrap(), "r1@mx.example", 1_795_321_311);
        report.envid = Some("env 1\r\nEvil: x".into());
        let mut recipient = ReportedRecipient::new(
            "+8613800138000@sms.example".parse().unwrap(),
            MessageState::UNDELIVERABLE,
        );
        recipient.receipt = Some(Receipt { error: Some("1B\r\nEvil: y".into()), ..Receipt::default() });
        report.recipients.push(recipient);
        report.original_header = b"Subject: hi\r\n".to_vec();
        let mail = report.to_mail();
        let text = String::from_utf8(mail.clone()).unwrap();
        // threats M2: nothing that a peer said begins a line
        assert!(!text.contains("\nEvil"), "{text}");
        assert!(text.contains("\r\nAction: failed\r\nStatus: 5.0.0\r\n"));
        assert!(text.contains("Final-Recipient: rfc822; +8613800138000@sms.example\r\n"));
        let parsed = MessageParser::default().parse(&mail).unwrap();
        assert_eq!(parsed.content_type().unwrap().attribute("report-type"), Some("delivery-status"));
        assert_eq!(parsed.parts.len(), 4);
        assert_eq!(parsed.header("Auto-Submitted").and_then(|value| value.as_text()), Some("auto-replied"));
    }
}
