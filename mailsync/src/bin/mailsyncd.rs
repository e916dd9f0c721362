//! The reference server.

fn main() -> std::process::ExitCode {
    mailsync::daemon::main(std::env::args_os())
}
