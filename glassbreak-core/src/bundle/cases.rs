//! The tests of a policy folder: calls with the outcome its author expects.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Bundle;
use crate::argv::profile::Example;
use crate::call::{Actor, ArgValue, Args, Argv, Call, Exec, Malformed, Operation, Tool, Word, Workspace};
use crate::clock::{Span, Timestamp};
use crate::error::{Problem, nearest};
use crate::finding::Outcome;
use crate::judge::{Judgement, SessionState, judge};
use crate::source::{Source, Step};

/// One test of a policy folder.
///
/// ```toml
/// [[case]]
/// name = "reading passes"
/// role = "ops-agent"
/// exec = "kubectl get pods -n web"      # split at spaces; or a list of words
/// expect = "allow"
///
/// [[case]]
/// name = "the eleventh deletion is refused"
/// role = "ops-agent"
/// steps = [
///   { exec = "kubectl -n web delete pod a", expect = "ask", repeat = 10, admit = true },
///   { after = "30s", exec = "kubectl -n web delete pod b", expect = "deny", rules = ["budget.pod_delete.ceiling"] },
/// ]
/// ```
/// Each case begins with empty counters at the same moment. A step that is allowed counts as performed; one that asks
/// counts as performed only with `admit = true`, as if people had agreed.
#[derive(Debug, Clone)]
pub struct Case {
    file: String,
    line: u32,
    name: String,
    steps: Vec<CaseStep>,
}

#[derive(Debug, Clone)]
struct CaseStep {
    call: Call,
    after: u64,
    repeat: u32,
    admit: bool,
    expect: Outcome,
    rules: Vec<String>,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult<'a> {
    /// The file and line it stands at.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// Its name.
    pub name: &'a str,
    /// What went otherwise than expected; empty when it passed.
    pub failures: Vec<String>,
}

impl Bundle {
    /// Runs the tests of the policy folder.
    pub fn run_cases(&self) -> impl Iterator<Item = CaseResult<'_>> {
        self.cases().iter().map(|case| CaseResult {
            file: &case.file,
            line: case.line,
            name: &case.name,
            failures: case.run(self),
        })
    }
}

impl Case {
    fn run(&self, bundle: &Bundle) -> Vec<String> {
        let mut failures = Vec::new();
        let Ok(workspace) = Workspace::new("/workspace") else {
            return vec!["no workspace".to_owned()];
        };
        let mut state = SessionState::new(workspace);
        let mut now = 0i64;
        for (n, step) in self.steps.iter().enumerate() {
            for turn in 0..step.repeat {
                now = now.saturating_add_unsigned(step.after);
                let at = Timestamp::from_millis(now);
                let judgement = judge(bundle, &state, &step.call, at);
                let outcome = judgement.ruling.outcome();
                let admitted = outcome == Outcome::Allow || (outcome == Outcome::Ask && step.admit);
                if let Some(failure) = step.check(&judgement) {
                    let place = match (self.steps.len(), step.repeat) {
                        (1, 1) => String::new(),
                        (_, 1) => format!("step {}: ", n + 1),
                        _ => format!("step {}, time {}: ", n + 1, turn + 1),
                    };
                    failures.push(format!("{place}{failure}"));
                }
                state.advance(bundle, &step.call, &judgement, at, admitted);
            }
        }
        failures
    }
}

