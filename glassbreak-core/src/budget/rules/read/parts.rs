//! The parts of a rule: its key, amounts, window and ladder.

use crate::budget::rules::{Budget, KeyPart, Rung, Then};
use crate::clock::Span;
use crate::error::{nearest, shown};
use crate::facts::Target;
use crate::table::{Fields, Item, Report};

/// The highest ceiling, and the one that stands where a rule names none.
pub(in crate::budget) const MAX_CEILING: usize = 1024;

const THEN: [(&str, Option<Then>); 4] = [
    ("audit", Some(Then::Audit)),
    ("ask", Some(Then::Ask)),
    ("deny", Some(Then::Deny)),
    ("kill", None),
];

/// How long a count must live, as far as the file says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    None,
    Unsaid,
    /// Said, and reported as wrong.
    Wrong,
}

pub(super) fn read_then(report: &mut Report<'_>, item: Item<'_>) -> Option<Then> {
    let then = item.one_of(report, &THEN)?;
    if then.is_none() {
        let help = "write \"audit\", \"ask\" or \"deny\"";
        report.add(item.at, "`kill`: locking the session from a budget is not built", help);
    }
    then
}

pub(super) fn read_durability(report: &mut Report<'_>, fields: Fields<'_>) -> Durability {
    let Some(item) = fields.get("durability") else {
        return Durability::Unsaid;
    };
    match item.text(report) {
        Some("none") => Durability::None,
        Some(other) => {
            report.add(
                item.at,
                format!("durability \"{}\" is not built", shown(other)),
                "write \"none\": the count is kept with the session and lost with the process",
            );
            Durability::Wrong
        }
        None => Durability::Wrong,
    }
}

pub(super) fn read_key(report: &mut Report<'_>, fields: Fields<'_>) -> Vec<KeyPart> {
    const HELP: &str = "write key = [\"session\"], then target.kind, target.namespace, target.name, target.owner, \
                        program or tool to count those apart";
    let Some(item) = fields.get("key") else {
        report.add(fields.at, "the budget has no key", HELP);
        return Vec::new();
    };
    let Some(parts) = item.texts(report) else {
        return Vec::new();
    };
    if !parts.iter().any(|(_, text)| *text == "session") {
        report.add(item.at, "the key does not begin with \"session\"", HELP);
    }
    let mut key = Vec::new();
    for (n, (at, text)) in parts.into_iter().enumerate() {
        match text {
            "session" if n == 0 => {}
            "session" => report.add(at, "\"session\" does not come first", "a key begins with \"session\""),
            "program" => key.push(KeyPart::Program),
            "tool" => key.push(KeyPart::Tool),
            "agent" | "fleet" | "tenant" | "role" | "person" | "on_behalf_of" => {
                let what = format!("counting by {text}, across sessions, is not built");
                report.add(at, what, HELP);
            }
            _ => match text
                .strip_prefix("target.")
                .and_then(|name| Target::NAMES.into_iter().find(|known| *known == name))
            {
                Some(name) => key.push(KeyPart::Target(name)),
                None => {
                    let known = Target::NAMES.map(|name| format!("target.{name}"));
                    let known = known.iter().map(String::as_str).chain(["session", "program", "tool"]);
                    let help = match nearest(&text.replacen("resource.", "target.", 1), known) {
                        Some(known) => format!("did you mean \"{known}\"?"),
                        None => HELP.to_owned(),
                    };
                    report.add(at, format!("calls cannot be told apart by \"{}\"", shown(text)), help);
                }
            },
        }
    }
    key
}

pub(super) fn read_amounts(report: &mut Report<'_>, fields: Fields<'_>, budget: &mut Budget) {
    let most = i64::try_from(MAX_CEILING).unwrap_or(i64::MAX);
    match fields.get("limit") {
        Some(item) => budget.limit = small(item.whole(report, 0, most)).unwrap_or(0),
        None => report.add(fields.at, "the budget has no limit", "write limit = 3"),
    }
    if let Some(item) = fields.get("ceiling") {
        budget.ceiling = small(item.whole(report, 1, most)).unwrap_or(MAX_CEILING);
        if budget.ceiling < budget.limit {
            let what = format!("the ceiling {} is below the limit {}", budget.ceiling, budget.limit);
            report.add(item.at, what, "write a ceiling that is at least the limit");
        }
    }
    if let Some(item) = fields.get("amount") {
        let help = "leave it out: each call counts one";
        if item.is_text() {
            report.add(item.at, "amounts taken from a call are not built", help);
        } else if item.whole(report, i64::MIN, i64::MAX).is_some_and(|amount| amount != 1) {
            report.add(item.at, "amounts other than 1 are not built", help);
        }
    }
}

pub(super) fn read_window(report: &mut Report<'_>, fields: Fields<'_>) -> Option<Span> {
    const HELP: &str = "write window = { sliding = \"10m\" }";
    let Some(item) = fields.get("window") else {
        report.add(
            fields.at,
            "the budget has no window, and lifetime totals are not built",
            HELP,
        );
        return None;
    };
    if item.is_text() {
        report.add(item.at, "the window does not say its kind", HELP);
        return None;
    }
    let window = item.fields(report)?;
    window.check_keys(
        report,
        &["sliding"],
        &[
            ("calendar", "calendar windows are not built", HELP),
            (
                "buckets",
                "windows of buckets are not built: sliding ones are exact",
                "leave it out",
            ),
        ],
    );
    match window.get("sliding") {
        Some(item) => item.span(report),
        None => {
            if window.items().next().is_none() {
                report.add(item.at, "the window is empty", HELP);
            }
            None
        }
    }
}

pub(super) fn read_ladder(report: &mut Report<'_>, item: Item<'_>, limit: usize) -> Vec<Rung> {
    let most = i64::try_from(MAX_CEILING).unwrap_or(i64::MAX);
    let mut ladder = Vec::new();
    for item in item.list(report).unwrap_or_default() {
        let Some(fields) = item.fields(report) else { continue };
        fields.check_keys(report, &["at", "over", "then"], &[]);
        let from = match (fields.get("at"), fields.get("over")) {
            (Some(at), None) => small(at.whole(report, 1, most)),
            (None, Some(over)) => {
                small(over.whole(report, 0, most)).map(|over| limit.saturating_add(over).saturating_add(1))
            }
            _ => {
                let help = "write { at = 1, then = \"audit\" } or { over = 0, then = \"ask\" }";
                report.add(item.at, "a rung has either `at` or `over`", help);
                None
            }
        };
        let then = match fields.get("then") {
            Some(item) => read_then(report, item),
            None => {
                report.add(item.at, "the rung does not say what then", "write then = \"ask\"");
                None
            }
        };
        if let (Some(from), Some(then)) = (from, then) {
            ladder.push(Rung { from, then });
        }
    }
    ladder
}

fn small(number: Option<i64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}
