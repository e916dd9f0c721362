//! Mail out through the submission server of an account.
//!
//! What was handed over and never answered is in doubt: that is written down before the first octet of the message
//! goes, so a process that dies leaves the mark. It is sent again once, under the same Message-ID; what stays
//! unanswered then is reported as unknown. All else is sent once.
// mission: M1; threats: S12

use crate::mailbox::Error;
use crate::mailbox::imap::Credentials;
use crate::mailbox::link::{AnyStream, Trust};
use bytes::Bytes;
use mailsync_proto::mail::account::{Server, Tls};
use smsbridge::smtp::client::{self, Auth, Capabilities, Event, Failure, Outcome, Session, Submission};
use smsbridge::smtp::drive::{Clock, Delivered, End, deliver};
use smsbridge::smtp::{BodyType, ForwardPath, MailFrom, Recipient, ReversePath};

/// A link to a submission server that is logged in.
pub struct Link {
    stream: AnyStream,
    session: Session,
    clock: Clock,
    /// What the server can do.
    pub capabilities: Capabilities,
}

/// What a message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A verdict for each recipient.
    Verdicts(Outcome),
    /// It cannot go to this server at all, in words.
    Impossible(String),
}

impl Link {
    /// Connects, encrypts and logs in; `burl`: to send a message by its URL, where the server does that.
    pub async fn open(
        trust: &Trust,
        place: &Server,
        login: &Credentials,
        hostname: &str,
        burl: bool,
    ) -> Result<Link, Error> {
        let stream = trust.connect(place).await?;
        let clock = Clock::start();
        let mut config = client::Config::new(hostname);
        config.tls = match place.tls {
            Tls::Implicit => client::Tls::Implicit,
            Tls::Starttls => client::Tls::Required,
            Tls::None => client::Tls::Never,
        };
        // Not encrypted means loopback: anything else was refused when connecting.
        config.auth_in_clear = place.tls == Tls::None;
        config.auth = Some(match login {
            Credentials::Password(user, password) => {
                Auth::Password { user: user.clone(), password: password.clone() }
            }
            Credentials::Token(user, token) => Auth::Token { user: user.clone(), token: token.clone() },
        });
        config.burl = burl;
        let mut session = Session::new(config, clock.now());
        let mut stream = Some(stream);
        while let Some(link) = stream.take() {
            match deliver(link, &mut session, clock).await {
                Ok(Delivered::Event(stream, Event::Ready(capabilities))) => {
                    return Ok(Link { stream, session, clock, capabilities });
                }
                Ok(Delivered::Event(_, Event::Failed(failure))) => return Err(why(failure)),
                Ok(Delivered::Event(link, _)) => stream = Some(link),
                Ok(Delivered::End(End::StartTls(link))) => {
                    stream = Some(trust.encrypt(place, link).await?);
                    session.tls_started(clock.now()).map_err(|error| Error::Link(error.to_string()))?;
                }
                Ok(Delivered::End(End::Closed)) => break,
                Err(error) => return Err(Error::Link(error.to_string())),
            }
        }
        Err(Error::Link("the submission server closed the link".into()))
    }

    /// Sends a message, by `url` if the server fetches it there, else by its octets; the link ends with it.
    pub async fn send(mut self, from: &str, to: &[Box<str>], message: &Bytes, url: Option<String>) -> Sent {
        let mut submission = match submission(from, to, message, &self.capabilities) {
            Ok(submission) => submission,
            Err(words) => return Sent::Impossible(words),
        };
        submission.url = url;
        if let Err(error) = self.session.send(self.clock.now(), submission) {
            self.quit().await;
            return Sent::Impossible(error.to_string());
        }
        let mut stream = Some(self.stream);
        while let Some(link) = stream.take() {
            match deliver(link, &mut self.session, self.clock).await {
                Ok(Delivered::Event(stream, Event::Sent(outcome))) => {
                    Link { stream, ..self }.quit().await;
                    return Sent::Verdicts(outcome);
                }
                Ok(Delivered::Event(link, _)) => stream = Some(link),
                _ => break,
            }
        }
        // The session says what became of a message before it ends; this is not reached.
        Sent::Impossible("the session ended without a verdict".into())
    }

    /// Ends the session politely.
    pub async fn quit(mut self) {
        if self.session.quit(self.clock.now()).is_ok() {
            let end = deliver(self.stream, &mut self.session, self.clock);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), end).await;
        }
    }
}

fn submission(
    from: &str,
    to: &[Box<str>],
    message: &Bytes,
    server: &Capabilities,
) -> Result<Submission, String> {
    let from = if from.is_empty() {
        ReversePath::Null
    } else {
        ReversePath::Mailbox(from.parse().map_err(|error| format!("{from}: {error}"))?)
    };
    let mut mail_from = MailFrom::new(from);
    if server.size {
        mail_from.size = Some(message.len() as u64);
    }
    if message.iter().any(|octet| *octet >= 128) && server.eight_bit_mime {
        mail_from.body = BodyType::EightBitMime;
    }
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(message.len());
    let header_is_utf8 = message.get(..end).is_some_and(|header| !header.is_ascii());
    mail_from.smtputf8 = server.smtputf8 && (header_is_utf8 || to.iter().any(|to| !to.is_ascii()));
    let mut recipients = Vec::new();
    for to in to {
        let mailbox = to.parse().map_err(|error| format!("{to}: {error}"))?;
        recipients.push(Recipient::new(ForwardPath::Mailbox(mailbox)));
    }
    Ok(Submission::new(mail_from, recipients, message.clone()))
}

fn why(failure: Failure) -> Error {
    match failure {
        Failure::Refused { step: "AUTH", reply } => Error::Login(reply.to_string()),
        Failure::NotOffered("STARTTLS") => Error::Unsafe("the submission server offers no STARTTLS".into()),
        other => Error::Link(other.to_string()),
    }
}
