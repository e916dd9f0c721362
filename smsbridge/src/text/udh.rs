//! User data headers: what may stand before a text.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::gsm7::{Language, Shifts};

/// A kind of header element.
///
/// # Spec
/// 3GPP TS 23.040 §9.2.3.24
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementId(pub u8);

impl ElementId {
    /// Part of a split message, 8-bit reference.
    pub const CONCAT_8: ElementId = ElementId(0x00);
    /// Ports of 8 bits.
    pub const PORTS_8: ElementId = ElementId(0x04);
    /// Ports of 16 bits.
    pub const PORTS_16: ElementId = ElementId(0x05);
    /// Part of a split message, 16-bit reference.
    pub const CONCAT_16: ElementId = ElementId(0x08);
    /// Octets of an e-mail header at the start of the text.
    pub const EMAIL_HEADER: ElementId = ElementId(0x20);
    /// Language of the single-shift table.
    pub const SINGLE_SHIFT: ElementId = ElementId(0x24);
    /// Language of the locking-shift table.
    pub const LOCKING_SHIFT: ElementId = ElementId(0x25);
    /// First of the SIM toolkit's.
    pub const SIM_TOOLKIT: ElementId = ElementId(0x70);
    /// First of those between applications.
    pub const SME_TO_SME: ElementId = ElementId(0x80);
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its kind.
    pub id: ElementId,
    /// Its octets, at most 255.
    pub data: Vec<u8>,
}

/// Elements in order; unknown ones are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Udh {
    /// The elements.
    pub elements: Vec<Element>,
}

/// Which part of a split message a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The message's number, reused after a while.
    pub reference: u16,
    /// True if the reference has 16 bits.
    pub wide: bool,
    /// Parts in all, at least 1.
    pub total: u8,
    /// Which one, from 1.
    pub number: u8,
}

/// Why a header could not be read; the text is then taken as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdhError {
    /// Malformed: the header's length passes the end of the text.
    #[error("header of {length} octets in a text of {octets}")]
    PastEnd {
        /// The length stated.
        length: u8,
        /// Octets there are.
        octets: usize,
    },
    /// Malformed: an element passes the end of the header.
    #[error("element {0:?} past the end of the header")]
    ElementPastEnd(ElementId),
    /// Misuse: more than 255 octets in all.
    #[error("header too long")]
    TooLong,
}

impl Udh {
    /// Splits a user data into its header and the octets after it.
    ///
    /// # Errors
    /// [`UdhError`].
    pub fn parse(octets: &[u8]) -> Result<(Udh, &[u8]), UdhError> {
        let Some((&length, rest)) = octets.split_first() else {
            return Err(UdhError::PastEnd { length: 0, octets: 0 });
        };
        let (mut header, text) = rest
            .split_at_checked(usize::from(length))
            .ok_or(UdhError::PastEnd { length, octets: octets.len() })?;
        let mut elements = Vec::new();
        while let Some((&id, rest)) = header.split_first() {
            let id = ElementId(id);
            let (&length, rest) = rest.split_first().ok_or(UdhError::ElementPastEnd(id))?;
            let (data, rest) =
                rest.split_at_checked(usize::from(length)).ok_or(UdhError::ElementPastEnd(id))?;
            elements.push(Element { id, data: data.to_vec() });
            header = rest;
        }
        Ok((Udh { elements }, text))
    }

    /// Adds an element at the end.
    pub fn push(&mut self, id: ElementId, data: &[u8]) {
        self.elements.push(Element { id, data: data.to_vec() });
    }

