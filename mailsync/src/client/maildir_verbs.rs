//! What a user does with the folder: list, show, mark, move, delete, send, reply. It acts on the files at once and
//! takes effect at the server with the next sync, as if a mail reader had done it.

use super::dirstore::{DirStoreError, MAIL, database, open_index};
use super::maildir::{Flags, Place, directories, encode, folder_name, join, mails};
use super::maildir_write::at;
use bytes::Bytes;
use mailsync_proto::mail::compose::{ComposeError, Draft};
use mailsync_proto::mail::forward::{Kind, Refusal, Request, Way};
use mailsync_proto::mail::splice::splice;
use mailsync_proto::mail::summary::Summary;
use mailsync_proto::mail::{Folder, Left, MailFields, Role, SendState};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A client's mail folder as a user sees it. It may be open while a sync runs.
#[derive(Debug)]
pub struct Maildir {
    root: PathBuf,
    /// Name for people by directory, and stored states by LUID.
    folders: HashMap<String, String>,
    states: HashMap<String, MailFields>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The mail's id here.
    pub luid: String,
    /// The folder's name.
    pub folder: String,
    /// Sender, subject, date.
    pub summary: Summary,
    /// Octets.
    pub size: u64,
    /// Read.
    pub read: bool,
    /// Answered.
    pub answered: bool,
    /// Forwarded.
    pub forwarded: bool,
    /// Flagged.
    pub flagged: bool,
    /// Marked for deletion.
    pub deleted: bool,
    /// A draft.
    pub draft: bool,
    /// What became of sending it.
    pub send: Option<SendState>,
    /// What of it is not here.
    pub left: Option<Left>,
}

/// Why a verb did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// The folder.
    #[error(transparent)]
    Dir(#[from] DirStoreError),
    /// No such mail.
    #[error("no mail {0:?} here; `mailsync list` shows what is")]
    NoMail(String),
    /// No such folder.
    #[error("no folder {0:?} here; it has {1}")]
    NoFolder(String, String),
    /// No such flag.
    #[error("{0:?} is no flag; write +read, -read, +answered, +forwarded, +flagged, +deleted or +draft")]
    NoFlag(String),
    /// The mail cannot be written.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// It is not all here.
    #[error("{0} is here in part only; say --without-download, or `mailsync fetch {0}` first")]
    InPart(String),
    /// What is to be forwarded is not there.
    #[error(transparent)]
    Forward(#[from] Refusal),
}

/// A mail that is about another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Forward or reply.
    pub kind: Kind,
    /// Who puts in the original.
    pub way: Way,
    /// Our address.
    pub from: String,
    /// To whom; empty: to whom an answer goes.
    pub to: Vec<String>,
    /// The new text; may be empty.
    pub text: String,
    /// Only these parts of the original; empty: all of it.
    pub parts: Vec<u32>,
}

