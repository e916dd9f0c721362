#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! Every public type is `Send` and `Sync`: a server answers many phones on many threads.
#![cfg(all(feature = "client", feature = "server", feature = "xml", feature = "wbxml"))]

use std::path::{Path, PathBuf};
use syncml::inspect::{Entry, Inspection, Kind};
use syncml::san::*;
use syncml::session::auth::*;
use syncml::session::mac::Mac;
use syncml::session::*;
use syncml::*;

fn sent<T: Send + std::marker::Sync>() {}

macro_rules! types {
    ($($name:ident $(<$life:lifetime>)?)*) => {
        /// The names, each asserted by being named.
        fn listed() -> Vec<&'static str> {
            $(sent::<$name $(<$life>)?>();)*
            vec![$(stringify!($name)),*]
        }
    };
}

types! {
    Message SyncHdr Target Source Command CommandName Change Alert Sync Nest Exec Get Put Results Map MapItem Search
    Status Item Data Filter Field Record Meta Mem Cred Chal Anchor Element Extra Name Node Page
    DevInf DataStore CtType SyncCap DsMem CtCap Property PropParam FlatCtCap CtCapEntry FilterCap Ext
    AlertCode StatusCode Version Encoding
    Reader<'static> Event Writer Limits Quirks DecodeError DecodeErrorKind EncodeError ConvertError
    Kind Entry Inspection ServerAlert UiMode AlertedSync AlertKey Digest
    ObjectHead Slot Payload Received Ask<'static> Full ObjectProgress Exchange<'static> Scheme Nonces<'static>
    ClientConfig LoginState ClientSession ClientExchange<'static> SessionError Package Leftover
    Mac OwnLogin ServerCheck<'static> FirstFailure SessionLimits Load Attempts Arrival<'static>
    Notice<'static> Wanted WantedSync Dropped AlertMemory
    ServerConfig ServerSession Opening<'static> PendingLogin<'static> LoginCheck<'static> ServerExchange<'static>
}

/// `pub struct`, `pub enum` and `pub type` of the sources; the lint `unreachable_pub` keeps that word for what is public.
fn declared() -> Vec<String> {
    let mut names = Vec::new();
    let mut folders: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let rest =
                    ["pub struct ", "pub enum ", "pub type "].iter().find_map(|word| line.strip_prefix(word));
                if let Some(rest) = rest {
                    let end = rest.find(|char: char| !char.is_alphanumeric()).unwrap_or(rest.len());
                    names.push(rest[..end].to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn every_public_type_is_send_and_sync() {
    let (mut listed, mut declared) = (listed(), declared());
    listed.sort_unstable();
    declared.sort_unstable();
    assert!(listed.len() > 90);
    assert_eq!(declared, listed, "left: in the sources; right: in this test");
}
