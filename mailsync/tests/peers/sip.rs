//! SIPp as a terminal, Kannel's push proxy gateway, and tshark as a judge of octets.

use super::exchange::PASSWORD;
use super::process::{Process, free_port};
use std::path::{Path, PathBuf};
use std::process::Command;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// A terminal by a scenario of SIPp.
pub(crate) struct Sipp {
    _process: Process,
    pub(crate) address: String,
    dir: PathBuf,
}

impl Sipp {
    /// Started with `uas-KIND.xml`.
    pub(crate) fn start(dir: &Path, kind: &str) -> Sipp {
        let port = free_port();
        let mut command = Command::new(script("sip/uas.sh"));
        command.arg(dir).arg(kind).arg(port.to_string());
        command.env("CONTROL", free_port().to_string()).env("MEDIA", free_port().to_string());
        let process = Process::start(&mut command);
        let address = process.wait_ready()["sip"].clone();
        Sipp { _process: process, address, dir: dir.into() }
    }

    /// A log of it: `msg.log`, `err.log`, `note.log`.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read(self.dir.join(name))
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .unwrap_or_default()
    }
}

/// Kannel's bearerbox and wapbox.
pub(crate) struct Wapbox {
    _process: Process,
    pub(crate) url: String,
}

impl Wapbox {
    /// Bound to a centre as `esme1`.
    pub(crate) fn start(dir: &Path, centre: &str) -> Wapbox {
        let mut command = Command::new(script("smpp/wapbox.sh"));
        command.arg(dir).arg(centre).env("SYSID", "esme1").env("PASSWD", PASSWORD);
        for name in ["PORT1", "PORT2", "PORT3", "PORT4"] {
            command.env(name, free_port().to_string());
        }
        let process = Process::start(&mut command);
        let url = process.wait_ready()["pap"].clone();
        Wapbox { _process: process, url }
    }
}

/// What tshark says of a WAP push: of the PDU as it would stand in a datagram to the push port.
pub(crate) fn tshark_of_push(dir: &Path, pdu: &[u8]) -> String {
    let mut udp = [9200u16.to_be_bytes(), 2948u16.to_be_bytes()].concat();
    udp.extend((u16::try_from(pdu.len()).unwrap() + 8).to_be_bytes());
    udp.extend([0, 0]);
    let total = u16::try_from(20 + udp.len() + pdu.len()).unwrap();
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    let packet = [ip, udp, pdu.to_vec()].concat();
    let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
    let mut pcap = 0xA1B2_C3D4u32.to_le_bytes().to_vec();
    pcap.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    pcap.extend(65_535u32.to_le_bytes());
    pcap.extend(101u32.to_le_bytes());
    pcap.extend([[0; 8].to_vec(), length.to_vec(), length.to_vec(), packet].concat());
    let file = dir.join("push.pcap");
    std::fs::write(&file, pcap).unwrap();
    let output = Command::new("tshark").args(["-r", file.to_str().unwrap(), "-V"]).output();
    let output = output.expect("tshark is missing: run mailsync/tests/peers/sip/setup.sh");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
