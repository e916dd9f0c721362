//! The reference client.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next();
    match args.next() {
        // The server as a child of this very executable.
        Some(verb) if verb == "serve-demo" => mailsync::daemon::main(name.into_iter().chain(args)),
        _ => {
            eprintln!("mailsync: no such command");
            ExitCode::from(2)
        }
    }
}
