//! Every command that a peer may send, and the statuses it gets.
#![cfg(all(feature = "server", feature = "xml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peer;

use peer::{Peer, answers, bare_item, codes, item, said, statuses, sync};
use syncml::session::{Ask, ServerExchange};
use syncml::{Data, DevInf, Item, StatusCode, Version};

/// Takes everything; what is named `bad` fails with 420.
fn take(ex: &mut ServerExchange<'_>, ask: Ask<'_>) {
    match ask {
        Ask::Sync { slot, .. } | Ask::Map { slot, .. } | Ask::AtomicBegin(slot) => {
            ex.answer(&slot, StatusCode::OK);
        }
        Ask::Change { slot, received } => {
            let bad = received.source.as_deref() == Some("bad");
            ex.answer(&slot, if bad { StatusCode::DEVICE_FULL } else { StatusCode::ITEM_ADDED });
        }
        _ => {}
    }
}

fn atomic(id: u32, commands: &str) -> String {
    format!("<Atomic><CmdID>{id}</CmdID>{commands}</Atomic>")
}

#[test]
fn an_atomic_that_succeeds_is_answered_at_its_end() {
    let mut peer = Peer::new(Version::V1_2);
    let body = sync(&(atomic(1, &(item("Add", 2, "a") + &item("Replace", 3, "b"))) + &item("Add", 4, "c")));
    let answer = peer.say(&body, take);
    assert_eq!(peer.heard, ["Sync ./notes", "AtomicBegin", "Add a", "Replace b", "AtomicEnd true", "Add c"]);
    let expected =
        [("SyncHdr", 200), ("Sync", 200), ("Atomic", 200), ("Add", 201), ("Replace", 201), ("Add", 201)];
    assert_eq!(codes(&answer), expected.map(|(cmd, code)| (cmd.to_owned(), code)));
}

// spec-test: session facts section 4, Atomic
#[test]
fn an_atomic_that_fails_is_taken_back_as_a_whole() {
    let mut peer = Peer::new(Version::V1_2);
    let parts = item("Add", 2, "a") + &item("Add", 3, "bad") + &item("Add", 4, "c");
    let body = sync(&(atomic(1, &parts) + &item("Add", 5, "d")));
    let answer = peer.say(&body, take);
    assert_eq!(peer.heard, ["Sync ./notes", "AtomicBegin", "Add a", "Add bad", "AtomicEnd false", "Add d"]);
    assert_eq!(answers(&answer), [200, 507, 216, 420, 215, 201]);
}

#[test]
fn items_of_one_command_in_a_failed_atomic_are_answered_one_by_one() {
    let mut peer = Peer::new(Version::V1_2);
    let items: String = ["a", "bad", "c"].map(|luid| bare_item(luid, "x")).concat();
    let answer = peer.say(&sync(&atomic(1, &format!("<Add><CmdID>2</CmdID>{items}</Add>"))), take);
    assert_eq!(answers(&answer), [200, 507, 216, 420, 215]);
    let sources: Vec<_> = statuses(&answer).filter(|s| s.cmd_ref == 2).map(|s| &*s.source_ref[0]).collect();
    assert_eq!(sources, ["a", "bad", "c"]);
}

#[test]
fn an_atomic_in_an_atomic_and_what_cannot_be_taken_back_fail() {
    let mut peer = Peer::new(Version::V1_2);
    let inner = atomic(2, &item("Add", 3, "a"));
    let answer = peer.say(&sync(&atomic(1, &(item("Add", 9, "z") + &inner + &item("Add", 4, "b")))), take);
    assert_eq!(answers(&answer), [200, 507, 216, 500, 215, 215]);
    assert_eq!(peer.heard, ["Sync ./notes", "AtomicBegin", "Add z", "AtomicEnd false"]);
    let get = "<Get><CmdID>2</CmdID><Item><Target><LocURI>./devinf12</LocURI></Target></Item></Get>";
    let answer = peer.say(&atomic(1, &(get.to_owned() + &item("Add", 3, "a"))), take);
    assert_eq!(answers(&answer), [507, 405, 215]);
}

