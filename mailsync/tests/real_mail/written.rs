//! Mail with one oddity each, written by hand.

use super::generate::{CHARSETS, Made, base64};

/// A header with these fields of the content, and what follows.
fn mail(name: &str, fields: &str, body: &[u8]) -> Made {
    let subject = name.replace(|c: char| !c.is_ascii_alphanumeric(), " ");
    let id = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let mut octets = format!(
        "From: Zed <zed@far.example>\r\nTo: alice@lab.test\r\nSubject: {subject}\r\nMessage-ID: <{id}@far.example>\r\n\
         Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n{fields}\r\n"
    )
    .into_bytes();
    octets.extend_from_slice(body);
    made(name, octets)
}

fn made(name: &str, octets: impl Into<Vec<u8>>) -> Made {
    Made { name: name.to_owned(), octets: octets.into(), parts: Vec::new() }
}

/// A multipart of these parts.
fn multi(name: &str, kind: &str, parts: &[&str]) -> Made {
    let body: String = parts.iter().map(|part| format!("--=_B\r\n{part}\r\n")).collect();
    let mut made = mail(
        name,
        &format!("Content-Type: multipart/{kind}; boundary=\"=_B\"\r\n"),
        format!("{body}--=_B--\r\n").as_bytes(),
    );
    // Those whose header has an end: where the others begin is a matter of taste.
    let closed = |part: &&str| part.starts_with("\r\n") || part.contains("\r\n\r\n");
    let numbered = parts.iter().enumerate().filter(|(_, part)| closed(part));
    made.parts = numbered.map(|(at, part)| (at + 1, part.as_bytes().to_vec())).collect();
    made
}

const TEXT: &str = "Content-Type: text/plain\r\n\r\nHello";
const PNG: &str =
    "Content-Type: image/png; name=p.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=";

pub(crate) fn all() -> Vec<Made> {
    let mut all = structures();
    all.extend(headers());
    all.extend(bodies());
    all.extend(kinds());
    for (charset, octets, text) in CHARSETS {
        let mut eight = mail(
            &format!("charset {charset} raw"),
            &format!(
                "X-Raw: {text}\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n"
            ),
            octets,
        );
        eight.octets.extend_from_slice(b"\r\n");
        all.push(eight);
        let fields = format!(
            "X-Word: =?{charset}?B?{0}?=\r\nContent-Type: text/html; charset=\"{1}\"\r\nContent-Transfer-Encoding: base64\r\n",
            base64(octets),
            charset.to_uppercase()
        );
        all.push(mail(
            &format!("charset {charset} coded"),
            &fields,
            format!("{}\r\n", base64(octets)).as_bytes(),
        ));
    }
    all
}

