//! What a store makes of rows that were written by hand. It is trusted, and still it must not fail open.

#![expect(clippy::tests_outside_test_module, reason = "this is a test binary")]

mod common;

use std::path::Path;

use common::Scratch;
use common::made::{call, claim, granted, lock, open, word};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::Actor;
use glassbreak_core::gate::Gate;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Claimed, Ledger, Locks, Opened, Requests, Reserved};
use glassbreak_sqlite::SqliteStore;
use rusqlite::Connection;

#[expect(clippy::unwrap_used, reason = "a test that cannot meddle cannot go on")]
fn meddle(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Whether a call that needs the grant passes.
async fn passes(store: &SqliteStore, n: u8) -> bool {
    let call = call(1, 100);
    let Ok(Reserved::Held(_)) = store.reserve(call.clone()).await else {
        return false;
    };
    matches!(store.claim(claim(&call, n)).await, Ok(Claimed::Used { .. }))
}

#[tokio::test]
async fn a_grant_whose_row_contradicts_it_lifts_nothing() {
    for (what, sql) in [
        (
            "longer",
            "UPDATE grants SET body = json_set(body, '$.expires_at', 4000000000000)",
        ),
        (
            "more often",
            "UPDATE grants SET body = json_set(body, '$.max_uses', 50)",
        ),
        (
            "of another session",
            "UPDATE grants SET body = json_set(body, '$.path.caller.session', 's-2')",
        ),
        ("used up", "UPDATE grants SET body = json_set(body, '$.uses', 1)"),
        ("no grant", "UPDATE grants SET body = '{}'"),
        ("no JSON", "UPDATE grants SET body = 'x'"),
        (
            "more than a grant",
            "UPDATE grants SET body = json_set(body, '$.more', 1)",
        ),
    ] {
        let scratch = Scratch::new();
        let store = SqliteStore::open(scratch.database()).await.unwrap();
        granted(&store, 1).await;
        meddle(&scratch.database(), sql);
        assert!(!passes(&store, 1).await, "a grant made {what} by hand passed");
    }
}

#[tokio::test]
async fn what_triggers_hold_cannot_be_undone_by_statements() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    granted(&store, 1).await;
    for sql in [
        "UPDATE grants SET expires_at = expires_at + 1",
        "UPDATE grants SET max_uses = max_uses + 1",
        "UPDATE requests SET state = 'pending'",
        "DELETE FROM meta",
    ] {
        let db = Connection::open(scratch.database()).unwrap();
        assert!(db.execute_batch(sql).is_err(), "{sql}");
    }
}

/// The agent's tools work there: they could put another store in its place.
#[tokio::test]
async fn no_session_works_in_a_folder_that_holds_the_store() {
    let scratch = Scratch::new();
    for folder in ["app/state", "log", "policy"] {
        std::fs::create_dir_all(scratch.path().join(folder)).unwrap();
    }
    let root = std::fs::canonicalize(scratch.path()).unwrap();
    let store = SqliteStore::open(root.join("app/state/glassbreak.db")).await.unwrap();
    let files = [(
        "entities.json".to_owned(),
        br#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#.to_vec(),
    )];
    let bundle = Bundle::from_files(&files.into_iter().collect()).unwrap();
    let audit = AuditLog::open(root.join("log")).unwrap();
    let gate = Gate::builder(bundle).store(store).audit(audit).build().await.unwrap();
    let session = |folder: &str| {
        let actor = Actor::new(word("ops"), word("s"));
        gate.session(actor).workspace(root.join(folder)).map(drop)
    };
    for folder in ["app", "app/state"] {
        assert!(session(folder).is_err(), "{folder} holds the store");
    }
    session("policy").unwrap();
}

/// Either the lock is set, or nothing passes any more.
#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_disarm_the_kill_switch() {
    for sql in [
        "UPDATE grants SET body = 'x'",
        "UPDATE requests SET body = 'x', version = version + 1 WHERE state = 'pending'",
    ] {
        let scratch = Scratch::new();
        let store = SqliteStore::open(scratch.database()).await.unwrap();
        granted(&store, 1).await;
        let Ok(Opened::Opened(_)) = store.open(open(2)).await else {
            panic!("it is not opened")
        };
        meddle(&scratch.database(), sql);
        let locked = store.lock(lock(Target::All)).await;
        let held = matches!(store.reserve(call(1, 100)).await, Ok(Reserved::Held(_)));
        assert!(!held, "{sql}: not locked ({locked:?}), and calls pass");
        // A lock that could not be set must not be told of as set.
        if locked.is_ok() {
            let stands = store.locks().await.unwrap().locks;
            assert!(stands.get(&Target::All).is_some());
        }
    }
}

#[tokio::test]
async fn a_lock_that_cannot_be_read_is_not_none() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    store.lock(lock(Target::All)).await.unwrap();
    drop(store);
    meddle(&scratch.database(), "UPDATE locks SET body = 'x'");
    let Ok(store) = SqliteStore::open(scratch.database()).await else {
        return;
    };
    assert!(store.locks().await.is_err(), "a lock is there, and nobody hears of it");
    assert!(!matches!(store.reserve(call(1, 100)).await, Ok(Reserved::Held(_))));
}
