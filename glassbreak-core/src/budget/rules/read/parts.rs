//! The parts of a rule: its key, amounts, window and ladder.

use crate::budget::amount::{Amount, MOST, Missing};
use crate::budget::key::{KeyPart, Whose};
use crate::budget::rules::{Budget, Rung, Then};
use crate::budget::{Needs, Period, Window};
use crate::clock::Span;
use crate::error::{nearest, shown};
use crate::facts::Target;
use crate::table::{Fields, Item, Report};

/// The highest ceiling of an exact sliding window, and the one that stands where a rule names none.
const MOST_EXACT: u64 = 1_024;
/// The most steps of a sliding window.
const MOST_BUCKETS: i64 = 1_024;

const THEN: [(&str, Then); 4] = [
    ("audit", Then::Audit),
    ("ask", Then::Ask),
    ("deny", Then::Deny),
    ("kill", Then::Kill),
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
    item.one_of(report, &THEN)
}

/// `64KiB`, or a number of bytes.
pub(super) fn read_bytes(report: &mut Report<'_>, item: Item<'_>) -> Option<usize> {
    let text = item.text(report)?;
    let (number, unit) = match text.strip_suffix("KiB") {
        Some(number) => (number, 1024_usize),
        None => (text.strip_suffix('B').unwrap_or(text), 1),
    };
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    if bytes.is_none() {
        report.add(
            item.at,
            format!("`{}` is not a size", shown(text)),
            "write it as in \"64KiB\"",
        );
    }
    bytes
}

/// Whether a rule is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is, as where nothing is said.
    Enforce,
    /// What it would do is recorded.
    Observe,
}

pub(super) fn read_mode(report: &mut Report<'_>, fields: Fields<'_>) -> Option<Mode> {
    let words = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    // A word that is not known is reported, and until then nothing is let off by it.
    fields
        .get("mode")
        .map(|item| item.one_of(report, &words).unwrap_or(Mode::Enforce))
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

pub(super) fn read_key_part(report: &mut Report<'_>, at: usize, text: &str, help: &str) -> Option<KeyPart> {
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

/// What a call counts.
pub(super) fn read_amount(report: &mut Report<'_>, fields: Fields<'_>) -> Amount {
    const HELP: &str = "write amount = 1, or amount = \"cost.objects\" with a unit of a profile or of tools.toml";
    let missing = fields.get("on_missing");
    let amount = match fields.get("amount") {
        Some(item) if item.is_text() => {
            let text = item.text(report).unwrap_or_default();
            match text.strip_prefix("cost.").filter(|unit| !unit.is_empty()) {
                Some(unit) => Amount::Cost {
                    unit: unit.into(),
                    // What is not known is never let through unasked.
                    missing: missing
                        .and_then(|item| read_missing(report, item))
                        .unwrap_or(Missing::Deny),
                },
                None => {
                    report.add(item.at, format!("`{}` is not an amount", shown(text)), HELP);
                    return Amount::Fixed(1);
                }
            }
        }
        Some(item) => {
            let most = i64::try_from(MOST).unwrap_or(i64::MAX);
            Amount::Fixed(number(item.whole(report, 1, most)).unwrap_or(1))
        }
        None => Amount::Fixed(1),
    };
    if let (Amount::Fixed(_), Some(item)) = (&amount, missing) {
        report.add(
            item.name_at,
            "the amount is a number, so it is never missing",
            "leave it out",
        );
    }
    amount
}

fn read_missing(report: &mut Report<'_>, item: Item<'_>) -> Option<Missing> {
    if item.is_text() {
        return item.one_of(report, &[("ask", Missing::Ask), ("deny", Missing::Deny)]);
    }
    let fields = item.fields(report)?;
    fields.check_keys(report, &["assume"], &[]);
    let Some(item) = fields.get("assume") else {
        report.add(
            item.at,
            "it does not say what",
            "write \"ask\", \"deny\" or { assume = 100 }",
        );
        return None;
    };
    let most = i64::try_from(MOST).unwrap_or(i64::MAX);
    number(item.whole(report, 1, most)).map(Missing::Assume)
}

/// The highest limit and ceiling that a window can count to.
fn most(window: Window) -> i64 {
    let most = match window {
        Window::Sliding(_) => MOST_EXACT,
        Window::Buckets { .. } | Window::Calendar(_) | Window::Lifetime => MOST,
    };
    i64::try_from(most).unwrap_or(i64::MAX)
}

pub(super) fn read_limits(report: &mut Report<'_>, fields: Fields<'_>, budget: &mut Budget) {
    let most = most(budget.window);
    match fields.get("limit") {
        Some(item) => budget.limit = number(item.whole(report, 0, most)).unwrap_or(0),
        None => report.add(fields.at, "the budget has no limit", "write limit = 3"),
    }
    budget.ceiling = number(Some(most)).unwrap_or(MOST);
    if let Some(item) = fields.get("ceiling") {
        budget.ceiling = number(item.whole(report, 1, most)).unwrap_or(budget.ceiling);
        if budget.ceiling < budget.limit {
            let what = format!("the ceiling {} is below the limit {}", budget.ceiling, budget.limit);
            report.add(item.at, what, "write a ceiling that is at least the limit");
        }
    }
}

/// The window; without one, a lifetime.
pub(super) fn read_window(report: &mut Report<'_>, fields: Fields<'_>) -> Window {
    const HELP: &str = "write window = { sliding = \"10m\" }, or { calendar = \"day\" }";
    let Some(item) = fields.get("window") else {
        return Window::Lifetime;
    };
    if item.is_text() {
        report.add(item.at, "the window does not say its kind", HELP);
        return Window::Lifetime;
    }
    let Some(window) = item.fields(report) else {
        return Window::Lifetime;
    };
    window.check_keys(report, &["sliding", "buckets", "calendar"], &[]);
    match (window.get("sliding"), window.get("buckets"), window.get("calendar")) {
        (Some(item), None, None) => item.span(report).map_or(Window::Lifetime, Window::Sliding),
        (Some(item), Some(buckets), None) => {
            let steps = number(buckets.whole(report, 1, MOST_BUCKETS));
            match (item.span(report), steps) {
                (Some(span), Some(steps)) => Window::Buckets {
                    span,
                    // Rounded up: fewer steps, that count for longer.
                    size: Span::from_millis(span.as_millis().div_ceil(steps.max(1)).max(1)),
                },
                _ => Window::Lifetime,
            }
        }
        (None, None, Some(item)) => item
            .one_of(report, &Period::WORDS)
            .map_or(Window::Lifetime, Window::Calendar),
        (None, None, None) => {
            if window.items().next().is_none() {
                report.add(item.at, "the window is empty", HELP);
            }
            Window::Lifetime
        }
        _ => {
            report.add(item.at, "the window is of two kinds", HELP);
            Window::Lifetime
        }
    }
}

pub(super) fn read_ladder(report: &mut Report<'_>, item: Item<'_>, budget: &Budget) -> Vec<Rung> {
    let (limit, most) = (budget.limit, most(budget.window));
    let mut ladder = Vec::new();
    for item in item.list(report).unwrap_or_default() {
        let Some(fields) = item.fields(report) else { continue };
        fields.check_keys(report, &["at", "over", "then"], &[]);
        let from = match (fields.get("at"), fields.get("over")) {
            (Some(at), None) => number(at.whole(report, 1, most)),
            (None, Some(over)) => {
                number(over.whole(report, 0, most)).map(|over| limit.saturating_add(over).saturating_add(1))
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

pub(super) fn number(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}
