//! Who may send how much to where: denied unless allowed, so that nobody's money is spent by a stranger.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::number::Msisdn;
use std::collections::BTreeMap;

/// Why a short message may not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// No route leads there.
    #[error("no route to this number")]
    NoRoute,
    /// The operator forbids these numbers.
    #[error("numbers of +{0} are blocked")]
    Blocked(String),
    /// The sender has used up the day.
    #[error("more than {0} parts a day")]
    Sender(u32),
    /// All senders together have used up the day.
    #[error("more than {limit} parts a day to +{prefix}")]
    Prefix {
        /// Of the numbers.
        prefix: String,
        /// Parts a day.
        limit: u32,
    },
    /// The same sender writes to one number after the other.
    #[error("more than {0} consecutive numbers in a row")]
    Sequence(u32),
}

impl Denied {
    /// True if tomorrow it may go.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Denied::Sender(_) | Denied::Prefix { .. })
    }
}

/// Which prefix leads where; the longest that fits counts, and none is no route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    routes: BTreeMap<String, String>,
    blocked: Vec<String>,
}

impl Routes {
    /// Numbers that begin with `prefix` (digits, `+` before them or not) go to `target`.
    pub fn add(&mut self, prefix: &str, target: impl Into<String>) {
        self.routes.insert(digits(prefix), target.into());
    }

    /// Numbers that begin with `prefix` go nowhere, whatever the routes say.
    pub fn block(&mut self, prefix: &str) {
        self.blocked.push(digits(prefix));
    }

    /// Where a number goes.
    ///
    /// # Errors
    /// [`Denied::NoRoute`], [`Denied::Blocked`].
    pub fn target(&self, number: &Msisdn) -> Result<&str, Denied> {
        if let Some(prefix) = self.blocked.iter().find(|prefix| number.digits().starts_with(prefix.as_str()))
        {
            return Err(Denied::Blocked(prefix.clone()));
        }
        let fits = |(prefix, _): &(&String, &String)| number.digits().starts_with(prefix.as_str());
        let longest = self.routes.iter().filter(fits).max_by_key(|(prefix, _)| prefix.len());
        longest.map(|(_, target)| target.as_str()).ok_or(Denied::NoRoute)
    }
}

fn digits(prefix: &str) -> String {
    prefix.chars().filter(char::is_ascii_digit).collect()
}

/// What may be sent in a day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TollLimits {
    /// Parts of one sender.
    pub sender: u32,
    /// Parts of all senders by prefix of the number.
    pub prefixes: Vec<(String, u32)>,
    /// Messages of one sender to one number after the other: who pumps traffic goes through ranges.
    pub sequence: u32,
    /// Senders remembered; when full, all are forgotten but those that are over their limit.
    pub senders: usize,
}

impl Default for TollLimits {
    fn default() -> Self {
        TollLimits { sender: 200, prefixes: Vec::new(), sequence: 20, senders: 100_000 }
    }
}

/// What was counted: a host that keeps it can [`restore`](Toll::restore) the counters after a restart, which would else
/// give everybody a new day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// Days since 1970 (UTC).
    pub day: u64,
    /// Whose parts.
    pub sender: String,
    /// The limited prefix that they went to, its digits.
    pub prefix: Option<String>,
    /// How many.
    pub parts: u32,
}

impl Charge {
    /// Parts of a sender, or of all senders to a prefix when there is no sender, on that day.
    pub fn kept(day: u64, sender: String, prefix: Option<String>, parts: u32) -> Self {
        Charge { day, sender, prefix, parts }
    }
}

/// Counts what was sent today.
#[derive(Debug)]
pub struct Toll {
    limits: TollLimits,
    day: u64,
    senders: BTreeMap<String, Sender>,
    prefixes: BTreeMap<String, u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    parts: u32,
    last: u64,
    run: u32,
}

impl Toll {
    /// Nothing sent yet.
    pub fn new(limits: TollLimits) -> Self {
        Toll { limits, day: 0, senders: BTreeMap::new(), prefixes: BTreeMap::new() }
    }

