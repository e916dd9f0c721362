//! The kinds of sync: one table says who sends, what needs anchors, and what becomes of the other side's items.

use super::core::Side;
use serde::{Deserialize, Serialize};
use syncml::AlertCode;

/// How a datastore is synced.
///
/// # Spec
/// Alert codes 200 to 205; by 206 to 210 a server asks for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mode {
    /// Changes since the last sync point, both ways.
    TwoWay,
    /// Everything is compared.
    Slow,
    /// The client's changes; the server's stay for later.
    OneWayFromClient,
    /// The client sends all it has, and the server has exactly that afterwards.
    RefreshFromClient,
    /// The server's changes; the client's stay for later.
    OneWayFromServer,
    /// The server sends all it has, and the client has exactly that afterwards.
    RefreshFromServer,
}

/// One row of the table.
struct Kind {
    mode: Mode,
    code: AlertCode,
    /// With which code a server asks for it.
    by_server: Option<AlertCode>,
    name: &'static str,
    client_sends: bool,
    server_sends: bool,
    /// It goes on from a sync point; without one it is refused with 508, and slow.
    anchors: bool,
    /// Who receives ends with exactly what was sent.
    refresh: bool,
}

const fn kind(mode: Mode, code: AlertCode, name: &'static str) -> Kind {
    let (client_sends, server_sends) = (true, true);
    Kind { mode, code, by_server: None, name, client_sends, server_sends, anchors: true, refresh: false }
}

// spec: session facts sections 2 and 3
const KINDS: [Kind; 6] = [
    Kind {
        by_server: Some(AlertCode::TWO_WAY_BY_SERVER),
        ..kind(Mode::TwoWay, AlertCode::TWO_WAY, "two-way")
    },
    Kind { anchors: false, ..kind(Mode::Slow, AlertCode::SLOW, "slow") },
    Kind {
        by_server: Some(AlertCode::ONE_WAY_FROM_CLIENT_BY_SERVER),
        server_sends: false,
        ..kind(Mode::OneWayFromClient, AlertCode::ONE_WAY_FROM_CLIENT, "one-way-from-client")
    },
    Kind {
        by_server: Some(AlertCode::REFRESH_FROM_CLIENT_BY_SERVER),
        server_sends: false,
        anchors: false,
        refresh: true,
        ..kind(Mode::RefreshFromClient, AlertCode::REFRESH_FROM_CLIENT, "refresh-from-client")
    },
    Kind {
        by_server: Some(AlertCode::ONE_WAY_FROM_SERVER_BY_SERVER),
        client_sends: false,
        ..kind(Mode::OneWayFromServer, AlertCode::ONE_WAY_FROM_SERVER, "one-way-from-server")
    },
    Kind {
        by_server: Some(AlertCode::REFRESH_FROM_SERVER_BY_SERVER),
        client_sends: false,
        anchors: false,
        refresh: true,
        ..kind(Mode::RefreshFromServer, AlertCode::REFRESH_FROM_SERVER, "refresh-from-server")
    },
];

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 6] = [
        Mode::TwoWay,
        Mode::Slow,
        Mode::OneWayFromClient,
        Mode::RefreshFromClient,
        Mode::OneWayFromServer,
        Mode::RefreshFromServer,
    ];

    fn kind(self) -> &'static Kind {
        let [two_way, slow, from_client, refresh_client, from_server, refresh_server] = &KINDS;
        match self {
            Mode::TwoWay => two_way,
            Mode::Slow => slow,
            Mode::OneWayFromClient => from_client,
            Mode::RefreshFromClient => refresh_client,
            Mode::OneWayFromServer => from_server,
            Mode::RefreshFromServer => refresh_server,
        }
    }

    /// The Alert code that a client asks for it with.
    pub fn code(self) -> AlertCode {
        self.kind().code
    }

    /// What a client asks for with this code.
    pub fn of_code(code: AlertCode) -> Option<Mode> {
        KINDS.iter().find(|kind| kind.code == code).map(|kind| kind.mode)
    }

    /// The Alert code by which a server asks a client to begin it: in a session, or in Package #0.
    pub fn server_code(self) -> Option<AlertCode> {
        self.kind().by_server
    }

    /// What a server asks for with this code, 206 to 210.
    ///
    /// ```
    /// use mailsync_proto::sync::Mode;
    /// use syncml::AlertCode;
    /// assert_eq!(Mode::of_server_code(AlertCode(210)), Some(Mode::RefreshFromServer));
    /// assert_eq!(Mode::of_server_code(AlertCode(200)), None);
    /// ```
    pub fn of_server_code(code: AlertCode) -> Option<Mode> {
        KINDS.iter().find(|kind| kind.by_server == Some(code)).map(|kind| kind.mode)
    }

    /// Its name, as on a command line: `two-way`, `refresh-from-server`, ...
    pub fn name(self) -> &'static str {
        self.kind().name
    }

    /// The mode of a name.
    pub fn of_name(name: &str) -> Option<Mode> {
        KINDS.iter().find(|kind| kind.name == name).map(|kind| kind.mode)
    }

    /// Whether it goes on from a sync point of both sides.
    pub fn needs_anchors(self) -> bool {
        self.kind().anchors
    }

    /// Whether this side's changes go to the other.
    pub(crate) fn sends(self, side: Side) -> bool {
        match side {
            Side::Client => self.kind().client_sends,
            Side::Server => self.kind().server_sends,
        }
    }

    /// Whether the other side's changes are written here.
    pub(crate) fn takes(self, side: Side) -> bool {
        self.sends(side.other())
    }

    /// Whether this side ends with exactly what the other one has.
    pub(crate) fn empties(self, side: Side) -> bool {
        self.kind().refresh && self.takes(side)
    }

    /// Whether all items go, not only changes: then equal ones must find each other.
    pub(crate) fn is_anew(self) -> bool {
        self.kind().refresh || self == Mode::Slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (mode, kind) in Mode::ALL.into_iter().zip(&KINDS) {
            assert_eq!(mode, kind.mode);
            assert_eq!(mode.kind().mode, mode);
            assert_eq!(Mode::of_code(mode.code()), Some(mode));
            assert_eq!(Mode::of_name(mode.name()), Some(mode));
        }
    }

    // spec: session facts section 3: 206->200, 207->202, 208->203, 209->204, 210->205
    #[test]
    fn what_a_server_asks_for() {
        let mapped = [(206, 200), (207, 202), (208, 203), (209, 204), (210, 205)];
        for (by_server, by_client) in mapped {
            let mode = Mode::of_server_code(AlertCode(by_server)).unwrap();
            assert_eq!(mode.code(), AlertCode(by_client));
            assert_eq!(mode.server_code(), Some(AlertCode(by_server)));
        }
        assert_eq!(Mode::Slow.server_code(), None);
        assert_eq!(Mode::of_server_code(AlertCode(211)), None);
    }

    #[test]
    fn nobody_is_written_to_who_did_not_ask_for_it() {
        for mode in Mode::ALL {
            assert!(mode.takes(Side::Client) || mode.takes(Side::Server));
            assert!(!(mode.empties(Side::Client) && mode.empties(Side::Server)));
        }
        assert!(!Mode::OneWayFromClient.takes(Side::Client) && !Mode::RefreshFromClient.takes(Side::Client));
    }
}
