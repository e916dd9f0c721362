//! Large objects: what a receiver answers to chunks, and what a sender does about the answers.
#![cfg(all(feature = "server", feature = "xml"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peer;

use bytes::Bytes;
use peer::{Peer, answers, item, said, sync};
use syncml::session::{Ask, ObjectHead, ObjectProgress, Payload, ServerExchange, payload, wire_form};
use syncml::{CommandName, Encoding, StatusCode, Version};

/// Takes what comes; what is whole is put together from the spool.
#[derive(Default)]
struct Taker {
    spool: Vec<u8>,
    whole: Vec<Vec<u8>>,
    /// The status of what is whole.
    code: Option<StatusCode>,
    answered: Vec<(Vec<u8>, u16, bool)>,
}

impl Taker {
    fn take(&mut self, ex: &mut ServerExchange<'_>, ask: Ask<'_>) {
        match ask {
            Ask::Sync { slot, .. } => ex.answer(&slot, StatusCode::OK),
            Ask::Chunk { offset, data } => {
                self.spool.truncate(offset as usize);
                self.spool.extend_from_slice(&data);
            }
            Ask::ChunksDropped => self.spool.clear(),
            Ask::Change { slot, received } => {
                let wire = match received.payload {
                    Payload::None => Vec::new(),
                    Payload::Whole(data) => data.to_vec(),
                    Payload::Spooled { offset, tail } => {
                        assert_eq!(offset, self.spool.len() as u64);
                        [&std::mem::take(&mut self.spool)[..], &tail].concat()
                    }
                };
                let data = payload(received.format.as_deref(), wire.into());
                let code = match data {
                    Ok(data) => {
                        self.whole.push(data.to_vec());
                        self.code.unwrap_or(StatusCode::ITEM_ADDED)
                    }
                    Err(code) => code,
                };
                ex.answer(&slot, code);
            }
            Ask::Answered { tag, code, object_dropped } => self.answered.push((tag, code.0, object_dropped)),
            _ => {}
        }
    }
}

fn chunk(id: u32, luid: &str, meta: &str, data: &str, more: bool) -> String {
    let more = if more { "<MoreData/>" } else { "" };
    let meta = if meta.is_empty() { String::new() } else { format!("<Meta>{meta}</Meta>") };
    format!(
        "<Add><CmdID>{id}</CmdID><Item><Source><LocURI>{luid}</LocURI></Source>{meta}<Data>{data}</Data>{more}\
         </Item></Add>"
    )
}

fn size(octets: u64) -> String {
    format!("<Size xmlns='syncml:metinf'>{octets}</Size>")
}

fn say(peer: &mut Peer, taker: &mut Taker, commands: &str) -> Vec<u16> {
    answers(&peer.say(&sync(commands), |ex, ask| taker.take(ex, ask)))
}

// spec-test: session facts section 5
#[test]
fn two_objects_in_a_row() {
    let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
    assert_eq!(say(&mut peer, &mut taker, &chunk(1, "a", &size(6), "abc", true)), [200, 213]);
    // The last chunk of one, and the first of the next.
    let both = chunk(1, "a", "", "def", false) + &chunk(2, "b", &size(4), "gh", true);
    assert_eq!(say(&mut peer, &mut taker, &both), [200, 201, 213]);
    assert_eq!(
        say(&mut peer, &mut taker, &(chunk(1, "b", "", "ij", false) + &item("Add", 2, "c"))),
        [200, 201, 201]
    );
    assert_eq!(taker.whole, [&b"abcdef"[..], b"ghij", b"x"]);
}

#[test]
fn threat_s8_sizes_that_are_wrong_drop_the_object() {
    let limit = 32 * 1024 * 1024;
    for (first, rest, codes) in [
        (chunk(1, "a", "", "abc", true), "", vec![200, 411]),
        (chunk(1, "a", &size(limit + 1), "abc", true), "", vec![200, 416]),
        (chunk(1, "a", &size(u64::MAX), "abc", true), "", vec![200, 416]),
        (chunk(1, "a", &size(2), "abc", true), "", vec![200, 424]),
        (chunk(1, "a", &size(6), "abc", true), "de", vec![200, 424]),
        (chunk(1, "a", &size(6), "abc", true), "defg", vec![200, 424]),
    ] {
        let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
        let mut got = say(&mut peer, &mut taker, &first);
        if !rest.is_empty() {
            assert_eq!(got, [200, 213]);
            got = say(&mut peer, &mut taker, &chunk(1, "a", "", rest, false));
        }
        assert_eq!(got, codes, "{first} {rest}");
        assert!(taker.whole.is_empty() && taker.spool.is_empty(), "nothing is committed");
        assert_eq!(say(&mut peer, &mut taker, &item("Add", 1, "b")), [200, 201], "honest ones beside it are");
    }
    // A whole item above the limit.
    let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
    peer.config.max_obj_size = 3;
    assert_eq!(
        say(&mut peer, &mut taker, &(chunk(1, "a", "", "abcd", false) + &item("Add", 2, "b"))),
        [200, 416, 201]
    );
}

#[test]
fn what_the_store_says_comes_back_with_the_last_chunk() {
    for code in [StatusCode::DEVICE_FULL, StatusCode::TOO_LARGE] {
        let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
        taker.code = Some(code);
        assert_eq!(say(&mut peer, &mut taker, &chunk(1, "a", &size(6), "abc", true)), [200, 213]);
        assert_eq!(say(&mut peer, &mut taker, &chunk(1, "a", "", "def", false)), [200, code.0]);
    }
}

