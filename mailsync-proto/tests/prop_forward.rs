//! What is spliced into a forward, cut out again, is the original's octets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use mailsync_proto::mail::cut::parts;
use mailsync_proto::mail::forward::{Kind, Refusal, Request};
use mailsync_proto::mail::headers::Headers;
use mailsync_proto::mail::outbox::is_address;
use mailsync_proto::mail::splice::splice;
use mailsync_proto::mail::transfer::from_base64;
use proptest::prelude::*;

/// The parts of a message between its own boundaries.
fn cut_out(message: &[u8]) -> Vec<Vec<u8>> {
    let headers = Headers::parse(message);
    let kind = headers.first("Content-Type").unwrap().text();
    let boundary = kind.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let mark = format!("\r\n--{boundary}").into_bytes();
    let mut rest = &message[headers.body - 2..];
    let mut found = Vec::new();
    while let Some(at) = rest.windows(mark.len()).position(|w| w == mark) {
        found.push(rest[..at].to_vec());
        rest = &rest[at + mark.len()..];
    }
    assert_eq!(rest, b"--\r\n", "it ends with the closing boundary");
    found.remove(0);
    found.into_iter().map(|part| part.strip_prefix(b"\r\n").unwrap().to_vec()).collect()
}

fn body(part: &[u8]) -> &[u8] {
    &part[Headers::parse(part).body..]
}

/// The content of an attached original, whichever way it went.
fn content(part: &[u8]) -> Vec<u8> {
    let headers = Headers::parse(part);
    match headers.first("Content-Transfer-Encoding").map(|field| field.text()) {
        Some(coding) if coding == "base64" => from_base64(body(part)).unwrap_or_else(|| body(part).to_vec()),
        _ => body(part).to_vec(),
    }
}

fn draft(text: &str) -> Bytes {
    format!("From: a@b.example\r\nTo: c@d.example\r\nMessage-ID: <n@b>\r\n\r\n{text}").into()
}

fn leaf() -> impl Strategy<Value = String> {
    let kinds = prop_oneof![
        Just("Content-Type: image/png; name=\"p.png\"\r\nContent-Transfer-Encoding: base64\r\n"),
        Just("Content-Type: text/plain; charset=utf-8\r\n"),
        Just("Content-Type: message/rfc822\r\n"),
        Just("Content-Disposition: attachment; filename*=utf-8''%C3%A4\r\n"),
        Just(""),
    ];
    (kinds, "([ -~äß]{0,60}\r\n){0,6}[ -~]{0,20}").prop_map(|(head, text)| format!("{head}\r\n{text}"))
}

