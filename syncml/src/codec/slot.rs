//! How a field of the model is read from an element, and written as one.

use super::frame::{Frame, Framed, Parent};
use super::layout::Kind;
use super::sink::Sink;
use super::token::{Gathered, push_tight};
use crate::error::EncodeError;
use crate::model::*;
use crate::tables::Tag;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;

/// A text that its field cannot take, and why.
#[derive(Debug)]
pub(crate) struct Bad(pub(crate) &'static str);

/// A field that an element of the tables fills.
pub(crate) trait Slot {
    const KIND: Kind = Kind::Text;
    const MANY: bool = false;
    const REQUIRED: bool = false;

    fn text(&mut self, _: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        Err(Bad("text where elements belong"))
    }

    /// Takes the frame that `KIND` opened.
    fn attach(&mut self, _: &mut Frame) {}

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError>;
}

/// Reads or writes a field in another way than its type says.
pub(crate) trait Via<F> {
    const KIND: Kind;
    const MANY: bool;
    const REQUIRED: bool;

    fn text(field: &mut F, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad>;
    fn attach(field: &mut F, frame: &mut Frame);
    fn emit<S: Sink>(field: &F, tag: Tag, sink: &mut S) -> Result<(), EncodeError>;
}

/// As the type says.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl<F: Slot> Via<F> for Plain {
    const KIND: Kind = F::KIND;
    const MANY: bool = F::MANY;
    const REQUIRED: bool = F::REQUIRED;

    fn text(field: &mut F, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
        field.text(text, input)
    }

    fn attach(field: &mut F, frame: &mut Frame) {
        field.attach(frame);
    }

    fn emit<S: Sink>(field: &F, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        field.emit(tag, sink)
    }
}

fn str_of<'t>(text: &'t Gathered<'_>) -> Result<&'t str, Bad> {
    std::str::from_utf8(text.as_slice()).map_err(|_| Bad("text that is not UTF-8"))
}

fn number(text: &Gathered<'_>) -> Result<u64, Bad> {
    let digits = text.as_slice().trim_ascii();
    if digits.is_empty() {
        return Err(Bad("not a number"));
    }
    digits.iter().try_fold(0_u64, |value, octet| {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Bad("not a number"));
        }
        let value = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit)));
        value.ok_or(Bad("a number too large"))
    })
}

fn narrow<N: TryFrom<u64>>(text: &Gathered<'_>) -> Result<N, Bad> {
    N::try_from(number(text)?).map_err(|_| Bad("a number too large"))
}

impl Slot for Box<str> {
    const REQUIRED: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = str_of(text)?.into();
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        sink.text(tag, self)
    }
}

impl Slot for Option<Box<str>> {
    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = Some(str_of(text)?.into());
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        self.iter().try_for_each(|text| sink.text(tag, text))
    }
}

impl Slot for Vec<Box<str>> {
    const MANY: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        push_tight(self, str_of(text)?.into());
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        self.iter().try_for_each(|text| sink.text(tag, text))
    }
}

macro_rules! numbers {
    ($( $type:ty ),*) => { $(
        impl Slot for $type {
            const REQUIRED: bool = true;

            fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
                *self = narrow(text)?;
                Ok(())
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                sink.number(tag, u64::from(*self))
            }
        }

        impl Slot for Option<$type> {
            fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
                *self = Some(narrow(text)?);
                Ok(())
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                self.iter().try_for_each(|n| sink.number(tag, u64::from(*n)))
            }
        }
    )* };
}

numbers!(u32, u64);

impl Slot for Vec<u32> {
    const MANY: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        push_tight(self, narrow(text)?);
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        self.iter().try_for_each(|n| sink.number(tag, u64::from(*n)))
    }
}

impl Slot for StatusCode {
    const REQUIRED: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = StatusCode(narrow(text)?);
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        sink.number(tag, u64::from(self.0))
    }
}

impl Slot for Option<AlertCode> {
    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = Some(AlertCode(narrow(text)?));
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        self.iter().try_for_each(|code| sink.number(tag, u64::from(code.0)))
    }
}

impl Slot for CommandName {
    const REQUIRED: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = CommandName::parse(str_of(text)?);
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        sink.text(tag, self.as_str())
    }
}

impl Slot for bool {
    const KIND: Kind = Kind::Flag;

    fn text(&mut self, _: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        *self = true;
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        if *self {
            sink.flag(tag);
        }
        Ok(())
    }
}

/// The data of credentials: text where it is text, octets where a digest came raw.
impl Slot for Bytes {
    const REQUIRED: bool = true;

