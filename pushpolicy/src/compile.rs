//! A policy made ready: sorted, folded, checked. Compile once, decide often.

use crate::attributes::MediaRange;
use crate::error::PolicyError;
use crate::limits::Limits;
use crate::lint::{self, Finding};
use crate::location::PlaceLabel;
use crate::mail::{Importance, MailFacts};
use crate::pattern::{Matches, NO_MATCHES, Pattern, PatternSet, Prepared, is_set};
use crate::policy::{Action, Clause, Condition, Count, Fallback, Policy, RuleId, TimeWindow, Tuning};
use crate::terminal::TerminalKind;
use crate::time::LocalTime;

/// A checked policy, ready to decide by.
#[derive(Clone, Debug)]
pub struct CompiledPolicy {
    rules: Vec<CompiledRule>,
    tests: Vec<Test>,
    default: Action,
    fallback: Fallback,
    tuning: Tuning,
    folder: PatternSet,
    from: PatternSet,
    subject: PatternSet,
    findings: Vec<Finding>,
    asks_terminals: bool,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    id: RuleId,
    clauses: Vec<CompiledClause>,
    then: Action,
}

/// A range of `tests` and how many of them must hold.
#[derive(Clone, Copy, Debug)]
struct CompiledClause {
    from: u32,
    to: u32,
    /// `Not` wants none, the others at least one.
    none: bool,
}

/// A condition, patterns replaced by their number.
#[derive(Clone, Debug)]
enum Test {
    Matched(u16),
    HasPicture,
    HasMedia(MediaRange),
    SizeOver(u64),
    Importance(Importance),
    LocalTime(TimeWindow),
    KindInUse(TerminalKind),
    AnyInUse,
    UserAt(PlaceLabel),
}

/// What conditions may ask about the terminals.
pub(crate) trait Scene {
    fn any_in_use(&self) -> bool;
    fn kind_in_use(&self, kind: TerminalKind) -> bool;
    fn user_at(&self, place: &PlaceLabel) -> bool;
}

impl Policy {
    /// Checks, lints and prepares.
    ///
    /// # Errors
    /// [`PolicyError`], naming the rule; findings of the lint are not errors: see [`CompiledPolicy::findings`].
    pub fn compile(&self, limits: &Limits) -> Result<CompiledPolicy, PolicyError> {
        limit("rules", self.rules.len(), limits.rules.min(Limits::MAX_PATTERNS))?;
        if self.version != crate::policy::VERSION {
            return Err(PolicyError::Newer(self.version));
        }
        self.tuning.check().map_err(|what| invalid("tuning", what))?;
        check_action("default", &self.default, limits)?;
        let mut ordered: Vec<_> = self.rules.iter().collect();
        ordered.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
        let mut ids: Vec<_> = self.rules.iter().map(|r| &r.id).collect();
        ids.sort();
        for pair in ids.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                return Err(PolicyError::DuplicateRule(a.as_str().to_owned()));
            }
        }
        let mut builder = Builder { limits, tests: Vec::new(), patterns: 0, sets: Default::default() };
        let mut rules = Vec::with_capacity(ordered.len());
        for rule in ordered {
            let place = rule.id.as_str();
            check_action(place, &rule.then, limits)?;
            limit("conditions", rule.when.iter().map(|c| c.conditions().len()).sum(), limits.conditions)?;
            limit("conditions", rule.when.len(), limits.conditions)?;
            let clauses = rule.when.iter().map(|c| builder.clause(place, c)).collect::<Result<_, _>>()?;
            rules.push(CompiledRule { id: rule.id.clone(), clauses, then: rule.then.clone() });
        }
        let [folder, from, subject] = builder.sets.map(PatternSet::new);
        let asks = |t: &Test| matches!(t, Test::AnyInUse | Test::KindInUse(_) | Test::UserAt(_));
        Ok(CompiledPolicy {
            asks_terminals: builder.tests.iter().any(asks),
            rules,
            tests: builder.tests,
            default: self.default.clone(),
            fallback: self.fallback,
            tuning: self.tuning.clone(),
            folder,
            from,
            subject,
            findings: lint::lint(self),
        })
    }
}

