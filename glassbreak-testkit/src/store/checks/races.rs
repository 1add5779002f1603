//! Many at once.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use glassbreak_core::lock::Target;
use glassbreak_core::store::{Outcome, Reserved};

use super::super::rig::{Rig, fail};

/// How many tasks race.
const TASKS: u64 = 64;

/// Runs one task for each of `n`, through both handles by turns, and returns what they returned.
pub(super) async fn race<T, F>(rig: &Rig, tasks: u64, job: impl Fn(Rig, u64) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let jobs = (0..tasks).map(|n| {
        let rig = if n % 2 == 1 { rig.turned() } else { rig.clone() };
        tokio::spawn(job(rig, n))
    });
    let jobs: Vec<_> = jobs.collect();
    let mut results = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job.await {
            Ok(result) => results.push(result),
            Err(error) => fail(&error.to_string()),
        }
    }
    results
}

pub(super) fn is_held(answer: &Reserved) -> bool {
    matches!(answer, Reserved::Held(_))
}

/// A dropped future is "maybe applied": one that was never polled did nothing; any other counts once or not at all,
/// and the message may be sent again.
pub async fn dropped_calls_count_at_most_once_and_are_never_lost(rig: Rig) {
    drop(rig.store.reserve(rig.call().on(1, 9).done()));
    assert_eq!(rig.count(1).await, 0);
    for n in 0..50 {
        let call = rig.call().on(2, 1_000).done();
        {
            let mut future = pin!(rig.store.reserve(call.clone()));
            for _ in 0..=n % 3 {
                let done = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Applied or not, the message again settles the matter.
        rig.hold(rig.again(&call)).await;
        assert_eq!(rig.count(2).await, n + 1);
    }
}

/// Of tasks that race for one budget exactly as many are admitted as it has places, round after round.
pub async fn calls_that_race_for_one_budget_are_admitted_up_to_it_exactly(rig: Rig) {
    const PLACES: u32 = 10;
    let rounds = u64::try_from(rig.rounds).unwrap_or(u64::MAX);
    let tasks = race(&rig, TASKS, |rig, _| async move {
        let mut admitted = Vec::new();
        for round in 0..rounds {
            if let Reserved::Held(held) = rig.ask(rig.call().on(round, PLACES)).await {
                assert!(held.counts.iter().all(|count| *count <= u64::from(PLACES)));
                admitted.push(round);
            }
            // Everybody is in the same round, about.
            tokio::task::yield_now().await;
        }
        admitted
    });
    let mut admitted: BTreeMap<u64, u32> = BTreeMap::new();
    for round in tasks.await.into_iter().flatten() {
        *admitted.entry(round).or_default() += 1;
    }
    assert!((0..rounds).all(|round| admitted.get(&round) == Some(&PLACES)));
}

/// Of any number of attempts at one op one holds it, and the others are told that it is taken.
pub async fn of_many_attempts_at_one_op_one_holds_it(rig: Rig) {
    for key in 0..20 {
        let call = rig.call().on(key, 1_000).done();
        let answers = race(&rig, TASKS, |rig, _| {
            let call = rig.again(&call).by_another();
            async move { rig.ask(call).await }
        });
        let answers = answers.await;
        assert_eq!(answers.iter().filter(|answer| is_held(answer)).count(), 1);
        assert!(
            answers
                .iter()
                .all(|a| is_held(a) || matches!(a, Reserved::Taken { .. }))
        );
        assert_eq!(rig.count(key).await, 1);
    }
}

/// Calls that need many places at once, in any order, get all of them or none, and never wait for each other for ever.
pub async fn calls_with_many_demands_are_counted_whole_or_not(rig: Rig) {
    const PLACES: u32 = 7;
    const KEYS: u64 = 5;
    for round in 0..50 {
        let first = round * KEYS;
        let answers = race(&rig, TASKS, |rig, n| async move {
            let keys = (0..KEYS).map(|key| first + if n % 3 == 0 { key } else { KEYS - 1 - key });
            let call = keys.fold(rig.call(), |call, key| call.on(key, PLACES));
            is_held(&rig.ask(call).await)
        });
        let held = answers.await.into_iter().filter(|held| *held).count();
        assert_eq!(u32::try_from(held).ok(), Some(PLACES));
        for key in first..first + KEYS {
            assert_eq!(rig.count(key).await, u64::from(PLACES));
        }
    }
}

/// Places that are given back are taken again, and never more than there are.
pub async fn what_is_given_back_while_others_reserve_stays_within_the_ceiling(rig: Rig) {
    const PLACES: u32 = 3;
    let kept = race(&rig, TASKS, |rig, n| async move {
        let mut kept = 0_u32;
        for step in 0..50 {
            let call = rig.call().on(1, PLACES).on(2, PLACES).done();
            if is_held(&rig.ask(call.clone()).await) {
                tokio::task::yield_now().await;
                let keep = n == 0 && step > 40;
                let outcome = if keep { Outcome::Failed } else { Outcome::NotRun };
                assert_eq!(rig.settle(&call, outcome).await.refunded, !keep);
                kept += u32::from(keep);
            }
            tokio::task::yield_now().await;
        }
        kept
    });
    let kept: u32 = kept.await.into_iter().sum();
    assert!(kept <= PLACES);
    let kept = u64::from(kept);
    assert_eq!((rig.count(1).await, rig.count(2).await), (kept, kept));
}

/// However a lock and calls race: no call is held at an epoch above the lock's, and none that began after it returned.
pub async fn nothing_is_held_above_the_epoch_of_a_lock(rig: Rig) {
    for _ in 0..20 {
        let epochs = race(&rig, TASKS, |rig, n| async move {
            if n == TASKS / 2 {
                let locked = rig.lock(Target::All).await;
                for _ in 0..5 {
                    let after = rig.ask(rig.call().on(1, 10_000)).await;
                    assert!(matches!(after, Reserved::Locked { .. }), "{after:?}");
                }
                return (vec![locked.epoch], Vec::new());
            }
            let mut held = Vec::new();
            for _ in 0..5 {
                if let Reserved::Held(answer) = rig.ask(rig.call().on(n % 7, 10_000)).await {
                    held.push(answer.position.epoch);
                }
                tokio::task::yield_now().await;
            }
            (Vec::new(), held)
        });
        let (locks, held): (Vec<_>, Vec<_>) = epochs.await.into_iter().unzip();
        let lock = locks.into_iter().flatten().next().unwrap_or(0);
        assert!(held.into_iter().flatten().all(|epoch| epoch < lock));
        let seen = rig.ask(rig.call()).await.position();
        let _ = rig.unlock(Target::All, seen).await;
    }
}

/// Replayed in the order of their epochs, one after the other, the changes explain every count and every refusal of a
/// race.
pub async fn the_order_of_epochs_explains_every_count(rig: Rig) {
    /// Ordered: changes at their epochs, and after each what was refused there.
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum What {
        Held { keys: [u64; 2], counts: Vec<u64> },
        GivenBack { keys: [u64; 2] },
        Settled,
        Over { keys: [u64; 2], demand: usize, count: u64 },
    }
    const PLACES: u32 = 12;
    let events = race(&rig, 16, |rig, n| async move {
        let mut events = Vec::new();
        let mut random = n + 1;
        for _ in 0..200 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let keys = [(random >> 33) % 4, 4 + (random >> 40) % 4];
            let call = rig.call().on(keys[0], PLACES).on(keys[1], PLACES).done();
            match rig.ask(call.clone()).await {
                Reserved::Held(held) => {
                    let counts = held.counts.to_vec();
                    events.push((held.position.epoch, What::Held { keys, counts }));
                }
                Reserved::Over(over) => {
                    let (demand, count) = (over.demand, over.count);
                    events.push((over.position.epoch, What::Over { keys, demand, count }));
                    continue;
                }
                other => fail(&format!("{other:?}")),
            }
            tokio::task::yield_now().await;
            let outcome = if (random >> 50) % 8 == 0 {
                Outcome::Done
            } else {
                Outcome::NotRun
            };
            let settled = rig.settle(&call, outcome).await;
            let what = if settled.refunded {
                What::GivenBack { keys }
            } else {
                What::Settled
            };
            events.push((settled.position.epoch, what));
        }
        events
    });
    let mut events: Vec<_> = events.await.into_iter().flatten().collect();
    events.sort();
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut change = 0;
    for (epoch, what) in events {
        let of = |key: u64, counts: &BTreeMap<u64, u64>| counts.get(&key).copied().unwrap_or(0);
        match what {
            What::Over { keys, demand, count } => {
                assert!(
                    keys.get(demand).is_some_and(|key| of(*key, &counts) + 1 == count),
                    "epoch {epoch}"
                );
                assert!(count > u64::from(PLACES));
                continue;
            }
            What::Held { keys, counts: told } => {
                for key in keys {
                    *counts.entry(key).or_default() += 1;
                }
                assert_eq!(keys.map(|key| of(key, &counts)).to_vec(), told, "epoch {epoch}");
            }
            What::GivenBack { keys } => {
                for key in keys {
                    counts.entry(key).and_modify(|count| *count -= 1);
                }
            }
            What::Settled => {}
        }
        assert!(epoch > change, "two changes at epoch {epoch}");
        change = epoch;
    }
}
