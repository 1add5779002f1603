//! The rules against examples, and against a model that forgets nothing.

use super::*;
use crate::call::{Actor, Args, CallDigest, Tool, Word};
use crate::clock::Timestamp;
use crate::error::Problem;
use crate::facts::{Fact, SeqFacts, Target};
use crate::finding::{Finding, Level};
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::source::Source;

mod hash;
mod kinds;
mod load;
mod model;
mod shared;
mod size;
mod store;

const OPS: &str = r#"
schema = 1
[defaults]
then = "ask"
durability = "none"

[[budget]]
id = "pod_delete"
match = { labels = ["k8s.pod.delete"] }
key = ["session"]
limit = 3
window = { sliding = "10m" }
ceiling = 10
ask = { group = "oncall", quorum = 2, window = "5m" }

[[budget]]
id = "by_namespace"
match = { labels = ["mutating"], programs = ["kubectl"] }
key = ["session", "target.namespace"]
limit = 2
window = { sliding = "1m" }
ladder = [{ at = 1, then = "audit" }, { over = 0, then = "ask" }, { over = 1, then = "deny" }]
ceiling = 20

[[loop]]
id = "stuck"
exact_repeat = 5
"#;

fn people() -> People {
    let mut people = People::default();
    people.add_group(Word::new("oncall").unwrap());
    people
}

fn load(text: &str) -> Result<Rules, Vec<Problem>> {
    let source = Source {
        file: "budgets.toml",
        text,
    };
    Rules::load(Some(source), &Vocabulary::built_in(), &people())
}

fn ops() -> Rules {
    load(OPS).unwrap()
}

fn labels(words: &[&str]) -> LabelSet {
    let vocabulary = Vocabulary::built_in();
    words.iter().map(|word| vocabulary.get(word).unwrap()).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn digest(n: u32) -> CallDigest {
    CallDigest::of_tool(&Tool {
        name: Word::new(&format!("t{n}")).unwrap(),
        arguments: Args::new(),
    })
}

fn deletion(namespace: &str) -> Facts {
    let labels = labels(&["k8s.pod.delete", "mutating"]);
    Facts {
        target: Target {
            namespace: Fact::Is(namespace.into()),
            ..Target::default()
        },
        labels,
        possible_labels: labels,
        ..Facts::default()
    }
}

fn event(n: u32, facts: &Facts) -> Event<'_> {
    Event {
        digest: digest(n),
        facts,
        name: Name::Program("kubectl"),
        norm: u64::from(n),
        attempt: 0,
    }
}

/// What [`Rules::advance`] is told of a call that is admitted or not.
fn taken(admitted: bool) -> Taken {
    if admitted { Taken::Admitted } else { Taken::Denied }
}

fn actor() -> Actor {
    Actor::new(Word::new("ops").unwrap(), Word::new("s1").unwrap())
}