/// How parts are put together, and how that fails.
fn structures() -> Vec<Made> {
    let mixed = "Content-Type: multipart/mixed; boundary=\"=_B\"\r\n";
    let deep: String =
        (0..200).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let closed: String = (0..30).rev().map(|n| format!("\r\n--b{n}--")).collect();
    let thirty: String =
        (0..30).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000) + "x";
    let bomb = format!(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        mailsync_proto::mail::transfer::to_base64_lines(nested.as_bytes())
    );
    let many = "--=_B\r\n\r\nx\r\n".repeat(1_200);
    vec![
        multi("mixed", "mixed", &[TEXT, PNG]),
        multi("alternative", "alternative", &[TEXT, "Content-Type: text/html\r\n\r\n<p>Hello"]),
        multi("related", "related; type=\"text/html\"", &["Content-Type: text/html\r\n\r\n<img src=cid:1>", PNG]),
        multi("digest", "digest", &["\r\nSubject: one\r\n\r\n1", "\r\nSubject: two\r\n\r\n2"]),
        multi("parallel", "parallel", &[PNG, PNG]),
        multi("unknown multipart", "x-thing", &[TEXT, PNG]),
        multi("empty parts", "mixed", &["", "\r\n", "Content-Type: image/png\r\n\r\n", TEXT]),
        multi("part with bare header", "mixed", &["X-Nothing: here", TEXT]),
        mail("no final boundary", mixed, format!("--=_B\r\n{TEXT}\r\n--=_B\r\n{PNG}\r\n").as_bytes()),
        mail("no boundary at all", mixed, b"just text\r\n"),
        mail("no boundary parameter", "Content-Type: multipart/mixed\r\n", b"--x\r\n\r\ntext\r\n--x--\r\n"),
        mail("empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\r\n", b"--\r\n\r\ntext\r\n----\r\n"),
        mail("only a final boundary", mixed, b"preamble\r\n--=_B--\r\nepilogue\r\n"),
        mail("text after the end", mixed, format!("--=_B\r\n{TEXT}\r\n--=_B--\r\n--=_B\r\n{PNG}\r\n").as_bytes()),
        mail(
            "boundary that begins another",
            "Content-Type: multipart/mixed; boundary=ab\r\n",
            format!("--ab\r\nContent-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\n{TEXT}\r\n--abc\r\n{PNG}\r\n--abc--\r\n--ab\r\n{PNG}\r\n--ab--\r\n").as_bytes(),
        ),
        mail(
            "boundary that another begins",
            "Content-Type: multipart/mixed; boundary=abc\r\n",
            format!("--abc\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n{TEXT}\r\n--ab--\r\n--abc\r\n{PNG}\r\n--abc--\r\n").as_bytes(),
        ),
        mail(
            "the same boundary twice",
            mixed,
            format!("--=_B\r\nContent-Type: multipart/mixed; boundary=\"=_B\"\r\n\r\n--=_B\r\n{TEXT}\r\n--=_B--\r\n--=_B--\r\n").as_bytes(),
        ),
        mail("boundary with blanks behind it", mixed, format!("--=_B \t\r\n{TEXT}\r\n--=_B-- \r\n").as_bytes()),
        mail("boundary inside a line", mixed, b"--=_B\r\n\r\nsee --=_B here\r\n --=_B\r\n--=_B--\r\n"),
        mail("boundary in continuations", "Content-Type: multipart/mixed; boundary*0=\"=_\"; boundary*1=B\r\n", format!("--=_B\r\n{TEXT}\r\n--=_B--\r\n").as_bytes()),
        mail("long boundary", &format!("Content-Type: multipart/mixed; boundary=\"{}\"\r\n", "b".repeat(300)), format!("--{0}\r\n\r\nx\r\n--{0}--\r\n", "b".repeat(300)).as_bytes()),
        made("two hundred multiparts in each other", deep),
        made("thirty multiparts in each other", format!("Subject: thirty\r\n{thirty}\r\nHello{closed}\r\n")),
        made("threat m4 twenty thousand messages in each other, in base64", format!("Subject: bomb\r\nMIME-Version: 1.0\r\n{bomb}")),
        made("threat m4 messages in each other", format!("Subject: nested\r\n{nested}\r\n")),
        mail("threat m4 more than a thousand parts", mixed, format!("{many}--=_B--\r\n").as_bytes()),
    ]
}

