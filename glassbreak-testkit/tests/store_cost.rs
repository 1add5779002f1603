//! What counting in memory costs. Prints figures and asserts nothing:
//!
//! ```text
//! cargo test --release -p glassbreak-testkit --test store_cost -- --ignored --nocapture
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement stops where it cannot go on"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use glassbreak_core::budget::{Counters, Event, Name, Shared};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, CallDigest, Tool, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::facts::{Fact, Facts};
use glassbreak_core::label::LabelSet;
use glassbreak_core::lock::LockPath;
use glassbreak_core::store::{
    Attempt, Demand, FakeClock, Ledger, MemoryStore, OpId, Outcome, Reserve, Reserved, Settle, Window,
};

const BEGIN: i64 = 1_790_000_000_000;

/// Every method of the memory store is ready at its first poll.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

/// A session that calls and calls.
struct Caller {
    store: MemoryStore,
    path: LockPath,
    digest: CallDigest,
    demands: Vec<Demand>,
}

impl Caller {
    fn new(store: &MemoryStore, session: u8, demands: u8) -> Self {
        let name = Word::new(&format!("s-{session}")).unwrap();
        let role = Word::new("ops").unwrap();
        let tool = Tool {
            name: Word::new("restart").unwrap(),
            arguments: Args::new(),
        };
        let demand = |n: u8| Demand {
            rule: format!("rule-{n}").into(),
            scope: CallDigest::of_tool(&Tool {
                name: Word::new(&format!("s-{session}-{}", n % 5)).unwrap(),
                arguments: Args::new(),
            })
            .as_bytes()[..16]
                .try_into()
                .unwrap(),
            key: Some([n; 16]),
            window: Window::Sliding(Span::from_millis(600_000)),
            amount: 1,
            ceiling: 1_024,
        };
        Self {
            store: store.clone(),
            path: LockPath::new(&Actor::new(role, name), "restart"),
            digest: CallDigest::of_tool(&tool),
            demands: (0..demands).map(demand).collect(),
        }
    }

    /// Time spent in `reserve` and `settle` over calls `from..to`, one a second.
    fn calls(&self, from: i64, to: i64) -> Duration {
        let mut spent = Duration::ZERO;
        for n in from..to {
            let at = Timestamp::from_millis(BEGIN + n * 1_000);
            let op = OpId::mint(at);
            let attempt = Attempt::mint();
            let reserve = Reserve {
                op,
                attempt,
                digest: self.digest,
                path: self.path.clone(),
                at,
                lease: Span::from_millis(60_000),
                demands: self.demands.clone(),
            };
            let begin = Instant::now();
            let held = now(self.store.reserve(reserve)).unwrap();
            assert!(matches!(held, Reserved::Held(_)), "{held:?}");
            let outcome = if n % 8 == 0 { Outcome::NotRun } else { Outcome::Done };
            let settle = Settle {
                op,
                attempt,
                outcome,
                actual: Vec::new(),
                at,
            };
            now(self.store.settle(settle)).unwrap();
            spent += begin.elapsed();
        }
        spent
    }
}

fn store() -> (MemoryStore, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    // Whatever time the callers say, it went by.
    clock.pass(Span::from_millis(u64::MAX / 4));
    let store = MemoryStore::builder()
        .clock(Arc::clone(&clock) as _)
        .most_ops(4_000_000);
    (store.build(), clock)
}

#[test]
#[ignore = "a measurement"]
fn one_call_by_demands_and_by_history() {
    println!("reserve + settle, ns each, by how many calls came before:");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10}",
        "demands", "1k", "30k", "100k", "300k"
    );
    for demands in [1, 5, 20] {
        let (store, clock) = store();
        let caller = Caller::new(&store, 1, demands);
        let mut done = 0;
        print!("{demands:>8}");
        for history in [1_000, 30_000, 100_000, 300_000] {
            let walk = |from: i64, to: i64| {
                (from..to)
                    .map(|n| {
                        clock.pass(Span::from_millis(1_000));
                        caller.calls(n, n + 1)
                    })
                    .sum::<Duration>()
            };
            walk(done, history);
            done = history + 20_000;
            let spent = walk(history, done);
            print!(" {:>10}", spent.as_nanos() / 20_000);
        }
        println!();
    }
}

#[test]
#[ignore = "a measurement"]
fn two_sessions_on_two_threads() {
    const CALLS: i32 = 50_000;
    println!(
        "calls per second of all threads, each a session of its own; apart: with a store of its own too, which is"
    );
    println!("the most that this machine has to give at the moment:");
    for demands in [1, 5, 20] {
        let rate = |threads: u8, apart: bool| {
            let rounds = (0..5).map(|_| {
                let store = MemoryStore::new();
                let start = Arc::new(Barrier::new(usize::from(threads) + 1));
                let jobs = (0..threads).map(|session| {
                    let own = if apart { MemoryStore::new() } else { store.clone() };
                    let caller = Caller::new(&own, session, demands);
                    let start = Arc::clone(&start);
                    std::thread::spawn(move || {
                        start.wait();
                        caller.busy(CALLS);
                    })
                });
                let jobs: Vec<_> = jobs.collect();
                start.wait();
                let begin = Instant::now();
                jobs.into_iter().for_each(|job| job.join().unwrap());
                f64::from(threads) * f64::from(CALLS) / begin.elapsed().as_secs_f64()
            });
            rounds.fold(0.0, f64::max)
        };
        let (one, two, apart) = (rate(1, false), rate(2, false), rate(2, true));
        println!(
            "{demands:>2} demands: {one:>8.0} with one, {two:>8.0} with two ({:.2}), {apart:>8.0} apart ({:.2})",
            two / one,
            apart / one
        );
    }
}

