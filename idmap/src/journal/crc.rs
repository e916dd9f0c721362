//! CRC-32 (ISO-HDLC: reflected, polynomial 04C11DB7), as in Ethernet and zip.

const TABLE: [u32; 256] = table();

pub(super) fn crc32(parts: [&[u8]; 2]) -> u32 {
    let octets = parts.into_iter().flatten();
    !octets.fold(u32::MAX, |crc, octet| {
        let [low, ..] = crc.to_le_bytes();
        #[expect(clippy::indexing_slicing, reason = "an octet is less than 256")]
        let step = TABLE[usize::from(low ^ octet)];
        (crc >> 8) ^ step
    })
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "runs in the compiler")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[octet] = crc;
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32([b"1234", b"56789"]), 0xCBF4_3926);
        assert_eq!(crc32([b"", b""]), 0);
    }
}
