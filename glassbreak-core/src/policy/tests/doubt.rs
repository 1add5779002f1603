//! What is in error, not known, or not declared counts against the call.

use super::*;

#[test]
fn a_forbid_in_error_counts_as_holding() {
    // Cedar allows this: it skips the forbid. The service is not in the snapshot, so it has no tier.
    let hard = "@id(\"hard\") forbid (principal, action, resource is Service) when { resource.tier < 2 };";
    let soft = format!(
        "@ask(\"oncall\") {}",
        hard.replace("action,", "action in Action::\"call\",")
            .replace("hard", "soft")
    );
    let asked = Asked::restart("unheard-of");
    let expected = (Outcome::Deny, vec!["policy.hard.error deny".to_owned()]);
    assert_eq!(asked.of(&with_permit(hard)), expected);
    let expected = (
        Outcome::Ask,
        vec!["policy.all clear".to_owned(), "policy.soft.error ask".to_owned()],
    );
    assert_eq!(asked.of(&with_permit(&soft)), expected);
    let overflows = "@id(\"big\") forbid (principal, action in Action::\"call\", resource) \
                     when { context.seq.budget.pod_delete.count + 1 > 5 };";
    let mut asked = Asked::kubectl("get", &[]);
    asked.seq = seq(i64::MAX);
    let findings = asked.with(|question| with_permit(overflows).decide(question));
    assert_eq!(outcome(&findings), Outcome::Deny);
    assert!(
        findings
            .iter()
            .all(|finding| !finding.why().contains("9223372036854775807")),
        "{findings:?}"
    );
}

#[test]
fn a_permit_in_error_does_not_permit() {
    let policies = load("@id(\"p\") permit (principal, action, resource is Service) when { resource.tier < 2 };");
    assert_eq!(Asked::restart("web").outcome(&policies), Outcome::Allow);
    let expected = vec!["policy.no-permit deny".to_owned(), "policy.p.error note".to_owned()];
    assert_eq!(Asked::restart("unheard-of").of(&policies), (Outcome::Deny, expected));
}

#[test]
fn what_is_known_in_part_is_not_read() {
    let soft = |condition: &str| {
        format!(
            "@id(\"x\") @ask(\"oncall\") forbid (principal, action in Action::\"exec\", resource) when {{ {condition} }};"
        )
    };
    let reading = [
        "context.argv.command == \"never\"",
        "context.target.name == \"never\"",
        "context.labels.contains(\"secret.read\")",
        "context has argv && context.risk == \"medium\"",
        "[context.target].contains({kind: \"\", namespace: \"\", name: \"\", owner: \"\"})",
        "(if context.risk == \"low\" then context else context).risk == \"medium\"",
    ];
    for condition in reading {
        let Ok(policies) = Folder::of(&format!("{PERMIT_ALL}{}", soft(condition))).load() else {
            panic!("{condition} should load");
        };
        let asked = Asked::kubectl("get", &[]);
        assert_eq!(asked.outcome(&policies), Outcome::Allow, "{condition}");
        let expected = (
            Outcome::Ask,
            vec!["policy.all clear".to_owned(), "policy.x.partial ask".to_owned()],
        );
        assert_eq!(asked.partial().of(&policies), expected, "{condition}");
    }
    let hard = "@id(\"x\") forbid (principal, action in Action::\"exec\", resource) when { context.argv.command == \"never\" };";
    assert_eq!(
        Asked::kubectl("get", &[]).partial().outcome(&with_permit(hard)),
        Outcome::Deny
    );
    let permit =
        "@id(\"p\") permit (principal, action in Action::\"exec\", resource) when { context.argv.command == \"get\" };";
    let expected = vec!["policy.no-permit deny".to_owned(), "policy.p.partial note".to_owned()];
    assert_eq!(
        Asked::kubectl("get", &[]).partial().of(&load(permit)),
        (Outcome::Deny, expected)
    );
    // What is not of the call's words may be read.
    let risk = "@id(\"r\") @ask(\"oncall\") forbid (principal, action in Action::\"call\", resource) when { context.risk == \"high\" };";
    let expected = (
        Outcome::Ask,
        vec!["policy.all clear".to_owned(), "policy.r ask".to_owned()],
    );
    assert_eq!(Asked::kubectl("get", &[]).partial().of(&with_permit(risk)), expected);
}

