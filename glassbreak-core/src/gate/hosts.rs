//! Asking the host's own checks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::Gate;
use super::check::Made;
use crate::facts::Case;
use crate::finding::{Finding, Layer, Level, RuleId};
use crate::guard::Check;
use crate::judge::Judgement;

/// A call that host checks are asked about. Its counts are held meanwhile, so that a call made at the same time cannot
/// take the same place; they are given back when nobody waits for the verdict any more, or a check brings this down.
pub(super) struct Undecided<'a> {
    pub(super) made: &'a mut Made,
    pub(super) judgement: &'a Judgement,
    pub(super) answered: bool,
}

impl Undecided<'_> {
    /// What the checks say, up to the first that denies.
    pub(super) async fn ask_hosts(mut self, gate: &Gate) -> Vec<Finding> {
        let mut found = Vec::with_capacity(gate.inner.checks.len());
        for check in &gate.inner.checks {
            let case = Case {
                call: &self.made.call,
                facts: &self.judgement.facts,
            };
            let finding = ask_host(check.as_ref(), case, gate.inner.check_time).await;
            let denies = finding.level() >= Level::Deny;
            found.push(finding);
            if denies {
                break;
            }
        }
        self.answered = true;
        found
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.made.refund(self.judgement);
        }
    }
}

/// Asks a host's check; a panic and an answer that does not come are denials.
async fn ask_host(check: &dyn Check, case: Case<'_>, most: Duration) -> Finding {
    let broke = |code: &str, why: String| {
        Finding::unavailable(RuleId::known(Layer::Host, &[check.name(), ".", code].concat()), why)
    };
    let asked = catch_unwind(AssertUnwindSafe(|| check.inspect(case)));
    let Ok(answer) = asked else {
        return broke("panic", format!("the check `{}` panicked", check.name()));
    };
    let mut answer = pin!(answer);
    let guarded = std::future::poll_fn(|context| {
        // A future that panicked is not polled again: the panic is its answer.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Ready(finding)) => Poll::Ready(Some(finding)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    });
    match tokio::time::timeout(most, guarded).await {
        Ok(Some(finding)) => finding,
        Ok(None) => broke("panic", format!("the check `{}` panicked", check.name())),
        Err(_) => broke(
            "timeout",
            format!("the check `{}` gave no answer in {} ms", check.name(), most.as_millis()),
        ),
    }
}
