//! A bundle, a store, and a host that performs what is allowed: the way of a call, with time as a value.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glassbreak_core::budget::Shared;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Call, Operation, Tool, Word, Workspace, wire};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::finding::Outcome as Ruled;
use glassbreak_core::judge::{Judgement, SessionState, prepare};
use glassbreak_core::lock::{Lock, LockPath, Target};
use glassbreak_core::store::{
    Attempt, FakeClock, Ledger, Locks, MemoryStore, OpId, Outcome, Reserve, Reserved, Settle,
};

pub(crate) const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "pods"
match = { labels = ["k8s.pod.delete"] }
key = ["fleet", "target.namespace", "target.owner"]
amount = "cost.objects"
limit = 3
window = { sliding = "10m" }
ceiling = 8
[[budget]]
id = "pods_ever"
match = { labels = ["k8s.pod.delete"] }
key = ["agent"]
amount = "cost.objects"
limit = 12
ladder = [{ over = 0, then = "deny" }]
[[budget]]
id = "spend"
match = { cost = "cents" }
amount = "cost.cents"
levels = [
  { key = ["agent"], limit = 10_000, ceiling = 10_000, window = { sliding = "1h", buckets = 12 } },
  { key = ["fleet"], limit = 15_000, ceiling = 15_000, window = { calendar = "day" } },
]
[[distinct]]
id = "namespaces"
match = { labels = ["k8s.pod.delete"] }
of = "target.namespace"
limit = 3
then = "deny"
[[pattern]]
id = "leak"
steps = [{ labels = ["secret.read"] }, { labels = ["net.egress"] }]
within = "30m"
[[latch]]
id = "rule_of_two"
latch = ["untrusted.in", "secret.read"]
match = { any = ["mutating", "net.egress"] }
[[loop]]
id = "stuck"
exact_repeat = 5
failing_repeat = 3
cycle = { max_period = 8, repeats = 4 }
second_hit = "kill"
[[denials]]
id = "probing"
key = ["session"]
limit = 8
window = { sliding = "5m" }
then = "kill"
"#;
const TOOLS: &str = r#"
[tools.delete_pods]
labels = ["k8s.pod.delete", "mutating"]
target = { kind = "pod", namespace = "args.ns", owner = "args.owner" }
cost = { objects = "args.names" }
schema = { type = "object", required = ["ns", "owner", "names"], properties = { ns = { type = "string" }, owner = { type = "string" }, names = { type = "array", items = { type = "string" } } } }
[tools.transfer]
labels = ["mutating"]
cost = { cents = "args.cents" }
schema = { type = "object", required = ["to", "cents"], properties = { to = { type = "string" }, cents = { type = "integer", minimum = 0 } } }
[tools.read_secret]
labels = ["secret.read"]
schema = { type = "object", properties = { name = { type = "string" } } }
[tools.browse]
labels = ["untrusted.in"]
schema = { type = "object", properties = { page = { type = "string" } } }
[tools.send]
labels = ["net.egress"]
schema = { type = "object", properties = { to = { type = "string" } } }
[tools.look]
labels = []
schema = { type = "object", properties = { at = { type = "string" } } }
[tools.forbidden]
labels = []
schema = { type = "object", properties = { at = { type = "string" } } }
"#;
const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("never") forbid (principal, action == Action::"tool:forbidden", resource);
"#;

pub(crate) fn bundle() -> Bundle {
    let files: Files = [
        ("p.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ]
    .map(|(name, text)| (name.to_owned(), text.into()))
    .into();
    Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    Through,
    Asked,
    Denied,
}

/// The store that all share, and its clock that nobody sets.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) store: MemoryStore,
    clock: Arc<FakeClock>,
}

/// 2026-03-01 00:00 UTC.
pub(crate) const BEGIN: i64 = 1_772_323_200_000;

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        Self {
            bundle: Arc::new(bundle()),
            store: MemoryStore::builder().clock(clock.clone()).build(),
            clock,
        }
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.clock.pass(Span::from_millis(millis.unsigned_abs()));
    }

    pub(crate) fn agent(&self, instance: &str) -> Agent {
        let mut actor = Actor::new(word("ops"), word(&format!("s-{instance}")));
        actor.instance = Some(word(instance));
        Agent {
            world: self.clone(),
            actor,
            state: SessionState::new(Workspace::new("/work").unwrap()),
            now: BEGIN,
            killed: AtomicBool::new(false),
            last: None,
        }
    }
}

