//! What people may do: approving and operating, bound to the text of policies.

use super::*;
use crate::error::Problem;
use crate::label::Risk;

/// People beside those of the samples: bob of two groups, carol of none, dave of one but disabled.
fn more_people() -> People {
    let mut people = people();
    people.add_person(word("bob"), [word("oncall"), word("leads")]);
    people.add_person(word("carol"), []);
    people.add_person(word("dave"), [word("oncall")]);
    people.disable(word("dave"));
    people
}

fn try_load(policies: &str, people: &People) -> Result<Policies, Vec<Problem>> {
    Policies::load(PolicyInput {
        policies: vec![Source {
            file: "main.cedar",
            text: policies,
        }],
        entities: Some(Source {
            file: "entities.json",
            text: ENTITIES,
        }),
        host_schema: Some(Source {
            file: "schema.cedarschema",
            text: HOST,
        }),
        shape: &shape(),
        people,
        vocabulary: &Vocabulary::built_in(),
        no_permit: Outcome::Deny,
    })
}

#[track_caller]
fn load_with(policies: &str, people: &People) -> Policies {
    match try_load(policies, people) {
        Ok(policies) => policies,
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

/// The rule that refuses, or `None` where the person may.
fn rule(answer: Result<(), Finding>) -> Option<String> {
    answer.err().map(|finding| {
        assert_eq!(finding.level(), Level::Deny, "{finding:?}");
        assert!(!finding.why().is_empty() && !finding.hint().is_empty(), "{finding:?}");
        finding.rule().as_str().to_owned()
    })
}

/// A vote of `person` on a call of medium risk; tests change what they are about.
struct Vote<'a> {
    person: &'a str,
    resource: (&'a str, &'a str),
    rules: &'a [&'a str],
    risk: Risk,
    labels: &'a [&'a str],
    role: &'a str,
    scope: &'a str,
}

const fn vote(person: &str) -> Vote<'_> {
    Vote {
        person,
        resource: ("Program", "kubectl"),
        rules: &["policy.delete-asks"],
        risk: Risk::Medium,
        labels: &["mutating"],
        role: "ops-agent",
        scope: "once",
    }
}

fn may(policies: &Policies, vote: &Vote<'_>) -> Option<String> {
    let (person, role) = (word(vote.person), word(vote.role));
    rule(policies.may_approve(&Approving {
        person: &person,
        resource: vote.resource,
        rules: vote.rules,
        risk: vote.risk,
        labels: vote.labels,
        role: &role,
        scope: vote.scope,
    }))
}

const ONCALL: &str =
    "@id(\"oncall\") permit (principal in Group::\"oncall\", action == Action::\"approve\", resource);\n";

#[test]
fn a_person_agrees_only_where_a_policy_permits_it() {
    let policies = load_with(SAMPLE, &more_people());
    assert_eq!(may(&policies, &vote("alice")), None);
    assert_eq!(may(&policies, &vote("carol")).as_deref(), Some("policy.approve"));
    // Not a person: strangers, roles, groups, and the names of other entities.
    for stranger in ["mallory", "ops-agent", "oncall", "Alice", "alice/"] {
        assert_eq!(may(&policies, &vote(stranger)).as_deref(), Some("policy.approve"));
    }
    let high = Vote {
        risk: Risk::High,
        ..vote("alice")
    };
    assert_eq!(may(&policies, &high).as_deref(), Some("policy.approve"));
    let nobody = load_with("", &more_people());
    assert_eq!(may(&nobody, &vote("alice")).as_deref(), Some("policy.approve"));
}

#[test]
fn permits_on_calls_and_operating_permit_no_approval() {
    let text = "@id(\"a\") permit (principal, action in Action::\"call\", resource);\n\
                @id(\"b\") permit (principal, action in Action::\"operate\", resource);";
    let policies = load_with(text, &more_people());
    assert_eq!(may(&policies, &vote("alice")).as_deref(), Some("policy.approve"));
}

