//! Package #0 under any octets, and any Package #0 in octets.

use crate::{Broken, Property, Target, ensure};
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use syncml::san::{AlertKey, AlertedSync, Digest, ServerAlert, UiMode, check, content_type_name};
use syncml::{AlertCode, Encoding, Version, decode, encode};

/// Octets as a server-alerted notification.
pub const SAN: Target = Target {
    name: "san",
    input: "a Package #0 (server-alerted notification), or what an alert of the model is made of",
    dictionary: None,
    properties: &[
        Property {
            name: "read-or-refused",
            sentence: "any octets are an alert, or are refused at a place inside them; what was read is written and \
                       read as the same, and no alert without its vendor's octets can be cut",
            check: any_octets,
        },
        Property {
            name: "binary-model",
            sentence: "every alert of the model is written and read as the same, its digest is right with its key \
                       and wrong when an octet changes",
            check: |data| binary(&alert(data), data),
        },
        Property {
            name: "message-model",
            sentence: "an alert as a message of SyncML 1.1 comes back from XML and from WBXML as the same alert",
            check: |data| as_message(&alert(data)),
        },
        Property {
            name: "cost",
            sentence: "reading takes at no moment more memory than four times the input and 1 MiB",
            check: cost,
        },
    ],
};

fn any_octets(data: &[u8]) -> std::result::Result<(), Broken> {
    let octets = Bytes::copy_from_slice(data);
    let verdict = check(&octets, &key());
    ensure!(verdict != Digest::Right || data.len() > 16, "a right digest of nothing");
    let alert = match ServerAlert::decode(&octets) {
        Ok(alert) => alert,
        Err((_, at)) => {
            ensure!(at <= data.len(), "refused at {at} of {} octets", data.len());
            return Ok(());
        }
    };
    let written = alert.encode(None).map_err(|error| Broken(format!("{error}: {alert:?}")))?;
    ensure!(written.len() == data.len(), "{} octets, {} were read", written.len(), data.len());
    let again = ServerAlert::decode(&written).map_err(|error| Broken(format!("{error:?}: {alert:?}")))?;
    ensure!(again == alert, "{alert:?} came back as {again:?}");
    let own = written.len().saturating_sub(alert.vendor.len());
    for cut in [0, 15, 16, own / 2, own.saturating_sub(1)] {
        let read = ServerAlert::decode(&written.slice(..cut.min(own.saturating_sub(1))));
        ensure!(read.is_err(), "cut at {cut} of {own}: {read:?}");
    }
    Ok(())
}

fn binary(alert: &ServerAlert, data: &[u8]) -> std::result::Result<(), Broken> {
    let octets = alert.encode(Some(&key())).map_err(|error| Broken(format!("{error}: {alert:?}")))?;
    let again = ServerAlert::decode(&octets).map_err(|error| Broken(format!("{error:?}: {alert:?}")))?;
    ensure!(again == *alert, "{alert:?} came back as {again:?}");
    ensure!(check(&octets, &key()) == Digest::Right, "its own digest is not right: {octets:?}");
    let mut damaged = octets.to_vec();
    let at = data.iter().fold(data.len(), |sum, octet| sum.wrapping_add(usize::from(*octet))) % damaged.len();
    if let Some(octet) = damaged.get_mut(at) {
        *octet ^= 1;
    }
    ensure!(check(&damaged, &key()) == Digest::Wrong, "octet {at} may change: {octets:?}");
    Ok(())
}

fn as_message(alert: &ServerAlert) -> std::result::Result<(), Broken> {
    // What 1.1 can say: a text XML can carry, a code of an alert, a type with a name.
    let mut said = ServerAlert::new(&alert.server_id, alert.session_id);
    said.version = 11;
    said.syncs = alert.syncs.clone();
    said.syncs.retain(|sync| content_type_name(sync.content_type).is_some());
    let carried = |text: &str| syncml::xml_can_carry(text.as_bytes());
    let codes = said.syncs.iter().all(|sync| (206..=210).contains(&sync.code.0) && carried(&sync.server_uri));
    if said.syncs.is_empty() || !codes || !carried(&said.server_id) {
        return Ok(());
    }
    let message = said.to_message(Version::V1_1, "c", &[]);
    for encoding in [Encoding::Xml, Encoding::Wbxml] {
        let octets = match encode(encoding, &message) {
            Ok(octets) => octets,
            Err(syncml::EncodeError::Unrepresentable { .. }) => continue,
            Err(error) => return Err(Broken(format!("{error}: {message:?}"))),
        };
        let read = decode(encoding, &octets, &crate::codec::roomy(), &syncml::Quirks::normal())
            .map_err(|error| Broken(format!("{error}: {message:?}")))?;
        let again = ServerAlert::from_message(&read);
        ensure!(again.as_ref() == Some(&said), "{said:?} came back as {again:?}");
    }
    Ok(())
}

fn cost(data: &[u8]) -> std::result::Result<(), Broken> {
    let octets = Bytes::copy_from_slice(data);
    let used = allocation_counter::measure(|| {
        let _ = ServerAlert::decode(&octets);
    });
    let most = (data.len() as u64).saturating_mul(4).saturating_add(1024 * 1024);
    ensure!(used.bytes_max <= most, "{} octets at once for {} of input", used.bytes_max, data.len());
    Ok(())
}

fn key() -> AlertKey {
    AlertKey::new("srv", "secret", b"Nonce")
}

/// An alert of the model; with no octets left, its fields are as small as can be.
fn alert(data: &[u8]) -> ServerAlert {
    let mut from = Unstructured::new(data);
    made(&mut from).unwrap_or_else(|_| ServerAlert::new("", 0))
}

fn made(from: &mut Unstructured<'_>) -> Result<ServerAlert> {
    const KNOWN: [u32; 6] = [0x03, 0x06, 0x07, 0x0305, 0x0306, 0x0308];
    let session_id = from.arbitrary()?;
    let mut alert = ServerAlert::new("", session_id);
    alert.version = from.int_in_range(0..=0x3FF)?;
    alert.by_server = from.arbitrary()?;
    let modes = [UiMode::NotGiven, UiMode::Background, UiMode::Informative, UiMode::Interactive];
    alert.ui_mode = *from.choose(&modes)?;
    for _ in 0..from.int_in_range(0..=15)? {
        let code = from.int_in_range(200..=215)?;
        let kind = if from.arbitrary()? { *from.choose(&KNOWN)? } else { from.int_in_range(0..=0xFF_FFFF)? };
        alert.syncs.push(AlertedSync::new(AlertCode(code), kind, &text(from)?));
    }
    alert.server_id = text(from)?.into();
    alert.vendor = Bytes::copy_from_slice(from.take_rest());
    Ok(alert)
}

/// At most 255 octets.
fn text(from: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::from(from.arbitrary::<&str>()?);
    while text.len() > 255 {
        text.pop();
    }
    Ok(text)
}

trait Take<'a> {
    fn take_rest(&mut self) -> &'a [u8];
}

impl<'a> Take<'a> for Unstructured<'a> {
    fn take_rest(&mut self) -> &'a [u8] {
        let len = self.len();
        self.bytes(len).unwrap_or_default()
    }
}
