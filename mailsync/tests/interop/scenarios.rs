//! What is played with each peer. A scenario starts from whatever both sides agree on, and leaves them agreeing.

use crate::lab::{How, Lab, Mode, Peer, Side, Store};

/// One thing that two sides do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    Slow,
    TwoWay,
    Nothing,
    OneWayFromClient,
    OneWayFromServer,
    RefreshFromClient,
    RefreshFromServer,
    Conflict,
    DeleteAgainstEdit,
    BadPassword,
    UnknownStore,
    ClientForgot,
    ServerForgot,
    LargeObjects,
    TwoHundred,
    ThreeStores,
    Interrupted,
    ServerAlerted,
}

impl Scenario {
    pub(crate) const ALL: [Scenario; 18] = [
        Scenario::Slow,
        Scenario::TwoWay,
        Scenario::Nothing,
        Scenario::OneWayFromClient,
        Scenario::OneWayFromServer,
        Scenario::RefreshFromClient,
        Scenario::RefreshFromServer,
        Scenario::Conflict,
        Scenario::DeleteAgainstEdit,
        Scenario::BadPassword,
        Scenario::UnknownStore,
        Scenario::ClientForgot,
        Scenario::ServerForgot,
        Scenario::LargeObjects,
        Scenario::TwoHundred,
        Scenario::ThreeStores,
        Scenario::Interrupted,
        Scenario::ServerAlerted,
    ];

    /// In words, for a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Slow => "slow, one item on both sides",
            Scenario::TwoWay => "two-way: add, edit, delete on both sides",
            Scenario::Nothing => "two-way, no change",
            Scenario::OneWayFromClient => "one-way from client, then two-way",
            Scenario::OneWayFromServer => "one-way from server, then slow",
            Scenario::RefreshFromClient => "refresh from client",
            Scenario::RefreshFromServer => "refresh from server",
            Scenario::Conflict => "edit against edit: both kept",
            Scenario::DeleteAgainstEdit => "delete against edit: the edit wins",
            Scenario::BadPassword => "bad password",
            Scenario::UnknownStore => "unknown datastore",
            Scenario::ClientForgot => "the client lost its anchors: slow, nothing twice",
            Scenario::ServerForgot => "the server lost its anchors: 508, slow, nothing twice",
            Scenario::LargeObjects => "40 kB both ways at MaxMsgSize 8000",
            Scenario::TwoHundred => "200 items each way",
            Scenario::ThreeStores => "notes, contacts and tasks in one session",
            Scenario::Interrupted => "interrupted, then two-way: all there, nothing twice",
            Scenario::ServerAlerted => "the server asks for more in the session (206), which then ends well",
        }
    }

    /// Plays it; panics where it goes wrong.
    pub(crate) fn play(self, lab: &mut Lab) {
        let tag = format!("{self:?}");
        match self {
            Scenario::Slow => slow(lab, &tag),
            Scenario::TwoWay => two_way(lab, &tag),
            Scenario::Nothing => nothing(lab, &tag),
            Scenario::OneWayFromClient => one_way(lab, Side::Client, &tag),
            Scenario::OneWayFromServer => one_way(lab, Side::Server, &tag),
            Scenario::RefreshFromClient => refresh(lab, Side::Client, &tag),
            Scenario::RefreshFromServer => refresh(lab, Side::Server, &tag),
            Scenario::Conflict => conflict(lab, &tag),
            Scenario::DeleteAgainstEdit => delete_against_edit(lab, &tag),
            Scenario::BadPassword => bad_password(lab, &tag),
            Scenario::UnknownStore => unknown_store(lab, &tag),
            Scenario::ClientForgot => forgot(lab, Side::Client, &tag),
            Scenario::ServerForgot => forgot(lab, Side::Server, &tag),
            Scenario::LargeObjects => large(lab, &tag),
            Scenario::TwoHundred => two_hundred(lab, &tag),
            Scenario::ThreeStores => three_stores(lab, &tag),
            Scenario::Interrupted => interrupted(lab, &tag),
            Scenario::ServerAlerted => server_alerted(lab, &tag),
        }
    }
}

/// Both sides hold these notes beside what they held before.
struct Start {
    before: Vec<String>,
}

