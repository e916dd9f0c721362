//! Opening a session.

use super::record::records;
use crate::Secret;
use crate::smpp::{CString, InterfaceVersion, Npi, Ton};

records! {
    /// `bind_receiver`, `bind_transmitter` and `bind_transceiver`: who wants in, and as what.
    ///
    /// # Spec
    /// SMPP v3.4 §4.1
    Bind [no tlvs] {
        system_id: CString<16> = "Account.",
        password: Secret<CString<9>> = "Password, at most 8 characters.",
        system_type: CString<13> = "Kind of client; usually empty.",
        interface_version: InterfaceVersion = "Version that the ESME speaks.",
        addr_ton: Ton = "Type of the served numbers.",
        addr_npi: Npi = "Plan of the served numbers.",
        address_range: CString<41> = "Served numbers, like a regular expression; usually empty.",
    }

    /// Answers a bind. `sc_interface_version` in the TLVs tells the centre's version.
    ///
    /// # Spec
    /// SMPP v3.4 §4.1.2
    BindResp [tlvs] {
        system_id: CString<16> = "The centre's name.",
    }

    /// `outbind`: the centre asks the ESME to bind. It has no response.
    ///
    /// # Spec
    /// SMPP v3.4 §4.1.7
    Outbind [no tlvs] {
        system_id: CString<16> = "The centre's name.",
        password: Secret<CString<9>> = "Lets the ESME check the centre.",
    }
}
