//! What checks are written in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use glassbreak_core::call::{Actor, Args, CallDigest, Text, Tool, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::grant::Use;
use glassbreak_core::lock::{Lock, LockPath, Target};
use glassbreak_core::store::{
    Attempt, Demand, Ended, FakeClock, Held, OpId, Outcome, Over, Position, Reserve, Reserved, Settle, Settled, Store,
    Unlock, Unlocked, Window,
};

use super::{Reopen, Subject};

/// When tests begin.
const BEGIN: i64 = 1_790_000_000_000;
/// The window of a [`Draft`]'s demands.
pub(super) const WINDOW: i64 = 600_000;
/// The lease of a [`Draft`].
pub(super) const LEASE: i64 = 60_000;

/// A store under test, and the time.
#[derive(Debug, Clone)]
pub struct Rig {
    pub(super) store: Arc<dyn Store>,
    pub(super) other: Arc<dyn Store>,
    pub(super) rounds: usize,
    clock: Arc<FakeClock>,
    now: Arc<AtomicI64>,
    reopen: Option<Reopen>,
}

impl Rig {
    /// A rig around a new store.
    pub fn new(subject: Subject) -> Self {
        let Subject {
            store,
            other,
            clock,
            rounds,
            reopen,
        } = subject;
        Self {
            store,
            other,
            rounds,
            clock,
            now: Arc::new(AtomicI64::new(BEGIN)),
            reopen,
        }
    }

    /// The same rig, working through the other handle.
    #[must_use]
    pub fn turned(&self) -> Self {
        let mut turned = self.clone();
        std::mem::swap(&mut turned.store, &mut turned.other);
        turned
    }

    /// The same rig, working through new handles, opened as a new process would.
    ///
    /// # Panics
    /// When the subject does not tell how ([`Subject::restarting`]).
    pub async fn restarted(&self) -> Self {
        let Some(Reopen(open)) = &self.reopen else {
            fail("this subject does not tell how a new process opens the store: see `Subject::restarting`");
        };
        Self {
            store: open().await,
            other: open().await,
            ..self.clone()
        }
    }

    /// What time callers take it to be.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now())
    }

    /// What time callers take it to be, in milliseconds.
    pub fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Lets time go by, on all clocks.
    pub fn pass(&self, millis: i64) {
        self.clock.pass(Span::from_millis(millis.unsigned_abs()));
        self.jump(millis);
    }

    /// Sets the callers' clock forward or back, and no other.
    pub fn jump(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// A call that nobody made yet, of session `s-1`, with nothing to count.
    pub fn call(&self) -> Draft {
        let at = self.at();
        Draft(Reserve {
            op: OpId::mint(at),
            attempt: Attempt::mint(),
            digest: digest("restart"),
            path: path("s-1", "restart"),
            at,
            lease: Span::from_millis(LEASE.unsigned_abs()),
            demands: Vec::new(),
        })
    }

    /// The same message again, now.
    pub fn again(&self, call: &Reserve) -> Draft {
        Draft(Reserve {
            at: self.at(),
            ..call.clone()
        })
    }

    /// Reserves.
    pub async fn ask(&self, call: impl Into<Reserve>) -> Reserved {
        match self.store.reserve(call.into()).await {
            Ok(answer) => answer,
            Err(error) => fail(&format!("reserve: {error:?}")),
        }
    }

    /// Reserves what must be held.
    pub async fn hold(&self, call: impl Into<Reserve>) -> Held {
        held(self.ask(call).await)
    }

    /// How much counts under a key, asked by a call that counts elsewhere no more.
    pub async fn count(&self, key: u64) -> u64 {
        let look = self.call().on(key, u32::MAX).done();
        let held = self.hold(look.clone()).await;
        self.settle(&look, Outcome::NotRun).await;
        held.counts.first().map_or(0, |count| count - 1)
    }

    /// Settles.
    pub async fn settle(&self, call: &Reserve, outcome: Outcome) -> Settled {
        match self.store.settle(self.settling(call, outcome)).await {
            Ok(settled) => settled,
            Err(error) => fail(&format!("settle: {error:?}")),
        }
    }

    /// The message that settles.
    pub fn settling(&self, call: &Reserve, outcome: Outcome) -> Settle {
        Settle {
            op: call.op,
            attempt: call.attempt,
            outcome,
            actual: Vec::new(),
            at: self.at(),
        }
    }

    /// Locks.
    pub async fn lock(&self, target: Target) -> Position {
        self.locked(target).await.position
    }

    /// Locks, and says what that ended.
    pub async fn locked(&self, target: Target) -> Ended {
        match self.store.lock(self.a_lock(target, "bob")).await {
            Ok(ended) => ended,
            Err(error) => fail(&format!("lock: {error:?}")),
        }
    }

    /// A lock.
    pub fn a_lock(&self, target: Target, by: &str) -> Lock {
        Lock {
            target,
            reason: reason(),
            by: word(by),
            at: self.at(),
        }
    }

    /// Unlocks what was seen at a position.
    pub async fn unlock(&self, target: Target, seen: Position) -> Unlocked {
        let unlock = Unlock {
            target,
            by: word("carol"),
            reason: reason(),
            seen,
        };
        match self.store.unlock(unlock).await {
            Ok(unlocked) => unlocked,
            Err(error) => fail(&format!("unlock: {error:?}")),
        }
    }
}