impl Start {
    fn of(lab: &mut Lab, notes: &[&str]) -> Start {
        for note in notes {
            lab.put(Side::Client, Store::Notes, note);
        }
        lab.sync(Mode::TwoWay);
        let mut before = lab.items(Side::Client, Store::Notes);
        assert_eq!(lab.items(Side::Server, Store::Notes), before, "the start");
        for note in notes {
            before.retain(|item| item != note);
        }
        Start { before }
    }

    fn agree(&self, lab: &Lab, notes: &[&str]) {
        let all: Vec<&str> = self.before.iter().map(String::as_str).chain(notes.iter().copied()).collect();
        lab.agree(Store::Notes, &all);
    }
}

// mission: M3
fn slow(lab: &mut Lab, tag: &str) {
    let start = Start::of(lab, &[]);
    let [mine, theirs, same] =
        ["client <&> \u{4f60}\u{597d}", "server \u{20ac}", "on both"].map(|t| format!("{tag} {t}"));
    lab.put(Side::Client, Store::Notes, &mine);
    lab.put(Side::Server, Store::Notes, &theirs);
    lab.put(Side::Client, Store::Notes, &same);
    lab.put(Side::Server, Store::Notes, &same);
    lab.sync(Mode::Slow);
    start.agree(lab, &[&mine, &theirs, &same]);
    lab.sync(Mode::Slow);
    start.agree(lab, &[&mine, &theirs, &same]);
}

// mission: M3, M7
fn two_way(lab: &mut Lab, tag: &str) {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|t| format!("{tag} {t}"));
    let start = Start::of(lab, &[&a, &b, &c, &d]);
    let (a2, c2, e, f) =
        (format!("{a} edited"), format!("{c} edited"), format!("{tag} new"), format!("{tag} new there"));
    lab.edit(Side::Client, Store::Notes, &a, &a2);
    lab.delete(Side::Client, Store::Notes, &b);
    lab.put(Side::Client, Store::Notes, &e);
    lab.edit(Side::Server, Store::Notes, &c, &c2);
    lab.delete(Side::Server, Store::Notes, &d);
    lab.put(Side::Server, Store::Notes, &f);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&a2, &c2, &e, &f]);
}

fn nothing(lab: &mut Lab, tag: &str) {
    let note = format!("{tag} note");
    let start = Start::of(lab, &[&note]);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&note]);
}

fn one_way(lab: &mut Lab, from: Side, tag: &str) {
    let (old, here, there) = (format!("{tag} old"), format!("{tag} here"), format!("{tag} there"));
    let start = Start::of(lab, &[&old]);
    lab.put(Side::Client, Store::Notes, &here);
    lab.put(Side::Server, Store::Notes, &there);
    let (mode, to) = match from {
        Side::Client => (Mode::OneWayFromClient, Side::Server),
        Side::Server => (Mode::OneWayFromServer, Side::Client),
    };
    lab.sync(mode);
    let (sent, kept) = if from == Side::Client { (&here, &there) } else { (&there, &here) };
    let (giver, taker) = (lab.items(from, Store::Notes), lab.items(to, Store::Notes));
    assert!(taker.contains(sent) && taker.contains(kept), "{taker:?}");
    assert!(!giver.contains(kept), "the giver takes nothing: {giver:?}");
    // quirk: SyncEvolution's one-way from server is Alert 200 without changes: what it kept back it forgets to send.
    lab.sync(if from == Side::Client { Mode::TwoWay } else { Mode::Slow });
    start.agree(lab, &[&old, &here, &there]);
}

fn refresh(lab: &mut Lab, from: Side, tag: &str) {
    let (old, here, there) = (format!("{tag} old"), format!("{tag} here"), format!("{tag} there"));
    let start = Start::of(lab, &[&old]);
    lab.put(Side::Client, Store::Notes, &here);
    lab.put(Side::Server, Store::Notes, &there);
    let (mode, stays) = match from {
        Side::Client => (Mode::RefreshFromClient, &here),
        Side::Server => (Mode::RefreshFromServer, &there),
    };
    lab.sync(mode);
    start.agree(lab, &[&old, stays]);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&old, stays]);
}

fn conflict(lab: &mut Lab, tag: &str) {
    let note = format!("{tag} note");
    let start = Start::of(lab, &[&note]);
    let (here, there) = (format!("{note} of the client"), format!("{note} of the server"));
    lab.edit(Side::Client, Store::Notes, &note, &here);
    lab.edit(Side::Server, Store::Notes, &note, &there);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&here, &there]);
}

