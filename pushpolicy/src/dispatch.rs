//! What becomes of each mail of one user after it came: terminals are asked for reports, it is decided who gets it, who is
//! told and who is next, and all of it ends when somebody has seen it.
//!
//! [`PushState`] is a value without clock or IO, the one owner of what a host must keep about pushing: the ledgers of the
//! terminals, the plans of the mails, the routes that failed and what was spent on short messages. The host keeps it as one
//! row of the user, hands it reports and arrivals, asks [`PushState::say`] for each terminal and mail, and sends what
//! [`Delivery`](crate::notify::Delivery) makes of the answers.

mod plan;

pub use plan::{Plan, Settled};

use crate::decision::{HintView, TargetView};
use crate::error::{Implausible, ReportError, SnapshotError};
use crate::evidence::{Order, Report};
use crate::ledger::{Ingest, Ledger};
use crate::limits::Limits;
use crate::notify::SmsBudget;
use crate::policy::Policy;
use crate::sent::Delivery;
use crate::snapshot::Snapshot;
use crate::terminal::{Bearer, Terminal, TerminalId};
use crate::time::{Millis, Now};
use crate::{CompiledPolicy, MailFacts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Mails whose plans are kept; the oldest go first. [our choice]
pub const PLANS: usize = 256;

/// How long is waited, and kept. [our choice]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Patience {
    /// Milliseconds for which a report counts as new: who reported earlier is asked when mail arrives.
    pub fresh_ms: u64,
    /// Milliseconds for which the answers are waited for; then the last reports known are used. 0: nobody is asked.
    pub wait_ms: u64,
    /// Milliseconds for which a route that failed is not used.
    pub down_ms: u64,
    /// Milliseconds for which presence, place and plans are kept.
    pub keep_ms: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { fresh_ms: 30_000, wait_ms: 2_000, down_ms: 60_000, keep_ms: 86_400_000 }
    }
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The moment.
    pub now: Now,
    /// The policy in force.
    pub policy: &'a Policy,
    /// The same, made ready.
    pub compiled: &'a CompiledPolicy,
    /// How often it changed.
    pub revision: u64,
    /// The terminals: [`PushState::snapshot`].
    pub snapshot: &'a Snapshot,
    /// How long is waited.
    pub patience: &'a Patience,
}

/// All that is kept of one user's pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PushState {
    /// Mails up to this revision of the host's have plans, or need none.
    pub known: u64,
    /// Decisions made so far: the number of the last one.
    pub decided: u64,
    terminals: BTreeMap<TerminalId, Heard>,
    plans: BTreeMap<String, Plan>,
    budget: SmsBudget,
    /// Reports taken.
    heard: u64,
}

/// What a terminal said, and what of its routes failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Heard {
    ledger: Ledger,
    /// By what, at which address, until when.
    down: Vec<(Bearer, String, Millis)>,
}

