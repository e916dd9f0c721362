//! Whether a terminal is told of an event at all, when, and how often: rules, quiet hours, folding, the SMS budget.
//!
//! All values without clock or IO; the host keeps them as rows.

use crate::location::name_rule;
use crate::mail::MailFacts;
use crate::pattern::Pattern;
use crate::policy::TimeWindow;
use crate::time::{LocalTime, Millis};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What happened.
// mission: M4e
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A mail arrived.
    Arrived,
    /// Its state changed.
    StateChanged,
    /// It was deleted.
    Deleted,
}

/// The name under which the terminal knows the mail, or will be offered it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemId {
    /// The terminal holds it under this LUID.
    Luid(String),
    /// It does not hold it yet; it will be offered under this temporary id.
    Temporary(String),
}

/// An event as one terminal sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Where.
    pub folder: String,
    /// To what.
    pub item: ItemId,
}

impl Event {
    /// All parts.
    #[must_use]
    pub fn new(kind: EventKind, folder: impl Into<String>, item: ItemId) -> Event {
        Event { kind, folder: folder.into(), item }
    }
}

/// Which events a terminal is told of. The first rule that matches decides.
// mission: M4a
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotifyRules {
    /// In order.
    #[serde(default)]
    pub rules: Vec<NotifyRule>,
    /// When none matches.
    #[serde(default)]
    pub default: Tell,
    /// The user sleeps.
    #[serde(default)]
    pub quiet: Vec<TimeWindow>,
}

impl Default for NotifyRules {
    /// Tells of everything, at any time.
    fn default() -> NotifyRules {
        NotifyRules { rules: Vec::new(), default: Tell::Yes, quiet: Vec::new() }
    }
}

/// One rule; everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NotifyRule {
    /// Names it in verdicts.
    pub id: String,
    /// These kinds; all if empty.
    pub kinds: Vec<EventKind>,
    /// The folder.
    pub folder: Option<Pattern>,
    /// The sender.
    pub sender: Option<Pattern>,
    /// The subject.
    pub subject: Option<Pattern>,
    /// At least so many octets.
    pub min_size: Option<u64>,
    /// At most so many octets.
    pub max_size: Option<u64>,
    /// What then.
    pub then: Tell,
}

impl NotifyRule {
    /// A rule that matches everything.
    #[must_use]
    pub fn new(id: impl Into<String>, then: Tell) -> NotifyRule {
        NotifyRule { id: id.into(), then, ..NotifyRule::default() }
    }

    fn matches(&self, kind: EventKind, mail: &MailFacts) -> bool {
        let fits = |p: &Option<Pattern>, field: &str| p.as_ref().is_none_or(|p| p.matches(field));
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.min_size.is_none_or(|n| mail.size() >= n)
            && self.max_size.is_none_or(|n| mail.size() <= n)
            && fits(&self.folder, mail.folder())
            && fits(&self.sender, mail.from())
            && fits(&self.subject, mail.subject())
    }
}

/// Whether to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tell {
    /// Yes, outside quiet hours.
    #[default]
    Yes,
    /// Yes, in quiet hours too.
    Urgent,
    /// No: it comes with the next sync.
    No,
}

/// What is to be done with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Tell now (or fold it with others: [`Folder`]).
    Now,
    /// Quiet hours: tell in so many minutes.
    Later {
        /// Minutes until the quiet ends.
        minutes: u16,
    },
    /// Do not tell: the rule, or that the terminal does not hold the mail.
    Silent {
        /// The rule's id; empty for the default; `not_held`.
        because: String,
    },
}

/// Why rules were not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("notify rule {id:?}: {what}")]
#[non_exhaustive]
pub struct NotifyError {
    /// The rule; empty for the quiet hours.
    pub id: String,
    /// What is wrong.
    pub what: String,
}

impl NotifyRules {
    /// Rules at most, and windows at most.
    pub const MAX: usize = 256;

