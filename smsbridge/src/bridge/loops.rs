//! Loops: what must not be converted or answered by a machine.

use super::header::fields;
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a mail is not converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoopRisk {
    /// Its envelope has no sender: a report.
    #[error("null sender")]
    NullSender,
    /// `Auto-Submitted` says that no person sent it.
    #[error("Auto-Submitted: {0}")]
    AutoSubmitted(String),
    /// Bulk mail.
    #[error("Precedence: {0}")]
    Precedence(String),
    /// A mailing list.
    #[error("list mail ({0})")]
    List(String),
    /// Sent by a mail system.
    #[error("sent by {0}")]
    System(String),
    /// Through too many hosts.
    #[error("{0} Received fields")]
    Hops(usize),
    /// It was here before.
    #[error("our own trace")]
    OwnTrace,
}

/// Hosts that a mail may have passed; bridged mail rarely passes ten.
const MAX_HOPS: usize = 25;

/// Checks a mail before it is converted or answered. `trace` is our own trace field and its value.
///
/// # Errors
/// The [`LoopRisk`]; the host may still deliver the mail unchanged.
/// # Spec
/// RFC 3834 §2, RFC 5321 §6.3, RFC 5436 §2.7.1
pub fn may_convert(sender: Option<&str>, message: &[u8], trace: (&str, &str)) -> Result<(), LoopRisk> {
    let Some(sender) = sender else { return Err(LoopRisk::NullSender) };
    let local = sender.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let system = ["mailer-daemon", "postmaster"].contains(&local.as_str())
        || local.starts_with("owner-")
        || local.ends_with("-request");
    if system {
        return Err(LoopRisk::System(local));
    }
    let mut hops = 0usize;
    for field in fields(message) {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        let value = || field.value().to_ascii_lowercase();
        match name.as_str() {
            "auto-submitted" => {
                let value = value();
                let keyword = value.split([';', ' ', '(']).next().unwrap_or_default();
                if keyword != "no" {
                    return Err(LoopRisk::AutoSubmitted(value));
                }
            }
            "precedence" if ["bulk", "junk", "list"].contains(&value().as_str()) => {
                return Err(LoopRisk::Precedence(value()));
            }
            "received" => hops = hops.saturating_add(1),
            name if name.starts_with("list-") => return Err(LoopRisk::List(name.to_owned())),
            name if name.eq_ignore_ascii_case(trace.0) && field.value() == trace.1 => {
                return Err(LoopRisk::OwnTrace);
            }
            _ => {}
        }
    }
    if hops > MAX_HOPS { Err(LoopRisk::Hops(hops)) } else { Ok(()) }
}

/// Counts bridged messages of each pair, so that two machines that answer each other stop.
///
/// 60 an hour, 10 when either side looks automatic (threats M6). Bounded: when full, the pair idle longest goes.
#[derive(Debug)]
pub struct PairFuse {
    limit: u32,
    automatic_limit: u32,
    pairs: usize,
    seen: BTreeMap<(String, String), (Duration, u32)>,
}

const HOUR: Duration = Duration::from_secs(3_600);

impl Default for PairFuse {
    fn default() -> Self {
        PairFuse { limit: 60, automatic_limit: 10, pairs: 100_000, seen: BTreeMap::new() }
    }
}

impl PairFuse {
    /// With other limits: messages an hour, messages an hour of machines, and pairs remembered.
    pub fn new(limit: u32, automatic_limit: u32, pairs: usize) -> Self {
        PairFuse { limit, automatic_limit, pairs: pairs.max(1), seen: BTreeMap::new() }
    }

    /// True if one more message may pass between these two, in either direction.
    pub fn allow(&mut self, now: Duration, one: &str, other: &str, automatic: bool) -> bool {
        let pair = if one <= other { (one, other) } else { (other, one) };
        let pair = (pair.0.to_owned(), pair.1.to_owned());
        if !self.seen.contains_key(&pair) && self.seen.len() >= self.pairs {
            self.seen.retain(|_, (since, _)| now.saturating_sub(*since) < HOUR);
            if self.seen.len() >= self.pairs {
                let oldest =
                    self.seen.iter().min_by_key(|(_, (since, _))| *since).map(|(pair, _)| pair.clone());
                if let Some(oldest) = oldest {
                    self.seen.remove(&oldest);
                }
            }
        }
        let (since, count) = self.seen.entry(pair).or_insert((now, 0));
        if now.saturating_sub(*since) >= HOUR {
            (*since, *count) = (now, 0);
        }
        let limit = if automatic { self.automatic_limit } else { self.limit };
        let allowed = *count < limit;
        *count = count.saturating_add(u32::from(allowed));
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: (&str, &str) = ("SMS-Bridge", "b1");

    #[test]
    fn threat_m6_machines_are_not_answered() {
        for (header, free) in [
            ("Subject: hi\r\n", true),
            ("Auto-Submitted: no\r\n", true),
            ("Auto-Submitted: No (a comment)\r\n", true),
            ("Auto-Submitted: auto-replied\r\n", false),
            ("auto-submitted: auto-generated; x=y\r\n", false),
            ("Auto-Submitted: auto-notified\r\n", false),
            ("Precedence: bulk\r\n", false),
            ("Precedence: first-class\r\n", true),
            ("List-Id: <x>\r\n", false),
            ("List-Unsubscribe: <x>\r\n", false),
            ("SMS-Bridge: b1\r\n", false),
            ("SMS-Bridge: b2\r\n", true),
        ] {
            let mail = format!("{header}\r\nAuto-Submitted: auto-replied\r\n");
            assert_eq!(
                may_convert(Some("ann@example.org"), mail.as_bytes(), TRACE).is_ok(),
                free,
                "{header}"
            );
        }
        for (sender, free) in [
            (None, false),
            (Some("MAILER-DAEMON@x"), false),
            (Some("owner-list@x"), false),
            (Some("list-request@x"), false),
            (Some("owner@x"), true),
        ] {
            assert_eq!(may_convert(sender, b"\r\n", TRACE).is_ok(), free, "{sender:?}");
        }
        let hops = |count: usize| "Received: by x\r\n".repeat(count) + "\r\n";
        assert!(may_convert(Some("a@b"), hops(25).as_bytes(), TRACE).is_ok());
        assert_eq!(may_convert(Some("a@b"), hops(26).as_bytes(), TRACE), Err(LoopRisk::Hops(26)));
    }

    #[test]
    fn threat_m6_pairs_have_a_fuse() {
        let mut fuse = PairFuse::default();
        let passed = |fuse: &mut PairFuse, now: u64, automatic| {
            (0..100).filter(|_| fuse.allow(Duration::from_secs(now), "+86", "a@b", automatic)).count()
        };
        assert_eq!(passed(&mut fuse, 0, true), 10);
        // both directions share it
        assert_eq!((0..100).filter(|_| fuse.allow(Duration::ZERO, "a@b", "+86", false)).count(), 50);
        assert!(fuse.allow(Duration::ZERO, "+86", "other@b", false));
        assert_eq!(passed(&mut fuse, 3_599, false), 0);
        assert_eq!(passed(&mut fuse, 3_600, false), 60);
        let mut small = PairFuse::new(1, 1, 3);
        (0..100).for_each(|n| assert!(small.allow(Duration::from_secs(n), "x", &n.to_string(), false)));
        assert_eq!(small.seen.len(), 3);
    }
}
