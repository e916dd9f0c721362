//! Mail as programs of thirty years write it, from dice: the same seed makes the same messages.

/// Numbers that look random and are the same for a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A message, and what is known of it.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
    /// Parts by their number, each with its header as it stands in the message.
    pub(crate) parts: Vec<(usize, Vec<u8>)>,
}

/// A charset's name, a text in it, and the same text.
pub(crate) const CHARSETS: &[(&str, &[u8], &str)] = &[
    ("us-ascii", b"plain", "plain"),
    ("utf-8", "Grüße €".as_bytes(), "Grüße €"),
    ("iso-8859-1", b"Gr\xfc\xdfe", "Grüße"),
    ("iso-8859-2", b"\xb1\xe8\xf8", "ąčř"),
    ("iso-8859-3", b"\xe6\xf8", "ĉĝ"),
    ("iso-8859-4", b"\xe0\xbe", "āž"),
    ("iso-8859-5", b"\xbf\xe0\xd8\xd2\xd5\xe2", "Привет"),
    ("iso-8859-6", b"\xe5\xd1\xcd\xc8\xc7", "مرحبا"),
    ("iso-8859-7", b"\xc3\xe5\xe9\xe1", "Γεια"),
    ("iso-8859-8", b"\xf9\xec\xe5\xed", "שלום"),
    ("iso-8859-9", b"\xfd\xfe\xf0", "ışğ"),
    ("iso-8859-10", b"\xe0\xba", "āš"),
    ("iso-8859-13", b"\xe0\xfe", "ąž"),
    ("iso-8859-14", b"\xde\xf0", "Ŷŵ"),
    ("iso-8859-15", b"\xa4", "€"),
    ("iso-8859-16", b"\xfe\xba", "țș"),
    ("windows-1250", b"P\xf8\xedli\x9a", "Příliš"),
    ("windows-1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
    ("windows-1252", b"\x93Gr\xfc\xdfe\x94 \x80", "“Grüße” €"),
    ("windows-1253", b"\xc3\xe5\xe9\xe1", "Γεια"),
    ("windows-1254", b"\xfd\xfe\xf0", "ışğ"),
    ("windows-1255", b"\xf9\xec\xe5\xed", "שלום"),
    ("windows-1256", b"\xe3\xd1\xcd\xc8\xc7", "مرحبا"),
    ("windows-1257", b"\xe0\xfe", "ąž"),
    ("windows-1258", b"\xf0\xfe", "đ₫"),
    ("windows-874", b"\xe4\xb7\xc2", "ไทย"),
    ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
    ("koi8-u", b"\xf0\xd2\xc9\xd7\xa6\xd4", "Привіт"),
    ("macintosh", b"Gr\x9f\xa7e", "Grüße"),
    ("ibm866", b"\x8f\xe0\xa8\xa2\xa5\xe2", "Привет"),
    ("iso-2022-jp", b"\x1b$B$3$s$K$A$O\x1b(B", "こんにちは"),
    ("shift_jis", b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd", "こんにちは"),
    ("euc-jp", b"\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf", "こんにちは"),
    ("gb2312", b"\xc4\xe3\xba\xc3", "你好"),
    ("gbk", b"\xc4\xe3\xba\xc3", "你好"),
    ("gb18030", b"\xc4\xe3\xba\xc3\x81\x30\x81\x30", "你好\u{80}"),
    ("big5", b"\xa7A\xa6n", "你好"),
    ("euc-kr", b"\xbe\xc8\xb3\xe7", "안녕"),
    ("utf-7", b"Gr+APwA3w-e", "Grüße"),
];

const TYPES: &[&str] = &[
    "image/png",
    "image/jpeg",
    "application/pdf",
    "application/octet-stream",
    "application/zip",
    "application/ms-tnef",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "text/csv",
    "text/calendar; method=REQUEST",
    "text/x-vcard",
    "audio/amr",
    "video/3gpp",
    "application/pkcs7-signature",
    "application/pgp-signature",
    "IMAGE/GIF",
    "x-unknown/x-thing",
];

const NAMES: &[&str] = &[
    "name.bin",
    "a b c.pdf",
    "=?utf-8?B?R3LDvMOfZS5wbmc=?=",
    "=?iso-8859-1?Q?Gr=FC=DFe?= =?iso-8859-1?Q?.doc?=",
    "..\\\\..\\\\winnt\\\\x.exe",
    "../../etc/passwd",
    "",
    "one\\\"two.txt",
];

const BOUNDARIES: &[&str] = &[
    "----=_NextPart_000_0001",
    "=_B",
    "Apple-Mail=_1-2-3",
    "b1_x",
    "(a:b)+'c'",
    "000000000000a1b2c3",
    "--dashes--",
    "_000_",
];

/// The message of a number.
pub(crate) fn message(seed: u64, number: usize) -> Made {
    let mut dice = Dice(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    dice.below(2);
    let mut octets = header(&mut dice, number);
    let mut maker = Maker { parts: Vec::new(), next: 0, boundaries: 0 };
    let body = maker.part(&mut dice, 0);
    octets.extend_from_slice(&body);
    // The root goes along only as a whole.
    maker.parts.retain(|(part, _)| *part != 0);
    let name = format!("generated {number}");
    if let Some(damaged) = damage(&mut dice, &octets) {
        return Made { name: format!("{name}, damaged"), octets: damaged, parts: Vec::new() };
    }
    Made { name, octets, parts: maker.parts }
}

/// Everything above the fields of the content.
fn header(dice: &mut Dice, number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (charset, coded, text) = dice.of(CHARSETS);
    if dice.one_in(2) {
        out.extend_from_slice(b"Received: from a.example (a [192.0.2.1])\r\n\tby b.example with ESMTP id 1;\r\n\tSat, 21 Nov 2026 09:00:00 +0000\r\n");
    }
    let froms: &[&[u8]] = &[
        b"From: Zed <zed@far.example>\r\n",
        b"From: =?utf-8?q?Z=C3=A9d?= <zed@far.example>\r\n",
        b"From: zed@far.example (Zed)\r\n",
        b"from: \"Z, the first\" <zed@far.example>, <two@far.example>\r\n",
        b"From: Gr\xfc\xdfe <zed@far.example>\r\n",
        "From: Grüße <zed@far.example>\r\n".as_bytes(),
        b"From:zed@far.example\r\n",
    ];
    out.extend_from_slice(froms[dice.below(froms.len())]);
    out.extend_from_slice(b"To: alice@lab.test\r\n");
    out.extend_from_slice(b"Subject: ");
    match dice.below(5) {
        0 => out.extend_from_slice(format!("generated {number}").as_bytes()),
        1 => out.extend_from_slice(format!("=?{charset}?B?{}?=", base64(coded)).as_bytes()),
        2 if !coded.contains(&0x1b) => out.extend_from_slice(coded),
        3 => out.extend_from_slice(text.as_bytes()),
        _ => out.extend_from_slice("folded\r\n and folded\r\n\tagain".as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
    if !dice.one_in(6) {
        out.extend_from_slice(format!("Message-ID: <g{number}@far.example>\r\n").as_bytes());
    }
    let dates = [
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n",
        "Date: Sat Nov 21 10:00:00 2026\r\n",
        "Date: 21 Nov 26 10:00 EST\r\n",
        "Date: soon\r\n",
        "",
    ];
    out.extend_from_slice(dice.of(&dates).as_bytes());
    if dice.one_in(8) {
        out.extend_from_slice(format!("X-Long: {}\r\n", "x".repeat(1_200)).as_bytes());
    }
    if dice.one_in(8) {
        let many: String = (0..200).map(|n| format!("X-Field-{n}: value {n}\r\n")).collect();
        out.extend_from_slice(many.as_bytes());
    }
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    out
}

struct Maker {
    parts: Vec<(usize, Vec<u8>)>,
    next: usize,
    boundaries: usize,
}

impl Maker {
    /// A part with its header: several of them inside, or one. They are numbered in their order.
    fn part(&mut self, dice: &mut Dice, depth: usize) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        if depth < 6 && dice.below(depth + 2) < 2 && (depth == 0 || dice.one_in(2)) {
            return self.several(dice, depth);
        }
        let part = if dice.one_in(5) && depth > 0 { nested(dice) } else { leaf(dice) };
        self.parts.push((number, part.clone()));
        part
    }

    fn several(&mut self, dice: &mut Dice, depth: usize) -> Vec<u8> {
        let kind = *dice.of(&[
            "mixed",
            "alternative",
            "related",
            "signed",
            "report",
            "parallel",
            "MIXED",
            "form-data",
        ]);
        self.boundaries += 1;
        let boundary = format!("{}{}", dice.of(BOUNDARIES), self.boundaries);
        let mut out = match dice.below(3) {
            0 => format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n"),
            1 => format!("Content-Type: multipart/{kind};\r\n\tcharset=utf-8;\r\n\tBoundary=\"{boundary}\"\r\n\r\n"),
            _ => format!("Content-Transfer-Encoding: 8bit\r\nContent-Type: multipart/{kind}; type=\"text/html\"; boundary=\"{boundary}\"\r\n\r\n"),
        }
        .into_bytes();
        if dice.one_in(2) {
            out.extend_from_slice(b"This is a multi-part message in MIME format.\r\n");
        }
        for _ in 0..1 + dice.below(4) {
            out.extend_from_slice(
                format!("--{boundary}{}\r\n", dice.of(&["", "", "", " ", "\t "])).as_bytes(),
            );
            let part = self.part(dice, depth + 1);
            out.extend_from_slice(&part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{boundary}--").as_bytes());
        if dice.one_in(3) {
            out.extend_from_slice(b"\r\nepilogue\r\n");
        }
        if depth == 0 {
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// A part that holds no others.
fn leaf(dice: &mut Dice) -> Vec<u8> {
    if dice.one_in(2) {
        return text(dice);
    }
    let content: Vec<u8> =
        (0..1 + dice.below(9_000)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
    let (kind, name) = (*dice.of(TYPES), *dice.of(NAMES));
    let mut out = format!("Content-Type: {kind}; name=\"{name}\"\r\n");
    match dice.below(4) {
        0 => {}
        1 => out.push_str(&format!("Content-Disposition: attachment; filename=\"{name}\"\r\n")),
        2 => out.push_str(
            "Content-Disposition: inline;\r\n filename*0*=utf-8''gr%C3%BC;\r\n filename*1*=%C3%9Fe;\r\n filename*2=\".bin\"\r\n",
        ),
        _ => out.push_str("Content-ID: <part@far.example>\r\nContent-Disposition: inline\r\n"),
    }
    out.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
    out.push_str(&base64_lines(&content, *dice.of(&[76, 60, 72, 4])));
    out.into_bytes()
}

/// A text in some charset and some encoding.
const ENDS: [&[u8]; 8] = [
    b"\r\n",
    b" \r\n",
    b"\r\n\r\n",
    b"\r\n.\r\n",
    b"\r\n..\r\n",
    b"\r\nFrom me\r\n",
    b"\r\n-- \r\n",
    b"\r\n> \r\n",
];

fn text(dice: &mut Dice) -> Vec<u8> {
    let (charset, coded, _) = dice.of(CHARSETS);
    let lines = 1 + dice.below(60);
    let mut content = Vec::new();
    for line in 0..lines {
        content.extend_from_slice(format!("line {line}: ").as_bytes());
        content.extend_from_slice(coded);
        let end: &&[u8] = dice.of(&ENDS);
        content.extend_from_slice(end);
    }
    let kind = *dice.of(&["plain", "html", "plain; format=flowed", "enriched", "PLAIN"]);
    let mut out = format!("Content-Type: text/{kind}; charset={charset}\r\n");
    match dice.below(4) {
        0 => {
            out.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
            out.push_str(&quoted(&content));
        }
        1 => {
            out.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
            out.push_str(&base64_lines(&content, 76));
        }
        2 => {
            // It says 7bit, and is not.
            let mut out = format!("{out}Content-Transfer-Encoding: 7bit\r\n\r\n").into_bytes();
            out.extend_from_slice(&content);
            return out;
        }
        _ => {
            let mut out = format!("{out}Content-Transfer-Encoding: 8bit\r\n\r\n").into_bytes();
            out.extend_from_slice(&content);
            return out;
        }
    }
    out.into_bytes()
}

/// A message inside.
fn nested(dice: &mut Dice) -> Vec<u8> {
    let mut out = b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\nFrom: in@far.example\r\nSubject: inside\r\n".to_vec();
    out.extend_from_slice(&leaf(dice));
    out
}

/// What happens to mail on its way; mostly nothing.
fn damage(dice: &mut Dice, octets: &[u8]) -> Option<Vec<u8>> {
    let mut octets = octets.to_vec();
    match dice.below(14) {
        0 => octets.truncate(1 + dice.below(octets.len())),
        1 => {
            for _ in 0..5 {
                let at = dice.below(octets.len());
                octets[at] = u8::try_from(1 + dice.below(255)).unwrap();
            }
        }
        2 => octets.retain(|&octet| octet != b'\r'),
        3 => {
            let at = dice.below(octets.len());
            let piece = octets[at..octets.len().min(at + 300)].to_vec();
            let to = dice.below(octets.len());
            octets.splice(to..to, piece);
        }
        4 => {
            let at = dice.below(octets.len());
            octets.splice(at..at, b"\r".iter().copied());
        }
        _ => return None,
    }
    Some(octets)
}

pub(crate) fn base64(octets: &[u8]) -> String {
    mailsync_proto::mail::transfer::to_base64(octets)
}

fn base64_lines(octets: &[u8], width: usize) -> String {
    let whole = base64(octets).into_bytes();
    whole.chunks(width).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect()
}

/// Quoted-printable of lines.
fn quoted(octets: &[u8]) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (at, &octet) in octets.iter().enumerate() {
        if octet == b'\n' || (octet == b'\r' && octets.get(at + 1) == Some(&b'\n')) {
            out.push(char::from(octet));
            width = 0;
            continue;
        }
        let ends = octets.get(at + 1) == Some(&b'\r');
        let plain = octet.is_ascii_graphic() && octet != b'=' || (octet == b' ' && !ends);
        let next = if plain { char::from(octet).to_string() } else { format!("={octet:02X}") };
        if width + next.len() > 75 {
            out.push_str("=\r\n");
            width = 0;
        }
        width += next.len();
        out.push_str(&next);
    }
    out
}
