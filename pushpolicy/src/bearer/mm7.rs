//! MM7: multimedia messages from a value added service to an MMS centre, SOAP 1.1 over HTTP.
//!
//! There is no free MMS centre to test against, so the reader is strict where the standard is: what it takes, a real
//! centre should take.

use super::Delivery;
use super::error::{DecodeError, EncodeError, one_line};
use super::multipart::{self, Part};
use super::xml::{self, Doctype, Document, Element};

mod answer;

pub use answer::{FromCentre, StatusCode, delivery_report_response, fault, submit_response};

const FORMAT: &str = "mm7";
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SCHEMA: &str = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/";
const ROOT_ID: &str = "mm7-root";
const CONTENT_ID: &str = "mm7-content";

/// Which schema a centre speaks: a setting per peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Last part of the namespace, `REL-6-MM7-1-4`.
    pub schema: String,
    /// `MM7Version`, `6.8.0`.
    pub number: String,
}

impl Version {
    /// Release 5 as mbuni speaks it.
    #[must_use]
    pub fn rel5() -> Version {
        Version { schema: "REL-5-MM7-1-0".to_owned(), number: "5.3.0".to_owned() }
    }

    /// Release 6 as providers speak it.
    #[must_use]
    pub fn rel6() -> Version {
        Version { schema: "REL-6-MM7-1-4".to_owned(), number: "6.8.0".to_owned() }
    }
}

/// A message for the centre.
// mission: M4c
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmitReq {
    /// Ours, repeated in the response.
    pub transaction: String,
    /// Schema.
    pub version: Version,
    /// Provider id, if the centre wants one.
    pub vasp_id: Option<String>,
    /// Service id.
    pub vas_id: Option<String>,
    /// Numbers with `+` or mail addresses; at least one.
    pub to: Vec<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Whether a report on the delivery is wanted.
    pub delivery_report: bool,
    /// The content: one part, itself `multipart/...` if there are several.
    pub content: Part,
}

/// A POST: headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Post {
    /// `Content-Type`.
    pub content_type: String,
    /// `SOAPAction`, always to be sent; `None` when a peer sent none.
    pub soap_action: Option<String>,
    /// Octets.
    pub body: Vec<u8>,
}

impl Post {
    /// What came, for a centre or a test of one.
    #[must_use]
    pub fn new(
        content_type: impl Into<String>,
        soap_action: Option<String>,
        body: impl Into<Vec<u8>>,
    ) -> Post {
        Post { content_type: content_type.into(), soap_action, body: body.into() }
    }
}

impl SubmitReq {
    /// A message of release 6 for one recipient.
    #[must_use]
    pub fn new(transaction: impl Into<String>, to: impl Into<String>, content: Part) -> SubmitReq {
        SubmitReq {
            transaction: transaction.into(),
            version: Version::rel6(),
            vasp_id: None,
            vas_id: None,
            to: vec![to.into()],
            subject: None,
            delivery_report: false,
            content,
        }
    }

