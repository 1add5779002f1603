//! `glassbreak audit`: exit codes and what people read.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use glassbreak_core::audit::{AuditLog, Finished, Performed, Permitted, Refused};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::judge::{SessionState, judge};
use glassbreak_core::store::OpId;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A log of a permitted and a refused call, the id of the first, and its one file.
fn sample() -> (Scratch, OpId, PathBuf) {
    let dir = std::env::temp_dir().join(format!("glassbreak-cli-audit-{}", OpId::mint(Timestamp::now())));
    let log = AuditLog::open(&dir).unwrap();
    let bundle = Bundle::read_only().unwrap();
    let state = SessionState::new(Workspace::new("/srv/ops").unwrap());
    let read = |line: &str| {
        let call = wire::read(line.as_bytes()).unwrap().call;
        let judgement = judge(&bundle, &state, &call, Timestamp::from_millis(0));
        (call, judgement)
    };
    let (call, judgement) = read(
        r#"{"actor":{"role":"anonymous","instance":"ops-7","session":"s1","on_behalf_of":"alice"},
        "exec":{"argv":["cat","my notes.txt"]},"reason":"is \u001b[2Jit\u202e up?"}"#,
    );
    let id = OpId::mint(Timestamp::now());
    log.append(Permitted::new(id, &call, &judgement, &bundle)).unwrap();
    let (call, judgement) = read(r#"{"exec":{"argv":["rm","-rf","/"]}}"#);
    let denial = judgement.denial().unwrap();
    let refused = Refused::new(OpId::mint(Timestamp::now()), Some(&call), &judgement, &denial, &bundle);
    log.append(refused).unwrap();
    let finished = Finished {
        exit: Some(0),
        ran_ms: Some(4),
        ..Finished::new(id, Performed::Done)
    };
    log.append(finished).unwrap();
    let path = log.path().to_owned();
    log.close().unwrap();
    (Scratch(dir), id, path)
}

fn glassbreak(words: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbreak"));
    command.arg("audit").arg(words.first().unwrap()).arg(dir);
    command.args(words.iter().skip(1)).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn exit_codes_say_intact_tampered_cut_and_wrong_usage() {
    let (dir, _, path) = sample();
    let code = |words: &[&str]| glassbreak(words, &dir.0).status.code();
    assert_eq!(code(&["verify"]), Some(0));
    assert_eq!(code(&["verify", "--json"]), Some(0));
    assert_eq!(code(&["verify", "--key", "/nonexistent"]), Some(2));
    assert_eq!(code(&["show", "--since", "yesterday"]), Some(2));
    assert_eq!(
        glassbreak(&["verify"], Path::new("/nonexistent")).status.code(),
        Some(2)
    );
    let whole = fs::read(&path).unwrap();
    let cut = whole.strip_suffix(b"\"}\n").unwrap();
    fs::write(&path, cut).unwrap();
    let output = glassbreak(&["verify"], &dir.0);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("cut after record 4, at "), "{}", text(&output));
    let changed = String::from_utf8(whole.clone()).unwrap().replace("alice", "mallo");
    fs::write(&path, changed).unwrap();
    for words in [["verify"], ["show"], ["tail"]] {
        assert_eq!(code(&words), Some(1), "{words:?}");
    }
    let output = glassbreak(&["verify"], &dir.0);
    assert!(
        text(&output).contains("line 2: the record was changed after it was written"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_timeline_tells_who_what_and_by_which_rules_and_escapes_it() {
    let (dir, id, _) = sample();
    let shown = text(&glassbreak(&["show"], &dir.0));
    println!("{shown}");
    let first = id.to_string();
    for words in [
        "anonymous/ops-7 for alice in s1  cat \"my notes.txt\"",
        "the agent says, unverified: \"is \\u{1b}[2Jit\\u{202e} up?\"",
        "refused    anonymous in stream  rm -rf /",
        "done       cat \"my notes.txt\"  exit status 0; ran 4 ms",
        "risk low",
        &first,
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    let one = text(&glassbreak(&["show", "--json", "--call", &first], &dir.0));
    assert_eq!(one.lines().count(), 2, "{one}");
    assert!(text(&glassbreak(&["show", "--since", "2100-01-01T00:00:00Z"], &dir.0)).is_empty());
    assert!(!text(&glassbreak(&["show", "--since", "1h"], &dir.0)).is_empty());
    let last = text(&glassbreak(&["tail", "-n", "2", "--json"], &dir.0));
    assert_eq!(last.lines().count(), 2, "{last}");
    assert!(last.contains("log.closed"));
}
