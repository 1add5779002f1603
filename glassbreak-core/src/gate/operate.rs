//! The kill switch, as operators work it.

use super::Gate;
use crate::audit::{AuditError, LockChange, Target as Recorded};
use crate::call::{Text, Word};
use crate::finding::Finding;
use crate::lock::{Lock, Target};
use crate::policy::{Operate, Operation};
use crate::store::{StoreError, Unlock, Unlocked};

/// Why a lock was not set or lifted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// No policy permits it.
    #[error("{}", .0.why())]
    Refused(Box<Finding>),
    /// It could not be recorded. A lock stands all the same; nothing was lifted.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store did not do it, or did not say so.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gate {
    /// Locks `target`: refuses new calls under it from now on, and ends what runs. `by` is a person of the bundle whom
    /// a policy on `Action::"lock"` permits it.
    ///
    /// # Errors
    /// When no policy permits it: nothing is locked. When the store fails: perhaps it is. When it cannot be recorded: it
    /// is locked all the same, because stopping must not wait for a full disk.
    pub async fn lock(&self, target: Target, reason: Text, by: Word) -> Result<(), OperateError> {
        self.may(Operate::Lock, &target, &by)?;
        self.lock_now(target, reason, by).await
    }

    /// Locks without asking a policy: for people whom one permits it, and for rules.
    pub(super) async fn lock_now(&self, target: Target, reason: Text, by: Word) -> Result<(), OperateError> {
        let change = LockChange {
            target: recorded(&target),
            by: &by,
            reason: Some(&reason),
        };
        let written = self.inner.audit.append_synced(crate::audit::Event::LockSet(change));
        self.inner
            .store
            .lock(Lock {
                target,
                reason,
                by,
                at: Self::now(),
            })
            .await?;
        // At once, not with the next news from the store: what runs ends now.
        self.inner.locks.take(self.inner.store.locks().await?);
        written?;
        Ok(())
    }

    /// Lifts the lock on `target`; `by` is a person of the bundle whom a policy on `Action::"unlock"` permits it.
    ///
    /// # Errors
    /// When no policy permits it, or it cannot be recorded or stored.
    pub async fn unlock(&self, target: Target, reason: Text, by: Word) -> Result<Unlocked, OperateError> {
        self.may(Operate::Unlock, &target, &by)?;
        let seen = self.inner.store.locks().await?.position;
        let change = LockChange {
            target: recorded(&target),
            by: &by,
            reason: Some(&reason),
        };
        self.inner
            .audit
            .append_synced(crate::audit::Event::LockLifted(change))?;
        let unlocked = self
            .inner
            .store
            .unlock(Unlock {
                target,
                by,
                reason,
                seen,
            })
            .await?;
        self.inner.locks.take(self.inner.store.locks().await?);
        Ok(unlocked)
    }

    fn may(&self, operate: Operate, target: &Target, by: &Word) -> Result<(), OperateError> {
        let on_behalf_of = match target {
            Target::Person(person) => person.as_str(),
            _ => "",
        };
        let id = target.name().map_or("", Word::as_str);
        let operation = Operation {
            person: by,
            operate,
            kind: target.kind(),
            id,
            on_behalf_of,
        };
        self.bundle()
            .policies()
            .may_operate(&operation)
            .map_err(|finding| OperateError::Refused(Box::new(finding)))
    }
}

fn recorded(target: &Target) -> Recorded<'_> {
    match target {
        Target::All => Recorded::All,
        Target::Agent(name) => Recorded::Agent(name),
        Target::Session(name) => Recorded::Session(name),
        Target::Tool(name) => Recorded::Tool(name),
        Target::Person(name) => Recorded::Person(name),
    }
}
