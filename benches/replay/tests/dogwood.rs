//! Verdicts of Dogwood, recorded: its published temporal corpus as far as both can say it, and random policies.
//!
//! ```text
//! benches/dogwood.sh            # says them anew, and compares
//! ```
#![expect(clippy::unwrap_used, reason = "a test that cannot set up has nothing to show")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const RECORDED: &str = include_str!("dogwood.jsonl");

fn against(lines: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_against-dogwood"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn verdicts_agree_with_dogwood_wherever_both_can_say_a_rule() {
    let output = against(RECORDED);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.ends_with(" 0 differ\n"), "{told}");
}

#[test]
fn a_verdict_that_differs_is_told() {
    let first = RECORDED.lines().next().unwrap();
    let turned = first
        .replacen("true]", "TURN]", 1)
        .replace("false]", "true]")
        .replace("TURN]", "false]");
    let output = against(&turned);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("differs: "), "{told}");
    assert_eq!(against("").status.code(), Some(2));
    assert_eq!(against("{}\n").status.code(), Some(2));
}
