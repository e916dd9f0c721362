//! What is probably a mistake in a policy, found when it is loaded.

use crate::policy::{Action, Clause, Condition, Policy, RuleId, Selector};
use std::fmt;

/// One probable mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What.
    pub lint: Lint,
    /// Where; `None` is the default action.
    pub rule: Option<RuleId>,
}

/// Kinds of mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lint {
    /// A rule before it has no condition, or the same ones: it never applies.
    Shadowed {
        /// The rule before it.
        by: RuleId,
    },
    /// It asks for something and its contrary: it never applies.
    Contradictory,
    /// Selectors after `any` are never reached.
    UnreachableSelector,
    /// It may select nobody although somebody is reachable: end with `any`.
    NoFallBack,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(id) => write!(f, "rule {id:?}: ")?,
            None => f.write_str("default: ")?,
        }
        match &self.lint {
            Lint::Shadowed { by } => write!(f, "never applies, {by:?} comes first"),
            Lint::Contradictory => f.write_str("never applies, its conditions exclude each other"),
            Lint::UnreachableSelector => f.write_str("selectors after `any` are never reached"),
            Lint::NoFallBack => f.write_str("may select nobody; end with `any`"),
        }
    }
}

/// All findings, in the order of evaluation, the default last.
pub(crate) fn lint(policy: &Policy) -> Vec<Finding> {
    let mut rules: Vec<_> = policy.rules.iter().collect();
    rules.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
    let mut findings = Vec::new();
    let mut seen = std::collections::BTreeMap::<String, &RuleId>::new();
    let mut always: Option<&RuleId> = None;
    for rule in &rules {
        let mut found = |lint| findings.push(Finding { lint, rule: Some(rule.id.clone()) });
        // Clauses are compared as written, in any order.
        let mut conditions: Vec<String> = rule.when.iter().map(|c| format!("{c:?}")).collect();
        conditions.sort();
        let key = conditions.join("\n");
        if let Some(by) = always.or_else(|| seen.get(&key).copied()) {
            found(Lint::Shadowed { by: by.clone() });
        }
        seen.entry(key).or_insert(&rule.id);
        if contradictory(&rule.when) {
            found(Lint::Contradictory);
        }
        selectors(&rule.then).into_iter().for_each(&mut found);
        if rule.when.is_empty() {
            always = always.or(Some(&rule.id));
        }
    }
    findings.extend(selectors(&policy.default).into_iter().map(|lint| Finding { lint, rule: None }));
    findings
}

fn contradictory(when: &[Clause]) -> bool {
    let wanted: Vec<&Condition> =
        when.iter().filter_map(|c| if let Clause::Is(c) = c { Some(c) } else { None }).collect();
    let refused: Vec<&Condition> =
        when.iter().flat_map(|c| if let Clause::Not(all) = c { all.as_slice() } else { &[] }).collect();
    wanted.iter().any(|w| refused.contains(w))
        || wanted.iter().enumerate().any(|(i, a)| {
            wanted.iter().skip(i + 1).any(|b| match (a, b) {
                (Condition::Importance(a), Condition::Importance(b)) => a != b,
                _ => false,
            })
        })
}

fn selectors(action: &Action) -> Vec<Lint> {
    let Action::Push(push) = action else { return Vec::new() };
    match push.select.iter().position(|s| *s == Selector::Any) {
        None => vec![Lint::NoFallBack],
        Some(at) if at + 1 < push.select.len() => vec![Lint::UnreachableSelector],
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Push, Rule};

    fn findings(json: &str) -> Vec<String> {
        let policy = Policy::from_json(json.as_bytes()).unwrap();
        policy.compile(&crate::Limits::default()).unwrap().findings().iter().map(Finding::to_string).collect()
    }

    #[test]
    fn mistakes_are_named() {
        let found = findings(
            r#"{"version":1,"default":{"push":{"select":["in_use"]}},"rules":[
            {"id":"a","priority":2,"when":[{"is":"has_picture"}],"then":"hold"},
            {"id":"b","priority":1,"when":[{"is":"has_picture"}],"then":"mute"},
            {"id":"c","when":[{"is":"any_in_use"},{"not":["any_in_use"]}],"then":"hold"},
            {"id":"d","priority":-1,"then":{"push":{"select":["any","in_use"]}}},
            {"id":"e","priority":-2,"when":[{"is":{"size_over":5}}],"then":"hold"}]}"#,
        );
        assert_eq!(
            found,
            [
                "rule \"b\": never applies, \"a\" comes first",
                "rule \"c\": never applies, its conditions exclude each other",
                "rule \"d\": selectors after `any` are never reached",
                "rule \"e\": never applies, \"d\" comes first",
                "default: may select nobody; end with `any`",
            ]
        );
    }

    #[test]
    fn a_sound_policy_has_no_findings() {
        let mut policy = Policy::default();
        policy.rules.push(Rule::new(
            RuleId::new("pictures").unwrap(),
            vec![Clause::Is(Condition::HasPicture)],
            Action::Push(Push::to([Selector::Capable, Selector::Any])),
        ));
        assert!(lint(&policy).is_empty());
    }
}
