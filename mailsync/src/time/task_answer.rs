//! `mailsync task accept` and `refuse`: a person's word on what nobody could prove.

use super::letters::{Kind, Letter, Letters, Way};
use super::pocket::Pocket;
use super::post::{self, read_claimed};
use super::task_cli::say;
use std::path::PathBuf;
use std::process::ExitCode;
use timesync::task::ical::Entry;
use timesync::task::ical::itip::Answer;
use timesync::task::{Setter, Task};

/// The letter of a task.
pub(super) fn find(pocket: &Pocket, kind: Kind, uid: &str) -> Option<(PathBuf, Letter, Entry)> {
    Letters::of(pocket.dir()).all(kind).into_iter().find_map(|(path, letter)| {
        let entry = read_claimed(&letter.calendar, pocket).ok()?;
        (entry.task.uid.as_str() == uid).then_some((path, letter, entry))
    })
}

/// It becomes a task of our own: whoever asks has no right here, and needs none any more.
pub(super) fn accept(pocket: &Pocket, uid: &str, json: bool) -> Result<ExitCode, String> {
    let (letter, task) = waiting(pocket, uid)?;
    let setter = Setter { user: pocket.owner().clone(), client: pocket.client().clone() };
    let text = match &*task.text {
        "" => format!("From {}", letter.with),
        words => format!("{words}\nFrom {}", letter.with),
    };
    // Links stay links, and what a stranger attaches stays out.
    let own = Task { owner: pocket.owner().clone(), setter, text, extras: Vec::new(), ..task.clone() };
    timesync::task::TaskLimits::default().check(&own).map_err(|error| error.to_string())?;
    if pocket.entry_of(uid).is_some() {
        return Err(format!("{uid}: there is an entry of that name already"));
    }
    let now = pocket.now()?;
    pocket.put_task(&own)?;
    let mut held = pocket.hold()?;
    held.read_folder(now)?;
    held.store()?;
    answer(pocket, &letter, &task, &Answer::Accepted)?;
    say(json, &task.uid, "set; the next sync takes it along")
}

/// It is not set, and the other is told.
pub(super) fn refuse(pocket: &Pocket, uid: &str, why: &str, json: bool) -> Result<ExitCode, String> {
    let (letter, task) = waiting(pocket, uid)?;
    answer(pocket, &letter, &task, &Answer::Declined(why.to_owned()))?;
    say(json, &task.uid, "refused")
}

fn waiting(pocket: &Pocket, uid: &str) -> Result<(Letter, Task), String> {
    let found = find(pocket, Kind::Waiting, uid);
    let (_, letter, entry) = found.ok_or_else(|| format!("{uid}: nobody asks for it"))?;
    Ok((letter, entry.task))
}

fn answer(pocket: &Pocket, letter: &Letter, task: &Task, answer: &Answer) -> Result<(), String> {
    let letters = Letters::of(pocket.dir());
    match letter.way {
        Way::Mail => post::answer_by_mail(pocket, task, answer, (&letter.own, &letter.with), None)?,
        // The phone's link is with the client that watches.
        Way::Sms => {
            let calendar = post::short_answer(task, answer, pocket.now()?, None)?;
            letters.put(Kind::Owed, task, &Letter { calendar, ..letter.clone() })?;
        }
    }
    letters.remove(Kind::Waiting, task);
    Ok(())
}
