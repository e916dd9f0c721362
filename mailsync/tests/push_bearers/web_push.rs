//! Web Push through a push service that checks what it takes, and passes it on unread.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use web_push_native::p256::ecdsa::signature::Verifier as _;
use web_push_native::p256::ecdsa::{Signature, VerifyingKey};

type Headers = HashMap<String, String>;

/// A push service on loopback.
struct Service {
    origin: String,
    phone: Arc<Mutex<String>>,
    /// The headers of what was taken.
    seen: Arc<Mutex<Vec<Headers>>>,
}

impl Service {
    /// Answers with these statuses first, then with 201.
    fn start(statuses: Vec<u16>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (phone, seen): (Arc<Mutex<String>>, Arc<Mutex<Vec<Headers>>>) = Default::default();
        let (to, told) = (Arc::clone(&phone), Arc::clone(&seen));
        let mut statuses = statuses.into_iter();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (head, body) = read_post(&mut stream);
                assert!(head.starts_with("POST /s/phone?x=1 HTTP/1.1\r\n"), "{head}");
                let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
                let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
                told.lock().unwrap().push(headers.collect());
                let status = statuses.next().unwrap_or(201);
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                if status == 201 {
                    pass_on(&to.lock().unwrap(), &body);
                }
            }
        });
        Service { origin, phone, seen }
    }

    fn endpoint(&self) -> String {
        format!("{}/s/phone?x=1", self.origin)
    }

    fn config(&self, dir: &std::path::Path) -> String {
        format!(
            "[push.web]\nservices = [\"{}\"]\nsubject = \"mailto:postmaster@lab.test\"\nkey_file = \"{}\"\n",
            self.origin,
            dir.join("web-push.key").display()
        )
    }
}

fn pass_on(phone: &str, body: &[u8]) {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: p\r\nContent-Encoding: aes128gcm\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut phone = TcpStream::connect(phone).unwrap();
    phone.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let _ = phone.read(&mut [0; 512]);
}

/// What RFC 8292 has a service check.
fn check_signature(authorization: &str, origin: &str) {
    let (token, key) = authorization.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
    let (said, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = VerifyingKey::from_sec1_bytes(&decode(key)).unwrap();
    key.verify(said.as_bytes(), &Signature::from_slice(&decode(signature)).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&decode(said.split_once('.').unwrap().1)).unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(origin), &json!("mailto:postmaster@lab.test")));
    let left = claims["exp"].as_u64().unwrap() - millis() / 1_000;
    assert!((1..=86_400).contains(&left), "{left}");
}

// mission: P6, M4c
#[test]
fn web_push_reaches_a_watcher_through_a_push_service() {
    // Busy once: the route is left for a moment, and there is no other.
    let service = Service::start(vec![503]);
    let keys = tempfile::tempdir().unwrap();
    let fast = FAST
        .replace("wait_ms = 0", "wait_ms = 0\ndown_ms = 500")
        .replace("pause_ms = 20000", "pause_ms = 1000");
    let bench = PushBench::new(&format!("{fast}{}", service.config(keys.path())));
    bench.sync("phone", &[]);
    let endpoint = service.endpoint();
    let watch =
        bench.watch("phone", &["--listen", "http:127.0.0.1:0", "--web-push", &endpoint, "--no-sensing"]);
    *service.phone.lock().unwrap() = watch.ready["http"].clone();
    bench.policy(&json!({"version": 1, "default": {"push": {"select": ["any"], "bearers": ["web_push"]}},
        "fallback": {"retry_s": 1}}));
    comes_by(&bench, &watch, "web_push");
    let seen = service.seen.lock().unwrap();
    assert!(seen.len() >= 2, "{seen:?}");
    for headers in seen.iter() {
        let said = ["content-encoding", "ttl", "urgency", "topic"].map(|name| headers[name].as_str());
        assert_eq!(said, ["aes128gcm", "86400", "high", "mailsync"]);
        check_signature(&headers["authorization"], &service.origin);
    }
    // What is for other keys, or none, does nothing.
    for body in [&b"come"[..], &[0; 64]] {
        pass_on(&watch.ready["http"], body);
        let line = watch.until("it is dropped", |line| line["event"] == "dropped");
        assert!(line["why"].is_string(), "{line}");
    }
}

// threat: N1
#[test]
fn threat_n1_a_terminal_cannot_have_the_server_post_elsewhere() {
    let (named, other) = (Service::start(Vec::new()), Service::start(Vec::new()));
    let keys = tempfile::tempdir().unwrap();
    let bench = PushBench::new(&format!("{FAST}{}", named.config(keys.path())));
    bench.sync("phone", &[]);
    let endpoint = other.endpoint();
    let watch =
        bench.watch("phone", &["--listen", "http:127.0.0.1:0", "--web-push", &endpoint, "--no-sensing"]);
    bench.policy(
        &json!({"version": 1, "default": {"push": {"select": ["any"], "bearers": ["web_push", "http"]}}}),
    );
    comes_by(&bench, &watch, "http");
    assert!(other.seen.lock().unwrap().is_empty() && named.seen.lock().unwrap().is_empty());
}
