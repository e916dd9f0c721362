//! Gateways that are asked by HTTP: PAP at a push proxy gateway, MM7 at a multimedia message centre.

use super::config::{self, Release, login};
use super::engine::{Engine, Instruction, Sending, Sent};
use crate::mailbox::link::{AnyStream, Trust};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use mailsync_proto::mail::account::{Server, Tls};
use pushpolicy::bearer::mm7::{FromCentre, SubmitReq, Version};
use pushpolicy::bearer::multipart::Part;
use pushpolicy::bearer::pap::{Address, Answer, PushMessage};
use pushpolicy::bearer::wap::ContentType;
use pushpolicy::sent::Delivery;
use reqwest::Url;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a gateway may take.
// quirk: Kannel 1.4.5, bearers facts §3: a request that it does not like is never answered
const PATIENCE: Duration = Duration::from_secs(15);
/// Octets of an answer, at most.
const ANSWER: usize = 64 << 10;

/// Where a gateway is, and who we are there.
#[derive(Debug)]
pub(super) struct Place {
    host: String,
    port: u16,
    path: String,
    trust: Option<Trust>,
    authorization: Option<String>,
}

impl Place {
    fn new(url: &str, login: Option<(String, String)>) -> Result<Place, String> {
        let parsed = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        let trust = match parsed.scheme() {
            "https" => Some(Trust::new(None)?),
            "http" => None,
            other => return Err(format!("{url}: {other} is no way to a gateway")),
        };
        // quirk: Kannel's challenge cannot be read: who has a password says it unasked.
        let authorization =
            login.map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        Place::at(&parsed, trust, authorization)
    }

    pub(super) fn at(
        url: &Url,
        trust: Option<Trust>,
        authorization: Option<String>,
    ) -> Result<Place, String> {
        let host = url.host_str().ok_or_else(|| format!("{url}: no host"))?.to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let path = format!("{}{query}", url.path());
        Ok(Place { host, port, path, trust, authorization })
    }

    /// Posts, with these headers and no other: Kannel passes them on to the phone.
    pub(super) async fn post(
        &self,
        headers: &[(HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<(u16, Bytes), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}:{}: {error}", self.host, self.port);
        let post = async {
            let stream: AnyStream = match &self.trust {
                Some(trust) => {
                    let place = Server::parse(&format!("{}:{}", self.host, self.port), Tls::Implicit)?;
                    trust.connect(&place).await.map_err(|error| error.to_string())?
                }
                None => Box::new(
                    TcpStream::connect((self.host.as_str(), self.port))
                        .await
                        .map_err(|error| failed(&error))?,
                ),
            };
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| failed(&error))?;
            let driver = tokio::spawn(connection);
            let mut request = Request::builder()
                .method(Method::POST)
                .uri(&self.path)
                .header(HOST, format!("{}:{}", self.host, self.port));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(&error))?;
            let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = answer.status().as_u16();
            let body =
                Limited::new(answer.into_body(), ANSWER).collect().await.map_err(|error| failed(&error));
            driver.abort();
            Ok((status, body?.to_bytes()))
        };
        match tokio::time::timeout(PATIENCE, post).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(&"no answer in time")),
        }
    }
}

/// An id that was never used before.
fn unique() -> Result<String, String> {
    let moment = crate::turns::moment().map_err(|error| error.to_string())?;
    Ok(moment.entropy.iter().take(12).map(|octet| format!("{octet:02x}")).collect())
}

/// A push proxy gateway.
#[derive(Debug)]
pub(super) struct Pap {
    place: Place,
    /// Its host in addresses.
    gateway: String,
    /// Ours in ids.
    domain: String,
}

impl Pap {
    pub(super) fn new(config: &config::Pap, domain: &str) -> Result<Pap, String> {
        let place = Place::new(&config.url, login(config.user.as_ref(), config.password_file.as_ref())?)?;
        let gateway = config.host.clone().unwrap_or_else(|| place.host.clone());
        Ok(Pap { place, gateway, domain: domain.to_owned() })
    }

    async fn push(&self, push: &Instruction) -> Result<Sent, String> {
        let id = format!("{}@{}", unique()?, self.domain);
        let address = Address::Number(push.address.clone());
        let message =
            PushMessage::new(id, self.gateway.clone(), address, ContentType::DS_ALERT, push.package.to_vec());
        let post = match message.encode() {
            Ok(post) => post,
            Err(error) => return Ok(Sent::refused(error)),
        };
        let (status, body) = self.place.post(&[(CONTENT_TYPE, post.content_type)], post.body).await?;
        if !(200..300).contains(&status) {
            return Err(format!("HTTP {status}"));
        }
        Ok(match Answer::decode(&body) {
            Ok(Answer::Response { code, description, .. } | Answer::BadMessage { code, description }) => {
                Sent::new(code.delivery(), format_args!("{} {description}", code.0))
            }
            Ok(_) => Sent::new(Delivery::Unknown, "a result without a question"),
            Err(error) => Sent::new(Delivery::Unknown, error),
        })
    }
}

impl Engine for Pap {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move { self.push(push).await.unwrap_or_else(Sent::unreachable) })
    }
}

/// A multimedia message centre.
#[derive(Debug)]
pub(super) struct Mm7 {
    place: Place,
    config: config::Mm7,
}

impl Mm7 {
    pub(super) fn new(config: &config::Mm7) -> Result<Mm7, String> {
        let place = Place::new(&config.url, login(config.user.as_ref(), config.password_file.as_ref())?)?;
        Ok(Mm7 { place, config: config.clone() })
    }

    async fn push(&self, push: &Instruction) -> Result<Sent, String> {
        let own = unique()?;
        let content = Part::new(syncml::san::MIME_TYPE, push.package.to_vec());
        let mut submit = SubmitReq::new(own.clone(), push.address.clone(), content);
        submit.version = match self.config.release {
            Release::Rel5 => Version::rel5(),
            Release::Rel6 => Version::rel6(),
        };
        (submit.vasp_id, submit.vas_id) = (self.config.vasp.clone(), self.config.vas.clone());
        let post = match submit.encode() {
            Ok(post) => post,
            Err(error) => return Ok(Sent::refused(error)),
        };
        let mut headers = vec![(CONTENT_TYPE, post.content_type)];
        headers.extend(post.soap_action.map(|action| (HeaderName::from_static("soapaction"), action)));
        let (status, body) = self.place.post(&headers, post.body).await?;
        if matches!(status, 401 | 403) {
            return Ok(Sent::refused(format_args!("HTTP {status}: check the login")));
        }
        Ok(match FromCentre::decode(&body) {
            Ok(FromCentre::Response { transaction, status, text, .. }) if transaction == own => {
                Sent::new(status.delivery(), format_args!("{} {text}", status.0))
            }
            Ok(_) => Sent::new(Delivery::Unknown, "an answer to something else"),
            Err(error) => Sent::new(Delivery::Unknown, format_args!("HTTP {status}: {error}")),
        })
    }
}

impl Engine for Mm7 {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move { self.push(push).await.unwrap_or_else(Sent::unreachable) })
    }
}
