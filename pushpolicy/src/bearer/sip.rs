//! SIP: MESSAGE as a push, and a call that is never answered as a signal.
//!
//! A MESSAGE has no Contact and no dialog; at most 1300 octets unless the path controls congestion; one outstanding
//! per target. 200: the terminal has it; 202: a gateway has it. The call is INVITE without a body; CANCEL may be sent
//! only after a provisional answer and repeats Request-URI, branch, Call-ID, From, To and the CSeq number.

use super::Delivery;
use super::error::{EncodeError, one_line};

mod digest;
mod message;

pub use digest::{ChallengeError, Credentials, answer_challenge};
pub use message::{Message, StartLine};

const FORMAT: &str = "sip";
/// Largest request on a path without congestion control.
// spec: RFC 3428 §8
pub const MAX_DATAGRAM: usize = 1300;
/// First wait before a request is sent again over UDP, doubled up to [`T2_MS`].
// spec: RFC 3261 §17.1
pub const T1_MS: u64 = 500;
/// Longest wait between two sends.
pub const T2_MS: u64 = 4_000;
/// After this, no answer comes.
pub const GIVE_UP_MS: u64 = 64 * T1_MS;

/// What requests of one push share. The host draws `branch`, `tag` and `call_id` at random.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Request-URI and To: `sip:alice@lab.test`.
    pub target: String,
    /// From: `sip:mailsync@lab.test`.
    pub from: String,
    /// Via: our host and port.
    pub sent_by: String,
    /// `UDP`, `TCP` or `TLS`.
    pub transport: String,
    /// After the cookie `z9hG4bK`; new for each transaction.
    pub branch: String,
    /// Tag of From.
    pub tag: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub sequence: u32,
}

impl Route {
    /// All parts, by UDP, sequence 1.
    #[must_use]
    pub fn new(target: &str, from: &str, sent_by: &str, branch: &str, tag: &str, call_id: &str) -> Route {
        let own = str::to_owned;
        Route {
            target: own(target),
            from: own(from),
            sent_by: own(sent_by),
            transport: own("UDP"),
            branch: own(branch),
            tag: own(tag),
            call_id: own(call_id),
            sequence: 1,
        }
    }

    fn request(&self, method: &str, to_tag: Option<&str>) -> Result<Message, EncodeError> {
        for text in
            [&self.target, &self.from, &self.sent_by, &self.transport, &self.branch, &self.tag, &self.call_id]
        {
            one_line(FORMAT, "route", text)?;
            if text.is_empty() || text.contains([' ', '<', '>', '"', ';', ',']) && *text != self.target {
                return Err(EncodeError::new(FORMAT, "route", "empty, or a separator in it"));
            }
        }
        if self.target.contains([' ', '<', '>', '"']) {
            return Err(EncodeError::new(FORMAT, "target", "a separator in it"));
        }
        let tag = to_tag.map_or(String::new(), |t| format!(";tag={t}"));
        let mut m = Message::request(method, &self.target);
        m.push(
            "Via",
            format!("SIP/2.0/{} {};branch=z9hG4bK{};rport", self.transport, self.sent_by, self.branch),
        );
        m.push("Max-Forwards", "70");
        m.push("From", format!("<{}>;tag={}", self.from, self.tag));
        m.push("To", format!("<{}>{tag}", self.target));
        m.push("Call-ID", self.call_id.clone());
        m.push("CSeq", format!("{} {method}", self.sequence));
        Ok(m)
    }

    /// A MESSAGE that carries `body`; `expires_s` seconds, and a feature tag that picks the right device, if any.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters, or over [`MAX_DATAGRAM`] by UDP.
    // mission: M4c — spec: RFC 3428 §4
    pub fn message(
        &self,
        content_type: &str,
        body: &[u8],
        expires_s: u32,
        application: Option<&str>,
    ) -> Result<Message, EncodeError> {
        one_line(FORMAT, "content type", content_type)?;
        let mut m = self.request("MESSAGE", None)?;
        m.push("Expires", expires_s.to_string());
        if let Some(application) = application {
            one_line(FORMAT, "application", application)?;
            m.push("Accept-Contact", format!("*;+g.oma.pusheventapp=\"{application}\""));
        }
        m.push("Content-Type", content_type);
        m.body = body.to_vec();
        if self.transport == "UDP" && m.to_bytes().len() > MAX_DATAGRAM {
            return Err(EncodeError::new(FORMAT, "MESSAGE", "over 1300 octets: TCP or TLS"));
        }
        Ok(m)
    }

