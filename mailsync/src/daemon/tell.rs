//! What one notice tells, and by what ways it goes.

use mailsync_proto::mail::event::{Kind, MailEvent};
use mailsync_proto::mail::news::MailNews;
use pushpolicy::notify::Verdict;
use pushpolicy::{Bearer, Millis, PushState, Say, Terminal, TerminalId};

/// The ways of one notice: bearer, address, whether it is woken first.
pub(super) struct Routes {
    pub(super) all: Vec<(Bearer, String, bool)>,
}

impl Routes {
    /// Those that the decisions on what is told name; without a policy all that cost nothing, or else the cheapest.
    pub(super) fn new(
        terminal: &Terminal,
        plans: Option<&PushState>,
        events: &[MailNews],
        judged: &[(u64, Verdict)],
        now: Millis,
    ) -> Routes {
        let told = events.iter().zip(judged).rev().filter(|(one, (_, verdict))| {
            one.kind == Kind::Arrived && matches!(verdict, Verdict::Now | Verdict::Hint)
        });
        let named = plans.and_then(|plans| {
            told.into_iter().find_map(|(one, _)| {
                match plans.say(one.guid.as_str(), one.rev, &terminal.id, now) {
                    Say::Push(target) => Some((target.bearer, target.address.clone(), target.wake)),
                    Say::Hint(hint) => Some((hint.bearer, hint.address.clone(), false)),
                    _ => None,
                }
            })
        });
        if let Some(named) = named {
            return Routes { all: vec![named] };
        }
        Routes::unasked(terminal)
    }

    /// Those of a terminal where no policy says anything: all that cost nothing, or else the cheapest.
    pub(super) fn unasked(terminal: &Terminal) -> Routes {
        let up = || terminal.routes.iter().filter(|route| route.up);
        let free: Vec<_> = up().filter(|route| !route.bearer.is_sms_like()).collect();
        let ways =
            if free.is_empty() { up().min_by_key(|route| route.cost).into_iter().collect() } else { free };
        Routes { all: ways.into_iter().map(|route| (route.bearer, route.address.clone(), false)).collect() }
    }

    pub(super) fn are_paid(&self) -> bool {
        self.all.iter().any(|(bearer, ..)| bearer.is_sms_like())
    }
}

/// What a notice says, and of which mails it only says where they went.
pub(super) fn event(
    told: &[(&MailNews, &Verdict)],
    plans: Option<&PushState>,
    terminal: &TerminalId,
    now: Millis,
    max_id: Option<usize>,
) -> (MailEvent, Vec<String>) {
    let mine = told.iter().filter(|(_, verdict)| **verdict != Verdict::Hint).map(|(one, _)| *one);
    let (mut hints, mut hinted) = (Vec::new(), Vec::new());
    for (one, verdict) in told {
        if let (Verdict::Hint, Some(plans)) = (verdict, plans)
            && let Say::Hint(hint) = plans.say(one.guid.as_str(), one.rev, terminal, now)
        {
            let to: Vec<Box<str>> = hint.went_to.iter().map(|id| id.as_str().into()).collect();
            hints.push((one.folder.as_str(), to));
            hinted.push(one.guid.as_str().to_owned());
        }
    }
    (MailEvent::fold(mine, max_id).with_hints(hints), hinted)
}
