//! SyncEvolution as a SyncML client and as a SyncML server, through the scripts in `syncevo/`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::process::{Process, run};

/// A sync of a few hundred items takes seconds; only a hang takes this long.
const SYNC_LIMIT: Duration = Duration::from_secs(300);

/// The way in: [`SyncEvolution::client`] and [`SyncEvolution::server`].
pub(crate) struct SyncEvolution;

impl SyncEvolution {
    /// A client whose items, state and configuration are in `dir` (made if missing). The same `dir` later is the same client.
    ///
    /// # Panics
    /// When SyncEvolution is not installed.
    pub(crate) fn client(dir: impl AsRef<Path>) -> Client {
        require_installed();
        Client { items: Items::new(dir.as_ref()) }
    }

    /// A server on a free port of 127.0.0.1 with its items in `dir`, offering `stores` (names of `env.sh`, such as `note`).
    /// It knows the device `lab-dev-1` with user and password `test`. It has started when this returns.
    ///
    /// # Panics
    /// When SyncEvolution is not installed or does not start.
    pub(crate) fn server(dir: impl AsRef<Path>, stores: &[&str]) -> Server {
        require_installed();
        let items = Items::new(dir.as_ref());
        for store in stores {
            items.folder(store);
        }
        let mut command = script("run-server.sh");
        command.arg("0").arg(&items.dir).args(["--foreground", "--stores", &stores.join(",")]);
        let process = Process::start(&mut command);
        let url = process.wait_ready()["syncml"].clone();
        Server { items, process, url }
    }
}

/// SyncEvolution's client. Items are files; a file's name is the item's identity.
pub(crate) struct Client {
    items: Items,
}

impl Client {
    /// Adds or changes an item; it gets a modification time no item had before, which is how SyncEvolution sees a change.
    pub(crate) fn put(&self, store: &str, name: &str, data: impl AsRef<[u8]>) {
        self.items.put(store, name, data.as_ref());
    }

    /// Deletes an item. Panics when there is none of that name.
    pub(crate) fn delete(&self, store: &str, name: &str) {
        self.items.delete(store, name);
    }

    /// What the store holds: file name to octets. Names of received items are SyncEvolution's own choice.
    pub(crate) fn items(&self, store: &str) -> BTreeMap<String, Vec<u8>> {
        self.items.read(store)
    }

    /// Runs one sync to its end. Panics only when it hangs; look at the report for success.
    pub(crate) fn sync(&self, sync: &Sync<'_>) -> Report {
        let mut command = script("client-sync.sh");
        command.arg(sync.url).arg(&self.items.dir).arg(sync.mode.name());
        command.arg(match sync.wire {
            Wire::Xml => "--xml",
            Wire::Wbxml => "--wbxml",
        });
        command.args(["--auth", if sync.auth == Auth::Md5 { "md5" } else { "basic" }]);
        command.args(["--user", sync.user, "--pass", sync.password, "--devid", sync.device]);
        for store in sync.stores {
            command.args(["--store", store]);
        }
        if let Some(version) = sync.version {
            command.args(["--version", version]);
        }
        if let Some(octets) = sync.max_msg_size {
            command.args(["--maxmsg", &octets.to_string()]);
        }
        if let Some(octets) = sync.max_obj_size {
            command.args(["--maxobj", &octets.to_string()]);
        }
        if sync.alert_205 {
            command.arg("--refresh");
        }
        if let Some((requests, recording)) = sync.interrupt {
            command.args(["--interrupt", &requests.to_string()]).arg(recording);
        }
        let finished = run(&mut command, SYNC_LIMIT);
        Report { code: finished.code, text: finished.stdout + &finished.stderr }
    }
}

/// SyncEvolution's server; it ends when this is dropped.
pub(crate) struct Server {
    items: Items,
    process: Process,
    /// Where a client sends its first message.
    pub(crate) url: String,
}

