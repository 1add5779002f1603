//! Shared budgets, put to the test by whoever would like to be counted as somebody else, or not at all.

use std::collections::BTreeSet;

use super::*;

const RULES: &str = r#"
schema = 1
[defaults]
durability = "strict"

[[budget]]
id = "local"
match = { labels = ["mutating"] }
key = ["session"]
limit = 100
window = { sliding = "10m" }
durability = "none"

[[budget]]
id = "agents"
match = { labels = ["mutating"] }
key = ["agent", "target.namespace"]
limit = 3
window = { sliding = "10m" }
ladder = [{ at = 2, then = "audit" }, { over = 0, then = "ask" }]
ceiling = 5

[[budget]]
id = "tools"
match = { labels = ["mutating"], tools = ["restart"] }
key = ["fleet"]
limit = 1
window = { sliding = "1h" }

[[budget]]
id = "all"
match = { labels = ["mutating"] }
key = ["fleet"]
limit = 8
window = { sliding = "1d" }
ceiling = 9
durability = "process"

[[loop]]
id = "stuck"
exact_repeat = 3
"#;

fn rules() -> Rules {
    load(RULES).unwrap()
}

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn agent(instance: &str) -> Actor {
    Actor {
        instance: Some(word(instance)),
        ..actor()
    }
}

/// What each call of `actor` is told by rules that a store counts for.
fn given(rules: &Rules, facts: &Facts, counts: &[u64]) -> (SeqFacts, Vec<Finding>) {
    let shared = Shared::Counted(counts);
    rules.inspect(&Counters::default(), &event(1, facts), &actor(), at(0), shared)
}

#[test]
fn a_store_is_asked_for_each_shared_budget_that_is_met_in_order() {
    let (rules, facts) = (rules(), deletion("prod"));
    let demands = rules.demands(&event(1, &facts), &agent("a"));
    let said: Vec<_> = demands
        .iter()
        .map(|d| (&*d.rule, d.window.to_string(), d.ceiling))
        .collect();
    assert_eq!(
        said,
        [("agents", "in 10m".to_owned(), 5), ("all", "in 1d".to_owned(), 9)]
    );
    assert_eq!(
        demands[1].key.map(|key| key[..4].to_vec()),
        Some(vec![0xe3, 0xb0, 0xc4, 0x42])
    );
    assert!(rules.demands(&event(1, &Facts::default()), &agent("a")).is_empty());
    assert!(ops().demands(&event(1, &facts), &agent("a")).is_empty());
}

#[test]
fn a_call_that_does_not_say_which_has_no_key_and_still_a_scope() {
    let rules = rules();
    let known = rules.demands(&event(1, &deletion("prod")), &agent("a"));
    let partial = Facts {
        labels: LabelSet::EMPTY,
        partial: true,
        ..deletion("prod")
    };
    let several = Facts {
        target: Target {
            namespace: Fact::Unknown,
            ..Target::default()
        },
        ..deletion("")
    };
    for facts in [partial, several, deletion("*")] {
        let demands = rules.demands(&event(1, &facts), &agent("a"));
        assert_eq!(demands.len(), 2, "{facts:?}");
        assert_eq!((demands[0].key, demands[0].scope), (None, known[0].scope));
        assert_eq!(demands[1], known[1]);
    }
}