#[test]
fn a_person_who_left_the_group_or_is_disabled_agrees_to_nothing() {
    let mut left = People::default();
    left.add_group(word("oncall"));
    left.add_group(word("leads"));
    left.add_person(word("alice"), [word("leads")]);
    let policies = load_with(ONCALL, &left);
    assert_eq!(may(&policies, &vote("alice")).as_deref(), Some("policy.approve"));

    let policies = load_with(ONCALL, &more_people());
    assert_eq!(may(&policies, &vote("alice")), None);
    let dave = word("dave");
    let role = word("ops-agent");
    let refusal = policies
        .may_approve(&Approving {
            person: &dave,
            resource: ("Program", "kubectl"),
            rules: &[],
            risk: Risk::Low,
            labels: &[],
            role: &role,
            scope: "once",
        })
        .unwrap_err();
    assert_eq!(refusal.why(), "`dave` is disabled in people.toml");
}

#[test]
fn a_forbid_wins_and_is_named_with_its_reason() {
    let text = format!(
        "{ONCALL}@id(\"two-hats\") @reason(\"leads only look on\")\n\
         forbid (principal in Group::\"leads\", action == Action::\"approve\", resource);"
    );
    let policies = load_with(&text, &more_people());
    assert_eq!(may(&policies, &vote("alice")), None);
    assert_eq!(may(&policies, &vote("bob")).as_deref(), Some("policy.two-hats"));
    let (bob, role) = (word("bob"), word("ops-agent"));
    let refusal = policies.may_approve(&Approving {
        person: &bob,
        resource: ("Tool", "x"),
        rules: &[],
        risk: Risk::Low,
        labels: &[],
        role: &role,
        scope: "once",
    });
    assert_eq!(
        refusal.unwrap_err().why(),
        "policy `two-hats` forbids `bob` to agree to this call: leads only look on"
    );
}

#[test]
fn the_first_forbid_is_named_whatever_order_cedar_tells_them_in() {
    let forbids: String = (0..20)
        .map(|n| format!("@id(\"n{n}\") forbid (principal, action == Action::\"approve\", resource);\n"))
        .collect();
    let policies = load_with(&format!("{ONCALL}{forbids}"), &more_people());
    assert_eq!(may(&policies, &vote("alice")).as_deref(), Some("policy.n0"));
}

#[test]
fn what_cannot_be_judged_refuses_be_it_a_forbid_or_a_permit() {
    // `tier` of a service that the bundle does not declare.
    for effect in ["forbid", "permit"] {
        let text = format!(
            "{ONCALL}@id(\"x\") {effect} (principal, action == Action::\"approve\", resource is Service)\n\
             when {{ resource.tier > 5 }};"
        );
        let policies = load_with(&text, &more_people());
        let on = |ty, id| {
            may(
                &policies,
                &Vote {
                    resource: (ty, id),
                    ..vote("alice")
                },
            )
        };
        assert_eq!(on("Service", "web"), None, "{effect}");
        assert_eq!(on("Service", "gone").as_deref(), Some("policy.x.error"), "{effect}");
        // A policy that the scope leaves out can say nothing.
        assert_eq!(on("Program", "kubectl"), None, "{effect}");
    }
    // A forbid that holds is named before one that is in error.
    let text = format!(
        "{ONCALL}@id(\"a\") forbid (principal, action == Action::\"approve\", resource is Service) when {{ resource.tier > 5 }};\n\
         @id(\"b\") forbid (principal, action == Action::\"approve\", resource);"
    );
    let gone = Vote {
        resource: ("Service", "gone"),
        ..vote("alice")
    };
    assert_eq!(
        may(&load_with(&text, &more_people()), &gone).as_deref(),
        Some("policy.b")
    );
}

