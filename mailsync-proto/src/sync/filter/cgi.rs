//! The expressions of a record filter (`syncml:filtertype-cgi`): a pure parser, and whether an item fits.
//!
//! ```text
//! expr  = term *( ("&AND;" / "&OR;") term )      from left to right; parentheses group
//! term  = name op value
//! op    = &EQ; &NE; &GT; &GE; &LT; &LE; &CON; &NCON;   with i (&iEQ;): letters of either case are the same
//! value = text with %HH, or &NULL; for "empty"
//! ```

use super::FilterError;
use serde::{Deserialize, Serialize};

/// Octets of an expression, at most.
pub const MAX_LENGTH: usize = 4_096;
/// Terms of an expression, at most.
pub const MAX_TERMS: usize = 64;
/// Parentheses in each other, at most.
pub const MAX_DEPTH: usize = 16;

/// A parsed expression: terms and what joins them, in postfix order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expr {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Term(Term),
    And,
    Or,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// A property or keyword; `&LUID` for the id of the item.
    pub name: Box<str>,
    /// How it is compared.
    pub op: Op,
    /// Letters of either case are the same.
    pub ignore_case: bool,
    /// With what; none for "empty".
    pub value: Option<Box<str>>,
}

/// How a term compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    ContainsNot,
}

const OPS: [(&str, Op); 8] = [
    ("EQ", Op::Equal),
    ("NE", Op::NotEqual),
    ("GT", Op::Greater),
    ("GE", Op::GreaterOrEqual),
    ("LT", Op::Less),
    ("LE", Op::LessOrEqual),
    ("CON", Op::Contains),
    ("NCON", Op::ContainsNot),
];

/// The name by which a term means the item's id.
pub const LUID: &str = "&LUID";
/// The name by which a term means the id of the container that an item is in. Nobody writes it: it stands for what a
/// collection has found out.
pub const PARENT: &str = "&PARENT";

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`FilterError::Grammar`] with the place, [`FilterError::TooLong`].
    /// # Spec
    /// OMA DS 1.2, filter grammar `syncml:filtertype-cgi`
    // spec: session facts section 6
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LENGTH {
            return Err(FilterError::TooLong { what: "octets", limit: MAX_LENGTH, value: text.len() });
        }
        Parser { text, at: 0, steps: Vec::new(), waiting: Vec::new(), depth: 0, terms: 0 }.run()
    }

    /// A single comparison.
    pub fn term(name: &str, op: Op, value: &str) -> Self {
        let term = Term { name: name.into(), op, ignore_case: false, value: Some(value.into()) };
        Expr { steps: vec![Step::Term(term)] }
    }

    /// Both of them.
    #[must_use]
    pub fn and(mut self, other: Expr) -> Self {
        self.steps.extend(other.steps);
        self.steps.push(Step::And);
        self
    }

    /// Any of these values; of none, nothing fits.
    #[must_use]
    pub fn any_of<'v>(name: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        let mut values = values.into_iter();
        let mut any = Expr::term(name, Op::Equal, values.next().unwrap_or_default());
        for value in values {
            any.steps.extend(Expr::term(name, Op::Equal, value).steps);
            any.steps.push(Step::Or);
        }
        any
    }

    /// With other expressions in the places of some terms.
    #[must_use]
    pub fn replaced(self, by: impl Fn(&Term) -> Option<Expr>) -> Self {
        let one = |step| match step {
            Step::Term(term) => match by(&term) {
                Some(expr) => expr.steps,
                None => vec![Step::Term(term)],
            },
            joint => vec![joint],
        };
        Expr { steps: self.steps.into_iter().flat_map(one).collect() }
    }

    /// Every comparison in it.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.steps.iter().filter_map(|step| match step {
            Step::Term(term) => Some(term),
            Step::And | Step::Or => None,
        })
    }

    /// The id that it asks for, if it is one comparison for a single item.
    pub fn single_luid(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Term(Term { name, op: Op::Equal, value: Some(value), .. })] if **name == *LUID => {
                Some(value)
            }
            _ => None,
        }
    }

    /// Whether an item fits; `values` gives those of a name.
    pub fn matches(&self, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.matches_as(|name, op| (name, op), values)
    }

    /// As [`Expr::matches`], where some names and operators mean others.
    pub(super) fn matches_as(
        &self,
        meant: impl Fn(&str, Op) -> (&str, Op),
        values: impl Fn(&str) -> Vec<String>,
    ) -> bool {
        let mut stack: Vec<bool> = Vec::new();
        for step in &self.steps {
            let result = match step {
                Step::Term(term) => {
                    let (name, op) = meant(&term.name, term.op);
                    term.matches(op, &values(name))
                }
                Step::And | Step::Or => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return false };
                    if *step == Step::And { left && right } else { left || right }
                }
            };
            stack.push(result);
        }
        stack.pop().unwrap_or(true)
    }
}

