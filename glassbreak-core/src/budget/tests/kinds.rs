//! The automata against examples; `properties` has what must hold of every sequence of calls.

mod properties;

use super::*;
use crate::facts::BreakerFacts;

fn labelled(words: &[&str]) -> Facts {
    let labels = labels(words);
    Facts {
        labels,
        possible_labels: labels,
        ..Facts::default()
    }
}

fn rules(lines: &str) -> Rules {
    load(&format!("schema = 1\n{lines}")).unwrap()
}

/// A session that tells what it would say, and takes what it does not deny.
struct Session {
    rules: Rules,
    counters: Counters,
}

impl Session {
    fn new(lines: &str) -> Self {
        Self {
            rules: rules(lines),
            counters: Counters::default(),
        }
    }

    fn look(&self, event: &Event<'_>, seconds: i64) -> (SeqFacts, Vec<Finding>) {
        self.rules.look(&self.counters, event, at(seconds))
    }

    fn take(&mut self, event: &Event<'_>, seconds: i64) {
        self.rules.take(&mut self.counters, event, at(seconds), true);
    }

    fn end(&mut self, event: &Event<'_>, seconds: i64, done: bool) {
        self.rules
            .ended(&mut self.counters, event, at(seconds), at(seconds), done);
    }

    fn levels(&self, event: &Event<'_>, seconds: i64) -> Vec<Level> {
        self.look(event, seconds).1.iter().map(Finding::level).collect()
    }
}

const LEAK: &str = "[[pattern]]\nid = \"leak\"\nsteps = [{ labels = [\"secret.read\"] }, { labels = [\"untrusted.in\"] }, \
                    { labels = [\"net.egress\"] }]\nwithin = \"100s\"\n";

#[test]
fn a_pattern_tells_how_far_it_is_and_fires_within_its_time() {
    let mut session = Session::new(LEAK);
    let [secret, stranger, egress] = ["secret.read", "untrusted.in", "net.egress"].map(|word| labelled(&[word]));
    let seen = |session: &Session, seconds| {
        let (seq, findings) = session.look(&event(9, &egress), seconds);
        let facts = seq.patterns[0];
        (facts.armed, facts.fired, facts.step, facts.age_s, findings.len())
    };
    session.take(&event(1, &stranger), 0);
    assert_eq!(seen(&session, 0), (false, false, 0, 0, 0));
    session.take(&event(2, &secret), 10);
    assert_eq!(seen(&session, 12), (false, false, 1, 2, 0));
    session.take(&event(3, &stranger), 20);
    assert_eq!(seen(&session, 110), (true, true, 2, 100, 1));
    assert_eq!(seen(&session, 111), (false, false, 0, 0, 0));
    let (_, findings) = session.look(&event(9, &egress), 50);
    assert_eq!(
        findings[0].why(),
        "it is the last of 3 steps that together are refused; the first was 40s ago"
    );
}

#[test]
fn what_breaks_a_chain_breaks_it_when_it_is_done_and_only_what_began_before() {
    let broken = format!("{LEAK}unless = {{ labels = [\"mutating\"] }}\n");
    let mut session = Session::new(&broken);
    let [secret, stranger, egress, change] =
        ["secret.read", "untrusted.in", "net.egress", "mutating"].map(|word| labelled(&[word]));
    session.take(&event(1, &secret), 0);
    session.take(&event(2, &stranger), 1);
    session.take(&event(3, &change), 2);
    assert!(
        session.look(&event(9, &egress), 3).0.patterns[0].fired,
        "it has not run yet"
    );
    session.end(&event(3, &change), 2, false);
    assert!(session.look(&event(9, &egress), 3).0.patterns[0].fired, "it failed");
    session.end(&event(3, &change), 2, true);
    assert!(!session.look(&event(9, &egress), 3).0.patterns[0].fired);
    // A call that may be one is none for sure.
    session.take(&event(1, &secret), 4);
    session.take(&event(2, &stranger), 5);
    let blurred = Facts {
        partial: true,
        possible_labels: labels(&["mutating"]),
        ..Facts::default()
    };
    session.take(&event(4, &blurred), 6);
    session.end(&event(4, &blurred), 6, true);
    assert!(session.look(&event(9, &egress), 7).0.patterns[0].fired);
}

