//! A store that is opened only to look: it sees what gates do, and changes nothing, not even a file beside the database.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use common::Scratch;
use common::made::{call, denial, lock, open, text, word};
use glassbreak_core::approval::State;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Ledger, Locks, Opened, Position, Requests, Reserved, StoreError, StoreErrorKind};
use glassbreak_sqlite::SqliteStore;

/// The files of a folder: name, mode, time and bytes of each.
fn files(folder: &Path) -> Vec<(String, u32, i64, i64, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|file| {
            let found = file.metadata().unwrap();
            let name = file.file_name().into_string().unwrap();
            let bytes = fs::read(file.path()).unwrap();
            (name, found.mode(), found.mtime(), found.mtime_nsec(), bytes)
        })
        .collect();
    files.sort();
    files
}

/// A store with one request and one lock in it.
async fn filled(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).await.unwrap();
    assert!(matches!(
        Requests::open(&store, open(1)).await.unwrap(),
        Opened::Opened(_)
    ));
    store.lock(lock(Target::Tool(word("wipe")))).await.unwrap();
    store
}

async fn sees_one_of_each(store: &SqliteStore) {
    let pending = store.pending().await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(store.request(pending[0].id).await.unwrap().unwrap(), pending[0]);
    assert!(store.grants().await.unwrap().is_empty());
    assert_eq!(store.locks().await.unwrap().locks.iter().count(), 1);
}

fn kind<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> StoreErrorKind {
    answer.unwrap_err().kind()
}