#[test]
fn nobody_is_counted_as_another() {
    let facts = deletion("prod");
    let with = |whose: &str, actor: &Actor| {
        let rules = load(&RULES.replace("\"agent\"", &format!("\"{whose}\""))).unwrap();
        rules.demands(&event(1, &facts), actor)[0].scope
    };
    let mut other = agent("b");
    other.session = word("s2");
    other.role = word("dev");
    other.on_behalf_of = Some(word("alice"));
    for whose in ["session", "agent", "role", "person"] {
        assert_ne!(with(whose, &agent("a")), with(whose, &other), "{whose}");
    }
    assert_eq!(with("fleet", &agent("a")), with("fleet", &other));
    // An agent without instance goes by its role; an instance of that name is still another.
    assert_eq!(
        with("agent", &actor()),
        with(
            "agent",
            &Actor {
                session: word("s9"),
                ..actor()
            }
        )
    );
    assert_ne!(with("agent", &actor()), with("agent", &agent("ops")));
    // Whatever the part is called, the same name does not stand for two.
    let mut same = agent("x");
    (same.role, same.session, same.on_behalf_of) = (word("x"), word("x"), Some(word("x")));
    let whose = ["session", "agent", "role", "person", "fleet"];
    assert_eq!(
        whose
            .map(|whose| with(whose, &same))
            .into_iter()
            .collect::<BTreeSet<_>>()
            .len(),
        5
    );
}

#[test]
fn no_value_of_a_call_makes_the_key_of_another() {
    let rules = load(&RULES.replace("\"target.namespace\"", "\"target.namespace\", \"target.name\"")).unwrap();
    let key = |namespace: &str, name: &str| {
        let mut facts = deletion(namespace);
        facts.target.name = Fact::Is(name.into());
        rules.demands(&event(1, &facts), &agent("a"))[0].key.unwrap()
    };
    let forged = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc", ""),
        ("", "abc"),
        ("a\u{5}\0\0\0\u{2}bc", ""),
        ("", ""),
    ];
    let keys: BTreeSet<_> = forged.map(|(namespace, name)| key(namespace, name)).into();
    assert_eq!(keys.len(), forged.len());
    // In the session's own counters a value cannot pass for a scope either.
    let mut counters = Counters::default();
    let long = "x".repeat(500);
    for (n, namespace) in ["\u{fe}", &long, "", "\u{5}"].into_iter().enumerate() {
        let facts = deletion(namespace);
        let (seq, _) = rules.inspect(&counters, &event(1, &facts), &agent("a"), at(0), Shared::Local);
        assert_eq!(seq.budgets[1].count, 1, "{n}");
        rules.advance(
            &mut counters,
            &event(1, &facts),
            &agent("a"),
            at(0),
            Shared::Local,
            Taken::Admitted,
        );
    }
}

#[test]
fn the_counts_of_the_store_are_the_counts() {
    let (rules, facts) = (rules(), deletion("prod"));
    let mut counters = Counters::default();
    // Whatever the session has counted of its own, by whatever way.
    for n in 0..3 {
        rules.advance(
            &mut counters,
            &event(n, &facts),
            &actor(),
            at(0),
            Shared::Local,
            Taken::Admitted,
        );
    }
    let look = |counts: &[u64]| rules.inspect(&counters, &event(9, &facts), &actor(), at(0), Shared::Counted(counts));
    let (seq, findings) = look(&[4, 2]);
    let counts: Vec<i64> = seq.budgets.iter().map(|budget| budget.count).collect();
    assert_eq!(counts, [4, 4, 0, 2]);
    assert_eq!(
        (seq.budgets[1].over, seq.budgets[1].fired, seq.budgets[3].remaining),
        (1, true, 6)
    );
    assert_eq!(
        said(&findings),
        [(
            "budget.agents",
            Level::Ask,
            "4 of 3 in 10m by this agent for target.namespace \"prod\""
        )]
    );
    // Times are the store's, so nothing is said of waiting; what would pass is.
    assert_eq!(findings[0].hint(), "at most 3 in 10m pass without asking");
}

