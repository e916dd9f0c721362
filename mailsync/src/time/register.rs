//! `mailsync register`: becomes a user of a server that allows it.
// mission: T9

use serde_json::{Value, json};
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the server may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Octets of its answer.
const MOST: u64 = 4 << 10;

/// Become a user of a server whose operator allows it; prints the name and the password
#[derive(Debug, clap::Args)]
pub(crate) struct Register {
    /// The server's address, as http://host:8080/syncml
    #[arg(long, value_name = "URL")]
    server: String,
    /// The name that we want [default: the server makes one]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Our IMEI or phone number, which may stand for the name in logins; may be said often
    #[arg(long, value_name = "DIGITS")]
    alias: Vec<String>,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Runs `mailsync register`.
pub(crate) fn run(asked: Register, as_json: bool) -> Result<ExitCode, String> {
    let Register { server, user, alias, ca } = asked;
    let url = format!("{}/register", server.trim_end_matches('/').trim_end_matches("/syncml"));
    let failed = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let mut client = reqwest::blocking::Client::builder().timeout(LIMIT);
    client = client.redirect(reqwest::redirect::Policy::none());
    if let Some(path) = ca {
        let pem = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let trusted = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(&error))?;
        client = trusted.into_iter().fold(client, reqwest::blocking::ClientBuilder::add_root_certificate);
    }
    let client = client.build().map_err(|error| failed(&error))?;
    let mut body = json!({"aliases": alias});
    if let Some(user) = user {
        body["name"] = user.into();
    }
    let request = client.post(&url).header(reqwest::header::CONTENT_TYPE, "application/json");
    let answer = request.body(body.to_string()).send().map_err(|error| failed(&error))?;
    let status = answer.status();
    let mut words = String::new();
    answer.take(MOST).read_to_string(&mut words).map_err(|error| failed(&error))?;
    if !status.is_success() {
        let words: String = words.trim().chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(format!("{url}: {}: {words}", status.as_u16()));
    }
    let given: Value = serde_json::from_str(&words).map_err(|error| failed(&error))?;
    let word = |name: &str| -> String {
        given[name].as_str().unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
    };
    if as_json {
        println!("{}", json!({"user": word("user"), "password": word("password")}));
    } else {
        println!("user     {}\npassword {}", word("user"), word("password"));
    }
    Ok(ExitCode::SUCCESS)
}
