//! What a durable reservation costs. Prints figures and asserts nothing:
//!
//! ```text
//! cargo test --release -p glassbreak-sqlite --test cost -- --ignored --nocapture --test-threads=1
//! ```
//!
//! With `TMPDIR=/dev/shm`, where a sync takes no time, what is left of a reservation is its own work.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Scratch;
use common::made::call;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{FakeClock, Ledger, MemoryStore, Reserved, Store, Which};
use glassbreak_sqlite::SqliteStore;
use glassbreak_testkit::store::{Rig, Subject};

const CALLS: usize = 1_500;

fn percentile(times: &mut [Duration], of: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * of / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn one_caller_beside_a_bare_commit() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    let bare = rusqlite::Connection::open(scratch.path().join("bare.db")).unwrap();
    bare.execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = full; CREATE TABLE t (x) STRICT")
        .ok();
    bare.execute_batch("CREATE TABLE IF NOT EXISTS t (x INTEGER)").unwrap();
    let (mut commits, mut reserves) = (Vec::new(), Vec::new());
    for n in 0..CALLS as i64 {
        let begin = Instant::now();
        bare.prepare_cached("INSERT INTO t VALUES (?)")
            .unwrap()
            .execute([n])
            .unwrap();
        commits.push(begin.elapsed());
        let call = call((n % 200) as u8, u32::MAX);
        let begin = Instant::now();
        assert!(matches!(store.reserve(call).await, Ok(Reserved::Held(_))));
        reserves.push(begin.elapsed());
    }
    for (what, times) in [("a bare row", &mut commits), ("a reservation", &mut reserves)] {
        println!(
            "{what}: p50 {:?}, p99 {:?}",
            percentile(times, 50),
            percentile(times, 99)
        );
    }
    let ratio =
        |of| percentile(&mut reserves.clone(), of).as_secs_f64() / percentile(&mut commits.clone(), of).as_secs_f64();
    println!("ratio: p50 {:.2}, p99 {:.2}", ratio(50), ratio(99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn many_callers_beside_one() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    let mut alone = None;
    for callers in [1_usize, 8, 32] {
        let begin = Instant::now();
        let jobs = (0..callers).map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0..CALLS / 4 {
                    let mut call = call(0, u32::MAX);
                    // Some calls count together, as under a limit.
                    call.demands[0].key = Some((((caller << 32) | (n / 8)) as u128).to_be_bytes());
                    let begin = Instant::now();
                    assert!(matches!(store.reserve(call).await, Ok(Reserved::Held(_))));
                    times.push(begin.elapsed());
                }
                times
            })
        });
        let mut times = Vec::new();
        for job in jobs.collect::<Vec<_>>() {
            times.extend(job.await.unwrap());
        }
        let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
        println!(
            "{callers:>2} callers: {rate:>7.0} a second, {:.1} times one, p50 {:?}, p99 {:?}",
            rate / *alone.get_or_insert(rate),
            percentile(&mut times, 50),
            percentile(&mut times, 99)
        );
    }
}

/// Whether revoking all needs to be one step, whatever there is to revoke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn revoking_thousands_of_grants() {
    let scratch = Scratch::new();
    let clock = || Arc::new(FakeClock::default());
    let memory = clock();
    let durable = clock();
    let stores: [(&str, Arc<dyn Store>, Arc<FakeClock>); 2] = [
        (
            "memory",
            Arc::new(MemoryStore::builder().clock(Arc::clone(&memory) as _).build()),
            memory,
        ),
        (
            "sqlite",
            Arc::new(
                SqliteStore::builder(scratch.database())
                    .clock(Arc::clone(&durable) as _)
                    .open()
                    .await
                    .unwrap(),
            ),
            durable,
        ),
    ];
    for (name, store, clock) in stores {
        let rig = Rig::new(Subject::new(Arc::clone(&store), store, clock));
        for many in [100, 1_000, 3_000] {
            for n in 0..many {
                let question = rig.question().capped(u32::MAX, u32::MAX);
                let request = rig.opened(question.asked_by(&format!("r{n}"))).await;
                rig.granted(rig.approval(&request)).await;
            }
            let begin = Instant::now();
            let ended = rig.revoke(Which::Under(Target::All)).await;
            println!("{name}: {} grants revoked in {:?}", ended.grants.len(), begin.elapsed());
            assert_eq!(ended.grants.len(), many);
        }
    }
}
