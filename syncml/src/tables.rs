//! The one table of elements: name, code page, token and first version, shared by both spellings.

use crate::model::{Page, Version};

/// A row of the table.
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    pub(crate) name: &'static str,
    pub(crate) page: Page,
    pub(crate) token: u8,
    pub(crate) since: Version,
    /// `<Name>` and `</Name>`.
    #[cfg(feature = "xml")]
    pub(crate) tags: (&'static str, &'static str),
}

macro_rules! elements {
    ($( $page:ident { $( $tag:ident = $token:literal $name:literal $since:ident ),* $(,)? } )*) => {
        /// An element that the tables know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub(crate) enum Tag { $( $( $tag, )* )* }

        const ENTRIES: &[Entry] = &[ $( $( Entry {
            tag: Tag::$tag, name: $name, page: Page::$page, token: $token, since: Version::$since,
            #[cfg(feature = "xml")]
            tags: (concat!("<", $name, ">"), concat!("</", $name, ">")),
        }, )* )* ];

        impl Tag {
            /// How many there are.
            pub(crate) const COUNT: usize = ENTRIES.len();

            /// Its row.
            #[inline]
            pub(crate) const fn entry(self) -> &'static Entry {
                &ENTRIES[self as usize]
            }
        }
    };
}

// spec: WBXML facts §5: SyncML, MetInf and DevInf code pages, equal in libwbxml, the reference toolkit and Nokia.
elements! {
    SyncMl {
        Add = 0x05 "Add" V1_0, Alert = 0x06 "Alert" V1_0, Archive = 0x07 "Archive" V1_0,
        Atomic = 0x08 "Atomic" V1_0, Chal = 0x09 "Chal" V1_0, Cmd = 0x0A "Cmd" V1_0,
        CmdId = 0x0B "CmdID" V1_0, CmdRef = 0x0C "CmdRef" V1_0, Copy = 0x0D "Copy" V1_0,
        Cred = 0x0E "Cred" V1_0, Data = 0x0F "Data" V1_0, Delete = 0x10 "Delete" V1_0,
        Exec = 0x11 "Exec" V1_0, Final = 0x12 "Final" V1_0, Get = 0x13 "Get" V1_0,
        Item = 0x14 "Item" V1_0, Lang = 0x15 "Lang" V1_0, LocName = 0x16 "LocName" V1_0,
        LocUri = 0x17 "LocURI" V1_0, Map = 0x18 "Map" V1_0, MapItem = 0x19 "MapItem" V1_0,
        Meta = 0x1A "Meta" V1_0, MsgId = 0x1B "MsgID" V1_0, MsgRef = 0x1C "MsgRef" V1_0,
        NoResp = 0x1D "NoResp" V1_0, NoResults = 0x1E "NoResults" V1_0, Put = 0x1F "Put" V1_0,
        Replace = 0x20 "Replace" V1_0, RespUri = 0x21 "RespURI" V1_0, Results = 0x22 "Results" V1_0,
        Search = 0x23 "Search" V1_0, Sequence = 0x24 "Sequence" V1_0, SessionId = 0x25 "SessionID" V1_0,
        SftDel = 0x26 "SftDel" V1_0, Source = 0x27 "Source" V1_0, SourceRef = 0x28 "SourceRef" V1_0,
        Status = 0x29 "Status" V1_0, Sync = 0x2A "Sync" V1_0, SyncBody = 0x2B "SyncBody" V1_0,
        SyncHdr = 0x2C "SyncHdr" V1_0, SyncMl = 0x2D "SyncML" V1_0, Target = 0x2E "Target" V1_0,
        TargetRef = 0x2F "TargetRef" V1_0, VerDtd = 0x31 "VerDTD" V1_0, VerProto = 0x32 "VerProto" V1_0,
        NumberOfChanges = 0x33 "NumberOfChanges" V1_1, MoreData = 0x34 "MoreData" V1_1,
        Field = 0x35 "Field" V1_2, Filter = 0x36 "Filter" V1_2, Record = 0x37 "Record" V1_2,
        FilterType = 0x38 "FilterType" V1_2, SourceParent = 0x39 "SourceParent" V1_2,
        TargetParent = 0x3A "TargetParent" V1_2, Move = 0x3B "Move" V1_2,
        Correlator = 0x3C "Correlator" V1_2,
    }
    MetInf {
        Anchor = 0x05 "Anchor" V1_0, Emi = 0x06 "EMI" V1_0, Format = 0x07 "Format" V1_0,
        FreeId = 0x08 "FreeID" V1_0, FreeMem = 0x09 "FreeMem" V1_0, Last = 0x0A "Last" V1_0,
        Mark = 0x0B "Mark" V1_0, MaxMsgSize = 0x0C "MaxMsgSize" V1_0, Mem = 0x0D "Mem" V1_0,
        MetInf = 0x0E "MetInf" V1_0, Next = 0x0F "Next" V1_0, NextNonce = 0x10 "NextNonce" V1_0,
        MemShared = 0x11 "SharedMem" V1_0, Size = 0x12 "Size" V1_0, Type = 0x13 "Type" V1_0,
        Version = 0x14 "Version" V1_0, MaxObjSize = 0x15 "MaxObjSize" V1_1,
        MetaFieldLevel = 0x16 "FieldLevel" V1_2,
    }
    DevInf {
        CtCap = 0x05 "CTCap" V1_0, CtType = 0x06 "CTType" V1_0, DataStore = 0x07 "DataStore" V1_0,
        DataType = 0x08 "DataType" V1_0, DevId = 0x09 "DevID" V1_0, DevInf = 0x0A "DevInf" V1_0,
        DevTyp = 0x0B "DevTyp" V1_0, DisplayName = 0x0C "DisplayName" V1_0, DsMem = 0x0D "DSMem" V1_0,
        Ext = 0x0E "Ext" V1_0, FwV = 0x0F "FwV" V1_0, HwV = 0x10 "HwV" V1_0, Man = 0x11 "Man" V1_0,
        MaxGuidSize = 0x12 "MaxGUIDSize" V1_0, MaxId = 0x13 "MaxID" V1_0, MaxMem = 0x14 "MaxMem" V1_0,
        Mod = 0x15 "Mod" V1_0, Oem = 0x16 "OEM" V1_0, ParamName = 0x17 "ParamName" V1_0,
        PropName = 0x18 "PropName" V1_0, Rx = 0x19 "Rx" V1_0, RxPref = 0x1A "Rx-Pref" V1_0,
        DsSharedMem = 0x1B "SharedMem" V1_0, MaxSize = 0x1C "MaxSize" V1_2,
        DevSourceRef = 0x1D "SourceRef" V1_0, SwV = 0x1E "SwV" V1_0, SyncCap = 0x1F "SyncCap" V1_0,
        SyncType = 0x20 "SyncType" V1_0, Tx = 0x21 "Tx" V1_0, TxPref = 0x22 "Tx-Pref" V1_0,
        ValEnum = 0x23 "ValEnum" V1_0, VerCt = 0x24 "VerCT" V1_0, DevVerDtd = 0x25 "VerDTD" V1_0,
        XNam = 0x26 "XNam" V1_0, XVal = 0x27 "XVal" V1_0, Utc = 0x28 "UTC" V1_1,
        SupportNumberOfChanges = 0x29 "SupportNumberOfChanges" V1_1,
        SupportLargeObjs = 0x2A "SupportLargeObjs" V1_1, Property = 0x2B "Property" V1_2,
        PropParam = 0x2C "PropParam" V1_2, MaxOccur = 0x2D "MaxOccur" V1_2,
        NoTruncate = 0x2E "NoTruncate" V1_2, FilterRx = 0x30 "Filter-Rx" V1_2,
        FilterCap = 0x31 "FilterCap" V1_2, FilterKeyword = 0x32 "FilterKeyword" V1_2,
        DevFieldLevel = 0x33 "FieldLevel" V1_2,
        SupportHierarchicalSync = 0x34 "SupportHierarchicalSync" V1_2,
        // One token, two names: `Size` before 1.2, `MaxSize` since. Kept last, so that the token means MaxSize.
        DevSize = 0x1C "Size" V1_0,
    }
}

