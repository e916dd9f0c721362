//! The SyncML endpoint.

mod dm;
mod origin;
mod register;

pub(super) use origin::{Door, Origin};
pub(super) use register::Counted;

use super::serve::State;
use super::session_log;
use crate::push::channel;
use crate::record::Exchange;
use crate::turns::{self, Failure};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use mailsync_proto::sync::event::Event;
use mailsync_proto::sync::server::{Inbound, Route, TurnError};
use mailsync_proto::sync::store::StoreError;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use syncml::session::Load;
use syncml::{DecodeError, DecodeErrorKind, Encoding};
use tokio::time::{Instant, timeout, timeout_at};

/// The path of the endpoint.
pub(super) const PATH: &str = "/syncml";
/// Where a proxy asks whether we are well.
const HEALTH: &str = "/healthz";

// spec: threats, default limits
/// Octets of a message that names no session.
const STRANGER_BYTES: usize = 128 << 10;
/// How long a body may take, whatever its size.
const BODY_GRACE: Duration = Duration::from_secs(30);
/// Octets a second that it must come with after that: slow radio is honest.
const BODY_RATE: f64 = 256.0;
/// How long a message waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// When to try again, seconds.
const RETRY_AFTER: &str = "30";

/// The routes of the HTTP listener; once more below the path that the world sees, if a proxy leaves that there.
pub(super) fn router(state: Arc<State>) -> Router {
    let prefix = state.door.public_prefix().map(str::to_owned);
    let routes = Router::new()
        .route(PATH, any(handle))
        .route(dm::PATH, any(dm::handle))
        .route(register::PATH, any(register::handle))
        .route(HEALTH, get(health))
        .route(channel::PATH, get(channel::handle))
        .with_state(state);
    match prefix {
        Some(prefix) => routes.clone().nest(&prefix, routes),
        None => routes,
    }
}

/// Whether messages can be answered: for what stands before us.
async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    let read = tokio::task::spawn_blocking(move || state.store.is_well());
    match read.await {
        Ok(Ok(())) => "ok\n".into_response(),
        _ => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read").into_response(),
    }
}

async fn handle(
    Shared(state): Shared<Arc<State>>,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // spec: threats H1: a chunked request is the last on its connection, so that nothing hides behind its end
    let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
    let origin = Origin::of(&state.door, peer, &parts.headers);
    let peer = origin.peer;
    let asked = Asked { origin, headers: &parts.headers, query: parts.uri.query() };
    let mut response = match answer(&state, &parts.method, asked, body).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(%peer, status = refusal.status.as_u16(), reason = %refusal.reason, "refused");
            refusal.into_response()
        }
    };
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request without its body.
struct Asked<'a> {
    origin: Origin,
    headers: &'a HeaderMap,
    query: Option<&'a str>,
}

