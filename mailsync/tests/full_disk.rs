//! A server whose disk is full, or fails: nothing acknowledged is lost, and it goes on when there is space again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod peers;

use peers::{Finished, Process, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount.
    fn new(path: &Path, megabytes: u32) -> Option<SmallDisk> {
        std::fs::create_dir_all(path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=700"), "tmpfs"]).arg(path);
        (run(&mut command, 20 * SECOND).code == 0).then(|| SmallDisk(path.into()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0), 20 * SECOND);
    }
}

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn daemon(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsyncd"));
        command.arg("--data").arg(self.disk().join("data")).args(args).env("MAILSYNC_PASSWORD", "secret");
        command
    }

    fn add_user(&self) {
        let added = run(&mut self.daemon(&["user", "add", "ann"]), 20 * SECOND);
        assert_eq!(added.code, 0, "{added:?}");
    }

    fn notes(&self, folder: &str) -> PathBuf {
        let notes = self.dir.path().join(folder).join("notes");
        std::fs::create_dir_all(&notes).unwrap();
        notes
    }

    fn sync(&self, url: &str, folder: &str) -> Finished {
        run(&mut self.sync_command(url, folder), 200 * SECOND)
    }

    /// A sync that the server cannot take; killed when that has been said, for a client tries again for minutes.
    fn sync_in_vain(&self, server: &Process, url: &str, folder: &str) {
        let mut client = Process::start(&mut self.sync_command(url, folder));
        let mut waited = 0;
        while !server.stderr().contains("http=503") {
            assert!(client.is_running() && waited < 1200, "not refused: {}", server.stderr());
            std::thread::sleep(Duration::from_millis(50));
            waited += 1;
        }
        client.kill();
    }

    fn sync_command(&self, url: &str, folder: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsync"));
        command.args([
            "sync",
            "--server",
            url,
            "--user",
            "ann",
            "--store",
            "notes",
            "--max-msg-size",
            "20000",
        ]);
        command.arg("--dir").arg(self.dir.path().join(folder)).env("MAILSYNC_PASSWORD", "secret");
        command
    }

    fn texts(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.notes(folder)).unwrap();
        let mut texts: Vec<String> =
            entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        texts.sort();
        texts
    }

    /// Notes that are larger than what is left.
    fn write_notes(&self, from: u32, count: u32) {
        for n in from..from + count {
            let text = format!("note {n} {}", char::from(b'a' + (n % 26) as u8).to_string().repeat(6000));
            std::fs::write(self.notes("one").join(format!("n{n}")), text).unwrap();
        }
    }
}

const LISTEN: [&str; 4] = ["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"];

/// Both clients have the same, nothing twice, nothing lost.
fn assert_whole(bench: &Bench, url: &str) {
    let (one, two) = (bench.sync(url, "one"), bench.sync(url, "two"));
    assert_eq!((one.code, two.code), (0, 0), "{one:?} {two:?}");
    let texts = bench.texts("one");
    assert_eq!(texts, bench.texts("two"));
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "nothing twice");
}

// mission: M4
#[test]
fn threat_d1_a_full_disk_loses_nothing_and_recovers() {
    let bench = Bench::new();
    let Some(_disk) = SmallDisk::new(&bench.disk(), 8) else {
        // Who may not mount takes the file-size limit of the test below.
        return limited_file_size(&bench);
    };
    bench.add_user();
    let server = Process::start(&mut bench.daemon(&LISTEN));
    let url = server.wait_ready()["syncml"].clone();
    bench.write_notes(0, 20);
    assert_eq!(bench.sync(&url, "one").code, 0);
    let before = bench.texts("one");

    let ballast = bench.disk().join("ballast");
    let filled = std::fs::write(&ballast, vec![7_u8; 16 << 20]);
    assert!(filled.is_err(), "the disk is small");
    bench.write_notes(20, 100);
    bench.sync_in_vain(&server, &url, "one");
    assert!(server.stderr().contains("full"), "{}", server.stderr());

    std::fs::remove_file(&ballast).unwrap();
    let other = bench.sync(&url, "two");
    assert_eq!(other.code, 0, "it serves again without a new start: {other:?}");
    let kept: BTreeSet<String> = bench.texts("two").into_iter().collect();
    assert!(before.iter().all(|text| kept.contains(text)), "what was acknowledged is there");
    assert_whole(&bench, &url);
    assert_eq!(bench.texts("one").len(), 120);
    assert_eq!(server.stop().code(), Some(0));
    let doctor = run(&mut bench.daemon(&["doctor"]), 60 * SECOND);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}

// mission: M4
#[test]
fn threat_d1_a_disk_that_fails_loses_nothing() {
    limited_file_size(&Bench::new());
}

/// Writes past a size fail, as they do on a disk that is broken: EFBIG is no ENOSPC.
fn limited_file_size(bench: &Bench) {
    std::fs::create_dir_all(bench.disk()).unwrap();
    bench.add_user();
    let server = Process::start(&mut bench.daemon(&LISTEN));
    let url = server.wait_ready()["syncml"].clone();
    bench.write_notes(0, 20);
    assert_eq!(bench.sync(&url, "one").code, 0);
    assert_eq!(server.stop().code(), Some(0));
    let before = bench.texts("one");

    let mut limited = Command::new("bash");
    // In blocks of 1,024 octets.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 500; exec \"$@\"", "bash"]);
    limited.arg(env!("CARGO_BIN_EXE_mailsyncd")).arg("--data").arg(bench.disk().join("data")).args(LISTEN);
    let server = Process::start(&mut limited);
    let url = server.wait_ready()["syncml"].clone();
    bench.write_notes(20, 200);
    bench.sync_in_vain(&server, &url, "one");
    server.kill();

    let server = Process::start(&mut bench.daemon(&LISTEN));
    let url = server.wait_ready()["syncml"].clone();
    assert_eq!(bench.sync(&url, "two").code, 0);
    let kept: BTreeSet<String> = bench.texts("two").into_iter().collect();
    assert!(before.iter().all(|text| kept.contains(text)), "what was acknowledged is there");
    assert_whole(bench, &url);
    assert_eq!(bench.texts("one").len(), 220);
    assert_eq!(server.stop().code(), Some(0));
}
