//! Deciding: what a question meets, as a request, judged; and the same told for explanations.

use cedar_policy::{EvaluationError, Request};

use crate::finding::Finding;

use super::engine::Truth;
use super::evaluate::with_stack;
use super::plan::{Plan, REPORT, Rule, refusal};
use super::query::Query;
use super::{Class, Held, Policies, PolicyTrace, Question, context};

pub(super) fn decide(policies: &Policies, question: &Question<'_>) -> Vec<Finding> {
    let judged = policies.plan(question).and_then(|(plan, facts)| {
        let asked = Query::new(question, facts, &policies.calls, &plan)?;
        Ok(policies.judge(&plan, &asked))
    });
    judged.unwrap_or_else(|finding| vec![finding])
}

fn not_taken() -> Finding {
    refusal("internal", "the call could not be put to Cedar", REPORT)
}

impl Rule {
    /// What it says where its condition holds. Its name is a copy, for one plan.
    pub(super) fn holds(&self) -> Finding {
        let (rule, why) = (self.held.apart(), self.why.clone());
        match self.class {
            Class::Permit => Finding::clear(rule, why),
            Class::SoftForbid => Finding::ask(rule, why, self.hint.clone(), self.requirement.clone()),
            Class::HardForbid => Finding::deny(rule, why, self.hint.clone()),
        }
    }

    pub(super) fn failed(&self, reason: &str) -> Finding {
        self.unjudged(self.error.clone(), reason)
    }

    /// It reads what a partial call does not vouch for.
    pub(super) fn unread_facts(&self) -> Finding {
        self.unjudged(
            self.partial.clone(),
            "it reads facts of a call that was not understood whole, and so counts as holding",
        )
    }

    /// It would take a fact that the call leaves open for absent.
    pub(super) fn unread_open(&self) -> Finding {
        self.failed("it reads `context.target` or `context.argv` as a whole, and the call leaves some of it open")
    }

    fn unjudged(&self, rule: crate::finding::RuleId, reason: &str) -> Finding {
        let why = format!("policy `{}` could not be judged: {reason}", self.id);
        match self.class {
            Class::Permit => Finding::note(rule, why),
            Class::SoftForbid => Finding::ask(rule, why, self.hint.clone(), self.requirement.clone()),
            Class::HardForbid => Finding::deny(rule, why, ""),
        }
    }
}

/// Why a condition could not be evaluated, without any value of the call: Cedar's own texts print numbers and
/// entity ids.
pub(super) fn reason_of(error: &EvaluationError) -> String {
    match error {
        EvaluationError::EntityDoesNotExist(_) => {
            "it reads an attribute of something that the bundle does not declare".to_owned()
        }
        EvaluationError::EntityAttrDoesNotExist(_) => "it reads an attribute that this entity does not have".to_owned(),
        // The attribute's name is the policy's own word.
        EvaluationError::RecordAttrDoesNotExist(error) => error.to_string(),
        EvaluationError::TypeError(_) => "it takes a value for what it is not".to_owned(),
        EvaluationError::IntegerOverflow(_) => "its arithmetic overflows".to_owned(),
        EvaluationError::FailedExtensionFunctionExecution(_) => "a function cannot read its argument".to_owned(),
        EvaluationError::RecursionLimit(_) => "the stack is nearly full".to_owned(),
        _ => "Cedar could not evaluate it".to_owned(),
    }
}

/// A question put as a request, to be judged as often as one likes: what benches measure apart.
#[doc(hidden)]
#[derive(Debug)]
pub struct Ready<'a> {
    policies: &'a Policies,
    plan: std::sync::Arc<Plan>,
    request: Request,
}

impl Ready<'_> {
    /// Judges it.
    pub fn decide(&self) -> Vec<Finding> {
        match Query::of(&self.request) {
            Some(asked) => self.policies.judge(&self.plan, &asked),
            None => vec![not_taken()],
        }
    }

    /// How many policies Cedar's authorizer finds to decide, over all policies.
    pub fn cedar(&self) -> usize {
        self.policies.engine.oracle(&self.request).reasons.len()
    }

    /// The same over those alone whose scope matches.
    pub fn cedar_of_relevant(&self) -> impl Fn() -> usize + '_ {
        let alone = self.policies.engine.oracle_alone(&self.plan.evaluated);
        move || alone.as_ref().map_or(0, |ask| ask(&self.request))
    }
}

impl Policies {
    /// The question as a request; `None` for one that is refused before any policy is asked.
    #[doc(hidden)]
    pub fn ready(&self, question: &Question<'_>) -> Option<Ready<'_>> {
        let (plan, facts) = self.plan(question).ok()?;
        let context = context::build(question, facts, &self.calls, &plan.reads.tree).ok()?;
        let request = plan.names.request(context)?;
        Some(Ready {
            policies: self,
            plan,
            request,
        })
    }
}

pub(super) fn explain(policies: &Policies, question: &Question<'_>) -> Vec<PolicyTrace> {
    with_stack(|| traces(policies, question))
}

fn traces(policies: &Policies, question: &Question<'_>) -> Vec<PolicyTrace> {
    let Ok((plan, facts)) = policies.plan(question) else {
        return Vec::new();
    };
    let context = context::build(question, facts, &policies.calls, &plan.reads.tree);
    let request = context.and_then(|context| plan.names.request(context).ok_or_else(not_taken));
    let relevant = plan
        .relevant
        .iter()
        .filter_map(|(n, read)| Some((*n, policies.rules.get(*n)?, *read)));
    relevant
        .map(|(place, rule, read)| PolicyTrace {
            id: rule.id.to_string(),
            class: rule.class,
            held: match &request {
                _ if !read && question.facts.partial => Held::Partial,
                _ if !read => Held::Error(rule.unread_open().why().to_owned()),
                Err(finding) => Held::Error(finding.why().to_owned()),
                Ok(request) => policies.held_alone(place, request),
            },
            reason: rule.reason.as_deref().map(str::to_owned),
            file: rule.file.to_string(),
            line: rule.line,
            clause: request
                .as_ref()
                .ok()
                .filter(|_| read)
                .and_then(|request| policies.clause(rule, request)),
        })
        .collect()
}

impl Policies {
    /// What one policy says by itself.
    fn held_alone(&self, place: usize, request: &Request) -> Held {
        let asked = Query::of(request);
        match asked.map_or(Truth::Neither, |asked| self.engine.truth(place, &asked)) {
            Truth::Holds => Held::Yes,
            Truth::DoesNot => Held::No,
            Truth::Error(error) => Held::Error(reason_of(&error)),
            Truth::Neither => Held::Error("it is neither true nor false".to_owned()),
        }
    }
}
