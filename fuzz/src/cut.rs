//! Mail in part: whatever is cut, and of whatever octets.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use mailsync_proto::mail::cut::{Cut, cut, parts, rejoin};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::{Left, Wanted};

/// What is wanted, and a mail.
pub const CUT: Target = Target {
    name: "cut",
    input: "an octet that says what is wanted, one for the size, and a mail",
    dictionary: Some("mail"),
    properties: &[
        Property {
            name: "rejoined",
            sentence: "a mail that is cut and what was cut from it, put together again, are the mail, octet for octet",
            check: rejoined,
        },
        Property {
            name: "said",
            sentence: "what is said to be missing is what is missing, to the octet, and it travels in the extensions",
            check: said,
        },
        Property {
            name: "no-more",
            sentence: "what is sent has all of the header, and no more than was wanted: in octets, and in kinds",
            check: no_more,
        },
        Property {
            name: "in-proportion",
            sentence: "finding the parts of a mail costs no more memory than in proportion to it",
            check: in_proportion,
        },
    ],
};

fn input(data: &[u8]) -> (Wanted, Bytes) {
    let (says, rest) = data.split_first().unwrap_or((&0, &[]));
    let (size, mail) = rest.split_first().unwrap_or((&0, &[]));
    let mut wanted = Wanted::HEADER;
    wanted.text = says & 1 != 0;
    wanted.attachments = says & 3 == 3;
    if says & 4 != 0 {
        wanted.types = vec!["image/*".into(), "application/pdf".into(), "part/2".into()];
    }
    wanted.max = (says & 8 != 0).then(|| u64::from(*size) * 8);
    (wanted, Bytes::copy_from_slice(mail))
}

fn of(data: &[u8]) -> (Wanted, Bytes, Cut) {
    let (wanted, mail) = input(data);
    let cut = cut(&mail, &wanted);
    (wanted, mail, cut)
}

fn rejoined(data: &[u8]) -> Result<(), Broken> {
    let (wanted, mail, cut) = of(data);
    let mut last = 0;
    for range in &cut.ranges {
        ensure!(
            range.start >= last && range.start < range.end && range.end <= mail.len(),
            "{:?}",
            cut.ranges
        );
        last = range.end;
    }
    let pieces = cut.ranges.iter().map(|range| &mail[range.clone()]);
    let whole = rejoin(&cut.message, &cut.ranges, pieces);
    ensure!(whole == mail, "{wanted:?}: {:?}", whole.escape_ascii().to_string());
    Ok(())
}

fn said(data: &[u8]) -> Result<(), Broken> {
    let (_, mail, cut) = of(data);
    let parts: u64 = cut.left.attachments.iter().map(|part| part.size).sum();
    ensure!(cut.left.size == mail.len() as u64, "{:?}", cut.left);
    ensure!(cut.left.is_partial() == (cut.message.len() < mail.len()), "{:?}", cut.left);
    let missing = (mail.len() - cut.message.len()) as u64;
    // Where the text is cut, attachments behind it go with it.
    ensure!(cut.left.body + parts >= missing, "{missing} octets are missing, said is {:?}", cut.left);
    if cut.left.is_partial() {
        let again = Left::of(&cut.left.to_ext()).unwrap_or_default();
        let numbers = |left: &Left| {
            left.attachments.iter().take(100).map(|part| (part.number, part.size)).collect::<Vec<_>>()
        };
        ensure!((again.size, again.body) == (cut.left.size, cut.left.body), "{again:?}");
        ensure!(numbers(&again) == numbers(&cut.left), "{again:?}");
    }
    Ok(())
}

fn no_more(data: &[u8]) -> Result<(), Broken> {
    let (wanted, mail, cut) = of(data);
    let header = Headers::parse(&mail).body.min(mail.len());
    ensure!(cut.message.starts_with(&mail[..header]), "the header is not whole");
    if let Some(max) = wanted.max {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(header);
        ensure!(cut.message.len() <= max, "{} octets, {max} were wanted", cut.message.len());
    }
    if !wanted.text {
        ensure!(cut.message.len() == header, "more than the header");
    }
    // What is named as missing is a part by this number.
    let parts = parts(&mail);
    for left in &cut.left.attachments {
        ensure!(parts.iter().any(|part| part == left), "{left:?} is none of {parts:?}");
    }
    Ok(())
}

fn in_proportion(data: &[u8]) -> Result<(), Broken> {
    let (_, mail) = input(data);
    let used = allocation_counter::measure(|| drop(parts(&mail)));
    let most = (mail.len() as u64).saturating_mul(400).saturating_add(1024 * 1024);
    ensure!(used.bytes_max <= most, "{} octets for {}", used.bytes_max, mail.len());
    Ok(())
}