impl Server {
    /// As [`Client::put`].
    pub(crate) fn put(&self, store: &str, name: &str, data: impl AsRef<[u8]>) {
        self.items.put(store, name, data.as_ref());
    }

    /// As [`Client::delete`].
    pub(crate) fn delete(&self, store: &str, name: &str) {
        self.items.delete(store, name);
    }

    /// As [`Client::items`].
    pub(crate) fn items(&self, store: &str) -> BTreeMap<String, Vec<u8>> {
        self.items.read(store)
    }

    /// From now on every body and its headers go into `folder`, numbered; `None` ends the recording.
    pub(crate) fn record(&self, folder: Option<&Path>) {
        let named = folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
        fs::write(self.items.dir.join("capture_to"), named).expect("the server's folder can be written");
    }

    /// Ends the server in an orderly way, keeping its items and state for another start on the same folder.
    pub(crate) fn stop(self) {
        self.process.close();
    }
}

/// One sync, from the client's side. [`Sync::with`] has the defaults; change what matters with `..`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sync<'a> {
    /// The server's URL.
    pub(crate) url: &'a str,
    /// Which way, fast or slow.
    pub(crate) mode: Mode,
    /// The encoding.
    pub(crate) wire: Wire,
    /// User name.
    pub(crate) user: &'a str,
    /// Password.
    pub(crate) password: &'a str,
    /// Datastores as `LOCAL[=REMOTE][:TYPE]`, for instance `note=./notes:text/plain`.
    pub(crate) stores: &'a [&'a str],
    /// How it logs in.
    pub(crate) auth: Auth,
    /// `1.0`, `1.1` or `1.2`; 1.2 when not given.
    pub(crate) version: Option<&'a str>,
    /// The `MaxMsgSize` it states, octets; 150,000 when not given.
    pub(crate) max_msg_size: Option<u32>,
    /// The `MaxObjSize` it states, octets; 4,000,000 when not given.
    pub(crate) max_obj_size: Option<u32>,
    /// Its device id, the Source LocURI of SyncHdr.
    pub(crate) device: &'a str,
    /// Refresh from remote by Alert 205, not by wiping itself and Alert 201.
    pub(crate) alert_205: bool,
    /// Interrupt it (SIGINT) as soon as this folder of a recording holds so many requests.
    pub(crate) interrupt: Option<(u32, &'a Path)>,
}

impl<'a> Sync<'a> {
    /// A two-way sync of `note` in WBXML as device `lab-dev-1`, user and password `test`, MD5.
    pub(crate) fn with(url: &'a str) -> Sync<'a> {
        Sync {
            url,
            mode: Mode::TwoWay,
            wire: Wire::Wbxml,
            user: "test",
            password: "test",
            stores: &["note"],
            auth: Auth::Md5,
            version: None,
            max_msg_size: None,
            max_obj_size: None,
            device: "lab-dev-1",
            alert_205: false,
            interrupt: None,
        }
    }
}

/// Sync modes by SyncEvolution's names; remote is the server, local is SyncEvolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Alert 201.
    Slow,
    /// Alert 200.
    TwoWay,
    /// Alert 201 after wiping itself; 205 with [`Sync::alert_205`].
    RefreshFromRemote,
    /// Alert 203.
    RefreshFromLocal,
    /// Alert 200 with no changes of its own.
    OneWayFromRemote,
    /// Alert 202.
    OneWayFromLocal,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Slow => "slow",
            Mode::TwoWay => "two-way",
            Mode::RefreshFromRemote => "refresh-from-remote",
            Mode::RefreshFromLocal => "refresh-from-local",
            Mode::OneWayFromRemote => "one-way-from-remote",
            Mode::OneWayFromLocal => "one-way-from-local",
        }
    }
}

/// The encoding of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// `application/vnd.syncml+xml`.
    Xml,
    /// `application/vnd.syncml+wbxml`.
    Wbxml,
}