    /// Checks what the types cannot: names, patterns of at most 256 octets, windows, numbers of both.
    ///
    /// # Errors
    /// [`NotifyError`], naming the rule.
    pub fn check(&self) -> Result<(), NotifyError> {
        let error = |id: &str, what: String| NotifyError { id: id.to_owned(), what };
        if self.rules.len() > Self::MAX || self.quiet.len() > Self::MAX {
            return Err(error(
                "",
                format!("{} rules, {} windows, limit {}", self.rules.len(), self.quiet.len(), Self::MAX),
            ));
        }
        self.quiet.iter().try_for_each(TimeWindow::check).map_err(|what| error("", what))?;
        for rule in &self.rules {
            name_rule("notify rule", &rule.id).map_err(|e| error("", e.to_string()))?;
            for p in [&rule.folder, &rule.sender, &rule.subject].into_iter().flatten() {
                if p.text().len() > 256 {
                    return Err(error(&rule.id, format!("pattern of {} octets, limit 256", p.text().len())));
                }
            }
        }
        Ok(())
    }

    /// Judges an event for one terminal. `holds`: whether that terminal holds the mail. `local`: its user's wall
    /// clock; unknown: no quiet hours.
    #[must_use]
    pub fn judge(&self, kind: EventKind, mail: &MailFacts, holds: bool, local: Option<LocalTime>) -> Verdict {
        // mission: M4e (a deletion or state change is told only to clients that hold the mail)
        if kind != EventKind::Arrived && !holds {
            return Verdict::Silent { because: "not_held".to_owned() };
        }
        let rule = self.rules.iter().find(|r| r.matches(kind, mail));
        let (tell, id) = rule.map_or((self.default, ""), |r| (r.then, r.id.as_str()));
        match tell {
            Tell::No => Verdict::Silent { because: id.to_owned() },
            Tell::Urgent => Verdict::Now,
            Tell::Yes => match local.map_or(0, |t| self.quiet_minutes(t)) {
                0 => Verdict::Now,
                minutes => Verdict::Later { minutes },
            },
        }
    }

    /// Minutes until no window holds; 0 outside; a week if they leave no gap.
    fn quiet_minutes(&self, now: LocalTime) -> u16 {
        let quiet =
            |minute: u16| LocalTime::try_from(minute).is_ok_and(|t| self.quiet.iter().any(|w| w.contains(t)));
        (0..LocalTime::WEEK)
            .find(|ahead| !quiet((now.minute_of_week() + ahead) % LocalTime::WEEK))
            .unwrap_or(LocalTime::WEEK)
    }
}

/// Folds the events of one terminal and datastore into notices.
///
/// The first event waits [`Gather::gather_ms`] for others; after a notice, the next leaves no sooner than
/// [`Gather::gap_ms`] later. More than [`Gather::named`] events of one kind and folder become a count.
// threat: N2 (a mail flood gives one coalesced notice)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folder {
    pending: Vec<Folded>,
    due: Option<Millis>,
    sent_at: Option<Millis>,
}

/// How long events are gathered. [our choice]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gather {
    /// Milliseconds that the first event waits.
    pub gather_ms: u64,
    /// Milliseconds between notices.
    pub gap_ms: u64,
    /// Mails of one kind and folder named one by one; more become a count.
    pub named: usize,
    /// Kinds and folders held apart; more become one count over all folders.
    pub groups: usize,
}

impl Default for Gather {
    fn default() -> Gather {
        Gather { gather_ms: 2_000, gap_ms: 60_000, named: 8, groups: 32 }
    }
}

/// What a notice says about one kind of event in one folder.
// mission: M4e
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Folded {
    /// What happened.
    pub kind: EventKind,
    /// Where; empty: in several folders.
    pub folder: String,
    /// How many mails.
    pub count: u64,
    /// Which; empty when there are too many to name.
    pub items: Vec<ItemId>,
}

impl Folder {
    /// Takes an event that is to be told. An arrival that is deleted before anybody was told is no event.
    pub fn add(&mut self, now: Millis, event: Event, gather: &Gather) {
        if event.kind == EventKind::Deleted && self.forget(&event, EventKind::Arrived) {
            self.due = self.due.filter(|_| !self.pending.is_empty());
            return;
        }
        if event.kind == EventKind::Deleted {
            self.forget(&event, EventKind::StateChanged);
        }
        let full = self.pending.len() >= gather.groups;
        let group = self.pending.iter().position(|f| f.kind == event.kind && f.folder == event.folder);
        let group = group.or_else(|| {
            let shared = self.pending.iter().position(|f| f.kind == event.kind && f.folder.is_empty());
            shared.filter(|_| full)
        });
        match group.and_then(|g| self.pending.get_mut(g)) {
            Some(f) if f.items.contains(&event.item) => {}
            Some(f) => {
                f.count = f.count.saturating_add(1);
                let named = !f.items.is_empty() && f.items.len() < gather.named;
                if named { f.items.push(event.item) } else { f.items.clear() }
            }
            None => {
                let folder = if full { String::new() } else { event.folder };
                let items = if full { Vec::new() } else { vec![event.item] };
                self.pending.push(Folded { kind: event.kind, folder, count: 1, items });
            }
        }
        let earliest = self.sent_at.map_or(Millis(0), |at| at.plus(gather.gap_ms));
        self.due = Some(self.due.unwrap_or(now.plus(gather.gather_ms).max(earliest)));
    }

