//! A user's terminal as the server knows it: who, how to reach it, what it last said.

use crate::error::Implausible;
use crate::evidence::{Evidence, Reading};
use crate::location::name_rule;
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Key of everything about a terminal: 1 to 64 octets, no control characters (the SyncML device id, as a rule).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TerminalId(Box<str>);

impl TerminalId {
    /// # Errors
    /// [`Implausible`] if it is empty, longer than 64 octets or holds a control character.
    pub fn new(id: impl Into<String>) -> Result<TerminalId, Implausible> {
        let id = id.into();
        name_rule("terminal id", &id)?;
        Ok(TerminalId(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TerminalId {
    type Error = Implausible;
    fn try_from(s: String) -> Result<TerminalId, Implausible> {
        TerminalId::new(s)
    }
}

impl From<TerminalId> for String {
    fn from(id: TerminalId) -> String {
        id.0.into()
    }
}

impl fmt::Debug for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A terminal, its routes and the newest evidence of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Terminal {
    /// Its id.
    pub id: TerminalId,
    /// What it is.
    pub kind: TerminalKind,
    /// Whether it may be pushed to.
    #[serde(default)]
    pub standing: Standing,
    /// How it can be reached, in any order.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What it reported, in any order; older evidence of a kind is ignored.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

impl Terminal {
    /// A registered terminal without routes or reports.
    #[must_use]
    pub const fn new(id: TerminalId, kind: TerminalKind) -> Terminal {
        Terminal { id, kind, standing: Standing::Active, routes: Vec::new(), evidence: Vec::new() }
    }

    /// Radius of its coordinates in metres; 0 without.
    pub(crate) fn radius_m(&self) -> u32 {
        let radius = |e: &Evidence| match e.reading {
            Reading::Location(c) => Some(c.radius_m()),
            _ => None,
        };
        self.evidence.iter().find_map(radius).unwrap_or(0)
    }
}

/// What a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TerminalKind {
    /// Phone.
    Phone,
    /// Laptop.
    Laptop,
    /// Desktop.
    Desktop,
    /// Tablet.
    Tablet,
    /// Watch.
    Watch,
    /// Anything else.
    Other,
}

impl TerminalKind {
    /// All of them.
    pub const ALL: [TerminalKind; 6] = [
        TerminalKind::Phone,
        TerminalKind::Laptop,
        TerminalKind::Desktop,
        TerminalKind::Tablet,
        TerminalKind::Watch,
        TerminalKind::Other,
    ];

    /// The name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TerminalKind::Phone => "phone",
            TerminalKind::Laptop => "laptop",
            TerminalKind::Desktop => "desktop",
            TerminalKind::Tablet => "tablet",
            TerminalKind::Watch => "watch",
            TerminalKind::Other => "other",
        }
    }

    /// What a device is by the `DevTyp` of its DevInf.
    ///
    /// ```
    /// use pushpolicy::TerminalKind;
    /// assert_eq!(TerminalKind::of_dev_typ("smartphone"), TerminalKind::Phone);
    /// assert_eq!(TerminalKind::of_dev_typ("plotter"), TerminalKind::Other);
    /// ```
    // spec: SyncML DevInf, DevTyp (pager, handheld, pda, phone, smartphone, server, workstation)
    #[must_use]
    pub fn of_dev_typ(text: &str) -> TerminalKind {
        match text.trim().to_ascii_lowercase().as_str() {
            "phone" | "smartphone" | "pager" => TerminalKind::Phone,
            "workstation" => TerminalKind::Desktop,
            _ => TerminalKind::Other,
        }
    }

    /// Which has this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<TerminalKind> {
        TerminalKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Whether a terminal may be pushed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// Registered and allowed.
    #[default]
    Active,
    /// Its user wants silence there, until then or until further notice. Its reports still count.
    Muted {
        /// End of the silence.
        #[serde(default)]
        until: Option<Millis>,
    },
    /// Registered, but its owner or the operator forbids pushing to it. Its reports do not count.
    Blocked,
    /// Revoked or never registered: lost, stolen, sold. Its reports do not count.
    Unregistered,
}

/// One way to reach a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Route {
    /// By what.
    pub bearer: Bearer,
    /// Number, IP address, URL or SIP address, at most 512 octets: goes into the push instruction unread.
    // mission: P4 (the instruction names the terminal's address)
    pub address: String,
    /// What state the terminal must be in.
    #[serde(default)]
    pub power: RoutePower,
    /// Whether the bearer works as far as is known.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub up: bool,
    /// What a push costs, in any unit; the cheapest usable route is taken.
    #[serde(default)]
    pub cost: u16,
}

const fn yes() -> bool {
    true
}

impl Route {
    /// A free route that works while the terminal is on.
    #[must_use]
    pub fn new(bearer: Bearer, address: impl Into<String>) -> Route {
        Route { bearer, address: address.into(), power: RoutePower::On, up: true, cost: 0 }
    }