#[test]
fn something_new_inside_an_object_is_told_by_alert_223() {
    let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
    say(&mut peer, &mut taker, &chunk(1, "a", &size(6), "abc", true));
    let answer = peer.say(&sync(&item("Add", 1, "b")), |ex, ask| taker.take(ex, ask));
    assert_eq!((answers(&answer), said(&answer)), (vec![200, 201], vec!["Alert 223".to_owned()]));
    let alert = answer.commands.iter().find_map(|command| match command {
        syncml::Command::Alert(alert) => Some(&alert.items[0]),
        _ => None,
    });
    assert_eq!(&*alert.unwrap().source.as_ref().unwrap().loc_uri, "a");
    assert!(taker.spool.is_empty());
    // The package ends in the middle of it.
    say(&mut peer, &mut taker, &chunk(1, "a", &size(6), "abc", true));
    let answer = peer.say("<Final/>", |ex, ask| taker.take(ex, ask));
    assert_eq!((answers(&answer), said(&answer)), (vec![], vec!["Alert 223".to_owned()]));
    assert!(taker.spool.is_empty());
    assert_eq!(say(&mut peer, &mut taker, &chunk(1, "a", "", "def", true)), [200, 411], "it is forgotten");
}

#[test]
fn base64_counts_as_it_is_sent() {
    let octets: Vec<u8> = (0..=255).collect();
    let (wire, base64) = wire_form(Encoding::Xml, &octets.clone().into());
    assert!(base64);
    let text = std::str::from_utf8(&wire).unwrap();
    let format = "<Format xmlns='syncml:metinf'>b64</Format>".to_owned();
    let (mut peer, mut taker) = (Peer::new(Version::V1_2), Taker::default());
    let first = chunk(1, "a", &(format + &size(wire.len() as u64)), &text[..99], true);
    assert_eq!(say(&mut peer, &mut taker, &first), [200, 213]);
    assert_eq!(say(&mut peer, &mut taker, &chunk(1, "a", "", &text[99..], false)), [200, 201]);
    assert_eq!(taker.whole, [octets]);
}

/// The octets of a chunk, the code it was answered with, whether more follows.
type Chunk = (Vec<u8>, u16, bool);

/// A server that sends an object in chunks, and a peer that answers each with a code.
fn send(answer: &str) -> (Vec<Chunk>, Vec<ObjectProgress>) {
    let data = Bytes::from(vec![b'x'; 5_000]);
    let (mut peer, mut taker, mut steps) = (Peer::new(Version::V1_2), Taker::default(), Vec::new());
    peer.max_msg = 1_500;
    let hello = "<Alert><CmdID>9</CmdID><Data>100</Data><Item><Data>x</Data></Item></Alert>";
    let mut reply = String::new();
    for _ in 0..30 {
        let mut go = true;
        let said = peer.say(&(reply.clone() + hello), |ex, ask| {
            taker.take(ex, ask);
            if !go || (!steps.is_empty() && ex.outgoing().is_none()) {
                return;
            }
            let Some((_, at, len)) = ex.outgoing() else {
                go = false;
                ex.open_sync("notes", "./notes", None).unwrap();
                let head = ObjectHead {
                    source: Some("g".into()),
                    media_type: "text/plain".into(),
                    ..ObjectHead::default()
                };
                let went = ex.send_object(CommandName::Add, head, &data, ("notes", "./notes"), vec![7]);
                return steps.push(went.unwrap());
            };
            go = false;
            ex.open_sync("notes", "./notes", None).unwrap();
            let piece = data.slice(at as usize..(at + len) as usize);
            steps.push(ex.continue_object(&piece).unwrap());
        });
        let cmd = said.commands.iter().find_map(|command| match command {
            syncml::Command::Sync(sync) => sync.commands.first().map(syncml::Command::cmd_id),
            _ => None,
        });
        let Some(cmd) = cmd else { break };
        reply = answer.replace("MSG", &said.hdr.msg_id.to_string()).replace("CMD", &cmd.to_string());
    }
    (taker.answered, steps)
}

const STATUS: &str = "<Status><CmdID>1</CmdID><MsgRef>MSG</MsgRef><CmdRef>CMD</CmdRef><Cmd>Add</Cmd><Data>CODE</Data></Status>";

#[test]
fn a_sender_goes_on_at_213_and_stops_at_anything_else() {
    let (answered, steps) = send(&STATUS.replace("CODE", "213"));
    assert_eq!(steps.first(), Some(&ObjectProgress::Started));
    assert_eq!(steps.last(), Some(&ObjectProgress::Done), "{steps:?}");
    assert_eq!(answered, [(vec![7], 213, false)], "the status of the last one is the object's");
    for code in [413, 416, 420, 424, 500] {
        let (answered, steps) = send(&STATUS.replace("CODE", &code.to_string()));
        assert_eq!((steps.len(), answered), (1, vec![(vec![7], code, true)]));
    }
    // Alert 223: the peer never had the rest.
    let alert =
        "<Alert><CmdID>1</CmdID><Data>223</Data><Item><Source><LocURI>g</LocURI></Source></Item></Alert>";
    let (answered, steps) = send(alert);
    assert_eq!((steps.len(), answered), (1, vec![(vec![7], 412, true)]));
}
