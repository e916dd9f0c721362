//! The steps: what is done, and what must be true after it.

use super::check::{self, Held, Shape};
use super::client::{Client, Synced};
use super::mails::{self, ANN, BOB, Mail};
use super::proxy::{Moment, Proxy};
use super::server::{self, Server};
use super::smtp;
use super::table::Row;
use mailsync_proto::mail::Role;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Octets from the server after which a transfer is cut.
const CUT_AFTER: u64 = 1_500_000;
/// How long a cut, or a delivery, may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(60);
const WORDS: &str = "Dear Bob, it works. 谢谢!";

/// Server, ways and clients.
pub(super) struct Stage {
    exe: PathBuf,
    data: PathBuf,
    log: PathBuf,
    server: Option<Server>,
    proxy: Proxy,
    ann: Client,
    ann_xml: Client,
    bob: Client,
    mails: Vec<Mail>,
    at_first: usize,
    compared: usize,
    first_wbxml: Synced,
    first_xml: Synced,
}

/// A short name, plain words, and the work: it counts into the row and says what it verified.
type Step = (&'static str, &'static str, fn(&mut Stage, &mut Row) -> Result<String, String>);

/// All steps, in order.
pub(super) const ALL: [Step; 10] = [
    ("mails in by SMTP", "Mails of every kind for ann, submitted by SMTP", Stage::submit),
    (
        "first sync, WBXML",
        "Ann's first client syncs in WBXML, messages of at most 20,000 octets",
        Stage::first_sync,
    ),
    ("read and flag", "Ann reads one mail, flags another, and syncs", Stage::mark),
    ("first sync, XML", "Ann's second client, another device, syncs in XML", Stage::second_client),
    ("marks come back", "Marks set on the second client come back to the first", Stage::marks_back),
    ("move and delete", "Ann deletes one mail and moves another; the second client follows", Stage::tidy),
    ("reply", "Ann answers bob's mail; bob gets it once, however often anybody syncs", Stage::reply),
    (
        "server killed",
        "The server is killed (-9) in the middle of an answer with a part of a 5 MB mail",
        Stage::kill_server,
    ),
    ("both killed", "Server and client are both killed (-9) in mid-transfer of another", Stage::kill_both),
    ("all equal", "The second client syncs; server and both clients hold the same", Stage::all_equal),
];

