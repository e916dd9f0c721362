//! The words of the command line of `mailsync`.

use super::account::There;
use super::maildir_verbs::Maildir;
use super::options::{Options, StoreOption};
use super::tools::Asked;
use crate::secret;
use crate::time::group_cli::Group;
use crate::time::task_cli::Task;
use crate::time::terminal_cli::{Dm, Time};
use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};
use mailsync_proto::mail::forward::Way;
use mailsync_proto::sync::Mode;
use mailsync_proto::sync::seal::ItemKey;
use std::ffi::OsString;
use std::path::PathBuf;
use syncml::session::OwnLogin;
use syncml::session::auth::Scheme;
use syncml::{Encoding, Version};

/// Mail synchronisation client (OMA DS / SyncML): mail in a Maildir++ folder, other items as files.
#[derive(Debug, Parser)]
#[command(name = "mailsync", version)]
pub(super) struct Cli {
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sync a folder with a server; the password comes from MAILSYNC_PASSWORD
    Sync(Box<Sync>),
    /// List mail
    List {
        #[command(flatten)]
        dir: Dir,
        /// Only this folder
        #[arg(long)]
        folder: Option<String>,
    },
    /// Print a mail as it came
    Show {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// Only its headers
        #[arg(long)]
        headers: bool,
    },
    /// Put a message (RFC 5322) into the outbox; the next sync sends it
    Send {
        #[command(flatten)]
        dir: Dir,
        /// Mark it: the server is to send it as short messages
        #[arg(long)]
        as_sms: bool,
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Answer a mail; the text comes from standard input, or from --text
    Reply {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// To whom [default: to whom the mail asks answers to go]
        #[arg(long, value_name = "MAILADDR")]
        to: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Forward a mail, also one that is not downloaded: all of it, or some of its parts
    Forward {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// To whom
        #[arg(long, value_name = "MAILADDR", required = true)]
        to: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Mark a mail: +read -flagged +answered ...
    Flag {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// Marks to set (+) and to take off (-)
        #[arg(required = true, allow_hyphen_values = true)]
        flags: Vec<String>,
    },
    /// Move a mail into another folder
    Move {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
        /// The folder
        folder: String,
    },
    /// Delete a mail
    Delete {
        #[command(flatten)]
        dir: Dir,
        /// Its id, as listed
        luid: String,
    },
    /// Show a SyncML message (XML or WBXML), a DevInf document or a Package #0 as a tree with names for codes
    Inspect {
        /// The file; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// WBXML token by token
        #[arg(long)]
        tokens: bool,
    },
    /// Spell a SyncML message the other way, to standard output; nothing is lost
    Convert {
        /// The spelling
        #[arg(long, value_enum)]
        to: Wire,
        /// The file; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Bring the rest of a mail that came in part: all of it, or some of its attachments
    Fetch(Box<super::parameters::Fetch>),
    /// Short messages: a phone's side of the exchange
    #[command(subcommand)]
    Sms(crate::sms::Sms),
    /// Accounts at mail servers, which the server is to use
    #[command(subcommand)]
    Account(super::account::Command),
    /// What this device says of itself: in use, place, what it can show, how it is reached
    #[command(subcommand)]
    Device(super::device::Command),
    /// Which of the user's devices gets what mail
    #[command(subcommand)]
    Policy(super::policy::Command),
    /// Why a device gets a mail, or not
    #[command(subcommand)]
    Push(super::push::Command),
    /// Mail parameters that the server keeps for this user's devices
    #[command(subcommand)]
    Settings(super::settings::Command),
    /// Ask a server what it offers: versions, spellings, login, datastores and their types
    Probe {
        #[command(flatten)]
        server: Server,
        /// Log in too (password from MAILSYNC_PASSWORD); without it, only what a stranger is told
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Play the client half of a recording to a server and compare the classes of the statuses
    Replay {
        /// The folder: NNN-req.xml or .wbxml, NNN-resp.xml or .wbxml
        recording: PathBuf,
        #[command(flatten)]
        server: Server,
        /// User name (password from MAILSYNC_PASSWORD): the recorded login is not played
        #[arg(long, value_name = "NAME")]
        user: String,
    },
    /// Wait for notices of the server, show them, and sync by itself
    Watch(Box<super::watch::Watch>),
    /// Device management: operations that start at an appointed time
    #[command(subcommand)]
    Dm(Dm),
    /// The clock of this client
    #[command(subcommand)]
    Time(Time),
    /// Time tasks: alarms, schedules, meetings, shopping, of one's own and for others
    #[command(subcommand)]
    Task(Task),
    /// Friend groups: who may set tasks for us
    #[command(subcommand)]
    Group(Group),
    Register(crate::time::register::Register),
    /// Show the main job, end to end, on this machine
    Demo {
        /// Work here and leave it [default: a temporary folder, removed at the end]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// The server as a child of this very executable: it runs as long as its standard input is open
    #[command(hide = true)]
    ServeDemo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The server's address, as http://host:8080/syncml
    #[arg(long = "server", value_name = "URL")]
    url: String,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Device id to ask as
    #[arg(long, value_name = "ID", default_value = "mailsync-probe")]
    device: String,
}

impl Server {
    pub(super) fn asked(self, user: Option<String>) -> Result<Asked, String> {
        let login = match user {
            Some(user) => {
                let password = password(&user)?;
                Some((user, password))
            }
            None => None,
        };
        Ok(Asked { server: self.url, login, device: self.device, ca: self.ca })
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Dir {
    /// The folder that is synced
    #[arg(long)]
    dir: PathBuf,
}

/// How a mail is forwarded or answered.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Our address [default: the one that the mail was delivered to]
    #[arg(long, value_name = "MAILADDR")]
    pub(super) from: Option<String>,
    /// The text
    #[arg(long, conflicts_with = "text_file")]
    pub(super) text: Option<String>,
    /// The text is in this file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) text_file: Option<PathBuf>,
    /// Who puts in the original: we send all of it, or the server has it and we name it
    #[arg(long, value_enum)]
    pub(super) how: Option<WayArg>,
    /// The same as --how by-number
    #[arg(long, conflicts_with = "how")]
    pub(super) without_download: bool,
    /// Only these parts of the original, by their numbers as `show --json` lists them
    #[arg(long = "part", value_name = "N", value_delimiter = ',')]
    pub(super) parts: Vec<u32>,
}

/// A way by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayArg(pub(super) Way);

impl ValueEnum for WayArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [WayArg; 3] = {
            let [a, b, c] = Way::ALL;
            [WayArg(a), WayArg(b), WayArg(c)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            Way::Upload => "We send all of it; it must be here whole",
            Way::ByNumber => "The server puts in the original",
            Way::Parts => "The server puts in the parts that --part names",
        };
        Some(PossibleValue::new(self.0.as_str()).help(help))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Sync {
    /// The server's address, as http://host:8080/syncml
    #[arg(long, value_name = "URL")]
    pub(super) server: String,
    /// User name
    #[arg(long, value_name = "NAME")]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) dir: Dir,
    /// A datastore: ours, the server's name for it, the type of its items
    #[arg(long = "store", value_name = "LOCAL[=REMOTE][:TYPE]", default_value = "mail", value_parser = StoreOption::parse)]
    stores: Vec<StoreOption>,
    /// Device id [default: made once and kept in the folder]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// What to do
    #[arg(long, value_enum, default_value_t = ModeArg(Mode::TwoWay))]
    mode: ModeArg,
    /// How messages are spelled
    #[arg(long, value_enum, default_value_t = Wire::Wbxml)]
    wire: Wire,
    /// Protocol version
    #[arg(long = "version", value_enum, default_value_t = VersionArg::V1_2)]
    protocol: VersionArg,
    /// How to log in
    #[arg(long, value_enum, default_value_t = Auth::Md5)]
    auth: Auth,
    /// Largest message that we take, in octets
    #[arg(long, value_name = "N", default_value_t = 150_000, value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    max_msg_size: u32,
    /// Largest object that we take, in octets
    #[arg(long, value_name = "N", default_value_t = 32 * 1024 * 1024)]
    max_obj_size: u64,
    /// Accounts that the sync is for, by their short names: the server lets them in first, or nothing is synced, and of the
    /// others nothing comes
    #[arg(long = "account", value_name = "NAME", value_delimiter = ',')]
    pub(super) accounts: Vec<String>,
    /// Certificates to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Seal every item for the server, by the key in this file (mailsyncd device key); nothing is sent or taken in clear
    #[arg(long, value_name = "FILE")]
    item_key: Option<PathBuf>,
    /// Record every message here, secrets blanked
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Log in and say what would be sent; nothing is sent, nothing changes
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    mail: super::parameters::Parameters,
    /// Say what happens, on stderr
    #[arg(short, long)]
    verbose: bool,
    /// What the server must prove to be; its password comes from MAILSYNC_SERVER_PASSWORD
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// How the server proves it
    #[arg(long, value_enum, default_value_t = Auth::Md5, requires = "server_name")]
    server_auth: Auth,
    /// Sync what this notification (Package #0) asks for, if it is of the server named by --server-name
    #[arg(long, value_name = "FILE", requires = "server_name")]
    notification: Option<PathBuf>,
}

/// A sync type by its name.
#[derive(Clone, Copy, Debug)]
struct ModeArg(Mode);

impl ValueEnum for ModeArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [ModeArg; 6] = {
            let [a, b, c, d, e, f] = Mode::ALL;
            [ModeArg(a), ModeArg(b), ModeArg(c), ModeArg(d), ModeArg(e), ModeArg(f)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            Mode::TwoWay => "Changes since the last sync, both ways",
            Mode::Slow => "Compare everything",
            Mode::OneWayFromClient => "Our changes; the server's wait",
            Mode::RefreshFromClient => "The server is to have exactly what we have",
            Mode::OneWayFromServer => "The server's changes; ours wait",
            Mode::RefreshFromServer => "We are to have exactly what the server has",
            _ => "",
        };
        Some(PossibleValue::new(self.0.name()).help(help))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Wire {
    /// application/vnd.syncml+wbxml
    Wbxml,
    /// application/vnd.syncml+xml
    Xml,
}

impl Wire {
    pub(super) fn encoding(self) -> Encoding {
        match self {
            Wire::Wbxml => Encoding::Wbxml,
            Wire::Xml => Encoding::Xml,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VersionArg {
    #[value(name = "1.0")]
    V1_0,
    #[value(name = "1.1")]
    V1_1,
    #[value(name = "1.2")]
    V1_2,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Auth {
    /// A digest
    Md5,
    /// The password itself: only over TLS or loopback
    Basic,
    /// A digest of every message, in a header of its request
    Hmac,
}

impl Sync {
    /// The server, and our folder.
    pub(super) fn there(&self) -> There {
        There {
            server: self.server.clone(),
            user: self.user.clone(),
            dir: Dir { dir: self.dir.dir.clone() },
            ca: self.ca.clone(),
            item_key: self.item_key.clone(),
            device: self.device.clone(),
        }
    }

    /// What to sync, with whom, how; the password from the environment or the terminal.
    pub(super) fn options(self) -> Result<Options, String> {
        let server_login = match self.server_name {
            Some(name) => {
                let password = std::env::var("MAILSYNC_SERVER_PASSWORD")
                    .map_err(|error| format!("--server-name: MAILSYNC_SERVER_PASSWORD: {error}"))?;
                let scheme = match self.server_auth {
                    Auth::Md5 => Scheme::Md5,
                    Auth::Basic => Scheme::Basic,
                    Auth::Hmac => Scheme::Mac,
                };
                Some(OwnLogin { name: name.into(), password: password.into(), scheme })
            }
            None => None,
        };
        let version = match self.protocol {
            VersionArg::V1_0 => Version::V1_0,
            VersionArg::V1_1 => Version::V1_1,
            VersionArg::V1_2 => Version::V1_2,
        };
        self.mail.fit(self.mode.0, version)?;
        let empties = matches!(self.mode.0, Mode::RefreshFromServer | Mode::RefreshFromClient);
        if !self.accounts.is_empty() && (empties || version < Version::V1_2) {
            return Err(
                "--account: a refresh is for all mail, and versions before 1.2 do not name accounts".into()
            );
        }
        if let Some(bad) = self.accounts.iter().find(|name| !crate::mailbox::account_cli::is_short(name)) {
            return Err(format!("--account: {bad:?} is no short name of an account"));
        }
        let notification = match &self.notification {
            Some(path) => {
                Some(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?.into())
            }
            None => None,
        };
        let item_key = self.item_key.as_deref().map(item_key).transpose()?;
        Ok(Options {
            item_key,
            server_login,
            notification,
            notified: super::options::NOTIFIED,
            takes_alerts: true,
            password: password(&self.user)?,
            server: self.server,
            user: self.user,
            dir: self.dir.dir,
            stores: self.stores,
            device: self.device,
            mode: self.mode.0,
            encoding: self.wire.encoding(),
            version,
            scheme: match (self.auth, self.protocol) {
                (Auth::Md5, VersionArg::V1_0) => Scheme::Md5Of1_0,
                (Auth::Md5, _) => Scheme::Md5,
                (Auth::Basic, _) => Scheme::Basic,
                (Auth::Hmac, _) => Scheme::Mac,
            },
            max_msg_size: self.max_msg_size,
            max_obj_size: self.max_obj_size,
            ca: self.ca,
            record: self.record,
            dry_run: self.dry_run,
            mail: self.mail.filter_for(&self.accounts),
            verbose: self.verbose,
        })
    }
}

/// The first line of a file as a key.
pub(super) fn item_key(path: &std::path::Path) -> Result<ItemKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let key = text.lines().next().and_then(ItemKey::parse);
    key.ok_or_else(|| format!("{}: its first line is no key, 32 octets in Base64", path.display()))
}

impl Dir {
    pub(super) fn path(&self) -> &std::path::Path {
        &self.dir
    }

    pub(super) fn open(&self) -> Result<Maildir, String> {
        Maildir::open(&self.dir, "").map_err(|error| error.to_string())
    }
}

/// The sync password, from MAILSYNC_PASSWORD, else typed in.
pub(crate) fn password(user: &str) -> Result<String, String> {
    secret::asked("MAILSYNC_PASSWORD", &format!("Sync password for {user}: "), false)
}
