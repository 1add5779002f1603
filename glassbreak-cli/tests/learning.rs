//! Rules that are only observed, from the verdict to the proposal.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use glassbreak_core::audit::{AuditLog, Permitted, Refused};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::judge::{SessionState, judge};
use glassbreak_core::store::OpId;
use serde_json::Value;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    fn new() -> Self {
        let name = format!("glassbreak-cli-learning-{}", OpId::mint(Timestamp::now()));
        Self(std::env::temp_dir().join(name))
    }

    /// A policy folder of one tool, and a budget of one call with this mode.
    fn policy(&self, name: &str, mode: &str) -> PathBuf {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).unwrap();
        let budgets = format!(
            "schema = 1\n[[budget]]\nid = \"drops\"\nmatch = {{ labels = [\"mutating\"] }}\nkey = [\"session\"]\n\
             limit = 1\nwindow = {{ sliding = \"1h\" }}\ndurability = \"none\"\nceiling = 6\n{mode}\n"
        );
        for (file, text) in [
            (
                "tools.toml",
                "[tools.drop]\nlabels = [\"mutating\"]\nschema = { type = \"object\", properties = {} }\n",
            ),
            ("budgets.toml", budgets.as_str()),
            (
                "p.cedar",
                "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n",
            ),
            (
                "entities.json",
                "[{\"uid\":{\"type\":\"Role\",\"id\":\"ops\"},\"attrs\":{},\"parents\":[]}]",
            ),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        folder
    }

    /// A log of sessions with so many drops each.
    fn log(&self, name: &str, policy: &Path, sessions: &[u32]) -> PathBuf {
        let (dir, bundle) = (self.0.join(name), Bundle::open(policy).unwrap());
        let log = AuditLog::open(&dir).unwrap();
        for (n, drops) in sessions.iter().enumerate() {
            let mut state = SessionState::new(Workspace::new("/srv/ops").unwrap());
            for second in 0..*drops {
                let call = wire::read(drop_line(&format!("s{n}")).as_bytes()).unwrap().call;
                let at = Timestamp::from_millis(i64::from(second) * 1000);
                let judgement = judge(&bundle, &state, &call, at);
                state.advance(&bundle, &call, &judgement, at, true);
                let id = OpId::mint(Timestamp::now());
                match judgement.denial() {
                    None => log.append(Permitted::new(id, &call, &judgement, &bundle)).unwrap(),
                    Some(denial) => log
                        .append(Refused::new(id, Some(&call), &judgement, &denial, &bundle))
                        .unwrap(),
                };
            }
        }
        log.close().unwrap();
        dir
    }
}

fn drop_line(session: &str) -> String {
    format!(r#"{{"actor":{{"role":"ops","session":"{session}"}},"tool":{{"name":"drop","arguments":{{}}}}}}"#)
}

/// The verdicts on three drops in one session.
fn verdicts(policy: &Path, variables: &[(&str, &str)]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
    command.args(["check", "--sequence", "--policy"]).arg(policy);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
    let lines = format!("{}\n", drop_line("s")).repeat(3);
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn learn(policy: &Path, log: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
    command.args(["learn", "budgets", "--policy"]).arg(policy).arg(log);
    command.args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn no_environment_variable_switches_observing_on() {
    let scratch = Scratch::new();
    let words = ["observe", "1", "true", "learn"];
    let names = [
        "GLASSBREAK_MODE",
        "GLASSBREAK_OBSERVE",
        "GLASSBREAK_BUDGETS_MODE",
        "MODE",
        "mode",
        "OBSERVE",
    ];
    for mode in ["", "mode = \"enforce\""] {
        let policy = scratch.policy("enforced", mode);
        for word in words {
            let variables = names.map(|name| (name, word));
            let verdicts = verdicts(&policy, &variables);
            assert_eq!(
                (&verdicts[0]["verdict"], &verdicts[1]["verdict"]),
                (&"allow".into(), &"ask".into())
            );
            assert!(verdicts.iter().all(|verdict| verdict.get("observe").is_none()));
        }
    }
}

#[test]
fn every_verdict_says_loudly_what_is_not_enforced() {
    let scratch = Scratch::new();
    let verdicts = verdicts(&scratch.policy("observed", "mode = \"observe\""), &[]);
    for verdict in &verdicts {
        assert_eq!(verdict["verdict"], "allow");
        assert_eq!(verdict["observe"]["not_enforced"][0], "budget.drops");
        let why = verdict["why"].as_str().unwrap();
        assert!(why.contains("OBSERVE MODE, NOT ENFORCED: budget.drops"), "{why}");
    }
    assert_eq!(verdicts[0]["observe"]["would"].as_array().unwrap().len(), 0);
    assert_eq!(verdicts[2]["observe"]["would"][0]["would"], "ask");
}

#[test]
fn limits_are_proposed_with_their_bound_and_put_nowhere() {
    let scratch = Scratch::new();
    let policy = scratch.policy("observed", "mode = \"observe\"");
    let before = fs::read(policy.join("budgets.toml")).unwrap();
    // Four sessions are clean; the fifth came past the ceiling and was refused.
    let log = scratch.log("log", &policy, &[1, 3, 2, 1, 7]);
    let output = learn(&policy, &log, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for said in [
        "# PROPOSAL, not in force: a person decides",
        "# From 4 sessions; left out are 1 in which something was asked, refused or locked",
        "# 1 in 5 (20.00 %), for each rule; for all 1 together at most 20.00 %.",
        "# For 1 % for each rule, 99 sessions are needed.",
        "limit = 1, ceiling = 6. THIS LOOSENS IT.",
        "[[budget]]\nid = \"drops\"\nlimit = 3\n",
    ] {
        assert!(told.contains(said), "{said}\n{told}");
    }
    let output = learn(&policy, &log, &["--json", "--margin", "1.5"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["proposal"], &json["in_force"]), (&true.into(), &false.into()));
    assert_eq!(
        (&json["rules"][0]["limit"], &json["rules"][0]["most"]),
        (&5.into(), &3.into())
    );
    assert_eq!(fs::read(policy.join("budgets.toml")).unwrap(), before);
}

#[test]
fn nothing_is_learned_from_a_log_that_was_changed_or_of_another_folder() {
    let scratch = Scratch::new();
    let policy = scratch.policy("observed", "mode = \"observe\"");
    let log = scratch.log("log", &policy, &[1, 3]);
    let other = scratch.policy("other", "mode = \"observe\"\n# changed");
    let output = learn(&other, &log, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("2 of another policy folder"),
        "{}",
        text(&output.stderr)
    );
    let enforced = scratch.policy("enforced", "");
    assert_eq!(learn(&enforced, &log, &[]).status.code(), Some(2));
    assert_eq!(learn(&policy, &log, &["--margin", "0.5"]).status.code(), Some(2));
    let chain = fs::read_dir(&log).unwrap().map(|file| file.unwrap().path());
    let chain = chain
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
        .unwrap();
    let changed = fs::read_to_string(&chain)
        .unwrap()
        .replace("{\"drops\":3}", "{\"drops\":9}");
    fs::write(&chain, changed).unwrap();
    let output = learn(&policy, &log, &[]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true));
    assert!(text(&output.stderr).contains("TAMPERED"), "{}", text(&output.stderr));
}
