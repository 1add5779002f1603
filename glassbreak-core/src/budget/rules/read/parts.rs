//! The parts of a rule: its key, amounts, window and ladder.

use crate::budget::Needs;
use crate::budget::key::{KeyPart, Whose};
use crate::budget::rules::{Budget, Rung, Then};
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

/// Where a count is kept, and what it must outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// In the session, and lost with it.
    Session,
    /// In the store, for several sessions.
    Store(Needs),
    /// Said, and reported as wrong.
    Wrong,
}

impl Durability {
    /// What the store must give, where one counts. What is wrong is thrown away later.
    pub(super) const fn needs(self) -> Option<Needs> {
        match self {
            Self::Session => None,
            Self::Store(needs) => Some(needs),
            Self::Wrong => Some(Needs::Strict),
        }
    }

    /// The word that files use.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "none",
            Self::Store(needs) => needs.as_str(),
            Self::Wrong => "",
        }
    }
}

pub(super) fn read_then(report: &mut Report<'_>, item: Item<'_>) -> Option<Then> {
    let then = item.one_of(report, &THEN)?;
    if then.is_none() {
        let help = "write \"audit\", \"ask\" or \"deny\"";
        report.add(item.at, "`kill`: locking the session from a budget is not built", help);
    }
    then
}

pub(super) fn read_durability(report: &mut Report<'_>, fields: Fields<'_>) -> Option<Durability> {
    let item = fields.get("durability")?;
    let words = [
        ("none", Durability::Session),
        ("process", Durability::Store(Needs::Process)),
        ("strict", Durability::Store(Needs::Strict)),
    ];
    Some(item.one_of(report, &words).unwrap_or(Durability::Wrong))
}

pub(super) fn read_key(report: &mut Report<'_>, fields: Fields<'_>, durability: Durability) -> (Whose, Vec<KeyPart>) {
    const APART: &str =
        "target.kind, target.namespace, target.name, target.owner, program or tool to count those apart";
    let in_session = durability == Durability::Session;
    let help = if in_session {
        format!("write key = [\"session\"], then {APART}")
    } else {
        format!("write key = [\"agent\"], or \"session\", \"role\", \"person\" or \"fleet\", then {APART}")
    };
    let mut whose = None;
    let mut key = Vec::new();
    let Some(item) = fields.get("key") else {
        report.add(fields.at, "the budget has no key", help);
        return (Whose::Session, key);
    };
    let Some(parts) = item.texts(report) else {
        return (Whose::Session, key);
    };
    let whose_of = |text: &str| Whose::WORDS.into_iter().find(|(word, _)| *word == text);
    if !parts
        .iter()
        .any(|(_, text)| whose_of(text).is_some() || *text == "tenant")
    {
        let what = if in_session {
            "the key does not begin with \"session\""
        } else {
            "the key does not say whose count it is"
        };
        report.add(item.at, what, &*help);
    }
    for (n, (at, text)) in parts.into_iter().enumerate() {
        match (whose_of(text), whose) {
            (Some((_, found)), None) => {
                whose = Some(found);
                if in_session && found != Whose::Session {
                    report.add(
                        at,
                        format!("a count of the {text} is not kept with the session, as durability = \"none\" says"),
                        "write durability = \"process\" or \"strict\", or begin the key with \"session\"",
                    );
                } else if n > 0 {
                    let what = format!("\"{text}\" does not come first");
                    report.add(at, what, format!("begin the key with \"{text}\""));
                }
            }
            (Some(_), Some(_)) => report.add(
                at,
                format!("\"{text}\" is the second word for whose count it is"),
                "keep one of them; write one [[budget]] for each",
            ),
            (None, _) => key.extend(read_key_part(report, at, text, &help)),
        }
    }
    (whose.unwrap_or(Whose::Session), key)
}

fn read_key_part(report: &mut Report<'_>, at: usize, text: &str, help: &str) -> Option<KeyPart> {
    match text {
        "program" => return Some(KeyPart::Program),
        "tool" => return Some(KeyPart::Tool),
        "tenant" => {
            let what = "counting by tenant is not built: a store is one realm";
            report.add(at, what, "count by \"fleet\", and give each tenant its own store");
            return None;
        }
        _ => {}
    }
    let fact = text.strip_prefix("target.");
    let known = fact.and_then(|name| Target::NAMES.into_iter().find(|known| *known == name));
    if known.is_none() {
        let targets = Target::NAMES.map(|name| format!("target.{name}"));
        let words = Whose::WORDS.map(|(word, _)| word);
        let known = targets
            .iter()
            .map(String::as_str)
            .chain(words)
            .chain(["program", "tool"]);
        let near = match text {
            "on_behalf_of" => Some("person"),
            _ => nearest(&text.replacen("resource.", "target.", 1), known),
        };
        let help = near.map_or_else(|| help.to_owned(), |known| format!("did you mean \"{known}\"?"));
        report.add(at, format!("calls cannot be told apart by \"{}\"", shown(text)), help);
    }
    known.map(KeyPart::Target)
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