/// Odd headers.
fn headers() -> Vec<Made> {
    vec![
        made("empty header", "\r\nbody alone\r\n"),
        made("no header at all", "hello\r\nthis is no header\r\n"),
        made("no body", "Subject: no body\r\nFrom: zed@far.example\r\n\r\n"),
        made("no empty line", "Subject: no empty line\r\nFrom: zed@far.example\r\n"),
        made("one line", "Subject: x"),
        made("from line of an mbox", "From zed@far.example Sat Nov 21 10:00:00 2026\r\nSubject: mbox\r\n\r\nx\r\n"),
        mail("duplicated headers", "Subject: again\r\nMessage-ID: <other@far.example>\r\nFrom: two@far.example\r\nTo: b@x.example\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n", b"x\r\n"),
        mail("header of 60 KB", &format!("X-Big: {}\r\n", "y ".repeat(30_000)), b"x\r\n"),
        mail("header of 250 KB", &format!("References:{}\r\n", "\r\n <id.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@far.example>".repeat(4_800)), b"x\r\n"),
        mail("header of 400 KB", &"X-F: value of a field\r\n".repeat(17_000), b"x\r\n"),
        mail("two thousand recipients", &format!("Cc: {}nobody@x.example\r\n", "someone <a@x.example>,\r\n ".repeat(2_000)), b"x\r\n"),
        mail("eight bit header", "X-Raw: Gr\u{fc}\u{df}e\r\nReply-To: \u{4f60}\u{597d} <a@b.example>\r\n", b"x\r\n"),
        made("latin 1 header", &b"From: Gr\xfc\xdfe <g@far.example>\r\nSubject: caf\xe9\r\nMessage-ID: <latin@far.example>\r\n\r\nx\r\n"[..]),
        mail("encoded words that are none", "X-A: =?utf-8?Q?=ZZ?= =?x?B?@@@?= =?utf-8?X?a?= =?==?=\r\nX-B: =?utf-8?B?4oKs\r\n", b"x\r\n"),
        mail("encoded word cut inside a character", "X-A: =?utf-8?B?4oI=?= =?utf-8?B?rA==?=\r\n", b"x\r\n"),
        mail("rfc 2231 name", "Content-Type: application/pdf; name*0*=windows-1251''%CF%F0; name*1*=%E8; name*3=x\r\nContent-Disposition: attachment; filename*=utf-8'en'gr%C3%BC%C3%9Fe.pdf\r\n", b"%PDF\r\n"),
        mail("rfc 2231 without end", "Content-Type: application/pdf; name*0*=utf-8'; name*99999999999=%; name*=%%%\r\n", b"%PDF\r\n"),
        mail("comments everywhere", "Content-Type: (a) text (b) / (c) plain (d) ; (e) charset = (f) utf-8 (((\r\n", b"x\r\n"),
        mail("blank before the colon", "X-A : b\r\nContent-Type : text/plain\r\n", b"x\r\n"),
        mail("folded to nothing", "X-A:\r\n \r\n\t\r\n b\r\nContent-Type:\r\n text/plain\r\n", b"x\r\n"),
        mail("line that is no field", "this is no field\r\nContent-Type: text/plain\r\n", b"x\r\n"),
        mail("wrong content length", "Content-Length: 5\r\nLines: 99\r\n", b"much more than five octets\r\n"),
        mail("dates", "Date: Thu, 99 Foo 99999 99:99:99 +9999\r\nResent-Date: -1\r\n", b"x\r\n"),
        mail("bare address groups", "Cc: undisclosed-recipients:;\r\nBcc: friends: a@b, c@d;\r\nReply-To: <<<>>>\r\n", b"x\r\n"),
        mail("quotes without end", "Cc: \"never ends <a@b>\r\nContent-Disposition: attachment; filename=\"no end\r\n", b"x\r\n"),
        mail("controls in a header", "X-A: \u{7}\u{1b}[31mred\u{0b}\r\n", b"x\r\n"),
        mail("received a hundred times", &"Received: from a by b; Sat, 21 Nov 2026 09:00:00 +0000\r\n".repeat(110), b"x\r\n"),
        made("no message id", "From: zed@far.example\r\nSubject: none\r\n\r\nx\r\n"),
        made("the same message id 1", "Message-ID: <same@far.example>\r\nSubject: same 1\r\n\r\none\r\n"),
        made("the same message id 2", "Message-ID: <same@far.example>\r\nSubject: same 2\r\n\r\ntwo\r\n"),
        mail("message id with blanks", "X-A: b\r\nIn-Reply-To: <a b@c>, junk <d@e>\r\nReferences: <<a>> <b\r\n", b"x\r\n"),
        mail("from nobody", "Sender:\r\nReturn-Path: <>\r\nAuto-Submitted: auto-generated\r\n", b"x\r\n"),
    ]
}

