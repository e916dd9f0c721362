//! Commands and filters of clients that are not ours.

use super::notes::server_note;
use super::raw::*;
use super::world::*;
use mailsync_proto::sync::event::ConflictRule;
use mailsync_proto::sync::store::ItemValue;
use std::collections::BTreeSet;
use std::sync::Arc;
use syncml::Message;

fn texts(world: &World) -> BTreeSet<String> {
    let items: Vec<(idmap::Guid, ItemValue, bytes::Bytes)> = world.items("notes");
    items.into_iter().map(|(_, _, body)| String::from_utf8(body.to_vec()).unwrap()).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A device that has `c1`, `c2` and `c3` synced; anchors `1`.
fn synced(world: &World) {
    let mut raw = Raw::new(world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer =
        raw.sync("notes", "", &(add(2, "c1", "one") + &add(3, "c2", "two") + &add(4, "c3", "three")));
    assert_eq!(codes(&answer), [(1, 200), (2, 201), (3, 201), (4, 201)]);
    raw.take("notes", &answer);
}

/// A two-way session with these changes: the answer with the server's, and what it says when those are taken.
fn two_way(world: &World, session: u32, target: &str, meta: &str, commands: &str) -> Message {
    let mut raw = Raw::new(world, session);
    let answer = raw.alert("notes", 200, &(session - 1).to_string(), &session.to_string(), target);
    assert!(says(&answer).contains(&"Alert 200".into()), "{:?} {:?}", codes(&answer), says(&answer));
    let answer = raw.sync("notes", meta, commands);
    raw.take("notes", &answer);
    answer
}

// spec-test: session facts section 4, SftDel
#[test]
fn what_leaves_the_device_only_stays_and_does_not_come_back() {
    let world = World::new();
    synced(&world);
    let answer = two_way(&world, 2, "", "", &(delete(2, "c1", "<SftDel/>") + &delete(3, "no", "<SftDel/>")));
    assert_eq!(codes(&answer), [(1, 200), (2, 200), (3, 211)]);
    assert_eq!(texts(&world), set(&["one", "two", "three"]));
    let (guid, ..) = world.items("notes").into_iter().find(|(_, _, body)| body == "one").unwrap();
    server_note(&world, guid.as_str(), "one, changed");
    // Its id may be given to another item.
    let answer = two_way(&world, 3, "", "", &add(2, "c1", "another"));
    assert_eq!(codes(&answer), [(1, 200), (2, 201)]);
    assert!(says(&answer).is_empty(), "{:?}", says(&answer));
    assert_eq!(texts(&world), set(&["one, changed", "two", "three", "another"]));
}

// threat: S11
#[test]
fn threat_s11_what_a_device_deletes_is_kept_for_a_while_or_for_good() {
    let world = World::new();
    synced(&world);
    let answer = two_way(&world, 2, "", "", &(delete(2, "c1", "<Archive/>") + &delete(3, "c2", "")));
    assert_eq!(codes(&answer), [(1, 200), (2, 200), (3, 200)]);
    assert_eq!(texts(&world), set(&["three"]));
    let kept = world.server.store.kept(&World::key("notes"));
    let kept: Vec<(&[u8], Option<u64>)> = kept
        .iter()
        .map(|(_, body, until)| (body.as_deref().unwrap(), until.map(|until| until / 86_400)))
        .collect();
    let until = Some(world.clock.get() / 86_400 + 30);
    assert_eq!(kept, [(&b"one"[..], None), (&b"two"[..], until)]);
}

// spec-test: session facts section 4, Copy
#[test]
fn a_copy_is_an_item_of_its_own() {
    let world = World::new();
    synced(&world);
    let copy = |id: u32, from: &str, to: &str| {
        let to =
            if to.is_empty() { String::new() } else { format!("<Target><LocURI>{to}</LocURI></Target>") };
        format!("<Copy><CmdID>{id}</CmdID><Item>{to}<Source><LocURI>{from}</LocURI></Source></Item></Copy>")
    };
    let commands = copy(2, "c1", "c9") + &copy(3, "c2", "") + &copy(4, "no", "c8") + &copy(5, "c1", "c3");
    let mut raw = Raw::new(&world, 2);
    raw.alert("notes", 200, "1", "2", "");
    let answer = raw.sync("notes", "", &commands);
    assert_eq!(codes(&answer), [(1, 200), (2, 201), (3, 201), (4, 404), (5, 418)]);
    assert_eq!(world.items("notes").len(), 5);
    // The one without an id is offered to the device, at the latest with the next message.
    let after = raw.say("<Alert><CmdID>1</CmdID><Data>222</Data></Alert>");
    let offered =
        says(&answer).into_iter().chain(says(&after)).filter(|said| said.starts_with("Add")).count();
    assert_eq!(offered, 1, "{:?} {:?}", says(&answer), says(&after));
    // The other is bound: a change of it is a change.
    let change = change("Replace", 2, "c9", "copied, changed");
    let mut raw = Raw::new(&world, 3);
    raw.alert("notes", 201, "", "3", "");
    drop(raw);
    assert!(change.contains("c9"));
}

// spec-test: session facts section 4, Atomic: all or nothing
#[test]
fn an_atomic_is_done_whole_or_not_at_all() {
    let world = World::new();
    synced(&world);
    let atomic = |commands: &str| format!("<Atomic><CmdID>20</CmdID>{commands}</Atomic>");
    let bad = "<Replace><CmdID>9</CmdID><Meta><Type xmlns='syncml:metinf'>image/gif</Type></Meta>\
               <Item><Source><LocURI>c2</LocURI></Source><Data>x</Data></Item></Replace>";
    let commands = add(2, "c4", "four")
        + &atomic(&(add(5, "c5", "five") + &delete(6, "c1", "") + bad + &add(10, "c6", "six")))
        + &add(11, "c7", "seven");
    let answer = two_way(&world, 2, "", "", &commands);
    assert_eq!(
        codes(&answer),
        [(1, 200), (2, 201), (5, 216), (6, 216), (9, 415), (10, 215), (11, 201), (20, 507)]
    );
    assert_eq!(texts(&world), set(&["one", "two", "three", "four", "seven"]));
    assert!(world.server.store.kept(&World::key("notes")).is_empty(), "nothing was deleted");
    let good = atomic(&(add(5, "c5", "five") + &delete(6, "c1", "") + &change("Replace", 9, "c2", "two!")));
    let answer = two_way(&world, 3, "", "", &good);
    assert_eq!(codes(&answer), [(1, 200), (5, 201), (6, 200), (9, 200), (20, 200)]);
    assert_eq!(texts(&world), set(&["two!", "three", "four", "five", "seven"]));
}

// spec-test: session facts section 6
#[test]
fn a_search_is_answered() {
    let world = World::new();
    synced(&world);
    server_note(&world, "s1", "one more");
    let search = |grammar: &str, query: &str| {
        format!(
            "<Search><CmdID>2</CmdID><Target><LocURI>./notes</LocURI></Target>\
             <Source><LocURI>./notes</LocURI></Source><Meta><Type xmlns='syncml:metinf'>{grammar}</Type></Meta>\
             <Data>{query}</Data></Search>"
        )
    };
    let mut raw = Raw::new(&world, 2);
    raw.alert("notes", 200, "1", "2", "");
    let cgi = "syncml:filtertype-cgi";
    let answer = raw.say(&search(cgi, "body&amp;CON;one"));
    assert_eq!((codes(&answer), says(&answer)[0].as_str()), (vec![(2, 200)], "Results 2"));
    for (grammar, query, code) in
        [(cgi, "body&amp;CON;nine", 204), (cgi, "body", 422), (cgi, "size&amp;GT;1", 406), ("sql", "*", 421)]
    {
        let mut raw = Raw::new(&world, 3);
        raw.alert("notes", 201, "", "3", "");
        assert_eq!(codes(&raw.say(&search(grammar, query))), [(2, code)], "{query}");
    }
}

fn filter(record: &str, kind: &str) -> String {
    format!(
        "<Filter><Meta><Type xmlns='syncml:metinf'>text/plain</Type></Meta><Record><Item>\
         <Meta><Type xmlns='syncml:metinf'>syncml:filtertype-cgi</Type></Meta><Data>{record}</Data></Item></Record>\
         {kind}</Filter>"
    )
}

// spec-test: session facts section 6: EXCLUSIVE
#[test]
fn an_exclusive_filter_is_what_the_device_holds() {
    let world = World::new();
    for (id, text) in [("s1", "red 1"), ("s2", "blue 1"), ("s3", "red 2")] {
        server_note(&world, id, text);
    }
    let red = filter("body&amp;CON;red", "");
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", &red);
    let answer = raw.sync("notes", "", "");
    assert_eq!(says(&answer), ["Add s1", "Add s3"]);
    raw.take("notes", &answer);
    // One comes into the set, one falls out of it.
    server_note(&world, "s2", "red now");
    server_note(&world, "s3", "blue now");
    let answer = two_way(&world, 2, &red, "", "");
    assert_eq!(says(&answer), ["Add s2", "SftDel m-s3"]);
    // Another filter: what did not change is looked at, too.
    let answer =
        two_way(&world, 3, &filter("body&amp;CON;blue", "<FilterType>EXCLUSIVE</FilterType>"), "", "");
    assert_eq!(says(&answer), ["SftDel m-s1", "SftDel m-s2", "Add s3"]);
    // No filter: everything.
    let answer = two_way(&world, 4, "", "", "");
    assert_eq!(says(&answer), ["Add s1", "Add s2"]);
    let answer = two_way(&world, 5, "", "", "");
    assert!(says(&answer).is_empty(), "{:?}", says(&answer));
    assert_eq!(world.items("notes").len(), 3, "nothing is gone here");
}

// spec-test: session facts section 6: INCLUSIVE
#[test]
fn an_inclusive_filter_fetches_and_touches_nothing_else() {
    let world = World::new();
    for (id, text) in [("s1", "red 1"), ("s2", "blue 1"), ("s3", "red 2")] {
        server_note(&world, id, text);
    }
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer = raw.sync("notes", "", "");
    raw.take("notes", &answer);
    server_note(&world, "s2", "blue, changed");
    let kind = "<FilterType>INCLUSIVE</FilterType>";
    let answer = two_way(&world, 2, &filter("&amp;LUID;&amp;EQ;m-s1", kind), "", "");
    assert_eq!(says(&answer), ["Replace m-s1"], "although it has it");
    // quirk: Funambol's spelling
    let answer = two_way(&world, 3, &filter("&amp;LUID&amp;iEQ;m-s3", kind), "", "");
    assert_eq!(says(&answer), ["Replace m-s3"]);
    let answer = two_way(&world, 4, &filter("body&amp;CON;red", kind), "", "");
    assert_eq!(says(&answer), ["Replace m-s1", "Replace m-s3"]);
    // What changed meanwhile still goes.
    let answer = two_way(&world, 5, "", "", "");
    assert_eq!(says(&answer), ["Replace m-s2"]);
}

// spec-test: session facts section 6: 406, 415, 422
#[test]
fn what_is_no_filter_is_refused_by_its_status() {
    let world = World::new();
    synced(&world);
    let good = filter("body&amp;CON;x", "");
    for (bad, code) in [
        (good.replace("text/plain", "image/gif"), 415),
        (good.replace("filtertype-cgi", "filtertype-x"), 422),
        (good.replace("CON", "NEAR"), 422),
        (filter("size&amp;GT;1", ""), 406),
        (filter("body&amp;CON;x", "<FilterType>OTHER</FilterType>"), 422),
        (
            "<Filter><Meta/><Field><Item><Data><Property xmlns='syncml:devinf'><PropName>body</PropName></Property></Data>\
             </Item></Field></Filter>"
                .to_owned(),
            406,
        ),
    ] {
        let mut raw = Raw::new(&world, 2);
        let answer = raw.alert("notes", 200, "1", "2", &bad);
        assert_eq!(codes(&answer), [(1, code)], "{bad}");
        // The datastore is not synced.
        assert_eq!(codes(&raw.sync("notes", "", &add(2, "x", "x")))[0], (1, 404));
    }
    assert_eq!(texts(&world), set(&["one", "two", "three"]));
}

#[test]
fn options_behind_the_uri_filter_where_they_can_and_are_kept() {
    let world = World::new();
    for (id, text) in [("s1", "red 1"), ("s2", "blue 1")] {
        server_note(&world, id, text);
    }
    let mut raw = Raw::new(&world, 1);
    let answer = raw.alert("notes?/fi(body&amp;CON;red)", 201, "", "1", "");
    let alert = answer.commands.iter().find_map(|command| match command {
        syncml::Command::Alert(alert) => alert.items[0].source.clone(),
        _ => None,
    });
    assert_eq!(&*alert.unwrap().loc_uri, "./notes?/fi(body&CON;red)", "as the client called it");
    let answer = raw.sync("notes?/fi(body&amp;CON;red)", "", "");
    assert_eq!(says(&answer), ["Add s1"]);
    let mut raw = Raw::new(&world, 2);
    let answer = raw.alert("notes?XX=7", 201, "", "2", "");
    assert_eq!(codes(&answer), [(1, 200)], "what nobody knows means nothing");
}

// spec-test: session facts section 4: Sync/Meta/Mem; mission: M11
#[test]
fn a_device_gets_what_it_has_room_for_and_the_rest_later() {
    let world = World::new();
    for n in 0..6 {
        server_note(&world, &format!("s{n}"), &format!("note {n} {}", "x".repeat(100)));
    }
    let room = |octets: u32, items: u32| {
        format!(
            "<Meta><Mem xmlns='syncml:metinf'><FreeMem>{octets}</FreeMem><FreeID>{items}</FreeID></Mem></Meta>"
        )
    };
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer = raw.sync("notes", &room(250, 9), "");
    assert_eq!(says(&answer), ["Add s0", "Add s1"]);
    raw.take("notes", &answer);
    let answer = two_way(&world, 2, "", &room(9_000, 1), "");
    assert_eq!(says(&answer), ["Add s2"]);
    let answer = two_way(&world, 3, "", "", "");
    assert_eq!(says(&answer), ["Add s3", "Add s4", "Add s5"]);
}

#[test]
fn a_full_device_gets_the_rest_when_it_has_room() {
    let world = World::new();
    for n in 0..400 {
        server_note(&world, &format!("s{n:03}"), &format!("note {n} {}", "x".repeat(400)));
    }
    let mut raw = Raw::new(&world, 1);
    raw.alert("notes", 201, "", "1", "");
    let answer = raw.sync("notes", "", "");
    let first = says(&answer).len();
    assert!(first > 50 && first < 390, "{first} in one message");
    // It takes none of them: there is no room.
    let full: String = flat(&answer)
        .iter()
        .filter(|command| matches!(command, syncml::Command::Add(_)))
        .enumerate()
        .map(|(n, command)| {
            format!(
                "<Status><CmdID>{}</CmdID><MsgRef>{}</MsgRef><CmdRef>{}</CmdRef><Cmd>Add</Cmd><Data>420</Data></Status>",
                n + 1,
                answer.hdr.msg_id,
                command.cmd_id()
            )
        })
        .collect();
    let after = raw.say(&full);
    assert!(says(&after).iter().all(|said| !said.starts_with("Add")), "no more goes to a full device");
    raw.say("");
    let mut raw = Raw::new(&world, 2);
    let answer = raw.alert("notes", 200, "1", "2", "");
    assert!(says(&answer).contains(&"Alert 200".into()));
    let answer = raw.sync("notes", "", "");
    assert_eq!(says(&answer)[0], "Add s000", "it is offered again");
}

// threat: S11
#[test]
fn threat_s11_mass_delete_raises_an_event_and_is_kept() {
    use mailsync_proto::sync::event::Event;
    let world = World::new();
    let client = Client::new("dev-1", syncml::Encoding::Wbxml, syncml::Version::V1_2, 20_000, &["notes"]);
    for n in 0..40 {
        server_note(&world, &format!("s{n:02}"), &format!("note {n}"));
    }
    world.sync(&client, None);
    for n in 0..18 {
        client.delete("notes", &format!("s{n:02}"));
    }
    world.sync(&client, None);
    assert!(!world.server_events.borrow().iter().any(|event| matches!(event, Event::MassDelete { .. })));
    for n in 18..40 {
        client.delete("notes", &format!("s{n:02}"));
    }
    world.sync(&client, None);
    let said = Event::MassDelete { store: "notes".into(), deleted: 22, left: 0 };
    assert_eq!(world.server_events.borrow().iter().filter(|event| **event == said).count(), 1);
    assert_eq!(world.server.store.kept(&World::key("notes")).len(), 40);
    assert!(world.items("notes").is_empty(), "it is done all the same");
}

/// Notes whose versions are merged line by line.
struct Merging(mailsync_proto::plain::PlainCollection);

impl mailsync_proto::sync::collection::Collection for Merging {
    fn devinf(&self, source_ref: &str, version: syncml::Version) -> syncml::DataStore {
        self.0.devinf(source_ref, version)
    }
    fn needs_body(&self, projection: &mailsync_proto::sync::collection::Projection<'_>) -> bool {
        self.0.needs_body(projection)
    }
    fn project(
        &self,
        projection: &mailsync_proto::sync::collection::Projection<'_>,
        body: Option<&bytes::Bytes>,
    ) -> Result<mailsync_proto::sync::collection::Wire, mailsync_proto::sync::collection::Refusal> {
        self.0.project(projection, body)
    }
    fn absorb(
        &self,
        cx: &mut mailsync_proto::sync::collection::Context<'_, '_>,
        incoming: &mailsync_proto::sync::collection::Incoming<'_>,
    ) -> Result<mailsync_proto::sync::collection::Absorbed, mailsync_proto::sync::collection::Stop> {
        self.0.absorb(cx, incoming)
    }
    fn merge_bodies(
        &self,
        ours: (&ItemValue, &bytes::Bytes),
        theirs: (&ItemValue, &bytes::Bytes),
    ) -> Option<(ItemValue, bytes::Bytes)> {
        let text = format!("{}+{}", std::str::from_utf8(ours.1).ok()?, std::str::from_utf8(theirs.1).ok()?);
        (!text.contains("no merge"))
            .then(|| (mailsync_proto::plain::plain_value("text/plain", text.as_bytes()), text.into()))
    }
}

fn conflicting(rule: ConflictRule, ours: &str, theirs: &str) -> (World, u16, Vec<String>) {
    let mut world = World::new();
    for store in &mut world.server.config.stores {
        store.conflict = rule;
        if &*store.name == "notes" {
            store.collection = Arc::new(Merging(mailsync_proto::plain::PlainCollection::notes()));
        }
    }
    synced(&world);
    let (guid, ..) = world.items("notes").into_iter().find(|(_, _, body)| body == "one").unwrap();
    server_note(&world, guid.as_str(), ours);
    let mut raw = Raw::new(&world, 2);
    raw.alert("notes", 200, "1", "2", "");
    let answer = raw.sync("notes", "", &change("Replace", 2, "c1", theirs));
    let code = codes(&answer).into_iter().find(|(id, _)| *id == 2).unwrap().1;
    let after = raw.take("notes", &answer);
    let said = says(&answer).into_iter().chain(says(&after)).collect();
    (world, code, said)
}

// spec-test: session facts section 4, conflict codes
#[test]
fn who_loses_a_conflict_is_told() {
    use mailsync_proto::sync::event::Event;
    for (rule, code, ours, said) in [
        (ConflictRule::ServerWins, 419, &["ours", "two", "three"][..], "Replace c1"),
        (ConflictRule::ClientWins, 208, &["theirs", "two", "three"], ""),
        (ConflictRule::KeepBoth, 209, &["ours", "theirs", "two", "three"], "Add "),
        (ConflictRule::Merge, 207, &["ours+theirs", "two", "three"], "Replace c1"),
    ] {
        let (world, given, says) = conflicting(rule, "ours", "theirs");
        assert_eq!((given, texts(&world)), (code, set(ours)), "{rule:?}");
        let changes: Vec<&String> = says.iter().filter(|said| !said.starts_with("Alert")).collect();
        match said {
            "" => assert!(changes.is_empty(), "{rule:?} {changes:?}"),
            said => assert!(changes.len() == 1 && changes[0].starts_with(said), "{rule:?} {changes:?}"),
        }
        let told = |event: &Event| matches!(event, Event::Conflict { code: told, .. } if *told == code);
        assert!(world.server_events.borrow().iter().any(told), "{rule:?}");
    }
    // What cannot be merged is kept twice.
    let (world, given, _) = conflicting(ConflictRule::Merge, "no merge", "theirs");
    assert_eq!((given, texts(&world)), (209, set(&["no merge", "theirs", "two", "three"])));
}

#[test]
fn whether_a_deletion_beats_a_change_is_the_datastores_to_say() {
    for wins in [false, true] {
        let mut world = World::new();
        let notes = mailsync_proto::plain::PlainCollection::notes().with_deletion_wins(wins);
        for store in &mut world.server.config.stores {
            if &*store.name == "notes" {
                store.collection = Arc::new(notes.clone());
            }
        }
        synced(&world);
        let guid = |text: &str| world.items("notes").into_iter().find(|(_, _, body)| body == text).unwrap().0;
        server_note(&world, guid("one").as_str(), "one, changed");
        world.delete("notes", guid("two").as_str());
        let answer =
            two_way(&world, 2, "", "", &(delete(2, "c1", "") + &change("Replace", 3, "c2", "two, changed")));
        if wins {
            assert_eq!(codes(&answer), [(1, 200), (2, 200), (3, 419)]);
            assert_eq!(texts(&world), set(&["three"]));
        } else {
            assert_eq!(codes(&answer), [(1, 200), (2, 419), (3, 201)]);
            assert_eq!(texts(&world), set(&["one, changed", "two, changed", "three"]));
        }
    }
}

// spec-test: session facts section 1: a client may put Sync into package 1
#[test]
fn init_and_sync_in_one_package() {
    let world = World::new();
    synced(&world);
    server_note(&world, "s1", "of the server");
    let alert = |code: u16, last: &str| {
        format!(
            "<Alert><CmdID>1</CmdID><Data>{code}</Data><Item><Target><LocURI>./notes</LocURI></Target>\
             <Source><LocURI>notes</LocURI></Source><Meta><Anchor xmlns='syncml:metinf'><Last>{last}</Last>\
             <Next>2</Next></Anchor></Meta></Item></Alert>"
        )
    };
    let sync = |commands: &str| {
        format!(
            "<Sync><CmdID>2</CmdID><Target><LocURI>./notes</LocURI></Target>\
             <Source><LocURI>notes</LocURI></Source>{commands}</Sync>"
        )
    };
    let mut raw = Raw::new(&world, 2);
    let answer = raw.say(&(alert(200, "1") + &sync(&add(3, "c4", "four"))));
    assert_eq!(codes(&answer), [(1, 200), (2, 200), (3, 201)]);
    assert_eq!(says(&answer), ["Alert 200", "Add s1"]);
    raw.take("notes", &answer);
    assert_eq!(world.items("notes").len(), 5);
    // Without a common sync point nothing of it is done, and everything must come.
    let mut raw = Raw::new(&world, 3);
    let answer = raw.say(&(alert(200, "nonsense") + &sync(&add(3, "c5", "five"))));
    assert_eq!(codes(&answer), [(1, 508), (2, 508), (3, 508)]);
    assert_eq!(says(&answer), ["Alert 201"]);
    assert_eq!(world.items("notes").len(), 5);
}
