//! Calls that the memory store counts under twenty budgets: of every scope, some apart by target.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use glassbreak_core::budget::{Counters, Event, Name, Shared};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, CallDigest, Tool, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::facts::{Fact, Facts};
use glassbreak_core::label::LabelSet;
use glassbreak_core::lock::LockPath;
use glassbreak_core::store::{
    Attempt, Demand, FakeClock, Held, Ledger, MemoryStore, OpId, Outcome, Reserve, Reserved, Settle,
};

/// When the first call is made, in milliseconds after 1970.
const BEGIN: i64 = 1_790_000_000_000;

/// Every method of the memory store is ready at its first poll.
fn now<F: Future>(future: F) -> F::Output {
    let output = match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    };
    output.expect("the memory store waits for nothing")
}

fn word(text: &str) -> Word {
    Word::new(text).expect("a name")
}

/// One session whose calls twenty budgets meet.
#[derive(Debug)]
pub struct Counting {
    bundle: Bundle,
    store: MemoryStore,
    clock: Arc<FakeClock>,
    actor: Actor,
    facts: Facts,
    path: LockPath,
    digest: CallDigest,
    counters: Counters,
    calls: i64,
}

/// A call that is ready to be counted.
#[derive(Debug)]
pub struct Ready {
    store: MemoryStore,
    reserve: Reserve,
}

impl Counting {
    /// A session of this name over a store, after so many calls.
    pub fn new(store: MemoryStore, clock: Arc<FakeClock>, session: &str, before: i64) -> Self {
        let bundle = twenty();
        let mut actor = Actor::new(word("ops"), word(session));
        (actor.instance, actor.on_behalf_of) = (Some(word("ops-7")), Some(word("alice")));
        let labels: LabelSet = bundle.vocabulary().get("mutating").into_iter().collect();
        let mut facts = Facts {
            labels,
            possible_labels: labels,
            ..Facts::default()
        };
        facts.target.namespace = Fact::Is("prod".into());
        facts.target.name = Fact::Is("web".into());
        let mut counting = Self {
            path: LockPath::new(&actor, "restart"),
            digest: CallDigest::of_tool(&Tool {
                name: word("restart"),
                arguments: Args::new(),
            }),
            bundle,
            store,
            clock,
            actor,
            facts,
            counters: Counters::default(),
            calls: 0,
        };
        for _ in 0..before {
            counting.ready().count();
        }
        counting
    }

    /// The same over a store of its own.
    pub fn alone(before: i64) -> Self {
        let (store, clock) = store();
        Self::new(store, clock, "s-1", before)
    }

    fn event(&self) -> Event<'_> {
        Event {
            digest: self.digest,
            facts: &self.facts,
            name: Name::Tool("restart"),
            norm: 1,
            attempt: 0,
        }
    }

    /// What the next call demands, a tenth of a second after the last.
    pub fn demands(&self) -> Vec<Demand> {
        self.bundle.budgets().demands(&self.event(), &self.actor)
    }

    /// The next call.
    pub fn ready(&mut self) -> Ready {
        self.clock.pass(Span::from_millis(100));
        self.calls += 1;
        let at = Timestamp::from_millis(BEGIN + self.calls * 100);
        Ready {
            store: self.store.clone(),
            reserve: Reserve {
                op: OpId::mint(at),
                attempt: Attempt::mint(),
                digest: self.digest,
                path: self.path.clone(),
                at,
                lease: Span::from_millis(60_000),
                demands: self.demands(),
            },
        }
    }

    /// What the budgets say of what the store counted.
    pub fn inspect(&self, held: &Held) {
        let shared = Shared::Counted(&held.counts);
        let budgets = self.bundle.budgets();
        let (seq, findings) = budgets.inspect(&self.counters, &self.event(), &self.actor, held.now, shared);
        assert!(findings.is_empty() && seq.budgets.len() == 20, "{findings:?}");
    }
}

impl Ready {
    /// `reserve` and `settle`.
    pub fn count(self) -> Held {
        let Self { store, reserve } = self;
        let (op, attempt, at) = (reserve.op, reserve.attempt, reserve.at);
        let held = match now(store.reserve(reserve)) {
            Ok(Reserved::Held(held)) => Some(held),
            _ => None,
        };
        let held = held.expect("a call that fits");
        let settle = Settle {
            op,
            attempt,
            outcome: Outcome::Done,
            actual: Vec::new(),
            at,
        };
        now(store.settle(settle)).expect("settled");
        held
    }
}

/// A memory store that believes whatever time callers say.
pub fn store() -> (MemoryStore, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    clock.pass(Span::from_millis(u64::MAX / 4));
    let store = MemoryStore::builder()
        .clock(Arc::clone(&clock) as _)
        .most_ops(4_000_000);
    (store.build(), clock)
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
    Bundle::from_files(&files).expect("a bundle")
}
