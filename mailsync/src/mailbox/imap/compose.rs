//! Messages that the server puts together of what it has (CATENATE), and lets the submission server fetch (URLAUTH).
//!
//! What is to be fetched is a draft for as long as it is submitted. Nobody else has to do with it: it has the keyword
//! [`KEYWORD`], by which the mirror leaves it out, and goes whatever became of it. What one that died left is removed by
//! who sends the same message again. The copy in Sent is the mirror's, as of any mail.
// spec: RFC 4469 §3, RFC 4467

use super::connection::{Credentials, Piece as Chunk, quoted};
use super::response::{KEYWORD, Kind, Response};
use super::{Connection, Imap, url};
use crate::mailbox::link::Trust;
use crate::mailbox::stored::{Composition, Place, not_there};
use crate::mailbox::{Done, Error};
use crate::turns::unix_now;
use bytes::Bytes;
use mailsync_proto::mail::account::Account;
use mailsync_proto::mail::catenate::Piece;
use mailsync_proto::mirror::mails::RemoteId;
use std::sync::Arc;

/// What it is marked with: the same as others know it is added.
// spec: RFC 5550, keywords
const MARKS: &str = "\\Seen \\Draft $SubmitPending MailsyncSubmitting";
/// Seconds for which the submission server may fetch it.
const FETCHED_WITHIN: u64 = 3600;
/// What a server must be able to do.
const NEEDED: [&str; 3] = ["CATENATE", "URLAUTH", "UIDPLUS"];

/// What a message is composed for.
pub(crate) struct Wanted {
    pub(crate) trust: Trust,
    pub(crate) account: Account,
    pub(crate) login: Credentials,
    /// Where the submission server fetches from, as it says.
    pub(crate) servers: Vec<String>,
    pub(crate) composition: Composition,
    pub(crate) message: Bytes,
    pub(crate) message_id: Box<str>,
}

/// A message at a mail server that a submission server can fetch.
pub(crate) struct Composed {
    imap: Imap,
    place: Place,
    /// Where it is fetched.
    pub(crate) url: String,
    wanted: Arc<Wanted>,
}

/// Has a message put together at the mail server, to be fetched by the submission server.
///
/// # Errors
/// [`Error::Refused`] where it cannot be, in words: nothing is left there then. After any other, [`sweep`].
pub(crate) async fn compose(wanted: Arc<Wanted>) -> Result<Composed, Error> {
    let drafts = wanted.drafts()?;
    let mut imap = wanted.open().await?;
    match imap.prepare(&wanted, drafts).await {
        Ok((place, url)) => Ok(Composed { imap, place, url, wanted }),
        Err(error @ Error::Link(_)) => Err(error),
        Err(error) => {
            imap.close().await;
            Err(error)
        }
    }
}

/// Removes over a new link what an earlier one may have left.
pub(crate) async fn sweep(wanted: &Wanted) {
    let swept = async {
        let mut imap = wanted.open().await?;
        imap.remove_left(wanted.drafts()?, &wanted.message_id).await?;
        imap.close().await;
        Ok::<_, Error>(())
    };
    if let Err(error) = swept.await {
        tracing::warn!(%error, "imap: a draft that was to be submitted may be left there");
    }
}

impl Wanted {
    fn drafts(&self) -> Result<&str, Error> {
        self.composition.drafts.as_deref().ok_or_else(|| not_there("has no folder for drafts"))
    }

    /// A link for something else than to watch the mailbox.
    async fn open(&self) -> Result<Imap, Error> {
        let link = Connection::open(&self.trust, &self.account.inbound, &self.login).await?;
        Ok(Imap { link, selected: None, qresync: false, separator: "/".into() })
    }
}

impl Composed {
    /// Removes it from the mail server.
    pub(crate) async fn remove(mut self) {
        let path = self.place.path.clone();
        let removed = async {
            self.imap.select(&path).await?;
            self.imap.expunge(self.place.id).await
        };
        match removed.await {
            Ok(()) => self.imap.close().await,
            Err(_) => sweep(&self.wanted).await,
        }
    }
}

impl Imap {
    async fn prepare(&mut self, wanted: &Wanted, drafts: &str) -> Result<(Place, String), Error> {
        if let Some(lacking) = NEEDED.into_iter().find(|name| !self.link.can(name)) {
            return Err(not_there(&format!("has no {lacking}")));
        }
        self.remove_left(drafts, &wanted.message_id).await?;
        let place = self.catenate(drafts, MARKS, "", &wanted.composition, &wanted.message).await?;
        let url = self.authorized(&place, wanted).await;
        if matches!(url, Err(Error::Refused(_))) {
            self.expunge(place.id).await?;
        }
        Ok((place, url?))
    }

