//! What is said of a request besides its card: who must agree and has, how long is left, what came of it, what can be
//! answered.

use crate::approval::{Request, State};
use crate::clock::{Span, Timestamp};
use crate::error::{shown_once, shown_whole};

/// Who must agree, such as `2 of oncall and 1 of owners`; where later stages are reached, such as `2 of oncall or leads`.
pub fn needed(request: &Request) -> String {
    let wanted: Vec<String> = request
        .wanted()
        .iter()
        .map(|(group, count)| {
            let stages = request.stages.iter().filter(|stages| stages.group == *group);
            let later = stages.flat_map(|stages| stages.then.iter().take(usize::from(stages.reached)));
            later.fold(format!("{count} of {group}"), |who, stage| {
                format!("{who} or {}", stage.group)
            })
        })
        .collect();
    match wanted.as_slice() {
        [] => "nobody is named who may agree".to_owned(),
        wanted => format!("{} must agree", wanted.join(" and ")),
    }
}

/// Who has agreed so far, by name; empty where nobody has.
pub fn agreed(request: &Request) -> String {
    let names = request.votes.iter().map(|vote| match vote.own {
        true => format!("{} (for themselves)", vote.person),
        false => vote.person.to_string(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// How long people have, such as `4m 12s left`.
pub fn left(request: &Request, now: Timestamp) -> String {
    let seconds = request.deadline.since(now).as_millis() / 1_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match (hours, minutes) {
        _ if request.is_late(now) => "its time has passed".to_owned(),
        (0, 0) => format!("{seconds}s left"),
        (0, minutes) => format!("{minutes}m {}s left", seconds % 60),
        (hours, minutes) => format!("{hours}h {minutes}m left"),
    }
}

/// What an answer came to, or how a request ended, for people.
pub fn came_of(request: &Request) -> String {
    match &request.state {
        State::Pending => format!("Taken. {}; agreed so far: {}.", needed(request), agreed(request)),
        State::Approved { grant } => {
            let by = agreed(request);
            format!("Approved by {by}: grant {grant} is open.")
        }
        State::Denied { why, .. } => format!("Denied: {}.", shown_once(why)),
        State::Expired => "Its time has passed: the answer is no.".to_owned(),
        State::Cancelled { why } => format!("Withdrawn: {}.", shown_once(why)),
    }
}

/// What may be opened at most: once, or a window.
pub(super) fn choices(request: &Request) -> String {
    let mut choices = Vec::new();
    if request.card.is_whole() {
        choices.push("once".to_owned());
        if let Some(offer) = &request.offer {
            let span: Span = offer.span;
            choices.push(format!("window {span}"));
        }
    }
    choices.push("deny WHY".to_owned());
    choices.push("later".to_owned());
    choices.join(" | ")
}

/// A reason, as it is shown back to whoever gave it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown_whole(text))
}