fn delete_against_edit(lab: &mut Lab, tag: &str) {
    let (one, two) = (format!("{tag} one"), format!("{tag} two"));
    let start = Start::of(lab, &[&one, &two]);
    let (edited, edited_too) = (format!("{one} edited"), format!("{two} edited"));
    lab.delete(Side::Client, Store::Notes, &one);
    lab.edit(Side::Server, Store::Notes, &one, &edited);
    lab.edit(Side::Client, Store::Notes, &two, &edited_too);
    lab.delete(Side::Server, Store::Notes, &two);
    lab.sync(Mode::TwoWay);
    // Some answer the resurrected item only in the next session.
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&edited, &edited_too]);
}

fn bad_password(lab: &mut Lab, tag: &str) {
    let note = format!("{tag} note");
    let start = Start::of(lab, &[]);
    lab.put(Side::Client, Store::Notes, &note);
    let said = lab.try_sync(Mode::TwoWay, How { password: "wrong", ..How::default() });
    assert_ne!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("401"), "{}", said.text);
    assert!(!lab.items(Side::Server, Store::Notes).contains(&note));
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&note]);
}

fn unknown_store(lab: &mut Lab, tag: &str) {
    let note = format!("{tag} note");
    let start = Start::of(lab, &[]);
    lab.put(Side::Client, Store::Notes, &note);
    let said = lab.try_sync(Mode::TwoWay, How { remote: Some("./nowhere"), ..How::default() });
    assert_ne!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("not found"), "{}", said.text);
    assert!(!lab.items(Side::Server, Store::Notes).contains(&note));
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&note]);
}

fn forgot(lab: &mut Lab, side: Side, tag: &str) {
    let (old, new, there) = (format!("{tag} old"), format!("{tag} new"), format!("{tag} new there"));
    let start = Start::of(lab, &[&old]);
    lab.forget(side);
    lab.put(Side::Client, Store::Notes, &new);
    lab.put(Side::Server, Store::Notes, &there);
    let said = lab.sync(Mode::TwoWay);
    if lab.peer == Peer::Server {
        assert!(said.text.contains("slow sync, because"), "{}", said.text);
    }
    start.agree(lab, &[&old, &new, &there]);
}

// mission: M4
fn large(lab: &mut Lab, tag: &str) {
    let start = Start::of(lab, &[]);
    let big = |seed: u32| {
        let mut state = seed;
        let letters: Vec<char> = "abcdefghij klmnop<&>\u{e9}".chars().collect();
        let letter = |_| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            letters[(state >> 16) as usize % letters.len()]
        };
        // No blank at the end: text profiles trim.
        format!("{tag} {seed} {}x", (0..40_000).map(letter).collect::<String>())
    };
    let (here, there) = (big(7), big(8));
    lab.put(Side::Client, Store::Notes, &here);
    lab.put(Side::Server, Store::Notes, &there);
    lab.sync_with(Mode::TwoWay, How { max_msg_size: Some(8000), ..How::default() });
    start.agree(lab, &[&here, &there]);
    lab.delete(Side::Client, Store::Notes, &here);
    lab.delete(Side::Server, Store::Notes, &there);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[]);
}

fn two_hundred(lab: &mut Lab, tag: &str) {
    let start = Start::of(lab, &[]);
    let notes = |who: &str| (0..200).map(|n| format!("{tag} {who} {n}")).collect::<Vec<String>>();
    let (here, there) = (notes("client"), notes("server"));
    here.iter().for_each(|note| lab.put(Side::Client, Store::Notes, note));
    there.iter().for_each(|note| lab.put(Side::Server, Store::Notes, note));
    lab.sync(Mode::TwoWay);
    let all: Vec<&str> = here.iter().chain(&there).map(String::as_str).collect();
    start.agree(lab, &all);
    here.iter().for_each(|note| lab.delete(Side::Client, Store::Notes, note));
    there.iter().for_each(|note| lab.delete(Side::Client, Store::Notes, note));
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[]);
}

fn card(name: &str, number: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name} Lee\r\nN:Lee;{name};;;\r\nTEL;TYPE=WORK,VOICE:{number}\r\n\
         EMAIL;TYPE=INTERNET:{name}@example.org\r\nNOTE:Gr\u{fc}\u{df}e\\, line\\nbreak\r\nEND:VCARD\r\n"
    )
}