#[test]
fn an_atomic_split_over_messages_is_refused() {
    let mut peer = Peer::new(Version::V1_2);
    let head = "<Add><CmdID>3</CmdID><Item><Source><LocURI>big</LocURI></Source>\
        <Meta><Size xmlns='syncml:metinf'>4</Size></Meta><Data>ab</Data><MoreData/></Item></Add>";
    let answer = peer.say(&sync(&atomic(1, &(item("Add", 2, "a") + head))), take);
    assert_eq!(answers(&answer), [200, 507, 216, 412]);
    let tail = "<Add><CmdID>3</CmdID><Item><Source><LocURI>big</LocURI></Source><Data>cd</Data></Item></Add>";
    let answer = peer.say(&sync(&atomic(1, tail)), take);
    assert_eq!(answers(&answer), [200, 200, 201], "the tail alone is an object of its own");
}

#[test]
fn an_atomic_whose_answers_fill_more_than_a_message_is_not_done() {
    let mut peer = Peer::new(Version::V1_2);
    peer.max_msg = 1_500;
    let parts: String = (0..30).map(|n| item("Add", 2 + n, &format!("n{n}"))).collect();
    let answer = peer.say(&sync(&atomic(1, &parts)), take);
    assert_eq!(peer.heard.last().unwrap(), "AtomicEnd false");
    let atomic = statuses(&answer).find(|s| s.cmd.as_str() == "Atomic").map(|s| s.data.0);
    assert_eq!(atomic, Some(517));
    assert_eq!(answers(&answer)[2], 216);
}

#[test]
fn an_engine_that_cannot_take_back_refuses_the_whole() {
    let mut peer = Peer::new(Version::V1_2);
    let body = sync(&(atomic(1, &item("Add", 2, "a")) + &item("Add", 3, "b")));
    let answer = peer.say(&body, |ex, ask| {
        if !matches!(ask, Ask::AtomicBegin(_)) {
            take(ex, ask);
        }
    });
    assert_eq!(answers(&answer), [200, 406, 215, 201]);
    assert_eq!(peer.heard, ["Sync ./notes", "AtomicBegin", "Add b"]);
}

#[test]
fn a_sequence_is_done_in_order_also_within_an_atomic() {
    let mut peer = Peer::new(Version::V1_2);
    let sequence =
        format!("<Sequence><CmdID>1</CmdID>{}{}</Sequence>", item("Add", 2, "a"), item("Delete", 3, "a"));
    let answer = peer.say(&sync(&sequence), take);
    assert_eq!(answers(&answer), [200, 200, 201, 201]);
    assert_eq!(peer.heard, ["Sync ./notes", "Add a", "Delete a"]);
    let answer = peer.say(&sync(&atomic(9, &sequence)), take);
    assert_eq!(answers(&answer), [200, 200, 200, 201, 201]);
}

#[test]
fn copy_and_move_are_changes() {
    let mut peer = Peer::new(Version::V1_2);
    let body = "<Copy><CmdID>1</CmdID><Item><Target><LocURI>b</LocURI></Target><Source><LocURI>a</LocURI></Source>\
        </Item></Copy><Move><CmdID>2</CmdID><Item><Source><LocURI>a</LocURI></Source>\
        <SourceParent><LocURI>f</LocURI></SourceParent></Item></Move>";
    let mut seen = Vec::new();
    let answer = peer.say(&sync(body), |ex, ask| {
        if let Ask::Change { slot, received } = &ask {
            let parent = received.source_parent.as_deref().unwrap_or("-");
            seen.push(format!("{} {:?} {parent}", received.cmd.as_str(), received.target));
            ex.answer(slot, StatusCode::OK);
        } else {
            take(ex, ask);
        }
    });
    assert_eq!(answers(&answer), [200, 200, 200]);
    assert_eq!(seen, ["Copy Some(\"b\") -", "Move None f"]);
}

