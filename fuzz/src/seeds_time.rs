//! The seeds of time: one for each row of bad input, and honest ones beside them.

use std::io;
use timesync::sntp::{Server, ServerStatus};
use timesync::{KissCode, NtpTimestamp, Request, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

/// Writes them with a function that takes target, name and octets.
pub(crate) fn write(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    ntp(seed)?;
    exchange(seed)?;
    civil(seed)?;
    calendars(seed)?;
    tasks(seed)?;
    people(seed)?;
    dm(seed)
}

fn ntp(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let request = Request::new(NtpTimestamp::from_bits(0x1234_5678_9abc_def0)).packet().encode();
    let honest = Server::default().reply(&request, NOW, NOW, &ServerStatus::primary()).unwrap_or([0; 48]);
    seed("ntp", "request", &request)?;
    seed("ntp", "reply", &honest)?;
    let kiss = Server::default().kiss(&request, KissCode::DENY).unwrap_or([0; 48]);
    seed("ntp", "threat-t1-kiss", &kiss)?;
    seed("ntp", "threat-t1-all-ones", &[0xff; 48])?;
    for (name, place, octet) in [
        ("mode", 0, 0x23),
        ("version-7", 0, 0x3c),
        ("stratum-16", 1, 16),
        ("precision-100", 3, 100),
        ("precision-minus-128", 3, 0x80),
        ("root-delay-negative", 4, 0x80),
        ("wrong-origin", 24, 0xff),
    ] {
        let mut packet = honest;
        packet[place] = octet;
        seed("ntp", &format!("threat-t1-{name}"), &packet)?;
    }
    for (name, range) in [("transmit-0", 40..48), ("receive-0", 32..40)] {
        let mut packet = honest;
        packet[range].fill(0);
        seed("ntp", &format!("threat-t1-{name}"), &packet)?;
    }
    for (name, tail) in [
        ("extension-0", &[0, 4, 0, 0][..]),
        ("extension-3", &[0, 4, 0, 3]),
        ("extension-65535", &[0, 4, 255, 255]),
        ("mac-20", &[7; 20]),
    ] {
        seed("ntp", &format!("threat-t1-{name}"), &[&honest[..], tail].concat())?;
    }
    seed("ntp", "threat-t1-cut", &honest[..47])?;
    // Two answers, each after a wait.
    seed("ntp", "two-answers", &[&[1][..], &honest, &[0; 12], &[2], &honest].concat())
}

fn exchange(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let row = |t1: u64, offset: i64, ways: [u32; 3]| {
        let mut octets = [t1.to_be_bytes(), offset.to_be_bytes()].concat();
        octets.extend(ways.iter().flat_map(|way| way.to_be_bytes()));
        octets
    };
    seed("exchange", "honest", &row(3_900_000_000 << 32, 20 << 32, [100_000_000, 4_000_000, 50_000_000]))?;
    seed("exchange", "era-2036", &row(u64::MAX - 9, -(1 << 40), [u32::MAX, 1, 0]))?;
    seed("exchange", "far", &row(1, i64::MAX, [0, u32::MAX, u32::MAX]))?;
    seed("exchange", "farther", &row(1 << 63, i64::MIN, [1, 0, u32::MAX]))
}

fn civil(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    for (name, zone, text) in [
        ("honest", 1, "2026-03-05T00:05:00[Europe/Moscow]"),
        ("gap", 1, "2026-03-29T02:30:00"),
        ("fold", 1, "2026-10-25T02:30:00"),
        ("half-hour-fold", 2, "2026-04-05T01:45:00"),
        ("two-hour-gap", 3, "2026-03-29T01:30:00"),
        ("skipped-day", 4, "2011-12-30T12:00:00"),
        ("midnight-gap", 6, "2017-10-15T00:00:00"),
        ("threat-t1-24-00", 0, "2026-03-29T24:00:00"),
        ("threat-t1-leap-second", 0, "2016-12-31T23:59:60Z"),
        ("threat-t1-february-30", 0, "2026-02-30T00:00:00"),
        ("threat-t1-year-0", 0, "0000-01-01T00:00:00Z"),
        ("threat-t1-year-9999", 7, "9999-12-31T23:59:59+16:00"),
        ("threat-t1-offset-99", 0, "2026-01-01T00:00:00+99:99"),
        ("threat-t1-offset-against-zone", 0, "2026-01-01T00:00:00+05:00[Europe/Berlin]"),
        ("threat-t1-climbing-zone", 0, "2026-01-01T00:00:00[../../etc/passwd]"),
        ("basic", 5, "20261122T080000Z"),
    ] {
        seed("civil", name, &[&[zone], text.as_bytes()].concat())?;
    }
    seed("civil", "network-time", &[0x62, 0x11, 0x22, 0x80, 0x00, 0x00, 0x40, 0])?;
    seed("civil", "threat-t1-network-time-nibbles", &[0xfa, 0xbc, 0xde, 0xff, 0xff, 0xff, 0xff, 3])
}

fn calendars(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let event = |lines: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a@b\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let start = "DTSTART;TZID=Europe/Berlin:20261201T090000\r\n";
    for (name, lines) in [
        ("meeting", format!("{start}SUMMARY:Tea\\, with Bo\r\nATTENDEE:mailto:b@x\r\n")),
        ("weekly", format!("{start}RRULE:FREQ=WEEKLY;BYDAY=MO,TU;COUNT=9\r\n")),
        ("alarm", format!("{start}BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\n")),
        ("picture", format!("{start}ATTACH;FMTTYPE=image/png;ENCODING=BASE64;VALUE=BINARY:iVBORw0K\r\n")),
        ("folded", format!("{start}SUMMARY:a very lo\r\n ng line\r\n")),
        ("threat-t1-rule-bomb", format!("{start}RRULE:FREQ=SECONDLY;COUNT=1000000000\r\n")),
        ("threat-t1-year-2500", "DTSTART:25000101T000000Z\r\n".into()),
        ("threat-t1-empty-tone", format!("{start}ATTACH;FMTTYPE=audio/wav;ENCODING=BASE64:\r\n")),
        ("threat-t1-task-in-task", format!("{start}BEGIN:VEVENT\r\nEND:VEVENT\r\n")),
        ("threat-t1-quoted", format!("{start}ATTACH;FMTTYPE=\"a;b:c\":http://x/y\r\n")),
    ] {
        seed("ical", name, event(&lines).as_bytes())?;
    }
    let todo = "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:x\nDUE:20261201\nSUMMARY:milk\nEND:VTODO\nEND:VCALENDAR\n";
    seed("ical", "todo", todo.as_bytes())?;
    seed("ical", "threat-t1-unclosed", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\n")
}

fn tasks(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    // Set, be there, wait, report.
    seed("tasks", "shown", &[0, 0, 9, 0, 3, 0, 0, 0, 7, 0, 0, 50, 7, 0, 0, 30, 4, 0, 0, 1, 7, 0, 0, 200])?;
    seed(
        "tasks",
        "fails-over",
        &[0, 0, 9, 0, 3, 0, 0, 0, 3, 3, 0, 0, 7, 0, 4, 63, 7, 0, 0, 60, 7, 0, 0, 60, 4, 3, 1, 1],
    )?;
    seed("tasks", "nobody-there", &[0, 0, 20, 0, 7, 0, 0, 255, 7, 0, 0, 255, 7, 0, 0, 255])?;
    seed("tasks", "threat-t1-sequence-down", &[0, 0, 9, 200, 0, 0, 9, 0, 2, 0, 1, 255, 0, 0, 9, 0])?;
    seed("tasks", "threat-t1-stranger", &[1, 1, 9, 0, 1, 2, 9, 0, 5, 4, 9, 200])?;
    seed(
        "tasks",
        "restart",
        &[0, 0, 9, 0, 6, 0, 1, 0, 3, 0, 0, 0, 6, 0, 1, 50, 7, 0, 0, 30, 4, 0, 1, 0, 4, 0, 0, 0],
    )
}

fn people(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let entry = |method: &str, owner: &str, setter: &str, lines: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nUID:u1\r\nDTSTART:20261123T180000Z\r\nSUMMARY:Tea\r\n\
             X-TIMESYNC-OWNER:{owner}\r\nX-TIMESYNC-SETTER:{setter}\r\nX-TIMESYNC-SETTER-CLIENT:phone\r\n{lines}BEGIN:VALARM\r\n\
             ACTION:DISPLAY\r\nTRIGGER:PT0S\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    let asked = entry("REQUEST", "ana", "ben", "ATTENDEE;PARTSTAT=NEEDS-ACTION:x-mailsync:ana\r\n");
    let answered = entry(
        "REPLY",
        "ben",
        "ana",
        "ATTENDEE;PARTSTAT=DECLINED:mailto:b@a.example\r\nREQUEST-STATUS:3.8;no\r\n",
    );
    let copy = format!(
        "<Reminder><Version>1.0</Version><Kind>copy</Kind><UID>u1</UID><Calendar>{}</Calendar></Reminder>",
        entry("PUBLISH", "ana", "ana", "")
    );
    let word = "<Reminder><Version>1.0</Version><Kind>word</Kind><UID>u1</UID><Sequence>0</Sequence><At>1795456800000000000</At>\
                <Client>phone</Client><Epoch>1</Epoch><Until>1795456830000000000</Until></Reminder>";
    let group = |level: &str| {
        format!(
            "<Group><Version>1.0</Version><Name>family</Name><Level>{level}</Level><Kind>alarm</Kind><Extra>audio</Extra>\
             <Member>ben</Member></Group>"
        )
    };
    let mail = format!(
        "From: Ben <ben@a.example>\r\nTo: ana@a.example\r\nX-Mailsync-Proof: 00\r\nContent-Type: multipart/alternative; boundary=B\r\n\r\n\
         --B\r\n\r\nTea\r\n--B\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n{asked}\r\n--B--\r\n"
    );
    let all = [group("5"), copy.clone(), word.into(), asked.clone()].join("\0");
    for (name, text) in [
        ("request", asked.clone()),
        ("cancel", asked.replace("REQUEST", "CANCEL")),
        ("reply", answered),
        ("mail", mail),
        ("short", format!("{asked}X-MAILSYNC-PROOF:00\r\n")),
        ("reminder-copy", copy),
        ("reminder-word", word.into()),
        ("group", group("5")),
        ("threat-t1-level-99", group("99")),
        ("threat-t1-in-anothers-name", asked.replace("SETTER:ben", "SETTER:ana")),
        ("threat-t1-for-another", asked.replace("OWNER:ana", "OWNER:carl")),
        ("threat-t1-rule-bomb", entry("REQUEST", "ana", "ben", "RRULE:FREQ=SECONDLY;COUNT=1000000000\r\n")),
        ("threat-t1-friend-is-self", group("5").replace("ben", "ana")),
        ("all-of-a-person", all),
        // Rang again and again: what was shown so long ago is forgotten.
        ("threat-t1-a-word-of-1970", [word.replace("1795456800000000000", "7"), asked].join("\0")),
    ] {
        seed("people", name, text.as_bytes())?;
    }
    Ok(())
}

fn dm(seed: fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let message = |id: u32, body: &str| {
        format!(
            "<SyncML xmlns='SYNCML:SYNCML1.2'><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>1</SessionID>\
             <MsgID>{id}</MsgID><Target><LocURI>http://s/dm</LocURI></Target><Source><LocURI>d</LocURI><LocName>u</LocName>\
             </Source></SyncHdr><SyncBody>{body}<Final/></SyncBody></SyncML>"
        )
    };
    let status = "<Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>";
    let item = |path: &str, text: &str| {
        format!("<Item><Target><LocURI>{path}</LocURI></Target><Data>{text}</Data></Item>")
    };
    let stamps = "<Results><CmdID>2</CmdID><CmdRef>4</CmdRef><Item><Source><LocURI>./Ext/mailsync/Clock/Received</LocURI></Source>\
        <Data>2026-11-22T08:00:00+01:00</Data></Item><Item><Source><LocURI>./Ext/mailsync/Clock/Sent</LocURI></Source>\
        <Data>2026-11-22T08:00:01+01:00</Data></Item></Results>";
    let node = "./Ext/mailsync/Operation/7";
    let appointed = format!(
        "{status}<Replace><CmdID>2</CmdID>{}{}{}</Replace><Exec><CmdID>3</CmdID><Correlator>7</Correlator>{}</Exec>",
        item(&format!("{node}/At"), "2026-12-01T03:00:00"),
        item(&format!("{node}/Zone"), "Europe/Moscow"),
        item(&format!("{node}/Stamp"), "2026-11-22T11:00:00"),
        item(node, "reboot")
    );
    let set = format!(
        "{status}<Exec><CmdID>2</CmdID><Correlator>1</Correlator>{}</Exec><Get><CmdID>3</CmdID>{}</Get>",
        item("./Ext/mailsync/Clock/Set", "5 9"),
        item("./Ext/mailsync/Clock/Now", "")
    );
    for (name, id, body) in [
        ("stamps", 2, stamps),
        ("appointed", 1, &appointed),
        ("set", 1, &set),
        ("hello", 1, "<Alert><CmdID>1</CmdID><Data>1201</Data></Alert>"),
        (
            "outcome",
            2,
            "<Alert><CmdID>1</CmdID><Data>1226</Data><Item><Source><LocURI>./Ext/mailsync/Operation/1</LocURI></Source><Meta>\
             <Type xmlns='syncml:metinf'>org.mailsync.dm.outcome</Type></Meta><Data>200 1 2</Data></Item></Alert>",
        ),
        (
            "threat-t1-no-zone",
            1,
            "<Exec><CmdID>1</CmdID><Item><Target><LocURI>./Ext/mailsync/Operation/8</LocURI></Target></Item></Exec>",
        ),
    ] {
        seed("dm", name, message(id, body).as_bytes())?;
    }
    seed("dm", "stored-newer", &[2, 0, 0])
}
