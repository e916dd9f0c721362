//! What kinds of objects there are, and what each datastore takes of them.

use syncml::{CtCap, CtType, Property};

/// A version of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// vCard 2.1, `text/x-vcard`.
    VCard21,
    /// vCard 3.0, `text/vcard`.
    VCard30,
    /// vCard 4.0, `text/vcard`.
    VCard40,
    /// vCalendar 1.0, `text/x-vcalendar`.
    VCalendar10,
    /// iCalendar 2.0, `text/calendar`.
    ICalendar20,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::VCard21 => "text/x-vcard",
            Format::VCard30 | Format::VCard40 => "text/vcard",
            Format::VCalendar10 => "text/x-vcalendar",
            Format::ICalendar20 => "text/calendar",
        }
    }

    /// Its `VERSION`.
    pub fn version(self) -> &'static str {
        match self {
            Format::VCard21 => "2.1",
            Format::VCard30 => "3.0",
            Format::VCard40 => "4.0",
            Format::VCalendar10 => "1.0",
            Format::ICalendar20 => "2.0",
        }
    }

    fn ct_type(self) -> CtType {
        CtType::new(self.media_type(), self.version())
    }

    /// What a DevInf says of it: the properties that people fill in.
    fn ct_cap(self) -> CtCap {
        let (object, names): (&str, &[&str]) = match self {
            Format::VCard21 | Format::VCard30 | Format::VCard40 => ("VCARD", &CARD),
            Format::VCalendar10 | Format::ICalendar20 => ("VCALENDAR", &CALENDAR),
        };
        let named = |name: &str, values: &[&str]| {
            let mut property = Property::default();
            property.prop_name = name.into();
            property.val_enum = values.iter().map(|&value| value.into()).collect();
            property
        };
        let frame = [("BEGIN", object), ("END", object), ("VERSION", self.version())];
        let mut cap = CtCap::default();
        cap.ct_type = self.ct_type();
        cap.properties = frame.iter().map(|(name, value)| named(name, &[value])).collect();
        cap.properties.extend(names.iter().map(|name| named(name, &[])));
        cap
    }
}

const CARD: [&str; 13] = [
    "N",
    "FN",
    "NICKNAME",
    "TEL",
    "EMAIL",
    "ADR",
    "ORG",
    "TITLE",
    "URL",
    "BDAY",
    "NOTE",
    "PHOTO",
    "CATEGORIES",
];
const CALENDAR: [&str; 14] = [
    "UID",
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "DTSTART",
    "DTEND",
    "DUE",
    "COMPLETED",
    "STATUS",
    "PRIORITY",
    "CLASS",
    "CATEGORIES",
    "RRULE",
    "AALARM",
];

/// A datastore of text objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// `./contacts`: people.
    Contacts,
    /// `./tasks`: things to do.
    Tasks,
    /// `./calendar`: events, and things to do for phones that keep both in one place.
    Calendar,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Contacts, Profile::Tasks, Profile::Calendar];

    /// The profile of a datastore, by its name or by an alias; letter case does not count.
    pub fn named(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| {
            profile.name().eq_ignore_ascii_case(name)
                || profile.aliases().iter().any(|alias| alias.eq_ignore_ascii_case(name))
        })
    }

    /// The profile whose objects are of this media type.
    pub fn of_type(media_type: &str) -> Option<Profile> {
        [Profile::Contacts, Profile::Calendar].into_iter().find(|profile| {
            profile.formats().iter().any(|format| format.media_type().eq_ignore_ascii_case(media_type))
        })
    }

    /// The datastore's name.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Contacts => "contacts",
            Profile::Tasks => "tasks",
            Profile::Calendar => "calendar",
        }
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Profile::Contacts => "Contacts",
            Profile::Tasks => "Tasks",
            Profile::Calendar => "Calendar",
        }
    }

    /// Other names that clients use for it.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Profile::Contacts => &["card", "con", "contact", "addressbook", "vcard"],
            Profile::Tasks => &["task", "todo", "vtodo"],
            Profile::Calendar => &["cal", "event", "events", "vcal"],
        }
    }

    /// What it takes, the preferred format first.
    pub fn formats(self) -> &'static [Format] {
        match self {
            Profile::Contacts => &[Format::VCard30, Format::VCard21, Format::VCard40],
            Profile::Tasks | Profile::Calendar => &[Format::ICalendar20, Format::VCalendar10],
        }
    }

    /// What a file of it is called after the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Profile::Contacts => "vcf",
            Profile::Tasks | Profile::Calendar => "ics",
        }
    }

    /// Whether an object of these components belongs here.
    pub(super) fn holds(self, outer: &str, inner: &[Box<str>]) -> bool {
        let only = |names: &[&str]| !inner.is_empty() && inner.iter().all(|name| names.contains(&&**name));
        match self {
            Profile::Contacts => outer == "VCARD",
            Profile::Tasks => outer == "VCALENDAR" && only(&["VTODO"]),
            Profile::Calendar => outer == "VCALENDAR" && only(&["VEVENT", "VTODO", "VJOURNAL"]),
        }
    }

    pub(super) fn types(self, only: Option<&str>) -> Vec<CtType> {
        self.wanted(only).map(Format::ct_type).collect()
    }

    pub(super) fn caps(self, only: Option<&str>) -> Vec<CtCap> {
        // One of each media type: a phone's message holds no more.
        let mut caps: Vec<CtCap> = Vec::new();
        for format in self.wanted(only) {
            if !caps.iter().any(|cap| *cap.ct_type.ct_type == *format.media_type()) {
                caps.push(format.ct_cap());
            }
        }
        caps
    }

    fn wanted(self, only: Option<&str>) -> impl Iterator<Item = Format> {
        let wanted = move |format: &Format| only.is_none_or(|only| only == format.media_type());
        self.formats().iter().copied().filter(wanted)
    }
}