    /// Removes what is there of an earlier try to send the same message.
    async fn remove_left(&mut self, drafts: &str, message_id: &str) -> Result<(), Error> {
        let (_, answer) = self.open_folder(drafts, None).await?;
        let takes = |flag: &str| flag.trim_matches(['(', ')']) == "\\*" || flag.contains(KEYWORD);
        let takes_ours = answer.untagged.iter().any(|response| match response {
            Response::State(state) => {
                state.code("PERMANENTFLAGS").is_some_and(|flags| flags.iter().any(|flag| takes(flag)))
            }
            _ => false,
        });
        if !takes_ours {
            return Err(not_there("keeps no keywords of ours"));
        }
        let id = quoted(message_id)?;
        let answer = self.link.ok(&format!("UID SEARCH KEYWORD {KEYWORD} HEADER Message-ID {id}")).await?;
        for response in answer.untagged {
            let Response::Search(ids) = response else { continue };
            for id in ids {
                self.expunge(id).await?;
            }
        }
        Ok(())
    }

    /// Adds a message that the server puts together, and looks whether it is what it is to be.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing was added, or it is removed again.
    pub(super) async fn catenate(
        &mut self,
        folder: &str,
        marks: &str,
        date: &str,
        composition: &Composition,
        message: &Bytes,
    ) -> Result<Place, Error> {
        let mut command = vec![Chunk::Line(format!("APPEND {} ({marks}){date} CATENATE (", quoted(folder)?))];
        for (number, piece) in composition.plan.pieces.iter().enumerate() {
            let before = if number > 0 { " " } else { "" };
            match piece {
                Piece::Text(range) => {
                    command.push(Chunk::Line(format!("{before}TEXT ")));
                    command.push(Chunk::Literal(message.get(range.clone()).unwrap_or_default()));
                }
                Piece::Stored(section, _) => {
                    let url = url::of_section(&composition.original, section);
                    command.push(Chunk::Line(format!("{before}URL {}", quoted(&url)?)));
                }
            }
        }
        command.push(Chunk::Line(")".into()));
        let answer = self.link.command_of(&command).await?;
        if answer.state.kind != Kind::Ok {
            return Err(Error::Refused(answer.state.words.into()));
        }
        let added = answer.state.code("APPENDUID").and_then(|code| {
            let [identity, id] = code else { return None };
            Some(Place { path: folder.into(), identity: identity.clone(), id: id.parse().ok()? })
        });
        // Refused by who offers UIDPLUS is this only for a folder whose ids do not last.
        let place = added.ok_or_else(|| Error::Link("the server does not say what it added".into()))?;
        // An open folder may not show yet what was added to it.
        self.open_folder(folder, None).await?;
        if !self.holds(place.id, composition, message).await? {
            self.expunge(place.id).await?;
            return Err(not_there("put something else together"));
        }
        Ok(place)
    }

    /// Whether a mail of the selected folder is this message, as far as its size and some places of it say.
    async fn holds(
        &mut self,
        id: RemoteId,
        composition: &Composition,
        message: &Bytes,
    ) -> Result<bool, Error> {
        let (sizes, _) = self.fetched(&id.to_string(), "(UID RFC822.SIZE)").await?;
        if sizes.iter().all(|mail| mail.size != Some(message.len() as u64)) {
            return Ok(false);
        }
        for probe in composition.plan.probes() {
            let what = format!("(UID BODY.PEEK[]<{}.{}>)", probe.start, probe.len());
            let (found, _) = self.fetched(&id.to_string(), &what).await?;
            let found = found.into_iter().find_map(|mail| mail.body);
            if found.as_deref() != message.get(probe) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    // spec: RFC 4467 §7
    async fn authorized(&mut self, place: &Place, wanted: &Wanted) -> Result<String, Error> {
        let until = unix_now().saturating_add(FETCHED_WITHIN);
        let Wanted { account, servers, .. } = wanted;
        let rump = url::to_submit(place, &account.login, &account.inbound, servers, until)
            .ok_or_else(|| not_there("has no name that can stand in a URL"))?;
        let answer = self.link.ok(&format!("GENURLAUTH {} INTERNAL", quoted(&rump)?)).await?;
        let url = answer.untagged.into_iter().find_map(|response| match response {
            Response::Authorized(url) => Some(url),
            _ => None,
        });
        // threats: M2: what the mail server says goes into a command to another one
        url.filter(|url| url.starts_with(&rump) && url.bytes().all(|octet| octet.is_ascii_graphic()))
            .map(String::from)
            .ok_or_else(|| not_there("authorized something else"))
    }

    /// Adds our mail to a folder, put together there; none where the server does not do that.
    pub(super) async fn append_composed(
        &mut self,
        (folder, marks, date): (&str, &str, &str),
        message: &Bytes,
        composition: &Composition,
    ) -> Result<Option<Done>, Error> {
        if !self.link.can("CATENATE") || !self.link.can("UIDPLUS") {
            return Ok(None);
        }
        match self.catenate(folder, marks, date, composition, message).await {
            Ok(place) => Ok(Some(Done { id: Some(place.id), path: None })),
            Err(Error::Refused(words)) => {
                tracing::info!(words, "imap: not composed there, all of it goes");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
