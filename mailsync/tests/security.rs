//! What travels is protected: TLS of our own, TLS of a proxy before us, and what a proxy says of who is behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, HaProxy, Process, run};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap() };
        assert_eq!(run(&mut home.daemon(&["user", "add", "ann"]), 20 * SECOND).code, 0);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn daemon(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.path("data")).args(args).env("MAILSYNC_PASSWORD", "secret");
        command
    }

    fn serve(&self, args: &[&str]) -> (Process, String) {
        let places = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];
        let process = Process::start(&mut self.daemon(&[&places, args].concat()));
        let url = process.wait_ready()["syncml"].clone();
        (process, url)
    }

    /// A certificate for localhost that signs itself: `NAME.pem`, `NAME.key`.
    fn certificate(&self, name: &str) -> (String, String) {
        let (certificate, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args([
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
        command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"]).arg(&key);
        let made = run(command.arg("-out").arg(&certificate), 20 * SECOND);
        assert_eq!(made.code, 0, "{made:?}");
        (certificate.display().to_string(), key.display().to_string())
    }

    fn sync(&self, folder: &str, url: &str, more: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sync", "--server", url, "--user", "ann", "--store", "notes", "--dir"]);
        command.arg(self.path(folder)).args(more).env("MAILSYNC_PASSWORD", "secret");
        run(&mut command, 60 * SECOND)
    }

    fn note(&self, folder: &str, name: &str, text: &str) {
        let notes = self.path(folder).join("notes");
        std::fs::create_dir_all(&notes).unwrap();
        std::fs::write(notes.join(name), text).unwrap();
    }

    fn notes(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder).join("notes")).unwrap();
        let mut texts: Vec<_> =
            entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        texts.sort();
        texts
    }
}

fn works(done: &Finished) {
    assert_eq!(done.code, 0, "{done:?}");
}

// mission: M10
#[test]
fn tls_with_a_certificate_that_is_renewed_while_we_run() {
    let home = Home::new();
    let (certificate, key) = home.certificate("cert");
    let (mut server, url) = home.serve(&["--tls-cert", &certificate, "--tls-key", &key]);
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    home.note("one", "n1", "over TLS");
    let ca = ["--ca", &certificate];
    works(&home.sync("one", &url, &ca));
    works(&home.sync("two", &url, &ca));
    assert_eq!(home.notes("two"), ["over TLS"]);

    let stranger = home.sync("three", &url, &[]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.stderr.contains("certificate"), "{}", stranger.stderr);
    let plain = home.sync("three", &url.replace("https", "http"), &[]);
    assert_eq!(plain.code, 1, "{plain:?}");
    // Who says nothing holds nobody up.
    let silent = TcpStream::connect(url.trim_start_matches("https://").trim_end_matches("/syncml")).unwrap();

    // Nonsense first: the old one stays.
    let old = home.path("old.pem");
    std::fs::copy(&certificate, &old).unwrap();
    std::fs::write(&certificate, "no certificate").unwrap();
    let old_ca = ["--ca", old.to_str().unwrap()];
    works(&home.sync("two", &url, &old_ca));
    let (new, new_key) = home.certificate("new");
    std::fs::copy(&new_key, &key).unwrap();
    std::fs::copy(&new, &certificate).unwrap();
    works(&home.sync("two", &url, &["--ca", &new]));
    assert_eq!(home.sync("two", &url, &old_ca).code, 1, "the old certificate is shown no more");
    assert!(server.is_running());
    assert!(server.stderr().contains("the old one stays"), "{}", server.stderr());
    drop(silent);
}

#[test]
fn wrong_certificates_are_named_at_the_start() {
    let home = Home::new();
    let (certificate, key) = home.certificate("cert");
    let (_, other) = home.certificate("other");
    let none = home.path("none").display().to_string();
    for (certificate, key, named) in
        [(&none, &key, &none), (&certificate, &none, &none), (&certificate, &other, &certificate)]
    {
        let args =
            ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key];
        let failed = run(&mut home.daemon(&args), 20 * SECOND);
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.stderr.contains(named.as_str()), "{}", failed.stderr);
    }
    assert_eq!(run(&mut home.daemon(&["--tls-cert", &certificate]), 20 * SECOND).code, 2);
}