/// An agent's session, and the host that performs its calls.
pub(crate) struct Agent {
    pub(crate) world: World,
    pub(crate) actor: Actor,
    pub(crate) state: SessionState,
    /// What its clock says.
    pub(crate) now: i64,
    pub(crate) killed: AtomicBool,
    pub(crate) last: Option<Judgement>,
}

/// How far a call gets before its process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dies {
    Never,
    BeforeReserve,
    AfterReserve,
    /// It ran, and nobody was told.
    AfterEffect,
}

impl Agent {
    /// Waits, by all clocks.
    pub(crate) fn wait(&mut self, millis: i64) {
        self.now += millis;
        self.world.pass(millis);
    }

    pub(crate) fn call(&mut self, tool: &str, args: serde_json::Value) -> Got {
        self.call_until(tool, args, Dies::Never, true)
    }

    /// The same, and the tool fails.
    pub(crate) fn fails(&mut self, tool: &str, args: serde_json::Value) -> Got {
        self.call_until(tool, args, Dies::Never, false)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write the arguments where they call"
    )]
    pub(crate) fn call_until(&mut self, tool: &str, args: serde_json::Value, dies: Dies, works: bool) -> Got {
        let arguments = wire::arguments(&args).unwrap();
        let call = Call {
            actor: self.actor.clone(),
            operation: Operation::Tool(Tool {
                name: word(tool),
                arguments,
            }),
            reason: None,
            conversation: None,
        };
        let (bundle, at) = (Arc::clone(&self.world.bundle), Timestamp::from_millis(self.now));
        let prepared = prepare(&bundle, self.state.workspace(), &call).unwrap();
        let (op, attempt) = (OpId::mint(at), Attempt::mint());
        let reserve = Reserve {
            op,
            attempt,
            digest: prepared.digest(),
            path: LockPath::new(&self.actor, tool),
            at,
            lease: Span::from_millis(15 * 60_000),
            demands: prepared.demands(),
        };
        if dies == Dies::BeforeReserve {
            return Got::Denied;
        }
        let judgement = match ready(self.world.store.reserve(reserve)).unwrap() {
            Reserved::Held(held) => prepared.conclude(&self.state, at, Shared::Counted(&held.counts), 0),
            Reserved::Over(over) => {
                let finding = prepared.over(over.demand, over.count, over.free_at, over.now);
                prepared.stop(finding, 0)
            }
            Reserved::Locked { .. } => return Got::Denied,
            Reserved::Clock { .. } => return Got::Denied,
            other => panic!("{other:?}"),
        };
        if dies == Dies::AfterReserve {
            return Got::Denied;
        }
        let ruled = judgement.ruling.outcome();
        if judgement.ruling.locks() {
            self.kill();
        }
        self.state
            .advance(&bundle, &call, &judgement, at, ruled == Ruled::Allow);
        if dies == Dies::AfterEffect && ruled == Ruled::Allow {
            return Got::Through;
        }
        let outcome = match ruled {
            Ruled::Allow if works => Outcome::Done,
            Ruled::Allow => Outcome::Failed,
            Ruled::Ask => Outcome::Asked,
            Ruled::Deny => Outcome::NotRun,
        };
        if ruled == Ruled::Allow {
            self.state.ended(&bundle, &call, &judgement, at, at, works);
        }
        // A call that a ceiling refused is held by nobody.
        let _ = ready(self.world.store.settle(Settle {
            op,
            attempt,
            outcome,
            actual: Vec::new(),
            at,
        }));
        self.last = Some(judgement);
        match ruled {
            Ruled::Allow => Got::Through,
            Ruled::Ask => Got::Asked,
            Ruled::Deny => Got::Denied,
        }
    }

    fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        let lock = Lock {
            target: Target::Session(self.actor.session.clone()),
            reason: glassbreak_core::call::Text::new("a rule").unwrap(),
            by: word("rule"),
            at: Timestamp::from_millis(self.now),
        };
        ready(self.world.store.lock(lock)).unwrap();
    }

    /// The rules that decided the last call.
    pub(crate) fn rules(&self) -> Vec<String> {
        let last = self.last.as_ref().unwrap();
        last.ruling
            .deciding()
            .map(|finding| finding.rule().as_str().to_owned())
            .collect()
    }
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// The memory store is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
