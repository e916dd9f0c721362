//! Who may know whom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {}", dir.display());
    found
}

#[test]
fn the_sync_engine_knows_no_mail() {
    let sync = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sync");
    for path in sources(&sync) {
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            // Our own name is not the word.
            let line = line.to_lowercase().replace("mailsync", "");
            assert!(!line.contains("mail"), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn engines_do_no_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in ["syncml/src", "idmap/src", "mailsync-proto/src"] {
        for path in sources(&root.join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in ["std::net", "std::fs", "std::thread", "Instant::now", "SystemTime::now"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}