async fn answer(
    state: &Arc<State>,
    method: &Method,
    asked: Asked<'_>,
    body: Body,
) -> Result<Response, Refusal> {
    match *method {
        Method::POST => {}
        Method::GET | Method::HEAD => {
            return Ok(
                "mailsyncd: this is a SyncML endpoint (OMA DS). Point a sync client here.\n".into_response()
            );
        }
        _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST")),
    }
    let encoding = content(asked.headers)?;
    let token = asked.query.and_then(token);
    let limit = match token {
        Some(_) => state.engine.limits.message_bytes,
        None => state.engine.limits.message_bytes.min(STRANGER_BYTES),
    };
    let octets = read_body(asked.headers, body, limit).await?;
    let url = asked.origin.url(PATH);
    let basic_allowed = state.basic_allowed(&asked.origin);
    let mac = asked.headers.get(syncml::session::mac::HEADER).and_then(|value| value.to_str().ok());
    let mac = mac.map(Into::into);
    let entered = state.gauge.enter(token.is_none());
    let message = Incoming {
        encoding,
        octets,
        token: token.map(Into::into),
        url,
        basic_allowed,
        mac,
        load: entered.load(),
    };
    let permit = timeout(PATIENCE, Arc::clone(&state.turns).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too busy"));
    };
    let (peer, load) = (asked.origin.peer, message.load);
    let shared = Arc::clone(state);
    let done = tokio::task::spawn_blocking(move || {
        let (_permit, _entered) = (permit, entered);
        message.turn(&shared, peer)
    });
    let Answered { message, mac, delay } = match done.await {
        Ok(done) => done?,
        Err(error) => {
            tracing::error!(%error, "turn died");
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
        }
    };
    tokio::time::sleep(delay).await;
    let headers = [(header::CONTENT_TYPE, encoding.mime_type()), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, message).into_response();
    if let Some(mac) = mac.and_then(|mac| HeaderValue::from_str(&mac).ok()) {
        response.headers_mut().insert(syncml::session::mac::HEADER, mac);
    }
    // spec: threats H1, session facts section 8
    if load.overloaded || load.busy {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    Ok(response)
}

/// A message whose sender logs in by another name, as the user's.
// mission: T9
fn alias(state: &State, inbound: Inbound) -> Inbound {
    let Some(name) = inbound.login_name() else { return inbound };
    match state.store.alias(&name) {
        Ok(Some(alias)) => inbound.known_as(&alias.user, &alias.verifier),
        Ok(None) => inbound,
        Err(error) => {
            tracing::error!(%error, "aliases cannot be read");
            inbound
        }
    }
}

/// What leaves.
struct Answered {
    message: Bytes,
    /// The transport's header that proves it.
    mac: Option<String>,
    /// How long it waits.
    delay: Duration,
}

/// A message with what the engine must know of its way here.
struct Incoming {
    encoding: Encoding,
    octets: Bytes,
    token: Option<Box<str>>,
    url: String,
    basic_allowed: bool,
    /// The transport's header that proves the message.
    mac: Option<Box<str>>,
    /// How much there was to do when it came.
    load: Load,
}

impl Incoming {
    /// Its answer, and how long that must wait.
    fn turn(&self, state: &State, peer: IpAddr) -> Result<Answered, Refusal> {
        let started = std::time::Instant::now();
        let decoded = Inbound::decode(&state.engine, self.encoding, &self.octets)
            .map(|inbound| inbound.with_mac(self.mac.as_deref()).with_load(self.load))
            .map(|inbound| alias(state, inbound));
        let lent = RefCell::default();
        let answer = decoded.as_ref().map_err(Refusal::from).and_then(|inbound| {
            let route =
                Route { token: self.token.as_deref(), url: &self.url, basic_allowed: self.basic_allowed };
            turns::serve(
                &state.store,
                &|who, question| state.mailboxes.answer(who, question, &lent),
                &state.engine,
                &route,
                inbound,
            )
            .map_err(Refusal::from)
        });
        if let Some(recorder) = &state.recorder {
            let new = answer.as_ref().ok().and_then(|answer| answer.token.as_deref());
            let (status, said) = match &answer {
                Ok(answer) => (StatusCode::OK, &*answer.message),
                Err(refusal) => (refusal.status, refusal.reason.as_bytes()),
            };
            recorder.exchange(&Exchange {
                encoding: self.encoding,
                path: PATH,
                message: decoded.as_ref().ok().map(Inbound::message),
                request: &self.octets,
                status: status.as_u16(),
                answer: said,
                tokens: &[self.token.as_deref(), new],
            });
        }
        let length = match &answer {
            Ok(answer) => answer.message.len(),
            Err(_) => 0,
        };
        let status = answer.as_ref().map_or_else(|refusal| refusal.status, |_| StatusCode::OK);
        let exchange = session_log::Exchange {
            peer,
            encoding: self.encoding,
            request: decoded.as_ref().ok().map(Inbound::message),
            octets: self.octets.len(),
            status: status.as_u16(),
            answer: answer.as_ref().ok().map(|answer| &answer.message),
            took: started.elapsed(),
        };
        exchange.log(length);
        let lent = lent.into_inner();
        let answer = answer.inspect_err(|_| state.mailboxes.forget(&lent))?;
        state.mailboxes.settle(&lent);
        if state.mailboxes.minds(&lent)
            && let (Some(token), Some(value)) = (&answer.token, &answer.value)
        {
            state.mailboxes.heard(token, value, &lent, &state.work);
        }
        if answer.enqueued {
            state.work.notify_one();
        }
        state.mailboxes.stir();
        for event in &answer.events {
            log(peer, event);
        }
        let delay = state.delays.after(&answer.events);
        Ok(Answered { message: answer.message, mac: answer.mac, delay })
    }
}

fn log(peer: IpAddr, event: &Event) {
    match event {
        Event::LoggedIn { user, device } => tracing::info!(%peer, ?user, ?device, "login"),
        Event::LoginRefused { user, device, code: 407 } => {
            tracing::debug!(%peer, ?user, ?device, "challenged");
        }
        Event::LoginRefused { user, device, code } => {
            tracing::warn!(%peer, ?user, ?device, code, "login refused");
        }
        Event::Alerted { store, mode, why_slow } => {
            let why = why_slow.map(|why| why.text());
            tracing::info!(%peer, ?store, ?mode, why, "sync begins");
        }
        Event::Completed { store, mode, received, sent } => {
            tracing::info!(%peer, ?store, ?mode, ?received, ?sent, "sync done");
        }
        Event::StoreRefused { .. }
        | Event::Refused { .. }
        | Event::Skipped { .. }
        | Event::Conflict { .. }
        | Event::Oddity(_) => tracing::info!(%peer, ?event),
        _ => tracing::debug!(%peer, ?event),
    }
}

/// The spelling of the body.
fn content(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let unsupported = |reason: String| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
    let both =
        headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH);
    if both {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "both Content-Length and Transfer-Encoding"));
    }
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(unsupported("compressed bodies are not taken".into()));
    }
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Encoding::from_mime_type(value).ok_or_else(|| {
        let types = [Encoding::Wbxml, Encoding::Xml].map(Encoding::mime_type).join(" or ");
        unsupported(format!("Content-Type {value:?}; send {types}"))
    })
}

