//! `[stages.<group>]` of `glassbreak.toml`: whom a question to a group goes on to where nobody answers it.

use std::collections::BTreeMap;

use crate::approval::{Asked, Stage, Stages};
use crate::call::Word;
use crate::clock::Span;
use crate::people::People;
use crate::table::{Fields, Item, Report, known_group, word};

/// The stages of each group that has any.
///
/// ```toml
/// [stages.oncall]                      # stage 1 is the group itself
/// notifiers = ["terminal"]             # who carries it, by the names of the gate's notifiers; all of them unless said
/// then = [                             # and then, each on top of those before it:
///   { group = "leads", after = "60s", notifiers = ["chat"] },   # 60s after it was asked, unless said otherwise
///   { group = "managers", after = "2m" },                       # 120s after the stage before it, unless said otherwise
/// ]
/// ```
///
/// Members of a later stage may answer from when it is reached, in the place of the group's own; Cedar's `approve` must
/// permit it to them as to anybody. Each must begin before the deadline under `[requests]`. A stage is reached before its time
/// where nobody of the one before it may answer, or none of its notifiers could deliver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StagePlans(BTreeMap<Word, StagePlan>);

/// The stages of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StagePlan {
    /// The names of the notifiers that carry stage 1, which is the group itself; all of the gate's where it names none.
    pub notifiers: Vec<Word>,
    /// The later stages, in order.
    pub then: Vec<Stage>,
}

/// How long the first stage has, and each later one, where the folder does not say.
const FIRST: Span = Span::from_millis(60_000);
const LATER: Span = Span::from_millis(120_000);
/// The shortest time of a stage: sooner nobody can have looked.
const LEAST: Span = Span::from_millis(1_000);
/// The most later stages of a group.
const MOST: usize = 8;

impl StagePlans {
    /// The stages of a group; `None` where the group is all there is.
    pub fn get(&self, group: &Word) -> Option<&StagePlan> {
        self.0.get(group)
    }

    /// Every notifier that some stage names, with the group whose stages they are.
    pub fn notifiers(&self) -> impl Iterator<Item = (&Word, &Word)> {
        self.0.iter().flat_map(|(group, plan)| {
            let later = plan.then.iter().flat_map(|stage| &stage.notifiers);
            plan.notifiers.iter().chain(later).map(move |name| (group, name))
        })
    }

    /// The stages of the groups that are asked by these rules, all at the first one.
    pub(crate) fn of(&self, rules: &[Asked]) -> Vec<Stages> {
        let mut all: Vec<Stages> = Vec::new();
        for group in rules.iter().filter_map(|asked| asked.requirement.group.as_ref()) {
            let plan = self
                .get(group)
                .filter(|_| all.iter().all(|stages| stages.group != *group));
            all.extend(plan.map(|plan| Stages {
                group: group.clone(),
                notifiers: plan.notifiers.clone(),
                then: plan.then.clone(),
                reached: 0,
                since: None,
            }));
        }
        all
    }

    pub(super) fn read(report: &mut Report<'_>, item: Item<'_>, people: &People, deadline: Span) -> Self {
        let mut plans = Self::default();
        for item in item.fields(report).iter().flat_map(Fields::items) {
            let group = word(report, item.name_at, item.name);
            let group = group.filter(|group| {
                let known = people.groups().any(|known| known == group);
                if !known {
                    let names = people.groups().map(Word::as_str);
                    crate::table::unknown_group(report, item.name_at, group.as_str(), names);
                }
                known
            });
            let plan = read_plan(report, item, group.as_ref(), people, deadline);
            plans.0.extend(group.zip(plan));
        }
        plans
    }
}

