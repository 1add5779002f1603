//! What is the memory store's own: its bounds, and what it does when it is broken.
//!
//! Its contract is tested by the suite of `glassbreak-testkit`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::books::Books;
use crate::call::{Actor, Args, CallDigest, Text, Tool, Word};
use crate::clock::{Span, Timestamp};
use crate::lock::{Lock, LockPath, Target};
use crate::store::{
    Attempt, Clock, Demand, FakeClock, Fate, OpId, Outcome, Reserve, Reserved, Settle, StoreErrorKind, Window,
};

pub(super) const T0: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// A reservation in the making.
pub(super) struct Reserving(Reserve);

impl Reserving {
    pub(super) fn new() -> Self {
        let tool = Tool {
            name: word("restart"),
            arguments: Args::new(),
        };
        Self(Reserve {
            op: OpId::mint(Timestamp::from_millis(T0)),
            attempt: Attempt::mint(),
            digest: CallDigest::of_tool(&tool),
            path: LockPath::new(&Actor::new(word("ops"), word("s-1")), "restart"),
            at: Timestamp::from_millis(T0),
            lease: Span::from_millis(60_000),
            demands: Vec::new(),
        })
    }

    /// One more under `key`, of at most `ceiling` in ten minutes.
    pub(super) fn on(mut self, key: u8, ceiling: u32) -> Self {
        self.0.demands.push(Demand {
            rule: "deletions".into(),
            scope: [key; 16],
            key: Some([0; 16]),
            window: Window::Sliding(Span::from_millis(600_000)),
            amount: 1,
            ceiling: u64::from(ceiling),
        });
        self
    }

    /// So much more under `key`, of at most `ceiling`, in a window of each kind.
    pub(super) fn worth(mut self, key: u8, amount: u64, ceiling: u64) -> Self {
        let ten_minutes = Span::from_millis(600_000);
        let size = Span::from_millis(60_000);
        for (rule, window) in [
            ("rows", Window::Sliding(ten_minutes)),
            (
                "steps",
                Window::Buckets {
                    span: ten_minutes,
                    size,
                },
            ),
            ("all", Window::Lifetime),
        ] {
            self.0.demands.push(Demand {
                rule: rule.into(),
                scope: [key; 16],
                key: Some([0; 16]),
                window,
                amount,
                ceiling,
            });
        }
        self
    }

    pub(super) fn at(mut self, millis: i64) -> Self {
        self.0.at = Timestamp::from_millis(millis);
        self
    }

    /// Made at this time, by the clock of the gate.
    fn minted(mut self, millis: i64) -> Self {
        self.0.op = OpId::mint(Timestamp::from_millis(millis));
        self.at(millis)
    }

    pub(super) fn done(self) -> Reserve {
        self.0
    }
}

pub(super) fn settling(reserve: &Reserve, outcome: Outcome) -> Settle {
    Settle {
        op: reserve.op,
        attempt: reserve.attempt,
        outcome,
        actual: Vec::new(),
        at: reserve.at,
    }
}

pub(super) fn lock_all() -> Lock {
    Lock {
        target: Target::All,
        reason: Text::new("enough").unwrap(),
        by: word("bob"),
        at: Timestamp::from_millis(T0),
    }
}

fn books(most_ops: usize) -> (Books, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    (Books::new([1; 16], most_ops, Arc::clone(&clock) as _), clock)
}

fn pass(clock: &FakeClock, millis: i64) {
    clock.pass(Span::from_millis(millis.unsigned_abs()));
}

fn is_held(answer: &Reserved) -> bool {
    matches!(answer, Reserved::Held(_))
}