/// Mails of parts, well made, and what is left of them when an octet or their end is damaged.
fn mails() -> impl Strategy<Value = Vec<u8>> {
    let made = proptest::collection::vec(leaf(), 1..6).prop_map(|leaves| {
        let mut text = "Received: x\r\nFrom: z@far.example\r\nSubject: s\r\nMessage-ID: <1@far>\r\n\
            Content-Type: multipart/mixed; boundary=\"=_out\"\r\n\r\npre"
            .to_owned();
        for leaf in leaves {
            text += &format!("\r\n--=_out\r\n{leaf}");
        }
        (text + "\r\n--=_out--\r\n").into_bytes()
    });
    let damaged =
        (made, any::<prop::sample::Index>(), any::<u8>(), 0..4).prop_map(|(mut mail, at, octet, how)| {
            let at = at.index(mail.len());
            match how {
                0 => mail.truncate(at),
                1 => mail[at] = octet,
                _ => {}
            }
            mail
        });
    prop_oneof![4 => damaged, 1 => proptest::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    // mission: M6b
    #[test]
    fn the_whole_comes_back(original in mails(), text in "[ -~ä\r\n]{0,40}") {
        let mut request = Request::new(Kind::Forward, "1");
        request.whole = true;
        let mail = splice(&request, &draft(&text), &original.clone().into()).unwrap();
        let all = cut_out(&mail);
        prop_assert_eq!(all.len(), 1 + usize::from(!text.trim_ascii().is_empty()));
        prop_assert_eq!(content(all.last().unwrap()), original);
        if all.len() == 2 {
            prop_assert_eq!(body(&all[0]), text.as_bytes());
        }
    }

    // mission: M6c
    #[test]
    fn each_part_comes_back(original in mails()) {
        for part in parts(&original) {
            let mut request = Request::new(Kind::Forward, "1");
            request.parts = vec![part.number];
            let mail = splice(&request, &draft(""), &original.clone().into()).unwrap();
            let all = cut_out(&mail);
            prop_assert_eq!(all.len(), 1);
            let coded = body(&all[0]) != content(&all[0]);
            let found = |octets: &[u8]| {
                octets.is_empty() || original.windows(octets.len()).any(|window| window == octets)
            };
            // Header and all as it stood there, or the same content in a form that SMTP carries.
            prop_assert!(
                found(&all[0]) || found(body(&all[0])) || coded,
                "part {} became {:?} of {:?}", part.number, all[0].escape_ascii().to_string(),
                original.escape_ascii().to_string()
            );
        }
    }

    // What goes out has CRLF line ends only, and lines and boundaries that nobody put into it.
    // threats: M1, M2
    #[test]
    fn what_is_spliced_in_is_fit_for_smtp(original in mails(), whole: bool, quote: bool) {
        let mut request = Request::new(Kind::Reply, "1");
        (request.whole, request.text) = (whole, quote);
        let mail = splice(&request, &draft("hi\r\n"), &original.into()).unwrap();
        let mut before = 0;
        for &octet in &mail {
            prop_assert!((octet == b'\n') == (before == b'\r') && octet != 0);
            before = octet;
        }
        prop_assert!(mail.split(|&octet| octet == b'\n').all(|line| line.len() <= 999));
        let headers = Headers::parse(&mail);
        for name in ["From", "To", "Subject", "Message-ID"] {
            prop_assert_eq!(headers.all(name).count(), 1, "{}", name);
        }
    }
}

/// A forward of a forward of ... so many times; each holds all the earlier ones.
fn bomb(depth: usize) -> Bytes {
    let mut request = Request::new(Kind::Forward, "1");
    request.whole = true;
    let mut mail = Bytes::from_static(b"From: z@far.example\r\nMessage-ID: <0@far>\r\n\r\nboom\r\n");
    for _ in 0..depth {
        mail = splice(&request, &draft("again\r\n"), &mail).unwrap();
    }
    mail
}

// threats: M4, L2
#[test]
fn threat_m4_forwards_in_forwards_grow_in_proportion() {
    let (small, large) = (bomb(400), bomb(800));
    assert!(large.len() < small.len() * 21 / 10);
    for takes in ["whole", "text", "parts"] {
        let mut request = Request::new(Kind::Reply, "1");
        match takes {
            "whole" => request.whole = true,
            "text" => request.text = true,
            _ => request.parts = vec![1, 2],
        }
        let octets = |original: &Bytes| splice(&request, &draft("x\r\n"), original).unwrap().len();
        let (of_small, of_large) = (octets(&small), octets(&large));
        assert!(of_large <= of_small.max(1_000) * 5 / 2, "{takes}: {of_small} octets, then {of_large}");
    }
    // Boundaries in boundaries.
    let nested = |depth: usize| -> Bytes {
        (0..depth)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect::<String>()
            .into()
    };
    let mut request = Request::new(Kind::Forward, "1");
    request.parts = vec![900_000];
    let refused = |original: &Bytes| splice(&request, &draft(""), original).unwrap_err();
    assert!(matches!(refused(&nested(300)), Refusal::NotThat(_)));
    assert!(matches!(refused(&nested(3_000)), Refusal::NotThat(_)), "the deep ones are content of one part");
    let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(3_000));
    assert!(matches!(refused(&many.into()), Refusal::Limit { what: "parts of the original", .. }));
}

