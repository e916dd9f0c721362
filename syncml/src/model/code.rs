//! Alert and Status codes: open spaces, unknown values survive.

use std::fmt;

/// What an `Alert` says.
///
/// # Spec
/// SyncML Representation Protocol 1.2, Alert codes; OMA DM 1.2 for 1100 to 1226.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AlertCode(pub u16);

/// The outcome that a `Status` tells.
///
/// # Spec
/// SyncML Representation Protocol 1.2, response status codes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatusCode(pub u16);

impl AlertCode {
    /// 100: display.
    pub const DISPLAY: AlertCode = AlertCode(100);
    /// 200: two-way.
    pub const TWO_WAY: AlertCode = AlertCode(200);
    /// 201: slow sync.
    pub const SLOW: AlertCode = AlertCode(201);
    /// 202: one-way from client.
    pub const ONE_WAY_FROM_CLIENT: AlertCode = AlertCode(202);
    /// 203: refresh from client.
    pub const REFRESH_FROM_CLIENT: AlertCode = AlertCode(203);
    /// 204: one-way from server.
    pub const ONE_WAY_FROM_SERVER: AlertCode = AlertCode(204);
    /// 205: refresh from server.
    pub const REFRESH_FROM_SERVER: AlertCode = AlertCode(205);
    /// 206: two-way by server.
    pub const TWO_WAY_BY_SERVER: AlertCode = AlertCode(206);
    /// 207: one-way from client by server.
    pub const ONE_WAY_FROM_CLIENT_BY_SERVER: AlertCode = AlertCode(207);
    /// 208: refresh from client by server.
    pub const REFRESH_FROM_CLIENT_BY_SERVER: AlertCode = AlertCode(208);
    /// 209: one-way from server by server.
    pub const ONE_WAY_FROM_SERVER_BY_SERVER: AlertCode = AlertCode(209);
    /// 210: refresh from server by server.
    pub const REFRESH_FROM_SERVER_BY_SERVER: AlertCode = AlertCode(210);
    /// 221: result.
    pub const RESULT: AlertCode = AlertCode(221);
    /// 222: next message.
    pub const NEXT_MESSAGE: AlertCode = AlertCode(222);
    /// 223: no end of data.
    pub const NO_END_OF_DATA: AlertCode = AlertCode(223);
    /// 224: suspend.
    pub const SUSPEND: AlertCode = AlertCode(224);
    /// 225: resume.
    pub const RESUME: AlertCode = AlertCode(225);
    /// 1100: DM display.
    pub const DM_DISPLAY: AlertCode = AlertCode(1100);
    /// 1101: DM confirm or reject.
    pub const DM_CONFIRM: AlertCode = AlertCode(1101);
    /// 1102: DM text input.
    pub const DM_TEXT_INPUT: AlertCode = AlertCode(1102);
    /// 1103: DM single choice.
    pub const DM_SINGLE_CHOICE: AlertCode = AlertCode(1103);
    /// 1104: DM multiple choice.
    pub const DM_MULTIPLE_CHOICE: AlertCode = AlertCode(1104);
    /// 1200: DM server-initiated session.
    pub const DM_SERVER_INITIATED: AlertCode = AlertCode(1200);
    /// 1201: DM client-initiated session.
    pub const DM_CLIENT_INITIATED: AlertCode = AlertCode(1201);
    /// 1222: DM next message.
    pub const DM_NEXT_MESSAGE: AlertCode = AlertCode(1222);
    /// 1223: DM session abort.
    pub const DM_SESSION_ABORT: AlertCode = AlertCode(1223);
    /// 1224: DM client event.
    pub const DM_CLIENT_EVENT: AlertCode = AlertCode(1224);
    /// 1225: DM no end of data.
    pub const DM_NO_END_OF_DATA: AlertCode = AlertCode(1225);
    /// 1226: DM generic alert.
    pub const DM_GENERIC: AlertCode = AlertCode(1226);

