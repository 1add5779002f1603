//! The rules that are automata.

use super::parts::{number, read_key_part, read_then};
use super::{MATCH_HELP, Reader, Then, hash};
use crate::budget::key::KeyPart;
use crate::budget::kinds::Head;
use crate::budget::kinds::breaker::{Breaker, Ratio};
use crate::budget::kinds::distinct::{Distinct, MOST_LIMIT};
use crate::budget::kinds::latch::Latch;
use crate::budget::kinds::loops::{Cycle, Loop, MOST_PERIOD};
use crate::budget::kinds::pattern::{MOST_STEPS, Pattern};
use crate::budget::rules::Match;
use crate::clock::Span;
use crate::table::{Fields, Item, Report};

const IN_SESSION: (&str, &str, &str) = (
    "durability",
    "this kind of rule is always counted in the session",
    "leave it out",
);

impl Reader<'_> {
    pub(super) fn distinct(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Distinct {
        let known = ["id", "match", "of", "limit", "key", "window", "then", "ask", "mode"];
        fields.check_keys(report, &known, &[IN_SESSION]);
        let head = self.head(report, fields, "distinct");
        only_session(report, fields);
        let most = i64::try_from(MOST_LIMIT).unwrap_or(i64::MAX);
        let of = match fields.get("of") {
            Some(item) => item
                .text(report)
                .and_then(|text| read_key_part(report, item.at, text, OF_HELP)),
            None => {
                report.add(fields.at, "the rule does not say what is told apart", OF_HELP);
                None
            }
        };
        Distinct {
            head,
            matches: self.matched(report, fields),
            of: of.unwrap_or(KeyPart::Program),
            limit: match fields.get("limit") {
                Some(item) => number(item.whole(report, 0, most)).unwrap_or(0),
                None => {
                    report.add(fields.at, "the rule has no limit", "write limit = 3");
                    0
                }
            },
            window: fields.get("window").and_then(|item| sliding(report, item)),
        }
    }

    pub(super) fn pattern(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Pattern {
        let known = ["id", "steps", "within", "unless", "key", "then", "ask", "mode"];
        let gaps = (
            "gap",
            "a time between two steps is not told exactly by bounded state",
            "write one `within` for all",
        );
        fields.check_keys(report, &known, &[IN_SESSION, gaps]);
        let head = self.head(report, fields, "pattern");
        only_session(report, fields);
        let items = fields.get("steps").and_then(|item| Some((item.at, item.list(report)?)));
        let (at, items) = items.unwrap_or((fields.at, Vec::new()));
        let steps: Vec<Match> = items.into_iter().map(|item| self.matches(report, item)).collect();
        if !(2..=MOST_STEPS).contains(&steps.len()) {
            let help = format!(
                "write from 2 to {MOST_STEPS}: steps = [{{ labels = [\"secret.read\"] }}, {{ labels = [\"net.egress\"] }}]"
            );
            report.add(at, format!("a pattern of {} steps", steps.len()), help);
        }
        Pattern {
            head,
            steps,
            within: match fields.get("within") {
                Some(item) => item.span(report).unwrap_or(Span::MAX),
                None => {
                    report.add(
                        fields.at,
                        "the pattern does not say within what time",
                        "write within = \"30m\"",
                    );
                    Span::MAX
                }
            },
            unless: fields.get("unless").map(|item| self.matches(report, item)),
        }
    }

    pub(super) fn latch(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Latch {
        fields.check_keys(
            report,
            &["id", "latch", "match", "key", "then", "ask", "mode"],
            &[IN_SESSION],
        );
        let head = self.head(report, fields, "latch");
        only_session(report, fields);
        let mut labels = Vec::new();
        match fields.get("latch") {
            Some(item) => {
                let set = item.labels(report, self.vocabulary);
                let words = item.texts(report).unwrap_or_default();
                for (_, word) in words {
                    labels.extend(self.vocabulary.get(word).map(|label| (label, word.into())));
                }
                if set.is_empty() && item.is_list() {
                    report.add(item.at, "there are no labels, so it would always hold", "name some");
                }
            }
            None => report.add(
                fields.at,
                "the latch names no labels",
                "write latch = [\"untrusted.in\", \"secret.read\"]",
            ),
        }
        Latch {
            head,
            labels,
            matches: self.matched(report, fields),
        }
    }

    pub(super) fn repeat(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Loop {
        let known = [
            "id",
            "exact_repeat",
            "cycle",
            "failing_repeat",
            "second_hit",
            "key",
            "then",
            "ask",
            "mode",
        ];
        fields.check_keys(report, &known, &[IN_SESSION]);
        let head = self.head(report, fields, "loop");
        only_session(report, fields);
        let kinds = ["exact_repeat", "cycle", "failing_repeat"];
        if kinds.iter().all(|kind| fields.get(kind).is_none()) {
            report.add(fields.at, "the loop rule says no number", "write exact_repeat = 5");
        }
        Loop {
            head,
            exact_repeat: fields
                .get("exact_repeat")
                .and_then(|item| number(item.whole(report, 2, 1024))),
            cycle: fields.get("cycle").and_then(|item| cycle(report, item)),
            failing_repeat: fields
                .get("failing_repeat")
                .and_then(|item| number(item.whole(report, 1, 16))),
            second_hit: fields.get("second_hit").and_then(|item| read_then(report, item)),
        }
    }

    pub(super) fn breaker(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Breaker {
        const KEY_HELP: &str = "write key = [\"session\", \"tool\"]";
        let known = [
            "id",
            "match",
            "key",
            "consecutive",
            "ratio",
            "open",
            "max_open",
            "probes",
            "then",
            "ask",
            "mode",
        ];
        fields.check_keys(report, &known, &[IN_SESSION]);
        let mut head = self.head(report, fields, "breaker");
        if fields.get("then").is_none() {
            // People cannot make a thing work by agreeing.
            head.then = Then::Deny;
        }
        let mut key = Vec::new();
        match fields.get("key").map(|item| item.texts(report).unwrap_or_default()) {
            None => report.add(fields.at, "the breaker has no key", KEY_HELP),
            Some(parts) => {
                for (n, (at, text)) in parts.into_iter().enumerate() {
                    match (n, text) {
                        (0, "session") => {}
                        (0, _) => report.add(at, "a breaker is kept with the session", KEY_HELP),
                        _ => key.extend(read_key_part(report, at, text, KEY_HELP)),
                    }
                }
            }
        }
        let small = |item: Item<'_>, report: &mut Report<'_>, most: i64| {
            item.whole(report, 1, most)
                .and_then(|number| u32::try_from(number).ok())
        };
        let consecutive = fields.get("consecutive").and_then(|item| small(item, report, 1024));
        let ratio = fields.get("ratio").and_then(|item| {
            let ratio = item.fields(report)?;
            ratio.check_keys(report, &["of", "failed", "min"], &[]);
            let of = ratio.get("of").map_or(Some(64), |item| small(item, report, 64))?;
            let Some(failed) = ratio.get("failed") else {
                report.add(
                    item.at,
                    "the ratio does not say how many may fail",
                    "write { of = 64, failed = 32, min = 16 }",
                );
                return None;
            };
            Some(Ratio {
                of,
                failed: small(failed, report, i64::from(of))?,
                min: ratio
                    .get("min")
                    .map_or(Some(1), |item| small(item, report, i64::from(of)))?,
            })
        });
        if fields.get("consecutive").is_none() && fields.get("ratio").is_none() {
            report.add(
                fields.at,
                "the breaker does not say when it opens",
                "write consecutive = 5",
            );
        }
        let open = fields
            .get("open")
            .and_then(|item| item.span(report))
            .unwrap_or(Span::from_millis(30_000));
        let max_open = fields
            .get("max_open")
            .and_then(|item| Some((item.at, item.span(report)?)));
        if let Some((at, max)) = max_open
            && max < open
        {
            report.add(
                at,
                format!("at most {max} is less than {open}"),
                "write a max_open that is at least `open`",
            );
        }
        Breaker {
            head,
            matches: fields
                .get("match")
                .map(|item| self.matches(report, item))
                .unwrap_or_default(),
            key,
            consecutive,
            ratio,
            open,
            max_open: max_open.map_or(Span::from_millis(600_000), |(_, span)| span).max(open),
            probes: fields
                .get("probes")
                .map_or(Some(1), |item| small(item, report, 64))
                .unwrap_or(1),
        }
    }

    fn head(&mut self, report: &mut Report<'_>, fields: Fields<'_>, kind: &str) -> Head {
        let id = self.id(report, fields);
        let hash = hash(kind, fields, &[("then", "then", self.then.as_str())]);
        let then = match fields.get("then") {
            Some(item) => read_then(report, item).unwrap_or(Then::Deny),
            None => self.then,
        };
        Head::new(&id, hash, then, self.requirement(report, fields))
    }

    fn matched(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Match {
        match fields.get("match") {
            Some(item) => self.matches(report, item),
            None => {
                report.add(fields.at, "the rule does not say what it is about", MATCH_HELP);
                Match::default()
            }
        }
    }
}

const OF_HELP: &str = "write of = \"target.namespace\", or target.kind, target.name, target.owner, program or tool";

/// These rules are of the session; saying so is allowed.
fn only_session(report: &mut Report<'_>, fields: Fields<'_>) {
    let Some(item) = fields.get("key") else { return };
    for (at, text) in item.texts(report).unwrap_or_default() {
        if text != "session" {
            let what = format!(
                "this kind of rule is kept with the session, not by \"{}\"",
                crate::error::shown(text)
            );
            report.add(at, what, "write key = [\"session\"], or leave it out");
        }
    }
}

fn cycle(report: &mut Report<'_>, item: Item<'_>) -> Option<Cycle> {
    let fields = item.fields(report)?;
    fields.check_keys(report, &["max_period", "repeats", "key"], &[]);
    if let Some(item) = fields.get("key") {
        item.one_of(report, &[("norm+outcome", ())])?;
    }
    let longest = i64::try_from(MOST_PERIOD).unwrap_or(i64::MAX);
    let max_period = fields
        .get("max_period")
        .map_or(Some(8), |item| item.whole(report, 2, longest))?;
    let repeats = fields
        .get("repeats")
        .map_or(Some(4), |item| item.whole(report, 2, 64))?;
    Some(Cycle {
        max_period: usize::try_from(max_period).ok()?,
        repeats: u64::try_from(repeats).ok()?,
    })
}

/// `{ sliding = "10m" }`.
fn sliding(report: &mut Report<'_>, item: Item<'_>) -> Option<Span> {
    let fields = item.fields(report)?;
    fields.check_keys(report, &["sliding"], &[]);
    match fields.get("sliding") {
        Some(item) => item.span(report),
        None => {
            report.add(
                item.at,
                "the window does not say how long",
                "write window = { sliding = \"10m\" }",
            );
            None
        }
    }
}
