//! A host without a database: the map in one file. Run it several times with the same file name.
//!
//! `cargo run -p mailsync-idmap --example journal -- /tmp/phone.idmap`

use idmap::{Guid, Luid, View, adopt, journal};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: journal FILE")?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;

    let (mut view, length) = open(&mut file)?;
    println!("{path}: {} entries in {length} octets", view.len());

    // One message: the client added three items. One batch, one sync, then the answer may go out.
    let mut records = Vec::new();
    for _ in 0..3 {
        let number = view.len();
        let luid = Luid::try_from(number.to_string())?;
        let changes = adopt(&view, 1, &luid, &Guid::try_from(format!("inbox/{number:08}"))?, 1, 0)?;
        view.extend(&changes);
        records.extend(changes);
    }
    let mut batch = Vec::new();
    journal::append(&mut batch, &records)?;
    file.write_all(&batch)?;
    file.sync_data()?;

    let compact = journal::compact(&view)?;
    println!("{} entries now; compacted: {} octets", view.len(), compact.len());
    if length > 4 * compact.len() {
        let other = format!("{path}.new");
        let mut new = File::create(&other)?;
        new.write_all(&compact)?;
        new.sync_all()?;
        std::fs::rename(other, path)?;
    }
    Ok(())
}

/// Reads the file, cuts off what a crash left half written, and stands at its end.
fn open(file: &mut File) -> Result<(View, usize), Box<dyn Error>> {
    let mut octets = Vec::new();
    file.read_to_end(&mut octets)?;
    let replay = journal::replay(&octets)?;
    if replay.lost > 0 {
        eprintln!("{} octets were never acknowledged, and go", replay.lost);
    }
    file.set_len(replay.good_len as u64)?;
    file.seek(std::io::SeekFrom::End(0))?;
    if replay.good_len == 0 {
        file.write_all(&journal::header())?;
        file.sync_all()?;
    }
    Ok((replay.view, replay.good_len))
}
