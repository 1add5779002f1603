//! An older state is denied until an operator adopts it, and a clock that jumps forgives nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::Scratch;
use common::made::{call, call_at, granted, is_taken, lock, open, text, word};
use glassbreak_core::approval::RequestId;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{FakeClock, Ledger, Locks, OpId, Opened, Position, Requests, Reserved, StoreErrorKind};
use glassbreak_sqlite::SqliteStore;

async fn held(store: &SqliteStore) -> (OpId, Position) {
    let call = call(1, 1_000);
    match store.reserve(call.clone()).await.unwrap() {
        Reserved::Held(held) => (call.op, held.position),
        other => panic!("{other:?}"),
    }
}

/// Everything is denied, and says how to go on.
async fn denies(store: &SqliteStore) {
    let answers = [
        store.reserve(call(1, 9)).await.err(),
        store.lock(lock(Target::All)).await.err(),
        store.locks().await.err(),
        store.grants().await.err(),
        store.request(RequestId::from_bytes([1; 16])).await.err(),
        Requests::open(store, open(200)).await.err(),
        store.fault(),
    ];
    for answer in answers {
        let error = answer.unwrap();
        assert_eq!(error.kind(), StoreErrorKind::RolledBack, "{error}");
        assert!(error.to_string().contains("adopt"), "{error}");
    }
}

async fn adopt(store: &SqliteStore) -> Position {
    store
        .adopt(word("carol"), text("the disk died"), Timestamp::now())
        .await
        .unwrap()
}

/// The database as another program would leave it.
fn meddle(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn an_older_copy_put_back_is_denied_until_it_is_adopted() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let store = SqliteStore::open(&path).await.unwrap();
    let (early, _) = held(&store).await;
    granted(&store, 1).await;
    let opened = Requests::open(&store, open(2)).await;
    assert!(matches!(opened, Ok(Opened::Opened(_))), "{opened:?}");
    drop(store);
    let copy = scratch.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let (late, last) = held(&store).await;
    drop(store);
    fs::copy(&copy, &path).unwrap();

    let store = SqliteStore::open(&path).await.unwrap();
    denies(&store).await;
    // Opening it again changes nothing.
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    denies(&store).await;
    let adopted = adopt(&store).await;
    assert_ne!(adopted.generation, last.generation);
    assert!(adopted.epoch > last.epoch);
    assert!(store.fault().is_none());
    // What is not in it is not permitted a second time, and what it opens may have been used.
    assert!(is_taken(&store, early).await);
    let again = glassbreak_core::store::Reserve {
        op: late,
        ..call(1, 1_000)
    };
    assert!(matches!(store.reserve(again).await, Ok(Reserved::Taken { .. })));
    assert!(store.grants().await.unwrap().is_empty());
    assert!(store.pending().await.unwrap().is_empty());
    drop(store);
    // For good.
    let store = SqliteStore::open(&path).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let (_, position) = held(&store).await;
    assert_eq!(position.generation, adopted.generation);
    // And a second time there is nothing to adopt.
    assert_eq!(adopt(&store).await, position);
}

#[tokio::test]
async fn a_store_that_goes_back_while_it_is_open_is_noticed_by_every_handle() {
    let back = "DROP TRIGGER meta_forward; UPDATE meta SET epoch = epoch - 1, batch = batch - 1;";
    let written_on = "UPDATE meta SET epoch = epoch + 5, batch = batch + 5,
         recent = CAST(substr(recent, 1, 8) || randomblob(length(recent) - 8) AS BLOB); UPDATE marks SET mark = randomblob(16);";
    let another = "UPDATE meta SET generation = randomblob(16)";
    for sql in [back, written_on, another] {
        let scratch = Scratch::new();
        let path = scratch.database();
        let store = SqliteStore::open(&path).await.unwrap();
        held(&store).await;
        store.lock(lock(Target::Tool(word("rm")))).await.unwrap();
        let waiting = {
            let (store, since) = (store.clone(), store.locks().await.unwrap().position);
            tokio::spawn(async move { store.changed(since).await })
        };
        meddle(&path, sql);
        denies(&store).await;
        assert!(waiting.await.unwrap().is_err(), "whoever waits is told");
        // So does a process that begins now: the anchor knows.
        tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
        let other = SqliteStore::open(&path).await.unwrap();
        denies(&other).await;
        // And what one of them adopts, the other goes on with.
        let adopted = adopt(&other).await;
        let (_, position) = loop_until_held(&store).await;
        assert_eq!(position.generation, adopted.generation);
    }
}

async fn loop_until_held(store: &SqliteStore) -> (OpId, Position) {
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    held(store).await
}

