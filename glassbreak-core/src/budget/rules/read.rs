//! Reads `budgets.toml`. What is not built is refused by name: a rule that is silently skipped is no rule.

mod kinds;
mod matches;
mod parts;

use self::parts::{
    Durability, Mode, read_amount, read_durability, read_key, read_ladder, read_limits, read_mode, read_then,
    read_window,
};
use super::by_name::ByName;
use super::hash::hash;
use super::{Budget, Counts, EventBudget, Named, Observed, Rules, Rung, Then};
use crate::budget::Needs;
use crate::error::{Problem, shown};
use crate::finding::{Layer, Requirement, RuleId};
use crate::label::Vocabulary;
use crate::people::People;
use crate::source::Source;
use crate::table::{self, Fields, Item, Report};

/// Words that cannot follow a dot in Cedar, where ids stand.
const CEDAR_WORDS: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];

/// The most levels of a budget.
const MOST_LEVELS: usize = 8;

pub(super) fn rules(source: Source<'_>, vocabulary: &Vocabulary, people: &People) -> Result<Rules, Vec<Problem>> {
    table::read(source, |report, fields| {
        check_top(report, fields);
        let reader = &mut Reader {
            vocabulary,
            people,
            then: Then::Ask,
            durability: Durability::Store(Needs::Strict),
            max_state: None,
            ids: Vec::new(),
            named: Vec::new(),
            mode: Mode::Enforce,
            observing: false,
            observed: Vec::new(),
        };
        if let Some(defaults) = fields.get("defaults") {
            reader.defaults(report, defaults);
        }
        let read = reader.each(report, fields.get("budget"), |reader, report, fields| {
            reader.budget(report, fields, None)
        });
        let (mut budgets, mut events) = (Vec::new(), Vec::new());
        let more = [("approvals", Counts::Asks), ("denials", Counts::Denials)].map(|(name, of)| {
            reader.each(report, fields.get(name), |reader, report, fields| {
                reader.budget(report, fields, Some(of))
            })
        });
        for (of, levels) in read.into_iter().chain(more.into_iter().flatten()) {
            match of {
                Counts::Calls => budgets.extend(levels),
                of => events.extend(levels.into_iter().map(|budget| EventBudget { of, budget })),
            }
        }
        let rules = Rules {
            by_name: ByName::new(&budgets),
            untouched: budgets.iter().map(|budget| budget.facts(0, false)).collect(),
            shares: budgets.iter().any(Budget::is_shared),
            budgets,
            events,
            distincts: reader.each(report, fields.get("distinct"), Reader::distinct),
            patterns: reader.each(report, fields.get("pattern"), Reader::pattern),
            latches: reader.each(report, fields.get("latch"), Reader::latch),
            loops: reader.each(report, fields.get("loop"), Reader::repeat),
            breakers: reader.each(report, fields.get("breaker"), Reader::breaker),
            named: std::mem::take(&mut reader.named),
            observed: std::mem::take(&mut reader.observed),
        };
        if let Some((at, most)) = reader.max_state
            && rules.most_bytes() > most
        {
            let what = format!(
                "a session may take {} bytes under these rules, and {most} are allowed",
                rules.most_bytes()
            );
            let help = "lower ceilings and limits, count by fewer keys, or raise max_state";
            report.add(at, what, help);
        }
        rules
    })
}