#[test]
fn a_latch_holds_what_ran_and_lets_go_of_what_did_not() {
    let mut session = Session::new(
        "[[latch]]\nid = \"two\"\nlatch = [\"untrusted.in\", \"secret.read\"]\nmatch = { any = [\"mutating\", \"net.egress\"] }\nthen = \"deny\"\n",
    );
    let [secret, stranger, egress] = ["secret.read", "untrusted.in", "net.egress"].map(|word| labelled(&[word]));
    session.take(&event(1, &secret), 0);
    session.take(&event(2, &stranger), 1);
    assert_eq!(session.levels(&event(9, &egress), 1_000_000), [Level::Deny]);
    assert_eq!(session.levels(&event(9, &secret), 1_000_000), []);
    session.take(&event(2, &stranger), 2);
    session.rules.refund(
        &mut session.counters,
        &event(2, &stranger),
        &actor(),
        at(2),
        Shared::Local,
    );
    assert_eq!(
        session.levels(&event(9, &egress), 3),
        [Level::Deny],
        "the other one ran"
    );
    session.rules.refund(
        &mut session.counters,
        &event(2, &stranger),
        &actor(),
        at(1),
        Shared::Local,
    );
    assert_eq!(session.levels(&event(9, &egress), 3), []);
    // What is all of it at once needs nothing before it.
    let all = labelled(&["secret.read", "untrusted.in", "net.egress"]);
    assert_eq!(session.levels(&event(9, &all), 3), [Level::Deny]);
}

#[test]
fn a_new_thing_past_the_limit_fires_and_an_old_one_within_it_does_not() {
    let mut session = Session::new(
        "[[distinct]]\nid = \"places\"\nmatch = { labels = [\"mutating\"] }\nof = \"target.namespace\"\nlimit = 2\n",
    );
    for (n, ns) in ["a", "b", "a"].into_iter().enumerate() {
        let facts = deletion(ns);
        let n = u32::try_from(n).unwrap();
        assert_eq!(session.levels(&event(n, &facts), 0), []);
        session.take(&event(n, &facts), 0);
    }
    let (seq, findings) = session.look(&event(9, &deletion("c")), 0);
    let facts = seq.distincts[0];
    assert_eq!(
        (facts.count, facts.limit, facts.is_new, facts.fired),
        (3, 2, true, true)
    );
    assert!(
        findings[0]
            .why()
            .starts_with("target.namespace \"c\" would be one more"),
        "{findings:?}"
    );
    assert_eq!(session.levels(&event(9, &deletion("b")), 0), []);
    // One that nobody knows is one more, each time.
    assert_eq!(session.levels(&event(9, &deletion("*")), 0), [Level::Ask]);
    let c = deletion("c");
    session.take(&event(9, &c), 0);
    session
        .rules
        .refund(&mut session.counters, &event(9, &c), &actor(), at(0), Shared::Local);
    assert_eq!(session.look(&event(9, &c), 0).0.distincts[0].count, 3);
    assert_eq!(session.look(&event(9, &deletion("a")), 0).0.distincts[0].count, 2);
}

#[test]
fn a_breaker_opens_waits_longer_each_time_and_lets_one_try() {
    let mut session = Session::new(
        "[[breaker]]\nid = \"down\"\nkey = [\"session\", \"program\"]\nconsecutive = 2\nopen = \"30s\"\nmax_open = \"100s\"\n",
    );
    let facts = Facts::default();
    let call = event(1, &facts);
    let state = |session: &Session, seconds| session.look(&call, seconds).0.breakers[0].state;
    for (seconds, done) in [(0, false), (1, true), (2, false), (3, false)] {
        assert_eq!(session.levels(&call, seconds), [], "{seconds}");
        session.take(&call, seconds);
        session.end(&call, seconds, done);
    }
    assert_eq!(
        (state(&session, 32), session.levels(&call, 32)),
        ("open", vec![Level::Deny])
    );
    let other = Event {
        name: Name::Program("git"),
        ..call
    };
    assert_eq!(session.look(&other, 32).0.breakers[0], BreakerFacts::default());
    assert_eq!((state(&session, 33), session.levels(&call, 33)), ("half-open", vec![]));
    session.take(&call, 33);
    assert_eq!(session.levels(&call, 33), [Level::Deny], "one tries at a time");
    session.end(&call, 33, false);
    assert_eq!((state(&session, 92), state(&session, 93)), ("open", "half-open"));
    session.take(&call, 93);
    // Nobody tells how that ended: after as long as it may be open, it has failed.
    assert_eq!((state(&session, 193), state(&session, 194)), ("half-open", "open"));
    assert_eq!(state(&session, 93 + 100 + 61), "half-open");
    session.take(&call, 254);
    session.end(&call, 254, true);
    assert_eq!((state(&session, 255), session.levels(&call, 255)), ("closed", vec![]));
}

