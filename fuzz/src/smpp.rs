//! SMPP: octets as PDUs, fields as PDUs, and two sessions that are told anything.

use crate::{Broken, Property, Target, ensure};
use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use smsbridge::smpp::pdu::{DataSm, DeliverSm, MessageResp, QuerySm, SubmitSm};
use smsbridge::smpp::session::{BindMode, Config, Credentials, Event, Output, Session, Token};
use smsbridge::smpp::{
    Body, CString, CommandId, CommandStatus, DataCoding, EsmClass, Framer, Limits, Npi, Pdu, Quirks,
    RegisteredDelivery, SequenceNumber, Tag, Tlvs, Ton,
};
use std::time::Duration;

/// Octets of a link.
pub const SMPP_PDU: Target = Target {
    name: "smpp_pdu",
    input: "octets of a link, as they come from a socket",
    dictionary: None,
    properties: &[
        Property {
            name: "unchanged",
            sentence: "a PDU that is read is written octet for octet, and its typed body, written and read again under \
                       the same leniency, is the same body",
            check: unchanged,
        },
        Property {
            name: "pieces",
            sentence: "the same octets in pieces of any size give the same PDUs and the same end",
            check: pieces,
        },
    ],
};

/// Fields of messages.
pub const SMPP_MODEL: Target = Target {
    name: "smpp_model",
    input: "choices of fields of a message",
    dictionary: None,
    properties: &[Property {
        name: "comes back",
        sentence: "a body made of legal fields, written, is read as the same body even by the strict profile",
        check: comes_back,
    }],
};

/// Operations on two sessions.
pub const SMPP_OPERATIONS: Target = Target {
    name: "smpp_operations",
    input: "operations on an ESME and a centre that are linked: verbs, time, cut and broken octets",
    dictionary: None,
    properties: &[Property {
        name: "ends well",
        sentence: "whatever happens, a session is closed or has a timer, every request of its host is answered, in doubt \
                   or given up exactly once, and no answer is to a request that was not made",
        check: ends_well,
    }],
};

fn frames(data: &[u8], size: usize) -> (Vec<Pdu>, bool) {
    let mut framer = Framer::new(Limits::default());
    framer.set_bound(true);
    let mut pdus = Vec::new();
    for piece in data.chunks(size.max(1)) {
        framer.push(piece);
        loop {
            match framer.next_pdu() {
                Ok(Some(pdu)) => pdus.push(pdu),
                Ok(None) => break,
                Err(_) => return (pdus, true),
            }
        }
    }
    (pdus, false)
}

fn unchanged(data: &[u8]) -> Result<(), Broken> {
    let (pdus, _) = frames(data, data.len());
    let mut rest = data;
    for pdu in pdus {
        let octets = pdu.encode();
        ensure!(rest.starts_with(&octets), "{pdu:?} is written as {octets:?}");
        rest = &rest[octets.len()..];
        for quirks in [Quirks::strict(), Quirks::normal(), Quirks::lenient()] {
            match pdu.decode(&quirks) {
                Ok(body) => {
                    let written = Pdu::with_status(pdu.command_status, pdu.sequence_number, &body);
                    let again = written.decode(&quirks).map_err(|error| Broken(error.to_string()))?;
                    ensure!(again == body, "{body:?} comes back as {again:?}");
                    let mut whole = bytes::BytesMut::new();
                    body.encode_into(pdu.command_status, pdu.sequence_number, &mut whole);
                    ensure!(whole == written.encode(), "two ways of writing differ: {body:?}");
                }
                Err(error) => {
                    ensure!(error.offset <= octets.len(), "{error}: behind the end");
                    ensure!(!error.status.is_ok(), "{error}: answered with success");
                }
            }
        }
    }
    Ok(())
}

fn pieces(data: &[u8]) -> Result<(), Broken> {
    let whole = frames(data, data.len());
    for size in [1, 3, 16, 17] {
        let cut = frames(data, size);
        ensure!(cut == whole, "in pieces of {size}: {cut:?}, whole: {whole:?}");
    }
    Ok(())
}

