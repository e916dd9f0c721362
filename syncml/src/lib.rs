//! OMA DS / SyncML 1.0 to 1.2: one message model, its XML and WBXML spellings, and sans-IO sessions.
//!
//! ```
//! use syncml::{Command, Encoding, Limits, Quirks, Status, StatusCode, CommandName, Version, Writer, decode};
//! use syncml::{Source, SyncHdr, Target};
//!
//! // What a phone sent.
//! let body = bytes::Bytes::from_static(b"<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD>\
//!     <VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
//!     <Target><LocURI>http://s/x</LocURI></Target><Source><LocURI>IMEI:1</LocURI></Source></SyncHdr>\
//!     <SyncBody><Alert><CmdID>1</CmdID><Data>201</Data></Alert><Final/></SyncBody></SyncML>");
//! let message = decode(Encoding::Xml, &body, &Limits::default(), &Quirks::default())?;
//! let [Command::Alert(alert)] = &message.commands[..] else { panic!() };
//! assert_eq!(alert.code.map(|code| code.to_string()).as_deref(), Some("201 slow sync"));
//!
//! // An answer that never passes what the phone takes.
//! let mut writer = Writer::new(Encoding::Wbxml, Version::V1_2, 5_000);
//! writer.header(&SyncHdr::new(Version::V1_2, "1", 1, Target::new("IMEI:1"), Source::new("http://s/x")))?;
//! let status = Status::new(1, 1, alert.cmd_id, CommandName::Alert, StatusCode::OK);
//! writer.command(&Command::Status(status.into()))?;
//! assert!(writer.finish(true).len() < 150);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | read or write whole messages | [`decode`], [`encode`], [`convert`] |
//! | read command by command | [`Reader`] |
//! | fill a message up to the peer's `MaxMsgSize`, cut objects | [`Writer`] |
//! | hold a session, as a server or a client | [`session`] (features `server`, `client`) |
//! | ask a client for a session, or check such a request | [`san`] |
//! | look at a message | [`inspect`] |
//! | say what a peer may send, and which oddities are taken | [`Limits`], [`Quirks`] |
//!
//! A session is a value and one message an exchange; nothing waits, stores, or draws random numbers. The contract is
//! at the top of [`session`].
//!
//! | specification | where |
//! |---|---|
//! | SyncML Representation Protocol 1.0, 1.1, 1.2 | [`model`] |
//! | SyncML Meta-Information and Device Information DTDs 1.0, 1.1, 1.2 | [`Meta`], [`DevInf`] |
//! | WAP Binary XML 1.1 to 1.3 | `wbxml`, behind [`decode`] |
//! | SyncML Sync Protocol 1.1, OMA DS Protocol 1.2 | [`session`] |
//! | OMA DS server-alerted notification 1.2 (Package #0) | [`san`] |

#![warn(clippy::expect_used, clippy::panic)]
#![cfg_attr(
    not(any(feature = "xml", feature = "wbxml")),
    allow(unused, reason = "without a spelling the model is all there is")
)]

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod codec;
mod convert;
pub mod error;
pub mod inspect;
pub mod limits;
pub mod model;
pub mod names;
pub mod quirks;
mod reader;
pub mod san;
#[cfg(any(feature = "client", feature = "server"))]
pub mod session;
mod tables;
#[cfg(feature = "wbxml")]
mod wbxml;
mod writer;
#[cfg(feature = "xml")]
mod xml;

pub use convert::{ConvertError, convert, respell};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
pub use model::*;
pub use quirks::Quirks;
pub use reader::{Event, Reader, decode, decode_devinf};
pub use writer::{Writer, encode};
#[cfg(feature = "xml")]
pub use xml::chars::xml_can_carry;