/// A call in the making.
#[derive(Debug, Clone)]
pub struct Draft(Reserve);

impl Draft {
    /// One more under a key, of at most `ceiling` in ten minutes.
    #[must_use]
    pub fn on(self, key: u64, ceiling: u32) -> Self {
        self.under("deletions", key, ceiling)
    }

    /// The same under another rule.
    #[must_use]
    pub fn under(self, rule: &str, key: u64, ceiling: u32) -> Self {
        self.within(rule, 9, Some(key), ceiling)
    }

    /// One more whose key is not known, of at most `ceiling` in ten minutes.
    #[must_use]
    pub fn on_unknown(self, ceiling: u32) -> Self {
        self.within("deletions", 9, None, ceiling)
    }

    /// One more under a rule, in a scope, under a key where it is known.
    #[must_use]
    pub fn within(mut self, rule: &str, scope: u8, key: Option<u64>, ceiling: u32) -> Self {
        self.0.demands.push(Demand {
            rule: rule.into(),
            scope: [scope; 16],
            key: key.map(spread),
            window: Window::Sliding(Span::from_millis(WINDOW.unsigned_abs())),
            amount: 1,
            ceiling: u64::from(ceiling),
        });
        self
    }

    /// So much more in a window, in a scope, under a key where it is known.
    #[must_use]
    pub fn worth(
        mut self,
        (rule, window): (&str, Window),
        scope: u8,
        key: Option<u64>,
        amount: u64,
        ceiling: u64,
    ) -> Self {
        self.0.demands.push(Demand {
            rule: rule.into(),
            scope: [scope; 16],
            key: key.map(spread),
            window,
            amount,
            ceiling,
        });
        self
    }

    /// By another runner.
    #[must_use]
    pub fn by_another(mut self) -> Self {
        self.0.attempt = Attempt::mint();
        self
    }

    /// With another digest.
    #[must_use]
    pub fn of_another_call(mut self) -> Self {
        self.0.digest = digest("delete");
        self
    }

    /// In a session, of a tool.
    #[must_use]
    pub fn along(mut self, path: LockPath) -> Self {
        self.0.path = path;
        self
    }

    /// What a use of a grant is for: its caller and its digest.
    #[must_use]
    pub fn using(mut self, call: &Use) -> Self {
        (self.0.path, self.0.digest) = (call.path.clone(), call.digest);
        self
    }

    /// With a lease.
    #[must_use]
    pub fn leased(mut self, millis: i64) -> Self {
        self.0.lease = Span::from_millis(millis.unsigned_abs());
        self
    }

    /// The call.
    pub fn done(self) -> Reserve {
        self.0
    }
}

impl From<Draft> for Reserve {
    fn from(draft: Draft) -> Self {
        draft.0
    }
}

/// Keys are hashes: spread over all bytes.
fn spread(key: u64) -> [u8; 16] {
    (u128::from(key) + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_be_bytes()
}

pub(crate) fn digest(tool: &str) -> CallDigest {
    CallDigest::of_tool(&Tool {
        name: word(tool),
        arguments: Args::new(),
    })
}

/// A path with something at each place that a lock may name.
pub(super) fn path(session: &str, tool: &str) -> LockPath {
    let mut actor = Actor::new(word("ops"), word(session));
    actor.instance = Some(word("ops-7"));
    actor.on_behalf_of = Some(word("alice"));
    actor.parents = vec![word("planner")];
    LockPath::new(&actor, tool)
}

pub(super) fn reason() -> Text {
    match Text::new("enough") {
        Ok(text) => text,
        Err(error) => fail(&error.to_string()),
    }
}

pub(super) fn word(text: &str) -> Word {
    match Word::new(text) {
        Ok(word) => word,
        Err(error) => fail(&error.to_string()),
    }
}

pub(super) fn held(answer: Reserved) -> Held {
    match answer {
        Reserved::Held(held) => held,
        other => fail(&format!("not held: {other:?}")),
    }
}

pub(super) fn over(answer: Reserved) -> Over {
    match answer {
        Reserved::Over(over) => over,
        other => fail(&format!("not over: {other:?}")),
    }
}

/// Ends the test.
#[expect(clippy::panic, reason = "how a test fails")]
#[track_caller]
pub(super) fn fail(why: &str) -> ! {
    panic!("{why}")
}
