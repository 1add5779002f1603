//! Which clause is named, and what is told of the values it saw.

use super::*;

const PERMITS: &str = r#"@id("far")
permit (principal, action == Action::"exec:kubectl", resource)
when {
  context.risk == "high" && // never mind
  context.argv.command == "get" &&
  context.argv.kinds.contains("pod")
};
@id("near")
permit (principal in Team::"ops-agents", action == Action::"exec:kubectl", resource)
when { context.seq.budget.pod_delete.count <= 3 && context.argv.command == "logs" }
unless { context.argv.kinds.contains("secret") };
@id("another-action")
permit (principal, action == Action::"exec:git", resource);
"#;

fn hint(asked: &Asked, policies: &Policies) -> String {
    let findings = asked.with(|question| policies.decide(question));
    let finding = findings
        .iter()
        .find(|finding| finding.rule().as_str() == "policy.no-permit");
    finding.unwrap().hint().to_owned()
}

fn clause(asked: &Asked, policies: &Policies, id: &str) -> Option<Clause> {
    let traces = asked.with(|question| policies.explain(question));
    traces.into_iter().find(|trace| trace.id == id).unwrap().clause
}

fn saw(clause: &Clause) -> Vec<String> {
    clause
        .saw
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[test]
fn where_nothing_permits_the_nearest_permit_is_named_with_its_first_clause_that_fails() {
    let policies = load(PERMITS);
    let hint = hint(&Asked::kubectl("delete", &["pod"]), &policies);
    assert_eq!(
        hint,
        "a policy must permit it first; the nearest is `near`, which wants `context.argv.command == \"logs\"` \
         (main.cedar:10:52); here context.argv.command is \"delete\""
    );
}

#[test]
fn a_permit_without_condition_elsewhere_and_one_that_could_not_be_read_are_not_near() {
    let policies = load(PERMITS);
    let plain = "a policy must permit it first";
    assert_eq!(hint(&Asked::kubectl("delete", &["pod"]).partial(), &policies), plain);
    assert_eq!(hint(&Asked::kubectl("delete", &["pod"]), &load("")), plain);
}

#[test]
fn where_the_bundle_asks_instead_the_question_stays_the_same_whatever_the_values() {
    let mut folder = Folder::of(PERMITS);
    folder.no_permit = Outcome::Ask;
    let policies = folder.load().unwrap();
    assert_eq!(
        hint(&Asked::kubectl("delete", &[]), &policies),
        "a policy must permit it first"
    );
}

#[test]
fn an_explanation_names_the_clause_of_every_policy_it_can() {
    let policies = load(PERMITS);
    let asked = Asked::kubectl("logs", &["secret", "pod"]);
    let far = clause(&asked, &policies, "far").unwrap();
    assert_eq!(
        (far.text.as_str(), far.line, far.column),
        ("context.risk == \"high\"", 4, 3)
    );
    assert_eq!(saw(&far), ["context.risk=\"low\""]);
    let near = clause(&asked, &policies, "near").unwrap();
    assert_eq!(near.text, "unless { context.argv.kinds.contains(\"secret\") }");
    assert_eq!((near.file.as_str(), near.line, near.column), ("main.cedar", 11, 1));
    assert_eq!(saw(&near), ["context.argv.kinds=[\"pod\", \"secret\"]"]);
}

#[test]
fn a_forbid_that_holds_is_told_with_all_of_its_condition() {
    let policies = load(SAMPLE);
    let asked = Asked::kubectl("delete", &["namespace"]);
    let clause = clause(&asked, &policies, "no-namespace-delete").unwrap();
    assert_eq!(
        clause.text,
        "context.argv.command == \"delete\" && context.argv.kinds.contains(\"namespace\")"
    );
    assert_eq!(
        saw(&clause),
        ["context.argv.command=\"delete\"", "context.argv.kinds=[\"namespace\"]"]
    );
    let permit = self::clause(&asked, &policies, "ops-kubectl");
    assert_eq!(permit, None, "it has no condition");
}

#[test]
fn a_denial_names_the_clause_that_forbids_and_the_values_it_saw() {
    let deny = |policies: &Policies, asked: &Asked| {
        let findings = asked.with(|question| policies.decide(question));
        let denial = findings
            .into_iter()
            .find(|finding| finding.level() == Level::Deny)
            .unwrap();
        (denial.rule().to_string(), denial.hint().to_owned())
    };
    let (rule, hint) = deny(&load(SAMPLE), &Asked::kubectl("delete", &["namespace"]));
    assert_eq!(rule, "policy.no-namespace-delete");
    assert_eq!(
        hint,
        "this is final: no approval lifts it; it forbids where \
         `context.argv.command == \"delete\" && context.argv.kinds.contains(\"namespace\")` (main.cedar:14:8); \
         here context.argv.command is \"delete\", context.argv.kinds is [\"namespace\"]"
    );
    let by_argument = with_permit(
        "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource)\n\
         when { context.args.name == \"web\" };",
    );
    let (_, hint) = deny(&by_argument, &Asked::restart("web"));
    assert!(hint.ends_with("here context.args.name is not shown"), "{hint}");
    let in_error = with_permit(
        "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource)\n\
         when { context.risk == \"low\" && resource.tier == 1 };",
    );
    let (rule, hint) = deny(&in_error, &Asked::restart("unheard-of"));
    assert_eq!(
        (rule.as_str(), hint.as_str()),
        (
            "policy.x.error",
            "it forbids where `resource.tier == 1` (main.cedar:3:33)"
        )
    );
    // Without a condition there is no clause; what people are asked stays the same whatever the values.
    let bare = with_permit("@id(\"x\") forbid (principal, action == Action::\"exec:kubectl\", resource);");
    assert_eq!(
        deny(&bare, &Asked::kubectl("get", &[])).1,
        "this is final: no approval lifts it"
    );
    let asks = Asked::kubectl("delete", &["pod"]).with(|question| load(SAMPLE).decide(question));
    assert!(
        asks.iter().all(|finding| !finding.hint().contains("context.")),
        "{asks:?}"
    );
}

#[test]
fn a_policy_in_error_is_told_with_the_clause_that_is() {
    let text = "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource)\n\
                when { context.risk == \"low\" && resource.tier == 1 };";
    let policies = with_permit(text);
    let clause = clause(&Asked::restart("unheard-of"), &policies, "x").unwrap();
    assert_eq!(
        (clause.text.as_str(), clause.line, clause.column),
        ("resource.tier == 1", 3, 33)
    );
}

#[test]
fn no_value_of_an_argument_is_told() {
    let text = "@id(\"x\")\npermit (principal, action == Action::\"tool:restart_service\", resource)\n\
                when { context.args.name == \"other\" && context.args.tags.contains(\"b\") };\n\
                @id(\"y\")\nforbid (principal, action == Action::\"tool:restart_service\", resource)\n\
                when { [context.args].contains(context.args) && [context].contains(context) && context.args has times };";
    let policies = load(text);
    let asked = Asked::restart("web");
    let told = format!(
        "{} {:?}",
        hint(&asked, &policies),
        asked.with(|question| policies.explain(question))
    );
    assert!(told.contains("context.args.name is not shown"), "{told}");
    assert!(!told.contains("\"web\""), "{told}");
    assert!(!told.contains("\"a\""), "{told}");
}

#[test]
fn values_are_escaped_and_cut_and_sets_have_an_end() {
    let mut facts = kubectl("delete", &[]);
    let argv = facts.argv.as_mut().unwrap();
    argv.command = format!("a\u{202e}\"b{}", "x".repeat(500)).as_str().into();
    argv.operands = (0..100).map(|n| format!("web-{n:02}").as_str().into()).collect();
    let text = "@id(\"x\") permit (principal, action == Action::\"exec:kubectl\", resource)\n\
                when { context.argv.command == \"get\" || context.argv.operands.contains(\"x\") };";
    let asked = Asked::exec(facts);
    let policies = load(text);
    let clause = clause(&asked, &policies, "x").unwrap();
    let saw = saw(&clause);
    assert!(
        saw[0].starts_with("context.argv.command=\"a\\u{202e}\\\"bxxx") && saw[0].len() < 200,
        "{saw:?}"
    );
    assert!(saw[1].ends_with("\"web-07\", … (92 more)]"), "{saw:?}");
    let hint = hint(&asked, &policies);
    assert!(hint.len() < 700 && !hint.contains('\u{202e}'), "{hint}");
}

#[test]
fn a_clause_is_on_one_line_and_its_comments_stay_out() {
    let text = "@id(\"x\") permit (principal, action == Action::\"exec:kubectl\", resource)\n\
                when { (context.argv.command == \"get\" // or\n ||\n context.argv.command\n == \"https://x\") && context.risk\n  == \"low\" };";
    let policies = load(text);
    let first = clause(&Asked::kubectl("delete", &[]), &policies, "x").unwrap();
    assert!(
        first.text.contains("https://x") && !first.text.contains("// or"),
        "{}",
        first.text
    );
    assert!(!first.text.contains('\n'));
}
