//! Texts of short messages: alphabets, user data headers, splitting and joining.
//!
//! ```
//! use smsbridge::text::{Alphabet, Rules, split};
//!
//! let message = split("Grüße aus 北京 👨‍👩‍👧", &Rules::default())?;
//! assert_eq!(message.alphabet, Alphabet::Ucs2);
//! assert_eq!(message.parts.len(), 1);
//! # Ok::<(), smsbridge::text::SplitError>(())
//! ```

mod alphabet;
pub mod gsm7;
mod reassembly;
mod split;
mod tables;
pub mod ucs2;
mod udh;

pub use alphabet::{Alphabet, alphabet_of, transliterate};
pub use reassembly::{Added, Assembled, Assembler, Limits, Part, PartKey, PartRefused};
pub use split::{Reference, Rules, Segment, Split, SplitError, split};
pub use udh::{Concat, Element, ElementId, Udh, UdhError};
