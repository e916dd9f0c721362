//! Small changes of somebody's entry that leave the rest as it was written.

use alloc::string::String;

use super::write::stamp;
use crate::instant::UnixTime;

/// The calendar with its first entry done: a `VTODO` completed, a `VEVENT` called off (it has no other end).
///
/// Nothing is checked: what is no calendar stays what it is.
/// # Spec
/// RFC 5545 §3.8.1.11, §3.8.2.1
#[must_use]
pub fn finished(text: &str, now: UnixTime) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(80));
    let (mut depth, mut done, mut folded) = (0_u32, false, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if folded && (bare.starts_with(' ') || bare.starts_with('\t')) {
            continue;
        }
        folded = false;
        if bare.starts_with("BEGIN:") {
            depth = depth.saturating_add(1);
        }
        let name = bare.split([':', ';']).next().unwrap_or_default();
        let replaced = matches!(name, "STATUS" | "COMPLETED" | "PERCENT-COMPLETE");
        if depth == 2 && !done && replaced {
            folded = true;
            continue;
        }
        if depth == 2 && !done && matches!(bare, "END:VTODO" | "END:VEVENT") {
            done = true;
            if bare == "END:VTODO" {
                out.push_str("STATUS:COMPLETED\r\nPERCENT-COMPLETE:100\r\nCOMPLETED:");
                out.push_str(&stamp(now));
                out.push_str("\r\n");
            } else {
                out.push_str("STATUS:CANCELLED\r\n");
            }
        }
        if bare.starts_with("END:") {
            depth = depth.saturating_sub(1);
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_is_done_and_the_rest_is_as_it_was() {
        let text = "BEGIN:VCALENDAR\r\nX-A:1\r\nBEGIN:VTODO\r\nUID:u\r\nSTATUS:NEEDS-\r\n ACTION\r\nX-B;P=\"a\":2\r\n\
            BEGIN:VALARM\r\nSTATUS:x\r\nEND:VALARM\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";
        let done = finished(text, UnixTime::from_secs(1_795_334_400));
        assert_eq!(
            done,
            "BEGIN:VCALENDAR\r\nX-A:1\r\nBEGIN:VTODO\r\nUID:u\r\nX-B;P=\"a\":2\r\nBEGIN:VALARM\r\nSTATUS:x\r\n\
             END:VALARM\r\nSTATUS:COMPLETED\r\nPERCENT-COMPLETE:100\r\nCOMPLETED:20261122T080000Z\r\n\
             END:VTODO\r\nEND:VCALENDAR\r\n"
        );
        let event = done.replace("VTODO", "VEVENT");
        assert!(finished(&event, UnixTime::EPOCH).contains("STATUS:CANCELLED\r\nEND:VEVENT"));
        for other in ["", "no calendar", "BEGIN:VCALENDAR\nEND:VCALENDAR"] {
            assert_eq!(finished(other, UnixTime::EPOCH), other);
        }
    }
}
