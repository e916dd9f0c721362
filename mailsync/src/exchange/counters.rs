//! What was done so far, in numbers, and where they can be read.

use super::Exchange;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

macro_rules! counters {
    ($($name:ident $doc:literal,)*) => {
        /// Counts since the start.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(#[doc = $doc] pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $doc, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    mails_converted "Mails that became short messages",
    mails_passed "Mails passed on unchanged",
    mails_refused "Mails refused",
    sms_received "Short messages taken from peers",
    sms_refused "Short messages refused to peers",
    sms_to_mail "Short messages that became mail",
    sms_passed "Short messages passed on unchanged",
    parts_sent "Parts handed to peers",
    parts_taken "Parts that peers took",
    parts_refused "Parts that peers refused for good",
    throttled "Answers that asked us to slow down",
    in_doubt "Parts handed over and not answered",
    receipts "Receipts read",
    receipts_unknown "Receipts about nothing that we know",
    reports "Delivery reports written",
    binds "Links bound",
    binds_refused "Binds refused",
    malformed "PDUs that could not be read",
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts some more.
pub(super) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .all()
            .iter()
            .filter(|(_, _, value)| *value > 0)
            .map(|(name, _, value)| format!("{name}={value}"))
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// `GET /metrics` in the text form that Prometheus reads: counters and queues.
pub(super) async fn serve(exchange: Arc<Exchange>, listener: TcpListener) {
    let page = move || {
        let exchange = Arc::clone(&exchange);
        async move {
            let mut out = String::new();
            for (name, help, value) in exchange.counters.all() {
                out.push_str(&format!(
                    "# HELP mailsync_sms_{name} {help}\n# TYPE mailsync_sms_{name} counter\nmailsync_sms_{name} {value}\n"
                ));
            }
            let shared = Arc::clone(&exchange);
            let depths =
                tokio::task::spawn_blocking(move || shared.store.sms_read(|tables| tables.depths())).await;
            for depth in depths.ok().and_then(Result::ok).unwrap_or_default() {
                let link = depth.link;
                for (state, value) in [
                    ("waiting", depth.waiting),
                    ("sent", depth.sent),
                    ("taken", depth.taken),
                    ("in_doubt", depth.in_doubt),
                ] {
                    out.push_str(&format!("mailsync_sms_queue{{link={link:?},state={state:?}}} {value}\n"));
                }
            }
            out
        }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(page));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(hyper_util::rt::TokioTimer::new())
            .header_read_timeout(std::time::Duration::from_secs(10))
            .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Who reads counters and breaks off has lost nothing.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(30), connection).await;
        });
    }
}
