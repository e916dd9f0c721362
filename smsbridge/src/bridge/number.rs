//! Phone numbers as SMPP and people write them.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::smpp::{Npi, Ton};
use std::fmt;

/// An international number: 1 to 15 digits (E.164), shown as `+8613800138000`.
///
/// ```
/// use smsbridge::bridge::Msisdn;
/// let number = Msisdn::parse("+86 138-0013-8000").ok_or("no number")?;
/// assert_eq!(number.to_string(), "+8613800138000");
/// assert!(Msisdn::parse("10086").is_none());
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Msisdn(String);

impl Msisdn {
    /// Reads `+` or `00` and digits, with spaces, hyphens, dots and brackets between.
    pub fn parse(text: &str) -> Option<Msisdn> {
        let text = text.trim();
        let digits = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
        let mut kept = String::new();
        for character in digits.chars() {
            match character {
                '0'..='9' => kept.push(character),
                ' ' | '-' | '.' | '(' | ')' => {}
                _ => return None,
            }
        }
        Msisdn::from_digits(&kept)
    }

    /// Reads digits with country code and without `+`.
    pub fn from_digits(digits: &str) -> Option<Msisdn> {
        let legal = digits.bytes().all(|octet| octet.is_ascii_digit()) && !digits.starts_with('0');
        (legal && (5..=15).contains(&digits.len())).then(|| Msisdn(digits.to_owned()))
    }

    /// The digits without `+`, as SMPP wants them.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// For logs: country and the last two digits only.
    pub fn masked(&self) -> String {
        let head = self.0.get(..3).unwrap_or_default();
        let tail = self.0.get(self.0.len().saturating_sub(2)..).unwrap_or_default();
        format!("+{head}***{tail}")
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Who sends or gets a short message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// A phone.
    Phone(Msisdn),
    /// A short code of 3 to 8 digits; means something to one operator only.
    ShortCode(String),
    /// Letters; cannot be replied to.
    Name(String),
    /// Anything else, kept as it was.
    Other {
        /// Type of number.
        ton: u8,
        /// Numbering plan.
        npi: u8,
        /// The address, control characters taken out.
        address: String,
    },
}

impl Party {
    /// Reads an address of SMPP.
    pub fn from_smpp(ton: Ton, npi: Npi, address: &[u8]) -> Party {
        let text: String = String::from_utf8_lossy(address).chars().filter(|c| !c.is_control()).collect();
        let digits = text.strip_prefix('+').unwrap_or(&text);
        let numeric = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
        match ton {
            Ton::ALPHANUMERIC => Party::Name(text),
            // quirk: a "+" with or without the type that says so
            _ if numeric && (ton == Ton::INTERNATIONAL || text.starts_with('+')) => {
                Msisdn::from_digits(digits)
                    .map_or(Party::Other { ton: ton.0, npi: npi.0, address: text.clone() }, Party::Phone)
            }
            _ if numeric && (3..=8).contains(&digits.len()) => Party::ShortCode(digits.to_owned()),
            _ => Party::Other { ton: ton.0, npi: npi.0, address: text },
        }
    }

    /// As SMPP wants it: type, plan and address.
    pub fn to_smpp(&self) -> (Ton, Npi, String) {
        match self {
            Party::Phone(number) => (Ton::INTERNATIONAL, Npi::ISDN, number.digits().to_owned()),
            Party::ShortCode(code) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN, code.clone()),
            Party::Name(name) => (Ton::ALPHANUMERIC, Npi::UNKNOWN, name.clone()),
            Party::Other { ton, npi, address } => (Ton(*ton), Npi(*npi), address.clone()),
        }
    }

    /// The phone, if it is one.
    pub fn phone(&self) -> Option<&Msisdn> {
        match self {
            Party::Phone(number) => Some(number),
            _ => None,
        }
    }
}

/// The number in a mail address of the gateway: `+8613…@sms.example`, `8613…@`, `+1202…/TYPE=PLMN@`.
pub fn number_in_address(local_part: &str) -> Option<Msisdn> {
    // spec: RFC 3191 §3, RFC 4356 §2.1.2.1
    let bare = local_part.split('/').next().unwrap_or_default();
    match bare.strip_prefix('+') {
        Some(digits) => Msisdn::from_digits(digits),
        None => Msisdn::from_digits(bare).filter(|number| number.digits().len() >= 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, number) in [
            ("+8613800138000", Some("+8613800138000")),
            ("0086 138 0013 8000", Some("+8613800138000")),
            ("+1 (202) 555-0199", Some("+12025550199")),
            ("+123456789012345", Some("+123456789012345")),
            ("+1234567890123456", None),
            ("+86x", None),
            ("+0123456", None),
            ("+", None),
            ("", None),
        ] {
            assert_eq!(Msisdn::parse(text).map(|number| number.to_string()).as_deref(), number, "{text}");
        }
        assert_eq!(format!("{:?}", Msisdn::parse("+8613800138000").unwrap()), "+861***00");
    }

    #[test]
    fn parties_come_back() {
        for (ton, npi, address, party) in [
            (1, 1, "8613800138000", Party::Phone(Msisdn::parse("+8613800138000").unwrap())),
            (3, 0, "10086", Party::ShortCode("10086".into())),
            (5, 0, "Bank", Party::Name("Bank".into())),
            (2, 8, "013800138000", Party::Other { ton: 2, npi: 8, address: "013800138000".into() }),
        ] {
            assert_eq!(Party::from_smpp(Ton(ton), Npi(npi), address.as_bytes()), party);
            assert_eq!(party.to_smpp(), (Ton(ton), Npi(npi), address.to_owned()));
        }
        let plus = Party::from_smpp(Ton::UNKNOWN, Npi::UNKNOWN, b"+8613800138000");
        assert!(plus.phone().is_some());
    }

    #[test]
    fn addresses_of_gateways() {
        for (local, found) in [
            ("+8613800138000", true),
            ("8613800138000", true),
            ("+12025550199/TYPE=PLMN", true),
            ("12345", false),
            ("ann", false),
            ("+86abc", false),
        ] {
            assert_eq!(number_in_address(local).is_some(), found, "{local}");
        }
    }
}