impl Term {
    fn matches(&self, op: Op, values: &[String]) -> bool {
        let fold = |text: &str| if self.ignore_case { text.to_lowercase() } else { text.to_owned() };
        let Some(wanted) = self.value.as_deref().map(fold) else {
            let empty = values.iter().all(|value| value.is_empty());
            return match op {
                Op::NotEqual | Op::ContainsNot => !empty,
                _ => empty,
            };
        };
        let any = |test: &dyn Fn(&str) -> bool| values.iter().any(|value| test(&fold(value)));
        match op {
            Op::Equal => any(&|value| value == wanted),
            Op::NotEqual => !any(&|value| value == wanted),
            Op::Contains => any(&|value| value.contains(&wanted)),
            Op::ContainsNot => !any(&|value| value.contains(&wanted)),
            Op::Greater => any(&|value| order(value, &wanted).is_gt()),
            Op::GreaterOrEqual => any(&|value| order(value, &wanted).is_ge()),
            Op::Less => any(&|value| order(value, &wanted).is_lt()),
            Op::LessOrEqual => any(&|value| order(value, &wanted).is_le()),
        }
    }
}

/// Numbers by their value, other text (times in UTC among it) by its letters.
fn order(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// What waits for its right side.
enum Waiting {
    Join(Step),
    Open,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    steps: Vec<Step>,
    waiting: Vec<Waiting>,
    depth: usize,
    terms: usize,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Expr, FilterError> {
        loop {
            self.blanks();
            while self.eat("(") {
                self.depth = self.depth.saturating_add(1);
                if self.depth > MAX_DEPTH {
                    return Err(FilterError::TooLong {
                        what: "parentheses",
                        limit: MAX_DEPTH,
                        value: self.depth,
                    });
                }
                self.waiting.push(Waiting::Open);
                self.blanks();
            }
            self.term()?;
            self.blanks();
            while self.depth > 0 && self.eat(")") {
                self.close();
                self.blanks();
            }
            if self.rest().is_empty() {
                break;
            }
            let join = if self.eat_word("&AND;") {
                Step::And
            } else if self.eat_word("&OR;") {
                Step::Or
            } else {
                return Err(self.wrong("expected &AND; or &OR;"));
            };
            // From left to right: what is before is joined first.
            self.join_waiting();
            self.waiting.push(Waiting::Join(join));
        }
        if self.depth > 0 {
            return Err(self.wrong("a parenthesis is not closed"));
        }
        self.join_waiting();
        Ok(Expr { steps: self.steps })
    }

    fn join_waiting(&mut self) {
        while let Some(Waiting::Join(_)) = self.waiting.last() {
            if let Some(Waiting::Join(step)) = self.waiting.pop() {
                self.steps.push(step);
            }
        }
    }

    fn close(&mut self) {
        self.join_waiting();
        self.waiting.pop();
        self.depth = self.depth.saturating_sub(1);
    }

    fn term(&mut self) -> Result<(), FilterError> {
        self.terms = self.terms.saturating_add(1);
        if self.terms > MAX_TERMS {
            return Err(FilterError::TooLong { what: "terms", limit: MAX_TERMS, value: self.terms });
        }
        // quirk: Funambol writes the name without its semicolon
        let name: Box<str> = if self.eat_word("&LUID;") || self.eat_word("&LUID") {
            LUID.into()
        } else {
            let end = self.rest().find('&').ok_or_else(|| self.wrong("a name without an operator"))?;
            let name = self.take(end).trim().to_owned();
            if name.is_empty() || name.contains(['(', ')']) {
                return Err(self.wrong("expected a name"));
            }
            name.into()
        };
        let (op, ignore_case) = self.op()?;
        let value = if self.eat_word("&NULL;") { None } else { Some(self.value()?) };
        self.steps.push(Step::Term(Term { name, op, ignore_case, value }));
        Ok(())
    }

    fn op(&mut self) -> Result<(Op, bool), FilterError> {
        let rest = self.rest();
        let word = rest.strip_prefix('&').and_then(|rest| rest.split_once(';')).map(|(word, _)| word);
        let word = word.ok_or_else(|| self.wrong("expected an operator"))?;
        let known =
            |word: &str| OPS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, op)| *op);
        let blind = word.strip_prefix('i').and_then(known).map(|op| (op, true));
        let found = blind.or_else(|| known(word).map(|op| (op, false)));
        let found = found.ok_or_else(|| self.wrong("unknown operator"))?;
        let length = word.len().saturating_add(2);
        self.take(length);
        Ok(found)
    }

    fn value(&mut self) -> Result<Box<str>, FilterError> {
        let rest = self.rest();
        let ends = ["&AND;", "&OR;"].iter().filter_map(|end| find_word(rest, end));
        let paren = (self.depth > 0).then(|| rest.find(')')).flatten();
        let end = ends.chain(paren).min().unwrap_or(rest.len());
        let raw = rest.get(..end).unwrap_or_default().trim().to_owned();
        let value = unescape(&raw).ok_or_else(|| self.wrong("a bad %HH"))?;
        self.take(end);
        Ok(value.into())
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> &str {
        let from = self.at;
        self.at = self.at.saturating_add(length).min(self.text.len());
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.take(what.len());
        }
        found
    }

    fn eat_word(&mut self, what: &str) -> bool {
        let found = self.rest().get(..what.len()).is_some_and(|head| head.eq_ignore_ascii_case(what));
        if found {
            self.take(what.len());
        }
        found
    }

    fn blanks(&mut self) {
        let blanks = self.rest().len().saturating_sub(self.rest().trim_start().len());
        self.take(blanks);
    }

    fn wrong(&self, why: &'static str) -> FilterError {
        FilterError::Grammar { at: self.at, why }
    }
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    text.match_indices('&').map(|(at, _)| at).find(|at| {
        let end = at.saturating_add(word.len());
        text.get(*at..end).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

fn unescape(raw: &str) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (pair, after) = tail.split_at_checked(2)?;
            let digits =
                std::str::from_utf8(pair).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Vec<String> {
        let values: &[&str] = match name {
            "modified" => &["20070808T120000Z"],
            "TO" => &["ann@example.org", "Bob@example.org"],
            "size" => &["900"],
            "note" => &["a & (b) %"],
            LUID => &["41"],
            _ => &[],
        };
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn fits(text: &str) -> bool {
        Expr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches(item)
    }

    #[test]
    fn comparisons() {
        for yes in [
            "modified&GE;20070808T000000Z",
            "modified&iGE;20070808t000000z",
            "modified&GE;20070801T000000Z&AND;modified&LT;20070809T000000Z",
            "TO&CON;ann",
            "TO&iCON;BOB",
            "TO&NCON;eve",
            "TO&NE;eve",
            "size&GT;89",
            "size&LE;900",
            "none&EQ;&NULL;",
            "TO&NE;&NULL;",
            "&LUID;&EQ;41",
            // quirk: Funambol
            "&LUID&iEQ;41",
            "note&EQ;a%20&%20(b)%20%25",
            "(size&GT;1&OR;none&EQ;x)&AND;TO&CON;ann",
            " size &EQ; 900 ",
        ] {
            assert!(fits(yes), "{yes}");
        }
        for no in ["TO&CON;BOB", "size&GT;900", "size&LT;9", "none&EQ;x", "TO&EQ;&NULL;", "&LUID;&EQ;4"] {
            assert!(!fits(no), "{no}");
        }
    }

    #[test]
    fn from_left_to_right_and_parentheses_group() {
        let (yes, no) = ("size&EQ;900", "size&EQ;1");
        assert!(!fits(&format!("{yes}&OR;{yes}&AND;{no}")));
        assert!(fits(&format!("{yes}&OR;({yes}&AND;{no})")));
        assert!(fits(&format!("{no}&AND;{no}&OR;{yes}")));
        assert!(!fits(&format!("{no}&AND;({no}&OR;{yes})")));
        assert!(fits(&format!("(({yes}))")));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("modified", 0),
            ("&EQ;x", 0),
            ("a&XX;b", 1),
            ("a&EQ;b&AND;", 11),
            ("(a&EQ;b", 7),
            ("a&EQ;%4", 5),
            ("a&EQ;%ff", 5),
            ("a&EQ", 1),
            ("a&EQ;&NULL;b", 11),
        ] {
            match Expr::parse(text) {
                Err(FilterError::Grammar { at: found, .. }) => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn limits() {
        let long = "a&EQ;".to_owned() + &"b".repeat(MAX_LENGTH);
        let many = vec!["a&EQ;b"; MAX_TERMS + 1].join("&AND;");
        let deep = "(".repeat(MAX_DEPTH + 1) + "a&EQ;b" + &")".repeat(MAX_DEPTH + 1);
        for text in [long, many, deep] {
            assert!(matches!(Expr::parse(&text), Err(FilterError::TooLong { .. })));
        }
        assert!(Expr::parse(&vec!["a&EQ;b"; MAX_TERMS].join("&AND;")).is_ok());
    }
}
