//! What a centre answers and reports, and what we answer.

use super::super::error::{DecodeError, EncodeError};
use super::super::xml::{self, Doctype};
use super::{Delivery, FORMAT, Version, envelope, find, namespace, optional, simple, transaction};

/// A status code of MM7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// Done.
    pub const SUCCESS: StatusCode = StatusCode(1000);
    /// Format corrupt.
    pub const FORMAT: StatusCode = StatusCode(2007);
    /// Version or namespace not spoken.
    pub const VERSION: StatusCode = StatusCode(4002);
    /// Service unavailable.
    pub const UNAVAILABLE: StatusCode = StatusCode(4006);

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn may_retry(self) -> bool {
        matches!(self.0, 3000 | 4006)
    }

    /// What the code means for the message.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        match self.0 {
            1000..=1999 => Delivery::Accepted,
            2002 | 2003 => Delivery::Gone,
            _ if self.may_retry() => Delivery::Unreachable,
            2000..=4999 => Delivery::Refused,
            _ => Delivery::Unknown,
        }
    }
}

/// What a centre sends us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FromCentre {
    /// The answer to a submission, in a SOAP fault or not.
    Response {
        /// Must be ours, else the answer belongs to something else.
        transaction: String,
        /// Status.
        status: StatusCode,
        /// In words.
        text: String,
        /// The centre's name for the message: reports carry it.
        message_id: Option<String>,
    },
    /// What became of a message; it may come late, twice, or before the response.
    DeliveryReport {
        /// To be repeated in the answer.
        transaction: String,
        /// The centre's name for the message.
        message_id: String,
        /// Recipient.
        recipient: String,
        /// `MMStatus`: Retrieved, Expired, Rejected, Deferred, Indeterminate, Forwarded.
        status: String,
    },
}

impl FromCentre {
    /// Reads the XML of a response or a report.
    ///
    /// # Errors
    /// [`DecodeError`]: no SOAP, or nothing of the kind in it.
    pub fn decode(body: &[u8]) -> Result<FromCentre, DecodeError> {
        let document = xml::read(FORMAT, body, Doctype::Refused)?;
        let id = transaction(&document).map(|(id, _)| id).unwrap_or_default();
        let text = |name: &str| document.text(name).unwrap_or("").to_owned();
        if find(&document, "DeliveryReportReq").is_some() {
            let recipient = find(&document, "Recipient");
            let recipient =
                recipient.and_then(|r| document.children(r).next()).map(|a| a.text.trim().to_owned());
            return Ok(FromCentre::DeliveryReport {
                transaction: id,
                message_id: text("MessageID"),
                recipient: recipient.unwrap_or_default(),
                status: text("MMStatus"),
            });
        }
        let known = ["SubmitRsp", "RSErrorRsp", "VASPErrorRsp"].iter().any(|n| find(&document, n).is_some());
        if !known {
            return Err(DecodeError::unsupported(FORMAT, 0, "no response and no report"));
        }
        let status = text("StatusCode").parse().map(StatusCode);
        Ok(FromCentre::Response {
            transaction: id,
            status: status.map_err(|_| DecodeError::violation(FORMAT, 0, "StatusCode"))?,
            text: text("StatusText"),
            message_id: document.text("MessageID").map(str::to_owned),
        })
    }
}

/// The answer of a centre to a submission: `SubmitRsp`, or for a refusal that read no message, a fault.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn submit_response(
    transaction: &str,
    version: &Version,
    status: StatusCode,
    text: &str,
    message_id: Option<&str>,
) -> Result<Vec<u8>, EncodeError> {
    let mut m = String::from("<SubmitRsp xmlns=\"");
    answer(&mut m, version, status, text)?;
    optional(&mut m, "MessageID", message_id)?;
    m.push_str("</SubmitRsp>");
    envelope(transaction, version, &m).map(String::into_bytes)
}

/// A SOAP fault with the status in its detail.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn fault(
    transaction: &str,
    version: &Version,
    status: StatusCode,
    text: &str,
) -> Result<Vec<u8>, EncodeError> {
    let mut m = String::from("<env:Fault><faultcode>env:Client</faultcode><faultstring>");
    xml::escape(&mut m, text);
    m.push_str("</faultstring><detail><RSErrorRsp xmlns=\"");
    answer(&mut m, version, status, text)?;
    m.push_str("</RSErrorRsp></detail></env:Fault>");
    envelope(transaction, version, &m).map(String::into_bytes)
}

/// Our answer to a delivery report.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn delivery_report_response(transaction: &str, version: &Version) -> Result<Vec<u8>, EncodeError> {
    let mut m = String::from("<DeliveryReportRsp xmlns=\"");
    answer(&mut m, version, StatusCode::SUCCESS, "")?;
    m.push_str("</DeliveryReportRsp>");
    envelope(transaction, version, &m).map(String::into_bytes)
}

fn answer(out: &mut String, version: &Version, status: StatusCode, text: &str) -> Result<(), EncodeError> {
    xml::escape(out, &namespace(version));
    out.push_str("\">");
    simple(out, "MM7Version", &version.number)?;
    out.push_str("<Status>");
    simple(out, "StatusCode", &status.0.to_string())?;
    optional(out, "StatusText", Some(text).filter(|t| !t.is_empty()))?;
    out.push_str("</Status>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::SOAP;
    use super::*;

    #[test]
    fn responses_faults_and_reports() {
        let version = Version::rel6();
        let ok = submit_response("vas-1", &version, StatusCode::SUCCESS, "fine", Some("m-9")).unwrap();
        let FromCentre::Response { transaction, status, message_id, .. } = FromCentre::decode(&ok).unwrap()
        else {
            panic!()
        };
        assert_eq!(
            (transaction.as_str(), status, message_id.as_deref()),
            ("vas-1", StatusCode::SUCCESS, Some("m-9"))
        );
        let bad = fault("vas-1", &version, StatusCode::UNAVAILABLE, "later").unwrap();
        let FromCentre::Response { status, .. } = FromCentre::decode(&bad).unwrap() else { panic!() };
        assert_eq!((status.may_retry(), status.delivery()), (true, Delivery::Unreachable));
        let report = format!(
            "<e:Envelope xmlns:e='{SOAP}'><e:Header><TransactionID e:mustUnderstand='1'>c-7</TransactionID></e:Header><e:Body>\
             <DeliveryReportReq><MM7Version>6.8.0</MM7Version><MessageID>m-9</MessageID><Recipient><Number>+86138</Number>\
             </Recipient><MMStatus>Retrieved</MMStatus></DeliveryReportReq></e:Body></e:Envelope>"
        );
        assert_eq!(
            FromCentre::decode(report.as_bytes()).unwrap(),
            FromCentre::DeliveryReport {
                transaction: "c-7".into(),
                message_id: "m-9".into(),
                recipient: "+86138".into(),
                status: "Retrieved".into()
            }
        );
        assert!(delivery_report_response("c-7", &version).is_ok());
        assert!(FromCentre::decode(b"<a/>").is_err());
        assert!(fault("a\r\nb", &version, StatusCode::FORMAT, "x").is_err());
    }
}
