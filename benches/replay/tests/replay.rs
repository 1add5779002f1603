//! The command, over a handful of sequences and the folder for AgentDojo.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has nothing to show")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file or folder in a place of its own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn honest_and_attack_sequences_are_counted_per_source() {
    let (policy, cases) = (here("agentdojo/"), here("tests/cases.jsonl"));
    let out = replay(&[
        "--policy",
        policy.to_str().unwrap(),
        "--json",
        "--each",
        cases.to_str().unwrap(),
    ]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let counted = |source: &str, what: &str| {
        let share = &report["sources"][source][what];
        (share["count"].as_u64().unwrap(), share["of"].as_u64().unwrap())
    };
    // Reading never asks; a place in the request does not; the id of a file is no place; what comes before others' text
    // does not.
    assert_eq!(counted("mail", "sessions_with_an_ask"), (1, 4));
    assert_eq!(counted("mail", "asks_per_100_calls"), (1, 7));
    assert_eq!(counted("bank", "sessions_with_an_ask"), (0, 1));
    // Three sequences read others' text; of three injections one does nothing.
    assert_eq!(counted("mail", "attacks_stopped_at_the_first_effect"), (6, 6));
    assert_eq!(report["sources"]["mail"]["attacks_without_an_effect"], 3);
    assert_eq!(counted("bank", "attacks_stopped_at_the_first_effect"), (1, 1));
    assert_eq!(report["all"]["own_words"], 2);
    assert_eq!(report["all"]["denies"], 0);
    let each = report["sources"]["mail"]["each"].as_array().unwrap();
    assert_eq!((each.len(), &each[0]["task"]), (1, &Value::from("tidy")));
    assert_eq!(each[0]["rules"][0], "budget.after_untrusted");
}

#[test]
fn an_attack_that_nothing_asks_about_is_told_as_passed() {
    let folder = scratch("lax");
    for file in std::fs::read_dir(here("agentdojo")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(
        folder.join("assistant.cedar"),
        "@id(\"tools\") permit (principal == Role::\"assistant\", action in Action::\"call\", resource);",
    )
    .unwrap();
    std::fs::write(folder.join("budgets.toml"), "schema = 1\n").unwrap();
    let (policy, plan, cases) = (folder, here("agentdojo.toml"), here("tests/cases.jsonl"));
    let [policy, plan, cases] = [&policy, &plan, &cases].map(|path| path.to_str().unwrap());
    let out = replay(&["--policy", policy, "--plan", plan, "--each", cases]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let out = text(&out.stdout);
    assert!(out.contains("0/7 0.0 % [0.0, 35.4]"), "{out}");
    assert!(
        out.contains("bank pay small: not stopped send_money  nothing asked"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_replayed_is_an_error_and_no_figure() {
    let folder = scratch("wrong");
    let (policy, cases) = (here("agentdojo"), here("tests/cases.jsonl"));
    let (policy, cases) = (policy.to_str().unwrap(), cases.to_str().unwrap());
    let line = r#"{"suite":"s","task":"t","kind":"user","calls":[]}"#;
    let plan = std::fs::read_to_string(here("agentdojo.toml")).unwrap();
    for (name, text, said) in [
        (
            "kind.jsonl",
            line.replace("user", "honest"),
            "kind.jsonl:1: unknown variant `honest`",
        ),
        ("cut.jsonl", format!("{line}\n{{"), "cut.jsonl:2: "),
        (
            "calls.jsonl",
            r#"{"suite":"s","task":"t","kind":"user"}"#.to_owned(),
            "missing field `calls`",
        ),
        (
            "tool.toml",
            plan.replace("share_file =", "shared_file ="),
            "the folder has no tool `shared_file`",
        ),
        (
            "label.toml",
            plan.replace("net.egress", "net.ingress"),
            "the folder has no label `net.ingress`",
        ),
        (
            "who.toml",
            plan.replace("replay:owner", "replay:eve"),
            "`replay:eve` is nobody's account",
        ),
        ("key.toml", format!("asks = 3\n{plan}"), "unknown field `asks`"),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let out = match name.ends_with(".toml") {
            true => replay(&["--policy", policy, "--plan", path, cases]),
            false => replay(&["--policy", policy, path]),
        };
        assert_eq!(out.status.code(), Some(2), "{name}");
        assert!(
            self::text(&out.stderr).contains(said),
            "{name}: {}",
            self::text(&out.stderr)
        );
        assert!(out.stdout.is_empty(), "{name}");
    }
}
