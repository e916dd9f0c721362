//! Which number belongs to which mailbox.

use super::number::Msisdn;
use crate::smtp::Mailbox;
use std::collections::BTreeMap;

/// A number and a mailbox that stand for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The phone.
    pub number: Msisdn,
    /// The mailbox.
    pub mailbox: Mailbox,
    /// How long it holds.
    pub kind: Kind,
    /// Who made it.
    pub origin: Origin,
    /// With several, the one that is used where only one can be.
    pub preferred: bool,
}

impl Binding {
    /// A permanent one, preferred.
    pub fn new(number: Msisdn, mailbox: Mailbox, origin: Origin) -> Self {
        Binding { number, mailbox, kind: Kind::Permanent, origin, preferred: true }
    }

    fn holds(&self, now: u64) -> bool {
        match self.kind {
            Kind::Permanent => true,
            Kind::Until(end) => now < end,
        }
    }
}

/// How long a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Until it is removed.
    Permanent,
    /// Until this time, in seconds since 1970.
    Until(u64),
}

/// Who made a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Both ends, by their codes.
    Proved,
    /// The operator.
    Operator,
    /// A message of a sender who may speak for the mailbox.
    Message,
}

/// What happened to a binding, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audit {
    /// Made, or made again.
    Added(Binding),
    /// Taken away by hand.
    Removed(Binding),
    /// Its time ended.
    Expired(Binding),
    /// A proof began.
    Asked {
        /// The phone.
        number: Msisdn,
        /// The mailbox.
        mailbox: Mailbox,
    },
    /// A proof failed for good.
    ProofFailed {
        /// The phone.
        number: Msisdn,
        /// The mailbox.
        mailbox: Mailbox,
    },
}

/// Where bindings are kept. A vendor implements the first five over a database; [`Bindings`] keeps them in memory.
///
/// The methods with a body are the rules, the same over every store.
pub trait BindingStore {
    /// Bindings of a number, any kind, also ended ones.
    fn of_number(&self, number: &Msisdn) -> Vec<Binding>;
    /// Bindings of a mailbox; the domain in any case.
    fn of_mailbox(&self, mailbox: &Mailbox) -> Vec<Binding>;
    /// All of them, by number.
    fn all(&self) -> Vec<Binding>;
    /// Adds a binding, or replaces the one of the same number and mailbox.
    fn put(&mut self, binding: Binding);
    /// Takes the binding of these two out.
    fn take(&mut self, number: &Msisdn, mailbox: &Mailbox) -> Option<Binding>;
    /// Adds to the audit trail.
    fn audit(&mut self, entry: Audit);

    /// Adds a binding; a preferred one takes that from the others of its number and of its mailbox.
    fn add(&mut self, binding: Binding, now: u64) {
        if binding.preferred {
            let others = [self.of_number(&binding.number), self.of_mailbox(&binding.mailbox)].concat();
            for mut other in others {
                let same = other.number == binding.number && key(&other.mailbox) == key(&binding.mailbox);
                if other.preferred && !same && other.holds(now) {
                    other.preferred = false;
                    self.put(other);
                }
            }
        }
        self.audit(Audit::Added(binding.clone()));
        self.put(binding);
    }

    /// The operator binds two, without codes.
    fn register(&mut self, number: Msisdn, mailbox: Mailbox, now: u64) -> Binding {
        let binding = Binding::new(number, mailbox, Origin::Operator);
        self.add(binding.clone(), now);
        binding
    }

    /// Removes the binding of these two, by hand.
    fn remove(&mut self, number: &Msisdn, mailbox: &Mailbox) -> Option<Binding> {
        let removed = self.take(number, mailbox)?;
        self.audit(Audit::Removed(removed.clone()));
        Some(removed)
    }

    /// A message binds a number for a while. `rights` are the mailboxes that its authenticated sender speaks for.
    ///
    /// It never takes the preference from a permanent binding, nor a number that is permanently another's.
    ///
    /// # Errors
    /// [`BindingError::NotYours`], [`BindingError::TooLong`], [`BindingError::Taken`].
    fn bind_for(
        &mut self,
        number: Msisdn,
        mailbox: Mailbox,
        rights: &[Mailbox],
        now: u64,
        seconds: u64,
    ) -> Result<Binding, BindingError> {
        if !rights.iter().any(|right| key(right) == key(&mailbox)) {
            return Err(BindingError::NotYours);
        }
        if seconds > MAX_TEMPORARY {
            return Err(BindingError::TooLong { max: MAX_TEMPORARY });
        }
        let known = self.of_number(&number);
        let permanent = known.iter().find(|binding| binding.kind == Kind::Permanent);
        if let Some(binding) = permanent {
            let own = key(&binding.mailbox) == key(&mailbox);
            return if own { Ok(binding.clone()) } else { Err(BindingError::Taken) };
        }
        let binding = Binding {
            kind: Kind::Until(now.saturating_add(seconds)),
            preferred: false,
            ..Binding::new(number, mailbox, Origin::Message)
        };
        self.add(binding.clone(), now);
        Ok(binding)
    }

