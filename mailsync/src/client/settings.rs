//! `mailsync settings`: the parameters that the server keeps for this user's devices, by a sync of `./settings`.
// mission: M9

use super::account::There;
use super::options::StoreOption;
use super::{parameters, sync};
use bytes::Bytes;
use clap::Subcommand;
use mailsync_proto::mail::params::{Parameters, merge};
use mailsync_proto::mail::settings::{self, DATASTORE, Settings};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use syncml::{Data, StatusCode};

/// Mail parameters that the server keeps.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what counts for this device, and whose each value is; with parameters as for `sync`, what they would come to
    Get {
        #[command(flatten)]
        there: There,
        /// Of mail of this account, by its address
        #[arg(long, value_name = "MAILADDR")]
        of_account: Option<String>,
        #[command(flatten)]
        asked: Box<parameters::Parameters>,
    },
    /// Set parameters: rule=client-wins|server-wins, headers-only, attachments, types, max-size, days, forward; NAME= takes one back
    Set {
        #[command(flatten)]
        there: There,
        /// For this device only
        #[arg(long)]
        this_device: bool,
        /// For mail of this account only, by its address: headers-only, attachments, types, max-size
        #[arg(long, value_name = "MAILADDR")]
        of_account: Option<String>,
        /// NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
}

/// Runs the command.
pub(super) fn run(command: Command, json: bool) -> Result<ExitCode, String> {
    match command {
        Command::Get { there, of_account, asked } => {
            synced(&there)?;
            let device = device(&there)?;
            let all = all(there.dir.path())?;
            let known = || all.iter().map(|(_, settings)| settings);
            let (mut stored, rule) = Settings::of_device(known(), &device);
            if let Some(address) = of_account {
                let own = Settings::of_accounts(known(), &device);
                let own = own.into_iter().find(|(of, _)| of.eq_ignore_ascii_case(&address));
                stored = own.map_or(stored.clone(), |(_, own)| stored.under(&own));
            }
            let filter = asked.filter();
            let fields = filter.as_ref().and_then(|filter| filter.field.as_ref()?.item.data.as_ref());
            let client = Parameters::of_filter(match fields {
                Some(Data::Properties(fields)) => Some(fields),
                _ => None,
            });
            let told = merge(&client, &stored, rule).told();
            if json {
                let row = |(name, value, side, overruled): &(&str, String, _, bool)| {
                    let of = format!("{side}");
                    ((*name).to_owned(), json!({"value": value, "from": of, "overruled": overruled}))
                };
                let rows: serde_json::Map<String, serde_json::Value> = told.iter().map(row).collect();
                println!("{}", json!({"rule": rule.as_str(), "parameters": rows}));
            } else {
                println!("rule\t{}", rule.as_str());
                for (name, value, side, overruled) in told {
                    let other = if overruled { ", the other side is overruled" } else { "" };
                    println!("{name}\t{value}\t({side}{other})");
                }
            }
        }
        Command::Set { there, this_device, of_account, settings: wanted } => {
            let account = of_account.map(|address| address.to_lowercase());
            synced(&there)?;
            let dir = there.dir.path();
            let device = if this_device { Some(device(&there)?) } else { None };
            let found = all(dir)?.into_iter().find(|(_, settings)| {
                settings.device.as_deref() == device.as_deref()
                    && settings.account.as_deref() == account.as_deref()
            });
            let name = [device.as_deref().unwrap_or("all"), account.as_deref().unwrap_or_default()].join("-");
            let name: String =
                name.trim_end_matches('-').chars().map(|c| if c == '/' { '_' } else { c }).collect();
            let (file, mut settings) =
                found.unwrap_or_else(|| (dir.join(DATASTORE).join(name), Settings::default()));
            settings.device = device.as_deref().map(Into::into);
            settings.account = account.as_deref().map(Into::into);
            for setting in &wanted {
                let (name, value) =
                    setting.split_once('=').ok_or_else(|| format!("{setting:?} is not NAME=VALUE"))?;
                if account.is_some() && ["rule", "days", "forward"].contains(&name) {
                    return Err(format!("{name} is of all mail, not of one account"));
                }
                settings.set(name, value)?;
            }
            fs::write(&file, settings.to_xml()).map_err(|error| format!("{}: {error}", file.display()))?;
            synced(&there)?;
            if json {
                println!("{}", json!({"ok": true}));
            } else {
                println!("the server keeps it");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings in a folder, each with its file.
pub(super) fn all(dir: &Path) -> Result<Vec<(PathBuf, Settings)>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir.join(DATASTORE)).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let named = |error: String| format!("{}: {error}", path.display());
        let octets = fs::read(&path).map_err(|error| named(error.to_string()))?;
        let settings = Settings::parse(&Bytes::from(octets)).map_err(|error| named(error.to_string()))?;
        found.push((path, settings));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// What the folder's device is to do, as far as its settings say.
pub(super) fn of_folder(dir: &Path) -> Parameters {
    // What cannot be read says nothing: the verbs do without settings.
    let (Ok(all), Ok(device)) = (all(dir), sync::device_id(dir, None)) else { return Parameters::default() };
    Settings::of_device(all.iter().map(|(_, settings)| settings), &device).0
}

fn device(there: &There) -> Result<String, String> {
    sync::device_id(there.dir.path(), there.device.as_deref()).map_err(|error| error.to_string())
}

fn synced(there: &There) -> Result<(), String> {
    let stores = vec![StoreOption::parse(&format!("{DATASTORE}:{}", settings::MEDIA_TYPE))?];
    let report = sync::run(&there.options(stores)?).map_err(|error| error.to_string())?;
    if let Some(code) = report.login {
        return Err(format!("{}: login of {} refused: {}", there.server, there.user, StatusCode(code)));
    }
    let Some(store) = report.stores.first() else { return Ok(()) };
    let code =
        store.codes.first().copied().filter(|_| store.status == StatusCode::OK.0).unwrap_or(store.status);
    if code != StatusCode::OK.0 {
        return Err(format!("{}: settings are not synced: {}", there.server, StatusCode(code)));
    }
    Ok(())
}
