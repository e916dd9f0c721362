//! Bindings, their audit trail and proofs under way, over the rules of `smsbridge`.

use super::super::{int, now, uint};
use super::{Result, Tables};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use smsbridge::bridge::{Audit, Binding, BindingStore, Challenge, Kind, Msisdn, Origin};
use smsbridge::smtp::Mailbox;

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// When, seconds since 1970.
    pub at: u64,
    /// What.
    pub what: String,
    /// The phone.
    pub number: String,
    /// The mailbox.
    pub mailbox: String,
    /// Who made it, where that is said.
    pub origin: Option<String>,
}

/// The rows as a [`BindingStore`]. The trait cannot fail, SQLite can: what fails is kept for [`Tables::bindings`].
#[derive(Debug)]
pub struct BindingRows<'t> {
    tables: &'t Tables<'t>,
    failed: std::cell::RefCell<Option<rusqlite::Error>>,
}

impl Tables<'_> {
    /// Works on the bindings; an error of SQLite's wins over whatever the work says.
    pub fn bindings<T>(&self, work: impl FnOnce(&mut BindingRows<'_>) -> T) -> Result<T> {
        let mut rows = BindingRows { tables: self, failed: Default::default() };
        let value = work(&mut rows);
        rows.failed.into_inner().map_or(Ok(value), Err)
    }

    /// The audit trail, oldest first.
    pub fn audit_trail(&self) -> Result<Vec<AuditRow>> {
        let sql = "SELECT at, what, number, mailbox, origin FROM sms_audit ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(AuditRow {
                at: uint(row.get(0)?),
                what: row.get(1)?,
                number: row.get(2)?,
                mailbox: row.get(3)?,
                origin: row.get(4)?,
            })
        })?;
        rows.collect()
    }

    /// Keeps a proof until its codes come back; an earlier one of the number ends.
    pub fn put_challenge(&self, challenge: &Challenge) -> Result<()> {
        let sql =
            "INSERT OR REPLACE INTO sms_challenge (number, mailbox, phone_code, mail_code, expires, attempts)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.conn.prepare_cached(sql)?.execute(params![
            challenge.number.to_string(),
            challenge.mailbox.as_str(),
            challenge.phone_code,
            challenge.mail_code,
            int(challenge.expires),
            challenge.attempts
        ])?;
        Ok(())
    }

    /// The proof of a number.
    pub fn challenge(&self, number: &Msisdn) -> Result<Option<Challenge>> {
        let sql =
            "SELECT mailbox, phone_code, mail_code, expires, attempts FROM sms_challenge WHERE number = ?1";
        let row = |row: &rusqlite::Row<'_>| {
            let mailbox: String = row.get(0)?;
            let restored = mailbox.parse().ok().map(|mailbox| {
                let (phone, mail): (String, String) = (row.get(1)?, row.get(2)?);
                let expires = uint(row.get(3)?);
                Ok(Challenge::restore(number.clone(), mailbox, phone, mail, expires, row.get(4)?))
            });
            restored.transpose()
        };
        let found = self.conn.prepare_cached(sql)?.query_row([number.to_string()], row).optional()?;
        Ok(found.flatten())
    }

    /// A proof is over.
    pub fn end_challenge(&self, number: &Msisdn) -> Result<()> {
        let sql = "DELETE FROM sms_challenge WHERE number = ?1";
        self.conn.prepare_cached(sql)?.execute([number.to_string()])?;
        Ok(())
    }
}

/// A mailbox as a key: domains have no case.
fn key(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local_part(), mailbox.domain().to_ascii_lowercase())
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Proved => "proved",
        Origin::Operator => "operator",
        Origin::Message => "message",
    }
}

impl BindingRows<'_> {
    fn note<T: Default>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            T::default()
        })
    }

    fn select(&self, which: &str, value: &str) -> Vec<Binding> {
        let read = || {
            let sql = format!(
                "SELECT number, mailbox, ends, origin, preferred FROM sms_binding WHERE {which} = ?1
                    ORDER BY number, mailbox_key"
            );
            let mut statement = self.tables.conn.prepare_cached(&sql)?;
            let rows = statement.query_map([value], |row| {
                let (number, mailbox): (String, String) = (row.get(0)?, row.get(1)?);
                let (ends, made): (Option<i64>, String) = (row.get(2)?, row.get(3)?);
                let preferred: bool = row.get(4)?;
                Ok(Msisdn::parse(&number).zip(mailbox.parse().ok()).map(|(number, mailbox)| {
                    let made = match made.as_str() {
                        "proved" => Origin::Proved,
                        "message" => Origin::Message,
                        _ => Origin::Operator,
                    };
                    let mut binding = Binding::new(number, mailbox, made);
                    binding.kind = ends.map_or(Kind::Permanent, |ends| Kind::Until(uint(ends)));
                    binding.preferred = preferred;
                    binding
                }))
            })?;
            rows.filter_map(Result::transpose).collect::<Result<Vec<_>>>()
        };
        self.note(read())
    }
}

impl BindingStore for BindingRows<'_> {
    fn of_number(&self, number: &Msisdn) -> Vec<Binding> {
        self.select("number", &number.to_string())
    }

    fn of_mailbox(&self, mailbox: &Mailbox) -> Vec<Binding> {
        self.select("mailbox_key", &key(mailbox))
    }

    fn all(&self) -> Vec<Binding> {
        self.select("'1'", "1")
    }

    fn put(&mut self, binding: Binding) {
        let ends = match binding.kind {
            Kind::Permanent => None,
            Kind::Until(ends) => Some(int(ends)),
        };
        let write = || {
            let sql =
                "INSERT OR REPLACE INTO sms_binding (number, mailbox_key, mailbox, ends, origin, preferred)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            self.tables.conn.prepare_cached(sql)?.execute(params![
                binding.number.to_string(),
                key(&binding.mailbox),
                binding.mailbox.as_str(),
                ends,
                origin(binding.origin),
                binding.preferred
            ])
        };
        self.note(write());
    }

    fn take(&mut self, number: &Msisdn, mailbox: &Mailbox) -> Option<Binding> {
        let found =
            self.of_number(number).into_iter().find(|binding| key(&binding.mailbox) == key(mailbox))?;
        let sql = "DELETE FROM sms_binding WHERE number = ?1 AND mailbox_key = ?2";
        self.note(self.tables.conn.execute(sql, [number.to_string(), key(mailbox)]));
        Some(found)
    }

    fn audit(&mut self, entry: Audit) {
        let (what, number, mailbox, made) = match entry {
            Audit::Added(binding) => ("added", binding.number, binding.mailbox, Some(origin(binding.origin))),
            Audit::Removed(binding) => {
                ("removed", binding.number, binding.mailbox, Some(origin(binding.origin)))
            }
            Audit::Expired(binding) => {
                ("expired", binding.number, binding.mailbox, Some(origin(binding.origin)))
            }
            Audit::Asked { number, mailbox } => ("asked", number, mailbox, None),
            Audit::ProofFailed { number, mailbox } => ("proof failed", number, mailbox, None),
            _ => return,
        };
        let sql = "INSERT INTO sms_audit (at, what, number, mailbox, origin) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![now(), what, number.to_string(), mailbox.as_str(), made];
        self.note(self.tables.conn.execute(sql, row));
    }
}