#[test]
fn a_delete_says_whether_to_keep_a_copy() {
    let mut peer = Peer::new(Version::V1_2);
    let delete = |id: u32, flags: &str| {
        format!("<Delete><CmdID>{id}</CmdID>{flags}<Item><Source><LocURI>a</LocURI></Source></Item></Delete>")
    };
    let mut seen = Vec::new();
    let all = delete(1, "") + &delete(2, "<Archive/>") + &delete(3, "<SftDel/>");
    let _ = peer.say(&sync(&all), |ex, ask| {
        if let Ask::Change { received, .. } = &ask {
            seen.push((received.archive, received.soft_delete));
        }
        take(ex, ask);
    });
    assert_eq!(seen, [(false, false), (true, false), (false, true)]);
}

#[test]
fn what_is_unknown_or_out_of_place_is_refused_without_harm() {
    let mut peer = Peer::new(Version::V1_2);
    let exec = "<Exec><CmdID>1</CmdID><Item><Target><LocURI>./run</LocURI></Target></Item></Exec>";
    let search = |id: u32, grammar: &str| {
        format!(
            "<Search><CmdID>{id}</CmdID><Source><LocURI>./notes</LocURI></Source>\
             <Meta><Type xmlns='syncml:metinf'>{grammar}</Type></Meta><Data>x</Data></Search>"
        )
    };
    let unknown = "<Frobnicate><CmdID>4</CmdID><Item><Data>x</Data></Item></Frobnicate>";
    let body = exec.to_owned()
        + &search(2, "syncml:filtertype-cgi")
        + &search(3, "x-sql")
        + unknown
        + "<Frobnicate>without an id</Frobnicate>"
        + &item("Add", 5, "a")
        + "<Alert><CmdID>6</CmdID><Data>299</Data></Alert>"
        + "<Get><CmdID>7</CmdID><Item><Target><LocURI>./other</LocURI></Target></Item></Get>"
        + "<Put><CmdID>8</CmdID><Item><Source><LocURI>./other</LocURI></Source><Data>x</Data></Item></Put>"
        + &sync(&item("Add", 9, "b"));
    let answer = peer.say(&body, take);
    let expected = [
        ("SyncHdr", 200),
        ("Exec", 406),
        ("Search", 406),
        ("Search", 421),
        ("Frobnicate", 501),
        ("Add", 405),
        ("Alert", 406),
        ("Get", 404),
        ("Put", 406),
        ("Sync", 200),
        ("Add", 201),
    ];
    assert_eq!(codes(&answer), expected.map(|(cmd, code)| (cmd.to_owned(), code)));
}

#[test]
fn a_search_is_answered_by_results() {
    let mut peer = Peer::new(Version::V1_2);
    let body = "<Search><CmdID>3</CmdID><Source><LocURI>./notes</LocURI></Source><Meta>\
        <Type xmlns='syncml:metinf'>syncml:filtertype-cgi</Type></Meta><Data>SUBJECT&amp;CON;x</Data></Search>";
    let answer = peer.say(body, |ex, ask| {
        let Ask::Search { slot, search } = ask else { return take(ex, ask) };
        assert_eq!(search.data.as_ref().and_then(Data::as_bytes).unwrap(), &b"SUBJECT&CON;x"[..]);
        ex.answer(&slot, StatusCode::OK);
        let asked = ex.reference(&slot);
        let mut found = Item::default();
        found.data = Some(Data::Bytes("one".into()));
        ex.search_results(asked, vec![found]).unwrap();
    });
    assert_eq!(answers(&answer), [200]);
    let Some(syncml::Command::Results(results)) = answer.commands.last() else { panic!("{answer:?}") };
    assert_eq!((results.msg_ref, results.cmd_ref), (Some(2), 3));
}

#[test]
fn device_information_is_asked_for_at_any_time() {
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let mut peer = Peer::new(version);
        for body in ["", &sync(&item("Add", 2, "a"))] {
            let uri = version.devinf_uri().trim_start_matches("./");
            let get =
                format!("<Get><CmdID>1</CmdID><Item><Target><LocURI>{uri}</LocURI></Target></Item></Get>");
            let answer = peer.say(&(body.to_owned() + &get), |ex, ask| {
                let Ask::GetDevInf(slot) = ask else { return take(ex, ask) };
                ex.answer(&slot, StatusCode::OK);
                let asked = ex.reference(&slot);
                ex.results(asked, DevInf::new(version, "server", "server")).unwrap();
            });
            assert!(said(&answer).contains(&"Results".to_owned()), "{version:?} {body}");
            assert_eq!(answers(&answer).last(), Some(&200));
        }
    }
}

