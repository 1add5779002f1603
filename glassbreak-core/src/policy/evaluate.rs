//! From the truths of a plan's policies to findings, in one pass, and the oracle that watches it.
//!
//! [`Policies::judge`] asks Cedar's authorizer too: for every call in a build with debug assertions, which tests are, and
//! for one in [`SHADOW_EVERY`] otherwise. Where the two do not agree the call is denied.

use std::cell::Cell;

use super::decide::reason_of;
use super::engine::Truth;
use super::plan::{Plan, REPORT, Rule, refusal};
use super::query::Query;
use super::{Class, Policies};
use crate::finding::{Finding, Level};

/// One call in so many is judged by Cedar's authorizer as well.
const SHADOW_EVERY: u32 = 4096;
/// Cedar gives up with less than 100 KiB of stack, and then a condition is in error that is not with more. With less
/// than this the pass gets a stack of its own.
const STACK_LEFT: usize = 512 * 1024;
const STACK_NEW: usize = 4 * 1024 * 1024;

impl Policies {
    /// The least permissive answer over every possible truth of what could not be evaluated.
    pub(super) fn judge(&self, plan: &Plan, query: &Query<'_>) -> Vec<Finding> {
        with_stack(|| {
            if is_sampled()
                && let Err(finding) = self.shadow(plan, query)
            {
                return vec![finding];
            }
            self.pass(plan, query)
        })
    }

    /// Plain forbids, then soft ones, then permits: in this order the plan has them. Where a plain forbid decides,
    /// permits are not looked at.
    fn pass(&self, plan: &Plan, query: &Query<'_>) -> Vec<Finding> {
        let mut findings = plan.unread.clone();
        let mut denied = plan.unread_denies;
        let mut permitted = false;
        for (n, place) in plan.evaluated.iter().enumerate() {
            let (Some(rule), Some(held)) = (self.rules.get(*place), plan.held.get(n)) else {
                return vec![lost()];
            };
            if denied && rule.class == Class::Permit {
                return findings;
            }
            let finding = match self.engine.truth(*place, query) {
                Truth::DoesNot => continue,
                Truth::Holds => {
                    permitted |= rule.class == Class::Permit;
                    held.clone()
                }
                Truth::Error(error) => rule.failed(&reason_of(&error)),
                Truth::Neither => rule.failed("it is neither true nor false"),
            };
            if finding.level() < Level::Deny {
                findings.push(finding);
                continue;
            }
            denied = true;
            findings.push(self.explained(rule, finding, query));
        }
        if !denied && !permitted {
            findings.push(self.no_permit(plan, query));
        }
        findings
    }

    /// A denial, and which part of the policy's condition decided.
    fn explained(&self, rule: &Rule, finding: Finding, query: &Query<'_>) -> Finding {
        let Some(because) = query.request().and_then(|request| self.because(rule, request)) else {
            return finding;
        };
        let hint = [
            finding.hint(),
            if finding.hint().is_empty() { "" } else { "; " },
            &because,
        ]
        .concat();
        Finding::deny(finding.rule().clone(), finding.why(), hint)
    }

    /// That nothing permits the call, and for a denial what came nearest. A question to people stays the same whatever
    /// the values, so that the same call asks the same.
    fn no_permit(&self, plan: &Plan, query: &Query<'_>) -> Finding {
        let finding = &plan.no_permit;
        let denies = finding.level() == Level::Deny;
        match denies.then(|| self.nearest_permit(plan, query.request()?)).flatten() {
            Some(nearest) => {
                let hint = [finding.hint(), "; ", &nearest].concat();
                Finding::deny(finding.rule().clone(), finding.why(), hint)
            }
            None => finding.clone(),
        }
    }

    /// Whether Cedar's authorizer, over the policies of the whole bundle, finds the same policies to hold and the same to
    /// be in error.
    ///
    /// # Errors
    /// That it does not: one of the two is wrong, and nobody knows which.
    fn shadow(&self, plan: &Plan, query: &Query<'_>) -> Result<(), Finding> {
        // Where some policies are not evaluated because of what a call leaves open, Cedar is not asked about those either.
        let cedars = if plan.unread.is_empty() {
            query.request().map(|request| self.engine.oracle(request))
        } else {
            (query.request()).and_then(|request| self.engine.oracle_of(&plan.evaluated, request))
        };
        let ours = self.engine.answer(&plan.evaluated, query);
        if cedars.is_some_and(|cedars| cedars == ours) {
            return Ok(());
        }
        let why = "Cedar itself finds other policies to hold for this call";
        Err(refusal("oracle", why, REPORT))
    }
}

/// Runs what evaluates conditions with stack enough that none is in error for want of it.
pub(super) fn with_stack<T>(evaluate: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_LEFT, STACK_NEW, evaluate)
}

/// Whether this call is one that Cedar judges as well. Counted by thread, so that threads share nothing.
fn is_sampled() -> bool {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }
    if cfg!(debug_assertions) {
        return true;
    }
    CALLS.with(|calls| {
        let next = calls.get().wrapping_add(1);
        calls.set(next);
        next % SHADOW_EVERY == 0
    })
}

fn lost() -> Finding {
    refusal("internal", "the plan names a policy that does not exist", REPORT)
}
