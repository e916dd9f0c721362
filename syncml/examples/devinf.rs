//! Device information: a phone says what it is and can do, and a server reads it.
//!
//! `cargo run -p syncml --example devinf`

use std::io::Write;
use syncml::{
    Command, CtType, Data, DataStore, DevInf, Encoding, Item, Limits, Message, Meta, Put, Quirks, Source,
    SyncCap, SyncHdr, Target, Version, decode, encode,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

pub(crate) fn run(out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
    // What the phone is.
    let version = Version::V1_2;
    let mut devinf = DevInf::new(version, "IMEI:1", "phone");
    devinf.man = Some("Example".into());
    devinf.support_large_objs = true;

    // What it keeps: one datastore, the types it takes and gives, the kinds of sync it knows.
    let mut mail = DataStore::default();
    mail.source_ref = "./mail".into();
    mail.rx_pref = Some(CtType::new("application/vnd.omads-email+xml", "1.2"));
    mail.tx_pref = mail.rx_pref.clone();
    mail.rx = vec![CtType::new("message/rfc822", "1.0")];
    mail.sync_cap = SyncCap { sync_types: vec![1, 2, 7] };
    devinf.data_stores = vec![mail];

    // It goes in a Put whose item is named by the version of SyncML. In XML the document stands in Data as
    // elements; in WBXML as a document of its own in an opaque. The model is the same.
    let mut item = Item::default();
    item.source = Some(Source::new(version.devinf_uri()));
    item.data = Some(Data::DevInf(Box::new(devinf)));
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let mut meta = Meta::default();
        meta.type_ = Some(encoding.devinf_type().into());
        let mut put = Put::default();
        put.cmd_id = 1;
        put.meta = Some(Box::new(meta));
        put.items = vec![item.clone()];
        let hdr = SyncHdr::new(version, "1", 1, Target::new("http://s/sync"), Source::new("IMEI:1"));
        let mut message = Message::new(hdr);
        message.commands = vec![Command::Put(Box::new(put))];
        let octets = encode(encoding, &message)?;

        // The server's side.
        let read = decode(encoding, &octets, &Limits::default(), &Quirks::normal())?;
        let [Command::Put(put)] = &read.commands[..] else { return Err("not one Put".into()) };
        let Some(Data::DevInf(devinf)) = put.items.first().and_then(|item| item.data.as_ref()) else {
            return Err("no device information".into());
        };
        for store in &devinf.data_stores {
            let types: Vec<&str> = store.rx_pref.iter().chain(&store.rx).map(|kind| &*kind.ct_type).collect();
            writeln!(
                out,
                "{encoding:?}: {} keeps {} as {}, syncs {:?}",
                devinf.man.as_deref().unwrap_or("?"),
                store.source_ref,
                types.join(" or "),
                store.sync_cap.sync_types,
            )?;
        }
    }
    Ok(())
}
