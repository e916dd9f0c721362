//! Other people's software, and our own binaries, as child processes of a test.
//!
//! ```ignore
//! mod peers;
//! use peers::{Process, Mode, SyncEvolution, Sync, Wire};
//!
//! let server = Process::start(Command::new(env!("CARGO_BIN_EXE_mailsyncd")).args(["--http", "127.0.0.1:0", "--data", data]));
//! let url = server.wait_ready()["syncml"].clone();
//! let client = SyncEvolution::client(dir.path());
//! client.put("note", "a", "hello");
//! client.sync(&Sync { mode: Mode::Slow, wire: Wire::Xml, stores: &["note=./notes"], user: "ann", password: "secret", ..Sync::with(&url) })
//!     .assert_ok();
//! assert_eq!(texts(&client.items("note")), ["hello"]);
//! ```
//!
//! Everything listens on 127.0.0.1, lives in directories the test names, and is killed when its guard is dropped. A missing
//! peer fails the test and says how to install it. The scripts behind this are described in `README.md` beside this file.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of this module")]

mod bench;
mod chrony;
mod delay_proxy;
mod exchange;
mod haproxy;
mod mail;
mod process;
mod push;
mod sip;
mod smpp;
mod syncevolution;
mod tap;
pub(crate) mod trees;

pub(crate) use bench::{Bench, is, lacks, mail};
pub(crate) use chrony::{Chrony, faketime};
pub(crate) use delay_proxy::{DelayProxy, Dice, Path};
pub(crate) use exchange::{Exchange, Lab, PASSWORD, Phone, base64, field, mailsync, read_mail, wait_for};
pub(crate) use haproxy::HaProxy;
pub(crate) use mail::{MailServers, Raw, Sink};
pub(crate) use process::{Finished, Process, flat_json, free_port, run};
pub(crate) use push::{PushBench, Watch};
pub(crate) use sip::{Sipp, Wapbox, tshark_of_push};
pub(crate) use smpp::{Centre, Kannel, Postfix, swaks};
pub(crate) use syncevolution::{Auth, Client, Mode, Report, Server, Sync, SyncEvolution, Wire, texts};
pub(crate) use tap::Tap;
