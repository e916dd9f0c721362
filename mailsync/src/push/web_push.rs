//! Web Push: a message to a push service, for one subscription of one terminal (RFC 8030), signed by us (RFC 8292).
// spec: bearers §6

use super::config;
use super::engine::{Engine, Instruction, Sending, Sent};
use super::gateway::Place;
use crate::bearers::web_push::{Subscription, kept, new_secret, read_secret};
use crate::mailbox::link::Trust;
use crate::turns::unix_now;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderName};
use pushpolicy::sent::Delivery;
use reqwest::Url;
use serde_json::json;
use web_push_native::p256::ecdsa::signature::Signer as _;
use web_push_native::p256::ecdsa::{Signature, SigningKey};

/// Seconds for which a service keeps a message for a terminal that is off. [our choice]
const TTL: u64 = 86_400;
/// Seconds for which a signature is good; at most a day (RFC 8292 §2).
const SIGNED: u64 = 12 * 3_600;

/// Push services.
#[derive(Debug)]
pub(super) struct WebPush {
    services: Vec<String>,
    subject: String,
    key: SigningKey,
    trust: Trust,
}

impl WebPush {
    pub(super) fn new(config: &config::WebPush) -> Result<WebPush, String> {
        let services = config.services.iter().map(|service| {
            let url = service.parse::<Url>().map_err(|error| format!("web.services: {service}: {error}"))?;
            Ok(url.origin().ascii_serialization())
        });
        let path = &config.key_file;
        let key = kept(path, new_secret)?;
        let key = read_secret(&key).ok_or_else(|| format!("{}: no key of P-256", path.display()))?;
        let engine = WebPush {
            services: services.collect::<Result<_, String>>()?,
            subject: config.subject.clone(),
            key: key.into(),
            trust: Trust::new(None)?,
        };
        tracing::info!(key = engine.public(), "web push: what terminals subscribe with");
        Ok(engine)
    }

    /// `applicationServerKey` of subscriptions.
    fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().to_encoded_point(false))
    }

    /// Who we are, for one service.
    fn authorization(&self, endpoint: &Url) -> String {
        let head = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "ES256"}).to_string());
        let claims = json!({
            "aud": endpoint.origin().ascii_serialization(), "exp": unix_now().saturating_add(SIGNED), "sub": self.subject,
        });
        let said = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature: Signature = self.key.sign(said.as_bytes());
        format!("vapid t={said}.{}, k={}", URL_SAFE_NO_PAD.encode(signature.to_bytes()), self.public())
    }

    async fn push(&self, push: &Instruction) -> Result<Sent, String> {
        let to: Subscription = match push.address.parse() {
            Ok(to) => to,
            Err(words) => return Ok(Sent::refused(words)),
        };
        let body = match to.encrypt(&push.package) {
            Ok(body) => body,
            Err(words) => return Ok(Sent::refused(words)),
        };
        let trust = (to.endpoint.scheme() == "https").then(|| self.trust.clone());
        let place = Place::at(&to.endpoint, trust, None)?;
        let mut headers = vec![
            (HeaderName::from_static("ttl"), TTL.to_string()),
            (CONTENT_ENCODING, "aes128gcm".to_owned()),
            (AUTHORIZATION, self.authorization(&to.endpoint)),
        ];
        let urgency = if push.hint.is_some() { "low" } else { "high" };
        headers.push((HeaderName::from_static("urgency"), urgency.to_owned()));
        if push.hint.is_none() {
            // One that asks for a sync does for all before it.
            headers.push((HeaderName::from_static("topic"), "mailsync".to_owned()));
        }
        let (status, _) = place.post(&headers, body).await?;
        let outcome = match status {
            200..=299 => Delivery::Accepted,
            404 | 410 => Delivery::Gone,
            429 | 500..=599 => Delivery::Unreachable,
            _ => Delivery::Refused,
        };
        Ok(Sent::new(outcome, format_args!("HTTP {status}")))
    }
}

impl Engine for WebPush {
    fn send<'a>(&'a self, push: &'a Instruction) -> Sending<'a> {
        Box::pin(async move { self.push(push).await.unwrap_or_else(Sent::unreachable) })
    }

    /// A terminal names the URL, the operator the services: we post to no other.
    // threat: N1
    fn reaches(&self, address: &str) -> bool {
        let to = address.parse::<Subscription>();
        to.is_ok_and(|to| self.services.contains(&to.endpoint.origin().ascii_serialization()))
    }
}
