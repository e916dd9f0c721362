//! The device management endpoint: SyncML DM sessions that terminals begin.

use super::origin::Origin;
use super::{BODY_GRACE, PATIENCE, Refusal, STRANGER_BYTES, read_body, token};
use crate::daemon::serve::State;
use crate::time::manage::{ManageError, Request as Message};
use axum::extract::{ConnectInfo, Extension, Request, State as Shared};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mailsync_proto::dm::server::{Event, TurnError};
use mailsync_proto::sync::store::StoreError;
use std::net::SocketAddr;
use std::sync::Arc;
use syncml::Encoding;
use tokio::time::timeout;

/// The path of the endpoint.
pub(in crate::daemon) const PATH: &str = "/dm";

pub(super) async fn handle(
    Shared(state): Shared<Arc<State>>,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // spec: threats H1
    let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
    let origin = Origin::of(&state.door, peer, &parts.headers);
    let peer = origin.peer;
    let mut response = match answer(&state, &origin, &parts, body).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(%peer, status = refusal.status.as_u16(), reason = %refusal.reason, "dm: refused");
            refusal.into_response()
        }
    };
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(
    state: &Arc<State>,
    origin: &Origin,
    parts: &axum::http::request::Parts,
    body: axum::body::Body,
) -> Result<Response, Refusal> {
    match parts.method {
        Method::POST => {}
        Method::GET | Method::HEAD => {
            return Ok(
                "mailsyncd: this is a SyncML DM endpoint. Point a management client here.\n".into_response()
            );
        }
        _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only POST")),
    }
    if parts.headers.contains_key(header::TRANSFER_ENCODING)
        && parts.headers.contains_key(header::CONTENT_LENGTH)
    {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "both Content-Length and Transfer-Encoding"));
    }
    let (encoding, said) = content(parts.headers.get(header::CONTENT_TYPE))?;
    let token = parts.uri.query().and_then(token);
    let limit = match token {
        Some(_) => state.manager.largest_message(),
        None => state.manager.largest_message().min(STRANGER_BYTES),
    };
    let octets = read_body(&parts.headers, body, limit).await?;
    let url = origin.url(PATH);
    let permit = timeout(PATIENCE.min(BODY_GRACE), Arc::clone(&state.turns).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too busy"));
    };
    let (shared, token, basic_allowed) =
        (Arc::clone(state), token.map(str::to_owned), state.basic_allowed(origin));
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let message = Message { encoding, body: &octets, token: token.as_deref(), url: &url, basic_allowed };
        shared.manager.answer(&shared.store, &shared.time, &message)
    });
    let (message, events) = match done.await {
        Ok(done) => done?,
        Err(error) => {
            tracing::error!(%error, "dm: turn died");
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
        }
    };
    let peer = origin.peer;
    for event in &events {
        match event {
            Event::LoginRefused(407) => tracing::debug!(%peer, ?event, "dm"),
            Event::LoginRefused(_) => tracing::warn!(%peer, ?event, "dm"),
            _ => tracing::info!(%peer, ?event, "dm"),
        }
    }
    let headers = [(header::CONTENT_TYPE, said), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, message).into_response())
}

/// The spelling of the body, and the type that the answer has.
fn content(value: Option<&HeaderValue>) -> Result<(Encoding, &'static str), Refusal> {
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    let known = [Encoding::Wbxml, Encoding::Xml].into_iter().find(|encoding| {
        essence.eq_ignore_ascii_case(encoding.dm_mime_type())
            || essence.eq_ignore_ascii_case(encoding.mime_type())
    });
    let types = [Encoding::Wbxml, Encoding::Xml].map(Encoding::dm_mime_type).join(" or ");
    let encoding = known.ok_or_else(|| {
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Content-Type {value:?}; send {types}"))
    })?;
    Ok((encoding, encoding.dm_mime_type()))
}

impl From<ManageError> for Refusal {
    fn from(error: ManageError) -> Self {
        let status = match &error {
            ManageError::Decode(error) => return Refusal::from(error),
            ManageError::Turn(TurnError::UnknownSession) => StatusCode::NOT_FOUND,
            ManageError::Turn(_) => StatusCode::BAD_REQUEST,
            // spec: threats D1
            ManageError::Store(StoreError::Full(_) | StoreError::Failed(_) | StoreError::Stale(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(%error, "dm: no answer");
        }
        Refusal::new(status, error.to_string())
    }
}
