//! The mails of the demo, built octet by octet: what a mailbox of many years holds.

use std::fmt::Write as _;

/// A mail as it is handed to the SMTP client.
pub(super) struct Mail {
    /// What it shows.
    pub(super) what: &'static str,
    /// Envelope sender.
    pub(super) from: &'static str,
    /// Its Message-ID, without brackets.
    pub(super) id: String,
    /// The subject as a reader shows it.
    pub(super) subject: &'static str,
    /// The message (RFC 5322).
    pub(super) octets: Vec<u8>,
}

/// Where ann and bob get their mail.
pub(super) const ANN: &str = "ann@localhost";
/// See [`ANN`].
pub(super) const BOB: &str = "bob@localhost";
const STRANGER: &str = "olive@far.example";
/// Octets of the attachment that is called 5 MB.
const FIVE_MB: usize = 5_000_000;

impl Mail {
    /// A mail from its header fields (each line ended with CRLF) and its body.
    fn new(
        what: &'static str,
        from: &'static str,
        subject: (&'static str, &str),
        rest: &str,
        body: &[u8],
    ) -> Self {
        let id = format!("{}@demo.example", what.replace(' ', "."));
        let (shown, coded) = subject;
        let mut octets = format!(
            "Message-ID: <{id}>\r\nDate: Tue, 07 Aug 2007 01:02:03 +0000\r\nFrom: <{from}>\r\nTo: <{ANN}>\r\n\
             Subject: {coded}\r\n{rest}\r\n"
        )
        .into_bytes();
        octets.extend_from_slice(body);
        Mail { what, from, id, subject: shown, octets }
    }
}

/// The mails that ann gets first.
pub(super) fn all() -> Vec<Mail> {
    let plain =
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    vec![
        Mail::new(
            "UTF-8 subject",
            BOB,
            ("Grüße aus Köln", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?="),
            plain,
            "Liebe Ann,\r\n\r\nschöne Grüße! Antworte mir.\r\n\r\nBob\r\n".as_bytes(),
        ),
        Mail::new(
            "Chinese subject",
            STRANGER,
            ("你好，世界", &format!("=?UTF-8?B?{}?=", base64("你好，世界".as_bytes(), 0))),
            plain,
            "邮件同步。\r\n".as_bytes(),
        ),
        Mail::new("raw UTF-8 header", STRANGER, ("多谢 œuvre", "多谢 œuvre"), plain, b"RFC 6532\r\n"),
        gb18030(),
        Mail::new(
            "quoted-printable",
            STRANGER,
            ("Quoted", "Quoted"),
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n",
            b"caf=E9 =3D coffee, a line that goes on and on and on and on and on and on=\r\n and ends here =20\r\n",
        ),
        Mail::new(
            "HTML alternative",
            STRANGER,
            ("Two ways to say it", "Two ways to say it"),
            "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_alt\"\r\n",
            b"--=_alt\r\nContent-Type: text/plain\r\n\r\nA <b> & ]]>\r\n--=_alt\r\nContent-Type: text/html\r\n\r\n\
              <html><body><p>A &lt;b&gt; &amp; ]]&gt;</p></body></html>\r\n--=_alt--\r\n",
        ),
        picture(),
        nested(),
        attachment("5 MB attachment", FIVE_MB),
        Mail::new("empty body", STRANGER, ("Nothing inside", "Nothing inside"), "", b""),
        Mail::new("dot lines", STRANGER, ("Dots", "Dots"), "", b".\r\n..\r\n.dot\r\nend.\r\n.\r\n\r\n.\r\n"),
        Mail::new("no final newline", STRANGER, ("Cut", "Cut"), "", b"the last line has no end"),
        every_octet(),
    ]
}

/// A mail with pseudo-random content of so many octets, for a transfer that takes a while.
pub(super) fn large(what: &'static str) -> Mail {
    // Base64 in lines is about 1.37 times as long.
    attachment(what, 3_650_000)
}

// Two-octet codes, and a four-octet one: U+1F600.
fn gb18030() -> Mail {
    let body = b"\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7 \x94\x39\xFC\x36\r\n";
    Mail::new(
        "GB18030 8-bit body",
        STRANGER,
        ("你好", "=?GB18030?B?xOO6ww==?="),
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=GB18030\r\nContent-Transfer-Encoding: 8bit\r\n",
        body,
    )
}

/// Octets that are no text in any encoding, beside those that SMTP does not carry: NUL, and CR or LF alone.
fn every_octet() -> Mail {
    let body: Vec<u8> = (1..=255u8).filter(|octet| !matches!(octet, b'\r' | b'\n')).chain(*b"\r\n").collect();
    Mail::new(
        "octets that are no text",
        STRANGER,
        ("Octets", "Octets"),
        "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n",
        &body,
    )
}

fn picture() -> Mail {
    let body = format!(
        "--=_mix\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--=_mix\r\nContent-Type: image/png; name=dot.png\r\n\
         Content-Disposition: attachment; filename=dot.png\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--=_mix--\r\n",
        base64(&png(), 76)
    );
    let rest = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_mix\"\r\n";
    Mail::new("picture", STRANGER, ("A picture", "A picture"), rest, body.as_bytes())
}

fn nested() -> Mail {
    let body = b"--=_out\r\nContent-Type: text/plain\r\n\r\nLook what came:\r\n--=_out\r\n\
        Content-Type: message/rfc822\r\n\r\nMessage-ID: <inner@demo.example>\r\nFrom: <x@far.example>\r\n\
        Subject: inner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_in\"\r\n\r\n\
        --=_in\r\n\r\ninner text\r\n--=_in--\r\n\r\n--=_out--\r\n";
    let rest = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_out\"\r\n";
    Mail::new("nested message", STRANGER, ("Fwd: inner", "Fwd: inner"), rest, body)
}

fn attachment(what: &'static str, octets: usize) -> Mail {
    let rest = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=noise.bin\r\n\
                Content-Disposition: attachment; filename=noise.bin\r\nContent-Transfer-Encoding: base64\r\n";
    let mut body = base64(&noise(octets, what.len() as u64), 76);
    body.push_str("\r\n");
    Mail::new(what, STRANGER, ("A large one", "A large one"), rest, body.as_bytes())
}

/// Octets that do not repeat (xorshift), so that a chunk that is lost or doubled shows.
fn noise(octets: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 0x9E37_79B9_0000_0000;
    let mut out = Vec::with_capacity(octets + 8);
    while out.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(octets);
    out
}

/// Base64 in lines of so many characters (0: one line), without a last line end.
fn base64(octets: &[u8], line: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(octets.len() / 3 * 4 + octets.len() / 50 + 8);
    let mut column = 0;
    for group in octets.chunks(3) {
        if line != 0 && column == line {
            out.push_str("\r\n");
            column = 0;
        }
        let bits =
            group.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - group.len()));
        for n in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * n)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if n > group.len() { '=' } else { char::from(letter) });
        }
        column += 4;
    }
    out
}