#[tokio::test]
async fn locks_that_were_known_are_set_again() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let store = SqliteStore::open(&path).await.unwrap();
    store.lock(lock(Target::All)).await.unwrap();
    assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Locked { .. })));
    meddle(
        &path,
        "DROP TRIGGER meta_forward; DELETE FROM locks; UPDATE meta SET epoch = epoch - 1, batch = batch - 1, locked = 0",
    );
    denies(&store).await;
    adopt(&store).await;
    assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Locked { .. })));
}

#[tokio::test]
async fn without_its_anchor_nothing_is_known() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let anchor = scratch.path().join("store.db.anchor");
    // Nothing was acknowledged yet, so there is nothing to miss.
    drop(SqliteStore::open(&path).await.unwrap());
    fs::remove_file(&anchor).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    held(&store).await;
    drop(store);
    for ruin in ["", "glassbreak anchor 1\nnonsense\n"] {
        match ruin {
            "" => fs::remove_file(&anchor).unwrap(),
            text => fs::write(&anchor, text).unwrap(),
        }
        let store = SqliteStore::open(&path).await.unwrap();
        denies(&store).await;
        adopt(&store).await;
        loop_until_held(&store).await;
    }
}

#[tokio::test]
async fn the_anchor_follows_within_a_second_or_so() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    let (_, position) = held(&store).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let said = fs::read_to_string(scratch.path().join("store.db.anchor")).unwrap();
    let epoch: u64 = said.lines().nth(1).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(epoch, position.epoch);
}

#[tokio::test]
async fn after_the_machine_was_started_again_a_time_behind_waits_for_an_operator() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let begin = Timestamp::now();
    let at = |millis: i64| Timestamp::from_millis(begin.as_millis() + millis);
    // Another clock is what a process finds after the machine was started again.
    let booted = async || {
        let clock = Arc::new(FakeClock::default());
        (
            SqliteStore::builder(&path).clock(clock.clone()).open().await.unwrap(),
            clock,
        )
    };
    let ask = async |store: &SqliteStore, millis| store.reserve(call_at(at(millis), 1, 1_000)).await.unwrap();
    let (store, _) = booted().await;
    assert!(matches!(ask(&store, 3_600_000).await, Reserved::Held(_)));
    drop(store);
    let (store, clock) = booted().await;
    for _ in 0..2 {
        let answer = ask(&store, 0).await;
        assert!(
            matches!(answer, Reserved::Clock { latest, .. } if latest == at(3_600_000)),
            "{answer:?}"
        );
    }
    // A lock does not wait for a clock.
    store.lock(lock(Target::Tool(word("rm")))).await.unwrap();
    // Five seconds behind are nothing, and from then on time stands still rather than going back.
    assert!(matches!(ask(&store, 3_595_000).await, Reserved::Held(held) if held.now == at(3_600_000)));
    assert!(matches!(ask(&store, 0).await, Reserved::Held(held) if held.now == at(3_600_000)));
    let answer = ask(&store, 3_605_001).await;
    assert!(matches!(answer, Reserved::Clock { .. }), "{answer:?}");
    clock.pass(Span::from_millis(1));
    assert!(matches!(ask(&store, 3_605_001).await, Reserved::Held(_)));
    drop(store);
    let (store, _) = booted().await;
    assert!(matches!(ask(&store, 0).await, Reserved::Clock { .. }));
    let (other, _) = booted().await;
    // An operator's word, given to any process, is enough.
    other.adopt_time(at(0)).await.unwrap();
    assert!(matches!(ask(&store, 0).await, Reserved::Held(_)));
    drop((store, other));
    // Days may have gone by while it was off.
    let (store, _) = booted().await;
    let days = 5 * 86_400_000;
    assert!(matches!(ask(&store, days).await, Reserved::Held(held) if held.now == at(days) && *held.counts == [1]));
}

#[tokio::test]
async fn the_machine_tells_every_process_how_much_time_went_by() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let now = Timestamp::now();
    let later = Timestamp::from_millis(now.as_millis() + 60_000);
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(matches!(store.reserve(call_at(now, 1, 9)).await, Ok(Reserved::Held(_))));
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    let answer = store.reserve(call_at(later, 1, 9)).await.unwrap();
    assert!(
        matches!(answer, Reserved::Clock { .. }),
        "a minute in a moment: {answer:?}"
    );
    store.adopt_time(later).await.unwrap();
    assert!(matches!(
        store.reserve(call_at(later, 1, 9)).await,
        Ok(Reserved::Held(_))
    ));
}
