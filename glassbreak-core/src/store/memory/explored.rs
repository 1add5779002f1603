//! The books over all interleavings that shuttle finds.
//!
//! The same files, built on shuttle's mutexes and atomics instead of the standard library's, so every acquisition is a
//! point where another thread may come first. Runs with every `cargo test`; to look further:
//!
//! ```text
//! GLASSBREAK_SCHEDULES=200000 cargo test -p glassbreak-core store::memory::explored
//! ```

#[path = "asks.rs"]
#[expect(clippy::duplicate_mod, reason = "built twice, as books are")]
mod asks;
#[path = "books.rs"]
#[expect(clippy::duplicate_mod, reason = "built twice, on different mutexes")]
mod books;
#[path = "gathered.rs"]
#[expect(clippy::duplicate_mod, reason = "built twice, on different mutexes")]
mod gathered;
#[path = "time.rs"]
#[expect(clippy::duplicate_mod, reason = "built twice, on different mutexes")]
mod time;

mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
    /// Few, so that unrelated calls meet too.
    pub(super) const OPS: usize = 2;
    pub(super) const COUNTERS: usize = 2;
}

use std::sync::Arc;

use shuttle::thread;

use self::books::Books;
use super::counter;
use super::tests::{Reserving, T0, lock_all, settling};
use crate::clock::Timestamp;
use crate::store::{Actual, Attempt, FakeClock, Outcome, Reserved, Settle, Unlock, Unlocked};

/// Runs `body` under many schedules: uniform ones, and ones that hold few threads back for long.
fn explore(body: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("GLASSBREAK_SCHEDULES");
    let schedules = schedules.ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    shuttle::check_random(body.clone(), schedules);
    shuttle::check_pct(body, schedules, 3);
}

fn books() -> Arc<Books> {
    Arc::new(Books::new([7; 16], 1_000, Arc::new(FakeClock::default())))
}

fn is_held(answer: &Reserved) -> bool {
    matches!(answer, Reserved::Held(_))
}

