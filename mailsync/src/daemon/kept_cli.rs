//! `mailsyncd kept`: what was set aside, and putting it back.

use super::cli::Out;
use crate::store::{Kept, SqliteStore};
use crate::turns::{self, Failure};
use clap::Subcommand;
use idmap::Guid;
use mailsync_proto::mail::{Role, mailbox};
use mailsync_proto::sync::kept::restore;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was set aside: items that a device deleted or replaced, and versions that lost a conflict
    List {
        /// Login name
        user: Option<String>,
    },
    /// Put an item back; devices get it with their next sync
    Restore {
        /// Login name
        user: String,
        /// Its number, as listed; several, or all of the user's
        #[arg(required_unless_present = "all")]
        id: Vec<i64>,
        /// Everything that is kept of this user
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub(super) fn run(out: &Out, store: &SqliteStore, command: Command) -> Result<ExitCode, String> {
    match command {
        Command::List { user } => {
            let kept = store.kept(user.as_deref()).map_err(|error| error.to_string())?;
            out.list(&kept, |kept| {
                let until =
                    kept.until.map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
                let guid = kept.guid.escape_debug();
                format!(
                    "{}\t{}\t{}\t{guid}\t{}\t{} octets\t{until}",
                    kept.id, kept.user, kept.datastore, kept.kind, kept.size
                )
            });
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore { user, id, all } => {
            let failed = |error: mailsync_proto::sync::store::StoreError| error.to_string();
            let chosen: Vec<Kept> = if all {
                store.kept(Some(&user)).map_err(failed)?
            } else {
                id.iter()
                    .map(|id| {
                        store
                            .kept_item(&user, *id)
                            .map_err(failed)?
                            .ok_or(format!("nothing {id} of {user} is kept"))
                    })
                    .collect::<Result<_, _>>()?
            };
            for kept in &chosen {
                back(store, kept).map_err(|error| error.to_string())?;
            }
            out.done(&format!("{} put back", chosen.len()))
        }
    }
}

fn back(store: &SqliteStore, kept: &Kept) -> Result<(), Failure> {
    let (key, guid) = kept.key();
    let entropy = turns::moment()?.entropy;
    let fresh: String = entropy.iter().take(13).map(|octet| format!("{octet:02x}")).collect();
    let fresh = Guid::unvalidated(fresh);
    let inbox = (*key.datastore == *mailbox::DATASTORE).then(|| Role::Inbox.guid());
    turns::effect::<_, Failure>(store, |reader| {
        Ok(restore(reader, &key, &guid, kept.state(), &fresh, inbox.as_ref()))
    })?;
    store.drop_kept(kept.id)?;
    Ok(())
}
