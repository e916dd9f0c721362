//! The data folder: ours alone to read, and of one server at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A data folder that this process has for itself, or shares with others that share it, until dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

/// The work that only one of the processes on a folder does: queues, and what is too old.
///
/// Whoever asks first has it until it ends in whatever way; then another gets it.
#[derive(Debug)]
pub struct Lead {
    path: PathBuf,
    held: Mutex<Option<File>>,
}

/// Why a folder cannot be the data folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirError {
    /// Another process has it.
    #[error("{path}: in use by another process{owner}; stop it first, or take another folder with --data")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// ` (pid N)`, if known.
        owner: String,
    },
    /// Others may read it, and it is not ours to change.
    #[error(
        "{path}: others can read this folder (mode {mode:o}) and it holds other files; chmod 700 it, or take another"
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system says no.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Its words.
        source: io::Error,
    },
}

const DATABASE: &str = "mailsync.db";
const LOCK: &str = "lock";
const LEAD: &str = "lead";

/// The database in a data folder.
pub fn database(path: &Path) -> PathBuf {
    path.join(DATABASE)
}

/// Makes a folder that only its owner can read, or tightens one that is new to us or empty.
pub fn private_dir(path: &Path) -> Result<(), DirError> {
    let failed = |source| DirError::Io { path: path.into(), source };
    if path.is_dir() {
        return tighten(path);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)
}

#[cfg(unix)]
fn tighten(path: &Path) -> Result<(), DirError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| DirError::Io { path: path.into(), source };
    let mut rights = fs::metadata(path).map_err(failed)?.permissions();
    let mode = rights.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let empty = fs::read_dir(path).map_err(failed)?.next().is_none();
    if !empty && !path.join(DATABASE).exists() {
        return Err(DirError::Open { path: path.into(), mode });
    }
    rights.set_mode(0o700);
    fs::set_permissions(path, rights).map_err(failed)
}

#[cfg(not(unix))]
fn tighten(_path: &Path) -> Result<(), DirError> {
    Ok(())
}

impl DirLock {
    /// Makes the folder if need be, and takes it.
    pub fn take(path: &Path) -> Result<Self, DirError> {
        DirLock::lock(path, File::try_lock, &std::process::id().to_string())
    }

    /// Makes the folder if need be, and shares it with other processes that share it.
    pub fn share(path: &Path) -> Result<Self, DirError> {
        DirLock::lock(path, File::try_lock_shared, "")
    }

    fn lock(
        path: &Path,
        how: impl FnOnce(&File) -> Result<(), TryLockError>,
        owner: &str,
    ) -> Result<Self, DirError> {
        private_dir(path)?;
        let failed = |source| DirError::Io { path: path.into(), source };
        let mut file = open(&path.join(LOCK)).map_err(failed)?;
        match how(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let read = file.read_to_string(&mut pid);
                let known =
                    read.is_ok() && !pid.is_empty() && pid.bytes().all(|octet| octet.is_ascii_digit());
                let owner = if known { format!(" (pid {pid})") } else { String::new() };
                return Err(DirError::InUse { path: path.into(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| file.write_all(owner.as_bytes())).map_err(failed)?;
        Ok(DirLock { _file: file })
    }
}

impl Lead {
    /// The lead in a folder, which nobody has taken yet.
    pub fn new(path: &Path) -> Self {
        Lead { path: path.join(LEAD), held: Mutex::default() }
    }

    /// Whether this process has the lead; takes it if it is free.
    pub fn is_ours(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = open(&self.path).ok().filter(|file| file.try_lock().is_ok());
        }
        held.is_some()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/data");
        let first = DirLock::take(&path).unwrap();
        let error = DirLock::take(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        assert!(!error.contains('\n'));
        drop(first);
        DirLock::take(&path).unwrap();
    }

    #[test]
    fn sharers_share_and_one_leads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let (one, two) = (DirLock::share(&path).unwrap(), DirLock::share(&path).unwrap());
        assert!(matches!(DirLock::take(&path), Err(DirError::InUse { .. })), "not for itself alone");
        drop((one, two));
        let alone = DirLock::take(&path).unwrap();
        assert!(matches!(DirLock::share(&path), Err(DirError::InUse { .. })));
        drop(alone);
        let (first, second) = (Lead::new(&path), Lead::new(&path));
        assert!(first.is_ours() && first.is_ours() && !second.is_ours());
        drop(first);
        assert!(second.is_ours());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(DirLock::take(&path).unwrap());
        assert_eq!(mode(), 0o700);
        let loosen = || fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        loosen();
        assert!(
            matches!(DirLock::take(&path), Err(DirError::Open { mode: 0o755, .. })),
            "a lock file is not ours"
        );
        fs::write(path.join(DATABASE), "").unwrap();
        drop(DirLock::take(&path).unwrap());
        assert_eq!(mode(), 0o700);
    }
}