#[test]
fn nothing_is_answered_where_no_answer_is_wanted() {
    let mut peer = Peer::new(Version::V1_2);
    let quiet = "<Add><CmdID>1</CmdID><NoResp/><Item><Source><LocURI>a</LocURI></Source><Data>x</Data></Item></Add>\
        <Atomic><CmdID>2</CmdID><NoResp/><Add><CmdID>3</CmdID><NoResp/><Item><Source><LocURI>b</LocURI></Source>\
        <Data>x</Data></Item></Add></Atomic>";
    let answer = peer.say(&sync(&(quiet.to_owned() + &item("Add", 4, "c"))), take);
    assert_eq!(peer.heard, ["Sync ./notes", "Add a", "AtomicBegin", "Add b", "AtomicEnd true", "Add c"]);
    assert_eq!(codes(&answer).len(), 3, "header, Sync, the last Add");
    // For a whole message; Results come all the same.
    let get = "<Get><CmdID>5</CmdID><Item><Target><LocURI>./devinf12</LocURI></Target></Item></Get>";
    let answer = peer.say_with("<NoResp/>", &(sync(&item("Add", 6, "d")) + get), |ex, ask| {
        let Ask::GetDevInf(slot) = ask else { return take(ex, ask) };
        ex.answer(&slot, StatusCode::OK);
        let asked = ex.reference(&slot);
        ex.results(asked, DevInf::new(Version::V1_2, "server", "server")).unwrap();
    });
    assert_eq!((codes(&answer), said(&answer)), (vec![], vec!["Results".to_owned()]));
}

#[test]
fn the_alerts_of_a_session() {
    let mut peer = Peer::new(Version::V1_2);
    let alert = |id: u32, code: u16, item: &str| {
        format!("<Alert><CmdID>{id}</CmdID><Data>{code}</Data>{item}</Alert>")
    };
    let body = alert(1, 100, "<Item><Data>hello</Data></Item>")
        + &alert(2, 221, "")
        + &alert(3, 222, "")
        + &alert(4, 223, "");
    let answer = peer.say(&body, take);
    assert_eq!(peer.heard, ["Display hello"]);
    assert_eq!(answers(&answer), [200, 200, 200, 200]);
    // "What became of it" before anything was: there is nothing.
    let mut stranger = Peer::stranger(Version::V1_2);
    assert_eq!(answers(&stranger.say(&alert(1, 221, ""), take)), [400]);
}

#[test]
fn each_item_of_a_command_has_its_status() {
    let mut peer = Peer::new(Version::V1_2);
    let items: String = ["a", "bad", "c"].map(|luid| bare_item(luid, "x")).concat();
    let answer = peer.say(&sync(&format!("<Replace><CmdID>2</CmdID>{items}</Replace>")), take);
    let of = statuses(&answer).filter(|s| s.cmd_ref == 2);
    let of: Vec<_> = of.map(|s| (s.source_ref[0].to_string(), s.data.0)).collect();
    assert_eq!(of, [("a".into(), 201), ("bad".into(), 420), ("c".into(), 201)]);
}

#[test]
fn atomics_have_a_limit_in_each_message() {
    let mut peer = Peer::new(Version::V1_2);
    let all: String = (0..66).map(|n| atomic(2 * n + 1, &item("Add", 2 * n + 2, &format!("n{n}")))).collect();
    let answer = peer.say(&sync(&(all + &item("Add", 900, "z"))), take);
    let codes: Vec<u16> = answers(&answer);
    assert_eq!(codes[..3], [200, 200, 201]);
    assert_eq!(codes[129..], [417, 215, 417, 215, 201], "what comes after them is done");
}
