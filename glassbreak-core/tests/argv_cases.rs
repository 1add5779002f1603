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

/// The cases of every file, each with the file's name.
fn all_cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/argv_cases");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path
            .file_name()
            .filter(|_| path.extension().is_some_and(|ext| ext == "toml"))
        else {
            continue;
        };
        let cases: File = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let name = name.to_string_lossy().into_owned();
        all.extend(cases.case.into_iter().map(|case| (name.clone(), case)));
    }
    all
}

/// What `SECURITY.md` says of published bypasses is what happens: each row names a case, and the verdict and rule it gets.
#[test]
fn the_table_of_published_bypasses_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("## Published bypasses").unwrap();
    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let all = all_cases();
    let (mut rows, mut wrong) = (0, String::new());
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let line = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, call, _, _, verdict, name, _] = cells.as_slice() else {
            panic!("a row that is not of five cells: {line}");
        };
        rows += 1;
        let name = name.trim_matches('`');
        let program = call.trim_matches('`').split(' ').next().unwrap();
        let mut named = all.iter().filter(|(_, case)| case.name == name);
        let of_program = |case: &Case| {
            case.argv
                .as_ref()
                .is_some_and(|argv| argv.first().is_some_and(|p| p == program))
        };
        let Some((_, case)) = named.find(|(_, case)| of_program(case)) else {
            let _ = writeln!(wrong, "no case `{name}` of `{program}`");
            continue;
        };
        let ruling = judged(&bundle, case).ruling;
        let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
        let is = rules.iter().map(|rule| format!("{} `{rule}`", ruling.outcome()));
        if !is.clone().any(|is| is == *verdict) {
            let is: Vec<String> = is.collect();
            let _ = writeln!(wrong, "`{name}`: {call} is said {verdict} and is {}", is.join(" or "));
        }
    }
    assert!(rows > 60, "{rows}");
    assert!(wrong.is_empty(), "{wrong}");
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

/// `everyday.jsonl` is what people find harmless, `hostile.jsonl` what lists of tricks and of tools that act come to; each
/// line the words of one call.
#[test]
fn everyday_calls_are_allowed_and_hostile_ones_are_not() {
    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let mut wrong = String::new();
    for (file, allowed, least) in [("everyday.jsonl", true, 1_000), ("hostile.jsonl", false, 1_400)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.lines().count() >= least, "{file}");
        for line in text.lines() {
            let case = Case {
                name: line.to_owned(),
                argv: Some(serde_json::from_str(line).unwrap()),
                shell: None,
                expect: if allowed { Expect::Allow } else { Expect::NotAllow },
                source: None,
            };
            let ruling = judged(&bundle, &case).ruling;
            if !case.expect.is_met(ruling.outcome()) {
                let _ = writeln!(wrong, "{file}: {line}: {}: {}", ruling.outcome(), ruling.why());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
