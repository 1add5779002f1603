//! The kill switch, as operators work it in the process of the gate.

use super::Gate;
use crate::call::{Text, Word};
use crate::desk::OperateError;
use crate::lock::Target;
use crate::store::Unlocked;

impl Gate {
    /// As [`Desk::lock`](crate::desk::Desk::lock), and in force in this process at once, not with the next news from the
    /// store: what runs ends now.
    ///
    /// # Errors
    /// As there.
    pub async fn lock(&self, target: Target, reason: Text, by: Word) -> Result<(), OperateError> {
        let locked = self.inner.desk.lock(target, reason, by).await;
        self.look_at_locks().await?;
        locked.map(drop)
    }

    /// Locks for a rule, without asking a policy.
    pub(super) async fn lock_now(&self, target: Target, reason: Text, by: Word) -> Result<(), OperateError> {
        let locked = self.inner.desk.lock_now(target, reason, by).await;
        self.look_at_locks().await?;
        locked.map(drop)
    }

    /// As [`Desk::unlock`](crate::desk::Desk::unlock), and in force in this process at once.
    ///
    /// # Errors
    /// As there.
    pub async fn unlock(&self, target: Target, reason: Text, by: Word) -> Result<Unlocked, OperateError> {
        let unlocked = self.inner.desk.unlock(target, reason, by).await;
        self.look_at_locks().await?;
        unlocked
    }

    async fn look_at_locks(&self) -> Result<(), OperateError> {
        let asked = self.inner.locks.asked();
        self.inner.locks.take(self.inner.store.locks().await?, asked);
        Ok(())
    }
}
