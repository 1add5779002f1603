//! The memory store keeps the contract of stores.

use std::sync::Arc;

use glassbreak_core::store::{FakeClock, MemoryStore};
use glassbreak_testkit::store::Subject;

async fn memory() -> Subject {
    let clock = Arc::new(FakeClock::default());
    let store = MemoryStore::builder().clock(Arc::clone(&clock) as _).build();
    Subject::new(Arc::new(store.clone()), Arc::new(store), clock)
}

glassbreak_testkit::store_suite!(memory);