fn check_top(report: &mut Report<'_>, fields: Fields<'_>) {
    fields.check_keys(
        report,
        &[
            "schema",
            "defaults",
            "budget",
            "distinct",
            "pattern",
            "latch",
            "loop",
            "breaker",
            "approvals",
            "denials",
        ],
        &[
            (
                "decay",
                "counts that fade are not built: they forgive by time alone",
                "write a [[budget]] with a window",
            ),
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
    /// The most bytes of a session, and where that stands.
    max_state: Option<(usize, usize)>,
    ids: Vec<String>,
    named: Vec<Named>,
    /// The mode of rules that say none.
    mode: Mode,
    /// Whether the rule that is read is observed.
    observing: bool,
    observed: Vec<Observed>,
}

impl Reader<'_> {
    fn defaults(&mut self, report: &mut Report<'_>, item: Item<'_>) {
        const NONE_BUILT: &str = "leave it out";
        let Some(fields) = item.fields(report) else { return };
        fields.check_keys(
            report,
            &["then", "durability", "mode", "max_state"],
            &[
                ("on_store_error", "a store that fails always denies", NONE_BUILT),
                ("lease", "every reservation has the same lease", NONE_BUILT),
            ],
        );
        if let Some(item) = fields.get("max_state") {
            self.max_state = parts::read_bytes(report, item).map(|most| (item.at, most));
        }
        if let Some(then) = fields.get("then").and_then(|item| read_then(report, item)) {
            self.then = then;
        }
        if let Some(durability) = read_durability(report, fields) {
            self.durability = durability;
        }
        if let Some(mode) = read_mode(report, fields) {
            self.mode = mode;
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

    /// A budget, with all its levels. `of` is what it counts, where its table says so by its name.
    fn budget(&mut self, report: &mut Report<'_>, fields: Fields<'_>, of: Option<Counts>) -> (Counts, Vec<Budget>) {
        fields.check_keys(
            report,
            &BUDGET_KEYS,
            &[
                (
                    "refund_on_error",
                    "a call that failed counts: its effect may be partial",
                    "leave it out",
                ),
                (
                    "half_life",
                    "counts that fade are not built",
                    "write window = { sliding = \"10m\" }",
                ),
            ],
        );
        let id = self.id(report, fields);
        let (then, durability) = (self.then.as_str(), self.durability.as_str());
        let flowed = [("ladder", "then", then), ("durability", "durability", durability)];
        let mut budget = Budget::new(&id, hash("budget", fields, &flowed));
        let of = self.counts(report, fields, of);
        match fields.get("match") {
            Some(item) => budget.matches = self.matches(report, item),
            None if of == Counts::Calls => report.add(fields.at, "the budget does not say what it counts", MATCH_HELP),
            None => {}
        }
        budget.amount = read_amount(report, fields);
        budget.requirement = self.requirement(report, fields);
        let said = read_durability(report, fields);
        let durability = if of == Counts::Calls {
            said.unwrap_or(self.durability)
        } else {
            if let (Some(Durability::Store(_)), Some(item)) = (said, fields.get("durability")) {
                let help = "write durability = \"none\", or leave it out";
                report.add(item.at, "asks and denials are counted in the session", help);
            }
            Durability::Session
        };
        budget.needs = durability.needs();
        let levels = match fields.get("levels") {
            None => vec![self.level(report, fields, fields, budget, durability)],
            Some(item) => self.levels(report, fields, item, &budget, durability),
        };
        (of, levels)
    }

    fn counts(&self, report: &mut Report<'_>, fields: Fields<'_>, of: Option<Counts>) -> Counts {
        let words = [
            ("call", Counts::Calls),
            ("ask", Counts::Asks),
            ("denial", Counts::Denials),
        ];
        let said = fields.get("event");
        match (of, said) {
            (Some(of), Some(item)) => {
                report.add(
                    item.name_at,
                    "what it counts is said by the name of its table",
                    "leave it out",
                );
                of
            }
            (Some(of), None) => of,
            (None, Some(item)) => item.one_of(report, &words).unwrap_or(Counts::Calls),
            (None, None) => Counts::Calls,
        }
    }

    fn levels(
        &mut self,
        report: &mut Report<'_>,
        fields: Fields<'_>,
        item: Item<'_>,
        budget: &Budget,
        durability: Durability,
    ) -> Vec<Budget> {
        for key in ["key", "limit", "window", "ceiling"] {
            if let Some(item) = fields.get(key) {
                report.add(
                    item.name_at,
                    format!("each level has its own `{key}`"),
                    "write it in the levels",
                );
            }
        }
        let items = item.list(report).unwrap_or_default();
        if items.is_empty() || items.len() > MOST_LEVELS {
            let help = format!("write from 1 to {MOST_LEVELS} of {{ key = [\"session\"], limit = 3 }}");
            report.add(item.at, format!("there are {} levels", items.len()), help);
        }
        let mut levels = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            let Some(level) = item.fields(report) else { continue };
            level.check_keys(report, &["key", "limit", "window", "ceiling", "ladder", "then"], &[]);
            let mut budget = budget.clone();
            if n > 0 {
                let id = format!("{}_levels_{n}", budget.id);
                self.claim_id(report, item.at, &id);
                budget = Budget {
                    matches: budget.matches,
                    amount: budget.amount,
                    requirement: budget.requirement,
                    needs: budget.needs,
                    ..Budget::new(&id, budget.hash)
                };
            }
            levels.push(self.level(report, fields, level, budget, durability));
        }
        levels
    }

    /// What may differ from level to level; `rule` is the whole table.
    fn level(
        &self,
        report: &mut Report<'_>,
        rule: Fields<'_>,
        level: Fields<'_>,
        mut budget: Budget,
        durability: Durability,
    ) -> Budget {
        (budget.whose, budget.key) = read_key(report, level, durability);
        budget.window = read_window(report, level);
        read_limits(report, level, &mut budget);
        let said = |key| level.get(key).or_else(|| rule.get(key));
        budget.ladder = match (said("ladder"), said("then")) {
            (Some(item), None) => read_ladder(report, item, &budget),
            (Some(_), Some(then)) => {
                report.add(
                    then.name_at,
                    "`then` is said by the ladder",
                    "write it in the ladder, or leave the ladder out",
                );
                Vec::new()
            }
            (None, then) => vec![Rung {
                from: budget.limit.saturating_add(1),
                then: then.and_then(|item| read_then(report, item)).unwrap_or(self.then),
            }],
        };
        budget
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
        } else {
            self.observing = read_mode(report, fields).unwrap_or(self.mode) == Mode::Observe;
            self.claim_id(report, item.at, id);
        }
        id.to_owned()
    }

    /// Takes the id for the rule that is read, or for a level of it.
    fn claim_id(&mut self, report: &mut Report<'_>, at: usize, id: &str) {
        if self.ids.iter().any(|known| known == id) {
            let help = "all rules share their ids; choose another";
            report.add(at, format!("the id `{id}` stands twice"), help);
        }
        self.ids.push(id.to_owned());
        if self.observing {
            let rule = RuleId::known(Layer::Budget, id);
            self.observed.push(Observed { rule, at });
        }
    }

    fn requirement(&self, report: &mut Report<'_>, fields: Fields<'_>) -> Option<Requirement> {
        fields.get("ask")?.requirement(report, self.people, true)
    }
}

const BUDGET_KEYS: [&str; 15] = [
    "id",
    "match",
    "event",
    "key",
    "limit",
    "window",
    "durability",
    "ladder",
    "then",
    "ceiling",
    "ask",
    "amount",
    "on_missing",
    "levels",
    "mode",
];

const MATCH_HELP: &str = "write match = { labels = [\"mutating\"] }, or labels = [] for every call";