/// How a session logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `syncml:auth-md5`, with an empty first nonce.
    Md5,
    /// `syncml:auth-basic`.
    Basic,
}

/// What SyncEvolution said at the end of a sync.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its exit status: 0 only when every datastore succeeded.
    pub(crate) code: i32,
    /// Its whole report.
    pub(crate) text: String,
}

impl Report {
    /// Fails the test, showing the report, unless the sync succeeded.
    pub(crate) fn assert_ok(&self) -> &Report {
        assert!(self.code == 0, "SyncEvolution's sync failed with {}:\n{}", self.code, self.text);
        self
    }

    /// The row of a datastore in the table of changes: new, modified, deleted and failed items, first applied locally, then at
    /// the server. `None` when there is no such row.
    pub(crate) fn changes(&self, store: &str) -> Option<([u32; 4], [u32; 4])> {
        self.text.lines().find_map(|line| {
            let mut cells = line.split('|').map(str::trim).filter(|cell| !cell.is_empty());
            if cells.next() != Some(store) {
                return None;
            }
            let numbers: Vec<u32> = cells.map_while(|cell| cell.parse().ok()).collect();
            let (local, rest) = numbers.split_first_chunk::<4>()?;
            Some((*local, *rest.first_chunk::<4>()?))
        })
    }
}

/// The bodies of items as sorted text without trailing line ends: SyncEvolution adds some to every text item, and names items
/// itself, so this is what two stores have in common when they are equal.
pub(crate) fn texts(items: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let trimmed = |data: &Vec<u8>| String::from_utf8_lossy(data).trim_end_matches(['\r', '\n']).to_owned();
    let mut texts: Vec<String> = items.values().map(trimmed).collect();
    texts.sort();
    texts
}

/// The item files below `DIR/store/`.
struct Items {
    dir: PathBuf,
    newest: Cell<SystemTime>,
}

impl Items {
    fn new(dir: &Path) -> Items {
        fs::create_dir_all(dir.join("store")).expect("the peer's folder can be made");
        let dir = dir.canonicalize().expect("the peer's folder exists");
        Items { dir, newest: Cell::new(SystemTime::now()) }
    }

    fn folder(&self, store: &str) -> PathBuf {
        let folder = self.dir.join("store").join(store);
        fs::create_dir_all(&folder).expect("a store's folder can be made");
        folder
    }

    fn put(&self, store: &str, name: &str, data: &[u8]) {
        let folder = self.folder(store);
        let times = fs::read_dir(&folder).expect("a store can be listed").map(|entry| {
            let entry = entry.expect("a store can be listed");
            entry.metadata().and_then(|metadata| metadata.modified()).expect("an item has a time")
        });
        // A whole second later than all before: it compares whole seconds in places.
        let time =
            times.chain([self.newest.get()]).max().expect("at least one time") + Duration::from_secs(1);
        self.newest.set(time);
        let mut file = File::create(folder.join(name)).expect("an item can be written");
        file.write_all(data).and_then(|()| file.set_modified(time)).expect("an item can be written");
    }

    fn delete(&self, store: &str, name: &str) {
        fs::remove_file(self.folder(store).join(name)).expect("the item is there to be deleted");
    }

    fn read(&self, store: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.folder(store)).expect("a store can be listed");
        let item = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("a store can be listed");
            let data = fs::read(entry.path()).expect("an item can be read");
            (entry.file_name().to_string_lossy().into_owned(), data)
        };
        entries.map(item).collect()
    }
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/syncevo").join(name))
}

fn require_installed() {
    static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
    let checked = CHECKED.get_or_init(|| {
        let check = run(&mut script("check.sh"), Duration::from_secs(60));
        if check.code == 0 { Ok(()) } else { Err(check.stderr) }
    });
    if let Err(missing) = checked {
        panic!("{missing}this test needs SyncEvolution: run ./test --peers at the top of the repository");
    }
}
