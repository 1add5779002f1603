//! The Redis store keeps the contract of stores: two connections to one realm.

use std::sync::{Arc, LazyLock};

use glassbreak_core::store::{FakeClock, Store};
use glassbreak_redis::RedisBuilder;
use glassbreak_testkit::store::Subject;

/// Each round is a message.
const ROUNDS: usize = 200;

/// One for all tests of the process. It ends with the process.
static SERVER: LazyLock<crate::common::Server> = LazyLock::new(crate::common::Server::start);

fn builder(realm: &str, clock: &Arc<FakeClock>) -> RedisBuilder {
    SERVER.builder(realm).clock(Arc::clone(clock) as _)
}

async fn redis() -> Subject {
    let (realm, clock) = (crate::common::realm(), Arc::new(FakeClock::default()));
    let one = Arc::new(builder(&realm, &clock).init().await.unwrap());
    let two = Arc::new(builder(&realm, &clock).connect().await.unwrap());
    let (realm, again) = (realm.clone(), Arc::clone(&clock));
    Subject::new(one, two, clock).rounds(ROUNDS).restarting(move || {
        let builder = builder(&realm, &again);
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(builder.connect().await.unwrap());
            store
        })
    })
}

glassbreak_testkit::store_suite!(redis);

mod reopening {
    use super::redis;
    glassbreak_testkit::store_restart_suite!(redis);
}
