//! Operations on an IMAP mailbox.

use super::connection::{Answer, Piece, quoted};
use super::response::{Kind, Response};
use super::{Imap, date};
use crate::mailbox::{Done, Error};
use bytes::Bytes;
use mailsync_proto::mirror::mails::RemoteId;
use mailsync_proto::mirror::{Marks, Operation};

impl Imap {
    pub(super) async fn operate(
        &mut self,
        operation: &Operation,
        message: Option<&Bytes>,
    ) -> Result<Done, Error> {
        match operation {
            Operation::Mark { folder, id, add, remove } => {
                self.select(folder).await?;
                for (sign, marks) in [('+', *add), ('-', *remove)] {
                    if marks != Marks::NONE {
                        let names = marks.names().join(" ");
                        self.link.ok(&format!("UID STORE {id} {sign}FLAGS.SILENT ({names})")).await?;
                    }
                }
                Ok(Done::default())
            }
            Operation::Move { folder, id, to, .. } => self.move_mail(folder, *id, to).await,
            Operation::Expunge { folder, id } => {
                self.select(folder).await?;
                self.expunge(*id).await?;
                Ok(Done::default())
            }
            Operation::Append { folder, marks, received, .. } => {
                let message = message.ok_or_else(|| Error::Refused("no text to add".into()))?;
                let (marks, date) = added_as(*marks, *received);
                let command = Piece::Line(format!("APPEND {} ({marks}){date} ", quoted(folder)?));
                let answer = self.link.command_of(&[command, Piece::Literal(message)]).await?;
                if answer.state.kind != Kind::Ok {
                    return Err(Error::Refused(answer.state.words.into()));
                }
                let id = answer.state.code("APPENDUID").and_then(|code| code.get(1)?.parse().ok());
                Ok(Done { id, path: None })
            }
            Operation::MakeFolder { parent, name } => {
                let path = self.path(parent.as_deref(), name);
                self.link.ok(&format!("CREATE {}", quoted(&path)?)).await?;
                Ok(Done { id: None, path: Some(path) })
            }
            Operation::RenameFolder { path, parent, name } => {
                let new = self.path(parent.as_deref(), name);
                self.selected = None;
                self.link.ok(&format!("RENAME {} {}", quoted(path)?, quoted(&new)?)).await?;
                Ok(Done { id: None, path: Some(new) })
            }
            Operation::RemoveFolder { path } => {
                self.selected = None;
                self.link.ok(&format!("DELETE {}", quoted(path)?)).await?;
                Ok(Done::default())
            }
        }
    }

    fn path(&self, parent: Option<&str>, name: &str) -> Box<str> {
        // A name that holds the separator would be two folders.
        let name = date::encode_name(&name.replace(&*self.separator, "_"));
        match parent {
            Some(parent) => format!("{parent}{}{name}", self.separator).into(),
            None => name.into(),
        }
    }

    // spec: RFC 6851 §3.3
    async fn move_mail(&mut self, folder: &str, id: RemoteId, to: &str) -> Result<Done, Error> {
        self.select(folder).await?;
        let to = quoted(to)?;
        if self.link.can("MOVE") {
            let answer = self.link.ok(&format!("UID MOVE {id} {to}")).await?;
            return self.copied(&answer);
        }
        let answer = self.link.ok(&format!("UID COPY {id} {to}")).await?;
        let done = self.copied(&answer)?;
        self.expunge(id).await?;
        Ok(done)
    }

    /// The new id, as `COPYUID` says it in the answer or, for MOVE, before it.
    // spec: RFC 4315 §3
    fn copied(&self, answer: &Answer) -> Result<Done, Error> {
        let before = answer.untagged.iter().filter_map(|response| match response {
            Response::State(state) => Some(state),
            _ => None,
        });
        let code = before.chain([&answer.state]).find_map(|state| state.code("COPYUID"));
        match code.and_then(|code| code.get(2)?.parse().ok()) {
            Some(id) => Ok(Done { id: Some(id), path: None }),
            // OK without an id: there was no such mail to move.
            None if self.link.can("UIDPLUS") => Err(Error::Refused("the mail is no longer there".into())),
            None => Ok(Done::default()),
        }
    }

    /// Removes one mail for good, and no other.
    pub(super) async fn expunge(&mut self, id: RemoteId) -> Result<(), Error> {
        self.link.ok(&format!("UID STORE {id} +FLAGS.SILENT (\\Deleted)")).await?;
        if self.link.can("UIDPLUS") {
            self.link.ok(&format!("UID EXPUNGE {id}")).await?;
            return Ok(());
        }
        // Others that are marked keep their place: their mark comes off while ours goes.
        let answer = self.link.ok("UID SEARCH DELETED").await?;
        let others: Vec<String> = answer
            .untagged
            .into_iter()
            .filter_map(|response| match response {
                Response::Search(ids) => Some(ids),
                _ => None,
            })
            .flatten()
            .filter(|other| *other != id)
            .map(|other| other.to_string())
            .collect();
        let set = others.join(",");
        if !set.is_empty() {
            self.link.ok(&format!("UID STORE {set} -FLAGS.SILENT (\\Deleted)")).await?;
        }
        self.link.ok("EXPUNGE").await?;
        if !set.is_empty() {
            self.link.ok(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await?;
        }
        Ok(())
    }
}

/// Marks and time of a mail that is added, as APPEND takes them.
pub(super) fn added_as(marks: Marks, received: Option<u64>) -> (String, String) {
    let date = received.map(|at| format!(" \"{}\"", date::write(at))).unwrap_or_default();
    (marks.names().join(" "), date)
}
