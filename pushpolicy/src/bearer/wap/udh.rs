//! A push in binary short messages: user data header with ports and, for more than one, concatenation.

use super::super::error::DecodeError;

const FORMAT: &str = "udh";
/// Octets of user data in one short message.
const SMS: usize = 140;

/// Ports of an application, 16 bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ports {
    /// To.
    pub destination: u16,
    /// From.
    pub source: u16,
}

impl Ports {
    /// Connectionless WAP push: to 2948, from 9200.
    pub const WAP_PUSH: Ports = Ports { destination: 2948, source: 9200 };
    /// Calendar entries: to and from 9205.
    // spec: IANA service names: wap-vcal
    pub const CALENDAR: Ports = Ports { destination: 9205, source: 9205 };
}

/// Which part of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concatenation {
    /// Shared by all parts; 8 or 16 bit.
    pub reference: u16,
    /// Parts, at least 1.
    pub total: u8,
    /// From 1.
    pub part: u8,
}

/// What a user data header says, in whatever order; unknown elements are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Udh {
    /// Application ports.
    pub ports: Option<Ports>,
    /// Concatenation.
    pub concatenation: Option<Concatenation>,
}

/// One short message: header and data, to be sent with the UDHI flag and 8-bit data coding (4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Header, its length octet included.
    pub udh: Vec<u8>,
    /// Part of the PDU.
    pub data: Vec<u8>,
}

impl Segment {
    /// Header and data in one: the `short_message` of a `submit_sm`.
    #[must_use]
    pub fn short_message(&self) -> Vec<u8> {
        [self.udh.as_slice(), self.data.as_slice()].concat()
    }
}

/// Cuts a PDU into short messages; `None` if it takes more than 255. One that fits goes without concatenation.
// mission: M4c
#[must_use]
pub fn segments(ports: Ports, reference: u8, pdu: &[u8]) -> Option<Vec<Segment>> {
    let [d1, d2] = ports.destination.to_be_bytes();
    let [s1, s2] = ports.source.to_be_bytes();
    let single = vec![6, 5, 4, d1, d2, s1, s2];
    if pdu.len() <= SMS.saturating_sub(single.len()) {
        return Some(vec![Segment { udh: single, data: pdu.to_vec() }]);
    }
    let part_bytes = SMS.saturating_sub(12);
    let total = u8::try_from(pdu.len().div_ceil(part_bytes)).ok()?;
    let parts = pdu.chunks(part_bytes).zip(1u8..=255);
    Some(
        parts
            .map(|(data, part)| Segment {
                udh: vec![11, 5, 4, d1, d2, s1, s2, 0, 3, reference, total, part],
                data: data.to_vec(),
            })
            .collect(),
    )
}

impl Udh {
    /// Reads the header at the start of `user_data` and gives what follows it.
    ///
    /// # Errors
    /// [`DecodeError`] if an element passes the end of the header, the header the end of the data, or a part is
    /// impossible.
    pub fn split(user_data: &[u8]) -> Result<(Udh, &[u8]), DecodeError> {
        let (length, rest) = user_data.split_first().ok_or(DecodeError::incomplete(FORMAT, 0))?;
        let (mut elements, data) =
            rest.split_at_checked(usize::from(*length)).ok_or(DecodeError::incomplete(FORMAT, 0))?;
        let mut udh = Udh::default();
        let mut offset = 1usize;
        while let [id, n, after @ ..] = elements {
            let (value, next) =
                after.split_at_checked(usize::from(*n)).ok_or(DecodeError::incomplete(FORMAT, offset))?;
            match (id, value) {
                (0x00, [reference, total, part]) => {
                    udh.concatenation = Some(part_of(offset, u16::from(*reference), *total, *part)?);
                }
                (0x08, [high, low, total, part]) => {
                    let reference = u16::from_be_bytes([*high, *low]);
                    udh.concatenation = Some(part_of(offset, reference, *total, *part)?);
                }
                (0x04, [d, s]) => {
                    udh.ports = Some(Ports { destination: u16::from(*d), source: u16::from(*s) })
                }
                (0x05, [d1, d2, s1, s2]) => {
                    let (destination, source) =
                        (u16::from_be_bytes([*d1, *d2]), u16::from_be_bytes([*s1, *s2]));
                    udh.ports = Some(Ports { destination, source });
                }
                (0x00 | 0x04 | 0x05 | 0x08, _) => {
                    return Err(DecodeError::malformed(
                        FORMAT,
                        offset,
                        format!("element {id:#04x} of {n} octets"),
                    ));
                }
                _ => {}
            }
            offset = offset.saturating_add(2).saturating_add(value.len());
            elements = next;
        }
        if elements.is_empty() { Ok((udh, data)) } else { Err(DecodeError::incomplete(FORMAT, offset)) }
    }
}

fn part_of(offset: usize, reference: u16, total: u8, part: u8) -> Result<Concatenation, DecodeError> {
    if part == 0 || part > total {
        return Err(DecodeError::violation(FORMAT, offset, format!("part {part} of {total}")));
    }
    Ok(Concatenation { reference, total, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: M4c — the octets that Kannel 1.4.5 sends
    #[test]
    fn one_message_up_to_133_octets_then_128_each() {
        let one = segments(Ports::WAP_PUSH, 7, &[1; 133]).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].udh, [6, 5, 4, 0x0B, 0x84, 0x23, 0xF0]);
        assert_eq!(one[0].short_message().len(), 140);
        let two = segments(Ports::WAP_PUSH, 7, &[1; 134]).unwrap();
        assert_eq!(two.iter().map(|s| s.data.len()).collect::<Vec<_>>(), [128, 6]);
        assert_eq!(two[1].udh, [11, 5, 4, 0x0B, 0x84, 0x23, 0xF0, 0, 3, 7, 2, 2]);
        assert_eq!(segments(Ports::WAP_PUSH, 7, &[1; 128 * 255]).unwrap().len(), 255);
        assert_eq!(segments(Ports::WAP_PUSH, 7, &[1; 128 * 255 + 1]), None);
    }

    #[test]
    fn headers_are_read_in_any_order() {
        for wire in [
            &[11, 5, 4, 0x0B, 0x84, 0x23, 0xF0, 0, 3, 9, 2, 1, 0xAA][..],
            &[11, 0, 3, 9, 2, 1, 5, 4, 0x0B, 0x84, 0x23, 0xF0, 0xAA],
            &[15, 0x70, 1, 0xFF, 8, 4, 0, 9, 2, 1, 5, 4, 0x0B, 0x84, 0x23, 0xF0, 0xAA],
        ] {
            let (udh, data) = Udh::split(wire).unwrap();
            assert_eq!(udh.ports, Some(Ports::WAP_PUSH));
            assert_eq!(udh.concatenation, Some(Concatenation { reference: 9, total: 2, part: 1 }));
            assert_eq!(data, [0xAA]);
        }
    }

    #[test]
    fn threat_p1_headers_past_the_end_and_impossible_parts() {
        for bad in [
            &[][..],
            &[5],
            &[4, 5, 4, 0, 0],
            &[2, 5],
            &[1, 5],
            &[5, 0, 3, 1, 2, 0],
            &[5, 0, 3, 1, 2, 3],
            &[5, 0, 3, 1, 0, 0],
            &[4, 5, 2, 0, 0],
        ] {
            assert!(Udh::split(bad).is_err(), "{bad:?}");
        }
    }
}
