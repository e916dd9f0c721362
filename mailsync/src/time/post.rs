//! Tasks of other people in mails and short messages: what comes is looked at once, what is answered goes the way it came.

use super::brought::{self, Taken};
use super::letters::{Kind, Letter, Letters, WAITING, Way};
use super::pocket::{Held, Pocket};
use crate::client::Maildir;
use crate::client::maildir::mails;
use crate::sms::{self, Link};
use crate::turns;
use mailsync_proto::mail::compose::Draft;
use mailsync_proto::mail::invitation::{self, Invitation};
use mailsync_proto::sync::collection::match_key;
use mailsync_proto::tasks::direct::{self, Friends};
use mailsync_proto::tasks::short;
use pushpolicy::bearer::wap::Ports;
use serde_json::{Value, json};
use timesync::UnixTime;
use timesync::task::ical::itip::{self, Answer, Between, Method};
use timesync::task::ical::{self, Entry};
use timesync::task::{DirectReply, Setter, Task, TaskRefusal, UserId};

/// What looks at letters.
pub(super) struct Post<'p> {
    pub(super) pocket: &'p Pocket,
    pub(super) friends: &'p Friends,
    /// The phone's link, for answers by short message.
    pub(super) phone: Option<&'p Link>,
}

/// A message that came.
struct Came {
    way: Way,
    /// From where, as it says.
    from: String,
    /// Where it came to.
    own: String,
    body: String,
    proof: String,
}

