//! The automata against models that keep every call and scan them all.

use proptest::prelude::*;

use super::*;

const LABELS: [&str; 4] = ["secret.read", "net.egress", "untrusted.in", "mutating"];

fn words() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(LABELS.to_vec(), 0..=2)
}

const ALL: &str = "[[pattern]]\nid = \"leak\"\nsteps = [{ labels = [\"secret.read\"] }, { labels = [\"net.egress\"] }]\n\
                   within = \"100s\"\n\
                   [[latch]]\nid = \"two\"\nlatch = [\"untrusted.in\", \"secret.read\"]\nmatch = { labels = [\"mutating\"] }\n\
                   [[distinct]]\nid = \"places\"\nmatch = { labels = [] }\nof = \"target.namespace\"\nlimit = 3\nthen = \"deny\"\n\
                   [[budget]]\nid = \"sum\"\nmatch = { labels = [] }\namount = \"cost.x\"\nkey = [\"session\", \"target.namespace\"]\n\
                   limit = 9\nwindow = { sliding = \"60s\", buckets = 7 }\nladder = [{ over = 0, then = \"ask\" }, { over = 9, then = \"deny\" }]\n\
                   [[budget]]\nid = \"ever\"\nmatch = { any = [\"mutating\", \"net.egress\"] }\nkey = [\"session\"]\nlimit = 6\n";

