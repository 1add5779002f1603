//! The whole layer against a slow and obvious judge: every policy by a call of its own to Cedar's authorizer, over the
//! whole context and as written, and the outcomes joined as the design says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy::{Authorizer, Context, Policy, PolicyId, PolicySet, Request};
use cedar_policy_core::ast;

use super::super::direct::Direct;
use super::super::{Action, Class, Policies, Question, Resource};
use super::facts::{self, Asked};
use super::{Dice, Holds, Tally, check_against_schema, odd, whole_context, world};
use crate::facts::{ArgvFacts, Fact, Target};
use crate::finding::Outcome;

/// The most policies of one set, and the most calls it judges.
const MAX_POLICIES: usize = 7;
const MAX_CALLS: usize = 16;

/// A policy in parts, so that its scope can be asked about by itself.
#[derive(Debug)]
struct Written {
    class: Class,
    scope: String,
    condition: String,
}

impl Written {
    fn text(&self, n: usize, condition: bool) -> String {
        let (annotation, effect) = match self.class {
            Class::Permit => ("", "permit"),
            Class::SoftForbid => ("@ask(\"oncall\") ", "forbid"),
            Class::HardForbid => ("", "forbid"),
        };
        let condition = if condition { self.condition.as_str() } else { "" };
        format!("@id(\"p{n}\") {annotation}{effect} ({}) {condition};\n", self.scope)
    }
}

const PRINCIPALS: [&str; 5] = [
    "principal",
    "principal == Role::\"ops-agent\"",
    "principal in Team::\"ops-agents\"",
    "principal is Role",
    "principal is Role in Role::\"loner\"",
];

/// Scopes of actions and resources that go together, and what their conditions may read.
struct World {
    actions: &'static [&'static str],
    resources: &'static [&'static str],
    atoms: &'static [&'static str],
}

const ANY: [&str; 10] = [
    "context.risk == \"high\"",
    "context.labels.contains(\"mutating\")",
    "context.target.name == \"web-1\"",
    "(context.target has name && context.target.name == \"web-1\")",
    "context.target == {kind: \"\", namespace: \"\", name: \"web-1\", owner: \"\"}",
    "context.seq.breaker.api.state == \"open\"",
    "context.seq.distinct.pods.is_new",
    "context.actor.parents.contains(\"planner\")",
    "context.actor.session like \"s-*\"",
    "principal in Team::\"ops-agents\"",
];

/// What becomes true while calls add up: a forbid may say so, and a permit only the contrary.
const GROWING: [&str; 10] = [
    "context.seq.budget.pod_delete.count > 3",
    "context.seq.budget.pod_delete.count + 1 > 3",
    "context.seq.budget.pod_delete.count * 2 >= 7",
    "-context.seq.budget.pod_delete.count < 1",
    "context.seq.budget.pod_delete.remaining <= 0",
    "context.seq.loop.same.fired",
    "context.seq.distinct.pods.count > context.seq.distinct.pods.limit",
    "context.seq.pattern.leak.armed",
    "context.seq.latch.trifecta.latched + context.seq.actions > 5",
    "context.seq.breaker.api.failures > 3",
];

const WORLDS: [World; 3] = [
    World {
        actions: &[
            "action in Action::\"call\"",
            "action in [Action::\"exec\", Action::\"tool\"]",
        ],
        resources: &[
            "resource",
            "resource is Program",
            "resource == Program::\"kubectl\"",
            "resource is Service",
            "resource in Fleet::\"all\"",
        ],
        atoms: &[],
    },
    World {
        actions: &[
            "action == Action::\"exec:kubectl\"",
            "action in [Action::\"exec:kubectl\", Action::\"exec:kubectl\"]",
        ],
        resources: &[
            "resource",
            "resource == Program::\"kubectl\"",
            "resource in Program::\"kubectl\"",
        ],
        atoms: &[
            "context.argv.command == \"delete\"",
            "context.argv.kinds.contains(\"namespace\")",
            "context.argv.options == [\"--namespace\"]",
            "(context.argv has kinds && context.argv.kinds.isEmpty())",
        ],
    },
    World {
        actions: &["action == Action::\"tool:restart_service\""],
        resources: &[
            "resource",
            "resource == Service::\"web\"",
            "resource is Service in Fleet::\"all\"",
        ],
        atoms: &[
            "resource.tier < 2",
            "(resource has note && resource.note == \"x\")",
            "context.args.name == \"web\"",
            "(context.args has times && context.args.times > 2)",
            "(context.args has times && context.args.times - 1 < 0)",
            "(context.args has options && context.args.options[\"dry run\"])",
            "resource.owner == Team::\"ops-agents\"",
            "principal in resource.owner",
        ],
    },
];