// mission: M10
#[test]
fn behind_a_proxy_with_tls_a_path_and_another_server() {
    let home = Home::new();
    let config = home.path("config.toml");
    std::fs::write(&config, "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n").unwrap();
    let config = config.to_str().unwrap();
    let (servers, urls): (Vec<_>, Vec<_>) =
        (0..2).map(|_| home.serve(&["--shared", "--config", config])).unzip();
    let (certificate, key) = home.certificate("site");
    let site = home.path("both.pem");
    std::fs::write(&site, [std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap()].concat())
        .unwrap();
    let addresses: Vec<_> =
        urls.iter().map(|url| url.trim_start_matches("http://").trim_end_matches("/syncml")).collect();
    let proxy = HaProxy::start(home.dir.path(), &site, &addresses);
    let url = format!("https://localhost:{}/sync/syncml", proxy.https.port());
    for n in 0..40 {
        home.note("one", &format!("n{n}"), &format!("note {n} {}", "x".repeat(300)));
    }
    let ca = &["--ca", &certificate, "--max-msg-size", "3000"];
    works(&home.sync("one", &url, ca));
    works(&home.sync("two", &url, ca));
    assert_eq!(home.notes("two"), home.notes("one"));
    let spoken: Vec<usize> =
        servers.iter().map(|server| server.stderr().matches("octets_in").count()).collect();
    assert!(spoken.iter().all(|messages| *messages > 5), "both answer: {spoken:?}");
    // Elsewhere is not ours, and the plain door leads to the same place.
    assert_eq!(home.sync("three", &format!("http://{}/syncml", proxy.http), &[]).code, 1);
    works(&home.sync("three", &format!("http://{}/sync/syncml", proxy.http), &[]));

    // One of them dies: the other goes on.
    let mut servers = servers;
    servers.remove(0).kill();
    let deadline = Instant::now() + 10 * SECOND;
    while home.sync("two", &url, ca).code != 0 {
        assert!(Instant::now() < deadline, "nobody answers");
    }
}

