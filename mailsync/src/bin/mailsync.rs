//! The reference client.

fn main() -> std::process::ExitCode {
    mailsync::client::main(std::env::args_os())
}
