//! How known devices depart from the specifications, and what a server does about it.

use serde::{Deserialize, Serialize};
use syncml::DevInf;

/// What a server does otherwise for one kind of device; every field is one behaviour that was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceQuirks {
    /// Our DevInf names its datastores with the very text that the device asked for, `?` part and all.
    ///
    /// Source: newer Nokia phones want `SourceRef` equal to the Alert's Target, character for character (facts §5.3).
    pub devinf_path_as_asked: bool,
    /// Our DevInf leaves out the capabilities of content types.
    ///
    /// Source: phones with a `MaxMsgSize` of 2,700 (Sony Ericsson K700i, Z600): it must fit into one message.
    pub devinf_without_caps: bool,
}

/// A kind of device.
struct Row {
    name: &'static str,
    /// How the manufacturer begins, in lower case.
    man: &'static str,
    /// How the model begins, in lower case; empty is any.
    model: &'static str,
    quirks: DeviceQuirks,
}

const NONE: DeviceQuirks = DeviceQuirks { devinf_path_as_asked: false, devinf_without_caps: false };

// spec: SyncML facts §3, §5.1, §5.2; session facts §5
const ROWS: [Row; 4] = [
    Row {
        name: "nokia",
        man: "nokia",
        model: "",
        quirks: DeviceQuirks { devinf_path_as_asked: true, ..NONE },
    },
    Row {
        name: "sony-ericsson",
        man: "sony",
        model: "",
        quirks: DeviceQuirks { devinf_without_caps: true, ..NONE },
    },
    Row { name: "funambol", man: "funambol", model: "", quirks: NONE },
    Row { name: "synthesis", man: "synthesis", model: "", quirks: NONE },
];

impl DeviceQuirks {
    /// For whoever takes only small messages.
    pub(crate) const SMALL: DeviceQuirks = DeviceQuirks { devinf_without_caps: true, ..NONE };

    /// What is known of a device by what it says of itself: the name of its row and what to do.
    pub fn of(devinf: &DevInf) -> (&'static str, DeviceQuirks) {
        let lower = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().trim().to_lowercase();
        let (man, model) = (lower(&devinf.man), lower(&devinf.model));
        let row = ROWS.iter().find(|row| man.starts_with(row.man) && model.starts_with(row.model));
        row.map_or(("", NONE), |row| (row.name, row.quirks))
    }

    /// The row of this name, for a configuration.
    pub fn named(name: &str) -> Option<DeviceQuirks> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.quirks)
    }

    /// The names of all rows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ROWS.iter().map(|row| row.name)
    }

    /// Changes our DevInf as the device needs it. `asked`: datastores of ours, with the paths that the device used.
    pub fn adapt(self, devinf: &mut DevInf, asked: &[(&str, &str)]) {
        if self.devinf_path_as_asked {
            for store in &mut devinf.data_stores {
                let name = store.source_ref.trim_start_matches("./").to_owned();
                if let Some((_, path)) = asked.iter().find(|(known, _)| *known == name) {
                    store.source_ref = (*path).into();
                }
            }
        }
        if self.devinf_without_caps {
            devinf.ct_caps.clear();
            devinf.data_stores.iter_mut().for_each(|store| store.ct_caps.clear());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncml::{CtCap, DataStore, Version};

    fn devinf(man: &str, model: &str) -> DevInf {
        let mut devinf = DevInf::new(Version::V1_2, "IMEI:1", "phone");
        devinf.man = Some(man.into());
        devinf.model = Some(model.into());
        let mut store = DataStore::default();
        store.source_ref = "./contacts".into();
        store.ct_caps.push(CtCap::default());
        devinf.data_stores.push(store);
        devinf
    }

    #[test]
    fn devices_are_known_by_what_they_say() {
        assert_eq!(DeviceQuirks::of(&devinf("NOKIA", "E70")).0, "nokia");
        assert_eq!(DeviceQuirks::of(&devinf("Sony Ericsson", "K700i")).0, "sony-ericsson");
        assert_eq!(DeviceQuirks::of(&devinf("", "")), ("", NONE));
        for name in DeviceQuirks::names() {
            assert_eq!(
                DeviceQuirks::named(name),
                Some(DeviceQuirks::of(&devinf(name.split('-').next().unwrap(), "")).1)
            );
        }
        assert_eq!(DeviceQuirks::named("siemens"), None);
    }

    #[test]
    fn a_nokia_finds_the_path_it_used() {
        let mut ours = devinf("mailsync", "");
        let quirks = DeviceQuirks::named("nokia").unwrap();
        quirks.adapt(&mut ours, &[("contacts", "Contacts?x=1"), ("notes", "note")]);
        assert_eq!(&*ours.data_stores[0].source_ref, "Contacts?x=1");
        assert_eq!(ours.data_stores[0].ct_caps.len(), 1);
        DeviceQuirks::named("sony-ericsson").unwrap().adapt(&mut ours, &[]);
        assert_eq!(ours.data_stores[0].ct_caps.len(), 0);
    }
}