/// A picture of 8 x 8 grey squares.
// spec: PNG (ISO/IEC 15948) §5; zlib RFC 1950, one stored block of RFC 1951
fn png() -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..8u8 {
        rows.push(0);
        rows.extend((0..8u8).map(|x| (x ^ y) * 32));
    }
    let length = u16::try_from(rows.len()).unwrap_or_default();
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(&(!length).to_le_bytes());
    data.extend_from_slice(&rows);
    data.extend_from_slice(&adler32(&rows).to_be_bytes());
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in
        [(b"IHDR", &b"\0\0\0\x08\0\0\0\x08\x08\0\0\0\0"[..]), (b"IDAT", &data), (b"IEND", &[])]
    {
        out.extend_from_slice(&u32::try_from(content.len()).unwrap_or_default().to_be_bytes());
        let checked = [&name[..], content].concat();
        out.extend_from_slice(&checked);
        out.extend_from_slice(&crc32(&checked).to_be_bytes());
    }
    out
}

fn adler32(octets: &[u8]) -> u32 {
    let (a, b) = octets.iter().fold((1u32, 0u32), |(a, b), octet| {
        let a = (a + u32::from(*octet)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0u32, |crc, octet| {
        (0..8).fold(
            crc ^ u32::from(*octet),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

/// A mail's first lines, for a message that says what differs.
pub(super) fn excerpt(octets: &[u8], at: usize) -> String {
    let mut out = String::new();
    for octet in octets.get(at..).unwrap_or_default().iter().take(16) {
        let _ = write!(out, "{}", octet.escape_ascii());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_others_write_it() {
        // spec: RFC 4648 §10
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes(), 0), coded);
        }
        assert_eq!(base64(b"foobar", 4), "Zm9v\r\nYmFy");
    }

    #[test]
    fn checksums_as_others_count_them() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn every_mail_is_another() {
        let mails = all();
        let ids: std::collections::HashSet<_> = mails.iter().map(|mail| &mail.id).collect();
        assert_eq!(ids.len(), mails.len());
        assert!(mails.iter().any(|mail| mail.octets.len() > FIVE_MB));
        assert!(mails.iter().any(|mail| !mail.octets.ends_with(b"\r\n")));
    }
}
