//! `mailsync probe` and `mailsync replay`: for testers.

use super::http::{Http, HttpError};
use bytes::Bytes;
use mailsync_proto::probe::{Finding, Question};
use mailsync_proto::replay::{Difference, Login, Recorded, Replay};
use mailsync_proto::sync::client::NextHop;
use serde_json::json;
use std::path::{Path, PathBuf};
use syncml::session::auth::Scheme;
use syncml::session::resolve_resp_uri;
use syncml::{DevInf, Encoding, Limits, Quirks, Version};

/// A server, and who asks.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) server: String,
    /// User and password.
    pub(super) login: Option<(String, String)>,
    pub(super) device: String,
    pub(super) ca: Option<PathBuf>,
}

const ANSWER_BYTES: usize = 4 << 20;
const VERSIONS: [Version; 3] = [Version::V1_2, Version::V1_1, Version::V1_0];

/// What a server offers, as lines for people or as JSON. False if it is no SyncML server at all.
pub(super) fn probe(asked: &Asked, json: bool) -> Result<bool, String> {
    let http = Http::new(asked.ca.as_deref(), ANSWER_BYTES).map_err(text)?;
    let mut rows = Vec::new();
    let mut devinf = None;
    for version in VERSIONS {
        for encoding in [Encoding::Wbxml, Encoding::Xml] {
            let found = ask(&http, asked, version, encoding);
            if let Err(error @ (HttpError::NoAnswer { .. } | HttpError::Setup(_))) = &found {
                // Nobody is there: asking in other words does not help.
                return Err(error.to_string());
            }
            let found = found.map_err(|error| error.to_string());
            if let Ok(finding) = &found
                && devinf.is_none()
            {
                devinf = finding.devinf.clone();
            }
            rows.push((version, encoding, found));
        }
    }
    let speaks = rows.iter().any(|(_, _, found)| found.is_ok());
    if json {
        println!("{}", as_json(asked, &rows, devinf.as_ref()));
    } else {
        for (version, encoding, found) in &rows {
            println!("SyncML {}, {}: {}", version.ver_dtd(), spelling(*encoding), line(found));
        }
        devinf.as_ref().map(print_devinf);
    }
    Ok(speaks)
}

/// Asks once, and again with credentials if it is told how.
fn ask(http: &Http, asked: &Asked, version: Version, encoding: Encoding) -> Result<Finding, HttpError> {
    let mut url = asked.server.clone();
    let post = |url: &str, question: &Question<'_>| {
        let message = question.message().map_err(|error| HttpError::Setup(error.to_string()))?;
        let answer = http.post(&NextHop { url: url.into(), encoding, mac: None }, &message)?;
        Finding::read(encoding, &answer)
            .map_err(|error| HttpError::Answer { url: asked.server.clone(), reason: error.to_string() })
    };
    let name = asked.login.as_ref().map(|(user, _)| &**user);
    let first = Question {
        version,
        encoding,
        url: &asked.server,
        device: &asked.device,
        msg_id: 1,
        name,
        login: None,
    };
    let finding = post(&url, &first)?;
    let Some((user, password)) = &asked.login else { return Ok(finding) };
    let scheme = match finding.scheme.as_deref() {
        Some("syncml:auth-md5") => Scheme::Md5,
        // spec: threats S4: a server that asks for the password itself gets it only over TLS or on this machine
        Some("syncml:auth-basic") if may_say_password(&asked.server) => Scheme::Basic,
        _ => return Ok(finding),
    };
    if let Some(next) = finding.resp_uri.as_deref().and_then(|uri| resolve_resp_uri(&url, uri)) {
        url = next;
    }
    let login = Some((scheme, &**user, &**password, &*finding.nonce));
    let mut answered = post(&url, &Question { msg_id: 2, login, ..first })?;
    answered.scheme = finding.scheme;
    Ok(answered)
}

fn may_say_password(server: &str) -> bool {
    let host =
        server.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    server.starts_with("https://") || matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn line(found: &Result<Finding, String>) -> String {
    match found {
        Err(reason) => format!("no ({reason})"),
        Ok(finding) => {
            let login = finding.login.map_or("no status".into(), |code| code.to_string());
            let asks = finding.scheme.as_deref().map(|s| format!(", asks for {s}")).unwrap_or_default();
            let size = finding
                .max_msg_size
                .map(|size| format!(", messages up to {size} octets"))
                .unwrap_or_default();
            format!("yes ({login}{asks}{size})")
        }
    }
}

fn print_devinf(devinf: &DevInf) {
    let name = |text: &Option<Box<str>>| text.as_deref().unwrap_or("?").escape_debug().to_string();
    println!("{} {} {}", name(&devinf.man), name(&devinf.model), name(&devinf.swv));
    for store in &devinf.data_stores {
        let types: Vec<String> = store
            .rx_pref
            .iter()
            .chain(&store.rx)
            .map(|t| format!("{} {}", t.ct_type, t.ver_ct).escape_debug().to_string())
            .collect();
        println!("  {:<16} {}", store.source_ref.escape_debug().to_string(), types.join(", "));
    }
}

fn as_json(
    asked: &Asked,
    rows: &[(Version, Encoding, Result<Finding, String>)],
    devinf: Option<&DevInf>,
) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|(version, encoding, found)| {
            json!({
                "version": version.ver_dtd(),
                "encoding": spelling(*encoding),
                "speaks": found.is_ok(),
                "login": found.as_ref().ok().and_then(|finding| Some(finding.login?.0)),
                "auth": found.as_ref().ok().and_then(|finding| finding.scheme.clone()),
                "max_msg_size": found.as_ref().ok().and_then(|finding| finding.max_msg_size),
                "error": found.as_ref().err(),
            })
        })
        .collect();
    let stores: Vec<_> = devinf
        .iter()
        .flat_map(|devinf| &devinf.data_stores)
        .map(|store| {
            let types = store.rx_pref.iter().chain(&store.rx);
            let types: Vec<_> = types.map(|t| json!({"type": t.ct_type, "version": t.ver_ct})).collect();
            json!({"store": store.source_ref, "types": types, "sync_types": store.sync_cap.sync_types})
        })
        .collect();
    json!({"server": asked.server, "asked": rows, "stores": stores})
}

