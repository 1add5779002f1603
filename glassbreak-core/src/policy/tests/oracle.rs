//! A slow and obvious judge: every policy by a call of its own to Cedar, over the whole context and as written, and
//! the outcomes joined as the design says. The fast one must agree.

use std::fmt::Write as _;

use cedar_policy::{Authorizer, Policy, PolicyId, PolicySet, Request};
use proptest::prelude::*;

use super::*;

/// A policy in parts, so that its scope can be asked about by itself.
#[derive(Debug, Clone)]
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

fn text_of(set: &[Written]) -> String {
    set.iter().enumerate().fold(String::new(), |mut out, (n, policy)| {
        let _ = write!(out, "{}", policy.text(n, true));
        out
    })
}

/// Whether a policy's condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Holds,
    DoesNot,
    Unknown,
}

fn truth(text: &str, asked: &Asked, policies: &Policies) -> Truth {
    let policy = Policy::parse(Some(PolicyId::new("alone")), text).unwrap();
    let set = PolicySet::from_policies([policy]).unwrap();
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
        format!("Role::\"{}\"", asked.role).parse().unwrap(),
        action.parse().unwrap(),
        resource.parse().unwrap(),
        expected_context(asked),
        None,
    );
    let response = Authorizer::new().is_authorized(&request.unwrap(), &set, policies.engine.entities());
    if response.diagnostics().errors().next().is_some() {
        Truth::Unknown
    } else if response.diagnostics().reason().next().is_some() {
        Truth::Holds
    } else {
        Truth::DoesNot
    }
}

/// What the design says of a call: the outcome, and which forbids object, and which permits hold where that matters.
fn obvious(set: &[Written], asked: &Asked, policies: &Policies) -> (Outcome, Vec<String>) {
    let mut rules = Vec::new();
    let (mut hard, mut soft, mut permitted) = (false, false, false);
    let unknown_target = Target::NAMES
        .iter()
        .any(|name| asked.facts.target.get(name) == Some(&Fact::Unknown));
    for (n, policy) in set.iter().enumerate() {
        if truth(&policy.text(n, false), asked, policies) == Truth::DoesNot {
            continue;
        }
        let reads = |name: &str| policy.condition.contains(name);
        let partial = asked.facts.partial
            && (reads("context.argv") || reads("context.args") || reads("context.target") || reads("context.labels"));
        let loosely = unknown_target && (reads("context.target has") || reads("context.target =="));
        let truth = if partial || loosely {
            Truth::Unknown
        } else {
            truth(&policy.text(n, true), asked, policies)
        };
        let rule = match truth {
            Truth::Holds => format!("policy.p{n}"),
            Truth::Unknown if partial => format!("policy.p{n}.partial"),
            Truth::Unknown => format!("policy.p{n}.error"),
            Truth::DoesNot => continue,
        };
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
        (true, _, _) => Outcome::Deny,
        (false, false, _) => Outcome::Deny,
        (false, true, true) => Outcome::Ask,
        (false, true, false) => Outcome::Allow,
    };
    if hard {
        rules.retain(|rule| !rule.ends_with("clear"));
    } else if !permitted {
        rules.push("policy.no-permit deny".to_owned());
    }
    rules.sort();
    (outcome, rules)
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
    "context.seq.budget.pod_delete.count > 3",
    "context.seq.budget.pod_delete.count + 1 > 3",
    "context.seq.loop.same == {streak: 1, period: 0, fired: true}",
    "context.actor.parents.contains(\"planner\")",
    "principal in Team::\"ops-agents\"",
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
            "context.args.name == \"web\"",
            "(context.args has times && context.args.times > 2)",
            "resource.owner == Team::\"ops-agents\"",
        ],
    },
];

fn a_policy() -> impl Strategy<Value = Written> {
    let class = prop_oneof![
        2 => Just(Class::Permit),
        1 => Just(Class::SoftForbid),
        1 => Just(Class::HardForbid),
    ];
    let atoms = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 0..4);
    let picks = any::<[prop::sample::Index; 3]>();
    (class, 0..WORLDS.len(), picks, atoms, any::<bool>()).prop_map(|(class, world, picks, atoms, unless)| {
        let world = &WORLDS[world];
        let scope = format!(
            "{}, {}, {}",
            picks[0].get(&PRINCIPALS),
            picks[1].get(world.actions),
            picks[2].get(world.resources)
        );
        let known: Vec<&str> = ANY.iter().chain(world.atoms).copied().collect();
        let mut condition = String::new();
        for (n, (atom, not, and)) in atoms.iter().enumerate() {
            let joint = match (n, and) {
                (0, _) => "",
                (_, true) => " && ",
                (_, false) => " || ",
            };
            let not = if *not { "!" } else { "" };
            let _ = write!(condition, "{joint}{not}({})", atom.get(&known));
        }
        let condition = match (condition.is_empty(), unless) {
            (true, _) => String::new(),
            (false, true) => format!("unless {{ {condition} }}"),
            (false, false) => format!("when {{ {condition} }}"),
        };
        Written {
            class,
            scope,
            condition,
        }
    })
}