impl CaseStep {
    fn check(&self, judgement: &Judgement) -> Option<String> {
        let ruling = &judgement.ruling;
        let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
        if ruling.outcome() != self.expect {
            let got = ruling.outcome();
            return Some(format!(
                "expected {}, got {got} by {}: {}",
                self.expect,
                rules.join(", "),
                ruling.why()
            ));
        }
        let missing = self.rules.iter().find(|rule| !rules.contains(&rule.as_str()))?;
        Some(format!(
            "expected the rule `{missing}` to decide; it was {}",
            rules.join(", ")
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    case: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    role: Option<String>,
    on_behalf_of: Option<String>,
    exec: Option<Example>,
    tool: Option<String>,
    arguments: Option<toml::Table>,
    cwd: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    stdin: Option<String>,
    expect: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    steps: Vec<StepEntry>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StepEntry {
    exec: Option<Example>,
    tool: Option<String>,
    arguments: Option<toml::Table>,
    cwd: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    stdin: Option<String>,
    after: Option<String>,
    repeat: Option<u32>,
    #[serde(default)]
    admit: bool,
    expect: Option<String>,
    #[serde(default)]
    rules: Vec<String>,
}

/// Reads the tests of a policy folder.
pub(super) fn load(sources: &[Source<'_>]) -> Result<Vec<Case>, Vec<Problem>> {
    let mut cases = Vec::new();
    let mut problems = Vec::new();
    for source in sources {
        let help = "a case has name, role, one of exec and tool (or steps), and expect";
        let file: File = match source.read_toml(help) {
            Ok(file) => file,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (n, entry) in file.case.into_iter().enumerate() {
            let at = [Step::Key("case"), Step::Index(n)];
            match case(entry, source, &at) {
                Ok(case) => cases.push(case),
                Err((what, help)) => problems.push(source.problem_at(&at, what, help)),
            }
        }
    }
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

type Wrong = (String, String);

fn case(entry: Entry, source: &Source<'_>, at: &[Step<'_>]) -> Result<Case, Wrong> {
    let role = entry.role.as_deref().unwrap_or(crate::call::wire::ANONYMOUS);
    let word = |text: &str| Word::new(text).map_err(|bad| (bad.to_string(), bad.help().to_owned()));
    let mut actor = Actor::new(word(role)?, word("test")?);
    actor.on_behalf_of = entry.on_behalf_of.as_deref().map(word).transpose()?;
    let single = StepEntry {
        exec: entry.exec,
        tool: entry.tool,
        arguments: entry.arguments,
        cwd: entry.cwd,
        env: entry.env,
        stdin: entry.stdin,
        expect: entry.expect,
        rules: entry.rules,
        ..StepEntry::default()
    };
    let steps = if entry.steps.is_empty() {
        vec![single]
    } else if single.exec.is_some() || single.tool.is_some() || single.expect.is_some() {
        return Err((
            "a case with steps has a call of its own".to_owned(),
            "put the call into a step".to_owned(),
        ));
    } else {
        entry.steps
    };
    let steps = steps
        .into_iter()
        .map(|entry| step(entry, &actor))
        .collect::<Result<_, _>>()?;
    let line = source.problem_at(at, "", "").line();
    Ok(Case {
        file: source.file.to_owned(),
        line,
        name: entry.name,
        steps,
    })
}

fn step(entry: StepEntry, actor: &Actor) -> Result<CaseStep, Wrong> {
    let malformed = |bad: Malformed| (bad.to_string(), "write a call that can be made".to_owned());
    let operation = match (entry.exec, entry.tool) {
        (Some(exec), None) => {
            let mut exec = Exec::new(Argv::new(exec.words()).map_err(malformed)?);
            if let Some(cwd) = entry.cwd {
                exec = exec.in_folder(&cwd).map_err(malformed)?;
            }
            for (name, value) in &entry.env {
                exec = exec.with_env(name, value).map_err(malformed)?;
            }
            if let Some(stdin) = entry.stdin {
                exec = exec.with_stdin(stdin.as_bytes()).map_err(malformed)?;
            }
            Operation::Exec(exec)
        }
        (None, Some(name)) => Operation::Tool(Tool {
            name: Word::new(&name).map_err(|bad| (bad.to_string(), bad.help().to_owned()))?,
            arguments: entry.arguments.map_or_else(|| Ok(Args::new()), arguments)?,
        }),
        _ => {
            return Err((
                "not just one of exec and tool".to_owned(),
                "write one of exec and tool".to_owned(),
            ));
        }
    };
    let expected = entry.expect.unwrap_or_default();
    let Some(expect) = Outcome::from_word(&expected) else {
        let near = nearest(&expected, ["allow", "ask", "deny"]).map(|near| format!(" (did you mean `{near}`?)"));
        let help = format!(
            "write expect = \"allow\", \"ask\" or \"deny\"{}",
            near.unwrap_or_default()
        );
        return Err((format!("`{expected}` is no outcome"), help));
    };
    let after = match entry.after {
        Some(word) => Span::from_word(&word)
            .map_err(|bad| (bad.to_string(), bad.help().to_owned()))?
            .as_millis(),
        None => 0,
    };
    let repeat = entry.repeat.unwrap_or(1);
    if !(1..=10_000).contains(&repeat) {
        return Err((
            format!("repeat = {repeat}"),
            "write a number from 1 to 10,000".to_owned(),
        ));
    }
    let call = Call {
        actor: actor.clone(),
        operation,
        reason: None,
        conversation: None,
    };
    Ok(CaseStep {
        call,
        after,
        repeat,
        admit: entry.admit,
        expect,
        rules: entry.rules,
    })
}

fn arguments(table: toml::Table) -> Result<Args, Wrong> {
    table
        .into_iter()
        .map(|(name, value)| Ok((name.into(), argument(value)?)))
        .collect()
}

fn argument(value: toml::Value) -> Result<ArgValue, Wrong> {
    Ok(match value {
        toml::Value::Boolean(value) => ArgValue::Bool(value),
        toml::Value::Integer(value) => ArgValue::Int(value),
        toml::Value::String(value) => ArgValue::Str(value.into()),
        toml::Value::Array(items) => ArgValue::List(items.into_iter().map(argument).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => ArgValue::Record(arguments(table)?),
        toml::Value::Float(_) | toml::Value::Datetime(_) => {
            return Err((
                "an argument is a float or a date".to_owned(),
                "write a whole number or a string".to_owned(),
            ));
        }
    })
}
