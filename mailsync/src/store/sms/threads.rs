//! Conversations between a phone and a mailbox, over one of our numbers.

use super::super::{int, uint};
use super::{Result, Tables};
use rusqlite::{OptionalExtension, params};

/// Message-IDs kept of a conversation.
const IDS: usize = 20;

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// The token in its reply address.
    pub token: String,
    /// The phone.
    pub phone: String,
    /// Our number that the phone sees.
    pub number: String,
    /// The mailbox.
    pub mailbox: String,
    /// The subject.
    pub subject: Option<String>,
    /// Message-IDs, oldest first.
    pub ids: Vec<String>,
    /// When it was last used, seconds since 1970.
    pub used: u64,
    /// Until when it counts, seconds since 1970.
    pub expires: u64,
}

impl Tables<'_> {
    /// The conversation of a token.
    pub fn thread_of_token(&self, token: &str, now: u64) -> Result<Option<ThreadRow>> {
        self.thread("token = ?1 AND ?2 < expires", params![token, int(now)])
    }

    /// The conversation of a phone and a number of ours.
    pub fn thread_of_phone(&self, phone: &str, number: &str, now: u64) -> Result<Option<ThreadRow>> {
        self.thread("phone = ?1 AND number = ?2 AND ?3 < expires", params![phone, number, int(now)])
    }

    fn thread(&self, which: &str, params: impl rusqlite::Params) -> Result<Option<ThreadRow>> {
        let sql = format!(
            "SELECT token, phone, number, mailbox, subject, ids, used, expires FROM sms_thread WHERE {which}"
        );
        self.conn.prepare_cached(&sql)?.query_row(params, thread_row).optional()
    }

    /// All conversations of a phone.
    pub fn threads_of(&self, phone: &str) -> Result<Vec<ThreadRow>> {
        let sql = "SELECT token, phone, number, mailbox, subject, ids, used, expires FROM sms_thread
            WHERE phone = ?1 ORDER BY used";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.query_map([phone], thread_row)?.collect()
    }

    /// Keeps a conversation; another one of the same phone and number ends.
    pub fn put_thread(&self, thread: &ThreadRow) -> Result<()> {
        let sql = "DELETE FROM sms_thread WHERE phone = ?1 AND number = ?2";
        self.conn.prepare_cached(sql)?.execute([&thread.phone, &thread.number])?;
        let recent = thread.ids.len().saturating_sub(IDS);
        let ids = thread.ids.get(recent..).unwrap_or_default().join("\n");
        let sql =
            "INSERT OR REPLACE INTO sms_thread (token, phone, number, mailbox, subject, ids, used, expires)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.conn.prepare_cached(sql)?.execute(params![
            thread.token,
            thread.phone,
            thread.number,
            thread.mailbox,
            thread.subject,
            ids,
            int(thread.used),
            int(thread.expires)
        ])?;
        Ok(())
    }

    /// Forgets conversations that are over.
    pub fn end_threads(&self, now: u64) -> Result<usize> {
        self.conn.execute("DELETE FROM sms_thread WHERE expires <= ?1", [int(now)])
    }
}

fn thread_row(row: &rusqlite::Row<'_>) -> Result<ThreadRow> {
    let ids: String = row.get(5)?;
    Ok(ThreadRow {
        token: row.get(0)?,
        phone: row.get(1)?,
        number: row.get(2)?,
        mailbox: row.get(3)?,
        subject: row.get(4)?,
        ids: ids.lines().map(str::to_owned).collect(),
        used: uint(row.get(6)?),
        expires: uint(row.get(7)?),
    })
}