    /// The mailbox of a number: the preferred one, else the only one; none if several could be meant.
    fn mailbox_of(&self, number: &Msisdn, now: u64) -> Option<Mailbox> {
        choose(self.of_number(number), now).map(|binding| binding.mailbox)
    }

    /// The number of a mailbox, by the same rule.
    fn number_of(&self, mailbox: &Mailbox, now: u64) -> Option<Msisdn> {
        choose(self.of_mailbox(mailbox), now).map(|binding| binding.number)
    }

    /// Removes what has ended.
    fn expire(&mut self, now: u64) {
        for binding in self.all().into_iter().filter(|binding| !binding.holds(now)) {
            if let Some(ended) = self.take(&binding.number, &binding.mailbox) {
                self.audit(Audit::Expired(ended));
            }
        }
    }

    /// Permanent bindings as lines: number, tab, mailbox, tab, `preferred` or `also`.
    fn export(&self) -> String {
        let line = |binding: &Binding| {
            let rank = if binding.preferred { "preferred" } else { "also" };
            format!("{}\t{}\t{rank}\n", binding.number, binding.mailbox)
        };
        self.all().iter().filter(|binding| binding.kind == Kind::Permanent).map(line).collect()
    }

    /// Adds bindings of an export, as the operator's.
    ///
    /// # Errors
    /// The number of the first line that is none, from 1; nothing was added.
    fn import(&mut self, text: &str, now: u64) -> Result<usize, usize> {
        let bindings = parse_export(text)?;
        let count = bindings.len();
        bindings.into_iter().for_each(|binding| self.add(binding, now));
        Ok(count)
    }
}

/// Seconds that a temporary binding may hold: 30 days.
const MAX_TEMPORARY: u64 = 30 * 24 * 3_600;

/// A proof under way: one code went to the phone, another to the mailbox.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The phone.
    pub number: Msisdn,
    /// The mailbox.
    pub mailbox: Mailbox,
    /// Six digits for the phone.
    pub phone_code: String,
    /// Six digits for the mailbox.
    pub mail_code: String,
    /// Seconds since 1970 until which they count.
    pub expires: u64,
    /// Wrong codes so far.
    pub attempts: u8,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Challenge({:?}, {:?}, codes redacted)", self.number, self.mailbox)
    }
}

/// Why a binding was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// A code is wrong; try again.
    #[error("wrong code, {left} attempts left")]
    WrongCode {
        /// Attempts left.
        left: u8,
    },
    /// Too many wrong codes, or too late; begin anew.
    #[error("the codes no longer count")]
    Void,
    /// The sender may not speak for this mailbox.
    #[error("the sender has no right to this mailbox")]
    NotYours,
    /// It would end too late.
    #[error("longer than {max} seconds")]
    TooLong {
        /// The most that is allowed.
        max: u64,
    },
    /// One number, one mailbox, and this one has another.
    #[error("the number is bound to another mailbox")]
    Taken,
}

/// Wrong codes until a proof is void.
const ATTEMPTS: u8 = 5;
/// Seconds that codes count.
const CODE_LIFE: u64 = 15 * 60;

impl Challenge {
    /// Begins a proof; `random` is fresh. Send one code to each end, and ask for both back.
    pub fn new(
        store: &mut (impl BindingStore + ?Sized),
        number: Msisdn,
        mailbox: Mailbox,
        random: [u8; 16],
        now: u64,
    ) -> Self {
        let number_of =
            |octets: &[u8]| octets.iter().fold(0u64, |sum, &octet| sum << 8 | u64::from(octet)) % 1_000_000;
        let (first, second) = random.split_at(8);
        store.audit(Audit::Asked { number: number.clone(), mailbox: mailbox.clone() });
        Challenge {
            number,
            mailbox,
            phone_code: format!("{:06}", number_of(first)),
            mail_code: format!("{:06}", number_of(second)),
            expires: now.saturating_add(CODE_LIFE),
            attempts: 0,
        }
    }