#[test]
fn a_breaker_forgives_only_what_it_is_sure_of() {
    let mut session =
        Session::new("[[breaker]]\nid = \"down\"\nkey = [\"session\", \"target.namespace\"]\nconsecutive = 2\n");
    let (prod, all, partial) = (deletion("prod"), deletion("*"), {
        let mut facts = deletion("prod");
        facts.partial = true;
        facts
    });
    let state = |session: &Session, facts: &Facts| session.look(&event(1, facts), 5).0.breakers[0].state;
    let mut one = |facts: &Facts, done| {
        session.take(&event(1, facts), 0);
        session.end(&event(1, facts), 0, done);
    };
    // A call on all namespaces that succeeds says nothing about the one that fails, nor does one not understood.
    one(&prod, false);
    one(&all, true);
    one(&partial, true);
    one(&prod, false);
    assert_eq!((state(&session, &prod), state(&session, &all)), ("open", "open"));
}

#[test]
fn a_breaker_counts_failures_of_what_is_not_known_under_every_key() {
    let mut session =
        Session::new("[[breaker]]\nid = \"down\"\nkey = [\"session\", \"target.namespace\"]\nconsecutive = 2\n");
    let (prod, all) = (deletion("prod"), deletion("*"));
    for _ in 0..2 {
        assert_eq!(session.levels(&event(1, &all), 0), []);
        session.take(&event(1, &all), 0);
        session.end(&event(1, &all), 0, false);
    }
    assert_eq!(session.levels(&event(1, &all), 0), [Level::Deny]);
    assert_eq!(
        session.levels(&event(1, &prod), 0),
        [Level::Deny],
        "it may have been this one"
    );
    // Half open: one of them tries, and what succeeds closes what it was counted under alone.
    session.take(&event(1, &all), 40);
    session.end(&event(1, &all), 40, true);
    assert_eq!(session.look(&event(1, &all), 41).0.breakers[0].state, "closed");
}

#[test]
fn what_began_in_the_moment_a_breaker_opened_does_not_close_it() {
    let mut session = Session::new("[[breaker]]\nid = \"down\"\nkey = [\"session\"]\nconsecutive = 1\n");
    let facts = Facts::default();
    session.take(&event(1, &facts), 3);
    session.take(&event(2, &facts), 3);
    session.end(&event(1, &facts), 3, false);
    session
        .rules
        .ended(&mut session.counters, &event(2, &facts), at(3), at(4), true);
    assert_eq!(session.levels(&event(3, &facts), 5), [Level::Deny]);
}

#[test]
fn the_second_time_it_is_stuck_is_the_last() {
    let mut session = Session::new("[[loop]]\nid = \"stuck\"\nfailing_repeat = 2\nsecond_hit = \"kill\"\n");
    let facts = Facts::default();
    let call = event(7, &facts);
    for n in 0..2 {
        session.take(&call, n);
        session.end(&call, n, false);
    }
    assert_eq!(session.levels(&call, 3), [Level::Ask]);
    session.take(&call, 3);
    assert_eq!(session.levels(&call, 4), [Level::DenyAndLock]);
    // The attempt that people agreed to is no second time.
    let again = Event { attempt: 1, ..call };
    assert_eq!(session.levels(&again, 4), [Level::Ask]);
    session.end(&call, 4, true);
    assert_eq!(session.levels(&call, 5), [], "what works again is not stuck");
}

#[test]
fn asks_and_denials_are_counted_when_they_happen_and_once() {
    let rules = rules(
        "[[approvals]]\nid = \"tired\"\nkey = [\"session\"]\nlimit = 2\nthen = \"deny\"\nwindow = { sliding = \"1h\" }\n\
         [[denials]]\nid = \"probing\"\nkey = [\"session\"]\nlimit = 1\nthen = \"kill\"\n",
    );
    let mut counters = Counters::default();
    let facts = Facts::default();
    let ask = |counters: &Counters, attempt| {
        let event = Event {
            attempt,
            ..event(1, &facts)
        };
        rules
            .inspect_event(counters, &event, &actor(), at(0), Taken::Asked)
            .iter()
            .map(Finding::level)
            .collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(ask(&counters, 0), []);
        rules.asked(&mut counters, &event(1, &facts), &actor(), at(0));
    }
    assert_eq!((ask(&counters, 0), ask(&counters, 1)), (vec![Level::Deny], vec![]));
    assert_eq!(rules.look(&counters, &event(1, &facts), at(0)).0.budgets[0].count, 2);
    assert_eq!(rules.budget_ids().collect::<Vec<_>>(), ["tired", "probing"]);
    let denied = |counters: &Counters| rules.inspect_event(counters, &event(1, &facts), &actor(), at(0), Taken::Denied);
    assert_eq!(denied(&counters).len(), 0);
    rules.take(&mut counters, &event(1, &facts), at(0), false);
    assert_eq!(denied(&counters)[0].level(), Level::DenyAndLock);
}