impl Post<'_> {
    /// Looks at the mails of the inbox that were not looked at yet.
    ///
    /// # Errors
    /// In words: the folder.
    // mission: T4
    pub(super) fn mails(&self, held: &mut Held<'_>, now: UnixTime) -> Result<Vec<Value>, String> {
        let (root, letters) = (self.pocket.dir(), Letters::of(self.pocket.dir()));
        let before = letters.seen();
        let mut seen = before.clone();
        seen.mails.clear();
        let mut lines = Vec::new();
        for place in mails(root, "").map_err(|error| format!("{}: {error}", root.display()))? {
            let path = place.path(root);
            let Ok(meta) = std::fs::metadata(&path) else { continue };
            let name = format!("{} {}", place.base(), meta.len());
            let known = before.mails.contains(&name);
            seen.mails.insert(name);
            if known || meta.len() > invitation::MOST as u64 {
                continue;
            }
            let Some(came) = std::fs::read(&path).ok().as_deref().and_then(Invitation::read) else {
                continue;
            };
            // Several terminals write the same answer: the server sends it once.
            if came.proof.as_deref().is_some_and(|proof| !seen.is_new(proof)) {
                continue;
            }
            let own = came.to.unwrap_or_default();
            let proof = came.proof.unwrap_or_default();
            let came = Came { way: Way::Mail, from: came.from, own, body: came.calendar, proof };
            lines.extend(self.message(held, now, &came)?);
        }
        if seen != before {
            letters.put_seen(&seen)?;
        }
        Ok(lines)
    }

    /// Looks at a calendar entry that came in short messages.
    ///
    /// # Errors
    /// In words: the folder.
    // mission: T4
    pub(super) fn entry(
        &self,
        held: &mut Held<'_>,
        now: UnixTime,
        (from, octets): (&str, &[u8]),
    ) -> Result<Option<Value>, String> {
        let Some(short) = short::read(octets) else {
            return Ok(Some(json!({"event": "task refused", "by": "sms", "with": from, "why": "no text"})));
        };
        let letters = Letters::of(self.pocket.dir());
        let mut seen = letters.seen();
        if !short.proof.is_empty() {
            // A centre repeats what was not answered in time.
            if !seen.is_new(short.proof) {
                return Ok(None);
            }
            letters.put_seen(&seen)?;
        }
        let own = self.phone.map(|link| link.from.clone()).unwrap_or_default();
        let (body, proof) = (short.body.to_owned(), short.proof.to_owned());
        let came = Came { way: Way::Sms, from: from.to_owned(), own, body, proof };
        self.message(held, now, &came)
    }

    /// Answers that a person gave meanwhile, by verbs.
    pub(super) fn owed(&self) {
        if self.phone.is_none() {
            return;
        }
        for (path, letter) in Letters::of(self.pocket.dir()).all(Kind::Owed) {
            let _ = std::fs::remove_file(path);
            self.by_sms(&letter.with, letter.calendar);
        }
    }

    fn message(&self, held: &mut Held<'_>, now: UnixTime, came: &Came) -> Result<Option<Value>, String> {
        let taken = brought::take(self.pocket, held, self.friends, now, (&came.body, &came.proof))?;
        let line = match taken {
            Taken::Unproved(error) => self.stranger(came, &error.to_string())?,
            Taken::Heard(line) => Some(line),
            // Another terminal of ours is meant, and answers.
            Taken::Answered(_, DirectReply::Refused(TaskRefusal::NoTarget), _) => None,
            Taken::Answered(task, reply, line) => {
                let answer = match &reply {
                    DirectReply::Accepted => Answer::Accepted,
                    DirectReply::Refused(refusal) => Answer::Declined(refusal.to_string()),
                };
                let secret = self.friends.secret(&task.setter.user);
                let sent = match came.way {
                    Way::Mail => answer_by_mail(self.pocket, &task, &answer, (&came.own, &came.from), secret),
                    Way::Sms => short_answer(&task, &answer, now, secret)
                        .map(|octets| self.by_sms(&came.from, octets)),
                };
                // What was decided stays.
                if let Err(error) = sent {
                    eprintln!("mailsync: answer to {}: {error}", came.from);
                }
                Some(line)
            }
        };
        Ok(line.map(|mut line| {
            line["by"] = came.way.name().into();
            line["with"] = came.from.as_str().into();
            line
        }))
    }

    /// Who proves nothing waits for a person, who may know the hand.
    fn stranger(&self, came: &Came, why: &str) -> Result<Option<Value>, String> {
        let refused = |why: &str| json!({"event": "task refused", "why": why});
        let letters = Letters::of(self.pocket.dir());
        let entry = match read_claimed(&came.body, self.pocket) {
            Ok(entry) => entry,
            Err(error) => return Ok(Some(refused(&error))),
        };
        let task = &entry.task;
        match entry.method.as_deref() {
            Some("REPLY") => {
                let asked = letters.get(Kind::Asked, task);
                let same = asked.filter(|letter| letter.with.eq_ignore_ascii_case(&came.from));
                let (Some(_), Some(answer)) = (same, &entry.answer) else { return Ok(Some(refused(why))) };
                let state = format!("{answer} (not proved)");
                brought::answered(self.pocket, task, &state)?;
                Ok(Some(json!({"event": "task answered", "uid": task.uid.as_str(), "state": state})))
            }
            Some("CANCEL") => {
                let waiting = letters.get(Kind::Waiting, task);
                if waiting.is_some_and(|letter| letter.with.eq_ignore_ascii_case(&came.from)) {
                    letters.remove(Kind::Waiting, task);
                }
                Ok(None)
            }
            None | Some("REQUEST" | "PUBLISH") => {
                if letters.all(Kind::Waiting).len() >= WAITING {
                    return Ok(Some(refused("too many wait for an answer")));
                }
                let (with, own, calendar) = (came.from.clone(), came.own.clone(), came.body.clone());
                letters.put(
                    Kind::Waiting,
                    task,
                    &Letter { way: came.way, with, own, calendar, state: None },
                )?;
                let summary: String = task.summary.chars().filter(|c| !c.is_control()).collect();
                Ok(Some(
                    json!({"event": "task asked", "uid": task.uid.as_str(), "summary": summary, "why": why}),
                ))
            }
            Some(_) => Ok(Some(refused(why))),
        }
    }

    fn by_sms(&self, to: &str, octets: String) {
        let Some(link) = self.phone.cloned() else { return };
        let to = to.to_owned();
        // The centre may take its time; what is due rings meanwhile.
        std::thread::spawn(move || {
            if let Err(error) = sms::send_octets(&link, &to, Ports::CALENDAR, octets.as_bytes()) {
                eprintln!("mailsync: answer to {to}: {error}");
            }
        });
    }
}