/// What one terminal is to be told of one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Say<'a> {
    /// It is for it.
    Push(&'a TargetView),
    /// Others got it.
    Hint(&'a HintView),
    /// Nothing before then.
    Until(Millis),
    /// Nothing: somebody has seen it, a rule wants silence, or it came before anybody decided.
    Nothing,
}

impl PushState {
    /// Takes a report that came from an authenticated terminal. What is not newer than the last is left alone.
    ///
    /// # Errors
    /// [`ReportError`] for a report that is none, is of another terminal, or holds what cannot be; nothing of it is taken.
    // mission: P1, P2
    pub fn hear(
        &mut self,
        now: Millis,
        terminal: &TerminalId,
        report: &[u8],
        limits: &Limits,
    ) -> Result<Ingest, ReportError> {
        let report = Report::from_json(report, limits)?;
        if report.terminal != *terminal {
            let why = "the id of the terminal that sends it";
            return Err(Implausible::new("terminal", report.terminal.as_str(), why).into());
        }
        if self.terminals.len() >= Limits::MAX_TERMINALS && !self.terminals.contains_key(terminal) {
            let (what, limit) = ("terminals", Limits::MAX_TERMINALS);
            return Err(ReportError::Limit { what, value: limit.saturating_add(1), limit });
        }
        let heard = self
            .terminals
            .entry(terminal.clone())
            .or_insert_with(|| Heard { ledger: Ledger::new(0), ..Heard::default() });
        let taken = heard.ledger.ingest(now, &report, limits)?;
        if matches!(taken, Ingest::Taken | Ingest::Folded) {
            self.heard = self.heard.saturating_add(1);
            // It lives: what failed may work again.
            heard.down.clear();
        }
        Ok(taken)
    }

    /// The last report taken of a terminal.
    #[must_use]
    pub fn last(&self, terminal: &TerminalId) -> Option<Order> {
        self.terminals.get(terminal)?.ledger.last()
    }

    /// Forgets terminals that are registered no more, presence and place that are old, and plans that are done with.
    pub fn forget(&mut self, now: Millis, registered: &[Terminal], patience: &Patience) {
        self.terminals.retain(|id, _| registered.iter().any(|terminal| terminal.id == *id));
        for heard in self.terminals.values_mut() {
            heard.ledger.forget(now, patience.keep_ms);
            heard.down.retain(|(_, _, until)| *until > now);
        }
        self.plans.retain(|_, plan| now.since(plan.came()) <= patience.keep_ms);
        while self.plans.len() > PLANS {
            let oldest = self.plans.iter().min_by_key(|(_, plan)| plan.came()).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.plans.remove(&oldest);
        }
    }

    /// The registered terminals with what they reported; routes that failed are down.
    ///
    /// # Errors
    /// [`SnapshotError`]: an id twice, a limit, an impossible value.
    pub fn snapshot(
        &self,
        now: Millis,
        mut terminals: Vec<Terminal>,
        limits: &Limits,
    ) -> Result<Snapshot, SnapshotError> {
        for terminal in &mut terminals {
            let Some(heard) = self.terminals.get(&terminal.id) else { continue };
            terminal.evidence = heard.ledger.evidence().to_vec();
            for route in &mut terminal.routes {
                let failed = |(by, at, until): &(Bearer, String, Millis)| {
                    *by == route.bearer && *at == route.address && *until > now
                };
                route.up &= !heard.down.iter().any(failed);
            }
        }
        Snapshot::new(terminals, limits)
    }

    /// A mail came, under the host's name for it.
    pub fn arrived(&mut self, now: Millis, mail: &str) {
        self.plans.entry(mail.to_owned()).or_insert_with(|| Plan::new(now));
    }

    /// Mails about which something may still have to be decided or told.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().filter(|(_, plan)| !plan.is_over()).map(|(mail, _)| mail.as_str())
    }

    /// Somebody has seen it, or it is gone: nobody is told of it any more.
    // mission: P8
    pub fn over(&mut self, mail: &str) {
        if let Some(plan) = self.plans.get_mut(mail) {
            plan.end();
        }
    }

    /// Decides a mail, again if need be, or finds whom to ask first. `facts` is asked only when it is decided.
    ///
    /// # Errors
    /// Those of `facts`; then nothing changed.
    // mission: P2, P3
    pub fn settle<E>(
        &mut self,
        mail: &str,
        world: &World<'_>,
        facts: impl FnOnce() -> Result<MailFacts, E>,
    ) -> Result<Settled, E> {
        let (terminals, heard) = (&self.terminals, self.heard);
        let last = |id: &TerminalId| terminals.get(id).and_then(|heard| heard.ledger.last());
        let Some(plan) = self.plans.get_mut(mail) else { return Ok(Settled::default()) };
        match plan.ready(world, heard, &last) {
            Some(settled) => Ok(settled),
            None => {
                let settled = plan.decide(world, facts()?, heard);
                self.decided = self.decided.saturating_add(u64::from(settled.record.is_some()));
                Ok(settled)
            }
        }
    }

    /// What a terminal is to be told of a mail that has the host's revision `rev`.
    // mission: P3, P4
    #[must_use]
    pub fn say(&self, mail: &str, rev: u64, terminal: &TerminalId, now: Millis) -> Say<'_> {
        match self.plans.get(mail) {
            Some(plan) => plan.say(terminal, now),
            // It came a moment ago, and is looked at next.
            None if rev > self.known => Say::Until(now.plus(1_000)),
            None => Say::Nothing,
        }
    }

    /// A terminal was told where a mail went.
    pub fn hinted(&mut self, mail: &str, terminal: &TerminalId) {
        if let Some(plan) = self.plans.get_mut(mail) {
            plan.hinted(terminal);
        }
    }

    /// What became of a push on a route; one that does not work is not used for a while. True if another decision may help.
    pub fn sent(
        &mut self,
        now: Millis,
        terminal: &TerminalId,
        (bearer, address): (Bearer, &str),
        outcome: Delivery,
        patience: &Patience,
    ) -> bool {
        let until = match outcome {
            Delivery::Delivered | Delivery::Accepted | Delivery::Unknown => return false,
            Delivery::Unreachable => now.plus(patience.down_ms),
            Delivery::Gone | Delivery::Refused => now.plus(patience.keep_ms),
        };
        let heard = self
            .terminals
            .entry(terminal.clone())
            .or_insert_with(|| Heard { ledger: Ledger::new(0), ..Heard::default() });
        heard.down.retain(|(by, at, _)| *by != bearer || at != address);
        heard.down.push((bearer, address.to_owned(), until));
        heard.down.truncate(Limits::MAX_TERMINALS);
        true
    }

    /// Spends short messages, if there are any left in this hour.
    ///
    /// # Errors
    /// When there will be.
    // threat: N2
    pub fn spend(&mut self, now: Millis, segments: usize) -> Result<(), Millis> {
        self.budget.spend(now, segments)
    }
}

#[cfg(test)]
mod tests;