    /// The signal call.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters.
    // mission: P6 — spec: RFC 3261 §13
    pub fn invite(&self, expires_s: u32) -> Result<Message, EncodeError> {
        let mut m = self.request("INVITE", None)?;
        m.push(
            "Contact",
            format!("<sip:{};transport={}>", self.sent_by, self.transport.to_ascii_lowercase()),
        );
        m.push("Expires", expires_s.to_string());
        Ok(m)
    }

    /// Ends the ringing; only after a provisional answer. `quiet` keeps it out of missed-call lists.
    ///
    /// # Errors
    /// [`EncodeError`] for control characters.
    // spec: RFC 3261 §9.1, RFC 3326
    pub fn cancel(&self, quiet: bool) -> Result<Message, EncodeError> {
        let mut m = self.request("CANCEL", None)?;
        if quiet {
            m.push("Reason", "SIP ;cause=200 ;text=\"Call completed elsewhere\"");
        }
        Ok(m)
    }

    /// Acknowledges a final answer other than 2xx: same branch, To with the tag of the answer.
    ///
    /// # Errors
    /// [`EncodeError`] if the answer has no tag.
    // spec: RFC 3261 §17.1.1.3
    pub fn ack(&self, answer: &Message) -> Result<Message, EncodeError> {
        let tag = answer.to_tag().ok_or(EncodeError::new(FORMAT, "ACK", "the answer has no tag"))?;
        self.request("ACK", Some(&tag))
    }

    /// Hangs up, when the callee was faster: after an ACK, with a new branch.
    ///
    /// # Errors
    /// [`EncodeError`] if the answer has no tag.
    pub fn bye(&self, answer: &Message, branch: &str) -> Result<Message, EncodeError> {
        let tag = answer.to_tag().ok_or(EncodeError::new(FORMAT, "BYE", "the answer has no tag"))?;
        let next =
            Route { branch: branch.to_owned(), sequence: self.sequence.saturating_add(1), ..self.clone() };
        next.request("BYE", Some(&tag))
    }

    /// Whether an answer is to a request of this route: same Call-ID, CSeq number and branch.
    #[must_use]
    pub fn is_answered_by(&self, answer: &Message) -> bool {
        let branch = answer
            .header("Via")
            .and_then(|v| v.split(';').find_map(|p| p.trim().strip_prefix("branch=z9hG4bK")));
        let sequence = answer.sequence().map(|(n, _)| n);
        answer.header("Call-ID") == Some(&self.call_id)
            && branch == Some(self.branch.as_str())
            && sequence == Some(self.sequence)
    }
}

/// What the final answer to a MESSAGE means; for the signal call, see [`call_delivery`].
#[must_use]
pub const fn message_delivery(status: u16) -> Delivery {
    match status {
        200 => Delivery::Delivered,
        201..=299 => Delivery::Accepted,
        410 => Delivery::Gone,
        404 | 408 | 480 | 486 | 503 | 504 | 600 => Delivery::Unreachable,
        300..=699 => Delivery::Refused,
        _ => Delivery::Unknown,
    }
}

/// What the final answer to a signal call means: it rang (487 after our CANCEL), or the terminal is alive and busy.
#[must_use]
pub const fn call_delivery(status: u16) -> Delivery {
    match status {
        200..=299 | 486 | 487 | 600 | 603 => Delivery::Delivered,
        other => message_delivery(other),
    }
}

