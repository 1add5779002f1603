//! Policy: who may do what to which resource, in Cedar, with three outcomes.
//!
//! ```text
//! @id("ops-kubectl")
//! permit (principal in Team::"ops-agents", action == Action::"exec:kubectl", resource);
//!
//! @id("delete-asks") @ask("oncall") @window("5m")
//! forbid (principal, action == Action::"exec:kubectl", resource)
//! when { context.argv.command == "delete" };
//! ```
//!
//! | in a policy | is |
//! |---|---|
//! | `principal` | `Role::"…"` of the call, in its `Team`s |
//! | `action` | `exec:<program>`, `exec:*` for a program without profile (both in `exec`), `tool:<name>` (in `tool`); all in `call` |
//! | `resource` | `Program::"…"`, `Tool::"…"`, or the host's entity that the manifest names |
//! | `context.argv` | `program`, `command`, `options`, `operands` and the profile's own facts; for programs |
//! | `context.args` | the arguments, typed by the manifest's schema; for tools |
//! | `context.target` | `kind`, `namespace`, `name`, `owner`; empty where the call names none |
//! | `context.labels`, `context.risk` | what the call means, and how much is at stake |
//! | `context.seq` | `budget.<id>`, `loop.<id>`, `distinct.<id>`, `pattern.<id>`, `latch.<id>`, `breaker.<id>`, this call included; `actions`, `elapsed_s` |
//! | `context.actor` | `instance`, `session`, `on_behalf_of`, `model`, `parents` |
//!
//! Two more kinds of action lie outside `call` and judge people. They are allowed or not: `@ask` cannot stand there.
//!
//! | in a policy | is |
//! |---|---|
//! | `principal` | `Person::"…"`, in their `Group`s; `principal.name` is their name |
//! | `action` | `approve`; or `lock`, `unlock`, `revoke`, `adopt`, all in `operate` |
//! | `resource` | for `approve` that of the call; for `operate` `Realm::"default"`, all that lies in one store |
//! | `context.request` | for `approve`: `rules` that ask, `risk`, `labels`, `role`, and `scope`: `once` or `window` |
//! | `context.operate` | for `operate`: `kind` (`all`, `agent`, `session`, `tool`, `person`; to revoke also `grant`, `request`), `id`, `on_behalf_of` |
//!
//! `@id` is required. `@ask("group")` makes a forbid soft; `@window`, `@quorum` and `@self` qualify it; `@reason` is the
//! sentence that a refusal shows. `glassbreak schema cedar` prints the schema of a folder.
//!
//! - `load` reads policies, entities and schema, and refuses the folder on any doubt; `scan` looks at the raw text
//!   first, `annotation` reads what stands before a policy, `reads` finds what its condition reads, `lints` what it says
//!   without seeming to, and `validate` has Cedar check them all together; `unmet` tells of what no call has.
//! - `schema` writes the Cedar schema of calls from the same [`Shape`] that `context` builds the facts by.
//! - `entities` makes the snapshot: roles, teams and the host's entities from the file, all else from the bundle.
//! - `plan` finds once what a question can meet; `decide` evaluates that and joins the answers: conditions as `code` made
//!   them ready and `run` works them out, and by Cedar where that says nothing.
//! - `clause` tells afterwards which part of a condition decided.
//! - `persons` asks Cedar what people may do: to `approve`, and to `operate`.
//!
//! A plain `forbid` is final, `@ask("group") forbid` asks, and nothing is allowed that no `permit` permits. Cedar
//! *skips* a policy that cannot be evaluated; here such a forbid counts as holding and such a permit as not holding:
//! the answer is the least permissive over every possible truth of what could not be judged.

mod annotation;
mod approve;
mod clause;
mod code;
mod context;
mod decide;
mod direct;
mod engine;
mod entities;
mod evaluate;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod lints;
mod load;
mod operate;
mod persons;
mod plan;
mod query;
mod reads;
mod run;
mod scan;
mod schema;
#[cfg(test)]
mod tests;
mod unmet;
mod validate;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use cedar_policy::{PolicyId, Schema};
use foldhash::fast::RandomState;

