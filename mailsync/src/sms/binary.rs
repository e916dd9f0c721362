//! Octets for a port of a phone, as binary short messages.

use bytes::Bytes;
use pushpolicy::bearer::wap::{Ports, segments};
use smsbridge::bridge::Party;
use smsbridge::smpp::pdu::SubmitSm;
use smsbridge::smpp::{CString, DataCoding, EsmClass};

/// The short messages that carry it.
///
/// # Errors
/// In words: it is too long, or the address cannot be said.
pub(crate) fn submits(
    (from, to): (&Party, &Party),
    ports: Ports,
    reference: u8,
    octets: &[u8],
) -> Result<Vec<SubmitSm>, String> {
    let parts = segments(ports, reference, octets).ok_or("too long for short messages")?;
    let bad = |error: smsbridge::smpp::ValueError| error.to_string();
    parts
        .iter()
        .map(|part| {
            let mut submit = SubmitSm::default();
            let (ton, npi, address) = from.to_smpp();
            (submit.source_addr_ton, submit.source_addr_npi) = (ton, npi);
            submit.source_addr = CString::try_from(address.as_str()).map_err(bad)?;
            let (ton, npi, address) = to.to_smpp();
            (submit.dest_addr_ton, submit.dest_addr_npi) = (ton, npi);
            submit.destination_addr = CString::try_from(address.as_str()).map_err(bad)?;
            submit.esm_class = submit.esm_class.with(EsmClass::UDHI);
            // 8-bit data
            submit.data_coding = DataCoding(4);
            submit.short_message = Bytes::from(part.short_message()).try_into().map_err(bad)?;
            Ok(submit)
        })
        .collect()
}
