//! Every case of `tests/argv_cases/*.toml`, judged by the built-in bundle: the shipped packs, for anyone.
//!
//! A case is data, so that whoever finds a bypass can add it without a line of Rust.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::path::Path;

use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge, refused};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    argv: Option<Vec<String>>,
    shell: Option<String>,
    expect: Expect,
    /// Where the trick was seen.
    source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expect {
    Allow,
    Ask,
    Deny,
    NotAllow,
}

impl Expect {
    fn is_met(self, outcome: Outcome) -> bool {
        match self {
            Self::Allow => outcome == Outcome::Allow,
            Self::Ask => outcome == Outcome::Ask,
            Self::Deny => outcome == Outcome::Deny,
            Self::NotAllow => outcome != Outcome::Allow,
        }
    }
}

/// Through the wire, so that hygiene has its say.
fn judged(bundle: &Bundle, case: &Case) -> Judgement {
    let exec = match (&case.argv, &case.shell) {
        (Some(argv), None) => serde_json::json!({ "argv": argv }),
        (None, Some(shell)) => serde_json::json!({ "shell": shell }),
        _ => panic!("`{}` needs either argv or shell", case.name),
    };
    let line = serde_json::json!({ "exec": exec }).to_string();
    let state = SessionState::new(Workspace::new("/workspace").unwrap());
    match wire::read(line.as_bytes()) {
        Ok(line) => judge(bundle, &state, &line.call, Timestamp::from_millis(0)),
        Err(malformed) => refused(bundle, malformed.finding()),
    }
}

#[test]
fn every_argv_case_gets_the_outcome_it_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/argv_cases");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no case file in {}", folder.display());

    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let (mut tried, mut wrong) = (0, String::new());
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(&path).unwrap();
        let cases: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!cases.case.is_empty(), "{file} holds no case");
        for case in cases.case {
            let ruling = judged(&bundle, &case).ruling;
            tried += 1;
            if !case.expect.is_met(ruling.outcome()) {
                let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
                let words = case
                    .argv
                    .as_ref()
                    .map_or_else(|| format!("{:?}", case.shell), |argv| format!("{argv:?}"));
                let source = case.source.as_deref().unwrap_or("-");
                let _ = writeln!(
                    wrong,
                    "{file}: {}\n  {words}\n  expected {:?}, got {} by {}: {}\n  source: {source}",
                    case.name,
                    case.expect,
                    ruling.outcome(),
                    rules.join(", "),
                    ruling.why()
                );
            }
        }
    }
    let count = wrong.matches("\n  source: ").count();
    assert!(wrong.is_empty(), "{count} of {tried} cases went otherwise:\n{wrong}");
}