#[test]
fn the_resource_is_that_of_the_call() {
    let text = "@id(\"p\") permit (principal in Group::\"oncall\", action == Action::\"approve\", resource == Program::\"kubectl\");\n\
                @id(\"s\") permit (principal == Person::\"carol\", action == Action::\"approve\", resource in Fleet::\"all\");";
    let policies = load_with(text, &more_people());
    let on = |person, ty, id| {
        may(
            &policies,
            &Vote {
                resource: (ty, id),
                ..vote(person)
            },
        )
    };
    assert_eq!(on("alice", "Program", "kubectl"), None);
    assert!(on("alice", "Program", "git").is_some());
    assert!(on("alice", "Tool", "kubectl").is_some());
    assert_eq!(on("carol", "Service", "web"), None);
    assert!(on("carol", "Service", "gone").is_some());
    assert!(on("carol", "Program", "kubectl").is_some());
    for ty in ["", "9x", "Service::", "Program\"", "a b"] {
        assert_eq!(on("alice", ty, "kubectl").as_deref(), Some("policy.internal"), "{ty}");
    }
}

#[test]
fn every_fact_of_the_request_can_be_read() {
    for (condition, no) in [
        (
            "context.request.rules.contains(\"policy.delete-asks\")",
            Vote {
                rules: &["policy.delete-asks.error"],
                ..vote("alice")
            },
        ),
        (
            "context.request.rules == [\"policy.delete-asks\"]",
            Vote {
                rules: &["policy.delete-asks", "budget.x"],
                ..vote("alice")
            },
        ),
        (
            "context.request.risk == \"medium\"",
            Vote {
                risk: Risk::High,
                ..vote("alice")
            },
        ),
        (
            "context.request.labels.contains(\"mutating\")",
            Vote {
                labels: &[],
                ..vote("alice")
            },
        ),
        (
            "context.request.role == \"ops-agent\"",
            Vote {
                role: "loner",
                ..vote("alice")
            },
        ),
        (
            "context.request.scope == \"once\"",
            Vote {
                scope: "window",
                ..vote("alice")
            },
        ),
        ("principal.name == \"alice\"", vote("bob")),
    ] {
        let text =
            format!("@id(\"x\") permit (principal, action == Action::\"approve\", resource) when {{ {condition} }};");
        let policies = load_with(&text, &more_people());
        assert_eq!(may(&policies, &vote("alice")), None, "{condition}");
        assert_eq!(may(&policies, &no).as_deref(), Some("policy.approve"), "{condition}");
    }
    let policies = load_with(ONCALL, &more_people());
    for scope in ["", "Once", "session", "once\n"] {
        let odd = Vote { scope, ..vote("alice") };
        assert_eq!(may(&policies, &odd).as_deref(), Some("policy.internal"));
    }
}

#[test]
fn words_that_no_request_or_operation_has_are_refused_at_load() {
    for (action, condition, what, help) in [
        (
            "approve",
            "context.request.scope == \"windwo\"",
            "`windwo` is not a scope",
            "`window`",
        ),
        ("approve", "context.request.risk == \"hihg\"", "`hihg`", "`high`"),
        (
            "approve",
            "context.request.labels.contains(\"mutatng\")",
            "`mutatng`",
            "`mutating`",
        ),
        ("revoke", "context.operate.kind == \"grnat\"", "`grnat`", "`grant`"),
        (
            "lock",
            "[\"all\", \"everything\"].contains(context.operate.kind)",
            "`everything`",
            "all, agent",
        ),
        ("approve", "principal.nmae == \"alice\"", "nmae", ""),
        ("approve", "context.argv.command == \"x\"", "argv", ""),
    ] {
        let text =
            format!("@id(\"x\") permit (principal, action == Action::\"{action}\", resource) when {{ {condition} }};");
        let problems = try_load(&text, &more_people()).unwrap_err();
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert!(
            problem.what().contains(what) && problem.help().contains(help),
            "{problem}"
        );
    }
    for id in ["approve", "operate"] {
        let text = format!("@id(\"{id}\") permit (principal, action, resource);");
        assert!(
            try_load(&text, &more_people()).unwrap_err()[0]
                .what()
                .contains("is taken")
        );
    }
}