#[test]
fn a_target_that_is_not_one_counts_against_the_call() {
    let forbid = |condition: &str| {
        format!("@id(\"x\") forbid (principal, action in Action::\"call\", resource) when {{ {condition} }};")
    };
    let asked = |name: Fact| {
        let mut asked = Asked::kubectl("get", &[]);
        asked.facts.target.name = name;
        asked
    };
    for condition in [
        "context.target.name == \"db\"",
        "context.target has name && context.target.name == \"db\"",
        "context.target == {kind: \"\", namespace: \"\", name: \"db\", owner: \"\"}",
        "context has target.name && context.target.name == \"db\"",
    ] {
        let policies = with_permit(&forbid(condition));
        assert_eq!(
            asked(Fact::Is("db".into())).outcome(&policies),
            Outcome::Deny,
            "{condition}"
        );
        assert_eq!(
            asked(Fact::Is("web".into())).outcome(&policies),
            Outcome::Allow,
            "{condition}"
        );
        assert_eq!(asked(Fact::Absent).outcome(&policies), Outcome::Allow, "{condition}");
        let expected = (Outcome::Deny, vec!["policy.x.error deny".to_owned()]);
        assert_eq!(asked(Fact::Unknown).of(&policies), expected, "{condition}");
    }
    // The facts that are known stay readable.
    let policies = with_permit(&forbid("context.target.kind == \"db\""));
    assert_eq!(asked(Fact::Unknown).outcome(&policies), Outcome::Allow);
}

#[test]
fn calls_that_the_bundle_does_not_declare_are_refused() {
    let policies = load(PERMIT_ALL);
    let declared = Asked::restart("web");
    assert_eq!(declared.outcome(&policies), Outcome::Allow);
    let wrong: [(Action<'static>, Resource<'static>); 6] = [
        (Action::Exec("helm"), Resource::Program("helm")),
        (Action::Tool("unheard"), Resource::Tool("unheard")),
        (Action::Tool("restart_service"), Resource::Tool("restart_service")),
        (Action::Tool("mcp/chat:say"), Resource::Tool("restart_service")),
        (Action::Tool("restart_service"), Resource::Host { ty: "Fleet", id: "x" }),
        (Action::Exec("kubectl"), Resource::Tool("kubectl")),
    ];
    for (action, resource) in wrong {
        let asked = Asked {
            action,
            resource,
            ..Asked::restart("web")
        };
        assert_eq!(
            asked.of(&policies),
            (Outcome::Deny, vec!["policy.unknown-action deny".to_owned()])
        );
    }
    let mut asked = Asked::kubectl("", &[]);
    asked.facts.argv.as_mut().unwrap().sets.clear();
    let asked = Asked {
        action: Action::Unlisted,
        resource: Resource::Program("helm"),
        ..asked
    };
    assert_eq!(asked.outcome(&policies), Outcome::Allow);
}

#[test]
fn facts_that_do_not_fit_their_action_are_refused() {
    let policies = with_permit(
        "@id(\"a\") forbid (principal, action == Action::\"exec:kubectl\", resource) when { context.argv.command == \"x\" };
         @id(\"b\") forbid (principal, action == Action::\"tool:restart_service\", resource) when { context.args.name == \"x\" && context.args has times && context.args.times > 1 };
         @id(\"c\") forbid (principal, action in Action::\"call\", resource) when { context.seq.budget.pod_delete.fired };",
    );
    let refused = |asked: Asked| {
        assert_eq!(
            asked.of(&policies),
            (Outcome::Deny, vec!["policy.facts deny".to_owned()])
        );
    };
    refused(Asked::exec(Facts::default()));
    let mut asked = Asked::kubectl("get", &[]);
    asked.facts.argv.as_mut().unwrap().sets.reverse();
    refused(asked);
    let mut asked = Asked::kubectl("get", &[]);
    asked.seq = SeqFacts::default();
    refused(asked);
    for (name, value) in [
        ("name", ArgValue::Int(1)),
        ("more", ArgValue::Bool(true)),
        ("times", ArgValue::Str("2".into())),
    ] {
        let mut asked = Asked::restart("web");
        asked.facts.args.as_mut().unwrap().insert(name.into(), value);
        refused(asked);
    }
    let mut asked = Asked::restart("web");
    asked.facts.args.as_mut().unwrap().clear();
    refused(asked);
}

#[test]
fn a_set_over_its_size_is_refused() {
    let policies = with_permit(
        "@id(\"a\") forbid (principal, action == Action::\"exec:kubectl\", resource) when { context.argv.command == \"x\" };",
    );
    let mut asked = Asked::kubectl("get", &[]);
    asked.facts.argv.as_mut().unwrap().operands = (0..5000).map(|n| n.to_string().into()).collect();
    assert_eq!(
        asked.of(&policies),
        (Outcome::Deny, vec!["policy.context-too-large deny".to_owned()])
    );
}
