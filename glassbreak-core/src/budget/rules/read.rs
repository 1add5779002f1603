//! Reads `budgets.toml`. What is not built is refused by name: a rule that is silently skipped is no rule.

mod parts;

pub(super) use self::parts::MAX_CEILING;
use self::parts::{Durability, read_amounts, read_durability, read_key, read_ladder, read_then, read_window};
use super::hash::hash;
use super::{Budget, Loop, Match, Named, Rules, Rung, Then};
use crate::budget::Needs;
use crate::call::Word;
use crate::error::{Problem, shown};
use crate::finding::{Layer, Requirement, RuleId};
use crate::label::Vocabulary;
use crate::people::People;
use crate::source::Source;
use crate::table::{self, Fields, Item, Report};

/// Words that cannot follow a dot in Cedar, where ids stand.
const CEDAR_WORDS: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];

const BUILT: &str = "[[budget]] counts calls in a sliding window and [[loop]] finds exact repeats; both are built";

pub(super) fn rules(source: Source<'_>, vocabulary: &Vocabulary, people: &People) -> Result<Rules, Vec<Problem>> {
    table::read(source, |report, fields| {
        check_top(report, fields);
        let reader = &mut Reader {
            vocabulary,
            people,
            then: Then::Ask,
            durability: Durability::Store(Needs::Strict),
            ids: Vec::new(),
            named: Vec::new(),
        };
        if let Some(defaults) = fields.get("defaults") {
            reader.defaults(report, defaults);
        }
        Rules {
            budgets: reader.each(report, fields.get("budget"), Reader::budget),
            loops: reader.each(report, fields.get("loop"), Reader::repeat),
            named: std::mem::take(&mut reader.named),
        }
    })
}

fn check_top(report: &mut Report<'_>, fields: Fields<'_>) {
    fields.check_keys(
        report,
        &["schema", "defaults", "budget", "loop"],
        &[
            ("distinct", "counts of distinct values are not built", BUILT),
            ("pattern", "patterns of several calls are not built", BUILT),
            ("latch", "latches are not built", BUILT),
            ("breaker", "breakers are not built", BUILT),
            ("approvals", "budgets of approvals are not built", BUILT),
            ("denials", "budgets of denials are not built", BUILT),
            ("decay", "decaying counts are not built", BUILT),
            ("budgets", "there is no such key", "write [[budget]], once for each"),
            ("loops", "there is no such key", "write [[loop]], once for each"),
            (
                "labels",
                "labels are not declared here",
                "declare them in glassbreak.toml under [labels]",
            ),
        ],
    );
    match fields.get("schema") {
        Some(item) => {
            item.whole(report, 1, 1);
        }
        None => report.add(0, "the file does not say its schema", "begin it with schema = 1"),
    }
}

struct Reader<'a> {
    vocabulary: &'a Vocabulary,
    people: &'a People,
    then: Then,
    durability: Durability,
    ids: Vec<String>,
    named: Vec<Named>,
}

