//! The SQLite store keeps the contract of stores: two connections on one file, in one process.

#[cfg(test)]
mod common;

use std::sync::Arc;

use glassbreak_core::store::FakeClock;
use glassbreak_sqlite::SqliteStore;
use glassbreak_testkit::store::Subject;

/// Each round is a wait for the disk.
const ROUNDS: usize = 100;

#[cfg(test)]
async fn sqlite() -> Subject {
    let clock = Arc::new(FakeClock::default());
    let path = common::Scratch::kept().join("store.db");
    let open = async || {
        let builder = SqliteStore::builder(&path).clock(Arc::clone(&clock) as _);
        Arc::new(builder.open().await.unwrap())
    };
    Subject::new(open().await, open().await, clock).rounds(ROUNDS)
}

glassbreak_testkit::store_suite!(sqlite);

#[cfg(test)]
async fn reopened() -> Subject {
    let clock = Arc::new(FakeClock::default());
    let path = common::Scratch::kept().join("store.db");
    let (clock_too, path_too) = (Arc::clone(&clock), path.clone());
    let open = async || {
        let builder = SqliteStore::builder(&path).clock(Arc::clone(&clock) as _);
        Arc::new(builder.open().await.unwrap())
    };
    let (one, two) = (open().await, open().await);
    Subject::new(one, two, clock).rounds(ROUNDS).restarting(move || {
        let builder = SqliteStore::builder(&path_too).clock(Arc::clone(&clock_too) as _);
        Box::pin(async move {
            let store: Arc<dyn glassbreak_core::store::Store> = Arc::new(builder.open().await.unwrap());
            store
        })
    })
}

mod reopening {
    use super::reopened;
    glassbreak_testkit::store_restart_suite!(reopened);
}