/// Runs one thread for each of `jobs`, and returns what they returned.
fn race<T: Send + 'static>(jobs: Vec<Box<dyn FnOnce() -> T + Send>>) -> Vec<T> {
    let threads: Vec<_> = jobs.into_iter().map(thread::spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn job<T>(body: impl FnOnce() -> T + Send + 'static) -> Box<dyn FnOnce() -> T + Send> {
    Box::new(body)
}

#[test]
fn racing_calls_are_admitted_up_to_the_ceiling_exactly() {
    explore(|| {
        let books = books();
        let jobs = (0..4).map(|n| {
            let books = Arc::clone(&books);
            // Each by its own clock.
            job(move || books.reserve(Reserving::new().on(1, 2).at(T0 + n % 2).done()).unwrap())
        });
        let answers = race(jobs.collect());
        assert_eq!(answers.iter().filter(|answer| is_held(answer)).count(), 2);
    });
}

#[test]
fn racing_amounts_are_admitted_up_to_the_ceiling_and_what_they_really_came_to_is_counted_in_full() {
    explore(|| {
        let books = books();
        // Three of four fit below eight, in each kind of window; each then turns out to be five.
        let wanting = || Reserving::new().worth(1, 2, 7).done();
        let jobs = (0..4).map(|_| {
            let (books, reserve) = (Arc::clone(&books), wanting());
            job(move || {
                let held = is_held(&books.reserve(reserve.clone()).unwrap());
                if held {
                    let actual = (0..3).map(|demand| Actual { demand, amount: 5 }).collect();
                    let settle = Settle {
                        actual,
                        ..settling(&reserve, Outcome::Done)
                    };
                    books.settle(settle).unwrap();
                }
                held
            })
        });
        let held = race(jobs.collect()).into_iter().filter(|held| *held).count();
        // A correction that comes first leaves less room, never more.
        assert!((1..=3).contains(&held), "{held}");
        let look = books.reserve(Reserving::new().worth(1, 0, 99).done()).unwrap();
        let all = u64::try_from(held).unwrap() * 5;
        assert!(matches!(look, Reserved::Held(held) if *held.counts == [all; 3]));
    });
}

#[test]
fn calls_on_the_same_keys_in_opposite_orders_neither_block_nor_half_count() {
    explore(|| {
        let books = books();
        let jobs = [[1, 2], [2, 1], [1, 2]].map(|[a, b]| {
            let books = Arc::clone(&books);
            job(move || books.reserve(Reserving::new().on(a, 2).on(b, 2).done()).unwrap())
        });
        assert_eq!(race(jobs.into()).iter().filter(|answer| is_held(answer)).count(), 2);
        let look = books.reserve(Reserving::new().on(2, 9).on(1, 9).done()).unwrap();
        assert!(matches!(look, Reserved::Held(held) if *held.counts == [3, 3]));
        assert_eq!(books.kept(), (3, 2));
    });
}

#[test]
fn of_racing_attempts_at_one_op_one_holds_it() {
    explore(|| {
        let books = books();
        let reserve = Reserving::new().on(1, 9).done();
        let jobs = (0..3).map(|_| {
            let (books, mut reserve) = (Arc::clone(&books), reserve.clone());
            reserve.attempt = Attempt::mint();
            job(move || books.reserve(reserve).unwrap())
        });
        let answers = race(jobs.collect());
        assert_eq!(answers.iter().filter(|answer| is_held(answer)).count(), 1);
        assert!(
            answers
                .iter()
                .all(|answer| is_held(answer) || matches!(answer, Reserved::Taken { .. }))
        );
    });
}

#[test]
fn a_repeat_that_races_its_first_message_is_counted_once() {
    explore(|| {
        let books = books();
        let reserve = Reserving::new().on(1, 9).done();
        let jobs = (0..2).map(|_| {
            let (books, reserve) = (Arc::clone(&books), reserve.clone());
            job(move || books.reserve(reserve).unwrap())
        });
        let answers = race(jobs.collect());
        assert_eq!(answers[0], answers[1]);
        let look = books.reserve(Reserving::new().on(1, 9).done()).unwrap();
        assert!(matches!(look, Reserved::Held(held) if *held.counts == [2]));
    });
}

#[test]
fn racing_settlements_refund_once_and_agree() {
    explore(|| {
        let books = books();
        let one = Reserving::new().on(1, 2).on(2, 2).done();
        let other = Reserving::new().on(1, 2).on(2, 2).done();
        assert!(is_held(&books.reserve(one.clone()).unwrap()) && is_held(&books.reserve(other).unwrap()));
        let jobs = [Outcome::NotRun, Outcome::NotRun, Outcome::Done].map(|outcome| {
            let (books, settle) = (Arc::clone(&books), settling(&one, outcome));
            job(move || books.settle(settle).unwrap())
        });
        let answers = race(jobs.into());
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        let free = usize::from(answers[0].refunded);
        let later = (0..2).map(|_| books.reserve(Reserving::new().on(2, 2).on(1, 2).done()).unwrap());
        assert_eq!(later.filter(is_held).count(), free);
    });
}

#[test]
fn a_place_given_back_is_taken_by_one() {
    explore(|| {
        let books = books();
        let one = Reserving::new().on(1, 1).done();
        assert!(is_held(&books.reserve(one.clone()).unwrap()));
        let settle = settling(&one, Outcome::NotRun);
        let giver = Arc::clone(&books);
        let mut jobs = vec![job(move || usize::from(!giver.settle(settle).unwrap().refunded))];
        jobs.extend((0..2).map(|_| {
            let books = Arc::clone(&books);
            job(move || usize::from(is_held(&books.reserve(Reserving::new().on(1, 1).done()).unwrap())))
        }));
        let held: usize = race(jobs).into_iter().sum();
        let last = books.reserve(Reserving::new().on(1, 1).done()).unwrap();
        assert_eq!(held + usize::from(is_held(&last)), 1);
    });
}

#[test]
fn nothing_is_held_above_the_epoch_of_a_lock_nor_after_it_returned() {
    explore(|| {
        let books = books();
        let locker = Arc::clone(&books);
        let mut jobs = vec![job(move || {
            let locked = locker.lock(lock_all());
            let after = locker.reserve(Reserving::new().on(1, 9).done()).unwrap();
            assert!(matches!(after, Reserved::Locked { .. }));
            (true, locked.position.epoch)
        })];
        jobs.extend((0..2).map(|n| {
            let books = Arc::clone(&books);
            job(move || {
                let answer = books.reserve(Reserving::new().on(n, 9).done()).unwrap();
                (false, if is_held(&answer) { answer.position().epoch } else { 0 })
            })
        }));
        let epochs = race(jobs);
        let lock = epochs.iter().find(|(is_lock, _)| *is_lock).unwrap().1;
        assert!(epochs.iter().all(|(is_lock, epoch)| *is_lock || *epoch < lock));
    });
}

#[test]
fn a_lock_that_nobody_saw_is_not_lifted() {
    explore(|| {
        let books = books();
        let target = lock_all().target;
        let _ = books.lock(lock_all());
        let seen = books.locks().position;
        let unlock = Unlock {
            target,
            by: lock_all().by,
            reason: lock_all().reason,
            seen,
        };
        let (lifter, setter, again) = (Arc::clone(&books), Arc::clone(&books), unlock.clone());
        let jobs = vec![
            job(move || matches!(lifter.unlock(&unlock), Unlocked::Lifted { .. })),
            job(move || setter.lock(lock_all()).position.epoch > seen.epoch),
        ];
        let results = race(jobs);
        assert!(results[0]);
        let stands = !books.locks().locks.is_empty();
        assert_eq!(stands, results[1], "set again, or not at all");
        let lifted = matches!(books.unlock(&again), Unlocked::Lifted { .. });
        assert!(!lifted);
    });
}

#[test]
fn the_times_of_one_key_stay_in_order_whatever_the_clocks() {
    explore(|| {
        let books = books();
        let jobs = (0..3).map(|n| {
            let books = Arc::clone(&books);
            job(move || {
                books
                    .reserve(Reserving::new().on(1, 9).at(T0 + 7 * (n % 3)).done())
                    .unwrap()
            })
        });
        let adopter = Arc::clone(&books);
        let adopts = thread::spawn(move || adopter.adopt_time(Timestamp::from_millis(T0 + 10)).unwrap());
        let mut held: Vec<_> = race(jobs.collect())
            .into_iter()
            .map(|answer| match answer {
                Reserved::Held(held) => (held.position.epoch, held.now, held.counts[0]),
                other => panic!("{other:?}"),
            })
            .collect();
        adopts.join().unwrap();
        held.sort_unstable();
        assert!(
            held.windows(2)
                .all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 < pair[1].2)
        );
    });
}

#[path = "explored_asks.rs"]
mod people;
