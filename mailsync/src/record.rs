//! Writes every message to files, secrets blanked: `NNN-req.xml`, `NNN-resp.xml`, and their `.hdr`.
//!
//! The server puts each session into a folder of its own, `DIR/<device>-<session>/`; the client records into `DIR`.

use bytes::Bytes;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use syncml::{Encoding, Limits, Message, Quirks};

/// A folder that exchanges are recorded in.
#[derive(Debug)]
pub(crate) struct Recorder {
    dir: PathBuf,
    /// Messages so far by session.
    counts: Mutex<HashMap<String, u32>>,
}

/// A request and what was answered.
pub(crate) struct Exchange<'a> {
    pub(crate) encoding: Encoding,
    /// Where it went.
    pub(crate) path: &'a str,
    /// The request, if it could be read.
    pub(crate) message: Option<&'a Message>,
    pub(crate) request: &'a [u8],
    /// Of HTTP.
    pub(crate) status: u16,
    pub(crate) answer: &'a [u8],
    /// Tokens of the session.
    pub(crate) tokens: &'a [Option<&'a str>],
}

impl Recorder {
    pub(crate) fn new(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Recorder { dir, counts: Mutex::default() })
    }

    /// Records an exchange of a server in the folder of its session. What goes wrong is logged, and costs the record
    /// only.
    pub(crate) fn exchange(&self, exchange: &Exchange<'_>) {
        let session = match exchange.message {
            Some(message) => {
                let hdr = &message.hdr;
                plain(&format!("{}-{}", hdr.source.loc_uri, hdr.session_id))
            }
            None => "undecoded".into(),
        };
        if let Err(error) = self.write(&session, exchange) {
            tracing::warn!(%error, "cannot record");
        }
    }

    /// Records an exchange of a client.
    pub(crate) fn own(
        &self,
        encoding: Encoding,
        url: &str,
        request: &Bytes,
        answer: &Bytes,
    ) -> io::Result<()> {
        let read = |octets| syncml::decode(encoding, octets, &Limits::default(), &Quirks::lenient()).ok();
        let message = read(request);
        let resp_uri = read(answer).and_then(|answer| answer.hdr.resp_uri);
        let token = |url: &str| url.split_once('?').map(|(_, query)| query.to_owned());
        let (sent, next) = (token(url), resp_uri.as_deref().and_then(token));
        self.write(
            "",
            &Exchange {
                encoding,
                path: url.split('?').next().unwrap_or_default(),
                message: message.as_ref(),
                request,
                status: 200,
                answer,
                tokens: &[sent.as_deref(), next.as_deref()],
            },
        )
    }

    fn write(&self, session: &str, exchange: &Exchange<'_>) -> io::Result<()> {
        let dir = self.dir.join(session);
        fs::create_dir_all(&dir)?;
        let number = self.number(session, &dir);
        let mut secrets: Vec<&[u8]> =
            exchange.tokens.iter().flatten().map(|token| token.as_bytes()).collect();
        if let Some(cred) = exchange.message.and_then(|message| message.hdr.cred.as_deref()) {
            secrets.push(&cred.data);
        }
        secrets.extend(account_secrets(exchange.request));
        let kind = exchange.encoding.mime_type();
        let file = |name: &str| dir.join(format!("{number:03}-{name}"));
        let len = exchange.request.len();
        let head = format!("POST {}\nContent-Type: {kind}\nContent-Length: {len}\n", exchange.path);
        fs::write(file("req.hdr"), head)?;
        let extension = extension(exchange.encoding);
        fs::write(file(&format!("req.{extension}")), blank(exchange.request, &secrets))?;
        let (kind, extension) =
            if exchange.status == 200 { (kind, extension) } else { ("text/plain", "bin") };
        let len = exchange.answer.len();
        let head = format!("HTTP {}\ncontent-type: {kind}\ncontent-length: {len}\n", exchange.status);
        fs::write(file("resp.hdr"), head)?;
        fs::write(file(&format!("resp.{extension}")), blank(exchange.answer, &secrets))
    }

    /// The next number in a session's folder; an earlier run may have recorded the same session.
    fn number(&self, session: &str, dir: &Path) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(session.to_owned()).or_insert(0);
        *count += 1;
        while dir.join(format!("{count:03}-req.hdr")).exists() {
            *count += 1;
        }
        *count
    }
}

/// The secrets of accounts in a message, as they stand in it: between tags, or between tags that are escaped.
fn account_secrets(octets: &[u8]) -> Vec<&[u8]> {
    let mut secrets = Vec::new();
    for open in [&b"<Secret>"[..], b"&lt;Secret&gt;"] {
        let starts = octets.windows(open.len()).enumerate().filter(|(_, window)| *window == open);
        for (at, _) in starts {
            let rest = octets.get(at + open.len()..).unwrap_or_default();
            let end =
                rest.windows(9).position(|w| w.starts_with(b"</Secret") || w == b"&lt;/Secr").unwrap_or(0);
            secrets.push(rest.get(..end).unwrap_or_default());
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

fn extension(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Xml => "xml",
        Encoding::Wbxml => "wbxml",
    }
}

/// A name that is a file name and nothing else.
fn plain(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().take(80).map(good).collect()
}

/// The octets with each secret overwritten by as many `x`, so that every length stays right.
fn blank(octets: &[u8], secrets: &[&[u8]]) -> Vec<u8> {
    let mut out = octets.to_vec();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        let mut rest = &mut out[..];
        while let Some(at) = rest.windows(secret.len()).position(|window| window == *secret) {
            let (hit, after) = rest.split_at_mut(at).1.split_at_mut(secret.len());
            hit.fill(b'x');
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_in_place() {
        let blanked =
            blank(b"<Data>c2VjcmV0</Data> ?s=0123abcd ?s=0123abcd", &[b"c2VjcmV0", b"0123abcd", b""]);
        assert_eq!(blanked, b"<Data>xxxxxxxx</Data> ?s=xxxxxxxx ?s=xxxxxxxx");
    }

    #[test]
    fn threat_s5_a_device_id_is_no_path() {
        assert_eq!(plain("../../etc/passwd-1"), "______etc_passwd-1");
        assert_eq!(plain("IMEI:49-7\0"), "IMEI_49-7_");
    }

    #[test]
    fn numbers_go_on_after_an_earlier_run() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let recorder = Recorder::new(dir.path().into()).unwrap();
            recorder.exchange(&Exchange {
                encoding: Encoding::Xml,
                path: "/syncml",
                message: None,
                request: b"<nonsense",
                status: 400,
                answer: b"why",
                tokens: &[],
            });
        }
        let mut names: Vec<String> = fs::read_dir(dir.path().join("undecoded"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = ["req.hdr", "req.xml", "resp.bin", "resp.hdr"];
        let expected: Vec<String> =
            ["001", "002"].iter().flat_map(|n| expected.map(|name| format!("{n}-{name}"))).collect();
        assert_eq!(names, expected);
    }
}