    /// The POST.
    ///
    /// # Errors
    /// [`EncodeError`] without a recipient or with control characters.
    pub fn encode(&self) -> Result<Post, EncodeError> {
        if self.to.is_empty() {
            return Err(EncodeError::new(FORMAT, "recipients", "none"));
        }
        let mut m = String::new();
        m.push_str("<SubmitReq xmlns=\"");
        xml::escape(&mut m, &namespace(&self.version));
        m.push_str("\">");
        simple(&mut m, "MM7Version", &self.version.number)?;
        m.push_str("<SenderIdentification>");
        optional(&mut m, "VASPID", self.vasp_id.as_deref())?;
        optional(&mut m, "VASID", self.vas_id.as_deref())?;
        m.push_str("</SenderIdentification><Recipients><To>");
        for to in &self.to {
            simple(&mut m, if to.contains('@') { "RFC2822Address" } else { "Number" }, to)?;
        }
        m.push_str("</To></Recipients>");
        if self.delivery_report {
            simple(&mut m, "DeliveryReport", "true")?;
        }
        optional(&mut m, "Subject", self.subject.as_deref())?;
        m.push_str(&format!("<Content href=\"cid:{CONTENT_ID}\" allowAdaptations=\"true\"/></SubmitReq>"));
        let envelope = envelope(&self.transaction, &self.version, &m)?;
        let mut content = self.content.clone();
        content.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("Content-ID"));
        let root = Part::new("text/xml; charset=utf-8", envelope).with("Content-ID", format!("<{ROOT_ID}>"));
        let content = content.with("Content-ID", format!("<{CONTENT_ID}>"));
        let (body, boundary) = multipart::encode(&[root, content])?;
        let content_type =
            format!("multipart/related; type=\"text/xml\"; start=\"<{ROOT_ID}>\"; boundary={boundary}");
        Ok(Post { content_type, soap_action: Some("\"\"".to_owned()), body })
    }

    /// Reads a submission as a strict centre does.
    ///
    /// # Errors
    /// [`Refusal`]: the status that goes back, and why.
    pub fn decode(post: &Post) -> Result<SubmitReq, Refusal> {
        let format = |error: DecodeError| Refusal { status: StatusCode::FORMAT, error };
        let rule = |at, what: &str| Refusal {
            status: StatusCode::FORMAT,
            error: DecodeError::violation(FORMAT, at, what),
        };
        if post.soap_action.is_none() {
            return Err(rule(0, "no SOAPAction"));
        }
        let boundary =
            multipart::parameter(&post.content_type, "boundary").ok_or_else(|| rule(0, "no boundary"))?;
        let parts = multipart::decode(&boundary, &post.body).map_err(format)?;
        let [root, content] = parts.as_slice() else {
            return Err(rule(0, "root and one content part needed"));
        };
        if multipart::parameter(&post.content_type, "start").as_deref() != root.header("Content-ID") {
            return Err(rule(0, "start is not the Content-ID of the root"));
        }
        if !root.header("Content-Type").is_some_and(|t| t.starts_with("text/xml")) {
            return Err(rule(0, "the root is no text/xml"));
        }
        let document = xml::read(FORMAT, &root.body, Doctype::Refused).map_err(format)?;
        let (transaction, must_understand) =
            transaction(&document).ok_or_else(|| rule(0, "no TransactionID"))?;
        if !must_understand {
            return Err(rule(0, "TransactionID without mustUnderstand"));
        }
        let req = find(&document, "SubmitReq").ok_or_else(|| rule(0, "no SubmitReq"))?;
        let version = version_of(&document, req).ok_or(Refusal {
            status: StatusCode::VERSION,
            error: DecodeError::unsupported(FORMAT, req.offset, "namespace"),
        })?;
        check_order(&document, req).map_err(format)?;
        let recipients = find(&document, "Recipients").map(|r| addresses(&document, r)).unwrap_or_default();
        if recipients.is_empty() {
            return Err(rule(req.offset, "no recipient"));
        }
        let href = document.child(req, "Content").and_then(|c| c.attribute("href")?.strip_prefix("cid:"));
        let id = content.header("Content-ID").map(|id| id.trim_matches(['<', '>']));
        if href.is_none() || href != id {
            return Err(rule(req.offset, "href without its Content-ID"));
        }
        let mut content = content.clone();
        content.headers.retain(|(n, _)| !n.eq_ignore_ascii_case("Content-ID"));
        let text = |name: &str| document.text(name).map(str::to_owned);
        Ok(SubmitReq {
            transaction,
            version,
            vasp_id: text("VASPID"),
            vas_id: text("VASID"),
            to: recipients,
            subject: text("Subject"),
            delivery_report: document.text("DeliveryReport") == Some("true"),
            content,
        })
    }
}

/// What a centre says when it takes no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} (status {})", status.0)]
#[non_exhaustive]
pub struct Refusal {
    /// For the response.
    pub status: StatusCode,
    /// Why.
    pub error: DecodeError,
}

/// The order of the elements in a `SubmitReq`.
// spec: 3GPP TS 23.140 §7
const ORDER: [&str; 25] = [
    "MM7Version",
    "SenderIdentification",
    "Recipients",
    "ServiceCode",
    "LinkedID",
    "MessageClass",
    "TimeStamp",
    "ReplyCharging",
    "EarliestDeliveryTime",
    "ExpiryDate",
    "DeliveryReport",
    "ReadReply",
    "Priority",
    "Subject",
    "ChargedParty",
    "ChargedPartyID",
    "DistributionIndicator",
    "DeliveryCondition",
    "ApplicID",
    "ReplyApplicID",
    "AuxApplicInfo",
    "ContentClass",
    "DRMContent",
    "Content",
    "Extension",
];

fn check_order(document: &Document, req: &Element) -> Result<(), DecodeError> {
    let mut last = 0;
    for child in document.children(req) {
        let place = ORDER.iter().position(|n| *n == child.name);
        let place = place
            .ok_or_else(|| DecodeError::violation(FORMAT, child.offset, format!("element {}", child.name)))?;
        if place < last {
            return Err(DecodeError::violation(FORMAT, child.offset, format!("{} out of order", child.name)));
        }
        last = place;
    }
    Ok(())
}

fn addresses(document: &Document, recipients: &Element) -> Vec<String> {
    let groups = document.children(recipients).filter(|g| ["To", "Cc", "Bcc"].contains(&g.name.as_str()));
    let all = groups.flat_map(|g| document.children(g));
    all.filter(|a| ["Number", "RFC2822Address", "ShortCode"].contains(&a.name.as_str()))
        .map(|a| a.text.trim().to_owned())
        .filter(|a| !a.is_empty())
        .collect()
}