/// The rules as one session without a store uses them.
trait Alone {
    fn look(&self, counters: &Counters, event: &Event<'_>, at: Timestamp) -> (SeqFacts, Vec<Finding>);
    fn take(&self, counters: &mut Counters, event: &Event<'_>, at: Timestamp, admitted: bool);
}

impl Alone for Rules {
    fn look(&self, counters: &Counters, event: &Event<'_>, at: Timestamp) -> (SeqFacts, Vec<Finding>) {
        self.inspect(counters, event, &actor(), at, Shared::Local)
    }

    fn take(&self, counters: &mut Counters, event: &Event<'_>, at: Timestamp, admitted: bool) {
        self.advance(counters, event, &actor(), at, Shared::Local, taken(admitted));
    }
}

fn said(findings: &[Finding]) -> Vec<(&str, Level, &str)> {
    findings
        .iter()
        .map(|finding| (finding.rule().as_str(), finding.level(), finding.why()))
        .collect()
}

#[test]
fn the_fourth_deletion_asks_the_eleventh_is_denied_and_both_say_when_waiting_helps() {
    let rules = ops();
    let mut counters = Counters::default();
    for n in 0..3 {
        let facts = deletion(&format!("ns{n}"));
        let event = event(n, &facts);
        let (seq, findings) = rules.look(&counters, &event, at(100 * i64::from(n)));
        assert_eq!(seq.budgets[0].count, i64::from(n) + 1);
        assert!(
            findings.iter().all(|finding| finding.level() == Level::Note),
            "{findings:?}"
        );
        rules.take(&mut counters, &event, at(100 * i64::from(n)), true);
    }
    let facts = deletion("ns9");
    let (seq, findings) = rules.look(&counters, &event(9, &facts), at(400));
    assert_eq!(
        (seq.budgets[0].over, seq.budgets[0].remaining, seq.budgets[0].fired),
        (1, 0, true)
    );
    let ask = &findings[0];
    assert_eq!(
        (ask.rule().as_str(), ask.why(), ask.hint()),
        (
            "budget.pod_delete",
            "4 of 3 in 10m; the oldest leaves the window in 3m21s",
            "at most 3 in 10m pass without asking"
        )
    );
    assert_eq!(ask.requirement().map(|requirement| requirement.quorum), Some(2));

    for n in 3..10 {
        rules.take(&mut counters, &event(n, &facts), at(400), true);
    }
    let (_, findings) = rules.look(&counters, &event(10, &facts), at(400));
    assert_eq!(
        said(&findings)[0],
        (
            "budget.pod_delete.ceiling",
            Level::Deny,
            "11 of 3 in 10m, past the ceiling of 10; the oldest leaves the window in 3m21s"
        )
    );
}

#[test]
fn rungs_fire_by_strictness_and_keys_are_counted_apart() {
    let rules = ops();
    let mut counters = Counters::default();
    let prod = deletion("prod");
    let mut levels = Vec::new();
    for n in 0..4 {
        let event = event(n, &prod);
        let (_, findings) = rules.look(&counters, &event, at(0));
        levels.extend(
            findings
                .iter()
                .find(|f| f.rule().as_str() == "budget.by_namespace")
                .map(Finding::level),
        );
        rules.take(&mut counters, &event, at(0), true);
    }
    assert_eq!(levels, [Level::Note, Level::Note, Level::Ask, Level::Deny]);
    let (seq, findings) = rules.look(&counters, &event(9, &prod), at(10));
    assert_eq!(seq.budgets[1].count, 5);
    assert_eq!(
        said(&findings)[1].2,
        "5 of 2 in 1m for target.namespace \"prod\"; the 2 oldest have left the window in 51s"
    );
    assert_eq!(
        rules.look(&counters, &event(9, &deletion("dev")), at(10)).0.budgets[1].count,
        1
    );
}

#[test]
fn a_call_of_another_meaning_or_name_is_not_counted() {
    let rules = ops();
    let mut counters = Counters::default();
    let facts = deletion("prod");
    let tool = Event {
        name: Name::Tool("kubectl"),
        ..event(1, &facts)
    };
    rules.take(&mut counters, &tool, at(0), true);
    let (seq, _) = rules.look(&counters, &tool, at(0));
    assert_eq!((seq.budgets[0].count, seq.budgets[1].count), (2, 0));
    assert_eq!((seq.budgets[1].remaining, seq.budgets[1].fired), (2, false));
    let reading = Facts::default();
    let (seq, findings) = rules.look(&counters, &event(2, &reading), at(0));
    assert_eq!((seq.budgets[0].count, seq.budgets[0].limit, findings.len()), (0, 3, 0));
}

#[test]
fn a_refused_call_is_not_counted() {
    let rules = ops();
    let mut counters = Counters::default();
    let facts = deletion("prod");
    rules.take(&mut counters, &event(1, &facts), at(0), false);
    assert_eq!(rules.look(&counters, &event(2, &facts), at(0)).0.budgets[0].count, 1);
}

#[test]
fn what_is_not_understood_counts_by_the_fullest_key_and_under_all() {
    let rules = ops();
    let mut counters = Counters::default();
    for namespace in ["prod", "prod", "dev"] {
        rules.take(&mut counters, &event(1, &deletion(namespace)), at(0), true);
    }
    let count = |counters: &Counters, facts: &Facts| rules.look(counters, &event(2, facts), at(0)).0.budgets[1].count;
    let partial = Facts {
        labels: LabelSet::EMPTY,
        partial: true,
        ..deletion("dev")
    };
    let several = Facts {
        target: Target {
            namespace: Fact::Unknown,
            ..Target::default()
        },
        ..deletion("")
    };
    for unknown in [&partial, &several, &deletion("*")] {
        assert_eq!(count(&counters, unknown), 3);
        let mut counters = counters.clone();
        rules.take(&mut counters, &event(3, unknown), at(0), true);
        assert_eq!(count(&counters, &deletion("dev")), 3);
        assert_eq!(count(&counters, &deletion("prod")), 4);
        assert_eq!(count(&counters, &deletion("never-seen")), 2);
        assert_eq!(count(&counters, unknown), 4);
        let (_, findings) = rules.look(&counters, &event(4, unknown), at(0));
        let why = findings
            .iter()
            .find(|f| f.rule().as_str() == "budget.by_namespace")
            .unwrap()
            .why();
        assert!(why.starts_with("4 of 2 in 1m, by the fullest count, because"), "{why}");
    }
}

#[test]
fn one_value_cannot_pass_for_another_key() {
    let text = OPS.replace("\"target.namespace\"", "\"target.namespace\", \"target.name\"");
    let rules = load(&text).unwrap();
    let mut counters = Counters::default();
    let of = |namespace: &str, name: &str| {
        let mut facts = deletion(namespace);
        facts.target.name = Fact::Is(name.into());
        facts
    };
    rules.take(&mut counters, &event(1, &of("a", "bc")), at(0), true);
    rules.take(&mut counters, &event(1, &of("a", "b\u{5}c")), at(0), true);
    let long = "x".repeat(50_000);
    rules.take(&mut counters, &event(1, &of("a", &long)), at(0), true);
    for (namespace, name, count) in [
        ("a", "bc", 2),
        ("ab", "c", 1),
        ("abc", "", 1),
        ("", "abc", 1),
        ("a\u{5}\0\0\0\u{2}bc", "", 1),
        ("a\u{5}b", "c", 1),
        ("a", &long, 2),
        ("a", &format!("{long}y"), 1),
    ] {
        let facts = of(namespace, name);
        let (seq, _) = rules.look(&counters, &event(2, &facts), at(0));
        assert_eq!(seq.budgets[1].count, count, "{namespace:?}");
    }
    assert!(
        counters.bytes() < 4_096,
        "long values are not kept: {}",
        counters.bytes()
    );
}

#[test]
fn past_256_keys_new_ones_share_a_count_until_it_is_empty() {
    let rules = ops();
    let mut counters = Counters::default();
    let count = |counters: &Counters, namespace: &str, seconds| {
        let facts = deletion(namespace);
        rules.look(counters, &event(0, &facts), at(seconds)).0.budgets[1].count
    };
    for n in 0..256 {
        rules.take(&mut counters, &event(n, &deletion(&format!("n{n}"))), at(0), true);
    }
    assert_eq!(count(&counters, "n0", 0), 2);
    assert_eq!(count(&counters, "m0", 0), 1);
    for n in 0..3 {
        rules.take(&mut counters, &event(n, &deletion(&format!("m{n}"))), at(30), true);
    }
    assert_eq!((count(&counters, "m0", 30), count(&counters, "other", 30)), (4, 4));
    // The 256 have left the window, the three have not: a new key may be one of them.
    assert_eq!(count(&counters, "m0", 61), 4);
    rules.take(&mut counters, &event(7, &deletion("m0")), at(61), true);
    assert_eq!(count(&counters, "m0", 61), 5);
    assert_eq!(count(&counters, "m0", 200), 1);
    rules.take(&mut counters, &event(7, &deletion("m0")), at(200), true);
    assert_eq!((count(&counters, "m0", 200), count(&counters, "m1", 200)), (2, 1));
}

#[test]
fn the_same_call_five_times_in_a_row_asks() {
    let rules = ops();
    let mut counters = Counters::default();
    let facts = Facts::default();
    for n in 1..=4 {
        let (seq, findings) = rules.look(&counters, &event(1, &facts), at(n));
        assert_eq!(
            (seq.loops[0].streak, seq.loops[0].period, seq.loops[0].fired),
            (n, 1, false)
        );
        assert!(findings.is_empty());
        rules.take(&mut counters, &event(1, &facts), at(n), n % 2 == 0);
    }
    let (_, findings) = rules.look(&counters, &event(1, &facts), at(5));
    assert_eq!(
        said(&findings),
        [("budget.stuck", Level::Ask, "the very same call, 5 times in a row")]
    );
    rules.take(&mut counters, &event(2, &facts), at(6), true);
    assert_eq!(rules.look(&counters, &event(1, &facts), at(7)).0.loops[0].streak, 1);
}

#[test]
fn a_clock_set_back_forgives_nothing() {
    let rules = ops();
    let mut counters = Counters::default();
    let facts = deletion("prod");
    rules.take(&mut counters, &event(1, &facts), at(1_000), true);
    rules.take(&mut counters, &event(1, &facts), at(10), true);
    let count = |seconds| rules.look(&counters, &event(2, &facts), at(seconds)).0.budgets[0].count;
    assert_eq!((count(0), count(1_000), count(1_600), count(1_601)), (3, 3, 3, 1));
}

#[test]
fn the_state_of_a_session_is_bounded() {
    let one = OPS.replace("[\"session\", \"target.namespace\"]", "[\"session\"]");
    let rules = load(&one).unwrap();
    // Two rules of one key each, ceilings 10 and 20: what an ops session takes at its very worst.
    assert!(rules.most_bytes() <= 3_072, "{}", rules.most_bytes());
    // One of them counted apart by namespace, at most 256 of those.
    let rules = ops();
    assert!(rules.most_bytes() <= 150 * 1_024, "{}", rules.most_bytes());
    let mut counters = Counters::default();
    for n in 0..20_000_u32 {
        let facts = deletion(&format!("{}-{}", n % 300, "x".repeat(60)));
        rules.take(&mut counters, &event(n, &facts), at(i64::from(n / 10_000)), true);
        if n % 100 == 0 {
            rules.take(&mut counters, &event(n, &deletion("*")), at(0), true);
        }
    }
    assert!(
        counters.bytes() <= rules.most_bytes(),
        "{} > {}",
        counters.bytes(),
        rules.most_bytes()
    );
}

#[test]
fn names_that_do_not_exist_are_found() {
    let rules = ops();
    let source = Source {
        file: "budgets.toml",
        text: OPS,
    };
    let problems: Vec<String> = rules
        .unknown_names(source, |_| false)
        .map(|problem| problem.to_string())
        .collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("budgets.toml:18:"), "{}", problems[0]);
    assert_eq!(
        rules
            .unknown_names(source, |name| name == Name::Program("kubectl"))
            .count(),
        0
    );
}

#[test]
fn without_a_file_nothing_is_counted() {
    let rules = Rules::load(None, &Vocabulary::built_in(), &people()).unwrap();
    let facts = Facts::default();
    let (seq, findings) = rules.look(&Counters::default(), &event(1, &facts), at(0));
    assert_eq!((seq.budgets.len(), seq.loops.len(), findings.len()), (0, 0, 0));
    assert_eq!(ops().budget_ids().collect::<Vec<_>>(), ["pod_delete", "by_namespace"]);
    assert_eq!(ops().loop_ids().collect::<Vec<_>>(), ["stuck"]);
}
