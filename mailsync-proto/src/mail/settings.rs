//! The settings object, and the datastore `./settings`: mail parameters that a server keeps for a user's devices.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::email::keep;
use super::error::{ObjectError, ObjectErrorKind};
use super::forward::Way;
use super::params::{Parameters, Rule};
use super::xml::{self, Pull};
use crate::sync::collection::{
    Absorbed, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described, match_key,
};
use crate::sync::store::{Cursor, ItemValue, PeerKey, Read, StoreKey, Value};
use crate::sync::turn::Missing;
use bytes::Bytes;
use std::collections::BTreeMap;
use syncml::{CtType, DataStore, StatusCode, Version};

/// The datastore's name.
pub const DATASTORE: &str = "settings";
/// Media type of the object.
pub const MEDIA_TYPE: &str = "application/vnd.mailsync.settings+xml";
/// `VerCT`, and `Version` in the object.
pub const VERSION: &str = "1.0";
/// Items that are looked at.
const ITEMS: u32 = 200;
const TYPES: usize = 64;

/// Mail parameters of a user's devices, or of one of them.
///
/// # Shape
/// `<Settings>` with `Version, Device?, Account?, Rule?, HeadersOnly?, Attachments?, Types?, MaxSize?, Days?, Forward?`; what is not
/// there is not set. Unknown elements survive.
/// # Errors
/// As [`Email`](super::Email); `Unsupported` for a later major version.
///
/// ```
/// use mailsync_proto::mail::settings::Settings;
/// let text = "<Settings><Version>1.0</Version><MaxSize>20000</MaxSize></Settings>";
/// let settings = Settings::parse(&text.into()).unwrap();
/// assert_eq!(settings.parameters.max_size, Some(20_000));
/// assert_eq!(settings.to_xml(), text);
/// ```
// mission: M9
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// For this device only, by its device id; none: for all.
    pub device: Option<Box<str>>,
    /// For mail of this account only, by its address; none: for all mail. What of a mail is wanted can be said of an account,
    /// not the rest.
    pub account: Option<Box<str>>,
    /// Who wins where a device asks for something else.
    pub rule: Option<Rule>,
    /// The parameters.
    pub parameters: Parameters,
    /// Unknown elements as they were written.
    pub unknown: Vec<Box<str>>,
}

impl Settings {
    /// Reads the object.
    pub fn parse(data: &Bytes) -> Result<Self, ObjectError> {
        let mut pull = Pull::open(data, "Settings")?;
        let mut settings = Settings::default();
        let (mut kept, mut seen) = (0usize, Vec::<String>::new());
        while let Some(child) = pull.child()? {
            let name = child.name.as_str();
            let known = [
                "Version",
                "Device",
                "Account",
                "Rule",
                "HeadersOnly",
                "Attachments",
                "Types",
                "MaxSize",
                "Days",
                "Forward",
            ];
            if !known.contains(&name) {
                let raw = pull.survivor(&child)?;
                keep(&pull, &mut kept, raw.len())?;
                settings.unknown.push(raw);
                continue;
            }
            if seen.iter().any(|seen| seen == name) {
                return Err(pull.malformed("an element twice"));
            }
            seen.push(name.to_owned());
            let word = pull.word()?;
            if word.len() > 4096 || word.chars().any(char::is_control) {
                return Err(pull.malformed("control characters, or too long"));
            }
            if name == "Version" {
                if word.split('.').next() != VERSION.split('.').next() {
                    let what = format!("version {} of settings", word.chars().take(20).collect::<String>());
                    return Err(pull.error(ObjectErrorKind::Unsupported(what.into())));
                }
            } else if settings.take(name, &word).is_none() {
                return Err(pull.malformed("a value that is none of its element"));
            }
        }
        pull.finish()?;
        Ok(settings)
    }

