//! SMS and mail as one: sans-IO SMTP and SMPP sessions for both ends of a link, and the conversion between them.
//!
//! # First call
//!
//! ```
//! use smsbridge::smtp::{Output, server};
//! use std::time::Duration;
//!
//! let now = Duration::ZERO; // since an origin the host chose
//! let mut session = server::Session::new(server::Config::new("mail.example"), now);
//! session.handle_input(now, b"EHLO phone.example\r\nMAIL FROM:<ann@example.org>\r\n");
//! let mut wire = Vec::new();
//! while let Some(output) = session.poll_output() {
//!     match output {
//!         Output::Transmit(bytes) => wire.extend_from_slice(&bytes),
//!         Output::Event(server::Event::Mail(from)) => {
//!             assert_eq!(from.address.to_string(), "ann@example.org");
//!             session.accept_mail(now)?;
//!         }
//!         _ => {}
//!     }
//! }
//! assert!(wire.starts_with(b"220 mail.example ESMTP\r\n250-mail.example"));
//! assert!(wire.ends_with(b"250 2.1.0 Ok\r\n"));
//! # Ok::<(), smsbridge::smtp::Error>(())
//! ```
//!
//! # Contract of every engine
//!
//! One mutation (`handle_input`, `handle_timeout`, `handle_eof` or a verb), then `poll_output` until `None`, then
//! `poll_timeout`. `now` is the time since an origin of the host's choice and never goes back. The same inputs give
//! byte-identical outputs; there is no clock, socket, thread or randomness inside.
//!
//! # Standards
//!
//! | module | standards |
//! |---|---|
//! | [`smpp`] | SMPP 3.3, 3.4, 5.0 |
//! | [`bridge`] | 3GPP TS 23.040 §3.8, RFC 5322, 2047, 3464, 3676, 3834 |
//! | [`text`] | 3GPP TS 23.038, TS 23.040 §9.2.3.24 |
//! | [`smtp`] | RFC 5321, 1870, 2033, 2034, 2920, 3207, 3461, 3463, 4616, 4954, 6152, 6531 |

#![warn(clippy::expect_used, clippy::panic)]

#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(all(feature = "tokio", any(feature = "smtp", feature = "smpp")))]
mod clock;
mod secret;
#[cfg(feature = "smpp")]
pub mod smpp;
#[cfg(feature = "smtp")]
pub mod smtp;
#[cfg(feature = "text")]
pub mod text;

pub use secret::Secret;

#[cfg(all(doctest, feature = "bridge"))]
#[doc = include_str!("../README.md")]
struct Readme;
