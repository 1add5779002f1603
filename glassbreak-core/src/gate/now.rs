//! The same for functions that are not async: judged and performed on the thread that calls.
//!
//! Most calls wait for nothing. Where one does (the store must be asked, a host check is there, a question is opened) it
//! is seen to its end on a thread of its own with a runtime of its own, while the caller's thread stands still: that
//! thread may be one that a runtime needs. A store or a check that needs the caller's very thread to go on does not
//! answer, and that is a refusal once the gate's time limit is over.

use std::future::Future;
use std::io;

use super::check;
use super::permit::{AnyPermit, Kind, Permit, ToolCall};
use super::session::{PendingTool, SessionCall};
use super::{Denied, Escalation, Gate, Verdict};
use crate::audit::Performed;
use crate::finding::{Denial, Layer, RuleId};

/// Sees a future to its end while this thread waits.
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, Denial> {
    let done = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            io::Result::Ok(runtime.block_on(future))
        };
        let thread = std::thread::Builder::new().name("glassbreak-wait".to_owned());
        let thread = thread.spawn_scoped(scope, run)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it broke while it was waited for")))
    });
    done.map_err(|error| {
        let rule = RuleId::known(Layer::Store, "internal");
        Denial::unavailable(rule, format!("the call cannot be waited for: {error}"))
    })
}

fn check(gate: &Gate, call: SessionCall) -> Verdict {
    match check::at_once(gate, call) {
        Ok(verdict) => verdict,
        Err(rest) => wait(rest.finish(gate)).unwrap_or_else(Verdict::Deny),
    }
}

impl PendingTool {
    /// As [`authorize`](Self::authorize) for functions that are not async; where people must agree it does not wait for
    /// them.
    ///
    /// # Errors
    /// The refusal. Where people must agree they are asked, and the refusal [says so](Denial::request): the same call,
    /// made again once they agreed, passes.
    pub fn authorize_now(self) -> Result<Permit<ToolCall>, Denial> {
        let gate = self.call.session.gate().clone();
        match check(&gate, self.call) {
            Verdict::Allow(AnyPermit::Tool(permit)) => Ok(permit),
            Verdict::Allow(AnyPermit::Exec(_)) => Err(check::wrong_permit()),
            Verdict::Ask(escalation) => Err(wait(escalation.leave()).unwrap_or_else(|denial| denial)),
            Verdict::Deny(denial) => Err(denial),
        }
    }
}

impl Escalation {
    /// Asks people and waits for nobody: the refusal that tells the agent so.
    ///
    /// Once they have agreed, the same call of the same session passes; or the host comes back to it with
    /// [`open`](Self::open) in place of this, and a [`Ticket`](super::Ticket).
    pub async fn leave(self) -> Denial {
        let denial = self.denial().clone();
        match self.open().await {
            Ok(waiting) => {
                let request = waiting.request();
                let hint = format!(
                    "people are asked as {}, until {}; once they agreed, make the same call again",
                    request.id, request.deadline
                );
                denial.pending(request.id, hint)
            }
            Err(refused) => refused,
        }
    }
}

impl<K: Kind> Permit<K> {
    /// As [`run_as`](Self::run_as) for a body that is not async, on this thread. A lock that comes while it runs cannot
    /// end it, and is read before only.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_now<T, E: From<Denied>>(
        self,
        outcome: impl FnOnce(&Result<T, E>) -> Performed,
        body: impl FnOnce(&K::Plan) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { held, plan, .. } = self;
        let revoked = match held.made.grant {
            Some(_) => wait(held.revoked()).unwrap_or_else(Some),
            None => None,
        };
        let stopped = revoked.or_else(|| held.stopped());
        if let Some(denial) = stopped.or_else(|| held.changed()) {
            held.end_now(Performed::NotRun);
            return Err(E::from(Denied(denial)));
        }
        let result = body(&plan);
        held.end_now(outcome(&result));
        result
    }
}

impl super::permit::Held {
    /// As [`ended`](Self::ended) and [`not_run`](Self::not_run).
    fn end_now(self: Box<Self>, outcome: Performed) {
        let stored = self.made.hold.is_some();
        let finished = self.finished(outcome);
        let end = async move {
            match outcome {
                Performed::NotRun => self.not_run().await,
                Performed::Done | Performed::Failed => self.ended(finished).await,
            }
        };
        if stored {
            // A store that is not told presumes the call spent.
            let _ = wait(end);
        } else {
            // It waits for nothing but the store, and there is none of its counts.
            let _ = std::pin::pin!(end).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        }
    }
}
