//! What the memory store's counting takes, in turn with the yardstick: `reserve` and `settle` under twenty budgets, and two
//! sessions on two threads. Instructions are in `instructions`; this is what they do not show.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use glassbreak_benches::{Counting, SmallTask, counted_store};
use rustix::time::{ClockId, clock_gettime};

/// How many calls are timed together.
const BATCH: u32 = 1_000;
/// How many batches of each; the least and the median of them count.
const BATCHES: usize = 60;

fn main() {
    beside_cedar();
    by_history();
    threads();
}

fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What one call of `body` takes of this thread's time, in nanoseconds, over a batch; `make` is not timed.
fn each<T, R>(mut make: impl FnMut() -> T, body: impl Fn(T) -> R) -> f64 {
    let ready: Vec<T> = (0..BATCH).map(|_| make()).collect();
    let begun = spent();
    for ready in ready {
        black_box(body(ready));
    }
    (spent() - begun).as_secs_f64() * 1e9 / f64::from(BATCH)
}

fn least_and_median(mut all: Vec<f64>) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |n: usize| all.get(n).copied().unwrap_or(f64::NAN);
    (at(0), at(all.len() / 2))
}

fn beside_cedar() {
    println!("reserve and settle at twenty demands, beside B ({BATCHES} batches each, in turn):");
    let mut counting = Counting::alone(1_000);
    let cedar = SmallTask::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        ours.push(each(|| counting.ready(), |ready| ready.count()));
        theirs.push(each(|| (), |()| cedar.ask()));
    }
    let (ours, theirs) = (least_and_median(ours), least_and_median(theirs));
    for (name, ours, theirs) in [("least", ours.0, theirs.0), ("median", ours.1, theirs.1)] {
        println!(
            "{name:>10}: {ours:>7.0} ns, B {theirs:>7.0} ns, {:.2} of it",
            ours / theirs
        );
    }
}

fn by_history() {
    println!("the same by how many calls the session made before, median of {BATCHES} batches:");
    for before in [10, 1_000, 10_000, 100_000] {
        let mut counting = Counting::alone(before);
        let all = (0..BATCHES).map(|_| each(|| counting.ready(), |ready| ready.count()));
        let (least, median) = least_and_median(all.collect());
        println!("{before:>10}: {median:>7.0} ns, least {least:>7.0} ns");
    }
}

fn threads() {
    const CALLS: u32 = 20_000;
    println!(
        "calls a second of all threads, each a session of its own, of one agent, role and person; apart: over stores of their own, which is the"
    );
    println!("most that this machine has to give at the moment:");
    let rate = |sessions: &[&str], apart: bool| {
        let rounds = (0..5).map(|_| {
            let (store, clock) = counted_store();
            let barrier = Barrier::new(sessions.len());
            let took = std::thread::scope(|scope| {
                let threads: Vec<_> = sessions
                    .iter()
                    .map(|session| {
                        let (store, clock) = if apart {
                            counted_store()
                        } else {
                            (store.clone(), clock.clone())
                        };
                        let barrier = &barrier;
                        scope.spawn(move || {
                            let mut counting = Counting::new(store, clock, session, 100);
                            let ready: Vec<_> = (0..CALLS).map(|_| counting.ready()).collect();
                            barrier.wait();
                            let begin = Instant::now();
                            for ready in ready {
                                black_box(ready.count());
                            }
                            begin.elapsed()
                        })
                    })
                    .collect();
                let took = threads.into_iter().map(|thread| thread.join().unwrap_or(Duration::MAX));
                took.max().unwrap_or(Duration::MAX)
            });
            f64::from(CALLS) * (0..sessions.len()).map(|_| 1.0).sum::<f64>() / took.as_secs_f64()
        });
        rounds.fold(0.0, f64::max)
    };
    let (one, two, apart) = (
        rate(&["s-1"], false),
        rate(&["s-1", "s-2"], false),
        rate(&["s-1", "s-2"], true),
    );
    println!(
        "{one:>10.0} with one, {two:>8.0} with two ({:.2}), {apart:>8.0} apart ({:.2})",
        two / one,
        apart / one
    );
}
