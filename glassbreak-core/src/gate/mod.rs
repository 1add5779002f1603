//! The guard: everything together, around the pure judging function.
//!
//! A [`Gate`] holds the bundle, the store, the audit log and the host's checks. A [`Session`] makes calls; the gate
//! judges them and, where nothing objects, hands out a [permit](Permit): the right to perform exactly one judged call,
//! once, for a short time. Nothing else can make one.
//!
//! ```text
//! Session ─ SessionCall ─▶ check ─ locks · store's counts · judge · host checks · combine
//!     ├─▶ Deny  ─ record
//!     ├─▶ Ask   ─ a grant of this caller lifts it ─▶ as Allow
//!     │           └ else record, THEN an Escalation ─ open ─▶ people ─▶ the whole check again
//!     └─▶ Allow ─ record, THEN the permit
//! Permit::run / exec ─ locks and the file again ─ body, under the lock watch ─ record
//! ```
//!
//! **Invariant**: every permit has its `call.permitted` record before it exists; a record that cannot be written is a
//! refusal. A permit that is dropped, or whose body panics, counts as spent.

mod ask;
mod builder;
mod carry;
mod check;
mod closed;
mod credential;
mod follow;
mod grounds;
mod hold;
mod hosts;
mod locks;
#[doc(hidden)]
pub mod macros;
mod now;
mod operate;
mod overflow;
mod permit;
mod reach;
mod reload;
mod run;
mod session;
mod verdict;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

pub use self::ask::{Escalation, Ticket, Waiting};
pub use self::builder::{BuildError, GateBuilder};
pub use self::closed::{AfterGlass, Closed, Ending};
pub use self::permit::{AnyPermit, Costs, ExecCall, Kind, Permit, ToolCall, ToolPlan};
pub use self::reload::ReloadError;
pub use self::run::Failure;
pub use self::session::{Because, PendingExec, PendingTool, Session, SessionBuilder, SessionCall, SessionError};
pub use self::verdict::{Denied, Verdict};
use crate::audit::AuditLog;
use crate::bundle::{Bundle, InForce};
use crate::call::{Actor, Malformed, Word};
use crate::clock::Timestamp;
use crate::credential::CredentialBroker;
use crate::desk::Desk;
pub use crate::desk::OperateError;
use crate::exec::{Limits, ProgramDirs, Runner};
use crate::finding::Denial;
use crate::guard::{Check, Guard};
use crate::notify::Notifier;
use crate::store::Store;

/// The guard of one host process. Clones share everything.
#[derive(Debug, Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bundle: InForce,
    /// The sessions that are open: a bundle may not be taken from a folder that one of them can change.
    sessions: Mutex<Vec<Weak<session::SessionInner>>>,
    store: Arc<dyn Store>,
    store_time: Duration,
    audit: AuditLog,
    desk: Desk,
    notifiers: Vec<Arc<dyn Notifier>>,
    /// What is known of them, and whether people are reached in other ways too.
    ways: builder::Ways,
    /// The agents that ask too often.
    overflows: overflow::Overflows,
    /// What is told when a grant ends, where anybody wants to know.
    glass: Option<Arc<closed::Glass>>,
    /// What follows the open requests; it ends with the gate.
    followers: Mutex<JoinSet<()>>,
    /// Where the gate was built, and where what follows its requests runs.
    runtime: Handle,
    checks: Vec<Arc<dyn Check>>,
    check_time: Duration,
    brokers: BTreeMap<Word, Arc<dyn CredentialBroker>>,
    broker_time: Duration,
    permit_time: Duration,
    programs: ProgramDirs,
    limits: Limits,
    runner: Runner,
    locks: Arc<locks::Mirror>,
}

impl Gate {
    /// Begins a gate over `bundle`. It needs a store and an audit log before it can be built.
    pub fn builder(bundle: Bundle) -> GateBuilder {
        GateBuilder::new(bundle)
    }

    /// The policy folder it judges by, as of now: [`reload`](Self::reload) puts another in its place.
    pub fn bundle(&self) -> Arc<Bundle> {
        self.inner.bundle.get()
    }

    /// Where its requests are answered, ended and revoked.
    pub fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    /// Begins a session of `actor`.
    pub fn session(&self, actor: Actor) -> SessionBuilder {
        SessionBuilder::new(self.clone(), actor)
    }

    /// Refuses, and records, what a host found to be no call: input of its own that it turns into calls.
    pub fn refuse_malformed(&self, malformed: &Malformed) -> Denial {
        match check::malformed(self, malformed) {
            Verdict::Deny(denial) => denial,
            Verdict::Allow(_) | Verdict::Ask(_) => check::wrong_permit(),
        }
    }

    /// Runs a task that ends with the gate. It must not hold the gate.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(mut followers) = self.inner.followers.lock() {
            // What has ended is let go, so that it does not pile up.
            while followers.try_join_next().is_some() {}
            // Not where the caller runs: that may be a runtime that ends with this call.
            followers.spawn_on(task, &self.inner.runtime);
        }
    }

    fn now() -> Timestamp {
        Timestamp::now()
    }
}

#[async_trait]
impl Guard for Gate {
    async fn check(&self, call: SessionCall) -> Verdict {
        match check::at_once(self, call) {
            Ok(verdict) => verdict,
            // In a box of its own: a call that waits for nothing does not pay for the room of one that does.
            Err(rest) => Box::pin(rest.finish(self)).await,
        }
    }

    async fn authorize(&self, call: SessionCall) -> Result<AnyPermit, Denial> {
        match self.check(call).await {
            Verdict::Allow(permit) => Ok(permit),
            Verdict::Ask(escalation) => escalation.wait().await,
            Verdict::Deny(denial) => Err(denial),
        }
    }
}
