//! `date-time` of IMAP, and names of folders in modified UTF-7.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of ` 2-Nov-2026 10:00:00 +0100`.
// spec: RFC 3501 §9, date-time
pub fn read(text: &str) -> Option<u64> {
    let mut parts = text.split_ascii_whitespace();
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let mut date = date.split('-');
    let day: i64 = date.next()?.parse().ok()?;
    let month = date.next()?;
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))?;
    let year: i64 = date.next()?.parse().ok()?;
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let zone: i64 = zone.parse().ok()?;
    let fits = (1..=31).contains(&day)
        && (1..=9999).contains(&year)
        && [(hour, 24), (minute, 60), (second, 61)].iter().all(|(n, end)| (0..*end).contains(n))
        && zone.abs() < 2400;
    if !fits {
        return None;
    }
    let ahead = (zone / 100).checked_mul(3600)?.checked_add((zone % 100).checked_mul(60)?)?;
    let days = days(year, i64::try_from(month).ok()?.checked_add(1)?, day)?;
    let seconds = days.checked_mul(86_400)?.checked_add(hour.checked_mul(3600)?)?;
    let seconds = seconds.checked_add(minute.checked_mul(60)?)?.checked_add(second)?.checked_sub(ahead)?;
    u64::try_from(seconds).ok()
}

/// The same in UTC, for `APPEND`.
pub fn write(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days.min(2_932_896));
    let month = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or("Jan");
    format!("{day:02}-{month}-{year:04} {:02}:{:02}:{:02} +0000", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Days since 1970 of a civil date, Gregorian.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let before = (1970..year).chain(year..1970).count();
    if before > 10_000 {
        return None;
    }
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let length = |y: i64, m: i64| match m {
        2 => 28i64.saturating_add(i64::from(leap(y))),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day > length(year, month) {
        return None;
    }
    let years: i64 = (1970..year).map(|y| 365i64.saturating_add(i64::from(leap(y)))).sum();
    let back: i64 = (year..1970).map(|y| 365i64.saturating_add(i64::from(leap(y)))).sum();
    let months: i64 = (1..month).map(|m| length(year, m)).sum();
    years.checked_sub(back)?.checked_add(months)?.checked_add(day)?.checked_sub(1)
}

fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let mut year = 1970u64;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days = days.saturating_sub(length);
        year = year.saturating_add(1);
    }
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1usize;
    for length in lengths {
        if days < length {
            break;
        }
        days = days.saturating_sub(length);
        month = month.saturating_add(1);
    }
    (year, month.min(12), days.saturating_add(1))
}

/// A folder's name for people, from modified UTF-7; as it is where it is not that.
// spec: RFC 3501 §5.1.3
pub fn decode_name(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some((plain, after)) = rest.split_once('&') {
        out.push_str(plain);
        let Some((coded, after)) = after.split_once('-') else { return name.to_owned() };
        if coded.is_empty() {
            out.push('&');
        } else {
            match from_base64(coded) {
                Some(text) => out.push_str(&text),
                None => return name.to_owned(),
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A name for people in modified UTF-7.
pub fn encode_name(name: &str) -> String {
    let mut out = String::new();
    let mut coded: Vec<u16> = Vec::new();
    let flush = |coded: &mut Vec<u16>, out: &mut String| {
        if !coded.is_empty() {
            let octets: Vec<u8> = coded.drain(..).flat_map(u16::to_be_bytes).collect();
            let text = mailsync_proto::mail::transfer::to_base64(&octets);
            let text: String = text.chars().filter(|c| !matches!(c, '=' | '\r' | '\n')).collect();
            out.push_str(&format!("&{}-", text.replace('/', ",")));
        }
    };
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut coded, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            coded.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    flush(&mut coded, &mut out);
    out
}

fn from_base64(coded: &str) -> Option<String> {
    let mut text = coded.replace(',', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    let octets = mailsync_proto::mail::transfer::from_base64(text.as_bytes())?;
    let units: Vec<u16> = octets
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_be_bytes([*pair.first()?, *pair.get(1)?])))
        .collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_both_ways() {
        for (text, seconds) in [
            ("01-Jan-1970 00:00:00 +0000", 0),
            ("29-Feb-2000 23:59:59 +0000", 951_868_799),
            ("22-Nov-2026 09:00:00 +0000", 1_795_338_000),
            ("31-Dec-2099 00:00:00 +0000", 4_102_358_400),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
            assert_eq!(write(seconds), text);
        }
        assert_eq!(read(" 2-Nov-2026 10:30:00 +0130"), read("02-Nov-2026 09:00:00 +0000"));
        for bad in [
            "",
            "x",
            "32-Jan-2000 00:00:00 +0000",
            "30-Feb-2001 00:00:00 +0000",
            "01-Jan-1900 00:00:00 +0000",
            "01-Foo-2000 00:00:00 +0000",
            "01-Jan-2000 00:00:00",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_both_ways() {
        for (wire, name) in [
            ("INBOX", "INBOX"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("&U,BTFw-", "台北"),
            ("a&-b", "a&b"),
            ("&2D3eAA-", "😀"),
        ] {
            assert_eq!(decode_name(wire), name);
            assert_eq!(encode_name(name), wire);
        }
        assert_eq!(decode_name("a&b"), "a&b", "not of that kind");
    }
}