impl Tag {
    /// Its name in XML.
    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }

    /// Its vocabulary.
    pub(crate) fn page(self) -> Page {
        self.entry().page
    }

    /// Its WBXML token, bits 0 to 5.
    #[cfg(any(test, feature = "wbxml"))]
    pub(crate) fn token(self) -> u8 {
        self.entry().token
    }

    /// Its bit among the elements of its vocabulary.
    pub(crate) const fn bit(self) -> u64 {
        1_u64.wrapping_shl(self.entry().token as u32)
    }

    /// The element with this token.
    #[cfg(feature = "wbxml")]
    #[inline]
    pub(crate) fn by_token(page: Page, token: u8) -> Option<Tag> {
        *BY_TOKEN.get(slot(page)?)?.get(usize::from(token & 0x3F))?
    }

    /// The elements of a vocabulary by their tokens.
    #[cfg(feature = "wbxml")]
    pub(crate) fn all_by_token(page: Page) -> &'static ByToken {
        slot(page).and_then(|page| BY_TOKEN.get(page)).unwrap_or(&[None; 64])
    }

    /// The element with this name; case counts, as in every implementation met.
    pub(crate) fn by_name(page: Page, name: &[u8]) -> Option<Tag> {
        let table = BY_NAME.get(slot(page)?)?;
        let mut at = hash(name);
        loop {
            let row = index(table.get(at)?)?;
            let entry = ENTRIES.get(row)?;
            if entry.name.as_bytes() == name {
                return Some(entry.tag);
            }
            at = at.wrapping_add(1) % SLOTS;
        }
    }
}

/// The three vocabularies of the table.
pub(crate) const PAGES: [Page; 3] = [Page::SyncMl, Page::MetInf, Page::DevInf];

const SLOTS: usize = 256;
const NONE: u8 = u8::MAX;

/// Elements by token, bits 0 to 5.
#[cfg(feature = "wbxml")]
pub(crate) type ByToken = [Option<Tag>; 64];