use crate::call::{Actor, Word};
use crate::error::Problem;
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Finding, Outcome, Requirement, RuleId};
use crate::label::Vocabulary;
use crate::people::People;
use crate::shape::Shape;
use crate::source::Source;

pub use self::approve::Approving;
pub use self::clause::Clause;
#[doc(hidden)]
pub use self::decide::Ready;
use self::engine::Engine;
pub use self::operate::{Operate, Operation};
use self::plan::{Plans, Rule};
use self::schema::Calls;

/// What policies are loaded from.
#[derive(Debug)]
pub struct PolicyInput<'a> {
    pub(crate) policies: Vec<Source<'a>>,
    pub(crate) entities: Option<Source<'a>>,
    pub(crate) host_schema: Option<Source<'a>>,
    /// What calls can look like.
    pub shape: &'a Shape,
    /// Who may be asked.
    pub people: &'a People,
    /// The labels that calls can carry.
    pub vocabulary: &'a Vocabulary,
    /// What comes of a call that no policy permits: [`Outcome::Deny`], or [`Outcome::Ask`] where the bundle says so.
    /// [`Outcome::Allow`] is taken for a deny.
    pub no_permit: Outcome,
}

/// The policies of a bundle, checked and ready to judge. Immutable: a changed folder makes new ones.
pub struct Policies {
    schema_text: String,
    /// What the schema text says; kept so that tests can check the contexts that are built against it.
    #[cfg_attr(
        not(any(test, fuzzing)),
        expect(dead_code, reason = "only tests validate contexts: they are correct by construction")
    )]
    schema: Schema,
    rules: Vec<Rule>,
    /// The same policies, in the same order, as they are evaluated.
    engine: Engine,
    by_id: HashMap<PolicyId, usize>,
    /// Those that `entities.json` declares.
    roles: BTreeSet<Box<str>>,
    calls: Calls,
    no_permit: Outcome,
    lints: Vec<Problem>,
    /// The persons who may do nothing for now.
    disabled: BTreeSet<Word>,
    plans: Plans,
    /// Finds plans. A quick one will do: what is of one hash is compared, and few plans are kept.
    hasher: RandomState,
}

impl Policies {
    /// Reads and checks everything, and finds all problems it can in one go.
    ///
    /// Runs on a thread of its own with a large stack, because Cedar's parser recurses.
    ///
    /// # Errors
    /// For text over its limits, syntax and schema errors, anything that strict validation objects to, policies that
    /// can never apply, annotations that are unknown, doubled or ill-placed, ids that are missing or not unique,
    /// templates, permits that hold once enough calls were made and forbids that no longer do, patterns that
    /// permit what lies elsewhere, entities that are cyclic, doubled or not the file's to declare, and names of roles, teams, persons,
    /// groups, tools, labels and risks that nothing declares: a forbid that names one would never hold.
    pub(crate) fn load(input: PolicyInput<'_>) -> Result<Self, Vec<Problem>> {
        load::load(input)
    }

    /// The policies that ask people, and whom.
    pub fn asking(&self) -> impl Iterator<Item = (&RuleId, &Requirement)> {
        let rules = self.rules.iter();
        rules.filter_map(|rule| Some((&rule.held, rule.requirement.as_ref()?)))
    }

    /// Whether `entities.json` declares the role.
    pub fn has_role(&self, role: &Word) -> bool {
        self.roles.contains(role.as_str())
    }

    /// Judges a call.
    ///
    /// Every deciding policy gives a finding under the rule `policy.<id>`: clear for a permit that holds, deny for a
    /// plain forbid, ask for a soft one. A forbid that could not be evaluated gives the same under
    /// `policy.<id>.error`, and under `policy.<id>.partial` when it was not evaluated because the call was not
    /// understood whole; such a permit gives a note. `policy.no-permit` says that nothing permits the call. Where a
    /// plain forbid decides, permits are not looked at. Where it denies because nothing permits the call, its hint names the
    /// permit that came nearest and what that wanted.
    ///
    /// The result is never empty, and holds a clear finding only where a permit holds.
    pub fn decide(&self, question: &Question<'_>) -> Vec<Finding> {
        decide::decide(self, question)
    }

