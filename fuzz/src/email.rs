//! The objects of the mail datastore, and what is shown of a message, under any octets.

use crate::{Broken, Property, Target, ensure};
use bytes::Bytes;
use idmap::Guid;
use mailsync_proto::mail::compose::Draft;
use mailsync_proto::mail::outbox::SendJob;
use mailsync_proto::mail::{Email, Folder, MailFields, headers::Headers, rfc822, summary, time, transfer};

/// Octets as an object, and as a message.
pub const EMAIL: Target = Target {
    name: "email",
    input: "an e-mail or folder object, or a mail",
    dictionary: Some("mail"),
    properties: &[
        Property {
            name: "objects",
            sentence: "XML text that reads as an e-mail or folder object is written, and reads as the same again",
            check: objects,
        },
        Property {
            name: "octet-for-octet",
            sentence: "any octets as the message of an e-mail object come back octet for octet, and what is written \
                       is XML text that no line-end rule changes",
            check: octet_for_octet,
        },
        Property {
            name: "shown",
            sentence: "the summary and the text of any octets are one line and many without a control character \
                       that could steer a terminal, and cost no more than in proportion",
            check: shown,
        },
        Property {
            name: "wire-copy",
            sentence: "the copy of any message that goes to a mail server has CRLF line ends only, one closed \
                       header with Date and Message-ID, no Bcc, and completing it again changes nothing if no line \
                       of it had a bare CR",
            check: wire_copy,
        },
        Property {
            name: "stored",
            sentence: "a stored form made of any octets is refused, or is read, written and read again as the same",
            check: stored,
        },
    ],
};

fn objects(data: &[u8]) -> Result<(), Broken> {
    let data = Bytes::copy_from_slice(data);
    // Octets that XML forbids are read, and written as replacement characters.
    let is_text = syncml::xml_can_carry(&data);
    if is_text && let Ok(email) = Email::parse(&data) {
        let xml = email.to_xml();
        let again = Email::parse(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
        ensure!(again == email, "{email:?}\n  came back as {again:?}\n  through {xml:?}");
        let mut fields = MailFields::default();
        fields.merge(&email, false);
        let kept = MailFields::from_fields(&fields.to_fields()).map_err(|error| Broken(error.to_string()))?;
        ensure!(kept == fields, "{fields:?} was kept as {kept:?}");
    }
    if is_text && let Ok(folder) = Folder::parse(&data) {
        let xml = folder.to_xml();
        let again = Folder::parse(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
        ensure!(again == folder, "{folder:?}\n  came back as {again:?}\n  through {xml:?}");
    }
    Ok(())
}

fn octet_for_octet(data: &[u8]) -> Result<(), Broken> {
    let mut email = Email::default();
    email.item = Some(Bytes::copy_from_slice(data));
    let xml = email.to_xml();
    let again = Email::parse(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
    ensure!(again.item == email.item, "came back as {:?}\n  through {xml:?}", again.item);
    let text = std::str::from_utf8(&xml).map_err(|error| Broken(format!("{error}: {xml:?}")))?;
    let bare = text.replace("\r\n", "");
    ensure!(!bare.contains(['\r', '\n']), "a bare line end: {text:?}");
    ensure!(text.chars().all(|c| c >= ' ' || matches!(c, '\r' | '\n' | '\t')), "a control: {text:?}");
    let decoded = transfer::from_base64(transfer::to_base64(data).as_bytes());
    ensure!(decoded.as_deref() == Some(data), "base64 came back as {decoded:?}");
    Ok(())
}

fn shown(data: &[u8]) -> Result<(), Broken> {
    let input = data.len() as u64;
    let mut summary = summary::Summary::default();
    let used = allocation_counter::measure(|| summary = summary::Summary::of(data));
    let lines = [&summary.from, &summary.subject].into_iter().chain(&summary.to).chain(&summary.message_id);
    for line in lines {
        ensure!(!line.chars().any(char::is_control), "a control in {line:?}");
    }
    // The structures of the parser: a few hundred octets for the shortest field or part.
    let most = input.saturating_mul(400).saturating_add(1024 * 1024);
    ensure!(used.bytes_max <= most, "summary: {} octets for {input}", used.bytes_max);
    let used = allocation_counter::measure(|| drop(summary::plain_text(data)));
    ensure!(used.bytes_max <= most, "text: {} octets for {input}", used.bytes_max);
    let _ = Draft::reply(data, "ann@sim.test", "text");
    let _ = rfc822::read(&Bytes::copy_from_slice(data));
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(seconds) = time::from_basic(text)
    {
        let again = time::from_basic(&time::to_basic(seconds));
        ensure!(again == Some(seconds), "{text:?} is {seconds}, then {again:?}");
    }
    Ok(())
}

fn wire_copy(data: &[u8]) -> Result<(), Broken> {
    let guid = Guid::unvalidated("m1");
    let now = 1_186_444_800;
    let Ok(job) = SendJob::new("ann", &guid, data, "a.example", now) else { return Ok(()) };
    let kept = SendJob::from_bytes(&job.to_bytes()).map_err(Broken)?;
    ensure!(kept == job, "{job:?} was kept as {kept:?}");
    let wire = job.wire_copy(data);
    let ends = wire.iter().zip(wire.iter().skip(1)).all(|(&a, &b)| (a == b'\r') == (b == b'\n'));
    ensure!(ends && wire.last() != Some(&b'\r') && wire.first() != Some(&b'\n'), "a bare line end: {wire:?}");
    let headers = Headers::parse(&wire);
    ensure!(headers.is_closed(), "an open header: {wire:?}");
    ensure!(headers.first("Bcc").is_none(), "Bcc: {wire:?}");
    for field in ["Date", "Message-ID"] {
        ensure!(headers.first(field).is_some(), "no {field}: {wire:?}");
    }
    let bare_cr = data.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    if bare_cr {
        return Ok(());
    }
    let again = SendJob::new("ann", &guid, &wire, "a.example", now).map_err(Broken)?;
    ensure!(again.message_id == job.message_id, "{:?}, then {:?}", job.message_id, again.message_id);
    ensure!(again.set_date.is_none() && !again.add_message_id, "not complete: {again:?}");
    Ok(())
}

fn stored(data: &[u8]) -> Result<(), Broken> {
    if let Ok(fields) = MailFields::from_fields(data) {
        let again =
            MailFields::from_fields(&fields.to_fields()).map_err(|error| Broken(error.to_string()))?;
        ensure!(again == fields, "{fields:?}, then {again:?}");
    }
    if let Ok(folder) = Folder::from_fields(data) {
        let again = Folder::from_fields(&folder.to_fields()).map_err(|error| Broken(error.to_string()))?;
        ensure!(again == folder, "{folder:?}, then {again:?}");
    }
    if let Ok(job) = SendJob::from_bytes(data) {
        let again = SendJob::from_bytes(&job.to_bytes()).map_err(Broken)?;
        ensure!(again == job, "{job:?}, then {again:?}");
    }
    Ok(())
}