fn read_plan(
    report: &mut Report<'_>,
    item: Item<'_>,
    group: Option<&Word>,
    people: &People,
    deadline: Span,
) -> Option<StagePlan> {
    const DEADLINE: (&str, &str) = ("one deadline holds for all requests", "write it under [requests]");
    let fields = item.fields(report)?;
    fields.check_keys(
        report,
        &["notifiers", "then"],
        &[
            ("notifier", "the key is `notifiers`", "write notifiers = [\"terminal\"]"),
            (
                "group",
                "stage 1 is the group in the table's name",
                "write further groups under `then`",
            ),
            (
                "quorum",
                "a stage adds people and no number",
                "leave it out; the rule that asks says how many",
            ),
            ("deadline", DEADLINE.0, DEADLINE.1),
        ],
    );
    let mut plan = StagePlan {
        notifiers: notifiers(report, fields),
        then: Vec::new(),
    };
    let stages = fields.get("then").and_then(|item| Some((item, item.list(report)?)));
    let Some((then, stages)) = stages else {
        return Some(plan);
    };
    if stages.len() > MOST {
        let what = format!("{} later stages, and at most {MOST} fit", stages.len());
        report.add(then.at, what, "ask fewer groups");
    }
    let mut begins = 0_u64;
    for item in stages {
        let unsaid = if plan.then.is_empty() { FIRST } else { LATER };
        let Some(stage) = read_stage(report, item, people, unsaid) else {
            continue;
        };
        let named = plan.then.iter().any(|before| before.group == stage.group);
        if named || group == Some(&stage.group) {
            let what = format!("`{}` is asked already by a stage before this one", stage.group);
            report.add(item.at, what, "name each group once");
        }
        begins = begins.saturating_add(stage.after.as_millis());
        if begins >= deadline.as_millis() {
            let begins = Span::from_millis(begins);
            let what = format!("this stage would begin after {begins}, and a request waits for {deadline}");
            report.add(
                item.at,
                what,
                "write a shorter `after`, or a longer `deadline` under [requests]",
            );
        }
        plan.then.push(stage);
    }
    Some(plan)
}

fn read_stage(report: &mut Report<'_>, item: Item<'_>, people: &People, unsaid: Span) -> Option<Stage> {
    let fields = item.fields(report)?;
    fields.check_keys(
        report,
        &["group", "after", "notifiers"],
        &[
            ("delay", "the key is `after`", "write after = \"60s\""),
            ("notifier", "the key is `notifiers`", "write notifiers = [\"terminal\"]"),
            (
                "quorum",
                "a stage adds people and no number",
                "leave it out; the rule that asks says how many",
            ),
        ],
    );
    let notifiers = notifiers(report, fields);
    let mut after = unsaid;
    if let Some(item) = fields.get("after")
        && let Some(said) = item.span(report)
    {
        if said < LEAST {
            report.add(item.at, format!("`after` is {said}"), format!("write at least {LEAST}"));
        }
        after = said;
    }
    let Some(named) = fields.get("group") else {
        report.add(
            item.at,
            "this stage names no group",
            "write group = \"<a group of people.toml>\"",
        );
        return None;
    };
    Some(Stage {
        group: known_group(named, report, people)?,
        after,
        notifiers,
    })
}