impl Written {
    fn any(dice: &mut Dice<'_>) -> Self {
        let class = match dice.roll(4) {
            0 | 1 => Class::Permit,
            2 => Class::SoftForbid,
            _ => Class::HardForbid,
        };
        let at = dice.roll(WORLDS.len());
        let (mut scope, mut known) = (dice.of(&PRINCIPALS).to_owned(), ANY.to_vec());
        if let Some(world) = WORLDS.get(at) {
            let _ = write!(scope, ", {}, {}", dice.of(world.actions), dice.of(world.resources));
            known.extend(world.atoms);
        }
        let mut condition = String::new();
        let unless = dice.once_in(2);
        for n in 0..dice.roll(4) {
            if n > 0 {
                condition.push_str(dice.of(&[" && ", " || "]));
            }
            if dice.once_in(3) {
                let not = if unless == (class == Class::Permit) { "" } else { "!" };
                let _ = write!(condition, "{not}({})", dice.of(&GROWING));
            } else {
                let _ = write!(condition, "{}({})", dice.of(&["", "!"]), dice.of(&known));
            }
        }
        if !condition.is_empty() {
            condition = format!("{} {{ {condition} }}", if unless { "unless" } else { "when" });
        }
        Self {
            class,
            scope,
            condition,
        }
    }

    fn set(dice: &mut Dice<'_>) -> Vec<Self> {
        (0..dice.roll(MAX_POLICIES + 1)).map(|_| Self::any(dice)).collect()
    }
}

fn text_of(set: &[Written]) -> String {
    let texts = set.iter().enumerate();
    texts.map(|(n, policy)| policy.text(n, true)).collect()
}

/// The set loaded; `None` where Cedar's types already say that a condition can never hold.
fn load(set: &[Written], tally: &mut Tally) -> Result<Option<Policies>, String> {
    let text = text_of(set);
    match world::load(&text)? {
        Ok(policies) => Ok(Some(policies)),
        Err(problems) if problems.iter().all(|problem| problem.what().contains("impossible")) => {
            tally.unloaded += 1;
            Ok(None)
        }
        Err(problems) => {
            let problems: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            Err(format!("this should load: {problems}\n{text}"))
        }
    }
}

/// Whether a policy's condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Holds,
    DoesNot,
    Unknown,
}

/// One policy as Cedar judges it by itself: its scope, and the whole of it.
struct Alone<'a> {
    written: &'a Written,
    scope: PolicySet,
    whole: PolicySet,
}

impl<'a> Alone<'a> {
    fn all(set: &'a [Written]) -> Result<Vec<Self>, String> {
        let one = |n: usize, written: &'a Written| {
            let set = |condition| {
                let policy = Policy::parse(Some(PolicyId::new("alone")), written.text(n, condition)).map_err(odd)?;
                PolicySet::from_policies([policy]).map_err(odd)
            };
            Ok(Self {
                written,
                scope: set(false)?,
                whole: set(true)?,
            })
        };
        set.iter().enumerate().map(|(n, written)| one(n, written)).collect()
    }
}

fn truth(set: &PolicySet, request: &Request, policies: &Policies) -> Truth {
    let response = Authorizer::new().is_authorized(request, set, policies.engine.entities());
    if response.diagnostics().errors().next().is_some() {
        Truth::Unknown
    } else if response.diagnostics().reason().next().is_some() {
        Truth::Holds
    } else {
        Truth::DoesNot
    }
}

fn request(asked: &Asked) -> Result<Request, String> {
    let action = match asked.action {
        Action::Exec(name) => format!("Action::\"exec:{name}\""),
        Action::Unlisted => "Action::\"exec:*\"".to_owned(),
        Action::Tool(name) => format!("Action::\"tool:{name}\""),
    };
    let resource = match asked.resource {
        Resource::Program(id) => format!("Program::\"{id}\""),
        Resource::Tool(id) => format!("Tool::\"{id}\""),
        Resource::Host { ty, id } => format!("{ty}::\"{id}\""),
    };
    let request = Request::new(
        format!("Role::\"{}\"", asked.role).parse().map_err(odd)?,
        action.parse().map_err(odd)?,
        resource.parse().map_err(odd)?,
        facts::expected_of(asked)?,
        None,
    );
    request.map_err(odd)
}

