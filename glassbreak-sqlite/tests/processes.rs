//! Real processes: they race, hang, are killed, and meet a disk that fails. A child is this binary, run again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Scratch;
use common::made::{call, claim, denial, granted, is_taken, lock, open};
use glassbreak_core::approval::RequestId;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Claimed, Decided, Ledger, Locks, OpId, Opened, Requests, Reserved, StoreErrorKind};
use glassbreak_sqlite::SqliteStore;

const ROLE: &str = "GLASSBREAK_SQLITE_TEST_ROLE";
const PATH: &str = "GLASSBREAK_SQLITE_TEST_PATH";
/// Before what a child says, so that it is told from what the test runner says.
const MARK: &str = "child: ";
const ROUNDS: u8 = 40;

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{MARK}{what}").and_then(|()| out.flush()).unwrap();
}

fn child(role: &str, path: &Path, before: &[&str]) -> Child {
    let me = std::env::current_exe().unwrap();
    let mut command = match before.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(me);
            command
        }
        None => Command::new(me),
    };
    command.args(["as_a_child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
        .env(ROLE, role)
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// What a child says, line by line.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix(MARK).map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of the other tests"]
async fn as_a_child() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(PATH)) else {
        return;
    };
    if role == "hold" {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        say("held");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let store = SqliteStore::open(&path).await.unwrap();
    say("ready");
    match &*role {
        "race" => {
            std::io::stdin().read_line(&mut String::new()).unwrap();
            race(&store).await;
        }
        "reserve" => {
            let loops = (0..4).map(|_| tokio::spawn(reserve(store.clone(), usize::MAX)));
            for job in loops.collect::<Vec<_>>() {
                job.await.unwrap();
            }
        }
        "some" => reserve(store, 60).await,
        "many" => reserve(store, 1_200).await,
        "lock" => {
            std::io::stdin().read_line(&mut String::new()).unwrap();
            store.lock(lock(Target::All)).await.unwrap();
            say("locked");
        }
        other => panic!("{other}"),
    }
}

async fn reserve(store: SqliteStore, most: usize) {
    for _ in 0..most {
        let call = call(1, u32::MAX);
        match store.reserve(call.clone()).await {
            Ok(Reserved::Held(_)) => say(&format!("op {}", call.op)),
            Ok(other) => say(&format!("not held {other:?}")),
            Err(error) => say(&format!("error {:?} {}", error.kind(), error.is_retryable())),
        }
    }
}

/// In each round one place, one grant and one question, and several processes that want them.
async fn race(store: &SqliteStore) {
    for n in 0..ROUNDS {
        let call = call(n, 1);
        if let Reserved::Held(_) = store.reserve(call).await.unwrap() {
            say(&format!("place {n}"));
        }
        let free = glassbreak_core::store::Reserve {
            demands: Vec::new(),
            ..common::made::call(n, 1)
        };
        assert!(matches!(store.reserve(free.clone()).await, Ok(Reserved::Held(_))));
        if let Claimed::Used { .. } = store.claim(claim(&free, n)).await.unwrap() {
            say(&format!("grant {n}"));
        }
        let request = store
            .request(RequestId::from_bytes([n + 100; 16]))
            .await
            .unwrap()
            .unwrap();
        if !request.state.is_final()
            && let Decided::Done { .. } = store.decide(denial(&request, "bob")).await.unwrap()
        {
            say(&format!("question {n}"));
        }
    }
    say("end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_processes_that_race_one_wins_each_time() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    for n in 0..ROUNDS {
        granted(&store, n).await;
        let opened = Requests::open(&store, open(n + 100)).await;
        assert!(matches!(opened, Ok(Opened::Opened(_))), "{opened:?}");
    }
    let mut children: Vec<Child> = (0..3).map(|_| child("race", &scratch.database(), &[])).collect();
    let mut voices: Vec<_> = children.iter_mut().map(said).collect();
    for voice in &mut voices {
        assert_eq!(voice.next().as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    let mut won: Vec<Vec<String>> = Vec::new();
    for voice in voices {
        let all: Vec<String> = voice.collect();
        assert_eq!(all.last().map(String::as_str), Some("end"));
        won.push(all);
    }
    for what in ["place", "grant", "question"] {
        for n in 0..ROUNDS {
            let winners = won
                .iter()
                .flatten()
                .filter(|said| **said == format!("{what} {n}"))
                .count();
            assert_eq!(winners, 1, "{what} {n}");
        }
        let each: Vec<usize> = won
            .iter()
            .map(|all| all.iter().filter(|said| said.starts_with(what)).count())
            .collect();
        println!("{what}: the three processes won {each:?} of {ROUNDS}");
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_outlives_a_killed_writer() {
    const KILLS: u64 = 32;
    let scratch = Scratch::new();
    let mut acknowledged: Vec<OpId> = Vec::new();
    for round in 0..KILLS {
        let mut child = child("reserve", &scratch.database(), &[]);
        let voice = said(&mut child);
        let reading = std::thread::spawn(move || voice.collect::<Vec<String>>());
        // Some while it opens, the most while it writes.
        std::thread::sleep(Duration::from_millis(15 + round * 37 % 120));
        child.kill().unwrap();
        child.wait().unwrap();
        let before = acknowledged.len();
        for line in reading.join().unwrap() {
            // The last line may be cut.
            if let Some(op) = line.strip_prefix("op ").and_then(|op| OpId::from_text(op).ok()) {
                acknowledged.push(op);
            } else {
                assert!(line == "ready" || line.len() < 39, "{line}");
            }
        }
        // Opening checks the whole file.
        let store = SqliteStore::open(scratch.database()).await.unwrap();
        assert!(store.fault().is_none());
        for op in acknowledged.iter().skip(before) {
            assert!(is_taken(&store, *op).await, "{op}, of round {round}");
        }
        let look = call(1, u32::MAX);
        let Ok(Reserved::Held(held)) = store.reserve(look).await else {
            panic!("not held")
        };
        assert!(held.counts[0] as usize > acknowledged.len());
    }
    println!(
        "{} reservations acknowledged over {KILLS} kills, and each is there",
        acknowledged.len()
    );
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_holds_the_database_is_waited_for_no_longer_than_said() {
    let scratch = Scratch::new();
    let builder = SqliteStore::builder(scratch.database()).busy_limit(Duration::from_millis(300));
    let store = builder.open().await.unwrap();
    let mut child = child("hold", &scratch.database(), &[]);
    assert_eq!(said(&mut child).next().as_deref(), Some("held"));
    let begin = Instant::now();
    // Those that wait in line do not wait one after the other.
    let calls = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.reserve(call(1, 9)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (StoreErrorKind::Unavailable, true),
            "{error}"
        );
    }
    let waited = begin.elapsed();
    assert!(
        waited >= Duration::from_millis(280) && waited < Duration::from_millis(1_500),
        "{waited:?}"
    );
    // Reading goes on all the while.
    assert!(store.locks().await.unwrap().locks.is_empty());
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    child.wait().unwrap();
    let Ok(Reserved::Held(held)) = store.reserve(call(1, 9)).await else {
        panic!("not held")
    };
    assert_eq!(*held.counts, [1], "what was refused left no trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_set_by_another_process_wakes_whoever_waits() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    let since = store.locks().await.unwrap().position;
    let mut child = child("lock", &scratch.database(), &[]);
    let mut voice = said(&mut child);
    assert_eq!(voice.next().as_deref(), Some("ready"));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { (store.changed(since).await, Instant::now()) }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(voice.next().as_deref(), Some("locked"));
    let locked = Instant::now();
    let (view, woken) = waiting.await.unwrap();
    assert!(view.unwrap().locks.get(&Target::All).is_some());
    let took = woken.saturating_duration_since(locked);
    println!("woken {took:?} after the other process said so");
    assert!(took < Duration::from_millis(500), "{took:?}");
    // And without waiting it holds at once.
    assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Locked { .. })));
    child.wait().unwrap();
}

/// Runs a child under strace with a fault, and returns what it said; `None`, loudly, where that cannot be.
fn under_fault(inject: &str, more: &[&str], role: &str, path: &Path) -> Option<Vec<String>> {
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync,pwrite64",
        "-e",
        inject,
    ];
    let strace = [&strace, more].concat();
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        println!("NOT RUN: {inject}: strace is not here, or may not trace; what a failing disk does was not tried");
        return None;
    }
    let mut child = child(role, path, &strace);
    let all = said(&mut child).collect();
    let _ = child.wait();
    Some(all)
}

async fn all_are_there(path: &Path, said: &[String]) -> usize {
    let store = SqliteStore::open(path).await.unwrap();
    assert!(store.fault().is_none(), "{:?}", store.fault());
    let mut many = 0;
    for op in said.iter().filter_map(|line| line.strip_prefix("op ")) {
        assert!(is_taken(&store, OpId::from_text(op).unwrap()).await, "{op}");
        many += 1;
    }
    many
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_fsync_that_failed_nothing_is_acknowledged_until_it_is_opened_again() {
    let mut broke = 0;
    for when in [12, 13, 20, 33] {
        let scratch = Scratch::new();
        let inject = format!("inject=fsync:error=EIO:when={when}");
        let Some(said) = under_fault(&inject, &[], "some", &scratch.database()) else {
            return;
        };
        let first = said.iter().position(|line| line.starts_with("error"));
        if let Some(first) = first {
            broke += 1;
            assert!(
                said[first..].iter().all(|line| line == "error Broken false"),
                "{:?}",
                &said[first..]
            );
        }
        let many = all_are_there(&scratch.database(), &said).await;
        println!(
            "{inject}: {many} acknowledged, then {:?}",
            first.map(|first| &said[first])
        );
    }
    assert!(broke >= 2, "the fault hit {broke} commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_fsync_that_fails_while_the_log_is_put_away_is_not_passed_over() {
    let scratch = Scratch::new();
    drop(SqliteStore::open(scratch.database()).await.unwrap());
    // Commits wait for the log; for the database itself only who puts the log into it does.
    let only = scratch.database();
    let only = ["-P", only.to_str().unwrap()];
    let Some(said) = under_fault("inject=fsync:error=EIO:when=1", &only, "many", &scratch.database()) else {
        return;
    };
    let first = said.iter().position(|line| line.starts_with("error")).unwrap();
    assert!(first > 500, "{first}");
    assert!(
        said[first..].iter().all(|line| line == "error Broken false"),
        "{:?}",
        &said[first..]
    );
    let many = all_are_there(&scratch.database(), &said).await;
    println!("fsync of the database itself: {many} acknowledged of 1200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_the_store_lives_on() {
    let scratch = Scratch::new();
    let inject = "inject=pwrite64:error=ENOSPC:when=60..75";
    let Some(said) = under_fault(inject, &[], "some", &scratch.database()) else {
        return;
    };
    let full = said.iter().filter(|line| *line == "error Full true").count();
    assert!(full > 0, "{said:?}");
    assert!(
        said.last().unwrap().starts_with("op "),
        "it goes on when there is room again: {said:?}"
    );
    let many = all_are_there(&scratch.database(), &said).await;
    println!("{inject}: {full} refused, {many} acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_may_not_grow_refuses_keeps_and_answers() {
    let scratch = Scratch::new();
    let store = SqliteStore::builder(scratch.database())
        .most_pages(60)
        .open()
        .await
        .unwrap();
    let mut held = Vec::new();
    let error = loop {
        let call = call(1, u32::MAX);
        match store.reserve(call.clone()).await {
            Ok(_) => held.push(call),
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (StoreErrorKind::Full, true),
        "{error}"
    );
    assert!(held.len() > 100, "{}", held.len());
    // It lives on: it answers, and what it has stands.
    assert!(store.fault().is_none());
    assert!(is_taken(&store, held.last().unwrap().op).await);
    drop(store);
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    for call in &held {
        assert!(is_taken(&store, call.op).await);
    }
    let Ok(Reserved::Held(look)) = store.reserve(call(1, u32::MAX)).await else {
        panic!("not held")
    };
    assert_eq!(look.counts[0] as usize, held.len() + 1);
}
