//! Two handles on one realm, and what to ask of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use glassbreak_core::approval::RequestId;
use glassbreak_core::call::{Text, Word};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{FakeClock, Ledger, Locks, Position, Requests, StoreError, StoreErrorKind};
use glassbreak_redis::{RedisBuilder, RedisStore};
use glassbreak_testkit::store::{Rig, Subject};

use super::{PATIENT, Server, realm};

/// Two handles on one realm, and what to ask them.
pub(crate) struct Pair {
    pub(crate) one: RedisStore,
    pub(crate) two: RedisStore,
    pub(crate) rig: Rig,
    pub(crate) realm: String,
    clock: Arc<FakeClock>,
}

impl Pair {
    pub(crate) async fn on(server: &Server) -> Self {
        let (realm, clock) = (realm(), Arc::new(FakeClock::default()));
        let builder = || server.builder(&realm).clock(Arc::clone(&clock) as _);
        let one = builder().init().await.unwrap();
        let two = builder().connect().await.unwrap();
        let (store, other) = (Arc::new(one.clone()), Arc::new(two.clone()));
        Self {
            one,
            two,
            rig: Rig::new(Subject::new(store, other, Arc::clone(&clock))),
            realm,
            clock,
        }
    }

    pub(crate) fn builder(&self, server: &Server) -> RedisBuilder {
        server.builder(&self.realm).clock(Arc::clone(&self.clock) as _)
    }
}

/// Everything is denied, as an older state, and says how to go on.
pub(crate) async fn denies(store: &RedisStore, rig: &Rig) {
    let answers = [
        store.reserve(rig.call().on(1, 9).done()).await.err(),
        store.lock(rig.a_lock(Target::All, "bob")).await.err(),
        store.locks().await.err(),
        store.grants().await.err(),
        store.request(RequestId::from_bytes([1; 16])).await.err(),
        Requests::open(store, rig.question().done()).await.err(),
    ];
    for answer in answers {
        let error = answer.expect("an error");
        assert_eq!(error.kind(), StoreErrorKind::RolledBack, "{error}");
        assert!(error.to_string().contains("adopt"), "{error}");
    }
}

pub(crate) async fn adopt(store: &RedisStore, rig: &Rig) -> Position {
    let (by, why) = (Word::new("carol").unwrap(), Text::new("the disk died").unwrap());
    store.adopt(by, why, rig.at()).await.unwrap()
}

/// Waits until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let end = Instant::now() + PATIENT;
    while !so().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn message(result: Result<RedisStore, StoreError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}
