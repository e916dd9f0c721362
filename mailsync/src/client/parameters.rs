//! What of the mail is wanted: the parameters of a sync, and fetching the rest of one mail.
//!
//! They travel as the standard filter of the Alert; nothing of them is kept anywhere.
// mission: M2, M9

use super::account::There;
use super::args::{item_key, password};
use super::options::{Options, StoreOption};
use super::sync;
use mailsync_proto::mail::flags::STATE;
use mailsync_proto::mail::{Wanted, email};
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::filter::GRAMMAR;
use serde_json::json;
use std::process::ExitCode;
use syncml::session::auth::Scheme;
use syncml::{Data, Encoding, Field, Filter, Item, Meta, Property, Record, StatusCode, Version};

/// What of the mail is wanted.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Parameters {
    /// Only the state of the mails that both sides have: read, answered, forwarded, flagged, deleted, moved. Nothing new
    /// comes or goes
    #[arg(long, conflicts_with_all = ["headers_only", "no_attachments", "types", "max_size", "since", "until"])]
    state_only: bool,
    /// Of each mail only its header; `fetch` brings the rest
    #[arg(long, conflicts_with_all = ["no_attachments", "types"])]
    headers_only: bool,
    /// Of each mail only its text
    #[arg(long, conflicts_with = "types")]
    no_attachments: bool,
    /// Only attachments of these types, as image/*,application/pdf
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    types: Vec<String>,
    /// Octets of a mail, at most: attachments are left out first, then the end of the text
    #[arg(long, value_name = "BYTES")]
    max_size: Option<u64>,
    /// Only mail that came at this time or later: YYYY-MM-DD, or YYYY-MM-DDThh:mm:ssZ
    #[arg(long, value_name = "DATE", value_parser = moment)]
    since: Option<String>,
    /// Only mail that came before this time
    #[arg(long, value_name = "DATE", value_parser = moment)]
    until: Option<String>,
}

impl Parameters {
    /// Whether a sync of this kind can do with them.
    ///
    /// # Errors
    /// In words.
    pub(super) fn fit(&self, mode: Mode, version: Version) -> Result<(), String> {
        let anew = matches!(mode, Mode::Slow | Mode::RefreshFromClient | Mode::RefreshFromServer);
        if self.state_only && (anew || version < Version::V1_2) {
            return Err(
                "--state-only goes on from the last sync, by version 1.2; without it all is compared".into(),
            );
        }
        Ok(())
    }

    /// As a filter; none where everything is wanted.
    pub(super) fn filter(&self) -> Option<Box<Filter>> {
        self.filter_for(&[])
    }

    /// As [`Parameters::filter`], for the mail of these accounts alone; of all where none is named.
    // mission: M8b
    pub(super) fn filter_for(&self, accounts: &[String]) -> Option<Box<Filter>> {
        let scope = (!accounts.is_empty()).then(|| format!("account&EQ;{}", accounts.join(",")));
        // mission: M5
        if self.state_only {
            let named = |name: &&str| {
                let mut property = Property::default();
                property.prop_name = (*name).into();
                property
            };
            return Some(filter(Some(STATE.iter().map(named).collect()), scope, false));
        }
        let mut wanted = if self.headers_only { Wanted::HEADER } else { Wanted::WHOLE };
        wanted.attachments &= !self.no_attachments;
        wanted.types = self.types.iter().map(|wanted| wanted.trim().into()).collect();
        wanted.max = self.max_size;
        // A sync for some accounts says what comes now, and not what the device wants to hold.
        let bounds = [("received&GE;", &self.since), ("received&LT;", &self.until)];
        let bounds = bounds.iter().filter_map(|(bound, at)| Some(format!("{bound}{}", at.as_ref()?)));
        let record: Vec<String> = scope.into_iter().chain(bounds).collect();
        if wanted == Wanted::WHOLE && record.is_empty() {
            return None;
        }
        let wanted = (wanted != Wanted::WHOLE).then(|| vec![wanted.to_property()]);
        Some(filter(wanted, (!record.is_empty()).then(|| record.join("&AND;")), false))
    }
}

/// The rest of a mail.
#[derive(Debug, clap::Args)]
pub(super) struct Fetch {
    #[command(flatten)]
    there: There,
    /// Its id, as listed
    luid: String,
    /// Only these attachments beside the text, by their numbers as listed
    #[arg(long = "part", value_name = "N", value_delimiter = ',')]
    parts: Vec<u32>,
}

