//! What operators do: lock, unlock, revoke.

use super::Desk;
use crate::approval::RequestId;
use crate::audit::{AuditError, Event, GrantRevoked, LockChange, OperateNotTaken, Target as Recorded};
use crate::call::{Text, Word};
use crate::clock::Timestamp;
use crate::finding::Finding;
use crate::lock::{Lock, Target};
use crate::people::Account;
use crate::policy::{Operate, Operation};
use crate::store::{Ended, Position, Revoke, StoreError, Unlock, Unlocked, Which};

/// Why an operator's word was not carried out, or not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// No person has this account.
    #[error("no person in people.toml has the account {0}")]
    UnknownAccount(Account),
    /// No policy permits it.
    #[error("{}", .0.why())]
    Refused(Box<Finding>),
    /// It could not be recorded. A lock stands and a grant is revoked all the same; nothing was lifted.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store did not do it, or did not say so.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Desk {
    /// The person of an account, as operators need one.
    ///
    /// # Errors
    /// When nobody has it.
    pub fn operator(&self, account: &Account) -> Result<Word, OperateError> {
        self.person_of(account)
            .ok_or_else(|| OperateError::UnknownAccount(account.clone()))
    }

    /// Locks `target`: refuses new calls under it from now on, ends what runs, revokes its grants and withdraws what it
    /// asks. `by` is a person whom a policy on `Action::"lock"` permits it.
    ///
    /// # Errors
    /// When no policy permits it: nothing is locked. When the store fails: perhaps it is. When it cannot be recorded: it
    /// is locked all the same, because stopping must not wait for a full disk.
    pub async fn lock(&self, target: Target, reason: Text, by: Word) -> Result<Position, OperateError> {
        self.may_operate(Operate::Lock, target.kind(), name(&target), &target, &by)?;
        self.lock_now(target, reason, by).await
    }

    /// Locks without asking a policy: for people whom one permits it, and for rules.
    pub(crate) async fn lock_now(&self, target: Target, reason: Text, by: Word) -> Result<Position, OperateError> {
        let change = LockChange {
            target: recorded(&target),
            by: &by,
            reason: Some(&reason),
        };
        let written = self.audit.append_synced(Event::LockSet(change));
        let at = Timestamp::now();
        let lock = Lock {
            target,
            reason: reason.clone(),
            by: by.clone(),
            at,
        };
        // Just what this lock ended: what others did is theirs to record.
        let ended = self.store.lock(lock).await?;
        for id in ended.grants {
            let which = format!("grant {id}");
            let which = which.as_str();
            let (by, reason) = (&by, &reason);
            self.audit
                .append(Event::GrantRevoked(GrantRevoked { which, by, reason }))?;
        }
        let told = self.tell_settled(&ended.requests).await;
        written?;
        told?;
        Ok(ended.position)
    }

    /// Lifts the lock on `target`; `by` is a person whom a policy on `Action::"unlock"` permits it.
    ///
    /// # Errors
    /// When no policy permits it, or it cannot be recorded or stored.
    pub async fn unlock(&self, target: Target, reason: Text, by: Word) -> Result<Unlocked, OperateError> {
        self.may_operate(Operate::Unlock, target.kind(), name(&target), &target, &by)?;
        let seen = self.store.locks().await?.position;
        let change = LockChange {
            target: recorded(&target),
            by: &by,
            reason: Some(&reason),
        };
        self.audit.append_synced(Event::LockLifted(change))?;
        let unlock = Unlock {
            target,
            by,
            reason,
            seen,
        };
        Ok(self.store.unlock(unlock).await?)
    }

    /// Ends grants before their time, and withdraws open requests; `by` is a person whom a policy on `Action::"revoke"`
    /// permits it.
    ///
    /// # Errors
    /// When no policy permits it: nothing is revoked. When the store fails: perhaps it is. When it cannot be recorded: it
    /// is revoked all the same, because taking back must not wait for a full disk.
    pub async fn revoke(&self, which: Which, reason: Text, by: Word) -> Result<Ended, OperateError> {
        let (kind, id) = named(&which);
        let nobody = Target::All;
        let target = match &which {
            Which::Under(target) => target,
            Which::Grant(_) | Which::Request(_) | Which::Rule(_) => &nobody,
        };
        self.may_operate(Operate::Revoke, kind, &id, target, &by)?;
        self.revoke_now(which, reason, by).await
    }

    /// Revokes without asking a policy: for whom one permits it, and for the end of a session.
    pub(crate) async fn revoke_now(&self, which: Which, reason: Text, by: Word) -> Result<Ended, OperateError> {
        let (kind, id) = named(&which);
        let which_text = format!("{kind} {id}");
        let record = GrantRevoked {
            which: which_text.trim_end(),
            by: &by,
            reason: &reason,
        };
        let written = self.audit.append_synced(Event::GrantRevoked(record));
        let at = Timestamp::now();
        let ended = self.store.revoke(Revoke { which, by, reason, at }).await?;
        let told = self.tell_settled(&ended.requests).await;
        written?;
        told?;
        Ok(ended)
    }

    /// Records how requests ended that nobody decided.
    async fn tell_settled(&self, requests: &[RequestId]) -> Result<(), OperateError> {
        for id in requests {
            if let Some(request) = self.store.request(*id).await? {
                self.settled(&request)?;
            }
        }
        Ok(())
    }

    fn may_operate(
        &self,
        operate: Operate,
        kind: &str,
        id: &str,
        target: &Target,
        by: &Word,
    ) -> Result<(), OperateError> {
        let named = match target {
            Target::Person(named) => Account::from_stored(named.as_str()).ok(),
            _ => None,
        };
        let of_account = named.and_then(|account| self.person_of(&account));
        let on_behalf_of = match (target, &of_account) {
            (_, Some(person)) => person.as_str(),
            (Target::Person(person), None) => person.as_str(),
            _ => "",
        };
        let operation = Operation {
            person: by,
            operate,
            kind,
            id,
            on_behalf_of,
        };
        let Err(finding) = self.bundle().policies().may_operate(&operation) else {
            return Ok(());
        };
        let which = format!("{kind} {}", operation.id);
        let refused = OperateNotTaken {
            operate: operate.as_str(),
            which: which.trim_end(),
            by,
            why: finding.why(),
        };
        self.audit.append_synced(Event::OperateRefused(refused))?;
        Err(OperateError::Refused(Box::new(finding)))
    }
}

fn named(which: &Which) -> (&'static str, String) {
    match which {
        Which::Grant(id) => ("grant", id.to_string()),
        Which::Request(id) => ("request", id.to_string()),
        Which::Rule(rule) => ("rule", rule.to_string()),
        Which::Under(target) => (target.kind(), name(target).to_owned()),
    }
}

fn name(target: &Target) -> &str {
    target.name().map_or("", Word::as_str)
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
