//! `mailsync demo`.
/// Runs.
pub fn run(_dir: Option<&std::path::Path>, _json: bool) -> Result<std::process::ExitCode, String> {
    Err("not here".into())
}
