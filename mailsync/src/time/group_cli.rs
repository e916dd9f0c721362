//! `mailsync group`: friend groups with levels and rights, in the folder; the next sync takes them along.

use super::pocket::Pocket;
use super::task_cli::Own;
use mailsync_proto::tasks::group::{DATASTORE, FriendGroup, extra_named, kind_named};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use timesync::task::{ExtraKind, GroupChange, GroupSession, Kind, Level, UserId};

/// Friend groups: who may set tasks for us
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Group {
    /// The groups, their levels, rights and members
    List {
        #[command(flatten)]
        own: Own,
    },
    /// Make a group, or change one
    Set {
        #[command(flatten)]
        own: Own,
        /// Its name
        name: String,
        /// Its level, 0 to 9; members of level 0 may do nothing
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
        level: Option<u8>,
        /// What its members may set: alarm, schedule, meeting, shopping
        #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
        may: Option<Vec<Kind>>,
        /// What they may attach: text, audio, animation, picture
        #[arg(long, value_name = "EXTRAS", value_delimiter = ',', value_parser = extra)]
        attach: Option<Vec<ExtraKind>>,
        /// A person who is in it from now on
        #[arg(long, value_name = "NAME")]
        add: Vec<String>,
        /// A person who is not
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
    },
    /// Remove a group
    Remove {
        #[command(flatten)]
        own: Own,
        /// Its name
        name: String,
    },
}

fn kind(text: &str) -> Result<Kind, String> {
    kind_named(text).ok_or_else(|| format!("{text:?}: say alarm, schedule, meeting or shopping"))
}

fn extra(text: &str) -> Result<ExtraKind, String> {
    extra_named(text).ok_or_else(|| format!("{text:?}: say text, audio, animation or picture"))
}

/// Runs `mailsync group`.
pub(crate) fn run(command: Group, json: bool) -> Result<ExitCode, String> {
    match command {
        Group::List { own } => list(&own.pocket()?, json),
        Group::Set { own, name, level, may, attach, add, remove } => {
            let pocket = own.pocket()?;
            let (path, mut group) = found(&pocket, &name).unzip();
            let mut group = group.take().unwrap_or_else(|| FriendGroup::new(&name));
            let level = level.map(Level::new).transpose().map_err(text)?;
            group.level = level.or(group.level).or(Some(Level::NONE));
            if let Some(may) = may {
                group.rights.kinds = may.into_iter().collect();
            }
            if let Some(attach) = attach {
                group.rights.extras = attach.into_iter().collect();
            }
            for name in add {
                group.members.insert(UserId::new(&name).map_err(text)?);
            }
            for name in remove {
                group.members.remove(&UserId::new(&name).map_err(text)?);
            }
            // The server would say the same, later.
            let session = GroupSession { user: pocket.owner().clone(), knows_levels: true };
            let mut groups = pocket.groups();
            let known = timesync::task::Group {
                level: group.level.unwrap_or(Level::NONE),
                rights: group.rights.clone(),
                members: group.members.clone(),
            };
            groups
                .change(&session, GroupChange::Put { name: name.as_str().into(), group: known })
                .map_err(text)?;
            match path {
                Some(path) => std::fs::write(&path, group.to_xml())
                    .map_err(|error| format!("{}: {error}", path.display()))?,
                None => {
                    let file: String = name.bytes().take(20).map(|octet| format!("{octet:02x}")).collect();
                    pocket.put(DATASTORE, &format!("g{file}"), &group.to_xml())?;
                }
            }
            say(json, &name, "set; the next sync of ./groups takes it along")
        }
        Group::Remove { own, name } => {
            let pocket = own.pocket()?;
            let (path, _) = found(&pocket, &name).ok_or_else(|| format!("{name}: no such group"))?;
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            say(json, &name, "removed; the next sync of ./groups takes it along")
        }
    }
}

fn found(pocket: &Pocket, name: &str) -> Option<(PathBuf, FriendGroup)> {
    let all = pocket.files(DATASTORE).into_iter();
    let mut groups = all.filter_map(|(path, body)| Some((path, FriendGroup::parse(&body).ok()?)));
    groups.find(|(_, group)| *group.name == *name)
}

fn list(pocket: &Pocket, json: bool) -> Result<ExitCode, String> {
    let mut lines = Vec::new();
    for (_, body) in pocket.files(DATASTORE) {
        let Ok(group) = FriendGroup::parse(&body) else { continue };
        let names =
            |debug: Vec<String>| -> Vec<String> { debug.iter().map(|name| name.to_lowercase()).collect() };
        let kinds = names(group.rights.kinds.iter().map(|kind| format!("{kind:?}")).collect());
        let extras = names(group.rights.extras.iter().map(|extra| format!("{extra:?}")).collect());
        let members: Vec<&str> = group.members.iter().map(UserId::as_str).collect();
        let level = group.level.map_or(0, Level::number);
        lines.push(json!({
            "name": group.name, "level": level, "may": kinds, "attach": extras, "members": members,
        }));
    }
    if json {
        println!("{}", json!(lines));
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines {
        let words = |name: &str| -> String {
            let all = line[name].as_array().into_iter().flatten();
            let all: Vec<&str> = all.filter_map(serde_json::Value::as_str).collect();
            if all.is_empty() { "nothing".into() } else { all.join(", ") }
        };
        let (name, level) = (line["name"].as_str().unwrap_or_default(), &line["level"]);
        println!(
            "{name}: level {level}; may {}; attach {}; {}",
            words("may"),
            words("attach"),
            words("members")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn say(json: bool, name: &str, words: &str) -> Result<ExitCode, String> {
    if json {
        println!("{}", json!({"ok": true, "group": name}));
    } else {
        println!("{name}: {words}");
    }
    Ok(ExitCode::SUCCESS)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
