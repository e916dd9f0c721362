//! A client, a server, and what lies in the stores of each: SyncEvolution on one side, ours on the other.

use crate::peers::{self, Process, SyncEvolution, Wire, run};
use mailsync::store::{Bodies, SqliteStore, database};
use mailsync_proto::pim::content_key;
use mailsync_proto::sync::store::{Changes, Cursor, PeerKey, Read, Row, Store as _, StoreKey, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Who we talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// SyncEvolution's client; `mailsyncd` serves.
    Client,
    /// SyncEvolution's server; `mailsync` asks.
    Server,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Client => "SyncEvolution 2.0 client -> mailsyncd",
            Peer::Server => "mailsync -> SyncEvolution 2.0 server",
        }
    }
}

/// Which end of the wire, whoever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A datastore, as each of us calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Notes,
    Contacts,
    Tasks,
}

impl Store {
    pub(crate) const ALL: [Store; 3] = [Store::Notes, Store::Contacts, Store::Tasks];

    fn ours(self) -> &'static str {
        match self {
            Store::Notes => "notes",
            Store::Contacts => "contacts",
            Store::Tasks => "tasks",
        }
    }

    pub(crate) fn theirs(self) -> &'static str {
        match self {
            Store::Notes => "note",
            Store::Contacts => "card",
            Store::Tasks => "todo",
        }
    }

    /// What is compared of an item: the text of a note, the content of an object with its title.
    fn canonical(self, item: &[u8]) -> String {
        let text = String::from_utf8_lossy(item).replace("\r\n", "\n");
        let title = text.lines().find(|line| line.starts_with("FN:") || line.starts_with("SUMMARY:"));
        match (self, content_key(item)) {
            (Store::Notes, _) => text.trim_end().to_owned(),
            (_, Some(key)) => format!("{} {:02x?}", title.unwrap_or_default(), key.0),
            (_, None) => format!("no object: {text}"),
        }
    }
}

/// What a sync is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    TwoWay,
    Slow,
    OneWayFromClient,
    OneWayFromServer,
    RefreshFromClient,
    RefreshFromServer,
}

impl Mode {
    fn ours(self) -> &'static str {
        match self {
            Mode::TwoWay => "two-way",
            Mode::Slow => "slow",
            Mode::OneWayFromClient => "one-way-from-client",
            Mode::OneWayFromServer => "one-way-from-server",
            Mode::RefreshFromClient => "refresh-from-client",
            Mode::RefreshFromServer => "refresh-from-server",
        }
    }

    fn theirs(self) -> peers::Mode {
        match self {
            Mode::TwoWay => peers::Mode::TwoWay,
            Mode::Slow => peers::Mode::Slow,
            Mode::OneWayFromClient => peers::Mode::OneWayFromLocal,
            Mode::OneWayFromServer => peers::Mode::OneWayFromRemote,
            Mode::RefreshFromClient => peers::Mode::RefreshFromLocal,
            Mode::RefreshFromServer => peers::Mode::RefreshFromRemote,
        }
    }
}

/// How a sync departs from the usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    pub(crate) stores: &'a [Store],
    pub(crate) password: &'a str,
    pub(crate) max_msg_size: Option<u32>,
    /// The name of the datastore at the server, in place of the right one.
    pub(crate) remote: Option<&'a str>,
    /// The client is stopped when the server has had so many messages.
    pub(crate) cut_after: Option<u32>,
}

impl Default for How<'_> {
    fn default() -> Self {
        How { stores: &[Store::Notes], password: "test", max_msg_size: None, remote: None, cut_after: None }
    }
}

/// What the client said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

/// A pair that can sync.
pub(crate) struct Lab {
    pub(crate) peer: Peer,
    pub(crate) version: &'static str,
    pub(crate) wire: Wire,
    dir: TempDir,
    world: World,
    /// Items so far, for names.
    count: u32,
    cuts: u32,
}

enum World {
    Serving { _server: Process, url: String, client: peers::Client },
    Asking { server: Option<peers::Server> },
}

