//! Behaviour of real peers that differs from the specifications, one switch each.

/// What the reader puts up with.
///
/// Every field is one behaviour met in the field, with where it was met. [`Quirks::strict`] is for
/// conformance tests, [`Quirks::normal`] (the default) for honest traffic of any age, [`Quirks::lenient`] for
/// looking into broken files.
///
/// ```
/// use syncml::Quirks;
/// let mut quirks = Quirks::normal();
/// quirks.trailing_bytes = true;
/// assert!(!Quirks::strict().text_as_opaque);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// Elements without a namespace, or in a wrong one, are known by their name.
    ///
    /// Source: sync4j clients send MetInf elements without namespace (reference toolkit history 2005-11-11).
    pub missing_namespace: bool,
    /// Children come in any order.
    ///
    /// Source: Sony Ericsson Z600, `MaxGUIDSize` before `SourceRef`; Funambol and the reference toolkit swap
    /// `SupportLargeObjs` and `SupportNumberOfChanges`.
    pub any_order: bool,
    /// Elements of a later version than `VerDTD` says.
    ///
    /// Source: Nokia, `SourceParent` in SyncML 1.1 SMS sync.
    pub newer_elements: bool,
    /// `Meta` holds a `MetInf` wrapper around its elements.
    ///
    /// Source: facts §3, content model of `Meta`.
    pub metinf_wrapper: bool,
    /// A DevInf document as text: CDATA or escaped in XML, XML inside a WBXML opaque.
    ///
    /// Source: WBXML facts §7: detect by content, not by `Type`.
    pub devinf_as_text: bool,
    /// A DevInf document that cannot be read stays octets.
    ///
    /// Source: a large one comes in chunks, as any object may (session facts, large objects).
    pub partial_devinf: bool,
    /// Parts that DevInf or MetInf calls mandatory are missing.
    ///
    /// Source: 1.0 phones leave out `SyncCap` and `Next`; an anchor echoed in a `Status` holds one of two.
    pub incomplete_info: bool,
    /// Parts that SyncML calls mandatory are missing; numbers become 0, texts empty.
    ///
    /// Source: none met: for looking into broken files.
    pub incomplete_commands: bool,
    /// Text where only elements belong is dropped.
    ///
    /// Source: none met: for looking into broken files.
    pub stray_text: bool,
    /// A value that its field cannot take, or a second one, is kept as an unknown element.
    ///
    /// Source: none met outside DevInf: for looking into broken files.
    pub odd_values: bool,
    /// The same, in DevInf alone.
    ///
    /// Source: devices that repeat `Rx-Pref` and `Tx-Pref` (reference toolkit history, facts §3); sync types in
    /// words (facts §5.2).
    pub odd_devinf: bool,
    /// Octets after the end of the document are ignored.
    ///
    /// Source: WBXML facts §8.5.
    pub trailing_bytes: bool,
    /// WBXML: control text as OPAQUE.
    ///
    /// Source: Sony Ericsson K500i, K700i, Z600; Nokia 9210.
    pub text_as_opaque: bool,
    /// WBXML: the string table does not end with NUL.
    ///
    /// Source: Sony Ericsson and Synthesis captures; SyncML 1.0 of SyncEvolution (capture 30).
    pub string_table_without_nul: bool,
    /// WBXML: an attribute with literal 0 and no string table is `xmlns`.
    ///
    /// Source: Nokia, WBXML facts §8.2.
    pub nameless_xmlns: bool,
    /// WBXML: extension tokens are skipped.
    ///
    /// Source: the reference toolkit skips them.
    pub extension_tokens: bool,
}

impl Quirks {
    /// Nothing but what the specifications say.
    pub const fn strict() -> Self {
        Quirks {
            missing_namespace: false,
            any_order: false,
            newer_elements: false,
            metinf_wrapper: false,
            devinf_as_text: false,
            partial_devinf: false,
            incomplete_info: false,
            incomplete_commands: false,
            stray_text: false,
            odd_values: false,
            odd_devinf: false,
            trailing_bytes: false,
            text_as_opaque: false,
            string_table_without_nul: false,
            nameless_xmlns: false,
            extension_tokens: false,
        }
    }

    /// What honest peers of any age do.
    pub const fn normal() -> Self {
        Quirks {
            missing_namespace: true,
            any_order: true,
            newer_elements: true,
            metinf_wrapper: true,
            devinf_as_text: true,
            partial_devinf: true,
            odd_devinf: true,
            incomplete_info: true,
            text_as_opaque: true,
            string_table_without_nul: true,
            nameless_xmlns: true,
            extension_tokens: true,
            ..Quirks::strict()
        }
    }

    /// As much as can be read.
    pub const fn lenient() -> Self {
        Quirks {
            incomplete_commands: true,
            stray_text: true,
            odd_values: true,
            trailing_bytes: true,
            ..Quirks::normal()
        }
    }
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks::normal()
    }
}
