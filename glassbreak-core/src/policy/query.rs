//! What conditions are worked out over: a request that is there, or a question of which no more is made than is asked for.

use std::cell::OnceCell;

use cedar_policy::{Context, Request};
use cedar_policy_core::ast::{self, EntityUID, Value};

use super::direct::Direct;
use super::plan::Plan;
use super::run::Seen;
use super::schema::{Calls, FactsShape};
use super::{Question, context};
use crate::finding::Finding;

/// One request, as conditions are worked out over it. What Cedar itself wants is made only where Cedar is asked.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pub(super) principal: &'a EntityUID,
    pub(super) action: &'a EntityUID,
    pub(super) resource: &'a EntityUID,
    put: Put<'a>,
}

#[derive(Debug)]
enum Put<'a> {
    Already(&'a Request, Value),
    Later(Later<'a>),
}

/// A question, and what is made of it where it is wanted.
#[derive(Debug)]
struct Later<'a> {
    question: &'a Question<'a>,
    facts: FactsShape<'a>,
    calls: &'a Calls,
    plan: &'a Plan,
    context: OnceCell<Option<Context>>,
    /// The same.
    record: OnceCell<Option<Value>>,
    request: OnceCell<Option<Box<Request>>>,
}

impl<'a> Query<'a> {
    /// A request that is there; `None` for one that leaves something open, which only features of Cedar make.
    pub(super) fn of(request: &'a Request) -> Option<Self> {
        let inner: &ast::Request = request.as_ref();
        Some(Self {
            principal: inner.principal().uid()?,
            action: inner.action().uid()?,
            resource: inner.resource().uid()?,
            put: Put::Already(request, record(inner.context()?)?),
        })
    }

    /// What would be a request of this question, by its plan.
    ///
    /// # Errors
    /// The refusal of facts that are not those of the action.
    pub(super) fn new(
        question: &'a Question<'a>,
        facts: FactsShape<'a>,
        calls: &'a Calls,
        plan: &'a Plan,
    ) -> Result<Self, Finding> {
        context::check(question, facts, calls)?;
        let later = Later {
            question,
            facts,
            calls,
            plan,
            context: OnceCell::new(),
            record: OnceCell::new(),
            request: OnceCell::new(),
        };
        // What may turn out not to fit is looked at before anything is decided.
        if context::may_misfit(&plan.reads.tree) {
            let _ = later
                .context
                .set(Some(context::build(question, facts, calls, &plan.reads.tree)?));
        }
        let names = &plan.names;
        Ok(Self {
            principal: names.principal.as_ref(),
            action: names.action.as_ref(),
            resource: names.resource.as_ref(),
            put: Put::Later(later),
        })
    }

    /// The same for Cedar; `None` where it does not take it.
    pub(super) fn request(&self) -> Option<&Request> {
        match &self.put {
            Put::Already(request, _) => Some(request),
            Put::Later(later) => later.request(),
        }
    }

    /// A record.
    pub(super) fn context(&self) -> Option<&Value> {
        match &self.put {
            Put::Already(_, context) => Some(context),
            Put::Later(later) => later.record(),
        }
    }

    /// A fact, where it stands.
    pub(super) fn fact(&self, fact: &Direct) -> Option<Seen<'a>> {
        match &self.put {
            Put::Already(..) => None,
            Put::Later(later) => fact.read(later.question),
        }
    }
}

impl Later<'_> {
    fn context(&self) -> Option<&Context> {
        let build = || context::build(self.question, self.facts, self.calls, &self.plan.reads.tree).ok();
        self.context.get_or_init(build).as_ref()
    }

    fn record(&self) -> Option<&Value> {
        let made = self.record.get_or_init(|| record(self.context()?.as_ref()));
        made.as_ref()
    }

    fn request(&self) -> Option<&Request> {
        let made = self.request.get_or_init(|| {
            let context = self.context()?.clone();
            self.plan.names.request(context).map(Box::new)
        });
        made.as_deref()
    }
}

fn record(context: &ast::Context) -> Option<Value> {
    match context {
        ast::Context::Value(fields) => Some(Value::record_arc(fields.clone(), None)),
        ast::Context::RestrictedResidual(_) => None,
    }
}