impl Caller {
    /// As many calls as it can, by the real clock.
    fn busy(&self, calls: i32) {
        for _ in 0..calls {
            let at = Timestamp::now();
            let op = OpId::mint(at);
            let attempt = Attempt::mint();
            let mut demands = self.demands.clone();
            for demand in &mut demands {
                (demand.window, demand.ceiling) = (Window::Sliding(Span::from_millis(1)), u64::MAX);
            }
            let reserve = Reserve {
                op,
                attempt,
                digest: self.digest,
                path: self.path.clone(),
                at,
                lease: Span::from_millis(60_000),
                demands,
            };
            let held = now(self.store.reserve(reserve)).unwrap();
            assert!(matches!(held, Reserved::Held(_)), "{held:?}");
            let outcome = Outcome::Done;
            now(self.store.settle(Settle {
                op,
                attempt,
                outcome,
                actual: Vec::new(),
                at,
            }))
            .unwrap();
        }
    }
}

/// Twenty budgets that all meet a call: of the session, the agent, the role, the person and everybody, some by target.
fn twenty() -> Bundle {
    let whose = ["session", "agent", "role", "person", "fleet"];
    let apart = ["", ", \"target.namespace\"", ", \"target.name\"", ", \"tool\""];
    let mut budgets = String::from("schema = 1\n");
    for (n, (whose, apart)) in whose
        .iter()
        .flat_map(|whose| apart.iter().map(move |apart| (whose, apart)))
        .enumerate()
    {
        let window = if n % 2 == 0 {
            "{ sliding = \"24h\", buckets = 48 }"
        } else {
            "{ calendar = \"day\" }"
        };
        budgets += &format!(
            "[[budget]]\nid = \"b{n}\"\nmatch = {{ labels = [\"mutating\"] }}\nkey = [\"{whose}\"{apart}]\nlimit = 1_000_000\n\
             window = {window}\ndurability = \"process\"\n"
        );
    }
    let files: Files = [
        ("budgets.toml", budgets.as_str()),
        ("tools.toml", "[tools.restart]\nlabels = [\"mutating\"]\n"),
        ("p.cedar", "@id(\"all\") permit (principal, action, resource);"),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ]
    .map(|(name, text)| (name.to_owned(), text.into()))
    .into();
    Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// So many calls as `GLASSBREAK_CALLS` says, each hashed to its demands, reserved, inspected and settled. Under callgrind
/// the difference between two numbers of calls is what one takes:
///
/// ```text
/// for n in 1000 2000; do GLASSBREAK_CALLS=$n valgrind --tool=callgrind --callgrind-out-file=/dev/null \
///     <this binary> --ignored --exact twenty_rules_from_call_to_settled; done
/// ```
#[test]
#[ignore = "a measurement"]
fn twenty_rules_from_call_to_settled() {
    let calls: i64 = std::env::var("GLASSBREAK_CALLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let bundle = twenty();
    let (store, clock) = store();
    let word = |text: &str| Word::new(text).unwrap();
    let mut actor = Actor::new(word("ops"), word("s-1"));
    (actor.instance, actor.on_behalf_of) = (Some(word("ops-7")), Some(word("alice")));
    let labels: LabelSet = bundle.vocabulary().get("mutating").into_iter().collect();
    let mut facts = Facts {
        labels,
        possible_labels: labels,
        ..Facts::default()
    };
    facts.target.namespace = Fact::Is("prod".into());
    facts.target.name = Fact::Is("web".into());
    let digest = CallDigest::of_tool(&Tool {
        name: word("restart"),
        arguments: Args::new(),
    });
    let event = Event {
        digest,
        facts: &facts,
        name: Name::Tool("restart"),
        norm: 1,
        attempt: 0,
    };
    let path = LockPath::new(&actor, "restart");
    let counters = Counters::default();
    let begin = Instant::now();
    for n in 0..calls {
        clock.pass(Span::from_millis(100));
        let at = Timestamp::from_millis(BEGIN + n * 100);
        let (op, attempt) = (OpId::mint(at), Attempt::mint());
        let demands = bundle.budgets().demands(&event, &actor);
        let reserve = Reserve {
            op,
            attempt,
            digest,
            path: path.clone(),
            at,
            lease: Span::from_millis(60_000),
            demands,
        };
        let Reserved::Held(held) = now(store.reserve(reserve)).unwrap() else {
            panic!("not held");
        };
        let shared = Shared::Counted(&held.counts);
        let (seq, findings) = bundle.budgets().inspect(&counters, &event, &actor, at, shared);
        assert!(findings.is_empty() && seq.budgets.len() == 20);
        now(store.settle(Settle {
            op,
            attempt,
            outcome: Outcome::Done,
            actual: Vec::new(),
            at,
        }))
        .unwrap();
    }
    println!(
        "{calls} calls of 20 rules: {:?} each",
        begin.elapsed() / u32::try_from(calls).unwrap()
    );
}
