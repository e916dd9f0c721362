//! Filters of before 1.2: options behind the datastore's URI, made by vendors.

use super::FilterError;
use super::cgi::{Expr, Op};

/// What the options of a URI ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only items of these days: from, to, as days from today.
    pub days: Option<(i64, i64)>,
    /// Only items from this time on, as text.
    pub from: Option<Box<str>>,
    /// Only items up to this time, as text.
    pub to: Option<Box<str>>,
    /// Octets of an item, at most.
    pub limit: Option<u64>,
    /// Without attachments.
    pub no_attachments: bool,
    /// An expression.
    pub record: Option<Expr>,
    /// What nobody here knows; it is kept, and means nothing.
    pub unknown: Vec<Box<str>>,
}

/// Options looked at, at most.
const MAX_OPTIONS: usize = 32;

impl Options {
    /// Reads what is behind the `?` of a datastore's URI.
    ///
    /// # Errors
    /// [`FilterError`] of an option that is known and wrong.
    // quirk: Synthesis writes ./store?/dr(-7,0)/li(2000)/na, Nokia ?MINDT=..&MAXDT=.. (session facts section 6)
    pub fn parse(part: &str) -> Result<Self, FilterError> {
        let mut options = Options::default();
        let by_slash = part.starts_with('/');
        let parts =
            part.split(if by_slash { '/' } else { '&' }).map(str::trim).filter(|part| !part.is_empty());
        for (n, part) in parts.enumerate() {
            if n >= MAX_OPTIONS {
                return Err(FilterError::TooLong { what: "options", limit: MAX_OPTIONS, value: n });
            }
            options.take(part)?;
        }
        Ok(options)
    }

    fn take(&mut self, part: &str) -> Result<(), FilterError> {
        let wrong = |why| FilterError::Grammar { at: 0, why };
        if let Some((name, value)) = part.split_once('=') {
            match name.to_ascii_uppercase().as_str() {
                "MINDT" => self.from = Some(value.into()),
                "MAXDT" => self.to = Some(value.into()),
                _ => self.unknown.push(part.into()),
            }
            return Ok(());
        }
        let (name, inner) = match part.split_once('(') {
            Some((name, rest)) => {
                (name, rest.strip_suffix(')').ok_or_else(|| wrong("a parenthesis is open"))?)
            }
            None => (part, ""),
        };
        match name.to_ascii_lowercase().as_str() {
            "dr" => {
                let (from, to) = inner.split_once(',').unwrap_or((inner, "0"));
                let day = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong("a day is a number"));
                self.days = Some((day(from)?, day(to)?));
            }
            "li" => self.limit = Some(inner.trim().parse().map_err(|_| wrong("a limit is a number"))?),
            "na" => self.no_attachments = true,
            "fi" => self.record = Some(Expr::parse(inner)?),
            "tf" => {
                let expr = Expr::parse(inner)?;
                self.record = Some(match self.record.take() {
                    Some(record) => record.and(expr),
                    None => expr,
                });
            }
            _ => self.unknown.push(part.into()),
        }
        Ok(())
    }

    /// The record filter that they mean, today being `now` (seconds since 1970).
    pub fn expr(&self, now: u64) -> Option<Expr> {
        let day = |days: i64| {
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            super::utc(now.saturating_add(days.saturating_mul(86_400)))
        };
        let mut all = self.record.clone();
        let mut both = |expr: Expr| {
            all = Some(match all.take() {
                Some(before) => before.and(expr),
                None => expr,
            });
        };
        if let Some((from, to)) = self.days {
            both(Expr::term("SINCE", Op::Equal, &day(from)));
            if to != 0 {
                both(Expr::term("BEFORE", Op::Equal, &day(to)));
            }
        }
        if let Some(from) = &self.from {
            both(Expr::term("SINCE", Op::Equal, from));
        }
        if let Some(to) = &self.to {
            both(Expr::term("BEFORE", Op::Equal, to));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_synthesis_writes_them() {
        let options = Options::parse("/dr(-7,0)/li(2000)/na/zz(1)").unwrap();
        assert_eq!((options.days, options.limit, options.no_attachments), (Some((-7, 0)), Some(2000), true));
        assert_eq!(options.unknown, ["zz(1)".into()]);
        let expr = options.expr(1_000_000_000).unwrap();
        let terms: Vec<_> = expr.terms().map(|term| (&*term.name, term.value.as_deref())).collect();
        assert_eq!(terms, [("SINCE", Some("20010902T014640Z"))]);
        let options = Options::parse("/fi(a&EQ;b)/tf(c&GT;1)").unwrap();
        assert_eq!(options.record.unwrap().terms().count(), 2);
    }

    #[test]
    fn as_nokia_writes_them() {
        let options = Options::parse("MINDT=20070808T000000Z&MAXDT=20070908T000000Z&XX=1").unwrap();
        assert_eq!(options.from.as_deref(), Some("20070808T000000Z"));
        assert_eq!(options.expr(0).unwrap().terms().count(), 2);
        assert_eq!(options.unknown, ["XX=1".into()]);
    }

    #[test]
    fn nothing_and_nonsense() {
        assert_eq!(Options::parse("").unwrap().expr(0), None);
        for bad in ["/dr(x)", "/li(-1)", "/dr(1", "/fi()"] {
            assert!(Options::parse(bad).is_err(), "{bad}");
        }
        assert!(Options::parse(&"/x".repeat(99)).is_err());
    }
}
