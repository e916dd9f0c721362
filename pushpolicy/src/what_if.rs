//! "What if?" and "what would it take?": decisions on a changed world.

use crate::attributes::{Attributes, MediaRange};
use crate::compile::CompiledPolicy;
use crate::decide::decide;
use crate::decision::Decision;
use crate::error::{PolicyError, SnapshotError};
use crate::evidence::{Evidence, Order, PowerState, Reading, Sensor};
use crate::limits::Limits;
use crate::mail::MailFacts;
use crate::policy::{Policy, RuleId};
use crate::snapshot::Snapshot;
use crate::terminal::{Bearer, Route, RoutePower, Standing, TerminalId};
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// One change of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The terminal reports this now. Attributes replace what it said before.
    Reports {
        /// Who.
        terminal: TerminalId,
        /// What.
        reading: Reading,
    },
    /// Its standing changes.
    Stands {
        /// Who.
        terminal: TerminalId,
        /// To what.
        standing: Standing,
    },
    /// It can be reached by this route too.
    Reachable {
        /// Who.
        terminal: TerminalId,
        /// How.
        route: Route,
    },
    /// It is gone.
    Gone {
        /// Who.
        terminal: TerminalId,
    },
    /// A rule is switched off.
    WithoutRule {
        /// Which.
        rule: RuleId,
    },
}

/// Why a change cannot be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhatIfError {
    /// The policy does not compile.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The changed snapshot is none.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Nothing of that name.
    #[error("what if: no {0}")]
    Unknown(String),
}

/// A changed world and what would be decided in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Alternative {
    /// The policy after the changes.
    pub policy: CompiledPolicy,
    /// The terminals after the changes.
    pub snapshot: Snapshot,
    /// What would be decided.
    pub decision: Decision,
}

/// Decides as if `changes` had happened.
///
/// # Errors
/// [`WhatIfError`] if a change names nothing or makes an impossible world.
pub fn what_if(
    policy: &Policy,
    snapshot: &Snapshot,
    mail: &MailFacts,
    now: Now,
    changes: &[Change],
) -> Result<Alternative, WhatIfError> {
    let limits = Limits::default();
    let mut policy = policy.clone();
    let mut terminals = snapshot.terminals().to_vec();
    for change in changes {
        let (Change::Reports { terminal: id, .. }
        | Change::Stands { terminal: id, .. }
        | Change::Reachable { terminal: id, .. }
        | Change::Gone { terminal: id }) = change
        else {
            if let Change::WithoutRule { rule } = change {
                let before = policy.rules.len();
                policy.rules.retain(|r| r.id != *rule);
                if policy.rules.len() == before {
                    return Err(WhatIfError::Unknown(format!("rule {rule:?}")));
                }
            }
            continue;
        };
        let Some(terminal) = terminals.iter_mut().find(|t| t.id == *id) else {
            return Err(WhatIfError::Unknown(format!("terminal {id:?}")));
        };
        match change {
            Change::Reports { reading, .. } => {
                let last = terminal.evidence.iter().map(Evidence::order).max().unwrap_or_default();
                let next = Order { boot: last.boot.saturating_add(1), seq: 0 };
                terminal.evidence.push(Evidence::new(next, now.at, reading.clone()));
            }
            Change::Stands { standing, .. } => terminal.standing = *standing,
            Change::Reachable { route, .. } => terminal.routes.push(route.clone()),
            Change::Gone { .. } => terminals.retain(|t| t.id != *id),
            Change::WithoutRule { .. } => {}
        }
    }
    let snapshot = Snapshot::new(terminals, &limits)?;
    let policy = policy.compile(&limits)?;
    let decision = decide(&policy, &snapshot, mail, now);
    Ok(Alternative { policy, snapshot, decision })
}

