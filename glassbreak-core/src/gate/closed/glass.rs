//! Watching grants to their end, and telling of it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{AfterGlass, Closed, Ending};
use crate::approval::State;
use crate::audit::{AuditError, AuditLog, Event, GrantClosed, HookFailed, UnderGrant};
use crate::call::{Actor, ArgValue, Args, CallDigest, Tool, Word};
use crate::clock::{Span, Timestamp};
use crate::error::shown;
use crate::gate::Gate;
use crate::grant::{Grant, GrantId, Mismatch};
use crate::lock::LockPath;
use crate::store::{Attempt, Fate, OpId, Outcome, Reserve, Reserved, Settle, Store, StoreError};

/// How soon news of another process are seen.
const LOOK: Duration = Duration::from_secs(1);
/// How long a process that did nothing under a grant leaves the telling to one that did.
const BEHIND: Duration = Duration::from_secs(2);
/// How long it waits before it tries again what another has in hand, or the store does not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// How long calls of this process that still run are waited for.
const RUNNING: Duration = Duration::from_secs(5 * 60);
/// How long records of other processes are waited for.
const RECORDS: Duration = Duration::from_secs(2);
/// How often a hook is tried.
const TRIES: u32 = 3;
/// How far back a gate that is built looks for what closed meanwhile. Stores keep ops for at least as long.
const BACK: Span = Span::from_millis(86_400_000);

/// What is told when a grant ends, and what is needed for it.
#[derive(Debug)]
pub(in crate::gate) struct Glass {
    pub(in crate::gate) hook: Arc<dyn AfterGlass>,
    pub(in crate::gate) hook_time: Duration,
    pub(in crate::gate) store: Arc<dyn Store>,
    pub(in crate::gate) store_time: Duration,
    pub(in crate::gate) audit: AuditLog,
    /// What this process knows of grants.
    pub(in crate::gate) grants: Mutex<HashMap<GrantId, Known>>,
    /// A call under a grant has ended here.
    pub(in crate::gate) over: Notify,
}

/// What this process knows of a grant.
#[derive(Debug, Default)]
pub(in crate::gate) struct Known {
    /// Somebody watches it.
    watched: bool,
    /// A call of this process passed by it.
    ours: bool,
    /// How many of those have not ended.
    running: usize,
}

/// A call under a grant, until it has ended.
#[derive(Debug)]
pub(in crate::gate) struct Entered {
    glass: Arc<Glass>,
    grant: GrantId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut grants = self.glass.known();
        if let Some(known) = grants.get_mut(&self.grant) {
            known.running = known.running.saturating_sub(1);
        }
        drop(grants);
        self.glass.over.notify_waiters();
    }
}

/// What came of the wish to tell.
enum Turn {
    /// It is this process's.
    Ours(Attempt),
    /// It was told.
    Done,
    /// Another has it, or nobody can say: later.
    Later,
    /// Whoever had it has gone without a word.
    Lost,
}

impl Glass {
    fn known(&self) -> MutexGuard<'_, HashMap<GrantId, Known>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call passes by `grant`: it is watched from now on, if it is not yet.
    pub(in crate::gate) fn enter(gate: &Gate, grant: GrantId) -> Option<Entered> {
        let glass = Arc::clone(gate.inner.glass.as_ref()?);
        {
            let mut grants = glass.known();
            let known = grants.entry(grant).or_default();
            known.ours = true;
            known.running += 1;
        }
        gate.spawn(Arc::clone(&glass).watch(grant));
        Some(Entered { glass, grant })
    }