#[test]
fn levels_are_counted_together_and_each_has_its_facts() {
    let rules = load(
        "schema = 1\n[[budget]]\nid = \"spend\"\nmatch = { cost = \"usd\" }\namount = \"cost.usd\"\nthen = \"deny\"\n\
         levels = [{ key = [\"session\"], limit = 5 }, { key = [\"fleet\"], limit = 9, window = { calendar = \"day\" } }]\n",
    )
    .unwrap();
    assert_eq!(rules.budget_ids().collect::<Vec<_>>(), ["spend", "spend_levels_1"]);
    assert_eq!(rules.hash_of("spend"), rules.hash_of("spend_levels_1"));
    let mut facts = Facts {
        costs: vec![("usd".into(), Some(4))],
        ..Facts::default()
    };
    let demands = rules.demands(&event(1, &facts), &actor());
    assert_eq!(demands.iter().map(|demand| demand.amount).collect::<Vec<_>>(), [4, 4]);
    assert_ne!(demands[0].scope, demands[1].scope);
    let mut counters = Counters::default();
    rules.take(&mut counters, &event(1, &facts), at(0), true);
    let (seq, findings) = rules.look(&counters, &event(1, &facts), at(0));
    assert_eq!(
        seq.budgets.iter().map(|budget| budget.count).collect::<Vec<_>>(),
        [8, 8]
    );
    assert_eq!(said(&findings), [("budget.spend", Level::Deny, "8 of 5 in all")]);
    // What is not known never passes for nothing.
    facts.costs = vec![("usd".into(), None)];
    let (_, findings) = rules.look(&Counters::default(), &event(1, &facts), at(0));
    assert_eq!(
        findings.iter().map(Finding::level).collect::<Vec<_>>(),
        [Level::Deny, Level::Deny]
    );
    assert!(
        findings[0]
            .why()
            .starts_with("what it costs in usd is not known; it counts as 5 of 5"),
        "{findings:?}"
    );
}

#[test]
fn sub_agents_count_for_their_parents() {
    let rules =
        load("schema = 1\n[[budget]]\nid = \"x\"\nmatch = { labels = [] }\nkey = [\"agent\"]\nlimit = 3\n").unwrap();
    let facts = Facts::default();
    let word = |text: &str| Word::new(text).unwrap();
    let parent = Actor {
        instance: Some(word("p")),
        ..actor()
    };
    let child = Actor {
        instance: Some(word("c")),
        parents: vec![word("p"), word("ops")],
        ..actor()
    };
    let of_parent = rules.demands(&event(1, &facts), &parent);
    let of_child = rules.demands(&event(1, &facts), &child);
    assert_eq!((of_parent.len(), of_child.len()), (1, 5));
    assert!(of_child.iter().any(|demand| demand.scope == of_parent[0].scope));
    // The fullest of all is what counts.
    let (seq, _) = rules.inspect(
        &Counters::default(),
        &event(1, &facts),
        &child,
        at(0),
        Shared::Counted(&[1, 7, 1, 2, 1]),
    );
    assert_eq!(seq.budgets[0].count, 7);
    let short = rules.inspect(
        &Counters::default(),
        &event(1, &facts),
        &child,
        at(0),
        Shared::Counted(&[1]),
    );
    assert!(short.1[0].is_breakdown());
}

#[test]
fn a_state_that_is_not_one_is_not_read() {
    let counters = Counters::default();
    let text = counters.to_json();
    assert_eq!(Counters::from_json(&text).unwrap(), counters);
    for wrong in [
        "",
        "{}",
        &text.replace("\"version\":1", "\"version\":2"),
        &text.replace("\"newest\"", "\"newst\""),
    ] {
        assert!(Counters::from_json(wrong).is_err(), "{wrong}");
    }
}