/// The smallest single change after which `wanted` would get the mail; `None` if no single one does, or if it gets
/// it anyway.
///
/// Smallest first: something `wanted` might report, then being unmuted or reached, then another terminal falling
/// silent, then a rule switched off.
///
/// # Errors
/// [`WhatIfError`] if `wanted` is unknown or the policy does not compile.
pub fn counterfactual(
    policy: &Policy,
    snapshot: &Snapshot,
    mail: &MailFacts,
    now: Now,
    wanted: &TerminalId,
) -> Result<Option<Change>, WhatIfError> {
    let gets_it = |a: &Alternative| {
        let place = a.snapshot.position(wanted).and_then(|p| u8::try_from(p).ok());
        place.is_some_and(|p| a.decision.targets().contains(p))
    };
    if snapshot.position(wanted).is_none() {
        return Err(WhatIfError::Unknown(format!("terminal {wanted:?}")));
    }
    if gets_it(&what_if(policy, snapshot, mail, now, &[])?) {
        return Ok(None);
    }
    for change in candidates(policy, snapshot, mail, wanted) {
        // A change that makes an impossible world (a ninth route) is no candidate.
        if what_if(policy, snapshot, mail, now, std::slice::from_ref(&change)).is_ok_and(|a| gets_it(&a)) {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

fn candidates(policy: &Policy, snapshot: &Snapshot, mail: &MailFacts, wanted: &TerminalId) -> Vec<Change> {
    let reports = |reading| Change::Reports { terminal: wanted.clone(), reading };
    let known =
        snapshot.position(wanted).and_then(|p| u8::try_from(p).ok()).and_then(|p| snapshot.known_at(p));
    let mut shows = known.and_then(|(t, k)| k.attributes(t)).cloned().unwrap_or_else(Attributes::new);
    shows.colour = Some(true);
    shows.html = Some(true);
    shows.screen_width_px = Some(u32::MAX);
    shows.max_mail_bytes = shows.max_mail_bytes.map(|n| n.max(mail.size()));
    shows.media = MediaRange::new("*/*").ok().map(|all| vec![all]);
    let mut all = vec![
        reports(Reading::Power(PowerState::On)),
        reports(Reading::Presence { present: true, sensor: Sensor::Unspecified }),
        reports(Reading::Input { age_ms: 0 }),
        reports(Reading::Proximity { cm: 0, bound_cm: 0 }),
        reports(Reading::Attributes(shows)),
        Change::Stands { terminal: wanted.clone(), standing: Standing::Active },
        Change::Reachable {
            terminal: wanted.clone(),
            route: Route::new(Bearer::Channel, "").needs(RoutePower::Any),
        },
    ];
    for t in snapshot.terminals().iter().filter(|t| t.id != *wanted) {
        let standing = Standing::Muted { until: None };
        all.push(Change::Stands { terminal: t.id.clone(), standing });
    }
    all.extend(policy.rules.iter().map(|r| Change::WithoutRule { rule: r.id.clone() }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, Push, Selector};
    use crate::terminal::{Terminal, TerminalKind};
    use crate::time::Millis;

    fn world() -> (Snapshot, MailFacts) {
        let terminals = ["a", "b"].map(|id| {
            let mut t = Terminal::new(TerminalId::new(id).unwrap(), TerminalKind::Phone);
            t.routes = vec![Route::new(Bearer::Channel, id)];
            t
        });
        let mail = MailFacts::new("INBOX", "x@y.example", "s", 10, ["image/jpeg"]);
        (Snapshot::new(terminals.to_vec(), &Limits::default()).unwrap(), mail)
    }

    #[test]
    fn the_smallest_change_is_found_and_works() {
        let (snapshot, mail) = world();
        let policy = Policy::new(Action::Push(Push::to([Selector::InUse, Selector::Any])));
        let now = Now::at(Millis(1_000_000));
        let b = TerminalId::new("b").unwrap();
        let change = counterfactual(&policy, &snapshot, &mail, now, &b).unwrap().unwrap();
        assert!(matches!(&change, Change::Reports { reading: Reading::Presence { .. }, .. }), "{change:?}");
        let after = what_if(&policy, &snapshot, &mail, now, &[change]).unwrap();
        assert_eq!(after.decision.first(), Some(1));
        assert_eq!(
            counterfactual(&policy, &snapshot, &mail, now, &TerminalId::new("a").unwrap()).unwrap(),
            None
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        let (snapshot, mail) = world();
        let now = Now::at(Millis(0));
        let change = Change::Gone { terminal: TerminalId::new("z").unwrap() };
        let error = what_if(&Policy::default(), &snapshot, &mail, now, &[change]).unwrap_err();
        assert_eq!(error.to_string(), r#"what if: no terminal "z""#);
        let change = Change::WithoutRule { rule: RuleId::new("r").unwrap() };
        assert!(what_if(&Policy::default(), &snapshot, &mail, now, &[change]).is_err());
    }
}