    /// What a gate looks for when it is built.
    pub(in crate::gate) async fn sweep(self: Arc<Self>) {
        let mut watches = JoinSet::new();
        let standing = loop {
            match self.ask(self.store.grants()).await {
                Some(grants) => break grants,
                None => tokio::time::sleep(PAUSE).await,
            }
        };
        for grant in standing {
            watches.spawn(Arc::clone(&self).watch(grant.id));
        }
        let since = Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub_unsigned(BACK.as_millis()));
        // A log that cannot be read names none.
        let asked = self.read(move |audit| audit.asked(since)).await.unwrap_or_default();
        for id in asked {
            let request = loop {
                match self.ask(self.store.request(id)).await {
                    Some(request) => break request,
                    None => tokio::time::sleep(PAUSE).await,
                }
            };
            if let Some(State::Approved { grant }) = request.map(|request| request.state) {
                watches.spawn(Arc::clone(&self).watch(grant));
            }
        }
        while watches.join_next().await.is_some() {}
    }

    /// Watches a grant to its end, and tells of it; at once nothing where it is watched already.
    pub(in crate::gate) async fn watch(self: Arc<Self>, grant: GrantId) {
        let watched = std::mem::replace(&mut self.known().entry(grant).or_default().watched, true);
        if watched {
            return;
        }
        if let Some(ended) = self.ended(grant).await {
            self.tell(&ended).await;
        }
        self.known().remove(&grant);
    }

    /// The grant once it has ended; `None` where there is none, or it is forgotten.
    async fn ended(&self, id: GrantId) -> Option<Grant> {
        loop {
            let over = self.over.notified();
            let now = Timestamp::now();
            let wait = match self.ask(self.store.grant(id)).await {
                Some(Some(grant)) => match grant.stands(now) {
                    Ok(()) | Err(Mismatch::NotYet) => {
                        let left = grant.expires_at.since(now).as_millis().saturating_add(1);
                        LOOK.min(Duration::from_millis(left))
                    }
                    Err(_) => return Some(grant),
                },
                Some(None) => return None,
                None => PAUSE,
            };
            let _ = tokio::time::timeout(wait, over).await;
        }
    }

    async fn tell(&self, grant: &Grant) {
        if !self.known().get(&grant.id).is_some_and(|known| known.ours) {
            tokio::time::sleep(BEHIND).await;
        }
        let mut turn = 0;
        loop {
            let op = op_of(grant, turn);
            match self.take(grant, op).await {
                Turn::Ours(attempt) => {
                    let outcome = if self.told(grant.id).await {
                        Outcome::Done
                    } else {
                        // Another may try: the next gate that is built.
                        Outcome::Asked
                    };
                    let settle = Settle {
                        op,
                        attempt,
                        outcome,
                        actual: Vec::new(),
                        at: Timestamp::now(),
                    };
                    // A word that does not arrive has it told once more, when the lease has ended.
                    let _ = self.ask(self.store.settle(settle)).await;
                    return;
                }
                Turn::Done => return,
                Turn::Later => tokio::time::sleep(PAUSE).await,
                Turn::Lost => turn += 1,
            }
        }
    }

    /// Asks the store for the right to tell.
    async fn take(&self, grant: &Grant, op: OpId) -> Turn {
        let (Some(path), Some(digest)) = (path(), digest_of(grant)) else {
            return Turn::Done;
        };
        let attempt = Attempt::mint();
        let reserve = Reserve {
            op,
            attempt,
            digest,
            path,
            at: Timestamp::now(),
            // Longer than everything that is done with it, so that nobody else begins meanwhile.
            lease: Span::from_millis(u64::try_from(self.longest().as_millis()).unwrap_or(u64::MAX)),
            demands: Vec::new(),
        };
        match self.ask(self.store.reserve(reserve)).await {
            Some(Reserved::Held(_)) => Turn::Ours(attempt),
            Some(Reserved::Taken { fate, .. }) => match fate {
                Fate::Held => Turn::Later,
                Fate::PresumedSpent | Fate::Settled(Outcome::Asked | Outcome::NotRun) => Turn::Lost,
                Fate::Settled(Outcome::Done | Outcome::Failed) | Fate::Forgotten => Turn::Done,
            },
            Some(Reserved::Mismatch { .. }) => Turn::Done,
            // Under a lock on everything nothing is told until it is lifted.
            Some(Reserved::Locked { .. } | Reserved::Clock { .. } | Reserved::Over(_)) | None => Turn::Later,
        }
    }

    fn longest(&self) -> Duration {
        let store = self.store_time * 4;
        RUNNING + RECORDS + (self.hook_time + PAUSE) * TRIES + store + PAUSE
    }

    /// Tells the hook; whether it took it.
    async fn told(&self, id: GrantId) -> bool {
        let _ = tokio::time::timeout(RUNNING, self.idle(id)).await;
        // It may have been used or revoked since it was looked at.
        let Some(Some(grant)) = self.ask(self.store.grant(id)).await else {
            return false;
        };
        let closed = Closed {
            ending: Ending::of(&grant),
            calls: self.calls(&grant).await,
            grant,
        };
        let record = GrantClosed {
            grant: &closed.grant,
            ending: closed.ending.as_str(),
            calls: &closed.calls,
        };
        // A log that takes no records stops every call; whoever wants to know is told all the same.
        let _ = self.audit.append(Event::GrantClosed(record));
        let closed = Arc::new(closed);
        for attempt in 1..=TRIES {
            let Err(why) = self.call(Arc::clone(&closed)).await else {
                return true;
            };
            let again = attempt < TRIES;
            let record = HookFailed {
                grant: id,
                attempt,
                again,
                why: &why,
            };
            let _ = self.audit.append(Event::HookFailed(record));
            if again {
                tokio::time::sleep(PAUSE.min(self.hook_time)).await;
            }
        }
        false
    }

    /// One try. On its own, so that a panic ends nothing else; dropped with this, so that a hook that hangs does not stay.
    async fn call(&self, closed: Arc<Closed>) -> Result<(), String> {
        let hook = Arc::clone(&self.hook);
        let mut own = JoinSet::new();
        own.spawn(async move { hook.closed(&closed).await });
        match tokio::time::timeout(self.hook_time, own.join_next()).await {
            Ok(Some(Ok(Ok(())))) => Ok(()),
            Ok(Some(Ok(Err(error)))) => Err(shown(&error.to_string())),
            Ok(Some(Err(_)) | None) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("it took longer than {} ms", self.hook_time.as_millis())),
        }
    }

    /// Waits until no call of this process is under the grant.
    async fn idle(&self, id: GrantId) {
        loop {
            let over = self.over.notified();
            if self.known().get(&id).is_none_or(|known| known.running == 0) {
                return;
            }
            // A word that comes between is not missed for long.
            let _ = tokio::time::timeout(LOOK, over).await;
        }
    }

    /// What was done under the grant. Records of other processes come a moment later than their uses.
    async fn calls(&self, grant: &Grant) -> Vec<UnderGrant> {
        let (id, since, uses) = (grant.id, grant.not_before, grant.uses);
        let end = tokio::time::Instant::now() + RECORDS;
        loop {
            let calls = self.read(move |audit| audit.under(id, since)).await.unwrap_or_default();
            let all = u32::try_from(calls.len()).is_ok_and(|count| count >= uses);
            let ended = calls.iter().all(|call| call.outcome.is_some());
            if (all && ended) || tokio::time::Instant::now() >= end {
                return calls;
            }
            tokio::time::sleep(RECORDS / 10).await;
        }
    }

    /// Reads the log where that holds nobody up.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&AuditLog) -> Result<T, AuditError> + Send + 'static,
    ) -> Option<T> {
        let audit = self.audit.clone();
        tokio::task::spawn_blocking(move || read(&audit)).await.ok()?.ok()
    }

    /// What the store says, if it says it in time.
    async fn ask<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        tokio::time::timeout(self.store_time, answer).await.ok()?.ok()
    }
}

