//! Mail parameters: what a device asks for, what is stored for it, and which of both counts.
//!
//! ```
//! use mailsync_proto::mail::params::{Parameters, Rule, Side, merge};
//! let mut device = Parameters::default();
//! let mut stored = Parameters::default();
//! (device.max_size, stored.max_size, stored.headers_only) = (Some(5_000), Some(20_000), Some(false));
//! let merged = merge(&device, &stored, Rule::ServerWins);
//! assert_eq!((merged.max_size.value, merged.max_size.of, merged.max_size.overruled), (Some(20_000), Side::Server, true));
//! assert_eq!(merged.headers_only.of, Side::Server);
//! assert_eq!(merged.forward.of, Side::Nobody);
//! ```
// mission: M9
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::cut::{PROPERTY, Wanted};
use super::forward::Way;
use core::fmt;
use syncml::Property;

/// Mail parameters of one side; none: that side says nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameters {
    /// Of each mail its header only.
    pub headers_only: Option<bool>,
    /// Attachments, too.
    pub attachments: Option<bool>,
    /// Only attachments of these types; an empty list: any.
    pub types: Option<Vec<Box<str>>>,
    /// Octets of a mail, at most.
    pub max_size: Option<u64>,
    /// Only mail of so many days.
    pub days: Option<u32>,
    /// How mail is forwarded where nobody says.
    pub forward: Option<Way>,
}

/// Who wins where both sides say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// What the device asks for.
    #[default]
    ClientWins,
    /// What is stored at the server.
    ServerWins,
}

impl Rule {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::ClientWins => "client-wins",
            Rule::ServerWins => "server-wins",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Rule> {
        [Rule::ClientWins, Rule::ServerWins].into_iter().find(|rule| rule.as_str() == word.trim())
    }
}

/// Which side a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The device's command.
    Client,
    /// What is stored.
    Server,
    /// Neither said anything.
    Nobody,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Server => "server",
            Side::Nobody => "default",
        })
    }
}

/// A value, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<T> {
    /// The value.
    pub value: T,
    /// Whose it is.
    pub of: Side,
    /// The other side had said something else.
    pub overruled: bool,
}

/// What counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// [`Parameters::headers_only`]; by default not.
    pub headers_only: Chosen<bool>,
    /// [`Parameters::attachments`]; by default, yes.
    pub attachments: Chosen<bool>,
    /// [`Parameters::types`]; by default any.
    pub types: Chosen<Vec<Box<str>>>,
    /// [`Parameters::max_size`]; by default any.
    pub max_size: Chosen<Option<u64>>,
    /// [`Parameters::days`]; by default all.
    pub days: Chosen<Option<u32>>,
    /// [`Parameters::forward`]; by default what the mail at hand allows.
    pub forward: Chosen<Option<Way>>,
}

/// Decides between what a device says and what is stored.
pub fn merge(client: &Parameters, server: &Parameters, rule: Rule) -> Merged {
    Merged {
        headers_only: choose(&client.headers_only, &server.headers_only, rule, || false),
        attachments: choose(&client.attachments, &server.attachments, rule, || true),
        types: choose(&client.types, &server.types, rule, Vec::new),
        max_size: choose(&client.max_size.map(Some), &server.max_size.map(Some), rule, || None),
        days: choose(&client.days.map(Some), &server.days.map(Some), rule, || None),
        forward: choose(&client.forward.map(Some), &server.forward.map(Some), rule, || None),
    }
}

fn choose<T: Clone + PartialEq>(
    client: &Option<T>,
    server: &Option<T>,
    rule: Rule,
    default: impl FnOnce() -> T,
) -> Chosen<T> {
    let (value, of, other) = match (client, server, rule) {
        (Some(value), other, Rule::ClientWins) | (Some(value), other @ None, Rule::ServerWins) => {
            (value, Side::Client, other)
        }
        (other, Some(value), _) => (value, Side::Server, other),
        (None, None, _) => return Chosen { value: default(), of: Side::Nobody, overruled: false },
    };
    let overruled = other.as_ref().is_some_and(|other| other != value);
    Chosen { value: value.clone(), of, overruled }
}