    /// Counts `parts` of this sender to this number at `now` (seconds since 1970), or says why they may not go.
    ///
    /// # Errors
    /// [`Denied`]; nothing was counted. A `limit` of the sender's own beats the general one.
    pub fn charge(
        &mut self,
        now: u64,
        sender: &str,
        limit: Option<u32>,
        number: &Msisdn,
        parts: u32,
    ) -> Result<Charge, Denied> {
        self.begin(now / 86_400);
        let most = limit.unwrap_or(self.limits.sender);
        let known = self.senders.get(sender).copied().unwrap_or_default();
        let total = known.parts.saturating_add(parts);
        if total > most {
            return Err(Denied::Sender(most));
        }
        let place: u64 = number.digits().parse().unwrap_or(0);
        let run = if place == known.last.saturating_add(1) { known.run.saturating_add(1) } else { 0 };
        if run >= self.limits.sequence {
            self.senders.insert(sender.to_owned(), Sender { last: place, run, ..known });
            return Err(Denied::Sequence(self.limits.sequence));
        }
        let fits = |(prefix, _): &&(String, u32)| number.digits().starts_with(digits(prefix).as_str());
        let prefix = self.limits.prefixes.iter().filter(fits).max_by_key(|(prefix, _)| prefix.len());
        let mut charge = Charge { day: self.day, sender: sender.to_owned(), prefix: None, parts };
        if let Some((prefix, limit)) = prefix {
            let prefix = digits(prefix);
            let sum = self.prefixes.get(&prefix).copied().unwrap_or(0).saturating_add(parts);
            if sum > *limit {
                return Err(Denied::Prefix { prefix, limit: *limit });
            }
            self.prefixes.insert(prefix.clone(), sum);
            charge.prefix = Some(prefix);
        }
        if !self.senders.contains_key(sender) && self.senders.len() >= self.limits.senders {
            let most = self.limits.sender;
            self.senders.retain(|_, known| known.parts >= most);
        }
        self.senders.insert(sender.to_owned(), Sender { parts: total, last: place, run });
        Ok(charge)
    }

    /// Counts what was allowed before a restart. Of other days than the last one nothing is counted.
    pub fn restore(&mut self, charge: &Charge) {
        if charge.day < self.day {
            return;
        }
        self.begin(charge.day);
        if !charge.sender.is_empty() {
            let known = self.senders.entry(charge.sender.clone()).or_default();
            known.parts = known.parts.saturating_add(charge.parts);
        }
        if let Some(prefix) = &charge.prefix {
            let sum = self.prefixes.entry(prefix.clone()).or_default();
            *sum = sum.saturating_add(charge.parts);
        }
    }

    fn begin(&mut self, day: u64) {
        if day != self.day {
            self.day = day;
            self.senders.clear();
            self.prefixes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Msisdn {
        Msisdn::parse(text).unwrap()
    }

    #[test]
    fn no_route_is_no_way() {
        let mut routes = Routes::default();
        assert_eq!(routes.target(&number("+8613800138000")), Err(Denied::NoRoute));
        routes.add("+86", "operator");
        routes.add("+86138", "mobile");
        routes.block("+881");
        routes.add("", "all");
        assert_eq!(routes.target(&number("+8613800138000")), Ok("mobile"));
        assert_eq!(routes.target(&number("+8610123456")), Ok("operator"));
        assert_eq!(routes.target(&number("+4912345678")), Ok("all"));
        assert_eq!(routes.target(&number("+8816123456")), Err(Denied::Blocked("881".into())));
    }

    #[test]
    fn a_day_has_an_end() {
        let limits = TollLimits { sender: 5, prefixes: vec![("+49".into(), 3)], ..TollLimits::default() };
        let mut toll = Toll::new(limits);
        let (china, germany) = (number("+8613800138000"), number("+4912345678"));
        assert!(toll.charge(0, "ann", None, &china, 4).is_ok());
        assert_eq!(toll.charge(0, "ann", None, &china, 2), Err(Denied::Sender(5)));
        assert!(toll.charge(0, "ann", Some(10), &china, 2).is_ok());
        assert!(toll.charge(0, "bob", None, &germany, 3).is_ok());
        let full = Denied::Prefix { prefix: "49".into(), limit: 3 };
        assert_eq!(toll.charge(0, "eve", None, &germany, 1), Err(full));
        assert!(toll.charge(86_400, "ann", None, &germany, 3).is_ok());
    }

    #[test]
    fn ranges_are_not_walked() {
        let mut toll = Toll::new(TollLimits::default());
        let mut sent = 0;
        for n in 0..100u64 {
            let next = Msisdn::from_digits(&(8_613_800_138_000 + n).to_string()).unwrap();
            sent += u32::from(toll.charge(0, "eve", None, &next, 1).is_ok());
        }
        assert_eq!(sent, 20, "the rest of the range is denied");
        assert!(toll.charge(0, "ann", None, &number("+8613800138000"), 1).is_ok());
    }

    #[test]
    fn a_restart_is_no_new_day() {
        let limits = TollLimits { sender: 5, prefixes: vec![("+49".into(), 6)], ..TollLimits::default() };
        let germany = number("+4912345678");
        let mut before = Toll::new(limits.clone());
        let charge = before.charge(86_400, "ann", None, &germany, 4).unwrap();
        assert_eq!(charge, Charge::kept(1, "ann".into(), Some("49".into()), 4));
        let mut toll = Toll::new(limits);
        toll.restore(&Charge::kept(0, "ann".into(), None, 5));
        toll.restore(&charge);
        assert_eq!(toll.charge(86_500, "ann", None, &germany, 2), Err(Denied::Sender(5)));
        let full = Denied::Prefix { prefix: "49".into(), limit: 6 };
        assert_eq!(toll.charge(86_500, "bob", None, &germany, 3), Err(full));
        assert!(toll.charge(86_500, "bob", None, &germany, 2).is_ok());
    }
}
