//! Suspend and resume: what a session leaves, and how another one goes on with it.
#![cfg(all(feature = "server", feature = "xml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peer;

use bytes::Bytes;
use peer::{Peer, answers, item, said, sync};
use std::cell::Cell;
use syncml::session::{Ask, Leftover, ObjectHead, ObjectProgress, ServerExchange};
use syncml::{CommandName, StatusCode, Version};

fn take(ex: &mut ServerExchange<'_>, ask: Ask<'_>) {
    if let Ask::Sync { slot, .. } | Ask::Change { slot, .. } | Ask::Alert { slot, .. } = ask {
        ex.answer(&slot, StatusCode::OK);
    }
}

const SUSPEND: &str = "<Alert><CmdID>1</CmdID><Data>224</Data></Alert>";
const RESUME: &str = "<Alert><CmdID>1</CmdID><Data>225</Data><Item><Target><LocURI>./notes</LocURI></Target>\
    <Source><LocURI>notes</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'><Next>2</Next></Anchor></Meta>\
    </Item></Alert>";

fn chunk(luid: &str, size: &str, data: &str, more: bool) -> String {
    let size =
        if size.is_empty() { String::new() } else { format!("<Size xmlns='syncml:metinf'>{size}</Size>") };
    let more = if more { "<MoreData/>" } else { "" };
    sync(&format!(
        "<Add><CmdID>7</CmdID><Item><Source><LocURI>{luid}</LocURI></Source>\
         <Meta><Type xmlns='syncml:metinf'>text/plain</Type>{size}</Meta><Data>{data}</Data>{more}</Item></Add>"
    ))
}

// spec-test: session facts section 7
#[test]
fn a_client_suspends_with_any_items_or_none() {
    let item_of = |target: &str, source: &str| {
        format!(
            "<Alert><CmdID>1</CmdID><Data>224</Data><Item><Target><LocURI>{target}</LocURI></Target>\
             <Source><LocURI>{source}</LocURI></Source></Item></Alert>"
        )
    };
    for alert in [SUSPEND.to_owned(), item_of("http://s/x", "dev"), item_of("./notes", "notes")] {
        let mut peer = Peer::new(Version::V1_2);
        peer.say(&sync(&item("Add", 2, "a")), take);
        let answer = peer.say(&(alert + &sync(&item("Add", 3, "b"))), take);
        assert_eq!(peer.heard, ["Suspend"]);
        assert_eq!(answers(&answer), [200, 514, 514], "what comes after it is not executed");
        assert!(answer.is_final);
        assert!(peer.session.as_ref().unwrap().is_suspended());
        // Whoever goes on in it all the same is told so.
        let answer = peer.say(&sync(&item("Add", 4, "c")), take);
        assert_eq!((answers(&answer), peer.heard.len()), (vec![514, 514], 0));
    }
}

#[test]
fn below_1_2_there_is_no_suspend_and_no_resume() {
    for version in [Version::V1_0, Version::V1_1] {
        let mut peer = Peer::new(version);
        let answer = peer.say(&(SUSPEND.to_owned() + RESUME), take);
        assert_eq!((answers(&answer), peer.heard.len()), (vec![406, 406], 0));
        assert!(!peer.session.unwrap().is_suspended());
    }
}

#[test]
fn a_server_suspends() {
    let mut peer = Peer::new(Version::V1_2);
    let answer = peer.say("<Alert><CmdID>1</CmdID><Data>222</Data></Alert>", take);
    assert_eq!(said(&answer), ["Alert 222"]);
    let mut done = false;
    let answer =
        peer.say("<Alert><CmdID>1</CmdID><Data>100</Data><Item><Data>x</Data></Item></Alert>", |ex, _| {
            ex.suspend().unwrap();
            assert!(ex.is_suspended());
            assert!(ex.get_devinf().is_err(), "nothing goes after it");
            done = true;
        });
    assert!(done && answer.is_final);
    assert_eq!(said(&answer), ["Alert 224"]);
}

/// A session in which 4 of 10 octets came, and what it leaves.
fn halfway() -> Leftover {
    let mut peer = Peer::new(Version::V1_2);
    let answer = peer.say(&chunk("big", "10", "abcd", true), take);
    assert_eq!(answers(&answer), [200, 213]);
    let leftover = peer.session.unwrap().leftover();
    assert_eq!(leftover.incoming(), Some(("./notes", 4)));
    leftover
}

/// A new session that goes on with it.
fn resumed(leftover: Option<Leftover>) -> Peer {
    let mut peer = Peer::new(Version::V1_2);
    let answer = peer.say(RESUME, |ex, ask| {
        take(ex, ask);
        ex.take_over(leftover.clone().unwrap_or_default());
    });
    assert_eq!((peer.heard.as_slice(), answers(&answer)), (&["Alert 225 ./notes".to_owned()][..], vec![200]));
    peer
}

#[test]
fn half_an_object_goes_on_in_another_session() {
    let mut peer = resumed(Some(halfway()));
    let answer = peer.say(&chunk("big", "", "efgh", true), take);
    assert_eq!((peer.heard.last().unwrap().as_str(), answers(&answer)), ("Chunk 4 4", vec![200, 213]));
    let answer = peer.say(&chunk("big", "", "ij", false), take);
    assert_eq!((peer.heard.last().unwrap().as_str(), answers(&answer)), ("Add big", vec![200, 200]));
}

