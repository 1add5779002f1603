//! What stands behind a wrapper is judged as if it stood alone.

use super::dialect_tests::{expect, judged, load};
use super::parse::Role;
use super::profile::Verdict;
use super::{Programs, verdict_of};

fn wrappers() -> Programs {
    load(
        "schema = 1\nuse = [\"builtin:git-readonly\", \"builtin:kubectl-readonly\", \"builtin:ls-readonly\"]\n\
         [profiles.timeout]\ndialect.order = \"options-first\"\nroot.verdict = \"allow\"\nroot.stdin = true\n\
         root.options = [{ names = [\"-k\"], value = \"seconds\" }]\n\
         root.forms = [{ operands = [{ type = \"seconds\" }, { type = \"command\" }] }]\n\
         examples.allow = [\"timeout 5 ls\", \"timeout -k 5 60 git log -1\"]\nexamples.ask = [\"timeout 5 ls --zz\"]\n\
         examples.deny = [\"timeout 5 sh -c x\"]\n\
         [profiles.env]\ndialect.order = \"options-first\"\nroot.verdict = \"allow\"\n\
         root.options = [{ names = [\"-i\"], verdict = \"ask\" }]\n\
         root.forms = [{ operands = [{ type = \"env-variable\", min = 0, max = 16 }, { type = \"command\" }] }]\n\
         examples.allow = [\"env TZ=UTC git log -1\"]\n\
         [profiles.xargs]\ndialect.order = \"options-first\"\nroot.verdict = \"allow\"\nroot.stdin = true\n\
         root.options = [{ names = [\"-n\"], value = \"int\" }]\n\
         root.forms = [{ operands = [{ type = \"command\", adds-words = true }] }]\nexamples.ask = [\"xargs ls\"]\n",
    )
}

#[test]
fn a_wrapped_call_gets_the_stricter_verdict_of_wrapper_and_command() {
    let all = wrappers();
    expect(
        &all,
        Verdict::Allow,
        &[
            "timeout 5 kubectl get pods -n web",
            "env TZ=UTC LANG=C git log -1",
            "timeout 5 env TZ=UTC ls -la",
            "timeout -- 5 git log -- README.md",
            "timeout 5 timeout 5 timeout 5 timeout 5 ls",
        ],
    );
    expect(
        &all,
        Verdict::Ask,
        &[
            "timeout 5 kubectl delete pod web-0",
            "timeout x ls",
            "timeout 5",
            "timeout 5 frobnicate",
            "timeout 5 git log --zz",
            "env FOO=bar ls",
            "env -i git log -1",
            "xargs ls",
            "xargs git push",
            "timeout 5 -k 5 ls",
        ],
    );
    expect(
        &all,
        Verdict::Deny,
        &[
            "timeout 5 sh -c id",
            "timeout 5 sudo ls",
            "env LD_PRELOAD=/tmp/x.so ls",
            "env PATH=/tmp git log",
            "env KUBECONFIG=x kubectl get pods",
            "timeout 5 ./kubectl get pods",
            "timeout 5 /bin/ls",
            "timeout 5 kubectl kustomize --enable-helm .",
            "timeout 5 ls /etc",
            "xargs sudo ls",
            "timeout 5 timeout 5 timeout 5 timeout 5 timeout 5 timeout 5 ls",
        ],
    );
}

#[test]
fn facts_labels_and_target_are_those_of_what_is_run() {
    let judged = judged(
        &wrappers(),
        &["timeout", "5", "kubectl", "delete", "pod", "web-0", "-n", "prod"],
    );
    assert_eq!(&*judged.facts.program, "kubectl");
    assert_eq!(&*judged.facts.command, "delete");
    assert_eq!(judged.target.namespace.text(), Some("prod"));
    assert_eq!(judged.program_at, 2);
    assert!(!judged.partial);
    assert!(!judged.labels.is_empty());
    assert_eq!(judged.roles[2], Role::Command);
    assert_eq!(judged.roles.len(), 8);
    assert!(
        judged
            .roles
            .iter()
            .all(|role| !matches!(role, Role::Unknown | Role::Unread))
    );
}

#[test]
fn what_the_profile_of_the_command_puts_in_is_put_in_behind_a_wrapper_too() {
    let all = wrappers();
    let alone = judged(&all, &["git", "log", "-1"]);
    let wrapped = judged(&all, &["env", "TZ=UTC", "timeout", "5", "git", "log", "-1"]);
    let words: Vec<&str> = wrapped.plan.argv().collect();
    let own: Vec<&str> = alone.plan.argv().collect();
    assert_eq!(words[..4], ["env", "TZ=UTC", "timeout", "5"]);
    assert_eq!(words[4..], own);
    assert!(own.len() > 3, "git's profile puts words in: {own:?}");
    assert_eq!(wrapped.plan.program(), "env");
    for variable in alone.plan.env() {
        assert!(wrapped.plan.env().any(|known| known == variable), "{variable:?}");
    }
}

#[test]
fn words_of_a_wrapper_that_are_not_understood_hide_no_denied_command() {
    let all = wrappers();
    for line in [
        "timeout --zz 5 kubectl kustomize --enable-helm .",
        "timeout 5x kubectl kustomize --enable-helm .",
        "timeout --zz 5 sudo ls",
        "timeout 5x sh -c id",
        "timeout --zz kubectl git",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(verdict_of(&judged(&all, &words).findings), Verdict::Deny, "{line}");
    }
    let judged = judged(&all, &["timeout", "--zz", "5", "kubectl", "delete", "pod", "x"]);
    assert_eq!(verdict_of(&judged.findings), Verdict::Ask);
    assert_eq!(&*judged.facts.program, "kubectl");
    assert!(judged.partial);
}

#[test]
fn words_that_xargs_adds_leave_the_facts_partial() {
    let judged = judged(&wrappers(), &["xargs", "-n", "1", "kubectl", "get", "pods"]);
    assert!(judged.partial);
    assert_eq!(&*judged.facts.program, "kubectl");
    assert!(
        judged
            .findings
            .iter()
            .any(|finding| finding.rule().as_str() == "argv.xargs.adds-words")
    );
}

#[test]
fn a_command_that_is_not_the_rest_of_the_words_does_not_load() {
    for forms in [
        "root.forms = [{ operands = [{ type = \"command\" }] }]",
        "dialect.order = \"options-first\"\nroot.forms = [{ operands = [{ type = \"command\" }, { type = \"text\" }] }]",
        "root.options = [{ names = [\"-c\"], value = \"command\" }]",
    ] {
        let text = format!("schema = 1\n[profiles.x]\n{forms}\nexamples.ask = [\"x\"]\n");
        let source = crate::source::Source {
            file: "safe-bins.toml",
            text: &text,
        };
        let loaded = Programs::load(
            Some(source),
            crate::finding::Outcome::Ask,
            &crate::label::Vocabulary::built_in(),
        );
        let problems = loaded.map(|_| ()).unwrap_err();
        assert!(problems[0].to_string().contains("rest of the words"), "{problems:?}");
    }
}
