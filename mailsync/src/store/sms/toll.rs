//! What was sent today, so that a restart is no new day.

use super::{Result, Tables};
use rusqlite::params;
use smsbridge::bridge::Charge;

impl Tables<'_> {
    /// Counts a charge, in the transaction of what it is for.
    pub fn charged(&self, charge: &Charge) -> Result<()> {
        let sql = "INSERT INTO sms_toll (day, prefix, who, parts) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET parts = parts + excluded.parts";
        let mut statement = self.conn.prepare_cached(sql)?;
        let day = crate::store::int(charge.day);
        statement.execute(params![day, false, charge.sender, charge.parts])?;
        if let Some(prefix) = &charge.prefix {
            statement.execute(params![day, true, prefix, charge.parts])?;
        }
        Ok(())
    }

    /// What was counted on a day.
    pub fn charges(&self, day: u64) -> Result<Vec<Charge>> {
        let sql = "SELECT prefix, who, parts FROM sms_toll WHERE day = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([crate::store::int(day)], |row| {
            let (prefix, who, parts): (bool, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (sender, prefix) = if prefix { (String::new(), Some(who)) } else { (who, None) };
            Ok(Charge::kept(day, sender, prefix, parts))
        })?;
        rows.collect()
    }

    /// Forgets the days before this one.
    pub fn end_charges(&self, day: u64) -> Result<()> {
        self.conn.prepare_cached("DELETE FROM sms_toll WHERE day < ?1")?.execute([crate::store::int(day)])?;
        Ok(())
    }
}
