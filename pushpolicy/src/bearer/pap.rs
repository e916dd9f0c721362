//! Push Access Protocol: from us to a push proxy gateway, by HTTP POST.
//!
//! # Quirks of Kannel 1.4.5, measured
//! User-Agent and Accept of the POST travel on to the phone: send none. In the content part only Content-Type,
//! X-Wap-Application-Id, Content-Transfer-Encoding, -ID and -Description; any other spills into the body. One address
//! per message: only the last is served. The same push-id is sent again. TYPE=USER, PAP 2 attributes and a number
//! without `+` are refused; a bare address hangs it, so every request needs a time limit.

use super::date::UtcTime;
use super::error::{DecodeError, EncodeError, one_line};
use super::multipart::{self, Part};
use super::xml::{self, Doctype, Document, Element};
use super::{Delivery, wap::ContentType};

mod answer;

pub use answer::{Answer, Code, State};

const FORMAT: &str = "pap";
const HEAD: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 1.0//EN\" \
                    \"http://www.wapforum.org/DTD/pap_1.0.dtd\">\n";

/// Whom a push is for, as the gateway spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// International number with `+`.
    Number(String),
    /// IPv4 address.
    Ipv4(std::net::Ipv4Addr),
    /// IPv6 address.
    Ipv6(std::net::Ipv6Addr),
    /// A user that the gateway knows.
    User(String),
}

impl Address {
    fn value(&self, gateway: &str) -> Result<String, EncodeError> {
        let (value, kind) = match self {
            Address::Number(n) => {
                let digits = n.strip_prefix('+').unwrap_or("");
                if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(EncodeError::new(FORMAT, "number", "`+` and at most 15 digits"));
                }
                (n.clone(), "PLMN")
            }
            Address::Ipv4(ip) => (ip.to_string(), "IPV4"),
            Address::Ipv6(ip) => (ip.to_string(), "IPV6"),
            Address::User(u) => (percent(u), "USER"),
        };
        Ok(format!("WAPPUSH={value}/TYPE={kind}@{gateway}"))
    }
}

fn percent(user: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    user.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A push for a gateway.
// mission: M4c, P6
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushMessage {
    /// Ours, unique for ever: `<random>@<our host>`.
    pub push_id: String,
    /// The gateway's host, for the address.
    pub gateway: String,
    /// One.
    pub address: Address,
    /// What the content is.
    pub content_type: ContentType,
    /// Application URI, `x-wap-application:push.syncml`; absent: the browser.
    pub application: Option<String>,
    /// The content.
    pub content: Vec<u8>,
    /// Of no use after this.
    pub deliver_before: Option<UtcTime>,
    /// Where results are to be posted.
    pub notify: Option<String>,
}

/// A POST: Content-Type and body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Post {
    /// For the HTTP header.
    pub content_type: String,
    /// Octets.
    pub body: Vec<u8>,
}

impl PushMessage {
    /// A push with the mandatory parts.
    #[must_use]
    pub fn new(
        push_id: impl Into<String>,
        gateway: impl Into<String>,
        address: Address,
        content_type: ContentType,
        content: impl Into<Vec<u8>>,
    ) -> PushMessage {
        let application = super::wap::Push::new(0, content_type.clone(), Vec::new()).application().uri();
        PushMessage {
            push_id: push_id.into(),
            gateway: gateway.into(),
            address,
            content_type,
            application,
            content: content.into(),
            deliver_before: None,
            notify: None,
        }
    }

    /// The POST: `multipart/related` of control entity and content.
    ///
    /// # Errors
    /// [`EncodeError`] for a bad number, control characters, or a content type without a name.
    pub fn encode(&self) -> Result<Post, EncodeError> {
        for text in [&self.push_id, &self.gateway] {
            one_line(FORMAT, "push-id or gateway", text)?;
        }
        let content_type =
            self.content_type.name().ok_or(EncodeError::new(FORMAT, "content type", "has no name"))?;
        let mut control = format!("{HEAD}<pap><push-message");
        xml::attribute(&mut control, "push-id", &self.push_id);
        if let Some(t) = self.deliver_before {
            xml::attribute(&mut control, "deliver-before-timestamp", &t.to_string());
        }
        if let Some(url) = &self.notify {
            one_line(FORMAT, "notify", url)?;
            xml::attribute(&mut control, "ppg-notify-requested-to", url);
        }
        control.push_str("><address");
        xml::attribute(&mut control, "address-value", &self.address.value(&self.gateway)?);
        control.push_str("/></push-message></pap>\n");
        let mut content = Part::new(content_type, self.content.clone());
        if let Some(application) = &self.application {
            content = content.with("X-Wap-Application-Id", application.clone());
        }
        let (body, boundary) = multipart::encode(&[Part::new("application/xml", control), content])?;
        let content_type = format!("multipart/related; boundary={boundary}; type=\"application/xml\"");
        Ok(Post { content_type, body })
    }

    /// Reads what a push initiator posted, for a gateway or a test of one.
    ///
    /// # Errors
    /// [`DecodeError`], naming the part.
    pub fn decode(post: &Post) -> Result<PushMessage, DecodeError> {
        let boundary = multipart::parameter(&post.content_type, "boundary");
        let boundary = boundary.ok_or_else(|| DecodeError::violation(FORMAT, 0, "no boundary"))?;
        let parts = multipart::decode(&boundary, &post.body)?;
        let [control, content, ..] = parts.as_slice() else {
            return Err(DecodeError::violation(FORMAT, 0, "control entity and content needed"));
        };
        let document = xml::read(FORMAT, &control.body, Doctype::Bare)?;
        let message = inner(&document, "push-message")?;
        let address = document.child(message, "address").and_then(|a| a.attribute("address-value"));
        let (address, gateway) = address
            .and_then(parse_address)
            .ok_or_else(|| DecodeError::violation(FORMAT, message.offset, "address-value"))?;
        let content_type = content.header("Content-Type").unwrap_or("application/octet-stream").to_owned();
        Ok(PushMessage {
            push_id: needed(message, "push-id")?,
            gateway,
            address,
            content_type: ContentType::Name(content_type),
            application: content.header("X-Wap-Application-Id").map(str::to_owned),
            content: content.body.clone(),
            deliver_before: message.attribute("deliver-before-timestamp").and_then(UtcTime::parse),
            notify: message.attribute("ppg-notify-requested-to").map(str::to_owned),
        })
    }
}