    /// When [`take`](Folder::take) has something.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Millis> {
        self.due
    }

    /// The notice, if it is due: what happened, sorted by kind and folder.
    pub fn take(&mut self, now: Millis) -> Option<Vec<Folded>> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        self.sent_at = Some(now);
        let mut notice = std::mem::take(&mut self.pending);
        notice.sort_by(|a, b| (a.kind, &a.folder).cmp(&(b.kind, &b.folder)));
        Some(notice)
    }

    /// Everything at once, when the terminal opens a session: nothing waits any more.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.due = None;
    }

    /// Whether a pending event of `kind` about the same mail was there; it is gone then.
    fn forget(&mut self, event: &Event, kind: EventKind) -> bool {
        for f in self.pending.iter_mut().filter(|f| f.kind == kind) {
            if let Some(at) = f.items.iter().position(|i| *i == event.item) {
                f.items.remove(at);
                f.count = f.count.saturating_sub(1);
                self.pending.retain(|f| f.count > 0);
                return true;
            }
        }
        false
    }
}

/// At most so many short messages (or calls) in any hour for one user.
// threat: N2 (60 SMS per user and hour, the rest on the next sync)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmsBudget {
    sent: VecDeque<Millis>,
}

impl SmsBudget {
    /// In any hour.
    pub const PER_HOUR: usize = 60;
    const HOUR_MS: u64 = 3_600_000;

    /// Spends one, if there is one; `segments` short messages make one push.
    ///
    /// # Errors
    /// When there will be enough; a push of more than 60 segments never passes and gives the far end of time.
    pub fn spend(&mut self, now: Millis, segments: usize) -> Result<(), Millis> {
        while self.sent.front().is_some_and(|at| now.since(*at) >= Self::HOUR_MS) {
            self.sent.pop_front();
        }
        let segments = segments.max(1);
        let free = Self::PER_HOUR.saturating_sub(self.sent.len());
        if segments <= free {
            self.sent.extend(std::iter::repeat_n(now, segments));
            return Ok(());
        }
        if segments > Self::PER_HOUR {
            return Err(Millis(u64::MAX));
        }
        let until = self.sent.get(segments - free - 1).copied().unwrap_or(now);
        Err(until.plus(Self::HOUR_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(size: u64) -> MailFacts {
        MailFacts::new("INBOX/Work", "Boss <boss@corp.example>", "Budget", size, ["text/plain"])
    }

    fn event(kind: EventKind, folder: &str, n: u32) -> Event {
        Event::new(kind, folder, ItemId::Luid(n.to_string()))
    }

    // mission: M4a
    #[test]
    fn rules_look_at_folder_sender_and_size() {
        let rules: NotifyRules = serde_json::from_str(
            r#"{"rules":[{"id":"huge","min_size":1000000,"then":"no"},
                {"id":"boss","sender":{"keyword":"boss@"},"then":"urgent"},
                {"id":"work","folder":{"glob":"inbox/*"},"kinds":["arrived"],"then":"no"}],
                "quiet":[{"from_minute":1320,"to_minute":420}]}"#,
        )
        .unwrap();
        rules.check().unwrap();
        let night = LocalTime::new(1, 23, 0).ok();
        let judge = |m: &MailFacts| rules.judge(EventKind::Arrived, m, false, night);
        assert_eq!(judge(&mail(2_000_000)), Verdict::Silent { because: "huge".into() });
        assert_eq!(judge(&mail(5)), Verdict::Now);
        let other = MailFacts::new("INBOX/Work", "x@y.example", "", 1, ["text/plain"]);
        assert_eq!(judge(&other), Verdict::Silent { because: "work".into() });
        let inbox = MailFacts::new("INBOX", "x@y.example", "", 1, ["text/plain"]);
        assert_eq!(judge(&inbox), Verdict::Later { minutes: 480 });
        assert_eq!(rules.judge(EventKind::Arrived, &inbox, false, None), Verdict::Now);
    }

    // mission: M4e
    #[test]
    fn deletions_and_changes_are_told_only_to_holders() {
        let rules = NotifyRules::default();
        for kind in [EventKind::Deleted, EventKind::StateChanged] {
            assert_eq!(
                rules.judge(kind, &mail(1), false, None),
                Verdict::Silent { because: "not_held".into() }
            );
            assert_eq!(rules.judge(kind, &mail(1), true, None), Verdict::Now);
        }
        assert_eq!(rules.judge(EventKind::Arrived, &mail(1), false, None), Verdict::Now);
    }

    #[test]
    fn quiet_hours_without_a_gap_end_in_a_week() {
        let rules = NotifyRules { quiet: vec![TimeWindow::daily(0, 1440)], ..NotifyRules::default() };
        let local = LocalTime::new(3, 3, 3).ok();
        assert_eq!(
            rules.judge(EventKind::Arrived, &mail(1), false, local),
            Verdict::Later { minutes: 10_080 }
        );
    }

    #[test]
    fn threat_n2_a_mail_flood_gives_one_notice_with_a_count() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        for n in 0..10_000 {
            folder.add(Millis(u64::from(n) / 10), event(EventKind::Arrived, "INBOX", n), &gather);
        }
        assert_eq!(folder.take(Millis(1_999)), None);
        let notice = folder.take(Millis(2_000)).unwrap();
        assert_eq!(notice.len(), 1);
        assert_eq!((notice[0].count, notice[0].items.len()), (10_000, 0));
        folder.add(Millis(3_000), event(EventKind::Arrived, "INBOX", 1), &gather);
        assert_eq!(folder.poll_timeout(), Some(Millis(62_000)));
    }

