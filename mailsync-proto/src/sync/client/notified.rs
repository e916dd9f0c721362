//! Package #0: the server asks a client that is not there to sync, over whatever bearer reaches it.

use super::super::event::{Event, Mode};
use super::super::store::{Device, Found, Read, Value, Write};
use super::super::turn::{Moment, Step};
use super::{Config, Plan, TurnError, login, open};
use bytes::Bytes;
use idmap::Guid;
use sha2::{Digest as _, Sha256};
use syncml::san::{self, AlertKey, Digest, ServerAlert};
use syncml::{AlertCode, Encoding, Limits, Message, Quirks};

/// A notification that came. Nothing of it is believed before [`start`] has looked at it, and then only that the
/// server wants a sync soon: no address and no setting is taken from it.
// threat: N1
#[derive(Clone, Debug)]
pub struct Notification {
    alert: ServerAlert,
    session_id: Box<str>,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Of 1.2, with its octets.
    Binary(Bytes),
    /// Of 1.0 and 1.1.
    Message(Box<Message>),
}

/// Why a notification begins no session. It is to be dropped, and counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotifiedError {
    /// It is no notification.
    #[error("it is no notification: {0}")]
    Unreadable(String),
    /// Nobody said which server may notify, and by what it is known: [`Config::server_login`].
    #[error("no login of the server is known, so nobody can tell who sent it")]
    NoLogin,
    /// It names another server.
    #[error("it is of {0:?}, not of our server")]
    OtherServer(Box<str>),
    /// It was not made by our server, or with a nonce that is used up.
    #[error("its digest is wrong")]
    WrongDigest,
    /// It does not say who made it.
    #[error("it has no digest")]
    NoDigest,
    /// It came before.
    #[error("session {0} was begun already")]
    Replayed(Box<str>),
    /// Others began as many sessions as may begin in [`Config::notified`].
    #[error("others began {0} in less than {1} seconds")]
    TooSoon(u8, u32),
    /// It asks for none of our datastores.
    #[error("it asks for none of our datastores")]
    NothingOfOurs,
    /// The session cannot begin.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

impl Notification {
    /// Reads either form.
    ///
    /// `media_type` tells which one it is; without it what is a SyncML message is one.
    ///
    /// # Errors
    /// [`NotifiedError::Unreadable`].
    // spec: session facts section 12.2, to tell them apart
    pub fn read(octets: &Bytes, media_type: Option<&str>) -> Result<Self, NotifiedError> {
        let encoding = match media_type {
            Some(media_type) => Encoding::from_mime_type(media_type),
            None if octets.trim_ascii_start().first() == Some(&b'<') => Some(Encoding::Xml),
            None => Some(Encoding::Wbxml),
        };
        let message = encoding
            .and_then(|encoding| {
                syncml::decode(encoding, octets, &Limits::default(), &Quirks::default()).ok()
            })
            .and_then(|message| Some((ServerAlert::from_message(&message)?, message)));
        if let Some((alert, message)) = message {
            let session_id = message.hdr.session_id.clone();
            return Ok(Notification { alert, session_id, form: Form::Message(Box::new(message)) });
        }
        let alert = ServerAlert::decode(octets)
            .map_err(|(kind, at)| NotifiedError::Unreadable(format!("{kind} at octet {at}")))?;
        let session_id = alert.session_id.to_string().into();
        Ok(Notification { alert, session_id, form: Form::Binary(octets.clone()) })
    }

    /// The server that it says it is of.
    pub fn server_id(&self) -> &str {
        &self.alert.server_id
    }

    /// What the server added of its own, in the form of 1.2.
    pub fn vendor(&self) -> &Bytes {
        &self.alert.vendor
    }

    /// The id of the session that it asks for.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// What of `known` it asks for, and how; without any datastore named, all of them.
    pub fn plans(&self, known: &[Plan]) -> Vec<Plan> {
        if self.alert.syncs.is_empty() {
            return known.iter().map(|plan| Plan { mode: Mode::TwoWay, ..plan.clone() }).collect();
        }
        let plan = |uri: &str, code: AlertCode| {
            let name = super::super::core::plain_name(uri);
            let same = |plan: &&Plan| super::super::core::plain_name(&plan.remote).eq_ignore_ascii_case(name);
            let plan = known.iter().find(same)?;
            Some(Plan { mode: Mode::of_server_code(code)?, ..plan.clone() })
        };
        self.alert.syncs.iter().filter_map(|sync| plan(&sync.server_uri, sync.code)).collect()
    }

