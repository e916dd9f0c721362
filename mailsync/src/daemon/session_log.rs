//! One log line a message: who spoke, in which package, what was asked and answered, how much and how long.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;
use syncml::{AlertCode, Command, Encoding, Limits, Message, Quirks};

/// A message and its answer.
pub(super) struct Exchange<'a> {
    pub(super) peer: IpAddr,
    pub(super) encoding: Encoding,
    /// The request, if it could be read.
    pub(super) request: Option<&'a Message>,
    /// Of the request.
    pub(super) octets: usize,
    /// Of HTTP.
    pub(super) status: u16,
    pub(super) answer: Option<&'a Bytes>,
    pub(super) took: Duration,
}

impl Exchange<'_> {
    /// Logs it; texts of the peer are escaped.
    pub(super) fn log(&self, answer_octets: usize) {
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let Some(request) = self.request else { return };
        let hdr = &request.hdr;
        let decode =
            |octets| syncml::decode(self.encoding, octets, &Limits::default(), &Quirks::lenient()).ok();
        let answer = self.answer.and_then(decode);
        let user = hdr.source.loc_name.as_deref();
        let (commands, _) = summary(request);
        let (reply, statuses) = answer.as_ref().map(summary).unwrap_or_default();
        tracing::info!(
            peer = %self.peer,
            user = ?user.unwrap_or_default(),
            device = ?hdr.source.loc_uri,
            session = ?hdr.session_id,
            msg = hdr.msg_id,
            package = package(request),
            commands,
            statuses,
            reply,
            octets_in = self.octets,
            octets_out = answer_octets,
            http = self.status,
            ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "message"
        );
    }
}

/// Which package of the session a client's message is of, by what it holds.
// spec: session facts section 1
fn package(message: &Message) -> &'static str {
    let has = |wanted: fn(&Command) -> bool| message.commands.iter().any(wanted);
    let alerts = has(|command| match command {
        Command::Alert(alert) => alert.code.is_some_and(|code| {
            (AlertCode::TWO_WAY.0..=AlertCode::REFRESH_FROM_SERVER.0).contains(&code.0)
                || code == AlertCode::RESUME
        }),
        _ => false,
    });
    let syncs = has(|command| matches!(command, Command::Sync(_)));
    let maps = has(|command| matches!(command, Command::Map(_)));
    match (alerts, syncs, maps) {
        (true, true, _) => "1+3",
        (true, false, _) => "1",
        (false, true, _) => "3",
        (false, false, true) => "5",
        (false, false, false) => "-",
    }
}

/// The commands of a message and the statuses in it, each with how often: `Sync Add*3 Final`, `200*2 508`.
fn summary(message: &Message) -> (String, String) {
    let mut commands: Vec<(String, u32)> = Vec::new();
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    let mut count = |name: String| match commands.iter_mut().find(|(known, _)| *known == name) {
        Some((_, count)) => *count += 1,
        None => commands.push((name, 1)),
    };
    let mut open: Vec<&Command> = message.commands.iter().rev().collect();
    while let Some(command) = open.pop() {
        match command {
            Command::Status(status) => {
                *statuses.entry(status.data.0).or_default() += 1;
                continue;
            }
            Command::Sync(sync) => open.extend(sync.commands.iter().rev()),
            Command::Atomic(nest) | Command::Sequence(nest) => open.extend(nest.commands.iter().rev()),
            _ => {}
        }
        match command {
            Command::Alert(alert) => {
                count(format!("Alert {}", alert.code.map_or_else(|| "?".into(), |code| code.0.to_string())));
            }
            other => count(other.name().as_str().escape_debug().to_string()),
        }
    }
    if message.is_final {
        commands.push(("Final".into(), 1));
    }
    (join(commands.into_iter()), join(statuses.into_iter().map(|(code, count)| (code.to_string(), count))))
}

fn join(counted: impl Iterator<Item = (String, u32)>) -> String {
    counted.fold(String::new(), |mut text, (name, count)| {
        let space = if text.is_empty() { "" } else { " " };
        let _ = match count {
            1 => write!(text, "{space}{name}"),
            _ => write!(text, "{space}{name}*{count}"),
        };
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Message {
        let path = format!("{}/../syncml/tests/golden/from-syncevolution/{name}", env!("CARGO_MANIFEST_DIR"));
        let octets = Bytes::from(std::fs::read(path).unwrap());
        syncml::decode(Encoding::Xml, &octets, &Limits::default(), &Quirks::normal()).unwrap()
    }

    #[test]
    fn a_session_in_words() {
        let packages: Vec<&str> =
            (1..=3).map(|n| package(&golden(&format!("03-twoway-both-sides.xml/00{n}-req.xml")))).collect();
        assert_eq!(packages, ["1", "3", "5"]);
        let (commands, statuses) = summary(&golden("03-twoway-both-sides.xml/002-req.xml"));
        assert!(
            commands.starts_with("Sync") && commands.contains("Delete") && commands.ends_with("Final"),
            "{commands}"
        );
        assert!(statuses.contains("200"), "{statuses}");
        let (reply, _) = summary(&golden("14-server-forgot-508.xml/001-resp.xml"));
        assert!(reply.contains("Alert 201"), "{reply}");
    }
}