    /// As it was stored; a host keeps it from the question to the answer.
    pub fn restore(
        number: Msisdn,
        mailbox: Mailbox,
        phone_code: String,
        mail_code: String,
        expires: u64,
        attempts: u8,
    ) -> Self {
        Challenge { number, mailbox, phone_code, mail_code, expires, attempts }
    }

    /// Both codes came back: binds the two if they are right.
    ///
    /// # Errors
    /// [`BindingError::WrongCode`], [`BindingError::Void`].
    pub fn confirm(
        &mut self,
        store: &mut (impl BindingStore + ?Sized),
        phone_code: &str,
        mail_code: &str,
        now: u64,
    ) -> Result<Binding, BindingError> {
        if now >= self.expires || self.attempts >= ATTEMPTS {
            return Err(BindingError::Void);
        }
        let same = |given: &str, code: &str| {
            let given = given.trim().as_bytes();
            // all octets are looked at, however many are right
            let wrong = given.iter().zip(code.as_bytes()).fold(0, |wrong, (a, b)| wrong | (a ^ b));
            given.len() == code.len() && wrong == 0
        };
        if same(phone_code, &self.phone_code) & same(mail_code, &self.mail_code) {
            self.attempts = ATTEMPTS;
            let binding = Binding::new(self.number.clone(), self.mailbox.clone(), Origin::Proved);
            store.add(binding.clone(), now);
            return Ok(binding);
        }
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            store.audit(Audit::ProofFailed { number: self.number.clone(), mailbox: self.mailbox.clone() });
            return Err(BindingError::Void);
        }
        Err(BindingError::WrongCode { left: ATTEMPTS - self.attempts })
    }
}

/// Bindings in memory.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    entries: BTreeMap<(Msisdn, String), Binding>,
    trail: Vec<Audit>,
}

/// A mailbox as a key: domains have no case.
fn key(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local_part(), mailbox.domain().to_ascii_lowercase())
}

impl BindingStore for Bindings {
    fn of_number(&self, number: &Msisdn) -> Vec<Binding> {
        self.entries.values().filter(|binding| binding.number == *number).cloned().collect()
    }

    fn of_mailbox(&self, mailbox: &Mailbox) -> Vec<Binding> {
        let wanted = key(mailbox);
        self.entries.values().filter(|binding| key(&binding.mailbox) == wanted).cloned().collect()
    }

    fn all(&self) -> Vec<Binding> {
        self.entries.values().cloned().collect()
    }

    fn put(&mut self, binding: Binding) {
        self.entries.insert((binding.number.clone(), key(&binding.mailbox)), binding);
    }

    fn take(&mut self, number: &Msisdn, mailbox: &Mailbox) -> Option<Binding> {
        self.entries.remove(&(number.clone(), key(mailbox)))
    }

    fn audit(&mut self, entry: Audit) {
        self.trail.push(entry);
    }
}

impl Bindings {
    /// What happened so far, oldest first; the host keeps it and clears it here.
    pub fn take_audit(&mut self) -> Vec<Audit> {
        std::mem::take(&mut self.trail)
    }
}

/// Reads an export.
///
/// # Errors
/// The number of the first line that is none, from 1.
pub fn parse_export(text: &str) -> Result<Vec<Binding>, usize> {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let number = Msisdn::parse(fields.next()?)?;
        let mailbox = fields.next()?.parse().ok()?;
        let preferred = match fields.next()? {
            "preferred" => true,
            "also" => false,
            _ => return None,
        };
        fields
            .next()
            .is_none()
            .then(|| Binding { preferred, ..Binding::new(number, mailbox, Origin::Operator) })
    };
    text.lines()
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(|(at, text)| line(text).ok_or(at + 1))
        .collect()
}

