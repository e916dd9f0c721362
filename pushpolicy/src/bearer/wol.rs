//! Wake-on-LAN: the magic packet for a machine that sleeps.
//!
//! # Shape
//! Six times `FF`, the hardware address 16 times, then if set a password of 4 or 6 octets. By UDP to port 9 at the
//! broadcast address of its network, a few times; nobody answers. [our choice: three times, 20 to 90 s until it is up]

use super::error::DecodeError;
use std::fmt;
use std::str::FromStr;

/// UDP port.
pub const PORT: u16 = 9;

/// A hardware address, `00:11:22:33:44:55`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddress {
    type Err = DecodeError;

    /// Six pairs of hexadecimal digits, parted by `:` or `-`.
    fn from_str(s: &str) -> Result<MacAddress, DecodeError> {
        let bad = || DecodeError::malformed("mac", 0, "six pairs of digits");
        let mut mac = [0; 6];
        let mut pairs = s.split([':', '-']);
        for octet in &mut mac {
            let pair = pairs.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = u8::from_str_radix(pair.ok_or_else(bad)?, 16).map_err(|_| bad())?;
        }
        if pairs.next().is_some() { Err(bad()) } else { Ok(MacAddress(mac)) }
    }
}

/// What follows the magic packet where the card wants it. Not a secret worth the name: it travels in the clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Password {
    /// None.
    #[default]
    None,
    /// Four octets.
    Four([u8; 4]),
    /// Six octets.
    Six([u8; 6]),
}

/// The packet: 102 octets, or 106 or 108.
// mission: P6
#[must_use]
pub fn magic_packet(mac: MacAddress, password: Password) -> Vec<u8> {
    let mut out = vec![0xFF; 6];
    out.extend(std::iter::repeat_n(mac.0, 16).flatten());
    match password {
        Password::None => {}
        Password::Four(p) => out.extend(p),
        Password::Six(p) => out.extend(p),
    }
    out
}

/// Whom a packet wakes, if it is one.
///
/// # Errors
/// [`DecodeError`] for anything else.
pub fn parse(packet: &[u8]) -> Result<(MacAddress, Password), DecodeError> {
    let bad = |offset| DecodeError::malformed("wol", offset, "no magic packet");
    let rest = packet.strip_prefix(&[0xFF; 6]).ok_or_else(|| bad(0))?;
    let (repeats, tail) = rest.split_at_checked(96).ok_or(DecodeError::incomplete("wol", packet.len()))?;
    let mut chunks = repeats.chunks_exact(6);
    let mac: [u8; 6] = chunks.next().and_then(|c| c.try_into().ok()).ok_or_else(|| bad(6))?;
    if !chunks.all(|c| c == mac) {
        return Err(bad(12));
    }
    let password = match tail {
        [] => Password::None,
        [a, b, c, d] => Password::Four([*a, *b, *c, *d]),
        [a, b, c, d, e, f] => Password::Six([*a, *b, *c, *d, *e, *f]),
        _ => return Err(bad(102)),
    };
    Ok((MacAddress(mac), password))
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: P6
    #[test]
    fn packets_in_both_directions() {
        let mac: MacAddress = "00:11:22:aa:BB:cc".parse().unwrap();
        for (password, length) in
            [(Password::None, 102), (Password::Four([1; 4]), 106), (Password::Six([2; 6]), 108)]
        {
            let packet = magic_packet(mac, password);
            assert_eq!(packet.len(), length);
            assert_eq!(parse(&packet).unwrap(), (mac, password));
        }
        assert_eq!(mac.to_string(), "00:11:22:aa:bb:cc");
    }

    #[test]
    fn bad_packets_and_addresses() {
        let good = magic_packet(MacAddress([1, 2, 3, 4, 5, 6]), Password::None);
        for n in 0..good.len() {
            assert!(parse(&good[..n]).is_err());
        }
        let mut bad = good.clone();
        bad[50] ^= 1;
        assert!(parse(&bad).is_err());
        assert!(parse(&[good, vec![0; 5]].concat()).is_err());
        for bad in ["", "00:11:22:33:44", "00:11:22:33:44:55:66", "0:11:22:33:44:55", "+1:11:22:33:44:55"] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }
}