    /// What its digest says of a key.
    pub fn digest(&self, key: &AlertKey) -> Digest {
        match &self.form {
            Form::Binary(octets) => san::check(octets, key),
            Form::Message(message) => san::check_message(message, key),
        }
    }
}

/// The row that [`key`] needs.
pub fn key_row(config: &Config) -> Read {
    Read::Device("".into(), config.server_id.clone())
}

/// By what notifications of our server are known until its next login at us, so that a host can drop others at once.
///
/// # Errors
/// [`NotifiedError::NoLogin`].
pub fn key(config: &Config, found: &Found) -> Result<AlertKey, NotifiedError> {
    let server = config.server_login.as_ref().ok_or(NotifiedError::NoLogin)?;
    let kept = match found.get(&key_row(config)) {
        Some(Value::Device(Some(kept))) => kept.clone(),
        _ => Device::default(),
    };
    Ok(AlertKey::new(&server.name, &server.password, &login::nonce_for_server(config, &kept)))
}

/// Makes the first message of the session that a notification asks for, with the session id that it names. `known` are
/// our datastores with their paths at the server.
///
/// The notification must be of the server of [`Config::server_login`], made with the nonce of its last login at us; each
/// session id begins one session, and so many begin in a while as [`Config::notified`] says.
///
/// # Errors
/// [`NotifiedError`]: there is nothing to commit.
// threat: N1
pub fn start(
    config: &Config,
    at: Moment,
    notification: &Notification,
    known: &[Plan],
    found: &Found,
) -> Result<Step<Event>, NotifiedError> {
    let server = config.server_login.as_ref().ok_or(NotifiedError::NoLogin)?;
    if *notification.alert.server_id != *server.name {
        let named: String = notification.alert.server_id.chars().take(80).collect();
        return Err(NotifiedError::OtherServer(named.into()));
    }
    let plans = notification.plans(known);
    if plans.is_empty() {
        return Err(NotifiedError::NothingOfOurs);
    }
    let mut core = super::new_core(config, at, found);
    let device = core.reader.read(Read::Device(core.user.clone(), core.device.clone()));
    let (most, seconds) = config.notified;
    let window = at.now / u64::from(seconds.max(1));
    // One row for each session of the window.
    let place = |n: u8| format!("notified {} {seconds} {window} {n}", config.server_id);
    let began: Vec<_> =
        (0..most).map(|n| core.reader.read(Read::Once(core.user.clone(), place(n).into()))).collect();
    let (Ok(device), Ok(began)) = (device, began.into_iter().collect::<Result<Vec<_>, _>>()) else {
        return Ok(Step::Need(core.reader.missed()));
    };
    let kept = if let Value::Device(Some(kept)) = device { kept.clone() } else { Device::default() };
    let nonce = login::nonce_for_server(config, &kept);
    match notification.digest(&AlertKey::new(&server.name, &server.password, &nonce)) {
        Digest::Right => {}
        Digest::Wrong => return Err(NotifiedError::WrongDigest),
        Digest::Absent => return Err(NotifiedError::NoDigest),
    }
    // The nonce is another one after each login, so numbers may come again.
    let used: [u8; 32] = Sha256::digest(&nonce).into();
    let used: String = used.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let session = format!("notified {} {used} session {}", core.device, notification.session_id);
    let Ok(seen) = core.reader.read(Read::Once(core.user.clone(), session.clone().into())) else {
        return Ok(Step::Need(core.reader.missed()));
    };
    if matches!(seen, Value::Once(Some(_))) {
        return Err(NotifiedError::Replayed(notification.session_id.clone()));
    }
    let free = (0..most).zip(began).find(|(_, began)| !matches!(began, Value::Once(Some(_))));
    let Some((free, _)) = free else { return Err(NotifiedError::TooSoon(most, seconds)) };
    for key in [session, place(free)] {
        core.batch.push(Write::Once(core.user.clone(), key.into(), Guid::unvalidated("session")));
    }
    Ok(open(core, config, &plans, Some(&notification.session_id))?)
}