#[cfg(feature = "wbxml")]
static BY_TOKEN: [ByToken; 3] = by_token();
static BY_NAME: [[u8; SLOTS]; 3] = by_name();

const fn slot(page: Page) -> Option<usize> {
    match page {
        Page::SyncMl => Some(0),
        Page::MetInf => Some(1),
        Page::DevInf => Some(2),
        Page::Other(_) => None,
    }
}

fn index(cell: &u8) -> Option<usize> {
    (*cell != NONE).then_some(usize::from(*cell))
}

/// Length, first, middle and last octet are enough to keep probes short.
const fn hash(name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let mut h = len.wrapping_mul(11);
    h = h.wrapping_add((name[0] as usize).wrapping_mul(7));
    h = h.wrapping_add((name[len / 2] as usize).wrapping_mul(31));
    h = h.wrapping_add((name[len - 1] as usize).wrapping_mul(17));
    h % SLOTS
}

#[cfg(feature = "wbxml")]
const fn by_token() -> [ByToken; 3] {
    let mut table = [[None; 64]; 3];
    let mut row = 0;
    while row < ENTRIES.len() {
        if let Some(page) = slot(ENTRIES[row].page) {
            let cell = &mut table[page][ENTRIES[row].token as usize];
            if cell.is_none() {
                *cell = Some(ENTRIES[row].tag);
            }
        }
        row += 1;
    }
    table
}

const fn by_name() -> [[u8; SLOTS]; 3] {
    let mut table = [[NONE; SLOTS]; 3];
    let mut row = 0;
    while row < ENTRIES.len() {
        if let Some(page) = slot(ENTRIES[row].page) {
            let mut at = hash(ENTRIES[row].name.as_bytes());
            while table[page][at] != NONE {
                at = (at + 1) % SLOTS;
            }
            table[page][at] = row as u8;
        }
        row += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    // spec-test: WBXML facts §5, written down a second time: a wrong token would round-trip. The mark `|` stands
    // before what came with 1.1, `||` before what came with 1.2, `-` for a token that means nothing.
    const SYNCML: &str = "Add Alert Archive Atomic Chal Cmd CmdID CmdRef Copy Cred Data Delete Exec Final Get Item \
        Lang LocName LocURI Map MapItem Meta MsgID MsgRef NoResp NoResults Put Replace RespURI Results Search \
        Sequence SessionID SftDel Source SourceRef Status Sync SyncBody SyncHdr SyncML Target TargetRef - VerDTD \
        VerProto | NumberOfChanges MoreData || Field Filter Record FilterType SourceParent TargetParent Move \
        Correlator";
    const METINF: &str = "Anchor EMI Format FreeID FreeMem Last Mark MaxMsgSize Mem MetInf Next NextNonce \
        SharedMem Size Type Version | MaxObjSize || FieldLevel";
    const DEVINF: &str = "CTCap CTType DataStore DataType DevID DevInf DevTyp DisplayName DSMem Ext FwV HwV Man \
        MaxGUIDSize MaxID MaxMem Mod OEM ParamName PropName Rx Rx-Pref SharedMem Size SourceRef SwV SyncCap \
        SyncType Tx Tx-Pref ValEnum VerCT VerDTD XNam XVal | UTC SupportNumberOfChanges SupportLargeObjs || \
        Property PropParam MaxOccur NoTruncate - Filter-Rx FilterCap FilterKeyword FieldLevel \
        SupportHierarchicalSync";

    #[test]
    fn tokens_names_and_versions_are_those_of_the_fact_sheet() {
        let mut rows = 0;
        for (page, list) in [(Page::SyncMl, SYNCML), (Page::MetInf, METINF), (Page::DevInf, DEVINF)] {
            let (mut token, mut since) = (0x05, Version::V1_0);
            for word in list.split_whitespace() {
                match word {
                    "|" => since = Version::V1_1,
                    "||" => since = Version::V1_2,
                    "-" => {
                        assert!(ENTRIES.iter().all(|entry| entry.page != page || entry.token != token));
                        token += 1;
                    }
                    name => {
                        let tag = Tag::by_name(page, name.as_bytes()).unwrap();
                        assert_eq!((tag.name(), tag.page(), tag.token()), (name, page, token), "{name}");
                        assert_eq!(tag.entry().since, since, "{name}");
                        #[cfg(feature = "wbxml")]
                        if name != "Size" || page != Page::DevInf {
                            assert_eq!(Tag::by_token(page, token), Some(tag), "{name}");
                        }
                        rows += 1;
                        token += 1;
                    }
                }
            }
        }
        // `MaxSize` of DevInf 1.2 shares the token of `Size`.
        let max_size = Tag::by_name(Page::DevInf, b"MaxSize").unwrap();
        assert_eq!((max_size.token(), max_size.entry().since), (0x1C, Version::V1_2));
        #[cfg(feature = "wbxml")]
        assert_eq!(Tag::by_token(Page::DevInf, 0x1C), Some(max_size));
        assert_eq!(rows + 1, ENTRIES.len());
    }
}