    /// In wire form, length octet first; nothing if there are no elements.
    ///
    /// # Errors
    /// [`UdhError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, UdhError> {
        if self.elements.is_empty() {
            return Ok(Vec::new());
        }
        let mut out = vec![0];
        for element in &self.elements {
            out.push(element.id.0);
            out.push(u8::try_from(element.data.len()).map_err(|_| UdhError::TooLong)?);
            out.extend_from_slice(&element.data);
        }
        let length = u8::try_from(out.len().saturating_sub(1)).map_err(|_| UdhError::TooLong)?;
        if let Some(first) = out.first_mut() {
            *first = length;
        }
        Ok(out)
    }

    /// The last element of a kind that has `octets` octets: later ones win.
    fn last(&self, id: ElementId, octets: usize) -> Option<&[u8]> {
        let mut found = self.elements.iter().rev();
        found
            .find(|element| element.id == id && element.data.len() == octets)
            .map(|element| &element.data[..])
    }

    /// Which part this is; `None` also for impossible numbers (total 0, number 0, number above total).
    pub fn concat(&self) -> Option<Concat> {
        let concats = self.elements.iter().rev().filter_map(|element| {
            let concat = match (element.id, element.data.as_slice()) {
                (ElementId::CONCAT_8, &[reference, total, number]) => {
                    Concat { reference: u16::from(reference), wide: false, total, number }
                }
                (ElementId::CONCAT_16, &[high, low, total, number]) => {
                    Concat { reference: u16::from_be_bytes([high, low]), wide: true, total, number }
                }
                _ => return None,
            };
            (concat.number >= 1 && concat.number <= concat.total).then_some(concat)
        });
        concats.take(1).next()
    }

    /// Destination and source port. A text with ports is for an application, not for people.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let wide = self.last(ElementId::PORTS_16, 4).and_then(|data| match data {
            &[a, b, c, d] => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => None,
        });
        wide.or_else(|| match self.last(ElementId::PORTS_8, 2)? {
            &[destination, source] => Some((u16::from(destination), u16::from(source))),
            _ => None,
        })
    }

    /// The GSM 7-bit tables of the text; unknown languages mean the default.
    pub fn shifts(&self) -> Shifts {
        let language =
            |id| self.last(id, 1).and_then(|data| data.first()).and_then(|&id| Language::from_id(id));
        Shifts { locking: language(ElementId::LOCKING_SHIFT), single: language(ElementId::SINGLE_SHIFT) }
    }

    /// Octets of the e-mail header at the start of this part's text (TS 23.040 §9.2.3.24.11).
    pub fn email_header(&self) -> Option<u8> {
        self.last(ElementId::EMAIL_HEADER, 1).and_then(|data| data.first()).copied()
    }
}

impl Concat {
    /// Adds itself to a header.
    pub fn write(self, udh: &mut Udh) {
        let [high, low] = self.reference.to_be_bytes();
        if self.wide {
            udh.push(ElementId::CONCAT_16, &[high, low, self.total, self.number]);
        } else {
            udh.push(ElementId::CONCAT_8, &[low, self.total, self.number]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        for wire in
            [&[5, 0, 3, 0x2A, 3, 1][..], &[6, 8, 4, 1, 2, 3, 1], &[11, 5, 4, 0x0B, 0x84, 0, 0, 0, 3, 1, 2, 2]]
        {
            let octets = [wire, b"text"].concat();
            let (udh, text) = Udh::parse(&octets).unwrap();
            assert_eq!((udh.encode().unwrap().as_slice(), text), (wire, &b"text"[..]));
            assert!(udh.concat().is_some());
        }
        let (udh, _) = Udh::parse(&[9, 0x24, 1, 1, 0x25, 1, 6, 0x20, 1, 9]).unwrap();
        let shifts = Shifts { locking: Some(Language::Hindi), single: Some(Language::Turkish) };
        assert_eq!((udh.shifts(), udh.email_header()), (shifts, Some(9)));
        let (udh, _) = Udh::parse(&[6, 5, 4, 0x0B, 0x84, 0x23, 0xF0]).unwrap();
        assert_eq!(udh.ports(), Some((2948, 9200)));
    }

    #[test]
    fn threat_p1_udh_past_the_end() {
        assert_eq!(Udh::parse(&[]), Err(UdhError::PastEnd { length: 0, octets: 0 }));
        assert_eq!(Udh::parse(&[5, 0, 3, 1]), Err(UdhError::PastEnd { length: 5, octets: 4 }));
        assert_eq!(Udh::parse(&[2, 0, 3]), Err(UdhError::ElementPastEnd(ElementId::CONCAT_8)));
        assert_eq!(Udh::parse(&[1, 0]), Err(UdhError::ElementPastEnd(ElementId::CONCAT_8)));
        assert_eq!(Udh::parse(&[0]).unwrap(), (Udh::default(), &[][..]));
    }

    #[test]
    fn impossible_parts_are_no_parts() {
        for (total, number) in [(0, 0), (0, 1), (3, 0), (3, 4)] {
            let (udh, _) = Udh::parse(&[5, 0, 3, 1, total, number]).map(|(udh, _)| (udh, ())).unwrap();
            assert_eq!(udh.concat(), None, "{number} of {total}");
        }
        // a later duplicate wins
        let (udh, _) = Udh::parse(&[10, 0, 3, 1, 2, 1, 0, 3, 9, 2, 2]).unwrap();
        assert_eq!(udh.concat().unwrap().reference, 9);
    }
}
