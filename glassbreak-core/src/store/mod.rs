//! Where what is counted, asked, granted and locked is kept, and what every such place must guarantee.
//!
//! A [`Store`] is one realm: the processes that share it share budgets, requests, grants and
//! locks. Its parts are split by who may call
//! them, and `Arc<dyn Store>` upcasts to each:
//! - [`Ledger`]: reservations. Called by the gate and by permits, and by nobody else.
//! - [`Requests`]: questions to people, and the grants that answer them. Called by the gate, and by whoever takes votes.
//! - [`Locks`]: the kill switch. Called by the gate, and by tools of operators.
//!
//! [`MemoryStore`] keeps everything in the process. The conformance suite of `glassbreak-testkit` holds one test for
//! each sentence of these contracts; a store is done when it passes.
//!
//! # The contract
//!
//! **Each method is one atomic step.** Two calls never see each other half done, and the epochs of their
//! [`Position`]s tell their order: an answer that changed something carries the epoch of its change, and an answer
//! that changed nothing the epoch of the last change before it.
//!
//! **An error is a refusal.** Whoever gets a [`StoreError`] denies. It says nothing about what was done.
//!
//! **A dropped future is "maybe applied".** One that was never polled has done nothing. Any other may have, and is not
//! undone: what it reserved stays reserved until its lease ends, and counts after that too.
//!
//! **Counts are wrong only upwards.** What is acknowledged is counted at every later moment, until it leaves its
//! window or is settled as not run. Nothing is given back by a timeout, a drop, a crash or a late word.
//!
//! **Time comes from the caller, and never goes back.** The store's time is the latest of all that it was given. A
//! given time that is more than five seconds ahead of it, plus the time that has since gone by on a clock that nobody
//! sets, is not believed. The first one is: a store that begins in the future only counts for too long.
//!
//! **Clones share.** A clone, and every other handle on the same realm, sees the same counts and locks.
//!
//! **No rule lives here.** What a vote is worth is decided in [`approval`](crate::approval), what a grant covers in
//! [`Grant::covers`](crate::grant::Grant::covers); a store puts the one in place if nothing came first, and asks the other.

mod asking;
mod clock;
mod error;
mod memory;
mod types;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;

pub use self::asking::{Caps, Claim, Claimed, Decide, Decided, Ended, Open, Opened, Revoke, Unasked, Which};
pub use self::clock::{Clock, FakeClock, SteadyClock};
pub use self::error::{StoreError, StoreErrorKind};
pub use self::memory::{MemoryBuilder, MemoryStore};
pub use self::types::{
    Actual, Attempt, Durability, Fate, Held, LockView, OpId, Outcome, Over, Position, Reserve, Reserved, Settle,
    Settled, Unlock, Unlocked,
};

use crate::approval::{Request, RequestId};
pub use crate::budget::{Demand, Window};
use crate::grant::{Grant, GrantId};
use crate::lock::Lock;

