//! Evaluating the conditions of a plan, one pass, and Cedar itself beside it as the oracle.
//!
//! Cedar's authorizer rebuilds every condition with its scope on every call and sorts the outcomes into maps. Here the
//! scope was matched once, when the plan was made, and only the `when` part is evaluated, by Cedar's own
//! `eval_expression`: what a condition means stays Cedar's to say. What the pass makes of the truths is ours, so
//! [`Policies::shadow`] asks the authorizer too: for every call in a build with debug assertions, which tests are, and
//! for one in [`SHADOW_EVERY`] otherwise. Where they do not agree the call is denied.

use std::cell::Cell;

use cedar_policy::{
    AuthorizationError, Decision, EvalResult, EvaluationError, PolicyId, PolicySet, Request, eval_expression,
};

use super::plan::{Plan, REPORT, Rule, refusal};
use super::{Class, Policies};
use crate::finding::{Finding, Level};

/// One call in so many is judged by Cedar's authorizer as well.
const SHADOW_EVERY: u32 = 4096;
/// Cedar gives up with less than 100 KiB of stack, and then a condition is in error that is not with more. With less
/// than this the pass gets a stack of its own.
const STACK_LEFT: usize = 512 * 1024;
const STACK_NEW: usize = 4 * 1024 * 1024;

/// Whether a condition holds.
pub(super) enum Truth {
    Holds,
    DoesNot,
    Error(EvaluationError),
    /// It is neither true nor false, which validated conditions always are.
    NoTruth,
}

impl Policies {
    /// Whether a rule's condition holds for a request that its scope matches.
    pub(super) fn truth(&self, rule: &Rule, request: &Request) -> Truth {
        let Some(condition) = &rule.condition else {
            return Truth::Holds;
        };
        match eval_expression(request, &self.entities, condition) {
            Ok(EvalResult::Bool(true)) => Truth::Holds,
            Ok(EvalResult::Bool(false)) => Truth::DoesNot,
            Ok(_) => Truth::NoTruth,
            Err(error) => Truth::Error(error),
        }
    }

    /// The least permissive answer over every possible truth of what could not be evaluated.
    pub(super) fn judge(&self, plan: &Plan, request: &Request) -> Vec<Finding> {
        stacker::maybe_grow(STACK_LEFT, STACK_NEW, || {
            if is_sampled()
                && let Err(finding) = self.shadow(plan, request)
            {
                return vec![finding];
            }
            self.pass(plan, request)
        })
    }

    /// Plain forbids, then soft ones, then permits: in this order the plan has them. Where a plain forbid decides,
    /// permits are not looked at.
    fn pass(&self, plan: &Plan, request: &Request) -> Vec<Finding> {
        let mut findings = plan.unread.clone();
        let mut denied = plan.unread_denies;
        let mut permitted = false;
        for place in &plan.evaluated {
            let Some(rule) = self.rules.get(*place) else {
                return vec![lost()];
            };
            let class = rule.class;
            if denied && class == Class::Permit {
                return findings;
            }
            let finding = match self.truth(rule, request) {
                Truth::DoesNot => continue,
                Truth::Holds => {
                    permitted |= class == Class::Permit;
                    rule.holds()
                }
                Truth::Error(error) => rule.failed(&super::decide::reason_of(&error)),
                Truth::NoTruth => rule.failed("it is neither true nor false"),
            };
            denied |= finding.level() >= Level::Deny;
            findings.push(finding);
        }
        if !denied && !permitted {
            findings.push(plan.no_permit.clone());
        }
        findings
    }

    /// Whether Cedar's authorizer, over the policies of the whole bundle, finds the same policies to hold and the same to
    /// be in error.
    ///
    /// # Errors
    /// That it does not: one of the two is wrong, and nobody knows which.
    fn shadow(&self, plan: &Plan, request: &Request) -> Result<(), Finding> {
        let disagree = |what: String| Err(refusal("oracle", what, REPORT));
        let limited;
        // Where some policies are not evaluated because of what a call leaves open, Cedar is not asked about those either.
        let policies = if plan.unread.is_empty() {
            &self.all
        } else {
            let evaluated = plan.evaluated.iter().filter_map(|place| self.rules.get(*place));
            limited = PolicySet::from_policies(evaluated.map(|rule| rule.policy.clone())).map_err(|_| lost())?;
            &limited
        };
        let response = self.authorizer.is_authorized(request, policies, &self.entities);
        let mut errors: Vec<&PolicyId> = response
            .diagnostics()
            .errors()
            .map(|error| {
                let AuthorizationError::PolicyEvaluationError(error) = error;
                error.policy_id()
            })
            .collect();
        let mut reasons: Vec<&PolicyId> = response.diagnostics().reason().collect();
        let (mut permits, mut forbids, mut ours_in_error) = (Vec::new(), Vec::new(), Vec::new());
        for place in &plan.evaluated {
            let Some(rule) = self.rules.get(*place) else {
                return Err(lost());
            };
            match (self.truth(rule, request), rule.class) {
                (Truth::DoesNot, _) => {}
                (Truth::Holds, Class::Permit) => permits.push(rule.policy.id()),
                (Truth::Holds, _) => forbids.push(rule.policy.id()),
                (Truth::Error(_) | Truth::NoTruth, _) => ours_in_error.push(rule.policy.id()),
            }
        }
        let allowed = forbids.is_empty() && !permits.is_empty();
        let mut ours = if forbids.is_empty() { permits } else { forbids };
        for ids in [&mut errors, &mut reasons, &mut ours, &mut ours_in_error] {
            ids.sort_unstable();
        }
        if allowed != (response.decision() == Decision::Allow) {
            return disagree("Cedar itself decides otherwise about this call".to_owned());
        }
        if ours != reasons || ours_in_error != errors {
            return disagree("Cedar itself finds other policies to hold for this call".to_owned());
        }
        Ok(())
    }
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
