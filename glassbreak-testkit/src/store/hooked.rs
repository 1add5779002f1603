//! A store with a hook around every method: where faults are injected, and where a process may end.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use glassbreak_core::approval::{Request, RequestId};
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::lock::Lock;
use glassbreak_core::store::{
    Claim, Claimed, Decide, Decided, Durability, Ended, Ledger, LockView, Locks, Open, Opened, Position, Requests,
    Reserve, Reserved, Revoke, Settle, Settled, Store, StoreError, Unlock, Unlocked,
};

/// On which side of a method a hook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// The store has not been asked: an error means that it never is.
    Before,
    /// The store has answered: an error takes the place of the answer, as when a reply is lost.
    After,
}

type Hook = dyn Fn(&'static str, When) -> Result<(), StoreError> + Send + Sync;

/// A store that calls a hook before and after every method, by the method's name.
///
/// ```
/// use std::sync::Arc;
/// use glassbreak_core::store::{Ledger, Locks, MemoryStore, StoreError, StoreErrorKind};
/// use glassbreak_testkit::store::{Hooked, When};
///
/// let deaf = Hooked::new(Arc::new(MemoryStore::new()), |operation, when| match (operation, when) {
///     ("locks", When::After) => Err(StoreError::new(StoreErrorKind::Unavailable, operation, "the reply was lost")),
///     _ => Ok(()),
/// });
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// assert!(deaf.locks().await.is_err());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Hooked {
    store: Arc<dyn Store>,
    hook: Arc<Hook>,
}

impl Hooked {
    /// `store`, with `hook` around it.
    pub fn new(
        store: Arc<dyn Store>,
        hook: impl Fn(&'static str, When) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        let hook = Arc::new(hook);
        Self { store, hook }
    }

    async fn around<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        (self.hook)(operation, When::Before)?;
        let answer = answer.await;
        (self.hook)(operation, When::After)?;
        answer
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for Hooked {
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        self.around("reserve", self.store.reserve(reserve)).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        self.around("settle", self.store.settle(settle)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.around("claim", self.store.claim(claim)).await
    }
}

#[async_trait]
impl Requests for Hooked {
    async fn open(&self, open: Open) -> Result<Opened, StoreError> {
        self.around("open", self.store.open(open)).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.around("request", self.store.request(id)).await
    }

    async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        self.around("pending", self.store.pending()).await
    }

    async fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        self.around("earlier", self.store.earlier(request, most)).await
    }

    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        self.around("decide", self.store.decide(decide)).await
    }

    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        self.around("moved", self.store.moved(id, version)).await
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.around("grants", self.store.grants()).await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        self.around("grant", self.store.grant(id)).await
    }

    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        self.around("revoke", self.store.revoke(revoke)).await
    }
}

#[async_trait]
impl Locks for Hooked {
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError> {
        self.around("lock", self.store.lock(lock)).await
    }

    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError> {
        self.around("unlock", self.store.unlock(unlock)).await
    }

    async fn locks(&self) -> Result<LockView, StoreError> {
        self.around("locks", self.store.locks()).await
    }

    async fn changed(&self, since: Position) -> Result<LockView, StoreError> {
        self.around("changed", self.store.changed(since)).await
    }
}

impl Store for Hooked {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn place(&self) -> Option<PathBuf> {
        self.store.place()
    }
}
