//! Deciding: Cedar answers yes or no, and skips what it cannot evaluate; three outcomes are made of that.

use cedar_policy::{
    AuthorizationError, Context, Decision, Entities, EvaluationError, PolicyId, PolicySet, Request, Response,
};

use crate::finding::{Finding, Level};

use super::plan::{Plan, REPORT, Rule, refusal};
use super::{Class, Held, Policies, PolicyTrace, Question, context};

pub(super) fn decide(policies: &Policies, question: &Question<'_>) -> Vec<Finding> {
    let judged = policies.plan(question).and_then(|(plan, facts)| {
        let context = context::build(question, facts, &policies.calls, &plan.reads.tree)?;
        let request = request(&plan, context)?;
        Ok(judge(policies, &plan, &request))
    });
    judged.unwrap_or_else(|finding| vec![finding])
}

/// The least permissive answer over every possible truth of what could not be evaluated.
fn judge(policies: &Policies, plan: &Plan, request: &Request) -> Vec<Finding> {
    let response = policies.ask(request, &plan.all);
    let mut findings = plan.unread.clone();
    findings.extend(response.diagnostics().errors().map(|error| policies.failed(error)));
    let allowed = response.decision() == Decision::Allow;
    if !allowed {
        // Without a forbid that holds there is no reason, and then no permit holds either.
        findings.extend(response.diagnostics().reason().map(|id| policies.held(id)));
    }
    if findings.iter().any(|finding| finding.level() >= Level::Deny) {
        return findings;
    }
    let mut permitted = false;
    let mut permit = |response: &Response| {
        for id in response.diagnostics().reason() {
            permitted = true;
            findings.push(policies.held(id));
        }
    };
    if allowed {
        permit(&response);
    } else if response.diagnostics().reason().next().is_some() {
        // Only soft forbids hold, and Cedar does not tell what it would have been without them. Errors of permits are
        // known from the first answer.
        let without = policies.ask(request, &plan.permits);
        if without.decision() == Decision::Allow {
            permit(&without);
        }
    }
    if !permitted {
        findings.push(plan.no_permit.clone());
    }
    findings
}

fn request(plan: &Plan, context: Context) -> Result<Request, Finding> {
    let names = &plan.names;
    let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
    // Without the schema: names and context are right by construction, and checking them costs as much as judging.
    Request::new(principal, action, resource, context, None)
        .map_err(|_| refusal("internal", "the call could not be put to Cedar", REPORT))
}

impl Policies {
    fn ask(&self, request: &Request, policies: &PolicySet) -> Response {
        self.authorizer.is_authorized(request, policies, &self.entities)
    }

    fn rule(&self, id: &PolicyId) -> Option<&Rule> {
        self.by_id.get(id).and_then(|n| self.rules.get(*n))
    }

    fn held(&self, id: &PolicyId) -> Finding {
        self.rule(id).map_or_else(nobodys, Rule::held)
    }

    fn failed(&self, error: &AuthorizationError) -> Finding {
        let AuthorizationError::PolicyEvaluationError(error) = error;
        let rule = self.rule(error.policy_id());
        rule.map_or_else(nobodys, |rule| rule.failed(&reason_of(error.inner())))
    }
}

fn nobodys() -> Finding {
    refusal("internal", "Cedar named a policy that does not exist", REPORT)
}

impl Rule {
    /// Its condition held.
    fn held(&self) -> Finding {
        let (rule, why) = (self.held.clone(), self.why.clone());
        match self.class {
            Class::Permit => Finding::clear(rule, why),
            Class::SoftForbid => Finding::ask(rule, why, self.hint.clone(), self.requirement.clone()),
            Class::HardForbid => Finding::deny(rule, why, self.hint.clone()),
        }
    }

    fn failed(&self, reason: &str) -> Finding {
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
fn reason_of(error: &EvaluationError) -> String {
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

pub(super) fn explain(policies: &Policies, question: &Question<'_>) -> Vec<PolicyTrace> {
    let Ok((plan, facts)) = policies.plan(question) else {
        return Vec::new();
    };
    let request =
        context::build(question, facts, &policies.calls, &plan.reads.tree).and_then(|context| request(&plan, context));
    let relevant = plan
        .relevant
        .iter()
        .filter_map(|(n, read)| Some((policies.rules.get(*n)?, *read)));
    relevant
        .map(|(rule, read)| PolicyTrace {
            id: rule.id.to_string(),
            class: rule.class,
            held: match &request {
                _ if !read && question.facts.partial => Held::Partial,
                _ if !read => Held::Error(rule.unread_open().why().to_owned()),
                Err(finding) => Held::Error(finding.why().to_owned()),
                Ok(request) => policies.held_alone(rule, request, &policies.entities),
            },
            reason: rule.reason.as_deref().map(str::to_owned),
            file: rule.file.to_string(),
            line: rule.line,
        })
        .collect()
}

impl Policies {
    /// Asks Cedar about one policy: nothing else can hide what it says.
    fn held_alone(&self, rule: &Rule, request: &Request, entities: &Entities) -> Held {
        let Ok(alone) = PolicySet::from_policies([rule.policy.clone()]) else {
            return Held::Error(REPORT.to_owned());
        };
        let response = self.authorizer.is_authorized(request, &alone, entities);
        if let Some(AuthorizationError::PolicyEvaluationError(error)) = response.diagnostics().errors().next() {
            return Held::Error(reason_of(error.inner()));
        }
        if response.diagnostics().reason().next().is_some() {
            Held::Yes
        } else {
            Held::No
        }
    }
}
