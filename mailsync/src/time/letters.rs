//! Tasks under way between people by mail and short message, as files of the client's folder: what was asked of others, what
//! others ask and cannot prove, answers that a phone owes.

use crate::store::private_dir;
use mailsync_proto::tasks::request;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use timesync::task::Task;

/// Requests of strangers that wait for a person, at most.
// What a flood of requests can cost.
pub(super) const WAITING: usize = 64;
/// Proofs that are remembered: who catches a mail may send it again.
const PROOFS: usize = 1_000;
/// Octets of a file that is read.
const FILE: u64 = 2 << 20;

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// In a mail.
    Mail,
    /// In short messages.
    Sms,
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Way::Mail => "mail",
            Way::Sms => "sms",
        }
    }
}

/// What a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// We asked somebody.
    Asked,
    /// Somebody asks, and proves nothing.
    Waiting,
    /// An answer that the phone is to send.
    Owed,
}

impl Kind {
    const fn folder(self) -> &'static str {
        match self {
            Kind::Asked => "asked",
            Kind::Waiting => "waiting",
            Kind::Owed => "owed",
        }
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) way: Way,
    /// The other's address or number.
    pub(super) with: String,
    /// Our own address or number on it.
    pub(super) own: String,
    /// What was sent last, by us or by them.
    pub(super) calendar: String,
    /// What became of it, as the other said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
}

/// The letters of a folder.
pub(super) struct Letters {
    dir: PathBuf,
}

impl Letters {
    pub(super) fn of(dir: &Path) -> Self {
        Letters { dir: dir.join(".mailsync").join("letters") }
    }

    fn path(&self, kind: Kind, task: &Task) -> PathBuf {
        let name = request::place_of(task).1;
        self.dir.join(kind.folder()).join(format!("{}.json", name.as_str()))
    }

    /// Keeps one: whole, or not at all. One of the same task goes.
    pub(super) fn put(&self, kind: Kind, task: &Task, letter: &Letter) -> Result<(), String> {
        self.write(&self.path(kind, task), letter)
    }

    pub(super) fn get(&self, kind: Kind, task: &Task) -> Option<Letter> {
        read(&self.path(kind, task))
    }

    pub(super) fn remove(&self, kind: Kind, task: &Task) {
        let _ = fs::remove_file(self.path(kind, task));
    }

    /// All of a kind, each with its file.
    pub(super) fn all(&self, kind: Kind) -> Vec<(PathBuf, Letter)> {
        let Ok(entries) = fs::read_dir(self.dir.join(kind.folder())) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let letters = paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
        letters.filter_map(|path| read(&path).map(|letter| (path, letter))).collect()
    }

    /// What was looked at before.
    pub(super) fn seen(&self) -> Seen {
        read(&self.dir.join("seen.json")).unwrap_or_default()
    }

    pub(super) fn put_seen(&self, seen: &Seen) -> Result<(), String> {
        self.write(&self.dir.join("seen.json"), seen)
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), String> {
        private_dir(&self.dir).map_err(|error| error.to_string())?;
        write(path, value)
    }
}

/// What was looked at before, so that it is looked at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Mails of the inbox, by name and size.
    pub(super) mails: BTreeSet<String>,
    proofs: VecDeque<String>,
}

impl Seen {
    /// Whether a proof is new; it is not, from now on.
    pub(super) fn is_new(&mut self, proof: &str) -> bool {
        if self.proofs.iter().any(|known| known == proof) {
            return false;
        }
        if self.proofs.len() >= PROOFS {
            self.proofs.pop_front();
        }
        self.proofs.push_back(proof.to_owned());
        true
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let small = fs::metadata(path).is_ok_and(|meta| meta.len() <= FILE);
    small.then(|| serde_json::from_slice(&fs::read(path).ok()?).ok()).flatten()
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), String> {
    use std::io::Write as _;
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent() {
        private_dir(folder).map_err(|error| at(&error))?;
    }
    let octets = serde_json::to_vec(value).map_err(|error| at(&error))?;
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh).map_err(|error| at(&error))?;
    file.write_all(&octets).and_then(|()| file.sync_all()).map_err(|error| at(&error))?;
    fs::rename(&fresh, path).map_err(|error| at(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_once_and_the_oldest_are_forgotten() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a") && !seen.is_new("a"));
        for n in 0..PROOFS {
            assert!(seen.is_new(&n.to_string()));
        }
        assert!(seen.is_new("a"), "forgotten by now");
        let dir = tempfile::tempdir().unwrap();
        let letters = Letters::of(dir.path());
        assert_eq!(letters.seen(), Seen::default());
        letters.put_seen(&seen).unwrap();
        assert_eq!(letters.seen(), seen);
    }
}
