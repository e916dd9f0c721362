//! `mailsync inspect` and `mailsync convert`: messages shown and respelled, whole in memory.

use bytes::Bytes;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use syncml::Encoding;
use syncml::inspect::{self, Kind};

/// How a document is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    Tree,
    Tokens,
    Json,
}

/// Shows a document. One that cannot be read to its end is shown up to the fault; the exit status is then 1.
pub(super) fn inspect(file: &Path, show: Show) -> Result<ExitCode, String> {
    let octets = read(file)?;
    let inspection = inspect::inspect(&octets);
    let text = match show {
        Show::Tree => inspection.to_string(),
        Show::Json => inspection.to_json() + "\n",
        Show::Tokens if inspection.kind == Kind::Document(Encoding::Wbxml) => inspect::tokens(&octets),
        Show::Tokens => return Err(format!("{}: --tokens shows WBXML, this is none", file.display())),
    };
    print(text.as_bytes());
    Ok(if inspection.error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Spells a message the other way, to standard output.
pub(super) fn convert(file: &Path, to: Encoding) -> Result<ExitCode, String> {
    let octets = read(file)?;
    let from = match Kind::guess(&octets) {
        Kind::Document(encoding) => encoding,
        _ => return Err(format!("{}: not a SyncML message", file.display())),
    };
    let converted =
        syncml::convert(&octets, from, to).map_err(|error| format!("{}: {error}", file.display()))?;
    print(&converted);
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Bytes, String> {
    let read = || {
        if file == Path::new("-") {
            let mut octets = Vec::new();
            std::io::stdin().lock().read_to_end(&mut octets)?;
            return Ok(octets);
        }
        std::fs::read(file)
    };
    read().map(Bytes::from).map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

fn print(octets: &[u8]) {
    // A closed pipe ends it.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(octets).and_then(|()| out.flush());
}