    fn take(&mut self, name: &str, word: &str) -> Option<()> {
        let to = &mut self.parameters;
        let word = word.trim();
        match name {
            "Device" => self.device = (!word.is_empty()).then(|| word.into()),
            "Account" => self.account = (!word.is_empty()).then(|| word.to_lowercase().into()),
            "Rule" => self.rule = Some(Rule::parse(word)?),
            "HeadersOnly" => to.headers_only = Some(word.parse().ok()?),
            "Attachments" => to.attachments = Some(word.parse().ok()?),
            "Types" => {
                let types = word.split(',').map(str::trim).filter(|t| !t.is_empty());
                to.types = Some(types.take(TYPES).map(Into::into).collect());
            }
            "MaxSize" => to.max_size = Some(word.parse().ok()?),
            "Days" => to.days = Some(word.parse().ok()?),
            _ => to.forward = Some(Way::parse(word)?),
        }
        Some(())
    }

    /// Sets one by the name that people use (`max-size`, `rule`, ...); no text takes it back.
    ///
    /// # Errors
    /// In words.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let bad = || format!("{text:?} is no value of {name}");
        let to = &mut self.parameters;
        let none = text.is_empty();
        match name {
            "rule" if none => self.rule = None,
            "headers-only" if none => to.headers_only = None,
            "attachments" if none => to.attachments = None,
            "types" if none => to.types = None,
            "max-size" if none => to.max_size = None,
            "days" if none => to.days = None,
            "forward" if none => to.forward = None,
            "rule" => self.take("Rule", text).ok_or_else(bad)?,
            "headers-only" => self.take("HeadersOnly", text).ok_or_else(bad)?,
            "attachments" => self.take("Attachments", text).ok_or_else(bad)?,
            "types" => self.take("Types", text).ok_or_else(bad)?,
            "max-size" => self.take("MaxSize", text).ok_or_else(bad)?,
            "days" => self.take("Days", text).ok_or_else(bad)?,
            "forward" => self.take("Forward", text).ok_or_else(bad)?,
            _ => {
                return Err(format!(
                    "{name:?} is no setting; there are rule, headers-only, attachments, types, max-size, days and forward"
                ));
            }
        }
        Ok(())
    }

    /// Writes the object.
    pub fn to_xml(&self) -> Bytes {
        let mut out = b"<Settings>".to_vec();
        let said = &self.parameters;
        xml::element(&mut out, "Version", VERSION);
        let mut element = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                xml::element(&mut out, name, &value);
            }
        };
        element("Device", self.device.as_ref().map(ToString::to_string));
        element("Account", self.account.as_ref().map(ToString::to_string));
        element("Rule", self.rule.map(|rule| rule.as_str().to_owned()));
        element("HeadersOnly", said.headers_only.map(|is| is.to_string()));
        element("Attachments", said.attachments.map(|are| are.to_string()));
        element("Types", said.types.as_ref().map(|types| types.join(",")));
        element("MaxSize", said.max_size.map(|octets| octets.to_string()));
        element("Days", said.days.map(|days| days.to_string()));
        element("Forward", said.forward.map(|way| way.as_str().to_owned()));
        for raw in &self.unknown {
            out.extend_from_slice(raw.as_bytes());
        }
        out.extend_from_slice(b"</Settings>");
        out.into()
    }

    /// What a user's settings say for a device: those for it alone are over those for all.
    pub fn of_device<'s>(all: impl IntoIterator<Item = &'s Settings>, device: &str) -> (Parameters, Rule) {
        let (mut general, mut special) = (Settings::default(), Settings::default());
        for settings in all.into_iter().filter(|settings| settings.account.is_none()) {
            let to = match settings.device.as_deref() {
                None => &mut general,
                Some(of) if of == device => &mut special,
                Some(_) => continue,
            };
            to.rule = settings.rule.or(to.rule);
            to.parameters = to.parameters.under(&settings.parameters);
        }
        (general.parameters.under(&special.parameters), special.rule.or(general.rule).unwrap_or_default())
    }

    /// What a user's settings say of single accounts for a device, by the accounts' addresses: it is over what they say of
    /// all mail.
    pub fn of_accounts<'s>(
        all: impl IntoIterator<Item = &'s Settings>,
        device: &str,
    ) -> Vec<(Box<str>, Parameters)> {
        let mut general: BTreeMap<Box<str>, Parameters> = BTreeMap::new();
        let mut special = BTreeMap::new();
        for settings in all {
            let Some(account) = &settings.account else { continue };
            let to: &mut BTreeMap<Box<str>, Parameters> = match settings.device.as_deref() {
                None => &mut general,
                Some(of) if of == device => &mut special,
                Some(_) => continue,
            };
            let known = to.entry(account.clone()).or_default();
            *known = known.under(&settings.parameters);
        }
        for (account, parameters) in special {
            let known = general.entry(account).or_default();
            *known = known.under(&parameters);
        }
        general.into_iter().collect()
    }
}