    /// The same route for a terminal in another state.
    #[must_use]
    pub fn needs(mut self, power: RoutePower) -> Route {
        self.power = power;
        self
    }

    /// The same route at a cost.
    #[must_use]
    pub fn at_cost(mut self, cost: u16) -> Route {
        self.cost = cost;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Implausible> {
        if self.address.len() > 512 || self.address.chars().any(char::is_control) {
            return Err(Implausible::new(
                "address",
                &self.address,
                "at most 512 octets, no control characters",
            ));
        }
        Ok(())
    }
}

/// `BEARER ADDRESS [power=on|any|wake] [cost=N]`, as a terminal says it of itself.
///
/// ```
/// use pushpolicy::{Bearer, Route};
/// let route: Route = "wap_push +8613800138000 power=any cost=5".parse()?;
/// assert_eq!((route.bearer, &*route.address, route.cost), (Bearer::WapPush, "+8613800138000", 5));
/// assert_eq!(route.to_string(), "wap_push +8613800138000 power=any cost=5");
/// # Ok::<(), pushpolicy::error::Implausible>(())
/// ```
impl std::str::FromStr for Route {
    type Err = Implausible;

    fn from_str(text: &str) -> Result<Route, Implausible> {
        let bad =
            || Implausible::new("route", text.escape_debug(), "BEARER ADDRESS [power=on|any|wake] [cost=N]");
        let mut words = text.split(' ');
        let bearer = words.next().and_then(Bearer::parse).ok_or_else(bad)?;
        let address = words.next().filter(|address| !address.is_empty()).ok_or_else(bad)?;
        let mut route = Route::new(bearer, address);
        for word in words {
            match word.split_once('=') {
                Some(("power", "on")) => route.power = RoutePower::On,
                Some(("power", "any")) => route.power = RoutePower::Any,
                Some(("power", "wake")) => route.power = RoutePower::Wake,
                Some(("cost", cost)) => route.cost = cost.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        route.check()?;
        Ok(route)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bearer.as_str(), self.address)?;
        match self.power {
            RoutePower::On => {}
            RoutePower::Any => f.write_str(" power=any")?,
            RoutePower::Wake => f.write_str(" power=wake")?,
        }
        if self.cost > 0 { write!(f, " cost={}", self.cost) } else { Ok(()) }
    }
}

/// In what state of the terminal a route works.
// mission: P6
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoutePower {
    /// While it runs, or as long as nobody said that it does not.
    #[default]
    On,
    /// Always: a phone, or an own-powered radio card in a machine that is off.
    Any,
    /// While it runs; asleep or off, after a magic packet.
    Wake,
}

/// What carries a push.
// mission: P6
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bearer {
    /// Long-lived connection that the terminal holds.
    Channel,
    /// UDP datagram.
    Udp,
    /// HTTP callback.
    Http,
    /// Web Push.
    WebPush,
    /// SIP MESSAGE.
    SipMessage,
    /// WAP push in binary SMS, by SMPP.
    WapPush,
    /// WAP push by a push proxy gateway.
    Pap,
    /// Multimedia message, by MM7.
    Mms,
    /// A call that is never answered, as a signal.
    PhonePush,
}

impl Bearer {
    /// All of them.
    pub const ALL: [Bearer; 9] = [
        Bearer::Channel,
        Bearer::Udp,
        Bearer::Http,
        Bearer::WebPush,
        Bearer::SipMessage,
        Bearer::WapPush,
        Bearer::Pap,
        Bearer::Mms,
        Bearer::PhonePush,
    ];

    /// Which has this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Bearer> {
        Bearer::ALL.into_iter().find(|bearer| bearer.as_str() == name)
    }

    /// The name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Bearer::Channel => "channel",
            Bearer::Udp => "udp",
            Bearer::Http => "http",
            Bearer::WebPush => "web_push",
            Bearer::SipMessage => "sip_message",
            Bearer::WapPush => "wap_push",
            Bearer::Pap => "pap",
            Bearer::Mms => "mms",
            Bearer::PhonePush => "phone_push",
        }
    }

    /// Whether it costs somebody a short message or a call: these are counted and capped.
    #[must_use]
    pub const fn is_sms_like(self) -> bool {
        matches!(self, Bearer::WapPush | Bearer::Pap | Bearer::Mms | Bearer::PhonePush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_printable() {
        assert!(TerminalId::new("IMEI:004999010640000").is_ok());
        for bad in ["", "a\nb", &"x".repeat(65)] {
            assert!(TerminalId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_in_json_and_in_code_agree() {
        for b in [Bearer::Channel, Bearer::WebPush, Bearer::SipMessage, Bearer::PhonePush, Bearer::Mms] {
            assert_eq!(serde_json::to_string(&b).unwrap(), format!("{:?}", b.as_str()));
        }
    }
}
