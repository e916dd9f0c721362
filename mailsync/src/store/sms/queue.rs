//! Messages on their way out, and parts that wait for the others.

use super::super::{int, uint};
use super::{Result, Tables};
use rusqlite::{OptionalExtension, params};

/// What a row is doing.
const WAITS: i64 = 0;
/// Handed to the peer, not answered: after a crash it is in doubt.
const SENT: i64 = 1;
/// The peer has it; its receipt is awaited.
const TAKEN: i64 = 2;

/// A part to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its row.
    pub id: i64,
    /// The message that it is a part of.
    pub message: i64,
    /// The body of its PDU.
    pub body: Vec<u8>,
    /// How often it was handed over without an answer before.
    pub doubt: u32,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Where it comes from.
    pub info: Vec<u8>,
    /// Its parts.
    pub parts: u32,
    /// When it came, seconds since 1970.
    pub added: u64,
}

/// A part whose receipt is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The message.
    pub message: i64,
    /// Where it went.
    pub link: String,
    /// Its id there.
    pub remote: String,
}

/// A part that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its row.
    pub id: i64,
    /// Where it came from.
    pub link: String,
    /// The set that it belongs to.
    pub set_key: String,
    /// The body of its PDU.
    pub body: Vec<u8>,
    /// When it came, seconds since 1970.
    pub added: u64,
}

/// How much waits for a link.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// The link.
    pub link: String,
    /// Not yet handed over.
    pub waiting: u64,
    /// Handed over, not answered.
    pub sent: u64,
    /// Taken, receipt awaited.
    pub taken: u64,
    /// Of all of them, those that were handed over more than once.
    pub in_doubt: u64,
}