impl Maildir {
    /// Opens a folder that a sync has made. `user`: whose state is shown beside the files.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(root: &Path, user: &str) -> Result<Self, VerbError> {
        let database = database(root);
        if !database.is_file() {
            let missing = std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "no synced folder; run `mailsync sync` first",
            );
            return Err(at(root, missing).into());
        }
        let index = open_index(&database)?;
        let failed = |source| DirStoreError::Sqlite { path: database.clone(), source };
        let fields = index.fields(user, MAIL).map_err(failed)?;
        let rows = index.rows(MAIL).map_err(failed)?;
        let mut folders = HashMap::new();
        for (guid, row) in rows.iter().filter(|(_, row)| !row.name.contains('/')) {
            let folder = fields.get(guid).and_then(|f| Folder::from_fields(f).ok());
            folders
                .insert(row.name.clone(), folder.map_or_else(|| folder_name(&row.name), |f| f.name.into()));
        }
        let states = fields
            .iter()
            .filter(|(guid, _)| rows.get(*guid).is_some_and(|row| row.name.contains('/')))
            .filter_map(|(guid, f)| Some((encode(guid), MailFields::from_fields(f).ok()?)))
            .collect();
        Ok(Maildir { root: root.into(), folders, states })
    }

    /// The mails of a folder, or of all, oldest first.
    pub fn list(&self, folder: Option<&str>) -> Result<Vec<Listed>, VerbError> {
        let wanted = folder.map(|name| self.directory(name)).transpose()?;
        let mut found = Vec::new();
        for directory in directories(&self.root).map_err(|e| at(&self.root, e))? {
            if wanted.as_ref().is_some_and(|wanted| *wanted != directory) {
                continue;
            }
            for place in mails(&self.root, &directory).map_err(|e| at(&self.root, e))? {
                // Gone since the directory was read.
                if let Some(listed) = self.listed(&place)? {
                    found.push(listed);
                }
            }
        }
        found.sort_by(|a, b| (a.summary.date, &a.luid).cmp(&(b.summary.date, &b.luid)));
        Ok(found)
    }

    /// A mail, octet for octet.
    pub fn show(&self, luid: &str) -> Result<Bytes, VerbError> {
        let path = self.find(luid)?.path(&self.root);
        Ok(fs::read(&path).map_err(|e| at(&path, e))?.into())
    }

    /// Sets and clears flags: `+read`, `-flagged`.
    // mission: M5b
    pub fn flag(&self, luid: &str, changes: &[&str]) -> Result<(), VerbError> {
        let place = self.find(luid)?;
        let mut flags = place.flags();
        for change in changes {
            let bad = || VerbError::NoFlag((*change).to_owned());
            let (on, word) = match (change.strip_prefix('+'), change.strip_prefix('-')) {
                (Some(word), _) => (true, word),
                (None, Some(word)) => (false, word),
                (None, None) => return Err(bad()),
            };
            let letter = match word {
                "read" | "seen" => 'S',
                "answered" | "replied" => 'R',
                "forwarded" => 'P',
                "flagged" => 'F',
                "deleted" => 'T',
                "draft" => 'D',
                _ => return Err(bad()),
            };
            flags.set(letter, on);
        }
        self.rename(&place, &place.directory, &flags)
    }

    /// Moves a mail to a folder, by the folder's name.
    pub fn move_to(&self, luid: &str, folder: &str) -> Result<(), VerbError> {
        let place = self.find(luid)?;
        let directory = self.directory(folder)?;
        self.rename(&place, &directory, &place.flags())
    }

    /// Deletes a mail.
    pub fn delete(&self, luid: &str) -> Result<(), VerbError> {
        let path = self.find(luid)?.path(&self.root);
        Ok(fs::remove_file(&path).map_err(|e| at(&path, e))?)
    }

    /// Puts a message into the outbox: the next sync sends it. `unique`: letters and digits for its id.
    // mission: M1
    pub fn send(&self, message: &[u8], unique: &str) -> Result<String, VerbError> {
        let directory = self.directory(Role::Outbox.name())?;
        let luid = encode(unique);
        let folder = join(&self.root, &directory);
        let (tmp, path) = (folder.join("tmp").join(&luid), folder.join("cur").join(format!("{luid}:2,S")));
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).create_new(true).open(&tmp)?;
            file.write_all(message)?;
            file.sync_all()?;
            fs::rename(&tmp, &path)?;
            #[cfg(unix)]
            File::open(folder.join("cur"))?.sync_all()?;
            Ok(())
        };
        write().map_err(|e| at(&path, e))?;
        Ok(luid)
    }

    /// Answers a mail that is here: the answer goes into the outbox, the mail is marked. Gives the answer's id.
    pub fn reply(
        &self,
        luid: &str,
        from: &str,
        text: &str,
        unique: &str,
        now: u64,
    ) -> Result<String, VerbError> {
        let answer = Draft::reply(&self.show(luid)?, from, text)?.to_message(unique, now)?;
        let sent = self.send(&Request::new(Kind::Reply, luid).before(&answer), unique)?;
        self.flag(luid, &["+answered", "+read"])?;
        Ok(sent)
    }

    /// Forwards a mail, or answers it by its number: what goes into the outbox names the mail, the server marks it when the
    /// new one is sent. Gives the new one's id.
    ///
    /// Where it is not uploaded, a header of the mail is all that must be here.
    // mission: M6
    pub fn about(&self, luid: &str, about: &About, unique: &str, now: u64) -> Result<String, VerbError> {
        let here = self.show(luid)?;
        let mut draft = match about.kind {
            Kind::Forward => Draft::forward(&here, &about.from, Vec::new(), &about.text),
            Kind::Reply => Draft::answer(&here, &about.from, &about.text)?,
        };
        if !about.to.is_empty() {
            draft.to.clone_from(&about.to);
        }
        let mut request = Request::new(about.kind, luid);
        request.text = about.kind == Kind::Reply;
        request.whole = about.kind == Kind::Forward && about.parts.is_empty();
        request.parts.clone_from(&about.parts);
        let message = draft.to_message(unique, now)?;
        let message = if about.way == Way::Upload {
            if self.is_in_part(luid) {
                return Err(VerbError::InPart(luid.to_owned()));
            }
            let whole = splice(&request, &message, &here)?;
            Request::new(about.kind, luid).before(&whole)
        } else {
            request.before(&message)
        };
        self.send(&message, unique)
    }

    /// Who puts in the original, where nobody says: whom the settings name; else the server, unless all of the mail is here.
    pub fn way(&self, luid: &str) -> Way {
        let agreed = super::settings::of_folder(&self.root).forward.unwrap_or(Way::Upload);
        let wanted = self.is_in_part(luid) || agreed != Way::Upload;
        if wanted && self.can(Way::ByNumber) { Way::ByNumber } else { Way::Upload }
    }

    /// Whether the server can do this, as far as it has said; what comes to it whole it needs no extension for.
    pub fn can(&self, way: Way) -> bool {
        way == Way::Upload || super::sync::ways(&self.root).is_none_or(|ways| ways.contains(&way))
    }

    fn is_in_part(&self, luid: &str) -> bool {
        self.states.get(luid).is_some_and(|state| Left::of(&state.ext).is_some())
    }

    fn listed(&self, place: &Place) -> Result<Option<Listed>, VerbError> {
        let path = place.path(&self.root);
        let mut head = Vec::new();
        let size = match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(|e| at(&path, e))?.len();
                file.take(64 * 1024).read_to_end(&mut head).map_err(|e| at(&path, e))?;
                size
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(at(&path, e).into()),
        };
        let flags = place.flags();
        let luid = place.base().to_owned();
        Ok(Some(Listed {
            folder: self.name(&place.directory),
            summary: Summary::of(&head),
            size,
            read: flags.has('S'),
            answered: flags.has('R'),
            forwarded: flags.has('P'),
            flagged: flags.has('F'),
            deleted: flags.has('T'),
            draft: flags.has('D'),
            send: self.states.get(&luid).and_then(|state| state.send.clone()),
            left: self.states.get(&luid).and_then(|state| Left::of(&state.ext)),
            luid,
        }))
    }

    fn find(&self, luid: &str) -> Result<Place, VerbError> {
        for directory in directories(&self.root).map_err(|e| at(&self.root, e))? {
            let places = mails(&self.root, &directory).map_err(|e| at(&self.root, e))?;
            if let Some(place) = places.into_iter().find(|place| place.base() == luid) {
                return Ok(place);
            }
        }
        Err(VerbError::NoMail(luid.to_owned()))
    }

    fn rename(&self, place: &Place, directory: &str, flags: &Flags) -> Result<(), VerbError> {
        let from = place.path(&self.root);
        let to = join(&self.root, directory).join("cur").join(flags.name(place.base()));
        if from != to {
            fs::rename(&from, &to).map_err(|e| at(&from, e))?;
        }
        Ok(())
    }

    fn name(&self, directory: &str) -> String {
        self.folders.get(directory).cloned().unwrap_or_else(|| folder_name(directory))
    }

    fn directory(&self, name: &str) -> Result<String, VerbError> {
        let present = directories(&self.root).map_err(|e| at(&self.root, e))?;
        let found = present.iter().find(|directory| self.name(directory).eq_ignore_ascii_case(name));
        found.cloned().ok_or_else(|| {
            let names: Vec<String> = present.iter().map(|directory| self.name(directory)).collect();
            VerbError::NoFolder(name.to_owned(), names.join(", "))
        })
    }
}