impl Parameters {
    /// What the field filter of a device says; nothing where it has none, or none that names the message.
    pub fn of_filter(fields: Option<&[Property]>) -> Self {
        let named = |field: &Property| field.prop_name.trim().eq_ignore_ascii_case(PROPERTY);
        let Some(fields) = fields.filter(|fields| fields.iter().any(named)) else {
            return Parameters::default();
        };
        let wanted = Wanted::of(fields);
        Parameters {
            headers_only: Some(!wanted.text),
            attachments: Some(wanted.attachments),
            types: (!wanted.types.is_empty()).then_some(wanted.types),
            max_size: wanted.max,
            ..Parameters::default()
        }
    }

    /// With what is more special over it.
    #[must_use]
    pub fn under(&self, special: &Parameters) -> Self {
        Parameters {
            headers_only: special.headers_only.or(self.headers_only),
            attachments: special.attachments.or(self.attachments),
            types: special.types.clone().or_else(|| self.types.clone()),
            max_size: special.max_size.or(self.max_size),
            days: special.days.or(self.days),
            forward: special.forward.or(self.forward),
        }
    }
}

impl Merged {
    /// What of a mail is wanted.
    pub fn wanted(&self) -> Wanted {
        if self.headers_only.value {
            return Wanted { max: self.max_size.value, ..Wanted::HEADER };
        }
        Wanted {
            text: true,
            attachments: self.attachments.value,
            types: if self.attachments.value { self.types.value.clone() } else { Vec::new() },
            max: self.max_size.value,
        }
    }

    /// The names of all, their values and whose they are, for people.
    pub fn told(&self) -> Vec<(&'static str, String, Side, bool)> {
        fn said<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
            value.map_or_else(|| "-".to_owned(), text)
        }
        fn row<T>(
            name: &'static str,
            chosen: &Chosen<T>,
            value: String,
        ) -> (&'static str, String, Side, bool) {
            (name, value, chosen.of, chosen.overruled)
        }
        let types = if self.types.value.is_empty() { "-".to_owned() } else { self.types.value.join(",") };
        vec![
            row("headers-only", &self.headers_only, self.headers_only.value.to_string()),
            row("attachments", &self.attachments, self.attachments.value.to_string()),
            row("types", &self.types, types),
            row("max-size", &self.max_size, said(self.max_size.value, |n| n.to_string())),
            row("days", &self.days, said(self.days.value, |n| n.to_string())),
            row("forward", &self.forward, said(self.forward.value, |way| way.as_str().to_owned())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: M9
    #[test]
    fn each_rule_and_each_silence() {
        let of = |max: Option<u64>| Parameters { max_size: max, ..Parameters::default() };
        let merged = |client, server, rule| merge(&of(client), &of(server), rule).max_size;
        for (client, server, rule, value, side, overruled) in [
            (Some(1), Some(2), Rule::ClientWins, Some(1), Side::Client, true),
            (Some(1), Some(2), Rule::ServerWins, Some(2), Side::Server, true),
            (Some(2), Some(2), Rule::ServerWins, Some(2), Side::Server, false),
            (Some(1), None, Rule::ServerWins, Some(1), Side::Client, false),
            (None, Some(2), Rule::ClientWins, Some(2), Side::Server, false),
            (None, None, Rule::ServerWins, None, Side::Nobody, false),
        ] {
            let chosen = merged(client, server, rule);
            assert_eq!(
                (chosen.value, chosen.of, chosen.overruled),
                (value, side, overruled),
                "{client:?} {server:?}"
            );
        }
    }

    #[test]
    fn a_filter_says_what_it_wants() {
        assert_eq!(Parameters::of_filter(None), Parameters::default());
        for wanted in [
            Wanted::HEADER,
            Wanted { max: Some(9), ..Wanted::WHOLE },
            Wanted { attachments: false, ..Wanted::WHOLE },
            Wanted { types: vec!["image/*".into()], ..Wanted::WHOLE },
        ] {
            let client = Parameters::of_filter(Some(&[wanted.to_property()]));
            assert_eq!(merge(&client, &Parameters::default(), Rule::ServerWins).wanted(), wanted);
        }
        assert_eq!(
            merge(&Parameters::default(), &Parameters::default(), Rule::ClientWins).wanted(),
            Wanted::WHOLE
        );
    }

    #[test]
    fn the_more_special_is_over_the_general() {
        let general = Parameters { max_size: Some(1), days: Some(30), ..Parameters::default() };
        let special = Parameters { max_size: Some(2), ..Parameters::default() };
        let both = general.under(&special);
        assert_eq!((both.max_size, both.days), (Some(2), Some(30)));
    }
}
