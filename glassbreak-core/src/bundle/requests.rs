//! `[requests]` of `glassbreak.toml`: how often people may be asked, and how long they have.

use crate::clock::Span;
use crate::table::{Fields, Item, Report};

/// How long a request waits for people, and how many an agent may make. People who are asked too often agree to
/// anything.
///
/// ```toml
/// [requests]
/// deadline = "5m"       # from the asking; after it nobody can agree any more: 10s to 24h
/// pending = 5           # requests of one agent that wait at the same time: 1 to 100
/// per_hour = 20         # requests of one agent within an hour: 1 to 1000
/// cooldown = "10m"      # how long a no is remembered for the same question: up to 24h, or "off"
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// How long a request waits. What nobody answered by then is refused.
    pub deadline: Span,
    /// How many requests of one agent may wait at the same time.
    pub pending: u32,
    /// How many requests one agent may make within an hour.
    pub per_hour: u32,
    /// How long a no answers the same question without asking again; `None` where it is not remembered.
    pub cooldown: Option<Span>,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// The longest deadline and cooldown.
const DAY: Span = Span::from_millis(24 * 60 * MINUTE);
/// The shortest deadline: sooner nobody can have read what they agree to.
const LEAST_DEADLINE: Span = Span::from_millis(10 * SECOND);
const MOST_PENDING: u32 = 100;
const MOST_PER_HOUR: u32 = 1_000;

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            deadline: Span::from_millis(5 * MINUTE),
            pending: 5,
            per_hour: 20,
            cooldown: Some(Span::from_millis(10 * MINUTE)),
        }
    }
}

impl RequestLimits {
    pub(super) fn read(report: &mut Report<'_>, item: Item<'_>) -> Self {
        let mut limits = Self::default();
        let Some(fields) = item.fields(report) else {
            return limits;
        };
        check_keys(report, fields);
        if let Some(deadline) = fields.get("deadline").and_then(|item| {
            let deadline = item.span(report)?;
            within(report, item, deadline, LEAST_DEADLINE)
        }) {
            limits.deadline = deadline;
        }
        if let Some(pending) = fields.get("pending").and_then(|item| count(report, item, MOST_PENDING)) {
            limits.pending = pending;
        }
        if let Some(per_hour) = (fields.get("per_hour")).and_then(|item| count(report, item, MOST_PER_HOUR)) {
            limits.per_hour = per_hour;
        }
        if let Some(cooldown) = fields.get("cooldown").and_then(|item| {
            if item.text(report)? == "off" {
                return Some(None);
            }
            let cooldown = item.span(report)?;
            within(report, item, cooldown, Span::from_millis(1)).map(Some)
        }) {
            limits.cooldown = cooldown;
        }
        limits
    }
}

fn check_keys(report: &mut Report<'_>, fields: Fields<'_>) {
    fields.check_keys(
        report,
        &["deadline", "pending", "per_hour", "cooldown"],
        &[
            ("timeout", "the key is `deadline`", "write deadline = \"5m\""),
            ("window", "this is said under [ask]", "write it under [ask]"),
            ("group", "this is said under [ask]", "write it under [ask]"),
            ("quorum", "this is said under [ask]", "write it under [ask]"),
        ],
    );
}

fn within(report: &mut Report<'_>, item: Item<'_>, span: Span, least: Span) -> Option<Span> {
    if (least..=DAY).contains(&span) {
        return Some(span);
    }
    let help = if span < least {
        format!("write at least {least}")
    } else {
        "write at most 24h".to_owned()
    };
    report.add(item.at, format!("`{}` is {span}", item.name), help);
    None
}

fn count(report: &mut Report<'_>, item: Item<'_>, most: u32) -> Option<u32> {
    let number = item.whole(report, 1, most.into())?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::table;

    fn read(text: &str) -> Result<RequestLimits, Vec<String>> {
        let text = format!("[requests]\n{text}");
        let source = Source {
            file: "glassbreak.toml",
            text: &text,
        };
        table::read(source, |report, fields| {
            let item = fields.get("requests").unwrap();
            RequestLimits::read(report, item)
        })
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_said_has_a_bound() {
        let limits = read("").unwrap();
        assert_eq!(limits, RequestLimits::default());
        let minutes = |n: u64| Span::from_millis(n * MINUTE);
        assert_eq!((limits.deadline, limits.pending), (minutes(5), 5));
        assert_eq!((limits.per_hour, limits.cooldown), (20, Some(minutes(10))));
    }

    #[test]
    fn everything_said_is_taken_up_to_its_bounds() {
        let limits = read("deadline = \"10s\"\npending = 100\nper_hour = 1000\ncooldown = \"24h\"").unwrap();
        assert_eq!(limits.deadline.as_millis(), 10_000);
        assert_eq!((limits.pending, limits.per_hour), (100, 1000));
        assert_eq!(limits.cooldown, Some(DAY));
        assert_eq!(read("cooldown = \"off\"").unwrap().cooldown, None);
        assert_eq!(read("deadline = \"1d\"").unwrap().deadline, DAY);
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, said) in [
            (
                "deadline = \"9s\"",
                "2:12: `deadline` is 9s\n  help: write at least 10s",
            ),
            (
                "deadline = \"25h\"",
                "2:12: `deadline` is 25h\n  help: write at most 24h",
            ),
            ("deadline = \"366d\"", "2:12: `deadline` is 366d"),
            ("deadline = \"off\"", "2:12: `off` is not a span of time"),
            ("deadline = 300", "2:12: `deadline` is an integer"),
            ("deadline = \"0s\"", "2:12: `0s` is not a span of time"),
            (
                "pending = 0",
                "2:11: `pending` is 0\n  help: write a whole number from 1 to 100",
            ),
            ("pending = 101", "2:11: `pending` is 101"),
            ("pending = \"5\"", "2:11: `pending` is a string"),
            ("per_hour = 0", "2:12: `per_hour` is 0"),
            ("per_hour = 1001", "2:12: `per_hour` is 1001"),
            ("per_hour = -1", "2:12: `per_hour` is -1"),
            ("per_hour = 99999999999999999999", "2:12: `per_hour` is 9999"),
            (
                "cooldown = \"25h\"",
                "2:12: `cooldown` is 25h\n  help: write at most 24h",
            ),
            ("cooldown = \"0s\"", "2:12: `0s` is not a span of time"),
            ("cooldown = false", "2:12: `cooldown` is a boolean"),
            ("cooldown = \"OFF\"", "2:12: `OFF` is not a span of time"),
            (
                "per-hour = 3",
                "2:1: unknown key `per-hour`\n  help: did you mean `per_hour`?",
            ),
            ("timeout = \"5m\"", "2:1: `timeout`: the key is `deadline`"),
            ("quorum = 2", "2:1: `quorum`: this is said under [ask]"),
        ] {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            let said = format!("glassbreak.toml:{said}");
            assert!(problems[0].starts_with(&said), "{}", problems[0]);
        }
    }
}
