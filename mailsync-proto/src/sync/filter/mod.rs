//! Filters: which items a peer wants to hold, or to get now, and what of them.

pub mod cgi;
pub mod legacy;

use self::cgi::{Expr, LUID, Op, PARENT};
use super::collection::{Collection, match_key};
use super::store::{Item, MatchKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use syncml::{Data, Property, StatusCode};

/// The grammar of record filters that we know.
pub const GRAMMAR: &str = "syncml:filtertype-cgi";

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The datastore has no filters, or not this kind.
    #[error("filters of {0} are not supported")]
    Unsupported(Box<str>),
    /// It is for a media type that the datastore does not have.
    #[error("{0:?} is no type of the datastore")]
    Type(Box<str>),
    /// It is no expression.
    #[error("{why}, at octet {at}")]
    Grammar {
        /// Where.
        at: usize,
        /// What.
        why: &'static str,
    },
    /// It names a property that the datastore does not know.
    #[error("{0:?} is no property of the datastore")]
    Property(Box<str>),
    /// It is written in an unknown grammar, or its kind is neither INCLUSIVE nor EXCLUSIVE.
    #[error("{0:?} is neither a grammar nor a kind of filter")]
    Unknown(Box<str>),
    /// More than is looked at.
    #[error("{value} {what}, the limit is {limit}")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// How many.
        value: usize,
    },
}

impl FilterError {
    /// The status for it.
    // spec: session facts section 6, errors
    pub fn status(&self) -> StatusCode {
        match self {
            FilterError::Unsupported(_) => StatusCode::NOT_SUPPORTED,
            FilterError::Type(_) => StatusCode::UNSUPPORTED_TYPE,
            _ => StatusCode::BAD_FILTER,
        }
    }
}

/// A filter of one datastore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Which items; none: all.
    pub record: Option<Expr>,
    /// What of them; none: everything.
    pub fields: Option<Vec<Property>>,
    /// The items that fit are sent now, others stay as they are. Otherwise the peer wants to hold what fits, and
    /// nothing else.
    pub inclusive: bool,
}

/// Properties of a field filter, at most.
const MAX_FIELDS: usize = 64;

impl Filter {
    /// Reads a filter of an Alert.
    ///
    /// # Errors
    /// [`FilterError`]; its [`status`](FilterError::status) goes to the peer.
    // spec: session facts section 6
    pub fn parse(filter: &syncml::Filter, collection: &dyn Collection) -> Result<Self, FilterError> {
        let media_type = filter.meta.as_ref().and_then(|meta| meta.type_.as_deref()).unwrap_or_default();
        if !media_type.is_empty() && !collection.has_type(media_type) {
            return Err(FilterError::Type(short(media_type)));
        }
        let inclusive = match filter.filter_type.as_deref().map(str::trim) {
            None | Some("") => false,
            Some(kind) if kind.eq_ignore_ascii_case("EXCLUSIVE") => false,
            Some(kind) if kind.eq_ignore_ascii_case("INCLUSIVE") => true,
            Some(other) => return Err(FilterError::Unknown(short(other))),
        };
        let record = match &filter.record {
            None => None,
            Some(record) => {
                let grammar = record.item.meta.as_ref().and_then(|meta| meta.type_.as_deref());
                if let Some(other) = grammar.filter(|grammar| !grammar.trim().eq_ignore_ascii_case(GRAMMAR)) {
                    return Err(FilterError::Unknown(short(other)));
                }
                let text =
                    record.item.data.as_ref().and_then(Data::as_bytes).map(|data| std::str::from_utf8(data));
                match text {
                    None => None,
                    Some(Ok(text)) if text.trim().is_empty() => None,
                    Some(Ok(text)) => Some(Expr::parse(text.trim())?),
                    Some(Err(_)) => return Err(FilterError::Grammar { at: 0, why: "it is no text" }),
                }
            }
        };
        let fields = match filter.field.as_ref().and_then(|field| field.item.data.as_ref()) {
            None => None,
            Some(Data::Properties(list)) if list.len() <= MAX_FIELDS => Some(list.clone()),
            Some(Data::Properties(list)) => {
                return Err(FilterError::TooLong { what: "fields", limit: MAX_FIELDS, value: list.len() });
            }
            Some(_) => return Err(FilterError::Grammar { at: 0, why: "a field filter lists properties" }),
        };
        Filter { record, fields, inclusive }.checked(collection)
    }

