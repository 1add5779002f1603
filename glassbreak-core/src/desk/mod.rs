//! The desk: where requests are answered, ended and revoked, and where it is all recorded.
//!
//! A [`Desk`] is a bundle, a store and an audit log. The gate has one; so has a terminal of an approver in another
//! process, which shares the store. It decides nothing by itself: [`approval`] says what a vote
//! comes to, the store puts it in place if nothing came first, and where something did, it is all looked at again.
//!
//! **Invariant**: a vote and a grant are recorded, on disk, before they take effect.

mod operate;
mod stages;

use std::sync::Arc;
use std::time::Duration;

pub use self::operate::OperateError;
pub(crate) use self::stages::Delivery;
use crate::approval::{self, Answer, Ballot, Electorate, Request, RequestId, State, Step, VoteRefused};
use crate::audit::{AuditError, AuditLog, Event, GrantOpened, RequestSettled, VoteCast, VoteNotTaken};
use crate::bundle::{Bundle, InForce};
use crate::call::{Text, Word};
use crate::clock::Timestamp;
use crate::grant::{Grant, GrantId};
use crate::lock::Lock;
use crate::notify::{EARLIER, Sheet};
use crate::people::Account;
use crate::store::{Decide, Decided, LockView, Store, StoreError};

/// Where requests are answered. Clones share everything.
#[derive(Debug, Clone)]
pub struct Desk {
    bundle: InForce,
    store: Arc<dyn Store>,
    audit: AuditLog,
    /// Whose delivery it was handed to, where it is that of a notifier.
    delivery: Option<Arc<Delivery>>,
}

/// Why an answer was not taken, or not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// There is no such request, or it is forgotten.
    #[error("there is no request {0}: it was never made, or was settled days ago")]
    Unknown(RequestId),
    /// The answer does not count.
    #[error("{0}")]
    Refused(VoteRefused),
    /// A lock stands on the call: nobody can agree to it.
    #[error("{} is locked by {}: {}", .0.target, .0.by, crate::error::shown(.0.reason.as_str()))]
    Locked(Arc<Lock>),
    /// The clock of this machine is far ahead of the store's.
    #[error("this machine's clock is ahead of the store's, which takes nothing later than {latest}")]
    Clock {
        /// The latest time that would have been taken.
        latest: Timestamp,
    },
    /// Too many others answered at the same time.
    #[error("the request kept changing; look at it again")]
    Busy,
    /// It could not be recorded, so it was not put in place.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store did not do it, or did not say so: look at the request again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long a card waits for what was asked before.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often an answer is tried again because another came first.
const MOST_TRIES: usize = 64;

impl Desk {
    /// A desk of its own, for a process without a gate.
    pub fn new(bundle: Arc<Bundle>, store: Arc<dyn Store>, audit: AuditLog) -> Self {
        Self::of_gate(InForce::new(bundle), store, audit)
    }

    /// The desk of a gate, which judges by what the gate judges by.
    pub(crate) const fn of_gate(bundle: InForce, store: Arc<dyn Store>, audit: AuditLog) -> Self {
        Self {
            bundle,
            store,
            audit,
            delivery: None,
        }
    }

    /// The policy folder that votes are judged by. That of a gate is another after [`Gate::reload`](crate::gate::Gate::reload).
    pub fn bundle(&self) -> Arc<Bundle> {
        self.bundle.get()
    }

