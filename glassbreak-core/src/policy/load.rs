//! Loading: every step can only refuse, and all problems of one step are told together.

use std::collections::HashMap;
use std::fmt::Write as _;

use cedar_policy::{
    ActionConstraint, Effect, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Schema,
};
use cedar_policy_core::ast::Expr;
use foldhash::fast::RandomState;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Problem, shown};
use crate::finding::{Layer, Requirement, RuleId};
use crate::label::Risk;
use crate::text::{self, Unfit};

use super::annotation::{self, Annotations};
use super::approve::SCOPES;
use super::clause::{self, Conjunct};
use super::engine::Engine;
use super::entities::{self, Snapshot};
use super::operate::KINDS;
use super::plan::{Plans, Rule};
use super::reads::{self, Fixed, Reads};
use super::scan::{Language, scan};
use super::validate::{problem_of, suggest, validate};
use super::{Class, Policies, PolicyInput, lints, schema, unmet};

/// Cedar's parser and validator recurse; within the limits of [`scan`] this is far more than they need.
const STACK: usize = 64 * 1024 * 1024;

pub(super) fn load(input: PolicyInput<'_>) -> Result<Policies, Vec<Problem>> {
    let loaded = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("glassbreak-policies".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, move || load_here(&input))
            .map(std::thread::ScopedJoinHandle::join)
    });
    let broken = |what: &str| {
        vec![Problem::in_file(
            ".",
            what,
            "this is a fault of the guard or the machine; report it",
        )]
    };
    match loaded {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(_)) => Err(broken("loading the policies broke down")),
        Err(_) => Err(broken("no thread could be started to load the policies")),
    }
}

fn load_here(input: &PolicyInput<'_>) -> Result<Policies, Vec<Problem>> {
    let uids = check_cedar().map_err(|problem| vec![problem])?;
    let files = (input.policies.iter().map(|file| (file, Language::Policies)))
        .chain(input.host_schema.iter().map(|file| (file, Language::Schema)))
        .chain(input.entities.iter().map(|file| (file, Language::Json)));
    let unfit: Vec<Problem> = files
        .filter_map(|(file, language)| scan(file, language).err())
        .collect();
    if !unfit.is_empty() {
        return Err(unfit);
    }
    let (schema, schema_text, calls) = schema::load(input.shape, input.host_schema.as_ref(), &uids)?;
    let snapshot = entities::load(input, &schema, &uids)?;
    let read = read_policies(input, &schema, &snapshot, &uids)?;
    validate(&read, &input.policies, &schema, &snapshot)?;
    let lints = unmet::lints(&read, input, &uids);

    let (rules, policies): (Vec<Rule>, Vec<Policy>) = read.into_iter().map(|read| (read.rule, read.policy)).unzip();
    let by_id = policies.iter().enumerate().map(|(n, policy)| (policy.id().clone(), n));
    let by_id = by_id.collect();
    let of_role = |entity: &&Entity| *entity.uid().type_name() == uids.role;
    let roles = snapshot.entities.iter().filter(of_role);
    let roles = roles.map(|role| role.uid().id().unescaped().into()).collect();
    let mut engine = Engine::new(policies, snapshot.entities).ok_or_else(|| {
        let what = "the policies do not fit into one set";
        vec![Problem::in_file(".", what, "this is a fault of the guard; report it")]
    })?;
    engine.bind(&calls);
    Ok(Policies {
        engine,
        roles,
        by_id,
        rules,
        schema_text,
        schema,
        calls,
        no_permit: input.no_permit,
        lints,
        disabled: input.people.disabled().cloned().collect(),
        plans: Plans::new(uids),
        hasher: RandomState::default(),
    })
}

/// The names of the types that calls are made of.
#[derive(Debug, Clone)]
pub(super) struct Uids {
    pub(super) role: EntityTypeName,
    pub(super) team: EntityTypeName,
    pub(super) person: EntityTypeName,
    pub(super) group: EntityTypeName,
    pub(super) program: EntityTypeName,
    pub(super) tool: EntityTypeName,
    action: EntityTypeName,
}

