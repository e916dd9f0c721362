//! Registration: a client asks for a user of its own, where the operator allows it.
//!
//! `POST /register` with `{"name": "...", "aliases": ["..."]}`, both optional; answered 201 with `{"user": ..., "password": ...}`.
// mission: T9

use super::origin::Origin;
use super::{Refusal, read_body};
use crate::daemon::serve::State;
use crate::daemon::users;
use crate::turns;
use axum::extract::{ConnectInfo, Extension, Request, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mailsync_proto::mail::mailbox;
use mailsync_proto::sync::store::StoreKey;
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The path of the endpoint.
pub(in crate::daemon) const PATH: &str = "/register";
/// Octets of a request.
const MOST: usize = 4 << 10;
/// Other names of one user.
const ALIASES: usize = 4;
/// The time over which registrations are counted.
const HOUR: Duration = Duration::from_secs(3_600);
/// What passwords are made of: nothing that looks like something else.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// When users were registered in the last hour.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Counted(Mutex<Vec<Instant>>);

impl Counted {
    fn take(&self, most: u32) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|at| at.elapsed() < HOUR);
        let free = taken.len() < most as usize;
        if free {
            taken.push(Instant::now());
        }
        free
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    name: Option<String>,
    aliases: Vec<String>,
}

pub(super) async fn handle(
    Shared(state): Shared<Arc<State>>,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
    request: Request,
) -> Response {
    let origin = Origin::of(&state.door, peer, request.headers());
    let peer = origin.peer;
    match answer(&state, &origin, request).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::info!(%peer, status = refusal.status.as_u16(), reason = %refusal.reason, "not registered");
            refusal.into_response()
        }
    }
}

async fn answer(state: &Arc<State>, origin: &Origin, request: Request) -> Result<Response, Refusal> {
    let refused = |status, why: &str| Err(Refusal::new(status, why.to_owned()));
    if !state.register.open {
        return refused(StatusCode::NOT_FOUND, "nobody registers here; ask the operator");
    }
    if request.method() != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "only POST");
    }
    // The password goes back over this connection.
    // threat: S4
    if !state.basic_allowed(origin) {
        return refused(StatusCode::FORBIDDEN, "not over a connection that others can read");
    }
    let (parts, body) = request.into_parts();
    let octets = read_body(&parts.headers, body, MOST).await?;
    let asked: Asked = serde_json::from_slice(&octets)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    if asked.aliases.len() > ALIASES {
        return refused(StatusCode::BAD_REQUEST, "too many other names");
    }
    if !state.registered.take(state.register.per_hour) {
        return refused(StatusCode::TOO_MANY_REQUESTS, "too many new users; try again in an hour");
    }
    let shared = Arc::clone(state);
    let done = tokio::task::spawn_blocking(move || register(&shared, asked)).await;
    let (user, password) =
        done.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    tracing::info!(peer = %origin.peer, user, "registered");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let words = json!({"user": user, "password": password}).to_string();
    Ok((StatusCode::CREATED, headers, words).into_response())
}

fn register(state: &State, asked: Asked) -> Result<(String, String), Refusal> {
    let bad = |words: String| Refusal::new(StatusCode::BAD_REQUEST, words);
    let own = |words: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words);
    let fresh = turns::moment().map_err(|error| own(error.to_string()))?.entropy;
    let mut letters = fresh.iter().filter_map(|octet| LETTERS.get(usize::from(octet % 32)).copied());
    let password: String = letters.by_ref().take(16).map(char::from).collect();
    let name = match asked.name {
        Some(name) => name,
        None => format!("u{}", letters.take(10).map(char::from).collect::<String>()),
    };
    users::check_name("user", &name).map_err(bad)?;
    // A name that looks like a phone's would be taken for one.
    if users::check_alias(&name).is_ok() {
        return Err(bad("a phone's number is no name; say it as another name".into()));
    }
    asked.aliases.iter().try_for_each(|alias| users::check_alias(alias)).map_err(bad)?;
    let address = if name.contains('@') { name.clone() } else { format!("{name}@{}", state.domain) };
    users::check_address(&address).map_err(bad)?;
    let store = StoreKey { user: name.as_str().into(), datastore: mailbox::DATASTORE.into() };
    let verifier = users::verifier(&name, &password);
    let failed = |error: mailsync_proto::sync::store::StoreError| own(error.to_string());
    if !state.store.add_user(&name, &verifier, &[address], &mailbox::provision(&store)).map_err(failed)? {
        return Err(Refusal::new(StatusCode::CONFLICT, "that name is taken".to_owned()));
    }
    for alias in &asked.aliases {
        if !state.store.add_alias(&name, alias, &users::verifier(alias, &password)).map_err(failed)? {
            state.store.remove_user(&name).map_err(failed)?;
            return Err(Refusal::new(StatusCode::CONFLICT, format!("{alias} stands for somebody else")));
        }
    }
    Ok((name, password))
}