#[test]
fn rungs_and_ceilings_stand_where_they_stood() {
    let (rules, facts) = (rules(), deletion("prod"));
    let level = |count: u32| {
        let (seq, findings) = given(&rules, &facts, &[u64::from(count), 1]);
        let found = findings
            .first()
            .map(|finding| (finding.level(), finding.rule().as_str().to_owned()));
        assert_eq!(seq.budgets[1].fired, found.is_some());
        assert_eq!(seq.budgets[1].count, i64::from(count));
        found
    };
    let rule = |level, id: &str| Some((level, id.to_owned()));
    assert_eq!(level(1), None);
    assert_eq!(level(2), rule(Level::Note, "budget.agents"));
    assert_eq!(level(3), rule(Level::Note, "budget.agents"));
    assert_eq!(level(4), rule(Level::Ask, "budget.agents"));
    assert_eq!(level(5), rule(Level::Ask, "budget.agents"));
    for count in [6, 7, u32::MAX] {
        assert_eq!(level(count), rule(Level::Deny, "budget.agents.ceiling"));
    }
    let (_, findings) = given(&rules, &facts, &[6, 1]);
    assert_eq!(
        findings[0].why(),
        "6 of 3 in 10m by this agent for target.namespace \"prod\", past the ceiling of 5"
    );
}

#[test]
fn counts_that_do_not_fit_deny() {
    let (rules, facts) = (rules(), deletion("prod"));
    // One too few, none, one too many, and counts that leave this call out.
    for counts in [&[1][..], &[], &[1, 1, 1], &[0, 0]] {
        let (seq, findings) = given(&rules, &facts, counts);
        let denied: Vec<_> = findings
            .iter()
            .map(|f| (f.rule().as_str(), f.level(), f.is_breakdown()))
            .collect();
        let both = ["budget.agents", "budget.all"].map(|rule| (rule, Level::Deny, true));
        assert_eq!(denied, both, "{counts:?}");
        assert!(seq.budgets[1].fired && seq.budgets[1].count > 5 && seq.budgets[1].remaining == 0);
    }
    let (_, findings) = given(&rules, &facts, &[0, 1]);
    assert_eq!(
        findings.iter().map(|f| f.rule().as_str()).collect::<Vec<_>>(),
        ["budget.agents"]
    );
    // The session's own budget is judged all the same, and a call that meets no shared one needs no counts.
    let strict = load(&RULES.replace("limit = 100", "limit = 0")).unwrap();
    let (_, findings) = given(&strict, &facts, &[]);
    assert_eq!(findings[0].rule().as_str(), "budget.local");
    assert!(given(&rules, &Facts::default(), &[]).1.is_empty());
}

#[test]
fn what_a_store_counted_is_not_counted_here() {
    let (rules, facts) = (rules(), deletion("prod"));
    let (counts, mut counters) = ([1, 1], Counters::default());
    let before = counters.bytes();
    let shared = Shared::Counted(&counts);
    let event = event(1, &facts);
    rules.advance(&mut counters, &event, &actor(), at(0), shared, Taken::Admitted);
    let count = |counters: &Counters| -> Vec<i64> {
        let (seq, _) = rules.inspect(counters, &event, &actor(), at(0), Shared::Local);
        seq.budgets.iter().map(|budget| budget.count).collect()
    };
    assert_eq!(count(&counters), [2, 1, 0, 1]);
    assert!(counters.bytes() > before);
    // Taking it back takes back what is here, and nothing that was counted another way.
    rules.advance(&mut counters, &event, &actor(), at(0), Shared::Local, Taken::Admitted);
    rules.refund(&mut counters, &event, &actor(), at(0), shared);
    assert_eq!(count(&counters), [2, 2, 0, 2]);
    rules.refund(&mut counters, &event, &actor(), at(0), Shared::Local);
    assert_eq!(count(&counters), [1, 1, 0, 1]);
}