fn namespace(version: &Version) -> String {
    format!("{SCHEMA}{}", version.schema)
}

fn envelope(transaction: &str, version: &Version, body: &str) -> Result<String, EncodeError> {
    one_line(FORMAT, "transaction", transaction)?;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"{SOAP}\"><env:Header><TransactionID xmlns=\""
    );
    xml::escape(&mut out, &namespace(version));
    out.push_str("\" env:mustUnderstand=\"1\">");
    xml::escape(&mut out, transaction);
    out.push_str("</TransactionID></env:Header><env:Body>");
    out.push_str(body);
    out.push_str("</env:Body></env:Envelope>\n");
    Ok(out)
}

fn simple(out: &mut String, name: &str, text: &str) -> Result<(), EncodeError> {
    one_line(FORMAT, "text", text)?;
    xml::simple(out, name, text);
    Ok(())
}

fn optional(out: &mut String, name: &str, text: Option<&str>) -> Result<(), EncodeError> {
    text.map_or(Ok(()), |t| simple(out, name, t))
}

fn find<'d>(document: &'d Document, name: &str) -> Option<&'d Element> {
    document.elements.iter().find(|e| e.name == name)
}

fn transaction(document: &Document) -> Option<(String, bool)> {
    let header = find(document, "Header")?;
    let id = document.child(header, "TransactionID")?;
    Some((id.text.trim().to_owned(), matches!(id.attribute("mustUnderstand"), Some("1" | "true"))))
}

/// By the namespace that the element, or the transaction id, states.
fn version_of(document: &Document, e: &Element) -> Option<Version> {
    let stated = |e: &Element| {
        let urls = e.attributes.iter().filter(|(n, _)| n == "xmlns" || n.starts_with("xmlns:"));
        urls.filter_map(|(_, v)| v.strip_prefix(SCHEMA)).next().map(str::to_owned)
    };
    let schema = stated(e).or_else(|| document.elements.iter().find_map(stated))?;
    Some(Version { schema, number: document.text("MM7Version").unwrap_or("").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit() -> SubmitReq {
        let content = Part::new("application/vnd.syncml.ds.notification", vec![0, 1, 2, 13, 10]);
        SubmitReq {
            vasp_id: Some("mailsync".into()),
            subject: Some("3 < 4".into()),
            delivery_report: true,
            ..SubmitReq::new("vas-1", "+8613800138000", content)
        }
    }

    // mission: M4c
    #[test]
    fn a_submission_in_both_directions() {
        for version in [Version::rel5(), Version::rel6()] {
            let req = SubmitReq { version, ..submit() };
            assert_eq!(SubmitReq::decode(&req.encode().unwrap()).unwrap(), req);
        }
        assert!(SubmitReq { to: Vec::new(), ..submit() }.encode().is_err());
    }

    #[test]
    fn a_strict_centre_refuses() {
        let good = submit().encode().unwrap();
        let changed = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(&good.body).replacen(from, to, 1);
            assert_ne!(text.as_bytes(), good.body, "{from}");
            SubmitReq::decode(&Post { body: text.into_bytes(), ..good.clone() }).unwrap_err()
        };
        for (from, to, part) in [
            (" env:mustUnderstand=\"1\"", "", "without mustUnderstand"),
            ("cid:mm7-content", "cid:other", "href"),
            ("<mm7-root>", "<other>", "start"),
            ("text/xml; charset", "application/xml; charset", "no text/xml"),
            ("<env:Envelope", "<!DOCTYPE a><env:Envelope", "document type"),
            ("3 &lt; 4", "&evil;", "entity"),
            ("+8613800138000", "", "no recipient"),
            ("<MM7Version>6.8.0</MM7Version>", "", "out of order"),
        ] {
            if part == "out of order" {
                let moved = "</SenderIdentification><MM7Version>6.8.0</MM7Version>";
                let text = String::from_utf8_lossy(&good.body).replacen(from, "", 1).replacen(
                    "</SenderIdentification>",
                    moved,
                    1,
                );
                let error = SubmitReq::decode(&Post { body: text.into_bytes(), ..good.clone() }).unwrap_err();
                assert!(error.to_string().contains(part), "{error}");
                continue;
            }
            let refusal = changed(from, to);
            assert!(refusal.to_string().contains(part), "{from}: {refusal}");
            assert_eq!(refusal.status, StatusCode::FORMAT);
        }
        let text = String::from_utf8_lossy(&good.body).replace("23.140/schema", "23.141/schema");
        let refusal = SubmitReq::decode(&Post { body: text.into_bytes(), ..good.clone() }).unwrap_err();
        assert_eq!(refusal.status, StatusCode::VERSION);
        assert!(
            SubmitReq::decode(&Post { soap_action: None, ..good })
                .unwrap_err()
                .to_string()
                .contains("SOAPAction")
        );
    }
}