/// Runs `mailsync fetch`.
// mission: M2f
pub(super) fn fetch(fetch: Fetch, json: bool) -> Result<ExitCode, String> {
    let Fetch { there, luid, parts } = fetch;
    let before = there.dir.open()?.show(&luid).map_err(|error| error.to_string())?;
    let wanted = (!parts.is_empty()).then(|| {
        let mut wanted = Wanted::WHOLE;
        wanted.types = parts.iter().map(|number| format!("part/{number}").into()).collect();
        vec![wanted.to_property()]
    });
    let options = Options {
        mail: Some(filter(wanted, Some(format!("&LUID;&EQ;{luid}")), true)),
        ..there.options(vec![StoreOption::parse("mail")?])?
    };
    let report = sync::run(&options).map_err(|error| error.to_string())?;
    if let Some(code) = report.login {
        return Err(format!("{}: login refused: {}", options.server, StatusCode(code)));
    }
    let status = report.stores.first().map_or(StatusCode::SYNC_FAILED.0, |store| store.status);
    if status != StatusCode::OK.0 {
        return Err(format!("{}: not fetched: {}", options.server, StatusCode(status)));
    }
    let after = there.dir.open()?.show(&luid).map_err(|error| error.to_string())?;
    if json {
        println!(
            "{}",
            json!({"ok": true, "luid": luid, "size": after.len(), "grew": after.len() > before.len()})
        );
    } else {
        println!("{luid} has {} octets now", after.len());
    }
    Ok(ExitCode::SUCCESS)
}

impl There {
    /// A sync of these datastores with all else as it is by default.
    pub(super) fn options(&self, stores: Vec<StoreOption>) -> Result<Options, String> {
        Ok(Options {
            server: self.server.clone(),
            user: self.user.clone(),
            password: password(&self.user)?,
            dir: self.dir.path().to_owned(),
            stores,
            device: self.device.clone(),
            mode: Mode::TwoWay,
            encoding: Encoding::Wbxml,
            version: Version::V1_2,
            scheme: Scheme::Md5,
            max_msg_size: 150_000,
            max_obj_size: 32 << 20,
            ca: self.ca.clone(),
            item_key: self.item_key.as_deref().map(item_key).transpose()?,
            record: None,
            dry_run: false,
            verbose: false,
            server_login: None,
            notification: None,
            notified: super::options::NOTIFIED,
            takes_alerts: true,
            mail: None,
        })
    }
}

/// A filter of mail.
// spec: e-mail facts §7
fn filter(wanted: Option<Vec<Property>>, record: Option<String>, inclusive: bool) -> Box<Filter> {
    let meta = |name: &str| {
        let mut meta = Meta::default();
        meta.type_ = Some(name.into());
        Some(Box::new(meta))
    };
    let item = |name: &str, data: Data| {
        let mut item = Item::default();
        item.meta = meta(name);
        item.data = Some(data);
        item
    };
    let mut filter = Filter::default();
    filter.meta = meta(email::MEDIA_TYPE);
    filter.field = wanted
        .map(|wanted| Field { item: item("application/vnd.syncml-devinf+xml", Data::Properties(wanted)) });
    filter.record = record.map(|text| Record { item: item(GRAMMAR, Data::Bytes(text.into())) });
    filter.filter_type = inclusive.then(|| "INCLUSIVE".into());
    Box::new(filter)
}

/// A time as filters write it.
fn moment(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is neither YYYY-MM-DD nor YYYY-MM-DDThh:mm:ssZ");
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let time = time.strip_suffix('Z').ok_or_else(bad)?;
    let digits = |text: &str, separator: char, lengths: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        let fits = parts.len() == 3
            && parts.iter().zip(lengths).all(|(p, n)| p.len() == n && p.bytes().all(|b| b.is_ascii_digit()));
        fits.then(|| parts.concat())
    };
    let date = digits(date, '-', [4, 2, 2]).ok_or_else(bad)?;
    let time = digits(time, ':', [2, 2, 2]).ok_or_else(bad)?;
    Ok(format!("{date}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_filters() {
        assert_eq!(moment("2026-11-22").unwrap(), "20261122T000000Z");
        assert_eq!(moment("2026-11-22T09:30:00Z").unwrap(), "20261122T093000Z");
        for bad in ["", "22.11.2026", "2026-11-22T09:30Z", "2026-1-2", "2026-11-22T09:30:00"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
        assert_eq!(Parameters::default().filter(), None);
        let asked = Parameters { since: Some(moment("2026-11-22").unwrap()), ..Parameters::default() };
        let filter = asked.filter().unwrap();
        assert!(filter.field.is_none());
        let record = filter.record.as_ref().and_then(|record| record.item.data.as_ref()?.as_bytes().cloned());
        assert_eq!(record.unwrap(), "received&GE;20261122T000000Z");
    }
}