    /// What every policy whose scope matches the call says of it, in the order of files and lines. Empty for a call that is refused
    /// before any policy is asked, such as one of an unknown role.
    ///
    /// Each policy is judged on its own, so this is slower than [`decide`](Self::decide).
    pub fn explain(&self, question: &Question<'_>) -> Vec<PolicyTrace> {
        decide::explain(self, question)
    }

    /// What the policy that a finding names says: its text as Cedar prints it, with its annotations in the order of
    /// their names. Blanks, comments and places in the file are not in it.
    pub(crate) fn text_of(&self, rule: &RuleId) -> Option<String> {
        let named = |known: &Rule| [&known.held, &known.error, &known.partial].contains(&rule);
        let place = self.rules.iter().position(named)?;
        Some(self.engine.policy(place)?.as_ref().to_string())
    }

    /// What loads and cannot be meant: policies that wait for what no call has.
    pub(crate) fn lints(&self) -> &[Problem] {
        &self.lints
    }

    /// The schema that policies are checked against, as Cedar schema text: the generated part, then the host's.
    pub fn schema(&self) -> &str {
        &self.schema_text
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.rules.iter().map(|rule| &*rule.id).collect();
        f.debug_struct("Policies").field("rules", &ids).finish_non_exhaustive()
    }
}

/// What policies are asked about one call.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// What is to be done.
    pub action: Action<'a>,
    /// What it is done to.
    pub resource: Resource<'a>,
    /// What is known of the call.
    pub facts: &'a Facts,
    /// What the sequence of calls adds up to.
    pub seq: &'a SeqFacts,
    /// The vocabulary that the labels among the facts belong to.
    pub vocabulary: &'a Vocabulary,
}

/// The Cedar action of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action<'a> {
    /// `exec:<profile>`: running a program that has a profile.
    Exec(&'a str),
    /// `exec:*`: running a program that has none.
    Unlisted,
    /// `tool:<name>`: calling a tool of the manifest.
    Tool(&'a str),
}

/// The Cedar resource of a call.
///
/// One that the bundle does not declare is an entity of its type without attributes and parents: reading an attribute
/// of it counts against the call, `has` and `in` are false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// The program to run.
    Program(&'a str),
    /// The tool to call, where the manifest names no other resource.
    Tool(&'a str),
    /// A thing of the host's.
    Host {
        /// Its entity type, as the manifest writes it.
        ty: &'a str,
        /// Its id.
        id: &'a str,
    },
}

/// What kind of policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A `permit`.
    Permit,
    /// A `forbid` with `@ask`: people may lift it.
    SoftForbid,
    /// A plain `forbid`: final.
    HardForbid,
}

impl Class {
    /// The words used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::SoftForbid => "soft forbid",
            Self::HardForbid => "hard forbid",
        }
    }
}

/// What one policy said of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTrace {
    /// Its `@id`.
    pub id: String,
    /// What kind it is.
    pub class: Class,
    /// What it said.
    pub held: Held,
    /// Its `@reason`.
    pub reason: Option<String>,
    /// The file it stands in.
    pub file: String,
    /// The line it begins at, from 1.
    pub line: u32,
    /// What of its condition decided that; `None` where it has none, or was not evaluated.
    pub clause: Option<Clause>,
}

/// Whether a policy's condition held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It held.
    Yes,
    /// It did not.
    No,
    /// It could not be evaluated; why, in words without values of the call.
    Error(String),
    /// It was not evaluated: it reads what is known only in part.
    Partial,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("holds"),
            Self::No => f.write_str("does not hold"),
            Self::Error(why) => write!(f, "in error: {why}"),
            Self::Partial => f.write_str("counts as in error: it reads what was not understood"),
        }
    }
}