fn notifiers(report: &mut Report<'_>, fields: Fields<'_>) -> Vec<Word> {
    let Some(item) = fields.get("notifiers") else {
        return Vec::new();
    };
    let Some(named) = item.texts(report) else {
        return Vec::new();
    };
    if named.is_empty() {
        // An empty list would read as "nobody", and mean all of them.
        report.add(
            item.at,
            "`notifiers` names none",
            "name one, or leave the key out for all of them",
        );
    }
    named
        .into_iter()
        .filter_map(|(at, name)| word(report, at, name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::table;

    fn read(text: &str) -> Result<StagePlans, Vec<String>> {
        let mut people = People::default();
        for group in ["oncall", "leads", "managers"] {
            people.add_group(Word::new(group).unwrap());
        }
        let source = Source {
            file: "glassbreak.toml",
            text,
        };
        table::read(source, |report, fields| {
            let item = fields.get("stages").unwrap();
            StagePlans::read(report, item, &people, Span::from_millis(300_000))
        })
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn stages_are_read_in_order_with_the_delays_of_the_model() {
        let plans = read(
            "[stages.oncall]\nnotifiers = [\"terminal\"]\n\
             then = [{ group = \"leads\", notifiers = [\"chat\", \"pager\"] }, { group = \"managers\" }]\n\
             [stages.leads]\nthen = [{ group = \"managers\", after = \"299s\" }]\n[stages.managers]\n",
        )
        .unwrap();
        let of = |group: &str| {
            let plan = plans.get(&Word::new(group).unwrap()).unwrap();
            let then = plan.then.iter();
            let then = then.map(|stage| (stage.group.as_str(), stage.after.as_millis(), stage.notifiers.len()));
            (plan.notifiers.len(), then.collect::<Vec<_>>())
        };
        assert_eq!(of("oncall"), (1, vec![("leads", 60_000, 2), ("managers", 120_000, 0)]));
        assert_eq!(of("leads"), (0, vec![("managers", 299_000, 0)]));
        assert_eq!(of("managers"), (0, Vec::new()));
        let named: Vec<_> = plans
            .notifiers()
            .map(|(group, name)| format!("{group} {name}"))
            .collect();
        assert_eq!(named, ["oncall terminal", "oncall chat", "oncall pager"]);
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, said) in [
            (
                "[stages]\noncal = {}",
                "2:1: unknown group `oncal`\n  help: did you mean `oncall`?",
            ),
            ("stages = 1", "1:10: `stages` is an integer"),
            ("[stages]\noncall = 1", "2:10: `oncall` is an integer"),
            ("[stages.oncall]\nthen = 1", "2:8: `then` is an integer"),
            ("[stages.oncall]\nthen = [1]", "2:9: `then` is an integer"),
            ("[stages.oncall]\nthen = [{}]", "2:9: this stage names no group"),
            (
                "[stages.oncall]\nthen = [{ group = \"leeds\" }]",
                "2:19: unknown group `leeds`\n  help: did you mean `leads`?",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"oncall\" }]",
                "2:9: `oncall` is asked already by a stage before this one",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\" }, { group = \"leads\" }]",
                "2:30: `leads` is asked already",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\", after = \"0s\" }]",
                "2:36: `0s` is not a span of time",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\", after = \"999ms\" }]",
                "2:36: `after` is 999ms\n  help: write at least 1s",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\", after = \"5m\" }]",
                "2:9: this stage would begin after 5m, and a request waits for 5m",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\", after = \"4m\" }, { group = \"managers\", after = \"1m\" }]",
                "2:44: this stage would begin after 5m",
            ),
            (
                "[stages.oncall]\nthen = [{ group = \"leads\", quorum = 2 }]",
                "2:28: `quorum`: a stage adds people and no number",
            ),
            ("[stages.oncall]\nquorum = 2", "2:1: `quorum`: a stage adds people"),
            ("[stages.oncall]\nnotifiers = []", "2:13: `notifiers` names none"),
            (
                "[stages.oncall]\nnotifiers = [\"a\", \"a\"]",
                "2:19: `a` stands twice in `notifiers`",
            ),
            ("[stages.oncall]\nnotifiers = [\"a b\"]", "2:14: `a b` is not a name"),
            (
                "[stages.oncall]\nthan = []",
                "2:1: unknown key `than`\n  help: did you mean `then`?",
            ),
        ] {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            let said = format!("glassbreak.toml:{said}");
            assert!(problems[0].starts_with(&said), "{}", problems[0]);
        }
        let nine = "{ group = \"leads\", after = \"1s\" },".repeat(9);
        let problems = read(&format!("[stages.oncall]\nthen = [{nine}]")).unwrap_err();
        assert!(
            problems[0].contains("9 later stages, and at most 8 fit"),
            "{problems:?}"
        );
    }
}
