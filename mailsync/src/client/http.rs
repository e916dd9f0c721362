//! Messages over HTTP: one POST each, sent again when the answer does not come.

use bytes::Bytes;
use mailsync_proto::sync::client::NextHop;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use syncml::Encoding;

/// How long to wait before each further try. The same message again is safe: the server knows it.
const WAITS: [Duration; 4] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

/// Further tries while nobody was ever reached: a user who mistyped an address hears of it soon.
const TRIES_UNREACHED: usize = 1;

/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A server that is talked to.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    /// Octets of the largest answer.
    limit: usize,
    /// The server was there.
    reached: Cell<bool>,
    /// The media type of a message in a spelling.
    mime: fn(Encoding) -> &'static str,
    /// What came with the last answer: its proof, and how long to wait before the next message.
    mac: RefCell<Option<String>>,
    wait: Cell<Option<Duration>>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be set up.
    #[error("{0}")]
    Setup(String),
    /// Nobody answers.
    #[error(
        "{url}: no answer after {tries} tries: {reason}; is the server running, and is this its address?"
    )]
    NoAnswer {
        /// Where.
        url: String,
        /// How often.
        tries: usize,
        /// The last reason.
        reason: String,
    },
    /// An answer that is no SyncML message.
    #[error("{url}: HTTP {status}{}", hint(*.status, .body))]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// The first line of the answer.
        body: String,
    },
    /// An answer of another type.
    #[error("{url}: the answer is {found:?}, not {expected}; is this the SyncML address of the server?")]
    Type {
        /// Where.
        url: String,
        /// What came.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// An answer that cannot be read.
    #[error("{url}: {reason}")]
    Answer {
        /// Where.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that is too large.
    #[error("{url}: the answer has more than {limit} octets")]
    TooLarge {
        /// Where.
        url: String,
        /// The limit.
        limit: usize,
    },
}

fn hint(status: u16, body: &str) -> String {
    let body = if body.is_empty() { String::new() } else { format!(": {body}") };
    match status {
        404 | 405 => format!("{body}; is this the SyncML address of the server?"),
        _ => body,
    }
}

impl Http {
    /// A client; `ca`: a file of certificates to trust besides the system's.
    pub(crate) fn new(ca: Option<&Path>, limit: usize) -> Result<Self, HttpError> {
        let setup = |error: &dyn std::fmt::Display| HttpError::Setup(error.to_string());
        let mut builder = Client::builder()
            .user_agent(concat!("mailsync/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            .timeout(Duration::from_secs(300))
            // spec: threats S2: only RespURI moves a session, and only to the same server
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = ca {
            let named =
                |error: &dyn std::fmt::Display| HttpError::Setup(format!("{}: {error}", path.display()));
            let pem = std::fs::read(path).map_err(|error| named(&error))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| named(&error))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| setup(&error))?;
        Ok(Http {
            client,
            limit,
            reached: Cell::new(false),
            mime: Encoding::mime_type,
            mac: RefCell::default(),
            wait: Cell::default(),
        })
    }

    /// The same for messages of another media type.
    pub(crate) fn speaking(self, mime: fn(Encoding) -> &'static str) -> Self {
        Http { mime, ..self }
    }

    /// The transport's header that proves the last answer.
    pub(crate) fn mac(&self) -> Option<String> {
        self.mac.take()
    }

    /// How long the server asked to wait with its last answer.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait.take().map(|wait| wait.min(LONGEST_WAIT))
    }

    /// Sends a message until an answer comes.
    pub(crate) fn post(&self, hop: &NextHop, message: &Bytes) -> Result<Bytes, HttpError> {
        let mut waits = WAITS.iter();
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(hop, message) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again(reason, asked)) => {
                    let wait = waits.next().filter(|_| self.reached.get() || tries <= TRIES_UNREACHED);
                    let Some(wait) = wait else {
                        return Err(HttpError::NoAnswer { url: shown(&hop.url), tries, reason });
                    };
                    std::thread::sleep(asked.unwrap_or(*wait).min(LONGEST_WAIT));
                }
            }
        }
    }

    fn once(&self, hop: &NextHop, message: &Bytes) -> Result<Bytes, Trouble> {
        let mut request = self
            .client
            .post(&hop.url)
            .header(CONTENT_TYPE, (self.mime)(hop.encoding))
            .header(ACCEPT, (self.mime)(hop.encoding))
            .header(CACHE_CONTROL, "no-store");
        if let Some(mac) = &hop.mac {
            request = request.header(syncml::session::mac::HEADER, mac);
        }
        let response = request.body(message.clone()).send().map_err(|error| {
            if error.is_builder() {
                let said = format!("{}: {}", shown(&hop.url), reason(&error));
                return Trouble::Final(HttpError::Setup(said));
            }
            // A connection that breaks was one; a name or an address that leads nowhere was none.
            if !error.is_connect() {
                self.reached.set(true);
            }
            Trouble::Again(reason(&error), None)
        })?;
        self.reached.set(true);
        self.read(hop, response)
    }

    fn read(&self, hop: &NextHop, response: Response) -> Result<Bytes, Trouble> {
        let url = || shown(&hop.url);
        let status = response.status();
        let retry = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mac = response.headers().get(syncml::session::mac::HEADER);
        *self.mac.borrow_mut() = mac.and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.wait.set(retry);
        let mut body = Vec::new();
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX).saturating_add(1);
        response
            .take(limit)
            .read_to_end(&mut body)
            .map_err(|error| Trouble::Again(error.to_string(), None))?;
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        ) {
            return Err(Trouble::Again(format!("HTTP {status}"), retry));
        }
        if status != StatusCode::OK {
            let line = String::from_utf8_lossy(&body).lines().next().unwrap_or_default().to_owned();
            let body: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(Trouble::Final(HttpError::Status { url: url(), status: status.as_u16(), body }));
        }
        if body.len() > self.limit {
            return Err(Trouble::Final(HttpError::TooLarge { url: url(), limit: self.limit }));
        }
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case((self.mime)(hop.encoding)) {
            let found: String = media_type.chars().filter(|c| !c.is_control()).take(80).collect();
            let expected = (self.mime)(hop.encoding);
            return Err(Trouble::Final(HttpError::Type { url: url(), found, expected }));
        }
        Ok(body.into())
    }
}

enum Trouble {
    /// Worth another try, after as long as the server asks for.
    Again(String, Option<Duration>),
    Final(HttpError),
}

/// A URL without its session token.
fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// The innermost reason, in the system's words.
fn reason(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