#[test]
fn without_a_store_each_scope_is_counted_apart() {
    let (rules, facts) = (rules(), deletion("prod"));
    let mut counters = Counters::default();
    let event = event(1, &facts);
    for instance in ["a", "a", "b"] {
        rules.advance(
            &mut counters,
            &event,
            &agent(instance),
            at(0),
            Shared::Local,
            Taken::Admitted,
        );
    }
    let look = |instance: &str, facts: &Facts| {
        let event = Event { facts, ..event };
        let (seq, findings) = rules.inspect(&counters, &event, &agent(instance), at(60), Shared::Local);
        (seq.budgets[1].count, seq.budgets[3].count, findings)
    };
    let (agents, all, _) = look("a", &facts);
    assert_eq!((agents, all), (3, 4));
    assert_eq!(look("b", &facts).0, 2);
    assert_eq!(look("c", &facts).0, 1);
    // A call that may act on anything goes by the fullest of any; only ever too high.
    assert_eq!(look("c", &deletion("*")).0, 3);
    // Here the times are known.
    for n in 0..5 {
        rules.advance(
            &mut counters,
            &super::event(n, &facts),
            &agent("a"),
            at(60),
            Shared::Local,
            Taken::Admitted,
        );
    }
    let (_, findings) = rules.inspect(&counters, &event, &agent("a"), at(60), Shared::Local);
    assert!(
        findings[0].why().contains("past the ceiling of 5; the "),
        "{}",
        findings[0].why()
    );
    for n in 0..500 {
        rules.advance(
            &mut counters,
            &event,
            &agent(&format!("n{n}")),
            at(60),
            Shared::Local,
            Taken::Admitted,
        );
    }
    assert!(counters.bytes() <= rules.most_bytes());
}

#[test]
fn a_ceiling_in_the_store_reads_like_one_here() {
    let (rules, facts) = (rules(), deletion("prod"));
    let event = event(1, &facts);
    let over = |demand, count, free_at| rules.over(&event, &actor(), demand, count, free_at, at(100));
    let finding = over(0, 6, Some(at(301)));
    assert_eq!(
        said(std::slice::from_ref(&finding)),
        [(
            "budget.agents.ceiling",
            Level::Deny,
            "6 of 3 in 10m by this agent for target.namespace \"prod\", past the ceiling of 5; the oldest leaves the \
             window in 3m21s"
        )]
    );
    assert_eq!(finding.hint(), "at most 5 in 10m pass, whoever agrees");
    assert!(!finding.is_breakdown());
    assert_eq!(
        over(1, 10, None).why(),
        "10 of 8 in 1d by all agents, past the ceiling of 9"
    );
    // A ceiling that was lowered, and a store whose time went on.
    assert!(
        over(0, 8, Some(at(90)))
            .why()
            .ends_with("; the 3 oldest have left the window in 1s")
    );
    for demand in [2, usize::MAX] {
        let fault = over(demand, 6, None);
        assert_eq!((fault.level(), fault.is_breakdown()), (Level::Deny, true));
    }
}

#[test]
fn a_later_attempt_is_the_same_time_again() {
    let (rules, facts) = (rules(), deletion("prod"));
    let mut counters = Counters::default();
    let of = |n: u32, attempt: u32| Event {
        attempt,
        ..event(n, &facts)
    };
    let streak = |counters: &Counters, event: &Event<'_>| rules.look(counters, event, at(1)).0.loops[0].streak;
    for n in 1..=2 {
        assert_eq!(streak(&counters, &of(7, 0)), n);
        rules.take(&mut counters, &of(7, 0), at(1), false);
        // People agreed; the whole check is repeated, and the loop stands where it stood.
        for attempt in 1..4 {
            assert_eq!(streak(&counters, &of(7, attempt)), n);
            rules.take(&mut counters, &of(7, attempt), at(1), attempt == 1);
        }
    }
    // Budgets counted the attempts that were admitted, and only those.
    assert_eq!(rules.look(&counters, &of(7, 1), at(1)).0.budgets[0].count, 3);
    // Another call in between began its own streak, and a late attempt neither breaks that nor finds its own.
    rules.take(&mut counters, &of(8, 0), at(1), true);
    assert_eq!(streak(&counters, &of(7, 1)), 1);
    rules.take(&mut counters, &of(7, 1), at(1), true);
    assert_eq!(streak(&counters, &of(8, 0)), 2);
    // A rule that fired for the first attempt fires for the second.
    rules.take(&mut counters, &of(8, 0), at(1), false);
    rules.take(&mut counters, &of(8, 0), at(1), false);
    assert!(rules.look(&counters, &of(8, 1), at(1)).0.loops[0].fired);
}