/// Whether some fact has no one value.
fn is_open(asked: &Asked) -> bool {
    let target = &asked.facts.target;
    let unknown = |name: &&str| target.get(name) == Some(&Fact::Unknown);
    let argv = asked.facts.argv.iter().flat_map(|argv| &argv.sets);
    Target::NAMES.iter().any(unknown) || argv.into_iter().any(|(_, set)| ArgvFacts::is_open(set))
}

/// What the design says of a call.
struct Obvious {
    outcome: Outcome,
    /// Which forbids object, and which permits hold where that matters; as [`Asked::judged`] has them.
    rules: Vec<String>,
    /// Whether a forbid could not be judged.
    unjudged: bool,
    /// Whether any policy could not.
    in_error: bool,
}

fn obvious(set: &[Alone<'_>], asked: &Asked, policies: &Policies) -> Result<Obvious, String> {
    let request = request(asked)?;
    let mut rules = Vec::new();
    let (mut hard, mut soft, mut permitted) = (false, false, false);
    let (mut unjudged, mut in_error) = (false, false);
    let open = is_open(asked);
    for (n, alone) in set.iter().enumerate() {
        let policy = alone.written;
        if truth(&alone.scope, &request, policies) == Truth::DoesNot {
            continue;
        }
        let reads = |name: &str| policy.condition.contains(name);
        let partial = asked.facts.partial
            && (reads("context.argv") || reads("context.args") || reads("context.target") || reads("context.labels"));
        let loosely = open && (reads("context.target has") || reads("context.target ==") || reads("context.argv has"));
        let truth = if partial || loosely {
            Truth::Unknown
        } else {
            truth(&alone.whole, &request, policies)
        };
        let rule = match truth {
            Truth::Holds => format!("policy.p{n}"),
            Truth::Unknown if partial => format!("policy.p{n}.partial"),
            Truth::Unknown => format!("policy.p{n}.error"),
            Truth::DoesNot => continue,
        };
        in_error |= truth == Truth::Unknown;
        unjudged |= truth == Truth::Unknown && policy.class != Class::Permit;
        let level = match (policy.class, truth) {
            (Class::HardForbid, _) => {
                hard = true;
                "deny"
            }
            (Class::SoftForbid, _) => {
                soft = true;
                "ask"
            }
            (Class::Permit, Truth::Holds) => {
                permitted = true;
                "clear"
            }
            (Class::Permit, _) => "note",
        };
        rules.push(format!("{rule} {level}"));
    }
    let outcome = match (hard, permitted, soft) {
        (true, _, _) | (false, false, _) => Outcome::Deny,
        (false, true, true) => Outcome::Ask,
        (false, true, false) => Outcome::Allow,
    };
    // Where a plain forbid decides, permits are not looked at.
    if hard {
        rules.retain(|rule| !rule.ends_with("clear"));
    } else if !permitted {
        rules.push("policy.no-permit deny".to_owned());
    }
    rules.sort();
    Ok(Obvious {
        outcome,
        rules,
        unjudged,
        in_error,
    })
}

/// Random policies and calls of the world: the layer says what the obvious judge says, rule by rule; a call with a forbid
/// that could not be judged is never allowed; and every context is as Cedar would build it and as the schema has it.
///
/// # Errors
/// The first call of which that is not so.
pub fn decide_vs_cedar(bytes: &[u8], tally: &mut Tally) -> Holds {
    let dice = &mut Dice::new(bytes);
    let set = Written::set(dice);
    let Some(policies) = load(&set, tally)? else {
        return Ok(());
    };
    let alone = Alone::all(&set)?;
    for _ in 0..MAX_CALLS {
        let asked = Asked::any(dice);
        let wrong = |what: String| format!("{what}\n{}\n{asked:?}", text_of(&set));
        let (outcome, mut told) = asked.judged(&policies)?;
        tally.asked += 1;
        if asked.role == "nobody" {
            tally.absent += 1;
            if (outcome, told.as_slice()) != (Outcome::Deny, &["policy.unknown-role deny".to_owned()][..]) {
                return Err(wrong(format!("a role that nobody declares: {outcome} {told:?}")));
            }
            continue;
        }
        let Obvious {
            outcome: expected,
            mut rules,
            unjudged,
            in_error,
        } = obvious(&alone, &asked, &policies)?;
        // Nobody hears that a permit was in error where a forbid decides.
        let by_forbid = |line: &String| line.ends_with(" deny") && line != "policy.no-permit deny";
        if rules.iter().any(by_forbid) {
            rules.retain(|line| !line.ends_with(".error note"));
            told.retain(|line| !line.ends_with(".error note"));
        }
        if (outcome, &told) != (expected, &rules) {
            return Err(wrong(format!("{outcome} {told:?}, and should be {expected} {rules:?}")));
        }
        if unjudged && outcome == Outcome::Allow {
            return Err(wrong("allowed, although a forbid could not be judged".to_owned()));
        }
        context_holds(&policies, &asked).map_err(wrong)?;
        tally.allowed += u64::from(outcome == Outcome::Allow);
        tally.in_error += u64::from(in_error);
        tally.forbid_unjudged += u64::from(unjudged);
        tally.open += u64::from(asked.facts.partial || is_open(&asked));
        tally.absent += u64::from(matches!(asked.resource, Resource::Host { id: "unheard-of", .. }));
        if dice.is_empty() {
            break;
        }
    }
    Ok(())
}

fn context_holds(policies: &Policies, asked: &Asked) -> Holds {
    let expected = facts::expected_of(asked)?;
    asked.question(|question| {
        let built = whole_context(policies, question).map_err(|finding| odd(finding.why()))?;
        if built != expected {
            return Err(format!("the context is {built:?}, and should be {expected:?}"));
        }
        read_where_they_stand(policies, question, &built)?;
        // What is left open is left out, which the schema does not know of.
        if is_open(asked) {
            return Ok(());
        }
        check_against_schema(policies, question, &built)
    })?
}

/// Every fact but arguments and parents is read where it stands too, and reads as in the context; what is not in the
/// context is not read.
fn read_where_they_stand(policies: &Policies, question: &Question<'_>, built: &Context) -> Holds {
    let ast::Context::Value(fields) = built.as_ref() else {
        return Err("a context of unknowns".to_owned());
    };
    let mut leaves = BTreeMap::new();
    fields
        .iter()
        .for_each(|(name, value)| gather(vec![name.to_string()], value, &mut leaves));
    let read = |path: &[&str]| Direct::of(path, &policies.calls).and_then(|fact| fact.read(question));
    for (path, value) in &leaves {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path.first() == Some(&"args") || path == ["actor", "parents"] {
            continue;
        }
        let seen = read(&path).ok_or_else(|| format!("{path:?} is read from the context only"))?;
        let seen = seen.value();
        if seen != *value {
            return Err(format!("{path:?} is {seen}, and {value} in the context"));
        }
    }
    let sets = question.facts.argv.iter().flat_map(|argv| &argv.sets);
    let optional = sets.map(|(name, _)| ["argv", name]);
    for path in optional.chain(Target::NAMES.map(|name| ["target", name])) {
        if read(&path).is_some() != leaves.contains_key(&path.map(str::to_owned)[..]) {
            return Err(format!("{path:?} is read, and not in the context"));
        }
    }
    Ok(())
}

/// What is no record, by the names that lead to it.
fn gather(path: Vec<String>, value: &ast::Value, out: &mut BTreeMap<Vec<String>, ast::Value>) {
    match value.value_kind() {
        ast::ValueKind::Record(fields) => {
            for (name, value) in fields.iter() {
                gather([path.clone(), vec![name.to_string()]].concat(), value, out);
            }
        }
        _ => drop(out.insert(path, value.clone())),
    }
}

/// One policy more: a forbid never allows more, and a permit never less.
///
/// # Errors
/// The first call of which that is not so.
pub fn one_more_policy(bytes: &[u8], tally: &mut Tally) -> Holds {
    let dice = &mut Dice::new(bytes);
    let more = Written::any(dice);
    let mut set = Written::set(dice);
    let permit = more.class == Class::Permit;
    let Some(before) = load(&set, tally)? else {
        return Ok(());
    };
    set.push(more);
    let Some(after) = load(&set, tally)? else { return Ok(()) };
    for _ in 0..MAX_CALLS {
        let asked = Asked::any(dice);
        let (before, after) = (asked.judged(&before)?.0, asked.judged(&after)?.0);
        tally.asked += 1;
        tally.allowed += u64::from(after == Outcome::Allow);
        if if permit { after > before } else { after < before } {
            return Err(format!("{before} and then {after}\n{}\n{asked:?}", text_of(&set)));
        }
        if dice.is_empty() {
            break;
        }
    }
    Ok(())
}