/// What is stored for a device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Of all mail.
    pub(super) parameters: Parameters,
    /// Who wins.
    pub(super) rule: Rule,
    /// Of single accounts, over that.
    pub(super) accounts: Vec<(Box<str>, Parameters)>,
}

/// The settings that a user's device is to be served by.
pub(super) fn stored(cx: &mut Context<'_, '_>, device: &str) -> Result<Stored, Missing> {
    let store = StoreKey { user: cx.user.into(), datastore: DATASTORE.into() };
    // Of what is not deleted; what a device holds of it does not matter.
    let peer = PeerKey { store, device: "".into() };
    let Value::Rows(rows) = cx.read(Read::Live(peer, 0, Cursor::default(), ITEMS))? else {
        return Ok(Default::default());
    };
    let all: Vec<Settings> =
        rows.iter().filter_map(|row| Settings::parse(&row.item.value.fields).ok()).collect();
    let (parameters, rule) = Settings::of_device(&all, device);
    Ok(Stored { parameters, rule, accounts: Settings::of_accounts(&all, device) })
}

/// A user's settings. The object is kept in the item's `fields`, so that it is read with its row.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsCollection;

/// Settings as an item.
pub fn settings_value(settings: &Settings) -> ItemValue {
    let device = settings.device.as_deref().unwrap_or_default().as_bytes();
    let parts = [&b"settings"[..], device];
    let key = match settings.account.as_deref() {
        None => match_key(&parts),
        Some(account) => match_key(&[&parts[..], &[account.as_bytes()]].concat()),
    };
    ItemValue {
        rank: 0,
        parent: None,
        kind: MEDIA_TYPE.into(),
        fields: settings.to_xml(),
        match_keys: vec![key],
    }
}

impl Collection for SettingsCollection {
    fn devinf(&self, source_ref: &str, _version: Version) -> DataStore {
        described(source_ref, "Settings", &[CtType::new(MEDIA_TYPE, VERSION)])
    }

    fn needs_body(&self, _projection: &Projection<'_>) -> bool {
        false
    }

    fn project(&self, projection: &Projection<'_>, _body: Option<&Bytes>) -> Result<Wire, Refusal> {
        Ok(Wire { media_type: MEDIA_TYPE.into(), data: projection.item.value.fields.clone() })
    }