/// The session's token in a query: `s=TOKEN`.
fn token(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("s=")).filter(|token| !token.is_empty())
}

async fn read_body(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = |size: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("body of {size} octets, limit {limit}"))
    };
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length.filter(|length| *length > limit as u64) {
        return Err(too_large(&length));
    }
    let start = Instant::now();
    let mut octets = BytesMut::new();
    loop {
        let deadline = start + BODY_GRACE + Duration::from_secs_f64(octets.len() as f64 / BODY_RATE);
        let frame = timeout_at(deadline, body.frame()).await;
        let frame = frame.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "body comes too slowly"))?;
        let Some(frame) = frame else { return Ok(octets.freeze()) };
        let frame = frame.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if octets.len() + data.len() > limit {
            return Err(too_large(&"more"));
        }
        octets.extend_from_slice(&data);
    }
}

/// A request that gets no SyncML answer.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Refusal { status, reason: reason.into() }
    }
}

impl From<&DecodeError> for Refusal {
    fn from(error: &DecodeError) -> Self {
        let status = match error.kind {
            DecodeErrorKind::Limit { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, error.to_string())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = match &failure {
            Failure::Turn(TurnError::UnknownSession) => StatusCode::NOT_FOUND,
            Failure::Turn(_) => StatusCode::BAD_REQUEST,
            // spec: threats D1
            Failure::Store(StoreError::Full(_) | StoreError::Failed(_) | StoreError::Stale(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(%failure, "no answer");
        }
        Refusal::new(status, failure.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // Our own trouble is for the log, not for the peer.
        let text = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => "try again later".into(),
            StatusCode::INTERNAL_SERVER_ERROR => "internal error".into(),
            _ => self.reason,
        };
        let mut response = (self.status, format!("{text}\n")).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            // Part of the body may still be on its way.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