const LIMIT: Duration = Duration::from_secs(300);
const STORES: [&str; 3] = ["note", "card", "todo"];

impl Lab {
    pub(crate) fn new(peer: Peer, version: &'static str, wire: Wire) -> Lab {
        let mut dir = tempfile::tempdir().unwrap();
        if std::env::var_os("MAILSYNC_KEEP").is_some() {
            println!("kept: {}", dir.path().display());
            dir.disable_cleanup(true);
        }
        let world = match peer {
            Peer::Server => {
                World::Asking { server: Some(SyncEvolution::server(dir.path().join("peer"), &STORES)) }
            }
            Peer::Client => {
                let added = run(
                    daemon(dir.path()).args(["user", "add", "test", "--keep-password"]),
                    Duration::from_secs(60),
                );
                assert_eq!(added.code, 0, "{added:?}");
                let mut command = daemon(dir.path());
                command.args(["--lab", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--record"]);
                let server = Process::start(command.arg(dir.path().join("record")));
                let url = server.wait_ready()["syncml"].clone();
                let client = SyncEvolution::client(dir.path().join("peer"));
                World::Serving { _server: server, url, client }
            }
        };
        Lab { peer, version, wire, dir, world, count: 0, cuts: 0 }
    }

    /// Adds an item and says what is compared of it.
    pub(crate) fn put(&mut self, side: Side, store: Store, item: &str) {
        self.count += 1;
        let name = format!("i{}", self.count);
        self.write(side, store, &name, item);
    }

    /// Gives the item that is now `old` another content.
    pub(crate) fn edit(&mut self, side: Side, store: Store, old: &str, new: &str) {
        let name = self.named(side, store, old);
        self.write(side, store, &name, new);
    }

    /// Deletes the item that is now `old`.
    pub(crate) fn delete(&mut self, side: Side, store: Store, old: &str) {
        let name = self.named(side, store, old);
        match (&mut self.world, side) {
            (World::Serving { client, .. }, Side::Client) => client.delete(store.theirs(), &name),
            (World::Asking { server }, Side::Server) => {
                server.as_ref().unwrap().delete(store.theirs(), &name);
            }
            _ => {
                fs::remove_file(self.folder(store).join(&name)).unwrap();
            }
        }
    }

    fn write(&mut self, side: Side, store: Store, name: &str, item: &str) {
        match (&mut self.world, side) {
            (World::Serving { client, .. }, Side::Client) => client.put(store.theirs(), name, item),
            (World::Asking { server }, Side::Server) => {
                server.as_ref().unwrap().put(store.theirs(), name, item);
            }
            _ => {
                let folder = self.folder(store);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(name), item).unwrap();
            }
        }
    }

    /// The file of an item, whoever keeps it.
    fn named(&self, side: Side, store: Store, old: &str) -> String {
        let is_second = matches!((&self.world, side), (World::Serving { .. }, Side::Server));
        if is_second {
            self.second();
        }
        let wanted = store.canonical(old.as_bytes());
        let files = self.files(side, store);
        let found = files.into_iter().find(|(_, item)| store.canonical(item) == wanted);
        found.unwrap_or_else(|| panic!("{side:?} has no {old:?}")).0
    }

    fn files(&self, side: Side, store: Store) -> BTreeMap<String, Vec<u8>> {
        match (&self.world, side) {
            (World::Serving { client, .. }, Side::Client) => client.items(store.theirs()),
            (World::Asking { server }, Side::Server) => server.as_ref().unwrap().items(store.theirs()),
            _ => read_folder(&self.folder(store)),
        }
    }

    /// Where files of ours are: of the client that is tested, or of a second one that changes what our server holds.
    fn folder(&self, store: Store) -> PathBuf {
        self.dir.path().join("ours").join(store.ours())
    }

    /// What a side holds, sorted.
    pub(crate) fn items(&self, side: Side, store: Store) -> Vec<String> {
        let mut items: Vec<String> = match (&self.world, side) {
            (World::Serving { .. }, Side::Server) => {
                in_database(&self.dir.path().join("data"), store).iter().map(|i| store.canonical(i)).collect()
            }
            _ => self.files(side, store).values().map(|item| store.canonical(item)).collect(),
        };
        items.sort();
        items
    }

    /// Both sides hold the same, and it is this.
    pub(crate) fn agree(&self, store: Store, expected: &[&str]) {
        let mut expected: Vec<String> =
            expected.iter().map(|item| store.canonical(item.as_bytes())).collect();
        expected.sort();
        assert_eq!(self.items(Side::Server, store), expected, "the server's {store:?}");
        assert_eq!(self.items(Side::Client, store), expected, "the client's {store:?}");
    }

    /// Our server is to ask the client for a datastore, in the next session.
    pub(crate) fn ask(&self, store: Store) {
        let mut command = daemon(self.dir.path());
        let asked =
            run(command.args(["device", "ask", "test", "lab-dev-1", store.ours()]), Duration::from_secs(60));
        assert_eq!(asked.code, 0, "{asked:?}");
    }

    /// A sync that must succeed.
    pub(crate) fn sync(&mut self, mode: Mode) -> Said {
        self.sync_with(mode, How::default())
    }

    /// As [`Lab::sync`], in another way.
    pub(crate) fn sync_with(&mut self, mode: Mode, how: How<'_>) -> Said {
        let said = self.try_sync(mode, how);
        assert_eq!(said.code, 0, "{mode:?} failed: {}", said.text);
        said
    }

    /// A sync that may fail.
    pub(crate) fn try_sync(&mut self, mode: Mode, how: How<'_>) -> Said {
        self.second();
        match &self.world {
            World::Serving { url, client, .. } => {
                let stores: Vec<String> = how
                    .stores
                    .iter()
                    .map(|store| {
                        let remote = how.remote.map_or_else(|| format!("./{}", store.ours()), Into::into);
                        format!("{}={remote}", store.theirs())
                    })
                    .collect();
                let stores: Vec<&str> = stores.iter().map(String::as_str).collect();
                let record = self.dir.path().join("record");
                let interrupt = how.cut_after.map(|after| (requests(&record) + after, &*record));
                let report = client.sync(&peers::Sync {
                    mode: mode.theirs(),
                    wire: self.wire,
                    password: how.password,
                    stores: &stores,
                    version: Some(self.version),
                    max_msg_size: how.max_msg_size,
                    alert_205: mode == Mode::RefreshFromServer,
                    interrupt,
                    ..peers::Sync::with(url)
                });
                Said { code: report.code, text: report.text }
            }
            World::Asking { server } => {
                let url = server.as_ref().unwrap().url.clone();
                let mut command = self.ours(&url, mode, how, "lab-dev-1", Store::theirs);
                let Some(after) = how.cut_after else { return said(run(&mut command, LIMIT)) };
                self.cuts += 1;
                let record = self.dir.path().join(format!("record{}", self.cuts));
                fs::create_dir_all(&record).unwrap();
                server.as_ref().unwrap().record(Some(&record));
                let mut client = Process::start(&mut command);
                while requests(&record) < after && client.is_running() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let cut = client.is_running();
                client.kill();
                server.as_ref().unwrap().record(None);
                Said { code: if cut { -1 } else { 0 }, text: "stopped".into() }
            }
        }
    }

    /// Our server takes what its second client changed, and gives it what others did.
    fn second(&self) {
        let World::Serving { url, .. } = &self.world else { return };
        let url = url.clone();
        let how = How { stores: &Store::ALL, ..How::default() };
        let mut command = self.ours(&url, Mode::TwoWay, how, "second", Store::ours);
        let finished = run(&mut command, LIMIT);
        assert_eq!(finished.code, 0, "the second client: {finished:?}");
    }

    fn ours(
        &self,
        url: &str,
        mode: Mode,
        how: How<'_>,
        device: &str,
        remote: fn(Store) -> &'static str,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args(["sync", "-v", "--server", url, "--user", "test", "--device", device]);
        command.args([
            "--mode",
            mode.ours(),
            "--version",
            if device == "second" { "1.2" } else { self.version },
        ]);
        command.args(["--wire", if self.wire == Wire::Xml { "xml" } else { "wbxml" }]);
        command.arg("--dir").arg(self.dir.path().join("ours")).env("MAILSYNC_PASSWORD", how.password);
        for store in how.stores {
            let remote = how.remote.map_or_else(|| format!("./{}", remote(*store)), Into::into);
            command.arg("--store").arg(format!("{}={remote}", store.ours()));
        }
        if let Some(octets) = how.max_msg_size {
            command.args(["--max-msg-size", &octets.to_string()]);
        }
        command
    }

    /// A side forgets its sync points, and keeps its items.
    pub(crate) fn forget(&mut self, side: Side) {
        let peer = self.dir.path().join("peer");
        let file = match (&mut self.world, side) {
            (World::Serving { .. }, Side::Client) => {
                for folder in ["config", "data", "settings"] {
                    let path = peer.join(folder);
                    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                }
                return;
            }
            (World::Asking { server }, Side::Server) => {
                server.take().unwrap().stop();
                for store in STORES {
                    let sources = peer.join("config/syncevolution/srv/peers/p1/sources").join(store);
                    for name in [".server.ini", ".other.ini", ".internal.ini"] {
                        let _ = fs::remove_file(sources.join(name));
                    }
                }
                *server = Some(SyncEvolution::server(&peer, &STORES));
                return;
            }
            (World::Serving { .. }, Side::Server) => database(&self.dir.path().join("data")),
            (World::Asking { .. }, Side::Client) => self.dir.path().join("ours/.mailsync/state.db"),
        };
        let conn = rusqlite::Connection::open(file).unwrap();
        conn.busy_timeout(Duration::from_secs(10)).unwrap();
        // Of the peer under test only: the second client goes on.
        let maps = "DELETE FROM map WHERE peer IN (SELECT id FROM peer WHERE device != 'second')";
        conn.execute(maps, []).unwrap();
        let gone = conn.execute("DELETE FROM peer WHERE device != 'second'", []).unwrap();
        assert!(gone > 0, "there was something to forget");
    }
}

fn said(finished: peers::Finished) -> Said {
    Said { code: finished.code, text: finished.stdout + &finished.stderr }
}

fn daemon(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
    command.arg("--data").arg(dir.join("data")).env("MAILSYNC_PASSWORD", "test");
    command
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    };
    entries.map(read).filter(|(name, _)| !name.starts_with('.')).collect()
}

