//! `mailsync sms`: a phone's side, a client of the exchange over SMPP.

pub(crate) mod binary;
mod client;
mod inbox;

use crate::mailbox::link::Trust;
use clap::Subcommand;
use client::{Client, Settings};
use inbox::Inbox;
use pushpolicy::bearer::wap::Ports;
use serde_json::json;
use smsbridge::bridge::{Ask, ConvertRules, EmailSms, Msisdn, Party, text_to_sms};
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::{Body, Pdu, RegisteredDelivery, SequenceNumber, Tag};
use smsbridge::text::Reference;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What to do with short messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Sms {
    /// Send a short message; long texts are split
    Send(Box<Send>),
    /// Take the messages that wait for us, and those that come
    Receive {
        #[command(flatten)]
        link: Link,
        /// Where they are kept
        #[arg(long)]
        dir: PathBuf,
        /// How long to listen
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 5)]
        seconds: u64,
        /// End after so many messages
        #[arg(long, value_name = "N")]
        count: Option<usize>,
    },
    /// List the messages that came
    List {
        /// Where they are kept
        #[arg(long)]
        dir: PathBuf,
    },
    /// Bind this phone's number to a mailbox
    #[command(subcommand)]
    Bind(Bind),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    #[command(flatten)]
    link: Link,
    /// The recipient's number, or one of the exchange's own
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// Mark it: it is to become mail, in the mailbox that the number is bound to
    #[arg(long)]
    as_mail: bool,
    /// The same, to this address; --to is a number of the exchange's own
    #[arg(long, value_name = "MAILADDR")]
    mail_to: Option<String>,
    /// Its subject
    #[arg(long, requires = "mail_to")]
    subject: Option<String>,
    /// Ask for receipts, and wait for them
    #[arg(long)]
    receipt: bool,
    /// Send it so often: to measure a link
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u64,
    /// Messages under way at a time
    #[arg(long, default_value_t = 10)]
    window: usize,
    /// How long to wait for the end of it
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// The text
    text: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bind {
    /// Ask for it: one code comes to the phone, another to the mailbox
    Ask {
        #[command(flatten)]
        link: Link,
        /// A number of the exchange's own
        #[arg(long, value_name = "NUMBER")]
        to: String,
        /// The mailbox
        mailbox: String,
    },
    /// Give both codes back
    Confirm {
        #[command(flatten)]
        link: Link,
        /// A number of the exchange's own
        #[arg(long, value_name = "NUMBER")]
        to: String,
        /// The phone's code
        phone_code: String,
        /// The mailbox's code
        mail_code: String,
    },
    /// Be bound no longer
    Remove {
        #[command(flatten)]
        link: Link,
        /// A number of the exchange's own
        #[arg(long, value_name = "NUMBER")]
        to: String,
        /// The mailbox
        mailbox: String,
    },
}

/// How long sending of octets may take.
const SEND_SECONDS: u64 = 60;

/// Where the exchange is, and who we are.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Link {
    /// The exchange's SMPP listener, as host:2775; the password comes from MAILSYNC_SMS_PASSWORD
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// The account
    #[arg(long)]
    pub(crate) account: String,
    /// Our number, as +8613800138000
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: String,
    /// TLS from the first octet
    #[arg(long)]
    pub(crate) tls: bool,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) ca: Option<PathBuf>,
}