/// Passes one request on with more header lines, and gives the answer.
fn ask(server: &str, path: &str, more: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(20 * SECOND)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: inside:1\r\nConnection: close\r\nContent-Type: application/vnd.syncml+xml\r\n{more}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A login with the password itself (`ann:secret`).
fn basic(session: usize) -> String {
    format!(
        "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>{session}</SessionID>\
     <MsgID>1</MsgID><Target><LocURI>/syncml</LocURI></Target><Source><LocURI>device</LocURI><LocName>ann</LocName></Source>\
     <Cred><Meta><Format xmlns='syncml:metinf'>b64</Format><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta>\
     <Data>YW5uOnNlY3JldA==</Data></Cred><Meta><MaxMsgSize xmlns='syncml:metinf'>10000</MaxMsgSize></Meta></SyncHdr>\
     <SyncBody><Final/></SyncBody></SyncML>"
    )
}

fn facts(answer: &str) -> BTreeMap<&str, String> {
    let inner = |tag: &str| {
        let (_, rest) = answer.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let status = answer.split_once("<Cmd>SyncHdr</Cmd>").and_then(|(_, rest)| {
        let (_, rest) = rest.split_once("</Chal>").unwrap_or(("", rest));
        Some(rest.split_once("<Data>")?.1.split_once('<')?.0.to_owned())
    });
    let found = [("url", inner("RespURI")), ("status", status)];
    found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

// spec: threats S4
#[test]
fn threat_s4_a_password_comes_in_clear_only_from_near() {
    let home = Home::new();
    let file = |name: &str, text: &str| {
        std::fs::write(home.path(name), text).unwrap();
        home.path(name).display().to_string()
    };
    let alone = file("alone.toml", "[session]\nauth = \"basic\"\n");
    let behind =
        file("behind.toml", "[session]\nauth = \"basic\"\n[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let told = file(
        "told.toml",
        "public_url = \"https://sync.example.org/a/syncml\"\n[session]\nauth = \"basic\"\n",
    );
    let near = "";
    let far = "X-Forwarded-For: 203.0.113.9\r\n";
    let far_tls = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: sync.example.org\r\nX-Forwarded-Prefix: /p\r\n";
    let cases = [
        (&alone, "/syncml", near, "212", "http://inside:1/syncml?"),
        // Somebody forwards for others, and nobody told us that it may.
        (&alone, "/syncml", far, "401", ""),
        (&alone, "/syncml", far_tls, "401", ""),
        (&behind, "/syncml", far, "401", ""),
        (&behind, "/syncml", far_tls, "212", "https://sync.example.org/p/syncml?"),
        (&told, "/syncml", near, "212", "https://sync.example.org/a/syncml?"),
        // A proxy that leaves the path as it is.
        (&told, "/a/syncml", near, "212", "https://sync.example.org/a/syncml?"),
    ];
    for (number, (config, path, more, status, url)) in cases.into_iter().enumerate() {
        let (server, place) = home.serve(&["--config", config]);
        let place = place.trim_start_matches("http://").trim_end_matches("/syncml").to_owned();
        let answer = ask(&place, path, more, &basic(number));
        let facts = facts(&answer);
        assert_eq!(facts.get("status").map(String::as_str), Some(status), "{config} {more}: {answer}");
        // Who is refused is told of no session.
        let told = facts.get("url").map_or("", String::as_str);
        assert!(
            if status == "212" { told.starts_with(url) } else { told.is_empty() },
            "{config} {more}: {told}"
        );
        server.stop();
    }
}

// mission: M10
#[test]
fn sealed_items_cross_what_reads_along() {
    let home = Home::new();
    let record = home.path("record").display().to_string();
    let (server, url) = home.serve(&["--record", &record]);
    let device = |folder: &str| format!("phone-{folder}");
    let key_of = |folder: &str| {
        let made = run(&mut home.daemon(&["device", "key", "ann", &device(folder)]), 20 * SECOND);
        assert_eq!(made.code, 0, "{made:?}");
        let file = home.path(&format!("{folder}.key"));
        std::fs::write(&file, &made.stdout).unwrap();
        file.display().to_string()
    };
    let (one, two) = (key_of("one"), key_of("two"));
    assert_ne!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    home.note("one", "n1", "confidential: meet at noon");
    works(&home.sync("one", &url, &["--device", &device("one"), "--item-key", &one]));
    // Keys outlive a new key of the key file.
    assert_eq!(run(&mut home.daemon(&["key", "rotate"]), 20 * SECOND).code, 0);
    works(&home.sync("two", &url, &["--device", &device("two"), "--item-key", &two]));
    assert_eq!(home.notes("two"), ["confidential: meet at noon"]);
    // Another device's key opens nothing, and without one nothing comes.
    for (folder, more) in [("three", &["--item-key", &one][..]), ("four", &[])] {
        key_of(folder);
        std::fs::create_dir_all(home.path(folder).join("notes")).unwrap();
        let device = device(folder);
        let done = home.sync(folder, &url, &[&["--device", &device], more].concat());
        assert_ne!(done.code, 0, "{done:?}");
        assert!(home.notes(folder).is_empty(), "{done:?}");
    }
    assert!(server.stderr().contains("takes no sealed items"), "{}", server.stderr());
    let recorded = run(Command::new("grep").args(["-rc", "noon", &record]), 20 * SECOND).stdout;
    assert!(recorded.lines().count() > 4, "{recorded}");
    assert!(recorded.lines().all(|line| line.ends_with(":0")), "{recorded}");
    // Taken away, it goes in clear again.
    assert_eq!(
        run(&mut home.daemon(&["device", "key", "ann", &device("four"), "--remove"]), 20 * SECOND).code,
        0
    );
    works(&home.sync("four", &url, &["--device", &device("four")]));
    assert_eq!(home.notes("four"), ["confidential: meet at noon"]);
    let database = std::fs::read(home.path("data").join("mailsync.db")).unwrap_or_default();
    let secret = std::fs::read_to_string(&one).unwrap();
    assert!(!database.windows(secret.trim().len()).any(|w| w == secret.trim().as_bytes()));
    let bad = home.path("bad.key");
    std::fs::write(&bad, "not a key").unwrap();
    let failed = home.sync("two", &url, &["--item-key", bad.to_str().unwrap()]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("bad.key"), "{}", failed.stderr);
    server.stop();
}

#[test]
fn health_is_told_to_who_asks() {
    let home = Home::new();
    let (server, url) = home.serve(&[]);
    let place = url.trim_start_matches("http://").trim_end_matches("/syncml");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(20 * SECOND)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200 "), "{}", get("/healthz"));
    assert!(get("/elsewhere").starts_with("HTTP/1.1 404 "));
    server.stop();
}
