//! The card as a page of plain text, with what stands around it: who must agree and has, how long is left, and its id.

use crate::approval::{Request, State};
use crate::clock::{Span, Timestamp};
use crate::error::{shown_once, shown_whole};

/// The column that the facts of a card begin in.
const INDENT: usize = 14;
/// The narrowest that a page is written.
const NARROW: usize = 40;

/// A request as people read it: the card; who must agree, and has; the time left; the id.
///
/// No line is wider than `width` columns. A longer one goes on in a row that begins with blanks and `…`, so that nothing
/// an agent wrote can begin a row of the terminal and pass for a line of the card, or for a prompt.
pub fn page(request: &Request, now: Timestamp, width: usize) -> String {
    let mut lines: Vec<String> = request.card.text().lines().map(shown_once).collect();
    let mut add = |title: &str, text: String| lines.push(format!("  {title:12}{text}"));
    add("who", needed(request));
    let agreed = agreed(request);
    if !agreed.is_empty() {
        add("agreed", agreed);
    }
    match &request.state {
        State::Pending if !request.card.is_whole() => {
            add(
                "beware",
                "this cannot be shown whole, so nobody can agree to it".to_owned(),
            );
        }
        _ => {}
    }
    let time = match &request.state {
        State::Pending => format!("{}; no answer means no", left(request, now)),
        _ => came_of(request),
    };
    add("time", time);
    add("request", request.id.to_string());
    let mut page = String::new();
    for (n, line) in lines.iter().enumerate() {
        if n > 0 {
            page.push('\n');
        }
        fold(&mut page, line, width.max(NARROW));
    }
    page
}

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

/// Writes a line in rows of at most `width` columns.
fn fold(page: &mut String, line: &str, width: usize) {
    let mut column = 0;
    for c in line.chars() {
        // Wider than it may be is safe: only a row that the terminal breaks by itself is not.
        let wide = if c.is_ascii() { 1 } else { 2 };
        if column + wide > width {
            page.push_str(&format!("\n{:INDENT$}… ", ""));
            column = INDENT + 3;
        }
        page.push(c);
        column += wide;
    }
}

/// A reason, as it is shown back to whoever gave it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown_whole(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_never_begins_a_row_of_its_own() {
        let line = format!("  agent says  \"{}HIGH risk: fake", "x ".repeat(60));
        for width in [40, 41, 80, 100] {
            let mut page = String::new();
            fold(&mut page, &line, width);
            let rows: Vec<&str> = page.lines().collect();
            assert!(rows.len() > 1, "{page}");
            for row in &rows {
                assert!(
                    row.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>() <= width,
                    "{row}"
                );
            }
            for row in rows.iter().skip(1) {
                assert!(row.starts_with("              … "), "{row:?}");
            }
            let whole: String = page.replace("\n              … ", "");
            assert_eq!(whole, line);
        }
        let mut page = String::new();
        fold(&mut page, &"漢".repeat(50), 80);
        assert_eq!(page.lines().count(), 2);
    }
}