proptest! {
    #[test]
    fn an_earlier_call_never_loosens_what_never_forgives(
        calls in prop::collection::vec((words(), 0..5_u8, 0..6_u64, 0..40_i64), 1..30),
        extra in (words(), 0..5_u8, 0..6_u64),
        place in 0..30_usize,
    ) {
        let facts = |(words, ns, cost): &(Vec<&'static str>, u8, u64)| {
            let mut facts = labelled(words);
            facts.target.namespace = Fact::Is(format!("n{ns}").into());
            facts.costs = vec![("x".into(), Some(*cost))];
            facts
        };
        let (mut with, mut without) = (Session::new(ALL), Session::new(ALL));
        let mut now = 0;
        for (n, (words, ns, cost, gap)) in calls.into_iter().enumerate() {
            if n == place {
                with.take(&event(999, &facts(&extra)), now);
            }
            now += gap;
            let facts = facts(&(words, ns, cost));
            let event = event(u32::try_from(n).unwrap(), &facts);
            let (strict, loose) = (with.levels(&event, now), without.levels(&event, now));
            prop_assert!(strict.iter().max() >= loose.iter().max(), "{strict:?} {loose:?}");
            with.take(&event, now);
            without.take(&event, now);
        }
    }

    #[test]
    fn a_pattern_fires_when_some_calls_before_make_it(
        calls in prop::collection::vec((words(), 0..40_i64), 1..60),
    ) {
        let mut session = Session::new(LEAK);
        let mut before: Vec<(Vec<&str>, i64)> = Vec::new();
        let mut now = 0;
        for (words, gap) in calls {
            now += gap;
            let facts = labelled(&words);
            let (seq, findings) = session.look(&event(1, &facts), now);
            // Every pair of calls before it, in order, within the time.
            let makes = |first: usize| {
                let (words, then) = &before[first];
                words.contains(&"secret.read") && now - then <= 100
                    && before[first + 1..].iter().any(|(words, _)| words.contains(&"untrusted.in"))
            };
            let fires = words.contains(&"net.egress") && (0..before.len()).any(makes);
            prop_assert_eq!(seq.patterns[0].fired, fires);
            prop_assert_eq!(findings.len(), usize::from(fires));
            session.take(&event(1, &facts), now);
            before.push((words, now));
        }
    }

    #[test]
    fn things_are_told_apart_as_by_a_list_of_all(
        calls in prop::collection::vec((0..8_u8, any::<bool>(), 0..300_i64), 1..60),
        limit in 0..5_i64,
    ) {
        let mut session = Session::new(&format!(
            "[[distinct]]\nid = \"d\"\nmatch = {{ labels = [\"mutating\"] }}\nof = \"target.namespace\"\nlimit = {limit}\nwindow = {{ sliding = \"10m\" }}\n"
        ));
        let mut touched: Vec<(u8, i64)> = Vec::new();
        let mut now = 0;
        for (ns, refunded, gap) in calls {
            now += gap;
            let facts = deletion(&format!("n{ns}"));
            let inside: std::collections::BTreeSet<u8> =
                touched.iter().filter(|(_, at)| now - at <= 600).map(|(ns, _)| *ns).collect();
            let is_new = !inside.contains(&ns);
            let count = i64::try_from(inside.len()).unwrap() + i64::from(is_new);
            let (seq, findings) = session.look(&event(1, &facts), now);
            // What is taken back may count on, never the other way round.
            prop_assert!(seq.distincts[0].count >= count);
            if is_new && count > limit {
                prop_assert!(seq.distincts[0].fired || !seq.distincts[0].is_new);
            }
            if findings.is_empty() {
                session.take(&event(1, &facts), now);
                if refunded {
                    session.rules.refund(&mut session.counters, &event(1, &facts), &actor(), at(now), Shared::Local);
                } else {
                    touched.push((ns, now));
                }
            }
            let after: std::collections::BTreeSet<u8> =
                touched.iter().filter(|(_, at)| now - at <= 600).map(|(ns, _)| *ns).collect();
            prop_assert!(i64::try_from(after.len()).unwrap() <= limit);
        }
    }

    #[test]
    fn a_circle_is_found_as_by_looking_back(outcomes in prop::collection::vec((0..4_u32, any::<bool>()), 1..80)) {
        let mut session = Session::new("[[loop]]\nid = \"c\"\ncycle = { max_period = 4, repeats = 3 }\n");
        let facts = Facts::default();
        let mut all: Vec<(u32, bool)> = Vec::new();
        for (n, done) in outcomes {
            let n_all = all.len();
            // The last `period * 2` calls were each as the one `period` before it, they were not all alike, and this one
            // goes on.
            let run = |period: usize| {
                (period..n_all).rev().take_while(|i| all[*i] == all[*i - period]).count()
            };
            let fires = (2..=4).any(|period| {
                run(period) >= period * 2 && run(period) > run(1) && all[n_all - period].0 == n
            });
            let (seq, _) = session.look(&event(n, &facts), 0);
            prop_assert_eq!(seq.loops[0].fired, fires, "{:?} then {}", all, n);
            session.take(&event(n, &facts), 0);
            session.end(&event(n, &facts), 0, done);
            all.push((n, done));
        }
    }

    #[test]
    fn state_stays_within_its_bound(calls in prop::collection::vec((0..2_000_u32, words(), any::<bool>()), 1..300)) {
        let all = format!(
            "{LEAK}[[latch]]\nid = \"l\"\nlatch = [\"secret.read\"]\nmatch = {{ labels = [] }}\n\
             [[distinct]]\nid = \"d\"\nmatch = {{ labels = [] }}\nof = \"target.namespace\"\nlimit = 20\n\
             [[loop]]\nid = \"c\"\nexact_repeat = 5\nfailing_repeat = 3\ncycle = {{ max_period = 8, repeats = 3 }}\n\
             [[breaker]]\nid = \"b\"\nkey = [\"session\", \"target.namespace\"]\nconsecutive = 2\n"
        );
        let mut session = Session::new(&all);
        prop_assert!(session.rules.most_bytes() <= 16 * 1_024, "{}", session.rules.most_bytes());
        for (n, words, done) in calls {
            let mut facts = labelled(&words);
            facts.target.namespace = Fact::Is(format!("n{n}").into());
            session.take(&event(n, &facts), i64::from(n));
            session.end(&event(n, &facts), i64::from(n), done);
            prop_assert!(session.counters.bytes() <= session.rules.most_bytes());
        }
        // What is written and read again is the same session.
        let again = Counters::from_json(&session.counters.to_json()).unwrap();
        prop_assert_eq!(&again, &session.counters);
    }
}