#[test]
fn a_full_store_refuses_and_forgets_nothing_that_may_matter() {
    let (books, clock) = books(2);
    let first = Reserving::new().on(1, 9).done();
    assert!(is_held(&books.reserve(first.clone()).unwrap()));
    assert!(is_held(&books.reserve(Reserving::new().done()).unwrap()));
    let full = books.reserve(Reserving::new().done()).unwrap_err();
    assert_eq!((full.kind(), full.is_retryable()), (StoreErrorKind::Full, true));
    // A repeat needs no room, and settling makes none.
    assert!(is_held(&books.reserve(first.clone()).unwrap()));
    books.settle(settling(&first, Outcome::NotRun)).unwrap();
    assert_eq!(
        books.reserve(Reserving::new().done()).unwrap_err().kind(),
        StoreErrorKind::Full
    );
    // After a day there is room, once a call has come by the shard of a forgotten one.
    pass(&clock, DAY + 1);
    let later = T0 + DAY + 1;
    let admitted = (0..2_000).filter(|_| books.reserve(Reserving::new().minted(later).done()).is_ok());
    assert_eq!(admitted.count(), 2);
}

#[test]
fn an_op_that_may_be_forgotten_is_never_held_again() {
    let (books, clock) = books(100);
    let old = Reserving::new().on(1, 9).done();
    assert!(is_held(&books.reserve(old.clone()).unwrap()));
    pass(&clock, DAY);
    let again = |at| Reserve {
        at: Timestamp::from_millis(at),
        ..old.clone()
    };
    let answer = books.reserve(again(T0 + DAY)).unwrap();
    assert!(
        matches!(
            answer,
            Reserved::Taken {
                fate: Fate::PresumedSpent,
                ..
            }
        ),
        "{answer:?}"
    );
    pass(&clock, 1);
    let answer = books.reserve(again(T0 + DAY + 1)).unwrap();
    assert!(
        matches!(
            answer,
            Reserved::Taken {
                fate: Fate::Forgotten,
                ..
            }
        ),
        "{answer:?}"
    );
    assert_eq!(books.kept().0, 0);
    let settled = books.settle(settling(&old, Outcome::NotRun));
    assert_eq!(settled.unwrap_err().kind(), StoreErrorKind::UnknownOp);
}

#[test]
fn a_long_window_and_a_long_lease_keep_an_op_longer() {
    for (window, lease) in [(3 * DAY, MINUTE), (MINUTE, 3 * DAY)] {
        let (books, clock) = books(100);
        let mut old = Reserving::new().on(1, 9).done();
        old.demands[0].window = Window::Sliding(Span::from_millis(window.unsigned_abs()));
        old.lease = Span::from_millis(lease.unsigned_abs());
        assert!(is_held(&books.reserve(old.clone()).unwrap()));
        for day in 1..=3 {
            pass(&clock, DAY);
            old.at = Timestamp::from_millis(T0 + day * DAY);
            let answer = books.reserve(old.clone()).unwrap();
            assert!(
                !matches!(
                    answer,
                    Reserved::Taken {
                        fate: Fate::Forgotten,
                        ..
                    }
                ),
                "{answer:?}"
            );
        }
        assert_eq!(books.kept().0, 1);
    }
}

#[test]
fn what_is_empty_does_not_pile_up() {
    let (books, clock) = books(1_000_000);
    let mut most = 0;
    for n in 0..40_000_u32 {
        // Each with a key of its own, ten a second: six thousand count at any time.
        let now = T0 + i64::from(n) * 100;
        pass(&clock, 100);
        let mut reserve = Reserving::new().minted(now).on(0, 1).done();
        reserve.demands[0].scope = u128::from(n).to_be_bytes();
        assert!(is_held(&books.reserve(reserve).unwrap()));
        if n % 1_000 == 0 {
            most = most.max(books.kept().1);
        }
    }
    assert!(most < 3 * 6_000, "{most} counters");
}

