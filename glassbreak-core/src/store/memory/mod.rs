//! A store in the memory of the process.

mod asks;
mod books;
mod counter;
#[cfg(test)]
mod explored;
mod gathered;
#[cfg(test)]
mod tests;
mod time;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use self::books::Books;
use super::{
    Claim, Claimed, Clock, Decide, Decided, Durability, Ended, Ledger, LockView, Locks, Open, Opened, Position,
    Requests, Reserve, Reserved, Revoke, Settle, Settled, SteadyClock, Store, StoreError, StoreErrorKind, Unlock,
    Unlocked,
};
use crate::approval::{Request, RequestId};
use crate::clock::Timestamp;
use crate::grant::{Grant, GrantId};
use crate::lock::Lock;

/// What [`books`] and [`time`] are built on; [`explored`] builds them on shuttle's instead.
mod sync {
    pub(super) use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
    /// Of ops: a call holds one, and whoever sets a lock all of them.
    pub(super) const OPS: usize = 64;
    /// Of counters: a call holds one for each of its scopes, so two sessions of five meet once in forty pairs.
    pub(super) const COUNTERS: usize = 1_024;
}

/// A store in the memory of the process, shared by clones.
///
/// It is as exact as any store and needs nothing, but it forgets everything with the process: locks, requests, grants,
/// and what was counted. Every method is ready at its first poll, except [`changed`](Locks::changed).
///
/// It is bounded. An op is forgotten once its lease, its longest window and 24 hours have passed, by the store's time,
/// and not before: where there is no room, a call is refused with [`Full`](StoreErrorKind::Full).
///
/// ```
/// # use glassbreak_core::call::{Actor, CallDigest, Tool};
/// # use glassbreak_core::clock::{Span, Timestamp};
/// # use glassbreak_core::lock::LockPath;
/// use glassbreak_core::store::{
///     Attempt, Demand, Ledger, MemoryStore, OpId, Outcome, Reserve, Reserved, Settle, Window,
/// };
/// # async fn example(tool: Tool, actor: Actor) -> Result<(), glassbreak_core::store::StoreError> {
/// let store = MemoryStore::new();
/// let at = Timestamp::now();
/// let (op, attempt) = (OpId::mint(at), Attempt::mint());
/// let three_in_ten_minutes = Demand {
///     rule: "restarts".into(),
///     scope: [7; 16],
///     key: Some([7; 16]),
///     window: Window::Sliding(Span::from_millis(600_000)),
///     amount: 1,
///     ceiling: 3,
/// };
/// let reserved = store
///     .reserve(Reserve {
///         op,
///         attempt,
///         digest: CallDigest::of_tool(&tool),
///         path: LockPath::new(&actor, "restart"),
///         at,
///         lease: Span::from_millis(60_000),
///         demands: vec![three_in_ten_minutes],
///     })
///     .await?;
/// if let Reserved::Held(held) = reserved {
///     assert_eq!(*held.counts, [1]);
///     // Run it, and then:
///     let outcome = Outcome::Done;
///     store.settle(Settle { op, attempt, outcome, actual: vec![], at: Timestamp::now() }).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    books: Books,
    /// Where the locks last changed.
    changes: watch::Sender<u64>,
    /// How often a request changed.
    asked: watch::Sender<u64>,
}

/// A [`MemoryStore`] in the making.
#[derive(Debug)]
pub struct MemoryBuilder {
    most_ops: usize,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store, with room for a million ops.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An empty store with another bound, or with another clock.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder {
            most_ops: 1_000_000,
            clock: Arc::new(SteadyClock::default()),
        }
    }

    /// Takes `at` for the time from now on, on an operator's word: the way on after the machine slept, or after its
    /// clock was put right. Windows age by what was jumped over. A time that is behind the store's changes nothing.
    ///
    /// # Errors
    /// When the store is broken.
    pub fn adopt_time(&self, at: Timestamp) -> Result<Position, StoreError> {
        self.shared.books.adopt_time(at)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBuilder {
    /// Room for `most` ops: how many calls that are counted it takes in a day, about. One takes some 250 bytes.
    #[must_use]
    pub fn most_ops(self, most: usize) -> Self {
        Self { most_ops: most, ..self }
    }

    /// Catches jumps of the caller's clock by `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        let generation = uuid::Uuid::new_v4().into_bytes();
        MemoryStore {
            shared: Arc::new(Shared {
                books: Books::new(generation, self.most_ops, self.clock),
                changes: watch::Sender::new(0),
                asked: watch::Sender::new(0),
            }),
        }
    }
}

impl MemoryStore {
    /// Wakes whoever waits for a change of locks.
    fn announce(&self, position: Position) {
        self.shared.changes.send_if_modified(|last| {
            let later = position.epoch > *last;
            *last = position.epoch.max(*last);
            later
        });
        self.announce_request();
    }

    /// Wakes whoever waits for a request.
    fn announce_request(&self) {
        self.shared.asked.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        self.shared.books.reserve(reserve)
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        self.shared.books.settle(settle)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.shared.books.claim(&claim)
    }
}

#[async_trait]
impl Requests for MemoryStore {
    async fn open(&self, open: Open) -> Result<Opened, StoreError> {
        let opened = self.shared.books.open(open);
        self.announce_request();
        opened
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.shared.books.request(&id)
    }

    async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        self.shared.books.pending()
    }

    async fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        self.shared.books.earlier(request, most)
    }

    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        let decided = self.shared.books.decide(decide);
        self.announce_request();
        decided
    }

    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        let mut asked = self.shared.asked.subscribe();
        loop {
            let request = self.shared.books.request(&id)?;
            if request.as_ref().is_none_or(|request| request.version != version) {
                return Ok(request);
            }
            asked.changed().await.map_err(|source| {
                StoreError::new(StoreErrorKind::Broken, "moved", "nobody tells of changes any more").with_source(source)
            })?;
        }
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.shared.books.grants()
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        self.shared.books.grant(&id)
    }

    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        let ended = self.shared.books.revoke(&revoke);
        self.announce_request();
        ended
    }
}

#[async_trait]
impl Locks for MemoryStore {
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError> {
        let ended = self.shared.books.lock(lock);
        self.announce(ended.position);
        Ok(ended)
    }

    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError> {
        let unlocked = self.shared.books.unlock(&unlock);
        if let Unlocked::Lifted { position, .. } = unlocked {
            self.announce(position);
        }
        Ok(unlocked)
    }

    async fn locks(&self) -> Result<LockView, StoreError> {
        Ok(self.shared.books.locks())
    }

    async fn changed(&self, since: Position) -> Result<LockView, StoreError> {
        let mut changes = self.shared.changes.subscribe();
        let view = self.shared.books.locks();
        if view.position.generation == since.generation {
            let moved = changes.wait_for(|last| *last > since.epoch).await;
            moved.map_err(|source| {
                StoreError::new(StoreErrorKind::Broken, "changed", "nobody tells of changes any more")
                    .with_source(source)
            })?;
        }
        Ok(self.shared.books.locks())
    }
}

impl Store for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn place(&self) -> Option<PathBuf> {
        None
    }
}
