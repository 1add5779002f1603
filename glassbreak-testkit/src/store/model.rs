//! Random calls, and a reference that keeps everything and scans it all, each time.

use std::collections::BTreeMap;
use std::future::Future;

use glassbreak_core::budget::Period;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{
    Actual, Attempt, Fate, Outcome, Position, Reserve, Reserved, Settle, Settled, StoreError, StoreErrorKind, Unlocked,
    Window,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::rig::{Rig, WINDOW, fail, word};
use super::{Subject, runtime};

/// One thing that happens to a store.
#[derive(Debug, Clone)]
enum Step {
    /// A call that counts so.
    Call {
        demands: Vec<Wants>,
        lease: i64,
    },
    /// A call made before, again.
    Again {
        which: usize,
        another: bool,
        other_digest: bool,
    },
    Settle {
        which: usize,
        outcome: Outcome,
        another: bool,
        actual: Vec<Actual>,
    },
    Lock(u8),
    Unlock(u8),
    Pass(i64),
    Jump(i64),
}

/// A demand: of which rule, in which scope, under which key if it is known, how much, and of how much at most.
type Wants = (usize, u8, Option<u64>, u64, u64);

const STEP: i64 = 77_777;
const HOUR: i64 = 3_600_000;

/// The rules, each with a window of its own.
const RULES: [(&str, Window); 5] = [
    ("a", Window::Sliding(Span::from_millis(WINDOW.unsigned_abs()))),
    ("b", Window::Sliding(Span::from_millis(WINDOW.unsigned_abs()))),
    (
        "steps",
        Window::Buckets {
            span: Span::from_millis(WINDOW.unsigned_abs()),
            size: Span::from_millis(STEP.unsigned_abs()),
        },
    ),
    ("hour", Window::Calendar(Period::Hour)),
    ("all", Window::Lifetime),
];

/// When what was counted at `at` no longer counts, by the words of the contract; `None` for never.
fn ends(window: Window, at: i64) -> Option<i64> {
    match window {
        Window::Sliding(_) => Some(at + WINDOW + 1),
        // With the last moment of its step.
        Window::Buckets { .. } => Some((at.div_euclid(STEP) + 1) * STEP + WINDOW),
        Window::Calendar(_) => Some((at.div_euclid(HOUR) + 1) * HOUR),
        Window::Lifetime => None,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let key = proptest::option::weighted(0.8, 0..3_u64);
    let rule = prop_oneof![4 => Just(0_usize), 1 => 1..RULES.len()];
    let amount = prop_oneof![6 => Just(1_u64), 1 => 0..4_u64];
    let demand = (rule, 0..2_u8, key, amount, 0..7_u64);
    let actual = (0..3_usize, 0..5_u64).prop_map(|(demand, amount)| Actual { demand, amount });
    let lease = prop_oneof![Just(0), Just(1_000), Just(60_000), Just(2 * WINDOW)];
    let outcome = prop_oneof![
        1 => Just(Outcome::Done),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::NotRun),
        2 => Just(Outcome::Asked),
    ];
    let rarely = || proptest::bool::weighted(0.2);
    let span = prop_oneof![
        0..2_000_i64,
        Just(1_000),
        Just(1_001),
        Just(WINDOW),
        Just(WINDOW + 1),
        0..2 * WINDOW,
    ];
    prop_oneof![
        12 => (vec(demand, 0..4), lease).prop_map(|(demands, lease)| Step::Call { demands, lease }),
        4 => (any::<usize>(), any::<bool>(), rarely())
            .prop_map(|(which, another, other_digest)| Step::Again { which, another, other_digest }),
        8 => (any::<usize>(), outcome, rarely(), vec(actual, 0..3))
            .prop_map(|(which, outcome, another, actual)| Step::Settle { which, outcome, another, actual }),
        1 => (0..4_u8).prop_map(Step::Lock),
        2 => (0..4_u8).prop_map(Step::Unlock),
        6 => span.prop_map(Step::Pass),
        2 => prop_oneof![-WINDOW..0_i64, 0..=5_000_i64, 5_001..=WINDOW].prop_map(Step::Jump),
    ]
}

fn target(n: u8) -> Target {
    match n {
        0 => Target::All,
        1 => Target::Session(word("s-1")),
        2 => Target::Tool(word("restart")),
        _ => Target::Session(word("s-2")),
    }
}

/// Every reservation ever made.
#[derive(Debug, Default)]
struct Model {
    newest: Option<i64>,
    /// How much time had gone by when that time was given.
    shown: i64,
    elapsed: i64,
    rows: Vec<Row>,
    /// By target, and the epoch of each.
    locks: BTreeMap<Target, u64>,
    epoch: u64,
}

#[derive(Debug)]
struct Row {
    call: Reserve,
    answer: Reserved,
    at: i64,
    deadline: i64,
    settled: Option<Settled>,
    /// What each demand counts.
    amounts: Vec<u64>,
}

impl Row {
    fn counts(&self) -> bool {
        self.settled.is_none_or(|settled| !settled.refunded)
    }

    /// Whether this attempt may go on with it, as another one asked.
    fn goes_on(&self, attempt: Attempt) -> bool {
        let asked = |settled: Settled| settled.outcome == Outcome::Asked && !settled.late;
        self.settled.is_some_and(asked) && self.call.attempt != attempt
    }
}

impl Model {
    /// The store's time, or the latest that would be believed.
    fn time(&mut self, given: i64) -> Result<i64, i64> {
        if let Some(newest) = self.newest {
            if given <= newest {
                return Ok(newest);
            }
            let latest = newest + (self.elapsed - self.shown) + 5_000;
            if given > latest {
                return Err(latest);
            }
        }
        (self.newest, self.shown) = (Some(given), self.elapsed);
        Ok(given)
    }

    fn is_locked(&self) -> bool {
        self.locks.keys().any(|locked| *locked != target(3))
    }

    /// Checks an answer, and takes it in.
    fn reserved(&mut self, call: &Reserve, answer: Reserved) {
        if self.is_locked() {
            assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
            return self.unmoved(answer.position());
        }
        let now = match self.time(call.at.as_millis()) {
            Ok(now) => now,
            Err(latest) => {
                assert!(
                    matches!(answer, Reserved::Clock { latest: told, .. } if told.as_millis() == latest),
                    "{answer:?}, not {latest}"
                );
                return self.unmoved(answer.position());
            }
        };
        let known = self.rows.iter().find(|row| row.call.op == call.op);
        if known.is_some_and(|row| row.call.digest != call.digest) {
            assert!(matches!(answer, Reserved::Mismatch { .. }), "{answer:?}");
            return self.unmoved(answer.position());
        }
        if let Some(row) = known.filter(|row| !row.goes_on(call.attempt)) {
            let fate = match row.settled {
                Some(settled) => Fate::Settled(settled.outcome),
                None if now > row.deadline => Fate::PresumedSpent,
                None if row.call.attempt == call.attempt => {
                    assert_eq!(answer, row.answer);
                    return;
                }
                None => Fate::Held,
            };
            assert!(
                matches!(answer, Reserved::Taken { fate: told, .. } if told == fate),
                "{answer:?}"
            );
            return self.unmoved(answer.position());
        }
        let mut counts = Vec::new();
        for (place, demand) in call.demands.iter().enumerate() {
            let count = self.count(call, place, now);
            if count > demand.ceiling {
                let leaving = self.rows.iter().filter_map(|row| ends(demand.window, row.at));
                let free = leaving.filter(|at| *at > now && self.count(call, place, *at) <= demand.ceiling);
                let free_at = free.min();
                match answer {
                    Reserved::Over(over) => {
                        assert_eq!((over.demand, over.count, over.now.as_millis()), (place, count, now));
                        assert_eq!(over.free_at.map(Timestamp::as_millis), free_at);
                    }
                    ref other => fail(&format!("{other:?}, not over")),
                }
                return self.unmoved(answer.position());
            }
            counts.push(count);
        }
        let Reserved::Held(held) = &answer else {
            fail(&format!("{answer:?}, not held"));
        };
        let deadline = now + i64::try_from(call.lease.as_millis()).unwrap_or(i64::MAX);
        assert_eq!((&*held.counts, held.now.as_millis()), (&*counts, now));
        assert_eq!(held.deadline.as_millis(), deadline);
        self.moved(held.position);
        self.rows.retain(|row| row.call.op != call.op);
        self.rows.push(Row {
            call: call.clone(),
            answer,
            at: now,
            deadline,
            settled: None,
            amounts: call.demands.iter().map(|demand| demand.amount).collect(),
        });
    }

    fn settled(&mut self, call: &Reserve, settle: &Settle, answer: Result<Settled, StoreError>) {
        let (at, outcome) = (settle.at.as_millis(), settle.outcome);
        let kind = answer.as_ref().err().map(StoreError::kind);
        let Some(place) = self.rows.iter().position(|row| row.call.op == call.op) else {
            return assert_eq!(kind, Some(StoreErrorKind::UnknownOp));
        };
        let first = self
            .rows
            .get(place)
            .map(|row| (row.call.attempt, row.settled, row.deadline));
        let Some((attempt, settled, deadline)) = first else {
            return;
        };
        if attempt != call.attempt {
            return assert_eq!(kind, Some(StoreErrorKind::NotHolder));
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => fail(&format!("{error:?}")),
        };
        if let Some(settled) = settled {
            return assert_eq!(answer, settled);
        }
        let late = self.time(at).map_or(true, |now| now > deadline);
        assert_eq!((answer.outcome, answer.late), (outcome, late));
        assert_eq!(answer.refunded, outcome.refunds() && !late);
        self.moved(answer.position);
        if let Some(row) = self.rows.get_mut(place) {
            row.settled = Some(answer);
            let mut said = Vec::new();
            for actual in settle.actual.iter().filter(|_| !outcome.refunds()) {
                if said.contains(&actual.demand) {
                    continue;
                }
                said.push(actual.demand);
                if let Some(amount) = row.amounts.get_mut(actual.demand) {
                    // Less only in time.
                    *amount = if late {
                        actual.amount.max(*amount)
                    } else {
                        actual.amount
                    };
                }
            }
        }
    }

    /// How much counts at a time under the demand at `place` of a call, it and those before it included.
    fn count(&self, call: &Reserve, place: usize, now: i64) -> u64 {
        let Some(demand) = call.demands.get(place) else {
            return 0;
        };
        let inside = |row: &&Row| row.counts() && ends(demand.window, row.at).is_none_or(|end| now < end);
        let before = self.rows.iter().filter(inside);
        let before = before.flat_map(|row| row.call.demands.iter().zip(row.amounts.iter().copied()));
        let own = call
            .demands
            .iter()
            .take(place + 1)
            .map(|demand| (demand, demand.amount));
        let same = before
            .chain(own)
            .filter(|(other, _)| (&other.rule, other.scope) == (&demand.rule, demand.scope));
        let same: Vec<_> = same.map(|(demand, amount)| (demand.key, amount)).collect();
        let under = |key: Option<[u8; 16]>| -> u64 {
            let counted = same.iter().filter(|(other, _)| other.is_none() || *other == key);
            counted.map(|(_, amount)| amount).sum()
        };
        match demand.key {
            Some(_) => under(demand.key),
            // The keys that are not known count under each, and under none besides.
            None => same.iter().map(|(key, _)| under(*key)).max().unwrap_or(0),
        }
    }

    fn moved(&mut self, position: Position) {
        assert!(
            position.epoch > self.epoch,
            "a change at {}, after {}",
            position.epoch,
            self.epoch
        );
        self.epoch = position.epoch;
    }

    fn unmoved(&self, position: Position) {
        assert_eq!(position.epoch, self.epoch);
    }
}

async fn play(rig: Rig, steps: Vec<Step>) {
    let mut model = Model::default();
    let mut calls: Vec<Reserve> = Vec::new();
    let pick = |calls: &[Reserve], which: usize| calls.get(which.checked_rem(calls.len())?).cloned();
    for step in steps {
        match step {
            Step::Call { demands, lease } => {
                let draft = demands.iter().fold(
                    rig.call().leased(lease),
                    |draft, (rule, scope, key, amount, ceiling)| {
                        let rule = RULES.get(*rule).copied().unwrap_or(("a", Window::Lifetime));
                        draft.worth(rule, *scope, *key, *amount, *ceiling)
                    },
                );
                let call = draft.done();
                model.reserved(&call, rig.ask(call.clone()).await);
                calls.push(call);
            }
            Step::Again {
                which,
                another,
                other_digest,
            } => {
                let Some(call) = pick(&calls, which) else { continue };
                let mut draft = rig.again(&call);
                if another {
                    draft = draft.by_another();
                }
                if other_digest {
                    draft = draft.of_another_call();
                }
                let call = draft.done();
                model.reserved(&call, rig.ask(call.clone()).await);
                // The second runner may settle it, and ask again.
                if another && !other_digest {
                    calls.push(call);
                }
            }
            Step::Settle {
                which,
                outcome,
                another,
                actual,
            } => {
                let Some(call) = pick(&calls, which) else { continue };
                let draft = rig.again(&call);
                let call = if another { draft.by_another() } else { draft }.done();
                let settle = Settle {
                    actual,
                    ..rig.settling(&call, outcome)
                };
                let answer = rig.store.settle(settle.clone()).await;
                model.settled(&call, &settle, answer);
            }
            Step::Lock(n) => {
                let position = rig.lock(target(n)).await;
                if model.locks.contains_key(&target(n)) {
                    model.unmoved(position);
                } else {
                    model.moved(position);
                    model.locks.insert(target(n), position.epoch);
                }
            }
            Step::Unlock(n) => {
                let seen = match rig.store.locks().await {
                    Ok(view) => view.position,
                    Err(error) => fail(&format!("{error:?}")),
                };
                model.unmoved(seen);
                match (rig.unlock(target(n), seen).await, model.locks.remove(&target(n))) {
                    (Unlocked::Lifted { position, .. }, Some(_)) => model.moved(position),
                    (Unlocked::NotLocked { position }, None) => model.unmoved(position),
                    other => fail(&format!("{other:?}")),
                }
            }
            Step::Pass(millis) => {
                rig.pass(millis);
                model.elapsed += millis;
            }
            Step::Jump(millis) => rig.jump(millis),
        }
    }
}

/// Whatever happens, in whatever order, every answer is the one that the reference gives.
///
/// # Panics
/// When one is not, with the shortest history that shows it.
pub fn every_answer_is_the_models<S: Future<Output = Subject>>(subject: impl Fn() -> S) {
    let runtime = runtime();
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(step(), 0..120), |steps| {
        runtime.block_on(async { play(Rig::new(subject().await), steps).await });
        Ok(())
    });
    if let Err(failure) = outcome {
        fail(&failure.to_string());
    }
}