fn spelling(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Xml => "XML",
        Encoding::Wbxml => "WBXML",
    }
}

/// What came of a replay.
pub(super) struct Replayed {
    pub(super) messages: usize,
    pub(super) compared: usize,
    pub(super) differences: Vec<Difference>,
    /// Why the server heard no more of it.
    pub(super) ended: Option<String>,
}

/// Plays the client half of a recording.
pub(super) fn replay(dir: &Path, asked: &Asked) -> Result<Replayed, String> {
    let steps = recording(dir)?;
    if steps.is_empty() {
        return Err(format!("{}: no NNN-req.xml or NNN-req.wbxml in it", dir.display()));
    }
    let http = Http::new(asked.ca.as_deref(), ANSWER_BYTES).map_err(text)?;
    let (user, password) = asked.login.clone().unwrap_or_default();
    let login = Login { server: asked.server.as_str().into(), user: user.into(), password: password.into() };
    let mut replay = Replay::new(login, steps);
    let (mut messages, mut ended) = (0, None);
    while let Some(request) = replay.next_request().map_err(text)? {
        let hop = NextHop { url: request.url.to_string(), encoding: request.encoding, mac: None };
        match http.post(&hop, &request.body) {
            Ok(answer) => replay.take(&answer).map_err(|error| format!("{}: {error}", asked.server))?,
            // It may have heard enough before the recorded server had.
            Err(error @ HttpError::Status { .. }) => {
                ended = Some(error.to_string());
                break;
            }
            Err(error) => return Err(error.to_string()),
        }
        messages += 1;
    }
    let (compared, differences) = replay.compare();
    Ok(Replayed { messages, compared, differences, ended })
}

/// The exchanges of a recording, in order.
fn recording(dir: &Path) -> Result<Vec<Recorded>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", dir.display());
    let mut requests: Vec<(String, Encoding)> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| named(&error))? {
        let name = entry.map_err(|error| named(&error))?.file_name().to_string_lossy().into_owned();
        for (end, encoding) in [("-req.xml", Encoding::Xml), ("-req.wbxml", Encoding::Wbxml)] {
            if let Some(number) = name.strip_suffix(end) {
                requests.push((number.to_owned(), encoding));
            }
        }
    }
    requests.sort_by(|a, b| a.0.cmp(&b.0));
    let decode = |path: &Path, encoding| {
        let octets = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        syncml::decode(encoding, &Bytes::from(octets), &Limits::default(), &Quirks::lenient())
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let read = |(number, encoding): (String, Encoding)| {
        let extension = if encoding == Encoding::Xml { "xml" } else { "wbxml" };
        let file = |what: &str| dir.join(format!("{number}-{what}.{extension}"));
        let response = file("resp");
        let response = if response.exists() { Some(decode(&response, encoding)?) } else { None };
        Ok(Recorded { encoding, request: decode(&file("req"), encoding)?, response })
    };
    requests.into_iter().map(read).collect()
}

impl Replayed {
    /// Whether every compared status is of the recorded class.
    pub(super) fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    pub(super) fn print(&self, json: bool) {
        if json {
            let differences: Vec<_> = self
                .differences
                .iter()
                .map(|d| {
                    json!({
                        "request": d.request,
                        "command": d.cmd.as_str(),
                        "cmd_id": d.cmd_id,
                        "recorded": d.recorded.0,
                        "answered": d.answered.map(|code| code.0),
                    })
                })
                .collect();
            println!(
                "{}",
                json!({"messages": self.messages, "compared": self.compared, "differences": differences,
                       "ended": self.ended})
            );
            return;
        }
        for difference in &self.differences {
            println!("{difference}");
        }
        if let Some(ended) = &self.ended {
            println!("the server ended the session: {ended}");
        }
        let different = self.differences.len();
        println!(
            "{} messages, {} statuses compared, {different} of another class",
            self.messages, self.compared
        );
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
