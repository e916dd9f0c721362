//! Looks whether everything is as it should be.

use crate::store::{Bodies, DirError, DirLock, SqliteStore, database};
use serde::Serialize;
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    what: &'static str,
    ok: bool,
    says: String,
}

impl Check {
    pub(super) fn is_ok(&self) -> bool {
        self.ok
    }

    pub(super) fn line(&self) -> String {
        format!("{:4} {:10} {}", if self.ok { "ok" } else { "BAD" }, self.what, self.says)
    }
}

/// Looks at a data folder; changes nothing but what opening a database changes.
pub(super) fn examine(data: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |what, ok, says: String| checks.push(Check { what, ok, says });
    if !data.is_dir() {
        check("folder", false, format!("{} is not there; mailsyncd user add makes it", data.display()));
        return checks;
    }
    check("folder", true, data.display().to_string());
    match DirLock::take(data) {
        Ok(_) => check("server", true, "not running".into()),
        Err(DirError::InUse { owner, .. }) if owner.is_empty() => {
            check("server", true, "running, the folder is shared".into());
        }
        Err(DirError::InUse { owner, .. }) => check("server", true, format!("running{owner}")),
        Err(error) => check("server", false, error.to_string()),
    }
    if !database(data).exists() {
        check("database", false, "not there yet; mailsyncd user add makes it".into());
        return checks;
    }
    let store = match SqliteStore::open(database(data), Bodies::Inside) {
        Ok(store) => store,
        Err(error) => {
            check("database", false, error.to_string());
            return checks;
        }
    };
    match store.integrity() {
        Ok(faults) if faults.is_empty() => check("database", true, "whole".into()),
        Ok(faults) => check("database", false, faults.join("; ")),
        Err(error) => check("database", false, error.to_string()),
    }
    match store.users() {
        Ok(users) => check("users", !users.is_empty(), format!("{}", users.len())),
        Err(error) => check("users", false, error.to_string()),
    }
    match store.jobs(None) {
        Ok(jobs) => {
            let stuck = jobs.iter().filter(|job| job.error.is_some()).count();
            check("queue", stuck == 0, format!("{} jobs, {stuck} of them failed before", jobs.len()));
        }
        Err(error) => check("queue", false, error.to_string()),
    }
    checks
}