impl Reader<'_> {
    fn defaults(&mut self, report: &mut Report<'_>, item: Item<'_>) {
        const NONE_BUILT: &str = "leave it out";
        let Some(fields) = item.fields(report) else { return };
        fields.check_keys(
            report,
            &["then", "durability"],
            &[
                ("on_store_error", "a store that fails always denies", NONE_BUILT),
                ("lease", "leases are not built", NONE_BUILT),
                (
                    "max_state",
                    "a limit on state is not built",
                    "state is bounded by the ceilings; leave it out",
                ),
            ],
        );
        if let Some(then) = fields.get("then").and_then(|item| read_then(report, item)) {
            self.then = then;
        }
        if let Some(durability) = read_durability(report, fields) {
            self.durability = durability;
        }
    }

    /// Reads each table of a list of tables.
    fn each<T>(
        &mut self,
        report: &mut Report<'_>,
        item: Option<Item<'_>>,
        read: impl Fn(&mut Self, &mut Report<'_>, Fields<'_>) -> T,
    ) -> Vec<T> {
        let Some(item) = item else { return Vec::new() };
        if !item.is_list() {
            let what = format!("`{}` is one table, and may come several times", item.name);
            report.add(item.name_at, what, format!("write [[{}]]", item.name));
            return Vec::new();
        }
        let items = item.list(report).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| item.fields(report).map(|fields| read(self, report, fields)))
            .collect()
    }

    fn budget(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Budget {
        const LEVELS: &str = "write one [[budget]] for each level";
        const LADDER: &str = "write it in the ladder: ladder = [{ over = 0, then = \"deny\" }]";
        fields.check_keys(
            report,
            &[
                "id",
                "match",
                "key",
                "limit",
                "window",
                "durability",
                "ladder",
                "ceiling",
                "ask",
                "amount",
            ],
            &[
                ("levels", "several levels in one rule are not built", LEVELS),
                ("then", "a budget has a ladder", LADDER),
                (
                    "on_missing",
                    "amounts are not built: each call counts one",
                    "leave it out",
                ),
                ("refund_on_error", "refunds are not built", "leave it out"),
                (
                    "event",
                    "counting asks is not built: admitted calls count",
                    "leave it out",
                ),
            ],
        );
        let id = self.id(report, fields);
        let (then, durability) = (self.then.as_str(), self.durability.as_str());
        let flowed = [("ladder", "then", then), ("durability", "durability", durability)];
        let mut budget = Budget::new(&id, hash("budget", fields, &flowed));
        match fields.get("match") {
            Some(item) => budget.matches = self.matches(report, item),
            None => report.add(fields.at, "the budget does not say what it counts", MATCH_HELP),
        }
        let durability = read_durability(report, fields).unwrap_or(self.durability);
        budget.needs = durability.needs();
        (budget.whose, budget.key) = read_key(report, fields, durability);
        read_amounts(report, fields, &mut budget);
        budget.window = read_window(report, fields).unwrap_or(budget.window);
        budget.ladder = match fields.get("ladder") {
            Some(item) => read_ladder(report, item, budget.limit),
            None => vec![Rung {
                from: budget.limit.saturating_add(1),
                then: self.then,
            }],
        };
        budget.requirement = self.requirement(report, fields);
        budget
    }

    fn repeat(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> Loop {
        const BUILT: &str = "exact_repeat is built: the same call so many times in a row";
        fields.check_keys(
            report,
            &["id", "exact_repeat", "then", "ask"],
            &[
                ("cycle", "finding cycles of several calls is not built", BUILT),
                (
                    "failing_repeat",
                    "outcomes are not seen, so failing repeats are not built",
                    BUILT,
                ),
                (
                    "second_hit",
                    "a stricter second time is not built",
                    "write a second [[loop]] with a higher exact_repeat",
                ),
                ("key", "a loop is always counted by session", "leave it out"),
                (
                    "match",
                    "a loop rule that matches some calls only is not built",
                    "leave it out",
                ),
                ("durability", "a loop is always counted in the session", "leave it out"),
            ],
        );
        let id = self.id(report, fields);
        let exact_repeat = match fields.get("exact_repeat") {
            Some(item) => item.whole(report, 2, 1024),
            None => {
                report.add(fields.at, "the loop rule says no number", "write exact_repeat = 5");
                None
            }
        };
        Loop {
            rule: RuleId::known(Layer::Budget, &id),
            id: id.into(),
            hash: hash("loop", fields, &[("then", "then", self.then.as_str())]),
            exact_repeat: exact_repeat.and_then(|n| u64::try_from(n).ok()).unwrap_or(2),
            then: match fields.get("then") {
                Some(item) => read_then(report, item).unwrap_or(Then::Deny),
                None => self.then,
            },
            requirement: self.requirement(report, fields),
        }
    }

    fn id(&mut self, report: &mut Report<'_>, fields: Fields<'_>) -> String {
        let Some(item) = fields.get("id") else {
            report.add(fields.at, "the rule has no id", "write id = \"pod_delete\"");
            return String::new();
        };
        let Some(id) = item.text(report) else {
            return String::new();
        };
        let head = id.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let tail = id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !head || !tail || id.len() > 63 {
            report.add(
                item.at,
                format!("`{}` is not an id", shown(id)),
                "write a lower-case letter, then letters, digits or `_`, at most 63 in all",
            );
        } else if CEDAR_WORDS.contains(&id) {
            let what = format!("`{id}` is a word of Cedar, which could not read `seq.budget.{id}`");
            report.add(item.at, what, "choose another id");
        } else if self.ids.iter().any(|known| known == id) {
            report.add(
                item.at,
                format!("the id `{id}` stands twice"),
                "budgets and loops share their ids; choose another",
            );
        }
        self.ids.push(id.to_owned());
        id.to_owned()
    }

    fn matches(&mut self, report: &mut Report<'_>, item: Item<'_>) -> Match {
        let mut matches = Match::default();
        let Some(fields) = item.fields(report) else {
            return matches;
        };
        fields.check_keys(
            report,
            &["labels", "tools", "programs"],
            &[
                (
                    "cost",
                    "costs are not built: each call counts one",
                    "match labels, tools or programs",
                ),
                (
                    "target",
                    "matching targets is not built",
                    "count them apart: key = [\"session\", \"target.name\"]",
                ),
            ],
        );
        if fields.items().next().is_none() {
            report.add(item.at, "this matches nothing in particular", MATCH_HELP);
        }
        if let Some(item) = fields.get("labels") {
            matches.labels = item.labels(report, self.vocabulary);
        }
        matches.tools = self.names(report, fields.get("tools"), true);
        matches.programs = self.names(report, fields.get("programs"), false);
        matches
    }

    fn names(&mut self, report: &mut Report<'_>, item: Option<Item<'_>>, tool: bool) -> Vec<Box<str>> {
        let Some(item) = item else { return Vec::new() };
        let names = item.texts(report).unwrap_or_default();
        if names.is_empty() && item.is_list() {
            let what = format!("`{}` is empty, so the rule would match none", item.name);
            report.add(item.at, what, "name some, or leave it out");
        }
        for (at, name) in &names {
            if let Err(bad) = Word::new(name) {
                report.add(*at, bad.to_string(), bad.help());
            }
            self.named.push(Named {
                tool,
                name: (*name).into(),
                at: *at,
            });
        }
        names.into_iter().map(|(_, name)| name.into()).collect()
    }

    fn requirement(&self, report: &mut Report<'_>, fields: Fields<'_>) -> Option<Requirement> {
        fields.get("ask")?.requirement(report, self.people, true)
    }
}

const MATCH_HELP: &str = "write match = { labels = [\"mutating\"] }, or labels = [] for every call";
