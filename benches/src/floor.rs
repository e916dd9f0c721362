//! The least that must be done with the same octets: what the codec's times are divided by.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Where each token of a WBXML document starts, inner DevInf documents included; none where it is cut off.
///
/// Every access is checked; texts and opaques are stepped over, nothing is made of them.
pub fn token_offsets(input: &[u8]) -> Option<Vec<u32>> {
    let mut offsets = Vec::new();
    walk(input, 0, input.len(), &mut offsets)?;
    Some(offsets)
}

fn walk(input: &[u8], mut at: usize, end: usize, offsets: &mut Vec<u32>) -> Option<()> {
    at += 1;
    // Public id, charset, string table.
    for _ in 0..2 {
        number(input, &mut at)?;
    }
    let table = number(input, &mut at)?;
    at = at.checked_add(table)?;
    while at < end {
        offsets.push(u32::try_from(at).ok()?);
        let token = *input.get(at)?;
        at += 1;
        match token {
            0x00 => at += 1,
            0x03 => {
                let rest = input.get(at..end)?;
                at += rest.iter().position(|&octet| octet == 0)? + 1;
            }
            0x02 | 0x04 | 0x44 | 0x83 | 0x84 | 0xC4 => {
                number(input, &mut at)?;
            }
            0xC3 => {
                let len = number(input, &mut at)?;
                let stop = at.checked_add(len).filter(|&stop| stop <= end)?;
                // DevInf 1.0, 1.1, 1.2.
                if matches!(
                    input.get(at..stop)?,
                    [0x01..=0x03, 0x9F, 0x52 | 0x54, ..] | [0x01..=0x03, 0xA4, 0x03, ..]
                ) {
                    walk(input, at, stop, offsets)?;
                }
                at = stop;
            }
            _ => {}
        }
    }
    Some(())
}

fn number(input: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let octet = *input.get(*at)?;
        *at += 1;
        value = value.checked_mul(128)?.checked_add(usize::from(octet & 0x7F))?;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
}

/// How many events quick-xml finds, nothing made of them; none where it finds a fault.
pub fn xml_events(input: &[u8]) -> Option<usize> {
    let mut reader = Reader::from_reader(input);
    let mut events = 0;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return Some(events),
            Ok(_) => events += 1,
            Err(_) => return None,
        }
    }
}

/// The pieces of a WBXML document, one a token.
pub fn wbxml_pieces(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut offsets: Vec<usize> = token_offsets(input)?.into_iter().map(|at| at as usize).collect();
    offsets.sort_unstable();
    pieces(input, &offsets)
}

/// The pieces of an XML document, one an event.
pub fn xml_pieces(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::from_reader(input);
    let mut offsets = Vec::new();
    loop {
        offsets.push(usize::try_from(reader.buffer_position()).ok()?);
        if matches!(reader.read_event().ok()?, Event::Eof) {
            break;
        }
    }
    pieces(input, &offsets)
}

fn pieces(input: &[u8], offsets: &[usize]) -> Option<Vec<Vec<u8>>> {
    let starts = std::iter::once(0).chain(offsets.iter().copied());
    let ends = offsets.iter().copied().chain(std::iter::once(input.len()));
    let all: Option<Vec<Vec<u8>>> =
        starts.zip(ends).map(|(start, end)| input.get(start..end).map(<[u8]>::to_vec)).collect();
    Some(all?.into_iter().filter(|piece| !piece.is_empty()).collect())
}

/// Writes prepared pieces one after another.
pub fn replay(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages;

    #[test]
    fn the_floor_sees_the_whole_message() {
        for workload in messages::all() {
            let pieces = wbxml_pieces(&workload.wbxml).unwrap();
            assert_eq!(replay(&pieces), workload.wbxml, "{}", workload.name);
            assert!(pieces.len() > 20);
            let pieces = xml_pieces(&workload.xml).unwrap();
            assert_eq!(replay(&pieces), workload.xml, "{}", workload.name);
            assert!(xml_events(&workload.xml).unwrap() > 20);
        }
        assert_eq!(token_offsets(&[2, 0xA4, 1, 0x6A, 0, 0x6D, 0xC3, 9, 1]), None);
    }
}
