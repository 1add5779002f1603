//! The attacks on approvals that `SECURITY.md` numbers, where they meet the command: see `glassbreak-sqlite/tests/attacks` for
//! all others.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use glassbreak_core::approval::{Request, State};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Args, Word};
use glassbreak_core::gate::{Gate, Verdict};
use glassbreak_core::store::Requests;
use glassbreak_sqlite::SqliteStore;
use uuid::Uuid;

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("asks") @ask("oncall") forbid (principal, action == Action::"tool:deploy", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// A policy folder whose approver is whoever runs this, a store, a log, and a question.
struct House {
    root: PathBuf,
    request: Request,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl House {
    async fn new() -> Self {
        let root = std::env::temp_dir().join(format!("glassbreak-cli-attacks-{}", Uuid::now_v7()));
        for folder in ["", "work", "policy", "state"] {
            fs::DirBuilder::new().mode(0o755).create(root.join(folder)).unwrap();
        }
        let uid = rustix::process::getuid().as_raw();
        let people = format!("[groups.oncall]\n[persons.carol]\ngroups = [\"oncall\"]\nuid = {uid}\n");
        let roles = r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#;
        for (name, text) in [
            ("p.cedar", POLICY),
            (
                "tools.toml",
                "[tools.deploy]\nlabels = [\"mutating\"]\nschema = { type = \"object\", properties = {} }\n",
            ),
            ("people.toml", &people),
            ("entities.json", roles),
        ] {
            fs::write(root.join("policy").join(name), text).unwrap();
        }
        let gate = Gate::builder(Bundle::open(root.join("policy")).unwrap())
            .store(SqliteStore::open(root.join("state/store.db")).await.unwrap())
            .audit(AuditLog::open(root.join("audit")).unwrap())
            .answered_elsewhere();
        let gate = gate.build().await.unwrap();
        let mut actor = Actor::new(word("ops"), word("s"));
        actor.on_behalf_of = Some(word("alice"));
        let session = gate.session(actor).workspace(root.join("work")).unwrap();
        let Verdict::Ask(escalation) = session.tool(word("deploy"), Args::new()).check().await else {
            panic!("nothing asks")
        };
        let request = escalation.open().await.unwrap().request().clone();
        Self { root, request }
    }

    /// Runs a command away from any terminal, with these words on its input.
    fn run(&self, policy: bool, words: &[&str], input: &str) -> (i32, String) {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(env!("CARGO_BIN_EXE_glassbreak")).args(words);
        command.arg("--store").arg(self.root.join("state/store.db"));
        if policy {
            command.arg("--policy").arg(self.root.join("policy"));
            command.arg("--audit").arg(self.root.join("audit"));
        }
        // What a host or a shell may have told of somebody is nobody's word here.
        command
            .env("SUDO_UID", "0")
            .env("USER", "carol")
            .env("GLASSBREAK_YES", "1");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end before it has read any.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    async fn now(&self) -> Request {
        let store = SqliteStore::open(self.root.join("state/store.db")).await.unwrap();
        assert!(store.grants().await.unwrap().is_empty());
        store.request(self.request.id).await.unwrap().unwrap()
    }

    /// What the log has on disk, by file.
    fn log(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.root.join("audit")).unwrap();
        let mut log: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        log.sort();
        log
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a21_no_command_answers_without_a_terminal_whatever_it_is_given() {
    let house = House::new().await;
    let id = house.request.id.to_string();
    // Carol may agree, and this runs as her: but no person is at a terminal.
    for words in [
        vec!["approve", &id],
        vec!["deny", &id, "--reason", "no"],
        vec!["unlock", "all", "--reason", "x"],
    ] {
        for input in ["", "once\n", "yes\nonce\ny\nonce\n", "\u{4}once\n"] {
            let (code, said) = house.run(true, &words, input);
            assert_eq!(code, 4, "{words:?}: {said}");
            assert!(said.contains("no terminal: a person must answer"), "{said}");
        }
    }
    for more in ["--yes", "--force", "--as", "--once", "--non-interactive"] {
        let (code, said) = house.run(true, &["approve", &id, more], "once\n");
        assert_eq!(code, 2, "{more}: {said}");
    }
    let now = house.now().await;
    assert_eq!((now.state, now.votes.len()), (State::Pending, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a26_commands_that_look_change_nothing() {
    let house = House::new().await;
    let (before, log) = (house.now().await, house.log());
    let id = house.request.id.to_string();
    for words in [
        vec!["pending"],
        vec!["pending", "--json"],
        vec!["pending", "--grants"],
        vec!["show", &id],
        vec!["locks"],
    ] {
        let (code, said) = house.run(false, &words, "once\n");
        assert_eq!(code, 0, "{words:?}: {said}");
    }
    assert_eq!(house.now().await, before);
    assert_eq!(house.log(), log);
}
