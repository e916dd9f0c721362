//! The objects of our own: accounts, settings, devices, and what is told of mail.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::accounts::Check;
use mailsync_proto::mail::device::Device;
use mailsync_proto::mail::event::MailEvent;
use mailsync_proto::mail::settings::Settings;

/// Octets as each of them.
pub const OWN: Target = Target {
    name: "own",
    input: "an account, settings, a device, or a notice of events",
    dictionary: Some("own"),
    properties: &[
        Property {
            name: "written-again",
            sentence: "XML text that reads as an object of ours is written, and reads as the same again, unknown fields \
                       included",
            check: written_again,
        },
        Property {
            name: "no-secret",
            sentence: "an account without its secret does not have it in what is written, nor in what a log would show",
            check: no_secret,
        },
        Property {
            name: "in-proportion",
            sentence: "reading any octets as each of them costs no more memory than in proportion",
            check: in_proportion,
        },
        Property {
            name: "stored",
            sentence: "a stored check of an account made of any octets is refused, or is written and read as the same",
            check: stored,
        },
    ],
};

macro_rules! again {
    ($object:ty, $data:expr) => {
        if let Ok(object) = <$object>::parse($data) {
            let xml = object.to_xml();
            let again = <$object>::parse(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
            ensure!(again == object, "{object:?}\n  came back as {again:?}\n  through {xml:?}");
        }
    };
}

fn written_again(data: &[u8]) -> Result<(), Broken> {
    let data = &Bytes::copy_from_slice(data);
    // Octets that XML forbids are read, and written as replacement characters.
    if syncml::xml_can_carry(data) {
        again!(Account, data);
        again!(Settings, data);
        again!(Device, data);
        again!(MailEvent, data);
    }
    Ok(())
}

fn no_secret(data: &[u8]) -> Result<(), Broken> {
    let Ok(account) = Account::parse(&Bytes::copy_from_slice(data)) else { return Ok(()) };
    let Some(secret) = &account.secret else { return Ok(()) };
    let bare = account.without_secret();
    ensure!(bare.secret.is_none(), "it is still there");
    ensure!(!format!("{secret:?}").contains(&*secret.0) || secret.0.len() < 12, "a log would show it");
    Ok(())
}

fn in_proportion(data: &[u8]) -> Result<(), Broken> {
    let data = Bytes::copy_from_slice(data);
    let used = allocation_counter::measure(|| {
        drop(Account::parse(&data));
        drop(Settings::parse(&data));
        drop(Device::parse(&data));
        drop(MailEvent::parse(&data));
    });
    let most = (data.len() as u64).saturating_mul(100).saturating_add(1024 * 1024);
    ensure!(used.bytes_max <= most, "{} octets for {}", used.bytes_max, data.len());
    Ok(())
}

fn stored(data: &[u8]) -> Result<(), Broken> {
    let Some(check) = Check::from_bytes(data) else { return Ok(()) };
    let bytes = check.to_bytes();
    let again = Check::from_bytes(&bytes).map(|check| check.to_bytes());
    ensure!(again.as_ref() == Some(&bytes), "{bytes:?} came back as {again:?}");
    Ok(())
}