/// Reservations: what calls in flight and calls past count against budgets.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Counts a call, if no lock and no ceiling stands against it, and if no other attempt has it.
    ///
    /// In this order, the first that holds being the answer:
    /// 1. A lock on the path: [`Locked`](Reserved::Locked), whatever else is so, also for the repeat of a call that
    ///    was counted.
    /// 2. A time that is not believed: [`Clock`](Reserved::Clock).
    /// 3. The op was reserved before, with another digest: [`Mismatch`](Reserved::Mismatch).
    /// 4. The same attempt reserved it, has not settled it, and its lease has not ended: the first answer again, word
    ///    for word, and nothing is counted twice; its grants are those that stand now.
    /// 5. The op was settled as [`Asked`](Outcome::Asked) in time, and spent no grant: it goes on as if it were new,
    ///    unless this attempt is the one that asked.
    /// 6. The op was reserved before in any other way, or might have been and is forgotten: [`Taken`](Reserved::Taken).
    ///    Of any number of attempts at one op, in any number of processes, at most one holds it at a time, and after one
    ///    that did not end as `Asked` none ever does.
    /// 7. A demand past its ceiling: [`Over`](Reserved::Over), for the first one. No demand is counted.
    /// 8. [`Held`](Reserved::Held): every demand is counted, at once.
    ///
    /// A count is what the reservations of that rule, scope and key that were made in the [window](Demand::window) that
    /// ends now come to, settled or not, this one included and those that were given back left out. One whose key was not known counts under every
    /// key of its rule and scope, also under those that come later; a demand whose key is not known is held against the
    /// fullest key of its rule and scope, and all that were not known. Two demands of one call on one rule, scope and
    /// key count twice. Of callers that race for the last place under a ceiling, one gets it.
    ///
    /// An answer other than `Held` leaves no trace: the op may be tried again.
    ///
    /// # Errors
    /// When the store cannot answer, or has no room; more than [`Reserve::MAX_DEMANDS`] demands are invalid. Denying a
    /// call that was counted is an annoyance, allowing one that was not is a breach: when unsure, return an error.
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError>;

    /// Records how a call ended, once: a repeat gets the first answer, whatever it says.
    ///
    /// [`NotRun`](Outcome::NotRun) and [`Asked`](Outcome::Asked) within the lease take the call out of all its counts, at once. For the
    /// others a demand counts what it [really came to](Settle::actual): less only within the lease, more always. Nothing else lowers
    /// a count: a call that failed counts, and so does one whose lease ended unsettled. A word that comes after the
    /// lease is recorded and marked late. Locks do not stand in the way, and a time that is not believed only makes
    /// the word late.
    ///
    /// # Errors
    /// - [`UnknownOp`](StoreErrorKind::UnknownOp) when no reservation of the op is kept;
    /// - [`NotHolder`](StoreErrorKind::NotHolder) when another attempt reserved it: what one runner knows of its own
    ///   attempt says nothing about another's;
    /// - and when the store cannot answer. The caller need not try again: an unsettled call counts as spent.
    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError>;

    /// Spends one use of a grant on a call that this attempt holds.
    ///
    /// In this order: a lock on the path of the call, [`Locked`](Claimed::Locked); a time that is not believed,
    /// [`Clock`](Claimed::Clock); no reservation of the op by this attempt that is unsettled and within its lease,
    /// [`NotHeld`](Claimed::NotHeld); another digest than the op stands for, [`Refused`](Claimed::Refused); the same grant was claimed for this op before, the same answer again, and nothing is
    /// spent twice; what [`Grant::covers`](crate::grant::Grant::covers) says by the store's time, [`Refused`](Claimed::Refused);
    /// [`Used`](Claimed::Used). An op spends at most one grant: another one is refused.
    ///
    /// Of callers that race for the last use, one gets it. A use is never given back: whoever crashes after this has
    /// spent it.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError>;
}

