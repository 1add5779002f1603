//! The configuration that the safe bins grew from: four keys of JSON, loaded as it stands.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge};

/// Word for word.
const WRITE_UP: &str = r#"{"safeBins": {"mcporter": {"allowedValueFlags": ["--config", "--timeout"],
                           "forbiddenFlags": ["--force", "--recursive", "--delete-all"]},
              "kubectl":  {"allowedValueFlags": ["--dry-run=client", "-n"],
                           "restrictedCommands": ["delete", "patch"]}}}
"#;

fn bundle(safe_bins: &str) -> Bundle {
    let files = [
        ("safe-bins.json", safe_bins),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"agent"},"attrs":{},"parents":[]}]"#,
        ),
        (
            "all.cedar",
            "@id(\"all\") permit (principal, action in Action::\"exec\", resource);",
        ),
    ];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
    Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

fn judged(bundle: &Bundle, command: &str) -> Judgement {
    let words: Vec<&str> = command.split(' ').collect();
    let line = serde_json::json!({ "actor": { "role": "agent" }, "exec": { "argv": words } }).to_string();
    let call = wire::read(line.as_bytes()).unwrap().call;
    let state = SessionState::new(Workspace::new("/workspace").unwrap());
    judge(bundle, &state, &call, Timestamp::from_millis(0))
}

fn outcome(bundle: &Bundle, command: &str) -> Outcome {
    judged(bundle, command).ruling.outcome()
}

#[test]
fn forbidden_flags_ask_in_every_spelling() {
    let bundle = bundle(WRITE_UP);
    for command in [
        "mcporter --force x",
        "mcporter x --force",
        "mcporter --force=true x",
        "mcporter --force=false x",
        "mcporter --timeout 5 --force",
        "mcporter --timeout=5 --delete-all x",
        "mcporter --forc x",
        "mcporter --delete_all x",
        "mcporter --recursive",
        "mcporter --unknown --force x",
    ] {
        assert_eq!(outcome(&bundle, command), Outcome::Ask, "{command}");
    }
    let rules = judged(&bundle, "mcporter --force x").ruling;
    let told = rules.deciding().any(|finding| finding.why().contains("--force"));
    assert!(told, "{}", rules.why());
}

#[test]
fn restricted_commands_ask_and_more_so_with_anything_about_them() {
    let bundle = bundle(WRITE_UP);
    for command in [
        "kubectl delete pod web-1",
        "kubectl -n web delete pod web-1",
        "kubectl -n=web delete pod web-1",
        "kubectl --dry-run=client delete pod web-1",
        "kubectl patch deploy web",
        "kubectl -n web patch deploy web",
        "kubectl get pods delete",
    ] {
        assert_eq!(outcome(&bundle, command), Outcome::Ask, "{command}");
    }
}

#[test]
fn a_flag_with_its_value_is_just_that_value_attached_and_once() {
    let bundle = bundle(WRITE_UP);
    let rule = |command: &str| {
        let ruling = judged(&bundle, command).ruling;
        let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
        assert_eq!(ruling.outcome(), Outcome::Ask, "{command}");
        rules.join(" ")
    };
    // The flag is understood; what is left is a program whose operands nobody described.
    assert!(
        !rule("kubectl --dry-run=client").contains("value"),
        "{}",
        rule("kubectl --dry-run=client")
    );
    assert!(rule("kubectl --dry-run=none").contains("unfit-value"));
    assert!(rule("kubectl --dry-run=server").contains("unfit-value"));
    assert!(rule("kubectl --dry-run").contains("missing-value"));
    assert!(rule("kubectl --dry-run client").contains("missing-value"));
    assert!(rule("kubectl --dry-run=client --dry-run=none").contains("unfit-value"));
    assert!(rule("kubectl --dry-run=client --dry-run=client").contains("repeated-option"));
}

#[test]
fn four_keys_without_verbs_or_operands_allow_nothing() {
    let bundle = bundle(WRITE_UP);
    for command in [
        "kubectl",
        "kubectl --version",
        "kubectl version",
        "kubectl get pods",
        "kubectl -n web get pods",
        "kubectl -n web",
        "mcporter",
        "mcporter list",
        "mcporter --config ops.json list",
        "mcporter --config ops.json",
        "mcporter --timeout 5 call linear.list_issues",
        "mcporter --help",
        "helm list",
    ] {
        assert_ne!(outcome(&bundle, command), Outcome::Allow, "{command}");
    }
}

#[test]
fn a_free_value_on_an_option_that_loads_config_is_reported() {
    let bundle = bundle(WRITE_UP);
    let lints: Vec<String> = bundle.lints().iter().map(ToString::to_string).collect();
    let told = lints.iter().find(|lint| lint.contains("mcporter --config"));
    let told = told.unwrap_or_else(|| panic!("no report on `mcporter --config` among {lints:?}"));
    assert!(told.starts_with("safe-bins.json:1:"), "{told}");
    assert!(told.contains("help: "), "{told}");
}

#[test]
fn so_is_one_of_kubectl() {
    let bundle = bundle(r#"{"safeBins": {"kubectl": {"allowedValueFlags": ["--kubeconfig", "-n"]}}}"#);
    let lints: Vec<String> = bundle.lints().iter().map(ToString::to_string).collect();
    assert_eq!(lints.len(), 2, "{lints:?}");
    assert!(lints[1].contains("has no examples"), "{}", lints[1]);
    assert!(lints[0].starts_with("safe-bins.json:1:"), "{}", lints[0]);
    assert!(
        lints[0].contains("`kubectl --kubeconfig` may name any code"),
        "{}",
        lints[0]
    );
}

#[test]
fn forbidden_can_be_made_final_and_a_pack_can_be_extended() {
    let strict = bundle(
        r#"{"safeBins": {"mcporter": {"forbiddenFlags": ["--force"], "forbidden": "deny"},
                         "kubectl": {"extends": "builtin:kubectl-readonly", "restrictedCommands": ["logs"]}}}"#,
    );
    for command in [
        "mcporter --force x",
        "mcporter x --force=1",
        "mcporter --unknown --force",
    ] {
        assert_eq!(outcome(&strict, command), Outcome::Deny, "{command}");
    }
    assert_eq!(outcome(&strict, "kubectl get pods -n web"), Outcome::Allow);
    assert_eq!(outcome(&strict, "kubectl logs web-1 -n web"), Outcome::Ask);
    assert_ne!(outcome(&strict, "kubectl delete pod web-1"), Outcome::Allow);
}