#[test]
fn a_time_too_far_ahead_is_not_believed_until_it_is_adopted() {
    let (books, clock) = books(100);
    let at = |millis| books.reserve(Reserving::new().minted(millis).on(1, 9).done()).unwrap();
    assert!(is_held(&at(T0)));
    pass(&clock, 1_000);
    // The machine slept for an hour, and its steady clock with it.
    let woken = T0 + 3_600_000;
    let latest = Timestamp::from_millis(T0 + 6_000);
    assert!(matches!(at(woken), Reserved::Clock { latest: told, .. } if told == latest));
    assert!(matches!(at(woken), Reserved::Clock { .. }));
    books.adopt_time(Timestamp::from_millis(woken)).unwrap();
    assert!(matches!(at(woken), Reserved::Held(held) if *held.counts == [1]));
    books.adopt_time(Timestamp::from_millis(T0)).unwrap();
    assert!(matches!(at(T0), Reserved::Held(held) if held.now.as_millis() == woken));
}

/// A clock that panics when it is told to: the one foreign thing that the books call while they hold mutexes.
#[derive(Debug, Default)]
struct BadClock(std::sync::atomic::AtomicBool);

impl Clock for BadClock {
    fn elapsed(&self) -> Span {
        assert!(!self.0.load(std::sync::atomic::Ordering::SeqCst), "out of order");
        Span::from_millis(0)
    }
}

#[test]
fn a_broken_store_errs_and_still_locks() {
    let clock = Arc::new(BadClock::default());
    let books = Books::new([1; 16], 100, Arc::clone(&clock) as _);
    let first = Reserving::new().on(1, 9).done();
    assert!(is_held(&books.reserve(first.clone()).unwrap()));
    clock.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let late = Reserve {
        at: Timestamp::from_millis(T0 + 1),
        ..first.clone()
    };
    assert!(catch_unwind(AssertUnwindSafe(|| books.reserve(late))).is_err());

    let broken = books.reserve(first.clone()).unwrap_err();
    assert_eq!((broken.kind(), broken.is_retryable()), (StoreErrorKind::Broken, false));
    let settled = books.settle(settling(&first, Outcome::NotRun)).unwrap_err();
    assert_eq!(settled.kind(), StoreErrorKind::Broken);
    // Another op whose own shard is well still needs the counter and the time.
    for _ in 0..100 {
        let other = books.reserve(Reserving::new().minted(T0 + 2).on(1, 9).done());
        assert_eq!(other.unwrap_err().kind(), StoreErrorKind::Broken);
    }
    let locked = books.lock(lock_all());
    let view = books.locks();
    assert!(view.position.epoch >= locked.position.epoch && !view.locks.is_empty());
    assert!(books.reserve(first).is_err());
}

#[test]
fn while_two_bundles_count_one_key_over_two_windows_nothing_is_lost() {
    let (books, clock) = books(1_000);
    let demand = |window: i64, ceiling: u32, now: i64| {
        let mut reserve = Reserving::new().minted(now).on(1, ceiling).done();
        reserve.demands[0].window = Window::Sliding(Span::from_millis(window.unsigned_abs()));
        reserve
    };
    // Ten in ten minutes by one, three in one minute by the other: more come than the ring has room for.
    assert!(is_held(&books.reserve(demand(10 * MINUTE, 10, T0)).unwrap()));
    let mut last = None;
    for n in 1..30 {
        pass(&clock, MINUTE / 4);
        let reserve = demand(MINUTE, 5, T0 + n * MINUTE / 4);
        assert!(is_held(&books.reserve(reserve.clone()).unwrap()));
        last = Some(reserve);
    }
    let now = T0 + 30 * MINUTE / 4;
    pass(&clock, MINUTE / 4);
    assert!(matches!(
        books.reserve(demand(10 * MINUTE, 10, now)).unwrap(),
        Reserved::Over(_)
    ));
    // The ring shed what was old; a refund must not make room for what it no longer knows.
    assert!(
        books
            .settle(settling(&last.unwrap(), Outcome::NotRun))
            .unwrap()
            .refunded
    );
    assert!(matches!(
        books.reserve(demand(10 * MINUTE, 10, now)).unwrap(),
        Reserved::Over(_)
    ));
}
