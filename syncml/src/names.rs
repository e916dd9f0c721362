//! Names for numbers, for people: what the inspector and logs print.

/// What a `SyncType` of DevInf means.
pub fn sync_type(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "two-way",
        2 => "slow sync",
        3 => "one-way from client",
        4 => "refresh from client",
        5 => "one-way from server",
        6 => "refresh from server",
        7 => "server-alerted",
        _ => return None,
    })
}

/// The document that a numeric WBXML public id stands for.
pub fn public_id(number: u32) -> Option<&'static str> {
    Some(match number {
        0x01 => "unknown",
        0x0FD1 => "SyncML 1.0",
        0x0FD2 => "DevInf 1.0",
        0x0FD3 => "SyncML 1.1",
        0x0FD4 => "DevInf 1.1",
        0x1201 => "SyncML 1.2",
        0x1202 => "MetInf 1.2",
        0x1203 => "DevInf 1.2",
        _ => return None,
    })
}

/// The character set that a MIBenum number stands for.
pub fn charset(number: u32) -> Option<&'static str> {
    Some(match number {
        0 => "unknown",
        3 => "US-ASCII",
        4 => "ISO-8859-1",
        106 => "UTF-8",
        1000 => "UCS-2",
        1013 => "UTF-16BE",
        1014 => "UTF-16LE",
        1015 => "UTF-16",
        _ => return None,
    })
}