    /// The alert with which a client begins what a server asked for by 206 to 210: 200, 202 to 205.
    // spec: session facts section 3
    pub fn asked_for(self) -> Option<AlertCode> {
        Some(match self {
            AlertCode::TWO_WAY_BY_SERVER => AlertCode::TWO_WAY,
            AlertCode::ONE_WAY_FROM_CLIENT_BY_SERVER => AlertCode::ONE_WAY_FROM_CLIENT,
            AlertCode::REFRESH_FROM_CLIENT_BY_SERVER => AlertCode::REFRESH_FROM_CLIENT,
            AlertCode::ONE_WAY_FROM_SERVER_BY_SERVER => AlertCode::ONE_WAY_FROM_SERVER,
            AlertCode::REFRESH_FROM_SERVER_BY_SERVER => AlertCode::REFRESH_FROM_SERVER,
            _ => return None,
        })
    }

    /// The specification's short text, if the code has one.
    pub fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            100 => "display",
            200 => "two-way",
            201 => "slow sync",
            202 => "one-way from client",
            203 => "refresh from client",
            204 => "one-way from server",
            205 => "refresh from server",
            206 => "two-way by server",
            207 => "one-way from client by server",
            208 => "refresh from client by server",
            209 => "one-way from server by server",
            210 => "refresh from server by server",
            221 => "result",
            222 => "next message",
            223 => "no end of data",
            224 => "suspend",
            225 => "resume",
            1100 => "DM display",
            1101 => "DM confirm or reject",
            1102 => "DM text input",
            1103 => "DM single choice",
            1104 => "DM multiple choice",
            1200 => "DM server-initiated session",
            1201 => "DM client-initiated session",
            1222 => "DM next message",
            1223 => "DM session abort",
            1224 => "DM client event",
            1225 => "DM no end of data",
            1226 => "DM generic alert",
            _ => return None,
        })
    }
}
impl fmt::Debug for AlertCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for AlertCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "{} {text}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl StatusCode {
    /// 101: in progress.
    pub const IN_PROGRESS: StatusCode = StatusCode(101);
    /// 200: ok.
    pub const OK: StatusCode = StatusCode(200);
    /// 201: item added.
    pub const ITEM_ADDED: StatusCode = StatusCode(201);
    /// 202: accepted for processing.
    pub const ACCEPTED: StatusCode = StatusCode(202);
    /// 203: non-authoritative answer.
    pub const NON_AUTHORITATIVE: StatusCode = StatusCode(203);
    /// 204: no content.
    pub const NO_CONTENT: StatusCode = StatusCode(204);
    /// 205: reset content.
    pub const RESET_CONTENT: StatusCode = StatusCode(205);
    /// 206: partial content.
    pub const PARTIAL_CONTENT: StatusCode = StatusCode(206);
    /// 207: conflict resolved by merge.
    pub const CONFLICT_MERGED: StatusCode = StatusCode(207);
    /// 208: conflict resolved, client won.
    pub const CONFLICT_CLIENT_WON: StatusCode = StatusCode(208);
    /// 209: conflict resolved, duplicate made.
    pub const CONFLICT_DUPLICATED: StatusCode = StatusCode(209);
    /// 210: deleted without archive.
    pub const DELETED_WITHOUT_ARCHIVE: StatusCode = StatusCode(210);
    /// 211: item not deleted, it was not there.
    pub const NOT_DELETED: StatusCode = StatusCode(211);
    /// 212: authentication accepted for the session.
    pub const AUTHENTICATED: StatusCode = StatusCode(212);
    /// 213: chunk accepted and buffered.
    pub const CHUNK_ACCEPTED: StatusCode = StatusCode(213);
    /// 214: operation cancelled as asked.
    pub const CANCELLED: StatusCode = StatusCode(214);
    /// 215: not executed.
    pub const NOT_EXECUTED: StatusCode = StatusCode(215);
    /// 216: atomic rolled back.
    pub const ROLLED_BACK: StatusCode = StatusCode(216);
    /// 300: multiple choices.
    pub const MULTIPLE_CHOICES: StatusCode = StatusCode(300);
    /// 301: moved permanently.
    pub const MOVED_PERMANENTLY: StatusCode = StatusCode(301);
    /// 302: found elsewhere.
    pub const FOUND: StatusCode = StatusCode(302);
    /// 303: see other URI.
    pub const SEE_OTHER: StatusCode = StatusCode(303);
    /// 304: not modified.
    pub const NOT_MODIFIED: StatusCode = StatusCode(304);
    /// 305: use proxy.
    pub const USE_PROXY: StatusCode = StatusCode(305);
    /// 400: bad request.
    pub const BAD_REQUEST: StatusCode = StatusCode(400);
    /// 401: invalid credentials.
    pub const INVALID_CREDENTIALS: StatusCode = StatusCode(401);
    /// 402: payment needed.
    pub const PAYMENT_NEEDED: StatusCode = StatusCode(402);
    /// 403: forbidden.
    pub const FORBIDDEN: StatusCode = StatusCode(403);
    /// 404: not found.
    pub const NOT_FOUND: StatusCode = StatusCode(404);
    /// 405: command not allowed.
    pub const NOT_ALLOWED: StatusCode = StatusCode(405);
    /// 406: optional feature not supported.
    pub const NOT_SUPPORTED: StatusCode = StatusCode(406);
    /// 407: missing credentials.
    pub const MISSING_CREDENTIALS: StatusCode = StatusCode(407);
    /// 408: request timeout.
    pub const TIMEOUT: StatusCode = StatusCode(408);
    /// 409: conflict.
    pub const CONFLICT: StatusCode = StatusCode(409);
    /// 410: gone.
    pub const GONE: StatusCode = StatusCode(410);
    /// 411: size required.
    pub const SIZE_REQUIRED: StatusCode = StatusCode(411);
    /// 412: incomplete command.
    pub const INCOMPLETE: StatusCode = StatusCode(412);
    /// 413: request entity too large.
    pub const TOO_LARGE: StatusCode = StatusCode(413);
    /// 414: URI too long.
    pub const URI_TOO_LONG: StatusCode = StatusCode(414);
    /// 415: unsupported media type or format.
    pub const UNSUPPORTED_TYPE: StatusCode = StatusCode(415);
    /// 416: requested size too big.
    pub const SIZE_TOO_BIG: StatusCode = StatusCode(416);
    /// 417: retry later.
    pub const RETRY_LATER: StatusCode = StatusCode(417);
    /// 418: already exists.
    pub const ALREADY_EXISTS: StatusCode = StatusCode(418);
    /// 419: conflict resolved, server won.
    pub const CONFLICT_SERVER_WON: StatusCode = StatusCode(419);
    /// 420: device full.
    pub const DEVICE_FULL: StatusCode = StatusCode(420);
    /// 421: unknown search grammar.
    pub const UNKNOWN_GRAMMAR: StatusCode = StatusCode(421);
    /// 422: bad CGI or filter query.
    pub const BAD_FILTER: StatusCode = StatusCode(422);
    /// 423: soft-delete conflict.
    pub const SOFT_DELETE_CONFLICT: StatusCode = StatusCode(423);
    /// 424: size mismatch.
    pub const SIZE_MISMATCH: StatusCode = StatusCode(424);
    /// 425: permission denied.
    pub const PERMISSION_DENIED: StatusCode = StatusCode(425);
    /// 426: partial item not accepted.
    pub const PARTIAL_ITEM_REFUSED: StatusCode = StatusCode(426);
    /// 427: item not empty.
    pub const NOT_EMPTY: StatusCode = StatusCode(427);
    /// 428: move failed.
    pub const MOVE_FAILED: StatusCode = StatusCode(428);
    /// 500: command failed.
    pub const COMMAND_FAILED: StatusCode = StatusCode(500);
    /// 501: command not implemented.
    pub const NOT_IMPLEMENTED: StatusCode = StatusCode(501);
    /// 502: bad gateway.
    pub const BAD_GATEWAY: StatusCode = StatusCode(502);
    /// 503: service unavailable.
    pub const UNAVAILABLE: StatusCode = StatusCode(503);
    /// 504: gateway timeout.
    pub const GATEWAY_TIMEOUT: StatusCode = StatusCode(504);
    /// 505: DTD version not supported.
    pub const VERSION_NOT_SUPPORTED: StatusCode = StatusCode(505);
    /// 506: processing error.
    pub const PROCESSING_ERROR: StatusCode = StatusCode(506);
    /// 507: atomic failed.
    pub const ATOMIC_FAILED: StatusCode = StatusCode(507);
    /// 508: refresh required.
    pub const REFRESH_REQUIRED: StatusCode = StatusCode(508);
    /// 509: reserved; used as cannot resume.
    pub const CANNOT_RESUME: StatusCode = StatusCode(509);
    /// 510: data store failure.
    pub const DATASTORE_FAILURE: StatusCode = StatusCode(510);
    /// 511: server failure.
    pub const SERVER_FAILURE: StatusCode = StatusCode(511);
    /// 512: synchronisation failed.
    pub const SYNC_FAILED: StatusCode = StatusCode(512);
    /// 513: protocol version not supported.
    pub const PROTOCOL_NOT_SUPPORTED: StatusCode = StatusCode(513);
    /// 514: operation cancelled.
    pub const OPERATION_CANCELLED: StatusCode = StatusCode(514);
    /// 516: atomic rollback failed.
    pub const ROLLBACK_FAILED: StatusCode = StatusCode(516);
    /// 517: atomic response too large.
    pub const ATOMIC_TOO_LARGE: StatusCode = StatusCode(517);

    /// The specification's short text, if the code has one.
    pub fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            101 => "in progress",
            200 => "ok",
            201 => "item added",
            202 => "accepted for processing",
            203 => "non-authoritative answer",
            204 => "no content",
            205 => "reset content",
            206 => "partial content",
            207 => "conflict resolved by merge",
            208 => "conflict resolved, client won",
            209 => "conflict resolved, duplicate made",
            210 => "deleted without archive",
            211 => "item not deleted, it was not there",
            212 => "authentication accepted for the session",
            213 => "chunk accepted and buffered",
            214 => "operation cancelled as asked",
            215 => "not executed",
            216 => "atomic rolled back",
            300 => "multiple choices",
            301 => "moved permanently",
            302 => "found elsewhere",
            303 => "see other URI",
            304 => "not modified",
            305 => "use proxy",
            400 => "bad request",
            401 => "invalid credentials",
            402 => "payment needed",
            403 => "forbidden",
            404 => "not found",
            405 => "command not allowed",
            406 => "optional feature not supported",
            407 => "missing credentials",
            408 => "request timeout",
            409 => "conflict",
            410 => "gone",
            411 => "size required",
            412 => "incomplete command",
            413 => "request entity too large",
            414 => "URI too long",
            415 => "unsupported media type or format",
            416 => "requested size too big",
            417 => "retry later",
            418 => "already exists",
            419 => "conflict resolved, server won",
            420 => "device full",
            421 => "unknown search grammar",
            422 => "bad CGI or filter query",
            423 => "soft-delete conflict",
            424 => "size mismatch",
            425 => "permission denied",
            426 => "partial item not accepted",
            427 => "item not empty",
            428 => "move failed",
            500 => "command failed",
            501 => "command not implemented",
            502 => "bad gateway",
            503 => "service unavailable",
            504 => "gateway timeout",
            505 => "DTD version not supported",
            506 => "processing error",
            507 => "atomic failed",
            508 => "refresh required",
            509 => "reserved; used as cannot resume",
            510 => "data store failure",
            511 => "server failure",
            512 => "synchronisation failed",
            513 => "protocol version not supported",
            514 => "operation cancelled",
            516 => "atomic rollback failed",
            517 => "atomic response too large",
            _ => return None,
        })
    }
}

impl StatusCode {
    /// 2xx: done. An unknown code is judged by its first digit.
    pub fn is_success(self) -> bool {
        self.0 / 100 == 2
    }

    /// 4xx or 5xx.
    pub fn is_error(self) -> bool {
        self.0 >= 400
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "{} {text}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
