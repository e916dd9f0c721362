//! SMPP 3.3, 3.4 and 5.0: codec and sans-IO sessions.
//!
//! A PDU is framed by its `command_length` and nothing is read past it. [`Pdu`] keeps the body as it came, so a PDU
//! that is passed on goes out byte for byte as it came in, but for its sequence number; [`Pdu::decode`] gives the
//! typed view on demand.
//!
//! ```
//! use smsbridge::smpp::{Body, Framer, Limits, Pdu, Quirks, SequenceNumber, pdu::SubmitSm};
//!
//! let mut submit = SubmitSm::default();
//! submit.destination_addr = "8613800138000".try_into()?;
//! submit.short_message = "hello".try_into()?;
//! let wire = Pdu::new(SequenceNumber(7), &Body::SubmitSm(submit)).encode();
//!
//! let mut framer = Framer::new(Limits::default());
//! framer.push(&wire);
//! let pdu = framer.next_pdu()?.ok_or("more octets needed")?;
//! let Body::SubmitSm(submit) = pdu.decode(&Quirks::normal())? else { return Err("not a submit_sm".into()) };
//! assert_eq!(&submit.short_message[..], b"hello");
//! assert_eq!(pdu.encode(), wire);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codes;
mod cstring;
#[cfg(feature = "tokio")]
pub mod drive;
mod error;
mod field;
mod frame;
mod header;
pub mod pdu;
mod quirks;
pub mod session;
mod status;
pub mod tlv;
mod values;

pub use cstring::CString;
pub use error::{DecodeError, DecodeErrorKind, FrameError, ValueError};
pub use field::{ShortMessage, Time};
pub use frame::{Framer, Limits};
pub use header::{CommandId, SequenceNumber};
pub use pdu::{Body, Pdu};
pub use quirks::{PayloadRule, Profile, Quirks};
pub use status::CommandStatus;
pub use tlv::{Tag, Tlvs};
pub use values::{DataCoding, EsmClass, InterfaceVersion, MessageState, Npi, RegisteredDelivery, Ton};
