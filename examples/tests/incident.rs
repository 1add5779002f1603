//! The incident, as whoever clones the repository runs it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs;
use std::process::{Command, Output};

use glassbreak_examples::scratch::Scratch;

fn incident(scratch: &Scratch, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_incident"))
        .args(words)
        .current_dir(scratch.path())
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap()
}

#[test]
fn it_goes_as_it_is_told_twice_in_a_row_and_leaves_nothing_behind() {
    let scratch = Scratch::new("incident-test").unwrap();
    for _ in 0..2 {
        let output = incident(&scratch, &["--approver", "script"]);
        let (told, complaints) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{told}\n{complaints}");
        for line in [
            "Not taken: alice may not answer this: the agent acts for them",
            "bob       yes, and for 5 minutes",
            "budget.pod_delete: 4 of 3 in 10m by all agents for target.namespace \"web\" (2 persons of oncall)",
            "carol     no: it is the config, not the pod: roll back instead. The request is denied.",
            "refused   policy `no-database-delete` forbids this",
            "deployment.apps/web rolled back",
            "1 stood before the lock, 0 after it",
            "ended by signal 9",
            "each chained to the one before: intact",
            "one byte changed in a copy, in who said no: tampered at seq ",
            "Everything went as it is told.",
        ] {
            assert!(told.contains(line), "{line}\n\n{told}");
        }
        // About 165; a long name of the temporary folder takes a few more.
        assert!(told.lines().count() <= 175, "{} lines", told.lines().count());
        assert!(!told.contains('\u{1b}'), "colour, and no terminal");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

#[test]
fn the_names_of_pods_come_of_the_seed_and_what_is_kept_is_kept() {
    let scratch = Scratch::new("incident-seed").unwrap();
    let pods = |words: &[&str]| {
        let output = incident(&scratch, words);
        assert!(output.status.success());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = told.lines().find(|line| line.contains("is there in its place"));
        line.unwrap().to_owned()
    };
    let seven = pods(&["--approver", "script", "--seed", "7"]);
    assert_eq!(seven, pods(&["--approver", "script"]));
    assert_ne!(seven, pods(&["--approver", "script", "--seed", "8", "--keep"]));
    let kept: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert_eq!(kept.len(), 1);
}

#[test]
fn words_that_it_does_not_know_are_an_error() {
    let scratch = Scratch::new("incident-words").unwrap();
    assert_eq!(incident(&scratch, &["--approver", "nobody"]).status.code(), Some(2));
    assert_eq!(incident(&scratch, &["--faster"]).status.code(), Some(2));
    let help = incident(&scratch, &["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--approver second"));
}