fn operate(policies: &Policies, person: &str, operate: Operate, kind: &str, on_behalf_of: &str) -> Option<String> {
    let person = word(person);
    rule(policies.may_operate(&Operation {
        person: &person,
        operate,
        kind,
        id: "s1",
        on_behalf_of,
    }))
}

const OPERATES: &str =
    "@id(\"operates\") permit (principal in Group::\"oncall\", action in Action::\"operate\", resource);\n";

#[test]
fn a_person_operates_only_where_a_policy_permits_it() {
    let policies = load_with(OPERATES, &more_people());
    for deed in Operate::ALL {
        assert_eq!(operate(&policies, "alice", deed, "session", ""), None);
        for stranger in ["carol", "dave", "mallory"] {
            let refused = operate(&policies, stranger, deed, "session", "");
            assert_eq!(refused.as_deref(), Some("policy.operate"), "{stranger}");
        }
        let approves = load_with(ONCALL, &more_people());
        assert!(operate(&approves, "alice", deed, "session", "").is_some());
        for other in Operate::ALL.into_iter().filter(|other| *other != deed) {
            let name = other.as_str();
            let text =
                format!("@id(\"x\") permit (principal, action == Action::\"{name}\", resource == Realm::\"default\");");
            let policies = load_with(&text, &more_people());
            assert!(operate(&policies, "alice", deed, "session", "").is_some(), "{name}");
            assert_eq!(operate(&policies, "alice", other, "session", ""), None, "{name}");
        }
    }
}

#[test]
fn what_is_revoked_has_a_kind() {
    let text = "@id(\"x\") permit (principal in Group::\"oncall\", action == Action::\"revoke\", resource)\n\
                when { [\"grant\", \"request\"].contains(context.operate.kind) && context.operate.id == \"s1\" };";
    let policies = load_with(text, &more_people());
    for (kind, may) in [
        ("grant", true),
        ("request", true),
        ("session", false),
        ("agent", false),
        ("person", false),
        ("tool", false),
        ("all", false),
    ] {
        let refused = operate(&policies, "alice", Operate::Revoke, kind, "");
        assert_eq!(refused.is_none(), may, "{kind}");
    }
    for kind in ["", "Grant", "grants", "realm"] {
        let refused = operate(&policies, "alice", Operate::Revoke, kind, "");
        assert_eq!(refused.as_deref(), Some("policy.internal"), "{kind}");
    }
}

#[test]
fn nobody_lifts_the_lock_of_an_agent_that_acts_for_them() {
    let text = format!(
        "{OPERATES}@id(\"not-ones-own\") forbid (principal, action == Action::\"unlock\", resource)\n\
         when {{ context.operate.on_behalf_of == principal.name }};"
    );
    let policies = load_with(&text, &more_people());
    let own = operate(&policies, "alice", Operate::Unlock, "session", "alice");
    assert_eq!(own.as_deref(), Some("policy.not-ones-own"));
    assert_eq!(operate(&policies, "bob", Operate::Unlock, "session", "alice"), None);
    assert_eq!(operate(&policies, "alice", Operate::Lock, "session", "alice"), None);
    // Where it is not known whom an agent acts for, a policy has to say so itself.
    assert_eq!(operate(&policies, "alice", Operate::Unlock, "session", ""), None);
    let careful = format!(
        "{text}@id(\"not-unknown\") forbid (principal, action == Action::\"unlock\", resource)\n\
         when {{ [\"agent\", \"session\"].contains(context.operate.kind) && context.operate.on_behalf_of == \"\" }};"
    );
    let policies = load_with(&careful, &more_people());
    let unknown = operate(&policies, "alice", Operate::Unlock, "session", "");
    assert_eq!(unknown.as_deref(), Some("policy.not-unknown"));
    assert_eq!(operate(&policies, "alice", Operate::Unlock, "all", ""), None);
}