#[test]
fn a_chunk_whose_answer_was_lost_counts_once() {
    let mut peer = resumed(Some(halfway()));
    let answer = peer.say(&chunk("big", "", "abcd", true), take);
    assert_eq!((peer.heard.last().unwrap().as_str(), answers(&answer)), ("Chunk 4 4", vec![200, 213]));
    let mut surplus = None;
    let answer = peer.say(&chunk("big", "", "abcdij", false), |ex, ask| {
        surplus = surplus.take().or_else(|| ex.take_surplus());
        take(ex, ask);
    });
    assert_eq!((peer.heard.last().unwrap().as_str(), answers(&answer)), ("Add big", vec![200, 200]));
    assert_eq!(surplus, Some((4, vec![(0, 4)])), "the first four octets are there twice");
    // Only the first one may be a repetition.
    let mut peer = resumed(Some(halfway()));
    peer.say(&chunk("big", "", "abcd", true), take);
    peer.say(&chunk("big", "", "abcd", true), take);
    let answer = peer.say(&chunk("big", "", "abcd", true), take);
    assert_eq!((peer.heard.last().unwrap().as_str(), answers(&answer)), ("ChunksDropped", vec![200, 424]));
}

#[test]
fn a_sender_may_begin_the_object_anew() {
    let mut peer = resumed(Some(halfway()));
    let answer = peer.say(&chunk("big", "6", "abc", true), take);
    assert_eq!(peer.heard, ["Sync ./notes", "ChunksDropped", "Chunk 0 3"]);
    assert_eq!((answers(&answer), said(&answer)), (vec![200, 213], vec!["Alert 222".to_owned()]));
    assert_eq!(answers(&peer.say(&chunk("big", "", "def", false), take)), [200, 200]);
}

#[test]
fn the_rest_of_an_object_that_is_not_here_is_refused() {
    let mut peer = resumed(None);
    assert_eq!(answers(&peer.say(&chunk("big", "", "efgh", true), take)), [200, 426]);
    // In a session that resumes nothing it is a first chunk without its size.
    let mut peer = Peer::new(Version::V1_2);
    assert_eq!(answers(&peer.say(&chunk("big", "", "efgh", true), take)), [200, 411]);
}

#[test]
fn an_object_of_ours_goes_on_behind_what_was_answered() {
    let data = Bytes::from(vec![b'x'; 5_000]);
    let mut peer = Peer::new(Version::V1_2);
    peer.max_msg = 1_500;
    let next = "<Alert><CmdID>1</CmdID><Data>222</Data></Alert>";
    let status = |msg: u32, cmd: u32| {
        format!(
            "<Status><CmdID>1</CmdID><MsgRef>{msg}</MsgRef><CmdRef>{cmd}</CmdRef><Cmd>Add</Cmd>\
             <Data>213</Data></Status>"
        )
    };
    let mut done = false;
    let hello = "<Alert><CmdID>1</CmdID><Data>100</Data><Item><Data>x</Data></Item></Alert>";
    let first = peer.say(hello, |ex, _| {
        ex.open_sync("notes", "./notes", None).unwrap();
        let head =
            ObjectHead { source: Some("g".into()), media_type: "text/plain".into(), ..ObjectHead::default() };
        let went = ex.send_object(CommandName::Add, head, &data, ("notes", "./notes"), vec![9]);
        done = went == Ok(ObjectProgress::Started);
    });
    assert!(done);
    // Not answered: it goes again as a whole.
    let leftover = peer.session.clone().unwrap().leftover();
    assert_eq!(leftover.outgoing(), None);
    assert_eq!(leftover.unanswered().collect::<Vec<_>>(), [[9]]);
    // Answered: from there.
    let add = first.commands.iter().find(|c| c.name() == CommandName::Sync).unwrap();
    let syncml::Command::Sync(inner) = add else { panic!() };
    peer.say(&(status(first.hdr.msg_id, inner.commands[0].cmd_id()) + next), |_, _| {});
    let leftover = peer.session.clone().unwrap().leftover();
    let ((theirs, ours), tag, sent) = leftover.outgoing().unwrap();
    assert_eq!((theirs, ours, tag), ("notes", "./notes", &[9][..]));
    assert!(sent > 0 && sent < 5_000);
    let (at, pieces) = (Cell::new(sent), Cell::new(0));
    let mut peer = Peer::new(Version::V1_2);
    peer.max_msg = 1_500;
    let go = |ex: &mut ServerExchange<'_>, leftover: Option<Leftover>| {
        if let Some(leftover) = leftover {
            ex.take_over(leftover);
        }
        let Some((_, offset, len)) = ex.outgoing() else { return };
        assert_eq!(offset, at.get());
        ex.open_sync("notes", "./notes", None).unwrap();
        let piece = data.slice(offset as usize..(offset + len) as usize);
        ex.continue_object(&piece).unwrap();
        at.set(ex.outgoing().map_or(5_000, |(_, offset, _)| offset));
        pieces.set(pieces.get() + 1);
    };
    peer.say(RESUME, |ex, ask| {
        take(ex, ask);
        go(ex, Some(leftover.clone()));
    });
    while at.get() < 5_000 {
        peer.say(hello, |ex, _| go(ex, None));
    }
    assert!(pieces.get() > 2, "{pieces:?}");
}