/// Milliseconds after which a request is sent again over UDP, after `sent` sends; `None`: give up.
#[must_use]
pub fn resend_after_ms(sent: u32) -> Option<u64> {
    let wait = |n: u32| T1_MS.saturating_mul(1 << n.min(3)).min(T2_MS);
    let so_far: u64 = (0..sent.saturating_sub(1)).map(wait).sum();
    Some(wait(sent.saturating_sub(1))).filter(|w| so_far.saturating_add(*w) <= GIVE_UP_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route::new("sip:alice@lab.test", "sip:mailsync@lab.test", "127.0.0.1:5060", "b1", "t1", "c1@lab.test")
    }

    fn answer(status: &str, cseq: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status}\r\nv: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKb1\r\nf: <sip:mailsync@lab.test>;tag=t1\r\n\
             t: <sip:alice@lab.test>;tag=z9\r\ni: c1@lab.test\r\nCSeq: {cseq}\r\nl: 0\r\n\r\n"
        );
        Message::decode(text.as_bytes()).unwrap()
    }

    // mission: M4c — the headers that the sipp scenario of a terminal checks
    #[test]
    fn a_message_has_what_a_terminal_checks_and_no_contact() {
        let body = [0u8, 1, 13, 10, 255];
        let m = route()
            .message("application/vnd.syncml.ds.notification", &body, 3600, Some("push.syncml"))
            .unwrap();
        let bytes = m.to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with(
            "MESSAGE sip:alice@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKb1;rport\r\n"
        ));
        for part in [
            "CSeq: 1 MESSAGE\r\n",
            "tag=t1",
            "Max-Forwards: 70\r\n",
            "Content-Length: 5\r\n\r\n",
            "To: <sip:alice@lab.test>\r\n",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("\nContact:"));
        assert_eq!(Message::decode(&bytes).unwrap(), m);
        assert!(route().message("text/plain", &[b'a'; 1300], 1, None).is_err());
        assert!(
            Route { transport: "TCP".into(), ..route() }
                .message("text/plain", &[b'a'; 1300], 1, None)
                .is_ok()
        );
    }

    // mission: P6
    #[test]
    fn a_cancel_repeats_what_the_invite_said() {
        let (invite, cancel) = (route().invite(30).unwrap(), route().cancel(true).unwrap());
        for h in ["Via", "From", "To", "Call-ID"] {
            assert_eq!(invite.header(h), cancel.header(h), "{h}");
        }
        assert_eq!((invite.header("CSeq"), cancel.header("CSeq")), (Some("1 INVITE"), Some("1 CANCEL")));
        assert!(cancel.header("Reason").unwrap().contains("cause=200"));
        let end = answer("487 Request Terminated", "1 INVITE");
        assert!(route().is_answered_by(&end));
        let ack = route().ack(&end).unwrap();
        assert_eq!(ack.header("Via"), invite.header("Via"));
        assert_eq!(ack.header("To"), Some("<sip:alice@lab.test>;tag=z9"));
        let taken = answer("200 OK", "1 INVITE");
        assert_eq!(route().bye(&taken, "b2").unwrap().header("CSeq"), Some("2 BYE"));
        assert!(!Route { branch: "b9".into(), ..route() }.is_answered_by(&end));
    }

    #[test]
    fn answers_say_what_became_of_it() {
        for (status, message, call) in [
            (200, Delivery::Delivered, Delivery::Delivered),
            (202, Delivery::Accepted, Delivery::Delivered),
            (486, Delivery::Unreachable, Delivery::Delivered),
            (487, Delivery::Refused, Delivery::Delivered),
            (415, Delivery::Refused, Delivery::Refused),
            (410, Delivery::Gone, Delivery::Gone),
            (503, Delivery::Unreachable, Delivery::Unreachable),
        ] {
            assert_eq!((message_delivery(status), call_delivery(status)), (message, call), "{status}");
        }
    }

    // spec-test: RFC 3261 §17.1.2.2
    #[test]
    fn resends_double_up_to_t2_and_end_at_64_t1() {
        let waits: Vec<u64> = (1..).map_while(resend_after_ms).collect();
        assert_eq!(waits[..5], [500, 1_000, 2_000, 4_000, 4_000]);
        assert!(waits.iter().sum::<u64>() <= GIVE_UP_MS);
        assert_eq!(waits.len(), 10);
    }

    #[test]
    fn threat_m2_names_cannot_add_lines() {
        assert!(Route { target: "sip:a\r\nX: y".into(), ..route() }.invite(1).is_err());
        assert!(Route { tag: "a;b".into(), ..route() }.invite(1).is_err());
        assert!(Route { call_id: String::new(), ..route() }.invite(1).is_err());
        assert!(route().message("text/plain\r\nX: y", b"", 1, None).is_err());
    }
}
