//! A host with a database: what each operation reads and writes, as the statements it would run.
//!
//! `cargo run -p mailsync-idmap --example table`

use idmap::{Entry, Guid, Luid, Record, TempId, View, bind, offer, seen, switch_generation};
use std::error::Error;

/// All rows of one (user, device, datastore); a real host has them in SQL.
#[derive(Default)]
struct Table(Vec<Entry>);

impl Table {
    /// The rows that have one of the ids of the message.
    fn load(&self, wanted: impl Fn(&Entry) -> bool) -> View {
        self.0.iter().filter(|row| wanted(row)).cloned().collect()
    }

    /// In the transaction of the message.
    fn commit(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Put(entry) => {
                    println!(
                        "INSERT OR REPLACE generation {} {:?} {:?}",
                        entry.generation, entry.guid, entry.state
                    );
                    self.0.retain(|row| (row.generation, &row.guid) != (entry.generation, &entry.guid));
                    self.0.push(entry.clone());
                }
                Record::Remove { generation, guid } => {
                    println!("DELETE WHERE generation = {generation} AND guid = {guid}");
                    self.0.retain(|row| (row.generation, &row.guid) != (*generation, guid));
                }
                Record::KeepOnly { generation } => {
                    println!("DELETE WHERE generation <> {generation}");
                    self.0.retain(|row| row.generation == *generation);
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Table::default();
    let guid = Guid::try_from("inbox/2f1c-77ab-4711")?;

    // Package 4: an Add for a phone with MaxGUIDSize 8. 42 comes from a counter in the peer's row.
    let names: Vec<TempId> = TempId::candidates(42, 8)?.collect();
    let view = table.load(|row| row.guid == guid || row.wire().temp().is_some_and(|id| names.contains(id)));
    let (wire, records) = offer(&view, 1, &guid, Some(8), 42, 1, 0)?;
    table.commit(&records);
    println!("-> Add, Source {}", wire.as_str(&guid));

    // Package 5: its Map, twice, because our answer was lost.
    let luid = Luid::try_from("117")?;
    for _ in 0..2 {
        println!("<- Map, Target {}, Source {luid}", wire.as_str(&guid));
        let view = table.load(|row| row.wire_id() == wire.as_str(&guid) || row.luid() == Some(&luid));
        table.commit(&bind(&view, 1, wire.as_str(&guid), &luid)?);
    }

    // Next session: the phone took a Replace with revision 9; later a slow sync succeeds.
    let view = table.load(|row| row.guid == guid);
    table.commit(&seen(&view, 1, &guid, 9, 0)?);
    table.commit(&[switch_generation(1)]);

    println!("{} row left", table.0.len());
    Ok(())
}
