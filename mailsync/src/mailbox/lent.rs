//! Secrets that came for one session: in memory alone, and not for long.
// mission: M8c

use smsbridge::Secret;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whose account: the user, and the id of its item.
pub(crate) type Owner = (String, String);

/// The secrets of accounts that are kept by their devices alone.
#[derive(Debug, Default)]
pub(crate) struct Lent(Mutex<HashMap<Owner, Loan>>);

#[derive(Debug)]
struct Loan {
    secret: Secret<String>,
    until: Instant,
    /// The mailbox was looked at since, or cannot be.
    looked: bool,
}

impl Lent {
    /// A mail server has let in who has this secret.
    pub(super) fn lend(&self, owner: Owner, secret: Secret<String>, time: Duration) {
        let until = Instant::now() + time;
        self.with(|all| all.insert(owner, Loan { secret, until, looked: false }));
    }

    /// The secret, until its time is over.
    pub(super) fn secret(&self, user: &str, luid: &str) -> Option<Secret<String>> {
        self.with(|all| {
            let now = Instant::now();
            all.retain(|_, loan| loan.until > now);
            all.get(&(user.to_owned(), luid.to_owned())).map(|loan| loan.secret.clone())
        })
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

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Owner, Loan>) -> T) -> T {
        // Nothing panics while it holds the lock.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: M8c
    #[test]
    fn a_secret_is_there_for_its_time_and_shows_nowhere() {
        let lent = Lent::default();
        let owner = ("ann".to_owned(), "work".to_owned());
        lent.lend(owner.clone(), Secret::new("hunter2".into()), Duration::from_secs(60));
        assert!(!format!("{lent:?}").contains("hunter2"));
        assert_eq!(lent.secret("ann", "work").unwrap().expose(), "hunter2");
        assert!(lent.secret("bob", "work").is_none() && lent.secret("ann", "home").is_none());
        assert!(lent.awaits(std::slice::from_ref(&owner)));
        lent.looked("ann", "work");
        assert!(!lent.awaits(std::slice::from_ref(&owner)));
        lent.lend(owner, Secret::new("hunter2".into()), Duration::ZERO);
        assert!(lent.secret("ann", "work").is_none(), "its time is over");
    }
}