impl Stage {
    /// Two users, a server, and the way to it.
    pub(super) fn build(dir: &Path) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|error| format!("our own executable: {error}"))?;
        let (data, log) = (dir.join("server"), dir.join("server.log"));
        let (ann, bob) = (super::random()?, super::random()?);
        server::add_user(&exe, &data, "ann", &ann)?;
        server::add_user(&exe, &data, "bob", &bob)?;
        let server = Server::start(&exe, &data, &log, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let proxy = Proxy::start(server.http).map_err(|error| format!("proxy: {error}"))?;
        let way = proxy.address();
        super::say(&format!(
            "Users ann and bob; the server speaks SyncML on {} and SMTP on {}; clients go through {way}",
            server.http, server.smtp
        ));
        let client = |name: &str, user, password: &str, wire| {
            Client::new(&exe, dir.join(name), way, user, password, wire)
        };
        Ok(Stage {
            ann: client("ann", "ann", &ann, "wbxml"),
            ann_xml: client("ann-second", "ann", &ann, "xml"),
            bob: client("bob", "bob", &bob, "wbxml"),
            server: Some(server),
            proxy,
            exe: exe.clone(),
            data,
            log,
            mails: Vec::new(),
            at_first: 0,
            compared: 0,
            first_wbxml: Synced::default(),
            first_xml: Synced::default(),
        })
    }

    pub(super) fn mails(&self) -> usize {
        self.mails.len()
    }

    pub(super) fn mails_at_first(&self) -> usize {
        self.at_first
    }

    /// Octets of mail that were compared with what was submitted.
    pub(super) fn compared(&self) -> usize {
        self.compared
    }

    pub(super) fn octets_on_the_wire(&self) -> u64 {
        self.proxy.octets()
    }

    pub(super) fn first_syncs(&self) -> (Synced, Synced) {
        (self.first_wbxml, self.first_xml)
    }

    fn submit(&mut self, _: &mut Row) -> Result<String, String> {
        self.mails = mails::all();
        self.at_first = self.mails.len();
        smtp::submit(self.smtp()?, ANN, &self.mails)?;
        let octets = self.compare(&check::server_mails(&self.data, "ann")?)?;
        let kinds: Vec<&str> = self.mails.iter().map(|mail| mail.what).collect();
        super::say(&format!("   {}", kinds.join(", ")));
        super::say("   (SMTP cannot carry a last line without an end: that mail gets one)");
        Ok(format!("the server holds all {} as submitted, {octets} octets", self.mails.len()))
    }

    // mission: M2, M3
    fn first_sync(&mut self, row: &mut Row) -> Result<String, String> {
        let before = self.proxy.octets();
        self.first_wbxml = self.ann.sync(&[])?;
        row.count(&self.first_wbxml, self.ann.wire);
        let wire = self.proxy.octets() - before;
        if wire < self.first_wbxml.octets {
            return Err(format!("{wire} octets on the wire, {} reported", self.first_wbxml.octets));
        }
        let octets = self.compare(&check::client_mails(&self.ann.dir)?)?;
        let again = self.ann.sync(&[])?;
        row.count(&again, self.ann.wire);
        if again.slow || again.received + again.sent != 0 {
            return Err(format!("a second sync without changes moved items: {again:?}"));
        }
        Ok(format!(
            "{} mails, {octets} octets, equal to what was submitted; a second sync moves nothing; {wire} octets with HTTP's own",
            self.mails.len()
        ))
    }

    // mission: M5b
    fn mark(&mut self, row: &mut Row) -> Result<String, String> {
        let held = check::client_mails(&self.ann.dir)?;
        let (read, flagged) = (self.luid(&held, "Chinese subject")?, self.luid(&held, "picture")?);
        self.ann.verb("flag", &[&read, "+read"])?;
        self.ann.verb("flag", &[&flagged, "+flagged"])?;
        let synced = self.ann.sync(&[])?;
        row.count(&synced, self.ann.wire);
        if synced.sent != 2 {
            return Err(format!("{} changes sent, not 2", synced.sent));
        }
        let held = check::server_mails(&self.data, "ann")?;
        self.marks(&held, "Chinese subject", (true, false, false))?;
        self.marks(&held, "picture", (false, false, true))?;
        self.marks(&held, "dot lines", (false, false, false))?;
        Ok("the server has both marks, and no other mail is marked by it".into())
    }

    // mission: M3, M5a
    fn second_client(&mut self, row: &mut Row) -> Result<String, String> {
        self.first_xml = self.ann_xml.sync(&[])?;
        row.count(&self.first_xml, self.ann_xml.wire);
        let held = check::client_mails(&self.ann_xml.dir)?;
        let octets = self.compare(&held)?;
        self.marks(&held, "Chinese subject", (true, false, false))?;
        self.marks(&held, "picture", (false, false, true))?;
        Ok(format!("{} mails, {octets} octets, equal; the first client's marks are there", self.mails.len()))
    }

    // mission: M5c
    fn marks_back(&mut self, row: &mut Row) -> Result<String, String> {
        let held = check::client_mails(&self.ann_xml.dir)?;
        let (unflag, answer) = (self.luid(&held, "picture")?, self.luid(&held, "dot lines")?);
        self.ann_xml.verb("flag", &[&unflag, "-flagged", "+read"])?;
        self.ann_xml.verb("flag", &[&answer, "+answered"])?;
        for client in [&self.ann_xml, &self.ann] {
            row.count(&client.sync(&[])?, client.wire);
        }
        let held = check::client_mails(&self.ann.dir)?;
        self.marks(&held, "picture", (true, false, false))?;
        self.marks(&held, "dot lines", (false, true, false))?;
        self.marks(&held, "Chinese subject", (true, false, false))?;
        self.compare(&held)?;
        Ok("the first client shows them, and no octet of a mail changed".into())
    }

    // mission: M5b
    fn tidy(&mut self, row: &mut Row) -> Result<String, String> {
        let held = check::client_mails(&self.ann.dir)?;
        let (gone, moved) = (self.luid(&held, "quoted-printable")?, self.luid(&held, "empty body")?);
        let moved_id = self.id("empty body")?;
        self.ann.verb("delete", &[&gone])?;
        self.ann.verb("move", &[&moved, Role::Trash.name()])?;
        for client in [&self.ann, &self.ann_xml] {
            row.count(&client.sync(&[])?, client.wire);
        }
        self.mails.retain(|mail| !matches!(mail.what, "quoted-printable" | "empty body"));
        for held in [check::client_mails(&self.ann_xml.dir)?, check::server_mails(&self.data, "ann")?] {
            self.compare(&held)?;
            let folder = &check::find(&held, &moved_id)?.folder;
            if folder != Role::Trash.name() {
                return Err(format!("the mail that was moved is in {folder}"));
            }
        }
        Ok("server and second client: one mail gone, one in the trash, the others as they were".into())
    }

    // mission: M1, M7
    fn reply(&mut self, row: &mut Row) -> Result<String, String> {
        let id = self.id("UTF-8 subject")?;
        let luid = self.luid(&check::client_mails(&self.ann.dir)?, "UTF-8 subject")?;
        self.ann.verb("reply", &[&luid, "--from", ANN, "--text", WORDS])?;
        row.count(&self.ann.sync(&[])?, self.ann.wire);
        let end = Instant::now() + PATIENCE;
        loop {
            row.count(&self.bob.sync(&[])?, self.bob.wire);
            if !check::answers(&check::client_mails(&self.bob.dir)?, &id, Role::Inbox).is_empty() {
                break;
            }
            if Instant::now() > end {
                return Err("bob did not get the answer".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        for (client, how) in [
            (&self.ann, &[][..]),
            (&self.bob, &[]),
            (&self.ann, &["--mode", "slow"]),
            (&self.bob, &["--mode", "slow"]),
            (&self.bob, &[]),
        ] {
            row.count(&client.sync(how)?, client.wire);
        }
        let bob = check::client_mails(&self.bob.dir)?;
        let got = check::answers(&bob, &id, Role::Inbox);
        let [answer] = got[..] else { return Err(format!("bob has {} answers, not 1", got.len())) };
        if !answer.contains(&format!("From: {ANN}")) && !answer.contains(&format!("<{ANN}>")) {
            return Err("the answer does not say that it is from ann".into());
        }
        if !answer.contains(&format!("Return-Path: <{ANN}>"))
            || !answer.contains(&format!("Delivered-To: {BOB}"))
        {
            return Err("the answer's trace fields do not name ann and bob".into());
        }
        let ann = check::client_mails(&self.ann.dir)?;
        let (out, sent) =
            (check::answers(&ann, &id, Role::Outbox).len(), check::answers(&ann, &id, Role::Sent).len());
        if (out, sent) != (0, 1) {
            return Err(format!("ann has {out} answers in the outbox and {sent} in sent, not 0 and 1"));
        }
        self.marks(&ann, "UTF-8 subject", (true, true, false))?;
        self.marks(&check::server_mails(&self.data, "ann")?, "UTF-8 subject", (true, true, false))?;
        self.compare(&ann)?;
        Ok("one answer in bob's inbox after six more syncs, two of them slow; ann's is in sent, bob's mail is marked".into())
    }

    // mission: M3
    fn kill_server(&mut self, row: &mut Row) -> Result<String, String> {
        self.another("large mail, server killed")?;
        let cut = self.proxy.cut_after(CUT_AFTER, Moment::InAnAnswer);
        let syncing = self.ann.start(&[])?;
        cut.recv_timeout(PATIENCE).map_err(|_| "the transfer did not get that far")?;
        self.restart()?;
        row.count(&syncing.finish()?, self.ann.wire);
        self.next_sync(row)?;
        Ok("restarted, the sync under way went on by itself; nothing lost, nothing doubled".into())
    }

    fn kill_both(&mut self, row: &mut Row) -> Result<String, String> {
        self.another("large mail, both killed")?;
        let cut = self.proxy.cut_after(CUT_AFTER, Moment::AfterARequest);
        let syncing = self.ann.start(&[])?;
        cut.recv_timeout(PATIENCE).map_err(|_| "the transfer did not get that far")?;
        syncing.kill()?;
        self.restart()?;
        let held = check::client_mails(&self.ann.dir)?;
        if held.iter().filter(|mail| mail.folder == Role::Inbox.name()).count() + 1 != self.mails.len() {
            return Err("a mail that came in part shows in the client's folder".into());
        }
        self.next_sync(row)?;
        Ok("the next sync went on where this one was cut, and brought the mail; nothing lost, nothing doubled".into())
    }

    fn all_equal(&mut self, row: &mut Row) -> Result<String, String> {
        row.count(&self.ann_xml.sync(&[])?, self.ann_xml.wire);
        let server = self.checked_shape(check::server_mails(&self.data, "ann")?)?;
        for client in [self.ann.dir.clone(), self.ann_xml.dir.clone()] {
            let shape = self.checked_shape(check::client_mails(&client)?)?;
            if shape != server {
                return Err(format!("not equal: server {server:?}, {} {shape:?}", client.display()));
            }
        }
        Ok(format!("{} mails each, same folders, marks and octets", server.len()))
    }

    fn checked_shape(&mut self, held: Vec<Held>) -> Result<Vec<Shape>, String> {
        self.compare(&held)?;
        Ok(check::shape(&held))
    }

    /// A further mail of 5 MB for ann.
    fn another(&mut self, what: &'static str) -> Result<(), String> {
        let mail = mails::large(what);
        smtp::submit(self.smtp()?, ANN, std::slice::from_ref(&mail))?;
        self.mails.push(mail);
        Ok(())
    }

    /// Kills the server and starts it again at the same place.
    fn restart(&mut self) -> Result<(), String> {
        let server = self.server.take().ok_or("no server runs")?;
        let http = server.http;
        server.kill()?;
        self.server = Some(Server::start(&self.exe, &self.data, &self.log, http)?);
        self.proxy.mend();
        Ok(())
    }

    /// Syncs ann's first client, and looks whether all is there once.
    fn next_sync(&mut self, row: &mut Row) -> Result<(), String> {
        row.count(&self.ann.sync(&[])?, self.ann.wire);
        self.compare(&check::client_mails(&self.ann.dir)?)?;
        self.compare(&check::server_mails(&self.data, "ann")?)?;
        Ok(())
    }

    fn compare(&mut self, held: &[Held]) -> Result<usize, String> {
        let octets = check::inbox(held, &self.mails, ANN)?;
        self.compared += octets;
        Ok(octets)
    }

    fn marks(&self, held: &[Held], what: &str, expected: (bool, bool, bool)) -> Result<(), String> {
        let marks = check::find(held, &self.id(what)?)?.marks;
        if marks == expected {
            return Ok(());
        }
        Err(format!("{what}: (read, answered, flagged) is {marks:?}, not {expected:?}"))
    }

    fn luid(&self, held: &[Held], what: &str) -> Result<String, String> {
        Ok(check::find(held, &self.id(what)?)?.id.clone())
    }

    fn id(&self, what: &str) -> Result<String, String> {
        let mail = self.mails.iter().find(|mail| mail.what == what);
        mail.map(|mail| mail.id.clone()).ok_or_else(|| format!("no mail {what:?}"))
    }

    fn smtp(&self) -> Result<&str, String> {
        self.server.as_ref().map(|server| &*server.smtp).ok_or_else(|| "no server runs".into())
    }
}
