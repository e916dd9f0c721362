//! A terminal that takes SIP MESSAGEs, and rings.

use super::listen::{Heard, bare};
use bytes::Bytes;
use pushpolicy::bearer::sip::Message;
use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// Requests that are known again when they are sent again.
const KNOWN: usize = 64;
/// Our tag in answers.
const TAG: &str = "mailsync";

/// Listens; where that is.
pub(super) fn open(at: SocketAddr, sender: SyncSender<Heard>) -> Result<SocketAddr, String> {
    let failed = |error: std::io::Error| format!("sip:{at}: {error}");
    let socket = UdpSocket::bind(at).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    std::thread::spawn(move || {
        let mut terminal = Terminal { sender, messages: VecDeque::new(), calls: VecDeque::new() };
        let mut buffer = vec![0; 64 << 10];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let Ok(request) = Message::decode(buffer.get(..length).unwrap_or_default()) else { continue };
            for answer in terminal.answers(&request) {
                let _ = socket.send_to(&answer.to_bytes(), peer);
            }
        }
    });
    Ok(address)
}

struct Terminal {
    sender: SyncSender<Heard>,
    /// Call-ID and CSeq of messages, with what was answered.
    messages: VecDeque<(String, u16)>,
    /// Calls that ring.
    calls: VecDeque<(String, Message)>,
}

impl Terminal {
    fn answers(&mut self, request: &Message) -> Vec<Message> {
        let answer = |status, reason| Message::response_to(request, status, reason, TAG);
        let call = request.header("Call-ID").unwrap_or_default().to_owned();
        match request.method() {
            Some("MESSAGE") => {
                let sequence = request.header("CSeq").unwrap_or_default();
                let status = self.message(&format!("{call} {sequence}"), request);
                let mut said = answer(status, if status == 200 { "OK" } else { "Not now" });
                if status == 415 {
                    said.headers.push(("Accept".to_owned(), syncml::san::MIME_TYPE.to_owned()));
                }
                vec![said]
            }
            Some("INVITE") => {
                if !self.calls.iter().any(|(known, _)| *known == call) {
                    let _ = self.sender.try_send(Heard::Call);
                    self.calls.push_back((call, request.clone()));
                    if self.calls.len() > KNOWN {
                        self.calls.pop_front();
                    }
                }
                vec![answer(180, "Ringing")]
            }
            Some("CANCEL") => match self.calls.iter().find(|(known, _)| *known == call) {
                Some((_, invite)) => {
                    vec![answer(200, "OK"), Message::response_to(invite, 487, "Request Terminated", TAG)]
                }
                None => vec![answer(481, "No such call")],
            },
            Some("ACK") | None => Vec::new(),
            Some("BYE") => vec![answer(200, "OK")],
            Some(_) => vec![answer(405, "Method Not Allowed")],
        }
    }

    fn message(&mut self, key: &str, request: &Message) -> u16 {
        if let Some((_, status)) = self.messages.iter().find(|(known, _)| known == key) {
            return *status;
        }
        let kind = request.header("Content-Type").unwrap_or_default();
        let status = if !kind.to_ascii_lowercase().starts_with(syncml::san::MIME_TYPE) {
            415
        } else {
            let octets = bare(Bytes::from(request.body.clone()));
            if self.sender.try_send(Heard::Package(octets)).is_ok() { 200 } else { 480 }
        };
        self.messages.push_back((key.to_owned(), status));
        if self.messages.len() > KNOWN {
            self.messages.pop_front();
        }
        status
    }
}