/// Odd bodies.
fn bodies() -> Vec<Made> {
    let yenc: Vec<u8> = (0..4_000u32)
        .map(|n| u8::try_from(1 + (n * 7 + 42) % 255).unwrap())
        .map(|o| if matches!(o, b'\r' | b'\n') { b'=' } else { o })
        .collect();
    let mut yenc: Vec<u8> = yenc.chunks(128).flat_map(|line| [line, b"\r\n"].concat()).collect();
    yenc.splice(0..0, b"=ybegin line=128 size=4000 name=x.bin\r\n".iter().copied());
    yenc.extend_from_slice(b"=yend size=4000\r\n");
    vec![
        mail("lone dots", "", b".\r\n..\r\n.x\r\n\r\n.\r\n"),
        mail("bare line feeds", "", b"one\ntwo\n.\nthree\r\n"),
        mail("bare carriage returns", "", b"one\rtwo\r\rthree\r\n\r"),
        mail("line of 5000", "", format!("{}\r\n", "z".repeat(5_000)).as_bytes()),
        mail("one line of 200 KB", "", "w".repeat(200_000).as_bytes()),
        mail("no line end at the end", "", b"no end"),
        mail("nul octets", "Content-Type: application/octet-stream\r\n", b"a\0b\0\0c\r\n"),
        mail(
            "all octets",
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n",
            &(1..=255u8).collect::<Vec<u8>>(),
        ),
        mail("uuencode", "", b"begin 644 x.txt\r\n#0V%T\r\n`\r\nend\r\n"),
        mail("yenc", "", &yenc),
        mail(
            "format flowed",
            "Content-Type: text/plain; format=flowed; delsp=yes\r\n",
            b"one \r\ntwo\r\n> quoted \r\n> more\r\n-- \r\nme\r\n",
        ),
        mail(
            "broken base64",
            "Content-Transfer-Encoding: base64\r\n",
            b"aGVs*bG8=\r\n=aGk\r\n====\r\n\xff\xfe\r\n",
        ),
        mail("base64 without padding", "Content-Transfer-Encoding: base64\r\n", b"aGVsbG8\r\n"),
        mail(
            "broken quoted printable",
            "Content-Transfer-Encoding: quoted-printable\r\n",
            b"=ZZ =3 = \r\n=\r\n==\r\n=\r",
        ),
        mail("unknown encoding", "Content-Transfer-Encoding: x-uuencode\r\n", b"begin 644 x\r\nend\r\n"),
        mail(
            "encoding of a multipart",
            "Content-Type: multipart/mixed; boundary=q\r\nContent-Transfer-Encoding: base64\r\n",
            b"--q\r\n\r\nplain after all\r\n--q--\r\n",
        ),
        mail("eight bit in seven", "Content-Transfer-Encoding: 7bit\r\n", "Grüße\r\n".as_bytes()),
        mail("wrong charset", "Content-Type: text/plain; charset=utf-8\r\n", b"Gr\xfc\xdfe \xff\xfe\r\n"),
        mail(
            "unknown charset",
            "Content-Type: text/plain; charset=x-user-defined-99\r\n",
            b"Gr\xfc\xdfe\r\n",
        ),
        mail(
            "html",
            "Content-Type: text/html\r\n",
            b"<html><script>x</script><p>a<br>b&amp;&#x4f60;&nbsp;<table><td>c<style>",
        ),
        mail("html without ends", "Content-Type: text/html\r\n", "<div><b>".repeat(3_000).as_bytes()),
        mail("cdata and markup", "", b"]]> <![CDATA[ &lt; </Data></Item> ]]>]]&gt;\r\n"),
        mail("empty lines", "", "\r\n".repeat(500).as_bytes()),
        mail("escape sequences", "", b"\x1b[2J\x1b]0;title\x07\r\n"),
    ]
}