fn task(uid: &str, summary: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VTODO\r\nUID:{uid}@test\r\n\
         DTSTAMP:20260101T000000Z\r\nSUMMARY:{summary}\r\nDUE:20260302T100000Z\r\nPRIORITY:2\r\n\
         STATUS:NEEDS-ACTION\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
    )
}

// mission: M3, M10
fn three_stores(lab: &mut Lab, tag: &str) {
    let start = Start::of(lab, &[]);
    let how = How { stores: &Store::ALL, ..How::default() };
    let (here, there, same) =
        (card(&format!("{tag}Ann"), "1"), card(&format!("{tag}Bob"), "2"), card(&format!("{tag}Eve"), "3"));
    let (todo, todo_there) = (task("here", &format!("{tag} here")), task("there", &format!("{tag} there")));
    let note = format!("{tag} beside");
    lab.put(Side::Client, Store::Contacts, &here);
    lab.put(Side::Server, Store::Contacts, &there);
    lab.put(Side::Client, Store::Contacts, &same);
    lab.put(Side::Server, Store::Contacts, &same);
    lab.put(Side::Client, Store::Tasks, &todo);
    lab.put(Side::Server, Store::Tasks, &todo_there);
    lab.put(Side::Client, Store::Notes, &note);
    lab.sync_with(Mode::Slow, how);
    lab.agree(Store::Contacts, &[&here, &there, &same]);
    lab.agree(Store::Tasks, &[&todo, &todo_there]);
    start.agree(lab, &[&note]);
    let (here2, done) = (card(&format!("{tag}Anna"), "1"), task("there", &format!("{tag} moved")));
    lab.edit(Side::Client, Store::Contacts, &here, &here2);
    lab.edit(Side::Server, Store::Tasks, &todo_there, &done);
    lab.delete(Side::Server, Store::Contacts, &there);
    lab.sync_with(Mode::TwoWay, how);
    lab.agree(Store::Contacts, &[&here2, &same]);
    lab.agree(Store::Tasks, &[&todo, &done]);
    // What each side wrote in its own way is found again.
    lab.sync_with(Mode::Slow, how);
    lab.agree(Store::Contacts, &[&here2, &same]);
    lab.agree(Store::Tasks, &[&todo, &done]);
}

// mission: M4
fn interrupted(lab: &mut Lab, tag: &str) {
    let start = Start::of(lab, &[]);
    let text = |who: &str, n: u32| format!("{tag} {who} {n} {}", "x".repeat(300));
    let mut all = Vec::new();
    for n in 0..60 {
        for (side, who) in [(Side::Client, "client"), (Side::Server, "server")] {
            let note = text(who, n);
            lab.put(side, Store::Notes, &note);
            all.push(note);
        }
    }
    let how = How { max_msg_size: Some(6000), ..How::default() };
    let cut = lab.try_sync(Mode::TwoWay, How { cut_after: Some(3), ..how });
    assert_ne!(cut.code, 0, "it ended before it was stopped: {}", cut.text);
    // A peer may refuse to go on at once, and ask for everything.
    let again = lab.try_sync(Mode::TwoWay, how);
    if again.code != 0 {
        lab.sync_with(Mode::TwoWay, how);
    }
    start.agree(lab, &all.iter().map(String::as_str).collect::<Vec<_>>());
    for note in &all {
        lab.delete(Side::Client, Store::Notes, note);
    }
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[]);
}

/// It is asked for contacts while it syncs notes; whatever it makes of that, both are as they should be.
// mission: M4
fn server_alerted(lab: &mut Lab, tag: &str) {
    let how = How { stores: &Store::ALL, ..How::default() };
    lab.sync_with(Mode::TwoWay, how);
    let before = lab.items(Side::Server, Store::Contacts);
    let start = Start::of(lab, &[]);
    let (note, card) = (format!("{tag} note"), card(tag, "7"));
    lab.put(Side::Client, Store::Notes, &note);
    lab.put(Side::Client, Store::Contacts, &card);
    lab.ask(Store::Contacts);
    lab.sync(Mode::TwoWay);
    start.agree(lab, &[&note]);
    // It is asked again, if it said nothing, and no worse for it.
    lab.sync(Mode::TwoWay);
    lab.sync_with(Mode::TwoWay, how);
    let after = lab.items(Side::Server, Store::Contacts);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after, lab.items(Side::Client, Store::Contacts));
    start.agree(lab, &[&note]);
}