struct Builder<'l> {
    limits: &'l Limits,
    tests: Vec<Test>,
    patterns: u16,
    /// Folder, from, subject.
    sets: [Vec<(u16, Prepared)>; 3],
}

impl Builder<'_> {
    fn clause(&mut self, place: &str, clause: &Clause) -> Result<CompiledClause, PolicyError> {
        let from = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        if matches!(clause, Clause::Any(all) if all.is_empty()) {
            return Err(invalid(place, "any of nothing never holds"));
        }
        for condition in clause.conditions() {
            let test = match condition {
                Condition::Folder(p) => self.pattern(place, 0, p)?,
                Condition::From(p) => self.pattern(place, 1, p)?,
                Condition::Subject(p) => self.pattern(place, 2, p)?,
                Condition::HasPicture => Test::HasPicture,
                Condition::HasMedia(m) => Test::HasMedia(m.clone()),
                Condition::SizeOver(n) => Test::SizeOver(*n),
                Condition::Importance(i) => Test::Importance(*i),
                Condition::LocalTime(w) => {
                    w.check().map_err(|what| invalid(place, what))?;
                    Test::LocalTime(w.clone())
                }
                Condition::KindInUse(k) => Test::KindInUse(*k),
                Condition::AnyInUse => Test::AnyInUse,
                Condition::UserAt(p) => Test::UserAt(p.clone()),
            };
            self.tests.push(test);
        }
        let to = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        Ok(CompiledClause { from, to, none: matches!(clause, Clause::Not(_)) })
    }

    fn pattern(&mut self, place: &str, set: usize, pattern: &Pattern) -> Result<Test, PolicyError> {
        limit("pattern_bytes", pattern.text().len(), self.limits.pattern_bytes)?;
        limit("patterns", usize::from(self.patterns) + 1, self.limits.patterns.min(Limits::MAX_PATTERNS))?;
        if pattern.text().is_empty() && matches!(pattern, Pattern::Keyword(_)) {
            return Err(invalid(place, "an empty keyword matches everything"));
        }
        let number = self.patterns;
        self.patterns += 1;
        if let Some(set) = self.sets.get_mut(set) {
            set.push((number, Prepared::new(pattern)));
        }
        Ok(Test::Matched(number))
    }
}

fn check_action(place: &str, action: &Action, limits: &Limits) -> Result<(), PolicyError> {
    let Action::Push(push) = action else { return Ok(()) };
    let steps = push.escalate.iter().map(|s| (&s.select, s.count));
    for (select, count) in std::iter::once((&push.select, push.count)).chain(steps) {
        limit("selectors", select.len(), limits.selectors)?;
        if select.is_empty() {
            return Err(invalid(place, "a push that selects nobody"));
        }
        if count == Count::AtLeast(0) {
            return Err(invalid(place, "at_least 0: at least 1"));
        }
    }
    limit("conditions", push.require.len(), limits.conditions)?;
    limit("bearers", push.bearers.len(), limits.selectors)?;
    limit("steps", push.escalate.len(), Limits::MAX_STEPS)?;
    if !push.escalate.windows(2).all(|w| matches!(w, [a, b] if a.after_s < b.after_s)) {
        return Err(invalid(place, "after_s must rise from step to step"));
    }
    Ok(())
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), PolicyError> {
    if value > limit { Err(PolicyError::Limit { what, value, limit }) } else { Ok(()) }
}

fn invalid(place: &str, what: impl Into<String>) -> PolicyError {
    PolicyError::Invalid { place: place.to_owned(), what: what.into() }
}

impl CompiledPolicy {
    /// What the lint found: rules that never apply, policies that may reach nobody. Show them to the user.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The id of a rule by its place in the order of evaluation.
    #[must_use]
    pub fn rule_id(&self, index: u16) -> Option<&RuleId> {
        self.rules.get(usize::from(index)).map(|r| &r.id)
    }