    /// A request as it stands.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.store.request(id).await
    }

    /// A request as people are to be shown it: its card, who has agreed, and whether the same was asked before. What the
    /// store does not tell soon is shown as not known.
    pub async fn sheet(&self, request: &Request) -> Sheet {
        let earlier = tokio::time::timeout(PATIENCE, self.store.earlier(request, EARLIER + 1)).await;
        let earlier = earlier.ok().and_then(Result::ok);
        Sheet::of(request, earlier.as_deref(), Timestamp::now())
    }

    /// The requests that people are asked about, the oldest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        let now = Timestamp::now();
        let mut pending = self.store.pending().await?;
        pending.retain(|request| !request.is_late(now));
        Ok(pending)
    }

    /// The grants that stand.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.store.grants().await
    }

    /// The locks that stand.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn locks(&self) -> Result<LockView, StoreError> {
        self.store.locks().await
    }

    /// Waits until a request has changed since `version`.
    ///
    /// # Errors
    /// When the store can no longer tell.
    pub async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        self.store.moved(id, version).await
    }

    /// The person that an account belongs to.
    pub fn person_of(&self, account: &Account) -> Option<Word> {
        self.bundle().person_of(account)
    }

    /// Takes an answer. The request comes back as it then stands: settled, or waiting for more people.
    ///
    /// Everything is looked at anew: who the account belongs to, whether they may, whether the rules are still those that
    /// asked, and the same for every earlier vote.
    ///
    /// # Errors
    /// Why the answer does not count, and then nothing has changed; or that nobody knows.
    pub async fn vote(&self, id: RequestId, ballot: &Ballot) -> Result<Request, VoteError> {
        // On its own: a vote that has taken effect is recorded also where whoever cast it does not wait for it.
        let (desk, ballot) = (self.clone(), ballot.clone());
        match tokio::spawn(async move { desk.take(id, &ballot).await }).await {
            Ok(taken) => taken,
            Err(_) => Err(VoteError::Busy),
        }
    }

    async fn take(&self, id: RequestId, ballot: &Ballot) -> Result<Request, VoteError> {
        let mut cast = false;
        for _ in 0..MOST_TRIES {
            let request = self.store.request(id).await?.ok_or(VoteError::Unknown(id))?;
            let now = Timestamp::now();
            let step = match approval::vote(&request, ballot, &*self.bundle(), now, GrantId::mint(now)) {
                Ok(step) => step,
                Err(why) => return Err(self.refused(&request, ballot, why, now).await),
            };
            self.record(&request, &step, !std::mem::replace(&mut cast, true))?;
            let next = step.request.clone();
            let decided = match self.decide(request.version, step, now).await {
                Ok(decided) => decided,
                // It may be so, and only the answer lost: then the log must say that it is.
                Err(error) => match self.store.request(id).await {
                    Ok(Some(now)) if now == next => {
                        self.settled(&next)?;
                        return Ok(next);
                    }
                    _ => return Err(error.into()),
                },
            };
            let (code, why) = match decided {
                Decided::Done { .. } => {
                    self.settled(&next)?;
                    return Ok(next);
                }
                Decided::Conflict(_) => continue,
                Decided::Untimely { .. } => {
                    return Err(self.refused(&request, ballot, VoteRefused::TooLate, now).await);
                }
                Decided::Locked(lock) => ("locked", VoteError::Locked(lock)),
                Decided::Unknown => ("unknown", VoteError::Unknown(id)),
                Decided::Clock { latest } => ("clock", VoteError::Clock { latest }),
            };
            // The vote is in the log already, as one that was cast.
            self.not_taken(id, ballot, code, &why.to_string())?;
            return Err(why);
        }
        Err(VoteError::Busy)
    }

    async fn decide(&self, expected: u32, step: Step, at: Timestamp) -> Result<Decided, StoreError> {
        let Step { request, grant } = step;
        self.store
            .decide(Decide {
                expected,
                next: request,
                grant,
                at,
            })
            .await
    }

    /// The vote, and the grant that comes of it, on disk. One that is tried again because something else came first is
    /// one vote.
    fn record(&self, before: &Request, step: &Step, first: bool) -> Result<(), AuditError> {
        let vote = step
            .request
            .votes
            .iter()
            .rev()
            .find(|vote| !before.votes.contains(vote));
        if let Some(vote) = vote.filter(|_| first) {
            self.audit.append(Event::VoteCast(VoteCast { request: before, vote }))?;
        }
        if let Some(grant) = &step.grant {
            self.audit.append(Event::GrantOpened(GrantOpened { grant }))?;
        }
        self.audit.sync()
    }

    fn settled(&self, request: &Request) -> Result<(), AuditError> {
        if request.state.is_final() {
            self.audit
                .append_synced(Event::RequestSettled(RequestSettled { request }))?;
        }
        Ok(())
    }

    fn not_taken(&self, request: RequestId, ballot: &Ballot, code: &str, why: &str) -> Result<(), AuditError> {
        let person = self.person_of(&ballot.account);
        let record = VoteNotTaken {
            request,
            account: &ballot.account,
            person: person.as_ref(),
            answer: &ballot.answer,
            code,
            why,
        };
        self.audit.append_synced(Event::VoteRefused(record)).map(drop)
    }

    /// Records an answer that does not count, and what follows from the reason.
    async fn refused(&self, request: &Request, ballot: &Ballot, why: VoteRefused, now: Timestamp) -> VoteError {
        let said = why.to_string();
        if let Err(error) = self.not_taken(request.id, ballot, why.code(), &said) {
            return error.into();
        }
        // Nobody can agree any more: whoever waits should hear of it now.
        let over = match &why {
            VoteRefused::RuleChanged(_) => approval::cancel(request, &said),
            VoteRefused::TooLate => approval::expire(request, now),
            _ => None,
        };
        if let Some(next) = over {
            let _ = self.end(request, next, now).await;
        }
        VoteError::Refused(why)
    }

    /// Puts a request at its end, if nothing came first.
    async fn end(&self, request: &Request, next: Request, now: Timestamp) -> Result<bool, VoteError> {
        let step = Step {
            request: next.clone(),
            grant: None,
        };
        match self.decide(request.version, step, now).await? {
            Decided::Done { .. } => {
                self.settled(&next)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Ends a request whose deadline has come, and returns it as it then stands.
    ///
    /// # Errors
    /// When the store cannot answer, or it cannot be recorded.
    pub async fn expire(&self, id: RequestId) -> Result<Option<Request>, VoteError> {
        let Some(request) = self.store.request(id).await? else {
            return Ok(None);
        };
        let now = Timestamp::now();
        if let Some(next) = approval::expire(&request, now) {
            self.end(&request, next, now).await?;
        }
        Ok(self.store.request(id).await?)
    }

    /// Cancels a request that nobody needs answered any more.
    ///
    /// # Errors
    /// When the store cannot answer, or it cannot be recorded.
    pub async fn cancel(&self, id: RequestId, why: &str) -> Result<Option<Request>, VoteError> {
        for _ in 0..MOST_TRIES {
            let Some(request) = self.store.request(id).await? else {
                return Ok(None);
            };
            let Some(next) = approval::cancel(&request, why) else {
                return Ok(Some(request));
            };
            if self.end(&request, next, Timestamp::now()).await? {
                break;
            }
        }
        Ok(self.store.request(id).await?)
    }
}

/// A no, with its reason.
pub fn deny(account: Account, reason: Option<Text>, request: &Request) -> Ballot {
    Ballot {
        account,
        answer: Answer::Deny,
        reason,
        card: request.card.digest(),
    }
}

/// What a request's end means for the agent that waits, in one line.
pub(crate) fn told(request: &Request) -> String {
    match &request.state {
        State::Pending => "nobody has answered yet".to_owned(),
        State::Approved { .. } => "people agreed".to_owned(),
        State::Denied { why, .. } => why.to_string(),
        State::Expired if request.is_unseen() => {
            "nobody could be reached: no notifier showed the question to anybody".to_owned()
        }
        State::Expired => "nobody answered in time, and that is a no".to_owned(),
        State::Cancelled { why } => format!("the question was withdrawn: {why}"),
    }
}