impl Tables<'_> {
    /// Adds a message and its parts to a link's queue; its id.
    pub fn push(&self, info: &[u8], link: &str, bodies: &[impl AsRef<[u8]>], now: u64) -> Result<i64> {
        let sql = "INSERT INTO sms_message (info, parts, added) VALUES (?1, ?2, ?3)";
        let parts = int(bodies.len() as u64);
        self.conn.prepare_cached(sql)?.execute(params![info, parts, int(now)])?;
        let message = self.conn.last_insert_rowid();
        let sql =
            "INSERT INTO sms_out (message, link, body, state, due, added) VALUES (?1, ?2, ?3, 0, 0, ?4)";
        let mut insert = self.conn.prepare_cached(sql)?;
        for body in bodies {
            insert.execute(params![message, link, body.as_ref(), int(now)])?;
        }
        Ok(message)
    }

    /// Takes up to `limit` parts of a link that are due, oldest first, and notes that they are handed over.
    pub fn claim(&self, link: &str, now: u64, limit: usize) -> Result<Vec<Claimed>> {
        let sql = "UPDATE sms_out SET state = 1 WHERE id IN
              (SELECT id FROM sms_out WHERE link = ?1 AND state = 0 AND due <= ?2 ORDER BY id LIMIT ?3)
            RETURNING id, message, body, doubt";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params![link, int(now), int(limit as u64)], |row| {
            Ok(Claimed { id: row.get(0)?, message: row.get(1)?, body: row.get(2)?, doubt: row.get(3)? })
        })?;
        let mut claimed: Vec<Claimed> = rows.collect::<Result<_>>()?;
        claimed.sort_by_key(|row| row.id);
        Ok(claimed)
    }

    /// When the next part of a link is due, seconds since 1970.
    pub fn next_due(&self, link: &str) -> Result<Option<u64>> {
        let sql = "SELECT min(due) FROM sms_out WHERE link = ?1 AND state = 0";
        let due: Option<i64> = self.conn.prepare_cached(sql)?.query_row([link], |row| row.get(0))?;
        Ok(due.map(uint))
    }

    /// A part was not sent after all.
    pub fn release(&self, id: i64) -> Result<()> {
        let sql = "UPDATE sms_out SET state = 0 WHERE id = ?1 AND state = 1";
        self.conn.prepare_cached(sql)?.execute([id])?;
        Ok(())
    }

    /// The peer wants a part later.
    pub fn postpone_part(&self, id: i64, due: u64, error: &str) -> Result<()> {
        let sql = "UPDATE sms_out SET state = 0, due = ?2, attempts = attempts + 1, error = ?3 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![id, int(due), error])?;
        Ok(())
    }

    /// How often a part was refused for the time being.
    pub fn attempts(&self, id: i64) -> Result<u32> {
        let sql = "SELECT attempts FROM sms_out WHERE id = ?1";
        Ok(self.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// A part was handed over and never answered: it goes again, marked.
    pub fn in_doubt(&self, id: i64, due: u64) -> Result<()> {
        let sql = "UPDATE sms_out SET state = 0, due = ?2, doubt = doubt + 1 WHERE id = ?1 AND state = 1";
        self.conn.prepare_cached(sql)?.execute(params![id, int(due)])?;
        Ok(())
    }

    /// All that was handed over when the last run ended; says how many.
    pub fn all_in_doubt(&self) -> Result<usize> {
        self.conn.execute("UPDATE sms_out SET state = 0, doubt = doubt + 1 WHERE state = 1", [])
    }

    /// The peer has a part, under this id; its receipt is awaited.
    pub fn part_taken(&self, id: i64, remote: &str) -> Result<()> {
        let sql = "UPDATE sms_out SET state = 2, remote = ?2 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![id, remote])?;
        Ok(())
    }

    /// Nothing more is to come of a part. True if it was the message's last; the message itself stays.
    pub fn part_answered(&self, id: i64, message: i64) -> Result<bool> {
        self.conn.prepare_cached("DELETE FROM sms_out WHERE id = ?1")?.execute([id])?;
        let sql = "SELECT EXISTS (SELECT 1 FROM sms_out WHERE message = ?1)";
        let more: bool = self.conn.prepare_cached(sql)?.query_row([message], |row| row.get(0))?;
        Ok(!more)
    }

    /// A message with all its parts is done with.
    pub fn end_message(&self, message: i64) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM sms_out WHERE message = ?1")?.execute([message])?;
        self.conn.prepare_cached("DELETE FROM sms_message WHERE id = ?1")?.execute([message])?;
        Ok(())
    }

    /// A message.
    pub fn message(&self, id: i64) -> Result<Option<MessageRow>> {
        let sql = "SELECT info, parts, added FROM sms_message WHERE id = ?1";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(MessageRow { info: row.get(0)?, parts: row.get(1)?, added: uint(row.get(2)?) })
        };
        self.conn.prepare_cached(sql)?.query_row([id], row).optional()
    }

    /// Messages older than this that nobody has taken.
    pub fn stale_messages(&self, before: u64) -> Result<Vec<i64>> {
        let sql =
            "SELECT DISTINCT message FROM sms_out WHERE state = 0 AND added < ?1 ORDER BY message LIMIT 100";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.query_map([int(before)], |row| row.get(0))?.collect()
    }

    /// Parts whose receipts are awaited.
    pub fn awaited(&self) -> Result<Vec<Taken>> {
        let sql =
            "SELECT message, link, remote FROM sms_out WHERE state = ?1 AND remote IS NOT NULL ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([TAKEN], |row| {
            Ok(Taken { message: row.get(0)?, link: row.get(1)?, remote: row.get(2)? })
        })?;
        rows.collect()
    }

    /// Keeps a part until the others are there.
    pub fn push_part(&self, link: &str, set_key: &str, body: &[u8], now: u64) -> Result<i64> {
        let sql = "INSERT INTO sms_part (link, set_key, body, added) VALUES (?1, ?2, ?3, ?4)";
        self.conn.prepare_cached(sql)?.execute(params![link, set_key, body, int(now)])?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Takes the parts of a set out.
    pub fn take_parts(&self, set_key: &str) -> Result<Vec<PartRow>> {
        let sql = "DELETE FROM sms_part WHERE set_key = ?1 RETURNING id, link, set_key, body, added";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut parts: Vec<PartRow> = statement.query_map([set_key], part_row)?.collect::<Result<_>>()?;
        parts.sort_by_key(|part| part.id);
        Ok(parts)
    }

    /// All parts that wait.
    pub fn parts(&self) -> Result<Vec<PartRow>> {
        let sql = "SELECT id, link, set_key, body, added FROM sms_part ORDER BY id";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.query_map([], part_row)?.collect()
    }

    /// How much waits, by link.
    pub fn depths(&self) -> Result<Vec<Depth>> {
        let sql = "SELECT link, sum(state = ?1), sum(state = ?2), sum(state = ?3), sum(doubt > 0)
            FROM sms_out GROUP BY link ORDER BY link";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([WAITS, SENT, TAKEN], |row| {
            Ok(Depth {
                link: row.get(0)?,
                waiting: uint(row.get(1)?),
                sent: uint(row.get(2)?),
                taken: uint(row.get(3)?),
                in_doubt: uint(row.get(4)?),
            })
        })?;
        rows.collect()
    }
}

fn part_row(row: &rusqlite::Row<'_>) -> Result<PartRow> {
    Ok(PartRow {
        id: row.get(0)?,
        link: row.get(1)?,
        set_key: row.get(2)?,
        body: row.get(3)?,
        added: uint(row.get(4)?),
    })
}
