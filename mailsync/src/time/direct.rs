//! The door of a client for tasks of other clients: HTTP in, and the way to another's door.

use crate::bearers::calls;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use mailsync_proto::tasks::direct::{MEDIA_TYPE, MOST, PROOF};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Calls that wait to be looked at.
const WAITING: usize = 8;
/// How long a call may take, its answer included.
const CALL: Duration = Duration::from_secs(20);

/// A task that somebody brings.
pub(super) struct Call {
    pub(super) body: String,
    pub(super) proof: String,
    /// The status, and the reply.
    pub(super) answer: oneshot::Sender<(u16, String)>,
}

/// Where calls come in.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    calls: Receiver<Call>,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// In words.
    pub(super) fn open(at: SocketAddr) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{at}: {error}");
        let listener = TcpListener::bind(at).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (sender, calls) = sync_channel(WAITING);
        let answer = move |request| {
            let sender = sender.clone();
            async move { take(request, &sender).await }
        };
        std::thread::spawn(move || runtime.block_on(calls::serve(listener, CALL, answer)));
        Ok(Door { address, calls })
    }

    /// The next call, if one waits.
    pub(super) fn next(&self) -> Option<Call> {
        self.calls.try_recv().ok()
    }
}

async fn take(request: Request<Incoming>, sender: &SyncSender<Call>) -> Response<Full<Bytes>> {
    let (status, words) = match called(request, sender).await {
        Ok(answered) => answered,
        Err(status) => (status.as_u16(), String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(words)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
    response
}

async fn called(request: Request<Incoming>, sender: &SyncSender<Call>) -> Result<(u16, String), StatusCode> {
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let said = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let essence = said("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let proof = said(PROOF).ok_or(StatusCode::UNAUTHORIZED)?.to_owned();
    let body = Limited::new(request.into_body(), MOST).collect().await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    let body = String::from_utf8(body.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let (answer, answered) = oneshot::channel();
    sender.try_send(Call { body, proof, answer }).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    answered.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

/// Brings a task to another's door; its status and its reply.
///
/// # Errors
/// In words: nobody answers there.
pub(super) fn bring(to: &str, body: String, proof: &str) -> Result<(u16, String), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{to}: {error}");
    let client = reqwest::blocking::Client::builder()
        .timeout(CALL)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| failed(&error))?;
    let answer = client
        .post(to)
        .header(reqwest::header::CONTENT_TYPE, MEDIA_TYPE)
        .header(PROOF, proof)
        .body(body)
        .send()
        .map_err(|error| failed(&error))?;
    let status = answer.status().as_u16();
    let mut words = String::new();
    use std::io::Read as _;
    answer.take(MOST as u64).read_to_string(&mut words).map_err(|error| failed(&error))?;
    Ok((status, words))
}