fn comes_back(data: &[u8]) -> Result<(), Broken> {
    let Ok(body) = body(&mut Unstructured::new(data)) else { return Ok(()) };
    let pdu = Pdu::new(SequenceNumber(7), &body);
    let read = pdu.decode(&Quirks::strict()).map_err(|error| Broken(format!("{error}: {body:?}")))?;
    ensure!(read == body, "{body:?} comes back as {read:?}");
    let framed = Pdu::from_frame(pdu.encode());
    ensure!(framed.as_ref() == Some(&pdu), "{pdu:?} is framed as {framed:?}");
    Ok(())
}

fn string<const MAX: usize>(u: &mut Unstructured<'_>) -> arbitrary::Result<CString<MAX>> {
    let length = u.int_in_range(0..=MAX - 1)?;
    let octets: Vec<u8> = u.bytes(length.min(u.len()))?.iter().map(|octet| octet | 1).collect();
    CString::try_from(Bytes::from(octets)).map_err(|_| arbitrary::Error::IncorrectFormat)
}

fn tlvs(u: &mut Unstructured<'_>) -> arbitrary::Result<Tlvs> {
    let mut tlvs = Tlvs::default();
    for _ in 0..u.int_in_range(0..=6)? {
        let tag = Tag(u.arbitrary::<u16>()?);
        let (least, most) = tag.sizes().unwrap_or((0, 300));
        let length = u.int_in_range(least..=most.min(300))?;
        let value: Vec<u8> = (0..length).map(|_| u.arbitrary().unwrap_or(0)).collect();
        // two texts are refused by the strict profile
        if tag != Tag::MESSAGE_PAYLOAD {
            tlvs.push(tag, &value).map_err(|_| arbitrary::Error::IncorrectFormat)?;
        }
    }
    Ok(tlvs)
}

fn submit(u: &mut Unstructured<'_>) -> arbitrary::Result<SubmitSm> {
    let mut submit = SubmitSm::default();
    submit.service_type = string(u)?;
    submit.source_addr_ton = Ton(u.arbitrary()?);
    submit.source_addr_npi = Npi(u.arbitrary()?);
    submit.source_addr = string(u)?;
    submit.dest_addr_ton = Ton(u.arbitrary()?);
    submit.destination_addr = string(u)?;
    submit.esm_class = EsmClass(u.arbitrary()?);
    submit.protocol_id = u.arbitrary()?;
    submit.registered_delivery = RegisteredDelivery(u.arbitrary()?);
    submit.data_coding = DataCoding(u.arbitrary()?);
    let length = u.int_in_range(0..=254)?;
    let text = Bytes::copy_from_slice(u.bytes(length.min(u.len()))?);
    submit.short_message = text.try_into().map_err(|_| arbitrary::Error::IncorrectFormat)?;
    submit.tlvs = tlvs(u)?;
    Ok(submit)
}

fn body(u: &mut Unstructured<'_>) -> arbitrary::Result<Body> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Body::SubmitSm(submit(u)?),
        1 => {
            let mut deliver = DeliverSm::default();
            let from = submit(u)?;
            deliver.source_addr = from.source_addr;
            deliver.destination_addr = from.destination_addr;
            deliver.short_message = from.short_message;
            deliver.tlvs = from.tlvs;
            Body::DeliverSm(deliver)
        }
        2 => {
            let mut data = DataSm::default();
            data.source_addr = string(u)?;
            data.destination_addr = string(u)?;
            data.tlvs = tlvs(u)?;
            Body::DataSm(data)
        }
        3 => {
            let mut query = QuerySm::default();
            query.message_id = string(u)?;
            query.source_addr = string(u)?;
            Body::QuerySm(query)
        }
        4 => {
            let mut resp = MessageResp::default();
            resp.message_id = string(u)?;
            Body::SubmitSmResp(resp)
        }
        _ => Body::EnquireLink,
    })
}

/// What is done to the two sessions.
#[derive(Clone, Debug, Arbitrary)]
enum Operation {
    /// The ESME or the centre sends a message.
    Request(bool),
    /// Whoever owes an answer gives it, with this status.
    Respond(bool, u8),
    /// Octets go over, this many at most.
    Carry(bool, u8),
    /// One octet on the way is another.
    Spoil(bool, u8, u8),
    /// Octets out of nowhere.
    Inject(bool, Vec<u8>),
    /// Milliseconds go by.
    Wait(u16),
    /// One side unbinds.
    Unbind(bool),
    /// The link is cut.
    Cut,
}