/// Carries it out.
pub(crate) fn run(command: Sms, json: bool) -> Result<ExitCode, String> {
    match command {
        Sms::Send(send) => self::send(&send, json),
        Sms::Receive { link, dir, seconds, count } => {
            let inbox = Inbox::open(&dir)?;
            let settings = Settings { listen: Some(count.unwrap_or(usize::MAX)), ..Settings::new(&link)? };
            let ended = client::run(Client::new(settings, Some(inbox), Vec::new()), seconds)?;
            print(json, &ended.received, |message| {
                format!(
                    "{}\t{}",
                    message["from"].as_str().unwrap_or("?"),
                    message["text"].as_str().unwrap_or("")
                )
            });
            ended.fault.map_or(Ok(ExitCode::SUCCESS), Err)
        }
        Sms::List { dir } => {
            print(json, &Inbox::open(&dir)?.messages()?, |message| {
                format!(
                    "{}\t{}",
                    message["from"].as_str().unwrap_or("?"),
                    message["text"].as_str().unwrap_or("")
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Sms::Bind(bind) => {
            let (link, to, ask) = match bind {
                Bind::Ask { link, to, mailbox } => (link, to, Ask::Bind(address(&mailbox)?)),
                Bind::Confirm { link, to, phone_code, mail_code } => {
                    (link, to, Ask::Confirm { phone_code, mail_code })
                }
                Bind::Remove { link, to, mailbox } => (link, to, Ask::Unbind(address(&mailbox)?)),
            };
            let send = Send {
                link,
                to,
                as_mail: false,
                mail_to: None,
                subject: None,
                receipt: false,
                repeat: 1,
                window: 1,
                seconds: 60,
                text: ask.text(),
            };
            self::send(&send, json)
        }
    }
}

fn send(send: &Send, json: bool) -> Result<ExitCode, String> {
    let settings = Settings { window: send.window, receipts: send.receipt, ..Settings::new(&send.link)? };
    let bodies = compose(send)?;
    let parts = bodies.len();
    let jobs: Vec<Pdu> = (0..send.repeat).flat_map(|_| bodies.iter().cloned()).collect();
    let ended = client::run(Client::new(settings, None, jobs), send.seconds)?;
    let seconds = ended.seconds;
    if json {
        println!(
            "{}",
            json!({"sent": ended.sent, "taken": ended.taken, "refused": ended.refused, "parts": parts,
                "ids": ended.ids, "receipts": ended.receipts, "seconds": seconds,
                "per_second": (ended.taken as f64 / seconds.max(1e-9)).round()})
        );
    } else {
        println!(
            "{} of {} parts taken{}",
            ended.taken,
            ended.sent,
            ended.refused.first().map_or(String::new(), |status| format!(", refused: {status}"))
        );
        for receipt in &ended.receipts {
            println!("{receipt}");
        }
    }
    if let Some(fault) = ended.fault {
        return Err(fault);
    }
    Ok(if ended.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The parts of a message.
fn compose(send: &Send) -> Result<Vec<Pdu>, String> {
    let (from, to) = (party(&send.link.from)?, party(&send.to)?);
    let wishes = if send.receipt { RegisteredDelivery::ALWAYS } else { RegisteredDelivery::NONE };
    let mut text = send.text.clone();
    if let Some(mail_to) = &send.mail_to {
        let mail = EmailSms {
            addresses: vec![address(mail_to)?],
            subject: send.subject.clone(),
            body: send.text.clone(),
            ..EmailSms::default()
        };
        text = mail.format(false);
    }
    let mut rules = ConvertRules::default();
    rules.split.max_parts = 255;
    // Another reference for each message; two of one second with the same text do no harm.
    let seed = crate::turns::moment().map_err(|error| error.to_string())?.entropy;
    rules.split.reference = Reference::Udh8(seed[0]);
    let submits = text_to_sms(&text, &from, &to, wishes, &rules).map_err(|error| error.to_string())?;
    submits.into_iter().map(|submit| flagged(submit, send.as_mail || send.mail_to.is_some())).collect()
}

/// The flag travels in a TLV of its own, so that the text stays as it is.
// mission: S6
fn flagged(mut submit: SubmitSm, flag: bool) -> Result<Pdu, String> {
    if flag {
        submit.tlvs.push(Tag(0x1400), &[1]).map_err(|error| error.to_string())?;
    }
    Ok(Pdu::new(SequenceNumber(1), &Body::SubmitSm(submit)))
}

/// A number or a short code.
pub(crate) fn party(text: &str) -> Result<Party, String> {
    if let Some(number) = Msisdn::parse(text) {
        return Ok(Party::Phone(number));
    }
    if (3..=8).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Ok(Party::ShortCode(text.into()));
    }
    Err(format!("{text:?} is no number, say +8613800138000 or 10086"))
}

fn address(text: &str) -> Result<smsbridge::smtp::Mailbox, String> {
    text.parse().map_err(|_| format!("{text:?} is no mail address, say ana@example.org"))
}

fn print(json: bool, rows: &[serde_json::Value], line: impl Fn(&serde_json::Value) -> String) {
    if json {
        println!("{}", json!(rows));
    } else {
        rows.iter().for_each(|row| println!("{}", line(row)));
    }
}

/// Sends octets to a port of a phone over a link of its own; returns when the centre has them.
///
/// # Errors
/// In words: no link, or a part was refused.
pub(crate) fn send_octets(link: &Link, to: &str, ports: Ports, octets: &[u8]) -> Result<(), String> {
    let seed = crate::turns::moment().map_err(|error| error.to_string())?.entropy;
    let parts = binary::submits((&party(&link.from)?, &party(to)?), ports, seed[0], octets)?;
    let jobs = parts.into_iter().map(|part| Pdu::new(SequenceNumber(1), &Body::SubmitSm(part))).collect();
    let ended = client::run(Client::new(Settings::new(link)?, None, jobs), SEND_SECONDS)?;
    match (ended.fault, ended.refused.first()) {
        (Some(fault), _) => Err(format!("{}: {fault}", link.server)),
        (None, Some(status)) => Err(format!("{}: {to}: {status}", link.server)),
        (None, None) => Ok(()),
    }
}

impl Settings {
    fn new(link: &Link) -> Result<Self, String> {
        let password = std::env::var("MAILSYNC_SMS_PASSWORD")
            .map_err(|_| "no password: set MAILSYNC_SMS_PASSWORD".to_owned())?;
        party(&link.from)?;
        let tls = link.tls.then(|| Trust::new(link.ca.as_deref())).transpose()?;
        Ok(Settings {
            server: link.server.clone(),
            tls,
            account: link.account.clone(),
            password,
            window: 10,
            receipts: false,
            listen: None,
            limit: Duration::ZERO,
        })
    }
}