/// Requests recorded in a folder and in the folders of it.
fn requests(folder: &Path) -> u32 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { requests(&path) } else { u32::from(path.ends_with_request()) })
        .sum()
}

trait RequestFile {
    fn ends_with_request(&self) -> bool;
}

impl RequestFile for PathBuf {
    fn ends_with_request(&self) -> bool {
        self.to_string_lossy().ends_with("-req.hdr")
    }
}

/// The items of a user's datastore, read from the server's database.
fn in_database(data: &Path, store: Store) -> Vec<Vec<u8>> {
    let database = SqliteStore::open(database(data), Bodies::Inside).unwrap();
    let key = StoreKey { user: "test".into(), datastore: store.ours().into() };
    let peer = PeerKey { store: key.clone(), device: "nobody".into() };
    let changes = Changes { peer, generation: 0, since: 0, upto: u64::MAX };
    let rows = Read::Rows(changes, Cursor::default(), u32::MAX);
    let found = database.read(std::slice::from_ref(&rows)).unwrap();
    let Some(Value::Rows(rows)) = found.get(&rows) else { panic!() };
    let body = |row: &Row| {
        let read = Read::Body(key.clone(), row.item.guid.clone());
        let found = database.read(std::slice::from_ref(&read)).unwrap();
        let Some(Value::Body(Some(body))) = found.get(&read) else { panic!() };
        body.to_vec()
    };
    rows.iter().map(body).collect()
}
