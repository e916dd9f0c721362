//! MM7 against a multimedia message centre that takes only what its schema allows.

use super::*;
use pushpolicy::bearer::mm7::{self, StatusCode, SubmitReq, Version};

/// A multimedia message centre that takes only what its schema allows, and hands the content to a phone.
struct Mmsc {
    url: String,
    seen: Arc<Mutex<Vec<u16>>>,
}

impl Mmsc {
    /// Answers the first submissions with these statuses, then with success.
    fn start(phone: Arc<Mutex<String>>, statuses: Vec<u16>) -> Mmsc {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mm7", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<u16>>> = Arc::default();
        let told = Arc::clone(&seen);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut statuses = statuses.into_iter();
            for stream in listener.incoming() {
                let status = serve(stream.unwrap(), &phone, &mut statuses);
                told.lock().unwrap().push(status);
            }
        });
        Mmsc { url, seen }
    }
}

fn serve(mut stream: TcpStream, phone: &Mutex<String>, statuses: &mut impl Iterator<Item = u16>) -> u16 {
    let (head, body) = read_post(&mut stream);
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim().to_owned())
    };
    let respond = |stream: &mut TcpStream, code: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {code}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    };
    if header("authorization").is_none_or(|login| {
        login != format!("Basic {}", peers::base64(format!("vasp:{}", peers::PASSWORD).as_bytes()))
    }) {
        respond(&mut stream, "401 Unauthorized", b"");
        return 401;
    }
    let post = mm7::Post::new(header("content-type").unwrap_or_default(), header("soapaction"), body);
    let answer = |transaction: &str, status: u16| {
        mm7::submit_response(transaction, &Version::rel6(), StatusCode(status), "said", Some("m1")).unwrap()
    };
    let submit = match SubmitReq::decode(&post) {
        Ok(submit) => submit,
        Err(refusal) => {
            respond(&mut stream, "200 OK", &answer("", refusal.status.0));
            return refusal.status.0;
        }
    };
    let status = statuses.next().unwrap_or(1000);
    respond(&mut stream, "200 OK", &answer(&submit.transaction, status));
    if status == 1000 {
        let to = phone.lock().unwrap().clone();
        let mut phone = TcpStream::connect(to).unwrap();
        let part = &submit.content;
        let inner = [
            format!("--x\r\nContent-Type: {}\r\n\r\n", part.header("Content-Type").unwrap()).as_bytes(),
            &part.body,
            b"\r\n--x--\r\n",
        ]
        .concat();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: p\r\nContent-Type: multipart/related; boundary=x\r\nContent-Length: {}\r\n\r\n",
            inner.len()
        );
        phone.write_all(&[head.as_bytes(), &inner].concat()).unwrap();
        let _ = phone.read(&mut [0; 512]);
    }
    status
}

// mission: P6, M4c
#[test]
fn multimedia_message_by_mm7_and_again_when_the_centre_is_busy() {
    let phone: Arc<Mutex<String>> = Arc::default();
    // 4006: unavailable. The route is left for a moment, and there is no other.
    let centre = Mmsc::start(Arc::clone(&phone), vec![4006]);
    let fast = FAST
        .replace("wait_ms = 0", "wait_ms = 0\ndown_ms = 500")
        .replace("pause_ms = 20000", "pause_ms = 1000");
    let mm7 = format!(
        "[push.mm7]\nurl = \"{}\"\nvasp = \"mailsync\"\nvas = \"push\"\nuser = \"vasp\"\npassword_file = \"@PASSWORD@\"\n",
        centre.url
    );
    let bench = PushBench::new(&format!("{fast}{mm7}"));
    bench.sync("phone", &[]);
    let route = format!("mms {NUMBER} power=any cost=5");
    let watch = bench.watch("phone", &["--listen", "http:127.0.0.1:0", "--route", &route, "--no-sensing"]);
    *phone.lock().unwrap() = watch.ready["http"].clone();
    let retrying = json!({"version": 1, "default": {"push": {"select": ["any"], "bearers": ["mms"]}}, "fallback": {"retry_s": 1}});
    bench.policy(&retrying);
    comes_by(&bench, &watch, "mms");
    assert_eq!(centre.seen.lock().unwrap()[..2], [4006, 1000]);
}