fn a_call() -> impl Strategy<Value = Asked> {
    let role = prop_oneof![3 => Just("ops-agent"), 1 => Just("loner")];
    let count = prop_oneof![Just(0), Just(3), Just(4), Just(i64::MAX)];
    let name = prop_oneof![Just(Fact::Absent), Just(Fact::Is("web-1".into())), Just(Fact::Unknown),];
    let bits = any::<[bool; 5]>();
    (role, count, name, bits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(role, count, name, bits, which, high)| {
            let [delete, kind, labelled, partial, looped] = bits;
            let command = if delete { "delete" } else { "get" };
            let kinds: &[&'static str] = if kind { &["namespace"] } else { &[] };
            let calls: [fn(&str, &[&'static str]) -> Asked; 4] = [
                |command, kinds| Asked::kubectl(command, kinds),
                |_, _| Asked::restart("web"),
                |_, _| Asked::restart("unheard-of"),
                |_, _| {
                    let mut asked = Asked::kubectl("", &[]);
                    asked.facts.argv.as_mut().unwrap().sets.clear();
                    asked.action = Action::Unlisted;
                    asked.resource = Resource::Program("helm");
                    asked
                },
            ];
            let mut asked = which.get(&calls)(command, kinds);
            asked.role = role;
            asked.seq = seq(count);
            asked.seq.loops[0].fired = looped;
            asked.seq.loops[0].streak = 1;
            asked.facts.target.name = name;
            asked.facts.partial = partial && which.index(7) == 0;
            if labelled {
                asked.facts.labels = LabelSet::from_iter(Vocabulary::built_in().get("mutating"));
            }
            if high || asked.facts.partial {
                asked.facts.risk = Risk::High;
            }
            asked
        },
    )
}

fn load_all(set: &[Written]) -> Result<Policies, TestCaseError> {
    let text = text_of(set);
    let folder = Folder::of(&text);
    folder.load().map_err(|problems| {
        let problems: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        // Some conditions are always false to Cedar's types; everything else should load.
        if problems.contains("impossible") {
            TestCaseError::reject("impossible")
        } else {
            TestCaseError::fail(format!("{problems}\n{text}"))
        }
    })
}

fn settings(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings(64))]

    #[test]
    fn the_fast_judge_agrees_with_the_obvious_one(
        set in prop::collection::vec(a_policy(), 0..7),
        calls in prop::collection::vec(a_call(), 1..12),
    ) {
        let policies = load_all(&set)?;
        for asked in calls {
            let (outcome, mut findings) = obvious(&set, &asked, &policies);
            // Where a forbid decides, permits are not looked at, and nobody hears that one was in error.
            let by_forbid = |line: &String| line.ends_with(" deny") && line != "policy.no-permit deny";
            let quiet = |mut findings: Vec<String>| {
                findings.retain(|line| !line.ends_with(".error note"));
                findings
            };
            let (ours, mut told) = asked.of(&policies);
            if findings.iter().any(by_forbid) {
                (findings, told) = (quiet(findings), quiet(told));
            }
            let facts = &asked.facts;
            prop_assert_eq!((ours, told), (outcome, findings), "{}\n{:?} {:?}", text_of(&set), asked.action, facts);
        }
    }

    #[test]
    fn another_forbid_never_allows_more_and_another_permit_never_less(
        set in prop::collection::vec(a_policy(), 0..5),
        more in a_policy(),
        calls in prop::collection::vec(a_call(), 1..12),
    ) {
        let before = load_all(&set)?;
        let mut set = set;
        let permit = more.class == Class::Permit;
        set.push(more);
        let after = load_all(&set)?;
        for asked in calls {
            let (before, after) = (asked.outcome(&before), asked.outcome(&after));
            prop_assert!(if permit { after <= before } else { after >= before }, "{before} {after}\n{}", text_of(&set));
        }
    }
}
