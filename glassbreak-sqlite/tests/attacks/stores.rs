//! The stores that the rows are run on.

use std::path::Path;
use std::sync::Arc;

use glassbreak_core::store::{Clock, MemoryStore, Store};
use glassbreak_sqlite::SqliteStore;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
}

/// A store, and how one more handle on it is made: what another process would open, where it is one for several.
#[derive(Debug)]
pub(crate) enum Shared {
    Memory(MemoryStore),
    Sqlite(Arc<dyn Clock>),
}

impl Shared {
    pub(crate) fn new(kind: Kind, clock: Arc<dyn Clock>) -> Self {
        match kind {
            Kind::Memory => Self::Memory(MemoryStore::builder().clock(clock).build()),
            Kind::Sqlite => Self::Sqlite(clock),
        }
    }

    /// One more handle; of SQLite a connection of its own.
    pub(crate) async fn handle(&self, root: &Path) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Sqlite(clock) => {
                let builder = SqliteStore::builder(root.join("store.db")).clock(Arc::clone(clock));
                Arc::new(builder.open().await.unwrap())
            }
        }
    }
}
