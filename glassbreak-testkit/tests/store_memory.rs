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

/// The memory store forgets everything with the process; a clone stands in for one that does not, so that the checks of
/// those are tried here too.
mod clones {
    use super::{Arc, Subject};
    use glassbreak_core::store::{FakeClock, MemoryStore, Store};

    async fn cloned() -> Subject {
        let clock = Arc::new(FakeClock::default());
        let store = MemoryStore::builder().clock(Arc::clone(&clock) as _).build();
        let again = store.clone();
        Subject::new(Arc::new(store.clone()), Arc::new(store), clock).restarting(move || {
            let handle: Arc<dyn Store> = Arc::new(again.clone());
            Box::pin(std::future::ready(handle))
        })
    }

    glassbreak_testkit::store_restart_suite!(cloned);
}