// threats: L1, M4
#[test]
fn threat_m4_messages_in_messages_do_not_end_the_process() {
    let deep = Bytes::from("Content-Type: message/rfc822\r\n\r\n".repeat(300_000));
    let mut request = Request::new(Kind::Reply, "1");
    (request.whole, request.text) = (true, true);
    let mail = splice(&request, &draft("x\r\n"), &deep).unwrap();
    assert_eq!(content(cut_out(&mail).last().unwrap()), deep);
    request.parts = vec![1];
    assert_eq!(splice(&request, &draft(""), &deep).unwrap_err().status().0, 405);
    assert_eq!(parts(&deep).len(), 1, "what is in it is its content");
    let many = Bytes::from(format!("{}\r\n", "X: y\r\n".repeat(2_000)));
    assert_eq!(splice(&request, &many, &deep).unwrap_err().status().0, 413);
}

// threats: M4
#[test]
fn threat_m4_what_is_too_large_is_refused_and_not_cut() {
    let line = "x".repeat(70) + "\r\n";
    let original = Bytes::from(format!("Subject: s\r\n\r\n{}", line.repeat((32 << 20) / 72)));
    let mut request = Request::new(Kind::Forward, "1");
    request.whole = true;
    let refusal = splice(&request, &draft(&line.repeat(100)), &original).unwrap_err();
    assert_eq!(refusal.status(), syncml::StatusCode::TOO_LARGE, "{refusal}");
    let many = Bytes::from(format!(
        "Content-Type: multipart/mixed; boundary=B\r\n\r\n{}--B--\r\n",
        "--B\r\n\r\nx\r\n".repeat(1_500)
    ));
    request.whole = false;
    request.parts = vec![3];
    assert_eq!(splice(&request, &draft(""), &many).unwrap_err().status(), syncml::StatusCode::TOO_LARGE);
    let good =
        Bytes::from_static(b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nx\r\n--B--\r\n");
    for (part, code) in [(0, 405), (7, 405)] {
        request.parts = vec![part];
        assert_eq!(splice(&request, &draft(""), &good).unwrap_err().status().0, code, "part {part}");
    }
    request.parts = vec![1];
    assert!(splice(&request, &draft(""), &good).is_ok());
}

// threats: M2
#[test]
fn threat_m2_the_original_adds_no_header_field_to_the_new_mail() {
    let evil = "From: z@far.example\r\nSubject: =?utf-8?q?a=0D=0ABcc:_evil@e.example?=\r\n\
        Message-ID: <1@far>\r\nReferences: <2@far>\r\n\tBcc:evil@e.example\r\nReply-To: \"x\r\n Bcc: evil@e.example\"\r\n\
         <r@far.example>\r\n\r\n--=_\r\nBcc: evil@e.example\r\n";
    for kind in [Kind::Forward, Kind::Reply] {
        let mut request = Request::new(kind, "1");
        (request.whole, request.text) = (true, true);
        let draft = Bytes::from_static(b"From: a@b.example\r\n\r\nhi\r\n");
        let mail = splice(&request, &draft, &evil.into()).unwrap();
        let headers = Headers::parse(&mail);
        assert!(headers.first("Bcc").is_none(), "{}", mail.escape_ascii());
        let known = ["From", "To", "Subject", "In-Reply-To", "References", "MIME-Version", "Content-Type"];
        assert!(headers.fields.iter().all(|field| known.contains(&field.name)), "{:?}", headers.fields);
        assert_eq!(headers.first("References").unwrap().text(), "<2@far> <1@far>");
        if kind == Kind::Reply {
            let to = headers.first("To").unwrap().text();
            assert!(is_address(&to), "one plain address: {to:?}");
        }
    }
}
