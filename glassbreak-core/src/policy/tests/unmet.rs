//! What loads and waits for what no call has.

use crate::bundle::{Bundle, Files};

const TOOLS: &str = r#"
[tools.restart]
labels = ["mutating"]
target = { kind = "service", name = "args.name" }
[tools.restart.schema]
type = "object"
required = ["name"]
properties.name = { type = "string" }
[tools.look]
labels = []
"#;

fn lints(policies: &str) -> Vec<String> {
    let files: Files = [
        ("p.cedar", policies),
        ("tools.toml", TOOLS),
        ("safe-bins.toml", "schema = 1\nuse = [\"builtin:kubectl-readonly\"]\n"),
        (
            "entities.json",
            "[{\"uid\":{\"type\":\"Role\",\"id\":\"ops\"},\"attrs\":{},\"parents\":[]}]",
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into()))
    .collect();
    let bundle = Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"));
    bundle.lints().iter().map(ToString::to_string).collect()
}

fn forbid(scope: &str, condition: &str) -> String {
    format!("\n@id(\"x\")\nforbid (principal, {scope})\nwhen {{ {condition} }};")
}

#[test]
fn a_fact_that_no_call_has_is_told_of_with_its_policy() {
    for (scope, condition, fact) in [
        (
            "action == Action::\"tool:look\", resource",
            "context.target.name == \"web\"",
            "target.name",
        ),
        (
            "action in Action::\"tool\", resource",
            "context.target.owner == \"me\"",
            "target.owner",
        ),
        (
            "action in [Action::\"tool:restart\"], resource",
            "context.target.namespace like \"p*\"",
            "target.namespace",
        ),
        (
            "action == Action::\"exec:kubectl\", resource",
            "context.target.owner == \"me\"",
            "target.owner",
        ),
        (
            "action, resource is Tool",
            "context has target && context.risk == \"low\"",
            "",
        ),
        (
            "action == Action::\"tool:restart\", resource",
            "context.target.name == \"web\"",
            "",
        ),
        (
            "action in Action::\"call\", resource",
            "context.target.name == \"web\"",
            "",
        ),
        (
            "action == Action::\"exec:kubectl\", resource",
            "context.target.namespace == \"prod\"",
            "",
        ),
        (
            "action == Action::\"exec:kubectl\", resource",
            "context.argv.kinds.contains(\"secret\")",
            "",
        ),
    ] {
        // Approving reads the context of another action, so a scope of all actions is checked with `call` in its place.
        let text = forbid(&scope.replace("action, ", "action in Action::\"tool\", "), condition);
        let lints = lints(&text);
        if fact.is_empty() {
            assert_eq!(lints, Vec::<String>::new(), "{text}");
            continue;
        }
        let expected = format!("p.cedar:2:1: policy `x`: no call that it can meet ever has `context.{fact}`");
        assert!(lints.len() == 1 && lints[0].starts_with(&expected), "{text} {lints:?}");
    }
}

#[test]
fn a_label_that_no_call_is_given_is_told_of() {
    let labelled = |scope: &str, label: &str| lints(&forbid(scope, &format!("context.labels.contains(\"{label}\")")));
    let told = labelled("action in Action::\"tool\", resource", "secret.read");
    assert!(
        told.len() == 1 && told[0].contains("ever labelled `secret.read`"),
        "{told:?}"
    );
    assert_eq!(
        labelled("action == Action::\"tool:look\", resource", "mutating").len(),
        1
    );
    assert_eq!(labelled("action in Action::\"tool\", resource", "mutating").len(), 0);
    assert_eq!(
        labelled("action == Action::\"exec:kubectl\", resource", "secret.read").len(),
        0
    );
}

#[test]
fn a_program_that_no_profile_describes_is_told_of() {
    let scope = |program: &str| format!("action in Action::\"exec\", resource == Program::\"{program}\"");
    let named = |program: &str| lints(&format!("@id(\"x\") forbid (principal, {});", scope(program)));
    assert_eq!(named("kubectl").len(), 0);
    let told = named("kubeclt");
    assert!(
        told.len() == 1
            && told[0].contains("no profile describes")
            && told[0].contains("did you mean `Program::\"kubectl\"`?"),
        "{told:?}"
    );
    let told = named("terraform");
    assert!(told.len() == 1 && told[0].contains("safe-bins.toml"), "{told:?}");
    let within = lints(&forbid(
        "action in Action::\"exec\", resource",
        "resource == Program::\"helm\"",
    ));
    assert_eq!(within.len(), 1, "{within:?}");
}