/// Questions to people, and the grants that answer them.
#[async_trait]
pub trait Requests: fmt::Debug + Send + Sync + 'static {
    /// Opens a request, or joins the one that asks the same ([`Request::key`]) and is open before its deadline.
    ///
    /// In this order: a lock on its path, a time not believed, joining, a rest after a person's no to the same question,
    /// the caps of its agent ([`Request::agent`]). A request whose deadline has come is not open, whatever its state
    /// says. The store's time counts: it becomes `opened_at`, and `deadline` lies `lasts` after it.
    ///
    /// # Errors
    /// When the id was used before and this does not join its request. And when the store cannot answer; the request may
    /// be open all the same.
    async fn open(&self, open: Open) -> Result<Opened, StoreError>;

    /// A request as it stands; `None` where there is none of this id, or it is forgotten. One that was settled is kept
    /// for at least a day.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError>;

    /// Every request that is pending, the oldest first, also those whose deadline has come.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn pending(&self) -> Result<Vec<Request>, StoreError>;

    /// Earlier requests that asked the same ([`Request::key`]) and are settled: the newest first, at most `most` of them,
    /// as far as they are kept. People are shown them; nothing is decided by them.
    ///
    /// # Errors
    /// When the store cannot answer. One that does not have this method cannot.
    async fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        let what = format!(
            "this store does not tell what was asked before {} (of {most})",
            request.id
        );
        Err(StoreError::new(StoreErrorKind::Unavailable, "earlier", what))
    }

    /// Puts a request in its next state, with its grant, if it still is what was looked at.
    ///
    /// It is refused where the request is final, or at another version ([`Conflict`](Decided::Conflict)); where an
    /// approval, a vote or a stage comes at its deadline or later, or an expiry before it ([`Untimely`](Decided::Untimely)); and
    /// where a lock stands on the path of an approval ([`Locked`](Decided::Locked)). Of any number of callers that race,
    /// one gets [`Done`](Decided::Done). There is never a second grant of one request.
    ///
    /// # Errors
    /// When what is asked makes no sense: a version that does not follow, a request with another call, a stage that is taken
    /// back, a grant without an
    /// approval or the other way round, a grant of something else than the request or with an id that was used before.
    /// And when the store cannot answer.
    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError>;

    /// Waits until a request is at another version than `version`, and returns it; `None` where there is no such
    /// request. It may return early, and never fails to return. Drop it to stop waiting.
    ///
    /// # Errors
    /// When the store can no longer tell.
    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError>;

    /// The grants that stand, the oldest first.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn grants(&self) -> Result<Vec<Grant>, StoreError>;

    /// A grant as it is, also one that is used up, has ended or was revoked; `None` where there is none of this id, or it is
    /// forgotten.
    ///
    /// # Errors
    /// When the store cannot answer.
    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError>;

    /// Ends grants that stand, have yet to begin, or are used up before their time, because a permit by one may not have
    /// run yet; and cancels requests that are open. A second time nothing is left to end. A time that is not believed
    /// does not stand in the way.
    ///
    /// # Errors
    /// When they may still stand.
    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError>;
}

/// The kill switch.
#[async_trait]
pub trait Locks: fmt::Debug + Send + Sync + 'static {
    /// Puts a lock in force. It refuses from the moment that this returns: no later `reserve` or `claim` on a path under
    /// it is held, through any handle, and none is ever held at an epoch above the lock's. In the same step the grants
    /// under it are revoked and the open requests cancelled: lifting the lock brings none of them back. The answer names
    /// them, and whatever has ended is named in one answer only, whoever ends it.
    ///
    /// A lock that already stands on the target stays as it is, with its reason and its date, and nothing changes.
    /// It stands until it is lifted.
    ///
    /// # Errors
    /// When the lock may not be in force everywhere. It may be in force all the same: a lock that is not wanted is an
    /// annoyance, one that is missing is a breach.
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError>;

    /// Lifts the lock on exactly this target, if none was set on it since [`seen`](Unlock::seen).
    ///
    /// Other locks stand, also those on the same calls.
    ///
    /// # Errors
    /// When the lock may still be in force.
    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError>;

    /// The locks in force.
    ///
    /// # Errors
    /// When the store cannot answer; the caller then takes everything as locked.
    async fn locks(&self) -> Result<LockView, StoreError>;

    /// Waits until the locks are others than at `since`, and returns them; at once where they already are, and where
    /// `since` is of another generation.
    ///
    /// It may return early, with the same locks at a later position, and never fails to return. Drop it to stop
    /// waiting.
    ///
    /// # Errors
    /// When the store can no longer tell.
    async fn changed(&self, since: Position) -> Result<LockView, StoreError>;
}

/// One realm: a ledger, requests and locks over the same state, so that a lock and a reservation have an order.
///
/// Implementations are shared: clones and other handles see the same state.
pub trait Store: Ledger + Requests + Locks {
    /// What of all that was acknowledged may be lost, and when.
    fn durability(&self) -> Durability;

    /// The file or folder that it lives in, where it is one of this machine: a session whose workspace holds it is not
    /// opened.
    fn place(&self) -> Option<PathBuf>;
}