    fn absorb(&self, _cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        if !["", MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, "no settings".into()));
        }
        Ok(Absorbed::new(settings_value(&Settings::parse(incoming.data)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_settings_1_0_and_unknown_survives() {
        let text = include_bytes!("../../tests/golden/settings.xml");
        let settings = Settings::parse(&Bytes::from_static(text)).unwrap();
        assert_eq!(settings.device.as_deref(), Some("phone-1"));
        assert_eq!(settings.rule, Some(Rule::ServerWins));
        assert_eq!(settings.parameters.types.as_deref(), Some(&["image/*".into(), "text/plain".into()][..]));
        assert_eq!(settings.parameters.forward, Some(Way::ByNumber));
        assert_eq!(settings.to_xml().trim_ascii_end(), text.trim_ascii_end());
        assert_eq!(&*settings.unknown[0], "<Quiet from=\"22:00\"><To>07:00</To></Quiet>");
        assert_eq!(Settings::parse(&settings.to_xml()).unwrap(), settings);
    }

    // mission: M9
    #[test]
    fn golden_settings_of_an_account_are_over_those_of_all_mail() {
        let text = include_bytes!("../../tests/golden/settings-account.xml");
        let of = Settings::parse(&Bytes::from_static(text)).unwrap();
        assert_eq!(
            (of.account.as_deref(), of.parameters.headers_only),
            (Some("bob@example.org"), Some(true))
        );
        assert_eq!(of.to_xml().trim_ascii_end(), text.trim_ascii_end());
        let all = Settings::parse(&"<Settings><MaxSize>9</MaxSize></Settings>".into()).unwrap();
        assert_eq!(Settings::of_device([&all, &of], "x").0.headers_only, None);
        let own = Settings::parse(
            &"<Settings><Device>x</Device><Account>Bob@example.org</Account><MaxSize>7</MaxSize></Settings>"
                .into(),
        )
        .unwrap();
        let found = Settings::of_accounts([&own, &all, &of], "x");
        assert_eq!((found.len(), &*found[0].0), (1, "bob@example.org"));
        assert_eq!((found[0].1.headers_only, found[0].1.max_size), (Some(true), Some(7)));
        assert_eq!(Settings::of_accounts([&own, &all, &of], "y")[0].1.max_size, None);
        assert_ne!(settings_value(&own).match_keys, settings_value(&all).match_keys);
    }

    #[test]
    fn bad_settings_are_refused() {
        for (inner, what) in [
            ("<Version>2.0</Version>", "version 2.0"),
            ("<MaxSize>many</MaxSize>", "no"),
            ("<HeadersOnly>1</HeadersOnly>", "none of its element"),
            ("<Rule>both</Rule>", "none of its element"),
            ("<Forward>away</Forward>", "none of its element"),
            ("<Days>1</Days><Days>2</Days>", "twice"),
            ("<Device>a&#10;b</Device>", "control"),
        ] {
            let error = Settings::parse(&Bytes::from(format!("<Settings>{inner}</Settings>"))).unwrap_err();
            assert!(error.to_string().contains(what), "{inner}: {error}");
        }
        let mut settings = Settings::default();
        assert!(settings.set("colour", "red").unwrap_err().contains("no setting"));
        assert!(settings.set("days", "soon").unwrap_err().contains("no value of days"));
    }

    // mission: M9
    #[test]
    fn set_and_taken_back_and_of_one_device() {
        let mut all = Settings::default();
        for (name, text) in
            [("max-size", "20000"), ("rule", "server-wins"), ("forward", "by-number"), ("days", "30")]
        {
            all.set(name, text).unwrap();
        }
        all.set("days", "").unwrap();
        let mut one = Settings { device: Some("phone-1".into()), ..Settings::default() };
        one.set("headers-only", "true").unwrap();
        one.set("max-size", "5000").unwrap();
        let other = Settings { device: Some("phone-2".into()), ..one.clone() };
        let (parameters, rule) = Settings::of_device([&one, &all, &other], "phone-1");
        assert_eq!(
            (parameters.max_size, parameters.headers_only, parameters.days),
            (Some(5000), Some(true), None)
        );
        assert_eq!((rule, parameters.forward), (Rule::ServerWins, Some(Way::ByNumber)));
        let (parameters, _) = Settings::of_device([&one, &all], "phone-3");
        assert_eq!((parameters.max_size, parameters.headers_only), (Some(20_000), None));
        assert_eq!(Settings::of_device([], "phone-3"), (Parameters::default(), Rule::ClientWins));
    }
}
