//! What becomes of a message of a friend's client, whatever brought it: HTTP, a mail, short messages.

use super::letters::{Kind, Letters};
use super::pocket::{Held, Pocket};
use mailsync_proto::tasks::direct::{DirectError, Friends, Opened};
use serde_json::{Value, json};
use timesync::UnixTime;
use timesync::task::ical;
use timesync::task::{DirectReply, Setter, Task};

/// What became of it.
pub(super) enum Taken {
    /// Nobody who shares a secret with us made it, or it is for somebody else.
    Unproved(DirectError),
    /// A task was looked at; what is kept of it is on disk.
    Answered(Box<Task>, DirectReply, Value),
    /// Something that wants no answer.
    Heard(Value),
}

/// Takes a message; who sent it must be proved by a secret.
///
/// # Errors
/// In words: the folder.
// mission: T4
pub(super) fn take(
    pocket: &Pocket,
    held: &mut Held<'_>,
    friends: &Friends,
    now: UnixTime,
    (body, proof): (&str, &str),
) -> Result<Taken, String> {
    Ok(match friends.open_any(pocket.owner(), body, proof) {
        Err(error) => Taken::Unproved(error),
        Ok(Opened::Request(setter, task)) => {
            let groups = pocket.groups();
            let reply =
                pocket.with_place(|place| held.bell.direct(now, &setter, (*task).clone(), &groups, place))?;
            let (uid, from) = (task.uid.as_str(), setter.user.as_str());
            let line = match &reply {
                DirectReply::Accepted => {
                    // Before anybody is told that it is kept.
                    keep(pocket, &task)?;
                    held.store()?;
                    json!({"event": "task taken", "uid": uid, "from": from})
                }
                DirectReply::Refused(refusal) => {
                    json!({"event": "task refused", "uid": uid, "from": from, "why": refusal.to_string()})
                }
            };
            Taken::Answered(task, reply, line)
        }
        Ok(Opened::Cancel(setter, task)) => {
            let gone = drop_entry(pocket, &setter, &task)?;
            held.read_folder(now)?;
            held.store()?;
            let event = if gone { "task taken back" } else { "task refused" };
            Taken::Heard(json!({"event": event, "uid": task.uid.as_str(), "from": setter.user.as_str()}))
        }
        Ok(Opened::Reply(task, answer)) => {
            let (uid, from) = (task.uid.as_str().to_owned(), task.owner.as_str().to_owned());
            let state = answer.to_string();
            answered(pocket, &task, &state)?;
            Taken::Heard(json!({"event": "task answered", "uid": uid, "from": from, "state": state}))
        }
    })
}

/// Writes a task where it belongs, over what is there of it.
fn keep(pocket: &Pocket, task: &Task) -> Result<(), String> {
    let text = ical::write(task);
    match pocket.entry_of(task.uid.as_str()) {
        Some((_, known)) if known == text => Ok(()),
        Some((path, _)) => {
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => pocket.put_task(task).map(drop),
    }
}

/// Takes away an entry that this person has set.
fn drop_entry(pocket: &Pocket, setter: &Setter, task: &Task) -> Result<bool, String> {
    let Some((path, text)) = pocket.entry_of(task.uid.as_str()) else { return Ok(false) };
    let entry = ical::read_entry(&text, pocket.owner(), setter);
    let theirs = entry.is_ok_and(|entry| entry.claims.is_some_and(|claims| claims.user == setter.user));
    if theirs {
        std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(theirs)
}

/// Notes what somebody said to what we asked.
pub(super) fn answered(pocket: &Pocket, task: &Task, state: &str) -> Result<bool, String> {
    let letters = Letters::of(pocket.dir());
    let Some(mut letter) = letters.get(Kind::Asked, task) else { return Ok(false) };
    letter.state = Some(state.to_owned());
    letters.put(Kind::Asked, task, &letter)?;
    Ok(true)
}
