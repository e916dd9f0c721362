//! What real peers do differently, each by name.

/// A ready set of [`Quirks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The standard, for conformance tests.
    Strict,
    /// What harms nobody; the default.
    #[default]
    Normal,
    /// All of it.
    Lenient,
}

/// Which deviations are taken when a body is read. Nothing here changes what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// A string that ends with the body needs no NUL (seen in `receipted_message_id` and in `message_id`).
    pub nul_less_strings: bool,
    /// Strings longer than the standard allows (passwords, UUIDs as `message_id`).
    pub long_strings: bool,
    /// Up to 3 octets after the last field or TLV are ignored (python-smpp PR 7: a stray NUL).
    pub trailing_octets: bool,
    /// TLVs of other sizes are kept (jasmin 120, 399: `sar_total_segments` of 2 octets).
    pub tlv_sizes: bool,
    /// TLVs on PDUs that have none (jasmin 549, jsmpp 214).
    pub tlvs_anywhere: bool,
    /// A successful response may lack its body (`deliver_sm_resp` of header only).
    pub missing_body: bool,
    /// A refusing response may have any body (smppex 6); it is then read as far as it makes sense.
    pub body_on_error: bool,
    /// `short_message` of 255 octets: legal in 5.0, not in 3.4.
    pub sm_length_255: bool,
    /// Times of any length are kept.
    pub any_time: bool,
    /// What to do with `short_message` and `message_payload` at once.
    pub two_texts: PayloadRule,
    /// TLVs taken on one PDU.
    pub max_tlvs: usize,
}

/// What two texts in one PDU mean; they are never joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadRule {
    /// An error.
    Refuse,
    /// `message_payload` counts, as 5.0 has it.
    PayloadWins,
}

impl Quirks {
    /// Nothing that the standard does not allow.
    pub fn strict() -> Self {
        Quirks {
            nul_less_strings: false,
            long_strings: false,
            trailing_octets: false,
            tlv_sizes: false,
            tlvs_anywhere: false,
            missing_body: false,
            body_on_error: false,
            sm_length_255: false,
            any_time: false,
            two_texts: PayloadRule::Refuse,
            max_tlvs: 64,
        }
    }

    /// What harms nobody.
    pub fn normal() -> Self {
        Quirks {
            nul_less_strings: true,
            tlv_sizes: true,
            tlvs_anywhere: true,
            missing_body: true,
            body_on_error: true,
            ..Quirks::strict()
        }
    }

    /// All of it.
    pub fn lenient() -> Self {
        Quirks {
            long_strings: true,
            trailing_octets: true,
            sm_length_255: true,
            any_time: true,
            two_texts: PayloadRule::PayloadWins,
            ..Quirks::normal()
        }
    }
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks::normal()
    }
}

impl From<Profile> for Quirks {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Strict => Quirks::strict(),
            Profile::Normal => Quirks::normal(),
            Profile::Lenient => Quirks::lenient(),
        }
    }
}
