//! Counted lists inside bodies.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::Secret;
use crate::smpp::field::{Field, FieldError, Reader, Writer};
use crate::smpp::{CString, CommandStatus, DecodeErrorKind, Npi, Ton, ValueError};
use std::ops::Deref;

/// Up to 255 entries after their count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl<T> List<T> {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`ValueError::TooMany`] if there are 255.
    pub fn push(&mut self, entry: T) -> Result<(), ValueError> {
        if self.0.len() >= usize::from(u8::MAX) {
            return Err(ValueError::TooMany { max: usize::from(u8::MAX) });
        }
        self.0.push(entry);
        Ok(())
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Field> Field for List<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        let count = u8::read(reader)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(T::read(reader)?);
        }
        Ok(List(entries))
    }
    fn length(&self) -> usize {
        self.0.iter().fold(1, |sum: usize, entry| sum.saturating_add(entry.length()))
    }
    fn write(&self, out: &mut Writer<'_>) {
        // 255 at most, by construction
        out.put_u8(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        self.0.iter().for_each(|entry| entry.write(out));
    }
}

/// A recipient of `submit_multi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A number.
    Sme {
        /// Its type.
        ton: Ton,
        /// Its plan.
        npi: Npi,
        /// Its digits.
        address: CString<21>,
    },
    /// A distribution list at the centre.
    List(CString<21>),
}

impl Field for Destination {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        match u8::read(reader)? {
            1 => Ok(Destination::Sme {
                ton: Ton::read(reader)?,
                npi: Npi::read(reader)?,
                address: CString::read(reader).map_err(|(kind, _)| (kind, CommandStatus::RINVDSTADR))?,
            }),
            2 => CString::read(reader)
                .map(Destination::List)
                .map_err(|(kind, _)| (kind, CommandStatus::RINVDLNAME)),
            flag => Err((DecodeErrorKind::BadValue(u32::from(flag)), CommandStatus::RINVDESTFLAG)),
        }
    }
    fn length(&self) -> usize {
        match self {
            Destination::Sme { address, .. } => address.length().saturating_add(3),
            Destination::List(name) => name.length().saturating_add(1),
        }
    }
    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Destination::Sme { ton, npi, address } => {
                out.put_u8(1);
                ton.write(out);
                npi.write(out);
                address.write(out);
            }
            Destination::List(name) => {
                out.put_u8(2);
                name.write(out);
            }
        }
    }
}

/// A recipient that `submit_multi` did not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsuccess {
    /// Its type.
    pub ton: Ton,
    /// Its plan.
    pub npi: Npi,
    /// Its digits.
    pub address: CString<21>,
    /// Why.
    pub status: CommandStatus,
}

impl Unsuccess {
    /// This recipient for this reason.
    pub fn new(ton: Ton, npi: Npi, address: CString<21>, status: CommandStatus) -> Self {
        Unsuccess { ton, npi, address, status }
    }
}

impl Field for Unsuccess {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        Ok(Unsuccess {
            ton: Ton::read(reader)?,
            npi: Npi::read(reader)?,
            address: CString::read(reader)?,
            status: CommandStatus::read(reader)?,
        })
    }
    fn length(&self) -> usize {
        self.address.length().saturating_add(6)
    }
    fn write(&self, out: &mut Writer<'_>) {
        self.ton.write(out);
        self.npi.write(out);
        self.address.write(out);
        self.status.write(out);
    }
}

impl<T: Field> Field for Secret<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FieldError> {
        T::read(reader).map(Secret::new)
    }
    fn length(&self) -> usize {
        self.expose().length()
    }
    fn write(&self, out: &mut Writer<'_>) {
        self.expose().write(out);
    }
}
