//! The store, as the traits see it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use glassbreak_core::approval::{Request, RequestId};
use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::lock::Lock;
use glassbreak_core::store::{
    Claim, Claimed, Decide, Decided, Durability, Ended, Ledger, LockView, Locks, Open, Opened, Position, Requests,
    Reserve, Reserved, Revoke, Settle, Settled, Store, StoreError, Unlock, Unlocked,
};
use tokio::task::AbortHandle;

use crate::builder::RedisBuilder;
use crate::engine::Engine;
use crate::error::Fault;
use crate::kept::Kept;
use crate::{adopt, asks, ledger};

/// A store in one realm of a Redis server, shared by clones and by every process that connects to the same realm.
///
/// It stops answering, and says why, when it cannot vouch for what it counted: where the server has lost changes that were
/// known, until an operator adopts what is there.
#[derive(Debug, Clone)]
pub struct RedisStore {
    handle: Arc<Handle>,
}

/// Ends its task when the last clone goes.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
    pub(crate) kept: Kept,
    pub(crate) durability: Durability,
    pub(crate) watch: AbortHandle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.watch.abort();
        let _ = self.engine.say();
    }
}

impl RedisStore {
    pub(crate) fn of(handle: Handle) -> Self {
        Self {
            handle: Arc::new(handle),
        }
    }

    /// Connects to the realm `main` of the server at `url`: `redis://` (only on this machine), `rediss://`
    /// (feature `tls`), or `unix://`.
    ///
    /// # Errors
    /// Where the server may not hold a store, or holds none of this realm. The error says what to set.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Connects to a server with other settings.
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder::single(url)
    }

    /// Connects to the server that one of these sentinels names for `service`.
    pub fn sentinel<'a>(service: &str, urls: impl IntoIterator<Item = &'a str>) -> RedisBuilder {
        RedisBuilder::sentinel(service, urls)
    }

    /// Connects to a cluster, by any of its nodes.
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> RedisBuilder {
        RedisBuilder::cluster(urls)
    }

    /// Takes `at` for the time from now on, on an operator's word: the way on where the store's time is ahead of the clocks,
    /// which it then waits for. A time that is behind the store's does not put it back.
    ///
    /// # Errors
    /// When the server cannot answer.
    pub async fn adopt_time(&self, at: Timestamp) -> Result<Position, StoreError> {
        let adopted = adopt::adopt_time(self.engine(), at).await;
        adopted.map_err(|fault| fault.told("adopt_time"))
    }

    /// Takes what is in Redis for the present state, on an operator's word: the way on after
    /// [`RolledBack`](glassbreak_core::store::StoreErrorKind::RolledBack). Look first at the audit log for what is missing.
    ///
    /// The store gets a new generation. Every op minted until `at` counts as taken, the grants that stand are revoked and
    /// the open requests cancelled, because what became of them is not known; locks that this process knew are set again.
    /// What was counted and lost is forgotten: lock the store first where that matters. Where there is nothing to adopt,
    /// nothing changes. Other processes go on by themselves.
    ///
    /// # Errors
    /// When the server cannot answer; then everybody goes on denying.
    pub async fn adopt(&self, by: Word, reason: Text, at: Timestamp) -> Result<Position, StoreError> {
        let adopted = adopt::adopt(self.engine(), &by, &reason, at).await;
        adopted.map_err(|fault| fault.told("adopt"))
    }

    /// Why the store denies everything at the moment, if it does.
    pub fn fault(&self) -> Option<StoreError> {
        self.engine().known.fault().map(|fault| fault.told("fault"))
    }

    fn engine(&self) -> &Engine {
        &self.handle.engine
    }

    /// Tells whoever waits in this process at once; the others are told by the server.
    fn told<T>(&self, answer: Result<T, Fault>, operation: &'static str) -> Result<T, StoreError> {
        self.engine().tell();
        answer.map_err(|fault| fault.told(operation))
    }
}

#[async_trait]
impl Ledger for RedisStore {
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        let reserved = ledger::reserve(self.engine(), &self.handle.kept, reserve).await;
        reserved.map_err(|fault| fault.told("reserve"))
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        let settled = ledger::settle(self.engine(), &self.handle.kept, settle).await;
        settled.map_err(|fault| fault.told("settle"))
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        let claimed = ledger::claim(self.engine(), &self.handle.kept, &claim).await;
        claimed.map_err(|fault| fault.told("claim"))
    }
}

#[async_trait]
impl Requests for RedisStore {
    async fn open(&self, open: Open) -> Result<Opened, StoreError> {
        self.told(asks::open(self.engine(), open).await, "open")
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        asks::find(self.engine(), id)
            .await
            .map_err(|fault| fault.told("request"))
    }

    async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        asks::pending(self.engine())
            .await
            .map_err(|fault| fault.told("pending"))
    }

    async fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        asks::earlier(self.engine(), request, most)
            .await
            .map_err(|fault| fault.told("earlier"))
    }

    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        self.told(asks::decide(self.engine(), decide).await, "decide")
    }

    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        let mut news = self.engine().news.subscribe();
        loop {
            let request = self.request(id).await?;
            if request.as_ref().is_none_or(|request| request.version != version) {
                return Ok(request);
            }
            news.changed().await.map_err(|_| ended("moved"))?;
        }
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        asks::grants(self.engine()).await.map_err(|fault| fault.told("grants"))
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        asks::grant(self.engine(), id)
            .await
            .map_err(|fault| fault.told("grant"))
    }

    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        self.told(asks::revoke(self.engine(), &revoke).await, "revoke")
    }
}

#[async_trait]
impl Locks for RedisStore {
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError> {
        self.told(asks::lock(self.engine(), &lock).await, "lock")
    }

    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError> {
        self.told(asks::unlock(self.engine(), &unlock).await, "unlock")
    }

    async fn locks(&self) -> Result<LockView, StoreError> {
        let (view, _) = asks::locks(self.engine()).await.map_err(|fault| fault.told("locks"))?;
        Ok(view)
    }

    async fn changed(&self, since: Position) -> Result<LockView, StoreError> {
        let mut news = self.engine().news.subscribe();
        loop {
            let (view, changed) = asks::locks(self.engine())
                .await
                .map_err(|fault| fault.told("changed"))?;
            if changed.generation != since.generation || changed.epoch > since.epoch {
                return Ok(view);
            }
            news.changed().await.map_err(|_| ended("changed"))?;
        }
    }
}

fn ended(operation: &'static str) -> StoreError {
    Fault::Unreachable("nobody tells of changes any more".to_owned()).told(operation)
}

impl Store for RedisStore {
    fn durability(&self) -> Durability {
        self.handle.durability
    }

    fn place(&self) -> Option<PathBuf> {
        let anchor = self.engine().anchor.as_ref()?;
        Some(anchor.path().to_owned())
    }
}
