//! `kill -9` while 32 callers reserve, settle, give back and correct: nothing that was acknowledged is counted too little.
//!
//! A round is a process whose callers say each answer on a pipe, which outlives it, and is killed at a random moment;
//! then another one opens the store and asks what counts. More rounds, as before a release:
//!
//! ```text
//! GLASSBREAK_ROUNDS=10000 cargo test --release -p glassbreak-sqlite --test writers -- --nocapture
//! ```
//!
//! A killed process loses nothing that it has handed to the kernel: what a loss of power leaves is not tested here.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Scratch;
use common::made::call;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::store::{Actual, Demand, Ledger, Outcome, Reserve, Reserved, Settle, Window};
use glassbreak_sqlite::SqliteStore;

const CALLERS: usize = 32;
const KEYS: usize = 4;
/// How many rounds share a store: what one leaves, the next goes on from.
const TOGETHER: u64 = 20;
/// How many rounds there are unless `GLASSBREAK_ROUNDS` says otherwise.
const ROUNDS: u64 = 12;
const FILE: &str = "GLASSBREAK_WRITERS";

/// One call under both kinds of counts: a row for each, and a sum.
fn wanting(key: usize, amount: u64) -> Reserve {
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

#[test]
#[ignore = "is the process that is killed"]
fn victim() {
    let Ok(file) = std::env::var(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(Path::new(&file)).await.unwrap();
        say("ready");
        let callers = (0..CALLERS).map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0_usize.. {
                    let (key, amount) = (caller % KEYS, 1 + (n as u64 + caller as u64) % 3);
                    let reserve = wanting(key, amount);
                    assert!(matches!(store.reserve(reserve.clone()).await, Ok(Reserved::Held(_))));
                    say(&format!("held {key} 1 {amount}"));
                    let (outcome, actual) = match n % 4 {
                        0 => (Outcome::NotRun, Vec::new()),
                        1 => (
                            Outcome::Done,
                            vec![Actual {
                                demand: 1,
                                amount: amount + 5,
                            }],
                        ),
                        2 => (Outcome::Done, Vec::new()),
                        _ => continue,
                    };
                    if outcome == Outcome::NotRun {
                        // Before it is asked: it may be given back, and nobody told.
                        say(&format!("back {key} 1 {amount}"));
                    }
                    let more = actual.len();
                    let settle = Settle {
                        op: reserve.op,
                        attempt: reserve.attempt,
                        outcome,
                        actual,
                        at: Timestamp::now(),
                    };
                    store.settle(settle).await.unwrap();
                    if more > 0 {
                        say(&format!("held {key} 0 5"));
                    }
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
}

/// One line, at once: what stands in the pipe outlives the process.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n#{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// At least what must count under each key: rows, and sums.
type Floor = [(u64, u64); KEYS];

/// Lets a process work for a while and kills it; adds up what it was told. Returns how many answers there were.
fn kill_one(file: &Path, after: Duration, floor: &mut Floor) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, ready) = std::sync::mpsc::channel();
    // A pipe is small: it is read while the callers work.
    let reading = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in out.lines() {
            let line = line.unwrap();
            if line == "#ready" {
                tell.send(()).unwrap();
            }
            said.push(line);
        }
        said
    });
    let begun = ready.recv_timeout(Duration::from_secs(60));
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let said = reading.join().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(
        begun.is_ok() && status.signal() == Some(9),
        "{status:?} {said:?} {errors}"
    );
    let mut answers = 0;
    for line in said.iter().filter_map(|line| line.strip_prefix('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, key, rows, sum] = words[..] else { continue };
        // The last line may be cut; one that is was not said.
        let (Ok(key), Ok(rows), Ok(sum)) = (key.parse::<usize>(), rows.parse::<u64>(), sum.parse::<u64>()) else {
            continue;
        };
        let of_key = &mut floor[key];
        *of_key = match what {
            "held" => (of_key.0 + rows, of_key.1 + sum),
            _ => (of_key.0 - rows, of_key.1 - sum),
        };
        answers += 1;
    }
    answers
}

#[test]
fn whoever_is_killed_while_32_write_has_counted_what_was_acknowledged() {
    let rounds = std::env::var("GLASSBREAK_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let begun = Instant::now();
    let (mut scratch, mut floor) = (Scratch::new(), Floor::default());
    let (mut answers, mut over) = (0, 0);
    for round in 0..rounds {
        if round % TOGETHER == 0 {
            (scratch, floor) = (Scratch::new(), Floor::default());
        }
        // From the first write to well into the work; another moment in each round, the same in each run.
        let after = Duration::from_micros(round.wrapping_mul(7_919) % 40_000);
        answers += kill_one(&scratch.database(), after, &mut floor);
        runtime.block_on(async {
            let store = SqliteStore::open(scratch.database()).await.unwrap();
            for (key, (rows, sums)) in floor.iter_mut().enumerate() {
                let Ok(Reserved::Held(held)) = store.reserve(wanting(key, 0)).await else {
                    panic!("round {round}: not held");
                };
                let counts = (held.counts[0], held.counts[1]);
                assert!(
                    counts.0 >= *rows && counts.1 >= *sums,
                    "round {round}, key {key}: {counts:?} counted, {rows} and {sums} acknowledged"
                );
                over += counts.1 - *sums;
                // What was done and not told of stays counted: the next round begins from there.
                (*rows, *sums) = counts;
            }
        });
    }
    println!(
        "{rounds} rounds, {answers} answers, none counted too little; {over} counted that nobody was told of; {:?}",
        begun.elapsed()
    );
    assert!(answers > usize::try_from(rounds).unwrap(), "the callers did nothing");
}
