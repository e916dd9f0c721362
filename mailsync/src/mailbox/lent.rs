//! Secrets that came for one session: in memory alone, and no longer than that.
// mission: M8c

use smsbridge::Secret;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whose account: the user, and the id of its item.
pub(crate) type Owner = (String, String);

/// Until a device that has logged its accounts in begins the sync that it did so for.
const BEGINS: Duration = Duration::from_secs(60);

/// The secrets of accounts that are kept by their devices alone.
#[derive(Debug, Default)]
pub(crate) struct Lent(Mutex<HashMap<Owner, Loan>>);

#[derive(Debug)]
struct Loan {
    secret: Secret<String>,
    /// In any case: whoever falls silent has gone.
    until: Instant,
    /// The mailbox was looked at since, or cannot be.
    looked: bool,
    /// Whose it is; none before its first message is answered.
    device: Option<Box<str>>,
    /// For which session; none between the one that logged in and the next.
    session: Option<Box<str>>,
}

impl Lent {
    /// A mail server has let in who has this secret.
    pub(super) fn lend(&self, owner: Owner, secret: Secret<String>, time: Duration) {
        let until = Instant::now() + time;
        let loan = Loan { secret, until, looked: false, device: None, session: None };
        self.with(|all| all.insert(owner, loan));
    }

    /// Nothing came of the message that brought them.
    pub(super) fn end(&self, owners: &[Owner]) {
        self.with(|all| all.retain(|owner, _| !owners.contains(owner)));
    }

    /// These are the device's, which holds this session.
    pub(super) fn bind(&self, owners: &[Owner], device: &str) {
        self.with(|all| {
            for owner in owners {
                if let Some(loan) = all.get_mut(owner) {
                    loan.device = Some(device.into());
                }
            }
        });
    }

    /// A device has spoken in a session: what it has lent is for that one, if it was for no other. A device has one session
    /// at a time, so what it lent for another is over.
    pub(super) fn heard(&self, user: &str, device: &str, session: &str, time: Duration) {
        let until = Instant::now() + time;
        self.of(user, device, |loan| match &loan.session {
            Some(held) if **held != *session => false,
            _ => {
                (loan.session, loan.until) = (Some(session.into()), until);
                true
            }
        });
    }

    /// A session that did nothing but log in is over: the next one of the device is meant.
    pub(super) fn waits(&self, session: &str) {
        let until = Instant::now() + BEGINS;
        self.with(|all| {
            for loan in all.values_mut().filter(|loan| loan.session.as_deref() == Some(session)) {
                (loan.session, loan.until) = (None, loan.until.min(until));
            }
        });
    }

    /// What is lent for a session.
    pub(super) fn of_session(&self, session: &str) -> Vec<Owner> {
        self.with(|all| {
            let its = all.iter().filter(|(_, loan)| loan.session.as_deref() == Some(session));
            its.map(|(owner, _)| owner.clone()).collect()
        })
    }

    /// The sessions for which anything is lent.
    pub(super) fn sessions(&self) -> Vec<Box<str>> {
        self.with(|all| {
            let mut sessions: Vec<_> = all.values().filter_map(|loan| loan.session.clone()).collect();
            sessions.sort_unstable();
            sessions.dedup();
            sessions
        })
    }

    /// Whether nothing is lent.
    pub(super) fn is_empty(&self) -> bool {
        self.with(|all| all.is_empty())
    }

    /// The secret, until its time is over.
    pub(super) fn secret(&self, user: &str, luid: &str) -> Option<Secret<String>> {
        self.with(|all| all.get(&(user.to_owned(), luid.to_owned())).map(|loan| loan.secret.clone()))
    }

    /// What there is is here now, or will not be.
    pub(super) fn looked(&self, user: &str, luid: &str) {
        self.with(|all| {
            if let Some(loan) = all.get_mut(&(user.to_owned(), luid.to_owned())) {
                loan.looked = true;
            }
        });
    }

    /// Whether a look is still awaited.
    pub(super) fn awaits(&self, owners: &[Owner]) -> bool {
        self.with(|all| owners.iter().any(|owner| all.get(owner).is_some_and(|loan| !loan.looked)))
    }

    fn of(&self, user: &str, device: &str, mut keep: impl FnMut(&mut Loan) -> bool) {
        self.with(|all| {
            all.retain(|owner, loan| owner.0 != user || loan.device.as_deref() != Some(device) || keep(loan));
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Owner, Loan>) -> T) -> T {
        // Nothing panics while it holds the lock.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|_, loan| loan.until > now);
        work(&mut all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn lent() -> (Lent, Owner) {
        let (lent, owner) = (Lent::default(), ("ann".to_owned(), "work".to_owned()));
        lent.lend(owner.clone(), Secret::new("hunter2".into()), MINUTE);
        lent.bind(std::slice::from_ref(&owner), "phone");
        (lent, owner)
    }

    // mission: M8c
    #[test]
    fn a_secret_is_there_for_its_time_and_shows_nowhere() {
        let (lent, owner) = lent();
        assert!(!format!("{lent:?}").contains("hunter2"));
        assert_eq!(lent.secret("ann", "work").unwrap().expose(), "hunter2");
        assert!(lent.secret("bob", "work").is_none() && lent.secret("ann", "home").is_none());
        assert!(lent.awaits(std::slice::from_ref(&owner)));
        lent.looked("ann", "work");
        assert!(!lent.awaits(std::slice::from_ref(&owner)));
        lent.lend(owner, Secret::new("hunter2".into()), Duration::ZERO);
        assert!(lent.secret("ann", "work").is_none() && lent.is_empty(), "its time is over");
    }

    // mission: M8c
    #[test]
    fn a_secret_is_for_the_session_that_logged_in_and_the_one_it_did_so_for() {
        let (lent, owner) = lent();
        lent.heard("ann", "phone", "s1", MINUTE);
        assert_eq!(lent.sessions(), ["s1".into()]);
        lent.waits("s1");
        assert!(lent.sessions().is_empty() && lent.secret("ann", "work").is_some());
        lent.heard("ann", "other", "s9", MINUTE);
        assert!(lent.of_session("s9").is_empty(), "another device's");
        lent.heard("ann", "phone", "s2", MINUTE);
        assert_eq!(lent.of_session("s2"), std::slice::from_ref(&owner));
        lent.heard("ann", "phone", "s2", MINUTE);
        lent.end(&lent.of_session("s2"));
        assert!(lent.is_empty());
        // The device begins anew without an end: what it lent before is over.
        let (lent, _) = self::lent();
        lent.heard("ann", "phone", "s1", MINUTE);
        lent.heard("ann", "phone", "s2", MINUTE);
        assert!(lent.is_empty());
    }
}