/// An entry as it claims to be: for us, of whomever it names.
pub(super) fn read_claimed(body: &str, pocket: &Pocket) -> Result<Entry, String> {
    let me = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let mut entry = ical::read_entry(body, pocket.owner(), &me).map_err(|error| error.to_string())?;
    if let Some(setter) = entry.claims.clone() {
        entry.task.setter = setter;
    }
    if let Some(owner) = &entry.claims_owner {
        entry.task.owner = owner.clone();
    }
    Ok(entry)
}

/// Puts a request into the outbox.
pub(super) fn ask_by_mail(
    pocket: &Pocket,
    task: &Task,
    method: Method,
    (own, with): (&str, &str),
    secret: Option<&str>,
    now: UnixTime,
) -> Result<(), String> {
    let calendar = itip::write_between(task, method, None, now, &Between::mails(own, with));
    let verb = if method == Method::Cancel { "takes back" } else { "asks to set" };
    let text = format!("{} {verb}: {}\n\n{}\n", task.setter.user.as_str(), task.summary, task.text);
    let draft = draft(task, "", (own, with), text);
    let id = format!("task.{}.{}", turns::unix_now(), unique()?);
    post(pocket, &draft, (method, &calendar), secret, &id)
}

/// Puts an answer into the outbox; every terminal of ours would write the same.
pub(super) fn answer_by_mail(
    pocket: &Pocket,
    task: &Task,
    answer: &Answer,
    (own, with): (&str, &str),
    secret: Option<&str>,
) -> Result<(), String> {
    // Of one moment, whichever terminal writes it.
    let calendar =
        itip::write_between(task, Method::Reply, Some(answer), UnixTime::EPOCH, &Between::mails(with, own));
    let (word, text) = match answer {
        Answer::Declined(why) => ("Declined", format!("Declined: {why}\n")),
        _ => ("Accepted", "Accepted.\n".to_owned()),
    };
    let draft = draft(task, &format!("{word}: "), (own, with), text);
    let key = match_key(&[task.uid.as_str().as_bytes(), &task.sequence.to_be_bytes(), with.as_bytes()]).0;
    let id: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
    post(pocket, &draft, (Method::Reply, &calendar), secret, &format!("task-answer.{id}"))
}

fn draft(task: &Task, before: &str, (own, with): (&str, &str), text: String) -> Draft {
    let subject = format!("{before}{}", task.summary);
    Draft { from: own.into(), to: vec![with.into()], subject, text, ..Draft::default() }
}

fn post(
    pocket: &Pocket,
    draft: &Draft,
    (method, calendar): (Method, &str),
    secret: Option<&str>,
    id: &str,
) -> Result<(), String> {
    let message = invitation::write(draft, (method.name(), calendar), secret, id, turns::unix_now());
    let message = message.map_err(|error| error.to_string())?;
    let maildir = Maildir::open(pocket.dir(), pocket.owner().as_str()).map_err(|error| error.to_string())?;
    maildir.send(&message, &unique()?).map(drop).map_err(|error| error.to_string())
}

/// An answer that fits into short messages: what it is about is known by its name.
pub(super) fn short_answer(
    task: &Task,
    answer: &Answer,
    now: UnixTime,
    secret: Option<&str>,
) -> Result<String, String> {
    let mut brief = Task { text: String::new(), extras: Vec::new(), ..task.clone() };
    brief.summary = brief.summary.chars().take(40).collect();
    let text = itip::write(&brief, Method::Reply, Some(answer), now);
    let proof = secret.map(|secret| direct::prove(secret, &text)).unwrap_or_default();
    short::write(&text, &proof).map_err(|error| error.to_string())
}

/// A secret shared with this person, if there is one.
pub(super) fn secret_of<'f>(friends: Option<&'f Friends>, user: &UserId) -> Option<&'f str> {
    friends.and_then(|friends| friends.secret(user))
}

pub(super) fn unique() -> Result<String, String> {
    let octets = turns::moment().map_err(|error| error.to_string())?.entropy;
    Ok(octets.iter().take(13).map(|octet| format!("{octet:02x}")).collect())
}
