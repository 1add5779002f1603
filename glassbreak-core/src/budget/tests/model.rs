//! The counters against a model that keeps every call and scans them all, each time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::finding::Level;

const WINDOW: i64 = 60_000;
const LIMIT: i64 = 2;

/// One call of a made-up session.
#[derive(Debug, Clone)]
struct Step {
    /// Since the one before; may be negative.
    after: i64,
    /// `None` for a target that is not known.
    namespace: Option<u8>,
    matching: bool,
    admitted: bool,
    digest: u32,
}

impl Step {
    fn facts(&self) -> Facts {
        let mut facts = match self.namespace {
            Some(n) => deletion(&format!("n{n}")),
            None => deletion("*"),
        };
        if !self.matching {
            facts.labels = LabelSet::EMPTY;
            facts.possible_labels = LabelSet::EMPTY;
        }
        facts
    }
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![
        4 => 0..20_000_i64,
        1 => Just(0),
        1 => -30_000..0_i64,
        1 => Just(WINDOW),
        1 => Just(WINDOW + 1),
        1 => 0..200_000_i64,
    ];
    let namespace = prop_oneof![6 => (0..3_u8).prop_map(Some), 1 => Just(None)];
    (
        after,
        namespace,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.8),
        0..2_u32,
    )
        .prop_map(|(after, namespace, matching, admitted, digest)| Step {
            after,
            namespace,
            matching,
            admitted,
            digest,
        })
}

fn rules(ceiling: i64) -> Rules {
    load(&format!(
        r#"
schema = 1
[[budget]]
id = "b"
match = {{ labels = ["mutating"] }}
key = ["session", "target.namespace"]
limit = {LIMIT}
window = {{ sliding = "60s" }}
ladder = [{{ at = 2, then = "audit" }}, {{ over = 0, then = "ask" }}, {{ over = 2, then = "deny" }}]
ceiling = {ceiling}
durability = "none"
[[loop]]
id = "l"
exact_repeat = 3
"#
    ))
    .unwrap()
}

/// Every admitted call that matched: when, and under which key.
#[derive(Default)]
struct Model {
    now: Option<i64>,
    admitted: Vec<(i64, Option<u8>)>,
    attempts: Vec<u32>,
}

impl Model {
    fn count(&self, now: i64, step: &Step, ceiling: i64) -> i64 {
        if !step.matching {
            return 0;
        }
        let inside = |key: Option<Option<u8>>| {
            let fits = |(at, of): &&(i64, Option<u8>)| now - at <= WINDOW && key.is_none_or(|key| *of == key);
            i64::try_from(self.admitted.iter().filter(fits).count()).unwrap()
        };
        let keys: BTreeSet<Option<u8>> = self
            .admitted
            .iter()
            .filter(|(_, key)| key.is_some())
            .map(|(_, key)| *key)
            .collect();
        let own = match step.namespace {
            Some(n) => inside(Some(Some(n))),
            None => keys.into_iter().map(|key| inside(Some(key))).max().unwrap_or(0),
        };
        (own + inside(Some(None))).min(ceiling + 1) + 1
    }

    fn streak(&self, digest: u32) -> i64 {
        i64::try_from(self.attempts.iter().rev().take_while(|last| **last == digest).count()).unwrap() + 1
    }
}

fn level_of(count: i64, ceiling: i64) -> Option<Level> {
    match count {
        n if n > ceiling || n > LIMIT + 2 => Some(Level::Deny),
        n if n > LIMIT => Some(Level::Ask),
        n if n >= 2 => Some(Level::Note),
        _ => None,
    }
}

fn budget_level(findings: &[Finding]) -> Option<Level> {
    let of_b = |finding: &&Finding| finding.rule().as_str().starts_with("budget.b");
    findings.iter().find(of_b).map(Finding::level)
}

