//! `glassbreak learn safe-bins`: from calls that were made to the narrowest profiles that cover them.
//!
//! Where a pack ships for a program, the proposal is that pack with every verb that was not seen set to ask: what the
//! pack knows of options, values, facts and labels stays, and nothing is loosened. For other programs it is a profile of
//! just the words that were seen, read as most programs read theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use glassbreak_core::argv::Programs;
use glassbreak_core::argv::profile::Verdict;
use glassbreak_core::audit::{Kind, Timeline};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Argv, Exec, Operation, Workspace, wire};
use glassbreak_core::finding::{Finding, Level};
use serde_json::{Value, json};

use crate::Failure;

/// The most calls of one program that are shown as examples.
const MOST_EXAMPLES: usize = 32;

/// Reads calls, and proposes the narrowest safe-bins.toml that covers them. Changes nothing: a person decides. Calls that
/// the shipped packs ask about or deny are told, and not made free. Exit status 0; 1 when the log was tampered with; 2
/// for wrong usage, or nothing to learn from.
#[derive(Debug, clap::Args)]
pub(super) struct SafeBins {
    /// The folder of an audit log, of which the calls that were permitted count; or a file of calls, JSON Lines as
    /// `check` reads them.
    #[arg(value_name = "LOG|FILE")]
    calls: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Words of a call, the program's name first.
type Words = Vec<String>;

/// What is proposed.
#[derive(Debug, Default)]
struct Proposal {
    text: String,
    /// How many different calls it allows.
    covered: usize,
    /// Those it does not.
    asked: Vec<Words>,
    denied: Vec<Words>,
}

pub(super) fn run(options: &SafeBins) -> Result<ExitCode, Failure> {
    let calls = if options.calls.is_dir() {
        from_log(&options.calls)?
    } else {
        from_lines(&options.calls)?
    };
    if calls.is_empty() {
        return Err(Failure::usage("glassbreak: no call of a program to learn from"));
    }
    let proposal = propose(&calls)?;
    if options.json {
        say!(
            "{:#}",
            json!({
                "proposal": true, "in_force": false, "covered": proposal.covered, "asked": proposal.asked,
                "denied": proposal.denied, "safe_bins": proposal.text,
            })
        );
    } else {
        say!("# PROPOSAL, not in force: a person decides, and writes it into safe-bins.toml.");
        say!("# It covers {} of {} different calls.", proposal.covered, calls.len());
        for (what, calls) in [("asks", &proposal.asked), ("denies", &proposal.denied)] {
            for words in calls {
                say!("# it {what}: {}", as_list(words));
            }
        }
        say!("{}", proposal.text.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn from_log(log: &Path) -> Result<BTreeSet<Words>, Failure> {
    let mut calls = BTreeSet::new();
    for step in Timeline::open(log).map_err(|error| Failure::usage(format!("glassbreak: {error}")))? {
        let record = step.map_err(|fault| Failure {
            message: format!("glassbreak: TAMPERED  {fault}; nothing is learned from this log"),
            code: 1,
        })?;
        if record.kind() == Some(Kind::CallPermitted) {
            calls.extend(words_within(&record.json(), 4));
        }
    }
    Ok(calls)
}

/// The words that were asked for, wherever in a record the program's call stands.
fn words_within(json: &Value, depth: u8) -> Option<Words> {
    let record = json.as_object().filter(|_| depth > 0)?;
    if let Some(words) = record
        .get("asked")
        .or_else(|| record.get("argv"))
        .and_then(Value::as_array)
    {
        return words.iter().map(|word| word.as_str().map(str::to_owned)).collect();
    }
    record.values().find_map(|value| words_within(value, depth - 1))
}

fn from_lines(file: &Path) -> Result<BTreeSet<Words>, Failure> {
    let text = fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let mut calls = BTreeSet::new();
    for (n, line) in text
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let line = wire::read(line).map_err(|bad| {
            let why = bad.finding().why().to_owned();
            Failure::usage(format!("{}:{}: {why}", file.display(), n + 1))
        })?;
        if let Operation::Exec(exec) = &line.call.operation {
            calls.insert(exec.argv().words().iter().map(ToString::to_string).collect());
        }
    }
    Ok(calls)
}

fn propose(calls: &BTreeSet<Words>) -> Result<Proposal, Failure> {
    let packs = Bundle::read_only().map_err(|problems| Failure::usage(problems.to_string()))?;
    let mut by_program: BTreeMap<&str, Vec<&Words>> = BTreeMap::new();
    for words in calls {
        if let Some(program) = words.first() {
            // `python3` is a call of `python`.
            let program = packs.programs().name_of(program).unwrap_or(program);
            by_program.entry(program).or_default().push(words);
        }
    }
    let (mut uses, mut profiles) = (Vec::new(), String::new());
    for (program, calls) in &by_program {
        let shipped = packs.programs().name_of(program).is_some();
        let free: Vec<&Words> = calls
            .iter()
            .copied()
            .filter(|words| !shipped || verdict(packs.programs(), words).0 == Verdict::Allow)
            .collect();
        if free.is_empty() || (!shipped && !is_name(program)) {
            continue;
        }
        if shipped {
            narrowed(packs.programs(), program, &free, calls, &mut uses, &mut profiles);
        } else {
            own(program, &free, &mut profiles);
        }
    }
    let uses: Vec<String> = uses.iter().map(|pack| quoted(pack)).collect();
    let uses = if uses.is_empty() {
        String::new()
    } else {
        format!("use = [{}]\n", uses.join(", "))
    };
    let text = format!("schema = 1\n{uses}{profiles}");
    // What is proposed has been tried: it loads, and each call is judged by it.
    let files = Files::from([("safe-bins.toml".to_owned(), text.clone().into_bytes())]);
    let bundle = Bundle::from_files(&files).map_err(|problems| {
        Failure::usage(format!(
            "glassbreak: no profile can be made of these calls: {problems}\n{text}"
        ))
    })?;
    let mut proposal = Proposal {
        text,
        ..Proposal::default()
    };
    for words in calls {
        match verdict(bundle.programs(), words).0 {
            Verdict::Allow => proposal.covered += 1,
            Verdict::Ask => proposal.asked.push(words.clone()),
            Verdict::Deny => proposal.denied.push(words.clone()),
        }
    }
    Ok(proposal)
}

/// What a call gets, and its verbs.
fn verdict(programs: &Programs, words: &Words) -> (Verdict, String) {
    let (Ok(argv), Ok(workspace)) = (
        Argv::new(words.iter().map(String::as_str)),
        Workspace::new("/workspace"),
    ) else {
        return (Verdict::Deny, String::new());
    };
    let judged = programs.judge(&Exec::new(argv), "", &workspace);
    let verdict = match judged.findings.iter().map(Finding::level).max() {
        Some(Level::Clear | Level::Note) => Verdict::Allow,
        Some(Level::Ask) => Verdict::Ask,
        Some(Level::Deny | Level::DenyAndLock) | None => Verdict::Deny,
    };
    (verdict, judged.facts.command.to_string())
}

/// A shipped pack, with the free verbs that no free call has used set to ask.
fn narrowed(
    packs: &Programs,
    program: &str,
    calls: &[&Words],
    every: &[&Words],
    uses: &mut Vec<String>,
    profiles: &mut String,
) {
    let pack = format!("builtin:{program}-readonly");
    let verbs = |calls: &[&Words]| -> BTreeSet<String> { calls.iter().map(|words| verdict(packs, words).1).collect() };
    let (used, tried) = (verbs(calls), verbs(every));
    let unused = packs.commands_of(program).into_iter();
    let unused = unused.filter(|(path, is)| *is == Verdict::Allow && !path.is_empty() && !used.contains(*path));
    let unused: Vec<&str> = unused.map(|(path, _)| path).collect();
    if unused.is_empty() {
        uses.push(pack);
        return;
    }
    let _ = writeln!(
        profiles,
        "\n[profiles.{}]\nextends = {}",
        quoted(program),
        quoted(&pack)
    );
    examples(calls, profiles);
    for path in unused {
        let verbs: Vec<String> = path.split(' ').map(|verb| format!("verbs.{}", quoted(verb))).collect();
        let why = if tried.contains(path) {
            "no call has used it yet in a way that is free"
        } else {
            "no call has used it yet"
        };
        let _ = writeln!(
            profiles,
            "[profiles.{}.{}]\nverdict = \"ask\"\nwhy = \"{why}\"",
            quoted(program),
            verbs.join(".")
        );
    }
}

/// A profile of just the words of these calls.
fn own(program: &str, calls: &[&Words], profiles: &mut String) {
    let mut options: BTreeMap<&str, Option<BTreeSet<&str>>> = BTreeMap::new();
    let mut rows: BTreeSet<Vec<&str>> = BTreeSet::new();
    for words in calls {
        let mut row = Vec::new();
        for word in words.iter().skip(1) {
            match word.split_once('=') {
                _ if !word.starts_with('-') || word == "-" => row.push(word.as_str()),
                Some((name, value)) if name.starts_with("--") => {
                    options.entry(name).or_default().get_or_insert_default().insert(value);
                }
                _ => {
                    options.entry(word).or_default();
                }
            }
        }
        rows.insert(row);
    }
    let _ = writeln!(
        profiles,
        "\n# No pack ships for it: how it reads its words is a guess, and what they mean is not known.\n\
         [profiles.{}]\ndialect = {{ abbreviates = true, underscore-is-dash = true }}",
        quoted(program)
    );
    examples(calls, profiles);
    let name = quoted(program);
    let _ = writeln!(profiles, "[profiles.{name}.root]\nverdict = \"allow\"\noptions = [");
    for (n, (option, values)) in options.iter().enumerate() {
        let value = values
            .as_ref()
            .map_or_else(String::new, |_| format!(", value = \"option-{n}\", equals-only = true"));
        let _ = writeln!(profiles, "  {{ names = [{}]{value} }},", quoted(option));
    }
    let _ = writeln!(profiles, "]\nforms = [");
    let mut types = String::new();
    for (n, row) in rows.iter().enumerate() {
        let slots: Vec<String> = (0..row.len())
            .map(|at| format!("{{ type = \"word-{n}-{at}\" }}"))
            .collect();
        let _ = writeln!(profiles, "  {{ operands = [{}] }},", slots.join(", "));
        for (at, word) in row.iter().enumerate() {
            let _ = writeln!(
                types,
                "[profiles.{name}.types.word-{n}-{at}]\nliteral = {}",
                quoted(word)
            );
        }
    }
    let _ = writeln!(profiles, "]");
    for (n, values) in options.values().enumerate() {
        if let Some(values) = values {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let _ = writeln!(
                types,
                "[profiles.{name}.types.option-{n}]\none-of = [{}]",
                values.join(", ")
            );
        }
    }
    profiles.push_str(&types);
}

fn examples(calls: &[&Words], profiles: &mut String) {
    let _ = writeln!(profiles, "examples.allow = [");
    for words in calls.iter().take(MOST_EXAMPLES) {
        let _ = writeln!(profiles, "  {},", as_list(words));
    }
    let _ = writeln!(profiles, "]");
}

fn as_list(words: &Words) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A text as TOML writes it, on one line: what JSON escapes, TOML escapes in the same way.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is_name(program: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    !program.is_empty() && program.bytes().all(fits) && !program.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(lines: &[&str]) -> BTreeSet<Words> {
        lines
            .iter()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect()
    }

    fn after(proposal: &Proposal, line: &str) -> Verdict {
        let files = Files::from([("safe-bins.toml".to_owned(), proposal.text.clone().into_bytes())]);
        let bundle = Bundle::from_files(&files).unwrap();
        verdict(bundle.programs(), &line.split(' ').map(str::to_owned).collect()).0
    }

    #[test]
    fn a_proposal_covers_what_was_seen_and_asks_about_other_verbs() {
        let seen = calls(&[
            "kubectl get pods -n web",
            "kubectl rollout status deploy/web",
            "kubectl logs -f web-0",
            "python3 --version",
            "cat README.md",
            "shop list --page=2 --all",
            "shop show 7",
            "kubectl delete pod x",
            "cat /etc/passwd",
        ]);
        let proposal = propose(&seen).unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(proposal.covered, 6, "{proposal:?}");
        assert_eq!((proposal.asked.len(), proposal.denied.len()), (2, 1));
        let why = |verb: &str| {
            proposal
                .text
                .split(&format!("\"{verb}\"]\n"))
                .nth(1)
                .and_then(|text| text.split('"').nth(3))
        };
        assert_eq!(
            why("logs"),
            Some("no call has used it yet in a way that is free"),
            "{}",
            proposal.text
        );
        assert_eq!(why("describe"), Some("no call has used it yet"));
        for (line, is) in [
            ("kubectl get deployments", Verdict::Allow),
            ("kubectl logs web-0", Verdict::Ask),
            ("kubectl rollout history deploy/web", Verdict::Ask),
            ("kubectl delete pod x", Verdict::Ask),
            ("kubectl kustomize --enable-helm .", Verdict::Deny),
            ("cat other.md", Verdict::Allow),
            ("shop list --all --page=2", Verdict::Allow),
            ("shop list --page=3", Verdict::Ask),
            ("shop show 8", Verdict::Ask),
            ("shop drop 7", Verdict::Ask),
            ("git log", Verdict::Deny),
        ] {
            assert_eq!(after(&proposal, line), is, "{line}\n{}", proposal.text);
        }
    }

    #[test]
    fn odd_words_stay_what_they_are() {
        let odd: Words = ["shop", "a\"b\\", "--x=\u{e9}'", "-"]
            .iter()
            .map(ToString::to_string)
            .collect();
        let proposal = propose(&BTreeSet::from([odd])).unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(proposal.covered, 1, "{}", proposal.text);
    }
}
