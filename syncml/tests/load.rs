//! What a server takes: sessions at once, their life, and what it says when there is too much of it.
#![cfg(all(feature = "server", feature = "xml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peer;

use peer::{Peer, answers, codes, item, said, statuses, sync};
use syncml::session::{Ask, Load, ServerExchange};
use syncml::{Alert, AlertCode, Command, StatusCode, Version};

fn take(ex: &mut ServerExchange<'_>, ask: Ask<'_>) {
    if let Ask::Sync { slot, .. } | Ask::Change { slot, .. } = ask {
        ex.answer(&slot, StatusCode::OK);
    }
}

#[test]
fn a_user_has_so_many_sessions_and_no_more() {
    for (sessions, code) in [(15, 212), (16, 417), (u32::MAX, 417)] {
        let mut peer = Peer::stranger(Version::V1_2);
        peer.sessions = sessions;
        let answer = peer.say(&sync(&item("Add", 2, "a")), take);
        assert_eq!(codes(&answer)[0].1, code);
        assert_eq!(peer.session.is_some(), code == 212);
        assert_eq!(peer.heard.is_empty(), code != 212, "nothing is executed");
        assert!(code == 212 || statuses(&answer).all(|status| status.chal.is_none()), "the login was good");
    }
}

#[test]
fn strangers_wait_when_there_are_too_many_and_so_does_everyone_under_load() {
    let too_many = Load { strangers: 1_001, ..Load::default() };
    let overloaded = Load { overloaded: true, ..Load::default() };
    for load in [too_many, overloaded] {
        let mut peer = Peer::stranger(Version::V1_2);
        peer.load = load;
        let answer = peer.say(&sync(&item("Add", 2, "a")), take);
        assert_eq!((codes(&answer)[0].1, answers(&answer)), (503, vec![503, 503]));
        assert!(peer.session.is_none() && peer.heard.is_empty());
    }
    // In a session: the message is refused, the session stays.
    let mut peer = Peer::new(Version::V1_2);
    let before = peer.session.clone();
    peer.load = overloaded;
    assert_eq!(answers(&peer.say(&sync(&item("Add", 2, "a")), take)), [503, 503]);
    assert_eq!(peer.session, before);
    peer.load = Load::default();
    assert_eq!(answers(&peer.say(&sync(&item("Add", 2, "a")), take)), [200, 200]);
}

#[test]
fn a_session_ends_when_it_is_silent_or_old() {
    let mut peer = Peer::new(Version::V1_2);
    peer.now += 600;
    assert_eq!(answers(&peer.say(&sync(&item("Add", 2, "a")), take)), [200, 200]);
    peer.now += 601;
    let answer = peer.say(&sync(&item("Add", 2, "a")), take);
    assert_eq!((codes(&answer)[0].1, answers(&answer), peer.heard.len()), (408, vec![408, 408], 0));
    let mut peer = Peer::new(Version::V1_2);
    let began = peer.now;
    while peer.now < began + 86_400 {
        peer.now = (peer.now + 599).min(began + 86_400);
        assert_eq!(codes(&peer.say(&sync(&item("Add", 2, "a")), take))[0].1, 200);
    }
    peer.now += 1;
    assert_eq!(codes(&peer.say("", take))[0].1, 408);
}

// spec-test: session facts section 8
#[test]
fn a_busy_server_takes_changes_and_sends_its_own_later() {
    let mut peer = Peer::new(Version::V1_2);
    peer.last = true;
    peer.load.busy = true;
    let mut refused = false;
    let answer = peer.say(&(sync(&item("Add", 2, "a")) + "<Final/>"), |ex, ask| {
        take(ex, ask);
        refused |= ex.send(Command::Alert(Box::new(Alert::new(0, AlertCode::TWO_WAY))), vec![1]).is_err();
    });
    assert_eq!((codes(&answer)[0].1, answers(&answer)), (101, vec![200, 200]));
    assert!(refused && !answer.is_final);
    let ask = "<Alert><CmdID>1</CmdID><Data>221</Data></Alert>";
    for _ in 0..30 {
        let answer = peer.say(ask, take);
        assert_eq!((codes(&answer)[0].1, answers(&answer), answer.is_final), (101, vec![200], false));
    }
    peer.load.busy = false;
    let answer = peer.say(ask, |_, _| {});
    assert_eq!((codes(&answer)[0].1, answers(&answer), answer.is_final), (200, vec![200], true));
    assert!(said(&answer).is_empty());
}