proptest! {
    #[test]
    fn every_count_is_the_models(steps in prop::collection::vec(step(), 0..80), ceiling in 2..12_i64) {
        let rules = rules(ceiling);
        let mut counters = Counters::default();
        let mut model = Model::default();
        let mut clock = 0;
        for step in &steps {
            clock += step.after;
            let now = model.now.map_or(clock, |newest| newest.max(clock));
            model.now = Some(now);
            let facts = step.facts();
            let event = event(step.digest, &facts);
            let (seq, findings) = rules.look(&counters, &event, Timestamp::from_millis(clock));
            let count = model.count(now, step, ceiling);
            prop_assert_eq!(seq.budgets[0].count, count);
            prop_assert_eq!(seq.budgets[0].remaining, (LIMIT - count).max(0));
            prop_assert_eq!(seq.budgets[0].over, (count - LIMIT).max(0));
            prop_assert_eq!(budget_level(&findings), level_of(count, ceiling));
            prop_assert_eq!(seq.budgets[0].fired, level_of(count, ceiling).is_some());
            prop_assert_eq!(seq.loops[0].streak, model.streak(step.digest));
            prop_assert_eq!(seq.loops[0].fired, model.streak(step.digest) >= 3);

            rules.take(&mut counters, &event, Timestamp::from_millis(clock), step.admitted);
            model.attempts.push(step.digest);
            if step.admitted && step.matching {
                model.admitted.push((now, step.namespace));
            }
        }
    }

    #[test]
    fn waiting_as_long_as_the_finding_says_helps(gaps in prop::collection::vec(0..20_000_i64, 3..8)) {
        // The words are for people; the moment they name is checked against the counts.
        let rules = rules(5);
        let mut counters = Counters::default();
        let facts = deletion("n");
        let mut clock = 0;
        for gap in gaps {
            clock += gap;
            rules.take(&mut counters, &event(0, &facts), Timestamp::from_millis(clock), true);
        }
        let look = |clock| rules.look(&counters, &event(0, &facts), Timestamp::from_millis(clock)).1;
        let findings = look(clock);
        let Some(finding) = findings.iter().find(|finding| finding.rule().as_str().starts_with("budget.b")) else {
            return Ok(());
        };
        if let Some((_, wait)) = finding.why().rsplit_once(" window in ") {
            let (minutes, rest) = wait.split_once('m').unwrap_or(("0", wait));
            let seconds = rest.trim_end_matches('s').parse::<i64>().unwrap_or(0);
            let waited = clock + 1_000 * (60 * minutes.parse::<i64>().unwrap() + seconds);
            prop_assert!(budget_level(&look(waited)) < Some(finding.level()), "{}", finding.why());
            prop_assert!(budget_level(&look(waited - 1_000)) >= Some(finding.level()), "{}", finding.why());
        }
    }

    #[test]
    fn an_earlier_admitted_call_never_loosens(
        steps in prop::collection::vec(step(), 1..40),
        extra in step(),
        place in 0..40_usize,
    ) {
        // Clocks that go on: a clock that jumps ahead is another matter, and the gate's.
        let rules = rules(6);
        let mut clock = 0;
        let timed: Vec<(i64, Step)> = steps
            .iter()
            .map(|step| {
                clock += step.after.max(0);
                (clock, step.clone())
            })
            .collect();
        let place = place.min(timed.len() - 1);
        let mut longer = timed.clone();
        longer.insert(place, (timed[place].0, Step { admitted: true, ..extra }));
        let judge = |steps: &[(i64, Step)]| {
            let mut counters = Counters::default();
            let mut levels = Vec::new();
            for (clock, step) in steps {
                let facts = step.facts();
                let event = event(step.digest, &facts);
                let (_, findings) = rules.look(&counters, &event, Timestamp::from_millis(*clock));
                levels.push(budget_level(&findings));
                rules.take(&mut counters, &event, Timestamp::from_millis(*clock), step.admitted);
            }
            levels
        };
        let mut with = judge(&longer);
        with.remove(place);
        for (with, without) in with.iter().zip(judge(&timed)) {
            prop_assert!(*with >= without);
        }
    }

    #[test]
    fn past_the_cap_of_keys_no_count_is_below_the_true_one(
        keys in prop::collection::vec((0..400_u32, prop_oneof![60 => 0..60_i64, 1 => 0..70_000_i64]), 400..900),
    ) {
        let rules = rules(50);
        let mut counters = Counters::default();
        let mut all: Vec<(i64, u32)> = Vec::new();
        let mut clock = 0;
        for (key, after) in keys {
            clock += after;
            let facts = deletion(&format!("n{key}"));
            let event = event(key, &facts);
            let (seq, _) = rules.look(&counters, &event, Timestamp::from_millis(clock));
            let truly = all.iter().filter(|(at, of)| clock - at <= WINDOW && *of == key).count();
            prop_assert!(seq.budgets[0].count > i64::try_from(truly).unwrap().min(50));
            rules.take(&mut counters, &event, Timestamp::from_millis(clock), true);
            all.push((clock, key));
        }
    }

    #[test]
    fn no_file_makes_it_panic(text in "(\\PC|\n|\\[\\[budget\\]\\]\n|id = \"x\"\n|limit = -?[0-9]{1,20}\n){0,12}") {
        let _ = load(&text);
    }
}