/// Whose op it is: nobody's session, so that no lock but one on everything stops it.
pub(super) fn path() -> Option<LockPath> {
    let name = || Word::new("glassbreak.after-glass").ok();
    Some(LockPath::new(&Actor::new(name()?, name()?), "glassbreak.after-glass"))
}

/// The op that telling of a grant is, for whoever has the `turn`-th try at it. Its date is the end of the grant's time,
/// which is the same for all.
pub(super) fn op_of(grant: &Grant, turn: u32) -> OpId {
    let mut hasher = Sha256::new();
    hasher.update(b"glassbreak.after-glass.v1");
    hasher.update(grant.id.as_bytes());
    hasher.update(turn.to_be_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    let millis = u64::try_from(grant.expires_at.as_millis()).unwrap_or(0).to_be_bytes();
    let mut bytes = [0; 16];
    let date = millis.iter().skip(2);
    bytes
        .iter_mut()
        .zip(date.chain(hash.iter()))
        .for_each(|(byte, from)| *byte = *from);
    // Version and variant of a dated id.
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x70;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    OpId::from_bytes(bytes)
}

pub(super) fn digest_of(grant: &Grant) -> Option<CallDigest> {
    Some(CallDigest::of_tool(&Tool {
        name: Word::new("glassbreak.after-glass").ok()?,
        arguments: Args::from([("grant".into(), ArgValue::Str(grant.id.to_string().into()))]),
    }))
}