    /// Whether a rule asks about terminals.
    pub(crate) fn asks_terminals(&self) -> bool {
        self.asks_terminals
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn fallback(&self) -> Fallback {
        self.fallback
    }

    /// The action of the first rule that holds, and that rule.
    pub(crate) fn action(
        &self,
        mail: &MailFacts,
        local: Option<LocalTime>,
        scene: &impl Scene,
    ) -> (Option<u16>, &Action) {
        if self.rules.is_empty() {
            return (None, &self.default);
        }
        let mut matched = NO_MATCHES;
        self.mark(mail, &mut matched);
        let holds = |test: &Test| match test {
            Test::Matched(number) => is_set(&matched, *number),
            Test::HasPicture => !mail.pictures().is_empty(),
            Test::HasMedia(range) => mail.media().iter().any(|m| range.covers(m)),
            Test::SizeOver(n) => mail.size() > *n,
            Test::Importance(i) => mail.importance() == *i,
            Test::LocalTime(w) => local.is_some_and(|t| w.contains(t)),
            Test::KindInUse(kind) => scene.kind_in_use(*kind),
            Test::AnyInUse => scene.any_in_use(),
            Test::UserAt(place) => scene.user_at(place),
        };
        for (rule, index) in self.rules.iter().zip(0u16..) {
            let applies = rule.clauses.iter().all(|c| {
                let tests = self.tests.get(c.from as usize..c.to as usize).unwrap_or(&[]);
                tests.iter().any(holds) != c.none
            });
            if applies {
                return (Some(index), &rule.then);
            }
        }
        (None, &self.default)
    }

    fn mark(&self, mail: &MailFacts, matched: &mut Matches) {
        if self.folder.is_empty() && self.from.is_empty() && self.subject.is_empty() {
            return;
        }
        let mut tried = NO_MATCHES;
        self.folder.mark(mail.folder(), &mut tried, matched);
        self.from.mark(mail.from(), &mut tried, matched);
        self.subject.mark(mail.subject(), &mut tried, matched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Push, Rule, Selector};

    fn rule(id: &str, when: Vec<Clause>) -> Rule {
        Rule::new(RuleId::new(id).unwrap(), when, Action::Hold)
    }

    fn compile(policy: &Policy) -> String {
        policy.compile(&Limits::default()).unwrap_err().to_string()
    }

    #[test]
    fn bad_input_a_policy_with_100_000_rules() {
        let rules = (0..100_000).map(|i| rule(&format!("r{i}"), Vec::new())).collect();
        let policy = Policy { rules, ..Policy::default() };
        assert_eq!(compile(&policy), "policy: rules 100000, limit 4096");
    }

    #[test]
    fn bad_input_globs_of_60_000_characters() {
        for text in ["?".repeat(60_000), "*".repeat(60_000)] {
            let rules = vec![rule("r", vec![Clause::Is(Condition::Subject(Pattern::Glob(text)))])];
            let policy = Policy { rules, ..Policy::default() };
            assert_eq!(compile(&policy), "policy: pattern_bytes 60000, limit 256");
        }
    }

    #[test]
    fn bad_policies_are_refused_with_the_place() {
        let rules = vec![rule("same", Vec::new()), rule("same", Vec::new())];
        let mut policy = Policy { rules, ..Policy::default() };
        assert_eq!(compile(&policy), r#"policy: rule id "same" twice"#);
        policy.rules = vec![rule("k", vec![Clause::Is(Condition::Subject(Pattern::Keyword(String::new())))])];
        assert_eq!(compile(&policy), "policy: k: an empty keyword matches everything");
        policy.rules = vec![rule("n", vec![Clause::Any(Vec::new())])];
        assert_eq!(compile(&policy), "policy: n: any of nothing never holds");
        assert_eq!(
            compile(&Policy::new(Action::Push(Push::to([])))),
            "policy: default: a push that selects nobody"
        );
        let mut push = Push::to([Selector::Any]);
        push.count = Count::AtLeast(0);
        assert_eq!(compile(&Policy::new(Action::Push(push))), "policy: default: at_least 0: at least 1");
    }
}