    /// Reads the options behind a datastore's URI; none when they filter nothing.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn legacy(part: &str, now: u64, collection: &dyn Collection) -> Result<Option<Self>, FilterError> {
        let options = legacy::Options::parse(part)?;
        let fields = collection.fields_of(&options);
        let record = options.expr(now);
        if record.is_none() && fields.is_none() {
            return Ok(None);
        }
        Filter { record, fields, inclusive: false }.checked(collection).map(Some)
    }

    /// Refuses what the collection cannot filter by.
    ///
    /// # Errors
    /// [`FilterError::Unsupported`], [`FilterError::Property`].
    pub(crate) fn checked(self, collection: &dyn Collection) -> Result<Self, FilterError> {
        for term in self.record.iter().flat_map(Expr::terms) {
            let (name, _) = meant(&term.name, term.op);
            if *name == *PARENT {
                return Err(FilterError::Property(short(&term.name)));
            }
            if *name != *LUID && !collection.has_property(name) {
                let known = collection.has_property("modified");
                return Err(if known {
                    FilterError::Property(short(&term.name))
                } else {
                    FilterError::Unsupported("records".into())
                });
            }
        }
        if let Some(fields) = &self.fields
            && !collection.takes_fields(fields)
        {
            return Err(FilterError::Unsupported("fields".into()));
        }
        Ok(self)
    }

    /// A digest by which a changed filter is known.
    pub fn digest(&self) -> MatchKey {
        match_key(&[b"filter", &postcard::to_stdvec(self).unwrap_or_default()])
    }

    /// Whether only the state of what the peer holds is wanted: nothing new goes, and no body.
    // mission: M5
    pub fn is_state(&self, collection: &dyn Collection) -> bool {
        self.fields.as_deref().is_some_and(|fields| collection.is_state(fields))
    }

    /// Whether it says what a sync is about, and not what the peer wants to hold: what does not fit stays as it is there, and
    /// waits for another sync.
    // mission: M8b
    pub fn is_scope(&self) -> bool {
        self.record.iter().flat_map(Expr::terms).any(|term| *term.name == *PARENT)
    }

    /// Whether the body is needed to tell who fits.
    pub fn needs_body(&self, collection: &dyn Collection) -> bool {
        let mut terms = self.record.iter().flat_map(Expr::terms);
        terms.any(|term| {
            let name = meant(&term.name, term.op).0;
            ![LUID, PARENT].contains(&name) && collection.property_needs_body(name)
        })
    }

    /// Whether an item fits; `luid` is its id at the peer.
    pub fn fits(
        &self,
        collection: &dyn Collection,
        item: &Item,
        body: Option<&Bytes>,
        luid: Option<&str>,
    ) -> bool {
        let Some(record) = &self.record else { return true };
        if !collection.is_filtered(&item.value) {
            return !self.inclusive;
        }
        record.matches_as(meant, |name| match name {
            LUID => luid.map(str::to_owned).into_iter().collect(),
            PARENT => item.value.parent.iter().map(ToString::to_string).collect(),
            name => collection.property(item, body, name),
        })
    }
}

/// `SINCE` and `BEFORE` are bounds of the time of the last change.
// spec: session facts section 6: written SINCE&EQ;...
fn meant(name: &str, op: Op) -> (&str, Op) {
    if name.eq_ignore_ascii_case("SINCE") {
        ("modified", Op::GreaterOrEqual)
    } else if name.eq_ignore_ascii_case("BEFORE") {
        ("modified", Op::Less)
    } else {
        (name, op)
    }
}

fn short(text: &str) -> Box<str> {
    text.chars().take(80).collect::<String>().into()
}

/// A time as filters write it: `YYYYMMDDThhmmssZ`.
pub(crate) fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in years that end with February.
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_year = |n: i64| n - n / 1_460 + n / 36_524 - n / 146_096;
    let year = of_year(of_era) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year.saturating_add(era.saturating_mul(400)).saturating_add(turn);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_000_000_000, "20010909T014640Z"),
            (-1, "19691231T235959Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