impl Uids {
    fn new() -> Option<Self> {
        let ty = |name: &str| name.parse().ok();
        Some(Self {
            role: ty("Role")?,
            team: ty("Team")?,
            person: ty("Person")?,
            group: ty("Group")?,
            program: ty("Program")?,
            tool: ty("Tool")?,
            action: ty("Action")?,
        })
    }

    pub(super) fn action(&self, id: &str) -> EntityUid {
        uid(&self.action, id)
    }
}

pub(super) fn uid(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

/// Cargo unifies features, so a stranger's crate can turn on Cedar's `partial-eval`, and with it a function whose
/// result nothing here has judged.
fn check_cedar() -> Result<Uids, Problem> {
    let probe = "permit (principal, action, resource) when { unknown(\"x\") };";
    let uids = Uids::new();
    match (Policy::parse(None, probe), uids) {
        (Err(_), Some(uids)) => Ok(uids),
        _ => Err(Problem::in_file(
            ".",
            "this build of Cedar takes policies that call `unknown`",
            "build without the feature `partial-eval` of cedar-policy",
        )),
    }
}

/// A policy that was read, and the number of its file.
pub(super) struct Read {
    pub(super) rule: Rule,
    pub(super) policy: Policy,
    pub(super) file: usize,
    /// The byte it begins at.
    pub(super) at: usize,
}

fn read_policies(
    input: &PolicyInput<'_>,
    schema: &Schema,
    snapshot: &Snapshot,
    uids: &Uids,
) -> Result<Vec<Read>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut read: Vec<Read> = Vec::new();
    let mut seen: HashMap<Box<str>, (String, u32)> = HashMap::new();
    for (file, source) in input.policies.iter().enumerate() {
        let set: PolicySet = match source.text.parse() {
            Ok(set) => set,
            Err(errors) => {
                problems.extend(
                    cedar_policy::ParseErrors::iter(&errors)
                        .map(|error| problem_of(error, source, "write it in Cedar's policy language")),
                );
                continue;
            }
        };
        let lines = source.lines();
        for template in set.templates() {
            let at = template.as_ref().loc().map_or(0, |place| place.start());
            let help = "write a policy without `?principal` and `?resource`";
            problems.push(source.problem(at, "templates are not supported", help));
        }
        for policy in set.policies() {
            let at = policy.as_ref().loc().map_or(0, |place| place.start());
            let annotations = match annotation::read(policy, source, at, input.people) {
                Ok(annotations) => annotations,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let (line, _) = lines.place(at);
            if let Some((other, line)) = seen.insert(annotations.id.clone(), (source.file.to_owned(), line)) {
                let what = format!("the id `{}` is already used at {other}:{line}", annotations.id);
                problems.push(source.problem(at, what, "give every policy an id of its own"));
            }
            problems.extend(
                policy
                    .as_ref()
                    .non_scope_constraints()
                    .into_iter()
                    .flat_map(|condition| {
                        let objections = objections(condition, policy.effect(), input);
                        objections.map(|(at_word, what, help)| {
                            let what = format!("policy `{}`: {what}", annotations.id);
                            source.problem(at_word.unwrap_or(at), what, help)
                        })
                    }),
            );
            problems.extend(aliases(policy, input, uids).map(|(what, help)| {
                let what = format!("policy `{}`: {what}", annotations.id);
                source.problem(at, what, help)
            }));
            if annotations.requirement.is_some() && !within_calls(policy, snapshot, schema, uids) {
                let what = format!("policy `{}` asks about more than calls", annotations.id);
                let help =
                    "write `action in Action::\"call\"`, or name actions of calls: only calls can be asked about";
                problems.push(source.problem(at, what, help));
            }
            let conjuncts = clause::conjuncts(policy, source, &lines, at);
            let policy = policy.new_id(PolicyId::new(&annotations.id));
            read.push(Read {
                rule: rule_of(&policy, annotations, conjuncts, source.file, line),
                policy,
                file,
                at,
            });
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

/// What is wrong with a condition by itself: the byte, if known, what it is, and what to do.
fn objections(
    condition: &Expr,
    effect: Effect,
    input: &PolicyInput<'_>,
) -> impl Iterator<Item = (Option<usize>, String, String)> {
    let large = reads::too_large(condition)
        .map(|(what, at)| (at, what.to_owned(), "split it into several policies".to_owned()));
    let unknown = reads::fixed_words(condition)
        .into_iter()
        .filter_map(|(kind, word, at)| {
            let (what, help) = unknown_word(&kind, &word, input)?;
            Some((at, what, help))
        });
    let unfit = reads::texts(condition).into_iter().filter_map(|(text, at)| {
        let (what, help) = unfit_text(&text)?;
        Some((at, what, help.to_owned()))
    });
    let lints = lints::of(condition, effect)
        .into_iter()
        .map(|(at, what, help)| (at, what, help.to_owned()));
    large.into_iter().chain(unknown).chain(unfit).chain(lints)
}

/// Other names of programs among the entities that a policy names: no call is ever of one of them, and a forbid would
/// silently stop nothing.
fn aliases(policy: &Policy, input: &PolicyInput<'_>, uids: &Uids) -> impl Iterator<Item = (String, String)> {
    let programs = policy.entity_literals().into_iter();
    let programs = programs.filter(move |name| *name.type_name() == uids.program);
    programs.filter_map(move |name| alias(name.id().unescaped(), input))
}

fn alias(name: &str, input: &PolicyInput<'_>) -> Option<(String, String)> {
    let program = input.shape.alias_of(name)?;
    let what = format!(
        "`{}` is another name of `{program}`, and no call has it here",
        shown(name)
    );
    let help = format!("write `{program}`: what is said of it is said of all its names");
    Some((what, help))
}

/// A text that no call can hold, or that the reader takes for another: a condition that compares with it would
/// silently never hold.
fn unfit_text(text: &str) -> Option<(String, &'static str)> {
    let named = |c: char| format!("U+{:04X}", u32::from(c));
    match text::check(text) {
        Ok(()) => {}
        Err(Unfit::Nul) => return Some(("this text holds a NUL".to_owned(), "remove it: no call holds one")),
        Err(Unfit::Unshowable(c)) => {
            let what = format!("this text holds {}, which cannot be shown", named(c));
            return Some((what, "remove it: no call holds such a character"));
        }
        Err(Unfit::NotNormal) => {
            let what = "this text is not in Unicode normal form C".to_owned();
            return Some((what, "write it in normal form: a call is, else it is refused"));
        }
    }
    let plain = |c: char| !c.is_ascii() && std::iter::once(c).nfkc().all(|plain| plain.is_ascii_alphanumeric());
    let odd = text.chars().find(|c| plain(*c))?;
    let meant: String = std::iter::once(odd).nfkc().collect();
    let what = format!("this text holds `{odd}` ({}), which looks like `{meant}`", named(odd));
    Some((what, "write the plain letter or digit"))
}

/// A label or risk that no call can have: a condition that compares with it would silently never hold.
fn unknown_word(kind: &Fixed, word: &str, input: &PolicyInput<'_>) -> Option<(String, String)> {
    match kind {
        Fixed::Label if input.vocabulary.get(word).is_none() => Some((
            format!("the label `{}` is not declared", shown(word)),
            suggest(
                word,
                input.vocabulary.words(),
                "declare it under [labels] in glassbreak.toml",
            ),
        )),
        Fixed::Risk if Risk::from_word(word).is_none() => Some((
            format!("`{}` is not a risk", shown(word)),
            "write `low`, `medium` or `high`".to_owned(),
        )),
        Fixed::Scope if !SCOPES.contains(&word) => Some((
            format!("`{}` is not a scope", shown(word)),
            suggest(word, SCOPES, "write `once` or `window`"),
        )),
        Fixed::Kind if !KINDS.contains(&word) => Some((
            format!("operators do nothing to a `{}`", shown(word)),
            suggest(word, KINDS, &format!("write one of {}", KINDS.join(", "))),
        )),
        Fixed::Argv(fact) if fact == "program" => alias(word, input),
        // Where some program may say anything there, so may the policy. A profile may say `*` for what is left open.
        Fixed::Argv(fact) if word != "*" => {
            let programs = input
                .shape
                .programs
                .iter()
                .filter(|p| fact == "command" || p.sets.contains(fact));
            let known = programs
                .map(|program| program.words.get(fact))
                .collect::<Option<Vec<_>>>()?;
            if known.is_empty() || known.iter().any(|words| words.contains(word)) {
                return None;
            }
            let words = known.into_iter().flatten().map(String::as_str);
            let help = suggest(
                word,
                words,
                "compare it with a word of the profile; `glassbreak explain` shows the facts",
            );
            Some((
                format!("no profile has `{}` for `context.argv.{fact}`", shown(word)),
                help,
            ))
        }
        Fixed::Label | Fixed::Risk | Fixed::Scope | Fixed::Kind | Fixed::Argv(_) => None,
    }
}

/// Whether every action that the scope reaches is one of a call. Actions that no schema declares are left to the
/// validator, which suggests the nearest.
fn within_calls(policy: &Policy, snapshot: &Snapshot, schema: &Schema, uids: &Uids) -> bool {
    let call = uids.action("call");
    let known = |action: &EntityUid| schema.actions().any(|known| known == action);
    let within =
        |action: &EntityUid| *action == call || !known(action) || snapshot.entities.is_ancestor_of(&call, action);
    match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(action) => within(&action),
        ActionConstraint::In(actions) => actions.iter().all(within),
    }
}

fn rule_of(policy: &Policy, annotations: Annotations, conjuncts: Box<[Conjunct]>, file: &str, line: u32) -> Rule {
    let Annotations {
        id,
        reason,
        requirement,
    } = annotations;
    let (class, plain) = match (policy.effect(), &requirement) {
        (Effect::Permit, _) => (Class::Permit, format!("policy `{id}` permits this")),
        (Effect::Forbid, None) => (Class::HardForbid, format!("policy `{id}` forbids this")),
        (Effect::Forbid, Some(requirement)) => (Class::SoftForbid, format!("policy `{id}` asks: {}", who(requirement))),
    };
    let hint = match (class, &requirement) {
        (Class::Permit, _) => String::new(),
        (Class::HardForbid, _) => "this is final: no approval lifts it".to_owned(),
        // Without a reason of its own, what the policy says names them already.
        (Class::SoftForbid, requirement) => requirement
            .as_ref()
            .filter(|_| reason.is_some())
            .map(who)
            .unwrap_or_default(),
    };
    Rule {
        held: RuleId::known(Layer::Policy, &id),
        error: RuleId::known(Layer::Policy, &format!("{id}.error")),
        partial: RuleId::known(Layer::Policy, &format!("{id}.partial")),
        why: reason.as_deref().map_or(plain, str::to_owned).into(),
        hint: hint.into(),
        reads: (policy.as_ref().non_scope_constraints()).map_or_else(Reads::default, Reads::of),
        class,
        conjuncts,
        requirement,
        reason,
        file: file.into(),
        line,
        id,
    }
}

fn who(requirement: &Requirement) -> String {
    let group = requirement.group.as_ref().map_or("", |group| group.as_str());
    let mut out = match requirement.quorum {
        1 => format!("a person of `{group}` must agree"),
        n => format!("{n} persons of `{group}` must agree"),
    };
    if let Some(window) = requirement.window {
        let _ = write!(out, ", and may open a window of {window}");
    }
    out
}