    #[test]
    fn threat_n2_many_folders_stay_bounded() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        for n in 0..1_000 {
            folder.add(Millis(0), event(EventKind::Arrived, &format!("f{n}"), n), &gather);
        }
        let notice = folder.take(Millis(2_000)).unwrap();
        assert_eq!(notice.len(), gather.groups + 1);
        assert_eq!(notice.iter().map(|f| f.count).sum::<u64>(), 1_000);
    }

    #[test]
    fn what_came_and_went_is_no_news() {
        let (mut folder, gather) = (Folder::default(), Gather::default());
        folder.add(Millis(0), event(EventKind::Arrived, "INBOX", 1), &gather);
        folder.add(Millis(1), event(EventKind::Deleted, "INBOX", 1), &gather);
        assert_eq!(folder.poll_timeout(), None);
        folder.add(Millis(2), event(EventKind::StateChanged, "INBOX", 2), &gather);
        folder.add(Millis(3), event(EventKind::StateChanged, "INBOX", 2), &gather);
        folder.add(Millis(4), event(EventKind::Deleted, "INBOX", 2), &gather);
        let notice = folder.take(Millis(5_000)).unwrap();
        assert_eq!(
            notice,
            [Folded {
                kind: EventKind::Deleted,
                folder: "INBOX".into(),
                count: 1,
                items: vec![ItemId::Luid("2".into())]
            }]
        );
    }

    #[test]
    fn threat_n2_at_most_60_sms_in_any_hour() {
        let mut budget = SmsBudget::default();
        let passed: Vec<u64> =
            (0..3 * 3_600u64).map(|s| s * 1_000).filter(|ms| budget.spend(Millis(*ms), 1).is_ok()).collect();
        for (i, at) in passed.iter().enumerate() {
            let in_hour = passed[i..].iter().take_while(|t| **t < at + 3_600_000).count();
            assert!(in_hour <= 60, "{in_hour} from {at}");
        }
        assert_eq!(passed.len(), 180);
    }

    #[test]
    fn segments_are_counted_and_the_wait_is_exact() {
        let mut budget = SmsBudget::default();
        for minute in 0..29 {
            budget.spend(Millis(minute * 60_000), 2).unwrap();
        }
        let at = budget.spend(Millis(29 * 60_000), 5).unwrap_err();
        assert_eq!(at, Millis(60_000 + 3_600_000));
        assert!(budget.clone().spend(Millis(at.0 - 1), 5).is_err());
        assert!(budget.spend(at, 5).is_ok());
        assert_eq!(budget.spend(at, 61), Err(Millis(u64::MAX)));
    }
}