/// One side, and what is on its way to the other.
struct Side {
    session: Session,
    way: Vec<u8>,
    owed: Vec<(SequenceNumber, CommandId)>,
    made: u64,
    settled: Vec<u64>,
    over: bool,
}

impl Side {
    fn new(session: Session) -> Self {
        Side { session, way: Vec::new(), owed: Vec::new(), made: 0, settled: Vec::new(), over: false }
    }

    fn settle(&mut self, now: Duration) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Transmit(octets) => self.way.extend_from_slice(&octets),
                Output::Event(Event::BindRequested { .. }) => {
                    // the session asked, so it waits for this
                    let _ = self.session.accept_bind(now);
                }
                Output::Event(Event::Request { pdu, .. }) => {
                    self.owed.push((pdu.sequence_number, pdu.command_id));
                }
                Output::Event(Event::Response { token, .. }) => self.settled.push(token.0),
                Output::Event(Event::NoResponse(doubt)) => self.settled.push(doubt.token.0),
                Output::Event(Event::Closed { in_doubt, .. }) => {
                    self.settled.extend(in_doubt.iter().map(|doubt| doubt.token.0));
                }
                Output::Close => self.over = true,
                Output::Event(_) | _ => {}
            }
        }
    }
}

fn ends_well(data: &[u8]) -> Result<(), Broken> {
    let mut u = Unstructured::new(data);
    let credentials = Credentials::new(BindMode::Transceiver, CString::default(), CString::default());
    let mut now = Duration::ZERO;
    let mut sides = [
        Side::new(Session::esme(Config::default(), credentials, now)),
        Side::new(Session::smsc(Config::default(), now)),
    ];
    for _ in 0..200 {
        let Ok(operation) = Operation::arbitrary(&mut u) else { break };
        operate(&mut sides, &mut now, operation);
        for side in &mut sides {
            side.settle(now);
            let timer = side.session.poll_timeout();
            ensure!(
                side.session.is_closed() == timer.is_none(),
                "closed {}, timer {timer:?}",
                side.session.is_closed()
            );
            ensure!(!side.over || side.session.is_closed(), "the link ends, the session does not");
        }
        if u.is_empty() {
            break;
        }
    }
    for side in &mut sides {
        side.session.handle_eof(now);
        side.settle(now);
        side.settled.sort_unstable();
        let made: Vec<u64> = (0..side.made).collect();
        ensure!(side.settled == made, "requests {made:?}, told of {:?}", side.settled);
    }
    Ok(())
}

fn operate(sides: &mut [Side; 2], now: &mut Duration, operation: Operation) {
    match operation {
        Operation::Request(centre) => {
            let side = &mut sides[usize::from(centre)];
            let body = if centre {
                Body::DeliverSm(DeliverSm::default())
            } else {
                Body::SubmitSm(SubmitSm::default())
            };
            let pdu = Pdu::new(SequenceNumber(1), &body);
            if side.session.request(*now, Token(side.made), pdu, 1).is_ok() {
                side.made += 1;
            }
        }
        Operation::Respond(centre, status) => {
            let side = &mut sides[usize::from(centre)];
            if let Some((sequence, _)) = side.owed.pop() {
                let _ = side.session.respond(*now, sequence, CommandStatus(u32::from(status)), None);
            }
        }
        Operation::Carry(centre, most) => {
            let [esme, smsc] = sides;
            let (from, to) = if centre { (smsc, esme) } else { (esme, smsc) };
            let octets: Vec<u8> = from.way.drain(..from.way.len().min(usize::from(most) + 1)).collect();
            to.session.handle_input(*now, &octets);
        }
        Operation::Spoil(centre, at, octet) => {
            let way = &mut sides[usize::from(centre)].way;
            if let Some(place) = way.get_mut(usize::from(at)) {
                *place = octet;
            }
        }
        Operation::Inject(centre, octets) => sides[usize::from(centre)].session.handle_input(*now, &octets),
        Operation::Wait(milliseconds) => {
            *now += Duration::from_millis(u64::from(milliseconds) * 4);
            sides.iter_mut().for_each(|side| side.session.handle_timeout(*now));
        }
        Operation::Unbind(centre) => {
            let _ = sides[usize::from(centre)].session.unbind(*now);
        }
        Operation::Cut => sides.iter_mut().for_each(|side| side.session.handle_eof(*now)),
    }
}
