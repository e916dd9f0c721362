//! Reference clocks: real chronyd servers on loopback that set no clock, honest or wrong by a known error.

use super::{Process, free_port, run};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A chronyd that answers on 127.0.0.1 until dropped.
pub(crate) struct Chrony {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Chrony {
    /// An honest one: its time is the machine's.
    pub(crate) fn honest(dir: &Path) -> Chrony {
        Chrony::start(dir, None)
    }

    /// One that lives in another time, as libfaketime writes it: `+5s`, `-3600s`, `+0 x1.001` (1,000 ppm fast).
    pub(crate) fn wrong(dir: &Path, faketime: &str) -> Chrony {
        Chrony::start(dir, Some(faketime))
    }

    fn start(dir: &Path, faketime: Option<&str>) -> Chrony {
        let port = free_port();
        let home = dir.join(format!("chrony-{port}"));
        std::fs::create_dir_all(&home).unwrap();
        let at = home.display();
        let config = format!(
            "port {port}\nbindaddress 127.0.0.1\ncmdport 0\nbindcmdaddress /\nlocal stratum 1\nallow 127.0.0.0/8\n\
             pidfile {at}/pid\ndumpdir {at}\nnoclientlog\n"
        );
        std::fs::write(home.join("chrony.conf"), config).unwrap();
        let user = run(Command::new("id").arg("-un"), Duration::from_secs(10)).stdout;
        let program = if Path::new("/usr/sbin/chronyd").exists() { "/usr/sbin/chronyd" } else { "chronyd" };
        let mut command = Command::new(program);
        // -x: never sets a clock. -d: stays in the foreground. -U: needs no root.
        command.args(["-x", "-d", "-U", "-u", user.trim(), "-f"]).arg(home.join("chrony.conf"));
        if let Some(faketime) = faketime {
            self::faketime(&mut command, faketime);
        }
        let process = Process::start(&mut command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(
            answers(address),
            "chronyd does not answer; install it with ./test --peers\n{}",
            process.stderr()
        );
        Chrony { address, process }
    }

    /// Ends it: nobody answers there any more.
    pub(crate) fn stop(self) {
        self.process.kill();
    }
}

/// Lets a program live in another time: `+5s`, `-3600s`, `+0 x1.001` (1,000 ppm fast). Its monotonic clock is left alone.
pub(crate) fn faketime(command: &mut Command, spec: &str) {
    command.env("LD_PRELOAD", libfaketime()).env("FAKETIME", spec).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

fn libfaketime() -> std::path::PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime; install it with ./test --peers")
}

/// Whether an NTP server answers within 10 seconds.
fn answers(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut request = [0; 48];
    request[0] = 0x23; // version 4, client
    request[40] = 1;
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let _ = socket.send_to(&request, address);
        let mut reply = [0; 100];
        // A server that is not yet synchronised says so with leap indicator 3.
        if matches!(socket.recv(&mut reply), Ok(48..) if reply[0] >> 6 != 3 && reply[1] != 0) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