fn choose(bindings: Vec<Binding>, now: u64) -> Option<Binding> {
    let mut holding: Vec<Binding> = bindings.into_iter().filter(|binding| binding.holds(now)).collect();
    if let Some(at) = holding.iter().position(|binding| binding.preferred) {
        return Some(holding.swap_remove(at));
    }
    if holding.len() == 1 { holding.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str) -> Msisdn {
        Msisdn::parse(digits).unwrap()
    }

    fn mailbox(text: &str) -> Mailbox {
        text.parse().unwrap()
    }

    // mission: S4
    #[test]
    fn both_codes_are_needed() {
        let mut store = Bindings::default();
        let (phone, mail) = (number("+8613800138000"), mailbox("ann@example.org"));
        let mut challenge = Challenge::new(&mut store, phone.clone(), mail.clone(), [7; 16], 100);
        let (phone_code, mail_code) = (challenge.phone_code.clone(), challenge.mail_code.clone());
        assert_eq!((phone_code.len(), mail_code.len()), (6, 6));
        assert!(!format!("{challenge:?}").contains(&phone_code));
        for (left, (a, b)) in [(4, (phone_code.as_str(), "x")), (3, ("", mail_code.as_str())), (2, ("", ""))]
        {
            assert_eq!(challenge.confirm(&mut store, a, b, 101), Err(BindingError::WrongCode { left }));
        }
        assert_eq!(store.mailbox_of(&phone, 101), None);
        challenge.confirm(&mut store, &format!(" {phone_code} "), &mail_code, 101).unwrap();
        assert_eq!(store.mailbox_of(&phone, 102), Some(mail.clone()));
        assert_eq!(store.number_of(&mailbox("ann@EXAMPLE.org"), 102), Some(phone.clone()));
        // a code counts once, and not for ever
        assert_eq!(challenge.confirm(&mut store, &phone_code, &mail_code, 101), Err(BindingError::Void));
        let mut late = Challenge::new(&mut store, phone.clone(), mail.clone(), [8; 16], 100);
        let (a, b) = (late.phone_code.clone(), late.mail_code.clone());
        assert_eq!(late.confirm(&mut store, &a, &b, 1_000), Err(BindingError::Void));
        let mut guessed = Challenge::new(&mut store, phone, mail, [9; 16], 100);
        let last = (0..5).map(|_| guessed.confirm(&mut store, "0", "0", 101)).last().unwrap();
        assert_eq!(last, Err(BindingError::Void));
        assert!(store.take_audit().iter().any(|entry| matches!(entry, Audit::ProofFailed { .. })));
    }

    #[test]
    fn temporary_bindings_stay_within_rights_and_time() {
        let mut store = Bindings::default();
        let (phone, ann, eve) =
            (number("+8613800138000"), mailbox("ann@example.org"), mailbox("eve@example.org"));
        let rights = [mailbox("ann@Example.org")];
        let stolen = store.bind_for(phone.clone(), eve.clone(), &rights, 0, 60);
        assert_eq!(stolen, Err(BindingError::NotYours));
        assert!(matches!(
            store.bind_for(phone.clone(), ann.clone(), &rights, 0, 99_999_999),
            Err(BindingError::TooLong { .. })
        ));
        store.bind_for(phone.clone(), ann.clone(), &rights, 0, 60).unwrap();
        assert_eq!(store.mailbox_of(&phone, 59), Some(ann.clone()));
        assert_eq!(store.mailbox_of(&phone, 60), None);
        store.expire(60);
        assert!(matches!(store.take_audit().last(), Some(Audit::Expired(_))));
        // a permanent binding of another is not touched
        store.register(phone.clone(), eve.clone(), 60);
        assert_eq!(store.bind_for(phone.clone(), ann, &rights, 60, 60), Err(BindingError::Taken));
        assert_eq!(store.mailbox_of(&phone, 61), Some(eve));
    }

    #[test]
    fn several_have_one_default() {
        let mut store = Bindings::default();
        let phone = number("+8613800138000");
        store.register(phone.clone(), mailbox("home@example.org"), 0);
        store.register(phone.clone(), mailbox("work@example.org"), 0);
        assert_eq!(store.mailbox_of(&phone, 1), Some(mailbox("work@example.org")));
        store.remove(&phone, &mailbox("work@example.org"));
        assert_eq!(store.mailbox_of(&phone, 1), Some(mailbox("home@example.org")));
        // two that are equal: nobody guesses
        for name in ["a@x.org", "b@x.org"] {
            let binding = Binding {
                preferred: false,
                ..Binding::new(number("+4912345678"), mailbox(name), Origin::Operator)
            };
            store.add(binding, 0);
        }
        assert_eq!(store.mailbox_of(&number("+4912345678"), 1), None);
    }

    #[test]
    fn exports_come_back() {
        let mut store = Bindings::default();
        store.register(number("+8613800138000"), mailbox("home@example.org"), 0);
        store.register(number("+8613800138000"), mailbox("work@example.org"), 0);
        let text = store.export();
        let mut other = Bindings::default();
        assert_eq!(other.import(&text, 0), Ok(2));
        assert_eq!(other.export(), text);
        for bad in
            ["x", "+8613800138000\tann", "+8613800138000\ta@b\tfirst", "+8613800138000\ta@b\talso\tmore"]
        {
            assert_eq!(other.import(&format!("{text}{bad}\n"), 0), Err(3));
        }
        assert_eq!(other.export(), text);
    }
}
