//! The process that is killed: what it does, and what it says of it.

use std::io::Write;
use std::path::Path;

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::store::{Actual, Demand, Ledger, OpId, Outcome, Reserve, Reserved, Settle, Window};
use glassbreak_sqlite::SqliteStore;

use crate::common::made::call;

pub(crate) const FILE: &str = "GLASSBREAK_WRITERS";
pub(crate) const KEYS: usize = 4;
const CALLERS: usize = 32;
/// How many calls each makes, so that the log is put into the database once in a life.
const CALLS: usize = 12;

/// One call under both kinds of counts: a row for each, and a sum.
pub(crate) fn wanting(key: usize, amount: u64) -> Reserve {
    let key = [u8::try_from(key).unwrap(); 16];
    let demand = |rule: &str, window, amount| Demand {
        rule: rule.into(),
        scope: [7; 16],
        key: Some(key),
        window,
        amount,
        ceiling: 1 << 50,
    };
    Reserve {
        demands: vec![
            demand("rows", Window::Sliding(Span::from_millis(3_600_000)), amount.min(1)),
            demand("sums", Window::Lifetime, amount),
        ],
        ..call(1, 0)
    }
}

/// What counts under each key, as the store has it.
pub(crate) async fn counted(store: &SqliteStore) -> [(u64, u64); KEYS] {
    let mut counted = [(0, 0); KEYS];
    for (key, of_key) in counted.iter_mut().enumerate() {
        match store.reserve(wanting(key, 0)).await.unwrap() {
            Reserved::Held(held) => *of_key = (held.counts[0], held.counts[1]),
            other => panic!("{other:?}"),
        }
    }
    counted
}

/// Not a test: the process that the rounds kill.
#[test]
#[ignore = "runs as a child of another test"]
fn victim() {
    let Ok(file) = std::env::var(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(Path::new(&file)).await.unwrap();
        // All at once: of some and not of others says nothing.
        let counted = counted(&store).await.map(|(rows, sums)| format!(" {rows} {sums}"));
        say(&format!("counted{}", counted.concat()));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..CALLS {
                        one(&store, caller, n).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

/// One call, and one of four ends.
async fn one(store: &SqliteStore, caller: usize, n: usize) {
    let amount = 1 + (n as u64 + caller as u64) % 3;
    let reserve = wanting(caller % KEYS, amount);
    let (op, attempt) = (reserve.op, reserve.attempt);
    let held = store.reserve(reserve).await;
    assert!(matches!(held, Ok(Reserved::Held(_))), "{held:?}");
    say(&format!("held {} {amount}", name(op)));
    let (outcome, actual) = match (n + caller) % 4 {
        0 => (Outcome::NotRun, Vec::new()),
        1 => (
            Outcome::Done,
            vec![Actual {
                demand: 1,
                amount: amount + 5,
            }],
        ),
        2 => (Outcome::Failed, Vec::new()),
        // Nobody says how it ended.
        _ => return,
    };
    if outcome == Outcome::NotRun {
        // Before it is asked: it may be given back, and nobody told.
        say(&format!("back {}", name(op)));
    }
    let more = actual.first().map(|actual| actual.amount);
    let settle = Settle {
        op,
        attempt,
        outcome,
        actual,
        at: Timestamp::now(),
    };
    store.settle(settle).await.unwrap();
    if let Some(more) = more {
        say(&format!("held {} {more}", name(op)));
    }
}

/// An op as a number.
fn name(op: OpId) -> u128 {
    u128::from_be_bytes(*op.as_bytes())
}

/// One line, in one write: what stands in the pipe outlives the process.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n#{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
