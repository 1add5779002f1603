//! Policies, calls and arguments made from bytes, and what Cedar itself says of them: the layer is held against that.
//!
//! Only in builds of tests and of fuzz targets. The tests run these over seeds, a fuzzer over whatever it finds; a
//! shorter input is a simpler case. What a [`Tally`] counts, a test asserts: a generator that has lost its templates
//! would still find no disagreement.

mod args;
mod decide;
mod engine;
pub(super) mod facts;
pub(super) mod world;

use std::fmt;

use cedar_policy::{Context, Schema};

use super::reads::Tree;
use super::{Policies, Question, context};
use crate::finding::Finding;

pub use self::args::context_from_args;
pub use self::decide::{decide_vs_cedar, one_more_policy};
pub use self::engine::engine_vs_cedar;

/// What was looked at, and how often it was what makes a run worth something.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Requests or calls that were judged.
    pub asked: u64,
    /// Of these, allowed: by Cedar for the engine, by the layer for calls.
    pub allowed: u64,
    /// With some policy in error.
    pub in_error: u64,
    /// With a forbid in error that Cedar allows all the same.
    pub cedar_allows_in_error: u64,
    /// With a forbid that could not be judged, which must never be allowed.
    pub forbid_unjudged: u64,
    /// Decided by a link of a template, or with one in error.
    pub by_template: u64,
    /// Whose principal or resource does not exist.
    pub absent: u64,
    /// Met by a policy that names a group of actions which the action is in, not the action itself.
    pub by_action_group: u64,
    /// Met by a policy that names a group which principal or resource is in.
    pub by_group: u64,
    /// Calls of which something is not known.
    pub open: u64,
    /// Arguments that fit what is declared.
    pub fitting: u64,
    /// Sets of policies that did not load.
    pub unloaded: u64,
}

/// What is wrong, or nothing.
pub type Holds = Result<(), String>;

/// Decisions over bytes. When they are used up every decision is the first choice.
#[derive(Debug)]
struct Dice<'a> {
    left: &'a [u8],
}

impl<'a> Dice<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((byte, left)) = self.left.split_first() else {
            return 0;
        };
        self.left = left;
        *byte
    }

    /// A number below `sides`; 0 where there is none.
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.byte()).checked_rem(sides).unwrap_or(0)
    }

    /// True once in `of` times; never at the end of the bytes.
    fn once_in(&mut self, of: usize) -> bool {
        self.roll(of) + 1 == of
    }

    fn of<T: Copy + Default>(&mut self, all: &[T]) -> T {
        let at = self.roll(all.len());
        all.get(at).copied().unwrap_or_default()
    }
}

/// An error that nothing here expects.
fn odd(error: impl fmt::Display) -> String {
    format!("this should not happen: {error}")
}

/// The whole context of a question, as the layer builds it.
fn whole_context(policies: &Policies, question: &Question<'_>) -> Result<Context, Finding> {
    let (_, facts) = policies.plan(question)?;
    context::build(question, facts, &policies.calls, &Tree::Whole)
}

/// Whether Cedar's own checks take this context for one of the action, and a request with it.
fn check_against_schema(policies: &Policies, question: &Question<'_>, context: &Context) -> Holds {
    let (plan, _) = policies.plan(question).map_err(|finding| odd(finding.why()))?;
    let names = &plan.names;
    let schema: &Schema = &policies.schema;
    context.validate(schema, &names.action).map_err(odd)?;
    let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
    let request = cedar_policy::Request::new(principal, action, resource, context.clone(), Some(schema));
    request.map(drop).map_err(odd)
}