    fn text(&mut self, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
        *self = text.take_bytes(input);
        Ok(())
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        match std::str::from_utf8(self) {
            Ok(text) => sink.text(tag, text),
            Err(_) => sink.octets(tag, self),
        }
    }
}

impl Slot for Option<Data> {
    const KIND: Kind = Kind::Data;

    fn attach(&mut self, frame: &mut Frame) {
        if let Frame::Data(build) = frame {
            *self = Some(std::mem::take(build).finish());
        }
    }

    fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        self.iter().try_for_each(|data| super::data::emit(data, tag, sink))
    }
}

macro_rules! structures {
    ($( $type:ident ),* $(,)?) => { $(
        impl Slot for $type {
            const KIND: Kind = Kind::Frame(<$type>::blank);
            const REQUIRED: bool = true;

            fn attach(&mut self, frame: &mut Frame) {
                if let Some(value) = <$type>::take(frame) {
                    *self = value;
                }
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                super::content::emit(self, tag, sink)
            }
        }

        impl Slot for Option<$type> {
            const KIND: Kind = Kind::Frame(<$type>::blank);

            fn attach(&mut self, frame: &mut Frame) {
                if let Some(value) = <$type>::take(frame) {
                    *self = Some(value);
                }
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                self.iter().try_for_each(|value| super::content::emit(value, tag, sink))
            }
        }

        impl Slot for Option<Box<$type>> {
            const KIND: Kind = Kind::Frame(<$type>::blank);

            fn attach(&mut self, frame: &mut Frame) {
                if let Some(value) = <$type>::take_box(frame) {
                    *self = Some(value);
                }
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                self.iter().try_for_each(|value| super::content::emit(&**value, tag, sink))
            }
        }

        impl Slot for Vec<$type> {
            const KIND: Kind = Kind::Frame(<$type>::blank);
            const MANY: bool = true;

            fn attach(&mut self, frame: &mut Frame) {
                if let Some(value) = <$type>::take(frame) {
                    push_tight(self, value);
                }
            }

            fn emit<S: Sink>(&self, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
                self.iter().try_for_each(|value| super::content::emit(value, tag, sink))
            }
        }
    )* };
}

structures! {
    Target, Source, Filter, Field, Record, Cred, Chal, Meta, Anchor, Mem, Item, MapItem, DataStore, CtType,
    DsMem, SyncCap, CtCap, FlatCtCap, Property, PropParam, FilterCap, Ext,
}

/// A `LocURI` inside an element of its own: `SourceParent`, `TargetParent`.
#[derive(Clone, Copy)]
pub(crate) struct InLocUri;

impl Via<Option<Box<str>>> for InLocUri {
    const KIND: Kind = Kind::Frame(Parent::blank);
    const MANY: bool = false;
    const REQUIRED: bool = false;

    fn text(_: &mut Option<Box<str>>, _: &mut Gathered<'_>, _: &Bytes) -> Result<(), Bad> {
        Err(Bad("text where elements belong"))
    }

    fn attach(field: &mut Option<Box<str>>, frame: &mut Frame) {
        *field = Parent::take(frame).map(|parent| parent.loc_uri);
    }

    fn emit<S: Sink>(field: &Option<Box<str>>, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        if let Some(loc_uri) = field {
            sink.open(tag);
            sink.text(Tag::LocUri, loc_uri)?;
            sink.close(tag);
        }
        Ok(())
    }
}

/// Octets written as base64 text: `NextNonce`.
#[derive(Clone, Copy)]
pub(crate) struct Base64;

/// Reads base64 with or without padding.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The octets that base64 text stands for; white space does not count.
pub(crate) fn from_base64(text: &[u8]) -> Option<Bytes> {
    let text: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    TOLERANT.decode(text).ok().map(Bytes::from)
}

impl Via<Option<Bytes>> for Base64 {
    const KIND: Kind = Kind::Text;
    const MANY: bool = false;
    const REQUIRED: bool = false;

    fn text(field: &mut Option<Bytes>, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
        // An opaque nonce is decided when `Format` is known, at the end of its `Meta`.
        let decoded = if text.opaque { None } else { from_base64(text.as_slice()) };
        *field = Some(decoded.unwrap_or_else(|| text.take_bytes(input)));
        Ok(())
    }

    fn attach(_: &mut Option<Bytes>, _: &mut Frame) {}

    fn emit<S: Sink>(field: &Option<Bytes>, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
        field.iter().try_for_each(|octets| sink.text(tag, &STANDARD.encode(octets)))
    }
}