#[tokio::test]
async fn looking_at_a_closed_store_leaves_every_file_as_it_was() {
    let scratch = Scratch::new();
    drop(filled(&scratch.database()).await);
    let before = files(scratch.path());
    assert_eq!(before.len(), 2, "the database and its anchor");
    for mode in [0o600, 0o400] {
        fs::set_permissions(scratch.database(), Permissions::from_mode(mode)).unwrap();
        let before = files(scratch.path());
        let look = SqliteStore::look(scratch.database()).await.unwrap();
        sees_one_of_each(&look).await;
        drop(look);
        assert_eq!(files(scratch.path()), before, "{mode:o}");
    }
    // A folder that nobody may write, and a name that is not plain.
    let odd = scratch.path().join("100% of ?#");
    fs::create_dir(&odd).unwrap();
    for (suffix, name) in [("", "a?b#%41"), (".anchor", "a?b#%41.anchor")] {
        fs::copy(scratch.path().join(format!("store.db{suffix}")), odd.join(name)).unwrap();
    }
    fs::set_permissions(&odd, Permissions::from_mode(0o500)).unwrap();
    sees_one_of_each(&SqliteStore::look(odd.join("a?b#%41")).await.unwrap()).await;
    fs::set_permissions(&odd, Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn looking_while_a_gate_writes_sees_each_change_and_writes_nothing() {
    let scratch = Scratch::new();
    let gate = filled(&scratch.database()).await;
    let names = |folder: &Path| files(folder).into_iter().map(|file| file.0).collect::<Vec<_>>();
    let before = names(scratch.path());
    let look = SqliteStore::look(scratch.database()).await.unwrap();
    sees_one_of_each(&look).await;
    assert_eq!(names(scratch.path()), before);
    for n in 2..30 {
        assert!(matches!(
            Requests::open(&gate, open(n)).await.unwrap(),
            Opened::Opened(_)
        ));
        assert_eq!(look.pending().await.unwrap().len(), usize::from(n));
    }
    // Whoever waits is told.
    let request = look.pending().await.unwrap().remove(0);
    let waiting = tokio::spawn({
        let (look, request) = (look.clone(), request.clone());
        async move { look.moved(request.id, request.version).await }
    });
    tokio::time::sleep(Duration::from_millis(120)).await;
    let _ = gate.decide(denial(&request, "bob")).await.unwrap();
    let moved = waiting.await.unwrap().unwrap().unwrap();
    assert!(matches!(moved.state, State::Denied { .. }), "{:?}", moved.state);
    // The gate ends, and the next begins: the same handle goes on.
    drop(gate);
    assert_eq!(look.pending().await.unwrap().len(), 28);
    let gate = SqliteStore::open(scratch.database()).await.unwrap();
    assert!(matches!(
        Requests::open(&gate, open(40)).await.unwrap(),
        Opened::Opened(_)
    ));
    assert_eq!(look.pending().await.unwrap().len(), 29);
}

#[tokio::test]
async fn what_a_killed_gate_left_in_its_log_is_seen() {
    let (scratch, copy) = (Scratch::new(), Scratch::new());
    let gate = filled(&scratch.database()).await;
    for suffix in ["", "-wal", "-shm", ".anchor"] {
        let name = format!("store.db{suffix}");
        let _ = fs::copy(scratch.path().join(&name), copy.path().join(&name));
    }
    let before = files(copy.path());
    sees_one_of_each(&SqliteStore::look(copy.database()).await.unwrap()).await;
    assert_eq!(files(copy.path()), before);
    fs::remove_file(copy.path().join("store.db-shm")).unwrap();
    let error = SqliteStore::look(copy.database()).await.unwrap_err();
    assert!(error.to_string().contains("without its index"), "{error}");
    assert_eq!(files(copy.path()).len(), before.len() - 1);
    drop(gate);
}

#[tokio::test]
async fn whatever_would_change_a_store_that_is_looked_at_is_refused_as_read_only() {
    let scratch = Scratch::new();
    drop(filled(&scratch.database()).await);
    let before = files(scratch.path());
    let look = SqliteStore::look(scratch.database()).await.unwrap();
    let request = look.pending().await.unwrap().remove(0);
    let now = Timestamp::now();
    let kinds = [
        kind(look.reserve(call(1, 9)).await),
        kind(Requests::open(&look, open(2)).await),
        kind(look.decide(denial(&request, "bob")).await),
        kind(look.lock(lock(Target::All)).await),
        kind(look.adopt_time(now).await),
        kind(look.adopt(word("carol"), text("no"), now).await),
    ];
    assert_eq!(kinds, [StoreErrorKind::ReadOnly; 6]);
    drop(look);
    assert_eq!(files(scratch.path()), before);
}

#[tokio::test]
async fn where_there_is_no_store_none_is_made() {
    let scratch = Scratch::new();
    for path in [scratch.database(), scratch.path().join("a/b/store.db")] {
        let error = SqliteStore::look(&path).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("is not there"), "{error}");
    }
    assert!(files(scratch.path()).is_empty());
    // Nor out of an empty file, or another application's.
    fs::write(scratch.database(), "").unwrap();
    let error = SqliteStore::look(scratch.database()).await.unwrap_err();
    assert!(error.to_string().contains("is empty"), "{error}");
    fs::write(scratch.database(), [7; 8_192]).unwrap();
    assert_eq!(
        kind(SqliteStore::look(scratch.database()).await),
        StoreErrorKind::Broken
    );
}

#[tokio::test]
async fn another_version_of_the_schema_is_refused_and_not_led_on() {
    let scratch = Scratch::new();
    drop(filled(&scratch.database()).await);
    for version in [1, 99] {
        let db = rusqlite::Connection::open(scratch.database()).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        drop(db);
        let before = files(scratch.path());
        let error = SqliteStore::look(scratch.database()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OtherVersion, "{error}");
        assert!(error.to_string().contains(&format!("schema {version}")), "{error}");
        assert_eq!(files(scratch.path()), before, "{version}");
    }
}

#[tokio::test]
async fn an_older_state_is_refused_to_those_who_look_too() {
    let scratch = Scratch::new();
    let store = filled(&scratch.database()).await;
    drop(store);
    let old = fs::read(scratch.database()).unwrap();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    let position: Position = match store.reserve(call(1, 9)).await.unwrap() {
        Reserved::Held(held) => held.position,
        other => panic!("{other:?}"),
    };
    assert!(position.epoch > 0);
    drop(store);
    fs::write(scratch.database(), old).unwrap();
    let look = SqliteStore::look(scratch.database()).await.unwrap();
    assert_eq!(kind(look.pending().await), StoreErrorKind::RolledBack);
}