fn parse_address(value: &str) -> Option<(Address, String)> {
    let (value, rest) = value.strip_prefix("WAPPUSH=")?.split_once("/TYPE=")?;
    let (kind, gateway) = rest.split_once('@')?;
    let address = match kind {
        "PLMN" => Address::Number(value.to_owned()),
        "IPV4" => Address::Ipv4(value.parse().ok()?),
        "IPV6" => Address::Ipv6(value.parse().ok()?),
        "USER" => {
            let mut out = Vec::new();
            let mut parts = value.split('%');
            out.extend_from_slice(parts.next()?.as_bytes());
            for part in parts {
                out.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
                out.extend_from_slice(part.get(2..)?.as_bytes());
            }
            Address::User(String::from_utf8(out).ok()?)
        }
        _ => return None,
    };
    Some((address, gateway.to_owned()))
}

/// `cancel-message` for a push.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn cancel(push_id: &str) -> Result<Post, EncodeError> {
    control("cancel-message", push_id)
}

/// `statusquery-message` for a push.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn status_query(push_id: &str) -> Result<Post, EncodeError> {
    control("statusquery-message", push_id)
}

fn control(element: &str, push_id: &str) -> Result<Post, EncodeError> {
    one_line(FORMAT, "push-id", push_id)?;
    let mut body = format!("{HEAD}<pap><{element}");
    xml::attribute(&mut body, "push-id", push_id);
    body.push_str("/></pap>\n");
    Ok(Post { content_type: "application/xml".to_owned(), body: body.into_bytes() })
}

/// The answer to a result notification, and its code.
///
/// # Errors
/// [`EncodeError`] for control characters.
pub fn result_response(push_id: &str, code: Code) -> Result<Post, EncodeError> {
    one_line(FORMAT, "push-id", push_id)?;
    let mut body = format!("{HEAD}<pap><resultnotification-response");
    xml::attribute(&mut body, "push-id", push_id);
    xml::attribute(&mut body, "code", &code.0.to_string());
    body.push_str("/></pap>\n");
    Ok(Post { content_type: "application/xml".to_owned(), body: body.into_bytes() })
}

fn inner<'d>(document: &'d Document, name: &str) -> Result<&'d Element, DecodeError> {
    let root = document.root().filter(|r| r.name == "pap");
    root.and_then(|r| document.child(r, name))
        .ok_or_else(|| DecodeError::violation(FORMAT, 0, format!("no {name}")))
}

fn needed(e: &Element, name: &str) -> Result<String, DecodeError> {
    let value = e.attribute(name).map(str::to_owned);
    value.ok_or_else(|| DecodeError::violation(FORMAT, e.offset, format!("{} without {name}", e.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // mission: M4c
    #[test]
    fn a_push_in_both_directions() {
        let address = Address::Number("+8613800138000".into());
        let mut push = PushMessage::new(
            "a<1>@lab.test",
            "ppg.lab.test",
            address,
            ContentType::DS_ALERT,
            vec![0, 1, 13, 10],
        );
        push.deliver_before = UtcTime::parse("2026-11-22T04:12:00Z");
        let post = push.encode().unwrap();
        let text = String::from_utf8_lossy(&post.body).into_owned();
        for part in [
            "push-id=\"a&lt;1&gt;@lab.test\"",
            "deliver-before-timestamp=\"2026-11-22T04:12:00Z\"",
            "address-value=\"WAPPUSH=+8613800138000/TYPE=PLMN@ppg.lab.test\"",
            "Content-Type: application/vnd.syncml.ds.notification\r\n",
            "X-Wap-Application-Id: x-wap-application:push.syncml\r\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let read = PushMessage::decode(&post).unwrap();
        assert!(read.content_type.is(&push.content_type));
        assert_eq!(PushMessage { content_type: push.content_type.clone(), ..read }, push);
    }

    #[test]
    fn addresses_in_every_form() {
        let user = Address::User("alice@lab.test".into());
        assert_eq!(user.value("ppg").unwrap(), "WAPPUSH=alice%40lab.test/TYPE=USER@ppg");
        for a in [user, Address::Ipv4([192, 0, 2, 1].into()), Address::Ipv6(std::net::Ipv6Addr::LOCALHOST)] {
            assert_eq!(parse_address(&a.value("ppg").unwrap()), Some((a, "ppg".to_owned())));
        }
        for bad in ["13800138000", "+", "+1x", "+1234567890123456"] {
            assert!(Address::Number(bad.into()).value("ppg").is_err(), "{bad}");
        }
    }

    #[test]
    fn control_messages() {
        let text = |p: Post| String::from_utf8(p.body).unwrap();
        assert!(text(cancel("1@x").unwrap()).contains("<cancel-message push-id=\"1@x\"/>"));
        assert!(text(status_query("1@x").unwrap()).contains("<statusquery-message push-id=\"1@x\"/>"));
        assert!(text(result_response("1@x", Code::OK).unwrap()).contains("push-id=\"1@x\" code=\"1000\""));
        assert!(cancel("a\nb").is_err());
    }
}
