//! Counts of a store against counts in the session: a store in a few lines keeps every reservation, and what it says
//! must come to the same as counting alone, for any number of agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::finding::Level;

const RULES: &str = r#"
schema = 1
[[budget]]
id = "agents"
match = { labels = ["mutating"] }
key = ["agent", "target.namespace"]
limit = 2
window = { sliding = "60s" }
ladder = [{ at = 2, then = "audit" }, { over = 0, then = "ask" }]
ceiling = 4
[[budget]]
id = "people"
match = { labels = ["mutating"], programs = ["kubectl"] }
key = ["person"]
limit = 3
window = { sliding = "30s" }
durability = "process"
ceiling = 6
[[budget]]
id = "all"
match = { labels = ["mutating"] }
key = ["fleet", "program"]
limit = 5
window = { sliding = "90s" }
ladder = []
ceiling = 9
"#;

#[derive(Debug, Clone)]
struct Step {
    after: i64,
    agent: u8,
    /// `None` where it is not known.
    namespace: Option<u8>,
    person: Option<u8>,
    agreed: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![4 => 0..15_000_i64, 1 => Just(30_000), 1 => Just(60_001)];
    let namespace = prop_oneof![8 => (0..2_u8).prop_map(Some), 1 => Just(None)];
    (after, 0..3_u8, namespace, prop::option::of(0..2_u8), any::<bool>()).prop_map(
        |(after, agent, namespace, person, agreed)| Step {
            after,
            agent,
            namespace,
            person,
            agreed,
        },
    )
}

/// Every reservation by rule and scope: when, and under which key.
#[derive(Default)]
struct Store(BTreeMap<(Arc<str>, [u8; 16]), Vec<Reservation>>);

type Reservation = (i64, Option<[u8; 16]>);

impl Store {
    /// How many there would be with one more. A call of no known key counts under every key of its scope, and goes by
    /// the fullest.
    fn count(&self, demand: &Demand, now: i64) -> u64 {
        let window = i64::try_from(demand.window.longest().unwrap().as_millis()).unwrap();
        let all = self.0.get(&(Arc::clone(&demand.rule), demand.scope));
        let inside: Vec<_> = all
            .into_iter()
            .flatten()
            .filter(|(at, _)| now - at <= window)
            .map(|(_, key)| key)
            .collect();
        let under = |key: &Option<[u8; 16]>| inside.iter().filter(|known| **known == key).count();
        let own = match demand.key {
            Some(_) => under(&demand.key),
            None => inside
                .iter()
                .filter(|key| key.is_some())
                .map(|key| under(key))
                .max()
                .unwrap_or(0),
        };
        u64::try_from(own + under(&None) + 1).unwrap()
    }

    fn reserve(&mut self, demand: Demand, now: i64) {
        let made = self.0.entry((demand.rule, demand.scope)).or_default();
        made.push((now, demand.key));
    }
}

fn levels(findings: &[Finding]) -> Vec<(String, Level)> {
    let of = |finding: &Finding| (finding.rule().as_str().to_owned(), finding.level());
    findings.iter().map(of).collect()
}

proptest! {
    #[test]
    fn one_session_alone_and_a_store_say_the_same(steps in prop::collection::vec(step(), 0..60)) {
        let rules = load(RULES).unwrap();
        let (mut alone, mut beside, mut store) = (Counters::default(), Counters::default(), Store::default());
        let (mut clock, mut blurred) = (0, false);
        for step in &steps {
            clock += step.after;
            let at = Timestamp::from_millis(clock);
            let mut actor = actor();
            actor.instance = (step.agent > 0).then(|| Word::new(&format!("a{}", step.agent)).unwrap());
            actor.on_behalf_of = step.person.map(|person| Word::new(&format!("p{person}")).unwrap());
            let facts = deletion(&step.namespace.map_or("*".to_owned(), |n| format!("n{n}")));
            let event = event(1, &facts);
            let demands = rules.demands(&event, &actor);
            let counts: Vec<u64> = demands.iter().map(|demand| store.count(demand, clock)).collect();
            let (here, here_found) = rules.inspect(&alone, &event, &actor, at, Shared::Local);
            let given = Shared::Counted(&counts);
            let (there, there_found) = rules.inspect(&beside, &event, &actor, at, given);
            for ((here, there), count) in here.budgets.iter().zip(&there.budgets).zip(&counts) {
                prop_assert_eq!(there.count, i64::try_from(*count).unwrap());
                // A call of no known key counts, in the session, under every scope.
                prop_assert!(here.count >= there.count);
            }
            blurred |= step.namespace.is_none();
            if !blurred {
                prop_assert_eq!(&here, &there);
                prop_assert_eq!(levels(&here_found), levels(&there_found));
            }
            let level = there_found.iter().map(Finding::level).max();
            let admitted = match level {
                Some(Level::Deny | Level::DenyAndLock) => false,
                Some(Level::Ask) => step.agreed,
                _ => true,
            };
            rules.advance(&mut alone, &event, &actor, at, Shared::Local, taken(admitted));
            rules.advance(&mut beside, &event, &actor, at, given, taken(admitted));
            if admitted {
                demands.into_iter().for_each(|demand| store.reserve(demand, clock));
            }
        }
        // Beside a store the session keeps nothing of them.
        let kept = rules.inspect(&beside, &event(1, &deletion("n0")), &actor(), Timestamp::from_millis(clock), Shared::Local);
        prop_assert!(kept.0.budgets.iter().all(|budget| budget.count == 1));
    }
}