/// What programs send besides letters.
fn kinds() -> Vec<Made> {
    let calendar = "Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR";
    let tnef = "Content-Type: application/ms-tnef; name=\"winmail.dat\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"winmail.dat\"\r\n\r\neJ8+IgEAAQAABgAIAAAAAAAAAAAA";
    let signature = "Content-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7s\r\n\r\nMIAGCSqGSIb3DQEHAqCAMIACAQExDzANBglghkgBZQMEAgEFADCABgkqhkiG9w0BBwEAAA==";
    let report = "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1";
    let original = "Content-Type: message/rfc822\r\n\r\nFrom: alice@lab.test\r\nSubject: first\r\n\r\nHello";
    let pgp = "Content-Type: application/pgp-signature; name=signature.asc\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQEzBAAB\r\n-----END PGP SIGNATURE-----";
    vec![
        multi("winmail dat", "mixed", &[TEXT, tnef]),
        multi("invitation", "alternative", &[TEXT, "Content-Type: text/html\r\n\r\n<p>Hi", calendar]),
        multi("invitation attached", "mixed", &[TEXT, calendar]),
        multi(
            "signed s mime",
            "signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256",
            &[TEXT, signature],
        ),
        multi(
            "signed pgp mime",
            "signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha256",
            &[
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =\r\nund mehr =20",
                pgp,
            ],
        ),
        multi(
            "encrypted pgp mime",
            "encrypted; protocol=\"application/pgp-encrypted\"",
            &[
                "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",
                "Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----",
            ],
        ),
        mail(
            "encrypted s mime",
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7m\r\n",
            b"MIAGCSqGSIb3DQEHA6CAMIACAQA=\r\n",
        ),
        multi("message inside", "mixed", &[TEXT, original]),
        multi(
            "message in a message",
            "mixed",
            &[
                TEXT,
                "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: message/rfc822\r\n\r\nSubject: third\r\n\r\nthree\r\n--in--\r\n",
            ],
        ),
        multi(
            "message in base64",
            "mixed",
            &[
                TEXT,
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp4DQo=",
            ],
        ),
        mail("message as the whole", "Content-Type: message/rfc822\r\n", b"Subject: inside\r\n\r\nHello\r\n"),
        mail(
            "message partial",
            "Content-Type: message/partial; id=\"p@far.example\"; number=2; total=3\r\n",
            b"the second part\r\n",
        ),
        multi(
            "message external body",
            "mixed",
            &[
                TEXT,
                "Content-Type: message/external-body; access-type=URL; URL=\"http://far.example/\"\r\n\r\nContent-Type: image/png\r\n\r\n",
            ],
        ),
        multi("delivery report", "report; report-type=delivery-status", &[TEXT, report, original]),
        multi(
            "read receipt",
            "report; report-type=disposition-notification",
            &[
                TEXT,
                "Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822;a@b.example\r\nDisposition: manual-action/MDN-sent-manually; displayed",
            ],
        ),
        multi(
            "vcard",
            "mixed",
            &[TEXT, "Content-Type: text/x-vcard; name=me.vcf\r\n\r\nBEGIN:VCARD\r\nFN:Me\r\nEND:VCARD"],
        ),
        multi(
            "apple double",
            "appledouble",
            &[
                "Content-Type: application/applefile\r\nContent-Transfer-Encoding: base64\r\n\r\nAAUWBwACAAA=",
                PNG,
            ],
        ),
        multi(
            "names that mislead",
            "mixed",
            &[
                "Content-Type: application/x-msdownload; name=\"../../../etc/passwd\"\r\n\r\nx",
                "Content-Type: image/png; name=\"a\u{202e}gnp.exe\"\r\n\r\nx",
                "Content-Disposition: attachment; filename=\"CON.txt\"\r\n\r\nx",
            ],
        ),
        multi(
            "voice mail",
            "voice-message; version=2.0",
            &[
                TEXT,
                "Content-Type: audio/32KADPCM\r\nContent-Transfer-Encoding: base64\r\nContent-Duration: 10\r\n\r\nAAAA",
            ],
        ),
        multi(
            "mms",
            "related; start=\"<smil>\"",
            &[
                "Content-Type: application/smil; name=a.smil\r\nContent-ID: <smil>\r\n\r\n<smil/>",
                "Content-Type: image/jpeg\r\nContent-Location: b.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ",
            ],
        ),
    ]
}
